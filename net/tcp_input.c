/*
 * A segment arrives: RFC 9293 3.10.7, in its order of checks, with RFC 5961 (blind
 * attacks) and RFC 7323 (PAWS). The acknowledgment is handled in tcp_input_ack.c, the
 * payload in tcp_input_data.c.
 */
#include "lib/string.h"
#include "net/tcp_priv.h"

enum { TS_RECENT_VALID_S = 24 * 24 * 3600 }; /* RFC 7323 5.5 */

/* ---- SYN-SENT (3.10.7.3) ------------------------------------------------------- */

static void
take_syn(struct tcb *t, const struct tcp_seg *seg, nsec_t now)
{
	t->irs = seg->seq;
	t->rcv_nxt = t->rcv_read = t->ack_sent = t->drs_seq = seg->seq + 1;
	t->rcv_adv = t->rcv_nxt + MIN(t->rcvbuf, 65535u);
	t->rcv_rtt_seq = t->rcv_nxt;
	tcp_take_syn_options(t, &seg->opts);
	t->ts_recent = seg->opts.tsval;
	t->ts_recent_s = (uint32_t)(now / NSEC_PER_SEC);
	t->snd_wnd = t->max_wnd = seg->wnd; /* never scaled in a SYN (RFC 7323 2.2) */
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	t->last_rcv_us = tcp_us(now);
}

/*
 * The SYN was not an answer but the peer's own: both open at the same time (3.5, figure
 * 7).
 */
static void
simultaneous_open(
    struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	take_syn(t, seg, now);
	if (t->ask_ecn && (seg->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR))
		t->use_ecn = true;
	tcp_set_state(t, TCP_SYN_RECV, r);
	if (!tcp_tx_is_empty(t))
		tcp_tx_mark_lost(t, tcp_tx_at(t, t->tx_head)); /* again, with ACK */
}

