/*
 * Neighbour and router discovery, addresses and MLD, over a fake wire: a table of messages that are
 * refused, and what the good ones do.
 * LINK: net/ip6.c net/ip6_ext.c net/ip6_frag.c net/ip6_fwd.c net/ip6_out.c net/icmp6.c net/icmp_limit.c net/nd.c
 * net/nd_options.c net/nd_router.c net/inbox.c net/slaac.c net/mld.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/addrsel.c net/neigh.c net/ip_addr.c
 * lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c tests/fakes/net_env.c
 * tests/fakes/ip6_env.c tests/fakes/dhcp6_none.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/nd.h"

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip_mc_priv.h"
#include "net/addrsel.h"
#include "net/mld.h"
#include "net/neigh.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip6_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static uint8_t out[2048];

/* A message made piece by piece. */
static uint8_t msg[512];
static size_t len;

static void
begin(uint8_t type, uint8_t flags)
{
	memset(msg, 0, sizeof(msg));
	msg[0] = type;
	msg[4] = flags;
	len = 8;
}

static void
add(const void *data, size_t n)
{
	memcpy(msg + len, data, n);
	len += n;
}

static void
add_addr(const char *text)
{
	add(ip6_of(text).b, 16);
}

static void
add_lla(uint8_t type, uint8_t last)
{
	add((uint8_t[]){type, 1, 2, 0, 0, 0, 0, last}, 8);
}

static void
send(const char *src, const char *dst)
{
	ip6_env_send(src, dst, 58, 255, msg, len);
}

static unsigned
state_of(const char *text)
{
	struct ip_addr a = ip6_of(text);
	struct neigh *n = neigh_find(ip6_env_dev, &a);
	unsigned state = n ? n->state : 0xffff;

	if (n)
		neigh_put(n);
	return state;
}

/* ---- Solicitations --------------------------------------------------------------------- */

KTEST(ns_is_answered_rfc4861_7_2_4)
{
	ip6_env_setup();
	begin(135, 0);
	add_addr("fe80::1");
	add_lla(1, 0x99);
	send("fe80::99", "ff02::1:ff00:1");
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 72);
	CHECK_EQ(out[7], 255);
	CHECK_EQ(out[40], 136);
	CHECK_EQ(out[44], 0x60); /* solicited, override */
	CHECK_EQ(memcmp(out + 48, ip6_env_ll.b, 16), 0);
	CHECK_EQ(memcmp(out + 64, "\2\1\2\0\0\0\0\1", 8), 0);
	CHECK_EQ(state_of("fe80::99"), NEIGH_STALE);
}

KTEST(ns_of_dad_for_our_address_is_answered_to_all_rfc4861_7_2_4)
{
	ip6_env_setup();
	begin(135, 0);
	add_addr("fe80::1");
	mib_counters[MIB_Ip6_OutMcastPkts] = mib_counters[MIB_Ip6_OutMcastOctets] = 0;
	mib_counters[MIB_Ip6_OutOctets] = 0;
	send("::", "ff02::1:ff00:1");
	CHECK_EQ(mib_counters[MIB_Ip6_OutMcastPkts], 1);
	CHECK_EQ(mib_counters[MIB_Ip6_OutMcastOctets], 72);
	CHECK_EQ(mib_counters[MIB_Ip6_OutOctets], 72);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 72);
	CHECK_EQ(out[44], 0x20);
	CHECK_EQ(memcmp(out + 24, ip6_of("ff02::1").b, 16), 0);
}

KTEST(ns_that_break_a_rule_are_dropped_rfc4861_7_1_1)
{
	ip6_env_setup();
	for (unsigned i = 0; i < 9; i++) {
		unsigned before = fake_drops[DROP_ND_BAD];
		const char *src = "fe80::99", *dst = "ff02::1:ff00:1";
		uint8_t hops = 255;

		begin(135, 0);
		msg[1] = i == 0; /* code */
		add_addr(i == 1 ? "ff02::1" : "fe80::1");
		if (i == 2)
			len -= 1;
		if (i == 3)
			hops = 254;
		if (i == 4)
			add("\1\0\2\0\0\0\0\1", 8); /* an option of length 0 */
		if (i == 5)
			add("\1\2\2\0\0\0\0\1", 8); /* beyond the end */
		if (i == 6) {
			src = "::";
			add_lla(1, 1);
		}
		if (i == 7) {
			src = "::";
			dst = "fe80::1";
		}
		if (i == 8)
			add("\1\1\2", 3);
		ip6_env_send(src, dst, 58, hops, msg, len);
		CHECK_EQ(fake_drops[DROP_ND_BAD] - before + 10 * i, 1 + 10 * i);
		CHECK_EQ(fake_wire_count(), 0);
	}
}

