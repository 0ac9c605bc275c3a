/*
 * Routers (RFC 4861 6.3): solicitations that look for them, and what their advertisements tell.
 *
 * Advertisements come in the net thread, which may not sleep; they wait in a short queue for the
 * configuration thread, which changes routes and addresses with rtnl held.
 *
 * The default router list is d->routers. One of them is in the routing table: the best by
 * RFC 4861 6.3.6 and RFC 4191 3.2, chosen anew when one comes, goes, expires or stops answering.
 * Solicitations are sent until a router answers, with growing pauses (RFC 7559).
 */
#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/dhcp6.h"
#include "net/ifaddr.h"
#include "net/inbox.h"
#include "net/nd.h"
#include "net/neigh.h"

enum {
	MAX_QUEUED = 32, /* advertisements waiting, on all interfaces */
	METRIC_DEFAULT = 1024,
	METRIC_PREFIX = 256,
	RA_HEADER = 16,
	RA_MANAGED = 0x80,
	RA_OTHER = 0x40,
	HOPS = 255,
};
#define RS_FIRST_NS (4 * NSEC_PER_SEC)    /* RFC 4861 10: RTR_SOLICITATION_INTERVAL */
#define RS_MAX_NS   (3600 * NSEC_PER_SEC) /* RFC 7559 2 */

struct nd_router { /* [rtnl] */
	struct list link;
	struct ip_addr addr;
	nsec_t expires_ns;
	int8_t preference;
};

static const struct ip_addr all_routers = {.b = {0xff, 2, [15] = 2}};
static void run(struct net_work *);
static struct net_work work = {.fn = run};
static struct inbox adverts = INBOX_INIT("nd_adverts", MAX_QUEUED, &work);

/* ---- Choosing the default router ------------------------------------------------------- */

bool
nd_router_is_better(const struct nd_candidate *a, const struct nd_candidate *b)
{
	if (a->is_reachable != b->is_reachable)
		return a->is_reachable;
	if (a->preference != b->preference)
		return a->preference > b->preference;
	return a->is_current && !b->is_current;
}

/* RFC 4861 6.3.6: one whose cache entry is not incomplete or failed; nothing known is good too. */
static bool
is_reachable(struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n = neigh_find(dev, addr);
	bool is_ok = !n || neigh_is_usable(n) || n->state == NEIGH_NONE;

	if (n)
		neigh_put(n);
	return is_ok;
}

static struct nd_router *
best_router(struct ip6_dev *d)
{
	struct nd_router *r, *best = NULL;
	struct nd_candidate best_is = {.is_reachable = false};

	list_for_each(r, &d->routers, link) {
		struct nd_candidate is = {
		    .is_reachable = is_reachable(d->dev, &r->addr),
		    .preference = r->preference,
		    .is_current = ip_equal(&r->addr, &d->gateway),
		};

		if (!best || nd_router_is_better(&is, &best_is)) {
			best = r;
			best_is = is;
		}
	}
	return best;
}

static struct route_config
default_route(const struct ip6_dev *d, const struct ip_addr *gateway, int preference)
{
	return (struct route_config){
	    .dst = ip_any,
	    .type = ROUTE_UNICAST,
	    .proto = ROUTE_BY_RA,
	    .table = ROUTE_TABLE_MAIN,
	    .metric = (uint32_t)(METRIC_DEFAULT - preference),
	    .gateway = *gateway,
	    .has_gateway = true,
	    .dev = d->dev,
	    .is_learned = true,
	};
}

/* Puts the best router into the routing table, in place of the one that is there. */
static void
choose_router(struct ip6_dev *d)
{
	struct nd_router *r = best_router(d);
	struct route_config c;
	enum err err;

	if (r && ip_equal(&r->addr, &d->gateway) &&
	    r->preference == d->gateway_preference)
		return;
	if (!r && ip_is_unspecified(&d->gateway))
		return;
	c = default_route(d, &d->gateway, d->gateway_preference);
	if (!ip_is_unspecified(&d->gateway))
		(void)route_del(&c); /* the user may have removed it */
	d->gateway = r ? r->addr : ip_any;
	d->gateway_preference = r ? r->preference : 0;
	if (!r)
		return;
	c = default_route(d, &r->addr, r->preference);
	err = route_add(&c, false, true);
	if (err != OK && err != ERR_EXIST)
		log_warn("%s: no default route by the router\n", d->dev->name);
}

