/*
 * Receive coalescing of TCP over IPv4 and IPv6. Each CPU holds at most one packet for each of a
 * few slots, chosen by the flow's ports and addresses. The next segment of the flow is chained to
 * the held one (pkt_chain) when the result is what a sender's segmentation would make into
 * those segments again:
 *
 *	the same addresses, ports, TTL, TOS (so ECN marks), flow label, TCP options and window,
 *	the same acknowledgement number, the sequence number that follows,
 *	no flags but ACK and PSH, a length not above that of the first, less only in the last
 *
 * PSH or a short segment end a packet, 64 KiB too, and the end of the poll ends all. Checksums
 * are verified before, by the device or here; the large packet carries the marks of one that
 * is to be segmented again (gso_size, PKT_CSUM_PARTIAL), so it may also be forwarded.
 *
 * A bare acknowledgement is held, too. One that acknowledges more and says nothing else takes its
 * place, as if the network had lost the first: a peer without coalescing of its own answers every
 * second segment, and many of these answers wait in the ring at once. ACKS_MAX of them make one, so
 * that slow start, which counts a limited number of bytes an acknowledgement, grows as it should.
 * Not where packets are forwarded: the flow is another's there.
 */
#include "net/gro.h"

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/ip.h"
#include "net/rx.h"

enum {
	SLOTS = 8,
	ACKS_MAX = 4,
	TCP_HEADER = 20,
	TCP_CSUM_OFFSET = 16,
	TIMESTAMPS = 12, /* with the two NOPs before them */
	TCP_ACK = 0x10,
	TCP_PSH = 0x08,
	IP4_DF = 0x4000,
};

/* The first 20 bytes, RFC 9293 3.1. */
struct tcp_header {
	be16 src, dst;
	be32 seq, ack;
	uint8_t data_off, flags;
	be16 window, csum, urgent;
};
static_assert(sizeof(struct tcp_header) == TCP_HEADER, "RFC 9293 3.1");

/* A segment as parsed; of a held packet it lies in cb. */
struct segment {
	uint32_t seq, len; /* payload */
	uint8_t l4;        /* offset of the TCP header from data */
	uint8_t headers;   /* length of IP and TCP headers */
	uint8_t slot;
	uint8_t num_acks; /* that a held bare acknowledgement stands for */
	bool is_v4;
	bool is_plain; /* may be merged with others */
	bool is_ack;   /* bare: a later one may take its place */
};
static_assert(sizeof(struct segment) <= 48, "fits into cb");

struct gro {
	struct pkt *held[SLOTS];
	unsigned num_held;
};

static PER_CPU(struct gro, gros);

static struct segment *
held_segment(struct pkt *p)
{
	return (struct segment *)p->cb;
}

static const struct tcp_header *
tcp_of(const struct pkt *p, const struct segment *s)
{
	return (const struct tcp_header *)(p->data + s->l4);
}

/* The pseudo header's sum for a TCP segment of `len` bytes. */
static uint32_t
pseudo(const struct pkt *p, const struct segment *s, size_t len)
{
	const uint8_t tail[4] = {0, IP_PROTO_TCP, (uint8_t)(len >> 8), (uint8_t)len};
	uint32_t sum = csum_add(0, tail, sizeof(tail));

	if (s->is_v4)
		return csum_add(sum, p->data + offsetof(struct ip4_header, src), 8);
	return csum_add(sum, p->data + offsetof(struct ip6_header, src), 32);
}

/* Four and eight bytes in line: these comparisons are made for every frame. */
static bool
is_same4(const void *a, const void *b)
{
	uint32_t v, w;

	__builtin_memcpy(&v, a, sizeof(v));
	__builtin_memcpy(&w, b, sizeof(w));
	return v == w;
}

static bool
is_same8(const void *a, const void *b)
{
	uint64_t v, w;

	__builtin_memcpy(&v, a, sizeof(v));
	__builtin_memcpy(&w, b, sizeof(w));
	return v == w;
}

/* ---- Parsing ------------------------------------------------------------------------------ */

