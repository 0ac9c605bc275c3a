/*
 * Wait queues: threads sleep until a condition holds. The waker changes the condition and
 * calls wait_queue_wake*; the sleeper uses wait_event*, which checks the condition only
 * after it is on the queue, so no wake-up is lost.
 *
 * Wakers may be in any context, hard interrupts included; sleepers must be able to sleep.
 */
#pragma once

#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "lib/list.h"

struct wait_queue {
	struct spinlock lock;
	struct list waiters; /* struct waiter */
};

/*
 * One entry on a queue. `wake` is called under the queue's lock when the queue is woken;
 * the default wakes `thread`. poll and epoll register entries with a function of their
 * own. Returns true if it counts as one of the `n` that wait_queue_wake may wake.
 */
struct waiter {
	struct list link;
	struct thread *thread;
	bool (*wake)(struct waiter *, uint32_t events);
	bool is_exclusive; /* queued at the end; a wake of n wakes at most n of these */
};

#define WAIT_QUEUE_INIT(name) \
	{ \
		.lock = SPINLOCK_INIT("wait_queue", RANK_WAIT_QUEUE), \
		.waiters = LIST_INIT((name).waiters) \
	}

void wait_queue_init(struct wait_queue *);
void wait_queue_add(struct wait_queue *, struct waiter *);
void wait_queue_remove(struct wait_queue *, struct waiter *);

/* Wakes every non-exclusive waiter and at most `n` exclusive ones; `events` are POLL*
 * bits or 0. */
void wait_queue_wake(struct wait_queue *, unsigned n, uint32_t events);

static inline void
wait_queue_wake_all(struct wait_queue *q)
{
	wait_queue_wake(q, ~0u, 0);
}

#define NO_TIMEOUT ((nsec_t)0)

/*
 * How a sleep ends: the condition held (OK), a signal is pending (ERR_RESTARTSYS,
 * interruptible sleeps only), or `deadline_ns` on the monotonic clock has passed
 * (ERR_TIMEDOUT).
 */
enum wait_mode {
	WAIT_UNINTERRUPTIBLE, /* state D: only for waits that are bound to end */
	WAIT_INTERRUPTIBLE,   /* state S: any deliverable signal ends it */
	WAIT_KILLABLE,        /* only a fatal signal ends it */
};

/* The pieces of wait_event: mark the thread as sleeping in `mode`, sleep, undo the mark.
 */
void wait_prepare(struct wait_queue *, struct waiter *, enum wait_mode);
enum err wait_sleep(nsec_t deadline_ns); /* OK: woken, look at the condition again */
void wait_finish(struct wait_queue *, struct waiter *);
void wait_mark(enum wait_mode); /* as wait_prepare, without a queue */
void wait_unmark(void);

/*
 * Sleeps on queue `q` until `cond` is true. `cond` is evaluated without locks. Yields an
 * enum err. deadline_ns is absolute; NO_TIMEOUT (0) waits for ever.
 */
#define wait_event(q, cond, mode, deadline_ns) \
	({ \
		enum err err_ = OK; \
		if (!(cond)) { \
			struct waiter waiter_ = {.thread = NULL}; \
			for (;;) { \
				wait_prepare(q, &waiter_, mode); \
				if (cond) \
					break; \
				err_ = wait_sleep(deadline_ns); \
				if (cond) { \
					err_ = OK; \
					break; \
				} \
				if (err_ != OK) \
					break; \
			} \
			wait_finish(q, &waiter_); \
		} \
		err_; \
	})

/* The same without a queue: whoever makes `cond` true knows the thread, and wakes it. */
#define wait_alone(cond, mode, deadline_ns) \
	({ \
		enum err err_ = OK; \
		while (!(cond) && err_ == OK) { \
			wait_mark(mode); \
			if (!(cond)) \
				err_ = wait_sleep(deadline_ns); \
			if (cond) \
				err_ = OK; \
			wait_unmark(); \
		} \
		err_; \
	})
