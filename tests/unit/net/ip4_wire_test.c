/*
 * IPv4 input and output, ICMP, reassembly from the link up and down, over a fake wire.
 * LINK: net/ip.c net/ip4.c net/ip4_options.c net/ip4_out.c net/ip4_frag.c net/ip4_fwd.c
 * net/icmp4.c net/icmp_limit.c net/arp.c net/igmp.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/neigh.c net/route.c net/dst.c net/fib.c
 * net/ifaddr.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/ip4_env.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/mutex.c tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c
 * tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/ip4.h"

#include <stdlib.h>

#include "lib/fmt.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip_mc.h"
#include "net/icmp4.h"
#include "net/ifaddr.h"
#include "net/neigh.h"
#include "net/route.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip4_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static struct ip4_out out;

/* ---- Input checks (RFC 791, RFC 1122 3.2.1) ---------------------------------------------- */

KTEST(ip4_delivers_to_the_transport)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.data = "12345678data", .len = 12});
	CHECK_EQ(ip4_notes.udp_packets, 1);
	CHECK_EQ(ip4_notes.udp_len, 12);
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(ip4_padding_of_the_link_is_cut_off)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.data = "12345678", .len = 8, .pad = 18});
	CHECK_EQ(ip4_notes.udp_len, 8);
}

KTEST(ip4_bad_headers_are_dropped_in_silence_rfc1122_3_2_1)
{
	static const struct {
		struct ip4_in in;
		enum drop_reason why;
	} rows[] = {
	    {{.data = "12345678", .len = 8, .bad_csum = 1}, DROP_IP_CSUM},
	    {{.data = "12345678", .len = 8, .len_off = 1}, DROP_IP_SHORT},
	    {{.data = "12345678", .len = 8, .len_off = -9}, DROP_IP_SHORT},
	    {{.data = "12345678", .len = 8, .ver_ihl = 0x65}, DROP_IP_VERSION},
	    {{.data = "12345678", .len = 8, .ver_ihl = 0x44}, DROP_IP_SHORT},
	    {{.data = "12345678", .len = 8, .ver_ihl = 0x4f}, DROP_IP_SHORT},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ip4_env_setup();
		ip4_env_input(&rows[i].in);
		CHECK_EQ(fake_drops[rows[i].why], 1);
		CHECK_EQ(ip4_notes.udp_packets, 0);
		CHECK_EQ(fake_wire_count(), 0);
		CHECK_EQ(fake_pkts_live, 0);
	}
}

KTEST(ip4_martians_are_dropped_rfc1122_3_2_1_3)
{
	static const struct {
		const char *src, *dst;
	} rows[] = {
	    {"127.0.0.1", "10.0.0.1"},
	    {"10.0.0.99", "127.0.0.1"},
	    {"224.0.0.1", "10.0.0.1"},
	    {"255.255.255.255", "10.0.0.1"},
	    {"10.0.0.255", "10.0.0.1"},
	    {"10.0.0.1", "10.0.0.1"},
	    {"192.168.5.1", "10.0.0.1"},
	    {"0.0.0.0", "10.0.0.1"},
	    {"0.1.2.3", "10.0.0.1"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ip4_env_setup();
		ip4_env_input(&(struct ip4_in){.src = rows[i].src,
		    .dst = rows[i].dst,
		    .data = "12345678",
		    .len = 8});
		CHECK_EQ(fake_drops[DROP_IP_MARTIAN], 1);
		CHECK_EQ(fake_wire_count(), 0);
	}
}

KTEST(ip4_not_for_us_is_dropped_without_a_word_rfc1122_3_2_1_3)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.dst = "10.0.0.7", .data = "12345678", .len = 8});
	ip4_env_input(
	    &(struct ip4_in){.dst = "224.0.0.77", .data = "12345678", .len = 8});
	CHECK_EQ(fake_drops[DROP_IP_NOT_OURS], 2);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(ip4_broadcasts_and_joined_groups_are_taken)
{
	struct ip_addr group = ip4_addr("239.1.2.3");

	ip4_env_setup();
	CHECK_EQ(ip_mc_join(ip4_env_dev, &group), OK);
	ip4_env_input(
	    &(struct ip4_in){.dst = "255.255.255.255", .data = "12345678", .len = 8});
	ip4_env_input(
	    &(struct ip4_in){.dst = "10.0.0.255", .data = "12345678", .len = 8});
	ip4_env_input(&(struct ip4_in){.dst = "239.1.2.3", .data = "12345678", .len = 8});
	CHECK_EQ(ip4_notes.udp_packets, 3);
	ip_mc_leave(ip4_env_dev, &group);
	ip4_env_input(&(struct ip4_in){.dst = "239.1.2.3", .data = "12345678", .len = 8});
	CHECK_EQ(ip4_notes.udp_packets, 3);
}

