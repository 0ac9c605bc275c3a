/*
 * Memory tests that need the real thing: page tables, TLBs and several CPUs. What can be
 * tested on the host is in tests/unit/mm.
 */
#include "kernel/selftest.h"

#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/symbols.h"
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/dma.h"
#include "mm/kva.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "mm/slab.h"
#include "mm/tlb.h"

enum {
	STRESS_ROUNDS = 4000,
	MAILBOXES = 64,
	LAST_STEP = 30, /* remappings in the shootdown test */
};

/* ---- Helpers ---- */

struct crew {
	void (*work)(unsigned cpu);
	uint32_t num_running; /* [a] */
};

struct worker {
	struct crew *crew;
	unsigned cpu;
};

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct crew *crew = w->crew;

	crew->work(w->cpu);
	kfree(w);
	__atomic_fetch_sub(&crew->num_running, 1, __ATOMIC_RELEASE);
}

/* Starts work(cpu) in a thread on each online CPU. */
static void
crew_start(struct crew *crew)
{
	struct cpu *c;

	for_each_online_cpu(c) {
		struct worker *w = kmalloc(sizeof(*w));
		struct thread *t = thread_create_kernel("selftest", worker_main, w);
		struct cpumask only = {0};

		SELFTEST_CHECK(w && t);
		*w = (struct worker){.crew = crew, .cpu = c->id};
		cpumask_set(&only, c->id);
		SELFTEST_CHECK(thread_set_affinity(t, &only) == OK);
		__atomic_fetch_add(&crew->num_running, 1, __ATOMIC_RELAXED);
		thread_start(t);
		thread_put(t);
	}
}

static void
crew_join(struct crew *crew)
{
	while (__atomic_load_n(&crew->num_running, __ATOMIC_ACQUIRE))
		thread_sleep_ns(NSEC_PER_MSEC);
}

static uint64_t
num_free(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.free_pages;
}

/* ---- Allocators under all CPUs ---- */

/* Objects change hands here, so that what one CPU allocates another frees. */
static void *mailbox[MAILBOXES]; /* [a] */
static uint32_t stress_failures; /* [a] */

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Each object says at both ends where it lies: two owners of one place would show. */
static void
object_mark(uint64_t *p, size_t n)
{
	p[0] = n;
	p[n / 8 - 1] = (uint64_t)p;
}

static void
object_free(uint64_t *p)
{
	if (!p)
		return;
	if (p[0] / 8 > MIB(1) || p[p[0] / 8 - 1] != (uint64_t)p)
		__atomic_fetch_add(&stress_failures, 1, __ATOMIC_RELAXED);
	else
		kfree(p);
}

static void
stress_pages(uint32_t *random)
{
	unsigned order = next_random(random) % 16 ? 0 : next_random(random) % 4;
	struct page *pg = page_alloc(order, ALLOC_NORMAL);
	uint64_t *words;

	if (!pg)
		return;
	words = page_to_virt(pg);
	words[0] = words[(512u << order) - 1] = (uint64_t)pg;
	if (words[0] != (uint64_t)pg || words[(512u << order) - 1] != (uint64_t)pg)
		__atomic_fetch_add(&stress_failures, 1, __ATOMIC_RELAXED);
	page_put(pg);
}

static void
stress_mapped(uint32_t *random)
{
	size_t n = (next_random(random) % 16 + 1) * PAGE_SIZE;
	uint64_t *p = vmalloc(n);
	void *stack = stack_alloc(KERNEL_STACK_SIZE);

	for (size_t i = 0; p && i < n / 8; i += 512) {
		if (p[i])
			__atomic_fetch_add(&stress_failures, 1, __ATOMIC_RELAXED);
		p[i] = 1;
	}
	if (stack)
		memset(stack, 0x11, KERNEL_STACK_SIZE);
	vfree(p);
	stack_free(stack, KERNEL_STACK_SIZE);
}

static void
stress_work(unsigned cpu)
{
	uint32_t random = cpu * 7919 + 1;

	for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
		size_t n =
		    (next_random(&random) % 100 ? next_random(&random) % 100 + 2 : 3000) *
		    8;
		uint64_t *p = kmalloc(n);

		if (p)
			object_mark(p, n);
		object_free(__atomic_exchange_n(
		    &mailbox[next_random(&random) % MAILBOXES], p, __ATOMIC_ACQ_REL));
		stress_pages(&random);
		if (i % 64 == 0)
			stress_mapped(&random);
	}
}

static void
log_leak(const struct slab_leak *leak, void *unused)
{
	char site[64];

	symbol_format((uint64_t)leak->site, site, sizeof(site));
	log_info("%llu objects of %s from %s", (unsigned long long)leak->count,
	    leak->cache, site);
}

