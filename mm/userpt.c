/* Page tables of user spaces: see userpt.h for how changes are kept in order. */
#include "mm/userpt.h"

#include "mm/huge.h"

enum {
	ENTRY_BITS = 9,
	ENTRIES = 512,
	TOP_LEVEL = 3
}; /* level 0: entries of 4 KiB pages */

static const char anon_tag; /* page->owner of anonymous pages points here */

/* Bytes that one entry of a table of `level` covers. */
static uint64_t
span(unsigned level)
{
	return (uint64_t)PAGE_SIZE << level * ENTRY_BITS;
}

static unsigned
index_of(vaddr_t va, unsigned level)
{
	return va >> (PAGE_SHIFT + level * ENTRY_BITS) & (ENTRIES - 1);
}

static pte_t *
table_of(pte_t entry)
{
	return phys_to_virt(pte_phys(entry));
}

bool
upt_next_run(struct aspace *as, vaddr_t from, vaddr_t end, struct upt_run *run)
{
	while (from < end) {
		pte_t *table = phys_to_virt(as->page_table), *leaf = NULL;
		unsigned level = TOP_LEVEL;

		for (; level > 0; level--) {
			pte_t *at = &table[index_of(from, level)], entry = upt_load(at);

			if (!(entry & PTE_PRESENT))
				break;
			if (entry & PTE_HUGE)
				leaf = at;
			table = table_of(entry);
		}
		if (level == 0) {
			unsigned first = index_of(from, 0);
			uint64_t wanted = (end - from) >> PAGE_SHIFT;

			run->leaf = leaf;
			run->pte = leaf ? NULL : &table[first];
			run->num = (unsigned)MIN(wanted, (uint64_t)(ENTRIES - first));
			run->va = from;
			return true;
		}
		from = ALIGN_DOWN(from, span(level)) + span(level);
	}
	return false;
}

static vaddr_t
run_end(const struct upt_run *run)
{
	return run->va + (uint64_t)run->num * PAGE_SIZE;
}

/* The same under the exclusive lock; leaves that are not whole in the range are cut. */
static bool
next_whole_run(struct aspace *as, vaddr_t from, vaddr_t end, struct upt_run *run)
{
	while (upt_next_run(as, from, end, run)) {
		if (!run->leaf || run->num == ENTRIES)
			return true;
		huge_split(as, run->va);
	}
	return false;
}

/* And here all are cut. */
static bool
next_small_run(struct aspace *as, vaddr_t from, vaddr_t end, struct upt_run *run)
{
	while (upt_next_run(as, from, end, run)) {
		if (!run->leaf)
			return true;
		huge_split(as, run->va);
	}
	return false;
}

pte_t
upt_entry(struct aspace *as, vaddr_t va)
{
	unsigned level;
	const pte_t *pte = pt_walk(as->page_table, va, false, &level);
	pte_t entry = pte ? upt_load(pte) : 0;

	if (level > 1 && entry)
		entry = (entry & ~(pte_t)PTE_HUGE) +
		        ALIGN_DOWN(va & (HUGE_SIZE - 1), PAGE_SIZE);
	return entry;
}

pte_t *
upt_make(struct aspace *as, vaddr_t va)
{
	unsigned level;

	return pt_walk(as->page_table, va, true, &level);
}

uint64_t
upt_bits(uint32_t area_flags)
{
	uint64_t bits = PTE_USER | PTE_ACCESSED;

	if (area_flags & AREA_ACCESS)
		bits |= PTE_PRESENT;
	if (!(area_flags & AREA_EXEC))
		bits |= PTE_NX;
	return bits;
}

void
anon_page_init(struct page *pg)
{
	pg->owner = (void *)&anon_tag;
	pg->mapcount = 1;
}

struct page *
anon_page_alloc(unsigned alloc_flags)
{
	struct page *pg = page_alloc(0, alloc_flags);

	if (!pg)
		return NULL;
	anon_page_init(pg);
	mem_counter_add(MEM_ANON, 1);
	return pg;
}

void
anon_page_free(struct page *pg)
{
	mem_counter_add(MEM_ANON, -1);
	page_put(pg);
}

bool
page_is_anon(const struct page *pg)
{
	return pg->owner == &anon_tag;
}

bool
anon_page_is_sole(const struct page *pg)
{
	return page_is_anon(pg) &&
	       __atomic_load_n(&pg->mapcount, __ATOMIC_ACQUIRE) == 1 &&
	       __atomic_load_n(&pg->refs, __ATOMIC_ACQUIRE) == 1;
}