KTEST(ip4_unicast_by_link_broadcast_is_dropped_rfc1122_3_3_6)
{
	ip4_env_setup();
	ip4_env_input(
	    &(struct ip4_in){.data = "12345678", .len = 8, .flags = PKT_BROADCAST});
	CHECK_EQ(ip4_notes.udp_packets, 0);
}

KTEST(ip4_source_route_is_refused_rfc7126_4_3)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.options = "\x83\x07\x04\x01\x02\x03\x04\x00",
	    .options_len = 8,
	    .data = "12345678",
	    .len = 8});
	CHECK_EQ(ip4_notes.udp_packets, 0);
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_UNREACH && out.data[1] == ICMP4_SOURCE_ROUTE);
}

KTEST(ip4_bad_option_gets_a_parameter_problem_rfc1122_3_2_2_5)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.options = "\x01\x07\x02\x00",
	    .options_len = 4,
	    .data = "12345678",
	    .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.data[0], ICMP4_PARAM);
	CHECK_EQ(out.data[4], 22); /* where the bad length is */
}

/* ---- ICMP ---------------------------------------------------------------------------------- */

static void
icmp_in(const char *src, const char *dst, const void *msg, size_t n)
{
	uint8_t copy[600] = {0};
	be16 csum;

	memcpy(copy, msg, n);
	memset(copy + 2, 0, 2);
	csum = be16_of(csum_finish(csum_add(0, copy, n)));
	memcpy(copy + 2, &csum, 2);
	ip4_env_input(&(struct ip4_in){
	    .src = src, .dst = dst, .proto = IP_PROTO_ICMP, .data = copy, .len = n});
}

KTEST(icmp_echo_is_answered_with_its_data_rfc1122_3_2_2_6)
{
	ip4_env_setup();
	icmp_in("10.0.0.99", "10.0.0.1",
	    "\x08\0\0\0\x12\x34\0\x01"
	    "abcdefg",
	    15);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.data[0], ICMP4_ECHO_REPLY);
	CHECK_EQ(csum_finish(csum_add(0, out.data, out.len)), 0);
	CHECK(!memcmp(out.data + 4,
	    "\x12\x34\0\x01"
	    "abcdefg",
	    11));
	CHECK(!memcmp(&out.h.src, (uint8_t[]){10, 0, 0, 1}, 4));
	CHECK(!memcmp(&out.h.dst, (uint8_t[]){10, 0, 0, 99}, 4));
}

KTEST(icmp_echo_reply_carries_the_recorded_route_back_rfc1122_3_2_2_6)
{
	uint8_t echo[8] = {8, 0, 0xf7, 0xff};

	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.proto = IP_PROTO_ICMP,
	    .options = "\x07\x0b\x04\0\0\0\0\0\0\0\0\0",
	    .options_len = 12,
	    .data = echo,
	    .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.options_len, 12);
	CHECK(!memcmp(out.options, "\x07\x0b\x08\x0a\0\0\x01", 7));
}

KTEST(icmp_echo_to_a_broadcast_is_not_answered)
{
	ip4_env_setup();
	icmp_in("10.0.0.99", "10.0.0.255", "\x08\0\0\0\0\0\0\0", 8);
	icmp_in("10.0.0.99", "224.0.0.1", "\x08\0\0\0\0\0\0\0", 8);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp_timestamp_is_answered_rfc792)
{
	ip4_env_setup();
	fake_wall_ns = 3 * (int64_t)SEC;
	icmp_in(
	    "10.0.0.99", "10.0.0.1", "\x0d\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0", 20);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.data[0], ICMP4_TIMESTAMP_REPLY);
	CHECK(
	    out.data[11] == 5 && out.data[14] == 3000 >> 8 && out.data[18] == 3000 >> 8);
}

