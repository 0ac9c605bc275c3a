/*
 * Multicast listener discovery (RFC 3810), as a listener, with MLDv1 queriers too (RFC 2710).
 *
 * Groups of an interface are counted: sockets and neighbour discovery join alike. Each is joined
 * for all sources (filter mode EXCLUDE without sources); which sources a socket wants is its own
 * filter. A join or leave is reported ROBUSTNESS times at random moments within a second; queries
 * are answered after a random delay within what the querier allows.
 *
 * The list is read under RCU for each multicast packet and changed under the interface's lock. One
 * timer serves all groups of an interface: it goes off at the earliest moment something is due.
 */
#include "kernel/log.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/ifaddr.h"
#include "net/ip6.h"
#include "net/mld.h"

enum {
	ROBUSTNESS = 2,   /* RFC 3810 9.1 */
	MAX_RECORDS = 60, /* of 20 bytes, in a report of less than 1280 */
	RECORD_LEN = 20,
	V1_LEN = 24,
	V2_QUERY_LEN = 28,
	MODE_IS_EXCLUDE = 2, /* RFC 3810 5.2.12 */
	TO_INCLUDE = 3,
	TO_EXCLUDE = 4,
};
#define UNSOLICITED_NS (1 * NSEC_PER_SEC)   /* RFC 3810 9.11 */
#define V1_QUERIER_NS  (260 * NSEC_PER_SEC) /* 9.12: 2 * 125 s + 10 s */

struct group {
	struct list link; /* RCU */
	struct ip_addr addr;
	uint32_t refs;        /* [lock] 0: being left, only reports are due */
	uint8_t changes_left; /* [lock] state change reports to send */
	nsec_t change_at_ns;  /* [lock] */
	nsec_t answer_at_ns;  /* [lock] answer to a query; 0: none is due */
	struct rcu_head rcu;
};

struct mld_dev {
	struct netdev *dev;
	struct spinlock lock;
	struct list groups;  /* RCU, [lock] */
	unsigned num_groups; /* [lock] */
	nsec_t v1_until_ns;  /* [lock] an MLDv1 querier was heard: RFC 3810 8.2.1 */
	struct net_timer timer;
	struct rcu_head rcu;
};

static const struct ip_addr all_nodes = {.b = {0xff, 2, [15] = 1}};
static const struct ip_addr all_routers = {.b = {0xff, 2, [15] = 2}};
static const struct ip_addr all_mld2_routers = {.b = {0xff, 2, [15] = 0x16}};

/* ---- Messages, pure -------------------------------------------------------------------- */

uint32_t
mld_max_delay_ms(uint16_t code)
{
	unsigned mantissa = code & 0xfff, exponent = code >> 12 & 7;

	return code < 0x8000 ? code : (mantissa | 0x1000) << (exponent + 3);
}

bool
mld_query_decode(const uint8_t *data, size_t len, struct mld_query *q)
{
	unsigned num_sources;

	if (len < V1_LEN || (len > V1_LEN && len < V2_QUERY_LEN))
		return false;
	*q = (struct mld_query){.is_v1 = len == V1_LEN};
	memcpy(q->group.b, data + 8, 16);
	if (!ip_is_unspecified(&q->group) && !ip_is_multicast(&q->group))
		return false;
	q->max_delay_ms = (uint32_t)data[4] << 8 | data[5];
	if (q->is_v1)
		return true;
	q->max_delay_ms = mld_max_delay_ms((uint16_t)q->max_delay_ms);
	num_sources = (unsigned)data[26] << 8 | data[27];
	return num_sources * 16u <= len - V2_QUERY_LEN;
}

/* RFC 3810 6: nobody asks routers about the others, so they are not reported. */
static bool
is_reported(const struct mld_dev *m, const struct ip_addr *group)
{
	return !ip_equal(group, &all_nodes) && (group->b[1] & 0xf) >= 2 &&
	       !(m->dev->flags & NETDEV_LOOPBACK);
}

/* ---- Membership ------------------------------------------------------------------------ */

static struct mld_dev *
mld_of(const struct netdev *dev)
{
	const struct ip6_dev *d = ip6_dev_of(dev);

	return d ? d->mld : NULL;
}

