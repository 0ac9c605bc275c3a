/* The few files of /sys that programs look for: which CPUs there are. */
#include "fs/procfs.h"
#include "kernel/x86/percpu.h"

void
proc_show_ranges(
    struct seq *s, bool (*has)(unsigned cpu, const void *arg), const void *arg)
{
	const char *comma = "";

	for (unsigned i = 0; i < num_cpus; i++) {
		unsigned first = i;

		if (!has(i, arg))
			continue;
		while (i + 1 < num_cpus && has(i + 1, arg))
			i++;
		seq_printf(s, "%s%u", comma, first);
		if (i > first)
			seq_printf(s, "-%u", i);
		comma = ",";
	}
	seq_putc(s, '\n');
}

static bool
is_online(unsigned id, const void *arg)
{
	return cpus[id] && cpus[id]->is_online;
}

static bool
is_present(unsigned id, const void *arg)
{
	return true;
}

static void
show_online(struct seq *s)
{
	proc_show_ranges(s, is_online, NULL);
}

static void
show_present(struct seq *s)
{
	proc_show_ranges(s, is_present, NULL);
}

void
sysfs_init(void)
{
	static const struct {
		const char *name;
		void (*show)(struct seq *);
	} files[] = {
	    {"block", NULL},
	    {"bus", NULL},
	    {"class", NULL},
	    {"devices/system/cpu/online", show_online},
	    {"devices/system/cpu/possible", show_present},
	    {"devices/system/cpu/present", show_present},
	    {"fs/cgroup", NULL},
	    {"kernel", NULL},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		(void)sysfs_register(
		    files[i].name, files[i].show); /* no memory: not there */
}
