/*
 * Routes of both families: longest prefix first, then the lowest metric (a compressed trie per
 * table and family, read under RCU, O(prefix length)). A lookup gives a struct dst, which
 * sockets keep until `route_generation` changes.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "lib/err.h"
#include "lib/list.h"
#include "net/ip_addr.h"

struct neigh;
struct netdev;
struct pkt;

enum route_type { /* RTN_* */
	ROUTE_UNICAST = 1,
	ROUTE_LOCAL = 2,
	ROUTE_BROADCAST = 3,
	ROUTE_ANYCAST = 4,
	ROUTE_MULTICAST = 5,
	ROUTE_BLACKHOLE = 6,
	ROUTE_UNREACHABLE = 7,
	ROUTE_PROHIBIT = 8,
};

enum { ROUTE_TABLE_MAIN = 254, ROUTE_TABLE_LOCAL = 255 };
enum { ROUTE_LEARNED_MAX = 128 };

enum route_proto { /* RTPROT_*: who made it */
	ROUTE_BY_REDIRECT = 1,
	ROUTE_BY_KERNEL = 2,
	ROUTE_BY_BOOT = 3,
	ROUTE_BY_STATIC = 4,
	ROUTE_BY_RA = 9,
	ROUTE_BY_DHCP = 16,
};

struct route_config {
	struct ip_addr dst; /* family by its kind: v4-mapped or not */
	uint8_t plen;
	uint8_t type, proto, scope, tos;
	uint32_t table, metric; /* metric 0: v4 0, v6 1024 */
	struct ip_addr gateway; /* unspecified: on link */
	bool has_gateway;
	struct ip_addr prefsrc;
	bool has_prefsrc;
	struct netdev *dev;                     /* NULL for blackhole and such */
	uint32_t mtu, advmss, window, hoplimit; /* 0: the device's */
	nsec_t valid_ns;                        /* from now; 0: for ever */
	uint32_t flags;                         /* RTNH_F_ONLINK 4 */
	/* A router told it: one of at most ROUTE_LEARNED_MAX of its interface, which replaces and
	   removes only its like. Not shown. */
	bool is_learned;
};

struct route; /* route.c; seen from outside as route_config by route_for_each */

/* [rtnl] exclusive: ERR_EXIST if there is one with this prefix and metric; replace: it goes. */
enum err route_add(const struct route_config *, bool is_exclusive, bool is_replace);
enum err route_del(
    const struct route_config *); /* fields that are set must match; ERR_SRCH */
void route_flush_dev(struct netdev *, int family);
/* An address of ours is gone: so are the routes of table main that prefer it as the source. [rtnl] */
void route_flush_source(const struct ip_addr *);
/* Under rtnl; fn returns false to stop. The local table first, each by prefix. */
void route_for_each(
    int family, bool (*fn)(const struct route_config *, void *arg), void *arg);

/* Told with rtnl held: rtnetlink. */
struct route_notifier {
	void (*event)(const struct route_config *, bool is_added);
	struct list link;
};
void route_notify_add(struct route_notifier *);
/* Before the first address; makes keys and the cache. */
void route_init(void);

extern uint32_t
    route_generation; /* [a] raised by every change of routes, addresses, PMTU, redirects */

/*
 * Where packets to one destination go: result of a lookup with what was learnt since (path
 * MTU, redirect, the neighbour). Counted; shared by sockets of one destination through the
 * destination cache (limited, least recently used ones go).
 */
struct dst {
	uint32_t refs;       /* [a] */
	uint32_t generation; /* valid while it equals route_generation */
	uint8_t type;        /* enum route_type */
	uint8_t hoplimit;    /* 0: default */
	bool is_forward;
	struct netdev *dev;      /* a reference; loopback_dev for local ones */
	struct ip_addr addr;     /* the destination */
	struct ip_addr next_hop; /* gateway or addr */
	struct ip_addr prefsrc;  /* unspecified: choose by addrsel_source */
	struct neigh *neigh;     /* a reference, or NULL (loopback, multicast) */
	uint32_t mtu;            /* [a] path MTU now, with IP header */
	uint32_t advmss, window;
	nsec_t
	    mtu_until_ns; /* [a] when a learnt PMTU ages (RFC 1191 6.3), 0: not learnt */
	uint32_t oif;     /* as the flow demanded; part of the key */
	bool is_static;   /* never freed: refs mean nothing */
	nsec_t used_ns;   /* [a] about when it was found last */
	struct list hash_link; /* RCU */
	struct list all_link;
	struct rcu_head rcu;
};

struct flow {
	struct ip_addr dst, src; /* src unspecified: chosen, and written back */
	unsigned oif;            /* interface index demanded; 0: any */
	uint8_t tos;
	bool
	    is_any_source; /* bind to a foreign address allowed (IP_FREEBIND, forwarding) */
};

/*
 * Output: *out gets a reference. ERR_NETUNREACH, ERR_HOSTUNREACH, ERR_ACCES (prohibit),
 * ERR_INVAL (blackhole), ERR_ADDRNOTAVAIL (no source). Any thread context; no locks needed.
 */
enum err route_output(struct flow *, struct dst **out);
/*
 * Input: what to do with a received packet: type LOCAL, BROADCAST, MULTICAST are for us; UNICAST is
 * to be forwarded. Fast path for our own addresses. Under RCU; *out gets a reference.
 * ERR_INVAL: martian source (or a blackhole route): dropped in silence. ERR_NOENT: not ours, and
 * this interface does not forward. ERR_NETUNREACH, ERR_HOSTUNREACH, ERR_ACCES: as the routes say.
 */
enum err route_input(struct pkt *, struct dst **out);
/* The broadcast address of a net of ours? Under RCU. */
bool route_is_broadcast(const struct ip_addr *);
struct dst *dst_get(struct dst *);
void dst_put(struct dst *);
static inline bool
dst_is_valid(const struct dst *d)
{
	return d->generation == __atomic_load_n(&route_generation, __ATOMIC_ACQUIRE);
}

/* The path MTU now: goes back to the device's when what was learnt has aged. */
uint32_t dst_mtu(struct dst *);
/* The device goes: nothing that is cached or still held by a socket keeps it. Sleeps. */
void dst_flush_dev(struct netdev *);

/* ICMP told: MTU of the path to dst (as RFC 1191, 8201, 4821 allow), a better gateway. */
void dst_learn_mtu(const struct ip_addr *dst, unsigned oif, uint32_t mtu);
void dst_learn_redirect(const struct ip_addr *dst, const struct ip_addr *old_gateway,
    const struct ip_addr *new_gateway, struct netdev *dev);
