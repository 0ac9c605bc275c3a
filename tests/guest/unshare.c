/* unshare and setns, and threads with descriptors and directories of their own. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <dirent.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/stat.h>

enum { KCMP_FILES_ = 2, KCMP_FS_ = 3, OTHER = 1000 };

static long
kcmp(pid_t a, pid_t b, int type)
{
	return SYS(kcmp, a, b, type, 0, 0);
}

/* ---- of processes */

/* proves: unshare */
static void
unshare_checks_its_flags(void)
{
	static const struct {
		unsigned long flags;
		int error;
	} rows[] = {
	    {0, 0},
	    {CLONE_FILES, 0},
	    {CLONE_FS, 0},
	    {CLONE_FILES | CLONE_FS | CLONE_SYSVSEM, 0},
	    {CLONE_THREAD, 0},
	    {CLONE_SIGHAND, 0},
	    {CLONE_VM, 0},
	    {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FILES, 0},
	    {1, EINVAL},
	    {SIGCHLD, EINVAL},
	    {CLONE_PIDFD, EINVAL},
	    {CLONE_PTRACE, EINVAL},
	    {CLONE_VFORK, EINVAL},
	    {CLONE_PARENT, EINVAL},
	    {CLONE_SETTLS, EINVAL},
	    {CLONE_CHILD_CLEARTID, EINVAL},
	    {CLONE_UNTRACED, EINVAL},
	    {CLONE_FILES | CLONE_IO, EINVAL},
	    {1ul << 32, EINVAL},
	    {1ul << 63, EINVAL},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].error)
			EXPECT_ERR(SYS(unshare, rows[i].flags), rows[i].error);
		else
			EXPECT_EQ(SYS(unshare, rows[i].flags), 0);
	}
}

