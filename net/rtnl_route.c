/*
 * rtnetlink: routes (RTM_*ROUTE, `ip route`, `ip route get`) and the rules there are
 * (RTM_GETRULE): first the local table, then the main one, last the default one, which has no
 * routes. Numbers of linux/rtnetlink.h.
 */
#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "net/ifaddr.h"
#include "net/netdev.h"
#include "net/netlink.h"
#include "net/route.h"

enum {
	RTA_DST = 1,
	RTA_SRC = 2,
	RTA_OIF = 4,
	RTA_GATEWAY = 5,
	RTA_PRIORITY = 6,
	RTA_PREFSRC = 7,
	RTA_METRICS = 8,
	RTA_MULTIPATH = 9,
	RTA_CACHEINFO = 12,
	RTA_TABLE = 15,
	RTA_PREF = 20,
	RTA_EXPIRES = 23,
	RTA_UID = 25,
	RTA_NUM = 32,

	RTAX_MTU = 2,
	RTAX_WINDOW = 3,
	RTAX_ADVMSS = 8,
	RTAX_HOPLIMIT = 10,
	RTAX_NUM = 18,

	RT_SCOPE_LINK = 253,
	RT_SCOPE_HOST = 254,
	RT_SCOPE_NOWHERE = 255,
	ICMPV6_ROUTER_PREF_MEDIUM = 0,
	ROUTE_TABLE_DEFAULT = 253,
	RTM_F_CLONED = 0x200,
	RTCF_LOCAL = (int)0x80000000,
	RTCF_BROADCAST = 0x10000000, /* what IPv4's answers say of the way */
	RTCF_MULTICAST = 0x20000000,
	RTNH_F_LINKDOWN = 16,

	FRA_PRIORITY = 6,
	FRA_PROTOCOL = 21,
	FRA_TABLE = 15,
	FR_ACT_TO_TBL = 1,
};

struct rtmsg {
	uint8_t family, dst_len, src_len, tos;
	uint8_t table, protocol, scope, type;
	uint32_t flags;
};

struct rta_cacheinfo {
	uint32_t clntref, lastuse;
	int32_t expires; /* hundredths of a second */
	uint32_t error, used, id, ts, tsage;
};

static void
put_metrics(struct nl_out *o, const struct route_config *c)
{
	size_t nest;

	if (!c->mtu && !c->advmss && !c->window && !c->hoplimit)
		return;
	nest = nl_nest(o, RTA_METRICS);
	if (c->mtu)
		nl_put_u32(o, RTAX_MTU, c->mtu);
	if (c->window)
		nl_put_u32(o, RTAX_WINDOW, c->window);
	if (c->advmss)
		nl_put_u32(o, RTAX_ADVMSS, c->advmss);
	if (c->hoplimit)
		nl_put_u32(o, RTAX_HOPLIMIT, c->hoplimit);
	nl_nest_end(o, nest);
}

static void
fill_route(struct nl_out *o, const struct route_config *c, uint16_t type, uint32_t flags)
{
	struct rtmsg *m = nl_begin(o, type, sizeof(*m));
	bool is_v4 = ip_is_v4(&c->dst);
	struct rta_cacheinfo ci = {0};

	if (!m)
		return;
	*m = (struct rtmsg){.family = is_v4 ? AF_INET : AF_INET6,
	    .dst_len = c->plen,
	    .tos = c->tos,
	    .table = c->table < 256 ? (uint8_t)c->table : 252, /* RT_TABLE_COMPAT */
	    .protocol = c->proto,
	    .scope = is_v4 ? c->scope : 0,
	    .type = c->type,
	    .flags = flags | c->flags};
	if (c->dev && !(c->dev->flags & NETDEV_RUNNING))
		m->flags |= RTNH_F_LINKDOWN;
	nl_put_u32(o, RTA_TABLE, c->table);
	if (c->plen)
		nl_put_addr(o, RTA_DST, &c->dst);
	if (c->metric || !is_v4)
		nl_put_u32(o, RTA_PRIORITY, c->metric);
	if (!is_v4)
		nl_put_u8(o, RTA_PREF, ICMPV6_ROUTER_PREF_MEDIUM);
	if (c->has_prefsrc)
		nl_put_addr(o, RTA_PREFSRC, &c->prefsrc);
	if (c->has_gateway)
		nl_put_addr(o, RTA_GATEWAY, &c->gateway);
	if (c->dev)
		nl_put_u32(o, RTA_OIF, c->dev->index);
	put_metrics(o, c);
	ci.expires = (int32_t)(c->valid_ns / (10 * NSEC_PER_MSEC));
	if (c->valid_ns || !is_v4 || (flags & RTM_F_CLONED))
		nl_put(o, RTA_CACHEINFO, &ci, sizeof(ci));
}

