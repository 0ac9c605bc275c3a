/*
 * Multicast memberships of sockets, with their source filters (RFC 3376 and 3810, 4.1; RFC 3678):
 * IP_ADD_MEMBERSHIP and its family, IPV6_JOIN_GROUP, the MCAST_* options of both levels.
 *
 * A membership is immutable but for its place in the socket's list: a change of its sources puts
 * another one in its place, so the receive path reads the list under RCU. Changes are made under
 * the socket's send_lock. The interface lets in what any of its sockets wants (ip_mc.h); what this
 * socket wants of it is filtered here.
 */
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ifaddr.h"
#include "net/inet_opts.h"
#include "net/inet_priv.h"
#include "net/ip_mc.h"
#include "net/netdev.h"

enum {
	MAX_GROUPS = 20,  /* a socket's, as net.ipv4.igmp_max_memberships */
	MAX_SOURCES = 64, /* of one membership */
	MCAST_EXCLUDE = 0,
	MCAST_INCLUDE = 1,
};

struct inet_mc {
	struct inet_mc *next; /* RCU */
	struct rcu_head rcu;
	struct netdev *dev; /* a reference */
	struct ip_addr group;
	bool is_include;
	uint8_t num_sources;
	struct ip_addr sources[];
};

/* What one option asks for. */
struct mc_request {
	struct ip_addr group, source, if_addr;
	uint32_t ifindex;
};

/* Structures of the options. */
struct mreqn {
	be32 group, if_addr;
	int32_t ifindex;
};
struct mreq_source {
	be32 group, if_addr, source;
};
struct mreq6 {
	uint8_t group[16];
	uint32_t ifindex;
};
struct group_req {
	uint32_t ifindex, pad;
	uint8_t group[128];
};
struct group_source_req {
	uint32_t ifindex, pad;
	uint8_t group[128], source[128];
};

/* ---- The list ------------------------------------------------------------------------------ */

static struct inet_mc *
mc_alloc(const struct inet_mc *like, unsigned num_sources)
{
	struct inet_mc *m = kzalloc(sizeof(*m) + num_sources * sizeof(m->sources[0]));

	if (!m)
		return NULL;
	m->dev = like->dev;
	m->group = like->group;
	m->is_include = like->is_include;
	m->num_sources = (uint8_t)num_sources;
	return m;
}

static void
mc_free_late(struct rcu_head *head)
{
	kfree(container_of(head, struct inet_mc, rcu));
}

static struct inet_mc **
mc_find(struct inet_sock *is, const struct ip_addr *group, const struct netdev *dev)
{
	struct inet_mc **m = &is->mc;

	while (*m && (!ip_equal(&(*m)->group, group) || (dev && (*m)->dev != dev)))
		m = &(*m)->next;
	return m;
}

static struct mc_filter
filter_of(const struct inet_mc *m)
{
	return (struct mc_filter){
	    .is_include = m->is_include, .num = m->num_sources, .sources = m->sources};
}

/* `m`, its sources filled in, takes the place of *at, or is freed. */
static enum err
mc_replace(struct inet_mc **at, struct inet_mc *m)
{
	struct inet_mc *old = *at;
	struct mc_filter from = filter_of(old), to = filter_of(m);
	enum err err = ip_mc_change(m->dev, &m->group, &from, &to);

	if (err != OK) {
		kfree(m);
		return err;
	}
	m->next = old->next;
	rcu_assign(*at, m);
	rcu_call(&old->rcu, mc_free_late);
	return OK;
}

static void
mc_remove(struct inet_mc **at)
{
	struct inet_mc *m = *at;
	struct mc_filter f = filter_of(m);

	rcu_assign(*at, m->next);
	(void)ip_mc_change(m->dev, &m->group, &f, NULL); /* leaving does not fail */
	netdev_put(m->dev);
	rcu_call(&m->rcu, mc_free_late);
}

void
inet_mc_fini(struct inet_sock *is)
{
	while (is->mc)
		mc_remove(&is->mc);
}

static bool
mc_has_source(const struct inet_mc *m, const struct ip_addr *src)
{
	for (unsigned i = 0; i < m->num_sources; i++)
		if (ip_equal(&m->sources[i], src))
			return true;
	return false;
}

