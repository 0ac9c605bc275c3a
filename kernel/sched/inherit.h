/*
 * Priority inheritance: a thread that owns a lock for which others wait runs at the
 * RealTime priority of the first of them if that is stronger than its own; and so on along
 * the chain, when the owner itself waits for a lock of that kind.
 *
 * Waiters of a lock stand by priority, equals (and all that are not RealTime) in the order
 * they came. Every call may be made under spinlocks below RANK_INHERIT. A lock's memory is
 * its maker's: it may go once nobody waits for it.
 */
#pragma once

#include "lib/err.h"
#include "lib/rbtree.h"

struct thread;

struct inherit_lock {
	struct thread *owner;      /* NULL: nobody. No reference: see inherit_wait */
	struct rb_root waiters;    /* struct inherit_waiter, the next owner first */
	struct rb_node owned_node; /* among owner->inherit.owned while somebody waits */
	uint8_t priority;          /* its first waiter's, as the owner has it */
	bool has_waiters;
	bool was_left; /* its owner ended, and the next has not said so to the user */
};

struct inherit_waiter {
	struct thread *thread;
	struct inherit_lock *lock; /* NULL: waits no longer */
	struct rb_node node;
	uint8_t priority;
};

/*
 * Queues w->thread for `l`, which `owner` has if nobody else has yet. ERR_DEADLK: that
 * would close a circle, or make a chain of over a thousand; ERR_SRCH: `owner` has ended.
 * The owner cannot go away while somebody waits: inherit_leave_all.
 */
enum err inherit_wait(
    struct inherit_lock *l, struct thread *owner, struct inherit_waiter *w);

/* Stops waiting. Whether the lock had been given to the waiter by then: it owns it. */
bool inherit_stop(struct inherit_waiter *w);

/* Who is first in line, or NULL. It stays in line only as long as the caller keeps it. */
struct inherit_waiter *inherit_first(struct inherit_lock *l);

/* The lock goes from its owner to `w`, who waits for it, and wakes it. */
void inherit_give(struct inherit_lock *l, struct inherit_waiter *w);

/* The owner's tid, 0: nobody; and whether the last one left it by ending. */
uint32_t inherit_owner_tid(const struct inherit_lock *l, bool *was_left);

/* The new owner has told the user that the last one ended. */
void inherit_settle(struct inherit_lock *l);

/*
 * What the current thread owns goes to the next in line, marked was_left. `ends`: from here
 * nobody may wait for this thread.
 */
void inherit_leave_all(bool ends);

/* The thread's own priority has been changed. No lock of a run queue is held. */
void inherit_priority_changed(struct thread *t);
