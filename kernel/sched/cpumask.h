/* Sets of CPUs. */
#pragma once

#include "kernel/x86/percpu.h"
#include "lib/types.h"

struct cpumask {
	uint64_t bits[MAX_CPUS / 64];
};

static inline void
cpumask_set(struct cpumask *m, unsigned cpu)
{
	m->bits[cpu / 64] |= 1ull << cpu % 64;
}

static inline void
cpumask_clear(struct cpumask *m, unsigned cpu)
{
	m->bits[cpu / 64] &= ~(1ull << cpu % 64);
}

static inline bool
cpumask_test(const struct cpumask *m, unsigned cpu)
{
	return m->bits[cpu / 64] >> cpu % 64 & 1;
}

static inline bool
cpumask_is_empty(const struct cpumask *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->bits); i++)
		if (m->bits[i])
			return false;
	return true;
}

#define CPUMASK_ALL ((struct cpumask){.bits = {~0ull, ~0ull, ~0ull, ~0ull}})
