/*
 * send(): the user's bytes are copied into pages first, without a lock that others wait for, then
 * given to the send buffer and the core under the spinlock, 64 KiB at a time, so that the first
 * segments leave while the next bytes are copied. Writers of one socket take turns (send_lock).
 */
#include "kernel/time/clock.h"
#include "mm/page.h"
#include "mm/uio.h"
#include "net/tcp_conn.h"

enum {
	BATCH = 64 << 10, /* bytes given to the core at a time */
	BATCH_CHUNKS = 12,
};

bool
tcp_is_writable(const struct tcp_sock *ts)
{
	uint32_t used = ts->snd.len, size = ts->inet.sock.sndbuf;
	uint32_t low =
	    ts->user.notsent_lowat ? ts->user.notsent_lowat : tcp_set.notsent_lowat;

	/* As Linux: a third must be free, so that a writer is not woken for a few bytes. */
	if (size <= used || size - used < used / 2)
		return false;
	return !ts->is_live || tcp_core_unsent(&ts->tcb) < low;
}

void
tcp_want_room(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;

	spin_lock(&s->lock);
	ts->is_full = true;
	spin_unlock(&s->lock);
}

static bool
is_connected(uint8_t state)
{
	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

static bool
is_connecting(uint8_t state)
{
	return state == TCP_SYN_SENT || state == TCP_SYN_RECV;
}

/* May bytes be added now? OK, ERR_AGAIN: not yet, or why never. [send_lock] */
static enum err
may_send(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	uint8_t state = tcp_state(ts);
	enum err err = sock_take_error(s);

	if (err != OK)
		return err;
	if (s->shutdown & SOCK_NO_SEND)
		return ERR_PIPE;
	if (is_connecting(state))
		return ERR_AGAIN;
	return is_connected(state) ? OK : ERR_PIPE;
}

static uint32_t
room_left(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;
	uint32_t used = ts->snd.len, low;

	low = ts->user.notsent_lowat ? ts->user.notsent_lowat : tcp_set.notsent_lowat;
	if (used >= s->sndbuf || (used && tcp_mem_is_out()))
		return 0;
	if (used && tcp_core_unsent(&ts->tcb) >= low)
		return 0;
	return s->sndbuf - used;
}

static bool
is_changed(struct tcp_sock *ts)
{
	struct sock *s = &ts->inet.sock;

	if (s->error != OK || (s->shutdown & SOCK_NO_SEND))
		return true;
	return is_connected(tcp_state(ts)) ? tcp_is_writable(ts)
	                                   : !is_connecting(tcp_state(ts));
}

/* Waits until more may be sent. [send_lock] */
static enum err
wait_for_room(struct tcp_sock *ts, const struct sock_msg *msg)
{
	struct sock *s = &ts->inet.sock;

	tcp_want_room(ts);
	return sock_wait(s, is_changed(ts), msg->deadline_ns, msg->flags & MSG_DONTWAIT);
}

/* Copies up to `want` bytes into pieces. The number of bytes, or ERR_FAULT, ERR_NOMEM (0 copied). */
static long
copy_in(struct uio *u, uint32_t want, struct tcp_chunk *chunks, unsigned *num)
{
	uint32_t total = 0;

	for (*num = 0; total < want && *num < BATCH_CHUNKS;) {
		struct tcp_chunk *c = &chunks[*num];
		size_t n;

		if (!tcp_frag_take(want - total, c))
			return total ? (long)total : ERR_NOMEM;
		n = uio_copy_from(u, (uint8_t *)page_to_virt(c->page) + c->off, c->len);
		if (!n)
			page_put(c->page);
		else
			(*num)++;
		total += (uint32_t)n;
		if (n < c->len) {
			c->len = (uint32_t)n;
			return total ? (long)total : ERR_FAULT;
		}
	}
	return total;
}

static void
put_chunks(struct tcp_chunk *chunks, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		page_put(chunks[i].page);
}

struct sending {
	bool more;      /* the user will add to it soon */
	bool is_urgent; /* the last byte is */
};

/* Gives pieces to the buffer and the core. OK, or the pieces are still the caller's. */
static enum err
commit(struct tcp_sock *ts, struct tcp_chunk *chunks, unsigned num,
    const struct sending *how)
{
	struct sock *s = &ts->inet.sock;
	uint32_t len = 0;
	enum err err = OK;
	nsec_t now;

	net_burst_begin();
	spin_lock(&s->lock);
	if (!is_connected(tcp_state(ts)) || (s->shutdown & SOCK_NO_SEND))
		err = ERR_PIPE;
	else if (!tcp_sndbuf_reserve(&ts->snd, num))
		err = ERR_NOMEM;
	for (unsigned i = 0; i < num && err == OK; i++) {
		len += chunks[i].len;
		tcp_sndbuf_add(&ts->snd, chunks[i].page, chunks[i].off, chunks[i].len);
	}
	if (err == OK) {
		now = clock_now_ns();
		tcp_core_send(&ts->tcb, len, how->more, now);
		if (how->is_urgent)
			tcp_core_send_urgent(&ts->tcb);
		tcp_conn_push(ts, now);
	}
	spin_unlock(&s->lock);
	net_burst_end();
	return err;
}

/* One batch: bytes sent, 0: no room now, or an error. [send_lock] */
static long
send_batch(struct tcp_sock *ts, struct sock_msg *msg)
{
	struct tcp_chunk chunks[BATCH_CHUNKS];
	uint32_t room = room_left(ts), want;
	struct sending how;
	unsigned num;
	enum err err;
	long n;

	if (!room)
		return 0;
	want = (uint32_t)MIN(MIN(room, BATCH), msg->uio->resid);
	n = copy_in(msg->uio, want, chunks, &num);
	if (n < 0)
		return n;
	how.more = (msg->flags & MSG_MORE) || msg->uio->resid;
	how.is_urgent = (msg->flags & MSG_OOB) && !msg->uio->resid;
	err = commit(ts, chunks, num, &how);
	if (err != OK) {
		put_chunks(chunks, num);
		return err;
	}
	return n;
}

static long
send_locked(struct tcp_sock *ts, struct sock_msg *msg)
{
	long done = 0;

	for (;;) {
		enum err err = may_send(ts);
		long n = 0;

		if (err == OK) {
			if (!msg->uio->resid)
				return done;
			n = send_batch(ts, msg);
		}
		if (n > 0) {
			done += n;
			continue;
		}
		if (n < 0)
			err = (enum err)n;
		else if (err == OK || err == ERR_AGAIN)
			err = wait_for_room(ts, msg);
		if (err != OK)
			return done ? done : err;
	}
}

long
tcp_send(struct sock *s, struct sock_msg *msg)
{
	long result;

	if (msg->flags & MSG_DONTWAIT) {
		if (!mutex_trylock(&s->send_lock))
			return ERR_AGAIN;
	} else if (mutex_lock_interruptible(&s->send_lock) != OK) {
		return ERR_RESTARTSYS;
	}
	result = send_locked(tcp_of(s), msg);
	mutex_unlock(&s->send_lock);
	return result;
}

long
tcp_send_page(
    struct sock *s, struct page *page, uint32_t off, uint32_t len, unsigned flags)
{
	struct tcp_sock *ts = tcp_of(s);
	struct sock_msg msg = {
	    .flags = flags, .deadline_ns = sock_deadline(s->sndtimeo_ns)};
	struct tcp_chunk c = {.page = page, .off = off};
	struct sending how = {.more = flags & MSG_MORE};
	enum err err;

	if (mutex_lock_interruptible(&s->send_lock) != OK)
		return ERR_RESTARTSYS;
	for (;;) {
		uint32_t room;

		err = may_send(ts);
		room = err == OK ? room_left(ts) : 0;
		if (room) {
			c.len = MIN(len, room);
			(void)page_get(page);
			err = commit(ts, &c, 1, &how);
			if (err != OK)
				page_put(page);
			break;
		}
		if (err == OK || err == ERR_AGAIN)
			err = wait_for_room(ts, &msg);
		if (err != OK)
			break;
	}
	mutex_unlock(&s->send_lock);
	return err == OK ? (long)c.len : err;
}
