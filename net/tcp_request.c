/*
 * Passive opens until they stand. A SYN becomes a request, a fifth of a kilobyte: it keeps what
 * the SYN said, so that the answer can be made again and again by the core from a control block
 * on loan, and the real one by the same steps when the ACK comes. So a flood of SYNs costs
 * little, and beyond the limit nothing: then the answer is a cookie (tcp_isn.c).
 *
 * A request is freed like a TIME-WAIT: see tcp_tw.c.
 */
#include "kernel/random.h"
#include "kernel/time/clock.h"
#include "kernel/x86/percpu.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/netdev.h"
#include "net/tcp_conn.h"

enum { SYNACK_TIMEOUT_S = 1 };
#define COOKIE_LIFE_NS (120 * NSEC_PER_SEC)

static struct slab_cache *cache;
static struct siphash_key cookie_key;

/* The control block on loan: used with preemption off, so one for each CPU is enough. */
static PER_CPU(struct tcb, scratch);

static void request_timer(struct net_timer *);

void
tcp_request_init(void)
{
	cache = slab_cache_create("tcp_request", sizeof(struct tcp_request), 0);
	random_bytes(&cookie_key, sizeof(cookie_key));
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void
request_free(struct tcp_request *rq)
{
	kfree(rq->saved_syn);
	slab_free(cache, rq);
}

static void
free_rcu(struct rcu_head *h)
{
	struct tcp_request *rq = container_of(h, struct tcp_request, rcu);

	sock_put(&rq->listener->inet.sock);
	request_free(rq);
}

/* The second who leaves the mark frees. */
static void
leave(struct tcp_request *rq)
{
	if (__atomic_exchange_n(&rq->is_left, true, __ATOMIC_ACQ_REL))
		rcu_call(&rq->rcu, free_rcu);
}

/* Its listener does not count it any more. */
static void
uncount(struct tcp_request *rq)
{
	struct tcp_listener *l = rq->of;

	spin_lock(&l->lock);
	list_remove(&rq->link);
	l->num_requests--;
	spin_unlock(&l->lock);
}

/* After it was taken out of the table by the caller (not by its own timer). */
static void
end(struct tcp_request *rq)
{
	uncount(rq);
	if (net_timer_cancel(&rq->timer))
		rcu_call(&rq->rcu, free_rcu);
	else
		leave(rq);
}

void
tcp_request_drop(struct tcp_request *rq)
{
	if (tcp_entry_remove(&rq->entry))
		end(rq);
}

/* ---- The SYN-ACK ----------------------------------------------------------------------------- */

/* The SYN, as it was. */
static void
syn_of(const struct tcp_request *rq, struct tcp_seg *syn)
{
	*syn = (struct tcp_seg){.seq = rq->irs,
	    .wnd = rq->peer_wnd,
	    .flags = rq->syn_flags,
	    .ecn = rq->syn_ecn,
	    .opts = {.has = rq->opts_has,
	        .wscale = rq->wscale,
	        .mss = rq->peer_mss,
	        .tsval = rq->tsval}};
}

/* The route back to who asked (a reference; NULL: none), and the configuration for it. */
static struct dst *
config_for(const struct tcp_sock *listener, const struct tcp_key *k, uint32_t iss,
    struct tcp_config *cfg)
{
	struct flow flow = {.dst = k->peer, .src = k->local, .oif = k->scope_if};
	struct dst *d;

	if (listener->inet.sock.bound_if)
		flow.oif = listener->inet.sock.bound_if;
	flow.is_any_source = listener->inet.is_freebind || listener->inet.is_transparent;
	if (route_output(&flow, &d) != OK)
		return NULL;
	tcp_config_fill(cfg, listener, d, !ip_is_v4(&k->peer));
	cfg->iss = iss;
	return d;
}

/* What the core answers to this SYN. Preemption is off. */
static bool
make_synack(const struct tcp_config *cfg, const struct tcp_seg *syn, nsec_t now,
    struct tcp_out *out)
{
	struct tcb *tcb = this_cpu_ptr(&scratch);

	tcp_core_accept(tcb, cfg, syn, now);
	return tcp_core_output(tcb, now, out);
}

static void
send_synack(struct tcp_request *rq)
{
	struct tcp_config cfg;
	struct tcp_seg syn;
	struct tcp_out out;
	nsec_t now = clock_now_ns();
	struct dst *d = config_for(rq->listener, &rq->entry.key, rq->iss, &cfg);

	if (!d)
		return;
	syn_of(rq, &syn);
	cfg.ts_off = rq->ts_off;
	rcu_read_lock();
	if (make_synack(&cfg, &syn, now, &out)) {
		rq->sent_ns = now;
		tcp_send_via(d, &rq->entry.key, &out, rq->listener);
	}
	rcu_read_unlock();
	dst_put(d);
}

static uint8_t
max_retries(const struct tcp_sock *listener)
{
	uint8_t n = listener->user.syncnt ? listener->user.syncnt
	                                  : (uint8_t)tcp_set.synack_retries;
	unsigned s = SYNACK_TIMEOUT_S;
	uint8_t deferred = 0;

	for (; s < listener->user.defer_accept_s && deferred < 255; s = s * 2 + 1)
		deferred++;
	return MAX(n, deferred);
}

static void
request_timer(struct net_timer *t)
{
	struct tcp_request *rq = container_of(t, struct tcp_request, timer);

	rcu_read_lock(); /* so that it stays after another has ended it */
	if (rq->retries < max_retries(rq->listener) && rq->entry.is_hashed) {
		rq->retries++;
		mib_inc(MIB_Tcp_RetransSegs);
		mib_inc(MIB_TcpExt_TCPSynRetrans);
		send_synack(rq);
		net_timer_arm(&rq->timer,
		    clock_now_ns() +
		        (SYNACK_TIMEOUT_S * NSEC_PER_SEC << MIN(rq->retries, 6)));
	} else if (tcp_entry_remove(&rq->entry)) {
		uncount(rq);
		rcu_call(&rq->rcu, free_rcu);
	} else {
		leave(rq);
	}
	rcu_read_unlock();
}

/* ---- A SYN comes --------------------------------------------------------------------------------- */

/* Cookies begin where the listener's own backlog ends: who got one and loses the ACK on the way
 * is never asked again. Without cookies tcp_max_syn_backlog is the limit too (tcp(7)). */
static bool
is_queue_full(struct tcp_listener *l)
{
	uint32_t limit = MAX(l->backlog, 8);

	if (!tcp_set.syncookies)
		limit = MIN(limit, tcp_set.max_syn_backlog);
	return __atomic_load_n(&l->num_requests, __ATOMIC_RELAXED) >= limit;
}

static bool
is_accept_full(const struct tcp_listener *l)
{
	return __atomic_load_n(&l->num_accepted, __ATOMIC_RELAXED) > l->backlog;
}

static void
answer_with_cookie(
    struct tcp_sock *listener, const struct tcp_key *k, const struct tcp_seg *syn)
{
	struct tcp_tuple tuple = tcp_tuple_of(k);
	nsec_t now = clock_now_ns();
	struct tcp_seg seen = *syn;
	struct tcp_config cfg;
	struct tcp_out out;
	struct dst *d;
	bool has_ts = tcp_set.timestamps && (syn->opts.has & TCP_OPT_TS);

	if (!has_ts) /* nowhere to hide the others */
		seen.opts.has &= TCP_OPT_MSS;
	seen.flags &= (uint8_t) ~(TCP_ECE | TCP_CWR);
	d = config_for(
	    listener, k, tcp_cookie_make(&cookie_key, &tuple, &seen, now), &cfg);
	if (!d)
		return;
	cfg.ts_off =
	    tcp_cookie_tsval(&seen, false, now) - (uint32_t)(now / NSEC_PER_MSEC);
	if (make_synack(&cfg, &seen, now, &out)) {
		__atomic_store_n(&listener->listener->cookies_until_ns,
		    now + COOKIE_LIFE_NS, __ATOMIC_RELAXED);
		mib_inc(MIB_TcpExt_SyncookiesSent);
		tcp_send_via(d, k, &out, listener);
	}
	dst_put(d);
}

/* A copy of the headers in front of p's data; NULL: not wanted, or no memory. */
static struct tcp_saved_syn *
save_syn(const struct tcp_sock *listener, const struct pkt *p)
{
	bool has_link = listener->user.save_syn > 1 && p->l2_off < p->l3_off;
	const uint8_t *from = p->head + (has_link ? p->l2_off : p->l3_off);
	size_t len = (size_t)(p->data - from);
	struct tcp_saved_syn *syn;

	if (!listener->user.save_syn)
		return NULL;
	syn = kmalloc(sizeof(*syn) + len);
	if (syn) {
		syn->len = (uint16_t)len;
		memcpy(syn->bytes, from, len);
	}
	return syn;
}

static struct tcp_request *
request_make(struct tcp_sock *listener, const struct tcp_key *k,
    const struct tcp_seg *seg, const uint32_t *iss_min)
{
	struct tcp_request *rq = slab_zalloc(cache);
	nsec_t now = clock_now_ns();

	if (!rq)
		return NULL;
	rq->entry.kind = TCP_KIND_REQUEST;
	rq->entry.is_v6 = listener->inet.sock.family == AF_INET6;
	rq->entry.key = *k;
	rq->listener = listener;
	rq->of = listener->listener;
	rq->iss = tcp_new_isn(k, now);
	if (iss_min && seq_lt(rq->iss, *iss_min))
		rq->iss = *iss_min;
	rq->ts_off = tcp_ts_offset(k);
	rq->irs = seg->seq;
	rq->tsval = seg->opts.tsval;
	rq->peer_wnd = seg->wnd;
	rq->peer_mss = seg->opts.mss;
	rq->opts_has = seg->opts.has;
	rq->wscale = seg->opts.wscale;
	rq->syn_flags = seg->flags & (TCP_SYN | TCP_ECE | TCP_CWR);
	rq->syn_ecn = seg->ecn;
	net_timer_init(&rq->timer, request_timer);
	return rq;
}

/* Into the listener's list; false: not now. */
static bool
count(struct tcp_request *rq)
{
	struct tcp_listener *l = rq->of;
	bool is_open;

	if (!sock_try_get(&rq->listener->inet.sock))
		return false;
	spin_lock(&l->lock);
	is_open = l->is_open;
	if (is_open) {
		list_push_back(&l->requests, &rq->link);
		l->num_requests++;
	}
	spin_unlock(&l->lock);
	if (!is_open)
		sock_put(&rq->listener->inet.sock);
	return is_open;
}

/*
 * Into list and table, its timer running. False: not now, and it is freed. The timer is armed
 * before anyone can find the request, and so end it: it runs on this CPU, not before we are done.
 */
static bool
request_add(struct tcp_request *rq)
{
	if (!count(rq)) {
		request_free(rq);
		return false;
	}
	net_timer_arm(&rq->timer, clock_now_ns() + SYNACK_TIMEOUT_S * NSEC_PER_SEC);
	if (!tcp_entry_add(&rq->entry))
		return true;
	end(rq);
	return false;
}

void
tcp_listen_syn(struct tcp_sock *listener, const struct tcp_key *k, const struct pkt *p,
    const struct tcp_seg *seg, const uint32_t *iss_min)
{
	struct tcp_listener *l = rcu_dereference(listener->listener);
	struct tcp_request *rq;

	if (is_accept_full(l)) {
		mib_inc(MIB_TcpExt_ListenOverflows);
		mib_inc(MIB_TcpExt_ListenDrops);
		drop_count(DROP_TCP_BACKLOG);
		return;
	}
	if ((is_queue_full(l) && tcp_set.syncookies) || tcp_set.syncookies == 2) {
		mib_inc(MIB_TcpExt_TCPReqQFullDoCookies);
		answer_with_cookie(listener, k, seg);
		return;
	}
	if (is_queue_full(l)) {
		mib_inc(MIB_TcpExt_TCPReqQFullDrop);
		mib_inc(MIB_TcpExt_ListenDrops);
		drop_count(DROP_TCP_BACKLOG);
		return;
	}
	rq = request_make(listener, k, seg, iss_min);
	if (!rq)
		return;
	rq->saved_syn = save_syn(listener, p);
	if (request_add(rq))
		send_synack(rq);
}

/* ---- The ACK comes ---------------------------------------------------------------------------------- */

/* A place in the accept queue; false: it is full, or closed. */
static bool
reserve_place(struct tcp_listener *l)
{
	bool is_given;

	spin_lock(&l->lock);
	is_given = l->is_open && l->num_accepted <= l->backlog;
	if (is_given)
		l->num_accepted++;
	spin_unlock(&l->lock);
	return is_given;
}

static void
return_place(struct tcp_listener *l)
{
	spin_lock(&l->lock);
	l->num_accepted--;
	spin_unlock(&l->lock);
}

/* The control block as if this socket had taken the SYN. [child's lock] */
static bool
child_state(struct tcp_sock *child, const struct tcp_sock *listener,
    const struct tcp_request *rq, const struct tcp_opts *cookie,
    const struct tcp_seg *seg)
{
	nsec_t now = clock_now_ns();
	struct tcp_config cfg;
	struct tcp_seg syn;
	struct tcp_out out;
	struct dst *d = tcp_route(child);

	if (!d)
		return false;
	tcp_config_fill(&cfg, listener, d, !ip_is_v4(&child->entry.key.peer));
	cfg.iss = seg->ack - 1;
	if (cookie) {
		cfg.ts_off = 0; /* as the cookie's timestamp had it */
		tcp_core_accept_cookie(&child->tcb, &cfg, seg, cookie, now);
	} else {
		cfg.ts_off = rq->ts_off;
		syn_of(rq, &syn);
		tcp_core_accept(&child->tcb, &cfg, &syn, rq->sent_ns);
		(void)tcp_core_output(
		    &child->tcb, rq->sent_ns, &out); /* was sent long ago */
	}
	child->rx_seq = child->copied_seq = child->told_seq = child->tcb.rcv_nxt;
	tcp_conn_begin(child, now);
	return true;
}

static void
queue_for_accept(struct tcp_listener *l, struct tcp_sock *child)
{
	bool is_open;

	spin_lock(&l->lock);
	is_open = l->is_open;
	if (is_open)
		list_push_back(
		    &l->accepted, &child->accept_link); /* its reference goes along */
	else
		l->num_accepted--;
	spin_unlock(&l->lock);
	if (is_open) {
		sock_wake(&l->ts->inet.sock, POLLIN | POLLRDNORM);
		return;
	}
	tcp_conn_reset(child); /* the listener was closed meanwhile */
}

/* The request is out of the table by our hand: nobody else looks at it. */
static void
take_saved_syn(struct tcp_sock *child, struct tcp_request *rq)
{
	if (!rq)
		return;
	child->saved_syn = rq->saved_syn;
	rq->saved_syn = NULL;
}

/* Makes the child and puts it in the table, locked; NULL: not possible now. */
static struct tcp_sock *
child_make(struct tcp_sock *listener, const struct tcp_key *k, struct tcp_request *rq,
    const struct tcp_opts *cookie, const struct tcp_seg *seg) NO_THREAD_SAFETY_ANALYSIS
{
	struct tcp_sock *child = tcp_sock_child(listener, k);
	struct sock *s;

	if (!child)
		return NULL;
	s = &child->inet.sock;
	spin_lock(&s->lock);
	if (child_state(child, listener, rq, cookie, seg)) {
		sock_get(s); /* the table's */
		if (rq ? tcp_entry_replace(&rq->entry, &child->entry)
		       : !tcp_entry_add(&child->entry)) {
			take_saved_syn(child, rq);
			return child;
		}
		tcp_conn_detach(child); /* puts the table's */
	}
	spin_unlock(&s->lock);
	tcp_conn_close(child);
	sock_put(s);
	return NULL;
}

bool
tcp_child_begin(struct tcp_sock *listener, const struct tcp_key *k,
    struct tcp_request *rq, const struct tcp_opts *cookie, struct pkt *p,
    const struct tcp_seg *seg) NO_THREAD_SAFETY_ANALYSIS
{
	struct tcp_listener *l = rq ? rq->of : rcu_dereference(listener->listener);
	struct tcp_result r = {.events = 0};
	struct tcp_sock *child;
	nsec_t now;

	if (!reserve_place(l)) {
		if (!__atomic_load_n(&l->is_open, __ATOMIC_RELAXED)) {
			tcp_send_reset(k, seg); /* it was closed meanwhile */
			pkt_drop(p, DROP_TCP_NO_SOCKET);
			return true;
		}
		mib_inc(MIB_TcpExt_ListenOverflows);
		mib_inc(MIB_TcpExt_ListenDrops);
		pkt_drop(p, DROP_TCP_BACKLOG);
		return true;
	}
	child = child_make(listener, k, rq, cookie, seg);
	if (!child) {
		return_place(l);
		if (rq && !rq->entry.is_hashed)
			return false; /* another CPU was first: it is for that child */
		pkt_drop(p, DROP_TCP_MEMORY);
		return true;
	}
	mib_inc(MIB_Tcp_PassiveOpens);
	now = clock_now_ns();
	tcp_core_input(&child->tcb, seg, now, &r);
	tcp_conn_finish(child, &r, p, now);
	spin_unlock(&child->inet.sock.lock);
	if (rq)
		end(rq);
	queue_for_accept(l, child);
	return true;
}

/* ---- The ACK of a cookie ------------------------------------------------------------------------------ */

/* Does it bring a cookie back? Then `opts` is what the SYN said. */
static bool
is_cookie(struct tcp_sock *listener, const struct tcp_key *k, const struct tcp_seg *seg,
    struct tcp_opts *opts)
{
	struct tcp_listener *l = rcu_dereference(listener->listener);
	struct tcp_tuple tuple = tcp_tuple_of(k);
	nsec_t now = clock_now_ns();
	bool use_ecn;

	if ((seg->flags & (TCP_SYN | TCP_FIN)) ||
	    now > __atomic_load_n(&l->cookies_until_ns, __ATOMIC_RELAXED))
		return false;
	if (!tcp_cookie_check(&cookie_key, &tuple, seg, now, opts, &use_ecn)) {
		mib_inc(MIB_TcpExt_SyncookiesFailed);
		drop_count(DROP_TCP_COOKIE);
		return false;
	}
	mib_inc(MIB_TcpExt_SyncookiesRecv);
	return true;
}

bool
tcp_cookie_input(struct tcp_sock *listener, const struct tcp_key *k, struct pkt *p,
    const struct tcp_seg *seg)
{
	struct tcp_opts opts;

	return is_cookie(listener, k, seg, &opts) &&
	       tcp_child_begin(listener, k, NULL, &opts, p, seg);
}

/* ---- A segment for a request ---- */

/* The numbers an ACK for the request must have (RFC 9293 3.10.7.4: SYN-RECEIVED). */
static bool
is_in_window(const struct tcp_request *rq, const struct tcp_seg *seg)
{
	return seg->seq - (rq->irs + 1) < 65536;
}

/* DEFER_ACCEPT: the connection waits for data, but not for ever (tcp(7)). */
static bool
is_deferred(struct tcp_request *rq, const struct tcp_seg *seg)
{
	if (!rq->listener->user.defer_accept_s || seg->len || (seg->flags & TCP_FIN))
		return false;
	if (rq->was_acked && rq->retries >= max_retries(rq->listener))
		return false;
	rq->was_acked = true;
	mib_inc(MIB_TcpExt_TCPDeferAcceptDrop);
	return true;
}

/* Not the number we gave. The first SYN may have got a cookie and its repetition this request. */
static bool
other_ack(struct tcp_request *rq, struct pkt *p, const struct tcp_seg *seg)
{
	struct tcp_opts opts;

	if (is_cookie(rq->listener, &rq->entry.key, seg, &opts))
		return tcp_child_begin(rq->listener, &rq->entry.key, rq, &opts, p, seg);
	tcp_send_reset(&rq->entry.key, seg);
	pkt_drop(p, DROP_TCP_BAD);
	return true;
}

bool
tcp_request_input(struct tcp_request *rq, struct pkt *p, const struct tcp_seg *seg)
{
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
	    seg->seq == rq->irs) {
		send_synack(rq); /* the same SYN again */
		pkt_free(p);
		return true;
	}
	if (!is_in_window(rq, seg)) {
		if (!(seg->flags & TCP_RST))
			send_synack(rq);
		pkt_drop(p, DROP_TCP_WINDOW);
		return true;
	}
	if (seg->flags & (TCP_RST | TCP_SYN)) {
		if ((seg->flags & TCP_RST) && seg->seq == rq->irs + 1) {
			mib_inc(MIB_Tcp_AttemptFails);
			mib_inc(MIB_TcpExt_EmbryonicRsts);
			tcp_request_drop(rq);
		}
		pkt_drop(p, DROP_TCP_OLD);
		return true;
	}
	if (!(seg->flags & TCP_ACK)) {
		pkt_drop(p, DROP_TCP_BAD);
		return true;
	}
	if (seg->ack != rq->iss + 1)
		return other_ack(rq, p, seg);
	if (!is_deferred(rq, seg))
		return tcp_child_begin(rq->listener, &rq->entry.key, rq, NULL, p, seg);
	pkt_free(p);
	return true;
}

void
tcp_request_error(struct tcp_request *rq, uint32_t seq)
{
	if (seq != rq->iss) {
		mib_inc(MIB_TcpExt_OutOfWindowIcmps);
		return;
	}
	mib_inc(MIB_Tcp_AttemptFails);
	tcp_request_drop(rq);
}
