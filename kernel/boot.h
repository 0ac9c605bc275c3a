/*
 * What a loader hands to the kernel. Three doors fill this one structure: the EFI loader
 * (loader/efi), a Multiboot2 loader through loader/multiboot2, and PVH (same place). The
 * kernel never asks which it was, except to print it.
 *
 * State at entry (64-bit `_start`, RDI = virtual address of struct boot_info):
 *   - long mode, CPL 0, interrupts off, DF clear, a stack of at least 16 KiB;
 *   - CR0.WP, EFER.NXE set; CR4 with PAE, PGE and nothing the kernel would have to undo;
 *     4-level paging (a loader on 5-level firmware leaves it);
 *   - page tables at `page_table_root` that map (a) the kernel image at kernel_virt, each
 *     segment with exactly its rights, writable or executable, never both; (b) all RAM of
 *     the memory map, firmware tables included, at direct_map_base + physical: never
 *     executable, writable but for the constant segments at the image's begin; (c) the
 *     framebuffer, write-combining, in the direct map; and nothing else. CR3 may still
 *     hold tables that also have the loader's last page one to one: `_start` loads
 *     page_table_root first, then the identity map is gone;
 *   - IA32_PAT = WB, WC, UC-, UC, twice;
 *   - every pointer in the structure is a physical address, read through the direct map.
 * All memory the loader allocated is BOOT_MEM_LOADER in the map (page tables, boot_info,
 * stack, command line) or KERNEL or INITRD.
 */
#pragma once

#include "lib/types.h"

enum {
	BOOT_INFO_MAGIC = 0x4c45454b, /* "KEEL" */
	BOOT_INFO_VERSION = 1,
	BOOT_ENTROPY_SIZE = 64,
	BOOT_LINK_VIRT_OFFSET = 0x200000, /* from KERNEL_SPACE; also the load address */
};

/* The image lies in [this, this + 1 GiB). */
#define BOOT_KERNEL_SPACE 0xffffffff80000000ull

enum boot_path {
	BOOT_PATH_EFI = 1,
	BOOT_PATH_MULTIBOOT2 = 2,
	BOOT_PATH_PVH = 3,
};

enum boot_mem_type {
	BOOT_MEM_USABLE = 1, /* free; EFI conventional and boot-services memory */
	BOOT_MEM_LOADER = 2, /* what the loader made: free once the kernel has left it */
	BOOT_MEM_KERNEL = 3, /* the kernel image */
	BOOT_MEM_INITRD = 4, /* initial file system: free once unpacked */
	BOOT_MEM_ACPI_RECLAIM = 5, /* ACPI tables: kept, they are small and read late */
	BOOT_MEM_ACPI_NVS = 6,
	BOOT_MEM_EFI_RUNTIME = 7, /* runtime services: see boot_info.efi_map */
	BOOT_MEM_RESERVED = 8,
	BOOT_MEM_MMIO = 9,
	BOOT_MEM_UNUSABLE = 10, /* RAM with errors */
};

struct boot_mem {
	paddr_t base;      /* multiple of 4096 */
	uint64_t size;     /* bytes, multiple of 4096, > 0 */
	uint32_t type;     /* enum boot_mem_type */
	uint32_t efi_type; /* EFI_MEMORY_TYPE it came from, or ~0 */
	uint64_t efi_attr; /* EFI_MEMORY_* attribute bits, or 0 */
};

struct boot_range {
	paddr_t base;
	uint64_t size;
};

enum boot_fb_format {
	BOOT_FB_NONE = 0, /* no framebuffer the kernel can write to (none, or BltOnly) */
	BOOT_FB_RGB = 1,  /* direct colour by the masks below */
};

struct boot_framebuffer {
	paddr_t base;
	uint64_t size;
	uint32_t format;         /* enum boot_fb_format */
	uint32_t width, height;  /* pixels */
	uint32_t pitch;          /* bytes a line */
	uint32_t bits_per_pixel; /* 16, 24 or 32 */
	uint32_t red_mask, green_mask, blue_mask;
};

enum { BOOT_MAX_INITRDS = 16 };

struct boot_info {
	uint32_t magic;
	uint32_t version;
	uint32_t size; /* sizeof(struct boot_info) of the loader */
	uint32_t path; /* enum boot_path */

	char loader_name[64]; /* for the log: "GRUB 2.06" */

	paddr_t kernel_phys;      /* where the image lies, multiple of 2 MiB */
	vaddr_t kernel_virt;      /* and where it is mapped, multiple of 2 MiB */
	uint64_t kernel_size;     /* bytes, with .bss */
	vaddr_t direct_map_base;  /* virtual address of physical 0, multiple of 1 GiB */
	uint64_t direct_map_size; /* bytes mapped from there (end of the highest RAM) */
	paddr_t page_table_root;  /* the PML4 in CR3 */

	paddr_t mem_map; /* array of struct boot_mem, sorted by base, not overlapping */
	uint32_t mem_map_len;
	uint32_t num_initrds;
	struct boot_range initrd[BOOT_MAX_INITRDS]; /* each page-aligned */

	paddr_t cmdline;   /* NUL-terminated UTF-8, or 0 */
	paddr_t acpi_rsdp; /* ACPI 2.0+ preferred, or 0 */
	paddr_t smbios;    /* SMBIOS 3 entry point preferred, else SMBIOS 2, or 0 */
	paddr_t mcfg;      /* the MCFG table as the loader found it, or 0 */

	struct boot_framebuffer fb;

	paddr_t efi_system_table; /* 0 when not started from EFI */
	paddr_t efi_map;          /* runtime EFI_MEMORY_DESCRIPTORs as EFI gave them */
	uint32_t efi_map_len;     /* entries */
	uint32_t efi_desc_size;   /* bytes from one entry to the next */

	uint8_t entropy[BOOT_ENTROPY_SIZE];
	uint32_t entropy_bits; /* the loader's estimate, 0 = none */
	uint32_t has_boot_time;
	int64_t boot_time;      /* UTC seconds since 1970, when has_boot_time */
	uint64_t boot_time_tsc; /* TSC at that moment */

	uint8_t boot_partition_guid[16]; /* the loader's GPT partition, or zeros */
	char boot_device[128];           /* EFI device path as text, or "" */
};

static_assert(sizeof(struct boot_mem) == 32, "boot_mem layout");
static_assert(
    offsetof(struct boot_info, page_table_root) == 120, "known to kernel/x86/entry.asm");

/* kernel/boot.c: panics when the loader is of another version; logs what it gave. */
void boot_info_check(const struct boot_info *boot);
void boot_info_log(const struct boot_info *boot);

#define BOOT_CMDLINE_MAX 4096 /* bytes with the NUL; a longer one is cut, and said so */
