/*
 * The frame allocator: a buddy system per zone, per-CPU caches of single frames in front.
 *
 * A zone keeps one list of free blocks for each order and a mask of the orders whose list
 * is not empty, so that finding a block is one bit scan and freeing one is at most
 * MAX_ORDER merges. Blocks are aligned to their size, so a block and its buddy differ in
 * one bit of the frame number and lie in one section (the largest block, 4 MiB).
 *
 * Struct pages are set up lazily: a section that is free as a whole has only its first
 * struct page written (PAGE_RAW); the other 1023 follow when the block is taken for the
 * first time. Bring-up so costs a few instructions per 4 MiB, not per frame.
 *
 * Per-CPU caches hold single frames of all zones but LOW and are touched with interrupts
 * off only. They are filled and drained in batches under the zone's lock. A cached frame
 * has an order no block has, so that freeing it again is noticed.
 *
 * A CPU that frees a block looks at the buddy's struct page, which may be in use or lie in
 * another CPU's cache. So PAGE_BUDDY says one thing only: this block is in a free list of
 * its zone. It changes under the zone's lock alone, and only with it set does the order
 * mean anything to others.
 *
 * Each zone keeps a reserve that only ALLOC_ATOMIC may use. LOW serves ALLOC_LOW alone.
 *
 * Debug builds fill free frames with a pattern and look at it when they are given out.
 */
#include "mm/frames_priv.h"

#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "kernel/sched/cpumask.h"
#include "kernel/sync/spinlock.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/percpu.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/fail_alloc.h"

enum {
	CACHE_FRAMES = 64,
	CACHE_BATCH = 32,
	ORDER_CACHED = 0xff, /* page.order of a frame in a per-CPU cache */
	RESERVE_SHARE = 256, /* a zone keeps 1/256 of its frames for ALLOC_ATOMIC, */
	SPARE_SHARE = 8,     /* what ALLOC_SPARE must leave free: an eighth */
	RESERVE_MIN = 16,    /* within these bounds */
	RESERVE_MAX = 1024,
};

enum { NEVER_GIVEN_OUT = PAGE_BUDDY | PAGE_RESERVED | PAGE_RAW }; /* flags */

#define POISON 0xfbfbfbfbfbfbfbfbull

struct zone {
	struct spinlock lock;
	uint32_t mask;       /* [lock] bit k: free[k] is not empty */
	uint64_t free_pages; /* [lock] */
	uint64_t managed;    /* [lock] frames ever released to it */
	uint64_t reserve;    /* [a] the lowest watermark */
	struct list free[MAX_ORDER + 1];
};

struct frame_cache {
	unsigned num;
	struct page *pages[CACHE_FRAMES]; /* a stack: the last freed is the first used */
};

static struct zone zones[NUM_ZONES];
static void (*on_low)(void); /* [I] once set */
static PER_CPU(struct frame_cache, frame_cache);
static PER_CPU(int64_t, counters[MEM_COUNTERS]);

struct page *page_array;
uint64_t page_array_frames;
vaddr_t direct_map_base;

static inline uint64_t
frame_of(const struct page *pg)
{
	return pg - page_array;
}

static enum zone_id
zone_of(uint64_t frame)
{
	if (frame < MIB(1) >> PAGE_SHIFT)
		return ZONE_LOW;
	return frame < GIB(4) >> PAGE_SHIFT ? ZONE_DMA32 : ZONE_NORMAL;
}

/* ---- Debug: poison ---- */

static void
poison_fill(struct page *pg, unsigned order)
{
	for (unsigned i = 0; i < 1u << order; i++) {
		memset(page_to_virt(pg + i), (int)(POISON & 0xff), PAGE_SIZE);
		pg[i].flags |= PAGE_POISONED;
	}
}

static void
poison_check(struct page *pg, unsigned order)
{
	for (unsigned i = 0; i < 1u << order; i++) {
		const uint64_t *words = page_to_virt(pg + i);

		if (!(pg[i].flags & PAGE_POISONED))
			continue;
		for (unsigned w = 0; w < PAGE_SIZE / sizeof(*words); w++)
			if (words[w] != POISON)
				panic(
				    "frame %#llx was written at +%#x while free: %016llx",
				    (unsigned long long)page_to_phys(pg + i),
				    (unsigned)(w * sizeof(*words)),
				    (unsigned long long)words[w]);
		pg[i].flags &= ~PAGE_POISONED;
	}
}

/* ---- Struct pages ---- */

static void
section_setup(uint64_t first, uint8_t flags)
{
	struct page *pg = &page_array[first];
	struct page init = {
	    .flags = flags, .zone = zone_of(first), .node = frame_node(first)};

	for (unsigned i = 0; i < SECTION_FRAMES; i++)
		pg[i] = init;
}