KTEST(nd_in_fragments_is_dropped_rfc6980_5)
{
	uint8_t f[8 + 32] = {58, 0, 0, 1, 0, 0, 0, 9};

	ip6_env_setup();
	begin(135, 0);
	add_addr("fe80::1");
	memcpy(f + 8, msg, 16);
	ip6_env_send("fe80::99", "ff02::1:ff00:1", 44, 255, f, 24);
	f[3] = 16;
	memcpy(f + 8, msg + 16, 8);
	ip6_env_send("fe80::99", "ff02::1:ff00:1", 44, 255, f, 16);
	CHECK_EQ(fake_wire_count(), 0);
}

/* ---- Advertisements, redirects --------------------------------------------------------- */

KTEST(na_nobody_asked_for_makes_no_entry_rfc4861_7_2_5)
{
	ip6_env_setup();
	begin(136, 0x60);
	add_addr("fe80::99");
	add_lla(2, 0x99);
	send("fe80::99", "fe80::1");
	CHECK_EQ(state_of("fe80::99"), 0xffff);
}

KTEST(na_nobody_asked_for_makes_an_entry_of_a_router_rfc9131_6_1_1)
{
	struct ip_addr a = ip6_of("fe80::98");
	struct neigh *n;

	ip6_env_setup();
	ip6_env_dev->is_forwarding6 = true;
	begin(136, 0);
	add_addr("fe80::98");
	send("fe80::98", "ff02::2");
	CHECK_EQ(state_of("fe80::98"), 0xffff); /* without its address it says nothing */
	add_lla(2, 0x98);
	CHECK_EQ(
	    ip_mc_join(ip6_env_dev, &(struct ip_addr){.b = {0xff, 2, [15] = 2}}), OK);
	send("fe80::98", "ff02::2");
	CHECK_EQ(state_of("fe80::98"), NEIGH_STALE);
	n = neigh_find(ip6_env_dev, &a);
	CHECK_EQ(n->mac[5], 0x98);
	neigh_put(n);
	ip_mc_leave(ip6_env_dev, &(struct ip_addr){.b = {0xff, 2, [15] = 2}});
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	fake_wire_clear();
}

KTEST(na_completes_a_resolution_rfc4861_7_2_5)
{
	struct ip_addr peer = ip6_of("fe80::99");
	struct neigh *n;

	ip6_env_setup();
	n = neigh_get(ip6_env_dev, &peer);
	(void)neigh_send(n, fake_pkt(ip6_env_dev, msg, 60));
	neigh_put(n);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 72);
	CHECK_EQ(out[40], 135);
	CHECK_EQ(memcmp(out + 24, ip6_of("ff02::1:ff00:99").b, 16), 0);
	begin(136, 0x60);
	add_addr("fe80::99");
	add_lla(2, 0x99);
	send("fe80::99", "fe80::1");
	CHECK_EQ(state_of("fe80::99"), NEIGH_REACHABLE);
	CHECK_EQ(fake_wire_count(), 1);
	fake_wire_clear();
}

KTEST(na_to_a_group_may_not_be_solicited_rfc4861_7_1_2)
{
	unsigned before = fake_drops[DROP_ND_BAD];

	ip6_env_setup();
	begin(136, 0x60);
	add_addr("fe80::99");
	send("fe80::99", "ff02::1");
	CHECK_EQ(fake_drops[DROP_ND_BAD] - before, 1);
}

