/*
 * Listeners: who waits at which port, and the connections that wait to be accepted. Found by port
 * in a small table under RCU; among those that fit, the most exact one: bound to the address
 * before any address, IPv4 before a dual-stack IPv6 socket, bound to the interface before free.
 * Equals can only be a SO_REUSEPORT group: the tuple's hash picks one.
 *
 * The accept queue holds whole sockets; the requests before them are in tcp_request.c.
 */
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/tcp_conn.h"

enum { LISTEN_BUCKETS = 256 };

static struct list buckets[LISTEN_BUCKETS]; /* [R] struct tcp_listener */
static struct spinlock table_lock = SPINLOCK_INIT("tcp listeners", RANK_NET_TABLE + 1);

void
tcp_listen_init(void)
{
	for (unsigned i = 0; i < LISTEN_BUCKETS; i++)
		list_init(&buckets[i]);
}

static struct list *
bucket_of(uint16_t port)
{
	return &buckets[port % LISTEN_BUCKETS];
}

/* ---- Finding ------------------------------------------------------------------------------ */

/* How well a listener fits, 0: not at all. */
static unsigned
score(const struct inet_sock *is, const struct tcp_key *k, uint32_t ifindex)
{
	bool is_v4 = ip_is_v4(&k->local);
	unsigned points = 1;

	if (is->local_port != k->local_port)
		return 0;
	if (is->sock.family == AF_INET ? !is_v4 : is_v4 && is->is_v6only)
		return 0;
	if (!ip_is_unspecified(&is->local)) {
		if (!ip_equal(&is->local, &k->local))
			return 0;
		points += 4;
	}
	if (is->sock.bound_if) {
		if (is->sock.bound_if != ifindex)
			return 0;
		points += 8;
	}
	return points + (is->sock.family == AF_INET ? 2 : 0);
}

struct tcp_sock *
tcp_listener_find(const struct tcp_key *k, uint32_t ifindex)
{
	struct list *bucket = bucket_of(k->local_port);
	struct tcp_listener *l, *best = NULL;
	unsigned best_score = 0, equals = 0, pick;

	rcu_list_for_each(l, bucket, link)
	{
		unsigned n = score(&l->ts->inet, k, ifindex);

		if (!n || n < best_score)
			continue;
		equals = n == best_score ? equals + 1 : 1;
		if (n > best_score)
			best = l;
		best_score = n;
	}
	if (equals < 2)
		return best ? best->ts : NULL;
	pick = (unsigned)((uint64_t)tcp_hash(k) * equals >> 32);
	rcu_list_for_each(l, bucket, link)
	{
		if (score(&l->ts->inet, k, ifindex) == best_score && pick-- == 0)
			return l->ts;
	}
	return best->ts;
}

void
tcp_listener_for_each(void (*fn)(struct tcp_sock *, void *arg), void *arg)
{
	struct tcp_listener *l;

	rcu_read_lock();
	for (unsigned i = 0; i < LISTEN_BUCKETS; i++)
		rcu_list_for_each(l, &buckets[i], link) fn(l->ts, arg);
	rcu_read_unlock();
}

/* ---- Beginning to listen ---------------------------------------------------------------------- */

/* Shows it to arriving segments. */
static void
publish(struct tcp_listener *l)
{
	spin_lock(&table_lock);
	rcu_list_push_back(bucket_of(l->ts->inet.local_port), &l->link);
	spin_unlock(&table_lock);
}

static struct tcp_listener *
listener_make(struct tcp_sock *ts)
{
	struct tcp_listener *l = kzalloc(sizeof(*l));

	if (!l)
		return NULL;
	l->ts = ts;
	spin_init(&l->lock, "tcp listener", RANK_SOCK_LISTEN);
	list_init(&l->accepted);
	list_init(&l->requests);
	return l;
}

