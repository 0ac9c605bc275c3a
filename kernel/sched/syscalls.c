/*
 * The system calls about scheduling: sched_*, nice values, affinity. Who may change whom
 * is as on Linux (sched(7), getpriority(2)): the owner may weaken a thread or strengthen
 * it within its rlimits, CAP_SYS_NICE may do all.
 */
#include "kernel/proc/process.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	NICE_MIN = -20,
	NICE_MAX = 19,
};

enum priority_which { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

struct sched_param {
	int priority;
};

/* A reference to thread `tid`, 0: the caller's own. NULL: none. */
static struct thread *
find_thread(int tid)
{
	if (tid < 0)
		return NULL;
	return tid == 0 ? thread_get(current_thread()) : thread_find((uint32_t)tid);
}

static bool
may_change(const struct thread *t)
{
	const struct cred *mine = current_cred();
	bool is_owner;

	rcu_read_lock();

	const struct cred *its = rcu_dereference(t->process->cred);

	is_owner = mine->euid == its->euid || mine->euid == its->uid;
	rcu_read_unlock();
	return is_owner || capable(CAP_SYS_NICE);
}

/* Whether the nice value is within what RLIMIT_NICE (20 - nice) lets its owner reach. */
static bool
may_set_nice(const struct thread *t, int nice)
{
	return nice >= t->sched.nice ||
	       (uint64_t)(20 - nice) <= t->process->rlimits[RLIMIT_NICE].cur ||
	       capable(CAP_SYS_NICE);
}

static bool
is_rt_policy(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

enum { SCHED_DEADLINE = 6 }; /* its range of priorities is told; it cannot be chosen */

static bool
is_policy(int policy)
{
	return is_rt_policy(policy) || policy == SCHED_NORMAL || policy == SCHED_BATCH ||
	       policy == SCHED_IDLE;
}

static bool
may_set_policy(const struct thread *t, int policy, int priority)
{
	if (capable(CAP_SYS_NICE))
		return true;
	if (is_rt_policy(policy))
		return priority <= t->sched.rt_priority ||
		       (uint64_t)priority <= t->process->rlimits[RLIMIT_RTPRIO].cur;
	/* Leaving SCHED_IDLE makes stronger. */
	return t->sched.policy != SCHED_IDLE || policy == SCHED_IDLE ||
	       (uint64_t)(20 - t->sched.nice) <= t->process->rlimits[RLIMIT_NICE].cur;
}

static long
set_policy(struct thread *t, int policy, int priority)
{
	bool resets = policy & SCHED_RESET_ON_FORK;

	policy &= ~SCHED_RESET_ON_FORK;
	if (!is_policy(policy) || priority < 0 || priority > 99 ||
	    is_rt_policy(policy) != (priority != 0))
		return ERR_INVAL;
	if (!may_change(t) || !may_set_policy(t, policy, priority))
		return ERR_PERM;
	t->sched.resets_on_fork = resets;
	return thread_set_policy(t, policy, t->sched.nice, priority);
}

long
sys_sched_yield(void)
{
	thread_yield();
	return 0;
}

long
sys_sched_setscheduler(int pid, int policy, const struct sched_param USER *param)
{
	struct sched_param p;
	struct thread *t;
	long result;

	if (!param || pid < 0)
		return ERR_INVAL;
	result = get_user(p, param);
	if (result)
		return result;
	t = find_thread(pid);
	if (!t)
		return ERR_SRCH;
	result = set_policy(t, policy, p.priority);
	thread_put(t);
	return result;
}

long
sys_sched_setparam(int pid, const struct sched_param USER *param)
{
	struct thread *t = find_thread(pid);
	int policy;

	if (!t)
		return pid < 0 ? ERR_INVAL : ERR_SRCH;
	policy = t->sched.policy | (t->sched.resets_on_fork ? SCHED_RESET_ON_FORK : 0);
	thread_put(t);
	return sys_sched_setscheduler(pid, policy, param);
}

long
sys_sched_getscheduler(int pid)
{
	struct thread *t = find_thread(pid);
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
	struct thread *t = find_thread(pid);
	struct sched_param p;

	if (!t)
		return pid < 0 ? ERR_INVAL : ERR_SRCH;
	p.priority = t->sched.rt_priority;
	thread_put(t);
	return param ? put_user(p, param) : ERR_INVAL;
}

long
sys_sched_get_priority_max(int policy)
{
	if (!is_policy(policy) && policy != SCHED_DEADLINE)
		return ERR_INVAL;
	return is_rt_policy(policy) ? 99 : 0;
}

long
sys_sched_get_priority_min(int policy)
{
	if (!is_policy(policy) && policy != SCHED_DEADLINE)
		return ERR_INVAL;
	return is_rt_policy(policy) ? 1 : 0;
}

long
sys_sched_rr_get_interval(int pid, struct timespec USER *interval)
{
	struct thread *t = find_thread(pid);
	struct timespec ts;

	if (!t)
		return pid < 0 ? ERR_INVAL : ERR_SRCH;
	ts = timespec_from_ns(thread_turn_ns(t));
	thread_put(t);
	return put_user(ts, interval);
}

/* ---- Affinity ---- */

long
sys_sched_setaffinity(int pid, unsigned len, const uint64_t USER *mask)
{
	struct cpumask m = {{0}};
	struct thread *t;
	long result = copy_from_user(&m, mask, MIN((size_t)len, sizeof(m)));

	if (result)
		return result;
	t = find_thread(pid);
	if (!t)
		return ERR_SRCH;
	result = may_change(t) ? thread_set_affinity(t, &m) : ERR_PERM;
	thread_put(t);
	if (result == OK && t == current_thread())
		schedule(); /* moves at once if it has to */
	return result;
}

/* The bytes written, as Linux's call returns them (the C library makes 0 of that). */
long
sys_sched_getaffinity(int pid, unsigned len, uint64_t USER *mask)
{
	size_t size = DIV_ROUND_UP(num_cpus, 64u) * sizeof(uint64_t);
	struct cpumask m = {{0}};
	struct thread *t;
	struct cpu *cpu;
	long err;

	if (len < size || len % sizeof(uint64_t))
		return ERR_INVAL;
	t = find_thread(pid);
	if (!t)
		return ERR_SRCH;
	for_each_online_cpu(cpu)
		if (cpumask_test(&t->sched.affinity, cpu->id))
			cpumask_set(&m, cpu->id);
	thread_put(t);
	err = copy_to_user(mask, &m, size);
	return err ? err : (long)size;
}

/* ---- Nice values of threads, groups and users ---- */

struct priority_walk {
	int which;
	uint32_t who;
	bool is_set;
	int nice;    /* set: the new value; get: the least found */
	long result; /* set: ERR_SRCH until one is found */
};

static long
set_nice(struct thread *t, int nice)
{
	if (!may_change(t))
		return ERR_PERM;
	if (!may_set_nice(t, nice))
		return ERR_ACCES;
	return thread_set_policy(t, t->sched.policy, nice, t->sched.rt_priority);
}

static bool
is_meant(const struct thread *t, const struct priority_walk *w)
{
	if (!t->process || t->flags & THREAD_EXITING)
		return false;
	if (w->which == PRIO_PROCESS)
		return t->tid == w->who;
	if (w->which == PRIO_PGRP)
		return process_pgid(t->process) == w->who;
	return rcu_dereference(t->process->cred)->uid == w->who;
}

static bool
visit(struct thread *t, void *arg)
{
	struct priority_walk *w = arg;
	long err;

	if (!is_meant(t, w))
		return true;
	if (!w->is_set) {
		w->nice = MIN(w->nice, t->sched.nice);
		w->result = 0;
		return true;
	}
	err = set_nice(t, w->nice);
	if (err || w->result == ERR_SRCH)
		w->result = err;
	return true;
}

/* PRIO_PROCESS: one thread, and so no walk over all. */
static long
look_at_thread(struct priority_walk *w)
{
	struct thread *t = w->who ? thread_find(w->who) : thread_get(current_thread());

	w->result = ERR_SRCH;
	if (!t)
		return ERR_SRCH;
	w->who = t->tid;
	visit(t, w);
	thread_put(t);
	return w->result;
}

static long
walk(struct priority_walk *w, int who)
{
	if (w->which < PRIO_PROCESS || w->which > PRIO_USER)
		return ERR_INVAL;
	w->who = (uint32_t)who;
	if (w->which == PRIO_PROCESS)
		return look_at_thread(w);
	if (who == 0 && w->which == PRIO_PGRP)
		w->who = process_pgid(current_process());
	else if (who == 0)
		w->who = current_cred()->uid;
	w->result = ERR_SRCH;
	thread_for_each(visit, w);
	return w->result;
}

/* 20 - nice, so that no value looks like an error. */
long
sys_getpriority(int which, int who)
{
	struct priority_walk w = {.which = which, .nice = NICE_MAX};
	long err = walk(&w, who);

	return err ? err : 20 - w.nice;
}

long
sys_setpriority(int which, int who, int nice)
{
	struct priority_walk w = {.which = which, .is_set = true};

	w.nice = MAX(NICE_MIN, MIN(nice, NICE_MAX));
	return walk(&w, who);
}
