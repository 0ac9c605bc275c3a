/* Descriptors as such: dup and its kin, fcntl, close_range, the requests of ioctl every
 * file has, and the three kinds of locks. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { CLOSE_UNSHARE = 2, CLOSE_CLOEXEC = 4, FUTURE_FD = 100 };

static int
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* proves: dup dup2 dup3 */
static void
dup_makes_and_refuses(void)
{
	struct rlimit few = {64, 64};
	int fd, p;

	begin();
	put("f", "abc");
	fd = open("f", O_RDONLY | O_CLOEXEC);
	p = open("f", O_PATH);
	CHECK(fd >= 0 && p >= 0);
	EXPECT_ERR(SYS(dup, -1), EBADF);
	EXPECT_ERR(SYS(dup, 99), EBADF);
	EXPECT_EQ(fcntl(dup(fd), F_GETFD), 0);
	EXPECT_EQ(fcntl(dup(p), F_GETFL), O_PATH);
	EXPECT_ERR(SYS(dup2, 99, 50), EBADF);
	EXPECT_ERR(SYS(dup2, 99, 99), EBADF);
	EXPECT_ERR(SYS(dup2, fd, -1), EBADF);
	EXPECT_EQ(SYS(dup2, fd, fd), fd);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(dup2, fd, FUTURE_FD), FUTURE_FD);
	EXPECT_EQ(fcntl(FUTURE_FD, F_GETFD), 0);
	/* Both share one position. */
	EXPECT_EQ(lseek(FUTURE_FD, 2, SEEK_SET), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 2);
	EXPECT_ERR(SYS(dup3, fd, fd, 0), EINVAL);
	EXPECT_ERR(SYS(dup3, fd, 50, 1), EINVAL);
	EXPECT_ERR(SYS(dup3, fd, 50, O_NONBLOCK), EINVAL);
	EXPECT_ERR(SYS(dup3, 99, 50, 0), EBADF);
	EXPECT_ERR(SYS(dup3, fd, -1, 0), EBADF);
	EXPECT_EQ(SYS(dup3, fd, 50, O_CLOEXEC), 50);
	EXPECT_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(dup3, fd, 50, 0), 50);
	EXPECT_EQ(fcntl(50, F_GETFD), 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	EXPECT_ERR(SYS(dup2, fd, 64), EBADF);
	EXPECT_ERR(SYS(dup3, fd, 64, 0), EBADF);
	EXPECT_ERR(SYS(fcntl, fd, F_DUPFD, 64), EINVAL);
	EXPECT_EQ(SYS(dup2, fd, 63), 63);
	EXPECT_ERR(SYS(fcntl, fd, F_DUPFD, 63), EMFILE);
	while (dup(fd) >= 0)
		;
	EXPECT_EQ(errno, EMFILE);
	/* One above the new limit may stay, be used and be closed. */
	EXPECT_EQ(is_open(FUTURE_FD), 1);
	EXPECT_EQ(close(FUTURE_FD), 0);
}

