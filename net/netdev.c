/*
 * Network interfaces: the list of them, their life and their settings. Everything here is
 * configuration under rtnl; readers find interfaces under RCU, by index through a small hash
 * and by name through the list. Sending is in net/tx.c.
 *
 * An interface is taken down before its driver's rings go: its queues are marked off, and
 * net_sync waits until no net thread is inside poll. When it is unregistered, protocols let
 * go of it in their notifiers; what still holds a reference (a cached route in a socket) is
 * waited for.
 */
#include "net/netdev.h"

#include "kernel/sync/rculist.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/rx.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"

enum { INDEX_BUCKETS = 64, DEFAULT_TX_QUEUE_LEN = 1000 };

struct mutex rtnl_mutex = MUTEX_INIT(rtnl_mutex, "rtnl", RANK_RTNL);
struct list netdev_list = LIST_INIT(netdev_list);
static struct netdev *by_index[INDEX_BUCKETS];       /* RCU */
static struct list notifiers = LIST_INIT(notifiers); /* [rtnl] */
static unsigned last_index;                          /* [rtnl] */

/* A link-layer address that is to be received; as often as somebody asked for it. */
struct mc_addr {
	struct list link;
	uint8_t mac[ETH_ALEN];
	unsigned count;
};

static void link_work(struct net_work *);
static void rx_mode_work(struct net_work *);

struct netdev *
netdev_alloc(unsigned num_queues)
{
	struct netdev *dev = kzalloc(sizeof(*dev));

	num_queues = MIN(MAX(num_queues, 1u), (unsigned)NETDEV_MAX_QUEUES);
	if (!dev)
		return NULL;
	dev->queues = kcalloc(num_queues, sizeof(*dev->queues));
	if (!dev->queues) {
		kfree(dev);
		return NULL;
	}
	dev->num_queues = num_queues;
	dev->type = 1; /* ARPHRD_ETHER */
	dev->flags = NETDEV_BROADCAST | NETDEV_MULTICAST;
	dev->features = NETDEV_GRO;
	dev->mtu = 1500;
	dev->min_mtu = 68; /* RFC 791 3.2 */
	dev->max_mtu = 1500;
	dev->tx_queue_len = DEFAULT_TX_QUEUE_LEN;
	dev->tso_max_size = PKT_MAX_LEN;
	dev->refs = 1;
	dev->link_work.fn = link_work;
	dev->rx_mode_work.fn = rx_mode_work;
	list_init(&dev->mc_addrs);
	spin_init(&dev->mc_lock, "multicast list", RANK_NET_TABLE);
	for (unsigned i = 0; i < num_queues; i++)
		netdev_queue_init(dev, i);
	return dev;
}

void
netdev_free(struct netdev *dev)
{
	struct list *node;

	while ((node = list_pop_front(&dev->mc_addrs)))
		kfree(list_entry(node, struct mc_addr, link));
	if (dev->lower)
		netdev_put(dev->lower);
	kfree(dev->queues);
	kfree(dev);
}

struct netdev *
netdev_get(struct netdev *dev)
{
	__atomic_add_fetch(&dev->refs, 1, __ATOMIC_RELAXED);
	return dev;
}

void
netdev_put(struct netdev *dev)
{
	__atomic_sub_fetch(&dev->refs, 1, __ATOMIC_RELEASE);
}

struct netdev *
netdev_by_index(unsigned index)
{
	struct netdev *dev = rcu_dereference(by_index[index % INDEX_BUCKETS]);

	while (dev && dev->index != index)
		dev = rcu_dereference(dev->index_next);
	return dev;
}

struct netdev *
netdev_by_name(const char *name)
{
	struct netdev *dev;

	netdev_for_each(dev) if (!strncmp(dev->name, name, NETDEV_NAME)) return dev;
	return NULL;
}

struct netdev *
netdev_by_name_rtnl(const char *name)
{
	struct netdev *dev;

	ASSERT(mutex_is_held(&rtnl_mutex));
	rcu_read_lock();
	dev = netdev_by_name(name);
	rcu_read_unlock();
	return dev;
}

static void
notify(struct netdev *dev, enum netdev_event event)
{
	struct netdev_notifier *n, *tmp;

	list_for_each_safe(n, tmp, &notifiers, link)
		n->event(dev, event);
}

void
netdev_announce(struct netdev *dev)
{
	notify(dev, NETDEV_EV_ANNOUNCE);
}

void
netdev_notify_add(struct netdev_notifier *n)
{
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	list_push_back(&notifiers, &n->link);
	list_for_each(dev, &netdev_list, link) {
		n->event(dev, NETDEV_EV_REGISTER);
		if (dev->flags & NETDEV_UP)
			n->event(dev, NETDEV_EV_UP);
	}
	mutex_unlock(&rtnl_mutex);
}