/* ---- Dumps ------------------------------------------------------------------------------------ */

struct route_dump {
	struct nl_dump *d;
	struct nl_out *o;
	uint32_t table; /* 0: all */
	bool is_full;
};

static bool
dump_one(const struct route_config *c, void *arg)
{
	struct route_dump *r = arg;

	if ((r->table && c->table != r->table) || !nl_dump_wants(r->d))
		return true;
	fill_route(r->o, c, RTM_NEWROUTE, 0);
	r->is_full = !nl_dump_put(r->d, r->o);
	return !r->is_full;
}

static bool
dump_routes(struct nl_dump *d, struct nl_out *o)
{
	const struct rtmsg *m = (const struct rtmsg *)d->request;
	int family = d->request_len ? m->family : AF_UNSPEC;
	struct route_dump r = {.d = d, .o = o};

	if (d->request_len >= sizeof(*m)) {
		r.table = m->table;
		if (m->flags & RTM_F_CLONED)
			return true; /* the cache is not shown */
	}
	if (family != AF_INET6)
		route_for_each(AF_INET, dump_one, &r);
	if (family != AF_INET && !r.is_full)
		route_for_each(AF_INET6, dump_one, &r);
	return !r.is_full;
}

/* ---- Requests --------------------------------------------------------------------------------- */

static bool
parse_metrics(const struct nl_attr *a, struct route_config *c)
{
	const struct nl_attr *m[RTAX_NUM];

	if (!a)
		return true;
	return nl_parse(m, RTAX_NUM, nl_data(a), nl_len(a)) &&
	       nl_get_u32(m[RTAX_MTU], &c->mtu) &&
	       nl_get_u32(m[RTAX_WINDOW], &c->window) &&
	       nl_get_u32(m[RTAX_ADVMSS], &c->advmss) &&
	       nl_get_u32(m[RTAX_HOPLIMIT], &c->hoplimit);
}

static enum err
parse(struct nl_request *q, struct route_config *c)
{
	const struct rtmsg *m = q->body;
	const struct nl_attr *a[RTA_NUM];
	uint32_t oif = 0, expires = 0;

	if (m->family != AF_INET && m->family != AF_INET6)
		return ERR_AFNOSUPPORT;
	*c = (struct route_config){.dst = m->family == AF_INET ? ip4_any : ip_any,
	    .plen = m->dst_len,
	    .type = m->type,
	    .proto = m->protocol,
	    .scope = m->scope,
	    .tos = m->tos,
	    .table = m->table,
	    .flags = m->flags & 4 /* RTNH_F_ONLINK */};
	if (!nl_parse(a, RTA_NUM, q->attrs_at, q->attrs_len) ||
	    m->dst_len > (m->family == AF_INET ? 32 : 128) ||
	    !nl_get_addr(a[RTA_DST], m->family, &c->dst) ||
	    !nl_get_addr(a[RTA_GATEWAY], m->family, &c->gateway) ||
	    !nl_get_addr(a[RTA_PREFSRC], m->family, &c->prefsrc) ||
	    !nl_get_u32(a[RTA_OIF], &oif) || !nl_get_u32(a[RTA_PRIORITY], &c->metric) ||
	    !nl_get_u32(a[RTA_TABLE], &c->table) ||
	    !nl_get_u32(a[RTA_EXPIRES], &expires) || !parse_metrics(a[RTA_METRICS], c))
		return ERR_INVAL;
	if (a[RTA_MULTIPATH] || m->src_len || (m->dst_len && !a[RTA_DST]))
		return a[RTA_MULTIPATH] ? ERR_OPNOTSUPP : ERR_INVAL;
	c->has_gateway = a[RTA_GATEWAY] && !ip_is_unspecified(&c->gateway);
	c->has_prefsrc = a[RTA_PREFSRC] && !ip_is_unspecified(&c->prefsrc);
	c->valid_ns = expires * NSEC_PER_SEC;
	if (!c->table)
		c->table = ROUTE_TABLE_MAIN;
	if (oif) {
		c->dev = rtnl_dev(oif);
		if (!c->dev)
			return ERR_NODEV;
	}
	return OK;
}