/* proves: fcntl */
static void
fcntl_of_descriptors_and_flags(void)
{
	int fd, p, pipefd[2];

	begin();
	put("f", "abc");
	fd = open("f", O_RDWR);
	p = open("f", O_PATH);
	CHECK_EQ(pipe(pipefd), 0);
	EXPECT_ERR(SYS(fcntl, 99, F_GETFD), EBADF);
	EXPECT_ERR(SYS(fcntl, -1, F_GETFL), EBADF);
	EXPECT_ERR(SYS(fcntl, fd, 9999, 0), EINVAL);
	EXPECT_ERR(SYS(fcntl, fd, F_DUPFD, -1L), EINVAL);
	EXPECT_EQ(SYS(fcntl, fd, F_DUPFD, 40), 40);
	EXPECT_EQ(SYS(fcntl, fd, F_DUPFD, 40), 41);
	EXPECT_EQ(SYS(fcntl, fd, F_DUPFD_CLOEXEC, 40), 42);
	EXPECT_EQ(fcntl(42, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(fcntl, fd, F_SETFD, 0xff), 0);
	EXPECT_EQ(SYS(fcntl, fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(fcntl, fd, F_SETFD, 2), 0);
	EXPECT_EQ(SYS(fcntl, fd, F_GETFD), 0);
	/* Only these flags change, and the access mode never. */
	EXPECT_EQ(SYS(fcntl, fd, F_SETFL,
	              O_APPEND | O_NONBLOCK | O_NOATIME | O_WRONLY | O_CREAT | O_SYNC),
	    0);
	EXPECT_EQ(SYS(fcntl, fd, F_GETFL) & ~0100000,
	    O_RDWR | O_APPEND | O_NONBLOCK | O_NOATIME);
	EXPECT_EQ(SYS(fcntl, fd, F_SETFL, 0), 0);
	EXPECT_EQ(SYS(fcntl, fd, F_GETFL) & ~0100000, O_RDWR);
	EXPECT_ERR(SYS(fcntl, p, F_SETFL, O_APPEND), EBADF);
	EXPECT_ERR(SYS(fcntl, p, F_SETLK, BAD_ADDR), EBADF);
	EXPECT_ERR(SYS(fcntl, p, F_GETOWN), EBADF);
	EXPECT_EQ(SYS(fcntl, p, F_GETFL), O_PATH);
	EXPECT_EQ(SYS(fcntl, p, F_SETFD, 1), 0);
	EXPECT_EQ(SYS(fcntl, pipefd[0], F_GETPIPE_SZ), 65536);
	EXPECT_ERR(SYS(fcntl, fd, F_GETPIPE_SZ), EBADF);
	EXPECT_EQ(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 5000), 8192);
	EXPECT_EQ(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 0), 4096);
	EXPECT_ERR(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 0x80000001), EINVAL);
	EXPECT_EQ(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	CHECK_EQ(
	    write(pipefd[1], dir, 5000 > sizeof(dir) ? sizeof(dir) : 0), sizeof(dir));
	EXPECT_EQ(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 4096), 4096);
	/* Sealing belongs to files that were made for it. */
	EXPECT_ERR(SYS(fcntl, fd, F_ADD_SEALS, 0), EPERM);
	become_user();
	EXPECT_ERR(SYS(fcntl, open("f", O_RDONLY), F_SETFL, O_NOATIME), EPERM);
	EXPECT_ERR(SYS(fcntl, pipefd[0], F_SETPIPE_SZ, 1 << 21), EPERM);
}

