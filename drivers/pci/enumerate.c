/*
 * Finding the functions. From each root bus every slot is asked for its vendor; a bridge
 * leads to the bus behind it, as firmware numbered it. Buses are walked from a list, not by
 * recursion, each at most once, so bridges that point at each other end the walk.
 *
 * The size of a BAR is found by writing ones and reading which bits stick (PCI 3.0,
 * 6.2.5.1), with decoding off meanwhile, or the range would move over something else.
 */
#define LOG_PREFIX "pci: "
#include "drivers/pci/config.h"
#include "drivers/pci/pci_priv.h"

#include "kernel/log.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"

enum {
	SLOTS = 32,
	FUNCTIONS = 8,
	BUSES = 256,
	NO_VENDOR = 0xffff,
	HEADER_MULTI_FUNCTION = 1 << 7,
	HEADER_TYPE_MASK = 0x7f,
	HEADER_DEVICE = 0,
	HEADER_BRIDGE = 1,
	CLASS_HOST_BRIDGE = 0x0600,
	CLASS_ISA_BRIDGE = 0x0601,
	CLASS_PCI_BRIDGE = 0x0604,
	BAR_PORT = 1 << 0,
	BAR_TYPE_MASK = 3 << 1,
	BAR_TYPE_64 = 2 << 1,
	BAR_PREFETCHABLE = 1 << 3,
	ROM_ENABLE = 1 << 0,
	EXPRESS_FLAGS = 2, /* in the capability; bits 4..7: port type */
	EXPRESS_ROOT_PORT = 4,
	EXPRESS_DOWNSTREAM = 6,
};

/* The buses of one segment still to be walked. */
struct walk {
	unsigned segment;
	unsigned num, next;
	uint8_t buses[BUSES];
	const struct pci_dev *bridge_of[BUSES]; /* by bus number */
	bool is_seen[BUSES];
	unsigned num_functions;
};

/* ---- One function ------------------------------------------------------------------ */

static uint32_t
probe_register(struct pci_dev *p, unsigned off, uint32_t ones)
{
	uint32_t old = pci_cfg_read32(p, off), v;

	pci_cfg_write32(p, off, ones);
	v = pci_cfg_read32(p, off);
	pci_cfg_write32(p, off, old);
	return v;
}

/* A range's size from its mask of changeable address bits: the lowest that sticks. */
static uint64_t
size_of_mask(uint64_t mask)
{
	return mask & -mask;
}

/* Reads BAR `i`; returns how many registers it takes. */
static unsigned
read_bar(struct pci_dev *p, unsigned i, unsigned num)
{
	unsigned off = PCI_BAR0 + i * 4;
	struct dev_bar *b = &p->dev.bars[i];
	uint32_t low = pci_cfg_read32(p, off), mask = probe_register(p, off, UINT32_MAX);

	if (mask == 0 || mask == UINT32_MAX)
		return 1;
	if (mask & BAR_PORT) {
		/* The upper half may be hard-wired to zero: ports have 16 bits. */
		b->is_port = true;
		b->base = low & 0xfffc;
		b->size = size_of_mask(mask & 0xfffc);
		return 1;
	}
	b->base = low & ~0xfu;
	b->is_prefetchable = low & BAR_PREFETCHABLE;
	b->is_64bit = (mask & BAR_TYPE_MASK) == BAR_TYPE_64;
	if (!b->is_64bit || i + 1 >= num) {
		b->is_64bit = false;
		b->size = size_of_mask(mask & ~0xfu);
		return 1;
	}
	b->base |= (uint64_t)pci_cfg_read32(p, off + 4) << 32;
	b->size = size_of_mask(
	    (uint64_t)probe_register(p, off + 4, UINT32_MAX) << 32 | (mask & ~0xfu));
	return 2;
}

static void
read_rom(struct pci_dev *p, unsigned off)
{
	uint32_t base = pci_cfg_read32(p, off);
	uint32_t mask = probe_register(p, off, ~(uint32_t)ROM_ENABLE);

	if (mask == 0 || mask == UINT32_MAX)
		return;
	p->rom.base = base & ~0x7ffu;
	p->rom.size = size_of_mask(mask & ~0x7ffu);
}

static void
read_bars(struct pci_dev *p)
{
	bool is_bridge = p->header_type == HEADER_BRIDGE;
	unsigned num = is_bridge ? 2 : DEV_MAX_BARS;
	uint16_t command = pci_cfg_read16(p, PCI_COMMAND);

	/* Host bridges may stop memory when they are touched, and have nothing of use. */
	if (p->class >> 8 == CLASS_HOST_BRIDGE || p->header_type > HEADER_BRIDGE)
		return;
	pci_cfg_write16(
	    p, PCI_COMMAND, command & (uint16_t) ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < num;)
		i += read_bar(p, i, num);
	read_rom(p, is_bridge ? PCI_BRIDGE_ROM : PCI_ROM);
	pci_cfg_write16(p, PCI_COMMAND, command);
}

