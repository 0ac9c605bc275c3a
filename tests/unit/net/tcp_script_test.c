/*
 * Runs the scripts in tests/sim/scripts/ against the TCP core, each case a test of its
 * own, named by the RFC section it proves. tests/sim/script.h tells the language.
 * LINK: tests/sim/script.c net/tcp_core.c net/tcp_input.c net/tcp_input_ack.c net/tcp_input_data.c
 * net/tcp_output.c net/tcp_mtu.c net/tcp_timer.c net/tcp_rtt.c net/tcp_tx.c net/tcp_sack.c net/tcp_rack.c
 * net/tcp_recover.c net/tcp_cc.c net/tcp_cc_cubic.c net/tcp_cc_reno.c
 * net/tcp_options.c lib/fmt.c lib/string.c
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/string.h"
#include "tests/sim/script.h"
#include "tests/unit/ktest.h"

enum { MAX_CASES = 2000 };

static struct script_case cases[MAX_CASES];
static struct ktest tests[MAX_CASES];
static unsigned ncases, next_case;

/* ktest runs its tests in the order of ktest_add(): the cases in theirs. */
static void
run_next(void)
{
	const struct script_case *c = &cases[next_case++];

	if (!script_run(c))
		ktest_fail(c->file, c->line, c->name, 0, 0);
}

static int
is_script(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && !strcmp(d->d_name + n - 4, ".tcp");
}

__attribute__((constructor(65535))) static void
load(void)
{
	static const char dir[] = "tests/sim/scripts";
	const char *only = getenv("CASE");
	struct dirent **files;
	int n = scandir(dir, &files, is_script, alphasort);

	for (int i = 0; i < n; i++) {
		ncases += script_load(
		    dir, files[i]->d_name, cases + ncases, MAX_CASES - ncases);
		free(files[i]);
	}
	if (n > 0)
		free(files);
	for (unsigned i = 0; i < ncases; i++) {
		if (only && !strstr(cases[i].name, only)) {
			cases[i] = cases[--ncases];
			i--;
			continue;
		}
		tests[i] = (struct ktest){.name = cases[i].name, .fn = run_next};
		ktest_add(&tests[i]);
	}
}