/* proves: unshare */
static void
descriptors_part(void)
{
	int fd = open("/dev/null", O_RDONLY), go[2], status;
	pid_t pid;

	CHECK_EQ(pipe(go), 0);
	pid = (pid_t)SYS(clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		char c;

		EXPECT_EQ(kcmp(getpid(), getppid(), KCMP_FILES_), 0);
		CHECK_EQ(unshare(CLONE_FILES), 0);
		CHECK(kcmp(getpid(), getppid(), KCMP_FILES_) > 0);
		EXPECT_EQ(close(fd), 0);
		EXPECT_EQ(read(go[0], &c, 1), 1);
		/* What the parent has closed since is open here. */
		EXPECT_EQ(fcntl(go[1], F_GETFD), 0);
		_exit(num_unexpected);
	}
	CHECK(pid > 0);
	while (kcmp(getpid(), pid, KCMP_FILES_) == 0)
		sleep_ms(1);
	sleep_ms(20);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(write(go[1], "x", 1), 1);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* proves: unshare */
static void
directories_part(void)
{
	char cwd[256];
	int status;
	pid_t pid;

	CHECK_EQ(chdir("/dev"), 0);
	umask(022);
	pid = (pid_t)SYS(clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		EXPECT_EQ(kcmp(getpid(), getppid(), KCMP_FS_), 0);
		CHECK_EQ(chdir("/proc"), 0);
		umask(077);
		CHECK_EQ(unshare(CLONE_FS), 0);
		CHECK(kcmp(getpid(), getppid(), KCMP_FS_) > 0);
		CHECK_EQ(chdir("/"), 0);
		umask(0);
		_exit(num_unexpected);
	}
	CHECK(pid > 0);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/proc"), 0);
	EXPECT_EQ(umask(0), 077);
}

/* Memory and handlers that another process has cannot be parted from. */
static int
part_from_parent(void *arg)
{
	EXPECT_ERR(SYS(unshare, CLONE_VM), EINVAL);
	if (arg)
		EXPECT_ERR(SYS(unshare, CLONE_SIGHAND), EINVAL);
	else
		EXPECT_EQ(SYS(unshare, CLONE_SIGHAND), 0);
	EXPECT_EQ(SYS(unshare, CLONE_THREAD), 0);
	EXPECT_EQ(SYS(unshare, CLONE_FILES | CLONE_FS), 0);
	return 0;
}

/* proves: unshare */
static void
memory_of_two_does_not_part(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	pid_t pid;

	pid = clone(part_from_parent, stack + sizeof(stack),
	    CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	pid = clone(part_from_parent, stack + sizeof(stack),
	    CLONE_VM | CLONE_SIGHAND | CLONE_VFORK | SIGCHLD, "handlers");
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(SYS(unshare, CLONE_VM), 0);
}

/* The values that SEM_UNDO keeps go back at once. */
static void
undo_values_part(void)
{
	struct sembuf up = {0, 3, SEM_UNDO};
	int id = semget(IPC_PRIVATE, 1, 0600);

	CHECK(id >= 0);
	CHECK_EQ(semop(id, &up, 1), 0);
	EXPECT_EQ(semctl(id, 0, GETVAL), 3);
	EXPECT_EQ(unshare(CLONE_SYSVSEM), 0);
	EXPECT_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

/* ---- of threads */

static pthread_barrier_t barrier;

static void
meet(void)
{
	pthread_barrier_wait(&barrier);
}

struct place {
	int fd, pipe[2];
	pid_t tid;
};

static void *
part_in_thread(void *arg)
{
	struct place *p = arg;
	char cwd[256];

	p->tid = (pid_t)SYS(gettid);
	EXPECT_ERR(SYS(unshare, CLONE_THREAD), EINVAL);
	EXPECT_ERR(SYS(unshare, CLONE_SIGHAND), EINVAL);
	EXPECT_ERR(SYS(unshare, CLONE_VM), EINVAL);
	EXPECT_ERR(SYS(unshare, CLONE_NEWUSER), EINVAL);
	EXPECT_EQ(SYS(unshare, CLONE_FILES | CLONE_FS | CLONE_SYSVSEM), 0);
	EXPECT_EQ(chdir("/dev"), 0);
	EXPECT_EQ(umask(077), 022);
	EXPECT_EQ(close(p->fd), 0);
	EXPECT_EQ(close(p->pipe[0]), 0);
	meet();
	meet(); /* the other has looked */
	EXPECT_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/dev"), 0);
	EXPECT_EQ(umask(077), 077);
	EXPECT_ERR(fcntl(p->fd, F_GETFD), EBADF);
	return NULL;
}

static long
entries(const char *path)
{
	DIR *d = opendir(path);
	long n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* proves: unshare */
static void
a_thread_parts(void)
{
	struct place p = {.fd = open("/dev/null", O_RDONLY)};
	char cwd[256], text[64], link[256] = "";
	struct pollfd poll_end;
	pthread_t t;

	CHECK_EQ(chdir("/"), 0);
	umask(022);
	CHECK_EQ(pipe(p.pipe), 0);
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
	CHECK_EQ(pthread_create(&t, NULL, part_in_thread, &p), 0);
	meet();
	EXPECT_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/"), 0);
	EXPECT_EQ(umask(022), 022);
	EXPECT_EQ(fcntl(p.fd, F_GETFD), 0);
	CHECK(kcmp(getpid(), p.tid, KCMP_FILES_) > 0);
	CHECK(kcmp(getpid(), p.tid, KCMP_FS_) > 0);
	/* Each thread's own in /proc. */
	snprintf(text, sizeof(text), "/proc/self/task/%d/cwd", p.tid);
	CHECK(readlink(text, link, sizeof(link) - 1) > 0);
	EXPECT_EQ(strcmp(link, "/dev"), 0);
	snprintf(text, sizeof(text), "/proc/self/task/%d/fd/%d", p.tid, p.fd);
	EXPECT_ERR(readlink(text, link, sizeof(link)), ENOENT);
	snprintf(text, sizeof(text), "/proc/self/task/%d/fd", p.tid);
	EXPECT_EQ(entries(text), entries("/proc/self/fd") - 3); /* two and the folder */
	/* Its copy of the pipe's end goes with it. */
	close(p.pipe[1]);
	poll_end = (struct pollfd){.fd = p.pipe[0], .events = POLLIN};
	EXPECT_EQ(poll(&poll_end, 1, 0), 0);
	meet();
	CHECK_EQ(pthread_join(t, NULL), 0);
	EXPECT_EQ(poll(&poll_end, 1, 10000), 1);
	EXPECT_EQ(poll_end.revents, POLLHUP);
}

static volatile int child_told;

static int
thread_with_copies(void *arg)
{
	CHECK_EQ(chdir("/dev"), 0);
	CHECK_EQ(close(*(int *)arg), 0);
	child_told = 1;
	for (;;)
		pause();
}

/* Threads are born with copies where clone does not say otherwise. proves: clone */
static void
clone_without_files(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fd = open("/dev/null", O_RDONLY);
	char cwd[64];

	CHECK_EQ(chdir("/"), 0);
	CHECK(clone(thread_with_copies, stack + sizeof(stack),
	          CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, &fd) > 0);
	while (!child_told)
		sleep_ms(1);
	EXPECT_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/"), 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
}

/* A program that a thread starts has the thread's descriptors, directory and locks. */
static void *
exec_in_thread(void *arg)
{
	char text[16];

	CHECK_EQ(chdir("/dev"), 0);
	CHECK_EQ(dup2(open("/dev/zero", O_RDONLY), 50), 50);
	snprintf(text, sizeof(text), "%d", *(int *)arg);
	execl("/proc/self/exe", "unshare", "look", text, NULL);
	_exit(99);
}

/* Parted from the others before: their locks are not its own. */
static void *
part_and_exec(void *arg)
{
	CHECK_EQ(unshare(CLONE_FILES | CLONE_FS), 0);
	return exec_in_thread(arg);
}

enum { LOCK_IS_MINE = 7, LOCK_IS_GONE = 8 };

static int
look(const char *text)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char cwd[64];
	int fd = atoi(text), status;
	pid_t pid;

	CHECK_EQ(strcmp(getcwd(cwd, sizeof(cwd)), "/dev"), 0);
	CHECK_EQ(fcntl(50, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(fcntl(fd, F_GETLK, &lock), 0);
		if (lock.l_type == F_UNLCK)
			_exit(LOCK_IS_GONE);
		_exit(lock.l_pid == getppid() ? LOCK_IS_MINE : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int
exec_by(void *(*thread)(void *))
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = memfd_create("lock", 0), status;
	pid_t pid = fork();
	pthread_t t;

	if (pid == 0) {
		CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
		CHECK_EQ(pthread_create(&t, NULL, thread, &fd), 0);
		for (;;)
			pause();
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status >> 8;
}

/* proves: execve */
static void
exec_takes_what_the_thread_has(void)
{
	EXPECT_EQ(exec_by(exec_in_thread), LOCK_IS_MINE);
	EXPECT_EQ(exec_by(part_and_exec), LOCK_IS_GONE);
}

/* ---- name spaces */

/* Who may not make one is told so first; but users' name spaces anybody may ask for. */
static void
name_spaces_need_a_right(void)
{
	static const unsigned long flags[] = {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC,
	    CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
	struct clone_args a = {.exit_signal = SIGCHLD};

	CHECK_EQ(setgid(OTHER), 0);
	CHECK_EQ(setuid(OTHER), 0);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		EXPECT_ERR(SYS(unshare, flags[i]), EPERM);
		EXPECT_ERR(SYS(clone, flags[i] | SIGCHLD, 0, NULL, NULL, 0), EPERM);
		a.flags = flags[i];
		EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EPERM);
	}
	EXPECT_ERR(SYS(unshare, 0x80), EPERM); /* CLONE_NEWTIME */
	a.flags = 0x80;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EPERM);
	EXPECT_ERR(
	    SYS(clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, NULL, NULL, 0), EINVAL);
	EXPECT_ERR(
	    SYS(clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, NULL, NULL, 0), EINVAL);
}

/* proves: setns */
static void
setns_wants_a_name_space(void)
{
	int fds[2], pidfd = (int)SYS(pidfd_open, getpid(), 0);

	CHECK_EQ(pipe(fds), 0);
	CHECK(pidfd >= 0);
	EXPECT_ERR(SYS(setns, -1, 0), EBADF);
	EXPECT_ERR(SYS(setns, 999, CLONE_NEWNET), EBADF);
	EXPECT_ERR(SYS(setns, fds[0], 0), EINVAL);
	EXPECT_ERR(SYS(setns, fds[0], CLONE_NEWNET), EINVAL);
	EXPECT_ERR(SYS(setns, pidfd, 0), EINVAL);
	EXPECT_ERR(SYS(setns, pidfd, CLONE_FILES), EINVAL);
}

static const struct test tests[] = {
    TEST(unshare_checks_its_flags),
    TEST(descriptors_part),
    TEST(directories_part),
    TEST(memory_of_two_does_not_part),
    TEST(undo_values_part),
    TEST(a_thread_parts),
    TEST(clone_without_files),
    TEST(exec_takes_what_the_thread_has),
    TEST(name_spaces_need_a_right),
    TEST(setns_wants_a_name_space),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "look"))
		return look(argv[2]);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
