/*
 * Pages of the kernel's own in a program's space: the vDSO. Entries are PTE_SPECIAL, so
 * neither fork nor unmapping counts references; the pages live as long as the kernel.
 */
#include "mm/area.h"
#include "mm/page.h"
#include "mm/userpt.h"

static enum err
kernel_page_fault(struct area *a, vaddr_t va, unsigned access)
{
	pte_t *pte = upt_make(a->aspace, va);

	if (!pte)
		return ERR_NOMEM;
	/* Another CPU may have been faster: its entry is the same. */
	(void)upt_change(
	    pte, 0, (paddr_t)(uintptr_t)a->private | upt_bits(a->flags) | PTE_SPECIAL);
	return OK;
}

/* The names are what /proc/PID/maps shows. */
static const struct area_ops code_ops = {.name = "[vdso]", .fault = kernel_page_fault};
static const struct area_ops data_ops = {.name = "[vvar]", .fault = kernel_page_fault};

static enum err
insert_page(struct aspace *as, vaddr_t at, const struct kernel_page *page)
{
	struct area *a = area_alloc(as, at, at + PAGE_SIZE, page->rights | AREA_DEVICE);

	if (!a)
		return ERR_NOMEM;
	a->ops = page->rights & AREA_EXEC ? &code_ops : &data_ops;
	a->private = (void *)(uintptr_t)page->phys;
	area_insert(a);
	return OK;
}

enum err
aspace_map_kernel_pages(
    struct aspace *as, const struct kernel_page *pages, unsigned n, vaddr_t *base)
{
	enum err err = ERR_NOMEM;

	rwsem_lock(&as->lock);
	*base = range_find(as, (size_t)n * PAGE_SIZE, mmap_min_addr, as->mmap_base);
	if (*base)
		err = OK;
	for (unsigned i = 0; i < n && err == OK; i++)
		err = insert_page(as, *base + (uint64_t)i * PAGE_SIZE, &pages[i]);
	rwsem_unlock(&as->lock);
	return err;
}
