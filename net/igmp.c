/*
 * Groups of IPv4 interfaces and IGMP, host side: version 3 (RFC 3376), and 2 and 1 (RFC 2236, RFC
 * 1112) while a querier of that version is heard.
 *
 * A group is joined by counted calls from sockets. The interface asks for it from any source
 * (EXCLUDE {}); sources that a socket does not want are kept from it above. Each group's state changes are reported `robustness` times at
 * random intervals of at most a second; answers to queries wait for a random time below what the
 * query says, and one timer an interface carries all that.
 *
 * Locks: `dev_lock` of an interface covers its list, readers of the data path walk it under RCU.
 */
#include "net/ip.h"

#include "kernel/procfs.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/ifaddr.h"
#include "net/ip4.h"

enum igmp_type {
	IGMP_QUERY = 0x11,
	IGMP_V1_REPORT = 0x12,
	IGMP_V2_REPORT = 0x16,
	IGMP_V2_LEAVE = 0x17,
	IGMP_V3_REPORT = 0x22,
};
enum igmp_record_type { /* RFC 3376 4.2.12 */
	MODE_IS_INCLUDE = 1,
	MODE_IS_EXCLUDE = 2,
	TO_INCLUDE = 3,
	TO_EXCLUDE = 4,
};
enum {
	MAX_GROUPS = 256, /* of one interface */
	ROBUSTNESS = 2,   /* RFC 3376 8.1, unless the querier says another */
	RECORDS_IN_REPORT = 32,
	TOS_CONTROL = 0xc0,
};
static const nsec_t UNSOLICITED_V3 = NSEC_PER_SEC; /* RFC 3376 8.11 */
static const nsec_t OLD_QUERIER =
    400 * NSEC_PER_SEC; /* RFC 3376 8.12, with its defaults */

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

struct igmp_record {
	uint8_t type, aux_len;
	be16 num_sources;
	be32 group;
};

struct igmp_group {
	struct list link; /* RCU */
	struct ip_addr addr;
	uint32_t users;         /* [lock] 0: left, its reports are still going out */
	uint8_t changes_left;   /* [lock] state changes still to be reported */
	nsec_t change_due_ns;   /* [lock] */
	nsec_t answer_due_ns;   /* [lock] to a query; 0: none */
	bool was_last_reporter; /* [lock] v2: the one who has to say when it leaves */
	struct rcu_head rcu;
};

struct igmp_dev {
	struct netdev *dev;
	struct spinlock lock;
	struct list groups;              /* RCU, changed under lock */
	unsigned count;                  /* [lock] */
	uint8_t robustness;              /* [lock] */
	nsec_t v1_until_ns, v2_until_ns; /* [lock] older queriers heard */
	struct net_timer timer;
};

static const uint8_t all_hosts[4] = {224, 0, 0, 1}, all_routers[4] = {224, 0, 0, 2},
                     v3_routers[4] = {224, 0, 0, 22};

/* ---- Sending --------------------------------------------------------------------------- */

static struct ip_addr
addr_of(const uint8_t v4[4])
{
	return ip_from_v4((be32){{v4[0], v4[1], v4[2], v4[3]}});
}

/* Version to speak now. */
static unsigned
version_of(const struct igmp_dev *d)
{
	nsec_t now = clock_now_ns();

	if (d->v1_until_ns > now)
		return 1;
	return d->v2_until_ns > now ? 2 : 3;
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

/* What one group has to say now. */
struct report {
	struct ip_addr group;
	uint8_t type; /* enum igmp_record_type */
};

static void
send_v3(struct netdev *dev, const struct report *r, unsigned n)
{
	struct pkt *p =
	    pkt_alloc(sizeof(struct igmp_header) + n * sizeof(struct igmp_record));
	struct ip_addr to = addr_of(v3_routers);
	struct igmp_header *h;

	if (!p) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	h = pkt_put(p, sizeof(*h));
	*h = (struct igmp_header){.type = IGMP_V3_REPORT, .group = be32_of(n)};
	for (unsigned i = 0; i < n; i++) {
		struct igmp_record *rec = pkt_put(p, sizeof(*rec));

		*rec = (struct igmp_record){.type = r[i].type, .group = r[i].group.v4};
	}
	igmp_send(dev, p, &to);
}

/* An older version has no records: joined ones are reported to the group, left ones to the routers. */
static void
send_old(struct netdev *dev, unsigned version, const struct report *r)
{
	struct ip_addr routers = addr_of(all_routers);

	if (r->type != TO_INCLUDE)
		send_simple(dev, version == 1 ? IGMP_V1_REPORT : IGMP_V2_REPORT,
		    &r->group, &r->group);
	else if (version == 2)
		send_simple(dev, IGMP_V2_LEAVE, &r->group, &routers);
}

/* ---- The timer --------------------------------------------------------------------------- */

static void
group_free(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct igmp_group, rcu));
}

