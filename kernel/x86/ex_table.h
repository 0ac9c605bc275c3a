/*
 * Instructions that may fault in kernel mode, and where to go on when one does: pairs of
 * 32-bit distances from the start of the pair, in section .ex_table, so the table needs
 * no relocation. usercopy.asm has the NASM macro `on_fault` that writes one.
 */
#pragma once

#include "lib/types.h"

struct ex_entry {
	int32_t insn, fixup; /* both relative to the address of the entry */
};

extern const struct ex_entry ex_table_start[], ex_table_end[];

/* Reads a kernel address that may be bad: false if it faults. Any context. */
static inline bool
kernel_peek(const uint64_t *p, uint64_t *value)
{
	uint64_t v;

	__asm__ goto("1: movq (%1), %0\n\t"
	             ".pushsection .ex_table, \"a\", @progbits\n\t"
	             ".balign 4\n"
	             "2: .long 1b - 2b, %l2 - 2b\n\t"
	             ".popsection"
	             : "=r"(v)
	             : "r"(p)
	             :
	             : faulted);
	*value = v;
	return true;
faulted:
	return false;
}
