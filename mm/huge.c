/* Pages of 2 MiB in anonymous memory: see mm/huge.h. */
#include "mm/huge.h"

#include "kernel/panic.h"
#include "mm/area.h"

uint32_t huge_mode = HUGE_ALWAYS;
struct huge_counts huge_counts;

static void
count(uint64_t *c)
{
	__atomic_add_fetch(c, 1, __ATOMIC_RELAXED);
}

/* ---- Tables kept for cutting: a stack in the owner of the table that holds the leaf ---- */

static void
keep_table(const pte_t *pde, paddr_t table)
{
	struct page *holder = virt_to_page(pde), *kept = phys_to_page(table);
	void *top = __atomic_load_n(&holder->owner, __ATOMIC_RELAXED);

	do
		kept->owner = top;
	while (!__atomic_compare_exchange_n(
	    &holder->owner, &top, kept, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* The lock is held exclusively: nobody adds or takes others. */
static paddr_t
take_table(const pte_t *pde)
{
	struct page *holder = virt_to_page(pde), *kept = holder->owner;

	ASSERT(kept);
	holder->owner = kept->owner;
	kept->owner = NULL;
	return page_to_phys(kept);
}

/* ---- Blocks ---- */

/* The first frame counts the leaves that map the block whole, in a member slabs use. */
static void
count_leaf(struct page *head, int change)
{
	uint32_t now =
	    __atomic_add_fetch(&head->slab_inuse, (uint32_t)change, __ATOMIC_RELAXED);

	if (now == (change > 0 ? 1u : 0u))
		mem_counter_add(MEM_ANON_HUGE, change * HUGE_PAGES);
}

/* Makes a fresh block of order 9 into 512 anonymous pages, each mapped once. */
static void
block_to_pages(struct page *head)
{
	anon_page_init(head);
	head->slab_inuse = 0;
	for (unsigned i = 1; i < HUGE_PAGES; i++) {
		head[i].refs = 1;
		head[i].flags = 0;
		anon_page_init(&head[i]);
	}
	for (unsigned i = 0; i < HUGE_PAGES; i++)
		head[i].order = 0;
	mem_counter_add(MEM_ANON, HUGE_PAGES);
}

/* The way back: nobody else has any of the pages. */
static void
pages_to_block(struct page *head)
{
	for (unsigned i = 0; i < HUGE_PAGES; i++) {
		head[i].refs = i == 0;
		head[i].mapcount = 0;
		head[i].owner = NULL;
	}
	head->order = HUGE_ORDER;
	mem_counter_add(MEM_ANON, -HUGE_PAGES);
}

static bool
is_sole_user(const struct page *head)
{
	for (unsigned i = 0; i < HUGE_PAGES; i++)
		if (__atomic_load_n(&head[i].mapcount, __ATOMIC_ACQUIRE) != 1 ||
		    __atomic_load_n(&head[i].refs, __ATOMIC_ACQUIRE) != 1)
			return false;
	return true;
}

/* ---- Faults ---- */

enum { FILLERS = 64 };

/* Threads that fault on the same entry at once wait for one, instead of clearing 2 MiB each. */
static struct mutex filling[FILLERS];

void
huge_init(void)
{
	for (unsigned i = 0; i < FILLERS; i++)
		mutex_init(&filling[i], "huge_page", RANK_HUGE_PAGE);
}

static bool
is_wanted(const struct area *a)
{
	uint32_t now = __atomic_load_n(&huge_mode, __ATOMIC_RELAXED);

	if (a->aspace->no_huge_pages || now == HUGE_NEVER)
		return false;
	return now == HUGE_ALWAYS || a->flags & AREA_HUGE;
}

/* Puts a leaf into the empty entry. */
static bool
fill_entry(struct area *a, pte_t *pde)
{
	paddr_t table = pt_table_alloc();
	struct page *head =
	    table ? page_alloc(HUGE_ORDER, ALLOC_ZERO | ALLOC_SPARE) : NULL;

	if (!head) {
		if (table) {
			pt_table_free(table);
			count(&huge_counts.fallen_back);
		}
		return false;
	}
	block_to_pages(head);
	/* Before the leaf can be seen: see madvise. */
	__atomic_store_n(&a->aspace->has_huge_pages, true, __ATOMIC_SEQ_CST);
	if (!upt_change(pde, 0,
	        page_to_phys(head) | upt_bits(a->flags) | PTE_WRITE | PTE_DIRTY |
	            PTE_HUGE)) {
		pages_to_block(head);
		page_put(head);
		pt_table_free(table);
		return false; /* another CPU was faster */
	}
	keep_table(pde, table);
	count_leaf(head, 1);
	count(&huge_counts.allocated);
	aspace_count_resident(a->aspace, HUGE_PAGES, HUGE_PAGES);
	return true;
}

bool
huge_fault(struct area *a, vaddr_t va)
{
	pte_t *pde = is_wanted(a) ? pt_walk_2m(a->aspace->page_table, va, true) : NULL;
	struct mutex *m = &filling[(uintptr_t)pde / sizeof(*pde) % FILLERS];
	bool is_done = false;

	if (!pde || upt_load(pde))
		return false;
	mutex_lock(m);
	if (!upt_load(pde)) /* else another CPU was faster: its leaf serves as well */
		is_done = fill_entry(a, pde);
	mutex_unlock(m);
	return is_done;
}

enum err
huge_present(struct area *a, vaddr_t va, pte_t *pde, pte_t old, unsigned access)
{
	vaddr_t start = ALIGN_DOWN(va, HUGE_SIZE);

	if (!(access & AREA_WRITE))
		return OK;
	if (old & PTE_WRITE) {
		if (!(old & PTE_DIRTY)) /* the kernel will write: see cow_break */
			(void)upt_change(pde, old, old | PTE_DIRTY);
		return OK;
	}
	if (start < a->start || a->end - start < HUGE_SIZE ||
	    !is_sole_user(phys_to_page(pte_phys(old))))
		return ERR_AGAIN;
	/* More rights need no flush: a stale entry faults once more. */
	(void)upt_change(pde, old, old | PTE_WRITE | PTE_DIRTY);
	return OK;
}

/* ---- Under the exclusive lock ---- */

/*
 * No CPU may have the 2 MiB and the 4 KiB of the same address in its TLB at once (some
 * processors stop then), so there is a moment with nothing; a fault then waits for the
 * lock.
 */
static void
cut(struct aspace *as, vaddr_t va, pte_t *pde)
{
	vaddr_t start = ALIGN_DOWN(va, HUGE_SIZE);
	pte_t leaf = __atomic_exchange_n(pde, 0, __ATOMIC_SEQ_CST);
	paddr_t table = take_table(pde);
	pte_t *entries = phys_to_virt(table);
	struct tlb_batch batch;

	tlb_batch_begin(&batch, as);
	tlb_batch_range(&batch, start, start + HUGE_SIZE);
	tlb_batch_end(&batch);
	for (unsigned i = 0; i < HUGE_PAGES; i++)
		entries[i] = (leaf & ~(pte_t)PTE_HUGE) + (uint64_t)i * PAGE_SIZE;
	__atomic_store_n(
	    pde, table | PTE_PRESENT | PTE_WRITE | PTE_USER, __ATOMIC_RELEASE);
	count_leaf(phys_to_page(pte_phys(leaf)), -1);
	count(&huge_counts.split);
}

void
huge_split(struct aspace *as, vaddr_t va)
{
	pte_t *pde = pt_walk_2m(as->page_table, va, false);

	if (pde && upt_load(pde) & PTE_HUGE)
		cut(as, va, pde);
}

void
huge_split_unlocked(struct aspace *as, vaddr_t va)
{
	rwsem_lock(&as->lock);
	huge_split(as, va);
	rwsem_unlock(&as->lock);
}

/* What `leaf` was, which has been taken out. */
static void
zap_leaf(
    struct aspace *as, const struct upt_run *run, pte_t leaf, struct tlb_batch *batch)
{
	struct page *head = phys_to_page(pte_phys(leaf));

	tlb_batch_range(batch, run->va, run->va + HUGE_SIZE);
	pt_table_free(take_table(run->leaf)); /* which no CPU has seen */
	count_leaf(head, -1);
	aspace_count_resident(as, -HUGE_PAGES, -HUGE_PAGES);
	if (is_sole_user(head)) {
		pages_to_block(head);
		tlb_batch_page(batch, head);
		return;
	}
	for (unsigned i = 0; i < HUGE_PAGES; i++) {
		anon_page_unmapped(&head[i]);
		tlb_batch_page(batch, &head[i]);
	}
}

void
huge_zap(struct aspace *as, const struct upt_run *run, struct tlb_batch *batch)
{
	zap_leaf(as, run, __atomic_exchange_n(run->leaf, 0, __ATOMIC_SEQ_CST), batch);
}

bool
huge_zap_lazy(struct aspace *as, const struct upt_run *run, struct tlb_batch *batch)
{
	pte_t old = upt_load(run->leaf);

	if (old & PTE_DIRTY || !is_sole_user(phys_to_page(pte_phys(old))))
		return false;
	/* If a write comes between, the entry is another. */
	if (!upt_change(run->leaf, old, 0))
		return false;
	zap_leaf(as, run, old, batch);
	return true;
}

bool
huge_may_move(struct aspace *as, vaddr_t to)
{
	pte_t *pde =
	    IS_ALIGNED(to, HUGE_SIZE) ? pt_walk_2m(as->page_table, to, true) : NULL;

	return pde && !upt_load(pde);
}

void
huge_move(
    struct aspace *as, const struct upt_run *run, vaddr_t to, struct tlb_batch *batch)
{
	pte_t *pde = pt_walk_2m(as->page_table, to, false);
	paddr_t table = take_table(run->leaf);
	pte_t leaf = __atomic_exchange_n(run->leaf, 0, __ATOMIC_SEQ_CST);

	keep_table(pde, table);
	__atomic_store_n(pde, leaf, __ATOMIC_RELEASE);
	tlb_batch_range(batch, run->va, run->va + HUGE_SIZE);
}

enum err
huge_copy(struct aspace *child, const struct upt_run *run, struct tlb_batch *batch)
{
	pte_t *to = pt_walk_2m(child->page_table, run->va, true);
	paddr_t table = to ? pt_table_alloc() : 0;
	pte_t leaf = upt_load(run->leaf);
	struct page *head = phys_to_page(pte_phys(leaf));

	if (!table)
		return ERR_NOMEM;
	if (leaf & PTE_WRITE) {
		leaf = __atomic_and_fetch(run->leaf, ~(pte_t)PTE_WRITE, __ATOMIC_SEQ_CST);
		tlb_batch_range(batch, run->va, run->va + HUGE_SIZE);
	}
	for (unsigned i = 0; i < HUGE_PAGES; i++) {
		page_get(&head[i]);
		__atomic_fetch_add(&head[i].mapcount, 1, __ATOMIC_RELAXED);
	}
	count_leaf(head, 1);
	child->has_huge_pages = true;
	*to = leaf;
	keep_table(to, table);
	aspace_count_resident(child, HUGE_PAGES, HUGE_PAGES);
	return OK;
}
