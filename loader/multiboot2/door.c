/*
 * The common part of the 32-bit doors: from what pvh.c or multiboot2.c read, makes memory
 * map, randomness and page tables, and enters the kernel where it was linked and loaded.
 * The image itself does not move here: only the direct map's place is random.
 *
 * Everything that must outlive this code lies in the image's .bss, but for the page
 * tables, which come from the top of the highest RAM below 4 GiB.
 */
#include "loader/multiboot2/door.h"

#include "lib/string.h"
#include "loader/arch.h"
#include "loader/entropy.h"
#include "loader/handover.h"
#include "loader/memmap.h"
#include "loader/pagetable.h"

enum {
	ENTRY_MAGIC_MULTIBOOT2 = 0x36d76289,
	ENTRY_MAGIC_PVH = 0x336ec578,
	COM1 = 0x3f8,
	COM1_LINE_STATUS = COM1 + 5,
	LINE_STATUS_EMPTY = 1 << 5,
};

extern char kernel_start[], text_start[], text_end[], symbols_start[], kernel_end[];
extern char _start[];

/* entry.asm: switches to the tables at `root` and jumps to `entry` with RDI = boot. */
NORETURN void door_leave(const struct boot_info *boot, paddr_t root, vaddr_t entry);

static struct door door;
static struct boot_mem map_entries[DOOR_MAX_MAP];
static struct memmap map = {.entries = map_entries, .cap = DOOR_MAX_MAP};
static struct entropy entropy;
static char cmdline[BOOT_CMDLINE_MAX];

/* The page-table pages still to give out. */
static struct boot_range arena;

static void
say(const char *s)
{
	for (; *s; s++) {
		for (unsigned i = 0; i < 100000; i++) {
			if (arch_in8(COM1_LINE_STATUS) & LINE_STATUS_EMPTY)
				break;
		}
		arch_out8(COM1, (uint8_t)*s);
	}
}

NORETURN static void
fail(const char *why)
{
	say("Keel cannot start: ");
	say(why);
	say("\r\n");
	arch_halt();
}

/* An address of the image as the physical address it was loaded at. */
static paddr_t
image_phys(const void *p)
{
	return (vaddr_t)p - BOOT_KERNEL_SPACE;
}

bool
door_add_memory(struct door *d, uint64_t base, uint64_t size, uint32_t type)
{
	if (d->nraw >= DOOR_MAX_RAW)
		return false;
	d->raw[d->nraw++] = (struct boot_mem){base, size, type, BOOT_EFI_TYPE_NONE, 0};
	return true;
}

bool
door_add_initrd(struct door *d, uint64_t base, uint64_t size)
{
	if (d->boot.num_initrds >= BOOT_MAX_INITRDS || !size)
		return false;
	d->boot.initrd[d->boot.num_initrds++] = (struct boot_range){base, size};
	return true;
}

static paddr_t
arena_alloc(void *ctx)
{
	paddr_t page = arena.base;

	if (!arena.size)
		return 0;
	arena.base += 4096;
	arena.size -= 4096;
	memset((void *)page, 0, 4096);
	return page;
}

static uint64_t *
arena_access(void *ctx, paddr_t table)
{
	return (uint64_t *)table;
}

static void
mark(paddr_t base, uint64_t size, uint32_t type)
{
	struct boot_mem r = {base, size, type, BOOT_EFI_TYPE_NONE, 0};

	if (memmap_set(&map, &r) != OK)
		fail("the memory map has too many entries");
}

static void
make_memory_map(void)
{
	if (memmap_build(&map, door.raw, door.nraw) != OK)
		say("Keel: memory map cut: too many entries\r\n");
	if (!memmap_is(
	        &map, door.boot.kernel_phys, door.boot.kernel_size, BOOT_MEM_USABLE))
		fail("the image does not lie in usable memory");
	mark(door.boot.kernel_phys, door.boot.kernel_size, BOOT_MEM_KERNEL);
	for (uint32_t i = 0; i < door.boot.num_initrds; i++)
		mark(door.boot.initrd[i].base, door.boot.initrd[i].size, BOOT_MEM_INITRD);
	if (door.info.size)
		mark(door.info.base, door.info.size, BOOT_MEM_LOADER);
}