bool
inet_mc_wants(struct inet_sock *is, const struct ip_addr *group,
    const struct ip_addr *src, unsigned ifindex)
{
	const struct inet_mc *m;

	for (m = rcu_dereference(is->mc); m; m = rcu_dereference(m->next))
		if (ip_equal(&m->group, group) && m->dev->index == ifindex)
			return mc_has_source(m, src) == m->is_include;
	return ip_is_v4(group) ? is->is_mc_all : is->is_mc_all6;
}

/* ---- Joining and leaving ----------------------------------------------------------------------- */

/* The interface a request names by index or address, else the one the route leads to. A
 * reference, or NULL. */
static struct netdev *
mc_dev(struct inet_sock *is, const struct mc_request *r)
{
	struct netdev *dev = NULL;
	struct ip_addr src = ip_is_v4(&r->group) ? ip4_any : ip_any;
	const struct ifaddr *ifa;
	struct dst *dst;

	rcu_read_lock();
	if (r->ifindex) {
		dev = netdev_by_index(r->ifindex);
	} else if (!ip_is_unspecified(&r->if_addr)) {
		ifa = ifaddr_find(NULL, &r->if_addr);
		dev = ifa ? ifa->dev : NULL;
	}
	if (dev)
		netdev_get(dev);
	rcu_read_unlock();
	if (dev || r->ifindex || !ip_is_unspecified(&r->if_addr))
		return dev;
	if (inet_route_via(is, &r->group, is->sock.bound_if, &src, &dst) != OK)
		return NULL;
	dev = netdev_get(dst->dev);
	dst_put(dst);
	return dev;
}

static unsigned
mc_count(const struct inet_sock *is)
{
	unsigned n = 0;

	for (const struct inet_mc *m = is->mc; m; m = m->next)
		n++;
	return n;
}

/* For all sources, or for one. Takes the reference to dev, also on an error. */
static enum err
mc_join(struct inet_sock *is, const struct ip_addr *group, struct netdev *dev,
    const struct ip_addr *source)
{
	const struct inet_mc like = {
	    .dev = dev, .group = *group, .is_include = source != NULL};
	struct inet_mc *m;
	struct mc_filter f;
	enum err err = ERR_ADDRINUSE;

	if (*mc_find(is, group, dev))
		goto put_dev;
	err = ERR_NOBUFS;
	m = mc_count(is) < MAX_GROUPS ? mc_alloc(&like, source != NULL) : NULL;
	if (!m)
		goto put_dev;
	if (source)
		m->sources[0] = *source;
	f = filter_of(m);
	err = ip_mc_change(dev, group, NULL, &f);
	if (err != OK) {
		kfree(m);
		goto put_dev;
	}
	m->next = is->mc;
	rcu_assign(is->mc, m);
	return OK;
put_dev:
	netdev_put(dev);
	return err;
}

static enum err
mc_leave(struct inet_sock *is, const struct mc_request *r)
{
	bool is_any_dev = !r->ifindex && ip_is_unspecified(&r->if_addr);
	struct netdev *dev = is_any_dev ? NULL : mc_dev(is, r);
	struct inet_mc **at;

	if (!is_any_dev && !dev)
		return ERR_NODEV;
	at = mc_find(is, &r->group, dev);
	if (dev)
		netdev_put(dev);
	if (!*at)
		return ERR_ADDRNOTAVAIL;
	mc_remove(at);
	return OK;
}

static enum err
source_add(struct inet_mc **at, const struct ip_addr *src, bool is_include)
{
	struct inet_mc *m;

	if (mc_has_source(*at, src))
		return ERR_ADDRNOTAVAIL;
	if ((*at)->num_sources >= MAX_SOURCES)
		return ERR_NOBUFS;
	m = mc_alloc(*at, (*at)->num_sources + 1u);
	if (!m)
		return ERR_NOBUFS;
	memcpy(m->sources, (*at)->sources, (*at)->num_sources * sizeof(*src));
	m->sources[m->num_sources - 1] = *src;
	m->is_include = is_include;
	return mc_replace(at, m);
}