KTEST(redirect_rules_rfc4861_8_1)
{
	static const struct {
		const char *src, *target, *destination;
		uint8_t hops;
		bool is_good;
	} rows[] = {
	    {"fe80::99", "fe80::88", "2001:db8:5::1", 255, true},
	    {"fe80::99", "2001:db8:5::1", "2001:db8:5::1", 255, true},
	    {"2001:db8::99", "fe80::88", "2001:db8:5::1", 255, false},
	    {"fe80::99", "fe80::88", "2001:db8:5::1", 64, false},
	    {"fe80::99", "2001:db8::88", "2001:db8:5::1", 255, false},
	    {"fe80::99", "fe80::88", "ff02::1", 255, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ip6_env_setup();
		begin(137, 0);
		add_addr(rows[i].target);
		add_addr(rows[i].destination);
		add_lla(2, 0x88);
		ip6_env_send(rows[i].src, "fe80::1", 58, rows[i].hops, msg, len);
		CHECK_EQ(!ip_is_unspecified(&ip6_notes.redirect_to), rows[i].is_good);
	}
}

/* ---- Duplicate address detection ------------------------------------------------------- */

KTEST(dad_asks_then_uses_the_address_rfc4862_5_4)
{
	struct ifaddr *ifa;

	ip6_env_setup();
	ifa = ip6_env_add_addr("2001:db8::2", 0);
	CHECK(ifa->flags & IFA_TENTATIVE);
	fake_net_timers_run(fake_now_ns + 999 * NSEC_PER_MSEC);
	CHECK(ifa->flags & IFA_TENTATIVE);
	fake_net_timers_run(fake_now_ns + 1002 * NSEC_PER_MSEC);
	CHECK(!(ifa->flags & IFA_TENTATIVE));
	while (ip6_env_wire(out, sizeof(out)) && out[40] != 135)
		;
	CHECK_EQ(out[40], 135);
	CHECK_EQ(memcmp(out + 8, ip_any.b, 16), 0);
	CHECK_EQ(out[64], 14); /* RFC 7527: a nonce */
	fake_wire_clear();
}

KTEST(dad_hears_who_has_it_or_wants_it_rfc4862_5_4_3)
{
	struct ifaddr *ifa;

	ip6_env_setup();
	ifa = ip6_env_add_addr("2001:db8::2", 0);
	begin(136, 0x20);
	add_addr("2001:db8::2");
	add_lla(2, 0x99);
	send("fe80::99", "ff02::1");
	CHECK(ifa->flags & IFA_DADFAILED);
	ifa = ip6_env_add_addr("2001:db8::3", 0);
	begin(135, 0);
	add_addr("2001:db8::3");
	send("::", "ff02::1:ff00:3");
	CHECK(ifa->flags & IFA_DADFAILED);
	fake_wire_clear();
}

KTEST(dad_knows_its_own_frames_rfc7527_4)
{
	struct ifaddr *ifa;
	size_t n;

	ip6_env_setup();
	ifa = ip6_env_add_addr("2001:db8::2", 0);
	fake_net_timers_run(fake_now_ns + 1000 * NSEC_PER_MSEC);
	do
		n = ip6_env_wire(out, sizeof(out));
	while (n && out[40] != 135);
	CHECK(n);
	ip6_env_input(out, n); /* looped back */
	CHECK(!(ifa->flags & IFA_DADFAILED));
	out[66] ^= 1; /* another nonce, the sum mended */
	out[42] = out[43] = 0;
	ip6_env_send("::", "ff02::1:ff00:2", 58, 255, out + 40, n - 40);
	CHECK(ifa->flags & IFA_DADFAILED);
	fake_wire_clear();
}

KTEST(dad_is_not_troubled_by_resolution_of_a_tentative_address_rfc4862_5_4_3)
{
	struct ifaddr *ifa;

	ip6_env_setup();
	ifa = ip6_env_add_addr("2001:db8::2", 0);
	begin(135, 0);
	add_addr("2001:db8::2");
	add_lla(1, 0x99);
	send("fe80::99", "ff02::1:ff00:2");
	CHECK(!(ifa->flags & IFA_DADFAILED));
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	fake_wire_clear();
}

/* ---- Router advertisements ------------------------------------------------------------- */

static void
begin_ra(unsigned lifetime_s, uint8_t flags)
{
	begin(134, 64);
	msg[5] = flags;
	msg[6] = (uint8_t)(lifetime_s >> 8);
	msg[7] = (uint8_t)lifetime_s;
	add("\0\0\0\0\0\0\0\0", 8);
}

static void
add_prefix(const char *prefix, uint8_t flags, uint32_t valid, uint32_t preferred)
{
	uint8_t o[16] = {3, 4, 64, flags, (uint8_t)(valid >> 24), (uint8_t)(valid >> 16),
	    (uint8_t)(valid >> 8), (uint8_t)valid, (uint8_t)(preferred >> 24),
	    (uint8_t)(preferred >> 16), (uint8_t)(preferred >> 8), (uint8_t)preferred};

	add(o, sizeof(o));
	add_addr(prefix);
}

static void
setup_ra(void)
{
	ip6_env_setup();
	ip6_dev_of(ip6_env_dev)->conf.accept_ra = true;
}

static void
send_ra(const char *src)
{
	send(src, "ff02::1");
	fake_net_work_run();
}

/* The global address made from 2001:db8:a::/64, or NULL. */
static struct ifaddr *
made_address(void)
{
	struct ip_addr prefix = ip6_of("2001:db8:a::");
	struct ifaddr *ifa;

	list_for_each(ifa, ifaddr_list(ip6_env_dev, AF_INET6), dev_link)
		if (ip_prefix_match(&ifa->addr, &prefix, 64))
			return ifa;
	return NULL;
}

KTEST(ra_makes_a_default_route_rfc4861_6_3_4)
{
	setup_ra();
	begin_ra(1800, 0);
	add_lla(1, 0x99);
	send_ra("fe80::99");
	CHECK_EQ(ip6_notes.route_adds, 1);
	CHECK_EQ(ip6_notes.route.plen, 0);
	CHECK_EQ(memcmp(ip6_notes.route.gateway.b, ip6_of("fe80::99").b, 16), 0);
	CHECK_EQ(state_of("fe80::99"), NEIGH_STALE);
	begin_ra(0, 0);
	send_ra("fe80::99");
	CHECK_EQ(ip6_notes.route_dels, 1);
}

KTEST(ra_of_the_better_router_wins_rfc4191_2_2)
{
	setup_ra();
	begin_ra(1800, 0);
	send_ra("fe80::99");
	begin_ra(1800, 0x08); /* high */
	send_ra("fe80::98");
	CHECK_EQ(ip6_notes.route.gateway.b[15], 0x98);
	CHECK_EQ(ip6_notes.route_dels, 1);
	begin_ra(1800, 0x18); /* low */
	send_ra("fe80::97");
	CHECK_EQ(ip6_notes.route.gateway.b[15], 0x98);
	fake_net_timers_run(fake_now_ns + 1801 * SEC);
	fake_net_work_run();
	CHECK_EQ(ip6_notes.route_dels - ip6_notes.route_adds, 0);
	fake_wire_clear();
}

KTEST(ra_that_break_a_rule_are_dropped_rfc4861_6_1_2)
{
	for (unsigned i = 0; i < 5; i++) {
		setup_ra();
		begin_ra(1800, 0);
		msg[1] = i == 1;
		if (i == 2)
			len = 15;
		if (i == 3)
			add("\3\0\0\0\0\0\0\0", 8);
		ip6_env_send(i == 0 ? "2001:db8::99" : "fe80::99", "ff02::1", 58,
		    i == 4 ? 254 : 255, msg, len);
		fake_net_work_run();
		CHECK_EQ(ip6_notes.route_adds + 10 * i, 10 * i);
	}
}

KTEST(ra_parameters_of_the_link_rfc4861_6_3_4)
{
	const struct ip6_dev *d;

	setup_ra();
	d = ip6_dev_of(ip6_env_dev);
	begin_ra(0, 0xc0);
	msg[4] = 33;
	memcpy(msg + 8, "\0\0\x27\x10\0\0\x07\xd0", 8);
	add("\5\1\0\0\0\0\5\x78", 8);
	send_ra("fe80::99");
	CHECK_EQ(d->hop_limit, 33);
	CHECK_EQ(d->base_reachable_ms, 10000);
	CHECK_EQ(d->retrans_ns, 2 * SEC);
	CHECK_EQ(ip6_dev_mtu(ip6_env_dev), 1400);
	CHECK(ip6_notes.is_managed && ip6_notes.is_other);
	begin_ra(0, 0); /* an impossible MTU changes nothing */
	add("\5\1\0\0\0\0\4\xff", 8);
	send_ra("fe80::99");
	CHECK_EQ(ip6_dev_mtu(ip6_env_dev), 1400);
}

KTEST(ra_dns_servers_rfc8106_5_1)
{
	setup_ra();
	begin_ra(0, 0);
	add("\x19\3\0\0\0\0\2\0", 8);
	add_addr("2001:db8::53");
	send_ra("fe80::99");
	CHECK_EQ(memcmp(ip6_notes.dns.b, ip6_of("2001:db8::53").b, 16), 0);
}

KTEST(ra_more_specific_route_rfc4191_3)
{
	setup_ra();
	begin_ra(0, 0);
	add("\x18\2\x30\x08\0\0\2\0\x20\1\x0d\xb8\0\5\0\0", 16);
	send_ra("fe80::99");
	CHECK_EQ(ip6_notes.route.plen, 48);
	CHECK_EQ(ip6_notes.route.metric, 1023);
	CHECK_EQ(ip6_notes.route.valid_ns, 512 * SEC);
}

KTEST(slaac_makes_an_address_of_a_prefix_rfc4862_5_5_3)
{
	struct ifaddr *ifa;
	struct ip_addr first;

	setup_ra();
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0xc0, 86400, 14400);
	send_ra("fe80::99");
	ifa = made_address();
	CHECK(ifa);
	CHECK_EQ(ifa->valid_until_ns, fake_now_ns + 86400 * SEC);
	CHECK_EQ(ifa->preferred_until_ns, fake_now_ns + 14400 * SEC);
	CHECK(ifa->flags & IFA_STABLE_PRIVACY);
	CHECK_EQ(ip6_notes.route.plen, 64);
	first = ifa->addr;
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	ip6_env_drop_addrs();
	(void)ip6_env_add_addr("fe80::1", IFA_NODAD);
	send_ra("fe80::99"); /* RFC 7217: the same again */
	CHECK(made_address() && ip_equal(&made_address()->addr, &first));
	fake_wire_clear();
}

