/* See net_env.h. Stands for pkt.c, netdev.c, net_timer.c, ether.c and mib.c. */
#include "tests/fakes/net_env.h"

#include <stdlib.h>

#include "kernel/panic.h"
#include "kernel/procfs.h"
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "lib/fmt.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip.h"
#include "tests/fakes/fakes.h"

long fake_pkts_live;
unsigned fake_drops[NUM_DROPS];
struct list netdev_list = LIST_INIT(netdev_list);
struct netdev *loopback_dev;
struct mutex rtnl_mutex = MUTEX_INIT(rtnl_mutex, "rtnl", RANK_RTNL);
const uint8_t ether_broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct pkt_queue wire;
static struct list timers = LIST_INIT(timers);
static struct net_work *works, **works_tail = &works;
static struct list notifiers = LIST_INIT(notifiers);
PER_CPU(uint64_t[NUM_MIBS], mib_counters);
static unsigned mc_counts[16];

/* ---- Packets --------------------------------------------------------------------------- */

static struct pkt *
make(size_t headroom, size_t room)
{
	struct pkt *p = calloc(1, sizeof(*p));

	p->head = malloc(headroom + room + 1);
	p->end = p->head + headroom + room;
	p->data = p->tail = p->head + headroom;
	p->truesize = (uint32_t)(headroom + room);
	fake_pkts_live++;
	return p;
}

struct pkt *
pkt_alloc(size_t room)
{
	return make(PKT_HEADROOM, room);
}

struct pkt *
fake_pkt(struct netdev *dev, const void *data, size_t n)
{
	struct pkt *p = make(0, n);

	memcpy(p->data, data, n);
	p->tail = p->end;
	p->dev = dev;
	return p;
}

struct pkt *
pkt_copy(const struct pkt *p, size_t headroom)
{
	size_t off = (size_t)(p->data - p->head), n = pkt_len(p);
	struct pkt *c = make(MAX(headroom, off), n);
	uint8_t *head = c->head, *end = c->end, *data = c->data;
	ptrdiff_t move = (data - head) - (ptrdiff_t)off;

	*c = *p;
	c->head = head;
	c->end = end;
	c->data = data;
	c->tail = data + n;
	c->next = c->more = c->more_tail = NULL;
	c->extra_len = 0;
	/* Offsets of headers stay those of the same bytes, where they still lie before data. */
	memcpy(data - off, p->head, off);
	ASSERT(pkt_read(p, 0, data, n));
	c->l2_off = (uint16_t)(p->l2_off + move);
	c->l3_off = (uint16_t)(p->l3_off + move);
	c->l4_off = (uint16_t)(p->l4_off + move);
	return c;
}

struct pkt *
pkt_clone(struct pkt *p)
{
	return pkt_copy(p, 0);
}

void
pkt_free(struct pkt *p)
{
	if (!p)
		return;
	pkt_free_list(p->more);
	fake_pkts_live--;
	free(p->head);
	free(p);
}

void
pkt_free_list(struct pkt *p)
{
	while (p) {
		struct pkt *next = p->next;

		pkt_free(p);
		p = next;
	}
}

void
pkt_drop(struct pkt *p, enum drop_reason why)
{
	fake_drops[why]++;
	pkt_free(p);
}

void
drop_count(enum drop_reason why)
{
	fake_drops[why]++;
}

void *
pkt_push(struct pkt *p, size_t n)
{
	return (size_t)(p->data - p->head) < n ? NULL : (p->data -= n);
}

void *
pkt_pull(struct pkt *p, size_t n)
{
	void *data = p->data;

	if (pkt_linear(p) < n)
		return NULL;
	p->data += n;
	return data;
}

void *
pkt_put(struct pkt *p, size_t n)
{
	void *tail = p->tail;

	if ((size_t)(p->end - p->tail) < n)
		return NULL;
	p->tail += n;
	return tail;
}

void
pkt_trim(struct pkt *p, size_t len)
{
	ASSERT(!p->more);
	if (pkt_linear(p) > len)
		p->tail = p->data + len;
}

void *
pkt_need(struct pkt *p, size_t n)
{
	ASSERT(!p->more || pkt_linear(p) >= n);
	return pkt_linear(p) < n ? NULL : p->data;
}

