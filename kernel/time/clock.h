/*
 * Clocks. Readable from any context, NMI included, without a lock.
 *
 * All derive from the TSC: time = (TSC - base) * mult >> shift, on every CPU alike. Until
 * clock_init has measured the TSC's frequency they stand at 0.
 */
#pragma once

#include "lib/types.h"

struct boot_info;

nsec_t clock_now_ns(void);   /* monotonic, from boot, never goes back, same on all CPUs */
int64_t clock_wall_ns(void); /* UTC, ns since 1970 */
void clock_set_wall_ns(int64_t ns); /* steps the wall clock */

/*
 * Busy-waits; for hardware that wants some microseconds. Works once the TSC is
 * calibrated.
 */
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

/*
 * Boot CPU, after irq_init: measures TSC and local APIC timer (some milliseconds), starts
 * the clocks, sets the wall clock from the loader's time or the RTC.
 */
void clock_init(const struct boot_info *);

/* After sched_init, once: measures the TSC again over a second and trims the clock. */
void clock_refine_later(void);

uint64_t clock_tsc_hz(void);

/* TSC value at which clock_now_ns() will be `ns`: for the TSC-deadline timer. */
uint64_t clock_ns_to_tsc(nsec_t ns);
