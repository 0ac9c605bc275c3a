/*
 * Programs that nobody's exec starts: process 1, and helpers that the kernel itself runs.
 */
#include "kernel/proc/exec_priv.h"

#define LOG_PREFIX "exec: "

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/log.h"
#include "kernel/proc/fdtable.h"
#include "kernel/proc/helper.h"
#include "kernel/proc/proc_priv.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"

/* ---- The first process
 * ------------------------------------------------------------------------------ */

static void
rlimits_default(struct process *p)
{
	static const struct {
		uint8_t which;
		struct rlimit limit;
	} some[] = {
	    {RLIMIT_STACK, {8 << 20, RLIM_INFINITY}},
	    {RLIMIT_CORE, {0, RLIM_INFINITY}},
	    {RLIMIT_NOFILE, {1024, 4096}},
	    {RLIMIT_MEMLOCK, {8 << 20, 8 << 20}},
	    {RLIMIT_NPROC, {30000, 30000}},
	    {RLIMIT_SIGPENDING, {30000, 30000}},
	    {RLIMIT_MSGQUEUE, {819200, 819200}},
	    {RLIMIT_NICE, {0, 0}},
	    {RLIMIT_RTPRIO, {0, 0}},
	};

	for (unsigned i = 0; i < RLIMITS; i++)
		p->rlimits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	for (unsigned i = 0; i < ARRAY_SIZE(some); i++)
		p->rlimits[some[i].which] = some[i].limit;
}

static enum err
init_open_console(struct fd_table *fds)
{
	struct file *console;
	enum err err = file_open("/dev/console", O_RDWR, 0, &console);

	if (err != OK) {
		log_warn("init: no /dev/console (error %d): started without it", err);
		return OK;
	}
	for (unsigned fd = 0; fd < 3 && err == OK; fd++)
		err = fd_table_replace(fds, console, fd, false);
	file_put(console);
	return err;
}

/* What every process has, with all rights and no files. */
static enum err
process_make_parts(struct process *p, struct thread_files *files)
{
	rlimits_default(p);
	p->cred = cred_get(&cred_root);
	p->sigactions = signal_actions_create();
	files->fds = fd_table_create();
	files->fs = fs_context_copy(fs_init_context);
	return files->fds && files->fs && p->sigactions ? OK : ERR_NOMEM;
}

static enum err
exec_load_first(
    struct exec *e, const char *path, const char *const argv[], const char *const envp[])
{
	enum err err = exec_strings_init(&e->strings, 8 << 20);

	e->path = kstrdup(path);
	if (!e->path)
		return ERR_NOMEM;
	for (; err == OK && *argv; argv++)
		err = exec_strings_add(&e->strings, *argv, false);
	for (; err == OK && *envp; envp++)
		err = exec_strings_add(&e->strings, *envp, true);
	if (err == OK)
		err = file_open_exec(path, &e->file);
	if (err == OK)
		err = exec_resolve(e);
	if (err == OK) {
		e->cred = cred_get(&cred_root);
		err = exec_load(e);
	}
	return err;
}

/* Enters the finished process, which gets `files`, into the tables; thread_start lets it go. */
static enum err
process_enter(struct process *p, struct exec *e, struct thread_files *files,
    struct process *parent, struct thread **out)
{
	const char *slash = strrchr(e->path, '/');
	struct thread *t =
	    thread_create_user(p, slash ? slash + 1 : e->path, &e->frame, p->pid);

	if (!t)
		return ERR_NOMEM;
	list_init(&t->sig_queue);
	t->fds = files->fds;
	t->fs = files->fs;
	*files = (struct thread_files){0};
	p->aspace = t->aspace = e->aspace;
	e->aspace = NULL;
	p->leader = thread_get(t);
	p->exe_path = e->path;
	e->path = NULL;
	if (!parent)
		init_process = p;
	process_add_thread(p, t);
	process_publish(p, parent);
	*out = t;
	return OK;
}

enum err
process_start_init(const char *path, const char *const argv[], const char *const envp[])
{
	struct process *p = process_create();
	struct thread_files files = {0};
	struct exec e = {0};
	struct thread *t;
	enum err err;

	if (!p)
		return ERR_NOMEM;
	err = exec_load_first(&e, path, argv, envp);
	if (err == OK)
		err = process_make_parts(p, &files);
	if (err == OK)
		err = init_open_console(files.fds);
	if (err == OK) {
		p->pid = 1; /* kept for it: tid_alloc */
		err = session_start_first(p);
	}
	if (err == OK)
		err = process_enter(p, &e, &files, NULL, &t);
	exec_fini(&e);
	thread_files_drop(&files);
	if (err != OK) {
		process_put(p);
		return err;
	}
	thread_start(t);
	thread_put(t);
	return OK;
}

/* ---- Helpers ----------------------------------------------------------------------- */

struct helper {
	const char *path;
	const char *const *argv;
	struct file *input;
	enum err err;
};

static enum err
helper_make(
    struct process *p, struct exec *e, const struct helper *h, struct thread **out)
{
	static const char *const no_env[] = {NULL};
	struct thread_files files = {0};
	enum err err = exec_load_first(e, h->path, h->argv, no_env);

	if (err == OK)
		err = process_make_parts(p, &files);
	if (err == OK)
		err = fd_table_replace(files.fds, h->input, 0, false);
	p->rlimits[RLIMIT_CORE] = (struct rlimit){1, 1};
	p->is_helper = true;
	if (err == OK)
		err = process_enter(p, e, &files, init_process, out);
	thread_files_drop(&files);
	return err;
}

/* On a thread of the kernel's own: rights and root directory are not those of the process
 * for which the helper is wanted. */
static void
helper_main(void *arg)
{
	struct helper *h = arg;
	struct process *p = process_create();
	struct exec e = {0};
	struct thread *t;

	h->err = ERR_NOMEM;
	if (!p)
		return;
	p->pid = tid_alloc();
	if (p->pid)
		h->err = helper_make(p, &e, h, &t);
	exec_fini(&e);
	if (h->err != OK) {
		if (p->pid)
			tid_free(p->pid);
		process_put(p);
		return;
	}
	(void)session_start_first(p); /* no memory: it stays in process 1's */
	thread_start(t);
	thread_put(t);
}

enum err
helper_start(const char *path, const char *const argv[], struct file *input)
{
	struct helper h = {.path = path, .argv = argv, .input = input};
	struct thread *t = thread_create_kernel("helper", helper_main, &h);

	if (!t)
		return ERR_NOMEM;
	thread_start(t);
	thread_join(t);
	thread_put(t);
	return h.err;
}
