/*
 * The pages of one file, by page number: the one place where file contents are held in
 * memory, shared by read, write and mmap. A radix tree of frames under a spinlock;
 * look-ups are O(log n). tmpfs keeps its data here and nowhere else (no `fill`: a missing
 * page is zeros).
 *
 * A page is filled before it enters the tree, so what is found is always up to date. The
 * tree holds one reference, each user mapping one, each caller of find and get one.
 */
#pragma once

#include "kernel/sync/mutex.h"
#include "lib/err.h"
#include "lib/list.h"
#include "mm/page.h"

struct page_cache {
	struct spinlock lock;
	void *root;                       /* [lock] radix tree, mm/pagecache.c */
	uint64_t num_pages;               /* [lock] */
	const struct page_cache_ops *ops; /* [I] or NULL: all pages start as zeros */
	void *owner;                      /* [I] the inode */
	bool is_shmem;     /* [I] counted as Shmem: pages cannot be dropped */
	uint32_t seals;    /* [a] F_SEAL_*: initially F_SEAL_SEAL; added by fs/memfd.c */
	uint32_t evictors; /* [a] work with one of its pages: mm/evict.c */
	/*
	 * [a] Bytes of the file, kept by the file system; set before page_cache_truncate.
	 * A user access to a mapped page wholly beyond it gets SIGBUS. UINT64_MAX, the
	 * initial value: no end.
	 */
	uint64_t file_size;
	struct mutex map_lock; /* ranks above aspace.lock */
	struct list areas;     /* [map_lock] struct area.cache_link: who maps the file */
};

struct page_cache_ops {
	/* Reads page `index` from the backing store into `page`. NULL: new pages are
	 * zeros. */
	enum err (*fill)(struct page_cache *, struct page *, uint64_t index);
	/* A page that was filled is not taken: another was faster, or there is no memory. Or
	 * NULL. */
	void (*unfill)(struct page_cache *);
};

/* Whether its pages can be read again, and so taken back when memory is low (mm/evict.h). */
static inline bool
page_cache_is_evictable(const struct page_cache *c)
{
	return c->ops && c->ops->fill && !c->is_shmem;
}

/* The page's contents have been used by a call. */
static inline void
page_mark_used(struct page *pg)
{
	if (!(__atomic_load_n(&pg->flags, __ATOMIC_RELAXED) & PAGE_ACCESSED))
		__atomic_fetch_or(&pg->flags, PAGE_ACCESSED, __ATOMIC_RELAXED);
}

void page_cache_init(struct page_cache *, const struct page_cache_ops *, void *owner);
void page_cache_destroy(
    struct page_cache *); /* drops all pages; nobody maps the file any more */

/* The page with a reference taken; NULL if it is not there. */
struct page *page_cache_find(struct page_cache *, uint64_t index);
/* The n pages from `first` on that are there, each with a reference; pages[i] NULL where
 * not. */
void page_cache_find_range(
    struct page_cache *, uint64_t first, unsigned n, struct page *pages[]);
/* The same as find, made and filled if need be. May sleep. ERR_NOMEM, or what fill says.
 */
enum err page_cache_get(struct page_cache *, uint64_t index, struct page **out);
/*
 * Drops every page from `first` on and unmaps them from user spaces; zeroes the tail of
 * the page before when partial_bytes > 0 (bytes kept in page first - 1). Returns how many it
 * dropped. May sleep.
 */
uint64_t page_cache_truncate(struct page_cache *, uint64_t first, size_t partial_bytes);
/*
 * Makes the bytes [from, end) a hole: whole pages go, also from user spaces, where private
 * copies stay; parts of pages are zeroed. Returns how many it dropped. May sleep.
 */
uint64_t page_cache_punch(struct page_cache *, uint64_t from, uint64_t end);
/*
 * Drops a page on which the caller has the only reference but the tree's, unless it is dirty or
 * is the file's no longer. Whether it did.
 */
bool page_cache_drop_clean(struct page_cache *, struct page *);
/* The first page index >= `from` that is present, or UINT64_MAX: for SEEK_DATA and
 * SEEK_HOLE. */
uint64_t page_cache_next(struct page_cache *, uint64_t from);
