/*
 * loader/multiboot2: the two formats of the 32-bit doors, good and damaged. The
 * information lies below 4 GiB, as it does on the machine, and ends at a page that
 * faults. LINK: loader/multiboot2/multiboot2.c loader/multiboot2/pvh.c loader/efimap.c
 * LINK: loader/memmap.c lib/string.c
 */
#include "loader/multiboot2/door.h"

#include <sys/mman.h>

#include "lib/string.h"
#include "loader/memmap.h"
#include "tests/unit/ktest.h"

enum { ROOM = 65536 };

static struct door d;

/* door.c's own, which is not linked: it leaves for the kernel. */
bool
door_add_memory(struct door *to, uint64_t base, uint64_t size, uint32_t type)
{
	if (to->nraw >= DOOR_MAX_RAW)
		return false;
	to->raw[to->nraw++] = (struct boot_mem){base, size, type, BOOT_EFI_TYPE_NONE, 0};
	return true;
}

bool
door_add_initrd(struct door *to, uint64_t base, uint64_t size)
{
	if (to->boot.num_initrds >= BOOT_MAX_INITRDS || !size)
		return false;
	to->boot.initrd[to->boot.num_initrds++] = (struct boot_range){base, size};
	return true;
}

/* Room below 4 GiB with an unmapped page behind it. */
static char *
room(void)
{
	static char *p;

	if (!p) {
		p = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		mprotect(p + ROOM, 4096, PROT_NONE);
	}
	return p;
}

/* Multiboot2 information being written, `len` bytes so far. */
static char text[ROOM];
static uint32_t len;

static void
tag(uint32_t type, const void *body, uint32_t size)
{
	uint32_t head[2] = {type, 8 + size};

	memcpy(text + len, head, 8);
	memcpy(text + len + 8, body, size);
	len += ALIGN_UP(8 + size, 8u);
}

static void
begin(void)
{
	memset(text, 0, sizeof(text));
	len = 8;
}

/* Copies `n` bytes to the very end of the room and reads them. */
static const char *
read_cut(uint32_t n)
{
	char *at = room() + ROOM - ALIGN_UP(n, 8u);

	memcpy(at, text, ALIGN_UP(n, 8u));
	memset(&d, 0, sizeof(d));
	return multiboot2_read(&d, (paddr_t)at);
}

static const char *
read_info(void)
{
	memcpy(text, &len, 4);
	return read_cut(len);
}

static void
put_memmap(void)
{
	struct {
		uint32_t entry_size, version;
		struct {
			uint64_t base, size;
			uint32_t type, reserved;
		} e[3];
	} m = {24, 0,
	    {{0, 0x9fc00, 1, 0}, {0xf0000, 0x10000, 2, 0}, {MIB(1), MIB(63), 1, 0}}};

	tag(6, &m, sizeof(m));
}

static void
put_all(void)
{
	struct {
		uint32_t start, end;
		char name[12];
	} module = {MIB(8), MIB(9) + 5, "initrd x"};
	struct {
		uint64_t base;
		uint32_t pitch, width, height;
		uint8_t bpp, kind;
		uint16_t reserved;
		uint8_t colours[6];
	} PACKED fb = {0xfd000000, 4096, 1024, 768, 32, 1, 0, {16, 8, 8, 8, 0, 8}};
	uint64_t system_table = 0x7e000000;

	begin();
	tag(1, "console=ttyS0 quiet", 20);
	tag(2, "GRUB 9", 7);
	tag(3, &module, sizeof(module));
	put_memmap();
	tag(8, &fb, sizeof(fb));
	tag(12, &system_table, 8);
	tag(14, "RSD PTR 1-----------", 20);
	tag(15, "RSD PTR 2---------------------------", 36);
	tag(99, "unknown", 7);
	tag(0, "", 0);
}

KTEST(multiboot2_reads_all_tags)
{
	put_all();
	CHECK(!read_info());
	CHECK_EQ(d.boot.path, BOOT_PATH_MULTIBOOT2);
	CHECK(!strcmp(d.cmdline, "console=ttyS0 quiet") &&
	      !strcmp(d.boot.loader_name, "GRUB 9"));
	CHECK_EQ(d.boot.num_initrds, 1);
	CHECK(d.boot.initrd[0].base == MIB(8) && d.boot.initrd[0].size == MIB(1) + 5);
	CHECK_EQ(d.nraw, 3);
	CHECK(d.raw[2].base == MIB(1) && d.raw[2].type == BOOT_MEM_USABLE);
	CHECK(d.boot.fb.format == BOOT_FB_RGB && d.boot.fb.width == 1024 &&
	      d.boot.fb.pitch == 4096);
	CHECK(d.boot.fb.red_mask == 0xff0000 && d.boot.fb.blue_mask == 0xff);
	CHECK_EQ(d.boot.efi_system_table, 0x7e000000);
	CHECK(d.boot.acpi_rsdp && d.info.size == len);
}

