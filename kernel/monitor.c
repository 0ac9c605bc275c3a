/* The serial monitor; see monitor.h. */
#include "kernel/monitor.h"

#include "kernel/log.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/symbols.h"
#include "kernel/time/clock.h"
#include "kernel/x86/backtrace.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/percpu.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/traps.h"
#include "mm/page.h"

extern const struct monitor_command set_monitor_start[], set_monitor_end[];

enum { MAX_NOTED = 24 };

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

/* What a CPU was doing when NMI_BACKTRACE came: an NMI itself cannot print safely. */
struct noted {
	const struct thread *thread;
	bool is_user;
	unsigned depth;
	uint64_t addresses[MAX_NOTED];
	bool is_ready; /* [a] */
};

static PER_CPU(struct noted, noted);

void
monitor_note_backtrace(const struct trap_frame *f)
{
	struct noted *n = this_cpu_ptr(&noted);

	n->thread = current_thread();
	n->is_user = trap_is_user(f);
	n->addresses[0] = f->rip;
	n->depth = 1;
	if (!n->is_user)
		n->depth += backtrace_collect(f->rbp, n->addresses + 1, MAX_NOTED - 1);
	__atomic_store_n(&n->is_ready, true, __ATOMIC_RELEASE);
}

static void
show_noted(struct cpu *c)
{
	struct noted *n = per_cpu_ptr(&noted, c);
	char text[96];

	__atomic_store_n(&n->is_ready, false, __ATOMIC_RELAXED);
	nmi_request(c, NMI_BACKTRACE);
	if (!poll_until(
	        __atomic_load_n(&n->is_ready, __ATOMIC_ACQUIRE), 100 * NSEC_PER_MSEC)) {
		say("CPU %u does not answer", c->id);
		return;
	}
	say("CPU %u, thread %s:%s", c->id, n->thread ? n->thread->name : "none",
	    n->is_user ? " user mode" : "");
	for (unsigned i = 0; i < n->depth; i++) {
		/* All but the first are return addresses: look up the call. */
		symbol_format(n->addresses[i] - (i > 0), text, sizeof(text));
		say("  [<%016lx>] %s", n->addresses[i], text);
	}
}

static void
show_backtraces(void)
{
	const struct thread *t = current_thread();
	struct cpu *c;

	say("CPU %u, thread %s:", cpu_id(), t ? t->name : "none");
	backtrace_here();
	for_each_online_cpu(c) {
		if (c != this_cpu())
			show_noted(c);
	}
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
