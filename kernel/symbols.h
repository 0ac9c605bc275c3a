/*
 * Names of the kernel's functions, for panic reports, the monitor and lock checks. The
 * table is made after the link by scripts/gen-symbols and lies last in the image: a
 * count, the start of each function as an offset from kernel_start in ascending order,
 * where its name starts, the names.
 */
#pragma once

#include "lib/types.h"

struct symbol_table {
	uint32_t count;
	uint32_t text_size; /* offset of text_end: what lies beyond is no code */
	const uint32_t *offsets;
	const uint32_t *names; /* offsets into `text` */
	const char *text;
};

/* The function that holds `offset`, and how far into it; NULL: none. Pure. */
const char *symbol_find(const struct symbol_table *, uint64_t offset, uint64_t *into);

/* "page_alloc+0x1c", or the bare address. Any context. Returns the length. */
int symbol_format(uint64_t address, char *buf, size_t size);

/* Whether the address lies in a function of the kernel. */
bool symbol_is_code(uint64_t address);
