/*
 * Virtio network devices (virtio 1.2, 5.1), the modern interface over PCI.
 *
 * A device has pairs of a receive and a transmit queue, one for each CPU as far as it has
 * them and interrupts for them, and a queue for commands. With MSI-X a pair has one message,
 * which goes to the CPU whose net thread polls the pair, and configuration changes have
 * another; with a line there is one pair, and the interrupt status says what it was.
 *
 * Up is: reset, negotiate, queues, receive buffers, go. Down is reset, then all buffers are
 * ours again. So a hung device is cured by going through both, and nothing of an earlier
 * life survives in it.
 *
 * What the device writes is checked (drivers/virtio/ring.h). A device that breaks the rules
 * is stopped, its link goes down, and it stays so until the interface is brought up anew.
 *
 * Locks: rtnl for everything but packets; a receive queue belongs to the net thread of its
 * CPU, a transmit queue to its tx_lock.
 */
#define LOG_PREFIX "virtio-net: "
#include "drivers/net/virtio_net_priv.h"

#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"

enum {
	TYPE_NET = 1,
	TRANSITIONAL_NET = 0x1000,
	VECTOR_CONFIG = 0, /* with more than one; queues have index + 1 */
	MIN_MTU = 68,
};

static uint64_t
bit(unsigned feature)
{
	return 1ull << feature;
}

/* What we take of what is offered; dependencies are those of 5.1.3.1. */
static uint64_t
wanted_features(uint64_t offered)
{
	uint64_t f = bit(VNET_F_CSUM) | bit(VNET_F_GUEST_CSUM) | bit(VNET_F_MTU) |
	             bit(VNET_F_MAC) | bit(VNET_F_MRG_RXBUF) | bit(VNET_F_STATUS) |
	             bit(VNET_F_CTRL_VQ) | bit(VNET_F_SPEED_DUPLEX) |
	             bit(VIRTIO_F_INDIRECT_DESC) | bit(VIRTIO_F_EVENT_IDX);

	if (offered & bit(VNET_F_CSUM))
		f |= bit(VNET_F_HOST_TSO4) | bit(VNET_F_HOST_TSO6) | bit(VNET_F_HOST_ECN);
	/* Large frames only in buffers that can be chained: else each would be 64 KiB. */
	if (offered & bit(VNET_F_GUEST_CSUM) && offered & bit(VNET_F_MRG_RXBUF))
		f |= bit(VNET_F_GUEST_TSO4) | bit(VNET_F_GUEST_TSO6) |
		     bit(VNET_F_GUEST_ECN);
	if (offered & bit(VNET_F_CTRL_VQ))
		f |= bit(VNET_F_CTRL_RX) | bit(VNET_F_CTRL_VLAN) |
		     bit(VNET_F_GUEST_ANNOUNCE) | bit(VNET_F_MQ) |
		     bit(VNET_F_CTRL_MAC_ADDR);
	return f & offered;
}

static uint16_t
config_read16(const struct vnet *vn, unsigned off)
{
	uint16_t v;

	virtio_config_read(&vn->v, off, &v, sizeof(v));
	return v;
}

/* ---- Link and faults --------------------------------------------------------------- */

static void
read_link(struct vnet *vn)
{
	bool has_link = !virtio_has(&vn->v, VNET_F_STATUS) ||
	                config_read16(vn, VNET_CONFIG_STATUS) & VNET_S_LINK_UP;
	uint32_t speed = 0;
	uint8_t duplex = 1;

	if (virtio_has(&vn->v, VNET_F_SPEED_DUPLEX)) {
		virtio_config_read(&vn->v, VNET_CONFIG_SPEED, &speed, sizeof(speed));
		virtio_config_read(&vn->v, VNET_CONFIG_DUPLEX, &duplex, sizeof(duplex));
	}
	if (speed > INT32_MAX) /* unknown */
		speed = 0;
	netdev_link_change(vn->nd, has_link, speed, duplex != 0);
}

