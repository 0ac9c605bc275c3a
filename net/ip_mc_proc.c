/* /proc/net/igmp, igmp6, mcfilter and mcfilter6, in Linux's formats. */
#include "kernel/procfs.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "net/ip_mc_priv.h"

enum {
	TICK = 100, /* times are told in USER_HZ */
	/* Flags in igmp6: Linux's MAF_* */
	MAF_TIMER_RUNNING = 1,
	MAF_LAST_REPORTER = 2,
	MAF_LOADED = 4,
	MAF_NOREPORT = 8,
};

/* Until the next report, in ticks; -1: none is due. Not locked: a glimpse. */
static long
ticks_left(const struct mc_group *g, const struct mc_state *st)
{
	nsec_t now = clock_now_ns(), due = g->answer_due_ns;

	if (st->reports_left && (!due || g->change_due_ns < due))
		due = g->change_due_ns;
	if (!due)
		return -1;
	return due > now ? (long)((due - now) / (NSEC_PER_SEC / TICK)) : 0;
}

/* Members are listed; a group that is only still to be reported as left is not. */
static bool
is_listed(const struct mc_group *g)
{
	return mc_state_has_members(rcu_dereference(g->state));
}

/* The same for every group of a family. */
static void
for_each_group(struct seq *s, const struct mc_family *family,
    void (*fn)(struct seq *, const struct mc_dev *, const struct mc_group *))
{
	struct netdev *dev;

	rcu_read_lock();
	netdev_for_each(dev)
	{
		const struct mc_dev *d = family->dev_of(dev);
		const struct mc_group *g;

		if (!d)
			continue;
		rcu_list_for_each(g, &d->groups, link)
		{
			if (is_listed(g))
				fn(s, d, g);
		}
	}
	rcu_read_unlock();
}

static void
show_igmp_group(struct seq *s, const struct mc_group *g)
{
	const struct mc_state *st = rcu_dereference(g->state);
	long left = ticks_left(g, st);

	seq_printf(s, "\t\t\t\t%08X %5u %d:%08lX\t\t%u\n",
	    *(const uint32_t *)g->addr.v4.b, st->includers + st->excluders, left >= 0,
	    left >= 0 ? left : 0, g->was_last_reporter);
}

static void
show_igmp_dev(struct seq *s, const struct mc_dev *d)
{
	static const char *const versions[] = {"?", "V1", "V2", "V3"};
	const struct mc_group *g;
	unsigned count = 0;

	rcu_list_for_each(g, &d->groups, link) count += is_listed(g);
	seq_printf(s, "%u\t%-10s: %5u %7s\n", d->dev->index, d->dev->name, count,
	    versions[mc_version(d, clock_now_ns())]);
	rcu_list_for_each(g, &d->groups, link)
	{
		if (is_listed(g))
			show_igmp_group(s, g);
	}
}

static void
show_igmp(struct seq *s)
{
	struct netdev *dev;

	seq_puts(s, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
	rcu_read_lock();
	netdev_for_each(dev)
	{
		const struct mc_dev *d = igmp_mc.dev_of(dev);

		if (d)
			show_igmp_dev(s, d);
	}
	rcu_read_unlock();
}

/* An address as 32 digits; IPv4 as 8. */
static void
put_addr(struct seq *s, const struct ip_addr *a, unsigned size)
{
	for (unsigned i = sizeof(a->b) - size; i < sizeof(a->b); i++)
		seq_printf(s, "%02x", a->b[i]);
}

static void
show_igmp6_group(struct seq *s, const struct mc_dev *d, const struct mc_group *g)
{
	const struct mc_state *st = rcu_dereference(g->state);
	long left = ticks_left(g, st);
	unsigned flags = left >= 0 ? MAF_TIMER_RUNNING : 0;

	if (g->was_last_reporter)
		flags |= MAF_LAST_REPORTER;
	if (d->dev->flags & NETDEV_UP && (g->addr.b[1] & 0xf) >= 2)
		flags |= MAF_LOADED;
	if (!d->family->is_reported(&g->addr))
		flags |= MAF_NOREPORT;
	seq_printf(s, "%-4u %-15s ", d->dev->index, d->dev->name);
	put_addr(s, &g->addr, sizeof(g->addr.b));
	seq_printf(s, " %5u %08X %ld\n", st->includers + st->excluders, flags,
	    left >= 0 ? left : 0);
}

static void
show_igmp6(struct seq *s)
{
	for_each_group(s, &mld_mc, show_igmp6_group);
}

static void
show_sources(struct seq *s, const struct mc_dev *d, const struct mc_group *g)
{
	const struct mc_state *st = rcu_dereference(g->state);
	const char *prefix = d->family->addr_size == sizeof(be32) ? "0x" : "";

	for (unsigned i = 0; i < st->num; i++) {
		const struct mc_source *src = &st->sources[i];

		if (!src->include && !src->exclude)
			continue; /* only still to be reported */
		seq_printf(s, "%3u %6.6s %s", d->dev->index, d->dev->name, prefix);
		put_addr(s, &g->addr, d->family->addr_size);
		seq_printf(s, " %s", prefix);
		put_addr(s, &src->addr, d->family->addr_size);
		seq_printf(s, " %6u %6u\n", src->include, src->exclude);
	}
}

static void
show_mcfilter(struct seq *s)
{
	seq_puts(s, "Idx Device        MCA        SRC    INC    EXC\n");
	for_each_group(s, &igmp_mc, show_sources);
}

static void
show_mcfilter6(struct seq *s)
{
	seq_puts(s, "Idx Device                Multicast Address                   "
	            "Source Address    INC    EXC\n");
	for_each_group(s, &mld_mc, show_sources);
}

void
ip_mc_init(void)
{
	/* No memory: a file is missing. */
	(void)proc_register("net/igmp", show_igmp);
	(void)proc_register("net/igmp6", show_igmp6);
	(void)proc_register("net/mcfilter", show_mcfilter);
	(void)proc_register("net/mcfilter6", show_mcfilter6);
}
