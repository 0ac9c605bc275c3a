/*
 * mlock and its kin (mlock(2)). Pages of programs' areas are not taken away while they are
 * locked; what remains is to make them present, and to count: a process may lock as much as
 * RLIMIT_MEMLOCK says, or all with CAP_IPC_LOCK.
 */
#include "kernel/proc/process.h"
#include "kernel/proc/signal.h"
#include "mm/area.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "syscalls.h"

enum { LOCK_FLAGS = AREA_LOCKED | AREA_LOCK_ONFAULT };

static struct aspace *
current_space(void)
{
	return current_process()->aspace;
}

/* mlock's range: from the page of `addr` to that of the last byte. False: it wraps. */
static bool
lock_range(vaddr_t *addr, size_t *len)
{
	size_t size = *len + *addr % PAGE_SIZE;

	if (size < *len || ALIGN_UP(size, PAGE_SIZE) < size)
		return false;
	*len = ALIGN_UP(size, PAGE_SIZE);
	*addr = ALIGN_DOWN(*addr, (vaddr_t)PAGE_SIZE);
	return *addr + *len >= *addr;
}

static enum err
count_unlocked(struct area *a, vaddr_t from, vaddr_t to, void *pages)
{
	if (!(a->flags & AREA_LOCKED))
		*(uint64_t *)pages += (to - from) >> PAGE_SHIFT;
	return OK;
}

/* Whether [addr, addr + len) may be locked; what is already does not count twice. */
static bool
may_lock(struct aspace *as, vaddr_t addr, size_t len)
{
	uint64_t pages = 0;
	bool may;

	rwsem_lock_shared(&as->lock);
	/* Gaps are found later. */
	(void)range_for_each_part(as, addr, addr + len, count_unlocked, &pages);
	may = area_may_lock(as, pages);
	rwsem_unlock_shared(&as->lock);
	return may;
}

static enum err
refuse_inaccessible(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	return a->flags & AREA_ACCESS ? OK : ERR_NOMEM;
}

/* Makes the range present, with the errors that mlock has for it. */
static enum err
make_present(struct aspace *as, vaddr_t addr, size_t len)
{
	enum err err = aspace_populate(as, addr, len);

	if (err == ERR_NOMEM)
		return ERR_AGAIN;
	if (err != OK)
		return err == ERR_INTR ? err : ERR_NOMEM;
	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, addr, addr + len, refuse_inaccessible, NULL);
	rwsem_unlock_shared(&as->lock);
	return err;
}

static long
lock_pages(vaddr_t addr, size_t len, bool on_fault)
{
	struct aspace *as = current_space();
	enum err err;

	if (!may_lock_any())
		return ERR_PERM;
	if (!lock_range(&addr, &len))
		return ERR_INVAL;
	if (!len)
		return OK;
	if (!range_ok(addr, len) || !may_lock(as, addr, len))
		return ERR_NOMEM;
	err = range_change_flags(as, addr, addr + len,
	    on_fault ? LOCK_FLAGS : AREA_LOCKED, on_fault ? 0 : AREA_LOCK_ONFAULT);
	if (err == OK && !on_fault)
		err = make_present(as, addr, len);
	return err;
}

long
sys_mlock(vaddr_t addr, size_t len)
{
	return lock_pages(addr, len, false);
}

long
sys_mlock2(vaddr_t addr, size_t len, int flags)
{
	return flags & ~MLOCK_ONFAULT ? ERR_INVAL : lock_pages(addr, len, flags);
}

long
sys_munlock(vaddr_t addr, size_t len)
{
	if (!lock_range(&addr, &len))
		return ERR_INVAL;
	if (!len)
		return OK;
	if (!range_ok(addr, len))
		return ERR_NOMEM;
	return range_change_flags(current_space(), addr, addr + len, 0, LOCK_FLAGS);
}

/* All areas at once; that there are gaps is no error here. */
static enum err
change_all(struct aspace *as, uint32_t set, uint32_t clear)
{
	enum err err = range_change_flags(as, 0, USER_SPACE_END, set, clear);

	return err == ERR_NOMEM ? OK : err;
}

/* Makes all areas present as far as can be. */
static void
populate_all(struct aspace *as)
{
	vaddr_t at = 0, end = 0;
	const struct area *a;

	do {
		rwsem_lock_shared(&as->lock);
		a = area_find_from(as, at);
		if (a) {
			at = a->start;
			end = a->end;
		}
		rwsem_unlock_shared(&as->lock);
		if (a && aspace_populate(as, at, end - at) == ERR_INTR)
			break;
		at = end;
	} while (a);
}

long
sys_mlockall(int flags)
{
	struct aspace *as = current_space();
	uint32_t set = flags & MCL_ONFAULT ? LOCK_FLAGS : AREA_LOCKED;
	uint64_t limit = current_limit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	enum err err = OK;

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) ||
	    flags == MCL_ONFAULT)
		return ERR_INVAL;
	if (!may_lock_any())
		return ERR_PERM;
	if (flags & MCL_CURRENT && as->num_pages > limit && !capable(CAP_IPC_LOCK))
		return ERR_NOMEM;
	rwsem_lock(&as->lock);
	as->lock_future = flags & MCL_FUTURE ? set : 0;
	rwsem_unlock(&as->lock);
	if (flags & MCL_CURRENT) {
		err = change_all(as, set, LOCK_FLAGS & ~set);
		if (err == OK && !(flags & MCL_ONFAULT))
			populate_all(as);
	}
	return err;
}

long
sys_munlockall(void)
{
	struct aspace *as = current_space();

	rwsem_lock(&as->lock);
	as->lock_future = 0;
	rwsem_unlock(&as->lock);
	return change_all(as, 0, LOCK_FLAGS);
}
