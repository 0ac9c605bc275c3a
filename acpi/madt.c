/*
 * MADT: processors, I/O APICs, how ISA interrupts are wired, and where NMIs come in
 * (ACPI 6.4 section 5.2.12). Entries of unknown type are skipped, as the specification
 * asks.
 */
#define LOG_PREFIX "acpi: "
#include "acpi/acpi.h"

#include "acpi/tables.h"
#include "kernel/log.h"
#include "kernel/platform.h"

enum {
	MADT_LAPIC_ADDRESS = 36,
	MADT_FLAGS = 40,
	MADT_ENTRIES = 44,
	MADT_FLAG_PCAT_COMPAT = 1 << 0, /* dual 8259 there */
	MADT_ALL_UIDS_8BIT = 0xff,
	MADT_ALL_UIDS = 0xffffffff,
};

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_NMI_SOURCE = 3,
	MADT_LAPIC_NMI = 4,
	MADT_LAPIC_OVERRIDE = 5,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

enum { CPU_FLAG_ENABLED = 1 << 0, CPU_FLAG_ONLINE_CAPABLE = 1 << 1 };

static void
add_cpu(struct platform_info *out, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
	if (!(flags & (CPU_FLAG_ENABLED | CPU_FLAG_ONLINE_CAPABLE)))
		return;
	for (uint32_t i = 0; i < out->num_cpus; i++) {
		if (out->cpus[i].apic_id != apic_id)
			continue;
		/* The same processor as LAPIC and as x2APIC entry: firmware does that. */
		if (flags & CPU_FLAG_ENABLED)
			out->cpus[i].is_enabled = true;
		return;
	}
	if (out->num_cpus == PLATFORM_MAX_CPUS) {
		out->num_cpus_dropped++;
		return;
	}
	out->cpus[out->num_cpus++] = (struct platform_cpu){
	    .apic_id = apic_id,
	    .acpi_uid = uid,
	    .is_enabled = flags & CPU_FLAG_ENABLED,
	};
}

static void
add_ioapic(struct platform_info *out, const struct acpi_entry *e)
{
	paddr_t base = acpi_entry_get(e, 4, 4);

	if (e->len < 12 || !base || out->num_ioapics == PLATFORM_MAX_IOAPICS) {
		log_warn("MADT: I/O APIC entry ignored");
		return;
	}
	out->ioapics[out->num_ioapics++] = (struct platform_ioapic){
	    .id = (uint32_t)acpi_entry_get(e, 2, 1),
	    .base = base,
	    .gsi_base = (uint32_t)acpi_entry_get(e, 8, 4),
	};
}

static void
add_override(struct platform_info *out, const struct acpi_entry *e)
{
	uint32_t isa = (uint32_t)acpi_entry_get(e, 3, 1);

	if (e->len < 10 || isa > 15 || out->num_overrides == PLATFORM_MAX_OVERRIDES) {
		log_warn("MADT: interrupt override ignored");
		return;
	}
	out->overrides[out->num_overrides++] = (struct platform_override){
	    .isa = isa,
	    .gsi = (uint32_t)acpi_entry_get(e, 4, 4),
	    .flags = (uint32_t)acpi_entry_get(e, 8, 2),
	};
}

static void
add_nmi(struct platform_info *out, struct platform_nmi nmi)
{
	if ((nmi.is_lint && nmi.lint > 1) || out->num_nmis == PLATFORM_MAX_NMIS) {
		log_warn("MADT: NMI entry ignored");
		return;
	}
	out->nmis[out->num_nmis++] = nmi;
}

static void
add_lint_nmi(struct platform_info *out, const struct acpi_entry *e)
{
	bool is_x2 = e->type == MADT_X2APIC_NMI;
	uint32_t uid =
	    (uint32_t)(is_x2 ? acpi_entry_get(e, 4, 4) : acpi_entry_get(e, 2, 1));

	if (e->len < (is_x2 ? 12 : 6))
		return;
	if (uid == (is_x2 ? MADT_ALL_UIDS : MADT_ALL_UIDS_8BIT))
		uid = PLATFORM_ALL_CPUS;
	add_nmi(out, (struct platform_nmi){
	                 .is_lint = true,
	                 .acpi_uid = uid,
	                 .lint = (uint32_t)acpi_entry_get(e, is_x2 ? 8 : 5, 1),
	                 .flags = (uint32_t)(is_x2 ? acpi_entry_get(e, 2, 2)
	                                           : acpi_entry_get(e, 3, 2)),
	             });
}

static void
parse_entry(struct platform_info *out, const struct acpi_entry *e)
{
	uint32_t id;

	switch ((enum madt_type)e->type) {
	case MADT_LAPIC:
		id = (uint32_t)acpi_entry_get(e, 3, 1);
		if (e->len >= 8 && id != 0xff) /* 255 is the broadcast address */
			add_cpu(out, id, (uint32_t)acpi_entry_get(e, 2, 1),
			    (uint32_t)acpi_entry_get(e, 4, 4));
		break;
	case MADT_X2APIC:
		id = (uint32_t)acpi_entry_get(e, 4, 4);
		if (e->len >= 16 && id != 0xffffffff)
			add_cpu(out, id, (uint32_t)acpi_entry_get(e, 12, 4),
			    (uint32_t)acpi_entry_get(e, 8, 4));
		break;
	case MADT_IOAPIC: add_ioapic(out, e); break;
	case MADT_OVERRIDE: add_override(out, e); break;
	case MADT_NMI_SOURCE:
		if (e->len >= 8)
			add_nmi(out, (struct platform_nmi){
			                 .gsi = (uint32_t)acpi_entry_get(e, 4, 4),
			                 .flags = (uint32_t)acpi_entry_get(e, 2, 2),
			             });
		break;
	case MADT_LAPIC_NMI:
	case MADT_X2APIC_NMI: add_lint_nmi(out, e); break;
	case MADT_LAPIC_OVERRIDE:
		if (e->len >= 12 && acpi_entry_get(e, 4, 8))
			out->lapic_base = acpi_entry_get(e, 4, 8);
		break;
	}
}

void
madt_parse(const struct acpi_table *t, struct platform_info *out)
{
	uint32_t off = MADT_ENTRIES;
	struct acpi_entry e;
	paddr_t base = acpi_get(t, MADT_LAPIC_ADDRESS, 4);

	if (base)
		out->lapic_base = base;
	out->has_pic = acpi_get(t, MADT_FLAGS, 4) & MADT_FLAG_PCAT_COMPAT;
	while (acpi_next_entry(t, &off, &e))
		parse_entry(out, &e);
	if (out->num_cpus_dropped)
		log_warn("MADT lists %u CPUs more than the %u this kernel handles",
		    out->num_cpus_dropped, (unsigned)PLATFORM_MAX_CPUS);
}
