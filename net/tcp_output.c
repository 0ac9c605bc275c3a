/*
 * What to send next: RFC 9293 3.7.4 (Nagle), 3.8.6.2 (silly windows), RFC 3168 (marks),
 * pacing. In this order: a reset, what is lost, the tail's probe, new data, window and
 * keep-alive probes, and a bare ACK when nothing else carried it. Called until it says
 * that there is nothing more.
 */
#include "lib/string.h"
#include "net/tcp_cc.h"
#include "net/tcp_priv.h"

enum {
	PACE_BURST_NS = 1000000, /* one output holds what goes out in a millisecond */
	/* A timer that came late does not slow us down: so much may be caught up. */
	PACE_CREDIT_NS = 2000000,
};

/* ---- Common to all segments ---------------------------------------------------- */

/*
 * The window never shrinks, and grows by steps worth telling of only (RFC 9293 3.8.6.2.2).
 */
uint32_t
tcp_select_window(const struct tcb *t, bool is_syn, uint16_t *scaled)
{
	uint32_t held = t->rcv_nxt - t->rcv_read, now = tcp_rcv_wnd(t), wnd;
	uint32_t shift = is_syn ? 0 : t->rcv_wscale, unit = (uint32_t)1 << shift;

	wnd = t->rcvbuf > held ? t->rcvbuf - held : 0;
	if (wnd < now + MIN(t->rcvbuf / 2, (uint32_t)t->adv_mss))
		wnd = now;
	wnd = wnd == now ? ALIGN_UP(wnd, unit) : ALIGN_DOWN(wnd, unit);
	wnd = MIN(MAX(wnd, now), 65535u << shift);
	*scaled = (uint16_t)(wnd >> shift);
	return wnd;
}

/* Acknowledgment, window and options: every segment but SYN and RST. */
static void
fill(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	out->flags |= TCP_ACK;
	out->ack = t->rcv_nxt;
	if (t->use_ts) {
		out->opts.has |= TCP_OPT_TS;
		out->opts.tsval = tcp_ts_now(t, now);
		out->opts.tsecr = t->ts_recent;
	}
	if (t->nranges || t->has_dsack)
		tcp_sack_output(t, &out->opts);
	if (t->use_ecn && t->ece_pending)
		out->flags |= TCP_ECE;
	out->mss = t->mss - (uint16_t)tcp_options_len(&out->opts);
	if (t->has_snd_up && seq_lt(out->seq, t->snd_up) &&
	    t->snd_up - out->seq <= 65535) {
		out->flags |= TCP_URG;
		out->urg = (uint16_t)(t->snd_up - out->seq);
	}
}

/* It goes out: the window is told, the ACK is given. */
static void
commit(struct tcb *t, struct tcp_out *out)
{
	uint32_t wnd = tcp_select_window(t, false, &out->wnd);

	t->rcv_adv = t->rcv_nxt + wnd;
	t->ack_sent = t->rcv_nxt;
	t->ack_now = false;
	tcp_timer_stop(t, TCP_T_ACK);
	t->segs_out += out->len > out->mss ? DIV_ROUND_UP(out->len, out->mss) : 1;
}

/* Where payload with number `seq` lies in the send buffer. */
static uint32_t
buffer_offset(const struct tcb *t, uint32_t seq)
{
	return seq - (t->snd_una == t->iss ? t->iss + 1 : t->snd_una);
}

/*
 * Spends from the pacing rate. The initial window goes at once (RFC 6928 3), unless the user
 * has set a rate.
 */
static void
pace(struct tcb *t, nsec_t now, uint32_t len)
{
	nsec_t credit = PACE_CREDIT_NS;

	if (!t->pace_rate || (!t->pace_max && t->bytes_sent <= tcp_cc_initial(t)))
		return;
	/* A quarter of a round trip; in slow start a half, for ACKs are its clock. */
	if (!t->pace_max)
		credit = MAX(credit,
		    t->srtt8_us * NSEC_PER_USEC / (t->cwnd < t->ssthresh ? 16 : 32));
	t->pace_next = MAX(t->pace_next, now > credit ? now - credit : 0) +
	               len * NSEC_PER_SEC / t->pace_rate;
}

static bool
must_pace(struct tcb *t, nsec_t now)
{
	if (!t->pace_rate || t->pace_next <= now)
		return false;
	tcp_timer_set(t, TCP_T_PACE, t->pace_next);
	return true;
}

static void
sent_data(struct tcb *t, nsec_t now, const struct tcp_out *out, uint32_t numbers)
{
	t->prr_out += numbers;
	t->last_snd_us = tcp_us(now);
	t->bytes_sent += out->len;
	t->data_segs_out += out->len ? DIV_ROUND_UP(out->len, out->mss) : 0;
	pace(t, now, numbers);
}

