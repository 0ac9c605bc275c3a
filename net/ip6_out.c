/*
 * IPv6 output (RFC 8200): the header, the flow label, and fragments, which only the source makes.
 *
 * Flow labels (RFC 6437 3): a keyed hash of the flow, so that packets of one flow have the same
 * and nobody can tell the next one. Identifications of fragments (RFC 7739 5.1): a keyed hash of
 * the two addresses moves on by a step for each packet.
 */
#include "kernel/random.h"
#include "kernel/sync/rcu.h"
#include "lib/inet_csum.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/ip6.h"
#include "net/ip6_ext.h"
#include "net/ip_mc.h"
#include "net/neigh.h"

enum { FRAG_HEADER = 8, NUM_IDS = 1024 };

static struct siphash_key key;     /* of all hashes here */
static uint32_t next_ids[NUM_IDS]; /* [a] */

void
ip6_out_init(void)
{
	random_bytes(&key, sizeof(key));
}

uint64_t
ip6_random_below(uint64_t limit)
{
	static uint64_t count; /* [a] */
	uint64_t n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);

	return siphash24(&key, &n, sizeof(n)) % limit;
}

static uint32_t
flow_label(const struct ip_tx *tx, const struct pkt *p)
{
	struct {
		struct ip_addr src, dst;
		uint8_t ports[4];
		uint32_t proto;
	} in = {.src = tx->src, .dst = tx->dst, .proto = tx->proto};
	uint32_t label;

	if (p->flags & PKT_HAS_HASH) { /* of the flow: only to be hidden */
		uint64_t mixed = (p->hash ^ key.k[0]) * (key.k[1] | 1);

		label = (uint32_t)(mixed >> 44);
		return label ? label : 1;
	}
	if ((tx->proto == IP_PROTO_TCP || tx->proto == IP_PROTO_UDP) &&
	    pkt_linear(p) >= 4)
		memcpy(in.ports, p->data, sizeof(in.ports));
	label = (uint32_t)siphash13(&key, &in, sizeof(in)) & 0xfffff;
	return label ? label : 1;
}

static uint32_t
next_id(const struct ip_tx *tx)
{
	struct ip_addr both[2] = {tx->src, tx->dst};
	uint64_t h = siphash24(&key, both, sizeof(both));

	return (uint32_t)(h >> 32) + __atomic_add_fetch(&next_ids[h % NUM_IDS],
	                                 1 + (uint32_t)ip6_random_below(8),
	                                 __ATOMIC_RELAXED);
}

void
ip6_finish_csum(struct pkt *p)
{
	size_t start;
	be16 csum;

	if (!(p->flags & PKT_CSUM_PARTIAL))
		return;
	start = (size_t)(p->head + p->csum_start - p->data);
	csum = be16_of(csum_finish(pkt_csum(p, start, pkt_len(p) - start, 0)));
	if (!be16_get(csum))
		csum = be16_of(0xffff); /* RFC 8200 8.1: 0 would mean none */
	memcpy(p->head + p->csum_start + p->csum_offset, &csum, sizeof(csum));
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
}

/* ---- To the link ----------------------------------------------------------------------- */

static enum err
to_link(struct pkt *p, struct dst *dst, const struct ip_addr *to)
{
	static const uint8_t nobody[ETH_ALEN];
	uint8_t mac[ETH_ALEN];

	p->protocol = ETHERTYPE_IP6;
	if (dst->neigh)
		return neigh_send(dst->neigh, p);
	if (!ip_is_multicast(to) || dst->dev->flags & NETDEV_LOOPBACK)
		return ether_send(dst->dev, p, nobody, ETHERTYPE_IP6);
	ether_map_multicast(mac, to);
	return ether_send(dst->dev, p, mac, ETHERTYPE_IP6);
}

/* Our own members of a group hear what we send to it. */
static void
loop_back(const struct pkt *p, struct netdev *dev)
{
	struct pkt *copy = pkt_copy(p, PKT_HEADROOM);

	if (!copy) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	copy->dev = dev;
	copy->protocol = ETHERTYPE_IP6;
	copy->flags |= PKT_LOOPBACK | PKT_CSUM_OK;
	copy->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	net_input_later(copy);
}

/* ---- Fragments ------------------------------------------------------------------------- */

/* What each fragment begins with: headers up to routing (RFC 8200 4.5), as ip6_send built them. */
struct unfragmentable {
	size_t len;
	uint16_t next_pos; /* of the field that will name the fragment header */
};

