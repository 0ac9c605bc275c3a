/*
 * IPv6 from the link up and down: input checks, fragments, ICMPv6, over a fake wire.
 * LINK: net/ip6.c net/ip6_ext.c net/ip6_frag.c net/ip6_fwd.c net/ip6_out.c net/icmp6.c net/icmp_limit.c net/nd.c
 * net/nd_options.c net/nd_router.c net/inbox.c net/slaac.c net/mld.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/addrsel.c net/neigh.c net/ip_addr.c
 * lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c tests/fakes/net_env.c
 * tests/fakes/ip6_env.c tests/fakes/dhcp6_none.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/ip6.h"

#include "lib/string.h"
#include "net/ip_mc.h"
#include "net/neigh.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip6_env.h"
#include "tests/unit/ktest.h"

#define SEC NSEC_PER_SEC

static uint8_t out[2048];
static const uint8_t peer_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x99};

static void
know_peer(const char *text)
{
	struct ip_addr peer = ip6_of(text);

	neigh_update(ip6_env_dev, &peer, peer_mac,
	    NEIGH_UPD_CREATE | NEIGH_UPD_SOLICITED | NEIGH_UPD_OVERRIDE);
}

/* Setup, and the peer's address is known, so that answers go out at once. */
static void
setup(void)
{
	ip6_env_setup();
	know_peer("2001:db8::99");
	know_peer("fe80::99");
}

/* ---- Input checks ---------------------------------------------------------------------- */

KTEST(ip6_delivers_to_the_transport)
{
	setup();
	ip6_env_send("2001:db8::99", "2001:db8::1", 17, 64, "12345678data", 12);
	CHECK_EQ(ip6_notes.udp_packets, 1);
	CHECK_EQ(ip6_notes.udp_len, 12);
	CHECK_EQ(ip6_notes.raw_packets, 1);
}