/* Without a source left an including membership ends. */
static enum err
source_remove(struct inet_mc **at, const struct ip_addr *src, bool is_include)
{
	struct inet_mc *m;
	unsigned n = 0;

	if (!mc_has_source(*at, src))
		return ERR_ADDRNOTAVAIL;
	if (is_include && (*at)->num_sources == 1) {
		mc_remove(at);
		return OK;
	}
	m = mc_alloc(*at, (*at)->num_sources - 1u);
	if (!m)
		return ERR_NOBUFS;
	for (unsigned i = 0; i < (*at)->num_sources; i++)
		if (!ip_equal(&(*at)->sources[i], src))
			m->sources[n++] = (*at)->sources[i];
	return mc_replace(at, m);
}

/* Blocks, unblocks, joins or leaves one source (RFC 3678 4.1.3). */
static enum err
mc_source(struct inet_sock *is, const struct mc_request *r, bool is_include, bool is_add)
{
	struct netdev *dev = mc_dev(is, r);
	struct inet_mc **at;
	enum err err;

	if (!dev)
		return ERR_NODEV;
	if (is_include && is_add) {
		err = mc_join(is, &r->group, netdev_get(dev), &r->source);
		if (err != ERR_ADDRINUSE) {
			netdev_put(dev);
			return err;
		}
	}
	at = mc_find(is, &r->group, dev);
	netdev_put(dev);
	if (!*at || ((*at)->num_sources && (*at)->is_include != is_include))
		return ERR_INVAL;
	return is_add ? source_add(at, &r->source, is_include)
	              : source_remove(at, &r->source, is_include);
}

/* ---- Options -------------------------------------------------------------------------------------- */

/* An address in a sockaddr_storage. */
static bool
storage_addr(const uint8_t *ss, struct ip_addr *addr)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	memcpy(&in, ss, sizeof(in));
	memcpy(&in6, ss, sizeof(in6));
	if (in.family == AF_INET)
		*addr = ip_from_v4(in.addr);
	else if (in6.family == AF_INET6)
		memcpy(addr->b, in6.addr, sizeof(addr->b));
	return in.family == AF_INET || in6.family == AF_INET6;
}

static void
put_storage(uint8_t *ss, const struct ip_addr *addr)
{
	struct sockaddr_in in = {.family = AF_INET, .addr = addr->v4};
	struct sockaddr_in6 in6 = {.family = AF_INET6};

	memcpy(in6.addr, addr->b, sizeof(in6.addr));
	memset(ss, 0, 128);
	if (ip_is_v4(addr))
		memcpy(ss, &in, sizeof(in));
	else
		memcpy(ss, &in6, sizeof(in6));
}

static enum err
parse_mreq(struct mc_request *r, const void *val, unsigned len)
{
	enum { MREQ = 8 };
	struct mreqn m = {.ifindex = 0};

	if (len < MREQ)
		return ERR_INVAL;
	memcpy(&m, val, len >= sizeof(m) ? sizeof(m) : MREQ);
	r->group = ip_from_v4(m.group);
	r->if_addr = ip_from_v4(m.if_addr);
	r->ifindex = (uint32_t)m.ifindex;
	return OK;
}

static enum err
parse_mreq_source(struct mc_request *r, const void *val, unsigned len)
{
	struct mreq_source m;

	if (len != sizeof(m))
		return ERR_INVAL;
	memcpy(&m, val, sizeof(m));
	r->group = ip_from_v4(m.group);
	r->if_addr = ip_from_v4(m.if_addr);
	r->source = ip_from_v4(m.source);
	return OK;
}

static enum err
parse_mreq6(struct mc_request *r, const void *val, unsigned len)
{
	struct mreq6 m;

	if (len < sizeof(m))
		return ERR_INVAL;
	memcpy(&m, val, sizeof(m));
	memcpy(r->group.b, m.group, sizeof(r->group.b));
	r->ifindex = m.ifindex;
	return ip_is_v4(&r->group) ? ERR_INVAL : OK;
}

