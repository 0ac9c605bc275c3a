/*
 * mm/pagetable.c in fake memory. LINK: mm/pagetable.c mm/frames.c mm/frames_boot.c
 * lib/string.c tests/fakes/ram.c tests/fakes/cpu.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/panic.c
 */
#include "mm/pagetable.h"

#include <stdlib.h>

#include "kernel/x86/cpu.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ram.h"
#include "tests/unit/ktest.h"

enum { EDX_PAGE1GB = 1 << 26 };
enum { RW = PTE_PRESENT | PTE_WRITE };

static uint64_t
num_free(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.free_pages;
}

/* What the processor would make of `va`: the physical address, or ~0. */
static paddr_t
translate(paddr_t root, vaddr_t va, uint64_t *bits)
{
	const uint64_t *table = phys_to_virt(root);

	for (int shift = 39;; shift -= 9) {
		uint64_t e = table[va >> shift & 511];
		uint64_t mask = (1ull << shift) - 1;

		if (!(e & 1))
			return ~0ull;
		if (shift == 12 || e & 1 << 7) {
			*bits = e;
			return (e & 0x000ffffffffff000ull & ~mask) | (va & mask);
		}
		table = phys_to_virt(e & 0x000ffffffffff000ull);
	}
}

static paddr_t
setup(unsigned features)
{
	fake_ram_init_simple(MIB(64));
	fake_cpuid.edx = features;
	pt_init_kernel(fake_cr3);
	return pt_create();
}

KTEST(pagetable_maps_with_the_largest_leaves)
{
	paddr_t root = setup(EDX_PAGE1GB);
	uint64_t bits;
	unsigned level;
	vaddr_t va = GIB(1) - MIB(2) - PAGE_SIZE;
	size_t size = PAGE_SIZE + MIB(2) + GIB(1) + MIB(2) + PAGE_SIZE;

	CHECK(pt_map(root, va, va + GIB(4), size, RW) == OK);
	for (size_t off = 0; off < size; off += 37 * PAGE_SIZE)
		CHECK_EQ(translate(root, va + off, &bits), va + off + GIB(4));
	CHECK_EQ(translate(root, va + size - 1, &bits), va + size - 1 + GIB(4));
	CHECK_EQ(translate(root, va - 1, &bits), ~0ull);
	CHECK_EQ(translate(root, va + size, &bits), ~0ull);
	CHECK(pt_walk(root, GIB(1), false, &level) && level == 3);
	CHECK(pt_walk(root, GIB(2), false, &level) && level == 2);
	CHECK(pt_walk(root, va, false, &level) && level == 1);
	pt_unmap(root, va, size);
	for (size_t off = 0; off < size; off += 37 * PAGE_SIZE)
		CHECK_EQ(translate(root, va + off, &bits), ~0ull);
	fake_ram_free();
}

KTEST(pagetable_uses_no_gigabyte_leaf_without_the_feature)
{
	paddr_t root = setup(0);
	unsigned level;

	CHECK(pt_map(root, GIB(1), GIB(1), GIB(1), RW) == OK);
	CHECK(pt_walk(root, GIB(1), false, &level) && level == 2);
	fake_ram_free();
}

KTEST(pagetable_protect_splits_what_it_cuts)
{
	paddr_t root = setup(EDX_PAGE1GB);
	uint64_t bits;

	CHECK(pt_map(root, GIB(1), GIB(8), GIB(1), RW | PTE_NX | PTE_PAT) == OK);
	CHECK(pt_protect(root, GIB(1) + MIB(4) + PAGE_SIZE, MIB(2), PTE_PRESENT) == OK);
	for (uint64_t off = 0; off < MIB(16); off += PAGE_SIZE) {
		bool is_changed = off >= MIB(4) + PAGE_SIZE && off < MIB(6) + PAGE_SIZE;

		CHECK_EQ(translate(root, GIB(1) + off, &bits), GIB(8) + off);
		CHECK_EQ(!!(bits & PTE_WRITE), !is_changed);
		CHECK_EQ(!!(bits & PTE_NX), !is_changed);
	}
	CHECK_EQ(translate(root, GIB(2) - 1, &bits), GIB(9) - 1);
	/* The PAT bit has moved from bit 12 to bit 7 on the way down. */
	CHECK(*pt_walk(root, GIB(1) + MIB(4), false, &(unsigned){0}) & PTE_PAT);
	CHECK(pt_protect(root, GIB(40), GIB(100), PTE_PRESENT) == OK); /* nothing there */
	fake_ram_free();
}

