/* Pipes, poll, select, epoll, eventfd, timerfd, futexes and threads. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static void
pipe_carries_bytes_in_order(void)
{
	static char out[300000], in[300000];
	int fds[2], status;
	size_t got = 0;
	pid_t pid;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + (i >> 8));
	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[0]);
		for (size_t at = 0, n = 1; at < sizeof(out); n = n * 5 % 9001 + 1) {
			size_t part = n < sizeof(out) - at ? n : sizeof(out) - at;

			CHECK_EQ(write(fds[1], out + at, part), part);
			at += part;
		}
		_exit(0);
	}
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], in + got, sizeof(in) - got)) > 0;)
		got += n;
	CHECK_EQ(got, sizeof(out));
	CHECK(!memcmp(in, out, got));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
pipe_limits_and_errors(void)
{
	static char big[100000];
	int fds[2], n;
	char c;

	CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
	CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
	CHECK_EQ(write(fds[1], big, sizeof(big)), 65536);
	CHECK_ERR(write(fds[1], big, 1), EAGAIN);
	CHECK_EQ(ioctl(fds[0], FIONREAD, &n), 0);
	CHECK_EQ(n, 65536);
	CHECK_EQ(read(fds[0], big, 4095), 4095);
	CHECK_ERR(write(fds[1], big, 4096), EAGAIN);
	CHECK_EQ(read(fds[0], big, 1), 1);
	CHECK_EQ(write(fds[1], big, 4096), 4096);
	CHECK_ERR(write(fds[0], &c, 1), EBADF);
	CHECK_ERR(read(fds[1], &c, 1), EBADF);
	CHECK_ERR(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	CHECK_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
	CHECK_ERR(fcntl(fds[0], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK_EQ(fcntl(fds[0], F_SETPIPE_SZ, 100000), 131072);
	close(fds[1]);
	while ((n = read(fds[0], big, sizeof(big))) > 0)
		;
	CHECK_EQ(n, 0);
	CHECK_ERR(read(fds[0], (void *)1, 0) + syscall(SYS_pipe2, 1, 0), EFAULT);
	CHECK_ERR(pipe2(fds, 1), EINVAL);
}

static void
pipe_without_reader_breaks(void)
{
	int fds[2], status;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	pipe(fds);
	close(fds[0]);
	CHECK_ERR(write(fds[1], "x", 1), EPIPE);
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		write(fds[1], "x", 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

static void
fifo_opens_meet(void)
{
	int fd, status;
	char buf[8];
	pid_t pid;

	unlink("/tmp/keel-fifo");
	CHECK_EQ(mkfifo("/tmp/keel-fifo", 0600), 0);
	CHECK_ERR(open("/tmp/keel-fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid = fork();
	if (!pid) {
		fd = open("/tmp/keel-fifo", O_WRONLY);
		CHECK(fd >= 0);
		CHECK_EQ(write(fd, "hello", 5), 5);
		_exit(0);
	}
	sleep_ms(20);
	fd = open("/tmp/keel-fifo", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 8), 5);
	CHECK_EQ(read(fd, buf, 8), 0);
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	unlink("/tmp/keel-fifo");
}

static void
poll_tells_what_is_ready(void)
{
	int fds[2];
	struct pollfd p[4];
	struct timespec a, b;

	pipe(fds);
	p[0] = (struct pollfd){fds[0], POLLIN, 0};
	p[1] = (struct pollfd){fds[1], POLLOUT, 0};
	p[2] = (struct pollfd){-1, POLLIN, 0};
	p[3] = (struct pollfd){99, POLLIN, 0};
	CHECK_EQ(poll(p, 4, -1), 2);
	CHECK(p[0].revents == 0 && p[1].revents == POLLOUT && p[2].revents == 0 &&
	      p[3].revents == POLLNVAL);
	write(fds[1], "x", 1);
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLIN);
	close(fds[1]);
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLIN | POLLHUP);
	clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK_EQ(poll(NULL, 0, 50), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 49);
}

static void
poll_wakes(void)
{
	struct pollfd p[20];
	int fds[20][2];

	for (int i = 0; i < 20; i++) {
		pipe(fds[i]);
		p[i] = (struct pollfd){fds[i][0], POLLIN, 0};
	}
	if (!fork()) {
		sleep_ms(30);
		write(fds[17][1], "x", 1);
		_exit(0);
	}
	CHECK_EQ(poll(p, 20, 5000), 1);
	CHECK_EQ(p[17].revents, POLLIN);
}

static void
select_sets(void)
{
	int fds[2];
	fd_set r, w;
	struct timeval tv = {0, 20000};

	pipe(fds);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	CHECK_EQ(select(fds[1] + 1, &r, &w, NULL, NULL), 1);
	CHECK(!FD_ISSET(fds[0], &r) && FD_ISSET(fds[1], &w));
	FD_SET(fds[0], &r);
	CHECK_EQ(select(fds[0] + 1, &r, NULL, NULL, &tv), 0);
	CHECK(!FD_ISSET(fds[0], &r));
	FD_SET(50, &r);
	CHECK_ERR(select(51, &r, NULL, NULL, NULL), EBADF);
}

static void
epoll_level_edge_oneshot(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7}, out[4];
	int ep = epoll_create1(0), fds[2];
	char c;

	CHECK(ep >= 0);
	pipe(fds);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), 0);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), EEXIST);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
	write(fds[1], "xy", 2);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(epoll_wait(ep, out, 4, -1), 1);
		CHECK(out[0].events == EPOLLIN && out[0].data.u64 == 7);
	}
	ev.events = EPOLLIN | EPOLLET;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &ev), 0);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 1);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
	write(fds[1], "z", 1);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 1);
	ev.events = EPOLLIN | EPOLLONESHOT;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &ev), 0);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 1);
	write(fds[1], "z", 1);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &ev), 0);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 1);
	/* What could not be told is told by the next call, once or at an edge as well. */
	for (unsigned i = 0; i < 2; i++) {
		ev.events = EPOLLIN | (i ? EPOLLET : EPOLLONESHOT);
		CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &ev), 0);
		CHECK_ERR(epoll_wait(ep, (struct epoll_event *)16, 4, 0), EFAULT);
		CHECK_EQ(epoll_wait(ep, out, 4, 0), 1);
		CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
	}
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL), 0);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev), EINVAL);
	CHECK_ERR(epoll_wait(ep, out, 0, 0), EINVAL);
	CHECK_ERR(epoll_wait(fds[0], out, 1, 0), EINVAL);
	read(fds[0], &c, 1);
}