static struct group *
find(struct mld_dev *m, const struct ip_addr *addr)
{
	struct group *g;

	rcu_list_for_each(g, &m->groups, link) if (ip_equal(&g->addr, addr)) return g;
	return NULL;
}

bool
ip6_mc_is_member(struct netdev *dev, const struct ip_addr *addr)
{
	struct mld_dev *m = mld_of(dev);
	const struct group *g;

	if (ip_equal(addr, &all_nodes) || (addr->b[1] & 0xf) == 1)
		return true;
	if (dev->is_forwarding6 && ip_equal(addr, &all_routers))
		return true;
	g = m ? find(m, addr) : NULL;
	return g && __atomic_load_n(&g->refs, __ATOMIC_RELAXED);
}

static void
free_group(struct rcu_head *head)
{
	kfree(container_of(head, struct group, rcu));
}

static void
remove_locked(struct mld_dev *m, struct group *g) MUST_HOLD(m->lock)
{
	rcu_list_remove(&g->link);
	m->num_groups--;
	rcu_call(&g->rcu, free_group);
}

/* Sets the timer to the earliest thing due. */
static void
rearm_locked(struct mld_dev *m) MUST_HOLD(m->lock)
{
	struct group *g;
	nsec_t next = 0;

	list_for_each(g, &m->groups, link) {
		if (g->changes_left && (!next || g->change_at_ns < next))
			next = g->change_at_ns;
		if (g->answer_at_ns && (!next || g->answer_at_ns < next))
			next = g->answer_at_ns;
	}
	if (next)
		net_timer_arm(&m->timer, next);
	else
		(void)net_timer_cancel(&m->timer); /* if it runs, it finds nothing due */
}

/* RFC 3810 6.1: the first report of a change at once, the others within a second each. */
static void
change_locked(struct mld_dev *m, struct group *g) MUST_HOLD(m->lock)
{
	if (!is_reported(m, &g->addr))
		return;
	g->changes_left = ROBUSTNESS;
	g->change_at_ns = clock_now_ns();
	g->answer_at_ns = 0;
	rearm_locked(m);
}

static struct group *
join_locked(struct mld_dev *m, const struct ip_addr *addr, struct group *fresh,
    bool *is_new) MUST_HOLD(m->lock)
{
	struct group *g = find(m, addr);

	if (!g) {
		if (m->num_groups >= MLD_MAX_GROUPS)
			return NULL;
		g = fresh;
		g->addr = *addr;
		rcu_list_push_back(&m->groups, &g->link);
		m->num_groups++;
	}
	*is_new = g->refs == 0;
	__atomic_store_n(&g->refs, g->refs + 1, __ATOMIC_RELAXED);
	if (*is_new)
		change_locked(m, g);
	return g;
}

static enum err
join(struct netdev *dev, const struct ip_addr *addr, struct group *fresh)
{
	struct mld_dev *m = mld_of(dev);
	uint8_t mac[ETH_ALEN];
	bool is_new = false;
	struct group *g;

	if (!m) {
		kfree(fresh);
		return ERR_NODEV;
	}
	spin_lock(&m->lock);
	g = join_locked(m, addr, fresh, &is_new);
	spin_unlock(&m->lock);
	if (g != fresh)
		kfree(fresh);
	if (!g)
		return ERR_NOBUFS;
	if (!is_new || dev->flags & NETDEV_LOOPBACK)
		return OK;
	ether_map_multicast(mac, addr);
	return netdev_mc_add(dev, mac);
}

enum err
ip6_mc_join(struct netdev *dev, const struct ip_addr *addr)
{
	struct group *fresh;
	enum err err;

	if (!ip_is_multicast(addr) || ip_is_v4(addr))
		return ERR_INVAL;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return ERR_NOMEM;
	rcu_read_lock();
	err = join(dev, addr, fresh);
	rcu_read_unlock();
	return err;
}

/* True: the last member left. */
static bool
leave(struct mld_dev *m, const struct ip_addr *addr)
{
	bool is_last = false;
	struct group *g;

	spin_lock(&m->lock);
	g = find(m, addr);
	if (g && g->refs) {
		is_last = g->refs == 1;
		__atomic_store_n(&g->refs, g->refs - 1, __ATOMIC_RELAXED);
	}
	if (is_last && is_reported(m, addr) && m->dev->flags & NETDEV_UP)
		change_locked(m, g);
	else if (is_last)
		remove_locked(m, g);
	spin_unlock(&m->lock);
	return is_last;
}