/* Lets go of those whose time is over, chooses, and comes back when the next one is due. */
static void
check_routers(struct ip6_dev *d)
{
	nsec_t now = clock_now_ns(), next = 0;
	struct list gone = LIST_INIT(gone), *l;
	struct nd_router *r, *tmp;

	list_for_each_safe(r, tmp, &d->routers, link) {
		if (r->expires_ns <= now) {
			list_remove(&r->link);
			list_push_back(&gone, &r->link);
			d->num_routers--;
		} else if (!next || r->expires_ns < next) {
			next = r->expires_ns;
		}
	}
	choose_router(d);
	while ((l = list_pop_front(&gone)))
		kfree(list_entry(l, struct nd_router, link));
	if (next)
		net_timer_arm(&d->router_timer, next);
}

static void
on_router_timer(struct net_timer *t)
{
	struct ip6_dev *d = container_of(t, struct ip6_dev, router_timer);

	__atomic_store_n(&d->is_router_due, true, __ATOMIC_RELEASE);
	net_config_queue(&work);
}

void
nd_router_check(struct netdev *dev)
{
	struct ip6_dev *d;

	rcu_read_lock();
	d = ip6_dev_of(dev);
	if (d) {
		__atomic_store_n(&d->is_router_due, true, __ATOMIC_RELEASE);
		net_config_queue(&work);
	}
	rcu_read_unlock();
}

/* RFC 4861 6.3.4: lifetime 0 means: not a default router (any more). */
static void
update_router(
    struct ip6_dev *d, const struct ip_addr *addr, uint32_t lifetime_s, int preference)
{
	struct nd_router *r;

	list_for_each(r, &d->routers, link)
		if (ip_equal(&r->addr, addr))
			break;
	if (&r->link == &d->routers) {
		if (!lifetime_s || d->num_routers >= ND_MAX_ROUTERS)
			return;
		r = kzalloc(sizeof(*r));
		if (!r)
			return; /* the next advertisement tells it again */
		r->addr = *addr;
		list_push_back(&d->routers, &r->link);
		d->num_routers++;
	}
	r->preference = (int8_t)preference;
	r->expires_ns = clock_now_ns() + lifetime_s * NSEC_PER_SEC;
}

/* ---- What an advertisement holds ------------------------------------------------------- */

struct advert {
	struct ip6_dev *d;
	struct ip_addr router;
	const uint8_t *data;
	struct nd_options o;
};

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static nsec_t
lifetime_ns(uint32_t s)
{
	return s == UINT32_MAX ? 0 : s * NSEC_PER_SEC; /* of a route: 0 is for ever */
}

/* Adds, or with a lifetime of 0 removes. */
static void
change_route(struct route_config *c, uint32_t lifetime_s)
{
	enum err err;

	c->type = ROUTE_UNICAST;
	c->table = ROUTE_TABLE_MAIN;
	c->is_learned = true;
	if (!lifetime_s) {
		(void)route_del(c); /* it may not be there */
		return;
	}
	c->valid_ns = lifetime_ns(lifetime_s);
	err = route_add(c, false, true);
	if (err != OK && err != ERR_EXIST) /* the user's own stays */
		log_once(LOG_WARNING, "no room for a route of a router\n");
}

