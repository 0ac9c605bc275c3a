/*
 * Reassembly of IPv6 packets (RFC 8200 4.5, RFC 5722, RFC 8021).
 *
 * Pieces of a packet are kept in order of offset under a key of source, destination,
 * identification and interface. A piece that overlaps another ends the packet: all its pieces go,
 * and those still to come are dropped until its time is over (RFC 5722 4); an exact copy is
 * dropped alone. When no byte is missing the pieces are copied into one packet.
 *
 * Limits: packets and bytes in all, pieces of a packet. When memory is full, the packet that waits
 * longest goes. A keyed hash finds a packet; one lock covers everything, which only fragments
 * take, and no packet is sent or copied under it.
 */
#include "kernel/random.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip6.h"
#include "net/ip6_ext.h"

enum {
	NUM_BUCKETS = 256,
	MAX_PACKETS = 1024,
	MAX_PIECES = 64,
	MAX_BYTES = 4 << 20,
	FRAG_HEADER = 8,
	IP_ECN_MASK = 3,
	IP_ECN_CE = 3,
};
#define REASSEMBLY_NS (60 * NSEC_PER_SEC)

struct frag_key {
	struct ip_addr src, dst;
	uint32_t id, index;
};

struct piece {
	struct piece *next;
	struct pkt *p;       /* data at the IPv6 header */
	uint32_t start, end; /* in the fragmentable part */
	uint16_t frag_off;
};

struct partial { /* [frag_lock] */
	struct list hash_link, age_link;
	struct frag_key key;
	struct net_timer timer;
	uint32_t refs;   /* [a] the table's, and a timer's that is yet to fire */
	bool is_done;    /* out of the table */
	bool is_refused; /* overlap: drop what still comes */
	uint32_t total;  /* length of the fragmentable part; 0: not known */
	uint32_t have;
	unsigned num_pieces;
	size_t bytes;
	uint8_t ecn; /* a bit for each codepoint seen */
	struct piece *pieces;
};

static struct list buckets[NUM_BUCKETS];
static struct list ages = LIST_INIT(ages); /* oldest first */
static unsigned num_partials;
static size_t num_bytes;
static struct siphash_key hash_key;
static struct spinlock frag_lock = SPINLOCK_INIT("ip6_frag", RANK_NET_TABLE);

static struct list *
bucket_of(const struct frag_key *key)
{
	return &buckets[siphash13(&hash_key, key, sizeof(*key)) % NUM_BUCKETS];
}

/* ---- Ending ---------------------------------------------------------------------------- */

static void
free_pieces(struct piece *piece, enum drop_reason why)
{
	while (piece) {
		struct piece *next = piece->next;

		pkt_drop(piece->p, why);
		kfree(piece);
		piece = next;
	}
}

static void
put_refs(struct partial *q, uint32_t num)
{
	if (!__atomic_sub_fetch(&q->refs, num, __ATOMIC_ACQ_REL))
		kfree(q);
}

static void
put(struct partial *q)
{
	put_refs(q, 1);
}

static struct piece *
take_pieces(struct partial *q) MUST_HOLD(frag_lock)
{
	struct piece *pieces = q->pieces;

	num_bytes -= q->bytes;
	q->bytes = 0;
	q->pieces = NULL;
	q->num_pieces = 0;
	return pieces;
}

/* Out of the table; its reference is the caller's to put. */
static void
unlink_locked(struct partial *q) MUST_HOLD(frag_lock)
{
	q->is_done = true;
	list_remove(&q->hash_link);
	list_remove(&q->age_link);
	num_partials--;
	if (net_timer_cancel(&q->timer))
		__atomic_sub_fetch(
		    &q->refs, 1, __ATOMIC_RELAXED); /* the table's is left */
}

