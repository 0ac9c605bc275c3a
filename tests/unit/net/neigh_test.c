/*
 * net/neigh.c: the state table of RFC 4861 appendix C and what keeps the cache within its limits.
 * LINK: net/neigh.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/neigh.h"

#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/net_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static struct netdev *dev;
static unsigned solicits_multicast, solicits_unicast, unreachables;

static void
fake_solicit(struct neigh *n, const uint8_t *mac)
{
	if (mac)
		solicits_unicast++;
	else
		solicits_multicast++;
}

static void
fake_unreachable(struct neigh *n, struct pkt *list)
{
	for (struct pkt *p = list; p; p = p->next)
		unreachables++;
	pkt_free_list(list);
}

static nsec_t
thirty_seconds(const struct netdev *d)
{
	return 30 * SEC;
}

static nsec_t
one_second(const struct netdev *d)
{
	return 1 * SEC;
}

const struct neigh_ops arp_neigh_ops = {
    fake_solicit, fake_unreachable, thirty_seconds, one_second};
const struct neigh_ops nd_neigh_ops = {
    fake_solicit, fake_unreachable, thirty_seconds, one_second};

static const uint8_t mac_a[ETH_ALEN] = {2, 0, 0, 0, 0, 0xa};
static const uint8_t mac_b[ETH_ALEN] = {2, 0, 0, 0, 0, 0xb};

static void
setup(void)
{
	if (!dev) {
		fake_now_ns = 1000 * SEC;
		neigh_init();
		dev = fake_netdev(1);
	}
	fake_netdev_event(dev, NETDEV_EV_UNREGISTER);
	fake_rcu_run();
	fake_wire_clear();
	solicits_multicast = solicits_unicast = unreachables = 0;
}

static struct ip_addr
addr(unsigned n)
{
	return (struct ip_addr){
	    .b = {0xfe, 0x80, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
}

static struct pkt *
packet(void)
{
	return fake_pkt(dev, "0123456789012345678901234567890123456789", 40);
}

/* A fresh entry brought into a state by the ways that lead there. */
static struct neigh *
neigh_in(uint8_t state)
{
	struct ip_addr a = addr(1);
	struct neigh *n = neigh_get(dev, &a);

	switch (state) {
	case NEIGH_INCOMPLETE: (void)neigh_send(n, packet()); break;
	case NEIGH_REACHABLE:
		neigh_update(dev, &a, mac_a,
		    NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE | NEIGH_UPD_SOLICITED);
		break;
	case NEIGH_STALE:
		neigh_update(dev, &a, mac_a, NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE);
		break;
	case NEIGH_DELAY:
		n = (neigh_put(neigh_in(NEIGH_STALE)), n);
		(void)neigh_send(n, packet());
		break;
	case NEIGH_PROBE:
		n = (neigh_put(neigh_in(NEIGH_DELAY)), n);
		fake_net_timers_run(fake_now_ns + 5 * SEC);
		break;
	case NEIGH_PERMANENT: (void)neigh_set(dev, &a, mac_a, NEIGH_PERMANENT); break;
	default: break;
	}
	fake_wire_clear();
	solicits_multicast = solicits_unicast = 0;
	return n;
}

KTEST(neigh_helper_reaches_every_state)
{
	static const uint8_t states[] = {NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE,
	    NEIGH_DELAY, NEIGH_PROBE, NEIGH_PERMANENT};

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		struct neigh *n;

		setup();
		n = neigh_in(states[i]);
		CHECK_EQ(n->state, states[i]);
		neigh_put(n);
	}
}

