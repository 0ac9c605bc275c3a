/* Shared by ptrace.c (the traced thread's side) and sys_ptrace.c (the tracer's). */
#pragma once

#include "kernel/proc/ptrace.h"

/* Tree lock held, t->trace set and not linked: takes a reference on the thread. */
void ptrace_link_locked(struct thread *t, struct thread *tracer);

/* The process's lock held. The thread leaves its stop, once no request is at it. */
void ptrace_resume_locked(struct trace *tr);

/* What the stopped thread sleeps for. */
static inline bool
ptrace_is_held(const struct trace *tr)
{
	return __atomic_load_n(&tr->is_stopped, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&tr->is_frozen, __ATOMIC_ACQUIRE);
}
