/*
 * Intel 8254x gigabit Ethernet on PCI: 82540, 82544, 82545, 82546, copper.
 *
 * Theory of operation, for this driver and for e1000e.c. By "PCI/PCI-X Family of Gigabit
 * Ethernet Controllers Software Developer's Manual", revision 4.0 (SDM), and the
 * specification updates of the parts.
 *
 * Rings. The device walks rings of descriptors in memory, between a head that it moves and
 * a tail that we move (e1000_rx.c, e1000_tx.c). Each is cleaned by the poll of its queue
 * in a net thread; packets are sent under the queue's tx_lock.
 *
 * Interrupts. The handler reads ICR (that acknowledges), masks everything and schedules the
 * queue; the poll unmasks when it finds nothing more. Their rate is bounded by ITR, which
 * follows the load (e1000_netdev.c). A change of the link is only noted by the handler; the
 * next poll looks at it.
 *
 * Recovery. When the stack finds the transmitter hung, the device is reset and set up
 * again; packets that had not gone out are put on the ring once more.
 *
 * Known defects, by what the match table says of each part: struct e1000_quirk. Those of
 * the transmitter are told in e1000_tx.c. IPv6 is cut into segments in software: QEMU's model
 * counts the IPv6 header into the payload length of each (82540 to 82546), and the receiver
 * drops them as truncated.
 *
 * A device that was removed reads as ones. Nothing waits for it without bound; its interrupt
 * handler leaves ones alone, and up refuses.
 */
#define LOG_PREFIX "e1000: "
#include "drivers/net/e1000_priv.h"
#include "kernel/log.h"

enum {
	LATER = E1000_RESET_BY_IO,
	Q82544 = E1000_RESET_BY_IO | E1000_TABLE_BUG | E1000_NO_EERD | E1000_DWORD_BUG,
	Q82540 = LATER,
	Q82545 = LATER | E1000_64K_BUG,
	Q82546 = LATER | E1000_64K_BUG | E1000_TWO_PORTS,
	INTEL = 0x8086,
	BAR_REGS = 0,
};

/* SDM table 5-1. */
static const struct pci_id ids[] = {
    {.vendor = INTEL, .device = 0x1008, .data = Q82544}, /* 82544EI */
    {.vendor = INTEL, .device = 0x100c, .data = Q82544}, /* 82544GC */
    {.vendor = INTEL, .device = 0x100d, .data = Q82544}, /* 82544GC LOM */
    {.vendor = INTEL, .device = 0x100e, .data = Q82540}, /* 82540EM */
    {.vendor = INTEL, .device = 0x1015, .data = Q82540}, /* 82540EM LOM */
    {.vendor = INTEL, .device = 0x1016, .data = Q82540}, /* 82540EP LOM */
    {.vendor = INTEL, .device = 0x1017, .data = Q82540}, /* 82540EP */
    {.vendor = INTEL, .device = 0x101e, .data = Q82540}, /* 82540EP mobile */
    {.vendor = INTEL, .device = 0x100f, .data = Q82545}, /* 82545EM */
    {.vendor = INTEL, .device = 0x1010, .data = Q82546}, /* 82546EB */
    {0},
};

/* The window of ports is behind the memory BARs, where depends on their size. */
static uint16_t
find_ports(struct device *dev)
{
	uint16_t port;

	for (unsigned i = BAR_REGS + 1; i < DEV_MAX_BARS; i++)
		if (dev->bars[i].is_port && dev_port_bar(dev, i, &port) == OK)
			return port;
	return 0;
}

static enum err
try_attach(struct e1000 *e)
{
	enum err err = dev_map_bar(e->dev, BAR_REGS, &e->regs);

	if (err != OK)
		return err;
	e->io_port = find_ports(e->dev);
	e->is_pcix = e1000_read(e, E1000_STATUS) & STATUS_PCIX_MODE;
	/* On a plain PCI bus some of them hang when they have to use 64-bit addresses. */
	if (!e->is_pcix)
		e->dev->dma_bits = 32;
	e->dma_end = e->is_pcix ? UINT64_MAX : GIB(4);
	e->num_queues = 1;
	e->queues[0].causes = ICR_TXDW | ICR_LSC | ICR_RXDMT0 | ICR_RXO | ICR_RXT0;
	err = e1000_attach_common(e);
	if (err != OK)
		return err;
	err = dev_irq_alloc(e->dev, 1, DEV_IRQ_INTX);
	if (err == OK)
		err = dev_irq_request(e->dev, 0, e1000_irq, e, e->nd->queues[0].cpu);
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

static void
detach(struct device *dev)
{
	e1000_detach_common(dev->state);
}

static const struct driver e1000_driver = {
    .name = "e1000",
    .pci_ids = ids,
    .state_size = sizeof(struct e1000),
    .attach = attach,
    .detach = detach,
    .quiesce = e1000_quiesce,
};
DRIVER(e1000);
