/*
 * mm/kva.c, seen through the page tables it makes. LINK: mm/kva.c mm/kva_space.c mm/tlb.c
 * mm/dma.c mm/slab.c mm/kmalloc.c mm/slab_debug.c mm/frames.c mm/frames_boot.c
 * mm/pagetable.c lib/string.c tests/fakes/ram.c tests/fakes/cpu.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/panic.c
 */
#include "mm/kva.h"

#include "kernel/sched/thread.h"
#include "kernel/x86/cpu.h"
#include "lib/string.h"
#include "mm/dma.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ram.h"
#include "tests/unit/ktest.h"

static void
setup(void)
{
	static bool is_done;

	if (is_done)
		return;
	is_done = true;
	fake_cr4 = CR4_PGE;
	fake_ram_init_simple(MIB(64));
	slab_init();
	kva_init();
	fake_ram_keep_page_array();
}

static uint64_t
num_free(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.free_pages;
}

static pte_t
entry_of(vaddr_t va)
{
	unsigned level;
	pte_t *pte = pt_walk(kernel_page_table, va, false, &level);

	return pte ? *pte : 0;
}

KTEST(vmalloc_maps_zeroed_frames_and_a_guard)
{
	vaddr_t va;

	setup();
	va = (vaddr_t)vmalloc(3 * PAGE_SIZE + 1);
	for (unsigned i = 0; i < 4; i++) {
		pte_t pte = entry_of(va + i * PAGE_SIZE);
		const char *bytes = phys_to_virt(pte_phys(pte));

		CHECK(pte & PTE_PRESENT && pte & PTE_WRITE && pte & PTE_NX &&
		      !(pte & PTE_USER));
		for (unsigned k = 0; k < PAGE_SIZE; k++)
			CHECK_EQ(bytes[k], 0);
	}
	CHECK_EQ(entry_of(va + 4 * PAGE_SIZE), 0);
	vfree((void *)va);
	CHECK_EQ(entry_of(va), 0);
	vfree(NULL);
	CHECK(!vmalloc(0));
	CHECK(!vmalloc(MIB(65)));
}

KTEST(vmalloc_memory_comes_back_after_a_flush)
{
	uint64_t before;
	void *p;

	setup();
	vfree(vmalloc(MIB(4))); /* tables, slabs, corpses */
	vfree(vmalloc(MIB(4)));
	before = num_free();
	for (unsigned i = 0; i < 200; i++) {
		unsigned flushes = fake_cr4_writes;

		CHECK(p = vmalloc(MIB(4)));
		vfree(p);
		CHECK(fake_cr4_writes > flushes);
	}
	CHECK_EQ(num_free(), before);
}

KTEST(vmalloc_frees_are_flushed_in_batches)
{
	unsigned before;

	setup();
	before = fake_cr4_writes + fake_invlpg_count;
	for (unsigned i = 0; i < 20; i++)
		vfree(vmalloc(PAGE_SIZE));
	/* At most one flush: two writes of CR4, or one INVLPG a page. */
	CHECK(fake_cr4_writes + fake_invlpg_count - before <= 64);
}

KTEST(vmalloc_exhaustion_leaves_nothing_behind)
{
	uint64_t before;

	setup();
	CHECK(!vmalloc(MIB(62)));
	before = num_free();
	CHECK(!vmalloc(MIB(62)));
	CHECK_EQ(num_free(), before);
}

KTEST(stack_has_guard_pages_and_is_cached)
{
	vaddr_t base, again;

	setup();
	base = (vaddr_t)stack_alloc(KERNEL_STACK_SIZE);
	for (vaddr_t va = base; va < base + KERNEL_STACK_SIZE; va += PAGE_SIZE)
		CHECK(entry_of(va) & PTE_PRESENT);
	CHECK(!stack_guard_hit(base));
	CHECK(stack_guard_hit(base - 1));
	CHECK(stack_guard_hit(base - PAGE_SIZE));
	CHECK(stack_guard_hit(base + KERNEL_STACK_SIZE)); /* the next slot's guard */
	CHECK(!stack_guard_hit((vaddr_t)phys_to_virt(MIB(1))));
	stack_free((void *)base, KERNEL_STACK_SIZE);
	again = (vaddr_t)stack_alloc(KERNEL_STACK_SIZE);
	CHECK_EQ(again, base);
	stack_free((void *)again, KERNEL_STACK_SIZE);
	base = (vaddr_t)stack_alloc(2 * PAGE_SIZE);
	CHECK(!stack_guard_hit(base) && stack_guard_hit(base - 1));
	stack_free((void *)base, 2 * PAGE_SIZE);
}