KTEST(ip6_impossible_addresses_are_dropped_rfc4291_2_7)
{
	static const struct {
		const char *src, *dst;
	} rows[] = {
	    {"ff02::1", "2001:db8::1"},
	    {"::1", "2001:db8::1"},
	    {"2001:db8::99", "::1"},
	    {"2001:db8::99", "::"},
	    {"2001:db8::99", "ff01::1"},
	    {"2001:db8::99", "ff00::1"},
	    {"1.2.3.4", "2001:db8::1"},
	    {"2001:db8::99", "1.2.3.4"},
	};

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = fake_drops[DROP_IP_MARTIAN];

		ip6_env_send(rows[i].src, rows[i].dst, 17, 64, "12345678", 8);
		CHECK_EQ(fake_drops[DROP_IP_MARTIAN] - before, 1);
	}
	CHECK_EQ(ip6_notes.udp_packets, 0);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(ip6_lengths_that_disagree_rfc8200_3)
{
	uint8_t h[48] = {0x60, 0, 0, 0, 0, 9, 17, 64};

	setup();
	ip6_env_input(h, 48);
	ip6_env_input(h, 39);
	ip6_env_input(h, 1);
	h[0] = 0x40;
	ip6_env_input(h, 48);
	CHECK_EQ(ip6_notes.udp_packets, 0);
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(ip6_padding_of_the_link_is_cut_off)
{
	uint8_t h[60] = {0x60, 0, 0, 0, 0, 8, 17, 64};

	setup();
	memcpy(h + 8, ip6_of("2001:db8::99").b, 16);
	memcpy(h + 24, ip6_of("2001:db8::1").b, 16);
	ip6_env_input(h, sizeof(h));
	CHECK_EQ(ip6_notes.udp_len, 8);
}

KTEST(ip6_tentative_address_gets_nothing_rfc4862_5_4)
{
	setup();
	(void)ip6_env_add_addr("2001:db8::2", 0);
	ip6_env_send("2001:db8::99", "2001:db8::2", 17, 64, "12345678", 8);
	CHECK_EQ(ip6_notes.udp_packets, 0);
}

KTEST(ip6_group_that_is_not_joined_is_dropped)
{
	struct ip_addr group = ip6_of("ff02::1234");

	setup();
	ip6_env_send("2001:db8::99", "ff02::1234", 17, 1, "12345678", 8);
	CHECK_EQ(ip6_notes.udp_packets, 0);
	CHECK_EQ(ip_mc_join(ip6_env_dev, &group), OK);
	ip6_env_send("2001:db8::99", "ff02::1234", 17, 1, "12345678", 8);
	CHECK_EQ(ip6_notes.udp_packets, 1);
	ip_mc_leave(ip6_env_dev, &group);
	ip6_env_send("2001:db8::99", "ff02::1234", 17, 1, "12345678", 8);
	CHECK_EQ(ip6_notes.udp_packets, 1);
}

/* ---- Errors we send -------------------------------------------------------------------- */

/* The ICMPv6 error on the wire, if any: type << 8 | code. */
static unsigned
error_on_wire(uint32_t *info)
{
	size_t n = ip6_env_wire(out, sizeof(out));

	if (!n)
		return 0;
	if (info)
		*info = (uint32_t)out[44] << 24 | (uint32_t)out[45] << 16 |
		        (uint32_t)out[46] << 8 | out[47];
	return out[6] == 58 ? (unsigned)out[40] << 8 | out[41] : 1;
}

KTEST(icmp6_port_unreachable_rfc4443_3_1)
{
	setup();
	ip6_notes.udp_refuses = true;
	ip6_env_send("2001:db8::99", "2001:db8::1", 17, 64, "12345678", 8);
	CHECK_EQ(error_on_wire(NULL), 0x104);
	CHECK_EQ(memcmp(out + 8, ip6_env_global.b, 16), 0);
	CHECK_EQ(memcmp(out + 48 + 40, "12345678", 8), 0);
}

KTEST(icmp6_unknown_next_header_rfc8200_4)
{
	uint32_t pointer;

	setup();
	ip6_env_send("2001:db8::99", "2001:db8::1", 99, 64, "12345678", 8);
	CHECK_EQ(error_on_wire(&pointer), 0x401);
	CHECK_EQ(pointer, 6);
}

KTEST(ip6_no_next_header_is_taken_silently_rfc8200_4_7)
{
	setup();
	ip6_env_send("2001:db8::99", "2001:db8::1", 59, 64, "12345678", 8);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp6_option_problem_to_groups_by_its_type_rfc4443_2_4_e3)
{
	setup();
	ip6_env_send("2001:db8::99", "ff02::1", 60, 64,
	    (uint8_t[]){17, 0, 0x9e, 4, 0, 0, 0, 0}, 8);
	CHECK_EQ(error_on_wire(NULL), 0x402);
	ip6_env_send("2001:db8::99", "ff02::1", 60, 64,
	    (uint8_t[]){17, 0, 0xde, 4, 0, 0, 0, 0}, 8);
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp6_no_error_about_an_error_or_to_a_group_rfc4443_2_4_e)
{
	static const uint8_t unreachable[48 + 8] = {
	    1, 4, [8] = 0x60, [13] = 8, [14] = 17};

	setup();
	ip6_notes.udp_refuses = true;
	ip6_env_send("2001:db8::99", "ff02::1", 17, 64, "12345678", 8);
	ip6_env_send("::", "2001:db8::1", 17, 64, "12345678", 8);
	/* an error inside destination options with an option that asks for one */
	ip6_env_send("2001:db8::99", "2001:db8::1", 60, 64,
	    (uint8_t[]){58, 0, 0x9e, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0}, 16);
	ip6_env_send(
	    "2001:db8::99", "2001:db8::1", 58, 64, unreachable, sizeof(unreachable));
	CHECK_EQ(fake_wire_count(), 0);
}

KTEST(icmp6_errors_are_limited_rfc4443_2_4_f)
{
	setup();
	ip6_notes.udp_refuses = true;
	for (unsigned i = 0; i < 100; i++)
		ip6_env_send("2001:db8::99", "2001:db8::1", 17, 64, "12345678", 8);
	CHECK_EQ(fake_wire_count(), 6);
	fake_net_timers_run(fake_now_ns + SEC);
	ip6_env_send("2001:db8::99", "2001:db8::1", 17, 64, "12345678", 8);
	CHECK_EQ(fake_wire_count(), 7);
	fake_wire_clear();
}

KTEST(icmp6_error_holds_no_more_than_1280_bytes_rfc4443_2_4_c)
{
	static uint8_t data[1400];

	setup();
	ip6_notes.udp_refuses = true;
	ip6_env_send("2001:db8::99", "2001:db8::1", 17, 64, data, sizeof(data));
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 1280);
}

/* ---- Echo, errors received ------------------------------------------------------------- */

KTEST(icmp6_echo_is_answered_rfc4443_4_2)
{
	setup();
	ip6_env_send(
	    "2001:db8::99", "2001:db8::1", 58, 64, "\x80\0\0\0\0\1\0\2hello", 13);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 53);
	CHECK_EQ(out[40], 129);
	CHECK_EQ(memcmp(out + 44, "\0\1\0\2hello", 9), 0);
	CHECK_EQ(memcmp(out + 8, ip6_env_global.b, 16), 0);
	ip6_env_input(out, 53); /* its checksum is right: but it is not for us */
}

