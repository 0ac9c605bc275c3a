/* Names of core files. LINK: kernel/proc/coredump_name.c lib/fmt.c lib/string.c */
#include "kernel/proc/coredump_priv.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static struct core_name name;

static const struct core_facts facts = {
    .pid = 12,
    .tid = 13,
    .uid = 1000,
    .gid = 100,
    .signo = 11,
    .dumpable = 1,
    .cpu = 3,
    .time_s = 1700000000,
    .limit = ~0ull,
    .host = "keel",
    .comm = "a b/c",
    .exe = "/usr/bin/prog",
};

static const char *
expand(const char *pattern)
{
	return core_name_expand(&name, pattern, &facts) ? name.text : "(none)";
}

KTEST(core_name_specifiers_stand_for_facts)
{
	CHECK(strcmp(expand("core"), "core") == 0);
	CHECK(strcmp(expand("%p-%P-%i-%I"), "12-12-13-13") == 0);
	CHECK(strcmp(expand("%u.%g.%s.%d.%C"), "1000.100.11.1.3") == 0);
	CHECK(strcmp(expand("%t_%h_%c"), "1700000000_keel_18446744073709551615") == 0);
	CHECK(strcmp(expand("/tmp/%f%%"), "/tmp/prog%") == 0);
	CHECK(strcmp(expand("%q%x%"), "") == 0);
	CHECK(!name.is_pipe);
}

KTEST(core_name_parts_that_others_choose_lead_nowhere)
{
	struct core_facts f = facts;

	CHECK(strcmp(expand("%e"), "a b!c") == 0);
	CHECK(strcmp(expand("%E"), "!usr!bin!prog") == 0);
	f.comm = "..";
	f.host = "";
	f.exe = NULL;
	CHECK(core_name_expand(&name, "%e|%h|%f|%E", &f));
	CHECK(strcmp(name.text, "!.|!|!.|!. (path unknown)") == 0);
	f.comm = ".";
	CHECK(core_name_expand(&name, "%e", &f));
	CHECK(strcmp(name.text, "!") == 0);
}

KTEST(core_name_gets_the_pid_once)
{
	struct core_facts f = facts;

	f.adds_pid = true;
	CHECK(core_name_expand(&name, "core", &f));
	CHECK(strcmp(name.text, "core.12") == 0);
	CHECK(core_name_expand(&name, "%p.core", &f));
	CHECK(strcmp(name.text, "12.core") == 0);
	CHECK(core_name_expand(&name, "|/bin/x", &f));
	CHECK(strcmp(name.text, "/bin/x") == 0);
}

KTEST(core_name_of_a_pipe_is_split_before_it_is_expanded)
{
	CHECK(strcmp(expand("| /bin/take  %p\t%e -%s "), "/bin/take") == 0);
	CHECK(name.is_pipe);
	CHECK_EQ(name.argc, 4);
	CHECK(strcmp(name.text + name.args[1], "12") == 0);
	CHECK(strcmp(name.text + name.args[2], "a b!c") == 0);
	CHECK(strcmp(name.text + name.args[3], "-11") == 0);
	CHECK(strcmp(expand("|"), "(none)") == 0);
	CHECK(strcmp(expand("|  "), "(none)") == 0);
}

KTEST(core_name_has_bounds)
{
	static char pattern[CORE_NAME_SIZE * 2];

	memset(pattern, 'x', CORE_NAME_SIZE - 1);
	CHECK(core_name_expand(&name, pattern, &facts));
	pattern[CORE_NAME_SIZE - 1] = 'x';
	CHECK(!core_name_expand(&name, pattern, &facts));
	for (unsigned i = 0; i < CORE_NAME_SIZE / 2; i++)
		memcpy(pattern + 2 * i, "%E", 2);
	CHECK(!core_name_expand(&name, pattern, &facts));
	pattern[0] = '|';
	for (unsigned i = 1; i < 2 * CORE_ARGS_MAX + 2; i++)
		pattern[i] = i % 2 ? 'x' : ' ';
	CHECK(!core_name_expand(&name, pattern, &facts));
}
