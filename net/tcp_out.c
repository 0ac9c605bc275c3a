/*
 * From what the core wants sent to packets. Payload is attached by reference to the send buffer's
 * pages (short payload is copied: one piece of memory for the device to fetch); a segment longer
 * than the MSS goes down as one large packet that the device, or net/gso.c, cuts (TSO). The
 * checksum is left to the device or to the last software step (PKT_CSUM_PARTIAL).
 *
 * A socket keeps at most a millisecond's worth, and some, in the device's queue: more would only
 * wait there, where the core cannot change its mind and others must stand behind. When a packet
 * is done the rest goes on, from the timer.
 */
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/netdev.h"
#include "net/tcp_conn.h"

enum {
	COPY_MAX = 192,         /* payload up to this is copied */
	QUEUED_MIN = 128 << 10, /* bytes a socket may have at the device, at least */
	QUEUED_MAX = 1 << 20,

	CA_RECOVERY = 3, /* tcb.ca_state, numbers as in TCP_INFO */
	CA_LOSS = 4,
};

struct dst *
tcp_route(struct tcp_sock *ts)
{
	struct inet_sock *is = &ts->inet;
	struct flow flow = {.dst = is->peer,
	    .src = is->local,
	    .oif = is->sock.bound_if ? is->sock.bound_if : ts->entry.key.scope_if,
	    .tos = is->tos,
	    .is_any_source = is->is_freebind || is->is_transparent};
	struct dst *d = NULL;

	if (is->dst && dst_is_valid(is->dst))
		return is->dst;
	if (route_output(&flow, &d) != OK)
		return NULL;
	if (is->dst)
		dst_put(is->dst);
	is->dst = d;
	return d;
}

/* The fields of the IP header; a socket decides most. Options stay valid while preemption is off. */
static void
fill_tx(
    struct ip_tx *tx, const struct tcp_key *k, const struct tcp_sock *like, uint8_t ecn)
{
	*tx = (struct ip_tx){
	    .src = k->local, .dst = k->peer, .proto = IP_PROTO_TCP, .ttl = -1};
	if (like)
		inet_tx_defaults(tx, &like->inet, &k->peer);
	tx->tos = (uint8_t)((tx->tos & ~3) | ecn);
}

/* Pushes the TCP header; the checksum field gets the pseudo header's sum. */
static bool
push_header(
    struct pkt *p, const struct tcp_key *k, const struct tcp_out *out, uint32_t seq)
{
	uint8_t opts[TCP_MAX_OPTIONS];
	size_t opt_len = tcp_write_options(&out->opts, opts), payload = pkt_len(p);
	struct tcp_header *h = pkt_push(p, TCP_HEADER_MIN + opt_len);
	uint32_t sum;

	if (!h)
		return false;
	h->src = be16_of(k->local_port);
	h->dst = be16_of(k->peer_port);
	h->seq = be32_of(seq);
	h->ack = be32_of(out->ack);
	h->off = (uint8_t)((TCP_HEADER_MIN + opt_len) / 4 << 4);
	h->flags = out->flags;
	h->wnd = be16_of(out->wnd);
	h->urg = be16_of(out->urg);
	memcpy(h + 1, opts, opt_len);
	sum = ip_pseudo_csum(&k->local, &k->peer, IP_PROTO_TCP,
	    (uint32_t)(TCP_HEADER_MIN + opt_len + payload));
	h->csum = be16_of((uint16_t)~csum_finish(sum));
	p->l4_off = (uint16_t)(p->data - p->head);
	p->csum_start = p->l4_off;
	p->csum_offset = offsetof(struct tcp_header, csum);
	p->flags |= PKT_CSUM_PARTIAL;
	return true;
}

/* The device is done with a packet (any context): somebody may wait for that. */
static void
packet_done(void *arg, uint32_t charge)
{
	struct tcp_sock *ts = arg;

	__atomic_sub_fetch(&ts->inet.sock.tx_bytes, charge, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ts->is_tx_waiting, __ATOMIC_SEQ_CST))
		net_timer_arm(&ts->timer, clock_now_ns());
	sock_put(&ts->inet.sock);
}

static uint32_t
queued_limit(const struct tcp_sock *ts)
{
	return (uint32_t)MIN(MAX(ts->tcb.pace_rate >> 10, QUEUED_MIN), QUEUED_MAX);
}

/* The payload [off, off + len) of the send buffer in a new packet; NULL: no memory. */
static struct pkt *
make_payload(struct tcp_sock *ts, uint32_t off, uint32_t len, bool is_copied)
{
	struct pkt *p = pkt_alloc(is_copied ? len : 0);

	if (!p || !len)
		return p;
	if (is_copied) {
		void *to = pkt_put(p, len);

		if (to) {
			tcp_sndbuf_copy(&ts->snd, off, len, to);
			return p;
		}
	} else if (tcp_sndbuf_attach(&ts->snd, off, len, p)) {
		return p;
	}
	pkt_free(p);
	return NULL;
}