KTEST(slaac_ignores_what_it_must_rfc4862_5_5_3)
{
	setup_ra();
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0x80, 86400, 14400); /* not autonomous */
	add_prefix("fe80::", 0xc0, 86400, 14400);
	send_ra("fe80::99");
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0xc0, 100, 200); /* preferred beyond valid */
	send_ra("fe80::99");
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0xc0, 86400, 14400);
	msg[18] = 63; /* not 64 bits */
	send_ra("fe80::99");
	CHECK(!made_address());
}

KTEST(slaac_two_hours_rule_rfc4862_5_5_3_e)
{
	static const struct {
		uint32_t advertised, remaining, valid;
	} rows[] = {
	    {10000, 5000, 10000},
	    {8000, 20000, 8000},
	    {6000, 5000, 6000},
	    {100, 5000, 5000},
	    {0, 86400, 7200},
	    {100, 86400, 7200},
	    {UINT32_MAX, 10, UINT32_MAX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_EQ(slaac_valid_lifetime(rows[i].advertised, rows[i].remaining),
		    rows[i].valid);
}

KTEST(slaac_takes_another_identifier_after_a_collision_rfc7217_6)
{
	struct ifaddr *ifa;
	struct ip_addr first;

	setup_ra();
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0xc0, 86400, 14400);
	send_ra("fe80::99");
	ifa = made_address();
	first = ifa->addr;
	ifaddr_dad_done(ifa, true);
	mutex_lock(&rtnl_mutex);
	mutex_unlock(&rtnl_mutex);
	fake_net_work_run();
	ifa = made_address();
	CHECK(ifa && !ip_equal(&ifa->addr, &first));
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	fake_wire_clear();
}

KTEST(slaac_temporary_addresses_are_renewed_rfc8981_3_5)
{
	struct ifaddr *ifa;
	unsigned n = 0;

	setup_ra();
	ip6_dev_of(ip6_env_dev)->conf.use_tempaddr = 2;
	begin_ra(0, 0);
	add_prefix("2001:db8:a::", 0xc0, 7 * 86400, 7 * 86400);
	send_ra("fe80::99");
	list_for_each(ifa, ifaddr_list(ip6_env_dev, AF_INET6), dev_link)
		n += (ifa->flags & IFA_TEMPORARY) != 0;
	CHECK_EQ(n, 1);
	ip6_dev_of(ip6_env_dev)->conf.use_tempaddr = 0;
	fake_wire_clear();
}

KTEST(slaac_identifiers_rfc4291_appendix_a_rfc5453)
{
	struct ip_addr a = ip6_of("fe80::");

	slaac_eui64(&a, (uint8_t[]){0x52, 0x54, 0, 0x12, 0x34, 0x56});
	CHECK_EQ(memcmp(a.b, ip6_of("fe80::5054:ff:fe12:3456").b, 16), 0);
	a = ip6_of("2001:db8::");
	CHECK(slaac_is_reserved_iid(&a));
	a = ip6_of("2001:db8::fdff:ffff:ffff:ff80");
	CHECK(slaac_is_reserved_iid(&a));
	a = ip6_of("2001:db8::1");
	CHECK(!slaac_is_reserved_iid(&a));
}

KTEST(rs_is_repeated_until_a_router_answers_rfc7559_2)
{
	unsigned n = 0;

	setup_ra();
	nd_router_solicit(ip6_dev_of(ip6_env_dev));
	fake_net_timers_run(fake_now_ns + 50 * SEC);
	while (ip6_env_wire(out, sizeof(out)))
		n += out[40] == 133;
	CHECK_EQ(n, 4); /* at 0, 4, 12, 28 seconds */
	begin_ra(1800, 0);
	send_ra("fe80::99");
	fake_net_timers_run(fake_now_ns + 200 * SEC);
	CHECK_EQ(fake_wire_count(), 0);
}

/* ---- Multicast listening ---------------------------------------------------------------- */

KTEST(mld_reports_joins_and_leaves_rfc3810_6_1)
{
	struct ip_addr group = ip6_of("ff15::77");
	unsigned joins = 0, leaves = 0;

	ip6_env_setup();
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	ip_mc_leave(ip6_env_dev, &group);
	CHECK(ip_mc_allows(ip6_env_dev, &group, NULL));
	ip_mc_leave(ip6_env_dev, &group);
	CHECK(!ip_mc_allows(ip6_env_dev, &group, NULL));
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	while (ip6_env_wire(out, sizeof(out))) {
		CHECK_EQ(out[7], 1);
		CHECK_EQ(memcmp(out + 40, "\x3a\0\5\2\0\0\1\0", 8), 0); /* router alert */
		CHECK_EQ(out[48], 143);
		joins += out[56] == 4;
		leaves += out[56] == 3;
	}
	CHECK_EQ(joins, 2);
	CHECK_EQ(leaves, 2);
}

KTEST(mld_query_is_answered_within_its_time_rfc3810_6_2)
{
	uint8_t query[8 + 28] = {58, 0, 5, 2, 0, 0, 1, 0, 130, [12] = 0x03, [13] = 0xe8};
	uint32_t sum = 0;
	size_t n;

	ip6_env_setup();
	/* The checksum by hand: the header in front is not ICMPv6 itself. */
	for (unsigned i = 0; i < 16; i += 2)
		sum +=
		    (uint32_t)(ip6_of("fe80::99").b[i] << 8 |
		               ip6_of("fe80::99").b[i + 1]) +
		    (uint32_t)(ip6_of("ff02::1").b[i] << 8 | ip6_of("ff02::1").b[i + 1]);
	for (unsigned i = 8; i < sizeof(query); i += 2)
		sum += (uint32_t)(query[i] << 8 | query[i + 1]);
	sum += 28 + 58;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	query[10] = (uint8_t)(sum >> 8);
	query[11] = (uint8_t)sum;
	ip6_env_send("fe80::99", "ff02::1", 0, 1, query, sizeof(query));
	fake_net_timers_run(fake_now_ns + 1001 * NSEC_PER_MSEC);
	n = ip6_env_wire(out, sizeof(out));
	CHECK(n);
	CHECK_EQ(out[48], 143);
	CHECK_EQ(out[56], 2); /* mode is exclude */
	fake_wire_clear();
}

/* Sends an MLD message with its router alert; the checksum by hand, ICMPv6 is not the first header. */
static void
send_mld(const char *dst, const void *message, size_t n)
{
	uint8_t m[8 + 128] = {58, 0, 5, 2, 0, 0, 1, 0};
	struct ip_addr from = ip6_of("fe80::99"), to = ip6_of(dst);
	be32 tail[2] = {be32_of((uint32_t)n), be32_of(58)};
	be16 csum;

	memcpy(m + 8, message, n);
	csum = be16_of(csum_finish(csum_add(
	    csum_add(csum_add(csum_add(0, &from, 16), &to, 16), tail, 8), m + 8, n)));
	memcpy(m + 10, &csum, 2);
	ip6_env_send("fe80::99", dst, 0, 1, m, 8 + n);
}

static void
query(uint8_t length, const char *group, const char *source)
{
	uint8_t m[44] = {130, [4] = 0x03, [5] = 0xe8};

	if (group)
		memcpy(m + 8, ip6_of(group).b, 16);
	if (source) {
		m[27] = 1;
		memcpy(m + 28, ip6_of(source).b, 16);
	}
	send_mld(group ? group : "ff02::1", m, length);
	fake_net_timers_run(fake_now_ns + 1001 * NSEC_PER_MSEC);
}

KTEST(mld_listener_of_one_source_rfc3810_6_1_6_2)
{
	struct ip_addr group = ip6_of("ff15::78"), source = ip6_of("2001:db8::9");
	struct mc_filter f = {true, 1, &source};
	const struct ip_addr other = ip6_of("2001:db8::8");

	ip6_env_setup();
	CHECK_EQ(ip_mc_change(ip6_env_dev, &group, NULL, &f), OK);
	CHECK(ip_mc_allows(ip6_env_dev, &group, &source));
	CHECK(!ip_mc_allows(ip6_env_dev, &group, &other));
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(ip6_env_wire(out, sizeof(out)), 40 + 8 + 8 + 36);
		CHECK_EQ(memcmp(out + 56, "\5\0\0\1", 4), 0); /* ALLOW, one source */
		CHECK_EQ(memcmp(out + 60, group.b, 16), 0);
		CHECK_EQ(memcmp(out + 76, source.b, 16), 0);
	}
	CHECK_EQ(fake_wire_count(), 0);
	query(44, "ff15::78", "2001:db8::8");
	CHECK_EQ(fake_wire_count(), 0); /* not that one */
	query(44, "ff15::78", "2001:db8::9");
	CHECK(ip6_env_wire(out, sizeof(out)));
	CHECK_EQ(memcmp(out + 56, "\1\0\0\1", 4), 0); /* MODE_IS_INCLUDE */
	CHECK_EQ(memcmp(out + 76, source.b, 16), 0);
	ip_mc_leave(ip6_env_dev, &ip6_env_ll); /* not a group: nothing */
	CHECK_EQ(ip_mc_change(ip6_env_dev, &group, &f, NULL), OK);
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	CHECK(ip6_env_wire(out, sizeof(out)));
	CHECK_EQ(memcmp(out + 56, "\6\0\0\1", 4), 0); /* BLOCK */
	fake_wire_clear();
}

