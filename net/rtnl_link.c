/*
 * rtnetlink: interfaces (RTM_*LINK), as `ip link`, getifaddrs and if_nameindex use them. Attribute
 * numbers are those of Linux's linux/if_link.h.
 */
#include "kernel/sync/rcu.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/netdev.h"
#include "net/netlink.h"
#include "net/vlan.h"

enum {
	IFLA_ADDRESS = 1,
	IFLA_BROADCAST = 2,
	IFLA_IFNAME = 3,
	IFLA_MTU = 4,
	IFLA_LINK = 5,
	IFLA_QDISC = 6,
	IFLA_STATS = 7,
	IFLA_TXQLEN = 13,
	IFLA_OPERSTATE = 16,
	IFLA_LINKMODE = 17,
	IFLA_LINKINFO = 18,
	IFLA_STATS64 = 23,
	IFLA_GROUP = 27,
	IFLA_PROMISCUITY = 30,
	IFLA_NUM_TX_QUEUES = 31,
	IFLA_NUM_RX_QUEUES = 32,
	IFLA_CARRIER = 33,
	IFLA_GSO_MAX_SEGS = 40,
	IFLA_GSO_MAX_SIZE = 41,
	IFLA_MIN_MTU = 50,
	IFLA_MAX_MTU = 51,
	IFLA_PERM_ADDRESS = 54,
	IFLA_NUM = 64,

	IFLA_INFO_KIND = 1,
	IFLA_INFO_DATA = 2,
	IFLA_INFO_NUM = 6,
	IFLA_VLAN_ID = 1,
	IFLA_VLAN_NUM = 6,

	IF_OPER_UNKNOWN = 0,
	IF_OPER_DOWN = 2,
	IF_OPER_LOWERLAYERDOWN = 3,
	IF_OPER_UP = 6,

	IFF_LOWER_UP = 1 << 16,
};

struct ifinfomsg {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};

static uint8_t
operstate(const struct netdev *dev)
{
	if (dev->flags & NETDEV_LOOPBACK)
		return IF_OPER_UNKNOWN;
	if (dev->flags & NETDEV_RUNNING)
		return IF_OPER_UP;
	return dev->lower ? IF_OPER_LOWERLAYERDOWN : IF_OPER_DOWN;
}

/* struct rtnl_link_stats64, and its older form in 32 bits: the same fields in the same order. */
static void
put_stats(struct nl_out *o, struct netdev *dev)
{
	struct netdev_stats s;
	uint64_t wide[25];
	uint32_t narrow[24];

	netdev_get_stats(dev, &s);
	memset(wide, 0, sizeof(wide));
	wide[0] = s.rx_packets;
	wide[1] = s.tx_packets;
	wide[2] = s.rx_bytes;
	wide[3] = s.tx_bytes;
	wide[4] = s.rx_errors;
	wide[5] = s.tx_errors;
	wide[6] = s.rx_dropped;
	wide[7] = s.tx_dropped;
	wide[8] = s.rx_multicast;
	wide[9] = s.tx_collisions;
	wide[13] = s.rx_frame;
	wide[14] = s.rx_fifo;
	wide[17] = s.tx_carrier;
	wide[18] = s.tx_fifo;
	for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++)
		narrow[i] = (uint32_t)wide[i];
	nl_put(o, IFLA_STATS64, wide, sizeof(wide));
	nl_put(o, IFLA_STATS, narrow, sizeof(narrow));
}

static void
put_vlan(struct nl_out *o, const struct netdev *dev)
{
	size_t info, data;

	nl_put_u32(o, IFLA_LINK, dev->lower->index);
	info = nl_nest(o, IFLA_LINKINFO);
	nl_put_string(o, IFLA_INFO_KIND, "vlan");
	data = nl_nest(o, IFLA_INFO_DATA);
	nl_put_u16(o, IFLA_VLAN_ID, dev->vlan_id);
	nl_nest_end(o, data);
	nl_nest_end(o, info);
}

