/*
 * Where INTx lines arrive, until an interpreter for the firmware's tables (_PRT) exists:
 * from what is known of two chip sets, and else from the number that firmware wrote into
 * the function.
 *
 * A bridge passes the four lines of a slot behind it on, turned by the slot's number
 * (PCI-to-PCI Bridge 1.2, 9.1), so on the root bus each function is a slot and a pin.
 *
 * ICH9 (I/O Controller Hub 9 data sheet, 10.1.38 to 10.1.45): a slot's pins go to PIRQA..H;
 * registers DxxIR in the chip set's own memory say which for slots 25 to 31, the others
 * are (slot + pin) of PIRQE..H on the boards we know. The I/O APIC has PIRQA..H as GSI 16
 * to 23; the 8259s get the ISA interrupt in registers 60h..63h and 68h..6Bh of the bridge.
 *
 * PIIX3 and PIIX4 (82371SB data sheet, 2.2.8): (slot - 1 + pin) of PIRQA..D, registers
 * 60h..63h of the bridge give the ISA interrupt, with and without I/O APIC.
 */
#define LOG_PREFIX "pci: "
#include "drivers/pci/pci_priv.h"

#include "kernel/log.h"
#include "mm/kva.h"

enum {
	VENDOR_INTEL = 0x8086,
	PIRQ_FIRST_GSI = 16,
	PIRQ_ROUTE_A = 0x60, /* PIRQA..D, one byte each */
	PIRQ_ROUTE_E = 0x68,
	PIRQ_ROUTE_OFF = 1 << 7,
	PIRQ_ROUTE_IRQ = 0xf,

	ICH9_RCBA = 0xf0, /* bit 0: enabled; 14..31: address */
	ICH9_RCBA_ENABLE = 1 << 0,
	ICH9_RCRB_SIZE = 0x4000,
	ICH9_FIRST_DXXIR = 25,
};

enum chipset { CHIPSET_UNKNOWN, CHIPSET_PIIX, CHIPSET_ICH9 };

static const struct known_bridge {
	uint16_t device;
	enum chipset chipset;
	const char *name;
} known_bridges[] = {
    {0x7000, CHIPSET_PIIX, "PIIX3's registers"},
    {0x7110, CHIPSET_PIIX, "PIIX4's registers"},
    {0x2912, CHIPSET_ICH9, "ICH9's registers"},
    {0x2914, CHIPSET_ICH9, "ICH9's registers"},
    {0x2916, CHIPSET_ICH9, "ICH9's registers"},
    {0x2918, CHIPSET_ICH9, "ICH9's registers"},
};

/* [I] after the enumeration */
static const struct pci_dev *isa_bridge;
static const struct known_bridge *known;
static volatile void *ich9_regs; /* NULL: not mapped */

void
pci_intx_add_bridge(const struct pci_dev *p)
{
	uint32_t rcba;

	if (isa_bridge || p->addr.bus || p->addr.segment || p->vendor != VENDOR_INTEL)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(known_bridges); i++)
		if (known_bridges[i].device == p->device)
			known = &known_bridges[i];
	if (!known)
		return;
	isa_bridge = p;
	if (known->chipset != CHIPSET_ICH9)
		return;
	rcba = pci_cfg_read32(p, ICH9_RCBA);
	if (rcba & ICH9_RCBA_ENABLE)
		ich9_regs = ioremap(rcba & ~0x3fffu, ICH9_RCRB_SIZE, CACHE_UC);
}

/* Pins and results are from 0: INTA, PIRQA. */
static unsigned
ich9_pirq(unsigned slot, unsigned pin)
{
	static const uint16_t dxxir[] = {
	    0x3150, 0x314c, 0x3148, 0x3146, 0x3144, 0x3142, 0x3140}; /* slots 25.. */
	enum { DMI_TO_PCI = 30 };

	if (slot == DMI_TO_PCI)
		return pin + 4; /* the bridge for plain PCI has no register of use */
	if (slot < ICH9_FIRST_DXXIR || !ich9_regs)
		return (slot + pin) % 4 + 4;
	return mmio_read16(ich9_regs, dxxir[slot - ICH9_FIRST_DXXIR]) >> pin * 4 & 7;
}

/* The ISA interrupt that the bridge turns PIRQ `pirq` into. */
static enum err
route_isa(unsigned pirq, struct pci_route *out)
{
	unsigned reg = pirq < 4 ? PIRQ_ROUTE_A + pirq : PIRQ_ROUTE_E + pirq - 4;
	unsigned v = pci_cfg_read8(isa_bridge, reg);

	if (v & PIRQ_ROUTE_OFF)
		return ERR_NODEV;
	out->is_isa = true;
	out->number = v & PIRQ_ROUTE_IRQ;
	return OK;
}

static enum err
route_by_line(const struct pci_dev *p, struct pci_route *out)
{
	if (p->line == 0 || p->line > 15)
		return ERR_NODEV;
	log_once(LOG_WARNING, "unknown chip set: lines as firmware wrote them down");
	out->how = "the function's register";
	out->is_isa = true;
	out->number = p->line;
	return OK;
}

enum err
pci_intx_route(const struct pci_dev *p, bool has_ioapic, struct pci_route *out)
{
	unsigned slot = p->addr.slot, pin = p->pin - 1u, pirq;

	if (!p->pin)
		return ERR_NODEV;
	for (const struct pci_dev *b = p->bridge; b; b = b->bridge) {
		pin = (pin + slot) % 4;
		slot = b->addr.slot;
	}
	*out = (struct pci_route){.flags = IRQ_LEVEL | IRQ_SHARED};
	if (!known || p->addr.segment)
		return route_by_line(p, out);
	out->how = known->name;
	if (known->chipset == CHIPSET_PIIX)
		return route_isa((slot - 1 + pin) % 4, out);
	pirq = ich9_pirq(slot, pin);
	if (!has_ioapic)
		return route_isa(pirq, out);
	out->number = PIRQ_FIRST_GSI + pirq;
	out->flags |= IRQ_ACTIVE_LOW;
	return OK;
}
