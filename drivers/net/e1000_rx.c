/*
 * Intel 8254x and 82574: the receive ring. Each descriptor has a buffer of 2048 bytes, a
 * packet of its own, all the time: when one is filled, its packet goes up and a fresh one
 * takes its place; when there is no memory for a fresh one, the frame is lost and the
 * buffer stays. So the ring never runs dry. A short frame is copied into a small packet
 * instead, and its buffer stays too. A frame that fills several buffers becomes one packet
 * with the others chained behind it.
 *
 * The device writes where the CPU reads without asking anybody: nothing a descriptor says
 * is believed. A length beyond the buffer, an error, or a chain without end costs only the
 * frame.
 */
#include "drivers/net/e1000_priv.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/ether.h"

enum { OFFER_EVERY = 32 }; /* buffers, while many are cleaned */

/* One descriptor as both formats tell it. */
struct received {
	unsigned len;
	uint8_t status, errors;
	uint16_t vlan_tci;
	uint32_t hash;
	bool has_hash;
};

/* ---- Buffers ----------------------------------------------------------------------- */

static uint64_t
bounce_addr(const struct e1000_rx *rx, unsigned i)
{
	return rx->bounce.addr + (uint64_t)i * E1000_RX_BUF;
}

static bool
is_reachable(const struct e1000 *e, uint64_t addr)
{
	uint64_t last = addr + E1000_RX_BUF - 1;

	if (last >= e->dma_end)
		return false;
	return !(e->quirks & E1000_64K_BUG) || addr >> 16 == last >> 16;
}

/* Gives descriptor i to the device. */
static void
arm(struct e1000_queue *q, unsigned i)
{
	struct e1000_rx *rx = &q->rx;
	uint64_t addr = virt_to_phys(rx->pkts[i]->data);

	if (rx->bounce.cpu && !is_reachable(q->e, addr))
		addr = bounce_addr(rx, i);
	rx->desc[i].addr = addr;
	__atomic_store_n(&rx->desc[i].info, 0, __ATOMIC_RELEASE);
}

/* The bytes of descriptor i are where its packet's data begins. */
static void
fetch(struct e1000_queue *q, unsigned i, unsigned len)
{
	struct e1000_rx *rx = &q->rx;

	if (rx->bounce.cpu && !is_reachable(q->e, virt_to_phys(rx->pkts[i]->data)))
		memcpy(rx->pkts[i]->data,
		    (uint8_t *)rx->bounce.cpu + (size_t)i * E1000_RX_BUF, len);
}

/*
 * A buffer that the device can write. Where it can not reach all memory there is a bounce
 * area; that crossing 64 KiB needs one too is rare, slabs being aligned blocks.
 */
static struct pkt *
new_buffer(struct e1000_queue *q)
{
	struct pkt *p = pkt_alloc(E1000_RX_BUF);

	if (p && !q->rx.bounce.cpu && !is_reachable(q->e, virt_to_phys(p->data))) {
		pkt_free(p);
		return NULL;
	}
	return p;
}

/* ---- Life of the ring --------------------------------------------------------------- */

enum err
e1000_rx_alloc(struct e1000_queue *q)
{
	struct e1000_rx *rx = &q->rx;
	enum err err = dev_dma_alloc(
	    q->e->dev, &rx->ring, E1000_RING * sizeof(rx->desc[0]), PAGE_SIZE);

	if (err != OK)
		return err;
	rx->desc = rx->ring.cpu;
	rx->is_extended = q->e->quirks & E1000_IS_82574;
	rx->pkts = kcalloc(E1000_RING, sizeof(struct pkt *));
	if (!rx->pkts)
		return ERR_NOMEM;
	if (q->e->dma_end >= page_array_frames << PAGE_SHIFT)
		return OK;
	return dev_dma_alloc(
	    q->e->dev, &rx->bounce, E1000_RING * E1000_RX_BUF, PAGE_SIZE);
}

