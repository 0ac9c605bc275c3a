/*
 * ARP, forwarding, addresses, routes and groups of IPv4 over a fake wire (tests/fakes/ip4_env.h).
 * LINK: net/ip.c net/ip4.c net/ip4_options.c net/ip4_out.c net/ip4_frag.c net/ip4_fwd.c
 * net/icmp4.c net/icmp_limit.c net/arp.c net/igmp.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/neigh.c net/route.c net/dst.c net/fib.c
 * net/ifaddr.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/ip4_env.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/mutex.c tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c
 * tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/ip4.h"

#include <stdlib.h>

#include "lib/fmt.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip_mc_priv.h"
#include "net/icmp4.h"
#include "net/ifaddr.h"
#include "net/neigh.h"
#include "net/route.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip4_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static struct ip4_out out;
static const uint8_t stranger[6] = {2, 0, 0, 0, 0, 0x77};

static struct dst *
dst_to(const char *text)
{
	struct flow f = {.dst = ip4_addr(text), .src = ip4_any};
	struct dst *d;

	return route_output(&f, &d) == OK ? d : NULL;
}

/* ---- Forwarding ---------------------------------------------------------------------------- */

KTEST(forwarding_takes_one_hop_and_keeps_the_rest_rfc1812_5_3_1)
{
	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = true;
	ip4_env_input(&(struct ip4_in){
	    .dst = "192.168.5.99", .ttl = 9, .id = 77, .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK(out.dev == ip4_env_dev2);
	CHECK_EQ(out.h.ttl, 8);
	CHECK_EQ(be16_get(out.h.id), 77);
	CHECK(!memcmp(out.data, "12345678", 8));
	ip4_env_dev->is_forwarding4 = false;
}

KTEST(forwarding_errors_go_to_the_sender_rfc1812_5)
{
	static const uint8_t big[1500];

	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = true;
	ip4_env_input(&(struct ip4_in){
	    .dst = "192.168.5.99", .ttl = 1, .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_TIME_EXCEEDED && out.data[1] == 0);
	ip4_env_dev2->mtu = 1000;
	fake_netdev_event(ip4_env_dev2, NETDEV_EV_MTU);
	ip4_env_input(&(struct ip4_in){
	    .dst = "192.168.5.99", .frag = IP4_DF, .data = big, .len = 1400});
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_UNREACH && out.data[1] == ICMP4_FRAG_NEEDED);
	CHECK_EQ(out.data[6] << 8 | out.data[7], 1000);
	ip4_env_input(&(struct ip4_in){.dst = "192.168.5.99", .data = big, .len = 1400});
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.len, 976);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.len, 1400 - 976);
	ip4_env_dev2->mtu = 1500;
	fake_netdev_event(ip4_env_dev2, NETDEV_EV_MTU);
	ip4_env_dev->is_forwarding4 = false;
}

KTEST(forwarding_never_of_broadcasts_or_link_local_rfc2644_rfc3927_7)
{
	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = true;
	ip4_env_input(
	    &(struct ip4_in){.dst = "192.168.5.255", .data = "12345678", .len = 8});
	ip4_env_input(
	    &(struct ip4_in){.dst = "169.254.1.1", .data = "12345678", .len = 8});
	ip4_env_input(&(struct ip4_in){
	    .src = "169.254.1.1", .dst = "192.168.5.99", .data = "12345678", .len = 8});
	ip4_env_input(&(struct ip4_in){
	    .dst = "192.168.5.99", .data = "12345678", .len = 8, .flags = PKT_BROADCAST});
	CHECK_EQ(fake_wire_count(), 0);
	ip4_env_dev->is_forwarding4 = false;
}

KTEST(forwarding_back_sends_a_redirect_rfc1812_5_2_7_2)
{
	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = true;
	ip4_env_input(&(struct ip4_in){.dst = "8.8.8.8", .data = "12345678", .len = 8});
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_REDIRECT && out.data[1] == 1);
	CHECK(!memcmp(out.data + 4, "\x0a\0\0\xfe", 4));
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.h.proto, IP_PROTO_UDP);
	ip4_env_dev->is_forwarding4 = false;
}

