/*
 * A connection's life: what the core's results mean for the socket. All here runs under the
 * socket's spinlock, from the net thread (segments, timers) and from system calls alike.
 */
#include "kernel/panic.h"
#include "kernel/random.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/netdev.h"
#include "net/tcp_conn.h"

static struct siphash_key isn_key, ts_key;

void
tcp_conn_init(void)
{
	random_bytes(&ts_key, sizeof(ts_key));
	random_bytes(&isn_key, sizeof(isn_key));
}

struct tcp_tuple
tcp_tuple_of(const struct tcp_key *k)
{
	struct tcp_tuple t = {.local_port = k->local_port, .remote_port = k->peer_port};

	memcpy(t.local, k->local.b, sizeof(t.local));
	memcpy(t.remote, k->peer.b, sizeof(t.remote));
	return t;
}

uint32_t
tcp_new_isn(const struct tcp_key *k, nsec_t now)
{
	struct tcp_tuple t = tcp_tuple_of(k);

	return tcp_isn(&isn_key, &t, now);
}

uint32_t
tcp_ts_offset(const struct tcp_key *k)
{
	return (uint32_t)siphash24(&ts_key, k, offsetof(struct tcp_key, scope_if));
}

/* ---- Beginning --------------------------------------------------------------------------- */

/* The payload that an MTU has room for, the header's options not counted. */
static uint16_t
mss_of(uint32_t mtu, bool is_v6)
{
	enum { IP4_HEADER = 20, IP6_HEADER = 40, IP_MAX = 65535, MSS_MIN = 48 };
	uint32_t headers = (is_v6 ? IP6_HEADER : IP4_HEADER) + TCP_HEADER_MIN;

	mtu = MIN(mtu, IP_MAX); /* the loopback interface's is longer than IPv4 can say */
	return mtu < headers + MSS_MIN ? MSS_MIN : (uint16_t)(mtu - headers);
}

void
tcp_config_fill(
    struct tcp_config *c, const struct tcp_sock *ts, const struct dst *d, bool is_v6)
{
	const struct sock *s = &ts->inet.sock;
	uint32_t max = 65535 - TCP_HEADER_MAX - 40;

	*c = (struct tcp_config){
	    .mss = d->advmss ? (uint16_t)d->advmss : mss_of(d->dev->mtu, is_v6),
	    .path_mss = mss_of(dst_mtu((struct dst *)d), is_v6),
	    .user_mss = ts->user.maxseg,
	    .is_ipv6 = is_v6,
	    .use_ts = tcp_set.timestamps,
	    .use_sack = tcp_set.sack,
	    .use_wscale = tcp_set.window_scaling,
	    .ecn = tcp_set.ecn == 1   ? TCP_ECN_ASK
	           : tcp_set.ecn == 2 ? TCP_ECN_ACCEPT
	                              : TCP_ECN_OFF,
	    .rcvbuf = s->rcvbuf / 2,
	    .rcvbuf_max = s->is_rcvbuf_locked ? s->rcvbuf / 2 : tcp_set.rmem[2] / 2,
	    .tso_max = MIN(d->dev->tso_max_size ? d->dev->tso_max_size : max, max),
	    .cc = ts->user.cc ? ts->user.cc : tcp_set.cc,
	    .syn_retries =
	        ts->user.syncnt ? ts->user.syncnt : (uint8_t)tcp_set.syn_retries,
	    .synack_retries = (uint8_t)tcp_set.synack_retries,
	    .retries = (uint8_t)tcp_set.retries2,
	    .orphan_retries = (uint8_t)tcp_set.orphan_retries,
	    .mtu = {.mode = (uint8_t)tcp_set.mtu_probing,
	        .base_mss = (uint16_t)tcp_set.base_mss,
	        .floor_mss = (uint16_t)tcp_set.mtu_probe_floor,
	        .threshold = (uint16_t)tcp_set.probe_threshold,
	        .interval_s = (uint16_t)tcp_set.probe_interval_s},
	};
	if (c->rcvbuf_max < c->rcvbuf)
		c->rcvbuf_max = c->rcvbuf;
	if (ts->user.window_clamp) {
		c->rcvbuf = MIN(c->rcvbuf, ts->user.window_clamp);
		c->rcvbuf_max = c->rcvbuf;
	}
}