/* ---- RST, SYN ------------------------------------------------------------------ */

static bool
output_rst(struct tcb *t, struct tcp_out *out)
{
	if (!t->rst_wanted)
		return false;
	t->rst_wanted = false;
	out->seq = t->rst_seq;
	out->flags = TCP_RST;
	if (t->rst_has_ack) {
		out->flags |= TCP_ACK;
		out->ack = t->rcv_nxt;
	}
	t->segs_out++;
	return true;
}

static void
syn_options(const struct tcb *t, nsec_t now, struct tcp_opts *o)
{
	o->has = TCP_OPT_MSS;
	o->mss = t->adv_mss;
	if (t->use_sack)
		o->has |= TCP_OPT_SACK_OK;
	if (t->use_ts) {
		o->has |= TCP_OPT_TS;
		o->tsval = tcp_ts_now(t, now);
		o->tsecr = t->state == TCP_SYN_RECV ? t->ts_recent : 0;
	}
	if (t->use_wscale) {
		o->has |= TCP_OPT_WSCALE;
		o->wscale = t->rcv_wscale;
	}
}

static bool
output_syn(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	struct tcp_tx *again = tcp_tx_first_lost(t);
	bool is_first = t->snd_nxt == t->iss;

	if (!is_first && !again)
		return false;
	out->seq = t->iss;
	if (is_first) {
		t->snd_nxt = t->iss + 1;
		tcp_tx_append(t, out, true, tcp_us(now));
	} else {
		tcp_tx_resent(t, again, tcp_us(now));
		t->total_retrans++;
	}
	out->flags = TCP_SYN;
	out->is_retransmit = !is_first;
	syn_options(t, now, &out->opts);
	if (t->state == TCP_SYN_RECV) {
		out->flags |= TCP_ACK;
		out->ack = t->rcv_nxt;
		if (t->use_ecn)
			out->flags |= TCP_ECE;
	} else if (t->ask_ecn && is_first) {
		out->flags |= TCP_ECE | TCP_CWR;
	} else {
		t->ask_ecn =
		    false; /* perhaps a middlebox drops such SYNs (RFC 3168 6.1.1.1) */
	}
	out->mss = t->mss;
	out->wnd = (uint16_t)MIN(t->rcvbuf, 65535u);
	t->rcv_adv = t->rcv_nxt + out->wnd;
	t->ack_sent = t->rcv_nxt;
	t->ack_now = false;
	t->segs_out++;
	if (t->rtx_mode == RTX_NONE)
		tcp_rearm(t, now);
	return true;
}

/* ---- Again --------------------------------------------------------------------- */

static void
output_record(struct tcb *t, nsec_t now, struct tcp_tx *x, struct tcp_out *out)
{
	uint32_t end = seq_min(tcp_tx_end(x), t->snd_end);

	out->seq = x->seq;
	out->off = buffer_offset(t, x->seq);
	out->len = end - x->seq;
	out->is_retransmit = true;
	if (tcp_tx_end(x) != end)
		out->flags |= TCP_FIN;
	if (out->len && seq_le(t->snd_push, end) && seq_lt(x->seq, t->snd_push))
		out->flags |= TCP_PSH;
	fill(t, now, out);
	commit(t, out);
	tcp_tx_resent(t, x, tcp_us(now));
	tcp_mtu_resent(t, x);
	t->total_retrans++;
	t->undo_retrans++;
	t->bytes_retrans += out->len;
	if (!t->undo_ts)
		t->undo_ts = tcp_ts_now(t, now);
	sent_data(t, now, out, x->len);
	if (t->rtx_mode == RTX_NONE)
		tcp_rearm(t, now);
}

/* Marks are not on retransmissions (RFC 3168 6.1.5). */
static bool
output_lost(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	struct tcp_tx *x = tcp_tx_first_lost(t);
	uint32_t pipe = tcp_pipe(t);

	if (!x || (t->frto && t->frto_new_sent))
		return false;
	if (!t->force_one && pipe && pipe + x->len > t->cwnd)
		return false;
	if (!t->force_one && must_pace(t, now))
		return false;
	t->force_one = false;
	output_record(t, now, x, out);
	return true;
}

/* The last segment again, when there is nothing new (RFC 8985 7.3). */
static bool
output_tail(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	struct tcp_tx *x;

	if (!t->tlp_wanted)
		return false;
	t->tlp_wanted = false;
	if (tcp_tx_is_empty(t))
		return false;
	x = tcp_tx_at(t, t->tx_tail - 1);
	if (x->flags & (TX_SACKED | TX_LOST))
		return false;
	t->tlp_out = true;
	t->tlp_is_retrans = true;
	t->tlp_end = t->snd_nxt;
	output_record(t, now, x, out);
	return true;
}

