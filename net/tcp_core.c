/*
 * The TCP core's beginning and end: how a control block is made, the user's calls, ICMP
 * errors, and what TCP_INFO shows. See net/tcp_core.h for how it all works together.
 */
#include "net/tcp_core.h"

#include "lib/string.h"
#include "net/tcp_cc.h"
#include "net/tcp_priv.h"

/* ---- States -------------------------------------------------------------------- */

void
tcp_set_state(struct tcb *t, enum tcp_state state, struct tcp_result *r)
{
	t->state = (uint8_t)state;
	r->events |= TCP_EV_STATE;
	if (state != TCP_CLOSE)
		return;
	r->events |= TCP_EV_CLOSED;
	for (unsigned i = 0; i < TCP_T_COUNT; i++)
		tcp_timer_stop(t, i);
	t->rtx_mode = RTX_NONE;
	t->tx_head = t->tx_tail = 0;
	t->flight_first = t->flight_last = t->lost_first = t->lost_last = TX_NIL;
	t->in_flight = t->sacked = t->lost = 0;
	t->nranges = 0;
	t->ack_now = t->has_dsack = false;
}

void
tcp_fail(struct tcb *t, uint32_t event, int error, struct tcp_result *r)
{
	r->events |= event;
	r->error = error;
	tcp_set_state(t, TCP_CLOSE, r);
}

void
tcp_want_rst(struct tcb *t, uint32_t seq, bool has_ack)
{
	t->rst_wanted = true;
	t->rst_seq = seq;
	t->rst_has_ack = has_ack;
}

void
tcp_challenge(struct tcb *t, nsec_t now)
{
	uint32_t second = (uint32_t)(now / NSEC_PER_SEC);

	if (t->challenge_s != second) {
		t->challenge_s = second;
		t->challenges = 0;
	}
	if (t->challenges == CHALLENGES_PER_S)
		return;
	t->challenges++;
	t->ack_now = true;
}

void
tcp_enter_time_wait(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	tcp_set_state(t, TCP_TIME_WAIT, r);
	r->events |= TCP_EV_TIME_WAIT;
	for (unsigned i = 0; i < TCP_T_COUNT; i++)
		tcp_timer_stop(t, i);
	t->rtx_mode = RTX_NONE;
	tcp_timer_set(t, TCP_T_STATE, now + TCP_TIME_WAIT_MS * NSEC_PER_MSEC);
}

void
tcp_established(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	tcp_set_state(t, TCP_ESTABLISHED, r);
	r->events |= TCP_EV_CONNECTED;
	t->retries = 0;
	t->backoff = 0;
	t->rtx_start = 0;
	if (t->syn_retried && !t->use_ts)
		t->rto_us = RTO_AFTER_SYN_LOSS_US;
	tcp_mtu_begin(t);
	/* One lost SYN says little of the path (RFC 6928 2), more of them do (RFC 5681 3.1). */
	t->cwnd = t->total_retrans > 1 ? t->mss : tcp_cc_initial(t);
	t->quick = QUICK_ACKS;
	t->rcv_mss = MIN(t->adv_mss, (uint16_t)536);
	t->last_rx_ms = tcp_ms(now);
	t->drs_at_us = tcp_us(now);
	t->drs_space = MIN(t->rcvbuf, 10u * t->adv_mss);
	tcp_cc_init(t);
	tcp_cc_pace(
	    t); /* the SYN's ACK gave the RTT, and the window only now is what it is */
	if (t->fin_wanted)
		tcp_set_state(t, TCP_FIN_WAIT1, r);
	tcp_keep_rearm(t, now);
}

/* ---- Segment size (RFC 9293 3.7.1) --------------------------------------------- */

void
tcp_update_mss(struct tcb *t)
{
	uint32_t mss = t->peer_mss;

	if (t->path_mss)
		mss = MIN(mss, t->path_mss);
	if (t->user_mss)
		mss = MIN(mss, t->user_mss);
	t->mss = (uint16_t)MAX(
	    mss, 88u); /* room for options and some data, whatever the peer says */
}

void
tcp_take_syn_options(struct tcb *t, const struct tcp_opts *o)
{
	t->peer_mss = t->is_ipv6 ? 1220 : 536;
	if (o->has & TCP_OPT_MSS && o->mss)
		t->peer_mss = o->mss;
	t->use_ts = t->use_ts && o->has & TCP_OPT_TS;
	t->use_sack = t->use_sack && o->has & TCP_OPT_SACK_OK;
	t->use_wscale = t->use_wscale && o->has & TCP_OPT_WSCALE;
	t->snd_wscale = t->use_wscale ? o->wscale : 0;
	if (!t->use_wscale)
		t->rcv_wscale = 0;
	tcp_update_mss(t);
}

