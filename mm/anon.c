/*
 * Anonymous memory: reads before the first write see the shared zero page; a write gets a
 * page of its own. Copy-on-write for all private areas is here as well.
 */
#include "lib/string.h"
#include "mm/area.h"
#include "mm/huge.h"
#include "mm/userpt.h"

/* Puts a fresh page of the area's own in place of `old`. False: the entry had changed;
 * page freed. */
static bool
install_own(struct area *a, pte_t *pte, pte_t old, struct page *pg)
{
	pte_t new_pte = page_to_phys(pg) | upt_bits(a->flags) | PTE_WRITE | PTE_DIRTY;

	if (upt_change(pte, old, new_pte))
		return true;
	anon_page_free(pg);
	return false;
}

static enum err
anon_fault(struct area *a, vaddr_t va, unsigned access)
{
	bool may_be_huge = access & AREA_WRITE && huge_fits(a, va);
	paddr_t root = a->aspace->page_table;
	unsigned level;
	pte_t *pte = pt_walk(root, va, !may_be_huge, &level), old;
	struct page *pg;

	if (!pte && may_be_huge) {
		if (huge_fault(a, va))
			return OK;
		pte = pt_walk(root, va, true, &level);
	}
	if (!pte)
		return ERR_NOMEM;
	old = upt_load(pte);
	if (unlikely(level > 1))
		return huge_present(a, va, pte, old, access);
	if (old)
		return access & AREA_WRITE ? cow_break(a, va, pte, old) : OK;
	if (!(access & AREA_WRITE)) {
		/* If another CPU was faster, its entry serves as well. */
		(void)upt_change(pte, 0, zero_page | upt_bits(a->flags) | PTE_SPECIAL);
		return OK;
	}
	pg = anon_page_alloc(ALLOC_ZERO);
	if (!pg)
		return ERR_NOMEM;
	if (install_own(a, pte, 0, pg))
		aspace_count_resident(a->aspace, 1, 1);
	return OK;
}

const struct area_ops anon_area_ops = {.name = "anon", .fault = anon_fault};

enum err
cow_break(struct area *a, vaddr_t va, pte_t *pte, pte_t old)
{
	bool is_zero = old & PTE_SPECIAL;
	struct page *from = is_zero ? NULL : phys_to_page(pte_phys(old)), *pg;
	struct tlb_batch batch;

	if (old & PTE_WRITE) {
		/* Another CPU has done it; or the kernel will write, not the program. */
		if (!(old & PTE_DIRTY))
			(void)upt_change(pte, old, old | PTE_DIRTY);
		return OK;
	}
	if (from && anon_page_is_sole(from)) {
		/* More rights need no flush: a stale entry faults once more. */
		(void)upt_change(pte, old, old | PTE_WRITE | PTE_DIRTY);
		return OK;
	}
	pg = anon_page_alloc(is_zero ? ALLOC_ZERO : ALLOC_NORMAL);
	if (!pg)
		return ERR_NOMEM;
	if (from)
		memcpy(page_to_virt(pg), page_to_virt(from), PAGE_SIZE);
	if (!install_own(a, pte, old, pg))
		return OK;
	tlb_batch_begin(&batch, a->aspace);
	tlb_batch_range(&batch, va, va + PAGE_SIZE);
	aspace_count_resident(a->aspace, 1, 1);
	upt_drop(a->aspace, old, &batch);
	tlb_batch_end(&batch);
	return OK;
}
