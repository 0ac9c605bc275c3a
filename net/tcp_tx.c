/*
 * Records of what was sent and is not yet acknowledged: one for each segment, in a ring
 * ordered by sequence number, so that the record of a number is found by bisection. Each
 * record is in one of three conditions:
 *
 *	in flight	on the list flight_first..flight_last in order of (re)transmission: the oldest
 *			first, as RACK and the time-outs ask for it;
 *	lost		on the list lost_first..lost_last: what is to be sent again, in order;
 *	SACKed		on no list. Neighbouring ones form a run; the first of a run has the last in
 *			`next`, the last has the first in `prev`. Inside of a run `next` is what it
 *			was when the record was at an edge, which still lies within the run: following
 *			it jumps over what is known.
 *
 * So each ACK costs what it newly tells, and a bisection for each of its SACK blocks,
 * however much is in flight. While nothing was lost, SACKed or sent twice, the list of what is in
 * flight is in order of number, and an ACK takes off all it covers in one piece. Links are slots of the ring, not indices. The ring starts
 * with TCP_INLINE_TX records in the control block; the shell gives a longer one when
 * asked.
 */
#include "net/tcp_priv.h"

#include "lib/bits.h"
#include "lib/string.h"

struct tcp_tx *
tcp_tx_at(const struct tcb *t, uint32_t index)
{
	return &t->tx[index & (t->tx_cap - 1)];
}

static uint32_t
slot_of(const struct tcb *t, const struct tcp_tx *x)
{
	return (uint32_t)(x - t->tx);
}

static uint32_t
index_of_slot(const struct tcb *t, uint32_t slot)
{
	return t->tx_head + ((slot - t->tx_head) & (t->tx_cap - 1));
}

uint32_t
tcp_tx_end(const struct tcp_tx *x)
{
	return x->seq + x->len;
}

void
tcp_tx_init(struct tcb *t)
{
	t->tx = t->inline_tx;
	t->tx_cap = TCP_INLINE_TX;
	t->tx_head = t->tx_tail = 0;
	t->flight_first = t->flight_last = t->lost_first = t->lost_last = TX_NIL;
	t->in_flight = t->sacked = t->lost = 0;
	t->is_disordered = false;
}

/* ---- The two lists ------------------------------------------------------------- */

static void
list_append(struct tcb *t, uint32_t *first, uint32_t *last, struct tcp_tx *x)
{
	uint32_t slot = slot_of(t, x);

	x->next = TX_NIL;
	x->prev = *last;
	if (*last == TX_NIL)
		*first = slot;
	else
		t->tx[*last].next = slot;
	*last = slot;
}

static void
list_remove(struct tcb *t, uint32_t *first, uint32_t *last, struct tcp_tx *x)
{
	if (x->prev == TX_NIL)
		*first = x->next;
	else
		t->tx[x->prev].next = x->next;
	if (x->next == TX_NIL)
		*last = x->prev;
	else
		t->tx[x->next].prev = x->prev;
}

static void
to_flight(struct tcb *t, struct tcp_tx *x)
{
	list_append(t, &t->flight_first, &t->flight_last, x);
	t->in_flight += x->len;
}

static void
to_lost(struct tcb *t, struct tcp_tx *x)
{
	list_append(t, &t->lost_first, &t->lost_last, x);
	x->flags |= TX_LOST;
	t->lost += x->len;
}

/* Off its list, into no condition. */
static void
detach(struct tcb *t, struct tcp_tx *x)
{
	if (x->flags & TX_SACKED) {
		t->sacked -= x->len;
	} else if (x->flags & TX_LOST) {
		list_remove(t, &t->lost_first, &t->lost_last, x);
		t->lost -= x->len;
	} else {
		list_remove(t, &t->flight_first, &t->flight_last, x);
		t->in_flight -= x->len;
	}
	x->flags &= (uint8_t) ~(TX_LOST | TX_SACKED);
}

/* Until what is in flight now is acknowledged, each record needs a look. */
static void
note_disorder(struct tcb *t)
{
	t->is_disordered = true;
	t->disorder_end = tcp_tx_end(tcp_tx_at(t, t->tx_tail - 1));
}

/* ---- Sending ------------------------------------------------------------------- */

void
tcp_tx_append(struct tcb *t, const struct tcp_out *out, bool has_flag, uint32_t now_us)
{
	uint32_t seq = out->seq, left = out->len, last = t->flight_last, slot;

	do {
		uint32_t n = MIN(left, (uint32_t)out->mss);

		left -= n;
		slot = t->tx_tail++ & (t->tx_cap - 1);
		t->tx[slot] = (struct tcp_tx){.seq = seq,
		    .sent_us = now_us,
		    .prev = last,
		    .next = TX_NIL,
		    .len = (uint16_t)(n + (has_flag && !left))};
		*(last == TX_NIL ? &t->flight_first : &t->tx[last].next) = slot;
		last = slot;
		seq += n;
	} while (left);
	t->flight_last = last;
	t->in_flight += out->len + has_flag;
}

