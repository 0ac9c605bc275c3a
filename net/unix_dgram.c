/*
 * Datagrams and sequenced packets of AF_UNIX: a message is received whole or cut. A datagram goes
 * to whom it names or the peer, who must have no peer or be connected back. Without that its queue
 * takes no more than net.unix.max_dgram_qlen; each message also counts against its sender's
 * buffer until it is read.
 */
#include "kernel/time/clock.h"
#include "mm/uio.h"
#include "net/unix.h"

enum { SNDBUF_MARGIN = 32 };

/* ---- Connecting ------------------------------------------------------------------------------- */

/* What the old peer sent before is of no use; if it is still connected to us, it hears of it. */
void
unix_dgram_disconnected(struct unix_sock *u, struct unix_sock *old)
{
	struct unix_msg *msgs;
	bool is_reset;

	spin_lock(&u->sock.lock);
	msgs = u->first;
	u->first = u->last = NULL;
	u->num_queued = 0;
	u->sock.rx_bytes = 0;
	spin_unlock(&u->sock.lock);
	if (!msgs)
		return;
	unix_msgs_free(msgs);
	wait_queue_wake_all(&u->room_wait);
	unix_wake_room(u);
	spin_lock(&old->sock.lock);
	is_reset = !old->is_dead && old->peer == &u->sock;
	spin_unlock(&old->sock.lock);
	if (is_reset)
		sock_set_error(&old->sock, ERR_CONNRESET);
}

/* Whether `u` may send to `other`, whose lock is held. */
static bool
may_send(const struct unix_sock *u, const struct unix_sock *other)
{
	return !other->peer || other->peer == &u->sock;
}

/* `other` (its reference is taken; NULL: nobody) becomes the peer. ERR_SRCH: it is dead. */
static enum err
set_peer(struct unix_sock *u, struct unix_sock *other)
{
	struct unix_sock *with = other ? other : u;
	struct sock *old = NULL;
	enum err err = OK;

	spin_lock_pair(&u->sock.lock, &with->sock.lock);
	if (other && other->is_dead)
		err = ERR_SRCH;
	else if (other && !may_send(u, other))
		err = ERR_PERM;
	if (err == OK) {
		old = u->peer;
		__atomic_store_n(&u->peer, other ? &other->sock : NULL, __ATOMIC_RELEASE);
		u->state = other ? UNIX_CONNECTED : UNIX_CLOSED;
	}
	spin_unlock_pair(&u->sock.lock, &with->sock.lock);
	if (err != OK) {
		sock_put(&other->sock);
		return err;
	}
	if (!old)
		return OK;
	unix_unwatch_room(u);
	sock_wake(&u->sock, POLL_WRITABLE);
	if (old != &with->sock || !other)
		unix_dgram_disconnected(u, unix_of(old));
	sock_put(old);
	return OK;
}

enum err
unix_dgram_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	struct unix_sock *u = unix_of(sk), *other;
	enum err err;

	if (a->len < sizeof(a->family))
		return ERR_INVAL;
	if (a->family == AF_UNSPEC)
		return set_peer(u, NULL);
	err = unix_check_addr(a);
	if (err == OK && sk->is_passcred)
		err = unix_autobind(u);
	if (err != OK)
		return err;
	do {
		err = unix_find(a, sk->type, &other);
		if (err != OK)
			return err;
		err = set_peer(u, other);
	} while (err == ERR_SRCH);
	return err;
}

/* ---- Sending ------------------------------------------------------------------------------------ */

/* One send. `other` is a reference, or NULL before the name was looked up. */
struct sending {
	struct unix_sock *u, *other;
	struct sock_msg *msg;
	struct unix_msg *m;
};

/* Both the limit of the queue and the way out of it: a peer connected back has no limit. */
static bool
is_full_for(const struct unix_sock *u, const struct unix_sock *other)
{
	return other != u &&
	       __atomic_load_n(&other->peer, __ATOMIC_RELAXED) != &u->sock &&
	       unix_is_full(other);
}

static void
enqueue_locked(const struct sending *s)
{
	struct sock *to = &s->other->sock;

	if (to->is_timestamp || to->is_timestampns || to->stamping)
		s->m->stamp_ns = (nsec_t)clock_wall_ns();
	unix_add_creds(s->m, &s->u->sock, to);
	unix_queue_push(s->other, s->m);
}

/* ERR_SRCH: the receiver is dead; ERR_AGAIN: it is full. */
static enum err
try_deliver(const struct sending *s)
{
	struct unix_sock *other = s->other;
	enum err err = OK;

	spin_lock(&other->sock.lock);
	if (!may_send(s->u, other))
		err = ERR_PERM;
	else if (other->is_dead)
		err = ERR_SRCH;
	else if (other->sock.shutdown & SOCK_NO_RECV)
		err = ERR_PIPE;
	else if (is_full_for(s->u, other))
		err = ERR_AGAIN;
	else
		enqueue_locked(s);
	spin_unlock(&other->sock.lock);
	if (err == OK)
		sock_wake(&other->sock, POLL_READABLE);
	return err;
}

