/*
 * A virtio network device at register level (virtio 1.2, 4.1.4 and 5.1), written from the
 * specification: common configuration, doorbells, interrupt status, device configuration,
 * and behind them queues that send, receive and obey commands, or misbehave.
 */
#pragma once

#include "tests/models/virtio_device.h"

enum {
	VNM_COMMON = 0x0000, /* where its structures lie in its BAR */
	VNM_ISR = 0x1000,
	VNM_CONFIG = 0x2000,
	VNM_NOTIFY = 0x3000,
	VNM_NOTIFY_MULTIPLIER = 4,
	VNM_BAR_SIZE = 0x4000,
	VNM_QUEUES = 9, /* four pairs, commands */
	VNM_MAX_QUEUE = 256,
	VNM_HDR = 12,
	VNM_FRAME = 70000,
	VNM_KEEP = 600,
};

struct vnm_queue {
	struct model_queue ring;
	uint64_t desc, avail, used;
	uint16_t size, vector;
	bool is_enabled;
};

struct vnm_frame {
	uint8_t hdr[VNM_HDR];
	uint32_t len;
	uint8_t bytes[];
};

struct virtio_net_model {
	uint64_t offered, accepted;
	uint32_t device_select, driver_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr, generation;
	uint8_t config[32];
	struct vnm_queue queues[VNM_QUEUES];
	unsigned ctrl_index;
	uint16_t max_size; /* of queues */
	uint32_t pending;  /* vectors that interrupt */

	struct vnm_frame *sent[VNM_KEEP];
	unsigned num_sent;
	uint8_t commands[VNM_KEEP][2];
	uint8_t last_data[256];
	unsigned num_commands;

	/* What is wrong with it. */
	bool refuses_features, stays_in_reset, refuses_vectors;
	bool is_stuck;         /* leaves doorbells alone */
	bool is_silent;        /* does not answer commands */
	const char *violation; /* what the driver did wrong, or NULL */
};

void vnm_init(struct virtio_net_model *, uint64_t offered, void *(*at)(uint64_t addr));
void vnm_fini(struct virtio_net_model *);
uint64_t vnm_read(struct virtio_net_model *, unsigned off, unsigned size);
void vnm_write(struct virtio_net_model *, unsigned off, unsigned size, uint64_t v);
/* Does what doorbells asked for while it was stuck. */
void vnm_run(struct virtio_net_model *);
/*
 * A frame from the wire, header as given (num_buffers is filled in unless it is not 0),
 * into the receive queue of pair `pair`. False: no buffers.
 */
bool vnm_receive(struct virtio_net_model *, unsigned pair, const uint8_t hdr[VNM_HDR],
    const uint8_t *frame, uint32_t len);
/* Says in the used ring of queue `index` what it likes. */
void vnm_lie(struct virtio_net_model *, unsigned index, uint32_t id, uint32_t len);