KTEST(icmp_requests_that_are_deprecated_stay_unanswered_rfc6918)
{
	static const uint8_t types[] = {15, 17, 10, 30, 37, 200};

	ip4_env_setup();
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t msg[12] = {types[i]};

		icmp_in("10.0.0.99", "10.0.0.1", msg, sizeof(msg));
	}
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp_bad_checksum_is_dropped)
{
	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){
	    .proto = IP_PROTO_ICMP, .data = "\x08\0\0\0\0\0\0\0", .len = 8});
	CHECK_EQ(fake_drops[DROP_ICMP_BAD], 1);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp_port_and_protocol_unreachable_rfc1122_3_2_2_1)
{
	ip4_env_setup();
	ip4_notes.is_udp_refused = true;
	ip4_env_input(&(struct ip4_in){.data = "12345678data", .len = 12});
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_UNREACH && out.data[1] == ICMP4_PORT);
	CHECK_EQ(out.len, 8 + 20 + 12);
	CHECK(!memcmp(out.data + 28, "12345678data", 12));
	ip4_env_input(&(struct ip4_in){.proto = 200, .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_UNREACH && out.data[1] == ICMP4_PROTOCOL);
}

KTEST(icmp_error_is_cut_at_576_bytes_rfc1812_4_3_2_3)
{
	static const uint8_t big[1400];

	ip4_env_setup();
	ip4_env_input(&(struct ip4_in){.proto = 200, .data = big, .len = sizeof(big)});
	CHECK(ip4_env_output(&out));
	CHECK_EQ(be16_get(out.h.len), 576);
}

/* RFC 1122 3.2.2: about what no error may be sent. Each row is a packet for protocol 200 or so. */
KTEST(icmp_errors_are_never_sent_about_the_wrong_packets)
{
	static const struct ip4_in rows[] = {
	    {.proto = 200, .dst = "10.0.0.255", .data = "12345678", .len = 8},
	    {.proto = 200, .dst = "255.255.255.255", .data = "12345678", .len = 8},
	    {.proto = 200, .dst = "224.0.0.1", .data = "12345678", .len = 8},
	    {.proto = 200,
	        .src = "0.0.0.0",
	        .dst = "255.255.255.255",
	        .data = "12345678",
	        .len = 8},
	    {.proto = 200, .src = "10.0.0.255", .data = "12345678", .len = 8},
	    {.proto = 200, .src = "240.0.0.1", .data = "12345678", .len = 8},
	    {.proto = 200, .data = "12345678", .len = 8, .flags = PKT_MULTICAST},
	};
	static const uint8_t errors[] = {3, 4, 5, 11, 12};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ip4_env_setup();
		ip4_env_input(&rows[i]);
		CHECK_EQ(ip4_env_output(&out) ? (int)i : -1, -1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		uint8_t packet[28] = {
		    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 99, 10, 0, 0, 1};

		packet[20] = errors[i];
		CHECK(!icmp4_may_answer(packet, sizeof(packet), 0));
		packet[20] = ICMP4_ECHO;
		CHECK(icmp4_may_answer(packet, sizeof(packet), 0));
		packet[7] = 1; /* not the first fragment */
		CHECK(!icmp4_may_answer(packet, sizeof(packet), 0));
	}
}

