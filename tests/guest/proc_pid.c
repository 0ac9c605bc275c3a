/* What /proc/PID tells beyond memory and descriptors: name spaces, children, where a thread waits, and
 * what is left of a leader that has ended before its threads. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum {
	OTHER = 1234,
	GET_USERNS = 0xb701,
	GET_PARENT = 0xb702,
	GET_NSTYPE = 0xb703,
	GET_OWNER_UID = 0xb704,
	NEWTIME = 0x80,
};

/* What reading gives: bytes, or minus errno of open or read. */
static long
reading(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	long n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	n = n < 0 ? -errno : n;
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
	return n;
}

static long
writing(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	long n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

/* ---- name spaces */

static const struct {
	const char *name, *type;
	int flag;
} spaces[] = {
    {"cgroup", "cgroup", CLONE_NEWCGROUP},
    {"ipc", "ipc", CLONE_NEWIPC},
    {"mnt", "mnt", CLONE_NEWNS},
    {"net", "net", CLONE_NEWNET},
    {"pid", "pid", CLONE_NEWPID},
    {"pid_for_children", "pid", CLONE_NEWPID},
    {"time", "time", NEWTIME},
    {"time_for_children", "time", NEWTIME},
    {"user", "user", CLONE_NEWUSER},
    {"uts", "uts", CLONE_NEWUTS},
};
enum { NUM_SPACES = sizeof(spaces) / sizeof(spaces[0]) };

static void
name_spaces_are_links(void)
{
	pid_t pid = child_that_waits();
	char path[64], text[64], other[64], want[64];
	struct dirent *e;
	struct stat st;
	DIR *d = opendir("/proc/self/ns");
	int n = 0;

	CHECK(d);
	while ((e = readdir(d))) {
		n++;
		EXPECT_EQ(e->d_type, e->d_name[0] == '.' ? DT_DIR : DT_LNK);
	}
	closedir(d);
	EXPECT_EQ(n, NUM_SPACES + 2);
	CHECK_EQ(stat("/proc/self/ns", &st), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0511);
	for (int i = 0; i < NUM_SPACES; i++) {
		long len;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", spaces[i].name);
		len = readlink(path, text, sizeof(text) - 1);
		CHECK(len > 0);
		text[len] = '\0';
		CHECK_EQ(lstat(path, &st), 0);
		EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
		CHECK_EQ(stat(path, &st), 0);
		EXPECT_EQ(st.st_mode, S_IFREG | 0444);
		EXPECT_EQ(st.st_nlink, 1);
		snprintf(want, sizeof(want), "%s:[%lu]", spaces[i].type, st.st_ino);
		EXPECT_EQ(strcmp(text, want), 0);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/ns/%s", pid, pid,
		    spaces[i].name);
		len = readlink(path, other, sizeof(other) - 1);
		CHECK(len > 0);
		other[len] = '\0';
		EXPECT_EQ(strcmp(text, other), 0);
	}
	EXPECT_ERR(readlink("/proc/self/ns/nosuch", text, sizeof(text)), ENOENT);
	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	EXPECT_ERR(readlink("/proc/1/ns/net", text, sizeof(text)), EACCES);
	EXPECT_ERR(open("/proc/1/ns/net", O_RDONLY), EACCES);
}

static void
name_spaces_are_files(void)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), user, again;
	char path[64], text[64];
	struct stat a, b;
	struct statfs sf;
	long len;

	CHECK(fd >= 0);
	EXPECT_ERR(open("/proc/self/ns/uts", O_WRONLY), EPERM);
	EXPECT_ERR(read(fd, text, 1), EINVAL);
	CHECK_EQ(fstatfs(fd, &sf), 0);
	EXPECT_EQ(sf.f_type, 0x6e736673);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, text, sizeof(text) - 1);
	CHECK(len > 0);
	text[len] = '\0';
	EXPECT_EQ(strncmp(text, "uts:[", 5), 0);
	EXPECT_EQ(ioctl(fd, GET_NSTYPE), CLONE_NEWUTS);
	EXPECT_ERR(ioctl(fd, GET_PARENT), EINVAL);
	EXPECT_ERR(ioctl(fd, GET_OWNER_UID, &user), EINVAL);
	EXPECT_ERR(ioctl(fd, 0xb7ff), ENOTTY);
	user = ioctl(fd, GET_USERNS);
	CHECK(user >= 0);
	EXPECT_EQ(fcntl(user, F_GETFD), FD_CLOEXEC);
	again = open("/proc/self/ns/user", O_RDONLY);
	CHECK_EQ(fstat(user, &a), 0);
	CHECK_EQ(fstat(again, &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_dev, b.st_dev);
}

