/* The part of System V semaphores that processes know: SEM_UNDO. */
#pragma once

struct process;

/* The process ends: what its operations with SEM_UNDO did is taken back. */
void sysv_sem_exit(struct process *);
