/*
 * Exceptions and interrupts, after entry.asm has built the frame. Of a user program: its
 * page faults go to mm, everything else becomes the signal Linux would send. In the
 * kernel: an instruction with an entry in the exception table goes on at its fix-up, all
 * else is our bug and a panic that says what it was. Interrupts go to kernel/irq.
 */
#include "kernel/x86/traps.h"

#define LOG_PREFIX "trap: "

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/rseq.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/cpu_init.h"
#include "kernel/x86/ex_table.h"
#include "kernel/x86/io.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/mce.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/percpu_ops.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/trap_decode.h"
#include "lib/fmt.h"
#include "mm/aspace.h"
#include "mm/kva.h"
#include "mm/page.h"

uint64_t nmi_unknown;

enum { DR6_SINGLE_STEP = 1 << 14, DR6_BREAKPOINTS = 0xf };
#define DR6_IDLE 0xffff0ff0ull

const struct ex_entry *
ex_table_find(uint64_t rip)
{
	for (const struct ex_entry *e = ex_table_start; e < ex_table_end; e++)
		if ((uint64_t)e + (uint64_t)(int64_t)e->insn == rip)
			return e;
	return NULL;
}

/* Goes on at the fix-up of the frame's instruction, if it has one. */
static bool
ex_table_fixup(struct trap_frame *f)
{
	const struct ex_entry *e = ex_table_find(f->rip);

	if (!e)
		return false;
	f->rip = (uint64_t)e + (uint64_t)(int64_t)e->fixup;
	return true;
}

/* Which unmasked floating-point exceptions are pending: SDM vol. 1, 8.1.3, 10.2.3. */
static uint32_t
fpu_status(uint64_t vector)
{
	uint32_t mxcsr;
	uint16_t status, control;

	if (vector == TRAP_XM) {
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		return mxcsr & ~(mxcsr >> 7) & 0x3f;
	}
	if (vector != TRAP_MF)
		return 0;
	__asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(status), "=m"(control));
	return status & ~control & 0x3f;
}

static bool
is_guard_page(vaddr_t addr)
{
	return stack_guard_hit(addr) || cpu_boot_stack_guard_hit(addr);
}

/* What a fault in the kernel most likely means, beyond its error code. */
static const char *
explain_page_fault(const struct trap_frame *f, vaddr_t addr)
{
	if (is_guard_page(addr))
		return "kernel stack overflow: guard page hit";
	if (addr < PAGE_SIZE && f->error & PF_FETCH)
		return "jump through a null pointer";
	if (addr < PAGE_SIZE)
		return "null pointer";
	if (addr < USER_SPACE_END && f->error & PF_FETCH)
		return "kernel ran user code (SMEP)";
	if (addr < USER_SPACE_END && f->error & PF_PRESENT)
		return "kernel touched user memory outside usercopy (SMAP)";
	if (addr < USER_SPACE_END)
		return "kernel touched an unmapped user address outside usercopy";
	if (f->error & PF_RESERVED)
		return "damaged page table";
	if (f->error & PF_FETCH && f->error & PF_PRESENT)
		return "ran data as code (NX)";
	if (f->error & PF_WRITE && f->error & PF_PRESENT)
		return "wrote to read-only memory";
	return "bad kernel pointer";
}

static NORETURN COLD void
kernel_page_fault_panic(const struct trap_frame *f, vaddr_t addr)
{
	char text[80];

	trap_error_text(TRAP_PF, f->error, text, sizeof(text));
	panic_trap(f, "%s at %#lx: %s", explain_page_fault(f, addr), addr, text);
}

static void
page_fault_trap(struct trap_frame *f, vaddr_t addr)
{
	if (trap_is_user(f)) {
		irq_on_raw();
		(void)page_fault(f, addr); /* if not resolved, it has sent the signal */
		return;
	}
	/* Only usercopy may fault, and only where it may sleep. */
	if (!ex_table_find(f->rip))
		kernel_page_fault_panic(f, addr);
	if (addr < USER_SPACE_END && f->rflags & RFLAGS_IF &&
	    !this_cpu()->preempt_count) {
		irq_on_raw();
		if (page_fault(f, addr)) {
			irq_off_raw();
			return;
		}
		irq_off_raw();
	}
	(void)ex_table_fixup(f); /* it has an entry */
}