void
e1000_rx_free(struct e1000_queue *q)
{
	kfree(q->rx.pkts);
	q->rx.pkts = NULL;
}

enum err
e1000_rx_fill(struct e1000_queue *q)
{
	for (unsigned i = 0; i < E1000_RING; i++) {
		if (q->rx.pkts[i])
			continue;
		q->rx.pkts[i] = new_buffer(q);
		if (!q->rx.pkts[i]) {
			e1000_rx_drain(q);
			return ERR_NOMEM;
		}
	}
	return OK;
}

void
e1000_rx_drain(struct e1000_queue *q)
{
	struct e1000_rx *rx = &q->rx;

	for (unsigned i = 0; i < E1000_RING; i++) {
		pkt_free(rx->pkts[i]);
		rx->pkts[i] = NULL;
	}
	pkt_free(rx->frame);
	rx->frame = NULL;
}

void
e1000_rx_start(struct e1000_queue *q)
{
	struct e1000_rx *rx = &q->rx;

	pkt_free(rx->frame);
	rx->frame = NULL;
	rx->is_skipping = false;
	rx->next = 0;
	for (unsigned i = 0; i < E1000_RING; i++)
		arm(q, i);
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDBAL), (uint32_t)rx->ring.addr);
	e1000_write(
	    q->e, e1000_queue_reg(q, E1000_RDBAH), (uint32_t)(rx->ring.addr >> 32));
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDLEN),
	    E1000_RING * (uint32_t)sizeof(rx->desc[0]));
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDTR), 0);
	e1000_write(q->e, E1000_RADV, 0);
	e1000_write(q->e, e1000_queue_reg(q, E1000_RXDCTL), XDCTL_GRAN | XDCTL_WTHRESH_1);
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDH), 0);
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDT), 0);
}

/* All but one buffer, the one before `next`: equal head and tail would mean none. */
void
e1000_rx_offer(struct e1000_queue *q)
{
	e1000_write(q->e, e1000_queue_reg(q, E1000_RDT),
	    (q->rx.next + E1000_RING - 1) % E1000_RING);
}

/* ---- Receiving ---------------------------------------------------------------------- */

/* False: the device still has the next descriptor. */
static bool
take_next(const struct e1000_rx *rx, struct received *in)
{
	const struct e1000_rx_desc *d = &rx->desc[rx->next];
	uint64_t info = __atomic_load_n(&d->info, __ATOMIC_ACQUIRE);

	if (rx->is_extended) {
		if (!(info & RXS_DD))
			return false;
		in->status = (uint8_t)info;
		in->errors = (uint8_t)(info >> RXD_EXT_ERRORS_SHIFT);
		in->len = (uint16_t)(info >> RXD_EXT_LEN_SHIFT);
		in->hash = (uint32_t)(d->addr >> RXD_EXT_HASH_SHIFT);
		in->has_hash = d->addr & RXD_EXT_HASH_TYPE;
	} else {
		in->status = (uint8_t)(info >> RXD_STATUS_SHIFT);
		if (!(in->status & RXS_DD))
			return false;
		in->errors = (uint8_t)(info >> RXD_ERRORS_SHIFT);
		in->len = (uint16_t)info;
		in->has_hash = false;
	}
	in->vlan_tci = (uint16_t)(info >> RXD_VLAN_SHIFT);
	return true;
}

/* SDM 3.2.9: the sums were looked at, and are right. */
static bool
is_checked(const struct received *in)
{
	return !(in->status & RXS_IXSM) && in->status & (RXS_TCPCS | RXS_UDPCS) &&
	       !(in->errors & (RXE_TCPE | RXE_IPE));
}

