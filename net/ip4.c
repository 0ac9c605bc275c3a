/*
 * IPv4 input (RFC 791, RFC 1122 3.2.1): checks, options, the decision by route_input, reassembly, and
 * delivery to raw sockets and transports. Sending is in ip4_out.c, routing through in ip4_fwd.c.
 *
 *	ip4_input -> is_header_good -> take_options -> route_input -> ip4_forward
 *	                                                  |
 *	                            (ip4_reassemble) -> ip4_deliver -> raw4_input, proto->input
 */
#include "net/ip.h"

#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "mm/slab.h"
#include "net/dhcp4.h"
#include "net/ether.h"
#include "net/ip4.h"
#include "net/raw.h"

struct ip4_conf ip4_conf_default = {
    .accept_redirects = true, .send_redirects = true, .shared_media = true};
uint8_t ip4_default_ttl = IP4_TTL_DEFAULT;

static const struct ip_proto *const protos[256] = {
    [IP_PROTO_ICMP] = &icmp4_proto,
    [IP_PROTO_IGMP] = &igmp_proto,
    [IP_PROTO_TCP] = &tcp_proto,
    [IP_PROTO_UDP] = &udp_proto,
};

/* ---- Interfaces ------------------------------------------------------------------------ */

struct ip4_dev *
ip4_dev_of(const struct netdev *dev)
{
	return (struct ip4_dev *)__atomic_load_n(
	    &dev->proto[NETDEV_IP4], __ATOMIC_ACQUIRE);
}

unsigned
ip4_reverse_path_mode(const struct netdev *dev)
{
	const struct ip4_dev *d = ip4_dev_of(dev);

	return d ? d->conf.rp_filter : 0;
}

static void
on_netdev(struct netdev *dev, enum netdev_event ev)
{
	struct ip4_dev *d = ip4_dev_of(dev);

	if (ev == NETDEV_EV_REGISTER && !d) {
		d = kzalloc(sizeof(*d));
		if (!d)
			return;
		d->conf = ip4_conf_default;
		__atomic_store_n(
		    &dev->proto[NETDEV_IP4], (struct netdev_proto *)d, __ATOMIC_RELEASE);
		igmp_dev_add(dev);
	} else if (ev == NETDEV_EV_UNREGISTER && d) {
		igmp_dev_remove(dev);
		__atomic_store_n(&dev->proto[NETDEV_IP4], NULL, __ATOMIC_RELEASE);
		rcu_synchronize();
		kfree(d);
	} else if (ev == NETDEV_EV_UP || (ev == NETDEV_EV_LINK && dev->has_link)) {
		igmp_dev_up(dev);
	}
}

void
ip4_init(void)
{
	static struct netdev_notifier notifier = {.event = on_netdev};

	ip4_frag_init();
	ip4_out_init();
	icmp4_init();
	netdev_notify_add(&notifier);
	arp_init();
}

/* ---- Delivery -------------------------------------------------------------------------- */

const struct ip_proto *
ip4_proto_of(uint8_t number)
{
	return protos[number];
}

void
ip4_deliver(struct pkt *p)
{
	const struct ip_proto *proto = protos[p->ip.proto];
	bool is_raw = raw4_input(p);

	p->l4_off = (uint16_t)(p->data - p->head);
	mib_inc(MIB_Ip_InDelivers);
	if (unlikely(__atomic_load_n(&dhcp4_num_listening, __ATOMIC_RELAXED)) &&
	    p->ip.proto == IP_PROTO_UDP && dhcp4_input(p))
		return;
	if (likely(proto)) {
		if (proto->input(p))
			return;
		icmp4_send_error(p, ICMP4_UNREACH, ICMP4_PORT, 0);
		pkt_drop(p, DROP_UDP_NO_SOCKET);
		return;
	}
	if (is_raw) {
		pkt_free(p);
		return;
	}
	mib_inc(MIB_Ip_InUnknownProtos);
	icmp4_send_error(p, ICMP4_UNREACH, ICMP4_PROTOCOL, 0);
	pkt_drop(p, DROP_IP_NO_PROTOCOL);
}

