/*
 * The FPU and vector state in signal frames: what a handler finds there, what it may change,
 * and what it may not. <asm/sigcontext.h>: struct _fpstate, then the XSAVE area.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <cpuid.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
	MXCSR = 24,
	XMM0 = 160,
	SOFTWARE = 464,
	XSTATE_BV = 512,
	XCOMP_BV = 520,
	HEADER_END = 576,
	MAGIC1 = 0x46505853,
	MAGIC2 = 0x46505845,
	INITIAL_MXCSR = 0x1f80,
};

struct software {
	uint32_t magic1, extended_size;
	uint64_t features;
	uint32_t xstate_size;
};

static void (*change)(ucontext_t *uc, uint8_t *fp);
static int count;

static bool
has_xsave(void)
{
	uint32_t a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	return c & bit_OSXSAVE;
}

static bool
has_avx(void)
{
	uint32_t a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	return c & bit_OSXSAVE && c & bit_AVX;
}

static void
on_signal(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	count++;
	if (change)
		change(uc, (uint8_t *)uc->uc_mcontext.fpregs);
}

static void
handle(int flags)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
}

static uint32_t
get_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void
set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

/* Sends itself the signal with `in` in XMM7, and tells what is there afterwards. */
static uint64_t
through_signal(uint64_t in)
{
	uint64_t out;
	long rax = SYS_kill, pid = getpid();

	__asm__ volatile("movq %[in], %%xmm7\n\tsyscall\n\tmovq %%xmm7, %[out]"
	                 : [out] "=r"(out), "+a"(rax)
	                 : [in] "r"(in), "D"(pid), "S"((long)SIGUSR1)
	                 : "rcx", "r11", "xmm7", "memory");
	return out;
}

/* The upper half of YMM7. */
__attribute__((target("avx"))) static uint64_t
upper_through_signal(uint64_t in)
{
	uint64_t out;
	long rax = SYS_kill, pid = getpid();

	__asm__ volatile(
	    "vmovq %[in], %%xmm6\n\tvinsertf128 $1, %%xmm6, %%ymm6, %%ymm7\n\t"
	    "syscall\n\tvextractf128 $1, %%ymm7, %%xmm6\n\tvmovq %%xmm6, %[out]"
	    : [out] "=r"(out), "+a"(rax)
	    : [in] "r"(in), "D"(pid), "S"((long)SIGUSR1)
	    : "rcx", "r11", "xmm6", "xmm7", "memory");
	return out;
}

static void
clobber_and_look(ucontext_t *uc, uint8_t *fp)
{
	uint64_t xmm7;
	struct software sw;
	uint32_t magic2;

	memcpy(&xmm7, fp + XMM0 + 7 * 16, 8);
	CHECK_EQ(xmm7, 0x1122334455667788);
	CHECK_EQ(uc->uc_flags & 1, has_xsave());
	if (!has_xsave())
		return;
	memcpy(&sw, fp + SOFTWARE, sizeof(sw));
	memcpy(&magic2, fp + sw.xstate_size, 4);
	CHECK_EQ(sw.magic1, MAGIC1);
	CHECK_EQ(magic2, MAGIC2);
	CHECK_EQ(sw.extended_size, sw.xstate_size + 4);
	CHECK_EQ(sw.features & 3, 3);
	CHECK_EQ(fp[XSTATE_BV] & 3, 3);
	for (int i = XCOMP_BV; i < HEADER_END; i++)
		CHECK_EQ(fp[i], 0);
	__asm__ volatile("pxor %%xmm7, %%xmm7" : : : "xmm7");
}

static void
frame_holds_the_registers(void)
{
	change = clobber_and_look;
	handle(0);
	CHECK_EQ(through_signal(0x1122334455667788), 0x1122334455667788);
	CHECK_EQ(count, 1);
}

/* The processor itself writes and reads the area, and refuses what is in its header. */
static void
stack_may_be_dirty_or_untouched(void)
{
	stack_t ss = {.ss_size = 65536};

	change = clobber_and_look;
	handle(SA_ONSTACK);
	for (int dirt = 0; dirt < 3; dirt++) {
		ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (dirt)
			memset(ss.ss_sp, dirt == 1 ? 0xff : 0x55, ss.ss_size);
		CHECK_EQ(sigaltstack(&ss, NULL), 0);
		CHECK_EQ(through_signal(0x1122334455667788), 0x1122334455667788);
	}
	CHECK_EQ(count, 3);
}

static void
set_xmm(ucontext_t *uc, uint8_t *fp)
{
	memset(fp + XMM0 + 7 * 16, 0x42, 8);
	fp[MXCSR + 1] = 0x7f; /* rounding towards zero */
}

static void
handler_may_change_it(void)
{
	change = set_xmm;
	handle(0);
	CHECK_EQ(through_signal(1), 0x4242424242424242);
	CHECK_EQ(get_mxcsr() & 0xff80, 0x7f80);
}

