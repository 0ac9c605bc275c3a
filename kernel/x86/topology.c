/* The levels of an APIC id, from the newest CPUID leaf that tells them. */
#include "kernel/x86/topology.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/percpu.h"

enum {
	LEAF_CACHES = 4,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_AMD_SIZES = 0x80000008,
	LEAF_AMD_TOPOLOGY = 0x8000001e,
	MAX_LEVELS = 8,
	LEVEL_THREAD = 1,
	HAS_MANY = 1 << 28,    /* leaf 1 EDX: the count in EBX is valid */
	HAS_TOPOEXT = 1 << 22, /* leaf 0x80000001 ECX */
};

/* Bits of an APIC id below the core's number, and below the package's. */
static unsigned core_shift, package_shift;

/* Bits that number `count` things. */
static unsigned
bits_for(uint32_t count)
{
	return count <= 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

/* Leaves 0xb and 0x1f list the levels from the innermost; false: this CPU has no such list. */
static bool
read_levels(uint32_t leaf)
{
	if (cpuid(0, 0).eax < leaf || !(cpuid(leaf, 0).ebx & 0xffff))
		return false;
	for (uint32_t i = 0; i < MAX_LEVELS; i++) {
		struct cpuid r = cpuid(leaf, i);
		unsigned type = r.ecx >> 8 & 0xff, shift = r.eax & 0x1f;

		if (!type)
			break;
		if (type == LEVEL_THREAD)
			core_shift = shift;
		package_shift = shift;
	}
	return true;
}

/* Before those leaves: counts of logical CPUs and of cores in a package. */
static void
read_counts(void)
{
	struct cpuid one = cpuid(1, 0);
	uint32_t max = cpuid(0x80000000, 0).eax;
	uint32_t logical = one.edx & HAS_MANY ? one.ebx >> 16 & 0xff : 1, cores = 1;

	if (max >= LEAF_AMD_SIZES && (cpuid(LEAF_AMD_SIZES, 0).ecx & 0xff)) {
		uint32_t ecx = cpuid(LEAF_AMD_SIZES, 0).ecx;

		package_shift =
		    ecx >> 12 & 0xf ? ecx >> 12 & 0xf : bits_for((ecx & 0xff) + 1);
		if (max >= LEAF_AMD_TOPOLOGY && cpuid(0x80000001, 0).ecx & HAS_TOPOEXT)
			core_shift =
			    bits_for((cpuid(LEAF_AMD_TOPOLOGY, 0).ebx >> 8 & 0xff) + 1);
		return;
	}
	if (cpuid(0, 0).eax >= LEAF_CACHES)
		cores = (cpuid(LEAF_CACHES, 0).eax >> 26) + 1;
	package_shift = bits_for(logical);
	core_shift = bits_for(logical / cores);
}

void
topology_detect(void)
{
	core_shift = package_shift = 0;
	if (!read_levels(LEAF_TOPOLOGY_V2) && !read_levels(LEAF_TOPOLOGY))
		read_counts();
	if (package_shift < core_shift)
		package_shift = core_shift;
}

struct cpu_place
cpu_place(const struct cpu *c)
{
	uint32_t in_package = c->apic_id & ((1u << package_shift) - 1);

	return (struct cpu_place){
	    .package = c->apic_id >> package_shift,
	    .core = in_package >> core_shift,
	    .thread = in_package & ((1u << core_shift) - 1),
	};
}

bool
cpu_shares_package(const struct cpu *a, const struct cpu *b)
{
	return a->apic_id >> package_shift == b->apic_id >> package_shift;
}

bool
cpu_shares_core(const struct cpu *a, const struct cpu *b)
{
	return a->apic_id >> core_shift == b->apic_id >> core_shift;
}
