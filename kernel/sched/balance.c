/*
 * Balancing. A CPU that runs out of work takes a waiting thread from the one with most.
 * One that has threads waiting looks fifty times a second for a CPU that is idle or has
 * less to do, or whose threads have had more than those here, and gives it one: so three
 * equal threads on two CPUs change places for ever, and each gets two thirds
 * (rq_should_move). A CPU whose only thread runs need not be woken for this.
 *
 * Two queues are locked by trying the second: there is no order of locks to keep.
 */
#include "kernel/sched/sched_priv.h"

enum { CANDIDATES = 8 }; /* threads looked at on the giver, for one that may move */

static bool
may_move(const struct runqueue *from, const struct runqueue *to, const struct thread *t)
{
	return cpumask_test(&t->sched.affinity, to->cpu->id) &&
	       rq_should_move(from, to, t);
}

static struct thread *
find_movable_rt(const struct runqueue *from, const struct runqueue *to)
{
	for (unsigned i = 0; i < RT_PRIORITIES; i++) {
		struct thread *t = list_first(&from->rt[i], struct thread, sched.link);

		if (t && may_move(from, to, t))
			return t;
	}
	return NULL;
}

/* A thread waiting on `from` that may and should run on `to`, or NULL. Both locked. */
static struct thread *
find_movable(const struct runqueue *from, const struct runqueue *to)
{
	struct thread *t = NULL;

	if (unlikely(from->rt_bitmap[0] | from->rt_bitmap[1]))
		t = find_movable_rt(from, to);
	if (t)
		return t;
	t = from->fair_first;
	for (unsigned n = 0; t && n < CANDIDATES; n++) {
		struct rb_node *next;

		if (may_move(from, to, t))
			return t;
		next = rb_next(&t->sched.node);
		t = next ? rb_entry(next, struct thread, sched.node) : NULL;
	}
	return NULL;
}

/* Both locked and charged: moves the thread that should go, if any. */
static struct thread *
move_one(struct runqueue *from, struct runqueue *to)
{
	struct thread *t;

	rq_sync(from, to);
	t = find_movable(from, to);
	if (t)
		rq_move(from, to, t);
	return t;
}

static bool
pull_from(struct runqueue *from, struct runqueue *to)
{
	struct thread *t;

	if (!spin_trylock(&from->lock))
		return false;
	t = move_one(from, to);
	spin_unlock_no_resched(&from->lock);
	return t != NULL;
}

bool
sched_pull(struct runqueue *to)
{
	struct runqueue *busiest = NULL;
	struct cpu *cpu;

	for_each_online_cpu(cpu) {
		struct runqueue *rq = cpu_rq(cpu);

		if (rq != to && rq->num_queued &&
		    (!busiest || rq_load(rq) > rq_load(busiest)))
			busiest = rq;
	}
	if (!busiest)
		return false;
	if (pull_from(busiest, to))
		return true;
	for_each_online_cpu(cpu) {
		struct runqueue *rq = cpu_rq(cpu);

		if (rq != to && rq != busiest && rq->num_queued && pull_from(rq, to))
			return true;
	}
	return false;
}

static bool
push_to(struct runqueue *to, struct runqueue *from, nsec_t now)
{
	struct thread *t;

	if (!spin_trylock(&to->lock))
		return false;
	rq_update_current(to, now);
	t = move_one(from, to);
	if (t) {
		to->next_balance = now + SCHED_BALANCE_PERIOD;
		sched_check_preempt(to, t);
	}
	spin_unlock_no_resched(&to->lock);
	return t != NULL;
}

/* Tries idle CPUs first, then all with less load, from the next one on. */
static void
push_somewhere(struct runqueue *from, nsec_t now)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 1; i < num_cpus; i++) {
			struct cpu *cpu = cpus[(from->cpu->id + i) % num_cpus];
			struct runqueue *to = cpu ? cpu_rq(cpu) : NULL;

			if (!cpu || !cpu->is_online || (pass == 0 && to->num_running) ||
			    rq_load(to) >= rq_load(from))
				continue;
			if (push_to(to, from, now))
				return;
		}
	}
}

void
sched_balance_tick(struct runqueue *rq, nsec_t now)
{
	if (num_cpus == 1 || !rq->num_queued || now < rq->next_balance)
		return;
	rq->next_balance = now + SCHED_BALANCE_PERIOD;
	push_somewhere(rq, now);
}
