/* loader/memmap.c: laying ranges over each other. LINK: loader/memmap.c lib/string.c */
#include "loader/memmap.h"

#include "tests/unit/ktest.h"

enum { CAP = 64 };

static struct boot_mem entries[CAP];
static struct memmap map;

static void
reset(void)
{
	map = (struct memmap){.entries = entries, .cap = CAP};
}

static enum err
set(uint64_t base, uint64_t size, uint32_t type)
{
	struct boot_mem r = {base, size, type, 0, 0};

	return memmap_set(&map, &r);
}

static bool
is_entry(uint32_t i, uint64_t base, uint64_t size, uint32_t type)
{
	return i < map.len && entries[i].base == base && entries[i].size == size &&
	       entries[i].type == type;
}

KTEST(memmap_joins_neighbours_of_a_kind_only)
{
	reset();
	CHECK_EQ(set(0x1000, 0x1000, BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(0x3000, 0x1000, BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(0x4000, 0x1000, BOOT_MEM_RESERVED), OK);
	CHECK_EQ(map.len, 3);
	CHECK_EQ(set(0x2000, 0x1000, BOOT_MEM_USABLE), OK);
	CHECK_EQ(map.len, 2);
	CHECK(is_entry(0, 0x1000, 0x3000, BOOT_MEM_USABLE));
	CHECK(is_entry(1, 0x4000, 0x1000, BOOT_MEM_RESERVED));
}

KTEST(memmap_set_cuts_an_entry_in_three)
{
	reset();
	CHECK_EQ(set(0, MIB(16), BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(MIB(2), MIB(1), BOOT_MEM_KERNEL), OK);
	CHECK_EQ(map.len, 3);
	CHECK(is_entry(0, 0, MIB(2), BOOT_MEM_USABLE));
	CHECK(is_entry(1, MIB(2), MIB(1), BOOT_MEM_KERNEL));
	CHECK(is_entry(2, MIB(3), MIB(13), BOOT_MEM_USABLE));
}

KTEST(memmap_set_swallows_what_it_covers)
{
	reset();
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(set(i * 0x2000, 0x1000, BOOT_MEM_USABLE + i % 3), OK);
	CHECK_EQ(set(0x800, 0x20000, BOOT_MEM_RESERVED), OK);
	CHECK_EQ(map.len, 1);
	CHECK(is_entry(0, 0, 0x21000, BOOT_MEM_RESERVED));
}

KTEST(memmap_usable_shrinks_and_reserved_grows_to_pages)
{
	reset();
	CHECK_EQ(set(0x1001, 0x2000, BOOT_MEM_USABLE), OK);
	CHECK(is_entry(0, 0x2000, 0x1000, BOOT_MEM_USABLE));
	reset();
	CHECK_EQ(set(0x9fc00, 0x400, BOOT_MEM_USABLE), OK);
	CHECK_EQ(map.len, 0);
	CHECK_EQ(set(0x9fc00, 0x400, BOOT_MEM_RESERVED), OK);
	CHECK(is_entry(0, 0x9f000, 0x1000, BOOT_MEM_RESERVED));
}

KTEST(memmap_range_past_the_end_of_the_address_space_is_cut)
{
	reset();
	CHECK_EQ(set(UINT64_MAX - 0x1fff, UINT64_MAX, BOOT_MEM_RESERVED), OK);
	CHECK_EQ(map.len, 1);
	CHECK(entries[0].base + entries[0].size > entries[0].base);
	CHECK_EQ(set(UINT64_MAX - 10, 100, BOOT_MEM_USABLE), OK);
	CHECK_EQ(map.len, 1);
}

KTEST(memmap_full_array_changes_nothing)
{
	reset();
	for (unsigned i = 0; i < CAP; i++)
		CHECK_EQ(set(i * 0x2000, 0x1000, BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(CAP * 0x2000, 0x1000, BOOT_MEM_USABLE), ERR_NOSPC);
	CHECK_EQ(map.len, CAP);
	CHECK_EQ(map.dropped, 1);
	CHECK_EQ(set(0x0000, 0x1000, BOOT_MEM_RESERVED), OK); /* replaces: fits */
}

KTEST(memmap_build_lets_the_more_careful_type_win)
{
	const struct boot_mem raw[] = {
	    {0x5000, 0x1000, BOOT_MEM_UNUSABLE, 0, 0},
	    {0x8000, 0x2000, BOOT_MEM_RESERVED, 0, 0},
	    {0x0000, 0x10000, BOOT_MEM_USABLE, 0, 0},
	    {0x4000, 0x4000, BOOT_MEM_ACPI_RECLAIM, 0, 0},
	    {0x9000, 0x2000, BOOT_MEM_ACPI_NVS, 0, 0},
	};

	reset();
	CHECK_EQ(memmap_build(&map, raw, ARRAY_SIZE(raw)), OK);
	CHECK_EQ(map.len, 7);
	CHECK(is_entry(0, 0x0000, 0x4000, BOOT_MEM_USABLE));
	CHECK(is_entry(1, 0x4000, 0x1000, BOOT_MEM_ACPI_RECLAIM));
	CHECK(is_entry(2, 0x5000, 0x1000, BOOT_MEM_UNUSABLE));
	CHECK(is_entry(3, 0x6000, 0x2000, BOOT_MEM_ACPI_RECLAIM));
	CHECK(is_entry(4, 0x8000, 0x2000, BOOT_MEM_RESERVED));
	CHECK(is_entry(5, 0xa000, 0x1000, BOOT_MEM_ACPI_NVS));
	CHECK(is_entry(6, 0xb000, 0x5000, BOOT_MEM_USABLE));
}

/* Random raw maps against a page-by-page model. */
KTEST(memmap_build_agrees_with_a_model)
{
	static const uint8_t order[] = {0, BOOT_MEM_USABLE, BOOT_MEM_ACPI_RECLAIM,
	    BOOT_MEM_ACPI_NVS, BOOT_MEM_EFI_RUNTIME, BOOT_MEM_RESERVED, BOOT_MEM_MMIO,
	    BOOT_MEM_UNUSABLE};
	enum { PAGES = 200, RAW = 24 };
	uint64_t seed = 12345;

	for (unsigned round = 0; round < 2000; round++) {
		struct boot_mem raw[RAW];
		uint8_t model[PAGES + 64] = {0};
		uint64_t last_end = 0;

		for (unsigned i = 0; i < RAW; i++) {
			unsigned rank, first, n;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			rank = 1 + (seed >> 60) % 7;
			first = (seed >> 33) % PAGES;
			n = 1 + (seed >> 20) % 40;
			raw[i] =
			    (struct boot_mem){first * 4096, n * 4096, order[rank], 0, 0};
			for (unsigned p = first; p < first + n; p++)
				model[p] = MAX(model[p], rank);
		}
		reset();
		CHECK_EQ(memmap_build(&map, raw, RAW), OK);
		for (uint32_t i = 0; i < map.len; i++) {
			CHECK(entries[i].base >= last_end && entries[i].size);
			last_end = entries[i].base + entries[i].size;
			for (uint64_t p = entries[i].base / 4096; p < last_end / 4096;
			     p++) {
				CHECK_EQ(order[model[p]], entries[i].type);
				model[p] = 0;
			}
		}
		for (unsigned p = 0; p < ARRAY_SIZE(model); p++)
			CHECK_EQ(model[p], 0);
	}
}

KTEST(memmap_find_takes_the_highest_that_fits)
{
	reset();
	CHECK_EQ(set(MIB(1), MIB(63), BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(MIB(70), KIB(64), BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(GIB(4), MIB(64), BOOT_MEM_USABLE), OK);
	CHECK_EQ(memmap_find(&map, KIB(64), 4096, MIB(1), GIB(4)), MIB(70));
	CHECK_EQ(memmap_find(&map, KIB(128), 4096, MIB(1), GIB(4)), MIB(64) - KIB(128));
	CHECK_EQ(memmap_find(&map, MIB(1), MIB(2), MIB(1), GIB(4)), MIB(62));
	CHECK_EQ(memmap_find(&map, MIB(4), 4096, MIB(61), GIB(4)), 0);
	CHECK_EQ(memmap_find(&map, MIB(4), 4096, 0, UINT64_MAX), GIB(4) + MIB(60));
	CHECK_EQ(memmap_find(&map, GIB(1), 4096, 0, UINT64_MAX), 0);
}

KTEST(memmap_is_needs_the_whole_range)
{
	reset();
	CHECK_EQ(set(MIB(1), MIB(1), BOOT_MEM_USABLE), OK);
	CHECK_EQ(set(MIB(3), MIB(1), BOOT_MEM_USABLE), OK);
	CHECK(memmap_is(&map, MIB(1), MIB(1), BOOT_MEM_USABLE));
	CHECK(!memmap_is(&map, MIB(1), MIB(3), BOOT_MEM_USABLE));
	CHECK(!memmap_is(&map, MIB(1) - 1, 2, BOOT_MEM_USABLE));
	CHECK(!memmap_is(&map, MIB(1), UINT64_MAX, BOOT_MEM_USABLE));
	CHECK_EQ(memmap_ram_end(&map), MIB(4));
}
