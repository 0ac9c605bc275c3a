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
#include "mm/commit.h"
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

/* AREA_ACCOUNT where memory is promised by what is private and may be written. */
static uint32_t
account_flag(uint32_t flags)
{
	uint32_t kind = flags & (AREA_WRITE | AREA_SHARED | AREA_NORESERVE);

	return kind == AREA_WRITE ? AREA_ACCOUNT : 0;
}

/* MAP_NORESERVE means nothing where every promise is to be kept. */
static bool
is_noreserve(int flags)
{
	return flags & MAP_NORESERVE &&
	       __atomic_load_n(&overcommit_memory, __ATOMIC_RELAXED) != OVERCOMMIT_NEVER;
}

/*
 * Whether the limits let the new area, whose length is its end, come to `start`; `replaces`:
 * what is there goes.
 */
static bool
may_add(struct aspace *as, vaddr_t start, const struct area *new, bool replaces)
{
	uint64_t pages = new->end >> PAGE_SHIFT, gone = 0, gone_accounted = 0;
	vaddr_t end = start + new->end;
	struct area *a = replaces ? area_find_from(as, start) : NULL;

	if (!area_count_allows(as, 1))
		return false;
	for (; a && a->start < end; a = area_next(a)) {
		uint64_t n = (MIN(a->end, end) - MAX(a->start, start)) >> PAGE_SHIFT;

		gone += n;
		gone_accounted += a->flags & AREA_ACCOUNT ? n : 0;
	}
	if (new->flags & AREA_ACCOUNT &&pages > gone_accounted &&
	    !commit_allows(as, pages - gone_accounted))
		return false;
	return area_may_grow(as, pages - gone, new->flags & ~(uint32_t)AREA_ACCOUNT);
}

