/*
 * loader/pagetable.c, looked at by a walker of its own.
 * LINK: loader/pagetable.c loader/memmap.c lib/string.c
 */
#include "loader/pagetable.h"

#include "loader/memmap.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

enum { MAX_TABLES = 4096, ARENA = 0x10000000 };

static uint64_t tables[MAX_TABLES][512];
static unsigned used, limit;

static paddr_t
alloc(void *ctx)
{
	if (used >= limit)
		return 0;
	memset(tables[used], 0, sizeof(tables[used]));
	return ARENA + 4096ull * used++;
}

static uint64_t *
access(void *ctx, paddr_t table)
{
	return tables[(table - ARENA) / 4096];
}

static struct boot_pt
new_pt(bool has_1g)
{
	used = 0;
	limit = MAX_TABLES;
	return (struct boot_pt){
	    .has_1g = has_1g, .has_nx = true, .alloc = alloc, .access = access};
}

/* What the processor would do: the leaf for va with its size in *size, 0 when not mapped.
 */
static uint64_t
leaf_of(const struct boot_pt *pt, vaddr_t va, uint64_t *size)
{
	paddr_t table = pt->root;

	for (unsigned l = 4;; l--) {
		uint64_t e = access(NULL, table)[va >> (12 + 9 * (l - 1)) & 511];

		*size = 1ull << (12 + 9 * (l - 1));
		if (!(e & 1))
			return 0;
		if (l == 1 || e & 1 << 7)
			return e;
		table = e & 0x000ffffffffff000ull;
	}
}

#define NX (1ull << 63)

static bool
maps(const struct boot_pt *pt, vaddr_t va, paddr_t pa, uint64_t bits)
{
	uint64_t size, e = leaf_of(pt, va, &size);
	uint64_t base = e & 0x000ffffffffff000ull & ~(size - 1);

	return e && base + (va & (size - 1)) == pa && (e & (NX | 2 | 8)) == bits;
}

KTEST(boot_pt_uses_the_largest_pages)
{
	struct boot_pt pt = new_pt(true);
	uint64_t size;

	CHECK_EQ(
	    boot_pt_map(&pt, 0xffff800000000000 + MIB(1022), MIB(1022), GIB(2), 1), OK);
	CHECK(leaf_of(&pt, 0xffff800000000000 + MIB(1023), &size) && size == MIB(2));
	CHECK(leaf_of(&pt, 0xffff800000000000 + MIB(1500), &size) && size == GIB(1));
	CHECK(
	    leaf_of(&pt, 0xffff800000000000 + GIB(3) - MIB(3), &size) && size == MIB(2));
	CHECK(!leaf_of(&pt, 0xffff800000000000 + GIB(3) - MIB(2), &size));

	pt = new_pt(false);
	CHECK_EQ(boot_pt_map(&pt, 0xffff800000000000, 0, GIB(2) + 4096, 1), OK);
	CHECK(leaf_of(&pt, 0xffff800000000000, &size) && size == MIB(2));
	CHECK(leaf_of(&pt, 0xffff800000000000 + GIB(2), &size) && size == 4096);
	CHECK(!leaf_of(&pt, 0xffff800000000000 + GIB(2) + 4096, &size));
}

KTEST(boot_pt_map_refuses_another_mapping_of_the_same_place)
{
	struct boot_pt pt = new_pt(true);

	CHECK_EQ(boot_pt_map(&pt, MIB(2), MIB(2), MIB(2), 1), OK);
	CHECK_EQ(boot_pt_map(&pt, MIB(2), MIB(2), MIB(2), 1), OK);
	CHECK_EQ(boot_pt_map(&pt, MIB(2), MIB(2), MIB(2), 0), ERR_EXIST);
	CHECK_EQ(boot_pt_map(&pt, MIB(2) + 4096, MIB(2), 4096, 1), ERR_EXIST);
}

KTEST(boot_pt_says_when_memory_runs_out_at_any_page)
{
	for (unsigned n = 0; n < 4; n++) {
		struct boot_pt pt = new_pt(false);

		limit = n;
		CHECK_EQ(
		    boot_pt_map(&pt, 0xffffffff80200000, MIB(2), 4096, 0), ERR_NOMEM);
	}
}

static struct boot_mem entries[] = {
    {0, 0x9f000, BOOT_MEM_USABLE, 0, 0},
    {0x9f000, 0x1000, BOOT_MEM_RESERVED, 0, 0},
    {0xf0000, 0x10000, BOOT_MEM_RESERVED, 0, 0},
    {MIB(1), MIB(15), BOOT_MEM_USABLE, 0, 0},
    {MIB(16), MIB(4), BOOT_MEM_KERNEL, 0, 0},
    {MIB(20), MIB(107), BOOT_MEM_USABLE, 0, 0},
    {MIB(127), MIB(1), BOOT_MEM_RESERVED, 0, 0}, /* touches RAM: ACPI tables of SeaBIOS */
    {0xb0000000, MIB(256), BOOT_MEM_RESERVED, 0, 0}, /* ECAM */
    {0xfe000000, MIB(1), BOOT_MEM_MMIO, 0, 0},
    {GIB(4), GIB(2), BOOT_MEM_USABLE, 0, 0},
};
static const struct memmap map = {entries, ARRAY_SIZE(entries), ARRAY_SIZE(entries), 0};
static const struct boot_segment segments[] = {
    {0, 0x3000, BOOT_PT_READ},
    {0x3000, 0x10000, BOOT_PT_EXEC},
    {0x13000, 0x20000, BOOT_PT_WRITE},
    {0x33000, 0x1000, BOOT_PT_READ},
};

static struct boot_info boot;

