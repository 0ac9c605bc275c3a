/*
 * The tree of areas of an address space: search, cutting and joining. An area that maps a
 * file is also on the list of its page cache, by which a truncation finds it; that list's
 * map_lock is held while such an area changes its range.
 */
#include "mm/area.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/commit.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "mm/userpt.h"

uint64_t mmap_min_addr = 0x10000;
uint64_t max_map_count = 65530;

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

void NO_THREAD_SAFETY_ANALYSIS
area_lock_file(const struct area *a)
{
	if (cache_of(a))
		mutex_lock(&cache_of(a)->map_lock);
}

void NO_THREAD_SAFETY_ANALYSIS
area_unlock_file(const struct area *a)
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

static bool
is_data(uint32_t flags)
{
	return (flags & (AREA_WRITE | AREA_SHARED | AREA_STACK)) == AREA_WRITE;
}

/* `bytes` more of such an area, or less, in the counters of the space. */
static void
count_bytes(const struct area *a, int64_t bytes)
{
	int64_t pages = bytes >> PAGE_SHIFT;
	struct aspace *as = a->aspace;

	as->num_pages += pages;
	as->peak_pages = MAX(as->peak_pages, as->num_pages);
	if (is_data(a->flags))
		as->data_pages += pages;
	else if (a->flags & AREA_STACK)
		as->stack_pages += pages;
	else if ((a->flags & (AREA_WRITE | AREA_EXEC)) == AREA_EXEC)
		as->exec_pages += pages;
	if (a->flags & AREA_ACCOUNT) {
		as->committed += pages;
		mem_counter_add(MEM_COMMITTED, pages);
	}
	if (unlikely(a->flags & AREA_LOCKED)) {
		as->locked_pages += pages;
		mem_counter_add(MEM_MLOCKED, pages);
	}
}

static int64_t
size_of(const struct area *a)
{
	return (int64_t)(a->end - a->start);
}

bool
area_count_allows(const struct aspace *as, unsigned more)
{
	return as->num_areas + more <= __atomic_load_n(&max_map_count, __ATOMIC_RELAXED);
}

bool
area_may_grow(const struct aspace *as, uint64_t pages, uint32_t flags)
{
	if (as->num_pages + pages > current_limit(RLIMIT_AS) >> PAGE_SHIFT)
		return false;
	if (is_data(flags) &&
	    as->data_pages + pages > current_limit(RLIMIT_DATA) >> PAGE_SHIFT)
		return false;
	return !(flags & AREA_ACCOUNT) || commit_allows(as, pages);
}

bool
may_lock_any(void)
{
	return current_limit(RLIMIT_MEMLOCK) || capable(CAP_IPC_LOCK);
}

bool
area_may_lock(const struct aspace *as, uint64_t pages)
{
	return as->locked_pages + pages <= current_limit(RLIMIT_MEMLOCK) >> PAGE_SHIFT ||
	       capable(CAP_IPC_LOCK);
}

static bool
area_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct area, node)->start <
	       rb_entry(b, struct area, node)->start;
}

/* ---- Gaps ---- */

/* The lowest address that `a` and the guard below it need. */
static vaddr_t
guarded_start(const struct area *a)
{
	if (!(a->flags & AREA_STACK))
		return a->start;
	return a->start > STACK_GUARD_GAP ? a->start - STACK_GUARD_GAP : 0;
}

void
area_update_gap(struct rb_node *n)
{
	struct area *a = area_of(n);
	uint64_t max = a->gap;

	if (n->left)
		max = MAX(max, area_of(n->left)->max_gap);
	if (n->right)
		max = MAX(max, area_of(n->right)->max_gap);
	a->max_gap = max;
}

/*
 * Measures the gap below `a`, whose lower neighbour ends at `floor`. NULL: no area. A gap
 * that shrinks leaves the bounds above as they are; a search that goes astray by them
 * puts them right.
 */
static void
gap_set(struct area *a, vaddr_t floor)
{
	if (!a)
		return;
	a->gap = guarded_start(a) > floor ? guarded_start(a) - floor : 0;
	for (struct area *up = a; up && up->max_gap < a->gap;
	     up = area_of(rb_parent(&up->node)))
		up->max_gap = a->gap;
}

static vaddr_t
floor_of(const struct area *a)
{
	struct area *prev = area_prev(a);

	return prev ? prev->end : 0;
}

/* ---- Changes ---- */

