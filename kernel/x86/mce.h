/* Machine checks (SDM vol. 3, chapter 16). */
#pragma once

#include "lib/types.h"

struct trap_frame;

void mce_init_cpu(void); /* each CPU: enables reporting of every bank */

/*
 * #MC in the kernel. Takes the errors of all banks; panics if the machine cannot go on,
 * else notes them for mce_report: the handler itself must not log, as any lock may be
 * held.
 */
void mce_handle(const struct trap_frame *frame);

/* #MC in a user program, on its kernel stack: SIGBUS if only the program is hurt, or a
 * panic. */
void mce_from_user(struct trap_frame *frame);

/* Logs what was noted on this CPU. Not in an NMI or machine check. */
void mce_report(void);
