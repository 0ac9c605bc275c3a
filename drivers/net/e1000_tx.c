/*
 * Intel 8254x and 82574: the transmit ring. A packet is an optional context descriptor,
 * which says where checksums and segments are, and a data descriptor for each piece of
 * memory; the last asks for a report. Pieces lie in the direct map, so that a piece is an
 * address and a length.
 *
 * Reports are looked for when the queue is polled and with each packet that is sent, for their
 * senders wait for the memory. Interrupts for them are put off (TIDV) as long as more than half
 * the ring is free.
 *
 * Known defects that shape the descriptors (specification updates of each part):
 *	82544, PCI-X: a buffer whose last byte lies in the lower half of an aligned 8 bytes
 *	hangs it: its last 4 bytes go into a descriptor of their own
 *	PCI-X: the first buffer must not exceed 2015 bytes
 *	8254x: after a segmented packet, and in one of a single buffer, reports may come before
 *	the data was read: the last 4 bytes go into a descriptor of their own
 *	8254x: the packet memory takes at most 4 segments of a segmented packet's buffer
 */
#include "drivers/net/e1000_priv.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/ip.h"

enum {
	MAX_CHUNK = 4096, /* bytes of one descriptor */
	MAX_CHUNK_82574 = 8192,
	BOUNCE_SIZE = 2048, /* of each descriptor's part of the bounce area */
	PCIX_FIRST = 2015,
	SENTINEL = 4,
	REPORT_DELAY = 125, /* TIDV and TADV, in units of 1.024 us */
	REPORT_DELAY_MAX = 500,
	TCP_CSUM_OFFSET = 16,
	TCP_OFFSET_BYTE = 12,
};

/* A packet on its way into the ring. */
struct build {
	struct e1000_queue *q;
	struct pkt *p;
	uint32_t cmd; /* of every data descriptor */
	uint8_t popts;
	uint16_t vlan_tci;
	unsigned max_chunk;
	unsigned csum_start, header_len; /* from data; header_len: TSO only */
	bool has_context, is_tso, is_single, is_first;
	unsigned at; /* the next descriptor */
};

/* ---- Life of the ring --------------------------------------------------------------- */

enum err
e1000_tx_alloc(struct e1000_queue *q)
{
	struct e1000_tx *tx = &q->tx;
	enum err err = dev_dma_alloc(
	    q->e->dev, &tx->ring, E1000_RING * sizeof(tx->desc[0]), PAGE_SIZE);

	if (err != OK)
		return err;
	tx->desc = tx->ring.cpu;
	tx->pkts = kcalloc(E1000_RING, sizeof(struct pkt *));
	tx->last = kcalloc(E1000_RING, sizeof(tx->last[0]));
	if (!tx->pkts || !tx->last)
		return ERR_NOMEM;
	if (q->e->dma_end >= page_array_frames << PAGE_SHIFT)
		return OK;
	return dev_dma_alloc(q->e->dev, &tx->bounce, E1000_RING * BOUNCE_SIZE, PAGE_SIZE);
}

void
e1000_tx_free(struct e1000_queue *q)
{
	kfree(q->tx.pkts);
	kfree(q->tx.last);
	q->tx.pkts = NULL;
	q->tx.last = NULL;
}

void
e1000_tx_start(struct e1000_queue *q)
{
	struct e1000_tx *tx = &q->tx;
	uint32_t control = XDCTL_GRAN | XDCTL_WTHRESH_1 | TXDCTL_PTHRESH;

	if (q->e->quirks & E1000_IS_82574)
		control |= XDCTL_COUNT_DESC;
	memset(tx->desc, 0, E1000_RING * sizeof(tx->desc[0]));
	tx->next = tx->clean = 0;
	tx->was_tso = false;
	e1000_write(q->e, e1000_queue_reg(q, E1000_TDBAL), (uint32_t)tx->ring.addr);
	e1000_write(
	    q->e, e1000_queue_reg(q, E1000_TDBAH), (uint32_t)(tx->ring.addr >> 32));
	e1000_write(q->e, e1000_queue_reg(q, E1000_TDLEN),
	    E1000_RING * (uint32_t)sizeof(tx->desc[0]));
	e1000_write(q->e, e1000_queue_reg(q, E1000_TDH), 0);
	e1000_write(q->e, e1000_queue_reg(q, E1000_TDT), 0);
	e1000_write(q->e, E1000_TIDV, REPORT_DELAY);
	e1000_write(q->e, E1000_TADV, REPORT_DELAY_MAX);
	e1000_write(q->e, e1000_queue_reg(q, E1000_TXDCTL), control);
}

