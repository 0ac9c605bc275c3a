/*
 * Page tables of user spaces. Faults fill entries at the same time on several CPUs,
 * without a lock: an entry changes only by compare-and-swap or exchange, and whoever took
 * it out owns its reference to the page. Tables are added by compare-and-swap and freed
 * only with the aspace lock held exclusively, after the area has left its file's list.
 *
 * An entry is 0 (nothing), present, or, where the area has no rights (PROT_NONE), the
 * same with PTE_PRESENT off: it still holds its page. That of an anonymous page has PTE_DIRTY,
 * unless the page may be freed (mm/lazyfree.h).
 */
#pragma once

#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "mm/tlb.h"

/* A stretch of entries in one last-level table, or of pages in one leaf of 2 MiB. */
struct upt_run {
	pte_t *pte;  /* that of `va`; NULL in a leaf */
	pte_t *leaf; /* NULL: ordinary entries */
	unsigned num;
	vaddr_t va;
};

/* The next stretch with a table in [from, end). False: none left. */
bool upt_next_run(struct aspace *, vaddr_t from, vaddr_t end, struct upt_run *);

/* What the entry for `va` holds, or would if the leaf around it were cut. 0: nothing. */
pte_t upt_entry(struct aspace *, vaddr_t va);
/* The entry for `va`, where there is no leaf of 2 MiB. NULL: no memory. */
pte_t *upt_make(struct aspace *, vaddr_t va);

/* Entry bits for an area's rights; without PTE_WRITE, which faults add. */
uint64_t upt_bits(uint32_t area_flags);

/* Changes *pte from `old` to `new_pte`; false: it was no longer `old`. */
static inline bool
upt_change(pte_t *pte, pte_t old, pte_t new_pte)
{
	return __atomic_compare_exchange_n(
	    pte, &old, new_pte, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline pte_t
upt_load(const pte_t *pte)
{
	return __atomic_load_n(pte, __ATOMIC_ACQUIRE);
}

/* A page of anonymous memory, zeroed or for the caller to fill; counted. NULL: no memory.
 */
struct page *anon_page_alloc(unsigned alloc_flags);
void anon_page_free(struct page *); /* one that was never mapped */
bool page_is_anon(const struct page *);
/* Nobody else maps the anonymous page or holds it. */
bool anon_page_is_sole(const struct page *);
/* Within mm: what an anonymous page has from its first mapping on, and loses with each. */
void anon_page_init(struct page *);
void anon_page_unmapped(struct page *);

/* What an entry that was taken out held: counts, and the page goes into the batch. */
void upt_drop(struct aspace *, pte_t old, struct tlb_batch *);

/* Empties [start, end). With the lock only shared, leaves of 2 MiB stay. */
void upt_zap(struct aspace *, vaddr_t start, vaddr_t end, struct tlb_batch *);
void upt_zap_shared(struct aspace *, vaddr_t start, vaddr_t end, struct tlb_batch *);
/* The same without a lock of the space, of a file's area that stays: private copies stay. */
void upt_zap_file(struct aspace *, vaddr_t start, vaddr_t end, struct tlb_batch *);

/*
 * Marks the anonymous pages of [start, end) as mm/lazyfree.h has it; how many were not. With the
 * lock only shared, leaves of 2 MiB stay as they are.
 */
uint64_t upt_mark_lazy(
    struct aspace *, vaddr_t start, vaddr_t end, bool is_exclusive, struct tlb_batch *);
/* Empties the entries of pages that are so marked and that nobody else has; how many. Lock
 * exclusively held. */
uint64_t upt_zap_lazy(struct aspace *, vaddr_t start, vaddr_t end, struct tlb_batch *);

/* Frees the tables below [start, end) that serve nothing else between `floor` and
 * `ceiling`. */
void upt_free_tables(struct aspace *, vaddr_t start, vaddr_t end, vaddr_t floor,
    vaddr_t ceiling, struct tlb_batch *);

/* Gives the entries of [start, end) the rights of `area_flags`; write access comes back
 * by faults. */
void upt_protect(
    struct aspace *, vaddr_t start, vaddr_t end, uint32_t area_flags, struct tlb_batch *);

/*
 * Fork: gives `child` the anonymous pages of [start, end), which become read-only in
 * both; file pages are left for it to fault in.
 */
enum err upt_copy(struct aspace *child, struct aspace *parent, vaddr_t start, vaddr_t end,
    struct tlb_batch *);

/* mremap: moves the entries of [from, from+len) to the empty range at `to`. */
enum err upt_move(
    struct aspace *, vaddr_t from, vaddr_t to, size_t len, struct tlb_batch *);

/* The frame of zeros, mapped read-only where anonymous memory is read before it is
 * written. */
extern paddr_t zero_page;

/* Counts pages that became present (or, negative, went away). */
void aspace_count_resident(struct aspace *, int64_t pages, int64_t anon_pages);
