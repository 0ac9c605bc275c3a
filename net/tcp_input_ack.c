/*
 * The ACK field of a segment: RFC 9293 3.10.7.4 fifth, RFC 5961 5, RFC 5681. What it
 * tells is gathered in struct tcp_acked, then tcp_recover.c decides.
 */
#include "lib/string.h"
#include "net/tcp_cc.h"
#include "net/tcp_priv.h"

/* RFC 9293 3.10.7.4: only from a segment not older than the last that set the window. */
static bool
update_window(struct tcb *t, const struct tcp_seg *seg)
{
	/* Never scaled in a SYN (RFC 7323 2.2). */
	uint32_t wnd = (uint32_t)seg->wnd << (seg->flags & TCP_SYN ? 0 : t->snd_wscale);
	bool is_changed = wnd != t->snd_wnd;

	if (seq_lt(seg->seq, t->snd_wl1) ||
	    (seg->seq == t->snd_wl1 && seq_lt(seg->ack, t->snd_wl2)))
		return false;
	if (!t->snd_wnd && wnd)
		t->backoff = 0; /* probes begin anew when it closes again */
	t->snd_wnd = wnd;
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	t->max_wnd = MAX(t->max_wnd, wnd);
	return is_changed;
}

/* Payload bytes among the acknowledged numbers: not SYN, not FIN. */
static uint32_t
payload_acked(const struct tcb *t, uint32_t old_una)
{
	uint32_t end = seq_min(t->snd_una, t->snd_end);

	if (old_una == t->iss)
		old_una++;
	return seq_lt(old_una, end) ? end - old_una : 0;
}

static void
take_rtt(struct tcb *t, const struct tcp_acked *a, nsec_t now)
{
	uint32_t now_us = tcp_us(now);

	if (a->last_rtt_us)
		tcp_rtt_min(t, a->last_rtt_us, now_us);
	if (a->rtt_us) {
		tcp_rtt_sample(t, a->rtt_us, now_us);
	} else if (a->acked && a->has_ts && a->tsecr) {
		/* Retransmitted: only the echo tells which one arrived (RFC 7323 4). */
		uint32_t ms = tcp_ts_now(t, now) - a->tsecr;

		if (ms < RTO_MAX_US / US_PER_MS)
			tcp_rtt_sample(t, MAX(ms, 1u) * US_PER_MS, now_us);
	} else if (a->last_rtt_us && !t->rtt_valid) {
		tcp_rtt_sample(t, a->last_rtt_us, now_us);
	}
}

static void
progress(struct tcb *t, const struct tcp_acked *a, struct tcp_result *r)
{
	r->acked = payload_acked(t, a->prior_una);
	if (r->acked)
		r->events |= TCP_EV_ACKED;
	t->bytes_acked += r->acked;
	t->retries = 0;
	t->rtx_start = 0;
	tcp_mtu_acked(t);
	t->soft_error = 0;
	if (seq_lt(t->snd_up, t->snd_una))
		t->has_snd_up = false;
	if (seq_lt(t->snd_small, t->snd_una))
		t->snd_small = t->snd_una;
	if (seq_lt(t->recover, t->snd_una - (1u << 30)))
		t->recover =
		    t->snd_una - 1; /* do not let old marks wrap round into the future */
	if (seq_lt(t->fack, t->snd_una))
		t->fack = t->snd_una;
}

/* Acceptable: between what may have been delayed and what was sent (RFC 5961 5.2). */
static bool
check_ack(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	if (t->probe_sent && seg->ack == t->snd_nxt + 1 &&
	    seq_lt(t->snd_nxt, t->snd_end)) {
		t->snd_nxt = seg->ack; /* the byte of a window probe was taken */
		t->probe_sent = false;
	}
	if (seq_lt(t->snd_nxt, seg->ack) || seq_lt(seg->ack, t->snd_una - t->max_wnd)) {
		r->verdict = TCP_BAD_ACK;
		tcp_challenge(t, now);
		return false;
	}
	return true;
}

bool
tcp_input_ack(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	struct tcp_acked a = {.prior_una = t->snd_una};
	bool is_window_update;

	if (!check_ack(t, seg, now, r))
		return false;
	a.has_ts = t->use_ts && seg->opts.has & TCP_OPT_TS;
	a.tsecr = seg->opts.tsecr;
	a.has_ece = t->use_ecn && seg->flags & TCP_ECE && !(seg->flags & TCP_SYN);
	t->last_ack_us = tcp_us(now);
	t->probes = 0;
	t->flight = t->snd_nxt - t->snd_una;
	if (seq_lt(t->snd_una, seg->ack)) {
		a.acked = seg->ack - t->snd_una;
		t->snd_una = seg->ack;
		tcp_tx_ack(t, seg->ack, now, &a);
		if (a.saw_retrans)
			a.rtt_us = a.last_rtt_us =
			    0; /* what lay behind a hole has waited for it */
		progress(t, &a, r);
	}
	is_window_update = seq_le(t->snd_una, seg->ack) && update_window(t, seg);
	if (t->use_sack && seg->opts.nsack)
		tcp_sack_input(t, seg, now, &a);
	a.is_dup = seg->ack == t->snd_una && !a.acked && !seg->len && !is_window_update &&
	           !(seg->flags & (TCP_SYN | TCP_FIN)) && !tcp_tx_is_empty(t);
	t->delivered += a.delivered;
	take_rtt(t, &a, now);
	if (tcp_tx_is_empty(t) && !a.acked && !a.has_dsack) {
		/* Nothing was in flight: a window update or a keep-alive's answer. */
		if (is_window_update)
			tcp_rearm(t, now);
		return true;
	}
	tcp_recover_ack(t, &a, now);
	tcp_cc_pace(t);
	if (a.acked || a.has_new_sack || t->rtx_mode == RTX_NONE)
		tcp_rearm(t, now);
	return true;
}

void
tcp_input_late_sack(struct tcb *t, const struct tcp_seg *seg, nsec_t now)
{
	struct tcp_acked a = {.prior_una = t->snd_una};

	if (!t->use_sack || !seg->opts.nsack || tcp_tx_is_empty(t) ||
	    seq_lt(seg->ack, t->snd_una - t->max_wnd))
		return;
	t->flight = t->snd_nxt - t->snd_una;
	tcp_sack_input(t, seg, now, &a);
	if (!a.has_new_sack && !a.has_dsack)
		return;
	t->delivered += a.delivered;
	tcp_recover_ack(t, &a, now);
	tcp_cc_pace(t);
	tcp_rearm(t, now);
}
