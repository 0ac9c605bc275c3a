/*
 * Intel 8254x and 82574 as the network stack sees them: up, down, polling, interrupts and
 * their moderation, recovery. Theory of operation: drivers/net/e1000.c.
 */
#define LOG_PREFIX "e1000: "
#include "drivers/net/e1000_priv.h"
#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/x86/features.h"
#include "lib/string.h"

enum {
	ITR_UNIT_NS = 256, /* SDM 13.4.18 */
	LIGHT_PACKETS = 5, /* in one poll: a conversation */
	LIGHT_BYTES = 3000,
	HEAVY_BYTES = 25000, /* in one poll: a stream */
};

/* Interrupts in a second, at most. */
static const uint32_t load_rates[E1000_LOADS] = {
    [E1000_LATENCY] = 70000,
    [E1000_MIXED] = 20000,
    [E1000_BULK] = 8000,
};

/* ---- Interrupts ---------------------------------------------------------------------- */

static void
set_rate(struct e1000_queue *q)
{
	uint32_t interval = (uint32_t)(NSEC_PER_SEC / ITR_UNIT_NS / load_rates[q->load]);

	if (q->e->is_msix)
		e1000_write(q->e, E1000_EITR + 4 * q->index, interval);
	else
		e1000_write(q->e, E1000_ITR, interval);
}

/* One step towards what the packets since the last interrupt ask for. */
static void
moderate(struct e1000_queue *q)
{
	enum e1000_load want = E1000_MIXED, was = q->load;

	if (!q->seen_packets)
		return;
	if (q->seen_bytes > HEAVY_BYTES)
		want = E1000_BULK;
	else if (q->seen_packets < LIGHT_PACKETS && q->seen_bytes < LIGHT_BYTES)
		want = E1000_LATENCY;
	q->seen_packets = q->seen_bytes = 0;
	if (want != was) {
		q->load = want > was ? was + 1 : was - 1;
		set_rate(q);
	}
}

static void
look_at_link(struct e1000 *e)
{
	__atomic_store_n(&e->link_check, 1, __ATOMIC_RELEASE);
	netdev_schedule(e->queues[0].nq);
}

/*
 * Reading ICR acknowledges all. On a shared line it may be another's interrupt, and the
 * causes just cleared belong to a poll that runs: it looks at the ring once more when it
 * has unmasked.
 */
enum irq_result
e1000_irq(void *arg)
{
	struct e1000 *e = arg;
	uint32_t icr = e1000_read(e, E1000_ICR);

	if (icr == E1000_GONE)
		look_at_link(e);
	if (icr == E1000_GONE || !(icr & e->queues[0].causes))
		return IRQ_NONE;
	e1000_write(e, E1000_IMC, ~0u);
	if (icr & ICR_LSC)
		look_at_link(e);
	netdev_schedule(e->queues[0].nq);
	return IRQ_HANDLED;
}

/* The message itself acknowledged (EIAC). */
enum irq_result
e1000_irq_queue(void *arg)
{
	struct e1000_queue *q = arg;

	e1000_write(q->e, E1000_IMC, q->causes);
	netdev_schedule(q->nq);
	return IRQ_HANDLED;
}

/* Writing ones clears these causes alone; reading might take the queues' along. */
enum irq_result
e1000_irq_other(void *arg)
{
	struct e1000 *e = arg;

	e1000_write(e, E1000_ICR, e->link_causes);
	e1000_write(e, E1000_IMS, e->link_causes);
	look_at_link(e);
	return IRQ_HANDLED;
}

/* ---- Polling ------------------------------------------------------------------------- */

/*
 * is_polling and is_stopped are each written by one side and read by the other, both
 * sequentially consistent: at least one of the two sees the other.
 */
static bool
poll_enter(struct e1000_queue *q)
{
	__atomic_store_n(&q->is_polling, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&q->is_stopped, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&q->is_polling, 0, __ATOMIC_RELEASE);
	return false;
}