KTEST(reverse_path_is_checked_when_asked_rfc3704_2_2)
{
	ip4_env_setup();
	ip4_dev_of(ip4_env_dev)->conf.rp_filter = 1;
	ip4_env_input(
	    &(struct ip4_in){.src = "192.168.5.77", .data = "12345678", .len = 8});
	CHECK_EQ(ip4_notes.udp_packets, 0);
	ip4_dev_of(ip4_env_dev)->conf.rp_filter = 2;
	ip4_env_input(
	    &(struct ip4_in){.src = "192.168.5.77", .data = "12345678", .len = 8});
	CHECK_EQ(ip4_notes.udp_packets, 1);
	ip4_dev_of(ip4_env_dev)->conf.rp_filter = 0;
}

/* ---- ARP ------------------------------------------------------------------------------------ */

static uint8_t arp[28];
static struct ether_header eth;

KTEST(arp_request_for_us_is_answered_and_the_asker_learnt_rfc826)
{
	struct ip_addr asker = ip4_addr("10.0.0.77");
	struct neigh *n;

	ip4_env_setup();
	ip4_env_arp(1, stranger, "10.0.0.77", "10.0.0.1");
	CHECK(ip4_env_arp_output(arp, &eth));
	CHECK_EQ(arp[7], 2);
	CHECK(!memcmp(arp + 14, "\x0a\0\0\x01", 4) && !memcmp(arp + 18, stranger, 6));
	CHECK(!memcmp(eth.dst, stranger, 6));
	n = neigh_find(ip4_env_dev, &asker);
	CHECK(n);
	neigh_put(n);
}

KTEST(arp_for_others_is_not_answered_and_nobody_learnt)
{
	struct ip_addr asker = ip4_addr("10.0.0.78");

	ip4_env_setup();
	ip4_env_arp(1, stranger, "10.0.0.78", "10.0.0.5");
	ip4_env_arp(2, stranger, "10.0.0.78", "10.0.0.5");
	CHECK(!ip4_env_arp_output(arp, &eth));
	CHECK(!neigh_find(ip4_env_dev, &asker));
}

KTEST(arp_probe_for_our_address_is_answered_rfc5227_2_1_1)
{
	ip4_env_setup();
	ip4_env_arp(1, stranger, "0.0.0.0", "10.0.0.1");
	CHECK(ip4_env_arp_output(arp, &eth));
	CHECK_EQ(arp[7], 2);
}

KTEST(arp_nonsense_is_dropped)
{
	static const uint8_t group[6] = {1, 0, 0, 0, 0, 1};

	ip4_env_setup();
	ip4_env_arp(1, group, "10.0.0.77", "10.0.0.1");
	ip4_env_arp(3, stranger, "10.0.0.77", "10.0.0.1");
	ip4_env_arp(1, stranger, "224.0.0.1", "10.0.0.1");
	ip4_env_arp(1, stranger, "255.255.255.255", "10.0.0.1");
	CHECK_EQ(fake_drops[DROP_ARP_BAD], 4);
	CHECK(!ip4_env_arp_output(arp, &eth));
}

KTEST(arp_conflict_is_defended_once_in_ten_seconds_rfc5227_2_4)
{
	ip4_env_setup();
	fake_now_ns += 20 * SEC;
	ip4_env_arp(2, stranger, "10.0.0.1", "10.0.0.1");
	CHECK(ip4_env_arp_output(arp, &eth));
	CHECK(
	    !memcmp(arp + 14, "\x0a\0\0\x01", 4) && !memcmp(arp + 24, "\x0a\0\0\x01", 4));
	CHECK(!memcmp(eth.dst, ether_broadcast, 6));
	ip4_env_arp(2, stranger, "10.0.0.1", "10.0.0.1");
	CHECK(!ip4_env_arp_output(arp, &eth));
	fake_now_ns += 11 * SEC;
	ip4_env_arp(2, stranger, "10.0.0.1", "10.0.0.1");
	CHECK(ip4_env_arp_output(arp, &eth));
}

static struct ifaddr *
probed(const char *text)
{
	struct ifaddr_config c = {.addr = ip4_addr(text),
	    .broadcast = ip4_any,
	    .plen = 24,
	    .origin = IFA_LINKLOCAL,
	    .flags = IFA_TENTATIVE,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};
	struct ip_addr a = c.addr;

	mutex_lock(&rtnl_mutex);
	if (ifaddr_add(ip4_env_dev, &c, true) != OK)
		abort();
	mutex_unlock(&rtnl_mutex);
	return ifaddr_find(ip4_env_dev, &a);
}

