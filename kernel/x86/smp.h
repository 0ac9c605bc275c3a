/*
 * Bringing up the other processors (Intel SDM vol. 3 section 8.4, MP initialisation by
 * INIT and SIPI).
 */
#pragma once

#include "lib/types.h"

/*
 * From kernel_main after sched_init, interrupts on: starts all CPUs of `platform` at once
 * (maxcpus=N and nosmp limit them) and returns when each is online or has missed its
 * time, which is said in one line and is no error.
 */
void smp_start(void);
