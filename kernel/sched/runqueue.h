/*
 * One CPU's runnable threads, and who of them runs next. Pure: the caller holds `lock`,
 * gives the time, and does what switching needs. Private to kernel/sched.
 *
 * RealTime: a FIFO list for each priority and a bitmap of those in use. High, Normal, Low
 * and Idle: one tree ordered by virtual run time, which grows by real time divided by
 * weight; the leftmost has had least of its share. The running thread is on neither, but
 * counts in the sums.
 */
#pragma once

#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

enum { RT_PRIORITIES = 100 };

/* One word each, read without a lock. */
struct sched_tunables {
	nsec_t slice_ns;     /* the turn of one of two equal threads */
	nsec_t rr_slice_ns;  /* SCHED_RR's */
	nsec_t rt_period_ns; /* RealTime has rt_limit_ns in each such period ... */
	nsec_t rt_limit_ns;  /* ... while others wait */
};
extern struct sched_tunables sched_tunables;

struct runqueue {
	struct spinlock lock;
	struct cpu *cpu;        /* [I] */
	struct thread *current; /* [lock] */
	struct thread *idle;    /* [I] */

	/* All [lock]; read without it as hints by placement and balancing. */
	uint32_t num_queued;  /* on the lists or in the tree: waiting for the CPU */
	uint32_t num_running; /* those and the running thread, but not the idle thread */
	int32_t
	    num_blocked; /* sleeps begun here less ended here: the sum over CPUs counts */

	uint32_t num_rt;       /* RealTime threads of num_running */
	uint64_t rt_bitmap[2]; /* bit 99 - priority */
	struct list rt[RT_PRIORITIES];
	nsec_t rt_period_start; /* throttling: run time of RealTime in this period */
	nsec_t rt_used_ns;

	struct rb_root fair;
	struct thread *fair_first; /* leftmost, or NULL */
	uint64_t min_vruntime; /* no fair thread is much behind this; never goes back */
	uint64_t fair_weight;  /* of the queued and the running */
	uint64_t origin;       /* of vruntime here, for comparing with other queues */
	nsec_t idle_ns_seen;   /* idle_ns at the last rq_sync */

	uint64_t num_switches;
	uint64_t num_passes; /* calls of the scheduler: RCU's quiescent states */
	nsec_t idle_ns, user_ns, system_ns;
	nsec_t unaccounted_ns; /* charged by another CPU, not yet user or system time */

	struct timer timer; /* ends slices, samples run times, balances */
	nsec_t timer_at;    /* when it fires, 0: not armed */
	nsec_t next_balance;
};

void rq_init(struct runqueue *, struct cpu *);

/* Level, weight and such as policy and nice value want them; `t` is on no queue. */
void sched_params_set(struct thread *t, int policy, int nice, int rt_priority);

/* A runnable thread comes (and may be picked), or ends being runnable; it is not the
 * running one. */
void rq_add(struct runqueue *, struct thread *);
void rq_remove(struct runqueue *, struct thread *);

/* The running thread stops being runnable, or begins to be. */
void rq_current_leaves(struct runqueue *);
void rq_current_joins(struct runqueue *);

/* Takes the best thread off the queues to be run, or NULL. */
struct thread *rq_pick(struct runqueue *, nsec_t now);

/*
 * The running thread, still runnable, goes back: to the front of its priority if it was
 * preempted, else (`is_turn_over`: slice used up, yield) behind its equals.
 */
void rq_put_back(struct runqueue *, struct thread *, bool is_turn_over);

/* Accounts `delta_ns` of run time of the running thread. */
void rq_charge(struct runqueue *, nsec_t delta_ns, nsec_t now);

/* Whether `t`, queued here, should run instead of the running thread now. */
bool rq_should_preempt(const struct runqueue *, const struct thread *t);

/*
 * What `t` may run in one go while others wait, and whether the running thread has used
 * it up. turn_left: when the scheduler must be asked again, while others wait: at the end
 * of the slice, or when throttling of RealTime begins or ends.
 */
nsec_t rq_slice_ns(const struct runqueue *, const struct thread *t);
bool rq_slice_is_over(const struct runqueue *);
nsec_t rq_turn_left_ns(const struct runqueue *, nsec_t now);

/*
 * vruntime means something only among the threads of one CPU. One that leaves for another
 * takes along its distance to the others: rq_detach, rq_attach. A new thread starts
 * detached. After a sleep, the lead that a thread has on the others is bounded.
 */
void rq_place_woken(const struct runqueue *, struct thread *);
void rq_place_new(struct thread *);
void rq_detach(const struct runqueue *, struct thread *);
void rq_attach(const struct runqueue *, struct thread *);

/*
 * Balancing between two queues, both locked and charged up to now. Of equal threads, those
 * on a CPU with fewer get ahead of the others in virtual time, which has an `origin` on
 * each queue so that it can be compared. should_move: `t` of `from` goes where there is
 * less load; or, where that would only change which CPU has one thread more, where they
 * are ahead of it. It takes along what it lags behind, so all get the same in the end:
 * not at once, or nobody there would run for all that time, a woken thread neither; but
 * its run time counts half until it is made up, and until then it is not passed on.
 *
 * rq_sync makes the origins agree before that: a CPU that was idle in between did not
 * deprive anybody, and what two differ by is bounded (some may be bound to their CPU).
 */
void rq_sync(struct runqueue *from, struct runqueue *to);
bool rq_should_move(
    const struct runqueue *from, const struct runqueue *to, const struct thread *t);
void rq_move(struct runqueue *from, struct runqueue *to, struct thread *t);

/* What there is to do: weights of the runnable threads, RealTime ones heavy. A hint
 * without the lock. */
uint64_t rq_load(const struct runqueue *);

/* The running thread yields: its turn is over, and the one that waits longest comes
 * first. */
void rq_yield(struct runqueue *);

static inline bool
thread_is_rt(const struct thread *t)
{
	return t->sched.level == SCHED_LEVEL_REALTIME;
}
