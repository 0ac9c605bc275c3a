/*
 * Conversion between cycles of a counter and nanoseconds by one multiplication: ns =
 * cycles * mult >> CLOCK_SHIFT with a 128-bit product, so nothing overflows before 584
 * years.
 */
#pragma once

#include "lib/types.h"

enum { CLOCK_SHIFT = 34 }; /* 10^9 << 34 still fits 64 bits */

struct clock_scale {
	uint64_t ns_mult;    /* cycles to ns */
	uint64_t cycle_mult; /* ns to cycles, >> 32 */
};

/* hz > 0. Relative rounding error below 2^-32 for counters up to 4 GHz. */
static inline struct clock_scale
clock_scale_make(uint64_t hz)
{
	uint64_t whole = hz / NSEC_PER_SEC, rest = hz % NSEC_PER_SEC;

	return (struct clock_scale){
	    .ns_mult = ((NSEC_PER_SEC << CLOCK_SHIFT) + hz / 2) / hz,
	    .cycle_mult =
	        (whole << 32) + ((rest << 32) + NSEC_PER_SEC / 2) / NSEC_PER_SEC,
	};
}

static inline nsec_t
cycles_to_ns(const struct clock_scale *s, uint64_t cycles)
{
	return (nsec_t)((unsigned __int128)cycles * s->ns_mult >> CLOCK_SHIFT);
}

static inline uint64_t
ns_to_cycles(const struct clock_scale *s, nsec_t ns)
{
	return (uint64_t)((unsigned __int128)ns * s->cycle_mult >> 32);
}

/*
 * a * b / c without overflow of the product, for a result that fits 64 bits; c > 0. Long
 * division, 128 by 64 bits: freestanding code has no __udivti3, and this is not a hot
 * path.
 */
static inline uint64_t
mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product, quotient = 0;
	unsigned __int128 rest = high % c;

	for (int i = 63; i >= 0; i--) {
		rest = rest << 1 | (low >> i & 1);
		quotient <<= 1;
		if (rest >= c) {
			rest -= c;
			quotient |= 1;
		}
	}
	return quotient;
}
