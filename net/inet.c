/*
 * What all inet sockets share: creation by socket(2), addresses of programs (sockaddr_in, _in6) to
 * ours and back, binding, routes.
 */
#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ifaddr.h"
#include "net/inet_priv.h"
#include "net/netdev.h"

enum {
	SIN6_LEN_MIN = 24, /* without scope (RFC 2133) */
	PROTO_MAX = 263,
	PROTO_ANY = 0,
	PMTUDISC_WANT = 1,
};

static uint32_t first_free_port = 1024; /* ports below take CAP_NET_BIND_SERVICE */

/* ---- socket(2) --------------------------------------------------------------------------- */

static struct sock *
create_tcp(int family, int proto)
{
	return tcp_sock_create(family);
}

static struct sock *
create_udp(int family, int proto)
{
	return udp_sock_create(family);
}

static struct sock *
create_ping(int family, int proto)
{
	return ping_sock_create(family);
}

/* What there is, in order of preference where the program names no protocol. */
static const struct inet_kind {
	uint8_t type, proto, family; /* family 0: both */
	struct sock *(*create)(int family, int proto);
} kinds[] = {
    {SOCK_STREAM, IP_PROTO_TCP, 0, create_tcp},
    {SOCK_DGRAM, IP_PROTO_UDP, 0, create_udp},
    {SOCK_DGRAM, IP_PROTO_ICMP, AF_INET, create_ping},
    {SOCK_DGRAM, IP_PROTO_ICMP6, AF_INET6, create_ping},
    {SOCK_RAW, PROTO_ANY, 0, raw_sock_create},
};

/* A wild kind takes any protocol but 0; protocol 0 takes the first kind that is not wild. */
static enum err
find_kind(int family, int type, int *proto, const struct inet_kind **out)
{
	enum err err = ERR_SOCKTNOSUPPORT;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct inet_kind *k = &kinds[i];

		if (k->type != type || (k->family && k->family != family))
			continue;
		err = ERR_PROTONOSUPPORT;
		if (*proto == k->proto ? *proto == PROTO_ANY
		                       : *proto != PROTO_ANY && k->proto != PROTO_ANY)
			continue;
		if (*proto == PROTO_ANY)
			*proto = k->proto;
		*out = k;
		return OK;
	}
	return err;
}

enum err
inet_create(int family, int type, int proto, struct sock **out)
{
	const struct inet_kind *k;
	enum err err;

	if (proto < 0 || proto >= PROTO_MAX)
		return ERR_INVAL;
	err = find_kind(family, type, &proto, &k);
	if (err != OK)
		return err;
	if (type == SOCK_RAW && !capable(CAP_NET_RAW))
		return ERR_PERM;
	if (k->create == create_ping && !ping_is_permitted())
		return ERR_ACCES;
	*out = k->create(family, proto);
	return *out ? OK : ERR_NOBUFS;
}

void
inet_sock_init(
    struct inet_sock *is, const struct sock_ops *ops, int family, int type, int proto)
{
	sock_init(&is->sock, ops, family, type, proto);
	is->local = is->peer = is->bind_addr = family == AF_INET ? ip4_any : ip_any;
	is->ttl = is->hops6 = is->mc_hops6 = -1;
	is->mc_ttl = 1;
	is->pmtudisc = is->pmtudisc6 = PMTUDISC_WANT;
	is->is_mc_loop = is->is_mc_loop6 = is->is_mc_all = is->is_mc_all6 = true;
	list_init(&is->bind_link);
	list_init(&is->hash_link);
}

