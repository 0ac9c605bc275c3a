/*
 * The 32-bit doors: what their two formats are translated into before the common part
 * makes a boot_info of it. Runs at the link address with the temporary tables of
 * entry.asm: physical memory below 4 GiB is mapped one to one, nothing above it.
 */
#pragma once

#include "kernel/boot.h"
#include "lib/err.h"

enum { DOOR_MAX_RAW = 512, DOOR_MAX_MAP = 768, DOOR_REACH_BITS = 32 };

struct door {
	struct boot_info boot;
	struct boot_mem raw[DOOR_MAX_RAW]; /* the map as given: unsorted, overlapping */
	uint32_t nraw;
	struct boot_range info; /* the loader's structure if it must stay, else size 0 */
	const char *cmdline;    /* where the loader left it, or NULL */
};

/* Whether [base, base+size) can be read now. */
static inline bool
door_can_reach(uint64_t base, uint64_t size)
{
	return base && size <= 1ull << DOOR_REACH_BITS &&
	       base <= (1ull << DOOR_REACH_BITS) - size;
}

/* Adds a raw range; false when there is no room. */
bool door_add_memory(struct door *, uint64_t base, uint64_t size, uint32_t type);
bool door_add_initrd(struct door *, uint64_t base, uint64_t size);

/* The formats. NULL: done; else what is wrong. */
const char *pvh_read(struct door *, paddr_t info);
const char *multiboot2_read(struct door *, paddr_t info);

/* Called by entry.asm. */
NORETURN void door_main(uint32_t magic, paddr_t info);
