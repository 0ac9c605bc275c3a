/*
 * RCU. A reader has preemption off, so a CPU that has called the scheduler
 * (runqueue.num_passes moved) has ended every section it was in. One kernel thread runs
 * the grace periods: it takes all callbacks waiting, notes every CPU's count, waits a
 * little, and then looks whether each CPU has moved on or idles. One that has not,
 * because it runs a long stretch in user mode or in the kernel, is made to call the
 * scheduler by an IPI.
 *
 * An idle CPU is not woken. It may be in an interrupt handler, which may read under RCU,
 * so irq_nesting must be 0; as that is written without a fence, we look only after the
 * little wait: a handler whose read section began before the grace period has made its
 * irq_nesting visible by then (stores leave a processor within microseconds), and one
 * that began later sees what was published.
 */
#include "kernel/sync/rcu.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/clock.h"

static const nsec_t POLL_INTERVAL = NSEC_PER_MSEC;
static const nsec_t STALL_TIME = 10 * NSEC_PER_SEC;

enum { POLLS_BEFORE_KICK = 3 };

/* Callbacks that wait for the next grace period: each CPU pushes on its own, the thread
 * takes all. */
static PER_CPU(struct rcu_head *, waiting);

static struct thread *rcu_thread;
static struct wait_queue work = WAIT_QUEUE_INIT(work);
static uint32_t has_work;        /* [a] */
static uint32_t num_synchronize; /* [a] threads that sleep in rcu_synchronize */

void
rcu_read_lock(void)
{
	preempt_disable();
}

void
rcu_read_unlock(void)
{
	preempt_enable();
}

void
rcu_call(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_head **list;

	head->func = func;
	irq_disable_nested();
	list = this_cpu_ptr(&waiting);
	head->next = __atomic_load_n(list, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
	    list, &head->next, head, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	irq_enable_nested();
	if (!__atomic_load_n(&has_work, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&has_work, 1, __ATOMIC_SEQ_CST))
		wait_queue_wake_all(&work);
}

/* All callbacks of all CPUs, as one list. */
static struct rcu_head *
take_waiting(void)
{
	struct rcu_head *all = NULL, *next;
	struct cpu *cpu;

	for_each_online_cpu(cpu) {
		struct rcu_head *h = __atomic_exchange_n(
		    per_cpu_ptr(&waiting, cpu), NULL, __ATOMIC_ACQUIRE);

		for (; h; h = next) {
			next = h->next;
			h->next = all;
			all = h;
		}
	}
	return all;
}

static uint64_t
passes(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu_rq(cpu)->num_passes, __ATOMIC_RELAXED);
}

static bool
is_quiet(const struct cpu *cpu)
{
	const struct runqueue *rq = cpu_rq(cpu);

	return __atomic_load_n(&rq->current, __ATOMIC_ACQUIRE) == rq->idle &&
	       !__atomic_load_n(&cpu->irq_nesting, __ATOMIC_ACQUIRE);
}

static void
report_stall(const struct cpu *cpu)
{
	const struct thread *t = cpu_rq(cpu)->current;

	log_warn("rcu: CPU %u has not called the scheduler for 10 s; it runs %s (%u)",
	    cpu->id, t->name, t->tid);
}

/* Waits for every CPU online at the start. CPUs that come later cannot have seen the old
 * data. */
static void
wait_grace_period(void)
{
	static uint64_t before[MAX_CPUS];
	static struct cpumask pending;
	nsec_t start = clock_now_ns();
	bool is_reported = false;
	struct cpu *cpu;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	pending = (struct cpumask){0};
	for_each_online_cpu(cpu) {
		before[cpu->id] = passes(cpu);
		cpumask_set(&pending, cpu->id);
	}
	for (unsigned polls = 0; !cpumask_is_empty(&pending); polls++) {
		bool must_kick =
		    polls == POLLS_BEFORE_KICK || (polls == 0 && num_synchronize);

		if (!is_reported && clock_now_ns() - start > STALL_TIME) {
			is_reported = true;
			for_each_online_cpu(cpu)
				if (cpumask_test(&pending, cpu->id))
					report_stall(cpu);
		}
		for_each_online_cpu(cpu) {
			if (!cpumask_test(&pending, cpu->id))
				continue;
			if (passes(cpu) != before[cpu->id] || (polls && is_quiet(cpu)))
				cpumask_clear(&pending, cpu->id);
			else if (must_kick && !is_quiet(cpu))
				sched_kick(cpu);
		}
		if (!cpumask_is_empty(&pending))
			thread_sleep_ns(POLL_INTERVAL);
	}
}

static void
rcu_main(void *arg)
{
	for (;;) {
		struct rcu_head *h, *next;

		(void)wait_event(&work,
		    __atomic_exchange_n(&has_work, 0, __ATOMIC_SEQ_CST),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		h = take_waiting();
		if (h)
			wait_grace_period();
		for (; h; h = next) {
			next = h->next;
			h->func(h);
		}
	}
}

void
rcu_init(void)
{
	rcu_thread = thread_create_kernel("rcu", rcu_main, NULL);
	if (!rcu_thread)
		panic("no memory for the RCU thread");
	thread_start(rcu_thread);
}

struct synchronizer {
	struct rcu_head head;
	struct thread *thread;
	bool is_done;
};

/* The thread cannot be freed before this returns: only the RCU thread frees threads. */
static void
synchronize_done(struct rcu_head *head)
{
	struct synchronizer *s = container_of(head, struct synchronizer, head);
	struct thread *t = s->thread;

	__atomic_store_n(&s->is_done, true, __ATOMIC_SEQ_CST); /* `s` may be gone now */
	thread_wake(t);
}

void
rcu_synchronize(void)
{
	struct synchronizer s = {.thread = current_thread()};

	assert_may_sleep();
	__atomic_fetch_add(&num_synchronize, 1, __ATOMIC_RELAXED);
	rcu_call(&s.head, synchronize_done);
	for (;;) {
		thread_set_state(THREAD_BLOCKED);
		if (__atomic_load_n(&s.is_done, __ATOMIC_ACQUIRE))
			break;
		schedule();
	}
	thread_set_state(THREAD_RUNNABLE);
	__atomic_fetch_sub(&num_synchronize, 1, __ATOMIC_RELAXED);
}