/* ---- New data ------------------------------------------------------------------ */

/* Room in the peer's window. */
static uint32_t
window_left(const struct tcb *t)
{
	uint32_t edge = t->snd_una + t->snd_wnd;

	return seq_lt(t->snd_nxt, edge) ? edge - t->snd_nxt : 0;
}

/*
 * A segment below an MSS that ends the buffer: may it go? (Nagle, in Minshall's form;
 * corks)
 */
static bool
may_send_short(struct tcb *t, nsec_t now)
{
	if (t->fin_wanted || t->has_snd_up)
		return true;
	if (t->is_corked || t->has_more) {
		if (!t->cork_until)
			t->cork_until = now + CORK_US * NSEC_PER_USEC;
		if (now < t->cork_until) {
			tcp_timer_set(t, TCP_T_PACE, t->cork_until);
			return false;
		}
		return true;
	}
	return t->nodelay || seq_le(t->snd_small, t->snd_una);
}

/* Bytes that one output may hold. */
static uint32_t
burst_limit(const struct tcb *t, uint32_t payload)
{
	uint32_t limit = MAX(t->tso_max, payload);

	if (t->pace_rate) {
		uint64_t paced = t->pace_rate / (NSEC_PER_SEC / PACE_BURST_NS);

		limit = (uint32_t)MIN((uint64_t)limit, MAX(paced, 2ull * payload));
	}
	return MAX(limit / payload, 1u) * payload;
}

/*
 * Waiting for more ACKs makes larger bursts; one is sure to come while two segments are
 * under way.
 */
static bool
should_gather(const struct tcb *t, uint32_t room, uint32_t avail, uint32_t payload)
{
	return t->tso_max > 2 * payload && room < avail &&
	       room < MIN(t->tso_max, t->cwnd / 4) && tcp_pipe(t) > 2 * t->mss &&
	       t->ca_state == CA_OPEN;
}

/*
 * Payload bytes to send now; 0: none. Sets the timers that will bring us back: pacing,
 * cork, or the window probe.
 */
static uint32_t
new_data(struct tcb *t, nsec_t now, uint32_t payload)
{
	uint32_t avail = seq_lt(t->snd_nxt, t->snd_end) ? t->snd_end - t->snd_nxt : 0;
	uint32_t wnd = window_left(t), pipe = tcp_pipe(t), n;
	uint32_t room = t->cwnd > pipe ? t->cwnd - pipe : 0;
	bool is_forced = t->probe_wanted; /* the override time-out of 3.8.6.2.1 */

	if (!avail || !wnd)
		return 0;
	if (t->tlp_wanted)
		room = MAX(room, payload); /* a probe may exceed the window by one */
	if (pipe && room < MIN(payload, avail)) {
		t->is_cwnd_limited = true;
		t->cwnd_used_seq = t->snd_nxt;
		return 0;
	}
	n = MIN(MIN(avail, wnd), burst_limit(t, payload));
	if (n > room && pipe + n > t->cwnd) {
		t->is_cwnd_limited = true;
		t->cwnd_used_seq = t->snd_nxt;
		if (should_gather(t, room, avail, payload))
			return 0;
		n = MAX(MIN(n, room / payload * payload), MIN(n, payload));
	}
	if (n == avail) {
		uint32_t whole = n / payload * payload;

		if (n != whole && !may_send_short(t, now))
			n = whole;
	} else if (n >= payload) {
		n = n / payload * payload;
	} else if (!is_forced && n < t->max_wnd / 2) {
		return 0; /* the window opens in drips: wait (3.8.6.2.1 (1), (3)) */
	}
	if (n && must_pace(t, now))
		return 0;
	return n;
}

