/*
 * Where a new program's parts lie: how many bits are random, and what turns that off
 * (personality(2), randomize_va_space); the gap below a stack.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { GAP = 256 * PAGE, SAMPLES = 60 };

struct layout {
	unsigned long stack, map, brk, vdso;
};

/* What this program finds about itself, for who executed it. */
static int
tell_layout(void)
{
	struct layout l = {(unsigned long)&l,
	    (unsigned long)mmap(NULL, PAGE, RW, ANON, -1, 0),
	    (unsigned long)syscall(SYS_brk, 0), getauxval(AT_SYSINFO_EHDR)};

	return write(1, &l, sizeof(l)) == sizeof(l) ? 0 : 1;
}

static struct layout
sample(void)
{
	char *argv[] = {"aslr", "tell", NULL}, *envp[] = {NULL};
	struct layout l;
	int fds[2], status;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		execve("/proc/self/exe", argv, envp);
		_exit(1);
	}
	close(fds[1]);
	CHECK_EQ(read(fds[0], &l, sizeof(l)), sizeof(l));
	close(fds[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	return l;
}

/* How many bits of page numbers take both values, and from where to where they go. */
struct spread {
	unsigned long differ, first, low, high;
};

static void
take(struct spread *s, unsigned long value)
{
	if (!s->first)
		s->first = s->low = s->high = value;
	s->differ |= (s->first ^ value) / PAGE;
	s->low = value < s->low ? value : s->low;
	s->high = value > s->high ? value : s->high;
}

#define CHECK_BITS(s, bits) \
	do { \
		CHECK(__builtin_popcountl((s).differ) >= (bits)); \
		CHECK(((s).high - (s).low) / PAGE > (1ul << (bits)) / 2); \
	} while (0)

static void
layouts_have_linuxs_bits(void)
{
	struct spread stack = {0}, maps = {0}, brk = {0}, vdso = {0};
	unsigned low_bits = 0;

	for (int i = 0; i < SAMPLES; i++) {
		struct layout l = sample();

		take(&stack, l.stack);
		take(&maps, l.map);
		take(&brk, l.brk);
		take(&vdso, l.vdso);
		low_bits |= (unsigned)(l.stack & 0xff0);
		CHECK(l.stack < 0x7ffffffff000 && l.stack > 0x7ff800000000);
		CHECK(l.map < 0x7ffff7fff000 && l.map > 0x7e0000000000);
		CHECK_EQ(l.vdso % PAGE, 0);
	}
	CHECK_BITS(stack, 22);
	CHECK(stack.high - stack.low <= 1ul << 34);
	CHECK_BITS(maps, 28);
	CHECK(maps.high - maps.low <= 1ul << 40);
	CHECK_BITS(brk, 13);
	CHECK(__builtin_popcountl(vdso.differ) >= 22);
	CHECK_EQ(low_bits, 0xff0); /* the stack pointer itself moves within pages */
}

static void
personality_turns_it_off(void)
{
	struct layout a, b;

	CHECK_EQ(personality(0xffffffff), 0);
	CHECK_EQ(personality(ADDR_NO_RANDOMIZE), 0);
	CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	a = sample();
	b = sample();
	CHECK(!memcmp(&a, &b, sizeof(a)));
	CHECK(a.stack > 0x7ffffff00000 && a.stack < 0x7ffffffff000);
	CHECK(a.map > 0x7ffff7000000 && a.map < 0x7ffff7fff000);
}

static int
set_level(const char *text)
{
	int fd = open("/proc/sys/kernel/randomize_va_space", O_WRONLY), ok;

	CHECK(fd >= 0);
	ok = write(fd, text, 1) == 1 ? 0 : -1;
	close(fd);
	return ok;
}

/* The setting is the whole machine's: changed only where the tests have one of their own. */
static void
the_setting_turns_it_off(void)
{
	struct layout a, b;
	struct spread brk = {0}, stack = {0};

	if (access("/guest", F_OK) != 0)
		return;
	CHECK_ERR(set_level("3"), EINVAL);
	CHECK_EQ(set_level("0"), 0);
	a = sample();
	b = sample();
	CHECK_EQ(set_level("1"), 0);
	for (int i = 0; i < 6; i++) {
		struct layout l = sample();

		take(&brk, l.brk);
		take(&stack, l.stack);
	}
	CHECK_EQ(set_level("2"), 0);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	CHECK_EQ(brk.differ, 0);
	CHECK(stack.differ != 0);
	take(&brk, sample().brk);
	CHECK(brk.differ != 0);
}

/* ---- The gap ---- */

static sigjmp_buf fault_jump;

static void
on_fault(int sig)
{
	siglongjmp(fault_jump, sig);
}

static int
signal_of_write(volatile char *p)
{
	int sig = sigsetjmp(fault_jump, 1);

	if (!sig)
		*p = 1;
	return sig;
}

static char *
at(char *p, size_t len, int prot, int more)
{
	return mmap(p, len, prot, ANON | MAP_FIXED | more, -1, 0);
}

static void
stacks_keep_a_gap_to_what_is_below(void)
{
	char *base = mmap(NULL, 8 * GAP, PROT_NONE, ANON, -1, 0), *stack;

	signal(SIGSEGV, on_fault);
	CHECK(base != MAP_FAILED);
	CHECK_EQ(munmap(base, 8 * GAP), 0);
	CHECK(at(base, PAGE, RW, 0) == base);
	stack = base + 4 * GAP;
	CHECK(at(stack, PAGE, RW, MAP_GROWSDOWN) == stack);
	CHECK_EQ(signal_of_write(stack - GAP), 0);
	CHECK_EQ(signal_of_write(base + PAGE + GAP), 0);
	CHECK_EQ(signal_of_write(base + GAP), SIGSEGV);
	CHECK_EQ(signal_of_write(base + 2 * PAGE), SIGSEGV);
	/* What cannot be touched may be next to it. */
	CHECK_EQ(mprotect(base, PAGE, PROT_NONE), 0);
	CHECK_EQ(signal_of_write(base + PAGE), 0);
	CHECK_EQ(signal_of_write(base), SIGSEGV);
}

static void
no_mapping_goes_into_the_gap(void)
{
	char *base = mmap(NULL, 4 * GAP, PROT_NONE, ANON, -1, 0), *stack, *p;

	CHECK(base != MAP_FAILED);
	CHECK_EQ(munmap(base, 4 * GAP), 0);
	stack = base + 3 * GAP;
	CHECK(at(stack, PAGE, RW, MAP_GROWSDOWN) == stack);
	p = mmap(stack - 2 * PAGE, PAGE, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED && p != stack - 2 * PAGE);
	p = mmap(stack - GAP - PAGE, PAGE, RW, ANON, -1, 0);
	CHECK(p == stack - GAP - PAGE);
	CHECK(at(stack - 2 * PAGE, PAGE, RW, 0) == stack - 2 * PAGE); /* asked for, had */
}

static const struct test tests[] = {
    TEST(layouts_have_linuxs_bits),
    TEST(personality_turns_it_off),
    TEST(the_setting_turns_it_off),
    TEST(stacks_keep_a_gap_to_what_is_below),
    TEST(no_mapping_goes_into_the_gap),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 2 && !strcmp(argv[1], "tell"))
		return tell_layout();
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
