/*
 * The shell around the DHCPv4 machine: sends and receives, sets timers, configures the interface.
 *
 * Everything that changes state runs under rtnl, mostly in the configuration thread: the timer and
 * the receive path only leave a note (`mail`, `checked`) and queue the client's work. Datagrams are
 * sent through IP without a socket; answers are taken from ip4_deliver when port and transaction are
 * ours, so a DHCP client that a user starts beside us gets its own.
 *
 * What a lease brings: the address (checked by RFC 5227 first), routes (RFC 3442's, else routers), MTU,
 * name servers and search domains, a host name if we have none. A renewal changes only what differs.
 * If nobody answers, a link-local address serves until somebody does (RFC 3927).
 */
#include "net/dhcp4.h"

#include "kernel/proc/utsname.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "lib/fmt.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/dhcp4_machine.h"
#include "net/ifaddr.h"
#include "net/ip.h"
#include "net/linklocal4.h"
#include "net/neigh.h"
#include "net/netdev.h"
#include "net/resolv.h"
#include "net/route.h"

#define LOG_PREFIX "dhcp: "
#include "kernel/log.h"

enum {
	UDP_HEADER = 8,
	MAX_ROUTES = DHCP4_MAX_ROUTES + 1,
	RTNH_F_ONLINK = 4,
	MIN_MTU = 576,
	METRIC = 100
};
enum checked { NOT_YET, UNIQUE, CONFLICT };

struct dhcp4_client { /* netdev->proto[NETDEV_DHCP4] */
	struct netdev *dev;
	struct dhcp4_machine machine; /* [rtnl] */
	struct net_timer timer;
	struct net_work work;
	struct spinlock lock;
	struct dhcp4_reply mail; /* [lock] the last answer, while has_mail */
	bool has_mail;           /* [lock] */
	uint8_t checked;         /* [a] enum checked */
	uint32_t xid;            /* [a] of the answer we wait for, with is_listening */
	bool is_listening;       /* [a] */
	bool is_said;            /* [rtnl] the line about this lease is in the log */
	struct route_config routes[MAX_ROUTES]; /* [rtnl] that we made */
	unsigned num_routes;
};

uint32_t dhcp4_num_listening;

static struct dhcp4_client *
client_of(const struct netdev *dev)
{
	return (struct dhcp4_client *)__atomic_load_n(
	    &dev->proto[NETDEV_DHCP4], __ATOMIC_ACQUIRE);
}

/* ---- Sending ----------------------------------------------------------------------------- */

/* The UDP datagram around a message; NULL: no memory. */
static struct pkt *
make_datagram(
    const struct dhcp4_request *q, const struct ip_addr *src, const struct ip_addr *dst)
{
	uint8_t msg[DHCP4_MAX_MESSAGE];
	size_t n = dhcp4_build(q, msg);
	struct pkt *p = pkt_alloc(UDP_HEADER + n);
	be16 *udp;
	uint16_t csum;

	if (!p)
		return NULL;
	udp = pkt_put(p, UDP_HEADER);
	memcpy(pkt_put(p, n), msg, n);
	udp[0] = be16_of(DHCP4_CLIENT_PORT);
	udp[1] = be16_of(DHCP4_SERVER_PORT);
	udp[2] = be16_of((uint16_t)(UDP_HEADER + n));
	udp[3] = be16_of(0);
	csum = csum_finish(
	    csum_add(ip_pseudo_csum(src, dst, IP_PROTO_UDP, (uint32_t)(UDP_HEADER + n)),
	        p->data, UDP_HEADER + n));
	udp[3] = be16_of(csum ? csum : 0xffff);
	return p;
}

/*
 * The last word before the interface goes down may have to wait for the server's link-layer address:
 * for a second at most, and as a rule for a moment.
 */
static void
let_it_leave(const struct dst *d)
{
	for (unsigned i = 0; i < 100 && d->neigh; i++) {
		if (d->neigh->state != NEIGH_INCOMPLETE)
			break;
		thread_sleep_ns(10 * NSEC_PER_MSEC);
	}
}

