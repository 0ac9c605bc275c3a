/*
 * A process: what its threads share. The thread group's leader has tid == pid. Lookups by
 * pid are RCU reads of a hash table; the family tree, groups and sessions are under
 * proc_tree_lock.
 *
 * Life: process_create, threads join by process_add_thread, process_publish makes it
 * findable; the last thread to exit makes it a zombie (exit.c), wait.c reaps it, the last
 * reference frees it.
 */
#pragma once

#include "kernel/proc/cred.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/timer.h"
#include "lib/rbtree.h"

struct fd_table;
struct fs_context;
struct aspace;
struct posix_timers;
struct tty;

/* Linux's resource numbers. */
enum {
	RLIMIT_CPU,
	RLIMIT_FSIZE,
	RLIMIT_DATA,
	RLIMIT_STACK,
	RLIMIT_CORE,
	RLIMIT_RSS,
	RLIMIT_NPROC,
	RLIMIT_NOFILE,
	RLIMIT_MEMLOCK,
	RLIMIT_AS,
	RLIMIT_LOCKS,
	RLIMIT_SIGPENDING,
	RLIMIT_MSGQUEUE,
	RLIMIT_NICE,
	RLIMIT_RTPRIO,
	RLIMIT_RTTIME,
	RLIMITS,
};
#define RLIM_INFINITY UINT64_MAX

/* personality(2), by Linux's number. */
enum { ADDR_NO_RANDOMIZE = 0x0040000 };

struct rlimit {
	uint64_t cur, max;
};

/* Lives while it has groups. */
struct session {
	uint32_t sid;          /* [I] */
	uint32_t num_groups;   /* [tree] */
	struct list hash_link; /* [tree] */
	struct tty *tty; /* [tree] controlling terminal or NULL: drivers/char/tty.h */
	uint32_t hangup_pgid; /* [tree] in its foreground when it was hung up, or 0 */
};

/* Lives while it has members. */
struct pgroup {
	uint32_t pgid;           /* [I] */
	struct session *session; /* [I] */
	struct list members;     /* [tree] processes, zombies included */
	struct list hash_link;   /* [tree] */
};

/* setitimer's three, by Linux's numbers. */
enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, ITIMERS };

struct itimer {
	struct timer timer;
	struct process *process;
	uint32_t which;
	nsec_t expires_ns;  /* [lock] on its clock: monotonic, or CPU time used; 0:
	                       disarmed */
	nsec_t interval_ns; /* [lock] */
};

struct process {
	uint32_t pid;  /* [I] */
	uint32_t refs; /* [a] */
	struct rcu_head rcu;
	struct list hash_link; /* [tree, R] by pid */
	struct spinlock lock;

	struct process *parent;   /* [tree] who waits for it */
	uint32_t creator_tid;     /* [I] the thread that made it: PTRACE_TRACEME */
	struct list tracees;      /* [tree] threads its threads trace: struct trace */
	struct list children;     /* [tree] */
	struct list sibling_link; /* [tree] */
	struct rb_root news;      /* [tree] children with something to tell, by born_as */
	struct rb_node news_link; /* [tree] in the parent's, if is_news */
	uint64_t born_as;         /* [tree] rises in the order of the parent's children */
	bool is_news;             /* [tree] */
	struct pgroup *pgroup;    /* [tree] */
	struct list pgroup_link;  /* [tree] */
	bool is_zombie;           /* [tree] */
	bool has_stop_news;       /* [tree] stopped, and no wait has told it yet */
	bool has_continue_news;   /* [tree] */
	bool has_execed;          /* [tree] setpgid by the parent is refused */
	bool is_subreaper;        /* [tree] */
	bool has_subreaper;       /* [tree] it may have an ancestor that is one */
	bool is_helper;           /* [I] nobody waits for it: kernel/proc/helper.h */

	struct list threads;  /* [lock] */
	uint32_t num_threads; /* [lock] those not yet gone; read without */
	struct thread
	    *leader; /* [lock] a reference, until it is reaped: process_leader */
	struct thread *exec_thread; /* [lock] this one execs, the others must go */
	uint32_t num_execs; /* [lock] execs that have chosen their credentials: no tracer
	                       comes then; exec_wait */
	bool is_exiting; /* [lock] exit_group or a fatal signal: every thread must go */
	/* [lock] the thread that writes the core file: the others stay where they are
	 * (core_wait) until it has; and SIGKILL has come, which cuts it short. */
	struct thread *core_dumper;
	bool is_core_cut;
	bool is_stopped; /* [lock] by a job-control signal; threads park at stop_wait */
	bool is_stop_taken; /* [lock] a thread is about to stop the process; SIGCONT
	                       clears it */
	bool is_stop_told,
	    is_continue_due; /* [lock] the parent has been, is to be told */
	bool no_new_privs;
	uint8_t stop_signal;         /* [lock] */
	uint8_t exit_signal;         /* sent to the parent, SIGCHLD as a rule, 0: none */
	uint32_t num_parked;         /* [lock] threads at stop_wait */
	int exit_status;             /* [lock] as wait4 gives it */
	struct wait_queue stop_wait; /* stopped threads, until SIGCONT */
	struct wait_queue exec_wait; /* an exec waits for the other threads */
	struct wait_queue
	    core_wait; /* core_dumper and the other threads, for each other */
	struct wait_queue exit_wait;  /* polls of a pidfd, until it is a zombie */
	struct wait_queue child_wait; /* [tree conditions] wait4 sleeps here */

