/* Files in address spaces: areas whose pages come from a page cache. mm/filemap.c */
#pragma once

#include "lib/types.h"

struct area_ops;
struct page_cache;

/* What a file's mmap puts in area->ops when its pages are those of file->cache. */
extern const struct area_ops filemap_area_ops;

/*
 * Takes every page from number `first` of the file on out of all address spaces that map
 * it. The caller has made sure that faults find no such page any more. May sleep.
 */
void filemap_unmap(struct page_cache *, uint64_t first);

/*
 * Whether a shared mapping could write to the file, now or after an mprotect. May sleep.
 * One that is being made meanwhile finds what was put into `seals` before.
 */
bool filemap_has_writers(struct page_cache *);
