/*
 * Threads: what the scheduler runs. A kernel thread has no process; a user thread belongs
 * to one (kernel/proc/process.h). Owned by references: thread_get/thread_put; the
 * scheduler holds one while the thread lives. Each runs on its own guarded kernel stack.
 */
#pragma once

#include "kernel/sched/cpumask.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include "lib/types.h"

struct process;
struct aspace;
struct fd_table;
struct fpu_state;
struct fs_context;
struct seccomp_filter;
struct trace;
struct trap_frame;

enum {
	KERNEL_STACK_SIZE = 16384, /* plus a guard page below */
	MCE_KILL_DEFAULT = 2,      /* of thread->mce_kill, by Linux's number */
	THREAD_NAME_LEN = 16,      /* with the NUL, as Linux's comm */
	MAX_HELD_MUTEXES = 12,
	DEFAULT_TIMER_SLACK_NS = 50000, /* Linux's */
};

/* One sleeping lock a thread holds: a mutex, or a rwsem shared or alone. */
struct held_mutex {
	const void *lock;
	const char *name;
	const void *caller;
	uint32_t rank;
};

enum thread_state {
	THREAD_RUNNABLE, /* on a run queue or running */
	THREAD_SLEEPING, /* interruptible: S */
	THREAD_BLOCKED,  /* uninterruptible: D */
	THREAD_STOPPED,  /* by a job-control signal: T */
	THREAD_DEAD,
};

/*
 * Scheduling levels, strongest first. A runnable RealTime thread always runs before the
 * others (but for 5% of each second, which throttling keeps for them). The others share
 * the CPU by the weights of their nice values, so none starves; among them a thread that
 * wakes preempts a weaker level at once while it is within its share.
 */
enum sched_level {
	SCHED_LEVEL_REALTIME, /* SCHED_FIFO, SCHED_RR by priority 1..99 */
	SCHED_LEVEL_HIGH,     /* nice < 0 */
	SCHED_LEVEL_NORMAL,   /* nice 0..9, SCHED_BATCH */
	SCHED_LEVEL_LOW,      /* nice >= 10 */
	SCHED_LEVEL_IDLE,     /* SCHED_IDLE */
	SCHED_LEVELS,
};

/* Linux's numbers. */
enum sched_policy {
	SCHED_NORMAL = 0,
	SCHED_FIFO = 1,
	SCHED_RR = 2,
	SCHED_BATCH = 3,
	SCHED_IDLE = 5,
	SCHED_DEADLINE = 6, /* known by name; no thread has it */
	SCHED_RESET_ON_FORK = 0x40000000,
};

/* What read and write moved, and how often they were called: /proc/PID/io. */
struct io_count {
	uint64_t rchar, wchar, syscr, syscw;
};

/* rseq(2): kernel/proc/rseq.h. */
struct thread_rseq {
	void USER *area; /* NULL: not registered */
	uint32_t len, signature;
	uint32_t cpu; /* the one that the area tells */
};

struct thread {
	uint64_t kernel_sp; /* +0: saved by context_switch (switch.asm) */
	void *stack_base;   /* [I] lowest usable byte of the kernel stack */
	char name[THREAD_NAME_LEN];
	uint32_t tid;   /* [I] Linux tid; kernel threads have one too */
	uint32_t refs;  /* [a] */
	uint32_t state; /* [a] enum thread_state */
	uint32_t flags; /* [a] THREAD_* */

	struct process *process; /* [I] NULL for a kernel thread */
	struct aspace *aspace;   /* address space to load; NULL: borrow the last one */
	/* Threads of a process share them as a rule; changed by the thread itself. NULL: it has ended,
	 * or is a kernel thread. A reference for others: thread_fds, thread_fs. */
	struct fd_table *fds;     /* [process lock] */
	struct fs_context *fs;    /* [process lock] */
	struct list process_link; /* [process lock] in process->threads */
	struct list all_link;     /* in the list of all threads */
	struct list tid_link; /* [tree, R] user threads by tid: kernel/proc/process.c */

	struct rcu_head rcu; /* for its freeing */

