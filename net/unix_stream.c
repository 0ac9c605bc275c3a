/*
 * Streams of AF_UNIX. What one call sends is one message or more, of up to half the send buffer;
 * a reader takes bytes of as many as it has room for. It stops behind a message with files, and
 * with SO_PASSCRED before one of another sender.
 *
 * Urgent data is one byte (MSG_OOB), as Linux has it since 5.15: it goes in line, marked; a reader
 * stops before it, and the next read goes on behind it unless SO_OOBINLINE is set. It is read by
 * MSG_OOB, once. A later one makes the earlier one an ordinary byte.
 */
#include "mm/page.h"
#include "mm/uio.h"
#include "net/unix.h"

enum { MAX_CHUNK = 32768, CHUNK_MARGIN = 64 };

/* ---- Sending -------------------------------------------------------------------------------- */

/* Takes the message, also on an error. */
static enum err
deliver(struct unix_sock *u, struct unix_sock *other, struct unix_msg *m)
{
	bool is_open, is_oob = m->is_oob;

	spin_lock(&other->sock.lock);
	is_open = !other->is_dead && !(other->sock.shutdown & SOCK_NO_RECV);
	if (is_open) {
		unix_add_creds(m, &u->sock, &other->sock);
		unix_queue_push(other, m);
		if (is_oob)
			__atomic_store_n(&other->oob, m, __ATOMIC_RELAXED);
	}
	spin_unlock(&other->sock.lock);
	if (!is_open) {
		unix_msg_put(m);
		return ERR_PIPE;
	}
	if (is_oob)
		sock_urgent(&other->sock);
	sock_wake(&other->sock, POLL_READABLE);
	return OK;
}

/* The next n bytes as one message; files in `scm` go with it. */
static enum err
send_chunk(struct unix_sock *u, struct unix_sock *other, struct sock_msg *msg,
    struct unix_scm *scm, size_t n, bool is_oob)
{
	struct unix_msg *m;
	enum err err = unix_wait_room(u, msg);

	if (err != OK)
		return err;
	m = unix_msg_alloc(n);
	if (!m)
		return ERR_NOBUFS;
	m->is_oob = is_oob;
	err = unix_scm_attach(scm, m, true);
	if (err == OK)
		err = unix_msg_fill(m, msg->uio);
	if (err == OK)
		return deliver(u, other, m);
	unix_msg_put(m);
	return err;
}

static long
send_all(struct unix_sock *u, struct unix_sock *other, struct sock_msg *msg,
    struct unix_scm *scm)
{
	size_t total = msg->uio->resid;
	size_t max = MIN((size_t)u->sock.sndbuf / 2 - CHUNK_MARGIN, (size_t)MAX_CHUNK);
	size_t urgent = msg->flags & MSG_OOB ? 1 : 0;
	size_t sent = 0;

	while (sent < total) {
		bool is_oob = urgent && sent == total - 1;
		size_t n = is_oob ? 1 : MIN(total - urgent - sent, max);
		enum err err = send_chunk(u, other, msg, scm, n, is_oob);

		if (err != OK)
			return sent ? (long)sent : err;
		sent += n;
	}
	return (long)sent;
}

/* Who gets what `u` sends: *err otherwise. */
static struct unix_sock *
receiver_of(struct unix_sock *u, enum err *err)
{
	struct sock *peer = __atomic_load_n(&u->peer, __ATOMIC_ACQUIRE);

	*err = OK;
	if (!peer)
		*err = ERR_NOTCONN;
	else if (__atomic_load_n(&u->sock.shutdown, __ATOMIC_RELAXED) & SOCK_NO_SEND)
		*err = ERR_PIPE;
	return *err == OK ? unix_of(peer) : NULL;
}

long
unix_stream_send(struct sock *sk, struct sock_msg *msg)
{
	struct unix_sock *u = unix_of(sk), *other;
	struct unix_scm scm;
	long result;
	enum err err = unix_scm_parse(&scm, msg);

	if (err != OK)
		return err;
	if ((msg->flags & MSG_OOB) && !msg->uio->resid)
		err = ERR_OPNOTSUPP;
	else if (msg->name)
		err = u->state == UNIX_CONNECTED ? ERR_ISCONN : ERR_OPNOTSUPP;
	other = err == OK ? receiver_of(u, &err) : NULL;
	result = other ? send_all(u, other, msg, &scm) : err;
	unix_scm_drop(&scm);
	return result;
}

