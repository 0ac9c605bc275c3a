/*
 * IPv6 forwarding (RFC 8200 3, RFC 4443, RFC 4861 8.2), for interfaces with the switch on.
 * Link-local and node-local addresses stay on their link (RFC 4007 9).
 */
#include "lib/string.h"
#include "net/ether.h"
#include "net/ip6.h"
#include "net/neigh.h"

static void
refuse(struct pkt *p, unsigned type, unsigned code, uint32_t info, enum drop_reason why)
{
	icmp6_send_error(p, type, code, info);
	pkt_drop(p, why);
}

static void
no_route(struct pkt *p, enum err err)
{
	mib_inc(MIB_Ip6_InNoRoutes);
	switch (err) {
	case ERR_NETUNREACH:
		refuse(p, ICMP6_UNREACHABLE, ICMP6_NO_ROUTE, 0, DROP_IP_NO_ROUTE);
		break;
	case ERR_HOSTUNREACH:
		refuse(p, ICMP6_UNREACHABLE, ICMP6_ADDR_UNREACHABLE, 0, DROP_IP_NO_ROUTE);
		break;
	case ERR_ACCES:
		refuse(p, ICMP6_UNREACHABLE, ICMP6_PROHIBITED, 0, DROP_IP_NO_ROUTE);
		break;
	case ERR_NOENT: pkt_drop(p, DROP_IP_NOT_OURS); break;
	default: pkt_drop(p, DROP_IP_MARTIAN);
	}
}

/* The sender is on the link where its packet goes on: RFC 4861 8.2. */
static void
tell_better_way(struct pkt *p, const struct dst *dst)
{
	struct neigh *sender;

	if (dst->dev != p->dev ||
	    (!ip_is_link_local(&dst->next_hop) && !ip_equal(&dst->next_hop, &dst->addr)))
		return;
	sender = neigh_find(p->dev, &p->ip.src);
	if (!sender)
		return;
	neigh_put(sender);
	nd_send_redirect(p, &dst->next_hop);
}

static void
pass_on(struct pkt *p, struct dst *dst)
{
	struct ip6_header *h;
	uint32_t mtu =
	    MAX(MIN(dst_mtu(dst), ip6_dev_mtu(dst->dev)), (uint32_t)IP6_MIN_MTU);

	if (pkt_len(p) > mtu && !(p->gso_size && p->gso_size + 80u <= mtu)) {
		mib_inc(MIB_Ip6_InTooBigErrors);
		refuse(p, ICMP6_TOO_BIG, 0, mtu, DROP_IP_TOO_BIG);
		return;
	}
	if (!dst->neigh) {
		pkt_drop(p, DROP_IP_NO_ROUTE);
		return;
	}
	tell_better_way(p, dst);
	if (!pkt_writable(p, sizeof(struct ether_header))) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	h = (struct ip6_header *)p->data;
	h->hop_limit--;
	p->flags |= PKT_FORWARDED;
	mib_inc(MIB_Ip6_OutForwDatagrams);
	(void)neigh_send(dst->neigh, p); /* its sender is not here */
}

void
ip6_forward(struct pkt *p)
{
	const struct ip_addr *src = &p->ip.src;
	struct dst *dst;
	enum err err;

	/* Only what the link layer sent to us alone is to be passed on. */
	if (p->flags & (PKT_BROADCAST | PKT_MULTICAST) || ip_is_unspecified(src) ||
	    ip_is_loopback(src)) {
		pkt_drop(p, DROP_IP_MARTIAN);
		return;
	}
	if (p->ip.ttl <= 1) {
		mib_inc(MIB_Ip6_InHdrErrors);
		refuse(p, ICMP6_TIME_EXCEEDED, 0, 0, DROP_IP_TTL);
		return;
	}
	err = route_input(p, &dst);
	if (err != OK) {
		no_route(p, err);
		return;
	}
	if (dst->type != ROUTE_UNICAST)
		pkt_drop(p, DROP_IP_NOT_OURS);
	else if (ip_is_link_local(src) && dst->dev != p->dev)
		refuse(p, ICMP6_UNREACHABLE, ICMP6_BEYOND_SCOPE, 0, DROP_IP_MARTIAN);
	else
		pass_on(p, dst);
	dst_put(dst);
}
