/* Watermarks, the thread that keeps them, and shrinkers: see mm/reclaim.h. */
#include "mm/reclaim.h"

#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"
#include "mm/evict.h"
#include "mm/lazyfree.h"
#include "mm/page.h"
#include "mm/slab.h"

enum {
	FIRST_OBJECTS = 256, /* asked of each shrinker; each pass asks twice as many */
	PASSES = 8,
	LEAST_SCAN = 64, /* pages of files, if there are any */
};

static const nsec_t IN_VAIN_PAUSE = 200 * NSEC_PER_MSEC;

static struct mutex shrinkers_lock =
    MUTEX_INIT(shrinkers_lock, "shrinkers", RANK_RECLAIM);
static struct list shrinkers = LIST_INIT(shrinkers); /* [lock] only grows */
static struct wait_queue work = WAIT_QUEUE_INIT(work);
static struct thread *reclaim_thread; /* [I] */
static uint32_t is_low;               /* [a] the thread has been called, or runs */

struct reclaim_counts reclaim_counts;

void
shrinker_register(struct shrinker *s)
{
	mutex_lock(&shrinkers_lock);
	list_push_back(&shrinkers, &s->link);
	mutex_unlock(&shrinkers_lock);
}

static size_t
shrink_all(size_t max)
{
	struct shrinker *s;
	size_t freed = 0;

	mutex_lock(&shrinkers_lock);
	list_for_each(s, &shrinkers, link)
		freed += s->shrink(max);
	mutex_unlock(&shrinkers_lock);
	return freed;
}

/*
 * Frees pages of files. The first pass looks at a few of them, the last at all twice: those that
 * have been used may go then too.
 */
static void
evict(uint64_t want, unsigned pass)
{
	uint64_t all = evict_candidates(), scan = 2 * all >> (PASSES - 1 - pass);
	uint64_t scanned = evict_scanned();
	unsigned who = current_thread() == reclaim_thread;

	if (!all)
		return;
	__atomic_add_fetch(&reclaim_counts.freed[who],
	    evict_pages(want, MAX(scan, (uint64_t)LEAST_SCAN)), __ATOMIC_RELAXED);
	__atomic_add_fetch(
	    &reclaim_counts.scanned[who], evict_scanned() - scanned, __ATOMIC_RELAXED);
}

void
reclaim_drop(bool drops_pages, bool drops_objects)
{
	if (drops_pages)
		evict(UINT64_MAX, PASSES - 1);
	if (drops_objects) {
		(void)shrink_all(SIZE_MAX);
		slab_trim();
	}
}

bool
reclaim_pages(uint64_t want)
{
	uint64_t before = mem_free_pages(), goal = before + want, now = before;
	size_t objects = FIRST_OBJECTS, freed = 1;

	for (unsigned pass = 0; pass < PASSES && (freed || evict_candidates());
	     pass++, objects *= 2) {
		now += pass ? 0 : lazyfree_pages(goal - now);
		if (now < goal)
			evict(goal - now, pass);
		freed = shrink_all(objects);
		__atomic_add_fetch(&reclaim_counts.objects, freed, __ATOMIC_RELAXED);
		slab_trim();
		now = mem_free_pages();
		if (now >= goal)
			break;
	}
	return now > before;
}

/* From the allocator, in any context and under any lock that it may be called with. */
static void
memory_is_low(void)
{
	if (!__atomic_load_n(&is_low, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&is_low, 1, __ATOMIC_SEQ_CST))
		wait_queue_wake_all(&work);
}

static void
reclaim_main(void *arg)
{
	for (;;) {
		uint64_t missing;

		(void)wait_event(&work, __atomic_load_n(&is_low, __ATOMIC_SEQ_CST),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		__atomic_add_fetch(&reclaim_counts.runs, 1, __ATOMIC_RELAXED);
		missing = frames_below_high();
		if (missing && !reclaim_pages(missing))
			thread_sleep_ns(IN_VAIN_PAUSE);
		__atomic_store_n(&is_low, 0, __ATOMIC_SEQ_CST);
	}
}

void
reclaim_init(void)
{
	reclaim_thread = thread_create_kernel("reclaim", reclaim_main, NULL);
	if (!reclaim_thread)
		panic("no memory for the thread that gives it back");
	thread_start(reclaim_thread);
	frames_on_low(memory_is_low);
}