static void
input_syn_sent(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	bool has_ack = seg->flags & TCP_ACK;

	if (has_ack && (seq_le(seg->ack, t->iss) || seq_lt(t->snd_nxt, seg->ack))) {
		r->verdict = TCP_BAD_ACK;
		if (!(seg->flags & TCP_RST))
			tcp_want_rst(t, seg->ack, false);
		return;
	}
	if (seg->flags & TCP_RST) {
		if (has_ack)
			tcp_fail(t, TCP_EV_RESET, ERR_CONNREFUSED, r);
		else
			r->verdict = TCP_BAD_RST;
		return;
	}
	if (!(seg->flags & TCP_SYN)) {
		r->verdict = TCP_BAD_FLAGS;
		return;
	}
	if (!has_ack) {
		simultaneous_open(t, seg, now, r);
		return;
	}
	take_syn(t, seg, now);
	/* RFC 3168 6.1.1: ECE without CWR agrees. */
	t->use_ecn = t->ask_ecn && (seg->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
	if (!tcp_input_ack(t, seg, now, r))
		return;
	tcp_established(t, now, r);
	t->ack_now = true;
	if (seg->len) {
		struct tcp_seg rest = *seg;

		rest.seq++;
		tcp_input_data(t, &rest, now, r);
	}
}

/* ---- Checks of the other states (3.10.7.4) ------------------------------------- */

/* RFC 7323 5.3 R1: from before the last one that was taken. */
static bool
is_old_timestamp(const struct tcb *t, const struct tcp_seg *seg, nsec_t now)
{
	return t->use_ts && (int32_t)(seg->opts.tsval - t->ts_recent) < 0 &&
	       (uint32_t)(now / NSEC_PER_SEC) - t->ts_recent_s < TS_RECENT_VALID_S;
}

/*
 * A pure ACK that newer ones overtook on the way: RFC 7323 5.3 would have it dropped, and with
 * it the SACK blocks that no other ACK tells again (RFC 2883 4: a duplicate is reported once).
 * It can do no harm: it acknowledges nothing new, and its window is not looked at. Within one
 * RTO, which no wrap of the peer's clock can be.
 */
static bool
is_overtaken_ack(const struct tcb *t, const struct tcp_seg *seg)
{
	return (seg->flags & ~(TCP_PSH | TCP_ECE)) == TCP_ACK && !seg->len &&
	       tcp_is_synchronized(t) && seg->seq == t->rcv_nxt &&
	       seq_le(seg->ack, t->snd_una) &&
	       t->ts_recent - seg->opts.tsval <= t->rto_us / US_PER_MS;
}

/*
 * First: some of it lies in the window. Besides the RFC's four cases, a pure ACK that was
 * overtaken by data we have not acknowledged yet is let through, for the SACKs it may
 * carry; and with a closed window what begins at rcv_nxt, for its ACK, URG or RST.
 */
static bool
is_in_window(const struct tcb *t, const struct tcp_seg *seg)
{
	uint32_t len = seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
	uint32_t edge = seq_max(t->rcv_adv, t->rcv_nxt);

	if (!len)
		return seq_le(t->ack_sent, seg->seq) &&
		       (seq_lt(seg->seq, edge) || seg->seq == t->rcv_nxt);
	return seq_lt(t->rcv_nxt, seg->seq + len) &&
	       (seq_lt(seg->seq, edge) || seg->seq == t->rcv_nxt);
}

/* Not acceptable: an ACK says what would be, unless it was a RST. */
static void
refuse(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r,
    enum tcp_verdict why)
{
	r->verdict = why;
	if (seg->flags & TCP_RST)
		return;
	if (t->state == TCP_SYN_RECV && seg->flags & TCP_SYN && seg->seq == t->irs) {
		if (!tcp_tx_is_empty(t) && !tcp_tx_first_lost(t))
			tcp_tx_mark_lost(
			    t, tcp_tx_at(t, t->tx_head)); /* SYN-ACK got lost */
		return;
	}
	if (seq_lt(seg->seq, t->rcv_nxt))
		tcp_dsack(t, seg->seq, seq_min(seg->seq + seg->len, t->rcv_nxt));
	if (seg->len || seg->flags & TCP_FIN) {
		tcp_ack_all(t); /* our ACK was lost: the peer goes on retransmitting */
		if (t->state == TCP_TIME_WAIT && seg->flags & TCP_FIN)
			tcp_timer_set(
			    t, TCP_T_STATE, now + TCP_TIME_WAIT_MS * NSEC_PER_MSEC);
	} else {
		tcp_challenge(t, now);
	}
}

/* Second: RST, by RFC 5961 3.2. */
static void
input_rst(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	if (seg->seq != t->rcv_nxt) {
		r->verdict = TCP_BAD_RST;
		tcp_challenge(t, now);
		return;
	}
	switch (t->state) {
	case TCP_SYN_RECV:
		/* A passive one goes quietly: the listener never told anybody of it. */
		tcp_fail(t, TCP_EV_RESET, ERR_CONNREFUSED, r);
		break;
	case TCP_CLOSE_WAIT: tcp_fail(t, TCP_EV_RESET, ERR_PIPE, r); break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
	case TCP_TIME_WAIT: tcp_set_state(t, TCP_CLOSE, r); break;
	default: tcp_fail(t, TCP_EV_RESET, ERR_CONNRESET, r);
	}
}

/* All that is checked before the ACK field. Returns false when the segment ends here. */
static bool
check(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	bool has_ts = seg->opts.has & TCP_OPT_TS;

	if (t->use_ts && !has_ts && !(seg->flags & TCP_RST)) {
		r->verdict = TCP_BAD_PAWS; /* RFC 7323 3.2 */
		return false;
	}
	if (has_ts && !(seg->flags & TCP_RST) && is_old_timestamp(t, seg, now)) {
		if (is_overtaken_ack(t, seg)) {
			tcp_input_late_sack(t, seg, now);
			return false;
		}
		refuse(t, seg, now, r, TCP_BAD_PAWS);
		return false;
	}
	if (!is_in_window(t, seg)) {
		refuse(t, seg, now, r, TCP_BAD_SEQ);
		return false;
	}
	if (seg->flags & TCP_RST) {
		input_rst(t, seg, now, r);
		return false;
	}
	if (seg->flags & TCP_SYN) { /* fourth, by RFC 5961 4.2 */
		r->verdict = TCP_BAD_SYN;
		tcp_challenge(t, now);
		return false;
	}
	if (!(seg->flags & TCP_ACK)) {
		r->verdict = TCP_BAD_FLAGS;
		return false;
	}
	return true;
}

/* RFC 7323 4.3: echo the timestamp of the segment that moved the left edge. */
static void
take_timestamp(struct tcb *t, const struct tcp_seg *seg, nsec_t now)
{
	if (!t->use_ts || !(seg->opts.has & TCP_OPT_TS) || seq_lt(t->ack_sent, seg->seq))
		return;
	t->ts_recent = seg->opts.tsval;
	t->ts_recent_s = (uint32_t)(now / NSEC_PER_SEC);
}

/* RFC 3168 6.1.3: a mark is echoed until the sender says it has reduced. */
static void
take_ecn(struct tcb *t, const struct tcp_seg *seg)
{
	if (!t->use_ecn)
		return;
	if (seg->flags & TCP_CWR)
		t->ece_pending = false;
	if (seg->ecn == TCP_ECN_CE && seg->len) {
		if (!t->ece_pending)
			t->ack_now = true;
		t->ece_pending = true;
	}
}

/* ---- After the ACK ------------------------------------------------------------- */

/* Fifth: SYN-RECEIVED becomes ESTABLISHED by an ACK of our SYN. */
static bool
ack_in_syn_recv(
    struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	if (seq_le(seg->ack, t->iss) || seq_lt(t->snd_nxt, seg->ack)) {
		r->verdict = TCP_BAD_ACK;
		tcp_want_rst(t, seg->ack, false);
		return false;
	}
	tcp_established(t, now, r);
	return true;
}

/* What the acknowledgment of our FIN does. Returns false when nothing is left to do. */
static bool
fin_acked(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	switch (t->state) {
	case TCP_FIN_WAIT1:
		tcp_set_state(t, TCP_FIN_WAIT2, r);
		if (t->is_orphan)
			tcp_timer_set(t, TCP_T_STATE, now + FIN_WAIT2_MS * NSEC_PER_MSEC);
		return true;
	case TCP_CLOSING: tcp_enter_time_wait(t, now, r); return false;
	case TCP_LAST_ACK: tcp_set_state(t, TCP_CLOSE, r); return false;
	default: return true;
	}
}

static bool
may_receive(const struct tcb *t)
{
	return t->state == TCP_ESTABLISHED || t->state == TCP_FIN_WAIT1 ||
	       t->state == TCP_FIN_WAIT2;
}

/* Eighth: the FIN, once all before it is here. */
static void
input_fin(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	t->rcv_nxt++;
	t->fin_rcvd = true;
	t->has_fin_seq = false;
	t->nranges = 0; /* what claims to lie beyond the end */
	t->recent_count = 0;
	t->ack_now = true;
	r->events |= TCP_EV_FIN;
	switch (t->state) {
	case TCP_ESTABLISHED: tcp_set_state(t, TCP_CLOSE_WAIT, r); break;
	case TCP_FIN_WAIT1: tcp_set_state(t, TCP_CLOSING, r); break;
	default: tcp_enter_time_wait(t, now, r);
	}
}

static void
input_text(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	uint32_t end = seg->seq + seg->len;

	if (t->is_orphan && seg->len && seq_lt(t->rcv_nxt, end)) {
		/* Nobody will read it (RFC 9293 3.6.1, RFC 2525 2.17). */
		tcp_want_rst(t, t->snd_nxt, false);
		tcp_set_state(t, TCP_CLOSE, r);
		r->verdict = TCP_NO_USER;
		return;
	}
	if (seg->flags & TCP_URG)
		tcp_input_urgent(t, seg, r);
	if (seg->len)
		tcp_input_data(t, seg, now, r);
	if (seg->flags & TCP_FIN && seq_le(t->rcv_nxt, end) &&
	    seq_le(end, seq_max(t->rcv_adv, t->rcv_nxt))) {
		t->has_fin_seq = true;
		t->fin_seq = end;
	}
	if (t->has_fin_seq && t->rcv_nxt == t->fin_seq)
		input_fin(t, now, r);
	else if (seg->flags & TCP_FIN)
		t->ack_now = true;
}

static void
input_synchronized(
    struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	struct tcp_seg answer;

	if (t->state == TCP_SYN_RECV && seg->flags & TCP_SYN && seg->flags & TCP_ACK &&
	    seg->seq == t->irs && seg->ack == t->iss + 1) {
		/*
		 * The answer to our half of a simultaneous open: its SYN is here already.
		 */
		answer = *seg;
		answer.seq++;
		answer.flags &= (uint8_t)~TCP_SYN;
		t->ack_now = true;
		seg = &answer;
	}
	if (!check(t, seg, now, r))
		return;
	if (t->state == TCP_SYN_RECV && !ack_in_syn_recv(t, seg, now, r))
		return;
	take_timestamp(t, seg, now);
	take_ecn(t, seg);
	if (!tcp_input_ack(t, seg, now, r))
		return;
	if (tcp_fin_is_acked(t) && !fin_acked(t, now, r))
		return;
	t->keep_probes = 0;
	t->last_rx_ms = tcp_ms(now);
	if (may_receive(t))
		input_text(t, seg, now, r);
	else if (seg->len || seg->flags & TCP_FIN)
		t->ack_now = true;
}

void
tcp_core_input(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	memset(r, 0, sizeof(*r));
	t->segs_in++;
	if (t->state == TCP_SYN_SENT)
		input_syn_sent(t, seg, now, r);
	else if (t->state != TCP_CLOSE)
		input_synchronized(t, seg, now, r);
}
