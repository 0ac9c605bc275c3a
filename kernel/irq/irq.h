/*
 * Device interrupts. A line is a global interrupt number (GSI) of an I/O APIC, or an
 * MSI. A handler acknowledges its device, and wakes a thread: no allocation, no
 * sleeping, no logging.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct irq; /* one installed handler */

enum irq_result { IRQ_NONE, IRQ_HANDLED };

enum {
	IRQ_LEVEL = 1 << 0,      /* level triggered (else edge) */
	IRQ_ACTIVE_LOW = 1 << 1, /* else active high */
	IRQ_SHARED = 1 << 2,
};

typedef enum irq_result (*irq_handler)(void *arg);

/*
 * Boot CPU, after acpi: quiets the 8259s, starts the local APIC and the I/O APICs.
 * Afterwards interrupts may be turned on.
 */
void irq_init(void);

/*
 * Routes `gsi` to a vector and unmasks it. *out is for irq_release. irq_request_isa takes
 * an ISA interrupt 0..15 and applies the MADT's source overrides and the bus's default
 * polarity. ERR_NODEV: no controller has that input. ERR_BUSY: taken by someone who does
 * not share, or shared in another mode. ERR_NOSPC: no vector left. Thread context.
 */
enum err irq_request_gsi(unsigned gsi, unsigned flags, const char *name, irq_handler fn,
    void *arg, struct irq **out);
enum err irq_request_isa(
    unsigned isa, const char *name, irq_handler fn, void *arg, struct irq **out);
/* The same with flags to add to what the bus and the MADT say: IRQ_LEVEL, IRQ_SHARED. */
enum err irq_request_isa_flags(unsigned isa, unsigned flags, const char *name,
    irq_handler fn, void *arg, struct irq **out);

/*
 * A message-signalled interrupt: a device's write to the local APICs. Whoever owns the
 * device's registers provides these calls; they are made under the irq lock and must not
 * sleep or log. The structure lives until irq_release.
 */
struct irq_msi {
	void (*write)(struct irq_msi *, uint64_t address, uint32_t data); /* masked */
	void (*set_mask)(struct irq_msi *, bool is_masked);
};

enum { IRQ_ANY_CPU = 0xffffffff };

/*
 * Gives the message a vector, on `cpu` if that one is online and has one left, has it
 * written, and unmasks it. ERR_NOSPC: no vector or no number left.
 */
enum err irq_request_msi(struct irq_msi *, unsigned cpu, const char *name, irq_handler fn,
    void *arg, struct irq **out);

/* After it the handler is not running anywhere. May sleep. */
void irq_release(struct irq *);

/* Counters for /proc/interrupts: calls fn for each installed handler. */
struct irq_stats {
	const char *name, *chip;
	unsigned line;
	const uint64_t *per_cpu; /* by CPU id */
};
void irq_for_each(void (*fn)(const struct irq_stats *, void *arg), void *arg);

/* Interrupts that are not devices', each CPU counts its own. */
enum irq_system {
	IRQ_SYS_TIMER,
	IRQ_SYS_RESCHEDULE,
	IRQ_SYS_CALL,
	IRQ_SYS_SPURIOUS,
	IRQ_SYS_APIC_ERROR,
	IRQ_SYS_KINDS,
};
uint64_t irq_system_count(enum irq_system, unsigned cpu);

extern uint64_t irq_spurious, irq_unhandled; /* [a] */

/* Registers /proc/interrupts. */
void irq_proc_init(void);
