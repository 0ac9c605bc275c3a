/*
 * IPv4 reassembly (RFC 791 3.2, RFC 815's problem, RFC 1122 3.3.2, RFC 1858, RFC 5722's rule on
 * overlaps).
 *
 * Datagrams in the making are spread over shards by a keyed hash of source, destination, protocol
 * and identification. A shard has a lock, a short hash chain, and its datagrams in order of age; one
 * timer drops those older than LIFETIME. A datagram's pieces are kept sorted; those that arrive in
 * order, forwards or backwards, find their place at once.
 *
 * Limits: all pieces together take at most HIGH bytes, a shard has at most MAX_OF_SHARD datagrams;
 * when a piece would pass that, the oldest datagrams of its shard go first. One source (by a hashed counter) may hold at most an eighth, so that
 * a flood from one leaves room for the others. A datagram has at most MAX_PIECES pieces.
 *
 * Overlaps are refused: they come from no honest sender and let a packet look different to a filter
 * than to us. The whole datagram is dropped, and what still comes of it until its time is over. A
 * piece that came twice exactly is dropped alone.
 */
#include "kernel/random.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip4.h"
#include "net/net_timer.h"

enum {
	NUM_SHARDS = 64,
	NUM_SOURCES = 1024,
	HIGH = 4 << 20,
	SOURCE_MAX = HIGH / 8,
	MAX_PIECES = 1400,  /* 64 KiB over links of 68 bytes */
	MAX_OF_SHARD = 256, /* datagrams, poisoned ones too */
	MAX_DATAGRAM = 65535,
};
static const nsec_t LIFETIME = 30 * NSEC_PER_SEC;

enum { ECN_MASK = 3, ECN_CE = 3 };

struct piece { /* in pkt->cb */
	uint16_t off, len;
	uint8_t ecn;
};

struct datagram {
	struct list link; /* [shard] oldest first */
	struct ip_addr src, dst;
	uint16_t id;
	uint8_t proto;
	bool is_poisoned; /* an overlap was seen: nothing is kept */
	bool has_end;
	uint32_t end; /* length of the payload, once known; else of what came */
	uint32_t received, memory; /* payload bytes; truesize */
	unsigned count;
	struct pkt *first, *last; /* pieces by offset, linked by next */
	nsec_t until_ns;
};

struct shard {
	struct spinlock lock;
	struct list datagrams;
	unsigned count;
	struct net_timer timer;
};

static struct shard shards[NUM_SHARDS];
static uint32_t memory_used;          /* [a] */
static uint32_t sources[NUM_SOURCES]; /* [a] memory by hashed source */
static struct siphash_key key;

static struct piece *
piece_of(struct pkt *p)
{
	static_assert(sizeof(struct piece) <= sizeof(p->cb), "fits");
	return (struct piece *)p->cb;
}

static uint32_t *
source_counter(const struct ip_addr *src)
{
	return &sources[siphash13(&key, src, sizeof(*src)) % NUM_SOURCES];
}

static struct shard *
shard_of(const struct pkt *p, uint16_t id)
{
	struct {
		be32 src, dst;
		uint64_t rest;
	} in = {p->ip.src.v4, p->ip.dst.v4, (uint64_t)p->ip.proto << 16 | id};

	return &shards[siphash13(&key, &in, sizeof(in)) % NUM_SHARDS];
}

/* ---- Datagrams --------------------------------------------------------------------------- */

static void
charge(struct datagram *d, uint32_t n)
{
	d->memory += n;
	__atomic_add_fetch(&memory_used, n, __ATOMIC_RELAXED);
	__atomic_add_fetch(source_counter(&d->src), n, __ATOMIC_RELAXED);
}

static void
uncharge(struct datagram *d)
{
	__atomic_sub_fetch(&memory_used, d->memory, __ATOMIC_RELAXED);
	__atomic_sub_fetch(source_counter(&d->src), d->memory, __ATOMIC_RELAXED);
	d->memory = 0;
}

