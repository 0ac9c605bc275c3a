/*
 * IPv6 input (RFC 8200): from the link to the transport, and the state of each interface.
 *
 * A packet is checked (RFC 8200 3, addresses that cannot be), then sorted by destination: ours,
 * a group we listen to, or somebody else's (net/ip6_fwd.c). Hop-by-hop options are looked at
 * first in any case. Ours goes through its extension headers in one loop; a fragment goes to
 * net/ip6_frag.c and, when the packet is whole, through the loop again. Most packets have no
 * extension header and skip all that.
 */
#include "net/ip6.h"

#include "kernel/log.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/dhcp6.h"
#include "net/ether.h"
#include "net/ifaddr.h"
#include "net/ip6_ext.h"
#include "net/ip_mc.h"
#include "net/raw.h"

/* Linux's defaults, but for addresses that do not tell the MAC (RFC 8064). */
struct ip6_conf ip6_conf_default = {
    .accept_ra = true,
    .autoconf = true,
    .accept_redirects = true,
    .dad_transmits = 1,
};

static const struct ip_proto *const protos[256] = {
    [IP_PROTO_TCP] = &tcp_proto,
    [IP_PROTO_UDP] = &udp_proto,
    [IP_PROTO_ICMP6] = &icmp6_proto,
};

/* ---- Interfaces ------------------------------------------------------------------------ */

static void
add_dev(struct netdev *dev)
{
	struct ip6_dev *d;

	if (ip6_dev_of(dev))
		return;
	d = kzalloc(sizeof(*d));
	if (!d) {
		log_err("%s: no memory for IPv6\n", dev->name);
		return;
	}
	d->dev = dev;
	d->conf = ip6_conf_default;
	d->hop_limit = IP6_DEFAULT_HOPS;
	d->base_reachable_ms = 30000; /* RFC 4861 10 */
	d->retrans_ns = NSEC_PER_SEC;
	list_init(&d->routers);
	list_init(&d->prefixes);
	rcu_assign(dev->proto[NETDEV_IP6], (struct netdev_proto *)d);
}

static void
free_dev(struct rcu_head *head)
{
	kfree(container_of(head, struct ip6_dev, rcu));
}

static void
remove_dev(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);

	if (!d)
		return;
	rcu_assign(dev->proto[NETDEV_IP6], (struct netdev_proto *)NULL);
	rcu_call(&d->rcu, free_dev);
}

static void
on_register(struct netdev *dev, enum netdev_event event)
{
	if (event == NETDEV_EV_REGISTER)
		add_dev(dev);
}

static void
on_unregister(struct netdev *dev, enum netdev_event event)
{
	if (event == NETDEV_EV_UNREGISTER)
		remove_dev(dev);
}

/* State is made before, and freed after, all that is kept in it: first and last to be told. */
void
ip6_init(void)
{
	static struct netdev_notifier first = {.event = on_register};
	static struct netdev_notifier last = {.event = on_unregister};

	netdev_notify_add(&first);
	ip6_out_init();
	ip6_frag_init();
	mld_init();
	slaac_init();
	nd_init();
	dhcp6_init();
	netdev_notify_add(&last);
}

/* ---- Upwards --------------------------------------------------------------------------- */

static void
tell_problem(struct pkt *p, const struct ip6_ext *e)
{
	bool is_group = ip_is_multicast(&p->ip.dst);

	mib_inc(MIB_Ip6_InHdrErrors);
	/* RFC 4443 2.4 e.3: to groups only if the option's type asks for it. */
	if (!is_group || e->is_even_if_multicast)
		icmp6_send_error(p, ICMP6_PARAM_PROBLEM, e->code, e->pointer);
	pkt_drop(p, DROP_IP_OPTIONS);
}

/* Ends a packet whose headers were not in order. */
static void
refuse(struct pkt *p, const struct ip6_ext *e, enum ip6_ext_verdict v)
{
	if (v == IP6_EXT_PROBLEM) {
		tell_problem(p, e);
		return;
	}
	mib_inc(MIB_Ip6_InHdrErrors);
	pkt_drop(p, v == IP6_EXT_CUT_OFF ? DROP_IP_SHORT : DROP_IP_OPTIONS);
}

static bool
is_extension(uint8_t next)
{
	return next == IP_PROTO_HOPOPTS || next == IP_PROTO_ROUTING ||
	       next == IP_PROTO_DSTOPTS || next == IP_PROTO_FRAGMENT;
}

