/*
 * ptrace: stops as a tracer sees them, what it may read and change, and what it must not.
 * Debuggers live on exactly these answers. Long: tests of one call over one set of helpers.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

static long
trace(long request, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* The raw call stores what it peeks. */
static long
peek(pid_t pid, const volatile void *addr)
{
	long word = 0;

	CHECK_EQ(
	    trace(PTRACE_PEEKDATA, pid, (unsigned long)addr, (unsigned long)&word), 0);
	return word;
}

static void
expect_exit(pid_t pid, int code)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), code);
}

static void
expect_killed(pid_t pid, int sig)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), sig);
}

/* A child that asked to be traced and stopped itself, waited for. */
static pid_t
traced_child(void (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
		CHECK_EQ(trace(PTRACE_TRACEME, 0, 0, 0), 0);
		kill(getpid(), SIGSTOP); /* raise would change the mask around it */
		fn();
		_exit(0);
	}
	CHECK_EQ(stop_of(pid), SIGSTOP);
	return pid;
}

static pid_t
plain_child(void (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(0);
	}
	return pid;
}

static void
cont(pid_t pid, int sig)
{
	CHECK_EQ(trace(PTRACE_CONT, pid, 0, (unsigned long)sig), 0);
}

static void
do_nothing(void)
{
}

static void
sleep_for_ever(void)
{
	for (;;)
		pause();
}

/* ---- Stops and signals */

static void
raise_usr1(void)
{
	raise(SIGUSR1);
	_exit(3);
}

static void
signals_stop_before_delivery(void)
{
	pid_t pid = traced_child(raise_usr1);
	siginfo_t si;

	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
	CHECK_EQ(si.si_signo, SIGUSR1);
	CHECK_EQ(si.si_code, SI_TKILL);
	CHECK_EQ(si.si_pid, pid);
	cont(pid, 0); /* not delivered at all */
	expect_exit(pid, 3);

	pid = traced_child(raise_usr1);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	cont(pid, SIGUSR1);
	expect_killed(pid, SIGUSR1);

	pid = traced_child(raise_usr1);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	cont(pid, SIGTERM); /* another one */
	expect_killed(pid, SIGTERM);
}

static volatile int got_sig, got_code, got_value;

static void
note_signal(int sig, siginfo_t *si, void *context)
{
	got_sig = sig;
	got_code = si->si_code;
	got_value = si->si_value.sival_int;
}

