/*
 * Areas that map files. A read fault maps what the page cache has of the 16 pages around;
 * a private write copies the page at once; a shared write marks it dirty.
 *
 * Against truncation there is no lock, but an order: a fault enters the page and then
 * looks whether the page still belongs to the file; truncation takes the page from the
 * file (clears page->owner) and then empties the entries. One of them sees the other.
 */
#include "mm/filemap.h"

#include "kernel/file.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/pagecache.h"
#include "mm/userpt.h"

enum { AROUND_PAGES = 16, ENTRIES_PER_TABLE = 512 };

static uint64_t
file_page_at(const struct area *a, vaddr_t va)
{
	return a->file_page + ((va - a->start) >> PAGE_SHIFT);
}

/* Number of pages the file has now. */
static uint64_t
file_pages(const struct page_cache *c)
{
	uint64_t size = __atomic_load_n(&c->file_size, __ATOMIC_ACQUIRE);

	return size / PAGE_SIZE + (size % PAGE_SIZE != 0);
}

/* A page that was truncated while it was being mapped goes out again. */
static void
undo_install(struct area *a, vaddr_t va, pte_t *pte, pte_t entered)
{
	struct tlb_batch batch;

	tlb_batch_begin(&batch, a->aspace);
	if (upt_change(pte, entered, 0)) {
		tlb_batch_range(&batch, va, va + PAGE_SIZE);
		upt_drop(a->aspace, entered, &batch);
	}
	tlb_batch_end(&batch);
}

/*
 * Maps `pg` at the empty entry; takes its reference in any case. False: the page is the
 * file's no longer. Does not count it as resident: *added does.
 */
static bool
install_page(
    struct area *a, vaddr_t va, pte_t *pte, struct page *pg, uint64_t bits, int *added)
{
	pte_t entry = page_to_phys(pg) | bits;

	if (!upt_change(pte, 0, entry)) {
		page_put(pg);
		return true; /* another CPU was faster */
	}
	++*added;
	if (likely(__atomic_load_n(&pg->owner, __ATOMIC_SEQ_CST) == a->file->cache))
		return true;
	undo_install(a, va, pte, entry);
	return false;
}

/* Maps read-only what the cache has near `va`, that one included. */
static void
map_around(struct area *a, vaddr_t va, pte_t *pte)
{
	struct page_cache *c = a->file->cache;
	struct page *pages[AROUND_PAGES];
	unsigned slot = va >> PAGE_SHIFT & (ENTRIES_PER_TABLE - 1);
	vaddr_t first = MAX(ALIGN_DOWN(va, AROUND_PAGES * PAGE_SIZE), a->start);
	vaddr_t end = MIN(
	    ALIGN_DOWN(va, AROUND_PAGES * PAGE_SIZE) + AROUND_PAGES * PAGE_SIZE, a->end);
	uint64_t index = file_page_at(a, first), size = file_pages(c);
	unsigned n = (unsigned)((end - first) >> PAGE_SHIFT);
	int added = 0;

	if (index + n > size)
		n = index < size ? (unsigned)(size - index) : 0;
	pte -= slot - (first >> PAGE_SHIFT & (ENTRIES_PER_TABLE - 1));
	page_cache_find_range(c, index, n, pages);
	for (unsigned i = 0; i < n; i++) {
		if (!pages[i])
			continue;
		if (upt_load(&pte[i]))
			page_put(pages[i]);
		else
			(void)install_page(a, first + (uint64_t)i * PAGE_SIZE, &pte[i],
			    pages[i], upt_bits(a->flags), &added);
	}
	if (added)
		aspace_count_resident(a->aspace, added, 0);
}