/* ---- Names --------------------------------------------------------------------------- */

/* As Linux: not empty, no slash, blank or colon, not "." or "..". */
static bool
name_is_valid(const char *name)
{
	size_t n = strnlen(name, NETDEV_NAME);

	if (n == 0 || n == NETDEV_NAME || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || (unsigned char)*name <= ' ')
			return false;
	return true;
}

/* Writes the name that `format` asks for: itself, or with the first free number for "%d". */
static enum err
choose_name(char out[NETDEV_NAME], const char *format)
{
	const char *percent = strchr(format, '%');
	int stem = percent ? (int)(percent - format) : 0;

	if (!percent) {
		if (!name_is_valid(format))
			return ERR_INVAL;
		strlcpy(out, format, NETDEV_NAME);
		return netdev_by_name(out) ? ERR_EXIST : OK;
	}
	if (percent[1] != 'd' || strchr(percent + 1, '%'))
		return ERR_INVAL;
	for (unsigned i = 0; i < 10000; i++) {
		int n =
		    snprintf(out, NETDEV_NAME, "%.*s%u%s", stem, format, i, percent + 2);

		if (n >= NETDEV_NAME || !name_is_valid(out))
			return ERR_INVAL;
		if (!netdev_by_name(out))
			return OK;
	}
	return ERR_NOSPC;
}

enum err
netdev_rename(struct netdev *dev, const char *name)
{
	char chosen[NETDEV_NAME];
	enum err err;

	if (!strncmp(dev->name, name, NETDEV_NAME))
		return OK;
	err = choose_name(chosen, name);
	if (err != OK)
		return err;
	memcpy(dev->name, chosen, sizeof(chosen));
	notify(dev, NETDEV_EV_NAME);
	return OK;
}

/* ---- Life ------------------------------------------------------------------------------- */

enum err
netdev_register_locked(struct netdev *dev, const char *name_format)
{
	enum err err = choose_name(dev->name, name_format ? name_format : "eth%d");

	if (err != OK)
		return err;
	dev->index = ++last_index;
	for (unsigned i = 0; i < dev->num_queues; i++)
		dev->queues[i].is_off = true;
	dev->is_registered = true;
	dev->index_next = by_index[dev->index % INDEX_BUCKETS];
	rcu_assign(by_index[dev->index % INDEX_BUCKETS], dev);
	rcu_list_push_back(&netdev_list, &dev->link);
	if (dev->type == 1)
		log_info("%s is %s, %02x:%02x:%02x:%02x:%02x:%02x", dev->name,
		    dev->driver_name, dev->mac[0], dev->mac[1], dev->mac[2], dev->mac[3],
		    dev->mac[4], dev->mac[5]);
	notify(dev, NETDEV_EV_REGISTER);
	return OK;
}

enum err
netdev_register(struct netdev *dev, const char *name_format)
{
	enum err err;

	mutex_lock(&rtnl_mutex);
	err = netdev_register_locked(dev, name_format);
	mutex_unlock(&rtnl_mutex);
	return err;
}

/* Out of the lists; nobody finds it any more. */
static void
unlink_dev(struct netdev *dev)
{
	struct netdev **link = &by_index[dev->index % INDEX_BUCKETS];

	netdev_down(dev);
	rcu_list_remove(&dev->link);
	while (*link != dev)
		link = &(*link)->index_next;
	rcu_assign(*link, dev->index_next);
	dev->is_registered = false;
	notify(dev, NETDEV_EV_UNREGISTER);
}

/* Sleeps until the last reference has gone, which it says when that takes long. */
static void
wait_for_users(struct netdev *dev)
{
	nsec_t step = NSEC_PER_MSEC, waited = 0;

	rcu_synchronize();
	net_backlog_purge(dev);
	while (__atomic_load_n(&dev->refs, __ATOMIC_ACQUIRE) > 1 ||
	       __atomic_load_n(&dev->link_work.is_queued, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&dev->rx_mode_work.is_queued, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&dev->hung_work.is_queued, __ATOMIC_ACQUIRE)) {
		thread_sleep_ns(step);
		waited += step;
		step = MIN(step * 2, NSEC_PER_SEC);
		if (waited > 10 * NSEC_PER_SEC) {
			log_warn("%s is gone, but %u references are left", dev->name,
			    dev->refs - 1);
			waited = 0;
		}
	}
}

void
netdev_unregister(struct netdev *dev)
{
	mutex_lock(&rtnl_mutex);
	unlink_dev(dev);
	mutex_unlock(&rtnl_mutex);
	wait_for_users(dev);
	netdev_free(dev);
}

