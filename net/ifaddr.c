/*
 * Addresses of interfaces, both families (net/ifaddr.h).
 *
 * Each address is on its interface's list of the family and in one hash by address, both read
 * under RCU. Everything that changes is done under rtnl; timers and duplicate address detection,
 * which run in net threads, leave a note in `pending` and wake one piece of work in the
 * configuration thread, which looks through all addresses. That is rare, and there is nothing to
 * get wrong about an address that goes meanwhile.
 *
 * Life of an address: added -> (tentative -> DAD says unique) -> usable: local route, prefix route,
 * notifiers told -> deprecated -> gone. Down takes all routes of the interface; up brings back those
 * of its addresses, v6 ones after DAD again (RFC 4862 5.4).
 */
#include "net/ifaddr.h"

#include "kernel/panic.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/netdev.h"
#include "net/route.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"

enum { NUM_BUCKETS = 256, MAX_PER_DEV = 512 };
enum { SCOPE_GLOBAL = 0, SCOPE_LINK = 253, SCOPE_HOST = 254 }; /* RT_SCOPE_* */
enum { V6_PREFIX_METRIC = 256 };
/* Notes for the configuration thread. */
enum { PENDING_LIFETIME = 1, PENDING_UNIQUE = 2, PENDING_DUPLICATE = 4 };

struct addr_lists { /* netdev->proto[NETDEV_ADDRS] */
	struct list v4, v6;
	unsigned count; /* [rtnl] */
};

static struct list buckets[NUM_BUCKETS];
static uint64_t hash_seed;
static struct list notifiers = LIST_INIT(notifiers);
static struct net_work work;

static struct list *
bucket_of(const struct ip_addr *a)
{
	uint64_t h = (a->q[0] ^ hash_seed) * 0x9e3779b97f4a7c15ull + a->q[1];

	return &buckets[(h * 0x9e3779b97f4a7c15ull) >> 56];
}

static struct addr_lists *
lists_of(const struct netdev *dev)
{
	return (struct addr_lists *)__atomic_load_n(
	    &dev->proto[NETDEV_ADDRS], __ATOMIC_ACQUIRE);
}

struct list *
ifaddr_list(const struct netdev *dev, int family)
{
	static struct list none = LIST_INIT(none);
	struct addr_lists *l = lists_of(dev);

	if (!l)
		return &none;
	return family == AF_INET ? &l->v4 : &l->v6;
}

/* ---- Finding --------------------------------------------------------------------------- */

struct ifaddr *
ifaddr_find(const struct netdev *dev, const struct ip_addr *addr)
{
	struct ifaddr *ifa;

	rcu_list_for_each(
	    ifa, bucket_of(addr), hash_link) if (ip_equal(&ifa->addr, addr) &&
	                                         (!dev || ifa->dev == dev)) return ifa;
	return NULL;
}

bool
ifaddr_is_local(const struct ip_addr *addr)
{
	struct ifaddr *ifa;

	rcu_list_for_each(ifa, bucket_of(addr),
	    hash_link) if (ip_equal(&ifa->addr, addr) &&
	                   !(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED))) return true;
	return ip_is_loopback(addr);
}

/* The one with this prefix length too (v4 may have an address twice). [rtnl] */
static struct ifaddr *
find_exact(const struct netdev *dev, const struct ip_addr *addr, unsigned plen)
{
	struct ifaddr *ifa;

	list_for_each(
	    ifa, ifaddr_list(dev, ip_is_v4(addr) ? AF_INET : AF_INET6), dev_link)
		if (ip_equal(&ifa->addr, addr) && (ifa->plen == plen || !ip_is_v4(addr)))
			return ifa;
	return NULL;
}

void
ifaddr_notify_add(struct ifaddr_notifier *n)
{
	list_push_back(&notifiers, &n->link);
}