static void
handle_usr1(void)
{
	struct sigaction sa = {.sa_sigaction = note_signal, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	_exit(got_sig == SIGUSR1 && got_code == SI_QUEUE && got_value == 77 ? 5 : 6);
}

static void
siginfo_can_be_changed(void)
{
	pid_t pid = traced_child(handle_usr1);
	siginfo_t si;

	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
	si.si_code = SI_QUEUE;
	si.si_value.sival_int = 77;
	CHECK_EQ(trace(PTRACE_SETSIGINFO, pid, 0, (unsigned long)&si), 0);
	cont(pid, SIGUSR1);
	expect_exit(pid, 5);
}

static void
ignored_signals_stop_too(void)
{
	pid_t pid;

	signal(SIGUSR1, SIG_IGN);
	pid = traced_child(raise_usr1);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	cont(pid, SIGUSR1);
	expect_exit(pid, 3);
	pid = traced_child(sleep_for_ever);
	cont(pid, 0);
	kill(pid, SIGCHLD);
	CHECK_EQ(stop_of(pid), SIGCHLD);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

/* proves: ptrace */
static void
attach_stops_and_detach_lets_go(void)
{
	pid_t pid = plain_child(sleep_for_ever);
	int status;

	CHECK_EQ(trace(PTRACE_ATTACH, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGSTOP);
	CHECK_ERR(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
	CHECK_EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
	CHECK_EQ(trace(PTRACE_DETACH, pid, 0, 0), 0);
	CHECK_ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
	kill(pid, SIGTERM);
	expect_killed(pid, SIGTERM);
}

/* proves: ptrace */
static void
requests_need_a_stop(void)
{
	pid_t pid = plain_child(sleep_for_ever);
	struct user_regs_struct regs;

	CHECK_ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH); /* not traced */
	CHECK_EQ(trace(PTRACE_SEIZE, pid, 0, 0), 0);
	CHECK_ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH); /* runs */
	CHECK_ERR(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), ESRCH);
	CHECK_EQ(trace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_ERR(trace(9999, pid, 0, 0), EIO);
	CHECK_ERR(trace(PTRACE_CONT, pid, 0, 65), EIO);
	CHECK_ERR(trace(PTRACE_CONT, 999999, 0, 0), ESRCH);
	CHECK_ERR(trace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	CHECK_ERR(trace(PTRACE_SEIZE, pid, 1, 0), EIO);
	CHECK_ERR(trace(PTRACE_SETOPTIONS, pid, 0, 1 << 8 << 4), EINVAL);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

static void
sigkill_ends_a_stopped_one(void)
{
	pid_t pid = traced_child(do_nothing);

	CHECK_EQ(kill(pid, SIGKILL), 0);
	expect_killed(pid, SIGKILL);
	pid = traced_child(do_nothing);
	CHECK_EQ(trace(PTRACE_KILL, pid, 0, 0), 0);
	expect_killed(pid, SIGKILL);
}

static void
group_stop_and_listen(void)
{
	pid_t pid = plain_child(sleep_for_ever);
	siginfo_t si;
	int status;

	CHECK_EQ(trace(PTRACE_SEIZE, pid, 0, 0), 0);
	kill(pid, SIGSTOP);
	CHECK_EQ(stop_of(pid), SIGSTOP); /* signal-delivery-stop */
	cont(pid, SIGSTOP);
	CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8); /* group-stop */
	CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
	CHECK_EQ(si.si_code, SIGSTOP | PTRACE_EVENT_STOP << 8);
	CHECK_EQ(trace(PTRACE_LISTEN, pid, 0, 0), 0);
	CHECK_ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
	CHECK_EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
	kill(pid, SIGCONT);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGCONT);
	cont(pid, SIGCONT);
	CHECK_EQ(trace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

static void
group_stop_without_seize(void)
{
	pid_t pid = traced_child(sleep_for_ever);
	siginfo_t si;

	cont(pid, SIGSTOP);
	CHECK_EQ(stop_of(pid), SIGSTOP); /* the whole process stopped */
	CHECK_ERR(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), EINVAL);
	cont(pid, 0); /* runs although its process is stopped */
	kill(pid, SIGUSR1);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

static void
real_parent_hears_after_the_tracer(void)
{
	pid_t pid = plain_child(sleep_for_ever), tracer;
	int fds[2], status;
	char c;

	CHECK_EQ(pipe(fds), 0);
	tracer = fork();
	if (!tracer) {
		CHECK_EQ(trace(PTRACE_SEIZE, pid, 0, 0), 0);
		kill(pid, SIGKILL);
		sleep_ms(100);
		CHECK_EQ(write(fds[1], "x", 1), 1);
		sleep_ms(100);
		expect_killed(pid, SIGKILL);
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(
	    waitpid(pid, &status, WNOHANG), 0); /* dead, but the tracer comes first */
	expect_killed(pid, SIGKILL);
	expect_exit(tracer, 0);
}

static void
tracer_death(void)
{
	pid_t pid = plain_child(sleep_for_ever), tracer;

	tracer = fork();
	if (!tracer) {
		CHECK_EQ(trace(PTRACE_ATTACH, pid, 0, 0), 0);
		CHECK_EQ(stop_of(pid), SIGSTOP);
		_exit(0);
	}
	expect_exit(tracer, 0);
	CHECK_EQ(kill(pid, 0), 0); /* it goes on */
	tracer = fork();
	if (!tracer) {
		CHECK_EQ(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL), 0);
		_exit(0);
	}
	expect_exit(tracer, 0);
	expect_killed(pid, SIGKILL);
}

static void
waitid_tells_traps(void)
{
	pid_t pid = traced_child(raise_usr1);
	siginfo_t si;

	cont(pid, 0);
	CHECK_EQ(waitid(P_PID, pid, &si, WSTOPPED | WEXITED | __WALL | WNOWAIT), 0);
	CHECK_EQ(waitid(P_PID, pid, &si, WSTOPPED | WEXITED | __WALL), 0);
	CHECK_EQ(si.si_code, CLD_TRAPPED);
	CHECK_EQ(si.si_status, SIGUSR1);
	CHECK_EQ(si.si_pid, pid);
	cont(pid, 0);
	expect_exit(pid, 3);
}

static void
peek_siginfo_and_masks(void)
{
	pid_t pid = traced_child(do_nothing);
	struct __ptrace_peeksiginfo_args args = {.off = 0, .flags = 1, .nr = 4};
	unsigned long mask, kill_mask = ~0ul;
	siginfo_t si[4];

	mask = 1ul << (SIGUSR1 - 1) | 1ul << (SIGUSR2 - 1);
	CHECK_EQ(trace(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&mask), 0);
	mask = 0;
	CHECK_EQ(trace(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask), 0);
	CHECK_EQ(mask, 1ul << (SIGUSR1 - 1) | 1ul << (SIGUSR2 - 1));
	CHECK_ERR(trace(PTRACE_GETSIGMASK, pid, 4, (unsigned long)&mask), EINVAL);
	kill(pid, SIGUSR1);
	kill(pid, SIGUSR2);
	CHECK_EQ(
	    trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, (unsigned long)si), 2);
	CHECK_EQ(si[0].si_signo, SIGUSR1);
	CHECK_EQ(si[1].si_signo, SIGUSR2);
	args.off = 1;
	CHECK_EQ(
	    trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, (unsigned long)si), 1);
	CHECK_EQ(si[0].si_signo, SIGUSR2);
	args.flags = 2;
	CHECK_ERR(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&args, (unsigned long)si),
	    EINVAL);
	CHECK_EQ(trace(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&kill_mask), 0);
	CHECK_EQ(trace(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask), 0);
	CHECK_EQ(mask, ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
	cont(pid, 0);
	expect_exit(pid, 0);
}

/* ---- Memory and registers */

static volatile long words[2] = {0x1122334455667788, 42};
static const long constant_memory = 7;
#define constant (*(const volatile long *)&constant_memory)

static void
exit_with_words(void)
{
	_exit((int)(words[1] + constant));
}

/* proves: ptrace */
static void
memory_is_read_and_written(void)
{
	pid_t pid = traced_child(exit_with_words);
	long word;

	CHECK_EQ(peek(pid, &words[0]), 0x1122334455667788);
	CHECK_EQ(trace(PTRACE_POKEDATA, pid, (unsigned long)&words[1], 50), 0);
	CHECK_EQ(peek(pid, &words[1]), 50);
	CHECK_EQ(words[1], 42);
	/* Memory the program itself may only read: it gets a copy. */
	CHECK_EQ(trace(PTRACE_POKETEXT, pid, (unsigned long)&constant, 9), 0);
	CHECK_EQ(peek(pid, &constant), 9);
	CHECK_EQ(constant, 7);
	CHECK_ERR(trace(PTRACE_PEEKDATA, pid, 16, (unsigned long)&word), EIO);
	CHECK_ERR(trace(PTRACE_POKEDATA, pid, 16, 0), EIO);
	CHECK_ERR(
	    trace(PTRACE_PEEKDATA, pid, 0xffffffff80000000, (unsigned long)&word), EIO);
	CHECK_ERR(trace(PTRACE_POKEDATA, pid, 0x7fffffffeff9, 0), EIO);
	cont(pid, 0);
	expect_exit(pid, 59);
}

static char *page;

static void
write_constant(void)
{
	*(volatile long *)&constant = 1;
}

static void
write_page(void)
{
	*page = 1;
}

/* Poking does not give the program the right to write. */
static void
poking_leaves_rights_alone(void)
{
	pid_t pid = traced_child(write_constant);

	CHECK_EQ(trace(PTRACE_POKEDATA, pid, (unsigned long)&constant, 9), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);

	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid = traced_child(write_page);
	CHECK_EQ(peek(pid, page), 0);
	CHECK_EQ(trace(PTRACE_POKEDATA, pid, (unsigned long)page, 9), 0);
	CHECK_EQ(peek(pid, page), 9);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);

	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = traced_child(do_nothing);
	CHECK_EQ(peek(pid, page), 0);
	CHECK_ERR(trace(PTRACE_POKEDATA, pid, (unsigned long)page, 9), EIO);
	cont(pid, 0);
	expect_exit(pid, 0);
}

static void
exit_with_rbx(void)
{
	__asm__ volatile("mov $11, %%rbx; mov $60, %%eax; int3; mov %%rbx, %%rdi; syscall"
	                 :
	                 :
	                 : "rax", "rbx", "rdi", "memory");
}

/* proves: ptrace */
static void
registers_are_read_and_written(void)
{
	pid_t pid = traced_child(exit_with_rbx);
	struct user_regs_struct regs, again;
	struct iovec iov = {&again, sizeof(again)};
	siginfo_t si;
	long word;

	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
	CHECK_EQ(si.si_code, 0x80); /* SI_KERNEL: INT3 */
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.rbx, 11);
	CHECK_EQ(regs.rax, 60);
	CHECK_EQ(regs.cs, 0x33);
	CHECK_EQ(regs.ss, 0x2b);
	CHECK_EQ(regs.orig_rax, -1);
	CHECK_EQ(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rbx),
	             (unsigned long)&word),
	    0);
	CHECK_EQ(word, 11);
	CHECK_EQ(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.fs_base),
	             (unsigned long)&word),
	    0);
	CHECK_EQ(word, regs.fs_base);
	CHECK(word != 0);
	regs.rbx = 12;
	CHECK_EQ(trace(PTRACE_SETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov), 0);
	CHECK_EQ(iov.iov_len, sizeof(again));
	CHECK_EQ(memcmp(&regs, &again, sizeof(regs)), 0);
	iov.iov_len = 16;
	CHECK_EQ(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov), 0);
	CHECK_EQ(iov.iov_len, 16);
	iov.iov_len = 12;
	CHECK_ERR(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov), EINVAL);
	CHECK_ERR(trace(PTRACE_GETREGSET, pid, 0x9999, (unsigned long)&iov), EINVAL);
	CHECK_EQ(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rbx), 13), 0);
	cont(pid, 0);
	expect_exit(pid, 13);
}

