/*
 * Address spaces on fake physical memory: single operations, and long random runs of them
 * compared with a plain array of pages. LINK: mm/access.c mm/advise.c mm/cold.c mm/anon.c mm/area.c
 * mm/aspace.c mm/commit.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/map.c mm/evict.c mm/pagecache.c mm/pagetable.c mm/remap.c
 * mm/shmem.c mm/userpt.c lib/rbtree.c lib/string.c tests/fakes/clock.c tests/fakes/cpu.c
 * tests/fakes/frames.c tests/fakes/kmalloc.c tests/fakes/mutex.c tests/fakes/panic.c
 * tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/tlb.c tests/fakes/vm_env.c
 * tests/fakes/wait.c
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/commit.h"
#include "mm/filemap.h"
#include "mm/mman.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "mm/userpt.h"
#include "syscalls.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static uint64_t seed = 1;

static unsigned
rnd(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((seed >> 33) % below);
}

/* ---- Set-up ---- */

static long frames_at_start, objects_at_start;

static void
set_up(void)
{
	if (!kernel_page_table) {
		kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
		aspace_init();
	}
	frames_at_start = fake_frames_live;
	objects_at_start = fake_kmalloc_live;
}

static bool
nothing_is_left(void)
{
	return fake_frames_live == frames_at_start &&
	       fake_kmalloc_live == objects_at_start &&
	       fake_mem_counters[MEM_ANON] == 0 && fake_mem_counters[MEM_COMMITTED] == 0;
}

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

#define BASE 0x7000000000ull

/* The byte at `va` as the program would reach it, faults included; NULL: a signal. */
static char *
reach(struct aspace *as, vaddr_t va, unsigned access)
{
	for (int tries = 0; tries < 3; tries++) {
		pte_t entry = upt_entry(as, va);
		uint64_t need =
		    PTE_PRESENT | PTE_USER | (access == AREA_WRITE ? PTE_WRITE : 0);

		if ((entry & need) == need && (access != AREA_EXEC || !(entry & PTE_NX)))
			return (char *)phys_to_virt(pte_phys(entry)) + va % PAGE_SIZE;
		if (aspace_fault(as, va, access) != OK)
			return NULL;
	}
	ktest_fail(__FILE__, __LINE__, "a resolved fault lets the access through", 0, 0);
	return NULL;
}

/* ---- Single operations ---- */

