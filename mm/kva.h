/*
 * Kernel virtual address space outside the direct map: memory that must be virtually contiguous,
 * guarded stacks and device registers.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum cache_type { CACHE_WB, CACHE_WC, CACHE_UC };

void kva_init(void);

void *vmalloc(size_t n); /* zeroed, page-granular; NULL: no memory. May sleep. */
void vfree(void *p);

/* A stack with an unmapped page below it; returns its lowest usable byte. */
void *stack_alloc(size_t size);
void stack_free(void *base, size_t size);
/* Whether `addr` is in the guard page of some kernel stack (for the page-fault report). */
bool stack_guard_hit(vaddr_t addr);

/* Maps device registers. Any alignment; NULL: no memory or it is RAM. */
volatile void *ioremap(paddr_t base, size_t size, enum cache_type);
void iounmap(volatile void *p);
