/*
 * The loader's reading of firmware data: EFI map, RSDP, choices.
 * LINK: loader/efimap.c loader/memmap.c loader/rsdp.c loader/handover.c
 * LINK: loader/entropy.c lib/string.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "loader/efimap.h"
#include "loader/entropy.h"
#include "loader/handover.h"
#include "loader/memmap.h"
#include "loader/rsdp.h"
#include "tests/unit/ktest.h"

enum { DESC = 48 }; /* EDK II's size, larger than the structure */

static char descs[1000 * DESC];

static void
put_desc(unsigned i, uint32_t type, uint64_t phys, uint64_t pages, uint64_t attr)
{
	struct efimap_desc d = {type, 0, phys, 0, pages, attr};

	memcpy(descs + i * DESC, &d, sizeof(d));
}

KTEST(efimap_translates_types_and_attributes)
{
	struct efimap m = {descs, 8 * DESC + 20, DESC};
	struct boot_mem raw[16];

	put_desc(0, 7, 0, 16, 0xf);
	put_desc(1, 4, 0x10000, 1, 0xf);
	put_desc(2, 6, 0x11000, 1, 0xf | 1ull << 63);
	put_desc(3, 9, 0x12000, 1, 0xf);
	put_desc(4, 7, 0x13000, 1, 0x8000); /* persistent */
	put_desc(5, 14, 0x14000, 1, 0);     /* a type we do not know */
	put_desc(6, 7, 0x15000, 0, 0);      /* empty */
	put_desc(7, 7, UINT64_MAX - 4095, 2, 0);
	CHECK_EQ(efimap_count(&m), 8);
	CHECK_EQ(efimap_translate(&m, raw, 16), 6);
	CHECK(raw[0].type == BOOT_MEM_USABLE && raw[0].size == 0x10000);
	CHECK(raw[1].type == BOOT_MEM_USABLE && raw[1].efi_type == raw[0].efi_type);
	CHECK(raw[2].type == BOOT_MEM_EFI_RUNTIME && raw[2].efi_attr >> 63);
	CHECK(raw[3].type == BOOT_MEM_ACPI_RECLAIM);
	CHECK(raw[4].type == BOOT_MEM_RESERVED);
	CHECK(raw[5].type == BOOT_MEM_RESERVED && raw[5].efi_type == 14);
}

KTEST(efimap_of_hundreds_of_entries_joins_what_touches)
{
	static struct boot_mem raw[1000], entries[2000];
	struct efimap m = {descs, sizeof(descs), DESC};
	struct memmap map = {entries, 0, 2000, 0};

	for (unsigned i = 0; i < 1000; i++) {
		unsigned at = (i * 617) % 1000; /* unsorted */

		put_desc(i, i % 2 ? 3 : 7, at * 0x10000ull, 16, 0xf);
	}
	CHECK_EQ(efimap_translate(&m, raw, 1000), 1000);
	CHECK_EQ(memmap_build(&map, raw, 1000), OK);
	CHECK_EQ(map.len, 1);
	CHECK_EQ(entries[0].size, 1000 * 0x10000);
}

KTEST(efimap_nonsense_sizes_give_nothing)
{
	struct efimap m = {descs, sizeof(descs), 0};
	struct boot_mem raw[4];

	CHECK_EQ(efimap_count(&m), 0);
	m.desc_size = 39;
	CHECK_EQ(efimap_translate(&m, raw, 4), 0);
	m.desc_size = 5000;
	CHECK_EQ(efimap_count(&m), 0);
	m.desc_size = DESC;
	CHECK_EQ(efimap_translate(&m, raw, 4), 4);
}

KTEST(efimap_keeps_runtime_descriptors_in_place)
{
	struct efimap m = {descs, 5 * DESC, DESC};
	const struct efimap_desc *d = (const void *)descs;

	for (unsigned i = 0; i < 5; i++)
		put_desc(i, 6, i * 0x1000, 1, i % 2 ? 1ull << 63 : 0);
	CHECK_EQ(efimap_keep_runtime(&m, descs), 2);
	CHECK_EQ(d->phys, 0x1000);
	d = (const void *)(descs + DESC);
	CHECK_EQ(d->phys, 0x3000);
}

static uint8_t mem[4096]; /* "physical" memory from 0x1000 on */

static const void *
reach(void *ctx, paddr_t base, uint64_t size)
{
	if (base < 0x1000 || size > sizeof(mem) || base - 0x1000 > sizeof(mem) - size)
		return NULL;
	return mem + (base - 0x1000);
}