static void
notify(struct ifaddr *ifa, bool is_added)
{
	struct ifaddr_notifier *n, *next;

	list_for_each_safe(n, next, &notifiers, link)
		n->event(ifa, is_added);
}

/* ---- Routes of an address -------------------------------------------------------------- */

static bool
is_loopback_dev(const struct netdev *dev)
{
	return dev->flags & NETDEV_LOOPBACK;
}

/* Is `addr` on this interface still, in another entry? Then its local route stays. */
static bool
is_elsewhere(const struct ifaddr *ifa, const struct ip_addr *prefix)
{
	struct ifaddr *o;

	list_for_each(o, ifaddr_list(ifa->dev, ip_is_v4(&ifa->addr) ? AF_INET : AF_INET6),
	    dev_link) {
		struct ip_addr p = ip_mask(&o->peer, o->plen);

		if (o == ifa || o->flags & (IFA_TENTATIVE | IFA_DADFAILED))
			continue;
		if (!prefix && ip_equal(&o->addr, &ifa->addr))
			return true;
		if (prefix && !(o->flags & IFA_NOPREFIXROUTE) && o->plen == ifa->plen &&
		    ip_equal(&p, prefix))
			return true;
	}
	return false;
}

static void
change_route(struct ifaddr *ifa, const struct ip_addr *dst, unsigned plen, unsigned type,
    bool is_add)
{
	bool is_v4 = ip_is_v4(&ifa->addr);
	struct route_config c = {.dst = ip_mask(dst, plen),
	    .plen = (uint8_t)plen,
	    .type = (uint8_t)type,
	    .proto = ROUTE_BY_KERNEL,
	    .table = type == ROUTE_UNICAST ? ROUTE_TABLE_MAIN : ROUTE_TABLE_LOCAL,
	    .scope = is_v4 ? type == ROUTE_LOCAL ? SCOPE_HOST : SCOPE_LINK : SCOPE_GLOBAL,
	    .dev = ifa->dev};

	if (type == ROUTE_UNICAST)
		c.metric = ifa->metric ? ifa->metric : is_v4 ? 0 : V6_PREFIX_METRIC;
	if (is_v4) {
		c.prefsrc = ifa->addr;
		c.has_prefsrc = true;
	}
	if (is_add) { /* there already: of another address in the same net */
		(void)route_add(&c, false, false);
		return;
	}
	c.has_prefsrc = false;
	(void)route_del(
	    &c); /* gone already: the user took it, or the interface went down */
}

/* The net's own route; none for a single address, unless it is a peer's. */
static bool
has_prefix_route(const struct ifaddr *ifa)
{
	if (ifa->flags & IFA_NOPREFIXROUTE)
		return false;
	if (!ip_is_v4(&ifa->addr))
		return !is_loopback_dev(ifa->dev);
	return ifa->plen < 32 || !ip_equal(&ifa->peer, &ifa->addr);
}

/* Broadcasts of a net: its last address, as Linux has it also without being told, and the one given. */
static void
change_broadcasts(struct ifaddr *ifa, bool is_add)
{
	uint32_t hosts = ifa->plen ? UINT32_MAX >> ifa->plen : UINT32_MAX;
	struct ip_addr last = ip_from_v4(be32_of(be32_get(ifa->peer.v4) | hosts));

	if (ifa->plen < 31)
		change_route(ifa, &last, 32, ROUTE_BROADCAST, is_add);
	if (!ip_is_unspecified(&ifa->broadcast) &&
	    (ifa->plen >= 31 || !ip_equal(&ifa->broadcast, &last)))
		change_route(ifa, &ifa->broadcast, 32, ROUTE_BROADCAST, is_add);
}

