/*
 * net/dhcp6_msg.c: messages of RFC 8415 to and from bytes.
 * LINK: net/dhcp6_msg.c net/ip_addr.c lib/string.c lib/fmt.c
 */
#include "net/dhcp6_msg.h"

#include <stdlib.h>

#include "lib/string.h"
#include "tests/unit/ktest.h"

enum { IAID = 0x01020304 };

static struct dhcp6_msg m;

static bool
decode(const void *bytes, size_t n)
{
	static uint8_t *copy;

	free(copy); /* the message points into it */
	copy = malloc(n ? n : 1);
	memcpy(copy, bytes, n);
	return dhcp6_decode(copy, n, IAID, &m);
}

#define DECODE(text) decode(text, sizeof(text) - 1)

// clang-format off
#define REPLY "\7\x12\x34\x56"
#define DUIDS "\0\1\0\4\0\3\0\1" "\0\2\0\4\0\3\0\2"
#define ADDR  "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
// clang-format on

KTEST(dhcp6_reply_with_an_address_rfc8415_21_4)
{
	CHECK(DECODE(REPLY DUIDS "\0\3\0\x28\1\2\3\4\0\0\0\x64\0\0\0\xc8"
	                         "\0\5\0\x18" ADDR "\0\0\1\0\0\0\2\0"));
	CHECK_EQ(m.type, DHCP6_REPLY);
	CHECK_EQ(m.xid, 0x123456);
	CHECK_EQ(m.client.len, 4);
	CHECK_EQ(m.server.bytes[3], 2);
	CHECK(m.has_ia);
	CHECK_EQ(m.t1_s, 100);
	CHECK_EQ(m.t2_s, 200);
	CHECK_EQ(m.num_addrs, 1);
	CHECK_EQ(m.addrs[0].addr.b[15], 7);
	CHECK_EQ(m.addrs[0].preferred_s, 256);
	CHECK_EQ(m.addrs[0].valid_s, 512);
}

KTEST(dhcp6_other_associations_are_skipped_rfc8415_18_2_10_1)
{
	CHECK(DECODE(REPLY "\0\3\0\x0c\5\5\5\5\0\0\0\x64\0\0\0\xc8"));
	CHECK(!m.has_ia);
}

KTEST(dhcp6_t1_after_t2_is_ignored_rfc8415_21_4)
{
	CHECK(DECODE(REPLY "\0\3\0\x0c\1\2\3\4\0\0\0\xc8\0\0\0\x64"));
	CHECK_EQ(m.t1_s, 0);
	CHECK_EQ(m.t2_s, 0);
}

KTEST(dhcp6_preferred_beyond_valid_is_ignored_rfc8415_21_6)
{
	CHECK(DECODE(REPLY "\0\3\0\x28\1\2\3\4\0\0\0\0\0\0\0\0\0\5\0\x18" ADDR
	                   "\0\0\2\0\0\0\1\0"));
	CHECK_EQ(m.num_addrs, 0);
}

KTEST(dhcp6_status_codes_rfc8415_21_13)
{
	CHECK(DECODE(REPLY "\0\x0d\0\2\0\2"
	                   "\0\3\0\x12\1\2\3\4\0\0\0\0\0\0\0\0\0\x0d\0\2\0\3"));
	CHECK_EQ(m.status, DHCP6_NO_ADDRS);
	CHECK_EQ(m.ia_status, DHCP6_NO_BINDING);
}

KTEST(dhcp6_settings_rfc3646)
{
	CHECK(
	    DECODE(REPLY "\0\x17\0\x20" ADDR ADDR "\0\x18\0\x0d\7example\3org\0"
	                 "\0\x20\0\4\0\0\2\x58\0\x52\0\4\0\0\0\x3c\0\x53\0\4\0\0\0\x3b"));
	CHECK_EQ(m.num_dns, 2);
	CHECK_EQ(m.search_len, 13);
	CHECK_EQ(m.refresh_s, 600);
	CHECK_EQ(m.sol_max_rt_s, 60);
	CHECK_EQ(m.inf_max_rt_s, 0); /* 59: out of range */
}