/* Its pieces, taken off, as a list. */
static struct pkt *
strip(struct datagram *d)
{
	struct pkt *pieces = d->first;

	uncharge(d);
	d->first = d->last = NULL;
	d->count = 0;
	d->received = 0;
	return pieces;
}

static void
unlink_datagram(struct shard *s, struct datagram *d) MUST_HOLD(s->lock)
{
	list_remove(&d->link);
	s->count--;
}

static struct datagram *
find(struct shard *s, const struct pkt *p, uint16_t id) MUST_HOLD(s->lock)
{
	struct datagram *d;

	list_for_each(d, &s->datagrams, link)
		if (d->id == id && d->proto == p->ip.proto &&
		    ip_equal(&d->src, &p->ip.src) && ip_equal(&d->dst, &p->ip.dst))
			return d;
	return NULL;
}

static void
drop_list(struct pkt *p, enum drop_reason why)
{
	struct pkt *next;

	for (; p; p = next) {
		next = p->next;
		p->next = NULL;
		pkt_drop(p, why);
	}
}

/* ---- Pieces ------------------------------------------------------------------------------ */

enum fit { FIT_IN, FIT_TWICE, FIT_OVERLAPS };

/* Where the piece belongs: after *prev (NULL: first). */
static enum fit
place_of(struct datagram *d, const struct piece *new, struct pkt **prev)
{
	struct pkt *q;

	*prev = NULL;
	if (d->last && new->off >= piece_of(d->last)->off + piece_of(d->last)->len) {
		*prev = d->last;
		return FIT_IN;
	}
	for (q = d->first; q; q = q->next) {
		const struct piece *old = piece_of(q);

		if (old->off == new->off && old->len == new->len)
			return FIT_TWICE;
		if (old->off >= new->off + new->len)
			return FIT_IN;
		if (old->off + old->len > new->off)
			return FIT_OVERLAPS;
		*prev = q;
	}
	return FIT_IN;
}

/* Does it agree with where the datagram ends? */
static bool
agrees_with_end(const struct datagram *d, const struct piece *new, bool is_last)
{
	uint32_t end = new->off + new->len;

	if (d->has_end)
		return is_last ? end == d->end : end <= d->end;
	return !is_last || end >= d->end;
}

static void
insert(struct datagram *d, struct pkt *p, struct pkt *prev, bool is_last)
{
	const struct piece *new = piece_of(p);
	uint32_t end = new->off + new->len;

	p->next = prev ? prev->next : d->first;
	if (prev)
		prev->next = p;
	else
		d->first = p;
	if (!p->next)
		d->last = p;
	d->has_end = d->has_end || is_last;
	d->end = end > d->end ? end : d->end;
	d->received += new->len;
	d->count++;
	charge(d, p->truesize);
}

/* RFC 3168 5.3: congestion seen by one is seen by all; a mix with not-capable is a lie. */
static bool
merge_ecn(const struct datagram *d, uint8_t *ecn)
{
	bool has_not_capable = false, has_ce = false;

	for (struct pkt *q = d->first; q; q = q->next) {
		has_not_capable |= piece_of(q)->ecn == 0;
		has_ce |= piece_of(q)->ecn == ECN_CE;
	}
	*ecn = has_ce ? ECN_CE : piece_of(d->first)->ecn;
	return !(has_ce && has_not_capable);
}

/* All pieces are there: the first takes the others on, its header tells of the whole. */
static struct pkt *
join(struct datagram *d)
{
	struct pkt *p = d->first, *next = p->next, *q;
	struct ip4_header *h;
	uint8_t ecn;

	if (!merge_ecn(d, &ecn) || !pkt_writable(p, 0)) {
		drop_list(strip(d), DROP_FRAG_BAD);
		return NULL;
	}
	(void)strip(d);
	p->next = NULL;
	p->l3_off = (uint16_t)(p->data - p->head);
	if (p->ip.opt_off)
		p->ip.opt_off = (uint16_t)(p->l3_off + sizeof(*h));
	h = (struct ip4_header *)p->data;
	h->len = be16_of((uint16_t)(p->ip.hdr_len + d->end));
	h->frag = be16_of(0);
	h->tos = p->ip.tos = (uint8_t)((h->tos & ~ECN_MASK) | ecn);
	ip4_set_csum(h, p->ip.hdr_len);
	p->data += p->ip.hdr_len;
	p->ip.payload_len = (uint16_t)d->end;
	p->flags = (p->flags & ~(uint32_t)(PKT_CSUM_OK | PKT_HAS_HASH)) | PKT_REASSEMBLED;
	while ((q = next)) {
		next = q->next;
		q->next = NULL;
		q->data += q->ip.hdr_len;
		pkt_chain(p, q);
	}
	return p;
}

