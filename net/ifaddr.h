/*
 * Addresses of interfaces, both families: lists per interface (RCU) and one hash by address
 * for "is this ours". Changed under rtnl.
 */
#pragma once

#include "kernel/sync/rculist.h"
#include "lib/err.h"
#include "lib/list.h"
#include "net/ip_addr.h"
#include "net/net_timer.h"

struct netdev;

enum ifaddr_flag {            /* as Linux's IFA_F_* */
	IFA_TEMPORARY = 0x01, /* RFC 8981; for v4: IFA_F_SECONDARY */
	IFA_NODAD = 0x02,
	IFA_OPTIMISTIC = 0x04,
	IFA_DADFAILED = 0x08,
	IFA_DEPRECATED = 0x20,
	IFA_TENTATIVE = 0x40, /* not to be used yet */
	IFA_PERMANENT = 0x80,
	IFA_MANAGETEMP = 0x100,
	IFA_NOPREFIXROUTE = 0x200,
	IFA_STABLE_PRIVACY = 0x800,
};

enum ifaddr_origin { IFA_KERNEL, IFA_STATIC, IFA_SLAAC, IFA_DHCP, IFA_LINKLOCAL };

#define IFA_FOREVER UINT64_MAX

struct ifaddr {
	struct list dev_link, hash_link; /* RCU */
	struct netdev *dev;
	struct ip_addr addr, peer,
	    broadcast;       /* peer == addr unless point to point; v4 broadcast */
	uint8_t plen, scope; /* scope as RT_SCOPE_*: 0 global, 253 link, 254 host */
	uint8_t origin;
	uint32_t flags;                            /* [rtnl], read freely */
	nsec_t valid_until_ns, preferred_until_ns; /* monotonic; IFA_FOREVER */
	nsec_t created_ns, changed_ns;
	char label[16];
	struct net_timer timer; /* lifetimes; while tentative it belongs to DAD */
	uint8_t dad_left;       /* DAD's own */
	uint8_t pending;    /* [a] what the configuration thread has to do: ifaddr.c */
	uint32_t metric;    /* of the prefix route; 0: the family's */
	nsec_t conflict_ns; /* [a] when another station last claimed it; 0: never */
	struct rcu_head rcu;
};

/* The flags that programs are shown: that lo's own address has no DAD goes without saying. */
static inline uint32_t
ifaddr_shown_flags(const struct ifaddr *ifa)
{
	return ip_is_loopback(&ifa->addr) ? ifa->flags & ~(uint32_t)IFA_NODAD
	                                  : ifa->flags;
}

struct ifaddr_config {
	struct ip_addr addr, peer, broadcast;
	uint8_t plen, scope, origin;
	uint32_t flags;
	nsec_t valid_ns, preferred_ns; /* from now; IFA_FOREVER */
	const char *label;             /* NULL: the interface's name */
	uint32_t metric;               /* of the prefix route; 0: the family's */
};

/*
 * [rtnl] Adds, with the local route and the prefix route; the same address again changes lifetimes
 * and flags. v6 addresses (but with IFA_NODAD), and v4 ones whose flags hold IFA_TENTATIVE, go
 * through duplicate address detection first; the notifiers hear when they are usable, or that they
 * go with IFA_DADFAILED. ERR_EXIST only for a caller that asked for exclusiveness; ERR_NOBUFS:
 * too many on this interface.
 */
enum err ifaddr_add(struct netdev *, const struct ifaddr_config *, bool is_exclusive);
enum err ifaddr_del(struct netdev *, const struct ip_addr *, unsigned plen);
void ifaddr_del_all(struct netdev *, int family, int origin /* -1: any */);

/*
 * Duplicate address detection of a tentative address: started and ended here under rtnl, done by
 * nd.c (RFC 4862 5.4) and arp.c (RFC 5227 2.1), which may use ifa->timer and ->dad_left meanwhile
 * Either tells the outcome once, from any context.
 */
void ifaddr_dad_start(struct ifaddr *); /* v6: net/nd.c */
void ifaddr_acd_start(struct ifaddr *); /* v4: net/arp.c */
void ifaddr_dad_done(struct ifaddr *, bool is_duplicate);

/* Makes ready and listens to interfaces; gives lo its addresses. */
void ifaddr_init(void);

/* Under RCU. dev NULL: on any interface. Tentative ones are found too: look at flags. */
struct ifaddr *ifaddr_find(const struct netdev *, const struct ip_addr *);
bool ifaddr_is_local(const struct ip_addr *); /* ours and usable; 127/8 and ::1 too */
/* Of an interface, in order; under RCU. */
struct list *ifaddr_list(const struct netdev *, int family);
#define ifaddr_for_each(ifa, dev, family) \
	rcu_list_for_each(ifa, ifaddr_list(dev, family), dev_link)

/* Told with rtnl held: rtnetlink, SLAAC, sockets. */
struct ifaddr_notifier {
	void (*event)(struct ifaddr *, bool is_added);
	struct list link;
};
void ifaddr_notify_add(struct ifaddr_notifier *);

/*
 * Source address for a destination (RFC 6724 section 5; for v4 RFC 1122 3.3.4.3): by route's
 * preferred source, then rules. net/addrsel.c. Under RCU. False: none fits.
 */
bool addrsel_source(const struct netdev *out, const struct ip_addr *dst, unsigned prefs,
    struct ip_addr *src);
