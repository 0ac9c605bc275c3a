/*
 * Messages of multicast listener discovery, as a listener: version 2 (RFC 3810), and 1 (RFC 2710)
 * while such a querier is heard. Who is a member and what is due when is in ip_mc.c and
 * ip_mc_report.c.
 */
#include "net/mld.h"

#include "kernel/log.h"
#include "lib/string.h"
#include "net/ip6.h"
#include "net/ip_mc_priv.h"

enum {
	NEWEST = 2,
	HEADER = 8,
	V1_LEN = 24,
	V2_QUERY_LEN = 28,
	OVERHEAD = 40 + 8 + HEADER, /* IPv6, router alert, MLD */
};

static const struct ip_addr all_nodes = {.b = {0xff, 2, [15] = 1}};
static const struct ip_addr here_nodes = {.b = {0xff, 1, [15] = 1}};
static const struct ip_addr router_groups[] = {/* RFC 4291 2.7.1, 2.8 */
    {.b = {0xff, 1, [15] = 2}}, {.b = {0xff, 2, [15] = 2}}, {.b = {0xff, 5, [15] = 2}}};
#define ALL_ROUTERS (&router_groups[1])
static const struct ip_addr all_mld2_routers = {.b = {0xff, 2, [15] = 0x16}};

/* ---- Messages, pure -------------------------------------------------------------------- */

uint32_t
mld_max_delay_ms(uint16_t code)
{
	unsigned mantissa = code & 0xfff, exponent = code >> 12 & 7;

	return code < 0x8000 ? code : (mantissa | 0x1000) << (exponent + 3);
}

/* RFC 3810 5.1.9 */
static unsigned
mld_interval_s(uint8_t code)
{
	return code < 128 ? code : ((code & 0xfu) | 0x10) << ((code >> 4 & 7) + 3);
}

bool
mld_query_decode(const uint8_t *data, size_t len, struct mc_query *q)
{
	unsigned delay_ms;

	if (len < V1_LEN || (len > V1_LEN && len < V2_QUERY_LEN))
		return false;
	*q = (struct mc_query){.version = len == V1_LEN ? 1 : NEWEST};
	memcpy(q->group.b, data + 8, 16);
	if (!ip_is_unspecified(&q->group) && !ip_is_multicast(&q->group))
		return false;
	delay_ms = (unsigned)data[4] << 8 | data[5];
	if (q->version == NEWEST) {
		delay_ms = mld_max_delay_ms((uint16_t)delay_ms);
		q->robustness = data[24] & 7;
		q->interval_ns = mld_interval_s(data[25]) * NSEC_PER_SEC;
		q->num_sources = (unsigned)data[26] << 8 | data[27];
		q->sources = data + V2_QUERY_LEN;
	}
	q->max_ns = delay_ms * NSEC_PER_MSEC;
	return q->num_sources * 16u <= len - (q->num_sources ? V2_QUERY_LEN : 0);
}

/* ---- Sending ---------------------------------------------------------------------------- */

/* RFC 3590: from the unspecified address while there is none that can be used. Under RCU. */
static void
mld_send(struct netdev *dev, struct pkt *p, const struct ip_addr *to)
{
	struct ip_addr src = ip_any;

	(void)ip6_link_local(dev, &src);
	icmp6_finish(p, &src, to);
	ip6_send_mld(dev, p, &src, to);
}

static void
send_report(struct netdev *dev, struct pkt *p, unsigned n)
{
	uint8_t *data = pkt_push(p, HEADER);

	if (!data) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	memset(data, 0, HEADER);
	data[0] = ICMP6_MLD2_REPORT;
	data[6] = (uint8_t)(n >> 8);
	data[7] = (uint8_t)n;
	mld_send(dev, p, &all_mld2_routers);
}

static void
send_old(struct netdev *dev, unsigned version, const struct ip_addr *group, bool is_leave)
{
	struct pkt *p = pkt_alloc(V1_LEN);
	uint8_t *data;

	if (!p) {
		drop_count(DROP_NO_MEMORY); /* the querier asks again */
		return;
	}
	data = pkt_put(p, V1_LEN);
	memset(data, 0, V1_LEN);
	data[0] = is_leave ? ICMP6_MLD_DONE : ICMP6_MLD_REPORT;
	memcpy(data + HEADER, group->b, 16);
	mld_send(dev, p, is_leave ? ALL_ROUTERS : group);
}

