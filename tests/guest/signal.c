/* Signals: delivery, frames, masks, queues, restart of system calls, timers. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <ucontext.h>

static volatile int count, last;
static volatile siginfo_t seen;

static void
on_signal(int sig)
{
	count++;
	last = sig;
}

static void
on_info(int sig, siginfo_t *si, void *uc)
{
	count++;
	last = sig;
	seen = *si;
}

static void
handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

static void
handle_info(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | flags};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

static sigset_t
set_of(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	return s;
}

static void
handler_runs_with_siginfo(void)
{
	handle_info(SIGUSR1, 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(seen.si_pid, getpid());
	CHECK_EQ(seen.si_code, SI_USER);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(seen.si_code, SI_TKILL);
}

static void
registers_and_sse_survive(void)
{
	double x = 1.5, y = 2.25;
	unsigned long a = 0x1111, b = 0x2222, out_a, out_b;
	double out;

	handle(SIGUSR1, on_signal, 0);
	__asm__ volatile(
	    "movsd %[x], %%xmm9\n\tmovsd %[y], %%xmm15\n\t"
	    "mov %[a], %%r12\n\tmov %[b], %%r9\n\t"
	    "mov $39, %%eax\n\tsyscall\n\tmov %%eax, %%edi\n\tmov $10, %%esi\n\t"
	    "mov $62, %%eax\n\tsyscall\n\t"
	    "addsd %%xmm15, %%xmm9\n\tmovsd %%xmm9, %[out]\n\t"
	    "mov %%r12, %[oa]\n\tmov %%r9, %[ob]"
	    : [out] "=m"(out), [oa] "=m"(out_a), [ob] "=m"(out_b)
	    : [x] "m"(x), [y] "m"(y), [a] "m"(a), [b] "m"(b)
	    : "rax", "rcx", "r11", "rdi", "rsi", "r12", "r9", "xmm9", "xmm15", "memory");
	CHECK_EQ(count, 1);
	CHECK(out == 3.75);
	CHECK(out_a == a && out_b == b);
}

static void
clobber(int sig)
{
	__asm__ volatile("pxor %%xmm9, %%xmm9\n\tpxor %%xmm15, %%xmm15" ::
	                     : "xmm9", "xmm15");
	count++;
}

static void
handler_may_use_sse(void)
{
	double x = 7.5, out;

	handle(SIGUSR1, clobber, 0);
	__asm__ volatile(
	    "movsd %[x], %%xmm9\n\t"
	    "mov $39, %%eax\n\tsyscall\n\tmov %%eax, %%edi\n\tmov $10, %%esi\n\t"
	    "mov $62, %%eax\n\tsyscall\n\tmovsd %%xmm9, %[out]"
	    : [out] "=m"(out)
	    : [x] "m"(x)
	    : "rax", "rcx", "r11", "rdi", "rsi", "xmm9", "memory");
	CHECK(out == 7.5);
}

static void
change_context(int sig, siginfo_t *si, void *p)
{
	ucontext_t *uc = p;

	/* Skip the faulting two-byte instruction and give a result. */
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RAX] = 1234;
	seen = *si;
	count++;
}

static void
handler_may_change_the_context(void)
{
	struct sigaction sa = {.sa_sigaction = change_context, .sa_flags = SA_SIGINFO};
	long rax = 0;

	CHECK_EQ(sigaction(SIGILL, &sa, NULL), 0);
	__asm__ volatile("ud2" : "+a"(rax) : : "memory");
	CHECK_EQ(count, 1);
	CHECK_EQ(rax, 1234);
	CHECK_EQ(seen.si_code, ILL_ILLOPN);
}

static sigjmp_buf jump;

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
	seen = *si;
	siglongjmp(jump, sig);
}

static void
faults_tell_address_and_kind(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = 0;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	if (!sigsetjmp(jump, 1)) {
		*(volatile char *)0x10 = 1;
		CHECK(!"reached");
	}
	CHECK_EQ(seen.si_addr, 0x10);
	CHECK_EQ(seen.si_code, SEGV_MAPERR);
	if (!sigsetjmp(jump, 1)) {
		page[5] = 1;
		CHECK(!"reached");
	}
	CHECK_EQ(seen.si_addr, page + 5);
	CHECK_EQ(seen.si_code, SEGV_ACCERR);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile("xor %%edx, %%edx\n\tmov $1, %%eax\n\tidivl %0"
		                 :
		                 : "m"(zero)
		                 : "rax", "rdx");
		CHECK(!"reached");
	}
	CHECK_EQ(seen.si_signo, SIGFPE);
	CHECK_EQ(seen.si_code, FPE_INTDIV);
}

