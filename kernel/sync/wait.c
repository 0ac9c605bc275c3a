/*
 * Wait queues. The order that loses no wake-up: the sleeper sets its state, goes on the
 * queue (full barriers), looks at the condition, sleeps; the waker changes the condition,
 * takes the queue's lock (a full barrier), wakes. Either the sleeper sees the condition
 * or the waker the state.
 *
 * A waker first takes the usual entry off the queue, then wakes, so that the sleeper,
 * once awake, need not take the lock again. When the link reads as empty, the stack frame
 * that holds it may go: only the thread is touched after that, which RCU keeps
 * (interrupts are off). A sleeper that wants to sleep on and finds itself unlinked queues
 * again; if it is unlinked just after that look, the wake-up that follows finds its state
 * set.
 */
#include "kernel/sync/wait.h"

#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"

struct wake_timer {
	struct timer timer;
	struct thread *thread;
	bool has_fired;
};

void
wait_queue_init(struct wait_queue *q)
{
	spin_init(&q->lock, "wait_queue", RANK_WAIT_QUEUE);
	list_init(&q->waiters);
}

void
wait_queue_add(struct wait_queue *q, struct waiter *w)
{
	spin_lock(&q->lock);
	if (w->is_exclusive)
		list_push_back(&q->waiters, &w->link);
	else
		list_push_front(&q->waiters, &w->link);
	spin_unlock(&q->lock);
}

void
wait_queue_remove(struct wait_queue *q, struct waiter *w)
{
	spin_lock(&q->lock);
	list_remove(&w->link);
	spin_unlock(&q->lock);
}

/* Non-exclusive waiters stand before the exclusive ones. */
void
wait_queue_wake(struct wait_queue *q, unsigned n, uint32_t events)
{
	struct waiter *w, *tmp;

	spin_lock(&q->lock);
	list_for_each_safe(w, tmp, &q->waiters, link) {
		bool is_exclusive = w->is_exclusive, woke;

		if (w->wake) {
			woke = w->wake(w, events);
		} else {
			struct thread *t = w->thread;

			list_remove(&w->link);
			woke = thread_wake(t);
		}
		if (woke && is_exclusive && --n == 0)
			break;
	}
	spin_unlock(&q->lock);
}

/* Whether `w` is off every queue and no waker touches it any more. */
static bool
is_unlinked(const struct waiter *w)
{
	return __atomic_load_n(&w->link.prev, __ATOMIC_ACQUIRE) == &w->link;
}

static void
mark_sleeping(struct thread *t, enum wait_mode mode)
{
	t->sched.is_killable = mode == WAIT_KILLABLE;
	thread_set_state(mode == WAIT_INTERRUPTIBLE ? THREAD_SLEEPING : THREAD_BLOCKED);
}

void
wait_mark(enum wait_mode mode)
{
	assert_may_sleep();
	mark_sleeping(current_thread(), mode);
}

void
wait_unmark(void)
{
	thread_set_state(THREAD_RUNNABLE);
}

void
wait_prepare(struct wait_queue *q, struct waiter *w, enum wait_mode mode)
{
	struct thread *t = current_thread();
	bool is_new = !w->thread;

	if (is_new)
		assert_may_sleep();
	w->thread = t;
	mark_sleeping(t, mode);
	if (is_new || is_unlinked(w))
		wait_queue_add(q, w);
}

void
wait_finish(struct wait_queue *q, struct waiter *w)
{
	thread_set_state(THREAD_RUNNABLE);
	if (!is_unlinked(w))
		wait_queue_remove(q, w);
}

static void
wake_sleeper(struct timer *timer)
{
	struct wake_timer *wt = container_of(timer, struct wake_timer, timer);

	wt->has_fired = true;
	thread_wake(wt->thread);
}

static enum err
sleep_until(struct thread *t, nsec_t deadline_ns)
{
	struct wake_timer wt = {.thread = t};

	if (clock_now_ns() >= deadline_ns)
		return ERR_TIMEDOUT;
	timer_init(&wt.timer, wake_sleeper);
	timer_arm(&wt.timer, deadline_ns);
	schedule();
	timer_cancel(&wt.timer);
	return wt.has_fired ? ERR_TIMEDOUT : OK;
}

enum err
wait_sleep(nsec_t deadline_ns)
{
	struct thread *t = current_thread();

	/* A signal that comes after this look finds the state set, and wakes. */
	if (t->process) {
		if (t->state == THREAD_SLEEPING && signal_is_pending(t))
			return ERR_RESTARTSYS;
		if (t->sched.is_killable && signal_is_fatal_pending(t))
			return ERR_RESTARTSYS;
	}
	if (deadline_ns != NO_TIMEOUT)
		return sleep_until(t, deadline_ns);
	schedule();
	return OK;
}

void
thread_sleep_ns(nsec_t duration)
{
	struct thread *t = current_thread();
	nsec_t deadline_ns = clock_now_ns() + duration;

	assert_may_sleep();
	do
		thread_set_state(THREAD_BLOCKED);
	while (sleep_until(t, deadline_ns) == OK);
	thread_set_state(THREAD_RUNNABLE);
}