void
tcp_tx_resent(struct tcb *t, struct tcp_tx *x, uint32_t now_us)
{
	note_disorder(t);
	detach(t, x);
	x->sent_us = now_us;
	x->flags |= TX_RETRANS;
	if (x->nretrans < UINT8_MAX)
		x->nretrans++;
	to_flight(t, x);
}

/* ---- Conditions ---------------------------------------------------------------- */

void
tcp_tx_mark_lost(struct tcb *t, struct tcp_tx *x)
{
	if (x->flags & (TX_LOST | TX_SACKED))
		return;
	note_disorder(t);
	detach(t, x);
	to_lost(t, x);
}

void
tcp_tx_mark_all_lost(struct tcb *t, bool forget_sacks)
{
	if (!tcp_tx_is_empty(t))
		note_disorder(t);
	for (uint32_t i = t->tx_head; i != t->tx_tail; i++) {
		struct tcp_tx *x = tcp_tx_at(t, i);

		if (x->flags & TX_SACKED && !forget_sacks)
			continue;
		detach(t, x);
		to_lost(t, x);
	}
}

void
tcp_tx_unmark_lost(struct tcb *t)
{
	struct tcp_tx *x;

	while ((x = tcp_tx_first_lost(t))) {
		detach(t, x);
		to_flight(t, x);
	}
}

/* Joins the record to the runs of SACKed ones on both sides. */
void
tcp_tx_mark_sacked(struct tcb *t, uint32_t index)
{
	struct tcp_tx *x = tcp_tx_at(t, index), *before, *after;
	uint32_t first = slot_of(t, x), last = first;

	note_disorder(t);
	detach(t, x);
	x->flags |= TX_SACKED;
	t->sacked += x->len;
	x->prev = x->next = first;
	before = index == t->tx_head ? NULL : tcp_tx_at(t, index - 1);
	after = index + 1 == t->tx_tail ? NULL : tcp_tx_at(t, index + 1);
	if (before && before->flags & TX_SACKED)
		first = before->prev;
	if (after && after->flags & TX_SACKED)
		last = after->next;
	/* The front of a run may be acknowledged and gone: then it begins at the head. */
	if (index_of_slot(t, first) - t->tx_head > index - t->tx_head)
		first = t->tx_head & (t->tx_cap - 1);
	t->tx[first].next = last;
	t->tx[last].prev = first;
}

uint32_t
tcp_tx_skip_sacked(const struct tcb *t, uint32_t index)
{
	while (index != t->tx_tail) {
		const struct tcp_tx *x = tcp_tx_at(t, index);

		if (!(x->flags & TX_SACKED))
			break;
		index = index_of_slot(t, x->next) + 1;
	}
	return index;
}

