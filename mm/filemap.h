/* Files in address spaces: areas whose pages come from a page cache. mm/filemap.c */
#pragma once

#include "lib/types.h"

struct area_ops;
struct page;
struct page_cache;

/* What a file's mmap puts in area->ops when its pages are those of file->cache. */
extern const struct area_ops filemap_area_ops;

uint64_t filemap_major_faults(void); /* that had to read a page from its store, ever */

/*
 * Takes the pages [first, end) of the file out of all address spaces that map it, with_copies:
 * private copies of them too. The caller has taken them out of the cache. May sleep.
 */
void filemap_unmap(struct page_cache *, uint64_t first, uint64_t end, bool with_copies);

/*
 * Takes a page of the file, on which the caller has a reference, out of all address spaces,
 * unless one has used it since it was last asked, or keeps it locked. May sleep.
 */
bool filemap_evict(struct page_cache *, const struct page *);

/*
 * Whether a shared mapping could write to the file, now or after an mprotect. May sleep.
 * One that is being made meanwhile finds what was put into `seals` before.
 */
bool filemap_has_writers(struct page_cache *);
