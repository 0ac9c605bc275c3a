/*
 * The small tables that name one device each: HPET (IA-PC HPET specification 1.0a
 * section 3.2.4), SPCR (the serial console of the firmware), MCFG (PCI Express
 * configuration space).
 */
#define LOG_PREFIX "acpi: "
#include "acpi/acpi.h"

#include "acpi/tables.h"
#include "kernel/log.h"
#include "kernel/platform.h"

enum hpet_field { HPET_SPACE = 40, HPET_ADDRESS = 44, HPET_SIZE = 56 };

enum spcr_field {
	SPCR_INTERFACE = 36,
	SPCR_BASE = 40,
	SPCR_IRQ_TYPE = 52, /* bit 1: the GSI below is valid */
	SPCR_GSI = 54,
	SPCR_BAUD = 58,
	SPCR_SIZE = 80,
};

enum mcfg_field { MCFG_ENTRIES = 44, MCFG_ENTRY_SIZE = 16 };

void
hpet_parse(const struct acpi_table *t, struct platform_info *out)
{
	if (t->len < HPET_SIZE || acpi_get(t, HPET_SPACE, 1) != SPACE_MEMORY) {
		log_warn("HPET table ignored: too short or not in memory space");
		return;
	}
	out->hpet_base = acpi_get(t, HPET_ADDRESS, 8);
}

static uint32_t
baud_of(uint64_t code)
{
	switch (code) {
	case 3: return 9600;
	case 4: return 19200;
	case 6: return 57600;
	case 7: return 115200;
	default: return 0;
	}
}

void
spcr_parse(const struct acpi_table *t, struct platform_info *out)
{
	if (t->len < SPCR_SIZE) {
		log_warn("SPCR ignored: too short");
		return;
	}
	out->serial = (struct platform_serial){
	    .interface = (uint32_t)acpi_get(t, SPCR_INTERFACE, 1),
	    .base =
	        {
	            .space = (uint8_t)acpi_get(t, SPCR_BASE, 1),
	            .bits = (uint8_t)acpi_get(t, SPCR_BASE + 1, 1),
	            .address = acpi_get(t, SPCR_BASE + 4, 8),
	        },
	    .gsi = acpi_get(t, SPCR_IRQ_TYPE, 1) & 2 ? (uint32_t)acpi_get(t, SPCR_GSI, 4)
	                                             : 0,
	    .baud = baud_of(acpi_get(t, SPCR_BAUD, 1)),
	};
}

void
mcfg_parse(const struct acpi_table *t, struct platform_info *out)
{
	for (uint32_t off = MCFG_ENTRIES; off + MCFG_ENTRY_SIZE <= t->len;
	     off += MCFG_ENTRY_SIZE) {
		struct platform_mcfg m = {
		    .base = acpi_get(t, off, 8),
		    .segment = (uint32_t)acpi_get(t, off + 8, 2),
		    .first_bus = (uint32_t)acpi_get(t, off + 10, 1),
		    .last_bus = (uint32_t)acpi_get(t, off + 11, 1),
		};

		if (!m.base || m.last_bus < m.first_bus ||
		    out->num_mcfg == PLATFORM_MAX_MCFG) {
			log_warn("MCFG: entry at offset %u ignored", off);
			continue;
		}
		out->mcfg[out->num_mcfg++] = m;
	}
}
