/*
 * kernel/time/timer.c with a fake clock: the test moves time and calls the interrupt.
 * LINK: kernel/time/timer.c lib/rbtree.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/clock.c tests/fakes/panic.c lib/string.c
 */
#include "kernel/time/timer.h"

#include "kernel/time/timer_hw.h"
#include "kernel/x86/percpu.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

#include <stdlib.h>

static nsec_t hw_at = TIMER_HW_NEVER;
static unsigned hw_writes;

void
timer_hw_program(nsec_t expires_ns)
{
	hw_at = expires_ns;
	hw_writes++;
}

/* Time passes up to `until`; the hardware interrupts whenever it was told to. */
static void
run_until(nsec_t until)
{
	while (hw_at <= until) {
		if (fake_now_ns < hw_at)
			fake_now_ns = hw_at;
		hw_at = TIMER_HW_NEVER;
		timer_interrupt();
	}
	fake_now_ns = until;
}

static unsigned order[64], num_fired;

struct numbered {
	struct timer t;
	unsigned id;
	nsec_t fired_at, period;
};

static void
note(struct timer *t)
{
	struct numbered *n = container_of(t, struct numbered, t);

	order[num_fired++ % 64] = n->id;
	n->fired_at = fake_now_ns;
	if (n->period)
		timer_arm(t, t->expires_ns + n->period);
}

static void
reset(void)
{
	run_until(fake_now_ns + 1000000);
	num_fired = 0;
	hw_writes = 0;
}

KTEST(timers_fire_in_order_of_expiry_and_equal_ones_in_order_of_arming)
{
	struct numbered n[4];
	nsec_t now;

	reset();
	now = fake_now_ns;
	for (unsigned i = 0; i < 4; i++) {
		n[i] = (struct numbered){.id = i};
		timer_init(&n[i].t, note);
	}
	timer_arm(&n[0].t, now + 300);
	timer_arm(&n[1].t, now + 100);
	timer_arm(&n[2].t, now + 200);
	timer_arm(&n[3].t, now + 100);
	CHECK(n[0].t.cpu == this_cpu());
	run_until(now + 99);
	CHECK_EQ(num_fired, 0);
	run_until(now + 1000);
	CHECK_EQ(num_fired, 4);
	CHECK(order[0] == 1 && order[1] == 3 && order[2] == 2 && order[3] == 0);
	CHECK(n[0].fired_at == now + 300 && n[0].t.cpu == NULL);
	CHECK_EQ(hw_at, TIMER_HW_NEVER); /* no timers, no interrupts */
}

KTEST(timer_cancel_tells_whether_it_was_armed)
{
	struct numbered n = {.id = 7};

	reset();
	timer_init(&n.t, note);
	CHECK(!timer_cancel(&n.t));
	timer_arm(&n.t, fake_now_ns + 10);
	CHECK(timer_cancel(&n.t));
	CHECK(!timer_cancel(&n.t));
	run_until(fake_now_ns + 100);
	CHECK_EQ(num_fired, 0);
	timer_arm(&n.t, fake_now_ns + 10);
	run_until(fake_now_ns + 100);
	CHECK(num_fired == 1 && !timer_cancel(&n.t));
}

KTEST(timer_arm_moves_an_armed_timer_both_ways)
{
	struct numbered n = {.id = 1};
	nsec_t now;

	reset();
	now = fake_now_ns;
	timer_init(&n.t, note);
	timer_arm(&n.t, now + 100);
	timer_arm(&n.t, now + 500);
	run_until(now + 400);
	CHECK_EQ(num_fired, 0);
	timer_arm(&n.t, now + 450);
	run_until(now + 1000);
	CHECK(num_fired == 1 && n.fired_at == now + 450);
}

KTEST(timer_may_re_arm_itself)
{
	struct numbered n = {.id = 1, .period = 50};
	nsec_t now;

	reset();
	now = fake_now_ns;
	timer_init(&n.t, note);
	timer_arm(&n.t, now + 50);
	run_until(now + 525);
	CHECK_EQ(num_fired, 10);
	CHECK(timer_cancel(&n.t));
	run_until(now + 1000);
	CHECK_EQ(num_fired, 10);
}

KTEST(timer_in_the_past_fires_at_once_but_does_not_hold_the_interrupt_for_ever)
{
	struct numbered n = {.id = 1};

	reset();
	timer_init(&n.t, note);
	timer_arm(&n.t, fake_now_ns - 5);
	CHECK(hw_at <= fake_now_ns);
	/* One that always re-arms itself in the past: each interrupt ends. */
	n.period = 1;
	timer_arm(&n.t, fake_now_ns - 3);
	hw_at = TIMER_HW_NEVER;
	timer_interrupt();
	CHECK(num_fired <= 4);
	CHECK(timer_cancel(&n.t));
}

static void
free_itself(struct timer *t)
{
	num_fired++;
	free(container_of(t, struct numbered, t));
}

KTEST(timer_function_may_free_its_timer)
{
	struct numbered *n = malloc(sizeof(*n));

	reset();
	timer_init(&n->t, free_itself);
	timer_arm(&n->t, fake_now_ns + 10);
	run_until(fake_now_ns + 20);
	CHECK_EQ(num_fired, 1);
}

static struct numbered victim;

static void
cancel_victim(struct timer *t)
{
	num_fired++;
	timer_cancel(&victim.t);
}

KTEST(timer_function_may_cancel_another_that_is_due)
{
	struct numbered n = {.id = 1};
	nsec_t now;

	reset();
	now = fake_now_ns;
	timer_init(&n.t, cancel_victim);
	timer_init(&victim.t, note);
	timer_arm(&n.t, now + 10);
	timer_arm(&victim.t, now + 10);
	run_until(now + 100);
	CHECK(num_fired == 1 && victim.t.cpu == NULL);
}

/* A random walk against a plain array. */
KTEST(timers_random_arm_cancel_and_run_agree_with_a_model)
{
	enum { N = 50 };
	static struct numbered n[N];
	nsec_t due[N] = {0}; /* 0: not armed */
	uint32_t r = 1;

	reset();
	for (unsigned i = 0; i < N; i++) {
		n[i] = (struct numbered){.id = i};
		timer_init(&n[i].t, note);
	}
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i;

		r = r * 1664525 + 1013904223;
		i = (r >> 8) % N;
		if (r >> 30 == 0) {
			CHECK_EQ(timer_cancel(&n[i].t), due[i] != 0);
			due[i] = 0;
		} else if (r >> 30 < 3) {
			due[i] = fake_now_ns + 1 + (r >> 16) % 1000;
			timer_arm(&n[i].t, due[i]);
		} else {
			nsec_t until = fake_now_ns + (r >> 16) % 200;

			run_until(until);
			for (unsigned k = 0; k < N; k++) {
				if (!due[k] || due[k] > until)
					continue;
				CHECK_EQ(n[k].fired_at, due[k]);
				due[k] = 0;
			}
		}
		for (unsigned k = 0; k < N; k++)
			CHECK_EQ(n[k].t.cpu != NULL, due[k] != 0);
	}
	for (unsigned i = 0; i < N; i++)
		timer_cancel(&n[i].t);
}
