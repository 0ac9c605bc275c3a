/*
 * NETLINK_SOCK_DIAG (sock_diag(7)): what sockets there are, for ss. One request, by family: TCP, UDP
 * and raw sockets of AF_INET and AF_INET6, and AF_UNIX. A dump goes through the same tables as
 * /proc/net; of TCP's it remembers the bucket, so that 100,000 connections take one pass in all. Asked
 * for one socket by its addresses, it answers with that or ENOENT.
 *
 * A filter in the request (INET_DIAG_REQ_BYTECODE) is not run: ss looks at each answer itself.
 */
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "net/inet_priv.h"
#include "net/netlink.h"
#include "net/tcp_conn.h"
#include "net/unix.h"

enum { SOCK_DIAG_BY_FAMILY = 20, NO_COOKIE = 0xffffffff };
enum { STATE_CONNECTED = 1, STATE_CLOSE = 7, STATE_LISTEN = 10 };

/* ---- Linux's include/uapi/linux/inet_diag.h */

struct inet_diag_id {
	be16 local_port, peer_port;
	uint8_t local[16], peer[16]; /* of IPv4 the first four bytes */
	uint32_t ifindex;
	uint32_t cookie[2];
};

struct inet_diag_req {
	uint8_t family, protocol, extensions, pad;
	uint32_t states; /* bit TCP_* */
	struct inet_diag_id id;
};

struct inet_diag_msg {
	uint8_t family, state, timer, retransmits;
	struct inet_diag_id id;
	uint32_t expires_ms, rx_queue, tx_queue, uid, ino;
};

static_assert(sizeof(struct inet_diag_req) == 56, "Linux's inet_diag_req_v2");
static_assert(sizeof(struct inet_diag_msg) == 72, "Linux's inet_diag_msg");

enum inet_diag_attr {
	INET_DIAG_MEMINFO = 1,
	INET_DIAG_INFO = 2,
	INET_DIAG_CONG = 4,
	INET_DIAG_TOS = 5,
	INET_DIAG_TCLASS = 6,
	INET_DIAG_SKMEMINFO = 7,
	INET_DIAG_SHUTDOWN = 8,
	INET_DIAG_SKV6ONLY = 11,
};

/* ---- Linux's include/uapi/linux/unix_diag.h */

struct unix_diag_req {
	uint8_t family, protocol;
	uint16_t pad;
	uint32_t states, ino, show;
	uint32_t cookie[2];
};

struct unix_diag_msg {
	uint8_t family, type, state, pad;
	uint32_t ino;
	uint32_t cookie[2];
};

static_assert(sizeof(struct unix_diag_req) == 24, "Linux's layout");
static_assert(sizeof(struct unix_diag_msg) == 16, "Linux's layout");

enum unix_diag_show { SHOW_NAME = 1, SHOW_PEER = 4, SHOW_RQLEN = 16, SHOW_UID = 64 };
enum unix_diag_attr {
	UNIX_DIAG_NAME = 0,
	UNIX_DIAG_PEER = 2,
	UNIX_DIAG_RQLEN = 4,
	UNIX_DIAG_SHUTDOWN = 6,
	UNIX_DIAG_UID = 7,
};

/* One walk over a table. */
struct walk {
	struct nl_dump *d; /* NULL: looking for one socket, `only` */
	struct nl_out *out;
	const struct inet_diag_req *req;
	const struct unix_diag_req *unix_req;
	bool is_full;
	bool is_found;
};

/* ---- One inet socket ---------------------------------------------------------------------- */

/* What all kinds of entries have. */
struct subject {
	const struct ip_addr *local, *peer;
	uint16_t local_port, peer_port, family;
	uint32_t ifindex;
	uint8_t state;
	uint64_t cookie; /* 0: it has none */
};

static void
put_ip(uint8_t to[16], const struct ip_addr *a, uint16_t family)
{
	if (family == AF_INET)
		memcpy(to, a->v4.b, 4);
	else
		memcpy(to, a->b, 16);
}

static void
fill_id(struct inet_diag_id *id, const struct subject *s)
{
	id->local_port = be16_of(s->local_port);
	id->peer_port = be16_of(s->peer_port);
	put_ip(id->local, s->local, s->family);
	put_ip(id->peer, s->peer, s->family);
	id->ifindex = s->ifindex;
	id->cookie[0] = (uint32_t)s->cookie;
	id->cookie[1] = (uint32_t)(s->cookie >> 32);
}

