/*
 * The small parts of TCP: options on the wire, TIME-WAIT, resets, initial sequence
 * numbers, SYN cookies; and the core under random input, as tests/fuzz/ has it, for a
 * fixed number of runs.
 * LINK: tests/fuzz/tcp_core_fuzz.c net/tcp_isn.c net/tcp_timewait.c net/tcp_core.c
 * net/tcp_input.c net/tcp_input_ack.c net/tcp_input_data.c
 * net/tcp_output.c net/tcp_mtu.c net/tcp_timer.c net/tcp_rtt.c net/tcp_tx.c net/tcp_sack.c net/tcp_rack.c
 * net/tcp_recover.c net/tcp_cc.c net/tcp_cc_cubic.c net/tcp_cc_reno.c
 * net/tcp_options.c lib/siphash.c lib/string.c
 */
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/tcp_core.h"
#include "tests/unit/ktest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct siphash_key key = {{1, 2}};
static const struct tcp_tuple tuple = {.local_port = 80, .remote_port = 1234};

/* ---- Options ------------------------------------------------------------------- */

KTEST(options_of_linux_syn_are_read_rfc_9293_3_2)
{
	static const uint8_t syn[] = {
	    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	struct tcp_opts o;

	CHECK(tcp_parse_options(syn, sizeof(syn), &o));
	CHECK_EQ(o.has, TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TS);
	CHECK_EQ(o.mss, 1460);
	CHECK_EQ(o.wscale, 7);
	CHECK_EQ(o.tsval, 256);
}

KTEST(options_are_written_as_linux_writes_them)
{
	static const uint8_t want[] = {
	    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	struct tcp_opts o = {
	    .has = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TS,
	    .mss = 1460,
	    .wscale = 7,
	    .tsval = 256};
	uint8_t buf[TCP_MAX_OPTIONS];

	CHECK_EQ(tcp_options_len(&o), sizeof(want));
	CHECK_EQ(tcp_write_options(&o, buf), sizeof(want));
	CHECK(!memcmp(buf, want, sizeof(want)));
}

KTEST(options_window_scale_above_14_is_14_rfc_7323_2_3)
{
	static const uint8_t p[] = {3, 3, 200};
	struct tcp_opts o;

	CHECK(tcp_parse_options(p, sizeof(p), &o));
	CHECK_EQ(o.wscale, 14);
}

KTEST(options_unknown_kinds_are_skipped_rfc_9293_must_6)
{
	static const uint8_t p[] = {77, 6, 1, 2, 3, 4, 1, 1, 2, 4, 1, 0};
	struct tcp_opts o;

	CHECK(tcp_parse_options(p, sizeof(p), &o));
	CHECK_EQ(o.mss, 256);
}

KTEST(options_bad_lengths_end_the_list_rfc_9293_must_7)
{
	static const struct {
		uint8_t p[6];
		uint8_t n;
	} bad[] = {{{2}, 1}, {{2, 0, 0, 0}, 4}, {{2, 1, 0, 0}, 4}, {{2, 5, 1, 2}, 4},
	    {{8, 10, 0, 0}, 4}};
	struct tcp_opts o;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(!tcp_parse_options(bad[i].p, bad[i].n, &o));
		CHECK_EQ(o.has, 0);
	}
}

KTEST(options_of_a_wrong_length_are_as_if_not_there)
{
	static const uint8_t p[] = {
	    2, 3, 5, 3, 4, 7, 7, 4, 3, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0};
	struct tcp_opts o;

	CHECK(tcp_parse_options(p, sizeof(p), &o));
	CHECK_EQ(o.has, 0);
	CHECK_EQ(o.nsack, 0);
}

KTEST(options_after_the_end_are_not_read)
{
	static const uint8_t p[] = {0, 2, 4, 5, 0xb4};
	struct tcp_opts o;

	CHECK(tcp_parse_options(p, sizeof(p), &o));
	CHECK_EQ(o.has, 0);
}

KTEST(options_sack_blocks_are_read_and_written_rfc_2018_3)
{
	struct tcp_opts o = {.has = TCP_OPT_TS, .nsack = 3}, again;
	uint8_t buf[TCP_MAX_OPTIONS];

	for (unsigned i = 0; i < 3; i++)
		o.sack[i] = (struct tcp_range){i * 1000, i * 1000 + 500};
	CHECK_EQ(tcp_write_options(&o, buf), 40);
	CHECK(tcp_parse_options(buf, 40, &again));
	CHECK_EQ(again.nsack, 3);
	CHECK_EQ(again.sack[2].end, 2500);
}

/* ---- Without connection -------------------------------------------------------- */

KTEST(reset_answers_an_ack_with_its_number_rfc_9293_3_10_7_1)
{
	struct tcp_seg seg = {.flags = TCP_ACK, .seq = 5, .ack = 77, .len = 3};
	struct tcp_out out;

	CHECK(tcp_reset_for(&seg, &out));
	CHECK_EQ(out.flags, TCP_RST);
	CHECK_EQ(out.seq, 77);
}

KTEST(reset_acknowledges_a_segment_without_ack_rfc_9293_3_10_7_1)
{
	struct tcp_seg seg = {.flags = TCP_SYN, .seq = 5, .len = 3};
	struct tcp_out out;

	CHECK(tcp_reset_for(&seg, &out));
	CHECK_EQ(out.flags, TCP_RST | TCP_ACK);
	CHECK_EQ(out.seq, 0);
	CHECK_EQ(out.ack, 9);
}

KTEST(reset_never_answers_a_reset_rfc_9293_3_10_7_1)
{
	struct tcp_seg seg = {.flags = TCP_RST | TCP_ACK};
	struct tcp_out out;

	CHECK(!tcp_reset_for(&seg, &out));
}

static struct tcp_tw
time_wait(bool use_ts)
{
	return (struct tcp_tw){.snd_nxt = 1000,
	    .rcv_nxt = 5000,
	    .rcv_wnd = 60000,
	    .use_ts = use_ts,
	    .ts_recent = 700};
}

KTEST(time_wait_acknowledges_the_fin_again_and_restarts_rfc_9293_3_10_7_4)
{
	struct tcp_tw tw = time_wait(false);
	struct tcp_seg fin = {.flags = TCP_FIN | TCP_ACK, .seq = 4999, .ack = 1000};
	struct tcp_out out;
	uint32_t iss;

	CHECK_EQ(tcp_tw_input(&tw, &fin, 5 * NSEC_PER_SEC, &out, &iss), TCP_TW_ACK);
	CHECK_EQ(out.flags, TCP_ACK);
	CHECK_EQ(out.seq, 1000);
	CHECK_EQ(out.ack, 5000);
	CHECK_EQ(tw.expires, 65 * NSEC_PER_SEC);
}

KTEST(time_wait_takes_a_newer_syn_rfc_6191_2)
{
	struct tcp_tw tw = time_wait(true);
	struct tcp_seg syn = {.flags = TCP_SYN, .seq = 100};
	struct tcp_out out;
	uint32_t iss = 0;

	syn.opts.has = TCP_OPT_TS;
	syn.opts.tsval = 701;
	CHECK_EQ(tcp_tw_input(&tw, &syn, 0, &out, &iss), TCP_TW_REUSE);
	CHECK(seq_lt(1000, iss));
	syn.opts.tsval = 699;
	CHECK_EQ(tcp_tw_input(&tw, &syn, 0, &out, &iss), TCP_TW_ACK);
}

KTEST(time_wait_takes_a_syn_beyond_all_numbers_rfc_1122_4_2_2_13)
{
	struct tcp_tw tw = time_wait(false);
	struct tcp_seg syn = {.flags = TCP_SYN, .seq = 5001};
	struct tcp_out out;
	uint32_t iss;

	CHECK_EQ(tcp_tw_input(&tw, &syn, 0, &out, &iss), TCP_TW_REUSE);
	syn.seq = 4000;
	CHECK_EQ(tcp_tw_input(&tw, &syn, 0, &out, &iss), TCP_TW_ACK);
}

KTEST(time_wait_ignores_old_resets_and_bare_acks)
{
	struct tcp_tw tw = time_wait(true);
	struct tcp_seg seg = {.flags = TCP_RST, .seq = 5000};
	struct tcp_out out;
	uint32_t iss;

	seg.opts.has = TCP_OPT_TS;
	seg.opts.tsval = 1;
	CHECK_EQ(tcp_tw_input(&tw, &seg, 0, &out, &iss), TCP_TW_DROP);
	seg.opts.tsval = 800;
	CHECK_EQ(tcp_tw_input(&tw, &seg, 0, &out, &iss), TCP_TW_END);
	seg.flags = TCP_ACK;
	CHECK_EQ(tcp_tw_input(&tw, &seg, 0, &out, &iss), TCP_TW_DROP);
}

/* ---- Numbers ------------------------------------------------------------------- */

KTEST(isn_runs_with_the_clock_and_differs_by_tuple_rfc_6528)
{
	struct tcp_tuple other = tuple;
	uint32_t isn = tcp_isn(&key, &tuple, 0);

	other.remote_port++;
	CHECK_EQ(tcp_isn(&key, &tuple, NSEC_PER_SEC) - isn, 250000);
	CHECK(tcp_isn(&key, &other, 0) != isn);
}

KTEST(port_offset_does_not_depend_on_the_port_sought_rfc_6056_3_3_3)
{
	struct tcp_tuple other = tuple;

	other.local_port = 9;
	CHECK_EQ(tcp_port_offset(&key, &tuple), tcp_port_offset(&key, &other));
	other.remote_port++;
	CHECK(tcp_port_offset(&key, &tuple) != tcp_port_offset(&key, &other));
}

/* The ACK that answers a SYN-ACK made of the cookie. */
static struct tcp_seg
cookie_ack(const struct tcp_seg *syn, bool ecn, nsec_t now)
{
	struct tcp_seg ack = {.flags = TCP_ACK,
	    .seq = syn->seq + 1,
	    .ack = tcp_cookie_make(&key, &tuple, syn, now) + 1};

	if (syn->opts.has & TCP_OPT_TS) {
		ack.opts.has = TCP_OPT_TS;
		ack.opts.tsval = syn->opts.tsval + 1;
		ack.opts.tsecr = tcp_cookie_tsval(syn, ecn, now);
	}
	return ack;
}

KTEST(cookie_brings_back_the_syn_options_rfc_4987_3_6)
{
	struct tcp_seg syn = {.seq = 12345, .flags = TCP_SYN};
	nsec_t now = 1000 * NSEC_PER_SEC;
	struct tcp_seg ack;
	struct tcp_opts o;
	bool ecn;

	syn.opts = (struct tcp_opts){
	    .has = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TS,
	    .mss = 1400,
	    .wscale = 9,
	    .tsval = 55};
	ack = cookie_ack(&syn, true, now);
	CHECK(tcp_cookie_check(&key, &tuple, &ack, now + 30 * NSEC_PER_SEC, &o, &ecn));
	CHECK_EQ(o.mss, 1300);
	CHECK_EQ(o.wscale, 9);
	CHECK_EQ(o.has, syn.opts.has);
	CHECK(ecn);
}

KTEST(cookie_without_timestamps_keeps_the_mss_only)
{
	struct tcp_seg syn = {.seq = 1, .flags = TCP_SYN};
	struct tcp_seg ack;
	struct tcp_opts o;
	bool ecn;

	syn.opts = (struct tcp_opts){
	    .has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 9};
	ack = cookie_ack(&syn, false, NSEC_PER_SEC);
	CHECK(tcp_cookie_check(&key, &tuple, &ack, 2 * NSEC_PER_SEC, &o, &ecn));
	CHECK_EQ(o.has, TCP_OPT_MSS);
	CHECK_EQ(o.mss, 1460);
	CHECK(!ecn);
}

KTEST(cookie_forged_or_old_is_refused)
{
	struct tcp_seg syn = {.seq = 1, .flags = TCP_SYN};
	struct tcp_seg ack = cookie_ack(&syn, false, 0);
	struct tcp_tuple other = tuple;
	struct tcp_opts o;
	bool ecn;

	CHECK(!tcp_cookie_check(&key, &tuple, &ack, 180 * NSEC_PER_SEC, &o, &ecn));
	other.remote_port++;
	CHECK(!tcp_cookie_check(&key, &other, &ack, 0, &o, &ecn));
	ack.seq++;
	CHECK(!tcp_cookie_check(&key, &tuple, &ack, 0, &o, &ecn));
	ack.seq--;
	ack.ack ^= 1;
	CHECK(!tcp_cookie_check(&key, &tuple, &ack, 0, &o, &ecn));
}

KTEST(cookie_connection_is_established_by_its_ack)
{
	struct tcp_config cfg = {
	    .mss = 1460, .rcvbuf = 65535, .use_sack = true, .use_wscale = true};
	struct tcp_seg syn = {.seq = 9000, .flags = TCP_SYN};
	struct tcp_seg ack;
	struct tcp_opts o;
	struct tcp_result r;
	struct tcp_out out;
	static struct tcb t;
	bool ecn;

	syn.opts = (struct tcp_opts){.has = TCP_OPT_MSS, .mss = 1460};
	ack = cookie_ack(&syn, false, 0);
	ack.wnd = 5000;
	CHECK(tcp_cookie_check(&key, &tuple, &ack, 0, &o, &ecn));
	cfg.iss = ack.ack - 1;
	tcp_core_accept_cookie(&t, &cfg, &ack, &o, 0);
	tcp_core_input(&t, &ack, 0, &r);
	CHECK_EQ(t.state, TCP_ESTABLISHED);
	CHECK(r.events & TCP_EV_CONNECTED);
	CHECK(!tcp_core_output(&t, 0, &out));
	tcp_core_send(&t, 100, false, 0);
	CHECK(tcp_core_output(&t, 0, &out));
	CHECK_EQ(out.seq, ack.ack);
	CHECK_EQ(out.len, 100);
}

/* ---- Random input -------------------------------------------------------------- */

KTEST(core_keeps_its_invariants_under_random_input)
{
	uint64_t x = 88172645463325252ull;
	uint8_t data[600];

	for (unsigned run = 0; run < 3000; run++) {
		for (unsigned i = 0; i < sizeof(data); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			data[i] = (uint8_t)(x >> 20);
		}
		(void)LLVMFuzzerTestOneInput(data, sizeof(data));
	}
}

KTEST(control_block_of_an_idle_connection_is_small)
{
	CHECK(sizeof(struct tcb) <= 768);
}