/* The receiver died. OK: another may have its name by now. */
static enum err
forget_dead(struct sending *s)
{
	struct unix_sock *u = s->u;
	bool was_peer;

	if (u->sock.type == SOCK_SEQPACKET)
		return ERR_PIPE;
	spin_lock(&u->sock.lock);
	was_peer = u->peer == &s->other->sock;
	if (was_peer) {
		u->peer = NULL;
		u->state = UNIX_CLOSED;
	}
	spin_unlock(&u->sock.lock);
	if (was_peer) {
		unix_unwatch_room(u);
		unix_dgram_disconnected(u, s->other);
		sock_put(&s->other->sock); /* the peer's */
	}
	sock_put(&s->other->sock);
	s->other = NULL;
	if (was_peer)
		return ERR_CONNREFUSED;
	return s->msg->name ? OK : ERR_CONNRESET;
}

static bool
takes_more(const struct sending *s)
{
	return !is_full_for(s->u, s->other) ||
	       __atomic_load_n(&s->other->is_dead, __ATOMIC_RELAXED) ||
	       (__atomic_load_n(&s->other->sock.shutdown, __ATOMIC_RELAXED) &
	           SOCK_NO_RECV);
}

/* The receiver is full. OK: try again. */
static enum err
wait_for_receiver(const struct sending *s)
{
	nsec_t deadline = s->msg->deadline_ns;

	if (!(s->msg->flags & MSG_DONTWAIT))
		return sock_wait_result(wait_event(&s->other->room_wait, takes_more(s),
		                            WAIT_INTERRUPTIBLE, deadline),
		    deadline);
	/* Edge-triggered pollers hear of room without asking again. */
	return __atomic_load_n(&s->u->peer, __ATOMIC_RELAXED) != &s->other->sock ||
	               unix_watch_room(s->u, s->other)
	           ? ERR_AGAIN
	           : OK;
}

static enum err
deliver(struct sending *s)
{
	for (;;) {
		enum err err = OK;

		if (!s->other)
			err = unix_find(s->msg->name, s->u->sock.type, &s->other);
		if (err != OK)
			return err;
		err = try_deliver(s);
		if (err == OK)
			return OK;
		if (err == ERR_SRCH)
			err = forget_dead(s);
		else if (err == ERR_AGAIN)
			err = wait_for_receiver(s);
		if (err != OK)
			return err;
	}
}

/* The message with its bytes and control data, charged to the sender. */
static enum err
make_message(struct sending *s, struct unix_scm *scm)
{
	struct sock *sk = &s->u->sock;
	struct unix_msg *m = unix_msg_alloc(s->msg->uio->resid);
	enum err err;

	if (!m)
		return ERR_NOBUFS;
	s->m = m;
	if (sk->type == SOCK_DGRAM) {
		m->sender = sock_get(sk);
		__atomic_add_fetch(&sk->tx_bytes, m->truesize, __ATOMIC_RELAXED);
	}
	err = unix_scm_attach(scm, m, true);
	return err == OK ? unix_msg_fill(m, s->msg->uio) : err;
}

