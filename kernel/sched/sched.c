/*
 * The scheduler's frame: switching, waking, preemption, the idle loop.
 *
 * Each CPU has a run queue (runqueue.c decides who is next on it). The lock of the queue
 * that a thread belongs to (t->sched.cpu) guards its scheduling state, and its change
 * from asleep to runnable. A CPU holds its queue's lock from the decision to switch until
 * the switch is done: the next thread releases what the previous one took. So whoever
 * holds that lock sees a thread either running or with all its registers saved, and a
 * woken thread can never run on two CPUs.
 *
 * Preemption: whoever makes a better thread runnable sets cpu->need_resched, by an IPI if
 * the CPU is another. It is looked at when the last interrupt-off section, preemption-off
 * section or interrupt ends.
 *
 * Time: run time is charged at switches, wake-ups and by one timer for each CPU, armed
 * only while a thread runs there: for the end of the slice if others wait, else ten times
 * a second. It is never disarmed: when it comes too early it arms itself anew, which is
 * cheaper than a timer for each switch.
 */
#include "kernel/sched/sched.h"

#include "kernel/panic.h"
#include "kernel/proc/cpu_limits.h"
#include "kernel/proc/rseq.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/clock.h"
#include "kernel/x86/context.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/trap.h"
#include "mm/aspace.h"

static const nsec_t SAMPLE_PERIOD = 100 * NSEC_PER_MSEC;
static const nsec_t KERNEL_STRETCH = 500 * NSEC_PER_USEC;

PER_CPU(struct runqueue, runqueues);

struct runqueue *
thread_rq_lock(struct thread *t)
{
	for (;;) {
		struct cpu *cpu = __atomic_load_n(&t->sched.cpu, __ATOMIC_RELAXED);
		struct runqueue *rq = cpu_rq(cpu);

		spin_lock(&rq->lock);
		if (likely(t->sched.cpu == cpu))
			return rq;
		spin_unlock(&rq->lock);
	}
}

/*
 * Shares out run time between user and system. Nothing is noted when system calls begin
 * and end, so this judges by what it finds: an interrupt tells in which mode the thread
 * was (a sample, right on the average); when a thread sleeps, half of its run up to what
 * a stretch in the kernel takes at most was system time.
 */
static void
account(struct runqueue *rq, struct thread *t, nsec_t delta)
{
	nsec_t system;

	delta += rq->unaccounted_ns;
	rq->unaccounted_ns = 0;
	system = delta;
	if (t->process) {
		uint64_t vector = user_frame()->vector;

		if (vector >= TRAP_VECTORS && vector != TRAP_SYSCALL)
			system = 0;
		else if (this_cpu_is(irq_nesting, 0))
			system = MIN(delta / 2, KERNEL_STRETCH);
	}
	t->utime_ns += delta - system;
	t->stime_ns += system;
	rq->user_ns += delta - system;
	rq->system_ns += system;
}

void
rq_update_current(struct runqueue *rq, nsec_t now)
{
	struct thread *t = rq->current;
	nsec_t delta = now - t->sched.run_start_ns;

	if ((int64_t)delta <= 0)
		return;
	t->sched.run_start_ns = now;
	if (t == rq->idle) {
		rq->idle_ns += delta;
		return;
	}
	rq_charge(rq, delta, now);
	if (rq == this_rq())
		account(rq, t, delta);
	else
		rq->unaccounted_ns += delta;
}

/* ---- Making a CPU look ---- */

void
sched_kick(struct cpu *cpu)
{
	__atomic_store_n(&cpu->need_resched, 1, __ATOMIC_RELEASE);
	if (cpu != this_cpu())
		ipi_reschedule(cpu);
}

void
rq_kick(struct runqueue *rq)
{
	if (!rq->cpu->need_resched)
		sched_kick(rq->cpu);
}

/* Arms the slice timer, if it is not to come early enough anyway. This CPU, lock held. */
static void
arm_timer(struct runqueue *rq, nsec_t now)
{
	nsec_t in = rq->num_queued ? rq_turn_left_ns(rq, now) : SAMPLE_PERIOD, at;

	if (rq->num_queued && in > SCHED_BALANCE_PERIOD)
		in = SCHED_BALANCE_PERIOD;
	at = now + in;
	if (rq->timer_at && rq->timer_at <= at)
		return;
	rq->timer_at = at;
	timer_arm(&rq->timer, at);
}

