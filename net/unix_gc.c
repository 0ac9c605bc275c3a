/*
 * Files in flight: those in messages that nobody has received yet. They are charged to the real
 * user of who sent them, RLIMIT_NOFILE at most (unix(7), ETOOMANYREFS). Sockets among them are
 * listed, and a thread looks for those that can never be received any more (net/unix_graph.c):
 * it takes the files out of their queues, and with that they are closed.
 *
 * It looks when a socket was closed, and now and then as long as any is in flight: the last
 * descriptor that made a circle reachable may be closed without any socket's end.
 */
#include "kernel/file.h"
#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/process.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "net/unix.h"

enum { NUM_USER_BUCKETS = 64, WISH_ARM = 1, WISH_NOW = 2 };

static const nsec_t PAUSE_MIN = NSEC_PER_SEC, PAUSE_MAX = 64 * NSEC_PER_SEC;

/* What a user has in flight. */
struct user_flights {
	struct list link;
	uint32_t uid;
	uint64_t num;
};

static struct mutex flight_lock =
    MUTEX_INIT(flight_lock, "unix files in flight", RANK_UNIX_FLIGHT);
static struct list in_flight = LIST_INIT(in_flight); /* [flight_lock] unix_node.link */
static struct list users[NUM_USER_BUCKETS];          /* [flight_lock] */
static bool is_armed;      /* [flight_lock] the thread will look again by itself */
static uint32_t num_socks; /* [a] in flight */
static uint32_t wish;      /* [a] WISH_* */
static struct wait_queue gc_wait = WAIT_QUEUE_INIT(gc_wait);

/* ---- Charges -------------------------------------------------------------------------------- */

static struct user_flights *
user_find(uint32_t uid)
{
	struct user_flights *u;

	list_for_each(u, &users[uid % NUM_USER_BUCKETS], link)
		if (u->uid == uid)
			return u;
	return NULL;
}

/* The limit is looked at before: one message may go beyond it. */
static enum err
charge(uint32_t uid, unsigned num)
{
	struct user_flights *u = user_find(uid);

	if (u && u->num > current_process()->rlimits[RLIMIT_NOFILE].cur &&
	    !capable(CAP_SYS_RESOURCE) && !capable(CAP_SYS_ADMIN))
		return ERR_TOOMANYREFS;
	if (!u) {
		u = kzalloc(sizeof(*u));
		if (!u)
			return ERR_NOMEM;
		u->uid = uid;
		list_push_back(&users[uid % NUM_USER_BUCKETS], &u->link);
	}
	u->num += num;
	return OK;
}

static void
uncharge(uint32_t uid, unsigned num)
{
	struct user_flights *u = user_find(uid);

	u->num -= num;
	if (u->num)
		return;
	list_remove(&u->link);
	kfree(u);
}

/* ---- In flight -------------------------------------------------------------------------------- */

static struct unix_sock *
unix_of_file(const struct file *f)
{
	struct sock *sk = sock_of_file(f);

	return sk && sk->family == AF_UNIX ? unix_of(sk) : NULL;
}

static void
wake_thread(uint32_t what)
{
	__atomic_fetch_or(&wish, what, __ATOMIC_SEQ_CST);
	wait_queue_wake_all(&gc_wait);
}

static void
take_off_locked(struct unix_fds *fds)
{
	for (unsigned i = 0; i < fds->num; i++) {
		struct unix_sock *u = unix_of_file(fds->files[i]);

		if (!u || u->gc.num_flights++)
			continue;
		list_push_back(&in_flight, &u->gc.link);
		__atomic_store_n(&num_socks, num_socks + 1, __ATOMIC_RELAXED);
		if (!is_armed)
			wake_thread(WISH_ARM);
		is_armed = true;
	}
}

static void
land_locked(struct unix_fds *fds)
{
	fds->is_in_flight = false;
	uncharge(fds->uid, fds->num);
	for (unsigned i = 0; i < fds->num; i++) {
		struct unix_sock *u = unix_of_file(fds->files[i]);

		if (!u || --u->gc.num_flights)
			continue;
		list_remove(&u->gc.link);
		__atomic_store_n(&num_socks, num_socks - 1, __ATOMIC_RELAXED);
	}
}

static size_t collect(void);

enum err
unix_fds_take_off(struct unix_fds *fds)
{
	uint32_t uid = current_cred()->uid;
	enum err err;

	for (bool is_again = false;; is_again = true) {
		mutex_lock(&flight_lock);
		err = charge(uid, fds->num);
		if (err == OK) {
			fds->uid = uid;
			fds->is_in_flight = true;
			take_off_locked(fds);
		}
		mutex_unlock(&flight_lock);
		/* Garbage must not count against anybody. */
		if (err != ERR_TOOMANYREFS || is_again || !collect())
			return err;
	}
}