/* A private page with the file's contents, at the empty entry. */
static enum err
map_private_copy(struct area *a, pte_t *pte, struct page *from)
{
	struct page *pg = anon_page_alloc(ALLOC_NORMAL);

	if (!pg)
		return ERR_NOMEM;
	memcpy(page_to_virt(pg), page_to_virt(from), PAGE_SIZE);
	if (upt_change(
	        pte, 0, page_to_phys(pg) | upt_bits(a->flags) | PTE_WRITE | PTE_DIRTY))
		aspace_count_resident(a->aspace, 1, 1);
	else
		anon_page_free(pg);
	return OK;
}

static void
mark_dirty(struct page *pg)
{
	__atomic_fetch_or(&pg->flags, PAGE_DIRTY, __ATOMIC_RELAXED);
}

/* The entry is empty and the cache was asked for the page itself, which must be made. */
static enum err
map_one(struct area *a, vaddr_t va, pte_t *pte, unsigned access)
{
	struct page_cache *c = a->file->cache;
	uint64_t bits = upt_bits(a->flags);
	struct page *pg;
	enum err err;
	int added = 0;

	if (file_page_at(a, va) >= file_pages(c))
		return ERR_IO;
	err = page_cache_get(c, file_page_at(a, va), &pg);
	if (err != OK)
		return err;
	if (access & AREA_WRITE && !(a->flags & AREA_SHARED)) {
		err = map_private_copy(a, pte, pg);
		page_put(pg);
		return err;
	}
	if (access & AREA_WRITE) {
		mark_dirty(pg);
		bits |= PTE_WRITE | PTE_DIRTY;
	}
	/* If it was truncated meanwhile the access faults again and finds the file
	 * shorter. */
	(void)install_page(a, va, pte, pg, bits, &added);
	if (added)
		aspace_count_resident(a->aspace, added, 0);
	return OK;
}

static enum err
filemap_fault(struct area *a, vaddr_t va, unsigned access)
{
	pte_t *pte = upt_make(a->aspace, va), old;

	if (!pte)
		return ERR_NOMEM;
	old = upt_load(pte);
	if (!old && !(access & AREA_WRITE)) {
		map_around(a, va, pte);
		old = upt_load(pte);
	}
	if (!old)
		return map_one(a, va, pte, access);
	if (!(access & AREA_WRITE) || old & PTE_WRITE)
		return OK;
	if (!(a->flags & AREA_SHARED))
		return cow_break(a, va, pte, old);
	mark_dirty(phys_to_page(pte_phys(old)));
	(void)upt_change(pte, old, old | PTE_WRITE | PTE_DIRTY);
	return OK;
}

const struct area_ops filemap_area_ops = {.name = "file", .fault = filemap_fault};

static void
unmap_in_area(struct area *a, uint64_t first, uint64_t end, bool with_copies)
{
	uint64_t pages = (a->end - a->start) >> PAGE_SHIFT, from, to;
	struct tlb_batch batch;

	from = MAX(first, a->file_page);
	to = MIN(end, a->file_page + pages);
	if (from >= to)
		return;
	from = a->start + (from - a->file_page) * PAGE_SIZE;
	to = a->start + (to - a->file_page) * PAGE_SIZE;
	tlb_batch_begin(&batch, a->aspace);
	if (with_copies)
		upt_zap(a->aspace, from, to, &batch);
	else
		upt_zap_file(a->aspace, from, to, &batch);
	tlb_batch_end(&batch);
}

void
filemap_unmap(struct page_cache *c, uint64_t first, uint64_t end, bool with_copies)
{
	struct area *a;

	mutex_lock(&c->map_lock);
	list_for_each(a, &c->areas, cache_link)
		unmap_in_area(a, first, end, with_copies);
	mutex_unlock(&c->map_lock);
}

bool
filemap_has_writers(struct page_cache *c)
{
	bool found = false;
	struct area *a;

	mutex_lock(&c->map_lock);
	list_for_each(a, &c->areas, cache_link)
		found |= a->flags & AREA_SHARED && a->flags & AREA_MAY_WRITE;
	mutex_unlock(&c->map_lock);
	return found;
}
