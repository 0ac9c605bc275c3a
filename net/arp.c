/*
 * ARP (RFC 826) for Ethernet, with address conflict detection (RFC 5227). The cache and its states
 * are net/neigh.c's; here are the packets.
 *
 * In: every sound ARP packet first serves conflict detection: whoever says it has an address that we
 * use or are about to use is in conflict with us. Then, as RFC 826 has it, a known sender's entry is
 * updated; a new one is made only if the packet asks for us, and only for neighbours on a net of the
 * interface, so what nobody talks to does not fill the cache. Then a request for us is answered.
 *
 * Probing: an address that comes to ifaddr_acd_start is asked for PROBE_NUM times with sender address
 * 0. Addresses from a DHCP server, which keeps them apart already, are probed at a quicker pace (RFC
 * 2131 4.4.1 asks for a check; RFC 5227 1.1's times were chosen for link-local ones). When an
 * address becomes usable it is announced twice; in use it is defended as RFC 5227 2.4 (b) and (c):
 * one defence in DEFEND_INTERVAL, and an address by DHCP or of our own making is given up if that
 * does not help; one that the administrator gave stays.
 */
#include "net/ether.h"

#include "kernel/random.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ifaddr.h"
#include "net/ip4.h"
#include "net/neigh.h"

#define LOG_PREFIX "arp: "
#include "kernel/log.h"

enum { ARP_REQUEST = 1, ARP_REPLY = 2, ARP_ETHERNET = 1 };
enum { PROBE_NUM = 3, ANNOUNCE_NUM = 2, MAX_ANNOUNCING = 64 };
static const nsec_t ANNOUNCE_INTERVAL = 2 * NSEC_PER_SEC;
static const nsec_t DEFEND_INTERVAL = 10 * NSEC_PER_SEC;
static const nsec_t REACHABLE_BASE = 30 * NSEC_PER_SEC;

struct arp_packet {
	be16 hw, proto;
	uint8_t hw_len, proto_len;
	be16 op;
	uint8_t sender_mac[ETH_ALEN];
	uint8_t sender[4]; /* be32 would do, but bytes keep the layout plain */
	uint8_t target_mac[ETH_ALEN];
	uint8_t target[4];
};
static_assert(sizeof(struct arp_packet) == 28, "RFC 826");

/* How fast an address is probed: RFC 5227 1.1 and the quick pace. */
struct probe_pace {
	nsec_t wait_max, min, max, after;
};
static const struct probe_pace rfc_pace = {
    NSEC_PER_SEC, NSEC_PER_SEC, 2 * NSEC_PER_SEC, 2 * NSEC_PER_SEC};
static const struct probe_pace quick_pace = {
    50 * NSEC_PER_MSEC, 100 * NSEC_PER_MSEC, 150 * NSEC_PER_MSEC, 200 * NSEC_PER_MSEC};

/* An announcement that is still to be repeated. */
struct announcement {
	struct net_timer timer;
	struct ip_addr addr;
	unsigned dev_index, left;
};
static uint32_t num_announcing; /* [a] */

/* ---- Sending --------------------------------------------------------------------------- */

static void
arp_send(struct netdev *dev, unsigned op, be32 sender, be32 target,
    const uint8_t *target_mac, const uint8_t *to)
{
	struct pkt *p = pkt_alloc(sizeof(struct arp_packet));
	struct arp_packet *a;

	if (!p) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	a = pkt_put(p, sizeof(*a));
	*a = (struct arp_packet){.hw = be16_of(ARP_ETHERNET),
	    .proto = be16_of(ETHERTYPE_IP4),
	    .hw_len = ETH_ALEN,
	    .proto_len = 4,
	    .op = be16_of((uint16_t)op)};
	memcpy(a->sender_mac, dev->mac, ETH_ALEN);
	memcpy(a->sender, &sender, 4);
	memcpy(a->target, &target, 4);
	if (target_mac)
		memcpy(a->target_mac, target_mac, ETH_ALEN);
	p->dev = dev;
	(void)ether_send(dev, p, to, ETHERTYPE_ARP); /* lost ones are sent again */
}

