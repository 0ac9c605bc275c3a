/*
 * The processor's instructions that C cannot say, one accessor each, and the names of its
 * registers (Intel SDM volumes 3 and 4, AMD64 APM volume 2). The place for inline
 * assembly; tests/fakes shadows it on the host. Ports are in io.h, the interrupt flag and
 * per-CPU fields in percpu_ops.h. Accessors with a "memory" clobber order memory
 * accesses.
 */
#pragma once

#include "lib/types.h"

/* SDM vol. 4; APM vol. 2 appendix A. */
enum msr {
	MSR_APIC_BASE = 0x1b,
	MSR_SYSENTER_CS = 0x174,
	MSR_MCG_CAP = 0x179,
	MSR_MCG_STATUS = 0x17a,
	MSR_MCG_CTL = 0x17b,
	MSR_PAT = 0x277,
	MSR_MC0_CTL = 0x400, /* bank n: + 4 * n; then STATUS, ADDR, MISC */
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC_BASE = 0x800,
	MSR_EFER = (int)0xc0000080,
	MSR_STAR = (int)0xc0000081,
	MSR_LSTAR = (int)0xc0000082,
	MSR_CSTAR = (int)0xc0000083,
	MSR_SFMASK = (int)0xc0000084,
	MSR_FS_BASE = (int)0xc0000100,
	MSR_GS_BASE = (int)0xc0000101,
	MSR_KERNEL_GS_BASE = (int)0xc0000102,
	MSR_TSC_AUX = (int)0xc0000103,
};

enum efer_bits { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_NXE = 1 << 11 };

enum rflags_bits {
	RFLAGS_CF = 1 << 0,
	RFLAGS_FIXED = 1 << 1, /* always 1 */
	RFLAGS_TF = 1 << 8,
	RFLAGS_IF = 1 << 9,
	RFLAGS_DF = 1 << 10,
	RFLAGS_IOPL = 3 << 12,
	RFLAGS_NT = 1 << 14,
	RFLAGS_RF = 1 << 16,
	RFLAGS_VM = 1 << 17,
	RFLAGS_AC = 1 << 18,
	RFLAGS_ID = 1 << 21,
};

enum cr0_bits {
	CR0_MP = 1 << 1,
	CR0_EM = 1 << 2,
	CR0_TS = 1 << 3,
	CR0_NE = 1 << 5,
	CR0_WP = 1 << 16,
	CR0_AM = 1 << 18,
	CR0_NW = 1 << 29,
	CR0_CD = 1 << 30,
};

enum cr4_bits {
	CR4_DE = 1 << 3,
	CR4_PAE = 1 << 5,
	CR4_MCE = 1 << 6,
	CR4_PGE = 1 << 7,
	CR4_OSFXSR = 1 << 9,
	CR4_OSXMMEXCPT = 1 << 10,
	CR4_UMIP = 1 << 11,
	CR4_LA57 = 1 << 12,
	CR4_FSGSBASE = 1 << 16,
	CR4_PCIDE = 1 << 17,
	CR4_OSXSAVE = 1 << 18,
	CR4_SMEP = 1 << 20,
	CR4_SMAP = 1 << 21,
};

/* ---- Model-specific, control and debug registers ---- */

static inline uint64_t
rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void
wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
	                 : "memory");
}

/* read_crN(), write_crN() */
#define CONTROL_REGISTER(name) \
	static inline uint64_t read_##name(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v) : : "memory"); \
		return v; \
	} \
	static inline void write_##name(uint64_t v) \
	{ \
		__asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory"); \
	}

CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)

static inline void
xsetbv(uint32_t index, uint64_t v)
{
	__asm__ volatile("xsetbv"
	                 :
	                 : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

/* Need CR4.FSGSBASE. */
static inline uint64_t
rdfsbase(void)
{
	uint64_t v;

	__asm__ volatile("rdfsbase %0" : "=r"(v));
	return v;
}

static inline void
wrfsbase(uint64_t v)
{
	__asm__ volatile("wrfsbase %0" : : "r"(v));
}

/* The user's GS base while in the kernel, by a SWAPGS there and back: interrupts off. */
static inline uint64_t
rdgsbase_user(void)
{
	uint64_t v;

	__asm__ volatile("swapgs; rdgsbase %0; swapgs" : "=r"(v) : : "memory");
	return v;
}

static inline void
wrgsbase_user(uint64_t v)
{
	__asm__ volatile("swapgs; wrgsbase %0; swapgs" : : "r"(v) : "memory");
}

/* ---- Identification and time ---- */

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t
rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* Not before all earlier loads are done (SDM vol. 2, RDTSC). */
static inline uint64_t
rdtsc_ordered(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Needs CPUID.RDRAND. False: no number ready. */
static inline bool
rdrand64(uint64_t *v)
{
	bool ok;

	__asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(ok));
	return ok;
}

/* Stops until an interrupt; the interrupt flag itself is percpu_ops.h's. */
static inline void
hlt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

/* ---- Memory management ---- */

static inline void
invlpg(vaddr_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

enum invpcid_kind { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

/* Needs CPUID.INVPCID. */
static inline void
invpcid(enum invpcid_kind kind, uint64_t pcid, vaddr_t va)
{
	struct {
		uint64_t pcid, va;
	} d = {pcid, va};

	__asm__ volatile("invpcid %0, %1" : : "m"(d), "r"((uint64_t)kind) : "memory");
}

static inline void
wbinvd(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}

/* ---- Descriptor tables ---- */

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} PACKED;

static inline void
lgdt(const void *base, size_t size)
{
	struct table_pointer p = {(uint16_t)(size - 1), (uint64_t)base};

	__asm__ volatile("lgdt %0" : : "m"(p) : "memory");
}

static inline void
lidt(const void *base, size_t size)
{
	struct table_pointer p = {(uint16_t)(size - 1), (uint64_t)base};

	__asm__ volatile("lidt %0" : : "m"(p) : "memory");
}

static inline void
ltr(uint16_t selector)
{
	__asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

/* CS by a far return, SS with the data selector; DS, ES, FS, GS null: GS base is lost. */
static inline void
load_segments(uint16_t code, uint16_t data)
{
	__asm__ volatile(
	    "pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:\n\t"
	    "mov %w1, %%ss; xorl %%eax, %%eax\n\t"
	    "mov %%eax, %%ds; mov %%eax, %%es; mov %%eax, %%fs; mov %%eax, %%gs"
	    :
	    : "r"((uint64_t)code), "r"(data)
	    : "rax", "memory");
}

/* ---- FPU state (area 64-byte aligned for the XSAVE forms) ---- */

static inline void
fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void
fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void
xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

static inline void
xsaveopt(void *area, uint64_t mask)
{
	__asm__ volatile("xsaveopt64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

static inline void
xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

static inline void
fninit(void)
{
	__asm__ volatile("fninit" : : : "memory");
}
