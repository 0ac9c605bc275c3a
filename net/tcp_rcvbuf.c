/*
 * Receiving: payload stays in the packets it came in until the user has copied it. In order it
 * stands in sock.rx; out of order in a tree by sequence number, which the common case never looks
 * at. A reader takes the whole queue over under the spinlock, copies without it, and then tells
 * the core how much was read, so that the window may open.
 *
 * The urgent byte (RFC 9293 3.8.5, as Linux and all others have it: one byte, the last) is read
 * apart with MSG_OOB, or in line. A read never crosses its place without stopping there.
 */
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/uio.h"
#include "net/ip.h"
#include "net/tcp_conn.h"

enum { MERGE_MAX = 512 }; /* payload up to this is copied behind the last packet's */

/* ---- Keeping what came -------------------------------------------------------------------- */

static struct pkt *
pkt_of(struct tcp_cb *cb)
{
	return container_of((void *)cb, struct pkt, cb);
}

static struct pkt *
ofo_first(const struct tcp_sock *ts)
{
	struct rb_node *n = rb_first(&ts->ofo);

	return n ? pkt_of(rb_entry(n, struct tcp_cb, node)) : NULL;
}

static void
ofo_take(struct tcp_sock *ts, struct pkt *p)
{
	rb_erase(&ts->ofo, &tcp_cb(p)->node);
	ts->ofo_truesize -= p->truesize;
}

static bool
seq_less(const struct rb_node *a, const struct rb_node *b)
{
	return seq_lt(
	    rb_entry(a, struct tcp_cb, node)->seq, rb_entry(b, struct tcp_cb, node)->seq);
}

static void
ofo_insert(struct tcp_sock *ts, struct pkt *p)
{
	struct tcp_cb *cb = tcp_cb(p);
	struct rb_node *next;

	rb_insert(&ts->ofo, &cb->node, seq_less);
	ts->ofo_truesize += p->truesize;
	/* A new piece may cover older ones wholly. */
	while ((next = rb_next(&cb->node))) {
		struct tcp_cb *other = rb_entry(next, struct tcp_cb, node);
		struct pkt *old = pkt_of(other);

		if (!seq_le(other->seq + other->len, cb->seq + cb->len))
			break;
		ofo_take(ts, old);
		pkt_drop(old, DROP_TCP_OLD);
	}
	mib_inc(MIB_TcpExt_TCPOFOQueue);
}

void
tcp_rcv_purge_ofo(struct tcp_sock *ts)
{
	struct pkt *p;

	while ((p = ofo_first(ts))) {
		ofo_take(ts, p);
		pkt_free(p);
	}
}

void
tcp_rcv_prune_ofo(struct tcp_sock *ts, uint32_t seq, uint32_t bytes)
{
	struct rb_node *n;
	uint32_t from = seq;
	bool is_pruned = false;

	while (ts->ofo_truesize > bytes && (n = rb_last(&ts->ofo))) {
		struct tcp_cb *cb = rb_entry(n, struct tcp_cb, node);

		if (!seq_lt(seq, cb->seq))
			break;
		from = cb->seq;
		is_pruned = true;
		ofo_take(ts, pkt_of(cb));
		pkt_drop(pkt_of(cb), DROP_TCP_MEMORY);
		mib_inc(MIB_TcpExt_OfoPruned);
	}
	if (is_pruned)
		tcp_core_forget(&ts->tcb, from);
}

/* Copies little payload into the room behind the last packet, so that many small segments do not
 * hold a whole buffer each. True: `p` is used up. */
static bool
merge_small(struct tcp_sock *ts, struct pkt *p)
{
	struct pkt *last = ts->inet.sock.rx.last;
	struct tcp_cb *cb = tcp_cb(p), *lcb;
	void *room;

	if (!last || cb->len > MERGE_MAX || last->extra_len)
		return false;
	lcb = tcp_cb(last);
	if (lcb->off + lcb->len != pkt_linear(last) ||
	    (size_t)(last->end - last->tail) < cb->len || !pkt_writable(last, 0))
		return false;
	room = pkt_put(last, cb->len);
	if (!room || !pkt_read(p, cb->off, room, cb->len))
		return false;
	lcb->len += cb->len;
	mib_inc(MIB_TcpExt_TCPRcvCoalesce);
	pkt_free(p);
	return true;
}

