/* A virtio network device at register level; see virtio_net_model.h. */
#include "tests/models/virtio_net_model.h"

#include <stdlib.h>
#include <string.h>

enum { /* 4.1.4.3 */
	DEVICE_SELECT = 0x00,
	DEVICE_FEATURES = 0x04,
	DRIVER_SELECT = 0x08,
	DRIVER_FEATURES = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_AVAIL = 0x28,
	QUEUE_USED = 0x30,

	FEATURES_OK = 8,
	DRIVER_OK = 4,
	NO_VECTOR = 0xffff,
};

static void *(*translate)(uint64_t addr);

static void
reset(struct virtio_net_model *m)
{
	m->status = m->isr = 0;
	m->accepted = 0;
	m->config_vector = NO_VECTOR;
	m->pending = 0;
	memset(m->queues, 0, sizeof(m->queues));
	for (unsigned i = 0; i < VNM_QUEUES; i++) {
		m->queues[i].size = m->max_size;
		m->queues[i].vector = NO_VECTOR;
	}
}

void
vnm_init(struct virtio_net_model *m, uint64_t offered, void *(*at)(uint64_t addr))
{
	memset(m, 0, sizeof(*m));
	translate = at;
	m->offered = offered;
	m->ctrl_index = 2;
	m->max_size = VNM_MAX_QUEUE;
	reset(m);
}

void
vnm_fini(struct virtio_net_model *m)
{
	for (unsigned i = 0; i < m->num_sent; i++)
		free(m->sent[i]);
	m->num_sent = 0;
}

static void
interrupt(struct virtio_net_model *m, uint16_t vector)
{
	m->isr |= 1;
	if (vector < 32)
		m->pending |= 1u << vector;
}

static void
push(struct virtio_net_model *m, struct vnm_queue *q, uint32_t id, uint32_t len)
{
	if (model_push(&q->ring, id, len))
		interrupt(m, q->vector);
}

/* ---- What queues do ---- */

static uint32_t
gather(const struct model_chain *c, uint8_t *to, uint32_t room)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < c->num_out && n + c->bufs[i].len <= room; i++) {
		memcpy(to + n, c->bufs[i].addr, c->bufs[i].len);
		n += c->bufs[i].len;
	}
	return n;
}

static void
transmit(struct virtio_net_model *m, struct vnm_queue *q, const struct model_chain *c)
{
	static uint8_t bytes[VNM_FRAME];
	uint32_t n = gather(c, bytes, sizeof(bytes));

	if (c->num_in || n < VNM_HDR + 14) {
		m->violation = "not a frame to send";
	} else if (m->num_sent < VNM_KEEP) {
		struct vnm_frame *f = malloc(sizeof(*f) + n - VNM_HDR);

		memcpy(f->hdr, bytes, VNM_HDR);
		f->len = n - VNM_HDR;
		memcpy(f->bytes, bytes + VNM_HDR, f->len);
		m->sent[m->num_sent++] = f;
	}
	push(m, q, c->head, 0);
}

static void
obey(struct virtio_net_model *m, struct vnm_queue *q, const struct model_chain *c)
{
	uint8_t bytes[4096];
	uint32_t n = gather(c, bytes, sizeof(bytes));

	if (m->is_silent)
		return;
	if (n < 2 || c->num_in != 1 || c->bufs[c->num_out].len != 1) {
		m->violation = "not a command";
		return;
	}
	memcpy(m->commands[m->num_commands++ % VNM_KEEP], bytes, 2);
	memset(m->last_data, 0, sizeof(m->last_data));
	memcpy(m->last_data, bytes + 2, n - 2 < 256 ? n - 2 : 256);
	c->bufs[c->num_out].addr[0] = 0;
	push(m, q, c->head, 1);
}

static void
work(struct virtio_net_model *m, unsigned index)
{
	struct vnm_queue *q = &m->queues[index];
	struct model_chain c;
	bool is_tx = index < m->ctrl_index && index & 1;

	if (index >= VNM_QUEUES || !q->is_enabled || !(m->status & DRIVER_OK)) {
		m->violation = "doorbell of a queue that does not run";
		return;
	}
	if (!is_tx && index != m->ctrl_index)
		return; /* receive buffers are taken when a frame comes */
	while (model_pop(&q->ring, &c)) {
		if (c.fault)
			m->violation = c.fault;
		else if (is_tx)
			transmit(m, q, &c);
		else
			obey(m, q, &c);
	}
	model_want_kick(&q->ring, true);
}

void
vnm_run(struct virtio_net_model *m)
{
	for (unsigned i = 0; i < VNM_QUEUES; i++)
		if (m->queues[i].is_enabled)
			work(m, i);
}