KTEST(mld_version_1_while_its_querier_is_heard_rfc2710_4_rfc3810_8_2)
{
	struct ip_addr group = ip6_of("ff15::79");
	uint8_t report[24] = {131};
	unsigned n = 0;

	ip6_env_setup();
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	fake_wire_clear();
	query(24, "ff15::79", NULL);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 40 + 8 + 24);
	CHECK_EQ(out[48], 131);
	CHECK_EQ(memcmp(out + 24, group.b, 16), 0); /* to the group itself */
	CHECK_EQ(memcmp(out + 56, group.b, 16), 0);
	/* Another's report spares ours, and a leave that is not the last reporter's is not said. */
	memcpy(report + 8, group.b, 16);
	send_mld("ff15::79", report, sizeof(report));
	ip_mc_leave(ip6_env_dev, &group);
	fake_net_timers_run(fake_now_ns + 30 * SEC);
	CHECK_EQ(fake_wire_count(), 0);
	/* A join is told up to twice within ten seconds, the last reporter says when it goes. */
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 11 * SEC);
	for (n = 0; ip6_env_wire(out, sizeof(out)); n++)
		CHECK_EQ(out[48], 131);
	CHECK_EQ(n, 2);
	ip_mc_leave(ip6_env_dev, &group);
	fake_net_timers_run(fake_now_ns + 11 * SEC);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 40 + 8 + 24);
	CHECK_EQ(out[48], 132);
	CHECK_EQ(memcmp(out + 24, ip6_of("ff02::2").b, 16), 0);
	CHECK_EQ(fake_wire_count(), 0);
	/* RFC 3810 9.12: 2 * 125 s + 1 s later version 2 is spoken again. */
	fake_net_timers_run(fake_now_ns + 260 * SEC);
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	CHECK(ip6_env_wire(out, sizeof(out)));
	CHECK_EQ(out[48], 143);
	ip_mc_leave(ip6_env_dev, &group);
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	fake_wire_clear();
}

