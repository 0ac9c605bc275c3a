/*
 * mm/frames.c and mm/frames_boot.c on whole machines. LINK: mm/frames.c mm/frames_boot.c
 * mm/pagetable.c lib/string.c tests/fakes/ram.c tests/fakes/cpu.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/panic.c
 */
#include "mm/frames_priv.h"

#include <stdlib.h>

#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/pagetable.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ram.h"
#include "tests/unit/ktest.h"

static uint64_t
num_free(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.free_pages;
}

static uint64_t
num_total(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.total_pages;
}

/* The order of the largest block that can be had; -1: none. Frees it again. */
static int
largest_order(unsigned flags)
{
	for (int k = MAX_ORDER; k >= 0; k--) {
		struct page *pg = page_alloc(k, flags);

		if (!pg)
			continue;
		page_free(pg, k);
		return k;
	}
	return -1;
}

KTEST(frames_all_memory_is_given_out_once_and_comes_back)
{
	static uint8_t seen[MIB(64) / PAGE_SIZE];
	struct page *first = NULL, *pg;
	uint64_t before, n = 0;

	fake_ram_init_simple(MIB(64));
	memset(seen, 0, sizeof(seen));
	before = num_free();
	while ((pg = page_alloc(0, ALLOC_ATOMIC))) {
		uint64_t pa = page_to_phys(pg);

		CHECK(pa >= MIB(4) && pa < MIB(63));
		CHECK(!seen[pa / PAGE_SIZE]++);
		CHECK_EQ(pg->refs, 1);
		CHECK_EQ(pg->zone, ZONE_DMA32);
		pg->private = (uint64_t)first; /* a list through the frames */
		first = pg;
		n++;
	}
	CHECK_EQ(num_free(), before - n);
	CHECK_EQ(num_free(), 0x9f - 1); /* LOW is kept, without frame 0 */
	while (first) {
		pg = first;
		first = (struct page *)pg->private;
		page_put(pg);
	}
	CHECK_EQ(num_free(), before);
	pg = page_alloc(MAX_ORDER, ALLOC_NORMAL); /* merged again */
	CHECK(pg);
	page_free(pg, MAX_ORDER);
	fake_ram_free();
}

KTEST(frames_of_a_small_machine_are_hardly_used_up)
{
	fake_ram_init_simple(MIB(64));
	/* 64 MiB less 5 MiB of others, 1 MiB and some tables for the page array. */
	CHECK(num_total() > (MIB(58) - KIB(64)) / PAGE_SIZE);
	CHECK_EQ(num_total(), num_free());
	fake_ram_free();
}

KTEST(frames_reserve_is_for_atomic_callers)
{
	struct page *pg, *list = NULL;
	uint64_t left = 0;

	fake_ram_init_simple(MIB(64));
	while ((pg = page_alloc(0, ALLOC_NORMAL))) {
		pg->private = (uint64_t)list;
		list = pg;
	}
	while ((pg = page_alloc(0, ALLOC_ATOMIC))) {
		pg->private = (uint64_t)list;
		list = pg;
		left++;
	}
	CHECK(left >= 32 && left < 256);
	CHECK(!page_alloc(3, ALLOC_NORMAL));
	while ((pg = list)) {
		list = (struct page *)pg->private;
		page_free(pg, 0);
	}
	CHECK(page_alloc(3, ALLOC_NORMAL));
	fake_ram_free();
}

KTEST(frames_zones_are_kept_apart)
{
	struct page *pg;

	fake_ram_init_simple(GIB(8)); /* one range without a hole: enough for this */
	pg = page_alloc(0, ALLOC_NORMAL);
	CHECK(page_to_phys(pg) >= GIB(4));
	page_free(pg, 0);
	pg = page_alloc(2, ALLOC_DMA32);
	CHECK(page_to_phys(pg) < GIB(4));
	page_free(pg, 2);
	pg = page_alloc(0, ALLOC_DMA32);
	CHECK(page_to_phys(pg) < GIB(4));
	page_free(pg, 0);
	pg = page_alloc(0, ALLOC_LOW);
	CHECK(page_to_phys(pg) < MIB(1) && page_to_phys(pg) > 0);
	page_free(pg, 0);
	CHECK(largest_order(ALLOC_LOW) >= 6);
	fake_ram_free();
}

