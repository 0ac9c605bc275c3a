/*
 * IPv4 link-local addresses. The candidates of an interface are a sequence that its MAC address
 * determines (RFC 3927 2.1), so a machine mostly gets the one it had. Each is tried through conflict
 * detection; after MAX_CONFLICTS the next try waits for a minute (2.2.1).
 */
#include "net/linklocal4.h"

#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/ifaddr.h"
#include "net/netdev.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"

enum { MAX_DEVS = 32, MAX_CONFLICTS = 10, SCOPE_LINK = 253 };
static const nsec_t RATE_LIMIT = 60 * NSEC_PER_SEC;

struct attempt {            /* [rtnl] */
	unsigned dev_index; /* 0: free */
	unsigned conflicts;
	bool is_waiting;
	struct net_timer timer;
};

static struct attempt attempts[MAX_DEVS];
static struct net_work work;

static struct attempt *
attempt_of(unsigned dev_index)
{
	for (unsigned i = 0; i < MAX_DEVS; i++)
		if (attempts[i].dev_index == dev_index)
			return &attempts[i];
	return NULL;
}

/* 169.254.1.0 to 169.254.254.255, the nth of this MAC. */
static struct ip_addr
candidate(const struct netdev *dev, unsigned n)
{
	static const struct siphash_key fixed = {{0x1694u, 0x254u}};
	uint8_t in[ETH_ALEN + 1];
	uint64_t h;

	memcpy(in, dev->mac, ETH_ALEN);
	in[ETH_ALEN] = (uint8_t)n;
	h = siphash24(&fixed, in, sizeof(in)) % (254 * 256);
	return ip_from_v4(be32_of(0xa9fe0100u + (uint32_t)h));
}

static void
try_next(struct attempt *at, struct netdev *dev)
{
	struct ifaddr_config c = {.addr = candidate(dev, at->conflicts),
	    .broadcast = ip_from_v4(be32_of(0xa9feffff)),
	    .plen = 16,
	    .scope = SCOPE_LINK,
	    .origin = IFA_LINKLOCAL,
	    .flags = IFA_TENTATIVE,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};

	if (ifaddr_add(dev, &c, false) != OK)
		log_warn("%s: no memory for a link-local address", dev->name);
}

/* Those whose wait is over. */
static void
try_waiting(struct net_work *w)
{
	mutex_lock(&rtnl_mutex);
	for (unsigned i = 0; i < MAX_DEVS; i++) {
		struct netdev *dev =
		    attempts[i].dev_index ? netdev_by_index(attempts[i].dev_index) : NULL;

		if (!dev || !attempts[i].is_waiting || !(dev->flags & NETDEV_UP) ||
		    attempts[i].timer.expires_ns > clock_now_ns())
			continue;
		attempts[i].is_waiting = false;
		try_next(&attempts[i], dev);
	}
	mutex_unlock(&rtnl_mutex);
}

static void
wait_is_over(struct net_timer *t)
{
	net_config_queue(&work);
}

void
linklocal4_start(struct netdev *dev)
{
	struct attempt *at = attempt_of(dev->index);

	if (at)
		return;
	at = attempt_of(0);
	if (!at)
		return; /* more interfaces than that have no server: they wait for one */
	at->dev_index = dev->index;
	at->conflicts = 0;
	at->is_waiting = false;
	try_next(at, dev);
}

void
linklocal4_stop(struct netdev *dev)
{
	struct attempt *at = attempt_of(dev->index);

	if (!at)
		return;
	at->dev_index = 0;
	(void)net_timer_cancel(&at->timer); /* if it runs, it finds no interface */
	ifaddr_del_all(dev, AF_INET, IFA_LINKLOCAL);
}

static void
on_address(struct ifaddr *ifa, bool is_added)
{
	struct attempt *at = attempt_of(ifa->dev->index);
	nsec_t wait = NSEC_PER_MSEC;

	if (!at || ifa->origin != IFA_LINKLOCAL || !ip_is_v4(&ifa->addr) || is_added ||
	    !(ifa->flags & IFA_DADFAILED))
		return;
	if (++at->conflicts >= MAX_CONFLICTS)
		wait = RATE_LIMIT;
	at->is_waiting = true;
	net_timer_arm(
	    &at->timer, clock_now_ns() + wait); /* not here: the list is being changed */
}

void
linklocal4_init(void)
{
	static struct ifaddr_notifier notifier = {.event = on_address};

	work.fn = try_waiting;
	for (unsigned i = 0; i < MAX_DEVS; i++)
		net_timer_init(&attempts[i].timer, wait_is_over);
	ifaddr_notify_add(&notifier);
}
