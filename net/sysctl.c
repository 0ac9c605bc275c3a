/*
 * /proc/sys/net/{ipv4,ipv6}/conf/NAME/: switches of interfaces, by one table. NAME is an
 * interface, "all" (every interface now and to come) or "default" (those to come). And
 * /sys/class/net/NAME/, what scripts read of an interface.
 *
 * A file remembers its row and the interface's name, which is looked up at each use: so the files
 * of a name are made once, hidden while there is no such interface, and serve the next one of
 * that name. Switches that are not of an
 * interface belong to their owners (tcp_*, ping_group_range ...).
 */
#include "net/sysctl.h"

#include "kernel/procfs.h"
#include "kernel/sync/rcu.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/conf.h"
#include "net/netdev.h"

/* A file: a row of the table and whose it is. */
struct node {
	const struct conf_row *row;
	char dev[NETDEV_NAME];
	char path[64];
};

/* What "default" and "all" say, by row. [rtnl] */
static int32_t defaults[CONF_MAX_ROWS];
static bool is_changed[CONF_MAX_ROWS]; /* by a user: applies to interfaces to come */

/* A decimal number with an optional sign and nothing else. */
static bool
parse_number(const char *text, int32_t *out)
{
	bool is_negative = *text == '-';
	int64_t v = 0;

	text += is_negative;
	if (!*text)
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		v = v * 10 + (*text - '0');
		if (v > INT32_MAX)
			return false;
	}
	*out = (int32_t)(is_negative ? -v : v);
	return !*text || *text == ' ' || *text == '\n' || *text == '\t';
}

static bool
is_general(const char *name)
{
	return !strcmp(name, "all") || !strcmp(name, "default");
}

static unsigned
row_index(const struct conf_row *row)
{
	return (unsigned)(row - conf_rows);
}

static void
show_node(struct seq *s)
{
	const struct node *n = s->private;
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	dev = netdev_by_name_rtnl(n->dev);
	if (is_general(n->dev))
		seq_printf(s, "%d\n", defaults[row_index(n->row)]);
	else if (dev)
		seq_printf(s, "%d\n", n->row->get(dev));
	mutex_unlock(&rtnl_mutex);
}

static enum err
store_locked(const struct node *n, int32_t v)
{
	struct netdev *dev = netdev_by_name_rtnl(n->dev);

	if (!is_general(n->dev)) {
		if (!dev)
			return ERR_NODEV;
		n->row->set(dev, v);
		return OK;
	}
	defaults[row_index(n->row)] = v;
	is_changed[row_index(n->row)] = true;
	if (!strcmp(n->dev, "all"))
		list_for_each(dev, &netdev_list, link)
			n->row->set(dev, v);
	return OK;
}

static enum err
store_node(void *private, const char *text)
{
	const struct node *n = private;
	int32_t v;
	enum err err;

	if (!parse_number(text, &v) || v < n->row->min || v > n->row->max)
		return ERR_INVAL;
	mutex_lock(&rtnl_mutex);
	err = store_locked(n, v);
	mutex_unlock(&rtnl_mutex);
	return err;
}

/* Makes NAME's files; those that are there already serve it again. */
static void
add_conf_files(const char *name)
{
	for (unsigned i = 0; conf_rows[i].name; i++) {
		struct node *n = kzalloc(sizeof(*n));

		if (!n)
			return;
		n->row = &conf_rows[i];
		strlcpy(n->dev, name, sizeof(n->dev));
		scnprintf(n->path, sizeof(n->path), "sys/net/%s/conf/%s/%s",
		    n->row->is_v6 ? "ipv6" : "ipv4", name, n->row->name);
		if (proc_register_private(n->path, show_node, store_node, n) != OK)
			kfree(n);
	}
}

/* ---- ip_forward: "all" of one row ---------------------------------------------------------- */

bool
sysctl_is_forwarding4(void)
{
	return defaults[0];
}

static void
show_forward(struct seq *s)
{
	seq_printf(s, "%d\n", defaults[0]);
}

static enum err
store_forward(const char *text)
{
	static struct node all = {.dev = "all"};

	all.row = &conf_rows[0];
	return store_node(&all, text);
}

/* ---- /sys/class/net ---------------------------------------------------------------------------- */

struct sys_row {
	const char *name;
	void (*show)(struct seq *, struct netdev *);
};

struct sys_node {
	const struct sys_row *row;
	char dev[NETDEV_NAME];
	char path[64];
};

static void
sys_mac(struct seq *s, const uint8_t mac[ETH_ALEN])
{
	seq_printf(s, "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3],
	    mac[4], mac[5]);
}

static void
sys_address(struct seq *s, struct netdev *dev)
{
	sys_mac(s, dev->mac);
}

static void
sys_mtu(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "%u\n", dev->mtu);
}

static void
sys_ifindex(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "%u\n", dev->index);
}

static void
sys_type(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "%u\n", dev->type);
}

static void
sys_flags(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "0x%x\n", netdev_user_flags(dev) & ~(uint32_t)NETDEV_RUNNING);
}

static void
sys_tx_queue_len(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "%u\n", dev->tx_queue_len);
}

