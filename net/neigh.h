/*
 * The neighbour cache: link-layer addresses of next hops, for ARP and ND alike, with ND's states
 * (RFC 4861 7.3.2). One hash table, keyed, RCU for the send path; limits: entries in all and on an
 * interface, packets that wait in each and in all. Unused entries go first when full.
 *
 * All calls may be made from any thread context, also under a socket's spinlock.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "lib/list.h"
#include "net/net_timer.h"
#include "net/netdev.h"

enum neigh_state { /* NUD_* */
	NEIGH_NONE = 0x00,
	NEIGH_INCOMPLETE = 0x01,
	NEIGH_REACHABLE = 0x02,
	NEIGH_STALE = 0x04,
	NEIGH_DELAY = 0x08,
	NEIGH_PROBE = 0x10,
	NEIGH_FAILED = 0x20,
	NEIGH_NOARP = 0x40,
	NEIGH_PERMANENT = 0x80,
};

enum {
	NEIGH_MAX = 8192,         /* entries in all */
	NEIGH_MAX_DEV = 4096,     /* on one interface */
	NEIGH_QUEUE = 32,         /* packets that wait for one neighbour */
	NEIGH_MAX_WAITING = 2048, /* packets that wait for all of them */
};

struct neigh {
	struct list hash_link; /* RCU */
	struct ip_addr addr;
	struct netdev *dev;
	uint32_t refs; /* [a] */
	struct list
	    dev_link;     /* [table lock] the interface's, least recently used first */
	nsec_t placed_ns; /* [table lock] since when it is at its place there */
	bool is_dead;     /* [table lock] not in the table any more; read freely */
	uint64_t fast;    /* [a] mac with a mark when packets may go at once, else 0 */
	uint64_t used_ns; /* [a] last packet sent */
	uint64_t confirmed_ns; /* [a] last sign that it hears us */
	struct spinlock lock;
	uint8_t mac[ETH_ALEN]; /* [lock]; read on the send path through neigh_send only */
	uint8_t state;         /* [lock] */
	bool is_router;        /* ND */
	uint8_t probes;        /* [lock] solicitations sent in this state */
	uint8_t timer_refs;    /* [lock] how many of refs belong to the timer */
	nsec_t updated_ns;     /* [lock] */
	nsec_t due_ns;         /* [lock] when the timer is to act */
	struct pkt_queue waiting; /* [lock] at most NEIGH_QUEUE */
	struct net_timer timer;
	struct rcu_head rcu;
};

/* What differs between ARP and ND. */
struct neigh_ops {
	/* Asks for it: multicast or broadcast while incomplete, else unicast to mac. */
	void (*solicit)(struct neigh *, const uint8_t *mac /* NULL: not known */);
	/* It does not answer: ICMP unreachable for each packet that waited. Takes them. */
	void (*unreachable)(struct neigh *, struct pkt *list);
	/* Timing of an interface (RFC 4861 10, settable by RA). */
	nsec_t (*reachable_ns)(const struct netdev *);
	nsec_t (*retrans_ns)(const struct netdev *);
};
extern const struct neigh_ops arp_neigh_ops, nd_neigh_ops;

/* Registers for interface events and /proc/net/arp. */
void neigh_init(void);

/* Finds or makes; a reference, or NULL (no memory, table full of entries in use). */
struct neigh *neigh_get(struct netdev *, const struct ip_addr *);
struct neigh *neigh_find(struct netdev *, const struct ip_addr *); /* does not make */
void neigh_put(struct neigh *);
/* Sends an IP packet (data at the IP header) to it, now or when it is resolved. Takes it. */
enum err neigh_send(struct neigh *, struct pkt *);
/* An upper layer saw forward progress (RFC 4861 7.3.1): a store on the fast path. */
void neigh_confirm(struct neigh *);

enum neigh_update {
	NEIGH_UPD_OVERRIDE = 1,  /* may replace a known other address */
	NEIGH_UPD_SOLICITED = 2, /* an answer: reachable; else stale */
	NEIGH_UPD_CREATE = 4,
	NEIGH_UPD_ISROUTER = 8,
	NEIGH_UPD_ADMIN = 16,       /* by the user: permanent ones too */
	NEIGH_UPD_ROUTER_FLAG = 32, /* ISROUTER, set or not, is news (an advertisement) */
};
/* News of a neighbour, from ARP or ND; mac NULL: only state. */
void neigh_update(
    struct netdev *, const struct ip_addr *, const uint8_t *mac, unsigned how);
enum err neigh_set(struct netdev *, const struct ip_addr *, const uint8_t *mac,
    uint8_t state); /* by the user */
enum err neigh_del(struct netdev *, const struct ip_addr *);
void neigh_flush_dev(struct netdev *); /* down or changed: all but permanent ones go */
/* Has it an address that can be used now? */
bool neigh_is_usable(const struct neigh *);
/* A snapshot for rtnetlink and /proc/net/arp. fn runs under RCU: no sleeping. */
void neigh_for_each(int family, void (*fn)(const struct neigh *, void *arg), void *arg);