static void
unlink_group(struct igmp_dev *d, struct igmp_group *g) MUST_HOLD(d->lock)
{
	rcu_list_remove(&g->link);
	d->count--;
	rcu_call(&g->rcu, group_free);
}

/* What this group reports at `now`; false: nothing. Sets when it wants to be asked again. */
static bool
due_report(struct igmp_dev *d, struct igmp_group *g, nsec_t now, struct report *r)
    MUST_HOLD(d->lock)
{
	r->group = g->addr;
	if (g->changes_left && g->change_due_ns <= now) {
		r->type = g->users ? TO_EXCLUDE : TO_INCLUDE;
		g->changes_left--;
		g->change_due_ns = now + random_below(UNSOLICITED_V3);
		g->was_last_reporter = true;
		return true;
	}
	if (g->answer_due_ns && g->answer_due_ns <= now) {
		g->answer_due_ns = 0;
		g->was_last_reporter = true;
		r->type = MODE_IS_EXCLUDE;
		return g->users > 0;
	}
	return false;
}

/* The earliest time at which something is due; groups with nothing left to say after they were left
 * go. */
static nsec_t
next_due(struct igmp_dev *d) MUST_HOLD(d->lock)
{
	struct igmp_group *g, *next;
	nsec_t due = UINT64_MAX;

	list_for_each_safe(g, next, &d->groups, link) {
		if (g->changes_left && g->change_due_ns < due)
			due = g->change_due_ns;
		if (g->answer_due_ns && g->answer_due_ns < due)
			due = g->answer_due_ns;
		if (!g->users && !g->changes_left)
			unlink_group(d, g);
	}
	return due;
}

static void
report_due(struct net_timer *t)
{
	struct igmp_dev *d = container_of(t, struct igmp_dev, timer);
	struct report reports[RECORDS_IN_REPORT];
	struct igmp_group *g;
	unsigned n = 0, version;
	nsec_t now = clock_now_ns(), due;

	spin_lock(&d->lock);
	version = version_of(d);
	list_for_each(g, &d->groups, link)
		if (n < RECORDS_IN_REPORT && due_report(d, g, now, &reports[n]))
			n++;
	due = next_due(d);
	spin_unlock(&d->lock);
	if (due != UINT64_MAX)
		net_timer_arm(t, due);
	if (n && version == 3)
		send_v3(d->dev, reports, n);
	for (unsigned i = 0; version < 3 && i < n; i++)
		send_old(d->dev, version, &reports[i]);
}

/* Soon: what is due at once, or earlier than the timer stands. */
static void
kick(struct igmp_dev *d, nsec_t due)
{
	if (due != UINT64_MAX)
		net_timer_arm(&d->timer, due);
}

/* ---- Membership -------------------------------------------------------------------------- */

static struct igmp_dev *
igmp_of(const struct netdev *dev)
{
	struct ip4_dev *d = ip4_dev_of(dev);

	return d ? __atomic_load_n(&d->igmp, __ATOMIC_ACQUIRE) : NULL;
}

static bool
is_all_hosts(const struct ip_addr *group)
{
	return !memcmp(group->v4.b, all_hosts, 4);
}

static struct igmp_group *
find_group(const struct igmp_dev *d, const struct ip_addr *group)
{
	struct igmp_group *g;

	rcu_list_for_each(g, &d->groups, link) if (ip_equal(&g->addr, group)) return g;
	return NULL;
}

/* Says `robustness` times that this group came or went. Interfaces without a wire say nothing. */
static nsec_t
begin_change(struct igmp_dev *d, struct igmp_group *g) MUST_HOLD(d->lock)
{
	if (d->dev->flags & NETDEV_LOOPBACK || !(d->dev->flags & NETDEV_UP))
		return next_due(d);
	g->changes_left = d->robustness;
	/* RFC 2236 3: a leave is said once, by the last who reported. */
	if (!g->users && version_of(d) < 3)
		g->changes_left = g->was_last_reporter;
	g->change_due_ns = clock_now_ns();
	return next_due(d);
}

