/*
 * The processor as programs see it: every exception becomes the right signal and kills only its
 * process; registers, FPU state and bases survive system calls, switches, signals and forks; the
 * ways back to user mode stand bad frames.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define asm_ __asm__ volatile

static volatile uint64_t zero;
static void *far_away = (void *)0x8000000000000000; /* not canonical */

/* ---- Exceptions ------------------------------------------------------------------------- */

static void
raise_de(void)
{
	asm_("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::
	         : "eax", "ecx", "edx");
}
static void
raise_db(void)
{
	asm_("pushfq; orq $0x100, (%%rsp); popfq; nop; nop" ::: "memory", "cc");
}
static void
raise_bp(void)
{
	asm_("int3");
}
static void
raise_ud(void)
{
	asm_("ud2");
}
static void
raise_gp_hlt(void)
{
	asm_("hlt");
}
static void
raise_gp_address(void)
{
	*(volatile char *)far_away = 1;
}
static void
raise_gp_cr0(void)
{
	asm_("mov %%cr0, %%rax" ::: "rax");
}
static void
raise_gp_io(void)
{
	asm_("outb %%al, $0x80" ::: "rax");
}
static void
raise_gp_msr(void)
{
	asm_("xor %%ecx, %%ecx; rdmsr" ::: "rax", "rcx", "rdx");
}
static void
raise_gp_selector(void)
{
	asm_("mov %0, %%es" ::"r"(0x10));
}
static void
raise_pf_null(void)
{
	(void)*(volatile char *)zero;
}
static void
raise_pf_kernel(void)
{
	(void)*(volatile char *)0xffffffff80200000;
}
static void
raise_pf_text(void)
{
	*(volatile char *)(uintptr_t)raise_de = 1;
}
static void
raise_mf(void)
{
	uint16_t unmasked = 0x37b;

	asm_("fninit; fldcw %0; fldz; fld1; fdivp; fwait" ::"m"(unmasked));
}

static char on_data_page[64] = {(char)0xc3};

static void
raise_pf_nx(void)
{
	void (*volatile fn)(void) = (void (*)(void))(uintptr_t)on_data_page;

	fn();
	asm_("");
}

#define INT(n) \
	static void raise_int_##n(void) \
	{ \
		asm_("int $" #n); \
	}
// clang-format off
INT(0) INT(1) INT(2) INT(4) INT(5) INT(6) INT(7) INT(8) INT(9) INT(10) INT(11) INT(12)
INT(13) INT(14) INT(15) INT(16) INT(17) INT(18) INT(19) INT(20) INT(21) INT(22) INT(23)
INT(24) INT(25) INT(26) INT(27) INT(28) INT(29) INT(30) INT(31) INT(32) INT(255)
    // clang-format on

    static const struct {
	const char *name;
	void (*raise)(void);
	int signo, code;
	int has_address; /* of the instruction (1), of the data (2) */
	uint64_t address;
} cases[] = {
#define CASE(fn, sig, ...) \
	{ \
#fn, fn, sig, __VA_ARGS__ \
	}
    CASE(raise_de, SIGFPE, FPE_INTDIV, 1, 0),
    CASE(raise_db, SIGTRAP, TRAP_TRACE, 1, 0),
    CASE(raise_bp, SIGTRAP, SI_KERNEL, 0, 0),
    CASE(raise_ud, SIGILL, ILL_ILLOPN, 1, 0),
    CASE(raise_gp_hlt, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_gp_address, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_gp_cr0, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_gp_io, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_gp_msr, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_gp_selector, SIGSEGV, SI_KERNEL, 0, 0),
    CASE(raise_pf_null, SIGSEGV, SEGV_MAPERR, 2, 0),
    CASE(raise_pf_kernel, SIGSEGV, SEGV_MAPERR, 2, 0xffffffff80200000),
    CASE(raise_pf_text, SIGSEGV, SEGV_ACCERR, 0, 0),
    CASE(raise_pf_nx, SIGSEGV, SEGV_ACCERR, 0, 0),
    CASE(raise_mf, SIGFPE, FPE_FLTDIV, 0, 0),
#define GATE(n) CASE(raise_int_##n, SIGSEGV, SI_KERNEL, 0, 0)
    GATE(0),
    GATE(1),
    GATE(2),
    GATE(4),
    GATE(5),
    GATE(6),
    GATE(7),
    GATE(8),
    GATE(9),
    GATE(10),
    GATE(11),
    GATE(12),
    GATE(13),
    GATE(14),
    GATE(15),
    GATE(16),
    GATE(17),
    GATE(18),
    GATE(19),
    GATE(20),
    GATE(21),
    GATE(22),
    GATE(23),
    GATE(24),
    GATE(25),
    GATE(26),
    GATE(27),
    GATE(28),
    GATE(29),
    GATE(30),
    GATE(31),
    GATE(32),
    GATE(255),
};

enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void
each_exception_kills_with_its_signal(void)
{
	for (int i = 0; i < NUM_CASES; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			cases[i].raise();
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != cases[i].signo)
			printf("%s: status %#x\n", cases[i].name, status);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), cases[i].signo);
	}
}

