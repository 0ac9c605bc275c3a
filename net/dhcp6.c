/*
 * DHCPv6 client (RFC 8415 18.2).
 *
 *	SOLICIT -> REQUEST -> BOUND -> RENEW (T1) -> REBIND (T2) -> SOLICIT (all expired)
 *	   |  rapid commit      ^         |             |
 *	   +--------------------+---------+-------------+
 *	BOUND -> CONFIRM when the link comes back; DECLINE when an address is someone else's;
 *	RELEASE when it ends; INFO asks for settings without an address.
 *
 * All of it runs in the configuration thread under rtnl. Timers and packets only leave word: the
 * timer by is_due, packets in a short queue. States in which a message is sent again and again
 * share one table of RFC 8415 7.6's parameters and one function that sends.
 */
#include "net/dhcp6.h"

#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/dhcp6_msg.h"
#include "net/ifaddr.h"
#include "net/inbox.h"
#include "net/ip6.h"
#include "net/resolv.h"

enum {
	PORT_CLIENT = 546,
	PORT_SERVER = 547,
	UDP_HEADER = 8,
	MAX_QUEUED = 16,
	REFRESH_DEFAULT_S = 86400, /* RFC 8415 7.6 IRT_DEFAULT */
	REFRESH_MIN_S = 600,
	FOREVER_S = 0xffffffff,
};

enum state {
	IDLE,
	SOLICIT,
	REQUEST,
	CONFIRM,
	RENEW,
	REBIND,
	DECLINE,
	INFO,
	BOUND,     /* until T1 */
	INFO_DONE, /* until the refresh time */
};

/* RFC 8415 7.6; 0: no limit. */
static const struct {
	uint8_t type, max_count;
	uint32_t irt_ms, mrt_ms, mrd_ms;
	bool has_server, has_ia;
} messages[] = {
    [SOLICIT] = {DHCP6_SOLICIT, 0, 1000, 3600000, 0, false, true},
    [REQUEST] = {DHCP6_REQUEST, 10, 1000, 30000, 0, true, true},
    [CONFIRM] = {DHCP6_CONFIRM, 0, 1000, 4000, 10000, false, true},
    [RENEW] = {DHCP6_RENEW, 0, 10000, 600000, 0, true, true},
    [REBIND] = {DHCP6_REBIND, 0, 10000, 600000, 0, false, true},
    [DECLINE] = {DHCP6_DECLINE, 4, 1000, 0, 0, true, true},
    [INFO] = {DHCP6_INFORMATION_REQUEST, 0, 1000, 3600000, 0, false, false},
};

struct lease_addr {
	struct ip_addr addr;
	nsec_t valid_until_ns;
	bool is_declined;
};

struct client { /* [rtnl] */
	struct netdev *dev;
	enum state state;
	uint32_t xid;
	uint64_t rt_ms;
	unsigned count;
	nsec_t started_ns;
	struct net_timer timer;
	bool is_due;  /* [a] the timer went off */
	bool is_lost; /* [a] the link came back: confirm */
	struct dhcp6_duid duid, server;
	uint32_t iaid;
	bool has_offer; /* SOLICIT: `server` and `offer_preference` are the best so far */
	uint8_t offer_preference;
	unsigned num_addrs;
	struct lease_addr addrs[DHCP6_MAX_ADDRS];
	nsec_t t1_ns, t2_ns, end_ns; /* IFA_FOREVER: never */
	uint32_t sol_max_rt_ms, inf_max_rt_ms;
};

uint32_t dhcp6_num_clients;

static const struct ip_addr all_servers = {.b = {0xff, 2, [13] = 1, [15] = 2}};
static void run(struct net_work *);
static struct net_work work = {.fn = run};
static struct inbox replies = INBOX_INIT("dhcp6", MAX_QUEUED, &work);
static void enter(struct client *c, enum state state);

static struct client *
client_of(const struct netdev *dev)
{
	return (struct client *)dev->proto[NETDEV_DHCP6];
}

static nsec_t
after(uint32_t s)
{
	return s == FOREVER_S ? IFA_FOREVER : clock_now_ns() + s * NSEC_PER_SEC;
}

/* ---- Sending --------------------------------------------------------------------------- */

