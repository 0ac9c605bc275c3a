/*
 * Wait queues on the host. Wakers call each entry as the kernel does; a sleep calls
 * fake_on_sleep, which plays the rest of the world: it moves time or makes the condition
 * true.
 */
#include "kernel/sync/wait.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/sched/thread.h"
#include "tests/fakes/fakes.h"

void (*fake_on_sleep)(void);
bool fake_signal_pending;
static enum wait_mode sleep_mode;

void
wait_queue_init(struct wait_queue *q)
{
	spin_init(&q->lock, "wait_queue", RANK_WAIT_QUEUE);
	list_init(&q->waiters);
}

void
wait_queue_add(struct wait_queue *q, struct waiter *w)
{
	if (w->is_exclusive)
		list_push_back(&q->waiters, &w->link);
	else
		list_push_front(&q->waiters, &w->link);
}

void
wait_queue_remove(struct wait_queue *q, struct waiter *w)
{
	list_remove(&w->link);
}

void
wait_queue_wake(struct wait_queue *q, unsigned n, uint32_t events)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &q->waiters, link) {
		bool is_exclusive = w->is_exclusive;

		if ((w->wake ? w->wake(w, events) : true) && is_exclusive && --n == 0)
			break;
	}
}

void
wait_prepare(struct wait_queue *q, struct waiter *w, enum wait_mode mode)
{
	sleep_mode = mode;
	if (w->thread)
		return;
	w->thread = current_thread();
	wait_queue_add(q, w);
}

enum err
wait_sleep(nsec_t deadline_ns)
{
	if (fake_signal_pending && sleep_mode != WAIT_UNINTERRUPTIBLE)
		return ERR_RESTARTSYS;
	if (deadline_ns && fake_now_ns >= deadline_ns)
		return ERR_TIMEDOUT;
	if (!fake_on_sleep) {
		fprintf(stderr, "sleep with nobody to wake it\n");
		abort();
	}
	fake_on_sleep();
	return OK;
}

void
wait_finish(struct wait_queue *q, struct waiter *w)
{
	if (!w->thread)
		return;
	wait_queue_remove(q, w);
	w->thread = NULL;
}
