/* In-kernel tests of the scheduler: shares, balance, creation, and a stress of all
 * together. */
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/mutex.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"

enum { MAX_THREADS = 64 };

static struct thread *threads[MAX_THREADS];
static bool must_stop; /* [a] */

static void
spinner(void *arg)
{
	while (!__atomic_load_n(&must_stop, __ATOMIC_RELAXED))
		cpu_relax();
}

static struct thread *
spinner_start(int policy, int nice, int rt_priority, const struct cpumask *mask)
{
	struct thread *t = thread_create_kernel("spinner", spinner, NULL);

	if (thread_set_policy(t, policy, nice, rt_priority) != OK)
		log_err("policy %d refused", policy);
	if (thread_set_affinity(t, mask) != OK)
		log_err("affinity refused");
	thread_start(t);
	return t;
}

static nsec_t
run_time(struct thread *t)
{
	nsec_t utime, stime;

	thread_times(t, &utime, &stime);
	return utime + stime;
}

static void
stop_all(unsigned n)
{
	__atomic_store_n(&must_stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < n; i++) {
		thread_join(threads[i]);
		thread_put(threads[i]);
	}
	must_stop = false;
}

/*
 * n equal spinners for `duration`: each gets its share of all CPUs to within 10%. Exact
 * only where the host does not stop emulated CPUs one by one: under icount.
 */
static bool
spinners_share(unsigned n, nsec_t duration)
{
	nsec_t least = ~0ull, most = 0, ideal;
	unsigned percent = 10;

	for (unsigned i = 0; i < n; i++)
		threads[i] = spinner_start(SCHED_NORMAL, 0, 0, &CPUMASK_ALL);
	thread_sleep_ns(duration);
	for (unsigned i = 0; i < n; i++) {
		nsec_t ns = run_time(threads[i]);

		least = MIN(least, ns);
		most = MAX(most, ns);
	}
	stop_all(n);
	ideal = duration * MIN(n, num_cpus) / n;
	log_notice("%u spinners on %u CPUs: %llu to %llu ms, ideal %llu", n, num_cpus,
	    least / NSEC_PER_MSEC, most / NSEC_PER_MSEC, ideal / NSEC_PER_MSEC);
	return least >= ideal * (100 - percent) / 100 &&
	       most <= ideal * (100 + percent) / 100;
}

SELFTEST(spinners_are_balanced)
{
	SELFTEST_CHECK(spinners_share(num_cpus, 300 * NSEC_PER_MSEC));
	SELFTEST_CHECK(spinners_share(2 * num_cpus, NSEC_PER_SEC));
	SELFTEST_CHECK(spinners_share(num_cpus + 1, 3 * NSEC_PER_SEC));
}

/* Two spinners on one CPU share it by weight. */
static bool
weights_share(int nice_a, int nice_b, unsigned percent_a)
{
	struct cpumask mask = {0};
	nsec_t a, b;
	unsigned percent;

	cpumask_set(&mask, num_cpus - 1);
	threads[0] = spinner_start(SCHED_NORMAL, nice_a, 0, &mask);
	threads[1] = spinner_start(SCHED_NORMAL, nice_b, 0, &mask);
	thread_sleep_ns(600 * NSEC_PER_MSEC);
	a = run_time(threads[0]);
	b = run_time(threads[1]);
	stop_all(2);
	percent = (unsigned)(a * 100 / (a + b));
	log_notice("nice %d against nice %d: %u%%, ideal %u%%", nice_a, nice_b, percent,
	    percent_a);
	return percent + 4 >= percent_a && percent <= percent_a + 4;
}

SELFTEST(nice_values_give_shares)
{
	SELFTEST_CHECK(weights_share(0, 0, 50));
	SELFTEST_CHECK(weights_share(-5, 0, 75));
	SELFTEST_CHECK(weights_share(0, 10, 90));
}

/*
 * A slice that ends where there is no preemption ends at the next chance: until then its timer
 * leaves the CPU alone, so that the section comes to its end.
 */
SELFTEST(slice_ends_without_preemption)
{
	struct cpumask mask = {0};
	nsec_t end, before, within, after;

	cpumask_set(&mask, cpu_id());
	SELFTEST_CHECK(thread_set_affinity(current_thread(), &mask) == OK);
	threads[0] = spinner_start(SCHED_NORMAL, 0, 0, &mask);
	preempt_disable();
	before = run_time(threads[0]);
	end = clock_now_ns() + 100 * NSEC_PER_MSEC;
	while (clock_now_ns() < end)
		cpu_relax();
	within = run_time(threads[0]) - before;
	preempt_enable();
	after = run_time(threads[0]);
	stop_all(1);
	SELFTEST_CHECK(within == 0);
	SELFTEST_CHECK(after > before);
}

