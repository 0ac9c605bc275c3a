/* /proc/PID/stat, statm, status, limits and maps: what ps, top and debuggers read
 * (proc(5)). */
#include "fs/procfs.h"

#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/seccomp.h"
#include "kernel/proc/session.h"
#include "kernel/sched/sched.h"
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/usage.h"

enum { TICK_NS = 10000000 };

/* What the texts tell, gathered once. Zeros where the process has nothing (any more). */
struct facts {
	struct process *process;
	struct thread *thread;
	struct aspace *as; /* or NULL */
	char name[THREAD_NAME_LEN];
	char state;
	nsec_t utime_ns, stime_ns;
	int nice, priority;
	unsigned rt_priority, policy, cpu;
	unsigned num_threads; /* with a leader that has ended */
	uint64_t pending, shared_pending, blocked, ignored, caught; /* signals */
};

static void
signal_facts(struct facts *f)
{
	for (int sig = 1; sig <= NSIG && f->as; sig++) {
		uintptr_t handler = (uintptr_t)signal_action_of(f->process, sig).handler;

		if (handler == SIG_IGN)
			f->ignored |= SIGMASK(sig);
		else if (handler != SIG_DFL)
			f->caught |= SIGMASK(sig);
	}
	f->shared_pending = f->process->shared_pending.pending;
	if (f->thread) {
		f->pending = f->thread->sig_pending;
		f->blocked = f->thread->sig_blocked;
	}
}

static bool
facts_get(struct facts *f, const struct proc_id *id)
{
	struct process *p = proc_process(id);
	struct thread *t = p ? proc_thread(id) : NULL;

	memset(f, 0, sizeof(*f));
	if (!p)
		return false;
	f->process = p;
	f->thread = t;
	f->as = proc_aspace(id);
	f->state = t && id->tid && id->tid != p->pid ? thread_state_letter(t)
	                                             : process_state_letter(p);
	process_times(p, &f->utime_ns, &f->stime_ns);
	signal_facts(f);
	f->num_threads = p->num_threads + (f->state == 'Z');
	if (t) {
		memcpy(f->name, t->name, sizeof(f->name));
		f->nice = (int)t->sched.nice; /* -20 to 19 */
		f->rt_priority = t->sched.rt_priority;
		f->policy = t->sched.policy;
		f->cpu = t->sched.cpu ? t->sched.cpu->id : 0;
		if (id->tid)
			thread_times(t, &f->utime_ns, &f->stime_ns);
	}
	f->priority = 20 + f->nice;
	if (t && t->sched.run_priority)
		f->priority = -1 - (int)t->sched.run_priority;
	return true;
}

static void
facts_put(struct facts *f)
{
	if (f->as)
		aspace_put(f->as);
	if (f->thread)
		thread_put(f->thread);
	process_put(f->process);
}

