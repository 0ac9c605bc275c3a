/*
 * The vDSO: a small shared object that the kernel maps into every program, so that
 * reading the clock or the CPU's number needs no system call. Its second page is the
 * kernel's: the clock's parameters, read-only for programs. kernel/vdso/user.c is the
 * object's code.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct aspace;

/* The page of parameters. `generation` is odd while they change: readers begin again. */
struct vdso_data {
	uint32_t generation;
	uint32_t has_rdtscp; /* IA32_TSC_AUX holds cpu | node << 12 */
	uint64_t base_tsc;
	uint64_t base_ns;       /* monotonic time at base_tsc */
	uint64_t ns_mult;       /* kernel/time/clock_math.h */
	int64_t wall_offset_ns; /* wall clock minus monotonic clock */
};

/* Makes the pages; before clock_init. */
void vdso_init(void);

/* The clock tells its parameters, by one caller at a time; nothing before vdso_init. */
void vdso_set_clock(uint64_t base_tsc, nsec_t base_ns, uint64_t ns_mult);
void vdso_set_wall(int64_t wall_offset_ns);

/* Maps it; *base is what AT_SYSINFO_EHDR says. ERR_NOMEM. */
enum err vdso_map(struct aspace *, vaddr_t *base);
