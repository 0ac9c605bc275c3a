/*
 * FPU and vector state of threads (SDM vol. 1, chapter 13). The kernel itself uses none
 * of these registers. Saved when a user thread leaves its CPU, loaded when it comes back
 * unless the registers still hold its state (cpu->fpu_owner).
 */
#pragma once

#include "lib/types.h"

struct thread;
struct fpu_state;

void fpu_init_cpu(void); /* each CPU, after features_enable */

struct fpu_state *fpu_alloc(void); /* to be filled by a copy or reset; NULL: no memory */
void fpu_free(struct fpu_state *);

/* Interrupts off. */
void fpu_switch(struct thread *prev, struct thread *next);

void fpu_copy_current(struct fpu_state *to); /* the current thread's state: fork */
void fpu_reset_current(void);                /* exec */
void fpu_reset(struct fpu_state *);          /* of a thread that has not run */
