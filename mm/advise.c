/*
 * Calls about pages that are mapped already: madvise, mincore, msync. Advice on order of
 * access is accepted and changes nothing.
 */
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/cold.h"
#include "mm/lazyfree.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "mm/usercopy.h"
#include "mm/userpt.h"
#include "syscalls.h"

static struct aspace *
current_space(void)
{
	return current_process()->aspace;
}

enum err
range_for_each_part(struct aspace *as, vaddr_t start, vaddr_t end,
    enum err (*fn)(struct area *, vaddr_t from, vaddr_t to, void *arg), void *arg)
{
	struct area *a = area_find_from(as, start);
	bool has_gap = false;

	while (start < end) {
		vaddr_t stop;
		enum err err;

		if (!a || a->start >= end) {
			has_gap = true;
			break;
		}
		if (a->start > start) {
			has_gap = true;
			start = a->start;
		}
		stop = MIN(a->end, end);
		err = fn(a, start, stop, arg);
		if (err != OK)
			return err;
		start = stop;
		a = area_find_from(as, start);
	}
	return has_gap ? ERR_NOMEM : OK;
}

/* ---- madvise ---- */

struct discard {
	bool is_exclusive; /* the lock */
	bool is_lazy;      /* MADV_FREE: only when memory is low, see mm/lazyfree.h */
};

static enum err
discard_part(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	const struct discard *d = arg;
	struct tlb_batch batch;
	uint64_t marked = 0;

	if (a->flags & (AREA_LOCKED | AREA_DEVICE) || (d->is_lazy && a->file))
		return ERR_INVAL;
	tlb_batch_begin(&batch, a->aspace);
	if (d->is_lazy)
		marked = upt_mark_lazy(a->aspace, from, to, d->is_exclusive, &batch);
	else if (d->is_exclusive)
		upt_zap(a->aspace, from, to, &batch);
	else
		upt_zap_shared(a->aspace, from, to, &batch);
	tlb_batch_end(&batch);
	if (marked)
		lazyfree_note(a->aspace, marked);
	return OK;
}

static enum err
nothing_to_do(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	return OK;
}

/*
 * Shared lock: faults at the same time find each page either there or gone. To cut pages of
 * 2 MiB the lock must be exclusive. Where there was none before, one that comes meanwhile
 * stays: it might have come just after.
 */
static enum err
discard(struct aspace *as, vaddr_t start, vaddr_t end, bool is_lazy)
{
	struct discard d = {
	    .is_exclusive = __atomic_load_n(&as->has_huge_pages, __ATOMIC_RELAXED),
	    .is_lazy = is_lazy,
	};
	enum err err;

	if (d.is_exclusive)
		rwsem_lock(&as->lock);
	else
		rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, start, end, discard_part, &d);
	if (d.is_exclusive)
		rwsem_unlock(&as->lock);
	else
		rwsem_unlock_shared(&as->lock);
	return err;
}

/* A piece of a file that is mapped. */
struct piece {
	struct file *file; /* a reference, or NULL: nothing is mapped up to the end */
	vaddr_t from, to;
	loff_t offset;
};

/* The first one within [start, end), if it may be given back. */
static enum err
find_removable(struct aspace *as, vaddr_t start, vaddr_t end, struct piece *p)
{
	const uint32_t wanted = AREA_SHARED | AREA_MAY_WRITE;
	const struct area *a;
	enum err err = OK;

	*p = (struct piece){.from = end, .to = end};
	rwsem_lock_shared(&as->lock);
	a = area_find_from(as, start);
	if (a && a->start < end) {
		p->from = MAX(start, a->start);
		p->to = MIN(end, a->end);
		p->offset = (loff_t)(a->file_page * PAGE_SIZE + (p->from - a->start));
		if (a->flags & AREA_LOCKED || !a->file || !a->file->cache)
			err = ERR_INVAL;
		else if ((a->flags & wanted) != wanted)
			err = ERR_ACCES;
		else
			p->file = file_get(a->file);
	}
	rwsem_unlock_shared(&as->lock);
	return err;
}

/* MADV_REMOVE, area by area: the files' locks come before that of the space. */
static enum err
remove_from_files(struct aspace *as, vaddr_t start, vaddr_t end)
{
	bool has_gap = false;

	while (start < end) {
		struct piece p;
		enum err err = find_removable(as, start, end, &p);

		if (err != OK)
			return err;
		has_gap |= p.from > start;
		start = p.to;
		if (!p.file)
			continue;
		err = file_punch_hole(p.file, p.offset, (loff_t)(p.to - p.from));
		file_put(p.file);
		if (err != OK)
			return err;
	}
	return has_gap ? ERR_NOMEM : OK;
}