KTEST(icmp_errors_to_one_host_are_limited_others_still_served)
{
	unsigned n = 0;

	ip4_env_setup();
	for (unsigned i = 0; i < 100; i++)
		ip4_env_input(
		    &(struct ip4_in){.proto = 200, .data = "12345678", .len = 8});
	while (ip4_env_output(&out))
		n++;
	CHECK_EQ(n, 6);
	ip4_env_input(&(struct ip4_in){
	    .proto = 200, .src = "8.8.8.8", .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	ip4_env_input(&(struct ip4_in){.proto = 200, .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
}

KTEST(icmp_errors_in_all_are_limited)
{
	unsigned n = 0;

	ip4_env_setup();
	for (unsigned i = 0; i < 500; i++) {
		char src[20];

		snprintf(src, sizeof(src), "8.8.%u.%u", i / 200, i % 200 + 1);
		ip4_env_input(&(struct ip4_in){
		    .proto = 200, .src = src, .data = "12345678", .len = 8});
	}
	while (ip4_env_output(&out))
		n++;
	CHECK(n >= 40 && n <= 50);
}

/* An ICMP error about a datagram from us to 8.8.8.8. */
static void
error_in(
    unsigned type, unsigned code, uint32_t rest, const char *from, unsigned inner_len)
{
	uint8_t m[36] = {(uint8_t)type, (uint8_t)code, 0, 0, (uint8_t)(rest >> 24),
	    (uint8_t)(rest >> 16), (uint8_t)(rest >> 8), (uint8_t)rest, 0x45, 0,
	    (uint8_t)(inner_len >> 8), (uint8_t)inner_len, 0, 1, 0x40, 0, 60, 17, 0, 0,
	    10, 0, 0, 1, 8, 8, 8, 8, 0x12, 0x34, 0, 53, 0, 16, 0, 0};

	icmp_in(from, "10.0.0.1", m, sizeof(m));
}

KTEST(icmp_errors_reach_the_transport_with_linux_errnos)
{
	static const struct {
		unsigned type, code;
		enum err err;
		bool is_hard;
	} rows[] = {
	    {3, 0, ERR_NETUNREACH, false},
	    {3, 1, ERR_HOSTUNREACH, false},
	    {3, 2, ERR_NOPROTOOPT, true},
	    {3, 3, ERR_CONNREFUSED, true},
	    {3, 5, ERR_OPNOTSUPP, false},
	    {3, 13, ERR_HOSTUNREACH, true},
	    {11, 0, ERR_HOSTUNREACH, false},
	    {12, 0, ERR_PROTO, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ip4_env_setup();
		error_in(rows[i].type, rows[i].code, 0, "10.0.0.254", 100);
		CHECK_EQ(ip4_notes.errors, 1);
		CHECK_EQ(ip4_notes.error.err, rows[i].err);
		CHECK_EQ(ip4_notes.error.is_hard, rows[i].is_hard);
		CHECK_EQ(ip4_notes.error_transport[0], 0x12);
	}
	ip4_env_setup();
	error_in(3, 16, 0, "10.0.0.254", 100);
	error_in(4, 0, 0, "10.0.0.254", 100); /* source quench: RFC 6633 */
	CHECK_EQ(ip4_notes.errors, 0);
}

static struct dst *
dst_to(const char *text)
{
	struct flow f = {.dst = ip4_addr(text), .src = ip4_any};
	struct dst *d;

	return route_output(&f, &d) == OK ? d : NULL;
}

KTEST(path_mtu_is_learnt_and_ages_rfc1191_6_3)
{
	struct dst *d;

	ip4_env_setup();
	d = dst_to("8.8.8.8");
	CHECK(d);
	CHECK_EQ(dst_mtu(d), 1500);
	error_in(3, 4, 1400, "10.0.0.254", 1500);
	CHECK_EQ(dst_mtu(d), 1400);
	CHECK_EQ(ip4_notes.error.info, 1400);
	error_in(3, 4, 1450, "10.0.0.254", 1500); /* only ever less */
	CHECK_EQ(dst_mtu(d), 1400);
	error_in(
	    3, 4, 0, "10.0.0.254", 1400); /* RFC 1191 7.1: an old router, next plateau */
	CHECK_EQ(dst_mtu(d), 1006);
	error_in(3, 4, 68, "10.0.0.254", 1006); /* a forgery's worst */
	CHECK_EQ(dst_mtu(d), 552);
	fake_now_ns += 601 * SEC;
	CHECK_EQ(dst_mtu(d), 1500);
	dst_put(d);
}

KTEST(path_mtu_about_a_destination_we_never_sent_to_is_ignored)
{
	struct dst *d;

	ip4_env_setup();
	route_generation++; /* nothing cached */
	fake_rcu_run();
	icmp_in("10.0.0.254", "10.0.0.1",
	    "\x03\x04\0\0\0\0\x02\x80\x45\0\x05\xdc\0\x01\x40\0\x3c\x11\0\0\x0a\0\0\x01"
	    "\x09\x09\x09\x09"
	    "\x12\x34\0\x35\0\x10\0\0",
	    36);
	d = dst_to("9.9.9.9");
	CHECK(d && dst_mtu(d) == 1500);
	dst_put(d);
}

KTEST(plateaus_rfc1191_7_1)
{
	CHECK_EQ(icmp4_plateau(65535), 32000);
	CHECK_EQ(icmp4_plateau(1500), 1492);
	CHECK_EQ(icmp4_plateau(1492), 1006);
	CHECK_EQ(icmp4_plateau(100), 68);
	CHECK_EQ(icmp4_plateau(20), 68);
}

KTEST(redirect_is_believed_only_from_the_router_in_use_rfc1122_3_2_2_2)
{
	struct dst *d;

	ip4_env_setup();
	error_in(5, 1, 0x0a000063, "10.0.0.98", 100); /* not our router */
	error_in(
	    5, 1, 0x0b000001, "10.0.0.254", 100); /* a router that is not on our net */
	error_in(5, 1, 0x0a000001, "10.0.0.254", 100); /* ourselves */
	d = dst_to("8.8.8.8");
	CHECK(d && be32_get(d->next_hop.v4) == 0x0a0000fe);
	error_in(5, 1, 0x0a000063, "10.0.0.254", 100);
	CHECK(!dst_is_valid(d));
	dst_put(d);
	d = dst_to("8.8.8.8");
	CHECK(d && be32_get(d->next_hop.v4) == 0x0a000063);
	dst_put(d);
	fake_now_ns += 601 * SEC;
	route_generation++;
	d = dst_to("8.8.8.8");
	CHECK(d && be32_get(d->next_hop.v4) == 0x0a0000fe);
	dst_put(d);
}

/* ---- Output -------------------------------------------------------------------------------- */

static enum err
send_udp(const char *to, size_t n, int df)
{
	struct flow f = {.dst = ip4_addr(to), .src = ip4_any};
	struct pkt *p = pkt_alloc(n);
	struct dst *d;
	enum err err;

	memset(pkt_put(p, n), 'x', n);
	if (route_output(&f, &d) != OK) {
		pkt_free(p);
		return ERR_NETUNREACH;
	}
	err = ip_send(p, d,
	    &(struct ip_tx){
	        .src = f.src, .dst = f.dst, .proto = 17, .ttl = -1, .df = (unsigned)df});
	dst_put(d);
	return err;
}

KTEST(output_sets_df_and_needs_no_id_rfc6864_4_1)
{
	ip4_env_setup();
	CHECK_EQ(send_udp("10.0.0.99", 100, IP_DF_AUTO), OK);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(be16_get(out.h.frag), IP4_DF);
	CHECK_EQ(be16_get(out.h.id), 0);
	CHECK_EQ(out.h.ttl, 64);
	CHECK(!memcmp(out.eth.dst, "\x02\0\0\0\0\x99", 6));
}

KTEST(output_fragments_what_is_too_long_rfc791_3_2)
{
	unsigned end = 0, id = 0;

	ip4_env_setup();
	CHECK_EQ(send_udp("10.0.0.99", 4000, IP_DF_AUTO), OK);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(ip4_env_output(&out));
		CHECK_EQ((be16_get(out.h.frag) & IP4_OFFSET) * 8u, end);
		CHECK_EQ(be16_get(out.h.frag) & IP4_DF, 0);
		CHECK_EQ(!(be16_get(out.h.frag) & IP4_MF), i == 2);
		CHECK(i == 0 || id == be16_get(out.h.id));
		CHECK(be16_get(out.h.len) <= 1500);
		id = be16_get(out.h.id);
		end += (unsigned)out.len;
	}
	CHECK_EQ(end, 4000);
	CHECK(!ip4_env_output(&out));
}

KTEST(output_ids_of_fragmented_datagrams_differ_rfc6864_4_3)
{
	uint16_t first;

	ip4_env_setup();
	CHECK_EQ(send_udp("10.0.0.99", 100, IP_DF_CLEAR), OK);
	CHECK(ip4_env_output(&out));
	first = be16_get(out.h.id);
	CHECK_EQ(send_udp("10.0.0.99", 100, IP_DF_CLEAR), OK);
	CHECK(ip4_env_output(&out));
	CHECK_EQ((uint16_t)(first + 1), be16_get(out.h.id));
}

KTEST(output_that_may_not_be_fragmented_is_refused)
{
	ip4_env_setup();
	CHECK_EQ(send_udp("10.0.0.99", 1481, IP_DF_SET), ERR_MSGSIZE);
	CHECK_EQ(send_udp("10.0.0.99", 1480, IP_DF_SET), OK);
	CHECK_EQ(send_udp("10.0.0.99", 65516, IP_DF_AUTO), ERR_MSGSIZE);
}

KTEST(output_goes_to_the_router_and_multicasts_to_their_mac)
{
	ip4_env_setup();
	CHECK_EQ(send_udp("8.8.4.4", 10, IP_DF_AUTO), OK);
	CHECK(ip4_env_output(&out));
	CHECK(!memcmp(out.eth.dst, "\x02\0\0\0\0\x99", 6));
	CHECK_EQ(send_udp("239.129.2.3", 10, IP_DF_AUTO), OK);
	CHECK(ip4_env_output(&out));
	CHECK(!memcmp(out.eth.dst, "\x01\0\x5e\x01\x02\x03", 6));
	CHECK_EQ(out.h.ttl, 1);
	CHECK_EQ(send_udp("10.0.0.255", 10, IP_DF_AUTO), OK);
	CHECK(ip4_env_output(&out));
	CHECK(!memcmp(out.eth.dst, ether_broadcast, 6));
}

/* ---- Reassembly ---------------------------------------------------------------------------- */

static uint8_t payload[65535];

static void
fragment_in(uint16_t id, unsigned off, unsigned len, bool more)
{
	ip4_env_input(&(struct ip4_in){.id = id,
	    .frag = (uint16_t)(off / 8 | (more ? IP4_MF : 0)),
	    .data = payload + off,
	    .len = len});
}

static void
fill_payload(void)
{
	for (unsigned i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
}

KTEST(reassembly_in_any_order_with_copies_rfc791_3_2)
{
	fill_payload();
	srand(3);
	for (unsigned round = 0; round < 300; round++) {
		unsigned cuts[24], n = 1 + (unsigned)rand() % 20, total = 0;
		bool is_in[24] = {false};
		unsigned left;

		ip4_env_setup();
		for (unsigned i = 0; i < n; i++) {
			cuts[i] = total;
			total += 8 * (1 + (unsigned)rand() % 40);
		}
		total -= (unsigned)rand() % 8;
		cuts[n] = total;
		for (left = n; left;) {
			unsigned i = (unsigned)rand() % n;

			CHECK_EQ(ip4_notes.udp_packets, 0);
			fragment_in(
			    (uint16_t)round, cuts[i], cuts[i + 1] - cuts[i], i + 1 < n);
			left -= !is_in[i];
			is_in[i] = true;
		}
		CHECK_EQ(ip4_notes.udp_packets, 1);
		CHECK_EQ(ip4_notes.udp_len, total);
		CHECK(!memcmp(ip4_notes.udp, payload, total));
		CHECK_EQ(fake_pkts_live, 0);
	}
}

KTEST(reassembly_of_the_longest_datagram)
{
	fill_payload();
	ip4_env_setup();
	for (unsigned off = 0; off < 65515; off += 1480)
		fragment_in(9, off, MIN(1480, 65515 - off), off + 1480 < 65515);
	CHECK_EQ(ip4_notes.udp_packets, 1);
	CHECK_EQ(ip4_notes.udp_len, 65515);
}

KTEST(reassembly_past_64_kib_is_refused)
{
	fill_payload();
	ip4_env_setup();
	fragment_in(9, 65512, 8, false);
	CHECK_EQ(fake_drops[DROP_FRAG_BAD], 1);
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(overlaps_drop_the_whole_datagram_and_what_comes_after)
{
	static const struct {
		unsigned off, len;
		bool more;
	} bad[] = {
	    {8, 16, true}, {0, 8, true}, {16, 16, true}, {0, 32, true}, {24, 8, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ip4_env_setup();
		fragment_in(5, 0, 24, true);
		fragment_in(5, 32, 8, false);
		fragment_in(5, bad[i].off, bad[i].len, bad[i].more);
		fragment_in(5, 24, 8, true);
		CHECK_EQ(ip4_notes.udp_packets, 0);
		CHECK_EQ(fake_pkts_live, 0);
		CHECK(fake_drops[DROP_FRAG_OVERLAP] >= 3);
	}
}

KTEST(fragments_that_are_malformed_are_dropped_alone)
{
	ip4_env_setup();
	fragment_in(6, 0, 12, true); /* not a multiple of 8 */
	fragment_in(6, 8, 0, false); /* empty */
	CHECK_EQ(fake_drops[DROP_FRAG_BAD], 2);
	fragment_in(6, 0, 16, true);
	fragment_in(6, 16, 3, false);
	CHECK_EQ(ip4_notes.udp_packets, 1);
}

KTEST(reassembly_times_out_with_icmp_if_the_first_came_rfc1122_3_3_2)
{
	ip4_env_setup();
	fragment_in(7, 0, 16, true);
	fragment_in(8, 16, 16, false);
	fake_net_timers_run(fake_now_ns + 29 * SEC);
	CHECK_EQ(fake_drops[DROP_FRAG_TIMEOUT], 0);
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	CHECK_EQ(fake_drops[DROP_FRAG_TIMEOUT], 2);
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_TIME_EXCEEDED && out.data[1] == 1);
	CHECK(!ip4_env_output(&out));
}

KTEST(fragment_flood_from_one_source_is_bounded_and_another_is_served)
{
	fill_payload();
	ip4_env_setup();
	for (unsigned i = 0; i < 20000; i++)
		fragment_in((uint16_t)i, 0, 1400, true);
	CHECK(fake_drops[DROP_FRAG_LIMIT] > 10000);
	ip4_env_input(&(struct ip4_in){
	    .src = "10.0.0.98", .id = 1, .frag = IP4_MF, .data = payload, .len = 800});
	ip4_env_input(&(struct ip4_in){
	    .src = "10.0.0.98", .id = 1, .frag = 100, .data = payload, .len = 9});
	CHECK_EQ(ip4_notes.udp_packets, 1);
	fake_net_timers_run(fake_now_ns + 31 * SEC);
	CHECK_EQ(ip4_notes.udp_packets, 1);
	fake_wire_clear();
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(fragment_flood_from_many_sources_stays_below_the_limit)
{
	ip4_env_setup();
	for (unsigned i = 0; i < 20000; i++) {
		char src[20];

		snprintf(src, sizeof(src), "8.%u.%u.7", i / 250, i % 250);
		ip4_env_input(&(struct ip4_in){.src = src,
		    .id = (uint16_t)i,
		    .frag = IP4_MF,
		    .data = payload,
		    .len = 1400});
	}
	CHECK(fake_pkts_live < 3000);
	fake_net_timers_run(fake_now_ns + 31 * SEC);
	fake_wire_clear();
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(fragment_flood_of_overlaps_leaves_room_for_another)
{
	ip4_env_setup();
	for (unsigned i = 0; i < 40000; i++) {
		char src[20];

		snprintf(src, sizeof(src), "8.%u.%u.7", i / 250, i % 250);
		for (unsigned off = 0; off < 2; off++)
			ip4_env_input(&(struct ip4_in){.src = src,
			    .frag = (uint16_t)(IP4_MF | off),
			    .data = payload,
			    .len = 16});
	}
	CHECK_EQ(fake_pkts_live, 0);
	ip4_env_input(&(struct ip4_in){
	    .src = "10.0.0.98", .id = 1, .frag = IP4_MF, .data = payload, .len = 800});
	ip4_env_input(&(struct ip4_in){
	    .src = "10.0.0.98", .id = 1, .frag = 100, .data = payload, .len = 9});
	CHECK_EQ(ip4_notes.udp_packets, 1);
	fake_net_timers_run(fake_now_ns + 31 * SEC);
	fake_wire_clear();
}

/* ---- Noise ----------------------------------------------------------------------------------- */

KTEST(random_packets_do_no_harm)
{
	uint8_t buf[200];

	srand(5);
	ip4_env_setup();
	for (unsigned i = 0; i < 100000; i++) {
		unsigned n = (unsigned)rand() % sizeof(buf);

		for (unsigned k = 0; k < n; k++)
			buf[k] = (uint8_t)rand();
		if (n >= 20) {
			struct ip4_header *h = (struct ip4_header *)buf;
			unsigned hdr_len = 20 + 4 * ((unsigned)rand() % 3);

			h->ver_ihl = (uint8_t)(0x40 | hdr_len / 4);
			h->len = be16_of((uint16_t)n);
			h->dst = ip4_of("10.0.0.1");
			h->proto = (uint8_t)(rand() % 3 ? 1 : rand() % 20);
			if (rand() % 2)
				h->frag = be16_of(0);
			if (hdr_len <= n)
				ip4_set_csum(h, hdr_len);
		}
		ip4_env_input_raw(buf, n);
		if (i % 100 == 0) {
			fake_net_timers_run(fake_now_ns + SEC);
			fake_wire_clear();
		}
	}
	fake_net_timers_run(fake_now_ns + 60 * SEC);
	fake_wire_clear();
	CHECK_EQ(fake_pkts_live, 0);
}