/* One packet: bytes [at, at + len) of the segment. False: lost for want of memory. */
static bool
send_piece(struct tcp_sock *ts, const struct tcp_out *out, uint32_t at, uint32_t len,
    bool is_copied)
{
	struct sock *s = &ts->inet.sock;
	struct tcp_out piece = *out;
	struct pkt *p = make_payload(ts, out->off + at, len, is_copied);
	struct dst *d = tcp_route(ts);
	struct ip_tx tx;

	if (at)
		piece.flags &= (uint8_t)~TCP_CWR;
	if (at + len < out->len)
		piece.flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!p || !d || !push_header(p, &ts->entry.key, &piece, out->seq + at)) {
		pkt_free(p);
		return false;
	}
	if (len > out->mss) {
		p->gso_size = out->mss;
		p->gso_segs = (uint16_t)DIV_ROUND_UP(len, out->mss);
		p->gso_type = ip_is_v4(&ts->entry.key.peer) ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	}
	p->hash = ts->entry.hash;
	p->flags |= PKT_HAS_HASH;
	p->release = packet_done;
	p->release_arg = sock_get(s);
	p->release_charge = p->truesize;
	__atomic_add_fetch(&s->tx_bytes, p->truesize, __ATOMIC_RELAXED);
	fill_tx(&tx, &ts->entry.key, ts, out->ecn);
	return ip_send(p, d, &tx) == OK;
}

/* How long the next packet of a segment is, whose rest is `left` bytes from `off` on. */
static uint32_t
piece_len(
    const struct tcp_sock *ts, uint32_t off, uint32_t left, uint32_t mss, bool *is_copied)
{
	uint32_t span;

	*is_copied = left <= COPY_MAX;
	if (*is_copied)
		return left;
	span = tcp_sndbuf_span(&ts->snd, off, left, PKT_MAX_FRAGS);
	if (span == left)
		return left;
	if (span >= mss)
		return span - span % mss;
	*is_copied = true; /* one MSS in very many pieces */
	return MIN(left, mss);
}

static void
count_out(const struct tcp_out *out)
{
	uint32_t n = out->len > out->mss ? DIV_ROUND_UP(out->len, out->mss) : 1;

	if (out->is_retransmit)
		mib_add(MIB_Tcp_RetransSegs, n);
	else if (out->len)
		mib_add(MIB_TcpExt_TCPOrigDataSent, n);
	if (out->is_retransmit && (out->flags & TCP_SYN))
		mib_inc(MIB_TcpExt_TCPSynRetrans);
	mib_add(MIB_Tcp_OutSegs, n);
	if (out->flags & TCP_RST)
		mib_inc(MIB_Tcp_OutRsts);
}

/* Of which sort a retransmission is, as Linux counts them. */
static void
count_again(const struct tcp_sock *ts)
{
	if (ts->tcb.ca_state == CA_RECOVERY)
		mib_inc(MIB_TcpExt_TCPFastRetrans);
	else if (ts->tcb.ca_state == CA_LOSS)
		mib_inc(MIB_TcpExt_TCPSlowStartRetrans);
}

static void
transmit(struct tcp_sock *ts, const struct tcp_out *out)
{
	uint32_t at = 0;

	count_out(out);
	if (unlikely(out->is_retransmit))
		count_again(ts);
	do {
		bool is_copied;
		uint32_t n = out->len ? piece_len(ts, out->off + at, out->len - at,
		                            out->mss, &is_copied)
		                      : (is_copied = true, 0);

		if (!send_piece(ts, out, at, n, is_copied))
			return; /* as if the network had lost it */
		at += n;
	} while (at < out->len);
}

/* Lends the core the memory it would like for its records. True: it got some. */
static bool
lend_memory(struct tcb *tcb, enum tcp_mem what)
{
	size_t want = tcp_core_mem_wanted(tcb, what);
	void *array = want && !tcp_mem_is_out() ? kmalloc(want) : NULL;

	if (!array)
		return false;
	kfree(tcp_core_mem_give(tcb, what, array, want));
	return true;
}

void
tcp_output(struct tcp_sock *ts, nsec_t now)
{
	struct sock *s = &ts->inet.sock;
	uint32_t limit;
	struct tcp_out out;

	ts->is_tx_waiting = false;
	if (unlikely(ts->tcb.wants_ranges))
		(void)lend_memory(&ts->tcb, TCP_MEM_RANGES); /* does without */
	if (!tcp_core_has_output(&ts->tcb))
		return;
	limit = queued_limit(ts);
	do {
		for (;;) {
			if (__atomic_load_n(&s->tx_bytes, __ATOMIC_RELAXED) >= limit) {
				__atomic_store_n(
				    &ts->is_tx_waiting, true, __ATOMIC_SEQ_CST);
				if (__atomic_load_n(&s->tx_bytes, __ATOMIC_SEQ_CST) >=
				    limit)
					return;
				ts->is_tx_waiting = false;
			}
			if (!tcp_core_output(&ts->tcb, now, &out))
				break;
			transmit(ts, &out);
		}
	} while (tcp_core_unsent(&ts->tcb) && lend_memory(&ts->tcb, TCP_MEM_TX));
}

void
tcp_send_via(struct dst *d, const struct tcp_key *k, const struct tcp_out *out,
    const struct tcp_sock *like)
{
	struct pkt *p = pkt_alloc(0);
	struct ip_tx tx;

	count_out(out);
	if (!p || !push_header(p, k, out, out->seq)) {
		pkt_free(p);
		return;
	}
	rcu_read_lock();
	fill_tx(&tx, k, like, out->ecn);
	(void)ip_send(p, d, &tx); /* lost is lost: the peer asks again */
	rcu_read_unlock();
}

void
tcp_send_bare(
    const struct tcp_key *k, const struct tcp_out *out, const struct tcp_sock *like)
{
	struct flow flow = {.dst = k->peer, .src = k->local, .oif = k->scope_if};
	struct dst *d;

	if (like && like->inet.sock.bound_if)
		flow.oif = like->inet.sock.bound_if;
	flow.is_any_source =
	    like && (like->inet.is_freebind || like->inet.is_transparent);
	if (route_output(&flow, &d) != OK)
		return;
	tcp_send_via(d, k, out, like);
	dst_put(d);
}
