/*
 * Local ports. A table a protocol: a keyed hash of ports in use, each with the sockets that share
 * it. The rules of who may share are Linux's (bind(2), SO_REUSEADDR and SO_REUSEPORT in
 * socket(7)); ephemeral ports are chosen by RFC 6056 algorithm 3: a hash of the connection gives
 * where to begin, a counter goes on from there.
 */
#include "kernel/panic.h"
#include "kernel/procfs.h"
#include "kernel/random.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/inet_priv.h"

enum {
	PORT_BUCKETS = 1024,
	EPHEMERAL_MIN = 32768,
	EPHEMERAL_MAX = 60999,
};

/* One port in use. */
struct port {
	struct list link; /* [bucket] */
	struct list
	    users; /* [bucket] inet_sock.bind_link; those that accepted come last */
	struct list holds;   /* [bucket] struct port_hold */
	uint32_t num_strict; /* [bucket] holds that do not share */
	uint16_t number;
	bool
	    is_by_connect; /* [bucket] only sockets that connect chose it for: more may share */
};

struct port_bucket {
	struct spinlock lock;
	struct list ports;
};

struct port_table {
	struct siphash_key key;
	uint32_t counter; /* [a] RFC 6056's next_ephemeral */
	struct port_bucket buckets[PORT_BUCKETS];
};

struct port_table tcp_ports, udp_ports, ping_ports;
static uint32_t port_range = /* [a] first, last */
    (uint32_t)EPHEMERAL_MIN << 16 | EPHEMERAL_MAX;

/* No keyed hash: only programs of this machine choose ports, and each has a number of its own. */
static struct port_bucket *
bucket_of(struct port_table *t, uint16_t port)
{
	return &t->buckets[port % PORT_BUCKETS];
}

/* Bucket lock held. */
static struct port *
port_find(const struct port_bucket *b, uint16_t number)
{
	struct port *p;

	list_for_each(p, &b->ports, link)
		if (p->number == number)
			return p;
	return NULL;
}

/* ---- Who may share ------------------------------------------------------------------------ */

static struct port_claim
claim_of(const struct inet_sock *is)
{
	return (struct port_claim){.local = is->local,
	    .bound_if = is->sock.bound_if,
	    .uid = is->sock.attr.uid,
	    .is_reuseaddr = is->sock.is_reuseaddr,
	    .is_reuseport = is->sock.is_reuseport,
	    .is_v6only = is->is_v6only,
	    .is_listening = is->sock.is_listening};
}

/* Can a packet be for both of them? Unspecified addresses take all of their family, and that of
 * IPv6 those of IPv4 too unless its socket says no. */
static bool
addresses_meet(const struct port_claim *a, const struct port_claim *b)
{
	bool a_any = ip_is_unspecified(&a->local), b_any = ip_is_unspecified(&b->local);
	bool a4 = ip_is_v4(&a->local), b4 = ip_is_v4(&b->local);

	if (a4 != b4) {
		const struct port_claim *six = a4 ? b : a;

		return ip_is_unspecified(&six->local) && !six->is_v6only;
	}
	return a_any || b_any || ip_equal(&a->local, &b->local);
}

/* Whether `a` may not have the port that `b` has. Ephemeral ports are shared by nobody. */
static bool
claims_conflict(const struct port_claim *a, const struct port_claim *b, bool is_ephemeral)
{
	if ((a->bound_if && b->bound_if && a->bound_if != b->bound_if) ||
	    !addresses_meet(a, b))
		return false;
	if (is_ephemeral)
		return true;
	if (a->is_reuseaddr && b->is_reuseaddr && !b->is_listening)
		return false;
	return !(a->is_reuseport && b->is_reuseport && (b->is_left || a->uid == b->uid));
}

/* Bucket lock held. */
static bool
port_conflicts(const struct port *p, const struct inet_sock *is, bool is_ephemeral)
{
	const struct port_claim mine = claim_of(is);
	const struct inet_sock *other;
	const struct port_hold *hold;

	list_for_each(other, &p->users, bind_link) {
		const struct port_claim its = claim_of(other);

		if (other != is && claims_conflict(&mine, &its, is_ephemeral))
			return true;
	}
	/* A busy server leaves thousands, and all of them let it have its port again. */
	if (mine.is_reuseaddr && !is_ephemeral && !p->num_strict)
		return false;
	list_for_each(hold, &p->holds, link)
		if (claims_conflict(&mine, &hold->claim, is_ephemeral))
			return true;
	return false;
}

/* ---- Taking and giving back ------------------------------------------------------------------ */

/* Bucket lock held. */
static void
port_add_user(struct port *p, struct inet_sock *is)
{
	list_push_front(&p->users, &is->bind_link);
	is->port = p;
	is->local_port = p->number;
}

