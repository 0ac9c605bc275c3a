/* See ip6_env.h. */
#include "tests/fakes/ip6_env.h"

#include <stdlib.h>

#include "kernel/cmdline.h"
#include "kernel/panic.h"
#include "kernel/sync/rculist.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip_mc_priv.h"
#include "net/nd.h"
#include "net/neigh.h"
#include "net/ping.h"
#include "net/raw.h"
#include "tests/fakes/fakes.h"

struct netdev *ip6_env_dev;
struct ip_addr ip6_env_ll, ip6_env_global;
struct ip6_env_notes ip6_notes;
uint32_t route_generation;

static struct list addrs = LIST_INIT(addrs), no_addrs = LIST_INIT(no_addrs);
static struct list notifiers = LIST_INIT(notifiers);

struct ip_addr
ip6_of(const char *text)
{
	struct ip_addr a;

	ASSERT(ip_parse(text, &a));
	return a;
}

/* ---- Addresses ------------------------------------------------------------------------- */

struct list *
ifaddr_list(const struct netdev *dev, int family)
{
	return dev == ip6_env_dev && family == AF_INET6 ? &addrs : &no_addrs;
}

struct ifaddr *
ifaddr_find(const struct netdev *dev, const struct ip_addr *a)
{
	struct ifaddr *ifa;

	list_for_each(ifa, &addrs, dev_link)
		if (ip_equal(&ifa->addr, a))
			return ifa;
	return NULL;
}

bool
ifaddr_is_local(const struct ip_addr *a)
{
	const struct ifaddr *ifa = ifaddr_find(NULL, a);

	return ip_is_loopback(a) ||
	       (ifa && !(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED)));
}

static void
notify(struct ifaddr *ifa, bool is_added)
{
	struct ifaddr_notifier *n;

	list_for_each(n, &notifiers, link)
		n->event(ifa, is_added);
}

void
ifaddr_notify_add(struct ifaddr_notifier *n)
{
	list_push_back(&notifiers, &n->link);
}

void
ifaddr_dad_done(struct ifaddr *ifa, bool is_duplicate)
{
	net_timer_cancel(&ifa->timer);
	if (is_duplicate) {
		ifa->flags |= IFA_DADFAILED;
		notify(ifa, false);
	} else {
		ifa->flags &= ~(uint32_t)IFA_TENTATIVE;
		notify(ifa, true);
	}
}

static nsec_t
until(nsec_t from_now)
{
	return from_now == IFA_FOREVER ? IFA_FOREVER : fake_now_ns + from_now;
}

enum err
ifaddr_add(struct netdev *dev, const struct ifaddr_config *c, bool is_exclusive)
{
	struct ifaddr *ifa = ifaddr_find(dev, &c->addr);
	bool is_new = !ifa;

	if (is_new) {
		ifa = calloc(1, sizeof(*ifa));
		*ifa = (struct ifaddr){.dev = dev,
		    .addr = c->addr,
		    .plen = c->plen,
		    .origin = c->origin,
		    .flags = c->flags,
		    .created_ns = fake_now_ns};
		list_push_back(&addrs, &ifa->dev_link);
	}
	ifa->valid_until_ns = until(c->valid_ns);
	ifa->preferred_until_ns = until(c->preferred_ns);
	if (is_new && !(c->flags & IFA_NODAD)) {
		ifa->flags |= IFA_TENTATIVE;
		ifaddr_dad_start(ifa);
	} else if (!(ifa->flags & IFA_TENTATIVE)) {
		notify(ifa, true);
	}
	return OK;
}

static void
drop_addr(struct ifaddr *ifa)
{
	if (ifa->timer.fn)
		net_timer_cancel(&ifa->timer);
	list_remove(&ifa->dev_link);
	notify(ifa, false);
	free(ifa);
}

enum err
ifaddr_del(struct netdev *dev, const struct ip_addr *a, unsigned plen)
{
	struct ifaddr *ifa = ifaddr_find(dev, a);

	if (!ifa)
		return ERR_ADDRNOTAVAIL;
	drop_addr(ifa);
	return OK;
}