static enum err
build(struct boot_pt *pt)
{
	boot = (struct boot_info){
	    .kernel_phys = MIB(16),
	    .kernel_virt = 0xffffffff83600000,
	    .direct_map_base = 0xffff912340000000,
	    .fb = {.base = 0xd0000000, .size = 1920 * 1080 * 4, .format = BOOT_FB_RGB},
	};
	return boot_pt_build(pt, &boot, &map, segments, ARRAY_SIZE(segments));
}

KTEST(boot_pt_build_gives_the_image_exact_rights)
{
	struct boot_pt pt = new_pt(true);
	vaddr_t v = 0xffffffff83600000;
	uint64_t size;

	CHECK_EQ(build(&pt), OK);
	CHECK_EQ(boot.page_table_root, pt.root);
	CHECK(maps(&pt, v, MIB(16), NX));
	CHECK(maps(&pt, v + 0x2fff, MIB(16) + 0x2fff, NX));
	CHECK(maps(&pt, v + 0x3000, MIB(16) + 0x3000, 0));
	CHECK(maps(&pt, v + 0x12fff, MIB(16) + 0x12fff, 0));
	CHECK(maps(&pt, v + 0x13000, MIB(16) + 0x13000, NX | 2));
	CHECK(maps(&pt, v + 0x33000, MIB(16) + 0x33000, NX));
	CHECK(!leaf_of(&pt, v + 0x34000, &size));
	CHECK(!leaf_of(&pt, v - 1, &size));
}

KTEST(boot_pt_build_maps_ram_and_firmware_tables_only)
{
	vaddr_t d = 0xffff912340000000;
	uint64_t size;

	for (unsigned has_1g = 0; has_1g < 2; has_1g++) {
		struct boot_pt pt = new_pt(has_1g);

		CHECK_EQ(build(&pt), OK);
		CHECK_EQ(boot.direct_map_size, GIB(6));
		CHECK(maps(&pt, d, 0, NX | 2));
		CHECK(maps(&pt, d + 0xf5a10, 0xf5a10, NX | 2));
		CHECK(leaf_of(&pt, d + MIB(1) + 5, &size) && size == 4096);
		CHECK(maps(&pt, d + MIB(5) + 5, MIB(5) + 5, NX | 2));
		CHECK(leaf_of(&pt, d + MIB(5), &size) && size == MIB(2));
		CHECK(maps(&pt, d + MIB(16) + 0x5000, MIB(16) + 0x5000, NX)); /* text */
		CHECK(maps(&pt, d + MIB(16) + 0x14000, MIB(16) + 0x14000, NX | 2));
		CHECK(maps(&pt, d + MIB(128) - 1, MIB(128) - 1, NX | 2));
		CHECK(!leaf_of(&pt, d + MIB(128), &size));
		CHECK(!leaf_of(&pt, d + 0xb0000000, &size));
		CHECK(!leaf_of(&pt, d + 0xfe000000, &size));
		CHECK(maps(&pt, d + GIB(6) - 1, GIB(6) - 1, NX | 2));
		CHECK(leaf_of(&pt, d + GIB(5), &size) &&
		      size == (has_1g ? GIB(1) : MIB(2)));
		CHECK(!leaf_of(&pt, d + GIB(6), &size));
		CHECK(!leaf_of(&pt, MIB(2), &size)); /* no identity map */
	}
}

KTEST(boot_pt_build_maps_the_framebuffer_write_combining)
{
	struct boot_pt pt = new_pt(true);
	uint64_t size;

	CHECK_EQ(build(&pt), OK);
	CHECK(maps(&pt, boot.direct_map_base + 0xd0000000, 0xd0000000, NX | 2 | 8));
	CHECK(!leaf_of(&pt, boot.direct_map_base + 0xd0000000 + MIB(8), &size));
}

KTEST(boot_pt_build_maps_a_framebuffer_in_ram_once)
{
	struct boot_pt pt = new_pt(true);
	paddr_t fb = GIB(5) + MIB(3) + 4096;

	(void)build(&pt);
	pt = new_pt(true);
	boot.fb.base = fb + 16;
	CHECK_EQ(boot_pt_build(&pt, &boot, &map, segments, ARRAY_SIZE(segments)), OK);
	CHECK(maps(&pt, boot.direct_map_base + fb - 1, fb - 1, NX | 2));
	CHECK(maps(&pt, boot.direct_map_base + fb, fb, NX | 2 | 8));
	CHECK(maps(&pt, boot.direct_map_base + fb + boot.fb.size, fb + boot.fb.size,
	    NX | 2 | 8));
	CHECK(maps(&pt, boot.direct_map_base + fb + MIB(8), fb + MIB(8), NX | 2));
}

KTEST(boot_pt_pages_needed_is_enough)
{
	for (unsigned has_1g = 0; has_1g < 2; has_1g++) {
		struct boot_pt pt = new_pt(has_1g);

		CHECK_EQ(build(&pt), OK);
		CHECK(used <= boot_pt_pages_needed(&map, has_1g));
	}
}

/* A machine cut into hundreds of small odd pieces. */
KTEST(boot_pt_pages_needed_is_enough_for_a_ragged_map)
{
	static struct boot_mem many[600];
	struct memmap m = {many, 600, 600, 0};
	struct boot_pt pt = new_pt(false);

	for (unsigned i = 0; i < 600; i++)
		many[i] = (struct boot_mem){MIB(32) + i * MIB(5) + 0x3000,
		    MIB(3) + 0x1000, BOOT_MEM_USABLE, 0, 0};
	boot.fb.format = BOOT_FB_NONE;
	CHECK_EQ(boot_pt_build(&pt, &boot, &m, segments, 0), OK);
	CHECK(used <= boot_pt_pages_needed(&m, false));
}
