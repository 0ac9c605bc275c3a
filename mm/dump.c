/* Memory as core files hold it; see dump.h. */
#include "mm/dump.h"

#include "lib/string.h"
#include "mm/area.h"
#include "mm/userpt.h"

/* Untouched memory of it is not just zeros. */
static bool
has_contents(const struct area *a)
{
	return a->file || (a->flags & AREA_DEVICE);
}

static bool
is_own(pte_t entry)
{
	return entry && !(entry & PTE_SPECIAL) &&
	       page_is_anon(phys_to_page(pte_phys(entry)));
}

bool
area_has_own_pages(const struct area *a)
{
	struct upt_run run;

	for (vaddr_t va = a->start; upt_next_run(a->aspace, va, a->end, &run);
	     va = run.va + (vaddr_t)run.num * PAGE_SIZE) {
		if (run.leaf) /* only memory of one's own comes in pages of 2 MiB */
			return true;
		for (unsigned i = 0; i < run.num; i++)
			if (is_own(upt_load(&run.pte[i])))
				return true;
	}
	return false;
}

vaddr_t
aspace_dump_next(struct aspace *as, vaddr_t from, vaddr_t end)
{
	struct upt_run run;
	struct area *a;

	rwsem_lock_shared(&as->lock);
	a = area_find(as, from);
	if (a && !has_contents(a)) {
		bool is_found = upt_next_run(as, from, end, &run);

		from = is_found ? run.va : end;
	}
	rwsem_unlock_shared(&as->lock);
	return from;
}

/* Lock held exclusively, so that the page stays where it is. */
static bool
copy_page(struct area *a, vaddr_t va, void *buf)
{
	bool is_there;
	pte_t entry;

	if (!upt_entry(a->aspace, va) && has_contents(a) &&
	    a->ops->fault(a, va, AREA_READ) != OK)
		return false;
	area_lock_file(a);
	entry = upt_entry(a->aspace, va);
	is_there = entry && pte_phys(entry) != zero_page;
	if (is_there)
		memcpy(buf, phys_to_virt(pte_phys(entry)), PAGE_SIZE);
	area_unlock_file(a);
	return is_there;
}

bool
aspace_dump_page(struct aspace *as, vaddr_t va, void *buf)
{
	bool is_there;
	struct area *a;

	rwsem_lock(&as->lock);
	a = area_find(as, va);
	is_there = a && copy_page(a, va, buf);
	rwsem_unlock(&as->lock);
	return is_there;
}
