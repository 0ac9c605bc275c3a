/*
 * Sending: from a complete frame to the driver. netdev_send makes of the frame what the device
 * can take (net/gso.h: segments, checksums, VLAN tag, one piece), chooses a queue by the
 * packet's flow - else by CPU, so that senders do not meet - and gives it to the driver
 * under the queue's lock. While the ring is full, packets are held back in order, up to
 * tx_queue_len; the driver's netdev_tx_wake goes on with them.
 *
 * No wake-up is lost: the sender marks the queue as stopped and then asks the driver once
 * more; the driver frees descriptors and then looks at the mark.
 *
 * A watchdog timer runs while a queue is stopped; a queue that stays so for TX_TIMEOUT_NS is
 * hung, and the driver's tx_timeout is called with rtnl held.
 */
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "net/ether.h"
#include "net/gso.h"
#include "net/netdev.h"
#include "net/rx.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"

static void watch(struct net_timer *);

static void
hung_work(struct net_work *w)
{
	struct netdev *dev = container_of(w, struct netdev, hung_work);

	mutex_lock(&rtnl_mutex);
	if (dev->flags & NETDEV_UP && dev->ops->tx_timeout) {
		log_warn("%s: transmission hangs; resetting the device", dev->name);
		dev->ops->tx_timeout(dev);
		for (unsigned i = 0; i < dev->num_queues; i++)
			netdev_tx_wake(&dev->queues[i]);
	}
	mutex_unlock(&rtnl_mutex);
}

void
netdev_queue_init(struct netdev *dev, unsigned index)
{
	struct netdev_queue *q = &dev->queues[index];

	q->dev = dev;
	q->index = index;
	q->cpu = net_queue_cpu(index);
	spin_init(&q->tx_lock, "transmit queue", RANK_NET_QUEUE);
	net_timer_init(&q->watchdog, watch);
	dev->hung_work.fn = hung_work;
}

void
netdev_tx_stop_all(struct netdev *dev)
{
	for (unsigned i = 0; i < dev->num_queues; i++) {
		struct netdev_queue *q = &dev->queues[i];
		struct pkt_queue held;
		struct pkt *p;

		spin_lock(&q->tx_lock);
		held = q->held;
		q->held = (struct pkt_queue){0};
		q->is_stopped = false;
		spin_unlock(&q->tx_lock);
		while ((p = pkt_queue_pop(&held)))
			pkt_drop(p, DROP_DEV_DOWN);
		net_timer_cancel_sync(&q->watchdog);
	}
}

/* Once in TX_TIMEOUT_NS while the queue has been stopped at some time. */
static void
watch(struct net_timer *t)
{
	struct netdev_queue *q = container_of(t, struct netdev_queue, watchdog);
	nsec_t now = clock_now_ns(), since = 0;

	spin_lock(&q->tx_lock);
	if (q->is_stopped)
		since = q->stopped_since_ns;
	spin_unlock(&q->tx_lock);
	if (!since)
		return;
	if (now - since >= TX_TIMEOUT_NS) {
		__atomic_add_fetch(&q->dev->tx_errors, 1, __ATOMIC_RELAXED);
		net_config_queue(&q->dev->hung_work);
		since = now;
	}
	net_timer_arm(t, since + TX_TIMEOUT_NS);
}

/* Gives one to the driver; ERR_BUSY: the queue is stopped now, and the packet still ours. */
static enum err
give_locked(struct netdev_queue *q, struct pkt *p)
{
	size_t len = pkt_len(p);
	unsigned segs = p->gso_segs ? p->gso_segs : 1;
	enum err err = q->dev->ops->send(q, p);

	if (unlikely(err == ERR_BUSY)) {
		__atomic_store_n(&q->is_stopped, true, __ATOMIC_SEQ_CST);
		err =
		    q->dev->ops->send(q, p); /* the ring may have been cleaned just now */
		if (err == ERR_BUSY) {
			q->stopped_since_ns = clock_now_ns();
			return ERR_BUSY;
		}
		q->is_stopped = false;
	}
	if (unlikely(err != OK)) {
		__atomic_add_fetch(&q->dev->tx_errors, 1, __ATOMIC_RELAXED);
		return err;
	}
	q->tx_packets += segs;
	q->tx_bytes += len;
	return OK;
}