void
tcp_conn_begin(struct tcp_sock *ts, nsec_t now)
{
	struct sock *s = &ts->inet.sock;
	struct dst *d = ts->inet.dst;

	ts->is_live = true;
	ts->has_fin = false;
	tcp_show_state(ts, ts->tcb.state);
	ts->rcvbuf_seen = s->rcvbuf;
	ts->mtu_seen = d ? dst_mtu(d) : 0;
	tcp_apply_options(ts, now);
}

/* ---- What the socket shows of the state ------------------------------------------------------ */

/* The gauge of established connections, as CurrEstab counts them. */
static void
count_established(struct tcp_sock *ts)
{
	uint8_t state = tcp_state(ts);
	bool is_now = state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;

	if (is_now == ts->is_counted)
		return;
	ts->is_counted = is_now;
	tcp_gauge_add(TCP_NUM_ESTABLISHED, is_now ? 1 : -1);
}

static void
read_begins(struct tcp_sock *ts)
{
	uint32_t first = ts->tcb.irs + 1;

	ts->rx_seq = ts->copied_seq = ts->told_seq = first;
	ts->urgent = TCP_URGENT_NONE;
}

static uint32_t
apply_end(struct tcp_sock *ts, const struct tcp_result *r)
{
	struct sock *s = &ts->inet.sock;

	if (r->events & (TCP_EV_RESET | TCP_EV_TIMEDOUT))
		__atomic_store_n(&s->error, (enum err)r->error, __ATOMIC_RELAXED);
	if (r->events & TCP_EV_SOFT)
		s->error_soft = (enum err)r->error;
	if (r->events & TCP_EV_FIN) {
		ts->has_fin = true;
		s->shutdown |= SOCK_NO_RECV;
	}
	if (r->events & (TCP_EV_RESET | TCP_EV_TIMEDOUT | TCP_EV_CLOSED))
		s->shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
	if (r->events & (TCP_EV_RESET | TCP_EV_TIMEDOUT))
		return POLLERR | POLLHUP | POLLIN | POLLRDHUP | POLLOUT | POLLRDNORM |
		       POLLWRNORM;
	if (r->events & TCP_EV_FIN)
		return POLLIN | POLLRDNORM | POLLRDHUP |
		       (s->shutdown & SOCK_NO_SEND ? POLLHUP : 0);
	return r->events & TCP_EV_CLOSED ? POLLHUP | POLLIN | POLLRDHUP | POLLOUT : 0;
}

/* Auto-tuning of the send buffer: twice what is in flight, while nobody fixed it. */
static void
grow_sndbuf(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	uint32_t want = tcp_core_sndbuf_hint(&ts->tcb) * 2;

	if (!s->is_sndbuf_locked && want > s->sndbuf && !tcp_mem_is_tight())
		s->sndbuf = MIN(want, tcp_set.wmem[2]);
}

static uint32_t
apply_acked(struct tcp_sock *ts, const struct tcp_result *r)
{
	tcp_sndbuf_consume(&ts->snd, r->acked);
	grow_sndbuf(ts);
	if (!ts->snd.len)
		kfree(tcp_core_mem_take(&ts->tcb, TCP_MEM_TX));
	if (!ts->is_full || !tcp_is_writable(ts))
		return 0;
	ts->is_full = false;
	return POLLOUT | POLLWRNORM;
}

static bool
is_enough(const struct tcp_sock *ts)
{
	uint32_t n = tcp_readable(ts);

	return n >= ts->inet.sock.rcvlowat || n >= ts->tcb.rcvbuf / 2;
}

/* Applies a result; the events to wake with. */
static uint32_t
apply(struct tcp_sock *ts, const struct tcp_result *r, struct pkt *p)
{
	uint32_t wake = 0;

	if (r->events & TCP_EV_CONNECTED) {
		if (!ts->tcb.is_passive) /* children began when they were made */
			read_begins(ts);
		grow_sndbuf(ts);
		wake |= POLLOUT | POLLWRNORM;
	}
	tcp_rcv_keep(ts, r, p);
	if (r->readable && is_enough(ts))
		wake |= POLLIN | POLLRDNORM;
	if (r->acked)
		wake |= apply_acked(ts, r);
	return wake | apply_end(ts, r);
}

/* ---- After each step --------------------------------------------------------------------------- */

