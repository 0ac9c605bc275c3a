/*
 * In-kernel tests of what CPUs do together: calls, one clock, timers armed and cancelled
 * across.
 */
#include "kernel/irq/irq.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"
#include "kernel/x86/ipi.h"

static struct thread *crew[MAX_CPUS];

/*
 * Runs `work` in a thread on each CPU, at the same time, and waits for all. False: no
 * memory.
 */
static bool
run_on_each_cpu(void (*work)(void *))
{
	struct cpu *c;
	bool ok = true;

	for_each_online_cpu(c) {
		struct cpumask mask = {{0}};

		cpumask_set(&mask, c->id);
		crew[c->id] = thread_create_kernel("selftest", work, c);
		if (!crew[c->id] || thread_set_affinity(crew[c->id], &mask) != OK)
			ok = false;
		else
			thread_start(crew[c->id]);
	}
	for_each_online_cpu(c) {
		if (!crew[c->id])
			continue;
		thread_join(crew[c->id]);
		thread_put(crew[c->id]);
	}
	return ok;
}

static unsigned
count_online(void)
{
	struct cpu *c;
	unsigned n = 0;

	for_each_online_cpu(c)
		n++;
	return n;
}

/* ---- Calls ---- */

enum { CALLS = 60 };

static uint32_t calls_seen; /* [a] */

static void
note_call(void *arg)
{
	__atomic_fetch_add(&calls_seen, 1, __ATOMIC_RELAXED);
}

/*
 * Half of the calls with interrupts off: two such callers must not wait for each other.
 */
static void
call_all(void *arg)
{
	for (unsigned i = 0; i < CALLS; i++) {
		if (i & 1)
			irq_disable_nested();
		ipi_call(&CPUMASK_ALL, note_call, NULL);
		if (i & 1)
			irq_enable_nested();
	}
}

SELFTEST(ipi_calls_of_all_cpus_at_once_are_each_answered)
{
	unsigned n = count_online();

	calls_seen = 0;
	SELFTEST_CHECK(run_on_each_cpu(call_all));
	SELFTEST_CHECK(calls_seen == CALLS * n * n);
}

/* ---- One clock ---- */

static nsec_t latest_ns;  /* [a] the highest time any CPU has published */
static uint32_t num_back; /* [a] */

static void
watch_clock(void *arg)
{
	for (unsigned i = 0; i < 20000; i++) {
		nsec_t seen = __atomic_load_n(&latest_ns, __ATOMIC_ACQUIRE);
		nsec_t now = clock_now_ns();

		if (now < seen)
			__atomic_fetch_add(&num_back, 1, __ATOMIC_RELAXED);
		while (now > seen && !__atomic_compare_exchange_n(&latest_ns, &seen, now,
		                         false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
	}
}

SELFTEST(clock_is_the_same_on_all_cpus)
{
	latest_ns = 0;
	num_back = 0;
	SELFTEST_CHECK(run_on_each_cpu(watch_clock));
	SELFTEST_CHECK(num_back == 0);
}

/* ---- Timers ---- */

enum { SHARED_TIMERS = 8, ROUNDS = 3000 };

struct shared_timer {
	struct timer t;
	struct spinlock lock;
	bool is_dead;      /* [lock] cancelled: must not fire */
	uint64_t num_late; /* [lock] fired all the same */
	uint64_t num_fired;
};

static struct shared_timer shared[SHARED_TIMERS];

static void
shared_fired(struct timer *t)
{
	struct shared_timer *s = container_of(t, struct shared_timer, t);

	s->num_fired++;
	s->num_late += __atomic_load_n(&s->is_dead, __ATOMIC_SEQ_CST);
}

/*
 * All CPUs arm and cancel the same timers, which also fire, on whichever CPU armed them
 * last.
 */
static void
fight_over_timers(void *arg)
{
	const struct cpu *c = arg;
	uint32_t r = c->id * 2654435761u + 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct shared_timer *s;

		r = r * 1664525 + 1013904223;
		s = &shared[(r >> 8) % SHARED_TIMERS];
		if (r >> 29 == 0)
			(void)timer_cancel(&s->t);
		else
			timer_arm(&s->t, clock_now_ns() + (r >> 16) % 20000);
		if (i % 64 == 0)
			delay_ns(30000); /* let some of them fire */
	}
}

SELFTEST(timers_armed_and_cancelled_by_all_cpus)
{
	uint64_t fired = 0;

	for (unsigned i = 0; i < SHARED_TIMERS; i++) {
		shared[i] = (struct shared_timer){.num_fired = 0};
		timer_init(&shared[i].t, shared_fired);
	}
	/* Where the timer is emulated and the host busy, one fight may be over before it fires. */
	for (unsigned tries = 0; !fired && tries < 100; tries++) {
		SELFTEST_CHECK(run_on_each_cpu(fight_over_timers));
		for (unsigned i = 0; i < SHARED_TIMERS; i++)
			fired += __atomic_load_n(&shared[i].num_fired, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < SHARED_TIMERS; i++) {
		(void)timer_cancel(&shared[i].t);
		__atomic_store_n(&shared[i].is_dead, true, __ATOMIC_SEQ_CST);
	}
	thread_sleep_ns(NSEC_PER_MSEC);
	for (unsigned i = 0; i < SHARED_TIMERS; i++)
		SELFTEST_CHECK(!shared[i].num_late && !shared[i].t.cpu);
	SELFTEST_CHECK(fired > 0);
}

SELFTEST(sleep_is_never_short)
{
	for (nsec_t ns = 1000; ns < 20 * NSEC_PER_MSEC; ns *= 3) {
		nsec_t before = clock_now_ns();

		thread_sleep_ns(ns);
		SELFTEST_CHECK(clock_now_ns() - before >= ns);
	}
}

/*
 * A CPU with nothing to do is left alone: some timer of the kernel's own may come, no
 * tick.
 */
static uint64_t
timer_interrupts(void)
{
	struct cpu *c;
	uint64_t n = 0;

	for_each_online_cpu(c)
		n += irq_system_count(IRQ_SYS_TIMER, c->id);
	return n;
}

SELFTEST(idle_cpus_get_no_timer_ticks)
{
	uint64_t n = timer_interrupts();

	thread_sleep_ns(NSEC_PER_SEC / 2);
	n = timer_interrupts() - n;
	log_notice("%lu timer interrupts on %u CPUs in half a second", n, count_online());
	SELFTEST_CHECK(n < 20 * count_online());
}
