/*
 * /proc/net/tcp and tcp6, in Linux's columns: listeners first, then the table of connections with
 * its requests and TIME-WAITs. The settings under /proc/sys/net are in tcp_sysctl.c.
 */
#include "kernel/procfs.h"
#include "kernel/time/clock.h"
#include "net/tcp_conn.h"

enum { LINE_WIDTH = 149, HZ = 100, PIECE = 32 << 10 };

struct listing {
	struct seq *s;
	bool is_v6;
	unsigned num;
};

static uint32_t
raw32(const uint8_t *b) /* as the bytes lie in memory: Linux prints them so */
{
	uint32_t v;

	__builtin_memcpy(&v, b, sizeof(v));
	return v;
}

static void
put_addr(struct listing *l, const struct ip_addr *a, uint16_t port)
{
	if (l->is_v6)
		seq_printf(
		    l->s, "%08X%08X%08X", raw32(a->b), raw32(a->b + 4), raw32(a->b + 8));
	seq_printf(l->s, "%08X:%04X ", raw32(a->b + 12), port);
}

static void
begin_line(struct listing *l, const struct tcp_key *k, uint8_t state)
{
	seq_printf(l->s, "%4u: ", l->num++);
	put_addr(l, &k->local, k->local_port);
	put_addr(l, &k->peer, k->peer_port);
	seq_printf(l->s, "%02X ", state);
}

/* Lines of tcp (not tcp6) have one width. */
static void
end_line(struct listing *l, size_t start)
{
	if (!l->is_v6)
		seq_pad(l->s, start, LINE_WIDTH);
	seq_putc(l->s, '\n');
}

static uint64_t
ticks_until(nsec_t when)
{
	nsec_t now = clock_now_ns();

	return when == UINT64_MAX || when <= now ? 0 : (when - now) / (NSEC_PER_SEC / HZ);
}

