/* Shared by the files of kernel/proc: the steps of a process's life. */
#pragma once

#include "kernel/proc/process.h"

struct rusage;
struct trap_frame;

/* process.c */
struct process *process_create(
    void); /* one reference, nothing filled in; NULL: no memory */
void process_publish(
    struct process *p, struct process *parent);    /* pid, leader, group from parent */
struct process *process_find_locked(uint32_t pid); /* tree lock: no reference */
/* Tree lock: p becomes the last child of `parent`, with the news it has. */
void process_adopt_locked(struct process *p, struct process *parent);
/* Tree lock: p stands, or no longer stands, among the children wait has to look at. */
void process_has_news_locked(struct process *p);
void process_forget_news_locked(struct process *p);
void process_unpublish_locked(
    struct process *p); /* tree lock: a reaped zombie leaves the tables */
void process_add_thread(struct process *p, struct thread *t);
void process_remove_thread(
    struct process *p, struct thread *t);    /* of the tables; keeps its times */
void process_drop_leader(struct process *p); /* a reaped process: no lock held */
void process_rename_thread(
    struct thread *t, uint32_t tid); /* exec by another than the leader */
void process_set_cred(struct process *p, struct cred *new); /* takes the reference */

/* session.c; all with the tree lock held. */
void session_init(void);
void pgroup_join_locked(struct process *p, struct pgroup *g);
void pgroup_leave_locked(struct process *p);
struct pgroup *pgroup_find_locked(uint32_t pgid);
enum err session_start_first(
    struct process *p); /* init: session and group of its own; no lock */
bool pgroup_is_orphaned_locked(const struct pgroup *g, const struct process *except);
/* `p` exits: groups it orphans that have stopped members get SIGHUP, SIGCONT. */
void pgroup_check_orphans_locked(struct process *p);
/* The exit of a session leader; no lock held. */
void session_leader_exit(struct process *p);
/* The number may be used again unless a process, group or session still has it. */
void pid_release_locked(uint32_t pid);

/* exit.c */
NORETURN void process_exit_thread(
    int status); /* the current one, and the process with the last */
void process_release_vfork(struct process *p);
/* PR_SET_CHILD_SUBREAPER of the current process. No lock held. */
void process_set_subreaper(bool is_subreaper);
/* A zombie's parent is told, tree lock held. true: it wants none, and the zombie is
 * reaped: process_reaped. */
bool process_tell_parent_locked(struct process *p);
/* Drops what the tables had of a process that process_reap_locked took out. No lock held. */
void process_reaped(struct process *p);
/* exit, exec: tells futex waiters that this thread is leaving its address space. */
void thread_release_user_memory(struct thread *t);

/* itimer.c, posix_timer.c */
void itimers_init(struct process *p);
void itimers_stop(struct process *p);      /* exit */
void posix_timers_free(struct process *p); /* exit and exec */
struct posix_timer;
/* p->lock held. Its signal is taken off the queue to be delivered: how often it expired
 * meanwhile; it goes on. */
uint32_t posix_timer_taken_locked(struct posix_timer *t);

/* The options of prctl that are about what is kept (prctl_values.c), and those about capabilities
 * (prctl_caps.c), which it asks in turn. ERR_INVAL: it is none of them. */
long prctl_values(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5);
long prctl_caps(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5);
