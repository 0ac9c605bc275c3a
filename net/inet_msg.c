/*
 * One datagram of an inet socket, out and in: what options and control data say about the way it
 * is to go, and the control data that tells a receiver of the way it came (ip(7), ipv6(7),
 * RFC 3542 6). The protocols (udp.c, raw.c, ping.c) do the rest.
 */
#include "kernel/proc/cred.h"
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "mm/uio.h"
#include "net/ifaddr.h"
#include "net/inet_opts.h"
#include "net/inet_priv.h"
#include "net/netdev.h"

/* ---- Sending ------------------------------------------------------------------------------ */

static int
df_of(uint8_t pmtudisc)
{
	switch (pmtudisc) {
	case PMTUDISC_DO: return IP_DF_SET;
	case PMTUDISC_WANT: return IP_DF_AUTO;
	case PMTUDISC_PROBE: return IP_DF_PROBE;
	default: return IP_DF_CLEAR;
	}
}

void
inet_tx_defaults(struct ip_tx *tx, const struct inet_sock *is, const struct ip_addr *dst)
{
	bool is_multicast = ip_is_multicast(dst);
	const struct inet_options *options;

	if (ip_is_v4(dst)) {
		tx->ttl = is_multicast ? is->mc_ttl : is->ttl;
		tx->tos = is->tos;
		tx->df = df_of(is->pmtudisc);
		tx->is_not_looped = is_multicast && !is->is_mc_loop;
		options = rcu_dereference(is->options);
		if (options) {
			tx->options = options->bytes;
			tx->options_len = options->len;
		}
		return;
	}
	tx->ttl = !is_multicast ? is->hops6 : is->mc_hops6 < 0 ? 1 : is->mc_hops6;
	tx->tos = is->tclass6;
	tx->df = is->is_dontfrag6 ? IP_DF_SET : df_of(is->pmtudisc6);
	tx->is_not_looped = is_multicast && !is->is_mc_loop6;
	tx->flow_label = is->is_flow_send ? is->flow_label : 0;
}

/* An int, or for TOS also a byte. */
static bool
cmsg_int(const struct cmsg *c, int32_t *v, int32_t min, int32_t max)
{
	if (c->len < sizeof(*c) + sizeof(*v))
		return false;
	memcpy(v, c + 1, sizeof(*v));
	return *v >= min && *v <= max;
}

static enum err
cmsg_ip4(struct inet_tx *tx, const struct cmsg *c)
{
	size_t n = c->len - sizeof(*c);
	struct in_pktinfo info;
	int32_t v;

	switch (c->type) {
	case IP_TTL:
		if (!cmsg_int(c, &v, 1, 255))
			return ERR_INVAL;
		tx->ip.ttl = (int16_t)v;
		return OK;
	case IP_TOS:
		if (n == 1)
			tx->ip.tos = *(const uint8_t *)(c + 1);
		else if (cmsg_int(c, &v, 0, 255))
			tx->ip.tos = (uint8_t)v;
		else
			return ERR_INVAL;
		return OK;
	case IP_PKTINFO:
		if (n != sizeof(info))
			return ERR_INVAL;
		memcpy(&info, c + 1, sizeof(info));
		if (info.ifindex)
			tx->oif = (unsigned)info.ifindex;
		if (be32_get(info.spec_dst))
			tx->ip.src = ip_from_v4(info.spec_dst);
		return OK;
	case IP_RETOPTS:
		if (n > sizeof(tx->options) ||
		    !inet_options_are_valid((const uint8_t *)(c + 1), n))
			return ERR_INVAL;
		memset(tx->options, 0, sizeof(tx->options));
		memcpy(tx->options, c + 1, n);
		tx->ip.options = tx->options;
		tx->ip.options_len = (uint8_t)ALIGN_UP(n, 4);
		return OK;
	default: return ERR_INVAL;
	}
}

static enum err
cmsg_pktinfo6(struct inet_tx *tx, const struct cmsg *c)
{
	struct in6_pktinfo info;
	struct ip_addr src;

	if (c->len < sizeof(*c) + sizeof(info))
		return ERR_INVAL;
	memcpy(&info, c + 1, sizeof(info));
	memcpy(src.b, info.addr, sizeof(src.b));
	if (info.ifindex)
		tx->oif = info.ifindex;
	if (!ip_is_unspecified(&src))
		tx->ip.src = src;
	return OK;
}