static void
fill_link(struct nl_out *o, struct netdev *dev, uint16_t type)
{
	static const uint8_t zero[ETH_ALEN];
	struct ifinfomsg *m = nl_begin(o, type, sizeof(*m));
	bool is_lo = dev->flags & NETDEV_LOOPBACK;

	if (!m)
		return;
	m->type = dev->type;
	m->index = (int32_t)dev->index;
	m->flags = netdev_user_flags(dev);
	if (dev->flags & NETDEV_RUNNING)
		m->flags |= IFF_LOWER_UP;
	nl_put_string(o, IFLA_IFNAME, dev->name);
	nl_put_u32(o, IFLA_TXQLEN, dev->tx_queue_len);
	nl_put_u8(o, IFLA_OPERSTATE, operstate(dev));
	nl_put_u8(o, IFLA_LINKMODE, 0);
	nl_put_u32(o, IFLA_MTU, dev->mtu);
	nl_put_u32(o, IFLA_MIN_MTU, dev->min_mtu);
	nl_put_u32(o, IFLA_MAX_MTU, is_lo ? 0 : dev->max_mtu);
	nl_put_u32(o, IFLA_GROUP, 0);
	nl_put_u32(o, IFLA_PROMISCUITY, dev->promisc_count);
	nl_put_u32(o, IFLA_NUM_TX_QUEUES, dev->num_queues);
	nl_put_u32(o, IFLA_NUM_RX_QUEUES, dev->num_queues);
	nl_put_u32(o, IFLA_GSO_MAX_SEGS, 65535);
	nl_put_u32(o, IFLA_GSO_MAX_SIZE, dev->tso_max_size);
	nl_put_u8(o, IFLA_CARRIER, dev->has_link);
	nl_put_string(o, IFLA_QDISC, dev->ops->send_direct ? "noqueue" : "pfifo_fast");
	nl_put(o, IFLA_ADDRESS, dev->mac, ETH_ALEN);
	nl_put(o, IFLA_BROADCAST, is_lo ? zero : ether_broadcast, ETH_ALEN);
	if (memcmp(dev->permanent_mac, zero, ETH_ALEN) != 0)
		nl_put(o, IFLA_PERM_ADDRESS, dev->permanent_mac, ETH_ALEN);
	put_stats(o, dev);
	if (dev->lower)
		put_vlan(o, dev);
}

static bool
dump_links(struct nl_dump *d, struct nl_out *o)
{
	struct netdev *dev;

	list_for_each(dev, &netdev_list, link) {
		if (!nl_dump_wants(d))
			continue;
		fill_link(o, dev, RTM_NEWLINK);
		if (!nl_dump_put(d, o))
			return false;
	}
	return true;
}

/* What a request says, checked; attributes that are absent are marked so. */
struct link_request {
	const struct ifinfomsg *m;
	const struct nl_attr *attr[IFLA_NUM];
	struct netdev *dev; /* by index or else by name; NULL */
	char name[NETDEV_NAME];
	uint32_t mtu, txqlen;
};

static enum err
parse(struct nl_request *q, struct link_request *r)
{
	memset(r, 0, sizeof(*r));
	r->m = q->body;
	if (!nl_parse(r->attr, IFLA_NUM, q->attrs_at, q->attrs_len) ||
	    !nl_get_string(r->attr[IFLA_IFNAME], r->name, sizeof(r->name)) ||
	    !nl_get_u32(r->attr[IFLA_MTU], &r->mtu) ||
	    !nl_get_u32(r->attr[IFLA_TXQLEN], &r->txqlen) ||
	    (r->attr[IFLA_ADDRESS] && nl_len(r->attr[IFLA_ADDRESS]) < ETH_ALEN))
		return ERR_INVAL;
	rcu_read_lock();
	if (r->m->index > 0)
		r->dev = netdev_by_index((unsigned)r->m->index);
	else if (r->name[0])
		r->dev = netdev_by_name(r->name);
	rcu_read_unlock(); /* rtnl keeps it */
	return r->m->index < 0 ? ERR_INVAL : OK;
}

static enum err
get_link(struct nl_request *q)
{
	struct link_request r;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	if (!r.dev)
		return ERR_NODEV;
	fill_link(q->out, r.dev, RTM_NEWLINK);
	return nl_end(q->out) ? OK : ERR_MSGSIZE;
}

