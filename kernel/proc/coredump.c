/*
 * When a core file is written, and where to. The dying thread marks its process as exiting, as any
 * fatal signal does; the other threads come to coredump_stand_by on their way out and sleep there,
 * with the registers they had in user mode, until the file is done. SIGKILL is the only signal
 * that still counts: it cuts the file short.
 */
#include "kernel/proc/coredump_priv.h"

#define LOG_PREFIX "core: "

#include "kernel/file.h"
#include "kernel/ipc/pipe.h"
#include "kernel/log.h"
#include "kernel/proc/helper.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/proc/utsname.h"
#include "kernel/procfs.h"
#include "kernel/time/clock.h"
#include "kernel/x86/context.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/percpu.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/slab.h"

enum { PATH_SIZE = 4096 };

/* /proc/sys/kernel and fs. */
static struct spinlock pattern_lock = SPINLOCK_INIT("core_pattern", RANK_OBJECT);
static char core_pattern[CORE_PATTERN_SIZE] = "core"; /* [pattern_lock] */
static uint32_t core_uses_pid, core_pipe_limit, suid_dumpable;

static uint32_t num_pipes; /* [a] core files that programs are reading */

enum dumpable
coredump_suid_dumpable(void)
{
	return __atomic_load_n(&suid_dumpable, __ATOMIC_RELAXED);
}

static void
pattern_get(char pattern[CORE_PATTERN_SIZE])
{
	spin_lock(&pattern_lock);
	memcpy(pattern, core_pattern, CORE_PATTERN_SIZE);
	spin_unlock(&pattern_lock);
}

/* ---- The other threads ------------------------------------------------------------- */

void
coredump_stand_by(struct thread *t)
{
	struct process *p = t->process;
	bool waits;

	if (p->num_threads == 1)
		return; /* nobody is left who could write one */
	spin_lock(&p->lock);
	waits = p->core_dumper && p->core_dumper != t;
	__atomic_fetch_or(&t->flags,
	    waits ? THREAD_LEAVING | THREAD_IN_CORE : THREAD_LEAVING, __ATOMIC_RELAXED);
	spin_unlock(&p->lock);
	if (!waits)
		return;
	wait_queue_wake_all(&p->core_wait);
	(void)wait_event(&p->core_wait,
	    !__atomic_load_n(&p->core_dumper, __ATOMIC_ACQUIRE), WAIT_UNINTERRUPTIBLE,
	    NO_TIMEOUT); /* it ends by itself, or by SIGKILL */
}

