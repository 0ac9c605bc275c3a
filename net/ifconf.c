/*
 * SIOC* ioctls of interfaces, as ifconfig, udhcpc and many libraries use them. This file has
 * the door and what concerns the interface itself; addresses are in net/ifconf_inet.c and
 * net/ifconf_inet6.c, SIOCETHTOOL in net/ethtool.c. Reading needs no right, writing
 * CAP_NET_ADMIN. The order of checks is Linux's.
 */
#include "net/ifconf.h"

#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "mm/usercopy.h"
#include "net/netdev.h"
#include "net/sock.h"
#include "net/vlan.h"

enum {
	IFNAME_MAX = 16,
	SOCKADDR_DATA = 2, /* offset of sa_data */
	ADD_VLAN_CMD = 0,
	DEL_VLAN_CMD = 1,
	GET_VLAN_REALDEV_NAME_CMD = 8,
	GET_VLAN_VID_CMD = 9,
	SET_VLAN_NAME_TYPE_CMD = 6,
};

static void
put_hwaddr(struct ifreq *r, const struct netdev *dev)
{
	memset(r->bytes, 0, sizeof(r->bytes));
	memcpy(r->bytes, &dev->type, sizeof(dev->type));
	memcpy(r->bytes + SOCKADDR_DATA, dev->mac, ETH_ALEN);
}

static enum err
get_link_value(struct netdev *dev, unsigned cmd, struct ifreq *r)
{
	switch (cmd) {
	case SIOCGIFFLAGS: r->flags = (int16_t)netdev_user_flags(dev); return OK;
	case SIOCGIFMETRIC: r->value = 0; return OK;
	case SIOCGIFMTU: r->value = (int32_t)dev->mtu; return OK;
	case SIOCGIFINDEX: r->value = (int32_t)dev->index; return OK;
	case SIOCGIFTXQLEN: r->value = (int32_t)dev->tx_queue_len; return OK;
	case SIOCGIFHWADDR: put_hwaddr(r, dev); return OK;
	case SIOCGIFMAP: memset(r->bytes, 0, sizeof(r->bytes)); return OK;
	default: return ERR_NOTTY;
	}
}

static enum err
change_multicast(struct netdev *dev, const struct ifreq *r, bool is_add)
{
	const uint8_t *mac = r->bytes + SOCKADDR_DATA;

	if (!(mac[0] & 1))
		return ERR_INVAL;
	if (is_add)
		return netdev_mc_add(dev, mac);
	netdev_mc_del(dev, mac);
	return OK;
}

static enum err
set_link_value(struct netdev *dev, unsigned cmd, struct ifreq *r)
{
	uint16_t type;

	switch (cmd) {
	case SIOCSIFFLAGS: return netdev_change_flags(dev, (uint16_t)r->flags);
	case SIOCSIFMETRIC: return ERR_OPNOTSUPP;
	case SIOCSIFMTU:
		return r->value < 0 ? ERR_INVAL : netdev_set_mtu(dev, (unsigned)r->value);
	case SIOCSIFTXQLEN:
		if (r->value < 0)
			return ERR_INVAL;
		dev->tx_queue_len = MAX((unsigned)r->value, 1u);
		return OK;
	case SIOCSIFHWADDR:
		memcpy(&type, r->bytes, sizeof(type));
		return type != dev->type ? ERR_INVAL
		                         : netdev_set_mac(dev, r->bytes + SOCKADDR_DATA);
	case SIOCSIFNAME:
		r->bytes[IFNAME_MAX - 1] = '\0';
		return netdev_rename(dev, (const char *)r->bytes);
	case SIOCADDMULTI:
	case SIOCDELMULTI: return change_multicast(dev, r, cmd == SIOCADDMULTI);
	default: return ERR_NOTTY;
	}
}

static bool
is_get(unsigned cmd)
{
	switch (cmd) {
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP: return true;
	default: return false;
	}
}

static bool
is_set(unsigned cmd)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFNAME:
	case SIOCSIFHWADDR:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCSIFTXQLEN: return true;
	default: return false;
	}
}

static enum err
dispatch_locked(unsigned cmd, struct ifreq *r)
{
	char label[IFNAME_MAX];
	struct netdev *dev;
	char *colon;
	enum err err;

	strlcpy(label, r->name, sizeof(label));
	colon = strchr(r->name, ':'); /* an alias: eth0:1 is an address of eth0 */
	if (colon)
		*colon = '\0';
	dev = netdev_by_name_rtnl(r->name);
	strlcpy(r->name, label, sizeof(r->name));
	if (!dev)
		return ERR_NODEV;
	if (cmd == SIOCETHTOOL)
		return ifconf_ethtool(dev, r->data);
	err = is_get(cmd) ? get_link_value(dev, cmd, r) : set_link_value(dev, cmd, r);
	if (err != ERR_NOTTY)
		return err;
	return is_get(cmd) ? ifconf_get_addr(dev, label, cmd, r)
	                   : ifconf_set_addr(dev, label, cmd, r);
}