static void
poll_leave(struct e1000_queue *q)
{
	__atomic_store_n(&q->is_polling, 0, __ATOMIC_RELEASE);
}

static void
keep_polls_out(struct e1000 *e)
{
	for (unsigned i = 0; i < e->num_queues; i++) {
		struct e1000_queue *q = &e->queues[i];

		__atomic_store_n(&q->is_stopped, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&q->is_polling, __ATOMIC_SEQ_CST))
			thread_sleep_ns(NSEC_PER_MSEC);
	}
}

static void
let_polls_in(struct e1000 *e)
{
	for (unsigned i = 0; i < e->num_queues; i++)
		__atomic_store_n(&e->queues[i].is_stopped, 0, __ATOMIC_SEQ_CST);
}

static unsigned
poll(struct netdev_queue *nq, unsigned budget)
{
	struct e1000_queue *q = nq->ring;
	struct e1000 *e = q->e;
	unsigned n;

	if (!poll_enter(q))
		return 0;
	if (q->index == 0 && __atomic_load_n(&e->link_check, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&e->link_check, 0, __ATOMIC_ACQUIRE))
		e1000_link_update(e);
	q->seen_packets += e1000_tx_clean(q);
	n = e1000_rx_poll(q, budget);
	if (n < budget) {
		moderate(q);
		e1000_write(e, E1000_IMS, q->causes);
		if (e1000_rx_is_ready(q) || e1000_tx_is_done(q))
			netdev_schedule(nq);
	}
	poll_leave(q);
	return n;
}

/* ---- Up and down --------------------------------------------------------------------- */

/* 82574 7.1.11: packets are spread over the queues by a keyed hash of their flow. */
static void
start_rss(struct e1000 *e)
{
	uint32_t key[E1000_RSSRK_WORDS];

	e1000_write(e, E1000_MRQC, 0);
	if (e->num_queues < 2)
		return;
	random_bytes(key, sizeof(key));
	for (unsigned i = 0; i < E1000_RSSRK_WORDS; i++)
		e1000_write(e, E1000_RSSRK + 4 * i, key[i]);
	for (unsigned i = 0; i < E1000_RETA_WORDS; i++) /* bit 7 of a byte: the queue */
		e1000_write(e, E1000_RETA + 4 * i, 0x80008000);
	e1000_write(
	    e, E1000_MRQC, MRQC_RSS | MRQC_TCP4 | MRQC_IP4 | MRQC_TCP6 | MRQC_IP6);
}

/* 82574 7.4.1: which cause leads to which vector; a message acknowledges its causes. */
static void
start_vectors(struct e1000 *e)
{
	uint32_t ivar = (e->num_queues | IVAR_VALID) << IVAR_OTHER_SHIFT, eiac = 0;

	for (unsigned i = 0; i < e->num_queues; i++) {
		ivar |= (i | IVAR_VALID) << (IVAR_RXQ_SHIFT + 4 * i) |
		        (i | IVAR_VALID) << (IVAR_TXQ_SHIFT + 4 * i);
		eiac |= e->queues[i].causes;
	}
	e1000_write(e, E1000_CTRL_EXT, e1000_read(e, E1000_CTRL_EXT) | CTRL_EXT_PBA_CLR);
	e1000_write(e, E1000_IVAR, ivar);
	e1000_write(e, E1000_EIAC, eiac);
	e1000_write(e, E1000_EITR + 4 * e->num_queues, 0);
}

