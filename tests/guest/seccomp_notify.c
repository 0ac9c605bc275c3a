/* seccomp's user notification: calls that another process answers. And a tracer's look at filters. */
#define _GNU_SOURCE
#include "tests/guest/check.h"
#include "tests/guest/seccomp_util.h"

#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

struct notif {
	uint64_t id;
	uint32_t pid, flags;
	struct seccomp_data data;
};

struct answer {
	uint64_t id;
	int64_t val;
	int32_t error;
	uint32_t flags;
};

struct addfd {
	uint64_t id;
	uint32_t flags, srcfd, newfd, newfd_flags;
};

enum { SET_MODE_FILTER = 1, GET_ACTION_AVAIL, GET_NOTIF_SIZES };
enum { TSYNC = 1, NEW_LISTENER = 8, TSYNC_ESRCH = 16, WAIT_KILLABLE = 32 };
enum { CONTINUE = 1, ADD_SET = 1, ADD_SEND = 2 };
enum { SECCOMP_GET_FILTER = 0x420c, MAGIC = '!' };
#define RECV     _IOWR(MAGIC, 0, struct notif)
#define SEND     _IOWR(MAGIC, 1, struct answer)
#define ID_VALID _IOW(MAGIC, 2, uint64_t)
#define ADDFD    _IOW(MAGIC, 3, struct addfd)

/* getppid and dup are left to the listener. */
static struct sock_filter insns[] = {
    {0x20, 0, 0, offsetof(struct seccomp_data, nr)},
    {0x15, 1, 0, SYS_getppid},
    {0x15, 0, 1, SYS_dup},
    {0x06, 0, 0, 0x7fc00000},
    {0x06, 0, 0, 0x7fff0000},
};

static int
listen_with(unsigned flags)
{
	struct sock_fprog prog = {5, insns};

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	return (int)syscall(SYS_seccomp, SET_MODE_FILTER, flags, &prog);
}

static int
listen_to_calls(void)
{
	int fd = listen_with(NEW_LISTENER);

	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	return fd;
}

static pid_t
in_child(void (*fn)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	return pid;
}

