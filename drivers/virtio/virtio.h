/*
 * virtio 1.x devices behind PCI (virtio 1.2, 4.1, the modern interface): feature
 * negotiation, status, configuration space, queues. A driver of a virtio device is an
 * ordinary PCI driver that opens this on its device.
 *
 * Order: virtio_open at attach; then virtio_begin (reset, features), virtio_queue_start for
 * each queue, virtio_ready. virtio_reset ends it, after which it can begin again. Thread
 * context, one at a time, unless said otherwise.
 */
#pragma once

#include "drivers/device.h"
#include "drivers/virtio/ring.h"

enum {
	VIRTIO_VENDOR = 0x1af4,
	VIRTIO_MODERN_BASE = 0x1040, /* + virtio device type */
	VIRTIO_NO_VECTOR = 0xffff,
	VIRTIO_ISR_QUEUE = 1 << 0,
	VIRTIO_ISR_CONFIG = 1 << 1,
};

enum virtio_feature { /* bit numbers; below 24 they are the device type's */
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VIRTIO_F_VERSION_1 = 32,
};

struct virtio_dev {
	struct device *dev;
	volatile void *common, *isr, *config, *notify;
	uint32_t config_len, notify_len, notify_multiplier;
	uint64_t features; /* negotiated */
};

/* A queue the device knows. */
struct virtio_queue {
	struct virtq ring;
	struct dma_buf mem;
	volatile void *doorbell;
	unsigned index;
};

static inline bool
virtio_has(const struct virtio_dev *v, unsigned feature)
{
	return v->features >> feature & 1;
}

/*
 * Finds and maps the device's structures, resets it. ERR_NODEV: it has no modern
 * interface, or capabilities that do not fit its BARs.
 */
enum err virtio_open(struct virtio_dev *, struct device *);

/*
 * Resets and negotiates: takes what the device offers of `wanted` and VERSION_1. ERR_IO:
 * it does not come out of reset. ERR_OPNOTSUPP: it refuses.
 */
enum err virtio_begin(struct virtio_dev *, uint64_t wanted);
/* What the device offers; after virtio_open. */
uint64_t virtio_offered(const struct virtio_dev *);

/* The device's own limit for a queue; 0: there is no such queue. */
unsigned virtio_queue_max(const struct virtio_dev *, unsigned index);

/*
 * Shapes the queue, gives it memory (kept from before when it is large enough), tells the
 * device. `vector` VIRTIO_NO_VECTOR: it does not interrupt by itself. Event indices and
 * indirect tables only as negotiated. ERR_NOMEM, ERR_NODEV, ERR_IO: the vector is refused.
 */
enum err virtio_queue_start(struct virtio_dev *, struct virtio_queue *, unsigned index,
    struct virtq_config, unsigned vector);
/* Which interrupt tells of changes in configuration space. ERR_IO: refused. */
enum err virtio_config_vector(struct virtio_dev *, unsigned vector);

void virtio_ready(struct virtio_dev *); /* the device runs */
/* Stops it: no DMA and no interrupt afterwards. False: it does not answer. May sleep. */
bool virtio_reset(struct virtio_dev *);
/* The same without waiting; any context. */
void virtio_stop_now(struct virtio_dev *);
/* The device asks to be reset: it found itself broken. Any context. */
bool virtio_needs_reset(const struct virtio_dev *);

/* Rings the doorbell if the device wants it. */
void virtio_kick(struct virtio_queue *);

/* Reads the interrupt status, which clears it: INTx only. Any context. */
uint8_t virtio_isr(const struct virtio_dev *);

/* Copies a consistent piece of configuration space; zeros beyond its end. Any context. */
void virtio_config_read(const struct virtio_dev *, unsigned off, void *buf, unsigned n);