/* The process exits from here. false: it did before, or an exec is about to end the thread. */
static bool
core_begin(struct process *p, struct thread *t, int signo)
{
	bool is_first;

	spin_lock(&p->lock);
	is_first = !p->is_exiting && !(p->exec_thread && p->exec_thread != t);
	if (is_first) {
		p->is_exiting = true;
		p->exit_status = signo;
		p->core_dumper = t;
		signal_kick_all_locked(p, t, true);
		__atomic_fetch_and(
		    &t->flags, ~(uint32_t)THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	}
	spin_unlock(&p->lock);
	return is_first;
}

static void
core_end(struct process *p, bool is_written)
{
	spin_lock(&p->lock);
	__atomic_store_n(&p->core_dumper, NULL, __ATOMIC_RELEASE);
	if (p->is_core_cut)
		p->exit_status = SIGKILL;
	else if (is_written)
		p->exit_status |= STATUS_CORE;
	spin_unlock(&p->lock);
	wait_queue_wake_all(&p->core_wait);
}

static bool
are_others_away(struct process *p, const struct thread *me)
{
	const struct thread *t;
	bool are_away = true;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		are_away &= t == me || (t->flags & THREAD_LEAVING);
	spin_unlock(&p->lock);
	return are_away;
}

/* Those that stand by, with references; the current one first. */
static bool
core_take_threads(struct core *c)
{
	struct process *p = c->process;
	unsigned room = p->num_threads; /* nobody joins a process that exits */
	struct thread *t;

	c->threads = kcalloc(room, sizeof(struct thread *));
	if (!c->threads)
		return false;
	c->threads[c->num_threads++] = thread_get(current_thread());
	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		if ((t->flags & THREAD_IN_CORE) && c->num_threads < room)
			c->threads[c->num_threads++] = thread_get(t);
	spin_unlock(&p->lock);
	for (unsigned i = 1; i < c->num_threads; i++)
		thread_wait_asleep(c->threads[i]);
	arch_thread_save_current();
	fpu_save_current();
	return true;
}

static bool
core_stop_others(struct core *c)
{
	struct process *p = c->process;
	struct thread *t = current_thread();

	wait_queue_wake_all(&p->stop_wait); /* some may be stopped by a signal */
	return wait_event(&p->core_wait, are_others_away(p, t), WAIT_KILLABLE,
	           NO_TIMEOUT) == OK &&
	       core_take_threads(c);
}

/* ---- Writing ----------------------------------------------------------------------- */

static bool
is_cut(const struct process *p)
{
	return __atomic_load_n(&p->is_core_cut, __ATOMIC_RELAXED);
}

static bool
core_put_bytes(struct core *c, const char *data, size_t n)
{
	while (n) {
		ssize_t done = is_cut(c->process)
		                   ? ERR_INTR
		                   : file_write_at(c->file, data, n, (loff_t)c->pos);

		if (done == ERR_RESTARTSYS && !is_cut(c->process)) {
			/* A tracer or the like wanted it to look: it no longer does. */
			__atomic_fetch_and(&current_thread()->flags,
			    ~(uint32_t)THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
			continue;
		}
		if (done <= 0)
			return false;
		data += done;
		n -= (size_t)done;
		c->pos += (uint64_t)done;
	}
	return true;
}

bool
core_write(struct core *c, const void *data, size_t n)
{
	if (n > c->limit - c->written)
		return false;
	c->written += n;
	if (!core_put_bytes(c, data, n))
		return false;
	c->data_end = c->pos;
	return true;
}

bool
core_skip(struct core *c, uint64_t n)
{
	static const char zeros[512];

	if (!c->is_pipe) {
		c->pos += n;
		return !is_cut(c->process);
	}
	while (n) {
		size_t piece = MIN(n, (uint64_t)sizeof(zeros));

		if (!core_put_bytes(c, zeros, piece))
			return false;
		n -= piece;
	}
	return true;
}

/* ---- Where to ---------------------------------------------------------------------- */

static void
core_facts_get(struct core_facts *f, const struct core *c, char *path)
{
	struct process *p = c->process;
	struct thread *t = current_thread();

	*f = (struct core_facts){
	    .pid = p->pid,
	    .tid = t->tid,
	    .uid = p->cred->uid,
	    .gid = p->cred->gid,
	    .signo = c->info->signo,
	    .dumpable = p->aspace->dumpable,
	    .cpu = this_cpu()->id,
	    .time_s = (uint64_t)(clock_wall_ns() / (int64_t)NSEC_PER_SEC),
	    .limit = p->rlimits[RLIMIT_CORE].cur,
	    .host = kernel_utsname.nodename,
	    .comm = t->name,
	    .exe =
	        p->aspace->exe ? file_path_text(p->aspace->exe, path, PATH_SIZE) : NULL,
	    .adds_pid = core_uses_pid,
	};
}

/* A program reads it from its standard input. */
static enum err
core_open_pipe(struct core *c, const struct core_name *n)
{
	const char *argv[CORE_ARGS_MAX + 1] = {NULL};
	struct file *ends[2];
	enum err err;

	if (c->process->rlimits[RLIMIT_CORE].cur == 1)
		return ERR_PERM; /* a helper's own: that would not end */
	for (unsigned i = 0; i < n->argc; i++)
		argv[i] = &n->text[n->args[i]];
	err = pipe_create(ends, 0);
	if (err != OK)
		return err;
	c->is_pipe = true;
	c->limit = RLIM_INFINITY;
	err = helper_start(argv[0], argv, ends[0]);
	file_put(ends[0]);
	if (err == OK)
		c->file = ends[1];
	else
		file_put(ends[1]);
	return err;
}

/* Of a process whose memory is root's the file is too, by an absolute path from the first root. */
static enum err
core_open_file(struct core *c, const struct core_name *n)
{
	bool is_roots = c->process->aspace->dumpable == DUMPABLE_ROOT;

	if (is_roots && n->text[0] != '/')
		return ERR_PERM;
	return file_create_core(n->text, is_roots, &c->file);
}

static enum err
core_open(struct core *c, const char *pattern)
{
	struct core_name *n = kmalloc(sizeof(*n));
	char *path = kmalloc(PATH_SIZE);
	struct core_facts facts;
	enum err err = ERR_NOMEM;

	if (n && path) {
		core_facts_get(&facts, c, path);
		err = ERR_NAMETOOLONG;
		if (core_name_expand(n, pattern, &facts))
			err = n->is_pipe ? core_open_pipe(c, n) : core_open_file(c, n);
	}
	kfree(path);
	kfree(n);
	return err;
}

/* The file of a process that root reads alone is made by root's file rights: only the writer is left
 * to see them. Returns what the process had, NULL: nothing changed. */
static struct cred *
core_become_root(struct process *p)
{
	struct cred *was, *as_root;

	if (p->aspace->dumpable != DUMPABLE_ROOT)
		return NULL;
	as_root = cred_copy(p->cred);
	if (!as_root)
		return NULL; /* then it fails by the user's rights, or is the user's */
	was = process_cred(p);
	as_root->fsuid = 0;
	process_set_cred(p, as_root);
	return was;
}

/* Programs that read a core file may want the process while it is still there. */
static void
core_close(struct core *c)
{
	if (!c->file)
		return;
	if (c->is_pipe && core_pipe_limit)
		pipe_wait_unread(c->file);
	file_put(c->file);
}

static bool
core_write_all(struct core *c, const char *pattern)
{
	struct cred *was;
	bool is_written;
	enum err err;

	if (!core_stop_others(c))
		return false;
	was = core_become_root(c->process);
	err = core_open(c, pattern);
	is_written = err == OK && core_write_elf(c);
	if (err != OK)
		log_info("%s[%u]: no core file (error %d)", current_thread()->name,
		    c->process->pid, -err);
	core_close(c);
	if (was)
		process_set_cred(c->process, was);
	return is_written;
}

static bool
core_run(const struct siginfo *info, const char *pattern)
{
	struct process *p = current_process();
	struct core c = {
	    .info = info, .process = p, .limit = p->rlimits[RLIMIT_CORE].cur};
	bool is_written;

	if (!core_begin(p, current_thread(), info->signo))
		return false;
	is_written = core_write_all(&c, pattern);
	core_end(p, is_written);
	for (unsigned i = 0; i < c.num_threads; i++)
		thread_put(c.threads[i]);
	kfree(c.threads);
	return is_written;
}

bool
coredump(const struct siginfo *info)
{
	struct process *p = current_process();
	char pattern[CORE_PATTERN_SIZE];
	bool is_pipe, is_written = false;
	uint32_t limit = core_pipe_limit;

	pattern_get(pattern);
	is_pipe = pattern[0] == '|';
	if (p == init_process || p->aspace->dumpable == DUMPABLE_NO)
		return false;
	if (!is_pipe)
		return p->rlimits[RLIMIT_CORE].cur >= PAGE_SIZE &&
		       core_run(info, pattern);
	if (__atomic_add_fetch(&num_pipes, 1, __ATOMIC_RELAXED) <= limit || !limit)
		is_written = core_run(info, pattern);
	else
		log_info("%s[%u]: no core file: core_pipe_limit", current_thread()->name,
		    p->pid);
	__atomic_sub_fetch(&num_pipes, 1, __ATOMIC_RELAXED);
	return is_written;
}

/* ---- /proc/sys --------------------------------------------------------------------- */

static void
show_pattern(struct seq *s)
{
	char pattern[CORE_PATTERN_SIZE];

	pattern_get(pattern);
	seq_printf(s, "%s\n", pattern);
}

static enum err
store_pattern(const char *text)
{
	spin_lock(&pattern_lock);
	strlcpy(core_pattern, text, sizeof(core_pattern));
	spin_unlock(&pattern_lock);
	return OK;
}

void
coredump_init(void)
{
	static struct proc_number numbers[] = {
	    {"sys/kernel/core_uses_pid", &core_uses_pid, 0, INT32_MAX},
	    {"sys/kernel/core_pipe_limit", &core_pipe_limit, 0, INT32_MAX},
	    {"sys/fs/suid_dumpable", &suid_dumpable, DUMPABLE_NO, DUMPABLE_ROOT},
	};

	(void)proc_register_rw("sys/kernel/core_pattern", show_pattern,
	    store_pattern); /* no memory: not there */
	proc_register_numbers(numbers, ARRAY_SIZE(numbers));
}
