/* In-kernel tests of locks, wait queues and RCU, with as many threads as CPUs and more.
 */
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"

enum { MAX_WORKERS = 32 };

struct crew {
	struct thread *thread[MAX_WORKERS];
	unsigned num;
	bool must_stop; /* [a] */
	uint64_t count[MAX_WORKERS];
	void (*work)(struct crew *, unsigned i);
};

struct worker {
	struct crew *crew;
	unsigned i;
};

static void
worker_main(void *arg)
{
	struct worker w = *(struct worker *)arg;

	kfree(arg);
	w.crew->work(w.crew, w.i);
}

/* Starts n threads that call work(crew, i). */
static void
crew_start(struct crew *c, unsigned n, void (*work)(struct crew *, unsigned))
{
	*c = (struct crew){.num = n, .work = work};
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = kmalloc(sizeof(*w));

		*w = (struct worker){c, i};
		c->thread[i] = thread_create_kernel("worker", worker_main, w);
		thread_start(c->thread[i]);
	}
}

static void
crew_join(struct crew *c)
{
	for (unsigned i = 0; i < c->num; i++) {
		thread_join(c->thread[i]);
		thread_put(c->thread[i]);
	}
}

static bool
must_stop(const struct crew *c)
{
	return __atomic_load_n(&c->must_stop, __ATOMIC_RELAXED);
}

static void
crew_run(
    struct crew *c, unsigned n, void (*work)(struct crew *, unsigned), nsec_t duration)
{
	crew_start(c, n, work);
	thread_sleep_ns(duration);
	__atomic_store_n(&c->must_stop, true, __ATOMIC_RELAXED);
	crew_join(c);
}

static struct crew crew;

/* ---- Spinlocks ---- */

static struct spinlock spin = SPINLOCK_INIT("selftest", RANK_OBJECT);
static uint64_t spin_sum;

static void
spin_work(struct crew *c, unsigned i)
{
	for (unsigned n = 0; n < 4000; n++) {
		spin_lock(&spin);
		spin_sum++;
		spin_unlock(&spin);
	}
}

SELFTEST(spinlock_excludes)
{
	spin_sum = 0;
	crew_start(&crew, 2 * num_cpus, spin_work);
	crew_join(&crew);
	SELFTEST_CHECK(spin_sum == 4000ull * 2 * num_cpus);
}

/* ---- Mutexes ---- */

static struct mutex mutex = MUTEX_INIT(mutex, "selftest", RANK_SETUP);
static uint64_t mutex_sum;

static void
mutex_work(struct crew *c, unsigned i)
{
	while (!must_stop(c)) {
		mutex_lock(&mutex);

		uint64_t sum = mutex_sum;

		if (c->count[i] % 16 == 0)
			thread_yield();
		mutex_sum = sum + 1;
		mutex_unlock(&mutex);
		c->count[i]++;
	}
}

SELFTEST(mutex_excludes_and_is_fair)
{
	uint64_t sum = 0, least = UINT64_MAX;

	mutex_sum = 0;
	crew_run(&crew, 2 * num_cpus, mutex_work, 500 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < crew.num; i++) {
		sum += crew.count[i];
		least = MIN(least, crew.count[i]);
	}
	SELFTEST_CHECK(mutex_sum == sum);
	/* Loose: the host stops emulated CPUs for long, and each turn needs some to wake.
	 */
	SELFTEST_CHECK(least >= 5);
	SELFTEST_CHECK(mutex.owner == 0);
}

/* ---- Semaphores of readers and writers ---- */

static struct rwsem rwsem = RWSEM_INIT(rwsem, "selftest", RANK_SETUP);
static uint64_t pair[2]; /* equal whenever no writer is in */
static uint64_t num_torn;

static void
rwsem_work(struct crew *c, unsigned i)
{
	while (!must_stop(c)) {
		if (i % 4 == 0) {
			rwsem_lock(&rwsem);
			pair[0]++;
			if (c->count[i] % 8 == 0)
				thread_yield();
			pair[1]++;
			rwsem_unlock(&rwsem);
		} else {
			rwsem_lock_shared(&rwsem);
			if (*(volatile uint64_t *)&pair[0] !=
			    *(volatile uint64_t *)&pair[1])
				__atomic_fetch_add(&num_torn, 1, __ATOMIC_RELAXED);
			if (c->count[i] % 8 == 0)
				thread_yield();
			rwsem_unlock_shared(&rwsem);
		}
		c->count[i]++;
	}
}

SELFTEST(rwsem_excludes_and_starves_nobody)
{
	uint64_t least = UINT64_MAX;

	crew_run(&crew, MIN(4 * num_cpus, (unsigned)MAX_WORKERS), rwsem_work,
	    500 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < crew.num; i++)
		least = MIN(least, crew.count[i]);
	SELFTEST_CHECK(num_torn == 0);
	SELFTEST_CHECK(least > 10);
	SELFTEST_CHECK(rwsem.count == 0);
}

