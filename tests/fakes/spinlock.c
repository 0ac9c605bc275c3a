/*
 * Spinlocks on the host: the header's checking calls, with one CPU. A lock that is taken
 * while held would spin for ever on one CPU, so it panics; so does a wrong order or a
 * foreign release.
 */
#include "kernel/sync/spinlock.h"

#include "kernel/panic.h"

enum { MAX_HELD = 24 };

static const struct spinlock *held[MAX_HELD];
static unsigned num_held;

void
spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
	*l = (struct spinlock)SPINLOCK_INIT(name, rank);
}

static void
take(struct spinlock *l, bool is_pair)
{
	irq_disable_nested();
	ASSERT(l->name);
	for (unsigned i = 0; i < num_held; i++) {
		if (held[i] == l)
			panic("spinlock %s taken twice", l->name);
		if (held[i]->rank > l->rank || (held[i]->rank == l->rank && !is_pair))
			panic("spinlock %s (rank %u) taken under %s (rank %u)", l->name,
			    l->rank, held[i]->name, held[i]->rank);
	}
	ASSERT(num_held < MAX_HELD);
	held[num_held++] = l;
	l->owner = this_cpu();
	l->is_locked = 1;
}

void
spin_lock_checked(struct spinlock *l)
{
	take(l, false);
}

bool
spin_trylock_checked(struct spinlock *l)
{
	if (l->owner)
		return false;
	take(l, false);
	return true;
}

void
spin_release_checked(struct spinlock *l)
{
	unsigned i = num_held;

	while (i && held[i - 1] != l)
		i--;
	if (!i)
		panic("spinlock %s released but not held", l->name);
	for (num_held--; i <= num_held; i++)
		held[i - 1] = held[i];
	l->owner = NULL;
}

void
spin_lock_pair(struct spinlock *a, struct spinlock *b)
{
	take(a < b ? a : b, false);
	if (a != b)
		take(a < b ? b : a, true);
}

void
spin_unlock_pair(struct spinlock *a, struct spinlock *b)
{
	spin_unlock(a);
	if (a != b)
		spin_unlock(b);
}

bool
spin_is_held(const struct spinlock *l)
{
	return l->owner == this_cpu();
}

void
assert_held_checked(const struct spinlock *l)
{
	if (!l->owner)
		panic("spinlock %s should be held", l->name);
}

void
assert_irqs_off_checked(void)
{
	ASSERT(!irq_is_on());
}

void
assert_may_sleep_checked(void)
{
	if (num_held)
		panic("sleep under spinlock %s", held[num_held - 1]->name);
	ASSERT(!this_cpu_read(preempt_count) && irq_is_on());
}

void
sched_preempt(void)
{
}
