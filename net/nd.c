/*
 * Neighbour discovery (RFC 4861): solicitations and advertisements of neighbours, redirects, and
 * duplicate address detection (RFC 4862 5.4). net/neigh.c keeps what is learnt and decides when to
 * ask; net/nd_router.c deals with routers.
 *
 * Every message is believed only with hop limit 255, which no router passes on: it came from this
 * link.
 *
 * Duplicate address detection uses ifa->timer and ifa->dad_left: how many solicitations are yet to
 * be sent, with IN_GROUP set while the solicited-node group of the address is joined, from the
 * start of the detection until the address goes, and ANNOUNCED once it was usable. The nonce that tells our own solicitations, when
 * the link loops them back (RFC 7527), is computed anew from a key whenever it is needed.
 */
#include "net/nd.h"

#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/icmp_limit.h"
#include "net/ifaddr.h"
#include "net/ip_mc.h"
#include "net/neigh.h"

enum {
	HOPS = 255,
	NA_ROUTER = 0x80,
	NA_SOLICITED = 0x40,
	NA_OVERRIDE = 0x20,
	IN_GROUP = 0x80, /* in ifa->dad_left */
	ANNOUNCED = 0x40,
	MAX_TRANSMITS = 16,
	LLA_LEN = 8, /* the option with an Ethernet address */
	NONCE_LEN = 8,
};

/* Solicitation, advertisement: RFC 4861 4.3, 4.4. */
struct nd_message {
	uint8_t type, code;
	be16 csum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
};

struct nd_redirect {
	struct icmp6_header icmp;
	uint8_t target[16], destination[16];
};

static const struct ip_addr all_nodes = {.b = {0xff, 2, [15] = 1}};
static const struct ip_addr all_routers = {.b = {0xff, 2, [15] = 2}};
static struct siphash_key nonce_key;

struct ip_addr
nd_solicited_node(const struct ip_addr *a)
{
	return (struct ip_addr){.b = {0xff, 2, [11] = 1, [12] = 0xff, [13] = a->b[13],
	                            [14] = a->b[14], [15] = a->b[15]}};
}

bool
ip6_link_local(const struct netdev *dev, struct ip_addr *out)
{
	const struct ifaddr *ifa;

	ifaddr_for_each(ifa, dev, AF_INET6)
	{
		if (!ip_is_link_local(&ifa->addr) ||
		    ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED))
			continue;
		*out = ifa->addr;
		return true;
	}
	return false;
}

/* ---- Sending --------------------------------------------------------------------------- */

void
nd_put_lla(struct pkt *p, uint8_t type, const struct netdev *dev)
{
	uint8_t *o = pkt_put(p, LLA_LEN);

	o[0] = type;
	o[1] = 1;
	memcpy(o + 2, dev->mac, ETH_ALEN);
}

/* A message about `target`, with room for options; NULL: no memory. */
static struct pkt *
make_message(uint8_t type, uint8_t flags, const struct ip_addr *target)
{
	struct pkt *p = pkt_alloc(sizeof(struct nd_message) + LLA_LEN + NONCE_LEN);
	struct nd_message *m;

	if (!p) {
		drop_count(DROP_NO_MEMORY);
		return NULL;
	}
	m = pkt_put(p, sizeof(*m));
	*m = (struct nd_message){.type = type, .flags = flags};
	memcpy(m->target, target->b, 16);
	return p;
}

static void
send_advert(struct netdev *dev, const struct ip_addr *target, const struct ip_addr *to,
    const uint8_t *mac, uint8_t flags)
{
	struct pkt *p;

	if (dev->is_forwarding6)
		flags |= NA_ROUTER;
	p = make_message(ICMP6_NEIGHBOUR_ADVERT, flags, target);
	if (!p)
		return;
	nd_put_lla(p, ND_OPT_TARGET_LLA, dev);
	icmp6_finish(p, target, to);
	ip6_send_link(dev, p, target, to, mac, HOPS);
}

