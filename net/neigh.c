/*
 * The neighbour cache and neighbour unreachability detection (RFC 4861 7.3, appendix C), for ARP
 * too (RFC 1122 2.3.2).
 *
 * Lookups walk a hash chain under RCU. One lock, `table_lock`, covers what is in the table: chains
 * and the list of each interface; it is taken only to add and remove. Each entry's own lock covers
 * its state. A packet to a neighbour whose address is good takes neither: `fast` holds the address
 * and says so in one word.
 *
 *	INCOMPLETE --answer--> REACHABLE --time--> STALE --packet--> DELAY --5 s--> PROBE
 *	     |                     ^                                   |              |
 *	     |                     +------- confirmed by TCP, or by an answer --------+
 *	     +-- 3 unanswered --> FAILED <------------- 3 unanswered -----------------+
 *
 * References: the table holds one, an armed timer one for each time it is yet to fire, users
 * theirs. An entry that leaves the table (`is_dead`) passes packets of those who still hold it to
 * its successor.
 *
 * Full: the entry of that interface which was not used for longest and which nobody holds goes
 * (second chance: sending only notes the time); then also stale or failed ones that are held.
 * Beyond KEEP entries those that are stale or failed, held by nobody and not used for AGE go in time.
 */
#include "net/neigh.h"

#include "kernel/procfs.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"

enum {
	NUM_BUCKETS = 2048,
	MAX_SOLICIT = 3, /* RFC 4861 10: MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT */
	EVICT_SCAN = 64,
	KEEP = 128,     /* entries that stay though nobody needs them */
	AGE_BATCH = 16, /* of a bucket at a time */
};
#define DELAY_FIRST_PROBE_NS (5 * NSEC_PER_SEC)
#define AGE_NS               (60 * NSEC_PER_SEC)
#define AGE_PERIOD_NS        (15 * NSEC_PER_SEC)
#define FAST_VALID           (1ull << 48)

/* States in which packets go out at once and nothing else is to be done. */
enum { FAST_STATES = NEIGH_REACHABLE | NEIGH_DELAY | NEIGH_PROBE | NEIGH_PERMANENT };
/* States in which the address is known. */
enum { VALID_STATES = FAST_STATES | NEIGH_STALE | NEIGH_NOARP };

static struct list buckets[NUM_BUCKETS];
static struct siphash_key key;
static uint32_t num_entries; /* [table_lock] */
static uint32_t num_waiting; /* [a] */
static struct spinlock table_lock = SPINLOCK_INIT("neigh_table", RANK_NET_TABLE);
static struct net_timer ager; /* armed while there are more than KEEP */

/* What a change of state asks for, done after the lock is released. */
struct todo {
	bool is_solicit;
	bool has_mac;
	uint8_t mac[ETH_ALEN];
	struct pkt_queue send;   /* to mac */
	struct pkt_queue failed; /* tell their senders */
};

static const struct neigh_ops *
ops_of(const struct neigh *n)
{
	return ip_is_v4(&n->addr) ? &arp_neigh_ops : &nd_neigh_ops;
}

static struct list *
bucket_of(const struct netdev *dev, const struct ip_addr *addr)
{
	struct {
		struct ip_addr addr;
		uint64_t index;
	} in = {*addr, dev->index};

	return &buckets[siphash13(&key, &in, sizeof(in)) % NUM_BUCKETS];
}

