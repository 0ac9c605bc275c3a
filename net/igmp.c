/*
 * Messages of IGMP, host side: version 3 (RFC 3376), and 2 and 1 (RFC 2236, RFC 1112) while a querier
 * of that version is heard. Who is a member and what is due when is in ip_mc.c and ip_mc_report.c.
 */
#include "kernel/log.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip.h"
#include "net/ip4.h"
#include "net/ip_mc_priv.h"

enum igmp_type {
	IGMP_QUERY = 0x11,
	IGMP_V1_REPORT = 0x12,
	IGMP_V2_REPORT = 0x16,
	IGMP_V2_LEAVE = 0x17,
	IGMP_V3_REPORT = 0x22,
};
enum {
	TOS_CONTROL = 0xc0,
	NEWEST = 3,
	OVERHEAD = 20 + 4 + 8, /* IP, router alert, IGMP */
	DEFAULT_MAX = 100, /* RFC 1112 queries: answered within 10 s, in units of 0.1 s */
};

struct igmp_header { /* the 8 bytes that all messages begin with */
	uint8_t type, code;
	be16 csum;
	be32 group;
};

struct igmp_v3_query {
	struct igmp_header h;
	uint8_t flags, interval;
	be16 num_sources;
};

static const uint8_t all_hosts[4] = {224, 0, 0, 1}, all_routers[4] = {224, 0, 0, 2},
                     v3_routers[4] = {224, 0, 0, 22};

/* ---- Sending --------------------------------------------------------------------------- */

static struct ip_addr
addr_of(const uint8_t v4[4])
{
	return ip_from_v4((be32){{v4[0], v4[1], v4[2], v4[3]}});
}

/* Data at the IGMP header, checksum 0. With router alert, TTL 1. Takes it. */
static void
igmp_send(struct netdev *dev, struct pkt *p, const struct ip_addr *to)
{
	static const uint8_t router_alert[4] = {148, 4, 0, 0};
	struct igmp_header *h = (struct igmp_header *)p->data;
	struct flow f = {.dst = *to, .src = ip4_any, .oif = dev->index};
	struct ip_tx tx = {.dst = *to,
	    .proto = IP_PROTO_IGMP,
	    .tos = TOS_CONTROL,
	    .ttl = 1,
	    .df = IP_DF_CLEAR,
	    .options = router_alert,
	    .options_len = sizeof(router_alert),
	    .is_not_looped = true};
	struct dst *d;

	h->csum = be16_of(csum_finish(csum_add(0, p->data, pkt_linear(p))));
	if (route_output(&f, &d) != OK) {
		pkt_drop(p, DROP_IP_NO_ROUTE);
		return;
	}
	tx.src = f.src;
	(void)ip_send(p, d, &tx); /* repeated, if it matters */
	dst_put(d);
}

static void
send_simple(struct netdev *dev, unsigned type, const struct ip_addr *group,
    const struct ip_addr *to)
{
	struct pkt *p = pkt_alloc(sizeof(struct igmp_header));
	struct igmp_header *h;

	if (!p) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	h = pkt_put(p, sizeof(*h));
	*h = (struct igmp_header){.type = (uint8_t)type, .group = group->v4};
	igmp_send(dev, p, to);
}

static void
send_report(struct netdev *dev, struct pkt *p, unsigned n)
{
	struct ip_addr to = addr_of(v3_routers);
	struct igmp_header *h = pkt_push(p, sizeof(*h));

	if (!h) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	*h = (struct igmp_header){.type = IGMP_V3_REPORT, .group = be32_of(n)};
	igmp_send(dev, p, &to);
}

/* Joins are told to the group itself, leaves to the routers; version 1 has none. */
static void
send_old(struct netdev *dev, unsigned version, const struct ip_addr *group, bool is_leave)
{
	struct ip_addr routers = addr_of(all_routers);

	if (!is_leave)
		send_simple(
		    dev, version == 1 ? IGMP_V1_REPORT : IGMP_V2_REPORT, group, group);
	else if (version == 2)
		send_simple(dev, IGMP_V2_LEAVE, group, &routers);
}

/* ---- Receiving --------------------------------------------------------------------------- */

static struct mc_dev *
igmp_of(const struct netdev *dev)
{
	struct ip4_dev *d = ip4_dev_of(dev);

	return d ? rcu_dereference(d->igmp) : NULL;
}

