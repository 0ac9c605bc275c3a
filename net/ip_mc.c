/*
 * Groups of interfaces and their members: see ip_mc.h.
 *
 * Each interface has one struct mc_dev a family, in a list in the order of joining and a hash table.
 * Packets are looked up under RCU; changes are made under the interface's lock, on a copy of the
 * group's state when sources are added, so what is published is always whole. A member that goes
 * needs no memory: its counts are taken from the state in place.
 *
 * A group without members stays until its leave has been reported (ip_mc_report.c).
 */
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/ip_mc_priv.h"

/* ---- Groups ------------------------------------------------------------------------------------ */

static struct mc_dev *
dev_of(const struct netdev *dev, const struct ip_addr *group)
{
	return (ip_is_v4(group) ? igmp_mc : mld_mc).dev_of(dev);
}

static unsigned
bucket_of(const struct ip_addr *group)
{
	const uint8_t *b = group->b;

	return (b[12] ^ b[13] ^ b[14] ^ b[15]) % MC_BUCKETS; /* who joins is one of us */
}

struct mc_group *
mc_group_find(const struct mc_dev *d, const struct ip_addr *addr)
{
	struct mc_group *g;

	rcu_list_for_each(g, &d->buckets[bucket_of(addr)], hash_link)
	{
		if (ip_equal(&g->addr, addr))
			return g;
	}
	return NULL;
}

bool
ip_mc_allows(struct netdev *dev, const struct ip_addr *group, const struct ip_addr *src)
{
	const struct mc_dev *d = dev_of(dev, group);
	const struct mc_group *g = d ? mc_group_find(d, group) : NULL;
	const struct mc_state *st = g ? rcu_dereference(g->state) : NULL;

	return st && (src ? mc_state_allows(st, src) : mc_state_has_members(st));
}

static void
free_state(struct rcu_head *head)
{
	kfree(container_of(head, struct mc_state, rcu));
}

static void
free_group(struct rcu_head *head)
{
	struct mc_group *g = container_of(head, struct mc_group, rcu);

	kfree(g->state);
	kfree(g);
}

void
mc_group_unlink(struct mc_dev *d, struct mc_group *g)
{
	mc_forget_answer(g);
	rcu_list_remove(&g->link);
	rcu_list_remove(&g->hash_link);
	d->count--;
	rcu_call(&g->rcu, free_group);
}

/* ---- Changes ----------------------------------------------------------------------------------- */

/* What a change needs, got before the lock is taken. */
struct change {
	const struct ip_addr *addr;
	const struct mc_filter *from, *to;
	struct mc_group *group; /* a new one, unless it is there already */
	struct mc_state *state; /* the one to be, with room for `to` */
	bool is_first, is_last; /* out: a group came or went */
};

static unsigned
num_sources(const struct mc_group *g)
{
	return g ? rcu_dereference(g->state)->num : 0;
}

/* The group, with c->state in place of the one it had; NULL: too many. */
static struct mc_group *
put_state_locked(struct mc_dev *d, struct mc_group *g, struct change *c)
    MUST_HOLD(d->lock)
{
	struct mc_state *old = g ? g->state : NULL;

	if (!g && d->count >= MC_MAX_GROUPS)
		return NULL;
	if (old)
		mc_state_copy(c->state, old);
	mc_state_remember(c->state);
	if (mc_state_add(c->state, c->to) != OK)
		return NULL;
	if (c->from)
		mc_state_take(c->state, c->from);
	if (!g) {
		g = c->group;
		c->group = NULL;
		g->addr = *c->addr;
	}
	rcu_assign(g->state, c->state);
	c->state = NULL;
	if (old) {
		rcu_call(&old->rcu, free_state);
		return g;
	}
	rcu_list_push_front(&d->groups, &g->link);
	rcu_list_push_front(&d->buckets[bucket_of(c->addr)], &g->hash_link);
	d->count++;
	return g;
}

