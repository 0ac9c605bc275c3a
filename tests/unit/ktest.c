/* The runner linked into every unit test program: prints TAP, exits 1 when a test failed. */
#include "tests/unit/ktest.h"

#include <stdio.h>

static struct ktest *first, **last = &first;
static int has_failed;

void
ktest_add(struct ktest *t)
{
	*last = t;
	last = &t->next;
}

void
ktest_fail(const char *file, int line, const char *expr, long long a, long long b)
{
	has_failed = 1;
	printf("# %s:%d: %s is false", file, line, expr);
	if (a != b)
		printf(" (%lld, %lld)", a, b);
	printf("\n");
}

int
main(void)
{
	int n = 0, failures = 0;

	for (struct ktest *t = first; t; t = t->next) {
		has_failed = 0;
		t->fn();
		failures += has_failed;
		printf("%s %d - %s\n", has_failed ? "not ok" : "ok", ++n, t->name);
		fflush(stdout);
	}
	printf("1..%d\n", n);
	return failures > 0;
}
