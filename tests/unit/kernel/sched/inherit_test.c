/*
 * Priority inheritance: kernel/sched/inherit.c.
 * LINK: kernel/sched/inherit.c lib/rbtree.c lib/string.c tests/fakes/panic.c
 * LINK: tests/fakes/percpu.c tests/fakes/spinlock.c
 */
#include "kernel/sched/inherit.h"

#include "kernel/sched/sched_priv.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

enum { N = 1100 };

static struct thread threads[N];
static struct inherit_lock locks[N];
static struct inherit_waiter waiters[N];
static struct thread *woken;

/* What the scheduler does. */
void
sched_set_inherited(struct thread *t, uint8_t priority)
{
	t->sched.inherited = priority;
	t->sched.run_priority = MAX(t->sched.rt_priority, priority);
}

bool
thread_wake(struct thread *t)
{
	woken = t;
	return true;
}

static void
setup(void)
{
	memset(threads, 0, sizeof(threads));
	memset(locks, 0, sizeof(locks));
	memset(waiters, 0, sizeof(waiters));
	woken = NULL;
	for (unsigned i = 0; i < N; i++)
		threads[i].tid = i + 1;
}

static void
set_priority(unsigned i, uint8_t priority)
{
	threads[i].sched.rt_priority = priority;
	threads[i].sched.run_priority = MAX(priority, threads[i].sched.inherited);
	inherit_priority_changed(&threads[i]);
}

/* Thread i waits for lock l, which `owner` has. */
static enum err
wait_for(unsigned i, unsigned l, unsigned owner)
{
	waiters[i].thread = &threads[i];
	return inherit_wait(&locks[l], &threads[owner], &waiters[i]);
}

KTEST(owner_has_the_priority_of_its_strongest_waiter)
{
	setup();
	set_priority(1, 10);
	set_priority(2, 20);
	CHECK_EQ(wait_for(1, 0, 0), OK);
	CHECK_EQ(threads[0].sched.run_priority, 10);
	CHECK_EQ(wait_for(2, 1, 0), OK); /* another of its locks */
	CHECK_EQ(threads[0].sched.run_priority, 20);
	CHECK(!inherit_stop(&waiters[2]));
	CHECK_EQ(threads[0].sched.run_priority, 10);
	set_priority(0, 30);
	CHECK_EQ(threads[0].sched.run_priority, 30);
	CHECK(!inherit_stop(&waiters[1]));
	CHECK_EQ(threads[0].sched.inherited, 0);
}

KTEST(line_is_by_priority_then_by_arrival)
{
	bool was_left;

	setup();
	for (unsigned i = 1; i <= 4; i++)
		CHECK_EQ(wait_for(i, 0, 0), OK);
	set_priority(3, 5);
	CHECK(inherit_first(&locks[0]) == &waiters[3]);
	inherit_give(&locks[0], &waiters[3]);
	CHECK(woken == &threads[3] && inherit_stop(&waiters[3]));
	CHECK_EQ(inherit_owner_tid(&locks[0], &was_left), 4);
	CHECK(!was_left);
	CHECK(inherit_first(&locks[0]) == &waiters[1]);
	CHECK_EQ(threads[0].sched.run_priority, 0);
}

KTEST(a_change_travels_along_the_chain_and_back)
{
	setup();
	for (unsigned i = 1; i < 10; i++)
		CHECK_EQ(wait_for(i, i - 1, i - 1), OK);
	set_priority(9, 42);
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(threads[i].sched.run_priority, 42);
	set_priority(4, 50);
	CHECK_EQ(threads[5].sched.run_priority, 42);
	CHECK_EQ(threads[0].sched.run_priority, 50);
	set_priority(4, 0);
	CHECK_EQ(threads[0].sched.run_priority, 42);
	CHECK(!inherit_stop(&waiters[9]));
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(threads[i].sched.run_priority, 0);
}

KTEST(circles_and_endless_chains_are_refused)
{
	setup();
	CHECK_EQ(wait_for(1, 0, 0), OK);
	CHECK_EQ(wait_for(2, 1, 1), OK);
	CHECK_EQ(wait_for(0, 2, 2), ERR_DEADLK);
	CHECK_EQ(wait_for(0, 3, 0), ERR_DEADLK);
	CHECK(!threads[0].inherit.waits_for);
	for (unsigned i = 3; i <= 1024; i++)
		CHECK_EQ(wait_for(i, i - 1, i - 1), OK);
	CHECK_EQ(wait_for(1025, 1024, 1024), ERR_DEADLK);
}

KTEST(what_an_ended_thread_owned_goes_to_the_next)
{
	bool was_left;

	setup();
	this_cpu()->current = &threads[0];
	set_priority(2, 7);
	CHECK_EQ(wait_for(1, 0, 0), OK);
	CHECK_EQ(wait_for(2, 0, 0), OK);
	CHECK_EQ(wait_for(3, 1, 0), OK);
	inherit_leave_all(true);
	CHECK_EQ(inherit_owner_tid(&locks[0], &was_left), 3);
	CHECK(was_left);
	CHECK_EQ(inherit_owner_tid(&locks[1], &was_left), 4);
	CHECK_EQ(threads[0].sched.run_priority, 0);
	inherit_settle(&locks[0]);
	(void)inherit_owner_tid(&locks[0], &was_left);
	CHECK(!was_left);
	CHECK_EQ(wait_for(5, 5, 0), ERR_SRCH);
	CHECK(inherit_stop(&waiters[2]) && !inherit_stop(&waiters[1]));
	this_cpu()->current = NULL;
}
