/*
 * Options of the levels IP and IPV6 (ip(7), ipv6(7), RFC 3493, RFC 3542). On/off options are
 * tables of fields; integers with a range are another; what remains is a switch a level. What
 * concerns groups is in net/inet_mc.c.
 */
#include "net/inet_opts.h"

#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ifaddr.h"
#include "net/inet_priv.h"
#include "net/netdev.h"

/* ---- Tables --------------------------------------------------------------------------------- */

struct flag_opt {
	uint8_t opt;
	bool takes_net_raw; /* setting it wants CAP_NET_RAW or CAP_NET_ADMIN */
	uint16_t field;
};

#define FLAG(opt, field) \
	{ \
		opt, false, offsetof(struct inet_sock, field) \
	}
#define FLAG_ADMIN(opt, field) \
	{ \
		opt, true, offsetof(struct inet_sock, field) \
	}

static const struct flag_opt flags4[] = {
    FLAG(IP_HDRINCL, is_hdrincl),
    FLAG(IP_ROUTER_ALERT, is_router_alert),
    FLAG(IP_RECVOPTS, is_recvopts),
    FLAG(IP_RETOPTS, is_retopts),
    FLAG(IP_PKTINFO, is_pktinfo),
    FLAG(IP_RECVERR, is_recverr),
    FLAG(IP_RECVTTL, is_recvttl),
    FLAG(IP_RECVTOS, is_recvtos),
    FLAG(IP_FREEBIND, is_freebind),
    FLAG(IP_PASSSEC, is_passsec4),
    FLAG_ADMIN(IP_TRANSPARENT, is_transparent),
    FLAG(IP_ORIGDSTADDR, is_recv_origdst),
    FLAG(IP_NODEFRAG, is_nodefrag),
    FLAG(IP_CHECKSUM, is_checksum_wanted),
    FLAG(IP_BIND_ADDRESS_NO_PORT, is_bind_no_port),
    FLAG(IP_RECVFRAGSIZE, is_recvfragsize),
    FLAG(IP_RECVERR_RFC4884, is_recverr_4884),
    FLAG(IP_MULTICAST_LOOP, is_mc_loop),
    FLAG(IP_MULTICAST_ALL, is_mc_all),
};

static const struct flag_opt flags6[] = {
    FLAG(IPV6_MULTICAST_LOOP, is_mc_loop6),
    FLAG(IPV6_RECVERR, is_recverr6),
    FLAG(IPV6_V6ONLY, is_v6only),
    FLAG(IPV6_MULTICAST_ALL, is_mc_all6),
    FLAG(IPV6_RECVERR_RFC4884, is_recverr6_4884),
    FLAG(IPV6_FLOWINFO_SEND, is_flow_send),
    FLAG(IPV6_FLOWINFO, is_recvflow6),
    FLAG(IPV6_HDRINCL, is_hdrincl),
    FLAG(IPV6_RECVPKTINFO, is_pktinfo6),
    FLAG(IPV6_2292PKTINFO, is_pktinfo6_2292),
    FLAG(IPV6_RECVHOPLIMIT, is_recvhop6),
    FLAG(IPV6_2292HOPLIMIT, is_recvhop6_2292),
    FLAG(IPV6_RECVHOPOPTS, is_recvhopopts6),
    FLAG(IPV6_RECVRTHDR, is_recvrthdr6),
    FLAG(IPV6_RECVDSTOPTS, is_recvdstopts6),
    FLAG(IPV6_RECVPATHMTU, is_recvpathmtu6),
    FLAG(IPV6_DONTFRAG, is_dontfrag6),
    FLAG(IPV6_RECVTCLASS, is_recvtclass6),
    FLAG(IPV6_AUTOFLOWLABEL, is_autoflow),
    FLAG(IPV6_ORIGDSTADDR, is_recv_origdst6),
    FLAG_ADMIN(IPV6_TRANSPARENT, is_transparent),
    FLAG(IPV6_RECVFRAGSIZE, is_recvfragsize6),
    FLAG(IPV6_FREEBIND, is_freebind),
};

/* Integers that lie in the socket as they are given. */
struct int_opt {
	uint8_t opt;
	bool is_short; /* an int16_t, else a uint8_t */
	int16_t min, max;
	int16_t unset; /* what reading shows for -1 */
	uint16_t field;
};

