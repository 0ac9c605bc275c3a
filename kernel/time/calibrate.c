/*
 * Calibration. Each end of the measured span is the best of several attempts: the TSC is
 * read before and after the reference, and the attempt with the shortest gap wins, since
 * the gap bounds the error (an SMI or a host that preempts us shows as a long gap). The
 * span is 2 ms, which gives some 100 ppm; clock_refine_later repeats over a second.
 *
 * CPUID leaf 0x15 gives the TSC's frequency exactly on new Intel processors and leaf 0x16
 * and the hypervisor leaf give it roughly. The exact one is used if the reference agrees
 * within 1 %, the rough ones only without a reference.
 */
#define LOG_PREFIX "time: "
#include "kernel/time/calibrate.h"

#include "kernel/log.h"
#include "kernel/time/clock_math.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/percpu_ops.h"

enum {
	SPAN_DIVISOR = 500, /* of a second: 2 ms */
	ATTEMPTS = 5,
	APIC_HZ_GUESS =
	    100000000, /* nothing to measure against: better late than early */
};

/* CPUID leaves, SDM vol. 2; 0x40000010 is the hypervisors' common convention for kHz. */
enum {
	LEAF_TSC = 0x15,
	LEAF_FREQUENCY = 0x16,
	LEAF_HYPERVISOR = 0x40000000,
	LEAF_HYPERVISOR_TSC = 0x40000010,
	LEAF_POWER = (int)0x80000007,
	POWER_INVARIANT_TSC = 1 << 8,
	FEATURE_HYPERVISOR = 1u << 31,
};

void
moment_take(const struct reference *ref, struct moment *best)
{
	uint64_t best_gap = UINT64_MAX;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		uint64_t before = rdtsc_ordered();
		uint64_t count = ref->read();
		uint32_t apic_count = apic_timer_count();
		uint64_t gap = rdtsc_ordered() - before;

		if (gap >= best_gap)
			continue;
		best_gap = gap;
		*best = (struct moment){
		    .tsc = before + gap / 2,
		    .ref = count,
		    .apic_count = apic_count,
		};
	}
}

uint64_t
calibrate_tsc_hz(
    const struct reference *ref, const struct moment *from, const struct moment *to)
{
	uint64_t ref_ticks = (to->ref - from->ref) & ref->mask;
	uint64_t cycles = to->tsc - from->tsc;

	if (ref_ticks < ref->hz / SPAN_DIVISOR / 2 || !cycles)
		return 0;
	return mul_div(cycles, ref->hz, ref_ticks);
}

/* Exact by CPUID, or 0. */
static uint64_t
tsc_hz_exact(uint32_t max_leaf)
{
	struct cpuid r;

	if (max_leaf < LEAF_TSC)
		return 0;
	r = cpuid(LEAF_TSC, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return mul_div(r.ecx, r.ebx, r.eax);
}

/* Roughly by CPUID, or 0. */
static uint64_t
tsc_hz_rough(uint32_t max_leaf)
{
	if (cpuid(1, 0).ecx & FEATURE_HYPERVISOR &&
	    cpuid(LEAF_HYPERVISOR, 0).eax >= LEAF_HYPERVISOR_TSC) {
		uint64_t khz = cpuid(LEAF_HYPERVISOR_TSC, 0).eax;

		if (khz)
			return khz * 1000;
	}
	return max_leaf < LEAF_FREQUENCY
	           ? 0
	           : (cpuid(LEAF_FREQUENCY, 0).eax & 0xffff) * 1000000ull;
}

static void
measure(struct calibration *c)
{
	const struct reference *ref = c->ref;
	uint64_t span = ref->hz / SPAN_DIVISOR, apic_ticks, ref_ticks;
	struct moment end;

	apic_timer_start_counting();
	moment_take(ref, &c->start);
	/*
	 * The limit is for a reference that stopped: TSCs of more than 100 GHz do not
	 * exist.
	 */
	for (uint64_t limit = rdtsc() + 100 * NSEC_PER_SEC / SPAN_DIVISOR;
	     rdtsc() < limit;)
		if (((ref->read() - c->start.ref) & ref->mask) >= span)
			break;
	moment_take(ref, &end);
	apic_timer_stop();

	c->tsc_hz = calibrate_tsc_hz(ref, &c->start, &end);
	apic_ticks = c->start.apic_count - end.apic_count;
	ref_ticks = (end.ref - c->start.ref) & ref->mask;
	c->apic_hz = ref_ticks ? mul_div(apic_ticks, ref->hz, ref_ticks) : 0;
}

/* Whether a is within 1 % of b. */
static bool
is_near(uint64_t a, uint64_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff <= b / 100;
}

/*
 * No reference: time the APIC timer by the TSC, whose speed is what CPUID says or a
 * guess.
 */
static void
calibrate_blind(struct calibration *c, uint32_t max_leaf, uint64_t exact)
{
	uint64_t start, span;

	c->tsc_hz = exact ? exact : tsc_hz_rough(max_leaf);
	c->source = "CPUID alone";
	if (!c->tsc_hz) {
		c->tsc_hz = NSEC_PER_SEC;
		c->source = "a guess";
		log_warn("no HPET, PM timer, PIT or CPUID to measure the TSC by: "
		         "assuming 1 GHz");
	}
	span = c->tsc_hz / SPAN_DIVISOR;
	apic_timer_start_counting();
	start = rdtsc_ordered();
	c->start.apic_count = apic_timer_count();
	while (rdtsc() - start < span)
		cpu_relax();
	c->apic_hz = (uint64_t)(c->start.apic_count - apic_timer_count()) * SPAN_DIVISOR;
	apic_timer_stop();
}

void
calibrate(struct calibration *c)
{
	uint32_t max_leaf = cpuid(0, 0).eax;
	uint64_t exact = tsc_hz_exact(max_leaf);

	c->is_invariant = cpuid(0x80000000, 0).eax >= (uint32_t)LEAF_POWER &&
	                  cpuid((uint32_t)LEAF_POWER, 0).edx & POWER_INVARIANT_TSC;
	c->ref = reference_find();
	if (c->ref) {
		measure(c);
		c->source = c->ref->name;
		if (!c->tsc_hz) {
			log_warn("%s does not count: not used", c->ref->name);
			c->ref = NULL;
		}
	}
	if (!c->ref)
		calibrate_blind(c, max_leaf, exact);
	else if (exact && is_near(c->tsc_hz, exact)) {
		c->tsc_hz = exact;
		c->source = "CPUID, confirmed by the reference";
	} else if (exact)
		log_warn("CPUID says %llu kHz for the TSC, %s measures %llu kHz",
		    (unsigned long long)exact / 1000, c->ref->name,
		    (unsigned long long)c->tsc_hz / 1000);
	if (!c->apic_hz)
		c->apic_hz = APIC_HZ_GUESS;
}