/* The IP header: TCP without options or fragments, checksum right; sets l4 and len. */
static bool
parse_ip4(struct pkt *p, struct segment *s)
{
	const struct ip4_header *h = pkt_need(p, sizeof(*h) + TCP_HEADER);
	size_t len;

	if (!h || h->ver_ihl != 0x45 || h->proto != IP_PROTO_TCP ||
	    be16_get(h->frag) & ~IP4_DF)
		return false;
	len = be16_get(h->len);
	if (len < sizeof(*h) + TCP_HEADER || len > pkt_len(p) ||
	    csum_finish(csum_add(0, h, sizeof(*h))))
		return false;
	s->is_v4 = true;
	s->l4 = sizeof(*h);
	s->len = (uint32_t)len;
	return true;
}

static bool
parse_ip6(struct pkt *p, struct segment *s)
{
	const struct ip6_header *h = pkt_need(p, sizeof(*h) + TCP_HEADER);
	size_t len;

	if (!h || h->ver_tc_flow.b[0] >> 4 != 6 || h->next != IP_PROTO_TCP)
		return false;
	len = be16_get(h->payload_len) + sizeof(*h);
	if (len < sizeof(*h) + TCP_HEADER || len > pkt_len(p))
		return false;
	s->is_v4 = false;
	s->l4 = sizeof(*h);
	s->len = (uint32_t)len;
	return true;
}

/* No options, or timestamps alone in the usual form (RFC 7323 appendix A). */
static bool
has_usual_options(const struct tcp_header *t, size_t doff)
{
	static const uint8_t timestamps[] = {1, 1, 8, 10};

	return doff == TCP_HEADER ||
	       (doff == TCP_HEADER + TIMESTAMPS && is_same4(t + 1, timestamps));
}

static bool
is_forwarding(const struct pkt *p)
{
	return p->dev->is_forwarding4 || p->dev->is_forwarding6;
}

/* A TCP segment whose flow can be told; is_plain if it may be merged. */
static bool
parse(struct pkt *p, struct segment *s)
{
	const struct tcp_header *t;
	size_t doff;

	*s = (struct segment){0};
	if (p->protocol == ETHERTYPE_IP4
	        ? !parse_ip4(p, s)
	        : p->protocol != ETHERTYPE_IP6 || !parse_ip6(p, s))
		return false;
	t = tcp_of(p, s);
	doff = (size_t)(t->data_off >> 4) * 4;
	if (doff < TCP_HEADER || s->l4 + doff > s->len || !pkt_need(p, s->l4 + doff))
		return false;
	t = tcp_of(p, s);
	if (pkt_len(p) > s->len)
		pkt_trim(p, s->len); /* Ethernet's padding */
	s->headers = (uint8_t)(s->l4 + doff);
	s->len -= s->headers;
	s->seq = be32_get(t->seq);
	s->slot = (t->src.b[1] ^ t->dst.b[1] ^ t->src.b[0] ^ p->data[s->l4 - 5]) % SLOTS;
	if (s->len)
		s->is_plain = (t->flags & ~TCP_PSH) == TCP_ACK && !p->gso_size;
	else
		s->is_ack = t->flags == TCP_ACK && has_usual_options(t, doff) &&
		            !is_forwarding(p);
	return true;
}

/* Whether the checksum is known to be right; looks at the bytes where the device did not. */
static bool
verify_csum(struct pkt *p, const struct segment *s)
{
	size_t n = s->headers - s->l4 + s->len;

	if (p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL))
		return true;
	if (csum_finish(pkt_csum(p, s->l4, n, pseudo(p, s, n))))
		return false;
	p->flags |= PKT_CSUM_OK;
	return true;
}

/* ---- Holding ---------------------------------------------------------------------------------- */

