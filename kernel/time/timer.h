/*
 * One-shot timers with nanosecond resolution: per-CPU queues ordered by expiry, driven by
 * the CPU's one-shot interrupt, so that a CPU without timers gets none.
 *
 * The function runs in hard interrupt context on the CPU that armed it; it may re-arm or
 * free its timer. All calls may be made from any context but NMI, also at the same time
 * for one timer.
 */
#pragma once

#include "lib/rbtree.h"
#include "lib/types.h"

struct cpu;

struct timer {
	struct rb_node node;
	nsec_t expires_ns; /* absolute, monotonic */
	void (*fn)(struct timer *);
	struct cpu *cpu; /* whose queue it is on; NULL: not armed */
	struct cpu
	    *home; /* [a] whose queue it is or was on last: that queue's lock covers it */
};

void timer_init(struct timer *, void (*fn)(struct timer *));

/* Moves an armed one. A time in the past fires as soon as interrupts are on. */
void timer_arm(struct timer *, nsec_t expires_ns);

/*
 * Disarms. Returns true if it was armed. After timer_cancel the function is not running
 * on any CPU either (it waits for it), so the timer may be freed; not from the function
 * itself, nor with a lock held that the function takes.
 */
bool timer_cancel(struct timer *);

/* The CPU's timer interrupt: runs what is due. Interrupts off. kernel/irq calls it. */
void timer_interrupt(void);
