/*
 * The one-shot timer of the local APIC (SDM vol. 3 section 10.5.4): either a counter that
 * runs down at a measured rate, or, on processors that have it, a comparator against the
 * TSC.
 */
#include "kernel/time/clock.h"
#include "kernel/time/clock_math.h"
#include "kernel/irq/vectors.h"
#include "kernel/time/timer_hw.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/apic_priv.h"
#include "kernel/x86/apic_regs.h"

enum { CPUID_TSC_DEADLINE = 1 << 24 /* leaf 1 ECX */ };

static struct clock_scale scale;
static bool is_calibrated, is_deadline;

void
apic_timer_start_counting(void)
{
	apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_16);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t
apic_timer_count(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

void
apic_timer_stop(void)
{
	apic_write(APIC_TIMER_INITIAL, 0);
}

void
apic_timer_init(uint64_t hz)
{
	scale = clock_scale_make(hz);
	is_deadline = cpuid(1, 0).ecx & CPUID_TSC_DEADLINE;
	is_calibrated = true;
	apic_timer_init_cpu();
}

bool
apic_timer_is_deadline(void)
{
	return is_deadline;
}

void
apic_timer_init_cpu(void)
{
	if (!is_calibrated) {
		apic_write(APIC_LVT_TIMER, LVT_MASKED);
	} else if (is_deadline) {
		apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
		/*
		 * In xAPIC mode the mode change must be seen before the MSR write: SDM
		 * 10.5.4.1.
		 */
		__asm__ volatile("mfence" : : : "memory");
		wrmsr(MSR_TSC_DEADLINE, 0);
	} else {
		apic_write(APIC_TIMER_INITIAL, 0);
		apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_16);
		apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	}
}

/* Ticks of the counter from now to `expires_ns`: at least one, at most what it holds. */
static uint32_t
ticks_until(nsec_t expires_ns)
{
	nsec_t now = clock_now_ns();
	uint64_t ticks =
	    expires_ns > now ? ns_to_cycles(&scale, expires_ns - now) + 1 : 1;

	return (uint32_t)MIN(ticks, (uint64_t)UINT32_MAX);
}

void
timer_hw_program(nsec_t expires_ns)
{
	bool is_never = expires_ns == TIMER_HW_NEVER;

	if (is_deadline)
		wrmsr(MSR_TSC_DEADLINE, is_never ? 0 : clock_ns_to_tsc(expires_ns));
	else
		apic_write(APIC_TIMER_INITIAL, is_never ? 0 : ticks_until(expires_ns));
}
