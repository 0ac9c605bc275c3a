/*
 * mmap, munmap, mprotect and brk on any address space. Each first checks and finds its
 * memory, then changes the tree under the exclusive lock; files of areas that went are
 * released after it.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/mman.h"
#include "mm/pagecache.h"
#include "mm/userpt.h"

static uint32_t
area_flags_of(int prot)
{
	uint32_t flags = 0;

	if (prot & PROT_READ)
		flags |= AREA_READ;
	if (prot & PROT_WRITE)
		flags |= AREA_WRITE;
	if (prot & PROT_EXEC)
		flags |= AREA_EXEC;
	return flags;
}

static bool
is_private_writable(uint32_t flags)
{
	return (flags & (AREA_WRITE | AREA_SHARED)) == AREA_WRITE;
}

/* Whether `len` more bytes of an area with `flags` are within the limits. Lock held. */
static bool
within_limits(const struct aspace *as, size_t len, uint32_t flags)
{
	uint64_t pages = len >> PAGE_SHIFT;

	if (as->num_pages + pages > current_limit(RLIMIT_AS) >> PAGE_SHIFT)
		return false;
	return !is_private_writable(flags) || flags & AREA_STACK ||
	       as->data_pages + pages <= current_limit(RLIMIT_DATA) >> PAGE_SHIFT;
}

/* Refuses what the machine's memory could never hold; smaller promises may all be kept or
 * not. */
static bool
is_obvious_overcommit(size_t len, int flags)
{
	struct mem_stats stats;

	if (len < MIB(64) || flags & MAP_NORESERVE)
		return false;
	mem_stats_get(&stats);
	return len >> PAGE_SHIFT > stats.total_pages;
}

/* What a mapping of `f` (NULL: anonymous) may do: its area flags, or an err. */
static long
check_mapping(const struct file *f, int prot, int flags)
{
	uint32_t area = area_flags_of(prot) | AREA_MAY_WRITE;
	int type = flags & MAP_TYPE;

	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE)
		area |= AREA_SHARED;
	else if (type != MAP_PRIVATE)
		return ERR_INVAL;
	if (flags & MAP_GROWSDOWN) {
		if (f || area & AREA_SHARED)
			return ERR_INVAL;
		area |= AREA_STACK;
	}
	if (flags & MAP_LOCKED)
		area |= AREA_LOCKED;
	if (!f)
		return area;
	if (!(f->mode & FILE_READ))
		return ERR_ACCES;
	if (area & AREA_SHARED && !(f->mode & FILE_WRITE)) {
		if (prot & PROT_WRITE)
			return ERR_ACCES;
		area &= ~AREA_MAY_WRITE;
	}
	if (!f->ops->mmap)
		return ERR_NODEV;
	return area;
}

/* Where the mapping goes, or an err. Lock held. */
static long
choose_place(struct aspace *as, vaddr_t hint, size_t len, int flags)
{
	bool is_fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	vaddr_t top = flags & MAP_32BIT ? 0x80000000 : as->mmap_base, found;

	if (is_fixed &&
	    (!range_ok(hint, len) || (hint < MMAP_MIN_ADDR && !capable(CAP_SYS_RAWIO))))
		return !IS_ALIGNED(hint, PAGE_SIZE) ? ERR_INVAL
		       : hint < MMAP_MIN_ADDR       ? ERR_PERM
		                                    : ERR_NOMEM;
	if (flags & MAP_FIXED_NOREPLACE && !range_is_free(as, hint, hint + len))
		return ERR_EXIST;
	if (is_fixed)
		return (long)hint;
	hint = ALIGN_UP(hint, PAGE_SIZE);
	if (hint >= MMAP_MIN_ADDR && range_ok(hint, len) &&
	    range_is_free(as, hint, hint + len))
		return (long)hint;
	found = range_find(as, len, flags & MAP_32BIT ? 0x40000000 : MMAP_MIN_ADDR, top);
	return found ? (long)found : ERR_NOMEM;
}

/*
 * Enters an area that can write to a file which may be sealed: either who seals it finds
 * the area in the file's list, or the seal is found here.
 */
