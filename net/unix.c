/* AF_UNIX, the family: see net/unix.h for how it works and where the rest is. */
#include "net/unix.h"

#include "kernel/fcntl.h"
#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

enum {
	DGRAM_QLEN = 10, /* net.unix.max_dgram_qlen at first */
	SIOCINQ = 0x541b,
	SIOCOUTQ = 0x5411,
	SIOCATMARK = 0x8905,
	POLL_STATE = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLWRBAND | POLLHUP |
	             POLLRDHUP, /* shutdown may change all of these */
};

static uint32_t max_dgram_qlen = DGRAM_QLEN; /* [a] */
static struct spinlock all_lock = SPINLOCK_INIT("unix sockets", RANK_NET_TABLE);
static struct list all_socks = LIST_INIT(all_socks); /* [all_lock, R] */
static struct slab_cache *cache;

static const struct sock_ops stream_ops, dgram_ops, seqpacket_ops;

/* ---- Life ----------------------------------------------------------------------------------- */

struct unix_sock *
unix_alloc(int type)
{
	const struct sock_ops *ops = type == SOCK_STREAM  ? &stream_ops
	                             : type == SOCK_DGRAM ? &dgram_ops
	                                                  : &seqpacket_ops;
	struct unix_sock *u = slab_zalloc(cache);

	if (!u)
		return NULL;
	sock_init(&u->sock, ops, AF_UNIX, type, 0);
	u->backlog = __atomic_load_n(&max_dgram_qlen, __ATOMIC_RELAXED);
	list_init(&u->embryos);
	list_init(&u->embryo_link);
	list_init(&u->room_watchers);
	list_init(&u->room_link);
	list_init(&u->name_link);
	list_init(&u->gc.link);
	wait_queue_init(&u->room_wait);
	spin_lock(&all_lock);
	rcu_list_push_back(&all_socks, &u->all_link);
	spin_unlock(&all_lock);
	return u;
}

static enum err
unix_create(int family, int type, int proto, struct sock **out)
{
	struct unix_sock *u;

	if (proto && proto != AF_UNIX)
		return ERR_PROTONOSUPPORT;
	if (type == SOCK_RAW)
		type = SOCK_DGRAM;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return ERR_SOCKTNOSUPPORT;
	u = unix_alloc(type);
	if (!u)
		return ERR_NOMEM;
	*out = &u->sock;
	return OK;
}

static void
unix_destroy(struct sock *sk)
{
	struct unix_sock *u = unix_of(sk);

	if (u->addr)
		unix_addr_put(u->addr);
	slab_free(cache, u);
}

/* What a socket leaves behind when it dies; the lock is released. */
struct estate {
	struct sock *peer;
	struct unix_msg *msgs;
	struct list embryos;
	bool was_embryo;
};

static void
die(struct unix_sock *u, struct estate *e)
{
	list_init(&e->embryos);
	spin_lock(&u->sock.lock);
	u->is_dead = true;
	u->sock.shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
	e->peer = u->peer;
	e->msgs = u->first;
	e->was_embryo = u->is_embryo;
	list_splice_back(&e->embryos, &u->embryos);
	u->peer = NULL;
	u->first = u->last = u->oob = NULL;
	u->num_queued = 0;
	u->sock.rx_bytes = 0;
	u->state = UNIX_CLOSED;
	spin_unlock(&u->sock.lock);
}

/* The peer of a connection learns that it is over; what nobody read makes it a reset. */
static void
end_connection(struct sock *peer, bool is_reset)
{
	spin_lock(&peer->lock);
	peer->shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
	if (is_reset)
		__atomic_store_n(&peer->error, ERR_CONNRESET, __ATOMIC_RELAXED);
	spin_unlock(&peer->lock);
	sock_wake(peer, POLL_STATE | (is_reset ? POLLERR : 0));
}

static void
unix_close(struct sock *sk)
{
	struct unix_sock *u = unix_of(sk);
	struct estate e;
	struct list *link;

	unix_unname(u);
	spin_lock(&all_lock);
	rcu_list_remove(&u->all_link);
	spin_unlock(&all_lock);
	die(u, &e);
	unix_unwatch_room(u);
	wait_queue_wake_all(&u->room_wait);
	unix_wake_room(u);
	if (e.peer) {
		if (unix_is_stream_like(sk))
			end_connection(e.peer, e.msgs || e.was_embryo);
		sock_put(e.peer);
	}
	while ((link = list_pop_front(&e.embryos))) {
		struct unix_sock *child = list_entry(link, struct unix_sock, embryo_link);

		unix_close(&child->sock);
		sock_put(&child->sock);
	}
	unix_msgs_free(e.msgs);
	unix_gc_kick();
}

