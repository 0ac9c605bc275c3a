/* Per-CPU data on the host: shadows kernel/x86/percpu.h. There is one CPU, `fake_cpu`. */
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
};

extern struct cpu *cpus[MAX_CPUS]; /* by id; NULL beyond num_cpus */
extern unsigned num_cpus;          /* CPUs found in the MADT and kept (maxcpus=) */

extern struct cpu fake_cpu;

static inline struct cpu *
this_cpu(void)
{
	return &fake_cpu;
}

static inline struct thread *
current_thread(void)
{
	return fake_cpu.current;
}

static inline unsigned
cpu_id(void)
{
	return this_cpu()->id;
}

#define PER_CPU(type, name)   __typeof__(type) name
#define this_cpu_ptr(ptr)     (ptr)
#define per_cpu_ptr(ptr, cpu) ((void)(cpu), (ptr))

#define for_each_online_cpu(c) \
	for (unsigned i_ = 0; i_ < num_cpus; i_++) \
		if (((c) = cpus[i_]) && (c)->is_online)
