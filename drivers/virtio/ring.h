/*
 * Split virtqueues (virtio 1.2, 2.7), the driver's side: buffers go to the device through
 * the descriptor table and the available ring and come back through the used ring. Pure
 * memory: the transport tells the device where the rings are and gives the doorbell.
 *
 * What the device writes is not trusted. The chains of descriptors are kept in the
 * driver's own memory, and an index, id or length that cannot be breaks the queue: from
 * then on it takes and gives nothing, `is_broken` says so, and the owner resets the device.
 *
 * Locks: the user's. One context at a time per queue.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"
#include "mm/dma.h"

struct virtq_desc { /* little endian, as all of virtio 1.x */
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

enum virtq_desc_flag {
	VIRTQ_DESC_NEXT = 1 << 0,
	VIRTQ_DESC_WRITE = 1 << 1, /* the device writes */
	VIRTQ_DESC_INDIRECT = 1 << 2,
};

struct virtq_avail {
	uint16_t flags; /* bit 0: no interrupts, please */
	uint16_t idx;
	uint16_t ring[]; /* and used_event behind it */
};

struct virtq_used_elem {
	uint32_t id, len;
};

struct virtq_used {
	uint16_t flags; /* bit 0: no notifications, please */
	uint16_t idx;
	struct virtq_used_elem ring[]; /* and avail_event behind it */
};

/* Bytes of one chain: where the device sees them. */
struct virtq_buf {
	uint64_t addr;
	uint32_t len;
};

/* The driver's own record of a descriptor. */
struct virtq_slot {
	void *cookie;    /* of the chain it heads; NULL: it heads none */
	uint32_t in_len; /* bytes the device may write into the chain */
	uint16_t next;   /* in the chain, or in the free list */
	uint16_t num;    /* descriptors of the chain */
	int16_t table;   /* the indirect table it uses, or -1 */
};

enum virtq_fault { /* what the device did wrong */
	VIRTQ_FINE,
	VIRTQ_BAD_INDEX,  /* more used than was made available */
	VIRTQ_BAD_ID,     /* not the head of a chain that is out */
	VIRTQ_BAD_LENGTH, /* more written than there was room */
};

struct virtq_config {
	unsigned size;       /* entries: a power of two, at most 32768 */
	unsigned num_tables; /* indirect tables; 0: none */
	unsigned table_len;  /* descriptors in each */
	bool has_event_idx;
};

struct virtq {
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint64_t desc_addr, avail_addr, used_addr; /* for the device */
	struct virtq_config config;
	struct virtq_slot *slots;
	struct virtq_desc *tables;
	uint64_t tables_addr;
	int16_t *free_tables; /* a stack */
	unsigned num_free_tables;
	unsigned num_free;
	uint16_t free_head;
	uint16_t avail_idx, last_used;
	uint16_t kicked_idx; /* avail_idx when the device was last looked at for a kick */
	bool is_broken;
	enum virtq_fault fault;
};

/* Bytes of DMA memory a queue needs, aligned to 16. */
size_t virtq_bytes(const struct virtq_config *);

/* An empty queue in zeroed `mem`. ERR_NOMEM. virtq_fini also takes a zeroed struct. */
enum err virtq_init(
    struct virtq *, const struct virtq_config *, const struct dma_buf *mem);
void virtq_fini(struct virtq *);

/*
 * Makes a chain available: `num_out` buffers the device reads, then `num_in` it writes.
 * `cookie` (not NULL) comes back from virtq_get. ERR_BUSY: no room now. ERR_IO: broken.
 */
enum err virtq_add(struct virtq *, const struct virtq_buf *, unsigned num_out,
    unsigned num_in, void *cookie);

/* Whether `n` chains of `len` buffers fit now. */
bool virtq_has_room(const struct virtq *, unsigned len);

/* After virtq_add: whether the device wants to be told. Then ring the doorbell. */
bool virtq_needs_kick(struct virtq *);

/* The next chain that came back, and how much was written to it; NULL: none (or broken). */
void *virtq_get(struct virtq *, uint32_t *len);

/* Asks for no interrupts (a hint), or for one at the next chain that comes back. */
void virtq_irq_off(struct virtq *);
/* False: something came back before this took effect: get it. */
bool virtq_irq_on(struct virtq *);
/* The same, but after half of what is out came back: for finished transmissions. */
bool virtq_irq_on_later(struct virtq *);

/*
 * After the device was reset: takes out one chain that was out, NULL when all are back.
 * The queue is empty and whole again when it is initialised anew.
 */
void *virtq_take_back(struct virtq *);

unsigned virtq_num_out(const struct virtq *); /* descriptors that are out */
