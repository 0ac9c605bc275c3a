/*
 * SIOC* ioctls of IPv4 addresses, routes and ARP entries. An interface has one address for each
 * label here ("eth0", "eth0:1"), as ifconfig thinks; others of the interface are for `ip`.
 * Setting an address replaces that of the label; a netmask or broadcast address replaces it
 * too, with the same address.
 */
#include "kernel/proc/cred.h"
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "mm/usercopy.h"
#include "net/ifaddr.h"
#include "net/ifconf.h"
#include "net/neigh.h"
#include "net/netdev.h"
#include "net/route.h"

enum { MAX_LISTED = 1024 };

struct sockaddr_in {
	uint16_t family;
	be16 port;
	be32 addr;
	uint8_t zero[8];
};
static_assert(sizeof(struct sockaddr_in) == 16, "Linux's struct sockaddr_in");

static void
put_sockaddr(uint8_t *to, be32 addr)
{
	struct sockaddr_in sin = {.family = AF_INET, .addr = addr};

	memcpy(to, &sin, sizeof(sin));
}

static be32
mask_of(unsigned plen)
{
	return be32_of(plen ? ~0u << (32 - plen) : 0);
}

/* The length of a netmask; false: its ones are not in a row. */
static bool
plen_of(be32 mask, uint8_t *plen)
{
	uint32_t m = be32_get(mask);

	*plen = (uint8_t)__builtin_popcount(m);
	return m == be32_get(mask_of(*plen));
}

/* By label. [rtnl] */
static struct ifaddr *
find_labelled(struct netdev *dev, const char *label)
{
	struct ifaddr *ifa;

	list_for_each(ifa, ifaddr_list(dev, AF_INET), dev_link)
		if (!strncmp(ifa->label, label, sizeof(ifa->label)))
			return ifa;
	return NULL;
}

enum err
ifconf_get_addr(struct netdev *dev, const char *label, unsigned cmd, struct ifreq *r)
{
	const struct ifaddr *ifa = find_labelled(dev, label);

	if (!ifa)
		return ERR_ADDRNOTAVAIL;
	memset(r->bytes, 0, sizeof(r->bytes));
	switch (cmd) {
	case SIOCGIFADDR: put_sockaddr(r->bytes, ifa->addr.v4); return OK;
	case SIOCGIFDSTADDR: put_sockaddr(r->bytes, ifa->peer.v4); return OK;
	case SIOCGIFNETMASK: put_sockaddr(r->bytes, mask_of(ifa->plen)); return OK;
	case SIOCGIFBRDADDR:
		put_sockaddr(
		    r->bytes, ip_is_v4(&ifa->broadcast) ? ifa->broadcast.v4 : be32_of(0));
		return OK;
	default: return ERR_INVAL;
	}
}

static unsigned
class_plen(be32 a)
{
	if (!(a.b[0] & 0x80))
		return 8;
	return (a.b[0] & 0xc0) == 0x80 ? 16 : 24;
}

static be32
broadcast_of(be32 addr, unsigned plen)
{
	return be32_of(be32_get(addr) | ~be32_get(mask_of(plen)));
}

/* Puts `c` in the place of what the label has. */
static enum err
replace(struct netdev *dev, struct ifaddr *old, const struct ifaddr_config *c)
{
	enum err err = OK;

	if (old)
		err = ifaddr_del(dev, &old->addr, old->plen);
	if (err != OK || ip_is_unspecified(&c->addr))
		return err;
	return ifaddr_add(dev, c, false);
}

enum err
ifconf_set_addr(
    struct netdev *dev, const char *label, unsigned cmd, const struct ifreq *r)
{
	struct ifaddr *old = find_labelled(dev, label);
	struct ifaddr_config c = {.origin = IFA_STATIC,
	    .flags = IFA_PERMANENT,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER,
	    .label = label};
	struct sockaddr_in sin;
	enum err err;

