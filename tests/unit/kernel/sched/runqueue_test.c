/*
 * The order of runnable threads on one CPU: kernel/sched/runqueue.c.
 * LINK: kernel/sched/runqueue.c lib/rbtree.c lib/string.c tests/fakes/panic.c
 * LINK: tests/fakes/percpu.c tests/fakes/spinlock.c
 */
#include "kernel/sched/runqueue.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

enum { N = 8 };

static struct runqueue rq;
static struct thread idle, threads[N];
static nsec_t now;

static void
setup(void)
{
	memset(&rq, 0, sizeof(rq));
	memset(threads, 0, sizeof(threads));
	rq_init(&rq, this_cpu());
	rq.idle = &idle;
	rq.current = &idle;
	now = 0;
	for (unsigned i = 0; i < N; i++)
		sched_params_set(&threads[i], SCHED_NORMAL, 0, 0);
}

static struct thread *
add(unsigned i, int policy, int nice, int rt_priority)
{
	sched_params_set(&threads[i], policy, nice, rt_priority);
	rq_attach(&rq, &threads[i]);
	rq_add(&rq, &threads[i]);
	return &threads[i];
}

/* What the scheduler does when a turn ends. */
static struct thread *
reschedule(void)
{
	if (rq.current != rq.idle)
		rq_put_back(&rq, rq.current, rq_slice_is_over(&rq));
	rq.current = rq_pick(&rq, now);
	if (!rq.current)
		rq.current = rq.idle;
	return rq.current;
}

/* Runs all for `total`, in slices; run[i] is what thread i got. */
static void
run_slices(nsec_t total, nsec_t *run)
{
	memset(run, 0, N * sizeof(run[0]));
	for (nsec_t end = now + total; now < end;) {
		nsec_t slice;

		reschedule();
		slice = rq_slice_ns(&rq, rq.current);
		now += slice;
		rq_charge(&rq, slice, now);
		run[rq.current - threads] += slice;
	}
}

KTEST(empty_queue_picks_nothing)
{
	setup();
	CHECK(rq_pick(&rq, 0) == NULL);
	CHECK_EQ(rq.num_queued, 0);
}

KTEST(sums_follow_threads_that_come_and_go)
{
	setup();
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_NORMAL, 5, 0);
	add(2, SCHED_FIFO, 0, 50);
	CHECK_EQ(rq.num_running, 3);
	CHECK_EQ(rq.num_queued, 3);
	CHECK_EQ(rq.fair_weight, 1024 + 335);
	CHECK(reschedule() == &threads[2]);
	CHECK_EQ(rq.num_queued, 2);
	rq_current_leaves(&rq);
	CHECK_EQ(rq.num_running, 2);
	rq.current = rq.idle;
	rq_remove(&rq, &threads[1]);
	CHECK_EQ(rq.fair_weight, 1024);
	CHECK(!threads[1].sched.is_queued && threads[0].sched.is_queued);
}

KTEST(levels_follow_from_policy_and_nice_value)
{
	struct {
		int policy, nice;
		enum sched_level level;
	} cases[] = {
	    {SCHED_FIFO, 0, SCHED_LEVEL_REALTIME},
	    {SCHED_RR, 19, SCHED_LEVEL_REALTIME},
	    {SCHED_NORMAL, -1, SCHED_LEVEL_HIGH},
	    {SCHED_NORMAL, 0, SCHED_LEVEL_NORMAL},
	    {SCHED_BATCH, 9, SCHED_LEVEL_NORMAL},
	    {SCHED_NORMAL, 10, SCHED_LEVEL_LOW},
	    {SCHED_IDLE, -20, SCHED_LEVEL_IDLE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		sched_params_set(&threads[0], cases[i].policy, cases[i].nice,
		    cases[i].level == SCHED_LEVEL_REALTIME ? 50 : 0);
		CHECK_EQ(threads[0].sched.level, cases[i].level);
	}
}

KTEST(equal_threads_get_equal_shares)
{
	nsec_t run[N];

	setup();
	for (unsigned i = 0; i < 5; i++)
		add(i, SCHED_NORMAL, 0, 0);
	run_slices(10 * NSEC_PER_SEC, run);
	for (unsigned i = 0; i < 5; i++)
		CHECK(run[i] >= 1980 * NSEC_PER_MSEC && run[i] <= 2020 * NSEC_PER_MSEC);
}

KTEST(nice_values_give_linux_shares)
{
	/* 1024 to 3121, 335, 15: the weights of nice 0, -5, 5, 19 */
	static const struct {
		int nice;
		unsigned weight;
	} cases[] = {{-20, 88761}, {-5, 3121}, {5, 335}, {19, 15}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		nsec_t run[N], ideal;
		nsec_t total = 100 * NSEC_PER_SEC;

		setup();
		add(0, SCHED_NORMAL, 0, 0);
		add(1, SCHED_NORMAL, cases[i].nice, 0);
		run_slices(total, run);
		ideal = total * cases[i].weight / (cases[i].weight + 1024);
		CHECK(run[1] + run[0] >= total);
		CHECK(run[1] > ideal * 97 / 100 &&
		      run[1] < ideal * 103 / 100 + 20 * NSEC_PER_MSEC);
	}
}

KTEST(idle_policy_gets_little_but_not_nothing)
{
	nsec_t run[N];

	setup();
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_IDLE, 0, 0);
	run_slices(20 * NSEC_PER_SEC, run);
	CHECK(run[1] > 0 && run[1] < 200 * NSEC_PER_MSEC);
}

