/*
 * net/ip4_options.c: RFC 791 3.1, RFC 1122 3.2.1.8, RFC 2113. LINK: net/ip4_options.c
 * lib/string.c
 */
#include "lib/string.h"
#include "net/ip4.h"
#include "tests/unit/ktest.h"

struct check_case {
	const char *name;
	uint8_t opts[40];
	unsigned n;
	int bad;
	unsigned found;
};

static const struct check_case cases[] = {
    {"none", {0}, 0, -1, 0},
    {"end ends, what follows is not read", {0, 7, 1}, 3, -1, 0},
    {"no-operations", {1, 1, 1, 0}, 4, -1, 0},
    {"length 0", {7, 0, 4, 0}, 4, 1, 0},
    {"length 1", {7, 1, 4, 0}, 4, 1, 0},
    {"length past the end", {7, 8, 4, 0}, 4, 1, 0},
    {"kind without length", {1, 1, 1, 7}, 4, 3, 0},
    {"record route", {7, 7, 4, 0, 0, 0, 0, 0}, 8, -1, IP4_OPT_RECORD_ROUTE},
    {"record route, pointer below 4", {7, 7, 3, 0, 0, 0, 0, 0}, 8, 2, 0},
    {"record route twice", {7, 3, 4, 7, 3, 4, 0, 0}, 8, 5, IP4_OPT_RECORD_ROUTE},
    {"loose source route", {131, 7, 4, 1, 2, 3, 4, 0}, 8, -1, IP4_OPT_SOURCE_ROUTE},
    {"strict source route", {137, 7, 4, 1, 2, 3, 4, 0}, 8, -1, IP4_OPT_SOURCE_ROUTE},
    {"timestamp", {68, 8, 5, 0, 0, 0, 0, 0}, 8, -1, IP4_OPT_TIMESTAMP},
    {"timestamp, pointer below 5", {68, 8, 4, 0, 0, 0, 0, 0}, 8, 2, 0},
    {"timestamp, flag 2", {68, 8, 5, 2, 0, 0, 0, 0}, 8, 3, 0},
    {"timestamp with addresses, half an entry", {68, 8, 5, 1, 0, 0, 0, 0}, 8, 1, 0},
    {"router alert", {148, 4, 0, 0}, 4, -1, IP4_OPT_ROUTER_ALERT},
    {"router alert, wrong length", {148, 3, 0, 0}, 4, 1, 0},
    {"unknown ones pass", {200, 4, 9, 9}, 4, -1, 0},
};

KTEST(ip4_options_are_checked_by_rfc791_3_1)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned found;

		CHECK_EQ(
		    ip4_options_check(cases[i].opts, cases[i].n, &found), cases[i].bad);
		if (cases[i].bad < 0)
			CHECK_EQ(found, cases[i].found);
	}
}

static const be32 us = {{10, 0, 0, 9}};

KTEST(record_route_gets_our_address_while_there_is_room)
{
	uint8_t o[12] = {7, 11, 4};

	CHECK(ip4_options_record(o, sizeof(o), us, 0));
	CHECK_EQ(o[2], 8);
	CHECK(!memcmp(o + 3, &us, 4));
	CHECK(ip4_options_record(o, sizeof(o), us, 0));
	CHECK_EQ(o[2], 12);
	CHECK(!ip4_options_record(o, sizeof(o), us, 0));
}

KTEST(timestamp_alone_is_recorded_and_overflow_counted)
{
	uint8_t o[8] = {68, 8, 5, 0};

	CHECK(ip4_options_record(o, sizeof(o), us, 0x01020304));
	CHECK_EQ(o[2], 9);
	CHECK(o[4] == 1 && o[7] == 4);
	for (unsigned i = 1; i <= 15; i++) {
		CHECK(ip4_options_record(o, sizeof(o), us, 0));
		CHECK_EQ(o[3], i << 4);
	}
	CHECK(!ip4_options_record(o, sizeof(o), us, 0));
}

KTEST(timestamp_with_prespecified_address_is_ours_only_in_our_turn)
{
	uint8_t o[20] = {68, 20, 5, 3, 10, 0, 0, 8, 0, 0, 0, 0, 10, 0, 0, 9};

	CHECK(!ip4_options_record(o, sizeof(o), us, 7));
	o[2] = 13;
	CHECK(ip4_options_record(o, sizeof(o), us, 7));
	CHECK_EQ(o[19], 7);
	CHECK_EQ(o[2], 21);
}

KTEST(later_fragments_keep_only_copied_options)
{
	const uint8_t o[] = {1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 130, 3, 5, 0};
	uint8_t out[40];

	CHECK_EQ(ip4_options_for_fragments(o, sizeof(o), out), 8);
	CHECK(!memcmp(out, "\x94\x04\0\0\x82\x03\x05\0", 8));
}

KTEST(random_options_never_lead_outside)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200000; i++) {
		uint8_t o[40], out[40];
		unsigned n, found;

		for (unsigned k = 0; k < 40; k++) {
			static const uint8_t likely_[] = {
			    0, 1, 7, 68, 131, 148, 3, 4, 5, 8, 11, 40};

			seed = seed * 1664525 + 1013904223;
			o[k] = seed >> 31 ? likely_[(seed >> 16) % 12]
			                  : (uint8_t)(seed >> 20);
		}
		n = (seed >> 10) % 11 * 4;
		if (ip4_options_check(o, n, &found) >= 0)
			continue;
		(void)ip4_options_record(o, n, us, seed);
		CHECK(ip4_options_for_fragments(o, n, out) <= n);
		CHECK_EQ(ip4_options_check(o, n, &found), -1);
	}
}
