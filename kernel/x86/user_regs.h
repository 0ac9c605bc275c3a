/*
 * The registers of a user thread as ptrace and core files have them: Linux's struct
 * user_regs_struct. The thread sleeps, or is the current one after
 * arch_thread_save_current.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct thread;

struct user_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax; /* the call it is in, -1: none */
	uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

enum { USER_REGS = sizeof(struct user_regs) / sizeof(uint64_t) };

void user_regs_get(const struct thread *, struct user_regs *);

/*
 * One register, by its place in struct user_regs. Nothing that is written here gives the
 * thread more rights: ERR_IO for selectors that are not the user's and bases outside its
 * half; flags it may not change stay. An address that cannot be returned to becomes the
 * thread's own fault (trap_from_iret).
 */
enum err user_reg_set(struct thread *, unsigned index, uint64_t value);

/* RFLAGS.TF for the debugger, which the program does not see: it is told apart from one
 * that the program has set itself. */
void user_step_on(struct thread *);
void user_step_off(struct thread *);
