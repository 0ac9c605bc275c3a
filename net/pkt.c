/*
 * Packets: their memory. A packet is a descriptor (struct pkt) in front of counted storage (struct
 * pkt_buf) for its linear part, one object from a slab cache, which has free lists per CPU, so the
 * common path takes no lock. Storage has four sizes: small (control segments), standard (a frame of
 * 1500 bytes and headers), long (receive buffers for large frames) and any other (kmalloc). A clone
 * has a descriptor of its own and shares the storage. The array of fragments is another object, made
 * with the first fragment.
 *
 * A descriptor holds a reference on the storage behind it, its home, as long as it lives, also when
 * the bytes have moved to other storage.
 *
 * The buffers of receive rings circulate: a driver takes dozens at once to fill its
 * ring, and a reader frees dozens at once. So a CPU keeps some of each (RING_DEPTH), enough that
 * they need neither a lock nor fresh slabs on the way; another CPU's come back in batches.
 *
 * Copying in and out of packets is in net/pkt_data.c.
 */
#include "net/pkt.h"

#include "kernel/panic.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"

/* The count in a cache line of its own: counting does not touch the data's. */
struct pkt_buf {
	uint32_t refs;            /* [a] */
	uint32_t size;            /* of all, this included */
	struct slab_cache *cache; /* NULL: kmalloc */
	struct pkt desc ALIGNED(64);
	uint8_t bytes[] ALIGNED(64);
};

static struct slab_cache *clone_cache, *frags_cache, *small_cache, *standard_cache,
    *long_cache;

enum {
	SMALL_SIZE = sizeof(struct pkt_buf) + PKT_HEADROOM + PKT_SMALL,
	STANDARD_SIZE = sizeof(struct pkt_buf) + PKT_HEADROOM + PKT_LINEAR,
	LONG_SIZE = sizeof(struct pkt_buf) + PKT_HEADROOM + PKT_LONG,
	RING_DEPTH = 64,    /* buffers a magazine */
	MAX_ROOM = 1 << 20, /* nothing asks for more; keeps sums from overflowing */
};
static_assert(LONG_SIZE == 8192, "no slab takes more");

void
pkt_init(void)
{
	clone_cache = slab_cache_create("pkt_clone", sizeof(struct pkt), 64);
	frags_cache =
	    slab_cache_create("pkt_frags", PKT_MAX_FRAGS * sizeof(struct pkt_frag), 16);
	small_cache = slab_cache_create("pkt_small", SMALL_SIZE, 64);
	standard_cache =
	    slab_cache_create_deep("pkt_standard", STANDARD_SIZE, 64, RING_DEPTH);
	long_cache = slab_cache_create_deep("pkt_long", LONG_SIZE, 64, RING_DEPTH);
	ASSERT(clone_cache && frags_cache && small_cache && standard_cache && long_cache);
}

static struct pkt_buf *
buf_alloc(size_t n)
{
	struct slab_cache *cache = NULL;
	size_t size = sizeof(struct pkt_buf) + n;
	struct pkt_buf *b;

	if (size <= SMALL_SIZE) {
		cache = small_cache;
		size = SMALL_SIZE;
	} else if (size <= STANDARD_SIZE) {
		cache = standard_cache;
		size = STANDARD_SIZE;
	} else if (size <= LONG_SIZE && size > LONG_SIZE / 2) {
		cache = long_cache;
		size = LONG_SIZE;
	}
	b = cache ? slab_alloc(cache) : kmalloc(size);
	if (!b)
		return NULL;
	b->refs = 1;
	b->size = (uint32_t)size;
	b->cache = cache;
	return b;
}

static void
buf_put(struct pkt_buf *b)
{
	/* The only owner needs no locked instruction: nobody else can take a reference. */
	if (__atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) != 1 &&
	    __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (b->cache)
		slab_free(b->cache, b);
	else
		kfree(b);
}

static void
set_storage(struct pkt *p, struct pkt_buf *b)
{
	p->buf = b;
	p->head = b->bytes;
	p->end = (uint8_t *)b + b->size;
}

static struct pkt *
alloc_with(size_t headroom, size_t room)
{
	struct pkt *p;
	struct pkt_buf *b;

	if (headroom > MAX_ROOM || room > MAX_ROOM)
		return NULL;
	b = buf_alloc(headroom + room);
	if (!b)
		return NULL;
	p = &b->desc;
	memset(p, 0, offsetof(struct pkt, cb));
	set_storage(p, b);
	p->data = p->tail = p->head + headroom;
	p->truesize = b->size;
	return p;
}

