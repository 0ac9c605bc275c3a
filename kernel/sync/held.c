/* Debug builds: which sleeping locks each thread holds, and whether their order is right.
 */
#include "kernel/sync/held.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/mutex.h"

static unsigned
index_of(const struct thread *t, const void *lock)
{
	unsigned i = t->num_held_mutexes;

	while (i && t->held_mutexes[i - 1].lock != lock)
		i--;
	return i;
}

/* Before there are threads nothing is noted. */
void
held_push(const void *lock, const char *name, enum lock_rank rank, const void *caller,
    bool is_pair)
{
	struct thread *t = current_thread();

	if (!t)
		return;
	if (!name)
		panic("sleeping lock %p used at %p before it was initialised", lock,
		    caller);
	for (unsigned i = 0; i < t->num_held_mutexes; i++) {
		const struct held_mutex *h = &t->held_mutexes[i];

		if (h->lock == lock)
			panic("%s: taken again at %p, held since %p", name, caller,
			    h->caller);
		if (h->rank > rank || (h->rank == rank && !is_pair))
			panic("%s (rank %u) taken at %p under %s (rank %u) taken at %p",
			    name, rank, caller, h->name, h->rank, h->caller);
	}
	if (t->num_held_mutexes == MAX_HELD_MUTEXES)
		panic("%s taken at %p: %d sleeping locks held", name, caller,
		    MAX_HELD_MUTEXES);
	t->held_mutexes[t->num_held_mutexes++] = (struct held_mutex){
	    .lock = lock, .name = name, .caller = caller, .rank = rank};
}

void
held_pop(const void *lock, const char *name)
{
	struct thread *t = current_thread();

	if (!t)
		return;

	unsigned i = index_of(t, lock);

	if (!i)
		panic("%s: released by thread %s, which does not hold it", name, t->name);
	for (t->num_held_mutexes--; i <= t->num_held_mutexes; i++)
		t->held_mutexes[i - 1] = t->held_mutexes[i];
}

void
mutex_print_held(const struct thread *t)
{
	for (unsigned i = 0; i < MIN(t->num_held_mutexes, (uint32_t)MAX_HELD_MUTEXES);
	     i++)
		log_printf(LOG_ERR, "  holds or waits for %s (rank %u), %p\n",
		    t->held_mutexes[i].name, t->held_mutexes[i].rank,
		    t->held_mutexes[i].caller);
}
