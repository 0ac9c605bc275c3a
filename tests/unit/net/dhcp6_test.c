/*
 * net/dhcp6.c against a server played by hand, over a fake wire.
 * LINK: net/dhcp6.c net/dhcp6_msg.c net/ip6.c net/ip6_ext.c net/ip6_frag.c net/ip6_fwd.c
 * net/ip6_out.c net/icmp6.c net/icmp_limit.c net/nd.c net/nd_options.c net/nd_router.c net/inbox.c net/slaac.c net/mld.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c
 * net/addrsel.c net/neigh.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c
 * fs/seq.c tests/fakes/net_env.c tests/fakes/ip6_env.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/mutex.c tests/fakes/rcu.c tests/fakes/clock.c
 * tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/dhcp6.h"

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/dhcp6_msg.h"
#include "net/resolv.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip6_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static struct resolv_info told;
static struct dhcp6_msg heard; /* what the client sent last */
static uint32_t iaid;
static uint8_t reply[600];
static size_t reply_len;

void
resolv_set(unsigned dev_index, enum resolv_source source, const struct resolv_info *info)
{
	told = info ? *info : (struct resolv_info){.count = 0};
}

uint32_t
ip_pseudo_csum(
    const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	be32 tail[2] = {be32_of(len), be32_of(proto)};

	return csum_add(csum_add(csum_add(0, tail, sizeof(tail)), src, 16), dst, 16);
}

static void
pass(nsec_t ns)
{
	nsec_t end = fake_now_ns + ns;

	fake_net_work_run();
	while (fake_now_ns < end) {
		fake_net_timers_run(MIN(end, fake_now_ns + 100 * NSEC_PER_MSEC));
		fake_net_work_run();
	}
}

/* The client's newest message; false: it said nothing. */
static bool
hear(void)
{
	static uint8_t out[2048];
	bool has = false;
	size_t n;

	while ((n = ip6_env_wire(out, sizeof(out)))) {
		if (out[6] != 17 || (out[42] << 8 | out[43]) != 547)
			continue;
		has = dhcp6_decode(out + 48, n - 48, iaid, &heard);
	}
	return has;
}

static void
setup(void)
{
	ip6_env_setup();
	memcpy(&iaid, (uint8_t[]){0, 0, 0, 1}, 4);
	memset(&told, 0, sizeof(told));
}

static void
says(bool is_managed, bool is_other)
{
	mutex_lock(&rtnl_mutex);
	dhcp6_router_says(ip6_env_dev, is_managed, is_other);
	mutex_unlock(&rtnl_mutex);
	pass(1001 * NSEC_PER_MSEC); /* the delay of the first message */
}

/* ---- The server ------------------------------------------------------------------------ */

static void
option(unsigned code, const void *data, size_t n)
{
	memcpy(reply + reply_len,
	    (uint8_t[]){
	        (uint8_t)(code >> 8), (uint8_t)code, (uint8_t)(n >> 8), (uint8_t)n},
	    4);
	memcpy(reply + reply_len + 4, data, n);
	reply_len += 4 + n;
}

static void
begin_reply(uint8_t type)
{
	memcpy(reply,
	    (uint8_t[]){type, (uint8_t)(heard.xid >> 16), (uint8_t)(heard.xid >> 8),
	        (uint8_t)heard.xid},
	    4);
	reply_len = 4;
	option(1, heard.client.bytes, heard.client.len);
	option(2, "\0\3\0\1server", 10);
}

/* IA_NA with one address (last byte `last`; lifetimes in seconds, all below 256) or a status. */
static void
add_ia(uint8_t last, uint8_t preferred, uint8_t valid, uint8_t status)
{
	uint8_t ia[12 + 28 + 6] = {0};
	size_t n = 12;

	for (unsigned i = 0; i < 4; i++)
		ia[i] = (uint8_t)(iaid >> (24 - 8 * i));
	if (last) {
		memcpy(ia + n, "\0\5\0\x18\x20\1\x0d\xb8\0\7", 10);
		ia[n + 19] = last;
		ia[n + 23] = preferred;
		ia[n + 27] = valid;
		n += 28;
	}
	if (status) {
		memcpy(ia + n, (uint8_t[]){0, 13, 0, 2, 0, status}, 6);
		n += 6;
	}
	option(3, ia, n);
}

