/* CPU-time clocks and timers on them: itimer.c, posix_timer.c, clock calls. */
#pragma once

#include "lib/types.h"

struct process;

/* What all threads of `p` have used. */
nsec_t process_cpu_time(struct process *p, bool only_user);

/* After which real time `left_ns` more CPU time can at the earliest have been used. */
nsec_t cpu_timer_wait_ns(const struct process *p, nsec_t left_ns);
