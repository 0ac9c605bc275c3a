/*
 * IPv4 output: the header, path MTU and fragments (RFC 791 3.2, RFC 1191), the last step to the
 * neighbour.
 *
 * Identification (RFC 6864): a datagram that is whole and may not be fragmented needs none and has
 * 0. Others take the next number of one of NUM_IDS counters with random starts, picked by a keyed
 * hash of source, destination and protocol: no number comes again soon for one triple, and an
 * outsider learns nothing from the numbers he sees about what we send to others.
 */
#include "net/ip.h"

#include "kernel/random.h"
#include "lib/inet_csum.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/ip4.h"
#include "net/ip_mc.h"
#include "net/neigh.h"

enum { NUM_IDS = 2048 };

static uint16_t ids[NUM_IDS]; /* [a] */
static struct siphash_key id_key;

void
ip4_out_init(void)
{
	random_bytes(&id_key, sizeof(id_key));
	random_bytes(ids, sizeof(ids));
}

static uint16_t
next_id(const struct ip4_header *h)
{
	struct {
		be32 src, dst;
		uint64_t proto;
	} key = {h->src, h->dst, h->proto};
	uint64_t i = siphash13(&id_key, &key, sizeof(key)) % NUM_IDS;

	return __atomic_add_fetch(&ids[i], 1, __ATOMIC_RELAXED);
}

void
ip4_set_csum(struct ip4_header *h, unsigned hdr_len)
{
	h->csum = be16_of(0);
	h->csum = be16_of(csum_finish(csum_add(0, h, hdr_len)));
}

/* ---- To the neighbour ------------------------------------------------------------------ */

/* Members on this machine get a copy of what we send to a group or to all. */
static void
loop_back(struct pkt *p, struct netdev *dev)
{
	struct pkt *copy = pkt_clone(p);

	if (!copy) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	copy->dev = dev;
	copy->flags |= PKT_LOOPBACK;
	copy->protocol = ETHERTYPE_IP4;
	copy->l2_off = (uint16_t)(copy->data - copy->head);
	copy->l3_off = copy->l2_off;
	net_input_later(copy);
}

enum err
ip4_output(struct pkt *p, struct dst *d)
{
	struct netdev *dev = __atomic_load_n(&d->dev, __ATOMIC_ACQUIRE);
	struct neigh *neigh = __atomic_load_n(&d->neigh, __ATOMIC_RELAXED);
	uint8_t mac[ETH_ALEN] = {0};

	p->dev = dev;
	p->protocol = ETHERTYPE_IP4;
	p->l3_off = (uint16_t)(p->data - p->head);
	if (likely(neigh))
		return neigh_send(neigh, p);
	if (d->type == ROUTE_MULTICAST)
		ether_map_multicast(mac, &d->addr);
	else if (d->type == ROUTE_BROADCAST)
		memcpy(mac, ether_broadcast, ETH_ALEN);
	return ether_send(dev, p, mac, ETHERTYPE_IP4);
}

/* ---- Fragments ------------------------------------------------------------------------- */

/* The transport's checksum, that the device would have made, before the datagram is cut up. */
static bool
finish_csum(struct pkt *p, uint8_t proto)
{
	size_t start = (size_t)(p->head + p->csum_start - p->data);
	uint16_t csum;
	be16 field;

	if (!(p->flags & PKT_CSUM_PARTIAL))
		return true;
	csum = csum_finish(pkt_csum(p, start, pkt_len(p) - start, 0));
	if (!csum && proto == IP_PROTO_UDP)
		csum = 0xffff; /* RFC 768 */
	field = be16_of(csum);
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	return pkt_write(p, start + p->csum_offset, &field, sizeof(field));
}

/* One fragment: `head` (hdr_len bytes) as its header, n bytes of `p` from `off`. NULL: no memory. */
static struct pkt *
make_fragment(const struct pkt *p, const struct ip4_header *head, unsigned hdr_len,
    size_t off, size_t n)
{
	struct pkt *f = pkt_alloc(hdr_len + n);

	if (!f)
		return NULL;
	memcpy(pkt_put(f, hdr_len), head, hdr_len); /* there is room: asked for */
	if (!pkt_read(p, off, pkt_put(f, n), n)) {
		pkt_free(f);
		return NULL;
	}
	f->hash = p->hash;
	f->flags = p->flags & (PKT_HAS_HASH | PKT_FORWARDED | PKT_LOOPBACK);
	return f;
}

/*
 * All fragments first, then all sent: one that is missing would make the others useless. A forwarded
 * fragment is cut further: its offset and MF carry over.
 */
static struct pkt *
cut(struct pkt *p, unsigned mtu)
{
	union {
		struct ip4_header h;
		uint8_t bytes[60];
	} u;
	unsigned hdr_len = (p->data[0] & 0xfu) * 4, frag;
	struct pkt *first = NULL, **last = &first;
	size_t off = hdr_len, len = pkt_len(p);
	uint8_t opts[40];

	memcpy(u.bytes, p->data, hdr_len);
	frag = be16_get(u.h.frag);
	while (off < len) {
		size_t room = (mtu - hdr_len) & ~7u,
		       n = len - off < room ? len - off : room;
		unsigned more = off + n < len ? (unsigned)IP4_MF : frag & IP4_MF;
		struct pkt *f;

		u.h.frag = be16_of((uint16_t)((frag & IP4_OFFSET) | more));
		u.h.len = be16_of((uint16_t)(hdr_len + n));
		ip4_set_csum(&u.h, hdr_len);
		f = make_fragment(p, &u.h, hdr_len, off, n);
		if (!f) {
			pkt_free_list(first);
			return NULL;
		}
		*last = f;
		last = &f->next;
		if (off == hdr_len &&
		    hdr_len > sizeof(u.h)) { /* RFC 791: copied options only */
			unsigned kept = ip4_options_for_fragments(
			    u.bytes + sizeof(u.h), hdr_len - sizeof(u.h), opts);

			memcpy(u.bytes + sizeof(u.h), opts, kept);
			hdr_len = sizeof(u.h) + kept;
			u.h.ver_ihl = (uint8_t)(0x40 | hdr_len / 4);
		}
		frag = (frag & ~(unsigned)IP4_OFFSET) |
		       ((frag & IP4_OFFSET) + (unsigned)(n / 8));
		off += n;
	}
	return first;
}

