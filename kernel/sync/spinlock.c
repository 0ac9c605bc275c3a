/*
 * Spinlocks: the contended path, and the checking versions of debug builds.
 *
 * Waiters queue by ticket; only the head of the queue looks at the lock itself. In a
 * virtual machine the host may stop any CPU for milliseconds, and if it is the one whose
 * turn has come, all behind it wait for it while the lock is free. There the lock goes to
 * whoever runs.
 *
 * A debug build keeps for each CPU the stack of locks it holds, with the places that took
 * them. As holding a spinlock keeps interrupts off, that is exact: no other code runs on
 * the CPU between (but NMI handlers, which nest properly). The run-queue lock, taken by
 * one thread and released by the next, stays on the same CPU too. A lock is taken only if
 * its rank is above those of all held; the panic names both places.
 */
#include "kernel/sync/spinlock.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/x86/features.h"

enum {
	MAX_HELD = 24,
	SPINS_PER_LOOK = 1 << 14, /* pauses between two looks at the clock */
	BREAK_SPINS =
	    1 << 24, /* after lock_checks_off: pauses until a lock is just taken */
};

/* A wait for a lock, to see that it takes too long. */
struct spin_watch {
	nsec_t start_ns;
	uint32_t num_spins;
	bool is_reported;
};

struct held_locks {
	uint32_t num;
	const struct spinlock *lock[MAX_HELD];
	const void *caller[MAX_HELD];
};

static PER_CPU(struct held_locks, held_locks);
static bool checks_off;

void
lock_checks_off(void)
{
	__atomic_store_n(&checks_off, true, __ATOMIC_RELAXED);
}

void
spin_init(struct spinlock *l, const char *name, enum lock_rank rank)
{
	*l = (struct spinlock)SPINLOCK_INIT(name, rank);
}

static void
report_long_spin(const struct spinlock *l)
{
	const struct cpu *owner = l->owner;

	log_warn("spinlock %s: over 1 s of spinning on CPU %u at %p; held by CPU %d "
	         "since %p\n",
	    l->name, cpu_id(), __builtin_return_address(0), owner ? (int)owner->id : -1,
	    l->caller);
}

/* One pause of a wait. True: a panic is under way, and the lock is not to be waited for.
 */
static bool
spin_pause(struct spinlock *l, struct spin_watch *w)
{
	nsec_t now;

	cpu_relax();
	w->num_spins++;
	if (unlikely(w->num_spins % BREAK_SPINS == 0) && checks_off)
		return true;
	if (!CONFIG_DEBUG || w->num_spins % SPINS_PER_LOOK || w->is_reported ||
	    checks_off)
		return false;
	now = clock_now_ns();
	if (!w->start_ns)
		w->start_ns = now;
	/* Not of the locks that printing itself takes: it would wait behind us. */
	if (now - w->start_ns > NSEC_PER_SEC && l->rank < RANK_LOG) {
		w->is_reported = true;
		report_long_spin(l);
	}
	return false;
}

/* Waits in the queue, then for the holder, and takes the lock with the place at the head.
 */
