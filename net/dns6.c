/*
 * DNS settings from router advertisements (RFC 8106): servers and search names of each interface
 * with their lifetimes, told to net/resolv.c whenever they change. All under rtnl.
 */
#include "kernel/sync/mutex.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/dhcp6_msg.h"
#include "net/nd.h"
#include "net/resolv.h"

enum { MAX_SERVERS = 16, MAX_NAMES = 16, NAME = 64 };

static struct server {
	unsigned index; /* of the interface; 0: free */
	struct ip_addr addr;
	nsec_t until_ns;
} servers[MAX_SERVERS];

static struct name {
	unsigned index;
	char text[NAME];
	nsec_t until_ns;
} names[MAX_NAMES];

static struct net_timer timer;
static void run(struct net_work *);
static struct net_work work = {.fn = run};

static void
on_timer(struct net_timer *t)
{
	net_config_queue(&work);
}

/* Everything of one interface, to resolv.c. */
static void
tell(unsigned index)
{
	struct resolv_info *info = kzalloc(sizeof(*info));
	size_t have = 0;

	if (!info)
		return; /* the next change tells it */
	for (unsigned i = 0; i < MAX_SERVERS && info->count < RESOLV_SERVERS; i++)
		if (servers[i].index == index)
			info->servers[info->count++] = servers[i].addr;
	for (unsigned i = 0; i < MAX_NAMES; i++) {
		if (names[i].index != index ||
		    have + strlen(names[i].text) + 2 > sizeof(info->search))
			continue;
		if (have)
			info->search[have++] = ' ';
		have += strlcpy(
		    info->search + have, names[i].text, sizeof(info->search) - have);
	}
	resolv_set(index, RESOLV_RA, info->count || have ? info : NULL);
	kfree(info);
}

/* Lets go of what is over; comes back when the next is. */
static void
expire(void)
{
	nsec_t now = clock_now_ns(), next = UINT64_MAX;

	for (unsigned i = 0; i < MAX_SERVERS; i++) {
		unsigned index = servers[i].index;

		if (index && servers[i].until_ns <= now) {
			servers[i].index = 0;
			tell(index);
		} else if (index) {
			next = MIN(next, servers[i].until_ns);
		}
	}
	for (unsigned i = 0; i < MAX_NAMES; i++) {
		unsigned index = names[i].index;

		if (index && names[i].until_ns <= now) {
			names[i].index = 0;
			tell(index);
		} else if (index) {
			next = MIN(next, names[i].until_ns);
		}
	}
	if (!timer.fn)
		net_timer_init(&timer, on_timer);
	if (next != UINT64_MAX)
		net_timer_arm(&timer, next);
}

static void
run(struct net_work *w)
{
	mutex_lock(&rtnl_mutex);
	expire();
	mutex_unlock(&rtnl_mutex);
}

static nsec_t
until(uint32_t s)
{
	return s == UINT32_MAX ? UINT64_MAX : clock_now_ns() + s * NSEC_PER_SEC;
}

void
resolv_ra_server(struct netdev *dev, const struct ip_addr *addr, uint32_t lifetime_s)
{
	struct server *s = NULL;

	if (ip_is_multicast(addr) || ip_is_unspecified(addr) || ip_is_v4(addr))
		return;
	for (unsigned i = 0; i < MAX_SERVERS; i++) {
		if (servers[i].index == dev->index && ip_equal(&servers[i].addr, addr)) {
			servers[i].until_ns = until(lifetime_s);
			expire();
			return;
		}
		if (!s && !servers[i].index)
			s = &servers[i];
	}
	if (!s || !lifetime_s)
		return;
	*s = (struct server){dev->index, *addr, until(lifetime_s)};
	tell(dev->index);
	expire();
}

static void
take_name(unsigned index, const char *text, uint32_t lifetime_s)
{
	struct name *n = NULL;

	for (unsigned i = 0; i < MAX_NAMES; i++) {
		if (names[i].index == index && strcmp(names[i].text, text) == 0) {
			names[i].until_ns = until(lifetime_s);
			return;
		}
		if (!n && !names[i].index)
			n = &names[i];
	}
	if (!n || !lifetime_s)
		return;
	n->index = index;
	n->until_ns = until(lifetime_s);
	strlcpy(n->text, text, sizeof(n->text));
	tell(index);
}

void
resolv_ra_search(struct netdev *dev, const uint8_t *data, size_t len, uint32_t lifetime_s)
{
	char text[NAME];
	size_t n;

	while (len && (n = dns_name_decode(data, len, text, sizeof(text)))) {
		take_name(dev->index, text, lifetime_s);
		data += n;
		len -= n;
	}
	expire();
}

void
resolv_ra_forget(struct netdev *dev)
{
	for (unsigned i = 0; i < MAX_SERVERS; i++)
		if (servers[i].index == dev->index)
			servers[i].index = 0;
	for (unsigned i = 0; i < MAX_NAMES; i++)
		if (names[i].index == dev->index)
			names[i].index = 0;
	tell(dev->index);
}
