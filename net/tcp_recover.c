/*
 * Recovery from loss: what an ACK, or its absence, does to the congestion state.
 *
 *	OPEN -> DISORDER	SACKs or duplicate ACKs came, nothing counts as lost
 *	     -> RECOVERY	something is lost (RACK; without SACK the third duplicate ACK, RFC 6582)
 *	     -> CWR		ECN's mark (RFC 3168 6.1.2), or a probe repaired the tail
 *	any  -> LOSS		time-out (RFC 6298 5.4..5.6), at first in doubt (F-RTO, RFC 5682)
 *
 * All end when `recover`, the highest number sent before, is acknowledged. In CWR and
 * RECOVERY the window follows PRR (RFC 6937). A reduction that proves needless is taken
 * back: the peer reports every retransmission as a duplicate (RFC 3708), its timestamp
 * echo is older than the first retransmission (RFC 3522), or F-RTO sees originals arrive.
 *
 * For a peer without SACK each duplicate ACK is counted as one segment that has left the
 * network.
 */
#include "net/tcp_cc.h"
#include "net/tcp_priv.h"

uint32_t
tcp_pipe(const struct tcb *t)
{
	uint64_t gone = t->use_sack ? 0 : (uint64_t)t->dupacks * t->mss;

	return gone < t->in_flight ? (uint32_t)(t->in_flight - gone) : 0;
}

/* ---- Reductions and taking them back ------------------------------------------- */

static void
save_undo(struct tcb *t)
{
	t->can_undo = true;
	t->undo_cwnd = t->cwnd;
	t->undo_ssthresh = t->ssthresh;
	t->undo_retrans = 0;
	t->undo_ts = 0;
}

static void
undo(struct tcb *t)
{
	t->cwnd = MAX(t->cwnd, t->undo_cwnd);
	t->ssthresh = MAX(t->ssthresh, t->undo_ssthresh);
	t->cc->undo(t);
	t->can_undo = false;
	t->frto = false;
	t->retries = 0;
	t->backoff = 0;
	t->cwr_pending = false;
	tcp_tx_unmark_lost(t);
	t->ca_state = t->sacked ? CA_DISORDER : CA_OPEN;
}

static void
start_reduction(struct tcb *t)
{
	t->ssthresh = t->cc->ssthresh(t);
	t->prr_start = MAX(t->snd_nxt - t->snd_una, 1u);
	t->prr_delivered = t->prr_out = 0;
	t->recover = t->snd_nxt;
	t->in_css = false;
	t->cwr_pending = t->use_ecn;
}

void
tcp_enter_cwr(struct tcb *t, nsec_t now)
{
	t->can_undo = false;
	start_reduction(t);
	t->ca_state = CA_CWR;
	(void)now;
}

static void
enter_recovery(struct tcb *t)
{
	if (t->ca_state < CA_CWR) {
		save_undo(t);
		start_reduction(t);
	}
	t->recover = t->snd_nxt;
	t->ca_state = CA_RECOVERY;
	t->force_one = true;
	if (t->reo_persist && !--t->reo_persist)
		t->reo_mult = 1;
}

static void
leave(struct tcb *t)
{
	if (t->ca_state != CA_LOSS)
		t->cwnd = MAX(t->ssthresh, 2u * t->mss);
	t->can_undo = false;
	t->frto = false;
	t->dupacks = 0;
	t->ca_state = t->sacked ? CA_DISORDER : CA_OPEN;
}

/*
 * RFC 6937 3, with the safe-ACK rule of its successor: grow only while nothing more gets
 * lost.
 */
static void
prr(struct tcb *t, const struct tcp_acked *a)
{
	uint32_t pipe = tcp_pipe(t), send;

	t->prr_delivered += a->delivered;
	if (pipe > t->ssthresh) {
		uint64_t may =
		    ((uint64_t)t->prr_delivered * t->ssthresh + t->prr_start - 1) /
		    t->prr_start;

		send = may > t->prr_out ? (uint32_t)may - t->prr_out : 0;
	} else {
		uint32_t limit =
		    t->prr_delivered > t->prr_out ? t->prr_delivered - t->prr_out : 0;

		limit = MAX(limit, a->delivered);
		if (a->acked && !a->newly_lost)
			limit += t->mss;
		send = MIN(t->ssthresh - pipe, limit);
	}
	if (t->force_one)
		send = MAX(send, (uint32_t)t->mss);
	t->cwnd = MAX(pipe + send, (uint32_t)t->mss);
}

/* ---- A peer without SACK ------------------------------------------------------- */

static void
count_dupacks(struct tcb *t, struct tcp_acked *a)
{
	if (a->acked) {
		uint32_t gone = MIN(DIV_ROUND_UP(a->acked, t->mss) - 1, t->dupacks);

		a->delivered -= MIN(a->delivered, gone * t->mss);
		t->dupacks = t->ca_state < CA_CWR ? 0 : t->dupacks - gone;
	} else if (a->is_dup && t->ca_state != CA_LOSS) {
		t->dupacks++;
		a->delivered += t->mss;
	}
	if (tcp_tx_is_empty(t))
		return;
	if (t->ca_state == CA_RECOVERY) {
		/* A partial ACK tells of the next hole (RFC 6582 3.2 step 5). */
		if (a->acked && seq_lt(t->snd_una, t->recover) &&
		    !(tcp_tx_at(t, t->tx_head)->flags & TX_RETRANS)) {
			tcp_tx_mark_lost(t, tcp_tx_at(t, t->tx_head));
			t->force_one = true;
		}
	} else if (t->dupacks >= DUP_THRESH && t->ca_state < CA_RECOVERY &&
	           seq_lt(t->recover, t->snd_una)) {
		a->newly_lost += tcp_tx_at(t, t->tx_head)->len;
		tcp_tx_mark_lost(t, tcp_tx_at(t, t->tx_head));
	}
}