/* ---- Receiving --------------------------------------------------------------------------- */

static struct mc_dev *
mld_of(const struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);

	return d ? rcu_dereference(d->mld) : NULL;
}

/* RFC 3810 6.2: from a link-local address, hop limit 1, with router alert. */
void
mld_input(struct pkt *p)
{
	struct mc_dev *d = mld_of(p->dev);
	size_t len = pkt_len(p);
	const uint8_t *data = pkt_need(p, len);
	struct mc_query q;
	bool is_query = data && data[0] == ICMP6_MLD_QUERY;

	if (!d || !data || len < V1_LEN || p->ip.ttl != 1 ||
	    !ip_is_link_local(&p->ip.src) || !p->ip.opt_off ||
	    (is_query && !mld_query_decode(data, len, &q))) {
		pkt_drop(p, DROP_MLD_BAD);
		return;
	}
	if (is_query) {
		mc_query(d, &q);
	} else if (data[0] == ICMP6_MLD_REPORT) {
		struct ip_addr group;

		memcpy(group.b, data + HEADER, 16);
		mc_heard_report(d, &group);
	}
	pkt_free(p);
}

/* ---- Wiring ---------------------------------------------------------------------------- */

/* RFC 3810 6: all nodes are in ff02::1, and groups below link scope are nobody else's. */
static bool
is_reported(const struct ip_addr *group)
{
	return !ip_equal(group, &all_nodes) && (group->b[1] & 0xf) >= 2;
}

const struct mc_family mld_mc = {
    .newest = NEWEST,
    .addr_size = sizeof(struct ip_addr),
    .overhead = OVERHEAD,
    .old_report_s = 10, /* RFC 2710 7.10 */
    .dev_of = mld_of,
    .is_reported = is_reported,
    .send_report = send_report,
    .send_old = send_old,
};

static void
leave_router_groups(struct netdev *dev, unsigned n)
{
	while (n--)
		ip_mc_leave(dev, &router_groups[n]);
}

void
mld_set_router(struct netdev *dev, bool is_router)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	unsigned n = 0;

	if (!d || !d->mld || d->has_router_groups == is_router)
		return;
	if (!is_router) {
		leave_router_groups(dev, ARRAY_SIZE(router_groups));
		d->has_router_groups = false;
		return;
	}
	while (n < ARRAY_SIZE(router_groups) && ip_mc_join(dev, &router_groups[n]) == OK)
		n++;
	d->has_router_groups = n == ARRAY_SIZE(router_groups);
	if (d->has_router_groups)
		return;
	leave_router_groups(dev, n);
	log_warn("%s: hosts that look for routers are not heard\n", dev->name);
}

static void
add_dev(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	struct mc_dev *m;

	if (!d || d->mld)
		return;
	m = mc_dev_alloc(dev, &mld_mc);
	if (!m)
		return; /* joins fail: ERR_NODEV */
	rcu_assign(d->mld, m);
	if (ip_mc_join(dev, &here_nodes) != OK || ip_mc_join(dev, &all_nodes) != OK)
		log_warn("%s: no memory for multicast\n", dev->name);
	mld_set_router(dev, dev->is_forwarding6);
}

static void
remove_dev(struct netdev *dev)
{
	struct mc_dev *m = mld_of(dev);

	if (!m)
		return;
	rcu_assign(ip6_dev_of(dev)->mld, (struct mc_dev *)NULL);
	mc_dev_free(m);
}

/* Another link knows nothing of our groups: all are reported as new. */
static void
report_all(struct netdev *dev)
{
	struct mc_dev *m = mld_of(dev);

	if (m)
		mc_dev_up(m);
}

static void
on_netdev(struct netdev *dev, enum netdev_event event)
{
	if (event == NETDEV_EV_REGISTER)
		add_dev(dev);
	else if (event == NETDEV_EV_UNREGISTER)
		remove_dev(dev);
	else if (event == NETDEV_EV_UP || (event == NETDEV_EV_LINK && dev->has_link))
		report_all(dev);
}

void
mld_init(void)
{
	static struct netdev_notifier notifier = {.event = on_netdev};

	netdev_notify_add(&notifier);
}
