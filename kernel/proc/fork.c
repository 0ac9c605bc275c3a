/*
 * fork, vfork, clone, clone3: one path. Everything the child needs is made first, which
 * may fail and changes nothing; then it is entered into the tables and started.
 */
#include "kernel/file.h"
#include "kernel/proc/clone.h"
#include "kernel/proc/pidfd.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/x86/context.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

#define CLONE_SUPPORTED \
	((uint64_t)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | \
	            CLONE_PARENT | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | \
	            CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED | \
	            CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_PTRACE | CLONE_PIDFD | \
	            CLONE_NAMESPACES) | \
	    CLONE_IO | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)

/* What is asked for, in one form for all the calls. */
struct clone_spec {
	uint64_t flags;
	int exit_signal;
	vaddr_t stack; /* its top; 0: where the parent's is */
	vaddr_t tls;
	uint32_t USER *parent_tid, *child_tid;
	int USER *pidfd;   /* CLONE_PIDFD */
	uint32_t num_tids; /* 1: `tid` is asked for */
	int32_t tid;
};

/* The number that is asked for, if one is. One for each name space that there is: this one. */
static enum err
clone_check_tid(const struct clone_spec *c)
{
	if (!c->num_tids)
		return OK;
	if (c->num_tids > 1 || c->tid < 1 || (uint32_t)c->tid >= tid_max())
		return ERR_INVAL;
	return capable(CAP_CHECKPOINT_RESTORE) || capable(CAP_SYS_ADMIN) ? OK : ERR_PERM;
}

static enum err
clone_check(const struct clone_spec *c)
{
	uint64_t flags = c->flags;
	enum err err;

	if (flags & ~CLONE_SUPPORTED)
		return ERR_INVAL;
	if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
		return ERR_INVAL;
	if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
		return ERR_INVAL;
	if ((flags & CLONE_SIGHAND) && (flags & CLONE_CLEAR_SIGHAND))
		return ERR_INVAL;
	if ((flags & CLONE_FS) && (flags & (CLONE_NEWNS | CLONE_NEWUSER)))
		return ERR_INVAL;
	if ((flags & CLONE_PARENT) && current_process() == init_process)
		return ERR_INVAL;
	if (c->exit_signal < 0 || c->exit_signal > NSIG)
		return ERR_INVAL;
	if ((flags & CLONE_PIDFD) && (flags & (CLONE_THREAD | CLONE_DETACHED)))
		return ERR_INVAL;
	if ((flags & CLONE_PIDFD) && (flags & CLONE_PARENT_SETTID) &&
	    (vaddr_t)c->pidfd == (vaddr_t)c->parent_tid)
		return ERR_INVAL;
	if ((flags & CLONE_SETTLS) && c->tls >= USER_SPACE_END)
		return ERR_PERM;
	if (flags & CLONE_INTO_CGROUP) /* no descriptor is of a control group */
		return ERR_BADF;
	err = clone_namespaces_check(flags);
	return err == OK ? clone_check_tid(c) : err;
}

/* The number of what is made. ERR_EXIST: the one asked for is in use; ERR_AGAIN: all are. */
static enum err
clone_tid(const struct clone_spec *c, uint32_t *tid)
{
	if (c->num_tids) {
		*tid = (uint32_t)c->tid;
		return tid_take(*tid) ? OK : ERR_EXIST;
	}
	*tid = tid_alloc();
	return *tid ? OK : ERR_AGAIN;
}

static void
process_copy_attributes(
    struct process *p, struct process *parent, const struct clone_spec *c)
{
	p->exit_signal =
	    c->flags & CLONE_PARENT ? parent->exit_signal : (uint8_t)c->exit_signal;
	p->personality = parent->personality;
	p->oom_score_adj = parent->oom_score_adj;
	p->oom_score_adj_min = parent->oom_score_adj_min;
	p->creator_tid = current_thread()->tid;
	p->no_new_privs = parent->no_new_privs;
	p->cred = process_cred(parent);
	spin_lock(&parent->lock);
	memcpy(p->rlimits, parent->rlimits, sizeof(p->rlimits));
	spin_unlock(&parent->lock);
}

