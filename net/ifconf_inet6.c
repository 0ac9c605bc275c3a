/* SIOC* ioctls on AF_INET6 sockets: addresses by struct in6_ifreq, routes by in6_rtmsg. */
#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "mm/usercopy.h"
#include "net/ifaddr.h"
#include "net/ifconf.h"
#include "net/netdev.h"
#include "net/route.h"

struct in6_ifreq {
	uint8_t addr[16];
	uint32_t plen;
	int32_t ifindex;
};

struct in6_rtmsg {
	uint8_t dst[16], src[16], gateway[16];
	uint32_t type;
	uint16_t dst_len, src_len;
	uint32_t metric;
	uint64_t info;
	uint32_t flags;
	int32_t ifindex;
};
static_assert(sizeof(struct in6_rtmsg) == 80, "Linux's struct in6_rtmsg");

enum { RTF_GATEWAY = 0x2, RTF_REJECT = 0x200 };

static struct netdev *
dev_of(int32_t index)
{
	struct netdev *dev;

	rcu_read_lock();
	dev = index > 0 ? netdev_by_index((unsigned)index) : NULL;
	rcu_read_unlock(); /* rtnl keeps it */
	return dev;
}

static uint8_t
scope_of(const struct ip_addr *a)
{
	if (ip_is_loopback(a))
		return 254;
	return ip_is_link_local(a) ? 253 : 0;
}

static enum err
addr6_locked(unsigned cmd, const struct in6_ifreq *r)
{
	struct netdev *dev = dev_of(r->ifindex);
	struct ifaddr_config c = {.plen = (uint8_t)r->plen,
	    .origin = IFA_STATIC,
	    .flags = IFA_PERMANENT,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};

	if (!dev)
		return ERR_NODEV;
	memcpy(c.addr.b, r->addr, sizeof(r->addr));
	if (ip_is_v4(&c.addr))
		return ERR_ADDRNOTAVAIL;
	if (cmd == SIOCDIFADDR)
		return ifaddr_del(dev, &c.addr, c.plen);
	c.peer = c.addr;
	c.broadcast = ip_any;
	c.scope = scope_of(&c.addr);
	return ifaddr_add(dev, &c, true);
}

long
ifconf_addr6(unsigned cmd, uintptr_t arg)
{
	struct in6_ifreq r;
	enum err err;

	if (!capable(CAP_NET_ADMIN))
		return ERR_PERM;
	err = get_user(r, (const struct in6_ifreq USER *)arg);
	if (err != OK)
		return err;
	if (r.plen > 128)
		return ERR_INVAL;
	mutex_lock(&rtnl_mutex);
	err = addr6_locked(cmd, &r);
	mutex_unlock(&rtnl_mutex);
	return err;
}

static enum err
route6_locked(unsigned cmd, const struct in6_rtmsg *r)
{
	struct route_config c = {.plen = (uint8_t)r->dst_len,
	    .type = r->flags & RTF_REJECT ? ROUTE_UNREACHABLE : ROUTE_UNICAST,
	    .proto = ROUTE_BY_BOOT,
	    .table = ROUTE_TABLE_MAIN,
	    .metric = r->metric,
	    .has_gateway = r->flags & RTF_GATEWAY};

	memcpy(c.dst.b, r->dst, sizeof(r->dst));
	memcpy(c.gateway.b, r->gateway, sizeof(r->gateway));
	if (ip_is_v4(&c.dst) || (c.has_gateway && ip_is_v4(&c.gateway)))
		return ERR_INVAL;
	if (r->ifindex) {
		c.dev = dev_of(r->ifindex);
		if (!c.dev)
			return ERR_NODEV;
	}
	return cmd == SIOCADDRT ? route_add(&c, true, false) : route_del(&c);
}

long
ifconf_route6(unsigned cmd, uintptr_t arg)
{
	struct in6_rtmsg r;
	enum err err;

	if (!capable(CAP_NET_ADMIN))
		return ERR_PERM;
	err = get_user(r, (const struct in6_rtmsg USER *)arg);
	if (err != OK)
		return err;
	if (r.dst_len > 128 || r.src_len)
		return ERR_INVAL;
	mutex_lock(&rtnl_mutex);
	err = route6_locked(cmd, &r);
	mutex_unlock(&rtnl_mutex);
	return err;
}
