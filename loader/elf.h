/*
 * Reads kernel.elf: a relocatable ELF64 as kernel/kernel.ld makes it. Pure, and the file
 * is believed nothing: every offset and size is checked before it is used. Messages are
 * for the screen.
 */
#pragma once

#include "lib/types.h"
#include "loader/pagetable.h"

enum { ELF_MAX_SEGMENTS = 8 };

struct elf_segment {
	uint64_t file_offset, file_size;
	struct boot_segment place; /* offset in the image, size with .bss, rights */
};

struct elf_image {
	uint64_t link_base; /* virtual address of the image's first byte */
	uint64_t size;      /* bytes of memory, a multiple of 4096 */
	uint64_t entry;     /* offset in the image */
	unsigned nsegments;
	struct elf_segment segments[ELF_MAX_SEGMENTS];
	uint64_t dynamic, dynamic_size; /* offset in the image, bytes */
};

/* Checks the file and describes it. NULL: good; else what is wrong. */
const char *elf_check(const void *file, uint64_t size, struct elf_image *out);

/* Copies the checked file to `image` (out->size bytes) and zeroes the rest. */
void elf_load(const void *file, const struct elf_image *e, void *image);

/*
 * Makes the loaded image run at `virt`. NULL: done; else what is wrong: an entry outside
 * the image, of a kind that needs symbols, or one that points out of the image.
 */
const char *elf_relocate(void *image, const struct elf_image *e, uint64_t virt);
