/*
 * Random numbers for everyone: ChaCha20 generators, one a CPU, each keyed from a pool
 * that the loader's entropy, RDRAND and interrupt timing feed. After each request the key
 * is replaced, so that what was given out cannot be computed from a later state (fast key
 * erasure). Any context.
 */
#pragma once

#include "lib/types.h"

struct boot_info;

/* Seeds the pool; before the first use. Says in the log how good the seed is. */
void random_init(const struct boot_info *boot);

void random_bytes(void *buf, size_t n);
uint64_t random_u64(void);

/* A number in [0, limit), each equally likely; limit > 0. */
uint64_t random_below(uint64_t limit);

/* Stirs bytes into the pool without counting them as entropy: writes to /dev/urandom. */
void random_mix(const void *data, size_t n);

/* Called for each device interrupt with what is hard to guess about it. */
void random_add_event(uint64_t value);