static unsigned
room(const struct e1000_tx *tx)
{
	return (tx->clean - tx->next - 1) % E1000_RING;
}

bool
e1000_tx_is_done(const struct e1000_queue *q)
{
	const struct e1000_tx *tx = &q->tx;
	unsigned clean = __atomic_load_n(&tx->clean, __ATOMIC_RELAXED);
	unsigned next = __atomic_load_n(&tx->next, __ATOMIC_ACQUIRE);

	return clean != next &&
	       __atomic_load_n(&tx->desc[tx->last[clean]].data.status, __ATOMIC_ACQUIRE) &
	           TXD_DD;
}

/* Under tx_lock: takes what went out off the ring. */
static unsigned
reclaim(struct e1000_queue *q, struct pkt_queue *done)
{
	struct e1000_tx *tx = &q->tx;
	unsigned n = 0;

	while (e1000_tx_is_done(q)) {
		pkt_queue_push(done, tx->pkts[tx->clean]);
		tx->pkts[tx->clean] = NULL;
		tx->clean = (tx->last[tx->clean] + 1u) % E1000_RING;
		n++;
	}
	if (n)
		tx->resets = 0;
	return n;
}

unsigned
e1000_tx_clean(struct e1000_queue *q)
{
	struct pkt_queue done = {0};
	bool is_stopped;
	unsigned n;

	if (!e1000_tx_is_done(q))
		return 0;
	spin_lock(&q->nq->tx_lock);
	n = reclaim(q, &done);
	is_stopped = q->nq->is_stopped;
	spin_unlock(&q->nq->tx_lock);
	pkt_queue_free(&done);
	if (is_stopped)
		netdev_tx_wake(q->nq);
	return n;
}

void
e1000_tx_stop(struct e1000_queue *q, struct pkt_queue *kept)
{
	struct e1000_tx *tx = &q->tx;
	struct pkt_queue done = {0};

	spin_lock(&q->nq->tx_lock);
	tx->is_open = false;
	(void)reclaim(q, &done);
	while (tx->clean != tx->next) {
		pkt_queue_push(kept ? kept : &done, tx->pkts[tx->clean]);
		tx->pkts[tx->clean] = NULL;
		tx->clean = (tx->last[tx->clean] + 1u) % E1000_RING;
	}
	spin_unlock(&q->nq->tx_lock);
	pkt_queue_free(&done);
}

/* ---- What a packet needs ------------------------------------------------------------- */

/* The sum over the transport's bytes in software, where the device's fields do not reach. */
static bool
sum_in_software(struct pkt *p)
{
	size_t start = (size_t)(p->head + p->csum_start - p->data);
	size_t at = start + p->csum_offset;
	uint16_t sum;

	if (!pkt_writable(p, 0))
		return false;
	sum = csum_finish(pkt_csum(p, start, pkt_len(p) - start, 0));
	p->flags &= ~(uint32_t)PKT_CSUM_PARTIAL;
	return pkt_write(p, at, &(be16){{(uint8_t)(sum >> 8), (uint8_t)sum}}, 2);
}

/*
 * SDM 3.5.7: lengths and the IPv4 checksum as 0, and in TCP's checksum the sum of the
 * pseudo header without a length: the device does the rest for each segment.
 */
static bool
prepare_tso(struct build *b)
{
	struct pkt *p = b->p;
	unsigned l3 = sizeof(struct ether_header);
	uint8_t *ip, *tcp;
	uint32_t sum;

	if (!pkt_writable(p, 0) || !pkt_need(p, b->csum_start + TCP_CSUM_OFFSET + 2))
		return false;
	if (be16_get(((struct ether_header *)p->data)->type) == ETHERTYPE_VLAN)
		l3 += 4;
	ip = p->data + l3;
	tcp = p->data + b->csum_start;
	if (p->gso_type == PKT_GSO_TCP4) {
		struct ip4_header *h = (struct ip4_header *)ip;

		h->len = h->csum = be16_of(0);
		sum = csum_add(0, &h->src, 8);
	} else {
		struct ip6_header *h = (struct ip6_header *)ip;

		h->payload_len = be16_of(0);
		sum = csum_add(0, h->src, 32);
	}
	sum = csum_add(sum, (const uint8_t[]){0, IP_PROTO_TCP}, 2);
	sum = (uint16_t)~csum_finish(sum);
	memcpy(tcp + TCP_CSUM_OFFSET, &(be16){{(uint8_t)(sum >> 8), (uint8_t)sum}}, 2);
	b->header_len = b->csum_start + (tcp[TCP_OFFSET_BYTE] >> 4) * 4u;
	return b->header_len <= UINT8_MAX && b->header_len <= pkt_linear(p) &&
	       b->csum_start >= l3 + sizeof(struct ip4_header);
}

