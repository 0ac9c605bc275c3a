/*
 * TLB invalidation (SDM vol. 3, 4.10).
 *
 * Each address space counts its flushes in `gen`; each CPU remembers, for the spaces
 * whose translations it may hold, up to which flush it has come. A flush changes gen,
 * then reads the mask of CPUs that have the space loaded, and calls those. A CPU loads a
 * space by setting its bit in that mask, then reading gen. So, in whichever order the two
 * meet, either the flush sees the bit and calls, or the load sees the new gen and starts
 * with an empty TLB.
 *
 * With PCIDs a CPU keeps the translations of the last few spaces: slot i stands for PCID
 * i + 1, PCID 0 is the kernel's own table. A slot whose gen is behind is flushed when it
 * is loaded again. Without PCIDs every load flushes, and slot 0 only serves to tell stale
 * calls from new ones.
 *
 * Kernel mappings are global, one for all spaces: flushed everywhere, at once. With PCIDs
 * that is always the whole TLB: INVLPG may then miss global entries on some processors
 * (an erratum of Intel's Alder Lake and Raptor Lake).
 */
#include "mm/tlb.h"

#include "kernel/panic.h"
#include "kernel/sync/spinlock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/ipi.h"
#include "mm/aspace.h"
#include "mm/page.h"

enum {
	SLOTS = 6,
	MAX_SINGLE = 32, /* pages flushed one by one; more: all at once */
};

#define CR3_NO_FLUSH (1ull << 63) /* with PCIDE: keep what the TLB holds of this PCID */

struct tlb_slot {
	uint64_t id, gen; /* of struct tlb_context */
};

struct tlb_state {
	struct aspace *loaded; /* NULL: the kernel's own table */
	unsigned current;      /* slot of `loaded` */
	unsigned victim;       /* slot to use for the next new space */
	struct tlb_slot slots[SLOTS];
};

static PER_CPU(struct tlb_state, tlb_state);
static uint64_t last_context_id;

void
tlb_context_init(struct tlb_context *c)
{
	c->id = __atomic_add_fetch(&last_context_id, 1, __ATOMIC_RELAXED);
	c->gen = 1;
}

/* ---- Loading ---- */

static void
mask_set(struct cpumask *m, unsigned cpu)
{
	__atomic_fetch_or(&m->bits[cpu / 64], 1ull << cpu % 64, __ATOMIC_SEQ_CST);
}

static void
mask_clear(struct cpumask *m, unsigned cpu)
{
	__atomic_fetch_and(&m->bits[cpu / 64], ~(1ull << cpu % 64), __ATOMIC_RELEASE);
}

static bool
has_pcid(void)
{
	return read_cr4() & CR4_PCIDE;
}

void
tlb_enable_pcid(void)
{
	write_cr3(kernel_page_table); /* its low bits must be 0 (SDM 4.10.1) */
	write_cr4(read_cr4() | CR4_PCIDE);
}

/* The slot that holds the space's translations, or one taken from another space. */
static unsigned
slot_find(struct tlb_state *t, uint64_t id)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		if (t->slots[i].id == id)
			return i;
	i = t->victim;
	t->victim = (i + 1) % SLOTS;
	t->slots[i] = (struct tlb_slot){.id = id};
	return i;
}

static void
load_space(struct tlb_state *t, struct aspace *as)
{
	uint64_t gen = __atomic_load_n(&as->tlb.gen, __ATOMIC_SEQ_CST),
	         cr3 = as->page_table;
	struct tlb_slot *slot;

	if (!has_pcid()) {
		t->current = 0;
		t->slots[0] = (struct tlb_slot){as->tlb.id, gen};
		write_cr3(cr3);
		return;
	}
	t->current = slot_find(t, as->tlb.id);
	slot = &t->slots[t->current];
	cr3 |= t->current + 1;
	if (slot->gen == gen)
		cr3 |= CR3_NO_FLUSH;
	slot->gen = gen;
	write_cr3(cr3);
}

void
tlb_load(struct aspace *as)
{
	struct tlb_state *t = this_cpu_ptr(&tlb_state);
	struct aspace *old = t->loaded;

	if (as == old)
		return;
	t->loaded = as;
	if (as) {
		mask_set(&as->cpus, cpu_id());
		load_space(t, as);
	} else {
		write_cr3(kernel_page_table | (has_pcid() ? CR3_NO_FLUSH : 0));
	}
	if (old)
		mask_clear(&old->cpus, cpu_id());
}

