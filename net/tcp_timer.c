/*
 * The core's timers: retransmission (RFC 6298) with the limits of RFC 9293 3.8.3, window
 * probes, keep-alive (RFC 9293 3.8.4), delayed ACK, TIME-WAIT. tcp_rearm() decides what
 * TCP_T_RTX is for.
 */
#include "lib/string.h"
#include "net/tcp_priv.h"

nsec_t
tcp_core_deadline(const struct tcb *t)
{
	nsec_t first = t->timer[0];

	for (unsigned i = 1; i < TCP_T_COUNT; i++)
		first = MIN(first, t->timer[i]);
	return first;
}

/* ---- Arming -------------------------------------------------------------------- */

/*
 * Data or FIN waits for the window alone: nothing is in flight that would bring an ACK,
 * and neither pace nor cork hold it.
 */
static bool
is_window_blocked(const struct tcb *t)
{
	return tcp_is_synchronized(t) && !t->fin_sent &&
	       !tcp_timer_is_set(t, TCP_T_PACE) &&
	       (seq_lt(t->snd_nxt, t->snd_end) || t->fin_wanted);
}

void
tcp_rearm(struct tcb *t, nsec_t now)
{
	nsec_t when;

	if (t->rtx_mode == RTX_REO && !tcp_tx_is_empty(t))
		return; /* the reordering window ends sooner */
	if (!tcp_tx_is_empty(t)) {
		if (tcp_tlp_arm(t, now))
			return;
		t->rtx_mode = RTX_RTO;
	} else if (is_window_blocked(t)) {
		t->rtx_mode = RTX_PERSIST;
	} else {
		t->rtx_mode = RTX_NONE;
		tcp_timer_stop(t, TCP_T_RTX);
		return;
	}
	when = now + tcp_rto_us(t) * NSEC_PER_USEC;
	if (t->user_timeout_ms && t->rtx_start)
		when = MIN(when, MAX(t->rtx_start + t->user_timeout_ms * NSEC_PER_MSEC,
		                     now + NSEC_PER_MSEC));
	tcp_timer_set(t, TCP_T_RTX, when);
}

/* When the peer will have been silent for the idle time. */
static nsec_t
keep_deadline(const struct tcb *t, nsec_t now)
{
	uint64_t silent_ms = tcp_ms(now) - t->last_rx_ms,
	         idle_ms = t->keep_idle_s * 1000ull;

	return silent_ms < idle_ms ? now + (idle_ms - silent_ms) * NSEC_PER_MSEC : now;
}

void
tcp_keep_rearm(struct tcb *t, nsec_t now)
{
	t->keep_probes = 0;
	tcp_timer_stop(t, TCP_T_KEEP);
	if (t->keep_on && tcp_is_synchronized(t) && t->state != TCP_TIME_WAIT)
		tcp_timer_set(t, TCP_T_KEEP, now + t->keep_idle_s * NSEC_PER_SEC);
}

/* ---- Giving up ----------------------------------------------------------------- */

static void
time_out(struct tcb *t, struct tcp_result *r)
{
	tcp_fail(t, TCP_EV_TIMEDOUT, t->soft_error ? t->soft_error : ERR_TIMEDOUT, r);
}

/* RFC 9293 3.8.3, RFC 5482: too many time-outs, or too long a row of them. */
static bool
is_hopeless(struct tcb *t, unsigned count, nsec_t now)
{
	unsigned limit = t->max_retries;

	if (!t->rtx_start)
		t->rtx_start = MAX(now - tcp_rto_us(t) * NSEC_PER_USEC, 1ull);
	if (t->state == TCP_SYN_SENT)
		limit = t->syn_retries;
	else if (t->state == TCP_SYN_RECV)
		limit = t->is_passive ? t->synack_retries : t->syn_retries;
	else if (t->is_orphan)
		limit = MIN(limit, t->orphan_retries);
	if (t->user_timeout_ms)
		return now - t->rtx_start >= t->user_timeout_ms * NSEC_PER_MSEC;
	return count >= limit;
}

/* ---- Going off ----------------------------------------------------------------- */

/*
 * The peer has closed its window on what is in flight, and still answers: that may last
 * (RFC 9293 3.8.6.1), but not for an orphan.
 */
static bool
is_shut_but_alive(const struct tcb *t, nsec_t now)
{
	return !t->snd_wnd && tcp_is_synchronized(t) && !t->is_orphan &&
	       tcp_us(now) - t->last_ack_us < 2u * RTO_MAX_US;
}

