/* Interrupts between CPUs. */
#pragma once

#include "kernel/sched/cpumask.h"
#include "lib/types.h"

/* Makes `cpu` look at need_resched. Any context. */
void ipi_reschedule(struct cpu *cpu);

/*
 * Runs fn(arg) on every online CPU of `mask` (this one included if set), in interrupt context,
 * and returns when all have finished. Interrupts must be on, or the caller must hold no lock that
 * a target could spin on with interrupts off. Requests are queued and answered in batches.
 */
void ipi_call(const struct cpumask *mask, void (*fn)(void *), void *arg);

/* Stops every other CPU by NMI or IPI, for panic: bounded wait, returns how many did not stop. */
unsigned ipi_stop_others(void);