/* RFC 8200 4.5: time exceeded, if the first piece came. */
static void
on_timeout(struct net_timer *t)
{
	struct partial *q = container_of(t, struct partial, timer);
	struct piece *pieces;
	bool is_ours;

	spin_lock(&frag_lock);
	is_ours = !q->is_done;
	pieces = is_ours ? take_pieces(q) : NULL;
	if (is_ours)
		unlink_locked(q);
	spin_unlock(&frag_lock);
	if (pieces && pieces->start == 0) {
		rcu_read_lock();
		icmp6_send_error(pieces->p, ICMP6_TIME_EXCEEDED, 1, 0);
		rcu_read_unlock();
	}
	if (is_ours && !q->is_refused) {
		mib_inc(MIB_Ip6_ReasmTimeout);
		mib_inc(MIB_Ip6_ReasmFails);
	}
	free_pieces(pieces, DROP_FRAG_TIMEOUT);
	put_refs(q, is_ours ? 2 : 1); /* the timer's, and the table's */
}

/* Makes room by ending the packet that waits longest. Its pieces are the caller's to free. */
static struct partial *
evict_locked(struct partial *but) MUST_HOLD(frag_lock)
{
	struct partial *q = list_first(&ages, struct partial, age_link);

	if (q == but)
		q = q->age_link.next == &ages
		        ? NULL
		        : list_entry(q->age_link.next, struct partial, age_link);
	if (q)
		unlink_locked(q);
	return q;
}

/* ---- Finding --------------------------------------------------------------------------- */

static struct partial *
find_locked(const struct frag_key *key) MUST_HOLD(frag_lock)
{
	struct partial *q;

	list_for_each(q, bucket_of(key), hash_link)
		if (memcmp(&q->key, key, sizeof(*key)) == 0)
			return q;
	return NULL;
}

/* Adds `fresh` if no packet has this key yet. Returns the one that has. */
static struct partial *
find_or_add_locked(const struct frag_key *key, struct partial *fresh) MUST_HOLD(frag_lock)
{
	struct partial *q = find_locked(key);

	if (q || !fresh)
		return q;
	fresh->key = *key;
	fresh->refs = 2;
	net_timer_init(&fresh->timer, on_timeout);
	list_push_back(bucket_of(key), &fresh->hash_link);
	list_push_back(&ages, &fresh->age_link);
	num_partials++;
	net_timer_arm(&fresh->timer, clock_now_ns() + REASSEMBLY_NS);
	return fresh;
}

/* ---- A piece --------------------------------------------------------------------------- */

/* RFC 8200 4.5: what can be said of the piece alone. False: dropped, and its sender told. */
static bool
check_piece(struct pkt *p, struct piece *piece, bool is_last)
{
	uint32_t len = (uint32_t)pkt_len(p) - piece->frag_off - FRAG_HEADER;
	struct ip6_ext e = {
	    .len = (uint16_t)MIN(pkt_linear(p), (size_t)IP6_EXT_MAX_LEN + IP6_HEADER),
	    .off = (uint16_t)(piece->frag_off + FRAG_HEADER),
	    .next = p->data[piece->frag_off],
	};

	piece->end = piece->start + len;
	if (!is_last && len % 8) {
		icmp6_send_error(p, ICMP6_PARAM_PROBLEM, 0, 4); /* the payload length */
	} else if (piece->frag_off - IP6_HEADER + piece->end > 0xffff) {
		icmp6_send_error(p, ICMP6_PARAM_PROBLEM, 0, piece->frag_off + 2u);
	} else if (!len || p->flags & PKT_REASSEMBLED) {
		/* carries nothing, or is a fragment of a fragment */
	} else if (piece->start == 0 &&
	           (ip6_ext_skip(p->data, &e) != IP6_EXT_OK || e.off >= e.len)) {
		icmp6_send_error(p, ICMP6_PARAM_PROBLEM, 3, 0); /* RFC 7112 5 */
	} else {
		return true;
	}
	mib_inc(MIB_Ip6_ReasmFails);
	pkt_drop(p, DROP_FRAG_BAD);
	return false;
}

enum place { PLACED, DUPLICATE, OVERLAP };

