/*
 * ICMPv6 (RFC 4443): echo, errors sent and received, and the way to neighbour discovery and MLD.
 *
 * An error that came is about a packet of ours, of which it holds the beginning: the transport
 * named there is told, after a look at whether such a packet could have been ours. "Too big" first
 * teaches the destination cache (RFC 8201).
 *
 * Errors we send obey RFC 4443 2.4: never about an error or a redirect, never to a group or to
 * nobody, and within the limits of net/icmp_limit.h.
 */
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/icmp_limit.h"
#include "net/ifaddr.h"
#include "net/ip6.h"
#include "net/ip6_ext.h"
#include "net/ping.h"
#include "net/raw.h"

/* ---- Sending --------------------------------------------------------------------------- */

void
icmp6_finish(struct pkt *p, const struct ip_addr *src, const struct ip_addr *dst)
{
	struct icmp6_header *h = (struct icmp6_header *)p->data;
	size_t len = pkt_len(p);
	be32 tail[2] = {be32_of((uint32_t)len), be32_of(IP_PROTO_ICMP6)};
	uint32_t sum;

	h->csum = be16_of(0);
	sum = csum_add(pkt_csum(p, 0, len, 0), tail, sizeof(tail));
	sum = csum_add(csum_add(sum, src, sizeof(*src)), dst, sizeof(*dst));
	h->csum = be16_of(csum_finish(sum));
	mib_icmp_sent(p, IP_PROTO_ICMP6);
}

void
icmp6_send_routed(struct pkt *p, struct flow *flow, int hops, uint8_t tos)
{
	struct ip_tx tx = {.proto = IP_PROTO_ICMP6, .ttl = (int16_t)hops, .tos = tos};
	struct dst *dst;

	if (route_output(flow, &dst) != OK) {
		mib_inc(MIB_Icmp6_OutErrors);
		pkt_drop(p, DROP_IP_NO_ROUTE);
		return;
	}
	tx.src = flow->src;
	tx.dst = flow->dst;
	icmp6_finish(p, &tx.src, &tx.dst);
	(void)ip6_send(p, dst, &tx); /* nobody waits for the result */
	dst_put(dst);
}

/* Link-local peers are on the link their packet came from. */
static unsigned
oif_for(const struct netdev *dev, const struct ip_addr *a)
{
	bool is_of_link = ip_is_link_local(a) || ip_is_link_multicast(a);

	return is_of_link && !(dev->flags & NETDEV_LOOPBACK) ? dev->index : 0;
}

/* Is what comes after `h` an ICMPv6 error or a redirect? What is cut off or in another fragment
 * cannot be known: RFC 8200 4.5 wants answers to such packets all the same. */
static bool
is_about_error(const struct ip6_header *h, size_t len)
{
	struct ip6_ext e = {.len = (uint16_t)MIN(len, 0xffffu),
	    .off = IP6_HEADER,
	    .next = h->next,
	    .next_pos = offsetof(struct ip6_header, next)};
	const uint8_t *type = (const uint8_t *)h;

	if (ip6_ext_skip(type, &e) == IP6_EXT_CUT_OFF)
		return false;
	if (e.next != IP_PROTO_ICMP6)
		return false;
	type += e.off;
	return e.off >= e.len || *type < 128 || *type == ICMP6_REDIRECT;
}

/* RFC 4443 2.4 (e). `src` and `dst` are the offending packet's. */
static bool
may_complain(const struct pkt *p, const struct ip_addr *src, const struct ip_addr *dst,
    unsigned type, unsigned code)
{
	bool is_exception =
	    type == ICMP6_TOO_BIG || (type == ICMP6_PARAM_PROBLEM && code == 2);

	if (ip_is_unspecified(src) || ip_is_multicast(src) || ip_is_v4(src))
		return false;
	if (!is_exception &&
	    (ip_is_multicast(dst) || p->flags & (PKT_MULTICAST | PKT_BROADCAST)))
		return false;
	return !is_about_error((const struct ip6_header *)(p->head + p->l3_off),
	    (size_t)(p->tail - p->head - p->l3_off));
}