static enum err
parse_group(struct mc_request *r, const void *val, unsigned len, bool has_source)
{
	struct group_source_req g = {.ifindex = 0};
	size_t size = has_source ? sizeof(g) : sizeof(struct group_req);

	if (len < size)
		return ERR_INVAL;
	memcpy(&g, val, size);
	r->ifindex = g.ifindex;
	if (!storage_addr(g.group, &r->group) ||
	    (has_source && !storage_addr(g.source, &r->source)))
		return ERR_ADDRNOTAVAIL;
	return OK;
}

static enum err
parse(struct mc_request *r, int level, int opt, const void *val, unsigned len)
{
	*r = (struct mc_request){.if_addr = ip4_any};
	if (opt >= MCAST_JOIN_GROUP && opt <= MCAST_LEAVE_SOURCE_GROUP)
		return parse_group(
		    r, val, len, opt != MCAST_JOIN_GROUP && opt != MCAST_LEAVE_GROUP);
	if (level == SOL_IPV6)
		return parse_mreq6(r, val, len);
	return opt == IP_ADD_MEMBERSHIP || opt == IP_DROP_MEMBERSHIP
	           ? parse_mreq(r, val, len)
	           : parse_mreq_source(r, val, len);
}

/* ---- Whole filters: IP_MSFILTER, MCAST_MSFILTER (RFC 3678 4.2, 5.2) -------------------------- */

/* Where things lie in the two structures: struct ip_msfilter and struct group_filter. */
struct filter_layout {
	bool is_storage; /* addresses are sockaddr_storage, else be32 */
	size_t group, ifindex, mode, count, sources, source_size;
};
static const struct filter_layout msfilter = {false, 0, 4, 8, 12, 16, 4};
static const struct filter_layout group_filter = {true, 8, 0, 136, 140, 144, 128};

static uint32_t
word_at(const void *val, size_t off)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)val + off, sizeof(v));
	return v;
}

static bool
addr_at(const struct filter_layout *l, const void *val, size_t off, struct ip_addr *addr)
{
	be32 v4;

	if (l->is_storage)
		return storage_addr((const uint8_t *)val + off, addr);
	memcpy(&v4, (const uint8_t *)val + off, sizeof(v4));
	*addr = ip_from_v4(v4);
	return true;
}

/* Group and interface, from the start of either structure. */
static enum err
parse_filter(
    struct mc_request *r, const struct filter_layout *l, const void *val, unsigned len)
{
	*r = (struct mc_request){.if_addr = ip4_any};
	if (len < l->sources)
		return ERR_INVAL;
	if (!addr_at(l, val, l->group, &r->group))
		return ERR_ADDRNOTAVAIL;
	if (l->is_storage)
		r->ifindex = word_at(val, l->ifindex);
	else
		(void)addr_at(l, val, l->ifindex, &r->if_addr); /* plain v4: always one */
	return ip_is_multicast(&r->group) ? OK : ERR_INVAL;
}

/* send_lock held. The membership a request is about, or *at NULL. */
static struct inet_mc **
find_requested(struct inet_sock *is, const struct mc_request *r, enum err *err)
{
	struct netdev *dev = mc_dev(is, r);
	struct inet_mc **at = NULL;

	*err = ERR_NODEV;
	if (!dev)
		return NULL;
	at = mc_find(is, &r->group, dev);
	netdev_put(dev);
	*err = *at ? OK : ERR_INVAL;
	return *at ? at : NULL;
}

static enum err
set_filter(
    struct inet_sock *is, const struct filter_layout *l, const void *val, unsigned len)
{
	struct mc_request r;
	struct inet_mc **at, *m;
	enum err err = parse_filter(&r, l, val, len);
	uint32_t mode, n;

	if (err != OK)
		return err;
	mode = word_at(val, l->mode);
	n = word_at(val, l->count);
	if (n > MAX_SOURCES)
		return ERR_NOBUFS;
	if (mode > MCAST_INCLUDE || len < l->sources + n * l->source_size)
		return ERR_INVAL;
	at = find_requested(is, &r, &err);
	if (!at)
		return err;
	if (mode == MCAST_INCLUDE && n == 0) {
		mc_remove(at);
		return OK;
	}
	m = mc_alloc(*at, n);
	if (!m)
		return ERR_NOBUFS;
	m->is_include = mode == MCAST_INCLUDE;
	m->num_sources = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct ip_addr src;

