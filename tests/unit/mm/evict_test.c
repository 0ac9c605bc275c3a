/*
 * Pages of files that can be read again: what CLOCK takes and what stays, and that every byte
 * is right after it. LINK: mm/access.c mm/advise.c mm/cold.c mm/anon.c mm/area.c mm/aspace.c mm/commit.c
 * mm/evict.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/map.c mm/pagecache.c mm/pagetable.c mm/remap.c
 * mm/shmem.c mm/userpt.c lib/rbtree.c lib/string.c tests/fakes/clock.c tests/fakes/cpu.c
 * tests/fakes/frames.c tests/fakes/kmalloc.c tests/fakes/mutex.c tests/fakes/panic.c
 * tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/store.c tests/fakes/tlb.c
 * tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include "mm/evict.h"

#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/filemap.h"
#include "mm/mman.h"
#include "mm/userpt.h"
#include "syscalls.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/store.h"
#include "tests/unit/ktest.h"

enum { RW = PROT_READ | PROT_WRITE, ALL = 100000 };

static struct process test_process;
static long frames_at_start, objects_at_start;

static void
set_up(void)
{
	if (!kernel_page_table) {
		kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
		aspace_init();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(test_process.rlimits); i++)
		test_process.rlimits[i] = (struct rlimit){UINT64_MAX, UINT64_MAX};
	fake_thread.process = &test_process;
	frames_at_start = fake_frames_live;
	objects_at_start = fake_kmalloc_live;
}

static bool
nothing_is_left(void)
{
	return fake_frames_live == frames_at_start &&
	       fake_kmalloc_live == objects_at_start && evict_candidates() == 0 &&
	       fake_mem_counters[MEM_PAGE_CACHE] == 0 && fake_mem_counters[MEM_ANON] == 0;
}

/* As a call reads it. -1: no memory. */
static int
read_byte(struct fake_store *s, uint64_t index)
{
	struct page *pg;
	int byte;

	if (page_cache_get(&s->cache, index, &pg) != OK)
		return -1;
	byte = *(uint8_t *)page_to_virt(pg);
	page_put(pg);
	return byte;
}

static bool
is_cached(struct fake_store *s, uint64_t index)
{
	struct page *pg = page_cache_find(&s->cache, index);

	if (pg)
		page_put(pg);
	return pg;
}

/* The byte at `va` as the program would reach it, with the processor's marks; NULL: a signal. */
static uint8_t *
reach(struct aspace *as, vaddr_t va, unsigned access)
{
	uint64_t marks = PTE_ACCESSED | (access == AREA_WRITE ? PTE_DIRTY : 0);
	uint64_t need = PTE_PRESENT | (access == AREA_WRITE ? PTE_WRITE : 0);
	unsigned level;

	for (int tries = 0; tries < 3; tries++) {
		pte_t *pte = pt_walk(as->page_table, va, false, &level);

		if (pte && (*pte & need) == need) {
			*pte |= marks;
			return (uint8_t *)phys_to_virt(pte_phys(*pte)) + va % PAGE_SIZE;
		}
		if (aspace_fault(as, va, access) != OK)
			return NULL;
	}
	return NULL;
}

static vaddr_t
map_store(struct aspace *as, struct fake_store *s, size_t pages, int flags)
{
	return (vaddr_t)aspace_map(as, 0, pages * PAGE_SIZE, RW, flags, &s->file, 0);
}

KTEST(evict_frees_clean_pages_which_are_read_again)
{
	struct fake_store s;

	set_up();
	fake_store_init(&s, 100);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(read_byte(&s, i), i);
	CHECK_EQ(evict_candidates(), 100);
	CHECK_EQ(evict_pages(10, ALL), 10);
	CHECK_EQ(s.cache.num_pages, 90);
	CHECK_EQ(evict_pages(ALL, ALL), 90);
	CHECK_EQ(fake_frames_live, frames_at_start);
	CHECK_EQ(s.reads, 100);
	s.version = 7;
	CHECK_EQ(read_byte(&s, 50), 57);
	CHECK_EQ(s.reads, 101);
	page_cache_destroy(&s.cache);
	CHECK(nothing_is_left());
}

