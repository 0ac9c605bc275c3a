/*
 * TIME-WAIT: a connection whose both ends have closed must stay known for two segment lifetimes
 * (RFC 9293 3.6.1), but only by some numbers: an object of a fifth of a kilobyte takes the
 * socket's place in the table. Their number is limited: above the limit a connection just ends.
 *
 * Freeing. Who takes one out of the table stops its timer and frees it. When the timer's callback
 * is just then on its way, both leave a mark, and who comes second frees.
 */
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/tcp_conn.h"

static struct slab_cache *cache;

void
tcp_timewait_init(void)
{
	cache = slab_cache_create("tcp_timewait", sizeof(struct tcp_timewait), 0);
}

/* The port too is left here only: who takes the tuple over holds the port table's lock. */
static void
free_rcu(struct rcu_head *h)
{
	struct tcp_timewait *w = container_of(h, struct tcp_timewait, rcu);

	inet_unhold_port(&w->hold, &tcp_ports);
	slab_free(cache, w);
}

/* The second who leaves the mark frees. */
static void
leave(struct tcp_timewait *w)
{
	if (__atomic_exchange_n(&w->is_left, true, __ATOMIC_ACQ_REL))
		rcu_call(&w->rcu, free_rcu);
}

/* The caller has taken it out of the table. */
static void
end(struct tcp_timewait *w)
{
	tcp_gauge_add(TCP_NUM_TW, -1);
	if (net_timer_cancel(&w->timer))
		rcu_call(&w->rcu, free_rcu);
	else
		leave(w);
}

static void
expire(struct net_timer *t)
{
	struct tcp_timewait *w = container_of(t, struct tcp_timewait, timer);

	if (clock_now_ns() < w->tw.expires) { /* a repeated FIN began the time anew */
		net_timer_arm(&w->timer, w->tw.expires);
	} else if (tcp_entry_remove(&w->entry)) {
		tcp_gauge_add(TCP_NUM_TW, -1);
		mib_inc(MIB_TcpExt_TW);
		rcu_call(&w->rcu, free_rcu);
	} else {
		leave(w);
	}
}

bool
tcp_timewait_enter(struct tcp_sock *ts)
{
	struct tcp_timewait *w;

	if (tcp_gauge(TCP_NUM_TW) >= (int32_t)tcp_set.max_tw) {
		mib_inc(MIB_TcpExt_TCPTimeWaitOverflow);
		return false;
	}
	w = slab_zalloc(cache);
	if (!w)
		return false;
	w->entry.kind = TCP_KIND_TIMEWAIT;
	w->entry.is_v6 = ts->entry.is_v6;
	w->entry.key = ts->entry.key;
	w->begin_ns = clock_now_ns();
	tcp_tw_init(&w->tw, &ts->tcb);
	inet_hold_port(&w->hold, &ts->inet, &tcp_ports);
	net_timer_init(&w->timer, expire);
	net_timer_arm(&w->timer, w->tw.expires);
	tcp_gauge_add(TCP_NUM_TW, 1);
	if (tcp_entry_replace(&ts->entry, &w->entry))
		return true;
	end(w);
	return false;
}

bool
tcp_timewait_input(
    struct tcp_timewait *w, const struct tcp_seg *seg, nsec_t now, uint32_t *iss_min)
{
	struct tcp_out out = {.len = 0};

	switch (tcp_tw_input(&w->tw, seg, now, &out, iss_min)) {
	case TCP_TW_ACK: /* expires may be later now; the timer, when it fires, will see */
		tcp_send_bare(&w->entry.key, &out, NULL);
		return false;
	case TCP_TW_REUSE:
		if (!tcp_entry_remove(&w->entry))
			return false;
		mib_inc(MIB_TcpExt_TWRecycled);
		end(w);
		return true;
	case TCP_TW_END:
		if (tcp_entry_remove(&w->entry))
			end(w);
		return false;
	case TCP_TW_DROP: break;
	}
	return false;
}

/* May a port of our own choice be one that still waits? */
static bool
may_choose(const struct tcp_timewait *w, nsec_t now)
{
	bool is_allowed = tcp_set.tw_reuse == 1 ||
	                  (tcp_set.tw_reuse == 2 && ip_is_loopback(&w->entry.key.peer));

	return is_allowed && now - w->begin_ns >= NSEC_PER_SEC;
}

bool
tcp_timewait_reuse(struct tcp_timewait *w, struct tcp_entry *e, bool is_bound, nsec_t now,
    uint32_t *iss_min)
{
	/* The peer must be able to tell old segments by their timestamps: RFC 6191 2. */
	if (!w->tw.use_ts || (!is_bound && !may_choose(w, now)))
		return false;
	*iss_min = w->tw.snd_nxt + 65535 + 2;
	if (!tcp_entry_replace(&w->entry, e))
		return false;
	mib_inc(MIB_TcpExt_TWRecycled);
	end(w);
	return true;
}
