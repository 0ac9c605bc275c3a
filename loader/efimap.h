/*
 * The EFI memory map (UEFI 2.10, 7.2.3) as raw ranges. Pure; used by the EFI loader and
 * by the Multiboot2 door, which may get it from GRUB.
 */
#pragma once

#include "kernel/boot.h"

struct efimap {
	const void *descriptors;
	uint64_t size; /* bytes */
	uint32_t
	    desc_size; /* bytes from one to the next, at least those of efimap_desc */
};

struct efimap_desc {
	uint32_t type, pad;
	uint64_t phys, virt, pages, attr;
};

static_assert(sizeof(struct efimap_desc) == 40, "EFI_MEMORY_DESCRIPTOR");

/* Number of descriptors; 0 for a map whose sizes make no sense. */
uint32_t efimap_count(const struct efimap *);

/*
 * Translates all descriptors, in order, to at most `cap` ranges for memmap_build; returns
 * how many. What the loaders and boot services used is usable; the caller marks what it
 * keeps.
 */
uint32_t efimap_translate(const struct efimap *, struct boot_mem *raw, uint32_t cap);

/* Copies the runtime descriptors to `out`, which may be the map itself; how many. */
uint32_t efimap_keep_runtime(const struct efimap *, void *out);