/* ---- Wait queues ---- */

/* A ring of threads that pass a token: each wakes the next. A lost wake-up stops it. */
static struct wait_queue ring[MAX_WORKERS];
static unsigned token; /* [a] who may go */

static void
ring_work(struct crew *c, unsigned i)
{
	while (!must_stop(c)) {
		enum err err = wait_event(&ring[i],
		    __atomic_load_n(&token, __ATOMIC_SEQ_CST) == i || must_stop(c),
		    WAIT_INTERRUPTIBLE, clock_now_ns() + 2 * NSEC_PER_SEC);

		if (err != OK || must_stop(c))
			break;
		c->count[i]++;
		__atomic_store_n(&token, (i + 1) % c->num, __ATOMIC_SEQ_CST);
		wait_queue_wake_all(&ring[(i + 1) % c->num]);
	}
	wait_queue_wake_all(&ring[(i + 1) % c->num]);
}

SELFTEST(wait_queue_loses_no_wakeup)
{
	unsigned n = MIN(num_cpus + 3, (unsigned)MAX_WORKERS);

	for (unsigned i = 0; i < n; i++)
		wait_queue_init(&ring[i]);
	token = 0;
	crew_run(&crew, n, ring_work, NSEC_PER_SEC);
	SELFTEST_CHECK(crew.count[n - 1] > 10);
	SELFTEST_CHECK(crew.count[0] - crew.count[n - 1] <= 1);
}

SELFTEST(wait_event_times_out_in_time)
{
	struct wait_queue q;
	nsec_t start = clock_now_ns(), took;

	wait_queue_init(&q);
	SELFTEST_CHECK(wait_event(&q, false, WAIT_INTERRUPTIBLE,
	                   start + 20 * NSEC_PER_MSEC) == ERR_TIMEDOUT);
	took = clock_now_ns() - start;
	SELFTEST_CHECK(took >= 20 * NSEC_PER_MSEC && took < 500 * NSEC_PER_MSEC);
	SELFTEST_CHECK(list_is_empty(&q.waiters));
}

/* ---- RCU ---- */

struct version {
	struct rcu_head rcu;
	uint64_t is_alive;
};

enum { ALIVE = 0x11223344, DEAD = 0x55667788 };

static struct version *published;
static uint64_t num_dead_seen, num_reclaimed;

static void
reclaim(struct rcu_head *head)
{
	struct version *v = container_of(head, struct version, rcu);

	v->is_alive = DEAD;
	kfree(v);
	num_reclaimed++;
}

static struct version *
version_new(void)
{
	struct version *v = kmalloc(sizeof(*v));

	v->is_alive = ALIVE;
	return v;
}

static void
rcu_work(struct crew *c, unsigned i)
{
	while (!must_stop(c)) {
		if (i == 0) {
			struct version *old = published;

			rcu_assign(published, version_new());
			rcu_call(&old->rcu, reclaim);
			thread_sleep_ns(100 * NSEC_PER_USEC);
		} else {
			rcu_read_lock();

			const struct version *v = rcu_dereference(published);

			for (unsigned n = 0; n < 100; n++)
				if (*(const volatile uint64_t *)&v->is_alive != ALIVE)
					__atomic_fetch_add(
					    &num_dead_seen, 1, __ATOMIC_RELAXED);
			rcu_read_unlock();
		}
		c->count[i]++;
	}
}

SELFTEST(rcu_keeps_what_readers_see)
{
	nsec_t start;

	num_reclaimed = 0;
	published = version_new();
	crew_run(&crew, num_cpus + 1, rcu_work, NSEC_PER_SEC);
	rcu_synchronize();
	start = clock_now_ns();
	rcu_synchronize();
	log_debug("rcu: a grace period took %llu us\n",
	    (clock_now_ns() - start) / NSEC_PER_USEC);
	SELFTEST_CHECK(clock_now_ns() - start < NSEC_PER_SEC);
	SELFTEST_CHECK(num_dead_seen == 0);
	SELFTEST_CHECK(num_reclaimed == crew.count[0]);
	kfree(published);
}

/* ---- Misuse, which debug builds find ---- */

static struct spinlock low = SPINLOCK_INIT("low", RANK_OBJECT);
static struct spinlock high = SPINLOCK_INIT("high", RANK_TTY);

SELFTEST_FATAL(spinlock_order)
{
	spin_lock(&high);
	spin_lock(&low);
	spin_unlock(&low);
	spin_unlock(&high);
}

static NO_THREAD_SAFETY_ANALYSIS void
lock_twice(struct spinlock *l)
{
	spin_lock(l);
	spin_lock(l);
	spin_unlock(l);
}

SELFTEST_FATAL(spinlock_twice)
{
	lock_twice(&low);
}

SELFTEST_FATAL(sleep_under_spinlock)
{
	spin_lock(&low);
	thread_sleep_ns(1);
	spin_unlock(&low);
}
