/* Mutexes and rwsems on the host: one thread, so a lock that is taken twice is a
 * deadlock. */
#include "kernel/sync/mutex.h"

#include "kernel/panic.h"
#include "kernel/sched/thread.h"

static void
take(uint32_t rank, const char *name, const void *lock, bool is_pair)
{
	struct thread *t = current_thread();

	assert_may_sleep();
	ASSERT(name);
	for (unsigned i = 0; i < t->num_held_mutexes; i++) {
		const struct held_mutex *h = &t->held_mutexes[i];

		if (h->lock == lock)
			panic("%s taken twice", name);
		if (h->rank > rank || (h->rank == rank && !is_pair))
			panic("%s (rank %u) taken under %s (rank %u)", name, rank,
			    h->name, h->rank);
	}
	ASSERT(t->num_held_mutexes < MAX_HELD_MUTEXES);
	t->held_mutexes[t->num_held_mutexes++] =
	    (struct held_mutex){.lock = lock, .name = name, .rank = rank};
}

static void
drop(const char *name, const void *lock)
{
	struct thread *t = current_thread();
	unsigned i = t->num_held_mutexes;

	while (i && t->held_mutexes[i - 1].lock != lock)
		i--;
	if (!i)
		panic("%s released but not held", name);
	for (t->num_held_mutexes--; i <= t->num_held_mutexes; i++)
		t->held_mutexes[i - 1] = t->held_mutexes[i];
}

void
mutex_init(struct mutex *m, const char *name, enum lock_rank rank)
{
	*m = (struct mutex)MUTEX_INIT(*m, name, rank);
}

void
mutex_lock(struct mutex *m)
{
	take(m->rank, m->name, m, false);
	m->owner = (uintptr_t)current_thread();
}

enum err
mutex_lock_interruptible(struct mutex *m)
{
	mutex_lock(m);
	return OK;
}

bool
mutex_trylock(struct mutex *m)
{
	if (m->owner)
		return false;
	mutex_lock(m);
	return true;
}

void
mutex_unlock(struct mutex *m)
{
	drop(m->name, m);
	m->owner = 0;
}

bool
mutex_is_held(const struct mutex *m)
{
	return m->owner == (uintptr_t)current_thread();
}

void
mutex_lock_pair(struct mutex *a, struct mutex *b)
{
	mutex_lock(a < b ? a : b);
	if (a == b)
		return;
	take(a->rank, a->name, a < b ? b : a, true);
	(a < b ? b : a)->owner = (uintptr_t)current_thread();
}

void
mutex_unlock_pair(struct mutex *a, struct mutex *b)
{
	mutex_unlock(a);
	if (a != b)
		mutex_unlock(b);
}

void
rwsem_init(struct rwsem *s, const char *name, enum lock_rank rank)
{
	*s = (struct rwsem)RWSEM_INIT(*s, name, rank);
}

void
rwsem_lock_shared(struct rwsem *s)
{
	take(s->rank, s->name, s, false);
	s->count++;
}

void
rwsem_unlock_shared(struct rwsem *s)
{
	ASSERT(s->count > 0);
	drop(s->name, s);
	s->count--;
}

void
rwsem_lock(struct rwsem *s)
{
	take(s->rank, s->name, s, false);
	s->count = -1;
}

void
rwsem_unlock(struct rwsem *s)
{
	ASSERT(s->count == -1);
	drop(s->name, s);
	s->count = 0;
}

bool
rwsem_try_lock_shared(struct rwsem *s)
{
	if (s->count < 0)
		return false;
	rwsem_lock_shared(s);
	return true;
}
