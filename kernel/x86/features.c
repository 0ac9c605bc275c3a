/*
 * Processor features: CPUID (SDM vol. 2, CPUID; APM vol. 3, appendix E) is read once on
 * the boot CPU, and every CPU then switches on the same set. Nothing is taken for granted
 * but long mode, SYSCALL, FXSAVE and SSE2, which are part of x86-64. CR4.PKE stays off:
 * nothing uses keys.
 */
#include "kernel/x86/features.h"

#define LOG_PREFIX "cpu: "

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/usercopy_asm.h"
#include "lib/fmt.h"
#include "lib/string.h"

struct cpu_features cpu_features;

enum {
	XCR0_X87_SSE = 3,
	XCR0_AVX = 1 << 2,
	XCR0_AVX512 = 7 << 5,
	FXSAVE_SIZE = 512,
};

/* PAT 0..3 as mm/pagetable.h has them: WB, WC, UC-, UC; 4..7 the same (SDM vol.
 * 3, 12.12). */
#define PAT_VALUE 0x0007010600070106ull

static void
detect_names(struct cpu_features *f)
{
	struct cpuid r = cpuid(0, 0);
	uint32_t text[12] = {0};
	const char *start = (const char *)text;

	memcpy(f->vendor, &r.ebx, 4);
	memcpy(f->vendor + 4, &r.edx, 4);
	memcpy(f->vendor + 8, &r.ecx, 4);
	if (cpuid(0x80000000, 0).eax < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(&text[4 * i], &r, sizeof(r));
	}
	while (*start == ' ')
		start++;
	strlcpy(f->name, start,
	    MIN(sizeof(f->name), sizeof(text) - (size_t)(start - (char *)text)));
}

static void
detect_family(struct cpu_features *f, uint32_t eax)
{
	uint32_t family = eax >> 8 & 15, model = eax >> 4 & 15;

	f->stepping = eax & 15;
	f->family = family == 15 ? family + (eax >> 20 & 255) : family;
	f->model = family == 6 || family == 15 ? model | (eax >> 12 & 0xf0) : model;
}

/* Which state to save: x87, SSE, AVX, AVX-512 (all three parts or none). */
static void
detect_xsave(struct cpu_features *f)
{
	struct cpuid d = cpuid(0xd, 0);
	uint64_t supported = (uint64_t)d.edx << 32 | d.eax;

	f->xsave_size = FXSAVE_SIZE;
	if (!f->has_xsave)
		return;
	f->xcr0 = XCR0_X87_SSE | (supported & XCR0_AVX);
	if ((supported & XCR0_AVX512) == XCR0_AVX512 && f->xcr0 & XCR0_AVX)
		f->xcr0 |= XCR0_AVX512;
	f->leaf_d1_eax = cpuid(0xd, 1).eax;
	f->has_xsaveopt = f->leaf_d1_eax & 1 << 0;
}

static void
detect_extended(struct cpu_features *f)
{
	uint32_t max = cpuid(0x80000000, 0).eax;
	struct cpuid r = cpuid(0x80000001, 0);

	f->leaf_81_ecx = r.ecx;
	f->leaf_81_edx = r.edx;
	f->has_nx = r.edx >> 20 & 1;
	f->has_1g_pages = r.edx >> 26 & 1;
	f->has_rdtscp = r.edx >> 27 & 1;
	if (max >= 0x80000007)
		f->has_invariant_tsc = cpuid(0x80000007, 0).edx >> 8 & 1;
	f->physical_bits = 36;
	f->virtual_bits = 48;
	if (max >= 0x80000008) {
		r = cpuid(0x80000008, 0);
		f->physical_bits = r.eax & 255;
		f->virtual_bits = r.eax >> 8 & 255;
	}
}

/* Vector extensions whose registers are not saved do not exist for programs. */
static void
hide_unsaved(struct cpu_features *f)
{
	enum { FMA = 1 << 12, XSAVE = 1 << 26, AVX = 1 << 28, F16C = 1 << 29 };
	enum { AVX2 = 1 << 5, AVX512F = 1 << 16 };

	if (!f->has_xsave)
		f->leaf_1_ecx &= ~(uint32_t)XSAVE;
	if (!(f->xcr0 & XCR0_AVX)) {
		f->leaf_1_ecx &= ~(uint32_t)(FMA | AVX | F16C);
		f->leaf_7_ebx &= ~(uint32_t)AVX2;
	}
	if (!(f->xcr0 & XCR0_AVX512))
		f->leaf_7_ebx &= ~(uint32_t)AVX512F;
}

