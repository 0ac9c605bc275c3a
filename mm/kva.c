/*
 * Kernel virtual memory on demand, in the region KVA_BASE of mm/layout.h:
 *
 *	KVA_BASE		kernel stacks, one slot of 32 KiB each: the stack at the
 *upper end, the rest never mapped. A guard hit is arithmetic on the address. KVA_BASE + 2
 *GiB everything else, in ranges given out by mm/kva_space.c, each followed by an unmapped
 *page.
 *
 * What is unmapped may still be in the TLBs of all CPUs, so frames and addresses are not
 *used again before a flush. They wait on a list of corpses; when enough have gathered,
 *one flush serves them all.
 *
 * Stacks of the usual size come and go with every fork: each CPU keeps a few mapped ones.
 */
#define LOG_PREFIX "kva: "
#include "mm/kva.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/percpu.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/fail_alloc.h"
#include "mm/kva_space.h"
#include "mm/layout.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "mm/slab.h"
#include "mm/tlb.h"

enum {
	STACK_SLOT = 32768,
	MAX_STACKS = 65536,
	STACK_WORDS = MAX_STACKS / 64,
	CACHED_STACKS = 8, /* kept mapped on each CPU */
	MAX_CORPSES = 32,
	MAX_CORPSE_PAGES = 512, /* a flush is due when so much waits */
};

#define STACKS_SIZE     ((uint64_t)MAX_STACKS * STACK_SLOT)
#define PTE_KERNEL_DATA (PTE_PRESENT | PTE_WRITE | PTE_GLOBAL | PTE_NX)

struct stack_cache {
	unsigned num;
	void *stacks[CACHED_STACKS];
};

/* An unmapped range that waits for the flush. */
struct corpse {
	vaddr_t start;
	uint64_t npages;
};

static struct spinlock kva_lock = SPINLOCK_INIT("kva", RANK_KVA);
static struct kva_space space;                /* [kva_lock] */
static uint64_t stack_used[STACK_WORDS];      /* [kva_lock] bit: the slot is taken */
static uint64_t stack_full[STACK_WORDS / 64]; /* [kva_lock] bit: that word is all ones */
static struct corpse corpses[MAX_CORPSES];    /* [kva_lock] */
static unsigned num_corpses;                  /* [kva_lock] */
static uint64_t corpse_pages;                 /* [kva_lock] */
static struct list corpse_frames = LIST_INIT(corpse_frames); /* [kva_lock] */

static PER_CPU(struct stack_cache, stack_cache);

/* ---- Ranges ---- */

/* Address space for `npages` and a guard page. 0: none. */
static vaddr_t
range_alloc(uint64_t npages, uint64_t align)
{
	struct kva_range *spare[2] = {
	    kmalloc(sizeof(*spare[0])), kmalloc(sizeof(*spare[0]))};
	struct kva_range *r = NULL;
	vaddr_t start = 0;

	if (spare[0] && spare[1]) {
		spin_lock(&kva_lock);
		r = kva_space_alloc(&space, npages + 1, align, spare);
		if (r)
			start = r->start;
		spin_unlock(&kva_lock);
	}
	kfree(spare[0]);
	kfree(spare[1]);
	return start;
}

/* The pages of the range that starts at `start`, without its guard page. */
static uint64_t
range_pages(vaddr_t start)
{
	struct kva_range *r;

	spin_lock(&kva_lock);
	r = kva_space_find(&space, start);
	spin_unlock(&kva_lock);
	if (!r)
		panic(
		    "free of %#llx, where nothing is mapped", (unsigned long long)start);
	return r->npages - 1;
}

static void
range_free(vaddr_t start)
{
	struct kva_range *dead[2];

	spin_lock(&kva_lock);
	kva_space_free(&space, kva_space_find(&space, start), dead);
	spin_unlock(&kva_lock);
	kfree(dead[0]);
	kfree(dead[1]);
}

/* ---- Stack slots ---- */

static bool
is_stack(vaddr_t va)
{
	return va >= KVA_BASE && va < KVA_BASE + STACKS_SIZE;
}

/* The end of a free slot, now taken. 0: none. */
static vaddr_t
slot_alloc(void)
{
	vaddr_t end = 0;

	spin_lock(&kva_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(stack_full) && !end; i++) {
		unsigned word, bit;

		if (!~stack_full[i])
			continue;
		word = i * 64 + bit_first(~stack_full[i]);
		bit = bit_first(~stack_used[word]);
		stack_used[word] |= 1ull << bit;
		if (!~stack_used[word])
			stack_full[i] |= 1ull << word % 64;
		end = KVA_BASE + (word * 64 + bit + 1ull) * STACK_SLOT;
	}
	spin_unlock(&kva_lock);
	return end;
}

