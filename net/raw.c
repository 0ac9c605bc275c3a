/*
 * Raw sockets: datagrams of one protocol number, over IPv4 with the IP header when they come in
 * (and with IP_HDRINCL when they go out), over IPv6 without (raw(7), RFC 3542 3). Every socket
 * that matches gets a copy, before the transport has the packet.
 *
 * The table is one list a protocol, read under RCU; a socket is in it from creation to close.
 */
#include "net/raw.h"

#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "net/filter.h"
#include "net/inet_opts.h"
#include "net/inet_priv.h"
#include "net/ip4.h"
#include "net/netdev.h"

enum {
	ICMP_FILTER = 1,  /* level SOL_RAW */
	ICMP6_FILTER = 1, /* level SOL_ICMPV6 */
	ICMP6_CSUM_OFF = 2,
	NUM_PROTOS = 256,
};

struct raw_sock {
	struct inet_sock is;  /* first */
	uint32_t icmp_filter; /* bits of types that are not wanted */
	uint32_t icmp6_filter[8];
	int32_t csum_off; /* IPV6_CHECKSUM: where in the data; -1: none */
};

static struct list protos[NUM_PROTOS]; /* RCU, [table_lock] inet_sock.hash_link */
static struct spinlock table_lock = SPINLOCK_INIT("raw", RANK_NET_TABLE);

/* ---- Receiving ------------------------------------------------------------------------------- */

static bool
passes_icmp_filter(const struct raw_sock *rs, const struct pkt *p)
{
	uint8_t type;

	if (rs->is.sock.proto != IP_PROTO_ICMP && rs->is.sock.proto != IP_PROTO_ICMP6)
		return true;
	if (!pkt_read(p, 0, &type, sizeof(type)))
		return false;
	if (rs->is.sock.proto == IP_PROTO_ICMP)
		return type >= 32 || !(rs->icmp_filter >> type & 1);
	return !(rs->icmp6_filter[type / 32] >> type % 32 & 1);
}

static bool
raw_matches(const struct inet_sock *is, const struct ip_addr *local,
    const struct ip_addr *peer, unsigned ifindex)
{
	if ((is->sock.family == AF_INET) != ip_is_v4(local))
		return false;
	if (is->sock.bound_if && is->sock.bound_if != ifindex)
		return false;
	if (!ip_is_unspecified(&is->local) && !ip_equal(&is->local, local))
		return false;
	return !is->is_connected || ip_equal(&is->peer, peer);
}

/* A wrong checksum where the socket asked for checking: not for it. */
static bool
csum_is_right(const struct raw_sock *rs, const struct pkt *p)
{
	uint32_t sum;

	if (rs->csum_off < 0 || rs->is.sock.proto == IP_PROTO_ICMP6)
		return true; /* ICMPv6 checks its own */
	sum = ip_pseudo_csum(
	    &p->ip.src, &p->ip.dst, rs->is.sock.proto, (uint32_t)pkt_len(p));
	return csum_finish(pkt_csum(p, 0, pkt_len(p), sum)) == 0;
}

/* Takes the copy, whose data is where the socket's data begins. */
static void
raw_queue(struct raw_sock *rs, struct pkt *p)
{
	uint32_t keep = filter_run(&rs->is.sock, p);

	if (!keep) {
		pkt_drop(p, DROP_SOCK_FILTER);
		return;
	}
	pkt_trim(p, keep);
	inet_rx_remember(p, 0, 0);
	if (!sock_queue_rx(&rs->is.sock, p))
		pkt_drop(p, DROP_SOCK_RCVBUF);
}

static bool
raw_input(struct pkt *p, bool has_header)
{
	struct inet_sock *is;
	bool is_wanted = false;

	rcu_list_for_each(is, &protos[p->ip.proto], hash_link)
	{
		struct raw_sock *rs = (struct raw_sock *)is;
		struct pkt *copy;

		if (!raw_matches(is, &p->ip.dst, &p->ip.src, p->dev->index))
			continue;
		is_wanted = true;
		if (!passes_icmp_filter(rs, p) || !csum_is_right(rs, p))
			continue;
		if (ip_is_multicast(&p->ip.dst) &&
		    !inet_mc_wants(is, &p->ip.dst, &p->ip.src, p->dev->index))
			continue;
		copy = pkt_clone(p);
		if (!copy) {
			drop_count(DROP_NO_MEMORY);
			continue;
		}
		if (has_header)
			copy->data = copy->head + copy->l3_off;
		raw_queue(rs, copy);
	}
	return is_wanted;
}