void
features_detect(void)
{
	struct cpu_features *f = &cpu_features;
	struct cpuid r = cpuid(1, 0);

	detect_names(f);
	detect_family(f, r.eax);
	f->cache_line = (r.ebx >> 8 & 255) * 8;
	f->leaf_1_ecx = r.ecx;
	f->leaf_1_edx = r.edx;
	f->has_mwait = r.ecx >> 3 & 1;
	f->has_pcid = r.ecx >> 17 & 1;
	f->has_x2apic = r.ecx >> 21 & 1;
	f->has_tsc_deadline = r.ecx >> 24 & 1;
	f->has_xsave = r.ecx >> 26 & 1;
	f->has_rdrand = r.ecx >> 30 & 1;
	f->is_virtual = r.ecx >> 31;
	f->has_mce = r.edx >> 7 & 1 && r.edx >> 14 & 1;
	f->has_pge = r.edx >> 13 & 1;
	f->max_leaf = cpuid(0, 0).eax;
	if (f->max_leaf >= 7) {
		r = cpuid(7, 0);
		f->leaf_7_ebx = r.ebx;
		f->leaf_7_ecx = r.ecx;
		f->leaf_7_edx = r.edx;
		f->has_fsgsbase = r.ebx & 1;
		f->has_smep = r.ebx >> 7 & 1;
		f->has_erms = r.ebx >> 9 & 1;
		f->has_invpcid = r.ebx >> 10 & 1;
		f->has_rdseed = r.ebx >> 18 & 1;
		f->has_smap = r.ebx >> 20 & 1;
		f->has_umip = r.ecx >> 2 & 1;
		f->has_fsrm = r.edx >> 4 & 1;
	}
	detect_extended(f);
	detect_xsave(f);
	hide_unsaved(f);
}

static uint64_t
cr4_wanted(const struct cpu_features *f)
{
	uint64_t cr4 = CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cr4 |= f->has_pge ? CR4_PGE : 0;
	cr4 |= f->has_mce ? CR4_MCE : 0;
	cr4 |= f->has_smep ? CR4_SMEP : 0;
	cr4 |= f->has_smap ? CR4_SMAP : 0;
	cr4 |= f->has_umip ? CR4_UMIP : 0;
	cr4 |= f->has_fsgsbase ? CR4_FSGSBASE : 0;
	cr4 |= f->has_xsave ? CR4_OSXSAVE : 0;
	return cr4;
}

void
features_enable(void)
{
	struct cpu_features *f = &cpu_features;
	uint64_t cr4 = cr4_wanted(f);

	write_cr0((read_cr0() & ~(uint64_t)(CR0_EM | CR0_TS | CR0_CD | CR0_NW)) | CR0_MP |
	          CR0_NE | CR0_WP | CR0_AM);
	write_cr4(cr4 & ~(uint64_t)CR4_PGE);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | (f->has_nx ? EFER_NXE : 0));
	wrmsr(MSR_PAT, PAT_VALUE);
	if (f->has_xsave) {
		xsetbv(0, f->xcr0);
		f->xsave_size = cpuid(0xd, 0).ebx; /* of what XCR0 has now */
	}
	usercopy_smap = f->has_smap;
	/* Cached translations had the old PAT; setting PGE drops the global ones. */
	write_cr3(read_cr3());
	write_cr4(cr4);
}

/* Without global pages a flush of kernel mappings would have to visit each PCID. */
bool
features_want_pcid(void)
{
	return cpu_features.has_pcid && cpu_features.has_pge && !cmdline_has("nopcid");
}

/* One feature with Linux's name: a bit of one of the leaves kept in struct cpu_features.
 */
struct flag_name {
	uint16_t leaf; /* offset of the register in struct cpu_features */
	uint8_t bit;
	char name[20];
};

#define LEAF(reg) offsetof(struct cpu_features, reg)