static long
interface_ioctl(unsigned cmd, uintptr_t arg)
{
	struct ifreq r;
	enum err err = get_user(r, (const struct ifreq USER *)arg);

	if (err != OK)
		return err;
	r.name[IFNAME_MAX - 1] = '\0';
	if (is_set(cmd) && !capable(CAP_NET_ADMIN))
		return ERR_PERM;
	mutex_lock(&rtnl_mutex);
	err = dispatch_locked(cmd, &r);
	mutex_unlock(&rtnl_mutex);
	if (err == OK && is_get(cmd))
		err = put_user(r, (struct ifreq USER *)arg);
	return err;
}

static long
name_ioctl(uintptr_t arg)
{
	struct netdev *dev;
	struct ifreq r;
	enum err err = get_user(r, (const struct ifreq USER *)arg);

	if (err != OK)
		return err;
	rcu_read_lock();
	dev = netdev_by_index((unsigned)r.value);
	if (dev)
		memcpy(r.name, dev->name, sizeof(r.name));
	rcu_read_unlock();
	return dev ? put_user(r, (struct ifreq USER *)arg) : ERR_NODEV;
}

/* ---- VLANs, as vconfig makes them --------------------------------------------------------------- */

struct vlan_args { /* struct vlan_ioctl_args */
	int32_t cmd;
	char device1[24];
	union {
		char device2[24];
		int32_t id;
		uint32_t value;
	} u;
	int16_t qos;
};
static_assert(sizeof(struct vlan_args) == 56, "Linux's struct vlan_ioctl_args");

static enum err
vlan_locked(struct vlan_args *a)
{
	struct netdev *dev = netdev_by_name_rtnl(a->device1);

	if (a->cmd == SET_VLAN_NAME_TYPE_CMD)
		return OK; /* names are always eth0.5 */
	if (!dev)
		return ERR_NODEV;
	if (a->cmd == ADD_VLAN_CMD)
		return vlan_create(dev, (unsigned)a->u.id, NULL);
	if (!dev->lower)
		return ERR_INVAL;
	switch (a->cmd) {
	case DEL_VLAN_CMD: return vlan_delete(dev);
	case GET_VLAN_REALDEV_NAME_CMD:
		strlcpy(a->u.device2, dev->lower->name, sizeof(a->u.device2));
		return OK;
	case GET_VLAN_VID_CMD: a->u.id = dev->vlan_id; return OK;
	default: return ERR_OPNOTSUPP;
	}
}

static long
vlan_ioctl(uintptr_t arg)
{
	struct vlan_args a;
	enum err err = get_user(a, (const struct vlan_args USER *)arg);

	if (err != OK)
		return err;
	a.device1[sizeof(a.device1) - 1] = '\0';
	if (a.cmd < GET_VLAN_REALDEV_NAME_CMD && !capable(CAP_NET_ADMIN))
		return ERR_PERM;
	mutex_lock(&rtnl_mutex);
	err = vlan_locked(&a);
	mutex_unlock(&rtnl_mutex);
	if (err == OK && a.cmd >= GET_VLAN_REALDEV_NAME_CMD)
		err = put_user(a, (struct vlan_args USER *)arg);
	return err;
}

long
sock_ioctl_ifconf(struct sock *sk, unsigned cmd, uintptr_t arg)
{
	bool is_v6 = sk->family == AF_INET6;

	switch (cmd) {
	case SIOCGIFCONF: return ifconf_list(arg);
	case SIOCGIFNAME: return name_ioctl(arg);
	case SIOCGIFVLAN:
	case SIOCSIFVLAN: return vlan_ioctl(arg);
	case SIOCADDRT:
	case SIOCDELRT: return is_v6 ? ifconf_route6(cmd, arg) : ifconf_route4(cmd, arg);
	case SIOCDARP:
	case SIOCGARP:
	case SIOCSARP: return ifconf_arp(cmd, arg);
	case SIOCSIFADDR:
	case SIOCDIFADDR:
		if (is_v6)
			return ifconf_addr6(cmd, arg);
		break;
	default: break;
	}
	if (is_get(cmd) || is_set(cmd) || cmd == SIOCETHTOOL)
		return interface_ioctl(cmd, arg);
	return ERR_NOTTY;
}
