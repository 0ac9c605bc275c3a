/*
 * The timer wheels. Each CPU has one: four levels of 256 slots, a slot of the first level is a
 * tick of 65.5 us (2^16 ns), of the next 256 ticks, and so on: 78 hours in all; what lies
 * farther waits in the last slot and is looked at again. A timer lies in the lowest level
 * that reaches it; when the clock comes to a slot of an upper level, its timers move down
 * ("cascade"). Times are rounded up to the tick. A bitmap for each level finds the next slot
 * in use, so that an idle wheel costs nothing and time may jump.
 *
 * Moving a timer to a later time, the case of every TCP segment, only stores the new time:
 * the timer stays where it is, and when its slot comes up and its time has not, it is queued
 * again. The storer and the wheel may do so at the same moment: the storer stores, then
 * looks whether the timer is still armed; the wheel marks it as looked at, then looks at the
 * time. With both in one order (sequentially consistent), at least one of them notices.
 *
 * A wheel's lock covers its timers. The timer names its wheel by `cpu`, which changes only
 * under the old wheel's lock while it is not armed. Callbacks run without the lock.
 */
#include "net/net_timer.h"

#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"
#include "lib/bits.h"
#include "mm/slab.h"
#include "net/rx.h"

enum {
	TICK_SHIFT = 16,
	SLOT_SHIFT = 8,
	SLOTS = 1 << SLOT_SHIFT,
	LEVELS = 4,
	CALLS_AT_ONCE = 256, /* then packets have their turn */

	/* net_timer.armed */
	IDLE = 0,
	ARMED = 1,
	LOOKED_AT = 2, /* popped; it fires, or is queued again for its later time */
};
static const uint64_t MAX_AHEAD = (1ull << (SLOT_SHIFT * LEVELS)) - SLOTS; /* ticks */
static const uint64_t NEVER = UINT64_MAX;

struct level {
	uint64_t used[SLOTS / 64]; /* bitmap of slots that are not empty */
	struct list slots[SLOTS];
};

struct wheel {
	struct spinlock lock;
	uint64_t now;              /* [lock] all ticks up to this one have been handled */
	uint64_t hw_tick;          /* [lock] for which `hw` is armed; NEVER */
	uint64_t num_armed;        /* [lock] */
	struct list due;           /* [lock] to be called */
	struct net_timer *running; /* [lock] whose callback runs now */
	struct timer hw;           /* wakes the net thread */
	unsigned cpu;              /* [I] */
	struct level levels[LEVELS]; /* [lock] */
};

static struct wheel *wheels[MAX_CPUS];

static void
hw_fired(struct timer *t)
{
	struct wheel *w = container_of(t, struct wheel, hw);

	net_kick(w->cpu);
}

void
net_timer_init_wheels(void)
{
	for (unsigned cpu = 0; cpu < num_cpus; cpu++) {
		struct wheel *w = kzalloc(sizeof(*w));

		if (!w)
			panic("no memory for timers of the network");
		spin_init(&w->lock, "net wheel", RANK_NET_WHEEL);
		w->now = clock_now_ns() >> TICK_SHIFT;
		w->hw_tick = NEVER;
		w->cpu = cpu;
		list_init(&w->due);
		timer_init(&w->hw, hw_fired);
		for (unsigned l = 0; l < LEVELS; l++)
			for (unsigned i = 0; i < SLOTS; i++)
				list_init(&w->levels[l].slots[i]);
		wheels[cpu] = w;
	}
}

void
net_timer_init(struct net_timer *t, void (*fn)(struct net_timer *))
{
	*t = (struct net_timer){.fn = fn};
	list_init(&t->link);
}

static uint64_t
tick_of(nsec_t ns)
{
	return (ns >> TICK_SHIFT) + ((ns & ((1u << TICK_SHIFT) - 1)) != 0);
}

/* Puts it where its time is; `now` has been handled, so it goes to a later tick or to `due`.
 * Returns the tick at which the wheel has to look at it. */
