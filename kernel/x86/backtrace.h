/*
 * Who called whom, by frame pointers. Reads the stack only through kernel_peek, so bad
 * pointers end the trace and do no harm. Any context.
 */
#pragma once

#include "lib/types.h"

struct thread;
struct trap_frame;

/* Up to `max` return addresses, innermost first, from a frame pointer on. Returns how
 * many. */
unsigned backtrace_collect(uint64_t rbp, uint64_t *addresses, unsigned max);

/* The same of a thread that is not running. */
unsigned backtrace_collect_sleeper(
    const struct thread *, uint64_t *addresses, unsigned max);

void backtrace_here(void);                       /* logs this call chain */
void backtrace_frame(const struct trap_frame *); /* and that of a trap, its rip first */
