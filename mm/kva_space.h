/*
 * A range allocator for pages of virtual address space: allocation, free and look-up are
 * O(1). Pure: the caller locks, and brings the nodes, so nothing is allocated under the
 * lock.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

enum { KVA_BINS = 112, KVA_BUCKETS = 256 };

struct kva_range {
	struct list order; /* all ranges, by address */
	struct list link;  /* the free bin, or the bucket of used ones */
	vaddr_t start;
	uint64_t npages;
	bool is_free;
};

struct kva_space {
	struct list ranges;
	struct list bins[KVA_BINS];       /* free ranges by size */
	struct list buckets[KVA_BUCKETS]; /* used ranges by start */
	uint64_t mask[2];                 /* bit b: bins[b] is not empty */
	uint64_t free_pages;
};

/* All of [start, start + npages) is free; `node` describes it. */
void kva_space_init(
    struct kva_space *, struct kva_range *node, vaddr_t start, uint64_t npages);

/*
 * Takes `npages` at a multiple of `align` pages (a power of two; the space's start counts
 * as aligned). `spare[0..1]` are nodes for what splits off; those used are set to NULL.
 * NULL: no room.
 */
struct kva_range *kva_space_alloc(
    struct kva_space *, uint64_t npages, uint64_t align, struct kva_range *spare[2]);

/* The used range that starts at `start`, or NULL. */
struct kva_range *kva_space_find(struct kva_space *, vaddr_t start);

/* Gives it back and merges it with its neighbours; dead[0..1] get nodes for the caller to
 * free. */
void kva_space_free(struct kva_space *, struct kva_range *, struct kva_range *dead[2]);