/* The same by way of the neighbour cache. */
static void
routed_advert(struct netdev *dev, const struct ip_addr *target, const struct ip_addr *to)
{
	uint8_t flags =
	    NA_SOLICITED | NA_OVERRIDE | (dev->is_forwarding6 ? NA_ROUTER : 0);
	struct pkt *p = make_message(ICMP6_NEIGHBOUR_ADVERT, flags, target);

	if (!p)
		return;
	nd_put_lla(p, ND_OPT_TARGET_LLA, dev);
	icmp6_send_routed(
	    p, &(struct flow){.src = *target, .dst = *to, .oif = dev->index}, HOPS, 0);
}

/* RFC 4861 7.2.6: everybody learns where an address of ours is now. */
static void
announce(struct netdev *dev, const struct ip_addr *addr)
{
	send_advert(dev, addr, &all_nodes, NULL, NA_OVERRIDE);
}

/* RFC 9131 6.1.2: routers learn of a new address before the first answer comes for it. */
static void
announce_to_routers(struct netdev *dev, const struct ip_addr *addr)
{
	send_advert(dev, addr, &all_routers, NULL, 0);
}

static void
send_solicit(struct netdev *dev, const struct ip_addr *src, const struct ip_addr *target,
    const uint8_t *mac)
{
	struct pkt *p = make_message(ICMP6_NEIGHBOUR_SOLICIT, 0, target);
	struct ip_addr to = mac ? *target : nd_solicited_node(target);

	if (!p)
		return;
	nd_put_lla(p, ND_OPT_SOURCE_LLA, dev);
	icmp6_finish(p, src, &to);
	ip6_send_link(dev, p, src, &to, mac, HOPS);
}

/* ---- What the neighbour cache asks for ------------------------------------------------- */

/* RFC 4861 7.2.2: the source of the packet that waits, if it is an address of this interface. */
static bool
source_of_waiting(struct neigh *n, struct ip_addr *src)
{
	const struct ifaddr *ifa;
	bool is_found = false;

	spin_lock(&n->lock);
	if (n->waiting.first && pkt_linear(n->waiting.first) >= IP6_HEADER) {
		const struct ip6_header *h = (void *)n->waiting.first->data;

		memcpy(src->b, h->src, 16);
		is_found = true;
	}
	spin_unlock(&n->lock);
	ifa = is_found ? ifaddr_find(n->dev, src) : NULL;
	return ifa && !(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED));
}

static void
solicit(struct neigh *n, const uint8_t *mac)
{
	struct ip_addr src;

	rcu_read_lock();
	if (source_of_waiting(n, &src) || ip6_link_local(n->dev, &src) ||
	    addrsel_source(n->dev, &n->addr, 0, &src))
		send_solicit(n->dev, &src, &n->addr, mac);
	rcu_read_unlock();
}

static void
unreachable(struct neigh *n, struct pkt *list)
{
	while (list) {
		struct pkt *p = list;

		list = p->next;
		p->next = NULL;
		if (!p->dev)
			p->dev = n->dev;
		rcu_read_lock();
		icmp6_send_error(p, ICMP6_UNREACHABLE, ICMP6_ADDR_UNREACHABLE, 0);
		rcu_read_unlock();
		pkt_drop(p, DROP_NEIGH_FAILED);
	}
	nd_router_check(n->dev);
}

/* RFC 4861 6.3.4: uniformly between half and three halves of what the router said, drawn anew
 * every two hours. */
static nsec_t
reachable_ns(const struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	nsec_t now = clock_now_ns(), base;

	if (!d)
		return 30 * NSEC_PER_SEC;
	if (d->reachable_ns && now - d->reachable_drawn_ns < 7200 * NSEC_PER_SEC)
		return d->reachable_ns;
	base = d->base_reachable_ms * NSEC_PER_MSEC;
	d->reachable_drawn_ns = now;
	d->reachable_ns = base / 2 + ip6_random_below(base + 1);
	return d->reachable_ns;
}

