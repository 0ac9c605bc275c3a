/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7), written from the
 * specification alone: it takes chains from the available ring, follows descriptors and
 * tables, and gives them back; or does so wrongly, when it is told to. Addresses are
 * pointers of the test program.
 */
#pragma once

#include "lib/types.h"

enum { MODEL_MAX_BUFS = 64 };

struct model_queue {
	uint8_t *desc, *avail, *used; /* as the driver gave them */
	unsigned size;
	bool has_event_idx;
	/* What an address in a descriptor is; NULL: itself. */
	void *(*at)(uint64_t addr);
	uint16_t last_avail, used_idx;
	uint16_t signalled; /* used_idx at the last interrupt */
};

struct model_chain {
	unsigned head;
	unsigned num_out, num_in;
	struct {
		uint8_t *addr;
		uint32_t len;
	} bufs[MODEL_MAX_BUFS];
	const char *fault; /* what the driver did wrong, or NULL */
};

/* The next chain made available; false: none. */
bool model_pop(struct model_queue *, struct model_chain *out);
/* Gives a chain back: any id and any length. Returns whether the driver wants an interrupt. */
bool model_push(struct model_queue *, uint32_t id, uint32_t len);
/* Asks to be told when the chain after the ones seen so far comes; or never. */
void model_want_kick(struct model_queue *, bool is_wanted);
/* Writes the used index as it likes. */
void model_set_used_idx(struct model_queue *, uint16_t idx);
