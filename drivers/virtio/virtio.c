/*
 * The modern PCI transport (virtio 1.2, 4.1.4): vendor capabilities say in which BAR, at
 * which offset, the common configuration, the doorbells, the interrupt status and the
 * device's configuration lie.
 */
#define LOG_PREFIX "virtio: "
#include "drivers/virtio/virtio.h"

#include "drivers/pci/pci.h"
#include "kernel/log.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/page.h"

enum { /* struct virtio_pci_cap, 4.1.4 */
	CAP_TYPE = 3,
	CAP_BAR = 4,
	CAP_OFFSET = 8,
	CAP_LENGTH = 12,
	CAP_NOTIFY_MULTIPLIER = 16,

	TYPE_COMMON = 1,
	TYPE_NOTIFY = 2,
	TYPE_ISR = 3,
	TYPE_DEVICE = 4,
};

enum { /* struct virtio_pci_common_cfg, 4.1.4.3 */
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
	COMMON_SIZE = 0x38,
};

enum { /* 2.1 */
	STATUS_ACKNOWLEDGE = 1 << 0,
	STATUS_DRIVER = 1 << 1,
	STATUS_DRIVER_OK = 1 << 2,
	STATUS_FEATURES_OK = 1 << 3,
	STATUS_NEEDS_RESET = 1 << 6,
	STATUS_FAILED = 1 << 7,
};

enum { MAX_QUEUE = 256, MAX_GENERATION_TRIES = 100 };
#define RESET_TIMEOUT_NS (500 * NSEC_PER_MSEC)

/* ---- Finding the structures -------------------------------------------------------- */

struct place {
	volatile void *regs;
	uint32_t len;
	unsigned cap;
};

/*
 * The first usable structure of `type`: the device lists them in order of preference. Those in
 * ports are passed over, there is always one in memory.
 */
static bool
find_structure(struct device *dev, unsigned type, uint32_t min_len, struct place *out)
{
	const struct pci_dev *p = to_pci(dev);

	for (unsigned cap = pci_find_cap(p, PCI_CAP_VENDOR, 0); cap;
	     cap = pci_find_cap(p, PCI_CAP_VENDOR, cap)) {
		unsigned bar = pci_cfg_read8(p, cap + CAP_BAR);
		uint32_t off = pci_cfg_read32(p, cap + CAP_OFFSET);
		uint32_t len = pci_cfg_read32(p, cap + CAP_LENGTH);
		volatile void *base;

		if (pci_cfg_read8(p, cap + CAP_TYPE) != type || bar >= DEV_MAX_BARS ||
		    len < min_len || (uint64_t)off + len > dev->bars[bar].size ||
		    dev->bars[bar].is_port || dev_map_bar(dev, bar, &base) != OK)
			continue;
		*out = (struct place){(volatile char *)base + off, len, cap};
		return true;
	}
	return false;
}

enum err
virtio_open(struct virtio_dev *v, struct device *dev)
{
	struct place common, notify, isr, config = {0};

	*v = (struct virtio_dev){.dev = dev};
	if (!find_structure(dev, TYPE_COMMON, COMMON_SIZE, &common) ||
	    !find_structure(dev, TYPE_NOTIFY, 2, &notify) ||
	    !find_structure(dev, TYPE_ISR, 1, &isr)) {
		log_warn("%s: no modern interface", dev->name);
		return ERR_NODEV;
	}
	(void)find_structure(dev, TYPE_DEVICE, 1, &config); /* not every device has it */
	v->common = common.regs;
	v->isr = isr.regs;
	v->notify = notify.regs;
	v->notify_len = notify.len;
	v->notify_multiplier =
	    pci_cfg_read32(to_pci(dev), notify.cap + CAP_NOTIFY_MULTIPLIER);
	v->config = config.regs;
	v->config_len = config.len;
	return virtio_reset(v) ? OK : ERR_IO;
}

/* ---- Status and features ----------------------------------------------------------- */

static uint8_t
status(const struct virtio_dev *v)
{
	return mmio_read8(v->common, DEVICE_STATUS);
}

static void
add_status(struct virtio_dev *v, uint8_t bits)
{
	mmio_write8(v->common, DEVICE_STATUS, status(v) | bits);
}

void
virtio_stop_now(struct virtio_dev *v)
{
	mmio_write8(v->common, DEVICE_STATUS, 0);
}

bool
virtio_reset(struct virtio_dev *v)
{
	virtio_stop_now(v);
	if (poll_until(status(v) == 0, RESET_TIMEOUT_NS))
		return true;
	log_err("%s: does not come out of reset", v->dev->name);
	return false;
}

bool
virtio_needs_reset(const struct virtio_dev *v)
{
	return status(v) & STATUS_NEEDS_RESET;
}

uint64_t
virtio_offered(const struct virtio_dev *v)
{
	uint64_t f;

	mmio_write32(v->common, DEVICE_FEATURE_SELECT, 1);
	f = (uint64_t)mmio_read32(v->common, DEVICE_FEATURE) << 32;
	mmio_write32(v->common, DEVICE_FEATURE_SELECT, 0);
	return f | mmio_read32(v->common, DEVICE_FEATURE);
}

