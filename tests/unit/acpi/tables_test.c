/*
 * acpi/: real tables as QEMU's firmware left them, tables built here with each kind of
 * damage, and random damage under ASan. LINK: acpi/acpi.c acpi/tables.c acpi/madt.c
 * acpi/fadt.c acpi/numa.c acpi/devices.c kernel/platform.c lib/string.c lib/fmt.c
 * tests/unit/acpi/fake_memory.c
 */
#include "acpi/acpi.h"
#include "acpi/tables.h"
#include "kernel/boot.h"
#include "kernel/platform.h"
#include "lib/string.h"
#include "tests/unit/acpi/fake_memory.h"
#include "tests/unit/ktest.h"

static struct platform_info info;

static void
describe(paddr_t rsdp)
{
	struct boot_info boot = {.acpi_rsdp = rsdp};

	acpi_describe(&boot, &info);
}

static void
put_le(uint8_t *p, uint64_t v, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		p[i] = (uint8_t)(v >> i * 8);
}

static void
fix_checksum(uint8_t *p, size_t n, size_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (size_t i = 0; i < n; i++)
		sum += p[i];
	p[at] = (uint8_t)-sum;
}

/* Puts a table with `len` bytes of which those after the header are `body` into fake
 * memory. */
static uint8_t *
add_table(
    paddr_t pa, const char *sig, unsigned revision, const void *body, uint32_t body_len)
{
	uint8_t t[1024] = {0};
	uint32_t len = ACPI_HEADER_SIZE + body_len;

	memcpy(t, sig, 4);
	put_le(t + 4, len, 4);
	t[8] = (uint8_t)revision;
	if (body_len)
		memcpy(t + ACPI_HEADER_SIZE, body, body_len);
	fix_checksum(t, len, 9);
	return fake_memory_add(pa, t, len);
}

enum { RSDP_AT = 0xe0000, ROOT_AT = 0x10000, TABLE_AT = 0x20000, TABLE_STEP = 0x1000 };

/* An ACPI 2.0 machine with an XSDT of `n` tables at TABLE_AT, TABLE_AT + TABLE_STEP... */
static void
add_root(unsigned n)
{
	uint8_t rsdp[36] = "RSD PTR ", body[64 * 8];

	for (unsigned i = 0; i < n; i++)
		put_le(body + i * 8, TABLE_AT + i * TABLE_STEP, 8);
	rsdp[15] = 2;
	put_le(rsdp + 20, 36, 4);
	put_le(rsdp + 24, ROOT_AT, 8);
	fix_checksum(rsdp, 20, 8);
	fix_checksum(rsdp, 36, 32);
	fake_memory_reset();
	fake_memory_add(RSDP_AT, rsdp, sizeof(rsdp));
	add_table(ROOT_AT, "XSDT", 1, body, n * 8);
}

/* One machine with one table of this body; parsed. */
static void
describe_one(const char *sig, unsigned revision, const void *body, uint32_t len)
{
	add_root(1);
	add_table(TABLE_AT, sig, revision, body, len);
	describe(RSDP_AT);
}

KTEST(acpi_reads_the_tables_of_q35)
{
	describe(fake_memory_load("tests/data/acpi/q35.bin"));
	CHECK(info.has_acpi);
	CHECK_EQ(acpi_tables_refused(), 0);
	CHECK_EQ(info.num_cpus, 4);
	CHECK(info.cpus[3].apic_id == 3 && info.cpus[3].is_enabled);
	CHECK_EQ(info.lapic_base, 0xfee00000);
	CHECK_EQ(info.num_ioapics, 1);
	CHECK_EQ(info.ioapics[0].base, 0xfec00000);
	CHECK_EQ(info.num_overrides, 5);
	CHECK(info.overrides[0].isa == 0 && info.overrides[0].gsi == 2);
	CHECK(info.num_nmis == 1 && info.nmis[0].is_lint && info.nmis[0].lint == 1);
	CHECK_EQ(info.nmis[0].acpi_uid, PLATFORM_ALL_CPUS);
	CHECK_EQ(info.hpet_base, 0xfed00000);
	CHECK(info.pm_timer.address == 0x608 && info.pm_timer.space == SPACE_IO);
	CHECK_EQ(info.power.pm1a_control.address, 0x604);
	CHECK(info.power.has_s5 && info.power.s5_type_a == 0);
	CHECK(info.power.has_reset && info.power.reset.address == 0xcf9);
	CHECK_EQ(info.power.reset_value, 0x0f);
	CHECK(info.has_i8042 && info.has_rtc && info.has_pic);
	CHECK(info.num_mcfg == 1 && info.mcfg[0].base == 0xb0000000);
	CHECK_EQ(info.mcfg[0].last_bus, 255);
	CHECK_EQ(info.num_nodes, 1);
}

