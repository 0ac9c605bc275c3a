/*
 * prctl(2) on capabilities: the bounding set, the ambient set, and the flags that tell how they hang
 * together with user id 0 (capabilities(7)).
 */
#include "kernel/proc/cred.h"
#include "kernel/proc/proc_priv.h"

enum {
	PR_GET_KEEPCAPS = 7,
	PR_SET_KEEPCAPS = 8,
	PR_CAPBSET_READ = 23,
	PR_CAPBSET_DROP = 24,
	PR_GET_SECUREBITS = 27,
	PR_SET_SECUREBITS = 28,
	PR_CAP_AMBIENT = 47,
};

enum { AMBIENT_IS_SET = 1, AMBIENT_RAISE, AMBIENT_LOWER, AMBIENT_CLEAR_ALL };

static long
set_securebits(uint32_t bits)
{
	struct cred *c = cred_copy(current_cred());

	if (!c)
		return ERR_NOMEM;
	c->securebits = bits;
	process_set_cred(current_process(), c);
	return 0;
}

/* Locked flags stay as they are, and locks stay. */
static long
change_securebits(uint64_t bits)
{
	uint32_t old = current_cred()->securebits, locks = old & SECBITS_LOCKS;

	if ((bits & ~(uint64_t)SECBITS_ALL) || (locks & ~bits) ||
	    (((old ^ bits) << 1) & locks) || !capable(CAP_SETPCAP))
		return ERR_PERM;
	return set_securebits((uint32_t)bits);
}

static long
set_keep_caps(uint64_t on)
{
	uint32_t old = current_cred()->securebits;

	if (on > 1)
		return ERR_INVAL;
	if (old & SECBIT_KEEP_CAPS << 1)
		return ERR_PERM;
	return set_securebits(
	    on ? old | SECBIT_KEEP_CAPS : old & ~(uint32_t)SECBIT_KEEP_CAPS);
}

static long
drop_bounding(uint64_t cap)
{
	struct cred *c;

	if (!capable(CAP_SETPCAP))
		return ERR_PERM;
	if (cap > CAP_LAST)
		return ERR_INVAL;
	c = cred_copy(current_cred());
	if (!c)
		return ERR_NOMEM;
	c->cap_bounding &= ~(1ull << cap);
	process_set_cred(current_process(), c);
	return 0;
}

static long
set_ambient(uint64_t set)
{
	struct cred *c = cred_copy(current_cred());

	if (!c)
		return ERR_NOMEM;
	c->cap_ambient = set;
	process_set_cred(current_process(), c);
	return 0;
}

static long
ambient(uint64_t what, uint64_t cap)
{
	const struct cred *c = current_cred();
	uint64_t bit = 1ull << (cap & 63);

	if (what == AMBIENT_CLEAR_ALL)
		return cap ? ERR_INVAL : set_ambient(0);
	if (cap > CAP_LAST)
		return ERR_INVAL;
	switch (what) {
	case AMBIENT_IS_SET: return (c->cap_ambient & bit) != 0;
	case AMBIENT_RAISE:
		if (!(c->cap_permitted & c->cap_inheritable & bit) ||
		    (c->securebits & SECBIT_NO_CAP_AMBIENT_RAISE))
			return ERR_PERM;
		return set_ambient(c->cap_ambient | bit);
	case AMBIENT_LOWER: return set_ambient(c->cap_ambient & ~bit);
	default: return ERR_INVAL;
	}
}

long
prctl_caps(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
	const struct cred *c = current_cred();

	switch (option) {
	case PR_GET_KEEPCAPS: return (c->securebits & SECBIT_KEEP_CAPS) != 0;
	case PR_SET_KEEPCAPS: return set_keep_caps(arg2);
	case PR_CAPBSET_READ:
		return arg2 > CAP_LAST ? ERR_INVAL : (long)(c->cap_bounding >> arg2 & 1);
	case PR_CAPBSET_DROP: return drop_bounding(arg2);
	case PR_GET_SECUREBITS: return c->securebits;
	case PR_SET_SECUREBITS: return change_securebits(arg2);
	case PR_CAP_AMBIENT: return arg4 || arg5 ? ERR_INVAL : ambient(arg2, arg3);
	default: return ERR_INVAL;
	}
}
