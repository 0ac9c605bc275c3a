/*
 * The counters of net/mib.def: an array on each CPU, summed when shown.
 */
#include "kernel/x86/percpu.h"
#include "net/ip.h"

PER_CPU(uint64_t[NUM_MIBS], mib_counters);

uint64_t
mib_get(enum mib which)
{
	uint64_t sum = 0;
	struct cpu *c;

	for_each_online_cpu(c)
		sum += __atomic_load_n(
		    &(*per_cpu_ptr(&mib_counters, c))[which], __ATOMIC_RELAXED);
	return sum;
}