/* RFC 3542 8: a header for this one datagram, in place of the socket's. */
static enum err
cmsg_ext(struct inet_tx *tx, unsigned which, const struct cmsg *c)
{
	size_t n = c->len - sizeof(*c);

	if (!inet_ext_is_valid((const uint8_t *)(c + 1), n))
		return ERR_INVAL;
	if (!capable(CAP_NET_RAW))
		return ERR_PERM;
	tx->ext.len[which] = (uint8_t)n;
	memcpy(tx->ext.bytes[which], c + 1, n);
	return OK;
}

/* Puts the extension headers in a row, each naming the next. */
static void
link_exts(struct inet_tx *tx)
{
	static const uint8_t numbers[] = {IP_PROTO_HOPOPTS, IP_PROTO_DSTOPTS};
	uint8_t *next = &tx->ip.v6_next;
	unsigned at = 0;

	for (unsigned i = 0; i < INET_EXTS; i++) {
		if (!tx->ext.len[i])
			continue;
		*next = numbers[i];
		memcpy(tx->options + at, tx->ext.bytes[i], tx->ext.len[i]);
		next = tx->options + at;
		at += tx->ext.len[i];
	}
	if (!at)
		return;
	*next = tx->ip.proto;
	tx->ip.options = tx->options;
	tx->ip.options_len = (uint8_t)at;
}

static enum err
cmsg_ip6(struct inet_tx *tx, const struct cmsg *c)
{
	be32 flow;
	int32_t v;

	switch (c->type) {
	case IPV6_HOPOPTS: return cmsg_ext(tx, INET_EXT_HOP, c);
	case IPV6_DSTOPTS: return cmsg_ext(tx, INET_EXT_DST, c);
	case IPV6_PKTINFO:
	case IPV6_2292PKTINFO: return cmsg_pktinfo6(tx, c);
	case IPV6_HOPLIMIT:
	case IPV6_2292HOPLIMIT:
		if (!cmsg_int(c, &v, -1, 255))
			return ERR_INVAL;
		tx->ip.ttl = (int16_t)v;
		return OK;
	case IPV6_TCLASS:
		if (!cmsg_int(c, &v, -1, 255))
			return ERR_INVAL;
		tx->ip.tos = v < 0 ? 0 : (uint8_t)v;
		return OK;
	case IPV6_DONTFRAG:
		if (!cmsg_int(c, &v, 0, 1))
			return ERR_INVAL;
		tx->ip.df = v ? IP_DF_SET : IP_DF_AUTO;
		return OK;
	case IPV6_FLOWINFO:
		if (c->len < sizeof(*c) + sizeof(flow))
			return ERR_INVAL;
		memcpy(&flow, c + 1, sizeof(flow));
		tx->ip.flow_label = be32_get(flow) & 0xfffff;
		return OK;
	default: return ERR_INVAL;
	}
}

static enum err
cmsg_socket(struct inet_tx *tx, const struct cmsg *c)
{
	enum {
		SCM_RIGHTS = 1,
		SCM_CREDENTIALS = 2,
		SO_MARK = 36,
		SO_TIMESTAMPING = 37,
		SCM_TXTIME = 61
	};
	uint32_t v;

	switch (c->type) {
	case SCM_RIGHTS:
	case SCM_CREDENTIALS: return OK; /* without meaning here, and no error on Linux */
	case SO_MARK: return c->len < sizeof(*c) + sizeof(v) ? ERR_INVAL : OK;
	case SO_TIMESTAMPING:
		if (c->len != sizeof(*c) + sizeof(v))
			return ERR_INVAL;
		memcpy(&v, c + 1, sizeof(v));
		if (v & ~(uint32_t)STAMP_TX_MASK)
			return ERR_INVAL;
		tx->stamping = (tx->stamping & ~(uint32_t)STAMP_TX_MASK) | v;
		return OK;
	case SCM_TXTIME: return c->len < sizeof(*c) + sizeof(uint64_t) ? ERR_INVAL : OK;
	default: return ERR_INVAL;
	}
}

