/*
 * The switches of interfaces, one line each: Linux's names (ip-sysctl) and where they are kept.
 */
#include "net/conf.h"

#include "kernel/sync/rcu.h"
#include "net/ifaddr.h"
#include "net/ip4.h"
#include "net/ip6.h"
#include "net/nd.h"
#include "net/netdev.h"

/* get and set for a field of the interface itself. */
#define DEV_FIELD(field) \
	static int32_t get_##field(const struct netdev *dev) \
	{ \
		return dev->field; \
	} \
	static void set_##field(struct netdev *dev, int32_t v) \
	{ \
		dev->field = v != 0; \
	}

/* The same for a field of struct ip4_conf. */
#define IP4_FIELD(field) \
	static int32_t get4_##field(const struct netdev *dev) \
	{ \
		const struct ip4_dev *d; \
		int32_t v; \
		rcu_read_lock(); \
		d = ip4_dev_of(dev); \
		v = d ? d->conf.field : 0; \
		rcu_read_unlock(); \
		return v; \
	} \
	static void set4_##field(struct netdev *dev, int32_t v) \
	{ \
		struct ip4_dev *d; \
		rcu_read_lock(); \
		d = ip4_dev_of(dev); \
		if (d) \
			d->conf.field = (uint8_t)v; \
		rcu_read_unlock(); \
	}

/* The same for a field of struct ip6_conf. */
#define IP6_FIELD(field) \
	static int32_t get6_##field(const struct netdev *dev) \
	{ \
		const struct ip6_dev *d = ip6_dev_of(dev); \
		return d ? d->conf.field : 0; \
	} \
	static void set6_##field(struct netdev *dev, int32_t v) \
	{ \
		struct ip6_dev *d = ip6_dev_of(dev); \
		if (d) \
			d->conf.field = (uint8_t)v; \
	}

DEV_FIELD(is_forwarding4)
IP4_FIELD(rp_filter)
IP4_FIELD(accept_redirects)
IP4_FIELD(send_redirects)
IP4_FIELD(shared_media)
IP4_FIELD(arp_announce)
IP4_FIELD(arp_ignore)
IP4_FIELD(arp_accept)
IP6_FIELD(accept_ra)
IP6_FIELD(autoconf)
IP6_FIELD(accept_redirects)
IP6_FIELD(use_tempaddr)
IP6_FIELD(dad_transmits)

static int32_t
get6_forwarding(const struct netdev *dev)
{
	return dev->is_forwarding6;
}

static void
set6_forwarding(struct netdev *dev, int32_t v)
{
	dev->is_forwarding6 = v != 0;
	mld_set_router(dev, v != 0);
}

static int32_t
get6_disabled(const struct netdev *dev)
{
	const struct ip6_dev *d = ip6_dev_of(dev);

	return d && d->conf.is_disabled;
}

/* Its addresses go at once; enabled again, it begins with the link-local one. */
static void
set6_disabled(struct netdev *dev, int32_t v)
{
	struct ip6_dev *d = ip6_dev_of(dev);

	if (!d || d->conf.is_disabled == (v != 0))
		return;
	d->conf.is_disabled = v != 0;
	if (v)
		ifaddr_del_all(dev, AF_INET6, -1);
	else if (dev->flags & NETDEV_UP)
		slaac_link_local(d);
}

/* 0: identifiers from the MAC (EUI-64), 3: stable and private (RFC 7217). */
static int32_t
get6_addr_gen_mode(const struct netdev *dev)
{
	const struct ip6_dev *d = ip6_dev_of(dev);

	return d && d->conf.is_eui64 ? 0 : 3;
}

static void
set6_addr_gen_mode(struct netdev *dev, int32_t v)
{
	struct ip6_dev *d = ip6_dev_of(dev);

	if (d)
		d->conf.is_eui64 = v == 0;
}

// clang-format off
const struct conf_row conf_rows[] = {
	{"forwarding",       false, 0, 1, 0, get_is_forwarding4,    set_is_forwarding4},
	{"rp_filter",        false, 0, 2, 0, get4_rp_filter,        set4_rp_filter},
	{"accept_redirects", false, 0, 1, 1, get4_accept_redirects, set4_accept_redirects},
	{"send_redirects",   false, 0, 1, 1, get4_send_redirects,   set4_send_redirects},
	{"shared_media",     false, 0, 1, 1, get4_shared_media,     set4_shared_media},
	{"arp_announce",     false, 0, 2, 0, get4_arp_announce,     set4_arp_announce},
	{"arp_ignore",       false, 0, 8, 0, get4_arp_ignore,       set4_arp_ignore},
	{"arp_accept",       false, 0, 1, 0, get4_arp_accept,       set4_arp_accept},
	{"forwarding",       true,  0, 1, 0, get6_forwarding,       set6_forwarding},
	{"disable_ipv6",     true,  0, 1, 0, get6_disabled,         set6_disabled},
	{"accept_ra",        true,  0, 2, 1, get6_accept_ra,        set6_accept_ra},
	{"autoconf",         true,  0, 1, 1, get6_autoconf,         set6_autoconf},
	{"accept_redirects", true,  0, 1, 1, get6_accept_redirects, set6_accept_redirects},
	{"use_tempaddr",     true,  0, 2, 0, get6_use_tempaddr,     set6_use_tempaddr},
	{"dad_transmits",    true,  0, 9, 1, get6_dad_transmits,    set6_dad_transmits},
	{"addr_gen_mode",    true,  0, 3, 3, get6_addr_gen_mode,    set6_addr_gen_mode},
	{NULL, false, 0, 0, 0, NULL, NULL},
};
// clang-format on