static void
announce(struct netdev *dev, be32 addr)
{
	arp_send(dev, ARP_REQUEST, addr, addr, NULL, ether_broadcast);
}

/* The sender address of a request: one of the net asked about, else any of the interface. */
static bool
sender_for(const struct netdev *dev, const struct ip_addr *target, be32 *sender)
{
	struct ifaddr *ifa, *any = NULL;
	struct ip_addr src;

	ifaddr_for_each(ifa, dev, AF_INET)
	{
		if (ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED))
			continue;
		if (ip_prefix_match(target, &ifa->addr, ifa->plen)) {
			*sender = ifa->addr.v4;
			return true;
		}
		any = any ? any : ifa;
	}
	if (any) {
		*sender = any->addr.v4;
		return true;
	}
	if (!addrsel_source(dev, target, 0, &src))
		return false;
	*sender = src.v4;
	return true;
}

static void
arp_solicit(struct neigh *n, const uint8_t *mac)
{
	be32 sender;

	rcu_read_lock();
	if (sender_for(n->dev, &n->addr, &sender))
		arp_send(n->dev, ARP_REQUEST, sender, n->addr.v4, mac,
		    mac ? mac : ether_broadcast);
	rcu_read_unlock();
}

/* RFC 1122 2.3.2.2: those who sent what waited hear it. */
static void
arp_unreachable(struct neigh *n, struct pkt *list)
{
	struct pkt *p, *next;

	for (p = list; p; p = next) {
		next = p->next;
		p->next = NULL;
		icmp4_send_error(p, ICMP4_UNREACH, ICMP4_HOST, 0);
		pkt_drop(p, DROP_NEIGH_FAILED);
	}
}

/* RFC 4861's way for ARP as well: 0.5 to 1.5 of the base, so that hosts do not fall into step. */
static nsec_t
arp_reachable_ns(const struct netdev *dev)
{
	return REACHABLE_BASE / 2 + random_below(REACHABLE_BASE);
}

static nsec_t
arp_retrans_ns(const struct netdev *dev)
{
	return NSEC_PER_SEC;
}

const struct neigh_ops arp_neigh_ops = {
    .solicit = arp_solicit,
    .unreachable = arp_unreachable,
    .reachable_ns = arp_reachable_ns,
    .retrans_ns = arp_retrans_ns,
};

/* ---- Conflict detection ---------------------------------------------------------------- */

static const struct probe_pace *
pace_of(const struct ifaddr *ifa)
{
	return ifa->origin == IFA_DHCP ? &quick_pace : &rfc_pace;
}

static void
probe_due(struct net_timer *t)
{
	struct ifaddr *ifa = container_of(t, struct ifaddr, timer);
	const struct probe_pace *pace = pace_of(ifa);
	nsec_t wait;

	if (!ifa->dad_left) {
		ifaddr_dad_done(ifa, false);
		return;
	}
	arp_send(ifa->dev, ARP_REQUEST, be32_of(0), ifa->addr.v4, NULL, ether_broadcast);
	ifa->dad_left--;
	wait =
	    ifa->dad_left ? pace->min + random_below(pace->max - pace->min) : pace->after;
	net_timer_arm(t, clock_now_ns() + wait);
}

void
ifaddr_acd_start(struct ifaddr *ifa)
{
	ifa->dad_left = PROBE_NUM;
	net_timer_init(&ifa->timer, probe_due);
	net_timer_arm(&ifa->timer, clock_now_ns() + random_below(pace_of(ifa)->wait_max));
}

static void
announce_again(struct net_timer *t)
{
	struct announcement *a = container_of(t, struct announcement, timer);
	struct ifaddr *ifa;
	struct netdev *dev;

	rcu_read_lock();
	dev = netdev_by_index(a->dev_index);
	ifa = dev ? ifaddr_find(dev, &a->addr) : NULL;
	if (ifa && !(ifa->flags & IFA_TENTATIVE) && dev->flags & NETDEV_UP)
		announce(dev, a->addr.v4);
	else
		a->left = 1;
	rcu_read_unlock();
	if (--a->left) {
		net_timer_arm(t, clock_now_ns() + ANNOUNCE_INTERVAL);
		return;
	}
	__atomic_sub_fetch(&num_announcing, 1, __ATOMIC_RELAXED);
	kfree(a); /* the wheel does not look at it after the call */
}