static enum err
enter_writer(struct area *a, struct list *dead)
{
	area_insert(a);
	if (__atomic_load_n(&a->file->cache->seals, __ATOMIC_SEQ_CST) &
	    (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) {
		area_remove(a);
		list_push_back(dead, &a->cache_link);
		return ERR_PERM;
	}
	area_merge(a, dead);
	return OK;
}

static bool
can_be_sealed(const struct area *a)
{
	return a->flags & AREA_SHARED && a->flags & AREA_MAY_WRITE && a->file->cache &&
	       !(a->file->cache->seals & F_SEAL_SEAL);
}

/* Enters a new area; the range is free. Lock held. */
static enum err
map_area(struct aspace *as, struct area *a, struct list *dead)
{
	enum err err = OK;

	if (a->file)
		err = a->file->ops->mmap(a->file, a);
	if (err != OK) {
		list_push_back(dead, &a->cache_link);
		a->ops = &anon_area_ops; /* nothing to close */
		return err;
	}
	if (a->file && can_be_sealed(a))
		return enter_writer(a, dead);
	area_enter(a, dead);
	return OK;
}

/* aspace_map with everything but the place decided; takes `a` over. */
static long
place_area(struct aspace *as, struct area *a, vaddr_t hint, int flags)
{
	size_t len = a->end;
	struct list dead;
	long addr;
	enum err err;

	list_init(&dead);
	rwsem_lock(&as->lock);
	if (as->lock_future)
		a->flags |= AREA_LOCKED;
	addr = choose_place(as, hint, len, flags);
	err = addr < 0 ? (enum err)addr : OK;
	if (err == OK && !within_limits(as, len, a->flags))
		err = ERR_NOMEM;
	if (err == OK && flags & MAP_FIXED)
		err = range_unmap(as, (vaddr_t)addr, (vaddr_t)addr + len, &dead);
	if (err == OK) {
		flags = (int)a->flags;
		a->start = (vaddr_t)addr;
		a->end = (vaddr_t)addr + len;
		err = map_area(as, a, &dead);
	} else {
		list_push_back(&dead, &a->cache_link);
	}
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	if (err != OK)
		return err;
	/* As on Linux, what cannot be made present now is left to faults. */
	if (flags & AREA_LOCKED)
		(void)aspace_populate(as, (vaddr_t)addr, len);
	return addr;
}

long
aspace_map(struct aspace *as, vaddr_t hint, size_t len, int prot, int flags,
    struct file *file, loff_t offset)
{
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	long area_flags, addr;
	struct area *a;

	if (!len || offset < 0 || !IS_ALIGNED(offset, PAGE_SIZE))
		return ERR_INVAL;
	if (size < len || size > USER_SPACE_END)
		return ERR_NOMEM;
	if (offset + size > INT64_MAX)
		return ERR_OVERFLOW;
	if (flags & MAP_ANONYMOUS) {
		file = NULL;
		offset = 0;
	}
	area_flags = check_mapping(file, prot, flags);
	if (area_flags < 0)
		return area_flags;
	if (is_private_writable((uint32_t)area_flags) &&
	    is_obvious_overcommit(size, flags))
		return ERR_NOMEM;
	if (file)
		file_get(file);
	else if (area_flags & AREA_SHARED && !(file = shmem_file_create(size)))
		return ERR_NOMEM;
	a = area_alloc(as, 0, size, (uint32_t)area_flags);
	if (!a) {
		if (file)
			file_put(file);
		return ERR_NOMEM;
	}
	a->file = file;
	a->file_page = (uint64_t)offset >> PAGE_SHIFT;
	addr = place_area(as, a, hint, flags);
	if (addr >= 0 && flags & MAP_POPULATE && !(flags & MAP_NONBLOCK))
		(void)aspace_populate(as, (vaddr_t)addr, size);
	return addr;
}

enum err
aspace_map_stack(struct aspace *as, vaddr_t top, size_t len, int prot)
{
	long addr = aspace_map(as, top - len, len, prot,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, NULL, 0);

	return addr < 0 ? (enum err)addr : OK;
}

enum err
aspace_unmap(struct aspace *as, vaddr_t start, size_t len)
{
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	struct list dead;
	enum err err;

	if (size < len || !range_ok(start, size))
		return ERR_INVAL;
	list_init(&dead);
	rwsem_lock(&as->lock);
	err = range_unmap(as, start, start + size, &dead);
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	return err;
}

/*
 * Gives the part [start, end) of area *ap the flags; *ap is what is left of the area or
 * what it has been joined with.
 */
static enum err
change_flags(
    struct area **ap, vaddr_t start, vaddr_t end, uint32_t flags, struct list *dead)
{
	struct area *a = *ap;
	struct aspace *as = a->aspace;

	if (a->start < start) {
		a = area_split(a, start);
		if (!a)
			return ERR_NOMEM;
	}
	if (a->end > end && !area_split(a, end))
		return ERR_NOMEM;
	if (!is_private_writable(a->flags) && is_private_writable(flags) &&
	    !within_limits(as, a->end - a->start, flags))
		return ERR_NOMEM;
	area_set_flags(a, flags);
	*ap = area_merge(a, dead);
	return OK;
}

/* mprotect over existing areas; stops at a gap. Lock held. */
static enum err
protect_range(
    struct aspace *as, vaddr_t start, vaddr_t end, uint32_t rights, struct list *dead)
{
	struct area *a = area_find(as, start);
	struct tlb_batch batch;
	enum err err = OK;

	tlb_batch_begin(&batch, as);
	for (vaddr_t va = start; va < end && err == OK;) {
		vaddr_t stop;
		uint32_t flags;

		if (!a || a->start > va) {
			err = ERR_NOMEM;
			break;
		}
		stop = MIN(a->end, end);
		flags = (a->flags & ~AREA_ACCESS) | rights;
		if (rights & AREA_WRITE && !(a->flags & AREA_MAY_WRITE)) {
			err = ERR_ACCES;
		} else if (flags != a->flags) {
			err = change_flags(&a, va, stop, flags, dead);
			if (err == OK)
				upt_protect(as, va, stop, flags, &batch);
		}
		va = stop;
		a = area_find_from(as, va);
	}
	tlb_batch_end(&batch);
	return err;
}

enum err
aspace_protect(struct aspace *as, vaddr_t start, size_t len, int prot)
{
	size_t size = ALIGN_UP(len, PAGE_SIZE);
	struct list dead;
	enum err err;

	if (!IS_ALIGNED(start, PAGE_SIZE) ||
	    prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN |
	               PROT_GROWSUP))
		return ERR_INVAL;
	if (!len)
		return OK;
	if (size < len || !range_ok(start, size))
		return ERR_NOMEM;
	list_init(&dead);
	rwsem_lock(&as->lock);
	if (prot & PROT_GROWSDOWN) {
		struct area *a = area_find(as, start);

		if (a && a->flags & AREA_STACK) {
			size += start - a->start;
			start = a->start;
		}
	}
	err = protect_range(as, start, start + size, area_flags_of(prot), &dead);
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	return err;
}