/* Writes what changed into the headers of a packet that has grown, and passes it on. */
static void
pass(struct pkt *p)
{
	struct segment *s = held_segment(p);
	struct ip4_header *h4 = (struct ip4_header *)p->data;
	struct ip6_header *h6 = (struct ip6_header *)p->data;
	size_t len = pkt_len(p);
	be16 field;

	if (p->gso_segs > 1) {
		if (s->is_v4) {
			h4->csum = be16_of(csum_update16(
			    be16_get(h4->csum), be16_get(h4->len), (uint16_t)len));
			h4->len = be16_of((uint16_t)len);
		} else {
			h6->payload_len = be16_of((uint16_t)(len - sizeof(*h6)));
		}
		field = be16_of((uint16_t)~csum_finish(pseudo(p, s, len - s->l4)));
		memcpy(p->data + s->l4 + TCP_CSUM_OFFSET, &field, sizeof(field));
		p->csum_start = (uint16_t)(p->data - p->head + s->l4);
		p->csum_offset = TCP_CSUM_OFFSET;
		p->flags |= PKT_CSUM_PARTIAL | PKT_CSUM_OK;
		p->gso_type = s->is_v4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	} else {
		p->gso_size = 0;
		p->gso_segs = 0;
	}
	net_input_steered(p);
}

static void
pass_slot(struct gro *g, unsigned slot)
{
	struct pkt *p = g->held[slot];

	g->held[slot] = NULL;
	g->num_held--;
	pass(p);
}

void
gro_flush(void)
{
	struct gro *g = this_cpu_ptr(&gros);

	for (unsigned i = 0; g->num_held && i < SLOTS; i++)
		if (g->held[i])
			pass_slot(g, i);
}

static bool
has_same_addrs(const struct pkt *a, const struct pkt *b, bool is_v4)
{
	size_t at =
	    is_v4 ? offsetof(struct ip4_header, src) : offsetof(struct ip6_header, src);
	const uint8_t *p = a->data + at, *q = b->data + at;

	return is_same8(p, q) &&
	       (is_v4 || (is_same8(p + 8, q + 8) && is_same8(p + 16, q + 16) &&
	                     is_same8(p + 24, q + 24)));
}

/* Options have a multiple of four bytes. */
static bool
has_same_options(const struct tcp_header *a, const struct tcp_header *b, size_t n)
{
	const uint8_t *p = (const uint8_t *)(a + 1), *q = (const uint8_t *)(b + 1);

	for (; n; n -= 4, p += 4, q += 4)
		if (!is_same4(p, q))
			return false;
	return true;
}

static bool
is_same_flow(const struct pkt *a, const struct pkt *b, const struct segment *s)
{
	const struct segment *ha = (const struct segment *)a->cb;

	return ha->is_v4 == s->is_v4 && a->dev == b->dev &&
	       has_same_addrs(a, b, s->is_v4) && is_same4(tcp_of(a, s), tcp_of(b, s)) &&
	       ((a->flags ^ b->flags) & PKT_HAS_VLAN) == 0 && a->vlan_tci == b->vlan_tci;
}

/* Everything but lengths, IPv4 id and checksum is the same. */
static bool
has_same_ip(const struct pkt *a, const struct pkt *b, const struct segment *s)
{
	const struct ip4_header *ia = (const struct ip4_header *)a->data;
	const struct ip4_header *ib = (const struct ip4_header *)b->data;
	const struct ip6_header *ja = (const struct ip6_header *)a->data;
	const struct ip6_header *jb = (const struct ip6_header *)b->data;

	if (s->is_v4)
		return ia->tos == ib->tos && ia->ttl == ib->ttl &&
		       ia->frag.b[0] == ib->frag.b[0];
	return is_same4(&ja->ver_tc_flow, &jb->ver_tc_flow) &&
	       ja->hop_limit == jb->hop_limit;
}

/* And the TCP header, but for the sequence number and PSH. */
static bool
has_same_headers(const struct pkt *a, const struct pkt *b, const struct segment *s)
{
	const struct tcp_header *ta = tcp_of(a, s), *tb = tcp_of(b, s);

	if (!has_same_ip(a, b, s))
		return false;
	return is_same4(&ta->ack, &tb->ack) && ta->data_off == tb->data_off &&
	       be16_get(ta->window) == be16_get(tb->window) &&
	       has_same_options(ta, tb, s->headers - s->l4 - sizeof(*ta)) &&
	       !((a->flags ^ b->flags) & PKT_CSUM_PARTIAL);
}