static void
wait_in_queue(struct spinlock *l, struct spin_watch *w)
{
	uint8_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	uint16_t old;

	__atomic_fetch_add(&l->num_waiting, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&l->served, __ATOMIC_ACQUIRE) != ticket)
		if (spin_pause(l, w))
			return;
	do {
		while ((old = __atomic_load_n(&l->word, __ATOMIC_RELAXED)) & 0xff)
			if (spin_pause(l, w))
				return;
	} while (!__atomic_compare_exchange_n(&l->word, &old, (uint16_t)(old - 0x100 + 1),
	    false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	__atomic_store_n(&l->served, (uint8_t)(ticket + 1), __ATOMIC_RELEASE);
}

/* Whoever comes when it is free has it. */
static void
wait_without_order(struct spinlock *l, struct spin_watch *w)
{
	do {
		while (__atomic_load_n(&l->word, __ATOMIC_RELAXED))
			if (spin_pause(l, w))
				return;
	} while (!spin_take_free(l));
}

void
spin_wait(struct spinlock *l)
{
	struct spin_watch w = {0};

	if (cpu_features.is_virtual)
		wait_without_order(l, &w);
	else
		wait_in_queue(l, &w);
}

static void
held_push(struct spinlock *l, const void *caller)
{
	struct held_locks *h = this_cpu_ptr(&held_locks);

	l->owner = this_cpu();
	l->caller = caller;
	if (h->num == MAX_HELD)
		panic("spinlock %s: %d locks held on one CPU", l->name, MAX_HELD);
	h->lock[h->num] = l;
	h->caller[h->num++] = caller;
}

static void
held_pop(const struct spinlock *l)
{
	struct held_locks *h = this_cpu_ptr(&held_locks);
	unsigned i = h->num;

	while (i && h->lock[i - 1] != l)
		i--;
	if (!i)
		panic("spinlock %s: released on CPU %u, which does not hold it (last "
		      "taken at %p)",
		    l->name, cpu_id(), l->caller);
	for (h->num--; i <= h->num; i++) {
		h->lock[i - 1] = h->lock[i];
		h->caller[i - 1] = h->caller[i];
	}
}

/* Interrupts are off. `is_pair`: the second lock of a pair may have the rank of the
 * first. */
static void
check_order(const struct spinlock *l, const void *caller, bool is_pair)
{
	const struct held_locks *h = this_cpu_ptr(&held_locks);

	if (!l->name)
		panic("spinlock %p used at %p before spin_init", l, caller);
	for (unsigned i = 0; i < h->num; i++) {
		if (h->lock[i] == l)
			panic("spinlock %s: taken again at %p, held since %p", l->name,
			    caller, h->caller[i]);
		if (h->lock[i]->rank > l->rank ||
		    (h->lock[i]->rank == l->rank && !is_pair))
			panic("spinlock %s (rank %u) taken at %p under %s (rank %u) "
			      "taken at %p",
			    l->name, l->rank, caller, h->lock[i]->name, h->lock[i]->rank,
			    h->caller[i]);
	}
}

static void
lock_checked(struct spinlock *l, const void *caller, bool is_pair)
{
	irq_disable_nested();
	if (!checks_off)
		check_order(l, caller, is_pair);
	if (!spin_take_free(l))
		spin_wait(l);
	if (!checks_off)
		held_push(l, caller);
}

void
spin_lock_checked(struct spinlock *l)
{
	lock_checked(l, __builtin_return_address(0), false);
}

bool
spin_trylock_checked(struct spinlock *l)
{
	irq_disable_nested();
	if (!spin_take_free(l)) {
		irq_enable_nested();
		return false;
	}
	/* Refusing cannot deadlock: the order is not checked. */
	if (!checks_off)
		held_push(l, __builtin_return_address(0));
	return true;
}

void
spin_release_checked(struct spinlock *l)
{
	if (checks_off)
		return;
	held_pop(l);
	l->owner = NULL;
}

void
spin_lock_pair(struct spinlock *a, struct spinlock *b)
{
	struct spinlock *low = a < b ? a : b, *high = a < b ? b : a;

	spin_lock(low);
	if (low == high)
		return;
	if (CONFIG_DEBUG)
		lock_checked(high, __builtin_return_address(0), true);
	else
		spin_lock(high);
}

void
spin_unlock_pair(struct spinlock *a, struct spinlock *b)
{
	if (a != b)
		spin_unlock(b);
	spin_unlock(a);
}

bool
spin_is_held(const struct spinlock *l)
{
	if (CONFIG_DEBUG && !checks_off)
		return l->owner == this_cpu();
	return l->is_locked;
}

void
spin_print_held(const struct cpu *cpu)
{
	const struct held_locks *h = per_cpu_ptr(&held_locks, cpu);

	for (unsigned i = 0; i < MIN(h->num, (uint32_t)MAX_HELD); i++)
		log_printf(LOG_ERR, "  holds %s (rank %u) taken at %p\n",
		    h->lock[i]->name, h->lock[i]->rank, h->caller[i]);
}

void
assert_held_checked(const struct spinlock *l)
{
	if (!spin_is_held(l))
		panic("%p: spinlock %s should be held", __builtin_return_address(0),
		    l->name);
}

void
assert_irqs_off_checked(void)
{
	if (irq_is_on() && !checks_off)
		panic("%p: interrupts should be off", __builtin_return_address(0));
}

/* While the boot CPU has no thread yet, nothing can be contended and nothing sleeps. */
void
assert_may_sleep_checked(void)
{
	if (!current_thread() || checks_off)
		return;
	if (this_cpu_read(preempt_count) || this_cpu_read(irq_off_depth) ||
	    !irq_is_on()) {
		spin_print_held(this_cpu());
		panic("%p: may sleep, in a context that must not (preemption off %u, "
		      "interrupts off %u)",
		    __builtin_return_address(0), this_cpu_read(preempt_count),
		    this_cpu_read(irq_off_depth));
	}
}
