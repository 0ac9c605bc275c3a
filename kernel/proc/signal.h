/* Signals: sending, and delivery on the way back to user mode. Linux numbers and structures. */
#pragma once

#include "lib/err.h"
#include "lib/list.h"
#include "lib/types.h"

struct thread;
struct process;
struct trap_frame;

enum {
	SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
	SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
	SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR,
	SIGSYS, SIGRTMIN = 32, NSIG = 64,
};

#define SIGMASK(sig) (1ull << ((sig) - 1))

/* The part of siginfo_t the kernel fills; written to user memory in Linux's layout. */
struct siginfo {
	int32_t signo, errno_, code;
	uint32_t pid, uid;   /* kill, SIGCHLD, rt queue */
	int32_t status;	     /* SIGCHLD */
	uint64_t value;	     /* sigqueue */
	uint64_t addr;	     /* faults */
	int64_t utime, stime; /* SIGCHLD, clock ticks */
};

enum {
	SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6,
	ILL_ILLOPN = 2, ILL_PRVOPC = 5, FPE_INTDIV = 1, FPE_INTOVF = 2, FPE_FLTINV = 7,
	SEGV_MAPERR = 1, SEGV_ACCERR = 2, SEGV_BNDERR = 3, BUS_ADRALN = 1, BUS_ADRERR = 2,
	TRAP_BRKPT = 1, TRAP_TRACE = 2,
};

struct signal_queue {
	uint64_t pending; /* set of signals */
	struct list infos; /* queued siginfo entries */
};

struct signal_actions; /* counted; 64 sigaction entries */

/* Any context that may take spinlocks. info NULL: SI_KERNEL. */
enum err signal_send_process(struct process *, int sig, const struct siginfo *info);
enum err signal_send_thread(struct thread *, int sig, const struct siginfo *info);
enum err signal_send_pgroup(uint32_t pgid, int sig, const struct siginfo *info);

/* A fault of the current thread: cannot be blocked or ignored (then it kills). */
void signal_fault(int sig, int code, vaddr_t addr);

bool signal_is_pending(const struct thread *);	     /* one that is deliverable */
bool signal_is_fatal_pending(const struct thread *); /* SIGKILL or exit_group */

/*
 * Called by entry code with interrupts on before it returns to user mode when THREAD_NEED_SIGNAL is
 * set: restarts or fails an interrupted system call, delivers signals, stops or ends the process.
 */
void signal_deliver(struct trap_frame *frame);
