/*
 * Areas and their tree: shared by the files of mm that change address spaces. Everything
 * here wants the aspace lock held exclusively, except the search calls.
 */
#pragma once

#include "mm/aspace.h"

enum {
	STACK_GUARD_GAP = 1 << 20, /* kept free below a stack area */
};

/* [a] /proc/sys/vm: nothing is mapped below it without CAP_SYS_RAWIO; areas of one space. */
extern uint64_t mmap_min_addr, max_map_count;

void area_init(void); /* the slab cache */

/* A zeroed area, not in the tree; and its end: close, file reference, memory. May sleep.
 */
struct area *area_alloc(struct aspace *, vaddr_t start, vaddr_t end, uint32_t flags);
void area_free(struct area *);

/* Ends every area on the list (by cache_link). The aspace lock is not held: files may be
 * released. */
void areas_free(struct list *dead);

/* For rb_root.update: max_gap anew. */
void area_update_gap(struct rb_node *);

/* Into the tree and the list of those who map its file; out of both. Counts pages. */
void area_insert(struct area *);
void area_remove(struct area *);
/* area_insert of a new area, unless a neighbour that it continues takes it in: then it
 * goes to `dead`. */
void area_enter(struct area *, struct list *dead);
/* The second half of area_remove alone, for a tree that goes as a whole. */
void area_leave_file(struct area *);

/*
 * While the file of the area (if it has one) is locked, only faults put pages into its entries
 * and nobody takes any out: a truncation needs no lock of the space.
 */
void area_lock_file(const struct area *);
void area_unlock_file(const struct area *);

struct area *area_prev(const struct area *);

/* Other rights; what the counters of the space say follows. */
void area_set_flags(struct area *, uint32_t flags);

/* Cuts in two at `at` (inside): *area keeps the lower part; the upper is returned. NULL:
 * no memory. */
struct area *area_split(struct area *, vaddr_t at);

/* Moves one end of an area outwards or inwards, in the tree; the neighbours must leave
 * room. */
void area_set_start(struct area *, vaddr_t start);
void area_set_end(struct area *, vaddr_t end);

/* Joins `area` with neighbours that continue it. Returns the area that is left. Absorbed
 * ones go to `dead`. */
struct area *area_merge(struct area *, struct list *dead);

/* Whether the space may have `more` areas more than it has. */
bool area_count_allows(const struct aspace *, unsigned more);

/*
 * Whether areas with `flags` may grow by `pages` in all: RLIMIT_AS, RLIMIT_DATA, and if they
 * are accounted overcommit. Lock held.
 */
bool area_may_grow(const struct aspace *, uint64_t pages, uint32_t flags);

/* Whether [start, end) touches no area. */
bool range_is_free(struct aspace *, vaddr_t start, vaddr_t end);

/* Where `len` free bytes are: from `top` down, else from `top` up. 0: nowhere. */
vaddr_t range_find(struct aspace *, size_t len, vaddr_t bottom, vaddr_t top);

/* Takes [start, end) out of the space: areas (to `dead`), pages, tables. ERR_NOMEM:
 * nothing done. */
enum err range_unmap(struct aspace *, vaddr_t start, vaddr_t end, struct list *dead);

/*
 * Calls fn for the part of each area in [start, end). Goes on over gaps and then gives
 * ERR_NOMEM, as madvise and its kin do; stops at an error. The lock is the caller's.
 * mm/advise.c
 */
enum err range_for_each_part(struct aspace *, vaddr_t start, vaddr_t end,
    enum err (*fn)(struct area *, vaddr_t from, vaddr_t to, void *arg), void *arg);

/*
 * Sets and clears flags of all areas in [start, end), cut where it begins and ends; takes the
 * lock. ERR_NOMEM: there were gaps, or no memory. mm/advise.c
 */
enum err range_change_flags(
    struct aspace *, vaddr_t start, vaddr_t end, uint32_t set, uint32_t clear);

/* madvise in any space, its arguments checked. mm/advise.c */
enum err range_advise(struct aspace *, vaddr_t addr, size_t len, int advice);

/* Whether the current process may have `pages` more locked: RLIMIT_MEMLOCK, CAP_IPC_LOCK. Lock
 * held. */
bool area_may_lock(const struct aspace *, uint64_t pages);
/* Whether it may lock anything at all. */
bool may_lock_any(void);

/* Page-aligned, not empty, in user space. */
bool range_ok(vaddr_t start, size_t len);

/* A resource limit of the current process, RLIMIT_*; no limit for kernel threads. */
uint64_t current_limit(unsigned which);

extern const struct area_ops anon_area_ops; /* mm/anon.c */

/*
 * A write to the present, read-only page *pte (which held `old`) of a private area: gives
 * the area a page of its own, or the right to write when nobody else has the page.
 * mm/anon.c
 */
enum err cow_break(struct area *, vaddr_t va, pte_t *pte, pte_t old);

/*
 * A file without a name, of zeros, for shared anonymous memory, which is promised unless
 * is_noreserve. NULL: no memory. mm/shmem.c
 */
struct file *shmem_file_create(uint64_t size, bool is_noreserve);
