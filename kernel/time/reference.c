/*
 * The counters of known frequency: HPET (IA-PC HPET specification 1.0a), ACPI PM timer
 * (ACPI 6.4 section 4.8.3.3) and the 8254 PIT's channel 2, whose gate and output are in
 * port 0x61. Each is probed before it is believed: tables may promise what is not there.
 */
#define LOG_PREFIX "time: "
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/time/calibrate.h"
#include "kernel/x86/io.h"
#include "lib/string.h"
#include "mm/kva.h"

enum {
	HPET_CAPABILITIES = 0x00,
	HPET_CONFIG = 0x10,
	HPET_COUNTER = 0xf0,
	HPET_SIZE = 0x400,
	HPET_CONFIG_ENABLE = 1 << 0,
	HPET_PERIOD_MAX_FS = 100000000, /* section 2.3.4: at least 10 MHz */
	HPET_PERIOD_MIN_FS = 100000,    /* 10 GHz: nonsense */
};

enum { PM_TIMER_HZ = 3579545, PM_PROBE_READS = 1000 };

enum {
	PIT_HZ = 1193182,
	PIT_CHANNEL2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_CHANNEL2_MODE0 = 0xb0, /* channel 2, both bytes, mode 0: count down once */
	PIT_LATCH_CHANNEL2 = 0x80,
	PORT_B = 0x61,
	PORT_B_GATE2 = 1 << 0,
	PORT_B_SPEAKER = 1 << 1,
	PIT_PROBE_READS = 1000,
};

static volatile void *hpet;

static uint64_t
hpet_read(void)
{
	return mmio_read32(hpet, HPET_COUNTER);
}

static struct reference hpet_ref = {
    .name = "HPET",
    .mask = 0xffffffff,
    .read = hpet_read,
};

static bool
hpet_probe(void)
{
	const char *option = cmdline_get("hpet", 0);
	uint64_t period_fs;

	if (!platform.hpet_base || (option && !strcmp(option, "disable")))
		return false;
	hpet = ioremap(platform.hpet_base, HPET_SIZE, CACHE_UC);
	if (!hpet)
		return false;
	period_fs = mmio_read32(hpet, HPET_CAPABILITIES + 4);
	if (period_fs < HPET_PERIOD_MIN_FS || period_fs > HPET_PERIOD_MAX_FS) {
		log_warn("HPET claims a period of %llu fs: not used",
		    (unsigned long long)period_fs);
		return false;
	}
	hpet_ref.hz = 1000000000000000ull / period_fs;
	mmio_write32(
	    hpet, HPET_CONFIG, mmio_read32(hpet, HPET_CONFIG) | HPET_CONFIG_ENABLE);
	return true;
}

static volatile void *pm_timer_mmio;

static uint64_t
pm_timer_read(void)
{
	if (pm_timer_mmio)
		return mmio_read32(pm_timer_mmio, 0);
	return port_in32((uint16_t)platform.pm_timer.address);
}

/* 24 bits always: some chips that claim 32 get the carry wrong, and we need no more. */
static const struct reference pm_timer_ref = {
    .name = "PM timer",
    .hz = PM_TIMER_HZ,
    .mask = 0xffffff,
    .read = pm_timer_read,
};

static bool
pm_timer_probe(void)
{
	const struct platform_reg *r = &platform.pm_timer;
	uint64_t first;

	if (!r->address)
		return false;
	if (r->space == SPACE_MEMORY) {
		pm_timer_mmio = ioremap(r->address, 4, CACHE_UC);
		if (!pm_timer_mmio)
			return false;
	}
	first = pm_timer_read();
	for (unsigned i = 0; i < PM_PROBE_READS; i++)
		if (pm_timer_read() != first)
			return true;
	return false;
}

/* Counts down; turned round so that it counts up as the others do. */
static uint64_t
pit_read(void)
{
	uint32_t low;

	port_out8(PIT_COMMAND, PIT_LATCH_CHANNEL2);
	low = port_in8(PIT_CHANNEL2);
	return ~(low | (uint32_t)port_in8(PIT_CHANNEL2) << 8) & 0xffff;
}

static const struct reference pit_ref = {
    .name = "PIT",
    .hz = PIT_HZ,
    .mask = 0xffff,
    .read = pit_read,
};

static bool
pit_probe(void)
{
	uint64_t first;

	if (!platform.has_pit)
		return false;
	port_out8(PORT_B, (port_in8(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2);
	port_out8(PIT_COMMAND, PIT_CHANNEL2_MODE0);
	port_out8(PIT_CHANNEL2, 0xff);
	port_out8(PIT_CHANNEL2, 0xff);
	first = pit_read();
	for (unsigned i = 0; i < PIT_PROBE_READS; i++)
		if (pit_read() != first)
			return true;
	return false;
}

const struct reference *
reference_find(void)
{
	if (hpet_probe())
		return &hpet_ref;
	if (pm_timer_probe())
		return &pm_timer_ref;
	if (pit_probe())
		return &pit_ref;
	return NULL;
}