void
ip6_env_drop_addrs(void)
{
	while (!list_is_empty(&addrs))
		drop_addr(list_entry(addrs.next, struct ifaddr, dev_link));
}

struct ifaddr *
ip6_env_add_addr(const char *text, uint32_t flags)
{
	struct ifaddr_config c = {.addr = ip6_of(text),
	    .plen = 64,
	    .flags = flags,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};

	mutex_lock(&rtnl_mutex);
	ASSERT(ifaddr_add(ip6_env_dev, &c, false) == OK);
	mutex_unlock(&rtnl_mutex);
	return ifaddr_find(NULL, &c.addr);
}

/* ---- Routes: everything is on the link -------------------------------------------------- */

static struct dst the_dst;

enum err
route_output(struct flow *f, struct dst **out)
{
	if (ip_is_unspecified(&f->src))
		f->src = ip_is_link_local(&f->dst) ? ip6_env_ll : ip6_env_global;
	if (the_dst.neigh)
		neigh_put(the_dst.neigh);
	the_dst = (struct dst){.dev = ip6_env_dev,
	    .addr = f->dst,
	    .next_hop = f->dst,
	    .type = ROUTE_UNICAST,
	    .mtu = ip6_env_dev->mtu};
	if (!ip_is_multicast(&f->dst))
		the_dst.neigh = neigh_get(ip6_env_dev, &f->dst);
	*out = &the_dst;
	return OK;
}

enum err
route_input(struct pkt *p, struct dst **out)
{
	struct flow f = {.dst = p->ip.dst, .src = p->ip.src};

	return ip6_notes.route_result != OK ? ip6_notes.route_result
	                                    : route_output(&f, out);
}

void
dst_put(struct dst *d)
{
	if (d->neigh)
		neigh_put(d->neigh);
	d->neigh = NULL;
}

uint32_t
dst_mtu(struct dst *d)
{
	return d->mtu;
}

void
dst_learn_mtu(const struct ip_addr *dst, unsigned oif, uint32_t mtu)
{
	ip6_notes.learnt_mtu = mtu;
}

void
dst_learn_redirect(const struct ip_addr *dst, const struct ip_addr *old,
    const struct ip_addr *new_gateway, struct netdev *dev)
{
	ip6_notes.redirect_to = *new_gateway;
}

enum err
route_add(const struct route_config *c, bool is_exclusive, bool is_replace)
{
	ip6_notes.route_adds++;
	ip6_notes.route = *c;
	return OK;
}

enum err
route_del(const struct route_config *c)
{
	ip6_notes.route_dels++;
	return OK;
}

/* ---- Above ----------------------------------------------------------------------------- */

static bool
udp_input(struct pkt *p)
{
	if (ip6_notes.udp_refuses)
		return false;
	ip6_notes.udp_packets++;
	ip6_notes.udp_len = pkt_len(p);
	ASSERT(pkt_read(p, 0, ip6_notes.udp_data, pkt_len(p)));
	pkt_free(p);
	return true;
}

static void
udp_error(const struct ip_error *e)
{
	ip6_notes.udp_errors++;
	ip6_notes.error = *e;
}

const struct ip_proto udp_proto = {.name = "udp", .input = udp_input, .error = udp_error};
const struct ip_proto tcp_proto = {.name = "tcp", .input = udp_input, .error = udp_error};

static struct mc_dev *
no_groups(const struct netdev *dev)
{
	return NULL;
}

const struct mc_family igmp_mc = {.dev_of = no_groups};

bool
raw6_input(struct pkt *p)
{
	ip6_notes.raw_packets++;
	return false;
}

void
raw6_error(const struct ip_error *e, uint8_t proto)
{
}

bool
ping_input(struct pkt *p)
{
	ip6_notes.ping_replies++;
	pkt_free(p);
	return true;
}

void
ping_error(const struct ip_error *e)
{
	udp_error(e);
}

void
resolv_ra_server(struct netdev *dev, const struct ip_addr *server, uint32_t lifetime_s)
{
	ip6_notes.dns = *server;
}

void
resolv_ra_search(
    struct netdev *dev, const uint8_t *names, size_t len, uint32_t lifetime_s)
{
}