void
unix_fds_land(struct unix_fds *fds)
{
	if (!fds->is_in_flight)
		return;
	mutex_lock(&flight_lock);
	land_locked(fds);
	mutex_unlock(&flight_lock);
}

/* ---- Garbage ---------------------------------------------------------------------------------- */

static bool
is_only_in_flight(struct unix_node *n)
{
	const struct unix_sock *u = container_of(n, struct unix_sock, gc);

	return __atomic_load_n(&u->sock.file->refs, __ATOMIC_ACQUIRE) == n->num_flights;
}

static void
edges_of_queue(struct unix_sock *u, void (*fn)(struct unix_node *))
{
	spin_lock(&u->sock.lock);
	for (const struct unix_msg *m = u->first; m; m = m->next) {
		for (unsigned i = 0; m->fds && i < m->fds->num; i++) {
			struct unix_sock *to = unix_of_file(m->fds->files[i]);

			if (to)
				fn(&to->gc);
		}
	}
	spin_unlock(&u->sock.lock);
}

/* The connection after `prev` (NULL: the first) that waits at a listener nobody can reach: none is
 * accepted or closed meanwhile, there may be more. */
static struct unix_sock *
next_embryo(struct unix_sock *listener, struct unix_sock *prev)
{
	struct list *link;

	spin_lock(&listener->sock.lock);
	link = prev ? prev->embryo_link.next : listener->embryos.next;
	spin_unlock(&listener->sock.lock);
	return link == &listener->embryos
	           ? NULL
	           : list_entry(link, struct unix_sock, embryo_link);
}

static void
for_each_edge(struct unix_node *from, void (*fn)(struct unix_node *))
{
	struct unix_sock *u = container_of(from, struct unix_sock, gc), *child = NULL;

	edges_of_queue(u, fn);
	while ((child = next_embryo(u, child)))
		edges_of_queue(child, fn);
}

/* Files of all messages in u's queue. */
static void
take_queue_fds(struct unix_sock *u, struct list *hits)
{
	spin_lock(&u->sock.lock);
	for (struct unix_msg *m = u->first; m; m = m->next) {
		if (!m->fds)
			continue;
		list_push_back(hits, &m->fds->link);
		m->fds = NULL;
	}
	spin_unlock(&u->sock.lock);
}

static void
take_garbage(struct list *hits)
{
	struct unix_node *n;

	list_for_each(n, &in_flight, link) {
		struct unix_sock *u = container_of(n, struct unix_sock, gc);
		struct unix_sock *child = NULL;

		if (!n->is_candidate || n->is_reached)
			continue;
		take_queue_fds(u, hits);
		while ((child = next_embryo(u, child)))
			take_queue_fds(child, hits);
	}
}

/* How many sockets were found to be garbage; they are closed. */
static size_t
collect(void)
{
	static const struct unix_graph_ops ops = {
	    .is_only_in_flight = is_only_in_flight, .for_each_edge = for_each_edge};
	struct list hits = LIST_INIT(hits), *link;
	struct unix_fds *fds;
	size_t num;

	mutex_lock(&flight_lock);
	num = unix_graph_search(&in_flight, &ops);
	if (num)
		take_garbage(&hits);
	list_for_each(fds, &hits, link)
		land_locked(fds);
	mutex_unlock(&flight_lock);
	while ((link = list_pop_front(&hits)))
		unix_fds_drop(list_entry(link, struct unix_fds, link));
	return num;
}

void
unix_gc_kick(void)
{
	if (__atomic_load_n(&num_socks, __ATOMIC_RELAXED))
		wake_thread(WISH_NOW);
}

/* Whether the thread is to look again by itself. */
static bool
has_flights(void)
{
	bool has;

	mutex_lock(&flight_lock);
	has = is_armed = !list_is_empty(&in_flight);
	mutex_unlock(&flight_lock);
	return has;
}

static void
gc_thread(void *arg)
{
	nsec_t pause = PAUSE_MIN, deadline = NO_TIMEOUT;

	for (;;) {
		enum err err =
		    wait_event(&gc_wait, __atomic_load_n(&wish, __ATOMIC_RELAXED),
		        WAIT_INTERRUPTIBLE, deadline);
		uint32_t what = __atomic_exchange_n(&wish, 0, __ATOMIC_SEQ_CST);

		if (err != OK || (what & WISH_NOW))
			pause = collect() || (what & WISH_NOW)
			            ? PAUSE_MIN
			            : MIN(pause * 2, PAUSE_MAX);
		deadline = has_flights() ? clock_now_ns() + pause : NO_TIMEOUT;
	}
}

void
unix_gc_init(void)
{
	struct thread *t = thread_create_kernel("unix_gc", gc_thread, NULL);

	if (!t)
		panic("unix: no memory for the thread that collects");
	for (unsigned i = 0; i < NUM_USER_BUCKETS; i++)
		list_init(&users[i]);
	thread_start(t);
}
