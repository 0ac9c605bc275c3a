/*
 * Builds the page tables a kernel is entered with (kernel/boot.h says what they hold): 4
 * levels, the largest pages that fit. Pure: the caller gives pages and says how to reach
 * them.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct memmap;
struct boot_info;

enum boot_pt_rights {
	BOOT_PT_READ = 0,
	BOOT_PT_WRITE = 1 << 0,
	BOOT_PT_EXEC = 1 << 1,
	BOOT_PT_WC = 1 << 2,    /* write-combining: PAT entry 1, see loader/arch.h */
	BOOT_PT_SMALL = 1 << 3, /* 4 KiB pages only */
};

struct boot_pt {
	paddr_t root; /* the PML4; 0 until the first call of boot_pt_map */
	bool has_1g;  /* the CPU has 1 GiB pages */
	bool has_nx;
	void *ctx;
	paddr_t (*alloc)(void *ctx);                   /* a zeroed page, or 0 */
	uint64_t *(*access)(void *ctx, paddr_t table); /* where the loader can reach it */
};

/*
 * Maps [va, va+size) to pa; all multiples of 4096, va canonical. A page already mapped to
 * the same place stays as it is (ranges may touch within a large page); mapped to another
 * place: ERR_EXIST. ERR_NOMEM: no page for a table.
 */
enum err boot_pt_map(
    struct boot_pt *pt, vaddr_t va, paddr_t pa, uint64_t size, unsigned rights);

/* A piece of the kernel image: offsets from kernel_virt, page-aligned. */
struct boot_segment {
	uint64_t offset, size;
	unsigned rights; /* BOOT_PT_WRITE, BOOT_PT_EXEC */
};

/*
 * All mappings of the contract: the image at boot->kernel_virt by `segments`, the direct
 * map of `map` and the framebuffer. Takes kernel_*, direct_map_base and fb from *boot,
 * sets direct_map_size and page_table_root.
 */
enum err boot_pt_build(struct boot_pt *pt, struct boot_info *boot,
    const struct memmap *map, const struct boot_segment *segments, unsigned nsegments);

/* Upper bound of the pages boot_pt_build takes for this map. */
uint64_t boot_pt_pages_needed(const struct memmap *map, bool has_1g);