/* Decides how the packet is described; false: it can not be sent. */
static bool
plan(struct build *b)
{
	const struct e1000 *e = b->q->e;
	struct pkt *p = b->p;

	b->max_chunk = e->quirks & E1000_IS_82574 ? MAX_CHUNK_82574 : MAX_CHUNK;
	b->cmd = TXD_DTYP_DATA | TXD_DEXT | TXD_IFCS;
	b->is_first = true;
	b->is_single = p->extra_len == 0;
	b->csum_start = (unsigned)(p->head + p->csum_start - p->data);
	if (p->flags & PKT_HAS_VLAN) {
		b->cmd |= TXD_VLE;
		b->vlan_tci = p->vlan_tci;
	}
	if (p->gso_type == PKT_GSO_TCP4 || p->gso_type == PKT_GSO_TCP6) {
		if (!prepare_tso(b))
			return false;
		b->is_tso = b->has_context = true;
		b->cmd |= TXD_TSE;
		b->popts = TXP_TXSM | (p->gso_type == PKT_GSO_TCP4 ? TXP_IXSM : 0);
		if (!(e->quirks & E1000_IS_82574))
			b->max_chunk = MIN(b->max_chunk, p->gso_size * 4u);
	} else if (p->flags & PKT_CSUM_PARTIAL) {
		if (b->csum_start + p->csum_offset > UINT8_MAX)
			return sum_in_software(p);
		b->has_context = true;
		b->popts = TXP_TXSM;
	}
	if (b->q->tx.bounce.cpu)
		b->max_chunk = MIN(b->max_chunk, (unsigned)BOUNCE_SIZE);
	return true;
}

/* No more descriptors than this, defects included. */
static unsigned
needed(const struct build *b)
{
	const struct e1000 *e = b->q->e;
	unsigned n = 3, per = e->quirks & E1000_DWORD_BUG && e->is_pcix ? 2 : 1;

	for (const struct pkt *m = b->p; m; m = m == b->p ? m->more : m->next) {
		n += DIV_ROUND_UP((unsigned)pkt_linear(m), b->max_chunk) + 1;
		for (unsigned i = 0; i < m->num_frags; i++)
			n += DIV_ROUND_UP(m->frags[i].len, b->max_chunk);
	}
	return n * per;
}

/* ---- Descriptors ---------------------------------------------------------------------- */

static void
put_context(struct build *b)
{
	struct e1000_tx *tx = &b->q->tx;
	union e1000_tx_desc *d = &tx->desc[b->at];
	const struct pkt *p = b->p;
	unsigned l3 = sizeof(struct ether_header);

	*d = (union e1000_tx_desc){0};
	if (be16_get(((const struct ether_header *)p->data)->type) == ETHERTYPE_VLAN)
		l3 += 4;
	d->ctx.ipcss = (uint8_t)l3;
	d->ctx.ipcso = (uint8_t)(l3 + offsetof(struct ip4_header, csum));
	d->ctx.ipcse = (uint16_t)(b->csum_start - 1);
	d->ctx.tucss = (uint8_t)b->csum_start;
	d->ctx.tucso = (uint8_t)(b->csum_start + p->csum_offset);
	d->ctx.tucse = 0; /* to the end */
	d->ctx.cmd_len = TXD_DEXT;
	if (b->is_tso) {
		d->ctx.tucso = (uint8_t)(b->csum_start + TCP_CSUM_OFFSET);
		d->ctx.cmd_len |=
		    TXC_TSE | TXC_TCP | (uint32_t)(pkt_len(p) - b->header_len);
		if (p->gso_type == PKT_GSO_TCP4)
			d->ctx.cmd_len |= TXC_IP4;
		else
			d->ctx.ipcse = 0;
		d->ctx.hdrlen = (uint8_t)b->header_len;
		d->ctx.mss = p->gso_size;
	}
	b->at = (b->at + 1) % E1000_RING;
}

/* How much of a piece of `len` bytes the next descriptor takes. */
static unsigned
chunk(const struct build *b, uint64_t addr, unsigned len)
{
	const struct e1000 *e = b->q->e;
	unsigned n = MIN(len, b->max_chunk);

	if (e->quirks & E1000_IS_82574)
		return n;
	if (e->is_pcix && b->is_first)
		n = MIN(n, (unsigned)PCIX_FIRST);
	/* Only the linear part of a packet without others can be short of descriptors. */
	if (n == len && n > 2 * SENTINEL && b->is_single && b->is_first &&
	    (b->is_tso || b->q->tx.was_tso))
		n -= SENTINEL;
	if (e->quirks & E1000_DWORD_BUG && e->is_pcix && n > SENTINEL &&
	    !((addr + n - 1) & 4))
		n -= SENTINEL;
	return n;
}

