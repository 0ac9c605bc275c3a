/*
 * In-kernel tests of network drivers, whichever there are, against the answer of QEMU's own
 * network at 10.0.2.2 to ARP: no more of the stack is needed.
 */
#include "drivers/pci/pci.h"
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "net/ether.h"

enum { ARP_FRAME = 42, ROUNDS = 600, MAX_NICS = 8 };

/* Who has 10.0.2.2, tell 10.0.2.15 (RFC 826). */
static struct pkt *
arp_request(const struct netdev *dev, size_t len)
{
	static const uint8_t rest[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
	struct pkt *p = pkt_alloc(len);
	uint8_t *b = p ? pkt_put(p, len) : NULL;

	if (!b)
		return NULL;
	memset(b, 0, len);
	memset(b, 0xff, ETH_ALEN);
	memcpy(b + 6, dev->mac, ETH_ALEN);
	memcpy(b + 12, rest, sizeof(rest));
	memcpy(b + 22, dev->mac, ETH_ALEN);
	memcpy(b + 28, (const uint8_t[]){10, 0, 2, 15}, 4);
	memcpy(b + 38, (const uint8_t[]){10, 0, 2, 2}, 4);
	p->l3_off = (uint16_t)(b + 14 - p->head);
	p->protocol = ETHERTYPE_ARP;
	return p;
}

static uint64_t
received(const struct netdev *dev)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < dev->num_queues; i++)
		n += dev->queues[i].rx_packets;
	return n;
}

static bool
has_received(const struct netdev *dev, uint64_t n)
{
	for (unsigned ms = 0; ms < 3000; ms++) {
		if (received(dev) >= n)
			return true;
		thread_sleep_ns(NSEC_PER_MSEC);
	}
	return false;
}

/* All that are not loopback; the machine does not lose any meanwhile. */
static unsigned
find_nics(struct netdev **out)
{
	struct netdev *dev;
	unsigned n = 0;

	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link)
		if (!(dev->flags & NETDEV_LOOPBACK) && n < MAX_NICS)
			out[n++] = dev;
	mutex_unlock(&rtnl_mutex);
	return n;
}

static bool
set_up(struct netdev *dev, bool is_up)
{
	bool ok = true;

	mutex_lock(&rtnl_mutex);
	if (is_up)
		ok = netdev_up(dev) == OK;
	else
		netdev_down(dev);
	mutex_unlock(&rtnl_mutex);
	for (unsigned ms = 0; is_up && !(dev->flags & NETDEV_RUNNING) && ms < 3000; ms++)
		thread_sleep_ns(NSEC_PER_MSEC);
	return ok && (!is_up || dev->flags & NETDEV_RUNNING);
}

/* More rounds than any ring has entries, one by one: each is answered. */
static bool
is_answered(struct netdev *dev)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t n = received(dev) + 1;
		struct pkt *p = arp_request(dev, ARP_FRAME);

		if (!p || netdev_send(dev, p) != OK || !has_received(dev, n))
			return false;
	}
	return true;
}

struct pci_nics {
	struct device *dev[MAX_NICS];
	unsigned num;
};

static void
collect_nic(struct device *dev, void *arg)
{
	enum { CLASS_NETWORK = 0x02 };
	struct pci_nics *nics = arg;

	if (dev->driver && to_pci(dev)->class >> 16 == CLASS_NETWORK &&
	    nics->num < MAX_NICS)
		nics->dev[nics->num++] = dev;
}

/* Drivers leave and come back, while packets are on their way. */
SELFTEST(nics_come_and_go)
{
	for (unsigned round = 0; round < 3; round++) {
		struct pci_nics pci = {.num = 0};
		struct netdev *nics[MAX_NICS];
		unsigned num = find_nics(nics);

		for (unsigned i = 0; i < num; i++) {
			SELFTEST_CHECK(set_up(nics[i], true));
			for (unsigned n = 0; n < 50; n++) {
				struct pkt *p = arp_request(nics[i], ARP_FRAME);

				SELFTEST_CHECK(p != NULL);
				(void)netdev_send(nics[i], p); /* lost, perhaps */
			}
		}
		dev_for_each(collect_nic, &pci);
		SELFTEST_CHECK(pci.num == num);
		for (unsigned i = 0; i < num; i++) {
			dev_detach(pci.dev[i]);
			SELFTEST_CHECK(!pci.dev[i]->driver && !pci.dev[i]->taken);
		}
		SELFTEST_CHECK(find_nics(nics) == 0);
		SELFTEST_CHECK(dev_attach_all() == num && find_nics(nics) == num);
	}
}