KTEST(acpi_reads_the_tables_of_pc)
{
	describe(fake_memory_load("tests/data/acpi/pc.bin"));
	CHECK_EQ(info.num_cpus, 2);
	CHECK_EQ(info.num_mcfg, 0);
	CHECK_EQ(info.pm_timer.address, 0x608);
	CHECK(info.power.has_s5);
	CHECK(info.has_i8042); /* table revision 1: no boot flags to believe */
}

KTEST(acpi_gives_nodes_to_cpus_and_memory)
{
	describe(fake_memory_load("tests/data/acpi/numa.bin"));
	CHECK_EQ(info.num_nodes, 2);
	CHECK(info.cpus[0].node == 0 && info.cpus[1].node == 0);
	CHECK(info.cpus[2].node == 1 && info.cpus[3].node == 1);
	CHECK(info.num_mem_nodes >= 2);
	CHECK_EQ(info.mem_nodes[info.num_mem_nodes - 1].node, 1);
	CHECK_EQ(info.hpet_base, 0);
}

KTEST(acpi_without_rsdp_keeps_the_defaults)
{
	fake_memory_reset();
	describe(0);
	CHECK(!info.has_acpi && info.num_cpus == 0 && info.has_pit && info.has_pic);
	CHECK_EQ(info.lapic_base, 0xfee00000);
	describe(0xe0000); /* points nowhere */
	CHECK(!info.has_acpi);
	CHECK_EQ(acpi_tables_refused(), 1);
}

KTEST(acpi_off_on_the_command_line_is_obeyed)
{
	paddr_t rsdp = fake_memory_load("tests/data/acpi/q35.bin");

	fake_acpi_option = "off";
	describe(rsdp);
	CHECK(!info.has_acpi && info.num_cpus == 0);
	fake_acpi_option = "force";
	describe(rsdp);
	CHECK(info.has_acpi);
	fake_acpi_option = NULL;
}

KTEST(acpi_zeroed_rsdp_is_refused)
{
	uint8_t zeros[36] = {0};

	fake_memory_reset();
	fake_memory_add(RSDP_AT, zeros, sizeof(zeros));
	describe(RSDP_AT);
	CHECK(!info.has_acpi);
}

KTEST(acpi_bad_xsdt_falls_back_to_rsdt)
{
	paddr_t rsdp = fake_memory_load("tests/data/acpi/q35.bin");
	uint8_t *p = fake_chunks[0].bytes; /* QEMU's is ACPI 1.0: give it a 2.0 part */

	p[15] = 2;
	put_le(p + 20, 36, 4);
	put_le(p + 24, 0x12345678000, 8);
	fix_checksum(p, 20, 8);
	fix_checksum(p, 36, 32);
	describe(rsdp);
	CHECK_EQ(info.num_cpus, 4);
	CHECK_EQ(acpi_tables_refused(), 1);
	p[24]++; /* now the 2.0 part's own sum is wrong */
	describe(rsdp);
	CHECK_EQ(info.num_cpus, 4);
	put_le(p + 20, 0xffffffff, 4); /* and its length */
	describe(rsdp);
	CHECK_EQ(info.num_cpus, 4);
}

KTEST(acpi_damaged_table_is_refused_and_the_others_used)
{
	uint8_t madt[8 + 8] = {0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 0, 8, 1, 5, 1, 0, 0, 0};
	uint8_t *bad;

	add_root(4);
	bad = add_table(TABLE_AT, "HPET", 1, madt, 16);
	bad[20] ^= 0x40; /* checksum */
	add_table(TABLE_AT + TABLE_STEP, "APIC", 4, madt, sizeof(madt));
	bad = add_table(TABLE_AT + 2 * TABLE_STEP, "SRAT", 1, NULL, 0);
	put_le(bad + 4, 35, 4); /* shorter than its header */
	bad = add_table(TABLE_AT + 3 * TABLE_STEP, "MCFG", 1, NULL, 0);
	put_le(bad + 4, 4096, 4); /* longer than memory */
	describe(RSDP_AT);
	CHECK_EQ(acpi_tables_refused(), 3);
	CHECK(info.num_cpus == 1 && info.cpus[0].apic_id == 5 &&
	      info.cpus[0].acpi_uid == 1);
	CHECK(!acpi_find("HPET", 0) && !acpi_find("SRAT", 0) && !acpi_find("MCFG", 0));
}

