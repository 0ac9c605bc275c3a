/*
 * Forwarding of IPv4 (RFC 1812 5): a packet that came in on an interface whose switch is on and has
 * a way on. What must not be forwarded (broadcasts, link-local and martian addresses, source
 * routes) was refused before (ip4.c, route_input); here TTL, MTU, recorded routes, redirects.
 */
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "net/icmp_limit.h"
#include "net/ifaddr.h"
#include "net/ip4.h"

static const nsec_t REDIRECT_INTERVAL = 2 * NSEC_PER_SEC;
enum { REDIRECT_BURST = 9, REDIRECT_HOST = 1 };

/*
 * RFC 1812 5.2.7.2: out by the interface it came in by, to a next hop that the sender could have
 * reached itself.
 */
static bool
deserves_redirect(const struct pkt *p, const struct dst *d)
{
	const struct ip4_dev *conf = ip4_dev_of(p->dev);
	struct ifaddr *ifa;

	if (d->dev != p->dev || !conf || !conf->conf.send_redirects || p->ip.opt_off)
		return false;
	ifaddr_for_each(ifa, p->dev,
	    AF_INET) if (ip_prefix_match(&p->ip.src, &ifa->addr, ifa->plen) &&
	                 ip_prefix_match(
	                     &d->next_hop, &ifa->addr, ifa->plen)) return true;
	return false;
}

static void
send_redirect(struct pkt *p, const struct dst *d)
{
	static uint64_t bucket; /* [a] beside the limits that every error has */

	if (token_take(&bucket, clock_now_ns(), REDIRECT_INTERVAL / REDIRECT_BURST,
	        REDIRECT_BURST))
		icmp4_send_error(
		    p, ICMP4_REDIRECT, REDIRECT_HOST, be32_get(d->next_hop.v4));
}

/* The address that the recorded route shows: of the interface it leaves by. */
static void
record_us(struct pkt *p, const struct dst *d)
{
	struct ip4_header *h = (struct ip4_header *)p->data;
	struct ip_addr us;

	if (addrsel_source(d->dev, &p->ip.dst, 0, &us))
		(void)ip4_options_record((uint8_t *)(h + 1), p->ip.hdr_len - sizeof(*h),
		    us.v4, ip4_ms_today());
	ip4_set_csum(h, p->ip.hdr_len);
}

/* One hop less (RFC 1624 for the checksum). */
static void
decrement_ttl(struct ip4_header *h)
{
	uint16_t was = (uint16_t)(h->ttl << 8 | h->proto), now;

	h->ttl--;
	now = (uint16_t)(h->ttl << 8 | h->proto);
	h->csum = be16_of(csum_update16(be16_get(h->csum), was, now));
}

void
ip4_forward(struct pkt *p, struct dst *d)
{
	struct ip4_header *h;
	uint32_t mtu = dst_mtu(d);

	if (p->flags & (PKT_BROADCAST | PKT_MULTICAST | PKT_LOOPBACK)) {
		pkt_drop(p, DROP_IP_MARTIAN); /* RFC 1812 5.3.4 */
		return;
	}
	if (p->ip.ttl <= 1) {
		mib_inc(MIB_Ip_InHdrErrors);
		icmp4_send_error(p, ICMP4_TIME_EXCEEDED, 0, 0);
		pkt_drop(p, DROP_IP_TTL);
		return;
	}
	h = (struct ip4_header *)p->data;
	if (pkt_len(p) > mtu && !p->gso_size && be16_get(h->frag) & IP4_DF) {
		mib_inc(MIB_Ip_FragFails);
		icmp4_send_error(p, ICMP4_UNREACH, ICMP4_FRAG_NEEDED, mtu);
		pkt_drop(p, DROP_IP_TOO_BIG);
		return;
	}
	if (unlikely(deserves_redirect(p, d)))
		send_redirect(p, d);
	if (!pkt_writable(p, PKT_HEADROOM)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	p->l3_off = (uint16_t)(p->data - p->head);
	h = (struct ip4_header *)p->data;
	decrement_ttl(h);
	if (p->ip.opt_off)
		record_us(p, d);
	p->flags |= PKT_FORWARDED;
	mib_inc(MIB_Ip_ForwDatagrams);
	if (pkt_len(p) > mtu && !p->gso_size)
		(void)ip4_fragment(p, d, mtu); /* its own drops are counted */
	else
		(void)ip4_output(p, d);
}