/* False: there is more now than c->state has room for. */
static bool
perform_locked(struct mc_dev *d, struct change *c, enum err *err) MUST_HOLD(d->lock)
{
	struct mc_group *g = mc_group_find(d, c->addr);

	*err = OK;
	if (!c->to) {
		if (!g)
			return true; /* the interface went and came meanwhile */
		mc_state_remember(g->state);
		mc_state_take(g->state, c->from);
	} else {
		if (num_sources(g) + c->to->num > c->state->room)
			return false;
		g = put_state_locked(d, g, c);
		if (!g) {
			*err = ERR_NOBUFS;
			return true;
		}
	}
	c->is_first = !g->state->was_member && mc_state_has_members(g->state);
	c->is_last = g->state->was_member && !mc_state_has_members(g->state);
	mc_changed(d, g);
	return true;
}

static enum err
change(struct mc_dev *d, struct change *c)
{
	/* With room for all there can be it is the last try. */
	for (unsigned most = 0;; most = MC_MAX_SOURCES) {
		unsigned now = num_sources(mc_group_find(d, c->addr));
		enum err err = ERR_NOMEM;
		bool is_done = true;

		if (c->to) {
			c->group = kzalloc(sizeof(*c->group));
			c->state = mc_state_alloc(MAX(now, most) + c->to->num);
		}
		if (!c->to || (c->group && c->state)) {
			spin_lock(&d->lock);
			is_done = perform_locked(d, c, &err);
			spin_unlock(&d->lock);
		}
		kfree(c->group);
		kfree(c->state);
		if (is_done)
			return err;
	}
}

static enum err
change_under_rcu(struct netdev *dev, struct change *c)
{
	struct mc_dev *d;
	enum err err;

	rcu_read_lock();
	d = dev_of(dev, c->addr);
	err = d ? change(d, c) : ERR_NODEV;
	rcu_read_unlock();
	return err;
}

enum err
ip_mc_change(struct netdev *dev, const struct ip_addr *group,
    const struct mc_filter *from, const struct mc_filter *to)
{
	struct change c = {.addr = group, .from = from, .to = to};
	uint8_t mac[ETH_ALEN];
	enum err err;

	if (!ip_is_multicast(group))
		return ERR_INVAL;
	err = change_under_rcu(dev, &c);
	if (dev->flags & NETDEV_LOOPBACK)
		return err;
	ether_map_multicast(mac, group);
	if (c.is_last)
		netdev_mc_del(dev, mac);
	if (!c.is_first)
		return err;
	err = netdev_mc_add(dev, mac);
	if (err != OK) {
		c = (struct change){.addr = group, .from = to};
		(void)change_under_rcu(dev, &c); /* leaving does not fail */
	}
	return err;
}

enum err
ip_mc_join(struct netdev *dev, const struct ip_addr *group)
{
	return ip_mc_change(dev, group, NULL, &mc_any_source);
}

void
ip_mc_leave(struct netdev *dev, const struct ip_addr *group)
{
	(void)ip_mc_change(dev, group, &mc_any_source, NULL); /* does not fail */
}

/* ---- Interfaces -------------------------------------------------------------------------------- */

struct mc_dev *
mc_dev_alloc(struct netdev *dev, const struct mc_family *family)
{
	struct mc_dev *d = kzalloc(sizeof(*d));

	if (!d)
		return NULL;
	d->dev = dev;
	d->family = family;
	d->robustness = MC_ROBUSTNESS;
	spin_init(&d->lock, "multicast", RANK_NET_TABLE);
	list_init(&d->groups);
	for (unsigned i = 0; i < MC_BUCKETS; i++)
		list_init(&d->buckets[i]);
	mc_report_init(d);
	return d;
}

static void
free_dev(struct rcu_head *head)
{
	kfree(container_of(head, struct mc_dev, rcu));
}

void
mc_dev_free(struct mc_dev *d)
{
	struct mc_group *g, *next;

	rcu_synchronize(); /* nobody arms the timer any more */
	net_timer_cancel_sync(&d->timer);
	spin_lock(&d->lock);
	list_for_each_safe(g, next, &d->groups, link)
		mc_group_unlink(d, g);
	spin_unlock(&d->lock);
	rcu_call(&d->rcu, free_dev);
}
