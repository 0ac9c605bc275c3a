/*
 * PCI as the device core sees it: matching, the command register, capability lists.
 */
#define LOG_PREFIX "pci: "
#include "drivers/pci/pci.h"

#include "drivers/pci/config.h"
#include "drivers/pci/pci_priv.h"
#include "kernel/log.h"

enum {
	CAP_FIRST = 0x40, /* below it is the header */
	CAP_MAX = (256 - CAP_FIRST) / 4,
	EXT_CAP_MAX = (4096 - PCI_EXT_CAPABILITIES) / 4,
};

/* ---- Configuration space ----------------------------------------------------------- */

uint8_t
pci_cfg_read8(const struct pci_dev *p, unsigned off)
{
	return (uint8_t)pci_config_read(p->addr, off, 1);
}

uint16_t
pci_cfg_read16(const struct pci_dev *p, unsigned off)
{
	return (uint16_t)pci_config_read(p->addr, off, 2);
}

uint32_t
pci_cfg_read32(const struct pci_dev *p, unsigned off)
{
	return pci_config_read(p->addr, off, 4);
}

void
pci_cfg_write16(const struct pci_dev *p, unsigned off, uint16_t v)
{
	pci_config_write(p->addr, off, 2, v);
}

void
pci_cfg_write32(const struct pci_dev *p, unsigned off, uint32_t v)
{
	pci_config_write(p->addr, off, 4, v);
}

/* PCI 3.0, 6.7: a byte of id, a byte with the offset of the next. */
unsigned
pci_find_cap(const struct pci_dev *p, unsigned id, unsigned after)
{
	unsigned off = after ? after + 1 : PCI_CAPABILITIES;

	if (!(pci_cfg_read16(p, PCI_STATUS) & PCI_STATUS_CAPABILITIES))
		return 0;
	for (unsigned i = 0; i < CAP_MAX; i++) {
		off = pci_cfg_read8(p, off) & 0xfcu;
		if (off < CAP_FIRST)
			return 0;
		if (pci_cfg_read8(p, off) == id)
			return off;
		off++;
	}
	log_once(LOG_WARNING, "%s: its list of capabilities is a circle", p->dev.name);
	return 0;
}

/* PCI Express 3.0, 7.9: id in bits 0..15, offset of the next in bits 20..31. */
unsigned
pci_find_ext_cap(const struct pci_dev *p, unsigned id, unsigned after)
{
	unsigned off = PCI_EXT_CAPABILITIES;

	if (!p->cap_express || pci_config_size(p->addr) <= PCI_EXT_CAPABILITIES)
		return 0;
	if (after)
		off = pci_cfg_read32(p, after) >> 20 & 0xffc;
	for (unsigned i = 0; i < EXT_CAP_MAX && off >= PCI_EXT_CAPABILITIES; i++) {
		uint32_t header = pci_cfg_read32(p, off);

		if (header == 0 || header == UINT32_MAX)
			return 0;
		if ((header & 0xffff) == id)
			return off;
		off = header >> 20 & 0xffc;
	}
	return 0;
}

/* ---- The bus ----------------------------------------------------------------------- */

static const struct pci_id *
match(const struct device *dev, const struct driver *driver)
{
	const struct pci_dev *p = container_of(dev, const struct pci_dev, dev);

	for (const struct pci_id *id = driver->pci_ids; id && id->vendor; id++)
		if ((id->vendor == PCI_ANY || id->vendor == p->vendor) &&
		    (id->device == PCI_ANY || id->device == p->device) &&
		    (p->class & id->class_mask) == id->class)
			return id;
	return NULL;
}

static void
change_command(const struct pci_dev *p, unsigned bits, bool is_on)
{
	unsigned v = pci_cfg_read16(p, PCI_COMMAND);

	v = is_on ? v | bits : v & ~bits;
	pci_cfg_write16(p, PCI_COMMAND, (uint16_t)v);
}