void
ip6_mc_leave(struct netdev *dev, const struct ip_addr *addr)
{
	struct mld_dev *m;
	uint8_t mac[ETH_ALEN];

	rcu_read_lock();
	m = mld_of(dev);
	if (m && leave(m, addr) && !(dev->flags & NETDEV_LOOPBACK)) {
		ether_map_multicast(mac, addr);
		netdev_mc_del(dev, mac);
	}
	rcu_read_unlock();
}

/* ---- Reports --------------------------------------------------------------------------- */

struct record {
	struct ip_addr group;
	uint8_t type;
};

/* What is due now, at most MAX_RECORDS. Groups that are left for good go. */
static unsigned
collect_locked(struct mld_dev *m, struct record *out, nsec_t now) MUST_HOLD(m->lock)
{
	struct group *g, *tmp;
	unsigned n = 0;

	list_for_each_safe(g, tmp, &m->groups, link) {
		bool is_change = g->changes_left && g->change_at_ns <= now;
		bool is_answer = g->answer_at_ns && g->answer_at_ns <= now;

		if (n >= MAX_RECORDS || (!is_change && !is_answer))
			continue;
		out[n].group = g->addr;
		out[n].type = MODE_IS_EXCLUDE;
		if (is_change) {
			out[n].type = g->refs ? TO_EXCLUDE : TO_INCLUDE;
			g->changes_left--;
			g->change_at_ns = now + ip6_random_below(UNSOLICITED_NS);
		}
		g->answer_at_ns = 0;
		n++;
		if (!g->refs && !g->changes_left)
			remove_locked(m, g);
	}
	return n;
}

static struct pkt *
make_report(const struct record *r, unsigned n)
{
	size_t len = 8 + (size_t)n * RECORD_LEN;
	struct pkt *p = pkt_alloc(len);
	uint8_t *data;

	if (!p)
		return NULL;
	data = pkt_put(p, len);
	memset(data, 0, len);
	data[0] = ICMP6_MLD2_REPORT;
	data[7] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		data[8 + i * RECORD_LEN] = r[i].type;
		memcpy(data + 8 + i * RECORD_LEN + 4, r[i].group.b, 16);
	}
	return p;
}

static void
send_v1(struct netdev *dev, const struct record *r, const struct ip_addr *src)
{
	bool is_done = r->type == TO_INCLUDE;
	struct pkt *p = pkt_alloc(V1_LEN);
	uint8_t *data;

	if (!p)
		return; /* the querier asks again */
	data = pkt_put(p, V1_LEN);
	memset(data, 0, V1_LEN);
	data[0] = is_done ? ICMP6_MLD_DONE : ICMP6_MLD_REPORT;
	memcpy(data + 8, r->group.b, 16);
	icmp6_finish(p, src, is_done ? &all_routers : &r->group);
	ip6_send_mld(dev, p, src, is_done ? &all_routers : &r->group);
}

/* RFC 3590: from the unspecified address while there is none that can be used. */
static void
send_records(struct mld_dev *m, const struct record *r, unsigned n, bool is_v1)
{
	struct ip_addr src = ip_any;
	struct pkt *p;

	rcu_read_lock();
	(void)ip6_link_local(m->dev, &src);
	rcu_read_unlock();
	for (unsigned i = 0; is_v1 && i < n; i++)
		send_v1(m->dev, &r[i], &src);
	p = is_v1 ? NULL : make_report(r, n);
	if (!p)
		return;
	icmp6_finish(p, &src, &all_mld2_routers);
	ip6_send_mld(m->dev, p, &src, &all_mld2_routers);
}

static void
on_timer(struct net_timer *t)
{
	struct mld_dev *m = container_of(t, struct mld_dev, timer);
	struct record *records = kcalloc(MAX_RECORDS, sizeof(*records));
	nsec_t now = clock_now_ns();
	bool is_v1;
	unsigned n;

	if (!records) {
		net_timer_arm(t, now + UNSOLICITED_NS);
		return;
	}
	spin_lock(&m->lock);
	n = collect_locked(m, records, now);
	is_v1 = m->v1_until_ns > now;
	rearm_locked(m);
	spin_unlock(&m->lock);
	if (n && m->dev->flags & NETDEV_UP)
		send_records(m, records, n, is_v1);
	kfree(records);
}

