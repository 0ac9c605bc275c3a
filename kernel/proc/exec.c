/*
 * execve and execveat. First everything that can fail: the strings are copied, the
 * program opened (for a script its interpreter, up to four deep), the image loaded into a
 * new address space. Then the point of no return: other threads end, the new space,
 * credentials and signal table take effect.
 */
#include "kernel/proc/exec_priv.h"

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/log.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/exec_strings.h"
#include "kernel/proc/fdtable.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/x86/context.h"
#include "kernel/x86/trap.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { SCRIPT_LINE_MAX = 256, SCRIPT_DEPTH_MAX = 5 };

void
exec_fini(struct exec *e)
{
	exec_strings_free(&e->strings);
	if (e->file)
		file_put(e->file);
	if (e->aspace)
		aspace_put(e->aspace);
	if (e->cred)
		cred_put(e->cred);
	kfree(e->path);
}

/* ---- Scripts
 * --------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Splits "#! interpreter [argument]" in place; the argument is all the rest of the line,
 * as on Linux. *arg is NULL without one. ERR_NOEXEC: no interpreter, or a line that does
 * not end in the buffer.
 */
static enum err
script_parse(char *line, size_t len, char **interp, char **arg)
{
	char *p = line + 2, *end = memchr(line, '\n', len);

	if (!end)
		return ERR_NOEXEC;
	while (end > p && is_blank(end[-1]))
		end--;
	*end = 0;
	while (is_blank(*p))
		p++;
	if (!*p)
		return ERR_NOEXEC;
	*interp = p;
	while (*p && !is_blank(*p))
		p++;
	if (*p)
		*p++ = 0;
	while (is_blank(*p))
		p++;
	*arg = *p ? p : NULL;
	return OK;
}

/* If e->file is a script: puts its interpreter in its place. *again tells whether it was
 * one. */
static enum err
exec_follow_script(struct exec *e, const char *script, char *line, bool *again)
{
	const char *words[3];
	char *interp, *arg;
	unsigned n = 0;
	struct file *file;
	enum err err;
	ssize_t len = file_read_at(e->file, line, SCRIPT_LINE_MAX, 0);

	*again = len >= 2 && line[0] == '#' && line[1] == '!';
	if (len < 0)
		return (enum err)len;
	if (!*again)
		return OK;
	line[MIN(len, (ssize_t)SCRIPT_LINE_MAX - 1)] = len < SCRIPT_LINE_MAX ? '\n' : 0;
	err = script_parse(
	    line, (size_t)MIN(len + 1, (ssize_t)SCRIPT_LINE_MAX), &interp, &arg);
	if (err != OK)
		return err;
	words[n++] = interp;
	if (arg)
		words[n++] = arg;
	words[n++] = script;
	err = exec_strings_replace_argv0(&e->strings, words, n);
	if (err == OK)
		err = file_open_exec(interp, &file);
	if (err != OK)
		return err;
	file_put(e->file);
	e->file = file;
	return OK;
}

enum err
exec_resolve(struct exec *e)
{
	char line[SCRIPT_LINE_MAX], *script = kstrdup(e->path);
	bool again = true;
	enum err err = script ? OK : ERR_NOMEM;

	for (unsigned depth = 0; err == OK && again; depth++) {
		if (depth > SCRIPT_DEPTH_MAX) {
			err = ERR_LOOP;
			break;
		}
		err = exec_follow_script(e, script, line, &again);
		if (err == OK &&
		    again) { /* a script of a script is handed the inner one's name */
			kfree(script);
			script = kstrdup(e->strings.buf);
			err = script ? OK : ERR_NOMEM;
		}
	}
	kfree(script);
	return err;
}

/* From here no tracer can come that was not asked about: sys_ptrace.c waits. */
static void
exec_begin(struct process *p, struct exec *e)
{
	spin_lock(&p->lock);
	p->num_execs++;
	spin_unlock(&p->lock);
	e->has_begun = true;
}

static void
exec_end(struct process *p)
{
	spin_lock(&p->lock);
	p->num_execs--;
	spin_unlock(&p->lock);
	wait_queue_wake_all(&p->exec_wait);
}

/* ---- Before the point of no return
 * ---------------------------------------------------------- */