/* Bytes in order: what of them came before is cut off. */
static void
rx_append(struct tcp_sock *ts, struct pkt *p)
{
	struct tcp_cb *cb = tcp_cb(p);
	uint32_t skip = ts->rx_seq - cb->seq;

	if ((int32_t)skip >= (int32_t)cb->len) {
		pkt_drop(p, DROP_TCP_OLD);
		return;
	}
	cb->seq += skip;
	cb->off += skip;
	cb->len -= skip;
	ts->rx_seq += cb->len;
	if (!merge_small(ts, p))
		pkt_queue_push(&ts->inet.sock.rx, p);
}

static void
look_for_urgent(struct tcp_sock *ts, const struct pkt *p)
{
	const struct tcp_cb *cb = tcp_cb((struct pkt *)p);
	uint32_t at = ts->urgent_seq - cb->seq;

	if (ts->urgent != TCP_URGENT_AWAITED || at >= cb->len)
		return;
	if (pkt_read(p, cb->off + at, &ts->urgent_byte, 1)) {
		ts->urgent = TCP_URGENT_HERE;
		sock_urgent(&ts->inet.sock);
	}
}

void
tcp_rcv_keep(struct tcp_sock *ts, const struct tcp_result *r, struct pkt *p)
{
	struct pkt *next;

	if (r->events & TCP_EV_URGENT) {
		ts->urgent = TCP_URGENT_AWAITED;
		ts->urgent_seq = ts->tcb.rcv_up - 1;
	}
	if (p && r->keep_len) {
		struct tcp_cb *cb = tcp_cb(p);

		cb->seq = r->keep_seq;
		cb->off = r->keep_off;
		cb->len = r->keep_len;
		look_for_urgent(ts, p);
		if (r->keep_in_order)
			rx_append(ts, p);
		else
			ofo_insert(ts, p);
	} else {
		pkt_free(p);
	}
	if (likely(rb_is_empty(&ts->ofo)))
		return;
	while ((next = ofo_first(ts)) && seq_le(tcp_cb(next)->seq, ts->rx_seq)) {
		ofo_take(ts, next);
		rx_append(ts, next);
	}
}

