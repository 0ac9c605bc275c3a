/*
 * Physical memory for the ACPI tests: a few chunks at chosen addresses, from files in
 * tests/data/acpi (made by a memory dump of a machine: {u64 address, u64 size, bytes}...)
 * or built by the test. acpi_map sees exactly these; under ASan any byte read outside is
 * an error, because each chunk is an allocation of its own.
 */
#pragma once

#include "lib/types.h"

struct fake_chunk {
	paddr_t base;
	size_t size;
	uint8_t *bytes;
};

enum { FAKE_MAX_CHUNKS = 64 };

extern struct fake_chunk fake_chunks[FAKE_MAX_CHUNKS];
extern unsigned fake_num_chunks;

void fake_memory_reset(void);
uint8_t *fake_memory_add(paddr_t base, const void *bytes, size_t size);
/* Loads a dump; returns the address of its first chunk, the RSDP. */
paddr_t fake_memory_load(const char *path);

/* What acpi= on the command line says; NULL: it is not there. */
extern const char *fake_acpi_option;