	memcpy(&sin, r->bytes, sizeof(sin));
	if (sin.family != AF_INET)
		return ERR_INVAL;
	if (!old && cmd != SIOCSIFADDR)
		return ERR_ADDRNOTAVAIL;
	if (old) {
		c.addr = old->addr;
		c.peer = old->peer;
		c.broadcast = old->broadcast;
		c.plen = old->plen;
		c.scope = old->scope;
	}
	switch (cmd) {
	case SIOCSIFADDR:
		c.addr = c.peer = ip_from_v4(sin.addr);
		c.plen = (uint8_t)class_plen(sin.addr);
		c.scope = ip_is_loopback(&c.addr) ? 254 : 0;
		c.broadcast = ip_from_v4(broadcast_of(sin.addr, c.plen));
		break;
	case SIOCSIFNETMASK:
		if (!plen_of(sin.addr, &c.plen))
			return ERR_INVAL;
		c.broadcast = ip_from_v4(broadcast_of(c.addr.v4, c.plen));
		break;
	case SIOCSIFBRDADDR: c.broadcast = ip_from_v4(sin.addr); break;
	case SIOCSIFDSTADDR: c.peer = ip_from_v4(sin.addr); break;
	default: return ERR_NOTTY;
	}
	err = replace(dev, old, &c);
	/* Linux brings an interface up that gets its first address. */
	if (err == OK && cmd == SIOCSIFADDR && !(dev->flags & NETDEV_UP) &&
	    !ip_is_unspecified(&c.addr))
		err = netdev_up(dev);
	return err;
}

/* ---- SIOCGIFCONF ------------------------------------------------------------------------------- */

struct ifconf {
	int32_t len, pad;
	uint64_t buf; /* 0: only the length is wanted */
};

/* Writes the n-th entry, if it fits. */
static enum err
put_entry(const struct ifconf *c, unsigned n, const struct ifaddr *ifa)
{
	struct ifreq r = {0};

	if (!c->buf || (n + 1) * sizeof(r) > (size_t)c->len)
		return OK;
	memcpy(r.name, ifa->label, sizeof(r.name));
	put_sockaddr(r.bytes, ifa->addr.v4);
	return put_user(r, (struct ifreq USER *)(c->buf + n * sizeof(r)));
}

long
ifconf_list(uintptr_t arg)
{
	struct netdev *dev;
	struct ifaddr *ifa;
	struct ifconf c;
	unsigned n = 0;
	enum err err = get_user(c, (const struct ifconf USER *)arg);

	if (err != OK)
		return err;
	if (c.len < 0)
		return ERR_INVAL;
	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link)
		list_for_each(ifa, ifaddr_list(dev, AF_INET), dev_link)
			if (err == OK && n < MAX_LISTED)
				err = put_entry(&c, n++, ifa);
	mutex_unlock(&rtnl_mutex);
	if (err != OK)
		return err;
	n *= sizeof(struct ifreq);
	if (c.buf)
		n = MIN(n, (unsigned)c.len / sizeof(struct ifreq) * sizeof(struct ifreq));
	c.len = (int32_t)n;
	return put_user(c, (struct ifconf USER *)arg);
}

/* ---- SIOCADDRT, SIOCDELRT ------------------------------------------------------------------------ */

struct rtentry {
	uint64_t pad1;
	struct sockaddr_in dst, gateway, mask;
	uint16_t flags;
	int16_t pad2;
	uint64_t pad3;
	uint8_t tos, class;
	int16_t pad4[3];
	int16_t metric; /* one more than the metric */
	uint64_t dev;   /* a user string, or 0 */
	uint64_t mtu, window;
	uint16_t irtt;
};
static_assert(sizeof(struct rtentry) == 120, "Linux's struct rtentry");

enum {
	RTF_UP = 0x1,
	RTF_GATEWAY = 0x2,
	RTF_HOST = 0x4,
	RTF_MTU = 0x40,
	RTF_WINDOW = 0x80,
	RTF_REJECT = 0x200,
	SCOPE_LINK = 253,
};

static enum err
route_from_entry(const struct rtentry *e, const char *dev_name, struct route_config *c)
{
	*c = (struct route_config){.dst = ip_from_v4(e->dst.addr),
	    .plen = 32,
	    .type = e->flags & RTF_REJECT ? ROUTE_UNREACHABLE : ROUTE_UNICAST,
	    .proto = ROUTE_BY_BOOT,
	    .table = ROUTE_TABLE_MAIN,
	    .metric = e->metric > 0 ? (uint32_t)e->metric - 1 : 0,
	    .mtu = e->flags & RTF_MTU ? (uint32_t)e->mtu : 0,
	    .window = e->flags & RTF_WINDOW ? (uint32_t)e->window : 0};
	if (e->dst.family && e->dst.family != AF_INET)
		return ERR_AFNOSUPPORT;
	if (!(e->flags & RTF_HOST) && !plen_of(e->mask.addr, &c->plen))
		return ERR_INVAL;
	if (be32_get(e->dst.addr) & ~be32_get(mask_of(c->plen)))
		return ERR_INVAL;
	if (e->flags & RTF_GATEWAY) {
		c->has_gateway = true;
		c->gateway = ip_from_v4(e->gateway.addr);
	} else {
		c->scope = SCOPE_LINK;
	}
	if (dev_name[0]) {
		rcu_read_lock();
		c->dev = netdev_by_name(dev_name);
		rcu_read_unlock(); /* rtnl keeps it */
		if (!c->dev)
			return ERR_NODEV;
	}
	return OK;
}

