/*
 * The payload of a segment: RFC 9293 3.10.7.4 sixth to eighth. What is told to keep,
 * which ranges wait out of order, when to acknowledge (RFC 9293 3.8.6.3, RFC 5681 4.2),
 * and how large the receive buffer should be: it grows with what the user reads in a
 * round trip (dynamic right-sizing), so that the window never limits a peer that fills
 * the path.
 */
#include "lib/string.h"
#include "net/tcp_priv.h"

/* ---- Ranges out of order ------------------------------------------------------- */

/* The first range that ends at or after `seq`. */
static uint32_t
range_at(const struct tcb *t, uint32_t seq)
{
	uint32_t low = 0, high = t->nranges;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (seq_lt(t->ranges[mid].end, seq))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * The range that holds `seq` grew last. It goes before the others, once: numbers of the same
 * range would push out the ranges that the next ACKs must tell again (RFC 2018 4).
 */
static void
note_recent(struct tcb *t, uint32_t seq)
{
	uint32_t i = range_at(t, seq), kept[ARRAY_SIZE(t->recent)];
	struct tcp_range own = {seq, seq};
	unsigned n = 0;

	if (i < t->nranges && seq_le(t->ranges[i].start, seq))
		own = t->ranges[i];
	for (unsigned k = 0; k < t->recent_count; k++) {
		if (seq_lt(t->recent[k], own.start) || seq_le(own.end, t->recent[k]))
			kept[n++] = t->recent[k];
	}
	n = MIN(n, ARRAY_SIZE(t->recent) - 1);
	t->recent[0] = seq;
	memcpy(t->recent + 1, kept, n * sizeof(kept[0]));
	t->recent_count = (uint8_t)(n + 1);
}

/*
 * Adds [start, end) to the ranges, joining what it touches; false: no room for another
 * hole.
 */
static bool
range_add(struct tcb *t, uint32_t start, uint32_t end)
{
	uint32_t i = range_at(t, start), j = i;

	while (j < t->nranges && seq_le(t->ranges[j].start, end))
		j++;
	if (j == i) { /* touches none */
		if (t->nranges == t->ranges_cap) {
			t->wants_ranges = true;
			return false;
		}
		memmove(t->ranges + i + 1, t->ranges + i,
		    (t->nranges - i) * sizeof(*t->ranges));
		t->ranges[i] = (struct tcp_range){start, end};
		t->nranges++;
	} else {
		t->ranges[i].start = seq_min(t->ranges[i].start, start);
		t->ranges[i].end = seq_max(t->ranges[j - 1].end, end);
		memmove(t->ranges + i + 1, t->ranges + j,
		    (t->nranges - j) * sizeof(*t->ranges));
		t->nranges -= j - i - 1;
	}
	if (t->nranges * 4 > t->ranges_cap * 3)
		t->wants_ranges = true;
	note_recent(t, start);
	return true;
}

/* rcv_nxt moved: takes off the ranges it reached, moving on over them. */
static void
ranges_advance(struct tcb *t)
{
	uint32_t n = 0;

	while (n < t->nranges && seq_le(t->ranges[n].start, t->rcv_nxt)) {
		t->rcv_nxt = seq_max(t->rcv_nxt, t->ranges[n].end);
		n++;
	}
	t->nranges -= n;
	memmove(t->ranges, t->ranges + n, t->nranges * sizeof(*t->ranges));
	if (!t->nranges)
		t->recent_count = 0;
}

void
tcp_core_forget(struct tcb *t, uint32_t seq)
{
	uint32_t n = range_at(t, seq);

	if (n < t->nranges && seq_lt(t->ranges[n].start, seq)) {
		t->ranges[n].end = seq_min(t->ranges[n].end, seq);
		n++;
	}
	t->nranges = MIN(t->nranges, n);
}

/* ---- Duplicates ---------------------------------------------------------------- */

void
tcp_dsack(struct tcb *t, uint32_t start, uint32_t end)
{
	if (!t->use_sack || !seq_lt(start, end))
		return;
	t->has_dsack = true;
	t->dsack = (struct tcp_range){start, end};
}

/* ---- When to acknowledge ------------------------------------------------------- */

static void
estimate_mss(struct tcb *t, const struct tcp_seg *seg)
{
	uint32_t len = seg->gro_size ? seg->gro_size : seg->len;

	if (len >= t->rcv_mss)
		t->rcv_mss = (uint16_t)MIN(len, t->adv_mss);
}

/*
 * At once: every second full segment, what is out of order or fills a hole, and the first
 * segments of a connection or after a pause, so that the peer's slow start is not held
 * up. Else within DELACK_US.
 */
void
tcp_ack_data(struct tcb *t, nsec_t now)
{
	uint32_t enough = MIN(2u * t->rcv_mss, t->rcvbuf / 2);

	if (t->rcv_nxt - t->ack_sent >= enough || t->nranges || t->no_delack ||
	    t->ack_now) {
		t->ack_now = true;
	} else if (t->quick && !t->pingpong) {
		t->quick--;
		t->ack_now = true;
	} else if (!tcp_timer_is_set(t, TCP_T_ACK)) {
		tcp_timer_set(t, TCP_T_ACK, now + DELACK_US * NSEC_PER_USEC);
	}
}

/*
 * The peer's window is small now, and ACKs get lost too: with two of them for four segments
 * it waits for its time-out (RFC 5681 4.2).
 */
void
tcp_ack_all(struct tcb *t)
{
	t->ack_now = true;
	t->pingpong = false;
	t->quick = QUICK_ACKS;
}

/* ---- Right-sizing -------------------------------------------------------------- */

/*
 * The receiver's round trip: by the timestamps, or the time for a window of data to come.
 */
static void
measure_rcv_rtt(struct tcb *t, const struct tcp_seg *seg, nsec_t now)
{
	uint32_t now_us = tcp_us(now), sample = 0;

	if (t->use_ts && seg->opts.has & TCP_OPT_TS && seg->opts.tsecr) {
		uint32_t ms = tcp_ts_now(t, now) - seg->opts.tsecr;

		if (ms < RTO_MAX_US / US_PER_MS)
			sample = MAX(ms, 1u) * US_PER_MS;
	} else if (seq_le(t->rcv_rtt_seq, t->rcv_nxt)) {
		if (t->rcv_rtt_at_us)
			sample = now_us - t->rcv_rtt_at_us;
		t->rcv_rtt_seq = t->rcv_nxt + MAX(tcp_rcv_wnd(t), (uint32_t)t->rcv_mss);
		t->rcv_rtt_at_us = now_us | 1;
	}
	if (!sample)
		return;
	/* Too long when the peer had nothing to send: the lower counts for more. */
	if (!t->rcv_rtt_us || sample < t->rcv_rtt_us)
		t->rcv_rtt_us = sample;
	else
		t->rcv_rtt_us += (sample - t->rcv_rtt_us) / 8;
}

/* The user has read: twice what he takes in a round trip is what the buffer needs. */
static void
right_size(struct tcb *t, nsec_t now)
{
	uint32_t now_us = tcp_us(now), copied;

	if (!t->rcv_rtt_us || now_us - t->drs_at_us < t->rcv_rtt_us)
		return;
	copied = t->rcv_read - t->drs_seq;
	if (copied > t->drs_space) {
		uint64_t want = 2ull * copied + 16ull * t->adv_mss;

		/* While the peer doubles its rate each round trip, so must this. */
		want += 2 * want * (copied - t->drs_space) / MAX(t->drs_space, 1u);
		t->drs_space = copied;
		if (want > t->rcvbuf)
			t->rcvbuf = (uint32_t)MIN(want, MAX(t->rcvbuf, t->rcvbuf_max));
	}
	t->drs_seq = t->rcv_read;
	t->drs_at_us = now_us;
}

bool
tcp_core_read(struct tcb *t, uint32_t len, nsec_t now)
{
	uint32_t wnd = tcp_rcv_wnd(t), space;
	uint16_t scaled;

	t->rcv_read += len;
	right_size(t, now);
	if (!tcp_is_synchronized(t) || t->fin_rcvd)
		return false;
	/* Tell of room when there is twice what the peer knows of (RFC 9293 3.8.6.2.2). */
	space = tcp_select_window(t, false, &scaled);
	if (space < 2 * wnd || space - wnd < MIN(t->rcvbuf / 2, (uint32_t)t->adv_mss))
		return false;
	t->ack_now = true;
	return true;
}

/* ---- A segment ----------------------------------------------------------------- */

/* The payload as far as it is new and in the window. */
static bool
trim(struct tcb *t, const struct tcp_seg *seg, struct tcp_range *fresh,
    struct tcp_result *r)
{
	uint32_t start = seg->seq, end = seg->seq + seg->len;
	uint32_t edge = seq_max(t->rcv_adv, t->rcv_nxt);
	uint32_t i;

	if (seq_lt(start, t->rcv_nxt)) {
		tcp_dsack(t, start, seq_min(end, t->rcv_nxt));
		start = seq_min(end, t->rcv_nxt);
	}
	if (start == end) {
		r->verdict = TCP_DUPLICATE;
		return false;
	}
	end = seq_min(end, edge);
	if (!seq_lt(start, end)) {
		r->verdict = TCP_NO_WINDOW;
		return false;
	}
	/* Both ends against what waits already; a range in the middle is covered anew. */
	i = range_at(t, start);
	if (i < t->nranges && seq_le(t->ranges[i].start, start) &&
	    seq_lt(start, t->ranges[i].end)) {
		tcp_dsack(t, start, seq_min(end, t->ranges[i].end));
		start = seq_min(end, t->ranges[i].end);
	}
	i = range_at(t, end);
	if (seq_lt(start, end) && i < t->nranges && seq_lt(t->ranges[i].start, end))
		end = t->ranges[i].start;
	if (!seq_lt(start, end)) {
		r->verdict = TCP_DUPLICATE;
		note_recent(t, seg->seq);
		return false;
	}
	*fresh = (struct tcp_range){start, end};
	return true;
}

static void
keep(struct tcb *t, const struct tcp_seg *seg, struct tcp_range f, struct tcp_result *r)
{
	uint32_t old = t->rcv_nxt;

	if (f.start != t->rcv_nxt && !range_add(t, f.start, f.end)) {
		r->verdict = TCP_NO_WINDOW;
		return;
	}
	r->keep_off = f.start - seg->seq;
	r->keep_len = f.end - f.start;
	r->keep_seq = f.start;
	r->keep_in_order = f.start == old;
	if (!r->keep_in_order)
		return;
	t->rcv_nxt = f.end;
	if (t->nranges)
		ranges_advance(t);
	r->readable = t->rcv_nxt - old;
	t->bytes_received += r->readable;
	r->events |= TCP_EV_READABLE;
}

void
tcp_input_data(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_result *r)
{
	bool had_holes = t->nranges;
	struct tcp_range fresh;

	t->data_segs_in++;
	estimate_mss(t, seg);
	if (tcp_us(now) - t->last_rcv_us > MAX(t->rto_us, (uint32_t)RTO_INITIAL_US))
		t->quick = QUICK_ACKS; /* the peer slow-starts again */
	t->last_rcv_us = tcp_us(now);
	if (!trim(t, seg, &fresh, r)) {
		tcp_ack_all(t);
		return;
	}
	keep(t, seg, fresh, r);
	if (r->readable)
		measure_rcv_rtt(t, seg, now);
	if (had_holes || t->nranges || r->verdict != TCP_TAKEN)
		tcp_ack_all(t);
	else if (seg->flags & TCP_FIN)
		t->ack_now = true;
	tcp_ack_data(t, now);
}

/* RFC 9293 3.8.5, as RFC 6093 has it: the pointer names the byte after the urgent one. */
void
tcp_input_urgent(struct tcb *t, const struct tcp_seg *seg, struct tcp_result *r)
{
	uint32_t up = seg->seq + seg->urg;

	if (!seg->urg || seq_le(up, t->rcv_read) ||
	    (t->has_rcv_up && seq_le(up, t->rcv_up)))
		return;
	t->rcv_up = up;
	t->has_rcv_up = true;
	r->events |= TCP_EV_URGENT;
}