static void
rto_fired(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	if (tcp_tx_is_empty(t))
		return;
	r->events |= TCP_EV_RTO;
	if (!is_shut_but_alive(t, now) && is_hopeless(t, t->retries, now)) {
		time_out(t, r);
		return;
	}
	if (!tcp_is_synchronized(t)) {
		t->syn_retried = true;
		tcp_tx_mark_lost(t, tcp_tx_at(t, t->tx_head));
	} else {
		if (tcp_mtu_timed_out(t))
			r->events |= TCP_EV_MTU_PROBE;
		tcp_recover_rto(t, now);
	}
	if (t->retries < UINT8_MAX)
		t->retries++;
	if (t->backoff < 31)
		t->backoff++; /* RFC 6298 5.5 */
	tcp_rearm(t, now);
}

static void
persist_fired(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	if (!is_window_blocked(t)) {
		t->rtx_mode = RTX_NONE;
		return;
	}
	/* RFC 9293 3.8.6.1: as long as the peer answers, for ever; not for an orphan. */
	if (t->probes == 0)
		t->rtx_start = now;
	if (is_hopeless(t, t->probes, now)) {
		time_out(t, r);
		return;
	}
	if (t->probes < UINT8_MAX)
		t->probes++;
	if (t->backoff < 31)
		t->backoff++;
	t->probe_wanted = true;
	r->events |= TCP_EV_WINDOW_PROBE;
	tcp_rearm(t, now);
}

static void
reo_fired(struct tcb *t, nsec_t now)
{
	struct tcp_acked nothing = {.prior_una = t->snd_una};

	t->rtx_mode = RTX_NONE;
	tcp_recover_ack(t, &nothing, now);
	tcp_rearm(t, now);
}

static void
rtx_fired(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	switch (t->rtx_mode) {
	case RTX_RTO: rto_fired(t, now, r); break;
	case RTX_TLP:
		r->events |= TCP_EV_TAIL_PROBE;
		tcp_tlp_fire(t, now);
		break;
	case RTX_REO: reo_fired(t, now); break;
	case RTX_PERSIST: persist_fired(t, now, r); break;
	}
}

/* RFC 9293 3.8.4: only when nothing else would notice that the peer is gone. */
static void
keep_fired(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	nsec_t when = keep_deadline(t, now);

	if (!tcp_tx_is_empty(t) || seq_lt(t->snd_nxt, t->snd_end)) {
		tcp_timer_set(t, TCP_T_KEEP, now + t->keep_idle_s * NSEC_PER_SEC);
		return;
	}
	if (when > now) {
		t->keep_probes = 0;
		tcp_timer_set(t, TCP_T_KEEP, when);
		return;
	}
	if (t->user_timeout_ms
	        ? t->keep_probes && tcp_ms(now) - t->last_rx_ms >= t->user_timeout_ms
	        : t->keep_probes >= t->keep_count) {
		tcp_want_rst(t, t->snd_nxt, true);
		time_out(t, r);
		return;
	}
	t->keep_probes++;
	t->keep_wanted = true;
	r->events |= TCP_EV_KEEPALIVE;
	tcp_timer_set(t, TCP_T_KEEP, now + t->keep_intvl_s * NSEC_PER_SEC);
}

static bool
take_due(struct tcb *t, enum tcp_timer_id id, nsec_t now)
{
	if (t->timer[id] > now)
		return false;
	tcp_timer_stop(t, id);
	return true;
}

void
tcp_core_timer(struct tcb *t, nsec_t now, struct tcp_result *r)
{
	memset(r, 0, sizeof(*r));
	if (take_due(t, TCP_T_ACK, now)) {
		t->ack_now = true;
		r->events |= TCP_EV_DELAYED_ACK;
		t->pingpong = false; /* no answer came for it to ride on */
	}
	(void)take_due(t, TCP_T_PACE, now); /* output goes on */
	if (take_due(t, TCP_T_STATE, now))
		tcp_set_state(
		    t, TCP_CLOSE, r); /* TIME-WAIT or an orphan's FIN-WAIT-2 is over */
	if (take_due(t, TCP_T_KEEP, now))
		keep_fired(t, now, r);
	if (take_due(t, TCP_T_RTX, now))
		rtx_fired(t, now, r);
}