SELFTEST(realtime_leaves_a_twentieth)
{
	struct cpumask mask = {0};
	nsec_t rt, fair, start, slept;

	cpumask_set(&mask, num_cpus - 1);
	threads[0] = spinner_start(SCHED_NORMAL, 0, 0, &mask);
	start = clock_now_ns();
	threads[1] = spinner_start(SCHED_FIFO, 0, 10, &mask);
	thread_sleep_ns(2000 * NSEC_PER_MSEC);
	slept = clock_now_ns() - start;
	rt = run_time(threads[1]);
	fair = run_time(threads[0]);
	stop_all(2);
	/* On one CPU this thread too runs only in what RealTime leaves. */
	SELFTEST_CHECK(slept < (num_cpus == 1 ? 4100 : 2100) * NSEC_PER_MSEC);
	log_notice(
	    "realtime %llu ms, other %llu ms", rt / NSEC_PER_MSEC, fair / NSEC_PER_MSEC);
	SELFTEST_CHECK(rt > slept * 93 / 100 && rt < slept * 98 / 100);
	SELFTEST_CHECK(fair > slept * 2 / 100);
}

static void
nothing(void *arg)
{
	__atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

SELFTEST(threads_come_and_go)
{
	unsigned num_run = 0;
	struct sched_stats before, after;

	sched_get_stats(&before);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < MAX_THREADS; i++) {
			threads[i] = thread_create_kernel("short", nothing, &num_run);
			SELFTEST_CHECK(threads[i]);
			thread_start(threads[i]);
		}
		stop_all(MAX_THREADS);
	}
	sched_get_stats(&after);
	SELFTEST_CHECK(num_run == 50 * MAX_THREADS);
	SELFTEST_CHECK(after.num_threads == before.num_threads);
	SELFTEST_CHECK(after.forks - before.forks == num_run);
}

SELFTEST(affinity_moves_a_running_thread)
{
	threads[0] = spinner_start(SCHED_NORMAL, 0, 0, &CPUMASK_ALL);
	for (unsigned i = 0; i < 20; i++) {
		struct cpumask mask = {0};
		unsigned cpu = i * 7 % num_cpus;

		cpumask_set(&mask, cpu);
		SELFTEST_CHECK(thread_set_affinity(threads[0], &mask) == OK);
		for (unsigned ms = 0; ms < 1000 && threads[0]->sched.cpu->id != cpu; ms++)
			thread_sleep_ns(NSEC_PER_MSEC);
		SELFTEST_CHECK(threads[0]->sched.cpu->id == cpu);
	}
	stop_all(1);
}

/* ---- The stress ---- */

static struct wait_queue storm = WAIT_QUEUE_INIT(storm);
static struct mutex storm_mutex = MUTEX_INIT(storm_mutex, "storm", RANK_SETUP);
static uint64_t num_rounds; /* [a] */
static uint64_t guarded[2]; /* [storm_mutex] equal */

static void
storm_main(void *arg)
{
	uint64_t random = (uintptr_t)arg * 0x9e3779b97f4a7c15ull + 1;

	while (!__atomic_load_n(&must_stop, __ATOMIC_RELAXED)) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;

		unsigned choice = random >> 33 & 7;
		size_t size = 16u << (random >> 40 & 7);
		uint8_t *p = kmalloc(size);

		if (p)
			p[0] = p[size - 1] = (uint8_t)choice;
		if (choice < 2)
			thread_sleep_ns(random >> 44 & 0xfffff);
		else if (choice == 2)
			(void)wait_event(&storm, must_stop, WAIT_INTERRUPTIBLE,
			    clock_now_ns() + NSEC_PER_MSEC);
		else if (choice == 3)
			wait_queue_wake_all(&storm);
		else if (choice == 4)
			thread_yield();
		if (choice >= 4) {
			mutex_lock(&storm_mutex);
			guarded[0]++;
			guarded[1]++;
			mutex_unlock(&storm_mutex);
		}
		if (p && (p[0] != choice || p[size - 1] != choice))
			log_err("FAIL: memory of thread %lu changed", (uintptr_t)arg);
		kfree(p);
		__atomic_fetch_add(&num_rounds, 1, __ATOMIC_RELAXED);
	}
}

static unsigned num_short;

/* Threads that sleep, wake, allocate, contend, and others that come and go:
 * stress_seconds=N. */
SELFTEST(stress)
{
	unsigned n = MIN(4 * num_cpus, (unsigned)MAX_THREADS);
	nsec_t end = clock_now_ns() + cmdline_u64("stress_seconds", 1) * NSEC_PER_SEC;
	uint64_t rounds_before = 0;

	for (unsigned i = 0; i < n; i++) {
		threads[i] =
		    thread_create_kernel("storm", storm_main, (void *)(uintptr_t)i);
		SELFTEST_CHECK(threads[i]);
		thread_start(threads[i]);
	}
	while (clock_now_ns() < end) {
		struct thread *t = thread_create_kernel("short", nothing, &num_short);

		SELFTEST_CHECK(t);
		thread_start(t);
		thread_sleep_ns(NSEC_PER_MSEC);
		thread_join(t);
		thread_put(t);
	}
	rounds_before = __atomic_load_n(&num_rounds, __ATOMIC_RELAXED);
	stop_all(n);
	log_notice("stress: %lu rounds of %u threads, %u threads came and went",
	    rounds_before, n, num_short);
	SELFTEST_CHECK(guarded[0] == guarded[1] && guarded[0] > 0);
	SELFTEST_CHECK(rounds_before > 100);
}