static void
slot_free(vaddr_t va)
{
	uint64_t slot = (va - KVA_BASE) / STACK_SLOT;

	spin_lock(&kva_lock);
	stack_used[slot / 64] &= ~(1ull << slot % 64);
	stack_full[slot / 4096] &= ~(1ull << slot / 64 % 64);
	spin_unlock(&kva_lock);
}

/* ---- Frames under a range ---- */

/* Unmaps the pages and moves their frames to `frames`. */
static void
frames_unmap(vaddr_t start, uint64_t npages, struct list *frames)
{
	for (uint64_t i = 0; i < npages; i++) {
		unsigned level;
		pte_t *pte =
		    pt_walk(kernel_page_table, start + i * PAGE_SIZE, false, &level);
		struct page *pg;

		if (!pte || !(*pte & PTE_PRESENT))
			break;
		pg = phys_to_page(pte_phys(*pte));
		*pte = 0;
		list_push_back(frames, &pg->link);
	}
}

static void
frames_put(struct list *frames)
{
	struct list *node;

	while ((node = list_pop_front(frames)))
		page_free(list_entry(node, struct page, link), 0);
}

/* Backs the pages with fresh frames. False: no memory, and nothing is mapped. */
static bool
frames_map(vaddr_t start, uint64_t npages, unsigned alloc_flags)
{
	for (uint64_t i = 0; i < npages; i++) {
		unsigned level;
		pte_t *pte =
		    pt_walk(kernel_page_table, start + i * PAGE_SIZE, true, &level);
		struct page *pg = pte ? page_alloc(0, alloc_flags) : NULL;

		if (!pg) {
			struct list frames = LIST_INIT(frames);

			/* Nobody has touched them: no CPU can have cached the entries. */
			frames_unmap(start, i, &frames);
			frames_put(&frames);
			return false;
		}
		*pte = page_to_phys(pg) | PTE_KERNEL_DATA;
	}
	return true;
}

/* ---- Corpses ---- */

/* Flushes `n` corpses out of all TLBs, then frees their addresses and frames. */
static void
corpses_bury(const struct corpse *dead, unsigned n, struct list *frames)
{
	vaddr_t start = ~0ull, end = 0;

	for (unsigned i = 0; i < n; i++) {
		start = MIN(start, dead[i].start);
		end = MAX(end, dead[i].start + dead[i].npages * PAGE_SIZE);
	}
	tlb_flush_kernel(start, end);
	for (unsigned i = 0; i < n; i++) {
		if (is_stack(dead[i].start)) {
			slot_free(dead[i].start);
			mem_counter_add(MEM_KERNEL_STACK, -(int64_t)dead[i].npages);
		} else {
			range_free(dead[i].start);
		}
	}
	frames_put(frames);
}

/* Takes over an unmapped range and its frames. Flushes when much has gathered. */
static void
corpse_add(vaddr_t start, uint64_t npages, struct list *frames)
{
	struct corpse dead[MAX_CORPSES];
	struct list dead_frames = LIST_INIT(dead_frames);
	unsigned n = 0;

	spin_lock(&kva_lock);
	corpses[num_corpses++] = (struct corpse){start, npages};
	corpse_pages += npages;
	list_splice_back(&corpse_frames, frames);
	if (num_corpses == MAX_CORPSES || corpse_pages >= MAX_CORPSE_PAGES) {
		n = num_corpses;
		memcpy(dead, corpses, n * sizeof(dead[0]));
		list_splice_back(&dead_frames, &corpse_frames);
		num_corpses = 0;
		corpse_pages = 0;
	}
	spin_unlock(&kva_lock);
	if (n)
		corpses_bury(dead, n, &dead_frames);
}

/* ---- vmalloc ---- */

void *
vmalloc(size_t n)
{
	uint64_t npages = DIV_ROUND_UP(n, (size_t)PAGE_SIZE);
	vaddr_t start;

	if (npages == 0 || npages > page_array_frames)
		return NULL;
	start = range_alloc(npages, 1);
	if (!start)
		return NULL;
	if (!frames_map(start, npages, ALLOC_ZERO)) {
		range_free(start);
		return NULL;
	}
	mem_counter_add(MEM_VMALLOC, npages);
	return (void *)start;
}