SELFTEST(nics_send_and_receive)
{
	struct netdev *nics[MAX_NICS];
	unsigned num = find_nics(nics);

	SELFTEST_CHECK(num > 0);
	for (unsigned i = 0; i < num; i++) {
		SELFTEST_CHECK(set_up(nics[i], true));
		SELFTEST_CHECK(is_answered(nics[i]));
		log_notice("%s by %s: %lu in", nics[i]->name, nics[i]->driver_name,
		    received(nics[i]));
	}
}

SELFTEST(nics_go_down_and_up_again)
{
	struct netdev *nics[MAX_NICS];
	unsigned num = find_nics(nics);

	for (unsigned i = 0; i < num; i++)
		for (unsigned round = 0; round < 3; round++) {
			SELFTEST_CHECK(set_up(nics[i], true));
			SELFTEST_CHECK(is_answered(nics[i]));
			SELFTEST_CHECK(set_up(nics[i], false));
		}
}

/* Sent without waiting, more than the rings hold: all go out, or are counted as dropped. */
SELFTEST(nics_send_bursts)
{
	enum { BURST = 2000 };
	struct netdev *nics[MAX_NICS];
	unsigned num = find_nics(nics);

	for (unsigned i = 0; i < num; i++) {
		struct netdev *dev = nics[i];
		struct netdev_stats before, after;

		SELFTEST_CHECK(set_up(dev, true));
		mutex_lock(&rtnl_mutex);
		netdev_get_stats(dev, &before);
		mutex_unlock(&rtnl_mutex);
		for (unsigned n = 0; n < BURST; n++) {
			struct pkt *p = arp_request(dev, 14 + dev->mtu);

			SELFTEST_CHECK(p != NULL);
			(void)netdev_send(dev, p); /* what is dropped is counted */
		}
		thread_sleep_ns(500 * NSEC_PER_MSEC);
		mutex_lock(&rtnl_mutex);
		netdev_get_stats(dev, &after);
		mutex_unlock(&rtnl_mutex);
		log_notice("%s: %lu sent, %lu dropped", dev->name,
		    after.tx_packets - before.tx_packets,
		    after.tx_dropped - before.tx_dropped);
		/* The protocols of the stack send a little too. */
		SELFTEST_CHECK(after.tx_packets - before.tx_packets + after.tx_dropped -
		                   before.tx_dropped - BURST <
		               50);
		SELFTEST_CHECK(is_answered(dev));
	}
}

/* As if it hung: it is reset in the middle of sending, and goes on. */
SELFTEST(nics_go_on_after_a_reset)
{
	struct netdev *nics[MAX_NICS];
	unsigned num = find_nics(nics);

	for (unsigned i = 0; i < num; i++) {
		struct netdev *dev = nics[i];

		if (!dev->ops->tx_timeout)
			continue;
		SELFTEST_CHECK(set_up(dev, true));
		for (unsigned round = 0; round < 5; round++) {
			for (unsigned n = 0; n < 300; n++) {
				struct pkt *p = arp_request(dev, 14 + dev->mtu);

				SELFTEST_CHECK(p != NULL);
				(void)netdev_send(
				    dev, p); /* lost in the reset, perhaps */
			}
			mutex_lock(&rtnl_mutex);
			dev->ops->tx_timeout(dev);
			for (unsigned q = 0; q < dev->num_queues; q++)
				netdev_tx_wake(&dev->queues[q]);
			mutex_unlock(&rtnl_mutex);
			thread_sleep_ns(20 * NSEC_PER_MSEC);
			SELFTEST_CHECK(is_answered(dev));
		}
	}
}