/* The state D0, full power (PCI Power Management 1.2, 3.2.4). */
static void
power_up(const struct pci_dev *p)
{
	enum { PM_CONTROL = 4, PM_STATE_MASK = 3 };
	unsigned cap = pci_find_cap(p, PCI_CAP_PM, 0);
	unsigned v = cap ? pci_cfg_read16(p, cap + PM_CONTROL) : 0;

	if (v & PM_STATE_MASK)
		pci_cfg_write16(
		    p, cap + PM_CONTROL, (uint16_t)(v & ~(unsigned)PM_STATE_MASK));
}

/* Full power, for the function and for the bridges before it, and these pass all on. */
static void
open_the_way(const struct pci_dev *p)
{
	power_up(p);
	for (p = p->bridge; p; p = p->bridge) {
		power_up(p);
		change_command(
		    p, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, true);
	}
}

static void
set_decode(struct device *dev, bool is_on)
{
	unsigned bits = 0;

	if (is_on)
		open_the_way(to_pci(dev));
	for (unsigned i = 0; i < DEV_MAX_BARS; i++)
		if (dev->bars[i].size && dev->bars[i].base)
			bits |=
			    dev->bars[i].is_port ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	change_command(to_pci(dev), bits, is_on);
}

static void
set_dma(struct device *dev, bool is_on)
{
	change_command(to_pci(dev), PCI_COMMAND_MASTER, is_on);
}

/* ---- Interrupts -------------------------------------------------------------------- */

static enum err
irq_alloc(struct device *dev, unsigned want, unsigned kinds)
{
	struct pci_dev *p = to_pci(dev);

	if (pci_msi_alloc(p, want, kinds) == OK)
		return OK;
	if (!(kinds & DEV_IRQ_INTX) || !p->pin)
		return ERR_NODEV;
	dev->irq_kind = DEV_IRQ_INTX;
	dev->num_irqs = 1;
	change_command(p, PCI_COMMAND_INTX_OFF, false);
	return OK;
}

static void
irq_free(struct device *dev)
{
	struct pci_dev *p = to_pci(dev);

	if (p->msi)
		pci_msi_free(p);
	change_command(p, PCI_COMMAND_INTX_OFF, true);
}

static enum err
request_line(struct pci_dev *p, const struct dev_irq *r, struct irq **out)
{
	struct pci_route route;
	enum err err;

	/* First as an I/O APIC sees it; ERR_NODEV when there is none. */
	for (int has_ioapic = 1; has_ioapic >= 0; has_ioapic--) {
		err = pci_intx_route(p, has_ioapic, &route);
		if (err != OK)
			continue;
		if (route.is_isa)
			err = irq_request_isa_flags(
			    route.number, route.flags, r->name, r->fn, r->arg, out);
		else
			err = irq_request_gsi(
			    route.number, route.flags, r->name, r->fn, r->arg, out);
		if (err != ERR_NODEV)
			break;
	}
	if (err == OK)
		log_info("%s: INT%c is %s %u, by %s", p->dev.name, 'A' + p->pin - 1,
		    route.is_isa ? "IRQ" : "GSI", route.number, route.how);
	else
		log_err("%s: its INT%c leads nowhere: error %d", p->dev.name,
		    'A' + p->pin - 1, -(int)err);
	return err;
}

static enum err
irq_request(struct device *dev, unsigned index, const struct dev_irq *r, struct irq **out)
{
	struct pci_dev *p = to_pci(dev);

	return p->msi ? pci_msi_request(p, index, r, out) : request_line(p, r, out);
}

const struct dev_bus pci_bus = {
    .match = match,
    .set_decode = set_decode,
    .set_dma = set_dma,
    .irq_alloc = irq_alloc,
    .irq_free = irq_free,
    .irq_request = irq_request,
};

void
pci_init(void)
{
	if (!pci_config_init()) {
		log_info("this machine has no PCI");
		return;
	}
	log_info("%u functions", pci_enumerate());
	pci_files_init();
}
