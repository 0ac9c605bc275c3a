/* RLIMIT_CPU and RLIMIT_RTTIME: see cpu_limits.c. */
#pragma once

struct thread;

/* The thread that runs on this CPU has run for a while: hard interrupt, no locks held. */
void cpu_limits_check(struct thread *t);