/* RFC 4443 2.2: the address the packet was sent to, if it is ours. Else the route's. */
static bool
is_usable_source(const struct ip_addr *a)
{
	return !ip_is_multicast(a) && ifaddr_is_local(a);
}

static struct pkt *
make_error(const struct pkt *p, unsigned type, unsigned code, uint32_t info)
{
	size_t linear = (size_t)(p->tail - p->head - p->l3_off);
	size_t room = IP6_MIN_MTU - IP6_HEADER - sizeof(struct icmp6_header), n, rest;
	struct pkt *out = pkt_alloc(room + sizeof(struct icmp6_header));
	struct icmp6_header *h;

	if (!out)
		return NULL;
	h = pkt_put(out, sizeof(*h));
	*h = (struct icmp6_header){
	    .type = (uint8_t)type, .code = (uint8_t)code, .info = be32_of(info)};
	n = MIN(linear, room);
	memcpy(pkt_put(out, n), p->head + p->l3_off, n);
	rest = MIN(room - n, (size_t)p->extra_len);
	if (rest && !pkt_read(p, pkt_linear(p), pkt_put(out, rest), rest)) {
		pkt_free(out);
		return NULL;
	}
	return out;
}

void
icmp6_send_error(struct pkt *p, unsigned type, unsigned code, uint32_t info)
{
	const struct ip6_header *h = (const struct ip6_header *)(p->head + p->l3_off);
	struct ip_addr src, dst;
	struct flow flow = {.oif = 0};
	struct pkt *out;

	if (p->tail < p->head + p->l3_off + sizeof(*h))
		return;
	memcpy(src.b, h->src, 16);
	memcpy(dst.b, h->dst, 16);
	if (!may_complain(p, &src, &dst, type, code) || !icmp_may_send(&src))
		return;
	out = make_error(p, type, code, info);
	if (!out) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	flow.dst = src;
	flow.oif = oif_for(p->dev, &src);
	if (is_usable_source(&dst))
		flow.src = dst;
	icmp6_send_routed(out, &flow, -1, 0);
}

/* ---- Echo ------------------------------------------------------------------------------ */

/* RFC 4443 4.2. A request to a group is answered from an address of our own. */
static void
reply(struct pkt *p)
{
	struct flow flow = {.dst = p->ip.src, .oif = oif_for(p->dev, &p->ip.src)};
	uint8_t tos = p->ip.tos;
	struct icmp6_header *h;

	if (ip_is_unspecified(&p->ip.src) ||
	    !pkt_writable(p, IP6_HEADER + sizeof(uint64_t) * 2)) {
		pkt_drop(p, DROP_ICMP_BAD);
		return;
	}
	if (is_usable_source(&p->ip.dst))
		flow.src = p->ip.dst;
	h = (struct icmp6_header *)p->data;
	h->type = ICMP6_ECHO_REPLY;
	p->flags = 0;
	p->stamp_ns = 0;
	icmp6_send_routed(p, &flow, -1, tos);
}

/* ---- Errors that came ------------------------------------------------------------------ */

static enum err
err_of(uint8_t type, uint8_t code, bool *is_hard)
{
	static const struct {
		enum err err;
		bool is_hard;
	} unreachable[] = {
	    {ERR_NETUNREACH, false},
	    {ERR_ACCES, true},
	    {ERR_HOSTUNREACH, false},
	    {ERR_HOSTUNREACH, false},
	    {ERR_CONNREFUSED, true},
	    {ERR_ACCES, true},
	    {ERR_ACCES, true},
	};

	*is_hard = false;
	switch (type) {
	case ICMP6_UNREACHABLE:
		if (code >= ARRAY_SIZE(unreachable))
			return ERR_PROTO;
		*is_hard = unreachable[code].is_hard;
		return unreachable[code].err;
	case ICMP6_TOO_BIG: return ERR_MSGSIZE;
	case ICMP6_PARAM_PROBLEM: *is_hard = true; return ERR_PROTO;
	case ICMP6_TIME_EXCEEDED: return ERR_HOSTUNREACH;
	default: return ERR_PROTO;
	}
}

