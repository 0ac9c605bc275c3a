/* Time: every clock, sleeping, interval timers, POSIX timers, timers that are
 * descriptors. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/time.h>
#include <sys/timerfd.h>

enum { PROC_CPU = 2, THREAD_CPU = 3, BAD_CLOCK = 99, ABSTIME = 1 };

static const int all_clocks[] = {0, 1, 2, 3, 4, 5, 6, 7, 11};

/* The CPU clock of a process or thread, as clock_getcpuclockid makes it. */
static int
cpu_clock(int pid, int is_thread)
{
	return (int)(~(unsigned)pid << 3 | (is_thread ? 4 : 0) | 2);
}

static int64_t
ns_of(const struct timespec *ts)
{
	return ts->tv_sec * 1000000000L + ts->tv_nsec;
}

static int64_t
now_of(int clock)
{
	struct timespec ts;

	CHECK_EQ(SYS(clock_gettime, clock, &ts), 0);
	return ns_of(&ts);
}

/* proves: clock_gettime clock_getres */
static void
every_clock(void)
{
	struct timespec ts;

	for (unsigned i = 0; i < sizeof(all_clocks) / sizeof(all_clocks[0]); i++) {
		int64_t before = now_of(all_clocks[i]);

		EXPECT_EQ(SYS(clock_getres, all_clocks[i], &ts), 0);
		EXPECT_EQ(ts.tv_sec == 0 && ts.tv_nsec > 0, 1);
		EXPECT_EQ(SYS(clock_getres, all_clocks[i], NULL), 0);
		EXPECT_EQ(now_of(all_clocks[i]) >= before, 1);
		EXPECT_ERR(SYS(clock_gettime, all_clocks[i], BAD_ADDR), EFAULT);
		EXPECT_ERR(SYS(clock_getres, all_clocks[i], BAD_ADDR), EFAULT);
	}
	EXPECT_EQ(SYS(clock_getres, CLOCK_MONOTONIC, &ts), 0);
	EXPECT_EQ(ts.tv_nsec, 1);
	EXPECT_EQ(now_of(CLOCK_REALTIME) / 1000000000 > 1600000000, 1);
	EXPECT_EQ(now_of(CLOCK_BOOTTIME) >= now_of(CLOCK_MONOTONIC) - 1000000000, 1);
	EXPECT_EQ(now_of(cpu_clock(0, 0)) > 0, 1);
	EXPECT_EQ(now_of(cpu_clock(getpid(), 0)) > 0, 1);
	EXPECT_EQ(now_of(cpu_clock(0, 1)) > 0, 1);
	EXPECT_EQ(now_of(cpu_clock(getppid(), 0)) >= 0, 1);
	EXPECT_ERR(SYS(clock_gettime, BAD_CLOCK, &ts), EINVAL);
	EXPECT_ERR(SYS(clock_gettime, 10, &ts), EINVAL);
	EXPECT_ERR(SYS(clock_gettime, 16, &ts), EINVAL);
	EXPECT_ERR(SYS(clock_getres, BAD_CLOCK, &ts), EINVAL);
	EXPECT_ERR(SYS(clock_gettime, cpu_clock(0x7ffff00, 0), &ts), EINVAL);
	EXPECT_ERR(SYS(clock_getres, cpu_clock(0x7ffff00, 0), &ts), EINVAL);
	EXPECT_ERR(SYS(clock_gettime, cpu_clock(getppid(), 1), &ts), EINVAL);
}

