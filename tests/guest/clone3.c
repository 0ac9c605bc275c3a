/* clone3 and clone beyond what C libraries ask for: chosen numbers, sizes of later versions, stacks
 * and thread pointers that lead nowhere, and whom kill's broadcast reaches. Needs root. */
#define _GNU_SOURCE
#include "tests/guest/caps_util.h"

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { VERSION_0 = 64, VERSION_1 = 80, VERSION_2 = 88, ME = 1000 };

#define NEW_CGROUP  0x200000000ull
#define NO_HANDLERS 0x100000000ull
#define USER_END    ((1ull << 47) - 4096)

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

/* A child that ends at once, waited for: its number, or -1. */
static long
clone_as(struct args a, size_t size)
{
	uint8_t space[4200] = {0};
	int status, error;
	long pid;

	memcpy(space, &a, sizeof(a));
	pid = SYS(clone3, space, size);
	if (pid == 0)
		_exit(7);
	error = errno;
	if (pid > 0) {
		CHECK_EQ(waitpid((pid_t)pid, &status, __WALL), pid);
		CHECK_EQ(status, 7 << 8);
	}
	errno = error;
	return pid;
}

#define ARGS(...) ((struct args){.exit_signal = SIGCHLD, __VA_ARGS__})
#define TIDS(n)   .set_tid = (uint64_t)tids, .set_tid_size = n

static int32_t tids[40];

/* A number that nobody has: a child had it, and is gone. */
static int32_t
free_tid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* proves: clone3 */
static void
numbers_are_chosen(void)
{
	tids[0] = free_tid();
	EXPECT_EQ(clone_as(ARGS(TIDS(1)), VERSION_2), tids[0]);
	EXPECT_EQ(clone_as(ARGS(TIDS(1)), VERSION_1), tids[0]); /* it is free again */
	/* Older structures have it not: half of it is none. */
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), 72), EINVAL);
	/* One number for each name space there is, and there is one. */
	EXPECT_ERR(clone_as(ARGS(TIDS(2)), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(TIDS(32)), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(TIDS(33)), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(TIDS(0)), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(.set_tid_size = 1), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(.set_tid = 16, .set_tid_size = 1), VERSION_2), EFAULT);
	tids[0] = getpid();
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EEXIST);
	tids[0] = 1;
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EEXIST);
	tids[0] = 0;
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EINVAL);
	tids[0] = -1;
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EINVAL);
	tids[0] = 1 << 30;
	EXPECT_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EINVAL);
}

static void
choosing_needs_a_capability(void)
{
	static const int enough[] = {CAP_SYS_ADMIN, 40 /* CHECKPOINT_RESTORE */};
	int32_t tid = free_tid();

	for (unsigned i = 0; i < 3; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			prctl(PR_SET_KEEPCAPS, 1);
			CHECK_EQ(setresuid(ME, ME, ME), 0);
			set_caps(i < 2 ? 1ull << enough[i] : 1ull << CAP_KILL);
			tids[0] = tid;
			if (i < 2)
				CHECK_EQ(clone_as(ARGS(TIDS(1)), VERSION_2), tid);
			else
				CHECK_ERR(clone_as(ARGS(TIDS(1)), VERSION_2), EPERM);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
}

static int32_t thread_tid;

static char thread_stack[16384] __attribute__((aligned(16)));

/* The rest of a new thread's life, which has no frame to return through. */
static _Noreturn void
thread_main(void)
{
	long tid = SYS(gettid);

	__atomic_store_n(&thread_tid, (int32_t)tid, __ATOMIC_SEQ_CST);
	SYS(exit, 0);
	__builtin_unreachable();
}

static long
clone3_onto_stack(struct args *a)
{
	register long result __asm__("rax") = SYS_clone3;

	__asm__ volatile("syscall\n"
	                 "test %%rax, %%rax\n"
	                 "jnz 1f\n"
	                 "xor %%ebp, %%ebp\n"
	                 "call *%[fn]\n"
	                 "1:\n"
	                 : "+a"(result)
	                 : "D"(a), "S"(sizeof(*a)), [fn] "r"(thread_main)
	                 : "rcx", "r11", "memory");
	return result;
}

/* proves: clone3 */
static void
threads_have_chosen_numbers(void)
{
	struct args a = {.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
	                          CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS,
	    .stack = (uint64_t)thread_stack,
	    .stack_size = sizeof(thread_stack),
	    .tls = (uint64_t)__builtin_thread_pointer(),
	    TIDS(1)};

	tids[0] = free_tid();
	CHECK_EQ(clone3_onto_stack(&a), tids[0]);
	for (int i = 0; i < 2000 && !__atomic_load_n(&thread_tid, __ATOMIC_SEQ_CST); i++)
		sleep_ms(1);
	CHECK_EQ(thread_tid, tids[0]);
	tids[0] = getpid();
	CHECK_EQ(clone3_onto_stack(&a), -EEXIST);
}

/* proves: clone3 */
static void
structures_of_any_version(void)
{
	struct {
		struct args a;
		uint8_t more[9];
	} big = {.a = ARGS(0)};
	long pid;

	EXPECT_EQ(clone_as(ARGS(0), VERSION_0) > 0, 1);
	EXPECT_EQ(clone_as(ARGS(0), 72) > 0, 1);
	EXPECT_EQ(clone_as(ARGS(0), VERSION_1) > 0, 1);
	EXPECT_EQ(clone_as(ARGS(0), 4096) > 0, 1);
	EXPECT_ERR(clone_as(ARGS(0), 4097), E2BIG);
	big.more[8] = 1;
	EXPECT_ERR(SYS(clone3, &big, sizeof(big)), E2BIG);
	EXPECT_ERR(SYS(clone3, &big, (size_t)-1), E2BIG);
	pid = SYS(clone3, &big, sizeof(big.a) + 8);
	if (pid == 0)
		_exit(0);
	CHECK_EQ(waitpid((pid_t)pid, NULL, 0), pid);
	/* Control groups: what is not asked for is not looked at. */
	EXPECT_EQ(clone_as(ARGS(.cgroup = 5), VERSION_2) > 0, 1);
	EXPECT_ERR(clone_as(ARGS(.flags = NEW_CGROUP, .cgroup = 99), VERSION_2), EBADF);
	EXPECT_ERR(clone_as(ARGS(.flags = NEW_CGROUP, .cgroup = 0), VERSION_2), EBADF);
	EXPECT_ERR(clone_as(ARGS(.flags = NEW_CGROUP, .cgroup = 0), VERSION_1), EINVAL);
	EXPECT_ERR(
	    clone_as(ARGS(.flags = NEW_CGROUP, .cgroup = 1ull << 40), VERSION_2), EINVAL);
	EXPECT_ERR(clone_as(ARGS(.flags = NEW_CGROUP << 1), VERSION_2), EINVAL);
	EXPECT_EQ(clone_as(ARGS(.flags = (uint32_t)CLONE_IO), VERSION_2) > 0, 1);
}

/* proves: clone3 clone */
static void
stacks_and_thread_pointers_are_users(void)
{
	static const uint64_t bad[] = {
	    USER_END, 1ull << 47, 1ull << 63, 0xffff800000000000ull, ~0ull};
	uint64_t me = (uint64_t)__builtin_thread_pointer();

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_ERR(
		    clone_as(ARGS(.flags = CLONE_SETTLS, .tls = bad[i] + 4096 * !i),
		        VERSION_2),
		    EPERM);
		EXPECT_ERR(
		    SYS(clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, bad[i] + 4096 * !i),
		    EPERM);
		EXPECT_ERR(clone_as(ARGS(.stack = bad[i], .stack_size = 8192), VERSION_2),
		    EINVAL);
	}
	EXPECT_EQ(clone_as(ARGS(.flags = CLONE_SETTLS, .tls = me), VERSION_2) > 0, 1);
}