static enum err
find_receiver(struct sending *s)
{
	struct sock *peer;

	if (s->msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	if (s->msg->name)
		return unix_check_addr(s->msg->name);
	peer = unix_peer_get(s->u);
	if (!peer)
		return ERR_NOTCONN;
	s->other = unix_of(peer);
	return OK;
}

long
unix_dgram_send(struct sock *sk, struct sock_msg *msg)
{
	struct sending s = {.u = unix_of(sk), .msg = msg};
	size_t n = msg->uio->resid;
	struct unix_scm scm;
	enum err err = unix_scm_parse(&scm, msg);

	if (err == OK)
		err = find_receiver(&s);
	if (err == OK && sk->is_passcred)
		err = unix_autobind(s.u);
	if (err == OK && n > sk->sndbuf - SNDBUF_MARGIN)
		err = ERR_MSGSIZE;
	if (err == OK)
		err = unix_wait_room(s.u, msg);
	if (err == OK)
		err = make_message(&s, &scm);
	if (err == OK)
		err = deliver(&s);
	if (err != OK && s.m) {
		unix_uncharge(s.m);
		unix_msg_put(s.m);
	}
	if (s.other)
		sock_put(&s.other->sock);
	unix_scm_drop(&scm);
	return err == OK ? (long)n : err;
}

long
unix_seqpacket_send(struct sock *sk, struct sock_msg *msg)
{
	enum err err = sock_take_error(sk);

	if (err != OK)
		return err;
	if (unix_of(sk)->state != UNIX_CONNECTED)
		return ERR_NOTCONN;
	msg->name = NULL;
	return unix_dgram_send(sk, msg);
}

/* ---- Receiving ----------------------------------------------------------------------------------- */

/* The message to be read: the first, or when peeking the one at *skip bytes. */
static struct unix_msg *
choose(const struct unix_sock *u, bool is_peek, size_t *skip)
{
	struct unix_msg *m = u->first;

	while (is_peek && m && *skip && *skip >= m->len) {
		*skip -= m->len;
		m = m->next;
	}
	return m;
}

/* Takes it out, or shares it; the sender's name is told here. */
static struct unix_msg *
take(struct unix_sock *u, struct sock_msg *msg, size_t *skip)
{
	bool is_peek = msg->flags & MSG_PEEK, was_full;
	struct unix_msg *m;

	spin_lock(&u->sock.lock);
	*skip = is_peek && u->sock.peek_off > 0 ? (size_t)u->sock.peek_off : 0;
	was_full = unix_is_full(u);
	m = choose(u, is_peek, skip);
	if (m) {
		const struct sock *sender = m->sender ? m->sender : u->peer;

		if (msg->name && sender)
			unix_tell_addr(unix_of((struct sock *)sender), msg->name);
		if (is_peek)
			__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
		else
			unix_queue_remove(u, m);
	}
	spin_unlock(&u->sock.lock);
	if (!m || is_peek || !was_full)
		return m;
	wait_queue_wake_all(&u->room_wait);
	unix_wake_room(u);
	return m;
}

/* The bytes, control data and flags of a message. */
static long
tell(struct unix_sock *u, struct sock_msg *msg, struct unix_msg *m, size_t skip)
{
	bool is_peek = msg->flags & MSG_PEEK;
	size_t left = m->len - MIN(skip, (size_t)m->len);
	size_t n = MIN(left, msg->uio->resid);
	struct unix_scm scm = {.fds = NULL};
	struct sock *sk = &u->sock;

	if (n < left)
		msg->out_flags |= MSG_TRUNC;
	if (unix_msg_copy_out(m, (uint32_t)skip, n, msg->uio) < n)
		return ERR_FAULT;
	sock_put_stamps(sk, msg, m->stamp_ns);
	unix_scm_note(&scm, m);
	if (!is_peek)
		unix_scm_take_fds(&scm, sk, m);
	else if (m->fds && unix_scm_copy_fds(&scm, sk, m) != OK)
		msg->out_flags |= MSG_CTRUNC;
	if (sk->peek_off >= 0)
		sk->peek_off = is_peek ? sk->peek_off + (int32_t)n
		                       : MAX(sk->peek_off - (int32_t)m->len, 0);
	unix_scm_put(&scm, sk, msg);
	return (long)(msg->flags & MSG_TRUNC ? left : n);
}

static bool
has_news(const struct unix_sock *u, const struct unix_msg *seen)
{
	return __atomic_load_n(&u->last, __ATOMIC_RELAXED) != seen ||
	       __atomic_load_n(&u->sock.error, __ATOMIC_RELAXED) != OK ||
	       (__atomic_load_n(&u->sock.shutdown, __ATOMIC_RELAXED) & SOCK_NO_RECV);
}

/* Nothing to be read. OK with *is_over: no more will come. */
static enum err
wait_for_message(struct unix_sock *u, const struct sock_msg *msg,
    const struct unix_msg *seen, bool *is_over)
{
	struct sock *sk = &u->sock;
	bool is_nonblock = msg->flags & MSG_DONTWAIT;

	if (!(__atomic_load_n(&sk->shutdown, __ATOMIC_ACQUIRE) & SOCK_NO_RECV))
		return sock_wait(sk, has_news(u, seen), msg->deadline_ns, is_nonblock);
	if (__atomic_load_n(&u->last, __ATOMIC_RELAXED) != seen)
		return OK; /* it came before the end */
	/* As Linux has it: a datagram socket that may not wait has no end of file. */
	*is_over = !is_nonblock || sk->type == SOCK_SEQPACKET;
	return *is_over ? OK : ERR_AGAIN;
}

long
unix_dgram_recv(struct sock *sk, struct sock_msg *msg)
{
	struct unix_sock *u = unix_of(sk);
	struct unix_msg *m;
	bool is_over = false;
	size_t skip;
	long result;

	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	for (;;) {
		const struct unix_msg *seen = __atomic_load_n(&u->last, __ATOMIC_RELAXED);
		enum err err = sock_take_error(sk);

		if (err != OK)
			return err;
		m = take(u, msg, &skip);
		if (m)
			break;
		err = wait_for_message(u, msg, seen, &is_over);
		if (err != OK || is_over)
			return err;
	}
	result = tell(u, msg, m, skip);
	if (!(msg->flags & MSG_PEEK)) {
		if (m->sender)
			unix_uncharge(m);
		else if (sk->type == SOCK_SEQPACKET)
			unix_give_room(u->peer);
	}
	unix_msg_put(m);
	return result;
}

long
unix_seqpacket_recv(struct sock *sk, struct sock_msg *msg)
{
	if (unix_of(sk)->state != UNIX_CONNECTED)
		return ERR_NOTCONN;
	return unix_dgram_recv(sk, msg);
}