void
section_reserve(uint64_t first)
{
	section_setup(first, PAGE_RESERVED);
	if (first != 0)
		return;
	/* The only section with frames of two zones. */
	for (uint64_t f = 0; f < SECTION_FRAMES; f++)
		page_array[f].zone = zone_of(f);
}

/* ---- Buddies; the zone's lock is held ---- */

static void
block_add(struct zone *z, struct page *pg, unsigned order)
{
	pg->flags |= PAGE_BUDDY;
	pg->order = order;
	list_push_front(&z->free[order], &pg->link);
	z->mask |= 1u << order;
}

static void
block_remove(struct zone *z, struct page *pg, unsigned order)
{
	pg->flags &= ~PAGE_BUDDY;
	list_remove(&pg->link);
	if (list_is_empty(&z->free[order]))
		z->mask &= ~(1u << order);
}

static struct page *
block_take_locked(struct zone *z, unsigned order)
{
	uint32_t orders = z->mask >> order;
	struct page *pg;
	unsigned k;

	if (!orders)
		return NULL;
	k = order + bit_first(orders);
	pg = list_entry(z->free[k].next, struct page, link);
	block_remove(z, pg, k);
	if (unlikely(pg->flags & PAGE_RAW))
		section_setup(frame_of(pg), 0);
	while (k > order) {
		k--;
		block_add(z, pg + (1u << k), k);
	}
	z->free_pages -= 1u << order;
	return pg;
}

static void
block_give_locked(struct zone *z, struct page *pg, unsigned order)
{
	uint64_t frame = frame_of(pg);

	z->free_pages += 1u << order;
	while (order < MAX_ORDER) {
		struct page *buddy = &page_array[frame ^ (1u << order)];

		if (!(buddy->flags & PAGE_BUDDY) || buddy->order != order ||
		    buddy->zone != pg->zone)
			break;
		block_remove(z, buddy, order);
		frame &= ~(1ull << order);
		order++;
	}
	block_add(z, &page_array[frame], order);
}

/* ---- Zones ---- */

/* Whether `want` frames may be taken now; the lock is held, or the answer is a hint. */
static bool
zone_may_take(const struct zone *z, uint64_t want, unsigned flags)
{
	uint64_t keep = flags & ALLOC_ATOMIC ? 0 : z->reserve;

	if (flags & ALLOC_SPARE)
		keep = z->managed / SPARE_SHARE;

	return z->free_pages >= want + keep;
}

/* Takes up to `num` blocks of one order into `out`; returns how many. */
static unsigned
zone_alloc(
    struct zone *z, unsigned order, unsigned flags, struct page **out, unsigned num)
{
	unsigned n = 0;

	if (!zone_may_take(z, 1u << order, flags))
		return 0;
	spin_lock(&z->lock);
	while (n < num && zone_may_take(z, 1u << order, flags)) {
		out[n] = block_take_locked(z, order);
		if (!out[n])
			break;
		n++;
	}
	spin_unlock(&z->lock);
	return n;
}

static unsigned
zones_alloc(unsigned order, unsigned flags, struct page **out, unsigned num)
{
	unsigned n = 0;

	if (flags & ALLOC_LOW)
		return zone_alloc(&zones[ZONE_LOW], order, flags, out, num);
	if (!(flags & ALLOC_DMA32))
		n = zone_alloc(&zones[ZONE_NORMAL], order, flags, out, num);
	if (n == 0)
		n = zone_alloc(&zones[ZONE_DMA32], order, flags, out, num);
	return n;
}

static void
zone_free(struct page *pg, unsigned order)
{
	struct zone *z = &zones[pg->zone];

	spin_lock(&z->lock);
	block_give_locked(z, pg, order);
	spin_unlock(&z->lock);
}

/* ---- Watermarks: a quarter and a half above the reserves ---- */

static uint64_t
zones_free(void)
{
	return zones[ZONE_DMA32].free_pages + zones[ZONE_NORMAL].free_pages;
}

static uint64_t
zones_reserve(void)
{
	return zones[ZONE_DMA32].reserve + zones[ZONE_NORMAL].reserve;
}

static bool
zones_are_low(void)
{
	uint64_t reserve = zones_reserve();

	return zones_free() < reserve + reserve / 4;
}

uint64_t
frames_below_high(void)
{
	uint64_t reserve = zones_reserve(), high = reserve + reserve / 2,
	         free = zones_free();

	return high > free ? high - free : 0;
}

void
frames_on_low(void (*fn)(void))
{
	on_low = fn;
}

uint64_t
frames_min_free(void)
{
	return zones_reserve();
}