static void
ends_well(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static struct notif
receive(int fd)
{
	struct notif n;

	memset(&n, 0, sizeof(n));
	CHECK_EQ(ioctl(fd, RECV, &n), 0);
	return n;
}

static void
answer(int fd, struct answer a)
{
	CHECK_EQ(ioctl(fd, SEND, &a), 0);
}

static short
events_of(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void
ask_three_times(void)
{
	CHECK_EQ(syscall(SYS_getppid, 11, 12, 13, 14, 15, 16), 4242);
	CHECK_ERR(syscall(SYS_getppid), EXDEV);
	CHECK_EQ(syscall(SYS_getppid), getpgrp());
}

/* proves: seccomp */
static void
answers_are_results(void)
{
	struct notif n;
	pid_t pid;
	int fd;

	CHECK_EQ(setpgid(0, 0), 0);
	fd = listen_to_calls();
	CHECK_EQ(events_of(fd), 0);
	pid = in_child(ask_three_times);
	n = receive(fd);
	CHECK_EQ(n.pid, pid);
	CHECK_EQ(n.flags, 0);
	CHECK_EQ(n.data.nr, SYS_getppid);
	CHECK_EQ(n.data.arch, 0xc000003e);
	CHECK_EQ(n.data.args[0], 11);
	CHECK_EQ(n.data.args[5], 16);
	CHECK_EQ(events_of(fd), POLLOUT);
	CHECK_EQ(ioctl(fd, ID_VALID, &n.id), 0);
	answer(fd, (struct answer){n.id, 4242, 0, 0});
	n = receive(fd);
	answer(fd, (struct answer){n.id, 0, -EXDEV, 0});
	n = receive(fd);
	answer(fd, (struct answer){n.id, 0, 0, CONTINUE});
	ends_well(pid);
	CHECK_EQ(events_of(fd), 0);
}

static void
ask_once(void)
{
	CHECK_EQ(syscall(SYS_getppid), 1);
}

/* proves: seccomp */
static void
arguments_are_checked(void)
{
	struct sock_fprog prog = {5, insns};
	struct answer a = {0};
	uint16_t sizes[3];
	struct notif n;
	unsigned action = 0x7fc00000;
	int fd = listen_to_calls();
	pid_t pid;

	CHECK_EQ(syscall(SYS_seccomp, GET_NOTIF_SIZES, 0, sizes), 0);
	CHECK(sizes[0] == sizeof(n) && sizes[1] == sizeof(a) && sizes[2] == 64);
	CHECK_ERR(syscall(SYS_seccomp, GET_NOTIF_SIZES, 1, sizes), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, GET_NOTIF_SIZES, 0, NULL), EFAULT);
	CHECK_EQ(syscall(SYS_seccomp, GET_ACTION_AVAIL, 0, &action), 0);
	CHECK_ERR(listen_with(NEW_LISTENER), EBUSY); /* one for a thread */
	CHECK_ERR(listen_with(NEW_LISTENER | TSYNC), EINVAL);
	CHECK_ERR(listen_with(WAIT_KILLABLE), EINVAL);
	CHECK_ERR(listen_with(64), EINVAL);
	prog.len = 0;
	CHECK_ERR(syscall(SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, &prog), EINVAL);
	CHECK_ERR(ioctl(fd, _IO(MAGIC, 9), 0), EINVAL);
	CHECK_ERR(read(fd, sizes, 1), EINVAL);
	pid = in_child(ask_once);
	memset(&n, 0, sizeof(n));
	n.pid = 1;
	CHECK_ERR(ioctl(fd, RECV, &n), EINVAL); /* room for what is to come */
	CHECK_ERR(ioctl(fd, RECV, NULL), EFAULT);
	n = receive(fd);
	a = (struct answer){n.id, 0, 0, 2};
	CHECK_ERR(ioctl(fd, SEND, &a), EINVAL);
	a = (struct answer){n.id, 1, 0, CONTINUE};
	CHECK_ERR(ioctl(fd, SEND, &a), EINVAL);
	a = (struct answer){n.id + 1, 1, 0, 0};
	CHECK_ERR(ioctl(fd, SEND, &a), ENOENT);
	CHECK_ERR(ioctl(fd, SEND, NULL), EFAULT);
	CHECK_ERR(ioctl(fd, ID_VALID, &a.id), ENOENT);
	answer(fd, (struct answer){n.id, 1, 0, 0});
	ends_well(pid);
	CHECK_ERR(ioctl(fd, ID_VALID, &n.id), ENOENT);
}

static void
note_nothing(int sig)
{
}

static void
ask_and_be_interrupted(void)
{
	const struct sigaction sa = {.sa_handler = note_nothing};

	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_ERR(syscall(SYS_getppid), EINTR);
}

/* proves: seccomp */
static void
signals_end_the_question(void)
{
	int fd = listen_to_calls();
	pid_t pid = in_child(ask_and_be_interrupted);
	struct notif n = receive(fd);

	CHECK_EQ(kill(pid, SIGUSR1), 0);
	ends_well(pid);
	CHECK_ERR(ioctl(fd, ID_VALID, &n.id), ENOENT);
	CHECK_EQ(events_of(fd), 0);
}

static void
ask_stubbornly(void)
{
	const struct sigaction sa = {.sa_handler = note_nothing};

	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_EQ(syscall(SYS_getppid), 77);
}

/* What has been received may have begun: only a fatal signal ends it. proves: seccomp */
static void
killable_alone_if_asked_for(void)
{
	int fd = listen_with(NEW_LISTENER | WAIT_KILLABLE), status;
	struct notif n;
	pid_t pid;

	CHECK(fd >= 0);
	pid = in_child(ask_stubbornly);
	n = receive(fd);
	CHECK_EQ(kill(pid, SIGUSR1), 0);
	sleep_ms(50);
	CHECK_EQ(ioctl(fd, ID_VALID, &n.id), 0);
	answer(fd, (struct answer){n.id, 77, 0, 0});
	ends_well(pid);
	pid = in_child(ask_stubbornly);
	n = receive(fd);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGKILL);
	CHECK_ERR(ioctl(fd, ID_VALID, &n.id), ENOENT);
}

static int listener;

