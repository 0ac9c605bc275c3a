/*
 * Software fallbacks on the way to a device: segmentation of large TCP and UDP packets,
 * transport checksums, 802.1Q tags, and one piece of memory where there is no scatter/gather.
 *
 * A large packet has the headers of its first segment, PKT_CSUM_PARTIAL with csum_start at
 * the transport header, and gso_size payload bytes for each segment. Every segment gets the
 * headers with lengths, IPv4 identification, TCP sequence number and flags set right: FIN and
 * PSH belong to the last one, CWR to the first (RFC 3168 6.1.2).
 */
#include "net/gso.h"

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/ip.h"

enum {
	VLAN_TAG = 4,
	UDP_HEADER = 8,
	TCP_SEQ = 4, /* offsets in the TCP header, RFC 9293 3.1 */
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	TCP_MIN_HEADER = 20,
	UDP_LEN = 4,
	UDP_CSUM = 6,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
};

static bool
has_csum(const struct netdev *dev, const struct pkt *p)
{
	uint32_t enough = NETDEV_CSUM_ANY;

	if (p->protocol == ETHERTYPE_IP4)
		enough |= NETDEV_CSUM4;
	else if (p->protocol == ETHERTYPE_IP6)
		enough |= NETDEV_CSUM6;
	return dev->features & enough;
}

static bool
has_gso(const struct netdev *dev, const struct pkt *p)
{
	return (p->gso_type == PKT_GSO_TCP4 && dev->features & NETDEV_TSO4) ||
	       (p->gso_type == PKT_GSO_TCP6 && dev->features & NETDEV_TSO6);
}

bool
gso_is_needed(const struct netdev *dev, const struct pkt *p)
{
	return ((p->flags & PKT_CSUM_PARTIAL) && !has_csum(dev, p)) ||
	       (p->num_frags && !(dev->features & NETDEV_SG)) ||
	       ((p->flags & PKT_HAS_VLAN) && !(dev->features & NETDEV_VLAN_TX)) ||
	       (p->gso_size && !has_gso(dev, p)) || p->more;
}

/* Puts the tag where IEEE 802.1Q wants it: after the two addresses. */
static bool
insert_tag(struct pkt *p)
{
	be16 tag[2] = {be16_of(ETHERTYPE_VLAN), be16_of(p->vlan_tci)};
	uint8_t *h;

	if (!pkt_writable(p, VLAN_TAG))
		return false;
	h = pkt_push(p, VLAN_TAG);
	memmove(h, h + VLAN_TAG, 2 * ETH_ALEN);
	memcpy(h + 2 * ETH_ALEN, tag, sizeof(tag));
	p->l2_off = (uint16_t)(h - p->head);
	p->flags &= ~(uint32_t)PKT_HAS_VLAN;
	return true;
}

/* What PKT_CSUM_PARTIAL leaves to be done: the sum from csum_start to the end. */
static bool
complete_csum(struct pkt *p)
{
	size_t start = (size_t)(p->head + p->csum_start - p->data);
	size_t len = pkt_len(p);
	uint16_t sum;
	be16 field;

	if (start > len || p->csum_offset + 2u > len - start ||
	    !pkt_need(p, start + p->csum_offset + 2) || !pkt_writable(p, 0))
		return false;
	start = (size_t)(p->head + p->csum_start - p->data);
	sum = csum_finish(pkt_csum(p, start, len - start, 0));
	/* UDP's 0 means "none" (RFC 768); TCP's sum is never changed by writing ffff for 0. */
	field = be16_of(sum || p->csum_offset != UDP_CSUM ? sum : 0xffff);
	memcpy(p->data + start + p->csum_offset, &field, sizeof(field));
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	return true;
}

/* ---- Segmentation ------------------------------------------------------------------------- */

/* A large packet taken apart: where its headers are, from data. */
struct large {
	struct pkt *p;
	size_t l3, l4, header_len, payload_len;
	bool is_v4, is_tcp;
};

/* Reads the shape of a large packet; false: its headers are not what gso_type says. */
static bool
large_parse(struct large *g, struct pkt *p)
{
	const uint8_t *l4;

	g->p = p;
	g->l3 = (size_t)(p->head + p->l3_off - p->data);
	g->l4 = (size_t)(p->head + p->csum_start - p->data);
	g->is_tcp = p->gso_type != PKT_GSO_UDP;
	g->is_v4 = p->protocol == ETHERTYPE_IP4;
	if (!(p->flags & PKT_CSUM_PARTIAL) || g->l3 > PKT_MAX_LEN ||
	    g->l4 > PKT_MAX_LEN ||
	    g->l4 < g->l3 + (g->is_v4 ? sizeof(struct ip4_header)
	                              : sizeof(struct ip6_header)))
		return false;
	if (!pkt_need(p, g->l4 + (g->is_tcp ? TCP_MIN_HEADER : UDP_HEADER)))
		return false;
	l4 = p->data + g->l4;
	g->header_len =
	    g->l4 + (g->is_tcp ? (size_t)(l4[TCP_DATA_OFFSET] >> 4) * 4 : UDP_HEADER);
	if (!pkt_need(p, g->header_len))
		return false;
	g->payload_len = pkt_len(p) - g->header_len;
	return true;
}

static void
fix_ip4(struct ip4_header *h, unsigned index, size_t len)
{
	size_t hdr_len = (size_t)(h->ver_ihl & 15) * 4;

	h->len = be16_of((uint16_t)len);
	h->id = be16_of((uint16_t)(be16_get(h->id) + index));
	h->csum = be16_of(0);
	h->csum = be16_of(csum_finish(csum_add(0, h, hdr_len)));
}

