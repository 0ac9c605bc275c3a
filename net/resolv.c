/*
 * /etc/resolv.conf.
 *
 * The file begins with our marker line. If a file stands there that does not, it is the user's and is
 * left alone. It is written by the configuration thread; while there is no /etc yet, early in boot,
 * that is tried again.
 */
#include "net/resolv.h"

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/net_timer.h"
#include "net/netdev.h"

#define LOG_PREFIX "net: "
#include "kernel/log.h"

enum { MAX_ENTRIES = 64, RETRIES = 30 };
static const char path[] = "/etc/resolv.conf", aside[] = "/etc/.resolv.conf";
static const char marker[] =
    "# Written by Keel from what the network told; yours if you take this "
    "line out.\n";

struct entry { /* [lock] */
	bool is_used;
	unsigned dev_index;
	enum resolv_source source;
	struct resolv_info info;
};

static struct mutex lock = MUTEX_INIT(lock, "resolv", RANK_NETDEV);
static struct entry *entries[MAX_ENTRIES]; /* [lock] */
static unsigned tries_left;
static struct net_work work;
static struct net_timer retry;

static struct entry *
entry_of(unsigned dev_index, enum resolv_source source, bool is_make)
{
	unsigned free = MAX_ENTRIES;

	for (unsigned i = 0; i < MAX_ENTRIES; i++) {
		struct entry *e = entries[i];

		if (e && e->dev_index == dev_index && e->source == source)
			return e;
		if (!e && free == MAX_ENTRIES)
			free = i;
	}
	if (!is_make || free == MAX_ENTRIES)
		return NULL;
	entries[free] = kzalloc(sizeof(struct entry));
	if (entries[free]) {
		entries[free]->dev_index = dev_index;
		entries[free]->source = source;
	}
	return entries[free];
}

static bool
is_same_list(
    const struct ip_addr *a, unsigned num_a, const struct ip_addr *b, unsigned num_b)
{
	if (num_a != num_b)
		return false;
	for (unsigned i = 0; i < num_a; i++)
		if (!ip_equal(&a[i], &b[i]))
			return false;
	return true;
}

static bool
is_same(const struct resolv_info *a, const struct resolv_info *b)
{
	return is_same_list(a->servers, a->count, b->servers, b->count) &&
	       is_same_list(a->ntp, a->num_ntp, b->ntp, b->num_ntp) &&
	       strcmp(a->search, b->search) == 0;
}

void
resolv_set(unsigned dev_index, enum resolv_source source, const struct resolv_info *info)
{
	bool is_changed = false;
	struct entry *e;

	mutex_lock(&lock);
	e = entry_of(dev_index, source, info != NULL);
	if (e && info) {
		is_changed = !e->is_used || !is_same(&e->info, info);
		e->info = *info;
		e->is_used = true;
	} else if (e) {
		is_changed = e->is_used;
		e->is_used = false;
	}
	mutex_unlock(&lock);
	if (is_changed) {
		tries_left = RETRIES;
		net_config_queue(&work);
	}
}

/* ---- The text ---------------------------------------------------------------------------- */

/* Link-local servers need to know their link. */
static void
put_server(struct seq *s, const struct ip_addr *a, unsigned dev_index)
{
	char text[IP_TEXT];
	struct netdev *dev;

	seq_printf(s, "nameserver %s", ip_format(text, a));
	if (!ip_is_v4(a) && ip_is_link_local(a)) {
		rcu_read_lock();
		dev = netdev_by_index(dev_index);
		if (dev)
			seq_printf(s, "%%%s", dev->name);
		rcu_read_unlock();
	}
	seq_putc(s, '\n');
}

static bool
is_listed(const struct ip_addr *a, const struct ip_addr *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (ip_equal(a, &list[i]))
			return true;
	return false;
}

/* Static ones first, then by the order of enum resolv_source. */
static void
put_servers(struct seq *s)
{
	struct ip_addr seen[RESOLV_SERVERS];
	unsigned n = 0;

	for (unsigned source = 0; source < NUM_RESOLV_SOURCES; source++) {
		for (unsigned i = 0; i < MAX_ENTRIES; i++) {
			const struct entry *e = entries[i];

			if (!e || !e->is_used || e->source != source)
				continue;
			for (unsigned k = 0; k < e->info.count && n < RESOLV_SERVERS;
			     k++) {
				if (is_listed(&e->info.servers[k], seen, n))
					continue;
				seen[n++] = e->info.servers[k];
				put_server(s, &e->info.servers[k], e->dev_index);
			}
		}
	}
}

static void
put_search(struct seq *s)
{
	bool is_first = true;

	for (unsigned i = 0; i < MAX_ENTRIES; i++) {
		const struct entry *e = entries[i];

		if (!e || !e->is_used || !e->info.search[0])
			continue;
		seq_puts(s, is_first ? "search " : " ");
		seq_puts(s, e->info.search);
		is_first = false;
	}
	if (!is_first)
		seq_putc(s, '\n');
}

static void
put_time_servers(struct seq *s)
{
	char text[IP_TEXT];

	for (unsigned i = 0; i < MAX_ENTRIES; i++)
		for (unsigned k = 0;
		     entries[i] && entries[i]->is_used && k < entries[i]->info.num_ntp;
		     k++)
			seq_printf(s, "# time server %s\n",
			    ip_format(text, &entries[i]->info.ntp[k]));
}

/* ---- The file ---------------------------------------------------------------------------- */

/* Is there a file that somebody else wrote? */
static bool
is_users(void)
{
	char begin[sizeof(marker) - 1];
	struct file *f;
	ssize_t n;

	if (file_open(path, O_RDONLY, 0, &f) != OK)
		return false;
	n = file_read_at(f, begin, sizeof(begin), 0);
	file_put(f);
	return n > 0 &&
	       (n != (ssize_t)sizeof(begin) || memcmp(begin, marker, sizeof(begin)) != 0);
}

/* Aside, then in place of the old one: who reads sees one or the other whole. */
static enum err
write_file(const struct seq *s)
{
	struct file *f;
	enum err err = file_open(aside, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);
	ssize_t n;

	if (err != OK)
		return err;
	n = file_write_at(f, s->buf, s->len, 0);
	file_put(f);
	return n == (ssize_t)s->len ? file_rename(aside, path) : ERR_IO;
}

static void
write_out(struct net_work *w)
{
	struct seq s;

	seq_init(&s);
	mutex_lock(&lock);
	seq_puts(&s, marker);
	put_search(&s);
	put_servers(&s);
	put_time_servers(&s);
	mutex_unlock(&lock);
	if (!s.is_full && !is_users() && write_file(&s) != OK && tries_left--)
		net_timer_arm(&retry, clock_now_ns() + NSEC_PER_SEC);
	seq_free(&s);
}

static void
retry_due(struct net_timer *t)
{
	net_config_queue(&work);
}

void
resolv_init(void)
{
	work.fn = write_out;
	net_timer_init(&retry, retry_due);
}