static void
send_reply(void)
{
	uint8_t udp[8 + sizeof(reply)] = {2, 35, 2, 34};
	struct ip_addr src = ip6_of("fe80::99");
	size_t n = 8 + reply_len;
	uint16_t csum;

	udp[4] = (uint8_t)(n >> 8);
	udp[5] = (uint8_t)n;
	memcpy(udp + 8, reply, reply_len);
	csum = csum_finish(
	    csum_add(ip_pseudo_csum(&src, &ip6_env_ll, 17, (uint32_t)n), udp, n));
	udp[6] = (uint8_t)(csum >> 8);
	udp[7] = (uint8_t)csum;
	ip6_env_send("fe80::99", "fe80::1", 17, 64, udp, n);
	fake_net_work_run();
}

static struct ifaddr *
leased(uint8_t last)
{
	struct ip_addr a = ip6_of("2001:db8:7::");

	a.b[15] = last;
	return ifaddr_find(NULL, &a);
}

/* Solicit to bound, with address ::7, preferred 100 s (T1 50, T2 80), valid 200 s. */
static void
get_bound(void)
{
	says(true, false);
	(void)hear();
	begin_reply(DHCP6_ADVERTISE);
	add_ia(7, 100, 200, 0);
	send_reply();
	pass(2 * SEC);
	(void)hear();
	begin_reply(DHCP6_REPLY);
	add_ia(7, 100, 200, 0);
	option(23, ip6_of("2001:db8::53").b, 16);
	option(24, "\7example\3org\0\3lan\0", 18);
	send_reply();
	(void)hear();
}

/* ---- Cases ----------------------------------------------------------------------------- */

KTEST(dhcp6_four_messages_rfc8415_5_1)
{
	setup();
	says(true, false);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_SOLICIT);
	CHECK(heard.has_rapid_commit && heard.has_ia);
	begin_reply(DHCP6_ADVERTISE);
	add_ia(7, 100, 200, 0);
	send_reply();
	CHECK(!hear()); /* waits for better offers: 18.2.1 */
	pass(2 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_REQUEST);
	CHECK_EQ(heard.server.len, 10);
	CHECK_EQ(heard.addrs[0].addr.b[15], 7);
	begin_reply(DHCP6_REPLY);
	add_ia(7, 100, 200, 0);
	option(23, ip6_of("2001:db8::53").b, 16);
	option(24, "\7example\3org\0\3lan\0", 18);
	send_reply();
	CHECK(leased(7));
	CHECK_EQ(leased(7)->plen, 128);
	CHECK_EQ(leased(7)->valid_until_ns, fake_now_ns + 200 * SEC);
	CHECK_EQ(told.count, 1);
	CHECK_EQ(strcmp(told.search, "example.org lan"), 0);
}

KTEST(dhcp6_rapid_commit_rfc8415_18_2_1)
{
	setup();
	says(true, false);
	CHECK(hear());
	begin_reply(DHCP6_REPLY);
	add_ia(8, 100, 200, 0);
	send_reply();
	CHECK(!leased(8)); /* without the option it is no such reply */
	begin_reply(DHCP6_REPLY);
	option(14, "", 0);
	add_ia(8, 100, 200, 0);
	send_reply();
	CHECK(leased(8));
}

KTEST(dhcp6_preference_255_is_taken_at_once_rfc8415_18_2_9)
{
	setup();
	says(true, false);
	CHECK(hear());
	begin_reply(DHCP6_ADVERTISE);
	option(7, "\377", 1);
	add_ia(7, 100, 200, 0);
	send_reply();
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_REQUEST);
}

KTEST(dhcp6_no_addresses_is_no_offer_rfc8415_18_2_9)
{
	setup();
	says(true, false);
	CHECK(hear());
	begin_reply(DHCP6_ADVERTISE);
	add_ia(0, 0, 0, DHCP6_NO_ADDRS);
	send_reply();
	pass(3 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_SOLICIT);
}

