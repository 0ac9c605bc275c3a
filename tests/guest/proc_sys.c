/* Settings in /proc/sys that bound how many threads there are, and give memory back. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <linux/sched.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define PID_MAX     "/proc/sys/kernel/pid_max"
#define THREADS_MAX "/proc/sys/kernel/threads-max"
#define DROP_CACHES "/proc/sys/vm/drop_caches"

enum { HIGHEST = 4194304 };

static long
number_in(const char *path)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	return atol(buf);
}

/* 0, or minus errno. */
static long
writing(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	long n;

	CHECK(fd >= 0);
	n = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return n;
}

static long
set(const char *path, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", value);
	return writing(path, text);
}

static long
child_with_number(pid_t pid)
{
	pid_t tids[1] = {pid};
	struct clone_args a = {
	    .exit_signal = SIGCHLD, .set_tid = (uintptr_t)tids, .set_tid_size = 1};
	long result = SYS(clone3, &a, sizeof(a));
	int status;

	if (result == 0)
		_exit(getpid() == pid ? 3 : 4);
	if (result < 0)
		return -errno;
	CHECK_EQ(result, pid);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void
numbers_go_up_to_pid_max(void)
{
	long before = number_in(PID_MAX);

	EXPECT_EQ(set(PID_MAX, 300), -EINVAL);
	EXPECT_EQ(set(PID_MAX, HIGHEST + 1), -EINVAL);
	EXPECT_EQ(set(PID_MAX, -1), -EINVAL);
	EXPECT_EQ(writing(PID_MAX, "many\n"), -EINVAL);
	EXPECT_EQ(number_in(PID_MAX), before);
	EXPECT_EQ(set(PID_MAX, HIGHEST), 0);
	EXPECT_EQ(number_in(PID_MAX), HIGHEST);
	EXPECT_EQ(child_with_number(HIGHEST - 7), 3);
	EXPECT_EQ(child_with_number(HIGHEST), -EINVAL);
	EXPECT_EQ(set(PID_MAX, 40000), 0);
	EXPECT_EQ(child_with_number(40000), -EINVAL);
	EXPECT_EQ(child_with_number(39999), 3);
	EXPECT_EQ(set(PID_MAX, before), 0);
}

/* Threads there are, of all processes: the second number of the fourth word. */
static long
threads_now(void)
{
	char buf[128] = "";
	int fd = open("/proc/loadavg", O_RDONLY);

	CHECK(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	return atol(strchr(buf, '/') + 1);
}

/* A machine that is not ours alone. */
static bool
others_would_suffer(void)
{
	return threads_now() > 60;
}

static void
threads_are_bounded(void)
{
	long before = number_in(THREADS_MAX);
	pid_t pid;

	EXPECT_EQ(before >= 20, true);
	EXPECT_EQ(set(THREADS_MAX, 0), -EINVAL);
	EXPECT_EQ(set(THREADS_MAX, 0x40000000), -EINVAL);
	EXPECT_EQ(set(THREADS_MAX, before), 0);
	if (others_would_suffer())
		return;
	EXPECT_EQ(set(THREADS_MAX, 3), 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	EXPECT_EQ(pid, -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(set(THREADS_MAX, before), 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

static bool
is_readable(const char *path)
{
	int fd = open(path, O_RDONLY);
	char byte;
	bool is = fd >= 0 && read(fd, &byte, 1) == 1;

	if (!is)
		EXPECT_EQ(errno, EACCES);
	close(fd);
	return is;
}

static void
caches_are_dropped(void)
{
	struct stat st;

	CHECK_EQ(stat(DROP_CACHES, &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0200);
	EXPECT_EQ(writing(DROP_CACHES, "0"), -EINVAL);
	EXPECT_EQ(is_readable(DROP_CACHES), false);
	if (others_would_suffer())
		return;
	EXPECT_EQ(writing(DROP_CACHES, "2\n"), 0);
	EXPECT_EQ(writing(DROP_CACHES, "3\n"), 0);
	CHECK_EQ(access("/proc/self/exe", X_OK), 0);
}

static void
names_and_constants(void)
{
	static const struct {
		const char *path;
		long value;
	} rows[] = {{"/proc/sys/kernel/overflowuid", 65534},
	    {"/proc/sys/kernel/overflowgid", 65534}, {"/proc/sys/fs/overflowuid", 65534},
	    {"/proc/sys/kernel/random/poolsize", 256}};
	struct utsname u;
	char text[128] = "";
	int fd;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT_EQ(number_in(rows[i].path), rows[i].value);
	EXPECT_EQ(access("/proc/sys/kernel/tainted", R_OK), 0);
	fd = open("/proc/sys/kernel/seccomp/actions_avail", O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	EXPECT_EQ(strcmp(text,
	              "kill_process kill_thread trap errno user_notif trace log allow\n"),
	    0);
	(void)unshare(CLONE_NEWUTS); /* where there are name spaces */
	EXPECT_EQ(writing("/proc/sys/kernel/domainname", "example\n"), 0);
	CHECK_EQ(uname(&u), 0);
	EXPECT_EQ(strcmp(u.domainname, "example"), 0);
	EXPECT_EQ(setdomainname("(none)", 6), 0);
}

static const struct test tests[] = {
    TEST(numbers_go_up_to_pid_max),
    TEST(threads_are_bounded),
    TEST(caches_are_dropped),
    TEST(names_and_constants),
};

RUN_TESTS(tests)