static const struct int_opt ints4[] = {
    {IP_TOS, false, INT16_MIN, INT16_MAX, 0, offsetof(struct inet_sock, tos)},
    {IP_TTL, true, -1, 255, 64, offsetof(struct inet_sock, ttl)},
    {IP_MULTICAST_TTL, true, -1, 255, 1, offsetof(struct inet_sock, mc_ttl)},
    {IP_MTU_DISCOVER, false, 0, PMTUDISC_MAX, 0, offsetof(struct inet_sock, pmtudisc)},
    {IP_MINTTL, false, 0, 255, 0, offsetof(struct inet_sock, min_ttl)},
};

static const struct int_opt ints6[] = {
    {IPV6_UNICAST_HOPS, true, -1, 255, 64, offsetof(struct inet_sock, hops6)},
    {IPV6_MULTICAST_HOPS, true, -1, 255, 1, offsetof(struct inet_sock, mc_hops6)},
    {IPV6_MTU_DISCOVER, false, 0, PMTUDISC_MAX, 0, offsetof(struct inet_sock, pmtudisc6)},
    {IPV6_MINHOPCOUNT, false, 0, 255, 0, offsetof(struct inet_sock, min_hops6)},
    {IPV6_TCLASS, false, -1, 255, 0, offsetof(struct inet_sock, tclass6)},
};

static const struct flag_opt *
find_flag(int level, int opt)
{
	const struct flag_opt *f = level == SOL_IP ? flags4 : flags6;
	size_t n = level == SOL_IP ? ARRAY_SIZE(flags4) : ARRAY_SIZE(flags6);

	for (size_t i = 0; i < n; i++)
		if (f[i].opt == opt)
			return &f[i];
	return NULL;
}

static const struct int_opt *
find_int(int level, int opt)
{
	const struct int_opt *o = level == SOL_IP ? ints4 : ints6;
	size_t n = level == SOL_IP ? ARRAY_SIZE(ints4) : ARRAY_SIZE(ints6);

	for (size_t i = 0; i < n; i++)
		if (o[i].opt == opt)
			return &o[i];
	return NULL;
}

/* ---- Setting ------------------------------------------------------------------------------------ */

static enum err
set_flag(struct inet_sock *is, int level, const struct flag_opt *f, int32_t v)
{
	if (f->takes_net_raw && v && !capable(CAP_NET_RAW) && !capable(CAP_NET_ADMIN))
		return ERR_PERM;
	if (level == SOL_IP && f->opt == IP_HDRINCL && is->sock.type != SOCK_RAW)
		return ERR_NOPROTOOPT;
	if (level == SOL_IPV6 && f->opt == IPV6_HDRINCL && is->sock.type != SOCK_RAW)
		return ERR_NOPROTOOPT;
	if (level == SOL_IPV6 && f->opt == IPV6_V6ONLY && is->local_port)
		return ERR_INVAL;
	if (level == SOL_IP && f->opt == IP_MULTICAST_ALL && v != 0 && v != 1)
		return ERR_INVAL;
	*(bool *)((char *)is + f->field) = v;
	return OK;
}

static enum err
set_ranged(struct inet_sock *is, int level, const struct int_opt *o, int32_t v)
{
	void *field = (char *)is + o->field;

	if (v < o->min || v > o->max || (level == SOL_IP && o->opt == IP_TTL && v == 0))
		return ERR_INVAL;
	if (o->is_short)
		*(int16_t *)field = (int16_t)v;
	else
		*(uint8_t *)field = v < 0 && o->min == -1 ? 0 : (uint8_t)v;
	return OK;
}

/* An interface by number; 0: none. */
static enum err
set_if(struct inet_sock *is, uint32_t *field, uint32_t ifindex)
{
	bool exists;

	rcu_read_lock();
	exists = !ifindex || netdev_by_index(ifindex);
	rcu_read_unlock();
	if (!exists)
		return ERR_NODEV;
	if (is->sock.bound_if && ifindex && ifindex != is->sock.bound_if)
		return ERR_INVAL;
	*field = ifindex;
	return OK;
}

