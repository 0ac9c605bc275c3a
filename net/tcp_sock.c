/*
 * TCP for sockets: making, connecting, shutting down, closing, and what poll says. Calls that take
 * long (connect, listen, bind) are ordered by send_lock; what segments change is under the spinlock.
 */
#include "kernel/poll.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "net/inet_priv.h"
#include "net/ip.h"
#include "net/netdev.h"
#include "net/tcp_conn.h"

static const struct sock_ops tcp_sock_ops;
static struct slab_cache *cache;

void
tcp_sock_caches_init(void)
{
	cache = slab_cache_create("tcp_sock", sizeof(struct tcp_sock), 64);
}

/* ---- Making and unmaking ------------------------------------------------------------------ */

struct tcp_sock *
tcp_sock_alloc(int family)
{
	struct tcp_sock *ts = slab_zalloc(cache);
	struct sock *s;

	if (!ts)
		return NULL;
	s = &ts->inet.sock;
	inet_sock_init(&ts->inet, &tcp_sock_ops, family, SOCK_STREAM, IP_PROTO_TCP);
	s->rcvbuf = tcp_set.rmem[1];
	s->sndbuf = tcp_set.wmem[1];
	ts->entry.kind = TCP_KIND_SOCK;
	ts->entry.is_v6 = family == AF_INET6;
	ts->state = ts->tcb.state = TCP_CLOSE;
	net_timer_init(&ts->timer, tcp_conn_timer);
	list_init(&ts->accept_link);
	tcp_gauge_add(TCP_NUM_SOCKS, 1);
	return ts;
}

struct sock *
tcp_sock_create(int family)
{
	struct tcp_sock *ts = tcp_sock_alloc(family);

	return ts ? &ts->inet.sock : NULL;
}

/* The options an accepted socket has from its listener: as Linux, which copies the whole. */
static void
inherit(struct inet_sock *c, const struct inet_sock *l)
{
	const struct sock *ls = &l->sock;
	struct sock *s = &c->sock;

	s->rcvbuf = ls->rcvbuf;
	s->sndbuf = ls->sndbuf;
	s->is_rcvbuf_locked = ls->is_rcvbuf_locked;
	s->is_sndbuf_locked = ls->is_sndbuf_locked;
	s->rcvlowat = ls->rcvlowat;
	s->rcvtimeo_ns = ls->rcvtimeo_ns;
	s->sndtimeo_ns = ls->sndtimeo_ns;
	s->is_reuseaddr = ls->is_reuseaddr;
	s->is_reuseport = ls->is_reuseport;
	s->is_keepalive = ls->is_keepalive;
	s->is_oobinline = ls->is_oobinline;
	s->is_linger = ls->is_linger;
	s->linger_s = ls->linger_s;
	s->mark = ls->mark;
	s->priority = ls->priority;
	s->bound_if = ls->bound_if;
	s->max_pacing_rate = ls->max_pacing_rate;
	s->attr = ls->attr;
	c->is_v6only = l->is_v6only;
	c->is_freebind = l->is_freebind;
	c->is_transparent = l->is_transparent;
	c->ttl = l->ttl;
	c->hops6 = l->hops6;
	c->tos = l->tos;
	c->tclass6 = l->tclass6;
	c->pmtudisc = l->pmtudisc;
	c->pmtudisc6 = l->pmtudisc6;
	c->flow_label = l->flow_label;
}

struct tcp_sock *
tcp_sock_child(struct tcp_sock *listener, const struct tcp_key *k)
{
	struct tcp_sock *child = tcp_sock_alloc(listener->inet.sock.family);
	struct inet_sock *is;

	if (!child)
		return NULL;
	is = &child->inet;
	inherit(is, &listener->inet);
	child->user = listener->user;
	is->local = k->local;
	is->peer = k->peer;
	is->peer_port = k->peer_port;
	is->scope_if = k->scope_if;
	child->entry.key = *k;
	inet_share_port(is, &listener->inet, &tcp_ports);
	return child;
}

static void
tcp_destroy(struct sock *s)
{
	struct tcp_sock *ts = tcp_of(s);

	net_timer_cancel_sync(&ts->timer);
	tcp_mem_add(-(int64_t)ts->charged);
	pkt_queue_free(&ts->reading);
	inet_sock_fini(&ts->inet);
	kfree(ts->listener);
	kfree(ts->saved_syn);
	kfree(ts->snd.ring);
	tcp_gauge_add(TCP_NUM_SOCKS, -1);
	slab_free(cache, ts);
}