static void
epoll_wakes_and_forgets_closed(void)
{
	struct epoll_event ev = {.events = EPOLLIN}, out[4];
	int ep = epoll_create1(0), fds[2], status;
	pid_t pid;

	pipe(fds);
	epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev);
	pid = fork();
	if (!pid) {
		sleep_ms(30);
		write(fds[1], "x", 1);
		_exit(0);
	}
	CHECK_EQ(epoll_wait(ep, out, 4, 5000), 1);
	waitpid(pid, &status, 0);
	close(fds[0]);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
}

/* proves: tee */
static void
tee_copies_and_keeps(void)
{
	char buf[8] = "", big[70000];
	int a[2], b[2], file;
	pid_t pid;

	CHECK_EQ(pipe(a), 0);
	CHECK_EQ(pipe(b), 0);
	file = open("/proc/self/exe", O_RDONLY);
	CHECK_EQ(write(a[1], "hello", 5), 5);
	CHECK_EQ(tee(a[0], b[1], 3, 0), 3);
	CHECK_EQ(tee(a[0], b[1], 100, 0), 5);
	CHECK_EQ(write(a[1], "!", 1), 1); /* not seen by what was copied */
	CHECK_EQ(read(b[0], buf, 8), 8);
	CHECK_EQ(memcmp(buf, "helhello", 8), 0);
	CHECK_EQ(read(a[0], buf, 8), 6);
	CHECK_EQ(memcmp(buf, "hello!", 6), 0);
	CHECK_ERR(tee(a[0], b[1], 5, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(tee(a[0], b[1], 0, 0), 0);
	CHECK_ERR(tee(a[0], a[1], 5, 0), EINVAL);
	CHECK_ERR(tee(file, b[1], 5, 0), EINVAL);
	CHECK_ERR(tee(a[0], b[1], 5, 16), EINVAL);
	CHECK_ERR(tee(a[1], b[1], 5, 0), EBADF);
	CHECK_ERR(tee(a[0], 99, 5, 0), EBADF);

	/* Waits for what is to come, then for room. */
	pid = fork();
	if (!pid) {
		sleep_ms(30);
		_exit(
		    write(a[1], big, 65536) != 65536 || read(b[0], big, 20000) != 20000);
	}
	CHECK_EQ(tee(a[0], b[1], 65536, 0), 65536);
	CHECK(tee(a[0], b[1], 65536, 0) >= 16384);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(read(a[0], big, sizeof(big)), 65536);
	CHECK(read(b[0], big, sizeof(big)) > 0);
	close(a[1]);
	CHECK_EQ(tee(a[0], b[1], 5, 0), 0);
	close(b[0]);
	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(pipe(a), 0);
	CHECK_EQ(write(a[1], "x", 1), 1);
	CHECK_ERR(tee(a[0], b[1], 5, 0), EPIPE);
}

/* proves: vmsplice */
static void
vmsplice_goes_both_ways(void)
{
	static char big[80000], back[80000];
	struct iovec v[2] = {{"abc", 3}, {"defg", 4}}, all = {big, sizeof(big)};
	int a[2], file;
	char c;

	CHECK_EQ(pipe(a), 0);
	CHECK_EQ(vmsplice(a[1], v, 2, 0), 7);
	v[0] = (struct iovec){back, 2};
	v[1] = (struct iovec){back + 2, 100};
	CHECK_EQ(vmsplice(a[0], v, 2, 0), 7);
	CHECK_EQ(memcmp(back, "abcdefg", 7), 0);
	CHECK_ERR(vmsplice(a[0], v, 2, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(vmsplice(a[1], v, 0, 0), 0);
	CHECK_ERR(vmsplice(a[1], v, 2, 16), EINVAL);
	CHECK_ERR(vmsplice(a[1], v, 1025, 0), EINVAL);
	CHECK_ERR(vmsplice(99, v, 1, 0), EBADF);
	file = open("/proc/self/exe", O_RDONLY);
	CHECK_ERR(vmsplice(file, v, 1, 0), EBADF);
	/* What fits, then no more; and all that is there comes back. */
	memset(big, 'b', sizeof(big));
	CHECK(vmsplice(a[1], &all, 1, 0) >= 61440);
	CHECK_ERR(vmsplice(a[1], &all, 1, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(read(a[0], &c, 1), 1);
	CHECK_EQ(c, 'b');
	all.iov_base = back;
	CHECK(vmsplice(a[0], &all, 1, 0) >= 61439);
	CHECK_EQ(back[61438], 'b');
	close(a[0]);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(vmsplice(a[1], &all, 1, 0), EPIPE);
}

static void
epoll_exclusive(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE},
	                   plain = {.events = EPOLLIN};
	int ep = epoll_create1(0), inner = epoll_create1(0), fds[2], file;

	pipe(fds);
	file = open("/proc/self/exe", O_RDONLY);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &ev), EINVAL);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, inner, &ev), EINVAL);
	ev.events |= EPOLLONESHOT;
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), EINVAL);
	ev.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), 0);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &plain), EINVAL);
	ev.events |= EPOLLONESHOT;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], &ev), 0);
	CHECK_ERR(epoll_ctl(ep, 77, file, &plain), EPERM);
	CHECK_ERR(epoll_ctl(ep, 77, ep, &plain), EINVAL);
}