/* The pseudo header's sum for a segment, from the addresses in its IP header. */
static be16
pseudo_field(const struct large *g, const uint8_t *l3, size_t l4_len)
{
	const uint8_t tail[4] = {0, g->is_tcp ? IP_PROTO_TCP : IP_PROTO_UDP,
	    (uint8_t)(l4_len >> 8), (uint8_t)l4_len};
	uint32_t sum = csum_add(0, tail, sizeof(tail));

	if (g->is_v4)
		sum = csum_add(sum, l3 + offsetof(struct ip4_header, src), 8);
	else
		sum = csum_add(sum, l3 + offsetof(struct ip6_header, src), 32);
	return be16_of((uint16_t)~csum_finish(sum));
}

static void
fix_transport(const struct large *g, uint8_t *l4, size_t off, size_t n)
{
	be32 seq;
	be16 len;

	if (!g->is_tcp) {
		len = be16_of((uint16_t)(UDP_HEADER + n));
		memcpy(l4 + UDP_LEN, &len, sizeof(len));
		return;
	}
	memcpy(&seq, l4 + TCP_SEQ, sizeof(seq));
	seq = be32_of(be32_get(seq) + (uint32_t)off);
	memcpy(l4 + TCP_SEQ, &seq, sizeof(seq));
	if (off + n < g->payload_len)
		l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (off > 0)
		l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
}

/* The segment with n payload bytes from off on; NULL: no memory. */
static struct pkt *
make_segment(const struct large *g, size_t off, size_t n)
{
	size_t csum_at = g->l4 + (g->is_tcp ? TCP_CSUM : UDP_CSUM);
	const struct pkt *p = g->p;
	struct pkt *s = pkt_alloc(g->header_len + n);
	uint8_t *h;
	be16 pseudo;

	if (!s)
		return NULL;
	h = pkt_put(s, g->header_len + n);
	memcpy(h, p->data, g->header_len);
	if (!pkt_read(p, g->header_len + off, h + g->header_len, n)) {
		pkt_free(s);
		return NULL;
	}
	if (g->is_v4) {
		fix_ip4((struct ip4_header *)(h + g->l3), (unsigned)(off / p->gso_size),
		    g->header_len - g->l3 + n);
	} else {
		((struct ip6_header *)(h + g->l3))->payload_len = be16_of(
		    (uint16_t)(g->header_len - g->l3 - sizeof(struct ip6_header) + n));
	}
	fix_transport(g, h + g->l4, off, n);
	pseudo = pseudo_field(g, h + g->l3, g->header_len - g->l4 + n);
	memcpy(h + csum_at, &pseudo, sizeof(pseudo));
	s->dev = p->dev;
	s->flags = p->flags;
	s->hash = p->hash;
	s->protocol = p->protocol;
	s->vlan_tci = p->vlan_tci;
	s->l2_off = (uint16_t)(h - s->head);
	s->l3_off = (uint16_t)(s->l2_off + g->l3);
	s->l4_off = s->csum_start = (uint16_t)(s->l2_off + g->l4);
	s->csum_offset = g->is_tcp ? TCP_CSUM : UDP_CSUM;
	return s;
}

/* All segments, linked by next. Takes the packet; NULL: dropped. */
static struct pkt *
segment(struct pkt *p)
{
	struct pkt_queue out = {0};
	struct large g;

	if (!large_parse(&g, p) || !g.payload_len) {
		pkt_drop(p, DROP_TX_FAILED);
		return NULL;
	}
	for (size_t off = 0; off < g.payload_len; off += p->gso_size) {
		struct pkt *s =
		    make_segment(&g, off, MIN(p->gso_size, g.payload_len - off));

		if (!s) { /* what was made may go; TCP sends the rest again */
			drop_count(DROP_NO_MEMORY);
			break;
		}
		pkt_queue_push(&out, s);
	}
	if (out.last) /* the sender's account is settled with the last one */
		pkt_move_release(out.last, p);
	pkt_free(p);
	return out.first;
}

/* One frame, not large or for a device that segments: the rest of what the device lacks. */
static struct pkt *
prepare_one(const struct netdev *dev, struct pkt *p)
{
	bool is_ok = true;
	struct pkt *flat;

	if (p->more || (p->num_frags && !(dev->features & NETDEV_SG))) {
		flat = pkt_copy(p, PKT_HEADROOM);
		if (!flat) {
			pkt_drop(p, DROP_NO_MEMORY);
			return NULL;
		}
		pkt_move_release(flat, p);
		pkt_free(p);
		p = flat;
	}
	if ((p->flags & PKT_CSUM_PARTIAL) && !has_csum(dev, p))
		is_ok = complete_csum(p);
	if (is_ok && (p->flags & PKT_HAS_VLAN) && !(dev->features & NETDEV_VLAN_TX))
		is_ok = insert_tag(p);
	if (is_ok)
		return p;
	pkt_drop(p, DROP_TX_FAILED);
	return NULL;
}

struct pkt *
gso_prepare(struct netdev *dev, struct pkt *p)
{
	struct pkt_queue out = {0};
	struct pkt *next;

	if (!p->gso_size || has_gso(dev, p))
		return prepare_one(dev, p);
	for (p = segment(p); p; p = next) {
		next = p->next;
		p = prepare_one(dev, p);
		if (p)
			pkt_queue_push(&out, p);
	}
	return out.first;
}
