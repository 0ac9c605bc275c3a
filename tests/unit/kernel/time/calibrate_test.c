/*
 * kernel/time/calibrate.c on a modelled machine: TSC, reference and APIC timer all derive
 * from one true time, which moves on with every reading. LINK: kernel/time/calibrate.c
 * tests/fakes/percpu.c tests/fakes/panic.c tests/fakes/cpu.c lib/string.c
 */
#include "kernel/time/calibrate.h"

#include "kernel/time/clock_math.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static struct {
	uint64_t now_ps, step_ps; /* true time, and how long a reading takes */
	uint64_t tsc_hz, apic_hz, ref_hz;
	bool ref_stands;
	unsigned readings, hiccup_every; /* one reading in so many takes a millisecond */
} m;

static uint64_t
ticks(uint64_t hz)
{
	return (uint64_t)((unsigned __int128)m.now_ps * hz / 1000000000000);
}

static void
pass(void)
{
	m.now_ps += m.step_ps;
	if (m.hiccup_every && ++m.readings % m.hiccup_every == 0)
		m.now_ps += 1000000000;
}

uint64_t
fake_rdtsc(void)
{
	pass();
	return ticks(m.tsc_hz);
}

static uint64_t
ref_read(void)
{
	pass();
	return m.ref_stands ? 42 : ticks(m.ref_hz) & 0xffffff;
}

uint32_t
apic_timer_count(void)
{
	pass();
	return (uint32_t)-ticks(m.apic_hz);
}

void
apic_timer_start_counting(void)
{
}

void
apic_timer_stop(void)
{
}

static struct reference ref = {.name = "model", .mask = 0xffffff, .read = ref_read};
static bool has_ref;

const struct reference *
reference_find(void)
{
	ref.hz = m.ref_hz;
	return has_ref ? &ref : NULL;
}

static struct cpuid leaf_15, leaf_16, leaf_hypervisor, leaf_power;

static struct cpuid
leaf(uint32_t n, uint32_t sub)
{
	switch (n) {
	case 0: return (struct cpuid){.eax = 0x16};
	case 1: return (struct cpuid){.ecx = leaf_hypervisor.eax ? 1u << 31 : 0};
	case 0x15: return leaf_15;
	case 0x16: return leaf_16;
	case 0x40000000: return (struct cpuid){.eax = 0x40000010};
	case 0x40000010: return leaf_hypervisor;
	case 0x80000000: return (struct cpuid){.eax = 0x80000008};
	case 0x80000007: return leaf_power;
	default: return (struct cpuid){.eax = 0};
	}
}

static void
machine(void)
{
	m = (__typeof__(m)){.now_ps = 123456789012,
	    .step_ps = 50000,
	    .tsc_hz = 2591523000,
	    .apic_hz = 62500000,
	    .ref_hz = 3579545};
	has_ref = true;
	leaf_15 = leaf_16 = leaf_hypervisor = leaf_power = (struct cpuid){.eax = 0};
	fake_cpuid_leaf = leaf;
	fake_log_is_quiet = true;
}

/* Whether a is within `ppm` millionths of b. */
static bool
is_near(uint64_t a, uint64_t b, uint64_t ppm)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff <= b / 1000000 * ppm;
}

KTEST(calibration_by_a_reference_is_right_to_some_hundred_ppm)
{
	static const uint64_t rates[] = {1000000000, 2591523000, 5000000000};
	struct calibration c;

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		machine();
		m.tsc_hz = rates[i];
		calibrate(&c);
		CHECK(is_near(c.tsc_hz, rates[i], 500));
		CHECK(is_near(c.apic_hz, m.apic_hz, 1000));
		CHECK(c.ref == &ref && !c.is_invariant);
	}
}

KTEST(calibration_takes_two_milliseconds)
{
	struct calibration c;
	uint64_t before;

	machine();
	before = m.now_ps;
	calibrate(&c);
	CHECK(m.now_ps - before < 3000000000);
}

KTEST(calibration_survives_a_host_that_interrupts_it)
{
	struct calibration c;

	for (unsigned every = 7; every < 60; every += 9) {
		machine();
		m.hiccup_every = every;
		calibrate(&c);
		CHECK(is_near(c.tsc_hz, m.tsc_hz, 500));
	}
}

KTEST(calibration_takes_the_exact_cpuid_value_only_if_the_reference_agrees)
{
	struct calibration c;

	machine();
	leaf_15 = (struct cpuid){.eax = 2, .ebx = 216, .ecx = 24000000}; /* 2592 MHz */
	leaf_power.edx = 1 << 8;
	calibrate(&c);
	CHECK_EQ(c.tsc_hz, 2592000000);
	CHECK(c.is_invariant);
	machine();
	leaf_15 = (struct cpuid){.eax = 2, .ebx = 300, .ecx = 24000000};
	calibrate(&c);
	CHECK(is_near(c.tsc_hz, m.tsc_hz, 500));
}

KTEST(calibration_without_reference_uses_what_cpuid_says)
{
	struct calibration c;

	machine();
	has_ref = false;
	leaf_16.eax = 2592;
	calibrate(&c);
	CHECK(c.tsc_hz == 2592000000 && !c.ref);
	CHECK(is_near(c.apic_hz, m.apic_hz, 2000));
	leaf_hypervisor.eax = 2591523;
	calibrate(&c);
	CHECK_EQ(c.tsc_hz, 2591523000);
	leaf_16.eax = leaf_hypervisor.eax = 0;
	calibrate(&c);
	CHECK_EQ(c.tsc_hz, 1000000000); /* nobody knows */
}

KTEST(calibration_gives_up_on_a_reference_that_stands_still)
{
	struct calibration c;

	machine();
	m.ref_stands = true;
	leaf_16.eax = 2592;
	calibrate(&c);
	CHECK(!c.ref && c.tsc_hz == 2592000000 && c.apic_hz > 0);
}

KTEST(calibration_over_a_second_is_right_to_a_few_ppm)
{
	struct moment a, b;
	uint64_t hz;

	machine();
	moment_take(reference_find(), &a);
	m.now_ps += 1000000000000;
	moment_take(&ref, &b);
	hz = calibrate_tsc_hz(&ref, &a, &b);
	CHECK(is_near(hz, m.tsc_hz, 2));
	CHECK_EQ(calibrate_tsc_hz(&ref, &a, &a), 0);
}
