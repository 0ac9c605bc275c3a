/*
 * GDT, TSS and IDT (SDM vol. 3, chapters 3, 6 and 8). The selectors are Linux's, because
 * user programs see them. Each CPU has its own GDT and TSS in its per-CPU area; all share
 * one IDT.
 */
#pragma once

#include "kernel/x86/percpu.h"

enum {
	KERNEL_CS = 0x10,
	KERNEL_DS = 0x18,
	USER32_CS =
	    0x23, /* where Linux has 32-bit code; here nothing, see descriptors.c */
	USER_DS = 0x2b,
	USER_CS = 0x33,
	TSS_SELECTOR = 0x40,
};

/* Stacks of their own, so that these vectors survive a bad or foreign stack pointer. */
enum ist { IST_DF = 1, IST_NMI, IST_MC, IST_DB, IST_STACKS = IST_DB };

enum { IST_STACK_SIZE = 8192 };

void idt_build(void); /* once */

/*
 * Fills the CPU's GDT and TSS; `stacks` are the lowest bytes of IST_STACKS stacks, of
 * which the highest words get `c` (entry.asm looks for it there).
 */
void descriptors_init(struct cpu *c, uint8_t *const stacks[IST_STACKS]);
void descriptors_load(struct cpu *c); /* on `c` itself; GS base is c afterwards */
uint8_t *descriptors_ist_stack(const struct cpu *c, enum ist ist); /* its lowest byte */

/* The stack on which user mode enters: TSS.RSP0 and SYSCALL. On this CPU, interrupts off.
 */
void descriptors_set_kernel_stack(uint64_t top);