struct sock *
unix_peer_get(struct unix_sock *u)
{
	struct sock *peer;

	spin_lock(&u->sock.lock);
	peer = u->peer ? sock_get(u->peer) : NULL;
	spin_unlock(&u->sock.lock);
	return peer;
}

/* ---- Room to send ------------------------------------------------------------------------------ */

static uint32_t
bytes_under_way(const struct unix_sock *u)
{
	const struct sock *peer;

	if (u->sock.type == SOCK_DGRAM)
		return __atomic_load_n(&u->sock.tx_bytes, __ATOMIC_RELAXED);
	peer = __atomic_load_n(&u->peer, __ATOMIC_ACQUIRE);
	return peer ? __atomic_load_n(&peer->rx_bytes, __ATOMIC_RELAXED) : 0;
}

static bool
is_below(struct unix_sock *u, uint32_t limit)
{
	if (bytes_under_way(u) <= limit)
		return true;
	/* First the wish, then another look: unix_give_room does it the other way round. */
	__atomic_store_n(&u->wants_room, true, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return bytes_under_way(u) <= limit;
}

bool
unix_has_room(struct unix_sock *u)
{
	return is_below(u, u->sock.sndbuf - 1);
}

enum err
unix_wait_room(struct unix_sock *u, const struct sock_msg *msg)
{
	struct sock *sk = &u->sock;

	for (;;) {
		enum err err = sock_take_error(sk);

		if (err != OK)
			return err;
		if (__atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED) & SOCK_NO_SEND)
			return ERR_PIPE;
		if (unix_has_room(u))
			return OK;
		err = sock_wait(sk,
		    unix_has_room(u) ||
		        __atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK ||
		        (__atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED) & SOCK_NO_SEND),
		    msg->deadline_ns, msg->flags & MSG_DONTWAIT);
		if (err != OK)
			return err;
	}
}

bool
unix_is_writable(struct unix_sock *u)
{
	return is_below(u, u->sock.sndbuf / 4);
}

void
unix_give_room(struct sock *sender)
{
	struct unix_sock *u = unix_of(sender);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&u->wants_room, __ATOMIC_RELAXED) ||
	    bytes_under_way(u) > sender->sndbuf / 4)
		return;
	__atomic_store_n(&u->wants_room, false, __ATOMIC_SEQ_CST);
	sock_wake(sender, POLL_WRITABLE);
}

bool
unix_is_full(const struct unix_sock *u)
{
	return __atomic_load_n(&u->num_queued, __ATOMIC_RELAXED) > u->backlog;
}

/* 1: it watches; 0: no need to; -1: it is in another's list still. Both locks held. */
static int
watch_locked(struct unix_sock *u, struct unix_sock *other)
{
	if (u->peer != &other->sock || other->is_dead || !unix_is_full(other))
		return 0;
	if (u->room_of == other)
		return 1;
	if (u->room_of)
		return -1;
	list_push_back(&other->room_watchers, &u->room_link);
	__atomic_store_n(&u->room_of, other, __ATOMIC_RELAXED);
	return 1;
}

bool
unix_watch_room(struct unix_sock *u, struct unix_sock *other)
{
	for (;;) {
		int result;

		spin_lock_pair(&u->sock.lock, &other->sock.lock);
		result = watch_locked(u, other);
		spin_unlock_pair(&u->sock.lock, &other->sock.lock);
		if (result >= 0)
			return result;
		unix_unwatch_room(u);
	}
}

void
unix_unwatch_room(struct unix_sock *u)
{
	struct unix_sock *other;

	rcu_read_lock();
	other = __atomic_load_n(&u->room_of, __ATOMIC_ACQUIRE);
	if (other) {
		spin_lock(&other->sock.lock);
		if (u->room_of == other) {
			list_remove(&u->room_link);
			u->room_of = NULL;
		}
		spin_unlock(&other->sock.lock);
	}
	rcu_read_unlock();
}

/* Who watches leaves the list before it is closed for good, so it is alive while in it. */
static struct unix_sock *
pop_watcher(struct unix_sock *u)
{
	struct unix_sock *w = NULL;
	struct list *link;

	spin_lock(&u->sock.lock);
	link = list_pop_front(&u->room_watchers);
	if (link) {
		w = list_entry(link, struct unix_sock, room_link);
		(void)sock_get(&w->sock);
		__atomic_store_n(&w->room_of, NULL, __ATOMIC_RELEASE);
	}
	spin_unlock(&u->sock.lock);
	return w;
}

void
unix_wake_room(struct unix_sock *u)
{
	struct unix_sock *w;

	while ((w = pop_watcher(u))) {
		sock_wake(&w->sock, POLL_WRITABLE);
		sock_put(&w->sock);
	}
}

