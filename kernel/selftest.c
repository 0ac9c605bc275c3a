/* The runner of in-kernel tests; see selftest.h. */
#include "kernel/selftest.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "lib/string.h"

extern const struct selftest set_selftests_start[], set_selftests_end[];

static bool has_failed;

void
selftest_fail(const char *file, int line, const char *expr)
{
	has_failed = true;
	log_err("FAIL %s:%d: %s", file, line, expr);
}

static void
run_one(const struct selftest *t)
{
	has_failed = false;
	log_notice("T %s", t->name);
	t->run();
	if (!has_failed)
		log_notice("OK");
}

/* Whether the command line names this test; "all" names those that come back. */
static bool
is_wanted(const struct selftest *t)
{
	const char *name;

	for (unsigned i = 0; (name = cmdline_get("selftest", i)); i++)
		if (!strcmp(name, "all") ? !t->is_fatal : !strcmp(name, t->name))
			return true;
	return false;
}

void
selftest_run(void)
{
	unsigned n = 0;

	if (!cmdline_has("selftest"))
		return;
	for (const struct selftest *t = set_selftests_start; t < set_selftests_end; t++) {
		if (!is_wanted(t))
			continue;
		run_one(t);
		n++;
	}
	log_notice("END %u", n);
}