KTEST(evict_lets_used_pages_stay_for_a_round)
{
	uint64_t scanned = evict_scanned();
	struct fake_store s;

	set_up();
	fake_store_init(&s, 64);
	for (unsigned i = 0; i < 64; i++)
		(void)read_byte(&s, i);
	for (unsigned i = 0; i < 64; i += 4)
		(void)read_byte(&s, i);
	CHECK_EQ(evict_pages(ALL, 64), 48);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(is_cached(&s, i), i % 4 == 0);
	CHECK(evict_scanned() >= scanned + 64);
	CHECK_EQ(evict_pages(ALL, 64), 16);
	page_cache_destroy(&s.cache);
	CHECK(nothing_is_left());
}

KTEST(evict_leaves_what_is_dirty_or_held_or_cannot_be_read_again)
{
	struct page *held, *dirty;
	struct fake_store s;
	struct page_cache zeros;

	set_up();
	fake_store_init(&s, 10);
	page_cache_init(&zeros, NULL, NULL);
	CHECK_EQ(page_cache_get(&zeros, 0, &held), OK);
	page_put(held);
	CHECK_EQ(page_cache_get(&s.cache, 3, &held), OK);
	CHECK_EQ(page_cache_get(&s.cache, 5, &dirty), OK);
	dirty->flags |= PAGE_DIRTY;
	page_put(dirty);
	CHECK_EQ(evict_candidates(), 2);
	CHECK_EQ(evict_pages(ALL, ALL), 0);
	CHECK(is_cached(&s, 3) && is_cached(&s, 5) && zeros.num_pages == 1);
	page_put(held);
	CHECK_EQ(evict_pages(ALL, ALL), 1);
	page_cache_destroy(&s.cache);
	page_cache_destroy(&zeros);
	CHECK(nothing_is_left());
}

KTEST(evict_takes_mapped_pages_when_no_program_touches_them)
{
	struct fake_store s;
	struct aspace *as[2];
	vaddr_t va[2];

	set_up();
	fake_store_init(&s, 4);
	for (int i = 0; i < 2; i++) {
		as[i] = aspace_create();
		va[i] = map_store(as[i], &s, 4, MAP_SHARED);
		CHECK_EQ(*reach(as[i], va[i] + PAGE_SIZE, AREA_READ), 1);
	}
	CHECK_EQ(s.reads, 1);
	CHECK_EQ(filemap_major_faults(), 1);
	CHECK_EQ(evict_pages(ALL, 1), 0); /* looks away once */
	(void)reach(as[1], va[1] + PAGE_SIZE, AREA_READ);
	CHECK_EQ(evict_pages(ALL, 1), 0); /* one of the two has used it */
	CHECK_EQ(as[0]->resident, 1);
	CHECK_EQ(evict_pages(ALL, 1), 1);
	CHECK(as[0]->resident == 0 && as[1]->resident == 0);
	CHECK_EQ(*reach(as[0], va[0] + PAGE_SIZE, AREA_READ), 1);
	CHECK_EQ(s.reads, 2);
	CHECK_EQ(filemap_major_faults(), 2);
	/* What has been written is not to be had again. */
	*reach(as[0], va[0] + PAGE_SIZE, AREA_WRITE) = 'x';
	CHECK_EQ(evict_pages(ALL, ALL), 0);
	CHECK_EQ(*reach(as[1], va[1] + PAGE_SIZE, AREA_READ), 'x');
	for (int i = 0; i < 2; i++)
		aspace_put(as[i]);
	page_cache_destroy(&s.cache);
	CHECK(nothing_is_left());
}

