/* Numbers in /proc/sys: one pair of functions for all of them. */
#include "kernel/procfs.h"
#include "lib/string.h"

static void
show_number(struct seq *s)
{
	const struct proc_number *n = s->private;

	seq_printf(s, "%u\n", __atomic_load_n(n->value, __ATOMIC_RELAXED));
}

static enum err
store_number(void *private, const char *text)
{
	const struct proc_number *n = private;
	const char *end;
	uint64_t value;

	while (*text == ' ' || *text == '\t')
		text++;
	if (!parse_u64(text, &end, 0, &value) || (*end && *end != ' ' && *end != '\n'))
		return ERR_INVAL;
	if (value < n->min || value > n->max)
		return ERR_INVAL;
	__atomic_store_n(n->value, (uint32_t)value, __ATOMIC_RELAXED);
	return OK;
}

void
proc_register_numbers(struct proc_number numbers[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)proc_register_private(
		    numbers[i].name, show_number, store_number, &numbers[i]);
}