void
vnet_is_faulty(struct vnet *vn, const char *what)
{
	__atomic_add_fetch(&vn->num_faults, 1, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(&vn->is_broken, true, __ATOMIC_ACQ_REL))
		return;
	virtio_stop_now(&vn->v);
	log_err("%s: the device broke the rules (%s): switched off", vn->nd->name, what);
	netdev_link_change(vn->nd, false, 0, false);
}

/* ---- Start and stop ---------------------------------------------------------------- */

/* The vector of a pair; the same as all others' when there is only one. */
static unsigned
pair_vector(const struct vnet *vn, unsigned i)
{
	if (vn->v.dev->irq_kind != DEV_IRQ_MSIX)
		return VIRTIO_NO_VECTOR;
	return vn->v.dev->num_irqs == 1 ? 0 : i + 1;
}

static enum err
start_pair(struct vnet *vn, unsigned i)
{
	struct vnet_pair *pr = &vn->pairs[i];
	unsigned vector = pair_vector(vn, i);
	struct virtq_config rx = {.size = VNET_RING};
	struct virtq_config tx = {
	    .size = VNET_RING, .num_tables = VNET_TX_TABLES, .table_len = VNET_TX_BUFS};
	enum err err = OK;

	if (!pr->tx_hdrs.cpu)
		err = dev_dma_alloc(vn->v.dev, &pr->tx_hdrs,
		    VNET_RING * sizeof(struct vnet_hdr), PAGE_SIZE);
	if (err == OK)
		err = virtio_queue_start(&vn->v, &pr->rx, i * 2, rx, vector);
	if (err == OK)
		err = virtio_queue_start(&vn->v, &pr->tx, i * 2 + 1, tx, vector);
	return err;
}

/* All that happens before the device runs. */
static enum err
prepare(struct vnet *vn)
{
	enum err err = virtio_begin(&vn->v, wanted_features(virtio_offered(&vn->v)));

	if (err == OK && vn->v.dev->irq_kind == DEV_IRQ_MSIX)
		err = virtio_config_vector(&vn->v, VECTOR_CONFIG);
	for (unsigned i = 0; err == OK && i < vn->num_pairs; i++)
		err = start_pair(vn, i);
	if (err == OK)
		err = vnet_ctrl_start(vn);
	return err;
}

/* The device is reset or to be reset; everything is ours again. */
static void
stop(struct vnet *vn)
{
	__atomic_store_n(&vn->is_running, false, __ATOMIC_SEQ_CST);
	(void)virtio_reset(
	    &vn->v); /* one that does not answer has its bus mastering off */
	for (unsigned i = 0; i < vn->num_pairs; i++) {
		struct vnet_pair *pr = &vn->pairs[i];

		net_timer_cancel_sync(&pr->timer);
		vnet_free_all(pr);
		virtq_fini(&pr->rx.ring);
		virtq_fini(&pr->tx.ring);
		pr->is_timer_on = pr->is_tx_armed = false;
	}
	while (virtq_take_back(&vn->ctrl.ring))
		;
	virtq_fini(&vn->ctrl.ring);
	vn->ctrl.doorbell = NULL;
}

static enum err
start(struct vnet *vn)
{
	enum err err = prepare(vn);

	if (err != OK) {
		log_err("%s: does not start: error %d", vn->nd->name, -(int)err);
		stop(vn);
		return err;
	}
	vn->is_broken = false;
	virtio_ready(&vn->v);
	for (unsigned i = 0; i < vn->num_pairs; i++)
		vnet_fill(&vn->pairs[i]);
	__atomic_store_n(&vn->is_running, true, __ATOMIC_SEQ_CST);
	if (vn->num_pairs > 1 && vnet_ctrl_set_pairs(vn, vn->num_pairs) != OK)
		log_warn("%s: uses one pair of queues only", vn->nd->name);
	vnet_ctrl_restore(vn);
	read_link(vn);
	return OK;
}

