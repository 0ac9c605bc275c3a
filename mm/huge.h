/*
 * Pages of 2 MiB in anonymous memory, given unasked where a whole aligned one fits into an
 * area and memory is plentiful: one fault instead of 512, one TLB entry instead of many.
 *
 * Only the page table knows them: one leaf in the second level maps 512 ordinary frames
 * that lie side by side, each with its own count of references and mappings. So all that
 * deals with single pages works on them as on any other, and a leaf is cut into 512 entries
 * without looking at a frame. The table for that is allocated with the leaf and kept
 * with the table that holds it, so cutting cannot fail.
 *
 * A fault puts a leaf where nothing is, or makes one writable, under the shared lock of
 * the space. All else that happens to leaves needs it exclusively.
 */
#pragma once

#include "mm/userpt.h"

enum { HUGE_ORDER = 9, HUGE_PAGES = 1 << HUGE_ORDER };
#define HUGE_SIZE ((uint64_t)PAGE_SIZE << HUGE_ORDER)

/* Whether the huge page around `va` lies in the area, which may have some. */
static inline bool
huge_fits(const struct area *a, vaddr_t va)
{
	vaddr_t start = ALIGN_DOWN(va, HUGE_SIZE);

	return !(a->flags & (AREA_NO_HUGE | AREA_STACK)) && start >= a->start &&
	       start + HUGE_SIZE <= a->end;
}

void huge_init(void);

/* For a write to `va`, where not even a table is: false if there is no huge page to be had.
 */
bool huge_fault(struct area *, vaddr_t va);

/* A fault in the leaf *pde, which held `old`. ERR_AGAIN: cut it, and try again. */
enum err huge_present(struct area *, vaddr_t va, pte_t *pde, pte_t old, unsigned access);

/* The lock is held exclusively: cuts the leaf at `va`, if there is one. */
void huge_split(struct aspace *, vaddr_t va);
/* The same, and takes the lock. */
void huge_split_unlocked(struct aspace *, vaddr_t va);

/* For upt_zap and upt_copy: the whole leaf of a run goes, or is shared with a child. */
void huge_zap(struct aspace *, const struct upt_run *, struct tlb_batch *);
/* For upt_zap_lazy: whether it went. */
bool huge_zap_lazy(struct aspace *, const struct upt_run *, struct tlb_batch *);
/*
 * For upt_move: whether the whole leaf of a run can move to `to` as it is, with the tables made
 * for that; and the move.
 */
bool huge_may_move(struct aspace *, vaddr_t to);
void huge_move(struct aspace *, const struct upt_run *, vaddr_t to, struct tlb_batch *);
enum err huge_copy(struct aspace *child, const struct upt_run *, struct tlb_batch *);

/* /sys/kernel/mm/transparent_hugepage/enabled */
enum huge_mode { HUGE_ALWAYS, HUGE_MADVISE, HUGE_NEVER, HUGE_MODES };
extern uint32_t huge_mode; /* [a] */

/* Of /proc/vmstat. */
struct huge_counts {
	uint64_t allocated, fallen_back, split; /* [a] */
};
extern struct huge_counts huge_counts;
