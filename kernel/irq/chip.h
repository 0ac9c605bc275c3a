/*
 * What an interrupt controller is to kernel/irq. There are three kinds: I/O APIC inputs,
 * 8259 lines (when there is no I/O APIC), and later MSI, whose `route` writes the
 * device's message. All calls are made under the irq lock, except eoi, which the CPU that
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