/* ---- Input ----------------------------------------------------------------------------- */

static void
drop_bad_header(struct pkt *p, enum drop_reason why)
{
	mib_inc(MIB_Ip_InHdrErrors);
	pkt_drop(p, why);
}

/* Version, lengths, checksum; cuts off what the link padded. False: it is gone. */
static bool
is_header_good(struct pkt *p)
{
	const struct ip4_header *h = pkt_need(p, sizeof(*h));
	unsigned hdr_len, len;

	if (unlikely(!h)) {
		drop_bad_header(p, DROP_IP_SHORT);
		return false;
	}
	hdr_len = (h->ver_ihl & 0xfu) * 4;
	if (unlikely(h->ver_ihl >> 4 != 4)) {
		drop_bad_header(p, DROP_IP_VERSION);
		return false;
	}
	len = be16_get(h->len);
	if (unlikely(len >= hdr_len && len > pkt_len(p))) {
		mib_inc(MIB_IpExt_InTruncatedPkts);
		pkt_drop(p, DROP_IP_SHORT);
		return false;
	}
	if (unlikely(
	        hdr_len < sizeof(*h) || len < hdr_len || !(h = pkt_need(p, hdr_len)))) {
		drop_bad_header(p, DROP_IP_SHORT);
		return false;
	}
	if (unlikely(csum_finish(csum_add(0, h, hdr_len)))) {
		mib_inc(MIB_IpExt_InCsumErrors);
		drop_bad_header(p, DROP_IP_CSUM);
		return false;
	}
	pkt_trim(p, len);
	p->l3_off = (uint16_t)(p->data - p->head);
	p->ip = (struct pkt_ip){.src = ip_from_v4(h->src),
	    .dst = ip_from_v4(h->dst),
	    .proto = h->proto,
	    .ttl = h->ttl,
	    .tos = h->tos,
	    .hdr_len = (uint8_t)hdr_len,
	    .payload_len = (uint16_t)(len - hdr_len)};
	if (hdr_len > sizeof(*h))
		p->ip.opt_off = (uint16_t)(p->l3_off + sizeof(*h));
	return true;
}

/* Milliseconds since midnight UTC, as ICMP and option timestamps count (RFC 792). */
uint32_t
ip4_ms_today(void)
{
	return (uint32_t)((uint64_t)clock_wall_ns() / NSEC_PER_MSEC % 86400000);
}

/* The options are sound and none asks for what we refuse. False: it is gone. */
static bool
take_options(struct pkt *p)
{
	unsigned n = p->ip.hdr_len - sizeof(struct ip4_header), found;
	int bad = ip4_options_check(p->head + p->ip.opt_off, n, &found);

	if (bad >= 0) {
		icmp4_send_error(p, ICMP4_PARAM, 0,
		    (uint32_t)(bad + (int)sizeof(struct ip4_header)) << 24);
		drop_bad_header(p, DROP_IP_OPTIONS);
		return false;
	}
	if (found & IP4_OPT_SOURCE_ROUTE) { /* RFC 7126 4.3, 4.4 */
		icmp4_send_error(p, ICMP4_UNREACH, ICMP4_SOURCE_ROUTE, 0);
		pkt_drop(p, DROP_IP_OPTIONS);
		return false;
	}
	return true;
}

/* We are in its recorded route. False: no memory, it is gone. */
static bool
record_us(struct pkt *p)
{
	struct ip4_header *h;

	if (!pkt_writable(p, 0)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return false;
	}
	p->l3_off = (uint16_t)(p->data - p->head);
	p->ip.opt_off = (uint16_t)(p->l3_off + sizeof(*h));
	h = (struct ip4_header *)p->data;
	if (ip4_options_record(
	        (uint8_t *)(h + 1), p->ip.hdr_len - sizeof(*h), h->dst, ip4_ms_today()))
		ip4_set_csum(h, p->ip.hdr_len);
	return true;
}

