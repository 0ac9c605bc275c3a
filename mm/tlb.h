/*
 * TLBs: which address space a CPU has loaded, and invalidation on this CPU and, by IPI,
 * on the others that may have used a mapping. Ranges are gathered in a batch and flushed
 * once; pages freed with the mapping are put only after the flush.
 *
 * Flushing calls other CPUs and waits for them: interrupts on, no spinlock held. A
 * mapping that only gained rights needs no flush: a CPU that still sees the old one
 * faults and looks again.
 */
#pragma once

#include "kernel/sched/cpumask.h"
#include "lib/types.h"

struct aspace;
struct page;

/* Part of struct aspace. */
struct tlb_context {
	uint64_t id;  /* [I] never used twice */
	uint64_t gen; /* [a] one more for each flush */
};

void tlb_context_init(struct tlb_context *);

/*
 * Turns PCIDs on for this CPU, for good. It has PCID and global pages, the latter on, and
 * runs on the kernel's own table; no space was ever loaded on it.
 */
void tlb_enable_pcid(void);

/*
 * Loads the space's page table on this CPU; NULL: the kernel's own. Keeps aspace->cpus.
 * Interrupts off: the body of aspace_switch.
 */
void tlb_load(struct aspace *);

/*
 * Makes every CPU on which a kernel thread still borrows the space leave it. After it the
 * page table may be changed without flushes, and destroyed: the space has no more
 * threads.
 */
void tlb_unload(struct aspace *);

enum { TLB_BATCH_PAGES = 64 };

struct tlb_batch {
	struct aspace *aspace;
	vaddr_t start, end; /* hull of what changed; empty when start >= end */
	unsigned num_pages;
	struct page *pages[TLB_BATCH_PAGES]; /* to put after the flush */
};

void tlb_batch_begin(struct tlb_batch *, struct aspace *);
void tlb_batch_range(struct tlb_batch *, vaddr_t start, vaddr_t end);
void tlb_batch_page(struct tlb_batch *, struct page *); /* flushes when full */
void tlb_batch_end(struct tlb_batch *);                 /* flushes, puts the pages */

/* Kernel mappings [start, end) are gone or changed: all CPUs. */
void tlb_flush_kernel(vaddr_t start, vaddr_t end);
