/*
 * Tests that run inside: programs of the plain Linux ABI, so the same binary says on
 * Linux what is right. Each test prints "T name", then "OK" or "FAIL file:line
 * expression"; the exit status is the number of failed tests. A test runs in a child of
 * its own, so it may crash or change anything.
 */
#pragma once

#include "tests/guest/fail.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define CHECK_EQ(a, b) \
	do { \
		long a_ = (long)(a), b_ = (long)(b); \
		if (a_ != b_) { \
			printf("FAIL %s:%d %s is %ld, not %s (%ld) (errno %d)\n", \
			    __FILE__, __LINE__, #a, a_, #b, b_, errno); \
			fflush(stdout); \
			_exit(1); \
		} \
	} while (0)

/* A call that must fail with one error. */
#define CHECK_ERR(call, error) \
	do { \
		errno = 0; \
		CHECK_EQ(call, -1); \
		CHECK_EQ(errno, error); \
	} while (0)

/*
 * The same checks for rows of cases that do not depend on each other: the test goes on,
 * and fails at its end.
 */
static int num_unexpected __attribute__((unused));

#define EXPECT_EQ(a, b) \
	do { \
		long a_ = (long)(a), b_ = (long)(b); \
		if (a_ != b_) { \
			printf("FAIL %s:%d %s is %ld, not %s (%ld) (errno %d)\n", \
			    __FILE__, __LINE__, #a, a_, #b, b_, errno); \
			num_unexpected++; \
		} \
	} while (0)

#define EXPECT_ERR(call, error) \
	do { \
		long result_; \
\
		errno = 0; \
		result_ = (long)(call); \
		if (result_ != -1 || errno != (error)) { \
			printf("FAIL %s:%d %s is %ld (errno %d), not %s\n", __FILE__, \
			    __LINE__, #call, result_, errno, #error); \
			num_unexpected++; \
		} \
	} while (0)

/* A call as the kernel sees it, without what the C library checks, changes and caches. */
#define SYS(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

/* An address where nothing is mapped, and one of the kernel's. */
#define BAD_ADDR    ((void *)16)
#define KERNEL_ADDR ((void *)0xffff800000000000)

struct test {
	const char *name;
	void (*fn)(void);
};

#define TEST(name) \
	{ \
#name, name \
	}

static inline int
run_test(const struct test *t)
{
	int status;
	pid_t pid;

	printf("T %s\n", t->name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(30);
		t->fn();
		fflush(stdout);
		_exit(num_unexpected != 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("FAIL cannot run\n");
		return 1;
	}
	if (WIFSIGNALED(status)) {
		printf("FAIL killed by signal %d\n", WTERMSIG(status));
		return 1;
	}
	if (WEXITSTATUS(status) == 0)
		printf("OK\n");
	fflush(stdout);
	return WEXITSTATUS(status) != 0;
}

#define RUN_TESTS(tests) \
	int main(int argc, char **argv) \
	{ \
		int failed = 0; \
\
		for (unsigned i = 0; i < sizeof(tests) / sizeof((tests)[0]); i++) \
			if (argc < 2 || !strcmp(argv[1], (tests)[i].name)) \
				failed += run_test(&(tests)[i]); \
		return failed; \
	}

static inline void
sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* So many milliseconds from now. */
static inline struct timespec
in_ms(clockid_t clock, int ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static inline pid_t
child_that_waits(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		alarm(20); /* when nobody else ends it */
	while (pid == 0)
		pause();
	return pid;
}

/* For a tracer: why `pid` stopped, the event above the signal. */
static inline int
stop_of(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	CHECK(WIFSTOPPED(status));
	return status >> 8;
}

/* The number under `name` in the lines of /proc/net that begin with `group` ("": any). -1: not there. */
static inline long
column_of(const char *path, const char *group, const char *name)
{
	FILE *f = fopen(path, "r");
	char names[8192], values[8192], *n, *v, *sn, *sv;
	size_t len = strlen(group);
	long found = -1;

	CHECK(f != NULL);
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		if (len && (strncmp(names, group, len) || names[len] != ':'))
			continue;
		n = strtok_r(names, " \n", &sn);
		v = strtok_r(values, " \n", &sv);
		for (; n && v;
		     n = strtok_r(NULL, " \n", &sn), v = strtok_r(NULL, " \n", &sv))
			if (!strcmp(n, name))
				found = atol(v);
	}
	fclose(f);
	return found;
}