bool
pkt_writable(struct pkt *p, size_t headroom)
{
	size_t off = (size_t)(p->data - p->head), n = pkt_linear(p);
	uint8_t *head;

	if (off >= headroom)
		return true;
	head = malloc(headroom + n + 1);
	memcpy(head + headroom - off, p->head, off + n);
	free(p->head);
	p->l2_off += headroom - off;
	p->l3_off += headroom - off;
	p->l4_off += headroom - off;
	p->head = head;
	p->data = head + headroom;
	p->tail = p->end = p->data + n;
	return true;
}

bool
pkt_read(const struct pkt *p, size_t off, void *buf, size_t n)
{
	uint8_t *out = buf;

	for (const struct pkt *q = p; q && n; q = q == p ? q->more : q->next) {
		size_t len = pkt_linear(q), take;

		if (off >= len) {
			off -= len;
			continue;
		}
		take = MIN(n, len - off);
		memcpy(out, q->data + off, take);
		out += take;
		n -= take;
		off = 0;
	}
	return n == 0;
}

bool
pkt_write(struct pkt *p, size_t off, const void *buf, size_t n)
{
	ASSERT(!p->more);
	if (off + n > pkt_linear(p))
		return false;
	memcpy(p->data + off, buf, n);
	return true;
}

void
pkt_chain(struct pkt *p, struct pkt *more)
{
	more->next = NULL;
	if (p->more)
		p->more_tail->next = more;
	else
		p->more = more;
	p->more_tail = more;
	p->extra_len += (uint32_t)pkt_len(more);
}

uint32_t
pkt_csum(const struct pkt *p, size_t off, size_t n, uint32_t sum)
{
	uint8_t *copy = malloc(n + 1);

	ASSERT(pkt_read(p, off, copy, n));
	sum = csum_add(sum, copy, n);
	free(copy);
	return sum;
}

void
pkt_queue_push(struct pkt_queue *q, struct pkt *p)
{
	p->next = NULL;
	if (q->last)
		q->last->next = p;
	else
		q->first = p;
	q->last = p;
	q->count++;
	q->truesize += p->truesize;
}

struct pkt *
pkt_queue_pop(struct pkt_queue *q)
{
	struct pkt *p = q->first;

	if (!p)
		return NULL;
	q->first = p->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	q->truesize -= p->truesize;
	p->next = NULL;
	return p;
}

void
pkt_queue_free(struct pkt_queue *q)
{
	pkt_free_list(q->first);
	*q = (struct pkt_queue){.first = NULL};
}

/* ---- The wire -------------------------------------------------------------------------- */

enum err
netdev_send(struct netdev *dev, struct pkt *p)
{
	p->dev = dev;
	pkt_queue_push(&wire, p);
	return OK;
}

enum err
ether_send(struct netdev *dev, struct pkt *p, const uint8_t dst[ETH_ALEN], uint16_t type)
{
	struct ether_header *h;

	ASSERT(pkt_writable(p, sizeof(*h)));
	h = pkt_push(p, sizeof(*h));
	memcpy(h->dst, dst, ETH_ALEN);
	memcpy(h->src, dev->mac, ETH_ALEN);
	h->type = be16_of(type);
	return netdev_send(dev, p);
}

struct pkt *
fake_wire_pop(struct ether_header *eth)
{
	struct pkt *p = pkt_queue_pop(&wire);

	if (p)
		memcpy(eth, pkt_pull(p, sizeof(*eth)), sizeof(*eth));
	return p;
}

unsigned
fake_wire_count(void)
{
	return wire.count;
}

void
fake_wire_clear(void)
{
	pkt_queue_free(&wire);
}

void
ether_map_multicast(uint8_t mac[ETH_ALEN], const struct ip_addr *group)
{
	const uint8_t *b = group->b;

	if (ip_is_v4(group))
		memcpy(
		    mac, (uint8_t[]){1, 0, 0x5e, b[13] & 0x7f, b[14], b[15]}, ETH_ALEN);
	else
		memcpy(
		    mac, (uint8_t[]){0x33, 0x33, b[12], b[13], b[14], b[15]}, ETH_ALEN);
}

/* ---- Timers and work ------------------------------------------------------------------- */

void
net_timer_init(struct net_timer *t, void (*fn)(struct net_timer *))
{
	*t = (struct net_timer){.fn = fn};
	list_init(&t->link);
}

