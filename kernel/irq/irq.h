/*
 * Device interrupts. A line is a global interrupt number (GSI) of an I/O APIC or, later, an MSI.
 * A handler acknowledges its device, and wakes a thread: no allocation, no sleeping, no logging.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct irq; /* one installed handler */

enum irq_result { IRQ_NONE, IRQ_HANDLED };

enum {
	IRQ_LEVEL = 1 << 0,	 /* level triggered (else edge) */
	IRQ_ACTIVE_LOW = 1 << 1, /* else active high */
	IRQ_SHARED = 1 << 2,
};

typedef enum irq_result (*irq_handler)(void *arg);

/*
 * Routes `gsi` to a vector and unmasks it. *out is for irq_release. irq_request_isa takes an ISA
 * interrupt 0..15 and applies the MADT's source overrides and the bus's default polarity.
 */
enum err irq_request_gsi(
    unsigned gsi, unsigned flags, const char *name, irq_handler fn, void *arg, struct irq **out);
enum err irq_request_isa(
    unsigned isa, const char *name, irq_handler fn, void *arg, struct irq **out);
void irq_release(struct irq *); /* after it the handler is not running anywhere */

/* Counters for /proc/interrupts: calls fn for each installed line. */
struct irq_stats {
	const char *name, *chip;
	unsigned line;
	const uint64_t *per_cpu; /* num_cpus entries */
};
void irq_for_each(void (*fn)(const struct irq_stats *, void *arg), void *arg);

extern uint64_t irq_spurious, irq_unhandled; /* [a] */
