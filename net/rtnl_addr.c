/* rtnetlink: addresses of interfaces (RTM_*ADDR); numbers of Linux's linux/if_addr.h. */
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "net/ifaddr.h"
#include "net/netdev.h"
#include "net/netlink.h"

enum {
	IFA_ATTR_ADDRESS = 1,
	IFA_ATTR_LOCAL = 2,
	IFA_ATTR_LABEL = 3,
	IFA_ATTR_BROADCAST = 4,
	IFA_ATTR_CACHEINFO = 6,
	IFA_ATTR_FLAGS = 8,
	IFA_ATTR_METRIC = 9,
	IFA_ATTR_NUM = 12,
	FOR_EVER = 0xffffffff, /* seconds */
};

struct ifaddrmsg {
	uint8_t family, plen, flags, scope;
	uint32_t index;
};

struct ifa_cacheinfo {
	uint32_t preferred, valid; /* seconds left */
	uint32_t created, updated; /* hundredths of a second since boot */
};

static uint32_t
seconds_left(nsec_t until, nsec_t now)
{
	if (until == IFA_FOREVER)
		return FOR_EVER;
	return until > now ? (uint32_t)((until - now) / NSEC_PER_SEC) : 0;
}

static void
fill_addr(struct nl_out *o, const struct ifaddr *ifa, uint16_t type)
{
	bool is_v4 = ip_is_v4(&ifa->addr);
	struct ifaddrmsg *m = nl_begin(o, type, sizeof(*m));
	nsec_t now = clock_now_ns();
	uint32_t flags = ifaddr_shown_flags(ifa);
	struct ifa_cacheinfo ci = {
	    .preferred = seconds_left(ifa->preferred_until_ns, now),
	    .valid = seconds_left(ifa->valid_until_ns, now),
	    .created = (uint32_t)(ifa->created_ns / (10 * NSEC_PER_MSEC)),
	    .updated = (uint32_t)(ifa->changed_ns / (10 * NSEC_PER_MSEC)),
	};

	if (!m)
		return;
	*m = (struct ifaddrmsg){.family = is_v4 ? AF_INET : AF_INET6,
	    .plen = ifa->plen,
	    .flags = (uint8_t)flags,
	    .scope = ifa->scope,
	    .index = ifa->dev->index};
	if (is_v4 || !ip_equal(&ifa->peer, &ifa->addr)) {
		nl_put_addr(o, IFA_ATTR_ADDRESS, &ifa->peer);
		nl_put_addr(o, IFA_ATTR_LOCAL, &ifa->addr);
	} else {
		nl_put_addr(o, IFA_ATTR_ADDRESS, &ifa->addr);
	}
	if (is_v4 && !ip_is_unspecified(&ifa->broadcast))
		nl_put_addr(o, IFA_ATTR_BROADCAST, &ifa->broadcast);
	if (is_v4)
		nl_put_string(o, IFA_ATTR_LABEL, ifa->label);
	nl_put_u32(o, IFA_ATTR_FLAGS, flags);
	if (ifa->metric)
		nl_put_u32(o, IFA_ATTR_METRIC, ifa->metric);
	nl_put(o, IFA_ATTR_CACHEINFO, &ci, sizeof(ci));
}

static bool
dump_family(struct nl_dump *d, struct nl_out *o, struct netdev *dev, int family)
{
	struct ifaddr *ifa;

	list_for_each(ifa, ifaddr_list(dev, family), dev_link) {
		if (!nl_dump_wants(d))
			continue;
		fill_addr(o, ifa, RTM_NEWADDR);
		if (!nl_dump_put(d, o))
			return false;
	}
	return true;
}

static bool
dump_addrs(struct nl_dump *d, struct nl_out *o)
{
	const struct ifaddrmsg *m = (const struct ifaddrmsg *)d->request;
	int family = d->request_len ? m->family : AF_UNSPEC;
	unsigned index = d->request_len >= sizeof(*m) ? m->index : 0;
	struct netdev *dev;

	list_for_each(dev, &netdev_list, link) {
		if (index && dev->index != index)
			continue;
		if (family != AF_INET6 && !dump_family(d, o, dev, AF_INET))
			return false;
		if (family != AF_INET && !dump_family(d, o, dev, AF_INET6))
			return false;
	}
	return true;
}

/* What a request says. */
struct addr_request {
	struct netdev *dev;
	struct ifaddr_config c;
	char label[16];
	bool has_peer, has_label;
};

static nsec_t
lifetime(uint32_t seconds)
{
	return seconds == FOR_EVER ? IFA_FOREVER : seconds * NSEC_PER_SEC;
}