/* The frame is whole. */
static void
deliver(struct e1000_queue *q, struct pkt *p, const struct received *in)
{
	struct netdev *nd = q->e->nd;
	size_t len = pkt_len(p);

	if (pkt_linear(p) < sizeof(struct ether_header)) {
		q->rx.bad++;
		pkt_drop(p, DROP_LINK_SHORT);
		return;
	}
	p->dev = nd;
	if (nd->features & NETDEV_RXCSUM && is_checked(in))
		p->flags |= PKT_CSUM_OK;
	if (in->status & RXS_VP) {
		p->flags |= PKT_HAS_VLAN;
		p->vlan_tci = in->vlan_tci;
	}
	if (in->has_hash) {
		p->flags |= PKT_HAS_HASH;
		p->hash = in->hash;
	}
	q->seen_packets++;
	q->seen_bytes += (uint32_t)len;
	netdev_input(q->nq, p);
}

/* A frame in one short buffer, copied. NULL: no memory. */
static struct pkt *
copy_out(struct e1000_queue *q, const struct received *in)
{
	struct pkt *p = pkt_alloc(in->len);

	if (!p)
		return NULL;
	fetch(q, q->rx.next, in->len);
	memcpy(pkt_put(p, in->len), q->rx.pkts[q->rx.next]->data, in->len);
	return p;
}

/* The filled buffer itself; a fresh one takes its place. NULL: no memory. */
static struct pkt *
exchange(struct e1000_queue *q, const struct received *in)
{
	struct e1000_rx *rx = &q->rx;
	struct pkt *fresh = new_buffer(q), *p = rx->pkts[rx->next];

	if (!fresh)
		return NULL;
	fetch(q, rx->next, in->len);
	(void)pkt_put(p, in->len); /* fits: len was checked */
	rx->pkts[rx->next] = fresh;
	return p;
}

/* The frame that this buffer is part of is lost, up to its end. */
static void
lose(struct e1000_queue *q, const struct received *in, uint64_t *why)
{
	struct e1000_rx *rx = &q->rx;

	if (!rx->is_skipping)
		++*why;
	pkt_free(rx->frame);
	rx->frame = NULL;
	rx->is_skipping = !(in->status & RXS_EOP);
}

/* One filled buffer; true: a frame went up. */
static bool
receive(struct e1000_queue *q, const struct received *in)
{
	struct e1000_rx *rx = &q->rx;
	bool is_end = in->status & RXS_EOP;
	struct pkt *p;

	if (rx->is_skipping || in->len == 0 || in->len > E1000_RX_BUF ||
	    (is_end && in->errors & RXE_FRAME) ||
	    (rx->frame && pkt_len(rx->frame) + in->len > E1000_MAX_FRAME)) {
		lose(q, in, &rx->bad);
		return false;
	}
	if (is_end && !rx->frame && in->len <= E1000_RX_COPY)
		p = copy_out(q, in);
	else
		p = exchange(q, in);
	if (!p) {
		drop_count(DROP_NO_MEMORY);
		lose(q, in, &rx->no_memory);
		return false;
	}
	if (rx->frame) {
		pkt_chain(rx->frame, p);
		p = rx->frame;
	}
	rx->frame = is_end ? NULL : p;
	if (is_end)
		deliver(q, p, in);
	return is_end;
}

unsigned
e1000_rx_poll(struct e1000_queue *q, unsigned budget)
{
	struct e1000_rx *rx = &q->rx;
	unsigned n = 0, used = 0, limit = budget + E1000_RING;
	struct received in;

	/* Bad frames are work too: `limit` ends a flood of them. */
	while (n < budget && used < limit && take_next(rx, &in)) {
		n += receive(q, &in);
		arm(q, rx->next);
		rx->next = (rx->next + 1) % E1000_RING;
		used++;
		if (used % OFFER_EVERY == 0)
			e1000_rx_offer(q);
	}
	if (used % OFFER_EVERY)
		e1000_rx_offer(q);
	return used < limit ? n : budget;
}

bool
e1000_rx_is_ready(const struct e1000_queue *q)
{
	struct received in;

	return take_next(&q->rx, &in);
}
