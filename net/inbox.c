/* Packets that wait for the configuration thread: see inbox.h. */
#include "net/inbox.h"

#include "net/netdev.h"

bool
inbox_put(struct inbox *b, struct pkt *p)
{
	bool is_full;

	spin_lock(&b->lock);
	is_full = b->pkts.count >= b->limit;
	if (!is_full) {
		netdev_get(p->dev);
		pkt_queue_push(&b->pkts, p);
	}
	spin_unlock(&b->lock);
	if (!is_full)
		net_config_queue(b->work);
	return !is_full;
}

struct pkt *
inbox_take(struct inbox *b)
{
	struct pkt *p;

	spin_lock(&b->lock);
	p = pkt_queue_pop(&b->pkts);
	spin_unlock(&b->lock);
	return p;
}

void
inbox_done(struct pkt *p)
{
	struct netdev *dev = p->dev;

	pkt_free(p);
	netdev_put(dev);
}