enum err
virtio_begin(struct virtio_dev *v, uint64_t wanted)
{
	if (!virtio_reset(v))
		return ERR_IO;
	add_status(v, STATUS_ACKNOWLEDGE);
	add_status(v, STATUS_DRIVER);
	v->features = virtio_offered(v) & (wanted | 1ull << VIRTIO_F_VERSION_1);
	for (unsigned half = 0; half < 2; half++) {
		mmio_write32(v->common, DRIVER_FEATURE_SELECT, half);
		mmio_write32(
		    v->common, DRIVER_FEATURE, (uint32_t)(v->features >> 32 * half));
	}
	add_status(v, STATUS_FEATURES_OK);
	if (virtio_has(v, VIRTIO_F_VERSION_1) && status(v) & STATUS_FEATURES_OK)
		return OK;
	log_err(
	    "%s: refuses features %#llx", v->dev->name, (unsigned long long)v->features);
	add_status(v, STATUS_FAILED);
	return ERR_OPNOTSUPP;
}

void
virtio_ready(struct virtio_dev *v)
{
	add_status(v, STATUS_DRIVER_OK);
}

/* ---- Queues ------------------------------------------------------------------------ */

unsigned
virtio_queue_max(const struct virtio_dev *v, unsigned index)
{
	mmio_write16(v->common, QUEUE_SELECT, (uint16_t)index);
	return mmio_read16(v->common, QUEUE_SIZE);
}

/* A power of two that both sides accept; 0: none. */
static unsigned
queue_size(const struct virtio_dev *v, unsigned index, unsigned wanted)
{
	unsigned max = MIN(MIN(virtio_queue_max(v, index), wanted), (unsigned)MAX_QUEUE);
	unsigned size = 1;

	if (!max)
		return 0;
	while (size * 2 <= max)
		size *= 2;
	return size;
}

static enum err
queue_memory(struct virtio_dev *v, struct virtio_queue *q, size_t size)
{
	if (q->mem.size >= size)
		return OK;
	if (q->mem.cpu)
		dev_dma_free(v->dev, &q->mem);
	return dev_dma_alloc(v->dev, &q->mem, size, PAGE_SIZE);
}

static void
write_address(const struct virtio_dev *v, unsigned reg, uint64_t addr)
{
	/* Two halves: 4.1.3.1 lets the device take no more at once. */
	mmio_write32(v->common, reg, (uint32_t)addr);
	mmio_write32(v->common, reg + 4, (uint32_t)(addr >> 32));
}

enum err
virtio_queue_start(struct virtio_dev *v, struct virtio_queue *q, unsigned index,
    struct virtq_config c, unsigned vector)
{
	uint64_t doorbell;
	enum err err;

	c.size = queue_size(v, index, c.size);
	if (!c.size)
		return ERR_NODEV;
	c.has_event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
	if (!virtio_has(v, VIRTIO_F_INDIRECT_DESC))
		c.num_tables = c.table_len = 0;
	err = queue_memory(v, q, virtq_bytes(&c));
	if (err == OK)
		err = virtq_init(&q->ring, &c, &q->mem);
	if (err != OK)
		return err;
	q->index = index;
	mmio_write16(v->common, QUEUE_SELECT, (uint16_t)index);
	doorbell =
	    (uint64_t)mmio_read16(v->common, QUEUE_NOTIFY_OFF) * v->notify_multiplier;
	if (doorbell + sizeof(uint16_t) > v->notify_len)
		return ERR_NODEV;
	q->doorbell = (volatile char *)v->notify + doorbell;
	mmio_write16(v->common, QUEUE_SIZE, (uint16_t)c.size);
	write_address(v, QUEUE_DESC, q->ring.desc_addr);
	write_address(v, QUEUE_DRIVER, q->ring.avail_addr);
	write_address(v, QUEUE_DEVICE, q->ring.used_addr);
	mmio_write16(v->common, QUEUE_VECTOR, (uint16_t)vector);
	if (mmio_read16(v->common, QUEUE_VECTOR) != vector)
		return ERR_IO;
	mmio_write16(v->common, QUEUE_ENABLE, 1);
	return OK;
}

enum err
virtio_config_vector(struct virtio_dev *v, unsigned vector)
{
	mmio_write16(v->common, CONFIG_VECTOR, (uint16_t)vector);
	return mmio_read16(v->common, CONFIG_VECTOR) == vector ? OK : ERR_IO;
}

void
virtio_kick(struct virtio_queue *q)
{
	if (virtq_needs_kick(&q->ring))
		mmio_write16(q->doorbell, 0, (uint16_t)q->index);
}

uint8_t
virtio_isr(const struct virtio_dev *v)
{
	return mmio_read8(v->isr, 0);
}

void
virtio_config_read(const struct virtio_dev *v, unsigned off, void *buf, unsigned n)
{
	uint8_t *to = buf, generation;

	memset(buf, 0, n);
	for (unsigned try = 0; try < MAX_GENERATION_TRIES; try++) {
		generation = mmio_read8(v->common, CONFIG_GENERATION);
		for (unsigned i = 0; i < n && off + i < v->config_len; i++)
			to[i] = mmio_read8(v->config, off + i);
		if (mmio_read8(v->common, CONFIG_GENERATION) == generation)
			return;
	}
}
