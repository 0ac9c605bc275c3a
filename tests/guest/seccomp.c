/* seccomp: strict and filters; every answer a filter can give, who may set one, who gets it. */
#define _GNU_SOURCE
#include "tests/guest/check.h"
#include "tests/guest/seccomp_util.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum {
	BPF_LD = 0,
	BPF_ALU = 4,
	BPF_JMP = 5,
	BPF_RET = 6,
	BPF_W = 0,
	BPF_B = 0x10,
	BPF_IMM = 0,
	BPF_ABS = 0x20,
	BPF_LEN = 0x80,
	BPF_K = 0,
	BPF_JA = 0,
	BPF_JEQ = 0x10,
	BPF_MOD = 0x90,
};
enum { SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL };
enum { SECCOMP_MODE_STRICT = 1, SECCOMP_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1 };
#define SECCOMP_RET_KILL_PROCESS 0x80000000u
#define SECCOMP_RET_KILL_THREAD  0u
#define SECCOMP_RET_TRAP         0x30000u
#define SECCOMP_RET_ERRNO        0x50000u
#define SECCOMP_RET_TRACE        0x7ff00000u
#define SECCOMP_RET_LOG          0x7ffc0000u
#define SECCOMP_RET_ALLOW        0x7fff0000u

#define INSN(code, jt, jf, k) \
	{ \
		(code), (jt), (jf), (k) \
	}
#define NR_IS(number, action) \
	INSN(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)), \
	    INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number), \
	    INSN(BPF_RET | BPF_K, 0, 0, action)
#define ALLOW INSN(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW)

static long
install(struct sock_filter *insns, unsigned short n, unsigned flags)
{
	struct sock_fprog prog = {n, insns};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* getppid gives `action`. */
static void
judge_getppid(unsigned action)
{
	struct sock_filter insns[] = {NR_IS(SYS_getppid, action), ALLOW};

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(install(insns, 4, 0), 0);
}

static int
status_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void
strict_getpid(void)
{
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0);
	if (write(1, "", 0) != 0)
		syscall(SYS_exit, 5);
	syscall(SYS_getpid);
	syscall(SYS_exit, 6);
}

static void
strict_exit(void)
{
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0);
	syscall(SYS_exit, 7);
}

/* proves: seccomp */
static void
strict_allows_four_calls(void)
{
	int status = status_of(strict_getpid);

	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
	status = status_of(strict_exit);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 7);
}

static void
errno_is_given(void)
{
	judge_getppid(SECCOMP_RET_ERRNO | EXDEV);
	CHECK_ERR(syscall(SYS_getppid), EXDEV);
	CHECK_EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	CHECK_ERR(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), EINVAL);
	/* Children have it too; of two answers the stricter counts. */
	if (fork() == 0)
		_exit(syscall(SYS_getppid) == -1 && errno == EXDEV ? 0 : 1);
	int status;
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
	judge_getppid(SECCOMP_RET_LOG);
	CHECK_ERR(syscall(SYS_getppid), EXDEV);
	judge_getppid(SECCOMP_RET_ERRNO | ENOTTY);
	CHECK_ERR(syscall(SYS_getppid), ENOTTY); /* the same kind: the newest's */
}

static void
large_errno_is_cut(void)
{
	judge_getppid(SECCOMP_RET_ERRNO | 0xffff);
	CHECK_ERR(syscall(SYS_getppid), 4095);
}

static void
errno_zero_is_success(void)
{
	judge_getppid(SECCOMP_RET_ERRNO);
	CHECK_EQ(syscall(SYS_getppid), 0);
}

static volatile siginfo_t got;

static void
note(int sig, siginfo_t *si, void *context)
{
	memcpy((void *)&got, si, sizeof(got));
}

static void
trap_sends_sigsys(void)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &sa, NULL);
	judge_getppid(SECCOMP_RET_TRAP | 77);
	CHECK_EQ(syscall(SYS_getppid), SYS_getppid);
	CHECK_EQ(got.si_signo, SIGSYS);
	CHECK_EQ(got.si_code, 1);
	CHECK_EQ(got.si_errno, 77);
	CHECK_EQ(got.si_syscall, SYS_getppid);
	CHECK_EQ(got.si_arch, 0xc000003e);
	CHECK(got.si_call_addr != NULL);
}

static void
call_killed_process(void)
{
	judge_getppid(SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
}

static void
call_killed_thread(void)
{
	judge_getppid(SECCOMP_RET_KILL_THREAD);
	syscall(SYS_getppid);
}

static void
call_unknown_action(void)
{
	judge_getppid(0x12340000);
	syscall(SYS_getppid);
}

static void *
call_getppid(void *arg)
{
	syscall(SYS_getppid);
	return NULL;
}

static void
call_thread_alone_dies(void)
{
	pthread_t t;

	judge_getppid(SECCOMP_RET_KILL_THREAD);
	if (pthread_create(&t, NULL, call_getppid, NULL) != 0)
		_exit(1);
	sleep_ms(100);
	_exit(9);
}

/* proves: seccomp */
static void
kills(void)
{
	int status = status_of(call_killed_process);

	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
	status = status_of(call_killed_thread);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
	status = status_of(call_unknown_action);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
	status = status_of(call_thread_alone_dies);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 9);
}