long
ifconf_route4(unsigned cmd, uintptr_t arg)
{
	char name[16] = "";
	struct route_config c;
	struct rtentry e;
	enum err err;

	if (!capable(CAP_NET_ADMIN))
		return ERR_PERM;
	err = get_user(e, (const struct rtentry USER *)arg);
	if (err != OK)
		return err;
	if (e.dev && strncpy_from_user(name, (const char USER *)e.dev, sizeof(name)) < 0)
		return ERR_FAULT;
	mutex_lock(&rtnl_mutex);
	err = route_from_entry(&e, name, &c);
	if (err == OK && cmd == SIOCADDRT)
		err = route_add(&c, true, false);
	else if (err == OK)
		err = route_del(&c);
	mutex_unlock(&rtnl_mutex);
	return err;
}

/* ---- SIOC?ARP -------------------------------------------------------------------------------------- */

struct arpreq {
	struct sockaddr_in addr;
	uint16_t hatype;
	uint8_t mac[14];
	int32_t flags;
	struct sockaddr_in netmask;
	char dev[16];
};
static_assert(sizeof(struct arpreq) == 68, "Linux's struct arpreq");

enum { ATF_COM = 0x02, ATF_PERM = 0x04 };

static struct netdev *
arp_dev(const struct arpreq *a, const struct ip_addr *addr)
{
	struct flow f = {.dst = *addr, .src = ip4_any};
	struct netdev *dev = NULL;
	struct dst *dst;

	if (a->dev[0]) {
		rcu_read_lock();
		dev = netdev_by_name(a->dev);
		rcu_read_unlock(); /* rtnl keeps it */
	} else if (route_output(&f, &dst) == OK) {
		dev = dst->dev;
		dst_put(dst);
	}
	return dev;
}

static enum err
get_arp(struct netdev *dev, const struct ip_addr *addr, struct arpreq *a)
{
	struct neigh *n = neigh_find(dev, addr);
	bool is_usable;

	if (!n)
		return ERR_NXIO;
	spin_lock(&n->lock);
	is_usable = n->state & ~(NEIGH_INCOMPLETE | NEIGH_FAILED);
	memcpy(a->mac, n->mac, ETH_ALEN);
	a->flags =
	    (n->state & NEIGH_PERMANENT ? ATF_PERM : 0) | (is_usable ? ATF_COM : 0);
	spin_unlock(&n->lock);
	neigh_put(n);
	a->hatype = dev->type;
	memcpy(a->dev, dev->name, sizeof(a->dev));
	return OK;
}

static enum err
arp_locked(unsigned cmd, struct arpreq *a)
{
	struct ip_addr addr = ip_from_v4(a->addr.addr);
	struct netdev *dev = arp_dev(a, &addr);

	if (!dev)
		return ERR_NODEV;
	switch (cmd) {
	case SIOCGARP: return get_arp(dev, &addr, a);
	case SIOCDARP: return neigh_del(dev, &addr);
	default:
		return neigh_set(dev, &addr, a->mac,
		    a->flags & ATF_PERM ? NEIGH_PERMANENT : NEIGH_STALE);
	}
}

long
ifconf_arp(unsigned cmd, uintptr_t arg)
{
	struct arpreq a;
	enum err err = get_user(a, (const struct arpreq USER *)arg);

	if (cmd != SIOCGARP && !capable(CAP_NET_ADMIN))
		return ERR_PERM;
	if (err != OK)
		return err;
	if (a.addr.family != AF_INET)
		return ERR_PFNOSUPPORT;
	a.dev[sizeof(a.dev) - 1] = '\0';
	mutex_lock(&rtnl_mutex);
	err = arp_locked(cmd, &a);
	mutex_unlock(&rtnl_mutex);
	if (err == OK && cmd == SIOCGARP)
		err = put_user(a, (struct arpreq USER *)arg);
	return err;
}