static void
epoll_nests(void)
{
	struct epoll_event ev = {.events = EPOLLIN}, out[4];
	int inner = epoll_create1(0), outer = epoll_create1(0), fds[2];
	struct pollfd p = {outer, POLLIN, 0};

	pipe(fds);
	CHECK_EQ(epoll_ctl(inner, EPOLL_CTL_ADD, fds[0], &ev), 0);
	CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev), 0);
	CHECK_ERR(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &ev), ELOOP);
	CHECK_EQ(epoll_wait(outer, out, 4, 0), 0);
	if (!fork()) {
		sleep_ms(30);
		write(fds[1], "x", 1);
		_exit(0);
	}
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(epoll_wait(outer, out, 4, 5000), 1);
	CHECK_EQ(epoll_wait(inner, out, 4, 0), 1);
}

static void
eventfd_counts(void)
{
	int fd = eventfd(3, EFD_NONBLOCK), sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t v = 4;

	CHECK_EQ(write(fd, &v, 8), 8);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 7);
	CHECK_ERR(read(fd, &v, 8), EAGAIN);
	v = UINT64_MAX;
	CHECK_ERR(write(fd, &v, 8), EINVAL);
	v = UINT64_MAX - 1;
	CHECK_EQ(write(fd, &v, 8), 8);
	v = 1;
	CHECK_ERR(write(fd, &v, 8), EAGAIN);
	CHECK_ERR(read(fd, &v, 4), EINVAL);
	CHECK_EQ(read(sem, &v, 8), 8);
	CHECK_EQ(v, 1);
	CHECK_EQ(read(sem, &v, 8), 8);
	CHECK_ERR(read(sem, &v, 8), EAGAIN);
}