static void
handler(int sig)
{
}

/* proves: clone3 */
static void
handlers_and_descriptors(void)
{
	struct args a = ARGS(.flags = NO_HANDLERS);
	int status, pidfd = -1;
	siginfo_t info;
	struct pollfd p;
	long pid;

	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	pid = SYS(clone3, &a, sizeof(a));
	if (pid == 0) {
		struct sigaction now;

		CHECK_EQ(sigaction(SIGUSR1, NULL, &now), 0);
		CHECK(now.sa_handler == SIG_DFL);
		CHECK_EQ(sigaction(SIGUSR2, NULL, &now), 0);
		CHECK(now.sa_handler == SIG_IGN);
		_exit(0);
	}
	CHECK_EQ(waitpid((pid_t)pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	a.flags = CLONE_PIDFD | CLONE_PARENT_SETTID;
	a.pidfd = (uint64_t)&pidfd;
	a.parent_tid = (uint64_t)tids;
	pid = SYS(clone3, &a, sizeof(a));
	if (pid == 0)
		_exit(5);
	CHECK_EQ(tids[0], pid);
	CHECK(pidfd > 2);
	CHECK_EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	p = (struct pollfd){.fd = pidfd, .events = POLLIN};
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK_EQ(waitid((idtype_t)3 /* P_PIDFD */, pidfd, &info, WEXITED), 0);
	CHECK_EQ(info.si_status, 5);
	/* Each needs a place of its own for its number. */
	a.parent_tid = a.pidfd;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.flags = CLONE_PIDFD;
	a.pidfd = 16;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EFAULT);
}

/* proves: kill */
static void
broadcasts_do_not_tell_of_those_out_of_reach(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK_EQ(setresuid(54321, 54321, 54321), 0);
		CHECK_EQ(kill(-1, 0), 0);
		CHECK_ERR(kill(1, 0), EPERM);
		CHECK_ERR(kill(-1, 65), EINVAL);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/*
 * SIGCONT may be sent to all of one's session, whoever they are: looked up while they come and
 * go. Others' processes are reaped by their parent meanwhile.
 */
static void
sigcont_to_those_that_go(void)
{
	volatile int32_t *last =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec end, now;
	pid_t sender = fork();
	int status;

	if (sender == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK_EQ(setresuid(ME, ME, ME), 0);
		for (;;)
			if (*last)
				CHECK(kill(*last, SIGCONT) == 0 || errno == ESRCH ||
				      errno == EPERM);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 2;
	do {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		*last = pid;
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	CHECK_EQ(waitpid(sender, &status, WNOHANG), 0);
	kill(sender, SIGKILL);
	CHECK_EQ(waitpid(sender, &status, 0), sender);
}

static const struct test tests[] = {
    TEST(numbers_are_chosen),
    TEST(choosing_needs_a_capability),
    TEST(threads_have_chosen_numbers),
    TEST(structures_of_any_version),
    TEST(stacks_and_thread_pointers_are_users),
    TEST(handlers_and_descriptors),
    TEST(broadcasts_do_not_tell_of_those_out_of_reach),
    TEST(sigcont_to_those_that_go),
};

RUN_TESTS(tests)
