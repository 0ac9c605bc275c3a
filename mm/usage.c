/* Counting the pages of an area by its page tables. See mm/usage.h. */
#include "mm/usage.h"

#include "mm/area.h"
#include "mm/huge.h"
#include "mm/userpt.h"

static void
add_page(struct area_usage *u, pte_t pte)
{
	const struct page *pg = phys_to_page(pte_phys(pte));
	bool is_anon = page_is_anon(pg);
	/* The page cache holds a reference of its own. */
	uint32_t holders =
	    __atomic_load_n(is_anon ? &pg->mapcount : &pg->refs, __ATOMIC_RELAXED);
	uint32_t mappers = is_anon || holders < 2 ? MAX(holders, 1u) : holders - 1;
	uint64_t share = PAGE_SIZE / mappers;
	bool is_lazy = is_anon && !(pte & PTE_DIRTY);
	bool is_dirty =
	    pte & PTE_DIRTY || __atomic_load_n(&pg->flags, __ATOMIC_RELAXED) & PAGE_DIRTY;

	u->rss += PAGE_SIZE;
	u->pss += share;
	*(is_anon ? &u->pss_anon : &u->pss_file) += share;
	if (is_dirty)
		u->pss_dirty += share;
	if (mappers > 1)
		*(is_dirty ? &u->shared_dirty : &u->shared_clean) += PAGE_SIZE;
	else
		*(is_dirty ? &u->private_dirty : &u->private_clean) += PAGE_SIZE;
	if (pte & PTE_ACCESSED)
		u->referenced += PAGE_SIZE;
	if (is_anon)
		u->anonymous += PAGE_SIZE;
	if (is_lazy)
		u->lazy += PAGE_SIZE;
}

void
area_add_usage(struct area *a, struct area_usage *u)
{
	struct upt_run run;

	if (a->flags & AREA_DEVICE)
		return;
	for (vaddr_t va = a->start; upt_next_run(a->aspace, va, a->end, &run);
	     va = run.va + (uint64_t)run.num * PAGE_SIZE) {
		pte_t leaf = run.leaf ? upt_entry(a->aspace, run.va) : 0;

		if (run.leaf)
			u->huge += (uint64_t)run.num * PAGE_SIZE;
		for (unsigned i = 0; i < run.num; i++) {
			pte_t pte = run.leaf ? leaf + (uint64_t)i * PAGE_SIZE
			                     : upt_load(&run.pte[i]);

			if (pte && !(pte & PTE_SPECIAL))
				add_page(u, pte);
		}
	}
}

uint64_t
area_count_tables(struct area *a, uint64_t *last)
{
	enum { TABLE_SHIFT = 21, LEVEL_BITS = 9, UPPER_LEVELS = 2 };
	struct upt_run run;
	uint64_t n = 0;

	for (vaddr_t va = a->start; upt_next_run(a->aspace, va, a->end, &run);
	     va = run.va + (uint64_t)run.num * PAGE_SIZE) {
		uint64_t number = (run.va >> TABLE_SHIFT) + 1;

		n += number > *last;
		/* The tables above it, unless they were those of the last one too. */
		for (unsigned up = 1; up <= UPPER_LEVELS; up++)
			n += !*last || (number - 1) >> up * LEVEL_BITS !=
			                   (*last - 1) >> up * LEVEL_BITS;
		*last = number;
	}
	return n;
}