/* What no tracer may give a thread: each is refused, or does no harm. */
static void
forged_registers_do_no_harm(void)
{
	static const unsigned long kernel = 0xffffffff81000000, bent = 0x0000800000000000;
	pid_t pid = traced_child(do_nothing);
	struct user_regs_struct regs;
	unsigned long word = 0;

#define POKE(reg, value) \
	trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.reg), value)
	CHECK_ERR(POKE(cs, 0), EIO);
	CHECK_ERR(POKE(cs, 8), EIO);
	CHECK_ERR(POKE(ss, 0), EIO);
	CHECK_ERR(POKE(ss, 0x10), EIO);
	CHECK_ERR(POKE(ds, 0x10), EIO);
	CHECK_ERR(POKE(fs_base, kernel), EIO);
	CHECK_ERR(POKE(fs_base, bent), EIO);
	CHECK_ERR(POKE(gs_base, kernel), EIO);
	CHECK_ERR(trace(PTRACE_POKEUSER, pid, 3, 0), EIO);
	CHECK_ERR(trace(PTRACE_POKEUSER, pid, 928, 0), EIO);
	CHECK_ERR(trace(PTRACE_POKEUSER, pid, offsetof(struct user, u_tsize), 0), EIO);
	CHECK_ERR(trace(PTRACE_PEEKUSER, pid, 928, (unsigned long)&word), EIO);
	CHECK_ERR(trace(PTRACE_PEEKUSER, pid, -8ul, (unsigned long)&word), EIO);

	/* I/O privilege, interrupts, virtual 8086: not by a tracer. */
	CHECK_EQ(POKE(eflags, 0x23202), 0);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.eflags & 0x23200, 0x200);
	CHECK_EQ(POKE(eflags, 0), 0);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.eflags, 0x202);

	/* Addresses that cannot be returned to are the program's own fault. */
	CHECK_EQ(POKE(rip, bent), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	CHECK_EQ(POKE(rip, kernel), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	CHECK_EQ(POKE(rsp, bent), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);

	/* A selector that the processor refuses. */
	pid = traced_child(do_nothing);
	CHECK_EQ(POKE(cs, 0xfff3), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGSEGV);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
#undef POKE
}

static void
fpu_registers_are_read_and_written(void)
{
	static unsigned char image[16384], other[16384];
	pid_t pid = traced_child(do_nothing);
	struct user_fpregs_struct fp;
	struct iovec iov = {image, sizeof(image)};
	unsigned long bv;

	CHECK_EQ(trace(PTRACE_GETFPREGS, pid, 0, (unsigned long)&fp), 0);
	CHECK_EQ(fp.cwd, 0x37f);
	CHECK_EQ(fp.mxcsr, 0x1f80);
	fp.xmm_space[4] = 0x12345678;
	CHECK_EQ(trace(PTRACE_SETFPREGS, pid, 0, (unsigned long)&fp), 0);
	memset(&fp, 0, sizeof(fp));
	CHECK_EQ(trace(PTRACE_GETFPREGS, pid, 0, (unsigned long)&fp), 0);
	CHECK_EQ(fp.xmm_space[4], 0x12345678);
	fp.mxcsr = 0xffffffff;
	CHECK_ERR(trace(PTRACE_SETFPREGS, pid, 0, (unsigned long)&fp), EINVAL);
	if (trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov) == 0) {
		size_t size = iov.iov_len;

		CHECK(size >= 576);
		CHECK_EQ(*(unsigned *)(image + 160 + 16), 0x12345678);
		CHECK_EQ(
		    trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov), 0);
		memcpy(other, image, size);
		iov.iov_base = other;
		memcpy(&bv, other + 512, 8);
		bv |= 1ul << 62;
		memcpy(other + 512, &bv, 8); /* a part that does not exist */
		CHECK_ERR(
		    trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov),
		    EINVAL);
		memcpy(other, image, size);
		other[520 + 7] = 0x80; /* compacted */
		CHECK_ERR(
		    trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov),
		    EINVAL);
		memcpy(other, image, size);
		other[540] = 1; /* reserved */
		CHECK_ERR(
		    trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov),
		    EINVAL);
		memset(other, 0xff, size);
		CHECK_ERR(
		    trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov),
		    EINVAL);
		iov.iov_len = 100;
		CHECK(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov) ==
		      -1);
	}
	cont(pid, 0);
	expect_exit(pid, 0);
}