static const struct ip_proto *
proto_of(uint8_t number)
{
	switch (number) {
	case IP_PROTO_TCP: return &tcp_proto;
	case IP_PROTO_UDP: return &udp_proto;
	default: return NULL;
	}
}

static void
tell_transport(struct pkt *p, const struct icmp6_header *h,
    const struct ip6_header *inner, struct ip6_ext *e)
{
	struct ip_error error = {
	    .family = AF_INET6,
	    .type = h->type,
	    .code = h->code,
	    .info = be32_get(h->info),
	    .offender = p->ip.src,
	    .dev = p->dev,
	    .transport = (const uint8_t *)inner + e->off,
	    .transport_len = e->len - e->off,
	    .pkt = p,
	};
	const struct ip_proto *proto = proto_of(e->next);

	memcpy(error.src.b, inner->src, 16);
	memcpy(error.dst.b, inner->dst, 16);
	error.err = err_of(h->type, h->code, &error.is_hard);
	if (!ifaddr_is_local(&error.src))
		return; /* not a packet of ours */
	if (h->type == ICMP6_TOO_BIG && error.info >= IP6_MIN_MTU &&
	    (!proto || !proto->has_sent || proto->has_sent(&error)))
		dst_learn_mtu(&error.dst, oif_for(p->dev, &error.dst), error.info);
	raw6_error(&error, e->next);
	if (e->next == IP_PROTO_ICMP6)
		ping_error(&error);
	else if (proto && proto->error && error.transport_len >= 8)
		proto->error(&error);
}

/* Data at the ICMPv6 header; the packet stays the caller's. */
static void
error_input(struct pkt *p)
{
	size_t n = MIN(pkt_len(p), (size_t)IP6_MIN_MTU);
	const uint8_t *data = pkt_need(p, n);
	struct ip6_ext e = {.off = IP6_HEADER};
	const struct ip6_header *inner;

	if (!data || n < sizeof(struct icmp6_header) + IP6_HEADER) {
		drop_count(DROP_ICMP_BAD);
		return;
	}
	inner = (const struct ip6_header *)(data + sizeof(struct icmp6_header));
	e.len = (uint16_t)(n - sizeof(struct icmp6_header));
	e.next = inner->next;
	if (be32_get(inner->ver_tc_flow) >> 28 != 6 ||
	    ip6_ext_skip((const uint8_t *)inner, &e) != IP6_EXT_OK || e.off > e.len) {
		drop_count(DROP_ICMP_BAD);
		return;
	}
	tell_transport(p, (const struct icmp6_header *)data, inner, &e);
}

/* ---- Input ----------------------------------------------------------------------------- */

static bool
icmp6_input(struct pkt *p)
{
	const struct icmp6_header *h = pkt_need(p, 4);

	mib_inc(MIB_Icmp6_InMsgs);
	if (!h || !ip_csum_ok(p)) {
		if (h)
			mib_inc(MIB_Icmp6_InCsumErrors);
		mib_inc(MIB_Icmp6_InErrors);
		pkt_drop(p, DROP_ICMP_BAD);
		return true;
	}
	h = (const struct icmp6_header *)p->data;
	mib_icmp_inc(MIB_ICMP6_IN, h->type);
	switch (h->type) {
	case ICMP6_ECHO_REQUEST: reply(p); return true;
	case ICMP6_ECHO_REPLY:
		if (!ping_input(p))
			pkt_free(p); /* raw sockets had their copies */
		return true;
	case ICMP6_MLD_QUERY:
	case ICMP6_MLD_REPORT:
	case ICMP6_MLD_DONE:
	case ICMP6_MLD2_REPORT: mld_input(p); return true;
	case ICMP6_ROUTER_SOLICIT:
	case ICMP6_ROUTER_ADVERT:
	case ICMP6_NEIGHBOUR_SOLICIT:
	case ICMP6_NEIGHBOUR_ADVERT:
	case ICMP6_REDIRECT: nd_input(p); return true;
	default: /* RFC 4443 2.4 (a), (b): unknown errors go up, unknown messages go */
		if (h->type < 128)
			error_input(p);
		pkt_free(p);
		return true;
	}
}

const struct ip_proto icmp6_proto = {.name = "icmp6", .input = icmp6_input};
