/*
 * The tree of areas of an address space: search, cutting and joining. An area that maps a
 * file is also on the list of its page cache, by which a truncation finds it; that list's
 * map_lock is held while such an area changes its range.
 */
#include "mm/area.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "mm/userpt.h"

static struct slab_cache *area_cache;

void
area_init(void)
{
	area_cache = slab_cache_create("area", sizeof(struct area), 0);
}

static struct area *
area_of(struct rb_node *n)
{
	return n ? rb_entry(n, struct area, node) : NULL;
}

static struct page_cache *
cache_of(const struct area *a)
{
	return a->file ? a->file->cache : NULL;
}

static void
lock_cache(const struct area *a) NO_THREAD_SAFETY_ANALYSIS
{
	if (cache_of(a))
		mutex_lock(&cache_of(a)->map_lock);
}

static void
unlock_cache(const struct area *a) NO_THREAD_SAFETY_ANALYSIS
{
	if (cache_of(a))
		mutex_unlock(&cache_of(a)->map_lock);
}

struct area *
area_alloc(struct aspace *as, vaddr_t start, vaddr_t end, uint32_t flags)
{
	struct area *a = slab_zalloc(area_cache);

	if (!a)
		return NULL;
	a->aspace = as;
	a->start = start;
	a->end = end;
	a->flags = flags;
	a->ops = &anon_area_ops;
	list_init(&a->cache_link);
	return a;
}

void
area_free(struct area *a)
{
	if (a->ops->close)
		a->ops->close(a);
	if (a->file)
		file_put(a->file);
	slab_free(area_cache, a);
}

void
areas_free(struct list *dead)
{
	struct list *n;

	while ((n = list_pop_front(dead)))
		area_free(list_entry(n, struct area, cache_link));
}

/* Adds (sign 1) or takes away (-1) the pages of [start, end) in the counters of the
 * space. */
static void
count_pages(const struct area *a, vaddr_t start, vaddr_t end, int sign)
{
	uint64_t pages = (end - start) >> PAGE_SHIFT;
	uint32_t kind = a->flags & (AREA_WRITE | AREA_SHARED | AREA_STACK);

	a->aspace->num_pages += sign * pages;
	if (kind == AREA_WRITE)
		a->aspace->data_pages += sign * pages;
}

static bool
area_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct area, node)->start <
	       rb_entry(b, struct area, node)->start;
}

void
area_insert(struct area *a)
{
	rb_insert(&a->aspace->areas, &a->node, area_less);
	count_pages(a, a->start, a->end, 1);
	lock_cache(a);
	if (cache_of(a))
		list_push_back(&cache_of(a)->areas, &a->cache_link);
	unlock_cache(a);
}

void
area_remove(struct area *a)
{
	rb_erase(&a->aspace->areas, &a->node);
	count_pages(a, a->start, a->end, -1);
	lock_cache(a);
	list_remove(&a->cache_link);
	unlock_cache(a);
}

struct area *
area_next(const struct area *a)
{
	return area_of(rb_next(&a->node));
}

struct area *
area_prev(const struct area *a)
{
	return area_of(rb_prev(&a->node));
}