static nsec_t
retrans_ns(const struct netdev *dev)
{
	const struct ip6_dev *d = ip6_dev_of(dev);

	return d ? d->retrans_ns : NSEC_PER_SEC;
}

const struct neigh_ops nd_neigh_ops = {
    .solicit = solicit,
    .unreachable = unreachable,
    .reachable_ns = reachable_ns,
    .retrans_ns = retrans_ns,
};

/* ---- Duplicate address detection ------------------------------------------------------- */

/* The nonce in the solicitation that left `left` to be sent. */
static uint64_t
nonce_of(const struct ifaddr *ifa, unsigned left)
{
	struct {
		struct ip_addr addr;
		uint64_t index, left;
	} in = {ifa->addr, ifa->dev->index, left};

	return siphash24(&nonce_key, &in, sizeof(in)) & 0xffffffffffff;
}

static bool
is_our_nonce(const struct ifaddr *ifa, const uint8_t *nonce)
{
	uint64_t v = 0;

	memcpy(&v, nonce, 6);
	for (unsigned left = 0; left < MAX_TRANSMITS; left++)
		if (nonce_of(ifa, left) == v)
			return true;
	return false;
}

/* RFC 4862 5.4.2, RFC 7527 4: from nobody, to the solicited-node group. */
static void
send_dad_solicit(struct ifaddr *ifa, unsigned left)
{
	struct pkt *p = make_message(ICMP6_NEIGHBOUR_SOLICIT, 0, &ifa->addr);
	struct ip_addr to = nd_solicited_node(&ifa->addr);
	uint64_t nonce = nonce_of(ifa, left);
	uint8_t *o;

	if (!p)
		return;
	o = pkt_put(p, NONCE_LEN);
	o[0] = ND_OPT_NONCE;
	o[1] = 1;
	memcpy(o + 2, &nonce, 6);
	icmp6_finish(p, &ip_any, &to);
	ip6_send_link(ifa->dev, p, &ip_any, &to, NULL, HOPS);
}

static void
on_dad_timer(struct net_timer *t)
{
	struct ifaddr *ifa = container_of(t, struct ifaddr, timer);
	unsigned left = ifa->dad_left & (ANNOUNCED - 1);

	if (!left) {
		ifaddr_dad_done(ifa, false);
		return;
	}
	left--;
	ifa->dad_left = (uint8_t)(IN_GROUP | left);
	send_dad_solicit(ifa, left);
	net_timer_arm(&ifa->timer, clock_now_ns() + retrans_ns(ifa->dev));
}

static void
join_group(struct ifaddr *ifa)
{
	struct ip_addr group = nd_solicited_node(&ifa->addr);

	if (ifa->dad_left & IN_GROUP)
		return;
	if (ip_mc_join(ifa->dev, &group) != OK)
		log_warn(
		    "%s: too many groups: address is not resolved\n", ifa->dev->name);
	else
		ifa->dad_left |= IN_GROUP;
}

void
ifaddr_dad_start(struct ifaddr *ifa)
{
	const struct ip6_dev *d = ip6_dev_of(ifa->dev);
	unsigned transmits = d ? d->conf.dad_transmits : 0;

	join_group(ifa);
	ifa->dad_left = (uint8_t)((ifa->dad_left & IN_GROUP) |
	                          MIN(transmits, (unsigned)MAX_TRANSMITS));
	if (!transmits) {
		ifaddr_dad_done(ifa, false);
		return;
	}
	(void)net_timer_cancel(&ifa->timer); /* the link came back while it ran */
	net_timer_init(&ifa->timer, on_dad_timer);
	/* RFC 4862 5.4.2: hosts that came up together do not ask together. */
	net_timer_arm(&ifa->timer, clock_now_ns() + ip6_random_below(NSEC_PER_SEC));
}

