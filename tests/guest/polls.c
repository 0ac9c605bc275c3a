/* Waiting for descriptors, and the descriptors made for it: poll, select, epoll, pipes,
 * eventfd, inotify. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>

static void
nothing(int sig)
{
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_handler = nothing};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

static uint64_t
bit(int sig)
{
	return 1ULL << (sig - 1);
}

/* proves: poll ppoll */
static void
poll_cases(void)
{
	struct timespec none = {0, 0}, bad = {0, -1}, some = {0, 300000000};
	struct rlimit few = {32, 32};
	struct pollfd p[64];
	int fd[2];
	uint64_t set;

	CHECK_EQ(pipe(fd), 0);
	p[0] = (struct pollfd){fd[0], POLLIN, 0x7f};
	p[1] = (struct pollfd){fd[1], POLLOUT, 0};
	p[2] = (struct pollfd){-5, POLLIN, 0x7f};
	p[3] = (struct pollfd){99, POLLIN, 0};
	EXPECT_EQ(SYS(poll, p, 1, 0), 0);
	EXPECT_EQ(p[0].revents, 0);
	EXPECT_EQ(SYS(poll, p, 1, 20), 0);
	EXPECT_EQ(SYS(poll, p, 4, -1), 2);
	EXPECT_EQ(p[1].revents, POLLOUT);
	EXPECT_EQ(p[2].revents, 0);
	EXPECT_EQ(p[3].revents, POLLNVAL);
	EXPECT_EQ(SYS(poll, NULL, 0, 10), 0);
	EXPECT_ERR(SYS(poll, BAD_ADDR, 1, 0), EFAULT);
	EXPECT_EQ(SYS(ppoll, p, 1, &none, NULL, 8), 0);
	EXPECT_ERR(SYS(ppoll, p, 1, &bad, NULL, 8), EINVAL);
	EXPECT_ERR(SYS(ppoll, p, 1, BAD_ADDR, NULL, 8), EFAULT);
	EXPECT_ERR(SYS(ppoll, p, 1, &none, BAD_ADDR, 8), EFAULT);
	set = 0;
	EXPECT_ERR(SYS(ppoll, p, 1, &none, &set, 4), EINVAL);
	/* The mask holds while it waits, and the time left is told. */
	catch (SIGUSR1);
	set = bit(SIGUSR1);
	CHECK_EQ(SYS(rt_sigprocmask, 0, &set, NULL, 8), 0);
	raise(SIGUSR1);
	set = 0;
	EXPECT_ERR(SYS(ppoll, p, 1, &some, &set, 8), EINTR);
	EXPECT_EQ(some.tv_nsec > 0 && some.tv_nsec <= 300000000, 1);
	close(fd[1]);
	EXPECT_EQ(SYS(poll, p, 1, -1), 1);
	EXPECT_EQ(p[0].revents, POLLHUP);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	EXPECT_ERR(SYS(poll, p, 33, 0), EINVAL);
	catch (SIGALRM);
	alarm(1);
	EXPECT_ERR(SYS(poll, NULL, 0, -1), EINTR);
}