bool
raw4_input(struct pkt *p)
{
	return raw_input(p, true);
}

bool
raw6_input(struct pkt *p)
{
	return raw_input(p, false);
}

static void
raw_error(const struct ip_error *e, uint8_t proto)
{
	struct inet_sock *is;

	rcu_list_for_each(is, &protos[proto],
	    hash_link) if (raw_matches(is, &e->src, &e->dst, e->dev ? e->dev->index : 0))
	    inet_icmp_error(is, e, 0, is->is_connected);
}

void
raw4_error(const struct ip_error *e, uint8_t proto)
{
	raw_error(e, proto);
}

void
raw6_error(const struct ip_error *e, uint8_t proto)
{
	raw_error(e, proto);
}

static long
raw_recv(struct sock *sk, struct sock_msg *msg)
{
	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	return inet_recv(sk, msg);
}

/* ---- Sending ------------------------------------------------------------------------------------ */

/* The program made the header: fills in what raw(7) says, checks the rest. Takes the packet. */
static enum err
send_with_header(struct raw_sock *rs, struct pkt *p, struct inet_tx *tx)
{
	struct ip4_header *h = pkt_need(p, sizeof(*h));
	unsigned hdr_len = h ? (h->ver_ihl & 15u) * 4 : 0;
	enum err err = ERR_INVAL;

	if (!h || hdr_len < sizeof(*h) || !(h = pkt_need(p, hdr_len)))
		goto drop;
	err = ERR_MSGSIZE;
	if (pkt_len(p) > tx->dst->mtu)
		goto drop;
	h->len = be16_of((uint16_t)pkt_len(p));
	if (!be32_get(h->src))
		h->src = tx->ip.src.v4;
	if (!be16_get(h->id))
		h->id = be16_of((uint16_t)random_u64());
	p->l3_off = (uint16_t)(p->data - p->head);
	p->l4_off = (uint16_t)(p->l3_off + hdr_len);
	p->protocol = 0x0800;
	ip4_set_csum(h, hdr_len);
	inet_tx_charge(&rs->is.sock, p);
	mib_inc(MIB_Ip_OutRequests);
	mib_add(MIB_IpExt_OutOctets, pkt_len(p));
	rcu_read_lock();
	err = ip4_output(p, tx->dst);
	rcu_read_unlock();
	return err;
drop:
	pkt_drop(p, DROP_IP_SHORT);
	return err;
}

/* The same over IPv6: what the header says becomes what ip_send is told. */
static enum err
take_header6(struct pkt *p, struct inet_tx *tx)
{
	const struct ip6_header *h = pkt_need(p, sizeof(*h));
	uint32_t word;

	if (!h)
		return ERR_INVAL;
	word = be32_get(h->ver_tc_flow);
	if (word >> 28 != 6)
		return ERR_INVAL;
	tx->ip.tos = (uint8_t)(word >> 20);
	tx->ip.flow_label = word & 0xfffff;
	tx->ip.ttl = h->hop_limit;
	tx->ip.proto = h->next;
	memcpy(tx->ip.src.b, h->src, sizeof(h->src));
	(void)pkt_pull(p, sizeof(*h)); /* it is there: it was needed */
	return OK;
}

/* RFC 3542 3.1: the checksum at the offset the program named, over the pseudo header too. */
static enum err
put_csum(const struct raw_sock *rs, struct pkt *p, const struct inet_tx *tx)
{
	size_t len = pkt_len(p), off = (size_t)rs->csum_off;
	be16 csum = be16_of(0);
	uint32_t sum;

	if (rs->csum_off < 0)
		return OK;
	if (off + sizeof(csum) > len || !pkt_writable(p, 0) ||
	    !pkt_write(p, off, &csum, sizeof(csum)))
		return ERR_INVAL;
	sum = ip_pseudo_csum(&tx->ip.src, &tx->ip.dst, tx->ip.proto, (uint32_t)len);
	csum = be16_of(csum_finish(pkt_csum(p, 0, len, sum)));
	return pkt_write(p, off, &csum, sizeof(csum)) ? OK : ERR_INVAL;
}