KTEST(frames_page_array_is_mapped_where_ram_is_and_only_there)
{
	const struct boot_mem map[] = {
	    {0, 0x9f000, BOOT_MEM_USABLE, ~0u, 0},
	    {MIB(1), MIB(1), BOOT_MEM_LOADER, ~0u, 0},
	    {MIB(2), MIB(300), BOOT_MEM_USABLE, ~0u, 0},
	    {MIB(304), MIB(8), BOOT_MEM_MMIO, ~0u, 0},
	    {GIB(3), MIB(1), BOOT_MEM_ACPI_NVS, ~0u, 0},
	    {GIB(4), GIB(60) - MIB(3), BOOT_MEM_USABLE, ~0u, 0},
	};

	fake_ram_init(map, ARRAY_SIZE(map), GIB(64));
	for (paddr_t p = 0; p < GIB(64); p += MIB(4)) {
		bool has_ram = p < MIB(302) || p == GIB(3) || p >= GIB(4);

		CHECK_EQ(page_exists(p), has_ram);
		CHECK_EQ(page_exists(p + MIB(4) - 1), has_ram);
	}
	CHECK(!page_exists(GIB(64)));
	CHECK(phys_to_page(GIB(3))->flags & PAGE_RESERVED);
	CHECK(num_total() > GIB(59) / PAGE_SIZE);
	/* The last frame of RAM is there and no one after it. */
	CHECK(!(phys_to_page(GIB(64) - MIB(3) - 1)->flags & PAGE_RESERVED));
	CHECK(phys_to_page(GIB(64) - MIB(3))->flags & PAGE_RESERVED);
	fake_ram_free();
}

KTEST(frames_page_array_backing_is_distinct_ram)
{
	unsigned level;
	uint64_t used = 0;

	fake_ram_init_simple(MIB(300));
	for (uint64_t f = 0; f < page_array_frames;
	     f += PAGE_SIZE / sizeof(struct page)) {
		pte_t *pte =
		    pt_walk(kernel_page_table, (vaddr_t)&page_array[f], false, &level);
		struct page *backing;

		CHECK(pte && *pte & PTE_PRESENT && *pte & PTE_NX && *pte & PTE_WRITE);
		backing = phys_to_page(pte_phys(*pte));
		CHECK(backing->flags & PAGE_RESERVED);
		used += level == 1;
	}
	CHECK(used > 0 && used < 300); /* 256 of 300 MiB have 2 MiB leaves */
	fake_ram_free();
}

KTEST(frames_mem_option_limits_memory)
{
	fake_mem_option = "40M";
	fake_ram_init_simple(MIB(64));
	fake_mem_option = NULL;
	CHECK(num_total() < MIB(36) / PAGE_SIZE && num_total() > MIB(34) / PAGE_SIZE);
	frames_free_range(MIB(50), MIB(4)); /* beyond: ignored */
	CHECK_EQ(num_total(), num_free());
	CHECK(!page_exists(MIB(50)));
	fake_ram_free();
}

KTEST(frames_loader_memory_comes_back)
{
	uint64_t before;

	fake_ram_init_simple(MIB(64));
	before = num_total();
	frames_free_boot_memory();
	CHECK_EQ(num_total(), before + MIB(1) / PAGE_SIZE);
	frames_free_boot_memory(); /* nothing is left to free */
	CHECK_EQ(num_free(), before + MIB(1) / PAGE_SIZE);
	fake_ram_free();
}