/* ---- Age and limits ---------------------------------------------------------------------- */

/* The oldest leaves the shard; NULL: there is none, or with `due`, none is old enough. */
static struct datagram *
take_oldest(struct shard *s, nsec_t due) MUST_HOLD(s->lock)
{
	struct datagram *d = list_first(&s->datagrams, struct datagram, link);

	if (!d || d->until_ns > due)
		return NULL;
	unlink_datagram(s, d);
	return d;
}

/* RFC 1122 3.3.2: the sender hears of it if the first fragment, which says whose it was, had come. */
static void
time_out(struct datagram *d)
{
	struct pkt *pieces = strip(d);

	mib_inc(MIB_Ip_ReasmTimeout);
	mib_inc(MIB_Ip_ReasmFails);
	if (pieces && piece_of(pieces)->off == 0) {
		rcu_read_lock();
		icmp4_send_error(pieces, ICMP4_TIME_EXCEEDED, 1, 0);
		rcu_read_unlock();
	}
	drop_list(pieces, DROP_FRAG_TIMEOUT);
	kfree(d);
}

static void
shard_due(struct net_timer *t)
{
	struct shard *s = container_of(t, struct shard, timer);
	struct datagram *d;
	nsec_t next = 0;

	for (;;) {
		spin_lock(&s->lock);
		d = take_oldest(s, clock_now_ns());
		if (!d && !list_is_empty(&s->datagrams))
			next = list_first(&s->datagrams, struct datagram, link)->until_ns;
		spin_unlock(&s->lock);
		if (!d)
			break;
		time_out(d);
	}
	if (next)
		net_timer_arm(t, next);
}

static bool
is_full(const struct shard *s, uint32_t n)
{
	return __atomic_load_n(&memory_used, __ATOMIC_RELAXED) + n > HIGH ||
	       __atomic_load_n(&s->count, __ATOMIC_RELAXED) >= MAX_OF_SHARD;
}

/* Makes room for a datagram and `n` bytes. False: there is none. */
static bool
make_room(struct shard *s, uint32_t n)
{
	while (is_full(s, n)) {
		struct datagram *d;

		spin_lock(&s->lock);
		d = take_oldest(s, UINT64_MAX);
		spin_unlock(&s->lock);
		if (!d)
			return false;
		mib_inc(MIB_Ip_ReasmFails);
		drop_list(strip(d), DROP_FRAG_LIMIT);
		kfree(d);
	}
	return true;
}

/* ---- ip4_reassemble ---------------------------------------------------------------------- */

/* Offset and length; false: it cannot be part of anything. */
static bool
measure(struct pkt *p, bool *is_last)
{
	const struct ip4_header *h = (const struct ip4_header *)p->data;
	unsigned frag = be16_get(h->frag), off = (frag & IP4_OFFSET) * 8;

	*is_last = !(frag & IP4_MF);
	*piece_of(p) = (struct piece){
	    .off = (uint16_t)off, .len = p->ip.payload_len, .ecn = h->tos & ECN_MASK};
	return p->ip.payload_len && (*is_last || p->ip.payload_len % 8 == 0) &&
	       off + p->ip.payload_len + p->ip.hdr_len <= MAX_DATAGRAM;
}