static void
send_message(struct dhcp4_client *c, struct dhcp4_actions *a)
{
	struct ip_tx tx = {
	    .src = ip4_any, .proto = IP_PROTO_UDP, .ttl = -1, .df = IP_DF_AUTO};
	struct dhcp4_request *q = &a->message;
	struct flow f = {.src = ip4_any, .oif = c->dev->index};
	struct dst *d;
	struct pkt *p;

	memcpy(q->mac, c->dev->mac, sizeof(q->mac));
	q->max_size = (uint16_t)(MIN(c->dev->mtu, 1500) - 28);
	if (kernel_utsname.nodename[0] && strcmp(kernel_utsname.nodename, "(none)") != 0)
		q->host = kernel_utsname.nodename;
	tx.dst = ip_from_v4(be32_of(0xffffffff));
	if (be32_get(q->client))
		tx.src = ip_from_v4(q->client);
	if (a->is_unicast)
		tx.dst = ip_from_v4(c->machine.lease.server);
	f.dst = tx.dst;
	f.src = tx.src;
	if (route_output(&f, &d) != OK)
		return; /* the timer brings the next attempt */
	p = make_datagram(q, &tx.src, &tx.dst);
	if (p)
		(void)ip_send(p, d, &tx); /* as above */
	if (q->type == DHCP4_RELEASE)
		let_it_leave(d);
	dst_put(d);
}

/* ---- What a lease brings ----------------------------------------------------------------- */

static struct ip_addr
leased(const struct dhcp4_reply *r)
{
	return ip_from_v4(r->addr);
}

static enum err
put_address(
    struct dhcp4_client *c, const struct dhcp4_reply *r, nsec_t valid_ns, uint32_t flags)
{
	struct ifaddr_config cfg = {.addr = leased(r),
	    .plen = r->plen,
	    .origin = IFA_DHCP,
	    .flags = flags,
	    .valid_ns = valid_ns,
	    .preferred_ns = valid_ns};
	uint32_t host_bits = r->plen < 32 ? UINT32_MAX >> r->plen : 0;

	cfg.broadcast = ip4_any;
	if (r->plen < 31)
		cfg.broadcast = ip_from_v4(be32_get(r->broadcast)
		                               ? r->broadcast
		                               : be32_of(be32_get(r->addr) | host_bits));
	return ifaddr_add(c->dev, &cfg, false);
}

static void
add_route(struct dhcp4_client *c, struct route_config *new, unsigned *n, be32 dst,
    uint8_t plen, be32 gateway)
{
	struct route_config *r = &new[*n];
	struct ip_addr net = leased(&c->machine.lease), gw = ip_from_v4(gateway);
	enum err err;

	*r = (struct route_config){.dst = ip_from_v4(dst),
	    .plen = plen,
	    .type = ROUTE_UNICAST,
	    .proto = ROUTE_BY_DHCP,
	    .table = ROUTE_TABLE_MAIN,
	    .metric = METRIC + c->dev->index, /* of several interfaces, the first one's */
	    .gateway = gw,
	    .has_gateway = be32_get(gateway) != 0,
	    .prefsrc = net,
	    .has_prefsrc = true,
	    .dev = c->dev};
	if (!r->has_gateway)
		r->scope = 253; /* link */
	else if (!ip_prefix_match(&gw, &net, c->machine.lease.plen))
		r->flags =
		    RTNH_F_ONLINK; /* a router outside of the net: hosting providers do it */
	err = route_add(r, false, false);
	if (err == OK || err == ERR_EXIST)
		++*n;
}

static bool
is_among(const struct route_config *r, const struct route_config *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (ip_equal(&r->dst, &list[i].dst) && r->plen == list[i].plen &&
		    r->has_gateway == list[i].has_gateway &&
		    ip_equal(&r->gateway, &list[i].gateway))
			return true;
	return false;
}

