/*
 * mremap: an area grows or shrinks where it is, or moves with its pages. With
 * MREMAP_DONTUNMAP it stays as well, empty; an old length of 0 makes a second mapping of
 * shared pages.
 */
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "mm/userpt.h"

/* One mremap, page-aligned and checked. */
struct remap {
	struct aspace *as;
	vaddr_t old, new_addr;
	size_t old_len, new_len;
	int flags;
};

/* The area that holds all of [old, old + old_len), or an error as Linux gives it. */
static enum err
find_source(const struct remap *r, struct area **out)
{
	struct area *a = area_find(r->as, r->old);

	if (!a || r->old + r->old_len > a->end)
		return ERR_FAULT;
	if (r->new_len > r->old_len && a->flags & AREA_DEVICE)
		return ERR_FAULT;
	if (!r->old_len && !(a->flags & AREA_SHARED))
		return ERR_INVAL;
	*out = a;
	return OK;
}

static enum err
may_grow(const struct remap *r, const struct area *a)
{
	bool keeps = r->flags & MREMAP_DONTUNMAP;
	uint64_t more = (r->new_len - (keeps ? 0 : r->old_len)) >> PAGE_SHIFT;

	if (a->flags & AREA_LOCKED && !area_may_lock(r->as, more))
		return ERR_AGAIN;
	return area_may_grow(r->as, more, a->flags) ? OK : ERR_NOMEM;
}

/* The copy of `a` that will hold the moved pages, in the tree at r->new_addr. */
static struct area *
make_target(const struct remap *r, const struct area *a)
{
	/* Three more: the cuts of the old area when it goes, as on Linux. */
	struct area *to =
	    area_count_allows(r->as, 4)
	        ? area_alloc(r->as, r->new_addr, r->new_addr + r->new_len, a->flags)
	        : NULL;

	if (!to)
		return NULL;
	to->ops = a->ops;
	to->file = a->file ? file_get(a->file) : NULL;
	to->file_page = a->file_page + ((r->old - a->start) >> PAGE_SHIFT);
	to->private = a->private;
	if (to->ops->open)
		to->ops->open(to);
	to->flags &= ~AREA_HEAP;
	area_insert(to);
	return to;
}

/* Moves the entries of `a`; a truncation must not look between one's leaving and its arrival. */
static enum err
move_pages(const struct remap *r, const struct area *a, vaddr_t from, vaddr_t to)
{
	struct tlb_batch batch;
	enum err err;

	area_lock_file(a);
	tlb_batch_begin(&batch, r->as);
	err = upt_move(r->as, from, to, MIN(r->old_len, r->new_len), &batch);
	tlb_batch_end(&batch);
	area_unlock_file(a);
	return err;
}

/* Moves pages and area to the free range at r->new_addr. */
static enum err
move(const struct remap *r, struct area *a, struct list *dead)
{
	struct area *to = make_target(r, a);
	enum err err;

	if (!to)
		return ERR_NOMEM;
	err = move_pages(r, to, r->old, r->new_addr);
	if (err == OK && r->old_len && !(r->flags & MREMAP_DONTUNMAP))
		err = range_unmap(r->as, r->old, r->old + r->old_len, dead);
	if (err != OK) {
		/* The pages go back, for which there are tables: this cannot fail. */
		(void)move_pages(r, to, r->new_addr, r->old);
		(void)range_unmap(r->as, r->new_addr, r->new_addr + r->new_len, dead);
		return err;
	}
	area_merge(to, dead);
	return OK;
}

static vaddr_t
lowest_address(void)
{
	return __atomic_load_n(&mmap_min_addr, __ATOMIC_RELAXED);
}

/* MREMAP_FIXED: whatever is at the target goes. */
static long
remap_fixed(struct remap *r, struct list *dead)
{
	struct area *a;
	enum err err;

	if (!range_ok(r->new_addr, r->new_len) || !(r->flags & MREMAP_MAYMOVE))
		return ERR_INVAL;
	if (r->new_addr < r->old + r->old_len && r->old < r->new_addr + r->new_len)
		return ERR_INVAL;
	if (r->new_addr < lowest_address() && !capable(CAP_SYS_RAWIO))
		return ERR_PERM;
	err = find_source(r, &a);
	if (err == OK && (r->new_len > r->old_len || r->flags & MREMAP_DONTUNMAP))
		err = may_grow(r, a);
	if (err == OK)
		err = range_unmap(r->as, r->new_addr, r->new_addr + r->new_len, dead);
	if (err == OK)
		err = find_source(r, &a); /* the unmapping may have cut it */
	if (err == OK)
		err = move(r, a, dead);
	return err == OK ? (long)r->new_addr : err;
}

/* Moves it to wherever there is room. */
static long
remap_elsewhere(struct remap *r, struct area *a, struct list *dead)
{
	enum err err;

	r->new_addr = range_find(r->as, r->new_len,
	    MAX(lowest_address(), (vaddr_t)PAGE_SIZE), r->as->mmap_base);
	if (!r->new_addr)
		return ERR_NOMEM;
	err = move(r, a, dead);
	return err == OK ? (long)r->new_addr : err;
}

static long
remap_anywhere(struct remap *r, struct list *dead)
{
	bool keeps = r->flags & MREMAP_DONTUNMAP;
	struct area *a;
	enum err err = find_source(r, &a);

	if (err != OK)
		return err;
	if (r->new_len <= r->old_len && !keeps) {
		if (r->new_len < r->old_len)
			err = range_unmap(
			    r->as, r->old + r->new_len, r->old + r->old_len, dead);
		return err == OK ? (long)r->old : err;
	}
	err = may_grow(r, a);
	if (err != OK)
		return err;
	if (!keeps && r->old_len && r->old + r->old_len == a->end &&
	    range_ok(r->old, r->new_len) &&
	    range_is_free(r->as, a->end, r->old + r->new_len)) {
		area_set_end(a, r->old + r->new_len);
		area_merge(a, dead);
		return (long)r->old;
	}
	if (!(r->flags & MREMAP_MAYMOVE))
		return ERR_NOMEM;
	return remap_elsewhere(r, a, dead);
}

/* What the flags and lengths allow together. */
static bool
is_valid(const struct remap *r)
{
	if (r->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return false;
	if (r->flags & MREMAP_DONTUNMAP &&
	    (!(r->flags & MREMAP_MAYMOVE) || r->old_len != r->new_len))
		return false;
	return r->new_len && r->new_len <= USER_SPACE_END &&
	       IS_ALIGNED(r->old, PAGE_SIZE);
}

long
aspace_remap(struct aspace *as, vaddr_t old, size_t old_len, size_t new_len, int flags,
    vaddr_t new_addr)
{
	struct remap r = {.as = as, .old = old, .new_addr = new_addr, .flags = flags};
	struct list dead;
	long result;

	r.old_len = ALIGN_UP(old_len, PAGE_SIZE);
	r.new_len = ALIGN_UP(new_len, PAGE_SIZE);
	if (r.old_len < old_len || !is_valid(&r))
		return ERR_INVAL;
	if (!range_ok(old, MAX(r.old_len, (size_t)PAGE_SIZE)))
		return ERR_FAULT;
	list_init(&dead);
	rwsem_lock(&as->lock);
	result =
	    flags & MREMAP_FIXED ? remap_fixed(&r, &dead) : remap_anywhere(&r, &dead);
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	return result;
}
