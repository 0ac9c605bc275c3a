/* What timer queues need of the hardware: one one-shot interrupt on each CPU. */
#pragma once

#include "lib/types.h"

#define TIMER_HW_NEVER UINT64_MAX

/*
 * Makes this CPU's timer interrupt come at `expires_ns` on the monotonic clock (at once
 * when that is past), or not at all. May come early: the queue looks at the clock.
 * Interrupts off.
 */
void timer_hw_program(nsec_t expires_ns);
