/*
 * net/dhcp4_msg.c: RFC 2131 2, RFC 2132, RFC 3396, RFC 3397, RFC 3442. LINK: net/dhcp4_msg.c
 * lib/string.c
 */
#include "net/dhcp4_msg.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
static uint8_t msg[1500];
static size_t len;

static void
begin(unsigned type)
{
	memset(msg, 0, sizeof(msg));
	msg[0] = 2;
	msg[1] = 1;
	msg[2] = 6;
	memcpy(msg + 4, "\x12\x34\x56\x78", 4);
	memcpy(msg + 16, "\x0a\0\0\x32", 4);
	memcpy(msg + 28, mac, 6);
	memcpy(msg + 236, "\x63\x82\x53\x63", 4);
	len = 240;
	memcpy(msg + len,
	    (uint8_t[]){53, 1, (uint8_t)type, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16},
	    15);
	len += 15;
}

static void
add(unsigned code, const void *data, unsigned n)
{
	msg[len++] = (uint8_t)code;
	msg[len++] = (uint8_t)n;
	memcpy(msg + len, data, n);
	len += n;
}

static bool
parse(struct dhcp4_reply *r)
{
	msg[len] = 255;
	return dhcp4_parse(msg, len + 1, mac, r);
}

KTEST(offer_is_read_rfc2131_2)
{
	struct dhcp4_reply r;

	begin(DHCP4_OFFER);
	add(1, "\xff\xff\xff\0", 4);
	add(3, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	add(6, "\x0a\0\0\x03", 4);
	add(26, "\x05\x78", 2);
	add(15, "example.org", 11);
	CHECK(parse(&r));
	CHECK_EQ(r.type, DHCP4_OFFER);
	CHECK_EQ(r.xid, 0x12345678);
	CHECK_EQ(be32_get(r.addr), 0x0a000032);
	CHECK_EQ(be32_get(r.server), 0x0a000001);
	CHECK_EQ(r.lease_s, 3600);
	CHECK_EQ(r.plen, 24);
	CHECK_EQ(r.num_routers, 2);
	CHECK_EQ(r.num_dns, 1);
	CHECK_EQ(r.mtu, 1400);
	CHECK(!strcmp(r.domain, "example.org"));
}

struct refusal {
	const char *why;
	unsigned off;
	uint8_t value;
};

KTEST(what_is_no_reply_to_us_is_refused)
{
	static const struct refusal cases[] = {{"a request", 0, 1},
	    {"not Ethernet", 1, 6}, {"length of address", 2, 8},
	    {"another station", 33, 8}, {"magic", 236, 0}, {"no host's address", 16, 224},
	    {"address 0", 16, 0}, {"loopback", 16, 127},
	    {"a type that servers do not send", 242, DHCP4_DISCOVER}, {"type 0", 242, 0},
	    {"length of type", 241, 2}, {"no lease time", 249, 60}};
	struct dhcp4_reply r;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(DHCP4_ACK);
		msg[cases[i].off] = cases[i].value;
		CHECK(!parse(&r));
	}
	begin(DHCP4_ACK);
	for (size_t n = 0; n < 255; n++)
		CHECK(!dhcp4_parse(msg, n, mac, &r));
}

KTEST(nak_needs_no_address_or_lease)
{
	struct dhcp4_reply r;

	begin(DHCP4_NAK);
	memset(msg + 16, 0, 4);
	memset(msg + 249, 0, 6);
	CHECK(parse(&r));
	CHECK_EQ(r.type, DHCP4_NAK);
}

KTEST(mask_that_is_none_gives_the_class)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(1, "\xff\x00\xff\0", 4);
	CHECK(parse(&r));
	CHECK_EQ(r.plen, 8);
}

KTEST(options_lie_in_file_and_sname_too_rfc2131_4_1)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(52, "\x03", 1);
	memcpy(msg + 108, "\x06\x04\x0a\0\0\x03\xff", 7);
	memcpy(msg + 44, "\x06\x04\x0a\0\0\x04\xff", 7);
	CHECK(parse(&r));
	CHECK_EQ(r.num_dns, 2);
	CHECK_EQ(be32_get(r.dns[0]), 0x0a000003);
	CHECK_EQ(be32_get(r.dns[1]), 0x0a000004);
}

KTEST(option_in_pieces_is_joined_rfc3396)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(6, "\x0a\0", 2);
	add(6, "\0\x07", 2);
	CHECK(parse(&r));
	CHECK_EQ(r.num_dns, 1);
	CHECK_EQ(be32_get(r.dns[0]), 0x0a000007);
}