static void
slice_timer(struct timer *timer)
{
	struct runqueue *rq = container_of(timer, struct runqueue, timer);
	nsec_t now = clock_now_ns();
	struct thread *t;

	spin_lock(&rq->lock);
	rq->timer_at = 0;
	if (rq->current != rq->idle) {
		rq_update_current(rq, now);
		if (rq->num_queued && !rq_turn_left_ns(rq, now))
			rq_kick(rq);
		sched_balance_tick(rq, now);
		/* Who switches arms it anew. Until then, with preemption off, a slice that is
		   over would fire without end. */
		if (!rq->cpu->need_resched)
			arm_timer(rq, now);
	}
	t = rq->current;
	spin_unlock(&rq->lock);
	if (t->process)
		cpu_limits_check(t);
}

/* `t` is new on rq's queue: preempt, or see to it that its turn comes. Lock held. */
void
sched_check_preempt(struct runqueue *rq, const struct thread *t)
{
	if (rq->cpu->need_resched)
		return;
	if (rq_should_preempt(rq, t))
		sched_kick(rq->cpu);
	else if (rq == this_rq())
		arm_timer(rq, rq->current->sched.run_start_ns);
	else if (rq->num_queued == 1)
		sched_kick(rq->cpu); /* it arms its timer itself */
}

/* ---- Waking ---- */

/* The queue of t->sched.cpu, locked; or another's, if the thread was forbidden that CPU since it
 * was chosen: thread_set_affinity found `t` on no queue. */
static NO_THREAD_SAFETY_ANALYSIS struct runqueue *
lock_allowed_rq(struct thread *t)
{
	for (;;) {
		struct runqueue *rq = thread_rq_lock(t);
		struct cpu *cpu = rq->cpu;

		if (unlikely(!cpumask_test(&t->sched.affinity, cpu->id)))
			cpu = sched_choose_cpu(rq, t, true);
		if (likely(cpu == rq->cpu))
			return rq;
		t->sched.cpu = cpu;
		thread_rq_unlock(rq);
	}
}

void
sched_enqueue_detached(struct thread *t)
{
	struct runqueue *rq = lock_allowed_rq(t);

	rq_update_current(rq, clock_now_ns());
	t->sched.wait_since_ns = rq->current->sched.run_start_ns;
	rq_attach(rq, t);
	rq_place_woken(rq, t);
	rq_add(rq, t);
	sched_check_preempt(rq, t);
	thread_rq_unlock(rq);
}

/* Wakes `t` if its state is in the set `states` (bit numbers enum thread_state). */
static bool
wake_from(struct thread *t, unsigned states)
{
	struct runqueue *rq = thread_rq_lock(t);
	struct cpu *cpu;

	if (!(1u << t->state & states)) {
		thread_rq_unlock(rq);
		return false;
	}
	if (t->sched.is_queued) { /* it has not yet got as far as switching away */
		t->state = THREAD_RUNNABLE;
		thread_rq_unlock(rq);
		return true;
	}
	rq->num_blocked -= t->state == THREAD_BLOCKED;
	__atomic_store_n(&t->state, THREAD_RUNNABLE, __ATOMIC_RELEASE);
	cpu = sched_choose_cpu(rq, t, false);
	if (cpu != rq->cpu) {
		rq_detach(rq, t);
		t->sched.cpu = cpu;
		thread_rq_unlock(rq);
		sched_enqueue_detached(t);
		return true;
	}
	if (rq->current != rq->idle) { /* else it does not wait to speak of */
		rq_update_current(rq, clock_now_ns());
		t->sched.wait_since_ns = rq->current->sched.run_start_ns;
	}
	rq_place_woken(rq, t);
	rq_add(rq, t);
	sched_check_preempt(rq, t);
	thread_rq_unlock(rq);
	return true;
}

bool
thread_wake(struct thread *t)
{
	return wake_from(
	    t, 1u << THREAD_SLEEPING | 1u << THREAD_BLOCKED | 1u << THREAD_STOPPED);
}

bool
thread_wake_interruptible(struct thread *t)
{
	return wake_from(t, 1u << THREAD_SLEEPING);
}

bool
thread_wake_killable(struct thread *t)
{
	unsigned states = 1u << THREAD_SLEEPING | 1u << THREAD_STOPPED;

	if (t->sched.is_killable)
		states |= 1u << THREAD_BLOCKED;
	return wake_from(t, states);
}