static struct unfragmentable
find_unfragmentable(const struct pkt *p)
{
	struct unfragmentable u = {
	    .len = IP6_HEADER, .next_pos = offsetof(struct ip6_header, next)};
	size_t end = pkt_linear(p), at = IP6_HEADER, pos = u.next_pos;
	uint8_t next = p->data[pos];

	while ((next == IP_PROTO_HOPOPTS || next == IP_PROTO_ROUTING ||
	           next == IP_PROTO_DSTOPTS) &&
	       at + 8 <= end) {
		size_t n = (p->data[at + 1] + 1u) * 8;
		bool is_kept = next != IP_PROTO_DSTOPTS;

		pos = at;
		next = p->data[at];
		at += n;
		/* Destination options stay with it only when a routing header follows. */
		if (is_kept)
			u = (struct unfragmentable){at, (uint16_t)pos};
	}
	return u;
}

/* One fragment: bytes [off, off + n) of the fragmentable part; NULL: no memory. */
static struct pkt *
make_fragment(const struct pkt *p, const struct unfragmentable *u, uint32_t off,
    uint32_t n, uint32_t id)
{
	struct pkt *f = pkt_alloc(u->len + FRAG_HEADER + n);
	bool is_last = u->len + off + n == pkt_len(p);
	uint8_t *data;
	be16 word;
	be32 be_id;

	if (!f)
		return NULL;
	data = pkt_put(f, u->len + FRAG_HEADER + n);
	memcpy(data, p->data, u->len);
	word = be16_of((uint16_t)(u->len + FRAG_HEADER + n - IP6_HEADER));
	memcpy(data + offsetof(struct ip6_header, payload_len), &word, 2);
	data[u->len] = data[u->next_pos];
	data[u->len + 1] = 0;
	data[u->next_pos] = IP_PROTO_FRAGMENT;
	word = be16_of((uint16_t)(off | !is_last));
	memcpy(data + u->len + 2, &word, 2);
	be_id = be32_of(id);
	memcpy(data + u->len + 4, &be_id, 4);
	if (!pkt_read(p, u->len + off, data + u->len + FRAG_HEADER, n)) {
		pkt_free(f);
		return NULL;
	}
	f->l3_off = (uint16_t)(f->data - f->head);
	f->hash = p->hash;
	f->flags = p->flags & PKT_HAS_HASH;
	return f;
}

static enum err
send_fragments(struct pkt *p, struct dst *dst, const struct ip_tx *tx, uint32_t mtu)
{
	struct unfragmentable u = find_unfragmentable(p);
	uint32_t total, id = next_id(tx), room;
	enum err err = OK;

	if (u.len + FRAG_HEADER + 8 > mtu || u.len > pkt_linear(p)) {
		mib_inc(MIB_Ip6_FragFails);
		pkt_drop(p, DROP_TX_TOO_LONG);
		return ERR_MSGSIZE;
	}
	ip6_finish_csum(p);
	total = (uint32_t)(pkt_len(p) - u.len);
	room = ALIGN_DOWN(mtu - (uint32_t)u.len - FRAG_HEADER, 8u);
	for (uint32_t off = 0; off < total && err == OK; off += room) {
		struct pkt *f = make_fragment(p, &u, off, MIN(room, total - off), id);

		err = f ? to_link(f, dst, &tx->dst) : ERR_NOBUFS;
		if (err == OK)
			mib_inc(MIB_Ip6_FragCreates);
	}
	mib_inc(err == OK ? MIB_Ip6_FragOKs : MIB_Ip6_FragFails);
	pkt_free(p);
	return err;
}

/* ---- Sending --------------------------------------------------------------------------- */

static uint8_t
hop_limit(const struct ip_tx *tx, const struct dst *dst)
{
	const struct ip6_dev *d = ip6_dev_of(dst->dev);

	if (tx->ttl >= 0)
		return (uint8_t)tx->ttl;
	if (ip_is_multicast(&tx->dst))
		return 1; /* RFC 3493 5.2 */
	if (dst->hoplimit)
		return dst->hoplimit;
	return d ? d->hop_limit : IP6_DEFAULT_HOPS;
}

/* Pushes extension headers and header. False: no room. */
static bool
push_header(struct pkt *p, const struct dst *dst, const struct ip_tx *tx)
{
	uint32_t label = tx->flow_label ? tx->flow_label : flow_label(tx, p);
	struct ip6_header *h;
	size_t len;

	p->l4_off = (uint16_t)(p->data - p->head);
	if (tx->options_len)
		memcpy(pkt_push(p, tx->options_len), tx->options, tx->options_len);
	len = pkt_len(p);
	h = pkt_push(p, sizeof(*h));
	if (!h)
		return false;
	h->ver_tc_flow = be32_of(6u << 28 | (uint32_t)tx->tos << 20 | (label & 0xfffff));
	h->payload_len = be16_of(len > 0xffff ? 0 : (uint16_t)len);
	h->next = tx->options_len ? tx->v6_next : tx->proto;
	h->hop_limit = hop_limit(tx, dst);
	memcpy(h->src, tx->src.b, 16);
	memcpy(h->dst, tx->dst.b, 16);
	p->l3_off = (uint16_t)(p->data - p->head);
	return true;
}

