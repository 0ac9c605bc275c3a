/*
 * Bring-up of one processor: its per-CPU area, GDT, TSS with the stacks for the
 * exceptions that need one of their own, IDT, system call entry, protection features,
 * FPU.
 */
#pragma once

#include "lib/types.h"

struct cpu;

/* The boot CPU, first thing in kernel_main: after it this_cpu() works and exceptions are
 * reported. */
void cpu_init_boot(void);

/* Once page tables are ours: the page below the boot stack goes. */
void cpu_guard_boot_stack(void);
bool cpu_boot_stack_guard_hit(vaddr_t addr);

/* The boot CPU, once it runs on the kernel's own table and the command line is read:
 * PCIDs, if they are wanted. Other CPUs do it in cpu_init_ap. */
void cpu_enable_pcid(void);

/*
 * Memory for another CPU: per-CPU area (a pristine copy of .percpu), struct cpu in it,
 * exception stacks. Sets self, percpu_offset, id, apic_id, node; not cpus[id]. NULL: no
 * memory.
 */
struct cpu *cpu_create(unsigned id, uint32_t apic_id, uint32_t node);
void cpu_destroy(struct cpu *); /* one that never ran */

/*
 * On the new CPU, first C call, in long mode with EFER.NXE, the kernel's CR3, interrupts
 * off and a stack; loads everything that cpu_init_boot has found. this_cpu() works from
 * here.
 */
void cpu_init_ap(struct cpu *);
