/*
 * Table memory is normally in the direct map. Some firmware keeps tables in reserved
 * ranges above the last RAM, which the direct map does not reach: those are mapped by
 * ioremap. Any other address is refused.
 */
#include "acpi/map.h"

#include "kernel/boot.h"
#include "mm/kva.h"
#include "mm/page.h"
#include "mm/pagetable.h"

static const struct boot_mem *mem_map;
static uint32_t mem_map_len;

void
acpi_map_init(const struct boot_info *boot)
{
	mem_map = phys_to_virt(boot->mem_map);
	mem_map_len = boot->mem_map_len;
}

static bool
is_in_direct_map(paddr_t pa, size_t len)
{
	paddr_t end = ALIGN_UP(pa + len, (paddr_t)PAGE_SIZE);

	for (paddr_t p = ALIGN_DOWN(pa, (paddr_t)PAGE_SIZE); p < end; p += PAGE_SIZE) {
		unsigned level;
		pte_t *pte =
		    pt_walk(kernel_page_table, direct_map_base + p, false, &level);

		if (!pte || !(*pte & PTE_PRESENT))
			return false;
	}
	return true;
}

static bool
is_firmware_memory(paddr_t pa, size_t len)
{
	for (uint32_t i = 0; i < mem_map_len; i++) {
		const struct boot_mem *m = &mem_map[i];

		if (m->type != BOOT_MEM_ACPI_RECLAIM && m->type != BOOT_MEM_ACPI_NVS &&
		    m->type != BOOT_MEM_RESERVED)
			continue;
		if (pa >= m->base && pa - m->base < m->size &&
		    len <= m->size - (pa - m->base))
			return true;
	}
	return false;
}

const void *
acpi_map(paddr_t pa, size_t len)
{
	/* Page tables hold 52 bits of physical address; the sum must not wrap either. */
	if (!pa || !len || pa >> 52 || len > GIB(1))
		return NULL;
	if (is_in_direct_map(pa, len))
		return phys_to_virt(pa);
	if (!is_firmware_memory(pa, len))
		return NULL;
	return (const void *)ioremap(pa, len, CACHE_WB);
}
