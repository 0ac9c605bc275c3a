/*
 * TLB invalidation on this CPU and, by IPI, on the others that may have used the mapping.
 * Ranges are gathered in a batch and flushed once; pages freed with the mapping are put only
 * after the flush.
 */
#pragma once

#include "kernel/sched/cpumask.h"
#include "lib/types.h"

struct aspace;
struct page;

enum { TLB_BATCH_PAGES = 64 };

struct tlb_batch {
	struct aspace *aspace; /* NULL: kernel mappings, all CPUs */
	vaddr_t start, end;    /* hull of what changed; empty when start >= end */
	unsigned num_pages;
	struct page *pages[TLB_BATCH_PAGES]; /* to put after the flush */
};

void tlb_batch_begin(struct tlb_batch *, struct aspace *);
void tlb_batch_range(struct tlb_batch *, vaddr_t start, vaddr_t end);
void tlb_batch_page(struct tlb_batch *, struct page *); /* flushes when full */
void tlb_batch_end(struct tlb_batch *);			/* flushes, puts the pages */

/* Kernel mappings [start, end) are gone or changed: all CPUs. */
void tlb_flush_kernel(vaddr_t start, vaddr_t end);