/* Whether the request asks for it, and it was not given out yet. */
static bool
is_wanted(struct walk *w, const struct subject *s)
{
	const struct inet_diag_req *req = w->req;
	struct inet_diag_id id = {.ifindex = 0};

	if (w->is_full || w->is_found)
		return false;
	if (w->d)
		return nl_dump_wants(w->d) && s->family == req->family &&
		       req->states >> s->state & 1;
	fill_id(&id, s);
	if (s->family != req->family ||
	    memcmp(&id, &req->id, offsetof(struct inet_diag_id, ifindex)) != 0)
		return false;
	return (req->id.cookie[0] == NO_COOKIE && req->id.cookie[1] == NO_COOKIE) ||
	       !memcmp(id.cookie, req->id.cookie, sizeof(id.cookie));
}

static struct inet_diag_msg *
begin(struct walk *w, const struct subject *s)
{
	struct inet_diag_msg *m = nl_begin(w->out, SOCK_DIAG_BY_FAMILY, sizeof(*m));

	if (!m)
		return NULL;
	m->family = (uint8_t)s->family;
	m->state = s->state;
	fill_id(&m->id, s);
	return m;
}

static void
end(struct walk *w)
{
	if (w->d)
		w->is_full = !nl_dump_put(w->d, w->out);
	else
		w->is_found = nl_end(w->out);
}

static bool
wants(const struct walk *w, enum inet_diag_attr ext)
{
	return w->req->extensions >> (ext - 1) & 1;
}

/* What a socket of any protocol has; `rx` and `tx`: bytes of memory queued. */
static void
put_common(struct walk *w, const struct inet_sock *is)
{
	const struct sock *s = &is->sock;
	/* struct inet_diag_meminfo: rmem, wmem, fmem, tmem; and the nine SK_MEMINFO_*. */
	const uint32_t mem[] = {s->rx_bytes, s->tx_bytes, 0, s->tx_bytes};
	const uint32_t sk_mem[] = {s->rx_bytes, s->rcvbuf, s->tx_bytes, s->sndbuf, 0,
	    s->tx_bytes, 0, 0, (uint32_t)s->drops};

	nl_put_u8(w->out, INET_DIAG_SHUTDOWN, s->shutdown);
	if (wants(w, INET_DIAG_TOS) && s->family == AF_INET)
		nl_put_u8(w->out, INET_DIAG_TOS, is->tos);
	if (s->family == AF_INET6) {
		if (wants(w, INET_DIAG_TCLASS))
			nl_put_u8(w->out, INET_DIAG_TCLASS, is->tclass6);
		nl_put_u8(w->out, INET_DIAG_SKV6ONLY,
		    is->is_v6only || !ip_is_unspecified(&is->local));
	}
	if (wants(w, INET_DIAG_MEMINFO))
		nl_put(w->out, INET_DIAG_MEMINFO, mem, sizeof(mem));
	if (wants(w, INET_DIAG_SKMEMINFO))
		nl_put(w->out, INET_DIAG_SKMEMINFO, sk_mem, sizeof(sk_mem));
}

static struct subject
subject_of(const struct inet_sock *is, uint8_t state)
{
	return (struct subject){
	    .local = &is->local,
	    .peer = &is->peer,
	    .local_port = is->local_port,
	    .peer_port = is->peer_port,
	    .family = is->sock.family,
	    .ifindex = is->sock.bound_if,
	    .state = state,
	    .cookie = is->sock.ino,
	};
}

/* ---- TCP ------------------------------------------------------------------------------------ */

static uint32_t
ms_until(nsec_t when)
{
	nsec_t now = clock_now_ns();

	return when <= now ? 0 : (uint32_t)((when - now) / NSEC_PER_MSEC);
}

