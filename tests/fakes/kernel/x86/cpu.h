/* Shadows kernel/x86/cpu.h: registers are variables, and the TLB's instructions are
 * counted. */
#pragma once

#include "lib/types.h"

enum cr4_bits { CR4_PGE = 1 << 7, CR4_PCIDE = 1 << 17 };

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

extern uint64_t fake_cr3, fake_cr4;
extern unsigned fake_invlpg_count, fake_cr3_writes, fake_cr4_writes;
extern vaddr_t fake_invlpg_last;
extern struct cpuid fake_cpuid; /* for every leaf */

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return fake_cpuid;
}

/* As the processor does: the no-flush bit is not kept. */
static inline void
write_cr3(uint64_t v)
{
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