KTEST(mld_query_decode_rfc3810_5_1)
{
	uint8_t q[44] = {130};
	struct mc_query out_q;

	CHECK(!mld_query_decode(q, 23, &out_q));
	CHECK(mld_query_decode(q, 24, &out_q) && out_q.version == 1);
	CHECK(!mld_query_decode(q, 26, &out_q));
	CHECK(mld_query_decode(q, 28, &out_q) && out_q.version == 2);
	q[27] = 1;
	CHECK(!mld_query_decode(q, 43, &out_q));
	CHECK(mld_query_decode(q, 44, &out_q));
	q[8] = 0x20; /* not a group */
	CHECK(!mld_query_decode(q, 44, &out_q));
	CHECK_EQ(mld_max_delay_ms(1000), 1000);
	CHECK_EQ(mld_max_delay_ms(0x8000), 0x1000 << 3);
	CHECK_EQ(mld_max_delay_ms(0xffff), 0x1fff << 10);
}

/* ---- Address selection ------------------------------------------------------------------ */

KTEST(addrsel_policy_table_rfc6724_2_1)
{
	static const struct {
		const char *addr;
		unsigned precedence, label;
	} rows[] = {
	    {"::1", 50, 0},
	    {"2600::1", 40, 1},
	    {"10.1.2.3", 35, 4},
	    {"2002:a::1", 30, 2},
	    {"2001::1", 5, 5},
	    {"2001:db8::1", 40, 1},
	    {"fd00::1", 3, 13},
	    {"fec0::1", 1, 11},
	    {"3ffe::1", 1, 12},
	    {"::8.8.8.8", 1, 3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a = ip6_of(rows[i].addr);

		CHECK_EQ(addrsel_policy_of(&a)->precedence, rows[i].precedence);
		CHECK_EQ(addrsel_policy_of(&a)->label, rows[i].label);
	}
}

/* Each row: `a` is better than `b` for `dst`, by the rule named. */
KTEST(addrsel_rules_rfc6724_5)
{
	static const struct {
		const char *dst, *a, *b;
		bool is_b_deprecated, is_a_on_out, is_a_temporary, prefers_temporary;
	} rows[] = {
	    {"2001:db8::1", "2001:db8::1", "2001:db8::2", 0, 0, 0, 0},   /* 1 */
	    {"2001:db8::1", "2001:db8:3::1", "fe80::1", 0, 0, 0, 0},     /* 2 */
	    {"fe80::9", "fe80::1", "2001:db8::1", 0, 0, 0, 0},           /* 2 */
	    {"ff02::9", "fe80::1", "2001:db8::1", 0, 0, 0, 0},           /* 2 */
	    {"ff0e::9", "2001:db8::1", "fe80::1", 0, 0, 0, 0},           /* 2 */
	    {"2001:db8::1", "2001:db8:5::1", "2001:db8::2", 1, 0, 0, 0}, /* 3 */
	    {"2001:db8::1", "2001:db8:5::1", "2001:db8::2", 0, 1, 0, 0}, /* 5 */
	    {"2002:c633:6401::1", "2002:c633:6402::1", "2001:db8:1::2", 0, 0, 0,
	        0},                                                          /* 6 */
	    {"fd00::1", "fd55::1", "2001:db8::1", 0, 0, 0, 0},               /* 6 */
	    {"2001:db8::1", "2001:db8:5::1", "2001:db8::2", 0, 0, 1, 1},     /* 7 */
	    {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:3::2", 0, 0, 0, 0}, /* 8 */
	    {"10.0.0.1", "10.0.0.7", "192.168.0.1", 0, 0, 0, 0},             /* 8 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr dst = ip6_of(rows[i].dst);
		struct addrsel_candidate a = {.addr = ip6_of(rows[i].a),
		    .plen = 64,
		    .is_on_out = rows[i].is_a_on_out,
		    .is_temporary = rows[i].is_a_temporary};
		struct addrsel_candidate b = {.addr = ip6_of(rows[i].b),
		    .plen = 64,
		    .is_deprecated = rows[i].is_b_deprecated};

		CHECK(addrsel_is_better(&dst, &a, &b, rows[i].prefers_temporary));
		CHECK(!addrsel_is_better(&dst, &b, &a, rows[i].prefers_temporary));
	}
}

KTEST(addrsel_does_not_offer_tentative_addresses)
{
	struct ip_addr dst = ip6_of("2001:db8:9::1"), src;

	ip6_env_setup();
	(void)ip6_env_add_addr("2001:db8:9::2", 0);
	CHECK(addrsel_source(ip6_env_dev, &dst, 0, &src));
	CHECK(ip_equal(&src, &ip6_env_global));
	fake_net_timers_run(fake_now_ns + 3 * SEC);
	CHECK(addrsel_source(ip6_env_dev, &dst, 0, &src));
	CHECK(!ip_equal(&src, &ip6_env_global));
	fake_wire_clear();
}
