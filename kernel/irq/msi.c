/*
 * Messages as an interrupt controller. A message is a write to the address of a local
 * APIC (SDM vol. 3, 10.11): bits 12..19 say which CPU, physically; the data's low byte is
 * the vector; delivery is fixed and by edge. The device's registers are behind struct
 * irq_msi. There is no controller that numbers messages, so they are numbered here.
 */
#include "kernel/irq/chip.h"
#include "kernel/irq/irq.h"
#include "kernel/x86/apic.h"

enum {
	MAX_MESSAGES = 2048,
	FIRST_LINE =
	    256, /* clear of the usual GSIs, for the reader of /proc/interrupts */
	MSI_DEST_SHIFT = 12,
};

static const uint64_t msi_address = 0xfee00000;

static struct irq_msi *messages[MAX_MESSAGES]; /* under the irq lock */

bool
msi_line_alloc(struct irq_msi *m, unsigned *line)
{
	for (unsigned i = 0; i < MAX_MESSAGES; i++)
		if (!messages[i]) {
			messages[i] = m;
			*line = FIRST_LINE + i;
			return true;
		}
	return false;
}

void
msi_line_free(unsigned line)
{
	messages[line - FIRST_LINE] = NULL;
}

static unsigned
no_fixed_vector(unsigned line)
{
	return 0;
}

static void
route(unsigned line, struct vector_place place, unsigned flags)
{
	struct irq_msi *m = messages[line - FIRST_LINE];

	m->set_mask(m, true);
	m->write(m, msi_address | (uint64_t)cpus[place.cpu]->apic_id << MSI_DEST_SHIFT,
	    place.vector);
}

static void
set_mask(unsigned line, bool is_masked)
{
	struct irq_msi *m = messages[line - FIRST_LINE];

	m->set_mask(m, is_masked);
}

static void
eoi(unsigned line)
{
	apic_eoi();
}

const struct irq_chip msi_chip = {
    .name = "PCI-MSI",
    .fixed_vector = no_fixed_vector,
    .route = route,
    .set_mask = set_mask,
    .eoi = eoi,
};