/* The chip was reset; everything is set up and running. Polls are still kept out. */
static void
start(struct e1000 *e)
{
	uint32_t rxcsum = RXCSUM_IPOFL | RXCSUM_TUOFL;

	if (e->is_msix)
		start_vectors(e);
	if (e->quirks & E1000_IS_82574) {
		rxcsum |= e->num_queues > 1 ? RXCSUM_PCSD : 0;
		start_rss(e);
	}
	e1000_write(e, E1000_RXCSUM, rxcsum);
	for (unsigned i = 0; i < e->num_queues; i++) {
		struct e1000_queue *q = &e->queues[i];

		e1000_tx_start(q);
		q->load = E1000_MIXED;
		set_rate(q);
	}
	e1000_write(e, E1000_TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD | TCTL_RTLC);
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_rx_start(&e->queues[i]);
	e1000_filter_init(e); /* from here on it receives */
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_rx_offer(&e->queues[i]);
	e1000_phy_start(e);
}

static void
unmask(struct e1000 *e)
{
	let_polls_in(e);
	for (unsigned i = 0; i < e->num_queues; i++) {
		e1000_write(e, E1000_IMS, e->queues[i].causes);
		netdev_schedule(e->queues[i].nq);
	}
	e1000_write(e, E1000_IMS, e->link_causes);
	look_at_link(e);
}

static void
drain_all(struct e1000 *e)
{
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_rx_drain(&e->queues[i]);
}

static enum err
up(struct netdev *nd)
{
	struct e1000 *e = nd->private;
	enum err err = OK;

	mutex_lock(&e->conf_lock);
	for (unsigned i = 0; i < e->num_queues && err == OK; i++)
		err = e1000_rx_fill(&e->queues[i]);
	if (err == OK)
		err = e1000_hw_reset(e);
	if (err != OK) {
		drain_all(e);
		mutex_unlock(&e->conf_lock);
		return err;
	}
	start(e);
	e->is_up = true;
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_tx_resend(&e->queues[i], &(struct pkt_queue){0});
	unmask(e);
	mutex_unlock(&e->conf_lock);
	return OK;
}

static void
down(struct netdev *nd)
{
	struct e1000 *e = nd->private;

	mutex_lock(&e->conf_lock);
	if (e->is_up) {
		e->is_up = false;
		keep_polls_out(e);
		e1000_hw_quiet(e);
		for (unsigned i = 0; i < e->num_queues; i++)
			e1000_tx_stop(&e->queues[i], NULL);
		thread_sleep_ns(10 * NSEC_PER_MSEC); /* frames on their way into memory */
		(void)e1000_hw_reset(e); /* what does not answer writes no memory */
		drain_all(e);
		netdev_link_change(nd, false, 0, false);
	}
	mutex_unlock(&e->conf_lock);
}

/* Reset and go on: the rings keep their buffers, what was to be sent is sent. */
static void
restart_locked(struct e1000 *e)
{
	struct pkt_queue kept[E1000_MAX_QUEUES] = {0};

	keep_polls_out(e);
	e1000_hw_quiet(e); /* before anything is taken off the rings */
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_tx_stop(&e->queues[i], &kept[i]);
	if (e1000_hw_reset(e) != OK) {
		log_err("%s: does not come back from a reset", e->dev->name);
		for (unsigned i = 0; i < e->num_queues; i++)
			pkt_queue_free(&kept[i]);
		netdev_link_change(e->nd, false, 0, false);
		return;
	}
	start(e);
	for (unsigned i = 0; i < e->num_queues; i++)
		e1000_tx_resend(&e->queues[i], &kept[i]);
	unmask(e);
}

static void
tx_timeout(struct netdev *nd)
{
	struct e1000 *e = nd->private;

	mutex_lock(&e->conf_lock);
	if (e->is_up) {
		e->resets++;
		log_warn("%s: transmission hung (head %u, tail %u): reset %lu", nd->name,
		    e1000_read(e, E1000_TDH), e1000_read(e, E1000_TDT), e->resets);
		restart_locked(e);
	}
	mutex_unlock(&e->conf_lock);
}

/* The packet memory is divided otherwise, and that takes a reset. */
static enum err
set_mtu(struct netdev *nd, unsigned mtu)
{
	struct e1000 *e = nd->private;

	mutex_lock(&e->conf_lock);
	nd->mtu = mtu;
	if (e->is_up)
		restart_locked(e);
	mutex_unlock(&e->conf_lock);
	return OK;
}

