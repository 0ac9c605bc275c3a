/* The choice of consoles, made as the drivers offer theirs. */
#include "drivers/char/console.h"

#include "drivers/char/tty.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/procfs.h"
#include "lib/string.h"

enum { MAX_OFFERS = 8 };

static struct offer {
	struct console *console;
	struct tty *tty;
	int rank; /* place in the console= list, -1: not there */
} offers[MAX_OFFERS];
static unsigned num_offers;
static int preferred = -1; /* index in offers: /dev/console */

/* The place of `name` in the list of console= options, the last one if it stands twice. */
static int
rank_of(const char *name)
{
	size_t n = strlen(name);
	const char *value;
	int rank = -1;

	for (unsigned i = 0; (value = cmdline_get("console", i)); i++)
		if (!strncmp(value, name, n) && (value[n] == '\0' || value[n] == ','))
			rank = (int)i;
	return rank;
}

void
console_offer(struct console *c, struct tty *tty)
{
	bool is_listed = c->link.next != NULL; /* the early console is there already */
	bool wants_all = !cmdline_has("console");
	struct offer *o = &offers[num_offers];

	if (num_offers == MAX_OFFERS)
		return;
	*o = (struct offer){.console = c, .tty = tty, .rank = rank_of(c->name)};
	num_offers++;
	if (preferred < 0 || o->rank > offers[preferred].rank) {
		preferred = (int)num_offers - 1;
		tty_set_console(tty);
	}
	if (!is_listed && (wants_all || o->rank >= 0))
		console_register(c);
	else if (is_listed && !wants_all && o->rank < 0)
		console_unregister(c);
}

static void
show_consoles(struct seq *s)
{
	for (unsigned i = 0; i < num_offers; i++) {
		const struct offer *o = &offers[i];
		const struct list *next = o->console->link.next;

		seq_printf(s, "%-20s -W- (%c%c)\n", o->console->name,
		    next && next != &o->console->link ? 'E' : ' ',
		    (int)i == preferred ? 'C' : ' ');
	}
}

void
console_init(void)
{
	(void)proc_register(
	    "consoles", show_consoles); /* only memory can fail: no such file then */
}
