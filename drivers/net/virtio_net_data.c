/*
 * Packets over a virtio network device.
 *
 * Receive. The ring is kept full of packets, into which the device writes a header and a
 * frame. A frame longer than one buffer (from a peer that leaves segmenting to us) comes
 * in several, which are chained by `more`. While most frames are that long, the buffers
 * are longer too: fewer to allocate, to chain and to take apart. A short frame is copied
 * into a small packet, so that it holds no more memory than it need, and its buffer goes
 * back onto the ring at once.
 *
 * Transmit. Header, linear part and fragments make a chain, or from three pieces on a table.
 * Finished ones are collected whenever the queue is polled. They interrupt only when half
 * the ring is out; while less is out, a timer sees to them, for their senders wait for
 * their memory: so a conversation of single packets costs one interrupt, not two, a round.
 */
#include "drivers/net/virtio_net_priv.h"

#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/page.h"
#include "net/ether.h"

enum {
	REFILL_FROM = 32, /* buffers: fewer are not worth a doorbell */
	LONG_MEAN = 4096, /* from this mean length of frames on */
	MEAN_SHIFT = 3,   /* over some eight frames */
	SHORT_MAX = 256,  /* bytes with the device's header: copied */
	TCP_DATA_OFFSET = 12,
};

#define TX_DONE_NS NSEC_PER_MSEC        /* how late a sent packet may be freed */
#define NO_MEM_NS  (10 * NSEC_PER_MSEC) /* until an empty receive ring is tried again */

static bool
is_running(const struct vnet *vn)
{
	return __atomic_load_n(&vn->is_running, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&vn->is_broken, __ATOMIC_RELAXED);
}

void
vnet_timer(struct net_timer *t)
{
	struct vnet_pair *pr = container_of(t, struct vnet_pair, timer);

	spin_lock(&pr->nq->tx_lock);
	pr->is_timer_on = false;
	spin_unlock(&pr->nq->tx_lock);
	netdev_schedule(pr->nq);
}

static void
start_timer_locked(struct vnet_pair *pr, nsec_t delay)
{
	if (pr->is_timer_on)
		return;
	pr->is_timer_on = true;
	net_timer_arm(&pr->timer, clock_now_ns() + delay);
}

/* ---- Transmit ---------------------------------------------------------------------- */

static bool
fill_hdr(struct vnet_hdr *h, const struct pkt *p)
{
	*h = (struct vnet_hdr){0};
	if (p->flags & PKT_CSUM_PARTIAL) {
		h->flags = VNET_HDR_NEEDS_CSUM;
		h->csum_start = (uint16_t)(p->head + p->csum_start - p->data);
		h->csum_offset = p->csum_offset;
	}
	if (!p->gso_size)
		return true;

	/* The TCP header's length says where the payload starts: it is in the linear part. */
	const uint8_t *tcp = p->head + p->csum_start;

	if (tcp + TCP_DATA_OFFSET >= p->tail)
		return false;
	h->hdr_len = (uint16_t)(h->csum_start + (tcp[TCP_DATA_OFFSET] >> 4) * 4);
	h->gso_size = p->gso_size;
	h->gso_type = p->gso_type == PKT_GSO_TCP4 ? VNET_GSO_TCP4 : VNET_GSO_TCP6;
	return true;
}

/* Collects what the device has sent, for poll to free. Locked. */
static unsigned
reclaim_locked(struct vnet_pair *pr)
{
	struct pkt *p;
	uint32_t len;
	unsigned n = 0;

	while ((p = virtq_get(&pr->tx.ring, &len))) {
		pkt_queue_push(&pr->done, p);
		n++;
	}
	return n;
}

/* Sees to it that somebody will look for sent packets. Locked. */
static void
watch_tx_locked(struct vnet_pair *pr)
{
	struct virtq *r = &pr->tx.ring;

	if (virtq_num_out(r) >= r->config.size / 2 && !pr->is_tx_armed) {
		pr->is_tx_armed = true;
		if (!virtq_irq_on_later(r))
			netdev_schedule(pr->nq);
	}
	start_timer_locked(pr, TX_DONE_NS);
}

