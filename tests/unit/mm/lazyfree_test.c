/*
 * What programs have given up and what they do not need soon: it goes when memory is low, or at
 * once, and a write keeps it. LINK: mm/access.c mm/advise.c mm/anon.c mm/area.c mm/aspace.c
 * mm/cold.c mm/commit.c mm/evict.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/map.c
 * mm/pagecache.c mm/pagetable.c mm/remap.c mm/shmem.c mm/usage.c mm/userpt.c lib/rbtree.c
 * lib/string.c tests/fakes/clock.c tests/fakes/cpu.c tests/fakes/frames.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/store.c tests/fakes/tlb.c tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include "mm/lazyfree.h"

#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/evict.h"
#include "mm/huge.h"
#include "mm/mman.h"
#include "mm/usage.h"
#include "syscalls.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/store.h"
#include "tests/unit/ktest.h"

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS, ALL = 100000 };

#define BASE 0x7000000000ull

static struct process test_process;
static long frames_at_start, objects_at_start;

static struct aspace *
set_up(void)
{
	struct aspace *as;

	if (!kernel_page_table) {
		kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
		aspace_init();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(test_process.rlimits); i++)
		test_process.rlimits[i] = (struct rlimit){UINT64_MAX, UINT64_MAX};
	fake_thread.process = &test_process;
	frames_at_start = fake_frames_live;
	objects_at_start = fake_kmalloc_live;
	as = aspace_create();
	test_process.aspace = as;
	return as;
}

static bool
nothing_is_left(struct aspace *as)
{
	aspace_put(as);
	return fake_frames_live == frames_at_start &&
	       fake_kmalloc_live == objects_at_start &&
	       fake_mem_counters[MEM_ANON] == 0 && fake_mem_counters[MEM_ANON_HUGE] == 0;
}

/* The byte at `va` as the program would reach it, with the processor's marks. */
static char *
reach(struct aspace *as, vaddr_t va, unsigned access)
{
	uint64_t marks = PTE_ACCESSED | (access == AREA_WRITE ? PTE_DIRTY : 0);
	uint64_t need = PTE_PRESENT | (access == AREA_WRITE ? PTE_WRITE : 0);
	unsigned level;

	for (;;) {
		pte_t *pte = pt_walk(as->page_table, va, false, &level);

		if (pte && (*pte & need) == need) {
			*pte |= marks;
			return (char *)phys_to_virt(pte_phys(upt_entry(as, va))) +
			       va % PAGE_SIZE;
		}
		if (aspace_fault(as, va, access) != OK)
			return NULL;
	}
}

static void
fill(struct aspace *as, vaddr_t start, unsigned pages, char c)
{
	for (unsigned i = 0; i < pages; i++)
		*reach(as, start + i * PAGE_SIZE, AREA_WRITE) = c;
}

static char
look(struct aspace *as, unsigned page)
{
	return *reach(as, BASE + page * PAGE_SIZE, AREA_READ);
}

KTEST(lazyfree_pages_stay_until_they_are_wanted)
{
	struct aspace *as = set_up();
	struct area_usage u = {.rss = 0};

	CHECK_EQ(aspace_map(as, BASE, 10 * PAGE_SIZE, RW, ANON, NULL, 0), BASE);
	fill(as, BASE, 10, 'a');
	CHECK_EQ(sys_madvise(BASE, 8 * PAGE_SIZE, MADV_FREE), OK);
	CHECK_EQ(as->resident, 10);
	CHECK(look(as, 0) == 'a');
	area_add_usage(area_find(as, BASE), &u);
	CHECK_EQ(u.lazy, 8 * PAGE_SIZE);
	CHECK_EQ(u.private_clean, 8 * PAGE_SIZE);
	*reach(as, BASE + PAGE_SIZE, AREA_WRITE) = 'b'; /* the program's write */
	CHECK_EQ(aspace_write(as, BASE + 2 * PAGE_SIZE, "c", 1), 1); /* the kernel's */
	CHECK_EQ(aspace_poke(as, BASE + 3 * PAGE_SIZE, "d", 1), 1);
	CHECK_EQ(lazyfree_pages(ALL), 5);
	CHECK_EQ(as->resident, 5);
	CHECK(look(as, 0) == 0 && look(as, 1) == 'b' && look(as, 2) == 'c');
	CHECK(look(as, 3) == 'd' && look(as, 7) == 0 && look(as, 8) == 'a');
	CHECK_EQ(lazyfree_pages(ALL), 0);
	CHECK(nothing_is_left(as));
}

KTEST(lazyfree_leaves_what_a_child_shares_or_somebody_holds)
{
	struct aspace *as = set_up(), *child;
	struct page *held;

	CHECK_EQ(aspace_map(as, BASE, 4 * PAGE_SIZE, RW, ANON, NULL, 0), BASE);
	fill(as, BASE, 4, 'a');
	CHECK_EQ(sys_madvise(BASE, 4 * PAGE_SIZE, MADV_FREE), OK);
	child = aspace_fork(as);
	CHECK_EQ(lazyfree_pages(ALL), 0);
	*reach(as, BASE, AREA_WRITE) = 'b';
	aspace_put(child);
	held = page_get(phys_to_page(pte_phys(upt_entry(as, BASE + PAGE_SIZE))));
	*reach(as, BASE + 2 * PAGE_SIZE, AREA_WRITE) = 'c'; /* in place */
	CHECK_EQ(sys_madvise(BASE + 3 * PAGE_SIZE, PAGE_SIZE, MADV_FREE), OK);
	CHECK_EQ(sys_madvise(BASE, PAGE_SIZE, MADV_FREE), OK);
	*reach(as, BASE, AREA_WRITE) = 'd';
	CHECK_EQ(lazyfree_pages(ALL), 1);
	CHECK(look(as, 0) == 'd' && look(as, 1) == 'a' && look(as, 2) == 'c');
	CHECK(look(as, 3) == 0);
	page_put(held);
	CHECK(nothing_is_left(as));
}

