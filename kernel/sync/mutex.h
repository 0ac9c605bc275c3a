/*
 * Sleeping locks. A mutex has one owner; a rwsem is shared by readers or owned by one
 * writer (writers are not starved). Fast path is one atomic; contended waiters sleep.
 * Never in interrupt context or under a spinlock. Ranks as for spinlocks.
 */
#pragma once

#include "kernel/sync/wait.h"

struct mutex {
	uintptr_t owner; /* [a] struct thread *, 0 when free; bit 0: someone waits */
	uint32_t rank;   /* [I] */
	const char *name;
	struct spinlock lock;
	struct list waiters; /* [lock] */
} CAPABILITY("mutex");

#define MUTEX_INIT(var, mutex_name, lock_rank) \
	{ \
		.rank = (lock_rank), .name = (mutex_name), \
		.lock = SPINLOCK_INIT(mutex_name, RANK_WAIT_QUEUE), \
		.waiters = LIST_INIT((var).waiters) \
	}

void mutex_init(struct mutex *, const char *name, enum lock_rank rank);
void mutex_lock(struct mutex *m) ACQUIRES(*m);
enum err mutex_lock_interruptible(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS;
bool mutex_trylock(struct mutex *m) TRY_ACQUIRES(true, *m);
void mutex_unlock(struct mutex *m) RELEASES(*m);
bool mutex_is_held(const struct mutex *); /* by the current thread */

/* Two mutexes of one rank, in address order; the same one twice is locked once. */
void mutex_lock_pair(struct mutex *a, struct mutex *b) NO_THREAD_SAFETY_ANALYSIS;
void mutex_unlock_pair(struct mutex *a, struct mutex *b) NO_THREAD_SAFETY_ANALYSIS;

struct rwsem {
	int64_t count; /* [a] bit 0: a writer has it, bit 1: someone waits; 4 for each
	                  reader */
	uint32_t rank; /* [I] */
	const char *name;
	struct spinlock lock;
	struct list waiters; /* [lock] in order of arrival */
} CAPABILITY("rwsem");

#define RWSEM_INIT(var, sem_name, lock_rank) \
	{ \
		.rank = (lock_rank), .name = (sem_name), \
		.lock = SPINLOCK_INIT(sem_name, RANK_WAIT_QUEUE), \
		.waiters = LIST_INIT((var).waiters) \
	}

void rwsem_init(struct rwsem *, const char *name, enum lock_rank rank);
void rwsem_lock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_unlock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_lock(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_unlock(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
bool rwsem_try_lock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;

/* For the panic report: the sleeping locks `t` holds (debug builds; else nothing). */
struct thread;
void mutex_print_held(const struct thread *t);
