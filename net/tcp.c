/*
 * TCP input: from a packet to whom it is for. The segment is checked and parsed once into the
 * core's form; then the table of connections says what it belongs to: a socket (the core works
 * under its lock), a request, a TIME-WAIT; or a listener takes a SYN or the ACK of a cookie; or
 * it is answered by a reset. All runs in the net thread, inside one RCU read section.
 */
#include "net/tcp.h"

#include "kernel/time/clock.h"
#include "kernel/x86/percpu.h"
#include "net/ip.h"
#include "net/netdev.h"
#include "net/tcp_conn.h"

/* ---- From packet to segment ------------------------------------------------------------- */

/* Checks and parses; data is at the payload afterwards. False: it was dropped. */
static bool
parse(struct pkt *p, struct tcp_key *k, struct tcp_seg *seg)
{
	const struct tcp_header *h = pkt_need(p, TCP_HEADER_MIN);
	size_t header = h ? (size_t)(h->off >> 4) * 4 : 0;

	mib_inc(MIB_Tcp_InSegs);
	if (header < TCP_HEADER_MIN || !pkt_need(p, header)) {
		mib_inc(MIB_Tcp_InErrs);
		pkt_drop(p, DROP_TCP_BAD);
		return false;
	}
	if (!ip_csum_ok(p)) {
		mib_inc(MIB_Tcp_InErrs);
		mib_inc(MIB_Tcp_InCsumErrors);
		pkt_drop(p, DROP_TCP_CSUM);
		return false;
	}
	h = (const struct tcp_header *)p->data;
	*k = (struct tcp_key){.local = p->ip.dst,
	    .peer = p->ip.src,
	    .local_port = be16_get(h->dst),
	    .peer_port = be16_get(h->src)};
	if (ip_is_link_local(&k->peer) && !ip_is_v4(&k->peer))
		k->scope_if = p->dev->index;
	*seg = (struct tcp_seg){.seq = be32_get(h->seq),
	    .ack = be32_get(h->ack),
	    .wnd = be16_get(h->wnd),
	    .urg = be16_get(h->urg),
	    .gro_size = p->gso_size,
	    .flags = h->flags,
	    .ecn = p->ip.tos & 3};
	(void)tcp_parse_options(
	    (const uint8_t *)(h + 1), header - TCP_HEADER_MIN, &seg->opts);
	(void)pkt_pull(p, header);
	seg->len = (uint32_t)pkt_len(p);
	return true;
}

/* ---- To whom ------------------------------------------------------------------------------ */

static enum drop_reason
drop_of(enum tcp_verdict v)
{
	switch (v) {
	case TCP_BAD_SEQ:
	case TCP_NO_WINDOW: return DROP_TCP_WINDOW;
	case TCP_BAD_PAWS:
	case TCP_DUPLICATE: return DROP_TCP_OLD;
	default: return DROP_TCP_BAD;
	}
}

static void
count_verdict(enum tcp_verdict v)
{
	switch (v) {
	case TCP_BAD_PAWS: mib_inc(MIB_TcpExt_PAWSEstab); break;
	case TCP_BAD_SYN: mib_inc(MIB_TcpExt_TCPSYNChallenge); break;
	case TCP_BAD_RST: mib_inc(MIB_TcpExt_TCPChallengeACK); break;
	default: break;
	}
}

/* Bytes of packets that a socket may hold while it does not read: those with little payload hold
 * more memory than the window counts. Less once all of TCP holds much. */
static uint32_t
room_of(const struct tcp_sock *ts)
{
	return tcp_mem_is_tight() ? ts->inet.sock.rcvbuf : 4 * ts->inet.sock.rcvbuf;
}

/* The receiver is so far behind that no packet with data can be kept but in the place of others:
 * what lies behind it out of order is given up for it. What makes the queue's front is taken
 * always: else reading could not go on. False: there is no place for it. */
static bool
make_room(struct tcp_sock *ts, const struct tcp_seg *seg)
{
	uint32_t queued = ts->inet.sock.rx.truesize, room = room_of(ts);

	mib_inc(MIB_TcpExt_PruneCalled);
	tcp_rcv_prune_ofo(
	    ts, seg->seq, tcp_mem_is_out() || queued >= room ? 0 : (room - queued) / 2);
	tcp_mem_update(ts);
	if (queued + ts->ofo_truesize < room && !tcp_mem_is_out())
		return true;
	return seg->seq == ts->tcb.rcv_nxt && !tcp_readable(ts);
}

