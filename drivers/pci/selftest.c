/*
 * In-kernel tests of PCI devices, with QEMU's "edu" device: it interrupts when told to and
 * copies memory (QEMU's docs/specs/edu). The tests take as many as the machine has;
 * without one they do nothing.
 */
#include "drivers/pci/pci.h"

#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/page.h"

enum {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04, /* reads as the complement of what was written */
	EDU_IRQ_STATUS = 0x24,
	EDU_IRQ_RAISE = 0x60,
	EDU_IRQ_ACK = 0x64,
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_DEST = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
	EDU_DMA_START = 1 << 0,
	EDU_DMA_TO_MEMORY = 1 << 1,
	EDU_DMA_IRQ = 1 << 2,
	EDU_DMA_IRQ_STATUS = 0x100,
	EDU_BUFFER = 0x40000, /* the device's own memory, as DMA sees it */
	EDU_ADDRESS_BITS = 28,

	MAX_EDUS = 32,
	ROUNDS = 20,
	MOVED = 2048,
};

struct edu {
	struct device *dev;
	volatile void *regs;
	struct dma_buf buf;
	unsigned wanted_cpu;
	uint32_t num_irqs;      /* [a] that were ours */
	uint32_t num_elsewhere; /* [a] of them, not on the wanted CPU */
	uint32_t status;        /* [a] of the last */
};

static struct edu *edus[MAX_EDUS];
static unsigned num_edus;

static enum irq_result
edu_interrupt(void *arg)
{
	struct edu *e = arg;
	uint32_t status = mmio_read32(e->regs, EDU_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;
	mmio_write32(e->regs, EDU_IRQ_ACK, status);
	__atomic_store_n(&e->status, status, __ATOMIC_RELAXED);
	if (cpu_id() != e->wanted_cpu)
		__atomic_fetch_add(&e->num_elsewhere, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&e->num_irqs, 1, __ATOMIC_RELEASE);
	return IRQ_HANDLED;
}

static enum err
edu_attach(struct device *dev)
{
	struct edu *e = dev->state;
	enum err err;

	if (num_edus == MAX_EDUS)
		return ERR_NOSPC;
	e->dev = dev;
	e->wanted_cpu = num_edus % num_cpus;
	dev->dma_bits = EDU_ADDRESS_BITS;
	err = dev_map_bar(dev, 0, &e->regs);
	if (err == OK)
		err = dev_dma_alloc(dev, &e->buf, PAGE_SIZE, PAGE_SIZE);
	if (err == OK)
		err = dev_irq_alloc(dev, 4, DEV_IRQ_ANY);
	if (err == OK)
		err = dev_irq_request(dev, 0, edu_interrupt, e, e->wanted_cpu);
	if (err != OK)
		return err;
	dev_enable_dma(dev);
	edus[num_edus++] = e;
	return OK;
}

static void
edu_detach(struct device *dev)
{
	const struct edu *e = dev->state;

	for (unsigned i = 0; i < num_edus; i++)
		if (edus[i] == e)
			edus[i] = edus[--num_edus];
}

static const struct pci_id edu_ids[] = {{.vendor = 0x1234, .device = 0x11e8}, {0}};

static const struct driver edu_driver = {
    .name = "edu",
    .pci_ids = edu_ids,
    .state_size = sizeof(struct edu),
    .attach = edu_attach,
    .detach = edu_detach,
};
DRIVER(edu);

/* Waits until the device has interrupted `n` times. */
static bool
has_interrupted(const struct edu *e, uint32_t n)
{
	for (unsigned ms = 0; ms < 3000; ms++) {
		if (__atomic_load_n(&e->num_irqs, __ATOMIC_ACQUIRE) == n)
			return true;
		thread_sleep_ns(NSEC_PER_MSEC);
	}
	return false;
}

SELFTEST(pci_devices_interrupt_where_they_should)
{
	for (unsigned i = 0; i < num_edus; i++) {
		struct edu *e = edus[i];

		mmio_write32(e->regs, EDU_LIVENESS, 0x12345678);
		SELFTEST_CHECK(
		    mmio_read32(e->regs, EDU_LIVENESS) == ~(uint32_t)0x12345678);
	}
	/* In turn, so that devices on one line take turns on it. */
	for (unsigned round = 1; round <= ROUNDS; round++)
		for (unsigned i = 0; i < num_edus; i++) {
			mmio_write32(edus[i]->regs, EDU_IRQ_RAISE, round);
			SELFTEST_CHECK(has_interrupted(edus[i], round));
			SELFTEST_CHECK(edus[i]->status == round);
		}
	for (unsigned i = 0; i < num_edus; i++) {
		const struct edu *e = edus[i];

		log_notice("edu %s: %u interrupts by kind %u", e->dev->name, e->num_irqs,
		    e->dev->irq_kind);
		SELFTEST_CHECK(e->num_irqs == ROUNDS);
		SELFTEST_CHECK(e->dev->irq_kind == DEV_IRQ_INTX || e->num_elsewhere == 0);
	}
}

static void
edu_move(const struct edu *e, uint64_t from, uint64_t to, uint32_t command)
{
	mmio_write64(e->regs, EDU_DMA_SOURCE, from);
	mmio_write64(e->regs, EDU_DMA_DEST, to);
	mmio_write64(e->regs, EDU_DMA_COUNT, MOVED);
	mmio_write64(e->regs, EDU_DMA_COMMAND, command | EDU_DMA_START | EDU_DMA_IRQ);
}

SELFTEST(pci_devices_read_and_write_memory)
{
	for (unsigned i = 0; i < num_edus; i++) {
		struct edu *e = edus[i];
		uint8_t *mem = e->buf.cpu;
		uint32_t before = e->num_irqs;

		SELFTEST_CHECK(e->buf.addr + e->buf.size <= 1ull << EDU_ADDRESS_BITS);
		for (unsigned b = 0; b < MOVED; b++)
			mem[b] = (uint8_t)(b * 7 + i);
		edu_move(e, e->buf.addr, EDU_BUFFER, 0);
		SELFTEST_CHECK(has_interrupted(e, before + 1));
		memset(mem, 0, PAGE_SIZE);
		edu_move(e, EDU_BUFFER, e->buf.addr + MOVED, EDU_DMA_TO_MEMORY);
		SELFTEST_CHECK(has_interrupted(e, before + 2));
		SELFTEST_CHECK(e->status == EDU_DMA_IRQ_STATUS);
		for (unsigned b = 0; b < MOVED; b++)
			SELFTEST_CHECK(
			    mem[MOVED + b] == (uint8_t)(b * 7 + i) && mem[b] == 0);
	}
}

SELFTEST(pci_devices_come_and_go)
{
	unsigned num = num_edus;

	while (num_edus) {
		struct device *dev = edus[0]->dev;

		dev_detach(dev);
		SELFTEST_CHECK(!dev->driver && !dev->taken && !dev->state);
		SELFTEST_CHECK(!(pci_cfg_read16(to_pci(dev), PCI_COMMAND) &
		                 (PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY)));
	}
	SELFTEST_CHECK(dev_attach_all() == num && num_edus == num);
	for (unsigned i = 0; i < num_edus; i++) {
		mmio_write32(edus[i]->regs, EDU_IRQ_RAISE, 1);
		SELFTEST_CHECK(has_interrupted(edus[i], 1));
	}
}
