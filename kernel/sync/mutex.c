/*
 * Mutexes. `owner` is the whole state of an uncontended one: taken and released by one
 * atomic each. With bit 0 set (someone waits) both ways lead through `lock` and the list
 * of waiters.
 *
 * A release wakes the first waiter but leaves the mutex free, so that a running thread
 * may take it meanwhile: throughput. A waiter that was woken and found it taken is given
 * it by hand the next time: fairness, nobody waits for more than two turns at the head of
 * the list.
 */
#include "kernel/sync/mutex.h"

#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/held.h"

enum {
	HAS_WAITERS = 1,
	OWNER_SPINS = 200, /* looks at a running owner before sleeping */
};

struct mutex_waiter {
	struct list link;
	struct thread *thread;
	bool has_lost; /* [lock] was woken once and found the mutex taken */
	bool is_owner; /* [lock] it was given the mutex */
};

void
mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
	*m = (struct mutex)MUTEX_INIT(*m, name, rank);
}

static bool
take_free(struct mutex *m)
{
	uintptr_t expected = 0;

	return __atomic_compare_exchange_n(&m->owner, &expected,
	    (uintptr_t)current_thread(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/*
 * While the owner runs on another CPU it is likely to release the mutex sooner than a
 * switch takes. Its struct thread stays readable because this CPU passes no quiescent
 * state meanwhile.
 */
static bool
spin_on_owner(struct mutex *m)
{
	bool taken = false;

	if (num_cpus == 1)
		return false;
	rcu_read_lock();
	for (unsigned i = 0; i < OWNER_SPINS; i++) {
		uintptr_t owner = __atomic_load_n(&m->owner, __ATOMIC_RELAXED);

		if (!owner) {
			taken = take_free(m);
			if (taken)
				break;
			continue;
		}
		if (owner & HAS_WAITERS || !this_cpu_is(need_resched, 0) ||
		    !((const struct thread *)owner)->sched.is_running)
			break;
		cpu_relax();
	}
	rcu_read_unlock();
	return taken;
}

/* Takes the mutex if it is free, else makes sure that its release comes to the waiters.
 */
static bool
take_or_mark(struct mutex *m)
{
	uintptr_t old = __atomic_load_n(&m->owner, __ATOMIC_RELAXED), new;

	do {
		new = old | HAS_WAITERS;
		if (!(old & ~(uintptr_t)HAS_WAITERS))
			new = (uintptr_t)current_thread() |
			      (list_is_empty(&m->waiters) ? 0 : 1);
	} while (!__atomic_compare_exchange_n(
	    &m->owner, &old, new, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return !(old & ~(uintptr_t)HAS_WAITERS);
}

/* A waiter gives up: if it was woken for a free mutex, the next one must hear of it. */
static void
leave_queue(struct mutex *m, struct mutex_waiter *w)
{
	struct mutex_waiter *next;

	list_remove(&w->link);
	next = list_first(&m->waiters, struct mutex_waiter, link);
	if (!next)
		__atomic_fetch_and(&m->owner, ~(uintptr_t)HAS_WAITERS, __ATOMIC_RELAXED);
	else if (m->owner == HAS_WAITERS)
		thread_wake(next->thread);
}

static enum err wait_turn(
    struct mutex *m, struct mutex_waiter *w, enum thread_state state) MUST_HOLD(m->lock);

static enum err
wait_turn(struct mutex *m, struct mutex_waiter *w, enum thread_state state)
{
	for (;;) {
		thread_set_state(state);
		spin_unlock(&m->lock);
		schedule();
		spin_lock(&m->lock);
		if (w->is_owner)
			return OK;
		list_remove(&w->link);
		if (take_or_mark(m))
			return OK;
		list_push_front(&m->waiters, &w->link);
		w->has_lost = true;
		if (state == THREAD_SLEEPING && signal_is_pending(w->thread)) {
			leave_queue(m, w);
			return ERR_RESTARTSYS;
		}
	}
}

static enum err
lock_slow(struct mutex *m, enum thread_state state)
{
	struct mutex_waiter w = {.thread = current_thread()};
	enum err err = OK;

	if (spin_on_owner(m))
		return OK;
	spin_lock(&m->lock);
	if (!take_or_mark(m)) {
		list_push_back(&m->waiters, &w.link);
		err = wait_turn(m, &w, state);
	}
	spin_unlock(&m->lock);
	return err;
}

static NO_THREAD_SAFETY_ANALYSIS void
lock_mutex(struct mutex *m, const void *caller, bool is_pair)
{
	assert_may_sleep();
	if (CONFIG_DEBUG)
		held_push(m, m->name, m->rank, caller, is_pair);
	if (unlikely(!take_free(m)))
		(void)lock_slow(m, THREAD_BLOCKED); /* cannot be interrupted */
}

NO_THREAD_SAFETY_ANALYSIS void
mutex_lock(struct mutex *m)
{
	lock_mutex(m, __builtin_return_address(0), false);
}

enum err
mutex_lock_interruptible(struct mutex *m)
{
	enum err err = OK;

	assert_may_sleep();
	if (CONFIG_DEBUG)
		held_push(m, m->name, m->rank, __builtin_return_address(0), false);
	if (unlikely(!take_free(m)))
		err = lock_slow(m, THREAD_SLEEPING);
	if (CONFIG_DEBUG && err != OK)
		held_pop(m, m->name);
	return err;
}

/* Refusing cannot deadlock, but what is taken under it could: the order is checked. */
NO_THREAD_SAFETY_ANALYSIS bool
mutex_trylock(struct mutex *m)
{
	if (!take_free(m))
		return false;
	if (CONFIG_DEBUG)
		held_push(m, m->name, m->rank, __builtin_return_address(0), false);
	return true;
}

/* False: nobody waits any more, the caller tries the fast way again. */
static bool
unlock_slow(struct mutex *m)
{
	struct mutex_waiter *w;

	spin_lock(&m->lock);
	w = list_first(&m->waiters, struct mutex_waiter, link);
	if (!w) {
		/* Not freed here: the mutex may cease to exist the moment it looks free.
		 */
		__atomic_fetch_and(&m->owner, ~(uintptr_t)HAS_WAITERS, __ATOMIC_RELAXED);
		spin_unlock(&m->lock);
		return false;
	}
	if (w->has_lost) {
		list_remove(&w->link);
		w->is_owner = true;
		__atomic_store_n(&m->owner,
		    (uintptr_t)w->thread | (list_is_empty(&m->waiters) ? 0 : HAS_WAITERS),
		    __ATOMIC_RELEASE);
	} else {
		__atomic_store_n(&m->owner, HAS_WAITERS, __ATOMIC_RELEASE);
	}
	thread_wake(w->thread);
	spin_unlock(&m->lock);
	return true;
}

NO_THREAD_SAFETY_ANALYSIS void
mutex_unlock(struct mutex *m)
{
	uintptr_t self;

	if (CONFIG_DEBUG)
		held_pop(m, m->name);
	do {
		self = (uintptr_t)current_thread();
		if (likely(__atomic_compare_exchange_n(
		        &m->owner, &self, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)))
			return;
	} while (!unlock_slow(m));
}

bool
mutex_is_held(const struct mutex *m)
{
	return (m->owner & ~(uintptr_t)HAS_WAITERS) == (uintptr_t)current_thread();
}

void
mutex_lock_pair(struct mutex *a, struct mutex *b)
{
	const void *caller = __builtin_return_address(0);

	lock_mutex(a < b ? a : b, caller, false);
	if (a != b)
		lock_mutex(a < b ? b : a, caller, true);
}

void
mutex_unlock_pair(struct mutex *a, struct mutex *b)
{
	mutex_unlock(a);
	if (a != b)
		mutex_unlock(b);
}
