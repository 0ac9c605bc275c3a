/*
 * What the files of the Intel drivers share. Theory of operation: drivers/net/e1000.c.
 *
 * Locks and who runs where:
 *	rx, itr      only the queue's poll (its net thread), or while that is kept out
 *	tx           netdev_queue.tx_lock, in send and in poll
 *	[conf]       conf_lock: up, down, reset, filters
 *	[stats]      stats_lock
 * e1000_queue_stop keeps a queue's poll out and waits until it has left.
 */
#pragma once

#include "drivers/device.h"
#include "drivers/net/e1000_regs.h"
#include "kernel/sync/mutex.h"
#include "kernel/x86/io.h"
#include "net/netdev.h"

enum {
	E1000_MAX_QUEUES = 2,
	E1000_RING = 256, /* descriptors; SDM 13.4.27: a multiple of 8 */
	E1000_RX_BUF = 2048,
	E1000_RX_COPY = 192, /* frames to this length are copied out of their buffer */
	E1000_MAX_FRAME = NETDEV_MAX_MTU + 14 + 4 + 4,
};

/* What a model can and what it gets wrong: pci_id.data. */
enum e1000_quirk {
	E1000_IS_82574 = 1 << 0,    /* extended descriptors, RSS, MSI-X, semaphore */
	E1000_RESET_BY_IO = 1 << 1, /* memory write of CTRL.RST is not acknowledged */
	E1000_TABLE_BUG =
	    1 << 2, /* 82544: writing an odd table word spoils the one before */
	E1000_64K_BUG = 1 << 3,   /* 82545, 82546: no DMA write across 64 KiB */
	E1000_NO_EERD = 1 << 4,   /* 82544: EEPROM only bit by bit */
	E1000_DWORD_BUG = 1 << 5, /* 82544, PCI-X: where a transmit buffer may end */
	E1000_HAS_TSO6 = 1 << 6,
	E1000_TWO_PORTS = 1 << 7, /* 82546: one EEPROM for two functions */
};

struct e1000;

struct e1000_rx {
	struct e1000_rx_desc *desc;
	struct pkt **pkts; /* the buffer of each descriptor; all the time each has one */
	struct dma_buf ring, bounce;
	unsigned next;     /* the device fills this one next */
	struct pkt *frame; /* its beginning was received, not yet its end */
	bool is_skipping;  /* the rest of a bad frame, until its end */
	bool is_extended;
	uint64_t no_memory, bad; /* frames lost here */
};

struct e1000_tx {
	union e1000_tx_desc *desc;
	struct pkt **pkts; /* at the first descriptor of each packet */
	uint16_t *last;    /* likewise: the index of its last one */
	struct dma_buf ring, bounce;
	unsigned next, clean; /* free ones begin at next, busy ones at clean */
	bool is_open;         /* packets may be sent */
	bool was_tso;         /* the packet before this one: see tx_chunk */
	unsigned resets;      /* since the last packet that went out */
	uint64_t failed;      /* packets lost in a reset */
};

enum e1000_load { E1000_LATENCY, E1000_MIXED, E1000_BULK, E1000_LOADS };

struct e1000_queue {
	struct e1000 *e;
	struct netdev_queue *nq;
	unsigned index;
	uint32_t causes; /* of its interrupt, as in IMS */
	struct e1000_rx rx;
	struct e1000_tx tx;
	uint32_t is_polling, is_stopped; /* [a] see e1000_queue_stop */
	enum e1000_load load;
	uint32_t seen_packets, seen_bytes; /* since the interrupts were on */
};

struct e1000 {
	struct device *dev;
	volatile void *regs;
	struct netdev *nd;
	uint32_t quirks;      /* [I] enum e1000_quirk */
	uint16_t io_port;     /* [I] 0: none */
	bool is_pcix;         /* [I] */
	bool is_msix;         /* [I] a vector for each queue, and one for other causes */
	unsigned num_queues;  /* [I] */
	uint64_t dma_end;     /* [I] the device reaches addresses below this */
	uint32_t link_causes; /* [I] of the vector for other causes, or 0 */
	uint32_t
	    link_check; /* [a] something happened to the link, or the device is gone */
	struct mutex conf_lock;
	bool is_up;                      /* [conf] */
	uint32_t mta[E1000_MTA_WORDS];   /* [conf] */
	uint32_t vfta[E1000_VFTA_WORDS]; /* [conf] */
	unsigned num_vlans, num_exact;   /* [conf] */
	struct spinlock stats_lock;
	struct netdev_stats stats; /* [stats] what the device counted up to now */
	uint64_t resets;           /* [conf] after hung transmissions */
	struct e1000_queue queues[E1000_MAX_QUEUES];
};