static enum err
queue_send(struct netdev_queue *q, struct pkt *p)
{
	bool is_first_held = false;
	enum err err;

	spin_lock(&q->tx_lock);
	err = q->is_stopped || q->held.first ? ERR_BUSY : give_locked(q, p);
	if (unlikely(err == ERR_BUSY)) {
		err = ERR_NOBUFS;
		if (q->held.count < q->dev->tx_queue_len) {
			is_first_held = !q->held.first;
			pkt_queue_push(&q->held, p);
			err = OK;
		}
	}
	spin_unlock(&q->tx_lock);
	if (unlikely(err == ERR_NOBUFS)) {
		__atomic_add_fetch(&q->dev->tx_dropped, 1, __ATOMIC_RELAXED);
		pkt_drop(p, DROP_TX_QUEUE_FULL);
	}
	if (unlikely(is_first_held))
		net_timer_arm(&q->watchdog, clock_now_ns() + TX_TIMEOUT_NS);
	return err;
}

void
netdev_tx_wake(struct netdev_queue *q)
{
	struct pkt *p;

	__atomic_thread_fence(
	    __ATOMIC_SEQ_CST); /* after the ring was cleaned: see the top */
	if (likely(!__atomic_load_n(&q->is_stopped, __ATOMIC_RELAXED)))
		return;
	spin_lock(&q->tx_lock);
	q->is_stopped = false;
	while ((p = pkt_queue_pop(&q->held))) {
		if (give_locked(q, p) != ERR_BUSY)
			continue;
		pkt_queue_push_front(&q->held, p);
		break;
	}
	spin_unlock(&q->tx_lock);
}

static struct netdev_queue *
choose_queue(struct netdev *dev, const struct pkt *p)
{
	unsigned n = dev->num_queues;

	if (n == 1)
		return &dev->queues[0];
	if (p->flags & PKT_HAS_HASH)
		return &dev->queues[(uint64_t)p->hash * n >> 32];
	return &dev->queues[cpu_id() % n];
}

static enum err
send_direct(struct netdev *dev, struct pkt *p)
{
	struct netdev_queue *q = &dev->queues[cpu_id() % dev->num_queues];

	q->tx_packets++;
	q->tx_bytes += pkt_len(p);
	return dev->ops->send_direct(dev, p);
}

/* One that the device can take as it is. */
static enum err
send_ready(struct netdev *dev, struct pkt *p)
{
	if (dev->ops->send_direct)
		return send_direct(dev, p);
	return queue_send(choose_queue(dev, p), p);
}

static enum err
send_checked(struct netdev *dev, struct pkt *p)
{
	enum err err = OK;
	struct pkt *next;

	if (unlikely(!(dev->flags & NETDEV_RUNNING))) {
		pkt_drop(p, DROP_DEV_DOWN);
		return dev->flags & NETDEV_UP ? OK : ERR_NETDOWN;
	}
	if (unlikely(!p->gso_size &&
	             pkt_len(p) > dev->mtu + sizeof(struct ether_header) + 4)) {
		pkt_drop(p, DROP_TX_TOO_LONG);
		return ERR_MSGSIZE;
	}
	ether_tap_outgoing(dev, p);
	if (likely(!gso_is_needed(dev, p)))
		return send_ready(dev, p);
	for (p = gso_prepare(dev, p); p; p = next) {
		enum err one;

		next = p->next;
		p->next = NULL;
		one = send_ready(dev, p);
		if (one != OK)
			err = one;
	}
	return err;
}

enum err
netdev_send(struct netdev *dev, struct pkt *p)
{
	enum err err;

	p->dev = dev;
	rcu_read_lock(); /* netdev_down waits for it */
	err = send_checked(dev, p);
	rcu_read_unlock();
	return err;
}

void
netdev_input(struct netdev_queue *q, struct pkt *p)
{
	q->rx_packets++;
	q->rx_bytes += pkt_len(p);
	p->dev = q->dev;
	ether_input(p);
}