static void
fix_sum(uint8_t *p, size_t n, size_t at)
{
	p[at] = 0;
	for (size_t i = 0; i < n; i++)
		p[at] -= i == at ? 0 : p[i];
}

/* RSDP at 0, XSDT at 0x100 with entries outside, to FACP and to MCFG. */
static void
make_tables(void)
{
	uint64_t xsdt = 0x1100, entries[3] = {0x99999999, 0x1200, 0x1300};
	uint32_t len = 36 + 24;

	memset(mem, 0, sizeof(mem));
	memcpy(mem, "RSD PTR ", 8);
	mem[15] = 2;
	mem[20] = 36;
	memcpy(mem + 24, &xsdt, 8);
	fix_sum(mem, 20, 8);
	fix_sum(mem, 36, 32);
	memcpy(mem + 0x100, "XSDT", 4);
	memcpy(mem + 0x104, &len, 4);
	memcpy(mem + 0x100 + 36, entries, sizeof(entries));
	fix_sum(mem + 0x100, len, 9);
	memcpy(mem + 0x200, "FACP", 4);
	memcpy(mem + 0x300, "MCFG", 4);
}

KTEST(rsdp_finds_a_table_and_refuses_damage)
{
	make_tables();
	CHECK(rsdp_is_good(mem));
	CHECK_EQ(rsdp_find_table(mem, "MCFG", reach, NULL), 0x1300);
	CHECK_EQ(rsdp_find_table(mem, "HPET", reach, NULL), 0);
	mem[0x110] ^= 1; /* XSDT's checksum */
	CHECK_EQ(rsdp_find_table(mem, "MCFG", reach, NULL), 0);
	make_tables();
	mem[0x107] = 0xff; /* its length */
	CHECK_EQ(rsdp_find_table(mem, "MCFG", reach, NULL), 0);
	make_tables();
	mem[0x104] = 35;
	CHECK_EQ(rsdp_find_table(mem, "MCFG", reach, NULL), 0);
	make_tables();
	mem[30] = 1; /* XSDT elsewhere: the long checksum sees it */
	CHECK(!rsdp_is_good(mem));
	memset(mem, 0, 36);
	CHECK(!rsdp_is_good(mem));
}

KTEST(handover_cmdline_has_whole_words_before_the_dashes)
{
	CHECK(handover_cmdline_has("quiet nokaslr panic=1", "nokaslr"));
	CHECK(handover_cmdline_has("nokaslr", "nokaslr"));
	CHECK(!handover_cmdline_has("nokaslr=1 xnokaslr nokaslrx", "nokaslr"));
	CHECK(!handover_cmdline_has("quiet -- nokaslr", "nokaslr"));
	CHECK(!handover_cmdline_has("", "nokaslr"));
}

KTEST(handover_places_are_aligned_fit_and_differ)
{
	struct entropy e = {.state = {1}};
	uint64_t last = 0, same = 0;

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t v = handover_pick_slot(
		    &e, 0xffffffff80200000, 0xffffffffc0000000, MIB(3));
		uint64_t d = handover_pick_direct_map(&e, 0x200000000000, "");

		CHECK(IS_ALIGNED(v, MIB(2)) && v >= 0xffffffff80200000 &&
		      v <= 0xffffffffc0000000 - MIB(3));
		CHECK(IS_ALIGNED(d, GIB(1)) && d >= 0xffff800000000000 &&
		      d <= 0xffffc00000000000 - 0x200000000000);
		same += v == last;
		last = v;
	}
	CHECK(same < 20);
	CHECK_EQ(handover_pick_slot(&e, MIB(2), MIB(4), MIB(3)), MIB(2));
	CHECK_EQ(handover_pick_direct_map(&e, GIB(6), "nokaslr"), 0xffff800000000000);
}

KTEST(entropy_draws_differ_by_what_was_added)
{
	struct entropy a = {0}, b = {0};
	uint8_t buf[64], zero[64] = {0};

	entropy_add(&a, 1, 1);
	entropy_add(&b, 2, 1);
	CHECK(entropy_draw(&a) != entropy_draw(&b));
	CHECK(entropy_draw(&a) != entropy_draw(&a));
	memset(buf, 0, sizeof(buf));
	entropy_fill(&a, buf, 61);
	CHECK(memcmp(buf, zero, 61) && !memcmp(buf + 61, zero, 3));
	entropy_add_cpu(&a);
	CHECK(a.bits >= 16);
}