/* proves: setns */
static void
setns_stays_where_it_is(void)
{
	char path[64], cwd[64];
	int fd;

	CHECK_EQ(chdir("/proc"), 0);
	for (int i = 0; i < NUM_SPACES; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", spaces[i].name);
		fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		EXPECT_ERR(
		    SYS(setns, fd,
		        spaces[i].flag == CLONE_NEWUTS ? CLONE_NEWIPC : CLONE_NEWUTS),
		    EINVAL);
		if (spaces[i].flag == CLONE_NEWUSER)
			EXPECT_ERR(SYS(setns, fd, 0), EINVAL);
		else
			EXPECT_EQ(SYS(setns, fd, spaces[i].flag), 0);
	}
	EXPECT_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/"), 0); /* by its mounts */
	fd = (int)SYS(pidfd_open, getppid(), 0);
	CHECK(fd >= 0);
	EXPECT_EQ(SYS(setns, fd, CLONE_NEWUTS | CLONE_NEWNET), 0);
	EXPECT_ERR(SYS(setns, fd, CLONE_NEWUTS | CLONE_NEWUSER), EINVAL);
	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	EXPECT_ERR(SYS(setns, fd, CLONE_NEWUTS), EPERM);
	fd = open("/proc/self/ns/net", O_RDONLY);
	if (fd >= 0)
		EXPECT_ERR(SYS(setns, fd, 0), EPERM);
}

static void
ids_are_mapped_to_themselves(void)
{
	static const char *const maps[] = {"/proc/self/uid_map", "/proc/self/gid_map",
	    "/proc/self/projid_map", "/proc/thread-self/uid_map"};
	char buf[256];

	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		CHECK(reading(maps[i], buf, sizeof(buf)) > 0);
		EXPECT_EQ(strcmp(buf, "         0          0 4294967295\n"), 0);
		EXPECT_EQ(writing(maps[i], "0 0 1"), -EPERM);
	}
	CHECK(reading("/proc/self/setgroups", buf, sizeof(buf)) > 0);
	EXPECT_EQ(strcmp(buf, "allow\n"), 0);
	EXPECT_EQ(writing("/proc/self/setgroups", "allow\n"), 6);
	EXPECT_EQ(writing("/proc/self/setgroups", "deny"), -EPERM);
	EXPECT_EQ(writing("/proc/self/setgroups", "perhaps"), -EINVAL);
	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	EXPECT_EQ(writing("/proc/self/setgroups", "allow"), -EACCES);
}

/* ---- threads and children */

static pthread_barrier_t barrier;
static pid_t made_by_thread;