enum err
vnet_send(struct netdev_queue *q, struct pkt *p)
{
	struct vnet_pair *pr = q->ring;
	struct virtq *r = &pr->tx.ring;
	struct virtq_buf bufs[VNET_TX_BUFS];
	unsigned n = 2, head = r->free_head;
	struct vnet_hdr *h = (struct vnet_hdr *)pr->tx_hdrs.cpu + head;

	if (unlikely(!is_running(pr->vn))) {
		pkt_drop(p, DROP_DEV_DOWN);
		return ERR_IO;
	}
	if (unlikely(!virtq_has_room(r, n + p->num_frags))) {
		if (n + p->num_frags > r->config.size && !r->config.table_len) {
			pkt_drop(p, DROP_TX_FAILED); /* it will never fit */
			return ERR_MSGSIZE;
		}
		(void)reclaim_locked(pr);
		if (!virtq_has_room(r, n + p->num_frags)) {
			watch_tx_locked(pr);
			return ERR_BUSY;
		}
		netdev_schedule(q); /* to free what was reclaimed */
		head = r->free_head;
		h = (struct vnet_hdr *)pr->tx_hdrs.cpu + head;
	}
	if (unlikely(!fill_hdr(h, p))) {
		pkt_drop(p, DROP_TX_FAILED);
		return ERR_INVAL;
	}
	bufs[0] = (struct virtq_buf){
	    pr->tx_hdrs.addr + head * sizeof(*h), (uint32_t)sizeof(*h)};
	bufs[1] = (struct virtq_buf){virt_to_phys(p->data), (uint32_t)pkt_linear(p)};
	for (unsigned i = 0; i < p->num_frags; i++)
		bufs[n++] = (struct virtq_buf){
		    page_to_phys(p->frags[i].page) + p->frags[i].off, p->frags[i].len};
	if (virtq_add(r, bufs, n, 0, p) != OK) {
		pkt_drop(p, DROP_TX_FAILED);
		return ERR_IO;
	}
	watch_tx_locked(pr);
	virtio_kick(&pr->tx);
	return OK;
}

static void
poll_tx(struct vnet_pair *pr)
{
	struct virtq *r = &pr->tx.ring;
	struct pkt_queue done;

	/* Seldom wrong without the lock, and then the timer comes. */
	if (virtq_num_out(r) == 0 && !pr->done.first)
		return;
	spin_lock(&pr->nq->tx_lock);
	(void)reclaim_locked(pr);
	done = pr->done;
	pr->done = (struct pkt_queue){0};
	pr->is_tx_armed = false;
	if (virtq_num_out(r))
		watch_tx_locked(pr);
	spin_unlock(&pr->nq->tx_lock);
	if (r->is_broken)
		vnet_is_faulty(pr->vn, "transmit ring");
	if (!done.first)
		return;
	pkt_queue_free(&done);
	netdev_tx_wake(pr->nq);
}

/* ---- Receive ----------------------------------------------------------------------- */

/* The frame's length goes into the mean. */
static void
note_len(struct vnet_pair *pr, size_t len)
{
	uint32_t mean = pr->rx_mean_len;

	pr->rx_mean_len = mean - (mean >> MEAN_SHIFT) + (uint32_t)(len >> MEAN_SHIFT);
}

static uint32_t
rx_room(const struct vnet_pair *pr)
{
	if (pr->rx_mean_len < LONG_MEAN || !virtio_has(&pr->vn->v, VNET_F_MRG_RXBUF))
		return pr->vn->rx_room;
	return PKT_LONG;
}

/* Onto the ring with an empty packet; false: it was freed, the ring takes none. */
static bool
give_buffer(struct vnet_pair *pr, struct pkt *p)
{
	struct virtq_buf b = {virt_to_phys(p->data), (uint32_t)(p->end - p->data)};

	if (virtq_add(&pr->rx.ring, &b, 0, 1, p) == OK)
		return true;
	pkt_free(p);
	return false;
}

void
vnet_fill(struct vnet_pair *pr)
{
	struct virtq *r = &pr->rx.ring;
	uint32_t room = rx_room(pr);

	while (virtq_has_room(r, 1)) {
		struct pkt *p = pkt_alloc(room);

		if (!p || !give_buffer(pr, p))
			break;
	}
	virtio_kick(&pr->rx);
	/* A long frame may need many: with few left the device may wait, and so never wake us. */
	if (unlikely(virtq_num_out(r) < r->config.size / 4 + 1)) {
		spin_lock(&pr->nq->tx_lock);
		start_timer_locked(pr, NO_MEM_NS);
		spin_unlock(&pr->nq->tx_lock);
	}
}