static void
put_piece(struct build *b, const uint8_t *bytes, unsigned len)
{
	struct e1000_tx *tx = &b->q->tx;

	while (len) {
		uint64_t addr = virt_to_phys(bytes);
		unsigned n;

		if (tx->bounce.cpu &&
		    addr + MIN(len, (unsigned)BOUNCE_SIZE) > b->q->e->dma_end) {
			size_t off = (size_t)b->at * BOUNCE_SIZE;

			addr = tx->bounce.addr + off;
			n = chunk(b, addr, len);
			memcpy((uint8_t *)tx->bounce.cpu + off, bytes, n);
		} else {
			n = chunk(b, addr, len);
		}
		tx->desc[b->at].data.addr = addr;
		tx->desc[b->at].data.cmd_len = n | b->cmd;
		tx->desc[b->at].data.status = 0;
		tx->desc[b->at].data.popts = b->popts;
		tx->desc[b->at].data.special = b->vlan_tci;
		b->at = (b->at + 1) % E1000_RING;
		b->is_first = false;
		bytes += n;
		len -= n;
	}
}

static void
put_packet(struct build *b)
{
	struct e1000_tx *tx = &b->q->tx;
	unsigned first = tx->next, last;

	b->at = first;
	if (b->has_context)
		put_context(b);
	for (const struct pkt *m = b->p; m; m = m == b->p ? m->more : m->next) {
		put_piece(b, m->data, (unsigned)pkt_linear(m));
		for (unsigned i = 0; i < m->num_frags; i++)
			put_piece(b,
			    (const uint8_t *)page_to_virt(m->frags[i].page) +
			        m->frags[i].off,
			    m->frags[i].len);
	}
	last = (b->at + E1000_RING - 1) % E1000_RING;
	tx->desc[last].data.cmd_len |= TXD_EOP | TXD_RS;
	tx->pkts[first] = b->p;
	tx->last[first] = (uint16_t)last;
	if (room(tx) > E1000_RING / 2)
		tx->desc[last].data.cmd_len |= TXD_IDE;
	tx->was_tso = b->is_tso;
	__atomic_store_n(&tx->next, b->at, __ATOMIC_RELEASE); /* after the descriptors */
	e1000_write(b->q->e, e1000_queue_reg(b->q, E1000_TDT), tx->next);
}

/* Under tx_lock. ERR_BUSY: no room, nothing happened. */
static enum err
send_open(struct e1000_queue *q, struct pkt *p)
{
	struct build b = {.q = q, .p = p};
	struct pkt_queue done = {0};
	enum err err = ERR_BUSY;
	unsigned n;

	if (!plan(&b) || (n = needed(&b)) >= E1000_RING) {
		pkt_drop(p, DROP_TX_FAILED);
		return ERR_IO;
	}
	if (room(&q->tx) < n)
		(void)reclaim(q, &done);
	if (room(&q->tx) >= n) {
		put_packet(&b);
		(void)reclaim(q, &done); /* an emulated device has sent it by now */
		err = OK;
	}
	pkt_queue_free(&done);
	return err;
}

enum err
e1000_send(struct netdev_queue *nq, struct pkt *p)
{
	struct e1000_queue *q = nq->ring;

	if (!q->tx.is_open)
		return ERR_BUSY; /* a reset is on: e1000_tx_resend wakes the queue */
	return send_open(q, p);
}

/*
 * A packet that hangs the device twice is not sent a third time: perhaps it is the reason.
 */
void
e1000_tx_resend(struct e1000_queue *q, struct pkt_queue *kept)
{
	struct pkt *p;

	spin_lock(&q->nq->tx_lock);
	if (kept->first && q->tx.resets++ > 0) {
		q->tx.failed++;
		pkt_drop(pkt_queue_pop(kept), DROP_TX_FAILED);
	}
	q->tx.is_open = true;
	while ((p = pkt_queue_pop(kept))) {
		enum err err = send_open(q, p);

		/* They fitted before; defects may take a descriptor more. */
		if (err == ERR_BUSY)
			pkt_drop(p, DROP_TX_FAILED);
		q->tx.failed += err != OK;
	}
	spin_unlock(&q->nq->tx_lock);
	netdev_tx_wake(q->nq);
}