/* RFC 4861 6.3.4: the parameters of the link. */
static void
take_parameters(const struct advert *a)
{
	struct ip6_dev *d = a->d;
	uint32_t reachable = get32(a->data + 8), retrans = get32(a->data + 12);

	if (a->data[4])
		d->hop_limit = a->data[4];
	if (reachable && reachable <= 3600000 && reachable != d->base_reachable_ms) {
		d->base_reachable_ms = reachable;
		d->reachable_ns = 0;
	}
	if (retrans >= 10 && retrans <= 3600000)
		d->retrans_ns = retrans * NSEC_PER_MSEC;
	if (a->o.mtu >= IP6_MIN_MTU && a->o.mtu <= d->dev->mtu && a->o.mtu != d->mtu) {
		__atomic_store_n(&d->mtu, a->o.mtu, __ATOMIC_RELAXED);
		__atomic_add_fetch(&route_generation, 1, __ATOMIC_RELEASE);
	}
}

static void
take_prefixes(const struct advert *a)
{
	for (unsigned i = 0; i < a->o.num_prefixes; i++) {
		struct nd_prefix p;

		nd_prefix_decode(a->o.prefixes[i], &p);
		if (ip_is_link_local(&p.prefix) || ip_is_multicast(&p.prefix) ||
		    ip_is_v4(&p.prefix) || p.preferred_s > p.valid_s)
			continue;
		if (p.is_on_link && p.plen)
			change_route(&(struct route_config){.dst = p.prefix,
			                 .plen = p.plen,
			                 .proto = ROUTE_BY_KERNEL,
			                 .metric = METRIC_PREFIX,
			                 .dev = a->d->dev},
			    p.valid_s);
		if (p.is_autonomous && a->d->conf.autoconf)
			slaac_prefix(a->d, &p);
	}
}

/* RFC 4191 3.1: more specific routes; of ::/0 it is a word on the default router. */
static void
take_routes(const struct advert *a)
{
	for (unsigned i = 0; i < a->o.num_routes; i++) {
		struct nd_route r;

		if (!nd_route_decode(a->o.routes[i], &r))
			continue;
		if (!r.plen) {
			update_router(a->d, &a->router, MIN(r.lifetime_s, 65535u * 2),
			    r.preference);
			continue;
		}
		change_route(&(struct route_config){.dst = r.prefix,
		                 .plen = r.plen,
		                 .proto = ROUTE_BY_RA,
		                 .metric = (uint32_t)(METRIC_DEFAULT - r.preference),
		                 .gateway = a->router,
		                 .has_gateway = true,
		                 .dev = a->d->dev},
		    r.lifetime_s);
	}
}

/* RFC 8106 5: name servers and search list. */
static void
take_dns(const struct advert *a)
{
	for (unsigned i = 0; i < a->o.num_rdnss; i++) {
		const uint8_t *o = a->o.rdnss[i];

		for (unsigned at = 8; at + 16 <= o[1] * 8u; at += 16) {
			struct ip_addr server;

			memcpy(server.b, o + at, 16);
			resolv_ra_server(a->d->dev, &server, get32(o + 4));
		}
	}
	for (unsigned i = 0; i < a->o.num_dnssl; i++) {
		const uint8_t *o = a->o.dnssl[i];

		resolv_ra_search(a->d->dev, o + 8, o[1] * 8u - 8, get32(o + 4));
	}
}

static void
take_link_address(const struct advert *a)
{
	unsigned how = NEIGH_UPD_OVERRIDE | NEIGH_UPD_ISROUTER;

	if (a->o.source_lla)
		how |= NEIGH_UPD_CREATE;
	neigh_update(a->d->dev, &a->router, a->o.source_lla, how);
}

static void
take_advert(struct pkt *p, struct ip6_dev *d)
{
	struct advert a = {.d = d, .router = p->ip.src, .data = p->data};
	unsigned lifetime = (unsigned)p->data[6] << 8 | p->data[7];
	int preference = nd_preference(p->data[5]);

	if (!d->conf.accept_ra || d->dev->is_forwarding6 || !(d->dev->flags & NETDEV_UP))
		return;
	if (!nd_options_parse(p->data + RA_HEADER, pkt_linear(p) - RA_HEADER, &a.o)) {
		mib_inc(MIB_Icmp6_InErrors);
		drop_count(DROP_ND_BAD);
		return;
	}
	__atomic_store_n(&d->has_ra, true, __ATOMIC_RELEASE);
	take_parameters(&a);
	take_link_address(&a);
	/* RFC 4191 2.2: reserved is medium. */
	update_router(d, &a.router, lifetime, preference == 2 ? 0 : preference);
	take_prefixes(&a);
	take_routes(&a);
	take_dns(&a);
	check_routers(d);
	dhcp6_router_says(d->dev, p->data[5] & RA_MANAGED, p->data[5] & RA_OTHER);
}

