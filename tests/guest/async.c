/*
 * Signals of files: O_ASYNC, who gets them (F_SETOWN, F_SETOWN_EX), which (F_SETSIG), and what they tell.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif
#define SIG (SIGRTMIN + 3)

enum { ME = 1234, OTHER = 4321, SI_SIGIO_CODE = -5 };

/* All that is meant to come is blocked, and fetched. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGURG);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTRAP);
	sigaddset(&set, SIG);
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
}

/* The signal that comes within `ms`, or 0. */
static int
signal_within(int sig, siginfo_t *si, long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, sig);
	memset(si, 0, sizeof(*si));
	got = sigtimedwait(&set, si, &ts);
	return got < 0 ? 0 : got;
}

static int
comes(int sig, siginfo_t *si)
{
	return signal_within(sig, si, 2000);
}

static int
is_there(int sig, siginfo_t *si)
{
	return signal_within(sig, si, 0);
}

static void
forget(int sig)
{
	siginfo_t si;

	while (is_there(sig, &si))
		;
}

static void
make_async(int fd, int sig)
{
	if (sig)
		CHECK_EQ(fcntl(fd, F_SETSIG, sig), 0);
	CHECK_EQ(fcntl(fd, F_SETOWN, getpid()), 0);
	CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC), 0);
	CHECK(fcntl(fd, F_GETFL) & O_ASYNC);
}

/* The signal `SIG` with its tale. */
#define EXPECT_TALE(fd, what, bits) \
	do { \
		siginfo_t si_; \
\
		EXPECT_EQ(comes(SIG, &si_), SIG); \
		EXPECT_EQ(si_.si_code, what); \
		EXPECT_EQ(si_.si_fd, fd); \
		EXPECT_EQ(si_.si_band, bits); \
	} while (0)

enum {
	BAND_IN = POLLIN | POLLRDNORM,
	BAND_OUT = POLLOUT | POLLWRNORM | POLLWRBAND,
	BAND_PRI = POLLPRI | POLLRDBAND,
};

/* proves: fcntl */
static void
pipes_tell_by_sigio(void)
{
	siginfo_t si;
	char c;
	int p[2];

	block_signals();
	CHECK_EQ(pipe(p), 0);
	make_async(p[0], 0);
	EXPECT_EQ(is_there(SIGIO, &si), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), SIGIO);
	EXPECT_EQ(si.si_code, SI_KERNEL);
	EXPECT_EQ(is_there(SIGIO, &si), 0);
	/* Each write, read or not. */
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), SIGIO);
	CHECK_EQ(fcntl(p[0], F_SETFL, 0), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), 0);
	/* Both ends, and a file with two descriptors. */
	make_async(p[1], 0);
	CHECK_EQ(read(p[0], &c, 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), SIGIO);
	CHECK_EQ(fcntl(dup(p[1]), F_SETFL, 0), 0);
	CHECK_EQ(read(p[0], &c, 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), 0);
}

/* proves: fcntl */
static void
chosen_signals_tell_more(void)
{
	siginfo_t si;
	char buf[8];
	int p[2], again;

	block_signals();
	CHECK_EQ(pipe(p), 0);
	EXPECT_EQ(fcntl(p[0], F_GETSIG), 0);
	EXPECT_ERR(fcntl(p[0], F_SETSIG, 65), EINVAL);
	EXPECT_ERR(fcntl(p[0], F_SETSIG, -1), EINVAL);
	make_async(p[0], SIG);
	EXPECT_EQ(fcntl(p[0], F_GETSIG), SIG);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_TALE(p[0], POLL_IN, BAND_IN);
	/* They queue. */
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_TALE(p[0], POLL_IN, BAND_IN);
	EXPECT_TALE(p[0], POLL_IN, BAND_IN);
	EXPECT_EQ(is_there(SIG, &si), 0);
	EXPECT_EQ(is_there(SIGIO, &si), 0);
	/* The descriptor is the one that O_ASYNC was set by. */
	again = dup(p[0]);
	CHECK_EQ(fcntl(again, F_SETFL, O_ASYNC), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_TALE(p[0], POLL_IN, BAND_IN);
	CHECK_EQ(fcntl(again, F_SETFL, 0), 0);
	CHECK_EQ(fcntl(again, F_SETFL, O_ASYNC), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_TALE(again, POLL_IN, BAND_IN);
	make_async(p[1], SIG);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 5);
	EXPECT_TALE(p[1], POLL_OUT, BAND_OUT);
	/* Signals that have codes of their own do not get this one. */
	CHECK_EQ(fcntl(p[0], F_SETSIG, SIGUSR1), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGUSR1, &si), SIGUSR1);
	EXPECT_EQ(si.si_code, POLL_IN);
	EXPECT_EQ(si.si_fd, again);
	CHECK_EQ(fcntl(p[0], F_SETSIG, SIGTRAP), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGTRAP, &si), SIGTRAP);
	EXPECT_EQ(si.si_code, SI_SIGIO_CODE);
	EXPECT_EQ(si.si_fd, again);
	EXPECT_EQ(si.si_band, BAND_IN);
	CHECK_EQ(fcntl(p[0], F_SETSIG, SIGIO), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIGIO, &si), SIGIO);
	EXPECT_EQ(si.si_code, POLL_IN);
	/* The last writer goes. */
	CHECK_EQ(fcntl(p[0], F_SETSIG, SIG), 0);
	close(p[1]);
	EXPECT_TALE(again, POLL_IN, BAND_IN);
}