static void
forget(const char *text)
{
	struct ip_addr a = ip4_addr(text);

	mutex_lock(&rtnl_mutex);
	(void)ifaddr_del(ip4_env_dev, &a, 24);
	mutex_unlock(&rtnl_mutex);
	fake_rcu_run();
}

KTEST(address_is_probed_three_times_then_announced_twice_rfc5227_2_1_2_3)
{
	unsigned probes = 0, announcements = 0;
	struct ifaddr *ifa;

	ip4_env_setup();
	ifa = probed("10.0.0.44");
	CHECK(ifa && ifa->flags & IFA_TENTATIVE);
	CHECK(!ifaddr_is_local(&ifa->addr));
	for (unsigned i = 0; i < 200; i++) {
		fake_net_timers_run(fake_now_ns + SEC / 10);
		fake_net_work_run();
	}
	CHECK(!(ifa->flags & IFA_TENTATIVE));
	while (ip4_env_arp_output(arp, &eth)) {
		if (memcmp(arp + 24, "\x0a\0\0\x2c", 4))
			continue;
		probes += !memcmp(arp + 14, "\0\0\0\0", 4);
		announcements += !memcmp(arp + 14, "\x0a\0\0\x2c", 4);
	}
	CHECK_EQ(probes, 3);
	CHECK_EQ(announcements, 2);
	forget("10.0.0.44");
}

KTEST(address_that_another_has_or_probes_for_is_not_taken_rfc5227_2_1_1)
{
	struct ip_addr a = ip4_addr("10.0.0.45");

	for (unsigned i = 0; i < 2; i++) {
		ip4_env_setup();
		(void)probed("10.0.0.45");
		fake_net_timers_run(fake_now_ns + 2 * SEC);
		ip4_env_arp(
		    i ? 1 : 2, stranger, i ? "0.0.0.0" : "10.0.0.45", "10.0.0.45");
		fake_net_work_run();
		CHECK(!ifaddr_find(ip4_env_dev, &a));
		fake_rcu_run();
	}
}

KTEST(neighbour_that_does_not_answer_gives_host_unreachable_rfc1122_2_3_2_2)
{
	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = true;
	ip4_env_input(&(struct ip4_in){.src = "192.168.5.99",
	    .dst = "10.0.0.66",
	    .data = "12345678",
	    .len = 8,
	    .dev = ip4_env_dev2});
	ip4_env_dev2->is_forwarding4 = true;
	ip4_env_input(&(struct ip4_in){.src = "192.168.5.99",
	    .dst = "10.0.0.66",
	    .data = "12345678",
	    .len = 8,
	    .dev = ip4_env_dev2});
	fake_net_timers_run(fake_now_ns + 10 * SEC);
	CHECK(ip4_env_output(&out));
	CHECK(out.data[0] == ICMP4_UNREACH && out.data[1] == ICMP4_HOST);
	CHECK(out.dev == ip4_env_dev2);
	ip4_env_dev->is_forwarding4 = ip4_env_dev2->is_forwarding4 = false;
}

/* ---- Addresses and routes ------------------------------------------------------------------ */

KTEST(address_brings_and_takes_its_routes)
{
	struct ifaddr_config c = {.addr = ip4_addr("172.16.3.1"),
	    .broadcast = ip4_addr("172.16.3.255"),
	    .plen = 24,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};
	struct dst *d;

	ip4_env_setup();
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(ifaddr_add(ip4_env_dev2, &c, true), OK);
	CHECK_EQ(ifaddr_add(ip4_env_dev2, &c, true), ERR_EXIST);
	mutex_unlock(&rtnl_mutex);
	d = dst_to("172.16.3.9");
	CHECK(d && d->dev == ip4_env_dev2 && be32_get(d->prefsrc.v4) == 0xac100301);
	dst_put(d);
	d = dst_to("172.16.3.1");
	CHECK(d && d->type == ROUTE_LOCAL && d->dev == loopback_dev);
	dst_put(d);
	d = dst_to("172.16.3.255");
	CHECK(d && d->type == ROUTE_BROADCAST);
	dst_put(d);
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(ifaddr_del(ip4_env_dev2, &c.addr, 24), OK);
	mutex_unlock(&rtnl_mutex);
	d = dst_to("172.16.3.9");
	CHECK(d && d->dev == ip4_env_dev); /* by the default route again */
	dst_put(d);
	fake_rcu_run();
}

