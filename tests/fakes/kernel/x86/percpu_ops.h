/* Shadows kernel/x86/percpu_ops.h: the interrupt flag is a variable. */
#pragma once

#include "kernel/x86/percpu.h"

extern bool fake_irqs_on;

#define this_cpu_read(field)         (fake_cpu.field)
#define this_cpu_write(field, value) ((void)(fake_cpu.field = (value)))
#define this_cpu_inc(field)          ((void)fake_cpu.field++)
#define this_cpu_dec(field)          ((void)fake_cpu.field--)
#define this_cpu_dec_is_zero(field)  (--fake_cpu.field == 0)
#define this_cpu_is(field, value)    (fake_cpu.field == (value))
#define this_cpu_add(ptr, n)         ((void)(*(ptr) += (n)))

enum { RFLAGS_IRQ_ON = 1 << 9 };

static inline uint64_t
irq_read_flags(void)
{
	return fake_irqs_on ? RFLAGS_IRQ_ON : 0;
}

static inline bool
irq_is_on(void)
{
	return fake_irqs_on;
}

static inline void
irq_off_raw(void)
{
	fake_irqs_on = false;
}

static inline void
irq_on_raw(void)
{
	fake_irqs_on = true;
}

static inline void
irq_on_and_halt(void)
{
	fake_irqs_on = true;
}

static inline void
cpu_relax(void)
{
}