void
resolv_ra_forget(struct netdev *dev)
{
}

const char *
cmdline_get(const char *name, unsigned nth)
{
	return NULL;
}

bool
ip_csum_ok(struct pkt *p)
{
	be32 tail[2] = {be32_of((uint32_t)pkt_len(p)), be32_of(p->ip.proto)};
	uint32_t sum = csum_add(pkt_csum(p, 0, pkt_len(p), 0), tail, sizeof(tail));

	return csum_finish(csum_add(csum_add(sum, &p->ip.src, 16), &p->ip.dst, 16)) == 0;
}

static void
no_solicit(struct neigh *n, const uint8_t *mac)
{
}

const struct neigh_ops arp_neigh_ops = {.solicit = no_solicit};

/* ---- The wire -------------------------------------------------------------------------- */

void
ip6_env_input(const void *bytes, size_t n)
{
	struct pkt *p = fake_pkt(ip6_env_dev, bytes, n);

	p->protocol = ETHERTYPE_IP6;
	rcu_read_lock();
	ip6_ether_proto.input(p);
	rcu_read_unlock();
}

void
net_input_later(struct pkt *p)
{
	pkt_free(p);
}

void
ip6_env_send(const char *src, const char *dst, uint8_t next, uint8_t hops,
    const void *payload, size_t n)
{
	struct ip_addr from = ip6_of(src), to = ip6_of(dst);
	struct ip6_header h = {.ver_tc_flow = be32_of(6u << 28),
	    .payload_len = be16_of((uint16_t)n),
	    .next = next,
	    .hop_limit = hops};
	uint8_t *bytes = malloc(sizeof(h) + n);

	memcpy(h.src, from.b, 16);
	memcpy(h.dst, to.b, 16);
	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), payload, n);
	if (next == IP_PROTO_ICMP6 && n >= 4) {
		be32 tail[2] = {be32_of((uint32_t)n), be32_of(next)};
		uint32_t sum = csum_add(csum_add(0, tail, sizeof(tail)), h.src, 32);
		be16 csum;

		memset(bytes + sizeof(h) + 2, 0, 2);
		csum = be16_of(csum_finish(csum_add(sum, bytes + sizeof(h), n)));
		memcpy(bytes + sizeof(h) + 2, &csum, 2);
	}
	ip6_env_input(bytes, sizeof(h) + n);
	free(bytes);
}

size_t
ip6_env_wire(uint8_t *buf, size_t size)
{
	struct ether_header eth;
	struct pkt *p = fake_wire_pop(&eth);
	size_t n = p ? pkt_len(p) : 0;

	ASSERT(n <= size);
	if (p)
		ASSERT(pkt_read(p, 0, buf, n));
	pkt_free(p);
	return n;
}

void
ip6_env_setup(void)
{
	if (!ip6_env_dev) {
		fake_now_ns = 100000 * NSEC_PER_SEC;
		ip6_env_dev = fake_netdev(1);
		neigh_init();
		ip6_init();
		fake_netdev_event(ip6_env_dev, NETDEV_EV_REGISTER);
		ip6_env_ll = ip6_of("fe80::1");
		ip6_env_global = ip6_of("2001:db8::1");
	}
	fake_net_timers_run(fake_now_ns + 120 * NSEC_PER_SEC); /* reassembly, rates */
	fake_net_work_run();
	ip6_env_drop_addrs();
	fake_netdev_event(ip6_env_dev, NETDEV_EV_DOWN);
	fake_net_timers_run(fake_now_ns + 120 * NSEC_PER_SEC);
	fake_rcu_run();
	ip6_env_dev->is_forwarding6 = false;
	ip6_dev_of(ip6_env_dev)->conf = ip6_conf_default;
	ip6_dev_of(ip6_env_dev)->conf.accept_ra = false; /* no solicitations between */
	ip6_env_add_addr("fe80::1", IFA_NODAD);
	ip6_env_add_addr("2001:db8::1", IFA_NODAD);
	fake_net_timers_run(fake_now_ns + 3 * NSEC_PER_SEC);
	fake_wire_clear();
	memset(&ip6_notes, 0, sizeof(ip6_notes));
}
