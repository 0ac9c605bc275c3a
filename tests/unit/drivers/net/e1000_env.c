/* See e1000_env.h. Stands for drivers/device.c, the PCI bus and net/netdev.c. */
#include "tests/unit/drivers/net/e1000_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/x86/features.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"

struct cpu_features cpu_features; /* no hypervisor: every offload is on */

struct env env;
const uint8_t env_mac[ETH_ALEN] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

static long base_objects, base_frames;
static bool pkts_ready;

/* ---- Hardware --------------------------------------------------------------------------- */

enum { REGS = 0x1000, PORTS = 0xc000 };

/* An access takes time, so that waiting ends. */
uint64_t
fake_mmio_read(const volatile void *base, size_t off, unsigned size)
{
	uint32_t v;

	fake_now_ns += NSEC_PER_USEC;
	if (size != 4 || base != (const volatile void *)REGS)
		abort();
	v = e1000_model_read(&env.chip, (unsigned)off);
	return env.lie ? env.lie(v) : v;
}

void
fake_mmio_write(volatile void *base, size_t off, unsigned size, uint64_t v)
{
	if (size != 4 || base != (volatile void *)REGS)
		abort();
	e1000_model_write(&env.chip, (unsigned)off, (uint32_t)v);
}

void
fake_port_out(uint16_t port, unsigned size, uint32_t v)
{
	e1000_model_io_write(&env.chip, port - PORTS, v);
}

void
thread_sleep_ns(nsec_t ns)
{
	assert_may_sleep();
	fake_now_ns += ns;
	e1000_model_run(&env.chip);
}

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5e, n);
}

uint16_t
pci_cfg_read16(const struct pci_dev *p, unsigned off)
{
	return 3;
}

void
pci_cfg_write16(const struct pci_dev *p, unsigned off, uint16_t v)
{
	if (v)
		abort(); /* ASPM off is all that is written */
}

/* ---- The device core ---------------------------------------------------------------------- */

static struct dma_buf dmas[16];
static unsigned num_dmas;

enum err
dev_map_bar(struct device *dev, unsigned bar, volatile void **out)
{
	*out = (volatile void *)REGS;
	return OK;
}

enum err
dev_port_bar(struct device *dev, unsigned bar, uint16_t *out)
{
	*out = PORTS;
	return OK;
}

void
dev_enable_dma(struct device *dev)
{
	dev->has_dma = true;
}

enum err
dev_dma_alloc(struct device *dev, struct dma_buf *buf, size_t size, size_t align)
{
	unsigned order = 0;
	struct page *pg;

	if (env.dma_fail_in && --env.dma_fail_in == 0)
		return ERR_NOMEM;
	while (((size_t)PAGE_SIZE << order) < size)
		order++;
	pg = page_alloc(order, ALLOC_ZERO);
	if (!pg)
		return ERR_NOMEM;
	*buf = (struct dma_buf){page_to_virt(pg), page_to_phys(pg), size};
	dmas[num_dmas++] = *buf;
	return OK;
}

enum err
dev_irq_alloc(struct device *dev, unsigned want, unsigned kinds)
{
	kinds &= env.kinds;
	if (!kinds)
		return ERR_NODEV;
	dev->irq_kind = kinds & DEV_IRQ_MSIX  ? DEV_IRQ_MSIX
	                : kinds & DEV_IRQ_MSI ? DEV_IRQ_MSI
	                                      : DEV_IRQ_INTX;
	dev->num_irqs = dev->irq_kind == DEV_IRQ_MSIX ? MIN(want, env.max_irqs) : 1;
	env.chip.has_msix = dev->irq_kind == DEV_IRQ_MSIX;
	return OK;
}

enum err
dev_irq_request(
    struct device *dev, unsigned index, irq_handler fn, void *arg, unsigned cpu)
{
	env.handlers[index] = fn;
	env.handler_args[index] = arg;
	env.num_handlers = MAX(env.num_handlers, index + 1);
	return OK;
}

static void
give_back(void)
{
	struct device *dev = &env.pci.dev;

	while (num_dmas) {
		struct page *pg = virt_to_page(dmas[--num_dmas].cpu);

		page_free(pg, pg->order);
	}
	kfree(dev->state);
	dev->state = NULL;
	env.num_handlers = 0;
	env.nd = NULL;
}

/* ---- The stack ------------------------------------------------------------------------------ */

struct netdev *
netdev_alloc(unsigned num_queues)
{
	struct netdev *nd;

	if (env.netdev_fail_in && --env.netdev_fail_in == 0)
		return NULL;
	nd = kzalloc(sizeof(*nd));
	if (!nd)
		return NULL;
	nd->queues = kcalloc(num_queues, sizeof(nd->queues[0]));
	if (!nd->queues) {
		kfree(nd);
		return NULL;
	}
	nd->num_queues = num_queues;
	nd->mtu = 1500;
	for (unsigned i = 0; i < num_queues; i++) {
		nd->queues[i].dev = nd;
		nd->queues[i].index = i;
		spin_init(&nd->queues[i].tx_lock, "queue", RANK_NET_QUEUE);
	}
	return nd;
}

