/*
 * Routing tables and lookups, both families (net/route.h).
 *
 * Two tables for each family, as Linux has them: `local` (our own addresses and broadcasts, made
 * with the interface addresses) is asked first, then `main`. In each the longest prefix decides,
 * then the lowest metric among the routes that fit the flow. Lookups of output and forwarding go
 * through the destination cache (dst.c); packets to our own addresses do not need the tables at
 * all: the hash of interface addresses answers for them.
 *
 * Changes happen under rtnl and raise route_generation.
 */
#include "net/route.h"

#include "kernel/panic.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "net/fib.h"
#include "net/ifaddr.h"
#include "net/ip.h"
#include "net/ip4.h"
#include "net/ip_mc.h"
#include "net/net_timer.h"
#include "net/netdev.h"
#include "net/route_priv.h"

enum { MAX_ROUTES = 65536, V6_METRIC = 1024, RTNH_F_ONLINK = 4 };

struct route {
	struct fib_entry entry;  /* first */
	struct route_config cfg; /* [I] */
	nsec_t expires_ns;       /* 0: never */
	struct rcu_head rcu;
};

enum { LOCAL, MAIN, NUM_TABLES };
enum { V4, V6 };

static struct fib tables[NUM_TABLES][2]; /* by family */
static unsigned num_routes;              /* [rtnl] */
static struct list notifiers = LIST_INIT(notifiers);
static struct net_timer expiry;
static struct net_work expire_work;

/* What route_input answers for packets that end here; never freed. */
static struct dst input_dsts[2][ROUTE_MULTICAST + 1];

static struct fib *
table_of(uint32_t id, const struct ip_addr *addr)
{
	return &tables[id == ROUTE_TABLE_LOCAL ? LOCAL : MAIN][ip_is_v4(addr) ? V4 : V6];
}

/* A prefix length of the family, in bits of the 16-byte form. */
static unsigned
trie_bits(const struct ip_addr *addr, unsigned plen)
{
	return ip_is_v4(addr) ? plen + 96 : plen;
}

/* ---- Changing the tables --------------------------------------------------------------- */

void
route_notify_add(struct route_notifier *n)
{
	list_push_back(&notifiers, &n->link);
}

static void
notify(const struct route_config *cfg, bool is_added)
{
	struct route_notifier *n;

	route_changed();
	list_for_each(n, &notifiers, link)
		n->event(cfg, is_added);
}

static void
route_free(struct rcu_head *rcu)
{
	struct route *r = container_of(rcu, struct route, rcu);

	if (r->cfg.dev)
		netdev_put(r->cfg.dev);
	kfree(r);
}

static void
unlink_route(struct route *r)
{
	const struct route_config *c = &r->cfg;

	fib_remove(
	    table_of(c->table, &c->dst), &c->dst, trie_bits(&c->dst, c->plen), &r->entry);
	num_routes--;
	if (c->is_learned)
		c->dev->num_learned_routes--;
	notify(c, false);
	rcu_call(&r->rcu, route_free);
}

static bool
is_same_way(const struct route_config *a, const struct route_config *b)
{
	return a->type == b->type && a->dev == b->dev &&
	       a->has_gateway == b->has_gateway &&
	       (!a->has_gateway || ip_equal(&a->gateway, &b->gateway));
}

/* Types that lead to an interface. */
static bool
has_way(uint8_t type)
{
	return type >= ROUTE_UNICAST && type <= ROUTE_MULTICAST;
}

