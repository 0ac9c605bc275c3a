/*
 * The device core: devices, what their drivers took, and how it all is given back.
 * Everything taken is one record in a list on the device; the list is the unwind code of
 * every driver.
 */
#define LOG_PREFIX "dev: "
#include "drivers/device.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/power.h"
#include "kernel/sync/mutex.h"
#include "lib/fmt.h"
#include "mm/kva.h"
#include "mm/slab.h"

extern const struct driver *const set_drivers_start[], *const set_drivers_end[];

enum taken_kind { TAKEN_IRQ, TAKEN_IRQ_SET, TAKEN_BAR, TAKEN_DMA };

struct dev_taken {
	struct dev_taken *next;
	enum taken_kind kind;
	unsigned index; /* BAR or interrupt */
	char irq_name[32];
	union {
		struct irq *irq;
		volatile void *regs;
		struct dma_buf dma;
	};
};

static struct mutex lock = MUTEX_INIT(lock, "devices", RANK_SETUP);
static struct list devices = LIST_INIT(devices); /* [lock] */

/* ---- What a driver takes ----------------------------------------------------------- */

static struct dev_taken *
find_taken(struct device *dev, enum taken_kind kind, unsigned index)
{
	for (struct dev_taken *t = dev->taken; t; t = t->next)
		if (t->kind == kind && t->index == index)
			return t;
	return NULL;
}

/* A record, not yet on the list: what it is about may still fail. */
static struct dev_taken *
new_taken(enum taken_kind kind, unsigned index)
{
	struct dev_taken *t = kzalloc(sizeof(*t));

	if (t) {
		t->kind = kind;
		t->index = index;
	}
	return t;
}

static void
note_taken(struct device *dev, struct dev_taken *t)
{
	t->next = dev->taken;
	dev->taken = t;
}

static const struct dev_bar *
usable_bar(const struct device *dev, unsigned bar, bool is_port)
{
	const struct dev_bar *b = bar < DEV_MAX_BARS ? &dev->bars[bar] : NULL;

	if (!b || !b->size || b->is_port != is_port)
		return NULL;
	if (!b->base) {
		log_warn("%s: firmware gave BAR %u no address", dev->name, bar);
		return NULL;
	}
	return b;
}

enum err
dev_map_bar(struct device *dev, unsigned bar, volatile void **out)
{
	const struct dev_bar *b = usable_bar(dev, bar, false);
	struct dev_taken *t = find_taken(dev, TAKEN_BAR, bar);

	if (!b)
		return ERR_NODEV;
	if (!t) {
		t = new_taken(TAKEN_BAR, bar);
		if (!t)
			return ERR_NOMEM;
		t->regs = ioremap(b->base, b->size, CACHE_UC);
		if (!t->regs) {
			kfree(t);
			return ERR_NOMEM;
		}
		note_taken(dev, t);
	}
	*out = t->regs;
	return OK;
}

enum err
dev_port_bar(struct device *dev, unsigned bar, uint16_t *out)
{
	const struct dev_bar *b = usable_bar(dev, bar, true);

	if (!b)
		return ERR_NODEV;
	*out = (uint16_t)b->base;
	return OK;
}

void
dev_enable_dma(struct device *dev)
{
	dev->has_dma = true;
	dev->bus->set_dma(dev, true);
}

enum err
dev_dma_alloc(struct device *dev, struct dma_buf *buf, size_t size, size_t align)
{
	struct dev_taken *t = new_taken(TAKEN_DMA, 0);

	if (!t)
		return ERR_NOMEM;
	if (!dma_alloc(&t->dma, size, align, dev->dma_bits)) {
		kfree(t);
		return ERR_NOMEM;
	}
	note_taken(dev, t);
	*buf = t->dma;
	return OK;
}

void
dev_dma_free(struct device *dev, struct dma_buf *buf)
{
	for (struct dev_taken **p = &dev->taken; *p; p = &(*p)->next) {
		struct dev_taken *t = *p;

		if (t->kind != TAKEN_DMA || t->dma.addr != buf->addr)
			continue;
		*p = t->next;
		dma_free(&t->dma);
		kfree(t);
		*buf = (struct dma_buf){0};
		return;
	}
}

enum err
dev_irq_alloc(struct device *dev, unsigned want, unsigned kinds)
{
	struct dev_taken *t = new_taken(TAKEN_IRQ_SET, 0);
	enum err err;

	ASSERT(want > 0 && dev->num_irqs == 0);
	if (!t)
		return ERR_NOMEM;
	err = dev->bus->irq_alloc(dev, want, kinds);
	if (err != OK) {
		kfree(t);
		return err;
	}
	note_taken(dev, t);
	return OK;
}

