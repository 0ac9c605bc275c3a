/* Signals: sending, and delivery on the way back to user mode. Linux numbers and
 * structures. */
#pragma once

#include "lib/err.h"
#include "lib/list.h"
#include "lib/types.h"

struct thread;
struct process;
struct trap_frame;

enum {
	SIGHUP = 1,
	SIGINT,
	SIGQUIT,
	SIGILL,
	SIGTRAP,
	SIGABRT,
	SIGBUS,
	SIGFPE,
	SIGKILL,
	SIGUSR1,
	SIGSEGV,
	SIGUSR2,
	SIGPIPE,
	SIGALRM,
	SIGTERM,
	SIGSTKFLT,
	SIGCHLD,
	SIGCONT,
	SIGSTOP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	SIGURG,
	SIGXCPU,
	SIGXFSZ,
	SIGVTALRM,
	SIGPROF,
	SIGWINCH,
	SIGIO,
	SIGPWR,
	SIGSYS,
	SIGRTMIN = 32,
	NSIG = 64,
};

#define SIGMASK(sig) (1ull << ((sig)-1))

/* The part of siginfo_t the kernel fills; written to user memory in Linux's layout. */
struct siginfo {
	int32_t signo, errno_, code;
	uint32_t pid, uid;    /* kill, SIGCHLD, rt queue */
	int32_t status;       /* SIGCHLD; the descriptor, of a file's signal */
	uint64_t value;       /* sigqueue; POLL* bits, of a file's signal */
	uint64_t addr;        /* faults */
	int64_t utime, stime; /* SIGCHLD, clock ticks */
};

enum {
	SI_USER = 0,
	SI_KERNEL = 0x80,
	SI_QUEUE = -1,
	SI_TIMER = -2,
	SI_TKILL = -6,
	ILL_ILLOPN = 2,
	ILL_PRVOPC = 5,
	FPE_INTDIV = 1,
	FPE_INTOVF = 2,
	FPE_FLTINV = 7,
	SEGV_MAPERR = 1,
	SEGV_ACCERR = 2,
	SEGV_BNDERR = 3,
	BUS_ADRALN = 1,
	BUS_ADRERR = 2,
	TRAP_BRKPT = 1,
	TRAP_TRACE = 2,
	SYS_SECCOMP = 1,
};

struct signal_queue {
	uint64_t pending;  /* set of signals */
	struct list infos; /* queued siginfo entries */
};

/* As rt_sigaction passes it on x86-64, and as we keep it. */
struct sigaction {
	uint64_t handler; /* SIG_DFL, SIG_IGN or the address of a function */
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

enum { SIG_DFL = 0, SIG_IGN = 1 };

enum {
	SA_NOCLDSTOP = 0x1,
	SA_NOCLDWAIT = 0x2,
	SA_SIGINFO = 0x4,
	SA_RESTORER = 0x04000000,
	SA_ONSTACK = 0x08000000,
	SA_RESTART = 0x10000000,
	SA_NODEFER = 0x40000000,
};
#define SA_RESETHAND 0x80000000ull
#define SA_KNOWN \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_RESTORER | SA_ONSTACK | \
	    SA_RESTART | SA_NODEFER | SA_RESETHAND)

/* siginfo.code of SIGCHLD. */
enum { CLD_EXITED = 1, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED };

struct signal_actions; /* counted; one struct sigaction a signal */
struct signal_actions *signal_actions_create(void); /* all default */
struct signal_actions *signal_actions_copy(const struct signal_actions *);
struct signal_actions *signal_actions_get(struct signal_actions *);
void signal_actions_put(struct signal_actions *);
/* exec: what has a handler becomes default. The table must not be shared. */
void signal_actions_reset(struct signal_actions *);
/* The handler (or SIG_*) and flags of one signal now. */
struct sigaction signal_action_of(const struct process *p, int sig);

void signal_init(void);
void signal_queue_flush(
    struct process *p, struct signal_queue *q); /* throws away what waits */
void signal_thread_exit(
    struct thread *t); /* drops its own, hands shared ones to other threads */

/* The current thread's mask; SIGKILL and SIGSTOP stay out of it. */
void signal_set_blocked(uint64_t mask);
/*
 * For ppoll and its like: sets the mask of user memory (NULL: nothing) until the call
 * ends, which says by signal_end_mask whether a signal interrupted it: then the handler
 * still runs under it.
 */
enum err signal_begin_mask(const uint64_t USER *mask, size_t setsize);
void signal_end_mask(bool was_interrupted);

/* Takes a pending signal of `set` off the current thread's queues: its number, or 0. */
int signal_take_from(uint64_t set, struct siginfo *info);

/* What waits in a queue, the process's or the thread's, by its place. false: no more. */
bool signal_peek(struct thread *t, bool is_shared, uint64_t index, struct siginfo *info);

/* siginfo_t in user memory: 128 bytes, the union's layout by signal and code. */
struct user_siginfo;
enum err siginfo_to_user(struct user_siginfo USER *to, const struct siginfo *from);
enum err siginfo_from_user(struct siginfo *to, const struct user_siginfo USER *from);

/* Any context that may take spinlocks; none above RANK_PROC held. info NULL: SI_KERNEL.
 */
enum err signal_send_process(struct process *, int sig, const struct siginfo *info);
enum err signal_send_thread(struct thread *, int sig, const struct siginfo *info);
enum err signal_send_pgroup(uint32_t pgid, int sig, const struct siginfo *info);
enum err signal_send_pgroup_locked(
    uint32_t pgid, int sig, const struct siginfo *info); /* tree */

/* A fault of the current thread: cannot be blocked or ignored (then it kills). */
void signal_fault(int sig, int code, vaddr_t addr);
void signal_force(const struct siginfo *info); /* the same, with all it says */

/* Whether it tells of a file: enum poll_code, or SI_SIGIO. */
bool siginfo_is_of_file(const struct siginfo *);

bool signal_is_pending(const struct thread *);       /* one that is deliverable */
bool signal_is_fatal_pending(const struct thread *); /* SIGKILL or exit_group */

/*
 * Called by entry code with interrupts on before it returns to user mode when
 * THREAD_NEED_SIGNAL is set: restarts or fails an interrupted system call, delivers
 * signals, stops or ends the process.
 */
void signal_deliver(struct trap_frame *frame);
