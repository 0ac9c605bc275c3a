/*
 * The few processor instructions a loader needs, for the EFI application and the 32-bit
 * doors alike. Names as in the Intel SDM volume 2.
 */
#pragma once

#include "lib/types.h"

enum {
	MSR_PAT = 0x277,
	MSR_EFER = 0xc0000080,
	CR4_PGE = 1 << 7,
	CR4_LA57 = 1 << 12,
};

/* What a PAT-capable kernel expects: entries WB, WC, UC-, UC, twice (SDM 3, 12.12). */
#define PAT_LAYOUT 0x0007010600070106ull

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid
arch_cpuid(uint32_t leaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(0));
	return r;
}

static inline bool
arch_has_nx(void)
{
	return arch_cpuid(0x80000000).eax >= 0x80000001 &&
	       (arch_cpuid(0x80000001).edx >> 20 & 1);
}

static inline bool
arch_has_1g_pages(void)
{
	return arch_cpuid(0x80000000).eax >= 0x80000001 &&
	       (arch_cpuid(0x80000001).edx >> 26 & 1);
}

static inline bool
arch_has_rdrand(void)
{
	return arch_cpuid(1).ecx >> 30 & 1;
}

/* False when the generator has nothing now. */
static inline bool
arch_rdrand(uint64_t *value)
{
	unsigned char ok;

	__asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
	return ok;
}

static inline uint64_t
arch_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t
arch_read_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline void
arch_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void
arch_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t
arch_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void
arch_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t
arch_in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

NORETURN static inline void
arch_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}