/* Fills in what the caller left open and refuses what makes no sense. */
static enum err
complete(struct route_config *c)
{
	struct ip_addr masked = ip_mask(&c->dst, c->plen), hop;

	if (c->plen > ip_bits(&c->dst) || !ip_equal(&masked, &c->dst))
		return ERR_INVAL;
	if (!c->table)
		c->table = ROUTE_TABLE_MAIN;
	if (c->table != ROUTE_TABLE_MAIN && c->table != ROUTE_TABLE_LOCAL)
		return ERR_INVAL;
	if (!c->metric && !ip_is_v4(&c->dst) && c->table == ROUTE_TABLE_MAIN)
		c->metric = V6_METRIC;
	if (!has_way(c->type)) {
		c->dev = NULL;
		c->has_gateway = false;
		return c->type <= ROUTE_PROHIBIT && c->type ? OK : ERR_INVAL;
	}
	if (c->has_gateway && ip_is_v4(&c->gateway) != ip_is_v4(&c->dst))
		return ERR_INVAL;
	if (c->has_gateway && !(c->dev && c->flags & RTNH_F_ONLINK) &&
	    !(c->dev && ip_is_link_local(&c->gateway))) {
		if (ifaddr_is_local(&c->gateway))
			return ERR_INVAL;
		if (!route_next_hop(&c->gateway, c->dev, &hop) ||
		    !ip_equal(&hop, &c->gateway))
			return ERR_NETUNREACH; /* the gateway is not on a link of ours */
		if (!c->dev)
			c->dev = route_dev(&c->gateway);
	}
	if (!c->dev)
		return ERR_NODEV;
	return c->dev->flags & NETDEV_UP ? OK : ERR_NETDOWN;
}

/* The first route of this prefix and metric; *same: the one that leads the same way too. */
static struct route *
find_like(const struct route_config *c, struct route **same)
{
	struct fib_entry *e =
	    fib_find(table_of(c->table, &c->dst), &c->dst, trie_bits(&c->dst, c->plen));
	struct route *first = NULL;

	*same = NULL;
	for (; e; e = e->next) {
		struct route *r = container_of(e, struct route, entry);

		if (e->rank != c->metric || r->cfg.tos != c->tos)
			continue;
		first = first ? first : r;
		if (!*same && is_same_way(&r->cfg, c))
			*same = r;
	}
	return first;
}

static void
arm_expiry(nsec_t at)
{
	if (at)
		net_timer_arm(&expiry, at);
}

static bool
is_full(const struct route_config *c)
{
	return num_routes >= MAX_ROUTES ||
	       (c->is_learned && c->dev->num_learned_routes >= ROUTE_LEARNED_MAX);
}

enum err
route_add(const struct route_config *cfg, bool is_exclusive, bool is_replace)
{
	struct route_config c = *cfg;
	struct route *r, *old, *same, *victim;
	enum err err;

	ASSERT(mutex_is_held(&rtnl_mutex));
	rcu_read_lock();
	err = complete(&c);
	rcu_read_unlock();
	if (err != OK)
		return err;
	old = find_like(&c, &same);
	if (old && is_exclusive)
		return ERR_EXIST;
	if (same && !is_replace)
		return ERR_EXIST;
	victim = !is_replace ? NULL : same ? same : old;
	if (victim && c.is_learned && !victim->cfg.is_learned) {
		if (same)
			return ERR_EXIST;
		victim = NULL; /* it stands behind that one */
	}
	if (!victim && is_full(&c))
		return ERR_NOBUFS;
	r = kzalloc(sizeof(*r));
	if (!r)
		return ERR_NOMEM;
	r->cfg = c;
	r->entry.rank = c.metric;
	r->expires_ns = c.valid_ns ? clock_now_ns() + c.valid_ns : 0;
	err = fib_insert(
	    table_of(c.table, &c.dst), &c.dst, trie_bits(&c.dst, c.plen), &r->entry);
	if (err != OK) {
		kfree(r);
		return err;
	}
	if (c.dev)
		(void)netdev_get(c.dev); /* the route's own reference */
	num_routes++;
	if (c.is_learned)
		c.dev->num_learned_routes++;
	if (victim)
		unlink_route(victim);
	notify(&c, true);
	arm_expiry(r->expires_ns);
	return OK;
}

/* Do the fields that a deleter gave fit? */
static bool
is_asked(const struct route *r, const struct route_config *c)
{
	return (!c->metric || r->cfg.metric == c->metric) &&
	       (!c->type || r->cfg.type == c->type) &&
	       (!c->proto || r->cfg.proto == c->proto) &&
	       (!c->dev || r->cfg.dev == c->dev) &&
	       (!c->is_learned || r->cfg.is_learned) &&
	       (!c->tos || r->cfg.tos == c->tos) &&
	       (!c->has_gateway ||
	           (r->cfg.has_gateway && ip_equal(&r->cfg.gateway, &c->gateway))) &&
	       (!c->has_prefsrc ||
	           (r->cfg.has_prefsrc && ip_equal(&r->cfg.prefsrc, &c->prefsrc)));
}

