/*
 * Per-CPU data. GS points at this CPU's `struct cpu` while in the kernel. Other modules
 * put variables of their own into the per-CPU area:
 *
 *	static PER_CPU(struct runqueue, rq);
 *	struct runqueue *q = this_cpu_ptr(&rq);		preemption off, or you may move
 *away per_cpu_ptr(&rq, cpu)				another CPU's
 *
 * The section itself stays pristine: every CPU, the boot CPU too, has a copy of it
 * (kernel/x86/cpu_init.h), so naming the variable without these macros is always wrong.
 */
#pragma once

#include "lib/types.h"

struct thread;

enum { MAX_CPUS = 256 };

struct cpu {
	struct cpu *self;          /* +0: for reading GS:0 */
	struct thread *current;    /* +8: the running thread */
	uint64_t kernel_stack_top; /* +16: loaded on SYSCALL; the current thread's */
	uint64_t user_rsp;         /* +24: scratch of the SYSCALL stub */
	uint64_t percpu_offset;    /* +32: this CPU's area minus the section */
	uint32_t preempt_count;    /* +40: > 0: no preemption; raised by spinlocks and
	                              interrupts */
	uint32_t need_resched; /* +44: set by the scheduler, read when preempt_count drops
	                          to 0 */
	uint32_t irq_nesting;  /* +48: > 0: in a hard interrupt */
	uint32_t irq_off_depth; /* +52: nesting of irq_disable_nested */
	uint32_t irq_was_on;    /* +56: IF when that nesting began */
	uint32_t id;            /* +60: 0 .. num_cpus-1, the boot CPU is 0 */
	uint32_t apic_id;
	uint32_t node; /* NUMA node by SRAT, 0 without */
	uint32_t is_online;
	uint32_t nmi_request;    /* [a] why the next NMI comes: kernel/x86/nmi.h */
	uint32_t has_nmi_report; /* [c] something to log once interrupts are on again */
	uint32_t call_work;      /* +84: [c] THREAD_WORK of the current thread's flags */
	struct fpu_state *fpu_owner; /* [c] which state the FPU registers hold, or NULL */
};

extern struct cpu cpu_data;        /* a PER_CPU variable */
extern struct cpu *cpus[MAX_CPUS]; /* by id; NULL beyond num_cpus */
extern unsigned num_cpus;          /* CPUs found in the MADT and kept (maxcpus=) */

static inline struct cpu *
this_cpu(void)
{
	struct cpu *c;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

static inline struct thread *
current_thread(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:8, %0" : "=r"(t));
	return t;
}

static inline unsigned
cpu_id(void)
{
	return this_cpu()->id;
}

#define PER_CPU(type, name) __attribute__((section(".percpu"))) __typeof__(type) name

/* In integers: the copies are not parts of one C object, and the sum may wrap. */
#define per_cpu_at_(ptr, off) ((__typeof__(ptr))((uintptr_t)(ptr) + (off)))
#define this_cpu_ptr(ptr)     per_cpu_at_(ptr, this_cpu()->percpu_offset)
#define per_cpu_ptr(ptr, cpu) per_cpu_at_(ptr, (cpu)->percpu_offset)

#define for_each_online_cpu(c) \
	for (unsigned i_ = 0; i_ < num_cpus; i_++) \
		if (((c) = cpus[i_]) && (c)->is_online)