void
thread_set_state(enum thread_state state)
{
	__atomic_exchange_n(&current_thread()->state, state, __ATOMIC_SEQ_CST);
}

void
thread_start(struct thread *t)
{
	struct runqueue *rq = thread_rq_lock(t);

	ASSERT(t->state == THREAD_BLOCKED && !t->sched.is_queued);
	thread_get(t);
	t->state = THREAD_RUNNABLE;
	t->sched.cpu = sched_choose_cpu(rq, t, true);
	rq_place_new(t);
	thread_rq_unlock(rq);
	sched_enqueue_detached(t);
}

/* ---- Switching ---- */

/*
 * On the new thread's stack, still under the lock of this CPU's queue: lets go of the
 * thread that ran before. It may have been forbidden this CPU while it ran.
 */
static NO_THREAD_SAFETY_ANALYSIS void
finish_switch(struct thread *prev)
{
	struct runqueue *rq = this_rq();
	bool must_move = false;

	prev->sched.is_running = false;
	if (prev->state == THREAD_DEAD && !prev->sched.is_queued) {
		spin_unlock_no_resched(&rq->lock);
		thread_reap(prev);
		return;
	}
	if (unlikely(!prev->sched.is_queued && prev->state == THREAD_RUNNABLE &&
	             prev != rq->idle)) {
		must_move = true;
		rq_detach(rq, prev);
		prev->sched.cpu = sched_choose_cpu(rq, prev, true);
	}
	spin_unlock_no_resched(&rq->lock);
	if (must_move)
		sched_enqueue_detached(prev);
}

/* The running thread's place on the queue when it stops: whether it would go on. Lock held. */
static bool
put_current(struct runqueue *rq, struct thread *prev, bool is_preempted)
{
	if (!is_preempted && prev->state != THREAD_RUNNABLE) {
		prev->nvcsw++;
		prev->sched.rt_run_ns = 0;
		rq->num_blocked += prev->state == THREAD_BLOCKED;
		rq_current_leaves(rq);
		return false;
	}
	if (prev == rq->idle)
		return true;
	if (unlikely(!cpumask_test(&prev->sched.affinity, rq->cpu->id)) &&
	    prev->state != THREAD_DEAD) {
		prev->state = THREAD_RUNNABLE; /* it may just have been about to sleep */
		rq_current_leaves(rq);         /* finish_switch moves it */
	} else {
		rq_put_back(rq, prev, rq_slice_is_over(rq));
	}
	return true;
}

/* What a thread waited for its CPU is told in /proc/PID/schedstat. */
static void
account_wait(struct thread *prev, struct thread *next, nsec_t now)
{
	if (prev->sched.is_queued)
		prev->sched.wait_since_ns = now;
	if (next->sched.wait_since_ns) {
		next->sched.wait_ns += now - MIN(now, next->sched.wait_since_ns);
		next->sched.wait_since_ns = 0;
	}
}

static struct thread *
pick_next(struct runqueue *rq, nsec_t now)
{
	struct thread *t = rq_pick(rq, now);

	if (!t && num_cpus > 1 && sched_pull(rq))
		t = rq_pick(rq, now);
	return t ? t : rq->idle;
}

static void
switch_to(struct runqueue *rq, struct thread *prev, struct thread *next)
{
	rq->num_switches++;
	if (num_cpus > 1 && (prev == rq->idle || next == rq->idle))
		sched_mark_idle(rq->cpu, next == rq->idle);
	next->sched.is_running = true;
	rseq_switch(prev, next);
	if (next->aspace && next->aspace != prev->aspace)
		aspace_switch(next->aspace); /* a kernel thread borrows the last one */
	prev = arch_switch(prev, next);
	finish_switch(prev); /* perhaps on another CPU than before */
}

/*
 * Lets the best thread run. `is_preempted`: the current one does not sleep, whatever its
 * state says. What the interrupt-off section began with is per CPU, but belongs to the
 * thread: it comes along to the CPU on which the thread goes on.
 */