void
frames_set_min_free(uint64_t pages)
{
	uint64_t managed = zones[ZONE_DMA32].managed + zones[ZONE_NORMAL].managed;

	/* Not so much that nothing can be had any more. */
	pages = MIN(pages, managed / 4);
	for (unsigned i = ZONE_DMA32; i < NUM_ZONES; i++)
		__atomic_store_n(&zones[i].reserve,
		    managed ? pages * zones[i].managed / managed : 0, __ATOMIC_RELAXED);
}

uint64_t
mem_free_pages(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < NUM_ZONES; i++)
		n += zones[i].free_pages;
	for (unsigned i = 0; i < MAX(num_cpus, 1u); i++)
		if (cpus[i])
			n += per_cpu_ptr(&frame_cache, cpus[i])->num;
	return n;
}

/* ---- Per-CPU caches ---- */

static struct page *
cache_alloc(unsigned flags)
{
	struct frame_cache *c;
	struct page *pg = NULL;

	irq_disable_nested();
	c = this_cpu_ptr(&frame_cache);
	if (unlikely(c->num == 0)) {
		c->num = zones_alloc(0, flags, c->pages, CACHE_BATCH);
		for (unsigned i = 0; i < c->num; i++)
			c->pages[i]->order = ORDER_CACHED;
		if (unlikely(on_low && zones_are_low()))
			on_low();
	}
	if (likely(c->num))
		pg = c->pages[--c->num];
	irq_enable_nested();
	return pg;
}

/* Gives the `n` frames that have lain longest back to their zones. Interrupts are off. */
static void
cache_drain(struct frame_cache *c, unsigned n)
{
	for (unsigned id = ZONE_DMA32; id < NUM_ZONES; id++) {
		struct zone *z = &zones[id];

		if (z->managed == 0)
			continue;
		spin_lock(&z->lock);
		for (unsigned i = 0; i < n; i++) {
			struct page *pg = c->pages[i];

			if (pg->zone == id)
				block_give_locked(z, pg, 0);
		}
		spin_unlock(&z->lock);
	}
	c->num -= n;
	memmove(c->pages, c->pages + n,
	    c->num * sizeof(struct page *)); /* NOLINT(bugprone-sizeof-expression) */
}

static void
cache_free(struct page *pg)
{
	struct frame_cache *c;

	pg->order = ORDER_CACHED;
	irq_disable_nested();
	c = this_cpu_ptr(&frame_cache);
	if (unlikely(c->num == CACHE_FRAMES))
		cache_drain(c, CACHE_BATCH);
	c->pages[c->num++] = pg;
	irq_enable_nested();
}

static void
drain_this_cpu(void *unused)
{
	struct frame_cache *c;

	irq_disable_nested();
	c = this_cpu_ptr(&frame_cache);
	cache_drain(c, c->num);
	irq_enable_nested();
}

/* Empties this CPU's cache and, if this context may wait for it, everybody's. */
static void
caches_drain(void)
{
	const struct cpu *c = this_cpu();

	if (num_cpus > 1 && !c->irq_off_depth && !c->irq_nesting && !c->preempt_count)
		ipi_call(&CPUMASK_ALL, drain_this_cpu, NULL);
	else
		drain_this_cpu(NULL);
}

/* ---- The calls ---- */

static struct page *
block_alloc(unsigned order, unsigned flags)
{
	struct page *pg;

	if (order == 0 && !(flags & (ALLOC_LOW | ALLOC_DMA32)))
		return cache_alloc(flags);
	return zones_alloc(order, flags, &pg, 1) ? pg : NULL;
}

/* A process that is killed for its memory gives it back the sooner. */
static bool
is_for_victim(void)
{
	const struct thread *t = current_thread();

	return t && t->process && t->process->is_oom_victim;
}

struct page *
page_alloc(unsigned order, unsigned flags)
{
	struct page *pg;

	ASSERT(order <= MAX_ORDER);
	if (fail_alloc())
		return NULL;
	pg = block_alloc(order, flags);
	if (unlikely(!pg)) {
		if (flags & ALLOC_SPARE)
			return NULL;
		caches_drain(); /* what they hold may complete a block */
		pg = block_alloc(order, flags | (is_for_victim() ? ALLOC_ATOMIC : 0));
		if (!pg)
			return NULL;
	}
	ASSERT(pg->refs == 0 && !(pg->flags & NEVER_GIVEN_OUT));
	if (CONFIG_DEBUG)
		poison_check(pg, order);
	pg->refs = 1;
	pg->flags = 0;
	pg->order = order;
	pg->owner = NULL;
	pg->index = 0;
	pg->mapcount = 0;
	if (flags & ALLOC_ZERO)
		memset(page_to_virt(pg), 0, (size_t)PAGE_SIZE << order);
	return pg;
}

static void
block_free(struct page *pg, unsigned order)
{
	ASSERT(order <= MAX_ORDER && !(pg->flags & NEVER_GIVEN_OUT));
	pg->flags = 0;
	if (CONFIG_DEBUG)
		poison_fill(pg, order);
	if (order == 0 && pg->zone != ZONE_LOW)
		cache_free(pg);
	else
		zone_free(pg, order);
}

