/*
 * Panic: the report of a bug. The first CPU to get here prints, all others are stopped;
 * nothing is locked and nothing is trusted: a fault inside the report shortens it, a
 * second one ends it.
 */
#include "kernel/panic.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/power.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/symbols.h"
#include "kernel/time/clock.h"
#include "kernel/x86/backtrace.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/io.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/percpu_ops.h"

#include "kernel/x86/trap.h"
#include "kernel/x86/traps.h"
#include "lib/fmt.h"

enum { NO_CPU = -1, LAST_LINES = 20 };

static int panic_cpu = NO_CPU; /* [a] id of the CPU that prints */
static unsigned panic_depth;   /* [panic_cpu] */

/* Where a CPU was when NMI_STOP came. */
static PER_CPU(struct trap_frame, stopped_frame);
static PER_CPU(bool, is_stopped);

#define say(fmt, ...) log_printf(LOG_EMERG, fmt, ##__VA_ARGS__)

static NORETURN void
halt(void)
{
	for (;;) {
		irq_off_raw();
		hlt();
	}
}

void
panic_stop_this_cpu(const struct trap_frame *frame)
{
	*this_cpu_ptr(&stopped_frame) = *frame;
	__atomic_store_n(this_cpu_ptr(&is_stopped), true, __ATOMIC_RELEASE);
	halt();
}

static void
say_registers(const struct trap_frame *f)
{
	char where[96];

	symbol_format(f->rip, where, sizeof(where));
	say("RIP: %04lx:%s  RFLAGS: %08lx", f->cs, trap_is_user(f) ? "user" : where,
	    f->rflags);
	say("RSP: %04lx:%016lx  vector %#lx, error code %#lx", f->ss, f->rsp, f->vector,
	    f->error);
	say("RAX: %016lx RBX: %016lx RCX: %016lx", f->rax, f->rbx, f->rcx);
	say("RDX: %016lx RSI: %016lx RDI: %016lx", f->rdx, f->rsi, f->rdi);
	say("RBP: %016lx R8:  %016lx R9:  %016lx", f->rbp, f->r8, f->r9);
	say("R10: %016lx R11: %016lx R12: %016lx", f->r10, f->r11, f->r12);
	say("R13: %016lx R14: %016lx R15: %016lx", f->r13, f->r14, f->r15);
}

static void
say_control_registers(void)
{
	say("CR0: %08lx CR2: %016lx CR3: %016lx CR4: %08lx", read_cr0(), read_cr2(),
	    read_cr3(), read_cr4());
}

static void
say_held_locks(const struct cpu *c)
{
	const struct thread *t = c->current;

	spin_print_held(c);
	for (unsigned i = 0; t && i < MIN(t->num_held_mutexes, MAX_HELD_MUTEXES); i++)
		say("  holds %s (%p)", t->held_mutexes[i].name, t->held_mutexes[i].lock);
}

static void
say_other_cpus(void)
{
	struct cpu *c;

	for_each_online_cpu(c) {
		if ((int)c->id == panic_cpu)
			continue;
		say("CPU %u, thread %s:%s", c->id, c->current ? c->current->name : "none",
		    *per_cpu_ptr(&is_stopped, c) ? "" : " did not stop");
		if (*per_cpu_ptr(&is_stopped, c))
			backtrace_frame(per_cpu_ptr(&stopped_frame, c));
		say_held_locks(c);
	}
}

/* The lines [log_first, log_end) are from before the panic. */
static void
say_last_lines(uint64_t log_first, uint64_t log_end)
{
	uint64_t first;
	char text[160];
	struct log_record rec;

	first = log_end - log_first > LAST_LINES ? log_end - LAST_LINES : log_first;
	say("Last lines of the log:");
	while (first < log_end) {
		long n = log_read(&first, &rec, text, sizeof(text));

		if (n < 0)
			break;
		say("| [%5llu.%06llu] %.*s", rec.time_ns / NSEC_PER_SEC,
		    rec.time_ns % NSEC_PER_SEC / NSEC_PER_USEC, (int)n, text);
		first++;
	}
}

/* panic_port=: writes 1 there, for QEMU's isa-debug-exit. panic=N as in Linux: N > 0
 * waits, N < 0 does not, none or 0 stays halted. */
static NORETURN void
finish(bool may_print)
{
	const char *value = cmdline_get("panic", 0);
	uint64_t port = cmdline_u64("panic_port", 0);
	uint64_t seconds = value && *value == '-' ? 0 : cmdline_u64("panic", 0);
	bool stays = !value || (seconds == 0 && *value != '-');

	if (may_print && stays)
		say("Halted.");
	else if (may_print)
		say("Rebooting in %lu seconds.", seconds);
	if (port)
		port_out8((uint16_t)port, 1);
	if (stays)
		halt();
	delay_ns(seconds * NSEC_PER_SEC);
	power_quiesce_now(); /* or devices write into the next kernel's memory */
	power_restart();
}

void
panic_end(void)
{
	finish(true);
}

static void
say_reason(const char *fmt, va_list args)
{
	const struct thread *t = current_thread();
	char reason[256];

	vscnprintf(reason, sizeof(reason), fmt, args);
	say("Kernel panic: %s", reason);
	say("CPU %u, thread %s (%u)%s", cpu_id(), t ? t->name : "none", t ? t->tid : 0,
	    this_cpu()->irq_nesting ? ", in an interrupt" : "");
}

static void
report(const struct trap_frame *f, const char *fmt, va_list args)
{
	uint64_t log_first, log_end;
	unsigned running;

	log_range(&log_first, &log_end);
	running = ipi_stop_others();
	say_reason(fmt, args);
	if (f)
		say_registers(f);
	say_control_registers();
	say("Backtrace:");
	if (f)
		backtrace_frame(f);
	else
		backtrace_here();
	say_held_locks(this_cpu());
	say_other_cpus();
	sched_print_state();
	if (running)
		say("%u CPUs did not stop", running);
	say_last_lines(log_first, log_end);
}

static NORETURN COLD void
panic_common(const struct trap_frame *f, const char *fmt, va_list args)
{
	int none = NO_CPU, me = (int)cpu_id();

	irq_off_raw();
	if (!__atomic_compare_exchange_n(
	        &panic_cpu, &none, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
	    none != me)
		halt(); /* the other one's NMI finds us here; its report counts */
	lock_checks_off();
	log_enter_panic();
	switch (panic_depth++) {
	case 0: report(f, fmt, args); break;
	case 1:
		say("Panic within the panic report:");
		say_reason(fmt, args);
		break;
	default: finish(false); /* printing itself is what fails */
	}
	finish(true);
}

void
panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	panic_common(NULL, fmt, args);
}

void
panic_trap(const struct trap_frame *f, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	panic_common(f, fmt, args);
}