/* With rtnl held: an address became usable or went. */
static void
on_address(struct ifaddr *ifa, bool is_added)
{
	struct ip_addr group = nd_solicited_node(&ifa->addr);
	struct ip6_dev *d = ip6_dev_of(ifa->dev);

	if (ip_is_v4(&ifa->addr) || !d || ifa->dev->flags & NETDEV_LOOPBACK)
		return;
	if (!is_added) {
		if (ifa->dad_left & IN_GROUP)
			ip_mc_leave(ifa->dev, &group);
		ifa->dad_left = 0;
		return;
	}
	join_group(ifa);
	if (ifa->dad_left & ANNOUNCED || !(ifa->dev->flags & NETDEV_UP))
		return; /* other news of it: lifetimes and the like */
	ifa->dad_left |= ANNOUNCED;
	if (!ip_is_link_local(&ifa->addr)) {
		announce_to_routers(ifa->dev, &ifa->addr);
		return;
	}
	announce(ifa->dev, &ifa->addr);
	nd_router_solicit(d);
}

/* ---- Input ----------------------------------------------------------------------------- */

/* Someone uses, or is about to use, an address that we want. */
static void
tentative_heard(struct ifaddr *ifa, const struct nd_options *o)
{
	if (o->nonce && is_our_nonce(ifa, o->nonce)) {
		log_once(
		    LOG_WARNING, "%s: the link returns our own frames\n", ifa->dev->name);
		return;
	}
	ifaddr_dad_done(ifa, true);
}

/* RFC 4861 7.2.3, 7.2.4; the message's form was checked. */
static void
answer_solicit(struct pkt *p, const struct ip_addr *target, const struct nd_options *o)
{
	struct ifaddr *ifa = ifaddr_find(p->dev, target);
	bool is_dad = ip_is_unspecified(&p->ip.src);

	if (!ifa || ifa->flags & IFA_DADFAILED)
		return;
	if (ifa->flags & IFA_TENTATIVE) {
		if (is_dad)
			tentative_heard(ifa, o);
		return;
	}
	if (is_dad) {
		send_advert(p->dev, target, &all_nodes, NULL, NA_OVERRIDE);
		return;
	}
	neigh_update(p->dev, &p->ip.src, o->source_lla,
	    NEIGH_UPD_OVERRIDE | (o->source_lla ? NEIGH_UPD_CREATE : 0));
	if (o->source_lla) {
		send_advert(p->dev, target, &p->ip.src, o->source_lla,
		    NA_SOLICITED | NA_OVERRIDE);
	} else { /* the cache knows the way, or finds it */
		routed_advert(p->dev, target, &p->ip.src);
	}
}

/* RFC 4861 7.1.1. False: malformed. */
static bool
solicit_input(struct pkt *p, const uint8_t *data, size_t len)
{
	struct nd_options o;
	struct ip_addr target, group;

	if (len < sizeof(struct nd_message) ||
	    !nd_options_parse(
	        data + sizeof(struct nd_message), len - sizeof(struct nd_message), &o))
		return false;
	memcpy(target.b, data + offsetof(struct nd_message, target), 16);
	group = nd_solicited_node(&target);
	if (ip_is_multicast(&target))
		return false;
	if (ip_is_unspecified(&p->ip.src) &&
	    (o.source_lla || !ip_equal(&p->ip.dst, &group)))
		return false;
	answer_solicit(p, &target, &o);
	return true;
}

static void
learn_advert(struct pkt *p, const struct ip_addr *target, uint8_t flags,
    const struct nd_options *o)
{
	struct neigh *n = neigh_find(p->dev, target);
	unsigned how = NEIGH_UPD_ROUTER_FLAG;
	bool was_router;

	if (!n) { /* RFC 4861 7.2.5: nobody asked; RFC 9131 6.1.1: routers keep it */
		if (p->dev->is_forwarding6 && o->target_lla)
			neigh_update(p->dev, target, o->target_lla,
			    NEIGH_UPD_CREATE | NEIGH_UPD_ROUTER_FLAG |
			        (flags & NA_ROUTER ? NEIGH_UPD_ISROUTER : 0));
		return;
	}
	was_router = n->is_router;
	neigh_put(n);
	how |= flags & NA_ROUTER ? NEIGH_UPD_ISROUTER : 0;
	how |= flags & NA_SOLICITED ? NEIGH_UPD_SOLICITED : 0;
	how |= flags & NA_OVERRIDE ? NEIGH_UPD_OVERRIDE : 0;
	neigh_update(p->dev, target, o->target_lla, how);
	if (was_router && !(flags & NA_ROUTER))
		nd_router_check(p->dev);
}

