/*
 * Mutexes and rwsems as they are, on one CPU: schedule() plays the other threads.
 * LINK: kernel/sync/held.c kernel/sync/mutex.c kernel/sync/rwsem.c lib/string.c
 * LINK: tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/rcu.c tests/fakes/spinlock.c
 */
#include "kernel/panic.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/mutex.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static struct thread a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
static void (*others)(void); /* what happens while a thread sleeps; once */
static unsigned num_woken;

static void
become(struct thread *t)
{
	fake_cpu.current = t;
}

void
thread_set_state(enum thread_state state)
{
	current_thread()->state = state;
}

bool
thread_wake(struct thread *t)
{
	bool slept = t->state != THREAD_RUNNABLE;

	t->state = THREAD_RUNNABLE;
	num_woken += slept;
	return slept;
}

void
schedule(void)
{
	struct thread *self = current_thread();
	void (*run)(void) = others;

	if (self->state == THREAD_RUNNABLE)
		return;
	others = NULL;
	if (run)
		run();
	if (self->state != THREAD_RUNNABLE)
		panic("%s sleeps for ever", self->name);
	become(self);
}

static bool is_signalled;

bool
signal_is_pending(const struct thread *t)
{
	return is_signalled;
}

/* ---- Mutex ---- */

static struct mutex mutex = MUTEX_INIT(mutex, "m", RANK_SETUP);

static void
b_unlocks(void)
{
	become(&b);
	mutex_unlock(&mutex);
}

KTEST(mutex_waiter_gets_it_when_released)
{
	become(&b);
	mutex_lock(&mutex);
	become(&a);
	CHECK(!mutex_trylock(&mutex));
	others = b_unlocks;
	mutex_lock(&mutex);
	CHECK(mutex_is_held(&mutex));
	mutex_unlock(&mutex);
	CHECK_EQ(mutex.owner, 0);
	CHECK(list_is_empty(&mutex.waiters));
}

static void
b_unlocks_for_ever(void)
{
	become(&b);
	mutex_unlock(&mutex);
	if (mutex.owner & ~(uintptr_t)1)
		return; /* it was handed over */
	CHECK(mutex_trylock(&mutex) ==
	      false); /* waiters are marked: no barging by trylock */
	others = b_unlocks_for_ever;
	/* b takes it again by the slow way, before the woken thread runs */
	mutex_lock(&mutex);
}

KTEST(mutex_waiter_that_lost_once_is_given_it)
{
	become(&b);
	mutex_lock(&mutex);
	become(&a);
	others = b_unlocks_for_ever;
	mutex_lock(&mutex);
	CHECK(mutex_is_held(&mutex));
	mutex_unlock(&mutex);
	CHECK_EQ(mutex.owner, 0);
	others = NULL;
}

static void
signal_comes(void)
{
	is_signalled = true;
	thread_wake(&a);
}

KTEST(mutex_wait_ends_by_signal)
{
	become(&b);
	mutex_lock(&mutex);
	become(&a);
	others = signal_comes;
	CHECK_EQ(mutex_lock_interruptible(&mutex), ERR_RESTARTSYS);
	is_signalled = false;
	CHECK_EQ(a.num_held_mutexes, 0);
	become(&b);
	mutex_unlock(&mutex); /* the mark of the waiter that left is gone */
	CHECK_EQ(mutex.owner, 0);
	become(&a);
	CHECK_EQ(mutex_lock_interruptible(&mutex), OK);
	mutex_unlock(&mutex);
}

/* ---- Semaphore ---- */

static struct rwsem sem = RWSEM_INIT(sem, "s", RANK_SETUP);

static void
b_unlocks_shared(void)
{
	become(&b);
	rwsem_unlock_shared(&sem);
}

static void
b_unlocks_alone(void)
{
	become(&b);
	rwsem_unlock(&sem);
}

KTEST(rwsem_lets_readers_in_together)
{
	become(&a);
	rwsem_lock_shared(&sem);
	become(&b);
	rwsem_lock_shared(&sem);
	become(&c);
	CHECK(rwsem_try_lock_shared(&sem));
	rwsem_unlock_shared(&sem);
	become(&b);
	rwsem_unlock_shared(&sem);
	become(&a);
	rwsem_unlock_shared(&sem);
}

KTEST(rwsem_writer_waits_for_readers)
{
	become(&b);
	rwsem_lock_shared(&sem);
	become(&a);
	others = b_unlocks_shared;
	rwsem_lock(&sem);
	become(&c);
	CHECK(!rwsem_try_lock_shared(&sem));
	become(&a);
	rwsem_unlock(&sem);
	CHECK_EQ(sem.count, 0);
}

static void
late_reader_may_not_pass(void)
{
	become(&c);
	CHECK(!rwsem_try_lock_shared(&sem)); /* a writer waits */
	b_unlocks_shared();
}

KTEST(rwsem_waiting_writer_stops_new_readers)
{
	become(&b);
	rwsem_lock_shared(&sem);
	become(&a);
	others = late_reader_may_not_pass;
	rwsem_lock(&sem);
	rwsem_unlock(&sem);
	CHECK_EQ(sem.count, 0);
}

KTEST(rwsem_reader_waits_for_the_writer)
{
	become(&b);
	rwsem_lock(&sem);
	become(&a);
	others = b_unlocks_alone;
	rwsem_lock_shared(&sem);
	rwsem_unlock_shared(&sem);
	CHECK_EQ(sem.count, 0);
	CHECK(list_is_empty(&sem.waiters));
}

KTEST(wrong_order_panics)
{
	static struct mutex low = MUTEX_INIT(low, "low", RANK_SETUP);
	static struct mutex high = MUTEX_INIT(high, "high", RANK_INODE);

	become(&a);
	mutex_lock(&high);
	CHECK(EXPECT_PANIC(mutex_lock(&low)));
	CHECK(EXPECT_PANIC(mutex_lock(&high)));
	mutex_unlock(&high);
	CHECK(EXPECT_PANIC(mutex_unlock(&high)));
}