void
aspace_count_resident(struct aspace *as, int64_t pages, int64_t anon_pages)
{
	uint64_t now = __atomic_add_fetch(&as->resident, pages, __ATOMIC_RELAXED);

	if (anon_pages)
		__atomic_add_fetch(&as->resident_anon, anon_pages, __ATOMIC_RELAXED);
	/* A race may lose a page of the peak: it is a statistic. */
	if (now > __atomic_load_n(&as->peak_resident, __ATOMIC_RELAXED))
		__atomic_store_n(&as->peak_resident, now, __ATOMIC_RELAXED);
}

/* The only mapper needs no atomic operation. */
void
anon_page_unmapped(struct page *pg)
{
	if (__atomic_load_n(&pg->mapcount, __ATOMIC_ACQUIRE) == 1)
		pg->mapcount = 0;
	else if (__atomic_sub_fetch(&pg->mapcount, 1, __ATOMIC_ACQ_REL))
		return;
	mem_counter_add(MEM_ANON, -1);
}

/* upt_drop without the counters of the space; returns whether the page was anonymous. */
static bool
drop_page(pte_t old, struct tlb_batch *batch)
{
	struct page *pg = phys_to_page(pte_phys(old));
	bool is_anon = page_is_anon(pg);

	if (is_anon)
		anon_page_unmapped(pg);
	else if (old & PTE_DIRTY)
		__atomic_fetch_or(&pg->flags, PAGE_DIRTY, __ATOMIC_RELAXED);
	tlb_batch_page(batch, pg);
	return is_anon;
}

void
upt_drop(struct aspace *as, pte_t old, struct tlb_batch *batch)
{
	if (!(old & PTE_SPECIAL))
		aspace_count_resident(as, -1, drop_page(old, batch) ? -1 : 0);
}

/* Of ordinary entries. */
static void
zap_run(struct aspace *as, const struct upt_run *run, struct tlb_batch *batch)
{
	int64_t pages = 0, anon_pages = 0;

	for (unsigned i = 0; i < run->num; i++) {
		vaddr_t at = run->va + (uint64_t)i * PAGE_SIZE;
		pte_t old = run->pte[i];

		if (!old)
			continue;
		old = __atomic_exchange_n(&run->pte[i], 0, __ATOMIC_SEQ_CST);
		if (old & PTE_PRESENT)
			tlb_batch_range(batch, at, at + PAGE_SIZE);
		if (!old || old & PTE_SPECIAL)
			continue;
		anon_pages += drop_page(old, batch);
		pages++;
	}
	if (pages)
		aspace_count_resident(as, -pages, -anon_pages);
}

void
upt_zap(struct aspace *as, vaddr_t start, vaddr_t end, struct tlb_batch *batch)
{
	struct upt_run run;

	for (vaddr_t va = start; next_whole_run(as, va, end, &run); va = run_end(&run)) {
		if (run.leaf)
			huge_zap(as, &run, batch);
		else
			zap_run(as, &run, batch);
	}
}

void
upt_zap_shared(struct aspace *as, vaddr_t start, vaddr_t end, struct tlb_batch *batch)
{
	struct upt_run run;

	for (vaddr_t va = start; upt_next_run(as, va, end, &run); va = run_end(&run))
		if (!run.leaf)
			zap_run(as, &run, batch);
}

/* A fault may put a private copy in its place between look and change: then it is looked at. */
static void
zap_file_entry(struct aspace *as, vaddr_t at, pte_t *pte, struct tlb_batch *batch)
{
	pte_t old = upt_load(pte);

	while (
	    old && !(old & PTE_SPECIAL) && !page_is_anon(phys_to_page(pte_phys(old)))) {
		if (upt_change(pte, old, 0)) {
			tlb_batch_range(batch, at, at + PAGE_SIZE);
			upt_drop(as, old, batch);
			return;
		}
		old = upt_load(pte);
	}
}

void
upt_zap_file(struct aspace *as, vaddr_t start, vaddr_t end, struct tlb_batch *batch)
{
	struct upt_run run;

	for (vaddr_t va = start; upt_next_run(as, va, end, &run); va = run_end(&run))
		for (unsigned i = 0; i < run.num && !run.leaf; i++)
			zap_file_entry(
			    as, run.va + (uint64_t)i * PAGE_SIZE, &run.pte[i], batch);
}

/* Takes the mark that it was written from an entry of anonymous memory. Whether it had it. */
static bool
mark_clean(pte_t *pte)
{
	pte_t old = upt_load(pte);

	if (!(old & PTE_DIRTY) || old & PTE_SPECIAL ||
	    !page_is_anon(phys_to_page(pte_phys(old))))
		return false;
	return __atomic_fetch_and(pte, ~(pte_t)PTE_DIRTY, __ATOMIC_SEQ_CST) & PTE_DIRTY;
}

