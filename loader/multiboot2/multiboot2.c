/*
 * Multiboot2 information (Multiboot2 Specification 2.0, 3.6): a list of tags, each
 * 8-aligned, of which we read those below. When GRUB was started by EFI its tag 17 is the
 * EFI map, better than tag 6: it tells runtime memory. The structure stays in memory
 * until the kernel has read it.
 */
#include "lib/string.h"
#include "loader/efimap.h"
#include "loader/memmap.h"
#include "loader/multiboot2/door.h"

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER_NAME = 2,
	TAG_MODULE = 3,
	TAG_MEMMAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_EFI64_SYSTEM_TABLE = 12,
	TAG_RSDP_V1 = 14,
	TAG_RSDP_V2 = 15,
	TAG_EFI_MEMMAP = 17,
	TAG_EFI_BOOT_SERVICES = 18, /* they were left running */

	FRAMEBUFFER_DIRECT = 1,
	RSDP_MAX = 36,
	INFO_MAX = 16 << 20,
};

struct tag {
	uint32_t type, size; /* with this head */
};

struct tag_module {
	struct tag head;
	uint32_t start, end;
	char cmdline[];
};

struct tag_memmap {
	struct tag head;
	uint32_t entry_size, entry_version;
	char entries[];
};

struct memmap_entry {
	uint64_t base, size;
	uint32_t type, reserved;
};

struct tag_framebuffer {
	struct tag head;
	uint64_t base;
	uint32_t pitch, width, height;
	uint8_t bits_per_pixel, kind;
	uint16_t reserved;
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
} PACKED;

struct tag_efi_memmap {
	struct tag head;
	uint32_t desc_size, desc_version;
	char descriptors[];
};

struct tag_pointer {
	struct tag head;
	uint64_t pointer;
};

/* What a walk over the tags finds. */
struct tags {
	const struct tag_memmap *memmap;
	const struct tag_efi_memmap *efi_memmap;
	const struct tag *rsdp_v1, *rsdp_v2;
	bool has_boot_services;
};

/* The tag's copy of the RSDP, kept where it outlives the loader's memory. */
static uint8_t rsdp[RSDP_MAX] ALIGNED(16);

/* The text at `offset` of a tag when it is terminated within it, else NULL. */
static const char *
tag_text(const struct tag *t, size_t offset)
{
	const char *s = (const char *)t + offset;

	if (t->size <= offset || strnlen(s, t->size - offset) == t->size - offset)
		return NULL;
	return s;
}

static uint32_t
colour_mask(unsigned pos, unsigned size)
{
	return pos + size > 32 ? 0 : (uint32_t)(((1ull << size) - 1) << pos);
}

static void
read_framebuffer(struct boot_framebuffer *fb, const struct tag_framebuffer *t)
{
	if (t->head.size < sizeof(*t) || t->kind != FRAMEBUFFER_DIRECT || !t->base)
		return;
	*fb = (struct boot_framebuffer){
	    .base = t->base,
	    .size = (uint64_t)t->pitch * t->height,
	    .format = BOOT_FB_RGB,
	    .width = t->width,
	    .height = t->height,
	    .pitch = t->pitch,
	    .bits_per_pixel = t->bits_per_pixel,
	    .red_mask = colour_mask(t->red_pos, t->red_size),
	    .green_mask = colour_mask(t->green_pos, t->green_size),
	    .blue_mask = colour_mask(t->blue_pos, t->blue_size),
	};
}

static void
read_module(struct door *d, const struct tag_module *t)
{
	if (t->head.size >= sizeof(*t) && t->end > t->start)
		/* More than BOOT_MAX_INITRDS are left out. */
		(void)door_add_initrd(d, t->start, t->end - t->start);
}

