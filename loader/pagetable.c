/*
 * Page tables for the hand-over (Intel SDM 3, 4.5). The direct map is made of runs of
 * RAM: map entries that touch are one run, so that large pages cross their borders.
 * Reserved ranges that touch RAM are taken along: firmware keeps its tables there
 * (SeaBIOS reports its ACPI tables so), and the first MiB always, for the RSDP and SMBIOS
 * anchors and the option ROMs. The memory types of such ranges are the MTRRs' business;
 * the first 2 MiB therefore get 4 KiB pages (SDM 3, 12.11.9: no large page across ranges
 * of different type).
 */
#include "loader/pagetable.h"

#include "kernel/boot.h"
#include "loader/memmap.h"

enum {
	PTE_P = 1 << 0,
	PTE_W = 1 << 1,
	PTE_PWT = 1 << 3,
	PTE_PS = 1 << 7,
	PTE_G = 1 << 8,
};
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

enum { RESERVED_NEAR_RAM_MAX = 64 << 20 };

static uint64_t
leaf_bits(const struct boot_pt *pt, unsigned rights)
{
	uint64_t bits = PTE_P | PTE_G;

	if (rights & BOOT_PT_WRITE)
		bits |= PTE_W;
	if (rights & BOOT_PT_WC)
		bits |= PTE_PWT;
	if (!(rights & BOOT_PT_EXEC) && pt->has_nx)
		bits |= PTE_NX;
	return bits;
}

/* The level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB) of the largest page to use here. */
static unsigned
leaf_level(
    const struct boot_pt *pt, vaddr_t va, paddr_t pa, uint64_t size, unsigned rights)
{
	if (rights & BOOT_PT_SMALL)
		return 1;
	if (pt->has_1g && IS_ALIGNED(va | pa, GIB(1)) && size >= GIB(1))
		return 3;
	if (IS_ALIGNED(va | pa, MIB(2)) && size >= MIB(2))
		return 2;
	return 1;
}

/* The entry of level `level` for va, tables made on the way. */
static enum err
walk(struct boot_pt *pt, vaddr_t va, unsigned level, uint64_t **entry)
{
	paddr_t table = pt->root;

	for (unsigned l = 4;; l--) {
		uint64_t *e =
		    pt->access(pt->ctx, table) + (va >> (12 + 9 * (l - 1)) & 511);

		*entry = e;
		if (l == level)
			return OK;
		if (*e & PTE_PS)
			return ERR_EXIST;
		if (!(*e & PTE_P)) {
			table = pt->alloc(pt->ctx);
			if (!table)
				return ERR_NOMEM;
			*e = table | PTE_P | PTE_W;
		}
		table = *e & PTE_ADDR;
	}
}

enum err
boot_pt_map(struct boot_pt *pt, vaddr_t va, paddr_t pa, uint64_t size, unsigned rights)
{
	uint64_t bits = leaf_bits(pt, rights);

	if (!pt->root && !(pt->root = pt->alloc(pt->ctx)))
		return ERR_NOMEM;
	while (size) {
		unsigned level = leaf_level(pt, va, pa, size, rights);
		uint64_t step = 1ull << (12 + 9 * (level - 1));
		uint64_t leaf = pa | bits | (level > 1 ? PTE_PS : 0);
		uint64_t *entry;
		enum err err = walk(pt, va, level, &entry);

		if (err != OK)
			return err;
		if (*entry && *entry != leaf)
			return ERR_EXIST;
		*entry = leaf;
		va += step;
		pa += step;
		size -= step;
	}
	return OK;
}

/* The direct map: where, and the physical ranges in it that are read-only or screen. */
struct direct {
	vaddr_t base;
	struct boot_range fixed, screen;
};

/* Whether this entry belongs into the direct map. */
static bool
is_direct(const struct memmap *map, uint32_t i)
{
	const struct boot_mem *e = &map->entries[i];

	if (memmap_is_ram(e->type))
		return true;
	if (e->type != BOOT_MEM_RESERVED || e->size > RESERVED_NEAR_RAM_MAX)
		return false;
	return (i > 0 && e[-1].base + e[-1].size == e->base &&
	           memmap_is_ram(e[-1].type)) ||
	       (i + 1 < map->len && e->base + e->size == e[1].base &&
	           memmap_is_ram(e[1].type));
}

/*
 * The next run of the direct map from entry *i on. The first MiB is a run of its own.
 * False at the end of the map.
 */