KTEST(realtime_runs_by_priority_and_before_all_others)
{
	setup();
	add(0, SCHED_NORMAL, -20, 0);
	add(1, SCHED_FIFO, 0, 1);
	add(2, SCHED_RR, 0, 99);
	add(3, SCHED_FIFO, 0, 50);
	CHECK(rq_pick(&rq, 0) == &threads[2]);
	CHECK(rq_pick(&rq, 0) == &threads[3]);
	CHECK(rq_pick(&rq, 0) == &threads[1]);
	CHECK(rq_pick(&rq, 0) == &threads[0]);
}

KTEST(fifo_keeps_its_place_and_rr_takes_turns)
{
	setup();
	add(0, SCHED_FIFO, 0, 10);
	add(1, SCHED_FIFO, 0, 10);
	CHECK(reschedule() == &threads[0]);
	rq_charge(&rq, 300 * NSEC_PER_MSEC, now += 300 * NSEC_PER_MSEC);
	CHECK(reschedule() == &threads[0]);

	setup();
	add(0, SCHED_RR, 0, 10);
	add(1, SCHED_RR, 0, 10);
	CHECK(reschedule() == &threads[0]);
	rq_charge(&rq, 50 * NSEC_PER_MSEC, now += 50 * NSEC_PER_MSEC);
	CHECK(!rq_slice_is_over(&rq));
	rq_charge(&rq, 50 * NSEC_PER_MSEC, now += 50 * NSEC_PER_MSEC);
	CHECK(rq_slice_is_over(&rq));
	CHECK(reschedule() == &threads[1]);
}

KTEST(realtime_leaves_a_twentieth_of_each_second)
{
	nsec_t run[N] = {0};

	setup();
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_FIFO, 0, 10);
	for (unsigned ms = 0; ms < 10000; ms++) {
		reschedule();
		now += NSEC_PER_MSEC;
		rq_charge(&rq, NSEC_PER_MSEC, now);
		run[rq.current - threads] += NSEC_PER_MSEC;
	}
	CHECK(run[1] >= 9400 * NSEC_PER_MSEC && run[1] <= 9600 * NSEC_PER_MSEC);
	CHECK(run[0] >= 400 * NSEC_PER_MSEC);
}

KTEST(realtime_period_begins_with_the_run_that_opens_it)
{
	setup();
	now = 100 * NSEC_PER_SEC; /* long after the last period */
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_FIFO, 0, 10);
	CHECK(reschedule() == &threads[1]);
	now += 950 * NSEC_PER_MSEC;
	rq_charge(&rq, 950 * NSEC_PER_MSEC, now);
	CHECK(reschedule() == &threads[0]);
	now += 50 * NSEC_PER_MSEC;
	rq_charge(&rq, 50 * NSEC_PER_MSEC, now);
	CHECK(reschedule() == &threads[1]);
}

KTEST(realtime_is_not_throttled_when_alone)
{
	setup();
	add(1, SCHED_FIFO, 0, 10);
	for (unsigned ms = 0; ms < 2000; ms++) {
		CHECK(reschedule() == &threads[1]);
		rq_charge(&rq, NSEC_PER_MSEC, now += NSEC_PER_MSEC);
	}
}

/* Whether `woken`, just queued, preempts `running`, which has run for `lead_ns` more. */
static bool
preempts(int policy, int nice, int running_nice, nsec_t lead_ns)
{
	setup();
	add(0, SCHED_NORMAL, running_nice, 0);
	reschedule();
	threads[0].sched.vruntime += lead_ns;
	add(1, policy, nice, policy == SCHED_FIFO ? 1 : 0);
	return rq_should_preempt(&rq, &threads[1]);
}