KTEST(frames_double_free_and_wrong_order_panic)
{
	struct page *pg;

	fake_ram_init_simple(MIB(64));
	pg = page_alloc(0, ALLOC_NORMAL);
	page_free(pg, 0);
	CHECK(EXPECT_PANIC(page_free(pg, 0)));
	pg = page_alloc(3, ALLOC_NORMAL);
	CHECK(EXPECT_PANIC(page_free(pg, 2)));
	CHECK(EXPECT_PANIC(page_free(pg + 1, 0)));
	page_free(pg, 3);
	CHECK(EXPECT_PANIC(page_free(pg, 3)));
	CHECK(EXPECT_PANIC(page_free(phys_to_page(MIB(3)), 0))); /* reserved */
	fake_ram_free();
}

/*
 * Other CPUs take a frame with PAGE_BUDDY for a block in a free list, whose neighbour may
 * merge with it. Frames in a per-CPU cache are in none, however they came there.
 */
KTEST(frames_in_a_cache_are_no_buddies)
{
	struct page *pg, *section;
	unsigned cached = 0, in_lists = 0, reserved = 0;

	fake_ram_init_simple(MIB(64));
	pg = page_alloc(0, ALLOC_NORMAL); /* fills the cache */
	section = page_array + ALIGN_DOWN(pg - page_array, (long)SECTION_FRAMES);
	page_free(pg, 0); /* goes to the cache */
	CHECK(!(pg->flags & PAGE_BUDDY));
	for (unsigned i = 0; i < SECTION_FRAMES; i++) {
		CHECK_EQ(section[i].refs, 0);
		if (section[i].flags & PAGE_BUDDY) {
			CHECK(section[i].order <= MAX_ORDER);
			in_lists += 1u << section[i].order;
		} else if (section[i].order > MAX_ORDER) {
			cached++;
		} else if (section[i].flags & PAGE_RESERVED) {
			reserved++;
		}
	}
	CHECK(cached > 1);
	CHECK_EQ(cached + in_lists + reserved, SECTION_FRAMES);
	fake_ram_free();
}

KTEST(frames_write_after_free_is_found)
{
	struct page *pg;

	fake_ram_init_simple(MIB(64));
	pg = page_alloc(1, ALLOC_NORMAL);
	page_free(pg, 1);
	((char *)page_to_virt(pg))[PAGE_SIZE + 17] = 1;
	CHECK(EXPECT_PANIC(page_alloc(1, ALLOC_NORMAL)));
	fake_ram_free();
}

KTEST(frames_zeroed_when_asked)
{
	struct page *pg;
	const char *bytes;

	fake_ram_init_simple(MIB(64));
	pg = page_alloc(2, ALLOC_NORMAL);
	memset(page_to_virt(pg), 0x55, 4 * PAGE_SIZE);
	page_free(pg, 2);
	pg = page_alloc(2, ALLOC_ZERO);
	bytes = page_to_virt(pg);
	for (unsigned i = 0; i < 4 * PAGE_SIZE; i++)
		CHECK_EQ(bytes[i], 0);
	fake_ram_free();
}

KTEST(frames_references_keep_a_block)
{
	struct page *pg;
	uint64_t before;

	fake_ram_init_simple(MIB(64));
	before = num_free();
	pg = page_alloc(2, ALLOC_NORMAL);
	page_get(pg);
	page_put(pg);
	CHECK_EQ(num_free(), before - 4);
	page_put(pg);
	CHECK_EQ(num_free(), before);
	fake_ram_free();
}

KTEST(frames_nodes_are_recorded_before_and_after_use)
{
	struct page *early, *late;

	fake_ram_init_simple(MIB(64));
	early = page_alloc(0, ALLOC_NORMAL);
	frames_set_node(0, MIB(64), 1);
	CHECK_EQ(early->node, 1);
	for (unsigned i = 0; i < 4; i++) {
		late = page_alloc(MAX_ORDER, ALLOC_NORMAL);
		CHECK(late);
		CHECK_EQ(late->node, 1);
		CHECK_EQ(late[1023].node, 1);
	}
	fake_ram_free();
}