/* Between its neighbours (or NULL). */
static void
insert_between(struct area *prev, struct area *a, struct area *next)
{
	struct rb_node *parent = NULL, **link = &a->aspace->areas.node;

	/* The place is below the right end of prev, or the left of next: one is free. */
	if (prev && !prev->node.right) {
		parent = &prev->node;
		link = &parent->right;
	} else if (next) {
		parent = &next->node;
		link = &parent->left;
	}
	a->max_gap = 0;
	rb_insert_at(&a->aspace->areas, &a->node, parent, link);
	gap_set(a, prev ? prev->end : 0);
	gap_set(next, a->end);
	count_bytes(a, size_of(a));
	a->aspace->num_areas++;
	area_lock_file(a);
	if (cache_of(a))
		list_push_back(&cache_of(a)->areas, &a->cache_link);
	area_unlock_file(a);
}

void
area_insert(struct area *a)
{
	struct area *next = area_find_from(a->aspace, a->end),
	            *prev = next ? area_prev(next) : area_of(rb_last(&a->aspace->areas));

	insert_between(prev, a, next);
}

void
area_leave_file(struct area *a)
{
	area_lock_file(a);
	list_remove(&a->cache_link);
	area_unlock_file(a);
}

/* Out of the tree and its file's list; `floor` is where the area below ends. */
static void
take_out(struct area *a, vaddr_t floor, struct area *next)
{
	gap_set(next, floor);
	rb_erase(&a->aspace->areas, &a->node);
	count_bytes(a, -size_of(a));
	a->aspace->num_areas--;
	area_leave_file(a);
}