/* proves: select pselect6 */
static void
select_cases(void)
{
	struct timeval tv = {0, 20000}, bad = {-1, 0};
	struct timespec ts = {0, 10000000}, bad_ts = {0, 1000000000};
	struct {
		const uint64_t *set;
		size_t size;
	} sig;
	uint64_t none = 0, usr1 = bit(SIGUSR1);
	int fd[2];
	fd_set r, w, e;

	CHECK_EQ(pipe(fd), 0);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(fd[0], &r);
	FD_SET(fd[1], &w);
	EXPECT_EQ(SYS(select, fd[1] + 1, &r, &w, &e, NULL), 1);
	EXPECT_EQ(FD_ISSET(fd[0], &r), 0);
	EXPECT_EQ(!!FD_ISSET(fd[1], &w), 1);
	FD_SET(fd[0], &r);
	EXPECT_EQ(SYS(select, fd[0] + 1, &r, NULL, NULL, &tv), 0);
	EXPECT_EQ(tv.tv_sec + tv.tv_usec, 0); /* the time left */
	CHECK_EQ(write(fd[1], "x", 1), 1);
	FD_SET(fd[0], &r);
	EXPECT_EQ(SYS(select, fd[1] + 1, &r, &w, &e, NULL), 2);
	EXPECT_ERR(SYS(select, -1, &r, NULL, NULL, NULL), EINVAL);
	EXPECT_ERR(SYS(select, 1, NULL, NULL, NULL, &bad), EINVAL);
	EXPECT_ERR(SYS(select, 1, BAD_ADDR, NULL, NULL, NULL), EFAULT);
	EXPECT_ERR(SYS(select, 1, NULL, NULL, NULL, BAD_ADDR), EFAULT);
	FD_SET(50, &r);
	EXPECT_ERR(SYS(select, 51, &r, NULL, NULL, NULL), EBADF);
	EXPECT_EQ(SYS(pselect6, 0, NULL, NULL, NULL, &ts, NULL), 0);
	EXPECT_ERR(SYS(pselect6, 0, NULL, NULL, NULL, &bad_ts, NULL), EINVAL);
	EXPECT_ERR(SYS(pselect6, -1, NULL, NULL, NULL, NULL, NULL), EINVAL);
	EXPECT_ERR(SYS(pselect6, 0, NULL, NULL, NULL, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(pselect6, 0, NULL, NULL, NULL, &ts, BAD_ADDR), EFAULT);
	sig.set = &none;
	sig.size = 4;
	EXPECT_ERR(SYS(pselect6, 0, NULL, NULL, NULL, &ts, &sig), EINVAL);
	sig.size = 8;
	catch (SIGUSR1);
	CHECK_EQ(SYS(rt_sigprocmask, 0, &usr1, NULL, 8), 0);
	raise(SIGUSR1);
	EXPECT_ERR(SYS(pselect6, 0, NULL, NULL, NULL, NULL, &sig), EINTR);
}

static long
ctl(int ep, int op, int fd, unsigned events)
{
	struct epoll_event e = {.events = events, .data.u64 = (uint64_t)fd};

	return SYS(epoll_ctl, ep, op, fd, &e);
}

/* proves: epoll_create epoll_create1 epoll_ctl */
static void
epoll_control(void)
{
	int ep, a[7], fd[2], file = open("/tmp/epoll", O_CREAT | O_RDWR, 0600);

	EXPECT_ERR(SYS(epoll_create, 0), EINVAL);
	EXPECT_ERR(SYS(epoll_create, -1), EINVAL);
	EXPECT_ERR(SYS(epoll_create1, 1), EINVAL);
	EXPECT_EQ(SYS(epoll_create, 1) >= 0, 1);
	ep = (int)SYS(epoll_create1, EPOLL_CLOEXEC);
	EXPECT_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(pipe(fd), 0);
	EXPECT_EQ(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN), 0);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN), EEXIST);
	EXPECT_EQ(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN | EPOLLET), 0);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_MOD, fd[1], EPOLLIN), ENOENT);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_DEL, fd[1], 0), ENOENT);
	EXPECT_EQ(SYS(epoll_ctl, ep, EPOLL_CTL_DEL, fd[0], NULL), 0);
	EXPECT_ERR(ctl(99, EPOLL_CTL_ADD, fd[0], EPOLLIN), EBADF);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_ADD, 99, EPOLLIN), EBADF);
	EXPECT_ERR(ctl(fd[0], EPOLL_CTL_ADD, fd[1], EPOLLIN), EINVAL);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN), EINVAL);
	EXPECT_ERR(ctl(ep, 9, fd[0], EPOLLIN), EINVAL);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
	EXPECT_ERR(SYS(epoll_ctl, ep, EPOLL_CTL_ADD, fd[0], BAD_ADDR), EFAULT);
	EXPECT_EQ(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN | EPOLLEXCLUSIVE), 0);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN), EINVAL);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
	EXPECT_ERR(
	    ctl(ep, EPOLL_CTL_ADD, fd[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT),
	    EINVAL);
	/* One in another five deep, and never in a ring. */
	for (int i = 0; i < 7; i++)
		a[i] = epoll_create1(0);
	EXPECT_ERR(ctl(ep, EPOLL_CTL_ADD, a[0], EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
	EXPECT_EQ(ctl(a[0], EPOLL_CTL_ADD, a[1], EPOLLIN), 0);
	EXPECT_ERR(ctl(a[1], EPOLL_CTL_ADD, a[0], EPOLLIN), ELOOP);
	EXPECT_EQ(ctl(a[1], EPOLL_CTL_ADD, a[2], EPOLLIN), 0);
	EXPECT_EQ(ctl(a[2], EPOLL_CTL_ADD, a[3], EPOLLIN), 0);
	EXPECT_ERR(ctl(a[3], EPOLL_CTL_ADD, a[0], EPOLLIN), ELOOP);
	EXPECT_EQ(ctl(a[3], EPOLL_CTL_ADD, a[4], EPOLLIN), 0);
	EXPECT_ERR(ctl(a[4], EPOLL_CTL_ADD, a[5], EPOLLIN), ELOOP);
}

/* proves: epoll_wait epoll_pwait epoll_pwait2 */
static void
epoll_waiting(void)
{
	struct timespec none = {0, 0}, bad = {0, -1};
	struct epoll_event e[4];
	uint64_t set = bit(SIGUSR1), empty = 0;
	int ep = epoll_create1(0), fd[2];

	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN), 0);
	CHECK_EQ(ctl(ep, EPOLL_CTL_ADD, fd[1], EPOLLOUT | EPOLLONESHOT), 0);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, -1), 1);
	EXPECT_EQ(e[0].events, EPOLLOUT);
	EXPECT_EQ(e[0].data.u64, fd[1]);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, 0), 0); /* once */
	CHECK_EQ(ctl(ep, EPOLL_CTL_MOD, fd[1], EPOLLOUT | EPOLLONESHOT), 0);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, 10), 1);
	CHECK_EQ(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN | EPOLLET), 0);
	CHECK_EQ(write(fd[1], "x", 1), 1);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, -1), 1);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, 0), 0); /* edge */
	EXPECT_ERR(SYS(epoll_wait, ep, e, 0, 0), EINVAL);
	EXPECT_ERR(SYS(epoll_wait, ep, e, -1, 0), EINVAL);
	EXPECT_ERR(SYS(epoll_wait, ep, e, 0x7fffffff, 0), EINVAL);
	EXPECT_ERR(SYS(epoll_wait, 99, e, 4, 0), EBADF);
	EXPECT_ERR(SYS(epoll_wait, fd[0], e, 4, 0), EINVAL);
	EXPECT_ERR(SYS(epoll_pwait, ep, e, 4, 0, &set, 4), EINVAL);
	EXPECT_ERR(SYS(epoll_pwait, ep, e, 4, 0, BAD_ADDR, 8), EFAULT);
	EXPECT_EQ(SYS(epoll_pwait, ep, e, 4, 0, NULL, 4), 0);
	EXPECT_EQ(SYS(epoll_pwait2, ep, e, 4, &none, NULL, 8), 0);
	EXPECT_ERR(SYS(epoll_pwait2, ep, e, 4, &bad, NULL, 8), EINVAL);
	EXPECT_ERR(SYS(epoll_pwait2, ep, e, 4, BAD_ADDR, NULL, 8), EFAULT);
	catch (SIGUSR1);
	CHECK_EQ(SYS(rt_sigprocmask, 0, &set, NULL, 8), 0);
	raise(SIGUSR1);
	EXPECT_ERR(SYS(epoll_pwait, ep, e, 4, -1, &empty, 8), EINTR);
	raise(SIGUSR1);
	EXPECT_ERR(SYS(epoll_pwait2, ep, e, 4, NULL, &empty, 8), EINTR);
	/* A descriptor that closes goes; its twin keeps it. */
	close(fd[0]);
	CHECK_EQ(ctl(ep, EPOLL_CTL_MOD, fd[1], EPOLLOUT), 0);
	EXPECT_EQ(SYS(epoll_wait, ep, e, 4, 0), 1);
	EXPECT_EQ(!!(e[0].events & EPOLLERR), 1);
}