static void
change_routes(struct ifaddr *ifa, bool is_add)
{
	struct ip_addr prefix = ip_mask(&ifa->peer, ifa->plen);
	unsigned type = is_loopback_dev(ifa->dev) ? ROUTE_LOCAL : ROUTE_UNICAST;

	if (is_add || !is_elsewhere(ifa, NULL))
		change_route(ifa, &ifa->addr, ip_bits(&ifa->addr), ROUTE_LOCAL, is_add);
	if (has_prefix_route(ifa) && (is_add || !is_elsewhere(ifa, &prefix)))
		change_route(ifa, &ifa->peer, ifa->plen, type, is_add);
	if (ip_is_v4(&ifa->addr) && (is_add || !is_elsewhere(ifa, &prefix)))
		change_broadcasts(ifa, is_add);
}

/* After one of several addresses in a net went: the route names one that is left. */
static void
renew_prefix_routes(struct netdev *dev)
{
	struct ifaddr *ifa;

	if (!(dev->flags & NETDEV_UP))
		return;
	list_for_each(ifa, ifaddr_list(dev, AF_INET), dev_link)
		if (!(ifa->flags & IFA_TENTATIVE))
			change_routes(ifa, true);
}

/* ---- Lifetimes and duplicate detection ------------------------------------------------- */

static void
lifetime_due(struct net_timer *t)
{
	struct ifaddr *ifa = container_of(t, struct ifaddr, timer);

	__atomic_or_fetch(&ifa->pending, PENDING_LIFETIME, __ATOMIC_RELAXED);
	net_config_queue(&work);
}

void
ifaddr_dad_done(struct ifaddr *ifa, bool is_duplicate)
{
	__atomic_or_fetch(&ifa->pending,
	    is_duplicate ? PENDING_DUPLICATE : PENDING_UNIQUE, __ATOMIC_RELAXED);
	net_config_queue(&work);
}

static void
arm_lifetime(struct ifaddr *ifa)
{
	nsec_t next = ifa->valid_until_ns;

	if (!(ifa->flags & IFA_DEPRECATED) && ifa->preferred_until_ns < next)
		next = ifa->preferred_until_ns;
	if (next != IFA_FOREVER)
		net_timer_arm(&ifa->timer, next);
}

/* It may be used now. */
static void
make_usable(struct ifaddr *ifa)
{
	ifa->flags &= ~(uint32_t)(IFA_TENTATIVE | IFA_OPTIMISTIC);
	ifa->changed_ns = clock_now_ns();
	if (ifa->dev->flags & NETDEV_UP)
		change_routes(ifa, true);
	net_timer_cancel_sync(&ifa->timer); /* DAD's */
	net_timer_init(&ifa->timer, lifetime_due);
	arm_lifetime(ifa);
	notify(ifa, true);
}

/* RFC 4862 5.4.5, RFC 5227 2.1: not used. It stays to be seen, unless a protocol configured it. */
static void
refuse_duplicate(struct ifaddr *ifa)
{
	char text[IP_TEXT];

	log_warn("%s: %s is used by another station", ifa->dev->name,
	    ip_format(text, &ifa->addr));
	net_timer_cancel_sync(&ifa->timer);
	ifa->flags |= IFA_DADFAILED;
	if (ip_is_v4(&ifa->addr)) {
		struct netdev *dev = ifa->dev;
		struct ip_addr addr = ifa->addr;

		(void)ifaddr_del(dev, &addr, ifa->plen); /* it is there */
		return;
	}
	notify(ifa, false);
}

/* Valid for ever: no timer. Preferred time over: deprecated. Valid time over: gone. */
static void
check_lifetime(struct ifaddr *ifa)
{
	nsec_t now = clock_now_ns();

	if (ifa->valid_until_ns <= now) {
		struct ip_addr addr = ifa->addr;

		(void)ifaddr_del(ifa->dev, &addr, ifa->plen); /* it is there */
		return;
	}
	if (ifa->preferred_until_ns <= now && !(ifa->flags & IFA_DEPRECATED)) {
		ifa->flags |= IFA_DEPRECATED;
		notify(ifa, true);
	}
	arm_lifetime(ifa);
}

