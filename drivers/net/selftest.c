/*
 * In-kernel test of network interfaces, without any protocol: each comes up, finds its link,
 * sends ARP requests for what QEMU's user network calls its gateway, and gets answers; then
 * it is reset as if it had hung, goes down, and does it all again.
 */
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/ifaddr.h"

enum { GATEWAY = 0x0a000202, OURS = 0x0a00020f, ARP_REQUEST = 1 };

static bool
wait_for_link(struct netdev *dev)
{
	nsec_t end = clock_now_ns() + 5 * NSEC_PER_SEC;

	while (!(dev->flags & NETDEV_RUNNING) && clock_now_ns() < end)
		thread_sleep_ns(10 * NSEC_PER_MSEC);
	return dev->flags & NETDEV_RUNNING;
}

static uint64_t
received(struct netdev *dev)
{
	struct netdev_stats s = {0};

	netdev_get_stats(dev, &s);
	return s.rx_packets;
}

/* RFC 826. */
static bool
ask(struct netdev *dev)
{
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, ARP_REQUEST};
	struct pkt *p = pkt_alloc(64);
	be32 ours = be32_of(OURS), gateway = be32_of(GATEWAY);
	uint8_t *arp;

	if (!p)
		return false;
	arp = pkt_put(p, 46); /* padded to the least frame */
	memset(arp, 0, 46);
	memcpy(arp, fixed, sizeof(fixed));
	memcpy(arp + 8, dev->mac, ETH_ALEN);
	memcpy(arp + 14, &ours, 4);
	memcpy(arp + 24, &gateway, 4);
	return ether_send(dev, p, ether_broadcast, ETHERTYPE_ARP) == OK;
}

/* One answer for each of many questions, so the rings go round. */
static bool
talks(struct netdev *dev)
{
	for (unsigned i = 0; i < 600; i++) {
		uint64_t before = received(dev);
		nsec_t end = clock_now_ns() + 2 * NSEC_PER_SEC;

		if (!ask(dev))
			return false;
		while (received(dev) == before && clock_now_ns() < end)
			thread_sleep_ns(100 * NSEC_PER_USEC);
		if (received(dev) == before)
			return false;
	}
	return true;
}

static struct netdev *
nth_device(unsigned nth)
{
	struct netdev *dev, *found = NULL;

	rcu_read_lock();
	netdev_for_each(dev) if (!found && !(dev->flags & NETDEV_LOOPBACK) && nth-- == 0)
	    found = netdev_get(dev);
	rcu_read_unlock();
	return found;
}

/*
 * By name only, because it stays so: the first interface is up with frames of 9000 bytes at
 * 10.77.0.2/24. A test on the other end of the wire does the rest.
 */
SELFTEST_FATAL(netdev_stays_at_10_77_0_2)
{
	struct netdev *dev = nth_device(0);
	struct ifaddr_config c = {
	    .addr = ip_from_v4(be32_of(0x0a4d0002)),
	    .peer = ip_from_v4(be32_of(0x0a4d0002)),
	    .broadcast = ip_from_v4(be32_of(0x0a4d00ff)),
	    .plen = 24,
	    .origin = IFA_STATIC,
	    .flags = IFA_PERMANENT,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER,
	};
	enum err err;

	SELFTEST_CHECK(dev);
	mutex_lock(&rtnl_mutex);
	err = netdev_up(dev);
	if (err == OK)
		err = netdev_set_mtu(dev, NETDEV_MAX_MTU);
	if (err == OK)
		err = ifaddr_add(dev, &c, true);
	mutex_unlock(&rtnl_mutex);
	SELFTEST_CHECK(err == OK);
	SELFTEST_CHECK(wait_for_link(dev));
	netdev_put(dev);
}

SELFTEST(netdev_talks_to_its_gateway)
{
	struct netdev *dev;

	for (unsigned i = 0; (dev = nth_device(i)); i++) {
		enum err err;

		mutex_lock(&rtnl_mutex);
		err = netdev_up(dev);
		mutex_unlock(&rtnl_mutex);
		SELFTEST_CHECK(err == OK);
		SELFTEST_CHECK(wait_for_link(dev));
		SELFTEST_CHECK(talks(dev));

		mutex_lock(&rtnl_mutex);
		if (dev->ops->tx_timeout)
			dev->ops->tx_timeout(dev);
		mutex_unlock(&rtnl_mutex);
		SELFTEST_CHECK(wait_for_link(dev));
		SELFTEST_CHECK(talks(dev));

		mutex_lock(&rtnl_mutex);
		netdev_down(dev);
		err = netdev_up(dev);
		mutex_unlock(&rtnl_mutex);
		SELFTEST_CHECK(err == OK);
		SELFTEST_CHECK(wait_for_link(dev));
		SELFTEST_CHECK(talks(dev));
		log_notice("%s: talked to the gateway", dev->name);
		netdev_put(dev);
	}
}