static void
make_page_tables(struct boot_pt *pt)
{
	uint64_t head = (uint64_t)(text_start - kernel_start);
	uint64_t text = (uint64_t)(text_end - text_start);
	uint64_t data = (uint64_t)(symbols_start - text_end);
	struct boot_segment segments[] = {
	    {0, head, BOOT_PT_READ},
	    {head, text, BOOT_PT_EXEC},
	    {head + text, data, BOOT_PT_WRITE},
	    {head + text + data, (uint64_t)(kernel_end - symbols_start), BOOT_PT_READ},
	};

	arena.size = boot_pt_pages_needed(&map, pt->has_1g) * 4096;
	arena.base = memmap_find(&map, arena.size, 4096, image_phys(kernel_end), GIB(4));
	if (!arena.base)
		fail("no memory for page tables");
	mark(arena.base, arena.size, BOOT_MEM_LOADER);
	if (boot_pt_build(pt, &door.boot, &map, segments, ARRAY_SIZE(segments)) != OK)
		fail("page tables do not fit");
	/* What was not needed is ordinary memory again. */
	mark(arena.base, arena.size, BOOT_MEM_USABLE);
}

/* The root pointer in the places BIOS machines have it (ACPI 6.4, 5.2.5.1). */
static paddr_t
find_rsdp(void)
{
	for (paddr_t p = 0xe0000; p < 0x100000; p += 16) {
		if (!memcmp((const void *)p, "RSD PTR ", 8))
			return p;
	}
	return 0;
}

static void
fill_boot_info(struct boot_info *boot)
{
	boot->magic = BOOT_INFO_MAGIC;
	boot->version = BOOT_INFO_VERSION;
	boot->size = sizeof(*boot);
	boot->kernel_phys = image_phys(kernel_start);
	boot->kernel_virt = (vaddr_t)kernel_start;
	boot->kernel_size = (uint64_t)(kernel_end - kernel_start);
	if (!boot->acpi_rsdp)
		boot->acpi_rsdp = find_rsdp();
	if (door.cmdline &&
	    strlcpy(cmdline, door.cmdline, sizeof(cmdline)) >= sizeof(cmdline))
		say("Keel: command line cut\r\n");
	boot->cmdline = image_phys(cmdline);
	boot->mem_map = image_phys(map_entries);
}

void
door_main(uint32_t magic, paddr_t info)
{
	struct boot_info *boot = &door.boot;
	struct boot_pt pt = {.access = arena_access, .alloc = arena_alloc};
	const char *wrong;

	switch (magic) {
	case ENTRY_MAGIC_PVH: wrong = pvh_read(&door, info); break;
	case ENTRY_MAGIC_MULTIBOOT2: wrong = multiboot2_read(&door, info); break;
	default: wrong = "entered by an unknown kind of boot loader";
	}
	if (wrong)
		fail(wrong);

	fill_boot_info(boot);
	make_memory_map();
	entropy_add_cpu(&entropy);
	boot->direct_map_base = handover_pick_direct_map(
	    &entropy, MAX(memmap_ram_end(&map), boot->fb.base + boot->fb.size), cmdline);
	entropy_fill(&entropy, boot->entropy, sizeof(boot->entropy));
	boot->entropy_bits = MIN(entropy.bits, 8 * BOOT_ENTROPY_SIZE);

	pt.has_1g = arch_has_1g_pages();
	pt.has_nx = true; /* entry.asm checked */
	make_page_tables(&pt);
	boot->mem_map_len = map.len;
	arch_wrmsr(MSR_PAT, PAT_LAYOUT);
	door_leave(boot, pt.root, (vaddr_t)_start);
}
