/* Local APIC registers (SDM vol. 3 table 10-1), for apic.c and apic_timer.c. */
#pragma once

#include "kernel/x86/cpu.h"
#include "kernel/x86/io.h"
#include "lib/types.h"

enum apic_reg {
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_EOI = 0xb0,
	APIC_SPURIOUS = 0xf0,
	APIC_ISR = 0x100, /* eight registers of 32 bits, 16 bytes apart */
	APIC_ERROR = 0x280,
	APIC_LVT_CMCI = 0x2f0,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310, /* xAPIC only */
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PERF = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
	APIC_SIZE = 0x1000,
};

enum apic_bits {
	SPURIOUS_ENABLE = 1 << 8,
	LVT_NMI = 4 << 8,
	LVT_EXTINT = 7 << 8,
	LVT_ACTIVE_LOW = 1 << 13,
	LVT_LEVEL = 1 << 15,
	LVT_MASKED = 1 << 16,
	LVT_TSC_DEADLINE = 2 << 17,
	APIC_DIVIDE_BY_16 = 3,
};

extern volatile void *apic_base; /* NULL in x2APIC mode */

static inline uint32_t
apic_read(enum apic_reg reg)
{
	if (apic_base)
		return mmio_read32(apic_base, reg);
	return (uint32_t)rdmsr(MSR_X2APIC_BASE + (reg >> 4));
}

static inline void
apic_write(enum apic_reg reg, uint32_t v)
{
	if (apic_base)
		mmio_write32(apic_base, reg, v);
	else
		wrmsr(MSR_X2APIC_BASE + (reg >> 4), v);
}
