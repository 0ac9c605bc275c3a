/*
 * Intel 82574 gigabit Ethernet on PCI Express. By "82574 GbE Controller Family Datasheet",
 * revision 3.4, and its specification update. What it shares with the 8254x is told in
 * e1000.c.
 *
 * Queues. With MSI-X it has two receive and two transmit rings, each pair with a vector and
 * a CPU of its own, and a third vector for other causes; flows are spread over the rings by
 * the receive-side scaling hash. The message acknowledges (EIAC). With MSI or INTx there is
 * one queue, and ICR is read as on the 8254x.
 *
 * Firmware shares the PHY and the NVM: a semaphore in EXTCNF_CTRL says whose they are.
 *
 * Known defects: the link's power states L0s and L1 lose packets and hang the device, so
 * they are turned off; bits that must be set are in e1000_hw.c.
 */
#define LOG_PREFIX "e1000e: "
#include "drivers/net/e1000_priv.h"
#include "drivers/pci/pci.h"
#include "kernel/log.h"
#include "kernel/x86/percpu.h"

enum {
	INTEL = 0x8086,
	BAR_REGS = 0,
	PCIE_LINK_CONTROL = 0x10, /* in the capability */
	PCIE_ASPM = 3,
};

static const struct pci_id ids[] = {
    {.vendor = INTEL, .device = 0x10d3, .data = E1000_IS_82574 | E1000_HAS_TSO6},
    {.vendor = INTEL, .device = 0x10f6, .data = E1000_IS_82574 | E1000_HAS_TSO6},
    {0},
};

static void
turn_aspm_off(struct device *dev)
{
	const struct pci_dev *p = to_pci(dev);
	unsigned reg = p->cap_express + PCIE_LINK_CONTROL;

	if (p->cap_express)
		pci_cfg_write16(
		    p, reg, (uint16_t)(pci_cfg_read16(p, reg) & ~(unsigned)PCIE_ASPM));
}

/* How many queues, and what interrupts each. */
static enum err
choose_interrupts(struct e1000 *e)
{
	unsigned queues = MIN(num_cpus, (unsigned)E1000_MAX_QUEUES);
	enum err err = dev_irq_alloc(e->dev, queues + 1, DEV_IRQ_ANY);

	if (err != OK)
		return err;
	e->is_msix = e->dev->irq_kind == DEV_IRQ_MSIX && e->dev->num_irqs > 1;
	e->num_queues = e->is_msix ? MIN(e->dev->num_irqs - 1, queues) : 1;
	if (!e->is_msix) {
		e->queues[0].causes =
		    ICR_TXDW | ICR_LSC | ICR_RXDMT0 | ICR_RXO | ICR_RXT0;
		return OK;
	}
	e->link_causes = ICR_OTHER | ICR_LSC;
	for (unsigned i = 0; i < e->num_queues; i++)
		e->queues[i].causes = ICR_RXQ0 << i | ICR_TXQ0 << i;
	return OK;
}

static enum err
request_interrupts(struct e1000 *e)
{
	enum err err = OK;

	if (!e->is_msix)
		return dev_irq_request(e->dev, 0, e1000_irq, e, e->nd->queues[0].cpu);
	for (unsigned i = 0; i < e->num_queues && err == OK; i++)
		err = dev_irq_request(
		    e->dev, i, e1000_irq_queue, &e->queues[i], e->nd->queues[i].cpu);
	if (err == OK)
		err = dev_irq_request(
		    e->dev, e->num_queues, e1000_irq_other, e, DEV_ANY_CPU);
	return err;
}

static enum err
try_attach(struct e1000 *e)
{
	enum err err = dev_map_bar(e->dev, BAR_REGS, &e->regs);

	if (err != OK)
		return err;
	e->dma_end = UINT64_MAX;
	turn_aspm_off(e->dev);
	err = choose_interrupts(e);
	if (err == OK)
		err = e1000_attach_common(e);
	if (err == OK)
		err = request_interrupts(e);
	if (err != OK)
		return err;
	dev_enable_dma(e->dev);
	return netdev_register(e->nd, NULL);
}

static enum err
attach(struct device *dev)
{
	return e1000_attach(dev, try_attach);
}

/* Firmware may have the device again. */
static void
give_back(struct e1000 *e)
{
	e1000_write(e, E1000_CTRL_EXT,
	    e1000_read(e, E1000_CTRL_EXT) & ~(uint32_t)CTRL_EXT_DRV_LOAD);
}

static void
detach(struct device *dev)
{
	struct e1000 *e = dev->state;

	e1000_detach_common(e);
	give_back(e);
}

static void
quiesce(struct device *dev)
{
	e1000_quiesce(dev);
	give_back(dev->state);
}

static const struct driver e1000e_driver = {
    .name = "e1000e",
    .pci_ids = ids,
    .state_size = sizeof(struct e1000),
    .attach = attach,
    .detach = detach,
    .quiesce = quiesce,
};
DRIVER(e1000e);