/* The lease's routes, and away with older ones that it does not name. */
static void
put_routes(struct dhcp4_client *c)
{
	const struct dhcp4_reply *l = &c->machine.lease;
	struct route_config *new = kcalloc(MAX_ROUTES, sizeof(*new));
	unsigned n = 0;

	if (!new)
		return; /* at the next renewal */
	for (unsigned i = 0; i < l->num_routes; i++)
		add_route(c, new, &n, l->routes[i].dst, l->routes[i].plen,
		    l->routes[i].gateway);
	if (!l->num_routes && l->num_routers)
		add_route(c, new, &n, be32_of(0), 0, l->routers[0]);
	for (unsigned i = 0; i < c->num_routes; i++)
		if (!is_among(&c->routes[i], new, n))
			(void)route_del(
			    &c->routes[i]); /* the user may have been quicker */
	memcpy(c->routes, new, n * sizeof(*new));
	c->num_routes = n;
	kfree(new);
}

static void
put_names(struct dhcp4_client *c)
{
	const struct dhcp4_reply *l = &c->machine.lease;
	struct resolv_info info = {.count = 0};

	for (unsigned i = 0; i < l->num_dns; i++)
		info.servers[info.count++] = ip_from_v4(l->dns[i]);
	strlcpy(info.search, l->search[0] ? l->search : l->domain, sizeof(info.search));
	for (unsigned i = 0; i < l->num_ntp; i++)
		info.ntp[info.num_ntp++] = ip_from_v4(l->ntp[i]);
	resolv_set(c->dev->index, RESOLV_DHCP4, &info);
	if (l->host[0] && !strcmp(kernel_utsname.nodename, "(none)"))
		strlcpy(
		    kernel_utsname.nodename, l->host, sizeof(kernel_utsname.nodename));
}

static void
say_lease(struct dhcp4_client *c)
{
	const struct dhcp4_reply *l = &c->machine.lease;
	char addr[IP_TEXT], server[IP_TEXT], router[IP_TEXT] = "none",
	                                     dns[IP_TEXT] = "none";
	struct ip_addr a = leased(l), s = ip_from_v4(l->server),
	               r = ip_from_v4(l->routers[0]), d = ip_from_v4(l->dns[0]);

	if (l->num_routers)
		(void)ip_format(router, &r);
	if (l->num_dns)
		(void)ip_format(dns, &d);
	log_info("%s: %s/%u from %s for %u s, router %s, DNS %s", c->dev->name,
	    ip_format(addr, &a), l->plen, ip_format(server, &s), l->lease_s, router, dns);
}

static void
configure(struct dhcp4_client *c, nsec_t now)
{
	const struct dhcp4_machine *m = &c->machine;
	nsec_t valid = m->expires_ns == UINT64_MAX ? IFA_FOREVER : m->expires_ns - now;

	if (put_address(c, &m->lease, valid, 0) != OK)
		log_warn("%s: no memory for the address", c->dev->name);
	if (m->lease.mtu >= MIN_MTU && m->lease.mtu <= c->dev->max_mtu &&
	    m->lease.mtu != c->dev->mtu && netdev_set_mtu(c->dev, m->lease.mtu) != OK)
		log_warn("%s: cannot take MTU %u", c->dev->name, m->lease.mtu);
	put_routes(c);
	put_names(c);
	linklocal4_stop(c->dev);
	if (!c->is_said)
		say_lease(c);
	c->is_said = true;
}

static void
unconfigure(struct dhcp4_client *c)
{
	for (unsigned i = 0; i < c->num_routes; i++)
		(void)route_del(&c->routes[i]); /* gone with the interface, perhaps */
	c->num_routes = 0;
	ifaddr_del_all(c->dev, AF_INET, IFA_DHCP);
	resolv_set(c->dev->index, RESOLV_DHCP4, NULL);
	c->is_said = false;
}

/* ---- Running the machine ----------------------------------------------------------------- */

static bool
expects_answer(const struct dhcp4_machine *m)
{
	return m->state == DHCP4_SELECTING || m->state == DHCP4_REQUESTING ||
	       m->state == DHCP4_REBOOTING || m->state == DHCP4_RENEWING ||
	       m->state == DHCP4_REBINDING;
}

