/*
 * Non-maskable interrupts as messages between CPUs: set the reason in cpu->nmi_request,
 * then send the NMI. The handler (traps.c) takes all reasons at once; an NMI without one
 * is the platform's.
 */
#pragma once

#include "kernel/x86/percpu.h"

enum nmi_request {
	NMI_STOP = 1 << 0,      /* panic: note the registers and halt for good */
	NMI_BACKTRACE = 1 << 1, /* monitor: note the registers and go on */
};

/* Sends an NMI to another CPU. Any context. kernel/x86/ipi.c gives it. */
void ipi_send_nmi(struct cpu *cpu);

static inline void
nmi_request(struct cpu *cpu, enum nmi_request why)
{
	__atomic_fetch_or(&cpu->nmi_request, why, __ATOMIC_SEQ_CST);
	ipi_send_nmi(cpu);
}
