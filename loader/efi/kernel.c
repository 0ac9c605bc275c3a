/*
 * Loading the kernel: a random 2 MiB-aligned place in free memory and another one in the
 * kernel's 1 GiB of virtual space.
 */
#include "loader/efi/loader.h"

#include "loader/efimap.h"
#include "loader/handover.h"

#define LOW_LIMIT    MIB(16) /* below is left to devices with short addresses */
#define NOT_ORDINARY (0x8000 | 0x40000) /* persistent, or for special purposes */

/* How many places of `size` bytes at 2 MiB steps a descriptor has. */
static uint64_t
slots_in(const struct efimap_desc *d, uint64_t size, paddr_t *first)
{
	paddr_t end = d->phys + d->pages * 4096;

	*first = ALIGN_UP(MAX(d->phys, LOW_LIMIT), MIB(2));
	if (d->type != EfiConventionalMemory ||
	    d->attr & (EFI_MEMORY_RUNTIME | NOT_ORDINARY))
		return 0;
	return *first < end && end - *first >= size ? (end - *first - size) / MIB(2) + 1
	                                            : 0;
}

/* The number of all places in free memory; *place is the n-th, if there are so many. */
static uint64_t
nth_slot(const struct efi_memory *m, uint64_t size, uint64_t n, paddr_t *place)
{
	uint64_t total = 0;

	for (UINTN at = 0; at + m->desc_size <= m->size; at += m->desc_size) {
		const struct efimap_desc *d = (const void *)(m->buffer + at);
		paddr_t first;
		uint64_t here = slots_in(d, size, &first);

		if (n >= total && n - total < here)
			*place = first + (n - total) * MIB(2);
		total += here;
	}
	return total;
}

static bool
place_physical(struct loader *l, bool random)
{
	struct boot_info *boot = l->boot;
	struct efi_memory m;
	uint64_t slots, size = l->elf.size;
	paddr_t place = 0;

	if (!memory_map_alloc(l, &m))
		return false;
	slots = nth_slot(&m, size, UINT64_MAX, &place);
	/* A place can be refused: the map changes with every allocation. Try some more.
	 */
	for (unsigned i = 0; slots && i < 32 && !boot->kernel_phys; i++) {
		uint64_t n = random ? entropy_draw(&l->entropy) % slots : i;

		(void)nth_slot(&m, size, n, &place);
		if (pages_alloc_at(l, place, size, BOOT_MEM_KERNEL))
			boot->kernel_phys = place;
	}
	pages_free(l, m.buffer, m.capacity);
	if (!boot->kernel_phys)
		return fail("no free memory for the kernel's %llu KiB", size >> 10);
	return true;
}

bool
kernel_load(struct loader *l)
{
	const char *name = l->config.kernel, *wrong;
	struct boot_info *boot = l->boot;
	bool random = !handover_cmdline_has(l->config.cmdline, "nokaslr");
	struct blob file;

	if (!file_read(l, name, BOOT_MEM_LOADER, &file))
		return false;
	wrong = elf_check((const void *)file.base, file.size, &l->elf);
	if (wrong)
		return fail("%s: %s", name, wrong);
	if (!place_physical(l, random))
		return false;
	boot->kernel_size = l->elf.size;
	boot->kernel_virt = l->elf.link_base;
	if (random)
		boot->kernel_virt = handover_pick_slot(&l->entropy,
		    BOOT_KERNEL_SPACE + BOOT_LINK_VIRT_OFFSET, BOOT_KERNEL_SPACE + GIB(1),
		    l->elf.size);
	elf_load((const void *)file.base, &l->elf, (void *)boot->kernel_phys);
	pages_free(l, file.base, file.size);
	wrong = elf_relocate((void *)boot->kernel_phys, &l->elf, boot->kernel_virt);
	if (wrong)
		return fail("%s: %s", name, wrong);
	return true;
}
