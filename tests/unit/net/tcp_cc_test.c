/*
 * Congestion control by its formulas: CUBIC's curve, Reno's line, slow start and its
 * early end.
 * LINK: net/tcp_cc.c net/tcp_cc_cubic.c net/tcp_cc_reno.c net/tcp_core.c net/tcp_input.c
 * net/tcp_input_ack.c net/tcp_input_data.c
 * net/tcp_output.c net/tcp_mtu.c net/tcp_timer.c net/tcp_rtt.c net/tcp_tx.c net/tcp_sack.c net/tcp_rack.c
 * net/tcp_recover.c net/tcp_options.c lib/string.c
 */
#include "net/tcp_cc.h"

#include "tests/unit/ktest.h"

enum { MSS = 1000, RTT_US = 100000 };

static struct tcb t;

/* In congestion avoidance or slow start, limited by its window. */
static void
setup(const char *cc, uint32_t cwnd, uint32_t ssthresh)
{
	struct tcp_config cfg = {.mss = MSS, .rcvbuf = 65535, .cc = tcp_cc_find(cc)};

	tcp_core_connect(&t, &cfg, 0);
	t.mss = MSS;
	t.srtt8_us = 8 * RTT_US;
	t.rtt_valid = true;
	t.cwnd = cwnd;
	t.ssthresh = ssthresh;
	tcp_cc_init(&t);
}

/* A round trip: the whole window is acknowledged, two segments at a time. */
static void
round_trip(nsec_t now, uint32_t rtt_us)
{
	uint32_t left = t.cwnd;

	while (left) {
		uint32_t n = MIN(left, 2u * MSS);

		t.snd_nxt = t.snd_una + t.cwnd; /* the sender keeps the path full */
		t.is_cwnd_limited = true;
		t.cwnd_used_seq = t.snd_nxt;
		t.snd_una += n;
		left -= n;
		tcp_cc_acked(&t, n, rtt_us, now);
	}
}

static double
cubed(double x)
{
	return x * x * x;
}

/* The K with C K^3 = W_max - cwnd, by bisection. */
static double
plateau_at(double drop_segs)
{
	double low = 0, high = 100;

	for (int i = 0; i < 60; i++) {
		double mid = (low + high) / 2;

		if (0.4 * cubed(mid) < drop_segs)
			low = mid;
		else
			high = mid;
	}
	return low;
}

KTEST(cubic_follows_its_curve_rfc_9438_4_2)
{
	double k = plateau_at(300);
	nsec_t now = NSEC_PER_SEC, start;

	setup("cubic", 1000 * MSS, 1);
	t.is_cwnd_limited = true;
	t.ssthresh = t.cc->ssthresh(&t);
	CHECK_EQ(t.ssthresh, 700 * MSS);
	t.cwnd = t.ssthresh;
	start = now;
	for (int i = 0; i < 150; i++) {
		double at = (double)(now - start) / 1e9, want;

		round_trip(now, RTT_US);
		now += RTT_US * NSEC_PER_USEC;
		want = 0.4 * cubed(at + 0.1 - k) + 1000;
		CHECK(t.cwnd > (want - 15) * MSS * 0.98);
		CHECK(t.cwnd < (want + 15) * MSS * 1.02);
	}
}

KTEST(cubic_on_a_short_path_is_not_slower_than_reno_rfc_9438_4_3)
{
	nsec_t now = NSEC_PER_SEC;

	setup("cubic", 20 * MSS, 1);
	t.is_cwnd_limited = true;
	t.ssthresh = t.cc->ssthresh(&t);
	t.cwnd = t.ssthresh;
	t.srtt8_us = 8 * 1000;
	for (int i = 0; i < 40; i++) {
		round_trip(now, 1000);
		now += NSEC_PER_MSEC;
	}
	/* 14 segments and 9/17 of one for each round until 20, then one. */
	CHECK(t.cwnd > 40 * MSS);
	CHECK(t.cwnd < 56 * MSS);
}

KTEST(cubic_gives_room_to_newcomers_rfc_9438_4_7)
{
	struct tcb first;

	setup("cubic", 1000 * MSS, 1);
	t.is_cwnd_limited = true;
	t.cwnd = t.ssthresh = t.cc->ssthresh(&t);
	round_trip(NSEC_PER_SEC, RTT_US);
	first = t;
	t.is_cwnd_limited = true;
	t.cwnd = 800 * MSS; /* below the last maximum: somebody else takes his share */
	t.cwnd = t.cc->ssthresh(&t);
	round_trip(2 * NSEC_PER_SEC, RTT_US);
	CHECK(t.cwnd < 800 * MSS);
	CHECK(first.cwnd < 1000 * MSS);
}

