/* The parts of the PCI room, for each other. */
#pragma once

#include "drivers/pci/pci.h"

extern const struct dev_bus pci_bus;

/* Walks all buses and adds what it finds; returns how many functions. Thread context. */
unsigned pci_enumerate(void);

/* How a line interrupt gets to an interrupt controller. */
struct pci_route {
	bool is_isa; /* number is an ISA interrupt, else a GSI */
	unsigned number;
	unsigned flags;  /* IRQ_* */
	const char *how; /* for the log */
};

/*
 * The way of the function's INTx line; `has_ioapic`: as an I/O APIC sees it, else as the
 * 8259s do. ERR_NODEV: the function has no line, or nobody knows the way.
 */
enum err pci_intx_route(const struct pci_dev *, bool has_ioapic, struct pci_route *out);

/* Notes the ISA bridge, whose registers know the routing. */
void pci_intx_add_bridge(const struct pci_dev *);

/*
 * Messages. pci_msi_alloc sets the function to MSI-X or MSI, all masked, and fills in
 * irq_kind and num_irqs. ERR_NODEV: it has none that works, or `kinds` or the command line
 * (nomsi, nomsix) forbid it.
 */
enum err pci_msi_alloc(struct pci_dev *, unsigned want, unsigned kinds);
void pci_msi_free(struct pci_dev *);
enum err pci_msi_request(
    struct pci_dev *, unsigned index, const struct dev_irq *, struct irq **out);

/* The functions' files in /proc/bus/pci and /sys/bus/pci: once, when all are found. Thread context. */
void pci_files_init(void);