static bool
is_crowded(const struct tcp_sock *ts, const struct tcp_seg *seg)
{
	uint32_t holds = ts->inet.sock.rx.truesize + ts->ofo_truesize;

	if (!seg->len)
		return false;
	return (unlikely(holds >= ts->inet.sock.rcvbuf) && holds >= room_of(ts)) ||
	       tcp_mem_is_out();
}

/* [lock] Takes p. */
static void
sock_segment(struct tcp_sock *ts, struct pkt *p, const struct tcp_seg *seg)
{
	struct tcp_result r = {.events = 0};
	nsec_t now = clock_now_ns();

	__atomic_store_n(
	    &ts->inet.sock.incoming_cpu, (int32_t)cpu_id(), __ATOMIC_RELAXED);
	if (unlikely(is_crowded(ts, seg)) && !make_room(ts, seg)) {
		mib_inc(MIB_TcpExt_TCPRcvQDrop);
		pkt_drop(p, DROP_TCP_MEMORY);
		return;
	}
	tcp_core_input(&ts->tcb, seg, now, &r);
	if (r.verdict != TCP_TAKEN && !r.keep_len) {
		count_verdict(r.verdict);
		pkt_drop(p, drop_of(r.verdict));
		p = NULL;
	}
	tcp_conn_finish(ts, &r, p, now);
}

/* False: it has just left the table, look again. Else p is taken. */
static bool
sock_input(struct tcp_sock *ts, struct pkt *p, const struct tcp_seg *seg)
{
	struct sock *s = &ts->inet.sock;
	bool is_live;

	if (!sock_try_get(s))
		return false;
	spin_lock(&s->lock);
	is_live = ts->is_live;
	if (is_live)
		sock_segment(ts, p, seg);
	spin_unlock(&s->lock);
	sock_put(s);
	return is_live;
}

void
tcp_send_reset(const struct tcp_key *k, const struct tcp_seg *seg)
{
	struct tcp_out out = {.len = 0};

	if (tcp_reset_for(seg, &out))
		tcp_send_bare(k, &out, NULL);
}

