/*
 * Address spaces: their life, layout and fork. Kernel threads run
 * on whatever space was loaded; before a space dies, CPUs still on it are told to leave.
 */
#include "mm/aspace.h"

#include "kernel/file.h"
#include "kernel/panic.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/process.h"
#include "kernel/random.h"
#include "mm/area.h"
#include "mm/commit.h"
#include "mm/huge.h"
#include "mm/lazyfree.h"
#include "mm/slab.h"
#include "mm/userpt.h"

enum {
	MMAP_RANDOM_BITS = 28, /* pages, as Linux's default */
	STACK_RANDOM_PAGES = 0x400000,
};

uint64_t randomize_va_space = RANDOMIZE_HEAP;

static struct slab_cache *aspace_cache;
paddr_t zero_page;

void
aspace_init(void)
{
	struct page *pg = page_alloc(0, ALLOC_ZERO);

	ASSERT(pg);
	zero_page = page_to_phys(pg);
	aspace_cache = slab_cache_create("aspace", sizeof(struct aspace), 64);
	area_init();
	huge_init();
}

bool
is_layout_random(enum randomize_level level)
{
	const struct process *p = current_process();

	return !(p && p->personality & ADDR_NO_RANDOMIZE) &&
	       __atomic_load_n(&randomize_va_space, __ATOMIC_RELAXED) >= level;
}

uint64_t
layout_random(enum randomize_level level, uint64_t limit)
{
	return is_layout_random(level) ? random_below(limit) : 0;
}

/*
 * As on Linux: mappings begin below the stack's largest extent (its limit and its random
 * shift, within 128 MiB and five sixths of the space), at a random distance.
 */
static void
choose_layout(struct aspace *as)
{
	uint64_t most = USER_SPACE_END / 6 * 5, pad = STACK_GUARD_GAP;
	uint64_t gap = MIN(current_limit(RLIMIT_STACK), most);

	if (is_layout_random(RANDOMIZE_LAYOUT))
		pad += (uint64_t)STACK_RANDOM_PAGES * PAGE_SIZE;
	gap = ALIGN_UP(MIN(MAX(gap + pad, MIB(128)), most), PAGE_SIZE);
	as->mmap_base =
	    USER_SPACE_END - gap -
	    (layout_random(RANDOMIZE_LAYOUT, 1ull << MMAP_RANDOM_BITS) << PAGE_SHIFT);
	as->stack_top =
	    USER_SPACE_END -
	    (layout_random(RANDOMIZE_LAYOUT, STACK_RANDOM_PAGES) << PAGE_SHIFT);
}

/* Everything but layout and contents. */
static struct aspace *
alloc_space(void)
{
	struct aspace *as = slab_zalloc(aspace_cache);

	if (!as)
		return NULL;
	as->page_table = pt_create();
	if (!as->page_table) {
		slab_free(aspace_cache, as);
		return NULL;
	}
	tlb_context_init(&as->tlb);
	as->refs = 1;
	as->dumpable = DUMPABLE_USER;
	as->core_filter = CORE_FILTER_DEFAULT;
	as->areas.update = area_update_gap;
	list_init(&as->lazy_link);
	rwsem_init(&as->lock, "aspace", RANK_MMAP);
	return as;
}

struct aspace *
aspace_create(void)
{
	struct aspace *as = alloc_space();

	if (as)
		choose_layout(as);
	return as;
}

struct aspace *
aspace_get(struct aspace *as)
{
	__atomic_add_fetch(&as->refs, 1, __ATOMIC_RELAXED);
	return as;
}

void
aspace_switch(struct aspace *as)
{
	tlb_load(as);
}