/* The parts that are shared or copied; what was made is the process's, for process_put to
 * drop. */
static enum err
process_copy_parts(struct process *p, struct process *parent, uint64_t flags)
{
	p->sigactions = flags & CLONE_SIGHAND ? signal_actions_get(parent->sigactions)
	                                      : signal_actions_copy(parent->sigactions);
	if (!p->sigactions)
		return ERR_NOMEM;
	if (flags & CLONE_CLEAR_SIGHAND)
		signal_actions_reset(p->sigactions);
	p->aspace =
	    flags & CLONE_VM ? aspace_get(parent->aspace) : aspace_fork(parent->aspace);
	return p->aspace ? OK : ERR_NOMEM;
}

/* The child is traced when its making is an event for the tracer, or CLONE_PTRACE says so. */
static bool
clone_is_traced(const struct clone_spec *c)
{
	return ptrace_fork_kind(c->flags, c->exit_signal) ||
	       ((c->flags & CLONE_PTRACE) && is_traced(current_thread()));
}

/* What a thread has of files: shared with its maker, or a copy. On an error a part of it, to be
 * dropped. ERR_AGAIN: an exec has looked whether its directory is shared (exec_cred.c). */
static enum err
clone_files(struct thread_files *files, uint64_t flags)
{
	const struct thread *t = current_thread();

	files->fs = flags & CLONE_FS ? fs_context_share(t->fs) : fs_context_copy(t->fs);
	files->fds = flags & CLONE_FILES ? fd_table_get(t->fds) : fd_table_copy(t->fds);
	if (!files->fs || !files->fds)
		return ERR_NOMEM;
	return (flags & CLONE_FS) &&
	               __atomic_load_n(&t->process->num_execs, __ATOMIC_SEQ_CST)
	           ? ERR_AGAIN
	           : OK;
}

/* The thread that returns from the call in the child; not yet in any table. It takes the
 * files. From here the making does not fail. */
