/* rtnetlink: neighbours (RTM_*NEIGH, `ip neigh`); numbers of linux/neighbour.h. */
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "net/neigh.h"
#include "net/netdev.h"
#include "net/netlink.h"

enum {
	NDA_DST = 1,
	NDA_LLADDR = 2,
	NDA_CACHEINFO = 3,
	NDA_PROBES = 4,
	NDA_NUM = 16,
	NTF_ROUTER = 0x80,
};

struct ndmsg {
	uint8_t family, pad1;
	uint16_t pad2;
	int32_t ifindex;
	uint16_t state;
	uint8_t flags, type;
};

struct nda_cacheinfo { /* hundredths of a second ago */
	uint32_t confirmed, used, updated, refcnt;
};

static uint32_t
ago(nsec_t now, nsec_t then)
{
	return then && then < now ? (uint32_t)((now - then) / (10 * NSEC_PER_MSEC)) : 0;
}

static void
fill_neigh(struct nl_out *o, const struct neigh *n, uint16_t type)
{
	struct ndmsg *m = nl_begin(o, type, sizeof(*m));
	nsec_t now = clock_now_ns();
	struct nda_cacheinfo ci = {.confirmed = ago(now, n->confirmed_ns),
	    .used = ago(now, n->used_ns),
	    .updated = ago(now, n->updated_ns),
	    .refcnt = n->refs};
	uint8_t state = n->state;

	if (!m)
		return;
	*m = (struct ndmsg){.family = ip_is_v4(&n->addr) ? AF_INET : AF_INET6,
	    .ifindex = (int32_t)n->dev->index,
	    .state = state,
	    .flags = n->is_router ? NTF_ROUTER : 0,
	    .type = 1 /* RTN_UNICAST */};
	nl_put_addr(o, NDA_DST, &n->addr);
	if (state & (NEIGH_REACHABLE | NEIGH_STALE | NEIGH_DELAY | NEIGH_PROBE |
	                NEIGH_PERMANENT | NEIGH_NOARP))
		nl_put(o, NDA_LLADDR, n->mac, ETH_ALEN);
	nl_put_u32(o, NDA_PROBES, n->probes);
	nl_put(o, NDA_CACHEINFO, &ci, sizeof(ci));
}

struct neigh_dump {
	struct nl_dump *d;
	struct nl_out *o;
	int32_t ifindex;
	bool is_full;
};

/* neigh_for_each has no early end: once full, the rest is passed over. */
static void
dump_one(const struct neigh *n, void *arg)
{
	struct neigh_dump *nd = arg;

	if (nd->is_full || n->state == NEIGH_NONE ||
	    (nd->ifindex && n->dev->index != (unsigned)nd->ifindex) ||
	    !nl_dump_wants(nd->d))
		return;
	fill_neigh(nd->o, n, RTM_NEWNEIGH);
	nd->is_full = !nl_dump_put(nd->d, nd->o);
}

static bool
dump_neighs(struct nl_dump *d, struct nl_out *o)
{
	const struct ndmsg *m = (const struct ndmsg *)d->request;
	int family = d->request_len ? m->family : AF_UNSPEC;
	struct neigh_dump nd = {.d = d, .o = o};

	if (d->request_len >= sizeof(*m))
		nd.ifindex = m->ifindex;
	if (family != AF_INET6)
		neigh_for_each(AF_INET, dump_one, &nd);
	if (family != AF_INET && !nd.is_full)
		neigh_for_each(AF_INET6, dump_one, &nd);
	return !nd.is_full;
}

struct neigh_request {
	struct netdev *dev;
	struct ip_addr addr;
	const uint8_t *mac; /* NULL: not given */
	uint16_t state;
};

static enum err
parse(struct nl_request *q, struct neigh_request *r)
{
	const struct ndmsg *m = q->body;
	const struct nl_attr *a[NDA_NUM];

	if (m->family != AF_INET && m->family != AF_INET6)
		return ERR_AFNOSUPPORT;
	*r = (struct neigh_request){.state = m->state};
	if (!nl_parse(a, NDA_NUM, q->attrs_at, q->attrs_len) || !a[NDA_DST] ||
	    !nl_get_addr(a[NDA_DST], m->family, &r->addr))
		return ERR_INVAL;
	if (a[NDA_LLADDR]) {
		if (nl_len(a[NDA_LLADDR]) != ETH_ALEN)
			return ERR_INVAL;
		r->mac = nl_data(a[NDA_LLADDR]);
	}
	r->dev = m->ifindex > 0 ? rtnl_dev((unsigned)m->ifindex) : NULL;
	return r->dev ? OK : ERR_NODEV;
}

static enum err
new_neigh(struct nl_request *q)
{
	uint16_t flags = q->header->flags;
	struct neigh_request r;
	struct neigh *there;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	there = neigh_find(r.dev, &r.addr);
	if (there)
		neigh_put(there);
	if (there && flags & NLM_F_EXCL)
		return ERR_EXIST;
	if (!there && !(flags & NLM_F_CREATE))
		return ERR_NOENT;
	return neigh_set(r.dev, &r.addr, r.mac, (uint8_t)r.state);
}

static enum err
del_neigh(struct nl_request *q)
{
	struct neigh_request r;
	enum err err = parse(q, &r);

	return err == OK ? neigh_del(r.dev, &r.addr) : err;
}

static enum err
get_neigh(struct nl_request *q)
{
	struct neigh_request r;
	struct neigh *n;
	enum err err = parse(q, &r);

	if (err != OK)
		return err;
	n = neigh_find(r.dev, &r.addr);
	if (!n)
		return ERR_NOENT;
	fill_neigh(q->out, n, RTM_NEWNEIGH);
	neigh_put(n);
	return nl_end(q->out) ? OK : ERR_MSGSIZE;
}

void
rtnl_neigh_init(void)
{
	static const struct rtnl_handler get = {
	    .header_len = sizeof(struct ndmsg), .handle = get_neigh, .dump = dump_neighs};
	static const struct rtnl_handler add = {
	    .header_len = sizeof(struct ndmsg), .is_admin = true, .handle = new_neigh};
	static const struct rtnl_handler del = {
	    .header_len = sizeof(struct ndmsg), .is_admin = true, .handle = del_neigh};

	rtnl_register(RTM_GETNEIGH, &get);
	rtnl_register(RTM_NEWNEIGH, &add);
	rtnl_register(RTM_DELNEIGH, &del);
}