static bool
try_get(struct neigh *n)
{
	uint32_t refs = __atomic_load_n(&n->refs, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&n->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void
get(struct neigh *n)
{
	__atomic_add_fetch(&n->refs, 1, __ATOMIC_RELAXED);
}

static void
free_neigh(struct rcu_head *head)
{
	struct neigh *n = container_of(head, struct neigh, rcu);

	netdev_put(n->dev);
	kfree(n);
}

/* ---- Packets that wait ----------------------------------------------------------------- */

static void
take_waiting(struct neigh *n, struct pkt_queue *to) MUST_HOLD(n->lock)
{
	if (!n->waiting.count)
		return;
	__atomic_sub_fetch(&num_waiting, n->waiting.count, __ATOMIC_RELAXED);
	*to = n->waiting;
	n->waiting = (struct pkt_queue){.first = NULL};
}

/* RFC 4861 7.2.2: the newest are kept. Returns a packet to be dropped, or NULL. */
static struct pkt *
wait_for_address(struct neigh *n, struct pkt *p) MUST_HOLD(n->lock)
{
	struct pkt *old = NULL;

	if (n->waiting.count >= NEIGH_QUEUE) {
		old = pkt_queue_pop(&n->waiting);
	} else if (__atomic_add_fetch(&num_waiting, 1, __ATOMIC_RELAXED) >
	           NEIGH_MAX_WAITING) {
		__atomic_sub_fetch(&num_waiting, 1, __ATOMIC_RELAXED);
		return p;
	}
	pkt_queue_push(&n->waiting, p);
	return old;
}

void
neigh_put(struct neigh *n)
{
	if (__atomic_sub_fetch(&n->refs, 1, __ATOMIC_ACQ_REL))
		return;
	__atomic_sub_fetch(&num_waiting, n->waiting.count, __ATOMIC_RELAXED);
	pkt_queue_free(&n->waiting);
	rcu_call(&n->rcu, free_neigh);
}

/* ---- States ---------------------------------------------------------------------------- */

/* Each time the timer is yet to fire has a reference: one that was cancelled is used again. */
static void
arm(struct neigh *n, nsec_t delay_ns) MUST_HOLD(n->lock)
{
	n->due_ns = clock_now_ns() + delay_ns;
	if (!net_timer_cancel(&n->timer)) {
		get(n);
		n->timer_refs++;
	}
	net_timer_arm(&n->timer, n->due_ns);
}

static void
disarm(struct neigh *n) MUST_HOLD(n->lock)
{
	n->due_ns = 0;
	if (net_timer_cancel(&n->timer)) {
		n->timer_refs--;
		neigh_put(n); /* never the last: the caller has one */
	}
}

static uint64_t
fast_word(const uint8_t *mac)
{
	uint64_t v = 0;

	memcpy(&v, mac, ETH_ALEN);
	return v | FAST_VALID;
}

/* Enters `state`; sets what depends on it alone. */
static void
enter(struct neigh *n, uint8_t state) MUST_HOLD(n->lock)
{
	uint64_t fast = 0;

	n->state = state;
	n->probes = 0;
	n->updated_ns = clock_now_ns();
	if (state & (FAST_STATES | NEIGH_NOARP))
		fast = fast_word(n->mac);
	__atomic_store_n(&n->fast, fast, __ATOMIC_RELEASE);
	switch (state) {
	case NEIGH_REACHABLE: arm(n, ops_of(n)->reachable_ns(n->dev)); break;
	case NEIGH_DELAY: arm(n, DELAY_FIRST_PROBE_NS); break;
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE: break; /* solicit_again arms */
	default: disarm(n);
	}
}

/* One more solicitation, or the end: RFC 4861 7.2.2 and 7.3.3. */
static void
solicit_again(struct neigh *n, struct todo *todo) MUST_HOLD(n->lock)
{
	if (n->probes >= MAX_SOLICIT) {
		take_waiting(n, &todo->failed);
		enter(n, NEIGH_FAILED);
		return;
	}
	n->probes++;
	todo->is_solicit = true;
	todo->has_mac = n->state == NEIGH_PROBE;
	memcpy(todo->mac, n->mac, ETH_ALEN);
	arm(n, ops_of(n)->retrans_ns(n->dev));
}

static bool
is_confirmed(const struct neigh *n, nsec_t now)
{
	nsec_t at = __atomic_load_n(&n->confirmed_ns, __ATOMIC_RELAXED);

	return at && now - at < ops_of(n)->reachable_ns(n->dev);
}

/* Without locks: what the change asked for. */
static void
perform(struct neigh *n, struct todo *todo)
{
	unsigned type = ip_is_v4(&n->addr) ? ETHERTYPE_IP4 : ETHERTYPE_IP6;
	struct pkt *p;

	while ((p = pkt_queue_pop(&todo->send)))
		(void)ether_send(n->dev, p, todo->mac, type); /* its sender is gone */
	if (todo->failed.first)
		ops_of(n)->unreachable(n, todo->failed.first);
	if (todo->is_solicit)
		ops_of(n)->solicit(n, todo->has_mac ? todo->mac : NULL);
}

/* The timer, in its state (RFC 4861 appendix C). */
static void
on_timer_locked(struct neigh *n, struct todo *todo) MUST_HOLD(n->lock)
{
	nsec_t now = clock_now_ns();

	if (!n->due_ns || now < n->due_ns || n->is_dead)
		return; /* it was moved while this call was on its way */
	n->due_ns = 0;
	switch (n->state) {
	case NEIGH_REACHABLE:
		if (!is_confirmed(n, now))
			enter(n, NEIGH_STALE);
		else
			arm(n, n->confirmed_ns + ops_of(n)->reachable_ns(n->dev) - now);
		break;
	case NEIGH_DELAY:
	case NEIGH_PROBE:
		if (is_confirmed(n, now)) {
			enter(n, NEIGH_REACHABLE);
			break;
		}
		if (n->state == NEIGH_DELAY)
			enter(n, NEIGH_PROBE);
		solicit_again(n, todo);
		break;
	case NEIGH_INCOMPLETE: solicit_again(n, todo); break;
	default: break;
	}
}

static void
on_timer(struct net_timer *t)
{
	struct neigh *n = container_of(t, struct neigh, timer);
	struct todo todo = {.is_solicit = false};

	spin_lock(&n->lock);
	n->timer_refs--;
	on_timer_locked(n, &todo);
	spin_unlock(&n->lock);
	perform(n, &todo);
	neigh_put(n);
}

/* ---- The table ------------------------------------------------------------------------- */

static struct neigh *
find(const struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n;

	rcu_list_for_each(n, bucket_of(dev, addr),
	    hash_link) if (n->dev == dev && ip_equal(&n->addr, addr)) return n;
	return NULL;
}

struct neigh *
neigh_find(struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n;

	rcu_read_lock();
	n = find(dev, addr);
	if (n && !try_get(n))
		n = NULL;
	rcu_read_unlock();
	return n;
}

/* Out of the table; the table's reference is now the caller's. */
static void
unlink_locked(struct neigh *n) MUST_HOLD(table_lock)
{
	rcu_list_remove(&n->hash_link);
	list_remove(&n->dev_link);
	__atomic_store_n(&n->is_dead, true, __ATOMIC_RELEASE);
	n->dev->num_neighs--;
	num_entries--;
}

/* Ends one that was unlinked: nothing waits for it any more. */
static void
end_neigh(struct neigh *n)
{
	struct pkt_queue waiting = {.first = NULL};
	struct pkt *p;

	spin_lock(&n->lock);
	__atomic_store_n(&n->fast, 0, __ATOMIC_RELEASE);
	n->state = NEIGH_FAILED;
	disarm(n);
	take_waiting(n, &waiting);
	spin_unlock(&n->lock);
	while ((p = pkt_queue_pop(&waiting)))
		pkt_drop(p, DROP_NEIGH_FAILED);
	neigh_put(n);
}

/* The one that can best be spared, unlinked; NULL: all are in use. */
static struct neigh *
evict_locked(struct netdev *dev) MUST_HOLD(table_lock)
{
	struct neigh *held = NULL, *n, *tmp;
	unsigned left = EVICT_SCAN;

	list_for_each_safe(n, tmp, &dev->neighs, dev_link) {
		uint32_t refs = __atomic_load_n(&n->refs, __ATOMIC_RELAXED);

		if (!left--)
			break;
		if (n->state & (NEIGH_PERMANENT | NEIGH_NOARP))
			continue;
		if (n->used_ns > n->placed_ns) {
			n->placed_ns = clock_now_ns();
			list_remove(&n->dev_link);
			list_push_back(&dev->neighs, &n->dev_link);
			continue;
		}
		if (refs == 1u + n->timer_refs && n->state != NEIGH_INCOMPLETE) {
			unlink_locked(n);
			return n;
		}
		if (!held && n->state != NEIGH_REACHABLE)
			held = n;
	}
	if (held)
		unlink_locked(held);
	return held;
}

/* ---- Age ------------------------------------------------------------------------------- */

static bool
is_aged(const struct neigh *n, nsec_t now)
{
	nsec_t used = __atomic_load_n(&n->used_ns, __ATOMIC_RELAXED);

	return (!n->state || n->state & (NEIGH_STALE | NEIGH_FAILED)) &&
	       __atomic_load_n(&n->refs, __ATOMIC_RELAXED) == 1u + n->timer_refs &&
	       now - MIN(MAX(used, n->updated_ns), now) > AGE_NS;
}

static void
age_bucket(struct list *bucket, nsec_t now)
{
	struct neigh *old[AGE_BATCH], *n, *tmp;
	unsigned num = 0;

	if (list_is_empty(bucket))
		return;
	spin_lock(&table_lock);
	list_for_each_safe(n, tmp, bucket, hash_link) {
		if (num_entries <= KEEP || num == AGE_BATCH)
			break;
		if (!is_aged(n, now))
			continue;
		unlink_locked(n);
		old[num++] = n;
	}
	spin_unlock(&table_lock);
	while (num)
		end_neigh(old[--num]);
}

static void
age_all(struct net_timer *t)
{
	nsec_t now = clock_now_ns();

	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		age_bucket(&buckets[i], now);
	if (__atomic_load_n(&num_entries, __ATOMIC_RELAXED) > KEEP)
		net_timer_arm(t, now + AGE_PERIOD_NS);
}

/* ---- New ones ---------------------------------------------------------------------------- */

static struct neigh *
new_neigh(struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->addr = *addr;
	n->dev = netdev_get(dev);
	n->refs = 2; /* the table's and the caller's */
	n->placed_ns = clock_now_ns();
	n->updated_ns = n->placed_ns;
	spin_init(&n->lock, "neigh", RANK_NEIGH);
	net_timer_init(&n->timer, on_timer);
	return n;
}

/* Adds `n` unless one came first (returned) or there is no room (NULL); *victim is to be ended. */
static struct neigh *
insert(struct neigh *n, struct neigh **victim)
{
	struct netdev *dev = n->dev;
	struct neigh *other;

	*victim = NULL;
	spin_lock(&table_lock);
	if (!dev->neighs.next)
		list_init(&dev->neighs);
	other = find(dev, &n->addr);
	if (other) {
		get(other);
		spin_unlock(&table_lock);
		return other;
	}
	if (num_entries >= NEIGH_MAX || dev->num_neighs >= NEIGH_MAX_DEV) {
		*victim = evict_locked(dev);
		if (!*victim) {
			spin_unlock(&table_lock);
			return NULL;
		}
	}
	rcu_list_push_front(bucket_of(dev, &n->addr), &n->hash_link);
	list_push_back(&dev->neighs, &n->dev_link);
	dev->num_neighs++;
	if (num_entries++ == KEEP)
		net_timer_arm(&ager, clock_now_ns() + AGE_PERIOD_NS);
	spin_unlock(&table_lock);
	return n;
}

struct neigh *
neigh_get(struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n = neigh_find(dev, addr), *fresh, *victim;

	if (n)
		return n;
	fresh = new_neigh(dev, addr);
	if (!fresh)
		return NULL;
	n = insert(fresh, &victim);
	if (victim)
		end_neigh(victim);
	if (n != fresh) { /* never was in the table */
		netdev_put(fresh->dev);
		kfree(fresh);
	}
	return n;
}

/* ---- Sending --------------------------------------------------------------------------- */

/*
 * A packet for an entry that is not in a fast state: what happens to it. Returns a packet that has
 * to be dropped because too many wait, or NULL.
 */
static struct pkt *
send_locked(struct neigh *n, struct pkt *p, struct todo *todo) MUST_HOLD(n->lock)
{
	if (n->state == NEIGH_STALE)
		enter(n, is_confirmed(n, clock_now_ns()) ? NEIGH_REACHABLE : NEIGH_DELAY);
	if (n->state & VALID_STATES) {
		memcpy(todo->mac, n->mac, ETH_ALEN);
		pkt_queue_push(&todo->send, p);
		return NULL;
	}
	if (n->state != NEIGH_INCOMPLETE) { /* new, or failed some time ago: ask again */
		enter(n, NEIGH_INCOMPLETE);
		solicit_again(n, todo);
	}
	return wait_for_address(n, p);
}

/* It left the table while someone held it: its successor sends. */
static enum err
send_by_successor(struct neigh *n, struct pkt *p)
{
	struct neigh *now =
	    n->dev->flags & NETDEV_UP ? neigh_get(n->dev, &n->addr) : NULL;
	enum err err;

	if (!now || now->is_dead) {
		pkt_drop(p, DROP_NEIGH_FAILED);
		if (now)
			neigh_put(now);
		return ERR_HOSTUNREACH;
	}
	err = neigh_send(now, p);
	neigh_put(now);
	return err;
}

enum err
neigh_send(struct neigh *n, struct pkt *p)
{
	uint64_t fast = __atomic_load_n(&n->fast, __ATOMIC_ACQUIRE);
	struct todo todo = {.is_solicit = false};
	struct pkt *dropped;

	__atomic_store_n(&n->used_ns, clock_now_ns(), __ATOMIC_RELAXED);
	if (likely(fast)) {
		unsigned type = ip_is_v4(&n->addr) ? ETHERTYPE_IP4 : ETHERTYPE_IP6;

		return ether_send(n->dev, p, (const uint8_t *)&fast, type);
	}
	if (__atomic_load_n(&n->is_dead, __ATOMIC_ACQUIRE))
		return send_by_successor(n, p);
	spin_lock(&n->lock);
	dropped = send_locked(n, p, &todo);
	spin_unlock(&n->lock);
	if (dropped)
		pkt_drop(dropped, DROP_NEIGH_QUEUE);
	perform(n, &todo);
	return dropped == p ? ERR_NOBUFS : OK;
}

void
neigh_confirm(struct neigh *n)
{
	__atomic_store_n(&n->confirmed_ns, clock_now_ns(), __ATOMIC_RELAXED);
}

bool
neigh_is_usable(const struct neigh *n)
{
	return __atomic_load_n(&n->state, __ATOMIC_RELAXED) & VALID_STATES;
}

/* ---- News ------------------------------------------------------------------------------ */

static void
set_mac(struct neigh *n, const uint8_t *mac, uint8_t state, struct todo *todo)
    MUST_HOLD(n->lock)
{
	memcpy(n->mac, mac, ETH_ALEN);
	memcpy(todo->mac, mac, ETH_ALEN);
	if (state == NEIGH_REACHABLE)
		n->confirmed_ns = clock_now_ns();
	enter(n, state);
	take_waiting(n, &todo->send);
}

static void
set_router(struct neigh *n, unsigned how) MUST_HOLD(n->lock)
{
	if (how & (NEIGH_UPD_ISROUTER | NEIGH_UPD_ROUTER_FLAG))
		n->is_router = how & NEIGH_UPD_ISROUTER;
}

/* RFC 4861 7.2.5 for advertisements; 7.2.3, 6.3.4, 8.3 for what others tell by the way. */
static void
update_locked(struct neigh *n, const uint8_t *mac, unsigned how, struct todo *todo)
    MUST_HOLD(n->lock)
{
	bool is_new = mac && memcmp(mac, n->mac, ETH_ALEN) != 0;

	if (n->state & (NEIGH_PERMANENT | NEIGH_NOARP))
		return;
	if (!(n->state & VALID_STATES)) { /* nothing known: only an address is news */
		if (!mac)
			return;
		set_router(n, how);
		set_mac(n, mac, how & NEIGH_UPD_SOLICITED ? NEIGH_REACHABLE : NEIGH_STALE,
		    todo);
		return;
	}
	if (is_new && !(how & NEIGH_UPD_OVERRIDE)) {
		if (n->state == NEIGH_REACHABLE)
			enter(n, NEIGH_STALE);
		return;
	}
	set_router(n, how);
	if (how & NEIGH_UPD_SOLICITED)
		set_mac(n, mac ? mac : n->mac, NEIGH_REACHABLE, todo);
	else if (is_new)
		set_mac(n, mac, NEIGH_STALE, todo);
}

void
neigh_update(
    struct netdev *dev, const struct ip_addr *addr, const uint8_t *mac, unsigned how)
{
	struct neigh *n;
	struct todo todo = {.is_solicit = false};

	n = how & NEIGH_UPD_CREATE && mac ? neigh_get(dev, addr) : neigh_find(dev, addr);
	if (!n)
		return;
	spin_lock(&n->lock);
	if (!n->is_dead)
		update_locked(n, mac, how, &todo);
	spin_unlock(&n->lock);
	perform(n, &todo);
	neigh_put(n);
}

enum err
neigh_set(
    struct netdev *dev, const struct ip_addr *addr, const uint8_t *mac, uint8_t state)
{
	struct todo todo = {.is_solicit = false};
	struct neigh *n;

	if (!mac && state & VALID_STATES & ~NEIGH_NOARP)
		return ERR_INVAL;
	n = neigh_get(dev, addr);
	if (!n)
		return ERR_NOBUFS;
	spin_lock(&n->lock);
	if (mac && state & VALID_STATES) {
		set_mac(n, mac, state, &todo);
		if (state == NEIGH_PROBE)
			solicit_again(n, &todo);
	} else {
		take_waiting(n, &todo.failed);
		enter(n, state & NEIGH_NOARP ? NEIGH_NOARP : NEIGH_FAILED);
	}
	spin_unlock(&n->lock);
	perform(n, &todo);
	neigh_put(n);
	return OK;
}

/* Unlinks `n` if nobody else did. */
static bool
remove_neigh(struct neigh *n)
{
	bool is_ours;

	spin_lock(&table_lock);
	is_ours = !n->is_dead;
	if (is_ours)
		unlink_locked(n);
	spin_unlock(&table_lock);
	if (is_ours)
		end_neigh(n);
	return is_ours;
}

enum err
neigh_del(struct netdev *dev, const struct ip_addr *addr)
{
	struct neigh *n = neigh_find(dev, addr);
	bool is_gone;

	if (!n)
		return ERR_NOENT;
	is_gone = remove_neigh(n);
	neigh_put(n);
	return is_gone ? OK : ERR_NOENT;
}

/* The first of an interface that may go, unlinked; NULL: none is left. */
static struct neigh *
pop_of_dev(struct netdev *dev, bool is_all)
{
	struct neigh *n, *found = NULL;

	spin_lock(&table_lock);
	if (dev->neighs.next) {
		list_for_each(n, &dev->neighs, dev_link) {
			if (!is_all && n->state == NEIGH_PERMANENT)
				continue;
			found = n;
			break;
		}
	}
	if (found)
		unlink_locked(found);
	spin_unlock(&table_lock);
	return found;
}

static void
flush(struct netdev *dev, bool is_all)
{
	struct neigh *n;

	while ((n = pop_of_dev(dev, is_all)))
		end_neigh(n);
}

void
neigh_flush_dev(struct netdev *dev)
{
	flush(dev, false);
}

void
neigh_for_each(int family, void (*fn)(const struct neigh *, void *arg), void *arg)
{
	struct neigh *n;

	rcu_read_lock();
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		rcu_list_for_each(n, &buckets[i],
		    hash_link) if (family == AF_UNSPEC ||
		                   ip_is_v4(&n->addr) == (family == AF_INET)) fn(n, arg);
	rcu_read_unlock();
}

/* ---- Wiring ---------------------------------------------------------------------------- */

/* One line of Linux's arp(7) table. */
static void
show_one(const struct neigh *n, void *arg)
{
	enum { ATF_COM = 2, ATF_PERM = 4 };
	struct seq *s = arg;
	char text[IP_TEXT];
	unsigned flags = n->state & VALID_STATES ? ATF_COM : 0;
	const uint8_t *m = n->mac;

	if (n->state & (NEIGH_NOARP) || n->state == NEIGH_NONE)
		return;
	if (n->state & NEIGH_PERMANENT)
		flags |= ATF_PERM;
	seq_printf(
	    s, "%-16s 0x%-10x0x%-10x", ip_format(text, &n->addr), n->dev->type, flags);
	seq_printf(s, "%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", m[0], m[1], m[2],
	    m[3], m[4], m[5], n->dev->name);
}

static void
show_arp(struct seq *s)
{
	seq_puts(s, "IP address       HW type     Flags       HW address            "
	            "Mask     Device\n");
	neigh_for_each(AF_INET, show_one, s);
}

static void
on_netdev(struct netdev *dev, enum netdev_event event)
{
	switch (event) {
	case NETDEV_EV_DOWN:
	case NETDEV_EV_MAC: flush(dev, false); break;
	case NETDEV_EV_LINK: /* another wire may be at the plug next time */
		if (!dev->has_link)
			flush(dev, false);
		break;
	case NETDEV_EV_UNREGISTER: flush(dev, true); break;
	default: break;
	}
}

void
neigh_init(void)
{
	static struct netdev_notifier notifier = {.event = on_netdev};

	random_bytes(&key, sizeof(key));
	for (unsigned i = 0; i < NUM_BUCKETS; i++)
		list_init(&buckets[i]);
	net_timer_init(&ager, age_all);
	netdev_notify_add(&notifier);
	(void)proc_register(
	    "net/arp", show_arp); /* without it only the file is missing */
}