static enum err
advise_shared(struct aspace *as, vaddr_t start, vaddr_t end)
{
	enum err err;

	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, start, end, nothing_to_do, NULL);
	rwsem_unlock_shared(&as->lock);
	return err;
}

struct flag_change {
	uint32_t set, clear;
	struct list dead;
};

static enum err
change_part(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	struct flag_change *c = arg;
	uint32_t flags = (a->flags & ~c->clear) | c->set;

	if (flags == a->flags || (c->set & AREA_LOCKED && a->flags & AREA_DEVICE))
		return OK; /* a device's memory is there anyway */
	if (a->start < from && !(a = area_split(a, from)))
		return ERR_NOMEM;
	if (a->end > to && !area_split(a, to))
		return ERR_NOMEM;
	area_set_flags(a, flags);
	area_merge(a, &c->dead);
	return OK;
}

enum err
range_change_flags(
    struct aspace *as, vaddr_t start, vaddr_t end, uint32_t set, uint32_t clear)
{
	struct flag_change c = {.set = set, .clear = clear};
	enum err err;

	list_init(&c.dead);
	rwsem_lock(&as->lock);
	err = range_for_each_part(as, start, end, change_part, &c);
	rwsem_unlock(&as->lock);
	areas_free(&c.dead);
	return err;
}

static enum err
refuse_device(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	return a->flags & AREA_DEVICE ? ERR_INVAL : OK;
}

/* Devices are never in core files. */
static enum err
undo_no_dump(struct aspace *as, vaddr_t start, vaddr_t end)
{
	enum err err;

	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, start, end, refuse_device, NULL);
	rwsem_unlock_shared(&as->lock);
	return err == ERR_INVAL ? err
	                        : range_change_flags(as, start, end, 0, AREA_NO_DUMP);
}

/* Makes the pages present for reading or writing as the program would. */
static enum err
populate(struct aspace *as, vaddr_t addr, size_t len, unsigned access)
{
	enum err err = advise_shared(as, addr, addr + len);

	if (err == OK)
		err = aspace_populate_for(as, addr, len, access);
	return err == OK || err == ERR_NOMEM || err == ERR_INTR ? err : ERR_FAULT;
}

/* Follows advice that is for the whole range. */
static enum err
advise(struct aspace *as, vaddr_t addr, size_t len, int advice)
{
	size_t size = ALIGN_UP(len, PAGE_SIZE);

	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE: return len ? advise_shared(as, addr, addr + size) : OK;
	case MADV_COLD:
	case MADV_PAGEOUT:
		return len ? range_make_cold(
		                 as, addr, addr + size, advice == MADV_PAGEOUT)
		           : OK;
	case MADV_DONTNEED:
	case MADV_FREE:
		return len ? discard(as, addr, addr + size, advice == MADV_FREE) : OK;
	case MADV_REMOVE: return remove_from_files(as, addr, addr + size);
	case MADV_HUGEPAGE:
		return range_change_flags(as, addr, addr + size, AREA_HUGE, AREA_NO_HUGE);
	case MADV_NOHUGEPAGE:
		return range_change_flags(as, addr, addr + size, AREA_NO_HUGE, AREA_HUGE);
	case MADV_DONTFORK:
		return range_change_flags(as, addr, addr + size, AREA_NO_FORK, 0);
	case MADV_DOFORK:
		return range_change_flags(as, addr, addr + size, 0, AREA_NO_FORK);
	case MADV_DONTDUMP:
		return range_change_flags(as, addr, addr + size, AREA_NO_DUMP, 0);
	case MADV_DODUMP: return undo_no_dump(as, addr, addr + size);
	case MADV_WIPEONFORK:
		return range_change_flags(as, addr, addr + size, AREA_WIPE_FORK, 0);
	case MADV_KEEPONFORK:
		return range_change_flags(as, addr, addr + size, 0, AREA_WIPE_FORK);
	case MADV_POPULATE_READ: return populate(as, addr, size, AREA_READ);
	case MADV_POPULATE_WRITE: return populate(as, addr, size, AREA_WRITE);
	default: return ERR_INVAL;
	}
}