/* Takes the packet. */
static enum err
raw_push(struct raw_sock *rs, struct pkt *p, struct inet_tx *tx)
{
	bool is_v4 = ip_is_v4(&tx->ip.dst);
	enum err err;

	if (is_v4 && rs->is.is_hdrincl)
		return send_with_header(rs, p, tx);
	err = is_v4 ? OK : rs->is.is_hdrincl ? take_header6(p, tx) : put_csum(rs, p, tx);
	if (err != OK) {
		pkt_drop(p, DROP_IP_SHORT);
		return err;
	}
	inet_tx_charge(&rs->is.sock, p);
	p->l4_off = (uint16_t)(p->data - p->head);
	if (!rs->is.is_hdrincl)
		mib_icmp_sent(p, tx->ip.proto);
	err = ip_send(p, tx->dst, &tx->ip);
	if (err == ERR_MSGSIZE)
		inet_local_error(&rs->is, &tx->ip.dst, 0, err, tx->dst->mtu);
	return err == ERR_NOBUFS && !rs->is.is_recverr && !rs->is.is_recverr6 ? OK : err;
}

static long
raw_send(struct sock *sk, struct sock_msg *msg)
{
	struct raw_sock *rs = (struct raw_sock *)sk;
	size_t n = msg->uio->resid;
	struct inet_tx tx;
	struct pkt *p;
	enum err err;

	if (n > PKT_MAX_LEN)
		return ERR_MSGSIZE;
	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	err = inet_tx_init(&tx, &rs->is, msg);
	if (err == OK && sk->family == AF_INET6 && tx.port && tx.port != sk->proto)
		err = ERR_INVAL;
	if (err == OK)
		err = inet_tx_wait(sk, msg);
	if (err == OK)
		err = inet_tx_route(&tx, &rs->is);
	if (err != OK)
		return err;
	p = pkt_alloc(MIN(n, (size_t)PKT_LINEAR));
	err = p ? (enum err)pkt_fill_from_uio(p, msg->uio, n) : ERR_NOBUFS;
	if (err == OK)
		err = raw_push(rs, p, &tx);
	else
		pkt_free(p);
	dst_put(tx.dst);
	return err != OK ? err : (long)n;
}

/* ---- The other operations -------------------------------------------------------------------------- */

static enum err
raw_bind(struct sock *sk, const struct sock_addr *a)
{
	struct inet_sock *is = (struct inet_sock *)sk;
	struct ip_addr addr;
	uint16_t port;
	enum err err;

	if (is->is_connected)
		return ERR_INVAL;
	err = inet_bind_address(is, a, &addr, &port);
	if (err != OK)
		return err;
	spin_lock(&sk->lock);
	is->local = is->bind_addr = addr;
	spin_unlock(&sk->lock);
	return OK;
}

static enum err
raw_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	struct inet_sock *is = (struct inet_sock *)sk;
	enum err err = OK;

	if (a->len < sizeof(a->family))
		return ERR_INVAL;
	mutex_lock(&sk->send_lock);
	if (a->family == AF_UNSPEC)
		inet_dgram_disconnect(is);
	else
		err = inet_dgram_connect(is, a);
	mutex_unlock(&sk->send_lock);
	return err;
}

static void
raw_close(struct sock *sk)
{
	struct inet_sock *is = (struct inet_sock *)sk;

	spin_lock(&table_lock);
	rcu_list_remove(&is->hash_link);
	spin_unlock(&table_lock);
	mutex_lock(&sk->send_lock);
	inet_mc_fini(is);
	mutex_unlock(&sk->send_lock);
}

static enum err
set_filter(void *to, size_t size, const void *val, unsigned len)
{
	memcpy(to, val, MIN((size_t)len, size));
	return OK;
}