void
area_remove(struct area *a)
{
	take_out(a, floor_of(a), area_next(a));
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
area_split(struct area *a, vaddr_t at)
{
	struct area *upper =
	    area_count_allows(a->aspace, 1) ? slab_alloc(area_cache) : NULL;

	if (!upper)
		return NULL;
	*upper = *a;
	upper->start = at;
	upper->file_page += (at - a->start) >> PAGE_SHIFT;
	upper->gap = upper->max_gap = 0;
	list_init(&upper->cache_link);
	if (upper->file)
		file_get(upper->file);
	area_lock_file(a);
	a->end = at;
	if (cache_of(a))
		list_push_back(&cache_of(a)->areas, &upper->cache_link);
	area_unlock_file(a);
	rb_insert(&a->aspace->areas, &upper->node, area_less);
	a->aspace->num_areas++;
	if (upper->ops->open)
		upper->ops->open(upper);
	return upper;
}

void
area_set_flags(struct area *a, uint32_t flags)
{
	count_bytes(a, -size_of(a));
	a->flags = flags;
	count_bytes(a, size_of(a));
}

void
area_set_start(struct area *a, vaddr_t start)
{
	int64_t less = (int64_t)(start - a->start);

	count_bytes(a, -less);
	area_lock_file(a);
	a->start = start;
	a->file_page += less >> PAGE_SHIFT;
	area_unlock_file(a);
	gap_set(a, floor_of(a));
}

void
area_set_end(struct area *a, vaddr_t end)
{
	count_bytes(a, (int64_t)(end - a->end));
	area_lock_file(a);
	a->end = end;
	area_unlock_file(a);
	gap_set(area_next(a), end);
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

void
area_enter(struct area *a, struct list *dead)
{
	struct area *next = area_find_from(a->aspace, a->end),
	            *prev = next ? area_prev(next) : area_of(rb_last(&a->aspace->areas));

	if (prev && continues(prev, a)) {
		area_set_end(prev, a->end);
		list_push_back(dead, &a->cache_link);
		area_merge(prev, dead);
	} else if (next && continues(a, next)) {
		area_set_start(next, a->start);
		list_push_back(dead, &a->cache_link);
	} else {
		insert_between(prev, a, next);
	}
}

/* `low` takes in `high`, which continues it: for who goes through the file's list, at once. */
static void
join(struct area *low, struct area *high, struct list *dead)
{
	area_lock_file(low);
	low->end = high->end;
	list_remove(&high->cache_link);
	area_unlock_file(low);
	rb_erase(&low->aspace->areas, &high->node);
	low->aspace->num_areas--;
	list_push_back(dead, &high->cache_link);
}

struct area *
area_merge(struct area *a, struct list *dead)
{
	struct area *prev = area_prev(a), *next = area_next(a);

	if (next && continues(a, next))
		join(a, next, dead);
	if (prev && continues(prev, a)) {
		join(prev, a, dead);
		a = prev;
	}
	return a;
}

bool
range_is_free(struct aspace *as, vaddr_t start, vaddr_t end)
{
	struct area *a = area_find_from(as, start);

	return !a || a->start >= end;
}

/* What is wanted: `len` free bytes in [bottom, top). */
struct hole {
	size_t len;
	vaddr_t bottom, top;
};

/* The part of the gap below `a` that serves, from its upper end or its lower; 0: none. */
static vaddr_t
hole_below(const struct area *a, const struct hole *h, bool from_top)
{
	vaddr_t high, low;

	if (a->gap < h->len)
		return 0;
	low = MAX(guarded_start(a) - a->gap, h->bottom);
	high = MIN(guarded_start(a), h->top);
	if (high < low || high - low < h->len)
		return 0;
	return from_top ? high - h->len : low;
}

static bool
may_have_hole(const struct rb_node *n, const struct hole *h)
{
	return n && rb_entry(n, struct area, node)->max_gap >= h->len;
}

/*
 * The highest hole below an area of the subtree, 0: none. Goes only where a gap may be
 * large enough: in vain where the limits cut it, which are two ways down, or where it was
 * once, and then that is put right. So O(log n) over all; and no deeper than that.
 */
static vaddr_t
find_downwards(struct rb_node *n, const struct hole *h)
{
	struct area *a = area_of(n);
	vaddr_t found = 0;

	if (a->end < h->top && may_have_hole(n->right, h))
		found = find_downwards(n->right, h);
	if (found)
		return found;
	found = hole_below(a, h, true);
	if (!found && a->start > h->bottom && may_have_hole(n->left, h))
		found = find_downwards(n->left, h);
	if (!found)
		area_update_gap(n);
	return found;
}

/* The same, the lowest. */
static vaddr_t
find_upwards(struct rb_node *n, const struct hole *h)
{
	struct area *a = area_of(n);
	vaddr_t found = 0;

	if (a->start > h->bottom && may_have_hole(n->left, h))
		found = find_upwards(n->left, h);
	if (!found)
		found = hole_below(a, h, false);
	if (!found && a->end < h->top && may_have_hole(n->right, h))
		found = find_upwards(n->right, h);
	if (!found)
		area_update_gap(n);
	return found;
}

vaddr_t
range_find(struct aspace *as, size_t len, vaddr_t bottom, vaddr_t top)
{
	struct hole below = {len, bottom, top}, above = {len, top, USER_SPACE_END};
	struct rb_node *last = rb_last(&as->areas), *root = as->areas.node;
	vaddr_t end = MAX(last ? area_of(last)->end : 0, bottom), found = 0;

	if (len > USER_SPACE_END)
		return 0;
	if (top >= end && top - end >= len)
		return top - len;
	if (may_have_hole(root, &below))
		found = find_downwards(root, &below);
	if (!found && may_have_hole(root, &above))
		found = find_upwards(root, &above);
	if (found)
		return found;
	end = MAX(end, top);
	return USER_SPACE_END >= end && USER_SPACE_END - end >= len ? end : 0;
}

/*
 * Takes [start, end) out of the tree, from `a` on, the first area that ends above `start`:
 * those that lie in it whole go to `gone`, others are cut. Returns the first area above;
 * *floor is where the last one below ends.
 */
static struct area *
cut_out(struct area *a, vaddr_t start, vaddr_t end, struct list *gone, vaddr_t *floor)
{
	struct area *next;

	if (a->start < start) {
		area_set_end(a, start);
		*floor = start;
		a = area_next(a);
	} else {
		*floor = floor_of(a);
	}
	for (; a && a->end <= end; a = next) {
		next = area_next(a);
		take_out(a, *floor, next);
		list_push_back(gone, &a->cache_link);
	}
	if (a && a->start < end)
		area_set_start(a, end);
	return a;
}

enum err
range_unmap(struct aspace *as, vaddr_t start, vaddr_t end, struct list *dead)
{
	struct area *a = area_find_from(as, start);
	struct tlb_batch batch;
	vaddr_t floor, ceiling;

	if (!a || a->start >= end)
		return OK;
	if (a->start < start && a->end > end && !area_split(a, end))
		return ERR_NOMEM;

	/* Nothing fails from here on. Out of the file's list first: then the tables are
	 * ours alone. */
	a = cut_out(a, start, end, dead, &floor);
	ceiling = a ? a->start : USER_SPACE_END + PAGE_SIZE;
	tlb_batch_begin(&batch, as);
	upt_zap(as, start, end, &batch);
	upt_free_tables(as, start, end, floor, ceiling, &batch);
	tlb_batch_end(&batch);
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