static void *
make_child(void *arg)
{
	char path[64], buf[64], want[64];

	made_by_thread = child_that_waits();
	snprintf(path, sizeof(path), "/proc/self/task/%ld/children", SYS(gettid));
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	snprintf(want, sizeof(want), "%d ", made_by_thread);
	EXPECT_EQ(strcmp(buf, want), 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void
children_are_those_of_a_thread(void)
{
	pid_t a = child_that_waits(), b;
	char path[64], buf[64], want[64];
	pthread_t t;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	CHECK_EQ(access("/proc/self/children", F_OK), -1);
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
	CHECK_EQ(pthread_create(&t, NULL, make_child, NULL), 0);
	pthread_barrier_wait(&barrier);
	b = child_that_waits();
	snprintf(want, sizeof(want), "%d %d ", a, b);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	EXPECT_EQ(strcmp(buf, want), 0);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(pthread_join(t, NULL), 0);
	/* Who made it has ended: another thread's child now. */
	snprintf(want, sizeof(want), "%d", made_by_thread);
	for (int i = 0; i < 1000; i++) {
		CHECK(reading(path, buf, sizeof(buf)) > 0);
		if (strstr(buf, want))
			break;
		sleep_ms(5);
	}
	CHECK(strstr(buf, want));
	CHECK_EQ(kill(a, SIGKILL), 0);
	CHECK_EQ(waitpid(a, NULL, 0), a);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	snprintf(want, sizeof(want), "%d ", a);
	EXPECT_EQ(strncmp(buf, want, strlen(want)) == 0, false);
}

static char
state_of(const char *path)
{
	char buf[512];

	CHECK(reading(path, buf, sizeof(buf)) > 0);
	return strrchr(buf, ')')[2];
}

static void *
spin(void *arg)
{
	for (;;)
		*(volatile int *)arg += 1;
	return NULL;
}

/* A process's state is its first thread's. */
static void
state_is_the_leaders(void)
{
	char path[64];
	pid_t pid = fork();
	int n;
	pthread_t t;

	if (pid == 0) {
		CHECK_EQ(pthread_create(&t, NULL, spin, &n), 0);
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 1000 && state_of(path) != 'S'; i++)
		sleep_ms(2);
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(state_of(path), 'S');
		sleep_ms(5);
	}
	CHECK_EQ(kill(pid, SIGKILL), 0);
}

static int told[2];

static void *
outlive(void *arg)
{
	CHECK_EQ(write(told[1], "x", 1), 1);
	for (;;)
		pause();
}

static long
entries(const char *path)
{
	DIR *d = opendir(path);
	long n = 0;

	if (!d)
		return -errno;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What others still have, it has no more. */
static void
a_leader_that_ended_is_a_zombie(void)
{
	char path[64], buf[4096], byte;
	pthread_t t;
	pid_t pid;

	CHECK_EQ(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(pthread_create(&t, NULL, outlive, NULL), 0);
		SYS(exit, 0);
	}
	CHECK_EQ(read(told[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 1000 && state_of(path) != 'Z'; i++)
		sleep_ms(2);
	EXPECT_EQ(state_of(path), 'Z');
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, "State:\tZ (zombie)\n"));
	CHECK(strstr(buf, "Threads:\t2\n"));
	EXPECT_EQ(strstr(buf, "VmSize") != NULL, false);
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	EXPECT_EQ(strcmp(buf, "0 0 0 0 0 0 0\n"), 0);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	EXPECT_EQ(reading(path, buf, sizeof(buf)), 0);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	EXPECT_EQ(reading(path, buf, sizeof(buf)), 0);
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	EXPECT_ERR(readlink(path, buf, sizeof(buf)), ENOENT);
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	EXPECT_ERR(readlink(path, buf, sizeof(buf)), ENOENT);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	EXPECT_EQ(entries(path), 4);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/* ---- where a thread waits */

static void
stack_and_wchan_have_rights(void)
{
	char path[64], buf[4096];
	pid_t pid = child_that_waits(), mine;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	CHECK_EQ(stat(path, &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0400);
	for (int i = 0;
	     i < 1000 && (reading(path, buf, sizeof(buf)) <= 0 || !strstr(buf, "pause"));
	     i++)
		sleep_ms(2);
	EXPECT_EQ(strncmp(buf, "[<0>] ", 6), 0);
	CHECK(strstr(buf, "+0x") && strstr(buf, "pause"));
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	for (int i = 0; i < 1000; i++) {
		CHECK(reading(path, buf, sizeof(buf)) > 0);
		if (strcmp(buf, "0") != 0)
			break;
		sleep_ms(2);
	}
	CHECK(strcmp(buf, "0") != 0 && !strpbrk(buf, "+/ \n"));
	EXPECT_EQ(reading("/proc/self/wchan", buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], '0');
	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	EXPECT_EQ(reading(path, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], '0');
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	EXPECT_EQ(reading(path, buf, sizeof(buf)), -EACCES);
	/* The stack needs a right even of one's own. */
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	mine = child_that_waits();
	snprintf(path, sizeof(path), "/proc/%d/stack", mine);
	EXPECT_EQ(reading(path, buf, sizeof(buf)), -EACCES);
}

/* Files that their owner may open, yet not read of a process that has more rights than he. */
static void
reading_asks_again(void)
{
	static const struct {
		const char *name;
		int error;
	} files[] = {{"io", EACCES}, {"personality", EPERM}, {"syscall", EPERM}};
	char path[64], buf[256];
	int fds[3], other[3];
	pid_t pid = child_that_waits();

	CHECK_EQ(setgid(OTHER), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i].name);
		fds[i] = open(path, O_RDONLY);
		CHECK(fds[i] >= 0);
		snprintf(path, sizeof(path), "/proc/self/%s", files[i].name);
		other[i] = open(path, O_RDONLY);
	}
	CHECK_EQ(setuid(OTHER), 0);
	for (int i = 0; i < 3; i++) {
		EXPECT_ERR(read(fds[i], buf, sizeof(buf)), files[i].error);
		EXPECT_EQ(read(other[i], buf, sizeof(buf)) > 0, true);
	}
}

static void
schedstat_of(pid_t pid, unsigned long long v[3])
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	CHECK_EQ(sscanf(buf, "%llu %llu %llu\n", &v[0], &v[1], &v[2]), 3);
}

static void
spin_on_first_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	alarm(20);
	for (;;)
		;
}

