/*
 * Memory for the real frame allocator. The loader's PML4 and the memory map are put at 1
 * MiB, in what the map must call loader memory.
 */
#include "tests/fakes/ram.h"

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "kernel/cmdline.h"
#include "kernel/x86/cpu.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "tests/fakes/fakes.h"

vaddr_t fake_page_array;
const char *fake_mem_option;

static uint64_t ram_size;

const char *
cmdline_get(const char *name, unsigned nth)
{
	return !strcmp(name, "mem") && nth == 0 ? fake_mem_option : NULL;
}

/* At a multiple of 1 GiB, as the kernel's regions are: huge leaves depend on it. */
static vaddr_t
reserve(uint64_t size)
{
	static vaddr_t next = 0x200000000000;
	void *p = mmap((void *)next, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	next += ALIGN_UP(size, GIB(1));
	return (vaddr_t)p;
}

void
fake_ram_init(const struct boot_mem *map, unsigned len, uint64_t size)
{
	struct boot_info boot = {.mem_map_len = len};
	uint64_t array_size = size / PAGE_SIZE * sizeof(struct page);

	ram_size = size;
	boot.direct_map_base = direct_map_base = reserve(size);
	fake_page_array = reserve(array_size);
	if (size < GIB(1))
		memset((void *)fake_page_array, 0xe5, array_size);
	boot.page_table_root = MIB(1);
	boot.mem_map = MIB(1) + PAGE_SIZE;
	memcpy(phys_to_virt(boot.mem_map), map, len * sizeof(map[0]));
	fake_cr3 = boot.page_table_root;
	kernel_page_table = boot.page_table_root;
	fake_log_is_quiet = true;
	frames_init(&boot);
}

void
fake_ram_init_simple(uint64_t size)
{
	const struct boot_mem map[] = {
	    {0, 0x9f000, BOOT_MEM_USABLE, ~0u, 0},
	    {0x9f000, 0x61000, BOOT_MEM_RESERVED, ~0u, 0},
	    {MIB(1), MIB(1), BOOT_MEM_LOADER, ~0u, 0},
	    {MIB(2), MIB(2), BOOT_MEM_KERNEL, ~0u, 0},
	    {MIB(4), size - MIB(5), BOOT_MEM_USABLE, ~0u, 0},
	    {size - MIB(1), MIB(1), BOOT_MEM_ACPI_RECLAIM, ~0u, 0},
	};

	fake_ram_init(map, ARRAY_SIZE(map), size);
}

void
fake_ram_keep_page_array(void)
{
	unsigned slot = fake_page_array >> 39;
	const pte_t *loader = phys_to_virt(MIB(1));

	((pte_t *)phys_to_virt(kernel_page_table))[slot] = loader[slot];
}

void
fake_ram_free(void)
{
	munmap((void *)direct_map_base, ram_size);
	munmap((void *)fake_page_array, ram_size / PAGE_SIZE * sizeof(struct page));
}
