/*
 * Giving back memory that is only kept because there was room for it: pages of files that can be
 * read again (mm/evict.h), what programs have given up (mm/lazyfree.h), and objects of shrinkers. A thread begins when
 * free memory falls below the low watermark and ends at the high one; who finds none at all
 * takes part before a process has to end for it (mm/oom.h). Watermarks are a quarter and a
 * half above the reserve, /proc/sys/vm/min_free_kbytes.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

/* Something with objects to spare: a cache of names. It exists forever once registered. */
struct shrinker {
	const char *name;
	/* Frees up to `max` of the oldest; how many. Thread context, holding locks of a
	 * rank up to RANK_INODE. */
	size_t (*shrink)(size_t max);
	struct list link;
};
void shrinker_register(struct shrinker *);

/*
 * Makes some `want` frames free, of what can be spared. Returns whether there are more than
 * before. Thread context, as for shrinkers; may sleep.
 */
bool reclaim_pages(uint64_t want);

/* /proc/sys/vm/drop_caches: all that can be spared, pages of files and objects. As above. */
void reclaim_drop(bool drops_pages, bool drops_objects);

struct reclaim_counts {
	uint64_t objects, runs, stalls; /* [a] freed; of the thread; of others */
	/* [a] Pages of files looked at, and freed; the first by others, then by the thread. */
	uint64_t scanned[2], freed[2];
};
extern struct reclaim_counts reclaim_counts;

void reclaim_init(void); /* the thread */