KTEST(address_ends_with_its_lifetime)
{
	struct ifaddr_config c = {.addr = ip4_addr("172.16.4.1"),
	    .broadcast = ip4_any,
	    .plen = 24,
	    .valid_ns = 20 * SEC,
	    .preferred_ns = 10 * SEC};

	ip4_env_setup();
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(ifaddr_add(ip4_env_dev2, &c, true), OK);
	mutex_unlock(&rtnl_mutex);
	fake_net_timers_run(fake_now_ns + 11 * SEC);
	fake_net_work_run();
	CHECK(ifaddr_find(NULL, &c.addr)->flags & IFA_DEPRECATED);
	fake_net_timers_run(fake_now_ns + 10 * SEC);
	fake_net_work_run();
	CHECK(!ifaddr_find(NULL, &c.addr));
	fake_rcu_run();
}

KTEST(routes_are_refused_as_linux_does)
{
	struct route_config r = {.dst = ip4_addr("1.2.3.0"),
	    .plen = 24,
	    .type = ROUTE_UNICAST,
	    .gateway = ip4_addr("10.0.0.9"),
	    .has_gateway = true};
	struct route_config bad = r;
	struct dst *d;

	ip4_env_setup();
	mutex_lock(&rtnl_mutex);
	bad.dst = ip4_addr("1.2.3.4");
	CHECK_EQ(route_add(&bad, false, false), ERR_INVAL);
	bad = r;
	bad.gateway = ip4_addr("9.9.9.9");
	CHECK_EQ(route_add(&bad, false, false), ERR_NETUNREACH);
	CHECK_EQ(route_add(&r, true, false), OK);
	CHECK_EQ(route_add(&r, true, false), ERR_EXIST);
	r.metric = 5;
	r.gateway = ip4_addr("10.0.0.10");
	CHECK_EQ(route_add(&r, true, false), OK);
	d = dst_to("1.2.3.77");
	CHECK(d && be32_get(d->next_hop.v4) == 0x0a000009);
	dst_put(d);
	bad = (struct route_config){.dst = r.dst, .plen = 24};
	CHECK_EQ(route_del(&bad), OK);
	d = dst_to("1.2.3.77");
	CHECK(d && be32_get(d->next_hop.v4) == 0x0a00000a);
	dst_put(d);
	CHECK_EQ(route_del(&bad), OK);
	CHECK_EQ(route_del(&bad), ERR_SRCH);
	r = (struct route_config){
	    .dst = r.dst, .plen = 24, .type = ROUTE_UNREACHABLE, .metric = 1};
	CHECK_EQ(route_add(&r, true, false), OK);
	CHECK(!dst_to("1.2.3.77"));
	CHECK_EQ(route_del(&bad), OK);
	mutex_unlock(&rtnl_mutex);
	fake_rcu_run();
}

KTEST(routes_of_routers_are_limited_and_leave_the_users_own_alone)
{
	struct route_config own = {.dst = ip4_addr("1.2.4.0"),
	                        .plen = 24,
	                        .type = ROUTE_UNICAST},
	                    r;
	unsigned n = 0;

	ip4_env_setup();
	own.dev = ip4_env_dev2;
	r = own;
	r.is_learned = true;
	r.valid_ns = 5 * SEC;
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(route_add(&own, false, false), OK);
	CHECK_EQ(route_add(&r, false, true), ERR_EXIST);
	CHECK_EQ(route_del(&r), ERR_SRCH);
	for (; n < 1000; n++) {
		r.dst = ip4_addr("2.0.0.0");
		r.dst.b[13] = (uint8_t)(n >> 8);
		r.dst.b[14] = (uint8_t)n;
		if (route_add(&r, false, true) != OK)
			break;
		CHECK_EQ(route_add(&r, false, true), OK); /* told again */
	}
	CHECK_EQ(n, ROUTE_LEARNED_MAX);
	r.dst = ip4_addr("2.0.0.0");
	CHECK_EQ(route_add(&r, false, true), OK);
	CHECK_EQ(route_del(&r), OK);
	r.dst = ip4_addr("3.0.0.0");
	CHECK_EQ(route_add(&r, false, true), OK);
	CHECK_EQ(route_del(&own), OK);
	mutex_unlock(&rtnl_mutex);
	fake_net_timers_run(fake_now_ns + 6 * SEC);
	fake_net_work_run();
	CHECK_EQ(ip4_env_dev2->num_learned_routes, 0);
	fake_rcu_run();
}