/* Whether this area may be given the advice at all. */
static enum err
check_part(struct area *a, vaddr_t from, vaddr_t to, void *advice)
{
	bool refuses = false;

	switch (*(const int *)advice) {
	case MADV_WIPEONFORK: refuses = a->file || a->flags & AREA_SHARED; break;
	case MADV_DOFORK: refuses = a->flags & AREA_DEVICE; break;
	case MADV_POPULATE_READ:
		refuses = a->flags & AREA_DEVICE || !(a->flags & AREA_ACCESS);
		break;
	case MADV_POPULATE_WRITE:
		refuses = a->flags & AREA_DEVICE || !(a->flags & AREA_WRITE);
		break;
	default: break;
	}
	return refuses ? ERR_INVAL : OK;
}

enum err
range_advise(struct aspace *as, vaddr_t addr, size_t len, int advice)
{
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	enum err err = advise(as, addr, 0, advice); /* whether it is one */

	if (err != OK || !IS_ALIGNED(addr, PAGE_SIZE) || size < len || addr + size < addr)
		return ERR_INVAL;
	if (!size)
		return OK;
	if (!range_ok(addr, size))
		return ERR_NOMEM;
	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, addr, addr + size, check_part, &advice);
	rwsem_unlock_shared(&as->lock);
	return err == ERR_INVAL ? err : advise(as, addr, len, advice);
}

long
sys_madvise(vaddr_t addr, size_t len, int advice)
{
	return range_advise(current_space(), addr, len, advice);
}

/* ---- mincore ---- */

static uint8_t
is_in_core(const struct area *a, vaddr_t va)
{
	struct page *pg;

	if (upt_entry(a->aspace, va))
		return 1;
	if (!a->file || !a->file->cache)
		return 0;
	pg = page_cache_find(
	    a->file->cache, a->file_page + ((va - a->start) >> PAGE_SHIFT));
	if (!pg)
		return 0;
	page_put(pg);
	return 1;
}

static enum err
mincore_part(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	uint8_t **out = arg;

	for (vaddr_t va = from; va < to; va += PAGE_SIZE)
		*(*out)++ = is_in_core(a, va);
	return OK;
}

long
sys_mincore(vaddr_t addr, size_t len, uint8_t USER *vec)
{
	struct aspace *as = current_space();
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	uint8_t chunk[256];

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return ERR_INVAL;
	if (size < len || (len && !range_ok(addr, size)))
		return ERR_NOMEM;
	for (size_t done = 0; done < size >> PAGE_SHIFT; done += sizeof(chunk)) {
		size_t n = MIN((size >> PAGE_SHIFT) - done, sizeof(chunk));
		vaddr_t start = addr + done * PAGE_SIZE;
		uint8_t *out = chunk;
		enum err err;

		rwsem_lock_shared(&as->lock);
		err = range_for_each_part(
		    as, start, start + n * PAGE_SIZE, mincore_part, &out);
		rwsem_unlock_shared(&as->lock);
		if (err != OK)
			return err;
		if (copy_to_user(vec + done, chunk, n) != OK)
			return ERR_FAULT;
	}
	return OK;
}

/* ---- msync ---- */

/* The first shared file mapping in [*start, end), referenced; *start goes past it. NULL:
 * none left. */
static struct file *
next_shared_file(struct aspace *as, vaddr_t *start, vaddr_t end)
{
	struct file *f = NULL;
	struct area *a;

	rwsem_lock_shared(&as->lock);
	for (a = area_find_from(as, *start); a && a->start < end && !f;
	     a = area_next(a)) {
		if (a->file && a->flags & AREA_SHARED)
			f = file_get(a->file);
		*start = a->end;
	}
	rwsem_unlock_shared(&as->lock);
	return f;
}

long
sys_msync(vaddr_t addr, size_t len, int flags)
{
	struct aspace *as = current_space();
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	enum err gaps, err = OK;
	struct file *f;

	if (!IS_ALIGNED(addr, PAGE_SIZE) ||
	    flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return ERR_INVAL;
	if (size < len || (len && !range_ok(addr, size)))
		return ERR_NOMEM;
	gaps = len ? advise_shared(as, addr, addr + size) : OK;
	for (vaddr_t at = addr; flags & MS_SYNC && err == OK;) {
		f = next_shared_file(as, &at, addr + size);
		if (!f)
			break;
		if (f->ops->fsync)
			err = f->ops->fsync(f, true);
		file_put(f);
	}
	return err == OK ? gaps : err;
}