static void
leave_space(void *as)
{
	if (this_cpu_ptr(&tlb_state)->loaded == as)
		tlb_load(NULL);
}

/* Calls fn on the CPUs that have the space loaded. */
static void
call_users(struct aspace *as, void (*fn)(void *), void *arg)
{
	struct cpumask others;

	preempt_disable();
	for (unsigned i = 0; i < ARRAY_SIZE(others.bits); i++)
		others.bits[i] = __atomic_load_n(&as->cpus.bits[i], __ATOMIC_SEQ_CST);
	if (cpumask_test(&others, cpu_id())) {
		cpumask_clear(&others, cpu_id());
		irq_disable_nested();
		fn(arg);
		irq_enable_nested();
	}
	if (!cpumask_is_empty(&others))
		ipi_call(&others, fn, arg);
	preempt_enable();
}

void
tlb_unload(struct aspace *as)
{
	call_users(as, leave_space, as);
}

/* ---- Flushing a space ---- */

struct flush {
	struct aspace *aspace;
	vaddr_t start, end;
	uint64_t gen; /* what this flush brings a TLB to */
};

/* Interrupts are off. */
static void
flush_here(void *arg)
{
	const struct flush *f = arg;
	struct tlb_state *t = this_cpu_ptr(&tlb_state);
	struct tlb_slot *slot = &t->slots[t->current];

	if (t->loaded != f->aspace || slot->gen >= f->gen)
		return; /* not loaded: caught when it is; or a later flush came first */
	if (slot->gen + 1 == f->gen && (f->end - f->start) >> PAGE_SHIFT <= MAX_SINGLE) {
		for (vaddr_t va = f->start; va < f->end; va += PAGE_SIZE)
			invlpg(va);
		slot->gen = f->gen;
		return;
	}
	slot->gen = __atomic_load_n(&f->aspace->tlb.gen, __ATOMIC_SEQ_CST);
	write_cr3(read_cr3()); /* flushes the PCID in it */
}

static void
batch_flush(struct tlb_batch *b)
{
	if (b->start < b->end) {
		struct flush f = {.aspace = b->aspace, .start = b->start, .end = b->end};

		f.gen = __atomic_add_fetch(&b->aspace->tlb.gen, 1, __ATOMIC_SEQ_CST);
		call_users(b->aspace, flush_here, &f);
	}
	b->start = ~0ull;
	b->end = 0;
	for (unsigned i = 0; i < b->num_pages; i++)
		page_put(b->pages[i]);
	b->num_pages = 0;
}

void
tlb_batch_begin(struct tlb_batch *b, struct aspace *as)
{
	b->aspace = as;
	b->start = ~0ull;
	b->end = 0;
	b->num_pages = 0;
}

void
tlb_batch_range(struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	b->start = MIN(b->start, ALIGN_DOWN(start, (vaddr_t)PAGE_SIZE));
	b->end = MAX(b->end, ALIGN_UP(end, (vaddr_t)PAGE_SIZE));
}

void
tlb_batch_page(struct tlb_batch *b, struct page *pg)
{
	if (b->num_pages == TLB_BATCH_PAGES)
		batch_flush(b);
	b->pages[b->num_pages++] = pg;
}

void
tlb_batch_end(struct tlb_batch *b)
{
	batch_flush(b);
}

/* ---- Kernel mappings ---- */

/* Everything: global entries and those of all PCIDs too (SDM 4.10.4.1). */
static void
flush_all_here(void)
{
	uint64_t cr4;

	irq_disable_nested();
	cr4 = read_cr4();
	if (cr4 & CR4_PGE) {
		write_cr4(cr4 & ~(uint64_t)CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3()); /* nothing is global, and there are no PCIDs */
	}
	irq_enable_nested();
}

static void
flush_kernel_here(void *arg)
{
	const struct flush *f = arg;

	if (has_pcid() || (f->end - f->start) >> PAGE_SHIFT > MAX_SINGLE) {
		flush_all_here();
		return;
	}
	for (vaddr_t va = f->start; va < f->end; va += PAGE_SIZE)
		invlpg(va);
}

void
tlb_flush_kernel(vaddr_t start, vaddr_t end)
{
	struct flush f = {.start = start, .end = end};
	struct cpumask others = {0};
	struct cpu *c;

	preempt_disable();
	for_each_online_cpu(c)
		if (c != this_cpu())
			cpumask_set(&others, c->id);
	flush_kernel_here(&f);
	if (!cpumask_is_empty(&others))
		ipi_call(&others, flush_kernel_here, &f);
	preempt_enable();
}
