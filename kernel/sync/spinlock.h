/*
 * Spinlocks: fair (waiters queue by ticket), interrupts off while held. Nesting of
 * interrupt-off sections is counted per CPU, so locks may be released in any order and
 * interrupts come back with the last one. Holding a lock keeps the thread on its CPU.
 *
 * Release builds inline the uncontended path. Debug builds (kernel/sync/spinlock.c) check
 * rank, owner, recursion and a spin of over a second.
 */
#pragma once

#include "kernel/sync/lock_rank.h"
#include "kernel/x86/percpu_ops.h"
#include "lib/types.h"

#define CAPABILITY(name)          __attribute__((capability(name)))
#define ACQUIRES(...)             __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...)         __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASES(...)             __attribute__((release_capability(__VA_ARGS__)))
#define MUST_HOLD(...)            __attribute__((requires_capability(__VA_ARGS__)))
#define GUARDED_BY(x)             __attribute__((guarded_by(x)))
#define NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))

struct spinlock {
	union {
		uint16_t word; /* [a] 0: free, nobody waits; taken by one step to 1 */
		struct {
			uint8_t is_locked;
			uint8_t num_waiting; /* [a] in the queue; at most MAX_CPUS - 1 */
		};
	};
	uint8_t next;   /* [a] ticket for the next who queues */
	uint8_t served; /* ticket of the head of the queue */
	uint32_t rank;  /* enum lock_rank */
	const char *name;
	struct cpu *owner; /* [debug builds] */
	const void *caller;
} CAPABILITY("spinlock");

#define SPINLOCK_INIT(lock_name, lock_rank) \
	{ \
		.rank = (lock_rank), .name = (lock_name) \
	}

void spin_init(struct spinlock *, const char *name, enum lock_rank rank);
static void spin_lock(struct spinlock *l) ACQUIRES(*l);
static void spin_unlock(struct spinlock *l) RELEASES(*l);
static bool spin_trylock(struct spinlock *l) TRY_ACQUIRES(true, *l);

/* Two locks of one rank, in address order. `a` and `b` may be the same lock. */
void spin_lock_pair(struct spinlock *a, struct spinlock *b) NO_THREAD_SAFETY_ANALYSIS;
void spin_unlock_pair(struct spinlock *a, struct spinlock *b) NO_THREAD_SAFETY_ANALYSIS;

bool spin_is_held(const struct spinlock *); /* by this CPU; exact in debug builds only */

/* The same without a look at need_resched: the scheduler's own. */
static void spin_unlock_no_resched(struct spinlock *l) RELEASES(*l);

/* Counted interrupt-off sections without a lock. */
static void irq_disable_nested(void);
static void irq_enable_nested(void);
static void irq_enable_nested_no_resched(void);

/* Counted preemption-off sections. preempt_enable reschedules when that is due. */
static void preempt_disable(void);
static void preempt_enable(void);

/* Panic (debug builds) unless the context is as said. */
static void assert_held(const struct spinlock *l) __attribute__((assert_capability(*l)));
static void assert_may_sleep(void);
static void assert_irqs_off(void);

/*
 * For panic: from now on no lock is checked, and one that stays taken for long is taken
 * all the same, so that the report comes out whatever was held.
 */
void lock_checks_off(void);

/* Prints the locks this CPU or `cpu` holds (debug builds; else nothing). Any context. */
void spin_print_held(const struct cpu *cpu);

/* The slow or checking halves of the calls above; not to be called directly. */
void spin_wait(struct spinlock *);
void spin_lock_checked(struct spinlock *);
bool spin_trylock_checked(struct spinlock *);
void spin_release_checked(struct spinlock *);
void assert_held_checked(const struct spinlock *);
void assert_may_sleep_checked(void);
void assert_irqs_off_checked(void);

/* Switches threads if this CPU may and should: kernel/sched. Interrupts on or off. */
void sched_preempt(void);

/*
 * The order of the two stores matters to an NMI in between, which nests: it must see the
 * depth raised before irq_was_on is ours, and must not find the depth 0 while we still
 * need irq_was_on.
 */
static inline void
irq_disable_nested(void)
{
	if (this_cpu_is(irq_off_depth, 0)) {
		uint64_t flags = irq_read_flags();

		irq_off_raw();
		this_cpu_inc(irq_off_depth);
		this_cpu_write(irq_was_on, flags & RFLAGS_IRQ_ON);
	} else {
		this_cpu_inc(irq_off_depth);
	}
}

static inline void
irq_enable_nested_no_resched(void)
{
	uint32_t was_on = this_cpu_read(irq_was_on);

	if (this_cpu_dec_is_zero(irq_off_depth) && was_on)
		irq_on_raw();
}

static inline void
irq_enable_nested(void)
{
	uint32_t was_on = this_cpu_read(irq_was_on);

	if (!this_cpu_dec_is_zero(irq_off_depth) || !was_on)
		return;
	irq_on_raw();
	if (unlikely(!this_cpu_is(need_resched, 0)))
		sched_preempt();
}

static inline void
preempt_disable(void)
{
	this_cpu_inc(preempt_count);
}

static inline void
preempt_enable(void)
{
	if (this_cpu_dec_is_zero(preempt_count) &&
	    unlikely(!this_cpu_is(need_resched, 0)))
		sched_preempt();
}

/* One step, no waiting, and never past those who wait. */
static inline bool
spin_take_free(struct spinlock *l)
{
	uint16_t expected = 0;

	return __atomic_compare_exchange_n(
	    &l->word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline NO_THREAD_SAFETY_ANALYSIS void
spin_lock(struct spinlock *l)
{
	if (CONFIG_DEBUG) {
		spin_lock_checked(l);
		return;
	}
	irq_disable_nested();
	if (unlikely(!spin_take_free(l)))
		spin_wait(l);
}

static inline void
spin_release(struct spinlock *l)
{
	if (CONFIG_DEBUG)
		spin_release_checked(l);
	__atomic_store_n(&l->is_locked, 0, __ATOMIC_RELEASE);
}

static inline NO_THREAD_SAFETY_ANALYSIS void
spin_unlock(struct spinlock *l)
{
	spin_release(l);
	irq_enable_nested();
}

static inline NO_THREAD_SAFETY_ANALYSIS void
spin_unlock_no_resched(struct spinlock *l)
{
	spin_release(l);
	irq_enable_nested_no_resched();
}

static inline NO_THREAD_SAFETY_ANALYSIS bool
spin_trylock(struct spinlock *l)
{
	if (CONFIG_DEBUG)
		return spin_trylock_checked(l);
	irq_disable_nested();
	if (spin_take_free(l))
		return true;
	irq_enable_nested();
	return false;
}

static inline void
assert_held(const struct spinlock *l)
{
	if (CONFIG_DEBUG)
		assert_held_checked(l);
}

static inline void
assert_may_sleep(void)
{
	if (CONFIG_DEBUG)
		assert_may_sleep_checked();
}

static inline void
assert_irqs_off(void)
{
	if (CONFIG_DEBUG)
		assert_irqs_off_checked();
}