/* proves: fcntl */
static void
fcntl_owner_of_signals(void)
{
	int sv[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	EXPECT_EQ(SYS(fcntl, sv[0], F_GETOWN), 0);
	EXPECT_ERR(SYS(fcntl, sv[0], F_SETOWN, 0x7ffffff0), ESRCH);
	EXPECT_ERR(SYS(fcntl, sv[0], F_SETOWN, 0x80000000), EINVAL);
	EXPECT_EQ(SYS(fcntl, sv[0], F_SETOWN, getpid()), 0);
	EXPECT_EQ(SYS(fcntl, sv[0], F_GETOWN), getpid());
	EXPECT_EQ(SYS(fcntl, sv[0], F_SETOWN, -getpgrp()), 0);
	EXPECT_EQ(SYS(fcntl, sv[0], F_SETOWN, 0), 0);
	EXPECT_EQ(SYS(fcntl, sv[0], F_GETOWN), 0);
	EXPECT_EQ(SYS(fcntl, sv[0], F_GETSIG), 0);
	EXPECT_ERR(SYS(fcntl, sv[0], F_SETSIG, 65), EINVAL);
	EXPECT_ERR(SYS(fcntl, 99, F_SETOWN, getpid()), EBADF);
}

/* proves: ioctl */
static void
ioctl_of_any_file(void)
{
	int fd, n = 7, one = 1;

	begin();
	put("f", "hello");
	fd = open("f", O_RDWR);
	EXPECT_ERR(SYS(ioctl, 99, FIOCLEX), EBADF);
	EXPECT_ERR(SYS(ioctl, -1, TCGETS, BAD_ADDR), EBADF);
	EXPECT_ERR(SYS(ioctl, open("f", O_PATH), FIOCLEX), EBADF);
	EXPECT_EQ(SYS(ioctl, fd, FIOCLEX), 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(ioctl, fd, FIONCLEX), 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	EXPECT_EQ(SYS(ioctl, fd, FIONBIO, &one), 0);
	EXPECT_EQ(!!(fcntl(fd, F_GETFL) & O_NONBLOCK), 1);
	EXPECT_ERR(SYS(ioctl, fd, FIONBIO, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(ioctl, fd, FIOASYNC, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(ioctl, fd, FIOASYNC, &one), ENOTTY);
	EXPECT_EQ(SYS(ioctl, fd, FIONREAD, &n), 0);
	EXPECT_EQ(n, 5);
	EXPECT_EQ(lseek(fd, 2, SEEK_SET), 2);
	EXPECT_EQ(SYS(ioctl, fd, FIONREAD, &n), 0);
	EXPECT_EQ(n, 3);
	EXPECT_ERR(SYS(ioctl, fd, FIONREAD, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(ioctl, fd, TCGETS, &n), ENOTTY);
	EXPECT_ERR(SYS(ioctl, fd, TIOCGWINSZ, &n), ENOTTY);
	EXPECT_ERR(SYS(ioctl, fd, 0xdeadbeef, 0), ENOTTY);
	EXPECT_ERR(SYS(ioctl, open(".", O_RDONLY), 0xdeadbeef, 0), ENOTTY);
}

/* proves: close_range */
static void
close_range_cases(void)
{
	int status;

	begin();
	put("f", "abc");
	for (int i = 20; i < 30; i++)
		CHECK_EQ(dup2(1, i), i);
	EXPECT_ERR(SYS(close_range, 5, 4, 0), EINVAL);
	EXPECT_ERR(SYS(close_range, 20, 21, 1), EINVAL);
	EXPECT_ERR(SYS(close_range, 20, 21, 8), EINVAL);
	EXPECT_EQ(SYS(close_range, 1000, ~0U, 0), 0);
	EXPECT_EQ(SYS(close_range, 20, 20, 0), 0);
	EXPECT_EQ(is_open(20), 0);
	EXPECT_EQ(is_open(21), 1);
	EXPECT_EQ(SYS(close_range, 22, 23, CLOSE_CLOEXEC), 0);
	EXPECT_EQ(fcntl(21, F_GETFD), 0);
	EXPECT_EQ(fcntl(22, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(23, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(24, F_GETFD), 0);
	/* A table that is shared is left alone when the caller wants its own. */
	if (SYS(clone, 0x400 | 0x4000 | SIGCHLD, 0, 0, 0, 0) == 0) /* FILES, VFORK */
		_exit(syscall(SYS_close_range, 25, ~0U, CLOSE_UNSHARE) || is_open(26));
	CHECK(wait(&status) > 0);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(is_open(26), 1);
	EXPECT_EQ(SYS(close_range, 25, ~0U, CLOSE_UNSHARE | CLOSE_CLOEXEC), 0);
	EXPECT_EQ(fcntl(26, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(close_range, 3, ~0U, 0), 0);
	EXPECT_EQ(is_open(26), 0);
}

static struct flock
lock_of(int type, off_t start, off_t len)
{
	return (struct flock){
	    .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static long
lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = lock_of(type, start, len);

	return SYS(fcntl, fd, cmd, &l);
}

/* What a child sees: the result of `cmd` on the file. */
static int
child_lock(int cmd, int type, off_t start, off_t len)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open("f", O_RDWR);

		_exit(lock(fd, cmd, type, start, len) ? errno : 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* proves: fcntl */
static void
record_locks(void)
{
	struct flock l;
	int fd, r, w;

	begin();
	put("f", "0123456789");
	fd = open("f", O_RDWR);
	r = open("f", O_RDONLY);
	w = open("f", O_WRONLY);
	EXPECT_ERR(lock(r, F_SETLK, F_WRLCK, 0, 1), EBADF);
	EXPECT_ERR(lock(w, F_SETLK, F_RDLCK, 0, 1), EBADF);
	EXPECT_ERR(lock(fd, F_SETLK, 7, 0, 1), EINVAL);
	EXPECT_ERR(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	EXPECT_ERR(lock(fd, F_SETLK, F_WRLCK, 0, -1), EINVAL);
	EXPECT_ERR(lock(fd, F_SETLK, F_WRLCK, INT64_MAX, 2), EOVERFLOW);
	EXPECT_ERR(lock(fd, F_GETLK, F_UNLCK, 0, 1), EINVAL);
	l = lock_of(F_WRLCK, 0, 1);
	l.l_whence = 9;
	EXPECT_ERR(SYS(fcntl, fd, F_SETLK, &l), EINVAL);
	EXPECT_ERR(SYS(fcntl, fd, F_SETLK, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(fcntl, fd, F_GETLK, BAD_ADDR), EFAULT);
	/* A negative length reaches back; the end of the file counts for SEEK_END. */
	EXPECT_EQ(lock(fd, F_SETLK, F_WRLCK, 5, -2), 0);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 3, 1), EAGAIN);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 5, 1), 0);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 2, 1), 0);
	EXPECT_EQ(child_lock(F_SETLK, F_RDLCK, 0, 0), EAGAIN);
	EXPECT_EQ(child_lock(F_OFD_SETLK, F_RDLCK, 4, 1), EAGAIN);
	l = lock_of(F_WRLCK, -4, 2);
	l.l_whence = SEEK_END;
	EXPECT_EQ(SYS(fcntl, fd, F_SETLK, &l), 0);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 7, 1), EAGAIN);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 8, 1), 0);
	if (fork() == 0) {
		l = lock_of(F_RDLCK, 0, 0);
		fd = open("f", O_RDWR);
		EXPECT_EQ(SYS(fcntl, fd, F_GETLK, &l), 0);
		EXPECT_EQ(l.l_type, F_WRLCK);
		EXPECT_EQ(l.l_start, 3);
		EXPECT_EQ(l.l_len, 2);
		EXPECT_EQ(l.l_pid, getppid());
		_exit(num_unexpected);
	}
	CHECK(wait(&r) > 0);
	EXPECT_EQ(r, 0);
	/* Any close of the file drops the process's locks on it. */
	close(w);
	EXPECT_EQ(child_lock(F_SETLK, F_WRLCK, 0, 0), 0);
}

/* proves: fcntl */
static void
record_locks_wait_and_see_deadlock(void)
{
	int fd, go[2];
	char c;
	pid_t pid;

	begin();
	put("f", "0123456789");
	fd = open("f", O_RDWR);
	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(lock(fd, F_SETLK, F_WRLCK, 0, 1), 0);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(lock(fd, F_SETLK, F_WRLCK, 1, 1), 0);
		CHECK_EQ(write(go[1], "x", 1), 1);
		/* Waits for its parent, which then may not wait for it. */
		_exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) != 0);
	}
	CHECK_EQ(read(go[0], &c, 1), 1);
	sleep_ms(50);
	EXPECT_ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	CHECK_EQ(lock(fd, F_SETLK, F_UNLCK, 0, 1), 0);
	CHECK_EQ(waitpid(pid, &fd, 0), pid);
	EXPECT_EQ(fd, 0);
}