/* ---- An ACK -------------------------------------------------------------------- */

/*
 * The first retransmission was not what this ACK answers (RFC 3522), or all were
 * needless.
 */
static bool
is_spurious(const struct tcb *t, const struct tcp_acked *a)
{
	if (!t->can_undo || !t->undo_ts)
		return false;
	if (a->acked && a->has_ts && (int32_t)(a->tsecr - t->undo_ts) < 0)
		return true;
	return a->has_dsack && t->undo_retrans == 0;
}

/* RFC 5682 2.1 and 3.1: after a time-out, are the originals still arriving? */
static void
frto(struct tcb *t, const struct tcp_acked *a)
{
	if (!t->frto)
		return;
	if (a->is_original && (t->use_sack || t->frto_new_sent)) {
		undo(t); /* 3.b: never retransmitted, yet it arrived */
		return;
	}
	if (t->frto_new_sent)
		t->cwnd = 3 * t->mss; /* 3.a */
	if (t->frto_new_sent || !a->acked || !seq_lt(t->snd_una, t->recover) ||
	    seq_le(t->snd_end, t->snd_nxt) || t->snd_nxt - t->snd_una >= t->snd_wnd) {
		t->frto =
		    false; /* 2.a, 3.a, or no new data to try with: conventional recovery */
		return;
	}
	t->frto_new_sent = true; /* 2.b: two new segments */
	t->cwnd = tcp_pipe(t) + 2 * t->mss;
}

static void
in_loss(struct tcb *t, struct tcp_acked *a, nsec_t now)
{
	frto(t, a);
	if (t->ca_state != CA_LOSS)
		return;
	if (seq_le(t->recover, t->snd_una))
		leave(t);
	if (a->acked && !(t->frto && t->frto_new_sent)) {
		t->is_cwnd_limited = true;
		t->cwnd_used_seq = t->snd_nxt;
		/*
		 * One segment for an ACK, whatever it covers (RFC 5681 3.1, RFC 3465
		 * 2.3).
		 */
		tcp_cc_acked(t, MIN(a->delivered, (uint32_t)t->mss), a->last_rtt_us, now);
	}
}

static void
in_recovery(struct tcb *t)
{
	if (seq_lt(t->snd_una, t->recover))
		return;
	/*
	 * Without SACK, duplicate ACKs for what was retransmitted needlessly look like a
	 * new loss; staying until more is acknowledged keeps them apart (RFC 6582 4.1).
	 */
	if (!t->use_sack && t->snd_una == t->recover && t->snd_nxt != t->snd_una)
		return;
	leave(t);
}

void
tcp_recover_ack(struct tcb *t, struct tcp_acked *a, nsec_t now)
{
	if (!t->use_sack)
		count_dupacks(t, a);
	tcp_rack_detect(t, now, a);
	tcp_tlp_acked(t, a, now);
	if (is_spurious(t, a))
		undo(t);
	if (a->has_ece && t->ca_state < CA_CWR)
		tcp_enter_cwr(t, now);
	if (t->ca_state == CA_LOSS) {
		in_loss(t, a, now);
		return;
	}
	if (t->ca_state == CA_RECOVERY)
		in_recovery(t);
	else if (t->ca_state == CA_CWR && seq_le(t->recover, t->snd_una))
		leave(t);
	if (t->lost && t->ca_state < CA_RECOVERY && !tcp_mtu_lost(t))
		enter_recovery(t);
	else if (t->ca_state < CA_CWR)
		t->ca_state = t->sacked || t->dupacks ? CA_DISORDER : CA_OPEN;
	if (t->ca_state >= CA_CWR)
		prr(t, a);
	else if (a->acked)
		tcp_cc_acked(t, a->delivered, a->last_rtt_us, now);
}

/* ---- A time-out ---------------------------------------------------------------- */

void
tcp_recover_rto(struct tcb *t, nsec_t now)
{
	bool is_new = t->ca_state < CA_CWR || seq_le(t->recover, t->snd_una) ||
	              (t->ca_state == CA_LOSS && !t->retries);
	struct tcp_tx *head = tcp_tx_at(t, t->tx_head);

	t->flight = t->snd_nxt - t->snd_una;
	if (is_new) {
		save_undo(t);
		start_reduction(t);
	}
	t->frto = is_new;
	t->frto_new_sent = false;
	/*
	 * What is first in line cannot have been SACKed and not acknowledged (RFC 2018
	 * 8).
	 */
	tcp_tx_mark_all_lost(t, head->flags & TX_SACKED);
	t->ca_state = CA_LOSS;
	t->cwnd = t->mss;
	t->recover = t->snd_nxt;
	t->dupacks = 0;
	t->tlp_out = t->tlp_wanted = false;
	(void)now;
}