uint32_t
tcp_tx_find(const struct tcb *t, uint32_t seq)
{
	uint32_t low = t->tx_head, n = t->tx_tail - t->tx_head;

	while (n) { /* the answer lies in [low, low + n] */
		uint32_t half = n / 2;

		if (seq_le(tcp_tx_end(tcp_tx_at(t, low + half)), seq)) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

/* ---- Acknowledgment ------------------------------------------------------------ */

/*
 * RTTs only from what was sent once (RFC 6298 3, Karn) and was not known to have arrived.
 */
static void
note_delivery(struct tcb *t, const struct tcp_tx *x, nsec_t now, struct tcp_acked *a)
{
	if (x->flags & TX_RETRANS)
		a->saw_retrans = true;
	if (x->flags & TX_SACKED)
		return;
	if (!(x->flags & TX_RETRANS)) {
		a->last_rtt_us = MAX(tcp_us(now) - x->sent_us, 1u);
		if (!a->rtt_us)
			a->rtt_us = a->last_rtt_us;
		if (t->frto)
			a->is_original = true;
	}
	a->delivered += x->len;
	tcp_rack_delivered(t, x, now, a);
}

/* The records that `ack` covers whole, when all went out once and in this order. */
static void
ack_in_order(struct tcb *t, uint32_t ack, nsec_t now, struct tcp_acked *a)
{
	uint32_t end = tcp_tx_find(t, ack);
	const struct tcp_tx *first, *last;
	uint32_t len;

	if (end == t->tx_head)
		return;
	first = tcp_tx_at(t, t->tx_head);
	last = tcp_tx_at(t, end - 1);
	len = tcp_tx_end(last) - first->seq;
	a->rtt_us = MAX(tcp_us(now) - first->sent_us, 1u);
	a->last_rtt_us = MAX(tcp_us(now) - last->sent_us, 1u);
	a->is_original |= t->frto;
	a->delivered += len;
	tcp_rack_delivered(t, last, now, a);
	t->in_flight -= len;
	t->flight_first = last->next;
	*(last->next == TX_NIL ? &t->flight_last : &t->tx[last->next].prev) = TX_NIL;
	t->tx_head = end;
}

void
tcp_tx_ack(struct tcb *t, uint32_t ack, nsec_t now, struct tcp_acked *a)
{
	if (!t->is_disordered)
		ack_in_order(t, ack, now, a);
	while (!tcp_tx_is_empty(t)) {
		struct tcp_tx *x = tcp_tx_at(t, t->tx_head);
		uint32_t part = ack - x->seq;

		if (seq_le(ack, x->seq))
			break;
		if (seq_lt(ack, tcp_tx_end(x))) {
			/* A part: the rest stays as it is. */
			uint32_t *sum = x->flags & TX_SACKED ? &t->sacked
			                : x->flags & TX_LOST ? &t->lost
			                                     : &t->in_flight;

			*sum -= part;
			if (!(x->flags & TX_SACKED))
				a->delivered += part;
			x->seq = ack;
			x->len -= (uint16_t)part;
			break;
		}
		note_delivery(t, x, now, a);
		detach(t, x);
		t->tx_head++;
	}
	if (tcp_tx_is_empty(t))
		t->tx_head = t->tx_tail = 0;
	if (tcp_tx_is_empty(t) || seq_le(t->disorder_end, tcp_tx_at(t, t->tx_head)->seq))
		t->is_disordered = false;
}

/* ---- Memory -------------------------------------------------------------------- */

/*
 * Moves the records into `array`, whose capacity holds them. Links become those of the
 * new slots.
 */
static void
move_ring(struct tcb *t, struct tcp_tx *array, uint32_t cap)
{
	uint32_t n = t->tx_tail - t->tx_head;
	uint32_t *const ends[] = {
	    &t->flight_first, &t->flight_last, &t->lost_first, &t->lost_last};

	for (uint32_t i = 0; i < n; i++) {
		struct tcp_tx x = *tcp_tx_at(t, t->tx_head + i);

		if (x.prev != TX_NIL)
			x.prev = (index_of_slot(t, x.prev) - t->tx_head) & (cap - 1);
		if (x.next != TX_NIL)
			x.next = (index_of_slot(t, x.next) - t->tx_head) & (cap - 1);
		array[i] = x;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		if (*ends[i] != TX_NIL)
			*ends[i] = index_of_slot(t, *ends[i]) - t->tx_head;
	}
	t->tx = array;
	t->tx_cap = cap;
	t->tx_head = 0;
	t->tx_tail = n;
}

enum { MAX_RANGES = 1024 };

static uint32_t
max_records(void)
{
	return (uint32_t)1 << bit_last(TCP_MEM_MAX / sizeof(struct tcp_tx));
}

static_assert(sizeof(struct tcp_tx) == 20, "the inline ones count in every connection");

/* Records for what the windows would let go out now, and as much again. */
static size_t
records_wanted(const struct tcb *t)
{
	uint32_t used = t->tx_tail - t->tx_head, pipe = tcp_pipe(t);
	uint32_t room = t->cwnd > pipe ? t->cwnd - pipe : 0;
	uint32_t need = used + MIN(room, tcp_core_unsent(t)) / tcp_seg_payload(t) + 2;

	if (t->wants_tx)
		need = MAX(need, t->tx_cap + 1);
	if (need <= t->tx_cap || t->tx_cap >= max_records() || !tcp_is_synchronized(t))
		return 0;
	return MIN(round_up_pow2(2 * need), max_records()) * sizeof(struct tcp_tx);
}

size_t
tcp_core_mem_wanted(const struct tcb *t, enum tcp_mem kind)
{
	if (kind == TCP_MEM_TX)
		return records_wanted(t);
	return t->wants_ranges && t->ranges_cap < MAX_RANGES
	           ? (size_t)t->ranges_cap * 4 * sizeof(struct tcp_range)
	           : 0;
}

void *
tcp_core_mem_give(struct tcb *t, enum tcp_mem kind, void *array, size_t size)
{
	void *old;

	if (kind == TCP_MEM_TX) {
		uint32_t cap = (uint32_t)1 << bit_last(size / sizeof(struct tcp_tx));

		old = t->tx == t->inline_tx ? NULL : t->tx;
		move_ring(t, array, cap);
		t->wants_tx = false;
	} else {
		old = t->ranges == t->inline_ranges ? NULL : t->ranges;
		memcpy(array, t->ranges, t->nranges * sizeof(*t->ranges));
		t->ranges = array;
		t->ranges_cap = (uint32_t)(size / sizeof(struct tcp_range));
		t->wants_ranges = false;
	}
	return old;
}

void *
tcp_core_mem_take(struct tcb *t, enum tcp_mem kind)
{
	void *old;

	if (kind == TCP_MEM_TX) {
		if (t->tx == t->inline_tx ||
		    t->tx_tail - t->tx_head > (t->state == TCP_CLOSE ? 0 : TCP_INLINE_TX))
			return NULL;
		old = t->tx;
		move_ring(t, t->inline_tx, TCP_INLINE_TX);
		return old;
	}
	if (t->ranges == t->inline_ranges || t->nranges > TCP_INLINE_RANGES)
		return NULL;
	old = t->ranges;
	memcpy(t->inline_ranges, t->ranges, t->nranges * sizeof(*t->ranges));
	t->ranges = t->inline_ranges;
	t->ranges_cap = TCP_INLINE_RANGES;
	return old;
}