static enum err
new_route(struct nl_request *q)
{
	uint16_t flags = q->header->flags;
	struct route_config c;
	enum err err = parse(q, &c);

	if (err != OK)
		return err;
	if (!c.type)
		c.type = ROUTE_UNICAST;
	if (c.table != ROUTE_TABLE_MAIN && c.table != ROUTE_TABLE_LOCAL)
		return ERR_OPNOTSUPP; /* further tables need rules */
	return route_add(&c, flags & NLM_F_EXCL, flags & NLM_F_REPLACE);
}

static enum err
del_route(struct nl_request *q)
{
	struct route_config c;
	enum err err = parse(q, &c);

	return err == OK ? route_del(&c) : err;
}

/* ---- `ip route get`: where a packet would go ------------------------------------------------ */

/* IPv4's answer is about the way alone, whatever table it came from. */
static void
fill_way4(struct nl_out *o, struct route_config *c)
{
	static const uint32_t flags[] = {[ROUTE_LOCAL] = RTCF_LOCAL,
	    [ROUTE_BROADCAST] = RTCF_LOCAL | RTCF_BROADCAST,
	    [ROUTE_MULTICAST] = RTCF_MULTICAST};

	c->table = ROUTE_TABLE_MAIN;
	fill_route(o, c, RTM_NEWROUTE,
	    RTM_F_CLONED | (c->type < ARRAY_SIZE(flags) ? flags[c->type] : 0));
	nl_put_u32(o, RTA_UID, current_cred()->uid);
}

struct best_route {
	const struct route_config *way;
	uint32_t table, metric;
	uint8_t plen, proto;
	bool is_found;
};

/* The longest prefix of the first table that has one, then the lowest metric. */
static bool
consider(const struct route_config *c, void *arg)
{
	struct best_route *b = arg;

	if (!ip_prefix_match(&c->dst, &b->way->dst, c->plen) ||
	    (c->dev && c->dev != b->way->dev && c->type != ROUTE_LOCAL))
		return true;
	if (b->is_found && (c->table != b->table || c->plen < b->plen ||
	                       (c->plen == b->plen && c->metric >= b->metric)))
		return true;
	b->table = c->table;
	b->metric = c->metric;
	b->plen = c->plen;
	b->proto = c->proto;
	b->is_found = true;
	return true;
}

/* IPv6's is the route that was taken. */
static void
fill_way6(struct nl_out *o, struct route_config *c)
{
	struct best_route best = {.way = c};

	route_for_each(AF_INET6, consider, &best);
	if (best.is_found) {
		c->table = best.table;
		c->metric = best.metric;
		c->proto = best.proto;
	}
	fill_route(o, c, RTM_NEWROUTE, 0);
}

static enum err
get_route(struct nl_request *q)
{
	const struct rtmsg *m = q->body;
	const struct nl_attr *a[RTA_NUM];
	struct flow f = {.tos = m->tos};
	struct route_config c;
	struct ip_addr src;
	struct dst *dst;
	enum err err;

	if (m->family != AF_INET && m->family != AF_INET6)
		return ERR_AFNOSUPPORT;
	f.dst = f.src = m->family == AF_INET ? ip4_any : ip_any;
	if (!nl_parse(a, RTA_NUM, q->attrs_at, q->attrs_len) ||
	    !nl_get_addr(a[RTA_DST], m->family, &f.dst) ||
	    !nl_get_addr(a[RTA_SRC], m->family, &f.src) ||
	    !nl_get_u32(a[RTA_OIF], &f.oif))
		return ERR_INVAL;
	src = f.src;
	err = route_output(&f, &dst);
	if (err != OK)
		return err;
	c = (struct route_config){.dst = f.dst,
	    .plen = (uint8_t)ip_bits(&f.dst),
	    .type = dst->type,
	    .table = dst->type == ROUTE_LOCAL ? ROUTE_TABLE_LOCAL : ROUTE_TABLE_MAIN,
	    .has_gateway =
	        !ip_equal(&dst->next_hop, &f.dst) && !ip_is_unspecified(&dst->next_hop),
	    .gateway = dst->next_hop,
	    .has_prefsrc = !ip_is_unspecified(&f.src) &&
	                   (m->family == AF_INET6 || ip_is_unspecified(&src)),
	    .prefsrc = f.src,
	    .dev = dst->dev,
	    .mtu = dst->mtu_until_ns ? dst_mtu(dst) : 0};
	if (m->family == AF_INET)
		fill_way4(q->out, &c);
	else
		fill_way6(q->out, &c);
	if (m->family == AF_INET6 || !ip_is_unspecified(&src))
		nl_put_addr(q->out, RTA_SRC, &src);
	dst_put(dst);
	return nl_end(q->out) ? OK : ERR_MSGSIZE;
}

