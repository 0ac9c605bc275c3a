/* The device's side of a split virtqueue; see virtio_device.h. */
#include "tests/models/virtio_device.h"

#include <string.h>

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)v);
	put16(p + 2, (uint16_t)(v >> 16));
}

static uint32_t
get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, DESC = 16 };

static uint8_t *
at(const struct model_queue *q, uint64_t addr)
{
	return q->at ? q->at(addr) : (uint8_t *)(uintptr_t)addr;
}

/* Adds what one descriptor describes; the order is out before in (2.7.4.2). */
static void
add_buf(const struct model_queue *q, struct model_chain *c, const uint8_t *d)
{
	unsigned n = c->num_out + c->num_in;

	if (n == MODEL_MAX_BUFS) {
		c->fault = "chain too long";
		return;
	}
	c->bufs[n].addr = at(q, get64(d));
	c->bufs[n].len = get32(d + 8);
	if (get16(d + 12) & WRITE)
		c->num_in++;
	else if (c->num_in)
		c->fault = "to be read after to be written";
	else
		c->num_out++;
}

static void
follow(const struct model_queue *q, struct model_chain *c, const uint8_t *table,
    unsigned size, unsigned i_at, bool is_indirect)
{
	for (unsigned i = 0; i < size && !c->fault; i++) {
		const uint8_t *d = table + i_at * DESC;
		uint16_t flags = get16(d + 12);

		if (flags & INDIRECT) {
			uint32_t len = get32(d + 8);

			if (is_indirect || flags & NEXT || len % DESC || !len) {
				c->fault = "bad table";
				return;
			}
			follow(q, c, at(q, get64(d)), len / DESC, 0, true);
			return;
		}
		add_buf(q, c, d);
		if (!(flags & NEXT))
			return;
		i_at = get16(d + 14);
		if (i_at >= size) {
			c->fault = "next is outside";
			return;
		}
	}
	if (!c->fault)
		c->fault = "chain is a circle";
}

bool
model_pop(struct model_queue *q, struct model_chain *c)
{
	if (get16(q->avail + 2) == q->last_avail)
		return false;
	memset(c, 0, sizeof(*c));
	c->head = get16(q->avail + 4 + 2 * (q->last_avail % q->size));
	q->last_avail++;
	if (c->head >= q->size)
		c->fault = "head is outside";
	else
		follow(q, c, q->desc, q->size, c->head, false);
	return true;
}

bool
model_push(struct model_queue *q, uint32_t id, uint32_t len)
{
	uint8_t *e = q->used + 4 + 8 * (q->used_idx % q->size);
	uint16_t old = q->signalled, event;

	put32(e, id);
	put32(e + 4, len);
	model_set_used_idx(q, (uint16_t)(q->used_idx + 1));
	if (!q->has_event_idx)
		return !(get16(q->avail) & 1);
	event = get16(q->avail + 4 + 2 * q->size);
	if ((uint16_t)(q->used_idx - event - 1) >= (uint16_t)(q->used_idx - old))
		return false;
	q->signalled = q->used_idx;
	return true;
}

void
model_want_kick(struct model_queue *q, bool is_wanted)
{
	put16(q->used, is_wanted ? 0 : 1);
	put16(q->used + 4 + 8 * q->size,
	    (uint16_t)(is_wanted ? q->last_avail : q->last_avail - 1));
}

void
model_set_used_idx(struct model_queue *q, uint16_t idx)
{
	q->used_idx = idx;
	put16(q->used + 2, idx);
}