/* No connection has this tuple: a listener, or nobody. Takes p. */
static void
no_connection(const struct tcp_key *k, struct pkt *p, const struct tcp_seg *seg,
    const uint32_t *iss_min)
{
	struct tcp_sock *listener = tcp_listener_find(k, p->dev->index);

	if (listener && (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		tcp_listen_syn(listener, k, p, seg, iss_min);
		pkt_free(p);
		return;
	}
	if (listener && ((seg->flags & TCP_RST) || !(seg->flags & TCP_ACK))) {
		pkt_drop(p, DROP_TCP_OLD); /* RFC 9293 3.10.7.2, first and fourth */
		return;
	}
	if (listener && tcp_cookie_input(listener, k, p, seg))
		return;
	tcp_send_reset(k, seg);
	pkt_drop(p, DROP_TCP_NO_SOCKET);
}

/* One look into the table. False: what was found is just going away, look again. */
static bool
dispatch(const struct tcp_key *k, uint32_t hash, struct pkt *p, const struct tcp_seg *seg)
{
	struct tcp_entry *e = tcp_find(k, hash);
	uint32_t iss_min;

	if (!e) {
		no_connection(k, p, seg, NULL);
		return true;
	}
	switch ((enum tcp_kind)e->kind) {
	case TCP_KIND_SOCK:
		return sock_input(container_of(e, struct tcp_sock, entry), p, seg);
	case TCP_KIND_REQUEST:
		return tcp_request_input(
		    container_of(e, struct tcp_request, entry), p, seg);
	case TCP_KIND_TIMEWAIT: break;
	}
	if (tcp_timewait_input(container_of(e, struct tcp_timewait, entry), seg,
	        clock_now_ns(), &iss_min))
		no_connection(k, p, seg, &iss_min);
	else
		pkt_free(p);
	return true;
}

static bool
tcp_input(struct pkt *p)
{
	enum { LOOKS = 3 };
	struct tcp_seg seg;
	struct tcp_key k;
	uint32_t hash;

	if ((p->flags & (PKT_BROADCAST | PKT_MULTICAST)) || ip_is_multicast(&p->ip.dst) ||
	    ip_is_multicast(&p->ip.src) || ip_is_broadcast(&p->ip.dst)) {
		pkt_drop(p, DROP_TCP_BAD); /* RFC 1122 4.2.3.10 */
		return true;
	}
	if (!parse(p, &k, &seg))
		return true;
	hash = tcp_hash(&k);
	for (unsigned i = 0; i < LOOKS; i++)
		if (dispatch(&k, hash, p, &seg))
			return true;
	pkt_drop(p, DROP_TCP_NO_SOCKET);
	return true;
}

/* ---- ICMP errors about our segments -------------------------------------------------------- */

static void
sock_icmp(struct tcp_sock *ts, uint32_t seq, const struct ip_error *e)
{
	struct sock *s = &ts->inet.sock;
	struct tcp_result r = {.events = 0};
	uint32_t headers = (e->family == AF_INET ? 20 : 40) + TCP_HEADER_MIN;
	nsec_t now;

	if (!sock_try_get(s))
		return;
	spin_lock(&s->lock);
	now = clock_now_ns();
	if (ts->is_live && e->err == ERR_MSGSIZE) {
		if (e->info > headers)
			tcp_core_path_mss(
			    &ts->tcb, seq, (uint16_t)MIN(e->info - headers, 65535), now);
		tcp_conn_push(ts, now);
	} else if (ts->is_live) {
		tcp_core_icmp(&ts->tcb, seq, e->err, e->is_hard, now, &r);
		tcp_conn_finish(ts, &r, NULL, now);
	}
	spin_unlock(&s->lock);
	sock_put(s);
}

/* Whose segment failed; NULL: nobody's. The number it had goes to *seq. Under RCU. */
static struct tcp_entry *
quoted(const struct ip_error *e, uint32_t *seq)
{
	const struct tcp_header *h = (const struct tcp_header *)e->transport;
	struct tcp_key k;

	if (e->transport_len < 8)
		return NULL;
	k = (struct tcp_key){.local = e->src,
	    .peer = e->dst,
	    .local_port = be16_get(h->src),
	    .peer_port = be16_get(h->dst)};
	if (ip_is_link_local(&k.peer) && !ip_is_v4(&k.peer))
		k.scope_if = e->dev->index;
	*seq = be32_get(h->seq);
	return tcp_find(&k, tcp_hash(&k));
}

/* Numbers that are not in flight are ignored by the core: RFC 5927 4. */
static void
tcp_error(const struct ip_error *e)
{
	uint32_t seq = 0;
	struct tcp_entry *entry = quoted(e, &seq);

	if (entry && entry->kind == TCP_KIND_SOCK)
		sock_icmp(container_of(entry, struct tcp_sock, entry), seq, e);
	else if (entry && entry->kind == TCP_KIND_REQUEST && e->is_hard)
		tcp_request_error(container_of(entry, struct tcp_request, entry), seq);
	else
		mib_inc(MIB_TcpExt_OutOfWindowIcmps);
}

static bool
tcp_has_sent(const struct ip_error *e)
{
	uint32_t seq = 0;
	struct tcp_entry *entry = quoted(e, &seq);
	struct tcp_sock *ts;
	bool has;

	if (!entry || entry->kind != TCP_KIND_SOCK)
		return false; /* what else we send is never too big */
	ts = container_of(entry, struct tcp_sock, entry);
	if (!sock_try_get(&ts->inet.sock))
		return false;
	spin_lock(&ts->inet.sock.lock);
	has = ts->is_live && tcp_core_is_in_flight(&ts->tcb, seq);
	spin_unlock(&ts->inet.sock.lock);
	sock_put(&ts->inet.sock);
	return has;
}

const struct ip_proto tcp_proto = {
    .name = "tcp", .input = tcp_input, .error = tcp_error, .has_sent = tcp_has_sent};

void
tcp_init(void)
{
	tcp_settings_init();
	tcp_table_init();
	tcp_conn_init();
	tcp_timewait_init();
	tcp_request_init();
	tcp_listen_init();
	tcp_sock_caches_init();
	tcp_proc_init();
	tcp_sysctl_init();
}
