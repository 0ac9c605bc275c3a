/*
 * What runs in user space of the vDSO: the functions that the C libraries look for
 * (vdso(7)). They answer from the data page, which lies right behind this code, and leave
 * everything else to the system call. Plain user code: no kernel header but the one of
 * the data page.
 */
#include "kernel/vdso/vdso.h"

#include "kernel/time/clock_math.h"

#define EXPORT __attribute__((visibility("default")))

enum {
	CLOCK_REALTIME = 0,
	CLOCK_MONOTONIC = 1,
	CLOCK_MONOTONIC_RAW = 4,
	CLOCK_REALTIME_COARSE = 5,
	CLOCK_MONOTONIC_COARSE = 6,
	CLOCK_BOOTTIME = 7,
};

enum {
	SYS_GETTIMEOFDAY = 96,
	SYS_CLOCK_GETTIME = 228,
	SYS_CLOCK_GETRES = 229,
	SYS_GETCPU = 309
};

struct timespec {
	int64_t sec, nsec;
};

struct timeval {
	int64_t sec, usec;
};

extern const struct vdso_data vdso_page; /* vdso.ld puts it behind the code */

EXPORT int __vdso_clock_gettime(int clock, struct timespec *ts);
EXPORT int __vdso_clock_getres(int clock, struct timespec *ts);
EXPORT int __vdso_gettimeofday(struct timeval *tv, void *tz);
EXPORT int64_t __vdso_time(int64_t *t);
EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static long
system_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
}

static uint64_t
read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Monotonic or wall-clock nanoseconds, from parameters that belong together. */
static uint64_t
now_ns(bool is_wall)
{
	const volatile struct vdso_data *d = &vdso_page;
	struct clock_scale scale = {0};
	uint64_t ns, cycles;
	uint32_t generation;

	do {
		generation = __atomic_load_n(&d->generation, __ATOMIC_ACQUIRE);
		cycles = read_tsc() - d->base_tsc;
		scale.ns_mult = d->ns_mult;
		ns = d->base_ns + (is_wall ? (uint64_t)d->wall_offset_ns : 0);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (generation & 1 || d->generation != generation);
	/* A CPU whose TSC is a little behind must not see a time of centuries ahead. */
	return (int64_t)cycles > 0 ? ns + cycles_to_ns(&scale, cycles) : ns;
}

int
__vdso_clock_gettime(int clock, struct timespec *ts)
{
	uint64_t ns;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE: ns = now_ns(true); break;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME: ns = now_ns(false); break;
	default: return (int)system_call(SYS_CLOCK_GETTIME, clock, (long)ts, 0);
	}
	ts->sec = (int64_t)(ns / NSEC_PER_SEC);
	ts->nsec = (int64_t)(ns % NSEC_PER_SEC);
	return 0;
}

int
__vdso_clock_getres(int clock, struct timespec *ts)
{
	return (int)system_call(SYS_CLOCK_GETRES, clock, (long)ts, 0);
}

int
__vdso_gettimeofday(struct timeval *tv, void *tz)
{
	uint64_t ns;

	if (tz)
		return (int)system_call(SYS_GETTIMEOFDAY, (long)tv, (long)tz, 0);
	if (tv) {
		ns = now_ns(true);
		tv->sec = (int64_t)(ns / NSEC_PER_SEC);
		tv->usec = (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC);
	}
	return 0;
}

int64_t
__vdso_time(int64_t *t)
{
	int64_t sec = (int64_t)(now_ns(true) / NSEC_PER_SEC);

	if (t)
		*t = sec;
	return sec;
}

long
__vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	uint32_t aux;

	if (!vdso_page.has_rdtscp)
		return system_call(SYS_GETCPU, (long)cpu, (long)node, 0);
	__asm__ volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
	if (cpu)
		*cpu = aux & 0xfff;
	if (node)
		*node = aux >> 12;
	return 0;
}
