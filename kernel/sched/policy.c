/*
 * The system calls about policies: sched_setscheduler and its kin, sched_setattr. All come
 * to set_attr, which checks in Linux's order (sched(7), sched_setattr(2)).
 *
 * SCHED_DEADLINE is known, so its parameters are checked; but no thread can have it: there
 * is never bandwidth left for one (EBUSY).
 */
#include "kernel/proc/process.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/usercopy.h"
#include "syscalls.h"

struct sched_param {
	int priority;
};

/* Linux's. */
struct sched_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

enum {
	ATTR_SIZE_FIRST = 48,
	FLAG_RESET_ON_FORK = 1 << 0,
	FLAG_KEEP_POLICY = 1 << 3,
	FLAG_KEEP_PARAMS = 1 << 4,
	FLAG_UTIL_CLAMP = 3 << 5,
	FLAGS_KNOWN = (1 << 7) - 1,
	KEEP_POLICY = -1,
	DEADLINE_MIN_NS = 1024,
};

static bool
is_rt_policy(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool
is_fair_policy(int policy)
{
	return policy == SCHED_NORMAL || policy == SCHED_BATCH;
}

static bool
is_policy(int policy)
{
	return is_rt_policy(policy) || is_fair_policy(policy) || policy == SCHED_IDLE ||
	       policy == SCHED_DEADLINE;
}

static bool
is_deadline_valid(const struct sched_attr *a)
{
	uint64_t period = a->period ? a->period : a->deadline;

	return a->deadline && a->runtime >= DEADLINE_MIN_NS &&
	       !((a->deadline | period) >> 63) && a->runtime <= a->deadline &&
	       a->deadline <= period;
}

/* What the caller may do without CAP_SYS_NICE. */
static bool
may_set_attr(
    const struct thread *t, const struct sched_attr *a, int policy, bool resets_on_fork)
{
	uint64_t limit = t->process->rlimits[RLIMIT_RTPRIO].cur;

	if (capable(CAP_SYS_NICE))
		return true;
	if (is_fair_policy(policy) && !sched_may_set_nice(t, a->nice))
		return false;
	if (is_rt_policy(policy)) {
		if (policy != t->sched.policy && !limit)
			return false;
		if (a->priority > t->sched.rt_priority && a->priority > limit)
			return false;
	}
	if (policy == SCHED_DEADLINE)
		return false;
	/* Leaving SCHED_IDLE makes stronger. */
	if (t->sched.policy == SCHED_IDLE && policy != SCHED_IDLE &&
	    (uint64_t)(20 - t->sched.nice) > t->process->rlimits[RLIMIT_NICE].cur)
		return false;
	return sched_may_change(t) && (!t->sched.resets_on_fork || resets_on_fork);
}

/* `policy`: KEEP_POLICY keeps also what becomes of children. */
static long
set_attr(struct thread *t, const struct sched_attr *a, int policy)
{
	bool resets = a->flags & FLAG_RESET_ON_FORK;
	int nice = (int)t->sched.nice;

	if (policy == KEEP_POLICY) {
		policy = t->sched.policy;
		resets = t->sched.resets_on_fork;
	} else if (!is_policy(policy)) {
		return ERR_INVAL;
	}
	if (a->flags & ~(uint64_t)FLAGS_KNOWN || a->priority > 99)
		return ERR_INVAL;
	if ((policy == SCHED_DEADLINE && !is_deadline_valid(a)) ||
	    is_rt_policy(policy) != (a->priority != 0))
		return ERR_INVAL;
	if (!may_set_attr(t, a, policy, resets))
		return ERR_PERM;
	if (a->flags & FLAG_UTIL_CLAMP)
		return ERR_OPNOTSUPP;
	if (policy == SCHED_DEADLINE)
		return ERR_BUSY;
	t->sched.resets_on_fork = resets;
	if (a->flags & FLAG_KEEP_PARAMS) /* on Linux it keeps the policy with them */
		return OK;
	if (is_fair_policy(policy))
		nice = a->nice;
	return thread_set_policy(t, policy, nice, (int)a->priority);
}

static long
set_scheduler(int pid, int policy, const struct sched_param USER *param)
{
	struct sched_attr a = {0};
	struct sched_param p;
	struct thread *t;
	long result;

	if (!param || pid < 0)
		return ERR_INVAL;
	if (get_user(p, param) != OK)
		return ERR_FAULT;
	t = sched_find_thread(pid);
	if (!t)
		return ERR_SRCH;
	a.priority = (uint32_t)p.priority;
	a.nice = (int)t->sched.nice;
	if (policy != KEEP_POLICY && policy & SCHED_RESET_ON_FORK)
		a.flags = FLAG_RESET_ON_FORK;
	result = set_attr(
	    t, &a, policy == KEEP_POLICY ? policy : policy & ~SCHED_RESET_ON_FORK);
	thread_put(t);
	return result;
}

long
sys_sched_setscheduler(int pid, int policy, const struct sched_param USER *param)
{
	return policy < 0 ? ERR_INVAL : set_scheduler(pid, policy, param);
}

long
sys_sched_setparam(int pid, const struct sched_param USER *param)
{
	return set_scheduler(pid, KEEP_POLICY, param);
}

long
sys_sched_getscheduler(int pid)
{
	struct thread *t = sched_find_thread(pid);
	long policy;

	if (!t)
		return pid < 0 ? ERR_INVAL : ERR_SRCH;
	policy = t->sched.policy | (t->sched.resets_on_fork ? SCHED_RESET_ON_FORK : 0);
	thread_put(t);
	return policy;
}

long
sys_sched_getparam(int pid, struct sched_param USER *param)
{
	struct sched_param p;
	struct thread *t;

	if (!param || pid < 0)
		return ERR_INVAL;
	t = sched_find_thread(pid);
	if (!t)
		return ERR_SRCH;
	p.priority = t->sched.rt_priority;
	thread_put(t);
	return put_user(p, param);
}

/* ---- With all attributes ---- */

/* What a kernel does not know yet must be 0, so that nobody believes it was done. */
static enum err
check_rest_is_zero(const struct sched_attr USER *uattr, size_t size)
{
	const uint8_t USER *p = (const uint8_t USER *)uattr;
	uint8_t byte;

	for (size_t i = sizeof(*uattr); i < size; i++) {
		if (get_user(byte, p + i) != OK)
			return ERR_FAULT;
		if (byte)
			return ERR_2BIG;
	}
	return OK;
}

static enum err
get_attr(struct sched_attr *a, struct sched_attr USER *uattr)
{
	static const uint32_t known = sizeof(*a);
	uint32_t size;
	enum err err = ERR_2BIG;

	memset(a, 0, sizeof(*a));
	if (get_user(size, &uattr->size) != OK)
		return ERR_FAULT;
	if (!size)
		size = ATTR_SIZE_FIRST;
	if (size >= ATTR_SIZE_FIRST && size <= PAGE_SIZE)
		err = check_rest_is_zero(uattr, size);
	if (err == OK)
		err = copy_from_user(a, uattr, MIN(size, known));
	if (err == ERR_2BIG)
		(void)put_user(known, &uattr->size); /* the size is told if it can be */
	if (err != OK)
		return err;
	if ((a->flags & FLAG_UTIL_CLAMP) && size < known)
		return ERR_INVAL;
	a->nice = MAX(NICE_MIN, MIN(a->nice, NICE_MAX));
	return OK;
}

/* The parameters that go with the thread's policy. */
static void
read_params(struct sched_attr *a, const struct thread *t)
{
	if (is_rt_policy(t->sched.policy))
		a->priority = t->sched.rt_priority;
	else
		a->nice = (int)t->sched.nice;
}

long
sys_sched_setattr(int pid, struct sched_attr USER *uattr, unsigned flags)
{
	struct sched_attr a;
	struct thread *t;
	long result;

	if (!uattr || pid < 0 || flags)
		return ERR_INVAL;
	result = get_attr(&a, uattr);
	if (result)
		return result;
	if ((int)a.policy < 0)
		return ERR_INVAL;
	t = sched_find_thread(pid);
	if (!t)
		return ERR_SRCH;
	if (a.flags & FLAG_KEEP_PARAMS)
		read_params(&a, t);
	result =
	    set_attr(t, &a, a.flags & FLAG_KEEP_POLICY ? KEEP_POLICY : (int)a.policy);
	thread_put(t);
	return result;
}

long
sys_sched_getattr(int pid, struct sched_attr USER *uattr, unsigned usize, unsigned flags)
{
	struct sched_attr a = {0};
	struct thread *t;

	if (!uattr || pid < 0 || usize > PAGE_SIZE || usize < ATTR_SIZE_FIRST || flags)
		return ERR_INVAL;
	t = sched_find_thread(pid);
	if (!t)
		return ERR_SRCH;
	a.size = MIN(usize, (unsigned)sizeof(a));
	a.policy = t->sched.policy;
	if (t->sched.resets_on_fork)
		a.flags = FLAG_RESET_ON_FORK;
	read_params(&a, t);
	thread_put(t);
	return copy_to_user(uattr, &a, a.size);
}

/* ---- What there is ---- */

long
sys_sched_get_priority_max(int policy)
{
	if (!is_policy(policy))
		return ERR_INVAL;
	return is_rt_policy(policy) ? 99 : 0;
}

long
sys_sched_get_priority_min(int policy)
{
	if (!is_policy(policy))
		return ERR_INVAL;
	return is_rt_policy(policy) ? 1 : 0;
}

long
sys_sched_rr_get_interval(int pid, struct timespec USER *interval)
{
	struct thread *t = sched_find_thread(pid);
	struct timespec ts;

	if (!t)
		return pid < 0 ? ERR_INVAL : ERR_SRCH;
	ts = timespec_from_ns(thread_turn_ns(t));
	thread_put(t);
	return put_user(ts, interval);
}
