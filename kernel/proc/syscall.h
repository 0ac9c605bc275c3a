/*
 * System call dispatch. syscall.asm saves the user's registers in a trap_frame, with the
 * call's number in `error` (orig_rax), and calls the handler from syscall_table, which is
 * generated from kernel/syscalls.def. The result goes to frame->rax; an internal restart
 * code (lib/err.h) is replaced by signal_deliver before user mode sees it.
 */
#pragma once

#include "kernel/x86/trap.h"
#include "lib/types.h"

enum { SYSCALL_COUNT = 451 }; /* syscall.asm has the same number */

typedef long (*syscall_fn)(const struct trap_frame *);

extern const syscall_fn syscall_table[SYSCALL_COUNT]; /* NULL: not implemented */
extern const char *const syscall_names[SYSCALL_COUNT];

/*
 * The long way: calls without a handler, and those of threads with THREAD_WORK. Entry
 * code (syscall.asm) calls the others straight from the table. Interrupts on, on the
 * calling thread's kernel stack; the result goes to the frame's rax.
 */
long syscall_dispatch(struct trap_frame *frame);

extern uint8_t syscall_is_traced; /* strace=: new threads get THREAD_CALL_LOGGED */

/* Reads strace= of the command line: every system call is then logged with its result. */
void syscall_init(void);
