/*
 * How fast do the TSC and the local APIC timer run? Measured against a counter whose
 * frequency is known: HPET, else the ACPI PM timer, else the PIT.
 */
#pragma once

#include "lib/types.h"

struct reference {
	const char *name;
	uint64_t hz;
	uint64_t mask; /* the counter wraps here */
	uint64_t (*read)(void);
};

/* The best reference counter of this machine, ready to read, or NULL. */
const struct reference *reference_find(void);

/* One reading of the counters at the same moment, as near as can be had. */
struct moment {
	uint64_t tsc, ref;
	uint32_t apic_count; /* counts down */
};

void moment_take(const struct reference *, struct moment *);

struct calibration {
	uint64_t tsc_hz;
	uint64_t apic_hz; /* at the divider that apic_timer_start_counting sets */
	const struct reference *ref; /* NULL: nothing to measure against */
	const char *source;          /* of tsc_hz, for the log */
	bool is_invariant;           /* CPUID says that the TSC never changes speed */
	struct moment start;         /* for measuring on later */
};

/* Boot CPU, interrupts off, APIC timer idle. Takes 2 ms. Always yields usable numbers. */
void calibrate(struct calibration *);

/* TSC frequency from two moments; 0 when they are too near or make no sense. */
uint64_t calibrate_tsc_hz(
    const struct reference *, const struct moment *from, const struct moment *to);
