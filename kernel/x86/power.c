/*
 * Power off by ACPI: sleep type of \_S5_ and the enable bit into the PM1 control blocks
 * (ACPI 6.4 sections 4.8.3.2.1 and 16.1.3), or into the sleep control register of
 * hardware-reduced machines (4.8.3.7). Restart: the FADT's reset register, then the
 * 8042's reset line, then the chipset's port 0xCF9, then a triple fault; each gets a
 * moment to work. Only the first is specified, the others are what PCs have always had.
 */
#define LOG_PREFIX "power: "
#include "kernel/power.h"

#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/io.h"
#include "kernel/x86/percpu_ops.h"
#include "mm/kva.h"

enum {
	PM1_SCI_ENABLE = 1 << 0,
	PM1_SLEEP_TYPE_SHIFT = 10,
	PM1_SLEEP_TYPE_MASK = 7 << 10,
	PM1_SLEEP_ENABLE = 1 << 13,
	SLEEP_CONTROL_TYPE_SHIFT = 2,
	SLEEP_CONTROL_ENABLE = 1 << 5,

	I8042_COMMAND = 0x64,
	I8042_INPUT_FULL = 1 << 1,
	I8042_PULSE_RESET = 0xfe,
	PORT_CF9 = 0xcf9,
	CF9_HARD = 1 << 1,
	CF9_RESET = 1 << 2,
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc,

	WAIT_NS = 50000000, /* for a write to take effect */
	ACPI_ENABLE_LIMIT_NS = 300000000,
};

/* Memory-space registers, mapped ahead. */
static volatile void *reset_mmio, *sleep_control_mmio, *pm1a_mmio, *pm1b_mmio;

static struct spinlock hooks_lock = SPINLOCK_INIT("power_hooks", RANK_OBJECT);
static struct list hooks = LIST_INIT(hooks);

static volatile void *
map_reg(const struct platform_reg *r)
{
	return r->address && r->space == SPACE_MEMORY ? ioremap(r->address, 8, CACHE_UC)
	                                              : NULL;
}

void
power_init(void)
{
	const struct platform_power *p = &platform.power;

	reset_mmio = map_reg(&p->reset);
	sleep_control_mmio = map_reg(&p->sleep_control);
	pm1a_mmio = map_reg(&p->pm1a_control);
	pm1b_mmio = map_reg(&p->pm1b_control);
	if (platform.has_acpi && !p->has_s5)
		log_warn("the tables do not say how to power off");
}

void
power_add_hook(struct power_hook *h)
{
	spin_lock(&hooks_lock);
	list_push_front(&hooks, &h->link);
	spin_unlock(&hooks_lock);
}

void
power_quiesce(void)
{
	for (;;) {
		struct list *first;

		spin_lock(&hooks_lock);
		first = list_pop_front(&hooks);
		spin_unlock(&hooks_lock);
		if (!first)
			return;

		struct power_hook *h = list_entry(first, struct power_hook, link);

		h->quiesce(h);
	}
}

void
power_quiesce_now(void)
{
	for (struct list *l = hooks.next; l != &hooks; l = l->next) {
		struct power_hook *h = list_entry(l, struct power_hook, link);

		if (h->quiesce_now)
			h->quiesce_now(h);
	}
}

void
power_halt(void)
{
	for (;;) {
		irq_off_raw();
		hlt();
	}
}

/* ---- Power off --------------------------------------------------------------------- */

static uint16_t
pm1_read(const struct platform_reg *r, volatile void *mmio)
{
	return mmio ? mmio_read16(mmio, 0) : port_in16((uint16_t)r->address);
}

static void
pm1_write(const struct platform_reg *r, volatile void *mmio, uint16_t v)
{
	if (mmio)
		mmio_write16(mmio, 0, v);
	else
		port_out16((uint16_t)r->address, v);
}

