/*
 * Pages of 2 MiB: single operations, and long random runs on a few huge pages of two
 * spaces, parent and child, compared with a plain array of pages. LINK: mm/access.c
 * mm/advise.c mm/cold.c mm/anon.c mm/area.c mm/aspace.c mm/commit.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/map.c
 * mm/evict.c mm/pagecache.c mm/pagetable.c mm/remap.c mm/shmem.c mm/usage.c mm/userpt.c lib/rbtree.c
 * lib/string.c tests/fakes/clock.c tests/fakes/cpu.c tests/fakes/frames.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/tlb.c tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/huge.h"
#include "mm/mman.h"
#include "mm/usage.h"
#include "syscalls.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED };

#define BASE 0x7000000000ull

static struct process test_process;
static long frames_at_start, objects_at_start;
static uint64_t seed;

static unsigned
rnd(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((seed >> 33) % below);
}

static void
set_up(void)
{
	if (!kernel_page_table) {
		kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
		aspace_init();
	}
	huge_mode = HUGE_ALWAYS;
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
	       fake_kmalloc_live == objects_at_start &&
	       fake_mem_counters[MEM_ANON] == 0 && fake_mem_counters[MEM_ANON_HUGE] == 0;
}

/* The byte at `va` as the program would reach it, faults included; NULL: a signal. */
static char *
reach(struct aspace *as, vaddr_t va, unsigned access)
{
	for (int tries = 0; tries < 3; tries++) {
		pte_t entry = upt_entry(as, va);
		uint64_t need =
		    PTE_PRESENT | PTE_USER | (access == AREA_WRITE ? PTE_WRITE : 0);

		if ((entry & need) == need)
			return (char *)phys_to_virt(pte_phys(entry)) + va % PAGE_SIZE;
		if (aspace_fault(as, va, access) != OK)
			return NULL;
	}
	ktest_fail(__FILE__, __LINE__, "a resolved fault lets the access through", 0, 0);
	return NULL;
}

static uint64_t
huge_bytes(struct aspace *as)
{
	struct area_usage u = {.rss = 0};

	for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
		area_add_usage(a, &u);
	return u.huge;
}

/* ---- Single operations ---- */