KTEST(route_with_a_lifetime_ends)
{
	struct route_config r = {.dst = ip4_addr("1.2.4.0"),
	    .plen = 24,
	    .type = ROUTE_UNICAST,
	    .dev = NULL,
	    .valid_ns = 5 * SEC};
	struct dst *d;

	ip4_env_setup();
	r.dev = ip4_env_dev2;
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(route_add(&r, true, false), OK);
	mutex_unlock(&rtnl_mutex);
	d = dst_to("1.2.4.1");
	CHECK(d && d->dev == ip4_env_dev2);
	dst_put(d);
	fake_net_timers_run(fake_now_ns + 6 * SEC);
	fake_net_work_run();
	d = dst_to("1.2.4.1");
	CHECK(d && d->dev == ip4_env_dev);
	dst_put(d);
	fake_rcu_run();
}

KTEST(interface_that_goes_down_takes_routes_and_cached_ways_and_up_brings_them_back)
{
	struct dst *d;

	ip4_env_setup();
	d = dst_to("192.168.5.99");
	CHECK(d && d->dev == ip4_env_dev2);
	ip4_env_dev2->flags &= ~(unsigned)NETDEV_UP;
	fake_netdev_event(ip4_env_dev2, NETDEV_EV_DOWN);
	CHECK(!dst_is_valid(d) && d->dev == loopback_dev);
	dst_put(d);
	d = dst_to("192.168.5.99");
	CHECK(d && d->dev == ip4_env_dev);
	dst_put(d);
	ip4_env_dev2->flags |= NETDEV_UP;
	fake_netdev_event(ip4_env_dev2, NETDEV_EV_UP);
	d = dst_to("192.168.5.99");
	CHECK(d && d->dev == ip4_env_dev2);
	dst_put(d);
	fake_rcu_run();
}

KTEST(destination_cache_is_bounded)
{
	long before;

	ip4_env_setup();
	fake_rcu_run();
	before = fake_kmalloc_live;
	for (unsigned i = 0; i < 50000; i++) {
		struct flow f = {
		    .dst = ip_from_v4(be32_of(0x08000000 + i * 77)), .src = ip4_any};
		struct dst *d;

		CHECK_EQ(route_output(&f, &d), OK);
		dst_put(d);
		if (i % 1000 == 0)
			fake_rcu_run();
	}
	fake_rcu_run();
	CHECK(fake_kmalloc_live - before <= 1024 * 8 + 100);
}

