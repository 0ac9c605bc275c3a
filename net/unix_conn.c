/*
 * Connections of AF_UNIX streams and sequenced packets. connect makes the other end at once: a
 * socket without a file, queued at the listener until accept gives it one. Its peer may send
 * before that, and finds the connection reset if the listener is closed first.
 */
#include "kernel/proc/cred.h"
#include "kernel/proc/process.h"
#include "net/unix.h"

void
unix_set_peercred(struct sock *sk)
{
	struct cred *cred = cred_get((struct cred *)current_cred()), *old;

	spin_lock(&sk->lock);
	old = sk->peer_cred;
	sk->peer_cred = cred;
	sk->peer_pid = current_process()->pid;
	spin_unlock(&sk->lock);
	if (old)
		cred_put(old);
}

enum err
unix_listen(struct sock *sk, int backlog)
{
	struct unix_sock *u = unix_of(sk);
	enum err err = ERR_INVAL;
	bool has_more_room;

	if (!unix_is_stream_like(sk))
		return ERR_OPNOTSUPP;
	if (!__atomic_load_n(&u->addr, __ATOMIC_ACQUIRE))
		return ERR_INVAL;
	spin_lock(&sk->lock);
	has_more_room = (uint32_t)backlog > u->backlog;
	if (u->state != UNIX_CONNECTED) {
		u->backlog = (uint32_t)backlog;
		u->state = UNIX_LISTENING;
		sk->is_listening = true;
		err = OK;
	}
	spin_unlock(&sk->lock);
	if (err != OK)
		return err;
	if (has_more_room)
		wait_queue_wake_all(&u->room_wait);
	unix_set_peercred(sk);
	return OK;
}

/* ---- connect ------------------------------------------------------------------------------- */

/* Both locks held. What `u` gets for connecting to `other` now; ERR_AGAIN: it is full. */
static enum err
may_connect(const struct unix_sock *u, const struct unix_sock *other)
{
	if (other->state != UNIX_LISTENING || (other->sock.shutdown & SOCK_NO_RECV))
		return ERR_CONNREFUSED;
	if (unix_is_full(other))
		return ERR_AGAIN;
	if (u->state == UNIX_CONNECTED)
		return ERR_ISCONN;
	return u->state == UNIX_CLOSED ? OK : ERR_INVAL;
}

/* Both locks held: `child` becomes u's peer and waits at `other` to be accepted. */
static void
join(struct unix_sock *u, struct unix_sock *other, struct unix_sock *child)
{
	child->state = UNIX_CONNECTED;
	child->is_embryo = true;
	child->peer = sock_get(&u->sock);
	__atomic_fetch_add(&other->addr->refs, 1, __ATOMIC_RELAXED);
	child->addr = other->addr;

	if (other->sock.peer_cred)
		u->sock.peer_cred = cred_get(other->sock.peer_cred);
	u->sock.peer_pid = other->sock.peer_pid;
	u->state = UNIX_CONNECTED;
	__atomic_store_n(&u->peer, sock_get(&child->sock), __ATOMIC_RELEASE);

	list_push_back(&other->embryos, &child->embryo_link);
	__atomic_store_n(&other->num_queued, other->num_queued + 1, __ATOMIC_RELAXED);
}

/* ERR_SRCH: it is being closed, look again who has the name. */
static enum err
try_connect(struct unix_sock *u, struct unix_sock *other, struct unix_sock *child)
{
	enum err err;

	spin_lock_pair(&u->sock.lock, &other->sock.lock);
	err = other->is_dead ? ERR_SRCH : may_connect(u, other);
	if (err == OK)
		join(u, other, child);
	spin_unlock_pair(&u->sock.lock, &other->sock.lock);
	return err;
}

static bool
takes_more(const struct unix_sock *other)
{
	return !unix_is_full(other) ||
	       __atomic_load_n(&other->is_dead, __ATOMIC_RELAXED) ||
	       (__atomic_load_n(&other->sock.shutdown, __ATOMIC_RELAXED) & SOCK_NO_RECV);
}