void
netdev_free(struct netdev *nd)
{
	kfree(nd->queues);
	kfree(nd);
	env.nd = NULL;
}

enum err
netdev_register(struct netdev *nd, const char *name)
{
	if (env.netdev_fail_in && --env.netdev_fail_in == 0)
		return ERR_NOMEM;
	memcpy(nd->name, "eth0", 5);
	env.nd = nd;
	env.is_registered = true;
	return OK;
}

void
netdev_unregister(struct netdev *nd)
{
	if (nd->flags & NETDEV_UP)
		nd->ops->down(nd);
	env.is_registered = false;
	netdev_free(nd);
}

void
netdev_schedule(struct netdev_queue *q)
{
	q->is_scheduled = 1;
}

void
netdev_input(struct netdev_queue *q, struct pkt *p)
{
	if (env.num_received < ENV_KEEP)
		env.received[env.num_received++] = p;
	else
		pkt_free(p);
}

void
netdev_tx_wake(struct netdev_queue *q)
{
	struct pkt *p;

	env.num_wakes++;
	if (!q->is_stopped)
		return;
	spin_lock(&q->tx_lock);
	q->is_stopped = false;
	while ((p = pkt_queue_pop(&q->held))) {
		if (q->dev->ops->send(q, p) != ERR_BUSY)
			continue;
		pkt_queue_push_front(&q->held, p);
		q->is_stopped = true;
		break;
	}
	spin_unlock(&q->tx_lock);
}

void
netdev_link_change(struct netdev *nd, bool has_link, uint32_t speed, bool is_full)
{
	nd->has_link = has_link;
	nd->speed_mbps = speed;
	nd->is_full_duplex = is_full;
	env.num_links++;
}

void
netdev_for_each_mc(
    struct netdev *nd, void (*fn)(void *arg, const uint8_t mac[ETH_ALEN]), void *arg)
{
	for (unsigned i = 0; i < env.num_mc; i++)
		fn(arg, env.mc[i]);
}

/* ---- What packets stand on -------------------------------------------------------------------- */

/* ---- Life --------------------------------------------------------------------------------------- */

static void
on_sent(struct e1000_model *m, const struct model_sent *s)
{
	struct model_sent *copy;

	if (env.num_sent == ENV_KEEP)
		return;
	copy = malloc(sizeof(*copy));
	memcpy(copy, s, sizeof(*copy));
	env.sent[env.num_sent++] = copy;
}

void
env_init(enum model_chip chip)
{
	if (!pkts_ready)
		pkt_init();
	pkts_ready = true;
	memset(&env, 0, sizeof(env));
	fake_log_is_quiet = true;
	page_array_frames = GIB(8) >> PAGE_SHIFT; /* so some memory is out of reach */
	base_objects = fake_kmalloc_live;
	base_frames = fake_frames_live;
	e1000_model_init(&env.chip, chip, env_mac);
	env.chip.on_sent = on_sent;
	env.kinds = chip == MODEL_82574 ? DEV_IRQ_ANY : DEV_IRQ_INTX;
	env.max_irqs = 8;
	env.pci.dev.bars[0].size = 0x20000;
	env.pci.dev.bars[2] =
	    (struct dev_bar){.base = PORTS, .size = 64, .is_port = true};
	env.pci.cap_express = 0x40;
	memcpy(env.pci.dev.name, "0000:00:02.0", 13);
}

/* The model's chip as the match tables know it. */
static const struct pci_id *
find_id(const struct driver *d, unsigned device)
{
	for (const struct pci_id *id = d->pci_ids; id->vendor; id++)
		if (id->device == device)
			return id;
	return NULL;
}

extern const struct driver *const set_drivers_start[], *const set_drivers_end[];

/* The sanitizer keeps the entries apart: what lies between them is zero. */
__attribute__((no_sanitize("address"))) static const struct driver *
entry(const struct driver *const *d)
{
	return *d;
}

enum err
env_attach(void)
{
	static const unsigned devices[] = {0x100e, 0x100c, 0x100f, 0x10d3};
	struct device *dev = &env.pci.dev;
	enum err err;

	for (const struct driver *const *d = set_drivers_start; d < set_drivers_end;
	     d++) {
		env.driver = entry(d);
		dev->id = env.driver ? find_id(env.driver, devices[env.chip.chip]) : NULL;
		if (dev->id)
			break;
	}
	dev->driver = env.driver;
	dev->dma_bits = 64;
	dev->state = kzalloc(env.driver->state_size);
	if (!dev->state)
		return ERR_NOMEM;
	err = env.driver->attach(dev);
	if (err != OK) {
		give_back();
		return err;
	}
	/* On a plain PCI bus the drivers promise 32-bit addresses. */
	env.chip.dma_end = dev->dma_bits < 64 ? 1ull << dev->dma_bits : 0;
	return OK;
}

