/*
 * The way out: page tables, the end of boot services, the jump.
 *
 * Everything that can fail for want of memory comes first: the tables are built from the
 * map as it is now. Between this and the last map only boot services' own allocations
 * change, and those are RAM before and after, so the direct map stays right.
 */
#include "loader/efi/loader.h"

#include "lib/string.h"
#include "loader/arch.h"
#include "loader/efimap.h"
#include "loader/handover.h"
#include "loader/memmap.h"
#include "loader/pagetable.h"

enum { EXIT_TRIES = 8, ARGS_OFFSET = 0x400 };

/* jump.asm */
extern char jump_start[], jump_end[];

struct jump_args {
	uint64_t tables, entry, boot, stack;
};

struct plan {
	struct efi_memory efi;
	struct boot_mem *raw;
	uint32_t cap; /* of raw and of map */
	struct memmap map;
	struct boot_pt pt, jump_pt;
	paddr_t arena, arena_end;
	paddr_t jump_page; /* code, arguments, stack */
};

static paddr_t
arena_alloc(void *ctx)
{
	struct plan *p = ctx;
	paddr_t page = p->arena;

	if (page == p->arena_end)
		return 0;
	p->arena += 4096;
	return page;
}

static uint64_t *
arena_access(void *ctx, paddr_t table)
{
	return (uint64_t *)table;
}

/* Buffers for the map in its three forms, with room for it to grow. */
static bool
take_buffers(struct loader *l, struct plan *p)
{
	paddr_t raw, entries;

	if (!memory_map_alloc(l, &p->efi))
		return false;
	/* Laying a range over another may cut it in two, and each owned range once more.
	 */
	p->cap =
	    (uint32_t)(2 * (p->efi.capacity / p->efi.desc_size) + 2 * LOADER_MAX_OWNED);
	raw = pages_alloc(l, p->cap * sizeof(struct boot_mem), ANYWHERE, BOOT_MEM_LOADER);
	entries =
	    pages_alloc(l, p->cap * sizeof(struct boot_mem), ANYWHERE, BOOT_MEM_LOADER);
	if (!raw || !entries)
		return fail("no memory for the memory map");
	p->raw = (struct boot_mem *)raw;
	p->map.entries = (struct boot_mem *)entries;
	p->map.cap = p->cap;
	return true;
}

/* The map as the kernel gets it, from the last one read. */
static void
translate(const struct loader *l, struct plan *p)
{
	struct efimap efi = {
	    (const void *)p->efi.buffer, p->efi.size, (uint32_t)p->efi.desc_size};
	uint32_t n = efimap_translate(&efi, p->raw, p->cap);

	p->map.len = 0;
	(void)memmap_build(&p->map, p->raw, n); /* cannot be too many: see take_buffers */
	for (unsigned i = 0; i < l->nowned; i++) {
		struct boot_mem r = {l->owned[i].base, l->owned[i].size, l->owned[i].type,
		    EfiLoaderData, 0};

		(void)memmap_set(&p->map, &r);
	}
}

static bool
build_tables(struct loader *l, struct plan *p)
{
	struct boot_segment segments[ELF_MAX_SEGMENTS];
	uint64_t size = (boot_pt_pages_needed(&p->map, arch_has_1g_pages()) + 8) * 4096;
	enum err err;

	for (unsigned i = 0; i < l->elf.nsegments; i++)
		segments[i] = l->elf.segments[i].place;
	/* Below 4 GiB, because 32-bit code may have to load their root. */
	p->arena = pages_alloc(l, size, BELOW_4G, BOOT_MEM_LOADER);
	if (!p->arena)
		return fail("no memory for page tables");
	p->arena_end = p->arena + size;
	p->pt = (struct boot_pt){.has_1g = arch_has_1g_pages(),
	    .has_nx = true,
	    .ctx = p,
	    .alloc = arena_alloc,
	    .access = arena_access};
	err = boot_pt_build(&p->pt, l->boot, &p->map, segments, l->elf.nsegments);
	if (err != OK)
		return fail("the page tables cannot be built (%d)", err);

	/* A second root: the kernel's half, and one page of the lower half for the jump.
	 */
	p->jump_pt = p->pt;
	p->jump_pt.root = 0;
	err = boot_pt_map(
	    &p->jump_pt, p->jump_page, p->jump_page, 4096, BOOT_PT_WRITE | BOOT_PT_EXEC);
	if (err != OK)
		return fail("the page tables cannot be built (%d)", err);
	memcpy((char *)p->jump_pt.root + 2048, (const char *)p->pt.root + 2048, 2048);
	return true;
}