uint64_t
upt_mark_lazy(struct aspace *as, vaddr_t start, vaddr_t end, bool is_exclusive,
    struct tlb_batch *batch)
{
	struct upt_run run;
	uint64_t marked = 0;

	for (vaddr_t va = start; is_exclusive ? next_whole_run(as, va, end, &run)
	                                      : upt_next_run(as, va, end, &run);
	     va = run_end(&run)) {
		uint64_t before = marked;

		if (run.leaf && is_exclusive)
			marked += mark_clean(run.leaf) ? ENTRIES : 0;
		for (unsigned i = 0; !run.leaf && i < run.num; i++)
			marked += mark_clean(&run.pte[i]);
		/* Or a write that finds the old entry in a TLB would not take the mark away. */
		if (marked > before)
			tlb_batch_range(batch, run.va, run_end(&run));
	}
	return marked;
}

/* If it is marked, its page nobody else's, and it is not written just now. */
static bool
zap_if_lazy(pte_t *pte)
{
	pte_t old = upt_load(pte);
	struct page *pg = phys_to_page(pte_phys(old));

	return old && !(old & (PTE_DIRTY | PTE_SPECIAL)) && anon_page_is_sole(pg) &&
	       upt_change(pte, old, 0);
}

uint64_t
upt_zap_lazy(struct aspace *as, vaddr_t start, vaddr_t end, struct tlb_batch *batch)
{
	struct upt_run run;
	uint64_t freed = 0;

	for (vaddr_t va = start; upt_next_run(as, va, end, &run); va = run_end(&run)) {
		if (run.leaf && run.num == ENTRIES)
			freed += huge_zap_lazy(as, &run, batch) ? ENTRIES : 0;
		for (unsigned i = 0; !run.leaf && i < run.num; i++) {
			vaddr_t at = run.va + (uint64_t)i * PAGE_SIZE;
			pte_t old = upt_load(&run.pte[i]);

			if (!zap_if_lazy(&run.pte[i]))
				continue;
			tlb_batch_range(batch, at, at + PAGE_SIZE);
			upt_drop(as, old, batch);
			freed++;
		}
	}
	return freed;
}

struct table_free {
	vaddr_t start, end, floor, ceiling;
	struct tlb_batch *batch;
};

static void
free_below(const struct table_free *f, pte_t *table, unsigned level, vaddr_t base)
{
	vaddr_t from = MAX(f->start, base);
	vaddr_t last = MIN(f->end - 1, base + (span(level) * ENTRIES - 1));

	for (unsigned i = index_of(from, level); i <= index_of(last, level); i++) {
		vaddr_t covers = base + i * span(level);
		pte_t entry = table[i];

		if (!(entry & PTE_PRESENT))
			continue;
		if (level > 1)
			free_below(f, table_of(entry), level - 1, covers);
		if (covers < f->floor || covers + span(level) > f->ceiling)
			continue;
		__atomic_store_n(&table[i], 0, __ATOMIC_RELEASE);
		tlb_batch_range(f->batch, covers, covers + PAGE_SIZE);
		tlb_batch_page(f->batch, phys_to_page(pte_phys(entry)));
		mem_counter_add(MEM_PAGE_TABLE, -1);
	}
}

void
upt_free_tables(struct aspace *as, vaddr_t start, vaddr_t end, vaddr_t floor,
    vaddr_t ceiling, struct tlb_batch *batch)
{
	const struct table_free f = {start, end, floor, ceiling, batch};

	free_below(&f, phys_to_virt(as->page_table), TOP_LEVEL, 0);
}