static bool
output_new(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	uint32_t room = t->tx_cap - (t->tx_tail - t->tx_head), n, probe;
	bool fin, is_idle = tcp_tx_is_empty(t) && t->data_segs_out && t->rtt_valid;
	bool had_timer = t->rtx_mode != RTX_NONE;

	if (t->fin_sent || (!t->fin_wanted && t->snd_nxt == t->snd_end))
		return false;
	if (!room) {
		t->wants_tx = true;
		return false;
	}
	if (is_idle && tcp_us(now) - t->last_snd_us > tcp_rto_us(t) && t->snd_wnd)
		tcp_cc_idle(t, tcp_us(now) - t->last_snd_us);
	out->seq = t->snd_nxt;
	fill(t, now, out);
	probe = tcp_mtu_probe(t, now);
	if (probe && !must_pace(t, now))
		n = out->mss = (uint16_t)(probe - (uint32_t)(t->mss - out->mss));
	else
		n = new_data(t, now, out->mss);
	if (n > room * out->mss) {
		n = room * out->mss;
		t->wants_tx = true;
	}
	fin = t->fin_wanted && t->snd_nxt + n == t->snd_end && n < window_left(t);
	if (!n && !fin)
		return false;
	out->off = buffer_offset(t, t->snd_nxt);
	out->len = n;
	if (fin)
		out->flags |= TCP_FIN;
	if (n && seq_le(t->snd_push, out->seq + n) && seq_lt(out->seq, t->snd_push))
		out->flags |= TCP_PSH;
	if (t->use_ecn && n) {
		out->ecn = TCP_ECN_ECT0;
		if (t->cwr_pending)
			out->flags |= TCP_CWR;
		t->cwr_pending = false;
	}
	tcp_tx_append(t, out, fin, tcp_us(now));
	if (probe && n)
		tcp_mtu_sent(t, probe, out->seq);
	t->snd_nxt += n + fin;
	t->fin_sent = fin;
	if (n % out->mss)
		t->snd_small = out->seq + n;
	t->cork_until = 0;
	t->probe_sent = t->probe_wanted = false;
	if (t->tlp_wanted) {
		t->tlp_wanted = false;
		t->tlp_out = true;
		t->tlp_is_retrans = false;
		t->tlp_end = t->snd_nxt;
	}
	sent_data(t, now, out, n + fin);
	commit(t, out);
	if (!had_timer || t->rtx_mode == RTX_TLP || t->rtx_mode == RTX_PERSIST)
		tcp_rearm(t, now);
	return true;
}

/* ---- Probes, ACK --------------------------------------------------------------- */

/*
 * RFC 9293 3.8.6.1: one byte of new data; with a FIN only, a number the peer has and
 * answers.
 */
static bool
output_probe(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	if (!t->probe_wanted)
		return false;
	t->probe_wanted = false;
	out->is_probe = true;
	if (seq_lt(t->snd_nxt, t->snd_end)) {
		out->seq = t->snd_nxt;
		out->off = buffer_offset(t, t->snd_nxt);
		out->len = 1;
		t->probe_sent = true;
	} else {
		out->seq = t->snd_una - 1;
	}
	fill(t, now, out);
	commit(t, out);
	t->last_snd_us = tcp_us(now);
	return true;
}

static bool
output_keep(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	if (!t->keep_wanted)
		return false;
	t->keep_wanted = false;
	out->is_probe = true;
	out->seq = t->snd_nxt - 1; /* RFC 9293 3.8.4 */
	fill(t, now, out);
	commit(t, out);
	return true;
}

static bool
output_ack(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	if (!t->ack_now)
		return false;
	out->seq = t->snd_nxt;
	fill(t, now, out);
	commit(t, out);
	return true;
}

/* Nothing more goes out, but something waits for the peer's window alone: probe it. */
static void
watch_window(struct tcb *t, nsec_t now)
{
	if (t->rtx_mode == RTX_NONE && !t->fin_sent &&
	    (seq_lt(t->snd_nxt, t->snd_end) || t->fin_wanted))
		tcp_rearm(t, now);
}

/* Established, and nothing is wanted: the common answer to a look after each event. */
bool
tcp_core_has_output(const struct tcb *t)
{
	return t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV || t->ack_now ||
	       t->tlp_wanted || t->probe_wanted || t->keep_wanted || t->rst_wanted ||
	       t->lost_first != TX_NIL ||
	       (!t->fin_sent && (t->fin_wanted || t->snd_nxt != t->snd_end));
}

bool
tcp_core_output(struct tcb *t, nsec_t now, struct tcp_out *out)
{
	if (!tcp_core_has_output(t))
		return false;
	memset(out, 0, sizeof(*out));
	if (output_rst(t, out))
		return true;
	switch (t->state) {
	case TCP_CLOSE: return false;
	case TCP_SYN_SENT: return output_syn(t, now, out);
	case TCP_SYN_RECV: return output_syn(t, now, out) || output_ack(t, now, out);
	case TCP_TIME_WAIT: return output_ack(t, now, out);
	}
	if (output_lost(t, now, out))
		return true;
	if (output_new(t, now, out))
		return true;
	if (out->flags) /* begun, but there is no room */
		memset(out, 0, sizeof(*out));
	if (output_tail(t, now, out) || output_probe(t, now, out) ||
	    output_keep(t, now, out) || output_ack(t, now, out))
		return true;
	watch_window(t, now);
	return false;
}
