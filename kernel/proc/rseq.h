/*
 * Restartable sequences, rseq(2): a thread registers a struct in its memory. The kernel
 * keeps the CPU's number there, and when the thread was interrupted between two addresses
 * that it names there, it goes on at a third.
 *
 * Calls cost nothing for it: only a thread that was switched out while it ran its own code,
 * or that comes to another CPU, is marked (THREAD_RSEQ_DUE) and looked after on its way back.
 */
#pragma once

#include "kernel/sched/thread.h"

struct trap_frame;

/* The CPU goes from `prev` to `next`, one of which has registered. Interrupts off. */
void rseq_switch_registered(struct thread *prev, struct thread *next);

static inline void
rseq_switch(struct thread *prev, struct thread *next)
{
	if (prev->rseq.area || next->rseq.area)
		rseq_switch_registered(prev, next);
}

/* The current thread, marked, is about to leave by `frame`. May send it SIGSEGV. */
void rseq_return(struct trap_frame *frame);

/* The same for a signal's handler, which is about to interrupt it. false: what the thread
 * says of its sequence is wrong. */
bool rseq_interrupt(struct trap_frame *frame);

/* The current thread, in an interrupt: its sequence is to begin anew. */
void rseq_restart(void);