static void
give_tcp_sock(struct tcp_sock *ts, void *arg)
{
	enum { INFO_SIZE = 256 };
	struct walk *w = arg;
	struct subject subject = subject_of(&ts->inet, tcp_state(ts));
	struct inet_diag_msg *m;
	struct tcp_summary sum;
	uint64_t info[INFO_SIZE / sizeof(uint64_t)];

	if (!is_wanted(w, &subject))
		return;
	tcp_summarize(ts, &sum);
	m = begin(w, &subject);
	if (m) {
		m->timer = sum.timer;
		m->retransmits = sum.timer == 4 ? sum.info.probes : sum.info.retransmits;
		m->expires_ms = ms_until(sum.expires_ns);
		m->rx_queue = sum.rx_queue;
		m->tx_queue =
		    subject.state == TCP_LISTEN ? ts->listener->backlog : sum.tx_queue;
		m->uid = ts->inet.sock.attr.uid;
		m->ino = (uint32_t)sum.ino;
		put_common(w, &ts->inet);
		if (wants(w, INET_DIAG_INFO))
			nl_put(w->out, INET_DIAG_INFO, info,
			    tcp_get_info(ts, info, sizeof(info)));
		if (wants(w, INET_DIAG_CONG))
			nl_put_string(w->out, INET_DIAG_CONG,
			    tcp_cc_name(ts->user.cc ? ts->user.cc : tcp_set.cc));
	}
	end(w);
}

/* A request or a TIME-WAIT: what is left of a socket, or will be one. */
static void
give_small(struct walk *w, const struct tcp_entry *e, uint8_t state, uint8_t timer,
    nsec_t expires, uint8_t retries)
{
	const struct subject subject = {
	    .local = &e->key.local,
	    .peer = &e->key.peer,
	    .local_port = e->key.local_port,
	    .peer_port = e->key.peer_port,
	    .family = e->is_v6 ? AF_INET6 : AF_INET,
	    .state = state,
	};
	struct inet_diag_msg *m;

	if (!is_wanted(w, &subject))
		return;
	m = begin(w, &subject);
	if (m) {
		m->timer = timer;
		m->retransmits = retries;
		m->expires_ms = ms_until(expires);
	}
	end(w);
}

/* Always false: a bucket at a time. */
static bool
give_entry(struct tcp_entry *e, void *arg)
{
	struct tcp_request *rq;

	switch ((enum tcp_kind)e->kind) {
	case TCP_KIND_SOCK:
		give_tcp_sock(container_of(e, struct tcp_sock, entry), arg);
		break;
	case TCP_KIND_REQUEST:
		rq = container_of(e, struct tcp_request, entry);
		give_small(arg, e, TCP_SYN_RECV, 1, rq->timer.expires_ns, rq->retries);
		break;
	case TCP_KIND_TIMEWAIT:
		give_small(arg, e, TCP_TIME_WAIT, 3,
		    container_of(e, struct tcp_timewait, entry)->tw.expires, 0);
		break;
	}
	return false;
}

/* place 0: listeners; from 1 on, bucket place - 1 and those after it. */
static bool
walk_tcp(struct walk *w, uint32_t place)
{
	struct nl_dump *d = w->d;

	if (place == 0) {
		tcp_listener_for_each(give_tcp_sock, w);
		if (w->is_full)
			return false;
		place = 1;
	}
	do {
		uint32_t next;

		if (d && d->place != place) {
			d->place = place;
			d->done = d->index = 0;
		}
		next = tcp_for_each(place - 1, give_entry, w);
		if (w->is_full)
			return false;
		place = next + 1;
	} while (place > 1 && !w->is_found);
	return true;
}

/* ---- UDP and raw ------------------------------------------------------------------------------- */

static void
give_datagram_sock(struct inet_sock *is, void *arg)
{
	struct walk *w = arg;
	const struct subject subject =
	    subject_of(is, is->is_connected ? STATE_CONNECTED : STATE_CLOSE);
	struct inet_diag_msg *m;

	if (!is_wanted(w, &subject))
		return;
	m = begin(w, &subject);
	if (m) {
		m->rx_queue = is->sock.rx_bytes;
		m->tx_queue = is->sock.tx_bytes;
		m->uid = is->sock.attr.uid;
		m->ino = (uint32_t)is->sock.ino;
		put_common(w, is);
	}
	end(w);
}

static bool
walk_inet(struct walk *w)
{
	switch (w->req->protocol) {
	case IP_PROTO_TCP: return walk_tcp(w, w->d ? w->d->place : 0);
	case IP_PROTO_UDP: inet_ports_for_each(&udp_ports, give_datagram_sock, w); break;
	default: raw_for_each(give_datagram_sock, w); break;
	}
	return !w->is_full;
}

/* ---- AF_UNIX -------------------------------------------------------------------------------------- */