/* RFC 5227 2.3: twice. Without memory, or with many at once, once must do. */
static void
announce_twice(struct ifaddr *ifa)
{
	struct announcement *a;

	announce(ifa->dev, ifa->addr.v4);
	if (__atomic_add_fetch(&num_announcing, 1, __ATOMIC_RELAXED) > MAX_ANNOUNCING ||
	    !(a = kzalloc(sizeof(*a)))) {
		__atomic_sub_fetch(&num_announcing, 1, __ATOMIC_RELAXED);
		return;
	}
	a->addr = ifa->addr;
	a->dev_index = ifa->dev->index;
	a->left = ANNOUNCE_NUM - 1;
	net_timer_init(&a->timer, announce_again);
	net_timer_arm(&a->timer, clock_now_ns() + ANNOUNCE_INTERVAL);
}

static bool
does_arp(const struct netdev *dev)
{
	return !(dev->flags & (NETDEV_LOOPBACK | NETDEV_NOARP));
}

static void
on_address(struct ifaddr *ifa, bool is_added)
{
	if (is_added && ip_is_v4(&ifa->addr) && does_arp(ifa->dev) &&
	    ifa->dev->flags & NETDEV_UP && !(ifa->flags & IFA_DEPRECATED))
		announce_twice(ifa);
}

/* The cable came back, perhaps into another switch: neighbours learn where we are. */
static void
on_netdev(struct netdev *dev, enum netdev_event ev)
{
	struct ifaddr *ifa;

	if (!(ev == NETDEV_EV_LINK && dev->has_link) && ev != NETDEV_EV_MAC &&
	    ev != NETDEV_EV_ANNOUNCE)
		return;
	if (!does_arp(dev) || !(dev->flags & NETDEV_UP))
		return;
	ifaddr_for_each(ifa, dev, AF_INET)
	{
		if (!(ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED)))
			announce_twice(ifa);
	}
}

/* Another station says it has our address. */
static void
defend(struct ifaddr *ifa, const struct arp_packet *a)
{
	char text[IP_TEXT];
	nsec_t now = clock_now_ns();
	nsec_t last = __atomic_load_n(&ifa->conflict_ns, __ATOMIC_RELAXED);

	if (last && now - last < DEFEND_INTERVAL) {
		if (ifa->origin == IFA_DHCP || ifa->origin == IFA_LINKLOCAL)
			ifaddr_dad_done(ifa, true);
		return;
	}
	__atomic_store_n(&ifa->conflict_ns, now, __ATOMIC_RELAXED);
	log_warn("%s: %02x:%02x:%02x:%02x:%02x:%02x uses our address %s", ifa->dev->name,
	    a->sender_mac[0], a->sender_mac[1], a->sender_mac[2], a->sender_mac[3],
	    a->sender_mac[4], a->sender_mac[5], ip_format(text, &ifa->addr));
	announce(ifa->dev, ifa->addr.v4);
}

/* True: the packet is part of a conflict and says nothing we want to learn. */
static bool
is_conflict(struct netdev *dev, const struct arp_packet *a, const struct ip_addr *sender,
    const struct ip_addr *target)
{
	struct ifaddr *ifa = ifaddr_find(dev, sender);

	if (ifa) {
		if (ifa->flags & IFA_TENTATIVE)
			ifaddr_dad_done(ifa, true);
		else if (!(ifa->flags & IFA_DADFAILED))
			defend(ifa, a);
		return true;
	}
	if (!ip_is_unspecified(sender))
		return false;
	/* Somebody probes for an address that we are probing for (RFC 5227 2.1.1). */
	ifa = ifaddr_find(dev, target);
	if (ifa && ifa->flags & IFA_TENTATIVE && be16_get(a->op) == ARP_REQUEST)
		ifaddr_dad_done(ifa, true);
	return false;
}

/* ---- Receiving ------------------------------------------------------------------------- */

