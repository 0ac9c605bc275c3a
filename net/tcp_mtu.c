/*
 * Packetisation-layer path MTU discovery, RFC 4821. Sizes are those of path_mss: payload of a
 * segment without options.
 *
 * Down (7.7): when a full segment timed out BLACK_HOLE_TIMEOUTS times in a row, the path may
 * have a smaller MTU and not say so; segments become base_mss long, or half of what they were.
 * If small ones vanish as well, it was not that.
 *
 * Up (7.3): between what is known to pass (mss) and what may (mtu_high) one new segment at a
 * time is made longer, first as long as may be, then half-way (7.5.1). It is sent only when
 * enough follows for its loss to be seen without a time-out, and when nothing is lost or out of
 * order. Acknowledged, it raises mss; lost alone, it lowers mtu_high, is sent again in pieces,
 * and means no congestion (7.6.2). Whatever else is lost with it leaves the question open (7.6.4).
 * When the two have met, all is tried again after interval_s (7.6.1).
 *
 * With mode 1 the search begins at a suspected black hole, with mode 2 at once at base_mss (7.2).
 */
#include "net/tcp_priv.h"

enum {
	BLACK_HOLE_TIMEOUTS = 3,
	FOLLOWERS =
	    3, /* segments behind a probe that show its loss: the threshold of RFC 5681 */
};

/* ---- Down ---------------------------------------------------------------------- */

static void
set_mss(struct tcb *t, uint32_t mss)
{
	t->path_mss = (uint16_t)mss;
	tcp_update_mss(t);
}

void
tcp_mtu_begin(struct tcb *t)
{
	t->mtu_high = t->path_mss;
	if (t->mtu.mode < 2 || t->mss <= t->mtu.base_mss)
		return;
	t->mtu_search = true;
	set_mss(t, t->mtu.base_mss);
}

bool
tcp_mtu_timed_out(struct tcb *t)
{
	bool is_full = tcp_tx_at(t, t->tx_head)->len >= tcp_seg_payload(t);
	uint32_t base = t->mtu.base_mss, less = t->mss > base ? base : t->mss / 2;

	t->mtu_probe = 0;
	if (!t->mtu.mode)
		return false;
	if (t->mtu_search && t->retries > BLACK_HOLE_TIMEOUTS + 1) {
		t->mtu_search = false;
		set_mss(t, t->mtu_high);
		return false;
	}
	less = MAX(less, t->mtu.floor_mss);
	if (!is_full || t->retries != BLACK_HOLE_TIMEOUTS || less >= t->mss)
		return false;
	if (!t->mtu_search)
		t->mtu_high = t->mss;
	t->mtu_search = true;
	t->mtu_failed = false;
	set_mss(t, less);
	return true;
}

/* ---- Up ------------------------------------------------------------------------ */

static uint32_t
ceiling(const struct tcb *t)
{
	uint32_t high = MIN(t->mtu_high, t->peer_mss);

	return t->user_mss ? MIN(high, t->user_mss) : high;
}

/* The path may have changed: what our link takes may pass now. */
static void
search_again(struct tcb *t, nsec_t now)
{
	uint32_t now_s = (uint32_t)(now / NSEC_PER_SEC);

	if (!t->mtu_again_s) {
		t->mtu_again_s = now_s + t->mtu.interval_s;
	} else if ((int32_t)(now_s - t->mtu_again_s) >= 0) {
		t->mtu_again_s = 0;
		t->mtu_high = t->adv_mss;
		t->mtu_failed = false;
	}
}

uint32_t
tcp_mtu_probe(struct tcb *t, nsec_t now)
{
	uint32_t high = ceiling(t), size, all;

	if (!t->mtu_search || t->mtu_probe || t->ca_state != CA_OPEN || t->lost ||
	    t->nranges || t->tlp_wanted || t->probe_wanted)
		return 0;
	if (high < t->mss + t->mtu.threshold) {
		search_again(t, now);
		return 0;
	}
	size = t->mtu_failed ? (t->mss + high) / 2 : high;
	all = size + FOLLOWERS * t->mss;
	if (tcp_core_unsent(t) < all || t->snd_una + t->snd_wnd - t->snd_nxt < all ||
	    t->snd_nxt - t->snd_una >= t->snd_wnd || t->cwnd < all ||
	    tcp_pipe(t) + size > t->cwnd)
		return 0;
	return size;
}

void
tcp_mtu_sent(struct tcb *t, uint32_t size, uint32_t seq)
{
	t->mtu_probe = (uint16_t)size;
	t->mtu_probe_seq = seq;
}

void
tcp_mtu_acked(struct tcb *t)
{
	if (!t->mtu_probe || seq_le(t->snd_una, t->mtu_probe_seq))
		return;
	set_mss(t, t->mtu_probe);
	t->mtu_probe = 0;
}

bool
tcp_mtu_lost(struct tcb *t)
{
	const struct tcp_tx *x = tcp_tx_first_lost(t);
	bool is_alone = x && x->seq == t->mtu_probe_seq && t->lost == x->len;

	if (!t->mtu_probe)
		return false;
	if (is_alone) {
		t->mtu_high = t->mtu_probe - 1;
		t->mtu_failed = true;
		t->force_one = true;
	}
	t->mtu_probe = 0;
	return is_alone;
}

void
tcp_mtu_told(struct tcb *t, uint16_t mss)
{
	uint32_t i = tcp_tx_find(t, t->mtu_probe_seq);

	if (!t->mtu_probe || mss >= t->mtu_probe || mss < t->mss)
		return;
	t->mtu_high = mss;
	t->mtu_failed = true;
	t->mtu_probe = 0;
	if (i == t->tx_tail)
		return;
	tcp_tx_mark_lost(t, tcp_tx_at(t, i));
	t->force_one = true;
}

void
tcp_mtu_resent(struct tcb *t, const struct tcp_tx *x)
{
	if (x->seq == t->mtu_probe_seq)
		t->mtu_probe = 0;
}