static uint8_t
unix_state(const struct unix_sock *u)
{
	switch ((enum unix_state)u->state) {
	case UNIX_LISTENING: return STATE_LISTEN;
	case UNIX_CONNECTED: return STATE_CONNECTED;
	default: return STATE_CLOSE;
	}
}

static void
put_unix_attrs(struct walk *w, struct unix_sock *u)
{
	const struct unix_addr *a = __atomic_load_n(&u->addr, __ATOMIC_ACQUIRE);
	uint32_t show = w->unix_req->show, queues[2] = {0, 0};
	struct sock *peer = show & SHOW_PEER ? unix_peer_get(u) : NULL;

	if (show & SHOW_NAME && a)
		nl_put(w->out, UNIX_DIAG_NAME, a->path,
		    a->path[0] ? strlen(a->path) : a->len - UNIX_PATH_AT);
	if (peer) {
		nl_put_u32(w->out, UNIX_DIAG_PEER, (uint32_t)peer->ino);
		sock_put(peer);
	}
	if (show & SHOW_RQLEN) {
		bool listens = u->state == UNIX_LISTENING;

		queues[0] = listens ? u->num_queued : u->sock.rx_bytes;
		queues[1] = listens ? u->backlog : u->sock.tx_bytes;
		nl_put(w->out, UNIX_DIAG_RQLEN, queues, sizeof(queues));
	}
	if (show & SHOW_UID)
		nl_put_u32(w->out, UNIX_DIAG_UID, u->sock.attr.uid);
	nl_put_u8(w->out, UNIX_DIAG_SHUTDOWN, u->sock.shutdown);
}

static void
give_unix(struct unix_sock *u, void *arg)
{
	struct walk *w = arg;
	const struct unix_diag_req *req = w->unix_req;
	uint8_t state = unix_state(u);
	struct unix_diag_msg *m;

	if (w->is_full || w->is_found)
		return;
	if (w->d ? !nl_dump_wants(w->d) || !(req->states >> state & 1)
	         : (uint32_t)u->sock.ino != req->ino)
		return;
	m = nl_begin(w->out, SOCK_DIAG_BY_FAMILY, sizeof(*m));
	if (m) {
		m->family = AF_UNIX;
		m->type = (uint8_t)u->sock.type;
		m->state = state;
		m->ino = (uint32_t)u->sock.ino;
		m->cookie[0] = (uint32_t)u->sock.ino;
		m->cookie[1] = (uint32_t)(u->sock.ino >> 32);
		put_unix_attrs(w, u);
	}
	end(w);
}

/* ---- Requests -------------------------------------------------------------------------------------- */

/* Long enough, of a family and protocol that is told of. */
static enum err
check(const void *body, size_t len)
{
	const struct inet_diag_req *req = body;

	if (len < 2)
		return ERR_INVAL;
	if (req->family == AF_UNIX)
		return len < sizeof(struct unix_diag_req) ? ERR_INVAL : OK;
	if (req->family != AF_INET && req->family != AF_INET6)
		return ERR_NOENT;
	if (len < sizeof(*req))
		return ERR_INVAL;
	return req->protocol == IP_PROTO_TCP || req->protocol == IP_PROTO_UDP ||
	               req->protocol == IP_PROTO_RAW
	           ? OK
	           : ERR_NOENT;
}

static bool
walk(struct walk *w)
{
	if (w->req->family != AF_UNIX)
		return walk_inet(w);
	unix_for_each(give_unix, w);
	return !w->is_full;
}

static bool
dump(struct nl_dump *d, struct nl_out *out)
{
	struct walk w = {
	    .d = d,
	    .out = out,
	    .req = (const struct inet_diag_req *)d->request,
	    .unix_req = (const struct unix_diag_req *)d->request,
	};

	return walk(&w);
}

static enum err
get(struct nl_request *q)
{
	struct walk w = {.out = q->out, .req = q->body, .unix_req = q->body};
	enum err err = check(q->body, q->header->len - sizeof(*q->header));

	if (err != OK)
		return err;
	(void)walk(&w); /* what counts is whether it was found */
	return w.is_found ? OK : ERR_NOENT;
}

void
sock_diag_init(void)
{
	static const struct rtnl_handler handler = {
	    .handle = get, .check = check, .dump = dump};

	sock_diag_register(&handler);
}
