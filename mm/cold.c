/* Memory that is not needed soon: see mm/cold.h. */
#include "mm/cold.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/evict.h"
#include "mm/pagecache.h"
#include "mm/userpt.h"

/* As if it had not been used since the hand of CLOCK last came by. */
static void
cool_entry(pte_t *pte)
{
	pte_t old = upt_load(pte);
	struct page *pg = phys_to_page(pte_phys(old));

	if (!old || old & PTE_SPECIAL || page_is_anon(pg))
		return;
	__atomic_fetch_and(pte, ~(pte_t)PTE_ACCESSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&pg->flags, (uint8_t)~PAGE_ACCESSED, __ATOMIC_RELAXED);
}

static enum err
cool_part(struct area *a, vaddr_t from, vaddr_t to, void *is_out)
{
	struct tlb_batch batch;
	struct upt_run run;

	if (a->flags & (AREA_LOCKED | AREA_DEVICE))
		return ERR_INVAL;
	if (!a->file) {
		tlb_batch_begin(&batch, a->aspace);
		if (*(const bool *)is_out)
			(void)upt_zap_lazy(a->aspace, from, to, &batch);
		tlb_batch_end(&batch);
		return OK;
	}
	area_lock_file(a);
	for (vaddr_t va = from; upt_next_run(a->aspace, va, to, &run);
	     va = run.va + (uint64_t)run.num * PAGE_SIZE)
		for (unsigned i = 0; i < run.num; i++)
			cool_entry(&run.pte[i]);
	area_unlock_file(a);
	return OK;
}

/* What of a file is to go. */
struct stretch {
	struct file *file;
	uint64_t first, num; /* pages */
};

/* The next in [*at, end), with a reference to the file; *at goes past it. False: no more. */
static bool
next_stretch(struct aspace *as, vaddr_t *at, vaddr_t end, struct stretch *s)
{
	struct area *a;

	s->file = NULL;
	rwsem_lock_shared(&as->lock);
	a = area_find_from(as, *at);
	for (; a && !s->file && MAX(a->start, *at) < end; a = area_next(a)) {
		vaddr_t from = MAX(a->start, *at), to = MIN(a->end, end);

		*at = to;
		if (!a->file || !a->file->cache)
			continue;
		s->file = file_get(a->file);
		s->first = a->file_page + ((from - a->start) >> PAGE_SHIFT);
		s->num = (to - from) >> PAGE_SHIFT;
	}
	rwsem_unlock_shared(&as->lock);
	return s->file;
}

/* Who may not write to a file shall not learn by its timing who else reads it. */
static bool
may_put_out(const struct file *f)
{
	return f->mode & FILE_WRITE || capable(CAP_FOWNER);
}

enum err
range_make_cold(struct aspace *as, vaddr_t start, vaddr_t end, bool is_out)
{
	struct stretch s;
	enum err err;

	rwsem_lock(&as->lock);
	err = range_for_each_part(as, start, end, cool_part, &is_out);
	rwsem_unlock(&as->lock);
	if (!is_out || (err != OK && err != ERR_NOMEM))
		return err;
	for (vaddr_t at = start; next_stretch(as, &at, end, &s);) {
		for (uint64_t i = 0; may_put_out(s.file) && i < s.num; i++)
			evict_page(s.file->cache, s.first + i);
		file_put(s.file);
	}
	return err;
}