static enum err
parse_lifetimes(const struct nl_attr *a, struct ifaddr_config *c)
{
	struct ifa_cacheinfo ci;

	c->valid_ns = c->preferred_ns = IFA_FOREVER;
	if (!a)
		return OK;
	if (nl_len(a) < sizeof(ci))
		return ERR_INVAL;
	memcpy(&ci, nl_data(a), sizeof(ci));
	if (!ci.valid || ci.preferred > ci.valid)
		return ERR_INVAL;
	c->valid_ns = lifetime(ci.valid);
	c->preferred_ns = lifetime(ci.preferred);
	return OK;
}

static enum err
parse(struct nl_request *q, struct addr_request *r)
{
	const struct ifaddrmsg *m = q->body;
	const struct nl_attr *attr[IFA_ATTR_NUM];
	struct ip_addr address;

	*r = (struct addr_request){.c.plen = m->plen, .c.scope = m->scope};
	r->c.origin = IFA_STATIC;
	r->c.flags = m->flags;
	if (m->family != AF_INET && m->family != AF_INET6)
		return ERR_OPNOTSUPP;
	if (!nl_parse(attr, IFA_ATTR_NUM, q->attrs_at, q->attrs_len) ||
	    !nl_get_addr(attr[IFA_ATTR_ADDRESS], m->family, &address) ||
	    !nl_get_addr(attr[IFA_ATTR_LOCAL], m->family, &r->c.addr) ||
	    !nl_get_addr(attr[IFA_ATTR_BROADCAST], m->family, &r->c.broadcast) ||
	    !nl_get_u32(attr[IFA_ATTR_FLAGS], &r->c.flags) ||
	    !nl_get_u32(attr[IFA_ATTR_METRIC], &r->c.metric) ||
	    !nl_get_string(attr[IFA_ATTR_LABEL], r->label, sizeof(r->label)) ||
	    m->plen > (m->family == AF_INET ? 32 : 128))
		return ERR_INVAL;
	if (!attr[IFA_ATTR_ADDRESS] && !attr[IFA_ATTR_LOCAL])
		return ERR_INVAL;
	if (!attr[IFA_ATTR_LOCAL])
		r->c.addr = address;
	r->c.peer = attr[IFA_ATTR_ADDRESS] ? address : r->c.addr;
	if (!attr[IFA_ATTR_BROADCAST])
		r->c.broadcast = m->family == AF_INET ? ip4_any : ip_any;
	r->has_label = attr[IFA_ATTR_LABEL];
	r->c.label = r->has_label ? r->label : NULL;
	r->dev = rtnl_dev(m->index);
	if (!r->dev)
		return ERR_NODEV;
	return parse_lifetimes(attr[IFA_ATTR_CACHEINFO], &r->c);
}

static enum err
new_addr(struct nl_request *q)
{
	struct addr_request r;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	/* Tentative is what the kernel says, not the user. */
	r.c.flags &= ~(uint32_t)(IFA_TENTATIVE | IFA_DADFAILED | IFA_DEPRECATED);
	if (r.c.valid_ns == IFA_FOREVER)
		r.c.flags |= IFA_PERMANENT;
	return ifaddr_add(r.dev, &r.c, !(q->header->flags & NLM_F_REPLACE));
}

static enum err
del_addr(struct nl_request *q)
{
	struct addr_request r;
	enum err err = parse(q, &r);

	return err == OK ? ifaddr_del(r.dev, &r.c.addr, r.c.plen) : err;
}

static void
fill_new(struct nl_out *o, const void *arg)
{
	fill_addr(o, arg, RTM_NEWADDR);
	(void)nl_end(o); /* larger than the room: nothing is sent */
}

static void
fill_del(struct nl_out *o, const void *arg)
{
	fill_addr(o, arg, RTM_DELADDR);
	(void)nl_end(o);
}

static void
addr_event(struct ifaddr *ifa, bool is_added)
{
	netlink_notify(ip_is_v4(&ifa->addr) ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR,
	    is_added ? fill_new : fill_del, ifa);
}

void
rtnl_addr_init(void)
{
	static const struct rtnl_handler get = {
	    .header_len = sizeof(struct ifaddrmsg), .dump = dump_addrs};
	static const struct rtnl_handler add = {
	    .header_len = sizeof(struct ifaddrmsg), .is_admin = true, .handle = new_addr};
	static const struct rtnl_handler del = {
	    .header_len = sizeof(struct ifaddrmsg), .is_admin = true, .handle = del_addr};
	static struct ifaddr_notifier notifier = {.event = addr_event};

	rtnl_register(RTM_GETADDR, &get);
	rtnl_register(RTM_NEWADDR, &add);
	rtnl_register(RTM_DELADDR, &del);
	ifaddr_notify_add(&notifier);
}
