/*
 * Sleeping locks. A mutex has one owner; a rwsem is shared by readers or owned by one
 * writer (writers are not starved). Fast path is one atomic; contended waiters sleep.
 * Never in interrupt context or under a spinlock. Ranks as for spinlocks.
 */
#pragma once

#include "kernel/sync/wait.h"

struct mutex {
	struct thread *owner; /* [a] NULL when free; bit 0 set: someone waits */
	uint32_t rank;
	const char *name;
	struct wait_queue waiters;
} CAPABILITY("mutex");

#define MUTEX_INIT(var, mutex_name, lock_rank) \
	{ .rank = (lock_rank), .name = (mutex_name), .waiters = WAIT_QUEUE_INIT((var).waiters) }

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
	int64_t count; /* [a] readers, or -1 for a writer */
	uint32_t writers_waiting; /* [a] */
	uint32_t rank;
	const char *name;
	struct wait_queue waiters;
} CAPABILITY("rwsem");

void rwsem_init(struct rwsem *, const char *name, enum lock_rank rank);
void rwsem_lock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_unlock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_lock(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
void rwsem_unlock(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
bool rwsem_try_lock_shared(struct rwsem *) NO_THREAD_SAFETY_ANALYSIS;
