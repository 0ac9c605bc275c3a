/*
 * Which CPUs share a core and a package: the fields of an APIC id, cut where CPUID says (Intel SDM
 * vol. 3, 9.9.3; AMD APM vol. 3, E.5). All CPUs of a machine have the same cuts.
 */
#pragma once

#include "lib/types.h"

struct cpu;

struct cpu_place {
	uint32_t package, core, thread; /* each counts within the one before */
};

/* Where a CPU is. Any context, once the boot CPU's features are known. */
struct cpu_place cpu_place(const struct cpu *);

/* Whether two CPUs have the same package, and the same core of it. */
bool cpu_shares_package(const struct cpu *, const struct cpu *);
bool cpu_shares_core(const struct cpu *, const struct cpu *);

/* Reads CPUID: once at boot, before the first cpu_place. */
void topology_detect(void);