/* ---- connect -------------------------------------------------------------------------------- */

/* The tuple with this local port is ours now, unless another connection has it. */
static bool
take_tuple(struct inet_sock *is, uint16_t port)
{
	struct tcp_sock *ts = container_of(is, struct tcp_sock, inet);
	struct tcp_entry *other;
	bool is_taken;

	ts->entry.key.local_port = port;
	rcu_read_lock();
	other = tcp_entry_add(&ts->entry);
	is_taken = !other ||
	           (other->kind == TCP_KIND_TIMEWAIT &&
	               tcp_timewait_reuse(container_of(other, struct tcp_timewait, entry),
	                   &ts->entry, is->is_bound_port, clock_now_ns(), &ts->iss_min));
	ts->has_iss_min = other && is_taken;
	rcu_read_unlock();
	return is_taken;
}

/* Route, source address and tuple. Nothing is changed on an error. [send_lock] */
static enum err
prepare(struct tcp_sock *ts, const struct ip_addr *dst, uint16_t port, uint32_t scope_if)
{
	struct inet_sock *is = &ts->inet;
	struct ip_addr src = is->local, was = is->local;
	struct dst *d;
	enum err err;

	is->scope_if = scope_if;
	err = inet_route(is, dst, &src, &d);
	if (err != OK)
		return err;
	if (d->type == ROUTE_BROADCAST || d->type == ROUTE_MULTICAST) {
		dst_put(d);
		return ERR_NETUNREACH;
	}
	is->local = src;
	is->peer = *dst;
	is->peer_port = port;
	ts->entry.key = (struct tcp_key){.local = src,
	    .peer = *dst,
	    .peer_port = port,
	    .scope_if = ip_is_v4(dst) || !ip_is_link_local(dst) ? 0 : scope_if};
	if (is->local_port)
		err = take_tuple(is, is->local_port) ? OK : ERR_ADDRNOTAVAIL;
	else
		err = inet_autobind(is, &tcp_ports, take_tuple);
	if (err == OK) {
		if (is->dst)
			dst_put(is->dst);
		is->dst = d;
		return OK;
	}
	dst_put(d);
	is->local = was;
	is->peer = is->sock.family == AF_INET ? ip4_any : ip_any;
	is->peer_port = 0;
	return err == ERR_ADDRINUSE ? ERR_ADDRNOTAVAIL : err;
}

/* Sends the SYN. [send_lock] */
static enum err
start(struct tcp_sock *ts, const struct sock_addr *addr)
{
	struct sock *s = &ts->inet.sock;
	struct tcp_config cfg;
	struct ip_addr dst;
	uint32_t scope_if;
	uint16_t port;
	nsec_t now;
	enum err err = inet_get_addr(&ts->inet, addr, &dst, &port, &scope_if);

	if (err != OK)
		return err;
	if (ip_is_multicast(&dst) || ip_is_broadcast(&dst))
		return ERR_NETUNREACH;
	err = prepare(ts, &dst, port, scope_if);
	if (err != OK)
		return err;
	now = clock_now_ns();
	tcp_config_fill(&cfg, ts, ts->inet.dst, !ip_is_v4(&dst));
	cfg.iss = tcp_new_isn(&ts->entry.key, now);
	if (ts->has_iss_min && seq_lt(cfg.iss, ts->iss_min))
		cfg.iss = ts->iss_min;
	cfg.ts_off = tcp_ts_offset(&ts->entry.key);
	mib_inc(MIB_Tcp_ActiveOpens);
	net_burst_begin();
	spin_lock(&s->lock);
	sock_get(s); /* the table's */
	ts->phase = TCP_PHASE_CONNECTING;
	s->error = OK;
	tcp_core_connect(&ts->tcb, &cfg, now);
	tcp_conn_begin(ts, now);
	tcp_conn_push(ts, now);
	spin_unlock(&s->lock);
	net_burst_end();
	return OK;
}

static bool
is_opening(const struct tcp_sock *ts)
{
	uint8_t state = tcp_state(ts);

	return state == TCP_SYN_SENT || state == TCP_SYN_RECV;
}

