/*
 * Memory map building. One operation does the work: memmap_set lays a range over the map.
 * Building a map from overlapping raw ranges is then laying them in order of rising
 * priority. That is O(n^2) moves of 32 bytes: firmware maps have some hundred entries.
 */
#include "loader/memmap.h"

#include "lib/string.h"

/* Lowest first: later ones overwrite earlier ones. */
static const uint8_t priority[] = {
    BOOT_MEM_USABLE,
    BOOT_MEM_ACPI_RECLAIM,
    BOOT_MEM_ACPI_NVS,
    BOOT_MEM_EFI_RUNTIME,
    BOOT_MEM_RESERVED,
    BOOT_MEM_MMIO,
    BOOT_MEM_UNUSABLE,
};

uint32_t
memmap_type_of_e820(uint32_t e820_type)
{
	switch (e820_type) {
	case 1: return BOOT_MEM_USABLE;
	case 3: return BOOT_MEM_ACPI_RECLAIM;
	case 4: return BOOT_MEM_ACPI_NVS;
	case 5: return BOOT_MEM_UNUSABLE;
	default: return BOOT_MEM_RESERVED;
	}
}

bool
memmap_is_ram(uint32_t type)
{
	switch (type) {
	case BOOT_MEM_RESERVED:
	case BOOT_MEM_MMIO:
	case BOOT_MEM_UNUSABLE: return false;
	default: return true;
	}
}

/* Rounds to pages; false when nothing is left. */
static bool
page_align(struct boot_mem *r)
{
	uint64_t end = r->base + r->size;

	if (!r->size)
		return false;
	if (end < r->base)
		end = ALIGN_DOWN(UINT64_MAX, 4096ull);
	if (r->type == BOOT_MEM_USABLE) {
		end = ALIGN_DOWN(end, 4096ull);
		if (r->base > UINT64_MAX - 4095)
			return false;
		r->base = ALIGN_UP(r->base, 4096ull);
	} else {
		r->base = ALIGN_DOWN(r->base, 4096ull);
		end = end > UINT64_MAX - 4095 ? ALIGN_DOWN(UINT64_MAX, 4096ull)
		                              : ALIGN_UP(end, 4096ull);
	}
	if (end <= r->base)
		return false;
	r->size = end - r->base;
	return true;
}

static uint64_t
end_of(const struct boot_mem *e)
{
	return e->base + e->size;
}

/* Replaces entries [at, at+remove) by the `n` of `with`. The room was checked. */
static void
splice(struct memmap *m, uint32_t at, uint32_t remove, const struct boot_mem *with,
    uint32_t n)
{
	memmove(m->entries + at + n, m->entries + at + remove,
	    (m->len - at - remove) * sizeof(*with));
	memcpy(m->entries + at, with, n * sizeof(*with));
	m->len = m->len - remove + n;
}

static bool
is_same_kind(const struct boot_mem *a, const struct boot_mem *b)
{
	return a->type == b->type && a->efi_type == b->efi_type &&
	       a->efi_attr == b->efi_attr;
}

/* Joins entry i with the next when they touch and are of one kind. */
static void
join_next(struct memmap *m, uint32_t i)
{
	struct boot_mem *e = m->entries + i;

	if (i + 1 >= m->len || end_of(e) != e[1].base || !is_same_kind(e, e + 1))
		return;
	e->size += e[1].size;
	splice(m, i + 1, 1, NULL, 0);
}

enum err
memmap_set(struct memmap *m, const struct boot_mem *range)
{
	struct boot_mem r = *range, parts[3];
	uint32_t first, last, n = 0, middle;

	if (!page_align(&r))
		return OK;

	/* Entries [first, last) overlap the range. */
	for (first = 0; first < m->len && end_of(&m->entries[first]) <= r.base; first++)
		;
	for (last = first; last < m->len && m->entries[last].base < end_of(&r); last++)
		;
	if (first < last && m->entries[first].base < r.base) {
		parts[n] = m->entries[first];
		parts[n++].size = r.base - m->entries[first].base;
	}
	middle = n;
	parts[n++] = r;
	if (first < last && end_of(&m->entries[last - 1]) > end_of(&r)) {
		parts[n] = m->entries[last - 1];
		parts[n].base = end_of(&r);
		parts[n++].size = end_of(&m->entries[last - 1]) - end_of(&r);
	}
	if (m->len - (last - first) + n > m->cap) {
		m->dropped++;
		return ERR_NOSPC;
	}
	splice(m, first, last - first, parts, n);
	join_next(m, first + middle);
	if (first + middle > 0)
		join_next(m, first + middle - 1);
	return OK;
}

enum err
memmap_build(struct memmap *m, const struct boot_mem *raw, uint32_t n)
{
	enum err err = OK;

	for (size_t p = 0; p < ARRAY_SIZE(priority); p++) {
		for (uint32_t i = 0; i < n; i++) {
			if (raw[i].type == priority[p] && memmap_set(m, &raw[i]) != OK)
				err = ERR_NOSPC;
		}
	}
	return err;
}

bool
memmap_is(const struct memmap *m, paddr_t base, uint64_t size, uint32_t type)
{
	uint64_t end = base + size;

	if (end < base)
		return false;
	for (uint32_t i = 0; i < m->len && base < end; i++) {
		const struct boot_mem *e = &m->entries[i];

		if (e->type == type && e->base <= base && end_of(e) > base)
			base = end_of(e);
	}
	return base >= end;
}

paddr_t
memmap_find(
    const struct memmap *m, uint64_t size, uint64_t align, paddr_t min, paddr_t max)
{
	for (uint32_t i = m->len; i-- > 0;) {
		const struct boot_mem *e = &m->entries[i];
		uint64_t lo = MAX(e->base, min), hi = MIN(end_of(e), max);

		if (e->type != BOOT_MEM_USABLE || hi < size)
			continue;
		hi = ALIGN_DOWN(hi - size, align);
		if (hi >= lo && hi > 0)
			return hi;
	}
	return 0;
}

paddr_t
memmap_ram_end(const struct memmap *m)
{
	for (uint32_t i = m->len; i-- > 0;) {
		if (memmap_is_ram(m->entries[i].type))
			return end_of(&m->entries[i]);
	}
	return 0;
}
