/* What both versions of IP do alike (net/ip.h): the pseudo header, the way down by family. */
#include "net/ip.h"

#include "lib/inet_csum.h"

enum err
ip_send(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	return ip_is_v4(&tx->dst) ? ip4_send(p, d, tx) : ip6_send(p, d, tx);
}

/* The addresses in the family's own form; RFC 8200's length is 32 bits, the same sum for v4. */
uint32_t
ip_pseudo_csum(
    const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	struct {
		struct ip_addr src, dst;
		be32 len, proto;
	} v6;
	struct {
		be32 src, dst, len, proto;
	} v4 = {src->v4, dst->v4, be32_of(len), be32_of(proto)};

	if (ip_is_v4(dst))
		return csum_add(0, &v4, sizeof(v4));
	v6.src = *src;
	v6.dst = *dst;
	v6.len = v4.len;
	v6.proto = v4.proto;
	return csum_add(0, &v6, sizeof(v6));
}

bool
ip_csum_ok(struct pkt *p)
{
	uint32_t len = (uint32_t)pkt_len(p);

	/* Partial: from a program on this machine, never on a wire. */
	if (p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL))
		return true;
	return csum_finish(pkt_csum(p, 0, len,
	           ip_pseudo_csum(&p->ip.src, &p->ip.dst, p->ip.proto, len))) == 0;
}