struct pkt *
pkt_alloc(size_t room)
{
	return alloc_with(PKT_HEADROOM, room);
}

/* Descriptor fields that a copy or clone shares; the owner's and the storage's are not. */
static void
copy_meta(struct pkt *to, const struct pkt *from)
{
	to->dev = from->dev;
	to->flags = from->flags;
	to->hash = from->hash;
	to->l2_off = from->l2_off;
	to->l3_off = from->l3_off;
	to->l4_off = from->l4_off;
	to->protocol = from->protocol;
	to->vlan_tci = from->vlan_tci;
	to->csum_start = from->csum_start;
	to->csum_offset = from->csum_offset;
	to->gso_size = from->gso_size;
	to->gso_type = from->gso_type;
	to->gso_segs = from->gso_segs;
	to->stamp_ns = from->stamp_ns;
	to->ip = from->ip;
}

static bool
ensure_frags(struct pkt *p)
{
	if (p->frags)
		return true;
	p->frags = slab_alloc(frags_cache);
	if (!p->frags)
		return false;
	p->truesize += PKT_MAX_FRAGS * sizeof(struct pkt_frag);
	return true;
}

/* One packet of a chain, without `more`. */
static struct pkt *
clone_one(struct pkt *p)
{
	struct pkt *c = slab_alloc(clone_cache);

	if (!c)
		return NULL;
	memset(c, 0, offsetof(struct pkt, cb));
	c->is_clone = true;
	copy_meta(c, p);
	c->buf = p->buf;
	c->head = p->head;
	c->data = p->data;
	c->tail = p->tail;
	c->end = p->end;
	c->truesize = p->truesize;
	__atomic_fetch_add(&c->buf->refs, 1, __ATOMIC_RELAXED);
	if (p->num_frags && !ensure_frags(c)) {
		pkt_free(c);
		return NULL;
	}
	for (unsigned i = 0; i < p->num_frags; i++) {
		c->frags[i] = p->frags[i];
		page_get(c->frags[i].page);
		c->extra_len += c->frags[i].len;
	}
	c->num_frags = p->num_frags;
	return c;
}

struct pkt *
pkt_clone(struct pkt *p)
{
	struct pkt *c = clone_one(p);

	for (struct pkt *m = p->more; c && m; m = m->next) {
		struct pkt *mc = clone_one(m);

		if (!mc) {
			pkt_free(c);
			return NULL;
		}
		pkt_chain(c, mc);
	}
	return c;
}

struct pkt *
pkt_copy(const struct pkt *p, size_t headroom)
{
	size_t had = (size_t)(p->data - p->head), len = pkt_len(p);
	size_t front = MAX(headroom, had);
	struct pkt *c = alloc_with(front, len);

	if (!c)
		return NULL;
	copy_meta(c, p);
	memcpy(c->data - had, p->head, had);
	if (!pkt_read(p, 0, c->data, len))
		panic("pkt_copy: length %zu is not there", len);
	c->tail += len;
	pkt_shift_offsets(c, (ptrdiff_t)(front - had));
	return c;
}

void
pkt_release(struct pkt *p)
{
	if (p->release) {
		void (*fn)(void *, uint32_t) = p->release;

		p->release = NULL;
		fn(p->release_arg, p->release_charge);
	}
}

void
pkt_move_release(struct pkt *to, struct pkt *from)
{
	to->release = from->release;
	to->release_arg = from->release_arg;
	to->release_charge = from->release_charge;
	from->release = NULL;
}

/* The storage behind a descriptor; NULL: it is a clone's. */
static struct pkt_buf *
home_of(struct pkt *p)
{
	return p->is_clone ? NULL : container_of(p, struct pkt_buf, desc);
}

static void
put_frags(struct pkt *p)
{
	for (unsigned i = 0; i < p->num_frags; i++)
		page_put(p->frags[i].page);
	if (p->frags)
		slab_free(frags_cache, p->frags);
}

void
pkt_free_list(struct pkt *p)
{
	while (p) {
		struct pkt *next = p->next;

		pkt_free(p);
		p = next;
	}
}

void
pkt_free(struct pkt *p)
{
	if (!p)
		return;
	pkt_release(p);
	if (unlikely(p->more)) {
		/* Packets in `more` have none themselves: one level. */
		pkt_free_list(p->more);
	}
	if (p->frags)
		put_frags(p);
	if (p->buf != home_of(p))
		buf_put(p->buf);
	if (p->is_clone)
		slab_free(clone_cache, p);
	else
		buf_put(home_of(p));
}

