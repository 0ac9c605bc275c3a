/* Access to other processes; see access.h. */
#include "kernel/proc/access.h"

#include "kernel/proc/coredump.h"
#include "kernel/proc/process.h"
#include "mm/aspace.h"

static bool
has_ids(const struct cred *c, uint32_t uid, uint32_t gid)
{
	return uid == c->euid && uid == c->suid && uid == c->uid && gid == c->egid &&
	       gid == c->sgid && gid == c->gid;
}

static bool
is_allowed(const struct cred *me, const struct cred *it, enum access_mode mode)
{
	bool is_real = mode == ACCESS_REAL_IDS;

	if (!has_ids(it, is_real ? me->uid : me->fsuid, is_real ? me->gid : me->fsgid))
		return false;
	return !(it->cap_permitted & ~(is_real ? me->cap_permitted : me->cap_effective));
}

enum err
process_may_access_locked(struct process *p, enum access_mode mode)
{
	if (p == current_process() || capable(CAP_SYS_PTRACE))
		return OK;
	if (p->aspace && p->aspace->dumpable != DUMPABLE_USER)
		return ERR_PERM;
	return is_allowed(current_cred(), p->cred, mode) ? OK : ERR_PERM;
}

enum err
process_may_access(struct process *p, enum access_mode mode)
{
	enum err err;

	spin_lock(&p->lock);
	err = process_may_access_locked(p, mode);
	spin_unlock(&p->lock);
	return err;
}

enum err
process_access_aspace(struct process *p, enum access_mode mode, struct aspace **out)
{
	enum err err;

	spin_lock(&p->lock); /* so that an exec cannot come between look and reference */
	err = process_may_access_locked(p, mode);
	if (err == OK && !p->aspace)
		err = ERR_SRCH;
	if (err == OK)
		*out = aspace_get(p->aspace);
	spin_unlock(&p->lock);
	return err;
}