/* Random allocation and freeing: blocks never overlap, are aligned, and all come back. */
KTEST(frames_survive_random_use)
{
	enum { SLOTS = 600, ROUNDS = 60000 };
	static struct {
		struct page *pg;
		unsigned order;
	} slot[SLOTS];
	uint64_t before, held = 0;

	fake_ram_init_simple(MIB(128));
	before = num_free();
	srand(1);
	memset(slot, 0, sizeof(slot));
	for (unsigned n = 0; n < ROUNDS; n++) {
		unsigned i = rand() % SLOTS;
		unsigned order = rand() % 8 ? rand() % 3 : rand() % (MAX_ORDER + 1);

		if (slot[i].pg) {
			uint64_t *words = page_to_virt(slot[i].pg);

			/* Nobody else has written to its first and last word. */
			CHECK_EQ(words[0], i);
			CHECK_EQ(words[(512u << slot[i].order) - 1], i);
			held -= 1u << slot[i].order;
			page_free(slot[i].pg, slot[i].order);
			slot[i].pg = NULL;
			continue;
		}
		slot[i].pg = page_alloc(order, rand() % 2 ? ALLOC_NORMAL : ALLOC_DMA32);
		slot[i].order = order;
		if (slot[i].pg) {
			uint64_t *words = page_to_virt(slot[i].pg);

			CHECK(IS_ALIGNED(
			    page_to_phys(slot[i].pg), (uint64_t)PAGE_SIZE << order));
			words[0] = words[(512u << order) - 1] = i;
			held += 1u << order;
		}
		CHECK_EQ(num_free(), before - held);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (slot[i].pg)
			page_free(slot[i].pg, slot[i].order);
	CHECK_EQ(num_free(), before);
	fake_ram_free();
}

/* Single frames freed in any order merge into the largest blocks again. */
KTEST(frames_fragments_merge)
{
	enum { NUM = 8192 };
	static struct page *pages[NUM];
	unsigned n = 0;

	fake_ram_init_simple(MIB(32));
	while (n < NUM && (pages[n] = page_alloc(0, ALLOC_ATOMIC)))
		n++;
	CHECK(n > 6000 && n < NUM);
	for (unsigned odd = 0; odd < 2; odd++) {
		for (unsigned i = 0; i < n; i++)
			if ((page_to_phys(pages[i]) >> PAGE_SHIFT & 1) == odd)
				page_free(pages[i], 0);
		/* At first every second frame is in use. */
		CHECK_EQ(largest_order(ALLOC_ATOMIC), odd ? MAX_ORDER : 0);
	}
	CHECK_EQ(largest_order(ALLOC_NORMAL), MAX_ORDER);
	fake_ram_free();
}

KTEST(frames_map_with_many_small_entries)
{
	static struct boot_mem map[600];
	unsigned n = 0;
	uint64_t usable = 0;

	map[n++] = (struct boot_mem){MIB(1), MIB(1), BOOT_MEM_LOADER, ~0u, 0};
	for (paddr_t p = MIB(2); n < 598; p += 32 * PAGE_SIZE) {
		unsigned other = n % 3 ? BOOT_MEM_RESERVED : BOOT_MEM_EFI_RUNTIME;

		map[n++] = (struct boot_mem){p, 7 * PAGE_SIZE, BOOT_MEM_USABLE, ~0u, 0};
		map[n++] = (struct boot_mem){p + 7 * PAGE_SIZE, PAGE_SIZE, other, ~0u, 0};
		usable += 7;
	}
	map[n++] = (struct boot_mem){MIB(100), MIB(20), BOOT_MEM_USABLE, ~0u, 0};
	fake_ram_init(map, n, MIB(120));
	CHECK(num_total() > usable + MIB(17) / PAGE_SIZE);
	CHECK(num_total() < usable + MIB(20) / PAGE_SIZE);
	fake_ram_free();
}
