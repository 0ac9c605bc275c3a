/*
 * IEEE 802.1Q interfaces. A VLAN interface has its lower one's link-layer address and no queue:
 * what is sent gets the tag (in the packet's descriptor; the device or net/gso.c writes it) and
 * is sent on the lower interface. What the lower one receives with a tag is moved over by
 * vlan_input; tag 0 means priority only and stays.
 *
 * The table of VLANs is a hash by lower interface and id, read under RCU, changed under rtnl.
 * A VLAN follows its lower interface: link, MTU at most its own, down and away with it.
 */
#define LOG_PREFIX "vlan: "
#include "net/vlan.h"

#include "kernel/log.h"
#include "kernel/procfs.h"
#include "kernel/sync/rculist.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/netdev.h"

enum { BUCKETS = 256, ID_MASK = 0xfff, TAG = 4, MAX_VLANS = 4096 };

struct vlan {
	struct vlan *next; /* RCU, in its bucket */
	struct netdev *dev, *lower;
	unsigned id;
	struct rcu_head rcu;
};

static struct vlan *buckets[BUCKETS];
static unsigned num_vlans; /* [rtnl] */

static struct vlan **
bucket_of(unsigned lower_index, unsigned id)
{
	return &buckets[(lower_index * 61 + id) % BUCKETS];
}

static struct vlan *
vlan_find(const struct netdev *lower, unsigned id)
{
	struct vlan *v = rcu_dereference(*bucket_of(lower->index, id));

	while (v && (v->lower != lower || v->id != id))
		v = rcu_dereference(v->next);
	return v;
}

bool
vlan_untag(struct pkt *p)
{
	const uint8_t *tag = pkt_need(p, TAG);
	uint16_t type;

	if (!tag)
		return false;
	p->vlan_tci = (uint16_t)(tag[0] << 8 | tag[1]);
	type = (uint16_t)(tag[2] << 8 | tag[3]);
	if (!pkt_writable(p, 0))
		return false;
	/* The addresses move up, so that the Ethernet header is in one piece for the taps. */
	memmove(p->head + p->l2_off + TAG, p->head + p->l2_off, 2 * ETH_ALEN);
	p->l2_off += TAG;
	p->data += TAG;
	p->flags |= PKT_HAS_VLAN;
	p->protocol = type >= ETHERTYPE_MIN ? type : ETHERTYPE_802_2;
	return true;
}

bool
vlan_input(struct pkt *p)
{
	struct vlan *v = vlan_find(p->dev, p->vlan_tci & ID_MASK);
	struct netdev_queue *q;

	if (!v || !(v->dev->flags & NETDEV_UP))
		return false;
	q = &v->dev->queues[cpu_id() % v->dev->num_queues];
	q->rx_packets++;
	q->rx_bytes += pkt_len(p);
	p->dev = v->dev;
	p->flags &= ~(uint32_t)PKT_HAS_VLAN;
	/* Its address may be another than the lower one's. */
	if (!(p->flags & (PKT_BROADCAST | PKT_MULTICAST))) {
		p->flags &= ~(uint32_t)PKT_OTHERHOST;
		if (memcmp(p->head + p->l2_off, v->dev->mac, ETH_ALEN) != 0)
			p->flags |= PKT_OTHERHOST;
	}
	return true;
}

/* ---- The interface ------------------------------------------------------------------------ */

static enum err
vlan_up(struct netdev *dev)
{
	if (!(dev->lower->flags & NETDEV_UP))
		return ERR_NETDOWN;
	if (memcmp(dev->mac, dev->lower->mac, ETH_ALEN) != 0)
		netdev_set_promisc(dev->lower, 1);
	return OK;
}

static void
vlan_down(struct netdev *dev)
{
	if (memcmp(dev->mac, dev->lower->mac, ETH_ALEN) != 0)
		netdev_set_promisc(dev->lower, -1);
}

static enum err
vlan_send(struct netdev *dev, struct pkt *p)
{
	p->vlan_tci = (uint16_t)dev->vlan_id;
	p->flags |= PKT_HAS_VLAN;
	return netdev_send(dev->lower, p);
}

/* Group addresses are asked for below; a simple filter takes all of them while we have any. */
static void
vlan_set_rx_mode(struct netdev *dev)
{
	bool wants = !list_is_empty(&dev->mc_addrs) || dev->flags & NETDEV_ALLMULTI;
	bool *has = dev->private;

	if (wants != *has)
		netdev_set_allmulti(dev->lower, wants ? 1 : -1);
	*has = wants;
}

static enum err
vlan_set_mtu(struct netdev *dev, unsigned mtu)
{
	return mtu > dev->lower->mtu ? ERR_RANGE : OK;
}

static enum err
vlan_set_mac(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	return dev->flags & NETDEV_UP ? ERR_BUSY : OK;
}

static const struct netdev_ops vlan_ops = {
    .up = vlan_up,
    .down = vlan_down,
    .send_direct = vlan_send,
    .set_rx_mode = vlan_set_rx_mode,
    .set_mtu = vlan_set_mtu,
    .set_mac = vlan_set_mac,
};

