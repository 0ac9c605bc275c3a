/*
 * Access to PCI configuration space, by whatever way the machine has. The seam under the
 * enumeration: host tests put a made-up machine behind these calls.
 */
#pragma once

#include "drivers/pci/pci.h"

/* Chooses the way; false: this machine has no PCI. Thread context, once. */
bool pci_config_init(void);

/*
 * Makes a bus reachable before its first use; false: it cannot be. Thread context. On a
 * reachable bus the two calls below work in any context.
 */
bool pci_config_open_bus(unsigned segment, unsigned bus);

/* `width` 1, 2 or 4 bytes, `off` a multiple of it. Where nothing is, ones are read. */
uint32_t pci_config_read(struct pci_addr, unsigned off, unsigned width);
void pci_config_write(struct pci_addr, unsigned off, unsigned width, uint32_t v);

/* Bytes of configuration space that can be reached on the bus: 256 or 4096. */
unsigned pci_config_size(struct pci_addr);

/* The segments with a root bus 0 to walk: `nth` from 0; false: no more. */
bool pci_config_root(unsigned nth, unsigned *segment, unsigned *bus);