uint32_t
tcp_readable(const struct tcp_sock *ts)
{
	uint32_t copied = __atomic_load_n(&ts->copied_seq, __ATOMIC_RELAXED);
	uint32_t end = __atomic_load_n(&ts->rx_seq, __ATOMIC_RELAXED);

	return seq_lt(copied, end) ? end - copied : 0;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* All that is in order comes to the reader. [recv_lock] */
static void
take_over(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;

	if (!__atomic_load_n(&s->rx.first, __ATOMIC_RELAXED))
		return;
	spin_lock(&s->lock);
	pkt_queue_splice(&ts->reading, &s->rx);
	spin_unlock(&s->lock);
}

/* Tells the core what the user has read; it may answer with a window update, most often not.
   [recv_lock] */
static void
tell_core(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	uint32_t n = ts->copied_seq - ts->told_seq;
	bool is_update = false;
	nsec_t now;

	if (!n)
		return;
	ts->told_seq = ts->copied_seq;
	spin_lock(&s->lock);
	if (ts->is_live) {
		now = clock_now_ns();
		is_update = tcp_core_read(&ts->tcb, n, now);
		if (is_update) {
			net_burst_begin();
			tcp_conn_push(ts, now);
		} else {
			tcp_mem_update(ts);
		}
	}
	spin_unlock(&s->lock);
	if (is_update)
		net_burst_end();
}

/* Where the reader must stop: at the urgent byte that lies `left` bytes ahead at most. */
static bool
urgent_within(const struct tcp_sock *ts, uint32_t at, uint32_t left, uint32_t *distance)
{
	if (ts->urgent == TCP_URGENT_NONE)
		return false;
	*distance = ts->urgent_seq - at;
	return *distance < left;
}

struct reading {
	struct sock_msg *msg;
	uint32_t at;        /* sequence number of the next byte */
	struct pkt *p;      /* where it lies, NULL: none yet */
	struct pkt *peeked; /* the last one looked at whole */
	uint32_t off;       /* used bytes of p */
	size_t copied;      /* bytes, urgent ones skipped not counted */
	enum err err;
	bool is_stopped; /* at the urgent mark */
};

/* Steps over n bytes; used up packets go, unless only looked at. */
static void
step(struct tcp_sock *ts, struct reading *rd, uint32_t n)
{
	bool is_peek = rd->msg->flags & MSG_PEEK;

	rd->at += n;
	rd->off += n;
	if (rd->off == tcp_cb(rd->p)->len) {
		struct pkt *next = rd->p->next;

		if (is_peek)
			rd->peeked = rd->p;
		else
			pkt_free(pkt_queue_pop(&ts->reading));
		rd->p = is_peek ? next : ts->reading.first;
		rd->off = 0;
	}
	if (!is_peek) {
		ts->read_off = rd->off;
		__atomic_store_n(&ts->copied_seq, rd->at, __ATOMIC_RELAXED);
	}
}

/* Takes n bytes of the packet rd->p to the user. False: fault. */
static bool
copy_some(struct reading *rd, uint32_t n)
{
	struct uio *u = rd->msg->uio;

	if (rd->msg->flags & MSG_TRUNC) { /* thrown away, by request: tcp(7) */
		u->resid -= n;
		return true;
	}
	return pkt_copy_to_uio(rd->p, tcp_cb(rd->p)->off + rd->off, n, u) == n;
}

/* Copies what is there, up to the mark. */
static void
copy_present(struct tcp_sock *ts, struct reading *rd)
{
	bool is_peek = rd->msg->flags & MSG_PEEK;

	if (!rd->p)
		rd->p = rd->peeked ? rd->peeked->next : ts->reading.first;
	while (rd->p && rd->msg->uio->resid && rd->err == OK) {
		uint32_t n = tcp_cb(rd->p)->len - rd->off, mark;

		n = (uint32_t)MIN(n, rd->msg->uio->resid);
		if (urgent_within(ts, rd->at, n, &mark)) {
			if (mark == 0 && rd->copied) {
				rd->is_stopped = true;
				return;
			}
			if (mark == 0 && !ts->inet.sock.is_oobinline) {
				step(ts, rd, 1);
				continue;
			}
			n = mark ? mark : n;
		}
		if (!copy_some(rd, n)) {
			rd->err = ERR_FAULT;
			return;
		}
		rd->copied += n;
		if (ts->urgent == TCP_URGENT_READ && !is_peek &&
		    seq_lt(ts->urgent_seq, rd->at + n))
			ts->urgent = TCP_URGENT_NONE;
		step(ts, rd, n);
	}
}

static long
recv_urgent(struct tcp_sock *ts, struct sock_msg *msg)
{
	struct sock *s = &ts->inet.sock;
	long result = ERR_INVAL;
	uint8_t byte = 0;

	spin_lock(&s->lock);
	if (s->is_oobinline || ts->urgent == TCP_URGENT_NONE ||
	    ts->urgent == TCP_URGENT_READ)
		result = ERR_INVAL;
	else if (!ts->is_live && !(s->shutdown & SOCK_NO_RECV))
		result = ERR_NOTCONN;
	else if (ts->urgent == TCP_URGENT_HERE)
		result = 1;
	else
		result = s->shutdown & SOCK_NO_RECV ? 0 : ERR_AGAIN;
	byte = ts->urgent_byte;
	if (result == 1 && !(msg->flags & MSG_PEEK))
		ts->urgent = TCP_URGENT_READ;
	spin_unlock(&s->lock);
	if (result != 1)
		return result;
	msg->out_flags |= MSG_OOB;
	if (!msg->uio->resid) {
		msg->out_flags |= MSG_TRUNC;
		return 0;
	}
	return uio_copy_to(msg->uio, &byte, 1) == 1 ? 1 : ERR_FAULT;
}

enum { WAIT = 1, LOOK_AGAIN = 2 }; /* no errors, and more than bytes of nothing */

/* Nothing is there: what the call returns if it ends without a byte, or WAIT. [lock] */
static long
why_nothing(struct tcp_sock *ts, const struct reading *rd)
{
	struct sock *s = &ts->inet.sock;
	enum err err = s->error;

	if (ts->has_fin)
		return 0;
	s->error = OK;
	if (err != OK)
		return err;
	if (s->shutdown & SOCK_NO_RECV)
		return 0;
	if (tcp_state(ts) == TCP_CLOSE)
		return ERR_NOTCONN;
	return rd->msg->flags & MSG_DONTWAIT ? ERR_AGAIN : WAIT;
}

/* The reader has come to the end: result of the call, WAIT, or LOOK_AGAIN. [recv_lock] */
static long
at_end(struct tcp_sock *ts, const struct reading *rd)
{
	struct sock *s = &ts->inet.sock;
	long result = WAIT;

	spin_lock(&s->lock);
	if (s->rx.first)
		result = LOOK_AGAIN;
	else if (!rd->copied)
		result = why_nothing(ts, rd);
	else if (s->error != OK || tcp_state(ts) == TCP_CLOSE ||
	         (s->shutdown & SOCK_NO_RECV) || (rd->msg->flags & MSG_DONTWAIT))
		result = 0;
	spin_unlock(&s->lock);
	return result;
}

static bool
is_news(const struct tcp_sock *ts, uint32_t at)
{
	const struct sock *s = &ts->inet.sock;

	return __atomic_load_n(&ts->rx_seq, __ATOMIC_RELAXED) != at || s->error != OK ||
	       ts->has_fin || (s->shutdown & SOCK_NO_RECV) || tcp_state(ts) == TCP_CLOSE;
}

static long
recv_locked(struct tcp_sock *ts, struct sock_msg *msg)
{
	struct sock *s = &ts->inet.sock;
	struct reading rd = {.msg = msg, .at = ts->copied_seq, .off = ts->read_off};
	size_t len = msg->uio->resid, target;

	target = msg->flags & MSG_WAITALL ? len : MIN(len, MAX(s->rcvlowat, 1));
	for (;;) {
		long result;
		enum err err;

		take_over(ts);
		copy_present(ts, &rd);
		if (rd.err != OK)
			return rd.copied ? (long)rd.copied : rd.err;
		if (rd.is_stopped || (rd.copied >= target && (rd.copied || !len)))
			return (long)rd.copied;
		if (rd.p)
			continue;
		result = at_end(ts, &rd);
		if (result == LOOK_AGAIN)
			continue;
		if (result != WAIT)
			return rd.copied ? (long)rd.copied : result;
		tell_core(ts);
		err = sock_wait(s, is_news(ts, rd.at), msg->deadline_ns, false);
		if (err != OK)
			return rd.copied ? (long)rd.copied : err;
	}
}

/* TCP_INQ: how much is left to read; at the end of file 1, as Linux says. [recv_lock] */
static void
tell_inq(const struct tcp_sock *ts, struct sock_msg *msg)
{
	enum { TCP_CM_INQ = 36 };
	uint32_t n = tcp_readable(ts);
	int32_t inq = n ? (int32_t)n : ts->has_fin;

	put_cmsg(msg, IPPROTO_TCP_LEVEL, TCP_CM_INQ, &inq, sizeof(inq));
}

long
tcp_recv(struct sock *s, struct sock_msg *msg)
{
	struct tcp_sock *ts = tcp_of(s);
	long result;

	if (msg->name)
		msg->name->len = 0;
	if (ts->is_listening)
		return ERR_NOTCONN;
	if (msg->flags & MSG_OOB)
		return recv_urgent(ts, msg);
	if (mutex_lock_interruptible(&s->recv_lock) != OK)
		return ERR_RESTARTSYS;
	result = recv_locked(ts, msg);
	tell_core(ts);
	if (unlikely(ts->user.has_inq) && result >= 0)
		tell_inq(ts, msg);
	mutex_unlock(&s->recv_lock);
	return result;
}
