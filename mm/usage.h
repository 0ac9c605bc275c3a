/* What of an area is in memory, for /proc/PID/smaps (proc(5)). */
#pragma once

#include "lib/types.h"

struct area;

/* In bytes. A page that n others map too counts for 1/n in `pss`. */
struct area_usage {
	uint64_t rss, pss, pss_anon, pss_file, pss_dirty;
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, lazy, huge;
};

/*
 * Adds the area's pages to `u`. The space's lock is held, shared is enough: pages that come or go
 * meanwhile may or may not be counted.
 */
void area_add_usage(struct area *, struct area_usage *u);

/*
 * How many page tables serve the area, but for the root, those up to *last (a table's number, one more; 0
 * at first) not counted again: areas are asked about in order. Lock as above.
 */
uint64_t area_count_tables(struct area *, uint64_t *last);
