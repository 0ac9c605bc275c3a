/* The files of /proc about the whole system, in Linux's formats (proc(5)). */
#include "fs/procfs.h"

#include "kernel/cmdline.h"
#include "kernel/ipc/pipe.h"
#include "kernel/proc/process.h"
#include "kernel/random.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/proc/utsname.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu.h"
#include "kernel/x86/topology.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { TICKS_PER_SECOND = 100, FLAGS_SIZE = 2048 };

static uint64_t
ticks(nsec_t ns)
{
	return ns / (NSEC_PER_SEC / TICKS_PER_SECOND);
}

static void
show_uptime(struct seq *s)
{
	struct sched_stats st;
	uint64_t up = clock_now_ns() / (NSEC_PER_SEC / 100), idle;

	sched_get_stats(&st);
	idle = st.idle_ns / (NSEC_PER_SEC / 100);
	seq_printf(
	    s, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100, idle % 100);
}

static void
show_loadavg(struct seq *s)
{
	struct sched_stats st;
	uint64_t load[3];

	sched_get_stats(&st);
	sched_loadavg(load);
	for (int i = 0; i < 3; i++)
		seq_printf(
		    s, "%lu.%02lu ", load[i] >> 16, (load[i] & 0xffff) * 100 >> 16);
	seq_printf(s, "%u/%u %u\n", st.num_running, st.num_threads,
	    current_process() ? current_process()->pid : 0);
}

static void
show_cpu_line(struct seq *s, const struct sched_stats *st)
{
	seq_printf(s, " %lu 0 %lu %lu 0 0 0 0 0 0\n", ticks(st->user_ns),
	    ticks(st->system_ns), ticks(st->idle_ns));
}

static void
show_stat(struct seq *s)
{
	struct sched_stats st;
	struct cpu *c;
	uint64_t boot_s =
	    (clock_wall_ns() - (int64_t)clock_now_ns()) / (int64_t)NSEC_PER_SEC;

	sched_get_stats(&st);
	seq_puts(s, "cpu ");
	show_cpu_line(s, &st);
	for_each_online_cpu(c) {
		struct sched_stats one;

		sched_get_cpu_stats(c, &one);
		seq_printf(s, "cpu%u", c->id);
		show_cpu_line(s, &one);
	}
	seq_printf(s,
	    "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\n"
	    "procs_blocked 0\nsoftirq 0\n",
	    st.switches, boot_s, st.forks, st.num_running);
}

/* Where a CPU is: how many share its package, how many cores those are. */
static void
show_place(struct seq *s, const struct cpu *c)
{
	struct cpu_place place = cpu_place(c);
	unsigned siblings = 0, cores = 0;
	const struct cpu *other;

	for_each_online_cpu(other) {
		if (!cpu_shares_package(c, other))
			continue;
		siblings++;
		if (cpu_place(other).thread == place.thread)
			cores++;
	}
	seq_printf(s,
	    "physical id\t: %u\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n"
	    "apicid\t\t: %u\ninitial apicid\t: %u\n",
	    place.package, siblings, place.core, cores, c->apic_id, c->apic_id);
}

static void
show_cpuinfo(struct seq *s)
{
	const struct cpu_features *f = &cpu_features;
	uint64_t khz = clock_tsc_hz() / 1000;
	char *flags = kmalloc(FLAGS_SIZE);
	struct cpu *c;

	if (!flags)
		return;
	features_flags(flags, FLAGS_SIZE);
	for_each_online_cpu(c) {
		seq_printf(s,
		    "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n",
		    c->id, f->vendor, f->family, f->model);
		seq_printf(s,
		    "model name\t: %s\nstepping\t: %u\ncpu MHz\t\t: %lu.%03lu\n", f->name,
		    f->stepping, khz / 1000, khz % 1000);
		show_place(s, c);
		seq_printf(s,
		    "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\n"
		    "wp\t\t: yes\nflags\t\t: %s\nbugs\t\t:\n",
		    f->max_leaf, flags);
		seq_printf(s,
		    "bogomips\t: %lu.%02lu\nclflush size\t: %u\ncache_alignment\t: %u\n",
		    khz / 500, khz / 5 % 100, f->cache_line, f->cache_line);
		seq_printf(s,
		    "address sizes\t: %u bits physical, %u bits virtual\npower "
		    "management:\n\n",
		    f->physical_bits, f->virtual_bits);
	}
	kfree(flags);
}

static void
show_version(struct seq *s)
{
	const struct utsname *u = &kernel_utsname;

	seq_printf(
	    s, "%s version %s (%s) %s\n", u->sysname, u->release, "Keel", u->version);
}

static void
show_cmdline(struct seq *s)
{
	seq_printf(s, "%s\n", cmdline_text());
}

static void
show_one_filesystem(const struct super_type *type, void *arg)
{
	seq_printf(
	    arg, "%s\t%s\n", type->flags & SUPER_NEEDS_DEV ? "" : "nodev", type->name);
}

static void
show_filesystems(struct seq *s)
{
	super_types_for_each(show_one_filesystem, s);
}

static void
show_nothing(struct seq *s)
{
}

static void
show_devices(struct seq *s)
{
	seq_puts(s, "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n  4 ttyS\n"
	            "  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n 10 misc\n"
	            "128 ptm\n136 pts\n\nBlock devices:\n");
}

