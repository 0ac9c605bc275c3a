/* What a process tells its parent, and what resources it used: exit.c, signal_deliver.c,
 * wait.c. */
#pragma once

#include "kernel/time/timespec.h"
#include "lib/types.h"

struct process;

/* Linux's struct rusage; the fields that are always 0 there are 0 here too. */
struct rusage {
	struct timeval utime, stime;
	int64_t max_rss_kib, ixrss, idrss, isrss, min_faults, maj_faults, nswap, in_block,
	    out_block, msg_sent, msg_received, nsignals, nvcsw, nivcsw;
};

/*
 * Tells the parent that `p` stopped or continued (CLD_*): SIGCHLD unless it has
 * SA_NOCLDSTOP, and wakes its wait calls. No lock held.
 */
void process_report(struct process *p, int code);

/* CLD_* of an exit status. */
int process_exit_code(int status);

/* The siginfo of SIGCHLD for `p` and its wait status. Tree lock held. */
struct siginfo process_child_info_locked(struct process *p, int code, int status);

/*
 * Takes a zombie out of the world: its times go to the parent, its pid may be used again.
 * Tree lock held; without it, the caller then calls process_drop_leader and puts the
 * reference the tables had (process_reaped).
 */
void process_reap_locked(struct process *p);

/* RUSAGE_SELF's figures of a process, zombies included. */
void process_rusage(struct process *p, struct rusage *ru);
