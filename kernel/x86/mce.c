/*
 * Machine checks (SDM vol. 3, chapter 16; APM vol. 2, chapter 9). Every bank reports; the
 * handler prints each bank with a valid error, clears it, and decides whether the machine
 * may go on.
 */
#include "kernel/x86/mce.h"

#define LOG_PREFIX "mce: "

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proc/signal.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu_ops.h"
#include "kernel/x86/trap.h"
#include "lib/fmt.h"

enum { BANKS_MAX = 32, BANK_REGISTERS = 4, BUS_MCEERR_AR = 4 };

enum mcg_bits {
	MCG_CAP_COUNT = 0xff,
	MCG_CAP_CTL = 1 << 8,
	MCG_STATUS_RIPV = 1 << 0, /* the interrupted program can be resumed */
};

#define MC_VALID           (1ull << 63)
#define MC_OVERFLOW        (1ull << 62)
#define MC_UNCORRECTED     (1ull << 61)
#define MC_HAS_MISC        (1ull << 59)
#define MC_HAS_ADDRESS     (1ull << 58)
#define MC_CONTEXT_CORRUPT (1ull << 57)

static unsigned
num_banks(void)
{
	if (!cpu_features.has_mce)
		return 0;
	return MIN((unsigned)(rdmsr(MSR_MCG_CAP) & MCG_CAP_COUNT), (unsigned)BANKS_MAX);
}

void
mce_init_cpu(void)
{
	if (!cpu_features.has_mce)
		return;
	if (rdmsr(MSR_MCG_CAP) & MCG_CAP_CTL)
		wrmsr(MSR_MCG_CTL, ~0ull);
	for (unsigned i = 0; i < num_banks(); i++) {
		wrmsr(MSR_MC0_CTL + BANK_REGISTERS * i, ~0ull);
		wrmsr(MSR_MC0_CTL + BANK_REGISTERS * i + 1, 0); /* left by firmware */
	}
	wrmsr(MSR_MCG_STATUS, 0);
}

static void
report_bank(unsigned bank, uint64_t status)
{
	uint32_t base = MSR_MC0_CTL + BANK_REGISTERS * bank;
	char address[32] = "", misc[32] = "";

	if (status & MC_HAS_ADDRESS)
		scnprintf(address, sizeof(address), ", address %#lx", rdmsr(base + 2));
	if (status & MC_HAS_MISC)
		scnprintf(misc, sizeof(misc), ", misc %#lx", rdmsr(base + 3));
	log_err("CPU %u bank %u: %s error, code %#x, status %#lx%s%s%s%s", cpu_id(), bank,
	    status & MC_UNCORRECTED ? "uncorrected" : "corrected",
	    (unsigned)(status & 0xffff), status, address, misc,
	    status & MC_CONTEXT_CORRUPT ? ", processor state lost" : "",
	    status & MC_OVERFLOW ? ", earlier errors overwritten" : "");
}

/* Reports and clears every bank; returns the or of their status words. */
static uint64_t
take_banks(void)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < num_banks(); i++) {
		uint64_t status = rdmsr(MSR_MC0_CTL + BANK_REGISTERS * i + 1);

		if (!(status & MC_VALID))
			continue;
		report_bank(i, status);
		wrmsr(MSR_MC0_CTL + BANK_REGISTERS * i + 1, 0);
		all |= status;
	}
	return all;
}

bool
mce_handle(const struct trap_frame *f)
{
	bool can_resume = rdmsr(MSR_MCG_STATUS) & MCG_STATUS_RIPV;
	uint64_t status = take_banks();

	log_err("machine check on CPU %u at %#lx in %s mode", cpu_id(), f->rip,
	    trap_is_user(f) ? "user" : "kernel");
	wrmsr(MSR_MCG_STATUS, 0);
	return can_resume && !(status & (MC_UNCORRECTED | MC_CONTEXT_CORRUPT));
}

void
mce_from_user(struct trap_frame *f)
{
	bool can_resume = rdmsr(MSR_MCG_STATUS) & MCG_STATUS_RIPV;
	uint64_t status = take_banks();

	wrmsr(MSR_MCG_STATUS, 0);
	if (status & MC_CONTEXT_CORRUPT || !can_resume)
		panic_trap(f, "machine check");
	if (!(status & MC_UNCORRECTED))
		return;
	irq_on_raw();
	signal_fault(SIGBUS, BUS_MCEERR_AR, f->rip);
}