enum err
ip4_fragment(struct pkt *p, struct dst *d, unsigned mtu)
{
	struct pkt *f, *next;
	enum err err = OK;

	f = mtu >= IP4_MIN_MTU && finish_csum(p, ((struct ip4_header *)p->data)->proto)
	        ? cut(p, mtu)
	        : NULL;
	if (!f) {
		mib_inc(MIB_Ip_FragFails);
		pkt_drop(p, DROP_NO_MEMORY);
		return ERR_NOBUFS;
	}
	mib_inc(MIB_Ip_FragOKs);
	pkt_free(p);
	for (; f; f = next) {
		enum err e;

		next = f->next;
		f->next = NULL;
		mib_inc(MIB_Ip_FragCreates);
		e = ip4_output(f, d);
		err = err == OK ? e : err;
	}
	return err;
}

/* ---- ip4_send -------------------------------------------------------------------------- */

static uint8_t
ttl_of(const struct dst *d, const struct ip_tx *tx)
{
	if (tx->ttl >= 0)
		return (uint8_t)tx->ttl;
	if (d->type == ROUTE_MULTICAST)
		return 1; /* RFC 1112 6.1 */
	return d->hoplimit ? d->hoplimit : ip4_default_ttl;
}

/* Pushes the header; NULL: no room. */
static struct ip4_header *
push_header(struct pkt *p, const struct dst *d, const struct ip_tx *tx, bool is_df)
{
	unsigned opts = tx->options ? ALIGN_UP((unsigned)tx->options_len, 4) : 0;
	unsigned hdr_len = (unsigned)sizeof(struct ip4_header) + opts;
	struct ip4_header *h = pkt_push(p, hdr_len);

	if (!h)
		return NULL;
	if (opts) {
		memset(h + 1, 0, opts);
		memcpy(h + 1, tx->options, tx->options_len);
	}
	h->ver_ihl = (uint8_t)(0x40 | hdr_len / 4);
	h->tos = tx->tos;
	h->len = be16_of((uint16_t)pkt_len(p));
	h->ttl = ttl_of(d, tx);
	h->proto = tx->proto;
	h->src = tx->src.v4;
	h->dst = tx->dst.v4;
	h->frag = be16_of(is_df ? IP4_DF : 0);
	h->id = be16_of(is_df && !p->gso_size ? 0 : next_id(h));
	ip4_set_csum(h, hdr_len);
	return h;
}

/* Groups and broadcasts: a copy for us, and none for the wire when it may not leave (ttl 0). */
static bool
loop_if_member(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	const struct ip4_header *h = (const struct ip4_header *)p->data;
	bool is_group = d->type == ROUTE_MULTICAST;

	mib_inc(is_group ? MIB_IpExt_OutMcastPkts : MIB_IpExt_OutBcastPkts);
	mib_add(
	    is_group ? MIB_IpExt_OutMcastOctets : MIB_IpExt_OutBcastOctets, pkt_len(p));
	if (d->dev->flags & NETDEV_LOOPBACK)
		return true; /* comes back by itself */
	if (d->type == ROUTE_BROADCAST ||
	    (!tx->is_not_looped && ip_mc_allows(d->dev, &d->addr, &tx->src)))
		loop_back(p, d->dev);
	return h->ttl > 0;
}

static enum err
send_one(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	uint32_t mtu = tx->df == IP_DF_PROBE ? d->dev->mtu : dst_mtu(d);
	unsigned hdr_len =
	    sizeof(struct ip4_header) + ALIGN_UP((unsigned)tx->options_len, 4);
	size_t len = pkt_len(p) + hdr_len;
	bool is_long = len > mtu && !p->gso_size;
	bool is_df = tx->df == IP_DF_AUTO ? !is_long : tx->df != IP_DF_CLEAR;

	mib_inc(MIB_Ip_OutRequests);
	if (len > PKT_MAX_LEN || (is_long && is_df)) {
		mib_inc(MIB_Ip_FragFails);
		pkt_drop(p, DROP_TX_TOO_LONG);
		return ERR_MSGSIZE;
	}
	if (!push_header(p, d, tx, is_df)) {
		mib_inc(MIB_Ip_OutDiscards);
		pkt_drop(p, DROP_NO_MEMORY);
		return ERR_NOBUFS;
	}
	mib_add(MIB_IpExt_OutOctets, len);
	if (unlikely(d->type != ROUTE_UNICAST && d->type != ROUTE_LOCAL) &&
	    !loop_if_member(p, d, tx)) {
		pkt_free(p);
		return OK;
	}
	return unlikely(is_long) ? ip4_fragment(p, d, mtu) : ip4_output(p, d);
}

enum err
ip4_send(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	enum err err;

	rcu_read_lock();
	err = send_one(p, d, tx);
	rcu_read_unlock();
	return err;
}
