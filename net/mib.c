/*
 * The counters of net/mib.def: an array on each CPU, summed when shown. The addition is atomic
 * because the thread may move between finding its CPU's array and adding; nobody shares the
 * line in the usual case, so that costs little.
 */
#include "kernel/x86/percpu.h"
#include "net/ip.h"

static PER_CPU(uint64_t[NUM_MIBS], mib_counters); /* [a] */

void
mib_add(enum mib which, uint64_t n)
{
	uint64_t *counters = *this_cpu_ptr(&mib_counters);

	__atomic_fetch_add(&counters[which], n, __ATOMIC_RELAXED);
}

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
