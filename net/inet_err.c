/*
 * Error queues (IP_RECVERR, IPV6_RECVERR): each entry is a packet with what came back of the
 * datagram that failed; its cb says why, who reports it and where the datagram was to go. Reading
 * gives them one by one by recvmsg(MSG_ERRQUEUE), ip(7).
 */
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/uio.h"
#include "net/inet_opts.h"
#include "net/inet_priv.h"

enum {
	ORIGIN_LOCAL = 1,
	ORIGIN_ICMP = 2,
	ORIGIN_ICMP6 = 3,
	ORIGIN_STAMP = 4,
	UDP_HEADER = 8,
	SCM_TIMESTAMPING = 37,
};

/* struct sock_extended_err of Linux. */
struct extended_err {
	uint32_t err;
	uint8_t origin, type, code, pad;
	uint32_t info, data;
};

struct err_cb {
	struct extended_err ee;
	struct ip_addr offender;
	uint16_t dst_port;
};

static_assert(sizeof(struct err_cb) <= sizeof(((struct pkt *)0)->cb), "fits in cb");

/* Takes the packet. Counted against rcvbuf like data: errors must not fill memory either. */
static void
queue_error(struct inet_sock *is, struct pkt *p)
{
	struct sock *sk = &is->sock;
	bool fits;

	spin_lock(&sk->lock);
	fits = sk->rx_bytes + p->truesize <= sk->rcvbuf;
	if (fits) {
		pkt_queue_push(&sk->errors, p);
		sk->rx_bytes += p->truesize;
	}
	spin_unlock(&sk->lock);
	if (!fits)
		pkt_drop(p, DROP_SOCK_RCVBUF);
}

static struct pkt *
make_error(const struct err_cb *cb, const struct ip_addr *dst, const void *data, size_t n)
{
	struct pkt *p = pkt_alloc(n);
	void *to;

	if (!p)
		return NULL;
	to = pkt_put(p, n);
	if (n)
		memcpy(to, data, n);
	p->ip.dst = *dst;
	memcpy(p->cb, cb, sizeof(*cb));
	return p;
}

void
inet_icmp_error(
    struct inet_sock *is, const struct ip_error *e, uint16_t dst_port, bool is_connected)
{
	bool is_v4 = e->family == AF_INET;
	bool is_wanted = is_v4 ? is->is_recverr : is->is_recverr6;
	size_t skip = is->sock.proto == IP_PROTO_UDP ? UDP_HEADER : 0;
	const struct err_cb cb = {
	    .ee = {.err = (uint32_t)-e->err,
	        .origin = is_v4 ? ORIGIN_ICMP : ORIGIN_ICMP6,
	        .type = e->type,
	        .code = e->code,
	        .info = e->info},
	    .offender = e->offender,
	    .dst_port = dst_port,
	};
	struct pkt *p;

	if (e->err == ERR_MSGSIZE &&
	    (is_v4 ? is->pmtudisc : is->pmtudisc6) == PMTUDISC_DONT)
		return;
	if (!is_wanted && (!e->is_hard || !is_connected))
		return;
	if (is_wanted) {
		size_t n = e->transport_len > skip ? e->transport_len - skip : 0;

		p = make_error(&cb, &e->dst, e->transport + skip, n);
		if (p)
			queue_error(is, p);
	}
	sock_set_error(&is->sock, e->err);
}

void
inet_local_error(struct inet_sock *is, const struct ip_addr *dst, uint16_t port,
    enum err err, uint32_t mtu)
{
	const struct err_cb cb = {
	    .ee = {.err = (uint32_t)-err, .origin = ORIGIN_LOCAL, .info = mtu},
	    .dst_port = port,
	};
	struct pkt *p;

	if (!(ip_is_v4(dst) ? is->is_recverr : is->is_recverr6))
		return;
	p = make_error(&cb, dst, NULL, 0);
	if (p)
		queue_error(is, p);
	sock_wake(&is->sock, POLLERR);
}

void
inet_tx_stamp(struct inet_sock *is, const struct inet_tx *tx)
{
	struct err_cb cb = {.ee = {.err = (uint32_t)-ERR_NOMSG, .origin = ORIGIN_STAMP}};
	struct pkt *p;

	if (likely(!(tx->stamping & STAMP_TX_SOFTWARE)))
		return;
	if (tx->stamping & STAMP_OPT_ID)
		cb.ee.data = __atomic_fetch_add(&is->sock.stamp_id, 1, __ATOMIC_RELAXED);
	p = make_error(&cb, &tx->ip.dst, NULL, 0);
	if (!p)
		return;
	p->stamp_ns = (nsec_t)clock_wall_ns();
	queue_error(is, p);
	sock_wake(&is->sock, POLLERR);
}

static bool
is_icmp(const struct err_cb *cb)
{
	return cb->ee.origin == ORIGIN_ICMP || cb->ee.origin == ORIGIN_ICMP6;
}

/* The first one, and the pending error becomes that of the next. */
static struct pkt *
pop_error(struct sock *sk)
{
	struct pkt *p;

	spin_lock(&sk->lock);
	p = pkt_queue_pop(&sk->errors);
	if (p) {
		const struct err_cb *next =
		    sk->errors.first ? (struct err_cb *)sk->errors.first->cb : NULL;

		sk->rx_bytes -= p->truesize;
		sk->error = next ? (enum err) - (int32_t)next->ee.err : OK;
	}
	spin_unlock(&sk->lock);
	return p;
}

static void
put_error(const struct inet_sock *is, struct sock_msg *msg, const struct err_cb *cb)
{
	struct {
		struct extended_err ee;
		union {
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		};
	} value;
	bool has_offender = is_icmp(cb);
	bool is_v4 = is->sock.family == AF_INET;

	memset(&value, 0, sizeof(value));
	value.ee = cb->ee;
	if (has_offender && is_v4) {
		value.in.family = AF_INET;
		value.in.addr = cb->offender.v4;
	} else if (has_offender) {
		value.in6.family = AF_INET6;
		memcpy(value.in6.addr, cb->offender.b, sizeof(value.in6.addr));
	}
	put_cmsg(msg, is_v4 ? SOL_IP : SOL_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR,
	    &value, sizeof(value.ee) + (is_v4 ? sizeof(value.in) : sizeof(value.in6)));
}

long
inet_recv_error(struct inet_sock *is, struct sock_msg *msg)
{
	struct pkt *p = pop_error(&is->sock);
	const struct err_cb *cb;
	size_t len, n;

	if (!p)
		return ERR_AGAIN;
	cb = (const struct err_cb *)p->cb;
	len = pkt_len(p);
	n = MIN(len, msg->uio->resid);
	if (pkt_copy_to_uio(p, 0, n, msg->uio) < n) {
		pkt_free(p);
		return ERR_FAULT;
	}
	if (n < len)
		msg->out_flags |= MSG_TRUNC;
	if (msg->name && cb->ee.origin != ORIGIN_STAMP)
		inet_put_addr(is, msg->name, &p->ip.dst, cb->dst_port, 0);
	if (p->stamp_ns && (is->sock.stamping & STAMP_SOFTWARE)) {
		struct timespec ts[3] = {timespec_from_ns(p->stamp_ns)};

		put_cmsg(msg, SOL_SOCKET, SCM_TIMESTAMPING, ts, sizeof(ts));
	}
	put_error(is, msg, cb);
	msg->out_flags |= MSG_ERRQUEUE;
	pkt_free(p);
	return (long)n;
}