/* What a mapping of `f` (NULL: anonymous) may do: its area flags, or an err. */
static long
check_mapping(const struct file *f, int prot, int flags)
{
	uint32_t area = area_flags_of(prot) | AREA_MAY_WRITE;
	int type = flags & MAP_TYPE;

	if (type == MAP_SHARED_VALIDATE && f && flags & ~MAP_KNOWN)
		return ERR_OPNOTSUPP;
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
	if (flags & MAP_STACK && !f)
		area |= AREA_NO_HUGE; /* as Linux: of a thread's stack little is used */
	if (is_noreserve(flags))
		area |= AREA_NORESERVE;
	area |= account_flag(area);
	if (!f)
		return area;
	if (f->mode & FILE_PATH)
		return ERR_BADF;
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

/* Whether what ends at `end` is in the gap that a stack above it keeps. */
static bool
is_in_guard(struct aspace *as, vaddr_t end)
{
	const struct area *above = area_find_from(as, end);

	return above && above->flags & AREA_STACK && above->start - end < STACK_GUARD_GAP;
}

/* Where the mapping goes, or an err. Lock held. */
static long
choose_place(struct aspace *as, vaddr_t hint, size_t len, int flags)
{
	bool is_fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	vaddr_t top = flags & MAP_32BIT ? 0x80000000 : as->mmap_base, found;
	vaddr_t lowest = __atomic_load_n(&mmap_min_addr, __ATOMIC_RELAXED);

	if (is_fixed && !range_ok(hint, len))
		return IS_ALIGNED(hint, PAGE_SIZE) ? ERR_NOMEM : ERR_INVAL;
	if (is_fixed && hint < lowest && !capable(CAP_SYS_RAWIO))
		return ERR_PERM;
	if (flags & MAP_FIXED_NOREPLACE && !range_is_free(as, hint, hint + len))
		return ERR_EXIST;
	if (is_fixed)
		return (long)hint;
	hint = ALIGN_DOWN(hint, PAGE_SIZE);
	if (hint && hint < lowest)
		hint = lowest;
	if (hint && range_ok(hint, len) && range_is_free(as, hint, hint + len) &&
	    !is_in_guard(as, hint + len))
		return (long)hint;
	lowest = flags & MAP_32BIT ? 0x40000000 : MAX(lowest, (vaddr_t)PAGE_SIZE);
	found = range_find(as, len, lowest, top);
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

/* Whether a new area of `len` bytes may be locked; it is to be by the flag or mlockall. */
static enum err
may_be_locked(const struct aspace *as, size_t len, int flags)
{
	if (flags & MAP_LOCKED && !may_lock_any())
		return ERR_PERM;
	return area_may_lock(as, len >> PAGE_SHIFT) ? OK : ERR_AGAIN;
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
	a->flags |= as->lock_future;
	addr = choose_place(as, hint, len, flags);
	err = addr < 0 ? (enum err)addr : OK;
	if (err == OK && unlikely(a->flags & AREA_LOCKED))
		err = may_be_locked(as, len, flags);
	if (err == OK && !may_add(as, (vaddr_t)addr, a, flags & MAP_FIXED))
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
	if ((flags & (AREA_LOCKED | AREA_LOCK_ONFAULT)) == AREA_LOCKED)
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
	if (file)
		file_get(file);
	else if (area_flags & AREA_SHARED &&
	         !(file = shmem_file_create(size, area_flags & AREA_NORESERVE)))
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

/* Whether the limits allow the area what it has not now. */
static bool
may_change_flags(const struct area *a, uint32_t flags)
{
	uint64_t pages = (a->end - a->start) >> PAGE_SHIFT;
	uint32_t data = AREA_WRITE | AREA_SHARED | AREA_STACK;
	bool becomes_data =
	    (flags & data) == AREA_WRITE && (a->flags & data) != AREA_WRITE;

	if (becomes_data &&
	    a->aspace->data_pages + pages > current_limit(RLIMIT_DATA) >> PAGE_SHIFT)
		return false;
	return !(flags & ~a->flags & AREA_ACCOUNT) || commit_allows(a->aspace, pages);
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

	if (a->start < start) {
		a = area_split(a, start);
		if (!a)
			return ERR_NOMEM;
	}
	if (a->end > end && !area_split(a, end))
		return ERR_NOMEM;
	if (!may_change_flags(a, flags))
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
		flags |= account_flag(flags); /* once promised, it stays so */
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

	if (!IS_ALIGNED(start, PAGE_SIZE) || (prot & PROT_GROWSUP) ||
	    prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN))
		return ERR_INVAL;
	if (!len)
		return OK;
	if (size < len || !range_ok(start, size))
		return ERR_NOMEM;
	list_init(&dead);
	rwsem_lock(&as->lock);
	if (prot & PROT_GROWSDOWN) {
		struct area *a = area_find(as, start);

		if (!a || !(a->flags & AREA_STACK)) {
			rwsem_unlock(&as->lock);
			return a ? ERR_INVAL : ERR_NOMEM;
		}
		size += start - a->start;
		start = a->start;
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
	uint32_t flags =
	    AREA_READ | AREA_WRITE | AREA_MAY_WRITE | AREA_HEAP | AREA_ACCOUNT;
	struct area *a = old_end > as->brk_start ? area_find(as, old_end - 1) : NULL;

	flags |= as->lock_future;
	if (flags & AREA_LOCKED && !area_may_lock(as, (new_end - old_end) >> PAGE_SHIFT))
		return ERR_AGAIN;
	if (!area_may_grow(as, (new_end - old_end) >> PAGE_SHIFT, flags) ||
	    !area_count_allows(as, 1) || !range_is_free(as, old_end, new_end + PAGE_SIZE))
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
		if (new_brk - as->brk_start + (as->data_end - as->data_start) >
		    current_limit(RLIMIT_DATA))
			err = ERR_NOMEM;
		else if (new_end > old_end)
			err = grow_heap(as, old_end, new_end, &dead);
		else if (new_end < old_end)
			err = range_unmap(as, new_end, old_end, &dead);
		if (err == OK)
			as->brk = new_brk;
		must_populate =
		    err == OK && new_end > old_end && as->lock_future == AREA_LOCKED;
	}
	result = as->brk;
	rwsem_unlock(&as->lock);
	areas_free(&dead);
	if (must_populate)
		(void)aspace_populate(as, old_end, new_end - old_end);
	return (long)result;
}