/* ---- Poll --------------------------------------------------------------------------------------- */

static uint32_t
poll_common(struct unix_sock *u)
{
	const struct sock *sk = &u->sock;
	uint8_t down = __atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED);
	uint32_t events = 0;

	if (__atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK)
		events |= POLLERR;
	if (down == (SOCK_NO_RECV | SOCK_NO_SEND))
		events |= POLLHUP;
	if (down & SOCK_NO_RECV)
		events |= POLLRDHUP | POLL_READABLE;
	if (__atomic_load_n(&u->num_queued, __ATOMIC_RELAXED))
		events |= POLL_READABLE;
	if (unix_is_stream_like(sk) && u->state == UNIX_CLOSED)
		events |= POLLHUP;
	return events;
}

static uint32_t
unix_stream_poll(struct sock *sk)
{
	struct unix_sock *u = unix_of(sk);
	uint32_t events = poll_common(u);

	if (__atomic_load_n(&u->oob, __ATOMIC_RELAXED))
		events |= POLLPRI;
	if (u->state != UNIX_LISTENING && unix_is_writable(u))
		events |= POLL_WRITABLE;
	return events;
}

/* Not writable either while the peer, which is connected to somebody else, takes no more. */
static uint32_t
unix_dgram_poll(struct sock *sk)
{
	struct unix_sock *u = unix_of(sk);
	uint32_t events = poll_common(u);
	bool is_blocked = false;
	struct sock *peer;

	if (u->state == UNIX_LISTENING || !unix_is_writable(u))
		return events;
	peer = unix_peer_get(u);
	if (peer) {
		struct unix_sock *other = unix_of(peer);

		is_blocked = __atomic_load_n(&other->peer, __ATOMIC_RELAXED) != sk &&
		             unix_is_full(other) && unix_watch_room(u, other);
		sock_put(peer);
	}
	return is_blocked ? events : events | POLL_WRITABLE;
}

/* ---- The other operations -------------------------------------------------------------------- */

static enum err
unix_shutdown(struct sock *sk, int how)
{
	uint8_t bits = (uint8_t)(how + 1),
	        mirrored = (uint8_t)((bits & 1) << 1 | bits >> 1);
	struct sock *peer;

	spin_lock(&sk->lock);
	sk->shutdown |= bits;
	spin_unlock(&sk->lock);
	sock_wake(sk, POLL_STATE);
	wait_queue_wake_all(&unix_of(sk)->room_wait);
	peer = unix_is_stream_like(sk) ? unix_peer_get(unix_of(sk)) : NULL;
	if (!peer)
		return OK;
	spin_lock(&peer->lock);
	peer->shutdown |= mirrored;
	spin_unlock(&peer->lock);
	sock_wake(peer, POLL_STATE);
	sock_put(peer);
	return OK;
}

static enum err
unix_getname(struct sock *sk, struct sock_addr *out, bool is_peer)
{
	struct sock *who = is_peer ? unix_peer_get(unix_of(sk)) : sock_get(sk);

	if (!who)
		return ERR_NOTCONN;
	out->family = AF_UNIX;
	out->len = sizeof(out->family);
	unix_tell_addr(unix_of(who), out);
	sock_put(who);
	return OK;
}

/* Bytes to be read: of the first datagram, of a connection all. */
static long
bytes_queued(struct unix_sock *u)
{
	long n = 0;

	spin_lock(&u->sock.lock);
	for (const struct unix_msg *m = u->first; m; m = m->next) {
		n += m->len - m->read;
		if (u->sock.type == SOCK_DGRAM)
			break;
	}
	spin_unlock(&u->sock.lock);
	return n;
}

/* Whether the next byte to be read is the urgent one. */
static bool
is_at_mark(struct unix_sock *u)
{
	bool is_at;

	spin_lock(&u->sock.lock);
	is_at = u->oob && u->oob == u->first;
	spin_unlock(&u->sock.lock);
	return is_at;
}

static long
unix_ioctl(struct sock *sk, unsigned cmd, uintptr_t arg)
{
	struct unix_sock *u = unix_of(sk);
	int32_t n;

	switch (cmd) {
	case SIOCINQ:
		if (u->state == UNIX_LISTENING)
			return ERR_INVAL;
		n = (int32_t)bytes_queued(u);
		break;
	case SIOCOUTQ: n = (int32_t)bytes_under_way(u); break;
	case SIOCATMARK:
		if (sk->type != SOCK_STREAM)
			return ERR_NOTTY;
		n = is_at_mark(u);
		break;
	default: return ERR_NOTTY;
	}
	return put_user(n, (int32_t USER *)arg);
}