static void
show_swaps(struct seq *s)
{
	seq_puts(s, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
}

/* ---- sys/ */

static void
show_ostype(struct seq *s)
{
	seq_printf(s, "%s\n", kernel_utsname.sysname);
}

static void
show_osrelease(struct seq *s)
{
	seq_printf(s, "%s\n", kernel_utsname.release);
}

static void
show_sys_version(struct seq *s)
{
	seq_printf(s, "%s\n", kernel_utsname.version);
}

static void
show_hostname(struct seq *s)
{
	seq_printf(s, "%s\n", kernel_utsname.nodename);
}

static enum err
store_hostname(const char *text)
{
	if (strlen(text) >= sizeof(kernel_utsname.nodename))
		return ERR_INVAL;
	strlcpy(kernel_utsname.nodename, text, sizeof(kernel_utsname.nodename));
	return OK;
}

static void
show_domainname(struct seq *s)
{
	seq_printf(s, "%s\n", kernel_utsname.domainname);
}

static enum err
store_domainname(const char *text)
{
	if (strlen(text) >= sizeof(kernel_utsname.domainname))
		return ERR_INVAL;
	strlcpy(kernel_utsname.domainname, text, sizeof(kernel_utsname.domainname));
	return OK;
}

/* What ids that do not fit into 16 bits look like to calls that have no more: there are none. */
static void
show_overflow_id(struct seq *s)
{
	seq_puts(s, "65534\n");
}

/* Nothing that is not part of the kernel can come into it. */
static void
show_tainted(struct seq *s)
{
	seq_puts(s, "0\n");
}

/* Bits, of random.c. */
static void
show_poolsize(struct seq *s)
{
	seq_puts(s, "256\n");
}

static void
show_ngroups_max(struct seq *s)
{
	seq_puts(s, "65536\n");
}

static void
show_cap_last_cap(struct seq *s)
{
	seq_puts(s, "40\n");
}

static void
show_file_max(struct seq *s)
{
	seq_puts(s, "9223372036854775807\n");
}

static void
show_nr_open(struct seq *s)
{
	seq_puts(s, "1048576\n");
}

static void
show_pipe_max(struct seq *s)
{
	seq_printf(s, "%u\n", PIPE_MAX_SIZE);
}

static void
add_files(const struct slab_stats *st, void *sum)
{
	if (strcmp(st->name, "file") == 0)
		*(uint64_t *)sum += st->in_use;
}

/* Open files, none kept free, and the limit: there is none. */
static void
show_file_nr(struct seq *s)
{
	uint64_t n = 0;

	slab_for_each(add_files, &n);
	seq_printf(s, "%lu\t0\t%lu\n", n, INT64_MAX);
}

static void
show_entropy_avail(struct seq *s)
{
	seq_puts(s, "256\n");
}

/* A random UUID of version 4 (RFC 9562 5.4). */
static void
show_uuid_of(struct seq *s, const uint8_t b[16])
{
	for (int i = 0; i < 16; i++) {
		uint8_t v = b[i];

		if (i == 6)
			v = (v & 0x0f) | 0x40;
		else if (i == 8)
			v = (v & 0x3f) | 0x80;
		seq_printf(
		    s, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", v);
	}
	seq_putc(s, '\n');
}

static uint8_t boot_id[16];

static void
show_boot_id(struct seq *s)
{
	show_uuid_of(s, boot_id);
}

static void
show_uuid(struct seq *s)
{
	uint8_t b[16];

	random_bytes(b, sizeof(b));
	show_uuid_of(s, b);
}

void
proc_global_init(void)
{
	static const struct {
		const char *name;
		void (*show)(struct seq *);
	} files[] = {
	    {"cmdline", show_cmdline},
	    {"cpuinfo", show_cpuinfo},
	    {"devices", show_devices},
	    {"diskstats", show_nothing},
	    {"filesystems", show_filesystems},
	    {"loadavg", show_loadavg},
	    {"modules", show_nothing},
	    {"partitions", show_nothing},
	    {"stat", show_stat},
	    {"swaps", show_swaps},
	    {"uptime", show_uptime},
	    {"version", show_version},
	    {"sys/fs/file-max", show_file_max},
	    {"sys/fs/file-nr", show_file_nr},
	    {"sys/fs/nr_open", show_nr_open},
	    {"sys/fs/overflowgid", show_overflow_id},
	    {"sys/fs/overflowuid", show_overflow_id},
	    {"sys/fs/pipe-max-size", show_pipe_max},
	    {"sys/kernel/cap_last_cap", show_cap_last_cap},
	    {"sys/kernel/ngroups_max", show_ngroups_max},
	    {"sys/kernel/osrelease", show_osrelease},
	    {"sys/kernel/ostype", show_ostype},
	    {"sys/kernel/overflowgid", show_overflow_id},
	    {"sys/kernel/overflowuid", show_overflow_id},
	    {"sys/kernel/random/boot_id", show_boot_id},
	    {"sys/kernel/random/entropy_avail", show_entropy_avail},
	    {"sys/kernel/random/poolsize", show_poolsize},
	    {"sys/kernel/random/uuid", show_uuid},
	    {"sys/kernel/tainted", show_tainted},
	    {"sys/kernel/version", show_sys_version},
	};

	random_bytes(boot_id, sizeof(boot_id));
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		(void)proc_register(
		    files[i].name, files[i].show); /* no memory: not there */
	(void)proc_register_rw("sys/kernel/hostname", show_hostname, store_hostname);
	(void)proc_register_rw(
	    "sys/kernel/domainname", show_domainname, store_domainname);
}
