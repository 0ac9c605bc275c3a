/*
 * Shadows kernel/x86/cpu.h: registers are variables, and the TLB's instructions are
 * counted. Model-specific registers and the TSC are the test's own functions.
 */
#pragma once

#include "lib/types.h"

enum cr4_bits { CR4_PGE = 1 << 7, CR4_PCIDE = 1 << 17 };

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

extern uint64_t fake_cr3, fake_cr4;
extern unsigned fake_invlpg_count, fake_cr3_writes, fake_cr4_writes;
extern unsigned fake_faults; /* writes that the processor refuses (SDM 4.10.1) */
extern vaddr_t fake_invlpg_last;
extern struct cpuid fake_cpuid; /* for every leaf */
/* When set, asked instead. */
extern struct cpuid (*fake_cpuid_leaf)(uint32_t leaf, uint32_t subleaf);

/* Given by tests of code that uses them. */
uint64_t fake_rdmsr(uint32_t msr);
void fake_wrmsr(uint32_t msr, uint64_t v);
uint64_t fake_rdtsc(void);

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC_BASE = 0x800 };

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t subleaf)
{
	return fake_cpuid_leaf ? fake_cpuid_leaf(leaf, subleaf) : fake_cpuid;
}

static inline uint64_t
rdmsr(uint32_t msr)
{
	return fake_rdmsr(msr);
}

static inline void
wrmsr(uint32_t msr, uint64_t v)
{
	fake_wrmsr(msr, v);
}

static inline uint64_t
rdtsc(void)
{
	return fake_rdtsc();
}

static inline uint64_t
rdtsc_ordered(void)
{
	return fake_rdtsc();
}

/* As the processor does: the no-flush bit is not kept. */
static inline void
write_cr3(uint64_t v)
{
	fake_faults += v >> 63 && !(fake_cr4 & CR4_PCIDE);
	fake_cr3 = v;
	fake_cr3_writes++;
}

static inline uint64_t
read_cr3(void)
{
	return fake_cr3 & ~(1ull << 63);
}

static inline void
write_cr4(uint64_t v)
{
	fake_faults += v & CR4_PCIDE && !(fake_cr4 & CR4_PCIDE) && fake_cr3 & 0xfff;
	fake_cr4 = v;
	fake_cr4_writes++;
}

static inline uint64_t
read_cr4(void)
{
	return fake_cr4;
}

static inline void
invlpg(vaddr_t va)
{
	fake_invlpg_last = va;
	fake_invlpg_count++;
}
