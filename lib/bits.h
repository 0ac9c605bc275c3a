/* Bit counts and powers of two. */
#pragma once

#include "lib/types.h"

/* Index of the highest set bit; x must not be 0. */
static inline unsigned
bit_last(uint64_t x)
{
	return 63 - (unsigned)__builtin_clzll(x);
}

/* Index of the lowest set bit; x must not be 0. */
static inline unsigned
bit_first(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}

static inline bool
is_power_of_2(uint64_t x)
{
	return x && !(x & (x - 1));
}

/* The smallest power of two >= x, for 1 <= x <= 2^63. */
static inline uint64_t
round_up_pow2(uint64_t x)
{
	return x <= 1 ? 1 : 1ull << (bit_last(x - 1) + 1);
}

/* The smallest n with 2^n >= x, x >= 1. */
static inline unsigned
log2_ceil(uint64_t x)
{
	return x <= 1 ? 0 : bit_last(x - 1) + 1;
}