static void
send_bytes(struct client *c, const uint8_t *data, size_t n)
{
	struct pkt *p = pkt_alloc(UDP_HEADER + n);
	struct flow flow = {.dst = all_servers, .oif = c->dev->index};
	struct ip_tx tx = {.proto = IP_PROTO_UDP, .ttl = 1, .is_not_looped = true};
	struct dst *dst;
	be16 *udp;
	uint16_t csum;
	bool has_source;

	rcu_read_lock();
	has_source = ip6_link_local(c->dev, &flow.src);
	rcu_read_unlock();
	if (!p || !has_source || route_output(&flow, &dst) != OK) {
		pkt_free(p); /* it is sent again */
		return;
	}
	udp = pkt_put(p, UDP_HEADER);
	memcpy(pkt_put(p, n), data, n);
	udp[0] = be16_of(PORT_CLIENT);
	udp[1] = be16_of(PORT_SERVER);
	udp[2] = be16_of((uint16_t)(UDP_HEADER + n));
	udp[3] = be16_of(0);
	tx.src = flow.src;
	tx.dst = flow.dst;
	csum = csum_finish(pkt_csum(p, 0, UDP_HEADER + n,
	    ip_pseudo_csum(&tx.src, &tx.dst, IP_PROTO_UDP, (uint32_t)(UDP_HEADER + n))));
	udp[3] = be16_of(csum ? csum : 0xffff);
	(void)ip6_send(p, dst, &tx); /* it is sent again */
	dst_put(dst);
}

static bool
is_in_message(const struct client *c, const struct lease_addr *a)
{
	return c->state == DECLINE ? a->is_declined : !a->is_declined;
}

/* The message of the client's state. */
static void
send_message(struct client *c, uint8_t type, bool has_server, bool has_ia)
{
	nsec_t elapsed_cs = (clock_now_ns() - c->started_ns) / (10 * NSEC_PER_MSEC);
	struct dhcp6_msg *m = kzalloc(sizeof(*m));
	uint8_t *data = kmalloc(DHCP6_MAX_MSG);

	if (!m || !data) {
		kfree(m);
		kfree(data);
		return; /* the timer sends again */
	}
	m->type = type;
	m->xid = c->xid;
	m->client = c->duid;
	if (has_server)
		m->server = c->server;
	m->has_rapid_commit = type == DHCP6_SOLICIT;
	m->elapsed_cs = (uint16_t)MIN(elapsed_cs, 0xffffu);
	m->has_ia = has_ia;
	m->iaid = c->iaid;
	for (unsigned i = 0; type != DHCP6_SOLICIT && i < c->num_addrs; i++)
		if (is_in_message(c, &c->addrs[i]))
			m->addrs[m->num_addrs++].addr = c->addrs[i].addr;
	send_bytes(c, data, dhcp6_encode(m, data, DHCP6_MAX_MSG));
	kfree(m);
	kfree(data);
}

static void
transmit(struct client *c)
{
	uint32_t irt = messages[c->state].irt_ms, mrt = messages[c->state].mrt_ms;
	unsigned chance = (unsigned)random_below(1001);

	if (c->state == SOLICIT)
		mrt = c->sol_max_rt_ms;
	if (c->state == INFO)
		mrt = c->inf_max_rt_ms;
	/* RFC 8415 18.2.1: a first solicitation waits longer than IRT, not less. */
	if (c->state == SOLICIT && !c->count)
		chance = 501 + chance / 2 % 500;
	c->rt_ms = dhcp6_next_rt_ms(c->count ? c->rt_ms : 0, irt, mrt, chance);
	c->count++;
	send_message(c, messages[c->state].type, messages[c->state].has_server,
	    messages[c->state].has_ia);
	net_timer_arm(&c->timer, clock_now_ns() + c->rt_ms * NSEC_PER_MSEC);
}

/* ---- The lease ------------------------------------------------------------------------- */

static void
drop_addr(struct client *c, unsigned i)
{
	(void)ifaddr_del(
	    c->dev, &c->addrs[i].addr, 128); /* its user may have been faster */
	c->addrs[i] = c->addrs[--c->num_addrs];
}

static void
drop_lease(struct client *c)
{
	while (c->num_addrs)
		drop_addr(c, c->num_addrs - 1);
}