	/* Scheduling: owned by kernel/sched; [rq] is the lock of the run queue of `cpu`.
	 */
	struct {
		struct cpu *cpu;         /* [rq] where it runs or ran last */
		uint8_t level;           /* [rq] enum sched_level */
		uint8_t policy;          /* [rq] enum sched_policy */
		int8_t nice;             /* [rq] */
		uint8_t rt_priority;     /* [rq] 1..99, 0 for other policies */
		uint8_t inherited;       /* [rq] from who waits for its locks, or 0 */
		uint8_t run_priority;    /* [rq] the greater: 0 means not RealTime */
		bool is_queued;          /* [rq] runnable: on a queue, or running */
		bool is_running;         /* [rq] on a CPU now: its stack is in use */
		bool is_killable;        /* [own] a fatal signal ends this sleep */
		bool resets_on_fork;     /* [rq] SCHED_RESET_ON_FORK */
		uint32_t weight;         /* [rq] share by nice value */
		uint32_t inverse_weight; /* [rq] 2^32 / weight */
		union {
			struct rb_node node; /* [rq] among the fair, by vruntime */
			struct list link;    /* [rq] of one real-time priority */
		};
		uint64_t vruntime; /* [rq] weighted run time, ns */
		uint64_t owed; /* [rq] of it, what it is given back in turns: rq_move */
		nsec_t run_start_ns;  /* [rq] when its time was last charged */
		nsec_t slice_used_ns; /* [rq] since it was picked */
		nsec_t rt_run_ns;     /* [rq] as RealTime since it slept last */
		nsec_t
		    wait_since_ns; /* [rq] runnable, but another ran; 0: it did not wait */
		nsec_t wait_ns;    /* [rq] all of that so far */
		struct cpumask affinity; /* [rq] */
	} sched;

	/* Locks with priority inheritance: kernel/sched/inherit.c, under its lock. */
	struct {
		struct rb_root owned; /* those for which others wait, strongest first */
		struct inherit_waiter *waits_for;
		bool has_ended; /* nobody may wait for it any more */
	} inherit;

	/* Accounting, ns; written by the owning CPU. Up to date only while it does not
	 * run. */
	nsec_t utime_ns, stime_ns;
	uint64_t nvcsw, nivcsw;
	struct io_count io; /* its own */
	nsec_t start_ns;    /* [I] monotonic time of creation */

	/* x86 state saved across switches (kernel/x86). */
	uint64_t fs_base, gs_base;
	struct fpu_state *fpu; /* NULL for kernel threads */

	struct seccomp_filter *seccomp; /* [process lock] read without; NULL: none */
	struct trace *trace; /* [process lock] NULL: never traced: kernel/proc/ptrace.h */

	/* Signals of this thread: owned by kernel/proc/signal.c. */
	uint64_t sig_blocked;
	uint64_t sig_waited; /* blocked ones that rt_sigtimedwait waits for */
	uint64_t sig_pending;
	struct list sig_queue;
	uint64_t sig_saved_mask;
	uint64_t sig_altstack_sp, sig_altstack_size;
	uint32_t sig_altstack_flags;
	uint32_t mem_policy; /* mode and flags of set_mempolicy: mm/mempolicy.c */
	uint64_t mem_nodes;

	uint32_t USER
	    *clear_child_tid; /* CLONE_CHILD_CLEARTID: zeroed and woken at exit */
	uint32_t USER *set_child_tid;
	void USER *robust_list;
	struct thread_rseq rseq;
	uint64_t timer_slack_ns, default_slack_ns; /* told; timers are exact */
	uint16_t ioprio;       /* ioprio_set: kept for those who ask */
	uint8_t pdeath_signal; /* prctl(PR_SET_PDEATHSIG) */
	uint8_t
	    mce_kill; /* prctl(PR_MCE_KILL): told; broken memory in use kills at once */
	int exit_code;

	struct wait_queue joiners; /* woken when the thread is dead */

	/* Restart of an interrupted timed call: see ERR_RESTART_BLOCK. */
	long (*restart_fn)(struct thread *);
	uint64_t restart_args[4];

	void (*entry)(void *); /* kernel threads */
	void *arg;

	uint32_t fail_nth; /* [own] the allocation that fails: mm/fail_alloc.h; 0: none */

	/* Sleeping locks held, for the rank check and the panic report (debug builds). */
	struct held_mutex held_mutexes[MAX_HELD_MUTEXES];
	uint32_t num_held_mutexes;
};

enum {
	THREAD_NEED_SIGNAL =
	    1 << 0, /* look at pending signals before going to user mode */
	THREAD_IS_KERNEL = 1 << 1,
	THREAD_EXITING = 1 << 2,
	THREAD_RESTORE_MASK = 1
	                      << 3, /* sig_saved_mask comes back on return to user mode */
	THREAD_EXITED = 1 << 4,     /* will not run its own code any more */
	THREAD_OWNS_TID = 1 << 5,   /* its tid is freed with it */
	THREAD_TRACED = 1 << 6,     /* has a tracer; [process lock] */
	THREAD_RSEQ_DUE = 1 << 7,   /* rseq_return before going to user mode */
	THREAD_RETURN_WORK = THREAD_NEED_SIGNAL | THREAD_RSEQ_DUE,