void
pkt_drop(struct pkt *p, enum drop_reason why)
{
	drop_count(why);
	pkt_free(p);
}

void
pkt_shift_offsets(struct pkt *p, ptrdiff_t by)
{
	p->l2_off = (uint16_t)(p->l2_off + by);
	p->l3_off = (uint16_t)(p->l3_off + by);
	p->l4_off = (uint16_t)(p->l4_off + by);
	p->csum_start = (uint16_t)(p->csum_start + by);
	if (p->ip.opt_off)
		p->ip.opt_off = (uint16_t)(p->ip.opt_off + by);
}

/* New storage with the linear part, `front` more bytes before it and `back` behind its tail. */
static bool
move_storage(struct pkt *p, size_t front, size_t back)
{
	struct pkt_buf *b = buf_alloc((size_t)(p->tail - p->head) + front + back);
	struct pkt old = {
	    .head = p->head, .data = p->data, .tail = p->tail, .buf = p->buf};

	if (!b)
		return false;
	set_storage(p, b);
	p->data = p->head + front + (old.data - old.head);
	p->tail = p->head + front + (old.tail - old.head);
	memcpy(p->head + front, old.head, (size_t)(old.tail - old.head));
	pkt_shift_offsets(p, (ptrdiff_t)front);
	p->truesize += b->size;
	if (old.buf != home_of(p)) {
		p->truesize -= old.buf->size;
		buf_put(old.buf);
	}
	return true;
}

static bool
is_shared(const struct pkt *p)
{
	return __atomic_load_n(&p->buf->refs, __ATOMIC_ACQUIRE) > 1;
}

bool
pkt_writable(struct pkt *p, size_t headroom)
{
	size_t had = (size_t)(p->data - p->head);

	if (!is_shared(p) && had >= headroom)
		return true;
	return move_storage(p, headroom > had ? headroom - had : 0, 0);
}

bool
pkt_tailroom(struct pkt *p, size_t n)
{
	if (!is_shared(p) && (size_t)(p->end - p->tail) >= n)
		return true;
	return move_storage(p, 0, n);
}

bool
pkt_add_frag(struct pkt *p, struct page *page, uint32_t off, uint32_t len)
{
	struct pkt_frag *last;

	if (p->num_frags) {
		last = &p->frags[p->num_frags - 1];
		if (last->page == page && last->off + last->len == off) {
			last->len += len;
			p->extra_len += len;
			p->truesize += len;
			page_put(page); /* one reference is enough */
			return true;
		}
	}
	if (p->num_frags == PKT_MAX_FRAGS || !ensure_frags(p))
		return false;
	p->frags[p->num_frags++] =
	    (struct pkt_frag){.page = page, .off = off, .len = len};
	p->extra_len += len;
	p->truesize += len;
	return true;
}

void
pkt_chain(struct pkt *p, struct pkt *more)
{
	more->next = NULL;
	if (p->more)
		p->more_tail->next = more;
	else
		p->more = more;
	p->more_tail = more;
	p->extra_len += (uint32_t)pkt_len(more);
	p->truesize += more->truesize;
}

/* ---- Queues ----------------------------------------------------------------------- */

void
pkt_queue_push(struct pkt_queue *q, struct pkt *p)
{
	p->next = NULL;
	if (q->first)
		q->last->next = p;
	else
		q->first = p;
	q->last = p;
	q->count++;
	q->truesize += p->truesize;
}

void
pkt_queue_push_front(struct pkt_queue *q, struct pkt *p)
{
	p->next = q->first;
	q->first = p;
	if (!p->next)
		q->last = p;
	q->count++;
	q->truesize += p->truesize;
}

struct pkt *
pkt_queue_pop(struct pkt_queue *q)
{
	struct pkt *p = q->first;

	if (!p)
		return NULL;
	q->first = p->next;
	q->count--;
	q->truesize -= p->truesize;
	p->next = NULL;
	return p;
}

void
pkt_queue_splice(struct pkt_queue *to, struct pkt_queue *from)
{
	if (!from->first)
		return;
	if (to->first)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	to->count += from->count;
	to->truesize += from->truesize;
	*from = (struct pkt_queue){0};
}

void
pkt_queue_free(struct pkt_queue *q)
{
	pkt_free_list(q->first);
	*q = (struct pkt_queue){0};
}
