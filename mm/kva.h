/*
 * Kernel virtual address space outside the direct map: memory that must be virtually
 * contiguous, guarded stacks and device registers. Thread context, interrupts on: freeing
 * may flush the TLBs of all CPUs.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum cache_type { CACHE_WB, CACHE_WC, CACHE_UC };

void kva_init(void); /* after slab_init; loads the kernel's own page table */

void *vmalloc(size_t n); /* zeroed, page-granular; NULL: no memory. May sleep. */
void vfree(void *p);

/*
 * A stack of whole pages, less than 32 KiB, with unmapped pages below it; returns its
 * lowest usable byte, contents undefined. NULL: no memory. O(1); KERNEL_STACK_SIZE is
 * cached per CPU.
 */
void *stack_alloc(size_t size);
void stack_free(void *base, size_t size);
/*
 * Keeps a stack of KERNEL_STACK_SIZE for the next stack_alloc of this CPU; false: no
 * room. Any context.
 */
bool stack_recycle(void *base);
/* Whether `addr` is in the guard page of a kernel stack (for the page-fault report). */
bool stack_guard_hit(vaddr_t addr);

/*
 * Maps device registers or firmware's reserved memory. Any alignment; NULL: no memory, or
 * it is RAM that the allocator owns.
 */
volatile void *ioremap(paddr_t base, size_t size, enum cache_type);
void iounmap(volatile void *p);