static struct lease_addr *
lease_of(struct client *c, const struct ip_addr *addr)
{
	for (unsigned i = 0; i < c->num_addrs; i++)
		if (ip_equal(&c->addrs[i].addr, addr))
			return &c->addrs[i];
	return NULL;
}

/* RFC 8415 18.2.10.1: an address of a reply. */
static void
take_addr(struct client *c, const struct dhcp6_addr *a)
{
	struct ifaddr_config config = {.addr = a->addr,
	    .plen = 128, /* what is on the link, routers tell */
	    .origin = IFA_DHCP,
	    .flags = IFA_NOPREFIXROUTE,
	    .valid_ns = a->valid_s == FOREVER_S ? IFA_FOREVER : a->valid_s * NSEC_PER_SEC,
	    .preferred_ns = a->preferred_s == FOREVER_S ? IFA_FOREVER
	                                                : a->preferred_s * NSEC_PER_SEC};
	struct lease_addr *l = lease_of(c, &a->addr);

	if (!a->valid_s || a->status != DHCP6_SUCCESS) {
		if (l)
			drop_addr(c, (unsigned)(l - c->addrs));
		return;
	}
	if (!l && c->num_addrs < DHCP6_MAX_ADDRS) {
		l = &c->addrs[c->num_addrs++];
		*l = (struct lease_addr){.addr = a->addr};
	}
	if (!l)
		return;
	l->valid_until_ns = after(a->valid_s);
	if (ifaddr_add(c->dev, &config, false) != OK)
		log_warn("%s: an address by DHCPv6 is refused\n", c->dev->name);
}

/* RFC 8415 14.2, 21.4: T1 and T2, our choice where the server has none. */
static void
set_times(struct client *c, const struct dhcp6_msg *m)
{
	uint32_t preferred = FOREVER_S, t1 = m->t1_s, t2 = m->t2_s;

	c->end_ns = 0;
	for (unsigned i = 0; i < m->num_addrs; i++)
		preferred = MIN(preferred, m->addrs[i].preferred_s);
	for (unsigned i = 0; i < c->num_addrs; i++)
		c->end_ns = MAX(c->end_ns, c->addrs[i].valid_until_ns);
	if (!t1)
		t1 = preferred == FOREVER_S ? FOREVER_S : preferred / 2;
	if (!t2)
		t2 = preferred == FOREVER_S ? FOREVER_S : preferred / 10 * 8;
	c->t1_ns = after(MAX(t1, 1u));
	c->t2_ns = after(MAX(MAX(t2, t1), 2u));
}

static void
append_search(struct resolv_info *info, const struct dhcp6_msg *m)
{
	size_t at = 0, n, have = 0;
	char name[RESOLV_SEARCH];

	while (at < m->search_len && (n = dns_name_decode(m->search + at,
	                                  m->search_len - at, name, sizeof(name)))) {
		at += n;
		if (have + strlen(name) + 2 > sizeof(info->search))
			break;
		if (have)
			info->search[have++] = ' ';
		have += strlcpy(info->search + have, name, sizeof(info->search) - have);
	}
}

static void
take_settings(struct client *c, const struct dhcp6_msg *m)
{
	struct resolv_info *info;

	if (m->sol_max_rt_s)
		c->sol_max_rt_ms = m->sol_max_rt_s * 1000;
	if (m->inf_max_rt_s)
		c->inf_max_rt_ms = m->inf_max_rt_s * 1000;
	info = kzalloc(sizeof(*info));
	if (!info)
		return;
	info->count = m->num_dns;
	info->num_ntp = m->num_ntp;
	memcpy(info->servers, m->dns, sizeof(m->dns));
	memcpy(info->ntp, m->ntp, sizeof(m->ntp));
	append_search(info, m);
	resolv_set(c->dev->index, RESOLV_DHCP6, info);
	kfree(info);
}

/* ---- States ---------------------------------------------------------------------------- */

