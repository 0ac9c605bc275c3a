/*
 * The Internet checksum (RFC 1071): a one's complement sum of 16-bit words. A partial sum
 * is a uint32_t in which carries are still to be folded; sums of pieces that begin at even
 * offsets simply add (carries included: csum_add takes the sum so far). Sums are of
 * words as the CPU loads them; checksums that go into a header, and words given to
 * csum_update16, are numbers in host order, to be stored by be16_of.
 */
#pragma once

#include "lib/be.h"
#include "lib/types.h"

/* Adds `n` bytes to `sum`. An odd last byte counts as the high half of a word. */
uint32_t csum_add(uint32_t sum, const void *data, size_t n);

/* Adds a piece whose own sum was begun at an odd offset: its bytes change places. */
uint32_t csum_add_odd(uint32_t sum, uint32_t piece);

/* Folded and complemented, as it goes into a header; 0 over data that holds a right sum. */
uint16_t csum_finish(uint32_t sum);

/* Copies and adds in one go. */
uint32_t csum_copy(uint32_t sum, void *dst, const void *src, size_t n);

/* A header word changed from `was` to `now`: the new checksum (RFC 1624, equation 3). */
uint16_t csum_update16(uint16_t csum, uint16_t was, uint16_t now);