static enum err
set_csum_off(struct raw_sock *rs, int level, const void *val, unsigned len)
{
	int32_t v;

	if (len < sizeof(v))
		return ERR_INVAL;
	memcpy(&v, val, sizeof(v));
	/* RFC 3542 3.1 forbids it for ICMPv6; Linux takes it at level SOL_RAW. */
	if (rs->is.sock.proto == IP_PROTO_ICMP6 && level == SOL_IPV6)
		return ERR_INVAL;
	if (v > 0 && (v & 1))
		return ERR_INVAL;
	rs->csum_off = v < 0 ? -1 : v;
	return OK;
}

static enum err
raw_setsockopt(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	struct raw_sock *rs = (struct raw_sock *)sk;

	if (sk->family == AF_INET6 && opt == IPV6_CHECKSUM &&
	    (level == SOL_IPV6 || level == SOL_RAW))
		return set_csum_off(rs, level, val, len);
	if (level == SOL_RAW && opt == ICMP_FILTER && sk->family == AF_INET)
		return sk->proto == IP_PROTO_ICMP ? set_filter(&rs->icmp_filter,
		                                        sizeof(rs->icmp_filter), val, len)
		                                  : ERR_OPNOTSUPP;
	if (level == SOL_ICMPV6 && opt == ICMP6_FILTER)
		return sk->family == AF_INET6 && sk->proto == IP_PROTO_ICMP6
		           ? set_filter(
		                 rs->icmp6_filter, sizeof(rs->icmp6_filter), val, len)
		           : ERR_OPNOTSUPP;
	return inet_setsockopt(&rs->is, level, opt, val, len);
}

static enum err
raw_getsockopt(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	struct raw_sock *rs = (struct raw_sock *)sk;
	const void *from;
	size_t size;

	if (sk->family == AF_INET6 && opt == IPV6_CHECKSUM &&
	    (level == SOL_IPV6 || level == SOL_RAW)) {
		from = &rs->csum_off;
		size = sizeof(rs->csum_off);
	} else if (level == SOL_RAW && opt == ICMP_FILTER && sk->proto == IP_PROTO_ICMP) {
		from = &rs->icmp_filter;
		size = sizeof(rs->icmp_filter);
	} else if (level == SOL_ICMPV6 && opt == ICMP6_FILTER &&
	           sk->proto == IP_PROTO_ICMP6) {
		from = rs->icmp6_filter;
		size = sizeof(rs->icmp6_filter);
	} else {
		return inet_getsockopt(&rs->is, level, opt, val, len);
	}
	*len = MIN(*len, (unsigned)size);
	memcpy(val, from, *len);
	return OK;
}

static const struct sock_ops raw_ops = {
    .name = "RAW",
    .bind = raw_bind,
    .connect = raw_connect,
    .send = raw_send,
    .recv = raw_recv,
    .poll = inet_dgram_poll,
    .shutdown = inet_dgram_shutdown,
    .close = raw_close,
    .getname = inet_dgram_getname,
    .setsockopt = raw_setsockopt,
    .getsockopt = raw_getsockopt,
    .ioctl = inet_dgram_ioctl,
    .destroy = inet_dgram_destroy,
};

struct sock *
raw_sock_create(int family, int proto)
{
	struct raw_sock *rs = kzalloc(sizeof(*rs));

	if (!rs)
		return NULL;
	inet_sock_init(&rs->is, &raw_ops, family, SOCK_RAW, proto);
	rs->is.local_port = (uint16_t)proto;
	rs->is.is_hdrincl = proto == IP_PROTO_RAW;
	rs->csum_off = proto == IP_PROTO_ICMP6 ? ICMP6_CSUM_OFF : -1;
	spin_lock(&table_lock);
	rcu_list_push_back(&protos[(uint8_t)proto], &rs->is.hash_link);
	spin_unlock(&table_lock);
	return &rs->is.sock;
}

void
raw_for_each(void (*fn)(struct inet_sock *, void *arg), void *arg)
{
	struct inet_sock *is;

	rcu_read_lock();
	for (unsigned i = 0; i < NUM_PROTOS; i++)
		rcu_list_for_each(is, &protos[i], hash_link) fn(is, arg);
	rcu_read_unlock();
}

void
raw_init(void)
{
	for (unsigned i = 0; i < NUM_PROTOS; i++)
		list_init(&protos[i]);
}