/* proves: fcntl */
static void
open_file_description_locks(void)
{
	struct flock l;
	int a, b, c;

	begin();
	put("f", "0123456789");
	a = open("f", O_RDWR);
	b = open("f", O_RDWR);
	c = dup(a);
	l = lock_of(F_WRLCK, 0, 4);
	l.l_pid = 1;
	EXPECT_ERR(SYS(fcntl, a, F_OFD_SETLK, &l), EINVAL);
	EXPECT_EQ(lock(a, F_OFD_SETLK, F_WRLCK, 0, 4), 0);
	EXPECT_ERR(lock(b, F_OFD_SETLK, F_RDLCK, 3, 1), EAGAIN);
	EXPECT_ERR(lock(b, F_SETLK, F_RDLCK, 3, 1), EAGAIN);
	EXPECT_EQ(lock(b, F_OFD_SETLK, F_RDLCK, 4, 1), 0);
	l = lock_of(F_WRLCK, 0, 0);
	EXPECT_EQ(SYS(fcntl, b, F_OFD_GETLK, &l), 0);
	EXPECT_EQ(l.l_type, F_WRLCK);
	EXPECT_EQ(l.l_pid, -1);
	/* Only the last close of the description drops it. */
	close(c);
	EXPECT_ERR(lock(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
	close(a);
	EXPECT_EQ(lock(b, F_OFD_SETLK, F_RDLCK, 0, 1), 0);
}

static void
nothing(int sig)
{
}

/* proves: flock */
static void
flock_cases(void)
{
	struct sigaction sa = {.sa_handler = nothing};
	int a, b, p;

	begin();
	put("f", "x");
	a = open("f", O_RDONLY);
	b = open("f", O_RDONLY);
	p = open("f", O_PATH);
	EXPECT_ERR(SYS(flock, 99, LOCK_SH), EBADF);
	EXPECT_ERR(SYS(flock, p, LOCK_SH), EBADF);
	EXPECT_ERR(SYS(flock, a, 0), EINVAL);
	EXPECT_ERR(SYS(flock, a, LOCK_SH | LOCK_EX), EINVAL);
	EXPECT_ERR(SYS(flock, a, 64), EINVAL);
	EXPECT_EQ(SYS(flock, a, LOCK_SH), 0);
	EXPECT_EQ(SYS(flock, b, LOCK_SH | LOCK_NB), 0);
	EXPECT_ERR(SYS(flock, a, LOCK_EX | LOCK_NB), EAGAIN);
	EXPECT_EQ(SYS(flock, b, LOCK_UN), 0);
	EXPECT_EQ(SYS(flock, b, LOCK_UN), 0);
	EXPECT_EQ(SYS(flock, a, LOCK_EX | LOCK_NB), 0);
	EXPECT_ERR(SYS(flock, b, LOCK_SH | LOCK_NB), EAGAIN);
	/* Not related to record locks. */
	EXPECT_EQ(lock(b, F_SETLK, F_RDLCK, 0, 1), 0);
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	alarm(1);
	EXPECT_ERR(SYS(flock, b, LOCK_EX), EINTR);
	close(a);
	EXPECT_EQ(SYS(flock, b, LOCK_EX | LOCK_NB), 0);
	EXPECT_EQ(SYS(flock, open(".", O_RDONLY), LOCK_EX), 0);
}

/* Nobody was told of anything, so there is nothing to end. */
static void
dnotify_can_be_ended(void)
{
	int dir = open(".", O_RDONLY), file = open("/proc/self/exe", O_RDONLY);

	EXPECT_EQ(SYS(fcntl, dir, F_NOTIFY, DN_MULTISHOT), 0);
	EXPECT_EQ(SYS(fcntl, dir, F_NOTIFY, 0), 0);
	EXPECT_EQ(SYS(fcntl, file, F_NOTIFY, 0), 0);
	EXPECT_ERR(SYS(fcntl, file, F_NOTIFY, DN_CREATE), ENOTDIR);
	close(dir);
	close(file);
}

static const struct test tests[] = {
    TEST(dup_makes_and_refuses),
    TEST(fcntl_of_descriptors_and_flags),
    TEST(fcntl_owner_of_signals),
    TEST(ioctl_of_any_file),
    TEST(close_range_cases),
    TEST(record_locks),
    TEST(record_locks_wait_and_see_deadlock),
    TEST(open_file_description_locks),
    TEST(flock_cases),
    TEST(dnotify_can_be_ended),
};

RUN_TESTS(tests)