long
unix_stream_send_page(
    struct sock *sk, struct page *page, uint32_t off, uint32_t len, unsigned flags)
{
	const struct sock_msg msg = {
	    .flags = flags, .deadline_ns = sock_deadline(sk->sndtimeo_ns)};
	struct unix_sock *u = unix_of(sk), *other;
	struct unix_msg *m;
	enum err err;

	other = receiver_of(u, &err);
	if (err == OK)
		err = unix_wait_room(u, &msg);
	if (err != OK)
		return err;
	m = unix_msg_of_page(page, off, len);
	if (!m)
		return ERR_NOBUFS;
	err = deliver(u, other, m);
	return err == OK ? (long)len : err;
}

/* ---- Receiving -------------------------------------------------------------------------------- */

/* One call's progress. recv_lock is held but while it sleeps. */
struct reading {
	struct unix_sock *u;
	struct sock_msg *msg;
	struct unix_scm scm;
	size_t copied;
	size_t skip; /* peeking: bytes of the queue to pass over */
	const struct unix_msg
	    *last; /* the last one looked at; NULL: the queue was empty */
	bool is_peek, has_creds, has_name, is_done, has_freed;
	enum err err; /* if nothing was copied */
};

/* An urgent byte stands next. True: it is passed over; else r->is_done if reading stops here. */
static bool
pass_urgent(struct reading *r, struct unix_msg *m)
{
	struct unix_sock *u = r->u;

	if (r->copied) {
		r->is_done = true;
		return false;
	}
	if (r->is_peek)
		return !u->sock.is_oobinline;
	spin_lock(&u->sock.lock);
	if (u->oob == m)
		u->oob = NULL;
	if (!u->sock.is_oobinline)
		unix_queue_remove(u, m);
	spin_unlock(&u->sock.lock);
	if (u->sock.is_oobinline)
		return false;
	unix_msg_put(m);
	return true;
}

static bool
has_same_creds(const struct unix_scm *scm, const struct unix_msg *m)
{
	return scm->has_creds == m->has_creds && scm->pid == m->pid &&
	       scm->uid == m->uid && scm->gid == m->gid;
}

/* Whether m's sender is the one of what was read before. */
static bool
is_same_sender(struct reading *r, const struct unix_msg *m)
{
	if (r->has_creds)
		return has_same_creds(&r->scm, m);
	if (r->u->sock.is_passcred) {
		unix_scm_note(&r->scm, m);
		r->has_creds = true;
	}
	return true;
}

/* n more bytes of m have been copied. */
static void
consume(struct reading *r, struct unix_msg *m, size_t n)
{
	struct unix_sock *u = r->u;

	m->read += (uint32_t)n;
	if (u->sock.peek_off > 0)
		u->sock.peek_off = MAX(u->sock.peek_off - (int32_t)n, 0);
	if (m->fds) {
		unix_scm_take_fds(&r->scm, &u->sock, m);
		r->is_done = true;
	}
	if (m->read < m->len) {
		r->is_done = true;
		return;
	}
	spin_lock(&u->sock.lock);
	unix_queue_remove(u, m);
	spin_unlock(&u->sock.lock);
	unix_msg_put(m);
	r->has_freed = true;
}

static void
peeked(struct reading *r, struct unix_msg *m, size_t n)
{
	struct sock *sk = &r->u->sock;

	if (sk->peek_off >= 0)
		sk->peek_off += (int32_t)n;
	r->skip = 0;
	if (!m->fds)
		return;
	(void)unix_scm_copy_fds(&r->scm, sk, m); /* no memory: they come with the data */
	r->is_done = true;
}

/* Copies what `m` has, as far as there is room. */
static void
take_message(struct reading *r, struct unix_msg *m)
{
	struct sock_msg *msg = r->msg;
	uint32_t at = m->read + (uint32_t)r->skip;
	size_t n = MIN((size_t)(m->len - at), msg->uio->resid);

	if (!is_same_sender(r, m)) {
		r->is_done = true;
		return;
	}
	if (msg->name && !r->has_name) {
		unix_tell_addr(unix_of(r->u->peer), msg->name);
		r->has_name = true;
	}
	if (unix_msg_copy_out(m, at, n, msg->uio) < n) {
		r->err = ERR_FAULT;
		r->is_done = true;
		return;
	}
	r->copied += n;
	if (r->is_peek)
		peeked(r, m, n);
	else
		consume(r, m, n);
	if (!msg->uio->resid)
		r->is_done = true;
}