KTEST(lazyfree_takes_huge_pages_whole)
{
	struct aspace *as = set_up();

	CHECK(aspace_map(as, BASE, 3 * HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	for (unsigned i = 0; i < 3; i++)
		fill(as, BASE + i * HUGE_SIZE, 2, 'a');
	CHECK_EQ(as->resident, 3 * HUGE_PAGES);
	/* The first two whole, of the third a part. */
	CHECK_EQ(sys_madvise(BASE, 2 * HUGE_SIZE + PAGE_SIZE, MADV_FREE), OK);
	fill(as, BASE + HUGE_SIZE, 1, 'b');
	CHECK_EQ(lazyfree_pages(ALL), HUGE_PAGES + 1);
	CHECK_EQ(as->resident, 2 * HUGE_PAGES - 1);
	CHECK_EQ(fake_mem_counters[MEM_ANON_HUGE], HUGE_PAGES);
	CHECK(look(as, 0) == 0 && look(as, HUGE_PAGES) == 'b');
	CHECK(look(as, 2 * HUGE_PAGES) == 0 && look(as, 2 * HUGE_PAGES + 1) == 'a');
	CHECK_EQ(sys_madvise(BASE + HUGE_SIZE, HUGE_SIZE, MADV_FREE), OK);
	CHECK_EQ(aspace_write(as, BASE + HUGE_SIZE, "c", 1), 1);
	CHECK_EQ(lazyfree_pages(ALL), 0);
	CHECK(look(as, HUGE_PAGES) == 'c');
	CHECK(nothing_is_left(as));
}

static struct aspace *waited_for;

static void
end_work(void)
{
	waited_for->lazy_users = 0;
}

KTEST(lazyfree_is_over_before_a_space_goes)
{
	struct aspace *as = set_up();

	CHECK_EQ(aspace_map(as, BASE, PAGE_SIZE, RW, ANON, NULL, 0), BASE);
	fill(as, BASE, 1, 'a');
	CHECK_EQ(sys_madvise(BASE, PAGE_SIZE, MADV_FREE), OK);
	as->lazy_users = 1;
	waited_for = as;
	fake_on_sleep = end_work;
	CHECK(nothing_is_left(as));
	fake_on_sleep = NULL;
	CHECK_EQ(lazyfree_pages(ALL), 0);
}

KTEST(cold_advice_makes_file_pages_go_first_and_pageout_at_once)
{
	struct aspace *as = set_up();
	struct fake_store s;

	fake_store_init(&s, 16);
	CHECK_EQ(aspace_map(as, BASE, 16 * PAGE_SIZE, PROT_READ, MAP_SHARED, &s.file, 0),
	    BASE);
	for (unsigned i = 0; i < 16; i++)
		CHECK(look(as, i) == (char)i);
	CHECK_EQ(sys_madvise(BASE, 4 * PAGE_SIZE, MADV_COLD), OK);
	CHECK_EQ(as->resident, 16);
	CHECK_EQ(evict_pages(ALL, 16), 4);
	CHECK_EQ(as->resident, 12);
	for (unsigned i = 8; i < 16; i++)
		(void)look(as, i);
	CHECK_EQ(sys_madvise(BASE + 8 * PAGE_SIZE, 4 * PAGE_SIZE, MADV_PAGEOUT), OK);
	CHECK_EQ(as->resident, 8);
	CHECK_EQ(s.cache.num_pages, 8);
	CHECK(look(as, 9) == 9 && look(as, 0) == 0 && s.reads > 16);
	/* The file of others may not be put out. */
	s.file.mode = FILE_READ;
	CHECK_EQ(sys_madvise(BASE, 16 * PAGE_SIZE, MADV_PAGEOUT), OK);
	CHECK(s.cache.num_pages >= 10);
	CHECK_EQ(aspace_unmap(as, BASE, 16 * PAGE_SIZE), OK);
	page_cache_destroy(&s.cache);
	CHECK(nothing_is_left(as));
}

KTEST(pageout_frees_what_was_given_up)
{
	struct aspace *as = set_up();

	CHECK_EQ(aspace_map(as, BASE, 4 * PAGE_SIZE, RW, ANON, NULL, 0), BASE);
	fill(as, BASE, 4, 'a');
	CHECK_EQ(sys_madvise(BASE, 2 * PAGE_SIZE, MADV_FREE), OK);
	CHECK_EQ(sys_madvise(BASE, 4 * PAGE_SIZE, MADV_COLD), OK);
	CHECK_EQ(as->resident, 4);
	CHECK_EQ(sys_madvise(BASE, 4 * PAGE_SIZE, MADV_PAGEOUT), OK);
	CHECK_EQ(as->resident, 2);
	CHECK(look(as, 0) == 0 && look(as, 2) == 'a');
	CHECK(nothing_is_left(as));
}
