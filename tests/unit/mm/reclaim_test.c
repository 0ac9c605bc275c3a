/*
 * Reclaim: shrinkers are asked for more and more until enough is free, and no longer. LINK:
 * mm/reclaim.c lib/string.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/mutex.c
 * tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/wait.c
 */
#include "kernel/sched/thread.h"
#include "mm/evict.h"
#include "mm/lazyfree.h"
#include "mm/page.h"
#include "mm/reclaim.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* A machine of two numbers: objects of which eight make a frame. */
static size_t objects, asked, trims;
static uint64_t frames_free;

static size_t
shrink(size_t max)
{
	size_t n = MIN(max, objects);

	asked++;
	objects -= n;
	frames_free += n / 8;
	return n;
}

static size_t
shrink_nothing(size_t max)
{
	return 0;
}

static struct shrinker has_some = {.name = "some", .shrink = shrink},
                       has_none = {.name = "none", .shrink = shrink_nothing};

uint64_t
mem_free_pages(void)
{
	return frames_free;
}

void
slab_trim(void)
{
	trims++;
}

uint64_t
frames_below_high(void)
{
	return 0;
}

void
frames_on_low(void (*fn)(void))
{
}

uint64_t
lazyfree_pages(uint64_t want)
{
	return 0;
}

/* Pages of files: so many lie in the rings, and every second that is looked at is free. */
static uint64_t file_pages, scanned;

uint64_t
evict_candidates(void)
{
	return file_pages;
}

uint64_t
evict_scanned(void)
{
	return scanned;
}

uint64_t
evict_pages(uint64_t want, uint64_t scan)
{
	uint64_t n = MIN(MIN(want, scan / 2), file_pages);

	scanned += 2 * n;
	file_pages -= n;
	frames_free += n;
	return n;
}

struct thread *
thread_create_kernel(const char *name, void (*entry)(void *), void *arg)
{
	return NULL;
}

void
thread_start(struct thread *t)
{
}

void
thread_sleep_ns(nsec_t ns)
{
}

static void
begin(size_t num)
{
	static bool is_registered;

	if (!is_registered) {
		shrinker_register(&has_none);
		shrinker_register(&has_some);
		is_registered = true;
	}
	objects = num;
	asked = trims = 0;
	frames_free = 10;
}

KTEST(reclaim_stops_when_enough_is_free)
{
	begin(100000);
	CHECK(reclaim_pages(30)); /* the first 256 objects are 32 frames */
	CHECK_EQ(asked, 1);
	CHECK_EQ(objects, 100000 - 256);
	CHECK(reclaim_pages(100)); /* 256 and 512 are 96, 1024 more are enough */
	CHECK_EQ(asked, 4);
	CHECK_EQ(trims, 4);
}

KTEST(reclaim_takes_pages_of_files_few_at_first)
{
	uint64_t looked_at = reclaim_counts.scanned[0], freed = reclaim_counts.freed[0];

	begin(0);
	file_pages = 100000;
	CHECK(reclaim_pages(30)); /* of the least that are looked at */
	CHECK_EQ(file_pages, 100000 - 30);
	CHECK_EQ(reclaim_counts.scanned[0], looked_at + 60);
	CHECK_EQ(reclaim_counts.freed[0], freed + 30);
	CHECK_EQ(asked, 1);
	CHECK(reclaim_pages(200000)); /* all, though no object ever comes */
	CHECK_EQ(file_pages, 0);
	CHECK(!reclaim_pages(1));
}

KTEST(reclaim_says_whether_anything_came_of_it)
{
	uint64_t before = reclaim_counts.objects;

	begin(300);
	CHECK(reclaim_pages(1000));
	CHECK_EQ(objects, 0);
	CHECK_EQ(reclaim_counts.objects, before + 300);
	asked = 0;
	CHECK(!reclaim_pages(1000));
	CHECK_EQ(asked, 1); /* no second pass where the first was in vain */
}