KTEST(dhcp6_malformed_messages_are_refused)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
	    {"\7\0\0", 3},
	    {REPLY "\0\1\0", 7},
	    {REPLY "\0\1\0\5abc", 11},
	    {REPLY "\0\1\0\2ab", 10},             /* a DUID too short */
	    {REPLY "\0\2\0\3abc\0\2\0\3abc", 18}, /* twice */
	    {REPLY "\0\3\0\4\1\2\3\4", 12},       /* IA_NA too short */
	    {REPLY "\0\3\0\x10\1\2\3\4\0\0\0\0\0\0\0\0\0\5\0\x18",
	        24}, /* cut off inside */
	    {REPLY "\0\7\0\2\0\0", 10},
	    {REPLY "\0\x0d\0\1\0", 9},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_EQ(decode(rows[i].bytes, rows[i].n) + 10 * i, 10 * i);
}

KTEST(dhcp6_request_we_send_rfc8415_18_2_2)
{
	static uint8_t data[DHCP6_MAX_MSG];
	struct dhcp6_msg q = {.type = DHCP6_REQUEST,
	    .xid = 0xabcdef,
	    .client = {4, {0, 3, 0, 1}},
	    .server = {4, {0, 3, 0, 2}},
	    .has_ia = true,
	    .iaid = IAID,
	    .num_addrs = 1,
	    .elapsed_cs = 0x102};
	size_t n;

	q.addrs[0].addr.b[15] = 9;
	n = dhcp6_encode(&q, data, sizeof(data));
	CHECK(n > 0);
	CHECK(decode(data, n));
	CHECK_EQ(m.type, DHCP6_REQUEST);
	CHECK_EQ(m.xid, 0xabcdef);
	CHECK_EQ(m.num_addrs, 1);
	CHECK_EQ(m.addrs[0].addr.b[15], 9);
	CHECK(!m.has_rapid_commit);
}

KTEST(dhcp6_longest_message_fits)
{
	static uint8_t data[DHCP6_MAX_MSG];
	static struct dhcp6_msg q = {.type = DHCP6_SOLICIT,
	    .has_rapid_commit = true,
	    .has_ia = true,
	    .num_addrs = DHCP6_MAX_ADDRS,
	    .client = {130, {0}},
	    .server = {130, {0}}};

	CHECK(dhcp6_encode(&q, data, sizeof(data)) <= sizeof(data));
	CHECK_EQ(dhcp6_encode(&q, data, sizeof(data) - 1), 0);
}

KTEST(dhcp6_retransmission_times_rfc8415_15)
{
	CHECK_EQ(dhcp6_next_rt_ms(0, 1000, 30000, 500), 1000);
	CHECK_EQ(dhcp6_next_rt_ms(0, 1000, 30000, 0), 900);
	CHECK_EQ(dhcp6_next_rt_ms(0, 1000, 30000, 1000), 1100);
	CHECK_EQ(dhcp6_next_rt_ms(1000, 1000, 30000, 500), 2000);
	CHECK_EQ(dhcp6_next_rt_ms(1000, 1000, 30000, 1000), 2100);
	CHECK_EQ(dhcp6_next_rt_ms(29000, 1000, 30000, 500), 30000);
	CHECK_EQ(dhcp6_next_rt_ms(29000, 1000, 30000, 1000), 33000);
	CHECK_EQ(dhcp6_next_rt_ms(29000, 1000, 0, 500), 58000);
}

KTEST(dns_names_to_text_rfc1035_3_1)
{
	char text[16];

	CHECK_EQ(
	    dns_name_decode((const uint8_t *)"\3a-b\2cd\0", 8, text, sizeof(text)), 8);
	CHECK_EQ(strcmp(text, "a-b.cd"), 0);
	CHECK_EQ(dns_name_decode((const uint8_t *)"\3abc", 4, text, sizeof(text)), 0);
	CHECK_EQ(dns_name_decode((const uint8_t *)"\4abc\0", 5, text, sizeof(text)), 0);
	CHECK_EQ(dns_name_decode((const uint8_t *)"\1\n\0", 3, text, sizeof(text)), 0);
	CHECK_EQ(dns_name_decode((const uint8_t *)"\xc0\1\0", 3, text, sizeof(text)), 0);
	CHECK_EQ(dns_name_decode((const uint8_t *)"\0", 1, text, sizeof(text)), 0);
	CHECK_EQ(dns_name_decode(
	             (const uint8_t *)"\17abcdefghijklmno\0", 17, text, sizeof(text)),
	    0);
}