/* RFC 4861 7.1.2, 7.2.5, RFC 4862 5.4.4. */
static bool
advert_input(struct pkt *p, const uint8_t *data, size_t len)
{
	struct nd_options o;
	struct ip_addr target;
	struct ifaddr *ifa;
	char text[IP_TEXT];
	uint8_t flags;

	if (len < sizeof(struct nd_message) ||
	    !nd_options_parse(
	        data + sizeof(struct nd_message), len - sizeof(struct nd_message), &o))
		return false;
	memcpy(target.b, data + offsetof(struct nd_message, target), 16);
	flags = data[offsetof(struct nd_message, flags)];
	if (ip_is_multicast(&target) ||
	    (ip_is_multicast(&p->ip.dst) && flags & NA_SOLICITED))
		return false;
	ifa = ifaddr_find(p->dev, &target);
	if (!ifa)
		learn_advert(p, &target, flags, &o);
	else if (ifa->flags & IFA_TENTATIVE && !(ifa->flags & IFA_DADFAILED))
		ifaddr_dad_done(ifa, true);
	else if (!(p->flags & PKT_LOOPBACK))
		log_once(LOG_WARNING, "%s: another station says it has %s\n",
		    p->dev->name, ip_format(text, &target));
	return true;
}

/* RFC 4861 8.1, 8.3. */
static bool
redirect_input(struct pkt *p, const uint8_t *data, size_t len)
{
	const struct ip6_dev *d = ip6_dev_of(p->dev);
	struct ip_addr target, destination;
	struct nd_options o;
	unsigned how = NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE;

	if (len < sizeof(struct nd_redirect) || !ip_is_link_local(&p->ip.src) ||
	    !nd_options_parse(
	        data + sizeof(struct nd_redirect), len - sizeof(struct nd_redirect), &o))
		return false;
	memcpy(target.b, data + offsetof(struct nd_redirect, target), 16);
	memcpy(destination.b, data + offsetof(struct nd_redirect, destination), 16);
	if (ip_is_multicast(&destination) || ip_is_multicast(&target) ||
	    (!ip_is_link_local(&target) && !ip_equal(&target, &destination)))
		return false;
	if (!d->conf.accept_redirects || p->dev->is_forwarding6)
		return true;
	if (!ip_equal(&target, &destination))
		how |= NEIGH_UPD_ISROUTER;
	neigh_update(p->dev, &target, o.target_lla, how);
	dst_learn_redirect(&destination, &p->ip.src, &target, p->dev);
	return true;
}

/* RFC 4861 6.1.2; the options are looked at by the configuration thread. */
static bool
router_advert_input(struct pkt **p, size_t len)
{
	if (len < 16 || !ip_is_link_local(&(*p)->ip.src))
		return false;
	nd_router_advert(*p);
	*p = NULL;
	return true;
}

/* A host only learns from it who is no router: RFC 4861 6.2.6 */
static bool
router_solicit_input(struct pkt *p, const uint8_t *data, size_t len)
{
	struct nd_options o;

	if (len < 8 || !nd_options_parse(data + 8, len - 8, &o) ||
	    (ip_is_unspecified(&p->ip.src) && o.source_lla))
		return false;
	if (p->dev->is_forwarding6 && o.source_lla)
		neigh_update(p->dev, &p->ip.src, o.source_lla,
		    NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE | NEIGH_UPD_ROUTER_FLAG);
	return true;
}

