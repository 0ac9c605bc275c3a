/*
 * The send buffer: what the user wrote and the peer has not acknowledged, as references to pieces
 * of pages. The bytes are copied once, into pages, when they are written (or not at all:
 * sendfile); segments, also those sent again, refer to them.
 *
 * The pieces stand in a ring ordered by their position in the stream, so one is found by halving:
 * O(log n). Bytes that follow each other in memory too become one piece: many small writes take
 * few. The memory comes from a block per CPU, cut from its front.
 */
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/tcp_conn.h"

static struct tcp_chunk *
ring_of(const struct tcp_sndbuf *b)
{
	return b->ring ? b->ring : (struct tcp_chunk *)b->inline_chunks;
}

static struct tcp_chunk *
chunk_at(const struct tcp_sndbuf *b, uint32_t i)
{
	return &ring_of(b)[i & (b->cap - 1)];
}

bool
tcp_sndbuf_reserve(struct tcp_sndbuf *b, uint32_t n)
{
	uint32_t used = b->tail - b->head, cap = MAX(b->cap, TCP_INLINE_CHUNKS);
	struct tcp_chunk *ring;

	if (!b->cap)
		b->cap = TCP_INLINE_CHUNKS;
	while (cap < used + n)
		cap *= 2;
	if (cap == b->cap)
		return true;
	ring = kmalloc(cap * sizeof(*ring));
	if (!ring)
		return false;
	for (uint32_t i = 0; i < used; i++)
		ring[i] = *chunk_at(b, b->head + i);
	kfree(b->ring);
	b->ring = ring;
	b->cap = cap;
	b->head = 0;
	b->tail = used;
	return true;
}

void
tcp_sndbuf_add(struct tcp_sndbuf *b, struct page *page, uint32_t off, uint32_t len)
{
	struct tcp_chunk *last = b->head == b->tail ? NULL : chunk_at(b, b->tail - 1);
	uint32_t pos = b->pos + b->len;

	b->len += len;
	if (last && last->page == page && last->off + last->len == off) {
		last->len += len;
		page_put(page);
		return;
	}
	*chunk_at(b, b->tail++) =
	    (struct tcp_chunk){.page = page, .off = off, .len = len, .pos = pos};
}

void
tcp_sndbuf_consume(struct tcp_sndbuf *b, uint32_t n)
{
	b->pos += n;
	b->len -= n;
	while (b->head != b->tail) {
		struct tcp_chunk *c = chunk_at(b, b->head);

		if ((int32_t)(c->pos + c->len - b->pos) > 0)
			break;
		page_put(c->page);
		b->head++;
	}
	if (b->head == b->tail && b->ring) {
		kfree(b->ring);
		b->ring = NULL;
		b->cap = TCP_INLINE_CHUNKS;
	}
}

void
tcp_sndbuf_clear(struct tcp_sndbuf *b)
{
	tcp_sndbuf_consume(b, b->len);
}

/* The index of the piece with byte `off`. */
static uint32_t
find_chunk(const struct tcp_sndbuf *b, uint32_t off)
{
	uint32_t lo = b->head, hi = b->tail;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if ((int32_t)(chunk_at(b, mid)->pos - (b->pos + off)) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void
tcp_sndbuf_copy(const struct tcp_sndbuf *b, uint32_t off, uint32_t len, void *to)
{
	uint8_t *dst = to;

	for (uint32_t i = find_chunk(b, off); len; i++) {
		const struct tcp_chunk *c = chunk_at(b, i);
		uint32_t skip = b->pos + off - c->pos, n = MIN(len, c->len - skip);

		memcpy(dst, (uint8_t *)page_to_virt(c->page) + c->off + skip, n);
		dst += n;
		off += n;
		len -= n;
	}
}

uint32_t
tcp_sndbuf_span(
    const struct tcp_sndbuf *b, uint32_t off, uint32_t len, unsigned max_chunks)
{
	uint32_t first = find_chunk(b, off), last = first + max_chunks - 1, end;

	if ((int32_t)(b->tail - 1 - last) < 0)
		last = b->tail - 1;
	end = chunk_at(b, last)->pos + chunk_at(b, last)->len - b->pos;
	return MIN(len, end - off);
}

bool
tcp_sndbuf_attach(const struct tcp_sndbuf *b, uint32_t off, uint32_t len, struct pkt *p)
{
	for (uint32_t i = find_chunk(b, off); len; i++) {
		const struct tcp_chunk *c = chunk_at(b, i);
		uint32_t skip = b->pos + off - c->pos, n = MIN(len, c->len - skip);

		if (!pkt_add_frag(p, page_get(c->page), c->off + skip, n)) {
			page_put(c->page);
			return false;
		}
		off += n;
		len -= n;
	}
	return true;
}

/* ---- Blocks to cut pieces from ------------------------------------------------------------ */

enum { BLOCK_ORDER = 3 };

struct frag_block {
	struct page *page; /* [c] our reference; NULL: none */
	uint32_t used, size;
};

static PER_CPU(struct frag_block, frag_block);

/* A new block for this CPU, in place of one that is used up. */
static bool
block_refill(void)
{
	unsigned order = BLOCK_ORDER;
	struct page *page = page_alloc(order, ALLOC_ATOMIC), *old;
	struct frag_block *b;

	if (!page) {
		order = 0;
		page = page_alloc(order, ALLOC_ATOMIC);
	}
	if (!page)
		return false;
	preempt_disable();
	b = this_cpu_ptr(&frag_block);
	old = b->page;
	*b = (struct frag_block){.page = page, .size = PAGE_SIZE << order};
	preempt_enable();
	if (old)
		page_put(old);
	return true;
}

bool
tcp_frag_take(uint32_t want, struct tcp_chunk *out)
{
	for (;;) {
		struct frag_block *b;

		preempt_disable();
		b = this_cpu_ptr(&frag_block);
		if (b->page && b->used < b->size) {
			out->page = page_get(b->page);
			out->off = b->used;
			out->len = MIN(want, b->size - b->used);
			b->used += out->len;
			preempt_enable();
			return true;
		}
		preempt_enable();
		if (!block_refill())
			return false;
	}
}
