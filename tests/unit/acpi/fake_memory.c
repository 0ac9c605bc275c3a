/* See fake_memory.h. */
#include "tests/unit/acpi/fake_memory.h"

#include "acpi/map.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "lib/string.h"

#include <stdio.h>
#include <stdlib.h>

struct fake_chunk fake_chunks[FAKE_MAX_CHUNKS];
unsigned fake_num_chunks;

void
fake_memory_reset(void)
{
	for (unsigned i = 0; i < fake_num_chunks; i++)
		free(fake_chunks[i].bytes);
	fake_num_chunks = 0;
}

uint8_t *
fake_memory_add(paddr_t base, const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size);

	if (!copy || fake_num_chunks == FAKE_MAX_CHUNKS)
		abort();
	memcpy(copy, bytes, size);
	fake_chunks[fake_num_chunks++] = (struct fake_chunk){base, size, copy};
	return copy;
}

paddr_t
fake_memory_load(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint64_t head[2];
	static uint8_t buf[65536];

	if (!f)
		abort();
	fake_memory_reset();
	while (fread(head, sizeof(head), 1, f) == 1) {
		if (head[1] > sizeof(buf) || fread(buf, head[1], 1, f) != 1)
			abort();
		fake_memory_add(head[0], buf, head[1]);
	}
	fclose(f);
	return fake_chunks[0].base;
}

void
acpi_map_init(const struct boot_info *boot)
{
}

const void *
acpi_map(paddr_t pa, size_t len)
{
	for (unsigned i = 0; i < fake_num_chunks; i++) {
		const struct fake_chunk *c = &fake_chunks[i];

		if (pa >= c->base && pa - c->base < c->size &&
		    len <= c->size - (pa - c->base))
			return c->bytes + (pa - c->base);
	}
	return NULL;
}

void
log_printf(enum log_level level, const char *fmt, ...)
{
}

const char *fake_acpi_option;

const char *
cmdline_get(const char *name, unsigned nth)
{
	return fake_acpi_option;
}