KTEST(pagetable_cutting_unmap_panics)
{
	paddr_t root = setup(0);

	CHECK(pt_map(root, MIB(2), MIB(2), MIB(2), RW) == OK);
	CHECK(EXPECT_PANIC(pt_unmap(root, MIB(2), PAGE_SIZE)));
	CHECK(EXPECT_PANIC((void)pt_map(root, MIB(2), 0, PAGE_SIZE, RW)));
	fake_ram_free();
}

KTEST(pagetable_small_mapping_into_a_used_table)
{
	paddr_t root = setup(0);
	uint64_t bits;

	CHECK(pt_map(root, MIB(2), MIB(7), PAGE_SIZE, RW) == OK);
	pt_unmap(root, MIB(2), PAGE_SIZE);
	/* The table stays: a 2 MiB mapping goes into it as small pages. */
	CHECK(pt_map(root, MIB(2), MIB(8), MIB(2), RW) == OK);
	CHECK_EQ(translate(root, MIB(3), &bits), MIB(9));
	fake_ram_free();
}

KTEST(pagetable_roots_share_the_kernel_half)
{
	paddr_t root = setup(0), other;
	uint64_t bits, before;

	/* Through one root's walk, seen through another: below the on-demand entry. */
	CHECK(pt_map(kernel_page_table, 0xffffc90000000000, MIB(5), PAGE_SIZE, RW) == OK);
	CHECK_EQ(translate(root, 0xffffc90000000000, &bits), MIB(5));
	before = num_free();
	other = pt_create();
	CHECK_EQ(translate(other, 0xffffc90000000000, &bits), MIB(5));
	CHECK(pt_map(other, MIB(1) - PAGE_SIZE, 0, MIB(64), RW | PTE_USER) == OK);
	CHECK(pt_map(other, GIB(1000), 0, PAGE_SIZE, RW | PTE_USER) == OK);
	CHECK(translate(root, MIB(1), &bits) == ~0ull);
	pt_destroy(other);
	CHECK_EQ(num_free(), before);
	CHECK_EQ(translate(root, 0xffffc90000000000, &bits), MIB(5));
	fake_ram_free();
}

KTEST(pagetable_out_of_memory_leaves_nothing_mapped)
{
	paddr_t root = setup(0);
	struct page *pg;
	uint64_t bits;
	unsigned level;

	while ((pg = page_alloc(0, ALLOC_NORMAL)))
		pg->private = 1;
	CHECK(pt_map(root, GIB(1) - PAGE_SIZE, 0, GIB(2), RW) == ERR_NOMEM);
	for (vaddr_t va = GIB(1) - PAGE_SIZE; va < GIB(3); va += MIB(1))
		CHECK_EQ(translate(root, va, &bits), ~0ull);
	CHECK(!pt_walk(root, GIB(600), true, &level));
	CHECK(!pt_create());
	fake_ram_free();
}

KTEST(pagetable_random_maps_agree_with_a_model)
{
	enum { PAGES = 4096 };
	static paddr_t model[PAGES];
	const vaddr_t base = GIB(512) - MIB(8); /* across an entry of the root */
	paddr_t root = setup(0);

	memset(model, 0xff, sizeof(model));
	srand(11);
	for (unsigned n = 0; n < 3000; n++) {
		unsigned first = rand() % PAGES, len = 1 + rand() % 40;
		bool is_map = rand() % 2;
		uint64_t bits;

		for (unsigned p = first; p < MIN(first + len, (unsigned)PAGES); p++) {
			vaddr_t va = base + (uint64_t)p * PAGE_SIZE;

			CHECK_EQ(translate(root, va, &bits), model[p]);
			if (is_map && model[p] == ~0ull) {
				model[p] = (uint64_t)(rand() % 65536) * PAGE_SIZE;
				CHECK(pt_map(root, va, model[p], PAGE_SIZE, RW) == OK);
			} else if (!is_map) {
				model[p] = ~0ull;
				pt_unmap(root, va, PAGE_SIZE);
			}
		}
	}
	fake_ram_free();
}
