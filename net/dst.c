/*
 * The destination cache: results of route lookups that sockets and forwarding share, and what ICMP
 * taught about paths.
 *
 * The cache is set-associative: a keyed hash of the address picks one of NUM_BUCKETS buckets of at
 * most WAYS entries; a new one replaces an outdated one or the least recently used. So it is bounded,
 * every step is O(1), and a peer who does not know the key cannot aim at one bucket. Readers walk a
 * bucket under RCU; `used_ns` is written at most once a second. What nobody holds and nobody asked for
 * during IDLE goes, by a timer that runs while there are entries.
 *
 * What was learnt (path MTU, redirects) outlives an entry: it is kept in a table of its own, by
 * destination, LRU with MAX_LEARNT entries, under one lock that only ICMP and the making of an
 * entry take. An entry that exists when news comes is changed in place (MTU: sockets see it at
 * the next packet) or outdated (redirect).
 *
 * Every entry, cached or only held by a socket, is on `all`, so that a device that goes away can
 * be taken out of all of them.
 */
#include "net/route.h"

#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "mm/slab.h"
#include "net/ip6.h"
#include "net/neigh.h"
#include "net/netdev.h"
#include "net/route_priv.h"

enum {
	NUM_BUCKETS = 1024,
	WAYS = 8,
	MAX_LEARNT = 1024,
	LEARNT_BUCKETS = 256,
	MIN_MTU4 = 552, /* what a forged "fragmentation needed" can do at most */
	MIN_MTU6 = 1280,
};
static const nsec_t MTU_AGE = 600 * NSEC_PER_SEC; /* RFC 1191 6.3: 10 minutes */
static const nsec_t REDIRECT_AGE = 600 * NSEC_PER_SEC;
static const nsec_t IDLE = 30 * NSEC_PER_SEC, SWEEP_PERIOD = 10 * NSEC_PER_SEC;

struct bucket {
	struct spinlock lock;
	struct list entries; /* RCU */
	uint32_t count;      /* [lock] */
};

struct learnt { /* [learnt_lock] */
	struct list hash_link, lru_link;
	struct ip_addr addr;
	uint32_t mtu;
	nsec_t mtu_until_ns;          /* 0: nothing learnt */
	struct ip_addr from, gateway; /* a redirect: instead of `from` use `gateway` */
	nsec_t redirect_until_ns;     /* 0: none */
	unsigned dev_index;
};

uint32_t route_generation = 1;

static struct siphash_key key;
static struct bucket buckets[NUM_BUCKETS];
static struct list all = LIST_INIT(all);
static struct spinlock all_lock = SPINLOCK_INIT("dst_all", RANK_NET_TABLE);

static struct net_timer sweeper;
static uint32_t is_sweeping; /* [a] the timer is armed, or about to be */

static struct list learnt_hash[LEARNT_BUCKETS];
static struct list learnt_lru = LIST_INIT(learnt_lru); /* oldest first */
static unsigned num_learnt;
static struct spinlock learnt_lock = SPINLOCK_INIT("dst_learnt", RANK_NET_TABLE);

void
route_changed(void)
{
	__atomic_add_fetch(&route_generation, 1, __ATOMIC_RELEASE);
}

static uint64_t
hash_of(const struct ip_addr *addr)
{
	return siphash13(&key, addr, sizeof(*addr));
}

/* What fits the interface; routers may have said less (RFC 4861 6.3.4). */
static uint32_t
link_mtu(const struct dst *d)
{
	return ip_is_v4(&d->addr) ? d->dev->mtu : ip6_dev_mtu(d->dev);
}

/* ---- References ------------------------------------------------------------------------ */

static void
dst_free(struct rcu_head *rcu)
{
	struct dst *d = container_of(rcu, struct dst, rcu);

	if (d->neigh)
		neigh_put(d->neigh);
	netdev_put(d->dev);
	kfree(d);
}

