/*
 * Memory that a program needs no more, but may keep until it is wanted elsewhere (MADV_FREE).
 * The mark is an entry of an anonymous page without PTE_DIRTY: every other has it, and the
 * processor sets it with the next write, which so takes the mark away. Spaces that have such
 * entries are on a list, by which reclaim finds them.
 */
#pragma once

#include "lib/types.h"

struct aspace;

/* The space has marked pages now. Its lock is held. */
void lazyfree_note(struct aspace *, uint64_t pages);
/* The space goes: nobody works with it when this returns. May sleep. */
void lazyfree_forget(struct aspace *);

/* Frees some `want` marked pages if there are so many. How many. Locks spaces; may sleep. */
uint64_t lazyfree_pages(uint64_t want);

/* Of /proc/vmstat: pages ever marked, and freed while they were. */
struct lazyfree_counts {
	uint64_t marked, freed; /* [a] */
};
extern struct lazyfree_counts lazyfree_counts;
