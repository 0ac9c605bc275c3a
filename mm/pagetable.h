/*
 * x86-64 page tables: 4 levels, leaves of 4 KiB, 2 MiB and 1 GiB. Used for the kernel's
 * own tables and for those of address spaces. Callers serialise changes of one range; no
 * TLB work is done here: see mm/tlb.h.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"
#include "mm/kva.h"

typedef uint64_t pte_t;

enum pte_bits {
	PTE_PRESENT = 1 << 0,
	PTE_WRITE = 1 << 1,
	PTE_USER = 1 << 2,
	PTE_PWT = 1 << 3,
	PTE_PCD = 1 << 4,
	PTE_ACCESSED = 1 << 5,
	PTE_DIRTY = 1 << 6,
	PTE_HUGE = 1 << 7, /* in a PDE or PDPTE */
	PTE_PAT = 1 << 7,  /* in a PTE */
	PTE_GLOBAL = 1 << 8,
	PTE_COW = 1 << 9, /* software: private, copy before write */
	PTE_SPECIAL =
	    1 << 10, /* software: no struct page behind it (device, zero page) */
};
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

static inline paddr_t
pte_phys(pte_t pte)
{
	return pte & PTE_ADDR;
}

extern paddr_t kernel_page_table; /* PML4 whose upper half all address spaces share */

/*
 * Address of the last-level entry for `va`, or NULL. With `alloc`, missing tables are
 * made (NULL then means no memory); two CPUs may do that at once. A huge leaf on the way:
 * returns its entry and sets *level to 2 or 3, else 1.
 */
pte_t *pt_walk(paddr_t root, vaddr_t va, bool alloc, unsigned *level);

/* The entry for `va` of the level where leaves are 2 MiB; as pt_walk. */
pte_t *pt_walk_2m(paddr_t root, vaddr_t va, bool alloc);

/* An empty table, counted as such. 0: no memory. */
paddr_t pt_table_alloc(void);
void pt_table_free(paddr_t);

/*
 * Maps [va, va+size), where nothing is mapped, to pa with `bits` (PTE_*), using huge
 * leaves where alignment allows. ERR_NOMEM: nothing is mapped.
 */
enum err pt_map(paddr_t root, vaddr_t va, paddr_t pa, size_t size, uint64_t bits);
/* Clears the leaves in the range, which must not cut a huge one. Tables stay. */
void pt_unmap(paddr_t root, vaddr_t va, size_t size);
/* Gives the leaves in the range new rights and keeps their addresses; cuts huge ones as
 * needed. */
enum err pt_protect(paddr_t root, vaddr_t va, size_t size, uint64_t bits);

/* PTE bits that give a cache type (PAT is programmed WB, WC, UC-, UC by cpu_init). */
uint64_t pte_cache_bits(enum cache_type);

/* An address space's root: an empty lower half, the kernel's upper half. 0: no memory. */
paddr_t pt_create(void);
/* Frees the root and its lower half's tables; what the leaves map is the caller's. */
void pt_destroy(paddr_t root);

/*
 * Bring-up. Until frames can be allocated, tables come from `num` frames at `base`. Then
 * pt_init_kernel copies the loader's tables into kernel_page_table, with global leaves,
 * and loads it.
 */
void pt_early_pool(paddr_t base, uint64_t num);
void pt_init_kernel(paddr_t loader_root);