/* The first `len` bytes of an empty packet from the ring as a packet: itself, or a small one. */
static struct pkt *
take_buffer(struct vnet_pair *pr, struct pkt *p, uint32_t len)
{
	struct pkt *small = len <= SHORT_MAX ? pkt_alloc(len) : NULL;

	if (small) {
		memcpy(pkt_put(small, len), p->data, len);
		(void)give_buffer(pr, p);
		return small;
	}
	if (pkt_put(p, len))
		return p;
	pkt_free(p);
	return NULL;
}

/* A further buffer of the frame. False: it does not come, the device counted wrong. */
static bool
append_buffer(struct vnet_pair *pr, struct pkt *p)
{
	uint32_t len;
	struct pkt *m = virtq_get(&pr->rx.ring, &len);

	if (!m)
		return false;
	m = take_buffer(pr, m, len);
	if (!m)
		return false;
	if (pkt_len(p) + len > PKT_MAX_LEN + sizeof(struct ether_header)) {
		pkt_free(m);
		return false;
	}
	pkt_chain(p, m);
	return true;
}

/* What the header says of checksum and segments; false: it cannot be. */
static bool
apply_hdr(struct pkt *p, const struct vnet_hdr *h)
{
	unsigned gso = h->gso_type & ~(unsigned)VNET_GSO_ECN;

	if (h->flags & VNET_HDR_NEEDS_CSUM) {
		if ((size_t)h->csum_start + h->csum_offset + 2 > pkt_linear(p))
			return false;
		p->csum_start = (uint16_t)(p->data - p->head + h->csum_start);
		p->csum_offset = h->csum_offset;
		p->flags |= PKT_CSUM_PARTIAL;
	} else if (h->flags & VNET_HDR_DATA_VALID) {
		p->flags |= PKT_CSUM_OK;
	}
	if (gso == VNET_GSO_NONE)
		return true;
	if (!h->gso_size || !(p->flags & PKT_CSUM_PARTIAL) ||
	    (gso != VNET_GSO_TCP4 && gso != VNET_GSO_TCP6))
		return false;
	p->gso_type = gso == VNET_GSO_TCP4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	p->gso_size = h->gso_size;
	p->gso_segs = (uint16_t)DIV_ROUND_UP(pkt_len(p), (size_t)h->gso_size);
	return true;
}

/* Makes a frame of the buffer and those that belong to it, and hands it up. */
static void
receive(struct vnet_pair *pr, struct pkt *p, uint32_t len)
{
	struct vnet_hdr h;
	unsigned num;

	p = take_buffer(pr, p, len);
	if (!p || len < sizeof(h) + sizeof(struct ether_header)) {
		pr->rx_errors++;
		if (p)
			pkt_drop(p, DROP_LINK_SHORT);
		return;
	}
	__builtin_memcpy(&h, p->data, sizeof(h));
	(void)pkt_pull(p, sizeof(h)); /* it is there, len says so */
	num = virtio_has(&pr->vn->v, VNET_F_MRG_RXBUF) ? h.num_buffers : 1;
	for (unsigned i = 1; i < num; i++)
		if (!append_buffer(pr, p))
			num = 0;
	if (unlikely(num == 0 || !apply_hdr(p, &h))) {
		pr->rx_errors++;
		pkt_drop(p, DROP_LINK_SHORT);
		return;
	}
	note_len(pr, pkt_len(p));
	netdev_input(pr->nq, p);
}

unsigned
vnet_poll(struct netdev_queue *q, unsigned budget)
{
	struct vnet_pair *pr = q->ring;
	struct virtq *r = &pr->rx.ring;
	unsigned n = 0;
	struct pkt *p;
	uint32_t len;

	if (!is_running(pr->vn))
		return 0;
	virtq_irq_off(r);
	poll_tx(pr);
	while (n < budget && (p = virtq_get(r, &len))) {
		receive(pr, p, len);
		n++;
	}
	if (unlikely(r->is_broken)) {
		vnet_is_faulty(pr->vn, "receive ring");
		return n;
	}
	if (r->num_free >= MIN((unsigned)REFILL_FROM, r->config.size / 4))
		vnet_fill(pr);
	else
		virtio_kick(&pr->rx);
	if (n < budget && !virtq_irq_on(r))
		netdev_schedule(q);
	return n;
}

void
vnet_free_all(struct vnet_pair *pr)
{
	struct pkt *p;

	while ((p = virtq_take_back(&pr->rx.ring)))
		pkt_free(p);
	while ((p = virtq_take_back(&pr->tx.ring)))
		pkt_drop(p, DROP_DEV_DOWN);
	pkt_queue_free(&pr->done);
}
