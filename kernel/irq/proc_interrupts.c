/* /proc/interrupts in Linux's form: a column for each CPU, a line for each handler. */
#include "kernel/irq/irq.h"
#include "kernel/procfs.h"
#include "kernel/x86/percpu.h"

static void
show_line(const struct irq_stats *s, void *arg)
{
	struct seq *seq = arg;
	struct cpu *c;

	seq_printf(seq, "%3u:", s->line);
	for_each_online_cpu(c)
		seq_printf(seq, " %10lu", s->per_cpu[c->id]);
	seq_printf(seq, "  %s  %s\n", s->chip, s->name);
}

static void
show(struct seq *seq)
{
	static const char *const names[IRQ_SYS_KINDS][2] = {
	    [IRQ_SYS_TIMER] = {"LOC", "Local timer interrupts"},
	    [IRQ_SYS_RESCHEDULE] = {"RES", "Rescheduling interrupts"},
	    [IRQ_SYS_CALL] = {"CAL", "Function call interrupts"},
	    [IRQ_SYS_SPURIOUS] = {"SPU", "Spurious interrupts"},
	    [IRQ_SYS_APIC_ERROR] = {"ERR", "Local APIC errors"},
	};
	struct cpu *c;

	seq_puts(seq, "    ");
	for_each_online_cpu(c)
		seq_printf(seq, "       CPU%-3u", c->id);
	seq_putc(seq, '\n');
	irq_for_each(show_line, seq);
	for (unsigned i = 0; i < IRQ_SYS_KINDS; i++) {
		seq_printf(seq, "%s:", names[i][0]);
		for_each_online_cpu(c)
			seq_printf(
			    seq, " %10lu", irq_system_count((enum irq_system)i, c->id));
		seq_printf(seq, "  %s\n", names[i][1]);
	}
	seq_printf(seq, "MIS: %10lu  Interrupts without a handler\n", irq_unhandled);
}

void
irq_proc_init(void)
{
	(void)proc_register(
	    "interrupts", show); /* without it only this file is missing */
}
