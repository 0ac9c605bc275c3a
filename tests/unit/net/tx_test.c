/*
 * net/tx.c: what is held back when a ring is full, and goes on in order; the watchdog.
 * LINK: net/tx.c net/gso.c net/pkt.c net/pkt_data.c net/drops.c net/ip_addr.c lib/inet_csum.c
 * lib/string.c lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/mutex.c tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c
 * tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 */
#include "kernel/sched/thread.h"
#include "lib/string.h"
#include "net/ether.h"
#include "net/netdev.h"
#include "net/rx.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

struct mutex rtnl_mutex = MUTEX_INIT(rtnl_mutex, "rtnl", RANK_RTNL);

/* ---- What is around tx.c ---------------------------------------------------------------- */

unsigned
net_queue_cpu(unsigned n)
{
	return 0;
}

void
ether_input(struct pkt *p)
{
	pkt_free(p);
}

void
ether_tap_outgoing(struct netdev *dev, struct pkt *p)
{
}

static struct net_timer *watchdog; /* armed */
static struct net_work *work;

void
net_timer_init(struct net_timer *t, void (*fn)(struct net_timer *))
{
	*t = (struct net_timer){.fn = fn};
}

void
net_timer_arm(struct net_timer *t, nsec_t expires_ns)
{
	t->expires_ns = expires_ns;
	watchdog = t;
}

void
net_timer_cancel_sync(struct net_timer *t)
{
	watchdog = NULL;
}

void
net_config_queue(struct net_work *w)
{
	work = w;
}

/* ---- A device with a ring of a few places -------------------------------------------------- */

static unsigned room, sent, resets;
static uint8_t order[64];

static enum err
ring_send(struct netdev_queue *q, struct pkt *p)
{
	if (!room)
		return ERR_BUSY;
	room--;
	order[sent++] = p->data[0];
	pkt_free(p);
	return OK;
}

static void
ring_timeout(struct netdev *dev)
{
	resets++;
	room = 2;
}

static const struct netdev_ops ops = {.send = ring_send, .tx_timeout = ring_timeout};
static struct netdev_queue queue;
static struct netdev dev;

static void
setup(unsigned places)
{
	static bool is_done;

	if (!is_done)
		pkt_init();
	is_done = true;
	fake_kmalloc_live = 0;
	memset(&queue, 0, sizeof(queue));
	dev = (struct netdev){.ops = &ops,
	    .queues = &queue,
	    .num_queues = 1,
	    .mtu = 1500,
	    .tx_queue_len = 5,
	    .flags = NETDEV_UP | NETDEV_RUNNING};
	netdev_queue_init(&dev, 0);
	room = places;
	sent = resets = 0;
	watchdog = NULL;
	work = NULL;
	fake_now_ns = NSEC_PER_SEC;
}

static enum err
send(uint8_t first_byte)
{
	struct pkt *p = pkt_alloc(60);

	*(uint8_t *)pkt_put(p, 60) = first_byte;
	return netdev_send(&dev, p);
}

KTEST(tx_goes_straight_to_a_ring_with_room)
{
	setup(3);
	CHECK_EQ(send(1), OK);
	CHECK_EQ(sent, 1);
	CHECK_EQ(queue.tx_packets, 1);
	CHECK_EQ(queue.tx_bytes, 60);
	CHECK(!watchdog);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_holds_back_in_order_and_drops_beyond_the_limit)
{
	uint64_t before = drop_total(DROP_TX_QUEUE_FULL);

	setup(2);
	for (unsigned i = 0; i < 2 + 5; i++)
		CHECK_EQ(send((uint8_t)i), OK);
	CHECK_EQ(send(99), ERR_NOBUFS);
	CHECK_EQ(drop_total(DROP_TX_QUEUE_FULL), before + 1);
	CHECK_EQ(dev.tx_dropped, 1);
	CHECK(queue.is_stopped && queue.held.count == 5);
	room = 3;
	netdev_tx_wake(&queue);
	CHECK_EQ(sent, 5);
	CHECK(queue.is_stopped && queue.held.count == 2);
	CHECK_EQ(send(7), OK); /* behind those that wait, though there may be room */
	room = 10;
	netdev_tx_wake(&queue);
	CHECK_EQ(sent, 8);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(order[i], i);
	CHECK(!queue.is_stopped);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_of_a_device_that_is_down_is_dropped)
{
	setup(3);
	dev.flags = 0;
	CHECK_EQ(send(1), ERR_NETDOWN);
	dev.flags = NETDEV_UP; /* no carrier: as on a cable that is not plugged in */
	CHECK_EQ(send(1), OK);
	CHECK_EQ(sent, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_refuses_what_is_longer_than_the_mtu)
{
	struct pkt *p;

	setup(3);
	p = pkt_alloc(1519);
	pkt_put(p, 1519);
	CHECK_EQ(netdev_send(&dev, p), ERR_MSGSIZE);
	CHECK_EQ(sent, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_watchdog_resets_a_queue_that_stays_full)
{
	setup(0);
	CHECK_EQ(send(1), OK);
	CHECK(watchdog && watchdog->expires_ns == NSEC_PER_SEC + TX_TIMEOUT_NS);
	fake_now_ns = watchdog->expires_ns - 1;
	watchdog->fn(watchdog);
	CHECK(!work);
	fake_now_ns += 1;
	watchdog->fn(watchdog);
	CHECK(work);
	work->fn(work);
	CHECK_EQ(resets, 1);
	CHECK_EQ(sent, 1);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_watchdog_is_content_when_the_queue_moves)
{
	setup(0);
	CHECK_EQ(send(1), OK);
	fake_now_ns += 4 * NSEC_PER_SEC;
	room = 9;
	netdev_tx_wake(&queue);
	fake_now_ns += 4 * NSEC_PER_SEC;
	watchdog->fn(watchdog);
	CHECK(!work && resets == 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(tx_stop_drops_what_is_held)
{
	setup(0);
	CHECK_EQ(send(1), OK);
	CHECK_EQ(send(2), OK);
	netdev_tx_stop_all(&dev);
	CHECK(!queue.held.first && !queue.is_stopped && !watchdog);
	CHECK_EQ(fake_kmalloc_live, 0);
}