KTEST(acpi_find_counts_tables_of_one_name)
{
	add_root(3);
	add_table(TABLE_AT, "SSDT", 1, "a", 1);
	add_table(TABLE_AT + TABLE_STEP, "XXXX", 1, "b", 1);
	add_table(TABLE_AT + 2 * TABLE_STEP, "SSDT", 1, "c", 1);
	describe(RSDP_AT);
	CHECK_EQ(acpi_get(acpi_find("SSDT", 0), 36, 1), 'a');
	CHECK_EQ(acpi_get(acpi_find("SSDT", 1), 36, 1), 'c');
	CHECK(!acpi_find("SSDT", 2));
	CHECK_EQ(acpi_get(acpi_find("SSDT", 1), 36, 2), 0); /* half beyond the end */
	CHECK_EQ(acpi_get(acpi_find("SSDT", 1), 0xfffffffe, 8), 0);
}

KTEST(madt_knows_x2apic_online_capable_and_doubles)
{
	// clang-format off
	static const uint8_t body[] = {
		0, 0, 0xe0, 0xfe, 0, 0, 0, 0,
		0, 8, 7, 0, 1, 0, 0, 0,				/* CPU 0, uid 7 */
		0, 8, 8, 1, 0, 0, 0, 0,				/* not there */
		0, 8, 9, 2, 2, 0, 0, 0,				/* online capable */
		0, 8, 9, 0xff, 1, 0, 0, 0,			/* broadcast id */
		9, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0,/* CPU 0 again */
		9, 16, 0, 0, 0x34, 0x12, 0, 0, 1, 0, 0, 0, 0x44, 3, 0, 0,
		0x80, 3, 0,					/* unknown type */
		5, 12, 0, 0, 0, 0, 0xe1, 0xfe, 1, 0, 0, 0,	/* LAPIC address */
		10, 12, 5, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0,
		4, 6, 7, 15, 0, 0,				/* LINT0 of uid 7 */
		3, 8, 0, 0, 17, 0, 0, 0,			/* NMI at GSI 17 */
		2, 10, 0, 9, 9, 0, 0, 0, 13, 0,			/* SCI: high, level */
		2, 10, 0, 99, 9, 0, 0, 0, 13, 0,		/* no such ISA line */
	};
	// clang-format on

	describe_one("APIC", 4, body, sizeof(body));
	CHECK_EQ(info.num_cpus, 3);
	CHECK(info.cpus[0].is_enabled && info.cpus[0].acpi_uid == 7);
	CHECK(info.cpus[1].apic_id == 2 && !info.cpus[1].is_enabled);
	CHECK(info.cpus[2].apic_id == 0x1234 && info.cpus[2].acpi_uid == 0x344);
	CHECK_EQ(info.lapic_base, 0x1fee10000);
	CHECK(!info.has_pic);
	CHECK_EQ(info.num_nmis, 3);
	CHECK(info.nmis[0].acpi_uid == PLATFORM_ALL_CPUS && info.nmis[0].lint == 1);
	CHECK(info.nmis[1].acpi_uid == 7 && info.nmis[1].lint == 0 &&
	      info.nmis[1].flags == 15);
	CHECK(!info.nmis[2].is_lint && info.nmis[2].gsi == 17);
	CHECK(info.num_overrides == 1 && info.overrides[0].flags == 13);
}

KTEST(madt_entry_of_length_zero_or_too_long_ends_the_walk)
{
	uint8_t body[8 + 16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1, 1, 1, 0, 0, 0, 0, 0};

	describe_one("APIC", 4, body, sizeof(body));
	CHECK(info.num_cpus == 1 && info.lapic_base == 0xfee00000);
	body[17] = 9;
	describe_one("APIC", 4, body, sizeof(body));
	CHECK_EQ(info.num_cpus, 1);
	body[17] = 1;
	describe_one("APIC", 4, body, sizeof(body));
	CHECK_EQ(info.num_cpus, 1);
	describe_one("APIC", 4, body, 2); /* shorter than its own fixed part */
	CHECK_EQ(info.num_cpus, 0);
}