static uint64_t
enqueue_locked(struct wheel *w, struct net_timer *t, nsec_t expires_ns)
{
	uint64_t tick = tick_of(expires_ns), ahead;
	unsigned level, slot;

	__atomic_store_n(&t->queued_ns, expires_ns, __ATOMIC_RELAXED);
	if (tick <= w->now) {
		list_push_back(&w->due, &t->link);
		return w->now;
	}
	if (tick - w->now > MAX_AHEAD)
		tick = w->now + MAX_AHEAD;
	/* The highest digit in which they differ, not the distance: so a slot never holds
	   timers of two turns. */
	ahead = tick ^ w->now;
	level = bit_last(ahead) / SLOT_SHIFT;
	if (level >= LEVELS) { /* the top level's turn ends before: its last slots wrap */
		level = LEVELS - 1;
	}
	slot = tick >> (level * SLOT_SHIFT) & (SLOTS - 1);
	list_push_back(&w->levels[level].slots[slot], &t->link);
	w->levels[level].used[slot / 64] |= 1ull << slot % 64;
	return tick >> (level * SLOT_SHIFT) << (level * SLOT_SHIFT);
}

/* The next slot in use after `from`, going round once, as a distance 1..SLOTS; 0: none. */
static unsigned
next_used(const struct level *l, unsigned from)
{
	for (unsigned d = 1; d <= SLOTS;) {
		unsigned i = (from + d) & (SLOTS - 1);
		uint64_t word = l->used[i / 64] >> i % 64;

		if (word) {
			d += bit_first(word);
			return d <= SLOTS ? d : 0;
		}
		d += 64 - i % 64;
	}
	return 0;
}

/* The first tick after `now` at which there is something to do. */
static uint64_t
next_tick_locked(const struct wheel *w)
{
	uint64_t best = NEVER;

	if (!w->num_armed)
		return NEVER;
	for (unsigned l = 0; l < LEVELS; l++) {
		unsigned shift = l * SLOT_SHIFT;
		uint64_t at = w->now >> shift;
		unsigned d = next_used(&w->levels[l], at & (SLOTS - 1));

		if (d)
			best = MIN(best, (at + d) << shift);
	}
	return best;
}

static void
take_slot_locked(struct wheel *w, unsigned level, uint64_t tick, struct list *out)
{
	unsigned slot = tick >> (level * SLOT_SHIFT) & (SLOTS - 1);

	list_splice_back(out, &w->levels[level].slots[slot]);
	w->levels[level].used[slot / 64] &= ~(1ull << slot % 64);
}

/* It is `tick`: from the top, slots that begin now move down; the lowest one's is due. */
static void
advance_locked(struct wheel *w, uint64_t tick)
{
	struct list moving = LIST_INIT(moving);
	struct list *node;

	w->now = tick;
	for (unsigned l = LEVELS - 1; l > 0; l--)
		if (IS_ALIGNED(tick, 1ull << (l * SLOT_SHIFT)))
			take_slot_locked(w, l, tick, &moving);
	take_slot_locked(w, 0, tick, &moving);
	while ((node = list_pop_front(&moving))) {
		struct net_timer *t = list_entry(node, struct net_timer, link);

		(void)enqueue_locked(w, t, t->queued_ns);
	}
}

/* Arms the CPU's hardware timer if `next` comes before what it is armed for. */
static void
arm_hw_locked(struct wheel *w, uint64_t next)
{
	if (next >= w->hw_tick)
		return;
	w->hw_tick = next;
	timer_arm(&w->hw, next << TICK_SHIFT);
}

/* The timer's wheel, locked. */
static struct wheel *
lock_wheel(struct net_timer *t) NO_THREAD_SAFETY_ANALYSIS
{
	for (;;) {
		unsigned cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
		struct wheel *w = wheels[cpu];

		spin_lock(&w->lock);
		if (likely(t->cpu == cpu))
			return w;
		spin_unlock(&w->lock);
	}
}

