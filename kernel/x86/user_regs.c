/* User registers for debuggers; see user_regs.h. */
#include "kernel/x86/user_regs.h"

#include "kernel/proc/ptrace.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"
#include "mm/aspace.h"

/* What a debugger may change of RFLAGS: CF PF AF ZF SF TF DF OF NT RF AC. */
enum { RFLAGS_SETTABLE = 0x54dd5 };

#define REG(name) (offsetof(struct user_regs, name) / sizeof(uint64_t))

static bool
has_forced_step(const struct thread *t)
{
	return t->trace && t->trace->is_step_forced;
}

void
user_regs_get(const struct thread *t, struct user_regs *r)
{
	const struct trap_frame *f = thread_frame(t);

	__builtin_memcpy(r, f, offsetof(struct trap_frame, vector));
	r->orig_rax = f->vector == TRAP_SYSCALL ? f->error : (uint64_t)-1;
	r->rip = f->rip;
	r->cs = f->cs;
	r->rflags = f->rflags;
	if (has_forced_step(t))
		r->rflags &= ~(uint64_t)RFLAGS_TF;
	r->rsp = f->rsp;
	r->ss = f->ss;
	r->fs_base = t->fs_base;
	r->gs_base = t->gs_base;
	r->ds = r->es = r->fs = r->gs = 0;
}

static_assert(REG(orig_rax) == offsetof(struct trap_frame, vector) / sizeof(uint64_t),
    "the general registers lie alike");

static bool
is_user_selector(uint64_t value)
{
	return (value & 3) == 3;
}

static void
set_rflags(struct thread *t, struct trap_frame *f, uint64_t value)
{
	if (value & RFLAGS_TF) {
		if (t->trace)
			t->trace->is_step_forced = false; /* it is the program's now */
	} else if (has_forced_step(t)) {
		value |= RFLAGS_TF;
	}
	f->rflags = (f->rflags & ~(uint64_t)RFLAGS_SETTABLE) | (value & RFLAGS_SETTABLE);
}

/* Going on in a call, or in none, decides whether an interrupted one is begun again. */
static void
set_orig_rax(struct trap_frame *f, uint64_t value)
{
	if ((int64_t)value >= 0)
		f->vector = TRAP_SYSCALL;
	if (f->vector == TRAP_SYSCALL)
		f->error = value;
}

enum err
user_reg_set(struct thread *t, unsigned index, uint64_t value)
{
	struct trap_frame *f = thread_frame(t);

	if (index < REG(orig_rax)) {
		((uint64_t *)f)[index] = value;
		return OK;
	}
	value = index >= REG(ds) || index == REG(cs) || index == REG(ss) ? value & 0xffff
	                                                                 : value;
	switch (index) {
	case REG(orig_rax): set_orig_rax(f, value); return OK;
	case REG(rip): f->rip = value; return OK;
	case REG(rflags): set_rflags(t, f, value); return OK;
	case REG(rsp): f->rsp = value; return OK;
	case REG(cs):
	case REG(ss):
		if (!is_user_selector(value))
			return ERR_IO;
		*(index == REG(cs) ? &f->cs : &f->ss) = value;
		return OK;
	case REG(fs_base):
	case REG(gs_base):
		if (value >= USER_SPACE_END)
			return ERR_IO;
		*(index == REG(fs_base) ? &t->fs_base : &t->gs_base) = value;
		return OK;
	case REG(ds):
	case REG(es):
	case REG(fs):
	case REG(gs): /* there is nothing behind them in 64-bit mode */
		return value && !is_user_selector(value) ? ERR_IO : OK;
	default: return ERR_IO;
	}
}

void
user_step_on(struct thread *t)
{
	struct trap_frame *f = thread_frame(t);

	if (f->rflags & RFLAGS_TF)
		return;
	f->rflags |= RFLAGS_TF;
	t->trace->is_step_forced = true;
}

void
user_step_off(struct thread *t)
{
	if (!has_forced_step(t))
		return;
	thread_frame(t)->rflags &= ~(uint64_t)RFLAGS_TF;
	t->trace->is_step_forced = false;
}
