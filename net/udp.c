/*
 * UDP (RFC 768; over IPv6 RFC 8200 8.1) with Linux's sockets: connected ones that hear of ICMP
 * errors, multicast and broadcast to all who want it, SO_REUSEPORT groups, corking.
 *
 * Lookup. One keyed hash holds every bound socket by what packets must match: a connected one by
 * its four-tuple, another by local address and port (the address may be unspecified). A packet
 * makes at most four probes. A socket's place is a node of its own, replaced by another when the
 * socket connects, so readers (RCU) never follow a node to another chain.
 *
 * Multicast and broadcast go to every user of the port that wants them: those lists are in the
 * port table.
 */
#include "kernel/random.h"
#include "lib/inet_csum.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "kernel/sync/rculist.h"
#include "net/filter.h"
#include "net/inet_opts.h"
#include "net/inet_priv.h"
#include "net/netdev.h"

enum {
	UDP_BUCKETS = 4096,
	UDP_MAX_PAYLOAD = 65535 - 8,
	UDP4_MAX_PAYLOAD = UDP_MAX_PAYLOAD - 20,
	MULTICAST_BATCH = 16,
};

struct udp_header {
	be16 src_port, dst_port, len, csum;
};

/* What packets must match. Of an unconnected socket peer is unspecified and peer_port 0. */
struct udp_key {
	struct ip_addr local, peer;
	uint16_t local_port, peer_port;
	uint32_t zero;
};

struct udp_node {
	struct list link; /* RCU, [bucket] */
	struct udp_key key;
	struct udp_sock *us;
	struct rcu_head rcu;
};

struct udp_sock {
	struct inet_sock is;   /* first */
	struct udp_node *node; /* [send_lock] its place in the table; NULL: none */
	bool is_corked;        /* UDP_CORK */
	bool is_no_check6_tx, is_no_check6_rx;
	uint16_t gso_size; /* UDP_SEGMENT; 0: off */
	/* MSG_MORE: a datagram that is being put together. [send_lock] */
	struct pkt *cork;
	struct inet_tx cork_tx;
};

static struct {
	struct spinlock lock;
	struct list nodes;
} buckets[UDP_BUCKETS];
static struct siphash_key table_key, balance_key;

static const struct sock_ops udp_ops;

/* ---- The table -------------------------------------------------------------------------------- */

static unsigned
bucket_of(const struct udp_key *key)
{
	return siphash13(&table_key, key, sizeof(*key)) % UDP_BUCKETS;
}

static void
node_free_late(struct rcu_head *head)
{
	kfree(container_of(head, struct udp_node, rcu));
}

/* send_lock held. */
static void
udp_unhash(struct udp_sock *us)
{
	struct udp_node *n = us->node;
	unsigned b;

	if (!n)
		return;
	b = bucket_of(&n->key);
	spin_lock(&buckets[b].lock);
	rcu_list_remove(&n->link);
	spin_unlock(&buckets[b].lock);
	us->node = NULL;
	rcu_call(&n->rcu, node_free_late);
}

/* send_lock held. Puts the socket where its addresses say; `n` is a node that was made before. */
static void
udp_hash(struct udp_sock *us, struct udp_node *n)
{
	const struct inet_sock *is = &us->is;
	unsigned b;

	n->us = us;
	n->key = (struct udp_key){.local = is->local, .local_port = is->local_port};
	if (is->is_connected) {
		n->key.peer = is->peer;
		n->key.peer_port = is->peer_port;
	}
	b = bucket_of(&n->key);
	spin_lock(&buckets[b].lock);
	rcu_list_push_front(&buckets[b].nodes, &n->link);
	spin_unlock(&buckets[b].lock);
	udp_unhash(us);
	us->node = n;
}

/* Whether the socket takes what comes in at this interface; the more exactly, the better. -1: no */
static int
udp_score(const struct udp_sock *us, unsigned ifindex)
{
	const struct sock *sk = &us->is.sock;

	if (sk->bound_if && sk->bound_if != ifindex)
		return -1;
	return (sk->bound_if ? 2 : 0) + (sk->family == AF_INET ? 1 : 0);
}

static bool
udp_matches(const struct udp_node *n, const struct udp_key *key, bool is_v4)
{
	return memcmp(&n->key, key, sizeof(*key)) == 0 && !(is_v4 && n->us->is.is_v6only);
}

