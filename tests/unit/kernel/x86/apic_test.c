/*
 * kernel/x86/apic.c and apic_timer.c against registers in memory (xAPIC) and in an array
 * (MSRs): the modes that no emulator at hand has. LINK: kernel/x86/apic.c
 * kernel/x86/apic_timer.c kernel/platform.c lib/string.c tests/fakes/percpu.c
 * tests/fakes/panic.c tests/fakes/clock.c tests/fakes/cpu.c
 */
#include "kernel/x86/apic.h"

#include "kernel/cmdline.h"
#include "kernel/irq/vectors.h"
#include "kernel/platform.h"
#include "kernel/time/timer_hw.h"
#include "kernel/x86/apic_regs.h"
#include "kernel/x86/percpu_ops.h"
#include "lib/string.h"
#include "mm/kva.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

enum {
	CPUID_APIC = 1 << 9,
	CPUID_X2APIC = 1 << 21,
	CPUID_TSC_DEADLINE = 1 << 24,
	BASE_X2 = 1 << 10,
	BASE_ENABLE = 1 << 11,
};

static uint32_t mmio[APIC_SIZE / 4];
static uint64_t msr_base, msr_deadline, msr_x2[0x100];
static unsigned num_base_writes;
static bool has_nox2apic;

uint64_t
fake_rdmsr(uint32_t msr)
{
	return msr == MSR_APIC_BASE ? msr_base : msr_x2[msr - MSR_X2APIC_BASE];
}

void
fake_wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == MSR_APIC_BASE) {
		msr_base = v;
		num_base_writes++;
	} else if (msr == MSR_TSC_DEADLINE) {
		msr_deadline = v;
	} else {
		msr_x2[msr - MSR_X2APIC_BASE] = v;
	}
}

volatile void *
ioremap(paddr_t base, size_t size, enum cache_type cache)
{
	return base == 0xfee00000 && cache == CACHE_UC ? mmio : NULL;
}

bool
cmdline_has(const char *name)
{
	return has_nox2apic && !strcmp(name, "nox2apic");
}

/* The TSC runs at 1 GHz with the clock. */
uint64_t
clock_ns_to_tsc(nsec_t ns)
{
	return ns + 777;
}

static void
machine(uint32_t ecx, uint32_t edx)
{
	memset(mmio, 0, sizeof(mmio));
	memset(msr_x2, 0, sizeof(msr_x2));
	msr_base = 0xfee00000 | BASE_ENABLE;
	msr_deadline = 1;
	num_base_writes = 0;
	has_nox2apic = false;
	fake_log_is_quiet = true;
	fake_cpuid = (struct cpuid){.ecx = ecx, .edx = edx};
	platform_set_defaults(&platform);
	platform.has_acpi = true;
	mmio[APIC_ID / 4] = 3u << 24;
	mmio[APIC_VERSION / 4] = 5 << 16 | 0x14;
	msr_x2[APIC_VERSION >> 4] = 6 << 16 | 0x15;
	msr_x2[APIC_ID >> 4] = 0x12345;
	apic_base = NULL;
}

