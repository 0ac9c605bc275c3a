/*
 * Devices and their drivers. A bus (drivers/pci) finds devices and adds them here; a
 * driver is constant data in a linker set, named by what it matches; the core brings the
 * two together.
 *
 * Whatever a driver takes through the dev_ calls below - registers, interrupts, DMA memory -
 * is noted on the device. The core gives it back after a failed attach and after detach,
 * in this order: the device's bus mastering goes off, interrupt handlers end, then the rest,
 * newest first. So a driver has no unwind code for these.
 *
 * Locks: devices are added, attached and detached in thread context under the core's mutex
 * (rank SETUP); the dev_ calls are made by the device's own attach, detach or one thread
 * of the driver at a time.
 */
#pragma once

#include "kernel/irq/irq.h"
#include "kernel/x86/io.h"
#include "lib/err.h"
#include "lib/list.h"
#include "lib/types.h"
#include "mm/dma.h"

struct device;

enum { PCI_ANY = 0xffff, DEV_MAX_BARS = 6, DEV_ANY_CPU = 0xffffffff };

/* One line of a match table; a table ends with {0}. */
struct pci_id {
	uint16_t vendor, device; /* PCI_ANY: whatever it is */
	uint32_t class,
	    class_mask; /* (class code << 8 | interface) & mask; mask 0: any */
	uintptr_t data; /* the driver's own: model, flags */
};

struct driver {
	const char *name;
	const struct pci_id *pci_ids;
	size_t
	    state_size; /* the core gives zeroed dev->state and frees it after detach */
	/*
	 * Brings the device up. Decoding is on, bus mastering is off until dev_enable_dma:
	 * reset the device first, firmware may have left it running. An error leaves the
	 * device to the next driver that matches. Thread context, may sleep.
	 */
	enum err (*attach)(struct device *);
	/* The device goes (it may be gone): end its users, stop it. Thread context. */
	void (*detach)(struct device *);
	/*
	 * Stop DMA and interrupts now, for power off and restart. No locks, no sleep. May be
	 * NULL: the core turns bus mastering off in any case.
	 */
	void (*quiesce)(struct device *);
};

/* DRIVER(e1000): struct driver e1000_driver is offered to every device that matches. */
#define DRIVER(name) \
	static const struct driver *const name##_driver_entry \
	    __attribute__((section(".set.drivers"), used)) = &name##_driver

/* A range of registers, as the bus found it. */
struct dev_bar {
	paddr_t base;  /* memory address or port */
	uint64_t size; /* 0: there is none */
	bool is_port, is_64bit, is_prefetchable;
};

enum dev_irq_kind {
	DEV_IRQ_INTX = 1 << 0, /* a line, perhaps shared with other devices */
	DEV_IRQ_MSI = 1 << 1,  /* one message */
	DEV_IRQ_MSIX = 1 << 2, /* a message each, for each its own CPU */
	DEV_IRQ_ANY = 7,
};

/* A handler to install, for the bus. `name` lives as long as it. */
struct dev_irq {
	irq_handler fn;
	void *arg;
	unsigned cpu; /* or DEV_ANY_CPU */
	const char *name;
};

/* What the core asks of a bus. Calls are made under the core's mutex, but set_dma. */
struct dev_bus {
	/* The line of the table that the device fits, or NULL. */
	const struct pci_id *(*match)(const struct device *, const struct driver *);
	void (*set_decode)(struct device *, bool is_on);
	void (*set_dma)(struct device *, bool is_on); /* any context */
	/* Sets dev->irq_kind and dev->num_irqs (1..want). */
	enum err (*irq_alloc)(struct device *, unsigned want, unsigned kinds);
	void (*irq_free)(struct device *);
	enum err (*irq_request)(
	    struct device *, unsigned index, const struct dev_irq *, struct irq **out);
};

struct device {
	struct list link;                  /* all devices, as they were found */
	char name[16];                     /* [I] "0000:00:02.0" */
	const struct dev_bus *bus;         /* [I] */
	struct dev_bar bars[DEV_MAX_BARS]; /* [I] */
	const struct driver *driver;       /* NULL: nobody has it */
	const struct pci_id *id;           /* the line that matched */
	void *state;                       /* the driver's */
	struct dev_taken *taken;           /* newest first */
	enum dev_irq_kind irq_kind;        /* since dev_irq_alloc */
	unsigned num_irqs;
	unsigned
	    dma_bits; /* address bits the device can drive; 64 until attach says less */
	bool has_dma; /* bus mastering is on */
};

/* ---- For drivers ---- */

/*
 * Maps memory BAR `bar`, all of it, uncached. ERR_NODEV: there is no such BAR, it is a port
 * range, or firmware gave it no address. Twice gives the same mapping.
 */
enum err dev_map_bar(struct device *, unsigned bar, volatile void **out);
/* The first port of port BAR `bar`; errors as above. */
enum err dev_port_bar(struct device *, unsigned bar, uint16_t *out);

/* Lets the device read and write memory; after it was reset. */
void dev_enable_dma(struct device *);

/*
 * Memory for rings and buffers: contiguous, zeroed, aligned (a power of two), within
 * dev->dma_bits. Freed by the core, or earlier by dev_dma_free, which finds it by
 * buf->addr. ERR_NOMEM.
 */
enum err dev_dma_alloc(struct device *, struct dma_buf *, size_t size, size_t align);
void dev_dma_free(struct device *, struct dma_buf *);

/*
 * Chooses the best kind among `kinds` (enum dev_irq_kind) that works: MSI-X, then MSI, then
 * INTx, and up to `want` interrupts; dev->irq_kind and dev->num_irqs say what it became.
 * Once per attach. ERR_NODEV: none of them works.
 */
enum err dev_irq_alloc(struct device *, unsigned want, unsigned kinds);

/*
 * Installs the handler of interrupt `index` < num_irqs and unmasks it: from now on it may
 * be called. It runs on `cpu` when the kind allows (MSI, MSI-X), DEV_ANY_CPU: on the one
 * with the fewest. An INTx handler must return IRQ_NONE when its device did not interrupt.
 * ERR_NOSPC: no vector left.
 */
enum err dev_irq_request(
    struct device *, unsigned index, irq_handler, void *arg, unsigned cpu);

/* ---- For buses and the boot ---- */

/* Adds a device that the bus has filled in. It is never freed. */
void dev_add(struct device *);

/*
 * Offers all devices without a driver to all drivers; returns how many found one. Thread
 * context.
 */
unsigned dev_attach_all(void);

/* Ends the driver's use of the device. Thread context. */
void dev_detach(struct device *);

/* Calls fn for each device, as they were found. Thread context. */
void dev_for_each(void (*fn)(struct device *, void *arg), void *arg);