KTEST(madt_with_300_cpus_keeps_256)
{
	uint8_t table[ACPI_HEADER_SIZE + 8 + 300 * 16] = {'A', 'P', 'I', 'C'};

	put_le(table + 4, sizeof(table), 4);
	for (unsigned i = 0; i < 300; i++) {
		uint8_t *e = table + ACPI_HEADER_SIZE + 8 + i * 16;

		e[0] = 9;
		e[1] = 16;
		put_le(e + 4, i, 4);
		e[8] = 1;
	}
	fix_checksum(table, sizeof(table), 9);
	add_root(1);
	fake_memory_add(TABLE_AT, table, sizeof(table));
	describe(RSDP_AT);
	CHECK(info.num_cpus == 256 && info.num_cpus_dropped == 44);
}

KTEST(fadt_hardware_reduced_has_sleep_control_and_no_pm_block)
{
	uint8_t body[276 - ACPI_HEADER_SIZE] = {0};

	put_le(body + (112 - 36), 1 << 20, 4);
	body[244 - 36] = SPACE_MEMORY;
	body[244 - 36 + 1] = 8;
	put_le(body + (244 + 4 - 36), 0xfedc0000, 8);
	put_le(body + (64 - 36), 0x604, 4);
	describe_one("FACP", 5, body, sizeof(body));
	CHECK(info.power.is_hw_reduced && info.power.sleep_control.address == 0xfedc0000);
	CHECK(!info.power.pm1a_control.address && !info.pm_timer.address);
	CHECK(!info.has_i8042 && !info.has_pit && info.has_rtc);
}

KTEST(fadt_64_bit_block_wins_over_port)
{
	uint8_t body[244 - ACPI_HEADER_SIZE] = {0};

	put_le(body + (76 - 36), 0x608, 4);
	body[208 - 36] = SPACE_MEMORY;
	put_le(body + (208 + 4 - 36), 0xfed80000, 8);
	put_le(body + (109 - 36), 1 << 1 | 1 << 5, 2);
	describe_one("FACP", 3, body, sizeof(body));
	CHECK(info.pm_timer.space == SPACE_MEMORY && info.pm_timer.address == 0xfed80000);
	CHECK_EQ(info.pm_timer.bits, 32);
	CHECK(info.has_i8042 && !info.has_rtc);
}

static bool
scan(const char *aml, uint32_t len, uint8_t *a, uint8_t *b)
{
	add_root(1);
	add_table(TABLE_AT, "DSDT", 1, aml, len);
	describe(RSDP_AT);
	*a = info.power.s5_type_a;
	*b = info.power.s5_type_b;
	return info.power.has_s5;
}

#define SCAN(aml) scan(aml, sizeof(aml) - 1, &a, &b)

KTEST(s5_is_read_in_every_encoding)
{
	uint8_t a, b;

	CHECK(SCAN("\x08_S5_\x12\x06\x04\x0a\x05\x0a\x07\x00\x00") && a == 5 && b == 7);
	CHECK(SCAN("\x08\\_S5_\x12\x06\x04\x01\x00\x00\x00") && a == 1 && b == 0);
	CHECK(SCAN("\x08_S5_\x12\x46\x00\x02\x0b\x07\x00\x0c\x06\x00\x00\x00") &&
	      a == 7 && b == 6);
	CHECK(SCAN("\x08_S5_\x12\x06\x01\x0b\x03\x02") && a == 3 && b == 2);
	/* A use of the name before its definition is passed over. */
	CHECK(SCAN("\x70_S5_\x60\x08_S5_\x12\x06\x02\x0a\x04\x0a\x04") && a == 4);
}

KTEST(s5_broken_or_cut_is_not_there)
{
	uint8_t a, b;

	CHECK(!SCAN("\x08_S5_"));
	CHECK(!SCAN("\x08_S5_\x12"));
	CHECK(!SCAN("\x08_S5_\x12\xc6"));
	CHECK(!SCAN("\x08_S5_\x12\x06\x04\x0a"));
	CHECK(!SCAN("\x08_S5_\x12\x06\x04\x0a\x05\x0b\x01"));
	CHECK(!SCAN("\x08_S5_\x12\x06\x00\x0a\x05\x0a\x05"));
	CHECK(!SCAN("\x08_S5_\x12\x06\x02XXXX_GPE"));
	CHECK(!SCAN("_S5_"));
	CHECK(!SCAN(""));
}

