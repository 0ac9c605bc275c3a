/* /proc/net/dev, dev_mcast and if_inet6, in Linux's formats. */
#include "kernel/procfs.h"
#include "lib/string.h"
#include "net/ifaddr.h"
#include "net/ifconf.h"
#include "net/netdev.h"

static void
show_dev(struct seq *s)
{
	struct netdev *dev;

	seq_puts(s,
	    "Inter-|   Receive                                                |  "
	    "Transmit\n"
	    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
	    "packets errs drop fifo colls carrier compressed\n");
	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link) {
		struct netdev_stats t;

		netdev_get_stats(dev, &t);
		seq_printf(s, "%6s: %7lu %7lu %4lu %4lu %4lu %5lu %10u %9lu ", dev->name,
		    t.rx_bytes, t.rx_packets, t.rx_errors, t.rx_dropped, t.rx_fifo,
		    t.rx_frame, 0, t.rx_multicast);
		seq_printf(s, "%8lu %7lu %4lu %4lu %4lu %5lu %7lu %10u\n", t.tx_bytes,
		    t.tx_packets, t.tx_errors, t.tx_dropped, t.tx_fifo, t.tx_collisions,
		    t.tx_carrier, 0);
	}
	mutex_unlock(&rtnl_mutex);
}

struct mcast_show {
	struct seq *s;
	const struct netdev *dev;
};

/* Under a spinlock: the text grows by kmalloc, which never sleeps. */
static void
show_one_mcast(void *arg, const uint8_t mac[ETH_ALEN])
{
	struct mcast_show *m = arg;

	seq_printf(m->s, "%-4u %-15s 1     0     %02x%02x%02x%02x%02x%02x\n",
	    m->dev->index, m->dev->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void
show_mcast(struct seq *s)
{
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link) {
		struct mcast_show m = {.s = s, .dev = dev};

		netdev_for_each_mc(dev, show_one_mcast, &m);
	}
	mutex_unlock(&rtnl_mutex);
}

/* Linux's IPV6_ADDR_* of a scope, as this file has them. */
static unsigned
inet6_scope(const struct ifaddr *ifa)
{
	if (ip_is_loopback(&ifa->addr))
		return 0x10;
	return ip_is_link_local(&ifa->addr) ? 0x20 : 0;
}

static void
show_if_inet6(struct seq *s)
{
	struct netdev *dev;
	struct ifaddr *ifa;

	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link)
		list_for_each(ifa, ifaddr_list(dev, AF_INET6), dev_link) {
			for (unsigned i = 0; i < 16; i++)
				seq_printf(s, "%02x", ifa->addr.b[i]);
			seq_printf(s, " %02x %02x %02x %02x %8s\n", dev->index, ifa->plen,
			    inet6_scope(ifa), ifaddr_shown_flags(ifa) & 0xff, dev->name);
		}
	mutex_unlock(&rtnl_mutex);
}

void
ifconf_init(void)
{
	/* No memory: not shown. */
	(void)proc_register("net/dev", show_dev);
	(void)proc_register("net/dev_mcast", show_mcast);
	(void)proc_register("net/if_inet6", show_if_inet6);
	route_proc_init();
}
