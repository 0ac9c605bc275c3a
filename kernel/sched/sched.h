/*
 * The scheduler as the rest of the core sees it: bring-up, entry points of interrupt
 * code, and what is counted. How it works: kernel/sched/sched.c.
 */
#pragma once

#include "lib/types.h"

struct cpu;
struct seq;
struct thread;

/*
 * On the boot CPU, when memory, interrupts and timers work: its context becomes the
 * thread "boot", which may sleep and ends by thread_exit(); the idle thread is made
 * beside it. Turns interrupts on.
 */
void sched_init(void);

/*
 * Before another CPU is started: makes its run queue and its idle thread, on whose stack
 * the CPU is to arrive (stack_base + KERNEL_STACK_SIZE is the top). NULL: no memory.
 */
struct thread *sched_create_idle(struct cpu *);

/*
 * The last call of a CPU's bring-up, on the stack of its idle thread, interrupts off:
 * takes part in scheduling from now on (sets cpu->is_online).
 */
NORETURN void sched_cpu_online(void);

/*
 * From the interrupt exit path, interrupts off before and after: switches if this CPU
 * should (cpu->need_resched) and may. Callers have checked preempt_count, irq_off_depth,
 * irq_nesting == 0.
 */
void preempt_schedule_irq(void);

/* Makes this CPU, or `cpu`, look for a better thread soon. Any context. */
void sched_kick(struct cpu *cpu);

/* Sleeping kernel threads and drivers: schedule() and friends are in
 * kernel/sched/thread.h. */

/* Reads the command line, makes the files in /proc/sys/kernel: once, before programs run. */
void sched_tunables_init(void);

struct sched_stats {
	uint64_t switches;    /* since boot, all CPUs */
	uint64_t forks;       /* threads created since boot */
	unsigned num_running; /* runnable now */
	unsigned num_threads;
	nsec_t idle_ns; /* all CPUs */
	nsec_t user_ns, system_ns;
};

void sched_get_stats(struct sched_stats *);
void sched_get_cpu_stats(const struct cpu *, struct sched_stats *); /* num_threads is 0 */

/* Run times of `t` up to now, also while it runs. */
void thread_times(struct thread *t, nsec_t *utime_ns, nsec_t *stime_ns);

/* How long `t` runs in one go while others wait: RR's interval, the slice now, 0 for
 * FIFO. */
nsec_t thread_turn_ns(struct thread *t);

/* 1, 5 and 15 minutes, in 1/65536, as sysinfo wants them. */
void sched_loadavg(uint64_t out[3]);

/* For the panic report and the monitor: what each CPU runs and the threads there are. No
 * locks. */
void sched_print_state(void);