/* [send_lock] */
static enum err
begin(struct tcp_sock *ts, uint32_t backlog)
{
	struct inet_sock *is = &ts->inet;
	struct tcp_listener *l;
	enum err err;

	/* A listener that stopped may still be seen under RCU: never use its links again. */
	l = listener_make(ts);
	if (!l)
		return ERR_NOMEM;
	l->backlog = backlog;
	l->is_open = true;
	err = is->local_port ? OK : inet_autobind(is, &tcp_ports, NULL);
	if (err == OK)
		err = inet_listen_port(is, &tcp_ports);
	if (err != OK) {
		kfree(l);
		return err;
	}
	kfree(ts->listener);
	rcu_assign(ts->listener, l);
	spin_lock(&is->sock.lock);
	ts->is_listening = true;
	tcp_show_state(ts, TCP_LISTEN);
	spin_unlock(&is->sock.lock);
	publish(l);
	return OK;
}

enum err
tcp_listen(struct sock *s, int backlog)
{
	struct tcp_sock *ts = tcp_of(s);
	uint32_t limit = MIN((uint32_t)backlog, tcp_set.somaxconn);
	enum err err = OK;

	mutex_lock(&s->send_lock);
	if (ts->is_listening) {
		spin_lock(&ts->listener->lock);
		ts->listener->backlog = limit;
		spin_unlock(&ts->listener->lock);
	} else if (ts->is_live || ts->phase != TCP_PHASE_NEW) {
		err = ERR_INVAL;
	} else {
		err = begin(ts, limit);
	}
	mutex_unlock(&s->send_lock);
	return err;
}

/* ---- Ending ------------------------------------------------------------------------------------------ */

static struct tcp_sock *
pop_accepted(struct tcp_listener *l)
{
	struct tcp_sock *child;

	spin_lock(&l->lock);
	child = list_first(&l->accepted, struct tcp_sock, accept_link);
	if (child) {
		list_remove(&child->accept_link);
		l->num_accepted--;
	}
	spin_unlock(&l->lock);
	return child;
}

void
tcp_listen_stop(struct tcp_sock *ts)
{
	struct tcp_listener *l = ts->listener;
	struct tcp_request *rq;
	struct tcp_sock *child;

	spin_lock(&table_lock);
	rcu_list_remove(&l->link);
	spin_unlock(&table_lock);
	spin_lock(&l->lock);
	l->is_open = false;
	spin_unlock(&l->lock);
	spin_lock(&ts->inet.sock.lock);
	ts->is_listening = ts->inet.sock.is_listening = false;
	tcp_show_state(ts, TCP_CLOSE);
	spin_unlock(&ts->inet.sock.lock);
	/* Nothing is added any more. */
	for (;;) {
		rcu_read_lock(); /* it may end by itself now, but is not freed */
		spin_lock(&l->lock);
		rq = list_first(&l->requests, struct tcp_request, link);
		spin_unlock(&l->lock);
		if (rq)
			tcp_request_drop(rq);
		rcu_read_unlock();
		if (!rq)
			break;
	}
	while ((child = pop_accepted(l)))
		tcp_conn_reset(child);
	rcu_synchronize(); /* readers of the table have left l->link */
	sock_wake(&ts->inet.sock, POLLHUP | POLLIN);
}

/* ---- accept ---------------------------------------------------------------------------------------------- */

static bool
is_ready(const struct tcp_sock *ts)
{
	return !ts->is_listening || __atomic_load_n(&ts->listener->accepted.next,
	                                __ATOMIC_RELAXED) != &ts->listener->accepted;
}

enum err
tcp_accept(struct sock *s, struct sock **out, nsec_t deadline, bool is_nonblock)
{
	struct tcp_sock *ts = tcp_of(s), *child;
	enum err err;

	for (;;) {
		if (!ts->is_listening)
			return ERR_INVAL;
		child = pop_accepted(ts->listener);
		if (child) {
			child->phase = TCP_PHASE_CONNECTED;
			*out = &child->inet.sock;
			return OK;
		}
		err = sock_wait(s, is_ready(ts), deadline, is_nonblock);
		if (err != OK)
			return err;
	}
}
