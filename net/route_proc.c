/* /proc/net/route and /proc/net/ipv6_route, in Linux's formats, for `route` and `netstat -r`. */
#include "kernel/procfs.h"
#include "lib/string.h"
#include "net/netdev.h"
#include "net/ifconf.h"
#include "net/route.h"

enum {
	RTF_UP = 0x1,
	RTF_GATEWAY = 0x2,
	RTF_HOST = 0x4,
	RTF_REJECT = 0x200,
	RTF_ADDRCONF = 0x40000,
	RTF_LOCAL = 0x80000000,
};

static unsigned
flags_of(const struct route_config *c)
{
	unsigned flags = RTF_UP;

	if (c->has_gateway)
		flags |= RTF_GATEWAY;
	if (c->plen == ip_bits(&c->dst))
		flags |= RTF_HOST;
	if (c->type == ROUTE_UNREACHABLE || c->type == ROUTE_PROHIBIT)
		flags |= RTF_REJECT;
	return flags;
}

/* An IPv4 address as the number that its bytes are on a little-endian machine. */
static uint32_t
raw4(be32 a)
{
	return (uint32_t)a.b[3] << 24 | (uint32_t)a.b[2] << 16 | (uint32_t)a.b[1] << 8 |
	       a.b[0];
}

/* Lines have one width. */
static void
end_line(struct seq *s, size_t start)
{
	enum { WIDTH = 127 };

	seq_pad(s, start, WIDTH);
	seq_putc(s, '\n');
}

static bool
show_one4(const struct route_config *c, void *arg)
{
	uint32_t mask = c->plen ? ~0u << (32 - c->plen) : 0;
	struct seq *s = arg;
	size_t start = s->len;

	if (c->table != ROUTE_TABLE_MAIN)
		return true;
	seq_printf(s, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%u\t%u\t%u",
	    c->dev ? c->dev->name : "*", raw4(c->dst.v4),
	    c->has_gateway ? raw4(c->gateway.v4) : 0, flags_of(c), 0, 0, c->metric,
	    raw4(be32_of(mask)), c->advmss, c->window, 0);
	end_line(s, start);
	return true;
}

static void
show4(struct seq *s)
{
	size_t start = s->len;

	seq_puts(s,
	    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\t"
	    "Window\tIRTT");
	end_line(s, start);
	mutex_lock(&rtnl_mutex);
	route_for_each(AF_INET, show_one4, s);
	mutex_unlock(&rtnl_mutex);
}

static void
put_hex(struct seq *s, const struct ip_addr *a)
{
	for (unsigned i = 0; i < sizeof(a->b); i++)
		seq_printf(s, "%02x", a->b[i]);
}

static bool
show_one6(const struct route_config *c, void *arg)
{
	unsigned flags = flags_of(c);

	if (c->type == ROUTE_LOCAL)
		flags |= RTF_LOCAL;
	if (c->proto == ROUTE_BY_RA)
		flags |= RTF_ADDRCONF;
	put_hex(arg, &c->dst);
	seq_printf(arg, " %02x ", c->plen);
	put_hex(arg, &ip_any); /* the source's prefix */
	seq_puts(arg, " 00 ");
	put_hex(arg, c->has_gateway ? &c->gateway : &ip_any);
	seq_printf(arg, " %08x %08x %08x %08x %8s\n", c->metric, 1, 0, flags,
	    c->dev ? c->dev->name : "lo");
	return true;
}

static void
show6(struct seq *s)
{
	mutex_lock(&rtnl_mutex);
	route_for_each(AF_INET6, show_one6, s);
	mutex_unlock(&rtnl_mutex);
}

void
route_proc_init(void)
{
	/* No memory: not shown. */
	(void)proc_register("net/route", show4);
	(void)proc_register("net/ipv6_route", show6);
}