/* The socket is as new, but for options and what bind gave it. [send_lock] */
static void
disconnect(struct tcp_sock *ts) NO_THREAD_SAFETY_ANALYSIS
{
	struct inet_sock *is = &ts->inet;
	struct sock *s = &is->sock;
	enum err error = OK;
	nsec_t now;

	if (ts->is_listening)
		tcp_listen_stop(ts);
	mutex_unlock(&s->send_lock); /* readers come first in the lock order */
	mutex_lock(&s->recv_lock);
	mutex_lock(&s->send_lock);
	spin_lock(&s->lock);
	if (ts->is_live) {
		now = clock_now_ns();
		tcp_core_abort(&ts->tcb, now);
		tcp_conn_push(ts, now);
		tcp_conn_detach(ts);
		error = ERR_CONNRESET; /* so does Linux */
	}
	pkt_queue_splice(&ts->reading, &s->rx);
	s->shutdown = 0;
	s->error = error;
	ts->phase = TCP_PHASE_NEW;
	ts->has_fin = false;
	ts->copied_seq = ts->told_seq = ts->rx_seq;
	ts->read_off = 0;
	if (!is->is_bound_port)
		inet_release_port(is, &tcp_ports);
	is->local = is->bind_addr;
	is->peer = s->family == AF_INET ? ip4_any : ip_any;
	is->peer_port = 0;
	spin_unlock(&s->lock);
	pkt_queue_free(&ts->reading);
	mutex_unlock(&s->recv_lock);
}

/* What connect() returns when it need not or may not wait. [send_lock] 1: it must wait. */
static long
connect_step(struct tcp_sock *ts, const struct sock_addr *addr, enum err *pending)
{
	enum err err;

	switch ((enum tcp_phase)ts->phase) {
	case TCP_PHASE_CONNECTED: return ERR_ISCONN;
	case TCP_PHASE_CONNECTING: *pending = ERR_ALREADY; break;
	case TCP_PHASE_NEW:
		if (ts->is_live || ts->is_listening)
			return ERR_ISCONN;
		err = start(ts, addr);
		if (err != OK)
			return err;
		*pending = ERR_INPROGRESS;
		break;
	}
	return is_opening(ts) ? 1 : 0;
}

/* It is decided. [send_lock] */
static enum err
connect_result(struct tcp_sock *ts)
{
	enum err err;

	if (tcp_state(ts) != TCP_CLOSE) {
		ts->phase = TCP_PHASE_CONNECTED;
		return OK;
	}
	err = sock_take_error(&ts->inet.sock);
	disconnect(ts);
	return err != OK ? err : ERR_CONNABORTED;
}

/* A listener's end of a connection that is not to be accepted yet, but the next moment will be. */
static bool
is_coming(const struct tcp_entry *e)
{
	const struct tcp_request *rq;
	const struct tcp_sock *child;

	if (e->kind == TCP_KIND_REQUEST) {
		rq = container_of(e, struct tcp_request, entry);
		return !rq->was_acked && rq->of->num_accepted <= rq->of->backlog;
	}
	child = container_of(e, struct tcp_sock, entry);
	return e->kind == TCP_KIND_SOCK && child->tcb.is_passive &&
	       child->phase == TCP_PHASE_NEW && list_is_empty(&child->accept_link);
}

/* Has the other end, on this machine, still to see our last ACK? */
static bool
is_half_seen(const struct tcp_key *theirs)
{
	const struct tcp_entry *e;
	bool is_half;

	rcu_read_lock();
	e = tcp_find(theirs, tcp_hash(theirs));
	is_half = e && is_coming(e);
	rcu_read_unlock();
	return is_half;
}

/*
 * A program may connect to itself and then expect accept() to find the connection, and several in
 * their order: on Linux they are there. Here the ACK may be on its way to another CPU's net thread.
 */
static void
await_other_end(const struct tcp_sock *ts)
{
	const struct tcp_key *k = &ts->entry.key;
	struct tcp_key theirs = {.local = k->peer,
	    .peer = k->local,
	    .local_port = k->peer_port,
	    .peer_port = k->local_port,
	    .scope_if = k->scope_if};
	nsec_t end = clock_now_ns() + NSEC_PER_SEC / 2;

	if (!ip_is_loopback(&k->peer) && !ip_equal(&k->peer, &k->local))
		return;
	while (is_half_seen(&theirs) && clock_now_ns() < end)
		thread_yield();
}