/* ---- Calls */

static void
three_calls(void)
{
	syscall(SYS_getppid);
	syscall(SYS_close, 12345);
	syscall(SYS_exit_group, 9);
}

/* proves: ptrace */
static void
calls_stop_at_both_ends(void)
{
	static const long nrs[] = {SYS_getppid, SYS_close};
	pid_t pid = traced_child(three_calls);
	struct __ptrace_syscall_info info;
	struct user_regs_struct regs;

	CHECK_EQ(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
		CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
		CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
		CHECK_EQ(regs.orig_rax, nrs[i]);
		CHECK_EQ(regs.rax, -ENOSYS);
		CHECK_EQ(trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
		             (unsigned long)&info),
		    80);
		CHECK_EQ(info.op, 1);
		CHECK_EQ(info.arch, 0xc000003e);
		CHECK_EQ(info.entry.nr, nrs[i]);
		CHECK_EQ(info.instruction_pointer, regs.rip);
		if (i)
			CHECK_EQ(info.entry.args[0], 12345);
		CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
		CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
		CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
		CHECK_EQ(regs.rax, i ? -EBADF : getpid());
		CHECK_EQ(trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
		             (unsigned long)&info),
		    33);
		CHECK_EQ(info.op, 2);
		CHECK_EQ(info.exit.rval, i ? -EBADF : getpid());
		CHECK_EQ(info.exit.is_error, i);
	}
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
	cont(pid, 0);
	expect_exit(pid, 9);
}

