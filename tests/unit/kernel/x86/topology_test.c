/* What APIC ids mean, by CPUID as several processors answer it. LINK: kernel/x86/topology.c
 * tests/fakes/cpu.c tests/fakes/percpu.c */
#include "kernel/x86/topology.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/percpu.h"
#include "tests/unit/ktest.h"

static struct cpu_place
place_of(uint32_t apic_id)
{
	struct cpu c = {.apic_id = apic_id};

	return cpu_place(&c);
}

static struct cpuid
two_by_four_by_two(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0)
		return (struct cpuid){.eax = 0xb};
	if (leaf == 0xb && subleaf == 0)
		return (struct cpuid){.eax = 1, .ebx = 2, .ecx = 1 << 8};
	if (leaf == 0xb && subleaf == 1)
		return (struct cpuid){.eax = 4, .ebx = 8, .ecx = 2 << 8 | 1};
	return (struct cpuid){};
}

KTEST(topology_leaf_b_tells_threads_cores_and_packages)
{
	struct cpu a = {.apic_id = 0x16}, b = {.apic_id = 0x17},
	           other = {.apic_id = 0x06};

	fake_cpuid_leaf = two_by_four_by_two;
	topology_detect();
	CHECK_EQ(place_of(0x17).package, 1);
	CHECK_EQ(place_of(0x17).core, 3);
	CHECK_EQ(place_of(0x17).thread, 1);
	CHECK(cpu_shares_core(&a, &b) && cpu_shares_package(&a, &b));
	CHECK(!cpu_shares_core(&a, &other) && !cpu_shares_package(&a, &other));
}

static struct cpuid
with_dies(uint32_t leaf, uint32_t subleaf)
{
	static const struct cpuid levels[] = {{.eax = 1, .ebx = 2, .ecx = 1 << 8},
	    {.eax = 3, .ebx = 8, .ecx = 2 << 8}, {.eax = 4, .ebx = 16, .ecx = 5 << 8}};

	if (leaf == 0)
		return (struct cpuid){.eax = 0x20};
	if (leaf == 0x1f && subleaf < 3)
		return levels[subleaf];
	return (struct cpuid){};
}

KTEST(topology_leaf_1f_counts_dies_as_parts_of_a_package)
{
	fake_cpuid_leaf = with_dies;
	topology_detect();
	CHECK_EQ(place_of(0x1b).package, 1);
	CHECK_EQ(place_of(0x1b).core, 5);
	CHECK_EQ(place_of(0x1b).thread, 1);
}

static struct cpuid
old_amd(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case 0: return (struct cpuid){.eax = 5};
	case 1: return (struct cpuid){.ebx = 6 << 16, .edx = 1 << 28};
	case 0x80000000: return (struct cpuid){.eax = 0x80000008};
	case 0x80000008: return (struct cpuid){.ecx = 5}; /* six cores, no width given */
	default: return (struct cpuid){};
	}
}

KTEST(topology_of_amd_without_the_leaf_is_by_its_number_of_cores)
{
	fake_cpuid_leaf = old_amd;
	topology_detect();
	CHECK_EQ(place_of(13).package, 1);
	CHECK_EQ(place_of(13).core, 5);
	CHECK_EQ(place_of(13).thread, 0);
}

static struct cpuid
old_intel(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case 0: return (struct cpuid){.eax = 4};
	case 1: return (struct cpuid){.ebx = 4 << 16, .edx = 1 << 28};
	case 4: return (struct cpuid){.eax = 1 << 26}; /* two cores */
	default: return (struct cpuid){};
	}
}

KTEST(topology_of_old_intel_is_by_its_counts)
{
	fake_cpuid_leaf = old_intel;
	topology_detect();
	CHECK_EQ(place_of(7).package, 1);
	CHECK_EQ(place_of(7).core, 1);
	CHECK_EQ(place_of(7).thread, 1);
}

static struct cpuid
nothing(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid){};
}

KTEST(topology_without_a_word_is_a_package_for_each_cpu)
{
	fake_cpuid_leaf = nothing;
	topology_detect();
	CHECK_EQ(place_of(3).package, 3);
	CHECK_EQ(place_of(3).core, 0);
}
