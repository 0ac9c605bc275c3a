/* POSIX timers whose signals wait: what is counted, told and dropped, and /proc/PID/timers. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <stdbool.h>
#include <sys/signalfd.h>

enum { MS = 1000000 };

/* As the kernel has it. */
struct event {
	uint64_t value;
	int32_t signo, notify, tid;
	uint8_t pad[44];
};

static sigset_t
blocked(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	return set;
}

static int
make_timer(int signo, int notify, uint64_t value)
{
	struct event ev = {
	    .value = value, .signo = signo, .notify = notify, .tid = getpid()};
	int id;

	CHECK_EQ(SYS(timer_create, CLOCK_MONOTONIC, &ev, &id), 0);
	return id;
}

static void
set_timer(int id, long first_ns, long interval_ns)
{
	struct itimerspec s = {{0, interval_ns}, {0, first_ns}};

	CHECK_EQ(SYS(timer_settime, id, 0, &s, NULL), 0);
}

/* Takes one; 0: none waits. */
static int
take(const sigset_t *set, siginfo_t *info)
{
	struct timespec none = {0, 0};
	int sig = sigtimedwait(set, info, &none);

	return sig < 0 ? 0 : sig;
}

static bool
is_pending(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig) == 1;
}

static void
counted_until_taken(int signo, int notify)
{
	sigset_t set = blocked(signo, signo);
	int id = make_timer(signo, notify, 0x1234567890);
	siginfo_t info;
	int n;

	EXPECT_EQ(SYS(timer_getoverrun, id), 0);
	set_timer(id, 10 * MS, 10 * MS);
	sleep_ms(105);
	EXPECT_EQ(SYS(timer_getoverrun, id), 0); /* of the last one taken */
	CHECK_EQ(take(&set, &info), signo);
	CHECK_EQ(info.si_code, SI_TIMER);
	CHECK_EQ(info.si_timerid, id);
	CHECK_EQ((uint64_t)info.si_value.sival_ptr, 0x1234567890);
	n = info.si_overrun;
	CHECK(n >= 8 && n < 200);
	EXPECT_EQ(SYS(timer_getoverrun, id), n);
	EXPECT_EQ(take(&set, &info), 0); /* one stands for all */
	sleep_ms(35);
	CHECK_EQ(take(&set, &info), signo);
	CHECK(info.si_overrun >= 1 && info.si_overrun < 200);
	EXPECT_EQ(SYS(timer_getoverrun, id), info.si_overrun);
	/* A new setting counts anew. */
	set_timer(id, 10 * MS, 0);
	EXPECT_EQ(SYS(timer_getoverrun, id), 0);
	sleep_ms(30);
	CHECK_EQ(take(&set, &info), signo);
	EXPECT_EQ(info.si_overrun, 0);
	EXPECT_EQ(SYS(timer_getoverrun, id), 0);
	EXPECT_EQ(SYS(timer_delete, id), 0);
	EXPECT_ERR(SYS(timer_getoverrun, id), EINVAL);
}

/* proves: timer_getoverrun */
static void
expiries_are_counted(void)
{
	counted_until_taken(SIGALRM, SIGEV_SIGNAL);
	counted_until_taken(SIGRTMIN + 3, SIGEV_SIGNAL);
	counted_until_taken(SIGUSR1, SIGEV_SIGNAL | 4 /* SIGEV_THREAD_ID */);
}

/* A timer of a nanosecond: counted, and the machine goes on. */
static void
the_shortest_interval(void)
{
	sigset_t set = blocked(SIGUSR1, SIGUSR1);
	int id = make_timer(SIGUSR1, SIGEV_SIGNAL, 0);
	siginfo_t info;

	set_timer(id, 1, 1);
	sleep_ms(50);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	CHECK(info.si_overrun >= 10 * MS);
	EXPECT_EQ(SYS(timer_getoverrun, id), info.si_overrun);
	sleep_ms(5);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	CHECK(info.si_overrun >= 1 * MS);
	EXPECT_EQ(SYS(timer_delete, id), 0);
	EXPECT_EQ(take(&set, &info), 0);
}

/* Two timers with one signal have each their own, a standard signal or not. */
static void
each_timer_has_its_own(void)
{
	sigset_t set = blocked(SIGUSR1, SIGUSR1);
	int a = make_timer(SIGUSR1, SIGEV_SIGNAL, 1),
	    b = make_timer(SIGUSR1, SIGEV_SIGNAL, 2);
	siginfo_t info;

	set_timer(a, 1 * MS, 0);
	sleep_ms(10);
	set_timer(b, 1 * MS, 0);
	sleep_ms(10);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	EXPECT_EQ(info.si_value.sival_int, 1);
	EXPECT_EQ(is_pending(SIGUSR1), 1);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	EXPECT_EQ(info.si_value.sival_int, 2);
	EXPECT_EQ(is_pending(SIGUSR1), 0);
	/* Nor does one that was sent stand for it. */
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	set_timer(a, 1 * MS, 0);
	sleep_ms(10);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	EXPECT_EQ(info.si_code, SI_USER);
	CHECK_EQ(take(&set, &info), SIGUSR1);
	EXPECT_EQ(info.si_code, SI_TIMER);
}