/* RFC 4861 appendix C, the rows in which an advertisement comes. */
KTEST(neigh_advertisement_table_rfc4861_7_2_5)
{
	enum { S = NEIGH_UPD_SOLICITED, O = NEIGH_UPD_OVERRIDE };
	static const struct {
		uint8_t state;
		const uint8_t *mac;
		unsigned how;
		uint8_t new_state;
		const uint8_t *new_mac;
	} rows[] = {
	    {NEIGH_INCOMPLETE, NULL, S, NEIGH_INCOMPLETE, NULL},
	    {NEIGH_INCOMPLETE, mac_a, 0, NEIGH_STALE, mac_a},
	    {NEIGH_INCOMPLETE, mac_a, O, NEIGH_STALE, mac_a},
	    {NEIGH_INCOMPLETE, mac_a, S, NEIGH_REACHABLE, mac_a},
	    {NEIGH_INCOMPLETE, mac_a, S | O, NEIGH_REACHABLE, mac_a},
	    {NEIGH_STALE, mac_a, S, NEIGH_REACHABLE, mac_a},
	    {NEIGH_DELAY, mac_a, S, NEIGH_REACHABLE, mac_a},
	    {NEIGH_PROBE, mac_a, S, NEIGH_REACHABLE, mac_a},
	    {NEIGH_PROBE, NULL, S, NEIGH_REACHABLE, mac_a},
	    {NEIGH_REACHABLE, mac_b, S, NEIGH_STALE, mac_a},
	    {NEIGH_REACHABLE, mac_b, 0, NEIGH_STALE, mac_a},
	    {NEIGH_STALE, mac_b, S, NEIGH_STALE, mac_a},
	    {NEIGH_DELAY, mac_b, S, NEIGH_DELAY, mac_a},
	    {NEIGH_PROBE, mac_b, S, NEIGH_PROBE, mac_a},
	    {NEIGH_REACHABLE, mac_b, S | O, NEIGH_REACHABLE, mac_b},
	    {NEIGH_STALE, mac_b, S | O, NEIGH_REACHABLE, mac_b},
	    {NEIGH_PROBE, mac_b, S | O, NEIGH_REACHABLE, mac_b},
	    {NEIGH_REACHABLE, mac_a, O, NEIGH_REACHABLE, mac_a},
	    {NEIGH_STALE, mac_a, O, NEIGH_STALE, mac_a},
	    {NEIGH_PROBE, mac_a, O, NEIGH_PROBE, mac_a},
	    {NEIGH_REACHABLE, mac_b, O, NEIGH_STALE, mac_b},
	    {NEIGH_DELAY, mac_b, O, NEIGH_STALE, mac_b},
	    {NEIGH_PROBE, mac_b, O, NEIGH_STALE, mac_b},
	    {NEIGH_STALE, mac_b, O, NEIGH_STALE, mac_b},
	    {NEIGH_PERMANENT, mac_b, S | O, NEIGH_PERMANENT, mac_a},
	    {NEIGH_NONE, mac_a, O, NEIGH_STALE, mac_a},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a = addr(1);
		struct neigh *n;

		setup();
		n = neigh_in(rows[i].state);
		neigh_update(dev, &a, rows[i].mac, rows[i].how);
		CHECK_EQ(n->state + 1000 * i, rows[i].new_state + 1000 * i);
		if (rows[i].new_mac)
			CHECK_EQ(memcmp(n->mac, rows[i].new_mac, ETH_ALEN), 0);
		neigh_put(n);
	}
}

KTEST(neigh_waiting_packets_go_when_it_answers)
{
	struct ether_header eth;
	struct ip_addr a = addr(1);
	struct neigh *n;
	struct pkt *p;

	setup();
	n = neigh_get(dev, &a);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(neigh_send(n, packet()), OK);
	CHECK_EQ(solicits_multicast, 1);
	CHECK_EQ(fake_wire_count(), 0);
	neigh_update(dev, &a, mac_b, NEIGH_UPD_OVERRIDE | NEIGH_UPD_SOLICITED);
	CHECK_EQ(fake_wire_count(), 3);
	p = fake_wire_pop(&eth);
	CHECK_EQ(memcmp(eth.dst, mac_b, ETH_ALEN), 0);
	CHECK_EQ(be16_get(eth.type), ETHERTYPE_IP6);
	pkt_free(p);
	neigh_put(n);
}

KTEST(neigh_incomplete_fails_after_three_solicitations_rfc4861_7_2_2)
{
	struct ip_addr a = addr(1);
	struct neigh *n;

	setup();
	n = neigh_get(dev, &a);
	(void)neigh_send(n, packet());
	(void)neigh_send(n, packet());
	fake_net_timers_run(fake_now_ns + 2900 * NSEC_PER_MSEC);
	CHECK_EQ(solicits_multicast, 3);
	CHECK_EQ(unreachables, 0);
	fake_net_timers_run(fake_now_ns + SEC);
	CHECK_EQ(solicits_multicast, 3);
	CHECK_EQ(unreachables, 2);
	CHECK_EQ(n->state, NEIGH_FAILED);
	(void)neigh_send(n, packet()); /* begins again */
	CHECK_EQ(n->state, NEIGH_INCOMPLETE);
	CHECK_EQ(solicits_multicast, 4);
	neigh_put(n);
}

