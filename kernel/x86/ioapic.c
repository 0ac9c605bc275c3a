/*
 * I/O APIC registers are reached through a window: an index register and a data register.
 * Each input has a redirection entry of two 32-bit halves. Level-triggered inputs are
 * acknowledged by the local APIC's EOI, which is broadcast.
 */
#define LOG_PREFIX "ioapic: "
#include "kernel/x86/ioapic.h"

#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/io.h"
#include "mm/kva.h"

enum {
	IOAPIC_INDEX = 0x00,
	IOAPIC_WINDOW = 0x10,
	IOAPIC_SIZE = 0x20,
	REG_VERSION = 1,
	REG_REDIRECTION = 0x10, /* low half of entry 0 */

	ENTRY_NMI = 4 << 8,
	ENTRY_ACTIVE_LOW = 1 << 13,
	ENTRY_LEVEL = 1 << 15,
	ENTRY_MASKED = 1 << 16,
};

struct ioapic {
	volatile void *regs;
	unsigned first_gsi, num_inputs;
};

static struct ioapic chips[PLATFORM_MAX_IOAPICS];
static unsigned num_chips;

static uint32_t
reg_read(const struct ioapic *c, unsigned reg)
{
	mmio_write32(c->regs, IOAPIC_INDEX, reg);
	return mmio_read32(c->regs, IOAPIC_WINDOW);
}

static void
reg_write(const struct ioapic *c, unsigned reg, uint32_t v)
{
	mmio_write32(c->regs, IOAPIC_INDEX, reg);
	mmio_write32(c->regs, IOAPIC_WINDOW, v);
}

static const struct ioapic *
chip_of(unsigned gsi)
{
	for (unsigned i = 0; i < num_chips; i++)
		if (gsi >= chips[i].first_gsi &&
		    gsi - chips[i].first_gsi < chips[i].num_inputs)
			return &chips[i];
	return NULL;
}

static unsigned
entry_reg(const struct ioapic *c, unsigned gsi)
{
	return REG_REDIRECTION + (gsi - c->first_gsi) * 2;
}

/* Inputs that the MADT says are wired to a non-maskable source. */
static void
route_nmis(void)
{
	for (unsigned i = 0; i < platform.num_nmis; i++) {
		const struct platform_nmi *n = &platform.nmis[i];
		const struct ioapic *c = n->is_lint ? NULL : chip_of(n->gsi);
		uint32_t low = ENTRY_NMI;

		if (!c)
			continue;
		if ((n->flags & INTI_POLARITY_MASK) == INTI_POLARITY_LOW)
			low |= ENTRY_ACTIVE_LOW;
		if ((n->flags & INTI_TRIGGER_MASK) == INTI_TRIGGER_LEVEL)
			low |= ENTRY_LEVEL;
		reg_write(c, entry_reg(c, n->gsi) + 1, apic_id() << 24);
		reg_write(c, entry_reg(c, n->gsi), low);
	}
}

static void
add_chip(const struct platform_ioapic *p)
{
	struct ioapic *c = &chips[num_chips];
	uint32_t version;

	c->regs = ioremap(p->base, IOAPIC_SIZE, CACHE_UC);
	version = c->regs ? reg_read(c, REG_VERSION) : UINT32_MAX;
	if (version == UINT32_MAX) {
		log_warn("nobody answers at %#llx: I/O APIC %u ignored",
		    (unsigned long long)p->base, p->id);
		return;
	}
	c->first_gsi = p->gsi_base;
	c->num_inputs = (version >> 16 & 0xff) + 1;
	for (unsigned i = 0; i < c->num_inputs; i++)
		reg_write(c, REG_REDIRECTION + i * 2, ENTRY_MASKED);
	num_chips++;
}

unsigned
ioapic_init(void)
{
	for (unsigned i = 0; i < platform.num_ioapics; i++)
		add_chip(&platform.ioapics[i]);
	route_nmis();
	return num_chips;
}

bool
ioapic_has(unsigned gsi)
{
	return chip_of(gsi);
}

void
ioapic_route(unsigned gsi, unsigned vector, uint32_t dest_apic_id, unsigned flags)
{
	const struct ioapic *c = chip_of(gsi);
	uint32_t low = vector | ENTRY_MASKED;

	if (flags & IOAPIC_LEVEL)
		low |= ENTRY_LEVEL;
	if (flags & IOAPIC_ACTIVE_LOW)
		low |= ENTRY_ACTIVE_LOW;
	reg_write(
	    c, entry_reg(c, gsi), low); /* masked first: no half-changed entry is used */
	reg_write(c, entry_reg(c, gsi) + 1, dest_apic_id << 24);
}

void
ioapic_set_mask(unsigned gsi, bool is_masked)
{
	const struct ioapic *c = chip_of(gsi);
	uint32_t low = reg_read(c, entry_reg(c, gsi));

	low = is_masked ? low | ENTRY_MASKED : low & ~(uint32_t)ENTRY_MASKED;
	reg_write(c, entry_reg(c, gsi), low);
}