bool
env_start(enum model_chip chip)
{
	env_init(chip);
	if (env_attach() != OK || env.nd->ops->up(env.nd) != OK)
		return false;
	env.nd->flags |= NETDEV_UP | NETDEV_BROADCAST | NETDEV_MULTICAST;
	env_settle();
	return env.nd->has_link;
}

bool
env_end(void)
{
	if (env.is_registered)
		env.driver->detach(&env.pci.dev);
	give_back();
	for (unsigned i = 0; i < env.num_received; i++)
		pkt_free(env.received[i]);
	for (unsigned i = 0; i < env.num_sent; i++)
		free(env.sent[i]);
	if (env.chip.violations)
		printf("# model: %s\n", env.chip.violation);
	if (fake_kmalloc_live != base_objects || fake_frames_live != base_frames)
		printf("# leaked %ld objects, %ld frames\n",
		    fake_kmalloc_live - base_objects, fake_frames_live - base_frames);
	return !env.chip.violations && fake_kmalloc_live == base_objects &&
	       fake_frames_live == base_frames;
}

/* ---- Traffic --------------------------------------------------------------------------------------- */

static bool
interrupt(void)
{
	bool happened = false;

	if (env.chip.line && env.num_handlers) {
		enum irq_result r = env.handlers[0](env.handler_args[0]);

		env.handled += r == IRQ_HANDLED;
		env.not_ours += r == IRQ_NONE;
		happened = r == IRQ_HANDLED;
	}
	for (unsigned i = 0; i < env.num_handlers; i++) {
		if (!(env.chip.vectors >> i & 1))
			continue;
		env.chip.vectors &= ~(1u << i);
		env.handled += env.handlers[i](env.handler_args[i]) == IRQ_HANDLED;
		happened = true;
	}
	return happened;
}

void
env_settle(void)
{
	bool happened = true;

	for (unsigned i = 0; happened && i < 1000; i++) {
		e1000_model_run(&env.chip);
		happened = interrupt();
		for (unsigned q = 0; env.nd && q < env.nd->num_queues; q++) {
			struct netdev_queue *nq = &env.nd->queues[q];

			if (!nq->is_scheduled)
				continue;
			nq->is_scheduled = 0;
			if (env.nd->ops->poll(nq, 64) == 64)
				nq->is_scheduled = 1;
			happened = true;
		}
	}
}

static void
make(uint8_t *f, const uint8_t *dst, const uint8_t *src, unsigned type, unsigned len,
    unsigned seed)
{
	memcpy(f, dst, 6);
	memcpy(f + 6, src, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	for (unsigned i = 14; i < len; i++)
		f[i] = (uint8_t)(seed + i * 7 + i / 256);
}

bool
env_receive(const uint8_t *dst, unsigned type, unsigned len, unsigned seed)
{
	static const uint8_t peer[6] = {0x02, 9, 9, 9, 9, 9};
	uint8_t f[MODEL_FRAME];

	make(f, dst ? dst : env.nd->mac, peer, type, len, seed);
	return e1000_model_receive(&env.chip, f, len);
}

bool
env_got(unsigned nth, unsigned len, unsigned seed)
{
	uint8_t want[MODEL_FRAME], got[MODEL_FRAME];

	if (nth >= env.num_received || pkt_len(env.received[nth]) != len)
		return false;
	make(want, want, want, 0, len, seed);
	if (!pkt_read(env.received[nth], 0, got, len))
		return false;
	return !memcmp(want + 14, got + 14, len - 14);
}

struct pkt *
env_packet(unsigned type, unsigned len, unsigned seed)
{
	static const uint8_t peer[6] = {0x02, 9, 9, 9, 9, 9};
	struct pkt *p = pkt_alloc(len);

	if (!p)
		return NULL;
	make(pkt_put(p, len), peer, env.nd->mac, type, len, seed);
	return p;
}

enum err
env_send(struct pkt *p, unsigned queue)
{
	struct netdev_queue *q = &env.nd->queues[queue];
	enum err err;

	spin_lock(&q->tx_lock);
	err = q->is_stopped ? ERR_BUSY : env.nd->ops->send(q, p);
	if (err == ERR_BUSY) {
		q->is_stopped = true;
		pkt_queue_push(&q->held, p);
	}
	spin_unlock(&q->tx_lock);
	return err;
}

bool
env_put(unsigned nth, unsigned len, unsigned seed)
{
	uint8_t want[MODEL_FRAME];

	if (nth >= env.num_sent || env.sent[nth]->len != len)
		return false;
	make(want, want, want, 0, len, seed);
	return !memcmp(want + 14, env.sent[nth]->bytes + 14, len - 14);
}

/* This file is linked last, the test first: between them the drivers' entries lie. */
__asm__(".section .set.drivers,\"aw\"\n.globl set_drivers_end\nset_drivers_end:\n.text");
