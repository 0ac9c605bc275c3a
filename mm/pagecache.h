/*
 * The pages of one file, by page number: the one place where file contents are held in memory,
 * shared by read, write and mmap. A tree of frames under a spinlock; look-ups are O(log n).
 * tmpfs keeps its data here and nowhere else (no `fill`: a missing page is zeros).
 */
#pragma once

#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "mm/page.h"

struct page_cache {
	struct spinlock lock;
	void *root; /* radix tree, mm/pagecache.c */
	uint64_t num_pages;
	const struct page_cache_ops *ops;
	void *owner; /* the inode */
	bool is_shmem; /* counted as Shmem: pages cannot be dropped */
};

struct page_cache_ops {
	/* Reads page `index` from the backing store into `page`. NULL: new pages are zeros. */
	enum err (*fill)(struct page_cache *, struct page *, uint64_t index);
};

void page_cache_init(struct page_cache *, const struct page_cache_ops *, void *owner);
void page_cache_destroy(struct page_cache *); /* drops all pages */

/* The page with a reference taken; NULL if it is not there. */
struct page *page_cache_find(struct page_cache *, uint64_t index);
/* The same, made and filled if need be. May sleep. */
enum err page_cache_get(struct page_cache *, uint64_t index, struct page **out);
/*
 * Drops every page from `first` on and unmaps them from user spaces; zeroes the tail of the page
 * before when partial_bytes > 0 (bytes kept in page first - 1).
 */
void page_cache_truncate(struct page_cache *, uint64_t first, size_t partial_bytes);
/* The first page index >= `from` that is present, or UINT64_MAX: for SEEK_DATA and SEEK_HOLE. */
uint64_t page_cache_next(struct page_cache *, uint64_t from);
