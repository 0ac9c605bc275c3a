/*
 * Running out of memory: which process must go so that the others can go on, and how its
 * memory comes back at once. A page fault that finds no memory asks for room; allocations
 * of the kernel fail instead, and their callers say ENOMEM.
 *
 * The victim is who has most memory in use, corrected by oom_score_adj (proc(5)): never
 * process 1, nor one whose correction says never. It and all who share its address space
 * get SIGKILL and may use the reserve until they are gone; its private memory is taken from
 * under it. While a victim has its memory, nobody else is chosen, but for a few seconds.
 */
#pragma once

#include "lib/types.h"

struct process;

enum { OOM_SCORE_ADJ_MIN = -1000, OOM_SCORE_ADJ_MAX = 1000 };

/* [a] As in /proc/sys/vm, by mm/sysctl.c. */
extern uint64_t oom_kill_allocating_task, oom_dump_tasks, panic_on_oom;

enum oom_answer {
	OOM_WAITED,   /* somebody ends, or has ended: try again */
	OOM_THERE_IS, /* a page could be had: try again */
	OOM_GIVE_UP,  /* this process must end */
};

/*
 * After an allocation failed on behalf of the current process: makes room. Sleeps; of locks
 * only such are held under which an address space may be locked.
 */
enum oom_answer oom_make_room(void);

/* What /proc/PID/oom_score says: 0 is never chosen. */
unsigned oom_score(struct process *);

/*
 * Sets the correction of the process and of all that share its memory. Lowering it needs
 * CAP_SYS_RESOURCE (ERR_ACCES).
 */
enum err oom_score_adj_set(struct process *, int adj);

/* The process has given back its memory. */
void oom_victim_exit(struct process *);