struct area *
area_find_from(struct aspace *as, vaddr_t va)
{
	struct rb_node *n = as->areas.node;
	struct area *best = NULL;

	while (n) {
		struct area *a = area_of(n);

		if (a->end > va) {
			best = a;
			n = a->start <= va ? NULL : n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

struct area *
area_find(struct aspace *as, vaddr_t va)
{
	struct area *a = area_find_from(as, va);

	return a && a->start <= va ? a : NULL;
}

struct area *
area_last_below(struct aspace *as, vaddr_t va)
{
	struct rb_node *n = as->areas.node;
	struct area *best = NULL;

	while (n) {
		struct area *a = area_of(n);

		if (a->start < va)
			best = a;
		n = a->start < va ? n->right : n->left;
	}
	return best;
}

struct area *
area_split(struct area *a, vaddr_t at)
{
	struct area *upper = slab_alloc(area_cache);

	if (!upper)
		return NULL;
	*upper = *a;
	upper->start = at;
	upper->file_page += (at - a->start) >> PAGE_SHIFT;
	list_init(&upper->cache_link);
	if (upper->file)
		file_get(upper->file);
	lock_cache(a);
	a->end = at;
	if (cache_of(a))
		list_push_back(&cache_of(a)->areas, &upper->cache_link);
	unlock_cache(a);
	rb_insert(&a->aspace->areas, &upper->node, area_less);
	if (upper->ops->open)
		upper->ops->open(upper);
	return upper;
}

void
area_set_start(struct area *a, vaddr_t start)
{
	int64_t pages = (int64_t)(start - a->start) >> PAGE_SHIFT;

	count_pages(a, a->start, a->end, -1);
	lock_cache(a);
	a->start = start;
	a->file_page += pages;
	unlock_cache(a);
	count_pages(a, a->start, a->end, 1);
}

void
area_set_end(struct area *a, vaddr_t end)
{
	count_pages(a, a->start, a->end, -1);
	lock_cache(a);
	a->end = end;
	unlock_cache(a);
	count_pages(a, a->start, a->end, 1);
}

/* Whether `b` goes on where `a` ends, in every respect. */
static bool
continues(const struct area *a, const struct area *b)
{
	if (a->end != b->start || a->flags != b->flags || a->ops != b->ops ||
	    a->file != b->file || a->private != b->private || a->ops->close)
		return false;
	return !a->file ||
	       a->file_page + ((a->end - a->start) >> PAGE_SHIFT) == b->file_page;
}

struct area *
area_merge(struct area *a, struct list *dead)
{
	struct area *prev = area_prev(a), *next = area_next(a);

	if (next && continues(a, next)) {
		vaddr_t end = next->end;

		area_remove(next);
		area_set_end(a, end);
		list_push_back(dead, &next->cache_link);
	}
	if (prev && continues(prev, a)) {
		vaddr_t end = a->end;

		area_remove(a);
		area_set_end(prev, end);
		list_push_back(dead, &a->cache_link);
		a = prev;
	}
	return a;
}

/* The lowest address that `a` and the gap below it need. */
static vaddr_t
guarded_start(const struct area *a)
{
	if (!(a->flags & AREA_STACK))
		return a->start;
	return a->start > STACK_GUARD_GAP ? a->start - STACK_GUARD_GAP : 0;
}

bool
range_is_free(struct aspace *as, vaddr_t start, vaddr_t end)
{
	struct area *a = area_find_from(as, start);

	return !a || a->start >= end;
}

static vaddr_t
find_downwards(struct aspace *as, size_t len, vaddr_t bottom, vaddr_t top)
{
	struct area *a = area_find_from(as, top - 1);

	if (a)
		top = MIN(top, guarded_start(a));
	for (a = a ? area_prev(a) : area_last_below(as, top); top >= bottom + len;
	     a = area_prev(a)) {
		vaddr_t low = a ? MAX(a->end, bottom) : bottom;

		if (top >= low && top - low >= len)
			return top - len;
		if (!a)
			break;
		top = MIN(top, guarded_start(a));
	}
	return 0;
}

static vaddr_t
find_upwards(struct aspace *as, size_t len, vaddr_t bottom, vaddr_t top)
{
	for (struct area *a = area_find_from(as, bottom); bottom + len <= top;
	     a = area_next(a)) {
		vaddr_t high = a ? MIN(guarded_start(a), top) : top;

		if (high >= bottom && high - bottom >= len)
			return bottom;
		if (!a)
			break;
		bottom = MAX(bottom, a->end);
	}
	return 0;
}

vaddr_t
range_find(struct aspace *as, size_t len, vaddr_t bottom, vaddr_t top)
{
	vaddr_t found;

	if (len > USER_SPACE_END)
		return 0;
	found = find_downwards(as, len, bottom, top);
	return found ? found : find_upwards(as, len, top, USER_SPACE_END);
}

enum err
range_unmap(struct aspace *as, vaddr_t start, vaddr_t end, struct list *dead)
{
	struct area *a = area_find_from(as, start), *next;
	struct tlb_batch batch;
	struct list gone;
	vaddr_t floor, ceiling;

	if (!a || a->start >= end)
		return OK;
	if (a->start < start) {
		a = area_split(a, start);
		if (!a)
			return ERR_NOMEM;
	}
	next = area_last_below(as, end);
	if (next->end > end && !area_split(next, end))
		return ERR_NOMEM;

	/* Nothing fails from here on. Out of the file's list first: then the tables are
	 * ours alone. */
	list_init(&gone);
	floor = area_prev(a) ? area_prev(a)->end : 0;
	for (; a && a->start < end; a = next) {
		next = area_next(a);
		area_remove(a);
		list_push_back(&gone, &a->cache_link);
	}
	ceiling = a ? a->start : USER_SPACE_END + PAGE_SIZE;
	tlb_batch_begin(&batch, as);
	list_for_each(a, &gone, cache_link)
		upt_zap(as, a->start, a->end, &batch);
	upt_free_tables(as, start, end, floor, ceiling, &batch);
	tlb_batch_end(&batch);
	list_splice_back(dead, &gone);
	return OK;
}

bool
range_ok(vaddr_t start, size_t len)
{
	return IS_ALIGNED(start, PAGE_SIZE) && len && len <= USER_SPACE_END &&
	       start <= USER_SPACE_END - len;
}

uint64_t
current_limit(unsigned which)
{
	const struct process *p = current_process();

	return p ? __atomic_load_n(&p->rlimits[which].cur, __ATOMIC_RELAXED) : UINT64_MAX;
}