enum err
exec_load(struct exec *e)
{
	const struct aspace *old = current_thread()->aspace; /* NULL: the first program */
	struct exec_args args = {
	    .path = e->path,
	    .strings = e->strings.buf,
	    .strings_len = e->strings.len,
	    .argc = e->strings.argc,
	    .envc = e->strings.envc,
	    .uid = e->cred->uid,
	    .euid = e->cred->euid,
	    .gid = e->cred->gid,
	    .egid = e->cred->egid,
	    .is_secure = e->is_secure,
	};

	/* Whoever starts a program with more rights than his does not choose its layout. */
	if (e->is_secure || e->gains_caps)
		current_process()->personality &= ~(uint32_t)ADDR_NO_RANDOMIZE;
	e->aspace = aspace_create();
	if (!e->aspace)
		return ERR_NOMEM;
	if (old) {
		e->aspace->core_filter = old->core_filter;
		e->aspace->no_huge_pages = old->no_huge_pages;
	}
	if (e->is_private || !file_is_readable(e->file))
		e->aspace->dumpable = (uint8_t)coredump_suid_dumpable();
	return exec_load_elf(e->aspace, e->file, &args, &e->frame);
}

/* The other threads are gone: whoever has a part of the process now is another process, or looks. */
static enum err
exec_unshare(struct process *p)
{
	struct signal_actions *copy, *old = p->sigactions;
	enum err err = fd_table_unshare();

	if (err != OK || __atomic_load_n(&old->refs, __ATOMIC_RELAXED) == 1)
		return err;
	copy = signal_actions_copy(old);
	if (!copy)
		return ERR_NOMEM;
	spin_lock(&p->lock);
	p->sigactions = copy;
	spin_unlock(&p->lock);
	signal_actions_put(old);
	return OK;
}

static bool
is_only_thread(struct process *p)
{
	bool only;

	spin_lock(&p->lock);
	only = p->threads.next == p->threads.prev;
	spin_unlock(&p->lock);
	return only;
}

/* Ends the other threads and takes the leader's place. ERR_AGAIN: another thread was
 * first. */
static enum err
exec_end_others(struct process *p, struct thread *t)
{
	struct thread *old_leader;
	enum err err = OK;
	uint32_t tid = t->tid;

	if (p->num_threads == 1 && is_only_thread(p) && t == p->leader)
		return OK;
	spin_lock(&p->lock);
	if (p->is_exiting || p->exec_thread)
		err = ERR_AGAIN;
	else
		p->exec_thread = t;
	if (err == OK)
		signal_kick_all_locked(p, t, true);
	spin_unlock(&p->lock);
	if (err != OK)
		return err;
	wait_queue_wake_all(&p->stop_wait);
	err = wait_event(&p->exec_wait, is_only_thread(p), WAIT_KILLABLE, NO_TIMEOUT);
	spin_lock(&p->lock);
	p->exec_thread = NULL;
	spin_unlock(&p->lock);
	if (err != OK || t == p->leader)
		return err;

	process_rename_thread(t, p->pid);
	__atomic_fetch_and(&t->flags, ~(uint32_t)THREAD_OWNS_TID, __ATOMIC_RELAXED);
	spin_lock(&p->lock);
	old_leader = p->leader;
	p->leader = thread_get(t);
	spin_unlock(&p->lock);
	ptrace_forget(old_leader);
	thread_put(old_leader);
	tid_free(tid);
	return OK;
}

/* ---- After it: nothing fails
 * ------------------------------------------------------------------ */

static void
exec_switch_aspace(struct process *p, struct thread *t, struct aspace *new)
{
	struct aspace *old;

	thread_release_user_memory(t);
	spin_lock(&p->lock);
	old = p->aspace;
	p->aspace = new;
	t->aspace = new;
	aspace_switch(new); /* interrupts are off under the lock */
	spin_unlock(&p->lock);
	process_release_vfork(p);
	if (old) {
		p->max_resident = MAX(p->max_resident, old->peak_resident);
		aspace_put(old);
	}
}

static void
exec_set_name(struct process *p, struct thread *t, struct exec *e)
{
	const char *slash = strrchr(e->path, '/');
	char *old;

	strlcpy(t->name, slash ? slash + 1 : e->path, sizeof(t->name));
	spin_lock(&p->lock);
	old = p->exe_path;
	p->exe_path = e->path;
	spin_unlock(&p->lock);
	e->path = NULL;
	kfree(old);
}

/* A program with more rights than its caller does not get a stack of any size from him. */
static void
exec_limit_stack(struct process *p)
{
	enum { STACK_DEFAULT = 8 << 20 };
	struct rlimit *limit = &p->rlimits[RLIMIT_STACK];

	spin_lock(&p->lock);
	limit->cur = MIN(limit->cur, (uint64_t)STACK_DEFAULT);
	spin_unlock(&p->lock);
}