KTEST(icmp6_echo_to_a_group_is_answered_from_our_address_rfc4443_4_2)
{
	setup();
	ip6_env_send("fe80::99", "ff02::1", 58, 64, "\x80\0\0\0\0\1\0\2hello", 13);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 53);
	CHECK_EQ(memcmp(out + 8, ip6_env_ll.b, 16), 0);
}

KTEST(icmp6_bad_checksum_is_dropped_rfc4443_2_3)
{
	uint8_t h[48] = {0x60, 0, 0, 0, 0, 8, 58, 64};

	setup();
	memcpy(h + 8, ip6_of("2001:db8::99").b, 16);
	memcpy(h + 24, ip6_env_global.b, 16);
	h[40] = 128;
	ip6_env_input(h, sizeof(h));
	CHECK_EQ(fake_wire_count(), 0);
}

/* An error of `type` and `code` about a UDP packet of ours. */
static void
send_error(uint8_t type, uint8_t code, uint32_t info, const char *inner_src)
{
	uint8_t m[8 + 40 + 8] = {type, code, 0, 0, (uint8_t)(info >> 24),
	    (uint8_t)(info >> 16), (uint8_t)(info >> 8), (uint8_t)info, 0x60, 0, 0, 0, 0,
	    8, 17, 64};

	memcpy(m + 16, ip6_of(inner_src).b, 16);
	memcpy(m + 32, ip6_of("2001:db8::99").b, 16);
	ip6_env_send("2001:db8::77", "2001:db8::1", 58, 64, m, sizeof(m));
}

KTEST(icmp6_errors_go_to_the_transport_rfc4443_2_4_a)
{
	static const struct {
		uint8_t type, code;
		enum err err;
		bool is_hard;
	} rows[] = {
	    {1, 0, ERR_NETUNREACH, false},
	    {1, 1, ERR_ACCES, true},
	    {1, 3, ERR_HOSTUNREACH, false},
	    {1, 4, ERR_CONNREFUSED, true},
	    {2, 0, ERR_MSGSIZE, false},
	    {3, 0, ERR_HOSTUNREACH, false},
	    {4, 1, ERR_PROTO, true},
	    {99, 0, ERR_PROTO, false},
	};

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		send_error(rows[i].type, rows[i].code, 1400, "2001:db8::1");
		CHECK_EQ(ip6_notes.udp_errors, i + 1);
		CHECK_EQ(ip6_notes.error.err, rows[i].err);
		CHECK_EQ(ip6_notes.error.is_hard, rows[i].is_hard);
		CHECK_EQ(ip6_notes.error.transport_len, 8);
	}
	send_error(1, 4, 0, "2001:db8::55"); /* not ours */
	CHECK_EQ(ip6_notes.udp_errors, ARRAY_SIZE(rows));
}

KTEST(icmp6_too_big_teaches_the_path_mtu_rfc8201_4)
{
	setup();
	send_error(2, 0, 1400, "2001:db8::1");
	CHECK_EQ(ip6_notes.learnt_mtu, 1400);
	send_error(2, 0, 1279, "2001:db8::1"); /* less than the minimum is not believed */
	CHECK_EQ(ip6_notes.learnt_mtu, 1400);
}

/* ---- Reassembly ------------------------------------------------------------------------ */

static uint8_t pattern[4096];

static void
fragment(uint32_t id, unsigned off, unsigned len, bool has_more)
{
	uint8_t f[8 + 1600] = {17, 0, (uint8_t)(off >> 8), (uint8_t)(off | has_more),
	    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7);
	memcpy(f + 8, pattern + off, len);
	ip6_env_send("2001:db8::99", "2001:db8::1", 44, 64, f, 8 + len);
}

KTEST(frag_in_any_order_is_put_together_rfc8200_4_5)
{
	static const unsigned orders[][3] = {
	    {0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}, {0, 2, 1}, {2, 0, 1}};

	setup();
	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		for (unsigned k = 0; k < 3; k++) {
			unsigned which = orders[i][k];

			fragment(i, which * 800, which == 2 ? 11 : 800, which != 2);
		}
		CHECK_EQ(ip6_notes.udp_packets, i + 1);
		CHECK_EQ(ip6_notes.udp_len, 1611);
		CHECK_EQ(memcmp(ip6_notes.udp_data, pattern, 1611), 0);
	}
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(frag_exact_copy_is_dropped_alone_rfc8200_4_5)
{
	setup();
	fragment(1, 0, 800, true);
	fragment(1, 0, 800, true);
	fragment(1, 800, 8, false);
	CHECK_EQ(ip6_notes.udp_packets, 1);
}