/* proves: fcntl ioctl */
static void
only_some_files_can(void)
{
	int one = 1, off = 0, p[2], e = eventfd(0, 0),
	    r = open("/proc/self/exe", O_RDONLY);
	int sv[2], d = open("/", O_RDONLY), f;
	char path[] = "/tmp/asyncXXXXXX";

	EXPECT_EQ(fcntl(e, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
	EXPECT_EQ(fcntl(e, F_GETFL) & (O_ASYNC | O_NONBLOCK), O_NONBLOCK);
	EXPECT_ERR(ioctl(e, FIOASYNC, &one), ENOTTY);
	EXPECT_EQ(ioctl(e, FIOASYNC, &off), 0);
	EXPECT_EQ(fcntl(r, F_SETFL, O_ASYNC), 0);
	EXPECT_EQ(fcntl(r, F_GETFL) & O_ASYNC, 0);
	EXPECT_ERR(ioctl(r, FIOASYNC, &one), ENOTTY);
	EXPECT_ERR(ioctl(d, FIOASYNC, &one), ENOTTY);
	/* open keeps the flag, and that is all. */
	f = mkstemp(path);
	CHECK(f >= 0);
	close(f);
	f = open(path, O_RDWR | O_ASYNC);
	EXPECT_EQ(fcntl(f, F_GETFL) & O_ASYNC, O_ASYNC);
	EXPECT_EQ(ioctl(f, FIOASYNC, &one), 0);
	EXPECT_ERR(ioctl(f, FIOASYNC, &off), ENOTTY);
	EXPECT_EQ(fcntl(f, F_SETFL, 0), 0);
	EXPECT_EQ(fcntl(f, F_GETFL) & O_ASYNC, O_ASYNC);
	unlink(path);
	CHECK_EQ(pipe(p), 0);
	EXPECT_EQ(ioctl(p[0], FIOASYNC, &one), 0);
	EXPECT_EQ(fcntl(p[0], F_GETFL) & O_ASYNC, O_ASYNC);
	EXPECT_EQ(ioctl(p[0], FIOASYNC, &off), 0);
	EXPECT_EQ(fcntl(p[0], F_GETFL) & O_ASYNC, 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	EXPECT_EQ(ioctl(sv[0], FIOASYNC, &one), 0);
	EXPECT_EQ(fcntl(sv[0], F_GETFL) & O_ASYNC, O_ASYNC);
	/* Only sockets take an owner by ioctl. */
	one = getpid();
	EXPECT_EQ(ioctl(sv[0], FIOSETOWN, &one), 0);
	EXPECT_EQ(ioctl(sv[0], SIOCSPGRP, &one), 0);
	EXPECT_EQ(fcntl(sv[0], F_GETOWN), getpid());
	one = 0;
	EXPECT_EQ(ioctl(sv[0], FIOGETOWN, &one), 0);
	EXPECT_EQ(one, getpid());
	EXPECT_EQ(ioctl(sv[0], SIOCGPGRP, &one), 0);
	EXPECT_ERR(ioctl(p[0], FIOSETOWN, &one), ENOTTY);
}

static int thread_fd[2];
static pid_t thread_tid;
static pthread_barrier_t barrier;

static void *
waiting_thread(void *arg)
{
	siginfo_t si;

	thread_tid = (pid_t)SYS(gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	EXPECT_EQ(is_there(SIG, &si), SIG);
	return NULL;
}

/* proves: fcntl */
static void
owners_of_each_kind(void)
{
	struct f_owner_ex ex = {.type = 9, .pid = 9};
	pthread_t t;
	siginfo_t si;
	int p[2];

	block_signals();
	CHECK_EQ(pipe(p), 0);
	EXPECT_EQ(fcntl(p[0], F_GETOWN_EX, &ex), 0);
	EXPECT_EQ(ex.type, F_OWNER_TID);
	EXPECT_EQ(ex.pid, 0);
	ex.type = F_OWNER_PID;
	ex.pid = getpid();
	EXPECT_EQ(fcntl(p[0], F_SETOWN_EX, &ex), 0);
	EXPECT_EQ(fcntl(p[0], F_GETOWN), getpid());
	ex.type = F_OWNER_PGRP;
	ex.pid = getpgrp();
	EXPECT_EQ(fcntl(p[0], F_SETOWN_EX, &ex), 0);
	/* A small number of a group cannot be told from an error: fcntl(2), BUGS. */
	EXPECT_EQ(SYS(fcntl, p[0], F_GETOWN, 0), getpgrp() < 4096 ? -1 : -getpgrp());
	memset(&ex, 0, sizeof(ex));
	EXPECT_EQ(fcntl(p[0], F_GETOWN_EX, &ex), 0);
	EXPECT_EQ(ex.type, F_OWNER_PGRP);
	EXPECT_EQ(ex.pid, getpgrp());
	ex.type = 3;
	EXPECT_ERR(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	ex.type = -1;
	EXPECT_ERR(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	ex.type = F_OWNER_PID;
	ex.pid = 0x7ffffff0;
	EXPECT_ERR(fcntl(p[0], F_SETOWN_EX, &ex), ESRCH);
	EXPECT_ERR(SYS(fcntl, p[0], F_SETOWN_EX, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(fcntl, p[0], F_GETOWN_EX, BAD_ADDR), EFAULT);
	EXPECT_EQ(fcntl(p[0], F_SETOWN, -getpgrp()), 0);
	memset(&ex, 0, sizeof(ex));
	EXPECT_EQ(fcntl(p[0], F_GETOWN_EX, &ex), 0);
	EXPECT_EQ(ex.type, F_OWNER_PGRP);
	EXPECT_EQ(fcntl(p[0], F_SETOWN, 0), 0);
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
	/* One thread of several. */
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
	CHECK_EQ(pthread_create(&t, NULL, waiting_thread, thread_fd), 0);
	pthread_barrier_wait(&barrier);
	make_async(p[0], SIG);
	ex.type = F_OWNER_TID;
	ex.pid = thread_tid;
	EXPECT_EQ(fcntl(p[0], F_SETOWN_EX, &ex), 0);
	memset(&ex, 9, sizeof(ex));
	EXPECT_EQ(fcntl(p[0], F_GETOWN_EX, &ex), 0);
	EXPECT_EQ(ex.type, F_OWNER_TID);
	EXPECT_EQ(ex.pid, thread_tid);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIG, &si), 0);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(pthread_join(t, NULL), 0);
	for (int i = 0; i < 1000 && SYS(tgkill, getpid(), thread_tid, 0) == 0; i++)
		usleep(1000); /* it has ended, and is about to be gone */
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
}

/* Runs `fn` in a child, in a group of its own if so wanted. */
static pid_t
in_child(int (*fn)(int), int arg, bool in_group)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (in_group)
			setpgid(0, 0);
		_exit(fn(arg));
	}
	if (in_group)
		setpgid(pid, pid);
	return pid;
}

static int
wait_child(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static int
gets_sig(int uid)
{
	siginfo_t si;

	if (uid && setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid))
		return 2;
	return signal_within(SIG, &si, 500) == SIG && si.si_code == POLL_IN ? 0 : 1;
}

/* proves: fcntl */
static void
groups_get_it_whole(void)
{
	pid_t a, b;
	int p[2];

	block_signals();
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(setpgid(0, 0), 0);
	a = in_child(gets_sig, 0, false);
	b = in_child(gets_sig, 0, false);
	make_async(p[0], SIG);
	CHECK_EQ(fcntl(p[0], F_SETOWN, -getpgrp()), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(gets_sig(0), 0);
	EXPECT_EQ(wait_child(a), 0);
	EXPECT_EQ(wait_child(b), 0);
}

static int pipe_of_test[2];

/* As user ME: makes the pipe tell `pid`. */
static int
point_at(int pid)
{
	if (setresuid(ME, ME, ME))
		return 2;
	return fcntl(pipe_of_test[0], F_SETOWN, pid) ? 3 : 0;
}

/* Who set the owner must be allowed to signal it. proves: fcntl */
static void
owners_are_protected(void)
{
	uint32_t uids[2] = {9, 9};
	siginfo_t si;
	pid_t pid;
	int *p = pipe_of_test;

	block_signals();
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(fcntl(p[0], F_SETSIG, SIG), 0);
	CHECK_EQ(fcntl(p[0], F_SETFL, O_ASYNC), 0);
	EXPECT_EQ(wait_child(in_child(point_at, getpid(), false)), 0);
	EXPECT_EQ(fcntl(p[0], F_GETOWN), getpid());
	if (SYS(fcntl, p[0], F_GETOWNER_UIDS, uids) == 0) {
		EXPECT_EQ(uids[0], ME);
		EXPECT_EQ(uids[1], ME);
	}
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(signal_within(SIG, &si, 100), 0);
	/* Theirs is theirs. */
	pid = in_child(gets_sig, ME, false);
	usleep(100000);
	EXPECT_EQ(wait_child(in_child(point_at, pid, false)), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(wait_child(pid), 0);
	pid = in_child(gets_sig, OTHER, false);
	usleep(100000);
	EXPECT_EQ(wait_child(in_child(point_at, pid, false)), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(wait_child(pid), 1);
	/* Root may, whoever writes then. */
	pid = in_child(gets_sig, OTHER, false);
	CHECK_EQ(fcntl(p[0], F_SETOWN, pid), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(wait_child(pid), 0);
	/* Nobody is there any more. */
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
}

/* proves: fcntl */
static void
without_room_it_is_sigio(void)
{
	struct rlimit none = {0, 0};
	siginfo_t si;
	int p[2];

	block_signals();
	CHECK_EQ(pipe(p), 0);
	make_async(p[0], SIG);
	CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	CHECK_EQ(setresuid(ME, ME, ME), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(is_there(SIG, &si), 0);
	EXPECT_EQ(is_there(SIGIO, &si), SIGIO);
	EXPECT_EQ(si.si_code, SI_KERNEL);
}

/* proves: fcntl */
static void
fifos_tell_both_ends(void)
{
	char path[] = "/tmp/asyncXXXXXX", c;
	siginfo_t si;
	int f;

	block_signals();
	CHECK(mkdtemp(path));
	CHECK_EQ(chdir(path), 0);
	CHECK_EQ(mkfifo("fifo", 0600), 0);
	f = open("fifo", O_RDWR);
	CHECK(f >= 0);
	make_async(f, SIG);
	CHECK_EQ(write(f, "xy", 2), 2);
	EXPECT_TALE(f, POLL_IN, BAND_IN);
	CHECK_EQ(read(f, &c, 1), 1);
	EXPECT_TALE(f, POLL_OUT, BAND_OUT);
	EXPECT_EQ(is_there(SIG, &si), 0);
	close(f);
	EXPECT_EQ(is_there(SIG, &si), 0);
	unlink("fifo");
	rmdir(path);
}

/* proves: fcntl */
static void
unix_sockets_tell(void)
{
	siginfo_t si;
	int sv[2], dg[2];
	char c;

	block_signals();
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	make_async(sv[0], SIG);
	CHECK_EQ(write(sv[1], "x", 1), 1);
	EXPECT_TALE(sv[0], POLL_IN, BAND_IN);
	CHECK_EQ(read(sv[0], &c, 1), 1);
	forget(SIG);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, dg), 0);
	make_async(dg[0], SIG);
	CHECK_EQ(write(dg[1], "x", 1), 1);
	EXPECT_TALE(dg[0], POLL_IN, BAND_IN);
	/* The other end goes. */
	forget(SIG);
	close(sv[1]);
	EXPECT_EQ(comes(SIG, &si), SIG);
	EXPECT_EQ(si.si_fd, sv[0]);
	/* A signal that does not say what goes on. */
	CHECK_EQ(fcntl(dg[0], F_SETSIG, 0), 0);
	CHECK_EQ(write(dg[1], "x", 1), 1);
	EXPECT_EQ(comes(SIGIO, &si), SIGIO);
	EXPECT_EQ(si.si_code, SI_KERNEL);
}

static int
open_pty(int *slave)
{
	int m = posix_openpt(O_RDWR | O_NOCTTY);
	struct termios t;

	CHECK(m >= 0 && grantpt(m) == 0 && unlockpt(m) == 0);
	*slave = open(ptsname(m), O_RDWR | O_NOCTTY);
	CHECK(*slave >= 0);
	CHECK_EQ(tcgetattr(*slave, &t), 0);
	cfmakeraw(&t);
	CHECK_EQ(tcsetattr(*slave, TCSANOW, &t), 0);
	return m;
}

/* proves: fcntl */
static void
terminals_tell(void)
{
	struct f_owner_ex ex;
	int s, m = open_pty(&s);
	siginfo_t si;
	char buf[8];

	block_signals();
	/* A terminal takes who asks for its owner. */
	CHECK_EQ(fcntl(s, F_SETFL, O_RDWR | O_ASYNC), 0);
	EXPECT_EQ(fcntl(s, F_GETOWN_EX, &ex), 0);
	EXPECT_EQ(ex.type, F_OWNER_PID);
	EXPECT_EQ(ex.pid, getpid());
	CHECK_EQ(write(m, "a", 1), 1);
	EXPECT_EQ(comes(SIGIO, &si), SIGIO);
	CHECK_EQ(fcntl(s, F_SETSIG, SIG), 0);
	CHECK_EQ(write(m, "b", 1), 1);
	EXPECT_TALE(s, POLL_IN, BAND_IN);
	make_async(m, SIG);
	CHECK_EQ(read(s, buf, sizeof(buf)), 2);
	usleep(50000);
	forget(SIG);
	CHECK_EQ(write(s, "c", 1), 1);
	EXPECT_TALE(m, POLL_IN, BAND_IN);
	forget(SIG);
	CHECK_EQ(fcntl(m, F_SETFL, O_RDWR), 0);
	CHECK_EQ(write(s, "d", 1), 1);
	usleep(50000);
	EXPECT_EQ(is_there(SIG, &si), 0);
}

/* proves: fcntl inotify_init1 */
static void
inotify_tells(void)
{
	char path[] = "/tmp/asyncXXXXXX";
	int in = inotify_init1(IN_NONBLOCK), f = mkstemp(path);
	siginfo_t si;

	block_signals();
	CHECK(f >= 0 && in >= 0);
	CHECK(inotify_add_watch(in, path, IN_MODIFY) >= 0);
	make_async(in, SIG);
	CHECK_EQ(write(f, "x", 1), 1);
	EXPECT_TALE(in, POLL_IN, BAND_IN);
	EXPECT_EQ(is_there(SIG, &si), 0);
	unlink(path);
}

/* proves: fcntl */
static void
write_hints(void)
{
	enum { GET = 1035, SET = 1036 };
	uint64_t hint = 77;
	char path[] = "/tmp/asyncXXXXXX";
	int f = mkstemp(path), again;

	CHECK(f >= 0);
	EXPECT_EQ(fcntl(f, GET, &hint), 0);
	EXPECT_EQ(hint, 0);
	hint = 3;
	EXPECT_EQ(fcntl(f, SET, &hint), 0);
	again = open(path, O_RDONLY);
	hint = 77;
	EXPECT_EQ(fcntl(again, GET, &hint), 0);
	EXPECT_EQ(hint, 3);
	hint = 6;
	EXPECT_ERR(fcntl(f, SET, &hint), EINVAL);
	hint = 1ull << 32;
	EXPECT_ERR(fcntl(f, SET, &hint), EINVAL);
	EXPECT_ERR(fcntl(f, SET, BAD_ADDR), EFAULT);
	EXPECT_ERR(fcntl(f, GET, BAD_ADDR), EFAULT);
	EXPECT_ERR(fcntl(f, 1037, &hint), EINVAL);
	EXPECT_ERR(fcntl(open(path, O_PATH), GET, &hint), EBADF);
	CHECK_EQ(fchmod(f, 0644), 0);
	CHECK_EQ(setresuid(ME, ME, ME), 0);
	hint = 2;
	EXPECT_ERR(fcntl(again, SET, &hint), EPERM);
	CHECK_EQ(fcntl(again, GET, &hint), 0);
	EXPECT_EQ(hint, 3);
}

static const struct test tests[] = {
    TEST(pipes_tell_by_sigio),
    TEST(chosen_signals_tell_more),
    TEST(only_some_files_can),
    TEST(owners_of_each_kind),
    TEST(groups_get_it_whole),
    TEST(owners_are_protected),
    TEST(without_room_it_is_sigio),
    TEST(fifos_tell_both_ends),
    TEST(unix_sockets_tell),
    TEST(terminals_tell),
    TEST(inotify_tells),
    TEST(write_hints),
};

RUN_TESTS(tests)
