/*
 * FPU and vector state of threads (SDM vol. 1, chapter 13). The kernel itself uses none
 * of these registers. Saved when a user thread leaves its CPU, loaded when it comes back
 * unless the registers still hold its state (cpu->fpu_owner).
 */
#pragma once

#include "lib/err.h"
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
void fpu_save_current(void);                 /* into its struct thread */
void fpu_reset(struct fpu_state *);          /* of a thread that has not run */

/*
 * The state of a thread that sleeps, or of the current one after fpu_save_current, as
 * debuggers and core files want it: the FXSAVE image (FPU_LEGACY_SIZE) or the whole XSAVE
 * area (fpu_image_size), parts in their initial state filled in. Setting takes the same,
 * of a thread that sleeps: ERR_INVAL, and nothing changes, for what XRSTOR would fault on.
 */
enum { FPU_LEGACY_SIZE = 512 };
size_t fpu_image_size(void); /* 0: the processor has no XSAVE */
void fpu_get_image(const struct fpu_state *, void *image, size_t size);
enum err fpu_set_image(struct fpu_state *, const void *image, size_t size);
