/*
 * Single-instruction access to the fields of this CPU's struct cpu, and the interrupt
 * flag. One instruction cannot be torn by an interrupt, nor by the thread moving to
 * another CPU half-way: that is what makes the counters of spinlock.h correct without any
 * lock of their own.
 */
#pragma once

#include "kernel/x86/percpu.h"

/* The value of 32-bit field `field` of this CPU's struct cpu. */
#define this_cpu_read(field) \
	({ \
		uint32_t value_; \
		static_assert(sizeof(((struct cpu *)0)->field) == 4, "32-bit field"); \
		__asm__ volatile("movl %%gs:%c1, %0" \
		                 : "=r"(value_) \
		                 : "i"(offsetof(struct cpu, field)) \
		                 : "memory"); \
		value_; \
	})

#define this_cpu_write(field, value) \
	__asm__ volatile("movl %0, %%gs:%c1" \
	                 : \
	                 : "ri"((uint32_t)(value)), "i"(offsetof(struct cpu, field)) \
	                 : "memory")

#define this_cpu_inc(field) \
	__asm__ volatile("incl %%gs:%c0" \
	                 : \
	                 : "i"(offsetof(struct cpu, field)) \
	                 : "memory", "cc")

#define this_cpu_dec(field) \
	__asm__ volatile("decl %%gs:%c0" \
	                 : \
	                 : "i"(offsetof(struct cpu, field)) \
	                 : "memory", "cc")

/* Decrements; yields whether the field is 0 now. */
#define this_cpu_dec_is_zero(field) \
	({ \
		bool zero_; \
		__asm__ volatile("decl %%gs:%c1" \
		                 : "=@ccz"(zero_) \
		                 : "i"(offsetof(struct cpu, field)) \
		                 : "memory"); \
		zero_; \
	})

/* Whether the field equals the constant `value`. */
#define this_cpu_is(field, value) \
	({ \
		bool equal_; \
		__asm__ volatile("cmpl %1, %%gs:%c2" \
		                 : "=@ccz"(equal_) \
		                 : "i"(value), "i"(offsetof(struct cpu, field)) \
		                 : "memory"); \
		equal_; \
	})

/* Adds to a PER_CPU variable of 64 bits. GS is at this CPU's cpu_data, so at the same distance
 * from its copy as the variable from cpu_data. */
#define this_cpu_add(ptr, n) \
	__asm__ volatile( \
	    "addq %1, %%gs:(%0)" \
	    : \
	    : "r"((uintptr_t)(ptr) - (uintptr_t)&cpu_data), "re"((int64_t)(n)) \
	    : "memory", "cc")

enum { RFLAGS_IRQ_ON = 1 << 9 }; /* RFLAGS.IF, SDM vol. 1, 3.4.3.3 */

static inline uint64_t
irq_read_flags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags;
}

static inline bool
irq_is_on(void)
{
	return irq_read_flags() & RFLAGS_IRQ_ON;
}

/* Not counted: for entry code, the idle loop and the scheduler. Others nest: spinlock.h.
 */
static inline void
irq_off_raw(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void
irq_on_raw(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/*
 * Turns interrupts on and halts until one comes. No interrupt is lost between the two:
 * STI takes effect after the instruction that follows it (SDM vol. 2, STI).
 */
static inline void
irq_on_and_halt(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

/* In a loop that waits for another CPU's store. */
static inline void
cpu_relax(void)
{
	__builtin_ia32_pause();
}
