/*
 * Pages of 2 MiB in anonymous memory: what programs do to parts of them has the same
 * effect as on small ones, whether or not the kernel gives large ones.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef PR_SET_THP_DISABLE
#define PR_SET_THP_DISABLE 41
#define PR_GET_THP_DISABLE 42
#endif

enum { PAGE = 4096, HUGE = 2 << 20 };

/* `n` huge pages of address space, aligned, with advice; nothing is touched yet. */
static char *
map_huge(int n, int advice)
{
	size_t len = (size_t)(n + 1) * HUGE;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));

	CHECK(p != MAP_FAILED);
	if (at > p)
		CHECK_EQ(munmap(p, (size_t)(at - p)), 0);
	CHECK_EQ(
	    munmap(at + (size_t)n * HUGE, len - (size_t)(at - p) - (size_t)n * HUGE), 0);
	CHECK_EQ(madvise(at, (size_t)n * HUGE, advice), 0);
	return at;
}

/* One line of the area that begins at or holds `p`, in KiB. */
static long
smaps_kib(const char *p, const char *line)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	char text[512];
	long kib = -1;
	int is_here = 0;

	CHECK(f);
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "%lx-%lx ", &start, &end) == 2)
			is_here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (is_here && !strncmp(text, line, strlen(line)))
			kib = strtol(text + strlen(line), NULL, 10);
	}
	fclose(f);
	return kib;
}

static int
is_never(void)
{
	char text[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	CHECK(strstr(text, "always") && strstr(text, "madvise") && strstr(text, "never"));
	return strstr(text, "[never]") != NULL;
}

/* Each page its number, so that a page that went astray is seen. */
static void
number_pages(char *p, int n)
{
	for (int i = 0; i < n; i++)
		*(int *)(p + (size_t)i * PAGE) = i + 1;
}

static int
page_number(const char *p, int i)
{
	return *(const volatile int *)(p + (size_t)i * PAGE);
}

static void
first_write_makes_two_mib_present(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE);

	p[HUGE + 5 * PAGE] = 1;
	if (is_never())
		return;
	/* The machine may have none free: then it is a page. */
	CHECK(smaps_kib(p, "AnonHugePages:") == 2048 || smaps_kib(p, "Rss:") == 4);
	for (int i = 0; i < HUGE; i += PAGE)
		CHECK_EQ(p[HUGE + i], i == 5 * PAGE);
}

static void
no_advice_no_stack_no_huge_page(void)
{
	char *p = map_huge(2, MADV_NOHUGEPAGE);

	p[0] = 1;
	CHECK_EQ(smaps_kib(p, "AnonHugePages:"), 0);
	CHECK_EQ(smaps_kib(p, "Rss:"), 4);
}

