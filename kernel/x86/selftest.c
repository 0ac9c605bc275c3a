/*
 * Raises exceptions in the kernel, one a test, to see each reported. Where the processor
 * cannot be made to raise one in kernel mode, or an emulator does not, the test enters
 * the vector's stub by INT, or, as INT pushes no error code, with a frame as the
 * processor would leave it.
 */
#include "kernel/selftest.h"

#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/descriptors.h"
#include "kernel/x86/ex_table.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu_ops.h"
#include "kernel/x86/trap.h"

extern const uint8_t trap_stubs[];

/* An address that is not canonical: bits 63..47 differ. */
#define NON_CANONICAL 0x8000000000000000ull

/* Enters the stub of `vector` as the processor does for an exception with an error code.
 */
#define RAISE_WITH_ERROR(vector, error) \
	__asm__ volatile("movq %%rsp, %%rax; andq $-16, %%rsp\n\t" \
	                 "movl %%ss, %%ecx; pushq %%rcx; pushq %%rax; pushfq\n\t" \
	                 "movl %%cs, %%ecx; pushq %%rcx\n\t" \
	                 "leaq 1f(%%rip), %%rcx; pushq %%rcx; pushq %1\n\t" \
	                 "jmp *%0\n1:" \
	                 : \
	                 : "r"(trap_stubs + 16 * (vector)), "i"(error) \
	                 : "rax", "rcx", "memory")

static uint8_t data_page[64] = {0xc3};

#define INT(vector) __asm__ volatile("int %0" : : "i"(vector) : "memory")

SELFTEST_FATAL(de)
{
	__asm__ volatile("xorl %%edx, %%edx; movl $1, %%eax; movl $0, %%ecx; divl %%ecx"
	                 :
	                 :
	                 : "eax", "ecx", "edx");
}

SELFTEST_FATAL(db)
{
	INT(TRAP_DB);
}

SELFTEST_FATAL(bp)
{
	__asm__ volatile("int3");
}

SELFTEST_FATAL(of)
{
	INT(TRAP_OF);
}

SELFTEST_FATAL(br)
{
	INT(TRAP_BR);
}

SELFTEST_FATAL(ud)
{
	__asm__ volatile("ud2");
}

/* What the debug build checks by itself. */
SELFTEST_FATAL(ubsan)
{
	volatile unsigned shift = 40;

	data_page[0] = (uint8_t)(1u << shift);
}

SELFTEST_FATAL(nm)
{
	write_cr0(read_cr0() | CR0_TS);
	fninit();
}

/* The stack pointer leads nowhere: neither the exception nor the page fault can be
 * delivered. */
SELFTEST_FATAL(df)
{
	__asm__ volatile("movq %0, %%rsp; ud2" : : "r"(NON_CANONICAL));
}

SELFTEST_FATAL(fpu_seg)
{
	INT(TRAP_FPU_SEG);
}

SELFTEST_FATAL(ts)
{
	RAISE_WITH_ERROR(TRAP_TS, TSS_SELECTOR);
}

SELFTEST_FATAL(np)
{
	RAISE_WITH_ERROR(TRAP_NP, USER32_CS & ~3);
}

SELFTEST_FATAL(ss)
{
	RAISE_WITH_ERROR(TRAP_SS, 0);
}

SELFTEST_FATAL(gp)
{
	*(volatile uint64_t *)NON_CANONICAL = 0;
}

SELFTEST_FATAL(gp_selector)
{
	__asm__ volatile("movw %w0, %%ds" : : "r"(0x78)); /* beyond the GDT */
}

SELFTEST_FATAL(pf_null)
{
	(void)*(volatile uint32_t *)16;
}

SELFTEST_FATAL(pf_null_call)
{
	void (*volatile fn)(void) = NULL;

	fn();
	__asm__ volatile(""); /* not a tail call */
}

SELFTEST_FATAL(pf_read)
{
	(void)*(volatile uint32_t *)0xffffffffc0000000ull;
}

SELFTEST_FATAL(pf_user)
{
	*(volatile uint32_t *)0x400000 = 1;
}

SELFTEST_FATAL(pf_write_text)
{
	*(volatile uint8_t *)trap_stubs = 0x90;
}