static void
exit_with_call(void)
{
	_exit((int)syscall(SYS_getppid));
}

static void
calls_can_be_replaced(void)
{
	pid_t pid = traced_child(exit_with_call);
	struct user_regs_struct regs;

	/* Another number: not done, and its result is the tracer's. */
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(
	    trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1ul), 0);
	CHECK_EQ(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 21), 0);
	cont(pid, 0);
	expect_exit(pid, 21);

	pid = traced_child(exit_with_call);
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(
	    trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), 100000), 0);
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.rax, -ENOSYS);
	CHECK_EQ(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 22), 0);
	cont(pid, 0);
	expect_exit(pid, 22);

	/* The tracer does them all itself. */
	pid = traced_child(exit_with_call);
	CHECK_EQ(trace(PTRACE_SYSEMU, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 23), 0);
	CHECK_EQ(trace(PTRACE_SYSEMU, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP); /* exit_group */
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.orig_rax, SYS_exit_group);
	CHECK_EQ(regs.rdi, 23);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

static void
nap(void)
{
	struct timespec ts = {30, 0};

	_exit(nanosleep(&ts, NULL) == -1 && errno == EINTR ? 4 : 5);
}

static void
interrupted_calls_show_their_restart(void)
{
	pid_t pid = traced_child(nap);
	struct user_regs_struct regs;

	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	sleep_ms(50);
	kill(pid, SIGURG);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.rax, -516); /* ERESTART_RESTARTBLOCK */
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGURG);
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.orig_rax, SYS_restart_syscall);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

/* ---- Events */

static void
fork_and_wait(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(7);
	waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status));
}

static void
forks_are_followed(void)
{
	pid_t pid = traced_child(fork_and_wait), child;
	unsigned long message;

	CHECK_EQ(
	    trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXIT), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_FORK << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	child = (pid_t)message;
	CHECK_EQ(stop_of(child), SIGSTOP);
	cont(pid, 0);
	cont(child, 0);
	CHECK_EQ(stop_of(child), SIGTRAP | PTRACE_EVENT_EXIT << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, child, 0, (unsigned long)&message), 0);
	CHECK_EQ(message, 7 << 8);
	cont(child, 0);
	expect_exit(child, 7);
	CHECK_EQ(stop_of(pid), SIGCHLD);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXIT << 8);
	cont(pid, 0);
	expect_exit(pid, 7);
}

static void
vfork_and_wait(void)
{
	int status;
	pid_t pid = vfork();

	if (!pid)
		_exit(8);
	waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status));
}

static void
vforks_tell_their_end(void)
{
	pid_t pid = traced_child(vfork_and_wait), child;
	unsigned long message;

	CHECK_EQ(trace(PTRACE_SETOPTIONS, pid, 0,
	             PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE),
	    0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_VFORK << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	child = (pid_t)message;
	CHECK_EQ(stop_of(child), SIGSTOP);
	cont(pid, 0);
	cont(child, 0);
	expect_exit(child, 8);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_VFORK_DONE << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	CHECK_EQ(message, child);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGCHLD);
	cont(pid, 0);
	expect_exit(pid, 8);
}

static void
exec_self(void)
{
	char *argv[] = {"/proc/self/exe", "no-such-test", NULL}, *envp[] = {NULL};

	execve("/proc/self/exe", argv, envp);
	_exit(99);
}

static void
exec_is_an_event(void)
{
	pid_t pid = traced_child(exec_self);
	struct user_regs_struct regs;
	unsigned long message;

	cont(pid, 0); /* without the option: a plain SIGTRAP */
	CHECK_EQ(stop_of(pid), SIGTRAP);
	cont(pid, 0);
	expect_exit(pid, 0);

	pid = traced_child(exec_self);
	CHECK_EQ(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	CHECK_EQ(message, pid);
	CHECK_EQ(trace(PTRACE_SYSCALL, pid, 0, 0), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP); /* the end of execve */
	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.orig_rax, SYS_execve);
	CHECK_EQ(regs.rax, 0);
	cont(pid, 0);
	expect_exit(pid, 0);
}

static void *
thread_body(void *arg)
{
	syscall(SYS_getppid);
	return arg;
}

