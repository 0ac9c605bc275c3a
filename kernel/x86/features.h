/* What this processor can do, and switching on what protects or helps. Read-only after
 * boot. */
#pragma once

#include "lib/types.h"

struct cpu_features {
	char vendor[13]; /* "GenuineIntel" */
	char name[49];   /* brand string, trimmed */
	uint32_t family, model, stepping;
	uint32_t max_leaf; /* of CPUID */
	uint32_t physical_bits, virtual_bits, cache_line;
	uint32_t leaf_1_ecx, leaf_1_edx, leaf_7_ebx, leaf_7_ecx, leaf_7_edx;
	uint32_t leaf_d1_eax, leaf_81_ecx, leaf_81_edx;
	uint64_t xcr0;       /* state components the kernel saves; 0: FXSAVE only */
	uint32_t xsave_size; /* bytes of one thread's area */
	bool has_nx, has_pge, has_smep, has_smap, has_umip, has_fsgsbase, has_pcid,
	    has_invpcid;
	bool has_xsave, has_xsaveopt, has_erms, has_fsrm, has_1g_pages, has_rdrand,
	    has_rdseed;
	bool has_x2apic, has_tsc_deadline, has_invariant_tsc, has_rdtscp, has_mce,
	    has_mwait;
	bool is_virtual; /* a hypervisor says so */
};

extern struct cpu_features cpu_features;

void features_detect(void); /* the boot CPU, once */
void features_enable(void); /* each CPU: CR0, CR4, EFER, XCR0, PAT */
/* Whether the CPUs are to tell spaces apart by PCID: not with "nopcid" on the command
 * line, which must have been read. */
bool features_want_pcid(void);
void features_log(void); /* one line, once the log is up */

/* The flags line of /proc/cpuinfo with Linux's names; returns the length. */
int features_flags(char *buf, size_t size);
