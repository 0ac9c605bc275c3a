/*
 * The system calls about scheduling: yielding, nice values, affinity; those about policies
 * are in policy.c. Who may change whom
 * is as on Linux (sched(7), getpriority(2)): the owner may weaken a thread or strengthen
 * it within its rlimits, CAP_SYS_NICE may do all.
 */
#include "kernel/proc/process.h"
#include "kernel/sched/sched_priv.h"
#include "mm/usercopy.h"
#include "syscalls.h"

struct thread *
sched_find_thread(int tid)
{
	if (tid < 0)
		return NULL;
	return tid == 0 ? thread_get(current_thread()) : thread_find((uint32_t)tid);
}

bool
sched_may_change(const struct thread *t)
{
	const struct cred *mine = current_cred();
	bool is_owner;

	rcu_read_lock();

	const struct cred *its = rcu_dereference(t->process->cred);

	is_owner = mine->euid == its->euid || mine->euid == its->uid;
	rcu_read_unlock();
	return is_owner || capable(CAP_SYS_NICE);
}

bool
sched_may_set_nice(const struct thread *t, int nice)
{
	return nice >= t->sched.nice ||
	       (uint64_t)(20 - nice) <= t->process->rlimits[RLIMIT_NICE].cur ||
	       capable(CAP_SYS_NICE);
}

long
sys_sched_yield(void)
{
	thread_yield();
	return 0;
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
	t = sched_find_thread(pid);
	if (!t)
		return ERR_SRCH;
	result = sched_may_change(t) ? thread_set_affinity(t, &m) : ERR_PERM;
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
	t = sched_find_thread(pid);
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

static bool
is_meant(const struct thread *t, const struct sched_walk *w)
{
	if (!t->process || t->flags & THREAD_EXITING)
		return false;
	if (w->which == PRIO_PGRP)
		return t->process->pgroup && t->process->pgroup->pgid == w->who;
	return rcu_dereference(t->process->cred)->uid == w->who;
}

static bool
visit_if_meant(struct thread *t, void *arg)
{
	struct sched_walk *w = arg;

	if (is_meant(t, w))
		w->visit(t, w);
	return true;
}

long
sched_walk(struct sched_walk *w, int who)
{
	struct thread *t;

	if (w->which < PRIO_PROCESS || w->which > PRIO_USER)
		return ERR_INVAL;
	w->who = (uint32_t)who;
	w->result = ERR_SRCH;
	if (w->which == PRIO_PROCESS) {
		t = sched_find_thread(who);
		if (t) {
			w->visit(t, w);
			thread_put(t);
		}
		return w->result;
	}
	if (who == 0 && w->which == PRIO_PGRP)
		w->who = current_process()->pgroup->pgid;
	else if (who == 0)
		w->who = current_cred()->uid;
	thread_for_each(visit_if_meant, w);
	return w->result;
}

static void
get_nice(struct thread *t, struct sched_walk *w)
{
	w->value = MIN(w->value, t->sched.nice);
	w->result = 0;
}

static void
set_nice(struct thread *t, struct sched_walk *w)
{
	enum err err = OK;

	if (!sched_may_change(t))
		err = ERR_PERM;
	else if (!sched_may_set_nice(t, w->value))
		err = ERR_ACCES;
	else
		err =
		    thread_set_policy(t, t->sched.policy, w->value, t->sched.rt_priority);
	if (err != OK || w->result == ERR_SRCH)
		w->result = err;
}

/* 20 - nice, so that no value looks like an error. */
long
sys_getpriority(int which, int who)
{
	struct sched_walk w = {.which = which, .visit = get_nice, .value = NICE_MAX};
	long err = sched_walk(&w, who);

	return err ? err : 20 - w.value;
}

long
sys_setpriority(int which, int who, int nice)
{
	struct sched_walk w = {.which = which, .visit = set_nice};

	w.value = MAX(NICE_MIN, MIN(nice, NICE_MAX));
	return sched_walk(&w, who);
}