	/*
	 * The second byte: its system calls go the long way (syscall_dispatch), or it has
	 * debug registers to be loaded. A CPU keeps the byte of its thread in call_work:
	 * changed for the current thread by thread_set_work, else while it does not run.
	 */
	THREAD_CALL_LOGGED = 1 << 8,    /* strace= on the command line */
	THREAD_CALL_TRACED = 1 << 9,    /* stops before and after each call */
	THREAD_CALL_EMULATED = 1 << 10, /* stops before each call, which is not done */
	THREAD_CALL_STEPPED = 1 << 11,  /* single step: a call is one instruction */
	THREAD_CALL_FILTERED = 1 << 12, /* seccomp judges its calls */
	THREAD_HAS_BREAKPOINTS = 1 << 13,
	THREAD_WORK = 0xff00,

	THREAD_LEAVING = 1 << 16, /* has begun to exit; [process lock] set */
	THREAD_IN_CORE = 1 << 17, /* and stands by while the core file is written */
};

/*
 * Makes a kernel thread, not yet running: thread_start lets it go. It ends by returning
 * from `entry`. NULL: no memory. The caller owns one reference.
 */
struct thread *thread_create_kernel(const char *name, void (*entry)(void *), void *arg);

/*
 * Makes a user thread of `process` whose first act is to return to user mode with `frame`
 * (copied to the top of its kernel stack). Not yet running. NULL: no memory. Scheduling
 * parameters are those of the current thread (fork). `tid` is the caller's by tid_alloc or
 * tid_take: that of the first thread of a process (process->leader is NULL) is process->pid,
 * which stays the process's to free, another thread has it freed with itself.
 */
struct thread *thread_create_user(struct process *process, const char *name,
    const struct trap_frame *frame, uint32_t tid);

/* Makes a new thread runnable. The scheduler takes a reference, until the thread has
 * ended. */
void thread_start(struct thread *);

/*
 * Any sleep ends, whatever the mode: the sleeper looks at its condition again. Any
 * context in which RANK_RUN_QUEUE may be taken. Returns whether it was asleep (or
 * stopped).
 */
bool thread_wake(struct thread *);
bool thread_wake_interruptible(
    struct thread *); /* only from THREAD_SLEEPING; for signals */
bool thread_wake_killable(
    struct thread *); /* and from stops and killable sleeps: fatal signals */

/*
 * Sets the current thread's state before it looks at the condition it will sleep for; a
 * full memory barrier. Then schedule() sleeps, unless a wake-up came between.
 */
void thread_set_state(enum thread_state);

NORETURN void thread_exit(void);   /* ends the current thread */
void thread_join(struct thread *); /* sleeps until it has ended; needs a reference */

struct thread *thread_get(struct thread *);
void thread_put(
    struct thread *); /* frees it with the last reference, in thread context */

/* Until a thread that is on its way to sleep has left the CPU, so that all its registers are in memory.
 * The caller sees to it that it stays asleep; sleeps. */
void thread_wait_asleep(const struct thread *);

/* Gives up the CPU. thread_yield stays runnable; schedule() runs whatever is next. */
void thread_yield(void);
void schedule(void);
void thread_sleep_ns(nsec_t duration); /* uninterruptible, kernel threads */

/* Scheduling parameters as system calls set them; checks are the caller's. */
enum err thread_set_policy(struct thread *, int policy, int nice, int rt_priority);
enum err thread_set_affinity(struct thread *, const struct cpumask *);

/* Calls fn for every thread, oldest first, under RCU until it returns false. */
void thread_for_each(bool (*fn)(struct thread *, void *arg), void *arg);

/*
 * Allocation of tids/pids: one space, as Linux. 0: none left. 1 is init's and never given
 * out: it need not be allocated or freed.
 */
enum { TID_MAX_LEAST = 301, TID_LIMIT = 4194304 }; /* bounds of tid_max */
uint32_t tid_alloc(void);
bool tid_take(uint32_t tid); /* one below tid_max; false: it is in use */
void tid_free(uint32_t tid);
uint32_t tid_next(uint32_t from); /* the first in use from there on, or 0; no lock */
/* /proc/sys/kernel/pid_max: no number so high is given from now on; within the bounds. ERR_NOMEM. */
uint32_t tid_max(void);
enum err tid_set_max(uint32_t max);
