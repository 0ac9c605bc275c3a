/*
 * net/ip6_ext.c: extension headers, each row named by what it proves. LINK: net/ip6_ext.c
 * lib/string.c
 */
#include "net/ip6_ext.h"

#include <stdlib.h>
#include "lib/string.h"

#include "net/ip.h"
#include "tests/unit/ktest.h"

enum { H = 40 };

static struct ip6_ext e;

/* Lays `bytes` behind a header that names `next`, in memory of exactly that size, and walks. */
static enum ip6_ext_verdict
walk(enum ip6_ext_verdict (*fn)(const uint8_t *, struct ip6_ext *), uint8_t next,
    const void *bytes, size_t n)
{
	uint8_t *pkt = calloc(1, H + n);
	enum ip6_ext_verdict v;

	pkt[6] = next;
	memcpy(pkt + H, bytes, n);
	e = (struct ip6_ext){
	    .len = (uint16_t)(H + n), .off = H, .next_pos = 6, .next = next};
	v = fn(pkt, &e);
	free(pkt);
	return v;
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define DST(...)   walk(ip6_ext_walk, IP_PROTO_DSTOPTS, BYTES(__VA_ARGS__))
#define HBH(...)   walk(ip6_ext_hop_by_hop, IP_PROTO_HOPOPTS, BYTES(__VA_ARGS__))
#define RTH(...)   walk(ip6_ext_walk, IP_PROTO_ROUTING, BYTES(__VA_ARGS__))

KTEST(ext_none_leaves_the_upper_layer_where_it_is)
{
	CHECK_EQ(walk(ip6_ext_walk, IP_PROTO_TCP, BYTES(1, 2, 3)), IP6_EXT_OK);
	CHECK_EQ(e.off, H);
	CHECK_EQ(e.next, IP_PROTO_TCP);
}

KTEST(ext_destination_options_are_passed_rfc8200_4_6)
{
	CHECK_EQ(DST(17, 0, 1, 4, 0, 0, 0, 0, 9), IP6_EXT_OK);
	CHECK_EQ(e.off, H + 8);
	CHECK_EQ(e.next, 17);
	CHECK_EQ(e.next_pos, H);
}

KTEST(ext_unknown_option_actions_rfc8200_4_2)
{
	static const struct {
		uint8_t type;
		enum ip6_ext_verdict verdict;
		bool is_even_if_multicast;
	} rows[] = {
	    {0x1e, IP6_EXT_OK, false}, {0x5e, IP6_EXT_DISCARD, false},
	    {0x9e, IP6_EXT_PROBLEM, true}, {0xde, IP6_EXT_PROBLEM, false},
	    {0xc9, IP6_EXT_PROBLEM, false}, /* home address: RFC 6275 is not spoken */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_EQ(DST(6, 0, 0, rows[i].type, 2, 0, 0, 0), rows[i].verdict);
		if (rows[i].verdict != IP6_EXT_PROBLEM)
			continue;
		CHECK_EQ(e.code, 2);
		CHECK_EQ(e.pointer, H + 3);
		CHECK_EQ(e.is_even_if_multicast, rows[i].is_even_if_multicast);
	}
}

KTEST(ext_router_alert_is_told_rfc2711)
{
	CHECK_EQ(HBH(58, 0, 5, 2, 0, 0, 1, 0), IP6_EXT_OK);
	CHECK(e.has_router_alert);
	CHECK_EQ(e.router_alert, 0);
	CHECK_EQ(HBH(58, 0, 5, 1, 0, 1, 1, 0), IP6_EXT_DISCARD);
	CHECK_EQ(HBH(58, 1, 5, 2, 0, 0, 5, 2, 0, 0, 1, 4, 0, 0, 0, 0), IP6_EXT_DISCARD);
}

KTEST(ext_jumbo_payload_is_refused_rfc2675)
{
	CHECK_EQ(HBH(6, 0, 0xc2, 4, 0, 1, 0, 0), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 2);
	CHECK_EQ(e.pointer, H + 2);
}

KTEST(ext_hop_by_hop_stands_first_only_rfc8200_4_1)
{
	CHECK_EQ(DST(0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 1);
	CHECK_EQ(e.pointer, H);
}

KTEST(ext_routing_without_segments_is_passed_rfc8200_4_4)
{
	CHECK_EQ(RTH(6, 0, 0, 0, 0, 0, 0, 0, 1), IP6_EXT_OK);
	CHECK_EQ(RTH(6, 0, 99, 0, 0, 0, 0, 0, 1), IP6_EXT_OK);
	CHECK_EQ(e.off, H + 8);
}

KTEST(ext_routing_type_0_is_refused_rfc5095)
{
	CHECK_EQ(
	    RTH(6, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8),
	    IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 0);
	CHECK_EQ(e.pointer, H + 2);
}

KTEST(ext_routing_type_2_with_segments_is_refused_rfc8200_4_4)
{
	CHECK_EQ(
	    RTH(6, 2, 2, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8),
	    IP6_EXT_PROBLEM);
	CHECK_EQ(e.pointer, H + 2);
}

KTEST(ext_cut_off_headers_are_told)
{
	CHECK_EQ(DST(6, 0, 1), IP6_EXT_CUT_OFF);
	CHECK_EQ(DST(6, 1, 1, 4, 0, 0, 0, 0), IP6_EXT_CUT_OFF);
	CHECK_EQ(walk(ip6_ext_walk, IP_PROTO_DSTOPTS, "", 0), IP6_EXT_CUT_OFF);
}

KTEST(ext_option_beyond_its_header_is_a_problem_rfc8200_4_2)
{
	CHECK_EQ(DST(6, 0, 0x1e, 5, 0, 0, 0, 0), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 0);
	CHECK_EQ(e.pointer, H + 2);
	CHECK_EQ(DST(6, 0, 0, 0, 0, 0, 0, 0x1e), IP6_EXT_PROBLEM);
}

KTEST(ext_padding_is_short_and_zero_rfc8504_5_3)
{
	CHECK_EQ(DST(6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), IP6_EXT_DISCARD);
	CHECK_EQ(DST(6, 0, 1, 4, 0, 0, 7, 0), IP6_EXT_DISCARD);
	CHECK_EQ(DST(6, 0, 0, 0, 0, 0, 0, 0), IP6_EXT_OK);
}

KTEST(ext_too_many_options_rfc8883_3)
{
	uint8_t h[32] = {6, 3};

	for (unsigned i = 2; i < sizeof(h); i += 2)
		h[i] = 0x1e;
	CHECK_EQ(walk(ip6_ext_walk, IP_PROTO_DSTOPTS, h, sizeof(h)), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 9);
}

KTEST(ext_too_many_headers_rfc8883_3)
{
	uint8_t h[9 * 8];

	for (unsigned i = 0; i < sizeof(h); i += 8)
		memcpy(h + i, (uint8_t[]){60, 0, 1, 4, 0, 0, 0, 0}, 8);
	CHECK_EQ(walk(ip6_ext_walk, IP_PROTO_DSTOPTS, h, sizeof(h)), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 8);
}

KTEST(ext_chain_too_long_rfc8883_3)
{
	static uint8_t h[1032] = {6, 128};

	CHECK_EQ(walk(ip6_ext_walk, IP_PROTO_ROUTING, h, sizeof(h)), IP6_EXT_PROBLEM);
	CHECK_EQ(e.code, 7);
}

KTEST(ext_walk_stops_at_a_fragment_header)
{
	CHECK_EQ(DST(44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4), IP6_EXT_OK);
	CHECK_EQ(e.next, IP_PROTO_FRAGMENT);
	CHECK_EQ(e.off, H + 8);
	CHECK_EQ(e.next_pos, H);
}

KTEST(ext_skip_passes_a_first_fragment_and_stops_at_others)
{
	CHECK_EQ(walk(ip6_ext_skip, IP_PROTO_FRAGMENT, BYTES(6, 0, 0, 1, 1, 2, 3, 4, 9)),
	    IP6_EXT_OK);
	CHECK_EQ(e.next, 6);
	CHECK_EQ(walk(ip6_ext_skip, IP_PROTO_FRAGMENT, BYTES(6, 0, 0, 9, 1, 2, 3, 4, 9)),
	    IP6_EXT_OK);
	CHECK_EQ(e.next, IP_PROTO_FRAGMENT);
}