void
proc_show_io(struct seq *s, const struct proc_id *id)
{
	struct io_count io;
	struct facts f;

	if (!facts_get(&f, id))
		return;
	s->error = process_may_access(f.process, ACCESS_FS_IDS) ? ERR_ACCES : OK;
	if (id->tid && f.thread)
		io = f.thread->io;
	else
		process_io(f.process, &io);
	facts_put(&f);
	seq_printf(s, "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\n", io.rchar,
	    io.wchar, io.syscr, io.syscw);
	/* Nothing is on a disk. */
	seq_puts(s, "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
}

static void
show_sched_ns(struct seq *s, const char *name, nsec_t ns)
{
	seq_printf(s, "%-45s:%14lu.%06lu\n", name, (uint64_t)(ns / NSEC_PER_MSEC),
	    (uint64_t)(ns % NSEC_PER_MSEC));
}

void
proc_show_sched(struct seq *s, const struct proc_id *id)
{
	const struct thread *t;
	nsec_t user, system;
	struct facts f;

	if (!facts_get(&f, id))
		return;
	t = f.thread;
	if (t) {
		thread_times(f.thread, &user, &system);
		seq_printf(s, "%s (%u, #threads: %u)\n", t->name, t->tid, f.num_threads);
		seq_puts(s, "------------------------------------------------------------"
		            "-------\n");
		show_sched_ns(s, "se.vruntime", t->sched.vruntime);
		show_sched_ns(s, "se.sum_exec_runtime", user + system);
		seq_printf(s, "%-45s:%21lu\n", "nr_switches", t->nvcsw + t->nivcsw);
		seq_printf(s, "%-45s:%21lu\n", "nr_voluntary_switches", t->nvcsw);
		seq_printf(s, "%-45s:%21lu\n", "nr_involuntary_switches", t->nivcsw);
		seq_printf(s, "%-45s:%21u\n", "se.load.weight", t->sched.weight);
		seq_printf(s, "%-45s:%21u\n", "policy", f.policy);
		seq_printf(s, "%-45s:%21d\n", "prio", 100 + f.priority);
	}
	facts_put(&f);
}

/* Of one thread, the leader if none is named: ns it ran, ns it waited for a CPU, how often it ran. */
void
proc_show_schedstat(struct seq *s, const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	nsec_t user, system;

	if (!t)
		return;
	thread_times(t, &user, &system);
	seq_printf(s, "%lu %lu %lu\n", user + system, t->sched.wait_ns,
	    t->nvcsw + t->nivcsw + t->sched.is_running);
	thread_put(t);
}

void
proc_show_stat(struct seq *s, const struct proc_id *id)
{
	static const struct aspace no_aspace;
	const struct aspace *as;
	struct process *p;
	struct facts f;
	bool is_seen;
	uint32_t tty;
	int tty_pgid;

	if (!facts_get(&f, id))
		return;
	p = f.process;
	session_tty_numbers(p, &tty, &tty_pgid);
	as = f.as ? f.as : &no_aspace;
	seq_printf(s, "%u (%s) %c %u %u %u %u %d %u", id->tid ? id->tid : p->pid, f.name,
	    f.state, process_parent_pid(p), process_pgid(p), process_sid(p), tty,
	    tty_pgid, f.as ? 0x400000u : 0u);
	seq_printf(s, " %lu %lu %lu %lu %lu %lu %lu %lu", p->min_faults,
	    p->child_min_faults, p->maj_faults, p->child_maj_faults, f.utime_ns / TICK_NS,
	    f.stime_ns / TICK_NS, p->child_utime_ns / TICK_NS,
	    p->child_stime_ns / TICK_NS);
	seq_printf(s, " %d %d %u 0 %lu %lu %lu %lu", f.priority, f.nice, f.num_threads,
	    p->start_ns / TICK_NS, as->num_pages * PAGE_SIZE, as->resident,
	    p->rlimits[RLIMIT_RSS].cur);
	/* Places in memory are for those who may look into it. */
	is_seen = process_may_access(p, ACCESS_FS_IDS) == OK;
	if (!is_seen)
		as = &no_aspace;
	if (is_seen || !f.as)
		seq_printf(
		    s, " %lu %lu %lu 0 0", as->code_start, as->code_end, as->stack_top);
	else
		seq_puts(s, " 1 1 0 0 0");
	/* The four signal sets are cut to 31 bits, as on Linux; status has them whole. */
	seq_printf(s, " %lu %lu %lu %lu", f.pending & INT32_MAX, f.blocked & INT32_MAX,
	    f.ignored & INT32_MAX, f.caught & INT32_MAX);
	seq_printf(s, " 0 0 0 %u %u %u %u 0 0 0", p->exit_signal, f.cpu, f.rt_priority,
	    f.policy);
	seq_printf(s, " %lu %lu %lu %lu %lu %lu %lu %d\n", as->data_start, as->data_end,
	    as->brk_start, as->arg_start, as->arg_end, as->env_start, as->env_end,
	    is_seen ? p->exit_status : 0);
	facts_put(&f);
}

static uint64_t
pages_of(vaddr_t start, vaddr_t end)
{
	return (ALIGN_UP(end, PAGE_SIZE) - ALIGN_DOWN(start, PAGE_SIZE)) / PAGE_SIZE;
}

void
proc_show_statm(struct seq *s, const struct proc_id *id)
{
	struct facts f;

	if (!facts_get(&f, id))
		return;
	if (f.as)
		seq_printf(s, "%lu %lu %lu %lu 0 %lu 0\n", f.as->num_pages,
		    f.as->resident,
		    f.as->resident - MIN(f.as->resident_anon, f.as->resident),
		    pages_of(f.as->code_start, f.as->code_end),
		    f.as->data_pages + f.as->stack_pages);
	else
		seq_puts(s, "0 0 0 0 0 0 0\n");
	facts_put(&f);
}

static const char *
state_name(char letter)
{
	switch (letter) {
	case 'R': return "running";
	case 'S': return "sleeping";
	case 'D': return "disk sleep";
	case 'T': return "stopped";
	case 't': return "tracing stop";
	case 'Z': return "zombie";
	default: return "dead";
	}
}

static void
show_ids(struct seq *s, const struct facts *f)
{
	struct cred *c = process_cred(f->process);
	struct fd_table *fds = c && f->thread ? thread_fds(f->thread) : NULL;

	if (!c)
		return;
	seq_printf(s,
	    "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\nGroups:\t", c->uid,
	    c->euid, c->suid, c->fsuid, c->gid, c->egid, c->sgid, c->fsgid,
	    fds ? fd_table_size(fds) : 0);
	for (uint32_t i = 0; i < c->num_groups; i++)
		seq_printf(s, "%s%u", i ? " " : "", c->groups[i]);
	seq_puts(s, " \n");
	cred_put(c);
	if (fds)
		fd_table_put(fds);
}

/* There is one name space of numbers. */
static void
show_numbers(struct seq *s, struct process *p, uint32_t tid)
{
	seq_printf(s, "NStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\n", p->pid, tid,
	    process_pgid(p), process_sid(p));
}

/* What only a walk over the areas tells. */
static uint64_t
count_tables(struct aspace *as)
{
	uint64_t last_table = 0, n = 0;

	rwsem_lock_shared(&as->lock);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
		n += area_count_tables(a, &last_table);
	rwsem_unlock_shared(&as->lock);
	return n;
}

static void
show_memory(struct seq *s, struct process *p, struct aspace *as)
{
	uint64_t text = MIN(pages_of(as->code_start, as->code_end), as->exec_pages);
	const struct {
		const char *name;
		uint64_t pages;
	} lines[] = {
	    {"VmPeak", as->peak_pages},
	    {"VmSize", as->num_pages},
	    {"VmLck", as->locked_pages},
	    {"VmPin", 0},
	    {"VmHWM", MAX(as->peak_resident, as->resident)},
	    {"VmRSS", as->resident},
	    {"RssAnon", as->resident_anon},
	    {"RssFile", as->resident - MIN(as->resident, as->resident_anon)},
	    {"RssShmem", 0}, /* among RssFile */
	    {"VmData", as->data_pages},
	    {"VmStk", as->stack_pages},
	    {"VmExe", text},
	    {"VmLib", as->exec_pages - text},
	    {"VmPTE", count_tables(as)},
	    {"VmSwap", 0},
	    {"HugetlbPages", 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		seq_printf(s, "%s:\t%8lu kB\n", lines[i].name,
		    lines[i].pages * (PAGE_SIZE / 1024));
	seq_printf(s, "CoreDumping:\t%d\nTHP_enabled:\t0\n", p->core_dumper != NULL);
}

static void
show_capabilities(struct seq *s, struct process *p)
{
	struct cred *c = process_cred(p);

	if (!c)
		return;
	seq_printf(s, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\n",
	    c->cap_inheritable, c->cap_permitted, c->cap_effective);
	seq_printf(s, "CapBnd:\t%016lx\nCapAmb:\t%016lx\nNoNewPrivs:\t%u\n",
	    c->cap_bounding, c->cap_ambient, p->no_new_privs);
	cred_put(c);
}

static bool
is_allowed(unsigned cpu, const void *thread)
{
	return cpumask_test(&((const struct thread *)thread)->sched.affinity, cpu);
}

static void
show_cpus_allowed(struct seq *s, const struct thread *t)
{
	seq_puts(s, "Cpus_allowed:\t");
	proc_show_mask(s, is_allowed, t);
	seq_puts(s, "Cpus_allowed_list:\t");
	proc_show_ranges(s, is_allowed, t);
	seq_puts(s, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
}

static uint32_t
umask_of(const struct facts *f)
{
	struct fs_context *fs = f->thread ? thread_fs(f->thread) : NULL;
	uint32_t umask = fs ? __atomic_load_n(&fs->umask, __ATOMIC_RELAXED) : 0;

	if (fs)
		fs_context_put(fs);
	return umask;
}

void
proc_show_status(struct seq *s, const struct proc_id *id)
{
	struct process *p;
	struct facts f;

	if (!facts_get(&f, id))
		return;
	p = f.process;
	seq_puts(s, "Name:\t");
	seq_escape(s, f.name, "\n\\");
	seq_printf(s, "\nUmask:\t%04o\nState:\t%c (%s)\nTgid:\t%u\nNgid:\t0\nPid:\t%u\n",
	    umask_of(&f), f.state, state_name(f.state), p->pid,
	    id->tid ? id->tid : p->pid);
	seq_printf(s, "PPid:\t%u\nTracerPid:\t%u\n", process_parent_pid(p),
	    f.thread ? ptrace_tracer_tid(f.thread) : 0);
	show_ids(s, &f);
	show_numbers(s, p, id->tid ? id->tid : p->pid);
	if (f.as)
		show_memory(s, p, f.as);
	seq_printf(s, "Threads:\t%u\nSigQ:\t%u/%lu\n", f.num_threads,
	    p->num_queued_signals, p->rlimits[RLIMIT_SIGPENDING].cur);
	seq_printf(s, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n", f.pending,
	    f.shared_pending, f.blocked);
	seq_printf(s, "SigIgn:\t%016lx\nSigCgt:\t%016lx\n", f.ignored, f.caught);
	show_capabilities(s, p);
	if (f.thread) {
		seq_printf(s, "Seccomp:\t%u\nSeccomp_filters:\t%u\n",
		    seccomp_mode_of(f.thread), seccomp_num_filters(f.thread));
		show_cpus_allowed(s, f.thread);
		seq_printf(s,
		    "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		    f.thread->nvcsw, f.thread->nivcsw);
	}
	facts_put(&f);
}

static void
show_limit_value(struct seq *s, uint64_t v)
{
	if (v == RLIM_INFINITY)
		seq_printf(s, "%-20s ", "unlimited");
	else
		seq_printf(s, "%-20lu ", v);
}

void
proc_show_limits(struct seq *s, const struct proc_id *id)
{
	static const struct {
		const char *name, *unit;
	} names[RLIMITS] = {
	    [RLIMIT_CPU] = {"Max cpu time", "seconds"},
	    [RLIMIT_FSIZE] = {"Max file size", "bytes"},
	    [RLIMIT_DATA] = {"Max data size", "bytes"},
	    [RLIMIT_STACK] = {"Max stack size", "bytes"},
	    [RLIMIT_CORE] = {"Max core file size", "bytes"},
	    [RLIMIT_RSS] = {"Max resident set", "bytes"},
	    [RLIMIT_NPROC] = {"Max processes", "processes"},
	    [RLIMIT_NOFILE] = {"Max open files", "files"},
	    [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
	    [RLIMIT_AS] = {"Max address space", "bytes"},
	    [RLIMIT_LOCKS] = {"Max file locks", "locks"},
	    [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
	    [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
	    [RLIMIT_NICE] = {"Max nice priority", ""},
	    [RLIMIT_RTPRIO] = {"Max realtime priority", ""},
	    [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};
	struct process *p = proc_process(id);

	if (!p)
		return;
	seq_printf(
	    s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < RLIMITS; i++) {
		seq_printf(s, "%-25s ", names[i].name);
		show_limit_value(s, p->rlimits[i].cur);
		show_limit_value(s, p->rlimits[i].max);
		seq_printf(s, "%-10s\n", names[i].unit);
	}
	process_put(p);
}

/* ---- maps */

static void
show_area_name(struct seq *s, const struct area *a, const struct path *root, char *buf)
{
	bool is_reachable;
	const char *name = NULL;

	if (a->file && a->file->dentry) {
		const struct path path = {a->file->mount, a->file->dentry};

		name = path_text(&path, root, buf, PATH_MAX, &is_reachable);
	} else if (a->file) {
		name = a->file->ops->anon_name;
	} else if (a->flags & AREA_HEAP) {
		name = "[heap]";
	} else if (a->flags & AREA_STACK) {
		name = "[stack]";
	} else if (a->ops->name && a->ops->name[0] == '[') {
		name = a->ops->name;
	}
	if (name) {
		seq_puts(s, " ");
		seq_escape(s, name, "\n");
	}
	seq_putc(s, '\n');
}

void
proc_show_area(struct seq *s, const struct area *a, const struct path *root, char *buf)
{
	const struct inode *inode = a->file ? a->file->inode : NULL;
	uint64_t dev = inode ? inode->super->dev : 0;
	size_t start = s->len;

	seq_printf(s, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", a->start, a->end,
	    a->flags & AREA_READ ? 'r' : '-', a->flags & AREA_WRITE ? 'w' : '-',
	    a->flags & AREA_EXEC ? 'x' : '-', a->flags & AREA_SHARED ? 's' : 'p',
	    a->file ? a->file_page * PAGE_SIZE : 0, dev_major(dev), dev_minor(dev),
	    inode ? inode->ino : 0);
	seq_pad(s, start, 72);
	show_area_name(s, a, root, buf);
}

void
proc_show_maps(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace_look(id);
	char *buf = as ? kmalloc(PATH_MAX) : NULL;
	struct path root;

	if (buf) {
		fs_context_root(current_fs(), &root);
		rwsem_lock_shared(&as->lock);
		for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
			proc_show_area(s, a, &root, buf);
		rwsem_unlock_shared(&as->lock);
		path_put(&root);
	}
	kfree(buf);
	if (as)
		aspace_put(as);
}