static sigjmp_buf escape;
static siginfo_t caught;
static uint64_t caught_rip;

static void catch (int signo, siginfo_t *info, void *context)
{
	caught = *info;
	caught_rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	siglongjmp(escape, 1);
}

static void
handle(int signo, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	CHECK_EQ(sigaction(signo, &sa, NULL), 0);
}

static void
handlers_see_code_and_address(void)
{
	for (int i = 0; i < NUM_CASES; i++) {
		memset(&caught, 0, sizeof(caught));
		handle(cases[i].signo, catch, 0);
		if (!sigsetjmp(escape, 1))
			cases[i].raise();
		if (caught.si_signo != cases[i].signo || caught.si_code != cases[i].code)
			printf("%s: signal %d, code %d\n", cases[i].name, caught.si_signo,
			    caught.si_code);
		CHECK_EQ(caught.si_signo, cases[i].signo);
		CHECK_EQ(caught.si_code, cases[i].code);
		if (cases[i].has_address == 1)
			CHECK_EQ(caught.si_addr, caught_rip);
		if (cases[i].has_address == 2)
			CHECK_EQ(caught.si_addr, cases[i].address);
	}
}

/* ---- Bad frames given to sigreturn ---------------------------------------------------------- */

static int bad_register;
static uint64_t bad_value;

static void
damage(int signo, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (signo == SIGSEGV)
		_exit(0);
	regs[bad_register] = (greg_t)bad_value;
}

static int
status_with_bad(int reg, uint64_t value)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		bad_register = reg;
		bad_value = value;
		handle(SIGUSR1, damage, 0);
		raise(SIGUSR1);
		_exit(7);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void
sigreturn_to_bad_addresses_kills(void)
{
	/* The last two: SYSRET and IRETQ must not fault in the kernel with these. */
	static const uint64_t bad[] = {
	    0, 0xffffffff80200000, 0x8000000000000000, 0x800000000000};

	for (unsigned i = 0; i < 4; i++) {
		int status = status_with_bad(REG_RIP, bad[i]);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
}

static void
sigreturn_to_bad_segments_kills(void)
{
	/* CSGSFS: CS in the low word, SS in the high one. */
	static const uint64_t bad[] = {0x002b000000000010, 0x002b000000000078,
	    0x002b00000000002b, 0x0010000000000033};

	for (unsigned i = 0; i < 4; i++) {
		int status = status_with_bad(REG_CSGSFS, bad[i]);

		if (!WIFSIGNALED(status))
			printf("csgsfs %#lx: status %#x\n", bad[i], status);
		CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 7);
	}
}