static inline uint32_t
e1000_read(const struct e1000 *e, unsigned reg)
{
	return mmio_read32(e->regs, reg);
}

static inline void
e1000_write(const struct e1000 *e, unsigned reg, uint32_t v)
{
	mmio_write32(e->regs, reg, v);
}

/* Posted writes have arrived when a read comes back. */
static inline void
e1000_flush(const struct e1000 *e)
{
	(void)e1000_read(e, E1000_STATUS);
}

/* A register of a queue's receive or transmit side. */
static inline unsigned
e1000_queue_reg(const struct e1000_queue *q, unsigned reg)
{
	return reg + q->index * E1000_QUEUE_STRIDE;
}

/* ---- e1000_hw.c: the chip without its rings ---- */

/* Silent: no DMA, no interrupts. Any context, does not sleep. */
void e1000_hw_quiet(struct e1000 *);
/* As after power-on, with our constant settings. ERR_NODEV: it does not answer. Sleeps. */
enum err e1000_hw_reset(struct e1000 *);
/* The station address by the EEPROM, or what the chip holds, or a random one. Sleeps. */
void e1000_hw_mac(struct e1000 *, uint8_t mac[ETH_ALEN]);
/* The PHY negotiates with all we can, or goes on if it did already. */
void e1000_phy_start(struct e1000 *);
/* Looks at the link, sets flow control, tells the stack. */
void e1000_link_update(struct e1000 *);
void e1000_get_stats(struct netdev *, struct netdev_stats *);

/* ---- e1000_filter.c: which frames are received. [conf] ---- */

void e1000_filter_init(struct e1000 *); /* after a reset: all tables */
void e1000_set_rx_mode(struct netdev *);
enum err e1000_set_mac(struct netdev *, const uint8_t mac[ETH_ALEN]);
enum err e1000_set_vlan(struct netdev *, unsigned vid, bool is_on);

/* ---- e1000_rx.c, e1000_tx.c: the rings ---- */

enum err e1000_rx_alloc(struct e1000_queue *); /* ring and tables; once, at attach */
void e1000_rx_free(struct e1000_queue *);      /* the tables; the core has the ring */
enum err e1000_rx_fill(struct e1000_queue *);  /* a buffer for each; ERR_NOMEM: none */
void e1000_rx_drain(struct e1000_queue *);
void e1000_rx_start(struct e1000_queue *); /* tells the device where the ring is */
void e1000_rx_offer(struct e1000_queue *); /* gives it the buffers; the receiver is on */
/* Hands what was received to the stack: how many frames. */
unsigned e1000_rx_poll(struct e1000_queue *, unsigned budget);
bool e1000_rx_is_ready(const struct e1000_queue *);

enum err e1000_tx_alloc(struct e1000_queue *);
void e1000_tx_free(struct e1000_queue *);
void e1000_tx_start(struct e1000_queue *); /* with what e1000_tx_stop kept */
/* No more sending; what has not gone out is kept in order, or dropped. */
void e1000_tx_stop(struct e1000_queue *, struct pkt_queue *kept);
void e1000_tx_resend(struct e1000_queue *, struct pkt_queue *kept);
enum err e1000_send(struct netdev_queue *, struct pkt *);
/* Frees what went out and wakes the queue; how many packets. */
unsigned e1000_tx_clean(struct e1000_queue *);
bool e1000_tx_is_done(const struct e1000_queue *); /* e1000_tx_clean has work */

/* ---- e1000_netdev.c: what the two drivers have in common ---- */

/* Rings, interface, first reset. The driver has set dev, regs, quirks, num_queues. */
enum err e1000_attach_common(struct e1000 *);
/* All of attach: what try_attach has left when it fails is undone. */
enum err e1000_attach(struct device *, enum err (*try_attach)(struct e1000 *));
void e1000_detach_common(struct e1000 *);
void e1000_quiesce(struct device *);
/* INTx or MSI: all causes. */
enum irq_result e1000_irq(void *e);
/* MSI-X: one queue's, and the others. */
enum irq_result e1000_irq_queue(void *q);
enum irq_result e1000_irq_other(void *e);