/* Reads until it is done or the queue's end. */
static void
take_ready(struct reading *r)
{
	struct unix_sock *u = r->u;
	struct unix_msg *m = __atomic_load_n(&u->first, __ATOMIC_ACQUIRE), *next;

	r->last = NULL;
	for (; m && !r->is_done; m = next) {
		uint32_t left = m->len - m->read;
		bool is_passed = false;

		next = __atomic_load_n(&m->next, __ATOMIC_ACQUIRE);
		r->last = r->is_peek ? m : NULL;
		if (r->skip >= left && r->is_peek) {
			r->skip -= left;
			continue;
		}
		if (unlikely(m == __atomic_load_n(&u->oob, __ATOMIC_RELAXED)))
			is_passed = pass_urgent(r, m);
		if (!is_passed && !r->is_done)
			take_message(r, m);
		if (!r->is_peek)
			next = __atomic_load_n(&u->first, __ATOMIC_ACQUIRE);
	}
	if (r->has_freed)
		unix_give_room(u->peer);
	r->has_freed = false;
}

/* The queue has no more: whether to wait. Sets r->err otherwise. */
static bool
must_wait(struct reading *r, size_t target)
{
	struct sock *sk = &r->u->sock;
	bool has_more, is_over;

	if (r->copied >= target)
		return false;
	spin_lock(&sk->lock);
	has_more = r->u->last != r->last;
	is_over = sk->shutdown & SOCK_NO_RECV;
	spin_unlock(&sk->lock);
	if (has_more)
		return true;
	r->err = sock_take_error(sk);
	if (r->err == OK && !is_over && (r->msg->flags & MSG_DONTWAIT))
		r->err = ERR_AGAIN;
	return r->err == OK && !is_over;
}

static bool
has_news(const struct reading *r)
{
	const struct sock *sk = &r->u->sock;

	return __atomic_load_n(&r->u->last, __ATOMIC_RELAXED) != r->last ||
	       __atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK ||
	       (__atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED) & SOCK_NO_RECV);
}

static void
read_bytes(struct reading *r, size_t target)
{
	struct sock *sk = &r->u->sock;
	size_t peek_from;

	mutex_lock(&sk->recv_lock);
	peek_from = sk->peek_off > 0 ? (size_t)sk->peek_off : 0;
	for (;;) {
		if (r->is_peek)
			r->skip = peek_from + r->copied;
		take_ready(r);
		if (r->is_done || !must_wait(r, target))
			break;
		mutex_unlock(&sk->recv_lock);
		r->err = sock_wait(sk, has_news(r), r->msg->deadline_ns, false);
		mutex_lock(&sk->recv_lock);
		if (r->err != OK)
			break;
	}
	mutex_unlock(&sk->recv_lock);
}

/* The urgent byte, if there is one that was not read and is not to be read in line. */
static long
recv_urgent(struct sock *sk, struct sock_msg *msg)
{
	struct unix_sock *u = unix_of(sk);
	struct unix_msg *m;
	long result = ERR_INVAL;
	bool is_taken = false;

	mutex_lock(&sk->recv_lock);
	spin_lock(&sk->lock);
	m = sk->is_oobinline ? NULL : u->oob;
	if (m && !(msg->flags & MSG_PEEK)) {
		unix_queue_remove(u, m);
		is_taken = true;
	}
	spin_unlock(&sk->lock);
	if (m) {
		result = unix_msg_copy_out(m, 0, 1, msg->uio) == 1 ? 1 : ERR_FAULT;
		if (result > 0)
			msg->out_flags |= MSG_OOB;
		if (is_taken)
			unix_msg_put(m);
	}
	mutex_unlock(&sk->recv_lock);
	return result;
}

long
unix_stream_recv(struct sock *sk, struct sock_msg *msg)
{
	struct reading r = {
	    .u = unix_of(sk), .msg = msg, .is_peek = msg->flags & MSG_PEEK};
	size_t n = msg->uio->resid, target;

	if (r.u->state != UNIX_CONNECTED)
		return ERR_INVAL;
	if (msg->flags & MSG_OOB)
		return recv_urgent(sk, msg);
	target = msg->flags & MSG_WAITALL ? n : MIN(n, (size_t)sk->rcvlowat);
	read_bytes(&r, MAX(target, 1ul));
	unix_scm_put(&r.scm, sk, msg);
	return r.copied ? (long)r.copied : r.err;
}
