/*
 * Taking pages of files back that can be read again: clean pages of caches that fill theirs
 * from a store. CLOCK decides: the pages lie in rings, a hand goes round, and a page that was
 * used since the hand last came by stays. Used is what a call has read or written
 * (PAGE_ACCESSED) and what a program has touched (the bits of its page tables). Pages that are
 * dirty, locked in memory or in somebody's hands stay as well.
 *
 * There are several rings, each with its lock, so that CPUs that read files do not meet. A page
 * is in one as long as it is in its cache, and a little longer at both ends.
 */
#pragma once

#include "lib/types.h"

struct page;
struct page_cache;

/* For the page cache: a page with owner and index that enters; one that has left. */
void evict_add(struct page *);
void evict_remove(struct page *);
/* Once no page of the cache is in a ring: nobody works with it when this returns. May sleep. */
void evict_wait(struct page_cache *);

/*
 * Lets the hands pass up to `scan` pages and frees up to `want`. How many it freed. Thread
 * context; takes locks of the rank RANK_PAGE_CACHE; may sleep.
 */
uint64_t evict_pages(uint64_t want, uint64_t scan);

/* The same at once for one page, if nobody else uses it. The caller keeps the cache alive. */
void evict_page(struct page_cache *, uint64_t index);

uint64_t evict_candidates(void); /* pages in the rings */
uint64_t evict_scanned(void);    /* pages that hands have passed, ever */