static void
enter(struct client *c, enum state state)
{
	c->state = state;
	c->count = 0;
	c->xid = (uint32_t)random_below(1 << 24);
	c->started_ns = clock_now_ns();
	switch (state) {
	case IDLE: (void)net_timer_cancel(&c->timer); break;
	case BOUND:
		if (c->t1_ns != IFA_FOREVER)
			net_timer_arm(&c->timer, c->t1_ns);
		else
			(void)net_timer_cancel(&c->timer);
		break;
	case SOLICIT: /* RFC 8415 18.2.1, 18.2.6: hosts that came up together spread */
	case INFO:
	case CONFIRM:
		c->has_offer = false;
		net_timer_arm(&c->timer, clock_now_ns() + random_below(NSEC_PER_SEC));
		break;
	case INFO_DONE: break;
	default: transmit(c);
	}
}

/* The server has no more to say: begin anew, without what we had. */
static void
start_over(struct client *c)
{
	drop_lease(c);
	enter(c, SOLICIT);
}

/* The message was sent as often, or as long, as RFC 8415 15 allows. */
static bool
is_given_up(const struct client *c)
{
	nsec_t now = clock_now_ns();
	uint32_t mrd = messages[c->state].mrd_ms;

	if (messages[c->state].max_count && c->count >= messages[c->state].max_count)
		return true;
	return mrd && c->count && now - c->started_ns >= mrd * NSEC_PER_MSEC;
}

static void
give_up(struct client *c)
{
	switch (c->state) {
	case CONFIRM: /* RFC 8415 18.2.3: nobody says no: go on as before */
		enter(c, BOUND);
		break;
	case DECLINE:
	case REQUEST:
	default: start_over(c);
	}
}

static void
on_due(struct client *c)
{
	nsec_t now = clock_now_ns();

	switch (c->state) {
	case IDLE: return;
	case BOUND: enter(c, RENEW); return;
	case INFO_DONE: enter(c, INFO); return;
	case RENEW:
		if (now >= c->t2_ns) {
			enter(c, REBIND);
			return;
		}
		break;
	case REBIND:
		if (now >= c->end_ns) {
			start_over(c);
			return;
		}
		break;
	case SOLICIT:
		if (c->has_offer) {
			enter(c, REQUEST);
			return;
		}
		break;
	default: break;
	}
	if (is_given_up(c))
		give_up(c);
	else
		transmit(c);
	/* The next state must not wait for a retransmission that is far away. */
	if (c->state == RENEW && c->t2_ns < now + c->rt_ms * NSEC_PER_MSEC)
		net_timer_arm(&c->timer, c->t2_ns);
	if (c->state == REBIND && c->end_ns < now + c->rt_ms * NSEC_PER_MSEC)
		net_timer_arm(&c->timer, c->end_ns);
}

/* ---- Replies --------------------------------------------------------------------------- */

/* RFC 8415 18.2.9. */
static void
on_advertise(struct client *c, const struct dhcp6_msg *m)
{
	if (c->state != SOLICIT || !c->count)
		return;
	if (m->sol_max_rt_s)
		c->sol_max_rt_ms = m->sol_max_rt_s * 1000;
	if (!m->has_ia || !m->num_addrs || m->ia_status == DHCP6_NO_ADDRS ||
	    m->status == DHCP6_NO_ADDRS)
		return;
	if (c->has_offer && m->preference <= c->offer_preference)
		return;
	c->has_offer = true;
	c->offer_preference = m->preference;
	c->server = m->server;
	drop_lease(c);
	for (unsigned i = 0; i < m->num_addrs; i++) /* what we shall ask for */
		c->addrs[c->num_addrs++] = (struct lease_addr){.addr = m->addrs[i].addr};
	/* At once after the first round, or if nobody can be better. */
	if (m->preference == 255 || c->count > 1)
		enter(c, REQUEST);
}

/* Addresses we were offered, but not given: nothing of them is configured. */
static void
forget_offer(struct client *c)
{
	if (c->state == REQUEST || c->state == SOLICIT)
		c->num_addrs = 0;
}

static void
take_lease(struct client *c, const struct dhcp6_msg *m)
{
	char text[IP_TEXT];

	forget_offer(c);
	for (unsigned i = 0; i < m->num_addrs; i++)
		take_addr(c, &m->addrs[i]);
	if (!c->num_addrs) {
		enter(c, SOLICIT);
		return;
	}
	c->server = m->server;
	set_times(c, m);
	if (c->state != RENEW && c->state != REBIND)
		log_info("%s: %s by DHCPv6\n", c->dev->name,
		    ip_format(text, &c->addrs[0].addr));
	take_settings(c, m);
	enter(c, BOUND);
}