KTEST(srat_numbers_nodes_densely)
{
	// clang-format off
	static const uint8_t body[12 + 16 + 24 + 40] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 16, 0x39, 3, 1, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0,
		2, 24, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 40, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0,
		0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	static const uint8_t madt[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
		0, 8, 1, 3, 1, 0, 0, 0,
		0, 8, 1, 4, 1, 0, 0, 0,
	};
	// clang-format on

	add_root(2);
	add_table(TABLE_AT, "SRAT", 3, body, sizeof(body));
	add_table(TABLE_AT + TABLE_STEP, "APIC", 3, madt, sizeof(madt));
	describe(RSDP_AT);
	CHECK_EQ(info.num_nodes, 2);
	CHECK(info.cpus[0].node == 0 && info.cpus[1].node == 1);
	CHECK(info.num_mem_nodes == 1 && info.mem_nodes[0].node == 1);
	CHECK(info.mem_nodes[0].base == GIB(4) && info.mem_nodes[0].size == GIB(2));
}

KTEST(spcr_gives_port_and_interrupt)
{
	uint8_t body[80 - ACPI_HEADER_SIZE] = {0};

	body[40 - 36] = SPACE_IO;
	body[41 - 36] = 8;
	put_le(body + (44 - 36), 0x2f8, 8);
	body[52 - 36] = 3;
	put_le(body + (54 - 36), 3, 4);
	body[58 - 36] = 7;
	describe_one("SPCR", 2, body, sizeof(body));
	CHECK(info.serial.base.address == 0x2f8 && info.serial.base.space == SPACE_IO);
	CHECK(info.serial.gsi == 3 && info.serial.baud == 115200);
	describe_one("SPCR", 2, body, 20);
	CHECK_EQ(info.serial.base.address, 0);
}

KTEST(mcfg_entries_with_nonsense_are_dropped)
{
	uint8_t body[8 + 3 * 16] = {0};

	put_le(body + 8, 0xe0000000, 8);
	body[8 + 11] = 63;
	put_le(body + 24, 0xf0000000, 8);
	body[24 + 10] = 9; /* last bus 0 below first bus 9 */
	describe_one("MCFG", 1, body, sizeof(body) - 1);
	CHECK(info.num_mcfg == 1 && info.mcfg[0].last_bus == 63);
}

static uint32_t random_state = 12345;

static uint32_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	return random_state ^= random_state << 5;
}

/* Damages a few bytes anywhere; with `mend`, the sums are made right so that parsers see
 * it. */
static void
damage(bool mend)
{
	for (unsigned n = 1 + next_random() % 6; n > 0; n--) {
		struct fake_chunk *c = &fake_chunks[next_random() % fake_num_chunks];

		c->bytes[next_random() % c->size] = (uint8_t)(next_random() >> 8);
	}
	if (!mend)
		return;
	for (size_t i = 0; i + ACPI_HEADER_SIZE <= fake_chunks[1].size; i++) {
		static const char names[][5] = {
		    "APIC", "FACP", "HPET", "MCFG", "SRAT", "DSDT"};
		uint8_t *p = fake_chunks[1].bytes + i;
		uint32_t len = p[4] | (uint32_t)p[5] << 8;

		for (unsigned k = 0; k < ARRAY_SIZE(names); k++)
			if (!memcmp(p, names[k], 4) && len <= fake_chunks[1].size - i &&
			    len >= 36)
				fix_checksum(p, len, 9);
	}
}

KTEST(acpi_random_damage_is_survived)
{
	static const char *const files[] = {"tests/data/acpi/q35.bin",
	    "tests/data/acpi/pc.bin", "tests/data/acpi/numa.bin"};
	unsigned usable = 0;

	for (unsigned i = 0; i < 3000; i++) {
		paddr_t rsdp = fake_memory_load(files[i % 3]);

		damage(i & 1);
		describe(rsdp);
		usable += info.num_cpus > 0;
		CHECK(info.num_nodes >= 1 && info.num_cpus <= PLATFORM_MAX_CPUS);
	}
	CHECK(usable > 1000); /* the damage is not so heavy that nothing is tested */
	fake_memory_reset();
}
