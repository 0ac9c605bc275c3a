/*
 * kernel/proc/exec_strings.c: layout, limits, faults.
 * LINK: kernel/proc/exec_strings.c lib/string.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * LINK: tests/fakes/percpu.c lib/fmt.c
 */
#include "kernel/proc/exec_strings.h"

#include "lib/string.h"
#include "mm/usercopy.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* User memory is ours, but nothing below 64 KiB. */
static bool
is_bad(const void USER *p)
{
	return (uintptr_t)p < 65536;
}

size_t
copy_from_user_partial(void *dst, const void USER *src, size_t n)
{
	const uint64_t *from = (const uint64_t *)(uintptr_t)src;
	size_t done = 0;

	if (is_bad(src))
		return 0;
	/* The arrays of these tests end with a NULL: nothing is mapped behind it. */
	while (done < n) {
		memcpy((char *)dst + done, from, 8);
		done += 8;
		if (!*from++)
			break;
	}
	return done;
}

long
strncpy_from_user(char *dst, const char USER *src, size_t size)
{
	const char *from = (const char *)(uintptr_t)src;
	size_t len;

	if (is_bad(src))
		return ERR_FAULT;
	len = strnlen(from, size);
	memcpy(dst, from, MIN(len + 1, size));
	return len == size ? ERR_NAMETOOLONG : (long)len;
}

static const vaddr_t USER *
user_array(const char *const *strings)
{
	return (const vaddr_t USER *)(uintptr_t)strings;
}

KTEST(exec_strings_lie_one_after_the_other)
{
	static const char *const argv[] = {"ls", "", "-l", NULL}, *const envp[] = {
	                                                              "A=1", NULL};
	struct exec_strings s;

	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(argv)), OK);
	CHECK_EQ(exec_strings_add_envp(&s, user_array(envp)), OK);
	CHECK_EQ(s.argc, 3);
	CHECK_EQ(s.envc, 1);
	CHECK_EQ(s.len, 11);
	CHECK_EQ(s.args_len, 7);
	CHECK(!memcmp(s.buf, "ls\0\0-l\0A=1", 11));
	exec_strings_free(&s);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(exec_strings_grow_over_many_batches)
{
	static const char *argv[1001];
	static char text[100];
	struct exec_strings s;

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned i = 0; i < 1000; i++)
		argv[i] = text;
	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(argv)), OK);
	CHECK_EQ(s.argc, 1000);
	CHECK_EQ(s.len, 100000);
	exec_strings_free(&s);
}

KTEST(exec_strings_too_long_are_e2big)
{
	static char big[EXEC_STRING_MAX + 1], fits[EXEC_STRING_MAX];
	static const char *const one[] = {big, NULL}, *const ok[] = {fits, NULL};
	static const char *many[64];
	struct exec_strings s;

	memset(big, 'b', sizeof(big) - 1);
	memset(fits, 'f', sizeof(fits) - 1);
	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(one)), ERR_2BIG);
	exec_strings_free(&s);
	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(ok)), OK);
	CHECK_EQ(s.len, EXEC_STRING_MAX);
	exec_strings_free(&s);
	for (unsigned i = 0; i < 63; i++)
		many[i] = fits;
	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK); /* a quarter: 2 MiB in all */
	CHECK_EQ(exec_strings_add_argv(&s, user_array(many)), ERR_2BIG);
	CHECK_EQ(s.argc, 15);
	exec_strings_free(&s);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(exec_strings_report_faults)
{
	static const char *const bad[] = {"ok", (const char *)16, NULL};
	struct exec_strings s;

	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(bad)), ERR_FAULT);
	CHECK_EQ(exec_strings_add_envp(&s, (const vaddr_t USER *)64), ERR_FAULT);
	CHECK_EQ(exec_strings_add_envp(&s, NULL), OK);
	exec_strings_free(&s);
}

KTEST(exec_strings_replace_argv0_for_a_script)
{
	static const char *const argv[] = {"script", "arg", NULL}, *const envp[] = {
	                                                               "E", NULL};
	static const char *const words[] = {"/bin/interpreter", "-x", "/tmp/script"};
	struct exec_strings s;

	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(argv)), OK);
	CHECK_EQ(exec_strings_add_envp(&s, user_array(envp)), OK);
	CHECK_EQ(exec_strings_replace_argv0(&s, words, 3), OK);
	CHECK_EQ(s.argc, 4);
	CHECK_EQ(s.envc, 1);
	CHECK_EQ(s.len, sizeof("/bin/interpreter\0-x\0/tmp/script\0arg\0E"));
	CHECK(!memcmp(s.buf, "/bin/interpreter\0-x\0/tmp/script\0arg\0E", s.len));
	CHECK_EQ(exec_strings_replace_argv0(&s, words + 1, 1), OK);
	CHECK(!memcmp(s.buf, "-x\0-x\0/tmp/script\0arg\0E", s.len));
	exec_strings_free(&s);
}

KTEST(exec_strings_survive_failed_allocations)
{
	static char big[100000];
	static const char *const argv[] = {big, NULL};
	struct exec_strings s;

	memset(big, 'b', sizeof(big) - 1);
	fake_kmalloc_fail_nth(1);
	CHECK_EQ(exec_strings_init(&s, 8 << 20), ERR_NOMEM);
	fake_kmalloc_fail_nth(2);
	CHECK_EQ(exec_strings_init(&s, 8 << 20), OK);
	CHECK_EQ(exec_strings_add_argv(&s, user_array(argv)), ERR_NOMEM);
	fake_kmalloc_fail_nth(0);
	exec_strings_free(&s);
	CHECK_EQ(fake_kmalloc_live, 0);
}