/* The user or the system changed what the core was told: buffer size, path. */
static void
follow_changes(struct tcp_sock *ts, nsec_t now)
{
	struct sock *s = &ts->inet.sock;
	struct dst *d = ts->inet.dst;

	if (unlikely(s->rcvbuf != ts->rcvbuf_seen)) {
		tcp_core_set_rcvbuf(&ts->tcb, s->rcvbuf / 2,
		    s->is_rcvbuf_locked ? s->rcvbuf / 2 : tcp_set.rmem[2] / 2);
		ts->rcvbuf_seen = s->rcvbuf;
	} else if (ts->tcb.rcvbuf * 2 > s->rcvbuf && !ts->user.window_clamp) {
		s->rcvbuf = ts->rcvbuf_seen = ts->tcb.rcvbuf * 2; /* tuned */
	}
	if (d && unlikely(dst_mtu(d) != ts->mtu_seen)) {
		ts->mtu_seen = dst_mtu(d);
		tcp_core_path_mss(&ts->tcb, ts->tcb.snd_una,
		    mss_of(ts->mtu_seen, !ip_is_v4(&ts->inet.peer)), now);
	}
}

/* Memory is short: what the peer may have under way goes back to the default. */
static void
relieve(struct tcp_sock *ts)
{
	if (unlikely(tcp_mem_is_tight()) && !ts->inet.sock.is_rcvbuf_locked)
		tcp_core_set_rcvbuf(&ts->tcb, MIN(ts->tcb.rcvbuf, tcp_set.rmem[1] / 2),
		    ts->tcb.rcvbuf_max);
}

/* How long FIN-WAIT-2 may last once the user is gone: tcp_fin_timeout, TCP_LINGER2. */
static nsec_t
fin_timeout_ns(const struct tcp_sock *ts)
{
	if (ts->user.linger2_s < 0)
		return 0;
	return (ts->user.linger2_s ? (uint32_t)ts->user.linger2_s
	                           : tcp_set.fin_timeout_s) *
	       NSEC_PER_SEC;
}

/* True: its time in FIN-WAIT-2 is over. */
static bool
has_waited_enough(struct tcp_sock *ts, nsec_t now)
{
	if (likely(!ts->is_orphan || ts->tcb.state != TCP_FIN_WAIT2))
		return false;
	if (!ts->fin_deadline_ns)
		ts->fin_deadline_ns = now + fin_timeout_ns(ts);
	return now >= ts->fin_deadline_ns;
}

static void
arm(struct tcp_sock *ts)
{
	nsec_t deadline = tcp_core_deadline(&ts->tcb);

	if (unlikely(ts->fin_deadline_ns))
		deadline = MIN(deadline, ts->fin_deadline_ns);
	if (deadline == UINT64_MAX)
		(void)net_timer_cancel(&ts->timer); /* a callback finds nothing to do */
	else
		net_timer_arm(&ts->timer, deadline);
}

void
tcp_conn_push(struct tcp_sock *ts, nsec_t now)
{
	if (!ts->is_live)
		return;
	follow_changes(ts, now);
	relieve(ts);
	tcp_output(ts, now);
	tcp_mem_update(ts);
	tcp_show_state(ts, ts->tcb.state);
	count_established(ts);
	if (ts->tcb.state == TCP_CLOSE || has_waited_enough(ts, now))
		tcp_conn_detach(ts);
	else
		arm(ts);
}

void
tcp_conn_finish(
    struct tcp_sock *ts, const struct tcp_result *r, struct pkt *p, nsec_t now)
{
	struct sock *s = &ts->inet.sock;
	uint32_t wake = apply(ts, r, p);

	tcp_conn_push(ts, now);
	if (r->events & TCP_EV_TIME_WAIT) {
		s->shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
		(void)tcp_timewait_enter(ts); /* too many: it just ends */
		tcp_conn_detach(ts);
		wake |= POLLHUP | POLLIN | POLLRDHUP;
	}
	if (wake)
		sock_wake(s, wake);
}

static void
count_timer(const struct tcp_result *r)
{
	static const struct {
		uint32_t event;
		enum mib counter;
	} counters[] = {
	    {TCP_EV_RTO, MIB_TcpExt_TCPTimeouts},
	    {TCP_EV_TAIL_PROBE, MIB_TcpExt_TCPLossProbes},
	    {TCP_EV_WINDOW_PROBE, MIB_TcpExt_TCPWinProbe},
	    {TCP_EV_KEEPALIVE, MIB_TcpExt_TCPKeepAlive},
	    {TCP_EV_DELAYED_ACK, MIB_TcpExt_DelayedACKs},
	    {TCP_EV_TIMEDOUT, MIB_TcpExt_TCPAbortOnTimeout},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++)
		if (r->events & counters[i].event)
			mib_inc(counters[i].counter);
}