static void
disabled_by_prctl_and_inherited(void)
{
	char *p;
	int status;

	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	CHECK_ERR(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 1), EINVAL);
	CHECK_ERR(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	p = map_huge(1, MADV_HUGEPAGE);
	p[0] = 1;
	CHECK_EQ(smaps_kib(p, "AnonHugePages:"), 0);
	if (fork() == 0)
		_exit(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1 ? 0 : 1);
	CHECK(wait(&status) > 0 && status == 0);
	CHECK_EQ(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

static void
holes_leave_the_rest(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE);
	unsigned char core[1024];

	number_pages(p, 1024);
	CHECK_EQ(munmap(p + 100 * PAGE, 3 * PAGE), 0);
	CHECK_EQ(page_number(p, 99), 100);
	CHECK_EQ(page_number(p, 103), 104);
	CHECK_ERR(mincore(p + 100 * PAGE, PAGE, core), ENOMEM);
	CHECK_EQ(madvise(p + 600 * PAGE, 10 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(mincore(p + 512 * PAGE, 512 * PAGE, core), 0);
	for (int i = 0; i < 512; i++)
		CHECK_EQ(core[i] & 1, i < 88 || i >= 98);
	for (int i = 512; i < 1024; i++)
		CHECK_EQ(page_number(p, i), i >= 600 && i < 610 ? 0 : i + 1);
	CHECK_EQ(munmap(p, 2 * HUGE), 0);
}

static void
rights_of_a_part(void)
{
	char *p = map_huge(1, MADV_HUGEPAGE);
	int status;

	number_pages(p, 512);
	CHECK_EQ(mprotect(p + 10 * PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(p + 20 * PAGE, PAGE, PROT_NONE), 0);
	for (int bad = 10; bad <= 20; bad += 10) {
		if (fork() == 0) {
			signal(SIGSEGV, SIG_DFL);
			*(volatile char *)(p + (size_t)bad * PAGE) = 1;
			_exit(0);
		}
		CHECK(wait(&status) > 0 && WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), SIGSEGV);
	}
	CHECK_EQ(page_number(p, 10), 11);
	CHECK_EQ(mprotect(p, HUGE, PROT_NONE), 0);
	CHECK_EQ(mprotect(p, HUGE, PROT_READ | PROT_WRITE), 0);
	for (int i = 0; i < 512; i++)
		CHECK_EQ(page_number(p, i), i + 1);
	p[20 * PAGE] = 1;
}

static void
whole_pages_change_rights(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE);

	number_pages(p, 1024);
	CHECK_EQ(mprotect(p, 2 * HUGE, PROT_READ), 0);
	CHECK_EQ(mprotect(p, 2 * HUGE, PROT_READ | PROT_WRITE), 0);
	number_pages(p, 1024);
	CHECK_EQ(page_number(p, 700), 701);
}

static void
fork_copies_on_write_both_ways(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE);
	int status, go[2];
	char c;

	number_pages(p, 1024);
	CHECK_EQ(pipe(go), 0);
	if (fork() == 0) {
		*(int *)(p + 7 * PAGE) = -7;
		CHECK(read(go[0], &c, 1) == 1);
		for (int i = 0; i < 1024; i++)
			CHECK_EQ(page_number(p, i), i == 7 ? -7 : i + 1);
		_exit(0);
	}
	*(int *)(p + 800 * PAGE) = -800;
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK(wait(&status) > 0 && status == 0);
	for (int i = 0; i < 1024; i++)
		CHECK_EQ(page_number(p, i), i == 800 ? -800 : i + 1);
	number_pages(p, 1024); /* nobody else has them now */
	CHECK_EQ(page_number(p, 7), 8);
}

static void
moved_by_mremap(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE), *to = map_huge(3, MADV_NOHUGEPAGE), *q;

	number_pages(p, 1024);
	q = mremap(p + PAGE, 1000 * PAGE, 1000 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	    to + 17 * PAGE);
	CHECK(q == to + 17 * PAGE);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(page_number(q, i), i + 2);
	CHECK_EQ(page_number(p, 0), 1);
	CHECK_EQ(page_number(p, 1001), 1002);
	q = mremap(q, 1000 * PAGE, 3 * HUGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(page_number(q, i), i + 2);
	CHECK_EQ(page_number(q, 1000), 0);
}

static void
reached_by_others(void)
{
	char *p = map_huge(1, MADV_HUGEPAGE), out[2 * PAGE], path[32];
	struct iovec local = {out, sizeof(out)}, remote = {p + 3 * PAGE - 8, sizeof(out)};
	int fd, status;
	pid_t pid;

	number_pages(p, 512);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	CHECK_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), sizeof(out));
	CHECK_EQ(*(int *)(out + 8), 4);
	CHECK_EQ(*(int *)(out + 8 + PAGE), 5);
	*(int *)out = 99;
	CHECK_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), sizeof(out));
	CHECK_EQ(*(int *)(p + 3 * PAGE - 8), 0); /* the child's copy, not ours */
	CHECK_EQ(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(ptrace(PTRACE_POKEDATA, pid, p + 100 * PAGE, 4711), 0);
	CHECK_EQ(ptrace(PTRACE_PEEKDATA, pid, p + 100 * PAGE, 0), 4711);
	CHECK_EQ(ptrace(PTRACE_PEEKDATA, pid, p + 101 * PAGE, 0), 102);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(pwrite(fd, "mem", 4, (off_t)(uintptr_t)(p + 200 * PAGE)), 4);
	CHECK_EQ(pread(fd, out, 4, (off_t)(uintptr_t)(p + 200 * PAGE)), 4);
	CHECK(!strcmp(out, "mem"));
	close(fd);
	CHECK_EQ(page_number(p, 200), 201);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(waitpid(pid, &status, 0) == pid);
}