static enum err
vnet_up(struct netdev *nd)
{
	struct vnet *vn = nd->private;

	vn->rx_room = PKT_LINEAR;
	if (!(vn->v.features & bit(VNET_F_MRG_RXBUF)))
		vn->rx_room = MAX(vn->rx_room, nd->max_mtu + 32); /* headers and a tag */
	return start(vn);
}

static void
vnet_down(struct netdev *nd)
{
	stop(nd->private);
}

/* A hung device: through reset and back, while nobody sends or polls. rtnl held. */
static void
restart(struct vnet *vn)
{
	struct netdev *nd = vn->nd;

	vn->num_restarts++;
	__atomic_store_n(&vn->is_running, false, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < nd->num_queues; i++) {
		struct netdev_queue *q = &nd->queues[i];

		__atomic_store_n(&q->is_off, true, __ATOMIC_SEQ_CST);
		spin_lock(&q->tx_lock); /* whoever was sending has seen is_running */
		spin_unlock(&q->tx_lock);
	}
	net_sync(); /* no poll runs */
	stop(vn);
	if (start(vn) != OK) {
		netdev_link_change(nd, false, 0, false);
		return;
	}
	vnet_set_rx_mode(nd);
	for (unsigned i = 0; i < nd->num_queues; i++) {
		__atomic_store_n(&nd->queues[i].is_off, false, __ATOMIC_SEQ_CST);
		netdev_schedule(&nd->queues[i]);
	}
}

static void
vnet_tx_timeout(struct netdev *nd)
{
	restart(nd->private);
}

static void
vnet_get_stats(struct netdev *nd, struct netdev_stats *s)
{
	const struct vnet *vn = nd->private;

	for (unsigned i = 0; i < vn->num_pairs; i++) {
		s->rx_errors += vn->pairs[i].rx_errors;
	}
	s->rx_errors += vn->num_faults;
	s->tx_errors += vn->num_restarts;
}

static const struct netdev_ops vnet_ops = {
    .up = vnet_up,
    .down = vnet_down,
    .send = vnet_send,
    .poll = vnet_poll,
    .set_rx_mode = vnet_set_rx_mode,
    .set_mac = vnet_set_mac,
    .set_vlan = vnet_set_vlan,
    .get_stats = vnet_get_stats,
    .tx_timeout = vnet_tx_timeout,
};

/* ---- Interrupts -------------------------------------------------------------------- */

/* In the configuration thread: the link, an announcement, or a device that gave up. */
static void
config_changed(struct net_work *w)
{
	struct vnet *vn = container_of(w, struct vnet, config_work);

	mutex_lock(&rtnl_mutex);
	if (vn->is_running && !vn->is_broken) {
		if (virtio_needs_reset(&vn->v)) {
			log_warn("%s: the device asks to be reset", vn->nd->name);
			restart(vn);
		}
		read_link(vn);
		if (virtio_has(&vn->v, VNET_F_GUEST_ANNOUNCE) &&
		    config_read16(vn, VNET_CONFIG_STATUS) & VNET_S_ANNOUNCE) {
			netdev_announce(vn->nd);
			vnet_ctrl_announce_ack(vn);
		}
	}
	mutex_unlock(&rtnl_mutex);
}

static bool
is_detached(const struct vnet *vn)
{
	return __atomic_load_n(&vn->is_detached, __ATOMIC_ACQUIRE);
}

static enum irq_result
config_interrupt(void *arg)
{
	struct vnet *vn = arg;

	if (!is_detached(vn))
		net_config_queue(&vn->config_work);
	return IRQ_HANDLED;
}

static enum irq_result
pair_interrupt(void *arg)
{
	struct vnet_pair *pr = arg;

	if (!is_detached(pr->vn))
		netdev_schedule(pr->nq);
	return IRQ_HANDLED;
}