KTEST(neigh_reachable_goes_stale_without_confirmation_rfc4861_7_3_3)
{
	struct neigh *n;

	setup();
	n = neigh_in(NEIGH_REACHABLE);
	fake_net_timers_run(fake_now_ns + 29 * SEC);
	CHECK_EQ(n->state, NEIGH_REACHABLE);
	neigh_confirm(n);
	fake_net_timers_run(fake_now_ns + 29 * SEC);
	CHECK_EQ(n->state, NEIGH_REACHABLE);
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	CHECK_EQ(n->state, NEIGH_STALE);
	CHECK_EQ(fake_net_timers_armed(), 0);
	neigh_put(n);
}

KTEST(neigh_delay_then_three_unicast_probes_then_failed_rfc4861_7_3_3)
{
	struct neigh *n;

	setup();
	n = neigh_in(NEIGH_STALE);
	(void)neigh_send(n, packet());
	CHECK_EQ(n->state, NEIGH_DELAY);
	CHECK_EQ(fake_wire_count(), 1);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	CHECK_EQ(n->state, NEIGH_PROBE);
	CHECK_EQ(solicits_unicast, 1);
	(void)neigh_send(n, packet()); /* still goes there */
	CHECK_EQ(fake_wire_count(), 2);
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	CHECK_EQ(solicits_unicast, 3);
	fake_net_timers_run(fake_now_ns + SEC);
	CHECK_EQ(n->state, NEIGH_FAILED);
	CHECK_EQ(solicits_multicast, 0);
	neigh_put(n);
}

KTEST(neigh_confirmed_by_upper_layer_is_not_probed_rfc4861_7_3_1)
{
	struct neigh *n;

	setup();
	n = neigh_in(NEIGH_DELAY);
	fake_net_timers_run(fake_now_ns + 4 * SEC);
	neigh_confirm(n);
	fake_net_timers_run(fake_now_ns + SEC);
	CHECK_EQ(n->state, NEIGH_REACHABLE);
	CHECK_EQ(solicits_unicast, 0);
	neigh_put(n);
}

KTEST(neigh_waiting_queue_keeps_the_newest_rfc4861_7_2_2)
{
	struct ip_addr a = addr(1);
	struct neigh *n;
	unsigned before = fake_drops[DROP_NEIGH_QUEUE];

	setup();
	n = neigh_get(dev, &a);
	for (unsigned i = 0; i < NEIGH_QUEUE + 5; i++)
		CHECK_EQ(neigh_send(n, packet()), OK);
	CHECK_EQ(n->waiting.count, NEIGH_QUEUE);
	CHECK_EQ(fake_drops[DROP_NEIGH_QUEUE] - before, 5);
	neigh_put(n);
}

KTEST(neigh_packets_waiting_for_all_are_limited)
{
	struct neigh *n;
	long before;

	setup();
	before = fake_pkts_live;
	for (unsigned i = 0; i < 2 * NEIGH_MAX_WAITING / NEIGH_QUEUE; i++) {
		struct ip_addr a = addr(i);

		n = neigh_get(dev, &a);
		for (unsigned k = 0; k < NEIGH_QUEUE; k++)
			(void)neigh_send(n, packet());
		neigh_put(n);
	}
	CHECK_EQ(fake_pkts_live - before, NEIGH_MAX_WAITING);
	setup();
	CHECK_EQ(fake_pkts_live, before);
}