/* The best of those under `key`; among equals that share by SO_REUSEPORT the flow's hash picks. */
static struct udp_sock *
udp_probe(
    const struct udp_key *key, unsigned ifindex, const struct udp_key *flow, bool is_v4)
{
	struct list *nodes = &buckets[bucket_of(key)].nodes;
	struct udp_sock *best = NULL;
	int best_score = -1;
	unsigned num = 0, pick;
	struct udp_node *n;

	rcu_list_for_each(n, nodes, link)
	{
		int score = udp_matches(n, key, is_v4) ? udp_score(n->us, ifindex) : -1;

		if (score > best_score) {
			best = n->us;
			best_score = score;
			num = 1;
		} else if (score == best_score && score >= 0) {
			num++;
		}
	}
	if (num < 2 || !best->is.sock.is_reuseport)
		return best;
	pick =
	    (unsigned)((siphash13(&balance_key, flow, sizeof(*flow)) >> 32) * num >> 32);
	rcu_list_for_each(n, nodes, link) if (udp_matches(n, key, is_v4) &&
	                                      udp_score(n->us, ifindex) == best_score &&
	                                      pick-- == 0) return n->us;
	return best;
}

/* Under RCU: the socket for a packet, or NULL: connected, then bound to the address, then to any of
 * its family, then to any at all. */
static struct udp_sock *
udp_lookup(const struct ip_addr *local, uint16_t local_port, const struct ip_addr *peer,
    uint16_t peer_port, unsigned ifindex)
{
	struct udp_key key = {
	    .local = *local,
	    .peer = *peer,
	    .local_port = local_port,
	    .peer_port = peer_port,
	};
	const struct udp_key flow = key;
	bool is_v4 = ip_is_v4(local);
	struct udp_sock *us = udp_probe(&key, ifindex, &flow, is_v4), *six;

	if (us)
		return us;
	key.peer = ip_any;
	key.peer_port = 0;
	us = udp_probe(&key, ifindex, &flow, is_v4);
	if (us)
		return us;
	key.local = ip_any;
	six = udp_probe(&key, ifindex, &flow, is_v4);
	if (!is_v4)
		return six;
	key.local = ip4_any;
	us = udp_probe(&key, ifindex, &flow, false);
	if (us && six)
		return udp_score(six, ifindex) > udp_score(us, ifindex) ? six : us;
	return us ? us : six;
}

/* ---- Receiving ------------------------------------------------------------------------------------ */

static void
count(const struct pkt *p, enum mib v4, enum mib v6)
{
	mib_inc(ip_is_v4(&p->ip.dst) ? v4 : v6);
}

/* Into the socket's queue. Takes the packet. */
static void
udp_deliver(struct udp_sock *us, struct pkt *p, uint16_t src_port, uint16_t dst_port)
{
	struct inet_sock *is = &us->is;
	uint32_t keep = filter_run(&is->sock, p);

	if (!keep || p->ip.ttl < (ip_is_v4(&p->ip.dst) ? is->min_ttl : is->min_hops6)) {
		__atomic_fetch_add(&is->sock.drops, 1, __ATOMIC_RELAXED);
		pkt_drop(p, DROP_SOCK_FILTER);
		return;
	}
	if (keep < pkt_len(p))
		pkt_trim(p, MAX(keep, (uint32_t)sizeof(struct udp_header)));
	(void)pkt_pull(p, sizeof(struct udp_header)); /* it was looked at: it is there */
	inet_rx_remember(p, src_port, dst_port);
	count(p, MIB_Udp_InDatagrams, MIB_Udp6_InDatagrams);
	if (sock_queue_rx(&is->sock, p))
		return;
	count(p, MIB_Udp_RcvbufErrors, MIB_Udp6_RcvbufErrors);
	count(p, MIB_Udp_InErrors, MIB_Udp6_InErrors);
	pkt_drop(p, DROP_SOCK_RCVBUF);
}

/* Does this socket want a packet to a group, or a broadcast? */
static bool
wants_multicast(struct inet_sock *is, const struct pkt *p, uint16_t src_port)
{
	bool is_v4 = ip_is_v4(&p->ip.dst);
	const struct sock *sk = &is->sock;

	if (sk->bound_if && sk->bound_if != p->dev->index)
		return false;
	if (is_v4 ? is->is_v6only : sk->family != AF_INET6)
		return false;
	if (is->is_connected &&
	    (is->peer_port != src_port || !ip_equal(&is->peer, &p->ip.src)))
		return false;
	if (!ip_is_unspecified(&is->local) && !ip_equal(&is->local, &p->ip.dst))
		return false;
	return !ip_is_multicast(&p->ip.dst) ||
	       inet_mc_wants(is, &p->ip.dst, &p->ip.src, p->dev->index);
}

