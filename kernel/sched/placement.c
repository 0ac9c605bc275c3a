/*
 * Where a thread that becomes runnable runs: on its last CPU if that is idle (warm
 * caches), else on an idle CPU, first one of the same node, else where it was, unless
 * this CPU is clearly less loaded. All looks at other queues are without their locks: a
 * hint may be old, balancing corrects it.
 */
#include "kernel/sched/sched_priv.h"

#include "lib/bits.h"

static struct cpumask idle_cpus; /* [a] */

void
sched_mark_idle(const struct cpu *cpu, bool is_idle)
{
	uint64_t *word = &idle_cpus.bits[cpu->id / 64], bit = 1ull << cpu->id % 64;

	if (!(*word & bit) == !is_idle)
		return;
	if (is_idle)
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

static bool
is_idle(const struct cpu *cpu)
{
	const struct runqueue *rq = cpu_rq(cpu);

	return rq->current == rq->idle && !rq->num_queued;
}

static bool
is_allowed(const struct cpu *cpu, const struct thread *t)
{
	return cpu->is_online && cpumask_test(&t->sched.affinity, cpu->id);
}

/* An idle CPU for `t`, on the node of `near` if there is one, or NULL. */
static struct cpu *
find_idle(const struct cpu *near, const struct thread *t)
{
	struct cpu *found = NULL;

	for (unsigned w = 0; w * 64 < num_cpus; w++) {
		uint64_t bits = idle_cpus.bits[w] & t->sched.affinity.bits[w];

		for (; bits; bits &= bits - 1) {
			struct cpu *cpu = cpus[w * 64 + bit_first(bits)];

			if (!is_idle(cpu))
				continue;
			if (cpu->node == near->node)
				return cpu;
			found = cpu;
		}
	}
	return found;
}

static struct cpu *
find_least_loaded(const struct thread *t)
{
	struct cpu *cpu, *best = NULL;

	for_each_online_cpu(cpu)
		if (is_allowed(cpu, t) &&
		    (!best || rq_load(cpu_rq(cpu)) < rq_load(cpu_rq(best))))
			best = cpu;
	return best ? best
	            : t->sched.cpu; /* set_affinity leaves at least one that is online */
}

struct cpu *
sched_choose_cpu(const struct runqueue *rq, const struct thread *t, bool is_new)
{
	struct cpu *here = this_cpu(), *last = rq->cpu, *idle;
	bool may_stay = is_allowed(last, t);

	if (num_cpus == 1 || (may_stay && !is_new && is_idle(last)))
		return last;
	idle = find_idle(last, t);
	if (idle) {
		sched_mark_idle(idle, false); /* the next to look finds another */
		return idle;
	}
	if (is_new || !may_stay || (thread_is_rt(t) && rq->num_rt))
		return find_least_loaded(t);
	if (is_allowed(here, t) && rq_load(cpu_rq(here)) + t->sched.weight < rq_load(rq))
		return here;
	return last;
}
