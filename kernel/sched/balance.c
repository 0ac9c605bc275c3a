/*
 * Balancing by pulling: a CPU that runs out of work takes a waiting thread from the one
 * with most; a busy one looks from time to time whether another has more. A move is made
 * when it leaves the receiver with no more weight than the giver had: so three equal
 * threads on two CPUs change places for ever, and each gets two thirds.
 *
 * The giver's lock is only tried, since the receiver's is held: no order of locks to
 * keep.
 */
#include "kernel/sched/sched_priv.h"

enum { CANDIDATES = 8 }; /* threads looked at on the giver, for one that may move */

static const nsec_t BALANCE_PERIOD = 50 * NSEC_PER_MSEC;

static bool
may_move(const struct runqueue *from, const struct runqueue *to, const struct thread *t)
{
	if (!cpumask_test(&t->sched.affinity, to->cpu->id))
		return false;
	if (thread_is_rt(t))
		return !thread_is_rt(to->current);
	return to->fair_weight + t->sched.weight <= from->fair_weight;
}

/* A thread waiting on `from` that may and should run on `to`, or NULL. Both locked. */
static struct thread *
find_movable(const struct runqueue *from, const struct runqueue *to)
{
	struct thread *t = from->fair_first;
	unsigned n = 0;

	for (unsigned i = 0;
	     i < RT_PRIORITIES && (from->rt_bitmap[0] | from->rt_bitmap[1]); i++) {
		struct thread *rt = list_first(&from->rt[i], struct thread, sched.link);

		if (rt && may_move(from, to, rt))
			return rt;
	}
	while (t && n++ < CANDIDATES && !may_move(from, to, t)) {
		struct rb_node *next = rb_next(&t->sched.node);

		t = next ? rb_entry(next, struct thread, sched.node) : NULL;
	}
	return n <= CANDIDATES ? t : NULL;
}

/* The queue with most weight that has threads waiting, or NULL. */
static struct runqueue *
find_busiest(const struct runqueue *to)
{
	struct runqueue *busiest = NULL;
	struct cpu *cpu;

	for_each_online_cpu(cpu) {
		struct runqueue *rq = cpu_rq(cpu);

		if (rq != to && rq->num_queued &&
		    (!busiest || rq->fair_weight > busiest->fair_weight))
			busiest = rq;
	}
	return busiest;
}

bool
sched_pull(struct runqueue *to)
{
	struct runqueue *from = find_busiest(to);
	struct thread *t;

	if (!from || !spin_trylock(&from->lock))
		return false;
	t = find_movable(from, to);
	if (t) {
		rq_remove(from, t);
		rq_detach(from, t);
		t->sched.cpu = to->cpu;
		rq_attach(to, t);
		rq_add(to, t);
	}
	spin_unlock_no_resched(&from->lock);
	return t != NULL;
}

/* Wakes an idle CPU, which then looks for work by itself. */
static bool
kick_idle_for(const struct thread *t)
{
	struct cpu *cpu;

	for_each_online_cpu(cpu) {
		struct runqueue *rq = cpu_rq(cpu);

		if (rq->current == rq->idle && !rq->num_queued &&
		    cpumask_test(&t->sched.affinity, cpu->id)) {
			sched_kick(cpu);
			return true;
		}
	}
	return false;
}

void
sched_balance_tick(struct runqueue *rq, nsec_t now)
{
	if (num_cpus == 1 || now < rq->next_balance)
		return;
	/* Each CPU has a phase of its own, so that not all look at once. */
	rq->next_balance = now + BALANCE_PERIOD + rq->cpu->id * NSEC_PER_MSEC;
	if (rq->fair_first && kick_idle_for(rq->fair_first))
		return;
	if (sched_pull(rq))
		rq_kick(rq);
}
