/* The registers of the fake processor, and calls to other CPUs: there are none. */
#include "kernel/x86/cpu.h"

#include "kernel/x86/ipi.h"

uint64_t fake_cr3, fake_cr4;
unsigned fake_invlpg_count, fake_cr3_writes, fake_cr4_writes, fake_faults;
vaddr_t fake_invlpg_last;
struct cpuid fake_cpuid;
struct cpuid (*fake_cpuid_leaf)(uint32_t leaf, uint32_t subleaf);

void
ipi_call(const struct cpumask *mask, void (*fn)(void *), void *arg)
{
	if (cpumask_test(mask, cpu_id()))
		fn(arg);
}