static enum err
cmsg_one(struct inet_tx *tx, const struct inet_sock *is, const struct cmsg *c)
{
	bool is_v4 = ip_is_v4(&tx->ip.dst);

	if (c->level == SOL_SOCKET)
		return cmsg_socket(tx, c);
	tx->is_overridden = true;
	if (c->level == SOL_IP && is_v4)
		return cmsg_ip4(tx, c);
	if (c->level == SOL_IPV6 && is->sock.family == AF_INET6)
		return is_v4 && c->type != IPV6_PKTINFO ? ERR_INVAL : cmsg_ip6(tx, c);
	if (c->level == SOL_UDP && c->type == UDP_SEGMENT &&
	    is->sock.proto == IP_PROTO_UDP) {
		if (c->len != sizeof(*c) + sizeof(tx->gso_size))
			return ERR_INVAL;
		memcpy(&tx->gso_size, c + 1, sizeof(tx->gso_size));
		return OK;
	}
	return OK; /* for others: not ours to judge */
}

enum err
inet_tx_init(struct inet_tx *tx, struct inet_sock *is, const struct sock_msg *msg)
{
	const struct cmsg *c = NULL;
	uint32_t scope_if = is->scope_if;
	enum err err;

	memset(tx, 0, sizeof(*tx));
	if (msg->name) {
		err = inet_get_addr(is, msg->name, &tx->ip.dst, &tx->port, &scope_if);
		if (err != OK)
			return err;
		tx->is_overridden = true;
	} else if (is->is_connected) {
		tx->ip.dst = is->peer;
		tx->port = is->peer_port;
	} else {
		return ERR_DESTADDRREQ;
	}
	tx->ip.src = ip_is_v4(&tx->ip.dst) ? ip4_any : ip_any;
	tx->ip.proto = is->sock.proto;
	tx->stamping = is->sock.stamping;
	tx->oif = scope_if;
	rcu_read_lock();
	inet_tx_defaults(&tx->ip, is, &tx->ip.dst);
	if (tx->ip.options)
		tx->ip.options = memcpy(tx->options, tx->ip.options, tx->ip.options_len);
	else if (unlikely(is->ext) && !ip_is_v4(&tx->ip.dst))
		tx->ext = *rcu_dereference(is->ext);
	rcu_read_unlock();
	while ((c = cmsg_next(msg, c, &err))) {
		err = cmsg_one(tx, is, c);
		if (err != OK)
			return err;
	}
	link_exts(tx);
	return err;
}

/* Which interface, and from which address, as far as the socket demands it. */
static void
tx_constraints(struct inet_tx *tx, const struct inet_sock *is)
{
	bool is_v4 = ip_is_v4(&tx->ip.dst);
	uint32_t mc_if = is_v4 ? is->mc_if : is->mc_if6;
	uint32_t unicast_if = is_v4 ? is->unicast_if : is->unicast_if6;

	if (!tx->oif)
		tx->oif = is->sock.bound_if;
	if (!is_v4 && !tx->oif)
		tx->oif = is->sticky_if;
	if (!tx->oif)
		tx->oif = ip_is_multicast(&tx->ip.dst) ? mc_if : unicast_if;
	if (!ip_is_unspecified(&tx->ip.src))
		return;
	if (!is_v4 && !ip_is_unspecified(&is->sticky_src))
		tx->ip.src = is->sticky_src;
	else if (!ip_is_unspecified(&is->local) && !ip_is_multicast(&is->local))
		tx->ip.src = is->local;
	else if (is_v4 && ip_is_multicast(&tx->ip.dst) &&
	         !ip_is_unspecified(&is->mc_addr))
		tx->ip.src = is->mc_addr;
}

enum err
inet_tx_route(struct inet_tx *tx, struct inet_sock *is)
{
	enum err err;

	tx_constraints(tx, is);
	if (!ip_is_unspecified(&tx->ip.src) &&
	    ip_is_v4(&tx->ip.src) != ip_is_v4(&tx->ip.dst))
		return ERR_NETUNREACH;
	err = tx->is_overridden
	          ? inet_route_via(is, &tx->ip.dst, tx->oif, &tx->ip.src, &tx->dst)
	          : inet_route(is, &tx->ip.dst, &tx->ip.src, &tx->dst);
	if (err != OK)
		return err;
	if (tx->dst->type == ROUTE_BROADCAST && !is->sock.is_broadcast) {
		dst_put(tx->dst);
		return ERR_ACCES;
	}
	return OK;
}