/* ---- Queries --------------------------------------------------------------------------- */

static void
answer_later(struct mld_dev *m, const struct mld_query *q)
{
	nsec_t now = clock_now_ns(), max = q->max_delay_ms * NSEC_PER_MSEC;
	struct group *g;

	spin_lock(&m->lock);
	if (q->is_v1)
		m->v1_until_ns = now + V1_QUERIER_NS;
	list_for_each(g, &m->groups, link) {
		nsec_t at = now + 1 + ip6_random_below(max + 1);

		if (!g->refs || !is_reported(m, &g->addr) ||
		    (!ip_is_unspecified(&q->group) && !ip_equal(&q->group, &g->addr)))
			continue;
		if (!g->answer_at_ns || at < g->answer_at_ns)
			g->answer_at_ns = at;
	}
	rearm_locked(m);
	spin_unlock(&m->lock);
}

/* RFC 2710 4: another listener's report spares ours, while version 1 is spoken. */
static void
heard_report(struct mld_dev *m, const uint8_t *data)
{
	struct ip_addr addr;
	struct group *g;

	memcpy(addr.b, data + 8, 16);
	spin_lock(&m->lock);
	g = find(m, &addr);
	if (g && m->v1_until_ns > clock_now_ns())
		g->answer_at_ns = 0;
	spin_unlock(&m->lock);
}

/* RFC 3810 6.2: from a link-local address, hop limit 1, with router alert. */
void
mld_input(struct pkt *p)
{
	struct mld_dev *m = mld_of(p->dev);
	size_t len = pkt_len(p);
	const uint8_t *data = pkt_need(p, len);
	struct mld_query q;
	bool is_query = data && data[0] == ICMP6_MLD_QUERY;

	if (!m || !data || len < V1_LEN || p->ip.ttl != 1 ||
	    !ip_is_link_local(&p->ip.src) || !p->ip.opt_off ||
	    (is_query && !mld_query_decode(data, len, &q))) {
		pkt_drop(p, DROP_MLD_BAD);
		return;
	}
	if (is_query)
		answer_later(m, &q);
	else if (data[0] == ICMP6_MLD_REPORT)
		heard_report(m, data);
	pkt_free(p);
}

/* ---- Wiring ---------------------------------------------------------------------------- */

/* Lets the interface's filter pass a group for good. */
static void
hear(struct netdev *dev, const struct ip_addr *group)
{
	uint8_t mac[ETH_ALEN];

	if (dev->flags & NETDEV_LOOPBACK)
		return;
	ether_map_multicast(mac, group);
	if (netdev_mc_add(dev, mac) != OK)
		log_warn("%s: no memory for multicast\n", dev->name);
}

static void
add_dev(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	struct mld_dev *m;

	if (!d || d->mld)
		return;
	m = kzalloc(sizeof(*m));
	if (!m)
		return; /* joins fail: ERR_NODEV */
	m->dev = dev;
	spin_init(&m->lock, "mld", RANK_NET_TABLE);
	list_init(&m->groups);
	net_timer_init(&m->timer, on_timer);
	rcu_assign(d->mld, m);
	hear(dev, &all_nodes); /* joined without being asked for */
	hear(dev, &all_routers);
}

static void
free_dev(struct rcu_head *head)
{
	kfree(container_of(head, struct mld_dev, rcu));
}

static void
remove_dev(struct netdev *dev)
{
	struct ip6_dev *d = ip6_dev_of(dev);
	struct mld_dev *m = mld_of(dev);
	struct group *g, *tmp;

	if (!m)
		return;
	rcu_assign(d->mld, (struct mld_dev *)NULL);
	net_timer_cancel_sync(&m->timer);
	spin_lock(&m->lock);
	list_for_each_safe(g, tmp, &m->groups, link)
		remove_locked(m, g);
	spin_unlock(&m->lock);
	rcu_call(&m->rcu, free_dev);
}

/* Another link knows nothing of our groups: all are reported as new. */
static void
report_all(struct netdev *dev)
{
	struct mld_dev *m = mld_of(dev);
	struct group *g;

	if (!m)
		return;
	spin_lock(&m->lock);
	list_for_each(g, &m->groups, link)
		change_locked(m, g);
	spin_unlock(&m->lock);
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
