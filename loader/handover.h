/* What every door decides alike before it hands over: the random places. */
#pragma once

#include "lib/types.h"

struct entropy;

/* Whether `word` stands in the command line before "--". */
bool handover_cmdline_has(const char *cmdline, const char *word);

/*
 * Virtual address of physical 0: a multiple of 1 GiB such that physical memory up to
 * `top` fits into the first 64 TiB of the kernel's half; the lowest one with `nokaslr`.
 */
uint64_t handover_pick_direct_map(struct entropy *, paddr_t top, const char *cmdline);

/* A random multiple of 2 MiB in [min, max - size]; `min` when there is none. */
uint64_t handover_pick_slot(struct entropy *, uint64_t min, uint64_t max, uint64_t size);
