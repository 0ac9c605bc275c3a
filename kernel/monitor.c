/* The serial monitor; see monitor.h. */
#include "kernel/monitor.h"

#include "kernel/log.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/x86/backtrace.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/percpu.h"
#include "kernel/x86/traps.h"
#include "mm/page.h"

extern const struct monitor_command set_monitor_start[], set_monitor_end[];

#define say(fmt, ...) log_printf(LOG_EMERG, fmt, ##__VA_ARGS__)

static bool
    is_armed; /* the key came, a letter follows; one serial line, its interrupt only */

static void
show_help(void)
{
	for (const struct monitor_command *c = set_monitor_start; c < set_monitor_end;
	     c++)
		say("^T %c  %s", c->key, c->name);
}
MONITOR_COMMAND('h', "help", show_help);

MONITOR_COMMAND('t', "threads", sched_print_state);

static void
show_locks(void)
{
	struct cpu *c;

	for_each_online_cpu(c) {
		const struct thread *t = c->current;

		say("CPU %u, thread %s:", c->id, t ? t->name : "none");
		spin_print_held(c);
		for (unsigned i = 0; t && i < MIN(t->num_held_mutexes, MAX_HELD_MUTEXES);
		     i++)
			say("  holds %s (%p)", t->held_mutexes[i].name,
			    t->held_mutexes[i].lock);
	}
}
MONITOR_COMMAND('l', "locks held", show_locks);

static void
show_memory(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	say("pages: %lu total, %lu free, %lu slab, %lu page tables, %lu kernel stacks",
	    s.total_pages, s.free_pages, s.slab_pages, s.page_table_pages,
	    s.kernel_stack_pages);
	say("       %lu page cache, %lu anonymous, %lu shared", s.page_cache_pages,
	    s.anon_pages, s.shmem_pages);
}
MONITOR_COMMAND('m', "memory", show_memory);

static void
show_cpus(void)
{
	struct cpu *c;

	say("uptime %lu ms, %u CPUs, NMIs without a reason: %lu",
	    (uint64_t)(clock_now_ns() / NSEC_PER_MSEC), num_cpus, nmi_unknown);
	for_each_online_cpu(c)
		say("CPU %u: APIC %u, node %u, thread %s, preempt %u, irq depth %u, "
		    "resched %u",
		    c->id, c->apic_id, c->node, c->current ? c->current->name : "none",
		    c->preempt_count, c->irq_off_depth, c->need_resched);
}
MONITOR_COMMAND('c', "CPUs", show_cpus);

void
monitor_backtrace_this_cpu(const struct trap_frame *frame)
{
	const struct thread *t = current_thread();

	say("CPU %u, thread %s:", cpu_id(), t ? t->name : "none");
	if (frame)
		backtrace_frame(frame);
	else
		backtrace_here();
}

static void
show_backtraces(void)
{
	struct cpu *c;

	monitor_backtrace_this_cpu(NULL);
	for_each_online_cpu(c)
		if (c != this_cpu())
			nmi_request(c, NMI_BACKTRACE);
}
MONITOR_COMMAND('b', "backtraces of all CPUs", show_backtraces);

bool
monitor_input(char ch)
{
	bool was_armed = is_armed;

	is_armed = !was_armed && ch == MONITOR_KEY;
	if (!was_armed)
		return is_armed;
	if (ch == MONITOR_KEY)
		return false;
	for (const struct monitor_command *c = set_monitor_start; c < set_monitor_end;
	     c++) {
		if (c->key == ch) {
			c->show();
			return true;
		}
	}
	show_help();
	return true;
}
