/*
 * The instructions that touch user memory (usercopy.asm). Each opens the SMAP window, and
 * survives a fault that page_fault() cannot resolve through the exception table. Ranges
 * are checked by the caller: mm/usercopy.c, and fpu.c for the last two.
 *
 * A fault leaves AC set in the trap's frame: the exception entry must clear AC for itself
 * (clac), IRET brings it back.
 */
#pragma once

#include "lib/types.h"

extern uint8_t
    usercopy_smap; /* set to 1 once CR4.SMAP is on; before that no stac is executed */

/* Return how many of the n bytes were not done: 0 means all. */
size_t usercopy_copy(void *dst, const void *src, size_t n);
size_t usercopy_zero(void *dst, size_t n);

/* Copies up to `size` bytes until a NUL: its index, or `size` if none came, or -1 on a
 * fault. */
long usercopy_string(char *dst, const char *src, size_t size);

/* 0, or -1 on a fault. *old (kernel memory) gets what was there. */
int usercopy_cmpxchg32(uint32_t *p, uint32_t expected, uint32_t desired, uint32_t *old);
int usercopy_load32(const uint32_t *p, uint32_t *value);

/*
 * XSAVE to and XRSTOR from a user's XSAVE area: 0, or -1 on a fault, which misalignment and
 * an area that XRSTOR refuses are too; then the registers are as they were, or, of parts,
 * as the area says. Saving marks x87 and SSE as there whatever they hold: who changes the
 * area expects them to count.
 */
int usercopy_xsave(void *area, uint64_t mask);
int usercopy_xrstor(const void *area, uint64_t mask);