/* For us. RFC 1122 3.3.6: a unicast that came by the link's broadcast is not to be believed. */
static void
take(struct pkt *p, const struct dst *d)
{
	const struct ip4_header *h = (const struct ip4_header *)p->data;

	if (d->type == ROUTE_LOCAL && p->flags & (PKT_BROADCAST | PKT_MULTICAST)) {
		pkt_drop(p, DROP_IP_MARTIAN);
		return;
	}
	if (unlikely(d->type == ROUTE_BROADCAST))
		p->flags |= PKT_BROADCAST; /* also what loopback brings back */
	if (be16_get(h->frag) & (IP4_MF | IP4_OFFSET)) {
		p = ip4_reassemble(p);
		if (!p)
			return;
	} else {
		if (unlikely(p->ip.opt_off) && d->type == ROUTE_LOCAL && !record_us(p))
			return;
		(void)pkt_pull(p, p->ip.hdr_len); /* is_header_good has seen it all */
	}
	ip4_deliver(p);
}

/* There is no way for it: the sender hears why, where that is right. */
static void
refuse(struct pkt *p, enum err why)
{
	enum drop_reason reason = DROP_IP_NO_ROUTE;

	switch (why) {
	case ERR_INVAL:
		mib_inc(MIB_Ip_InAddrErrors);
		pkt_drop(p, DROP_IP_MARTIAN);
		return;
	case ERR_NOENT:
		mib_inc(MIB_Ip_InAddrErrors);
		pkt_drop(p, DROP_IP_NOT_OURS);
		return;
	case ERR_NETUNREACH:
		mib_inc(MIB_IpExt_InNoRoutes);
		icmp4_send_error(p, ICMP4_UNREACH, ICMP4_NET, 0);
		break;
	case ERR_HOSTUNREACH: icmp4_send_error(p, ICMP4_UNREACH, ICMP4_HOST, 0); break;
	case ERR_ACCES: icmp4_send_error(p, ICMP4_UNREACH, ICMP4_ADMIN, 0); break;
	default: reason = DROP_NO_MEMORY;
	}
	mib_inc(MIB_Ip_InDiscards);
	pkt_drop(p, reason);
}

/* RFC 4293's octets, and what routers marked (RFC 3168: the two low bits of the TOS). */
static void
count(const struct pkt *p)
{
	mib_add(MIB_IpExt_InOctets, pkt_len(p));
	mib_inc((enum mib)(MIB_IpExt_InNoECTPkts + (p->ip.tos & 3)));
}

static void
count_group(const struct pkt *p, unsigned type)
{
	bool is_group = type == ROUTE_MULTICAST;

	mib_inc(is_group ? MIB_IpExt_InMcastPkts : MIB_IpExt_InBcastPkts);
	mib_add(is_group ? MIB_IpExt_InMcastOctets : MIB_IpExt_InBcastOctets, pkt_len(p));
}

static void
ip4_input(struct pkt *p)
{
	struct dst *d;
	enum err err;

	mib_inc(MIB_Ip_InReceives);
	if (!is_header_good(p))
		return;
	count(p);
	err = route_input(p, &d);
	if (unlikely(err != OK)) {
		refuse(p, err);
		return;
	}
	if (unlikely(p->ip.opt_off) && !take_options(p)) {
		dst_put(d);
		return;
	}
	if (unlikely(d->type == ROUTE_MULTICAST || d->type == ROUTE_BROADCAST))
		count_group(p, d->type);
	if (likely(d->type != ROUTE_UNICAST))
		take(p, d);
	else
		ip4_forward(p, d);
	dst_put(d);
}

const struct ether_proto ip4_ether_proto = {.name = "ip4", .input = ip4_input};