static enum err
tcp_connect(
    struct sock *s, const struct sock_addr *addr, nsec_t deadline, bool is_nonblock)
{
	struct tcp_sock *ts = tcp_of(s);
	enum err pending = OK, err;
	long step;

	if (addr->len < sizeof(addr->family))
		return ERR_INVAL;
	mutex_lock(&s->send_lock);
	if (addr->family == AF_UNSPEC) {
		disconnect(ts);
		mutex_unlock(&s->send_lock);
		return OK;
	}
	step = connect_step(ts, addr, &pending);
	if (step == 1 || (is_nonblock && pending == ERR_INPROGRESS)) {
		mutex_unlock(&s->send_lock);
		if (is_nonblock) /* also if it has been decided meanwhile */
			return pending;
		err = sock_wait(s, !is_opening(ts), deadline, false);
		if (err != OK)
			return err == ERR_AGAIN ? pending : err;
		mutex_lock(&s->send_lock);
		step = 0;
	}
	err = step == 0 ? connect_result(ts) : (enum err)step;
	if (err == OK)
		await_other_end(ts);
	mutex_unlock(&s->send_lock);
	return err;
}

/* ---- shutdown and close ------------------------------------------------------------------------ */

static void
shutdown_send(struct tcp_sock *ts)
{
	struct tcp_result r = {.events = 0};
	nsec_t now = clock_now_ns();
	uint8_t state = tcp_state(ts);

	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && state != TCP_SYN_RECV)
		return;
	tcp_core_shutdown(&ts->tcb, now, &r);
	tcp_conn_finish(ts, &r, NULL, now);
}

static enum err
tcp_shutdown(struct sock *s, int how)
{
	struct tcp_sock *ts = tcp_of(s);
	uint8_t bits = (uint8_t)(how + 1), state;
	enum err err = OK;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return ERR_INVAL;
	mutex_lock(&s->send_lock);
	state = tcp_state(ts);
	if (state == TCP_SYN_SENT || (state == TCP_LISTEN && (bits & SOCK_NO_RECV))) {
		disconnect(ts);
	} else if (state != TCP_LISTEN) {
		net_burst_begin();
		spin_lock(&s->lock);
		s->shutdown |= bits;
		if (bits & SOCK_NO_SEND)
			shutdown_send(ts);
		spin_unlock(&s->lock);
		net_burst_end();
		err = state == TCP_CLOSE ? ERR_NOTCONN : OK;
	}
	mutex_unlock(&s->send_lock);
	sock_wake(s, POLLHUP | POLLIN | POLLRDHUP | POLLOUT);
	return err;
}

static bool
is_closing(const struct tcp_sock *ts)
{
	uint8_t state = tcp_state(ts);

	return state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK;
}

static void
tcp_close(struct sock *s)
{
	struct tcp_sock *ts = tcp_of(s);
	bool waits = s->is_linger && s->linger_s;

	if (ts->is_listening)
		tcp_listen_stop(ts);
	tcp_conn_close(ts);
	if (waits)
		(void)sock_wait(s, !is_closing(ts),
		    clock_now_ns() + s->linger_s * NSEC_PER_SEC, false);
	/* The last user is gone: what nobody read goes too. */
	spin_lock(&s->lock);
	pkt_queue_splice(&ts->reading, &s->rx);
	spin_unlock(&s->lock);
	pkt_queue_free(&ts->reading);
}

/* ---- poll, names, ioctl -------------------------------------------------------------------------- */

static uint32_t
poll_receive(const struct tcp_sock *ts)
{
	const struct sock *s = &ts->inet.sock;
	uint32_t n = tcp_readable(ts), target = MAX(s->rcvlowat, 1), mask = 0;
	bool is_at_mark =
	    ts->urgent != TCP_URGENT_NONE && ts->urgent_seq == ts->copied_seq;

	if (is_at_mark && !s->is_oobinline)
		target++;
	if (n >= target)
		mask |= POLLIN | POLLRDNORM;
	if (ts->urgent == TCP_URGENT_HERE)
		mask |= POLLPRI;
	return mask;
}