enum err
route_del(const struct route_config *c)
{
	struct fib_entry *e =
	    fib_find(table_of(c->table, &c->dst), &c->dst, trie_bits(&c->dst, c->plen));

	ASSERT(mutex_is_held(&rtnl_mutex));
	for (; e; e = e->next) {
		struct route *r = container_of(e, struct route, entry);

		if (is_asked(r, c)) {
			unlink_route(r);
			return OK;
		}
	}
	return ERR_SRCH;
}

static bool
unlink_if_on(struct fib_entry *e, void *dev)
{
	struct route *r = container_of(e, struct route, entry);

	if (r->cfg.dev == dev)
		unlink_route(r);
	return true;
}

void
route_flush_dev(struct netdev *dev, int family)
{
	for (unsigned t = 0; t < NUM_TABLES; t++) {
		if (family != AF_INET6)
			(void)fib_for_each(&tables[t][V4], unlink_if_on, dev);
		if (family != AF_INET)
			(void)fib_for_each(&tables[t][V6], unlink_if_on, dev);
	}
}

static bool
unlink_if_from(struct fib_entry *e, void *addr)
{
	struct route *r = container_of(e, struct route, entry);

	if (r->cfg.has_prefsrc && ip_equal(&r->cfg.prefsrc, addr))
		unlink_route(r);
	return true;
}

void
route_flush_source(const struct ip_addr *addr)
{
	struct ip_addr a = *addr;

	(void)fib_for_each(&tables[MAIN][ip_is_v4(addr) ? V4 : V6], unlink_if_from, &a);
}

struct walk {
	bool (*fn)(const struct route_config *, void *arg);
	void *arg;
};

static bool
show_route(struct fib_entry *e, void *arg)
{
	struct route *r = container_of(e, struct route, entry);
	struct route_config c = r->cfg;
	struct walk *w = arg;
	nsec_t now = clock_now_ns();

	if (r->expires_ns)
		c.valid_ns = r->expires_ns > now ? r->expires_ns - now : 1;
	return w->fn(&c, w->arg);
}

void
route_for_each(int family, bool (*fn)(const struct route_config *, void *arg), void *arg)
{
	struct walk w = {fn, arg};

	for (unsigned t = 0; t < NUM_TABLES; t++) {
		if (family != AF_INET6 && !fib_for_each(&tables[t][V4], show_route, &w))
			return;
		if (family != AF_INET && !fib_for_each(&tables[t][V6], show_route, &w))
			return;
	}
}

/* ---- Lifetimes ------------------------------------------------------------------------- */

static bool
expire_route(struct fib_entry *e, void *arg)
{
	struct route *r = container_of(e, struct route, entry);
	nsec_t *next = arg;

	if (!r->expires_ns)
		return true;
	if (r->expires_ns <= clock_now_ns())
		unlink_route(r);
	else if (!*next || r->expires_ns < *next)
		*next = r->expires_ns;
	return true;
}

/* Configuration thread: what ran out goes, and the clock is set for the next. */
static void
expire_routes(struct net_work *w)
{
	nsec_t next = 0;

	mutex_lock(&rtnl_mutex);
	for (unsigned t = 0; t < NUM_TABLES; t++) {
		(void)fib_for_each(&tables[t][V4], expire_route, &next);
		(void)fib_for_each(&tables[t][V6], expire_route, &next);
	}
	arm_expiry(next);
	mutex_unlock(&rtnl_mutex);
}

static void
expiry_due(struct net_timer *t)
{
	net_config_queue(&expire_work);
}

/* ---- Lookups --------------------------------------------------------------------------- */

struct wanted {
	unsigned oif; /* 0: any */
	nsec_t now;
};