static bool
is_sound(const struct arp_packet *a, const struct ip_addr *sender)
{
	unsigned op = be16_get(a->op);

	return be16_get(a->hw) == ARP_ETHERNET && be16_get(a->proto) == ETHERTYPE_IP4 &&
	       a->hw_len == ETH_ALEN && a->proto_len == 4 &&
	       (op == ARP_REQUEST || op == ARP_REPLY) && !(a->sender_mac[0] & 1) &&
	       !ip_is_multicast(sender) && !ip_is_broadcast(sender) &&
	       !ip_is_loopback(sender);
}

static bool
is_neighbour(const struct netdev *dev, const struct ip_addr *addr)
{
	struct ifaddr *ifa;

	ifaddr_for_each(ifa, dev, AF_INET)
	{
		if (ip_prefix_match(addr, &ifa->peer, ifa->plen))
			return true;
	}
	return false;
}

/*
 * Do we speak for this address here? Linux's arp_ignore: 0, all of ours on every interface; 1, only the
 * interface's own; 2, and the asker in its net; 8, none.
 */
static bool
answers_for(
    const struct netdev *dev, const struct ip_addr *target, const struct ip_addr *sender)
{
	const struct ip4_dev *d = ip4_dev_of(dev);
	unsigned ignore = d ? d->conf.arp_ignore : 0;
	const struct ifaddr *ifa;

	if (!ifaddr_is_local(target) || ip_is_loopback(target) || ignore == 8)
		return false;
	if (!ignore)
		return true;
	ifa = ifaddr_find(dev, target);
	return ifa && (ignore == 1 || ip_prefix_match(sender, &ifa->addr, ifa->plen));
}

static void
learn(struct pkt *p, const struct arp_packet *a, const struct ip_addr *sender,
    const struct ip_addr *target, bool is_for_us)
{
	const struct ip4_dev *d = ip4_dev_of(p->dev);
	bool is_gratuitous = ip_equal(sender, target);
	unsigned how = NEIGH_UPD_OVERRIDE;

	if (ip_is_unspecified(sender))
		return;
	if (be16_get(a->op) == ARP_REPLY && is_for_us && !(p->flags & PKT_BROADCAST))
		how |= NEIGH_UPD_SOLICITED;
	if (is_neighbour(p->dev, sender) &&
	    ((is_for_us && be16_get(a->op) == ARP_REQUEST) ||
	        (is_gratuitous && d && d->conf.arp_accept)))
		how |= NEIGH_UPD_CREATE;
	neigh_update(p->dev, sender, a->sender_mac, how);
}

static void
take(struct pkt *p, const struct arp_packet *a)
{
	struct ip_addr sender =
	    ip_from_v4((be32){{a->sender[0], a->sender[1], a->sender[2], a->sender[3]}});
	struct ip_addr target =
	    ip_from_v4((be32){{a->target[0], a->target[1], a->target[2], a->target[3]}});
	bool is_for_us;

	if (!is_sound(a, &sender)) {
		pkt_drop(p, DROP_ARP_BAD);
		return;
	}
	if (!memcmp(a->sender_mac, p->dev->mac, ETH_ALEN)) {
		pkt_free(p); /* our own, from a switch that sends it back */
		return;
	}
	if (is_conflict(p->dev, a, &sender, &target)) {
		pkt_free(p);
		return;
	}
	is_for_us = answers_for(p->dev, &target, &sender);
	learn(p, a, &sender, &target, is_for_us);
	if (is_for_us && be16_get(a->op) == ARP_REQUEST)
		arp_send(p->dev, ARP_REPLY, target.v4, sender.v4, a->sender_mac,
		    a->sender_mac);
	pkt_free(p);
}

static void
arp_input(struct pkt *p)
{
	const struct arp_packet *a = pkt_need(p, sizeof(*a));

	if (!a || !does_arp(p->dev))
		pkt_drop(p, DROP_ARP_BAD);
	else
		take(p, a);
}

const struct ether_proto arp_ether_proto = {.name = "arp", .input = arp_input};

void
arp_init(void)
{
	static struct ifaddr_notifier addresses = {.event = on_address};
	static struct netdev_notifier interfaces = {.event = on_netdev};

	ifaddr_notify_add(&addresses);
	netdev_notify_add(&interfaces);
}