static uint32_t
poll_send(struct tcp_sock *ts)
{
	if (ts->inet.sock.shutdown & SOCK_NO_SEND)
		return POLLOUT | POLLWRNORM;
	if (tcp_is_writable(ts))
		return POLLOUT | POLLWRNORM;
	tcp_want_room(ts);
	return tcp_is_writable(ts) ? POLLOUT | POLLWRNORM : 0;
}

static uint32_t
tcp_poll(struct sock *s)
{
	struct tcp_sock *ts = tcp_of(s);
	uint8_t state = tcp_state(ts);
	uint32_t mask = 0;

	if (state == TCP_LISTEN)
		return list_is_empty(&ts->listener->accepted) ? 0 : POLLIN | POLLRDNORM;
	if (s->shutdown == (SOCK_NO_RECV | SOCK_NO_SEND) || state == TCP_CLOSE)
		mask |= POLLHUP;
	if (s->shutdown & SOCK_NO_RECV)
		mask |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (state != TCP_SYN_SENT && state != TCP_SYN_RECV)
		mask |= poll_receive(ts) | poll_send(ts);
	if (s->error != OK || s->errors.first)
		mask |= POLLERR;
	return mask;
}

static enum err
tcp_getname(struct sock *s, struct sock_addr *a, bool is_peer)
{
	struct tcp_sock *ts = tcp_of(s);
	uint8_t state = tcp_state(ts);

	if (is_peer &&
	    (state == TCP_CLOSE || state == TCP_SYN_SENT || state == TCP_LISTEN))
		return ERR_NOTCONN;
	return inet_getname(&ts->inet, a, is_peer);
}

/* Bytes to read up to the urgent mark. */
static uint32_t
unread(const struct tcp_sock *ts)
{
	uint32_t n = tcp_readable(ts), mark = ts->urgent_seq - ts->copied_seq;

	if (ts->urgent == TCP_URGENT_NONE || ts->inet.sock.is_oobinline || mark >= n)
		return n;
	return mark ? mark : n - 1;
}

static long
tcp_ioctl(struct sock *s, unsigned cmd, uintptr_t arg)
{
	enum {
		SIOCINQ = 0x541b,
		SIOCOUTQ = 0x5411,
		SIOCATMARK = 0x8905,
		SIOCOUTQNSD = 0x894b
	};
	struct tcp_sock *ts = tcp_of(s);
	int32_t n;

	switch (cmd) {
	case SIOCINQ: n = (int32_t)unread(ts); break;
	case SIOCATMARK:
		n = ts->urgent != TCP_URGENT_NONE && ts->urgent_seq == ts->copied_seq;
		break;
	case SIOCOUTQ: n = (int32_t)ts->snd.len; break;
	case SIOCOUTQNSD: n = ts->is_live ? (int32_t)tcp_core_unsent(&ts->tcb) : 0; break;
	default: return ERR_NOTTY;
	}
	if (ts->is_listening && cmd != SIOCATMARK)
		return ERR_INVAL;
	return put_user(n, (int32_t USER *)arg);
}

static enum err
tcp_bind(struct sock *s, const struct sock_addr *a)
{
	struct tcp_sock *ts = tcp_of(s);

	if (ts->is_live || ts->is_listening)
		return ERR_INVAL;
	return inet_bind(&ts->inet, a, &tcp_ports);
}

static void
tcp_option_changed(struct sock *s, int opt)
{
	struct tcp_sock *ts = tcp_of(s);
	nsec_t now;

	spin_lock(&s->lock);
	if (ts->is_live) {
		now = clock_now_ns();
		tcp_apply_options(ts, now);
		tcp_conn_push(ts, now);
	}
	spin_unlock(&s->lock);
}

static const struct sock_ops tcp_sock_ops = {
    .name = "TCP",
    .bind = tcp_bind,
    .connect = tcp_connect,
    .listen = tcp_listen,
    .accept = tcp_accept,
    .send = tcp_send,
    .recv = tcp_recv,
    .send_page = tcp_send_page,
    .poll = tcp_poll,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
    .getname = tcp_getname,
    .setsockopt = tcp_setsockopt,
    .getsockopt = tcp_getsockopt,
    .ioctl = tcp_ioctl,
    .option_changed = tcp_option_changed,
    .destroy = tcp_destroy,
};