/* Into the list by offset (RFC 5722; RFC 8200 4.5: an exact copy may just be dropped). */
static enum place
place_locked(struct partial *q, struct piece *piece, bool is_last) MUST_HOLD(frag_lock)
{
	struct piece **at = &q->pieces, *prev = NULL;

	while (*at && (*at)->start < piece->start) {
		prev = *at;
		at = &prev->next;
	}
	if (*at && (*at)->start == piece->start && (*at)->end == piece->end)
		return is_last == (q->total == piece->end) ? DUPLICATE : OVERLAP;
	if ((prev && prev->end > piece->start) || (*at && (*at)->start < piece->end))
		return OVERLAP;
	if (is_last ? q->total || (*at) : q->total && piece->end > q->total)
		return OVERLAP; /* two ends, or something beyond the end */
	if (is_last)
		q->total = piece->end;
	piece->next = *at;
	*at = piece;
	q->have += piece->end - piece->start;
	q->num_pieces++;
	q->bytes += piece->p->truesize;
	num_bytes += piece->p->truesize;
	q->ecn |= (uint8_t)(1u << (piece->p->ip.tos & IP_ECN_MASK));
	return PLACED;
}

/* ---- The whole ------------------------------------------------------------------------- */

/* RFC 3168 5.3: congestion seen by one piece was seen by the packet; mixed with "not capable" it
 * is nonsense. False: drop it. */
static bool
merge_ecn(uint8_t seen, uint8_t *tos)
{
	if (!(seen & 1u << IP_ECN_CE))
		return true;
	if (seen & 1)
		return false;
	*tos |= IP_ECN_CE;
	return true;
}

/* One packet of all pieces. The headers are the first piece's (RFC 8200 4.5). */
static struct pkt *
join(const struct partial *q, struct piece *pieces, uint16_t next_pos)
{
	struct pkt *first = pieces->p, *p;
	size_t head = pieces->frag_off, len = head + q->total;
	uint8_t *data;
	uint32_t word;

	p = pkt_alloc(len);
	if (!p)
		return NULL;
	data = pkt_put(p, len);
	memcpy(data, first->data, head);
	data[next_pos] = first->data[head];
	for (const struct piece *f = pieces; f; f = f->next)
		if (!pkt_read(f->p, f->frag_off + FRAG_HEADER, data + head + f->start,
		        f->end - f->start)) {
			pkt_free(p);
			return NULL;
		}
	p->dev = first->dev;
	p->protocol = first->protocol;
	p->hash = first->hash;
	p->flags =
	    (first->flags & ~(uint32_t)(PKT_CSUM_OK | PKT_CSUM_PARTIAL | PKT_HAS_VLAN)) |
	    PKT_REASSEMBLED;
	p->stamp_ns = first->stamp_ns;
	p->l3_off = (uint16_t)(data - p->head);
	p->ip = first->ip;
	word = (uint32_t)(len - IP6_HEADER);
	data[4] = (uint8_t)(word >> 8);
	data[5] = (uint8_t)word;
	if (!merge_ecn(q->ecn, &p->ip.tos)) {
		pkt_free(p);
		return NULL;
	}
	data[0] = (uint8_t)(0x60 | p->ip.tos >> 4);
	data[1] = (uint8_t)(p->ip.tos << 4 | (data[1] & 0x0f));
	return p;
}

/* The last piece came: `q` is out of the table. */
static struct pkt *
finish(struct partial *q, struct piece *pieces, uint16_t next_pos)
{
	struct pkt *p = join(q, pieces, next_pos);

	mib_inc(p ? MIB_Ip6_ReasmOKs : MIB_Ip6_ReasmFails);
	if (!p)
		drop_count(DROP_FRAG_BAD);
	while (pieces) {
		struct piece *next = pieces->next;

		pkt_free(pieces->p);
		kfree(pieces);
		pieces = next;
	}
	put(q);
	return p;
}

