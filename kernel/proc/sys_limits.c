/* System calls about resource limits and times of processes. */
#include "syscalls.h"

#include "kernel/proc/proc_priv.h"
#include "kernel/time/clock.h"
#include "mm/usercopy.h"

enum { TICK_NS = 10000000 }; /* Linux's USER_HZ is 100 */

/* Decoded and checked, then set: the old value always comes out. */
static enum err
rlimit_change(
    struct process *p, unsigned which, const struct rlimit *new, struct rlimit *old)
{
	enum err err = OK;

	spin_lock(&p->lock);
	*old = p->rlimits[which];
	if (new) {
		if (new->cur > new->max)
			err = ERR_INVAL;
		else if (new->max > old->max && !capable(CAP_SYS_RESOURCE))
			err = ERR_PERM;
		else if (which == RLIMIT_NOFILE && new->max > 1 << 20)
			err = ERR_PERM; /* Linux's fs.nr_open */
		else
			p->rlimits[which] = *new;
	}
	spin_unlock(&p->lock);
	return err;
}

static bool
may_change_limits(struct process *p)
{
	const struct cred *me = current_cred();
	struct cred *it;
	bool ok;

	if (p == current_process() || capable(CAP_SYS_RESOURCE))
		return true;
	it = process_cred(p);
	ok = me->uid == it->euid && me->uid == it->suid && me->uid == it->uid &&
	     me->gid == it->egid && me->gid == it->sgid && me->gid == it->gid;
	cred_put(it);
	return ok;
}

long
sys_prlimit64(
    int pid, unsigned resource, const struct rlimit USER *lim, struct rlimit USER *uold)
{
	struct rlimit new, old;
	struct process *p;
	enum err err;

	if (resource >= RLIMITS)
		return ERR_INVAL;
	if (lim && get_user(new, lim) != OK)
		return ERR_FAULT;
	p = pid ? process_find((uint32_t)pid) : process_get(current_process());
	if (!p)
		return ERR_SRCH;
	err = may_change_limits(p) ? rlimit_change(p, resource, lim ? &new : NULL, &old)
	                           : ERR_PERM;
	process_put(p);
	if (err == OK && uold)
		err = put_user(old, uold);
	return err;
}

long
sys_getrlimit(unsigned resource, struct rlimit USER *lim)
{
	return lim ? sys_prlimit64(0, resource, NULL, lim) : ERR_FAULT;
}

long
sys_setrlimit(unsigned resource, const struct rlimit USER *lim)
{
	return lim ? sys_prlimit64(0, resource, lim, NULL) : ERR_FAULT;
}

struct tms {
	int64_t utime, stime, child_utime, child_stime;
};

long
sys_times(struct tms USER *buf)
{
	struct process *p = current_process();
	nsec_t utime, stime;
	struct tms t;

	process_times(p, &utime, &stime);
	t = (struct tms){(int64_t)(utime / TICK_NS), (int64_t)(stime / TICK_NS),
	    (int64_t)(p->child_utime_ns / TICK_NS),
	    (int64_t)(p->child_stime_ns / TICK_NS)};
	if (buf && put_user(t, buf) != OK)
		return ERR_FAULT;
	return (long)(clock_now_ns() / TICK_NS);
}