static enum err
wait_for_room(struct unix_sock *other, nsec_t deadline_ns, bool is_nonblock)
{
	if (is_nonblock)
		return ERR_AGAIN;
	return sock_wait_result(wait_event(&other->room_wait, takes_more(other),
	                            WAIT_INTERRUPTIBLE, deadline_ns),
	    deadline_ns);
}

static enum err
connect_child(struct unix_sock *u, struct unix_sock *child, const struct sock_addr *a,
    nsec_t deadline_ns, bool is_nonblock)
{
	for (;;) {
		struct unix_sock *other;
		bool is_full;
		enum err err = unix_find(a, u->sock.type, &other);

		if (err != OK)
			return err;
		err = try_connect(u, other, child);
		if (err == OK)
			sock_wake(&other->sock, POLL_READABLE);
		is_full = err == ERR_AGAIN;
		if (is_full)
			err = wait_for_room(other, deadline_ns, is_nonblock);
		sock_put(&other->sock);
		if (err != ERR_SRCH && !(is_full && err == OK))
			return err;
	}
}

enum err
unix_stream_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	struct unix_sock *u = unix_of(sk), *child;
	enum err err = unix_check_addr(a);

	if (err == OK && sk->is_passcred)
		err = unix_autobind(u);
	if (err != OK)
		return err;
	child = unix_alloc(sk->type);
	if (!child)
		return ERR_NOMEM;
	unix_set_peercred(&child->sock);
	err = connect_child(u, child, a, deadline_ns, is_nonblock);
	if (err != OK) {
		child->sock.ops->close(&child->sock);
		sock_put(&child->sock);
	}
	return err;
}

/* ---- accept and pairs ------------------------------------------------------------------------ */

/* The first connection, with the queue's reference; NULL: none. */
static struct unix_sock *
take_embryo(struct unix_sock *u)
{
	struct unix_sock *child = NULL;
	struct list *link;
	bool was_full;

	spin_lock(&u->sock.lock);
	link = list_pop_front(&u->embryos);
	if (link) {
		was_full = unix_is_full(u);
		__atomic_store_n(&u->num_queued, u->num_queued - 1, __ATOMIC_RELAXED);
		child = list_entry(link, struct unix_sock, embryo_link);
	}
	spin_unlock(&u->sock.lock);
	if (child && was_full)
		wait_queue_wake_all(&u->room_wait);
	return child;
}

static bool
may_accept(const struct unix_sock *u)
{
	return __atomic_load_n(&u->num_queued, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&u->sock.error, __ATOMIC_RELAXED) != OK ||
	       (__atomic_load_n(&u->sock.shutdown, __ATOMIC_RELAXED) & SOCK_NO_RECV);
}

enum err
unix_accept(struct sock *sk, struct sock **out, nsec_t deadline_ns, bool is_nonblock)
{
	struct unix_sock *u = unix_of(sk), *child;

	if (!unix_is_stream_like(sk))
		return ERR_OPNOTSUPP;
	if (u->state != UNIX_LISTENING)
		return ERR_INVAL;
	while (!(child = take_embryo(u))) {
		enum err err = sock_take_error(sk);

		if (err == OK && (sk->shutdown & SOCK_NO_RECV))
			err = ERR_INVAL;
		if (err == OK)
			err = sock_wait(sk, may_accept(u), deadline_ns, is_nonblock);
		if (err != OK)
			return err;
	}
	spin_lock(&child->sock.lock);
	child->is_embryo = false;
	child->sock.is_passcred = sk->is_passcred;
	child->sock.is_passsec = sk->is_passsec;
	spin_unlock(&child->sock.lock);
	*out = &child->sock;
	return OK;
}

enum err
unix_pair(struct sock *a, struct sock *b)
{
	unix_of(a)->peer = sock_get(b);
	unix_of(b)->peer = sock_get(a);
	unix_of(a)->state = unix_of(b)->state = UNIX_CONNECTED;
	unix_set_peercred(a);
	unix_set_peercred(b);
	return OK;
}