KTEST(classless_routes_rfc3442)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(121, "\x18\x0a\x11\x0c\x0a\0\0\x01\0\x0a\0\0\x02\x19\xc0\xa8\x05\xff\0\0\0\0",
	    22);
	CHECK(parse(&r));
	CHECK_EQ(r.num_routes, 3);
	CHECK_EQ(be32_get(r.routes[0].dst), 0x0a110c00);
	CHECK_EQ(r.routes[1].plen, 0);
	CHECK_EQ(be32_get(r.routes[1].gateway), 0x0a000002);
	CHECK_EQ(be32_get(r.routes[2].dst), 0xc0a80580); /* host bits cut */
}

KTEST(one_bad_classless_route_spoils_the_option)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(121, "\x18\x0a\x11\x0c\x0a\0\0\x01\x21\x01\x02\x03\x04\x05\x06\x07\x08", 17);
	CHECK(parse(&r));
	CHECK_EQ(r.num_routes, 0);
}

KTEST(search_list_with_pointers_rfc3397_2)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(119,
	    "\x03"
	    "eng\x05"
	    "apple\x03"
	    "com\0\x09"
	    "marketing\xc0\x04",
	    27);
	CHECK(parse(&r));
	CHECK(!strcmp(r.search, "eng.apple.com marketing.apple.com"));
}

KTEST(search_list_that_points_forward_or_at_itself_ends)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(119, "\xc0\0", 2);
	CHECK(parse(&r));
	CHECK(!r.search[0]);
	begin(DHCP4_ACK);
	add(119,
	    "\x01"
	    "a\xc0\x05\x01"
	    "b\0",
	    7);
	CHECK(parse(&r));
	CHECK(!r.search[0]);
}

KTEST(name_that_could_break_out_of_resolv_conf_is_left_out)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(15, "a\nnameserver 6.6.6.6", 20);
	CHECK(parse(&r));
	CHECK(!r.domain[0]);
}

KTEST(mtu_below_576_is_left_out)
{
	struct dhcp4_reply r;

	begin(DHCP4_ACK);
	add(26, "\0\x44", 2);
	CHECK(parse(&r));
	CHECK_EQ(r.mtu, 0);
}

KTEST(discover_is_built_rfc2131_table_5)
{
	struct dhcp4_request q = {.type = DHCP4_DISCOVER,
	    .xid = 7,
	    .secs = 3,
	    .wants_broadcast = true,
	    .max_size = 1472,
	    .host = "keel"};
	uint8_t out[DHCP4_MAX_MESSAGE];
	size_t n;

	memcpy(q.mac, mac, 6);
	n = dhcp4_build(&q, out);
	CHECK(n >= 300);
	CHECK(out[0] == 1 && out[1] == 1 && out[2] == 6 && out[7] == 7 && out[9] == 3);
	CHECK_EQ(out[10], 0x80);
	CHECK(!memcmp(out + 28, mac, 6));
	CHECK(!memcmp(out + 240, "\x35\x01\x01\x3d\x07\x01", 6));
}

KTEST(release_carries_server_and_no_requests_rfc2131_table_5)
{
	struct dhcp4_request q = {
	    .type = DHCP4_RELEASE, .client = {{10, 0, 0, 50}}, .server = {{10, 0, 0, 1}}};
	uint8_t out[DHCP4_MAX_MESSAGE];
	size_t n = dhcp4_build(&q, out);
	bool has_server = false;

	CHECK(!memcmp(out + 12, "\x0a\0\0\x32", 4));
	for (size_t i = 240; i < n && out[i] != 255; i += 2u + out[i + 1]) {
		CHECK(out[i] != 55 && out[i] != 57 && out[i] != 50);
		has_server |= out[i] == 54;
	}
	CHECK(has_server);
}

KTEST(random_messages_are_read_without_harm)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 100000; i++) {
		struct dhcp4_reply r;
		size_t n;

		begin(DHCP4_ACK);
		for (size_t k = len; k < 400; k++) {
			static const uint8_t likely_[] = {
			    0, 255, 1, 3, 6, 15, 52, 119, 121, 4, 2, 0xc0};

			seed = seed * 1664525 + 1013904223;
			msg[k] = seed >> 31 ? likely_[(seed >> 16) % 12]
			                    : (uint8_t)(seed >> 20);
		}
		n = 240 + (seed >> 8) % 160;
		(void)dhcp4_parse(msg, n, mac, &r);
	}
}
