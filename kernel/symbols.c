/* Function names by address; see symbols.h. */
#include "kernel/symbols.h"

#include "lib/fmt.h"

/* By kernel.ld; empty in the first link, from which the table is made. */
extern const uint32_t symbols_start[], symbols_end[];
extern const char kernel_start[];

/* Kept whole: the tests call it too. */
__attribute__((noinline)) const char *
symbol_find(const struct symbol_table *t, uint64_t offset, uint64_t *into)
{
	uint32_t lo = 0, hi = t->count;

	if (!t->count || offset < t->offsets[0] || offset >= t->text_size)
		return NULL;
	/* offsets[lo] <= offset < offsets[hi] */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->offsets[mid] <= offset)
			lo = mid;
		else
			hi = mid;
	}
	*into = offset - t->offsets[lo];
	return t->text + t->names[lo];
}

static bool
kernel_table(struct symbol_table *t)
{
	const uint32_t *p = symbols_start;

	if (symbols_end - symbols_start < 2)
		return false;
	t->count = p[0];
	t->text_size = p[1];
	t->offsets = p + 2;
	t->names = t->offsets + t->count;
	t->text = (const char *)(t->names + t->count);
	return true;
}

int
symbol_format(uint64_t address, char *buf, size_t size)
{
	struct symbol_table t;
	uint64_t into;
	const char *name = NULL;

	if (kernel_table(&t))
		name = symbol_find(&t, address - (uint64_t)kernel_start, &into);
	if (!name)
		return scnprintf(buf, size, "0x%016lx", address);
	return scnprintf(buf, size, "%s+%#lx", name, into);
}

bool
symbol_is_code(uint64_t address)
{
	struct symbol_table t;
	uint64_t into;

	return kernel_table(&t) &&
	       symbol_find(&t, address - (uint64_t)kernel_start, &into);
}