static void
make_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, thread_body, NULL) != 0)
		_exit(1);
	pthread_join(t, NULL);
	_exit(6);
}

static void
threads_are_followed_and_waited_for(void)
{
	pid_t pid = plain_child(sleep_for_ever), tid;
	unsigned long message;

	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
	pid = traced_child(make_thread);
	CHECK_EQ(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_CLONE << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	tid = (pid_t)message;
	CHECK_EQ(stop_of(tid), SIGSTOP);
	cont(pid, 0);
	cont(tid, 0);
	expect_exit(tid, 0);
	expect_exit(pid, 6);
}

static void
seized_children_begin_with_an_event_stop(void)
{
	pid_t pid = traced_child(fork_and_wait), child;
	unsigned long message;

	CHECK_EQ(trace(PTRACE_DETACH, pid, 0, SIGSTOP), 0);
	CHECK_EQ(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK), 0);
	CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
	kill(pid, SIGCONT);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGCONT);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_FORK << 8);
	CHECK_EQ(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message), 0);
	child = (pid_t)message;
	CHECK_EQ(stop_of(child), SIGTRAP | PTRACE_EVENT_STOP << 8);
	cont(child, 0);
	cont(pid, 0);
	expect_exit(child, 7);
	CHECK_EQ(stop_of(pid), SIGCHLD);
	cont(pid, 0);
	expect_exit(pid, 7);
}

/* ---- Steps and breakpoints */

extern char step_at[], step_2[], step_call[], step_after[], step_end[];

static void
steps(void)
{
	__asm__ volatile("int3\n"
	                 ".globl step_at, step_2, step_call, step_after, step_end\n"
	                 "step_at: nop\n"
	                 "step_2: mov $110, %%eax\n"
	                 "step_call: syscall\n"
	                 "step_after: nop\n"
	                 "step_end: nop\n"
	                 :
	                 :
	                 : "rax", "rcx", "r11", "memory");
	_exit(1);
}

static unsigned long
rip_of(pid_t pid)
{
	struct user_regs_struct regs;

	CHECK_EQ(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&regs), 0);
	CHECK_EQ(regs.eflags & 0x100, 0); /* the tracer's own flag does not show */
	return regs.rip;
}

static void
single_steps(void)
{
	const unsigned long at[] = {(unsigned long)step_2, (unsigned long)step_call,
	    (unsigned long)step_after, (unsigned long)step_end};
	const int codes[] = {TRAP_TRACE, TRAP_TRACE, TRAP_BRKPT, TRAP_TRACE};
	pid_t pid = traced_child(steps);
	siginfo_t si;

	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(rip_of(pid), (unsigned long)step_at);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(trace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
		CHECK_EQ(stop_of(pid), SIGTRAP);
		CHECK_EQ(rip_of(pid), at[i]);
		CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
		CHECK_EQ(si.si_code, codes[i]);
	}
	cont(pid, 0);
	expect_exit(pid, 1);
}

__attribute__((noinline)) static void
step_handler(int sig)
{
	__asm__ volatile("nop");
}

static void
step_into(void)
{
	signal(SIGUSR1, step_handler);
	raise(SIGUSR1);
	_exit(2);
}

static void
a_step_enters_the_handler(void)
{
	pid_t pid = traced_child(step_into);

	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGUSR1);
	CHECK_EQ(trace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1), 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(rip_of(pid), (unsigned long)step_handler);
	cont(pid, 0);
	expect_exit(pid, 2);
}

static void
change_words(void)
{
	words[0] = 1;
	words[1] = 2;
	(void)words[0];
	step_handler(0);
	_exit(3);
}

static long
poke_debug(pid_t pid, int n, unsigned long value)
{
	return trace(PTRACE_POKEUSER, pid,
	    offsetof(struct user, u_debugreg) + (unsigned long)n * 8, value);
}

static void
hardware_breakpoints(void)
{
	pid_t pid = traced_child(change_words), other = traced_child(change_words);
	unsigned long status;
	siginfo_t si;

	CHECK_EQ(poke_debug(pid, 0, (unsigned long)&words[1]), 0);
	CHECK_EQ(poke_debug(pid, 1, (unsigned long)step_handler), 0);
	/* 0: writes of 8 bytes; 1: execution. */
	CHECK_EQ(poke_debug(pid, 7, 0x5 | 0x90000), 0);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&si), 0);
	CHECK_EQ(si.si_code, 4); /* TRAP_HWBKPT */
	CHECK_EQ(peek(pid, &words[1]), 2);
	CHECK_EQ(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[6]),
	             (unsigned long)&status),
	    0);
	CHECK_EQ(status & 0xf, 1);
	cont(pid, 0);
	CHECK_EQ(stop_of(pid), SIGTRAP);
	CHECK_EQ(rip_of(pid), (unsigned long)step_handler);
	CHECK_EQ(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[6]),
	             (unsigned long)&status),
	    0);
	CHECK_EQ(status & 0xf, 2);
	cont(pid, 0);
	expect_exit(pid, 3);
	cont(other, 0); /* they are one thread's */
	expect_exit(other, 3);
}

