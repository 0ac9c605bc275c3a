/*
 * The split ring. The driver writes descriptors, then the head's number into the available
 * ring, then the ring's index; the device writes id and length into the used ring, then
 * its index. Indices run freely over 16 bits; an entry's place is the index modulo size.
 *
 * x86 keeps stores in order, so a release store of the index is a plain one. A full fence
 * is needed where one side writes its index and then reads what the other wants to be told
 * (2.7.7.1, 2.7.10.1): the two must not pass each other.
 */
#include "drivers/virtio/ring.h"

#include "kernel/panic.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"

enum {
	AVAIL_NO_INTERRUPT = 1 << 0,
	USED_NO_NOTIFY = 1 << 0,
	NO_SLOT = 0xffff,
	INDIRECT_FROM = 3, /* buffers: two descriptors cost less than a table */
};

/* Offsets within the queue's memory. */
struct layout {
	size_t avail, used, tables, end;
};

static struct layout
layout_of(const struct virtq_config *c)
{
	struct layout l;

	l.avail = c->size * sizeof(struct virtq_desc);
	l.used = ALIGN_UP(
	    l.avail + sizeof(struct virtq_avail) + (c->size + 1) * sizeof(uint16_t), 4ul);
	l.tables =
	    ALIGN_UP(l.used + sizeof(struct virtq_used) +
	                 c->size * sizeof(struct virtq_used_elem) + sizeof(uint16_t),
	        16ul);
	l.end =
	    l.tables + (size_t)c->num_tables * c->table_len * sizeof(struct virtq_desc);
	return l;
}

size_t
virtq_bytes(const struct virtq_config *c)
{
	return layout_of(c).end;
}

enum err
virtq_init(struct virtq *q, const struct virtq_config *c, const struct dma_buf *mem)
{
	struct layout l = layout_of(c);
	uint8_t *base = mem->cpu;

	ASSERT(is_power_of_2(c->size) && c->size <= 32768 && l.end <= mem->size);
	*q = (struct virtq){.config = *c};
	q->slots = kcalloc(c->size, sizeof(q->slots[0]));
	q->free_tables = kcalloc(MAX(c->num_tables, 1u), sizeof(q->free_tables[0]));
	if (!q->slots || !q->free_tables) {
		virtq_fini(q);
		return ERR_NOMEM;
	}
	q->desc = (struct virtq_desc *)base;
	q->avail = (struct virtq_avail *)(base + l.avail);
	q->used = (struct virtq_used *)(base + l.used);
	q->tables = (struct virtq_desc *)(base + l.tables);
	q->desc_addr = mem->addr;
	q->avail_addr = mem->addr + l.avail;
	q->used_addr = mem->addr + l.used;
	q->tables_addr = mem->addr + l.tables;
	memset(base, 0, l.end);
	for (unsigned i = 0; i < c->size; i++)
		q->slots[i].next = (uint16_t)(i + 1 < c->size ? i + 1 : NO_SLOT);
	q->num_free = c->size;
	for (unsigned i = 0; i < c->num_tables; i++)
		q->free_tables[q->num_free_tables++] = (int16_t)i;
	return OK;
}

void
virtq_fini(struct virtq *q)
{
	kfree(q->slots);
	kfree(q->free_tables);
	*q = (struct virtq){.is_broken = true};
}

unsigned
virtq_num_out(const struct virtq *q)
{
	return q->config.size - q->num_free;
}

/* ---- Giving ------------------------------------------------------------------------ */

static bool
is_for_table(const struct virtq *q, unsigned len)
{
	return len >= INDIRECT_FROM && len <= q->config.table_len && q->num_free_tables;
}

bool
virtq_has_room(const struct virtq *q, unsigned len)
{
	return q->num_free >= (is_for_table(q, len) ? 1 : len);
}

static uint16_t
write_flag(unsigned i, unsigned num_out)
{
	return i >= num_out ? VIRTQ_DESC_WRITE : 0;
}