/* Makes the headers that may be walked linear and says where to begin. The header is linear. */
static bool
begin_walk(struct pkt *p, struct ip6_ext *e)
{
	const struct ip6_header *h = (const struct ip6_header *)p->data;
	size_t len = IP6_HEADER;

	if (unlikely(is_extension(h->next)))
		len = MIN(pkt_len(p), (size_t)IP6_HEADER + IP6_EXT_MAX_LEN + 64);
	h = pkt_need(p, len);
	if (!h)
		return false;
	*e = (struct ip6_ext){
	    .len = (uint16_t)len,
	    .off = IP6_HEADER,
	    .next = h->next,
	    .next_pos = offsetof(struct ip6_header, next),
	};
	return true;
}

/*
 * Does a member want it from this source (RFC 3810 4.2)? Messages of MLD are no listener's (Linux
 * lets them in, too): a query about a group may come from a source nobody asks for.
 */
static bool
is_let_in(const struct pkt *p)
{
	bool is_mld =
	    p->ip.proto == IP_PROTO_ICMP6 && pkt_linear(p) &&
	    (p->data[0] == ICMP6_MLD2_REPORT ||
	        (p->data[0] >= ICMP6_MLD_QUERY && p->data[0] <= ICMP6_MLD_DONE));

	return is_mld || ip_mc_allows(p->dev, &p->ip.dst, &p->ip.src);
}

/* Hands the packet to its transport; data still at the IPv6 header. */
static void
to_transport(struct pkt *p, const struct ip6_ext *e)
{
	const struct ip_proto *proto = protos[e->next];
	bool is_wanted;

	p->l4_off = (uint16_t)(p->l3_off + e->off);
	p->ip.proto = e->next;
	p->ip.opt_off = e->off > IP6_HEADER ? (uint16_t)(p->l3_off + IP6_HEADER) : 0;
	if (!pkt_pull(p, e->off)) {
		pkt_drop(p, DROP_IP_SHORT);
		return;
	}
	p->ip.payload_len = (uint16_t)pkt_len(p);
	if (ip_is_multicast(&p->ip.dst) && !is_let_in(p)) {
		pkt_drop(p, DROP_IP_NOT_OURS);
		return;
	}
	mib_inc(MIB_Ip6_InDelivers);
	is_wanted = raw6_input(p);
	if (unlikely(__atomic_load_n(&dhcp6_num_clients, __ATOMIC_RELAXED)) &&
	    e->next == IP_PROTO_UDP && dhcp6_input(p))
		return;
	if (proto && proto->input(p))
		return;
	if (e->next == IP_PROTO_NONE || is_wanted) {
		pkt_free(p);
	} else if (proto) {
		icmp6_send_error(p, ICMP6_UNREACHABLE, ICMP6_PORT_UNREACHABLE, 0);
		pkt_drop(p, DROP_IP_NO_PROTOCOL);
	} else {
		mib_inc(MIB_Ip6_InUnknownProtos);
		icmp6_send_error(p, ICMP6_PARAM_PROBLEM, 1, e->next_pos);
		pkt_drop(p, DROP_IP_NO_PROTOCOL);
	}
}

/* RFC 6946: a fragment that is the whole packet never meets others. */
static bool
skip_atomic(const struct pkt *p, struct ip6_ext *e)
{
	const uint8_t *f = p->data + e->off;

	if (f[2] || f[3] & 0xf9)
		return false;
	e->next = f[0];
	e->next_pos = e->off;
	e->off += 8;
	e->num_bytes += 8;
	return true;
}

/* For us: all headers up to the transport. `e` stands behind the hop-by-hop options. */
static void
deliver(struct pkt *p, struct ip6_ext *e)
{
	for (;;) {
		enum ip6_ext_verdict v = ip6_ext_walk(p->data, e);

		if (v == IP6_EXT_OK && e->next == IP_PROTO_FRAGMENT &&
		    e->off + 8u > e->len)
			v = IP6_EXT_CUT_OFF;
		if (v != IP6_EXT_OK) {
			refuse(p, e, v);
			return;
		}
		if (e->next != IP_PROTO_FRAGMENT)
			break;
		if (skip_atomic(p, e))
			continue;
		p = ip6_frag_input(p, e->off, e->next_pos);
		if (!p)
			return;
		if (!begin_walk(p, e)) {
			pkt_drop(p, DROP_NO_MEMORY);
			return;
		}
		if (e->next == IP_PROTO_HOPOPTS) /* seen with each fragment */
			(void)ip6_ext_hop_by_hop(p->data, e);
	}
	to_transport(p, e);
}

/* ---- Input ----------------------------------------------------------------------------- */

/* Addresses that cannot be in a packet that came to us this way (RFC 4291 2.5, 2.7). */
static bool
is_martian(const struct pkt *p)
{
	const struct ip_addr *src = &p->ip.src, *dst = &p->ip.dst;

	if (ip_is_multicast(src) || ip_is_v4(src) || ip_is_v4(dst) ||
	    ip_is_unspecified(dst))
		return true;
	if (ip_is_multicast(dst) && (dst->b[1] & 0xf) == 0)
		return true;
	if (p->flags & PKT_LOOPBACK)
		return false;
	return ip_is_loopback(src) || ip_is_loopback(dst) ||
	       (ip_is_multicast(dst) && (dst->b[1] & 0xf) == 1);
}

