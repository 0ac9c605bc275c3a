/*
 * unshare(2). A thread gets a table of descriptors, or a place in the file system, of its own; all else
 * can only be asked for where nothing is shared. There is one name space of each kind, so none can be
 * made; setns is in fs/proc_ns.c.
 */
#include "kernel/file.h"
#include "kernel/ipc/sysv_sem.h"
#include "kernel/proc/clone.h"
#include "kernel/proc/fdtable.h"
#include "kernel/proc/process.h"
#include "kernel/proc/signal_priv.h"
#include "mm/aspace.h"
#include "syscalls.h"

enum {
	UNSHARE_KNOWN = CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES |
	                CLONE_SYSVSEM | CLONE_NAMESPACES,
};

enum err
clone_namespaces_check(uint64_t flags)
{
	if (!(flags & CLONE_NAMESPACES))
		return OK;
	return flags & CLONE_NEWUSER || capable(CAP_SYS_ADMIN) ? ERR_INVAL : ERR_PERM;
}

struct search {
	const struct process *me;
	bool has_memory, has_handlers; /* another process does */
};

static bool
look_at(struct process *p, void *arg)
{
	struct search *s = arg;
	const struct process *me = s->me;

	if (p == me)
		return true;
	s->has_memory |= __atomic_load_n(&p->aspace, __ATOMIC_RELAXED) == me->aspace;
	s->has_handlers |=
	    __atomic_load_n(&p->sigactions, __ATOMIC_RELAXED) == me->sigactions;
	return true;
}

/* Whether processes that are still there share memory or handlers; not by the counts of references, which
 * readers in /proc and reaped processes have too. */
static struct search
sharers_of(const struct process *me)
{
	struct search s = {.me = me};

	if (__atomic_load_n(&me->aspace->refs, __ATOMIC_RELAXED) > 1 ||
	    __atomic_load_n(&me->sigactions->refs, __ATOMIC_RELAXED) > 1)
		process_for_each(look_at, &s);
	return s;
}

/* What follows from what: memory without its signal handlers cannot be, nor these without the thread
 * group, nor name spaces of mounts and users with a shared root directory. */
static uint64_t
implied(uint64_t flags)
{
	if (flags & CLONE_NEWUSER)
		flags |= CLONE_THREAD | CLONE_FS;
	if (flags & CLONE_VM)
		flags |= CLONE_SIGHAND;
	if (flags & CLONE_SIGHAND)
		flags |= CLONE_THREAD;
	if (flags & CLONE_NEWNS)
		flags |= CLONE_FS;
	return flags;
}

/* There must be nothing to part from where parting is not done. */
static enum err
unshare_check(struct process *p, uint64_t flags)
{
	struct search others;

	if (flags & ~(uint64_t)UNSHARE_KNOWN)
		return ERR_INVAL;
	if ((flags & CLONE_THREAD) && p->num_threads > 1)
		return ERR_INVAL;
	if (flags & CLONE_SIGHAND) {
		others = sharers_of(p);
		if (others.has_handlers || ((flags & CLONE_VM) && others.has_memory))
			return ERR_INVAL;
	}
	return clone_namespaces_check(flags);
}

long
sys_unshare(uint64_t flags)
{
	struct process *p = current_process();
	struct fs_context *fs = NULL;
	enum err err;

	flags = implied(flags);
	err = unshare_check(p, flags);
	if (err != OK)
		return err;
	if ((flags & CLONE_FS) && fs_context_is_shared(current_thread()->fs, 1)) {
		fs = fs_context_copy(current_thread()->fs);
		if (!fs)
			return ERR_NOMEM;
	}
	err = flags & CLONE_FILES ? fd_table_unshare() : OK;
	if (err == OK && fs)
		fs = thread_replace_fs(fs);
	if (fs)
		fs_context_leave(fs);
	if (err == OK && (flags & CLONE_SYSVSEM) && p->num_threads == 1)
		sysv_sem_exit(p);
	return err;
}