KTEST(multiboot2_prefers_the_efi_map)
{
	struct {
		uint32_t desc_size, version;
		struct {
			uint64_t type, phys, virt, pages, attr;
		} e[2];
	} m = {40, 1, {{7, MIB(1), 0, 256, 0xf}, {6, MIB(4), 0, 1, 1ull << 63}}};

	begin();
	put_memmap();
	tag(17, &m, sizeof(m));
	tag(0, "", 0);
	CHECK(!read_info());
	CHECK_EQ(d.nraw, 2);
	CHECK_EQ(d.raw[1].type, BOOT_MEM_EFI_RUNTIME);
	CHECK_EQ(d.boot.efi_map_len, 1);
}

KTEST(multiboot2_without_memory_or_with_boot_services_is_refused)
{
	begin();
	tag(1, "x", 2);
	tag(0, "", 0);
	CHECK(strstr(read_info(), "no memory map"));
	begin();
	put_memmap();
	tag(18, "", 0);
	tag(0, "", 0);
	CHECK(strstr(read_info(), "boot services"));
	memset(&d, 0, sizeof(d));
	CHECK(multiboot2_read(&d, 0));
	CHECK(multiboot2_read(&d, GIB(5)));
}

KTEST(multiboot2_text_without_end_is_not_taken)
{
	begin();
	tag(1, "endless", 7);
	put_memmap();
	tag(0, "", 0);
	CHECK(!read_info());
	CHECK(!d.cmdline);
}

/* Every length and random damage: never a step past the end. */
KTEST(multiboot2_damage_never_leaves_the_information)
{
	uint64_t seed = 3;
	uint32_t whole;

	put_all();
	whole = len;
	for (uint32_t n = 8; n <= whole; n += 8) {
		memcpy(text, &n, 4);
		(void)read_cut(n);
	}
	for (unsigned round = 0; round < 20000; round++) {
		put_all();
		memcpy(text, &whole, 4);
		for (unsigned i = 0; i < 1 + round % 5; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			text[8 + (seed >> 33) % (whole - 8)] = (char)(seed >> 56);
		}
		if (!read_cut(whole))
			CHECK(d.nraw > 0 && d.nraw <= DOOR_MAX_RAW);
	}
}

struct start_info {
	uint32_t magic, version, flags, num_modules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t entries, reserved;
};

KTEST(pvh_reads_memory_modules_and_command_line)
{
	char *p = room();
	struct start_info *si = (void *)p;
	uint64_t *module = (void *)(p + 64), *memory = (void *)(p + 128);

	*si = (struct start_info){0x336ec578, 1, 0, 1, (paddr_t)module, (paddr_t)p + 1024,
	    0xf5a00, (paddr_t)memory, 2, 0};
	module[0] = MIB(32);
	module[1] = 12345;
	memory[0] = 0, memory[1] = 0x9fc00, memory[2] = 1;
	memory[3] = MIB(1), memory[4] = MIB(127), memory[5] = 1;
	strlcpy(p + 1024, "quiet", 16);
	memset(&d, 0, sizeof(d));
	CHECK(!pvh_read(&d, (paddr_t)si));
	CHECK_EQ(d.nraw, 2);
	CHECK(d.boot.num_initrds == 1 && d.boot.initrd[0].size == 12345);
	CHECK(d.boot.acpi_rsdp == 0xf5a00 && !strcmp(d.cmdline, "quiet"));
}

KTEST(pvh_damage_is_refused)
{
	struct start_info *si = (void *)room();
	const struct start_info good = {
	    0x336ec578, 1, 0, 0, 0, 0, 0, (paddr_t)room() + 128, 2, 0};

	*si = good;
	memset(&d, 0, sizeof(d));
	CHECK(!pvh_read(&d, (paddr_t)si));
	si->magic++;
	CHECK(pvh_read(&d, (paddr_t)si));
	*si = good;
	si->version = 0;
	CHECK(pvh_read(&d, (paddr_t)si));
	*si = good;
	si->memmap = GIB(4) - 8;
	CHECK(pvh_read(&d, (paddr_t)si));
	*si = good;
	si->entries = UINT32_MAX;
	CHECK(pvh_read(&d, (paddr_t)si));
	*si = good;
	si->num_modules = 1;
	si->modules = UINT64_MAX - 3;
	memset(&d, 0, sizeof(d));
	CHECK(!pvh_read(&d, (paddr_t)si) && !d.boot.num_initrds);
	CHECK(pvh_read(&d, 0) && pvh_read(&d, UINT64_MAX));
}
