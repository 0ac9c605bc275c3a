/* The little of ACPI a loader needs: is the root pointer good, where is a table. Pure. */
#pragma once

#include "lib/types.h"

/* Whether `rsdp` has signature and checksum of ACPI 1.0 or 2.0+ (ACPI 6.4, 5.2.5.3). */
bool rsdp_is_good(const void *rsdp);

/*
 * Physical address of the first table with this signature under a good RSDP; 0: none, or
 * the tables are damaged on the way. `reach` gives a pointer to [base, base+size), NULL
 * when that is not memory.
 */
paddr_t rsdp_find_table(const void *rsdp, const char signature[4],
    const void *(*reach)(void *ctx, paddr_t base, uint64_t size), void *ctx);