/* A copy for each who wants it. Takes the packet. */
static void
udp_deliver_all(struct pkt *p, uint16_t src_port, uint16_t dst_port)
{
	struct inet_sock *users[MULTICAST_BATCH];
	bool is_wanted = false;
	unsigned skip = 0, n;

	do {
		n = inet_port_users(&udp_ports, dst_port, skip, users, MULTICAST_BATCH);
		skip += n;
		for (unsigned i = 0; i < n; i++) {
			if (wants_multicast(users[i], p, src_port)) {
				struct pkt *copy = pkt_clone(p);

				is_wanted = true;
				if (copy)
					udp_deliver((struct udp_sock *)users[i], copy,
					    src_port, dst_port);
				else
					drop_count(DROP_NO_MEMORY);
			}
			sock_put(&users[i]->sock);
		}
	} while (n == MULTICAST_BATCH);
	if (is_wanted) {
		pkt_free(p);
		return;
	}
	count(p, MIB_Udp_IgnoredMulti, MIB_Udp6_IgnoredMulti);
	pkt_drop(p, DROP_UDP_NO_SOCKET);
}

/* Lengths and checksum; false: dropped. RFC 768; 0 says there is none, over IPv6 it is refused. */
static bool
udp_check(struct pkt *p, struct udp_header *h)
{
	const struct udp_header *at = pkt_need(p, sizeof(*h));
	bool is_v4 = ip_is_v4(&p->ip.dst), has_csum;
	enum drop_reason why = DROP_UDP_BAD;
	uint16_t len;

	if (!at)
		goto drop;
	*h = *at;
	len = be16_get(h->len);
	if (len < sizeof(*h) || len > pkt_len(p))
		goto drop;
	pkt_trim(p, len);
	has_csum = be16_get(h->csum);
	if (has_csum ? ip_csum_ok(p) : is_v4)
		return true;
	count(p, MIB_Udp_InCsumErrors, MIB_Udp6_InCsumErrors);
	why = DROP_UDP_CSUM;
drop:
	count(p, MIB_Udp_InErrors, MIB_Udp6_InErrors);
	pkt_drop(p, why);
	return false;
}

static bool
udp_input(struct pkt *p)
{
	struct udp_header h;
	struct udp_sock *us;
	uint16_t src_port, dst_port;

	if (!udp_check(p, &h))
		return true;
	src_port = be16_get(h.src_port);
	dst_port = be16_get(h.dst_port);
	if (ip_is_multicast(&p->ip.dst) || ip_is_broadcast(&p->ip.dst) ||
	    (p->flags & (PKT_BROADCAST | PKT_MULTICAST))) {
		udp_deliver_all(p, src_port, dst_port);
		return true;
	}
	us = udp_lookup(&p->ip.dst, dst_port, &p->ip.src, src_port, p->dev->index);
	if (us) {
		udp_deliver(us, p, src_port, dst_port);
		return true;
	}
	count(p, MIB_Udp_NoPorts, MIB_Udp6_NoPorts);
	drop_count(DROP_UDP_NO_SOCKET);
	return false;
}

static void
udp_error(const struct ip_error *e)
{
	struct udp_header h;
	struct udp_sock *us;

	if (e->transport_len < sizeof(h))
		return;
	memcpy(&h, e->transport, sizeof(h));
	us = udp_lookup(&e->src, be16_get(h.src_port), &e->dst, be16_get(h.dst_port),
	    e->dev ? e->dev->index : 0);
	if (us)
		inet_icmp_error(&us->is, e, be16_get(h.dst_port), us->is.is_connected);
}

const struct ip_proto udp_proto = {.name = "udp", .input = udp_input, .error = udp_error};

/* ---- Sending ---------------------------------------------------------------------------------------- */