static void
listen(struct dhcp4_client *c, bool is_on)
{
	__atomic_store_n(&c->xid, c->machine.xid, __ATOMIC_RELAXED);
	if (is_on == c->is_listening)
		return;
	__atomic_store_n(&c->is_listening, is_on, __ATOMIC_RELEASE);
	__atomic_add_fetch(&dhcp4_num_listening, is_on ? 1 : -1, __ATOMIC_RELAXED);
}

static void
perform(struct dhcp4_client *c, struct dhcp4_actions *a, nsec_t now)
{
	struct dhcp4_machine *m = &c->machine;

	listen(c, expects_answer(m));
	/* A release leaves by the address that it gives back. */
	if (a->send && a->is_unicast)
		send_message(c, a);
	if (a->unconfigure)
		unconfigure(c);
	if (a->check && put_address(c, &m->offer, NSEC_PER_SEC * 60, IFA_TENTATIVE) != OK)
		log_warn("%s: no memory for the address", c->dev->name);
	if (a->configure)
		configure(c, now);
	if (a->send && !a->is_unicast)
		send_message(c, a);
	if (a->nobody_answers) {
		log_info("%s: nobody answers", c->dev->name);
		linklocal4_start(c->dev);
	}
	if (m->due_ns == UINT64_MAX)
		(void)net_timer_cancel(&c->timer); /* if it runs, it finds nothing due */
	else
		net_timer_arm(&c->timer, m->due_ns);
}

/* What has happened since the last time. [rtnl] */
static void
run(struct dhcp4_client *c)
{
	struct dhcp4_actions a;
	struct dhcp4_reply r;
	bool has_mail;
	unsigned checked = __atomic_exchange_n(&c->checked, NOT_YET, __ATOMIC_RELAXED);

	if (checked != NOT_YET) {
		dhcp4_checked(&c->machine, checked == CONFLICT, clock_now_ns(), &a);
		perform(c, &a, clock_now_ns());
	}
	spin_lock(&c->lock);
	has_mail = c->has_mail;
	if (has_mail)
		r = c->mail;
	c->has_mail = false;
	spin_unlock(&c->lock);
	if (has_mail) {
		dhcp4_received(&c->machine, &r, clock_now_ns(), &a);
		perform(c, &a, clock_now_ns());
	}
	if (c->machine.due_ns <= clock_now_ns()) {
		dhcp4_timer(&c->machine, clock_now_ns(), &a);
		perform(c, &a, clock_now_ns());
	}
}

static void
on_work(struct net_work *w)
{
	struct dhcp4_client *c = container_of(w, struct dhcp4_client, work);

	mutex_lock(&rtnl_mutex);
	run(c);
	mutex_unlock(&rtnl_mutex);
}

static void
on_timer(struct net_timer *t)
{
	net_config_queue(&container_of(t, struct dhcp4_client, timer)->work);
}

/* ---- Receiving --------------------------------------------------------------------------- */

static void
take_mail(struct dhcp4_client *c, const struct dhcp4_reply *r)
{
	spin_lock(&c->lock);
	/* The first offer that came is as good as a later one. */
	if (!c->has_mail || r->type != DHCP4_OFFER) {
		c->mail = *r;
		c->has_mail = true;
	}
	spin_unlock(&c->lock);
	net_config_queue(&c->work);
}

bool
dhcp4_input(struct pkt *p)
{
	struct dhcp4_client *c = client_of(p->dev);
	const be16 *udp = pkt_need(p, UDP_HEADER);
	struct dhcp4_reply r;
	size_t len;

	if (!c || !udp || be16_get(udp[1]) != DHCP4_CLIENT_PORT ||
	    be16_get(udp[0]) != DHCP4_SERVER_PORT ||
	    !__atomic_load_n(&c->is_listening, __ATOMIC_ACQUIRE))
		return false;
	len = be16_get(udp[2]);
	if (len < UDP_HEADER || len > pkt_len(p) || !(udp = pkt_need(p, len)) ||
	    (be16_get(udp[3]) && !ip_csum_ok(p)))
		return false; /* UDP counts what is wrong with it */
	if (!dhcp4_parse(
	        (const uint8_t *)udp + UDP_HEADER, len - UDP_HEADER, p->dev->mac, &r) ||
	    r.xid != __atomic_load_n(&c->xid, __ATOMIC_RELAXED))
		return false;
	take_mail(c, &r);
	pkt_free(p);
	return true;
}

