/*
 * Spinlocks: fair (ticket or queued), interrupts off while held. Nesting of interrupt-off
 * sections is counted per CPU, so locks may be released in any order and interrupts come
 * back with the last one. Debug builds check rank, owner and a spin of over a second.
 */
#pragma once

#include "kernel/sync/lock_rank.h"
#include "lib/types.h"

#define CAPABILITY(name) __attribute__((capability(name)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define MUST_HOLD(...) __attribute__((requires_capability(__VA_ARGS__)))
#define GUARDED_BY(x) __attribute__((guarded_by(x)))
#define NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))

struct spinlock {
	uint32_t ticket; /* low half: served, high half: next */
	uint32_t rank;	 /* enum lock_rank */
	const char *name;
	struct cpu *owner; /* [debug builds] */
	const void *caller;
} CAPABILITY("spinlock");

#define SPINLOCK_INIT(lock_name, lock_rank) { .rank = (lock_rank), .name = (lock_name) }

void spin_init(struct spinlock *, const char *name, enum lock_rank rank);
void spin_lock(struct spinlock *l) ACQUIRES(*l);
void spin_unlock(struct spinlock *l) RELEASES(*l);
bool spin_trylock(struct spinlock *l) TRY_ACQUIRES(true, *l);

/* Two locks of one rank, in address order. `a` and `b` may be the same lock. */
void spin_lock_pair(struct spinlock *a, struct spinlock *b) NO_THREAD_SAFETY_ANALYSIS;
void spin_unlock_pair(struct spinlock *a, struct spinlock *b) NO_THREAD_SAFETY_ANALYSIS;

bool spin_is_held(const struct spinlock *); /* by this CPU; exact in debug builds only */

/* Counted interrupt-off sections without a lock. */
void irq_disable_nested(void);
void irq_enable_nested(void);

/* Counted preemption-off sections. preempt_enable reschedules when that is due. */
void preempt_disable(void);
void preempt_enable(void);

/* Panic (debug builds) unless the context is as said. */
void assert_held(const struct spinlock *l) __attribute__((assert_capability(*l)));
void assert_may_sleep(void);
void assert_irqs_off(void);