/* Header, and the checksum's start: the device does the rest, or whoever cuts the packet. */
static enum err
udp_put_header(struct udp_sock *us, struct pkt *p, const struct inet_tx *tx)
{
	struct udp_header *h = pkt_push(p, sizeof(*h));
	bool is_v4 = ip_is_v4(&tx->ip.dst);
	uint32_t len, sum;

	if (!h)
		return ERR_NOBUFS;
	len = (uint32_t)pkt_len(p);
	*h = (struct udp_header){
	    .src_port = be16_of(us->is.local_port),
	    .dst_port = be16_of(tx->port),
	    .len = be16_of((uint16_t)len),
	};
	p->l4_off = (uint16_t)(p->data - p->head);
	if (is_v4 ? us->is.sock.is_no_check : us->is_no_check6_tx)
		return OK;
	sum = ip_pseudo_csum(&tx->ip.src, &tx->ip.dst, IP_PROTO_UDP, len);
	h->csum = be16_of((uint16_t)~csum_finish(sum));
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = p->l4_off;
	p->csum_offset = offsetof(struct udp_header, csum);
	return OK;
}

/* One whole datagram, payload filled in. Takes packet. */
static enum err
udp_push(struct udp_sock *us, struct pkt *p, struct inet_tx *tx)
{
	bool is_v4 = ip_is_v4(&tx->ip.dst);
	enum err err = udp_put_header(us, p, tx);

	if (err != OK) {
		pkt_drop(p, DROP_NO_MEMORY);
		return err;
	}
	inet_tx_charge(&us->is.sock, p);
	mib_inc(is_v4 ? MIB_Udp_OutDatagrams : MIB_Udp6_OutDatagrams);
	net_burst_begin();
	err = ip_send(p, tx->dst, &tx->ip);
	net_burst_end();
	if (err == OK)
		inet_tx_stamp(&us->is, tx);
	if (err == ERR_MSGSIZE)
		inet_local_error(&us->is, &tx->ip.dst, tx->port, err, tx->dst->mtu);
	if (err == ERR_NOBUFS) {
		/* The device's queue is full: as if it were lost on the wire, unless the program
		 * asked to hear of such things (udp(7)). */
		mib_inc(is_v4 ? MIB_Udp_SndbufErrors : MIB_Udp6_SndbufErrors);
		if (!(is_v4 ? us->is.is_recverr : us->is.is_recverr6))
			err = OK;
	}
	return err;
}

/* The payload from memory. */
static enum err
udp_fill(struct pkt **out, struct uio *uio, size_t n)
{
	struct pkt *p = pkt_alloc(MIN(n, (size_t)PKT_LINEAR));
	long err;

	if (!p)
		return ERR_NOBUFS;
	err = pkt_fill_from_uio(p, uio, n);
	if (err != OK) {
		pkt_free(p);
		return (enum err)err;
	}
	*out = p;
	return OK;
}

/* UDP_SEGMENT: one call, many datagrams of one size. */
static enum err
udp_send_segments(struct udp_sock *us, struct inet_tx *tx, struct uio *uio, size_t n)
{
	enum { MAX_SEGMENTS = 128 };
	enum err err = OK;

	if (n > (size_t)tx->gso_size * MAX_SEGMENTS ||
	    tx->gso_size + sizeof(struct udp_header) + ip_header_len(&tx->ip.dst) >
	        tx->dst->mtu)
		return ERR_INVAL;
	while (n && err == OK) {
		size_t piece = MIN(n, (size_t)tx->gso_size);
		struct pkt *p;

		err = udp_fill(&p, uio, piece);
		if (err == OK)
			err = udp_push(us, p, tx);
		n -= piece;
	}
	return err;
}

/* A port of its own, if it has none yet. send_lock held. */
static enum err
udp_autobind(struct udp_sock *us)
{
	struct udp_node *n;
	enum err err;

	if (us->is.local_port)
		return OK;
	n = kzalloc(sizeof(*n));
	if (!n)
		return ERR_NOBUFS;
	err = inet_autobind(&us->is, &udp_ports, NULL);
	if (err == OK)
		udp_hash(us, n);
	else
		kfree(n);
	return err;
}

/* send_lock held. Ends the datagram that was put together, sent or thrown away. */
static enum err
cork_end(struct udp_sock *us, bool is_sent)
{
	struct pkt *p = us->cork;
	enum err err = OK;

	if (!p)
		return OK;
	us->cork = NULL;
	if (is_sent)
		err = udp_push(us, p, &us->cork_tx);
	else
		pkt_free(p);
	dst_put(us->cork_tx.dst);
	return err;
}

