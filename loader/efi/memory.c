/*
 * Memory under boot services. All the loader takes is EfiLoaderData; what the kernel
 * shall find under a type of its own is remembered in loader.owned and laid over the
 * final map.
 */
#include "loader/efi/loader.h"

#include "lib/string.h"

enum { MAP_SPARE = 8192 }; /* descriptors come with each allocation: some 100 more */

static bool
remember(struct loader *l, paddr_t base, uint64_t size, uint32_t type)
{
	if (l->nowned == LOADER_MAX_OWNED)
		return false;
	l->owned[l->nowned++] = (struct owned){base, size, type};
	return true;
}

static paddr_t
take(struct loader *l, EFI_ALLOCATE_TYPE how, paddr_t at, uint64_t size, uint32_t type)
{
	EFI_PHYSICAL_ADDRESS base = at;
	UINTN pages = (UINTN)(ALIGN_UP(size, 4096ull) / 4096);

	if (EFI_ERROR(l->bs->AllocatePages(how, EfiLoaderData, pages, &base)))
		return 0;
	if (!remember(l, base, pages * 4096, type)) {
		l->bs->FreePages(base, pages);
		return 0;
	}
	memset((void *)base, 0, pages * 4096);
	return base;
}

paddr_t
pages_alloc(struct loader *l, uint64_t size, unsigned where, uint32_t type)
{
	if (where == BELOW_4G)
		return take(l, AllocateMaxAddress, 0xffffffff, size, type);
	return take(l, AllocateAnyPages, 0, size, type);
}

bool
pages_alloc_at(struct loader *l, paddr_t base, uint64_t size, uint32_t type)
{
	return take(l, AllocateAddress, base, size, type) != 0;
}

void
pages_free(struct loader *l, paddr_t base, uint64_t size)
{
	size = ALIGN_UP(size, 4096ull);
	l->bs->FreePages(base, (UINTN)(size / 4096));
	for (unsigned i = 0; i < l->nowned; i++) {
		if (l->owned[i].base == base) {
			l->owned[i] = l->owned[--l->nowned];
			return;
		}
	}
}

EFI_STATUS
memory_map_read(struct loader *l, struct efi_memory *m)
{
	m->size = m->capacity;
	return l->bs->GetMemoryMap(&m->size, (EFI_MEMORY_DESCRIPTOR *)m->buffer, &m->key,
	    &m->desc_size, &m->desc_version);
}

bool
memory_map_alloc(struct loader *l, struct efi_memory *m)
{
	/* The first call tells the size; making room may make it grow again, hence the
	 * loop. */
	m->capacity = 0;
	m->buffer = 0;
	for (unsigned i = 0; i < 8; i++) {
		EFI_STATUS status = memory_map_read(l, m);

		if (!EFI_ERROR(status))
			return true;
		if (status != EFI_BUFFER_TOO_SMALL)
			return fail("the memory map: %s", status_text(status));
		if (m->buffer)
			pages_free(l, m->buffer, m->capacity);
		m->capacity = (UINTN)ALIGN_UP(2 * (uint64_t)m->size + MAP_SPARE, 4096ull);
		m->buffer = pages_alloc(l, m->capacity, ANYWHERE, BOOT_MEM_LOADER);
		if (!m->buffer)
			return fail("no memory for the memory map");
	}
	return fail("the memory map grows without end");
}