static void
timerfd_ticks(void)
{
	struct itimerspec its = {{0, 10000000}, {0, 20000000}}, now;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct pollfd p = {fd, POLLIN, 0};
	uint64_t v = 0;

	CHECK(fd >= 0);
	CHECK_EQ(timerfd_settime(fd, 0, &its, NULL), 0);
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK(v >= 1);
	sleep_ms(55);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK(v >= 4 && v < 50);
	CHECK_EQ(timerfd_gettime(fd, &now), 0);
	CHECK(now.it_interval.tv_nsec == 10000000 && now.it_value.tv_nsec <= 10000000);
	its.it_value.tv_nsec = 1000000000;
	CHECK_ERR(timerfd_settime(fd, 0, &its, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(0, 0, &now, NULL), EINVAL);
}

enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

static long
futex(uint32_t *addr, int op, uint32_t val, const void *timeout, uint32_t *addr2,
    uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

/* proves: futex */
static void
futex_basics(void)
{
	uint32_t word = 5;
	struct timespec ts = {0, 20000000};

	CHECK_ERR(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&word, FUTEX_WAIT, 5, &ts, NULL, 0), ETIMEDOUT);
	CHECK_EQ(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	CHECK_ERR(
	    futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 5, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((uint32_t *)4096, FUTEX_WAIT, 5, NULL, NULL, 0), EFAULT);
	ts.tv_nsec = -1;
	CHECK_ERR(futex(&word, FUTEX_WAIT, 5, &ts, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, 99, 5, NULL, NULL, 0), ENOSYS);
}

static void
futex_between_processes(void)
{
	uint32_t *word =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec ts = {5, 0};
	int status;
	pid_t pid = fork();

	if (!pid) {
		sleep_ms(40);
		*word = 1;
		_exit(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0) == 1 ? 0 : 1);
	}
	CHECK_EQ(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0), 0);
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int counter, turn;
static __thread int tls_value;

static void *
count_thread(void *arg)
{
	tls_value = (int)(long)arg;
	for (int i = 0; i < 5000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
		if (i % 1000 == 0)
			sched_yield();
	}
	return (void *)(long)(tls_value == (int)(long)arg);
}

static void
threads_and_mutexes(void)
{
	pthread_t t[4];
	void *result;

	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count_thread, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		CHECK(result);
	}
	CHECK_EQ(counter, 20000);
}