/* The changes asked for, one after the other until one fails, as Linux does. */
static enum err
change_link(const struct link_request *r)
{
	uint32_t mask = r->m->change ? r->m->change : UINT32_MAX;
	struct netdev *dev = r->dev;
	enum err err = OK;

	if (r->attr[IFLA_ADDRESS])
		err = netdev_set_mac(dev, nl_data(r->attr[IFLA_ADDRESS]));
	if (err == OK && r->attr[IFLA_MTU])
		err = netdev_set_mtu(dev, r->mtu);
	if (err == OK && r->attr[IFLA_TXQLEN])
		dev->tx_queue_len = MAX(r->txqlen, 1u);
	if (err == OK && r->m->index > 0 && r->attr[IFLA_IFNAME])
		err = netdev_rename(dev, r->name);
	if (err == OK && (r->m->flags || r->m->change))
		err = netdev_change_flags(
		    dev, (r->m->flags & mask) | (netdev_user_flags(dev) & ~mask));
	return err;
}

static enum err
create_link(const struct link_request *r)
{
	const struct nl_attr *info[IFLA_INFO_NUM], *data[IFLA_VLAN_NUM];
	char kind[16] = "";
	uint32_t lower = 0;
	uint16_t id = 0;
	struct netdev *dev;

	if (!r->attr[IFLA_LINKINFO])
		return ERR_OPNOTSUPP;
	if (!nl_parse(info, IFLA_INFO_NUM, nl_data(r->attr[IFLA_LINKINFO]),
	        nl_len(r->attr[IFLA_LINKINFO])) ||
	    !nl_get_string(info[IFLA_INFO_KIND], kind, sizeof(kind)))
		return ERR_INVAL;
	if (strcmp(kind, "vlan") != 0)
		return ERR_OPNOTSUPP;
	if (!info[IFLA_INFO_DATA] || !r->attr[IFLA_LINK] ||
	    !nl_parse(data, IFLA_VLAN_NUM, nl_data(info[IFLA_INFO_DATA]),
	        nl_len(info[IFLA_INFO_DATA])) ||
	    !data[IFLA_VLAN_ID] || !nl_get_u16(data[IFLA_VLAN_ID], &id) ||
	    !nl_get_u32(r->attr[IFLA_LINK], &lower))
		return ERR_INVAL;
	dev = rtnl_dev(lower);
	if (!dev)
		return ERR_NODEV;
	return vlan_create(dev, id, r->name[0] ? r->name : NULL);
}

static enum err
new_link(struct nl_request *q)
{
	struct link_request r;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	if (r.dev && q->header->flags & NLM_F_EXCL)
		return ERR_EXIST;
	if (r.dev)
		return change_link(&r);
	if (r.m->index > 0 || !(q->header->flags & NLM_F_CREATE))
		return ERR_NODEV;
	return create_link(&r);
}

static enum err
del_link(struct nl_request *q)
{
	struct link_request r;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	return r.dev ? vlan_delete(r.dev) : ERR_NODEV;
}

/* ---- Notifications ------------------------------------------------------------------------------ */

static void
fill_new(struct nl_out *o, const void *arg)
{
	fill_link(o, (struct netdev *)(uintptr_t)arg, RTM_NEWLINK);
	(void)nl_end(o); /* larger than the room: nothing is sent */
}

static void
fill_del(struct nl_out *o, const void *arg)
{
	fill_link(o, (struct netdev *)(uintptr_t)arg, RTM_DELLINK);
	(void)nl_end(o);
}

static void
link_event(struct netdev *dev, enum netdev_event event)
{
	netlink_notify(
	    RTNLGRP_LINK, event == NETDEV_EV_UNREGISTER ? fill_del : fill_new, dev);
}

void
rtnl_link_init(void)
{
	static const struct rtnl_handler get = {.header_len = sizeof(struct ifinfomsg),
	    .handle = get_link,
	    .dump = dump_links};
	static const struct rtnl_handler set = {
	    .header_len = sizeof(struct ifinfomsg), .is_admin = true, .handle = new_link};
	static const struct rtnl_handler del = {
	    .header_len = sizeof(struct ifinfomsg), .is_admin = true, .handle = del_link};
	static struct netdev_notifier notifier = {.event = link_event};

	rtnl_register(RTM_GETLINK, &get);
	rtnl_register(RTM_NEWLINK, &set);
	rtnl_register(RTM_SETLINK, &set);
	rtnl_register(RTM_DELLINK, &del);
	netdev_notify_add(&notifier);
}
