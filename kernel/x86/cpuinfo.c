/* /proc/cpuinfo; see cpuinfo.h. Every processor is shown as a package core of its own. */
#include "kernel/x86/cpuinfo.h"

#include "kernel/procfs.h"
#include "kernel/time/clock.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu.h"

static void
show_cpu(struct seq *s, const struct cpu *c)
{
	const struct cpu_features *f = &cpu_features;
	uint64_t khz = clock_tsc_hz() / 1000;

	seq_printf(s, "processor\t: %u\n", c->id);
	seq_printf(s, "vendor_id\t: %s\n", f->vendor);
	seq_printf(s, "cpu family\t: %u\n", f->family);
	seq_printf(s, "model\t\t: %u\n", f->model);
	seq_printf(s, "model name\t: %s\n", f->name);
	seq_printf(s, "stepping\t: %u\n", f->stepping);
	seq_printf(s, "cpu MHz\t\t: %lu.%03lu\n", khz / 1000, khz % 1000);
	seq_printf(s, "physical id\t: 0\nsiblings\t: %u\n", num_cpus);
	seq_printf(s, "core id\t\t: %u\ncpu cores\t: %u\n", c->id, num_cpus);
	seq_printf(s, "apicid\t\t: %u\ninitial apicid\t: %u\n", c->apic_id, c->apic_id);
	seq_puts(s, "fpu\t\t: yes\nfpu_exception\t: yes\nwp\t\t: yes\n");
}

void
cpuinfo_show(struct seq *s)
{
	const struct cpu_features *f = &cpu_features;
	char flags[900];
	struct cpu *c;

	features_flags(flags, sizeof(flags));
	for_each_online_cpu(c) {
		show_cpu(s, c);
		seq_printf(s, "flags\t\t: %s\nbugs\t\t:\n", flags);
		seq_printf(s, "clflush size\t: %u\ncache_alignment\t: %u\n",
		    f->cache_line, f->cache_line);
		seq_printf(s, "address sizes\t: %u bits physical, %u bits virtual\n\n",
		    f->physical_bits, f->virtual_bits);
	}
}