SELFTEST(memory_stress)
{
	struct crew crew = {.work = stress_work};
	uint64_t before = num_free(), after;

	slab_mark_leaks();
	stress_failures = 0;
	crew_start(&crew);
	crew_join(&crew);
	for (unsigned i = 0; i < MAILBOXES; i++) {
		object_free(mailbox[i]);
		mailbox[i] = NULL;
	}
	SELFTEST_CHECK(stress_failures == 0);
	thread_sleep_ns(50 * NSEC_PER_MSEC); /* the workers' remains are freed by RCU */
	/* Nodes of ranges that wait for a flush are all that is left. */
	SELFTEST_CHECK(slab_leaks_for_each(log_leak, NULL) < 64);
	after = num_free();
	log_info("memory_stress: %llu pages free before, %llu after",
	    (unsigned long long)before, (unsigned long long)after);
	/* Page tables, magazines, cached stacks and corpses stay: a bounded amount. */
	SELFTEST_CHECK(after + 1024 + 512ull * num_cpus > before);
}

/* ---- TLB shootdown ---- */

static volatile uint64_t *shared_word;
static uint32_t step; /* [a] which value the readers must see */

static void
reader_work(unsigned cpu)
{
	uint32_t now;

	while ((now = __atomic_load_n(&step, __ATOMIC_ACQUIRE)) < LAST_STEP) {
		uint64_t seen = *shared_word;

		/* The step may go on between the two reads, but not back. */
		if (seen < now)
			__atomic_fetch_add(&stress_failures, 1, __ATOMIC_RELAXED);
		thread_yield();
	}
}

SELFTEST(tlb_shootdown_reaches_all_cpus)
{
	struct crew crew = {.work = reader_work};
	struct page *pg[2] = {page_alloc(0, ALLOC_ZERO), page_alloc(0, ALLOC_ZERO)};
	vaddr_t va = (vaddr_t)vmalloc(PAGE_SIZE);
	unsigned level;
	pte_t *pte = pt_walk(kernel_page_table, va, false, &level), own;

	SELFTEST_CHECK(pg[0] && pg[1] && va && pte);
	own = *pte;
	stress_failures = 0;
	shared_word = (volatile uint64_t *)va;
	__atomic_store_n(&step, 0, __ATOMIC_RELEASE);
	crew_start(&crew);
	for (uint32_t i = 1; i <= LAST_STEP; i++) {
		struct page *next = pg[i % 2];

		*(volatile uint64_t *)page_to_virt(next) = i;
		*pte = (own & ~PTE_ADDR) | page_to_phys(next);
		tlb_flush_kernel(va, va + PAGE_SIZE);
		__atomic_store_n(&step, i, __ATOMIC_RELEASE);
		thread_sleep_ns(100 * NSEC_PER_USEC);
	}
	crew_join(&crew);
	*pte = own;
	tlb_flush_kernel(va, va + PAGE_SIZE);
	vfree((void *)va);
	page_put(pg[0]);
	page_put(pg[1]);
	SELFTEST_CHECK(stress_failures == 0);
}

/* ---- What is mapped how ---- */

static unsigned num_wx, num_user;

static void
count_rights(pte_t *table, unsigned level)
{
	for (unsigned i = 0; i < 512; i++) {
		if (!(table[i] & PTE_PRESENT))
			continue;
		num_user += !!(table[i] & PTE_USER);
		if (level > 1 && !(table[i] & PTE_HUGE))
			count_rights(phys_to_virt(pte_phys(table[i])), level - 1);
		else
			num_wx += table[i] & PTE_WRITE && !(table[i] & PTE_NX);
	}
}

SELFTEST(kernel_pages_are_never_writable_and_executable)
{
	num_wx = num_user = 0;
	count_rights(phys_to_virt(kernel_page_table), 4);
	SELFTEST_CHECK(num_wx == 0);
	SELFTEST_CHECK(num_user == 0);
}

SELFTEST(dma_memory_comes_and_goes)
{
	struct dma_buf buf;
	uint64_t before = num_free();

	for (unsigned i = 0; i < 20; i++) {
		SELFTEST_CHECK(dma_alloc(&buf, 10000, 4096, 32));
		SELFTEST_CHECK(buf.addr % 4096 == 0 && buf.addr + 10000 <= GIB(4));
		SELFTEST_CHECK(*(uint64_t *)buf.cpu == 0);
		dma_free(&buf);
	}
	SELFTEST_CHECK(num_free() == before);
}

/* A write behind a kernel stack's lower end meets the guard page. */
SELFTEST_FATAL(stack_guard)
{
	char *base = stack_alloc(KERNEL_STACK_SIZE);

	SELFTEST_CHECK(base);
	*(volatile char *)(base - 1) = 1;
	selftest_fail(__FILE__, __LINE__, "the write went through");
}