static void
act(struct ifaddr *ifa, unsigned what)
{
	if (what & PENDING_DUPLICATE)
		refuse_duplicate(ifa);
	else if (what & PENDING_UNIQUE && ifa->flags & IFA_TENTATIVE)
		make_usable(ifa);
	else if (what & PENDING_LIFETIME)
		check_lifetime(ifa);
}

/* One note of a bucket; false: there is none. Others may go on the way, so it looks anew each time. */
static bool
act_on_one(struct list *bucket)
{
	struct ifaddr *ifa;

	list_for_each(ifa, bucket, hash_link) {
		unsigned what = __atomic_exchange_n(&ifa->pending, 0, __ATOMIC_RELAXED);

		if (what) {
			act(ifa, what);
			return true;
		}
	}
	return false;
}

static void
act_on_all(struct net_work *w)
{
	mutex_lock(&rtnl_mutex);
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		while (act_on_one(&buckets[i]))
			;
	mutex_unlock(&rtnl_mutex);
}

static void
start_dad(struct ifaddr *ifa)
{
	ifa->flags |= IFA_TENTATIVE;
	if (!(ifa->dev->flags & NETDEV_UP))
		return; /* when it comes up */
	/* It may be running: whoever added the address did so while the interface came up. */
	net_timer_cancel_sync(&ifa->timer);
	if (ip_is_v4(&ifa->addr))
		ifaddr_acd_start(ifa);
	else
		ifaddr_dad_start(ifa);
}

/* ---- Adding and removing --------------------------------------------------------------- */

static nsec_t
until(nsec_t from_now)
{
	nsec_t now = clock_now_ns();

	return from_now >= IFA_FOREVER - now ? IFA_FOREVER : now + from_now;
}

static void
set_lifetimes(struct ifaddr *ifa, const struct ifaddr_config *c)
{
	ifa->valid_until_ns = until(c->valid_ns);
	ifa->preferred_until_ns = until(c->preferred_ns);
	ifa->flags &= ~(uint32_t)(IFA_PERMANENT | IFA_DEPRECATED);
	if (c->valid_ns == IFA_FOREVER)
		ifa->flags |= IFA_PERMANENT;
	if (!c->preferred_ns)
		ifa->flags |= IFA_DEPRECATED;
	ifa->changed_ns = clock_now_ns();
}

/* The same address again: new lifetimes, and flags that may change. */
static void
refresh(struct ifaddr *ifa, const struct ifaddr_config *c)
{
	enum { MAY_CHANGE = IFA_NODAD | IFA_MANAGETEMP | IFA_NOPREFIXROUTE };

	set_lifetimes(ifa, c);
	ifa->origin = c->origin;
	ifa->flags = (ifa->flags & ~(uint32_t)MAY_CHANGE) | (c->flags & MAY_CHANGE);
	if (ifa->flags & IFA_TENTATIVE)
		return;
	(void)net_timer_cancel(&ifa->timer); /* arm_lifetime sets it anew, if at all */
	arm_lifetime(ifa);
	if (ifa->dev->flags & NETDEV_UP)
		change_routes(ifa, true);
	notify(ifa, true);
}

static bool
is_acceptable(const struct ifaddr_config *c)
{
	return c->plen <= ip_bits(&c->addr) && !ip_is_multicast(&c->addr) &&
	       !ip_is_unspecified(&c->addr) && !ip_is_broadcast(&c->addr);
}

static void
fill_in(struct ifaddr *ifa, struct netdev *dev, const struct ifaddr_config *c)
{
	*ifa = (struct ifaddr){.dev = dev,
	    .addr = c->addr,
	    .peer = ip_is_unspecified(&c->peer) ? c->addr : c->peer,
	    .broadcast = c->broadcast,
	    .plen = c->plen,
	    .scope = c->scope,
	    .origin = c->origin,
	    .flags = c->flags & ~(uint32_t)(IFA_DADFAILED | IFA_TENTATIVE),
	    .metric = c->metric,
	    .created_ns = clock_now_ns()};
	if (!ip_is_v4(&c->addr) && ip_is_link_local(&c->addr))
		ifa->scope = SCOPE_LINK;
	if (ip_is_loopback(&c->addr))
		ifa->scope = SCOPE_HOST;
	strlcpy(ifa->label, c->label ? c->label : dev->name, sizeof(ifa->label));
	set_lifetimes(ifa, c);
	net_timer_init(&ifa->timer, lifetime_due);
}