/* Two that want one CPU all the time: who does not run waits. */
static void
waiting_for_a_cpu_is_counted(void)
{
	pid_t pids[2], idle = child_that_waits();
	unsigned long long a[3], b[3], quiet[3];
	struct timespec t0, t1;
	long long passed;

	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			spin_on_first_cpu();
	}
	sleep_ms(50);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	schedstat_of(pids[0], a);
	do {
		sleep_ms(100);
		schedstat_of(pids[0], b);
		clock_gettime(CLOCK_MONOTONIC, &t1);
		passed = (t1.tv_sec - t0.tv_sec) * 1000000000LL + t1.tv_nsec - t0.tv_nsec;
	} while ((b[2] - a[2] < 3 || b[1] == a[1]) && passed < 15000000000LL);
	EXPECT_EQ(b[0] > a[0] && b[1] > a[1] && b[2] - a[2] >= 3, true);
	/* A turn that goes on has not been told yet. */
	EXPECT_EQ(
	    b[0] - a[0] + b[1] - a[1] <= (unsigned long long)passed + 100000000, true);
	schedstat_of(idle, quiet);
	EXPECT_EQ(quiet[2] < 100, true);
	kill(pids[0], SIGKILL);
	kill(pids[1], SIGKILL);
}

static pid_t named;

static void *
be_named(void *arg)
{
	named = (pid_t)SYS(gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* Who does not own the files any more, since he may not be dumped, has his own all the same. */
static void
its_own_a_process_may_have(void)
{
	char path[64], buf[64] = "";
	pid_t other = child_that_waits();
	struct stat st;
	pthread_t t;

	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
	CHECK_EQ(pthread_create(&t, NULL, be_named, NULL), 0);
	pthread_barrier_wait(&barrier);
	snprintf(path, sizeof(path), "/proc/%d/comm", other);
	EXPECT_EQ(writing(path, "mine"), -EINVAL);
	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	CHECK_EQ(stat("/proc/self/fd", &st), 0);
	EXPECT_EQ(st.st_uid, 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0500);
	EXPECT_EQ(entries("/proc/self/fd") > 3, true);
	EXPECT_EQ(access("/proc/self/fd/1", F_OK), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", other);
	EXPECT_EQ(entries(path), -EACCES);
	CHECK_EQ(stat("/proc/self/fdinfo", &st), 0);
	EXPECT_EQ(st.st_mode, S_IFDIR | 0555);
	EXPECT_EQ(entries("/proc/self/fdinfo") > 3, true);
	EXPECT_EQ(access("/proc/self/fdinfo/1", R_OK), 0);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", other);
	EXPECT_EQ(entries(path), -EACCES);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/1", other);
	EXPECT_ERR(access(path, F_OK), EACCES);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", named);
	EXPECT_EQ(writing(path, "a thread of mine"), 16);
	CHECK(reading(path, buf, sizeof(buf)) > 0);
	EXPECT_EQ(strcmp(buf, "a thread of min\n"), 0);
	EXPECT_EQ(writing("/proc/1/comm", "mine"), -EACCES);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void
net_is_a_folder_of_each(void)
{
	char buf[64];
	struct stat a, b;
	long n = readlink("/proc/net", buf, sizeof(buf));

	EXPECT_EQ(n, 8);
	EXPECT_EQ(strncmp(buf, "self/net", 8), 0);
	CHECK_EQ(stat("/proc/net/dev", &a), 0);
	CHECK_EQ(stat("/proc/self/net/dev", &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(entries("/proc/net/") > 10, true);
	EXPECT_EQ(access("/proc/thread-self/net/unix", R_OK), 0);
}

static const struct test tests[] = {
    TEST(name_spaces_are_links),
    TEST(name_spaces_are_files),
    TEST(setns_stays_where_it_is),
    TEST(ids_are_mapped_to_themselves),
    TEST(children_are_those_of_a_thread),
    TEST(state_is_the_leaders),
    TEST(a_leader_that_ended_is_a_zombie),
    TEST(stack_and_wchan_have_rights),
    TEST(reading_asks_again),
    TEST(waiting_for_a_cpu_is_counted),
    TEST(its_own_a_process_may_have),
    TEST(net_is_a_folder_of_each),
};

RUN_TESTS(tests)