static NORETURN COLD void
kernel_exception_panic(const struct trap_frame *f)
{
	const char *ubsan = NULL;
	char text[80];
	uint64_t insn;

	if (f->vector == TRAP_UD && kernel_peek((const uint64_t *)f->rip, &insn))
		ubsan = trap_ubsan_text(insn);
	if (ubsan)
		panic_trap(f, "undefined behaviour: %s", ubsan);
	trap_error_text(f->vector, f->error, text, sizeof(text));
	panic_trap(f, "%s (%s, vector %lu)%s%s, error code %#lx", trap_name(f->vector),
	    trap_mnemonic(f->vector), f->vector, text[0] ? ": " : "", text, f->error);
}

/* Which of the causes of #DB it was; the tracer finds them in its u_debugreg[6]. */
static int16_t
debug_trap_code(struct trap_frame *f)
{
	enum { TRAP_HWBKPT = 4 };
	uint64_t dr6 = read_dr6();
	struct trace *tr = current_thread()->trace;

	write_dr6(DR6_IDLE); /* its bits stay otherwise: SDM vol. 3, 17.2.3 */
	dr6 &= DR6_SINGLE_STEP | DR6_BREAKPOINTS;
	if (tr)
		tr->breakpoints.status = dr6;
	if (tr && breakpoints_hit_code(&tr->breakpoints, dr6))
		f->rflags |= RFLAGS_RF; /* the next try goes past it */
	if (dr6 & DR6_SINGLE_STEP)
		return TRAP_TRACE;
	return dr6 ? TRAP_HWBKPT : TRAP_BRKPT; /* neither: INT1 */
}

static void
exception(struct trap_frame *f)
{
	struct trap_signal s;

	if (!trap_is_user(f)) {
		if (!ex_table_fixup(f))
			kernel_exception_panic(f);
		return;
	}
	s = trap_signal(f->vector, fpu_status(f->vector));
	if (f->vector == TRAP_DB)
		s.code = debug_trap_code(f);
	irq_on_raw();
	signal_fault(s.signo, s.code, s.has_address ? f->rip : 0);
}

/* An NMI that nobody here sent; it is logged later, as any lock may be held now. */
struct foreign_nmi {
	uint64_t rip;
	uint8_t port_b; /* the PC's system control port B: who raised it */
	bool is_noted;
};

static PER_CPU(struct foreign_nmi, foreign_nmi);

static void
note_foreign_nmi(const struct trap_frame *f)
{
	*this_cpu_ptr(&foreign_nmi) = (struct foreign_nmi){
	    .rip = f->rip,
	    .port_b = port_in8(0x61),
	    .is_noted = true,
	};
	__atomic_fetch_add(&nmi_unknown, 1, __ATOMIC_RELAXED);
}

/* On the way out of an interrupt that came with interrupts on: no lock is held. */
static COLD void
report_nmi(struct cpu *c)
{
	struct foreign_nmi *n = this_cpu_ptr(&foreign_nmi);

	c->has_nmi_report = false;
	mce_report();
	if (!n->is_noted)
		return;
	n->is_noted = false;
	log_err("NMI on CPU %u at %#lx, no known reason%s%s", c->id, n->rip,
	    n->port_b & 0x80 ? ", memory parity or PCI SERR" : "",
	    n->port_b & 0x40 ? ", I/O channel check" : "");
}

static void
interrupt(struct trap_frame *f)
{
	struct cpu *c = this_cpu();

	c->irq_nesting++;
	c->preempt_count++;
	irq_dispatch(f);
	if (unlikely(c->has_nmi_report))
		report_nmi(c);
	c->preempt_count--;
	c->irq_nesting--;
}

