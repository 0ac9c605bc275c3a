/*
 * Two ways to configuration space. MMCONFIG (PCI Express 3.0, 7.2.2): 4 KiB a function at
 * an address that ACPI's MCFG table gives, mapped bus by bus, as few of the 256 exist.
 * Mechanism #1 (PCI 3.0, 3.2.2.3.2): ports CF8h and CFCh, segment 0 and the first 256
 * bytes only, one access at a time.
 */
#define LOG_PREFIX "pci: "
#include "drivers/pci/config.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/sync/spinlock.h"
#include "mm/kva.h"

enum {
	CONFIG_ADDRESS = 0xcf8,
	CONFIG_DATA = 0xcfc,
	CONFIG_ENABLE = 1u << 31,
	BUSES = 256,
	BUS_SHIFT = 20, /* of a bus in MMCONFIG: 32 slots x 8 functions x 4 KiB */
	PORT_SPACE = 256,
	MMCONFIG_SPACE = 4096,
};

/* Buses as mapped; written in thread context by the enumeration, [I] afterwards. */
static volatile void *bus_regs[PLATFORM_MAX_MCFG][BUSES];
static bool has_ports;
static bool is_mmconfig_usable;
static struct spinlock port_lock = SPINLOCK_INIT("pci_ports", RANK_PCI_CONFIG);

/* The MCFG entry a bus is in, or -1. */
static int
mcfg_of(unsigned segment, unsigned bus)
{
	for (unsigned i = 0; is_mmconfig_usable && i < platform.num_mcfg; i++) {
		const struct platform_mcfg *m = &platform.mcfg[i];

		if (m->segment == segment && bus >= m->first_bus && bus <= m->last_bus)
			return (int)i;
	}
	return -1;
}

/* The function's registers in memory, or NULL: it is reached by the ports. */
static volatile void *
function_regs(struct pci_addr a)
{
	int i = mcfg_of(a.segment, a.bus);

	if (i < 0 || !bus_regs[i][a.bus])
		return NULL;
	return (volatile char *)bus_regs[i][a.bus] + (a.slot << 15 | a.fn << 12);
}

static bool
is_by_ports(struct pci_addr a, unsigned off)
{
	return has_ports && a.segment == 0 && off < PORT_SPACE;
}

static uint32_t
port_address(struct pci_addr a, unsigned off)
{
	return CONFIG_ENABLE | (uint32_t)a.bus << 16 | a.slot << 11 | a.fn << 8 |
	       (off & 0xfc);
}

static uint32_t
port_read_locked(struct pci_addr a, unsigned off, unsigned width)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (off & 3));

	port_out32(CONFIG_ADDRESS, port_address(a, off));
	if (width == 1)
		return port_in8(port);
	return width == 2 ? port_in16(port) : port_in32(port);
}

static void
port_write_locked(struct pci_addr a, unsigned off, unsigned width, uint32_t v)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (off & 3));

	port_out32(CONFIG_ADDRESS, port_address(a, off));
	if (width == 1)
		port_out8(port, (uint8_t)v);
	else if (width == 2)
		port_out16(port, (uint16_t)v);
	else
		port_out32(port, v);
}

/* In a panic whoever holds the lock will never give it back. */
static uint32_t
port_read(struct pci_addr a, unsigned off, unsigned width)
{
	uint32_t v;

	if (log_is_panicking())
		return port_read_locked(a, off, width);
	spin_lock(&port_lock);
	v = port_read_locked(a, off, width);
	spin_unlock(&port_lock);
	return v;
}

static void
port_write(struct pci_addr a, unsigned off, unsigned width, uint32_t v)
{
	if (log_is_panicking()) {
		port_write_locked(a, off, width, v);
		return;
	}
	spin_lock(&port_lock);
	port_write_locked(a, off, width, v);
	spin_unlock(&port_lock);
}

uint32_t
pci_config_read(struct pci_addr a, unsigned off, unsigned width)
{
	volatile void *regs = function_regs(a);

	if (!regs)
		return is_by_ports(a, off) ? port_read(a, off, width) : UINT32_MAX;
	if (width == 1)
		return mmio_read8(regs, off);
	return width == 2 ? mmio_read16(regs, off) : mmio_read32(regs, off);
}

void
pci_config_write(struct pci_addr a, unsigned off, unsigned width, uint32_t v)
{
	volatile void *regs = function_regs(a);

	if (!regs) {
		if (is_by_ports(a, off))
			port_write(a, off, width, v);
	} else if (width == 1) {
		mmio_write8(regs, off, (uint8_t)v);
	} else if (width == 2) {
		mmio_write16(regs, off, (uint16_t)v);
	} else {
		mmio_write32(regs, off, v);
	}
}

unsigned
pci_config_size(struct pci_addr a)
{
	return function_regs(a) ? MMCONFIG_SPACE : PORT_SPACE;
}

bool
pci_config_open_bus(unsigned segment, unsigned bus)
{
	int i = mcfg_of(segment, bus);

	if (i >= 0 && !bus_regs[i][bus])
		bus_regs[i][bus] =
		    ioremap(platform.mcfg[i].base + ((uint64_t)bus << BUS_SHIFT),
		        1ul << BUS_SHIFT, CACHE_UC);
	return (i >= 0 && bus_regs[i][bus]) || (has_ports && segment == 0);
}

bool
pci_config_root(unsigned nth, unsigned *segment, unsigned *bus)
{
	if (!is_mmconfig_usable) {
		*segment = *bus = 0;
		return nth == 0 && has_ports;
	}
	if (nth >= platform.num_mcfg)
		return false;
	*segment = platform.mcfg[nth].segment;
	*bus = platform.mcfg[nth].first_bus;
	return true;
}

/* A host bridge answers at CF8h: the register keeps what is written (PCI 3.0, 3.2.2.3.2). */
static bool
probe_ports(void)
{
	uint32_t old = port_in32(CONFIG_ADDRESS), v;

	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE);
	v = port_in32(CONFIG_ADDRESS);
	port_out32(CONFIG_ADDRESS, old);
	return v == CONFIG_ENABLE;
}

/* Whether something answers where the table says, and is the same as by the ports. */
static bool
probe_mmconfig(void)
{
	struct pci_addr host = {.bus = (uint8_t)platform.mcfg[0].first_bus};
	uint32_t id;

	is_mmconfig_usable = true; /* so that the calls below use it */
	host.segment = (uint16_t)platform.mcfg[0].segment;
	if (!pci_config_open_bus(host.segment, host.bus) || !function_regs(host))
		return false;
	id = pci_config_read(host, PCI_VENDOR, 4);
	if (id == UINT32_MAX || id == 0)
		return false;
	return !is_by_ports(host, 0) || port_read(host, PCI_VENDOR, 4) == id;
}

bool
pci_config_init(void)
{
	has_ports = probe_ports();
	if (platform.num_mcfg && !cmdline_has("nommconf")) {
		is_mmconfig_usable = probe_mmconfig();
		if (!is_mmconfig_usable)
			log_warn("nobody answers at the address in the MCFG table");
	}
	if (is_mmconfig_usable)
		log_info("configuration by MMCONFIG at %#llx",
		    (unsigned long long)platform.mcfg[0].base);
	else if (has_ports)
		log_info("configuration by ports CF8h and CFCh");
	return is_mmconfig_usable || has_ports;
}