/* Puts all buffers into a table and one descriptor that points at it. */
static void
fill_table(struct virtq *q, unsigned head, const struct virtq_buf *bufs, unsigned num_out,
    unsigned n)
{
	int16_t table = q->free_tables[--q->num_free_tables];
	size_t first = (size_t)table * q->config.table_len;
	struct virtq_desc *t = &q->tables[first];

	for (unsigned i = 0; i < n; i++) {
		bool is_last = i + 1 == n;

		t[i] = (struct virtq_desc){
		    .addr = bufs[i].addr,
		    .len = bufs[i].len,
		    .flags = write_flag(i, num_out) | (is_last ? 0 : VIRTQ_DESC_NEXT),
		    .next = (uint16_t)(is_last ? 0 : i + 1),
		};
	}
	q->desc[head] = (struct virtq_desc){
	    .addr = q->tables_addr + first * sizeof(*t),
	    .len = n * (uint32_t)sizeof(*t),
	    .flags = VIRTQ_DESC_INDIRECT,
	};
	q->slots[head].table = table;
	q->slots[head].num = 1;
	q->free_head = q->slots[head].next;
	q->num_free--;
}

static void
fill_chain(struct virtq *q, unsigned head, const struct virtq_buf *bufs, unsigned num_out,
    unsigned n)
{
	unsigned at = head;

	for (unsigned i = 0; i < n; i++) {
		bool is_last = i + 1 == n;
		uint16_t next = q->slots[at].next;

		q->desc[at] = (struct virtq_desc){
		    .addr = bufs[i].addr,
		    .len = bufs[i].len,
		    .flags = write_flag(i, num_out) | (is_last ? 0 : VIRTQ_DESC_NEXT),
		    .next = is_last ? 0 : next,
		};
		if (is_last)
			q->free_head = next;
		at = next;
	}
	q->slots[head].table = -1;
	q->slots[head].num = (uint16_t)n;
	q->num_free -= n;
}

/* One buffer alone, as receive rings have them: no loops. */
static void
fill_one(struct virtq *q, unsigned head, const struct virtq_buf *b, bool is_in)
{
	struct virtq_slot *s = &q->slots[head];

	q->desc[head] = (struct virtq_desc){
	    .addr = b->addr, .len = b->len, .flags = is_in ? VIRTQ_DESC_WRITE : 0};
	s->table = -1;
	s->num = 1;
	s->in_len = is_in ? b->len : 0;
	q->free_head = s->next;
	q->num_free--;
}

/* Out of line, so that the case of one buffer saves no registers for it. */
static __attribute__((noinline)) void
fill_many(struct virtq *q, unsigned head, const struct virtq_buf *bufs, unsigned num_out,
    unsigned n)
{
	uint32_t in_len = 0;

	for (unsigned i = num_out; i < n; i++)
		in_len += bufs[i].len;
	q->slots[head].in_len = in_len;
	if (is_for_table(q, n))
		fill_table(q, head, bufs, num_out, n);
	else
		fill_chain(q, head, bufs, num_out, n);
}

enum err
virtq_add(struct virtq *q, const struct virtq_buf *bufs, unsigned num_out,
    unsigned num_in, void *cookie)
{
	unsigned n = num_out + num_in, head = q->free_head;

	ASSERT(n > 0 && cookie);
	if (q->is_broken)
		return ERR_IO;
	if (!virtq_has_room(q, n))
		return ERR_BUSY;
	if (n == 1)
		fill_one(q, head, bufs, num_in);
	else
		fill_many(q, head, bufs, num_out, n);
	q->slots[head].cookie = cookie;
	q->avail->ring[q->avail_idx & (q->config.size - 1)] = (uint16_t)head;
	q->avail_idx++;
	__atomic_store_n(&q->avail->idx, q->avail_idx, __ATOMIC_RELEASE);
	return OK;
}

/* Where the device says at which available index it wants a kick (2.7.10). */
static uint16_t *
avail_event(const struct virtq *q)
{
	return (uint16_t *)&q->used->ring[q->config.size];
}