/* Bucket lock held. `fresh`, which the caller made beforehand, becomes the port. */
static void
port_use_fresh(struct port_bucket *b, struct port **fresh, uint16_t number,
    struct inet_sock *is, bool is_by_connect)
{
	struct port *p = *fresh;

	*fresh = NULL;
	p->number = number;
	p->is_by_connect = is_by_connect;
	list_init(&p->users);
	list_init(&p->holds);
	p->num_strict = 0;
	list_push_front(&b->ports, &p->link);
	port_add_user(p, is);
}

static bool
try_bind(struct inet_sock *is, struct port_table *t, uint16_t number, bool is_ephemeral,
    struct port **fresh)
{
	struct port_bucket *b = bucket_of(t, number);
	struct port *p;
	bool is_mine = false;

	spin_lock(&b->lock);
	p = port_find(b, number);
	if (!p) {
		port_use_fresh(b, fresh, number, is, false);
		is_mine = true;
	} else if (!port_conflicts(p, is, is_ephemeral)) {
		p->is_by_connect = false;
		port_add_user(p, is);
		is_mine = true;
	}
	spin_unlock(&b->lock);
	return is_mine;
}

/* For connect: a port nobody bound, where the protocol says that the four-tuple is free. */
static bool
try_connect(struct inet_sock *is, struct port_table *t, uint16_t number,
    bool (*is_free)(struct inet_sock *, uint16_t), struct port **fresh)
{
	struct port_bucket *b = bucket_of(t, number);
	struct port *p;
	bool is_mine = false;

	spin_lock(&b->lock);
	p = port_find(b, number);
	if ((!p || p->is_by_connect) && is_free(is, number)) {
		if (p)
			port_add_user(p, is);
		else
			port_use_fresh(b, fresh, number, is, true);
		is_mine = true;
	}
	spin_unlock(&b->lock);
	return is_mine;
}

/* Where to begin looking: RFC 6056 3.3.3 for a connection, else anywhere. */
static uint32_t
first_offset(const struct inet_sock *is, struct port_table *t, bool is_connect)
{
	struct {
		struct ip_addr local, peer;
		uint64_t peer_port;
	} tuple = {is->local, is->peer, is->peer_port};

	if (!is_connect)
		return (uint32_t)random_u64();
	return (uint32_t)siphash13(&t->key, &tuple, sizeof(tuple)) +
	       __atomic_fetch_add(&t->counter, 1, __ATOMIC_RELAXED);
}

/* A connection that would begin where it ends, and be made (RFC 9293 3.5), not refused. */
static bool
meets_itself(const struct inet_sock *is, uint16_t port)
{
	return port == is->peer_port && ip_equal(&is->local, &is->peer);
}

static enum err
search(struct inet_sock *is, struct port_table *t,
    bool (*is_free)(struct inet_sock *, uint16_t), struct port **fresh)
{
	uint32_t range = __atomic_load_n(&port_range, __ATOMIC_RELAXED);
	uint32_t min = range >> 16, num = (range & 0xffff) - min + 1;
	uint32_t at = first_offset(is, t, is_free);

	for (uint32_t i = 0; i < num; i++) {
		uint16_t number = (uint16_t)(min + (at + i) % num);

		if (is_free && meets_itself(is, number))
			continue;
		if (is_free ? try_connect(is, t, number, is_free, fresh)
		            : try_bind(is, t, number, true, fresh))
			return OK;
	}
	return is_free ? ERR_ADDRNOTAVAIL : ERR_ADDRINUSE;
}

enum err
inet_bind_port(
    struct inet_sock *is, struct port_table *t, const struct ip_addr *addr, uint16_t port)
{
	const struct ip_addr was = is->local;
	struct port *fresh = kzalloc(sizeof(*fresh));
	enum err err = OK;

	if (!fresh)
		return ERR_NOMEM;
	is->local = *addr;
	if (!port)
		err = search(is, t, NULL, &fresh);
	else if (!try_bind(is, t, port, false, &fresh))
		err = ERR_ADDRINUSE;
	kfree(fresh);
	if (err != OK) {
		is->local = was;
		return err;
	}
	is->bind_addr = *addr;
	is->is_bound_port = port != 0;
	return OK;
}

enum err
inet_autobind(struct inet_sock *is, struct port_table *t,
    bool (*is_free)(struct inet_sock *, uint16_t port))
{
	struct port *fresh = kzalloc(sizeof(*fresh));
	enum err err;

	if (!fresh)
		return ERR_NOMEM;
	err = search(is, t, is_free, &fresh);
	kfree(fresh);
	return err == ERR_ADDRINUSE ? ERR_AGAIN : err;
}

