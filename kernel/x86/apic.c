/*
 * Local APIC set-up and interprocessor interrupts.
 *
 * Physical destination mode throughout: one CPU per interrupt, named by its APIC ID,
 * which works up to ID 254 in xAPIC mode and without limit in x2APIC mode.
 */
#define LOG_PREFIX "apic: "
#include "kernel/x86/apic.h"

#include "kernel/cmdline.h"
#include "kernel/irq/vectors.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/time/clock.h"
#include "kernel/x86/apic_priv.h"
#include "kernel/x86/apic_regs.h"
#include "kernel/x86/percpu_ops.h"
#include "mm/kva.h"

enum {
	APIC_BASE_X2 = 1 << 10, /* MSR_APIC_BASE, SDM 10.12.1 */
	APIC_BASE_ENABLE = 1 << 11,
	CPUID_APIC = 1 << 9,    /* leaf 1 EDX */
	CPUID_X2APIC = 1 << 21, /* leaf 1 ECX */
	ICR_SPIN_LIMIT = 1000000,
	XAPIC_MAX_ID = 254,
};

volatile void *apic_base;
uint64_t apic_errors;

static bool use_x2apic;

bool
apic_is_x2apic(void)
{
	return use_x2apic;
}

uint32_t
apic_max_id(void)
{
	return use_x2apic ? UINT32_MAX - 1 : XAPIC_MAX_ID;
}

uint32_t
apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return use_x2apic ? id : id >> 24;
}

void
apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/* ---- Local interrupt pins ---------------------------------------------------------- */

/* The MADT's word on which pin of this CPU is wired to NMI; a PC's default is LINT1. */
static uint32_t
lint_nmi_entry(uint32_t acpi_uid, uint32_t pin)
{
	for (uint32_t i = 0; i < platform.num_nmis; i++) {
		const struct platform_nmi *n = &platform.nmis[i];
		uint32_t entry = LVT_NMI;

		if (!n->is_lint || n->lint != pin ||
		    (n->acpi_uid != PLATFORM_ALL_CPUS && n->acpi_uid != acpi_uid))
			continue;
		/*
		 * NMI delivery is edge triggered whatever the trigger bit says (SDM
		 * 10.5.1).
		 */
		if ((n->flags & INTI_POLARITY_MASK) == INTI_POLARITY_LOW)
			entry |= LVT_ACTIVE_LOW;
		return entry;
	}
	return !platform.has_acpi && pin == 1 ? LVT_NMI : LVT_MASKED;
}

static uint32_t
acpi_uid_of(uint32_t id)
{
	for (uint32_t i = 0; i < platform.num_cpus; i++)
		if (platform.cpus[i].apic_id == id)
			return platform.cpus[i].acpi_uid;
	return PLATFORM_ALL_CPUS;
}

static void
set_pins(void)
{
	uint32_t uid = acpi_uid_of(apic_id());

	apic_write(APIC_LVT_LINT0, lint_nmi_entry(uid, 0));
	apic_write(APIC_LVT_LINT1, lint_nmi_entry(uid, 1));
}

void
apic_enable_extint(bool on)
{
	apic_write(APIC_LVT_LINT0, on ? LVT_EXTINT : LVT_MASKED);
}

/* ---- Set-up ------------------------------------------------------------------------ */

static void
enable_mode(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	/* From off to x2APIC leads through xAPIC only: SDM figure 10-27. */
	if (!(base & APIC_BASE_ENABLE)) {
		base |= APIC_BASE_ENABLE;
		wrmsr(MSR_APIC_BASE, base);
	}
	if (use_x2apic && !(base & APIC_BASE_X2))
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
}

/*
 * Acknowledges what firmware left in service, or it would block all lower vectors for
 * ever.
 */
static void
drain_in_service(void)
{
	for (unsigned word = 0; word < 8; word++)
		for (unsigned i = 0; i < 32 && apic_read(APIC_ISR + word * 16); i++)
			apic_eoi();
}

void
apic_init_cpu(void)
{
	unsigned last_lvt;

	enable_mode();
	last_lvt = apic_read(APIC_VERSION) >> 16 & 0xff;
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	if (last_lvt >= 4)
		apic_write(APIC_LVT_PERF, LVT_MASKED);
	if (last_lvt >= 5)
		apic_write(APIC_LVT_THERMAL, LVT_MASKED);
	if (last_lvt >= 6)
		apic_write(APIC_LVT_CMCI, LVT_MASKED);
	set_pins();
	drain_in_service();
	apic_write(APIC_ERROR, 0);
	apic_write(APIC_LVT_ERROR, VECTOR_APIC_ERROR);
	apic_timer_init_cpu();
}

bool
apic_init(void)
{
	struct cpuid features = cpuid(1, 0);

	if (!(features.edx & CPUID_APIC)) {
		log_err("the processor has no local APIC");
		return false;
	}
	/*
	 * Firmware that hands over in x2APIC mode cannot be taken back without a reset.
	 */
	use_x2apic = rdmsr(MSR_APIC_BASE) & APIC_BASE_X2 ||
	             (features.ecx & CPUID_X2APIC && !cmdline_has("nox2apic"));
	if (!use_x2apic) {
		apic_base = ioremap(platform.lapic_base, APIC_SIZE, CACHE_UC);
		if (!apic_base) {
			log_err("cannot map the local APIC at %#llx",
			    (unsigned long long)platform.lapic_base);
			return false;
		}
	}
	apic_init_cpu();
	this_cpu()->apic_id = apic_id();
	return true;
}

/* ---- Sending ----------------------------------------------------------------------- */

void
apic_send(uint32_t dest_apic_id, uint32_t icr)
{
	uint64_t flags;

	if (use_x2apic) {
		/*
		 * Unlike MMIO stores, this MSR write does not wait for earlier stores:
		 * SDM 10.12.3.
		 */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_BASE + (APIC_ICR >> 4),
		    (uint64_t)dest_apic_id << 32 | icr);
		return;
	}
	flags = irq_read_flags();
	irq_off_raw(); /* the two halves belong together */
	for (unsigned i = 0; apic_read(APIC_ICR) & ICR_PENDING && i < ICR_SPIN_LIMIT; i++)
		cpu_relax();
	apic_write(APIC_ICR_HIGH, dest_apic_id << 24);
	apic_write(APIC_ICR, icr);
	if (flags & RFLAGS_IRQ_ON)
		irq_on_raw();
}

void
apic_error_interrupt(void)
{
	uint32_t status;

	apic_write(APIC_ERROR, 0); /* a write latches the present state for the read */
	status = apic_read(APIC_ERROR);
	__atomic_fetch_add(&apic_errors, 1, __ATOMIC_RELAXED);
	log_once(LOG_WARNING, "CPU %u: local APIC reports error %#x", cpu_id(), status);
}
