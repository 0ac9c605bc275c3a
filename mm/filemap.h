/* Files in address spaces: areas whose pages come from a page cache. mm/filemap.c */
#pragma once

#include "lib/types.h"

struct area_ops;
struct page_cache;

/* What a file's mmap puts in area->ops when its pages are those of file->cache. */
extern const struct area_ops filemap_area_ops;

/*
 * Takes the pages [first, end) of the file out of all address spaces that map it, with_copies:
 * private copies of them too. The caller has taken them out of the cache. May sleep.
 */
void filemap_unmap(struct page_cache *, uint64_t first, uint64_t end, bool with_copies);

/*
 * Whether a shared mapping could write to the file, now or after an mprotect. May sleep.
 * One that is being made meanwhile finds what was put into `seals` before.
 */
bool filemap_has_writers(struct page_cache *);