SELFTEST_FATAL(pf_nx)
{
	void (*volatile fn)(void) = (void (*)(void))data_page;

	fn();
	__asm__ volatile(""); /* not a tail call */
}

SELFTEST_FATAL(trap_15)
{
	INT(TRAP_15);
}

SELFTEST_FATAL(mf)
{
	uint16_t unmasked = 0x37b;

	__asm__ volatile("fninit; fldcw %0; fldz; fld1; fdivp; fwait" : : "m"(unmasked));
}

SELFTEST_FATAL(ac)
{
	RAISE_WITH_ERROR(TRAP_AC, 0);
}

SELFTEST_FATAL(mc)
{
	INT(TRAP_MC);
}

SELFTEST_FATAL(xm)
{
	INT(TRAP_XM);
}

SELFTEST_FATAL(ve)
{
	INT(TRAP_VE);
}

SELFTEST_FATAL(cp)
{
	RAISE_WITH_ERROR(TRAP_CP, 1);
}

SELFTEST_FATAL(trap_22)
{
	INT(22);
}

SELFTEST_FATAL(trap_31)
{
	INT(31);
}

SELFTEST_FATAL(hv)
{
	INT(28);
}

SELFTEST_FATAL(vc)
{
	RAISE_WITH_ERROR(29, 0x72);
}

SELFTEST_FATAL(sx)
{
	RAISE_WITH_ERROR(30, 1);
}

/* Not a tail call, and a frame of its own each time. */
static __attribute__((noinline)) unsigned
recurse(unsigned n)
{
	volatile uint8_t frame[512];

	frame[n % sizeof(frame)] = (uint8_t)n;
	return n == ~0u ? 0 : recurse(n + 1) + frame[n % sizeof(frame)];
}

SELFTEST_FATAL(stack_overflow)
{
	(void)recurse(0);
}

SELFTEST_FATAL(assertion)
{
	ASSERT(data_page[0] == 0);
}

SELFTEST_FATAL(plain_panic)
{
	panic("selftest asked for it: %d", 42);
}

/*
 * The frame to leave to user mode with cannot be loaded: the IRETQ's fault becomes one of
 * the program, with the kernel's GS back in place. Here there is no program, so its
 * signal ends in a panic; what counts is that it comes that far.
 */
static void
leave_with_bad_ss(void *arg)
{
	struct trap_frame *f = user_frame();
	volatile uint8_t
	    pad[sizeof(*f) + 64]; /* calls from here stay clear of the frame */

	pad[0] = 0;
	*f = (struct trap_frame){
	    .rip = 0x400000,
	    .cs = USER_CS,
	    .rflags = RFLAGS_FIXED | RFLAGS_IF,
	    .rsp = 0x500000,
	    .ss = KERNEL_DS,
	};
	irq_off_raw();
	__asm__ volatile("mov %0, %%rsp; jmp trap_exit_user" : : "r"(f));
}

SELFTEST_FATAL(bad_iret)
{
	thread_start(thread_create_kernel("bad_iret", leave_with_bad_ss, NULL));
	thread_sleep_ns(NSEC_PER_SEC);
}

SELFTEST(peek_survives_bad_pointers)
{
	uint64_t v = 0;

	SELFTEST_CHECK(kernel_peek((const uint64_t *)trap_stubs, &v) && v != 0);
	SELFTEST_CHECK(!kernel_peek((const uint64_t *)8, &v));
	SELFTEST_CHECK(!kernel_peek((const uint64_t *)NON_CANONICAL, &v));
	SELFTEST_CHECK(!kernel_peek((const uint64_t *)0xffffffffc0000000ull, &v));
}

/* An NMI nobody sent is logged and survived. */
SELFTEST(nmi_is_survived)
{
	INT(TRAP_NMI);
}

SELFTEST(protection_is_on)
{
	const struct cpu_features *f = &cpu_features;

	SELFTEST_CHECK(read_cr0() & CR0_WP);
	SELFTEST_CHECK(!f->has_nx || rdmsr(MSR_EFER) & EFER_NXE);
	SELFTEST_CHECK(!f->has_smep || read_cr4() & CR4_SMEP);
	SELFTEST_CHECK(!f->has_smap || read_cr4() & CR4_SMAP);
	SELFTEST_CHECK(!f->has_umip || read_cr4() & CR4_UMIP);
}