static bool
next_run(const struct memmap *map, uint32_t *i, struct boot_range *run)
{
	while (
	    *i < map->len && (!is_direct(map, *i) ||
	                         map->entries[*i].base + map->entries[*i].size <= MIB(1)))
		++*i;
	if (*i >= map->len)
		return false;
	run->base = MAX(map->entries[*i].base, MIB(1));
	run->size = 0;
	for (; *i < map->len && is_direct(map, *i); ++*i) {
		const struct boot_mem *e = &map->entries[*i];

		if (run->size && e->base != run->base + run->size)
			break;
		run->size = e->base + e->size - run->base;
	}
	return true;
}

static bool
is_within(const struct boot_range *r, paddr_t p)
{
	return p >= r->base && p - r->base < r->size;
}

/* The next place after `at` where the treatment of the direct map changes, at most `end`.
 */
static paddr_t
next_change(const struct direct *d, paddr_t at, paddr_t end)
{
	const paddr_t changes[] = {MIB(2), d->fixed.base, d->fixed.base + d->fixed.size,
	    d->screen.base, d->screen.base + d->screen.size};

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		if (changes[i] > at && changes[i] < end)
			end = changes[i];
	}
	return end;
}

/*
 * One run: 4 KiB pages below 2 MiB, large ones above; the kernel's constant part
 * read-only. A framebuffer in RAM (integrated graphics, QEMU's ramfb) is left out here.
 */
static enum err
map_run(struct boot_pt *pt, const struct direct *d, const struct boot_range *run)
{
	paddr_t end = run->base + run->size, next;

	for (paddr_t at = run->base; at < end; at = next) {
		unsigned rights = is_within(&d->fixed, at) ? BOOT_PT_READ : BOOT_PT_WRITE;
		enum err err = OK;

		next = next_change(d, at, end);
		if (at < MIB(2))
			rights |= BOOT_PT_SMALL;
		if (!is_within(&d->screen, at))
			err = boot_pt_map(pt, d->base + at, at, next - at, rights);
		if (err != OK)
			return err;
	}
	return OK;
}

/* The segments at the image's begin that nobody may write: head and text. */
static struct boot_range
constant_part(const struct boot_info *boot, const struct boot_segment *s, unsigned n)
{
	struct boot_range r = {boot->kernel_phys, 0};

	for (unsigned i = 0; i < n && !(s[i].rights & BOOT_PT_WRITE); i++)
		r.size = s[i].offset + s[i].size;
	return r;
}

/* The pages of the framebuffer, none without one. */
static struct boot_range
screen_of(const struct boot_framebuffer *fb)
{
	struct boot_range r = {0, 0};

	if (fb->format != BOOT_FB_NONE) {
		r.base = ALIGN_DOWN(fb->base, 4096ull);
		r.size = ALIGN_UP(fb->base + fb->size, 4096ull) - r.base;
	}
	return r;
}

enum err
boot_pt_build(struct boot_pt *pt, struct boot_info *boot, const struct memmap *map,
    const struct boot_segment *segments, unsigned nsegments)
{
	const struct direct d = {boot->direct_map_base,
	    constant_part(boot, segments, nsegments), screen_of(&boot->fb)};
	struct boot_range run = {0, MIB(1)};
	uint32_t i = 0;
	enum err err;

	for (unsigned s = 0; s < nsegments; s++) {
		err = boot_pt_map(pt, boot->kernel_virt + segments[s].offset,
		    boot->kernel_phys + segments[s].offset, segments[s].size,
		    segments[s].rights);
		if (err != OK)
			return err;
	}
	do {
		err = map_run(pt, &d, &run);
		if (err != OK)
			return err;
		boot->direct_map_size = run.base + run.size;
	} while (next_run(map, &i, &run));

	boot->page_table_root = pt->root;
	return boot_pt_map(pt, d.base + d.screen.base, d.screen.base, d.screen.size,
	    BOOT_PT_WRITE | BOOT_PT_WC);
}

uint64_t
boot_pt_pages_needed(const struct memmap *map, bool has_1g)
{
	/* The root, the image's tables and the framebuffer's, and 3 for each end of a
	 * run. */
	uint64_t pages = 1 + 2 + 512 + 2 + 16 + 3 + 14;
	struct boot_range run;

	for (uint32_t i = 0; next_run(map, &i, &run);)
		pages += 6 + run.size / GIB(512) + (has_1g ? 0 : run.size / GIB(1));
	return pages;
}