/* RFC 8415 18.2.10.1: what the server says of our association. */
static void
on_lease_reply(struct client *c, const struct dhcp6_msg *m)
{
	uint16_t status = m->status != DHCP6_SUCCESS ? m->status : m->ia_status;

	switch (status) {
	case DHCP6_SUCCESS:
		if (m->has_ia && m->num_addrs)
			take_lease(c, m);
		return;
	case DHCP6_NO_BINDING: /* RENEW, REBIND: ask for the same ones as new */
		if (c->state == RENEW || c->state == REBIND) {
			c->server = m->server;
			enter(c, REQUEST);
		}
		return;
	case DHCP6_NOT_ON_LINK:
	case DHCP6_NO_ADDRS:
		if (c->state == REQUEST) {
			forget_offer(c);
			enter(c, SOLICIT);
		}
		return;
	default: /* UnspecFail and unknown ones: the timer asks again */ return;
	}
}

static void
on_info_reply(struct client *c, const struct dhcp6_msg *m)
{
	uint32_t refresh = m->refresh_s ? m->refresh_s : REFRESH_DEFAULT_S;

	take_settings(c, m);
	enter(c, INFO_DONE);
	if (refresh != FOREVER_S)
		net_timer_arm(&c->timer, after(MAX(refresh, (uint32_t)REFRESH_MIN_S)));
	else
		(void)net_timer_cancel(&c->timer);
}

static void
on_reply(struct client *c, const struct dhcp6_msg *m)
{
	switch (c->state) {
	case SOLICIT: /* RFC 8415 18.2.1: only the quick way */
		if (m->has_rapid_commit)
			on_lease_reply(c, m);
		return;
	case REQUEST:
	case RENEW:
	case REBIND: on_lease_reply(c, m); return;
	case CONFIRM:
		if (m->status == DHCP6_SUCCESS)
			enter(c, BOUND);
		else
			start_over(c);
		return;
	case DECLINE: start_over(c); return;
	case INFO: on_info_reply(c, m); return;
	default: return;
	}
}

/* RFC 8415 16: from a server, for us, and an answer to our last message. */
static void
on_message(struct client *c, const uint8_t *data, size_t len)
{
	struct dhcp6_msg *m = kmalloc(sizeof(*m));
	bool is_good;

	if (!m)
		return;
	is_good = dhcp6_decode(data, len, c->iaid, m) && m->xid == c->xid &&
	          m->server.len && m->client.len == c->duid.len &&
	          memcmp(m->client.bytes, c->duid.bytes, c->duid.len) == 0;
	if (!is_good)
		drop_count(DROP_DHCP_BAD);
	else if (m->type == DHCP6_ADVERTISE)
		on_advertise(c, m);
	else if (m->type == DHCP6_REPLY)
		on_reply(c, m);
	kfree(m);
}

/* ---- The configuration thread ---------------------------------------------------------- */

static void
on_timer(struct net_timer *t)
{
	struct client *c = container_of(t, struct client, timer);

	__atomic_store_n(&c->is_due, true, __ATOMIC_RELEASE);
	net_config_queue(&work);
}

bool
dhcp6_input(struct pkt *p)
{
	const be16 *udp = pkt_need(p, pkt_len(p));

	if (!udp || pkt_len(p) < UDP_HEADER || be16_get(udp[1]) != PORT_CLIENT ||
	    be16_get(udp[0]) != PORT_SERVER || !client_of(p->dev))
		return false;
	if (be16_get(udp[2]) < UDP_HEADER || be16_get(udp[2]) > pkt_len(p) ||
	    !be16_get(udp[3]) || !ip_csum_ok(p)) {
		pkt_drop(p, DROP_UDP_BAD);
		return true;
	}
	pkt_trim(p, be16_get(udp[2]));
	if (!inbox_put(&replies, p))
		pkt_drop(p, DROP_DHCP_BAD);
	return true;
}

