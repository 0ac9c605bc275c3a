/*
 * System call dispatch. entry.asm saves the user's registers in a trap_frame, with the call's
 * number in `error` (orig_rax), and calls syscall_dispatch; the table is generated from
 * kernel/syscalls.def. The result goes to frame->rax; an internal restart code
 * (lib/err.h) is replaced by signal_deliver before user mode sees it.
 */
#pragma once

#include "kernel/x86/trap.h"
#include "lib/types.h"

enum { SYSCALL_COUNT = 451 };

typedef long (*syscall_fn)(const struct trap_frame *);

extern const syscall_fn syscall_table[SYSCALL_COUNT]; /* NULL: not implemented */
extern const char *const syscall_names[SYSCALL_COUNT];

/* Runs the call in `frame`; interrupts on, on the calling thread's kernel stack. */
void syscall_dispatch(struct trap_frame *frame);

/* Reads strace= of the command line: every system call is then logged with its result. */
void syscall_init(void);