static const struct sock_ops stream_ops = {
    .name = "UNIX-STREAM",
    .has_peek_off = true,
    .bind = unix_bind,
    .connect = unix_stream_connect,
    .pair = unix_pair,
    .listen = unix_listen,
    .accept = unix_accept,
    .send = unix_stream_send,
    .recv = unix_stream_recv,
    .send_page = unix_stream_send_page,
    .poll = unix_stream_poll,
    .shutdown = unix_shutdown,
    .close = unix_close,
    .getname = unix_getname,
    .ioctl = unix_ioctl,
    .destroy = unix_destroy,
};

static const struct sock_ops dgram_ops = {
    .name = "UNIX",
    .has_peek_off = true,
    .bind = unix_bind,
    .connect = unix_dgram_connect,
    .pair = unix_pair,
    .listen = unix_listen,
    .accept = unix_accept,
    .send = unix_dgram_send,
    .recv = unix_dgram_recv,
    .poll = unix_dgram_poll,
    .shutdown = unix_shutdown,
    .close = unix_close,
    .getname = unix_getname,
    .ioctl = unix_ioctl,
    .destroy = unix_destroy,
};

static const struct sock_ops seqpacket_ops = {
    .name = "UNIX-SEQPACKET",
    .has_peek_off = true,
    .bind = unix_bind,
    .connect = unix_stream_connect,
    .pair = unix_pair,
    .listen = unix_listen,
    .accept = unix_accept,
    .send = unix_seqpacket_send,
    .recv = unix_seqpacket_recv,
    .poll = unix_dgram_poll,
    .shutdown = unix_shutdown,
    .close = unix_close,
    .getname = unix_getname,
    .ioctl = unix_ioctl,
    .destroy = unix_destroy,
};

/* ---- /proc -------------------------------------------------------------------------------------- */

/* Linux's SS_* of a socket. */
static unsigned
state_shown(const struct unix_sock *u)
{
	enum { SS_UNCONNECTED = 1, SS_CONNECTING = 2, SS_CONNECTED = 3 };

	if (u->state != UNIX_CONNECTED || u->sock.type == SOCK_DGRAM)
		return SS_UNCONNECTED;
	return u->is_embryo ? SS_CONNECTING : SS_CONNECTED;
}

static void
show_name(struct seq *q, const struct unix_addr *a)
{
	seq_putc(q, ' ');
	if (a->path[0]) {
		seq_puts(q, a->path);
		return;
	}
	for (uint32_t i = 0; i < a->len - UNIX_PATH_AT; i++)
		seq_putc(q, a->path[i] ? a->path[i] : '@');
}

static void
show_sockets(struct seq *q)
{
	enum { ACCEPTS = 1 << 16 };
	const struct unix_sock *u;

	seq_puts(q, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	rcu_read_lock();
	rcu_list_for_each(u, &all_socks, all_link)
	{
		const struct unix_addr *a = __atomic_load_n(&u->addr, __ATOMIC_ACQUIRE);

		seq_printf(q, "%016x: %08X %08X %08X %04X %02X %5lu", 0,
		    __atomic_load_n(&u->sock.refs, __ATOMIC_RELAXED) + 1, 0,
		    u->state == UNIX_LISTENING ? ACCEPTS : 0, u->sock.type,
		    state_shown(u), u->sock.ino);
		if (a)
			show_name(q, a);
		seq_putc(q, '\n');
	}
	rcu_read_unlock();
}

void
unix_for_each(void (*fn)(struct unix_sock *, void *arg), void *arg)
{
	struct unix_sock *u;

	rcu_read_lock();
	rcu_list_for_each(u, &all_socks, all_link) fn(u, arg);
	rcu_read_unlock();
}

static void
show_qlen(struct seq *q)
{
	seq_printf(q, "%u\n", __atomic_load_n(&max_dgram_qlen, __ATOMIC_RELAXED));
}

static enum err
store_qlen(const char *text)
{
	uint32_t n;

	if (!sock_parse_numbers(text, &n, 1) || n > INT32_MAX)
		return ERR_INVAL;
	__atomic_store_n(&max_dgram_qlen, n, __ATOMIC_RELAXED);
	return OK;
}

void
unix_init(void)
{
	cache = slab_cache_create("unix_sock", sizeof(struct unix_sock), 0);
	if (!cache)
		panic("unix: no memory for the cache of sockets");
	unix_name_init();
	unix_gc_init();
	sock_register_family(AF_UNIX, unix_create);
	/* No memory: they are not shown. */
	(void)proc_register("net/unix", show_sockets);
	(void)proc_register_rw("sys/net/unix/max_dgram_qlen", show_qlen, store_qlen);
}