static bool
has_tx_room(const struct sock *sk)
{
	return __atomic_load_n(&sk->tx_bytes, __ATOMIC_RELAXED) < sk->sndbuf;
}

enum err
inet_tx_wait(struct sock *sk, const struct sock_msg *msg)
{
	for (;;) {
		enum err err = sock_take_error(sk);

		if (err != OK)
			return err;
		if (sk->shutdown & SOCK_NO_SEND)
			return ERR_PIPE;
		if (has_tx_room(sk))
			return OK;
		err = sock_wait(sk,
		    has_tx_room(sk) || sk->error != OK || (sk->shutdown & SOCK_NO_SEND),
		    msg->deadline_ns, msg->flags & MSG_DONTWAIT);
		if (err != OK)
			return err;
	}
}

/* ---- Receiving ------------------------------------------------------------------------------- */

void
inet_rx_remember(struct pkt *p, uint16_t src_port, uint16_t dst_port)
{
	struct inet_rx *rx = inet_rx(p);

	*rx = (struct inet_rx){
	    .ifindex = p->dev ? p->dev->index : 0,
	    .src_port = src_port,
	    .dst_port = dst_port,
	    .gro_size = p->gso_size,
	};
	p->dev = NULL; /* no reference: it may go while the packet waits */
}

/* The address of ours that an answer to this packet would come from. */
static be32
spec_dst_of(const struct pkt *p, uint32_t ifindex)
{
	be32 addr = p->ip.dst.v4;
	const struct netdev *dev;
	const struct ifaddr *ifa;

	if (!ip_is_multicast(&p->ip.dst) && ifaddr_is_local(&p->ip.dst))
		return addr;
	rcu_read_lock();
	dev = netdev_by_index(ifindex);
	if (dev)
		ifaddr_for_each(ifa, dev, AF_INET)
		{
			addr = ifa->addr.v4;
			break;
		}
	rcu_read_unlock();
	return addr;
}

