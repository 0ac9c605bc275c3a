/* Switching threads; see context.h. switch.asm changes the stack, the rest is here. */
#include "kernel/x86/context.h"

#include "kernel/proc/ptrace.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/breakpoints.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/descriptors.h"
#include "kernel/x86/features.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/percpu_ops.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"

/* What entry.inc says. */
static_assert(offsetof(struct trap_frame, r11) == 48, "FRAME_R11");
static_assert(offsetof(struct trap_frame, rcx) == 88, "FRAME_RCX");
static_assert(offsetof(struct trap_frame, vector) == 120, "FRAME_VECTOR");
static_assert(offsetof(struct trap_frame, rip) == 136, "FRAME_RIP");
static_assert(offsetof(struct trap_frame, rflags) == 152, "FRAME_RFLAGS");
static_assert(offsetof(struct trap_frame, ss) == 168, "FRAME_SS");
static_assert(offsetof(struct cpu, current) == 8, "CPU_CURRENT");
static_assert(offsetof(struct cpu, kernel_stack_top) == 16, "CPU_STACK_TOP");
static_assert(offsetof(struct cpu, user_rsp) == 24, "CPU_USER_RSP");
static_assert(offsetof(struct cpu, need_resched) == 44, "CPU_NEED_RESCHED");
static_assert(offsetof(struct cpu, call_work) == 84, "CPU_CALL_WORK");
static_assert(offsetof(struct thread, kernel_sp) == 0, "THREAD_KERNEL_SP");
static_assert(offsetof(struct thread, flags) == 44, "THREAD_FLAGS");
static_assert(THREAD_RETURN_WORK == 0x81, "THREAD_RETURN_WORK");
static_assert(KERNEL_STACK_SIZE == 16384, "boot_stack");

/* What context_switch pops. */
struct switch_frame {
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
};

struct thread *context_switch(struct thread *prev, struct thread *next);
void thread_begin_kernel(void);
void thread_begin_user(void);
void thread_run_kernel(struct thread *prev);
void thread_run_user(struct thread *prev, struct trap_frame *frame);

static uint64_t
stack_top(const struct thread *t)
{
	return (uint64_t)t->stack_base + KERNEL_STACK_SIZE;
}

struct trap_frame *
thread_frame(const struct thread *t)
{
	return (struct trap_frame *)stack_top(t) - 1;
}

struct trap_frame *
user_frame(void)
{
	return thread_frame(current_thread());
}

/* User code may have changed the bases by itself only where FSGSBASE lets it. */
static void
save_bases(struct thread *t)
{
	if (!cpu_features.has_fsgsbase)
		return;
	t->fs_base = rdfsbase();
	t->gs_base = rdgsbase_user();
}

static void
load_bases(const struct thread *t)
{
	if (cpu_features.has_fsgsbase) {
		wrfsbase(t->fs_base);
		wrgsbase_user(t->gs_base);
	} else {
		wrmsr(MSR_FS_BASE, t->fs_base);
		wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
	}
}

/* One of the two has debug registers, or calls that go the long way. */
static COLD void
switch_work(const struct thread *next)
{
	struct cpu *c = this_cpu();

	if ((next->flags | c->call_work) & THREAD_HAS_BREAKPOINTS)
		breakpoints_load(next->flags & THREAD_HAS_BREAKPOINTS
		                     ? trace_breakpoints(next)
		                     : NULL);
	c->call_work = next->flags & THREAD_WORK;
}

void
thread_set_work(uint32_t set, uint32_t clear)
{
	struct thread *t = current_thread();

	irq_disable_nested();
	__atomic_fetch_or(&t->flags, set, __ATOMIC_RELAXED);
	__atomic_fetch_and(&t->flags, ~clear, __ATOMIC_RELAXED);
	switch_work(t);
	irq_enable_nested();
}

struct thread *
arch_switch(struct thread *prev, struct thread *next)
{
	if (prev->fpu)
		save_bases(prev);
	if (next->fpu)
		load_bases(next);
	fpu_switch(prev, next);
	if (unlikely((next->flags & THREAD_WORK) | this_cpu()->call_work))
		switch_work(next);
	this_cpu()->current = next;
	descriptors_set_kernel_stack(stack_top(next));
	return context_switch(prev, next);
}

void
arch_thread_adopt(struct thread *t)
{
	this_cpu()->current = t;
	descriptors_set_kernel_stack(stack_top(t));
}

/* Called by thread_begin_kernel. */
void
thread_run_kernel(struct thread *prev)
{
	struct thread *t;

	sched_thread_begin(prev);
	t = current_thread();
	t->entry(t->arg);
	thread_exit();
}

/* Called by thread_begin_user, which then leaves to user mode: interrupts off on return.
 */
void
thread_run_user(struct thread *prev, struct trap_frame *frame)
{
	sched_thread_begin(prev);
	trap_user_work(frame);
}

void
arch_thread_init_kernel(struct thread *t)
{
	struct switch_frame *f = (struct switch_frame *)stack_top(t) - 1;

	*f = (struct switch_frame){.rip = (uint64_t)thread_begin_kernel};
	t->kernel_sp = (uint64_t)f;
	t->fpu = NULL;
}

enum err
arch_thread_init_user(struct thread *t, const struct trap_frame *frame)
{
	struct trap_frame *tf = (struct trap_frame *)stack_top(t) - 1;
	struct switch_frame *f = (struct switch_frame *)tf - 1;

	t->fpu = fpu_alloc();
	if (!t->fpu)
		return ERR_NOMEM;
	if (current_thread() && current_thread()->fpu) {
		irq_disable_nested();
		save_bases(current_thread());
		irq_enable_nested();
		t->fs_base = current_thread()->fs_base;
		t->gs_base = current_thread()->gs_base;
		fpu_copy_current(t->fpu);
	} else {
		fpu_reset(t->fpu);
	}
	*tf = *frame;
	*f = (struct switch_frame){.rip = (uint64_t)thread_begin_user};
	t->kernel_sp = (uint64_t)f;
	return OK;
}

void
arch_thread_fini(struct thread *t)
{
	fpu_free(t->fpu);
	t->fpu = NULL;
}

void
arch_thread_reset_user(void)
{
	arch_set_fs_base(0);
	arch_set_gs_base(0);
	fpu_reset_current();
}

void
arch_thread_save_current(void)
{
	struct thread *t = current_thread();

	irq_disable_nested();
	save_bases(t);
	fpu_save_current();
	irq_enable_nested();
}

void
arch_set_fs_base(vaddr_t base)
{
	irq_disable_nested();
	current_thread()->fs_base = base;
	wrmsr(MSR_FS_BASE, base);
	irq_enable_nested();
}

void
arch_set_gs_base(vaddr_t base)
{
	irq_disable_nested();
	current_thread()->gs_base = base;
	wrmsr(MSR_KERNEL_GS_BASE, base);
	irq_enable_nested();
}

vaddr_t
arch_get_fs_base(void)
{
	return rdmsr(MSR_FS_BASE);
}

vaddr_t
arch_get_gs_base(void)
{
	return rdmsr(MSR_KERNEL_GS_BASE);
}