/* Extends the heap from `old_end` to `new_end`, both page-aligned. Lock held. */
static enum err
grow_heap(struct aspace *as, vaddr_t old_end, vaddr_t new_end, struct list *dead)
{
	uint32_t flags = AREA_READ | AREA_WRITE | AREA_MAY_WRITE | AREA_HEAP;
	struct area *a = old_end > as->brk_start ? area_find(as, old_end - 1) : NULL;

	if (as->lock_future)
		flags |= AREA_LOCKED;
	if (new_end - as->brk_start > current_limit(RLIMIT_DATA) ||
	    !within_limits(as, new_end - old_end, flags) ||
	    !range_is_free(as, old_end, new_end + PAGE_SIZE))
		return ERR_NOMEM;
	if (a && a->end == old_end && a->flags == flags && !a->file) {
		area_set_end(a, new_end);
		return OK;
	}
	a = area_alloc(as, old_end, new_end, flags);
	return a ? map_area(as, a, dead) : ERR_NOMEM;
}

long
aspace_brk(struct aspace *as, vaddr_t new_brk)
{
	vaddr_t old_end, new_end, result;
	bool must_populate = false;
	struct list dead;
	enum err err = OK;

	list_init(&dead);
	rwsem_lock(&as->lock);
	if (new_brk >= as->brk_start && new_brk < USER_SPACE_END - PAGE_SIZE) {
		old_end = ALIGN_UP(as->brk, PAGE_SIZE);
		new_end = ALIGN_UP(new_brk, PAGE_SIZE);
		if (new_end > old_end)
			err = grow_heap(as, old_end, new_end, &dead);
		else if (new_end < old_end)
			err = range_unmap(as, new_end, old_end, &dead);
		if (err == OK)
			as->brk = new_brk;
		must_populate = err == OK && new_end > old_end && as->lock_future;
	}
	result = as->brk;
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	if (must_populate)
		(void)aspace_populate(as, old_end, new_end - old_end);
	return (long)result;
}