static void
ask_the_deaf(void)
{
	CHECK_EQ(close(listener), 0);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

/* proves: seccomp */
static void
closing_it_answers_enosys(void)
{
	pid_t pid;

	listener = listen_to_calls();
	pid = in_child(ask_the_deaf);
	while (!(events_of(listener) & POLLIN))
		sleep_ms(1);
	CHECK_EQ(close(listener), 0);
	ends_well(pid);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

static void
take_files(void)
{
	char text[4] = "";

	CHECK_EQ(syscall(SYS_getppid), 0);
	CHECK_EQ(read(200, text, 3), 3);
	CHECK(!strcmp(text, "abc"));
	CHECK_EQ(fcntl(200, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl((int)syscall(SYS_dup), F_GETFD), 0);
}

/* proves: seccomp */
static void
descriptors_are_given(void)
{
	int fd = listen_to_calls(), pipes[2], given;
	pid_t pid = in_child(take_files);
	struct notif n = receive(fd);
	struct addfd a = {n.id, 0, 0, 0, 0};

	CHECK_EQ(pipe(pipes), 0);
	CHECK_EQ(write(pipes[1], "abc", 3), 3);
	a.srcfd = (uint32_t)pipes[0];
	a.flags = 4;
	CHECK_ERR(ioctl(fd, ADDFD, &a), EINVAL);
	a.flags = 0;
	a.newfd = 200; /* without ADD_SET */
	CHECK_ERR(ioctl(fd, ADDFD, &a), EINVAL);
	a.flags = ADD_SET;
	a.newfd_flags = O_NONBLOCK;
	CHECK_ERR(ioctl(fd, ADDFD, &a), EINVAL);
	a.newfd_flags = O_CLOEXEC;
	a.srcfd = 999;
	CHECK_ERR(ioctl(fd, ADDFD, &a), EBADF);
	a.srcfd = (uint32_t)pipes[0];
	a.id++;
	CHECK_ERR(ioctl(fd, ADDFD, &a), ENOENT);
	a.id--;
	a.newfd = 1 << 30;
	CHECK_ERR(ioctl(fd, ADDFD, &a), EBADF); /* beyond its limit */
	a.newfd = 200;
	CHECK_EQ(ioctl(fd, ADDFD, &a), 200);
	answer(fd, (struct answer){n.id, 0, 0, 0});
	n = receive(fd);
	CHECK_EQ(n.data.nr, SYS_dup);
	a = (struct addfd){n.id, ADD_SEND, (uint32_t)pipes[0], 0, 0};
	given = ioctl(fd, ADDFD, &a);
	CHECK(given > 2);
	ends_well(pid);
}

static void
last_user_hangs_up(void)
{
	int go[2], status, fd, pidfd;
	pid_t pid;
	char byte;

	CHECK_EQ(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		fd = listen_to_calls();
		CHECK_EQ(dup2(fd, 100), 100);
		CHECK_EQ(write(go[1], "x", 1), 1);
		pause();
	}
	CHECK_EQ(read(go[0], &byte, 1), 1);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(pidfd >= 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, 100, 0);
	CHECK(fd >= 0);
	CHECK_EQ(events_of(fd), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 1000 && events_of(fd) != POLLHUP; i++)
		sleep_ms(1);
	CHECK_EQ(events_of(fd), POLLHUP);
}

static void
wait_under_filters(void)
{
	struct sock_filter other = {0x06, 0, 0, 0x7fff0000};
	struct sock_fprog prog = {1, &other};

	CHECK(listen_with(0) == 0);
	CHECK_EQ(syscall(SYS_seccomp, SET_MODE_FILTER, 0, &prog), 0);
	raise(SIGSTOP);
	pause();
}

/* proves: ptrace */
static void
tracer_reads_filters(void)
{
	struct sock_filter got[8];
	pid_t pid = in_child(wait_under_filters);
	int status;

	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_EQ(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(ptrace(SECCOMP_GET_FILTER, pid, 0, NULL), 5);
	CHECK_EQ(ptrace(SECCOMP_GET_FILTER, pid, 0, got), 5);
	CHECK(!memcmp(got, insns, sizeof(insns)));
	CHECK_EQ(ptrace(SECCOMP_GET_FILTER, pid, (void *)1, got), 1);
	CHECK_EQ(got[0].k, 0x7fff0000);
	CHECK_ERR(ptrace(SECCOMP_GET_FILTER, pid, (void *)2, got), ENOENT);
	CHECK_ERR(ptrace(SECCOMP_GET_FILTER, pid, 0, (void *)8), EFAULT);
	CHECK_EQ(kill(pid, SIGKILL), 0);
}

static const struct test tests[] = {
    TEST(answers_are_results),
    TEST(arguments_are_checked),
    TEST(signals_end_the_question),
    TEST(killable_alone_if_asked_for),
    TEST(closing_it_answers_enosys),
    TEST(descriptors_are_given),
    TEST(last_user_hangs_up),
    TEST(tracer_reads_filters),
};

RUN_TESTS(tests)