KTEST(huge_page_comes_with_the_first_write_where_it_fits)
{
	struct aspace *as;

	set_up();
	as = aspace_create();
	/* Of four, the first and the last are cut off by the area's ends. */
	CHECK_EQ(aspace_map(as, BASE + PAGE_SIZE, 4 * HUGE_SIZE - 2 * PAGE_SIZE, RW, ANON,
	             NULL, 0),
	    BASE + PAGE_SIZE);
	*reach(as, BASE + PAGE_SIZE, AREA_WRITE) = 1;
	CHECK_EQ(as->resident, 1);
	CHECK(
	    *reach(as, BASE + 2 * HUGE_SIZE + 5, AREA_READ) == 0); /* the page of zeros */
	*reach(as, BASE + 2 * HUGE_SIZE + 5, AREA_WRITE) = 1;
	CHECK_EQ(as->resident, 2);
	*reach(as, BASE + HUGE_SIZE + 12345, AREA_WRITE) = 7;
	CHECK_EQ(as->resident, 2 + 512);
	CHECK_EQ(as->resident_anon, 2 + 512);
	CHECK_EQ(huge_bytes(as), HUGE_SIZE);
	CHECK_EQ(fake_mem_counters[MEM_ANON_HUGE], 512);
	CHECK(*reach(as, BASE + HUGE_SIZE + 12345, AREA_READ) == 7);
	CHECK(*reach(as, BASE + 2 * HUGE_SIZE - 1, AREA_READ) == 0);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_pages_are_not_given_where_they_are_not_wanted)
{
	struct aspace *as;

	set_up();
	as = aspace_create();
	test_process.aspace = as;
	CHECK(aspace_map(as, BASE, HUGE_SIZE, RW, ANON | MAP_STACK, NULL, 0) > 0);
	CHECK(aspace_map(as, BASE + 4 * HUGE_SIZE, 4 * HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	reach(as, BASE, AREA_WRITE);
	CHECK_EQ(huge_bytes(as), 0);
	CHECK_EQ(sys_madvise(BASE + 4 * HUGE_SIZE, HUGE_SIZE, MADV_NOHUGEPAGE), OK);
	reach(as, BASE + 4 * HUGE_SIZE, AREA_WRITE);
	CHECK_EQ(huge_bytes(as), 0);
	huge_mode = HUGE_MADVISE;
	reach(as, BASE + 5 * HUGE_SIZE, AREA_WRITE);
	CHECK_EQ(huge_bytes(as), 0);
	CHECK_EQ(sys_madvise(BASE + 6 * HUGE_SIZE, 2 * HUGE_SIZE, MADV_HUGEPAGE), OK);
	as->no_huge_pages = true;
	reach(as, BASE + 6 * HUGE_SIZE, AREA_WRITE);
	CHECK_EQ(huge_bytes(as), 0);
	as->no_huge_pages = false;
	reach(as, BASE + 7 * HUGE_SIZE, AREA_WRITE);
	CHECK_EQ(huge_bytes(as), HUGE_SIZE);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_page_shared_by_fork_is_cut_by_the_first_write_and_whole_for_the_last)
{
	struct aspace *as, *child;

	set_up();
	as = aspace_create();
	CHECK(aspace_map(as, BASE, 2 * HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	*reach(as, BASE + 1, AREA_WRITE) = 'a';
	*reach(as, BASE + HUGE_SIZE, AREA_WRITE) = 'b';
	child = aspace_fork(as);
	CHECK_EQ(child->resident, 1024);
	CHECK_EQ(fake_mem_counters[MEM_ANON], 1024); /* the same pages */
	*reach(child, BASE + 1, AREA_WRITE) = 'c';
	CHECK_EQ(fake_mem_counters[MEM_ANON], 1025);
	CHECK_EQ(huge_bytes(child), HUGE_SIZE);
	CHECK_EQ(huge_bytes(as), 2 * HUGE_SIZE);
	CHECK(*reach(as, BASE + 1, AREA_READ) == 'a');
	aspace_put(child);
	*reach(as, BASE + HUGE_SIZE, AREA_WRITE) = 'd'; /* in place */
	CHECK_EQ(huge_bytes(as), 2 * HUGE_SIZE);
	CHECK_EQ(fake_mem_counters[MEM_ANON], 1024);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_page_with_a_page_in_other_hands_is_cut_and_copied)
{
	struct aspace *as, *child;
	struct page *held;

	set_up();
	as = aspace_create();
	CHECK(aspace_map(as, BASE, HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	*reach(as, BASE + 5 * PAGE_SIZE, AREA_WRITE) = 'a';
	held = page_get(phys_to_page(pte_phys(upt_entry(as, BASE + 5 * PAGE_SIZE))));
	child = aspace_fork(as);
	aspace_put(child);
	*reach(as, BASE + 5 * PAGE_SIZE, AREA_WRITE) = 'b';
	CHECK(*(char *)page_to_virt(held) == 'a');
	CHECK_EQ(aspace_unmap(as, BASE, HUGE_SIZE), OK);
	CHECK(*(char *)page_to_virt(held) == 'a');
	page_put(held);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_pages_move_whole_where_they_fit)
{
	uint64_t splits = huge_counts.split;
	struct aspace *as;

	set_up();
	as = aspace_create();
	CHECK(aspace_map(as, BASE, 2 * HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	*reach(as, BASE + 5, AREA_WRITE) = 'a';
	*reach(as, BASE + HUGE_SIZE + 5, AREA_WRITE) = 'b';
	CHECK_EQ(aspace_remap(as, BASE, 2 * HUGE_SIZE, 2 * HUGE_SIZE,
	             MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 8 * HUGE_SIZE),
	    BASE + 8 * HUGE_SIZE);
	CHECK_EQ(huge_counts.split, splits);
	CHECK_EQ(huge_bytes(as), 2 * HUGE_SIZE);
	CHECK_EQ(as->resident, 2 * HUGE_PAGES);
	CHECK(*reach(as, BASE + 8 * HUGE_SIZE + 5, AREA_READ) == 'a');
	CHECK(*reach(as, BASE + 9 * HUGE_SIZE + 5, AREA_READ) == 'b');
	CHECK(!reach(as, BASE + 5, AREA_READ));
	/* A page further they do not fit; and what was kept for cutting came along. */
	CHECK_EQ(aspace_remap(as, BASE + 8 * HUGE_SIZE, HUGE_SIZE, HUGE_SIZE,
	             MREMAP_MAYMOVE | MREMAP_FIXED, BASE + PAGE_SIZE),
	    BASE + PAGE_SIZE);
	CHECK_EQ(huge_counts.split, splits + 1);
	CHECK(*reach(as, BASE + PAGE_SIZE + 5, AREA_READ) == 'a');
	CHECK_EQ(huge_bytes(as), HUGE_SIZE);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_page_a_debugger_writes_to_stays_unwritable_for_the_program)
{
	struct aspace *as;

	set_up();
	as = aspace_create();
	CHECK(aspace_map(as, BASE, 2 * HUGE_SIZE, RW, ANON, NULL, 0) > 0);
	*reach(as, BASE, AREA_WRITE) = 'a';
	CHECK_EQ(aspace_protect(as, BASE, 2 * HUGE_SIZE, PROT_READ), OK);
	CHECK_EQ(aspace_poke(as, BASE, "b", 1), 1);             /* a page that is there */
	CHECK_EQ(aspace_poke(as, BASE + HUGE_SIZE, "c", 1), 1); /* and one that is not */
	for (vaddr_t va = BASE; va < BASE + 2 * HUGE_SIZE; va += PAGE_SIZE)
		CHECK(!(upt_entry(as, va) & PTE_WRITE));
	CHECK(*reach(as, BASE, AREA_READ) == 'b');
	CHECK(*reach(as, BASE + HUGE_SIZE, AREA_READ) == 'c');
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(huge_pages_survive_every_failing_allocation)
{
	for (unsigned n = 1; n < 30; n++) {
		struct aspace *as, *child;

		set_up();
		fake_kmalloc_fail_nth(n);
		fake_frames_fail_nth(n);
		as = aspace_create();
		if (as) {
			(void)aspace_map(as, BASE, 3 * HUGE_SIZE, RW, ANON, NULL, 0);
			(void)aspace_fault(as, BASE, AREA_WRITE);
			(void)aspace_fault(as, BASE + HUGE_SIZE, AREA_WRITE);
			(void)aspace_protect(as, BASE + 4096, 4096, PROT_READ);
			child = aspace_fork(as);
			if (child) {
				(void)aspace_fault(child, BASE + HUGE_SIZE, AREA_WRITE);
				aspace_put(child);
			}
			(void)aspace_unmap(as, BASE + HUGE_SIZE + 4096, 4096);
			aspace_put(as);
		}
		fake_kmalloc_fail_nth(0);
		fake_frames_fail_nth(0);
		CHECK(nothing_is_left());
	}
}

/* ---- Random runs against a model ---- */

enum { PAGES = 3 * HUGE_PAGES + 77, SPACES = 2, STEPS = 400 };

struct mpage {
	bool is_mapped;
	uint8_t prot, value;
};

static struct space {
	struct aspace *as;
	struct mpage pages[PAGES];
} spaces[SPACES];

static vaddr_t
at(unsigned page)
{
	return BASE + (vaddr_t)page * PAGE_SIZE;
}

static bool
map_pages(struct space *s, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		s->pages[i] = (struct mpage){true, RW, 0};
	return aspace_map(s->as, at(first), n * 4096ull, RW, ANON, NULL, 0) ==
	       (long)at(first);
}

static bool
unmap_pages(struct space *s, unsigned first, unsigned n)
{
	memset(&s->pages[first], 0, n * sizeof(s->pages[0]));
	return aspace_unmap(s->as, at(first), n * 4096ull) == OK;
}

static bool
protect_pages(struct space *s, unsigned first, unsigned n)
{
	static const uint8_t rights[] = {PROT_NONE, PROT_READ, RW, RW};
	uint8_t prot = rights[rnd(4)];
	enum err expected = OK;

	for (unsigned i = first; i < first + n && expected == OK; i++) {
		if (s->pages[i].is_mapped)
			s->pages[i].prot = prot;
		else
			expected = ERR_NOMEM;
	}
	return aspace_protect(s->as, at(first), n * 4096ull, prot) == expected;
}

static bool
discard_pages(struct space *s, unsigned first, unsigned n)
{
	enum err expected = OK;

	for (unsigned i = first; i < first + n; i++) {
		if (!s->pages[i].is_mapped)
			expected = ERR_NOMEM;
		s->pages[i].value = 0;
	}
	test_process.aspace = s->as;
	return sys_madvise(at(first), n * 4096ull, MADV_DONTNEED) == expected;
}

static bool
move_pages(struct space *s, unsigned first, unsigned n)
{
	struct area *a = area_find(s->as, at(first));
	unsigned to = rnd(PAGES - n + 1);
	static struct mpage moved[PAGES];

	if (rnd(2)) /* where whole ones fit */
		to = ALIGN_DOWN(to, (unsigned)HUGE_PAGES);

	if (!a || a->end < at(first + n) || (to < first + n && first < to + n))
		return true;
	memcpy(moved, &s->pages[first], n * sizeof(moved[0]));
	memset(&s->pages[first], 0, n * sizeof(moved[0]));
	memcpy(&s->pages[to], moved, n * sizeof(moved[0]));
	return aspace_remap(s->as, at(first), n * 4096ull, n * 4096ull,
	           MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) == (long)at(to);
}

static bool
fork_space(struct space *s)
{
	struct space *to = &spaces[s == &spaces[0]];

	if (to->as)
		aspace_put(to->as);
	to->as = aspace_fork(s->as);
	memcpy(to->pages, s->pages, sizeof(to->pages));
	return to->as != NULL;
}

static bool
touch_page(struct space *s, unsigned i)
{
	unsigned access = rnd(2) ? AREA_WRITE : AREA_READ;
	const struct mpage *p = &s->pages[i];
	bool may = p->is_mapped && (access == AREA_READ ? p->prot : p->prot & PROT_WRITE);
	char *byte = reach(s->as, at(i) + 9, access);

	if (!may)
		return !byte;
	if (!byte || *(uint8_t *)byte != p->value)
		return false;
	if (access == AREA_WRITE)
		*byte = (char)(s->pages[i].value = (uint8_t)rnd(256));
	return true;
}

/* As a debugger writes: rights do not matter. */
static bool
poke_page(struct space *s, unsigned i)
{
	uint8_t value = (uint8_t)rnd(256), old;
	bool is_mapped = s->pages[i].is_mapped;

	if (aspace_peek(s->as, at(i) + 9, &old, 1) != is_mapped ||
	    (is_mapped && old != s->pages[i].value))
		return false;
	s->pages[i].value = is_mapped ? value : 0;
	return aspace_poke(s->as, at(i) + 9, &value, 1) == is_mapped;
}

static bool
random_step(void)
{
	struct space *s = &spaces[rnd(SPACES)];
	unsigned first = rnd(PAGES), n = 1 + rnd(MIN(PAGES - first, 700u));

	if (!s->as)
		s = &spaces[0];
	if (rnd(3) == 0) { /* whole ones */
		first = rnd(3) * HUGE_PAGES;
		n = HUGE_PAGES * (1 + rnd(3 - first / HUGE_PAGES));
	}
	switch (rnd(24)) {
	case 0:
	case 1: return map_pages(s, first, n);
	case 2: return unmap_pages(s, first, n);
	case 3:
	case 4: return protect_pages(s, first, n);
	case 5: return discard_pages(s, first, n);
	case 6: return move_pages(s, first, n);
	case 7: return fork_space(s);
	case 8:
	case 9: return poke_page(s, first);
	default: return touch_page(s, first);
	}
}

static bool
all_pages_agree(void)
{
	for (struct space *s = spaces; s < spaces + SPACES; s++) {
		for (unsigned i = 0; s->as && i < PAGES; i++) {
			uint8_t value = 0;

			if (aspace_peek(s->as, at(i) + 9, &value, 1) !=
			        s->pages[i].is_mapped ||
			    value != s->pages[i].value)
				return false;
		}
	}
	return true;
}

KTEST(huge_random_changes_agree_with_the_model)
{
	uint64_t huge_seen = huge_counts.allocated, split_seen = huge_counts.split;

	for (uint64_t run = 1; run <= 40; run++) {
		set_up();
		seed = run;
		memset(spaces, 0, sizeof(spaces));
		spaces[0].as = aspace_create();
		CHECK(map_pages(&spaces[0], 0, PAGES));
		for (unsigned step = 0; step < STEPS; step++) {
			if (!random_step()) {
				ktest_fail(__FILE__, __LINE__, "step of run", (long)step,
				    (long)run);
				return;
			}
		}
		CHECK(all_pages_agree());
		for (unsigned i = 0; i < SPACES; i++)
			if (spaces[i].as)
				aspace_put(spaces[i].as);
		CHECK(nothing_is_left());
	}
	CHECK(huge_counts.allocated > huge_seen + 100);
	CHECK(huge_counts.split > split_seen + 100);
}
