/*
 * Threads as the processor sees them: switching from one to another, how a new one
 * begins, and the registers that live outside the trap frame (FS and GS base, FPU and
 * vector state).
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct thread;
struct trap_frame;

/*
 * Leaves `prev` and goes on with `next`: saves and loads everything but the address space
 * (aspace_switch), and sets cpu->current. Interrupts off. Returns on prev's stack when
 * somebody switches back to it, with the thread that ran just before on this CPU.
 */
struct thread *arch_switch(struct thread *prev, struct thread *next);

/*
 * kernel/sched gives this: the first thing a new thread does, on its own stack, in the
 * state in which arch_switch returns: release what schedule() holds across it, dispose of
 * a dead `prev`, turn interrupts on.
 */
void sched_thread_begin(struct thread *prev);

/*
 * Prepare the stack of a thread that has never run (stack_base set). A kernel thread
 * calls t->entry(t->arg), then thread_exit(). A user thread returns to user mode with
 * `frame`, which is copied to the top of its stack; it gets a copy of the caller's FPU,
 * FS and GS state (fork, clone) or the initial state when the caller is a kernel thread.
 * ERR_NOMEM leaves nothing behind.
 */
void arch_thread_init_kernel(struct thread *);
enum err arch_thread_init_user(struct thread *, const struct trap_frame *frame);
void arch_thread_fini(struct thread *); /* frees the FPU state */

/* The boot thread (kernel_main's) runs on this stack of KERNEL_STACK_SIZE; a guard page
 * is below. */
extern uint8_t boot_stack[];

/* Makes `t` the current thread of this CPU, on whose stack we already are (boot and idle
 * threads). */
void arch_thread_adopt(struct thread *t);

/* exec: the current thread's FPU and vector registers as at program start, FS and GS base
 * 0. */
void arch_thread_reset_user(void);

/* The registers of the current thread that its struct thread has only while it sleeps. */
void arch_thread_save_current(void);

/* THREAD_WORK bits of the current thread. */
void thread_set_work(uint32_t set, uint32_t clear);

/* arch_prctl, CLONE_SETTLS: of the current thread. For a thread that has not run: set
 * t->fs_base. */
void arch_set_fs_base(vaddr_t base);
void arch_set_gs_base(vaddr_t base);
vaddr_t arch_get_fs_base(void);
vaddr_t arch_get_gs_base(void);

/*
 * FPU state in signal frames: Linux's struct _fpstate with the XSAVE area behind it and
 * the software bytes that say so, read and written by the processor in place. `buf` is
 * user memory of fpu_signal_size() bytes, for saving 64-byte aligned. Restore gives the
 * initial state for NULL; for nonsense too, with ERR_FAULT.
 */
size_t fpu_signal_size(void);
enum err fpu_signal_save(void USER *buf);
enum err fpu_signal_restore(const void USER *buf);