/* What adding a piece led to. */
struct result {
	struct partial *whole, *evicted;
	struct piece *pieces, *old_pieces; /* of `whole` or refused ones; of `evicted` */
	enum drop_reason why; /* the piece itself is dropped, unless NUM_DROPS */
};

static void
refuse_locked(struct partial *q, struct result *r, enum drop_reason why)
    MUST_HOLD(frag_lock)
{
	q->is_refused = true;
	r->pieces = take_pieces(q);
	r->why = why;
}

static void
add_locked(struct partial *q, struct piece *piece, bool is_last, struct result *r)
    MUST_HOLD(frag_lock)
{
	if (q->is_refused) {
		r->why = DROP_FRAG_OVERLAP;
		return;
	}
	if (q->num_pieces >= MAX_PIECES) {
		refuse_locked(q, r, DROP_FRAG_LIMIT);
		return;
	}
	switch (place_locked(q, piece, is_last)) {
	case OVERLAP: refuse_locked(q, r, DROP_FRAG_OVERLAP); return;
	case DUPLICATE: r->why = DROP_FRAG_OVERLAP; return;
	case PLACED: break;
	}
	if (q->total && q->have == q->total) {
		r->pieces = take_pieces(q);
		r->whole = q;
		unlink_locked(q);
	} else if (num_bytes > MAX_BYTES || num_partials > MAX_PACKETS) {
		r->evicted = evict_locked(q);
		if (r->evicted)
			r->old_pieces = take_pieces(r->evicted);
	}
}

static struct result
add(const struct frag_key *key, struct piece *piece, bool is_last)
{
	struct partial *fresh = kzalloc(sizeof(*fresh)), *q;
	struct result r = {.why = NUM_DROPS};

	spin_lock(&frag_lock);
	q = find_or_add_locked(key, fresh);
	if (q)
		add_locked(q, piece, is_last, &r);
	else
		r.why = DROP_NO_MEMORY;
	spin_unlock(&frag_lock);
	if (q != fresh)
		kfree(fresh);
	return r;
}

struct pkt *
ip6_frag_input(struct pkt *p, uint16_t frag_off, uint16_t next_pos)
{
	const uint8_t *f = p->data + frag_off;
	struct frag_key key = {
	    .src = p->ip.src, .dst = p->ip.dst, .index = p->dev->index};
	struct piece *piece = kzalloc(sizeof(*piece));
	bool is_last = !(f[3] & 1);
	struct result r;

	mib_inc(MIB_Ip6_ReasmReqds);
	if (!piece) {
		pkt_drop(p, DROP_NO_MEMORY);
		return NULL;
	}
	memcpy(&key.id, f + 4, sizeof(key.id));
	*piece = (struct piece){
	    .p = p, .start = (uint32_t)f[2] << 8 | (f[3] & 0xf8), .frag_off = frag_off};
	if (!check_piece(p, piece, is_last)) {
		kfree(piece);
		return NULL;
	}
	r = add(&key, piece, is_last);
	if (r.why != NUM_DROPS) {
		piece->next = NULL;
		free_pieces(piece, r.why);
	}
	if (r.evicted) {
		free_pieces(r.old_pieces, DROP_FRAG_LIMIT);
		mib_inc(MIB_Ip6_ReasmFails);
		put(r.evicted);
	}
	if (r.whole)
		return finish(r.whole, r.pieces, next_pos);
	if (r.pieces)
		mib_inc(MIB_Ip6_ReasmFails);
	free_pieces(r.pieces, r.why);
	return NULL;
}

struct ip_frag_usage
ip6_frag_usage(void)
{
	struct ip_frag_usage u;

	spin_lock(&frag_lock);
	u = (struct ip_frag_usage){.datagrams = num_partials, .bytes = num_bytes};
	spin_unlock(&frag_lock);
	return u;
}

void
ip6_frag_init(void)
{
	random_bytes(&hash_key, sizeof(hash_key));
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		list_init(&buckets[i]);
}