/* proves: clock_settime settimeofday gettimeofday time */
static void
setting_and_old_calls(void)
{
	struct timespec ts, bad = {0, 1000000000}, negative = {-1, 0};
	struct timeval tv, bad_tv = {0, 1000000};
	struct timezone tz;
	time_t t;

	EXPECT_EQ(SYS(gettimeofday, &tv, &tz), 0);
	EXPECT_EQ(SYS(gettimeofday, NULL, NULL), 0);
	EXPECT_ERR(SYS(gettimeofday, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(gettimeofday, NULL, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(time, &t), t);
	EXPECT_EQ(SYS(time, NULL) - tv.tv_sec <= 1, 1);
	EXPECT_ERR(SYS(time, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(clock_settime, CLOCK_REALTIME, &bad), EINVAL);
	EXPECT_ERR(SYS(clock_settime, CLOCK_REALTIME, &negative), EINVAL);
	EXPECT_ERR(SYS(clock_settime, CLOCK_REALTIME, BAD_ADDR), EFAULT);
	for (unsigned i = 1; i < sizeof(all_clocks) / sizeof(all_clocks[0]); i++) {
		int c = all_clocks[i];
		int error = c == PROC_CPU || c == THREAD_CPU ? EPERM : EINVAL;

		CHECK_EQ(SYS(clock_gettime, c, &ts), 0);
		errno = 0;
		EXPECT_EQ(SYS(clock_settime, c, &ts), -1);
		EXPECT_EQ(errno == error || errno == EINVAL, 1);
	}
	EXPECT_ERR(SYS(clock_settime, BAD_CLOCK, &ts), EINVAL);
	EXPECT_ERR(SYS(settimeofday, &bad_tv, NULL), EINVAL);
	EXPECT_ERR(SYS(settimeofday, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(settimeofday, NULL, BAD_ADDR), EFAULT);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	CHECK_EQ(SYS(clock_gettime, CLOCK_REALTIME, &ts), 0);
	EXPECT_ERR(SYS(clock_settime, CLOCK_REALTIME, &ts), EPERM);
	EXPECT_EQ(SYS(gettimeofday, &tv, NULL), 0);
	EXPECT_ERR(SYS(settimeofday, &tv, NULL), EPERM);
}

static volatile int ticks;

static void
tick(int sig, siginfo_t *info, void *context)
{
	ticks++;
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

/* proves: nanosleep clock_nanosleep */
static void
sleeping(void)
{
	struct timespec bad = {0, -1}, bad2 = {-1, 0}, some = {0, 20000000}, rem = {9, 9};
	struct timespec second = {1, 0}, abs;
	struct itimerval it = {{0, 0}, {0, 50000}};
	int64_t start = now_of(CLOCK_MONOTONIC);

	EXPECT_EQ(SYS(nanosleep, &some, &rem), 0);
	EXPECT_EQ(now_of(CLOCK_MONOTONIC) - start >= 20000000, 1);
	EXPECT_ERR(SYS(nanosleep, &bad, NULL), EINVAL);
	EXPECT_ERR(SYS(nanosleep, &bad2, NULL), EINVAL);
	EXPECT_ERR(SYS(nanosleep, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(clock_nanosleep, BAD_CLOCK, 0, &some, NULL), EINVAL);
	EXPECT_ERR(SYS(clock_nanosleep, THREAD_CPU, 0, &some, NULL), EOPNOTSUPP);
	EXPECT_ERR(SYS(clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &some, NULL), EOPNOTSUPP);
	EXPECT_ERR(
	    SYS(clock_nanosleep, CLOCK_REALTIME_COARSE, 0, &some, NULL), EOPNOTSUPP);
	EXPECT_ERR(SYS(clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL), EINVAL);
	EXPECT_ERR(SYS(clock_nanosleep, CLOCK_MONOTONIC, 0, BAD_ADDR, NULL), EFAULT);
	EXPECT_EQ(SYS(clock_nanosleep, CLOCK_REALTIME, 0, &some, NULL), 0);
	EXPECT_EQ(SYS(clock_nanosleep, CLOCK_BOOTTIME, 0, &some, NULL), 0);
	EXPECT_EQ(SYS(clock_nanosleep, CLOCK_TAI, 0, &some, NULL), 0);
	CHECK_EQ(SYS(clock_gettime, CLOCK_MONOTONIC, &abs), 0);
	EXPECT_EQ(SYS(clock_nanosleep, CLOCK_MONOTONIC, ABSTIME, &abs, NULL), 0);
	catch (SIGALRM);
	CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	EXPECT_ERR(SYS(nanosleep, &second, &rem), EINTR);
	EXPECT_EQ(rem.tv_sec == 0 && rem.tv_nsec > 100000000, 1);
	CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	EXPECT_ERR(SYS(nanosleep, &second, BAD_ADDR), EFAULT);
	CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	rem = (struct timespec){9, 9};
	abs.tv_sec += 2;
	EXPECT_ERR(SYS(clock_nanosleep, CLOCK_MONOTONIC, ABSTIME, &abs, &rem), EINTR);
	EXPECT_EQ(rem.tv_sec, 9); /* not told of an absolute time */
}

/* proves: setitimer getitimer alarm */
static void
interval_timers(void)
{
	struct itimerval it = {{0, 0}, {100, 0}}, old, zero = {{0, 0}, {0, 0}};

	EXPECT_ERR(SYS(setitimer, 3, &it, NULL), EINVAL);
	EXPECT_ERR(SYS(getitimer, 3, &it), EINVAL);
	EXPECT_ERR(SYS(getitimer, -1, &it), EINVAL);
	EXPECT_ERR(SYS(setitimer, 0, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(getitimer, 0, BAD_ADDR), EFAULT);
	it.it_value.tv_usec = 1000000;
	EXPECT_ERR(SYS(setitimer, 0, &it, NULL), EINVAL);
	it.it_value.tv_usec = 0;
	it.it_interval.tv_sec = -1;
	EXPECT_ERR(SYS(setitimer, 0, &it, NULL), EINVAL);
	it.it_interval.tv_sec = 5;
	for (int which = 0; which < 3; which++) {
		EXPECT_EQ(SYS(setitimer, which, &it, NULL), 0);
		EXPECT_EQ(SYS(getitimer, which, &old), 0);
		EXPECT_EQ(old.it_interval.tv_sec, 5);
		EXPECT_EQ(old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100, 1);
		EXPECT_EQ(SYS(setitimer, which, NULL, &old), 0);
		EXPECT_EQ(SYS(getitimer, which, &old), 0);
		EXPECT_EQ(old.it_value.tv_sec + old.it_value.tv_usec, 0);
	}
	/* One that is stopped: the interval it had is gone. */
	for (int which = 0; which < 3; which++) {
		it = (struct itimerval){{5, 0}, {100, 0}};
		EXPECT_EQ(SYS(setitimer, which, &it, NULL), 0);
		EXPECT_EQ(SYS(setitimer, which, &zero, &old), 0);
		EXPECT_EQ(old.it_interval.tv_sec, 5);
		EXPECT_EQ(SYS(getitimer, which, &old), 0);
		EXPECT_EQ(old.it_value.tv_sec, 0);
		EXPECT_EQ(old.it_interval.tv_sec, 0);
		it.it_value.tv_sec = 0;
		EXPECT_EQ(SYS(setitimer, which, &it, NULL), 0);
		EXPECT_EQ(SYS(getitimer, which, &old), 0);
		EXPECT_EQ(old.it_interval.tv_sec, which == ITIMER_REAL ? 0 : 5);
		EXPECT_EQ(SYS(setitimer, which, &zero, NULL), 0);
	}
	EXPECT_EQ(SYS(alarm, 50), 0);
	EXPECT_EQ(SYS(getitimer, 0, &old), 0);
	EXPECT_EQ(old.it_value.tv_sec == 49 || old.it_value.tv_sec == 50, 1);
	EXPECT_EQ(SYS(alarm, 0), 50);
	EXPECT_EQ(SYS(alarm, 0), 0);
	catch (SIGVTALRM);
	catch (SIGPROF);
	it = (struct itimerval){{0, 0}, {0, 20000}};
	EXPECT_EQ(SYS(setitimer, 1, &it, NULL), 0);
	EXPECT_EQ(SYS(setitimer, 2, &it, NULL), 0);
	while (ticks < 2)
		;
	EXPECT_EQ(SYS(setitimer, 1, &zero, NULL), 0);
	catch (SIGALRM);
	it = (struct itimerval){{0, 10000}, {0, 10000}};
	EXPECT_EQ(SYS(setitimer, 0, &it, NULL), 0);
	while (ticks < 5)
		;
	EXPECT_EQ(SYS(setitimer, 0, &zero, &old), 0);
	EXPECT_EQ(old.it_interval.tv_usec, 10000);
}

struct kernel_sigevent {
	union sigval value;
	int signo, notify, tid, pad[11];
};

/* proves: timer_create timer_settime timer_gettime timer_getoverrun timer_delete */
static void
posix_timers(void)
{
	struct kernel_sigevent ev = {.signo = SIGUSR1, .notify = SIGEV_SIGNAL};
	struct itimerspec it = {{0, 0}, {100, 0}}, old;
	int id, t2;

	catch (SIGUSR1);
	EXPECT_ERR(SYS(timer_create, BAD_CLOCK, NULL, &id), EINVAL);
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC_RAW, NULL, &id), EOPNOTSUPP);
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC_COARSE, NULL, &id), EOPNOTSUPP);
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC, BAD_ADDR, &id), EFAULT);
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC, &ev, BAD_ADDR), EFAULT);
	ev.notify = 77;
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.notify = SIGEV_SIGNAL;
	ev.signo = 65;
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.signo = SIGUSR1;
	ev.notify = SIGEV_THREAD_ID;
	ev.tid = getppid();
	EXPECT_ERR(SYS(timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.tid = getpid();
	EXPECT_EQ(SYS(timer_create, CLOCK_MONOTONIC, &ev, &id), 0);
	ev.notify = SIGEV_NONE;
	EXPECT_EQ(SYS(timer_create, PROC_CPU, &ev, &t2), 0);
	EXPECT_EQ(SYS(timer_gettime, id, &old), 0);
	EXPECT_EQ(ns_of(&old.it_value), 0);
	EXPECT_EQ(SYS(timer_settime, id, 0, &it, NULL), 0);
	it.it_interval.tv_sec = 3;
	EXPECT_EQ(SYS(timer_settime, id, 0, &it, &old), 0);
	EXPECT_EQ(old.it_value.tv_sec, 99);
	EXPECT_EQ(SYS(timer_gettime, id, &old), 0);
	EXPECT_EQ(old.it_value.tv_sec, 99);
	EXPECT_EQ(old.it_interval.tv_sec, 3);
	it.it_value.tv_nsec = 1000000000;
	EXPECT_ERR(SYS(timer_settime, id, 0, &it, NULL), EINVAL);
	it.it_value.tv_nsec = 0;
	EXPECT_ERR(SYS(timer_settime, 9999, 0, &it, NULL), EINVAL);
	EXPECT_ERR(SYS(timer_settime, id, 0, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(timer_settime, id, 0, NULL, NULL), EINVAL);
	EXPECT_ERR(SYS(timer_gettime, 9999, &old), EINVAL);
	EXPECT_ERR(SYS(timer_gettime, id, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(timer_getoverrun, 9999), EINVAL);
	EXPECT_EQ(SYS(timer_getoverrun, id), 0);
	/* Ten milliseconds, and many of them while the signal waits. */
	CHECK_EQ(sighold(SIGUSR1), 0);
	it = (struct itimerspec){{0, 10000000}, {0, 10000000}};
	EXPECT_EQ(SYS(timer_settime, id, 0, &it, NULL), 0);
	sleep_ms(100);
	CHECK_EQ(sigrelse(SIGUSR1), 0);
	EXPECT_EQ(ticks >= 1, 1);
	EXPECT_EQ(SYS(timer_delete, id), 0);
	EXPECT_ERR(SYS(timer_delete, id), EINVAL);
	EXPECT_EQ(SYS(timer_delete, t2), 0);
	/* One that fires at a time that has passed fires at once. */
	EXPECT_EQ(SYS(timer_create, CLOCK_REALTIME, NULL, &id), 0);
	catch (SIGALRM);
	ticks = 0;
	it = (struct itimerspec){{0, 0}, {1000, 0}};
	EXPECT_EQ(SYS(timer_settime, id, ABSTIME, &it, NULL), 0);
	sleep_ms(20);
	EXPECT_EQ(ticks, 1);
}

/* proves: timerfd_create timerfd_settime timerfd_gettime */
static void
timers_as_descriptors(void)
{
	struct itimerspec it = {{0, 0}, {100, 0}}, old;
	int fd, plain = open("/dev/null", O_RDWR);
	uint64_t n;

	EXPECT_ERR(SYS(timerfd_create, BAD_CLOCK, 0), EINVAL);
	EXPECT_ERR(SYS(timerfd_create, PROC_CPU, 0), EINVAL);
	EXPECT_ERR(SYS(timerfd_create, CLOCK_MONOTONIC_RAW, 0), EINVAL);
	EXPECT_ERR(SYS(timerfd_create, CLOCK_MONOTONIC, 1), EINVAL);
	EXPECT_EQ(SYS(timerfd_create, CLOCK_BOOTTIME, 0) >= 0, 1);
	EXPECT_EQ(SYS(timerfd_create, CLOCK_REALTIME_ALARM, 0) >= 0, 1);
	fd = (int)SYS(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_ERR(read(fd, &n, 8), EAGAIN);
	EXPECT_ERR(read(fd, &n, 7), EINVAL);
	EXPECT_ERR(write(fd, &n, 8), EINVAL);
	EXPECT_EQ(SYS(timerfd_settime, fd, 0, &it, NULL), 0);
	EXPECT_EQ(SYS(timerfd_gettime, fd, &old), 0);
	EXPECT_EQ(old.it_value.tv_sec, 99);
	EXPECT_ERR(SYS(timerfd_settime, 99, 0, &it, NULL), EBADF);
	EXPECT_ERR(SYS(timerfd_settime, plain, 0, &it, NULL), EINVAL);
	EXPECT_ERR(SYS(timerfd_settime, fd, 4, &it, NULL), EINVAL);
	EXPECT_ERR(SYS(timerfd_settime, fd, 0, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(timerfd_gettime, 99, &old), EBADF);
	EXPECT_ERR(SYS(timerfd_gettime, plain, &old), EINVAL);
	EXPECT_ERR(SYS(timerfd_gettime, fd, BAD_ADDR), EFAULT);
	it.it_value.tv_nsec = -1;
	EXPECT_ERR(SYS(timerfd_settime, fd, 0, &it, NULL), EINVAL);
	it = (struct itimerspec){{0, 10000000}, {0, 1}};
	EXPECT_EQ(SYS(timerfd_settime, fd, 0, &it, &old), 0);
	EXPECT_EQ(old.it_value.tv_sec, 99);
	sleep_ms(55);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(n >= 4, 1);
	it = (struct itimerspec){{0, 0}, {1, 0}};
	EXPECT_EQ(SYS(timerfd_settime, fd, ABSTIME, &it, NULL), 0);
	sleep_ms(5);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(n, 1);
	it.it_value.tv_sec = 0;
	EXPECT_EQ(SYS(timerfd_settime, fd, 0, &it, NULL), 0);
	EXPECT_ERR(read(fd, &n, 8), EAGAIN);
}

static const struct test tests[] = {
    TEST(every_clock),
    TEST(setting_and_old_calls),
    TEST(sleeping),
    TEST(interval_timers),
    TEST(posix_timers),
    TEST(timers_as_descriptors),
};

RUN_TESTS(tests)
