/* How table bytes are reached: the seam that tests replace. */
#pragma once

#include "lib/types.h"

struct boot_info;

/* Remembers which memory firmware declared; before the first acpi_map. */
void acpi_map_init(const struct boot_info *);

/*
 * A readable view of physical [pa, pa + len), valid forever, or NULL when the range is
 * not memory that firmware declared: a wild pointer in a table must not become a fault.
 */
const void *acpi_map(paddr_t pa, size_t len);