static void
blocked_signals_wait(void)
{
	sigset_t s = set_of(SIGUSR1), pending;

	handle(SIGUSR1, on_signal, 0);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQ(count, 0);
	sigpending(&pending);
	CHECK(sigismember(&pending, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	CHECK_EQ(count, 1);
}

static void
realtime_signals_queue_in_order(void)
{
	sigset_t s = set_of(SIGRTMIN + 1);
	siginfo_t si;

	sigaddset(&s, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &s, NULL);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(
		    sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 10 + i}),
		    0);
		CHECK_EQ(
		    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}), 0);
	}
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(sigwaitinfo(&s, &si), SIGRTMIN + 1);
		CHECK_EQ(si.si_value.sival_int, i);
		CHECK_EQ(si.si_code, SI_QUEUE);
	}
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(sigwaitinfo(&s, &si), SIGRTMIN + 2);
		CHECK_EQ(si.si_value.sival_int, 10 + i);
	}
}

static void
timedwait_times_out_and_waits(void)
{
	struct timespec zero = {0, 0}, some = {0, 30000000}, sec = {5, 0};
	sigset_t s = set_of(SIGCHLD);
	pid_t pid;

	sigprocmask(SIG_BLOCK, &s, NULL);
	CHECK_ERR(sigtimedwait(&s, NULL, &zero), EAGAIN);
	CHECK_ERR(sigtimedwait(&s, NULL, &some), EAGAIN);
	pid = fork();
	if (!pid)
		_exit(3);
	CHECK_EQ(sigtimedwait(&s, (siginfo_t *)&seen, &sec), SIGCHLD);
	CHECK_EQ(seen.si_pid, pid);
	CHECK_EQ(seen.si_status, 3);
	CHECK_EQ(seen.si_code, CLD_EXITED);
}

static void
mask_during_handler(int sig)
{
	sigset_t now;

	sigprocmask(SIG_BLOCK, NULL, &now);
	last = sigismember(&now, SIGUSR1) | sigismember(&now, SIGUSR2) << 1;
	count++;
}