/* fib_lookup asks of each route on the way. */
static bool
is_usable(const struct fib_entry *e, void *arg)
{
	const struct route *r = container_of(e, struct route, entry);
	const struct wanted *w = arg;

	if (r->expires_ns && r->expires_ns <= w->now)
		return false;
	if (!r->cfg.dev)
		return !w->oif;
	return r->cfg.dev->flags & NETDEV_UP &&
	       (!w->oif || r->cfg.dev->index == w->oif ||
	           (r->cfg.type == ROUTE_LOCAL && w->oif == loopback_dev->index));
}

static const struct route_config *
lookup_in(unsigned table, const struct ip_addr *addr, unsigned oif)
{
	struct wanted w = {oif, clock_now_ns()};
	struct fib_entry *e =
	    fib_lookup(&tables[table][ip_is_v4(addr) ? V4 : V6], addr, is_usable, &w);

	return e ? &container_of(e, struct route, entry)->cfg : NULL;
}

static const struct route_config *
lookup(const struct ip_addr *addr, unsigned oif)
{
	const struct route_config *r = lookup_in(LOCAL, addr, oif);

	return r ? r : lookup_in(MAIN, addr, oif);
}

struct netdev *
route_dev(const struct ip_addr *addr)
{
	const struct route_config *r = lookup(addr, 0);

	return r ? r->dev : NULL;
}

bool
route_is_broadcast(const struct ip_addr *addr)
{
	const struct route_config *r = lookup_in(LOCAL, addr, 0);

	return r && r->type == ROUTE_BROADCAST;
}

bool
route_next_hop(const struct ip_addr *addr, const struct netdev *dev, struct ip_addr *hop)
{
	const struct route_config *r = lookup_in(MAIN, addr, dev ? dev->index : 0);

	if (!r || r->type != ROUTE_UNICAST)
		return false;
	*hop = r->has_gateway ? r->gateway : *addr;
	return true;
}

/* Why nothing can be sent there. */
static enum err
refusal(const struct route_config *r)
{
	if (!r)
		return ERR_NETUNREACH;
	switch (r->type) {
	case ROUTE_BLACKHOLE: return ERR_INVAL;
	case ROUTE_PROHIBIT: return ERR_ACCES;
	case ROUTE_UNREACHABLE: return ERR_HOSTUNREACH;
	default: return OK;
	}
}

/*
 * The interface for a multicast or the limited broadcast when the flow names none: the source's,
 * else where the tables lead, else the first that can.
 */
static struct netdev *
multicast_dev(const struct flow *f)
{
	const struct ifaddr *ifa =
	    ip_is_unspecified(&f->src) ? NULL : ifaddr_find(NULL, &f->src);
	const struct route_config *r;
	struct netdev *dev;

	if (ifa)
		return ifa->dev;
	r = lookup_in(MAIN, &f->dst, 0);
	if (r && r->dev)
		return r->dev;
	netdev_for_each(dev) if (dev->flags & NETDEV_UP &&
	                         dev->flags & NETDEV_MULTICAST &&
	                         !(dev->flags & NETDEV_LOOPBACK)) return dev;
	return NULL;
}

static enum err
make_multicast(const struct flow *f, struct dst **out)
{
	struct dst_plan plan = {.addr = f->dst, .oif = f->oif};

	plan.type = ip_is_multicast(&f->dst) ? ROUTE_MULTICAST : ROUTE_BROADCAST;
	plan.dev = f->oif ? netdev_by_index(f->oif) : multicast_dev(f);
	if (!plan.dev)
		return f->oif ? ERR_NODEV : ERR_NETUNREACH;
	if (!(plan.dev->flags & NETDEV_UP))
		return ERR_NETDOWN;
	*out = dst_make(&plan);
	return *out ? OK : ERR_NOBUFS;
}

static enum err
make_output(const struct flow *f, struct dst **out)
{
	const struct route_config *r = lookup(&f->dst, f->oif);
	struct dst_plan plan = {.addr = f->dst, .oif = f->oif, .route = r};
	enum err err = refusal(r);

	if (err != OK)
		return err;
	plan.type = r->type;
	plan.dev = r->type == ROUTE_LOCAL ? loopback_dev : r->dev;
	*out = dst_make(&plan);
	return *out ? OK : ERR_NOBUFS;
}

