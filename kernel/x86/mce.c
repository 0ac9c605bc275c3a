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

/* One bank's error. */
struct mce_record {
	uint64_t status, address, misc;
	uint32_t bank;
};

enum { MAX_RECORDS = 8 };

struct mce_records {
	struct mce_record record[MAX_RECORDS];
	uint32_t count; /* may be more than are kept */
};

static PER_CPU(struct mce_records, noted);

static int
format_record(const struct mce_record *r, char *buf, size_t size)
{
	char address[32] = "", misc[32] = "";

	if (r->status & MC_HAS_ADDRESS)
		scnprintf(address, sizeof(address), ", address %#lx", r->address);
	if (r->status & MC_HAS_MISC)
		scnprintf(misc, sizeof(misc), ", misc %#lx", r->misc);
	return scnprintf(buf, size,
	    "CPU %u bank %u: %s error, code %#x, status %#lx%s%s%s%s", cpu_id(), r->bank,
	    r->status & MC_UNCORRECTED ? "uncorrected" : "corrected",
	    (unsigned)(r->status & 0xffff), r->status, address, misc,
	    r->status & MC_CONTEXT_CORRUPT ? ", processor state lost" : "",
	    r->status & MC_OVERFLOW ? ", earlier errors overwritten" : "");
}

/* Notes and clears every bank's error; returns the or of their status words. */
static uint64_t
take_banks(void)
{
	struct mce_records *n = this_cpu_ptr(&noted);
	uint64_t all = 0;

	for (unsigned i = 0; i < num_banks(); i++) {
		uint32_t base = MSR_MC0_CTL + BANK_REGISTERS * i;
		struct mce_record r = {.bank = i, .status = rdmsr(base + 1)};

		if (!(r.status & MC_VALID))
			continue;
		if (r.status & MC_HAS_ADDRESS)
			r.address = rdmsr(base + 2);
		if (r.status & MC_HAS_MISC)
			r.misc = rdmsr(base + 3);
		wrmsr(base + 1, 0);
		if (n->count < MAX_RECORDS)
			n->record[n->count++] = r;
		all |= r.status;
	}
	wrmsr(MSR_MCG_STATUS, 0);
	return all;
}

void
mce_report(void)
{
	struct mce_records *n = this_cpu_ptr(&noted);
	char text[200];

	for (unsigned i = 0; i < n->count; i++) {
		format_record(&n->record[i], text, sizeof(text));
		log_err("%s", text);
	}
	n->count = 0;
}

static NORETURN COLD void
mce_panic(const struct trap_frame *f)
{
	const struct mce_records *n = this_cpu_ptr(&noted);
	char text[200] = "no bank says why";

	if (n->count)
		format_record(&n->record[n->count - 1], text, sizeof(text));
	panic_trap(f, "machine check: %s", text);
}

void
mce_handle(const struct trap_frame *f)
{
	bool can_resume = rdmsr(MSR_MCG_STATUS) & MCG_STATUS_RIPV;
	uint64_t status = take_banks();

	if (!can_resume || status & (MC_UNCORRECTED | MC_CONTEXT_CORRUPT))
		mce_panic(f);
}

void
mce_from_user(struct trap_frame *f)
{
	bool can_resume = rdmsr(MSR_MCG_STATUS) & MCG_STATUS_RIPV;
	uint64_t status = take_banks();

	if (status & MC_CONTEXT_CORRUPT || !can_resume)
		mce_panic(f);
	mce_report();
	if (!(status & MC_UNCORRECTED))
		return;
	irq_on_raw();
	signal_fault(SIGBUS, BUS_MCEERR_AR, f->rip);
}
