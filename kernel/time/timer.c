/*
 * Timer queues. Each CPU has a red-black tree by expiry with the first one cached, under
 * a lock.
 *
 * A timer belongs to the queue of its `home` CPU, armed or not; that queue's lock covers
 * all its fields. It changes home only in timer_arm, and then passes through MOVING: for
 * this short while no queue has it, and everybody else who wants it spins. While its
 * function runs it does not move (a re-arm stays there), so timer_cancel knows where to
 * look for `running`.
 *
 * The function may free its timer, so after the call nothing touches it: `running` is the
 * queue's.
 */
#include "kernel/time/timer.h"

#include "kernel/panic.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer_hw.h"
#include "kernel/x86/percpu.h"

struct timer_queue {
	struct spinlock lock;
	struct rb_root tree;   /* [lock] */
	struct timer *first;   /* [lock] leftmost of tree */
	struct timer *running; /* [lock] whose function runs now */
	bool is_in_interrupt;  /* [lock] timer_interrupt will program the hardware */
	nsec_t programmed_ns;  /* [lock] what the hardware is set to */
};

static PER_CPU(struct timer_queue, queue) = {
    .lock = SPINLOCK_INIT("timer_queue", RANK_TIMER),
    .programmed_ns = TIMER_HW_NEVER,
};

#define MOVING ((struct cpu *)1)

static struct timer_queue *
queue_of(struct cpu *c)
{
	return per_cpu_ptr(&queue, c);
}

/* The queue of the timer's home, locked. */
static struct timer_queue *
lock_home(struct timer *t) NO_THREAD_SAFETY_ANALYSIS
{
	for (;;) {
		struct cpu *home = __atomic_load_n(&t->home, __ATOMIC_ACQUIRE);
		struct timer_queue *q;

		if (home == MOVING) {
			cpu_relax();
			continue;
		}
		q = queue_of(home);
		spin_lock(&q->lock);
		if (__atomic_load_n(&t->home, __ATOMIC_RELAXED) == home)
			return q;
		spin_unlock(&q->lock);
	}
}

static bool
expires_before(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct timer, node)->expires_ns <
	       rb_entry(b, struct timer, node)->expires_ns;
}

static void
enqueue(struct timer_queue *q, struct timer *t)
{
	rb_insert(&q->tree, &t->node, expires_before);
	if (!q->first || t->expires_ns < q->first->expires_ns)
		q->first = t;
	t->cpu = t->home;
}

static void
dequeue(struct timer_queue *q, struct timer *t)
{
	if (q->first == t) {
		struct rb_node *next = rb_next(&t->node);

		q->first = next ? rb_entry(next, struct timer, node) : NULL;
	}
	rb_erase(&q->tree, &t->node);
	t->cpu = NULL;
}

/* Sets this CPU's hardware to the first timer of its queue, if it is not already. */
static void
program(struct timer_queue *q)
{
	nsec_t at = q->first ? q->first->expires_ns : TIMER_HW_NEVER;

	if (at == q->programmed_ns)
		return;
	q->programmed_ns = at;
	timer_hw_program(at);
}

void
timer_init(struct timer *t, void (*fn)(struct timer *))
{
	*t = (struct timer){.fn = fn, .home = this_cpu()};
}

void
timer_arm(struct timer *t, nsec_t expires_ns) NO_THREAD_SAFETY_ANALYSIS
{
	struct timer_queue *q, *mine;

	irq_disable_nested(); /* stay on this CPU */
	mine = queue_of(this_cpu());
	q = lock_home(t);
	if (t->cpu)
		dequeue(q, t);
	if (q != mine && q->running != t) {
		__atomic_store_n(&t->home, MOVING, __ATOMIC_RELEASE);
		spin_unlock(&q->lock);
		q = mine;
		spin_lock(&q->lock);
		__atomic_store_n(&t->home, this_cpu(), __ATOMIC_RELEASE);
	}
	t->expires_ns = expires_ns;
	enqueue(q, t);
	/* A queue that is being run programs its hardware when it is through. */
	if (q == mine && !q->is_in_interrupt && q->first == t)
		program(q);
	spin_unlock(&q->lock);
	irq_enable_nested();
}

bool
timer_cancel(struct timer *t) NO_THREAD_SAFETY_ANALYSIS
{
	bool was_armed = false;

	if (!t->home)
		return false; /* all zeros: never initialised, so never armed */
	for (;;) {
		struct timer_queue *q = lock_home(t);
		bool is_running = q->running == t;

		if (t->cpu) {
			dequeue(q, t);
			was_armed = true;
		}
		/*
		 * The hardware stays set: one early interrupt costs less than programming
		 * twice.
		 */
		ASSERT(!is_running || q != queue_of(this_cpu()));
		spin_unlock(&q->lock);
		if (!is_running)
			return was_armed;
		cpu_relax();
	}
}

void
timer_interrupt(void) NO_THREAD_SAFETY_ANALYSIS
{
	struct timer_queue *q = queue_of(this_cpu());
	nsec_t now = clock_now_ns();

	spin_lock(&q->lock);
	q->is_in_interrupt = true;
	q->programmed_ns = TIMER_HW_NEVER; /* it has fired: nothing is set */
	/*
	 * `now` is not read again: timers that re-arm themselves must not keep us here.
	 */
	while (q->first && q->first->expires_ns <= now) {
		struct timer *t = q->first;

		dequeue(q, t);
		q->running = t;
		spin_unlock(&q->lock);
		t->fn(t);
		spin_lock(&q->lock);
		q->running = NULL;
	}
	q->is_in_interrupt = false;
	program(q);
	spin_unlock(&q->lock);
}