KTEST(destinations_nobody_asks_for_are_forgotten_unless_held)
{
	struct flow f = {.dst = ip4_addr("8.8.9.9"), .src = ip4_any};
	struct dst *held;
	long before;

	ip4_env_setup();
	fake_net_timers_run(fake_now_ns + 60 * SEC);
	fake_rcu_run();
	before = fake_kmalloc_live;
	CHECK_EQ(route_output(&f, &held), OK);
	for (unsigned i = 0; i < 5000; i++) {
		struct flow g = {
		    .dst = ip_from_v4(be32_of(0x09000000 + i)), .src = ip4_any};
		struct dst *d;

		CHECK_EQ(route_output(&g, &d), OK);
		dst_put(d);
	}
	fake_rcu_run();
	CHECK(fake_kmalloc_live - before > 4000);
	fake_net_timers_run(fake_now_ns + 60 * SEC);
	fake_rcu_run();
	CHECK_EQ(fake_kmalloc_live - before, 1);
	/* News of the path still reach who holds it. */
	dst_learn_mtu(&f.dst, 0, 1000);
	CHECK_EQ(dst_mtu(held), 1000);
	dst_put(held);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

KTEST(igmp_joins_and_leaves_are_reported_twice_in_version_3_rfc3376_5_1)
{
	struct ip_addr group = ip4_addr("239.9.9.9");
	unsigned joins = 0, leaves = 0;

	ip4_env_setup();
	CHECK_EQ(ip_mc_join(ip4_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	ip_mc_leave(ip4_env_dev, &group);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	while (ip4_env_output(&out)) {
		CHECK_EQ(out.h.proto, IP_PROTO_IGMP);
		CHECK_EQ(out.h.ttl, 1);
		CHECK(!memcmp(out.options, "\x94\x04\0\0", 4));
		CHECK(!memcmp(&out.h.dst, "\xe0\0\0\x16", 4));
		CHECK_EQ(csum_finish(csum_add(0, out.data, out.len)), 0);
		CHECK_EQ(out.data[0], 0x22);
		joins += out.data[8] == 4;
		leaves += out.data[8] == 3;
	}
	CHECK_EQ(joins, 2);
	CHECK_EQ(leaves, 2);
}

static void
query_in(const char *group, unsigned code, size_t n)
{
	uint8_t m[12] = {0x11, (uint8_t)code};
	be32 g = ip4_of(group);
	be16 csum;

	memcpy(m + 4, &g, 4);
	csum = be16_of(csum_finish(csum_add(0, m, n)));
	memcpy(m + 2, &csum, 2);
	ip4_env_input(&(struct ip4_in){
	    .dst = "224.0.0.1", .proto = IP_PROTO_IGMP, .ttl = 1, .data = m, .len = n});
}

KTEST(igmp_answers_old_queriers_in_their_version_rfc3376_7_2)
{
	struct ip_addr group = ip4_addr("239.9.9.8");

	ip4_env_setup();
	CHECK_EQ(ip_mc_join(ip4_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	fake_wire_clear();
	query_in("0.0.0.0", 10, 8); /* version 2 */
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.data[0], 0x16);
	CHECK(!memcmp(&out.h.dst, &group.v4, 4));
	ip_mc_leave(ip4_env_dev, &group);
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.data[0], 0x17);
	CHECK(!memcmp(&out.h.dst, "\xe0\0\0\x02", 4));
	fake_net_timers_run(fake_now_ns + 500 * SEC);
}

KTEST(igmp_general_query_is_answered_in_one_report_within_its_time_rfc3376_5_2)
{
	struct ip_addr a = ip4_addr("239.9.9.1"), b = ip4_addr("239.9.9.2");

	ip4_env_setup();
	CHECK_EQ(ip_mc_join(ip4_env_dev, &a), OK);
	CHECK_EQ(ip_mc_join(ip4_env_dev, &b), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	fake_wire_clear();
	query_in("0.0.0.0", 100, 12);
	fake_net_timers_run(fake_now_ns + 11 * SEC);
	CHECK_EQ(fake_wire_count(), 1);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.len, 8 + 2 * 8);
	CHECK_EQ(out.data[7], 2);
	CHECK_EQ(out.data[8], 2); /* MODE_IS_EXCLUDE */
	CHECK_EQ(out.data[16], 2);
	ip_mc_leave(ip4_env_dev, &a);
	ip_mc_leave(ip4_env_dev, &b);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
}

/* A datagram to 239.9.9.7. */
static unsigned
delivered_from(const char *src)
{
	unsigned before = ip4_notes.udp_packets;

	ip4_env_input(
	    &(struct ip4_in){.src = src, .dst = "239.9.9.7", .data = "x", .len = 1});
	return ip4_notes.udp_packets - before;
}

KTEST(igmp_sources_are_reported_and_filter_what_comes_rfc3376_3_2_5_1)
{
	struct ip_addr group = ip4_addr("239.9.9.7");
	struct ip_addr s[2] = {ip4_addr("10.0.0.21"), ip4_addr("10.0.0.22")};
	struct mc_filter both = {true, 2, s}, not_first = {false, 1, s};

	ip4_env_setup();
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, NULL, &both), OK);
	fake_net_timers_run(fake_now_ns + 1);
	CHECK(ip4_env_output(&out));
	CHECK_EQ(out.len, 8 + 8 + 8);
	CHECK(!memcmp(out.data + 8, "\5\0\0\2\357\11\11\7\12\0\0\25\12\0\0\26", 16));
	CHECK_EQ(delivered_from("10.0.0.21"), 1);
	CHECK_EQ(delivered_from("10.0.0.23"), 0);
	/* Another member wants all but the first: the first member still wants it. */
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, NULL, &not_first), OK);
	fake_net_timers_run(fake_now_ns + 1);
	CHECK(ip4_env_output(&out));
	CHECK(!memcmp(out.data + 8, "\4\0\0\0\357\11\11\7", 8));
	CHECK_EQ(delivered_from("10.0.0.23"), 1);
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, &both, NULL), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	fake_wire_clear();
	CHECK_EQ(delivered_from("10.0.0.21"), 0);
	CHECK_EQ(delivered_from("10.0.0.23"), 1);
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, &not_first, NULL), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	CHECK(ip4_env_output(&out));
	CHECK(!memcmp(out.data + 8, "\3\0\0\0\357\11\11\7", 8));
	CHECK_EQ(delivered_from("10.0.0.23"), 0);
	CHECK(!ip_mc_allows(ip4_env_dev, &group, NULL));
}