/* IP_MULTICAST_IF: an address, or a structure with an index. */
static enum err
set_mc_if(struct inet_sock *is, const void *val, unsigned len)
{
	enum { MREQ = 8, MREQN = 12 };
	struct {
		be32 group, addr;
		uint32_t ifindex;
	} m = {.ifindex = 0};
	struct ip_addr addr;
	const struct ifaddr *ifa;

	if (is->sock.type == SOCK_STREAM || len < sizeof(be32))
		return ERR_INVAL;
	if (len >= MREQ)
		memcpy(&m, val, len >= MREQN ? MREQN : MREQ);
	else
		memcpy(&m.addr, val, sizeof(m.addr));
	addr = ip_from_v4(m.addr);
	if (!m.ifindex && !ip_is_unspecified(&addr)) {
		rcu_read_lock();
		ifa = ifaddr_find(NULL, &addr);
		m.ifindex = ifa ? ifa->dev->index : 0;
		rcu_read_unlock();
		if (!m.ifindex)
			return ERR_ADDRNOTAVAIL;
	}
	is->mc_addr = addr;
	return set_if(is, &is->mc_if, m.ifindex);
}

bool
inet_options_are_valid(const uint8_t *o, size_t n)
{
	enum { END = 0, NOP = 1, LSRR = 131, SSRR = 137 };
	size_t i = 0;

	while (i < n && o[i] != END) {
		if (o[i] == NOP) {
			i++;
			continue;
		}
		if (n - i < 2 || o[i + 1] < 2 || o[i + 1] > n - i || o[i] == LSRR ||
		    o[i] == SSRR)
			return false;
		i += o[i + 1];
	}
	return true;
}

static void
options_free_late(struct rcu_head *head)
{
	kfree(container_of(head, struct inet_options, rcu));
}

static enum err
set_options(struct inet_sock *is, const void *val, unsigned len)
{
	struct inet_options *o = NULL, *old;

	if (len > sizeof(o->bytes) || !inet_options_are_valid(val, len))
		return ERR_INVAL;
	if (len) {
		o = kzalloc(sizeof(*o));
		if (!o)
			return ERR_NOBUFS;
		memcpy(o->bytes, val, len);
		o->len = (uint8_t)ALIGN_UP(len, 4u);
	}
	old = __atomic_exchange_n(&is->options, o, __ATOMIC_ACQ_REL);
	if (old)
		rcu_call(&old->rcu, options_free_late);
	return OK;
}

bool
inet_ext_is_valid(const uint8_t *header, size_t n)
{
	enum { PAD1 = 0 };
	size_t i = 2;

	if (n < 8 || n > INET_EXT_MAX || n != (header[1] + 1u) * 8)
		return false;
	while (i < n) {
		if (header[i] == PAD1) {
			i++;
			continue;
		}
		if (n - i < 2 || header[i + 1] > n - i - 2)
			return false;
		i += 2u + header[i + 1];
	}
	return true;
}

static void
ext_free_late(struct rcu_head *head)
{
	kfree(container_of(head, struct inet_ext, rcu));
}

/* IPV6_HOPOPTS, IPV6_DSTOPTS: for all that is sent; length 0 takes it away. */
static enum err
set_ext(struct inet_sock *is, unsigned which, const void *val, unsigned len)
{
	struct inet_ext *ext, *old;

	if (!capable(CAP_NET_RAW))
		return ERR_PERM;
	if (len && !inet_ext_is_valid(val, len))
		return ERR_INVAL;
	ext = kzalloc(sizeof(*ext));
	if (!ext)
		return ERR_NOBUFS;
	mutex_lock(&is->sock.send_lock);
	old = is->ext;
	if (old)
		*ext = *old;
	ext->len[which] = (uint8_t)len;
	memcpy(ext->bytes[which], val, len);
	rcu_assign(is->ext, ext);
	mutex_unlock(&is->sock.send_lock);
	if (old)
		rcu_call(&old->rcu, ext_free_late);
	return OK;
}

static bool
is_group_option(int level, int opt)
{
	if (opt >= MCAST_JOIN_GROUP && opt <= MCAST_MSFILTER)
		return true;
	return level == SOL_IP ? opt >= IP_ADD_MEMBERSHIP && opt <= IP_MSFILTER
	                       : opt == IPV6_JOIN_GROUP || opt == IPV6_LEAVE_GROUP;
}