KTEST(woken_threads_preempt_by_level_and_lag)
{
	CHECK(!preempts(SCHED_NORMAL, 0, 0, 500 * NSEC_PER_USEC));
	CHECK(preempts(SCHED_NORMAL, 0, 0, 2 * NSEC_PER_MSEC));
	CHECK(preempts(SCHED_NORMAL, -1, 0, 0)); /* stronger: at once */
	CHECK(!preempts(SCHED_NORMAL, 10, 0, 2 * NSEC_PER_MSEC));
	CHECK(!preempts(SCHED_BATCH, 0, 0, NSEC_PER_SEC));
	CHECK(!preempts(SCHED_IDLE, 0, 0, NSEC_PER_SEC));
	CHECK(preempts(SCHED_FIFO, 0, -20, 0));

	setup();
	add(0, SCHED_IDLE, 0, 0);
	reschedule();
	CHECK(rq_should_preempt(&rq, add(1, SCHED_NORMAL, 19, 0)));
	setup();
	CHECK(rq_should_preempt(
	    &rq, add(1, SCHED_IDLE, 0, 0))); /* the idle thread gives way */
}

KTEST(long_sleep_gives_bounded_credit)
{
	setup();
	rq.min_vruntime = 100 * NSEC_PER_SEC;
	threads[0].sched.vruntime = 0;
	rq_place_woken(&rq, &threads[0]);
	CHECK(threads[0].sched.vruntime < rq.min_vruntime);
	CHECK(threads[0].sched.vruntime > rq.min_vruntime - 50 * NSEC_PER_MSEC);

	/* A short sleep changes nothing. */
	threads[1].sched.vruntime = rq.min_vruntime - 1;
	rq_place_woken(&rq, &threads[1]);
	CHECK_EQ(threads[1].sched.vruntime, rq.min_vruntime - 1);
}

KTEST(moving_keeps_the_distance_to_the_others)
{
	static struct runqueue other;

	setup();
	rq.min_vruntime = 1000;
	other.min_vruntime = ~0ull - 10; /* about to wrap */
	threads[0].sched.vruntime = 1500;
	rq_detach(&rq, &threads[0]);
	rq_attach(&other, &threads[0]);
	CHECK_EQ((int64_t)(threads[0].sched.vruntime - other.min_vruntime), 500);
}

KTEST(virtual_time_may_wrap)
{
	nsec_t run[N];

	setup();
	rq.min_vruntime = ~0ull - NSEC_PER_MSEC;
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_NORMAL, 0, 0);
	run_slices(NSEC_PER_SEC, run);
	CHECK(run[0] >= 480 * NSEC_PER_MSEC && run[1] >= 480 * NSEC_PER_MSEC);
}

KTEST(yield_lets_the_other_run)
{
	setup();
	add(0, SCHED_NORMAL, 0, 0);
	add(1, SCHED_NORMAL, 0, 0);

	struct thread *first = reschedule();

	rq_yield(&rq);
	CHECK(reschedule() != first);
}

KTEST(the_scheduler_is_asked_when_throttling_begins_and_ends)
{
	setup();
	add(0, SCHED_FIFO, 0, 10);
	CHECK(reschedule() == &threads[0]);
	rq_charge(&rq, 300 * NSEC_PER_MSEC, now += 300 * NSEC_PER_MSEC);
	CHECK(rq_turn_left_ns(&rq, now) > NSEC_PER_SEC); /* nobody waits */
	add(1, SCHED_NORMAL, 0, 0);
	CHECK_EQ(rq_turn_left_ns(&rq, now), 650 * NSEC_PER_MSEC);
	rq_charge(&rq, 650 * NSEC_PER_MSEC, now += 650 * NSEC_PER_MSEC);
	CHECK_EQ(rq_turn_left_ns(&rq, now), 0);
	CHECK(!rq_slice_is_over(&rq)); /* it keeps its place */
	CHECK(reschedule() == &threads[1]);
	now += 45 * NSEC_PER_MSEC;
	CHECK_EQ(rq_turn_left_ns(&rq, now), 5 * NSEC_PER_MSEC);
}

/* ---- Several queues ---- */

enum { QUEUES = 3 };

static struct runqueue queues[QUEUES];

