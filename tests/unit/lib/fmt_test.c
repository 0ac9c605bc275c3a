/* lib/fmt.c against the C library's own printf. LINK: lib/fmt.c lib/string.c */
#pragma clang diagnostic ignored "-Wformat" /* odd formats are the point */

#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

int libc_snprintf(char *buf, size_t size, const char *fmt, ...) __asm__("snprintf");

#define SAME(...) \
	do { \
		char a_[128], b_[128]; \
		int na_ = snprintf(a_, sizeof(a_), __VA_ARGS__); \
		int nb_ = libc_snprintf(b_, sizeof(b_), __VA_ARGS__); \
		CHECK_EQ(na_, nb_); \
		CHECK(!strcmp(a_, b_)); \
	} while (0)

KTEST(fmt_numbers_are_as_in_c)
{
	SAME("%d %i %u", -5, 7, 4000000000u);
	SAME("%5d|%-5d|%05d|%+d|% d", 42, 42, -42, 42, 42);
	SAME("%x %X %#x %#o %o", 0xbeef, 0xbeef, 255, 8, 8);
	SAME("%ld %lu %llx %zu", INT64_MIN, UINT64_MAX, 0x123456789abcdefull, (size_t)7);
	SAME("%hhd %hd %hhu", 300, 70000, 511);
	SAME("%.3d|%8.3d|%-8.3d|%.0d", 5, 5, 5, 0);
	SAME("%*d|%-*d|%.*d", 6, 1, 6, 2, 3, 3);
}

KTEST(fmt_text_is_as_in_c)
{
	SAME("%s|%10s|%-10s|%.2s|%c|%%", "abc", "abc", "abc", "abc", 'x');
}

KTEST(fmt_cuts_and_counts)
{
	char buf[4];

	CHECK_EQ(snprintf(buf, sizeof(buf), "%s", "abcdef"), 6);
	CHECK(!strcmp(buf, "abc"));
	CHECK_EQ(scnprintf(buf, sizeof(buf), "%s", "abcdef"), 3);
	CHECK_EQ(snprintf(NULL, 0, "%d", 12345), 5);
}

KTEST(parse_size_knows_suffixes_and_overflow)
{
	const char *end;
	uint64_t v;

	CHECK(parse_size("64M rest", &end, &v) && v == MIB(64) && *end == ' ');
	CHECK(parse_size("0x10k", &end, &v) && v == KIB(16));
	CHECK(parse_u64("18446744073709551615", &end, 10, &v) && v == UINT64_MAX);
	CHECK(!parse_u64("18446744073709551616", &end, 10, &v));
	CHECK(!parse_size("99999999999999999T", &end, &v));
	CHECK(!parse_u64("x", &end, 0, &v));
}