KTEST(dhcp6_foreign_answers_are_dropped_rfc8415_16)
{
	setup();
	says(true, false);
	CHECK(hear());
	heard.xid ^= 1;
	begin_reply(DHCP6_ADVERTISE);
	option(7, "\377", 1);
	add_ia(7, 100, 200, 0);
	send_reply();
	CHECK(!hear());
	heard.xid ^= 1;
	heard.client.bytes[5] ^= 1;
	begin_reply(DHCP6_ADVERTISE);
	option(7, "\377", 1);
	add_ia(7, 100, 200, 0);
	send_reply();
	CHECK(!hear());
}

KTEST(dhcp6_renew_at_t1_rfc8415_18_2_4)
{
	setup();
	get_bound();
	pass(49 * SEC);
	CHECK(!hear());
	pass(2 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_RENEW);
	begin_reply(DHCP6_REPLY);
	add_ia(7, 100, 200, 0);
	send_reply();
	CHECK_EQ(leased(7)->valid_until_ns, fake_now_ns + 200 * SEC);
	pass(49 * SEC);
	CHECK(!hear());
}

KTEST(dhcp6_rebind_at_t2_then_anew_rfc8415_18_2_5)
{
	setup();
	get_bound();
	pass(79 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_RENEW);
	pass(3 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_REBIND);
	CHECK_EQ(heard.server.len, 0);
	pass(125 * SEC);
	CHECK(!leased(7));
	pass(3 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_SOLICIT);
}

KTEST(dhcp6_no_binding_leads_to_a_request_rfc8415_18_2_10_1)
{
	setup();
	get_bound();
	pass(52 * SEC);
	CHECK(hear());
	begin_reply(DHCP6_REPLY);
	add_ia(0, 0, 0, DHCP6_NO_BINDING);
	send_reply();
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_REQUEST);
}

KTEST(dhcp6_address_of_someone_else_is_declined_rfc8415_18_2_8)
{
	setup();
	get_bound();
	ifaddr_dad_done(leased(7), true);
	fake_net_work_run();
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_DECLINE);
	CHECK_EQ(heard.num_addrs, 1);
	begin_reply(DHCP6_REPLY);
	send_reply();
	pass(2 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_SOLICIT);
	CHECK(!leased(7));
}

KTEST(dhcp6_confirm_when_the_link_comes_back_rfc8415_18_2_12)
{
	setup();
	get_bound();
	fake_netdev_event(ip6_env_dev, NETDEV_EV_LINK);
	pass(1001 * NSEC_PER_MSEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_CONFIRM);
	begin_reply(DHCP6_REPLY);
	option(13, "\0\0", 2);
	send_reply();
	CHECK(leased(7));
	fake_netdev_event(ip6_env_dev, NETDEV_EV_LINK);
	pass(1001 * NSEC_PER_MSEC);
	CHECK(hear());
	begin_reply(DHCP6_REPLY);
	option(13, "\0\4", 2); /* not on link */
	send_reply();
	CHECK(!leased(7));
}

KTEST(dhcp6_release_when_it_ends_rfc8415_18_2_7)
{
	setup();
	get_bound();
	fake_netdev_event(ip6_env_dev, NETDEV_EV_GOING_DOWN);
	fake_netdev_event(ip6_env_dev, NETDEV_EV_DOWN);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_RELEASE);
	CHECK_EQ(heard.addrs[0].addr.b[15], 7);
	CHECK(!leased(7));
	CHECK_EQ(dhcp6_num_clients, 0);
}

KTEST(dhcp6_information_request_and_refresh_rfc8415_18_2_6)
{
	setup();
	says(false, true);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_INFORMATION_REQUEST);
	CHECK(!heard.has_ia);
	begin_reply(DHCP6_REPLY);
	option(23, ip6_of("2001:db8::54").b, 16);
	option(32, "\0\0\0\1", 4); /* less than the minimum of 600 s */
	send_reply();
	CHECK_EQ(told.count, 1);
	pass(598 * SEC);
	CHECK(!hear());
	pass(4 * SEC);
	CHECK(hear());
	CHECK_EQ(heard.type, DHCP6_INFORMATION_REQUEST);
}

KTEST(dhcp6_solicits_until_sol_max_rt_rfc8415_7_6)
{
	unsigned n = 0;

	setup();
	says(true, false);
	for (unsigned i = 0; i < 60; i++) {
		pass(1 * SEC);
		n += hear();
	}
	CHECK(n >= 4 && n <= 7); /* 1, 2, 4, 8, 16, 32 s, each a tenth more or less */
}
