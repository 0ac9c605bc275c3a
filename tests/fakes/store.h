/*
 * A file on a store that can be read again: page n holds the bytes n, n, ... plus `version`.
 * tests/fakes/store.c; needs filemap.c for maps of it.
 */
#pragma once

#include "kernel/file.h"
#include "mm/pagecache.h"

struct fake_store {
	struct page_cache cache;
	struct file file;
	unsigned reads; /* pages that were read from the store */
	uint8_t version;
};

void fake_store_init(struct fake_store *, uint64_t pages);