/* Waiting may need other configuration to go on, so it has a thread of its own. */
static void
reap_main(void *arg)
{
	struct netdev *dev = arg;

	wait_for_users(dev);
	netdev_free(dev);
}

void
netdev_unregister_locked(struct netdev *dev)
{
	struct thread *t;

	unlink_dev(dev);
	t = thread_create_kernel("netreap", reap_main, dev);
	if (!t) {
		log_warn("no memory to free %s", dev->name);
		return;
	}
	thread_start(t);
	thread_put(t);
}

/* ---- Up and down ------------------------------------------------------------------------ */

static void
update_running(struct netdev *dev)
{
	bool is_running =
	    (dev->flags & NETDEV_UP) && __atomic_load_n(&dev->has_link, __ATOMIC_ACQUIRE);

	if (is_running)
		dev->flags |= NETDEV_RUNNING;
	else
		dev->flags &= ~(uint32_t)NETDEV_RUNNING;
}

static void
set_queues_off(struct netdev *dev, bool is_off)
{
	for (unsigned i = 0; i < dev->num_queues; i++)
		__atomic_store_n(&dev->queues[i].is_off, is_off, __ATOMIC_SEQ_CST);
}

enum err
netdev_up(struct netdev *dev)
{
	enum err err;

	if (dev->flags & NETDEV_UP)
		return OK;
	set_queues_off(dev, false);
	err = dev->ops->up(dev);
	if (err != OK) {
		set_queues_off(dev, true);
		return err;
	}
	dev->flags |= NETDEV_UP;
	update_running(dev);
	if (dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
	if (dev->ops->poll) /* what came before it was let poll */
		for (unsigned i = 0; i < dev->num_queues; i++)
			netdev_schedule(&dev->queues[i]);
	notify(dev, NETDEV_EV_UP);
	return OK;
}

void
netdev_down(struct netdev *dev)
{
	if (!(dev->flags & NETDEV_UP))
		return;
	notify(dev, NETDEV_EV_GOING_DOWN);
	dev->flags &= ~(uint32_t)(NETDEV_UP | NETDEV_RUNNING);
	notify(dev, NETDEV_EV_DOWN);
	set_queues_off(dev, true);
	netdev_tx_stop_all(dev);
	net_sync();        /* no poll runs */
	rcu_synchronize(); /* no sender is inside either: they check NETDEV_UP under RCU */
	dev->ops->down(dev);
	netdev_tx_stop_all(dev);
}

static void
link_work(struct net_work *w)
{
	struct netdev *dev = container_of(w, struct netdev, link_work);
	uint32_t was;

	mutex_lock(&rtnl_mutex);
	was = dev->flags;
	update_running(dev);
	if (dev->is_registered && (was ^ dev->flags) & NETDEV_RUNNING) {
		if (dev->flags & NETDEV_RUNNING)
			log_info("%s: link is up, %u Mbit/s, %s duplex", dev->name,
			    dev->speed_mbps, dev->is_full_duplex ? "full" : "half");
		else
			log_info("%s: link is down", dev->name);
		notify(dev, NETDEV_EV_LINK);
	}
	mutex_unlock(&rtnl_mutex);
}

void
netdev_link_change(
    struct netdev *dev, bool has_link, uint32_t speed_mbps, bool is_full_duplex)
{
	dev->speed_mbps = speed_mbps;
	dev->is_full_duplex = is_full_duplex;
	__atomic_store_n(&dev->has_link, has_link, __ATOMIC_RELEASE);
	net_config_queue(&dev->link_work);
}

/* ---- Settings ---------------------------------------------------------------------------- */

enum err
netdev_set_mtu(struct netdev *dev, unsigned mtu)
{
	enum err err = OK;

	if (mtu == dev->mtu)
		return OK;
	if (mtu < dev->min_mtu || mtu > dev->max_mtu)
		return ERR_INVAL;
	if (dev->ops->set_mtu)
		err = dev->ops->set_mtu(dev, mtu);
	if (err != OK)
		return err;
	dev->mtu = mtu;
	notify(dev, NETDEV_EV_MTU);
	return OK;
}

enum err
netdev_set_mac(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	static const uint8_t zero[ETH_ALEN];
	enum err err = OK;

	if (dev->type != 1)
		return ERR_OPNOTSUPP;
	if (mac[0] & 1 || !memcmp(mac, zero, ETH_ALEN))
		return ERR_ADDRNOTAVAIL;
	if (dev->ops->set_mac)
		err = dev->ops->set_mac(dev, mac);
	if (err != OK)
		return err;
	memcpy(dev->mac, mac, ETH_ALEN);
	notify(dev, NETDEV_EV_MAC);
	return OK;
}

static void
apply_rx_mode(struct netdev *dev)
{
	if (dev->flags & NETDEV_UP && dev->ops->set_rx_mode)
		dev->ops->set_rx_mode(dev);
}

static void
rx_mode_work(struct net_work *w)
{
	struct netdev *dev = container_of(w, struct netdev, rx_mode_work);

	mutex_lock(&rtnl_mutex);
	apply_rx_mode(dev);
	mutex_unlock(&rtnl_mutex);
}

static void
count_flag(struct netdev *dev, uint32_t *count, uint32_t flag, int change)
{
	ASSERT(change > 0 || *count > 0);
	*count += (uint32_t)change;
	if (*count == (change > 0) && *count <= 1) {
		dev->flags = *count ? dev->flags | flag : dev->flags & ~flag;
		apply_rx_mode(dev);
	}
}

void
netdev_set_promisc(struct netdev *dev, int change)
{
	count_flag(dev, &dev->promisc_count, NETDEV_PROMISC, change);
}

void
netdev_set_allmulti(struct netdev *dev, int change)
{
	count_flag(dev, &dev->allmulti_count, NETDEV_ALLMULTI, change);
}

enum err
netdev_change_flags(struct netdev *dev, uint32_t flags)
{
	bool is_promisc = flags & NETDEV_PROMISC, is_allmulti = flags & NETDEV_ALLMULTI;

	if (is_promisc != dev->is_user_promisc)
		netdev_set_promisc(dev, is_promisc ? 1 : -1);
	dev->is_user_promisc = is_promisc;
	if (is_allmulti != dev->is_user_allmulti)
		netdev_set_allmulti(dev, is_allmulti ? 1 : -1);
	dev->is_user_allmulti = is_allmulti;
	if (flags & NETDEV_UP)
		return netdev_up(dev);
	netdev_down(dev);
	return OK;
}

uint32_t
netdev_user_flags(const struct netdev *dev)
{
	uint32_t flags = dev->flags & ~(uint32_t)(NETDEV_PROMISC | NETDEV_ALLMULTI);

	if (dev->is_user_promisc)
		flags |= NETDEV_PROMISC;
	if (dev->is_user_allmulti)
		flags |= NETDEV_ALLMULTI;
	return flags;
}

static struct mc_addr *
find_mc_locked(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	struct mc_addr *m;

	list_for_each(m, &dev->mc_addrs, link)
		if (!memcmp(m->mac, mac, ETH_ALEN))
			return m;
	return NULL;
}

enum err
netdev_mc_add(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	struct mc_addr *fresh = kzalloc(sizeof(*fresh)), *m;
	bool is_new;

	if (!fresh)
		return ERR_NOMEM;
	memcpy(fresh->mac, mac, ETH_ALEN);
	spin_lock(&dev->mc_lock);
	m = find_mc_locked(dev, mac);
	is_new = !m;
	if (is_new) {
		m = fresh;
		list_push_back(&dev->mc_addrs, &m->link);
	}
	m->count++;
	spin_unlock(&dev->mc_lock);
	if (is_new)
		net_config_queue(&dev->rx_mode_work);
	else
		kfree(fresh);
	return OK;
}

void
netdev_mc_del(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	struct mc_addr *m;
	bool is_last = false;

	spin_lock(&dev->mc_lock);
	m = find_mc_locked(dev, mac);
	if (m && --m->count == 0) {
		list_remove(&m->link);
		is_last = true;
	}
	spin_unlock(&dev->mc_lock);
	if (is_last) {
		kfree(m);
		net_config_queue(&dev->rx_mode_work);
	}
}

void
netdev_for_each_mc(
    struct netdev *dev, void (*fn)(void *arg, const uint8_t mac[ETH_ALEN]), void *arg)
{
	struct mc_addr *m;

	spin_lock(&dev->mc_lock);
	list_for_each(m, &dev->mc_addrs, link)
		fn(arg, m->mac);
	spin_unlock(&dev->mc_lock);
}

void
netdev_get_stats(struct netdev *dev, struct netdev_stats *s)
{
	*s = (struct netdev_stats){
	    .rx_errors = dev->rx_errors,
	    .rx_dropped = dev->rx_dropped,
	    .tx_errors = dev->tx_errors,
	    .tx_dropped = dev->tx_dropped,
	};
	for (unsigned i = 0; i < dev->num_queues; i++) {
		const struct netdev_queue *q = &dev->queues[i];

		s->rx_packets += q->rx_packets;
		s->rx_bytes += q->rx_bytes;
		s->tx_packets += q->tx_packets;
		s->tx_bytes += q->tx_bytes;
	}
	if (dev->ops->get_stats)
		dev->ops->get_stats(dev, s);
}