void
page_free(struct page *pg, unsigned order)
{
	if (unlikely(pg->flags & (PAGE_BUDDY | PAGE_RESERVED | PAGE_SLAB) ||
	             pg->order != order || pg->refs != 1))
		panic("bad free of frame %#llx: flags %#x, order %u (%u given), refs %u",
		    (unsigned long long)page_to_phys(pg), pg->flags, pg->order, order,
		    pg->refs);
	pg->refs = 0;
	block_free(pg, order);
}

struct page *
page_get(struct page *pg)
{
	uint32_t refs = __atomic_fetch_add(&pg->refs, 1, __ATOMIC_RELAXED);

	ASSERT(refs > 0);
	return pg;
}

void
page_put(struct page *pg)
{
	uint32_t refs = __atomic_fetch_sub(&pg->refs, 1, __ATOMIC_ACQ_REL);

	ASSERT(refs > 0);
	if (refs == 1)
		block_free(pg, pg->order);
}

/* ---- Statistics ---- */

void
mem_counter_add(enum mem_counter c, int64_t pages)
{
	this_cpu_add(&counters[c], pages);
}

uint64_t
mem_counter_read(enum mem_counter which)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < MAX(num_cpus, 1u); i++)
		if (cpus[i])
			sum += (*per_cpu_ptr(&counters, cpus[i]))[which];
	return sum > 0 ? sum : 0; /* CPUs are read at different moments */
}

uint64_t
mem_total_pages(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < NUM_ZONES; i++)
		sum += zones[i].managed;
	return sum;
}

void
mem_stats_get(struct mem_stats *s)
{
	*s = (struct mem_stats){
	    .slab_pages = mem_counter_read(MEM_SLAB),
	    .page_table_pages = mem_counter_read(MEM_PAGE_TABLE),
	    .kernel_stack_pages = mem_counter_read(MEM_KERNEL_STACK),
	    .page_cache_pages = mem_counter_read(MEM_PAGE_CACHE),
	    .anon_pages = mem_counter_read(MEM_ANON),
	    .shmem_pages = mem_counter_read(MEM_SHMEM),
	    .vmalloc_pages = mem_counter_read(MEM_VMALLOC),
	};
	s->total_pages = mem_total_pages();
	s->free_pages = mem_free_pages();
}

/* ---- Bring-up ---- */

void
zones_init(void)
{
	for (unsigned i = 0; i < NUM_ZONES; i++) {
		struct zone *z = &zones[i];

		*z = (struct zone){0};
		spin_init(&z->lock, "zone", RANK_FRAMES);
		for (unsigned k = 0; k <= MAX_ORDER; k++)
			list_init(&z->free[k]);
	}
	this_cpu_ptr(&frame_cache)->num = 0;
}

void
section_free_raw(uint64_t first)
{
	struct zone *z = &zones[zone_of(first)];
	struct page *pg = &page_array[first];

	*pg = (struct page){.flags = PAGE_RAW, .zone = zone_of(first)};
	spin_lock(&z->lock);
	block_add(z, pg, MAX_ORDER);
	z->free_pages += SECTION_FRAMES;
	z->managed += SECTION_FRAMES;
	spin_unlock(&z->lock);
}

void
frames_release(uint64_t first, uint64_t end)
{
	while (first < end) {
		struct page *pg = &page_array[first];
		struct zone *z = &zones[pg->zone];
		unsigned order = MIN(bit_last(end - first), (unsigned)MAX_ORDER);

		/* The zones part at 1 MiB, in the middle of a section. */
		if (first)
			order = MIN(order, bit_first(first));
		if (pg->zone == ZONE_LOW)
			order = MIN(order, bit_last((MIB(1) >> PAGE_SHIFT) - first));
		for (unsigned i = 0; i < 1u << order; i++)
			pg[i].flags &= ~PAGE_RESERVED;
		if (CONFIG_DEBUG)
			for (unsigned i = 0; i < 1u << order; i++)
				ASSERT(pg[i].flags == 0 && pg[i].refs == 0);
		spin_lock(&z->lock);
		block_give_locked(z, pg, order);
		z->managed += 1u << order;
		spin_unlock(&z->lock);
		first += 1u << order;
	}
}

void
zones_set_reserve(void)
{
	for (unsigned i = 0; i < NUM_ZONES; i++) {
		uint64_t share = zones[i].managed / RESERVE_SHARE;

		zones[i].reserve = i == ZONE_LOW ? 0
		                                 : MIN(MAX(share, (uint64_t)RESERVE_MIN),
		                                       (uint64_t)RESERVE_MAX);
	}
}