// clang-format off
static const struct flag_name flag_names[] = {
	{ LEAF(leaf_1_edx), 0, "fpu" }, { LEAF(leaf_1_edx), 1, "vme" },
	{ LEAF(leaf_1_edx), 2, "de" }, { LEAF(leaf_1_edx), 3, "pse" },
	{ LEAF(leaf_1_edx), 4, "tsc" }, { LEAF(leaf_1_edx), 5, "msr" },
	{ LEAF(leaf_1_edx), 6, "pae" }, { LEAF(leaf_1_edx), 7, "mce" },
	{ LEAF(leaf_1_edx), 8, "cx8" }, { LEAF(leaf_1_edx), 9, "apic" },
	{ LEAF(leaf_1_edx), 11, "sep" }, { LEAF(leaf_1_edx), 12, "mtrr" },
	{ LEAF(leaf_1_edx), 13, "pge" }, { LEAF(leaf_1_edx), 14, "mca" },
	{ LEAF(leaf_1_edx), 15, "cmov" }, { LEAF(leaf_1_edx), 16, "pat" },
	{ LEAF(leaf_1_edx), 17, "pse36" }, { LEAF(leaf_1_edx), 19, "clflush" },
	{ LEAF(leaf_1_edx), 23, "mmx" }, { LEAF(leaf_1_edx), 24, "fxsr" },
	{ LEAF(leaf_1_edx), 25, "sse" }, { LEAF(leaf_1_edx), 26, "sse2" },
	{ LEAF(leaf_1_edx), 28, "ht" }, { LEAF(leaf_81_edx), 11, "syscall" },
	{ LEAF(leaf_81_edx), 20, "nx" }, { LEAF(leaf_81_edx), 26, "pdpe1gb" },
	{ LEAF(leaf_81_edx), 27, "rdtscp" }, { LEAF(leaf_81_edx), 29, "lm" },
	{ LEAF(leaf_1_ecx), 0, "pni" }, { LEAF(leaf_1_ecx), 1, "pclmulqdq" },
	{ LEAF(leaf_1_ecx), 3, "monitor" }, { LEAF(leaf_1_ecx), 9, "ssse3" },
	{ LEAF(leaf_1_ecx), 12, "fma" }, { LEAF(leaf_1_ecx), 13, "cx16" },
	{ LEAF(leaf_1_ecx), 17, "pcid" }, { LEAF(leaf_1_ecx), 19, "sse4_1" },
	{ LEAF(leaf_1_ecx), 20, "sse4_2" }, { LEAF(leaf_1_ecx), 21, "x2apic" },
	{ LEAF(leaf_1_ecx), 22, "movbe" }, { LEAF(leaf_1_ecx), 23, "popcnt" },
	{ LEAF(leaf_1_ecx), 24, "tsc_deadline_timer" },
	{ LEAF(leaf_1_ecx), 25, "aes" }, { LEAF(leaf_1_ecx), 26, "xsave" },
	{ LEAF(leaf_1_ecx), 28, "avx" }, { LEAF(leaf_1_ecx), 29, "f16c" },
	{ LEAF(leaf_1_ecx), 30, "rdrand" }, { LEAF(leaf_1_ecx), 31, "hypervisor" },
	{ LEAF(leaf_81_ecx), 0, "lahf_lm" }, { LEAF(leaf_81_ecx), 5, "abm" },
	{ LEAF(leaf_81_ecx), 6, "sse4a" }, { LEAF(leaf_81_ecx), 8, "3dnowprefetch" },
	{ LEAF(leaf_7_ebx), 0, "fsgsbase" }, { LEAF(leaf_7_ebx), 3, "bmi1" },
	{ LEAF(leaf_7_ebx), 5, "avx2" }, { LEAF(leaf_7_ebx), 7, "smep" },
	{ LEAF(leaf_7_ebx), 8, "bmi2" }, { LEAF(leaf_7_ebx), 9, "erms" },
	{ LEAF(leaf_7_ebx), 10, "invpcid" }, { LEAF(leaf_7_ebx), 16, "avx512f" },
	{ LEAF(leaf_7_ebx), 18, "rdseed" }, { LEAF(leaf_7_ebx), 19, "adx" },
	{ LEAF(leaf_7_ebx), 20, "smap" }, { LEAF(leaf_7_ebx), 23, "clflushopt" },
	{ LEAF(leaf_7_ebx), 24, "clwb" }, { LEAF(leaf_7_ebx), 29, "sha_ni" },
	{ LEAF(leaf_d1_eax), 0, "xsaveopt" }, { LEAF(leaf_d1_eax), 1, "xsavec" },
	{ LEAF(leaf_7_ecx), 2, "umip" }, { LEAF(leaf_7_ecx), 22, "rdpid" },
	{ LEAF(leaf_7_edx), 4, "fsrm" },
};
// clang-format on

int
features_flags(char *buf, size_t size)
{
	const char *base = (const char *)&cpu_features;
	int n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
		const struct flag_name *f = &flag_names[i];

		if (*(const uint32_t *)(base + f->leaf) >> f->bit & 1)
			n += scnprintf(
			    buf + n, size - (size_t)n, "%s%s", n ? " " : "", f->name);
	}
	return n;
}

void
features_log(void)
{
	const struct cpu_features *f = &cpu_features;

	log_info("%s (%s family %u model %u), %u-bit physical;%s%s%s%s%s%s%s%s%s%s%s",
	    f->name[0] ? f->name : "unnamed", f->vendor, f->family, f->model,
	    f->physical_bits, f->has_nx ? " NX" : "", f->has_smep ? " SMEP" : "",
	    f->has_smap ? " SMAP" : "", f->has_umip ? " UMIP" : "",
	    f->has_pge ? " PGE" : "", f->has_pcid ? " PCID" : "",
	    f->has_fsgsbase ? " FSGSBASE" : "", f->has_xsave ? " XSAVE" : " FXSAVE",
	    f->xcr0 & XCR0_AVX ? " AVX" : "", f->xcr0 & XCR0_AVX512 ? " AVX-512" : "",
	    f->has_erms ? " ERMS" : "");
}