static void
read_into_words(void)
{
	int fd = open("/dev/zero", O_RDONLY);

	__asm__ volatile("mov %0, %%ss" : : "r"(0x2b));
	CHECK_EQ(read(fd, (void *)words, sizeof(words)), sizeof(words));
	_exit(words[1] == 0 ? 4 : 5);
}

/* A call that writes watched memory, and breakpoints where only the kernel could be hit. */
static void
breakpoints_and_the_kernel(void)
{
	pid_t pid = traced_child(read_into_words);
	int status;

	CHECK_ERR(poke_debug(pid, 0, 0xffffffff81000000), EINVAL);
	CHECK_ERR(poke_debug(pid, 0, 0xffff888000000000), EINVAL);
	CHECK_EQ(poke_debug(pid, 0, (unsigned long)&words[1]), 0);
	CHECK_EQ(poke_debug(pid, 7, 0x1 | 0x90000), 0);
	cont(pid, 0);
	CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	while (
	    WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) { /* Linux may tell it */
		cont(pid, 0);
		CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	}
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 4);
}

/* ---- Who may */

static void
become(uid_t uid)
{
	CHECK_EQ(syscall(SYS_setresgid, uid, uid, uid), 0);
	CHECK_EQ(syscall(SYS_setresuid, uid, uid, uid), 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
}

static void
sleep_as_1000(void)
{
	become(1000);
	sleep_for_ever();
}

static void
sleep_as_1001(void)
{
	become(1001);
	sleep_for_ever();
}

static void
sleep_undumpable(void)
{
	become(1000);
	prctl(PR_SET_DUMPABLE, 0);
	sleep_for_ever();
}

/* proves: ptrace */
static void
others_processes_are_not_traced(void)
{
	pid_t mine = plain_child(sleep_as_1000), other = plain_child(sleep_as_1001),
	      hidden = plain_child(sleep_undumpable), roots = plain_child(sleep_for_ever);
	struct iovec iov = {(void *)words, 8};
	pid_t judge;

	sleep_ms(100);
	judge = fork();
	if (!judge) {
		become(1000);
		CHECK_ERR(trace(PTRACE_ATTACH, roots, 0, 0), EPERM);
		CHECK_ERR(trace(PTRACE_SEIZE, roots, 0, 0), EPERM);
		CHECK_ERR(trace(PTRACE_ATTACH, other, 0, 0), EPERM);
		CHECK_ERR(trace(PTRACE_ATTACH, hidden, 0, 0), EPERM);
		CHECK_ERR(trace(PTRACE_ATTACH, 1, 0, 0), EPERM);
		CHECK_ERR(process_vm_readv(roots, &iov, 1, &iov, 1, 0), EPERM);
		CHECK_EQ(trace(PTRACE_SEIZE, mine, 0, 0), 0);
		_exit(0);
	}
	expect_exit(judge, 0);
	kill(mine, SIGKILL);
	kill(other, SIGKILL);
	kill(hidden, SIGKILL);
	kill(roots, SIGKILL);
	while (wait(NULL) > 0)
		;
}

/* A copy of this program that is set-user-id root, in a folder of that user's. */
static void
make_setuid_copy(const char *path)
{
	int from = open("/proc/self/exe", O_RDONLY),
	    to = open(path, O_CREAT | O_WRONLY, 0755);
	char buf[4096];
	ssize_t n;

	CHECK(from >= 0);
	CHECK(to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		CHECK_EQ(write(to, buf, (size_t)n), n);
	CHECK_EQ(fchmod(to, 04755), 0);
	close(from);
	close(to);
}

static int
effective_uid(pid_t pid)
{
	char path[64], text[4096], *line;
	int fd, real, effective;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	text[read(fd, text, sizeof(text) - 1)] = 0;
	close(fd);
	line = strstr(text, "Uid:");
	CHECK(line);
	CHECK_EQ(sscanf(line, "Uid: %d %d", &real, &effective), 2);
	return effective;
}

static char setuid_path[] = "/tmp/ptrace-setuid";

static void
exec_setuid(void)
{
	char *argv[] = {setuid_path, "sleep", NULL}, *envp[] = {NULL};

	execve(setuid_path, argv, envp);
	_exit(99);
}

/* A program that gains rights by its set-id bit does not while somebody without them traces
 * it; and one that has gained them cannot be traced. */
static void
set_id_programs_are_safe(void)
{
	pid_t judge;

	unlink(setuid_path);
	make_setuid_copy(setuid_path);
	judge = fork();
	if (!judge) {
		pid_t pid;

		become(1000);
		pid = traced_child(exec_setuid);
		CHECK_EQ(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC), 0);
		cont(pid, 0);
		CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
		CHECK_EQ(effective_uid(pid), 1000);
		kill(pid, SIGKILL);
		expect_killed(pid, SIGKILL);

		pid = plain_child(exec_setuid);
		for (int i = 0; i < 100 && effective_uid(pid) != 0; i++)
			sleep_ms(10);
		CHECK_EQ(effective_uid(pid), 0);
		CHECK_ERR(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
		CHECK_ERR(trace(PTRACE_SEIZE, pid, 0, 0), EPERM);
		kill(pid, SIGKILL);
		_exit(0);
	}
	expect_exit(judge, 0);
	unlink(setuid_path);
}

/* ---- Other processes' memory */

static void
memory_of_others_by_vector(void)
{
	pid_t pid = plain_child(sleep_for_ever);
	long here[2] = {0, 0};
	struct iovec local = {here, sizeof(here)},
	             remote = {(void *)words, sizeof(words)};
	struct iovec bad = {(void *)16, 8}, two[2] = {remote, bad};

	CHECK_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), sizeof(words));
	CHECK_EQ(here[0], 0x1122334455667788);
	CHECK_EQ(here[1], 42);
	here[1] = 43;
	CHECK_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), sizeof(words));
	here[1] = 0;
	CHECK_EQ(process_vm_readv(pid, &local, 1, two, 2, 0), sizeof(words));
	CHECK_EQ(here[1], 43);
	CHECK_ERR(process_vm_readv(pid, &local, 1, &bad, 1, 0), EFAULT);
	remote.iov_base = (void *)&constant;
	remote.iov_len = 8;
	CHECK_ERR(process_vm_writev(pid, &local, 1, &remote, 1, 0), EFAULT);
	CHECK_ERR(process_vm_readv(pid, &local, 1, &remote, 1, 1), EINVAL);
	CHECK_ERR(process_vm_readv(pid, &local, 1025, &remote, 1, 0), EINVAL);
	CHECK_ERR(process_vm_readv(999999, &local, 1, &remote, 1, 0), ESRCH);
	CHECK_EQ(process_vm_readv(pid, &local, 0, &remote, 1, 0), 0);
	kill(pid, SIGKILL);
	expect_killed(pid, SIGKILL);
}

