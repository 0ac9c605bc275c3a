/* Runs the table parsers in order and says in the log what was found. */
#define LOG_PREFIX "acpi: "
#include "acpi/acpi.h"

#include "acpi/map.h"
#include "acpi/tables.h"
#include "kernel/boot.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "lib/string.h"

static const struct {
	const char *signature;
	void (*parse)(const struct acpi_table *, struct platform_info *);
} parsers[] = {
    {"APIC", madt_parse},
    {"FACP", fadt_parse},
    {"SRAT", srat_parse}, /* after APIC: gives nodes to its CPUs */
    {"HPET", hpet_parse},
    {"SPCR", spcr_parse},
    {"MCFG", mcfg_parse},
};

static void
find_s5(struct platform_power *power)
{
	const struct acpi_table *t = acpi_find("DSDT", 0);

	if (t)
		power->has_s5 = s5_scan(t, &power->s5_type_a, &power->s5_type_b);
	for (unsigned i = 0; !power->has_s5 && (t = acpi_find("SSDT", i)); i++)
		power->has_s5 = s5_scan(t, &power->s5_type_a, &power->s5_type_b);
}

/* acpi=off, as in Linux: for machines whose tables do more harm than good. */
static bool
is_switched_off(void)
{
	const char *value = cmdline_get("acpi", 0);

	return value && !strcmp(value, "off");
}

void
acpi_describe(const struct boot_info *boot, struct platform_info *out)
{
	unsigned n;

	platform_set_defaults(out);
	acpi_map_init(boot);
	if (is_switched_off()) {
		log_notice("off by the command line");
		return;
	}
	n = acpi_tables_init(boot->acpi_rsdp);
	if (!n)
		return;
	out->has_acpi = true;
	for (unsigned i = 0; i < ARRAY_SIZE(parsers); i++) {
		const struct acpi_table *t = acpi_find(parsers[i].signature, 0);

		if (t)
			parsers[i].parse(t, out);
	}
	find_s5(&out->power);
	log_info("%u tables, %u refused; %u CPUs, %u I/O APICs, %u NUMA nodes%s%s%s", n,
	    acpi_tables_refused(), out->num_cpus, out->num_ioapics, out->num_nodes,
	    out->hpet_base ? ", HPET" : "", out->pm_timer.address ? ", PM timer" : "",
	    out->power.has_s5 ? ", S5" : "");
}