static void
masks_during_handlers(void)
{
	struct sigaction sa = {.sa_handler = mask_during_handler};
	sigset_t now;

	sa.sa_mask = set_of(SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK_EQ(last, 3);
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
	sa.sa_flags = SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK_EQ(last, 0);
}

static void
reset_hand_is_once(void)
{
	struct sigaction sa;

	handle(SIGUSR1, on_signal, SA_RESETHAND);
	raise(SIGUSR1);
	CHECK_EQ(count, 1);
	sigaction(SIGUSR1, NULL, &sa);
	CHECK(sa.sa_handler == SIG_DFL);
}

static char *alt_low, *alt_high;
static volatile int was_on_alt;

static void
on_alt(int sig)
{
	char here;

	was_on_alt = &here > alt_low && &here < alt_high;
	count++;
}

static void
alternate_stack(void)
{
	stack_t ss = {.ss_size = 65536}, old;

	ss.ss_sp = alt_low = malloc(ss.ss_size);
	alt_high = alt_low + ss.ss_size;
	CHECK_EQ(sigaltstack(&ss, NULL), 0);
	handle(SIGUSR1, on_alt, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(count == 1 && was_on_alt);
	handle(SIGUSR1, on_alt, 0);
	raise(SIGUSR1);
	CHECK(count == 2 && !was_on_alt);
	CHECK_EQ(sigaltstack(NULL, &old), 0);
	CHECK(old.ss_sp == ss.ss_sp && old.ss_flags == 0);
	ss.ss_size = 100;
	CHECK_ERR(sigaltstack(&ss, NULL), ENOMEM);
}

static void
overflow_is_caught_on_the_alternate_stack(void)
{
	stack_t ss = {.ss_size = 65536};
	struct sigaction sa = {
	    .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	ss.ss_sp = malloc(ss.ss_size);
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile(
		    "mov %%rsp, %%r12\n\tmov $0x1000, %%rsp\n\tpush %%rax\n\t"
		    "mov %%r12, %%rsp" ::
		        : "r12", "memory");
		CHECK(!"reached");
	}
	CHECK_EQ(seen.si_signo, SIGSEGV);
}

static void
segv_without_stack_kills(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		handle(SIGSEGV, on_signal, 0);
		__asm__ volatile("mov $0x1000, %%rsp\n\tpush %%rax" ::: "memory");
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* A child that sends us `sig` after `ms`, and then writes a byte after another `ms`. */
static pid_t
poker(int sig, int ms, int fd)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		sleep_ms(ms);
		kill(parent, sig);
		sleep_ms(ms);
		write(fd, "x", 1);
		_exit(0);
	}
	return pid;
}

static void
read_is_interrupted_or_restarted(void)
{
	int fds[2];
	char c = 0;

	CHECK_EQ(pipe(fds), 0);
	handle(SIGUSR1, on_signal, 0);
	poker(SIGUSR1, 30, fds[1]);
	CHECK_ERR(read(fds[0], &c, 1), EINTR);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(count, 1);
	handle(SIGUSR1, on_signal, SA_RESTART);
	poker(SIGUSR1, 30, fds[1]);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(count, 2);
}

static void
poll_is_never_restarted_after_a_handler(void)
{
	int fds[2];
	struct pollfd p = {.events = POLLIN};

	CHECK_EQ(pipe(fds), 0);
	p.fd = fds[0];
	handle(SIGUSR1, on_signal, SA_RESTART);
	poker(SIGUSR1, 30, fds[1]);
	CHECK_ERR(poll(&p, 1, 5000), EINTR);
	CHECK_EQ(count, 1);
	CHECK_EQ(poll(&p, 1, 5000), 1);
}

static void
stop_restarts_sleeping_calls(void)
{
	struct timespec start, end, half = {0, 300000000};
	int status, fds[2];
	long ms;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		struct pollfd p = {fds[0], POLLIN, 0};
		int r;

		clock_gettime(CLOCK_MONOTONIC, &start);
		r = nanosleep(&half, NULL);
		clock_gettime(CLOCK_MONOTONIC, &end);
		ms = (end.tv_sec - start.tv_sec) * 1000 +
		     (end.tv_nsec - start.tv_nsec) / 1000000;
		CHECK_EQ(r, 0);
		CHECK(ms >= 299 && ms < 2000);
		CHECK_EQ(poll(&p, 1, 200), 0);
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		sleep_ms(100);
		kill(pid, SIGSTOP);
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		kill(pid, SIGCONT);
		sleep_ms(150);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
nanosleep_tells_the_rest(void)
{
	struct timespec two = {2, 0}, rem = {0, 0};

	handle(SIGALRM, on_signal, SA_RESTART);
	ualarm(50000, 0);
	CHECK_ERR(nanosleep(&two, &rem), EINTR);
	CHECK(rem.tv_sec == 1 && rem.tv_nsec > 500000000);
}

static void
suspend_and_pause(void)
{
	sigset_t s = set_of(SIGUSR1), none;
	int fds[2];

	pipe(fds);
	sigemptyset(&none);
	handle(SIGUSR1, on_signal, 0);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	CHECK_EQ(count, 0);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(count, 1);
	sigprocmask(SIG_BLOCK, NULL, &none);
	CHECK(sigismember(&none, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	poker(SIGUSR1, 30, fds[1]);
	CHECK_ERR(pause(), EINTR);
	CHECK_EQ(count, 2);
}

static void
ppoll_swaps_the_mask(void)
{
	sigset_t s = set_of(SIGUSR1), none;
	struct timespec ts = {1, 0};

	sigemptyset(&none);
	handle(SIGUSR1, on_signal, 0);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	CHECK_ERR(ppoll(NULL, 0, &ts, &none), EINTR);
	CHECK_EQ(count, 1);
	ts = (struct timespec){0, 1000000};
	CHECK_EQ(ppoll(NULL, 0, &ts, &none), 0);
	sigprocmask(SIG_BLOCK, NULL, &none);
	CHECK(sigismember(&none, SIGUSR1));
}

static void
interval_timers(void)
{
	struct itimerval it = {{0, 10000}, {0, 20000}}, old;

	handle(SIGALRM, on_signal, 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	while (count < 3)
		pause();
	memset(&it, 0, sizeof(it));
	CHECK_EQ(setitimer(ITIMER_REAL, &it, &old), 0);
	CHECK(old.it_interval.tv_usec == 10000 && old.it_value.tv_usec > 0);
	CHECK_EQ(alarm(100), 0);
	CHECK_EQ(alarm(0), 100);
	handle(SIGVTALRM, on_signal, 0);
	it.it_value.tv_usec = 30000;
	setitimer(ITIMER_VIRTUAL, &it, NULL);
	while (last != SIGVTALRM)
		;
}

static long
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static long
process_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Nobody else runs, so nothing but asking tells the kernel how far it is. */
static void
cpu_time_is_told_while_it_runs(void)
{
	struct itimerval it = {{0, 20000}, {0, 20000}};
	long begin = process_ns(), last_ns = begin, now, steps = 0;
	struct rusage ru = {0}, old;

	do {
		now = process_ns();
		CHECK(now >= last_ns);
		steps += now > last_ns;
		last_ns = now;
		old = ru;
		getrusage(RUSAGE_SELF, &ru);
		CHECK(!timercmp(&ru.ru_utime, &old.ru_utime, <));
		CHECK(!timercmp(&ru.ru_stime, &old.ru_stime, <));
	} while (now - begin < 50000000);
	CHECK(steps > 20);
	handle(SIGPROF, on_signal, 0);
	CHECK_EQ(setitimer(ITIMER_PROF, &it, NULL), 0);
	begin = process_ns();
	while (count < 3)
		CHECK_EQ(getitimer(ITIMER_PROF, &it), 0);
	CHECK(process_ns() - begin < 1000000000);
	memset(&it, 0, sizeof(it));
	CHECK_EQ(setitimer(ITIMER_PROF, &it, NULL), 0);
}

static void
a_short_life_costs_time(void)
{
	struct rusage ru;
	int status;
	pid_t pid = fork();

	if (!pid) {
		long end = clock_ns(CLOCK_MONOTONIC) + 60000000;

		while (clock_ns(CLOCK_MONOTONIC) < end)
			;
		_exit(0);
	}
	CHECK_EQ(wait4(pid, &status, 0, &ru), pid);
	CHECK(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec > 0 ||
	      ru.ru_utime.tv_usec + ru.ru_stime.tv_usec >= 10000);
}

static void
signals_by_descriptor(void)
{
	sigset_t s = set_of(SIGUSR1);
	struct signalfd_siginfo si;
	struct pollfd p = {.events = POLLIN};

	sigprocmask(SIG_BLOCK, &s, NULL);
	p.fd = signalfd(-1, &s, SFD_NONBLOCK);
	CHECK(p.fd >= 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_ERR(read(p.fd, &si, sizeof(si)), EAGAIN);
	if (!fork()) {
		sleep_ms(30);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(read(p.fd, &si, sizeof(si)), sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGUSR1);
}

static void
posix_timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec its = {{0, 10000000}, {0, 20000000}}, now;
	timer_t id;

	ev.sigev_value.sival_int = 77;
	handle_info(SIGRTMIN + 3, 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &ev, &id), 0);
	CHECK_EQ(timer_settime(id, 0, &its, NULL), 0);
	while (count < 3)
		pause();
	CHECK_EQ(seen.si_code, SI_TIMER);
	CHECK_EQ(seen.si_value.sival_int, 77);
	CHECK_EQ(timer_gettime(id, &now), 0);
	CHECK_EQ(now.it_interval.tv_nsec, 10000000);
	CHECK_EQ(timer_delete(id), 0);
	CHECK_ERR(syscall(SYS_timer_delete, 99), EINVAL);
}

static void
errors(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	CHECK_ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, 65, &sa, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, 1, NULL, 8), EFAULT);
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(999999, SIGTERM), ESRCH);
	CHECK_ERR(kill(INT_MIN, 0), ESRCH);
	CHECK_ERR(kill(INT_MIN + 1, 0), ESRCH);
	CHECK_ERR(syscall(SYS_tgkill, getpid(), 999999, 0), ESRCH);
	CHECK_EQ(kill(getpid(), 0), 0);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, 9, &sa, NULL, 8), EINVAL);
}

