/*
 * prctl(2) on what is kept and told: where a program says its code, data and strings lie (PR_SET_MM,
 * for /proc), when it is to learn of broken memory, and what the processor may guess.
 *
 * Speculation is left as the processor does it, as on Linux without mitigations: it is on and is not
 * turned off for a thread.
 */
#include "kernel/proc/cred.h"
#include "kernel/proc/proc_priv.h"
#include "mm/area.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/usercopy.h"

enum {
	PR_MCE_KILL = 33,
	PR_MCE_KILL_GET,
	PR_SET_MM,
	PR_GET_SPECULATION = 52,
	PR_SET_SPECULATION
};

/* ---- Where things lie --------------------------------------------------------------- */

enum { SET_AUXV = 12, SET_MAP = 14, SET_MAP_SIZE = 15 };
/* Of Linux's struct prctl_mm_map, which checkpoints use; that request is not there. */
enum { MAP_STRUCT_SIZE = 104 };

/* Where the bounds are that PR_SET_MM_* number 1 and up name; NULL: it is not settable here. */
static vaddr_t *
bound_of(struct aspace *as, uint64_t which)
{
	vaddr_t *const bounds[] = {
	    [1] = &as->code_start,
	    [2] = &as->code_end,
	    [3] = &as->data_start,
	    [4] = &as->data_end,
	    [8] = &as->arg_start,
	    [9] = &as->arg_end,
	    [10] = &as->env_start,
	    [11] = &as->env_end,
	};

	return which < ARRAY_SIZE(bounds) ? bounds[which] : NULL;
}

static enum err
set_bound_locked(struct aspace *as, uint64_t which, vaddr_t addr)
{
	enum { FIRST_OF_STRINGS = 8 };
	vaddr_t *bound = bound_of(as, which), old;

	if (!bound)
		return ERR_INVAL;
	if (which >= FIRST_OF_STRINGS && !area_find(as, addr))
		return ERR_FAULT;
	old = *bound;
	*bound = addr;
	if (as->code_start < as->code_end && as->data_start <= as->data_end &&
	    as->arg_start <= as->arg_end && as->env_start <= as->env_end)
		return OK;
	*bound = old;
	return ERR_INVAL;
}

static long
set_mm(uint64_t which, uint64_t addr, uint64_t arg4, uint64_t arg5)
{
	static const uint32_t size = MAP_STRUCT_SIZE;
	struct aspace *as = current_process()->aspace;
	enum err err;

	if (arg5 ||
	    (arg4 && which != SET_AUXV && which != SET_MAP && which != SET_MAP_SIZE))
		return ERR_INVAL;
	if (which == SET_MAP_SIZE)
		return copy_to_user((void USER *)addr, &size, sizeof(size));
	if (which == SET_MAP)
		return ERR_INVAL;
	if (!capable(CAP_SYS_RESOURCE))
		return ERR_PERM;
	if (addr < __atomic_load_n(&mmap_min_addr, __ATOMIC_RELAXED) ||
	    addr >= USER_SPACE_END)
		return ERR_INVAL;
	rwsem_lock(&as->lock);
	err = set_bound_locked(as, which, addr);
	rwsem_unlock(&as->lock);
	return err;
}

/* ---- Broken memory ------------------------------------------------------------------ */

static long
set_mce_kill(uint64_t what, uint64_t policy, uint64_t arg4, uint64_t arg5)
{
	struct thread *t = current_thread();

	if (arg4 || arg5 || what > 1 || policy > MCE_KILL_DEFAULT || (!what && policy))
		return ERR_INVAL;
	t->mce_kill = what ? (uint8_t)policy : MCE_KILL_DEFAULT;
	return 0;
}

/* ---- Speculation -------------------------------------------------------------------- */

enum { OF_STORE_BYPASS, OF_INDIRECT_BRANCH, OF_L1D_FLUSH };
enum { SPEC_ENABLE = 1 << 1, SPEC_DISABLE = 1 << 2, SPEC_FORCE_DISABLE = 1 << 3 };

static long
get_speculation(uint64_t which)
{
	switch (which) {
	case OF_STORE_BYPASS:
	case OF_INDIRECT_BRANCH: return SPEC_ENABLE;
	case OF_L1D_FLUSH: return SPEC_FORCE_DISABLE; /* no flush on a switch */
	default: return ERR_NODEV;
	}
}

static long
set_speculation(uint64_t which, uint64_t how)
{
	switch (which) {
	case OF_STORE_BYPASS: return ERR_NXIO; /* nothing to choose from */
	case OF_INDIRECT_BRANCH:
		if (how == SPEC_ENABLE)
			return 0;
		return how == SPEC_DISABLE || how == SPEC_FORCE_DISABLE ? ERR_PERM
		                                                        : ERR_RANGE;
	case OF_L1D_FLUSH: return ERR_PERM;
	default: return ERR_NODEV;
	}
}

long
prctl_values(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
	switch (option) {
	case PR_MCE_KILL: return set_mce_kill(arg2, arg3, arg4, arg5);
	case PR_MCE_KILL_GET:
		return arg2 || arg3 || arg4 || arg5 ? ERR_INVAL
		                                    : current_thread()->mce_kill;
	case PR_SET_MM: return set_mm(arg2, arg3, arg4, arg5);
	case PR_GET_SPECULATION:
		return arg3 || arg4 || arg5 ? ERR_INVAL : get_speculation(arg2);
	case PR_SET_SPECULATION:
		return arg4 || arg5 ? ERR_INVAL : set_speculation(arg2, arg3);
	default: return prctl_caps(option, arg2, arg3, arg4, arg5);
	}
}