static void
destroy(struct aspace *as)
{
	struct tlb_batch batch;
	struct area *a;
	struct list dead;

	lazyfree_forget(as);
	tlb_unload(as);
	list_init(&dead);
	for (a = area_find_from(as, 0); a; a = area_next(a)) {
		area_leave_file(a);
		list_push_back(&dead, &a->cache_link);
	}
	tlb_batch_begin(&batch, as);
	list_for_each(a, &dead, cache_link)
		upt_zap(as, a->start, a->end, &batch);
	tlb_batch_end(&batch);
	areas_free(&dead);
	mem_counter_add(MEM_COMMITTED, -(int64_t)as->committed);
	mem_counter_add(MEM_MLOCKED, -(int64_t)as->locked_pages);
	if (as->exe)
		file_put(as->exe);
	pt_destroy(as->page_table);
	slab_free(aspace_cache, as);
}

void
aspace_put(struct aspace *as)
{
	if (__atomic_sub_fetch(&as->refs, 1, __ATOMIC_ACQ_REL) == 0)
		destroy(as);
}

/* The child's copy of an area, in its tree, with the pages that fork must copy. */
static enum err
fork_area(struct aspace *child, const struct area *a, struct tlb_batch *batch)
{
	struct area *copy;
	enum err err;

	if (a->flags & AREA_NO_FORK)
		return OK;
	if (a->flags & AREA_ACCOUNT &&
	    !commit_allows(child, (a->end - a->start) >> PAGE_SHIFT))
		return ERR_NOMEM;
	copy = area_alloc(child, a->start, a->end,
	    a->flags & ~(uint32_t)(AREA_LOCKED | AREA_LOCK_ONFAULT));
	if (!copy)
		return ERR_NOMEM;
	copy->ops = a->ops;
	copy->file = a->file ? file_get(a->file) : NULL;
	copy->file_page = a->file_page;
	copy->private = a->private;
	if (copy->ops->open)
		copy->ops->open(copy);
	area_insert(copy);
	if (a->flags & (AREA_SHARED | AREA_DEVICE | AREA_WIPE_FORK))
		return OK;
	area_lock_file(a);
	err = upt_copy(child, a->aspace, a->start, a->end, batch);
	area_unlock_file(a);
	return err;
}

static void
copy_layout(struct aspace *to, const struct aspace *from)
{
	to->brk_start = from->brk_start;
	to->brk = from->brk;
	to->mmap_base = from->mmap_base;
	to->stack_top = from->stack_top;
	to->code_start = from->code_start;
	to->code_end = from->code_end;
	to->data_start = from->data_start;
	to->data_end = from->data_end;
	to->arg_start = from->arg_start;
	to->arg_end = from->arg_end;
	to->env_start = from->env_start;
	to->env_end = from->env_end;
	to->auxv_start = from->auxv_start;
	to->auxv_end = from->auxv_end;
	to->dumpable = from->dumpable;
	to->core_filter = from->core_filter;
	to->membarrier = from->membarrier;
	to->no_huge_pages = from->no_huge_pages;
	to->exe = from->exe ? file_get(from->exe) : NULL;
}

struct aspace *
aspace_fork(struct aspace *parent)
{
	struct aspace *child = alloc_space();
	struct tlb_batch batch;
	enum err err = OK;

	if (!child)
		return NULL;
	rwsem_lock(&parent->lock);
	copy_layout(child, parent);
	tlb_batch_begin(&batch, parent);
	for (struct area *a = area_find_from(parent, 0); a && err == OK; a = area_next(a))
		err = fork_area(child, a, &batch);
	tlb_batch_end(
	    &batch); /* the parent's threads must not go on writing shared pages */
	rwsem_unlock(&parent->lock);
	if (err == OK)
		return child;
	aspace_put(child);
	return NULL;
}

void
aspace_reap(struct aspace *as)
{
	struct tlb_batch batch;

	rwsem_lock(&as->lock);
	tlb_batch_begin(&batch, as);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		if (a->flags & (AREA_SHARED | AREA_DEVICE))
			continue;
		area_set_flags(a, a->flags & ~(uint32_t)AREA_ACCESS);
		upt_zap(as, a->start, a->end, &batch);
	}
	tlb_batch_end(&batch);
	as->is_reaped = true;
	rwsem_unlock(&as->lock);
}