static void
exec_commit(struct exec *e)
{
	struct thread *t = current_thread();
	struct process *p = t->process;

	exec_switch_aspace(p, t, e->aspace);
	e->aspace = NULL;
	exec_set_name(p, t, e);
	fd_table_close_on_exec(t->fds);
	posix_timers_free(p);
	signal_actions_reset(p->sigactions);
	t->sig_altstack_size = 0;
	t->restart_fn = NULL;
	t->rseq = (struct thread_rseq){0};
	if (e->is_secure || e->is_private)
		t->pdeath_signal = 0;
	if (e->is_secure)
		exec_limit_stack(p);
	process_set_cred(p, e->cred);
	e->cred = NULL;
	p->exit_signal = SIGCHLD;
	p->has_execed = true;
	arch_thread_reset_user();
	e->frame.vector =
	    user_frame()->vector; /* it is still in the call, for a tracer */
	e->frame.error = user_frame()->error;
	*user_frame() = e->frame;
}

/* ---- The calls
 * ----------------------------------------------------------------------------------- */

/* With path and file in place. */
static enum err
exec_run(struct exec *e, const vaddr_t USER *argv, const vaddr_t USER *envp)
{
	struct process *p = current_process();
	uint32_t old_tid = current_thread()->tid;
	bool was_alone;
	enum err err = exec_strings_init(&e->strings, p->rlimits[RLIMIT_STACK].cur);

	if (err == OK)
		err = exec_strings_add_argv(&e->strings, argv);
	if (err == OK &&
	    !e->strings.argc) /* as Linux since 5.18: programs rely on argv[0] */
		err = exec_strings_add(&e->strings, "", false);
	if (err == OK)
		err = exec_strings_add_envp(&e->strings, envp);
	if (err == OK)
		err = exec_resolve(e);
	if (err == OK) {
		exec_begin(p, e);
		err = exec_make_cred(e);
	}
	if (err == OK)
		err = exec_load(e);
	was_alone = p->num_threads == 1;
	if (err == OK)
		err = exec_end_others(p, current_thread());
	if (err == OK) {
		err = exec_unshare(p);
		if (err != OK && !was_alone) /* not the process any more that it was */
			(void)signal_send_process(p, SIGKILL, NULL);
	}
	if (err == OK)
		exec_commit(e);
	if (e->has_begun)
		exec_end(p);
	if (err == OK)
		ptrace_exec(old_tid);
	return err;
}

static char *
path_from_user(const char USER *upath, enum err *err)
{
	char *path = kmalloc(PATH_MAX);
	long len = path ? strncpy_from_user(path, upath, PATH_MAX) : ERR_NOMEM;

	*err = len < 0 ? (enum err)len : OK;
	return path;
}

long
sys_execve(const char USER *upath, const vaddr_t USER *argv, const vaddr_t USER *envp)
{
	struct exec e = {0};
	enum err err;

	e.path = path_from_user(upath, &err);
	if (err == OK)
		err = *e.path ? file_open_exec(e.path, &e.file) : ERR_NOENT;
	if (err == OK)
		err = exec_run(&e, argv, envp);
	exec_fini(&e);
	return err;
}

long
sys_execveat(int dirfd, const char USER *upath, const vaddr_t USER *argv,
    const vaddr_t USER *envp, int flags)
{
	struct exec e = {0};
	char name[32] = "";
	enum err err;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return ERR_INVAL;
	e.path = path_from_user(upath, &err);
	if (err == OK)
		err = file_open_exec_at(dirfd, e.path, flags, &e.file);
	if (err == OK && dirfd != AT_FDCWD && e.path[0] != '/') {
		/* What a script's interpreter can open; the name also shows in ps. */
		size_t prefix = (size_t)scnprintf(
		    name, sizeof(name), *e.path ? "/dev/fd/%d/" : "/dev/fd/%d", dirfd);
		size_t len = strlen(e.path) + 1;

		if (prefix + len > PATH_MAX) {
			err = ERR_NAMETOOLONG;
		} else {
			memmove(e.path + prefix, e.path, len);
			memcpy(e.path, name, prefix);
		}
	}
	if (err == OK)
		err = exec_run(&e, argv, envp);
	exec_fini(&e);
	return err;
}
