/* Interrupts between CPUs. */
#pragma once

#include "kernel/sched/cpumask.h"
#include "lib/types.h"

/* Makes `cpu` look at need_resched. Any context. */
void ipi_reschedule(struct cpu *cpu);

/*
 * Runs fn(arg) on every online CPU of `mask` (this one included if set), with interrupts
 * off, and returns when all have finished. Not from an interrupt handler. The caller may
 * have interrupts off (it answers others' requests while it waits) but must hold no lock
 * that a target could spin on with interrupts off. Requests to one CPU that come together
 * cost it one interrupt.
 */
void ipi_call(const struct cpumask *mask, void (*fn)(void *), void *arg);

/*
 * Stops every other CPU by NMI, for panic: bounded wait, returns how many did not stop.
 */
unsigned ipi_stop_others(void);

/* The call interrupt's handler: kernel/irq calls it, interrupts off. */
void ipi_call_interrupt(void);