KTEST(neigh_full_table_lets_the_unused_go_first)
{
	struct ip_addr used = addr(0), a;
	struct neigh *n;

	setup();
	for (unsigned i = 0; i < NEIGH_MAX_DEV; i++) {
		a = addr(i);
		neigh_update(dev, &a, mac_a, NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE);
	}
	CHECK_EQ(dev->num_neighs, NEIGH_MAX_DEV);
	fake_now_ns += SEC;
	n = neigh_find(dev, &used);
	(void)neigh_send(n, packet());
	neigh_put(n);
	a = addr(60000);
	neigh_put(neigh_get(dev, &a));
	CHECK_EQ(dev->num_neighs, NEIGH_MAX_DEV);
	n = neigh_find(dev, &used);
	CHECK(n);
	neigh_put(n);
	a = addr(1);
	CHECK(!neigh_find(dev, &a));
	setup();
	CHECK_EQ(dev->num_neighs, 0);
}

KTEST(neigh_entries_beyond_some_age_unless_held_or_used)
{
	struct ip_addr used = addr(0), held = addr(1), a;
	struct neigh *n, *keep;

	setup();
	for (unsigned i = 0; i < 1000; i++) {
		a = addr(i);
		neigh_update(dev, &a, mac_a, NEIGH_UPD_CREATE | NEIGH_UPD_OVERRIDE);
	}
	keep = neigh_find(dev, &held);
	for (unsigned i = 0; i < 9; i++) {
		n = neigh_find(dev, &used);
		(void)neigh_send(n, packet());
		neigh_put(n);
		fake_net_timers_run(fake_now_ns + 10 * SEC);
		if (i == 3)
			CHECK_EQ(dev->num_neighs, 1000);
	}
	CHECK_EQ(dev->num_neighs, 128); /* KEEP */
	CHECK(!keep->is_dead);
	neigh_put(keep);
	n = neigh_find(dev, &used);
	CHECK(n);
	neigh_put(n);
	setup();
}

KTEST(neigh_permanent_survives_down_and_is_not_evicted)
{
	struct ip_addr a = addr(1);
	struct neigh *n;

	setup();
	n = neigh_in(NEIGH_PERMANENT);
	neigh_put(n);
	fake_netdev_event(dev, NETDEV_EV_DOWN);
	n = neigh_find(dev, &a);
	CHECK(n && n->state == NEIGH_PERMANENT);
	neigh_put(n);
	CHECK_EQ(neigh_del(dev, &a), OK);
	CHECK_EQ(neigh_del(dev, &a), ERR_NOENT);
}

KTEST(neigh_removed_entry_sends_by_its_successor)
{
	struct ip_addr a = addr(1);
	struct neigh *n, *now;

	setup();
	n = neigh_in(NEIGH_REACHABLE);
	neigh_flush_dev(dev);
	CHECK(n->is_dead);
	CHECK_EQ(neigh_send(n, packet()), OK);
	CHECK_EQ(solicits_multicast, 1);
	now = neigh_find(dev, &a);
	CHECK(now && now != n && now->state == NEIGH_INCOMPLETE);
	neigh_put(now);
	neigh_put(n);
}

KTEST(neigh_router_flag_follows_advertisements_only_rfc4861_7_2_5)
{
	struct ip_addr a = addr(1);
	struct neigh *n;

	setup();
	n = neigh_in(NEIGH_STALE);
	neigh_update(dev, &a, mac_a, NEIGH_UPD_OVERRIDE | NEIGH_UPD_ISROUTER);
	CHECK(n->is_router);
	neigh_update(dev, &a, mac_a, NEIGH_UPD_OVERRIDE); /* a solicitation */
	CHECK(n->is_router);
	neigh_update(dev, &a, mac_a, NEIGH_UPD_OVERRIDE | NEIGH_UPD_ROUTER_FLAG);
	CHECK(!n->is_router);
	neigh_put(n);
}

KTEST(neigh_survives_no_memory_and_leaves_nothing)
{
	struct ip_addr a = addr(7);
	long pkts;

	setup();
	fake_rcu_run();
	pkts = fake_pkts_live;
	fake_kmalloc_fail_nth(1);
	CHECK(!neigh_get(dev, &a));
	neigh_update(dev, &a, mac_a, NEIGH_UPD_CREATE);
	setup();
	fake_net_timers_run(fake_now_ns + 20 * SEC); /* nothing is left that could age */
	fake_rcu_run();
	CHECK_EQ(fake_kmalloc_live, 0);
	CHECK_EQ(fake_pkts_live, pkts);
	CHECK_EQ(fake_net_timers_armed(), 0);
	CHECK_EQ(dev->refs, 1);
}