/* proves: pipe pipe2 */
static void
pipes(void)
{
	struct rlimit few = {4, 4};
	int fd[2] = {-1, -1};
	char buf[8192];

	EXPECT_ERR(SYS(pipe, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(pipe2, fd, 1), EINVAL);
	EXPECT_ERR(SYS(pipe2, fd, O_APPEND), EINVAL);
	EXPECT_EQ(SYS(pipe2, fd, O_NONBLOCK | O_CLOEXEC), 0);
	EXPECT_EQ(fcntl(fd[0], F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	EXPECT_ERR(read(fd[0], buf, 1), EAGAIN);
	EXPECT_ERR(write(fd[0], buf, 1), EBADF);
	EXPECT_ERR(read(fd[1], buf, 1), EBADF);
	close(fd[0]);
	close(fd[1]);
	/* Packets: each write is one read, what does not fit is gone. */
	EXPECT_EQ(SYS(pipe2, fd, O_DIRECT), 0);
	EXPECT_EQ(write(fd[1], "abc", 3), 3);
	EXPECT_EQ(write(fd[1], "de", 2), 2);
	EXPECT_EQ(read(fd[0], buf, 2), 2);
	EXPECT_EQ(read(fd[0], buf, 100), 2);
	EXPECT_EQ(buf[0], 'd');
	close(fd[0]);
	close(fd[1]);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	fd[0] = fd[1] = -7;
	EXPECT_ERR(SYS(pipe, fd), EMFILE);
	EXPECT_EQ(fd[0] == -7 && fd[1] == -7, 1);
}

/* proves: eventfd eventfd2 */
static void
event_counters(void)
{
	int fd = (int)SYS(eventfd2, 3, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t n = 0;

	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_ERR(SYS(eventfd2, 0, 2), EINVAL);
	EXPECT_ERR(read(fd, &n, 7), EINVAL);
	EXPECT_EQ(read(fd, &n, 100), 8);
	EXPECT_EQ(n, 3);
	EXPECT_ERR(read(fd, &n, 8), EAGAIN);
	EXPECT_ERR(write(fd, &n, 7), EINVAL);
	n = ~0ULL;
	EXPECT_ERR(write(fd, &n, 8), EINVAL);
	n = ~0ULL - 1;
	EXPECT_EQ(write(fd, &n, 8), 8);
	n = 1;
	EXPECT_ERR(write(fd, &n, 8), EAGAIN);
	EXPECT_ERR(read(fd, BAD_ADDR, 8), EFAULT);
	EXPECT_ERR(write(fd, BAD_ADDR, 8), EFAULT);
	fd = (int)SYS(eventfd2, 2, EFD_SEMAPHORE | EFD_NONBLOCK);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(n, 1);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_ERR(read(fd, &n, 8), EAGAIN);
	fd = (int)SYS(eventfd, 7);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(n, 7);
}

/* proves: inotify_init inotify_init1 inotify_add_watch inotify_rm_watch */
static void
watches(void)
{
	char buf[4096];
	struct inotify_event *e = (void *)buf;
	int fd, wd, plain = open("/dev/null", O_RDONLY);

	EXPECT_ERR(SYS(inotify_init1, 1), EINVAL);
	EXPECT_EQ(SYS(inotify_init) >= 0, 1);
	fd = (int)SYS(inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(mkdir("/tmp/watched", 0755) == 0 || errno == EEXIST, 1);
	EXPECT_ERR(SYS(inotify_add_watch, 99, "/tmp/watched", IN_CREATE), EBADF);
	EXPECT_ERR(SYS(inotify_add_watch, plain, "/tmp/watched", IN_CREATE), EINVAL);
	EXPECT_ERR(SYS(inotify_add_watch, fd, "/tmp/none", IN_CREATE), ENOENT);
	EXPECT_ERR(SYS(inotify_add_watch, fd, "/tmp/watched", 0), EINVAL);
	EXPECT_ERR(SYS(inotify_add_watch, fd, "/tmp/watched", 0x800000), EINVAL);
	EXPECT_ERR(SYS(inotify_add_watch, fd, BAD_ADDR, IN_CREATE), EFAULT);
	EXPECT_ERR(
	    SYS(inotify_add_watch, fd, "/dev/null", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	wd = (int)SYS(inotify_add_watch, fd, "/tmp/watched", IN_CREATE);
	CHECK(wd >= 0);
	EXPECT_EQ(
	    SYS(inotify_add_watch, fd, "/tmp/watched", IN_DELETE | IN_MASK_ADD), wd);
	EXPECT_ERR(SYS(inotify_add_watch, fd, "/tmp/watched", IN_DELETE | IN_MASK_CREATE),
	    EEXIST);
	EXPECT_ERR(SYS(inotify_add_watch, fd, "/tmp/watched",
	               IN_DELETE | IN_MASK_CREATE | IN_MASK_ADD),
	    EINVAL);
	EXPECT_ERR(read(fd, buf, sizeof(buf)), EAGAIN);
	close(open("/tmp/watched/f", O_CREAT | O_RDWR, 0600));
	EXPECT_ERR(read(fd, buf, 16), EINVAL);
	EXPECT_EQ(read(fd, buf, sizeof(buf)), 32);
	EXPECT_EQ(e->wd, wd);
	EXPECT_EQ(e->mask, IN_CREATE);
	EXPECT_EQ(!strcmp(e->name, "f"), 1);
	unlink("/tmp/watched/f");
	EXPECT_ERR(SYS(inotify_rm_watch, fd, wd + 1), EINVAL);
	EXPECT_ERR(SYS(inotify_rm_watch, 99, wd), EBADF);
	EXPECT_ERR(SYS(inotify_rm_watch, plain, wd), EINVAL);
	EXPECT_EQ(SYS(inotify_rm_watch, fd, wd), 0);
	EXPECT_EQ(read(fd, buf, sizeof(buf)), 48);
	e = (void *)(buf + 32);
	EXPECT_EQ(e->mask, IN_IGNORED);
	EXPECT_ERR(SYS(inotify_rm_watch, fd, wd), EINVAL);
}

static const struct test tests[] = {
    TEST(poll_cases),
    TEST(select_cases),
    TEST(epoll_control),
    TEST(epoll_waiting),
    TEST(pipes),
    TEST(event_counters),
    TEST(watches),
};

RUN_TESTS(tests)