static void
locked_and_populated(void)
{
	char *p = map_huge(2, MADV_HUGEPAGE);
	unsigned char core[1024];

	CHECK_EQ(mlock(p + HUGE / 2, HUGE), 0);
	CHECK_EQ(mincore(p, 2 * HUGE, core), 0);
	for (int i = 256; i < 768; i++)
		CHECK(core[i] & 1);
	CHECK_EQ(munlock(p + HUGE / 2, HUGE), 0);
	number_pages(p, 1024);
	CHECK_EQ(page_number(p, 1023), 1024);
}

/* ---- Threads ---- */

enum { THREADS = 4, REGION = 8 };

static char *region;
static int stage; /* futex */

static void *
write_every_fourth_page(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = me; i < REGION * 512; i += THREADS)
		*(int *)(region + (size_t)i * PAGE) = i + 1;
	return NULL;
}

static void
threads_fault_at_the_same_time(void)
{
	pthread_t t[THREADS];

	for (int round = 0; round < 5; round++) {
		region = map_huge(REGION, MADV_HUGEPAGE);
		for (intptr_t i = 0; i < THREADS; i++)
			CHECK_EQ(pthread_create(
			             &t[i], NULL, write_every_fourth_page, (void *)i),
			    0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		for (int i = 0; i < REGION * 512; i++)
			CHECK_EQ(page_number(region, i), i + 1);
		CHECK_EQ(munmap(region, (size_t)REGION * HUGE), 0);
	}
}

/* One thread discards parts, the others write: a page is theirs or zero, never another's. */
static void *
write_and_look(void *arg)
{
	int me = (int)(intptr_t)arg;

	while (!__atomic_load_n(&stage, __ATOMIC_ACQUIRE)) {
		for (int i = me; i < 1024; i += THREADS) {
			volatile int *at = (int *)(region + (size_t)i * PAGE);

			*at = i + 1;
			if (*at != i + 1 && *at != 0)
				return (void *)1;
		}
	}
	return NULL;
}

static void
threads_write_while_parts_go(void)
{
	pthread_t t[THREADS];
	void *result;
	unsigned seed = 1;

	region = map_huge(2, MADV_HUGEPAGE);
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, write_and_look, (void *)i), 0);
	for (int round = 0; round < 12; round++) {
		unsigned first, n;

		seed = seed * 1664525 + 1013904223;
		first = (seed >> 8) % 1024;
		n = round % 4 ? 1 + (seed >> 20) % (1024 - first) : 1024;
		if (n == 1024)
			first = 0;
		CHECK_EQ(madvise(region + (size_t)first * PAGE, (size_t)n * PAGE,
		             MADV_DONTNEED),
		    0);
		if (round % 4 == 0)
			CHECK_EQ(mprotect(region + (size_t)first * PAGE, PAGE,
			             PROT_READ | PROT_WRITE | PROT_EXEC),
			    0);
		if (round % 4 == 1)
			CHECK_EQ(mprotect(region, 2 * HUGE, PROT_READ | PROT_WRITE), 0);
		if (round % 5 == 0) {
			int status;

			if (fork() == 0)
				_exit(0);
			CHECK(wait(&status) > 0 && status == 0);
		}
	}
	__atomic_store_n(&stage, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		CHECK(!result);
	}
}

static void *
wait_for_word(void *word)
{
	while (__atomic_load_n((int *)word, __ATOMIC_ACQUIRE) == 0)
		syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

static void
futex_in_a_huge_page(void)
{
	char *p = map_huge(1, MADV_HUGEPAGE);
	int *word = (int *)(p + 333 * PAGE);
	pthread_t t;

	*word = 0;
	CHECK_EQ(pthread_create(&t, NULL, wait_for_word, word), 0);
	sleep_ms(20);
	CHECK_EQ(mprotect(p + 100 * PAGE, PAGE, PROT_READ), 0); /* cut meanwhile */
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	CHECK_EQ(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static const struct test tests[] = {
    TEST(first_write_makes_two_mib_present),
    TEST(no_advice_no_stack_no_huge_page),
    TEST(disabled_by_prctl_and_inherited),
    TEST(holes_leave_the_rest),
    TEST(rights_of_a_part),
    TEST(whole_pages_change_rights),
    TEST(fork_copies_on_write_both_ways),
    TEST(moved_by_mremap),
    TEST(reached_by_others),
    TEST(locked_and_populated),
    TEST(threads_fault_at_the_same_time),
    TEST(threads_write_while_parts_go),
    TEST(futex_in_a_huge_page),
};

RUN_TESTS(tests)