static void
bad_sigreturn_kills(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		__asm__ volatile("mov $0x1000, %%rsp\n\tmov $15, %%eax\n\tsyscall" ::
		                     : "memory");
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void
child_exit_sends_sigchld(void)
{
	int status;
	pid_t pid;

	handle_info(SIGCHLD, SA_NOCLDSTOP);
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		_exit(5);
	}
	while (waitpid(pid, &status, WUNTRACED) != pid)
		;
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(count, 0);
	kill(pid, SIGCONT);
	while (!count)
		pause();
	CHECK_EQ(seen.si_pid, pid);
	CHECK_EQ(seen.si_status, 5);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

static const struct test tests[] = {
    TEST(handler_runs_with_siginfo),
    TEST(registers_and_sse_survive),
    TEST(handler_may_use_sse),
    TEST(handler_may_change_the_context),
    TEST(faults_tell_address_and_kind),
    TEST(blocked_signals_wait),
    TEST(realtime_signals_queue_in_order),
    TEST(timedwait_times_out_and_waits),
    TEST(masks_during_handlers),
    TEST(reset_hand_is_once),
    TEST(alternate_stack),
    TEST(overflow_is_caught_on_the_alternate_stack),
    TEST(segv_without_stack_kills),
    TEST(read_is_interrupted_or_restarted),
    TEST(poll_is_never_restarted_after_a_handler),
    TEST(stop_restarts_sleeping_calls),
    TEST(nanosleep_tells_the_rest),
    TEST(suspend_and_pause),
    TEST(ppoll_swaps_the_mask),
    TEST(interval_timers),
    TEST(cpu_time_is_told_while_it_runs),
    TEST(a_short_life_costs_time),
    TEST(signals_by_descriptor),
    TEST(posix_timers),
    TEST(errors),
    TEST(bad_sigreturn_kills),
    TEST(child_exit_sends_sigchld),
};

RUN_TESTS(tests)
