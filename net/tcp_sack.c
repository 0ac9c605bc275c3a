/*
 * Selective acknowledgment: RFC 2018, with duplicates reported as in RFC 2883. Blocks
 * that come in mark records (tcp_tx.c); blocks that go out tell the ranges that wait out
 * of order.
 */
#include "net/tcp_priv.h"

/* ---- In ------------------------------------------------------------------------ */

/*
 * RFC 2883 4: the first block tells of a duplicate when the cumulative acknowledgment
 * covers it, or when it lies within the second.
 */
static bool
is_dsack(const struct tcp_seg *seg)
{
	const struct tcp_range *b = seg->opts.sack;

	if (seq_le(b[0].end, seg->ack))
		return true;
	return seg->opts.nsack > 1 && seq_le(b[1].start, b[0].start) &&
	       seq_le(b[0].end, b[1].end);
}

static void
take_dsack(struct tcb *t, const struct tcp_range *b, struct tcp_acked *a)
{
	if (seq_lt(b->start, a->prior_una - t->max_wnd) || seq_lt(t->snd_nxt, b->end))
		return;
	a->has_dsack = true;
	t->dsack_seen++;
	if (t->undo_retrans)
		t->undo_retrans--;
	tcp_rack_dsack(t);
}

static void
take_block(struct tcb *t, struct tcp_range b, nsec_t now, struct tcp_acked *a)
{
	uint32_t i = tcp_tx_find(t, b.start);

	if (i != t->tx_tail && seq_lt(tcp_tx_at(t, i)->seq, b.start))
		i++; /* a record of which only a part arrived stays unmarked */
	while ((i = tcp_tx_skip_sacked(t, i)) != t->tx_tail) {
		struct tcp_tx *x = tcp_tx_at(t, i);

		if (seq_lt(b.end, tcp_tx_end(x)))
			break;
		if (!(x->flags & TX_RETRANS))
			a->last_rtt_us = MAX(tcp_us(now) - x->sent_us, 1u);
		if (!(x->flags & TX_RETRANS) && t->frto)
			a->is_original = true;
		a->delivered += x->len;
		a->has_new_sack = true;
		tcp_rack_delivered(t, x, now, a);
		tcp_tx_mark_sacked(t, i);
		i++;
	}
}

void
tcp_sack_input(struct tcb *t, const struct tcp_seg *seg, nsec_t now, struct tcp_acked *a)
{
	for (unsigned i = 0; i < seg->opts.nsack; i++) {
		struct tcp_range b = seg->opts.sack[i];

		if (!seq_lt(b.start, b.end))
			continue;
		if (i == 0 && is_dsack(seg)) {
			take_dsack(t, &b, a);
			continue;
		}
		if (seq_le(b.end, t->snd_una) || seq_lt(t->snd_nxt, b.end) ||
		    seq_lt(b.start, t->snd_una - t->max_wnd))
			continue;
		b.start = seq_max(b.start, t->snd_una);
		take_block(t, b, now, a);
	}
}

/* ---- Out ----------------------------------------------------------------------- */

/* The range that holds `seq`, or NULL. */
static const struct tcp_range *
find_range(const struct tcb *t, uint32_t seq)
{
	uint32_t low = 0, high = t->nranges;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (seq_le(t->ranges[mid].end, seq))
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->nranges && seq_le(t->ranges[low].start, seq) ? &t->ranges[low]
	                                                             : NULL;
}

static bool
has_block(const struct tcp_opts *o, unsigned from, const struct tcp_range *r)
{
	for (unsigned i = from; i < o->nsack; i++) {
		if (o->sack[i].start == r->start)
			return true;
	}
	return false;
}

/*
 * RFC 2018 4: first the range that grew last, then those reported before; what room is
 * left goes to the lowest holes. With timestamps three blocks fit.
 */
void
tcp_sack_output(struct tcb *t, struct tcp_opts *o)
{
	unsigned max = o->has & TCP_OPT_TS ? 3 : 4, from = t->has_dsack;

	o->nsack = 0;
	if (!t->use_sack)
		return;
	if (t->has_dsack)
		o->sack[o->nsack++] = t->dsack;
	t->has_dsack = false;
	for (unsigned i = 0; i < t->recent_count && o->nsack < max; i++) {
		const struct tcp_range *r = find_range(t, t->recent[i]);

		if (r && !has_block(o, from, r))
			o->sack[o->nsack++] = *r;
	}
	for (unsigned i = 0; i < t->nranges && i < 2 * TCP_MAX_SACK && o->nsack < max;
	     i++) {
		if (!has_block(o, from, &t->ranges[i]))
			o->sack[o->nsack++] = t->ranges[i];
	}
}
