/*
 * The memory map while a loader puts it together: a sorted array of ranges that do not
 * overlap. Pure: no firmware, no hardware.
 */
#pragma once

#include "kernel/boot.h"
#include "lib/err.h"

struct memmap {
	struct boot_mem *entries; /* the caller's array */
	uint32_t len, cap;
	uint32_t dropped; /* ranges lost because the array was full */
};

enum { BOOT_EFI_TYPE_NONE = 0xffffffff };

/* The entries of an E820-like map (ACPI 6.4, 15.1), as Multiboot2 and PVH use it. */
uint32_t memmap_type_of_e820(uint32_t e820_type);

/*
 * Makes a whole range `type`, whatever was there: it cuts or replaces what it overlaps,
 * and joins equal neighbours. Base and size need no alignment: usable memory shrinks to
 * whole pages, everything else grows. A range that wraps round 2^64 is cut there.
 * ERR_NOSPC: the array is full (nothing is changed, `dropped` counts).
 */
enum err memmap_set(struct memmap *m, const struct boot_mem *range);

/*
 * Fills an empty `m` from `n` raw ranges in any order. Where they overlap the more
 * careful type wins: unusable, MMIO, reserved, runtime, NVS, ACPI, usable. ERR_NOSPC when
 * some did not fit.
 */
enum err memmap_build(struct memmap *m, const struct boot_mem *raw, uint32_t n);

/* Whether all of [base, base+size) is of `type`. */
bool memmap_is(const struct memmap *m, paddr_t base, uint64_t size, uint32_t type);

/*
 * Finds `size` bytes (a multiple of 4096) of usable memory in [min, max), as high as
 * possible, aligned to `align` (a power of two >= 4096). 0: there is none.
 */
paddr_t memmap_find(
    const struct memmap *m, uint64_t size, uint64_t align, paddr_t min, paddr_t max);

/* End of the highest RAM. */
paddr_t memmap_ram_end(const struct memmap *m);

/* Whether the kernel may reach a range of this type through its direct map. */
bool memmap_is_ram(uint32_t type);