static void
put_ip4(const struct inet_sock *is, struct sock_msg *msg, const struct pkt *p,
    const struct inet_rx *rx)
{
	size_t options_len = p->ip.hdr_len > 20 && p->ip.opt_off ? p->ip.hdr_len - 20 : 0;
	int32_t ttl = p->ip.ttl;

	if (is->is_pktinfo) {
		struct in_pktinfo info = {
		    .ifindex = (int32_t)rx->ifindex,
		    .spec_dst = spec_dst_of(p, rx->ifindex),
		    .addr = p->ip.dst.v4,
		};

		put_cmsg(msg, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (is->is_recvttl)
		put_cmsg(msg, SOL_IP, IP_TTL, &ttl, sizeof(ttl));
	if (is->is_recvtos)
		put_cmsg(msg, SOL_IP, IP_TOS, &p->ip.tos, sizeof(p->ip.tos));
	if (is->is_recvopts && options_len)
		put_cmsg(msg, SOL_IP, IP_RECVOPTS, p->head + p->ip.opt_off, options_len);
	if (is->is_retopts && options_len)
		put_cmsg(msg, SOL_IP, IP_RETOPTS, p->head + p->ip.opt_off, options_len);
	if (is->is_recv_origdst) {
		struct sockaddr_in to = {.family = AF_INET,
		    .port = be16_of(rx->dst_port),
		    .addr = p->ip.dst.v4};

		put_cmsg(msg, SOL_IP, IP_ORIGDSTADDR, &to, sizeof(to));
	}
}

/* The extension headers that came along, those that the socket wants (RFC 3542 8.1). */
static void
put_exts(const struct inet_sock *is, struct sock_msg *msg, const struct pkt *p)
{
	const uint8_t *at = p->head + p->ip.opt_off;
	uint8_t next = p->head[p->l3_off + offsetof(struct ip6_header, next)];

	while (p->ip.opt_off && at + 8 <= p->data) {
		size_t n = (at[1] + 1u) * 8;

		if (at + n > p->data)
			return;
		if (next == IP_PROTO_HOPOPTS && is->is_recvhopopts6)
			put_cmsg(msg, SOL_IPV6, IPV6_HOPOPTS, at, n);
		else if (next == IP_PROTO_DSTOPTS && is->is_recvdstopts6)
			put_cmsg(msg, SOL_IPV6, IPV6_DSTOPTS, at, n);
		else if (next == IP_PROTO_ROUTING && is->is_recvrthdr6)
			put_cmsg(msg, SOL_IPV6, IPV6_RTHDR, at, n);
		if (next != IP_PROTO_HOPOPTS && next != IP_PROTO_DSTOPTS &&
		    next != IP_PROTO_ROUTING)
			return;
		next = at[0];
		at += n;
	}
}

static void
put_ip6(const struct inet_sock *is, struct sock_msg *msg, const struct pkt *p,
    const struct inet_rx *rx)
{
	int32_t hops = p->ip.ttl, tclass = p->ip.tos;

	if (is->is_recvhop6)
		put_cmsg(msg, SOL_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (is->is_recvhop6_2292)
		put_cmsg(msg, SOL_IPV6, IPV6_2292HOPLIMIT, &hops, sizeof(hops));
	if (is->is_recvtclass6)
		put_cmsg(msg, SOL_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
	if (is->is_recvflow6 && (p->ip.flow_label || p->ip.tos)) {
		be32 flow = be32_of((uint32_t)p->ip.tos << 20 | p->ip.flow_label);

		put_cmsg(msg, SOL_IPV6, IPV6_FLOWINFO, &flow, sizeof(flow));
	}
	if (is->is_recvhopopts6 || is->is_recvdstopts6 || is->is_recvrthdr6)
		put_exts(is, msg, p);
	if (is->is_recv_origdst6) {
		struct sockaddr_in6 to = {
		    .family = AF_INET6, .port = be16_of(rx->dst_port)};

		memcpy(to.addr, p->ip.dst.b, sizeof(to.addr));
		put_cmsg(msg, SOL_IPV6, IPV6_ORIGDSTADDR, &to, sizeof(to));
	}
}

/* RFC 3542's, and RFC 2292's before it, which has another number. */
static void
put_pktinfo6(const struct inet_sock *is, struct sock_msg *msg, struct pkt *p)
{
	struct in6_pktinfo info = {.ifindex = inet_rx(p)->ifindex};

	memcpy(info.addr, p->ip.dst.b, sizeof(info.addr));
	if (is->is_pktinfo6)
		put_cmsg(msg, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	if (is->is_pktinfo6_2292)
		put_cmsg(msg, SOL_IPV6, IPV6_2292PKTINFO, &info, sizeof(info));
}

void
inet_put_cmsgs(struct inet_sock *is, struct sock_msg *msg, struct pkt *p)
{
	const struct inet_rx *rx = inet_rx(p);

	if (!msg->control)
		return;
	sock_put_stamps(&is->sock, msg, p->stamp_ns);
	put_pktinfo6(is, msg, p);
	if (ip_is_v4(&p->ip.dst))
		put_ip4(is, msg, p, rx);
	else
		put_ip6(is, msg, p, rx);
	if (is->is_gro && rx->gro_size) {
		int32_t size = rx->gro_size;

		put_cmsg(msg, SOL_UDP, UDP_GRO, &size, sizeof(size));
	}
}

long
inet_recv_pkt(struct inet_sock *is, struct sock_msg *msg, struct pkt *p)
{
	const struct inet_rx *rx = inet_rx(p);
	size_t len = pkt_len(p), n = MIN(len, msg->uio->resid);
	long result = msg->flags & MSG_TRUNC ? (long)len : (long)n;

	if (pkt_copy_to_uio(p, 0, n, msg->uio) < n) {
		pkt_free(p);
		return ERR_FAULT;
	}
	if (n < len)
		msg->out_flags |= MSG_TRUNC;
	if (msg->name)
		inet_put_addr(is, msg->name, &p->ip.src, rx->src_port, rx->ifindex);
	inet_put_cmsgs(is, msg, p);
	pkt_free(p);
	return result;
}

long
inet_recv(struct sock *sk, struct sock_msg *msg)
{
	struct inet_sock *is = (struct inet_sock *)sk;
	struct pkt *p;
	enum err err;

	if (msg->flags & MSG_ERRQUEUE)
		return inet_recv_error(is, msg);
	err = sock_dequeue_rx(sk, msg, &p);
	if (err != OK)
		return err;
	return p ? inet_recv_pkt(is, msg, p) : 0;
}
