/*
 * In-kernel tests of device interrupts, with the PIT as the device (through the I/O APIC,
 * or the 8259s with "noapic"), and of the ways to end.
 */
#include "kernel/irq/irq.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/power.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/x86/io.h"

enum {
	PIT_CHANNEL0 = 0x40,
	PIT_COMMAND = 0x43,
	PIT_CHANNEL0_RATE = 0x34,    /* mode 2: one interrupt a period */
	PIT_CHANNEL0_STOPPED = 0x30, /* mode 0: waits for a count */
	PIT_PERIOD = 1193,           /* 1 ms */
	PIT_LINE = 0,
};

static uint32_t ticks; /* [a] */

static enum irq_result
pit_tick(void *arg)
{
	__atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
	return IRQ_HANDLED;
}

static uint32_t
ticks_in_100_ms(void)
{
	uint32_t before = __atomic_load_n(&ticks, __ATOMIC_RELAXED);

	thread_sleep_ns(100 * NSEC_PER_MSEC);
	return __atomic_load_n(&ticks, __ATOMIC_RELAXED) - before;
}

SELFTEST(irq_of_the_pit_comes_and_goes)
{
	struct irq *irq, *second;
	uint32_t n;

	if (!platform.has_pit)
		return;
	SELFTEST_CHECK(irq_request_isa(PIT_LINE, "pit", pit_tick, NULL, &irq) == OK);
	SELFTEST_CHECK(
	    irq_request_isa(PIT_LINE, "thief", pit_tick, NULL, &second) == ERR_BUSY);
	port_out8(PIT_COMMAND, PIT_CHANNEL0_RATE);
	port_out8(PIT_CHANNEL0, PIT_PERIOD & 0xff);
	port_out8(PIT_CHANNEL0, PIT_PERIOD >> 8);
	n = ticks_in_100_ms();
	log_notice("%u interrupts in 100 ms", n);
	irq_release(irq);
	/* A loaded host merges ticks; none at all or a storm is a fault. */
	SELFTEST_CHECK(n > 5 && n < 300);
	SELFTEST_CHECK(ticks_in_100_ms() == 0);
	SELFTEST_CHECK(irq_request_isa(PIT_LINE, "pit", pit_tick, NULL, &irq) == OK);
	SELFTEST_CHECK(ticks_in_100_ms() > 5);
	port_out8(PIT_COMMAND, PIT_CHANNEL0_STOPPED);
	irq_release(irq);
}

SELFTEST(irq_requests_for_lines_that_do_not_exist_are_refused)
{
	struct irq *irq;

	SELFTEST_CHECK(
	    irq_request_gsi(5000, 0, "none", pit_tick, NULL, &irq) == ERR_NODEV);
	SELFTEST_CHECK(irq_request_isa(16, "none", pit_tick, NULL, &irq) == ERR_INVAL);
}

SELFTEST_FATAL(power_off)
{
	power_quiesce();
	power_off();
}

SELFTEST_FATAL(power_restart)
{
	power_quiesce();
	power_restart();
}