static void
proc_shows_the_tracer(void)
{
	pid_t pid = traced_child(do_nothing);
	char path[64], text[4096], *line;
	long word;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	text[read(fd, text, sizeof(text) - 1)] = 0;
	CHECK(strstr(text, "State:\tt (tracing stop)"));
	line = strstr(text, "TracerPid:");
	CHECK(line);
	CHECK_EQ(atoi(line + 10), getpid());
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &word, 8, (off_t)&words[1]), 8);
	CHECK_EQ(word, 42);
	word = 5;
	CHECK_EQ(pwrite(fd, &word, 8, (off_t)&constant), 8);
	CHECK_EQ(peek(pid, &constant), 5);
	CHECK_ERR(pread(fd, &word, 8, 16), EIO);
	CHECK_EQ(lseek(fd, (off_t)&words[0], SEEK_SET), (off_t)&words[0]);
	CHECK_EQ(read(fd, &word, 8), 8);
	CHECK_EQ(word, 0x1122334455667788);
	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text)) >= 16 * 10);
	cont(pid, 0);
	expect_exit(pid, 0);
}

static const struct test tests[] = {
    TEST(signals_stop_before_delivery),
    TEST(siginfo_can_be_changed),
    TEST(ignored_signals_stop_too),
    TEST(attach_stops_and_detach_lets_go),
    TEST(requests_need_a_stop),
    TEST(sigkill_ends_a_stopped_one),
    TEST(group_stop_and_listen),
    TEST(group_stop_without_seize),
    TEST(real_parent_hears_after_the_tracer),
    TEST(tracer_death),
    TEST(waitid_tells_traps),
    TEST(peek_siginfo_and_masks),
    TEST(memory_is_read_and_written),
    TEST(poking_leaves_rights_alone),
    TEST(registers_are_read_and_written),
    TEST(forged_registers_do_no_harm),
    TEST(fpu_registers_are_read_and_written),
    TEST(calls_stop_at_both_ends),
    TEST(calls_can_be_replaced),
    TEST(interrupted_calls_show_their_restart),
    TEST(forks_are_followed),
    TEST(vforks_tell_their_end),
    TEST(exec_is_an_event),
    TEST(threads_are_followed_and_waited_for),
    TEST(seized_children_begin_with_an_event_stop),
    TEST(single_steps),
    TEST(a_step_enters_the_handler),
    TEST(hardware_breakpoints),
    TEST(breakpoints_and_the_kernel),
    TEST(others_processes_are_not_traced),
    TEST(set_id_programs_are_safe),
    TEST(memory_of_others_by_vector),
    TEST(proc_shows_the_tracer),
};

/* As the set-id program it only waits to be looked at. */
__attribute__((constructor)) static void
sleep_if_asked(void)
{
	char text[256] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n > 6 && !strcmp(text + n - 6, "sleep")) {
		alarm(5);
		pause();
	}
}

RUN_TESTS(tests)