/* RFC 8200 3. Fills in p->ip; false: dropped. */
static bool
check_header(struct pkt *p)
{
	const struct ip6_header *h = pkt_need(p, sizeof(*h));
	uint32_t word, len;

	if (!h) {
		pkt_drop(p, DROP_IP_SHORT);
		return false;
	}
	word = be32_get(h->ver_tc_flow);
	if (word >> 28 != 6) {
		pkt_drop(p, DROP_IP_VERSION);
		return false;
	}
	len = be16_get(h->payload_len);
	if (!len && p->gso_size) /* coalesced beyond what the field can tell */
		len = (uint32_t)pkt_len(p) - IP6_HEADER;
	if (IP6_HEADER + len > pkt_len(p)) {
		mib_inc(MIB_Ip6_InTruncatedPkts);
		pkt_drop(p, DROP_IP_SHORT);
		return false;
	}
	pkt_trim(p, IP6_HEADER + len);
	p->l3_off = (uint16_t)(p->data - p->head);
	p->ip = (struct pkt_ip){
	    .ttl = h->hop_limit,
	    .tos = (uint8_t)(word >> 20),
	    .flow_label = word & 0xfffff,
	    .proto = h->next,
	};
	memcpy(p->ip.src.b, h->src, 16);
	memcpy(p->ip.dst.b, h->dst, 16);
	return true;
}

enum fate { FATE_OURS, FATE_FORWARD, FATE_DROP };

static enum fate
fate_of(const struct pkt *p)
{
	const struct ip_addr *dst = &p->ip.dst;
	bool is_here_only = ip_is_link_local(dst) && !(p->flags & PKT_LOOPBACK);
	const struct ifaddr *ifa;

	if (ip_is_multicast(dst))
		return ip_mc_allows(p->dev, dst, NULL) ? FATE_OURS : FATE_DROP;
	ifa = ifaddr_find(is_here_only ? p->dev : NULL, dst);
	if (ifa) /* RFC 4862 5.4: nothing comes to a tentative address */
		return ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED) &&
		               !(ifa->flags & IFA_OPTIMISTIC)
		           ? FATE_DROP
		           : FATE_OURS;
	if (is_here_only || !p->dev->is_forwarding6)
		return FATE_DROP;
	return FATE_FORWARD;
}

static void
sort(struct pkt *p)
{
	enum fate fate = fate_of(p);
	struct ip6_ext e;
	enum ip6_ext_verdict v = IP6_EXT_OK;

	if (fate == FATE_DROP) {
		mib_inc(MIB_Ip6_InAddrErrors);
		pkt_drop(p, DROP_IP_NOT_OURS);
		return;
	}
	if (!begin_walk(p, &e)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	if (e.next == IP_PROTO_HOPOPTS)
		v = ip6_ext_hop_by_hop(p->data, &e);
	if (v != IP6_EXT_OK)
		refuse(p, &e, v);
	else if (fate == FATE_OURS)
		deliver(p, &e);
	else
		ip6_forward(p);
}

/* RFC 4293's octets, and what routers marked (RFC 3168: the two low bits of the traffic class). */
static void
count(const struct pkt *p)
{
	mib_add(MIB_Ip6_InOctets, pkt_len(p));
	mib_inc((enum mib)(MIB_Ip6_InNoECTPkts + (p->ip.tos & 3)));
	if (unlikely(ip_is_multicast(&p->ip.dst))) {
		mib_inc(MIB_Ip6_InMcastPkts);
		mib_add(MIB_Ip6_InMcastOctets, pkt_len(p));
	}
}

static void
ip6_input(struct pkt *p)
{
	struct ip6_dev *d = ip6_dev_of(p->dev);

	mib_inc(MIB_Ip6_InReceives);
	if (p->flags & PKT_OTHERHOST) {
		pkt_drop(p, DROP_LINK_OTHER_HOST);
		return;
	}
	if (!d || d->conf.is_disabled) {
		pkt_drop(p, DROP_DEV_DOWN);
		return;
	}
	if (!check_header(p)) {
		mib_inc(MIB_Ip6_InHdrErrors);
		return;
	}
	if (is_martian(p)) {
		mib_inc(MIB_Ip6_InAddrErrors);
		pkt_drop(p, DROP_IP_MARTIAN);
		return;
	}
	count(p);
	sort(p);
}

const struct ether_proto ip6_ether_proto = {.name = "ip6", .input = ip6_input};