KTEST(stack_many_are_distinct_and_come_back)
{
	enum { NUM = 1000 };
	static void *stacks[NUM];
	struct mem_stats s;
	uint64_t before = 0;

	setup();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < NUM; i++) {
			stacks[i] = stack_alloc(KERNEL_STACK_SIZE);
			CHECK(stacks[i]);
			/* A frame of its own under each. */
			*(uint64_t *)phys_to_virt(
			    pte_phys(entry_of((vaddr_t)stacks[i]))) = i;
		}
		for (unsigned i = 0; i < NUM; i++) {
			pte_t pte = entry_of((vaddr_t)stacks[i]);

			CHECK_EQ(*(uint64_t *)phys_to_virt(pte_phys(pte)), i);
			stack_free(stacks[i], KERNEL_STACK_SIZE);
		}
		if (round == 0)
			before = num_free();
	}
	CHECK(num_free() + 256 > before && num_free() < before + 256);
	mem_stats_get(&s);
	CHECK(s.kernel_stack_pages <= (8 + 31) * 4); /* cached, and waiting for a flush */
}

KTEST(ioremap_maps_devices_with_their_cache_type)
{
	volatile char *regs;
	pte_t pte;

	setup();
	regs = ioremap(0xfee00010, 32, CACHE_UC);
	pte = entry_of((vaddr_t)regs);
	CHECK_EQ((vaddr_t)regs & 0xfff, 0x10);
	CHECK_EQ(pte_phys(pte), 0xfee00000);
	CHECK((pte & (PTE_PCD | PTE_PWT)) == (PTE_PCD | PTE_PWT));
	CHECK(pte & PTE_NX);
	iounmap(regs);
	CHECK_EQ(entry_of((vaddr_t)regs), 0);
	regs = ioremap(0xe0000ffc, 8, CACHE_WC); /* across a page */
	CHECK_EQ(pte_phys(entry_of((vaddr_t)regs + 4)), 0xe0001000);
	CHECK((entry_of((vaddr_t)regs) & (PTE_PCD | PTE_PWT)) == PTE_PWT);
	iounmap(regs);
}

KTEST(ioremap_refuses_memory_but_not_firmware_areas)
{
	volatile void *p;

	setup();
	CHECK(!ioremap(MIB(10), 16, CACHE_UC));
	CHECK(!ioremap(0x9e000, MIB(1), CACHE_UC));
	CHECK(!ioremap(0xfee00000, 0, CACHE_UC));
	CHECK(!ioremap(~0ull - 100, 4096, CACHE_UC));
	CHECK(p = ioremap(0xf0000, 0x10000, CACHE_WB)); /* BIOS area */
	iounmap(p);
	CHECK(p = ioremap(MIB(63), 64, CACHE_WB)); /* ACPI tables */
	iounmap(p);
}

KTEST(kva_bad_free_panics)
{
	setup();
	CHECK(EXPECT_PANIC(vfree((void *)0xffffc90000000000)));
	CHECK(EXPECT_PANIC(iounmap((void *)0xffffc98000000000)));
}

KTEST(dma_memory_is_aligned_zeroed_and_low_enough)
{
	struct dma_buf buf;
	uint64_t before;

	setup();
	before = num_free();
	CHECK(dma_alloc(&buf, 5000, 16384, 32));
	CHECK(IS_ALIGNED(buf.addr, 16384));
	CHECK_EQ(buf.size, 5000);
	CHECK(phys_to_virt(buf.addr) == buf.cpu);
	CHECK_EQ(((char *)buf.cpu)[4999], 0);
	dma_free(&buf);
	dma_free(&buf); /* harmless */
	CHECK(dma_alloc(&buf, 64, 64, 20));
	CHECK(buf.addr < MIB(1));
	dma_free(&buf);
	CHECK(dma_alloc(&buf, 64, 64, 25));
	CHECK(buf.addr < MIB(32));
	dma_free(&buf);
	CHECK(!dma_alloc(&buf, MIB(8), 64, 64));
	CHECK(!dma_alloc(&buf, MIB(2), 64, 20));
	CHECK_EQ(num_free(), before);
}