struct dst *
dst_get(struct dst *d)
{
	if (!d->is_static)
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

static bool
dst_try_get(struct dst *d)
{
	uint32_t refs = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&d->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

void
dst_put(struct dst *d)
{
	if (d->is_static || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	spin_lock(&all_lock);
	list_remove(&d->all_link);
	spin_unlock(&all_lock);
	rcu_call(&d->rcu, dst_free);
}

/* ---- What was learnt ------------------------------------------------------------------- */

static struct learnt *
learnt_find(const struct ip_addr *addr) MUST_HOLD(learnt_lock)
{
	struct learnt *l;

	list_for_each(l, &learnt_hash[hash_of(addr) % LEARNT_BUCKETS], hash_link)
		if (ip_equal(&l->addr, addr))
			return l;
	return NULL;
}

/* The entry of `addr`: found, `fresh`, or the oldest one anew. */
static struct learnt *
learnt_claim(const struct ip_addr *addr, struct learnt **fresh) MUST_HOLD(learnt_lock)
{
	struct learnt *l = learnt_find(addr);

	if (l) {
		list_remove(&l->lru_link);
		list_push_back(&learnt_lru, &l->lru_link);
		return l;
	}
	if (num_learnt < MAX_LEARNT && *fresh) {
		l = *fresh;
		*fresh = NULL;
		num_learnt++;
	} else {
		l = list_first(&learnt_lru, struct learnt, lru_link);
		if (!l)
			return NULL;
		list_remove(&l->lru_link);
		list_remove(&l->hash_link);
	}
	*l = (struct learnt){.addr = *addr};
	list_push_back(&learnt_lru, &l->lru_link);
	list_push_back(&learnt_hash[hash_of(addr) % LEARNT_BUCKETS], &l->hash_link);
	return l;
}

/* Puts into a new entry what is known of its path. */
static void
apply_learnt(struct dst *d)
{
	nsec_t now = clock_now_ns();
	struct learnt *l;

	spin_lock(&learnt_lock);
	l = learnt_find(&d->addr);
	if (l && l->mtu_until_ns > now && l->mtu < d->mtu) {
		d->mtu = l->mtu;
		d->mtu_until_ns = l->mtu_until_ns;
	}
	if (l && l->redirect_until_ns > now && l->dev_index == d->dev->index &&
	    ip_equal(&l->from, &d->next_hop))
		d->next_hop = l->gateway;
	spin_unlock(&learnt_lock);
}

/* fn for each entry of the cache to `addr`. */
static void
for_each_to(const struct ip_addr *addr, void (*fn)(struct dst *, uint64_t), uint64_t arg)
{
	struct bucket *b = &buckets[hash_of(addr) % NUM_BUCKETS];
	struct dst *d;

	rcu_read_lock();
	rcu_list_for_each(d, &b->entries, hash_link) if (ip_equal(&d->addr, addr))
	    fn(d, arg);
	rcu_read_unlock();
}

static void
lower_mtu(struct dst *d, uint64_t mtu)
{
	if (mtu >= d->dev->mtu)
		return;
	__atomic_store_n(&d->mtu, (uint32_t)mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&d->mtu_until_ns, clock_now_ns() + MTU_AGE, __ATOMIC_RELAXED);
}

static void
outdate(struct dst *d, uint64_t arg)
{
	__atomic_store_n(&d->generation, 0, __ATOMIC_RELEASE);
}

static void
count_entry(struct dst *d, uint64_t arg)
{
	++*(unsigned *)arg;
}

/*
 * Only what lowers the MTU is news (RFC 1191 6.3: it rises by ageing alone), and only about
 * destinations that we really send to: nobody fills the table with inventions.
 */
void
dst_learn_mtu(const struct ip_addr *addr, unsigned oif, uint32_t mtu)
{
	uint32_t min = ip_is_v4(addr) ? MIN_MTU4 : MIN_MTU6;
	nsec_t now = clock_now_ns();
	struct learnt *fresh, *l;
	unsigned known = 0;

	mtu = mtu < min ? min : mtu;
	for_each_to(addr, count_entry, (uintptr_t)&known);
	if (!known)
		return;
	fresh = kzalloc(sizeof(*fresh));
	spin_lock(&learnt_lock);
	l = learnt_claim(addr, &fresh);
	if (l && (l->mtu_until_ns <= now || mtu <= l->mtu)) {
		l->mtu = mtu;
		l->mtu_until_ns = now + MTU_AGE;
	} else {
		mtu = UINT32_MAX;
	}
	spin_unlock(&learnt_lock);
	kfree(fresh);
	for_each_to(addr, lower_mtu, mtu);
}

uint32_t
dst_mtu(struct dst *d)
{
	nsec_t until = __atomic_load_n(&d->mtu_until_ns, __ATOMIC_RELAXED);

	if (unlikely(until) && clock_now_ns() >= until) {
		__atomic_store_n(&d->mtu_until_ns, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&d->mtu, link_mtu(d), __ATOMIC_RELAXED);
	}
	return __atomic_load_n(&d->mtu, __ATOMIC_RELAXED);
}

/* RFC 1122 3.2.2.2, RFC 4861 8.1: believed only from the router that we use for `addr` now. */
void
dst_learn_redirect(const struct ip_addr *addr, const struct ip_addr *old_gateway,
    const struct ip_addr *new_gateway, struct netdev *dev)
{
	struct learnt *fresh, *l;
	struct ip_addr hop;
	bool is_ours;

	rcu_read_lock();
	is_ours = route_next_hop(addr, dev, &hop);
	rcu_read_unlock();
	if (!is_ours || ip_equal(old_gateway, new_gateway))
		return;
	fresh = kzalloc(sizeof(*fresh));
	spin_lock(&learnt_lock);
	l = learnt_find(addr);
	if (l && l->redirect_until_ns > clock_now_ns() &&
	    ip_equal(&l->gateway, old_gateway))
		is_ours = true; /* from the gateway that an earlier one sent us to */
	else
		is_ours = ip_equal(&hop, old_gateway);
	l = is_ours ? learnt_claim(addr, &fresh) : NULL;
	if (l) {
		l->from = hop;
		l->gateway = *new_gateway;
		l->dev_index = dev->index;
		l->redirect_until_ns = clock_now_ns() + REDIRECT_AGE;
	}
	spin_unlock(&learnt_lock);
	kfree(fresh);
	if (l)
		for_each_to(addr, outdate, 0);
}

/* ---- The cache ------------------------------------------------------------------------- */

struct dst *
dst_cache_find(const struct ip_addr *addr, uint32_t oif, bool is_forward)
{
	struct bucket *b = &buckets[hash_of(addr) % NUM_BUCKETS];
	struct dst *d;
	nsec_t now;

	rcu_list_for_each(d, &b->entries, hash_link)
	{
		if (!ip_equal(&d->addr, addr) || d->oif != oif ||
		    d->is_forward != is_forward || !dst_is_valid(d))
			continue;
		if (!dst_try_get(d))
			continue;
		now = clock_now_ns();
		if (now - __atomic_load_n(&d->used_ns, __ATOMIC_RELAXED) > NSEC_PER_SEC)
			__atomic_store_n(&d->used_ns, now, __ATOMIC_RELAXED);
		return d;
	}
	return NULL;
}

/* The entry that a new one replaces when the bucket is full. */
static struct dst *
victim_of(const struct bucket *b)
{
	struct dst *worst = NULL, *d;

	list_for_each(d, &b->entries, hash_link) {
		if (!dst_is_valid(d))
			return d;
		if (!worst || d->used_ns < worst->used_ns)
			worst = d;
	}
	return b->count >= WAYS ? worst : NULL;
}

static void
cache_add(struct dst *d)
{
	struct bucket *b = &buckets[hash_of(&d->addr) % NUM_BUCKETS];
	struct dst *victim;

	spin_lock(&all_lock);
	list_push_back(&all, &d->all_link);
	spin_unlock(&all_lock);
	spin_lock(&b->lock);
	victim = victim_of(b);
	if (victim) {
		rcu_list_remove(&victim->hash_link);
		b->count--;
	}
	rcu_list_push_front(&b->entries, &d->hash_link);
	b->count++;
	spin_unlock(&b->lock);
	if (victim)
		dst_put(victim);
	if (!__atomic_load_n(&is_sweeping, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&is_sweeping, 1, __ATOMIC_ACQ_REL))
		net_timer_arm(&sweeper, d->used_ns + SWEEP_PERIOD);
}

/* Whether packets need a link-layer address found for them. */
static bool
needs_neigh(const struct dst *d)
{
	return d->type == ROUTE_UNICAST &&
	       !(d->dev->flags & (NETDEV_LOOPBACK | NETDEV_NOARP));
}

struct dst *
dst_make(const struct dst_plan *plan)
{
	uint32_t generation = __atomic_load_n(&route_generation, __ATOMIC_ACQUIRE);
	const struct route_config *r = plan->route;
	struct dst *d = kzalloc(sizeof(*d));

	if (!d)
		return NULL;
	d->refs = 2; /* the cache's and the caller's */
	d->generation = generation;
	d->type = plan->type;
	d->is_forward = plan->is_forward;
	d->oif = plan->oif;
	d->dev = netdev_get(plan->dev);
	d->addr = plan->addr;
	d->next_hop = r && r->has_gateway ? r->gateway : plan->addr;
	if (r && r->has_prefsrc)
		d->prefsrc = r->prefsrc;
	d->mtu = link_mtu(d);
	if (r) {
		d->hoplimit = (uint8_t)r->hoplimit;
		d->advmss = r->advmss;
		d->window = r->window;
		if (r->mtu && r->mtu < d->mtu)
			d->mtu = r->mtu;
	}
	d->used_ns = clock_now_ns();
	apply_learnt(d);
	if (needs_neigh(d)) {
		d->neigh = neigh_get(d->dev, &d->next_hop);
		if (!d->neigh) {
			netdev_put(d->dev);
			kfree(d);
			return NULL;
		}
	}
	cache_add(d);
	return d;
}

/* Outdated, or idle since `before`: in the cache alone. */
static bool
is_waste(const struct dst *d, nsec_t before)
{
	return !dst_is_valid(d) ||
	       (__atomic_load_n(&d->refs, __ATOMIC_RELAXED) == 1 &&
	           __atomic_load_n(&d->used_ns, __ATOMIC_RELAXED) < before);
}

/* Empties a bucket of what is waste. True: something is left. */
static bool
sweep_bucket(struct bucket *b, nsec_t before)
{
	struct dst *d, *tmp, *dead[WAYS + 1];
	unsigned n = 0;
	bool is_left;

	spin_lock(&b->lock);
	list_for_each_safe(d, tmp, &b->entries, hash_link) {
		if (!is_waste(d, before) || n == ARRAY_SIZE(dead))
			continue;
		rcu_list_remove(&d->hash_link);
		b->count--;
		dead[n++] = d;
	}
	is_left = b->count != 0;
	spin_unlock(&b->lock);
	while (n)
		dst_put(dead[--n]);
	return is_left;
}

static void
sweep_idle(struct net_timer *t)
{
	nsec_t now = clock_now_ns();
	unsigned left = 0;

	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		if (!list_is_empty(&buckets[i].entries))
			left += sweep_bucket(&buckets[i], now - MIN(IDLE, now));
	if (left)
		net_timer_arm(t, now + SWEEP_PERIOD);
	else /* one that is added just now waits for the next to be added */
		__atomic_store_n(&is_sweeping, 0, __ATOMIC_RELEASE);
}

/* One entry that still uses `dev`, with a reference. */
static struct dst *
one_on(const struct netdev *dev)
{
	struct dst *d, *found = NULL;

	spin_lock(&all_lock);
	list_for_each(d, &all, all_link) {
		if (d->dev == dev && dst_try_get(d)) {
			found = d;
			break;
		}
	}
	spin_unlock(&all_lock);
	return found;
}

/*
 * What is only cached goes. What a socket holds is outdated, so it will not be used again but to
 * be given back; until then it points at the loopback interface.
 */
void
dst_flush_dev(struct netdev *dev)
{
	struct dst *d;

	route_changed();
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		(void)sweep_bucket(&buckets[i], 0);
	if (dev == loopback_dev)
		return;
	while ((d = one_on(dev))) {
		struct neigh *neigh = d->neigh;

		__atomic_store_n(&d->neigh, NULL, __ATOMIC_RELAXED);
		__atomic_store_n(&d->dev, netdev_get(loopback_dev), __ATOMIC_RELEASE);
		rcu_synchronize();
		if (neigh)
			neigh_put(neigh);
		netdev_put(dev);
		dst_put(d);
	}
}

void
dst_cache_init(void)
{
	random_bytes(&key, sizeof(key));
	net_timer_init(&sweeper, sweep_idle);
	for (unsigned i = 0; i < NUM_BUCKETS; i++) {
		spin_init(&buckets[i].lock, "dst_bucket", RANK_NET_TABLE);
		list_init(&buckets[i].entries);
	}
	for (unsigned i = 0; i < LEARNT_BUCKETS; i++)
		list_init(&learnt_hash[i]);
}