/* ---- Rules -------------------------------------------------------------------------------------- */

struct fib_rule_hdr {
	uint8_t family, dst_len, src_len, tos;
	uint8_t table, res1, res2, action;
	uint32_t flags;
};

static bool
dump_rules_of(struct nl_dump *d, struct nl_out *o, uint8_t family)
{
	static const struct {
		uint32_t priority;
		uint8_t table;
	} rules[] = {{0, ROUTE_TABLE_LOCAL}, {32766, ROUTE_TABLE_MAIN},
	    {32767, ROUTE_TABLE_DEFAULT}};

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		struct fib_rule_hdr *h;

		if (family == AF_INET6 && rules[i].table == ROUTE_TABLE_DEFAULT)
			continue;
		if (!nl_dump_wants(d))
			continue;
		h = nl_begin(o, RTM_NEWRULE, sizeof(*h));
		if (h) {
			h->family = family;
			h->table = rules[i].table;
			h->action = FR_ACT_TO_TBL;
		}
		nl_put_u32(o, FRA_TABLE, rules[i].table);
		if (rules[i].priority)
			nl_put_u32(o, FRA_PRIORITY, rules[i].priority);
		nl_put_u8(o, FRA_PROTOCOL, ROUTE_BY_KERNEL);
		if (!nl_dump_put(d, o))
			return false;
	}
	return true;
}

static bool
dump_rules(struct nl_dump *d, struct nl_out *o)
{
	int family = d->request_len ? d->request[0] : AF_UNSPEC;

	if (family != AF_INET6 && !dump_rules_of(d, o, AF_INET))
		return false;
	return family == AF_INET || dump_rules_of(d, o, AF_INET6);
}

/* ---- Notifications -------------------------------------------------------------------------------- */

static void
fill_new(struct nl_out *o, const void *arg)
{
	fill_route(o, arg, RTM_NEWROUTE, 0);
	(void)nl_end(o); /* larger than the room: nothing is sent */
}

static void
fill_del(struct nl_out *o, const void *arg)
{
	fill_route(o, arg, RTM_DELROUTE, 0);
	(void)nl_end(o);
}

static void
route_event(const struct route_config *c, bool is_added)
{
	netlink_notify(ip_is_v4(&c->dst) ? RTNLGRP_IPV4_ROUTE : RTNLGRP_IPV6_ROUTE,
	    is_added ? fill_new : fill_del, c);
}

void
rtnl_route_init(void)
{
	static const struct rtnl_handler get = {
	    .header_len = sizeof(struct rtmsg), .handle = get_route, .dump = dump_routes};
	static const struct rtnl_handler add = {
	    .header_len = sizeof(struct rtmsg), .is_admin = true, .handle = new_route};
	static const struct rtnl_handler del = {
	    .header_len = sizeof(struct rtmsg), .is_admin = true, .handle = del_route};
	static const struct rtnl_handler rules = {
	    .header_len = sizeof(struct fib_rule_hdr), .dump = dump_rules};
	static struct route_notifier notifier = {.event = route_event};

	rtnl_register(RTM_GETROUTE, &get);
	rtnl_register(RTM_NEWROUTE, &add);
	rtnl_register(RTM_DELROUTE, &del);
	rtnl_register(RTM_GETRULE, &rules);
	route_notify_add(&notifier);
}