KTEST(evict_leaves_private_copies_and_locked_memory)
{
	struct fake_store s;
	struct aspace *as;
	vaddr_t va, locked;

	set_up();
	fake_store_init(&s, 4);
	as = aspace_create();
	va = map_store(as, &s, 2, MAP_PRIVATE);
	(void)reach(as, va, AREA_READ);
	*reach(as, va, AREA_WRITE) = 'x';
	CHECK_EQ(evict_pages(ALL, ALL), 1); /* the file's own */
	CHECK_EQ(*reach(as, va, AREA_READ), 'x');
	CHECK_EQ(as->resident, 1);
	locked = map_store(as, &s, 4, MAP_SHARED);
	CHECK_EQ(
	    range_change_flags(as, locked, locked + 4 * PAGE_SIZE, AREA_LOCKED, 0), OK);
	CHECK_EQ(*reach(as, locked + 2 * PAGE_SIZE, AREA_READ), 2);
	CHECK_EQ(evict_pages(ALL, ALL), 0);
	CHECK_EQ(as->resident, 2);
	aspace_put(as);
	CHECK_EQ(evict_pages(ALL, ALL), 1);
	page_cache_destroy(&s.cache);
	CHECK(nothing_is_left());
}

static struct fake_store *waited_for;

static void
end_work(void)
{
	waited_for->cache.evictors = 0;
}

KTEST(evict_is_over_before_a_cache_goes)
{
	struct fake_store s;

	set_up();
	fake_store_init(&s, 1);
	s.cache.evictors = 1;
	waited_for = &s;
	fake_on_sleep = end_work;
	page_cache_destroy(&s.cache);
	fake_on_sleep = NULL;
	CHECK_EQ(s.cache.evictors, 0);
	CHECK(nothing_is_left());
}

/* ---- Random runs: two files, two programs, against what each byte must be ---- */

enum { PAGES = 40, STEPS = 20000 };

static struct fake_store files[2];
static struct aspace *programs[2];
static vaddr_t maps[2]
                   [2]; /* of which file by which program: the second file is private */
static uint8_t shared_now[PAGES], private_now[2][PAGES];
static bool is_private_copied[2][PAGES];
static uint64_t seed;

static unsigned
rnd(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((seed >> 33) % below);
}

static bool
random_step(void)
{
	unsigned p = rnd(2), i = rnd(PAGES);
	vaddr_t shared = maps[p][0] + i * PAGE_SIZE, own = maps[p][1] + i * PAGE_SIZE;

	switch (rnd(8)) {
	case 0: (void)evict_pages(rnd(10), rnd(40)); return true;
	case 1: return read_byte(&files[0], i) == shared_now[i];
	case 2: return read_byte(&files[1], i) == (uint8_t)i;
	case 3: return *reach(programs[p], shared, AREA_READ) == shared_now[i];
	case 4:
		if (rnd(20) == 0) /* then it stays for good */
			*reach(programs[p], shared, AREA_WRITE) = shared_now[i] =
			    (uint8_t)rnd(256);
		return true;
	case 5:
		if (rnd(20) == 0) {
			*reach(programs[p], own, AREA_WRITE) = private_now[p][i] =
			    (uint8_t)rnd(256);
			is_private_copied[p][i] = true;
		}
		return true;
	default:
		return *reach(programs[p], own, AREA_READ) ==
		       (is_private_copied[p][i] ? private_now[p][i] : (uint8_t)i);
	}
}

KTEST(evict_random_changes_keep_every_byte)
{
	set_up();
	for (unsigned i = 0; i < 2; i++)
		fake_store_init(&files[i], PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		shared_now[i] = (uint8_t)i;
	for (unsigned p = 0; p < 2; p++) {
		programs[p] = aspace_create();
		maps[p][0] = map_store(programs[p], &files[0], PAGES, MAP_SHARED);
		maps[p][1] = map_store(programs[p], &files[1], PAGES, MAP_PRIVATE);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		if (!random_step()) {
			ktest_fail(__FILE__, __LINE__, "step", (long)step, 0);
			return;
		}
	}
	CHECK(files[1].reads > 4 * PAGES);
	for (unsigned p = 0; p < 2; p++)
		aspace_put(programs[p]);
	for (unsigned i = 0; i < 2; i++)
		page_cache_destroy(&files[i].cache);
	CHECK(nothing_is_left());
}