/* ---- Beginning ----------------------------------------------------------------- */

static void
init(struct tcb *t, const struct tcp_config *c)
{
	memset(t, 0, sizeof(*t));
	t->state = TCP_CLOSE;
	t->iss = t->snd_una = t->snd_nxt = t->snd_wl2 = t->recover = t->fack = c->iss;
	t->snd_end = t->snd_push = t->snd_small = t->reo_seq = c->iss + 1;
	t->ts_off = c->ts_off;
	t->adv_mss = c->mss;
	if (c->user_mss)
		t->adv_mss = MIN(t->adv_mss, c->user_mss);
	t->path_mss = c->path_mss ? c->path_mss : c->mss;
	t->user_mss = c->user_mss;
	t->is_ipv6 = c->is_ipv6;
	t->peer_mss = c->is_ipv6 ? 1220 : 536;
	t->use_ts = c->use_ts;
	t->use_sack = c->use_sack;
	t->use_wscale = c->use_wscale;
	t->rcvbuf = c->rcvbuf;
	t->rcvbuf_max = MAX(c->rcvbuf, c->rcvbuf_max);
	while (c->use_wscale && t->rcv_wscale < MAX_WSCALE &&
	       t->rcvbuf_max >> t->rcv_wscale > 65535)
		t->rcv_wscale++;
	t->tso_max = c->tso_max;
	t->cc = c->cc ? c->cc : &tcp_cc_cubic;
	t->mtu = c->mtu;
	t->ssthresh = UINT32_MAX;
	t->reo_mult = 1;
	t->no_pacing = c->no_pacing;
	t->no_delack = c->no_delack;
	t->syn_retries = c->syn_retries ? c->syn_retries : 6;
	t->synack_retries = c->synack_retries ? c->synack_retries : 5;
	t->max_retries = c->retries ? c->retries : 15;
	t->orphan_retries = c->orphan_retries ? c->orphan_retries : 8;
	t->rto_min_us = c->rto_min_ns ? tcp_us(c->rto_min_ns) : RTO_MIN_US;
	t->keep_idle_s = 7200;
	t->keep_intvl_s = 75;
	t->keep_count = 9;
	t->ranges = t->inline_ranges;
	t->ranges_cap = TCP_INLINE_RANGES;
	for (unsigned i = 0; i < TCP_T_COUNT; i++)
		tcp_timer_stop(t, i);
	tcp_tx_init(t);
	tcp_rtt_init(t);
	tcp_update_mss(t);
	t->cwnd = t->mss;
}

void
tcp_core_connect(struct tcb *t, const struct tcp_config *c, nsec_t now)
{
	init(t, c);
	t->ask_ecn = c->ecn == TCP_ECN_ASK;
	t->state = TCP_SYN_SENT;
	t->rcv_adv = MIN(t->rcvbuf, 65535u);
	(void)now;
}

static void
accept_with(struct tcb *t, const struct tcp_config *c, uint32_t irs, uint16_t wnd,
    const struct tcp_opts *opts, nsec_t now)
{
	init(t, c);
	t->is_passive = true;
	t->state = TCP_SYN_RECV;
	t->irs = irs;
	t->rcv_nxt = t->rcv_read = t->ack_sent = t->drs_seq = t->rcv_rtt_seq = irs + 1;
	t->rcv_adv = t->rcv_nxt + MIN(t->rcvbuf, 65535u);
	tcp_take_syn_options(t, opts);
	t->ts_recent = opts->tsval;
	t->ts_recent_s = (uint32_t)(now / NSEC_PER_SEC);
	t->last_rcv_us = tcp_us(now);
	t->snd_wnd = t->max_wnd = wnd;
	t->snd_wl1 = irs;
}

