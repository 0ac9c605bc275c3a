/*
 * RCU: readers of read-mostly data take no lock; a writer publishes a new version and
 * frees the old one when every CPU has passed a quiescent state (context switch, user
 * mode, idle). A read section runs with preemption off and must not sleep.
 */
#pragma once

#include "lib/types.h"

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *);
};

void rcu_read_lock(void);
void rcu_read_unlock(void);

/* Calls func(head) in thread context after all read sections now running have ended. Any
 * context. */
void rcu_call(struct rcu_head *head, void (*func)(struct rcu_head *head));

/* Sleeps until all read sections now running have ended. */
void rcu_synchronize(void);

/* Starts the thread that runs grace periods; rcu_call works, and waits, before. */
void rcu_init(void);

#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_CONSUME)
#define rcu_assign(p, v)   __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