/* A source address, where the caller has none. */
static enum err
choose_source(struct flow *f, const struct dst *d)
{
	if (!ip_is_unspecified(&f->src))
		return OK;
	if (!ip_is_unspecified(&d->prefsrc)) {
		f->src = d->prefsrc;
		return OK;
	}
	if (d->type == ROUTE_LOCAL) {
		f->src = f->dst;
		return OK;
	}
	if (addrsel_source(d->dev, &f->dst, 0, &f->src))
		return OK;
	f->src = ip_is_v4(&f->dst) ? ip4_any : ip_any;
	/* A host without address may still ask for one (RFC 2131, RFC 4861). */
	return d->type == ROUTE_BROADCAST || d->type == ROUTE_MULTICAST
	           ? OK
	           : ERR_ADDRNOTAVAIL;
}

static enum err
output(struct flow *f, struct dst **out)
{
	/* The destination "this host" means us (as Linux has it). */
	if (ip_is_unspecified(&f->dst)) {
		f->dst = ip_is_v4(&f->dst) ? ip_from_v4(be32_of(0x7f000001)) : ip_any;
		if (!ip_is_v4(&f->dst))
			f->dst.b[15] = 1;
	}
	if (!ip_is_unspecified(&f->src) && !f->is_any_source &&
	    !ifaddr_is_local(&f->src) && !ifaddr_find(NULL, &f->src))
		return ERR_ADDRNOTAVAIL;
	/* Without an interface asked for, a multicast's depends on the source: not cached by it. */
	if (ip_is_multicast(&f->dst) || ip_is_broadcast(&f->dst)) {
		if (!f->oif) {
			struct netdev *dev = multicast_dev(f);

			f->oif = dev ? dev->index : 0;
		}
		*out = dst_cache_find(&f->dst, f->oif, false);
		return *out ? OK : make_multicast(f, out);
	}
	*out = dst_cache_find(&f->dst, f->oif, false);
	return *out ? OK : make_output(f, out);
}

enum err
route_output(struct flow *f, struct dst **out)
{
	enum err err;

	rcu_read_lock();
	err = output(f, out);
	if (err == OK) {
		err = choose_source(f, *out);
		if (err != OK)
			dst_put(*out);
	}
	rcu_read_unlock();
	return err;
}

/* ---- Input ----------------------------------------------------------------------------- */

/*
 * Sources that no honest packet from outside has (RFC 1122 3.2.1.3, RFC 1812 5.3.7, RFC 4291 2.5.3,
 * 2.7): our own address, a group, a broadcast, the loopback net. Packets that never left us may.
 */
static bool
is_martian(const struct pkt *p)
{
	const struct ip_addr *src = &p->ip.src, *dst = &p->ip.dst;
	const struct route_config *r;

	if (ip_is_multicast(src) || ip_is_broadcast(src))
		return true;
	if (p->flags & PKT_LOOPBACK || p->dev->flags & NETDEV_LOOPBACK)
		return false;
	if (ip_is_loopback(src) || ip_is_loopback(dst))
		return true;
	if (ip_is_v4(src) && !src->v4.b[0])
		return !ip_is_unspecified(src) ||
		       !(ip_is_broadcast(dst) || ip_is_multicast(dst));
	r = lookup_in(LOCAL, src, 0);
	if (!r)
		return false;
	/* v6: our own link-local address on another link is another's. */
	if (r->type == ROUTE_LOCAL)
		return ip_is_v4(src) || !ip_is_link_local(src) || r->dev == p->dev;
	return r->type == ROUTE_BROADCAST;
}

/*
 * Would an answer leave where this came in? rp_filter 1: yes, or it is dropped; 2: there must be a
 * way back at all (RFC 3704 2.2, 2.4).
 */
static bool
has_reverse_path(const struct pkt *p, unsigned mode)
{
	const struct route_config *r;

	if (!mode || ip_is_unspecified(&p->ip.src))
		return true;
	r = lookup_in(MAIN, &p->ip.src, mode == 1 ? p->dev->index : 0);
	if (!r || r->type != ROUTE_UNICAST)
		return false;
	return mode != 1 || lookup_in(MAIN, &p->ip.src, 0)->dev == p->dev;
}

