/*
 * The loopback interface: what is sent comes in again, through this CPU's backlog, so that
 * it is handled by the sender when it has left its locks (net_burst_end), or by the net thread,
 * never below the sending. So it is there when the call returns, as a rule, and no other CPU need
 * be woken for it. Packets stay as they are: checksums not computed, large ones not segmented.
 */
#include "kernel/panic.h"
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/netdev.h"
#include "net/rx.h"

struct netdev *loopback_dev;

static enum err
lo_up(struct netdev *dev)
{
	return OK;
}

static void
lo_down(struct netdev *dev)
{
}

static enum err
lo_send(struct netdev *dev, struct pkt *p)
{
	struct netdev_queue *q = &dev->queues[cpu_id() % dev->num_queues];

	pkt_release(p); /* it has arrived */
	q->rx_packets++;
	q->rx_bytes += pkt_len(p);
	p->dev = dev;
	p->l2_off = (uint16_t)(p->data - p->head);
	if (!pkt_pull(p, sizeof(struct ether_header))) {
		pkt_drop(p, DROP_LINK_SHORT);
		return ERR_INVAL;
	}
	p->flags |= PKT_LOOPBACK;
	p->flags &= ~(uint32_t)(PKT_OUTGOING | PKT_OTHERHOST | PKT_BROADCAST);
	net_input_later(p);
	return OK;
}

static const struct netdev_ops lo_ops = {
    .up = lo_up,
    .down = lo_down,
    .send_direct = lo_send,
};

void
loopback_init(void)
{
	struct netdev *dev = netdev_alloc(MIN(num_cpus, NETDEV_MAX_QUEUES));

	if (!dev)
		panic("no memory for the loopback interface");
	dev->ops = &lo_ops;
	dev->driver_name = "loopback";
	dev->type = 772; /* ARPHRD_LOOPBACK */
	dev->flags = NETDEV_LOOPBACK;
	dev->mtu = 65536;
	dev->min_mtu = 0;
	dev->max_mtu = UINT32_MAX;
	dev->hw_features = NETDEV_CSUM4 | NETDEV_CSUM6 | NETDEV_CSUM_ANY | NETDEV_SG |
	                   NETDEV_TSO4 | NETDEV_TSO6 | NETDEV_RXCSUM;
	dev->features = dev->hw_features;
	dev->has_link = true;
	loopback_dev = dev;
	mutex_lock(&rtnl_mutex);
	if (netdev_register_locked(dev, "lo") != OK || netdev_up(dev) != OK)
		panic("loopback interface");
	mutex_unlock(&rtnl_mutex);
}
