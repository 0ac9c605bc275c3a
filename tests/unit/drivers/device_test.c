/*
 * drivers/device.c: what a driver took comes back, whatever happens. LINK:
 * drivers/device.c lib/fmt.c lib/string.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 */
#include "drivers/device.h"

#include "kernel/power.h"
#include "lib/string.h"
#include "mm/kva.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* ---- What the core stands on ---- */

static int num_maps, num_dma, num_irqs, num_irq_sets;
static char order[64]; /* what was given back: d, i, s, m, b */
static struct power_hook *hook;

static void
note(char what)
{
	size_t n = strlen(order);

	if (n + 1 < sizeof(order))
		order[n] = what;
}

volatile void *
ioremap(paddr_t base, size_t size, enum cache_type type)
{
	num_maps++;
	return (volatile void *)base;
}

void
iounmap(volatile void *p)
{
	num_maps--;
	note('b');
}

bool
dma_alloc(struct dma_buf *buf, size_t size, size_t align, unsigned addr_bits)
{
	static uint64_t next = 0x1000;

	*buf = (struct dma_buf){.cpu = &next, .addr = next += 0x1000, .size = size};
	num_dma++;
	return true;
}

void
dma_free(struct dma_buf *buf)
{
	num_dma--;
	note('m');
}

void
irq_release(struct irq *irq)
{
	num_irqs--;
	note('i');
}

void
power_add_hook(struct power_hook *h)
{
	hook = h;
}

static const struct pci_id *
bus_match(const struct device *dev, const struct driver *driver)
{
	return driver->pci_ids;
}

static bool is_decoding, is_master;

static void
bus_set_decode(struct device *dev, bool is_on)
{
	is_decoding = is_on;
}

static void
bus_set_dma(struct device *dev, bool is_on)
{
	is_master = is_on;
	if (!is_on)
		note('d');
}

static enum err
bus_irq_alloc(struct device *dev, unsigned want, unsigned kinds)
{
	dev->num_irqs = 2;
	num_irq_sets++;
	return OK;
}

static void
bus_irq_free(struct device *dev)
{
	num_irq_sets--;
	note('s');
}

static char irq_name[32];

static enum err
bus_irq_request(
    struct device *dev, unsigned index, const struct dev_irq *r, struct irq **out)
{
	strlcpy(irq_name, r->name, sizeof(irq_name));
	num_irqs++;
	return OK;
}

static const struct dev_bus bus = {
    .match = bus_match,
    .set_decode = bus_set_decode,
    .set_dma = bus_set_dma,
    .irq_alloc = bus_irq_alloc,
    .irq_free = bus_irq_free,
    .irq_request = bus_irq_request,
};

/* ---- A driver that takes everything ---- */

static enum err result;
static volatile void *regs, *again;
static uint16_t port;
static unsigned num_quiesced;

static enum irq_result
no_interrupt(void *arg)
{
	return IRQ_NONE;
}

static enum err
take_all(struct device *dev)
{
	struct dma_buf a, b;
	enum err err = dev_map_bar(dev, 0, &regs);

	if (err == OK)
		err = dev_map_bar(dev, 0, &again);
	if (err == OK)
		err = dev_port_bar(dev, 1, &port);
	if (err == OK)
		err = dev_dma_alloc(dev, &a, 4096, 16);
	if (err == OK)
		err = dev_dma_alloc(dev, &b, 4096, 16);
	if (err == OK)
		err = dev_irq_alloc(dev, 4, DEV_IRQ_ANY);
	if (err == OK)
		err = dev_irq_request(dev, 0, no_interrupt, NULL, DEV_ANY_CPU);
	if (err == OK)
		err = dev_irq_request(dev, 1, no_interrupt, NULL, 1);
	if (err != OK)
		return err;
	dev_dma_free(dev, &a);
	dev_enable_dma(dev);
	return result;
}

static void
detach(struct device *dev)
{
}

static void
quiesce(struct device *dev)
{
	num_quiesced++;
}

static const struct pci_id ids[] = {{.vendor = 1, .data = 7}, {0}};

const struct driver fake_driver = {
    .name = "fake",
    .pci_ids = ids,
    .state_size = 100,
    .attach = take_all,
    .detach = detach,
    .quiesce = quiesce,
};

/* The linker set: one pointer between the two names. */
__asm__(".section .data.rel,\"aw\"\n.globl set_drivers_start\n.globl set_drivers_end\n"
        ".balign 8\nset_drivers_start: .quad fake_driver\nset_drivers_end:\n.text");

static struct device dev = {
    .name = "0000:00:02.0",
    .bus = &bus,
    .bars = {{.base = 0xfe000000, .size = 0x1000},
        {.base = 0xc000, .size = 64, .is_port = true}, {.size = 64}},
};

static bool
is_all_back(void)
{
	return num_maps == 0 && num_dma == 0 && num_irqs == 0 && num_irq_sets == 0 &&
	       fake_kmalloc_live == 0 && !dev.taken && !dev.driver && !dev.state &&
	       !is_decoding && !is_master;
}

static void
start(void)
{
	fake_log_is_quiet = true;
	if (!dev.link.next)
		dev_add(&dev);
	memset(order, 0, sizeof(order));
	result = OK;
}

KTEST(device_gives_all_back_after_detach_with_dma_off_and_interrupts_first)
{
	start();
	CHECK_EQ(dev_attach_all(), 1);
	CHECK(dev.driver == &fake_driver && dev.id->data == 7 && dev.state);
	CHECK(regs == again && port == 0xc000 && num_maps == 1);
	CHECK(is_decoding && is_master);
	CHECK(!strcmp(irq_name, "fake@0000:00:02.0-1"));
	CHECK_EQ(dev_attach_all(), 0); /* it has one */
	memset(order, 0, sizeof(order));
	dev_detach(&dev);
	CHECK(!strcmp(order, "diismb"));
	CHECK(is_all_back());
	dev_detach(&dev); /* nothing to do */
	CHECK(is_all_back());
}

KTEST(device_gives_all_back_after_a_failed_attach)
{
	start();
	result = ERR_IO;
	CHECK_EQ(dev_attach_all(), 0);
	CHECK(is_all_back());
}

KTEST(device_attach_survives_every_failed_allocation)
{
	start();
	for (unsigned n = 1;; n++) {
		fake_kmalloc_fail_nth(n);
		if (dev_attach_all())
			break;
		CHECK(is_all_back());
		CHECK(n < 20);
	}
	fake_kmalloc_fail_nth(0);
	dev_detach(&dev);
	CHECK(is_all_back());
}

KTEST(device_refuses_bars_that_are_not_what_is_asked_for)
{
	volatile void *r;
	uint16_t p;

	start();
	CHECK_EQ(dev_map_bar(&dev, 1, &r), ERR_NODEV);  /* ports */
	CHECK_EQ(dev_map_bar(&dev, 2, &r), ERR_NODEV);  /* no address */
	CHECK_EQ(dev_map_bar(&dev, 3, &r), ERR_NODEV);  /* none */
	CHECK_EQ(dev_map_bar(&dev, 66, &r), ERR_NODEV); /* nonsense */
	CHECK_EQ(dev_port_bar(&dev, 0, &p), ERR_NODEV);
}

KTEST(device_is_quiet_when_the_machine_ends)
{
	start();
	CHECK_EQ(dev_attach_all(), 1);
	num_quiesced = 0;
	hook->quiesce(hook);
	CHECK(num_quiesced == 1 && !is_master);
	dev_detach(&dev);
	CHECK(is_all_back());
}