/* Takes power management over from the firmware, if it still has it: section 16.3.1. */
static void
acpi_enable(const struct platform_power *p)
{
	if (!p->smi_command || !p->acpi_enable ||
	    pm1_read(&p->pm1a_control, pm1a_mmio) & PM1_SCI_ENABLE)
		return;
	port_out8((uint16_t)p->smi_command, p->acpi_enable);
	(void)poll_until(pm1_read(&p->pm1a_control, pm1a_mmio) & PM1_SCI_ENABLE,
	    ACPI_ENABLE_LIMIT_NS); /* if it never comes, the write below is worth a try */
}

static void
pm1_sleep(const struct platform_reg *r, volatile void *mmio, uint8_t type)
{
	uint16_t v =
	    pm1_read(r, mmio) & (uint16_t) ~(PM1_SLEEP_TYPE_MASK | PM1_SLEEP_ENABLE);

	pm1_write(
	    r, mmio, (uint16_t)(v | type << PM1_SLEEP_TYPE_SHIFT | PM1_SLEEP_ENABLE));
}

static void
acpi_power_off(const struct platform_power *p)
{
	if (p->is_hw_reduced) {
		uint8_t v = (uint8_t)(p->s5_type_a << SLEEP_CONTROL_TYPE_SHIFT |
		                      SLEEP_CONTROL_ENABLE);

		if (sleep_control_mmio)
			mmio_write8(sleep_control_mmio, 0, v);
		else if (p->sleep_control.address)
			port_out8((uint16_t)p->sleep_control.address, v);
		return;
	}
	if (!p->pm1a_control.address)
		return;
	acpi_enable(p);
	pm1_sleep(&p->pm1a_control, pm1a_mmio, p->s5_type_a);
	if (p->pm1b_control.address)
		pm1_sleep(&p->pm1b_control, pm1b_mmio, p->s5_type_b);
}

void
power_off(void)
{
	irq_off_raw();
	if (platform.power.has_s5) {
		acpi_power_off(&platform.power);
		delay_ns(WAIT_NS);
	}
	log_err("this machine has no way to power off: switch it off by hand");
	power_halt();
}

/* ---- Restart ----------------------------------------------------------------------- */

static void
reset_by_acpi(void)
{
	const struct platform_power *p = &platform.power;
	uint64_t a = p->reset.address;

	if (!p->has_reset)
		return;
	switch ((enum platform_space)p->reset.space) {
	case SPACE_MEMORY:
		if (reset_mmio)
			mmio_write8(reset_mmio, 0, p->reset_value);
		break;
	case SPACE_IO: port_out8((uint16_t)a, p->reset_value); break;
	case SPACE_PCI: /* bus 0: device in bits 32-47, function 16-31, offset 0-15 */
		port_out32(PCI_ADDRESS, 1u << 31 | (uint32_t)(a >> 32 & 31) << 11 |
		                            (uint32_t)(a >> 16 & 7) << 8 |
		                            (uint32_t)(a & 0xfc));
		port_out8((uint16_t)(PCI_DATA + (a & 3)), p->reset_value);
		break;
	}
	delay_ns(WAIT_NS);
}

static void
reset_by_i8042(void)
{
	if (!platform.has_i8042)
		return;
	(void)poll_until(
	    !(port_in8(I8042_COMMAND) & I8042_INPUT_FULL), WAIT_NS); /* try anyhow */
	port_out8(I8042_COMMAND, I8042_PULSE_RESET);
	delay_ns(WAIT_NS);
}

static void
reset_by_cf9(void)
{
	port_out8(PORT_CF9, CF9_HARD);
	delay_ns(WAIT_NS);
	port_out8(PORT_CF9, CF9_HARD | CF9_RESET);
	delay_ns(WAIT_NS);
}

/* No IDT, so the breakpoint cannot be delivered, nor the double fault that follows. */
static void
reset_by_triple_fault(void)
{
	static const uint64_t no_idt[2];

	lidt(no_idt, 1);
	__asm__ volatile("int3");
}

void
power_restart(void)
{
	irq_off_raw();
	reset_by_acpi();
	reset_by_i8042();
	reset_by_cf9();
	reset_by_triple_fault();
	power_halt();
}
