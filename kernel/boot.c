/* The hand-over seen by the kernel: do loader and kernel belong together, and the log. */
#define LOG_PREFIX "boot: "
#include "kernel/boot.h"

#include "kernel/log.h"
#include "kernel/panic.h"

void
boot_info_check(const struct boot_info *boot)
{
	if (boot->magic != BOOT_INFO_MAGIC || boot->version != BOOT_INFO_VERSION ||
	    boot->size < sizeof(*boot))
		panic("loader and kernel do not belong together: "
		      "boot_info %#x, version %u of %u bytes, not version %u of %lu",
		    boot->magic, boot->version, boot->size, BOOT_INFO_VERSION,
		    sizeof(*boot));
}

static const char *
type_name(uint32_t type)
{
	static const char *const names[] = {
	    [BOOT_MEM_USABLE] = "usable",
	    [BOOT_MEM_LOADER] = "loader",
	    [BOOT_MEM_KERNEL] = "kernel",
	    [BOOT_MEM_INITRD] = "initrd",
	    [BOOT_MEM_ACPI_RECLAIM] = "ACPI tables",
	    [BOOT_MEM_ACPI_NVS] = "ACPI NVS",
	    [BOOT_MEM_EFI_RUNTIME] = "EFI runtime",
	    [BOOT_MEM_RESERVED] = "reserved",
	    [BOOT_MEM_MMIO] = "MMIO",
	    [BOOT_MEM_UNUSABLE] = "unusable",
	};

	return type < ARRAY_SIZE(names) && names[type] ? names[type] : "?";
}

static void
log_memory_map(const struct boot_info *boot)
{
	const struct boot_mem *map =
	    (const void *)(boot->direct_map_base + boot->mem_map);

	for (uint32_t i = 0; i < boot->mem_map_len; i++)
		log_debug("memory %010lx-%010lx %s", map[i].base,
		    map[i].base + map[i].size - 1, type_name(map[i].type));
}

void
boot_info_log(const struct boot_info *boot)
{
	const struct boot_framebuffer *fb = &boot->fb;

	log_memory_map(boot);
	if (boot->boot_device[0])
		log_info("from %s", boot->boot_device);
	if (fb->format == BOOT_FB_RGB)
		log_info("framebuffer %ux%u, %u bits", fb->width, fb->height,
		    fb->bits_per_pixel);
	for (uint32_t i = 0; i < boot->num_initrds; i++)
		log_info("initrd %u: %lu bytes", i, boot->initrd[i].size);
	if (!boot->acpi_rsdp)
		log_warn("no ACPI tables");
	log_info("%u bits of entropy from the loader", boot->entropy_bits);
}