static enum err
add_user(struct igmp_dev *d, const struct ip_addr *group, struct igmp_group **fresh,
    bool *is_first, nsec_t *due)
{
	struct igmp_group *g;

	spin_lock(&d->lock);
	g = find_group(d, group);
	if (!g) {
		if (d->count >= MAX_GROUPS || !*fresh) {
			spin_unlock(&d->lock);
			return ERR_NOBUFS;
		}
		g = *fresh;
		*fresh = NULL;
		g->addr = *group;
		rcu_list_push_back(&d->groups, &g->link);
		d->count++;
	}
	*is_first = g->users++ == 0;
	*due = *is_first ? begin_change(d, g) : UINT64_MAX;
	spin_unlock(&d->lock);
	return OK;
}

enum err
ip4_mc_join(struct netdev *dev, const struct ip_addr *group)
{
	struct igmp_group *fresh = kzalloc(sizeof(*fresh));
	uint8_t mac[ETH_ALEN];
	struct igmp_dev *d;
	bool is_first = false;
	nsec_t due;
	enum err err = ERR_NODEV;

	if (!ip_is_v4(group) || !ip_is_multicast(group)) {
		kfree(fresh);
		return ERR_INVAL;
	}
	rcu_read_lock();
	d = igmp_of(dev);
	if (d && is_all_hosts(group))
		err = OK; /* always joined, never reported (RFC 3376 6) */
	else if (d)
		err = add_user(d, group, &fresh, &is_first, &due);
	if (is_first)
		kick(d, due);
	rcu_read_unlock();
	kfree(fresh);
	if (err == OK && is_first) {
		ether_map_multicast(mac, group);
		err = netdev_mc_add(dev, mac);
	}
	return err;
}

void
ip4_mc_leave(struct netdev *dev, const struct ip_addr *group)
{
	struct igmp_group *g;
	uint8_t mac[ETH_ALEN];
	struct igmp_dev *d;
	bool is_last = false;

	rcu_read_lock();
	d = igmp_of(dev);
	if (d) {
		nsec_t due = UINT64_MAX;

		spin_lock(&d->lock);
		g = find_group(d, group);
		is_last = g && g->users && --g->users == 0;
		if (is_last)
			due = begin_change(d, g);
		spin_unlock(&d->lock);
		kick(d, due);
	}
	rcu_read_unlock();
	if (is_last) {
		ether_map_multicast(mac, group);
		netdev_mc_del(dev, mac);
	}
}

bool
ip4_mc_is_member(struct netdev *dev, const struct ip_addr *group)
{
	struct igmp_dev *d;
	struct igmp_group *g;

	if (is_all_hosts(group))
		return true;
	d = igmp_of(dev);
	g = d ? find_group(d, group) : NULL;
	return g && g->users;
}

/* ---- Receiving --------------------------------------------------------------------------- */

/* RFC 3376 4.1.1, 4.1.7: a value with a small exponent. */
static unsigned
decode(uint8_t code)
{
	return code < 128 ? code : ((code & 0xfu) | 0x10) << ((code >> 4 & 7) + 3);
}

static void
take_query(struct igmp_dev *d, struct pkt *p)
{
	const struct igmp_v3_query *q;
	bool is_v3 = pkt_len(p) >= sizeof(*q) && pkt_need(p, sizeof(*q));
	struct ip_addr group;
	struct igmp_group *g;
	nsec_t now = clock_now_ns(), max, due;

	q = (const struct igmp_v3_query *)p->data;
	group = ip_from_v4(q->h.group);
	spin_lock(&d->lock);
	if (!is_v3 && !q->h.code)
		d->v1_until_ns = now + OLD_QUERIER;
	else if (!is_v3)
		d->v2_until_ns = now + OLD_QUERIER;
	else if (q->flags & 7)
		d->robustness = q->flags & 7;
	max = (!q->h.code ? 100
	          : is_v3 ? decode(q->h.code)
	                  : q->h.code) *
	      (NSEC_PER_SEC / 10);
	list_for_each(g, &d->groups, link) {
		nsec_t at = now + 1 + random_below(max);

		if (!ip_is_unspecified(&group) && !ip_equal(&group, &g->addr))
			continue;
		if (g->users && (!g->answer_due_ns || g->answer_due_ns > at))
			g->answer_due_ns = at;
	}
	due = next_due(d);
	spin_unlock(&d->lock);
	kick(d, due);
}

/* RFC 2236 3: another member answered, we need not. */
static void
take_report(struct igmp_dev *d, const struct ip_addr *group)
{
	struct igmp_group *g;

	spin_lock(&d->lock);
	g = find_group(d, group);
	if (g && version_of(d) < 3) {
		g->answer_due_ns = 0;
		g->was_last_reporter = false;
	}
	spin_unlock(&d->lock);
}

