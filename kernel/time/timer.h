/*
 * One-shot timers with nanosecond resolution: per-CPU queues ordered by expiry, driven by the
 * CPU's one-shot interrupt, so that a CPU without timers gets none.
 *
 * The function runs in hard interrupt context on the CPU that armed it; it may re-arm its timer.
 */
#pragma once

#include "lib/rbtree.h"
#include "lib/types.h"

struct timer {
	struct rb_node node;
	nsec_t expires_ns; /* absolute, monotonic */
	void (*fn)(struct timer *);
	struct cpu *cpu;   /* whose queue it is on; NULL: not armed */
};

void timer_init(struct timer *, void (*fn)(struct timer *));
void timer_arm(struct timer *, nsec_t expires_ns); /* moves an armed one */

/*
 * Disarms. Returns true if it was armed. After timer_cancel the function is not running on any CPU
 * either (it waits for it), so the timer may be freed; not from the function itself.
 */
bool timer_cancel(struct timer *);