void
inet_share_port(struct inet_sock *child, struct inet_sock *listener, struct port_table *t)
{
	struct port_bucket *b = bucket_of(t, listener->local_port);

	spin_lock(&b->lock);
	child->port = listener->port;
	child->local_port = listener->local_port;
	list_push_back(&child->port->users, &child->bind_link);
	spin_unlock(&b->lock);
}

enum err
inet_listen_port(struct inet_sock *is, struct port_table *t)
{
	struct port_bucket *b = bucket_of(t, is->local_port);
	bool conflicts;

	spin_lock(&b->lock);
	conflicts = port_conflicts(is->port, is, false);
	if (!conflicts)
		is->sock.is_listening = true;
	spin_unlock(&b->lock);
	return conflicts ? ERR_ADDRINUSE : OK;
}

/* One place less. Bucket lock held. Returns what is to be freed without it, or NULL. */
static struct port *
port_leave(struct port *p, struct list *link)
{
	list_remove(link);
	if (!list_is_empty(&p->users) || !list_is_empty(&p->holds))
		return NULL;
	list_remove(&p->link);
	return p;
}

void
inet_release_port(struct inet_sock *is, struct port_table *t)
{
	struct port_bucket *b;
	struct port *p = is->port;

	if (!p)
		return;
	b = bucket_of(t, is->local_port);
	spin_lock(&b->lock);
	p = port_leave(p, &is->bind_link);
	spin_unlock(&b->lock);
	kfree(p);
	is->port = NULL;
	is->local_port = 0;
}

void
inet_hold_port(struct port_hold *h, const struct inet_sock *is, struct port_table *t)
{
	struct port_bucket *b;

	*h = (struct port_hold){.claim = claim_of(is), .port = is->port};
	h->claim.is_left = true;
	if (!h->port)
		return;
	b = bucket_of(t, h->port->number);
	spin_lock(&b->lock);
	list_push_back(&h->port->holds, &h->link);
	h->port->num_strict += !h->claim.is_reuseaddr;
	spin_unlock(&b->lock);
}

void
inet_unhold_port(struct port_hold *h, struct port_table *t)
{
	struct port_bucket *b;
	struct port *p = h->port;

	if (!p)
		return;
	b = bucket_of(t, p->number);
	spin_lock(&b->lock);
	p->num_strict -= !h->claim.is_reuseaddr;
	p = port_leave(p, &h->link);
	spin_unlock(&b->lock);
	kfree(p);
}

unsigned
inet_port_users(struct port_table *t, uint16_t number, unsigned skip,
    struct inet_sock **users, unsigned max)
{
	struct port_bucket *b = bucket_of(t, number);
	struct inet_sock *is;
	struct port *p;
	unsigned n = 0;

	spin_lock(&b->lock);
	p = port_find(b, number);
	if (p) {
		list_for_each(is, &p->users, bind_link)
			if (skip)
				skip--;
			else if (n < max && sock_try_get(&is->sock))
				users[n++] = is;
	}
	spin_unlock(&b->lock);
	return n;
}

void
inet_ports_for_each(
    struct port_table *t, void (*fn)(struct inet_sock *, void *arg), void *arg)
{
	for (unsigned i = 0; i < PORT_BUCKETS; i++) {
		struct port_bucket *b = &t->buckets[i];
		struct inet_sock *is;
		struct port *p;

		spin_lock(&b->lock);
		list_for_each(p, &b->ports, link)
			list_for_each(is, &p->users, bind_link)
				fn(is, arg);
		spin_unlock(&b->lock);
	}
}

/* ---- Bring-up and settings ---------------------------------------------------------------------- */

static void
table_init(struct port_table *t)
{
	random_bytes(&t->key, sizeof(t->key));
	t->counter = (uint32_t)random_u64();
	for (unsigned i = 0; i < PORT_BUCKETS; i++) {
		spin_init(&t->buckets[i].lock, "ports", RANK_PORT_TABLE);
		list_init(&t->buckets[i].ports);
	}
}

static void
show_range(struct seq *s)
{
	uint32_t range = __atomic_load_n(&port_range, __ATOMIC_RELAXED);

	seq_printf(s, "%u\t%u\n", range >> 16, range & 0xffff);
}

static enum err
store_range(const char *text)
{
	uint32_t range[2];

	if (!sock_parse_numbers(text, range, 2) || !range[0] || range[0] > range[1] ||
	    range[1] > UINT16_MAX)
		return ERR_INVAL;
	__atomic_store_n(&port_range, range[0] << 16 | range[1], __ATOMIC_RELAXED);
	return OK;
}

void
inet_ports_init(void)
{
	table_init(&tcp_ports);
	table_init(&udp_ports);
	table_init(&ping_ports);
	if (proc_register_rw(
	        "sys/net/ipv4/ip_local_port_range", show_range, store_range) != OK)
		panic("ports: no memory for a file in /proc");
}
