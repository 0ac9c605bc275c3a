/*
 * Running out of memory: who is chosen, and how that is corrected (proc(5)). Some of these
 * tests use up all memory, so this runs only where the tests have a machine of their own.
 */
#define _GNU_SOURCE
#include "tests/guest/caps_util.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MIB(n) ((size_t)(n) << 20)

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { MRELEASE = 448, PIDFD_OPEN = 434 };

static long
get(const char *path)
{
	char text[40] = "";
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

/* 0, or -1 with errno. */
static int
set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), saved;
	ssize_t n;

	CHECK(fd >= 0);
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

#define ADJ     "/proc/self/oom_score_adj"
#define OLD_ADJ "/proc/self/oom_adj"
#define SCORE   "/proc/self/oom_score"

static void
correction_has_bounds(void)
{
	CHECK_EQ(get(ADJ), 0);
	CHECK_EQ(set(ADJ, "500\n"), 0);
	CHECK_EQ(get(ADJ), 500);
	CHECK_EQ(set(ADJ, "-1000"), 0);
	CHECK_EQ(get(ADJ), -1000);
	CHECK_EQ(set(ADJ, " 1000 "), 0);
	CHECK_EQ(get(ADJ), 1000);
	CHECK_ERR(set(ADJ, "1001"), EINVAL);
	CHECK_ERR(set(ADJ, "-1001"), EINVAL);
	CHECK_ERR(set(ADJ, "many"), EINVAL);
	CHECK_EQ(get(ADJ), 1000);
}

static void
old_correction_is_the_same_in_17ths(void)
{
	CHECK_EQ(set(OLD_ADJ, "15"), 0);
	CHECK_EQ(get(ADJ), 1000);
	CHECK_EQ(get(OLD_ADJ), 15);
	CHECK_EQ(set(OLD_ADJ, "-17"), 0);
	CHECK_EQ(get(ADJ), -1000);
	CHECK_EQ(get(OLD_ADJ), -17);
	CHECK_EQ(set(OLD_ADJ, "5"), 0);
	CHECK_EQ(get(ADJ), 294);
	CHECK_EQ(set(ADJ, "-500"), 0);
	CHECK_EQ(get(OLD_ADJ), -8);
	CHECK_ERR(set(OLD_ADJ, "16"), EINVAL);
	CHECK_ERR(set(OLD_ADJ, "-18"), EINVAL);
	drop_capability(CAP_SYS_RESOURCE);
	CHECK_ERR(set(OLD_ADJ, "-9"), EACCES);
	CHECK_EQ(set(OLD_ADJ, "3"), 0);
}

static void
score_follows_correction(void)
{
	long plain = get(SCORE), most;

	CHECK(plain >= 666 && plain < 800);
	CHECK_EQ(set(ADJ, "1000"), 0);
	most = get(SCORE);
	CHECK(most >= 1300 && most <= plain + 668); /* in 1000ths, rounded */
	CHECK_EQ(set(ADJ, "-500"), 0);
	CHECK(get(SCORE) >= 332 && get(SCORE) < plain - 300);
	CHECK_EQ(set(ADJ, "-1000"), 0);
	CHECK_EQ(get(SCORE), 0);
	CHECK_EQ(get("/proc/1/oom_score_adj"), 0);
}

static void
lowering_needs_a_capability(void)
{
	CHECK_EQ(set(ADJ, "100"), 0); /* the least from now on */
	drop_capability(CAP_SYS_RESOURCE);
	CHECK_EQ(set(ADJ, "600"), 0);
	CHECK_EQ(set(ADJ, "100"), 0);
	CHECK_ERR(set(ADJ, "99"), EACCES);
	CHECK_EQ(get(ADJ), 100);
}

static char child_stack[65536];
static volatile int child_may_go;

static int
wait_for_end(void *arg)
{
	while (!child_may_go)
		sleep_ms(5);
	return 0;
}

