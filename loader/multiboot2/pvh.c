/*
 * PVH start information (Xen, public/arch-x86/hvm/start_info.h), as QEMU's -kernel gives
 * it.
 */
#include "loader/memmap.h"
#include "loader/multiboot2/door.h"

#include "lib/string.h"

enum { PVH_MAGIC = 0x336ec578, PVH_MAX_ENTRIES = 4096 };

struct pvh_start_info {
	uint32_t magic, version, flags, num_modules;
	uint64_t modules, cmdline, rsdp;
	uint64_t memmap; /* from version 1 */
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t base, size, cmdline, reserved;
};

struct pvh_memory {
	uint64_t base, size;
	uint32_t type, reserved; /* as E820 */
};

static_assert(sizeof(struct pvh_start_info) == 56, "layout");

const char *
pvh_read(struct door *d, paddr_t info)
{
	const struct pvh_start_info *si = (const void *)info;
	const struct pvh_memory *mem;
	const struct pvh_module *mod;

	if (!door_can_reach(info, sizeof(*si)) || si->magic != PVH_MAGIC)
		return "PVH start information is damaged";
	if (si->version < 1 || si->memmap_entries > PVH_MAX_ENTRIES ||
	    !door_can_reach(si->memmap, si->memmap_entries * sizeof(*mem)))
		return "PVH start information has no memory map";

	mem = (const void *)si->memmap;
	for (uint32_t i = 0; i < si->memmap_entries; i++)
		(void)door_add_memory(d, mem[i].base, mem[i].size,
		    memmap_type_of_e820(mem[i].type)); /* too many: the first ones do */

	if (si->num_modules && si->num_modules <= PVH_MAX_ENTRIES &&
	    door_can_reach(si->modules, si->num_modules * sizeof(*mod))) {
		mod = (const void *)si->modules;
		for (uint32_t i = 0; i < si->num_modules; i++)
			(void)door_add_initrd(d, mod[i].base, mod[i].size);
	}
	if (door_can_reach(si->cmdline, BOOT_CMDLINE_MAX))
		d->cmdline = (const char *)si->cmdline;
	d->boot.acpi_rsdp = si->rsdp;
	d->boot.path = BOOT_PATH_PVH;
	strlcpy(d->boot.loader_name, "the machine's own PVH loader",
	    sizeof(d->boot.loader_name));
	return NULL;
}
