/* Shared by signal.c (queues, sending), signal_deliver.c and sigframe.c (the way to
 * handlers). */
#pragma once

#include "kernel/proc/process.h"

struct signal_actions {
	uint32_t refs; /* [a] */
	struct spinlock lock;
	struct sigaction actions[NSIG]; /* [lock]; handlers are also read without */
};

#define SIGNALS_STOP \
	(SIGMASK(SIGSTOP) | SIGMASK(SIGTSTP) | SIGMASK(SIGTTIN) | SIGMASK(SIGTTOU))
#define SIGNALS_IGNORE \
	(SIGMASK(SIGCHLD) | SIGMASK(SIGCONT) | SIGMASK(SIGURG) | SIGMASK(SIGWINCH))
#define SIGNALS_CORE \
	(SIGMASK(SIGQUIT) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | SIGMASK(SIGABRT) | \
	    SIGMASK(SIGFPE) | SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGSYS) | \
	    SIGMASK(SIGXCPU) | SIGMASK(SIGXFSZ))
#define SIGNALS_UNBLOCKABLE (SIGMASK(SIGKILL) | SIGMASK(SIGSTOP))

/* A signal on a queue, with what it says. */
struct queued_signal {
	struct list link;
	struct siginfo info;
	struct posix_timer *timer; /* [I] whose own it is; NULL: it is freed when taken */
	/* Of a timer's, p->lock: */
	struct thread *target; /* on whose queue it is; NULL: on the process's */
	bool is_queued;
};

/* p->lock held. A timer's signal, not queued, is queued unless it would be ignored. */
void signal_send_timer_locked(
    struct process *p, struct thread *target, struct queued_signal *q);
/* p->lock held. Takes a timer's off its queue if it is queued. */
void signal_drop_timer_locked(struct process *p, struct queued_signal *q);

/* p->lock held. The next signal not in `blocked`, taken off its queue; 0: none. */
int signal_dequeue_locked(struct thread *t, uint64_t blocked, struct siginfo *info);
/* p->lock held. THREAD_NEED_SIGNAL becomes what the queues and the mask say. */
void signal_recalc_locked(struct thread *t);
/* p->lock held. Makes the thread look at its signals soon, whatever it does; `kill`: also
 * from D. */
void signal_kick_locked(struct thread *t, bool kill);
/* p->lock held. Every thread of `p` but `except` looks at its signals. */
void signal_kick_all_locked(struct process *p, struct thread *except, bool kill);

/*
 * Builds the frame on the user's stack and points `frame` at the handler. false: the
 * stack cannot be written.
 */
bool sigframe_push(
    struct trap_frame *frame, const struct sigaction *action, const struct siginfo *info);
