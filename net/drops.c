/*
 * Why packets were thrown away: a counter for each reason of net/drops.def and CPU, shown
 * by /proc/net/drops as "NAME count text".
 */
#include "kernel/procfs.h"
#include "kernel/sync/spinlock.h"
#include "net/pkt.h"

struct drop_counters {
	uint64_t n[NUM_DROPS];
};

static PER_CPU(struct drop_counters, counters);

static const struct {
	const char *name, *text;
} reasons[NUM_DROPS] = {
#define DROP(name, text) {#name, text},
#include "net/drops.def"
#undef DROP
};

void
drop_count(enum drop_reason why)
{
	preempt_disable();
	/* An interrupt may count in between: one instruction on memory of this CPU. */
	__atomic_fetch_add(&this_cpu_ptr(&counters)->n[why], 1, __ATOMIC_RELAXED);
	preempt_enable();
}

uint64_t
drop_total(enum drop_reason why)
{
	struct cpu *c;
	uint64_t sum = 0;

	for_each_online_cpu(c)
		sum +=
		    __atomic_load_n(&per_cpu_ptr(&counters, c)->n[why], __ATOMIC_RELAXED);
	return sum;
}

static void
show(struct seq *s)
{
	for (unsigned i = 0; i < NUM_DROPS; i++)
		seq_printf(s, "%-18s %10lu  %s\n", reasons[i].name,
		    drop_total((enum drop_reason)i), reasons[i].text);
}

void
drops_init(void)
{
	(void)proc_register("net/drops", show); /* no memory: not shown */
}
