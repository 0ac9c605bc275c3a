/*
 * The static tables: found from the RSDP, each checked (signature, length, checksum)
 * before anything reads it. A damaged table is refused by name and counted; the others
 * stay usable. Tables are never copied or freed; pointers to them stay valid. Read-only
 * after acpi_tables_init.
 */
#pragma once

#include "lib/types.h"

enum {
	ACPI_HEADER_SIZE = 36,
	ACPI_MAX_TABLES = 128,
	ACPI_MAX_TABLE_SIZE = 16 << 20, /* larger: surely garbage */
};

struct acpi_table {
	char signature[5]; /* NUL-terminated, unprintable bytes as '?' */
	uint8_t revision;
	uint32_t len; /* bytes with the header */
	const uint8_t *data;
};

/*
 * Finds all tables from the RSDP at `rsdp` (0: none). Returns how many usable ones there
 * are, the DSDT included; 0 means that ACPI is unusable, and the log says why in one
 * line.
 */
unsigned acpi_tables_init(paddr_t rsdp);

/* The `nth` (from 0) table with this signature, or NULL. */
const struct acpi_table *acpi_find(const char *signature, unsigned nth);

/* Tables refused so far. */
unsigned acpi_tables_refused(void);

/*
 * Unsigned little-endian field of `width` 1..8 bytes; 0 when it lies beyond the table's
 * end.
 */
uint64_t acpi_get(const struct acpi_table *, uint32_t offset, unsigned width);

/*
 * Sub-tables {type, length, ...} as in MADT and SRAT. Start with *offset at the first
 * one; false at the end or at an entry whose length is impossible (which is logged).
 */
struct acpi_entry {
	uint8_t type, len;
	const uint8_t *data; /* `len` bytes, type and length included */
};
bool acpi_next_entry(const struct acpi_table *, uint32_t *offset, struct acpi_entry *);

/* The same as acpi_get within one entry. */
uint64_t acpi_entry_get(const struct acpi_entry *, unsigned offset, unsigned width);