/* ---- Interfaces -------------------------------------------------------------------------- */

static void
on_address(struct ifaddr *ifa, bool is_added)
{
	struct dhcp4_client *c = client_of(ifa->dev);
	bool is_conflict = !is_added && ifa->flags & IFA_DADFAILED;

	if (!c || ifa->origin != IFA_DHCP || !ip_is_v4(&ifa->addr))
		return;
	if (!is_conflict && !(is_added && c->machine.state == DHCP4_CHECKING))
		return;
	__atomic_store_n(&c->checked, is_conflict ? CONFLICT : UNIQUE, __ATOMIC_RELAXED);
	net_config_queue(&c->work);
}

static void
start(struct dhcp4_client *c)
{
	struct dhcp4_actions a;

	if (c->machine.state != DHCP4_STOPPED || !(c->dev->flags & NETDEV_RUNNING))
		return;
	dhcp4_start(&c->machine, clock_now_ns(), &a);
	perform(c, &a, clock_now_ns());
}

static void
stop(struct dhcp4_client *c)
{
	struct dhcp4_actions a;

	dhcp4_stop(&c->machine, clock_now_ns(), &a);
	perform(c, &a, clock_now_ns());
	linklocal4_stop(c->dev);
}

static void
pause(struct dhcp4_client *c)
{
	struct dhcp4_actions none = {.send = false};

	dhcp4_pause(&c->machine, clock_now_ns());
	perform(c, &none, clock_now_ns());
}

static void
on_netdev(struct netdev *dev, enum netdev_event ev)
{
	struct dhcp4_client *c = client_of(dev);

	if (!c)
		return;
	switch (ev) {
	case NETDEV_EV_UP: start(c); break;
	case NETDEV_EV_LINK:
		if (dev->flags & NETDEV_RUNNING)
			start(c);
		else
			pause(c);
		break;
	case NETDEV_EV_GOING_DOWN: stop(c); break;
	case NETDEV_EV_UNREGISTER: dhcp4_detach(dev); break;
	default: break;
	}
}

void
dhcp4_attach(struct netdev *dev)
{
	struct dhcp4_client *c;

	if (client_of(dev))
		return;
	c = kzalloc(sizeof(*c));
	if (!c) {
		log_err("%s: no memory", dev->name);
		return;
	}
	c->dev = dev;
	c->machine.due_ns = UINT64_MAX;
	c->work.fn = on_work;
	spin_init(&c->lock, "dhcp4", RANK_NET_TABLE);
	net_timer_init(&c->timer, on_timer);
	__atomic_store_n(
	    &dev->proto[NETDEV_DHCP4], (struct netdev_proto *)c, __ATOMIC_RELEASE);
	start(c);
}

/* A queued work may still run: freed by the configuration thread itself, after it. */
static void
free_client(struct net_work *w)
{
	kfree(container_of(w, struct dhcp4_client, work));
}

void
dhcp4_detach(struct netdev *dev)
{
	struct dhcp4_client *c = client_of(dev);

	if (!c)
		return;
	stop(c);
	__atomic_store_n(&dev->proto[NETDEV_DHCP4], NULL, __ATOMIC_RELEASE);
	net_timer_cancel_sync(&c->timer);
	rcu_synchronize();
	c->work.fn = free_client;
	net_config_queue(&c->work);
}

void
dhcp4_init(void)
{
	static struct ifaddr_notifier addresses = {.event = on_address};
	static struct netdev_notifier interfaces = {.event = on_netdev};

	ifaddr_notify_add(&addresses);
	netdev_notify_add(&interfaces);
}