static void
arm_slow(struct net_timer *t, nsec_t expires_ns) NO_THREAD_SAFETY_ANALYSIS
{
	struct wheel *w = lock_wheel(t);
	unsigned here = cpu_id();
	uint64_t next;

	if (!t->armed && w->cpu != here && w->running != t) {
		__atomic_store_n(&t->cpu, (uint16_t)here, __ATOMIC_RELAXED);
		spin_unlock(&w->lock);
		w = lock_wheel(t);
	}
	__atomic_store_n(&t->expires_ns, expires_ns, __ATOMIC_RELAXED);
	if (t->armed) {
		list_remove(&t->link); /* an emptied slot keeps its bit: harmless */
		next = enqueue_locked(w, t, expires_ns);
	} else {
		if (!w->num_armed) /* it stood still: no turns to make up for */
			w->now = MAX(w->now, clock_now_ns() >> TICK_SHIFT);
		w->num_armed++;
		next = enqueue_locked(w, t, expires_ns);
		__atomic_store_n(&t->armed, ARMED, __ATOMIC_SEQ_CST);
	}
	arm_hw_locked(w, next);
	spin_unlock(&w->lock);
}

void
net_timer_arm(struct net_timer *t, nsec_t expires_ns)
{
	if (__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE) == ARMED &&
	    expires_ns >= __atomic_load_n(&t->queued_ns, __ATOMIC_RELAXED)) {
		__atomic_store_n(&t->expires_ns, expires_ns, __ATOMIC_SEQ_CST);
		/* queued_ns again: the wheel may just have queued it for a later time. */
		if (__atomic_load_n(&t->armed, __ATOMIC_SEQ_CST) == ARMED &&
		    expires_ns >= __atomic_load_n(&t->queued_ns, __ATOMIC_RELAXED))
			return;
	}
	arm_slow(t, expires_ns);
}

bool
net_timer_cancel(struct net_timer *t) NO_THREAD_SAFETY_ANALYSIS
{
	struct wheel *w;
	bool was_armed;

	/* One that was never armed has no wheel to ask. */
	if (!__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE))
		return false;
	w = lock_wheel(t);
	was_armed = t->armed;
	if (was_armed) {
		list_remove(&t->link);
		__atomic_store_n(&t->armed, IDLE, __ATOMIC_RELAXED);
		w->num_armed--;
	}
	spin_unlock(&w->lock);
	return was_armed;
}

void
net_timer_cancel_sync(struct net_timer *t) NO_THREAD_SAFETY_ANALYSIS
{
	assert_may_sleep();
	for (;;) {
		struct wheel *w;
		bool is_running;

		(void)net_timer_cancel(t);
		w = lock_wheel(t);
		is_running = w->running == t;
		spin_unlock(&w->lock);
		if (!is_running && !__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE))
			return;
		thread_sleep_ns(50 * NSEC_PER_USEC);
	}
}

/* The next one to be called, marked as running; NULL: none. Those moved meanwhile go back. */
static struct net_timer *
pop_due_locked(struct wheel *w)
{
	struct list *node;

	while ((node = list_pop_front(&w->due))) {
		struct net_timer *t = list_entry(node, struct net_timer, link);
		nsec_t expires_ns;

		__atomic_store_n(&t->armed, LOOKED_AT, __ATOMIC_SEQ_CST);
		expires_ns = __atomic_load_n(&t->expires_ns, __ATOMIC_SEQ_CST);
		if (tick_of(expires_ns) > w->now) {
			(void)enqueue_locked(w, t, expires_ns);
			__atomic_store_n(&t->armed, ARMED, __ATOMIC_SEQ_CST);
			continue;
		}
		__atomic_store_n(&t->armed, IDLE, __ATOMIC_RELAXED);
		w->num_armed--;
		return t;
	}
	return NULL;
}

bool
net_timers_run(unsigned cpu)
{
	struct wheel *w = wheels[cpu];
	uint64_t now = clock_now_ns() >> TICK_SHIFT, next;
	struct net_timer *t;
	unsigned budget = CALLS_AT_ONCE;

	if (now < __atomic_load_n(&w->hw_tick, __ATOMIC_RELAXED))
		return false;
	spin_lock(&w->lock);
	while ((next = next_tick_locked(w)) <= now)
		advance_locked(w, next);
	if (w->now < now)
		w->now = now;
	while (budget && (t = pop_due_locked(w))) {
		w->running = t;
		spin_unlock(&w->lock);
		t->fn(t); /* may free it */
		budget--;
		spin_lock(&w->lock);
		w->running = NULL;
	}
	w->hw_tick = NEVER;
	arm_hw_locked(w, list_is_empty(&w->due) ? next_tick_locked(w) : w->now);
	spin_unlock(&w->lock);
	return !budget;
}