static NO_THREAD_SAFETY_ANALYSIS void
reschedule(bool is_preempted)
{
	struct thread *prev = current_thread(), *next;
	struct runqueue *rq;
	uint32_t irq_was_on;
	bool goes_on;
	nsec_t now;

	irq_disable_nested();
	irq_was_on = this_cpu_read(irq_was_on);
	rq = this_rq();
	spin_lock(&rq->lock);
	this_cpu_write(need_resched, 0);
	rq->num_passes++;
	now = clock_now_ns();
	rq_update_current(rq, now);
	goes_on = put_current(rq, prev, is_preempted);
	next = pick_next(rq, now);
	next->sched.run_start_ns = now;
	rq->current = next;
	if (next != rq->idle)
		arm_timer(rq, now);
	if (next != prev) {
		account_wait(prev, next, now);
		prev->nivcsw += goes_on;
		switch_to(rq, prev, next);
	} else {
		spin_unlock_no_resched(&rq->lock);
	}
	this_cpu_write(irq_was_on, irq_was_on);
	irq_enable_nested_no_resched();
}

/* A new thread comes here instead of returning from arch_switch. */
void
sched_thread_begin(struct thread *prev)
{
	finish_switch(prev);
	this_cpu_write(irq_was_on, RFLAGS_IRQ_ON);
	irq_enable_nested();
}

void
schedule(void)
{
	if (CONFIG_DEBUG &&
	    (this_cpu_read(preempt_count) || this_cpu_read(irq_off_depth) ||
	        this_cpu_read(irq_nesting)))
		panic("schedule() with preemption off %u, interrupts off %u, in "
		      "interrupt %u",
		    this_cpu_read(preempt_count), this_cpu_read(irq_off_depth),
		    this_cpu_read(irq_nesting));
	do
		reschedule(false);
	while (!this_cpu_is(need_resched, 0));
}

void
preempt_schedule_irq(void)
{
	do
		reschedule(true);
	while (!this_cpu_is(need_resched, 0));
}

void
sched_preempt(void)
{
	while (!this_cpu_is(need_resched, 0) && this_cpu_is(preempt_count, 0) &&
	       this_cpu_is(irq_off_depth, 0) && this_cpu_is(irq_nesting, 0) &&
	       irq_is_on())
		reschedule(true);
}

void
thread_yield(void)
{
	struct runqueue *rq;

	irq_disable_nested();
	rq = this_rq();
	if (rq->num_queued) {
		spin_lock(&rq->lock);
		rq_update_current(rq, clock_now_ns());
		rq_yield(rq);
		rq->cpu->need_resched = 1;
		spin_unlock(&rq->lock);
	}
	irq_enable_nested(); /* switches */
}

/* ---- Bring-up and idling ---- */

static void
idle_loop(void *arg)
{
	for (;;) {
		irq_off_raw();
		if (this_cpu_is(need_resched, 0))
			irq_on_and_halt();
		else
			irq_on_raw();
		if (!this_cpu_is(need_resched, 0))
			schedule();
	}
}

static void
start_queue(struct cpu *cpu, struct thread *idle, struct thread *current)
{
	struct runqueue *rq = cpu_rq(cpu);

	rq_init(rq, cpu);
	timer_init(&rq->timer, slice_timer);
	rq->idle = idle;
	rq->current = current;
}

struct thread *
sched_create_idle(struct cpu *cpu)
{
	struct thread *t = thread_create_idle(cpu, idle_loop);

	if (t)
		start_queue(cpu, t, t);
	return t;
}

void
sched_init(void)
{
	struct thread *idle, *boot;
	struct runqueue *rq;

	threads_init();
	idle = sched_create_idle(this_cpu());
	boot = thread_create_boot();
	if (!idle || !boot)
		panic("no memory for the first threads");
	rq = this_rq();
	rq->current = boot;
	rq_current_joins(rq);
	boot->sched.is_running = true;
	boot->state = THREAD_RUNNABLE;
	arch_thread_adopt(boot);
	rcu_init();
	sched_start_loadavg();
	irq_on_raw();
}

void
sched_cpu_online(void)
{
	struct cpu *cpu = this_cpu();
	struct runqueue *rq = this_rq();

	rq->idle->sched.is_running = true;
	rq->idle->sched.run_start_ns = clock_now_ns();
	arch_thread_adopt(rq->idle);
	__atomic_store_n(&cpu->is_online, 1, __ATOMIC_RELEASE);
	sched_mark_idle(cpu, true);
	idle_loop(NULL);
	__builtin_unreachable();
}