static void
no_frame(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = NULL;
}

static void
without_one_the_state_is_initial(void)
{
	change = no_frame;
	handle(0);
	set_mxcsr(0x7f80);
	CHECK_EQ(through_signal(5), 0);
	CHECK_EQ(get_mxcsr(), INITIAL_MXCSR);
}

static void
no_magic(ucontext_t *uc, uint8_t *fp)
{
	memset(fp + SOFTWARE, 0, 4);
}

static void
no_magic2(ucontext_t *uc, uint8_t *fp)
{
	struct software sw;

	memcpy(&sw, fp + SOFTWARE, sizeof(sw));
	memset(fp + sw.xstate_size, 0, 4);
}

static void
fewer_features(ucontext_t *uc, uint8_t *fp)
{
	fp[SOFTWARE + 8] &= 3;
}

static void
not_in_use(ucontext_t *uc, uint8_t *fp)
{
	fp[XSTATE_BV] &= 3;
}

/* An image of the x87 and SSE registers alone: the rest is initial. */
static void
parts_may_be_missing(void)
{
	static void (*const changes[])(ucontext_t *, uint8_t *) = {
	    no_magic, no_magic2, fewer_features, not_in_use};

	handle(0);
	if (!has_xsave())
		return;
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		change = NULL;
		if (has_avx())
			CHECK_EQ(upper_through_signal(0x7777), 0x7777);
		change = changes[i];
		CHECK_EQ(through_signal(0x9999), 0x9999);
		if (has_avx())
			CHECK_EQ(upper_through_signal(0x7777), 0);
	}
}

static void
bad_mxcsr(ucontext_t *uc, uint8_t *fp)
{
	memset(fp + MXCSR, 0xff, 4);
}

static void
bad_mxcsr_without_magic(ucontext_t *uc, uint8_t *fp)
{
	bad_mxcsr(uc, fp);
	no_magic(uc, fp);
}

static void
bad_header(ucontext_t *uc, uint8_t *fp)
{
	fp[XCOMP_BV + 15] = 1; /* of 16 bytes that are looked at */
}

static void
bad_features(ucontext_t *uc, uint8_t *fp)
{
	memset(fp + XSTATE_BV, 0xff, 8);
}

static void
compacted(ucontext_t *uc, uint8_t *fp)
{
	fp[XCOMP_BV + 7] = 0x80;
}

static void
crooked(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = (void *)(fp + 8);
}

static void
elsewhere(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = BAD_ADDR;
}

static void
in_the_kernel(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = KERNEL_ADDR;
}

static void
at_the_end(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = (void *)-64;
}

static void
beyond_user_space(ucontext_t *uc, uint8_t *fp)
{
	uc->uc_mcontext.fpregs = (void *)0x7ffffffff000;
}

/* QEMU's emulation takes any MXCSR. */
static bool
processor_checks_mxcsr(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		set_mxcsr(0xffffffff);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

static int
status_with(void (*fn)(ucontext_t *, uint8_t *))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		change = fn;
		handle(0);
		_exit(through_signal(3) == 3 ? 7 : 8);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void
nonsense_kills(void)
{
	static const struct {
		void (*fn)(ucontext_t *, uint8_t *);
		bool needs_xsave;
	} bad[] = {{bad_mxcsr, false}, {bad_mxcsr_without_magic, false},
	    {bad_header, true}, {bad_features, true}, {compacted, true}, {crooked, false},
	    {elsewhere, false}, {in_the_kernel, false}, {at_the_end, false},
	    {beyond_user_space, false}};

	for (unsigned i = processor_checks_mxcsr() ? 0 : 1;
	     i < sizeof(bad) / sizeof(bad[0]); i++) {
		int status = status_with(bad[i].fn);

		if (bad[i].needs_xsave && !has_xsave()) {
			EXPECT_EQ(status, 7 << 8);
			continue;
		}
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
			printf("row %u: status %#x\n", i, status);
		EXPECT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGSEGV);
	}
}

/* The place for the area ends where nothing may be written. */
static void
no_room_kills(void)
{
	for (int prot = 0; prot < 2; prot++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			stack_t ss = {.ss_sp = p, .ss_size = 61440 + 256};

			CHECK_EQ(
			    mprotect(p + 61440, 4096, prot ? PROT_READ : PROT_NONE), 0);
			CHECK_EQ(sigaltstack(&ss, NULL), 0);
			handle(SA_ONSTACK);
			raise(SIGUSR1);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGSEGV);
	}
}

static const struct test tests[] = {
    TEST(frame_holds_the_registers),
    TEST(stack_may_be_dirty_or_untouched),
    TEST(handler_may_change_it),
    TEST(without_one_the_state_is_initial),
    TEST(parts_may_be_missing),
    TEST(nonsense_kills),
    TEST(no_room_kills),
};

RUN_TESTS(tests)