/* One interrupt for everything: a line, whose status is read and cleared, or one message. */
static enum irq_result
shared_interrupt(void *arg)
{
	struct vnet *vn = arg;
	bool is_line = vn->v.dev->irq_kind == DEV_IRQ_INTX;
	unsigned isr =
	    is_line ? virtio_isr(&vn->v) : VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG;

	if (!isr || is_detached(vn))
		return IRQ_NONE;
	if (isr & VIRTIO_ISR_CONFIG)
		net_config_queue(&vn->config_work);
	for (unsigned i = 0; i < vn->num_pairs; i++)
		netdev_schedule(vn->pairs[i].nq);
	return IRQ_HANDLED;
}

static enum err
request_interrupts(struct vnet *vn)
{
	struct device *dev = vn->v.dev;
	enum err err;

	if (dev->num_irqs == 1)
		return dev_irq_request(
		    dev, 0, shared_interrupt, vn, vn->pairs[0].nq->cpu);
	err = dev_irq_request(dev, VECTOR_CONFIG, config_interrupt, vn, DEV_ANY_CPU);
	for (unsigned i = 0; err == OK && i < vn->num_pairs; i++)
		err = dev_irq_request(
		    dev, i + 1, pair_interrupt, &vn->pairs[i], vn->pairs[i].nq->cpu);
	return err;
}

/* ---- Attach ------------------------------------------------------------------------ */

/* How many pairs: as many as CPUs, if the device has so many and a message for each. */
static enum err
choose_pairs(struct vnet *vn)
{
	struct device *dev = vn->v.dev;
	unsigned max = 1, want;
	enum err err;

	if (virtio_has(&vn->v, VNET_F_MQ))
		max = config_read16(vn, VNET_CONFIG_MAX_PAIRS);
	vn->max_pairs = MAX(max, 1u);
	want = MIN(MIN(vn->max_pairs, num_cpus), (unsigned)NETDEV_MAX_QUEUES);
	err = dev_irq_alloc(dev, want + 1, DEV_IRQ_MSIX | DEV_IRQ_INTX);
	if (err != OK)
		return err;
	vn->num_pairs = dev->num_irqs == 1 ? 1 : MIN(want, dev->num_irqs - 1);
	return OK;
}

static void
set_address(struct vnet *vn)
{
	struct netdev *nd = vn->nd;

	if (virtio_has(&vn->v, VNET_F_MAC)) {
		virtio_config_read(&vn->v, VNET_CONFIG_MAC, nd->mac, ETH_ALEN);
	} else { /* one of our own: local, not a group */
		random_bytes(nd->mac, ETH_ALEN);
		nd->mac[0] = (nd->mac[0] & 0xfe) | 0x02;
	}
	memcpy(nd->permanent_mac, nd->mac, ETH_ALEN);
}

static void
set_properties(struct vnet *vn)
{
	struct netdev *nd = vn->nd;
	uint32_t f = NETDEV_SG;

	nd->ops = &vnet_ops;
	nd->driver_name = "virtio_net";
	nd->private = vn;
	set_address(vn);
	nd->max_mtu = NETDEV_MAX_MTU;
	if (virtio_has(&vn->v, VNET_F_MTU)) {
		unsigned mtu = config_read16(vn, VNET_CONFIG_MTU);

		if (mtu >= MIN_MTU) {
			nd->max_mtu = MIN(mtu, (unsigned)NETDEV_MAX_MTU);
			nd->mtu = MIN(nd->max_mtu, mtu);
		}
	}
	if (virtio_has(&vn->v, VNET_F_CSUM))
		f |= NETDEV_CSUM_ANY | NETDEV_CSUM4 | NETDEV_CSUM6;
	if (virtio_has(&vn->v, VNET_F_HOST_TSO4))
		f |= NETDEV_TSO4;
	if (virtio_has(&vn->v, VNET_F_HOST_TSO6))
		f |= NETDEV_TSO6;
	if (virtio_has(&vn->v, VNET_F_GUEST_CSUM))
		f |= NETDEV_RXCSUM;
	nd->hw_features |= f;
	nd->features |= f;
}