KTEST(apic_in_memory_is_set_up_as_the_madt_says)
{
	machine(0, CPUID_APIC);
	platform.num_cpus = 1;
	platform.cpus[0] = (struct platform_cpu){.apic_id = 3, .acpi_uid = 9};
	platform.num_nmis = 2;
	platform.nmis[0] =
	    (struct platform_nmi){.is_lint = true, .acpi_uid = 8, .lint = 1};
	platform.nmis[1] = (struct platform_nmi){
	    .is_lint = true, .acpi_uid = 9, .lint = 0, .flags = INTI_POLARITY_LOW};
	CHECK(apic_init());
	CHECK(!apic_is_x2apic() && apic_id() == 3 && apic_max_id() == 254);
	CHECK_EQ(mmio[APIC_SPURIOUS / 4], SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	CHECK_EQ(mmio[APIC_LVT_LINT0 / 4], LVT_NMI | LVT_ACTIVE_LOW);
	CHECK_EQ(mmio[APIC_LVT_LINT1 / 4], LVT_MASKED); /* another CPU's */
	CHECK_EQ(mmio[APIC_LVT_TIMER / 4], LVT_MASKED);
	CHECK_EQ(mmio[APIC_LVT_THERMAL / 4], LVT_MASKED);
	CHECK_EQ(mmio[APIC_LVT_CMCI / 4], 0); /* it has no such entry */
	CHECK_EQ(num_base_writes, 0);
}

KTEST(apic_without_madt_has_nmi_at_lint1)
{
	machine(0, CPUID_APIC);
	platform.has_acpi = false;
	CHECK(apic_init());
	CHECK_EQ(mmio[APIC_LVT_LINT0 / 4], LVT_MASKED);
	CHECK_EQ(mmio[APIC_LVT_LINT1 / 4], LVT_NMI);
}

KTEST(apic_that_is_absent_or_out_of_reach_is_refused)
{
	machine(0, 0);
	CHECK(!apic_init());
	machine(0, CPUID_APIC);
	platform.lapic_base = 0x1000;
	CHECK(!apic_init());
}

KTEST(apic_goes_to_x2apic_through_xapic)
{
	machine(CPUID_X2APIC, CPUID_APIC);
	msr_base = 0xfee00000; /* firmware left it off */
	CHECK(apic_init());
	CHECK(apic_is_x2apic() && apic_id() == 0x12345);
	CHECK_EQ(num_base_writes, 2);
	CHECK((msr_base & (BASE_ENABLE | BASE_X2)) == (BASE_ENABLE | BASE_X2));
	CHECK_EQ(msr_x2[APIC_SPURIOUS >> 4], SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	CHECK_EQ(msr_x2[APIC_LVT_CMCI >> 4], LVT_MASKED);
	apic_send(0x54321, ICR_NMI | ICR_ASSERT);
	CHECK_EQ(msr_x2[APIC_ICR >> 4], 0x54321ull << 32 | ICR_NMI | ICR_ASSERT);
}

KTEST(apic_stays_xapic_on_request_unless_firmware_has_changed_it)
{
	machine(CPUID_X2APIC, CPUID_APIC);
	has_nox2apic = true;
	CHECK(apic_init() && !apic_is_x2apic());
	machine(CPUID_X2APIC, CPUID_APIC);
	has_nox2apic = true;
	msr_base |= BASE_X2;
	CHECK(apic_init() && apic_is_x2apic());
}

KTEST(apic_send_in_memory_writes_the_destination_first_and_keeps_the_interrupt_flag)
{
	machine(0, CPUID_APIC);
	CHECK(apic_init());
	fake_irqs_on = true;
	apic_send(7, ICR_FIXED | ICR_ASSERT | VECTOR_CALL);
	CHECK_EQ(mmio[APIC_ICR_HIGH / 4], 7u << 24);
	CHECK_EQ(mmio[APIC_ICR / 4], ICR_ASSERT | VECTOR_CALL);
	CHECK(fake_irqs_on);
	fake_irqs_on = false;
	apic_send(7, ICR_FIXED | ICR_ASSERT | VECTOR_CALL);
	CHECK(!fake_irqs_on);
	fake_irqs_on = true;
}

KTEST(apic_timer_counts_at_its_measured_rate)
{
	machine(0, CPUID_APIC);
	CHECK(apic_init());
	apic_timer_init(62500000);
	CHECK(!apic_timer_is_deadline());
	CHECK_EQ(mmio[APIC_LVT_TIMER / 4], VECTOR_TIMER);
	fake_now_ns = 1000000;
	timer_hw_program(fake_now_ns + 1600);
	CHECK_EQ(mmio[APIC_TIMER_INITIAL / 4], 101); /* never early by rounding */
	timer_hw_program(fake_now_ns - 5);
	CHECK_EQ(mmio[APIC_TIMER_INITIAL / 4], 1);
	timer_hw_program(fake_now_ns + 1000 * NSEC_PER_SEC);
	CHECK_EQ(mmio[APIC_TIMER_INITIAL / 4], UINT32_MAX);
	timer_hw_program(TIMER_HW_NEVER);
	CHECK_EQ(mmio[APIC_TIMER_INITIAL / 4], 0);
}

KTEST(apic_timer_uses_the_tsc_deadline_when_there_is_one)
{
	machine(CPUID_TSC_DEADLINE, CPUID_APIC);
	CHECK(apic_init());
	apic_timer_init(62500000);
	CHECK(apic_timer_is_deadline());
	CHECK_EQ(mmio[APIC_LVT_TIMER / 4], LVT_TSC_DEADLINE | VECTOR_TIMER);
	CHECK_EQ(msr_deadline, 0);
	timer_hw_program(5000);
	CHECK_EQ(msr_deadline, 5777);
	CHECK_EQ(mmio[APIC_TIMER_INITIAL / 4], 0);
	timer_hw_program(TIMER_HW_NEVER);
	CHECK_EQ(msr_deadline, 0);
	apic_init_cpu(); /* as on the next CPU: the mode is known now */
	CHECK_EQ(mmio[APIC_LVT_TIMER / 4], LVT_TSC_DEADLINE | VECTOR_TIMER);
}
