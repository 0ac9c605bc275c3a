/*
 * The clocks. The parameters of the conversion change once, when the refined frequency
 * comes in; readers must then see a matching set, also an NMI that interrupts the change.
 * So there are two sets, and `generation` tells which one is not being written (a
 * "latch").
 */
#define LOG_PREFIX "time: "
#include "kernel/time/clock.h"

#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/time/calibrate.h"
#include "kernel/time/clock_math.h"
#include "kernel/time/rtc.h"
#include "kernel/time/timer.h"
#include "kernel/vdso/vdso.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/percpu_ops.h"

enum { REFINE_AFTER_NS = 1000000000, MAX_TRIM_PPM = 10000 };

struct clock_params {
	uint64_t base_tsc;
	nsec_t base_ns;
	struct clock_scale scale;
};

static struct clock_params params[2];
static uint32_t generation;    /* [a] readers use params[generation & 1] */
static int64_t wall_offset_ns; /* [a] wall clock minus monotonic clock */
static struct calibration calibration;
static struct timer refine_timer;

extern uint64_t kernel_entry_tsc; /* kernel/x86/entry.asm */

static void
set_params(const struct clock_params *p)
{
	__atomic_store_n(&generation, generation + 1, __ATOMIC_SEQ_CST);
	params[0] = *p;
	__atomic_store_n(&generation, generation + 1, __ATOMIC_SEQ_CST);
	params[1] = *p;
	vdso_set_clock(p->base_tsc, p->base_ns, p->scale.ns_mult);
}

static struct clock_params
get_params(void)
{
	struct clock_params p;
	uint32_t g;

	do {
		g = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
		p = params[g & 1];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&generation, __ATOMIC_RELAXED) != g);
	return p;
}

static nsec_t
params_now(const struct clock_params *p, uint64_t tsc)
{
	/* A CPU whose TSC is a little behind must not see a time of centuries ahead. */
	uint64_t cycles = (int64_t)(tsc - p->base_tsc) > 0 ? tsc - p->base_tsc : 0;

	return p->base_ns + cycles_to_ns(&p->scale, cycles);
}

nsec_t
clock_now_ns(void)
{
	struct clock_params p = get_params();

	return params_now(&p, rdtsc_ordered());
}

uint64_t
clock_ns_to_tsc(nsec_t ns)
{
	struct clock_params p = get_params();

	return ns <= p.base_ns ? p.base_tsc
	                       : p.base_tsc + ns_to_cycles(&p.scale, ns - p.base_ns) + 1;
}

uint64_t
clock_tsc_hz(void)
{
	return calibration.tsc_hz;
}

int64_t
clock_wall_ns(void)
{
	return (int64_t)clock_now_ns() +
	       __atomic_load_n(&wall_offset_ns, __ATOMIC_RELAXED);
}

void
clock_set_wall_ns(int64_t ns)
{
	int64_t offset = ns - (int64_t)clock_now_ns();

	__atomic_store_n(&wall_offset_ns, offset, __ATOMIC_RELAXED);
	vdso_set_wall(offset);
}

void
delay_ns(nsec_t ns)
{
	uint64_t start = rdtsc_ordered();
	struct clock_params p = get_params();
	uint64_t cycles = ns_to_cycles(&p.scale, ns);

	while (rdtsc_ordered() - start < cycles)
		cpu_relax();
}

static void
set_wall_from_boot(const struct boot_info *boot)
{
	int64_t seconds;

	if (boot->has_boot_time) {
		struct clock_scale scale = clock_scale_make(calibration.tsc_hz);
		nsec_t since = cycles_to_ns(&scale, rdtsc() - boot->boot_time_tsc);

		clock_set_wall_ns(
		    boot->boot_time * (int64_t)NSEC_PER_SEC + (int64_t)since);
		return;
	}
	if (rtc_read(&seconds))
		clock_set_wall_ns(seconds * (int64_t)NSEC_PER_SEC);
	else
		log_warn("no clock tells the date: starting at 1970");
}

void
clock_init(const struct boot_info *boot)
{
	struct clock_params p;

	calibrate(&calibration);
	p = (struct clock_params){
	    .base_tsc = kernel_entry_tsc,
	    .scale = clock_scale_make(calibration.tsc_hz),
	};
	set_params(&p);
	apic_timer_init(calibration.apic_hz);
	set_wall_from_boot(boot);
	log_info("TSC %llu.%03llu MHz by %s%s; APIC timer %llu kHz%s",
	    (unsigned long long)calibration.tsc_hz / 1000000,
	    (unsigned long long)calibration.tsc_hz / 1000 % 1000, calibration.source,
	    calibration.is_invariant ? ", invariant" : "",
	    (unsigned long long)calibration.apic_hz / 1000,
	    apic_timer_is_deadline() ? ", TSC deadline" : "");
}

/* ---- Trimming ---------------------------------------------------------------------- */

/* Goes on from the present time at the new rate: no step, and never back. */
static void
change_rate(uint64_t hz)
{
	struct clock_params old = get_params(), p;
	uint64_t tsc = rdtsc_ordered();

	p = (struct clock_params){
	    .base_tsc = tsc,
	    .base_ns = params_now(&old, tsc),
	    .scale = clock_scale_make(hz),
	};
	calibration.tsc_hz = hz;
	set_params(&p);
}

static void
refine(struct timer *t)
{
	struct moment now;
	uint64_t hz, diff, ppm;

	moment_take(calibration.ref, &now);
	/* So late that the reference may have wrapped: the first measurement will do. */
	if (mul_div(now.tsc - calibration.start.tsc, calibration.ref->hz,
	        calibration.tsc_hz) > calibration.ref->mask / 8 * 7)
		return;
	hz = calibrate_tsc_hz(calibration.ref, &calibration.start, &now);
	if (!hz)
		return;
	diff =
	    hz > calibration.tsc_hz ? hz - calibration.tsc_hz : calibration.tsc_hz - hz;
	ppm = mul_div(diff, 1000000, calibration.tsc_hz);
	if (ppm > MAX_TRIM_PPM) {
		log_warn(
		    "TSC and %s disagree by %llu ppm over a second%s: time may be wrong",
		    calibration.ref->name, (unsigned long long)ppm,
		    calibration.is_invariant ? "" : ", and the TSC is not invariant");
		return;
	}
	change_rate(hz);
	log_debug("TSC trimmed by %llu ppm to %llu kHz", (unsigned long long)ppm,
	    (unsigned long long)hz / 1000);
}

void
clock_refine_later(void)
{
	if (!calibration.ref || calibration.ref->mask < 0xffffff)
		return; /* the PIT wraps too soon */
	/* A long span needs a fresh start: the reference may have wrapped since. */
	moment_take(calibration.ref, &calibration.start);
	timer_init(&refine_timer, refine);
	timer_arm(&refine_timer, clock_now_ns() + REFINE_AFTER_NS);
}