static const struct netdev_ops ops = {
    .up = up,
    .down = down,
    .send = e1000_send,
    .poll = poll,
    .set_rx_mode = e1000_set_rx_mode,
    .set_mac = e1000_set_mac,
    .set_mtu = set_mtu,
    .set_vlan = e1000_set_vlan,
    .get_stats = e1000_get_stats,
    .tx_timeout = tx_timeout,
};

/* ---- Attach and detach --------------------------------------------------------------- */

/*
 * QEMU's 82574 (7.2) makes IP fragments of what it shall cut: with DF set, so that
 * routers may drop them, and with one lost the whole is. Of IPv6 it damages the source address.
 * A virtual machine's 82574 is left out of it; software cuts.
 */
static uint32_t
tso_of(const struct e1000 *e)
{
	if ((e->quirks & E1000_IS_82574) && cpu_features.is_virtual)
		return 0;
	return NETDEV_TSO4 | (e->quirks & E1000_HAS_TSO6 ? NETDEV_TSO6 : 0);
}

static enum err
make_netdev(struct e1000 *e)
{
	struct netdev *nd = netdev_alloc(e->num_queues);

	if (!nd)
		return ERR_NOMEM;
	e->nd = nd;
	nd->ops = &ops;
	nd->private = e;
	nd->driver_name = e->dev->driver->name;
	nd->min_mtu = 68;
	nd->max_mtu = NETDEV_MAX_MTU;
	nd->hw_features = NETDEV_CSUM4 | NETDEV_CSUM6 | NETDEV_CSUM_ANY | NETDEV_SG |
	                  NETDEV_RXCSUM | NETDEV_VLAN_TX | NETDEV_VLAN_RX | tso_of(e);
	nd->features |= nd->hw_features;
	for (unsigned i = 0; i < e->num_queues; i++) {
		nd->queues[i].ring = &e->queues[i];
		e->queues[i].nq = &nd->queues[i];
	}
	return OK;
}

enum err
e1000_attach_common(struct e1000 *e)
{
	enum err err;

	mutex_init(&e->conf_lock, "e1000", RANK_NETDEV);
	spin_init(&e->stats_lock, "e1000_stats", RANK_OBJECT);
	for (unsigned i = 0; i < e->num_queues; i++) {
		struct e1000_queue *q = &e->queues[i];

		q->e = e;
		q->index = i;
		q->is_stopped = 1;
		err = e1000_rx_alloc(q);
		if (err == OK)
			err = e1000_tx_alloc(q);
		if (err != OK)
			return err;
	}
	err = e1000_hw_reset(e);
	if (err != OK)
		return err;
	err = make_netdev(e);
	if (err != OK)
		return err;
	e1000_hw_mac(e, e->nd->permanent_mac);
	memcpy(e->nd->mac, e->nd->permanent_mac, ETH_ALEN);
	return OK;
}

static void
free_tables(struct e1000 *e)
{
	for (unsigned i = 0; i < e->num_queues; i++) {
		e1000_rx_free(&e->queues[i]);
		e1000_tx_free(&e->queues[i]);
	}
}

enum err
e1000_attach(struct device *dev, enum err (*try_attach)(struct e1000 *))
{
	struct e1000 *e = dev->state;
	enum err err;

	e->dev = dev;
	e->quirks = (uint32_t)dev->id->data;
	err = try_attach(e);
	if (err == OK)
		return OK;
	if (e->nd)
		netdev_free(e->nd);
	free_tables(e);
	return err;
}

void
e1000_detach_common(struct e1000 *e)
{
	netdev_unregister(e->nd);
	free_tables(e);
}

void
e1000_quiesce(struct device *dev)
{
	e1000_hw_quiet(dev->state);
}