static void
read_tag(struct door *d, struct tags *tags, const struct tag *t)
{
	const char *text;

	switch (t->type) {
	case TAG_CMDLINE: d->cmdline = tag_text(t, sizeof(*t)); break;
	case TAG_LOADER_NAME:
		text = tag_text(t, sizeof(*t));
		if (text)
			strlcpy(d->boot.loader_name, text, sizeof(d->boot.loader_name));
		break;
	case TAG_MODULE: read_module(d, (const void *)t); break;
	case TAG_MEMMAP: tags->memmap = (const void *)t; break;
	case TAG_FRAMEBUFFER: read_framebuffer(&d->boot.fb, (const void *)t); break;
	case TAG_EFI64_SYSTEM_TABLE:
		if (t->size >= sizeof(struct tag_pointer))
			d->boot.efi_system_table =
			    ((const struct tag_pointer *)t)->pointer;
		break;
	case TAG_RSDP_V1: tags->rsdp_v1 = t; break;
	case TAG_RSDP_V2: tags->rsdp_v2 = t; break;
	case TAG_EFI_MEMMAP: tags->efi_memmap = (const void *)t; break;
	case TAG_EFI_BOOT_SERVICES: tags->has_boot_services = true; break;
	}
}

/* The EFI map; false when there is none that can be used. */
static bool
use_efi_memmap(struct door *d, const struct tag_efi_memmap *t)
{
	struct efimap map;

	if (!t || t->head.size < sizeof(*t))
		return false;
	map = (struct efimap){t->descriptors, t->head.size - sizeof(*t), t->desc_size};
	d->nraw = efimap_translate(&map, d->raw, DOOR_MAX_RAW);
	if (!d->nraw)
		return false;
	/* The same place: only the kernel needs it from here on. */
	d->boot.efi_map_len =
	    efimap_keep_runtime(&map, (void *)(uintptr_t)t->descriptors);
	d->boot.efi_map = (paddr_t)t->descriptors;
	d->boot.efi_desc_size = t->desc_size;
	return true;
}

static bool
use_memmap(struct door *d, const struct tag_memmap *t)
{
	if (!t || t->head.size < sizeof(*t) ||
	    t->entry_size < sizeof(struct memmap_entry))
		return false;
	for (size_t off = sizeof(*t); off + t->entry_size <= t->head.size;
	     off += t->entry_size) {
		struct memmap_entry e;

		memcpy(&e, (const char *)t + off, sizeof(e));
		if (!door_add_memory(d, e.base, e.size, memmap_type_of_e820(e.type)))
			break;
	}
	return d->nraw > 0;
}

static void
use_rsdp(struct door *d, const struct tag *t)
{
	if (!t)
		return;
	memcpy(rsdp, t + 1, MIN(t->size - sizeof(*t), sizeof(rsdp)));
	d->boot.acpi_rsdp = (vaddr_t)rsdp - BOOT_KERNEL_SPACE;
}

const char *
multiboot2_read(struct door *d, paddr_t info)
{
	const struct {
		uint32_t size, reserved;
	} *head = (const void *)info;
	struct tags tags = {0};
	uint32_t at = 8;

	if (!door_can_reach(info, 8) || head->size < 8 || head->size > INFO_MAX ||
	    !door_can_reach(info, head->size))
		return "Multiboot2 information is damaged";
	d->boot.path = BOOT_PATH_MULTIBOOT2;
	strlcpy(d->boot.loader_name, "a Multiboot2 loader", sizeof(d->boot.loader_name));

	while (at + sizeof(struct tag) <= head->size) {
		const struct tag *t = (const void *)(info + at);

		if (t->type == TAG_END || t->size < sizeof(*t) ||
		    t->size > head->size - at)
			break;
		read_tag(d, &tags, t);
		at += ALIGN_UP(t->size, 8u);
	}
	if (tags.has_boot_services)
		return "EFI boot services still run: a Multiboot2 loader must end them";
	if (!use_efi_memmap(d, tags.efi_memmap) && !use_memmap(d, tags.memmap))
		return "Multiboot2 information has no memory map";
	use_rsdp(d, tags.rsdp_v2 ? tags.rsdp_v2 : tags.rsdp_v1);
	d->info = (struct boot_range){info, head->size};
	return NULL;
}
