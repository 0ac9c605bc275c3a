/*
 * The loader's randomness: a pool of 64 bytes that stirs in whatever the machine offers.
 * What is drawn for the loader's own choices (KASLR) tells nothing about what the kernel
 * gets.
 */
#pragma once

#include "lib/types.h"

struct entropy {
	uint32_t state[16];
	uint32_t bits; /* estimate of what is in it */
};

void entropy_add(struct entropy *, uint64_t word, unsigned bits);
uint64_t entropy_draw(struct entropy *);
void entropy_fill(struct entropy *, void *buf, size_t n);

/* Adds RDRAND where the CPU has it, and the jitter of the time stamp counter. */
void entropy_add_cpu(struct entropy *);