/* Whether the entry has changed and may be in TLBs. */
static bool
protect_entry(pte_t *pte, uint32_t area_flags)
{
	/* Of a leaf of 2 MiB, PTE_PAT is PTE_HUGE. */
	uint64_t keep = PTE_ADDR | PTE_DIRTY | PTE_ACCESSED | PTE_SPECIAL | PTE_PCD |
	                PTE_PWT | PTE_PAT;
	uint64_t bits = upt_bits(area_flags);
	pte_t old = *pte, now;

	do {
		now = (old & keep) | bits;
		if (area_flags & AREA_WRITE)
			now |= old & PTE_WRITE;
	} while (old && old != now &&
	         !__atomic_compare_exchange_n(
	             pte, &old, now, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return old && old != now && old & PTE_PRESENT;
}

void
upt_protect(struct aspace *as, vaddr_t start, vaddr_t end, uint32_t area_flags,
    struct tlb_batch *batch)
{
	/* A leaf without PTE_PRESENT would be taken for nothing. */
	bool keeps_leaves = area_flags & AREA_ACCESS;
	struct upt_run run;

	for (vaddr_t va = start; keeps_leaves ? next_whole_run(as, va, end, &run)
	                                      : next_small_run(as, va, end, &run);
	     va = run_end(&run)) {
		if (run.leaf && protect_entry(run.leaf, area_flags))
			tlb_batch_range(batch, run.va, run_end(&run));
		for (unsigned i = 0; !run.leaf && i < run.num; i++) {
			vaddr_t at = run.va + (uint64_t)i * PAGE_SIZE;

			if (protect_entry(&run.pte[i], area_flags))
				tlb_batch_range(batch, at, at + PAGE_SIZE);
		}
	}
}

/* What the child's entry becomes, with a reference taken; 0: nothing to copy. */
static pte_t
share_entry(pte_t *entry, vaddr_t va, struct tlb_batch *batch)
{
	pte_t pte = *entry;
	struct page *pg;

	if (!pte || pte & PTE_SPECIAL)
		return pte;
	pg = phys_to_page(pte_phys(pte));
	if (!page_is_anon(pg))
		return 0;
	if (pte & PTE_WRITE) {
		pte = __atomic_and_fetch(entry, ~(pte_t)PTE_WRITE, __ATOMIC_SEQ_CST);
		tlb_batch_range(batch, va, va + PAGE_SIZE);
	}
	page_get(pg);
	__atomic_fetch_add(&pg->mapcount, 1, __ATOMIC_RELAXED);
	return pte;
}

enum err
upt_copy(struct aspace *child, struct aspace *parent, vaddr_t start, vaddr_t end,
    struct tlb_batch *batch)
{
	struct upt_run run;
	int64_t pages = 0;

	for (vaddr_t va = start; next_whole_run(parent, va, end, &run);
	     va = run_end(&run)) {
		pte_t *to = NULL;

		if (run.leaf) {
			if (huge_copy(child, &run, batch) != OK)
				return ERR_NOMEM;
			continue;
		}
		for (unsigned i = 0; i < run.num; i++) {
			if (!run.pte[i])
				continue;
			if (!to)
				to = upt_make(child, run.va);
			if (!to)
				return ERR_NOMEM;
			to[i] = share_entry(
			    &run.pte[i], run.va + (uint64_t)i * PAGE_SIZE, batch);
			pages += to[i] && !(to[i] & PTE_SPECIAL);
		}
		aspace_count_resident(child, pages, pages);
		pages = 0;
	}
	return OK;
}

/* Makes the tables that moving what is in the entries of `run` by `distance` needs. */
static enum err
make_targets(struct aspace *as, const struct upt_run *run, int64_t distance)
{
	unsigned first = 0, end = run->num;

	while (first < end && !run->pte[first])
		first++;
	while (first < end && !run->pte[end - 1])
		end--;
	if (first == end)
		return OK;
	/* What lies between is in one of these two tables. */
	if (!upt_make(as, run->va + (uint64_t)first * PAGE_SIZE + distance) ||
	    !upt_make(as, run->va + (uint64_t)(end - 1) * PAGE_SIZE + distance))
		return ERR_NOMEM;
	return OK;
}

/* The same for all of [from, end). Leaves that cannot move whole are cut. */
static enum err
make_all_targets(struct aspace *as, vaddr_t from, vaddr_t end, int64_t distance)
{
	struct upt_run run;

	for (vaddr_t va = from; next_whole_run(as, va, end, &run); va = run_end(&run)) {
		if (run.leaf && huge_may_move(as, run.va + distance))
			continue;
		if (run.leaf) {
			huge_split(as, run.va);
			if (!upt_next_run(as, run.va, end, &run))
				break;
		}
		if (make_targets(as, &run, distance) != OK)
			return ERR_NOMEM;
	}
	return OK;
}

static void
move_run(struct aspace *as, const struct upt_run *run, int64_t distance,
    struct tlb_batch *batch)
{
	for (unsigned i = 0; i < run->num; i++) {
		vaddr_t at = run->va + (uint64_t)i * PAGE_SIZE;

		if (!run->pte[i])
			continue;
		*upt_make(as, at + distance) =
		    __atomic_exchange_n(&run->pte[i], 0, __ATOMIC_SEQ_CST);
		tlb_batch_range(batch, at, at + PAGE_SIZE);
	}
}

enum err
upt_move(struct aspace *as, vaddr_t from, vaddr_t to, size_t len, struct tlb_batch *batch)
{
	int64_t distance = (int64_t)(to - from);
	struct upt_run run;

	if (make_all_targets(as, from, from + len, distance) != OK)
		return ERR_NOMEM;
	for (vaddr_t va = from; next_whole_run(as, va, from + len, &run);
	     va = run_end(&run)) {
		if (run.leaf)
			huge_move(as, &run, run.va + distance, batch);
		else
			move_run(as, &run, distance, batch);
	}
	return OK;
}