void
trap_user_work(struct trap_frame *f)
{
	for (;;) {
		uint32_t work;

		irq_off_raw();
		work = __atomic_load_n(&current_thread()->flags, __ATOMIC_RELAXED) &
		       THREAD_RETURN_WORK;
		if (this_cpu()->need_resched) {
			irq_on_raw();
			schedule();
		} else if (work & THREAD_RSEQ_DUE) {
			irq_on_raw();
			rseq_return(f);
		} else if (work) {
			irq_on_raw();
			signal_deliver(f);
		} else {
			return;
		}
	}
}

/* Called by entry.asm with interrupts off; leaves them off. */
void
trap_handle(struct trap_frame *f)
{
	if (f->vector >= TRAP_VECTORS)
		interrupt(f);
	else if (f->vector == TRAP_PF)
		page_fault_trap(f, read_cr2());
	else if (f->vector == TRAP_MC)
		mce_from_user(f);
	else
		exception(f);

	if (trap_is_user(f))
		trap_user_work(f);
	else if (f->vector >= TRAP_VECTORS && this_cpu()->need_resched &&
	         !this_cpu()->preempt_count)
		preempt_schedule_irq();
}

/* ---- Vectors on stacks of their own ---- */

/* Has an interrupt come as soon as possible, which then calls report_nmi. */
static void
report_soon(struct cpu *c)
{
	c->has_nmi_report = true;
	ipi_reschedule(c);
}

static void
nmi(struct trap_frame *f)
{
	uint32_t why = __atomic_exchange_n(&this_cpu()->nmi_request, 0, __ATOMIC_SEQ_CST);

	if (why & NMI_STOP)
		panic_stop_this_cpu(f);
	if (why & NMI_BACKTRACE)
		monitor_note_backtrace(f);
	if (why)
		return;
	note_foreign_nmi(f);
	report_soon(this_cpu());
}

static NORETURN COLD void
double_fault(const struct trap_frame *f)
{
	uint64_t cr2 = read_cr2();

	if (is_guard_page(cr2) || is_guard_page(f->rsp - 8))
		panic_trap(f,
		    "kernel stack overflow: guard page hit at %#lx (double fault)", cr2);
	panic_trap(f, "double fault");
}

/*
 * A single step in the kernel is the late trap of user code that had TF set (SDM vol.
 * 3, 6.8.3: MOV SS delays it past the entry): it ends here. So do breakpoints: they lie
 * in user memory, which the kernel touches for the program. The kernel itself sets none.
 */
static void
kernel_debug_trap(struct trap_frame *f)
{
	uint64_t dr6 = read_dr6();

	write_dr6(DR6_IDLE);
	if (!(dr6 & (DR6_SINGLE_STEP | DR6_BREAKPOINTS)))
		kernel_exception_panic(f);
	f->rflags &= ~(uint64_t)RFLAGS_TF;
}

/* Called by entry.asm for #DB, #DF and #MC of the kernel and every NMI: may not sleep or
 * fault. */
void
trap_handle_ist(struct trap_frame *f)
{
	struct cpu *c = this_cpu();

	c->preempt_count++;
	if (f->vector == TRAP_NMI)
		nmi(f);
	else if (f->vector == TRAP_DB)
		kernel_debug_trap(f);
	else if (f->vector != TRAP_MC)
		double_fault(f);
	else
		mce_handle(f);
	if (f->vector == TRAP_MC)
		report_soon(c);
	c->preempt_count--;
}

/*
 * Called by entry.asm when the IRETQ to user mode faulted: the frame it was to load, at
 * the top of the stack, is not loadable. The registers are the user's already. Makes the
 * two one frame: the exception as if the user's next instruction had raised it.
 */
struct trap_frame *
trap_from_iret(struct trap_frame *f)
{
	struct trap_frame *user = user_frame();

	__builtin_memmove(user, f, offsetof(struct trap_frame, rip));
	user->cs |= 3;
	return user;
}