/* ---- The configuration thread ---------------------------------------------------------- */

void
nd_router_advert(struct pkt *p)
{
	if (!inbox_put(&adverts, p))
		pkt_drop(p, DROP_ND_BAD);
}

static void
run(struct net_work *w)
{
	struct netdev *dev;
	struct pkt *p;

	mutex_lock(&rtnl_mutex);
	while ((p = inbox_take(&adverts))) {
		if (ip6_dev_of(p->dev))
			take_advert(p, ip6_dev_of(p->dev));
		inbox_done(p);
	}
	list_for_each(dev, &netdev_list, link) {
		struct ip6_dev *d = ip6_dev_of(dev);

		if (d && __atomic_exchange_n(&d->is_router_due, false, __ATOMIC_ACQ_REL))
			check_routers(d);
	}
	mutex_unlock(&rtnl_mutex);
}

/* ---- Solicitations --------------------------------------------------------------------- */

static void
send_solicit(struct netdev *dev, const struct ip_addr *src)
{
	struct pkt *p = pkt_alloc(sizeof(struct icmp6_header) + 8);
	struct icmp6_header *h;

	if (!p)
		return; /* the timer sends another one */
	h = pkt_put(p, sizeof(*h));
	*h = (struct icmp6_header){.type = ICMP6_ROUTER_SOLICIT};
	nd_put_lla(p, ND_OPT_SOURCE_LLA, dev);
	icmp6_finish(p, src, &all_routers);
	ip6_send_link(dev, p, src, &all_routers, NULL, HOPS);
}

/* RFC 7559: pauses double, each a tenth longer or shorter by chance. */
static void
on_rs_timer(struct net_timer *t)
{
	struct ip6_dev *d = container_of(t, struct ip6_dev, rs_timer);
	nsec_t delay = d->rs_delay_ns;
	struct ip_addr src;
	bool has_source;

	if (__atomic_load_n(&d->has_ra, __ATOMIC_ACQUIRE) ||
	    !(d->dev->flags & NETDEV_UP) || d->dev->is_forwarding6)
		return;
	rcu_read_lock();
	has_source = ip6_link_local(d->dev, &src);
	rcu_read_unlock();
	if (has_source)
		send_solicit(d->dev, &src);
	net_timer_arm(t, clock_now_ns() + delay * 9 / 10 + random_below(delay / 5));
	d->rs_delay_ns = MIN(2 * delay, RS_MAX_NS);
}

void
nd_router_solicit(struct ip6_dev *d)
{
	if (!d->conf.accept_ra || d->dev->is_forwarding6)
		return;
	__atomic_store_n(&d->has_ra, false, __ATOMIC_RELEASE);
	d->rs_delay_ns = RS_FIRST_NS;
	net_timer_arm(&d->rs_timer, clock_now_ns());
}

void
nd_router_dev_init(struct ip6_dev *d)
{
	net_timer_init(&d->rs_timer, on_rs_timer);
	net_timer_init(&d->router_timer, on_router_timer);
}

void
nd_router_dev_down(struct ip6_dev *d)
{
	struct list *l;

	net_timer_cancel_sync(&d->rs_timer);
	net_timer_cancel_sync(&d->router_timer);
	while ((l = list_pop_front(&d->routers)))
		kfree(list_entry(l, struct nd_router, link));
	d->num_routers = 0;
	d->gateway = ip_any; /* the route goes with the interface */
	d->mtu = 0;
	d->hop_limit = IP6_DEFAULT_HOPS;
	resolv_ra_forget(d->dev);
	dhcp6_dev_down(d->dev);
}