static enum err
make_pairs(struct vnet *vn)
{
	vn->pairs = kcalloc(vn->num_pairs, sizeof(*vn->pairs));
	vn->nd = netdev_alloc(vn->num_pairs);
	if (!vn->pairs || !vn->nd)
		return ERR_NOMEM;
	for (unsigned i = 0; i < vn->num_pairs; i++) {
		struct vnet_pair *pr = &vn->pairs[i];

		pr->vn = vn;
		pr->nq = &vn->nd->queues[i];
		pr->nq->ring = pr;
		net_timer_init(&pr->timer, vnet_timer);
		pr->timer.cpu = (uint16_t)pr->nq->cpu;
	}
	return OK;
}

static enum err
bring_up(struct vnet *vn, struct device *dev)
{
	enum err err = virtio_open(&vn->v, dev);

	if (err == OK)
		err = virtio_begin(&vn->v, wanted_features(virtio_offered(&vn->v)));
	if (err == OK)
		err = choose_pairs(vn);
	if (err == OK)
		err = make_pairs(vn);
	if (err != OK)
		return err;
	set_properties(vn);
	(void)virtio_reset(&vn->v); /* quiet until it is brought up */
	dev_enable_dma(dev);
	vn->config_work.fn = config_changed;
	err = request_interrupts(vn);
	return err == OK ? netdev_register(vn->nd, NULL) : err;
}

static enum err
vnet_attach(struct device *dev)
{
	struct vnet *vn = dev->state;
	enum err err = bring_up(vn, dev);

	if (err != OK) {
		kfree(vn->pairs);
		if (vn->nd)
			netdev_free(vn->nd);
		return err;
	}
	log_info("%s: %u of %u pairs of queues, features %#llx", vn->nd->name,
	    vn->num_pairs, vn->max_pairs, (unsigned long long)vn->v.features);
	return OK;
}

struct flush {
	struct net_work work;
	uint32_t is_done; /* [a] */
};

static void
flushed(struct net_work *w)
{
	struct flush *f = container_of(w, struct flush, work);

	__atomic_store_n(&f->is_done, 1, __ATOMIC_RELEASE); /* it may be gone now */
}

/* Waits until the configuration thread has done all that is queued: it works in order. */
static void
flush_config_work(void)
{
	struct flush f = {.work.fn = flushed};

	net_config_queue(&f.work);
	while (!__atomic_load_n(&f.is_done, __ATOMIC_ACQUIRE))
		thread_sleep_ns(NSEC_PER_MSEC);
}

/* The interrupt handlers outlive the interface, so they must have nothing to do with it. */
static void
vnet_detach(struct device *dev)
{
	struct vnet *vn = dev->state;

	(void)virtio_reset(&vn->v); /* it may be gone already */
	__atomic_store_n(&vn->is_detached, true, __ATOMIC_SEQ_CST);
	rcu_synchronize(); /* no handler runs that has not seen it */
	flush_config_work();
	netdev_unregister(vn->nd);
	kfree(vn->pairs);
}

static void
vnet_quiesce(struct device *dev)
{
	struct vnet *vn = dev->state;

	virtio_stop_now(&vn->v);
}

static const struct pci_id vnet_ids[] = {
    {.vendor = VIRTIO_VENDOR, .device = VIRTIO_MODERN_BASE + TYPE_NET},
    {.vendor = VIRTIO_VENDOR, .device = TRANSITIONAL_NET},
    {0},
};

static const struct driver virtio_net_driver = {
    .name = "virtio_net",
    .pci_ids = vnet_ids,
    .state_size = sizeof(struct vnet),
    .attach = vnet_attach,
    .detach = vnet_detach,
    .quiesce = vnet_quiesce,
};
DRIVER(virtio_net);