/* RFC 3376 4.2.16: what must be let in goes in pieces, a list of what is blocked is cut. */
KTEST(igmp_reports_fit_the_link_rfc3376_4_2_16)
{
	struct ip_addr group = ip4_addr("239.9.9.6"), s[MC_MAX_SOURCES];
	struct mc_filter in = {true, MC_MAX_SOURCES, s}, ex = {false, MC_MAX_SOURCES, s};
	unsigned told = 0, messages = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = ip_from_v4(be32_of(0x0a010000 + i));
	ip4_env_setup();
	ip4_env_dev->mtu = 700;
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, NULL, &in), OK);
	fake_net_timers_run(fake_now_ns + 1);
	for (; ip4_env_output(&out); messages++) {
		CHECK(out.len + 24 <= 700);
		CHECK_EQ(out.data[8], 5);
		told += (unsigned)(out.data[10] << 8 | out.data[11]);
	}
	CHECK_EQ(told, MC_MAX_SOURCES);
	CHECK_EQ(messages, 2);
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, &in, &ex), OK);
	fake_net_timers_run(fake_now_ns + 1);
	CHECK(ip4_env_output(&out));
	CHECK(out.len + 24 <= 700);
	CHECK_EQ(out.data[8], 4);
	CHECK_EQ(fake_wire_count(), 0);
	ip4_env_dev->mtu = 1500;
	CHECK_EQ(ip_mc_change(ip4_env_dev, &group, &ex, NULL), OK);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
}

KTEST(groups_of_an_interface_have_a_limit)
{
	struct ip_addr group;

	ip4_env_setup();
	for (unsigned i = 1; i < MC_MAX_GROUPS; i++) { /* 224.0.0.1 is there */
		group = ip_from_v4(be32_of(0xefff0000 + i));
		CHECK_EQ(ip_mc_join(ip4_env_dev, &group), OK);
	}
	group = ip4_addr("239.1.1.1");
	CHECK_EQ(ip_mc_join(ip4_env_dev, &group), ERR_NOBUFS);
	fake_net_timers_run(fake_now_ns + 5 * SEC);
	fake_wire_clear();
	query_in("0.0.0.0", 100, 12); /* more than one pass of the timer can say */
	fake_net_timers_run(fake_now_ns + 11 * SEC);
	for (unsigned told = 0;; told += out.data[7])
		if (!ip4_env_output(&out)) {
			CHECK_EQ(told, MC_MAX_GROUPS - 1);
			break;
		}
	for (unsigned i = 1; i < MC_MAX_GROUPS; i++) {
		group = ip_from_v4(be32_of(0xefff0000 + i));
		ip_mc_leave(ip4_env_dev, &group);
	}
	fake_net_timers_run(fake_now_ns + 5 * SEC);
}