static void
children_inherit_it_and_sharers_of_memory_share_it(void)
{
	char path[40];
	int status;
	pid_t pid;

	CHECK_EQ(set(ADJ, "123"), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(get(ADJ), 123);
		CHECK_EQ(set(ADJ, "321"), 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(get(ADJ), 123);

	pid = clone(
	    wait_for_end, child_stack + sizeof(child_stack), CLONE_VM | SIGCHLD, NULL);
	CHECK(pid > 0);
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	CHECK_EQ(set(ADJ, "77"), 0);
	CHECK_EQ(get(path), 77);
	CHECK_EQ(set(path, "88"), 0);
	CHECK_EQ(get(ADJ), 88);
	child_may_go = 1;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

/* ---- Using it all ---- */

/* Touches memory page by page, for ever. */
static void
hog(const char *adj, int ms)
{
	CHECK_EQ(set(ADJ, adj), 0);
	alarm(0);
	for (;;) {
		char *p = mmap(NULL, MIB(1), RW, ANON, -1, 0);

		CHECK(p != MAP_FAILED);
		for (size_t i = 0; i < MIB(1); i += PAGE)
			p[i] = 1;
		if (ms)
			sleep_ms(ms);
	}
}

static void
the_hog_is_killed_and_nobody_else(void)
{
	pid_t other = fork(), pid;
	int status;

	if (!other) {
		for (;;)
			pause();
	}
	pid = fork();
	if (!pid)
		hog("0", 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_EQ(waitpid(other, &status, WNOHANG), 0); /* it lives */
	CHECK_EQ(kill(other, SIGKILL), 0);
	CHECK_EQ(waitpid(other, &status, 0), other);
}

/* A process of 20 MiB that asks to be the first goes before one that has the rest. */
static void
correction_chooses_the_victim(void)
{
	pid_t first, second;
	int status, fds[2];
	char c;

	CHECK_EQ(pipe(fds), 0);
	first = fork();
	if (!first) {
		char *p = mmap(NULL, MIB(20), RW, ANON, -1, 0);

		alarm(0);
		CHECK(p != MAP_FAILED);
		memset(p, 1, MIB(20));
		CHECK_EQ(set(ADJ, "1000"), 0);
		CHECK_EQ(write(fds[1], "x", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	second = fork();
	if (!second)
		hog("0", 2);
	CHECK_EQ(waitpid(-1, &status, 0), first);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	(void)kill(second, SIGKILL);
	CHECK_EQ(waitpid(second, &status, 0), second);
}

/* A system call that copies to memory that is not there yet waits for room as well. */
static void
calls_of_the_kernel_wait_for_room(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		int fd = (int)syscall(SYS_memfd_create, "zeros", 0);

		CHECK_EQ(ftruncate(fd, MIB(1)), 0);
		alarm(0);
		for (;;) {
			char *p = mmap(NULL, MIB(1), RW, ANON, -1, 0);

			CHECK(p != MAP_FAILED);
			CHECK_EQ(pread(fd, p, MIB(1), 0), MIB(1));
		}
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
memory_of_the_dying_can_be_released(void)
{
	int null = open("/dev/null", O_RDONLY), status, fd;
	long result;
	pid_t pid = fork();

	if (!pid) {
		char *p = mmap(NULL, MIB(30), RW, ANON, -1, 0);

		memset(p, 1, MIB(30));
		for (;;)
			pause();
	}
	fd = (int)syscall(PIDFD_OPEN, pid, 0);
	CHECK(fd >= 0);
	CHECK_ERR(syscall(MRELEASE, null, 0), EBADF);
	CHECK_ERR(syscall(MRELEASE, -1, 0), EBADF);
	CHECK_ERR(syscall(MRELEASE, fd, 1), EINVAL);
	CHECK_ERR(syscall(MRELEASE, fd, 0), EINVAL); /* it lives */
	CHECK_EQ(kill(pid, SIGKILL), 0);
	result = syscall(MRELEASE, fd, 0);
	CHECK(result == 0 || errno == ESRCH); /* it may have been faster */
	CHECK_EQ(
	    waitid(P_PID, (id_t)pid, (siginfo_t *)&(char[128]){0}, WEXITED | WNOWAIT), 0);
	CHECK_ERR(syscall(MRELEASE, fd, 0), ESRCH);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

/* What programs have given up goes first: there is room for the same again, twice over. */
static void
given_up_memory_goes_before_programs(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	size_t size = 0;
	char line[100];
	char *p[3];

	while (!size && fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemAvailable:", 13))
			size = strtoul(line + 13, NULL, 10) * 1024 / 10 * 6 &
			       -(size_t)MIB(2);
	fclose(f);
	CHECK(size > MIB(16));
	for (int i = 0; i < 3; i++) {
		p[i] = mmap(NULL, size, RW, ANON | MAP_NORESERVE, -1, 0);
		CHECK(p[i] != MAP_FAILED);
		/* In pages of 2 MiB and in small ones. */
		CHECK_EQ(madvise(p[i], size / 2, MADV_NOHUGEPAGE), 0);
		memset(p[i], 1, size);
		CHECK_EQ(madvise(p[i], size, MADV_FREE), 0);
		p[i][0] = p[i][size - 1] = 2; /* these are wanted still */
	}
	for (int i = 0; i < 3; i++)
		CHECK(p[i][0] == 2 && p[i][size - 1] == 2);
	for (size_t at = PAGE; at < size - MIB(2); at += PAGE)
		CHECK(p[0][at] == 0 || p[0][at] == 1);
}

static const struct test tests[] = {
    TEST(given_up_memory_goes_before_programs),
    TEST(correction_has_bounds),
    TEST(old_correction_is_the_same_in_17ths),
    TEST(score_follows_correction),
    TEST(lowering_needs_a_capability),
    TEST(children_inherit_it_and_sharers_of_memory_share_it),
    TEST(memory_of_the_dying_can_be_released),
    TEST(the_hog_is_killed_and_nobody_else),
    TEST(correction_chooses_the_victim),
    TEST(calls_of_the_kernel_wait_for_room),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (strncmp(argv[0], "/guest/", 7) != 0) {
		printf("these tests use up all memory: not on this machine\n");
		return 1;
	}
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