/* A second v4 address in one net is "secondary" (Linux): chosen as a source only when asked for. */
static void
link_in(struct ifaddr *ifa)
{
	struct addr_lists *l = lists_of(ifa->dev);
	struct ifaddr *o;

	if (ip_is_v4(&ifa->addr)) {
		ifa->flags &= ~(uint32_t)IFA_TEMPORARY;
		list_for_each(o, &l->v4, dev_link)
			if (o->plen == ifa->plen &&
			    ip_prefix_match(&ifa->addr, &o->addr, o->plen))
				ifa->flags |= IFA_TEMPORARY;
	}
	rcu_list_push_back(ip_is_v4(&ifa->addr) ? &l->v4 : &l->v6, &ifa->dev_link);
	rcu_list_push_back(bucket_of(&ifa->addr), &ifa->hash_link);
	l->count++;
}

enum err
ifaddr_add(struct netdev *dev, const struct ifaddr_config *c, bool is_exclusive)
{
	struct addr_lists *l = lists_of(dev);
	struct ifaddr *ifa;
	bool is_dad;

	ASSERT(mutex_is_held(&rtnl_mutex));
	if (!is_acceptable(c) || !l)
		return ERR_INVAL;
	ifa = find_exact(dev, &c->addr, c->plen);
	if (ifa) {
		if (is_exclusive)
			return ERR_EXIST;
		refresh(ifa, c);
		return OK;
	}
	if (l->count >= MAX_PER_DEV)
		return ERR_NOBUFS;
	ifa = kmalloc(sizeof(*ifa));
	if (!ifa)
		return ERR_NOMEM;
	fill_in(ifa, dev, c);
	is_dad =
	    !(dev->flags & (NETDEV_LOOPBACK | NETDEV_NOARP)) &&
	    (ip_is_v4(&c->addr) ? c->flags & IFA_TENTATIVE : !(c->flags & IFA_NODAD));
	if (is_dad)
		ifa->flags |= IFA_TENTATIVE;
	link_in(ifa);
	if (is_dad)
		start_dad(ifa);
	else
		make_usable(ifa);
	return OK;
}

static void
ifaddr_free(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct ifaddr, rcu));
}

static void
unlink_addr(struct ifaddr *ifa)
{
	struct netdev *dev = ifa->dev;
	bool was_usable = !(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED));

	net_timer_cancel_sync(&ifa->timer);
	rcu_list_remove(&ifa->dev_link);
	rcu_list_remove(&ifa->hash_link);
	lists_of(dev)->count--;
	if (was_usable) {
		change_routes(ifa, false);
		if (!is_elsewhere(ifa, NULL))
			route_flush_source(&ifa->addr);
		if (ip_is_v4(&ifa->addr))
			renew_prefix_routes(dev);
	}
	notify(ifa, false);
	rcu_call(&ifa->rcu, ifaddr_free);
}

enum err
ifaddr_del(struct netdev *dev, const struct ip_addr *addr, unsigned plen)
{
	struct ifaddr *ifa = find_exact(dev, addr, plen);

	ASSERT(mutex_is_held(&rtnl_mutex));
	if (!ifa)
		return ERR_ADDRNOTAVAIL;
	unlink_addr(ifa);
	return OK;
}

void
ifaddr_del_all(struct netdev *dev, int family, int origin)
{
	struct ifaddr *ifa, *next;

	list_for_each_safe(ifa, next, ifaddr_list(dev, family), dev_link)
		if (origin < 0 || ifa->origin == origin)
			unlink_addr(ifa);
}