KTEST(aspace_reap_takes_private_memory_and_leaves_shared)
{
	struct aspace *as;
	long p, q;

	set_up();
	as = aspace_create();
	p = aspace_map(as, 0, 3 * PAGE_SIZE, RW, ANON, NULL, 0);
	q = aspace_map(as, 0, PAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, NULL, 0);
	*reach(as, (vaddr_t)p, AREA_WRITE) = 1;
	*reach(as, (vaddr_t)q, AREA_WRITE) = 2;
	CHECK_EQ(as->resident_anon, 1);
	aspace_reap(as);
	CHECK_EQ(as->resident_anon, 0);
	CHECK(as->is_reaped);
	/* Zeros in its place would be believed. */
	CHECK_EQ(aspace_fault(as, (vaddr_t)p, AREA_READ), ERR_ACCES);
	CHECK_EQ(aspace_fault(as, (vaddr_t)p + PAGE_SIZE, AREA_WRITE), ERR_ACCES);
	CHECK_EQ(*reach(as, (vaddr_t)q, AREA_READ), 2);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_promises_are_counted_and_bounded_in_the_strict_mode)
{
	uint64_t allowed = commit_limit();
	struct aspace *as, *child;
	long p;

	set_up();
	overcommit_memory = OVERCOMMIT_NEVER;
	admin_reserve_kbytes = user_reserve_kbytes = 0;
	as = aspace_create();
	p = aspace_map(as, 0, allowed / 2 * PAGE_SIZE, RW, ANON | MAP_NORESERVE, NULL, 0);
	CHECK(p > 0);
	CHECK_EQ(fake_mem_counters[MEM_COMMITTED], (int64_t)(allowed / 2));
	CHECK_EQ(aspace_map(as, 0, (allowed / 2 + 2) * PAGE_SIZE, RW, ANON, NULL, 0),
	    ERR_NOMEM);
	CHECK_EQ(aspace_map(as, 0, (allowed / 2 + 2) * PAGE_SIZE, RW,
	             MAP_SHARED | MAP_ANONYMOUS, NULL, 0),
	    ERR_NOMEM);
	CHECK(aspace_fork(as) == NULL);
	CHECK_EQ(aspace_unmap(as, (vaddr_t)p, 3 * PAGE_SIZE), OK);
	CHECK_EQ(fake_mem_counters[MEM_COMMITTED], (int64_t)(allowed / 2) - 3);
	child = aspace_fork(as);
	CHECK(child != NULL);
	aspace_put(child);
	overcommit_memory = OVERCOMMIT_GUESS;
	CHECK_EQ(
	    aspace_protect(as, (vaddr_t)p + 3 * PAGE_SIZE, PAGE_SIZE, PROT_READ), OK);
	CHECK_EQ(fake_mem_counters[MEM_COMMITTED], (int64_t)(allowed / 2) - 3);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_anonymous_memory_reads_zeros_then_keeps_what_is_written)
{
	struct aspace *as;
	long at;

	set_up();
	as = aspace_create();
	at = aspace_map(as, 0, 3 * PAGE_SIZE, RW, ANON, NULL, 0);
	CHECK(at > 0 && at % PAGE_SIZE == 0);
	CHECK(*reach(as, at + 5, AREA_READ) == 0);
	CHECK_EQ(as->resident, 0);
	*reach(as, at + 5, AREA_WRITE) = 'x';
	CHECK(*reach(as, at + 5, AREA_READ) == 'x');
	CHECK_EQ(as->resident, 1);
	CHECK(!reach(as, at, AREA_EXEC));
	CHECK(!reach(as, at + 3 * PAGE_SIZE, AREA_READ));
	CHECK_EQ(aspace_unmap(as, at, 3 * PAGE_SIZE), OK);
	CHECK(!reach(as, at, AREA_READ));
	CHECK_EQ(as->resident, 0);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_map_refuses_nonsense)
{
	static const struct file_ops unmappable;
	struct file f = {.ops = &unmappable, .refs = 1, .mode = FILE_READ};
	struct aspace *as;

	set_up();
	as = aspace_create();
	CHECK_EQ(aspace_map(as, 0, 0, RW, ANON, NULL, 0), ERR_INVAL);
	CHECK_EQ(aspace_map(as, 0, 4096, RW, MAP_ANONYMOUS, NULL, 0), ERR_INVAL);
	CHECK_EQ(aspace_map(as, 0, 1ull << 47, RW, ANON, NULL, 0), ERR_NOMEM);
	CHECK_EQ(aspace_map(as, 0, -1ull, RW, ANON, NULL, 0), ERR_NOMEM);
	CHECK_EQ(aspace_map(as, 0, 4096, RW, ANON, NULL, 5), ERR_INVAL);
	CHECK_EQ(aspace_map(as, 4097, 4096, RW, ANON | MAP_FIXED, NULL, 0), ERR_INVAL);
	CHECK_EQ(aspace_map(as, 4096, 4096, RW, ANON | MAP_FIXED, NULL, 0), ERR_PERM);
	CHECK_EQ(aspace_map(as, USER_SPACE_END, 4096, RW, ANON | MAP_FIXED, NULL, 0),
	    ERR_NOMEM);
	CHECK_EQ(aspace_map(as, 0, 4096, PROT_READ, MAP_PRIVATE, &f, 0), ERR_NODEV);
	CHECK_EQ(aspace_map(as, 0, 4096, RW, MAP_SHARED, &f, 0), ERR_ACCES);
	CHECK_EQ(f.refs, 1);
	CHECK_EQ(aspace_unmap(as, 1, 4096), ERR_INVAL);
	CHECK_EQ(aspace_unmap(as, BASE, 0), ERR_INVAL);
	CHECK_EQ(aspace_unmap(as, 0, -1ull), ERR_INVAL);
	CHECK_EQ(aspace_protect(as, BASE, 4096, PROT_READ), ERR_NOMEM);
	CHECK(rb_is_empty(&as->areas));
	CHECK_EQ(aspace_map(as, BASE, 8192, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	CHECK_EQ(
	    aspace_map(as, BASE + 4096, 8192, RW, ANON | MAP_FIXED_NOREPLACE, NULL, 0),
	    ERR_EXIST);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_neighbours_with_the_same_rights_are_one_area)
{
	struct aspace *as;
	struct area *a;

	set_up();
	as = aspace_create();
	CHECK_EQ(aspace_map(as, BASE, 4096, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	CHECK_EQ(aspace_map(as, BASE + 8192, 4096, RW, ANON | MAP_FIXED, NULL, 0),
	    BASE + 8192);
	CHECK_EQ(aspace_map(as, BASE + 4096, 4096, RW, ANON | MAP_FIXED, NULL, 0),
	    BASE + 4096);
	a = area_find(as, BASE);
	CHECK(a && a->end == BASE + 3 * 4096 && !area_next(a) && !area_prev(a));
	CHECK_EQ(aspace_protect(as, BASE + 4096, 4096, PROT_READ), OK);
	CHECK(area_find(as, BASE)->end == BASE + 4096);
	CHECK_EQ(aspace_protect(as, BASE + 4096, 4096, RW), OK);
	CHECK(area_find(as, BASE)->end == BASE + 3 * 4096);
	CHECK_EQ(as->num_pages, 3);
	CHECK_EQ(as->data_pages, 3);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_last_owner_writes_a_copied_page_in_place)
{
	struct aspace *a, *b;
	char *page;

	set_up();
	a = aspace_create();
	CHECK_EQ(aspace_map(a, BASE, 4096, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	page = reach(a, BASE, AREA_WRITE);
	*page = 1;
	b = aspace_fork(a);
	CHECK(reach(b, BASE, AREA_READ) == page);
	*reach(b, BASE, AREA_WRITE) = 2;
	CHECK(reach(b, BASE, AREA_READ) != page && *page == 1);
	CHECK(reach(a, BASE, AREA_WRITE) == page);
	aspace_put(b);
	CHECK(reach(a, BASE, AREA_WRITE) == page);
	aspace_put(a);
	CHECK(nothing_is_left());
}

KTEST(aspace_stack_grows_within_its_limit_and_keeps_its_gap)
{
	static struct process p;
	struct aspace *as;
	vaddr_t top = 0x7ff000000000;

	set_up();
	p.rlimits[RLIMIT_STACK].cur = MIB(8);
	p.rlimits[RLIMIT_AS].cur = p.rlimits[RLIMIT_DATA].cur = RLIM_INFINITY;
	fake_thread.process = &p;
	as = aspace_create();
	CHECK_EQ(aspace_map_stack(as, top, 2 * PAGE_SIZE, RW), OK);
	CHECK(reach(as, top - MIB(4), AREA_WRITE));
	CHECK(reach(as, top - MIB(8), AREA_WRITE));
	CHECK(!reach(as, top - MIB(8) - 1, AREA_WRITE));
	CHECK_EQ(aspace_map(as, top - MIB(10), 4096, RW, ANON | MAP_FIXED, NULL, 0),
	    top - MIB(10));
	p.rlimits[RLIMIT_STACK].cur = MIB(16);
	CHECK(reach(as, top - MIB(9) + 8192, AREA_WRITE));
	CHECK(!reach(as, top - MIB(9), AREA_WRITE));
	aspace_put(as);
	fake_thread.process = NULL;
	CHECK(nothing_is_left());
}

KTEST(aspace_brk_moves_both_ways)
{
	struct aspace *as;

	set_up();
	as = aspace_create();
	as->brk_start = as->brk = BASE + 100;
	CHECK_EQ(aspace_brk(as, 0), BASE + 100);
	CHECK_EQ(aspace_brk(as, BASE + 200), BASE + 200);
	CHECK_EQ(aspace_brk(as, BASE + 5 * PAGE_SIZE), BASE + 5 * PAGE_SIZE);
	*reach(as, BASE + 5 * PAGE_SIZE - 1, AREA_WRITE) = 'z';
	CHECK_EQ(aspace_brk(as, BASE + PAGE_SIZE), BASE + PAGE_SIZE);
	CHECK(!reach(as, BASE + 4 * PAGE_SIZE, AREA_READ));
	CHECK_EQ(
	    aspace_map(as, BASE + 8 * PAGE_SIZE, 4096, RW, ANON | MAP_FIXED, NULL, 0),
	    BASE + 8 * PAGE_SIZE);
	CHECK_EQ(aspace_brk(as, BASE + 9 * PAGE_SIZE), BASE + PAGE_SIZE);
	CHECK_EQ(aspace_brk(as, BASE + 7 * PAGE_SIZE), BASE + 7 * PAGE_SIZE);
	CHECK_EQ(*reach(as, BASE + 5 * PAGE_SIZE - 1, AREA_READ), 0);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_remap_grows_in_place_or_moves)
{
	struct aspace *as;
	long at;

	set_up();
	as = aspace_create();
	CHECK_EQ(aspace_map(as, BASE, 8192, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	*reach(as, BASE + 4096, AREA_WRITE) = 'm';
	CHECK_EQ(aspace_remap(as, BASE, 8192, 16384, 0, 0), BASE);
	CHECK_EQ(aspace_map(as, BASE + 16384, 4096, PROT_READ, ANON | MAP_FIXED, NULL, 0),
	    BASE + 16384);
	CHECK_EQ(aspace_remap(as, BASE, 16384, 32768, 0, 0), ERR_NOMEM);
	at = aspace_remap(as, BASE, 16384, 32768, MREMAP_MAYMOVE, 0);
	CHECK(at > 0 && at != BASE);
	CHECK(*reach(as, at + 4096, AREA_READ) == 'm' &&
	      *reach(as, at + 32767, AREA_READ) == 0);
	CHECK(!reach(as, BASE, AREA_READ));
	CHECK_EQ(aspace_remap(as, at, 32768, 4096, 0, 0), at);
	CHECK(!reach(as, at + 4096, AREA_READ));
	CHECK_EQ(aspace_remap(as, at + 1, 4096, 4096, 0, 0), ERR_INVAL);
	CHECK_EQ(aspace_remap(as, at, 4096, 0, 0, 0), ERR_INVAL);
	CHECK_EQ(aspace_remap(as, at, 8192, 4096, 0, 0), ERR_FAULT);
	aspace_put(as);
	CHECK(nothing_is_left());
}

KTEST(aspace_read_and_write_reach_across_pages)
{
	struct aspace *as;
	char text[9000], back[9000];

	set_up();
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)rnd(256);
	as = aspace_create();
	CHECK_EQ(aspace_map(as, BASE, 4 * 4096, RW, ANON | MAP_FIXED, NULL, 0), BASE);
	CHECK_EQ(aspace_write(as, BASE + 3000, text, 9000), 9000);
	CHECK_EQ(aspace_read(as, BASE + 3000, back, 9000), 9000);
	CHECK(!memcmp(text, back, 9000));
	CHECK_EQ(aspace_read(as, BASE + 4 * 4096 - 10, back, 20), 10);
	CHECK_EQ(aspace_read(as, -20ull, back, 20), 0);
	aspace_put(as);
	CHECK(nothing_is_left());
}

/* ---- Random runs against a model ---- */

enum { PAGES = 48, FILE_PAGES = 24, SPACES = 3 };

/* UNKNOWN: mapped, but not followed any further. */
enum kind { NONE, PRIVATE, SHARED, FILE_PRIVATE, FILE_SHARED, UNKNOWN };

/* One page of a space as it should be. */
struct mpage {
	enum kind kind;
	int prot;
	bool is_own; /* PRIVATE kinds: `value` is the space's, else what is below */
	uint8_t value;
	uint8_t *shared;    /* SHARED: where all who share it look */
	unsigned file_page; /* FILE kinds */
};

struct space {
	struct aspace *as;
	struct mpage pages[PAGES];
};

static struct space spaces[SPACES];
static uint8_t file_values[FILE_PAGES];
static unsigned file_len;
static uint8_t shared_cells[200000];
static unsigned num_cells;
static struct page_cache cache;

static enum err
test_mmap(struct file *f, struct area *a)
{
	a->ops = &filemap_area_ops;
	return OK;
}

static void
test_release(struct file *f)
{
}

static const struct file_ops test_file_ops = {.mmap = test_mmap, .release = test_release};
static struct file *file;
static struct process test_process;

static bool
expect_access(const struct mpage *m, unsigned access)
{
	if (m->kind == NONE ||
	    !(m->prot & (access == AREA_WRITE ? PROT_WRITE : PROT_READ | PROT_WRITE)))
		return false;
	if (m->kind == FILE_SHARED || (m->kind == FILE_PRIVATE && !m->is_own))
		return m->file_page < file_len;
	return true;
}

static uint8_t *
model_value(struct mpage *m)
{
	static uint8_t zero;

	zero = 0;
	if (m->kind == SHARED)
		return m->shared;
	if (m->kind == FILE_SHARED || (m->kind == FILE_PRIVATE && !m->is_own))
		return &file_values[m->file_page];
	return m->is_own ? &m->value : &zero;
}

static bool
check_page(struct space *s, unsigned i)
{
	char *p = reach(s->as, BASE + i * 4096ull + 7, AREA_READ);

	if (s->pages[i].kind == UNKNOWN)
		return true;
	if (!p != !expect_access(&s->pages[i], AREA_READ))
		return false;
	return !p || *(uint8_t *)p == *model_value(&s->pages[i]);
}

static bool
write_page(struct space *s, unsigned i)
{
	struct mpage *m = &s->pages[i];
	char *p = reach(s->as, BASE + i * 4096ull + 7, AREA_WRITE);
	uint8_t v = (uint8_t)rnd(256);

	if (m->kind == UNKNOWN)
		return true;
	if (!p != !expect_access(m, AREA_WRITE))
		return false;
	if (!p)
		return true;
	if (m->kind == PRIVATE || m->kind == FILE_PRIVATE)
		m->is_own = true;
	*p = (char)v;
	*model_value(m) = v;
	return true;
}

static bool
map_pages(struct space *s, unsigned first, unsigned n)
{
	enum kind kind = 1 + rnd(4);
	int prot = (int)rnd(4), flags = MAP_FIXED;
	unsigned file_page = rnd(FILE_PAGES - n + 1);
	bool is_file = kind >= FILE_PRIVATE;
	long r;

	flags |= kind == PRIVATE || kind == FILE_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
	r = aspace_map(s->as, BASE + first * 4096ull, n * 4096ull - rnd(4000), prot,
	    flags | (is_file ? 0 : MAP_ANONYMOUS), is_file ? file : NULL,
	    file_page * 4096);
	for (unsigned i = 0; i < n; i++) {
		s->pages[first + i] = (struct mpage){.kind = kind, .prot = prot};
		s->pages[first + i].file_page = file_page + i;
		if (kind == SHARED) {
			s->pages[first + i].shared = &shared_cells[num_cells];
			shared_cells[num_cells++] = 0;
		}
	}
	return r == (long)(BASE + first * 4096ull);
}

static bool
protect_pages(struct space *s, unsigned first, unsigned n)
{
	int prot = (int)rnd(4);
	enum err expected = OK;

	for (unsigned i = first; i < first + n && expected == OK; i++) {
		if (s->pages[i].kind == NONE)
			expected = ERR_NOMEM;
		else
			s->pages[i].prot = prot;
	}
	return aspace_protect(s->as, BASE + first * 4096ull, n * 4096ull, prot) ==
	       expected;
}

static bool
truncate_file(void)
{
	unsigned len = rnd(FILE_PAGES + 1);

	cache.file_size = len * 4096ull;
	if (len < file_len) {
		page_cache_truncate(&cache, len, 0);
		memset(&file_values[len], 0, FILE_PAGES - len);
		for (unsigned s = 0; s < SPACES; s++)
			for (unsigned i = 0; spaces[s].as && i < PAGES; i++)
				if (spaces[s].pages[i].file_page >= len)
					if (spaces[s].pages[i].kind == FILE_PRIVATE)
						spaces[s].pages[i].is_own = false;
	}
	file_len = len;
	return true;
}

static bool
fork_space(struct space *s)
{
	struct space *to = &spaces[rnd(SPACES)];

	if (to == s)
		return true;
	if (to->as)
		aspace_put(to->as);
	to->as = aspace_fork(s->as);
	memcpy(to->pages, s->pages, sizeof(to->pages));
	return to->as != NULL;
}

/* mremap of pages that lie in one area: moves, grows or shrinks. */
static bool
remap_pages(struct space *s, unsigned first, unsigned n)
{
	unsigned to = rnd(PAGES), len = 1 + rnd(MIN(PAGES - to, 12));
	vaddr_t old = BASE + first * 4096ull, at = BASE + to * 4096ull;
	struct area *a = area_find(s->as, old);
	bool is_whole = a && a->end >= old + n * 4096ull;
	bool overlaps = to < first + n && first < to + len;
	struct mpage moved[PAGES] = {0};
	long r;

	r = aspace_remap(
	    s->as, old, n * 4096, len * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	if (overlaps || !is_whole)
		return r == (overlaps ? ERR_INVAL : ERR_FAULT);
	if (r != (long)at)
		return false;
	for (unsigned i = 0; i < len; i++) {
		moved[i] = s->pages[first + MIN(i, n - 1)];
		if (i < n)
			continue;
		/* Grown: anonymous pages are new, file pages those that follow. */
		moved[i].is_own = false;
		moved[i].file_page = moved[n - 1].file_page + i - (n - 1);
		if (moved[i].kind == SHARED || moved[i].file_page >= FILE_PAGES)
			moved[i].kind = moved[i].kind == PRIVATE ? PRIVATE : UNKNOWN;
	}
	memset(&s->pages[first], 0, n * sizeof(s->pages[0]));
	memcpy(&s->pages[to], moved, len * sizeof(s->pages[0]));
	return true;
}

/* MADV_DONTNEED: private changes are forgotten. */
static bool
discard_pages(struct space *s, unsigned first, unsigned n)
{
	bool has_gap = false;

	for (unsigned i = first; i < first + n; i++) {
		has_gap |= s->pages[i].kind == NONE;
		s->pages[i].is_own = false;
	}
	test_process.aspace = s->as;
	return sys_madvise(BASE + first * 4096ull, n * 4096ull, MADV_DONTNEED) ==
	       (has_gap ? ERR_NOMEM : OK);
}

static bool
random_step(void)
{
	struct space *s = &spaces[rnd(SPACES)];
	unsigned first = rnd(PAGES), n = 1 + rnd(MIN(PAGES - first, 12));

	if (!s->as)
		s = &spaces[0];
	switch (rnd(18)) {
	case 0:
	case 1: return map_pages(s, first, n);
	case 2:
		memset(&s->pages[first], 0, n * sizeof(s->pages[0]));
		return aspace_unmap(s->as, BASE + first * 4096ull, n * 4096ull) == OK;
	case 3:
	case 4: return protect_pages(s, first, n);
	case 5: return rnd(4) ? true : fork_space(s);
	case 6: return rnd(4) ? true : truncate_file();
	case 7:
		if (s == &spaces[0] || rnd(4))
			return true;
		aspace_put(s->as);
		memset(s, 0, sizeof(*s));
		return true;
	case 16: return remap_pages(s, first, n);
	case 17: return rnd(2) ? true : discard_pages(s, first, n);
	case 8:
	case 9:
	case 10:
	case 11: return write_page(s, first);
	default: return check_page(s, first);
	}
}

/* The counters and the tree of a space agree with the model. */
static bool
counters_agree(const struct space *s)
{
	uint64_t mapped = 0, data = 0, unknown = 0;
	vaddr_t end = 0;

	for (unsigned i = 0; i < PAGES; i++) {
		const struct mpage *m = &s->pages[i];

		mapped += m->kind != NONE;
		unknown += m->kind == UNKNOWN;
		data += (m->kind == PRIVATE || m->kind == FILE_PRIVATE) &&
		        m->prot & PROT_WRITE;
	}
	for (struct area *a = area_find_from(s->as, 0); a; a = area_next(a)) {
		if (a->start < end || a->start >= a->end)
			return false;
		end = a->end;
	}
	return s->as->num_pages == mapped && s->as->data_pages >= data &&
	       s->as->data_pages <= data + unknown;
}

static void
random_run(uint64_t start_seed)
{
	set_up();
	for (unsigned i = 0; i < RLIMITS; i++)
		test_process.rlimits[i].cur = RLIM_INFINITY;
	fake_thread.process = &test_process;
	seed = start_seed;
	num_cells = 0;
	file_len = FILE_PAGES;
	memset(spaces, 0, sizeof(spaces));
	memset(file_values, 0, sizeof(file_values));
	page_cache_init(&cache, NULL, NULL);
	cache.file_size = file_len * 4096ull;
	file = file_alloc(&test_file_ops, O_RDWR, NULL);
	file->cache = &cache;
	file->mode = FILE_READ | FILE_WRITE;
	spaces[0].as = aspace_create();
	for (int step = 0; step < 20000; step++) {
		CHECK(random_step());
		for (unsigned k = 0; k < SPACES; k++)
			CHECK(!spaces[k].as || counters_agree(&spaces[k]));
	}
	for (unsigned k = 0; k < SPACES; k++) {
		for (unsigned i = 0; spaces[k].as && i < PAGES; i++)
			CHECK(check_page(&spaces[k], i));
		if (spaces[k].as)
			aspace_put(spaces[k].as);
	}
	fake_thread.process = NULL;
	CHECK_EQ(file->refs, 1);
	CHECK(list_is_empty(&cache.areas));
	file_put(file);
	page_cache_destroy(&cache);
	CHECK(nothing_is_left());
}

KTEST(aspace_random_changes_agree_with_the_model)
{
	for (uint64_t s = 1; s <= 4; s++)
		random_run(s);
}

KTEST(aspace_survives_every_failing_allocation)
{
	for (unsigned n = 1; n < 40; n++) {
		struct aspace *as, *child;

		set_up();
		fake_kmalloc_fail_nth(n);
		fake_frames_fail_nth(n / 2);
		as = aspace_create();
		if (as) {
			(void)aspace_map(
			    as, BASE, 16 * 4096, RW, ANON | MAP_FIXED, NULL, 0);
			(void)aspace_map(as, BASE + 20 * 4096, 8192, RW,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
			for (unsigned i = 0; i < 24; i++)
				(void)aspace_fault(as, BASE + i * 4096ull, AREA_WRITE);
			(void)aspace_protect(as, BASE + 4096, 4096, PROT_READ);
			(void)aspace_unmap(as, BASE + 8 * 4096, 4096);
			child = aspace_fork(as);
			if (child)
				aspace_put(child);
			aspace_put(as);
		}
		fake_kmalloc_fail_nth(0);
		fake_frames_fail_nth(0);
		CHECK(nothing_is_left());
	}
}

/* ---- Gaps ---- */

/* The lowest and the highest place for `len` bytes, by looking at every page. */
static vaddr_t
place_by_hand(struct aspace *as, size_t len, vaddr_t bottom, vaddr_t top, bool highest)
{
	vaddr_t found = 0;

	for (vaddr_t va = bottom; va + len <= top; va += PAGE_SIZE) {
		struct area *above = area_find_from(as, va + len);
		vaddr_t guard = 0;

		if (above && above->flags & AREA_STACK)
			guard = MIN(above->start, (vaddr_t)STACK_GUARD_GAP);
		if (!range_is_free(as, va, va + len) ||
		    (above && va + len > above->start - guard))
			continue;
		found = va;
		if (!highest)
			break;
	}
	return found;
}

/* Each area's gap, and the bounds above. */
static bool
gaps_are_right(struct aspace *as)
{
	vaddr_t floor = 0;

	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		uint64_t guard = a->flags & AREA_STACK ? STACK_GUARD_GAP : 0,
		         most = a->gap;
		struct rb_node *below[2] = {a->node.left, a->node.right};

		for (unsigned i = 0; i < 2; i++)
			if (below[i])
				most = MAX(
				    most, rb_entry(below[i], struct area, node)->max_gap);
		if (a->max_gap < most ||
		    a->gap != (a->start > floor + guard ? a->start - guard - floor : 0))
			return false;
		floor = a->end;
	}
	return true;
}

KTEST(gaps_are_found_as_by_hand)
{
	enum { PAGES = 700 };
	struct aspace *as;

	set_up();
	as = aspace_create();
	for (unsigned i = 0; i < 600; i++) {
		vaddr_t va = BASE + (vaddr_t)rnd(PAGES) * PAGE_SIZE;
		size_t len = (1 + rnd(rnd(4) ? 4 : 40)) * PAGE_SIZE, want;
		int flags = ANON | MAP_FIXED | (rnd(30) ? 0 : MAP_GROWSDOWN);
		vaddr_t bottom, top, low;

		if (rnd(5) < 3)
			CHECK(aspace_map(as, va, len, rnd(2) ? RW : PROT_READ, flags,
			          NULL, 0) == (long)va);
		else if (rnd(2))
			CHECK_EQ(aspace_unmap(as, va, len), OK);
		else
			(void)aspace_protect(as, va, len, rnd(2) ? RW : PROT_NONE);
		CHECK(gaps_are_right(as));
		bottom = BASE + (vaddr_t)rnd(PAGES / 2) * PAGE_SIZE;
		top = BASE + (vaddr_t)(PAGES / 2 + rnd(PAGES)) * PAGE_SIZE;
		want = (1 + rnd(30)) * PAGE_SIZE;
		low = place_by_hand(as, want, bottom, top, true);
		if (low)
			CHECK_EQ(range_find(as, want, bottom, top), low);
		else
			CHECK_EQ(range_find(as, want, bottom, top),
			    place_by_hand(as, want, top, top + (vaddr_t)MIB(16), false));
	}
	aspace_put(as);
	CHECK(nothing_is_left());
}