static void
sigreturn_cannot_raise_privilege(void)
{
	/* IOPL 3, NT, VM: only harmless flags may come back. */
	int status = status_with_bad(REG_EFL, 0x202 | 3 << 12);

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* ---- Registers ------------------------------------------------------------------------------- */

static void
system_calls_keep_registers(void)
{
	uint64_t bad = 0;

	asm_("mov $0x1111, %%rbx; mov $0x2222, %%r12; mov $0x3333, %%r13; mov $0x4444, "
	     "%%r14\n\t"
	     "mov $0x5555, %%r15; mov $0x6666, %%r8; mov $0x7777, %%r9; mov $0x8888, "
	     "%%r10\n\t"
	     "mov $0x9999, %%rdx; mov $0xaaaa, %%rsi; mov $0xbbbb, %%rdi; mov $39, "
	     "%%eax\n\t"
	     "syscall\n\t"
	     "xor %%eax, %%eax\n\t"
	     "cmp $0x1111, %%rbx; setne %%al; or %%rax, %0; cmp $0x2222, %%r12; setne "
	     "%%al; or %%rax, %0\n\t"
	     "cmp $0x3333, %%r13; setne %%al; or %%rax, %0; cmp $0x4444, %%r14; setne "
	     "%%al; or %%rax, %0\n\t"
	     "cmp $0x5555, %%r15; setne %%al; or %%rax, %0; cmp $0x6666, %%r8; setne "
	     "%%al; or %%rax, %0\n\t"
	     "cmp $0x7777, %%r9; setne %%al; or %%rax, %0; cmp $0x8888, %%r10; setne "
	     "%%al; or %%rax, %0\n\t"
	     "cmp $0x9999, %%rdx; setne %%al; or %%rax, %0; cmp $0xaaaa, %%rsi; setne "
	     "%%al; or %%rax, %0\n\t"
	     "cmp $0xbbbb, %%rdi; setne %%al; or %%rax, %0"
	     : "+m"(bad)
	     :
	     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	     "r13", "r14", "r15", "memory", "cc");
	CHECK_EQ(bad, 0);
}

/* The carry and direction flags survive a call, and do not reach the kernel's string code. */
static void
system_calls_keep_flags(void)
{
	uint64_t flags;

	asm_("std; stc; mov $39, %%eax; syscall; pushfq; pop %0; cld"
	     : "=r"(flags)
	     :
	     : "rax", "rcx", "r11", "memory", "cc");
	CHECK(flags & 1);
	CHECK(flags & 0x400);
}

static void
fill_vectors(uint64_t seed)
{
	asm_("movq %0, %%xmm0; movq %0, %%xmm7; movq %0, %%xmm15; movddup %%xmm15, "
	     "%%xmm15" ::"r"(seed)
	     : "xmm0", "xmm7", "xmm15");
}

static int
vectors_hold(uint64_t seed)
{
	uint64_t a, b, c[2];

	asm_("movq %%xmm0, %0; movq %%xmm7, %1; movdqu %%xmm15, %2"
	     : "=r"(a), "=r"(b), "=m"(c));
	return a == seed && b == seed && c[0] == seed && c[1] == seed;
}

static void
yield(void)
{
	uint64_t result = SYS_sched_yield;

	asm_("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}

static void
vectors_survive_switches(void)
{
	enum { PROCESSES = 4, ROUNDS = 2000 };
	pid_t pids[PROCESSES];
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		for (int n = 0; n < ROUNDS; n++) {
			uint64_t seed = (uint64_t)i << 32 | (uint64_t)n;

			fill_vectors(seed);
			yield();
			if (!vectors_hold(seed))
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(pids[i], &status, 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

/* The upper halves of the 256-bit registers, where the processor has them. */
static void
wide_vectors_survive_switches(void)
{
	uint64_t seed[4], now[4];
	pid_t pid;
	int status;

	if (!__builtin_cpu_supports("avx"))
		return;
	pid = fork();
	for (uint64_t n = 0; n < 2000; n++) {
		for (int i = 0; i < 4; i++)
			seed[i] = n * 4 + (uint64_t)i + (pid ? 0 : 1ull << 40);
		asm_("vmovdqu %0, %%ymm9" : : "m"(seed) : "xmm9");
		yield();
		asm_("vmovdqu %%ymm9, %0" : "=m"(now));
		CHECK(!memcmp(seed, now, sizeof(seed)));
	}
	if (!pid)
		_exit(0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
vectors_pass_to_the_child(void)
{
	uint64_t pid = SYS_fork;
	int status;

	fill_vectors(0x1234567890abcdef);
	asm_("syscall" : "+a"(pid) : : "rcx", "r11", "memory");
	if (!pid)
		_exit(vectors_hold(0x1234567890abcdef) ? 0 : 1);
	CHECK_EQ(waitpid((pid_t)pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
spoil(int signo)
{
	fill_vectors(0xdeaddead);
}

static void
vectors_survive_signals(void)
{
	uint64_t pid = (uint64_t)getpid(), call = SYS_kill;

	signal(SIGUSR2, spoil);
	fill_vectors(77);
	asm_("syscall" : "+a"(call) : "D"(pid), "S"(SIGUSR2) : "rcx", "r11", "memory");
	CHECK(vectors_hold(77));
}

/* A handler that returns where it came from, with the flags of a system call: SYSRET's path. */
static void
registers_survive_a_signal_in_a_loop(void)
{
	struct timespec us = {.tv_nsec = 100000};
	uint64_t sum = 0;
	pid_t parent = getpid(), pid;
	int status;

	signal(SIGUSR2, spoil);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 200; i++) {
			kill(parent, SIGUSR2);
			nanosleep(&us, NULL);
		}
		_exit(0);
	}
	for (uint64_t i = 1; i <= 20000000; i++) {
		sum += i;
		asm_("" : "+r"(sum));
	}
	CHECK_EQ(sum, 20000000ull * 20000001 / 2);
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
}

enum { ARCH_SET_GS = 0x1001, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 };

static void
bases_survive_switches(void)
{
	static uint64_t block[4] = {11, 22, 33, 44};
	uint64_t fs, gs, value;
	pid_t pid;
	int status;

	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, block), 0);
	pid = fork();
	for (int i = 0; i < 500; i++) {
		sched_yield();
		asm_("mov %%gs:16, %0" : "=r"(value));
		CHECK_EQ(value, 33);
	}
	if (pid == 0)
		_exit(0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs), 0);
	CHECK_EQ(gs, block);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
	asm_("mov %%fs:0, %0" : "=r"(value)); /* musl: the thread's own address */
	CHECK_EQ(fs, value);
}

/* A program may give GS any base where WRGSBASE exists, the kernel's half included. */
static void
a_kernel_like_gs_base_is_harmless(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		asm_("wrgsbase %0" ::"r"(0xffffffff80000000));
		for (int i = 0; i < 100000; i++)
			syscall(SYS_getpid);
		asm_("int3");
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	/* SIGILL: the processor has no WRGSBASE. */
	CHECK(WIFSIGNALED(status) &&
	      (WTERMSIG(status) == SIGTRAP || WTERMSIG(status) == SIGILL));
}

/*
 * The old doors into the kernel, from 64-bit code and from 32-bit code where a far jump leads
 * to any (Linux): SYSCALL there enters by an address of its own, MSR_CSTAR. Each may do a call
 * that does not exist; the instruction after it ends the program.
 */
static void
other_doors_lead_nowhere(void)
{
	/* mov $0x7fffffff, %eax; DOOR; ud2 */
	static const uint8_t doors[][2] = {
	    {0x0f, 0x05}, {0x0f, 0x34}, {0xcd, 0x80}, {0xcd, 0x81}};
	static const uint16_t selectors[] = {0x33, 0x23, 0x1b, 0x0b, 0x10, 0x08, 7, 0};
	uint8_t code[] = {0xb8, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0x0f, 0x0b};
	struct {
		uint32_t offset;
		uint16_t selector;
	} target;
	uint8_t *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	CHECK(low != MAP_FAILED);
	for (unsigned i = 0; i < 32; i++) {
		pid_t pid;
		int status;

		memcpy(code + 5, doors[i % 4], 2);
		memcpy(low, code, sizeof(code));
		target.offset = (uint32_t)(uintptr_t)low;
		target.selector = selectors[i / 4];
		pid = fork();
		if (pid == 0)
			asm_("ljmp *%0" ::"m"(target));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
		CHECK(WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGSEGV);
	}
}

/* With TF set, each instruction traps, the one after SYSCALL included. */
static volatile int steps;

static void
step(int signo)
{
	steps++;
}

static void
single_steps_pass_system_calls(void)
{
	signal(SIGTRAP, step);
	asm_("pushfq; orq $0x100, (%%rsp); popfq\n\t"
	     "mov $39, %%eax; syscall; nop; nop\n\t"
	     "pushfq; andq $~0x100, (%%rsp); popfq"
	     :
	     :
	     : "rax", "rcx", "r11", "memory", "cc");
	CHECK(steps >= 5 && steps <= 10);
}

static const struct test tests[] = {
    TEST(each_exception_kills_with_its_signal),
    TEST(handlers_see_code_and_address),
    TEST(sigreturn_to_bad_addresses_kills),
    TEST(sigreturn_to_bad_segments_kills),
    TEST(sigreturn_cannot_raise_privilege),
    TEST(system_calls_keep_registers),
    TEST(system_calls_keep_flags),
    TEST(vectors_survive_switches),
    TEST(wide_vectors_survive_switches),
    TEST(vectors_pass_to_the_child),
    TEST(vectors_survive_signals),
    TEST(registers_survive_a_signal_in_a_loop),
    TEST(bases_survive_switches),
    TEST(a_kernel_like_gs_base_is_harmless),
    TEST(other_doors_lead_nowhere),
    TEST(single_steps_pass_system_calls),
};

RUN_TESTS(tests)
