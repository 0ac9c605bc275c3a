/*
 * The long way of system call dispatch: tracing, and calls that do not exist, which
 * are counted by number and named once in the log, so that a program's needs are seen.
 */
#include "kernel/proc/syscall.h"

#define LOG_PREFIX "syscall: "

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/seccomp.h"
#include "kernel/sched/thread.h"
#include "lib/err.h"

static_assert(SYSCALL_COUNT == 451, "kernel/x86/syscall.asm");

uint8_t syscall_is_traced; /* [I] after syscall_init */
static uint32_t
    num_unknown[SYSCALL_COUNT + 1]; /* [a] the last: numbers beyond the table */

static const char *
syscall_name(uint64_t nr)
{
	return nr < SYSCALL_COUNT && syscall_names[nr] ? syscall_names[nr] : "call";
}

static COLD long
syscall_unknown(uint64_t nr)
{
	uint64_t slot = MIN(nr, (uint64_t)SYSCALL_COUNT);

	if (__atomic_fetch_add(&num_unknown[slot], 1, __ATOMIC_RELAXED) == 0)
		log_info("%s: %s (%lu) is not implemented", current_thread()->name,
		    syscall_name(nr), (unsigned long)nr);
	return ERR_NOSYS;
}

static COLD void
syscall_trace_enter(const struct trap_frame *f)
{
	const struct thread *t = current_thread();

	log_debug("%u %s: %s(%lx, %lx, %lx, %lx)", t->tid, t->name,
	    syscall_name(f->error), (unsigned long)f->rdi, (unsigned long)f->rsi,
	    (unsigned long)f->rdx, (unsigned long)f->r10);
}

static COLD void
syscall_trace_exit(uint64_t nr, long result)
{
	const struct thread *t = current_thread();

	log_debug("%u %s: %s -> %ld", t->tid, t->name, syscall_name(nr), result);
}

static long
syscall_do(const struct trap_frame *frame)
{
	uint64_t nr = frame->error;
	syscall_fn fn = nr < SYSCALL_COUNT ? syscall_table[nr] : NULL;
	long result;

	if (syscall_is_traced)
		syscall_trace_enter(frame);
	result = fn ? fn(frame) : syscall_unknown(nr);
	if (syscall_is_traced)
		syscall_trace_exit(nr, result);
	return result;
}

long
syscall_dispatch(struct trap_frame *frame)
{
	const struct thread *t = current_thread();
	long result;

	if (!(t->flags & THREAD_WORK & ~(uint32_t)THREAD_CALL_LOGGED))
		return syscall_do(frame);
	/* A tracer that wants no call done sets its number to -1, and the result. */
	if (ptrace_call_enter(frame) &&
	    (!(t->flags & THREAD_CALL_FILTERED) || seccomp_check(frame)) &&
	    (int32_t)frame->error != -1)
		result = syscall_do(frame);
	else
		result = (long)frame->rax;
	ptrace_call_done();
	return result;
}

void
syscall_init(void)
{
	syscall_is_traced = cmdline_u64("strace", 0) != 0;
}