static struct datagram *
find_or_make(struct shard *s, const struct pkt *p, uint16_t id, struct datagram **fresh)
    MUST_HOLD(s->lock)
{
	struct datagram *d = find(s, p, id);

	if (d || !*fresh || s->count >= MAX_OF_SHARD)
		return d;
	d = *fresh;
	*fresh = NULL;
	*d = (struct datagram){.src = p->ip.src,
	    .dst = p->ip.dst,
	    .id = id,
	    .proto = p->ip.proto,
	    .until_ns = clock_now_ns() + LIFETIME};
	if (list_is_empty(&s->datagrams))
		net_timer_arm(&s->timer, d->until_ns);
	list_push_back(&s->datagrams, &d->link);
	s->count++;
	return d;
}

/* Adds the piece. *bad gets what is to be dropped, for reason *why; the result is the whole. */
static struct pkt *
add(struct shard *s, struct datagram *d, struct pkt *p, bool is_last, struct pkt **bad,
    enum drop_reason *why) MUST_HOLD(s->lock)
{
	struct pkt *prev, *whole;
	enum fit fit = place_of(d, piece_of(p), &prev);

	*bad = p;
	*why = DROP_FRAG_OVERLAP;
	if (d->is_poisoned || fit == FIT_TWICE)
		return NULL;
	if (fit == FIT_OVERLAPS || !agrees_with_end(d, piece_of(p), is_last) ||
	    d->count >= MAX_PIECES) {
		if (fit == FIT_OVERLAPS)
			mib_inc(MIB_IpExt_ReasmOverlaps);
		mib_inc(MIB_Ip_ReasmFails);
		p->next = strip(d);
		d->is_poisoned = true;
		return NULL;
	}
	*bad = NULL;
	insert(d, p, prev, is_last);
	if (!d->has_end || d->received != d->end)
		return NULL;
	unlink_datagram(s, d);
	whole = join(d);
	mib_inc(whole ? MIB_Ip_ReasmOKs : MIB_Ip_ReasmFails);
	kfree(d);
	return whole;
}

struct pkt *
ip4_reassemble(struct pkt *p)
{
	uint16_t id = be16_get(((const struct ip4_header *)p->data)->id);
	struct shard *s = shard_of(p, id);
	enum drop_reason why = DROP_FRAG_LIMIT;
	struct datagram *fresh, *d;
	struct pkt *whole = NULL, *bad = p;
	bool is_last;

	mib_inc(MIB_Ip_ReasmReqds);
	if (!measure(p, &is_last)) {
		mib_inc(MIB_Ip_ReasmFails);
		pkt_drop(p, DROP_FRAG_BAD);
		return NULL;
	}
	if (__atomic_load_n(source_counter(&p->ip.src), __ATOMIC_RELAXED) + p->truesize >
	        SOURCE_MAX ||
	    !make_room(s, p->truesize)) {
		mib_inc(MIB_Ip_ReasmFails);
		pkt_drop(p, DROP_FRAG_LIMIT);
		return NULL;
	}
	fresh = kmalloc(sizeof(*fresh));
	spin_lock(&s->lock);
	d = find_or_make(s, p, id, &fresh);
	if (d)
		whole = add(s, d, p, is_last, &bad, &why);
	spin_unlock(&s->lock);
	kfree(fresh);
	drop_list(bad, why);
	return whole;
}

struct ip_frag_usage
ip4_frag_usage(void)
{
	struct ip_frag_usage u = {
	    .bytes = __atomic_load_n(&memory_used, __ATOMIC_RELAXED)};

	for (unsigned i = 0; i < NUM_SHARDS; i++) {
		spin_lock(&shards[i].lock);
		u.datagrams += shards[i].count;
		spin_unlock(&shards[i].lock);
	}
	return u;
}

void
ip4_frag_init(void)
{
	random_bytes(&key, sizeof(key));
	for (unsigned i = 0; i < NUM_SHARDS; i++) {
		spin_init(&shards[i].lock, "ip4_frag", RANK_NET_TABLE);
		list_init(&shards[i].datagrams);
		net_timer_init(&shards[i].timer, shard_due);
	}
}