/* What waits of a timer that is set anew, or is no more, does not come. */
static void
old_signals_do_not_come(void)
{
	sigset_t set = blocked(SIGUSR1, SIGRTMIN + 2);
	int a = make_timer(SIGUSR1, SIGEV_SIGNAL, 1),
	    b = make_timer(SIGRTMIN + 2, SIGEV_SIGNAL, 2);
	siginfo_t info;

	set_timer(a, 1 * MS, 1 * MS);
	set_timer(b, 1 * MS, 1 * MS);
	sleep_ms(10);
	EXPECT_EQ(is_pending(SIGUSR1), 1);
	EXPECT_EQ(is_pending(SIGRTMIN + 2), 1);
	set_timer(a, 0, 0);
	EXPECT_EQ(SYS(timer_delete, b), 0);
	EXPECT_EQ(take(&set, &info), 0);
	EXPECT_EQ(is_pending(SIGUSR1), 0);
	EXPECT_EQ(is_pending(SIGRTMIN + 2), 0);
}

/* Ignored and taken up again, it goes on. */
static void
ignored_for_a_time(void)
{
	sigset_t set;
	int id = make_timer(SIGUSR1, SIGEV_SIGNAL, 1);
	siginfo_t info;
	int sig = 0;

	signal(SIGUSR1, SIG_IGN);
	set_timer(id, 2 * MS, 2 * MS);
	sleep_ms(20);
	set = blocked(SIGUSR1, SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	for (int i = 0; i < 100 && !sig; i++) {
		sleep_ms(5);
		sig = take(&set, &info);
	}
	CHECK_EQ(sig, SIGUSR1);
	/* And thrown away while it waits. */
	sleep_ms(10);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR1, SIG_DFL);
	sig = 0;
	for (int i = 0; i < 100 && !sig; i++) {
		sleep_ms(5);
		sig = take(&set, &info);
	}
	CHECK_EQ(sig, SIGUSR1);
}

static volatile int handled, overruns;

static void
handler(int sig, siginfo_t *info, void *context)
{
	handled++;
	overruns = info->si_overrun;
}

static void
handlers_and_descriptors_are_told(void)
{
	struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigset_t set = blocked(SIGUSR1, SIGUSR2);
	int a = make_timer(SIGUSR1, SIGEV_SIGNAL, 1),
	    b = make_timer(SIGUSR2, SIGEV_SIGNAL, 2);
	struct signalfd_siginfo got;
	int fd;

	sigaction(SIGUSR1, &act, NULL);
	set_timer(a, 5 * MS, 5 * MS);
	set_timer(b, 5 * MS, 5 * MS);
	sleep_ms(60);
	CHECK_EQ(handled, 0);
	sigdelset(&set, SIGUSR2);
	CHECK_EQ(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	CHECK_EQ(handled, 1);
	CHECK(overruns >= 5 && overruns < 200);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	CHECK_EQ(read(fd, &got, sizeof(got)), sizeof(got));
	CHECK_EQ(got.ssi_signo, SIGUSR2);
	CHECK_EQ(got.ssi_code, SI_TIMER);
	CHECK_EQ((int)got.ssi_tid, b);
	CHECK(got.ssi_overrun >= 5 && got.ssi_overrun < 200);
	EXPECT_EQ(SYS(timer_getoverrun, b), got.ssi_overrun);
}

/* They go with the program that made them. */
static void
exec_ends_them(void)
{
	int id = make_timer(SIGUSR1, SIGEV_SIGNAL, 1);

	(void)blocked(SIGUSR1, SIGUSR1);
	set_timer(id, 1 * MS, 1 * MS);
	sleep_ms(10);
	CHECK_EQ(is_pending(SIGUSR1), 1);
	execl("/proc/self/exe", "overruns", "pending", NULL);
	CHECK(0);
}

static void
proc_tells_of_them(void)
{
	char text[1024] = "", want[1024];
	int fd, none, sig, thread;
	struct event ev = {.signo = 34, .notify = SIGEV_SIGNAL, .value = 0xabc};

	fd = open("/proc/self/timers", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, text, sizeof(text)), 0);
	close(fd);
	none = make_timer(0, SIGEV_NONE, 0);
	CHECK_EQ(SYS(timer_create, CLOCK_REALTIME, &ev, &sig), 0);
	thread = make_timer(SIGUSR1, SIGEV_SIGNAL | 4, ~0ull);
	snprintf(want, sizeof(want),
	    "ID: %d\nsignal: 10/ffffffffffffffff\nnotify: signal/tid.%d\nClockID: 1\n"
	    "ID: %d\nsignal: 34/0000000000000abc\nnotify: signal/pid.%d\nClockID: 0\n"
	    "ID: %d\nsignal: 0/0000000000000000\nnotify: none/pid.%d\nClockID: 1\n",
	    thread, getpid(), sig, getpid(), none, getpid());
	fd = open("/proc/self/timers", O_RDONLY);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	if (strcmp(text, want) != 0)
		printf("# %s# %s", text, want);
	CHECK(strcmp(text, want) == 0);
}

static const struct test tests[] = {
    TEST(expiries_are_counted),
    TEST(the_shortest_interval),
    TEST(each_timer_has_its_own),
    TEST(old_signals_do_not_come),
    TEST(ignored_for_a_time),
    TEST(handlers_and_descriptors_are_told),
    TEST(exec_ends_them),
    TEST(proc_tells_of_them),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "pending")) {
		sleep_ms(10);
		return is_pending(SIGUSR1);
	}
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
