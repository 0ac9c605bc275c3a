/* Process descriptors: open, poll, signals, waiting, descriptors of others; kcmp. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define BY_PIDFD ((idtype_t)3)
enum { CLONE_PIDFD_ = 0x1000, SYS_OPEN = 434, SYS_SEND = 424, SYS_GETFD = 438 };

static int
pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_OPEN, pid, flags);
}

static pid_t
sleeper(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0); /* it was faster */
		for (;;)
			pause();
	}
	return pid;
}

static int
is_ready(int fd, int timeout_ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	int n = poll(&p, 1, timeout_ms);

	return n == 1 && (p.revents & POLLIN); /* newer kernels add POLLHUP */
}

static void
open_and_errors(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, 0);

	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(pidfd_open(pid, 1), EINVAL);
	CHECK_ERR(pidfd_open(0, 0), EINVAL);
	CHECK_ERR(pidfd_open(-1, 0), EINVAL);
	CHECK_ERR(pidfd_open(999999, 0), ESRCH);
	CHECK_ERR(read(fd, &pid, 1), EINVAL);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_ERR(pidfd_open(pid, 0), ESRCH);
}

static void
poll_tells_the_end(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, 0);

	CHECK(!is_ready(fd, 0));
	CHECK_EQ(syscall(SYS_SEND, fd, SIGKILL, NULL, 0), 0);
	CHECK(is_ready(fd, 5000));
	CHECK_EQ(syscall(SYS_SEND, fd, SIGKILL, NULL, 0), 0); /* a zombie */
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK(is_ready(fd, 0));
	CHECK_ERR(syscall(SYS_SEND, fd, SIGKILL, NULL, 0), ESRCH);
}

static void
folders_of_proc_take_signals(void)
{
	pid_t pid = sleeper();
	char name[32];
	int fd, task;

	snprintf(name, sizeof(name), "/proc/%d", pid);
	fd = open(name, O_DIRECTORY);
	strcat(name, "/task");
	task = open(name, O_DIRECTORY);
	CHECK(fd >= 0 && task >= 0);
	CHECK_EQ(syscall(SYS_SEND, fd, 0, NULL, 0), 0);
	CHECK_ERR(syscall(SYS_SEND, task, 0, NULL, 0), EBADF);
	CHECK_EQ(syscall(SYS_SEND, fd, SIGKILL, NULL, 0), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_ERR(syscall(SYS_SEND, fd, 0, NULL, 0), ESRCH);
	close(task);
	close(fd);
}

static void
signals(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, 0), status;
	siginfo_t si = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

	CHECK_EQ(syscall(SYS_SEND, fd, 0, NULL, 0), 0);
	CHECK_ERR(syscall(SYS_SEND, fd, 65, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_SEND, fd, SIGTERM, NULL, 1 << 20), EINVAL);
	CHECK_ERR(syscall(SYS_SEND, 0x7777, SIGTERM, NULL, 0), EBADF);
	CHECK_ERR(syscall(SYS_SEND, fd, SIGUSR1, &si, 0), EINVAL);
	si.si_code = SI_USER;
	CHECK_ERR(syscall(SYS_SEND, fd, SIGTERM, &si, 0), EPERM);
	si.si_code = SI_QUEUE;
	CHECK_EQ(syscall(SYS_SEND, fd, SIGTERM, &si, 0), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

static void
others_processes_get_none(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, 0);

	CHECK_EQ(syscall(SYS_setresuid, 1000, 1000, 1000), 0);
	CHECK_ERR(syscall(SYS_SEND, fd, SIGTERM, NULL, 0), EPERM);
	CHECK_ERR(syscall(SYS_GETFD, fd, 0, 0), EPERM);
	CHECK_ERR(syscall(SYS_kcmp, pid, getpid(), 1, 0, 0), EPERM);
}

static void
wait_by_descriptor(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_open(pid, 0), slow = pidfd_open(pid, O_NONBLOCK);
	siginfo_t si;

	CHECK_ERR(waitid(BY_PIDFD, 0x7777, &si, WEXITED), EBADF);
	CHECK_ERR(waitid(BY_PIDFD, slow, &si, WEXITED), EAGAIN);
	memset(&si, 0, sizeof(si));
	CHECK_EQ(waitid(BY_PIDFD, fd, &si, WEXITED | WNOHANG), 0);
	CHECK_EQ(si.si_pid, 0);
	kill(pid, SIGKILL);
	CHECK_EQ(waitid(BY_PIDFD, fd, &si, WEXITED), 0);
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_code, CLD_KILLED);
	CHECK_ERR(waitid(BY_PIDFD, fd, &si, WEXITED), ECHILD);
}