void
vfree(void *p)
{
	struct list frames = LIST_INIT(frames);
	uint64_t npages;

	if (!p)
		return;
	npages = range_pages((vaddr_t)p);
	mem_counter_add(MEM_VMALLOC, -(int64_t)npages);
	frames_unmap((vaddr_t)p, npages, &frames);
	corpse_add((vaddr_t)p, npages, &frames);
}

/* ---- Stacks ---- */

static void *
stack_take_cached(void)
{
	struct stack_cache *c;
	void *base = NULL;

	irq_disable_nested();
	c = this_cpu_ptr(&stack_cache);
	if (c->num)
		base = c->stacks[--c->num];
	irq_enable_nested();
	return base;
}

bool
stack_recycle(void *base)
{
	struct stack_cache *c;
	bool has_room;

	irq_disable_nested();
	c = this_cpu_ptr(&stack_cache);
	has_room = c->num < CACHED_STACKS;
	if (has_room)
		c->stacks[c->num++] = base;
	irq_enable_nested();
	return has_room;
}

void *
stack_alloc(size_t size)
{
	uint64_t npages = size / PAGE_SIZE;
	void *base;
	vaddr_t end;

	ASSERT(IS_ALIGNED(size, PAGE_SIZE) && size > 0 && size < STACK_SLOT);
	if (fail_alloc())
		return NULL;
	if (size == KERNEL_STACK_SIZE && (base = stack_take_cached()))
		return base;
	end = slot_alloc();
	if (!end)
		return NULL;
	if (!frames_map(end - size, npages, ALLOC_NORMAL)) {
		slot_free(end - size);
		return NULL;
	}
	mem_counter_add(MEM_KERNEL_STACK, npages);
	return (void *)(end - size);
}

void
stack_free(void *base, size_t size)
{
	struct list frames = LIST_INIT(frames);
	uint64_t npages = size / PAGE_SIZE;

	if (!base || (size == KERNEL_STACK_SIZE && stack_recycle(base)))
		return;
	ASSERT(is_stack((vaddr_t)base) && IS_ALIGNED((vaddr_t)base + size, STACK_SLOT));
	frames_unmap((vaddr_t)base, npages, &frames);
	corpse_add((vaddr_t)base, npages, &frames);
}

bool
stack_guard_hit(vaddr_t addr)
{
	unsigned level;
	pte_t *pte;

	if (!is_stack(addr))
		return false;
	pte = pt_walk(kernel_page_table, addr, false, &level);
	return !pte || !(*pte & PTE_PRESENT);
}

/* ---- Device registers ---- */

/* Whether any frame of [base, end) is RAM that the allocator owns. */
static bool
is_our_ram(paddr_t base, paddr_t end)
{
	for (paddr_t p = base; p < end; p += PAGE_SIZE)
		if (page_is_managed(p))
			return true;
	return false;
}

volatile void *
ioremap(paddr_t base, size_t size, enum cache_type type)
{
	paddr_t first = ALIGN_DOWN(base, (paddr_t)PAGE_SIZE);
	paddr_t end = ALIGN_UP(base + size, (paddr_t)PAGE_SIZE);
	uint64_t npages = (end - first) / PAGE_SIZE;
	vaddr_t start;

	if (size == 0 || base + size < base || end > PTE_ADDR)
		return NULL;
	if (is_our_ram(first, end)) {
		log_warn("%#llx+%#zx is memory, not a device: not mapped",
		    (unsigned long long)base, size);
		return NULL;
	}
	start = range_alloc(npages, 1);
	if (!start)
		return NULL;
	if (pt_map(kernel_page_table, start, first, end - first,
	        PTE_KERNEL_DATA | PTE_SPECIAL | pte_cache_bits(type))) {
		range_free(start);
		return NULL;
	}
	return (volatile void *)(start + (base - first));
}

void
iounmap(volatile void *p)
{
	vaddr_t start = ALIGN_DOWN((vaddr_t)p, (vaddr_t)PAGE_SIZE);
	struct list no_frames = LIST_INIT(no_frames);
	uint64_t npages;

	if (!p)
		return;
	npages = range_pages(start);
	pt_unmap(kernel_page_table, start, npages * PAGE_SIZE);
	corpse_add(start, npages, &no_frames);
}

void
kva_init(void)
{
	struct kva_range *node = kmalloc(sizeof(*node));

	ASSERT(node);
	pt_init_kernel(read_cr3() & PTE_ADDR);
	kva_space_init(
	    &space, node, KVA_BASE + STACKS_SIZE, (KVA_SIZE - STACKS_SIZE) >> PAGE_SHIFT);
}
