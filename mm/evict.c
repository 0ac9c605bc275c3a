/* CLOCK over pages of files: see mm/evict.h. */
#include "mm/evict.h"

#include "kernel/sync/wait.h"
#include "mm/filemap.h"
#include "mm/pagecache.h"

enum { RINGS = 8, RING_SHIFT = 4 /* frames side by side are in one ring */ };

/* The hand is at the first page; those that it has passed are last. */
static struct ring {
	struct spinlock lock;
	struct list pages; /* [lock] by link */
	uint64_t num;      /* [lock] */
} rings[RINGS] = {
#define RING(n) \
	[n] = {.lock = SPINLOCK_INIT("evict", RANK_EVICT), \
	    .pages = LIST_INIT(rings[n].pages)}
    RING(0), RING(1), RING(2), RING(3), RING(4), RING(5), RING(6), RING(7)};

static struct wait_queue done = WAIT_QUEUE_INIT(done);
static uint64_t scanned; /* [a] */
static uint32_t turn;    /* [a] the ring to begin with */

static struct ring *
ring_of(const struct page *pg)
{
	return &rings[(page_to_phys(pg) >> (PAGE_SHIFT + RING_SHIFT)) % RINGS];
}

void
evict_add(struct page *pg)
{
	struct ring *r = ring_of(pg);

	spin_lock(&r->lock);
	list_push_back(&r->pages, &pg->link);
	r->num++;
	spin_unlock(&r->lock);
}

void
evict_remove(struct page *pg)
{
	struct ring *r = ring_of(pg);

	spin_lock(&r->lock);
	list_remove(&pg->link);
	r->num--;
	spin_unlock(&r->lock);
}

uint64_t
evict_candidates(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < RINGS; i++)
		n += __atomic_load_n(&rings[i].num, __ATOMIC_RELAXED);
	return n;
}

uint64_t
evict_scanned(void)
{
	return __atomic_load_n(&scanned, __ATOMIC_RELAXED);
}

static bool
is_busy(const struct page_cache *c)
{
	return __atomic_load_n(&c->evictors, __ATOMIC_ACQUIRE);
}

void
evict_wait(struct page_cache *c)
{
	if (is_busy(c))
		(void)wait_event(&done, !is_busy(c), WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);
}

static void
release_cache(struct page_cache *c)
{
	/* From then on it may be gone. */
	if (__atomic_sub_fetch(&c->evictors, 1, __ATOMIC_SEQ_CST) == 0)
		wait_queue_wake_all(&done);
}

/* With a reference of the caller's, which goes. Whether the page does too. */
static bool
try_evict(struct page_cache *c, struct page *pg)
{
	enum { UNMAPPED_REFS = 2 }; /* the tree's and ours */
	bool is_mapped = __atomic_load_n(&pg->refs, __ATOMIC_RELAXED) > UNMAPPED_REFS;
	bool is_gone =
	    (!is_mapped || filemap_evict(c, pg)) && page_cache_drop_clean(c, pg);

	page_put(pg);
	return is_gone;
}

/*
 * Lets the hand pass one page. If that should go: the page with a reference, and its cache,
 * which waits for us before it goes: it cannot be gone while its page is in the ring.
 */
static struct page *
take_candidate(struct ring *r, struct page_cache **cache)
{
	struct page *pg;

	spin_lock(&r->lock);
	pg = list_first(&r->pages, struct page, link);
	if (pg) {
		unsigned was = __atomic_fetch_and(
		    &pg->flags, (uint8_t)~PAGE_ACCESSED, __ATOMIC_RELAXED);

		list_remove(&pg->link);
		list_push_back(&r->pages, &pg->link);
		*cache = __atomic_load_n(&pg->owner, __ATOMIC_ACQUIRE);
		if (*cache && !(was & (PAGE_ACCESSED | PAGE_DIRTY))) {
			page_get(pg);
			__atomic_add_fetch(&(*cache)->evictors, 1, __ATOMIC_SEQ_CST);
		} else {
			pg = NULL;
		}
	}
	spin_unlock(&r->lock);
	return pg;
}

/* Lets its hand go `scan` pages on. */
static uint64_t
evict_from(struct ring *r, uint64_t want, uint64_t scan)
{
	uint64_t freed = 0;

	while (scan-- && freed < want && __atomic_load_n(&r->num, __ATOMIC_RELAXED)) {
		struct page_cache *c;
		struct page *pg = take_candidate(r, &c);

		__atomic_add_fetch(&scanned, 1, __ATOMIC_RELAXED);
		if (!pg)
			continue;
		freed += try_evict(c, pg);
		release_cache(c);
	}
	return freed;
}

uint64_t
evict_pages(uint64_t want, uint64_t scan)
{
	unsigned first = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
	uint64_t all = evict_candidates(), freed = 0;

	for (unsigned i = 0; all && i < RINGS && freed < want; i++) {
		struct ring *r = &rings[(first + i) % RINGS];
		uint64_t num = __atomic_load_n(&r->num, __ATOMIC_RELAXED);

		freed += evict_from(r, want - freed, DIV_ROUND_UP(scan * num, all));
	}
	return freed;
}

void
evict_page(struct page_cache *c, uint64_t index)
{
	struct page *pg = page_cache_is_evictable(c) ? page_cache_find(c, index) : NULL;

	if (pg)
		(void)try_evict(c, pg); /* it stays if others use it */
}
