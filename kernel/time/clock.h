/* Clocks. Readable from any context, lock-free. */
#pragma once

#include "lib/types.h"

nsec_t clock_now_ns(void);	   /* monotonic, from boot, never goes back, same on all CPUs */
int64_t clock_wall_ns(void);	   /* UTC, ns since 1970 */
void clock_set_wall_ns(int64_t ns); /* steps the wall clock */

/* Busy-waits; for hardware that wants some microseconds. Works once the TSC is calibrated. */
void delay_ns(nsec_t ns);

/*
 * Waits until cond holds or timeout_ns have passed; yields whether it held. Spins: for
 * hardware that answers within microseconds.
 */
#define poll_until(cond, timeout_ns) \
	({ \
		nsec_t end_ = clock_now_ns() + (timeout_ns); \
		bool met_; \
		while (!(met_ = (cond)) && clock_now_ns() < end_) \
			__builtin_ia32_pause(); \
		met_ || (cond); \
	})