/* UEFI 2.10, 7.4.6: when the map changed in between, read it again and retry at once. */
static EFI_STATUS
end_boot_services(struct loader *l, struct plan *p)
{
	EFI_STATUS status = EFI_ABORTED;

	for (unsigned i = 0; i < EXIT_TRIES && EFI_ERROR(status); i++) {
		status = memory_map_read(l, &p->efi);
		if (!EFI_ERROR(status))
			status = l->bs->ExitBootServices(l->handle, p->efi.key);
	}
	return status;
}

static void
finish_boot_info(struct loader *l, struct plan *p)
{
	struct efimap efi = {
	    (const void *)p->efi.buffer, p->efi.size, (uint32_t)p->efi.desc_size};
	struct boot_info *boot = l->boot;

	translate(l, p);
	boot->mem_map = (paddr_t)p->map.entries;
	boot->mem_map_len = p->map.len;
	boot->efi_map_len = efimap_keep_runtime(&efi, (void *)p->efi.buffer);
	boot->efi_map = p->efi.buffer;
	boot->efi_desc_size = efi.desc_size;
	entropy_add(&l->entropy, arch_rdtsc(), 1);
	entropy_fill(&l->entropy, boot->entropy, sizeof(boot->entropy));
	boot->entropy_bits = MIN(l->entropy.bits, 8 * BOOT_ENTROPY_SIZE);
}

NORETURN static void
jump(const struct loader *l, const struct plan *p, paddr_t stack)
{
	struct jump_args *args = (struct jump_args *)(p->jump_page + ARGS_OFFSET);
	const struct boot_info *boot = l->boot;
	void(EFIAPI * start)(struct jump_args *);

	*args = (struct jump_args){
	    .tables = p->jump_pt.root,
	    .entry = boot->kernel_virt + l->elf.entry,
	    .boot = boot->direct_map_base + (paddr_t)boot,
	    .stack = boot->direct_map_base + stack + LOADER_STACK_SIZE,
	};
	start = (void(EFIAPI *)(struct jump_args *))p->jump_page;
	start(args);
	arch_halt();
}

bool
handover(struct loader *l)
{
	static struct plan plan;
	struct boot_info *boot = l->boot;
	paddr_t stack = pages_alloc(l, LOADER_STACK_SIZE, ANYWHERE, BOOT_MEM_LOADER);
	EFI_STATUS status;

	plan.jump_page = pages_alloc(l, 4096, BELOW_4G, BOOT_MEM_LOADER);
	if (!stack || !plan.jump_page)
		return fail("no memory for the last step");
	memcpy((void *)plan.jump_page, jump_start, (size_t)(jump_end - jump_start));
	if (!take_buffers(l, &plan))
		return false;
	translate(l, &plan);
	boot->direct_map_base = handover_pick_direct_map(&l->entropy,
	    MAX(memmap_ram_end(&plan.map), boot->fb.base + boot->fb.size),
	    l->config.cmdline);
	if (!build_tables(l, &plan))
		return false;

	status = end_boot_services(l, &plan);
	if (EFI_ERROR(status))
		return fail("the firmware does not end its boot services: %s",
		    status_text(status));
	pci_stop_dma();
	finish_boot_info(l, &plan);
	jump(l, &plan, stack);
}
