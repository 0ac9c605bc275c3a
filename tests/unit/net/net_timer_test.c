/*
 * net/net_timer.c: when timers of the wheel fire, near and far, moved and cancelled.
 * LINK: net/net_timer.c lib/string.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/kmalloc.c tests/fakes/panic.c tests/fakes/clock.c tests/fakes/timer.c
 */
#include "net/net_timer.h"

#include <stdlib.h>

#include "kernel/sched/thread.h"
#include "net/rx.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

enum { TICK = 1 << 16 };
static bool was_kicked;

void
net_kick(unsigned cpu)
{
	was_kicked = true;
}

void
thread_sleep_ns(nsec_t ns)
{
	fake_now_ns += ns;
}

struct shot {
	struct net_timer t;
	nsec_t fired_at;
	unsigned times;
};

static void
fire(struct net_timer *t)
{
	struct shot *s = container_of(t, struct shot, t);

	s->fired_at = fake_now_ns;
	s->times++;
}

static void
setup(void)
{
	static bool is_done;

	if (!is_done)
		net_timer_init_wheels();
	is_done = true;
}

/* The net thread's part: sleeps until the hardware timer kicks it, until `end`. */
static void
run_until(nsec_t end)
{
	while (fake_now_ns < end) {
		was_kicked = false;
		while (!was_kicked && fake_now_ns < end)
			fake_timers_run(MIN(end, fake_now_ns + 20 * NSEC_PER_USEC));
		while (net_timers_run(0))
			;
	}
}

KTEST(timer_fires_within_a_millisecond_after_its_time)
{
	static const nsec_t after[] = {1, 1000, 65536, 65537, 50000, 1000000, 16777216,
	    16777217, 40000000, 999999999};

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(after); i++) {
		struct shot s = {0};
		nsec_t due = fake_now_ns + after[i];

		net_timer_init(&s.t, fire);
		net_timer_arm(&s.t, due);
		run_until(due + 2 * NSEC_PER_MSEC);
		CHECK_EQ(s.times, 1);
		CHECK(s.fired_at >= due);
		CHECK(s.fired_at <= due + NSEC_PER_MSEC);
	}
}

/* Steps exactly to what the hardware timer is armed for, so that hours are quick. */
static void
jump_to(nsec_t t)
{
	fake_timers_run(t);
	while (net_timers_run(0))
		;
}

KTEST(timer_of_hours_and_days_fires_at_its_time)
{
	static const nsec_t after[] = {5, 3600, 12 * 3600, 100 * 3600};

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(after); i++) {
		struct shot s = {0};
		nsec_t due = fake_now_ns + after[i] * NSEC_PER_SEC + 12345;

		net_timer_init(&s.t, fire);
		net_timer_arm(&s.t, due);
		jump_to(fake_now_ns + after[i] * NSEC_PER_SEC / 2);
		CHECK_EQ(s.times, 0);
		jump_to(due - 1000);
		CHECK_EQ(s.times, 0);
		jump_to(due + TICK);
		CHECK_EQ(s.times, 1);
	}
}

KTEST(timer_in_the_past_fires_at_the_next_pass)
{
	struct shot s = {0};

	setup();
	jump_to(fake_now_ns + NSEC_PER_SEC);
	net_timer_init(&s.t, fire);
	net_timer_arm(&s.t, 5);
	net_timers_run(0);
	CHECK_EQ(s.times, 1);
}

KTEST(timer_moved_later_fires_once_at_the_later_time)
{
	struct shot s = {0};
	nsec_t start;

	setup();
	start = fake_now_ns;
	net_timer_init(&s.t, fire);
	for (unsigned i = 0; i < 100; i++) {
		net_timer_arm(&s.t, fake_now_ns + 200 * NSEC_PER_MSEC);
		run_until(fake_now_ns + 10 * NSEC_PER_MSEC);
	}
	CHECK_EQ(s.times, 0);
	run_until(start + 3 * NSEC_PER_SEC);
	CHECK_EQ(s.times, 1);
	CHECK(s.fired_at >= start + 1190 * NSEC_PER_MSEC);
	CHECK(s.fired_at <= start + 1192 * NSEC_PER_MSEC);
}

KTEST(timer_moved_earlier_fires_at_the_earlier_time)
{
	struct shot s = {0};
	nsec_t start;

	setup();
	start = fake_now_ns;
	net_timer_init(&s.t, fire);
	net_timer_arm(&s.t, start + 10 * NSEC_PER_SEC);
	net_timer_arm(&s.t, start + 5 * NSEC_PER_MSEC);
	run_until(start + 7 * NSEC_PER_MSEC);
	CHECK_EQ(s.times, 1);
	jump_to(start + 20 * NSEC_PER_SEC);
	CHECK_EQ(s.times, 1);
}

KTEST(timer_cancelled_does_not_fire)
{
	struct shot s = {0};

	setup();
	net_timer_init(&s.t, fire);
	CHECK(!net_timer_cancel(&s.t));
	net_timer_arm(&s.t, fake_now_ns + NSEC_PER_MSEC);
	CHECK(net_timer_cancel(&s.t));
	CHECK(!net_timer_cancel(&s.t));
	net_timer_cancel_sync(&s.t);
	run_until(fake_now_ns + 10 * NSEC_PER_MSEC);
	CHECK_EQ(s.times, 0);
}

static void
fire_again(struct net_timer *t)
{
	fire(t);
	if (container_of(t, struct shot, t)->times < 5)
		net_timer_arm(t, fake_now_ns + 3 * NSEC_PER_MSEC);
}

KTEST(timer_may_arm_itself_in_its_callback)
{
	struct shot s = {0};

	setup();
	net_timer_init(&s.t, fire_again);
	net_timer_arm(&s.t, fake_now_ns + NSEC_PER_MSEC);
	run_until(fake_now_ns + 50 * NSEC_PER_MSEC);
	CHECK_EQ(s.times, 5);
}

KTEST(thousands_of_random_timers_each_fire_once_and_in_time)
{
	enum { N = 3000 };
	static struct shot shots[N];
	static nsec_t due[N];
	nsec_t start, end = 0;

	setup();
	start = fake_now_ns;
	srandom(7);
	for (unsigned i = 0; i < N; i++) {
		shots[i] = (struct shot){0};
		net_timer_init(&shots[i].t, fire);
		due[i] = start + (nsec_t)random() % (30 * NSEC_PER_SEC);
		net_timer_arm(&shots[i].t, due[i]);
	}
	for (unsigned i = 0; i < N; i += 2) { /* half of them move, either way */
		due[i] = start + (nsec_t)random() % (60 * NSEC_PER_SEC);
		net_timer_arm(&shots[i].t, due[i]);
	}
	for (unsigned i = 0; i < N; i++)
		end = MAX(end, due[i]);
	run_until(end + 2 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < N; i++) {
		CHECK_EQ(shots[i].times, 1);
		CHECK(shots[i].fired_at >= due[i]);
		CHECK(shots[i].fired_at <= due[i] + 2 * NSEC_PER_MSEC);
	}
}
