/*
 * A process: what its threads share. The thread group's leader has tid == pid. Lookups by pid
 * are RCU reads of a hash table; the family tree, groups and sessions are under proc_tree_lock.
 */
#pragma once

#include "kernel/proc/cred.h"
#include "kernel/sched/thread.h"
#include "kernel/proc/signal.h"
#include "kernel/sync/rcu.h"

struct fd_table;
struct fs_context;
struct aspace;
struct tty;

/* Linux's resource numbers. */
enum {
	RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS,
	RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS,
	RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME,
	RLIMITS,
};
#define RLIM_INFINITY UINT64_MAX

struct rlimit {
	uint64_t cur, max;
};

struct session {
	uint32_t sid;	 /* [I] */
	uint32_t refs;	 /* [a] */
	struct tty *tty; /* [tree] controlling terminal or NULL: drivers/char/tty.h */
};

struct pgroup {
	uint32_t pgid; /* [I] */
	uint32_t refs;
	struct session *session; /* [I] */
	struct list members;	 /* [tree] processes */
	struct list hash_link;
};

struct process {
	uint32_t pid; /* [I] */
	uint32_t refs;
	struct rcu_head rcu;
	struct list hash_link; /* by pid, RCU */
	struct spinlock lock;

	struct process *parent;	      /* [tree] who waits for it */
	struct list children;	      /* [tree] */
	struct list sibling_link;
	struct pgroup *pgroup;	      /* [tree] */
	struct list pgroup_link;

	struct list threads;	      /* [lock] */
	uint32_t num_threads;	      /* [lock] */
	struct thread *leader;

	struct aspace *aspace;	      /* [I] until exec or exit */
	struct fd_table *fds;
	struct fs_context *fs;
	struct cred *cred;	      /* [RCU] replaced whole */
	struct signal_actions *sigactions; /* shared by CLONE_SIGHAND */
	struct signal_queue shared_pending;

	struct rlimit rlimits[RLIMITS];
	bool is_zombie;		      /* [tree] */
	bool is_stopped, stop_reported, continued_reported; /* [tree] */
	bool has_execed;	      /* for setpgid's EACCES */
	int exit_status;	      /* as wait4 gives it */
	int stop_signal;
	int exit_signal;	      /* sent to the parent, SIGCHLD as a rule */
	struct wait_queue child_wait; /* wait4 sleeps here */

	/* Times of threads that ended, and of waited-for children; ns. */
	nsec_t utime_ns, stime_ns, child_utime_ns, child_stime_ns;
	nsec_t start_ns;
	uint64_t min_faults, maj_faults;
	struct wait_queue *vfork_done;	/* a vfork parent waits until exec or exit */
	char *exe_path;
};

static inline struct process *
current_process(void)
{
	return current_thread()->process;
}

struct process *process_find(uint32_t pid); /* a reference, or NULL; zombies included */
struct process *process_get(struct process *);
void process_put(struct process *);
struct thread *thread_find(uint32_t tid); /* a reference, or NULL; user threads only */

/* Calls fn for each process in pid order under RCU until it returns false. */
void process_for_each(bool (*fn)(struct process *, void *), void *arg);

/* PID 1 from the kernel's own thread: starts `path` with argv/envp on the console. */
enum err process_start_init(const char *path, const char *const argv[], const char *const envp[]);

/* Ends every thread of the current process; status as wait4 encodes it. */
NORETURN void process_exit_group(int status);
