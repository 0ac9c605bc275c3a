/* EFI memory map translation; see efimap.h. */
#include "loader/efimap.h"

#include "lib/string.h"

enum {
	EFI_RESERVED = 0,
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_CODE = 3,
	EFI_BOOT_DATA = 4,
	EFI_RUNTIME_CODE = 5,
	EFI_RUNTIME_DATA = 6,
	EFI_CONVENTIONAL = 7,
	EFI_UNUSABLE = 8,
	EFI_ACPI_RECLAIM = 9,
	EFI_ACPI_NVS = 10,
	EFI_MMIO = 11,
	EFI_MMIO_PORT = 12,
};
#define EFI_ATTR_NV      0x8000ull  /* persistent */
#define EFI_ATTR_SP      0x40000ull /* set aside for special purposes */
#define EFI_ATTR_RUNTIME (1ull << 63)

enum { MAX_DESC_SIZE = 4096, MAX_DESCRIPTORS = 1 << 16 };

static uint32_t
type_of(const struct efimap_desc *d)
{
	switch (d->type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_CODE:
	case EFI_BOOT_DATA:
	case EFI_CONVENTIONAL:
		if (d->attr & EFI_ATTR_RUNTIME)
			return BOOT_MEM_EFI_RUNTIME;
		return d->attr & (EFI_ATTR_NV | EFI_ATTR_SP) ? BOOT_MEM_RESERVED
		                                             : BOOT_MEM_USABLE;
	case EFI_RUNTIME_CODE:
	case EFI_RUNTIME_DATA: return BOOT_MEM_EFI_RUNTIME;
	case EFI_UNUSABLE: return BOOT_MEM_UNUSABLE;
	case EFI_ACPI_RECLAIM: return BOOT_MEM_ACPI_RECLAIM;
	case EFI_ACPI_NVS: return BOOT_MEM_ACPI_NVS;
	case EFI_MMIO:
	case EFI_MMIO_PORT: return BOOT_MEM_MMIO;
	default: return BOOT_MEM_RESERVED;
	}
}

uint32_t
efimap_count(const struct efimap *m)
{
	if (m->desc_size < sizeof(struct efimap_desc) || m->desc_size > MAX_DESC_SIZE)
		return 0;
	return (uint32_t)MIN(m->size / m->desc_size, (uint64_t)MAX_DESCRIPTORS);
}

static struct efimap_desc
descriptor(const struct efimap *m, uint32_t i)
{
	struct efimap_desc d;

	memcpy(&d, (const char *)m->descriptors + (size_t)i * m->desc_size, sizeof(d));
	return d;
}

uint32_t
efimap_translate(const struct efimap *m, struct boot_mem *raw, uint32_t cap)
{
	uint32_t count = efimap_count(m), n = 0;

	for (uint32_t i = 0; i < count && n < cap; i++) {
		struct efimap_desc d = descriptor(m, i);
		uint32_t type = type_of(&d);
		bool is_usable = type == BOOT_MEM_USABLE;

		/* Pages that reach past the end of the address space: the map is wrong
		 * there. */
		if (!d.pages || d.pages > (UINT64_MAX - d.phys) / 4096)
			continue;
		/* Usable is usable: one kind, so that neighbours join. */
		raw[n++] = (struct boot_mem){
		    .base = d.phys,
		    .size = d.pages * 4096,
		    .type = type,
		    .efi_type = is_usable ? EFI_CONVENTIONAL : d.type,
		    .efi_attr = is_usable ? 0 : d.attr,
		};
	}
	return n;
}

uint32_t
efimap_keep_runtime(const struct efimap *m, void *out)
{
	uint32_t count = efimap_count(m), n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!(descriptor(m, i).attr & EFI_ATTR_RUNTIME))
			continue;
		memmove((char *)out + (size_t)n++ * m->desc_size,
		    (const char *)m->descriptors + (size_t)i * m->desc_size,
		    m->desc_size);
	}
	return n;
}