/* The one whose turn it is on `q` runs for a millisecond; an idle queue says so. */
static void
run_queue_1ms(struct runqueue *q, nsec_t *run)
{
	if (q->current == q->idle || !rq_turn_left_ns(q, now)) {
		if (q->current != q->idle)
			rq_put_back(q, q->current, true);
		q->current = rq_pick(q, now);
	}
	if (!q->current) {
		q->current = q->idle;
		q->idle_ns += NSEC_PER_MSEC;
		return;
	}
	rq_charge(q, NSEC_PER_MSEC, now);
	run[q->current - threads] += NSEC_PER_MSEC;
}

/* Moves the first of those that wait on `from` which should go to `to`. */
static bool
push_to(struct runqueue *from, struct runqueue *to)
{
	for (struct rb_node *n = rb_first(&from->fair); n; n = rb_next(n)) {
		struct thread *t = rb_entry(n, struct thread, sched.node);

		if (!rq_should_move(from, to, t))
			continue;
		rq_move(from, to, t);
		return true;
	}
	return false;
}

/* What balancing does on `from`, every 20 ms, but not where a thread has just come. */
static void
push(struct runqueue *from, unsigned num_queues)
{
	const nsec_t period = 20 * NSEC_PER_MSEC;

	if (now < from->next_balance)
		return;
	from->next_balance = now + period;
	for (unsigned i = 0; i < num_queues; i++) {
		struct runqueue *to = &queues[i];

		if (to == from || !from->fair_first || rq_load(to) >= rq_load(from))
			continue;
		rq_sync(from, to);
		if (!push_to(from, to))
			continue;
		to->next_balance = now + period;
		return;
	}
}

/* `n` threads of `nice[]`, all begun on one queue, with balancing every 20 ms. */
static void
run_queues(unsigned n, const int *nice, unsigned num_queues, nsec_t *run)
{
	setup();
	memset(queues, 0, sizeof(queues));
	memset(run, 0, N * sizeof(run[0]));
	for (unsigned i = 0; i < num_queues; i++) {
		rq_init(&queues[i], this_cpu());
		queues[i].idle = queues[i].current = &idle;
	}
	for (unsigned i = 0; i < n; i++) {
		sched_params_set(&threads[i], SCHED_NORMAL, nice[i], 0);
		rq_add(&queues[0], &threads[i]);
	}
	for (unsigned ms = 0; ms < 3000; ms++) {
		now += NSEC_PER_MSEC;
		for (unsigned i = 0; i < num_queues; i++) {
			run_queue_1ms(&queues[i], run);
			push(&queues[i], num_queues);
		}
	}
}

KTEST(equal_threads_share_unequal_numbers_of_cpus)
{
	static const int nice[N] = {0};
	nsec_t run[N];

	for (unsigned cpus = 2; cpus <= QUEUES; cpus++) {
		for (unsigned n = cpus; n <= N; n++) {
			nsec_t ideal = 3 * NSEC_PER_SEC * cpus / n;

			run_queues(n, nice, cpus, run);
			for (unsigned i = 0; i < n; i++)
				CHECK(run[i] > ideal * 95 / 100 &&
				      run[i] < ideal * 105 / 100);
		}
	}
}

KTEST(weights_hold_across_cpus)
{
	static const int nice[N] = {0, 1, 1};
	nsec_t run[N];

	run_queues(3, nice, 2, run);
	/* of 6 s: 1024, 820, 820 of 2664 */
	CHECK(run[0] > 2190 * NSEC_PER_MSEC && run[0] < 2420 * NSEC_PER_MSEC);
	CHECK(run[1] > 1750 * NSEC_PER_MSEC && run[2] > 1750 * NSEC_PER_MSEC);
}

KTEST(a_thread_leaves_a_cpu_that_realtime_uses)
{
	setup();
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < 2; i++)
		rq_init(&queues[i], this_cpu());
	sched_params_set(&threads[0], SCHED_FIFO, 0, 10);
	rq_add(&queues[0], &threads[0]);
	rq_add(&queues[0], &threads[1]);
	rq_add(&queues[1], &threads[2]);
	CHECK(rq_should_move(&queues[0], &queues[1], &threads[1]));
	CHECK(!rq_should_move(&queues[1], &queues[0], &threads[2]));
	CHECK(rq_should_move(&queues[0], &queues[1], &threads[0]));
	rq_move(&queues[0], &queues[1], &threads[0]);
	CHECK_EQ(queues[0].num_rt, 0);
	CHECK_EQ(queues[1].num_rt, 1);
}

