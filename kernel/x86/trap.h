/*
 * What a trap, interrupt or system call leaves on the kernel stack: built by entry.asm,
 * read and changed by C. The layout is shared with entry.asm and with ptrace's user_regs.
 */
#pragma once

#include "lib/types.h"

struct thread;

struct trap_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi;
	uint64_t
	    vector; /* exception or interrupt vector; TRAP_SYSCALL for a system call */
	uint64_t
	    error; /* hardware error code or 0; on a system call: its number (orig_rax) */
	uint64_t rip, cs, rflags, rsp, ss;
};

// clang-format off
enum {
	TRAP_DE, TRAP_DB, TRAP_NMI, TRAP_BP, TRAP_OF, TRAP_BR, TRAP_UD, TRAP_NM,
	TRAP_DF, TRAP_FPU_SEG, TRAP_TS, TRAP_NP, TRAP_SS, TRAP_GP, TRAP_PF, TRAP_15,
	TRAP_MF, TRAP_AC, TRAP_MC, TRAP_XM, TRAP_VE, TRAP_CP,
	TRAP_VECTORS = 32,
	TRAP_SYSCALL = 0x100,
};
// clang-format on

static_assert(sizeof(struct trap_frame) == 22 * 8, "entry.asm pushes this");

static inline bool
trap_is_user(const struct trap_frame *f)
{
	return f->cs & 3;
}

/* The frame of the current thread's entry from user mode: top of its kernel stack. */
struct trap_frame *user_frame(void);
/* That of another: it holds still only while the thread sleeps, and may be changed then. */
struct trap_frame *thread_frame(const struct thread *);

/*
 * Before user mode: gives the CPU away when that is due, delivers signals, until there is
 * nothing left to do. Returns with interrupts off.
 */
void trap_user_work(struct trap_frame *frame);

/* What the core's rooms give to the entry code. */
void irq_dispatch(
    struct trap_frame *frame);   /* vectors 32..255, interrupts off: kernel/irq */
void preempt_schedule_irq(void); /* kernel/sched: interrupts off before and after */
