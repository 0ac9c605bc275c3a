/*
 * Stops the DMA that firmware drivers left going (network receive rings, USB schedules):
 * it would write into memory that is the kernel's now. Runs after ExitBootServices, so
 * nobody turns it on again. Configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2)
 * reaches segment 0.
 *
 * Bridges stay on, they forward; so do displays, whose picture may lie in memory.
 */
#include "loader/efi/loader.h"

#include "loader/arch.h"

enum {
	CONFIG_ADDRESS = 0xcf8,
	CONFIG_DATA = 0xcfc,
	REG_ID = 0x00,
	REG_COMMAND = 0x04, /* low half; the high half is status, written ones clear it */
	REG_CLASS = 0x08,
	REG_HEADER = 0x0c,
	COMMAND_BUS_MASTER = 1 << 2,
	COMMAND_INTX_OFF = 1 << 10,
	CLASS_DISPLAY = 3,
	CLASS_BRIDGE = 6,
	NO_DEVICE = 0xffff,
};

static uint32_t
config_read32(unsigned bus, unsigned dev, unsigned fn, unsigned reg)
{
	arch_out32(CONFIG_ADDRESS, 1u << 31 | bus << 16 | dev << 11 | fn << 8 | reg);
	return arch_in32(CONFIG_DATA);
}

static void
config_write32(unsigned bus, unsigned dev, unsigned fn, unsigned reg, uint32_t value)
{
	arch_out32(CONFIG_ADDRESS, 1u << 31 | bus << 16 | dev << 11 | fn << 8 | reg);
	arch_out32(CONFIG_DATA, value);
}

static void
stop_function(unsigned bus, unsigned dev, unsigned fn)
{
	unsigned class = config_read32(bus, dev, fn, REG_CLASS) >> 24;
	uint32_t command = config_read32(bus, dev, fn, REG_COMMAND) & 0xffff;

	if (class != CLASS_DISPLAY && class != CLASS_BRIDGE &&
	    command & COMMAND_BUS_MASTER)
		config_write32(bus, dev, fn, REG_COMMAND,
		    (command & ~(uint32_t)COMMAND_BUS_MASTER) | COMMAND_INTX_OFF);
}

static void
stop_device(unsigned bus, unsigned dev)
{
	bool is_multi;

	if ((config_read32(bus, dev, 0, REG_ID) & 0xffff) == NO_DEVICE)
		return;
	is_multi = config_read32(bus, dev, 0, REG_HEADER) >> 23 & 1;
	stop_function(bus, dev, 0);
	for (unsigned fn = 1; is_multi && fn < 8; fn++) {
		if ((config_read32(bus, dev, fn, REG_ID) & 0xffff) != NO_DEVICE)
			stop_function(bus, dev, fn);
	}
}

void
pci_stop_dma(void)
{
	for (unsigned bus = 0; bus < 256; bus++) {
		for (unsigned dev = 0; dev < 32; dev++)
			stop_device(bus, dev);
	}
}
