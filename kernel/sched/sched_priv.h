/* Shared within kernel/sched: the run queues and what moves threads between them. */
#pragma once

#include "kernel/sched/runqueue.h"
#include "kernel/sched/sched.h"

extern struct runqueue runqueues; /* per CPU: only through the two below */

static inline struct runqueue *
cpu_rq(const struct cpu *cpu)
{
	return per_cpu_ptr(&runqueues, cpu);
}

static inline struct runqueue *
this_rq(void)
{
	return this_cpu_ptr(&runqueues);
}

/* Locks the run queue to which `t` belongs; the static analysis cannot follow a lock that
 * is returned. */
struct runqueue *thread_rq_lock(struct thread *t) NO_THREAD_SAFETY_ANALYSIS;

static inline NO_THREAD_SAFETY_ANALYSIS void
thread_rq_unlock(struct runqueue *rq)
{
	spin_unlock(&rq->lock);
}

/*
 * Puts `t`, runnable but on no queue and not running, on the queue of t->sched.cpu;
 * vruntime is relative (rq_detach). Preempts there if it should. No lock held.
 */
void sched_enqueue_detached(struct thread *t);

/* Charges the running thread up to now. Lock held. */
void rq_update_current(struct runqueue *, nsec_t now);

/* Makes rq's CPU call the scheduler soon. Lock held. */
void rq_kick(struct runqueue *);

/* placement.c: where a thread that becomes runnable should run. `rq` is its queue,
 * locked. */
struct cpu *sched_choose_cpu(
    const struct runqueue *rq, const struct thread *t, bool is_new);

/* placement.c: which CPUs are idle, a hint. */
void sched_mark_idle(const struct cpu *, bool is_idle);

/* `t` is new on the queue: makes its CPU switch to it, or arm its timer. Lock held. */
void sched_check_preempt(struct runqueue *, const struct thread *t);

/* How often a CPU on which threads wait looks for a better place for them. */
static const nsec_t SCHED_BALANCE_PERIOD = 20 * NSEC_PER_MSEC;

/* balance.c: fetches a waiting thread from a busier CPU; rq's lock is held. */
bool sched_pull(struct runqueue *rq);
void sched_balance_tick(
    struct runqueue *rq, nsec_t now); /* from the slice timer; lock held */

/* params.c: the RealTime priority that `t` has from others, 0: none. For inherit.c, under
 * its lock. */
void sched_set_inherited(struct thread *t, uint8_t priority);

/* thread.c */
void threads_init(void);
struct thread *thread_create_idle(struct cpu *cpu, void (*loop)(void *));
struct thread *thread_create_boot(void); /* the context that kernel_main runs in */
void thread_reap(struct thread *t);      /* it has run for the last time; any context */
unsigned thread_count(void);
extern uint32_t
    threads_max; /* [a] no more user threads are made when there are so many */
uint64_t thread_forks(void);

/* ---- The system calls ---- */

enum {
	NICE_MIN = -20,
	NICE_MAX = 19,
};

enum priority_which { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

/* A reference to thread `tid`, 0: the caller's own. NULL: none. */
struct thread *sched_find_thread(int tid);

/* Whether `t` is the caller's to change, by its user or CAP_SYS_NICE. */
bool sched_may_change(const struct thread *t);

/* Whether the nice value is within what RLIMIT_NICE (20 - nice) lets its owner reach. */
bool sched_may_set_nice(const struct thread *t, int nice);

/*
 * Calls `visit` for the threads that `which` and `who` mean, as getpriority(2) has them.
 * Returns `result`: ERR_SRCH as long as no visit has changed it; ERR_INVAL.
 */
struct sched_walk {
	int which;
	uint32_t who;
	void (*visit)(struct thread *t, struct sched_walk *w);
	int value;
	long result;
};
long sched_walk(struct sched_walk *w, int who);

/* stats.c: called once timers work */
void sched_start_loadavg(void);
