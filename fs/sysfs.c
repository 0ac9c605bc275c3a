/*
 * The files of /sys about the whole machine that programs look for (lscpu, glibc, libnuma): which CPUs and
 * memory nodes there are, and what of a CPU is shared with which others. Those about devices are registered
 * where the devices are known (drivers/pci/pci_files.c, net/sysctl.c).
 */
#include "fs/procfs.h"

#include "kernel/x86/percpu.h"
#include "kernel/x86/topology.h"
#include "lib/fmt.h"
#include "mm/slab.h"

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

/* ---- cpuN/ */

static bool
is_this(unsigned id, const void *cpu)
{
	return cpus[id] == cpu;
}

static bool
in_core(unsigned id, const void *cpu)
{
	return cpus[id] && cpu_shares_core(cpus[id], cpu);
}

static bool
in_package(unsigned id, const void *cpu)
{
	return cpus[id] && cpu_shares_package(cpus[id], cpu);
}

void
proc_show_mask(struct seq *s, bool (*has)(unsigned cpu, const void *arg), const void *arg)
{
	for (int word = (int)(num_cpus - 1) / 32; word >= 0; word--) {
		unsigned first = (unsigned)word * 32, width = MIN(num_cpus - first, 32u);
		uint32_t bits = 0;

		for (unsigned i = 0; i < width; i++)
			if (has(first + i, arg))
				bits |= 1u << i;
		seq_printf(s, "%0*x%c", (int)(width + 3) / 4, bits, word ? ',' : '\n');
	}
}

static void
show_package_id(struct seq *s)
{
	seq_printf(s, "%u\n", cpu_place(s->private).package);
}

static void
show_core_id(struct seq *s)
{
	seq_printf(s, "%u\n", cpu_place(s->private).core);
}

static void
show_zero(struct seq *s)
{
	seq_puts(s, "0\n");
}

static void
show_core_mask(struct seq *s)
{
	proc_show_mask(s, in_core, s->private);
}

static void
show_core_list(struct seq *s)
{
	proc_show_ranges(s, in_core, s->private);
}

static void
show_package_mask(struct seq *s)
{
	proc_show_mask(s, in_package, s->private);
}

static void
show_package_list(struct seq *s)
{
	proc_show_ranges(s, in_package, s->private);
}

static void
show_this_mask(struct seq *s)
{
	proc_show_mask(s, is_this, s->private);
}

static void
show_this_list(struct seq *s)
{
	proc_show_ranges(s, is_this, s->private);
}

static const struct {
	const char *name;
	void (*show)(struct seq *);
} cpu_files[] = {
    {"core_cpus", show_core_mask},
    {"core_cpus_list", show_core_list},
    {"core_id", show_core_id},
    {"core_siblings", show_package_mask},
    {"core_siblings_list", show_package_list},
    {"die_cpus", show_package_mask},
    {"die_cpus_list", show_package_list},
    {"die_id", show_zero},
    {"cluster_cpus", show_this_mask},
    {"cluster_cpus_list", show_this_list},
    {"package_cpus", show_package_mask},
    {"package_cpus_list", show_package_list},
    {"physical_package_id", show_package_id},
    {"thread_siblings", show_core_mask},
    {"thread_siblings_list", show_core_list},
};

/* devices/system/PATH, about `private`; without memory it is missing. */
static void
add_file(const char *folder, unsigned number, const char *name,
    void (*show)(struct seq *), void *private)
{
	char path[64], *kept;

	scnprintf(path, sizeof(path), "devices/system/%s%u/%s", folder, number, name);
	kept = kstrdup(path);
	if (kept && sysfs_register_private(kept, show, private) != OK)
		kfree(kept);
}

/* ---- node/ */

static unsigned num_nodes = 1;

static void
show_nodes(struct seq *s)
{
	seq_printf(s, num_nodes > 1 ? "0-%u\n" : "%u\n", num_nodes - 1);
}

static bool
is_on_node(unsigned id, const void *node)
{
	return cpus[id] && cpus[id]->node == (uintptr_t)node;
}

static void
show_node_mask(struct seq *s)
{
	proc_show_mask(s, is_on_node, s->private);
}

static void
show_node_list(struct seq *s)
{
	proc_show_ranges(s, is_on_node, s->private);
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
	    {"devices/system/node/has_cpu", show_nodes},
	    {"devices/system/node/has_memory", show_nodes},
	    {"devices/system/node/online", show_nodes},
	    {"devices/system/node/possible", show_nodes},
	    {"dev/block", NULL},
	    {"dev/char", NULL},
	    {"firmware", NULL},
	    {"fs/cgroup", NULL},
	    {"kernel", NULL},
	    {"module", NULL},
	    {"power", NULL},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		(void)sysfs_register(
		    files[i].name, files[i].show); /* no memory: not there */
	for (unsigned id = 0; id < num_cpus; id++) {
		if (!cpus[id])
			continue;
		num_nodes = MAX(num_nodes, cpus[id]->node + 1);
		for (unsigned i = 0; i < ARRAY_SIZE(cpu_files); i++) {
			char name[40];

			scnprintf(name, sizeof(name), "topology/%s", cpu_files[i].name);
			add_file("cpu/cpu", id, name, cpu_files[i].show, cpus[id]);
		}
	}
	for (uintptr_t node = 0; node < num_nodes; node++) {
		add_file("node/node", node, "cpumap", show_node_mask, (void *)node);
		add_file("node/node", node, "cpulist", show_node_list, (void *)node);
	}
}
