/*
 * Timers of the network stack: a hierarchical wheel per CPU, O(1) to arm, move and cancel, for
 * the hundreds of thousands that TCP keeps and seldom lets expire. Callbacks run in the CPU's
 * net thread (thread context, no locks held, preemptible), rounded up to at most 1 ms after
 * the asked time (finer deadlines near now: pacing may ask for 50 us).
 *
 * Any context may arm and cancel.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

struct net_timer {
	struct list link;  /* [wheel] */
	nsec_t expires_ns; /* [a] monotonic */
	nsec_t
	    queued_ns; /* [wheel] the time by which it was queued: at most expires_ns */
	void (*fn)(struct net_timer *);
	uint16_t cpu;  /* [a] whose wheel, and whose lock covers it */
	uint8_t armed; /* [a] written under the wheel's lock */
};

void net_timer_init(struct net_timer *, void (*fn)(struct net_timer *));
/* Arms or moves; an armed timer that is moved later costs a store. */
void net_timer_arm(struct net_timer *, nsec_t expires_ns);
/* True: it was armed and will not run. False: idle, or its callback runs or is about to: whoever
 * shares state with the callback checks under their own lock. Never waits. */
bool net_timer_cancel(struct net_timer *);
/* Cancels and waits for a running callback: thread context, not from the callback. */
void net_timer_cancel_sync(struct net_timer *);

/*
 * Work for the net thread of a CPU, outside of timers and packets: run `fn` soon, once
 * (queueing it twice before it ran is one run).
 */
struct net_work {
	struct net_work *next; /* [a] */
	void (*fn)(struct net_work *);
	uint32_t is_queued; /* [a] 0 again just before fn is called */
};
void net_work_queue(struct net_work *, unsigned cpu); /* any context */

/*
 * A burst: packets to this machine itself that the caller sends in between are received by the
 * end of it, here, rather than in the net thread, when that is possible: the caller holds no
 * spinlock then, and the CPU's net thread is not in a pass. Preemption is off in between.
 * Thread context; bursts do not nest.
 */
void net_burst_begin(void);
void net_burst_end(void);

/*
 * Configuration work that must sleep (rtnl, DHCP's changes of addresses): one thread, in order.
 */
void net_config_queue(struct net_work *); /* any context */

/* Sleeps until every net thread has ended what it was doing when this was called: a pass over
 * its timers, works, queues and packets. Not from a net thread, nor under a lock. */
void net_sync(void);