KTEST(reno_grows_by_a_segment_for_each_window_rfc_5681_3_1)
{
	setup("reno", 10 * MSS, 1);
	for (int i = 1; i <= 20; i++) {
		round_trip(NSEC_PER_SEC, RTT_US);
		CHECK_EQ(t.cwnd, (10 + i) * MSS);
	}
}

KTEST(reno_halves_what_was_used_rfc_5681_equation_4)
{
	setup("reno", 100 * MSS, 1);
	t.is_cwnd_limited = false;
	t.flight = 30 * MSS;
	CHECK_EQ(t.cc->ssthresh(&t), 15 * MSS);
	t.is_cwnd_limited = true;
	CHECK_EQ(t.cc->ssthresh(&t), 50 * MSS);
	t.cwnd = 2 * MSS;
	CHECK_EQ(t.cc->ssthresh(&t), 2 * MSS);
}

KTEST(slow_start_doubles_and_stops_at_the_threshold_rfc_5681_3_1)
{
	setup("reno", 10 * MSS, 30 * MSS);
	round_trip(NSEC_PER_SEC, RTT_US);
	CHECK_EQ(t.cwnd, 20 * MSS);
	round_trip(NSEC_PER_SEC, RTT_US);
	CHECK_EQ(t.cwnd, 30 * MSS);
	round_trip(NSEC_PER_SEC, RTT_US);
	CHECK_EQ(t.cwnd, 31 * MSS);
}

KTEST(a_window_that_is_not_used_does_not_grow_rfc_9438_5_8)
{
	setup("cubic", 10 * MSS, 30 * MSS);
	t.is_cwnd_limited = false;
	t.snd_una += 10 * MSS;
	tcp_cc_acked(&t, 10 * MSS, RTT_US, NSEC_PER_SEC);
	CHECK_EQ(t.cwnd, 10 * MSS);
}

KTEST(hystart_slows_down_when_delay_grows_then_ends_slow_start_rfc_9406_4_2)
{
	int i;

	setup("reno", 10 * MSS, UINT32_MAX);
	for (i = 0; i < 3; i++)
		round_trip(NSEC_PER_SEC, RTT_US);
	CHECK_EQ(t.cwnd, 80 * MSS);
	CHECK(!t.in_css);
	/* An eighth of 100 ms more: a queue builds up. */
	round_trip(NSEC_PER_SEC, RTT_US + 13000);
	CHECK(t.in_css);
	for (i = 0; i < 5; i++)
		round_trip(NSEC_PER_SEC, RTT_US + 13000);
	CHECK(t.ssthresh != UINT32_MAX);
}

KTEST(hystart_goes_on_when_the_delay_passes_rfc_9406_4_2)
{
	setup("reno", 10 * MSS, UINT32_MAX);
	for (int i = 0; i < 3; i++)
		round_trip(NSEC_PER_SEC, RTT_US);
	round_trip(NSEC_PER_SEC, RTT_US + 13000);
	CHECK(t.in_css);
	round_trip(NSEC_PER_SEC, RTT_US);
	CHECK(!t.in_css);
	CHECK_EQ(t.ssthresh, UINT32_MAX);
}

KTEST(idleness_halves_the_window_each_time_out_down_to_the_initial_rfc_5681_4_1)
{
	setup("reno", 100 * MSS, 1);
	t.rto_us = 1000000;
	tcp_cc_idle(&t, 2500000);
	CHECK_EQ(t.cwnd, 25 * MSS);
	tcp_cc_idle(&t, 100000000);
	CHECK_EQ(t.cwnd, 10 * MSS);
}

KTEST(pacing_is_twice_the_rate_in_slow_start_and_a_fifth_above_it_later)
{
	setup("reno", 100 * MSS, UINT32_MAX);
	tcp_cc_pace(&t);
	CHECK_EQ(t.pace_rate, 2000000);
	t.ssthresh = 100 * MSS;
	tcp_cc_pace(&t);
	CHECK_EQ(t.pace_rate, 1200000);
	t.pace_max = 5000;
	tcp_cc_pace(&t);
	CHECK_EQ(t.pace_rate, 5000);
}