/* Makes room for n more bytes in the corked datagram: it is copied together, corks are rare. */
static enum err
cork_append(struct udp_sock *us, struct uio *uio, size_t n)
{
	struct pkt *p = us->cork, *whole;
	size_t had = pkt_len(p);
	void *to;

	if (had + n > UDP_MAX_PAYLOAD)
		return ERR_MSGSIZE;
	whole = pkt_alloc(had + n);
	if (!whole)
		return ERR_NOBUFS;
	to = pkt_put(whole, had + n);
	if (!to || !pkt_read(p, 0, to, had) ||
	    uio_copy_from(uio, (uint8_t *)to + had, n) != n) {
		pkt_free(whole);
		return to ? ERR_FAULT : ERR_NOBUFS;
	}
	pkt_free(p);
	us->cork = whole;
	return OK;
}

/* send_lock held. With MSG_MORE or UDP_CORK, or after them. */
static long
udp_send_corked(struct udp_sock *us, struct sock_msg *msg, size_t n, bool has_more)
{
	enum err err;

	if (!us->cork) {
		err = inet_tx_init(&us->cork_tx, &us->is, msg);
		if (err == OK && !us->cork_tx.port)
			err = ERR_INVAL;
		if (err == OK)
			err = udp_autobind(us);
		if (err == OK)
			err = inet_tx_route(&us->cork_tx, &us->is);
		if (err != OK)
			return err;
		us->cork = pkt_alloc(0);
		if (!us->cork) {
			dst_put(us->cork_tx.dst);
			return ERR_NOBUFS;
		}
	}
	err = cork_append(us, msg->uio, n);
	if (err != OK || !has_more) {
		enum err sent = cork_end(us, err == OK);

		if (err == OK)
			err = sent;
	}
	return err != OK ? err : (long)n;
}

static long
udp_send_one(struct udp_sock *us, struct sock_msg *msg, size_t n)
{
	struct inet_tx tx;
	struct pkt *p;
	enum err err = inet_tx_init(&tx, &us->is, msg);

	if (err == OK && !tx.port)
		err = ERR_INVAL;
	if (err == OK && !us->is.local_port) {
		mutex_lock(&us->is.sock.send_lock);
		err = udp_autobind(us);
		mutex_unlock(&us->is.sock.send_lock);
	}
	if (err == OK)
		err = inet_tx_wait(&us->is.sock, msg);
	if (err == OK)
		err = inet_tx_route(&tx, &us->is);
	if (err != OK)
		return err;
	if (!tx.gso_size)
		tx.gso_size = us->gso_size;
	if (tx.gso_size && n > tx.gso_size) {
		err = udp_send_segments(us, &tx, msg->uio, n);
	} else {
		err = udp_fill(&p, msg->uio, n);
		if (err == OK)
			err = udp_push(us, p, &tx);
	}
	dst_put(tx.dst);
	return err != OK ? err : (long)n;
}

static long
udp_send(struct sock *sk, struct sock_msg *msg)
{
	struct udp_sock *us = (struct udp_sock *)sk;
	bool has_more = us->is_corked || (msg->flags & MSG_MORE);
	size_t n = msg->uio->resid;
	long result;

	if (n > (sk->family == AF_INET ? UDP4_MAX_PAYLOAD : UDP_MAX_PAYLOAD))
		return ERR_MSGSIZE;
	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	if (!has_more && !__atomic_load_n(&us->cork, __ATOMIC_RELAXED))
		return udp_send_one(us, msg, n);
	mutex_lock(&sk->send_lock);
	result = inet_tx_wait(sk, msg);
	if (result == OK)
		result = udp_send_corked(us, msg, n, has_more);
	mutex_unlock(&sk->send_lock);
	return result;
}

/* ---- The other operations ------------------------------------------------------------------------------ */

static enum err
udp_bind(struct sock *sk, const struct sock_addr *a)
{
	struct udp_sock *us = (struct udp_sock *)sk;
	struct udp_node *n = kzalloc(sizeof(*n));
	enum err err;

	if (!n)
		return ERR_NOBUFS;
	err = inet_bind(&us->is, a, &udp_ports);
	if (err != OK) {
		kfree(n);
		return err;
	}
	mutex_lock(&sk->send_lock);
	udp_hash(us, n);
	mutex_unlock(&sk->send_lock);
	return OK;
}

/* send_lock held. connect to AF_UNSPEC: an ephemeral port goes, a bound one stays. */
static void
udp_disconnect(struct udp_sock *us, struct udp_node *n)
{
	inet_dgram_disconnect(&us->is);
	if (us->is.local_port && us->is.is_bound_port) {
		udp_hash(us, n);
		return;
	}
	kfree(n);
	udp_unhash(us);
	inet_release_port(&us->is, &udp_ports);
}