static void *
turn_thread(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 200; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % 3 != me)
			pthread_cond_wait(&cond, &mutex);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void
condition_variables(void)
{
	pthread_t t[3];

	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, turn_thread, (void *)i);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(turn, 600);
}

static void *
sleep_thread(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void
exit_group_ends_threads(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, sleep_thread, NULL);
		_exit(6);
	}
	waitpid(pid, &status, 0);
	CHECK_EQ(WEXITSTATUS(status), 6);
	pid = fork();
	if (!pid) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, sleep_thread, NULL);
		for (;;)
			pause();
	}
	sleep_ms(30);
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void *
exec_thread(void *arg)
{
	char *argv[] = {"ipc", "--pid-check", arg, NULL};

	execv("/proc/self/exe", argv);
	_exit(99);
}

static void
exec_from_a_thread_keeps_the_pid(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		char text[16];
		pthread_t t;

		snprintf(text, sizeof(text), "%d", getpid());
		pthread_create(&t, NULL, sleep_thread, NULL);
		pthread_create(&t, NULL, exec_thread, text);
		for (;;)
			pause();
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void *
exit_thread(void *arg)
{
	sleep_ms(50);
	_exit(4);
}

static void
leader_may_exit_first(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		pthread_t t;

		pthread_create(&t, NULL, exit_thread, NULL);
		syscall(SYS_exit, 1);
	}
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 4);
}

static void
stop_stops_all_threads(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, sleep_thread, NULL);
		for (;;)
			;
	}
	sleep_ms(30);
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

static void
a_pipe_is_opened_again_by_its_descriptor(void)
{
	char path[64], link[64], buf[8];
	struct stat a, b;
	int p[2], r, w;

	CHECK_EQ(pipe(p), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	CHECK_EQ(stat(path, &a), 0);
	CHECK_EQ(fstat(p[0], &b), 0);
	CHECK(S_ISFIFO(a.st_mode));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(access(path, R_OK), 0);
	r = open(path, O_RDONLY);
	w = open(path, O_WRONLY);
	CHECK(r >= 0 && w >= 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", r);
	memset(buf, 0, sizeof(buf));
	CHECK(readlink(link, buf, 5) == 5 && !memcmp(buf, "pipe:", 5));
	CHECK_EQ(fstat(r, &b), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	close(p[0]);
	close(p[1]);
	CHECK_EQ(write(w, "again", 5), 5);
	CHECK_EQ(read(r, buf, 5), 5);
	close(w);
	CHECK_EQ(read(r, buf, 5), 0); /* the last writer is gone */
	close(r);
	/* What is no pipe can be looked at, not opened. */
	r = eventfd(0, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r);
	CHECK_EQ(stat(path, &a), 0);
	CHECK_EQ(a.st_mode & 07777, 0600);
	CHECK_ERR(open(path, O_RDONLY), ENXIO);
}

static const struct test tests[] = {
    TEST(pipe_carries_bytes_in_order),
    TEST(pipe_limits_and_errors),
    TEST(pipe_without_reader_breaks),
    TEST(fifo_opens_meet),
    TEST(poll_tells_what_is_ready),
    TEST(poll_wakes),
    TEST(select_sets),
    TEST(epoll_level_edge_oneshot),
    TEST(epoll_wakes_and_forgets_closed),
    TEST(epoll_exclusive),
    TEST(tee_copies_and_keeps),
    TEST(vmsplice_goes_both_ways),
    TEST(epoll_nests),
    TEST(eventfd_counts),
    TEST(timerfd_ticks),
    TEST(futex_basics),
    TEST(futex_between_processes),
    TEST(threads_and_mutexes),
    TEST(condition_variables),
    TEST(exit_group_ends_threads),
    TEST(exec_from_a_thread_keeps_the_pid),
    TEST(leader_may_exit_first),
    TEST(stop_stops_all_threads),
    TEST(a_pipe_is_opened_again_by_its_descriptor),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--pid-check"))
		return getpid() != atoi(argv[2]) || syscall(SYS_gettid) != getpid();
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