static void
clone_gives_one(void)
{
	int fd = -1;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, &fd, 0, 0);

	if (!pid)
		_exit(fcntl(fd == -1 ? 3 : fd, F_GETFD) == -1
		          ? 7
		          : 8); /* the child has none */
	CHECK(pid > 0);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	siginfo_t si;
	CHECK_EQ(waitid(BY_PIDFD, fd, &si, WEXITED), 0);
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_status, 7);
	CHECK_ERR(syscall(SYS_clone, CLONE_PIDFD_ | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd,
	              0, 0),
	    EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, 16, 0, 0), EFAULT);
}

static void
descriptors_of_others(void)
{
	int pipes[2], mine, fd;
	pid_t pid;
	char c;

	CHECK_EQ(pipe(pipes), 0);
	pid = sleeper();
	fd = pidfd_open(pid, 0);
	close(pipes[1]);
	mine = (int)syscall(SYS_GETFD, fd, pipes[1], 0);
	CHECK(mine >= 0);
	CHECK_EQ(fcntl(mine, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(mine, "x", 1), 1);
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	CHECK_ERR(syscall(SYS_GETFD, fd, 0x7777, 0), EBADF);
	CHECK_ERR(syscall(SYS_GETFD, fd, 0, 1), EINVAL);
	CHECK_ERR(syscall(SYS_GETFD, 0x7777, 0, 0), EBADF);
	kill(pid, SIGKILL);
	CHECK(is_ready(fd, 5000));
	CHECK_ERR(syscall(SYS_GETFD, fd, 0, 0), ESRCH);
}

static void
kcmp_tells_what_is_shared(void)
{
	pid_t me = getpid(), pid = sleeper();
	int copy = dup(1), other = open("/dev/null", O_RDONLY);
	long a, b;

	CHECK_EQ(syscall(SYS_kcmp, me, me, 0, 1, copy), 0);
	CHECK_EQ(syscall(SYS_kcmp, me, pid, 0, 1, 1), 0);
	a = syscall(SYS_kcmp, me, me, 0, 1, other);
	b = syscall(SYS_kcmp, me, me, 0, other, 1);
	CHECK((a == 1 && b == 2) || (a == 2 && b == 1));
	CHECK_EQ(syscall(SYS_kcmp, me, me, 1, 0, 0), 0);
	CHECK(syscall(SYS_kcmp, me, pid, 1, 0, 0) > 0);
	CHECK(syscall(SYS_kcmp, me, pid, 2, 0, 0) > 0);
	CHECK_ERR(syscall(SYS_kcmp, me, me, 0, 1, 0x7777), EBADF);
	CHECK_ERR(syscall(SYS_kcmp, me, me, 99, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_kcmp, me, 999999, 1, 0, 0), ESRCH);
}

static const struct test tests[] = {
    TEST(open_and_errors),
    TEST(poll_tells_the_end),
    TEST(signals),
    TEST(folders_of_proc_take_signals),
    TEST(others_processes_get_none),
    TEST(wait_by_descriptor),
    TEST(clone_gives_one),
    TEST(descriptors_of_others),
    TEST(kcmp_tells_what_is_shared),
};

RUN_TESTS(tests)