static struct dst *
input_dst(const struct pkt *p, enum route_type type)
{
	return &input_dsts[ip_is_v4(&p->ip.dst) ? V4 : V6][type];
}

/* All of 127/8 is ours, but one address is a broadcast. Those end in ones: others need no look-up. */
static bool
is_loopback_broadcast(const struct ip_addr *dst)
{
	return ip_is_v4(dst) && dst->v4.b[0] == 127 && (dst->v4.b[3] & 3) == 3 &&
	       route_is_broadcast(dst);
}

/* A group we are in, from a source that a member wants; IGMP is about all sources (RFC 3376 5). */
static bool
is_let_in(const struct pkt *p)
{
	return ip_mc_allows(
	    p->dev, &p->ip.dst, p->ip.proto == IP_PROTO_IGMP ? NULL : &p->ip.src);
}

/* Our own address, or a group we are in; NULL: neither. */
static struct dst *
input_to_us(struct pkt *p)
{
	const struct ip_addr *dst = &p->ip.dst;
	bool is_v4 = ip_is_v4(dst);
	const struct ifaddr *ifa;

	if (ip_is_multicast(dst))
		return is_let_in(p) ? input_dst(p, ROUTE_MULTICAST) : NULL;
	if (is_v4 && ip_is_broadcast(dst))
		return input_dst(p, ROUTE_BROADCAST);
	if (!is_v4 && ip_is_link_local(dst)) { /* only where it came in */
		ifa = ifaddr_find(
		    p->flags & PKT_LOOPBACK || p->dev == loopback_dev ? NULL : p->dev,
		    dst);
		return ifa && !(ifa->flags & IFA_TENTATIVE) ? input_dst(p, ROUTE_LOCAL)
		                                            : NULL;
	}
	if (ifaddr_is_local(dst) && !is_loopback_broadcast(dst))
		return input_dst(p, ROUTE_LOCAL);
	if (is_v4) {
		const struct route_config *r = lookup_in(LOCAL, dst, 0);

		if (r && r->type == ROUTE_BROADCAST &&
		    (r->dev == p->dev || p->flags & PKT_LOOPBACK))
			return input_dst(p, ROUTE_BROADCAST);
	}
	return NULL;
}

static enum err
make_forward(struct pkt *p, struct dst **out)
{
	struct dst_plan plan = {.addr = p->ip.dst, .is_forward = true};
	enum err err;

	plan.route = lookup(&p->ip.dst, 0);
	err = refusal(plan.route);
	if (err != OK)
		return err;
	if (plan.route->type != ROUTE_UNICAST)
		return ERR_INVAL; /* the broadcast of another net of ours (RFC 2644) */
	plan.type = ROUTE_UNICAST;
	plan.dev = plan.route->dev;
	*out = dst_make(&plan);
	return *out ? OK : ERR_NOBUFS;
}

enum err
route_input(struct pkt *p, struct dst **out)
{
	bool is_v4 = ip_is_v4(&p->ip.dst);

	if (is_martian(p) ||
	    (is_v4 && !has_reverse_path(p, ip4_reverse_path_mode(p->dev))))
		return ERR_INVAL;
	*out = input_to_us(p);
	if (*out)
		return OK;
	if (ip_is_multicast(&p->ip.dst) ||
	    !(is_v4 ? p->dev->is_forwarding4 : p->dev->is_forwarding6))
		return ERR_NOENT;
	if (ip_is_link_local(&p->ip.dst) || ip_is_link_local(&p->ip.src))
		return ERR_INVAL; /* RFC 3927 7, RFC 4291 2.5.6 */
	*out = dst_cache_find(&p->ip.dst, 0, true);
	return *out ? OK : make_forward(p, out);
}

void
route_init(void)
{
	dst_cache_init();
	net_timer_init(&expiry, expiry_due);
	expire_work.fn = expire_routes;
	for (unsigned family = 0; family < 2; family++)
		for (unsigned type = 0; type <= ROUTE_MULTICAST; type++)
			input_dsts[family][type] = (struct dst){
			    .type = (uint8_t)type,
			    .is_static = true,
			    .dev = loopback_dev,
			    .mtu = loopback_dev->mtu,
			};
}