KTEST(frag_overlap_drops_all_and_what_still_comes_rfc5722_4)
{
	setup();
	fragment(2, 0, 800, true);
	fragment(2, 792, 16, true);
	fragment(2, 800, 8, false);
	fragment(2, 0, 800, true);
	CHECK_EQ(ip6_notes.udp_packets, 0);
	fake_net_timers_run(fake_now_ns + 61 * SEC);
	CHECK_EQ(fake_wire_count(), 0);
	CHECK_EQ(fake_pkts_live, 0);
	fragment(2, 0, 800, true);
	fragment(2, 800, 8, false);
	CHECK_EQ(ip6_notes.udp_packets, 1);
}

KTEST(frag_atomic_is_delivered_alone_rfc6946_4)
{
	setup();
	fragment(3, 0, 800, true);
	fragment(3, 0, 100, false);
	CHECK_EQ(ip6_notes.udp_packets, 1);
	CHECK_EQ(ip6_notes.udp_len, 100);
	fragment(3, 800, 8, false);
	CHECK_EQ(ip6_notes.udp_packets, 2);
	CHECK_EQ(ip6_notes.udp_len, 808);
}

KTEST(frag_time_out_is_told_if_the_first_came_rfc8200_4_5)
{
	setup();
	fragment(4, 0, 800, true);
	fragment(5, 800, 800, true);
	fake_net_timers_run(fake_now_ns + 59 * SEC);
	CHECK_EQ(fake_wire_count(), 0);
	fake_net_timers_run(fake_now_ns + 2 * SEC);
	/* One error, after a look for the peer, who may have been forgotten. */
	know_peer("2001:db8::99");
	CHECK_EQ(error_on_wire(NULL), 0x301);
	CHECK_EQ(fake_wire_count(), 0);
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(frag_length_not_a_multiple_of_8_rfc8200_4_5)
{
	uint32_t pointer;

	setup();
	fragment(6, 0, 801, true);
	CHECK_EQ(error_on_wire(&pointer), 0x400);
	CHECK_EQ(pointer, 4);
}

KTEST(frag_beyond_65535_rfc8200_4_5)
{
	uint8_t f[8 + 80] = {17, 0, 0xff, 0xf8, 0, 0, 0, 7};
	uint32_t pointer;

	setup();
	ip6_env_send("2001:db8::99", "2001:db8::1", 44, 64, f, sizeof(f));
	CHECK_EQ(error_on_wire(&pointer), 0x400);
	CHECK_EQ(pointer, 42);
}

KTEST(frag_first_without_upper_header_rfc7112_5)
{
	uint8_t f[16] = {60, 0, 0, 1, 0, 0, 0, 8, 60, 3, 0, 0, 0, 0, 0, 0};

	setup();
	ip6_env_send("2001:db8::99", "2001:db8::1", 44, 64, f, sizeof(f));
	CHECK_EQ(error_on_wire(NULL), 0x403);
}

KTEST(frag_flood_is_bounded)
{
	setup();
	for (unsigned i = 0; i < 5000; i++)
		fragment(100 + i, 800, 800, true);
	CHECK(fake_pkts_live <= 1100);
	fake_net_timers_run(fake_now_ns + 61 * SEC);
	CHECK_EQ(fake_pkts_live, 0);
	for (unsigned i = 0; i < 200; i++)
		fragment(9, 8 * i, 8, true);
	CHECK(fake_pkts_live <= 64);
	fake_net_timers_run(fake_now_ns + 61 * SEC);
	fake_wire_clear();
}

KTEST(frag_survives_no_memory)
{
	for (unsigned n = 1; n < 12; n++) {
		setup();
		fake_kmalloc_fail_nth(n);
		fragment(n, 0, 800, true);
		fragment(n, 800, 8, false);
		fake_kmalloc_fail_nth(0);
		fake_net_timers_run(fake_now_ns + 61 * SEC);
		fake_wire_clear();
		CHECK_EQ(fake_pkts_live, 0);
	}
}

/* ---- Output ---------------------------------------------------------------------------- */

static enum err
send_udp(size_t n, int df, uint32_t mtu)
{
	struct flow flow = {.dst = ip6_of("2001:db8::99")};
	struct ip_tx tx = {.proto = 17, .ttl = -1, .df = df, .tos = 0xab};
	struct pkt *p = pkt_alloc(n);
	struct dst *dst;
	enum err err;

	memcpy(pkt_put(p, n), pattern, n);
	if (route_output(&flow, &dst) != OK)
		return ERR_INVAL;
	dst->mtu = mtu;
	tx.src = flow.src;
	tx.dst = flow.dst;
	err = ip6_send(p, dst, &tx);
	dst_put(dst);
	return err;
}

KTEST(ip6_header_we_send_rfc8200_3)
{
	uint8_t label[3];

	setup();
	CHECK_EQ(send_udp(100, IP_DF_AUTO, 1500), OK);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 140);
	CHECK_EQ(out[0], 0x6a);
	CHECK_EQ(out[1] & 0xf0, 0xb0);
	CHECK_EQ(out[4] << 8 | out[5], 100);
	CHECK_EQ(out[6], 17);
	CHECK_EQ(out[7], 64);
	memcpy(label, out + 1, 3);
	CHECK(label[0] & 0xf || label[1] ||
	      label[2]); /* RFC 6437 3: a label, always the same */
	CHECK_EQ(send_udp(90, IP_DF_AUTO, 1500), OK);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 130);
	CHECK_EQ(memcmp(label, out + 1, 3), 0);
}