enum err
dev_irq_request(
    struct device *dev, unsigned index, irq_handler fn, void *arg, unsigned cpu)
{
	struct dev_taken *t = new_taken(TAKEN_IRQ, index);
	struct dev_irq request;
	enum err err;

	ASSERT(index < dev->num_irqs);
	if (!t)
		return ERR_NOMEM;
	scnprintf(t->irq_name, sizeof(t->irq_name), "%s@%s-%u", dev->driver->name,
	    dev->name, index);
	request = (struct dev_irq){.fn = fn, .arg = arg, .cpu = cpu, .name = t->irq_name};
	err = dev->bus->irq_request(dev, index, &request, &t->irq);
	if (err != OK) {
		kfree(t);
		return err;
	}
	note_taken(dev, t);
	return OK;
}

/* ---- Giving back ------------------------------------------------------------------- */

static void
release_one(struct device *dev, struct dev_taken *t)
{
	switch (t->kind) {
	case TAKEN_IRQ: irq_release(t->irq); break;
	case TAKEN_IRQ_SET:
		dev->bus->irq_free(dev);
		dev->num_irqs = 0;
		break;
	case TAKEN_BAR: iounmap(t->regs); break;
	case TAKEN_DMA: dma_free(&t->dma); break;
	}
	kfree(t);
}

/* Takes off the list and releases what is of `kind`. */
static void
release_kind(struct device *dev, enum taken_kind kind)
{
	struct dev_taken **p = &dev->taken;

	while (*p) {
		struct dev_taken *t = *p;

		if (t->kind != kind) {
			p = &t->next;
			continue;
		}
		*p = t->next;
		release_one(dev, t);
	}
}

static void
stop_dma(struct device *dev)
{
	dev->bus->set_dma(dev, false);
	dev->has_dma = false;
}

static void
give_back(struct device *dev)
{
	stop_dma(dev);
	release_kind(dev, TAKEN_IRQ);
	release_kind(dev, TAKEN_IRQ_SET);
	while (dev->taken) {
		struct dev_taken *t = dev->taken;

		dev->taken = t->next;
		release_one(dev, t);
	}
	dev->bus->set_decode(dev, false);
	kfree(dev->state);
	dev->state = NULL;
	dev->driver = NULL;
	dev->id = NULL;
}

/* ---- Bringing together ------------------------------------------------------------- */

static bool
try_attach(struct device *dev, const struct driver *driver)
{
	const struct pci_id *id = dev->bus->match(dev, driver);
	enum err err;

	if (!id)
		return false;
	dev->state = kzalloc(MAX(driver->state_size, (size_t)1));
	if (!dev->state) {
		log_err("%s: no memory for %s", dev->name, driver->name);
		return false;
	}
	dev->driver = driver;
	dev->id = id;
	dev->dma_bits = 64;
	dev->bus->set_decode(dev, true);
	err = driver->attach(dev);
	if (err != OK) {
		log_err("%s: %s failed to attach: error %d", dev->name, driver->name,
		    -(int)err);
		give_back(dev);
		return false;
	}
	if (!dev->has_dma)
		dev_enable_dma(dev);
	log_info("%s: attached to %s", dev->name, driver->name);
	return true;
}

unsigned
dev_attach_all(void)
{
	struct device *dev;
	unsigned n = 0;

	mutex_lock(&lock);
	list_for_each(dev, &devices, link)
		for (const struct driver *const *d = set_drivers_start;
		     d < set_drivers_end && !dev->driver; d++)
			n += try_attach(dev, *d);
	mutex_unlock(&lock);
	return n;
}

void
dev_detach(struct device *dev)
{
	mutex_lock(&lock);
	if (dev->driver) {
		log_info("%s: detached from %s", dev->name, dev->driver->name);
		dev->driver->detach(dev);
		give_back(dev);
	}
	mutex_unlock(&lock);
}

/* Newest first: a device behind another goes before it. Without the lock: the machine ends. */
static void
quiesce_all(struct power_hook *hook)
{
	for (struct list *l = devices.prev; l != &devices; l = l->prev) {
		struct device *dev = list_entry(l, struct device, link);

		if (!dev->driver)
			continue;
		if (dev->driver->quiesce)
			dev->driver->quiesce(dev);
		stop_dma(dev);
	}
}

void
dev_add(struct device *dev)
{
	static struct power_hook hook = {
	    .quiesce = quiesce_all, .quiesce_now = quiesce_all};

	mutex_lock(&lock);
	if (list_is_empty(&devices))
		power_add_hook(&hook);
	list_push_back(&devices, &dev->link);
	mutex_unlock(&lock);
}

void
dev_for_each(void (*fn)(struct device *, void *arg), void *arg)
{
	struct device *dev;

	mutex_lock(&lock);
	list_for_each(dev, &devices, link)
		fn(dev, arg);
	mutex_unlock(&lock);
}