static bool
may_merge(struct pkt *held, const struct pkt *p, const struct segment *s)
{
	const struct segment *h = held_segment(held);

	return s->is_plain && s->headers == h->headers && s->seq == h->seq + h->len &&
	       s->len <= held->gso_size && pkt_len(held) + s->len <= PKT_MAX_LEN &&
	       has_same_headers(held, p, s);
}

/* Chains p to the held packet of its slot, which is passed on if this was its last segment. */
static void
merge(struct gro *g, struct pkt *held, struct pkt *p, const struct segment *s)
{
	struct segment *h = held_segment(held);
	struct tcp_header *t = (struct tcp_header *)(held->data + h->l4);
	uint8_t flags = tcp_of(p, s)->flags;

	t->flags |= flags & TCP_PSH;
	p->data += s->headers;
	pkt_chain(held, p);
	held->gso_segs++;
	h->len += s->len;
	if (flags & TCP_PSH || s->len < held->gso_size)
		pass_slot(g, s->slot);
}

static uint32_t
timestamp_of(const struct tcp_header *t)
{
	be32 v;

	memcpy(&v, (const uint8_t *)(t + 1) + 4, sizeof(v));
	return be32_get(v);
}

/* p tells all that the held one did: it acknowledges more, and is not older. */
static bool
may_replace(struct pkt *held, const struct pkt *p, const struct segment *s)
{
	const struct segment *h = held_segment(held);
	const struct tcp_header *was = tcp_of(held, h), *now = tcp_of(p, s);

	if (!s->is_ack || !h->is_ack || h->num_acks == ACKS_MAX ||
	    s->headers != h->headers || s->seq != h->seq || !has_same_ip(held, p, s))
		return false;
	return (int32_t)(be32_get(now->ack) - be32_get(was->ack)) > 0 &&
	       (s->headers == s->l4 + TCP_HEADER ||
	           (int32_t)(timestamp_of(now) - timestamp_of(was)) >= 0);
}

static void
replace(struct gro *g, struct pkt *p, const struct segment *s)
{
	struct pkt *held = g->held[s->slot];
	uint8_t num_acks = held_segment(held)->num_acks;

	*held_segment(p) = *s;
	held_segment(p)->num_acks = (uint8_t)(num_acks + 1);
	g->held[s->slot] = p;
	mib_inc(MIB_TcpExt_TCPBacklogCoalesce);
	pkt_free(held);
}

/* The first of what may become more. */
static void
hold(struct gro *g, struct pkt *p, const struct segment *s)
{
	if (g->held[s->slot])
		pass_slot(g, s->slot);
	*held_segment(p) = *s;
	held_segment(p)->num_acks = 1;
	p->gso_size = (uint16_t)s->len;
	p->gso_segs = 1;
	g->held[s->slot] = p;
	g->num_held++;
}

bool
gro_receive(struct pkt *p)
{
	struct gro *g = this_cpu_ptr(&gros);
	struct segment s;
	struct pkt *held;
	bool is_good;

	if (p->flags & (PKT_OTHERHOST | PKT_BROADCAST | PKT_MULTICAST) || !parse(p, &s))
		return false;
	held = g->held[s.slot];
	if (held && !is_same_flow(held, p, &s))
		held = NULL;
	is_good = (s.is_plain || s.is_ack) && verify_csum(p, &s);
	if (held && is_good && may_merge(held, p, &s)) {
		merge(g, held, p, &s);
		return true;
	}
	if (held && is_good && may_replace(held, p, &s)) {
		replace(g, p, &s);
		return true;
	}
	if (held)
		pass_slot(g, s.slot); /* its order with this one */
	if (!is_good || tcp_of(p, &s)->flags & TCP_PSH || !pkt_writable(p, 0))
		return false;
	hold(g, p, &s);
	return true;
}