/* Linux's numbers: 1 retransmission, 2 another timer, 3 TIME-WAIT, 4 zero window probe. */
static unsigned
timer_kind(const struct tcb *tcb, nsec_t *when)
{
	static const struct {
		uint8_t timer, number;
	} kinds[] = {{TCP_T_RTX, 1}, {TCP_T_KEEP, 2}, {TCP_T_STATE, 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		*when = tcb->timer[kinds[i].timer];
		if (*when != UINT64_MAX && *when)
			return kinds[i].number == 1 && tcb->probes ? 4 : kinds[i].number;
	}
	*when = UINT64_MAX;
	return 0;
}

void
tcp_summarize(struct tcp_sock *ts, struct tcp_summary *sum)
{
	struct sock *s = &ts->inet.sock;
	nsec_t when = UINT64_MAX;

	*sum = (struct tcp_summary){.state = 0};
	spin_lock(&s->lock);
	if (ts->is_live) {
		sum->timer = timer_kind(&ts->tcb, &when);
		tcp_core_info(&ts->tcb, clock_now_ns(), &sum->info);
		sum->tx_queue = ts->snd.len;
		sum->pingpong = ts->tcb.pingpong;
	}
	sum->rx_queue = ts->is_listening ? ts->listener->num_accepted : tcp_readable(ts);
	sum->state = tcp_state(ts);
	if (!ts->is_orphan && !(ts->tcb.is_passive && ts->phase == TCP_PHASE_NEW))
		sum->ino = s->ino; /* else nobody has a descriptor: not yet, or no more */
	spin_unlock(&s->lock);
	sum->expires_ns = when == UINT64_MAX ? 0 : when;
}

/* What the core alone knows. */
static void
show_core(struct listing *l, const struct tcp_summary *sum)
{
	const struct tcp_core_info *i = &sum->info;

	seq_printf(l->s, " %u %u %u %u %d", i->rto_us / (1000000 / HZ),
	    i->ato_us / (1000000 / HZ), (unsigned)sum->pingpong,
	    i->snd_cwnd ? i->snd_cwnd : 10,
	    i->snd_ssthresh && i->snd_ssthresh < INT32_MAX ? (int)i->snd_ssthresh : -1);
}

static void
show_sock(struct listing *l, struct tcp_sock *ts, const struct tcp_key *k)
{
	const struct sock *s = &ts->inet.sock;
	size_t start = l->s->len;
	struct tcp_summary sum;

	tcp_summarize(ts, &sum);
	begin_line(l, k, sum.state);
	seq_printf(l->s, "%08X:%08X %02X:%08lX %08X %5u %8d %lu %u %016d", sum.tx_queue,
	    sum.rx_queue, sum.timer, ticks_until(sum.expires_ns), sum.info.retransmits,
	    s->attr.uid, sum.info.probes, sum.ino, s->refs - ts->is_live, 0);
	if (sum.state == TCP_LISTEN)
		seq_puts(l->s, " 100 0 0 10 0"); /* Linux's first values, never used */
	else
		show_core(l, &sum);
	end_line(l, start);
}

static void
show_small(struct listing *l, const struct tcp_key *k, uint8_t state, unsigned timer,
    nsec_t when, unsigned retries)
{
	size_t start = l->s->len;

	begin_line(l, k, state);
	seq_printf(l->s, "%08X:%08X %02X:%08lX %08X %5u %8d %d %d %016d", 0, 0, timer,
	    ticks_until(when), retries, 0, 0, 0, state == TCP_TIME_WAIT ? 1 : 0, 0);
	end_line(l, start);
}

static void
show_listener(struct tcp_sock *ts, void *arg)
{
	struct listing *l = arg;
	struct tcp_key k = {.local = ts->inet.local, .local_port = ts->inet.local_port};

	if ((ts->inet.sock.family == AF_INET6) != l->is_v6)
		return;
	show_sock(l, ts, &k);
}

/* False: the piece is long enough. */
static bool
show_entry(struct tcp_entry *e, void *arg)
{
	struct listing *l = arg;
	struct tcp_request *rq;
	struct tcp_timewait *w;

	if (e->is_v6 != l->is_v6)
		return true;
	switch ((enum tcp_kind)e->kind) {
	case TCP_KIND_SOCK:
		show_sock(l, container_of(e, struct tcp_sock, entry), &e->key);
		break;
	case TCP_KIND_REQUEST:
		rq = container_of(e, struct tcp_request, entry);
		show_small(
		    l, &e->key, TCP_SYN_RECV, 1, rq->timer.expires_ns, rq->retries);
		break;
	case TCP_KIND_TIMEWAIT:
		w = container_of(e, struct tcp_timewait, entry);
		show_small(l, &e->key, TCP_TIME_WAIT, 3, w->tw.expires, 0);
		break;
	}
	return l->s->len < PIECE;
}

static void
show_head(struct listing *l)
{
	size_t start = l->s->len;

	seq_puts(l->s, l->is_v6
	                   ? "  sl  local_address                         remote_address"
	                     "                        st tx_queue rx_queue tr tm->when"
	                     " retrnsmt   uid  timeout inode"
	                   : "  sl  local_address rem_address   st tx_queue rx_queue tr"
	                     " tm->when retrnsmt   uid  timeout inode");
	end_line(l, start);
}

/* With 100,000 connections it is 15 MB long: in pieces, s->next says bucket and number. */
static void
show(struct seq *s, bool is_v6)
{
	struct listing l = {.s = s, .is_v6 = is_v6, .num = (unsigned)(s->next >> 32)};
	uint32_t bucket = (uint32_t)s->next;

	if (!bucket) {
		show_head(&l);
		tcp_listener_for_each(show_listener, &l);
	}
	bucket = tcp_for_each(bucket, show_entry, &l);
	s->next = bucket ? (uint64_t)l.num << 32 | bucket : 0;
}

static void
show_tcp(struct seq *s)
{
	show(s, false);
}

static void
show_tcp6(struct seq *s)
{
	show(s, true);
}

void
tcp_proc_init(void)
{
	(void)proc_register("net/tcp", show_tcp); /* not without memory */
	(void)proc_register("net/tcp6", show_tcp6);
}