KTEST(groups_survive_no_memory_at_any_place)
{
	struct ip_addr group = ip4_addr("239.9.9.5");
	struct ip_addr s[2] = {ip4_addr("10.0.0.21"), ip4_addr("10.0.0.22")};
	struct mc_filter one = {true, 1, s}, both = {false, 2, s};
	bool has_failed = true;
	long before;

	ip4_env_setup();
	fake_net_timers_run(
	    fake_now_ns + 100 * SEC); /* routes of the past are forgotten */
	fake_rcu_run();
	before = fake_kmalloc_live;
	for (unsigned nth = 1; has_failed && nth < 50; nth++) {
		const struct mc_filter *now = NULL;

		fake_kmalloc_fail_nth(nth);
		has_failed = false;
		if (ip_mc_change(ip4_env_dev, &group, NULL, &one) == OK)
			now = &one;
		else
			has_failed = true;
		if (now && ip_mc_change(ip4_env_dev, &group, now, &both) == OK)
			now = &both;
		else
			has_failed = true;
		CHECK_EQ(ip_mc_allows(ip4_env_dev, &group, NULL), now != NULL);
		fake_net_timers_run(fake_now_ns + 5 * SEC);
		if (now)
			CHECK_EQ(ip_mc_change(ip4_env_dev, &group, now, NULL), OK);
		fake_net_timers_run(fake_now_ns + 100 * SEC);
		CHECK(!ip_mc_allows(ip4_env_dev, &group, NULL));
		fake_kmalloc_fail_nth(0);
		fake_wire_clear();
		fake_rcu_run();
		CHECK_EQ(fake_kmalloc_live, before);
	}
	CHECK(!has_failed);
}

/* Sound messages of every kind, with wild contents, while members come and go. */
KTEST(igmp_takes_any_sequence_of_messages)
{
	static const uint8_t types[] = {0x11, 0x11, 0x11, 0x12, 0x16, 0x17, 0x22};
	struct ip_addr s[3] = {
	    ip4_addr("10.0.0.1"), ip4_addr("10.0.0.2"), ip4_addr("10.0.0.3")};
	struct mc_filter wishes[4] = {
	    {.num = 0}, {true, 3, s}, {false, 2, s}, {true, 1, s}};
	int wish_of[4] = {-1, -1, -1, -1}; /* of the groups 239.9.7.0 to 3 */
	long before;

	ip4_env_setup();
	fake_net_timers_run(fake_now_ns + 100 * SEC);
	fake_rcu_run();
	before = fake_kmalloc_live;
	srand(3376);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned g = (unsigned)rand() % 4;
		struct ip_addr group = ip_from_v4(be32_of(0xef090700 + g));
		uint8_t m[64] = {types[rand() % 7], (uint8_t)rand()};
		size_t n = rand() % 2 ? 8 : 12 + (size_t)(rand() % 12) * 4;
		int to = rand() % 5 - 1;
		be16 csum;

		for (size_t i = 4; i < n; i++)
			m[i] = (uint8_t)(rand() % 4);
		if (rand() % 4)
			memcpy(m + 4, &group.v4, 4);
		csum = be16_of(csum_finish(csum_add(0, m, n)));
		memcpy(m + 2, &csum, 2);
		ip4_env_input(&(struct ip4_in){.dst = "224.0.0.1",
		    .proto = IP_PROTO_IGMP,
		    .ttl = 1,
		    .data = m,
		    .len = n});
		if (rand() % 3 == 0 && (to >= 0 || wish_of[g] >= 0)) {
			CHECK_EQ(ip_mc_change(ip4_env_dev, &group,
			             wish_of[g] < 0 ? NULL : &wishes[wish_of[g]],
			             to < 0 ? NULL : &wishes[to]),
			    OK);
			wish_of[g] = to;
		}
		fake_net_timers_run(fake_now_ns + (nsec_t)(rand() % 400) * NSEC_PER_MSEC);
		CHECK_EQ(ip_mc_allows(ip4_env_dev, &group, NULL), wish_of[g] >= 0);
		if (step % 64 == 0) {
			fake_wire_clear();
			fake_rcu_run();
		}
	}
	for (unsigned g = 0; g < 4; g++) {
		struct ip_addr group = ip_from_v4(be32_of(0xef090700 + g));

		if (wish_of[g] >= 0)
			CHECK_EQ(
			    ip_mc_change(ip4_env_dev, &group, &wishes[wish_of[g]], NULL),
			    OK);
	}
	fake_net_timers_run(fake_now_ns + 3000 * SEC);
	fake_wire_clear();
	fake_rcu_run();
	CHECK_EQ(fake_kmalloc_live, before);
}