static enum err
udp_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	struct udp_sock *us = (struct udp_sock *)sk;
	struct udp_node *n;
	enum err err = OK;

	if (a->len < sizeof(a->family))
		return ERR_INVAL;
	n = kzalloc(sizeof(*n));
	if (!n)
		return ERR_NOBUFS;
	mutex_lock(&sk->send_lock);
	if (a->family == AF_UNSPEC) {
		udp_disconnect(us, n);
		goto unlock;
	}
	err = udp_autobind(us);
	if (err == OK)
		err = inet_dgram_connect(&us->is, a);
	if (err == OK)
		udp_hash(us, n);
	else
		kfree(n);
unlock:
	mutex_unlock(&sk->send_lock);
	return err;
}

static void
udp_close(struct sock *sk)
{
	struct udp_sock *us = (struct udp_sock *)sk;

	mutex_lock(&sk->send_lock);
	sk->shutdown = SOCK_NO_RECV | SOCK_NO_SEND;
	(void)cork_end(us, false); /* nothing is sent: nothing to fail */
	udp_unhash(us);
	inet_release_port(&us->is, &udp_ports);
	inet_mc_fini(&us->is);
	mutex_unlock(&sk->send_lock);
}

static enum err
udp_set_cork(struct udp_sock *us, bool is_on)
{
	enum err err = OK;

	mutex_lock(&us->is.sock.send_lock);
	us->is_corked = is_on;
	if (!is_on)
		err = cork_end(us, true);
	mutex_unlock(&us->is.sock.send_lock);
	return err;
}

static enum err
udp_setsockopt(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	struct udp_sock *us = (struct udp_sock *)sk;
	int32_t v;

	if (level != SOL_UDP)
		return inet_setsockopt(&us->is, level, opt, val, len);
	if (len < sizeof(v))
		return ERR_INVAL;
	memcpy(&v, val, sizeof(v));
	switch (opt) {
	case UDP_CORK: return udp_set_cork(us, v);
	case UDP_NO_CHECK6_TX: us->is_no_check6_tx = v; return OK;
	case UDP_NO_CHECK6_RX: us->is_no_check6_rx = v; return OK;
	case UDP_SEGMENT:
		if (v < 0 || v > UINT16_MAX)
			return ERR_INVAL;
		us->gso_size = (uint16_t)v;
		return OK;
	case UDP_GRO: us->is.is_gro = v; return OK;
	default: return ERR_NOPROTOOPT;
	}
}

static enum err
udp_getsockopt(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	struct udp_sock *us = (struct udp_sock *)sk;
	int32_t v;

	if (level != SOL_UDP)
		return inet_getsockopt(&us->is, level, opt, val, len);
	switch (opt) {
	case UDP_CORK: v = us->is_corked; break;
	case UDP_NO_CHECK6_TX: v = us->is_no_check6_tx; break;
	case UDP_NO_CHECK6_RX: v = us->is_no_check6_rx; break;
	case UDP_SEGMENT: v = us->gso_size; break;
	case UDP_GRO: v = us->is.is_gro; break;
	default: return ERR_NOPROTOOPT;
	}
	*len = MIN(*len, (unsigned)sizeof(v));
	memcpy(val, &v, *len);
	return OK;
}

static const struct sock_ops udp_ops = {
    .name = "UDP",
    .bind = udp_bind,
    .connect = udp_connect,
    .send = udp_send,
    .recv = inet_recv,
    .poll = inet_dgram_poll,
    .shutdown = inet_dgram_shutdown,
    .close = udp_close,
    .getname = inet_dgram_getname,
    .setsockopt = udp_setsockopt,
    .getsockopt = udp_getsockopt,
    .ioctl = inet_dgram_ioctl,
    .destroy = inet_dgram_destroy,
};

struct sock *
udp_sock_create(int family)
{
	struct udp_sock *us = kzalloc(sizeof(*us));

	if (!us)
		return NULL;
	inet_sock_init(&us->is, &udp_ops, family, SOCK_DGRAM, IP_PROTO_UDP);
	return &us->is.sock;
}

void
udp_init(void)
{
	random_bytes(&table_key, sizeof(table_key));
	random_bytes(&balance_key, sizeof(balance_key));
	for (unsigned i = 0; i < UDP_BUCKETS; i++) {
		spin_init(&buckets[i].lock, "udp", RANK_NET_TABLE);
		list_init(&buckets[i].nodes);
	}
}
