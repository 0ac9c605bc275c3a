/*
 * PCI functions (PCI Local Bus 3.0, PCI Express Base 3.0): found once at boot by walking
 * the buses, each added to the device core. Resources are as firmware assigned them.
 *
 * Drivers need little of this: dev_ calls map registers and give interrupts; to_pci gives
 * the function, for ids and capabilities.
 */
#pragma once

#include "drivers/device.h"

struct pci_dev;

/* Configuration space (PCI 3.0, 6.1). */
enum pci_reg {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08, /* and above it 24 bits of class code */
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SECONDARY_BUS = 0x19,
	PCI_SUBVENDOR = 0x2c,
	PCI_SUBDEVICE = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_BRIDGE_ROM = 0x38,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_EXT_CAPABILITIES = 0x100,
};

enum pci_command {
	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_INTX_OFF = 1 << 10,
};

enum { PCI_STATUS_CAPABILITIES = 1 << 4 };

enum pci_cap {
	PCI_CAP_PM = 0x01,
	PCI_CAP_MSI = 0x05,
	PCI_CAP_VENDOR = 0x09,
	PCI_CAP_EXPRESS = 0x10,
	PCI_CAP_MSIX = 0x11,
};

/* Where a function is. */
struct pci_addr {
	uint16_t segment;
	uint8_t bus, slot, fn;
};

struct pci_dev {
	struct device dev;
	struct pci_addr addr;         /* [I] as all that follows, but the last group */
	const struct pci_dev *bridge; /* it is behind; NULL: on a root bus */
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class; /* class << 16 | subclass << 8 | interface */
	uint8_t revision, header_type;
	uint8_t pin;  /* 1..4: INTA..INTD; 0: none */
	uint8_t line; /* what firmware wrote down for a PC without I/O APIC */
	struct dev_bar rom;
	uint8_t cap_msi, cap_msix, cap_express; /* offsets; 0: has none */

	struct pci_msi *msi; /* while interrupts are messages */
};

static inline struct pci_dev *
to_pci(struct device *dev)
{
	return container_of(dev, struct pci_dev, dev);
}

/* Configuration space. Any context. Beyond what is reachable it reads as ones. */
uint8_t pci_cfg_read8(const struct pci_dev *, unsigned off);
uint16_t pci_cfg_read16(const struct pci_dev *, unsigned off);
uint32_t pci_cfg_read32(const struct pci_dev *, unsigned off);
void pci_cfg_write16(const struct pci_dev *, unsigned off, uint16_t v);
void pci_cfg_write32(const struct pci_dev *, unsigned off, uint32_t v);

/*
 * The first capability `id` after offset `after` (0: from the beginning); 0: none. A list
 * that loops or points out of its space ends there.
 */
unsigned pci_find_cap(const struct pci_dev *, unsigned id, unsigned after);
/* The same for PCI Express extended capabilities. */
unsigned pci_find_ext_cap(const struct pci_dev *, unsigned id, unsigned after);

/*
 * Boot, thread context, after acpi and irq: finds all functions and adds them, registers
 * /proc/bus/pci/devices. dev_attach_all then brings the drivers.
 */
void pci_init(void);