void
tcp_core_accept(
    struct tcb *t, const struct tcp_config *c, const struct tcp_seg *syn, nsec_t now)
{
	accept_with(t, c, syn->seq, syn->wnd, &syn->opts, now);
	/* RFC 3168 6.1.1: both bits in a SYN ask. */
	t->use_ecn = c->ecn != TCP_ECN_OFF &&
	             (syn->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

void
tcp_core_accept_cookie(struct tcb *t, const struct tcp_config *c,
    const struct tcp_seg *ack, const struct tcp_opts *opts, nsec_t now)
{
	accept_with(t, c, ack->seq - 1, ack->wnd, opts, now);
	if (t->use_ts)
		t->ts_recent = ack->opts.tsval;
	t->snd_nxt = t->iss + 1; /* sent, and nobody will retransmit it */
}

/* ---- The user's calls ---------------------------------------------------------- */

void
tcp_core_send(struct tcb *t, uint32_t len, bool more, nsec_t now)
{
	if (t->fin_wanted || t->state == TCP_CLOSE)
		return;
	t->snd_end += len;
	if (!more)
		t->snd_push = t->snd_end;
	t->has_more = more;
	/* Who answers at once lets its ACK ride on the answer. */
	if (tcp_us(now) - t->last_rcv_us < DELACK_US)
		t->pingpong = true;
}

void
tcp_core_send_urgent(struct tcb *t)
{
	t->has_snd_up = true;
	t->snd_up = t->snd_end;
}

void
tcp_core_shutdown(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	memset(r, 0, sizeof(*r));
	(void)now;
	if (t->fin_wanted)
		return;
	t->has_more = false;
	switch (t->state) {
	case TCP_SYN_SENT: tcp_set_state(t, TCP_CLOSE, r); break;
	case TCP_SYN_RECV:
		t->fin_wanted = true; /* FIN-WAIT-1 once it is established */
		break;
	case TCP_ESTABLISHED:
		t->fin_wanted = true;
		tcp_set_state(t, TCP_FIN_WAIT1, r);
		break;
	case TCP_CLOSE_WAIT:
		t->fin_wanted = true;
		tcp_set_state(t, TCP_LAST_ACK, r);
		break;
	}
}

void
tcp_core_orphan(struct tcb *t, nsec_t now)
{
	t->is_orphan = true;
	if (t->state == TCP_FIN_WAIT2)
		tcp_timer_set(t, TCP_T_STATE, now + FIN_WAIT2_MS * NSEC_PER_MSEC);
}

void
tcp_core_abort(struct tcb *t, nsec_t now)
{
	struct tcp_result ignored = {0};

	(void)now;
	switch (t->state) {
	case TCP_SYN_RECV:
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING:
	case TCP_LAST_ACK: tcp_want_rst(t, t->snd_nxt, true); break;
	}
	tcp_set_state(t, TCP_CLOSE, &ignored);
}

void
tcp_core_set_nodelay(struct tcb *t, bool on)
{
	t->nodelay = on;
}

void
tcp_core_set_cork(struct tcb *t, bool on)
{
	t->is_corked = on;
	t->cork_until = 0;
	if (!on)
		tcp_timer_stop(t, TCP_T_PACE);
}

void
tcp_core_set_quickack(struct tcb *t, bool on)
{
	t->pingpong = !on;
	if (!on)
		return;
	t->quick = QUICK_ACKS;
	if (tcp_timer_is_set(t, TCP_T_ACK)) {
		tcp_timer_stop(t, TCP_T_ACK);
		t->ack_now = true;
	}
}

void
tcp_core_set_maxseg(struct tcb *t, uint16_t mss)
{
	t->user_mss = mss;
	tcp_update_mss(t);
}

void
tcp_core_set_keepalive(struct tcb *t, bool on, nsec_t now)
{
	t->keep_on = on;
	tcp_keep_rearm(t, now);
}

void
tcp_core_set_keeptimes(
    struct tcb *t, uint32_t idle_s, uint32_t intvl_s, uint8_t count, nsec_t now)
{
	if (idle_s)
		t->keep_idle_s = idle_s;
	if (intvl_s)
		t->keep_intvl_s = intvl_s;
	if (count)
		t->keep_count = count;
	tcp_keep_rearm(t, now);
}

void
tcp_core_set_user_timeout(struct tcb *t, uint32_t ms)
{
	t->user_timeout_ms = ms;
}

void
tcp_core_set_rcvbuf(struct tcb *t, uint32_t size, uint32_t max)
{
	t->rcvbuf = size;
	t->rcvbuf_max = MAX(size, max);
}

void
tcp_core_set_max_pacing(struct tcb *t, uint64_t bytes_per_s)
{
	t->pace_max = bytes_per_s;
	tcp_cc_pace(t);
}

uint32_t
tcp_core_sndbuf_hint(const struct tcb *t)
{
	return MAX(2 * t->cwnd, (uint32_t)KIB(16));
}

uint32_t
tcp_core_unsent(const struct tcb *t)
{
	uint32_t sent = t->snd_nxt == t->iss ? t->iss + 1 : t->snd_nxt;

	return seq_lt(sent, t->snd_end) ? t->snd_end - sent : 0;
}

/* ---- ICMP ---------------------------------------------------------------------- */

bool
tcp_core_is_in_flight(const struct tcb *t, uint32_t seq)
{
	return seq_le(t->snd_una, seq) && seq_lt(seq, t->snd_nxt);
}

void
tcp_core_icmp(struct tcb *t, uint32_t seq, enum err error, bool is_hard, nsec_t now,
    struct tcp_result *r)
{
	memset(r, 0, sizeof(*r));
	(void)now;
	if (!tcp_core_is_in_flight(t, seq) || t->state == TCP_CLOSE)
		return;
	if (is_hard && (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV)) {
		tcp_fail(t, TCP_EV_RESET, error, r);
		return;
	}
	t->soft_error = (int16_t)error; /* told if the connection times out */
	r->events |= TCP_EV_SOFT;
	r->error = error;
}

void
tcp_core_path_mss(struct tcb *t, uint32_t seq, uint16_t mss, nsec_t now)
{
	struct tcp_tx *x;

	(void)now;
	if (!tcp_core_is_in_flight(t, seq) || t->state == TCP_CLOSE)
		return;
	tcp_mtu_told(t, mss);
	if (mss >= t->mss)
		return;
	t->path_mss = mss;
	t->mtu_high = MIN(t->mtu_high, mss);
	tcp_update_mss(t);
	/* RFC 1191 6.5: what was too big goes out again at once; no congestion is meant. */
	while ((x = tcp_tx_first_flight(t)) && x->len > t->mss)
		tcp_tx_mark_lost(t, x);
	t->force_one = true;
}

/* ---- TCP_INFO ------------------------------------------------------------------ */

static uint32_t
ms_since(uint32_t then_us, nsec_t now)
{
	return (tcp_us(now) - then_us) / US_PER_MS;
}

void
tcp_core_info(const struct tcb *t, nsec_t now, struct tcp_core_info *i)
{
	*i = (struct tcp_core_info){
	    .state = t->state,
	    .ca_state = t->ca_state,
	    .retransmits = t->retries,
	    .probes = t->probes,
	    .backoff = t->backoff,
	    .options = (uint8_t)(t->use_ts | t->use_sack << 1 | t->use_wscale << 2 |
	                         t->use_ecn << 3),
	    .snd_wscale = t->snd_wscale,
	    .rcv_wscale = t->rcv_wscale,
	    .delivery_rate_app_limited = !t->is_cwnd_limited,
	    .rto_us = tcp_rto_us(t),
	    .ato_us = DELACK_US,
	    .snd_mss = tcp_seg_payload(t),
	    .rcv_mss = t->rcv_mss,
	    .unacked = t->tx_tail - t->tx_head,
	    .sacked = t->sacked / t->mss,
	    .lost = DIV_ROUND_UP(t->lost, t->mss),
	    .last_data_sent_ms = ms_since(t->last_snd_us, now),
	    .last_data_recv_ms = ms_since(t->last_rcv_us, now),
	    .last_ack_recv_ms = ms_since(t->last_ack_us, now),
	    .pmtu_mss = t->path_mss,
	    .rcv_ssthresh = t->rcvbuf,
	    .rtt_us = t->srtt8_us / 8,
	    .rttvar_us = t->rttvar4_us / 4,
	    .snd_ssthresh = t->ssthresh == UINT32_MAX ? 0x7fffffff : t->ssthresh / t->mss,
	    .snd_cwnd = t->cwnd / t->mss,
	    .advmss = t->adv_mss,
	    .reordering = t->saw_reorder ? 2 * DUP_THRESH : DUP_THRESH,
	    .rcv_rtt_us = t->rcv_rtt_us,
	    .rcv_space = t->drs_space,
	    .total_retrans = t->total_retrans,
	    .notsent_bytes = tcp_core_unsent(t),
	    .min_rtt_us = t->min_rtt_us,
	    .segs_out = t->segs_out,
	    .segs_in = t->segs_in,
	    .data_segs_in = t->data_segs_in,
	    .data_segs_out = t->data_segs_out,
	    .dsack_dups = t->dsack_seen,
	    .reord_seen = t->reord_seen,
	    .snd_wnd = t->snd_wnd,
	    .rcv_wnd = tcp_rcv_wnd(t),
	    .pacing_rate = t->pace_rate,
	    .max_pacing_rate = t->pace_max,
	    .bytes_acked = t->bytes_acked,
	    .bytes_received = t->bytes_received,
	    .bytes_sent = t->bytes_sent,
	    .bytes_retrans = t->bytes_retrans,
	    .delivered = t->delivered,
	};
}