static void
sys_operstate(struct seq *s, struct netdev *dev)
{
	if (dev->flags & NETDEV_LOOPBACK)
		seq_puts(s, "unknown\n");
	else
		seq_puts(s, dev->flags & NETDEV_RUNNING ? "up\n" : "down\n");
}

static void
sys_carrier(struct seq *s, struct netdev *dev)
{
	seq_printf(s, "%d\n", dev->has_link);
}

static void
sys_speed(struct seq *s, struct netdev *dev)
{
	seq_printf(
	    s, "%d\n", dev->has_link && dev->speed_mbps ? (int)dev->speed_mbps : -1);
}

static void
sys_duplex(struct seq *s, struct netdev *dev)
{
	seq_puts(s, dev->is_full_duplex ? "full\n" : "half\n");
}

/* One counter of statistics/. */
#define SYS_STAT(field) \
	static void sys_##field(struct seq *s, struct netdev *dev) \
	{ \
		struct netdev_stats t; \
		netdev_get_stats(dev, &t); \
		seq_printf(s, "%lu\n", t.field); \
	}
SYS_STAT(rx_packets)
SYS_STAT(rx_bytes)
SYS_STAT(rx_errors)
SYS_STAT(rx_dropped)
SYS_STAT(tx_packets)
SYS_STAT(tx_bytes)
SYS_STAT(tx_errors)
SYS_STAT(tx_dropped)

static const struct sys_row sys_rows[] = {
    {"address", sys_address},
    {"mtu", sys_mtu},
    {"ifindex", sys_ifindex},
    {"type", sys_type},
    {"flags", sys_flags},
    {"tx_queue_len", sys_tx_queue_len},
    {"operstate", sys_operstate},
    {"carrier", sys_carrier},
    {"speed", sys_speed},
    {"duplex", sys_duplex},
    {"statistics/rx_packets", sys_rx_packets},
    {"statistics/rx_bytes", sys_rx_bytes},
    {"statistics/rx_errors", sys_rx_errors},
    {"statistics/rx_dropped", sys_rx_dropped},
    {"statistics/tx_packets", sys_tx_packets},
    {"statistics/tx_bytes", sys_tx_bytes},
    {"statistics/tx_errors", sys_tx_errors},
    {"statistics/tx_dropped", sys_tx_dropped},
};

static void
show_sys_node(struct seq *s)
{
	const struct sys_node *n = s->private;
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	dev = netdev_by_name_rtnl(n->dev);
	if (dev)
		n->row->show(s, dev);
	mutex_unlock(&rtnl_mutex);
}

static void
add_sys_files(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sys_rows); i++) {
		struct sys_node *n = kzalloc(sizeof(*n));

		if (!n)
			return;
		n->row = &sys_rows[i];
		strlcpy(n->dev, name, sizeof(n->dev));
		scnprintf(
		    n->path, sizeof(n->path), "class/net/%s/%s", name, n->row->name);
		if (sysfs_register_private(n->path, show_sys_node, n) != OK)
			kfree(n);
	}
}

/* ---- Interfaces that come -------------------------------------------------------------------------- */

/* A name that has files. */
struct folder {
	struct list link;
	char name[NETDEV_NAME];
};

static struct list folders = LIST_INIT(folders); /* [rtnl] */

static void
add_folder(const char *name)
{
	struct folder *f;

	list_for_each(f, &folders, link)
		if (!strcmp(f->name, name))
			return;
	f = kzalloc(sizeof(*f));
	if (!f)
		return;
	strlcpy(f->name, name, sizeof(f->name));
	list_push_back(&folders, &f->link);
	add_conf_files(name);
	add_sys_files(name);
}

/* Shows the files of those interfaces that are there. */
static void
show_folders(void)
{
	struct folder *f;
	char path[64];

	list_for_each(f, &folders, link) {
		bool is_there = netdev_by_name_rtnl(f->name);

		scnprintf(path, sizeof(path), "sys/net/ipv4/conf/%s", f->name);
		proc_set_visible(path, is_there);
		scnprintf(path, sizeof(path), "sys/net/ipv6/conf/%s", f->name);
		proc_set_visible(path, is_there);
		scnprintf(path, sizeof(path), "class/net/%s", f->name);
		sysfs_set_visible(path, is_there);
	}
}

static void
sysctl_netdev_event(struct netdev *dev, enum netdev_event event)
{
	if (event != NETDEV_EV_REGISTER && event != NETDEV_EV_NAME &&
	    event != NETDEV_EV_UNREGISTER)
		return;
	if (event != NETDEV_EV_UNREGISTER)
		add_folder(dev->name);
	show_folders();
	for (unsigned i = 0; event == NETDEV_EV_REGISTER && conf_rows[i].name; i++)
		if (is_changed[i])
			conf_rows[i].set(dev, defaults[i]);
}

void
sysctl_init(void)
{
	static struct netdev_notifier notifier = {.event = sysctl_netdev_event};

	for (unsigned i = 0; conf_rows[i].name; i++)
		defaults[i] = conf_rows[i].initial;
	add_conf_files("all");
	add_conf_files("default");
	(void)proc_register_rw("sys/net/ipv4/ip_forward", show_forward,
	    store_forward); /* no memory: not there */
	netdev_notify_add(&notifier);
}