void
inet_sock_fini(struct inet_sock *is)
{
	if (is->dst)
		dst_put(is->dst);
	kfree(is->options);
	kfree(is->ext);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

static enum err
get_in(const struct sock_addr *a, struct ip_addr *addr, uint16_t *port)
{
	struct sockaddr_in in;

	if (a->len < sizeof(in))
		return ERR_INVAL;
	memcpy(&in, a->bytes, sizeof(in));
	*addr = ip_from_v4(in.addr);
	*port = be16_get(in.port);
	return OK;
}

static enum err
get_in6(
    const struct sock_addr *a, struct ip_addr *addr, uint16_t *port, uint32_t *scope_if)
{
	struct sockaddr_in6 in6 = {.scope_id = 0};

	if (a->len < SIN6_LEN_MIN)
		return ERR_INVAL;
	memcpy(&in6, a->bytes, MIN(a->len, (unsigned)sizeof(in6)));
	memcpy(addr->b, in6.addr, sizeof(addr->b));
	*port = be16_get(in6.port);
	*scope_if =
	    !ip_is_v4(addr) && (ip_is_link_local(addr) || ip_is_link_multicast(addr))
	        ? in6.scope_id
	        : 0;
	return OK;
}

/* As the program wrote it, for a socket of either family. */
static enum err
get_raw_addr(const struct inet_sock *is, const struct sock_addr *a, struct ip_addr *addr,
    uint16_t *port, uint32_t *scope_if)
{
	*scope_if = 0;
	if (a->len < sizeof(a->family))
		return ERR_INVAL;
	if (is->sock.family == AF_INET) {
		if (a->len < sizeof(struct sockaddr_in))
			return ERR_INVAL;
		return a->family == AF_INET || a->family == AF_UNSPEC
		           ? get_in(a, addr, port)
		           : ERR_AFNOSUPPORT;
	}
	if (a->family == AF_INET6)
		return get_in6(a, addr, port, scope_if);
	if (a->family == AF_INET && !is->is_v6only)
		return get_in(a, addr, port);
	return a->len < SIN6_LEN_MIN ? ERR_INVAL : ERR_AFNOSUPPORT;
}

enum err
inet_get_addr(const struct inet_sock *is, const struct sock_addr *a, struct ip_addr *addr,
    uint16_t *port, uint32_t *scope_if)
{
	static const struct ip_addr loopback6 = {.b = {[15] = 1}};
	enum err err = get_raw_addr(is, a, addr, port, scope_if);

	if (err != OK)
		return err;
	if (is->sock.family == AF_INET6 && is->is_v6only && ip_is_v4(addr))
		return ERR_NETUNREACH;
	if (ip_is_unspecified(addr))
		*addr = ip_is_v4(addr) ? ip_from_v4(be32_of(0x7f000001)) : loopback6;
	if (!ip_is_v4(addr) && ip_is_link_local(addr)) {
		if (is->sock.bound_if && *scope_if && *scope_if != is->sock.bound_if)
			return ERR_INVAL;
		if (!*scope_if)
			*scope_if = is->sock.bound_if;
		if (!*scope_if)
			return ERR_INVAL;
	}
	return OK;
}

void
inet_put_addr(const struct inet_sock *is, struct sock_addr *a, const struct ip_addr *addr,
    uint16_t port, uint32_t scope_if)
{
	memset(a->bytes, 0, sizeof(a->bytes));
	if (is->sock.family == AF_INET) {
		struct sockaddr_in in = {
		    .family = AF_INET, .port = be16_of(port), .addr = addr->v4};

		memcpy(a->bytes, &in, sizeof(in));
		a->len = sizeof(in);
	} else {
		struct sockaddr_in6 in6 = {.family = AF_INET6, .port = be16_of(port)};

		memcpy(in6.addr, addr->b, sizeof(in6.addr));
		if (!ip_is_v4(addr) &&
		    (ip_is_link_local(addr) || ip_is_link_multicast(addr)))
			in6.scope_id = scope_if;
		memcpy(a->bytes, &in6, sizeof(in6));
		a->len = sizeof(in6);
	}
}

enum err
inet_getname(struct inet_sock *is, struct sock_addr *a, bool is_peer)
{
	if (!is_peer)
		inet_put_addr(is, a, &is->local, is->local_port, is->sock.bound_if);
	else if (is->is_connected || is->peer_port)
		inet_put_addr(is, a, &is->peer, is->peer_port,
		    is->scope_if ? is->scope_if : is->sock.bound_if);
	else
		return ERR_NOTCONN;
	return OK;
}

/* ---- bind(2) ---------------------------------------------------------------------------------- */

/* Length and family, where bind differs from other calls. */
static enum err
bind_parse(const struct inet_sock *is, const struct sock_addr *a, struct ip_addr *addr,
    uint16_t *port, uint32_t *scope_if)
{
	bool is_v4 = is->sock.family == AF_INET;
	enum err err;

	*scope_if = 0;
	if (a->len < (is_v4 ? sizeof(struct sockaddr_in) : SIN6_LEN_MIN))
		return ERR_INVAL;
	if (!is_v4)
		return a->family == AF_INET6 ? get_in6(a, addr, port, scope_if)
		                             : ERR_AFNOSUPPORT;
	err = get_in(a, addr, port);
	if (err == OK && a->family != AF_INET &&
	    (a->family != AF_UNSPEC || !ip_is_unspecified(addr)))
		err = ERR_AFNOSUPPORT;
	return err;
}

/* Is it an address this host, or a group it may join, has? */
static enum err
bind_check_owner(
    struct inet_sock *is, const struct ip_addr *addr, uint32_t scope_if, uint32_t *bound)
{
	bool is_ours;

	*bound = is->sock.bound_if;
	if (!ip_is_v4(addr) && (ip_is_link_local(addr) || ip_is_link_multicast(addr))) {
		if (!*bound)
			*bound = scope_if;
		if (!*bound || (scope_if && scope_if != *bound))
			return ERR_INVAL;
	}
	if (ip_is_unspecified(addr) || ip_is_multicast(addr) || ip_is_broadcast(addr) ||
	    is->is_freebind || is->is_transparent)
		return OK;
	rcu_read_lock();
	is_ours = ip_is_v4(addr) && ip_is_loopback(addr);
	if (!is_ours && *bound && !ip_is_v4(addr)) {
		const struct netdev *dev = netdev_by_index(*bound);

		is_ours = dev && (ifaddr_find(dev, addr) ||
		                     (!ip_is_link_local(addr) && ifaddr_is_local(addr)));
	} else if (!is_ours) {
		is_ours = ifaddr_is_local(addr);
	}
	rcu_read_unlock();
	return is_ours ? OK : ERR_ADDRNOTAVAIL;
}

enum err
inet_bind_address(
    struct inet_sock *is, const struct sock_addr *a, struct ip_addr *addr, uint16_t *port)
{
	uint32_t scope_if, bound;
	enum err err = bind_parse(is, a, addr, port, &scope_if);

	if (err != OK)
		return err;
	if (is->sock.family == AF_INET6 && is->is_v6only && ip_is_v4(addr))
		return ERR_INVAL;
	err = bind_check_owner(is, addr, scope_if, &bound);
	if (err != OK)
		return err;
	if (*port && *port < __atomic_load_n(&first_free_port, __ATOMIC_RELAXED) &&
	    is->sock.type != SOCK_RAW && !capable(CAP_NET_BIND_SERVICE))
		return ERR_ACCES;
	if (is->local_port && is->sock.type != SOCK_RAW)
		return ERR_INVAL;
	is->sock.bound_if = bound;
	return OK;
}

enum err
inet_bind(struct inet_sock *is, const struct sock_addr *a, struct port_table *t)
{
	struct ip_addr addr;
	uint16_t port;
	enum err err;

	mutex_lock(&is->sock.send_lock);
	err = inet_bind_address(is, a, &addr, &port);
	if (err == OK)
		err = inet_bind_port(is, t, &addr, port);
	mutex_unlock(&is->sock.send_lock);
	return err;
}

/* ---- Routes -------------------------------------------------------------------------------------- */

enum err
inet_route_via(struct inet_sock *is, const struct ip_addr *dst, uint32_t oif,
    struct ip_addr *src, struct dst **out)
{
	struct flow flow = {
	    .dst = *dst,
	    .src = *src,
	    .oif = oif,
	    .tos = ip_is_v4(dst) ? is->tos : is->tclass6,
	    .is_any_source = is->is_freebind || is->is_transparent || is->is_hdrincl,
	};
	enum err err;

	if (ip_is_unspecified(src) || ip_is_multicast(src) || ip_is_broadcast(src))
		flow.src = ip_is_v4(dst) ? ip4_any : ip_any;
	err = route_output(&flow, out);
	if (err == OK)
		*src = flow.src;
	return err;
}

enum err
inet_route(struct inet_sock *is, const struct ip_addr *dst, struct ip_addr *src,
    struct dst **out)
{
	uint32_t oif = is->sock.bound_if ? is->sock.bound_if : is->scope_if;
	struct dst *d, *old = NULL;
	enum err err;

	spin_lock(&is->sock.lock);
	d = is->dst && dst_is_valid(is->dst) && ip_equal(&is->dst->addr, dst) &&
	            is->dst->oif == oif
	        ? dst_get(is->dst)
	        : NULL;
	spin_unlock(&is->sock.lock);
	if (d && !ip_is_unspecified(src)) {
		*out = d;
		return OK;
	}
	if (d)
		dst_put(d);
	err = inet_route_via(is, dst, oif, src, out);
	if (err != OK || !ip_equal(dst, &is->peer))
		return err;
	spin_lock(&is->sock.lock);
	old = is->dst;
	is->dst = dst_get(*out);
	spin_unlock(&is->sock.lock);
	if (old)
		dst_put(old);
	return OK;
}

/* ---- Bring-up -------------------------------------------------------------------------------------- */

static void
show_first_free_port(struct seq *s)
{
	seq_printf(s, "%u\n", __atomic_load_n(&first_free_port, __ATOMIC_RELAXED));
}

static enum err
store_first_free_port(const char *text)
{
	uint32_t v;

	if (!sock_parse_numbers(text, &v, 1) || v > UINT16_MAX + 1u)
		return ERR_INVAL;
	__atomic_store_n(&first_free_port, v, __ATOMIC_RELAXED);
	return OK;
}

void
inet_init(void)
{
	sockets_init();
	inet_ports_init();
	udp_init();
	raw_init();
	ping_init();
	inet_proc_init();
	mib_proc_init();
	sock_register_family(AF_INET, inet_create);
	sock_register_family(AF_INET6, inet_create);
	if (proc_register_rw("sys/net/ipv4/ip_unprivileged_port_start",
	        show_first_free_port, store_first_free_port) != OK)
		panic("inet: no memory for a file in /proc");
}
