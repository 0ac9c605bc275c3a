/*
 * SipHash-2-4 and its faster variant 1-3 (Aumasson, Bernstein 2012): keyed
 * hashes of short inputs, for tables whose keys a peer may choose and for numbers a peer
 * must not guess (TCP ISNs and SYN cookies).
 */
#pragma once

#include "lib/types.h"

struct siphash_key {
	uint64_t k[2];
};

uint64_t siphash24(const struct siphash_key *, const void *data, size_t n);
uint64_t siphash13(const struct siphash_key *, const void *data, size_t n);