KTEST(a_cpu_that_was_idle_owes_nothing)
{
	setup();
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < 2; i++)
		rq_init(&queues[i], this_cpu());
	queues[0].min_vruntime = 1000 * NSEC_PER_SEC; /* busy for long */
	queues[1].idle_ns = 900 * NSEC_PER_SEC;
	threads[0].sched.vruntime = threads[1].sched.vruntime = queues[0].min_vruntime;
	rq_add(&queues[0], &threads[0]);
	rq_add(&queues[0], &threads[1]);
	rq_add(&queues[1], &threads[2]);
	rq_sync(&queues[0], &queues[1]);
	CHECK(!rq_should_move(&queues[0], &queues[1], &threads[0]));
	rq_move(&queues[0], &queues[1], &threads[0]);
	CHECK_EQ(threads[0].sched.vruntime, queues[1].min_vruntime);
}

/* Or it would go to and fro without ever getting anything back. */
KTEST(one_that_is_owed_time_is_not_passed_on)
{
	setup();
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < 2; i++)
		rq_init(&queues[i], this_cpu());
	queues[0].min_vruntime = queues[1].min_vruntime = NSEC_PER_SEC;
	threads[0].sched.vruntime = NSEC_PER_SEC - 30 * NSEC_PER_MSEC;
	threads[1].sched.vruntime = NSEC_PER_SEC + 20 * NSEC_PER_MSEC;
	threads[2].sched.vruntime = NSEC_PER_SEC;
	for (unsigned i = 0; i < 3; i++)
		rq_add(&queues[i / 2], &threads[i]);
	CHECK(rq_should_move(&queues[0], &queues[1], &threads[0]));
	rq_move(&queues[0], &queues[1], &threads[0]);
	CHECK(!rq_should_move(&queues[1], &queues[0], &threads[0]));
	CHECK(rq_should_move(&queues[1], &queues[0], &threads[2]));
}

/* A millisecond on `q` as the scheduler runs it, turns and all; `woken` has just come, or NULL. */
static void
run_turns_1ms(struct runqueue *q, struct thread *woken, nsec_t *run)
{
	bool must_look = q->current == q->idle || !rq_turn_left_ns(q, now);

	if (woken) {
		rq_place_woken(q, woken);
		rq_add(q, woken);
		must_look |= rq_should_preempt(q, woken);
	}
	if (must_look) {
		if (q->current != q->idle)
			rq_put_back(q, q->current, rq_slice_is_over(q));
		q->current = rq_pick(q, now);
	}
	now += NSEC_PER_MSEC;
	rq_charge(q, NSEC_PER_MSEC, now);
	run[q->current - threads] += NSEC_PER_MSEC;
}

/* Two that spin are on one CPU, and a third sleeps there 9 ms and runs 1 ms, when one comes from another
 * CPU that lags behind by all that it may. It gets that back, but in turns. */
KTEST(one_that_comes_far_behind_keeps_no_woken_thread_waiting)
{
	struct thread *comes = &threads[0], *sleeper = &threads[3];
	unsigned waits = 0, longest = 0, asleep = 0;
	struct runqueue *from = &queues[0], *to = &queues[1];
	nsec_t run[N] = {0};
	nsec_t lag = 50 * NSEC_PER_MSEC, ahead;

	setup();
	memset(queues, 0, sizeof(queues));
	for (unsigned i = 0; i < 2; i++) {
		rq_init(&queues[i], this_cpu());
		queues[i].idle = queues[i].current = &idle;
	}
	for (unsigned i = 1; i < 4; i++)
		threads[i].sched.vruntime = lag;
	to->min_vruntime = lag;
	rq_add(from, comes);
	rq_add(to, &threads[1]);
	rq_add(to, &threads[2]);
	run_turns_1ms(to, NULL, run);
	rq_move(from, to, comes);
	memset(run, 0, sizeof(run));
	for (unsigned ms = 0; ms < 600; ms++) {
		bool wakes = !sleeper->sched.is_queued && ++asleep == 9;

		run_turns_1ms(to, wakes ? sleeper : NULL, run);
		if (to->current == sleeper) { /* and sleeps again */
			rq_current_leaves(to);
			to->current = rq_pick(to, now);
			asleep = waits = 0;
		} else if (sleeper->sched.is_queued) {
			waits++;
			longest = MAX(longest, waits);
		}
	}
	CHECK(longest <= 10);
	ahead = run[0] - (run[1] + run[2]) / 2;
	CHECK(ahead > lag * 8 / 10 && ahead < lag * 12 / 10);
}