static void
read_function(struct pci_dev *p)
{
	uint32_t class = pci_cfg_read32(p, PCI_REVISION);

	p->vendor = pci_cfg_read16(p, PCI_VENDOR);
	p->device = pci_cfg_read16(p, PCI_DEVICE);
	p->class = class >> 8;
	p->revision = class & 0xff;
	p->header_type = pci_cfg_read8(p, PCI_HEADER_TYPE) & HEADER_TYPE_MASK;
	p->line = pci_cfg_read8(p, PCI_INTERRUPT_LINE);
	p->pin = pci_cfg_read8(p, PCI_INTERRUPT_PIN);
	if (p->pin > 4)
		p->pin = 0;
	if (p->header_type == HEADER_DEVICE) {
		p->subvendor = pci_cfg_read16(p, PCI_SUBVENDOR);
		p->subdevice = pci_cfg_read16(p, PCI_SUBDEVICE);
	}
	p->cap_msi = (uint8_t)pci_find_cap(p, PCI_CAP_MSI, 0);
	p->cap_msix = (uint8_t)pci_find_cap(p, PCI_CAP_MSIX, 0);
	p->cap_express = (uint8_t)pci_find_cap(p, PCI_CAP_EXPRESS, 0);
	read_bars(p);
	scnprintf(p->dev.name, sizeof(p->dev.name), "%04x:%02x:%02x.%u", p->addr.segment,
	    p->addr.bus, p->addr.slot, p->addr.fn);
	p->dev.bus = &pci_bus;
}

static void
log_function(const struct pci_dev *p)
{
	log_info("%s: [%04x:%04x] class %06x rev %02x%s%s%s", p->dev.name, p->vendor,
	    p->device, p->class, p->revision, p->cap_express ? " express" : "",
	    p->cap_msi ? " msi" : "", p->cap_msix ? " msix" : "");
	for (unsigned i = 0; i < DEV_MAX_BARS; i++) {
		const struct dev_bar *b = &p->dev.bars[i];

		if (b->size)
			log_debug("%s: BAR %u: %s %#llx, %#llx bytes%s%s", p->dev.name, i,
			    b->is_port ? "ports" : "memory", (unsigned long long)b->base,
			    (unsigned long long)b->size, b->is_64bit ? ", 64-bit" : "",
			    b->is_prefetchable ? ", prefetchable" : "");
	}
}

/* ---- The walk ---------------------------------------------------------------------- */

static void
push_bus(struct walk *w, unsigned bus, const struct pci_dev *bridge)
{
	if (w->is_seen[bus]) {
		log_warn("bus %02x is behind more than one bridge", bus);
		return;
	}
	w->is_seen[bus] = true;
	w->bridge_of[bus] = bridge;
	w->buses[w->num++] = (uint8_t)bus;
}

static void
follow_bridge(struct walk *w, const struct pci_dev *p)
{
	unsigned secondary = pci_cfg_read8(p, PCI_SECONDARY_BUS);

	if (secondary == 0 || secondary == UINT8_MAX)
		log_warn("%s: firmware gave the bus behind it no number", p->dev.name);
	else
		push_bus(w, secondary, p);
}

/* Looks for a function; true: there is one and its device has more. */
static bool
scan_function(struct walk *w, struct pci_addr addr)
{
	struct pci_dev *p;
	unsigned vendor = pci_config_read(addr, PCI_VENDOR, 2);
	bool has_more;

	if (vendor == NO_VENDOR || vendor == 0)
		return false;
	p = kzalloc(sizeof(*p));
	if (!p) {
		log_err("no memory for the device at %02x:%02x.%u", addr.bus, addr.slot,
		    addr.fn);
		return false;
	}
	p->addr = addr;
	p->bridge = w->bridge_of[addr.bus];
	has_more = pci_cfg_read8(p, PCI_HEADER_TYPE) & HEADER_MULTI_FUNCTION;
	read_function(p);
	log_function(p);
	dev_add(&p->dev);
	w->num_functions++;
	if (p->class >> 8 == CLASS_ISA_BRIDGE)
		pci_intx_add_bridge(p);
	if (p->class >> 8 == CLASS_PCI_BRIDGE && p->header_type == HEADER_BRIDGE)
		follow_bridge(w, p);
	return has_more;
}

/* Behind a PCI Express port there is one device (PCI Express 3.0, 7.3.1). */
static unsigned
slots_behind(const struct pci_dev *bridge)
{
	unsigned type;

	if (!bridge || !bridge->cap_express)
		return SLOTS;
	type = pci_cfg_read16(bridge, bridge->cap_express + EXPRESS_FLAGS) >> 4 & 0xf;
	return type == EXPRESS_ROOT_PORT || type == EXPRESS_DOWNSTREAM ? 1 : SLOTS;
}

static void
scan_bus(struct walk *w, unsigned bus)
{
	unsigned num_slots = slots_behind(w->bridge_of[bus]);

	if (!pci_config_open_bus(w->segment, bus)) {
		log_warn("bus %02x cannot be reached", bus);
		return;
	}
	for (unsigned slot = 0; slot < num_slots; slot++) {
		struct pci_addr a = {
		    .segment = (uint16_t)w->segment,
		    .bus = (uint8_t)bus,
		    .slot = (uint8_t)slot,
		};

		if (!scan_function(w, a))
			continue;
		for (a.fn = 1; a.fn < FUNCTIONS; a.fn++)
			(void)scan_function(w, a); /* only function 0 speaks for all */
	}
}

unsigned
pci_enumerate(void)
{
	struct walk *w = kzalloc(sizeof(*w));
	unsigned segment, bus, num = 0;

	if (!w)
		return 0;
	for (unsigned nth = 0; pci_config_root(nth, &segment, &bus); nth++) {
		memset(w, 0, sizeof(*w));
		w->segment = segment;
		push_bus(w, bus, NULL);
		while (w->next < w->num)
			scan_bus(w, w->buses[w->next++]);
		num += w->num_functions;
	}
	kfree(w);
	return num;
}