static struct thread *
clone_thread(struct process *p, const struct clone_spec *c, struct thread_files *files,
    uint32_t tid)
{
	struct thread *parent = current_thread(), *t;
	struct trap_frame frame = *user_frame();
	struct trace *trace = NULL;

	frame.rax = 0;
	if (c->stack)
		frame.rsp = c->stack;
	if (parent->trace && parent->trace->is_step_forced)
		frame.rflags &= ~(uint64_t)RFLAGS_TF;
	if (clone_is_traced(c) && !(trace = trace_create()))
		return NULL;
	t = thread_create_user(p, parent->name, &frame, tid);
	if (!t) {
		kfree(trace);
		return NULL;
	}
	t->fds = files->fds;
	t->fs = files->fs;
	*files = (struct thread_files){0};
	t->aspace = p->aspace;
	t->sig_blocked = parent->sig_blocked;
	t->mem_policy = parent->mem_policy;
	t->mem_nodes = parent->mem_nodes;
	list_init(&t->sig_queue);
	if (!(c->flags & CLONE_VM) || (c->flags & CLONE_VFORK)) {
		t->sig_altstack_sp = parent->sig_altstack_sp;
		t->sig_altstack_size = parent->sig_altstack_size;
		t->sig_altstack_flags = parent->sig_altstack_flags;
	}
	if (!(c->flags & CLONE_VM))
		t->rseq = parent->rseq;
	if (c->flags & CLONE_SETTLS)
		t->fs_base = c->tls;
	if (c->flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = c->child_tid;
	if (c->flags & CLONE_CHILD_SETTID) {
		/* Written by the thread itself, in its own address space: signal_deliver.
		 */
		t->set_child_tid = c->child_tid;
		__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	}
	if (trace)
		ptrace_attach_child(t, trace);
	return t;
}

static void
clone_tell_parent(const struct clone_spec *c, uint32_t tid)
{
	if (c->flags & CLONE_PARENT_SETTID)
		(void)put_user(
		    tid, c->parent_tid); /* too late to fail: Linux ignores it too */
}

static long
clone_new_thread(const struct clone_spec *c)
{
	struct process *p = current_process();
	int event = ptrace_fork_kind(c->flags, c->exit_signal);
	struct thread_files files;
	struct thread *t = NULL;
	uint32_t tid;
	enum err err = clone_tid(c, &tid);

	if (err != OK)
		return err;
	if (clone_files(&files, c->flags) == OK)
		t = clone_thread(p, c, &files, tid);
	if (!t) {
		thread_files_drop(&files);
		tid_free(tid);
		return ERR_AGAIN;
	}
	clone_tell_parent(c, tid);
	process_add_thread(p, t);
	/* An exec or exit may have begun: the new thread must not miss it. */
	if (signal_is_fatal_pending(t))
		__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	thread_start(t);
	thread_put(t);
	if (event)
		ptrace_event(event, tid);
	return (long)tid;
}

static enum err
nproc_check(const struct process *parent)
{
	/* RLIMIT_NPROC counts a user's processes; only a limit of our own number is cheap
	 * to keep. */
	return parent->rlimits[RLIMIT_NPROC].cur == 0 && !capable(CAP_SYS_RESOURCE)
	           ? ERR_AGAIN
	           : OK;
}

static void
vfork_wait(struct process *child)
{
	(void)wait_event(&child->vfork_wait,
	    !__atomic_load_n(&child->is_vfork_child, __ATOMIC_ACQUIRE), WAIT_KILLABLE,
	    NO_TIMEOUT); /* killed: the caller dies on its way out */
}

/* CLONE_PIDFD: the descriptor, which the child's copy of the table does not have; -1 if none
 * is wanted, or an err. */
static long
clone_pidfd(struct process *p, const struct clone_spec *c)
{
	long fd;
	int number;

	if (!(c->flags & CLONE_PIDFD))
		return -1;
	fd = pidfd_install(p, 0);
	if (fd < 0)
		return fd;
	number = (int)fd;
	if (put_user(number, c->pidfd) == OK)
		return fd;
	(void)fd_close(number); /* it is there: or another thread has closed it */
	return ERR_FAULT;
}

/* What is shared or copied, and the thread; *fd: clone_pidfd. */
static enum err
clone_parts(struct process *p, const struct clone_spec *c, struct thread **t, long *fd)
{
	struct thread_files files = {0};
	enum err err = process_copy_parts(p, current_process(), c->flags);

	if (err == OK)
		err = clone_files(&files, c->flags);
	if (err == OK) {
		*fd = clone_pidfd(p, c); /* not in the copy */
		err = *fd < -1 ? (enum err) * fd : OK;
	}
	if (err == OK) {
		*t = clone_thread(p, c, &files, p->pid);
		err = *t ? OK : ERR_AGAIN;
		if (!*t && *fd >= 0)
			(void)fd_close((int)*fd); /* or another thread has closed it */
	}
	thread_files_drop(&files);
	return err;
}

static long
clone_new_process(const struct clone_spec *c)
{
	struct process *parent = current_process(), *p;
	struct thread *t = NULL;
	enum err err = nproc_check(parent);
	long fd;
	int event = ptrace_fork_kind(c->flags, c->exit_signal);
	uint32_t pid;

	if (err != OK)
		return err;
	p = process_create();
	if (!p)
		return ERR_NOMEM;
	err = clone_tid(c, &p->pid);
	if (err != OK) {
		process_put(p);
		return err;
	}
	process_copy_attributes(p, parent, c);
	err = clone_parts(p, c, &t, &fd);
	if (err != OK) {
		tid_free(p->pid);
		process_put(p);
		return err;
	}
	pid = p->pid;
	p->leader = thread_get(t);
	p->is_vfork_child = c->flags & CLONE_VFORK;
	clone_tell_parent(c, pid);
	process_add_thread(p, t);
	process_publish(p, c->flags & CLONE_PARENT ? parent->parent : parent);
	if (c->flags & CLONE_VFORK)
		process_get(p);
	thread_start(t);
	thread_put(t);
	if (event)
		ptrace_event(event, pid);
	if (c->flags & CLONE_VFORK) {
		vfork_wait(p);
		process_put(p);
		ptrace_event(PTRACE_EVENT_VFORK_DONE, pid);
	}
	return (long)pid;
}

static long
clone_do(const struct clone_spec *c)
{
	enum err err = clone_check(c);

	if (err != OK)
		return err;
	/* A signal that is already there is taken by the parent alone, before there are
	 * two. */
	if (signal_is_pending(current_thread()))
		return ERR_RESTARTNOINTR;
	return c->flags & CLONE_THREAD ? clone_new_thread(c) : clone_new_process(c);
}

long
sys_fork(void)
{
	const struct clone_spec c = {.exit_signal = SIGCHLD};

	return clone_do(&c);
}

long
sys_vfork(void)
{
	const struct clone_spec c = {
	    .flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};

	return clone_do(&c);
}

long
sys_clone(uint64_t flags, vaddr_t stack, uint32_t USER *parent_tid,
    uint32_t USER *child_tid, uint64_t tls)
{
	const struct clone_spec c = {
	    .flags = flags & 0xffffffff & ~(uint64_t)CSIGNAL,
	    .exit_signal = (int)(flags & CSIGNAL),
	    .stack = stack,
	    .tls = tls,
	    .parent_tid = parent_tid,
	    .child_tid = child_tid,
	    .pidfd = (int USER *)parent_tid, /* so the two exclude each other */
	};

	return clone_do(&c);
}

/* Linux's struct clone_args, version 0 and what later ones added. */
struct clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

enum { CLONE_ARGS_SIZE_VER0 = 64, CLONE_ARGS_SIZE_VER2 = 88, SET_TIDS_MAX = 32 };

/* The structure, of which the caller knows `size` bytes. */
static enum err
clone_args_get(struct clone_args *a, const struct clone_args USER *uargs, size_t size)
{
	if (size < CLONE_ARGS_SIZE_VER0)
		return ERR_INVAL;
	if (size > PAGE_SIZE)
		return ERR_2BIG;
	if (copy_from_user(a, uargs, MIN(size, sizeof(*a))) != OK)
		return ERR_FAULT;
	/* A longer structure is a newer one: what is not known here must be zero. */
	for (size_t i = sizeof(*a); i < size; i++) {
		uint8_t byte;

		if (get_user(byte, (const uint8_t USER *)uargs + i) != OK)
			return ERR_FAULT;
		if (byte)
			return ERR_2BIG;
	}
	if ((a->flags & CLONE_INTO_CGROUP) &&
	    (a->cgroup > INT32_MAX || size < CLONE_ARGS_SIZE_VER2))
		return ERR_INVAL;
	return OK;
}

static enum err
clone_args_check(const struct clone_args *a)
{
	if (a->set_tid_size > SET_TIDS_MAX || !a->set_tid != !a->set_tid_size ||
	    a->exit_signal > NSIG ||
	    (a->flags & ((CSIGNAL & ~CLONE_NEWTIME) | CLONE_DETACHED)) ||
	    !a->stack != !a->stack_size ||
	    !user_range_ok((const void USER *)a->stack, a->stack_size))
		return ERR_INVAL;
	if ((a->flags & (CLONE_THREAD | CLONE_PARENT)) && a->exit_signal)
		return ERR_INVAL;
	return OK;
}

long
sys_clone3(const struct clone_args USER *uargs, size_t size)
{
	struct clone_args a = {0};
	int32_t tids[SET_TIDS_MAX] = {0};
	struct clone_spec c;
	enum err err = clone_args_get(&a, uargs, size);

	if (err == OK)
		err = clone_args_check(&a);
	if (err == OK)
		err = copy_from_user(tids, (const int32_t USER *)a.set_tid,
		    a.set_tid_size * sizeof(tids[0]));
	if (err != OK)
		return err;
	c = (struct clone_spec){
	    .flags = a.flags,
	    .exit_signal = (int)a.exit_signal,
	    .stack = a.stack + a.stack_size,
	    .tls = a.tls,
	    .parent_tid = (uint32_t USER *)a.parent_tid,
	    .child_tid = (uint32_t USER *)a.child_tid,
	    .pidfd = (int USER *)a.pidfd,
	    .num_tids = (uint32_t)a.set_tid_size,
	    .tid = tids[0],
	};
	return clone_do(&c);
}

long
sys_set_tid_address(uint32_t USER *tidptr)
{
	current_thread()->clear_child_tid = tidptr;
	return (long)current_thread()->tid;
}