static void
run(struct net_work *w)
{
	struct netdev *dev;
	struct pkt *p;

	mutex_lock(&rtnl_mutex);
	while ((p = inbox_take(&replies))) {
		if (client_of(p->dev))
			on_message(client_of(p->dev), p->data + UDP_HEADER,
			    pkt_linear(p) - UDP_HEADER);
		inbox_done(p);
	}
	list_for_each(dev, &netdev_list, link) {
		struct client *c = client_of(dev);

		if (!c)
			continue;
		if (__atomic_exchange_n(&c->is_lost, false, __ATOMIC_ACQ_REL)) {
			enum state next = c->num_addrs ? CONFIRM : SOLICIT;

			enter(c, c->state == INFO || c->state == INFO_DONE ? INFO : next);
		}
		if (__atomic_exchange_n(&c->is_due, false, __ATOMIC_ACQ_REL))
			on_due(c);
	}
	mutex_unlock(&rtnl_mutex);
}

/* ---- Wiring ---------------------------------------------------------------------------- */

static struct client *
new_client(struct netdev *dev)
{
	static const uint8_t duid_ll[] = {0, 3, 0, 1}; /* RFC 8415 11.4: Ethernet */
	struct client *c = kzalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->dev = dev;
	memcpy(c->duid.bytes, duid_ll, sizeof(duid_ll));
	memcpy(c->duid.bytes + 4, dev->permanent_mac, ETH_ALEN);
	c->duid.len = 10;
	memcpy(&c->iaid, dev->permanent_mac + 2, 4);
	c->sol_max_rt_ms = messages[SOLICIT].mrt_ms;
	c->inf_max_rt_ms = messages[INFO].mrt_ms;
	net_timer_init(&c->timer, on_timer);
	__atomic_store_n(
	    &dev->proto[NETDEV_DHCP6], (struct netdev_proto *)c, __ATOMIC_RELEASE);
	__atomic_add_fetch(&dhcp6_num_clients, 1, __ATOMIC_RELAXED);
	return c;
}

void
dhcp6_router_says(struct netdev *dev, bool is_managed, bool is_other)
{
	struct client *c = client_of(dev);

	if (!is_managed && !is_other)
		return;
	if (!c)
		c = new_client(dev);
	if (!c)
		return; /* the next advertisement says it again */
	if (is_managed && (c->state == IDLE || c->state == INFO || c->state == INFO_DONE))
		enter(c, SOLICIT);
	else if (!is_managed && c->state == IDLE)
		enter(c, INFO);
}

/* The lease is given back while the interface can still send (RFC 8415 18.2.7). Told once: the
 * server finds out by itself if that is lost. */
static void
release(struct client *c)
{
	if (c->state == BOUND || c->state == RENEW || c->state == REBIND)
		send_message(c, DHCP6_RELEASE, true, true);
	drop_lease(c);
	enter(c, IDLE);
}

void
dhcp6_dev_down(struct netdev *dev)
{
	struct client *c = client_of(dev);

	if (!c)
		return;
	net_timer_cancel_sync(&c->timer);
	drop_lease(c);
	resolv_set(dev->index, RESOLV_DHCP6, NULL);
	__atomic_store_n(&dev->proto[NETDEV_DHCP6], NULL, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&dhcp6_num_clients, 1, __ATOMIC_RELAXED);
	rcu_synchronize();
	kfree(c);
}

/* RFC 8415 18.2.8: somebody else has the address. */
static void
on_address(struct ifaddr *ifa, bool is_added)
{
	struct client *c = client_of(ifa->dev);
	struct lease_addr *l = c ? lease_of(c, &ifa->addr) : NULL;

	if (is_added || !l || !(ifa->flags & IFA_DADFAILED) || l->is_declined)
		return;
	l->is_declined = true;
	enter(c, DECLINE);
}

/* RFC 8415 18.2.12: a link that comes back may be another one. */
static void
on_netdev(struct netdev *dev, enum netdev_event event)
{
	struct client *c = client_of(dev);

	if (c && event == NETDEV_EV_GOING_DOWN)
		release(c);
	if (event != NETDEV_EV_LINK || !dev->has_link || !c || c->state == IDLE)
		return;
	__atomic_store_n(&c->is_lost, true, __ATOMIC_RELEASE);
	net_config_queue(&work);
}

void
dhcp6_init(void)
{
	static struct netdev_notifier interfaces = {.event = on_netdev};
	static struct ifaddr_notifier addresses = {.event = on_address};

	ifaddr_notify_add(&addresses);
	netdev_notify_add(&interfaces);
}