static bool
igmp_input(struct pkt *p)
{
	const struct igmp_header *h = pkt_need(p, sizeof(*h));
	struct igmp_dev *d = igmp_of(p->dev);
	struct ip_addr group;

	if (!h || p->ip.ttl != 1 || csum_finish(pkt_csum(p, 0, pkt_len(p), 0))) {
		pkt_drop(p, DROP_MLD_BAD);
		return true;
	}
	group = ip_from_v4(h->group);
	if (d && h->type == IGMP_QUERY &&
	    (ip_is_unspecified(&group) || ip_is_multicast(&group)))
		take_query(d, p);
	else if (d && (h->type == IGMP_V1_REPORT || h->type == IGMP_V2_REPORT))
		take_report(d, &group);
	pkt_free(p);
	return true;
}

const struct ip_proto igmp_proto = {.name = "igmp", .input = igmp_input};

/* ---- Interfaces -------------------------------------------------------------------------- */

static void
map_all_hosts(uint8_t mac[ETH_ALEN])
{
	struct ip_addr group = addr_of(all_hosts);

	ether_map_multicast(mac, &group);
}

void
igmp_dev_add(struct netdev *dev)
{
	struct igmp_dev *d = kzalloc(sizeof(*d));
	uint8_t mac[ETH_ALEN];

	if (!d)
		return; /* joins on it fail */
	d->dev = dev;
	d->robustness = ROBUSTNESS;
	spin_init(&d->lock, "igmp", RANK_NET_TABLE);
	list_init(&d->groups);
	net_timer_init(&d->timer, report_due);
	__atomic_store_n(&ip4_dev_of(dev)->igmp, d, __ATOMIC_RELEASE);
	map_all_hosts(mac);
	(void)netdev_mc_add(dev, mac); /* no memory: broadcasts still come */
}

void
igmp_dev_remove(struct netdev *dev)
{
	struct igmp_dev *d = igmp_of(dev);
	struct igmp_group *g, *next;

	if (!d)
		return;
	__atomic_store_n(&ip4_dev_of(dev)->igmp, NULL, __ATOMIC_RELEASE);
	rcu_synchronize();
	net_timer_cancel_sync(&d->timer);
	spin_lock(&d->lock);
	list_for_each_safe(g, next, &d->groups, link)
		unlink_group(d, g);
	spin_unlock(&d->lock);
	rcu_synchronize();
	kfree(d);
}

/* Up: routers hear of all groups anew. */
void
igmp_dev_change(struct netdev *dev, bool is_up)
{
	struct igmp_dev *d = igmp_of(dev);
	struct igmp_group *g;
	nsec_t due = UINT64_MAX;

	if (!d || !is_up || dev->flags & NETDEV_LOOPBACK)
		return;
	spin_lock(&d->lock);
	d->v1_until_ns = d->v2_until_ns = 0;
	list_for_each(g, &d->groups, link) {
		if (!g->users)
			continue;
		g->changes_left = d->robustness;
		g->change_due_ns = clock_now_ns() + random_below(UNSOLICITED_V3);
	}
	due = next_due(d);
	spin_unlock(&d->lock);
	kick(d, due);
}

/* ---- /proc/net/igmp ---------------------------------------------------------------------- */

static void
show_dev(struct seq *s, const struct igmp_dev *d)
{
	static const char *const names[] = {"?", "V1", "V2", "V3"};
	const struct igmp_group *g;

	seq_printf(s, "%u\t%-10s: %5u %7s\n", d->dev->index, d->dev->name, d->count + 1,
	    names[version_of(d)]);
	rcu_list_for_each(g, &d->groups, link) seq_printf(s,
	    "\t\t\t\t%08X %5u %u:%08lX\t\t%u\n", *(const uint32_t *)g->addr.v4.b,
	    g->users, g->answer_due_ns != 0, 0ul, g->was_last_reporter);
	seq_printf(s, "\t\t\t\t%08X %5u %u:%08lX\t\t%u\n", *(const uint32_t *)all_hosts,
	    1, 0, 0ul, 0);
}

static void
show_igmp(struct seq *s)
{
	struct netdev *dev;

	seq_puts(s, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
	rcu_read_lock();
	netdev_for_each(dev)
	{
		struct igmp_dev *d = igmp_of(dev);

		if (d)
			show_dev(s, d);
	}
	rcu_read_unlock();
}

void
igmp_init(void)
{
	(void)proc_register("net/igmp", show_igmp); /* no memory: the file is missing */
}