	struct aspace *aspace; /* [lock] NULL once it exits; a reference for others:
	                          process_aspace */
	struct cred *cred;     /* [R] replaced whole */
	struct signal_actions *sigactions;  /* shared by CLONE_SIGHAND */
	struct signal_queue shared_pending; /* [lock] */
	struct wait_queue signalfd_wait;    /* woken for each signal that comes */
	uint32_t num_queued_signals;        /* [a] against RLIMIT_SIGPENDING */

	struct rlimit rlimits[RLIMITS]; /* [lock] written; words read without */
	struct itimer itimers[ITIMERS];
	struct posix_timers *posix_timers; /* [lock] or NULL */
	struct list sem_undos;             /* [lock] kernel/ipc/sysv_sem.c */

	/* Times of threads that ended, and of waited-for children; ns. [lock] */
	nsec_t utime_ns, stime_ns, child_utime_ns, child_stime_ns;
	nsec_t told_utime_ns, told_stime_ns; /* what process_times said last */
	uint64_t nvcsw, nivcsw, child_nvcsw, child_nivcsw;
	struct io_count io; /* not the children's */
	uint64_t min_faults, maj_faults, child_min_faults, child_maj_faults;
	uint64_t max_resident, child_max_resident; /* pages */
	nsec_t start_ns;

	bool is_vfork_child; /* [lock] the parent waits at vfork_wait for exec or exit */
	struct wait_queue vfork_wait;
	int16_t oom_score_adj;     /* [lock] /proc/PID/oom_score_adj: mm/oom.h */
	int16_t oom_score_adj_min; /* [lock] lower needs CAP_SYS_RESOURCE */
	bool is_oom_victim;        /* [a] until its memory is given back */
	nsec_t oom_deadline_ns;    /* of a victim: then another is chosen as well */
	uint32_t personality;
	char *exe_path; /* [lock] */
};

extern struct spinlock proc_tree_lock;
extern struct process *init_process; /* PID 1 */

static inline struct process *
current_process(void)
{
	return current_thread()->process;
}

struct process *process_find(uint32_t pid); /* a reference, or NULL; zombies included */
struct process *process_get(struct process *);
void process_put(struct process *);
struct thread *thread_find(uint32_t tid); /* a reference, or NULL; user threads only */

/* References to what another process has, or NULL when it has exited (the leader: been
 * reaped). */
struct thread *process_leader(struct process *);
struct aspace *process_aspace(struct process *);
struct cred *process_cred(struct process *);

/* References to what a user thread has, or NULL when it has exited. */
struct fd_table *thread_fds(struct thread *);
struct fs_context *thread_fs(struct thread *);

/* The current thread gets another place in the file system; the old one is the caller's to leave. */
struct fs_context *thread_replace_fs(struct fs_context *);

/* Both together, while a thread is made and when it has ended. NULL: there is none. */
struct thread_files {
	struct fd_table *fds;
	struct fs_context *fs;
};
void thread_files_drop(struct thread_files *);

/* The first pid from `from` on that a process has, or 0: for lists that go on later. */
uint32_t process_next_pid(uint32_t from);

/* Calls fn for each process in pid order under RCU until it returns false. */
void process_for_each(bool (*fn)(struct process *, void *), void *arg);

/* CPU time of all its threads, past and present. */
void process_times(struct process *, nsec_t *utime_ns, nsec_t *stime_ns);
/* What all its threads, past and present, read and wrote. */
void process_io(struct process *, struct io_count *io);

/* Group, session and parent as numbers; 0 when there is none (a child of the kernel). */
uint32_t process_pgid(struct process *);
uint32_t process_sid(struct process *);
uint32_t process_parent_pid(struct process *);

/* 'R' 'S' 'D' 'T' 't' 'Z' as ps shows it. */
char process_state_letter(struct process *);

/* The same of one user thread; 'X': it has ended. */
char thread_state_letter(const struct thread *);

struct seq;
void posix_timers_show(struct seq *, struct process *); /* /proc/PID/timers */

/* Before the first process: caches and tables. */
void process_init(void);

/* PID 1 from the kernel's own thread: starts `path` with argv/envp on the console. */
enum err process_start_init(
    const char *path, const char *const argv[], const char *const envp[]);

/* Ends every thread of the current process; status as wait4 encodes it. */
NORETURN void process_exit_group(int status);
enum { STATUS_CORE = 0x80 };
/* The same by a signal that kills it, with a core file if it is one that makes some. */
NORETURN void process_exit_by_signal(const struct siginfo *info);
