/*
 * ioprio_set(2), ioprio_get(2): what weight a thread's input and output is to have. It is
 * kept, inherited and told; no disk's queue asks for it.
 */
#include "kernel/proc/process.h"
#include "kernel/sched/sched_priv.h"
#include "syscalls.h"

enum io_class { IO_NONE, IO_RT, IO_BE, IO_IDLE };
enum { CLASS_SHIFT = 13, LEVELS = 8, WHO_PROCESS = 1 };

static enum err
ioprio_check(int ioprio)
{
	int class = ioprio >> CLASS_SHIFT, data = ioprio & ((1 << CLASS_SHIFT) - 1);

	switch (class) {
	case IO_NONE: return data ? ERR_INVAL : OK;
	case IO_RT:
		if (!capable(CAP_SYS_ADMIN) && !capable(CAP_SYS_NICE))
			return ERR_PERM;
		return data < LEVELS ? OK : ERR_INVAL;
	case IO_BE: return data < LEVELS ? OK : ERR_INVAL;
	case IO_IDLE: return OK;
	default: return ERR_INVAL;
	}
}

static bool
may_set_ioprio(const struct thread *t)
{
	const struct cred *mine = current_cred();
	uint32_t uid;

	rcu_read_lock();
	uid = rcu_dereference(t->process->cred)->uid;
	rcu_read_unlock();
	return uid == mine->euid || uid == mine->uid || capable(CAP_SYS_NICE);
}

static void
set_ioprio(struct thread *t, struct sched_walk *w)
{
	enum err err = may_set_ioprio(t) ? OK : ERR_PERM;

	if (err == OK)
		t->ioprio = (uint16_t)w->value;
	if (err != OK || w->result == ERR_SRCH)
		w->result = err;
}

/* One that was not set follows from the nice value. */
static int
ioprio_in_use(const struct thread *t)
{
	if (t->ioprio >> CLASS_SHIFT)
		return t->ioprio;
	if (t->sched.policy == SCHED_IDLE)
		return IO_IDLE << CLASS_SHIFT;
	return (t->sched.rt_priority ? IO_RT : IO_BE) << CLASS_SHIFT |
	       (t->sched.nice - NICE_MIN) / 5;
}

static void
get_ioprio(struct thread *t, struct sched_walk *w)
{
	int ioprio = w->which == PRIO_PROCESS ? t->ioprio : ioprio_in_use(t);

	w->value = w->result == ERR_SRCH ? ioprio : MIN(w->value, ioprio);
	w->result = 0;
}

/* Numbers of `which` are getpriority's and one; any other is none of those either. */
static int
walk_which(int which)
{
	return (int)((unsigned)which - WHO_PROCESS);
}

long
sys_ioprio_set(int which, int who, int ioprio)
{
	struct sched_walk w = {
	    .which = walk_which(which), .visit = set_ioprio, .value = ioprio};
	enum err err = ioprio_check(ioprio);

	return err == OK ? sched_walk(&w, who) : err;
}

long
sys_ioprio_get(int which, int who)
{
	struct sched_walk w = {.which = walk_which(which), .visit = get_ioprio};
	long err = sched_walk(&w, who);

	return err ? err : w.value;
}