static enum err
set4(struct inet_sock *is, int opt, const void *val, unsigned len)
{
	const struct flag_opt *f = find_flag(SOL_IP, opt);
	const struct int_opt *o = find_int(SOL_IP, opt);
	int32_t v = 0;

	if (is_group_option(SOL_IP, opt))
		return inet_mc_setsockopt(is, SOL_IP, opt, val, len);
	if (opt == IP_OPTIONS)
		return set_options(is, val, len);
	if (opt == IP_MULTICAST_IF)
		return set_mc_if(is, val, len);
	/* A byte will do where the value fits in one. */
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len)
		v = *(const uint8_t *)val;
	if (opt == IP_MULTICAST_TTL && (is->sock.type == SOCK_STREAM || !len))
		return ERR_INVAL;
	if (opt == IP_MULTICAST_LOOP && !len)
		return ERR_INVAL;
	if (f)
		return set_flag(is, SOL_IP, f, v);
	if (o)
		return set_ranged(is, SOL_IP, o, v);
	if (opt == IP_UNICAST_IF)
		return len != sizeof(v)
		           ? ERR_INVAL
		           : set_if(is, &is->unicast_if, __builtin_bswap32((uint32_t)v));
	return ERR_NOPROTOOPT;
}

/* IPV6_PKTINFO as an option: source address and interface for all that is sent. */
static enum err
set_sticky_pktinfo(struct inet_sock *is, const void *val, unsigned len)
{
	struct in6_pktinfo info = {.ifindex = 0};
	struct ip_addr src;

	if (len && len < sizeof(info))
		return ERR_INVAL;
	if (len)
		memcpy(&info, val, sizeof(info));
	memcpy(src.b, info.addr, sizeof(src.b));
	is->sticky_src = src;
	return set_if(is, &is->sticky_if, info.ifindex);
}

static enum err
set6(struct inet_sock *is, int opt, const void *val, unsigned len)
{
	const struct flag_opt *f = find_flag(SOL_IPV6, opt);
	const struct int_opt *o = find_int(SOL_IPV6, opt);
	int32_t v;

	if (is_group_option(SOL_IPV6, opt))
		return inet_mc_setsockopt(is, SOL_IPV6, opt, val, len);
	if (opt == IPV6_PKTINFO)
		return set_sticky_pktinfo(is, val, len);
	if (opt == IPV6_HOPOPTS || opt == IPV6_DSTOPTS)
		return set_ext(
		    is, opt == IPV6_HOPOPTS ? INET_EXT_HOP : INET_EXT_DST, val, len);
	if (len < sizeof(v))
		return ERR_INVAL;
	memcpy(&v, val, sizeof(v));
	if (opt == IPV6_MULTICAST_HOPS && is->sock.type == SOCK_STREAM)
		return ERR_NOPROTOOPT;
	if (f)
		return set_flag(is, SOL_IPV6, f, v);
	if (o)
		return set_ranged(is, SOL_IPV6, o, v);
	switch (opt) {
	case IPV6_MULTICAST_IF:
		return is->sock.type == SOCK_STREAM
		           ? ERR_NOPROTOOPT
		           : set_if(is, &is->mc_if6, (uint32_t)v);
	case IPV6_UNICAST_IF:
		return set_if(is, &is->unicast_if6, __builtin_bswap32((uint32_t)v));
	case IPV6_MTU: return v && v < 1280 ? ERR_INVAL : OK;
	case IPV6_ROUTER_ALERT: return is->sock.type == SOCK_RAW ? OK : ERR_NOPROTOOPT;
	case IPV6_ADDR_PREFERENCES: is->addr_prefs = (uint32_t)v; return OK;
	default: return ERR_NOPROTOOPT;
	}
}

enum err
inet_setsockopt(struct inet_sock *is, int level, int opt, const void *val, unsigned len)
{
	if (level == SOL_IP && (is->sock.family == AF_INET || is->sock.type != SOCK_RAW))
		return set4(is, opt, val, len);
	if (level == SOL_IPV6 && is->sock.family == AF_INET6)
		return set6(is, opt, val, len);
	return ERR_NOPROTOOPT;
}