void
net_timer_arm(struct net_timer *t, nsec_t expires_ns)
{
	t->expires_ns = expires_ns;
	ASSERT(t->fn);
	if (!t->armed)
		list_push_back(&timers, &t->link);
	t->armed = 1;
}

bool
net_timer_cancel(struct net_timer *t)
{
	if (!t->armed)
		return false;
	list_remove(&t->link);
	t->armed = 0;
	return true;
}

void
net_timer_cancel_sync(struct net_timer *t)
{
	net_timer_cancel(t);
}

void
fake_net_timers_run(nsec_t until)
{
	for (;;) {
		struct net_timer *t, *first = NULL;

		list_for_each(t, &timers, link)
			if (!first || t->expires_ns < first->expires_ns)
				first = t;
		if (!first || first->expires_ns > until)
			break;
		net_timer_cancel(first);
		fake_now_ns = MAX(fake_now_ns, first->expires_ns);
		first->fn(first);
	}
	fake_now_ns = MAX(fake_now_ns, until);
}

unsigned
fake_net_timers_armed(void)
{
	struct net_timer *t;
	unsigned n = 0;

	list_for_each(t, &timers, link)
		n++;
	return n;
}

void
net_config_queue(struct net_work *w)
{
	if (w->is_queued)
		return;
	w->is_queued = 1;
	w->next = NULL;
	*works_tail = w;
	works_tail = &w->next;
}

void
net_work_queue(struct net_work *w, unsigned cpu)
{
	net_config_queue(w);
}

void
fake_net_work_run(void)
{
	struct net_work *w;

	while ((w = works)) {
		works = w->next;
		if (!works)
			works_tail = &works;
		w->is_queued = 0;
		w->fn(w);
	}
}

/* ---- Interfaces ------------------------------------------------------------------------ */

struct netdev *
fake_netdev(unsigned index)
{
	struct netdev *dev = calloc(1, sizeof(*dev));

	snprintf(dev->name, sizeof(dev->name), "eth%u", index);
	dev->index = index;
	memcpy(dev->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)index}, ETH_ALEN);
	memcpy(dev->permanent_mac, dev->mac, ETH_ALEN);
	dev->type = 1;
	dev->mtu = 1500;
	dev->max_mtu = NETDEV_MAX_MTU;
	dev->flags = NETDEV_UP | NETDEV_RUNNING | NETDEV_MULTICAST | NETDEV_BROADCAST;
	dev->has_link = true;
	dev->refs = 1;
	list_push_back(&netdev_list, &dev->link);
	return dev;
}

struct netdev *
netdev_get(struct netdev *dev)
{
	dev->refs++;
	return dev;
}

void
netdev_put(struct netdev *dev)
{
	ASSERT(dev->refs > 1);
	dev->refs--;
}

struct netdev *
netdev_by_index(unsigned index)
{
	struct netdev *dev;

	netdev_for_each(dev) if (dev->index == index) return dev;
	return NULL;
}

void
netdev_notify_add(struct netdev_notifier *n)
{
	list_push_back(&notifiers, &n->link);
}

void
fake_netdev_event(struct netdev *dev, enum netdev_event event)
{
	struct netdev_notifier *n;

	mutex_lock(&rtnl_mutex);
	list_for_each(n, &notifiers, link)
		n->event(dev, event);
	mutex_unlock(&rtnl_mutex);
}

enum err
netdev_mc_add(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	mc_counts[dev->index]++;
	return OK;
}

void
netdev_mc_del(struct netdev *dev, const uint8_t mac[ETH_ALEN])
{
	ASSERT(mc_counts[dev->index]);
	mc_counts[dev->index]--;
}

unsigned
fake_mc_count(const struct netdev *dev)
{
	return mc_counts[dev->index];
}

/* ---- The rest -------------------------------------------------------------------------- */

uint64_t
mib_get(enum mib m)
{
	return mib_counters[m];
}

void
mib_icmp_inc(enum mib_icmp which, uint8_t type)
{
}

void
mib_icmp_sent(const struct pkt *p, uint8_t proto)
{
}

static uint64_t seed = 1;

uint64_t
random_u64(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed ^ seed >> 29;
}

uint64_t
random_below(uint64_t limit)
{
	return random_u64() % limit;
}

void
random_bytes(void *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = (uint8_t)(random_u64() >> 24);
}

enum err
proc_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *))
{
	return OK;
}

void
net_burst_begin(void)
{
}

void
net_burst_end(void)
{
}
