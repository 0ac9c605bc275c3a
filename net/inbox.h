/*
 * Packets that came in a net thread, which may not sleep, and wait for the configuration thread,
 * which may: router advertisements, DHCPv6.
 */
#pragma once

#include "kernel/sync/spinlock.h"
#include "net/net_timer.h"
#include "net/pkt.h"

struct inbox {
	struct spinlock lock;
	struct pkt_queue pkts; /* [lock] each holds a reference to its interface */
	unsigned limit;        /* [I] */
	struct net_work *work; /* [I] takes them */
};
#define INBOX_INIT(name, max, who) \
	{ \
		.lock = SPINLOCK_INIT(name, RANK_NET_TABLE), .limit = (max), \
		.work = (who), \
	}

/* Takes the packet and queues the work; false: full, it is still the caller's. */
bool inbox_put(struct inbox *, struct pkt *);
/* The oldest one, to be given to inbox_done; NULL: none. Its interface is there until then. */
struct pkt *inbox_take(struct inbox *);
void inbox_done(struct pkt *);
