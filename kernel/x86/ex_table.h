/*
 * Instructions that may fault in kernel mode, and where to go on when one does: pairs of 32-bit
 * distances from the start of the pair, in section .ex_table, so the table needs no relocation.
 * usercopy.asm has the NASM macro `on_fault` that writes one.
 */
#pragma once

#include "lib/types.h"

struct trap_frame;

struct ex_entry {
	int32_t insn, fixup; /* both relative to the address of the entry */
};

extern const struct ex_entry ex_table_start[], ex_table_end[];

/* If the frame's rip has an entry: sets rip to the fix-up and returns true. Any context. */
bool ex_table_fixup(struct trap_frame *);
