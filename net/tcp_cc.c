/*
 * What all congestion control schemes share: the initial window (RFC 6928), slow start
 * (RFC 5681 3.1, counting bytes as RFC 3465) that ends early when delay grows (HyStart++,
 * RFC 9406), no growth of a window that is not used, decay after idleness, the pacing
 * rate, and the table of schemes.
 */
#include "net/tcp_cc.h"

#include "lib/string.h"
#include "net/tcp_priv.h"

/* RFC 9406 4.3. */
enum {
	MIN_RTT_THRESH_US = 4000,
	MAX_RTT_THRESH_US = 16000,
	MIN_RTT_DIVISOR = 8,
	N_RTT_SAMPLES = 8,
	CSS_GROWTH_DIVISOR = 4,
	CSS_ROUNDS = 5,
	LIMIT = 8, /* L: segments by which one ACK may raise the window when not paced */
};

enum {
	/*
	 * Below, timers and the scheduling of both ends spread a window more than is good for
	 * it, and the burst of one window does no harm: ACKs are the better clock.
	 */
	PACE_MIN_RTT_US = 10000,
	RTT_NONE = UINT32_MAX & 0x7fffffff,
};

static const struct tcp_cc_ops *const schemes[] = {&tcp_cc_cubic, &tcp_cc_reno};

const struct tcp_cc_ops *
tcp_cc_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (!strcmp(schemes[i]->name, name))
			return schemes[i];
	}
	return NULL;
}

const char *
tcp_cc_name(const struct tcp_cc_ops *cc)
{
	return cc->name;
}

uint32_t
tcp_cc_initial(const struct tcb *t)
{
	return MIN(10u * t->mss, MAX(2u * t->mss, 14600u));
}

uint32_t
tcp_cc_flight(const struct tcb *t)
{
	return t->is_cwnd_limited ? t->cwnd : MIN(t->cwnd, t->flight);
}

static void
hystart_round(struct tcb *t)
{
	t->hystart.last_min_us = t->hystart.cur_min_us;
	t->hystart.cur_min_us = RTT_NONE;
	t->hystart.samples = 0;
	t->hystart.end_seq = t->snd_nxt;
}

void
tcp_cc_init(struct tcb *t)
{
	memset(t->cc_state, 0, sizeof(t->cc_state));
	t->hystart.cur_min_us = RTT_NONE;
	hystart_round(t);
	t->in_css = false;
	t->cc->init(t);
}

/*
 * RFC 9406 4.2: the end of slow start is near when the least RTT of a round has grown by
 * an eighth.
 */
static void
hystart(struct tcb *t, uint32_t rtt_us)
{
	if (rtt_us) {
		t->hystart.cur_min_us = MIN(t->hystart.cur_min_us, rtt_us);
		if (t->hystart.samples < UINT8_MAX)
			t->hystart.samples++;
	}
	if (t->hystart.samples >= N_RTT_SAMPLES && t->hystart.cur_min_us != RTT_NONE) {
		uint32_t last = t->hystart.last_min_us;
		uint32_t thresh =
		    MIN(MAX(last / MIN_RTT_DIVISOR, (uint32_t)MIN_RTT_THRESH_US),
		        (uint32_t)MAX_RTT_THRESH_US);

		if (!t->in_css && last != RTT_NONE &&
		    t->hystart.cur_min_us >= last + thresh) {
			t->in_css = true;
			t->hystart.css_min_us = t->hystart.cur_min_us;
			t->hystart.css_rounds = 0;
		} else if (t->in_css && t->hystart.cur_min_us < t->hystart.css_min_us) {
			t->in_css = false; /* it was a passing delay */
		}
	}
	if (seq_lt(t->snd_una, t->hystart.end_seq))
		return;
	if (t->in_css && ++t->hystart.css_rounds >= CSS_ROUNDS)
		t->ssthresh = t->cwnd;
	hystart_round(t);
}

/* Grows in slow start; returns the bytes that are left for congestion avoidance. */
static uint32_t
slow_start(struct tcb *t, uint32_t acked, uint32_t rtt_us)
{
	uint32_t grow = t->pace_rate ? acked : MIN(acked, LIMIT * (uint32_t)t->mss), room;

	if (t->in_css)
		grow /= CSS_GROWTH_DIVISOR;
	room = t->ssthresh - t->cwnd;
	t->cwnd += MIN(grow, room);
	hystart(t, rtt_us);
	return grow > room ? grow - room : 0;
}

void
tcp_cc_acked(struct tcb *t, uint32_t acked, uint32_t rtt_us, nsec_t now)
{
	if (seq_lt(t->cwnd_used_seq, t->snd_una))
		t->is_cwnd_limited = false;
	if (!t->is_cwnd_limited)
		return;
	if (t->cwnd < t->ssthresh)
		acked = slow_start(t, acked, rtt_us);
	if (acked)
		t->cc->avoid(t, acked, now);
	t->cwnd = MIN(t->cwnd, (uint32_t)1 << 30);
}

void
tcp_cc_idle(struct tcb *t, uint32_t idle_us)
{
	uint32_t rto = tcp_rto_us(t), floor = MIN(tcp_cc_initial(t), t->cwnd);

	t->ssthresh = MAX(t->ssthresh, t->cwnd / 4 * 3);
	for (; idle_us >= rto && t->cwnd > floor; idle_us -= rto)
		t->cwnd /= 2;
	t->cwnd = MAX(t->cwnd, floor);
	t->is_cwnd_limited = false;
}

/*
 * Twice the rate in slow start, so that the window can double; a fifth above it later. In
 * recovery the window is what proportional reduction lets go just now, down to one segment:
 * the rate is that of what is outstanding.
 */
void
tcp_cc_pace(struct tcb *t)
{
	uint32_t srtt = t->srtt8_us / 8;
	uint64_t rate;

	t->pace_rate = t->pace_max;
	if (!t->rtt_valid || t->no_pacing || srtt < PACE_MIN_RTT_US)
		return;
	rate = (uint64_t)MAX(t->cwnd, t->snd_nxt - t->snd_una) * US_PER_S / srtt;
	rate = t->cwnd < t->ssthresh / 2 ? rate * 2 : rate / 5 * 6;
	t->pace_rate = t->pace_max ? MIN(rate, t->pace_max) : rate;
}

void
tcp_core_set_cc(struct tcb *t, const struct tcp_cc_ops *cc, nsec_t now)
{
	t->cc = cc;
	tcp_cc_init(t);
	(void)now;
}
