/*
 * RACK-TLP, RFC 8985: a segment is lost when one that was sent long enough after it
 * has arrived; "long enough" is the reordering window. A probe at the tail of a flight
 * makes the peer tell what arrived, before the retransmission time-out.
 *
 * The records in flight are listed in order of transmission (tcp_tx.c), so the search for
 * losses begins at the oldest and ends at the first that is not lost.
 */
#include "net/tcp_priv.h"

enum {
	REO_MULT_MAX = 20,
	REO_PERSIST =
	    16, /* recoveries after which the window shrinks again (6.2 step 4) */
	TLP_DELACK_US = 200000, /* worst case of the peer's delayed ACK (7.2) */
	TIMER_SLACK_US = 2000,  /* our timer wheel, the peer's interrupt moderation */
	TLP_SLACK_US =
	    8000, /* the peer's scheduler: a needless probe is a whole segment */
};

/* One of two transmissions came later, in time or, at the same time, in number. */
static bool
sent_after(uint32_t us1, uint32_t end1, uint32_t us2, uint32_t end2)
{
	return (int32_t)(us1 - us2) > 0 || (us1 == us2 && seq_lt(end2, end1));
}

/*
 * Of a segment sent twice: does the ACK answer the first transmission? It came sooner than any
 * ACK could, or it echoes a timestamp from before the second one and came sooner than most.
 * (Such an echo alone says little: behind a hole the peer echoes what came before it.)
 */
static bool
is_of_original(
    const struct tcb *t, uint64_t sent_us, uint32_t rtt, const struct tcp_acked *a)
{
	uint32_t sent_ts = (uint32_t)(sent_us / US_PER_MS) + t->ts_off;

	if (rtt < t->min_rtt_us)
		return true;
	return a->has_ts && (int32_t)(a->tsecr - sent_ts) < 0 &&
	       rtt < t->srtt8_us / 32 * 3;
}

/*
 * 6.2 steps 2 and 3: a record is newly known to have arrived. Called while its flags
 * still tell how.
 */
void
tcp_rack_delivered(
    struct tcb *t, const struct tcp_tx *x, nsec_t now, const struct tcp_acked *a)
{
	uint32_t rtt = tcp_us(now) - x->sent_us, end = tcp_tx_end(x);

	if (seq_lt(t->fack, end)) {
		t->fack = end;
	} else if (!(x->flags & TX_RETRANS) && seq_lt(end, t->fack)) {
		t->saw_reorder = true;
		t->reord_seen++;
	}
	if (x->flags & TX_RETRANS && is_of_original(t, now / NSEC_PER_USEC - rtt, rtt, a))
		return;
	if (!t->rack_rtt_us || sent_after(x->sent_us, end, t->rack_us, t->rack_end)) {
		t->rack_us = x->sent_us;
		t->rack_end = end;
		t->rack_rtt_us = MAX(rtt, 1u);
	}
}

/*
 * 6.2 step 4: a needless retransmission widens the reordering window, once each round
 * trip.
 */
void
tcp_rack_dsack(struct tcb *t)
{
	if (seq_lt(t->snd_una, t->reo_seq))
		return;
	t->reo_seq = t->snd_nxt;
	t->reo_mult = MIN(t->reo_mult + 1, REO_MULT_MAX);
	t->reo_persist = REO_PERSIST;
}

static uint32_t
reo_window(const struct tcb *t)
{
	if (!t->saw_reorder) {
		if (t->ca_state >= CA_RECOVERY || t->sacked > (DUP_THRESH - 1) * t->mss)
			return 0;
	}
	if (t->min_rtt_us == UINT32_MAX)
		return 0;
	return (uint32_t)MIN(
	    (uint64_t)t->min_rtt_us / 4 * MAX(t->reo_mult, 1), (uint64_t)t->srtt8_us / 8);
}

/* 6.2 step 5. Arms the reordering timer when some may yet prove lost. */
void
tcp_rack_detect(struct tcb *t, nsec_t now, struct tcp_acked *a)
{
	uint32_t now_us = tcp_us(now), reo = reo_window(t);
	struct tcp_tx *x;

	if (!t->use_sack || !t->rack_rtt_us)
		return;
	if (t->rtx_mode == RTX_REO) {
		tcp_timer_stop(t, TCP_T_RTX);
		t->rtx_mode = RTX_NONE;
	}
	while ((x = tcp_tx_first_flight(t))) {
		if (!sent_after(t->rack_us, t->rack_end, x->sent_us, tcp_tx_end(x)))
			return;
		if ((int32_t)(now_us - (x->sent_us + t->rack_rtt_us + reo)) < 0)
			break;
		a->newly_lost += x->len;
		tcp_tx_mark_lost(t, x);
	}
	if (x) {
		/* None that was sent before rack_us can be waiting for longer than this. */
		uint32_t wait =
		    t->rack_us + t->rack_rtt_us + reo + TIMER_SLACK_US - now_us;

		t->rtx_mode = RTX_REO;
		tcp_timer_set(t, TCP_T_RTX, now + wait * NSEC_PER_USEC);
	}
}

/* ---- Tail loss probes (7) ------------------------------------------------------ */

bool
tcp_tlp_arm(struct tcb *t, nsec_t now)
{
	uint32_t pto, rto;

	if (!t->use_sack || t->ca_state != CA_OPEN || t->sacked || t->lost ||
	    t->tlp_out || t->retries || !tcp_is_synchronized(t))
		return false;
	pto = US_PER_S;
	if (t->rtt_valid) {
		pto = t->srtt8_us / 4 + TLP_SLACK_US; /* 2 SRTT */
		if (t->in_flight <= t->mss)
			pto += TLP_DELACK_US;
	}
	/* A probe goes before the first time-out even when that is nearer (7.2). */
	rto = tcp_rto_us(t);
	pto = MIN(pto, rto);
	t->rtx_mode = RTX_TLP;
	tcp_timer_set(t, TCP_T_RTX, now + pto * NSEC_PER_USEC);
	return true;
}

/* The timer went off (7.3): output sends new data if it may, or the last segment again. */
void
tcp_tlp_fire(struct tcb *t, nsec_t now)
{
	t->tlp_wanted = true;
	t->rtx_mode = RTX_RTO;
	tcp_timer_set(t, TCP_T_RTX, now + tcp_rto_us(t) * NSEC_PER_USEC);
}

/*
 * 7.4.2: when the ACK goes beyond the probe and no copy was reported as a duplicate, the
 * probe was the only copy that arrived: one loss, one reduction. A bare duplicate ACK
 * says both arrived.
 */
void
tcp_tlp_acked(struct tcb *t, const struct tcp_acked *a, nsec_t now)
{
	if (!t->tlp_out || seq_lt(t->snd_una, t->tlp_end))
		return;
	if (!t->tlp_is_retrans || a->has_dsack) {
		t->tlp_out = false;
	} else if (seq_lt(t->tlp_end, t->snd_una)) {
		t->tlp_out = false;
		tcp_enter_cwr(t, now);
	} else if (a->is_dup && !a->has_new_sack) {
		t->tlp_out = false;
	}
}