/* Where we say at which used index we want an interrupt (2.7.8). */
static uint16_t *
used_event(const struct virtq *q)
{
	return &q->avail->ring[q->config.size];
}

bool
virtq_needs_kick(struct virtq *q)
{
	uint16_t old = q->kicked_idx, new = q->avail_idx, event;

	if (new == old || q->is_broken)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->kicked_idx = new;
	if (!q->config.has_event_idx)
		return !(
		    __atomic_load_n(&q->used->flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY);
	/* Whether `event` is in [old, new), modulo 2^16. */
	event = __atomic_load_n(avail_event(q), __ATOMIC_RELAXED);
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* ---- Taking ------------------------------------------------------------------------ */

static void
break_queue(struct virtq *q, enum virtq_fault fault)
{
	q->is_broken = true;
	q->fault = fault;
}

/* Gives the chain's descriptors back to the free list; returns its cookie. */
static void *
free_chain(struct virtq *q, unsigned head)
{
	struct virtq_slot *s = &q->slots[head];
	void *cookie = s->cookie;
	unsigned last = head;

	for (unsigned i = 1; i < s->num; i++)
		last = q->slots[last].next;
	q->slots[last].next = q->free_head;
	q->free_head = (uint16_t)head;
	q->num_free += s->num;
	if (s->table >= 0)
		q->free_tables[q->num_free_tables++] = s->table;
	s->cookie = NULL;
	return cookie;
}

void *
virtq_get(struct virtq *q, uint32_t *len)
{
	uint16_t used_idx, pending;
	uint32_t id;

	if (q->is_broken)
		return NULL;
	used_idx = __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
	pending = (uint16_t)(used_idx - q->last_used);
	if (pending == 0)
		return NULL;
	if (pending > virtq_num_out(q)) {
		break_queue(q, VIRTQ_BAD_INDEX);
		return NULL;
	}

	const struct virtq_used_elem *e =
	    &q->used->ring[q->last_used & (q->config.size - 1)];

	/* Once each: the device could change them under us. */
	id = __atomic_load_n(&e->id, __ATOMIC_RELAXED);
	*len = __atomic_load_n(&e->len, __ATOMIC_RELAXED);
	if (id >= q->config.size || !q->slots[id].cookie) {
		break_queue(q, VIRTQ_BAD_ID);
		return NULL;
	}
	if (*len > q->slots[id].in_len) {
		break_queue(q, VIRTQ_BAD_LENGTH);
		return NULL;
	}
	q->last_used++;
	return free_chain(q, id);
}

void *
virtq_take_back(struct virtq *q)
{
	for (unsigned i = 0;
	     q->slots && q->num_free < q->config.size && i < q->config.size; i++)
		if (q->slots[i].cookie)
			return free_chain(q, i);
	return NULL;
}

void
virtq_irq_off(struct virtq *q)
{
	/* With event indices nothing is to do: none comes before a new one is named. */
	if (!q->config.has_event_idx && !q->is_broken)
		q->avail->flags = AVAIL_NO_INTERRUPT;
}

/* Names the interrupt after `n` more chains; false: they have come already. */
static bool
arm(struct virtq *q, uint16_t n)
{
	uint16_t idx;

	if (q->is_broken)
		return true;
	if (q->config.has_event_idx)
		__atomic_store_n(
		    used_event(q), (uint16_t)(q->last_used + n), __ATOMIC_RELAXED);
	else
		q->avail->flags = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	idx = __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
	return (uint16_t)(idx - q->last_used) <= n;
}

bool
virtq_irq_on(struct virtq *q)
{
	return arm(q, 0);
}

bool
virtq_irq_on_later(struct virtq *q)
{
	/* Chains that are out, not descriptors; those with a table count one. */
	uint16_t out = (uint16_t)(q->avail_idx - q->last_used);

	return arm(q, out / 2);
}