		if (!addr_at(l, val, l->sources + i * l->source_size, &src)) {
			kfree(m);
			return ERR_ADDRNOTAVAIL;
		}
		if (!mc_has_source(m, &src))
			m->sources[m->num_sources++] = src;
	}
	return mc_replace(at, m);
}

/* As many sources as there is room for, and how many there are. */
static enum err
get_filter(struct inet_sock *is, const struct filter_layout *l, void *val, unsigned *len)
{
	struct mc_request r;
	struct inet_mc **at;
	enum err err = parse_filter(&r, l, val, *len);
	uint32_t room, n, mode;

	if (err != OK)
		return err;
	at = find_requested(is, &r, &err);
	if (!at)
		return err == ERR_INVAL ? ERR_ADDRNOTAVAIL : err;
	room = (uint32_t)((*len - l->sources) / l->source_size);
	room = MIN(room, word_at(val, l->count));
	n = (*at)->num_sources;
	mode = (*at)->is_include ? MCAST_INCLUDE : MCAST_EXCLUDE;
	memcpy((uint8_t *)val + l->mode, &mode, sizeof(mode));
	memcpy((uint8_t *)val + l->count, &n, sizeof(n));
	n = MIN(n, room);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *to = (uint8_t *)val + l->sources + i * l->source_size;
		const struct ip_addr *src = &(*at)->sources[i];

		if (l->is_storage)
			put_storage(to, src);
		else
			memcpy(to, &src->v4, sizeof(src->v4));
	}
	*len = (unsigned)(l->sources + n * l->source_size);
	return OK;
}

enum err
inet_mc_getsockopt(struct inet_sock *is, int opt, void *val, unsigned *len)
{
	enum err err;

	mutex_lock(&is->sock.send_lock);
	err = get_filter(is, opt == IP_MSFILTER ? &msfilter : &group_filter, val, len);
	mutex_unlock(&is->sock.send_lock);
	return err;
}

static enum err
mc_join_any(struct inet_sock *is, const struct mc_request *r)
{
	struct netdev *dev = mc_dev(is, r);

	return dev ? mc_join(is, &r->group, dev, NULL) : ERR_NODEV;
}

static enum err
perform(struct inet_sock *is, int level, int opt, const struct mc_request *r)
{
	if (level == SOL_IPV6 && opt == IPV6_JOIN_GROUP)
		return mc_join_any(is, r);
	if (level == SOL_IPV6 && opt == IPV6_LEAVE_GROUP)
		return mc_leave(is, r);
	switch (opt) {
	case IP_ADD_MEMBERSHIP:
	case MCAST_JOIN_GROUP: return mc_join_any(is, r);
	case IP_DROP_MEMBERSHIP:
	case MCAST_LEAVE_GROUP: return mc_leave(is, r);
	case IP_BLOCK_SOURCE:
	case MCAST_BLOCK_SOURCE: return mc_source(is, r, false, true);
	case IP_UNBLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE: return mc_source(is, r, false, false);
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_SOURCE_GROUP: return mc_source(is, r, true, true);
	case IP_DROP_SOURCE_MEMBERSHIP:
	case MCAST_LEAVE_SOURCE_GROUP: return mc_source(is, r, true, false);
	default: return ERR_NOPROTOOPT;
	}
}

enum err
inet_mc_setsockopt(
    struct inet_sock *is, int level, int opt, const void *val, unsigned len)
{
	struct mc_request r;
	enum err err;

	if (is->sock.type == SOCK_STREAM)
		return ERR_PROTO;
	if (opt == IP_MSFILTER || opt == MCAST_MSFILTER) {
		mutex_lock(&is->sock.send_lock);
		err = set_filter(
		    is, opt == IP_MSFILTER ? &msfilter : &group_filter, val, len);
		mutex_unlock(&is->sock.send_lock);
		return err;
	}
	err = parse(&r, level, opt, val, len);
	if (err != OK)
		return err;
	if (!ip_is_multicast(&r.group) || (level == SOL_IP && !ip_is_v4(&r.group)))
		return ERR_INVAL;
	mutex_lock(&is->sock.send_lock);
	err = perform(is, level, opt, &r);
	mutex_unlock(&is->sock.send_lock);
	return err;
}