/* ---- Getting --------------------------------------------------------------------------------------- */

static enum err
give(void *to, unsigned *room, const void *val, unsigned len)
{
	*room = MIN(*room, len);
	memcpy(to, val, *room);
	return OK;
}

/* The path's MTU to the peer. */
static enum err
get_mtu(struct inet_sock *is, int32_t *v)
{
	enum err err = ERR_NOTCONN;

	spin_lock(&is->sock.lock);
	if (is->dst) {
		*v = (int32_t)__atomic_load_n(&is->dst->mtu, __ATOMIC_RELAXED);
		err = OK;
	}
	spin_unlock(&is->sock.lock);
	return err;
}

static enum err
get_int(struct inet_sock *is, int level, int opt, int32_t *v)
{
	const struct flag_opt *f = find_flag(level, opt);
	const struct int_opt *o = find_int(level, opt);

	if (f) {
		*v = *(const bool *)((const char *)is + f->field);
		return OK;
	}
	if (o) {
		const void *field = (const char *)is + o->field;

		*v = o->is_short ? *(const int16_t *)field : *(const uint8_t *)field;
		if (*v == -1)
			*v = o->unset;
		return OK;
	}
	if (level == SOL_IP) {
		switch (opt) {
		case IP_MTU: return get_mtu(is, v);
		case IP_UNICAST_IF:
			*v = (int32_t)__builtin_bswap32(is->unicast_if);
			return OK;
		default: return ERR_NOPROTOOPT;
		}
	}
	switch (opt) {
	case IPV6_MTU: return get_mtu(is, v);
	case IPV6_MULTICAST_IF: *v = (int32_t)is->mc_if6; return OK;
	case IPV6_UNICAST_IF: *v = (int32_t)__builtin_bswap32(is->unicast_if6); return OK;
	case IPV6_ADDR_PREFERENCES: *v = (int32_t)is->addr_prefs; return OK;
	default: return ERR_NOPROTOOPT;
	}
}

static enum err
get_options(struct inet_sock *is, void *val, unsigned *len)
{
	const struct inet_options *o;

	rcu_read_lock();
	o = rcu_dereference(is->options);
	*len = MIN(*len, o ? o->len : 0u);
	if (*len)
		memcpy(val, o->bytes, *len);
	rcu_read_unlock();
	return OK;
}

static enum err
get_ext(struct inet_sock *is, unsigned which, void *val, unsigned *len)
{
	const struct inet_ext *ext;

	rcu_read_lock();
	ext = rcu_dereference(is->ext);
	*len = MIN(*len, ext ? ext->len[which] : 0u);
	if (*len)
		memcpy(val, ext->bytes[which], *len);
	rcu_read_unlock();
	return OK;
}

enum err
inet_getsockopt(struct inet_sock *is, int level, int opt, void *val, unsigned *len)
{
	int32_t v;
	uint8_t byte;
	enum err err;

	if (level != SOL_IP && (level != SOL_IPV6 || is->sock.family != AF_INET6))
		return ERR_NOPROTOOPT;
	if (level == SOL_IP && opt == IP_OPTIONS)
		return get_options(is, val, len);
	if (opt == MCAST_MSFILTER || (level == SOL_IP && opt == IP_MSFILTER))
		return inet_mc_getsockopt(is, opt, val, len);
	if (level == SOL_IPV6 && (opt == IPV6_HOPOPTS || opt == IPV6_DSTOPTS))
		return get_ext(
		    is, opt == IPV6_HOPOPTS ? INET_EXT_HOP : INET_EXT_DST, val, len);
	if (level == SOL_IP && opt == IP_MULTICAST_IF)
		return give(val, len, &is->mc_addr.v4, sizeof(is->mc_addr.v4));
	err = get_int(is, level, opt, &v);
	if (err != OK)
		return err;
	if (level == SOL_IP && *len && *len < sizeof(v) && v >= 0 && v <= UINT8_MAX) {
		byte = (uint8_t)v;
		return give(val, len, &byte, sizeof(byte));
	}
	return give(val, len, &v, sizeof(v));
}
