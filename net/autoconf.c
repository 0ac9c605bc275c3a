/*
 * Autoconfiguration: every interface that appears is brought up and gets its addresses, by DHCP
 * unless the command line says otherwise (net/autoconf_args.h); IPv6 looks after itself once the
 * interface is up (SLAAC).
 *
 * Bringing up sleeps and takes rtnl, which those who announce an interface hold: it is done by the
 * configuration thread a moment later, for all interfaces that are new.
 */
#include "net/autoconf.h"

#include "kernel/cmdline.h"
#include "kernel/proc/utsname.h"
#include "lib/string.h"
#include "net/autoconf_args.h"
#include "net/dhcp4.h"
#include "net/ifaddr.h"
#include "net/ip6.h"
#include "net/linklocal4.h"
#include "net/netdev.h"
#include "net/resolv.h"
#include "net/route.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"

enum { MAX_NEW = 64, STATIC_METRIC = 0 };

static unsigned new_devs[MAX_NEW]; /* [rtnl] by index */
static unsigned num_new;           /* [rtnl] */
static struct net_work work;

/* Is this setting for `dev`? One that names no interface is for the first that comes. */
static bool
is_meant(const char *device, const struct netdev *dev, unsigned nth, uint32_t *taken)
{
	if (device[0])
		return !strcmp(device, dev->name);
	if (*taken & 1u << (nth & 31))
		return false;
	*taken |= 1u << (nth & 31);
	return true;
}

static void
put_route(struct netdev *dev, const struct ip_addr *gateway)
{
	struct route_config r = {.dst = ip_is_v4(gateway) ? ip4_any : ip_any,
	    .type = ROUTE_UNICAST,
	    .proto = ROUTE_BY_BOOT,
	    .table = ROUTE_TABLE_MAIN,
	    .metric = STATIC_METRIC,
	    .gateway = *gateway,
	    .has_gateway = true,
	    .dev = dev};
	char text[IP_TEXT];

	if (ip_is_unspecified(gateway))
		return;
	if (route_add(&r, false, false) != OK)
		log_warn(
		    "%s: no way to the router %s", dev->name, ip_format(text, gateway));
	else
		log_info("%s: router %s", dev->name, ip_format(text, gateway));
}

static void
put_address(struct netdev *dev, const struct ip_addr *addr, unsigned plen)
{
	struct ifaddr_config c = {.addr = *addr,
	    .plen = (uint8_t)plen,
	    .origin = IFA_STATIC,
	    .broadcast = ip4_any,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};
	char text[IP_TEXT];

	if (ip_is_v4(addr) && plen < 31)
		c.broadcast = ip_from_v4(be32_of(
		    be32_get(addr->v4) | (plen ? UINT32_MAX >> plen : UINT32_MAX)));
	if (ifaddr_add(dev, &c, false) != OK)
		log_warn("%s: cannot take %s/%u", dev->name, ip_format(text, addr), plen);
	else
		log_info("%s: %s/%u by the command line", dev->name,
		    ip_format(text, addr), plen);
}

static void
put_names(
    unsigned dev_index, const struct ip_addr *dns, unsigned n, const struct ip_addr *ntp)
{
	struct resolv_info info = {.count = 0};

	for (unsigned i = 0; i < n && info.count < RESOLV_SERVERS; i++)
		if (!ip_is_unspecified(&dns[i]))
			info.servers[info.count++] = dns[i];
	if (ntp && !ip_is_unspecified(ntp))
		info.ntp[info.num_ntp++] = *ntp;
	if (info.count || info.num_ntp)
		resolv_set(dev_index, RESOLV_STATIC, &info);
}

/* One `ip=` for this interface. True: it needs no DHCP. */
static bool
apply4(struct netdev *dev, const struct ip_arg *a)
{
	if (a->host[0])
		strlcpy(
		    kernel_utsname.nodename, a->host, sizeof(kernel_utsname.nodename));
	if (!ip_is_unspecified(&a->addr)) {
		put_address(dev, &a->addr, a->plen);
		put_route(dev, &a->gateway);
	}
	put_names(dev->index, a->dns, ARRAY_SIZE(a->dns), &a->ntp);
	return a->mode == IP_AUTO_OFF;
}

/* What the command line says about v4 on this interface. True: no DHCP. */
static bool
configure4(struct netdev *dev)
{
	static uint32_t taken;
	bool is_static = false;
	const char *text;
	struct ip_arg a;

	for (unsigned i = 0; (text = cmdline_get("ip", i)); i++) {
		if (!ip_arg_parse(text, &a)) {
			log_once(LOG_WARNING, "ip=%s is not understood", text);
			continue;
		}
		if (!strchr(text, ':')) /* a word for all interfaces */
			is_static |= a.mode == IP_AUTO_OFF;
		else if (is_meant(a.device, dev, i, &taken))
			is_static |= apply4(dev, &a);
	}
	return is_static;
}

/* `ip6=off`: no router is asked or believed. Before the interface is up: then it would be asked. */
static void
refuse_routers(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	const char *text;

	for (unsigned i = 0; d && (text = cmdline_get("ip6", i)); i++)
		if (!strcmp(text, "off"))
			d->conf.accept_ra = d->conf.autoconf = false;
}

static void
configure6(struct netdev *dev)
{
	static uint32_t taken;
	const char *text;
	struct ip6_arg a;

	for (unsigned i = 0; (text = cmdline_get("ip6", i)); i++) {
		if (!ip6_arg_parse(text, &a)) {
			log_once(LOG_WARNING, "ip6=%s is not understood", text);
			continue;
		}
		if (a.is_off || !is_meant(a.device, dev, i, &taken))
			continue;
		put_address(dev, &a.addr, a.plen);
		put_route(dev, &a.gateway);
	}
}

static void
configure(struct netdev *dev)
{
	bool is_static;
	enum err err;

	refuse_routers(dev);
	err = netdev_up(dev);
	if (err != OK) {
		log_warn("%s: cannot be brought up (%d)", dev->name, err);
		return;
	}
	is_static = configure4(dev);
	configure6(dev);
	if (!is_static)
		dhcp4_attach(dev);
}

static void
configure_new(struct net_work *w)
{
	mutex_lock(&rtnl_mutex);
	for (unsigned i = 0; i < num_new; i++) {
		struct netdev *dev = netdev_by_index(new_devs[i]);

		if (dev)
			configure(dev);
	}
	num_new = 0;
	mutex_unlock(&rtnl_mutex);
}

static void
on_netdev(struct netdev *dev, enum netdev_event ev)
{
	if (ev != NETDEV_EV_REGISTER || dev->flags & NETDEV_LOOPBACK ||
	    num_new == MAX_NEW)
		return;
	new_devs[num_new++] = dev->index;
	net_config_queue(&work);
}

void
autoconf_init(void)
{
	static struct netdev_notifier notifier = {.event = on_netdev};
	struct ip_addr dns[RESOLV_SERVERS];
	const char *text;

	resolv_init();
	linklocal4_init();
	dhcp4_init();
	work.fn = configure_new;
	text = cmdline_get("dns", 0);
	if (text) {
		unsigned n = addr_list_parse(text, dns, RESOLV_SERVERS);

		if (!n)
			log_warn("dns=%s is not understood", text);
		put_names(0, dns, n, NULL);
	}
	netdev_notify_add(&notifier);
}