/* RFC 3376 4.1.1, 4.1.7: a value with a small exponent. */
static unsigned
decode(uint8_t code)
{
	return code < 128 ? code : ((code & 0xfu) | 0x10) << ((code >> 4 & 7) + 3);
}

/* False: malformed. RFC 3376 7.1 tells versions apart by length. */
static bool
decode_query(struct pkt *p, struct mc_query *q)
{
	size_t len = pkt_len(p);
	const struct igmp_v3_query *m = pkt_need(p, MIN(len, sizeof(*m)));
	unsigned tenths;

	if (!m || (len > sizeof(m->h) && len < sizeof(*m)))
		return false;
	*q = (struct mc_query){.group = ip_from_v4(m->h.group)};
	if (!ip_is_unspecified(&q->group) && !ip_is_multicast(&q->group))
		return false;
	tenths = m->h.code ? m->h.code : DEFAULT_MAX;
	q->version = m->h.code ? 2 : 1;
	if (len >= sizeof(*m)) {
		q->version = NEWEST;
		tenths = m->h.code ? decode(m->h.code) : 1;
		q->robustness = m->flags & 7;
		q->interval_ns = decode(m->interval) * NSEC_PER_SEC;
		q->num_sources = be16_get(m->num_sources);
		if (q->num_sources * sizeof(be32) > len - sizeof(*m))
			return false;
		m = pkt_need(p, sizeof(*m) + q->num_sources * sizeof(be32));
		if (!m)
			return false;
		q->sources = (const uint8_t *)(m + 1);
	}
	q->max_ns = tenths * (NSEC_PER_SEC / 10);
	return true;
}

/* True if it was well-formed. RFC 3376 9: with TTL 1; 4.1.12: general queries to 224.0.0.1. */
static bool
take(struct mc_dev *d, struct pkt *p)
{
	const struct igmp_header *h = pkt_need(p, sizeof(*h));
	struct ip_addr group;
	struct mc_query q;

	if (!h || p->ip.ttl != 1 || csum_finish(pkt_csum(p, 0, pkt_len(p), 0)))
		return false;
	group = ip_from_v4(h->group);
	if (h->type == IGMP_QUERY) {
		if (!decode_query(p, &q))
			return false;
		if (ip_is_unspecified(&q.group) &&
		    memcmp(p->ip.dst.v4.b, all_hosts, 4) != 0)
			return false;
		mc_query(d, &q);
	} else if (h->type == IGMP_V1_REPORT || h->type == IGMP_V2_REPORT) {
		mc_heard_report(d, &group);
	}
	return true;
}

static bool
igmp_input(struct pkt *p)
{
	struct mc_dev *d = igmp_of(p->dev);

	if (!d || !take(d, p))
		pkt_drop(p, DROP_MLD_BAD);
	else
		pkt_free(p);
	return true;
}

const struct ip_proto igmp_proto = {.name = "igmp", .input = igmp_input};

/* ---- Interfaces -------------------------------------------------------------------------- */

/* RFC 3376 6: every host is in 224.0.0.1, so nobody is told. */
static bool
is_reported(const struct ip_addr *group)
{
	return memcmp(group->v4.b, all_hosts, 4) != 0;
}

const struct mc_family igmp_mc = {
    .newest = NEWEST,
    .addr_size = sizeof(be32),
    .overhead = OVERHEAD,
    .old_report_s = 10, /* RFC 2236 8.10 */
    .dev_of = igmp_of,
    .is_reported = is_reported,
    .send_report = send_report,
    .send_old = send_old,
};

void
igmp_dev_add(struct netdev *dev)
{
	struct mc_dev *d = mc_dev_alloc(dev, &igmp_mc);
	struct ip_addr group = addr_of(all_hosts);

	if (!d)
		return; /* joins on it fail */
	rcu_assign(ip4_dev_of(dev)->igmp, d);
	if (ip_mc_join(dev, &group) != OK)
		log_warn("%s: no memory for multicast\n", dev->name);
}

void
igmp_dev_remove(struct netdev *dev)
{
	struct mc_dev *d = igmp_of(dev);

	if (!d)
		return;
	rcu_assign(ip4_dev_of(dev)->igmp, (struct mc_dev *)NULL);
	mc_dev_free(d);
}

void
igmp_dev_up(struct netdev *dev)
{
	struct mc_dev *d = igmp_of(dev);

	if (d)
		mc_dev_up(d);
}