bool
vnm_receive(struct virtio_net_model *m, unsigned pair, const uint8_t hdr[VNM_HDR],
    const uint8_t *frame, uint32_t len)
{
	struct vnm_queue *q = &m->queues[pair * 2];
	uint32_t done = 0, ids[256], lens[256];
	uint8_t *first = NULL;
	unsigned n = 0;

	while (done < len || n == 0) {
		struct model_chain c;
		uint32_t off = n ? 0 : VNM_HDR, part;

		if (n == 256 || !q->is_enabled || !model_pop(&q->ring, &c))
			return false;
		if (c.fault || c.num_in != 1 || c.num_out) {
			m->violation = "not a receive buffer";
			return false;
		}
		if (!n)
			first = c.bufs[0].addr;
		part =
		    c.bufs[0].len - off < len - done ? c.bufs[0].len - off : len - done;
		memcpy(c.bufs[0].addr + off, frame + done, part);
		done += part;
		ids[n] = c.head;
		lens[n++] = off + part;
	}
	memcpy(first, hdr, VNM_HDR);
	if (!first[10] && !first[11])
		first[10] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++)
		push(m, q, ids[i], lens[i]);
	return true;
}

void
vnm_lie(struct virtio_net_model *m, unsigned index, uint32_t id, uint32_t len)
{
	if (!m->queues[index].is_enabled)
		return;
	push(m, &m->queues[index], id, len);
	interrupt(m, m->queues[index].vector);
}

/* ---- Registers ---- */

static struct vnm_queue *
selected(struct virtio_net_model *m)
{
	static struct vnm_queue none;

	none.size = 0;
	return m->queue_select < VNM_QUEUES ? &m->queues[m->queue_select] : &none;
}

static uint64_t
common_read(struct virtio_net_model *m, unsigned off)
{
	switch (off) {
	case DEVICE_FEATURES:
		return m->device_select < 2
		           ? (uint32_t)(m->offered >> 32 * m->device_select)
		           : 0;
	case CONFIG_VECTOR: return m->config_vector;
	case NUM_QUEUES: return VNM_QUEUES;
	case STATUS: return m->status;
	case GENERATION: return m->generation;
	case QUEUE_SIZE: return selected(m)->size;
	case QUEUE_VECTOR: return selected(m)->vector;
	case QUEUE_ENABLE: return selected(m)->is_enabled;
	case QUEUE_NOTIFY: return m->queue_select;
	default: return 0;
	}
}

uint64_t
vnm_read(struct virtio_net_model *m, unsigned off, unsigned size)
{
	uint64_t v = 0;

	if (off >= VNM_CONFIG && off + size <= VNM_CONFIG + sizeof(m->config))
		memcpy(&v, &m->config[off - VNM_CONFIG], size);
	else if (off == VNM_ISR) {
		v = m->isr;
		m->isr = 0;
	} else if (off < VNM_ISR)
		v = common_read(m, off);
	return v;
}

static void
set_status(struct virtio_net_model *m, uint8_t v)
{
	if (v == 0) {
		if (!m->stays_in_reset)
			reset(m);
		return;
	}
	if (v & FEATURES_OK && (m->refuses_features || m->accepted & ~m->offered))
		v &= (uint8_t)~FEATURES_OK;
	m->status = v;
}

static void
enable(struct virtio_net_model *m, struct vnm_queue *q)
{
	q->ring = (struct model_queue){
	    .desc = translate(q->desc),
	    .avail = translate(q->avail),
	    .used = translate(q->used),
	    .size = q->size,
	    .has_event_idx = m->accepted >> 29 & 1,
	    .at = translate,
	};
	q->is_enabled = true;
	if (m->status & DRIVER_OK)
		m->violation = "queue set up while running";
}

static void
half(uint64_t *field, unsigned is_high, uint64_t v)
{
	*field =
	    is_high ? (*field & 0xffffffff) | v << 32 : (*field & ~0xffffffffull) | v;
}

static void
queue_write(struct virtio_net_model *m, unsigned off, uint64_t v)
{
	struct vnm_queue *q = selected(m);

	switch (off) {
	case QUEUE_SIZE: q->size = (uint16_t)v; break;
	case QUEUE_VECTOR:
		q->vector = m->refuses_vectors ? NO_VECTOR : (uint16_t)v;
		break;
	case QUEUE_ENABLE: enable(m, q); break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: half(&q->desc, off & 4, v); break;
	case QUEUE_AVAIL:
	case QUEUE_AVAIL + 4: half(&q->avail, off & 4, v); break;
	case QUEUE_USED:
	case QUEUE_USED + 4: half(&q->used, off & 4, v); break;
	default: m->violation = "write to a register that is not there";
	}
}

void
vnm_write(struct virtio_net_model *m, unsigned off, unsigned size, uint64_t v)
{
	if (off >= VNM_NOTIFY) {
		if (off != VNM_NOTIFY + (unsigned)v * VNM_NOTIFY_MULTIPLIER)
			m->violation = "wrong doorbell";
		else if (!m->is_stuck)
			work(m, (unsigned)v);
		return;
	}
	switch (off) {
	case DEVICE_SELECT: m->device_select = (uint32_t)v; break;
	case DRIVER_SELECT: m->driver_select = (uint32_t)v; break;
	case DRIVER_FEATURES: half(&m->accepted, m->driver_select, v); break;
	case CONFIG_VECTOR:
		m->config_vector = m->refuses_vectors ? NO_VECTOR : (uint16_t)v;
		break;
	case STATUS: set_status(m, (uint8_t)v); break;
	case QUEUE_SELECT: m->queue_select = (uint16_t)v; break;
	default: queue_write(m, off, v);
	}
}