static uint32_t
mtu_of(struct dst *dst, const struct ip_tx *tx)
{
	uint32_t of_dev = ip6_dev_mtu(dst->dev);
	uint32_t of_path = tx->df == IP_DF_PROBE ? of_dev : dst_mtu(dst);

	return MAX(MIN(of_dev, of_path), (uint32_t)IP6_MIN_MTU);
}

static void
count_group(const struct pkt *p)
{
	mib_inc(MIB_Ip6_OutMcastPkts);
	mib_add(MIB_Ip6_OutMcastOctets, pkt_len(p));
}

/* To a group: our own members first. False: it is not to leave this node, and was freed. */
static bool
send_group(struct pkt *p, const struct dst *dst, const struct ip_tx *tx)
{
	count_group(p);
	if (!tx->is_not_looped && !(dst->dev->flags & NETDEV_LOOPBACK) &&
	    ip_mc_allows(dst->dev, &tx->dst, &tx->src))
		loop_back(p, dst->dev);
	if (((const struct ip6_header *)p->data)->hop_limit && (tx->dst.b[1] & 0xf) > 1)
		return true;
	pkt_free(p);
	return false;
}

static enum err
send_under_rcu(struct pkt *p, struct dst *dst, const struct ip_tx *tx)
{
	size_t headers = sizeof(struct ip6_header) + tx->options_len;
	uint32_t mtu;

	if (!pkt_writable(p, headers + sizeof(struct ether_header)) ||
	    !push_header(p, dst, tx)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return ERR_NOBUFS;
	}
	mib_add(MIB_Ip6_OutOctets, pkt_len(p));
	if (ip_is_multicast(&tx->dst) && !send_group(p, dst, tx))
		return OK;
	mtu = mtu_of(dst, tx);
	if (likely(pkt_len(p) <= mtu || p->gso_size))
		return to_link(p, dst, &tx->dst);
	if (tx->df == IP_DF_SET || tx->df == IP_DF_PROBE) {
		pkt_drop(p, DROP_TX_TOO_LONG);
		return ERR_MSGSIZE;
	}
	return send_fragments(p, dst, tx, mtu);
}

enum err
ip6_send(struct pkt *p, struct dst *dst, const struct ip_tx *tx)
{
	enum err err;

	mib_inc(MIB_Ip6_OutRequests);
	rcu_read_lock(); /* the interface's state */
	err = send_under_rcu(p, dst, tx);
	rcu_read_unlock();
	return err;
}

/* A header and the link, for messages that go no further. */
static void
send_link(
    struct netdev *dev, struct pkt *p, const struct ip6_header *from, const uint8_t *mac)
{
	uint16_t len = (uint16_t)pkt_len(p);
	uint8_t group_mac[ETH_ALEN];
	struct ip6_header *h = pkt_push(p, sizeof(*h));
	struct ip_addr dst;

	mib_inc(MIB_Ip6_OutRequests);
	if (!h) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	*h = *from;
	h->ver_tc_flow = be32_of(6u << 28);
	h->payload_len = be16_of(len);
	p->l3_off = (uint16_t)(p->data - p->head);
	p->protocol = ETHERTYPE_IP6;
	memcpy(dst.b, h->dst, 16);
	mib_add(MIB_Ip6_OutOctets, pkt_len(p));
	if (ip_is_multicast(&dst))
		count_group(p);
	if (!mac) {
		ether_map_multicast(group_mac, &dst);
		mac = group_mac;
	}
	(void)ether_send(dev, p, mac, ETHERTYPE_IP6); /* lost ones are asked for again */
}

void
ip6_send_link(struct netdev *dev, struct pkt *p, const struct ip_addr *src,
    const struct ip_addr *dst, const uint8_t *mac, uint8_t hops)
{
	struct ip6_header h = {.next = IP_PROTO_ICMP6, .hop_limit = hops};

	memcpy(h.src, src->b, 16);
	memcpy(h.dst, dst->b, 16);
	send_link(dev, p, &h, mac);
}

void
ip6_send_mld(struct netdev *dev, struct pkt *p, const struct ip_addr *src,
    const struct ip_addr *dst)
{
	static const uint8_t router_alert[8] = {IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0};
	struct ip6_header h = {.next = IP_PROTO_HOPOPTS, .hop_limit = 1};
	uint8_t *options = pkt_push(p, sizeof(router_alert));

	if (!options) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	memcpy(options, router_alert, sizeof(router_alert));
	memcpy(h.src, src->b, 16);
	memcpy(h.dst, dst->b, 16);
	send_link(dev, p, &h, NULL);
}
