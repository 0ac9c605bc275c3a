/*
 * What an interrupt controller is to kernel/irq. There are three kinds: I/O APIC inputs,
 * 8259 lines (when there is no I/O APIC), and messages (msi.c), whose `route` writes the
 * device's registers. All calls are made under the irq lock, except eoi, which the CPU that
 * took the interrupt makes.
 */
#pragma once

#include "kernel/irq/vectors.h"
#include "lib/types.h"

struct irq_chip {
	const char *name; /* for /proc/interrupts */
	/* The vector is given by the hardware: 0 means kernel/irq allocates one. */
	unsigned (*fixed_vector)(unsigned line);
	void (*route)(
	    unsigned line, struct vector_place, unsigned flags); /* leaves it masked */
	void (*set_mask)(unsigned line, bool is_masked);
	void (*eoi)(unsigned line);
};

/* Messages: lines are numbers that stand for a struct irq_msi. Calls under the irq lock. */
struct irq_msi;
extern const struct irq_chip msi_chip;
bool msi_line_alloc(struct irq_msi *, unsigned *line); /* false: none left */
void msi_line_free(unsigned line);