KTEST(ip6_source_fragments_what_is_too_long_rfc8200_4_5)
{
	size_t at = 0, n;

	setup();
	CHECK_EQ(send_udp(3000, IP_DF_AUTO, 1400), OK);
	while ((n = ip6_env_wire(out, sizeof(out)))) {
		unsigned word = (unsigned)out[42] << 8 | out[43];

		CHECK(n <= 1400);
		CHECK_EQ(out[6], 44);
		CHECK_EQ(out[40], 17);
		CHECK_EQ(word & 0xfff8, at);
		CHECK_EQ(memcmp(out + 48, pattern + at, n - 48), 0);
		at += n - 48;
		CHECK_EQ(word & 1, at < 3000);
	}
	CHECK_EQ(at, 3000);
}

KTEST(ip6_refuses_what_may_not_be_fragmented_rfc3542_11_2)
{
	setup();
	CHECK_EQ(send_udp(3000, IP_DF_SET, 1400), ERR_MSGSIZE);
	CHECK_EQ(send_udp(1361, IP_DF_SET, 1400), ERR_MSGSIZE);
	CHECK_EQ(send_udp(1360, IP_DF_SET, 1400), OK);
	CHECK_EQ(send_udp(1400, IP_DF_PROBE, 1280), OK);
	fake_wire_clear();
}

/* ---- Forwarding ------------------------------------------------------------------------ */

KTEST(ip6_forwards_only_where_switched_on)
{
	setup();
	ip6_env_send("2001:db8:1::1", "2001:db8::99", 17, 64, "12345678", 8);
	CHECK_EQ(fake_wire_count(), 0);
	ip6_env_dev->is_forwarding6 = true;
	ip6_env_send("2001:db8:1::1", "2001:db8::99", 17, 64, "12345678", 8);
	CHECK_EQ(ip6_env_wire(out, sizeof(out)), 48);
	CHECK_EQ(out[7], 63);
}

KTEST(ip6_forwarding_errors_rfc4443_3)
{
	setup();
	ip6_env_dev->is_forwarding6 = true;
	ip6_env_send("2001:db8::99", "2001:db8:1::1", 17, 1, "12345678", 8);
	CHECK_EQ(error_on_wire(NULL), 0x300);
	ip6_notes.route_result = ERR_NETUNREACH;
	ip6_env_send("2001:db8::99", "2001:db8:1::1", 17, 9, "12345678", 8);
	CHECK_EQ(error_on_wire(NULL), 0x100);
	ip6_notes.route_result = ERR_ACCES;
	ip6_env_send("2001:db8::99", "2001:db8:1::1", 17, 9, "12345678", 8);
	CHECK_EQ(error_on_wire(NULL), 0x101);
}

KTEST(ip6_forwarding_too_big_tells_the_mtu_rfc4443_3_2)
{
	static uint8_t data[1460];
	uint32_t mtu;

	setup();
	ip6_env_dev->is_forwarding6 = true;
	ip6_env_dev->mtu = 1400;
	ip6_env_send("2001:db8::99", "2001:db8::77", 17, 64, data, sizeof(data));
	ip6_env_dev->mtu = 1500;
	CHECK_EQ(error_on_wire(&mtu), 0x200);
	CHECK_EQ(mtu, 1400);
}

KTEST(ip6_forwarding_keeps_link_local_on_its_link_rfc4291_2_5_6)
{
	setup();
	ip6_env_dev->is_forwarding6 = true;
	ip6_env_send("2001:db8::99", "fe80::77", 17, 64, "12345678", 8);
	ip6_env_send("::", "2001:db8::77", 17, 64, "12345678", 8);
	CHECK_EQ(fake_wire_count(), 0);
}
