/* Changing how a thread is scheduled, while it may be queued, running or asleep. */
#include "kernel/sched/inherit.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/clock.h"

struct sched_params {
	int policy, nice, rt_priority;
	uint8_t inherited;
};

/* As sched_params_set, for a thread in whatever state. Lock held. */
static void
change_locked(struct runqueue *rq, struct thread *t, const struct sched_params *p)
{
	bool is_current = rq->current == t,
	     is_waiting = t->sched.is_queued && !is_current;
	bool was_rt = thread_is_rt(t);

	rq_update_current(rq, clock_now_ns());
	if (is_waiting)
		rq_remove(rq, t);
	else if (is_current)
		rq_current_leaves(rq);
	t->sched.inherited = p->inherited;
	sched_params_set(t, p->policy, p->nice, p->rt_priority);
	if (was_rt && !thread_is_rt(t))
		t->sched.vruntime = rq->min_vruntime;
	if (is_waiting)
		rq_add(rq, t);
	else if (is_current)
		rq_current_joins(rq);
	if (is_waiting || is_current)
		rq_kick(rq);
}

enum err
thread_set_policy(struct thread *t, int policy, int nice, int rt_priority)
{
	struct runqueue *rq = thread_rq_lock(t);
	struct sched_params p = {policy, nice, rt_priority, t->sched.inherited};

	change_locked(rq, t, &p);
	thread_rq_unlock(rq);
	inherit_priority_changed(t);
	return OK;
}

void
sched_set_inherited(struct thread *t, uint8_t priority)
{
	struct runqueue *rq = thread_rq_lock(t);
	struct sched_params p = {
	    t->sched.policy, t->sched.nice, t->sched.rt_priority, priority};

	if (t->sched.inherited != priority)
		change_locked(rq, t, &p);
	thread_rq_unlock(rq);
}

enum err
thread_set_affinity(struct thread *t, const struct cpumask *mask)
{
	bool is_any_online = false;
	struct runqueue *rq;
	struct cpu *cpu;

	for_each_online_cpu(cpu)
		is_any_online |= cpumask_test(mask, cpu->id);
	if (!is_any_online)
		return ERR_INVAL;
	rq = thread_rq_lock(t);
	t->sched.affinity = *mask;
	if (cpumask_test(mask, rq->cpu->id) || !t->sched.is_queued) {
		thread_rq_unlock(rq); /* asleep: placed by the wake-up */
	} else if (rq->current == t) {
		rq_kick(rq); /* moves when it is switched away from */
		thread_rq_unlock(rq);
	} else {
		rq_remove(rq, t);
		rq_detach(rq, t);
		t->sched.cpu = sched_choose_cpu(rq, t, true);
		thread_rq_unlock(rq);
		sched_enqueue_detached(t);
	}
	return OK;
}

nsec_t
thread_turn_ns(struct thread *t)
{
	struct runqueue *rq = thread_rq_lock(t);
	bool is_fifo = t->sched.policy == SCHED_FIFO ||
	               (t->sched.inherited && !t->sched.rt_priority);
	nsec_t ns = is_fifo ? 0 : rq_slice_ns(rq, t);

	thread_rq_unlock(rq);
	return ns;
}