void
tcp_conn_timer(struct net_timer *t)
{
	struct tcp_sock *ts = container_of(t, struct tcp_sock, timer);
	struct sock *s = &ts->inet.sock;
	struct tcp_result r = {.events = 0};
	nsec_t now;

	if (!sock_try_get(s))
		return;
	spin_lock(&s->lock);
	if (ts->is_live) {
		now = clock_now_ns();
		tcp_core_timer(&ts->tcb, now, &r);
		count_timer(&r);
		tcp_conn_finish(ts, &r, NULL, now);
	}
	spin_unlock(&s->lock);
	sock_put(s);
}

/* ---- The end ----------------------------------------------------------------------------------------- */

void
tcp_conn_detach(struct tcp_sock *ts)
{
	if (!ts->is_live)
		return;
	ts->is_live = false;
	tcp_show_state(ts, TCP_CLOSE);
	ts->is_tx_waiting = false;
	(void)net_timer_cancel(&ts->timer); /* a callback finds is_live false */
	(void)tcp_entry_remove(&ts->entry); /* TIME-WAIT may have its place already */
	count_established(ts);
	if (ts->is_orphan)
		tcp_gauge_add(TCP_NUM_ORPHANS, -1);
	tcp_sndbuf_clear(&ts->snd);
	tcp_rcv_purge_ofo(ts);
	for (enum tcp_mem what = 0; what < TCP_MEM_COUNT; what++)
		kfree(tcp_core_mem_take(&ts->tcb, what));
	tcp_mem_update(ts);
	if (ts->inet.dst)
		dst_put(ts->inet.dst);
	ts->inet.dst = NULL;
	if (ts->is_orphan || !ts->inet.is_bound_port)
		inet_release_port(&ts->inet, &tcp_ports);
	sock_put(&ts->inet.sock); /* the table's; the caller has another */
}

static bool
too_many_orphans(void)
{
	if (tcp_gauge(TCP_NUM_ORPHANS) < (int32_t)tcp_set.max_orphans &&
	    !tcp_mem_is_out())
		return false;
	mib_inc(MIB_TcpExt_TCPAbortOnMemory);
	return true;
}

/* How a live connection goes on without its user. [lock] */
static void
leave(struct tcp_sock *ts, struct tcp_result *r, nsec_t now)
{
	struct sock *s = &ts->inet.sock;

	if (ts->copied_seq != ts->rx_seq) {
		/* Data was there and nobody will read it: the peer shall know (RFC 1122
		   4.2.2.13). */
		mib_inc(MIB_TcpExt_TCPAbortOnClose);
		tcp_core_abort(&ts->tcb, now);
	} else if (s->is_linger && !s->linger_s) {
		mib_inc(MIB_TcpExt_TCPAbortOnData);
		tcp_core_abort(&ts->tcb, now);
	} else if (too_many_orphans()) {
		tcp_core_abort(&ts->tcb, now);
	} else {
		tcp_core_shutdown(&ts->tcb, now, r);
		tcp_core_orphan(&ts->tcb, now);
	}
}

void
tcp_conn_close(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	struct tcp_result r = {.events = 0};
	nsec_t now;

	net_burst_begin();
	spin_lock(&s->lock);
	s->shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
	if (ts->is_live) {
		now = clock_now_ns();
		leave(ts, &r, now);
		ts->is_orphan = true;
		tcp_gauge_add(TCP_NUM_ORPHANS, 1);
		tcp_conn_finish(ts, &r, NULL, now);
	} else {
		ts->is_orphan = true;
		inet_release_port(&ts->inet, &tcp_ports);
	}
	spin_unlock(&s->lock);
	net_burst_end();
}

void
tcp_conn_reset(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	nsec_t now;

	spin_lock(&s->lock);
	if (ts->is_live) {
		now = clock_now_ns();
		tcp_core_abort(&ts->tcb, now);
		tcp_conn_push(ts, now);
	}
	spin_unlock(&s->lock);
	tcp_conn_close(ts);
	sock_put(s);
}