static bool
dispatch(struct pkt **p)
{
	size_t len = pkt_len(*p);
	const struct icmp6_header *h = pkt_need(*p, len);

	if (!h || len < 8 || (*p)->ip.ttl != HOPS || h->code != 0)
		return false;
	switch (h->type) {
	case ICMP6_NEIGHBOUR_SOLICIT: return solicit_input(*p, (*p)->data, len);
	case ICMP6_NEIGHBOUR_ADVERT: return advert_input(*p, (*p)->data, len);
	case ICMP6_REDIRECT: return redirect_input(*p, (*p)->data, len);
	case ICMP6_ROUTER_ADVERT: return router_advert_input(p, len);
	default: return router_solicit_input(*p, (*p)->data, len);
	}
}

void
nd_input(struct pkt *p)
{
	/* RFC 6980 5: never in fragments. On the loopback interface there are no neighbours. */
	bool is_good = !(p->flags & PKT_REASSEMBLED) &&
	               !(p->dev->flags & NETDEV_LOOPBACK) && dispatch(&p);

	if (is_good) {
		pkt_free(p);
		return;
	}
	mib_inc(MIB_Icmp6_InErrors);
	pkt_drop(p, DROP_ND_BAD);
}

/* ---- Redirects we send ----------------------------------------------------------------- */

void
nd_send_redirect(const struct pkt *failed, const struct ip_addr *target)
{
	struct netdev *dev = failed->dev;
	size_t n = MIN(pkt_linear(failed), (size_t)IP6_MIN_MTU - IP6_HEADER - 56) & ~7ul;
	struct neigh *to = neigh_find(dev, &failed->ip.src);
	struct nd_redirect *r;
	struct ip_addr src;
	struct pkt *p = NULL;
	uint8_t *o;

	if (to && neigh_is_usable(to) && ip6_link_local(dev, &src) &&
	    icmp_may_send(&failed->ip.src))
		p = pkt_alloc(sizeof(*r) + 8 + n);
	if (p) {
		r = pkt_put(p, sizeof(*r));
		*r = (struct nd_redirect){.icmp = {.type = ICMP6_REDIRECT}};
		memcpy(r->target, target->b, 16);
		memcpy(r->destination, failed->ip.dst.b, 16);
		o = pkt_put(p, 8 + n);
		memset(o, 0, 8);
		o[0] = ND_OPT_REDIRECTED;
		o[1] = (uint8_t)(1 + n / 8);
		memcpy(o + 8, failed->data, n);
		icmp6_finish(p, &src, &failed->ip.src);
		ip6_send_link(dev, p, &src, &failed->ip.src, to->mac, HOPS);
	}
	if (to)
		neigh_put(to);
}

/* ---- Wiring ---------------------------------------------------------------------------- */

/* The link is back, maybe another one: tell it who we are, ask who routes. */
static void
link_up(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	const struct ifaddr *ifa;

	rcu_read_lock();
	ifaddr_for_each(ifa, dev, AF_INET6)
	{
		if (!(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED)))
			announce(dev, &ifa->addr);
	}
	rcu_read_unlock();
	nd_router_solicit(d);
}

static void
on_netdev(struct netdev *dev, enum netdev_event event)
{
	struct ip6_dev *d = ip6_dev_of(dev);

	if (!d || dev->flags & NETDEV_LOOPBACK)
		return;
	if (event == NETDEV_EV_REGISTER) {
		nd_router_dev_init(d);
	} else if (event == NETDEV_EV_UP) {
		slaac_link_local(d);
	} else if (event == NETDEV_EV_DOWN || event == NETDEV_EV_UNREGISTER) {
		nd_router_dev_down(d);
		slaac_dev_down(d);
	} else if ((event == NETDEV_EV_LINK || event == NETDEV_EV_ANNOUNCE) &&
	           dev->has_link && dev->flags & NETDEV_UP) {
		link_up(dev);
	}
}

void
nd_init(void)
{
	static struct netdev_notifier interfaces = {.event = on_netdev};
	static struct ifaddr_notifier addresses = {.event = on_address};

	random_bytes(&nonce_key, sizeof(nonce_key));
	ifaddr_notify_add(&addresses);
	netdev_notify_add(&interfaces);
}