/* ---- Interfaces ------------------------------------------------------------------------ */

static void
add_lists(struct netdev *dev)
{
	struct addr_lists *l = kzalloc(sizeof(*l));

	if (!l)
		return; /* the interface then takes no address: ERR_INVAL */
	list_init(&l->v4);
	list_init(&l->v6);
	__atomic_store_n(
	    &dev->proto[NETDEV_ADDRS], (struct netdev_proto *)l, __ATOMIC_RELEASE);
}

static void
drop_lists(struct netdev *dev)
{
	struct addr_lists *l = lists_of(dev);

	if (!l)
		return;
	ifaddr_del_all(dev, AF_INET, -1);
	ifaddr_del_all(dev, AF_INET6, -1);
	__atomic_store_n(&dev->proto[NETDEV_ADDRS], NULL, __ATOMIC_RELEASE);
	rcu_synchronize();
	kfree(l);
}

static void
add_loopback(struct netdev *dev)
{
	struct ifaddr_config v4 = {.addr = ip_from_v4(be32_of(0x7f000001)),
	    .plen = 8,
	    .scope = SCOPE_HOST,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};
	struct ifaddr_config v6 = v4;

	v6.addr = (struct ip_addr){.b = {[15] = 1}};
	v6.plen = 128;
	v6.flags = IFA_NODAD;
	if (ifaddr_add(dev, &v4, false) != OK || ifaddr_add(dev, &v6, false) != OK)
		log_warn("%s: no memory for its addresses", dev->name);
}

static void
bring_up(struct netdev *dev)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct ifaddr *ifa;

	if (dev->flags & NETDEV_LOOPBACK && list_is_empty(ifaddr_list(dev, AF_INET)))
		add_loopback(dev);
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		list_for_each(ifa, ifaddr_list(dev, families[i]), dev_link) {
			if (ifa->flags & IFA_DADFAILED)
				continue;
			if (ifa->flags & IFA_TENTATIVE)
				start_dad(ifa);
			else
				make_usable(ifa);
		}
	}
}

/* v4 addresses stay, as do v6 ones that a user gave; they go through DAD again at the next up. */
static void
bring_down(struct netdev *dev)
{
	struct ifaddr *ifa, *next;

	list_for_each_safe(ifa, next, ifaddr_list(dev, AF_INET6), dev_link) {
		if (ifa->origin != IFA_STATIC && !(dev->flags & NETDEV_LOOPBACK)) {
			unlink_addr(ifa);
			continue;
		}
		net_timer_cancel_sync(&ifa->timer);
		if (!(ifa->flags & IFA_NODAD))
			ifa->flags =
			    (ifa->flags & ~(uint32_t)IFA_DADFAILED) | IFA_TENTATIVE;
	}
	route_flush_dev(dev, AF_UNSPEC);
	dst_flush_dev(dev);
}

static void
on_netdev(struct netdev *dev, enum netdev_event ev)
{
	switch (ev) {
	case NETDEV_EV_REGISTER: add_lists(dev); break;
	case NETDEV_EV_UP: bring_up(dev); break;
	case NETDEV_EV_DOWN: bring_down(dev); break;
	case NETDEV_EV_UNREGISTER:
		drop_lists(dev);
		route_flush_dev(dev, AF_UNSPEC);
		dst_flush_dev(dev);
		break;
	case NETDEV_EV_MTU:
	case NETDEV_EV_MAC: dst_flush_dev(dev); break;
	default: break;
	}
}

void
ifaddr_init(void)
{
	static struct netdev_notifier notifier = {.event = on_netdev};

	random_bytes(&hash_seed, sizeof(hash_seed));
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		list_init(&buckets[i]);
	work.fn = act_on_all;
	netdev_notify_add(&notifier);
}
