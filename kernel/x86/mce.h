/* Machine checks (SDM vol. 3, chapter 16). */
#pragma once

#include "lib/types.h"

struct trap_frame;

void mce_init_cpu(void); /* each CPU: enables reporting of every bank */

/* #MC in the kernel: reports every bank. False: the machine cannot go on. */
bool mce_handle(const struct trap_frame *frame);

/* #MC in a user program, on its kernel stack: SIGBUS if only the program is hurt, or a
 * panic. */
void mce_from_user(struct trap_frame *frame);