static void
trace_without_tracer_fails(void)
{
	judge_getppid(SECCOMP_RET_TRACE | 5);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

static void
trace_asks_the_tracer(void)
{
	unsigned long message;
	int status;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
		kill(getpid(), SIGSTOP);
		judge_getppid(SECCOMP_RET_TRACE | 5);
		_exit((int)syscall(SYS_getppid));
	}
	CHECK_EQ(stop_of(pid), SIGSTOP);
	CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP), 0);
	CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
	CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message), 0);
	CHECK_EQ(message, 5);
	CHECK_EQ(ptrace(PTRACE_POKEUSER, pid, 15 * 8, -1L), 0); /* no call */
	CHECK_EQ(ptrace(PTRACE_POKEUSER, pid, 10 * 8, 44L), 0);
	CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 44);
}

/* proves: seccomp */
static void
bad_programs_are_refused(void)
{
	struct sock_filter good[] = {ALLOW};
	struct sock_filter packet[] = {INSN(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0), ALLOW};
	struct sock_filter beyond[] = {INSN(BPF_LD | BPF_W | BPF_ABS, 0, 0, 64), ALLOW};
	struct sock_filter bent[] = {INSN(BPF_LD | BPF_W | BPF_ABS, 0, 0, 2), ALLOW};
	struct sock_filter open_end[] = {INSN(BPF_LD | BPF_IMM, 0, 0, 2)};
	struct sock_filter jump[] = {INSN(BPF_JMP | BPF_JA, 0, 0, 5), ALLOW};
	struct sock_filter mod[] = {INSN(BPF_ALU | BPF_MOD | BPF_K, 0, 0, 5), ALLOW};
	unsigned action = 0x12340000;

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_ERR(install(good, 0, 0), EINVAL);
	CHECK_ERR(install(packet, 2, 0), EINVAL);
	CHECK_ERR(install(beyond, 2, 0), EINVAL);
	CHECK_ERR(install(bent, 2, 0), EINVAL);
	CHECK_ERR(install(open_end, 1, 0), EINVAL);
	CHECK_ERR(install(jump, 2, 0), EINVAL);
	CHECK_ERR(install(mod, 2, 0), EINVAL);
	CHECK_ERR(install(good, 1, 1 << 20), EINVAL);
	CHECK_ERR(install((void *)16, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 16), EFAULT);
	CHECK_ERR(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), EOPNOTSUPP);
	action = SECCOMP_RET_TRAP;
	CHECK_EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
}

/* proves: seccomp */
static void
without_privilege_it_needs_no_new_privs(void)
{
	struct sock_filter good[] = {ALLOW};

	CHECK_EQ(syscall(SYS_setresuid, 1000, 1000, 1000), 0);
	CHECK_ERR(install(good, 1, 0), EACCES);
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(install(good, 1, 0), 0);
}

static void
arguments_are_seen(void)
{
	struct sock_filter insns[] = {
	    INSN(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)),
	    INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_close),
	    INSN(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0])),
	    INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0x7777),
	    INSN(BPF_LD | BPF_W | BPF_LEN, 0, 0, 0),
	    INSN(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOANO),
	    ALLOW,
	};

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(install(insns, 7, 0), 0);
	CHECK_ERR(syscall(SYS_close, 0x7777), ENOANO);
	CHECK_ERR(syscall(SYS_close, 0x7778), EBADF);
}

static volatile int stage;
static volatile long result;

static void *
spin_then_call(void *arg)
{
	stage = 1;
	while (stage != 2)
		;
	result = syscall(SYS_getppid) == -1 ? errno : 0;
	return NULL;
}

/* proves: seccomp */
static void
tsync_reaches_running_threads(void)
{
	struct sock_filter insns[] = {
	    NR_IS(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV), ALLOW};
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, spin_then_call, NULL), 0);
	while (stage != 1)
		sched_yield();
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(install(insns, 4, SECCOMP_FILTER_FLAG_TSYNC), 0);
	stage = 2;
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(result, EXDEV);
}

static void *
filter_of_its_own(void *arg)
{
	struct sock_filter insns[] = {ALLOW};

	CHECK_EQ(install(insns, 1, 0), 0);
	result = syscall(SYS_gettid);
	stage = 1;
	while (stage != 2)
		sched_yield();
	return NULL;
}

static void
tsync_names_the_thread_that_cannot(void)
{
	struct sock_filter insns[] = {ALLOW};
	pthread_t t;

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(pthread_create(&t, NULL, filter_of_its_own, NULL), 0);
	while (stage != 1)
		sched_yield();
	CHECK_EQ(install(insns, 1, SECCOMP_FILTER_FLAG_TSYNC), result);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
	stage = 2;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static const struct test tests[] = {
    TEST(strict_allows_four_calls),
    TEST(errno_is_given),
    TEST(large_errno_is_cut),
    TEST(errno_zero_is_success),
    TEST(trap_sends_sigsys),
    TEST(kills),
    TEST(trace_without_tracer_fails),
    TEST(trace_asks_the_tracer),
    TEST(bad_programs_are_refused),
    TEST(without_privilege_it_needs_no_new_privs),
    TEST(arguments_are_seen),
    TEST(tsync_reaches_running_threads),
    TEST(tsync_names_the_thread_that_cannot),
};

RUN_TESTS(tests)
