/*
 * Tracing (ptrace(2)). A thread that was ever traced has a struct trace, which lives as
 * long as it. While THREAD_TRACED is set the trace is on the list of its tracer's process,
 * which holds a reference on the thread: a thread that ends stays there until the tracer
 * has waited for it.
 *
 * A traced thread stops itself (ptrace_stop): it notes why, tells the tracer and sleeps
 * until a request, a detach, or a fatal signal lets it go. Requests find it asleep and
 * freeze it there while they last, so that not even SIGKILL pulls its stack away.
 *
 * Locks: the tree lock has who traces whom; what a stop says is under the lock of the
 * traced thread's process.
 */
#pragma once

#include "kernel/proc/process.h"
#include "kernel/x86/breakpoints.h"

struct trap_frame;

enum {
	PTRACE_EVENT_FORK = 1,
	PTRACE_EVENT_VFORK,
	PTRACE_EVENT_CLONE,
	PTRACE_EVENT_EXEC,
	PTRACE_EVENT_VFORK_DONE,
	PTRACE_EVENT_EXIT,
	PTRACE_EVENT_SECCOMP,
	PTRACE_EVENT_STOP = 128,
};

/* PTRACE_O_*: bit 0, one for each event, and these. */
enum {
	PTRACE_O_TRACESYSGOOD = 1 << 0,
	PTRACE_O_EVENTS = 0xfe,
	PTRACE_O_EXITKILL = 1 << 20,
	PTRACE_O_SUSPEND_SECCOMP = 1 << 21,
};

enum { PTRACE_MESSAGE_ENTRY = 1, PTRACE_MESSAGE_EXIT = 2 };

struct trace {
	struct thread *thread; /* [I] */
	struct list link;      /* [tree] process->tracees of the tracer */
	struct thread *tracer; /* [tree] NULL: nobody */
	bool is_privileged;    /* [tree] who made it traced had CAP_SYS_PTRACE then */
	bool is_seized;        /* [lock] */
	uint32_t options;      /* [lock] PTRACE_O_* */

	bool is_stopped;   /* [lock] in ptrace_stop */
	bool has_news;     /* [lock] no wait has told the stop yet */
	bool is_frozen;    /* [lock] a request is at it: it does not leave ptrace_stop */
	bool is_listening; /* [lock] PTRACE_LISTEN: stopped, but not for requests */
	bool has_info;     /* [lock] the stop has `info` */
	bool is_ended; /* [lock] a thread, not the last of its process, that has exited */
	int code; /* [lock] of the stop, as wait tells it; then the signal to go on with */
	int status;          /* [lock] of the exit */
	uint64_t message;    /* [lock] PTRACE_GETEVENTMSG */
	struct siginfo info; /* [lock] */

	bool is_trap_due; /* [lock] PTRACE_INTERRUPT, or it begins its life traced */
	bool
	    is_notify_due; /* [lock] its process stopped or went on: a seized one tells */
	bool is_stop_due;  /* [lock] its process is stopped, and it is to stop too */
	bool is_parked;    /* [lock] counted in num_parked, though it may run on */
	bool is_exit_due;  /* [own] the end of the call it is in is to be told */
	bool is_step_forced;            /* [own, or frozen] RFLAGS.TF is the tracer's */
	struct breakpoints breakpoints; /* [own, or frozen] */
	struct wait_queue wait;         /* where it is stopped */
};

static inline bool
is_traced(const struct thread *t)
{
	return t->flags & THREAD_TRACED;
}

static inline const struct breakpoints *
trace_breakpoints(const struct thread *t)
{
	return &t->trace->breakpoints;
}

/* Process lock held. Something for the thread itself to do before user mode. */
static inline bool
trace_has_work(const struct thread *t)
{
	return is_traced(t) && (t->trace->is_trap_due || t->trace->is_notify_due ||
	                           t->trace->is_exit_due);
}

/* Process lock held. Whether the stop of its process concerns `t`: a traced one that its
 * tracer let go on takes no part. */
static inline bool
trace_must_park(const struct thread *t)
{
	return !is_traced(t) || t->trace->is_stop_due;
}

/* ---- For signals: the process's lock held ---- */

/* A fatal signal: a traced thread that is stopped goes on. */
void ptrace_kill_locked(struct thread *t);
/* The process stops (is_stop) or goes on. */
void ptrace_job_control_locked(struct process *p, bool is_stop);

/* ---- For the current thread, no lock held ---- */

/*
 * A signal is about to be delivered: stops for the tracer, which may change it. Returns
 * its number, 0: it is not to be delivered.
 */
int ptrace_signal_stop(struct siginfo *info);
/* PTRACE_EVENT_STOP, or the stop of the whole process. */
void ptrace_trap(void);
/* One of the events above; `message` for PTRACE_GETEVENTMSG. Nothing if it is not wanted. */
void ptrace_event(int event, uint64_t message);
bool ptrace_wants(const struct thread *t, int event);

/* Before a call; false: it is not to be done. The number may have changed. */
bool ptrace_call_enter(struct trap_frame *f);
/* After it: the tracer is told on the way out (ptrace_call_exit). */
void ptrace_call_done(void);
void ptrace_call_exit(struct trap_frame *f);

/*
 * A handler is about to get its frame, which is not to show the tracer's single step: true
 * if there was one; then ptrace_handler_entered stops before its first instruction.
 */
bool ptrace_step_ends(struct thread *t);
void ptrace_handler_entered(void);

/* exec has succeeded; the thread had the number old_tid. */
void ptrace_exec(uint32_t old_tid);
/* The old leader is gone, and exec's thread has its place: nobody is told of its end. */
void ptrace_forget(struct thread *t);
/* Whether an exec of the current thread may gain rights, as far as its tracer goes. */
bool ptrace_exec_is_safe(void);

/* A new thread: what event its making is, 0: its tracer does not follow. */
int ptrace_fork_kind(uint64_t clone_flags, int exit_signal);
/* For a thread that has none; kfree unless it becomes a thread's. NULL: no memory. */
struct trace *trace_create(void);
/* Before it is started: it gets the current thread's tracer, and `tr` for its own. */
void ptrace_attach_child(struct thread *child, struct trace *tr);

/* The current thread exits: it tells its tracer (before it gives anything up), lets go
 * those it traces, and last, out of the tables, leaves its status. */
void ptrace_exit_event(int status);
void ptrace_exit_tracer(void);
void ptrace_thread_ended(struct thread *t, int status);

/* ---- For wait, with the tree lock held ---- */

/* Whether another process than `p`'s parent traces its leader: that one is told first. */
bool ptrace_is_foreign_locked(const struct process *p);
/* The leader's process traces it. */
bool ptrace_is_own_locked(const struct thread *t, const struct process *tracer);
/* Ends the tracing; the caller then puts the thread. */
void ptrace_unlink_locked(struct trace *tr);
/* The tracer's process is told of the end of `t`. */
void ptrace_tell_end_locked(struct thread *t, int status);
/* The number of who traces `t`, 0: nobody. Takes the tree lock. */
uint32_t ptrace_tracer_tid(const struct thread *t);
