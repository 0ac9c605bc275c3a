/* kernel/time/clock_math.h and the date part of rtc.c. LINK: kernel/time/rtc.c
 * tests/fakes/clock.c kernel/platform.c lib/string.c */
#include "kernel/time/clock_math.h"

#include "kernel/time/rtc.h"
#include "tests/unit/ktest.h"

#define YEAR_NS (365 * 86400 * NSEC_PER_SEC)

/* Nanoseconds of `cycles` by division, in 128 bits. */
static nsec_t
exact_ns(uint64_t cycles, uint64_t hz)
{
	return (nsec_t)((unsigned __int128)cycles * NSEC_PER_SEC / hz);
}

KTEST(clock_is_exact_to_a_microsecond_a_day_at_any_frequency)
{
	static const uint64_t rates[] = {32768, 1193182, 3579545, 14318180, 100000000,
	    999999937, 1000000000, 2591523000, 3999999999, 5200000000};

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		struct clock_scale s = clock_scale_make(rates[i]);
		uint64_t day = rates[i] * 86400;
		int64_t error =
		    (int64_t)(cycles_to_ns(&s, day) - exact_ns(day, rates[i]));

		CHECK(error < 20000 && error > -20000);
		CHECK(cycles_to_ns(&s, 0) == 0);
	}
}

KTEST(clock_does_not_overflow_in_a_hundred_years)
{
	static const uint64_t rates[] = {1000000000, 2591523000, 5200000000};

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		struct clock_scale s = clock_scale_make(rates[i]);
		uint64_t cycles = rates[i] * 86400 * 365 * 100;
		nsec_t ns = cycles_to_ns(&s, cycles);

		CHECK(
		    ns > 100 * YEAR_NS / 1000 * 999 && ns < 100 * YEAR_NS / 1000 * 1001);
		CHECK(cycles_to_ns(&s, cycles + rates[i]) > ns);
	}
}

KTEST(clock_never_goes_back_from_cycle_to_cycle)
{
	struct clock_scale s = clock_scale_make(2591523001);
	nsec_t last = 0;

	for (uint64_t c = 1ull << 52; c < (1ull << 52) + 100000; c++) {
		nsec_t ns = cycles_to_ns(&s, c);

		CHECK(ns >= last);
		last = ns;
	}
}

KTEST(ns_to_cycles_undoes_cycles_to_ns)
{
	struct clock_scale s = clock_scale_make(3187000123);

	for (nsec_t ns = 1; ns < 100000000000000; ns = ns * 7 + 3) {
		nsec_t back = cycles_to_ns(&s, ns_to_cycles(&s, ns));

		CHECK(
		    back <= ns + 1 + ns / 1000000000 && back + 2 + ns / 1000000000 >= ns);
	}
}

KTEST(mul_div_agrees_with_128_bit_division)
{
	uint64_t r = 88172645463325252;

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t a, b, c;

		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		a = r >> (i % 40);
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		b = r >> 20;
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		c = (r | 1) >> (i % 7);
		if (c && (unsigned __int128)a * b / c <= UINT64_MAX)
			CHECK_EQ(
			    mul_div(a, b, c), (uint64_t)((unsigned __int128)a * b / c));
	}
	CHECK_EQ(mul_div(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

static int64_t
decode(struct rtc_fields f)
{
	int64_t s;

	return rtc_decode(&f, &s) ? s : -1;
}

enum { BINARY_24H = 4 | 2, BCD_24H = 2, BCD_12H = 0 };

KTEST(rtc_reads_dates_in_every_format)
{
	CHECK_EQ(decode((struct rtc_fields){0, 0, 0, 1, 1, 70, 19, BINARY_24H, true}), 0);
	CHECK_EQ(
	    decode((struct rtc_fields){56, 34, 12, 22, 11, 26, 20, BINARY_24H, true}),
	    1795350896);
	CHECK_EQ(decode((struct rtc_fields){
	             0x56, 0x34, 0x12, 0x22, 0x11, 0x26, 0x20, BCD_24H, true}),
	    1795350896);
	/* 12:34 pm is 12:34, 12:34 am is 0:34 */
	CHECK_EQ(decode((struct rtc_fields){
	             0x56, 0x34, 0x92, 0x22, 0x11, 0x26, 0, BCD_12H, false}),
	    1795350896);
	CHECK_EQ(decode((struct rtc_fields){
	             0x56, 0x34, 0x12, 0x22, 0x11, 0x26, 0, BCD_12H, false}),
	    1795350896 - 12 * 3600);
	/* A leap day, the day after it, and a century without one. */
	CHECK_EQ(decode((struct rtc_fields){0, 0, 0, 29, 2, 0, 20, BINARY_24H, true}),
	    951782400);
	CHECK_EQ(decode((struct rtc_fields){0, 0, 0, 1, 3, 0, 20, BINARY_24H, true}),
	    951868800);
	CHECK_EQ(decode((struct rtc_fields){0, 0, 0, 1, 3, 0, 21, BINARY_24H, true}),
	    4107542400);
}

KTEST(rtc_century_that_cannot_be_is_ignored)
{
	CHECK_EQ(decode((struct rtc_fields){56, 34, 12, 22, 11, 26, 0, BINARY_24H, true}),
	    1795350896);
	CHECK_EQ(
	    decode((struct rtc_fields){0, 0, 0, 1, 1, 0x70, 0xff, BCD_24H, true}), 0);
}

KTEST(rtc_garbage_is_no_date)
{
	CHECK_EQ(
	    decode((struct rtc_fields){255, 255, 255, 255, 255, 255, 255, 255, true}),
	    -1);
	CHECK_EQ(
	    decode((struct rtc_fields){0x5a, 0, 0, 1, 1, 0, 0x20, BCD_24H, true}), -1);
	CHECK_EQ(
	    decode((struct rtc_fields){0, 0, 24, 1, 1, 0, 20, BINARY_24H, true}), -1);
	CHECK_EQ(
	    decode((struct rtc_fields){0, 0, 0, 1, 13, 0, 20, BINARY_24H, true}), -1);
	CHECK_EQ(
	    decode((struct rtc_fields){0, 0, 0x13, 1, 1, 0, 0x20, BCD_12H, true}), -1);
	CHECK_EQ(decode((struct rtc_fields){0}), -1);
}
