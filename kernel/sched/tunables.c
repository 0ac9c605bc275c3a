/*
 * What may be set of the scheduler, in /proc/sys/kernel: Linux's sched_rr_timeslice_ms,
 * sched_rt_period_us, sched_rt_runtime_us (-1: RealTime is never held back), and
 * sched_slice_ms, the turn of one of two equal threads, which the command line has too; and of
 * how many threads there may be: pid_max and threads-max.
 */
#include "kernel/cmdline.h"
#include "kernel/procfs.h"
#include "kernel/sched/sched_priv.h"
#include "lib/string.h"
#include "mm/page.h"

enum { MAX_SLICE_MS = 1000, RR_DEFAULT_MS = 100 };
static const nsec_t NO_LIMIT = UINT64_MAX / 2; /* of RealTime's run time */

/* A decimal number with blanks around it. */
static enum err
parse_int(const char *text, int64_t *value)
{
	bool is_negative;
	const char *end;
	uint64_t u;

	while (*text == ' ' || *text == '\t')
		text++;
	is_negative = *text == '-';
	if (!parse_u64(text + is_negative, &end, 10, &u) || u > INT32_MAX)
		return ERR_INVAL;
	while (*end == ' ' || *end == '\t' || *end == '\n')
		end++;
	*value = is_negative ? -(int64_t)u : (int64_t)u;
	return *end ? ERR_INVAL : OK;
}

static void
set(nsec_t *tunable, nsec_t value)
{
	__atomic_store_n(tunable, value, __ATOMIC_RELAXED);
}

static void
show_slice(struct seq *s)
{
	seq_printf(s, "%llu\n", sched_tunables.slice_ns / NSEC_PER_MSEC);
}

static enum err
store_slice(const char *text)
{
	int64_t ms;
	enum err err = parse_int(text, &ms);

	if (err == OK && (ms < 1 || ms > MAX_SLICE_MS))
		err = ERR_INVAL;
	if (err == OK)
		set(&sched_tunables.slice_ns, (nsec_t)ms * NSEC_PER_MSEC);
	return err;
}

static void
show_rr(struct seq *s)
{
	seq_printf(s, "%llu\n", sched_tunables.rr_slice_ns / NSEC_PER_MSEC);
}

/* 0 and less: what it was at first. */
static enum err
store_rr(const char *text)
{
	int64_t ms;
	enum err err = parse_int(text, &ms);

	if (err == OK)
		set(&sched_tunables.rr_slice_ns,
		    (nsec_t)(ms > 0 ? ms : RR_DEFAULT_MS) * NSEC_PER_MSEC);
	return err;
}

static void
show_rt_period(struct seq *s)
{
	seq_printf(s, "%llu\n", sched_tunables.rt_period_ns / NSEC_PER_USEC);
}

static enum err
store_rt_period(const char *text)
{
	nsec_t limit = sched_tunables.rt_limit_ns;
	int64_t us;
	enum err err = parse_int(text, &us);

	if (err == OK &&
	    (us < 1 || (limit != NO_LIMIT && (nsec_t)us * NSEC_PER_USEC < limit)))
		err = ERR_INVAL;
	if (err == OK)
		set(&sched_tunables.rt_period_ns, (nsec_t)us * NSEC_PER_USEC);
	return err;
}

static void
show_rt_limit(struct seq *s)
{
	if (sched_tunables.rt_limit_ns == NO_LIMIT)
		seq_puts(s, "-1\n");
	else
		seq_printf(s, "%llu\n", sched_tunables.rt_limit_ns / NSEC_PER_USEC);
}

static enum err
store_rt_limit(const char *text)
{
	int64_t us;
	enum err err = parse_int(text, &us);

	if (err == OK &&
	    (us < -1 || us > (int64_t)(sched_tunables.rt_period_ns / NSEC_PER_USEC)))
		err = ERR_INVAL;
	if (err == OK)
		set(&sched_tunables.rt_limit_ns,
		    us < 0 ? NO_LIMIT : (nsec_t)us * NSEC_PER_USEC);
	return err;
}

static void
show_pid_max(struct seq *s)
{
	seq_printf(s, "%u\n", tid_max());
}

static enum err
store_pid_max(const char *text)
{
	int64_t max;
	enum err err = parse_int(text, &max);

	if (err == OK && (max < TID_MAX_LEAST || max > TID_LIMIT))
		err = ERR_INVAL;
	return err == OK ? tid_set_max((uint32_t)max) : err;
}

/* As on Linux: the stacks of all together take an eighth of memory. */
static void
threads_max_init(void)
{
	enum { LEAST = 20, MOST = 0x3fffffff };
	static struct proc_number number = {
	    "sys/kernel/threads-max", &threads_max, 1, MOST};
	uint64_t fit = mem_total_pages() * PAGE_SIZE / (8 * KERNEL_STACK_SIZE);

	threads_max = (uint32_t)MIN(MAX(fit, (uint64_t)LEAST), (uint64_t)MOST);
	proc_register_numbers(&number, 1);
}

void
sched_tunables_init(void)
{
	uint64_t ms = cmdline_u64("sched_slice_ms", 0);

	if (ms >= 1 && ms <= MAX_SLICE_MS)
		sched_tunables.slice_ns = ms * NSEC_PER_MSEC;
	/* Without memory for one of them it is not there. */
	(void)proc_register_rw("sys/kernel/sched_slice_ms", show_slice, store_slice);
	(void)proc_register_rw("sys/kernel/sched_rr_timeslice_ms", show_rr, store_rr);
	(void)proc_register_rw(
	    "sys/kernel/sched_rt_period_us", show_rt_period, store_rt_period);
	(void)proc_register_rw(
	    "sys/kernel/sched_rt_runtime_us", show_rt_limit, store_rt_limit);
	(void)proc_register_rw("sys/kernel/pid_max", show_pid_max, store_pid_max);
	threads_max_init();
}