/* Devices that sort out tags by themselves must let this one pass. */
static void
set_filter(struct netdev *lower, unsigned id, bool is_on)
{
	if (lower->ops->set_vlan && lower->ops->set_vlan(lower, id, is_on) != OK)
		log_warn("%s: its filter for VLAN %u cannot be set", lower->name, id);
}

enum err
vlan_create(struct netdev *lower, unsigned id, const char *name)
{
	struct vlan *v;
	struct netdev *dev;
	char own_name[NETDEV_NAME + 8];
	enum err err;

	if (id > ID_MASK - 1 || lower->lower || lower->type != 1)
		return ERR_INVAL;
	if (vlan_find(lower, id))
		return ERR_EXIST;
	if (num_vlans >= MAX_VLANS)
		return ERR_NOSPC;
	scnprintf(own_name, sizeof(own_name), "%s.%u", lower->name, id);
	v = kzalloc(sizeof(*v));
	dev = netdev_alloc(MIN(num_cpus, (unsigned)NETDEV_MAX_QUEUES));
	if (!v || !dev || !(dev->private = kzalloc(sizeof(bool)))) {
		if (dev)
			netdev_free(dev);
		kfree(v);
		return ERR_NOMEM;
	}
	dev->ops = &vlan_ops;
	dev->driver_name = "802.1Q";
	dev->lower = netdev_get(lower);
	dev->vlan_id = (uint16_t)id;
	memcpy(dev->mac, lower->mac, ETH_ALEN);
	memcpy(dev->permanent_mac, lower->mac, ETH_ALEN);
	dev->mtu = lower->mtu;
	dev->max_mtu = lower->max_mtu;
	dev->hw_features =
	    lower->features & (NETDEV_CSUM4 | NETDEV_CSUM6 | NETDEV_CSUM_ANY | NETDEV_SG |
	                          NETDEV_TSO4 | NETDEV_TSO6);
	dev->features |= dev->hw_features;
	dev->tso_max_size = lower->tso_max_size;
	dev->has_link = lower->has_link;
	dev->speed_mbps = lower->speed_mbps;
	dev->is_full_duplex = lower->is_full_duplex;
	*v = (struct vlan){.dev = dev, .lower = lower, .id = id};
	err = netdev_register_locked(dev, name ? name : own_name);
	if (err != OK) {
		kfree(dev->private);
		netdev_free(dev);
		kfree(v);
		return err;
	}
	v->next = *bucket_of(lower->index, id);
	rcu_assign(*bucket_of(lower->index, id), v);
	num_vlans++;
	set_filter(lower, id, true);
	return OK;
}

static void
vlan_free(struct rcu_head *head)
{
	kfree(container_of(head, struct vlan, rcu));
}

enum err
vlan_delete(struct netdev *dev)
{
	struct vlan **link, *v;

	if (!dev->lower)
		return ERR_OPNOTSUPP;
	link = bucket_of(dev->lower->index, dev->vlan_id);
	while ((*link)->dev != dev)
		link = &(*link)->next;
	v = *link;
	rcu_assign(*link, v->next);
	num_vlans--;
	set_filter(dev->lower, dev->vlan_id, false);
	netdev_down(dev);
	if (*(bool *)dev->private)
		netdev_set_allmulti(dev->lower, -1);
	kfree(dev->private);
	dev->private = NULL;
	rcu_call(&v->rcu, vlan_free);
	netdev_unregister_locked(dev);
	return OK;
}

/* ---- Following the lower interface ----------------------------------------------------------- */

static void
follow(struct netdev *dev, const struct netdev *lower, enum netdev_event event)
{
	switch (event) {
	case NETDEV_EV_DOWN: netdev_down(dev); break;
	case NETDEV_EV_UP:
	case NETDEV_EV_LINK:
		netdev_link_change(
		    dev, lower->has_link, lower->speed_mbps, lower->is_full_duplex);
		break;
	case NETDEV_EV_MTU:
		if (dev->mtu > lower->mtu)
			(void)netdev_set_mtu(dev, lower->mtu); /* smaller always fits */
		break;
	default: break;
	}
}

static void
vlan_netdev_event(struct netdev *lower, enum netdev_event event)
{
	struct vlan *v, *next;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (v = buckets[i]; v; v = next) {
			next = v->next;
			if (v->lower != lower)
				continue;
			if (event == NETDEV_EV_UNREGISTER)
				(void)vlan_delete(v->dev); /* it is one */
			else
				follow(v->dev, lower, event);
		}
}

static void
show_config(struct seq *s)
{
	seq_puts(s,
	    "VLAN Dev name\t | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n");
	mutex_lock(&rtnl_mutex);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct vlan *v = buckets[i]; v; v = v->next)
			seq_printf(
			    s, "%-15s| %u  | %s\n", v->dev->name, v->id, v->lower->name);
	mutex_unlock(&rtnl_mutex);
}

void
vlan_init(void)
{
	static struct netdev_notifier notifier = {.event = vlan_netdev_event};

	netdev_notify_add(&notifier);
	(void)proc_register("net/vlan/config", show_config); /* no memory: not shown */
}
