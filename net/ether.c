/*
 * Ethernet: frames in and out, and the taps that watch both (RFC 894, RFC 2464, IEEE 802.3).
 *
 * In: ether_input looks at the destination, takes the header off, and leaves the packet with
 * its EtherType to the steering of net/rx.c; net_input shows it to the taps and calls the
 * protocol. Out: ether_send puts the header on.
 */
#include "net/ether.h"

#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "net/gro.h"
#include "net/rx.h"
#include "net/vlan.h"

enum { VLAN_ID_MASK = 0xfff };

const uint8_t ether_broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct spinlock tap_lock = SPINLOCK_INIT("taps", RANK_NET_TABLE);
static struct list taps = LIST_INIT(taps); /* RCU */
static uint32_t num_taps;                  /* [a] */

void
ether_tap_add(struct ether_tap *t)
{
	spin_lock(&tap_lock);
	rcu_list_push_back(&taps, &t->link);
	spin_unlock(&tap_lock);
	__atomic_add_fetch(&num_taps, 1, __ATOMIC_RELAXED);
}

void
ether_tap_remove(struct ether_tap *t)
{
	__atomic_sub_fetch(&num_taps, 1, __ATOMIC_RELAXED);
	spin_lock(&tap_lock);
	rcu_list_remove(&t->link);
	spin_unlock(&tap_lock);
}

/* Shows it to those who asked for it, with data at its link header. */
static void
show_to_taps(struct pkt *p)
{
	uint8_t *data = p->data;
	struct ether_tap *t;

	p->data = p->head + p->l2_off;
	rcu_list_for_each(t, &taps, link)
	{
		if (t->dev && t->dev != p->dev)
			continue;
		if (t->protocol == ETHERTYPE_ALL ||
		    (t->protocol == p->protocol && !(p->flags & PKT_OUTGOING)))
			t->input(t, p);
	}
	p->data = data;
}

void
ether_tap_outgoing(struct netdev *dev, struct pkt *p)
{
	uint16_t l2_off = p->l2_off;

	if (likely(!__atomic_load_n(&num_taps, __ATOMIC_RELAXED)))
		return;
	p->l2_off = (uint16_t)(p->data - p->head);
	p->flags |= PKT_OUTGOING;
	rcu_read_lock();
	show_to_taps(p);
	rcu_read_unlock();
	p->flags &= ~(uint32_t)PKT_OUTGOING;
	p->l2_off = l2_off;
}

static const struct ether_proto *
proto_of(uint16_t type)
{
	switch (type) {
	case ETHERTYPE_IP4: return &ip4_ether_proto;
	case ETHERTYPE_IP6: return &ip6_ether_proto;
	case ETHERTYPE_ARP: return &arp_ether_proto;
	default: return NULL;
	}
}

void
net_input(struct pkt *p)
{
	const struct ether_proto *proto;

	rcu_read_lock();
	p->l3_off = (uint16_t)(p->data - p->head);
	if (unlikely(__atomic_load_n(&num_taps, __ATOMIC_RELAXED)))
		show_to_taps(p);
	if (unlikely(p->flags & PKT_HAS_VLAN && p->vlan_tci & VLAN_ID_MASK)) {
		if (!vlan_input(p)) {
			pkt_drop(p, DROP_LINK_VLAN);
			rcu_read_unlock();
			return;
		}
		if (__atomic_load_n(&num_taps, __ATOMIC_RELAXED))
			show_to_taps(p); /* again, now as the VLAN's */
	}
	if (unlikely(p->flags & PKT_OTHERHOST))
		pkt_drop(p, DROP_LINK_OTHER_HOST);
	else if (likely((proto = proto_of(p->protocol))))
		proto->input(p);
	else
		pkt_drop(p, DROP_LINK_NO_PROTOCOL);
	rcu_read_unlock();
}

static uint32_t
destination_kind(const struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	if (likely(!memcmp(mac, dev->mac, ETH_ALEN)))
		return 0;
	if (!(mac[0] & 1))
		return PKT_OTHERHOST;
	return memcmp(mac, ether_broadcast, ETH_ALEN) ? PKT_MULTICAST : PKT_BROADCAST;
}

void
ether_input(struct pkt *p)
{
	const struct ether_header *h = pkt_need(p, sizeof(*h));
	uint16_t type;

	if (unlikely(!h)) {
		__atomic_add_fetch(&p->dev->rx_errors, 1, __ATOMIC_RELAXED);
		pkt_drop(p, DROP_LINK_SHORT);
		return;
	}
	type = be16_get(h->type);
	p->l2_off = (uint16_t)(p->data - p->head);
	p->flags |= destination_kind(p->dev, h->dst);
	p->protocol = likely(type >= ETHERTYPE_MIN) ? type : ETHERTYPE_802_2;
	p->data += sizeof(*h);
	if (unlikely(type == ETHERTYPE_VLAN) && !vlan_untag(p)) {
		pkt_drop(p, DROP_LINK_SHORT);
		return;
	}
	if (!(p->dev->features & NETDEV_GRO) || !gro_receive(p))
		net_input_steered(p);
}

enum err
ether_send(struct netdev *dev, struct pkt *p, const uint8_t dst[ETH_ALEN], uint16_t type)
{
	struct ether_header *h;

	p->l3_off = (uint16_t)(p->data - p->head);
	h = pkt_push(p, sizeof(*h));
	if (unlikely(!h)) {
		if (!pkt_writable(p, PKT_HEADROOM)) {
			pkt_drop(p, DROP_NO_MEMORY);
			return ERR_NOBUFS;
		}
		h = pkt_push(p, sizeof(*h));
	}
	memcpy(h->dst, dst, ETH_ALEN);
	memcpy(h->src, dev->mac, ETH_ALEN);
	h->type = be16_of(type);
	p->protocol = type;
	return netdev_send(dev, p);
}

void
ether_map_multicast(uint8_t mac[ETH_ALEN], const struct ip_addr *group)
{
	if (ip_is_v4(group)) {
		mac[0] = 0x01;
		mac[1] = 0x00;
		mac[2] = 0x5e;
		memcpy(mac + 3, group->b + 13, 3);
		mac[3] &= 0x7f;
	} else {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, group->b + 12, 4);
	}
}
