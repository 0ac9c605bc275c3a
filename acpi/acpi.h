/*
 * The face of this room: reads the static tables and describes the machine to the core.
 * Called once from kernel_main, after kva_init and before irq and time.
 */
#pragma once

#include "lib/types.h"

struct acpi_table;
struct boot_info;
struct platform_info;

/*
 * Fills *out: defaults, then whatever the usable tables say. Never fails; logs what is
 * odd.
 */
void acpi_describe(const struct boot_info *boot, struct platform_info *out);

/* The parsers, one a table; each changes only its own fields of *out. */
void madt_parse(const struct acpi_table *, struct platform_info *out);
void fadt_parse(const struct acpi_table *, struct platform_info *out);
void srat_parse(const struct acpi_table *, struct platform_info *out);
void hpet_parse(const struct acpi_table *, struct platform_info *out);
void spcr_parse(const struct acpi_table *, struct platform_info *out);
void mcfg_parse(const struct acpi_table *, struct platform_info *out);

/*
 * Looks for the package \_S5_ in a block of AML (a DSDT or SSDT) and takes the two sleep
 * types from it. False when there is none, or its elements are not plain integers.
 */
bool s5_scan(const struct acpi_table *, uint8_t *type_a, uint8_t *type_b);
