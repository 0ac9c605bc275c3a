/*
 * Areas that map files. A read fault maps what the page cache has of the 16 pages around;
 * a private write copies the page at once; a shared write marks it dirty.
 *
 * A page is entered under the cache's lock, while it is the file's. Truncation takes it from
 * the file under that lock, and then out of the entries: none comes after that.
 */
#include "mm/filemap.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/pagecache.h"
#include "mm/userpt.h"

enum { AROUND_PAGES = 16, ENTRIES_PER_TABLE = 512 };

static uint64_t major_faults; /* [a] */

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

/*
 * Fills the empty entry, which takes a reference over, for the page `pg` of the file; false: it
 * is the file's no longer, or another CPU was faster. Does not count it as resident.
 */
static bool
enter_locked(const struct area *a, pte_t *pte, const struct page *pg, pte_t entry)
{
	return pg->owner == a->file->cache && upt_change(pte, 0, entry);
}

static bool
enter(const struct area *a, pte_t *pte, const struct page *pg, pte_t entry)
{
	bool is_in;

	spin_lock(&a->file->cache->lock);
	is_in = enter_locked(a, pte, pg, entry);
	spin_unlock(&a->file->cache->lock);
	return is_in;
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
	unsigned n = (unsigned)((end - first) >> PAGE_SHIFT), added = 0;
	uint64_t bits = upt_bits(a->flags);

	if (index + n > size)
		n = index < size ? (unsigned)(size - index) : 0;
	pte -= slot - (first >> PAGE_SHIFT & (ENTRIES_PER_TABLE - 1));
	page_cache_find_range(c, index, n, pages);
	spin_lock(&c->lock);
	for (unsigned i = 0; i < n; i++) {
		if (pages[i] &&
		    enter_locked(a, &pte[i], pages[i], page_to_phys(pages[i]) | bits)) {
			pages[i] = NULL;
			added++;
		}
	}
	spin_unlock(&c->lock);
	for (unsigned i = 0; i < n; i++)
		if (pages[i])
			page_put(pages[i]);
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
	if (enter(a, pte, from,
	        page_to_phys(pg) | upt_bits(a->flags) | PTE_WRITE | PTE_DIRTY))
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

/* Counts a fault for a page that must be read from its store. */
static void
count_major(struct page_cache *c, uint64_t index)
{
	struct page *pg = page_cache_is_evictable(c) ? page_cache_find(c, index) : NULL;
	struct process *p = current_process();

	if (pg) {
		page_put(pg);
	} else if (page_cache_is_evictable(c)) {
		__atomic_add_fetch(&major_faults, 1, __ATOMIC_RELAXED);
		if (p)
			p->maj_faults++; /* a lost count does not matter */
	}
}

/* The entry is empty and the cache was asked for the page itself, which must be made. */
static enum err
map_one(struct area *a, vaddr_t va, pte_t *pte, unsigned access)
{
	struct page_cache *c = a->file->cache;
	uint64_t bits = upt_bits(a->flags);
	struct page *pg;
	enum err err;

	if (file_page_at(a, va) >= file_pages(c))
		return ERR_IO;
	count_major(c, file_page_at(a, va));
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
	if (enter(a, pte, pg, page_to_phys(pg) | bits))
		aspace_count_resident(a->aspace, 1, 0);
	else
		page_put(pg);
	return OK;
}

/*
 * A write to a page of a private mapping, which may be the file's: then with a reference, for it
 * can go while it is copied, and something else come in its place.
 */
static enum err
break_private(struct area *a, vaddr_t va, pte_t *pte, pte_t old)
{
	struct page *pg = phys_to_page(pte_phys(old)), *held;
	enum err err = OK;

	if (page_is_anon(pg))
		return cow_break(a, va, pte, old);
	held = page_cache_find(a->file->cache, file_page_at(a, va));
	if (held == pg)
		err = cow_break(a, va, pte, old);
	if (held)
		page_put(held);
	return err;
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
		return break_private(a, va, pte, old);
	/* Only if the page is still there; who takes it out after that sees the entry's bit. */
	if (upt_change(pte, old, old | PTE_WRITE | PTE_DIRTY))
		mark_dirty(phys_to_page(pte_phys(old)));
	return OK;
}

uint64_t
filemap_major_faults(void)
{
	return __atomic_load_n(&major_faults, __ATOMIC_RELAXED);
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

/* The entry of `va`, or NULL. The file is locked, so the tables stay. */
static pte_t *
find_entry(struct aspace *as, vaddr_t va)
{
	unsigned level;

	return pt_walk(as->page_table, va, false, &level);
}

/* Where the area has the page: its entry if that shows it, else NULL. */
static pte_t *
entry_of_page(const struct area *a, const struct page *pg, vaddr_t *va)
{
	uint64_t pages = (a->end - a->start) >> PAGE_SHIFT;
	pte_t *pte;

	if (pg->index < a->file_page || pg->index - a->file_page >= pages)
		return NULL;
	*va = a->start + (pg->index - a->file_page) * PAGE_SIZE;
	pte = find_entry(a->aspace, *va);
	return pte && pte_phys(upt_load(pte)) == page_to_phys(pg) ? pte : NULL;
}

/* Whether it was touched since it was last asked; TLBs may hide that for a while. */
static bool
test_and_clear_accessed(pte_t *pte)
{
	return __atomic_fetch_and(pte, ~(pte_t)PTE_ACCESSED, __ATOMIC_SEQ_CST) &
	       PTE_ACCESSED;
}

/* Takes out what the entry holds, `old`; false: it is something else by now. */
static bool
empty_entry(struct area *a, vaddr_t va, pte_t *pte, pte_t old)
{
	struct tlb_batch batch;

	if (!upt_change(pte, old, 0))
		return false;
	tlb_batch_begin(&batch, a->aspace);
	tlb_batch_range(&batch, va, va + PAGE_SIZE);
	upt_drop(a->aspace, old, &batch);
	tlb_batch_end(&batch);
	return true;
}

/* Faults go on meanwhile: what shows another page by now stays. */
static void
take_out(struct area *a, const struct page *pg)
{
	pte_t *pte, old;
	vaddr_t va = 0;

	do {
		pte = entry_of_page(a, pg, &va);
		old = pte ? upt_load(pte) : 0;
		if (pte_phys(old) != page_to_phys(pg))
			return;
	} while (!empty_entry(a, va, pte, old));
}

bool
filemap_evict(struct page_cache *c, const struct page *pg)
{
	bool is_used = false;
	struct area *a;
	vaddr_t va;

	mutex_lock(&c->map_lock);
	list_for_each(a, &c->areas, cache_link) {
		pte_t *pte = entry_of_page(a, pg, &va);

		if (pte)
			is_used |= test_and_clear_accessed(pte) || a->flags & AREA_LOCKED;
	}
	if (!is_used)
		list_for_each(a, &c->areas, cache_link)
			take_out(a, pg);
	mutex_unlock(&c->map_lock);
	return !is_used;
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
