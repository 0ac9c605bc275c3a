/*
 * Reader-writer semaphores. `count` is the whole state of an uncontended one: a reader
 * adds 4, a writer sets bit 0. Bit 1 says that the list of waiters is not empty; while it
 * is set, new readers queue too, so writers are not starved. The one who releases last
 * hands over: to the writer at the head of the list, or to all readers up to the next
 * writer.
 *
 * A reader that finds a bit set has already added its 4 and takes it back; until then it
 * looks like a reader. That can only delay a hand-over, and it repeats the hand-over
 * itself.
 */
#include "kernel/sched/thread.h"
#include "kernel/sync/held.h"
#include "kernel/sync/mutex.h"

enum { WRITER = 1, WAITERS = 2, READER = 4 };

struct rwsem_waiter {
	struct list link;
	struct thread *thread;
	bool is_writer;
	bool is_granted; /* [lock] */
};

void
rwsem_init(struct rwsem *s, const char *name, enum lock_rank rank)
{
	*s = (struct rwsem)RWSEM_INIT(*s, name, rank);
}

/* Tries to move `count` to what it is with `w` in; false if `w` has to wait on. Lock
 * held. */
static bool
admit(struct rwsem *s, const struct rwsem_waiter *w)
{
	int64_t old = __atomic_load_n(&s->count, __ATOMIC_RELAXED);
	int64_t blockers = w->is_writer ? ~(int64_t)WAITERS : WRITER;

	do {
		if (old & blockers)
			return false;
	} while (!__atomic_compare_exchange_n(&s->count, &old,
	    old + (w->is_writer ? WRITER : READER), false, __ATOMIC_ACQUIRE,
	    __ATOMIC_RELAXED));
	return true;
}

/* Gives the semaphore to those at the head of the list who can have it now. Lock held. */
static void
hand_over(struct rwsem *s)
{
	struct rwsem_waiter *w;

	while ((w = list_first(&s->waiters, struct rwsem_waiter, link)) && admit(s, w)) {
		list_remove(&w->link);
		if (list_is_empty(&s->waiters))
			__atomic_fetch_and(
			    &s->count, ~(int64_t)WAITERS, __ATOMIC_RELAXED);
		w->is_granted = true;
		thread_wake(w->thread);
	}
}

static void
lock_slow(struct rwsem *s, bool is_writer)
{
	struct rwsem_waiter w = {.thread = current_thread(), .is_writer = is_writer};

	spin_lock(&s->lock);
	if (!is_writer)
		__atomic_fetch_sub(&s->count, READER, __ATOMIC_RELAXED);
	list_push_back(&s->waiters, &w.link);
	__atomic_fetch_or(&s->count, WAITERS, __ATOMIC_RELAXED);
	hand_over(s);
	while (!w.is_granted) {
		thread_set_state(THREAD_BLOCKED);
		spin_unlock(&s->lock);
		schedule();
		spin_lock(&s->lock);
	}
	spin_unlock(&s->lock);
}

static void
unlock_slow(struct rwsem *s)
{
	spin_lock(&s->lock);
	hand_over(s);
	spin_unlock(&s->lock);
}

void
rwsem_lock_shared(struct rwsem *s)
{
	assert_may_sleep();
	if (CONFIG_DEBUG)
		held_push(s, s->name, s->rank, __builtin_return_address(0), false);
	if (unlikely(__atomic_fetch_add(&s->count, READER, __ATOMIC_ACQUIRE) &
	             (WRITER | WAITERS)))
		lock_slow(s, false);
}

bool
rwsem_try_lock_shared(struct rwsem *s)
{
	int64_t old = __atomic_load_n(&s->count, __ATOMIC_RELAXED);

	do {
		if (old & (WRITER | WAITERS))
			return false;
	} while (!__atomic_compare_exchange_n(
	    &s->count, &old, old + READER, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	if (CONFIG_DEBUG)
		held_push(s, s->name, s->rank, __builtin_return_address(0), false);
	return true;
}

void
rwsem_unlock_shared(struct rwsem *s)
{
	if (CONFIG_DEBUG)
		held_pop(s, s->name);
	if (unlikely(__atomic_sub_fetch(&s->count, READER, __ATOMIC_RELEASE) == WAITERS))
		unlock_slow(s);
}

void
rwsem_lock(struct rwsem *s)
{
	int64_t expected = 0;

	assert_may_sleep();
	if (CONFIG_DEBUG)
		held_push(s, s->name, s->rank, __builtin_return_address(0), false);
	if (unlikely(!__atomic_compare_exchange_n(
	        &s->count, &expected, WRITER, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		lock_slow(s, true);
}

void
rwsem_unlock(struct rwsem *s)
{
	if (CONFIG_DEBUG)
		held_pop(s, s->name);
	if (unlikely(__atomic_sub_fetch(&s->count, WRITER, __ATOMIC_RELEASE) & WAITERS))
		unlock_slow(s);
}
