/*
 * The fakes themselves: misuse of locks is caught, memory is counted, sleeps end. LINK:
 * tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/mutex.c tests/fakes/panic.c
 * tests/fakes/percpu.c tests/fakes/rcu.c tests/fakes/spinlock.c tests/fakes/wait.c
 * lib/string.c
 */
#include "tests/fakes/fakes.h"

#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "tests/unit/ktest.h"

static struct spinlock low = SPINLOCK_INIT("low", RANK_OBJECT);
static struct spinlock high = SPINLOCK_INIT("high", RANK_TTY);

KTEST(spinlocks_turn_interrupts_off_until_the_last_is_released)
{
	spin_lock(&low);
	spin_lock(&high);
	CHECK(!irq_is_on() && spin_is_held(&low));
	spin_unlock(&low);
	CHECK(!irq_is_on());
	spin_unlock(&high);
	CHECK(irq_is_on() && !spin_is_held(&high));
}

KTEST(spinlock_misuse_panics)
{
	spin_lock(&high);
	CHECK(EXPECT_PANIC(spin_lock(&low)));
	irq_enable_nested();
	CHECK(EXPECT_PANIC(spin_lock(&high)));
	irq_enable_nested();
	CHECK(EXPECT_PANIC(assert_may_sleep()));
	spin_unlock(&high);
	CHECK(EXPECT_PANIC(spin_unlock(&high)));
	CHECK(irq_is_on());
}

KTEST(mutex_misuse_panics)
{
	struct mutex a, b;
	struct rwsem s;

	mutex_init(&a, "a", RANK_INODE);
	mutex_init(&b, "b", RANK_INODE);
	rwsem_init(&s, "s", RANK_MMAP);
	mutex_lock(&a);
	CHECK(EXPECT_PANIC(mutex_lock(&b)));
	CHECK(EXPECT_PANIC(mutex_lock(&a)));
	rwsem_lock_shared(&s);
	CHECK(s.count == 1);
	mutex_unlock(&a);
	rwsem_unlock_shared(&s);
	mutex_lock_pair(&b, &a);
	CHECK(mutex_is_held(&a) && mutex_is_held(&b));
	mutex_unlock_pair(&a, &b);
	CHECK(EXPECT_PANIC(mutex_unlock(&a)));
}

KTEST(kmalloc_counts_and_fails_on_demand)
{
	long before = fake_kmalloc_live;
	char *p = kstrdup("abc");

	CHECK(fake_kmalloc_live == before + 1);
	fake_kmalloc_fail_nth(2);
	kfree(p);
	p = kmalloc(1);
	CHECK(p && !kmalloc(1));
	kfree(p);
	CHECK(fake_kmalloc_live == before);
}

static struct wait_queue queue;
static bool is_ready;

static void
become_ready(void)
{
	fake_now_ns += NSEC_PER_MSEC;
	is_ready = fake_now_ns >= 3 * NSEC_PER_MSEC;
	wait_queue_wake_all(&queue);
}

KTEST(wait_event_ends_by_condition_time_or_signal)
{
	wait_queue_init(&queue);
	fake_now_ns = 0;
	fake_on_sleep = become_ready;
	CHECK_EQ(wait_event(&queue, is_ready, WAIT_INTERRUPTIBLE, NSEC_PER_MSEC),
	    ERR_TIMEDOUT);
	CHECK_EQ(wait_event(&queue, is_ready, WAIT_INTERRUPTIBLE, NO_TIMEOUT), OK);
	is_ready = false;
	fake_signal_pending = true;
	CHECK_EQ(
	    wait_event(&queue, is_ready, WAIT_INTERRUPTIBLE, NO_TIMEOUT), ERR_RESTARTSYS);
	fake_signal_pending = false;
	CHECK(list_is_empty(&queue.waiters));
}
