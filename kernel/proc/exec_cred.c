/*
 * What a program may do: the new credentials of an exec, from the caller's and from what the file
 * gives: set-id bits and capabilities (capabilities(7), "Transformation of capabilities during
 * execve()" and "Capabilities and execution of programs by root"; credentials(7)). Who is traced,
 * shares its directory or has given up on privileges gains none.
 */
#include "kernel/proc/exec_priv.h"

#include "kernel/file.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"

static bool
is_subset(uint64_t set, uint64_t of)
{
	return !(set & ~of);
}

/*
 * What the file gives, and what user id 0 gives without asking the file. *is_effective: the new
 * permitted set is in effect at once. ERR_PERM: a program that would not know what it lacks.
 */
static enum err
take_capabilities(struct cred *new, const struct cred *old, const struct file_caps *f,
    bool *is_effective)
{
	bool is_set_root = new->euid == 0 && new->uid != 0;

	*is_effective = f->is_effective;
	new->cap_permitted =
	    (old->cap_bounding & f->permitted) | (old->cap_inheritable & f->inheritable);
	if (f->is_effective && !is_subset(f->permitted, new->cap_permitted))
		return ERR_PERM;
	/* A set-user-id program of root's with capabilities of its own has these alone. */
	if ((old->securebits & SECBIT_NOROOT) || (f->is_there && is_set_root))
		return OK;
	if (new->euid == 0 || new->uid == 0)
		new->cap_permitted = old->cap_bounding | old->cap_inheritable;
	if (new->euid == 0)
		*is_effective = true;
	return OK;
}

/* Whether others than threads of this process could change its directories under the program. */
static bool
directory_is_shared(struct process *p)
{
	const struct fs_context *fs = current_thread()->fs;
	const struct thread *t;
	unsigned n = 0;
	bool is_shared;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		n += t->fs == fs;
	is_shared = fs_context_is_shared(fs, n);
	spin_unlock(&p->lock);
	return is_shared;
}

/* Whether somebody would gain with it what the program gains, or it must not. */
static bool
is_unsafe(struct process *p)
{
	return p->no_new_privs || !ptrace_exec_is_safe() || directory_is_shared(p);
}

static bool
is_privileged(
    const struct cred *new, const struct cred *old, bool is_changed, bool is_effective)
{
	if (is_changed || new->euid != old->uid || new->egid != old->gid)
		return true;
	return new->uid != 0 &&
	       (is_effective || !is_subset(new->cap_permitted, new->cap_ambient));
}

/* Whether users may not look into the process: what Linux asks the old and the new rights. */
static bool
is_private(const struct cred *new, const struct cred *old)
{
	return old->euid != old->uid || old->egid != old->gid || new->euid != old->euid ||
	       new->egid != old->egid || new->fsuid != old->fsuid ||
	       new->fsgid != old->fsgid ||
	       !is_subset(new->cap_permitted, old->cap_permitted);
}

/* e->cred is `new`, a copy of `old`. */
static enum err
transform(struct exec *e, struct process *p, const struct cred *old, struct cred *new)
{
	struct file_caps caps;
	bool is_changed, is_effective;
	enum err err;

	if (!p->no_new_privs)
		file_exec_ids(e->file, &new->euid, &new->egid);
	err = file_exec_caps(e->file, &caps);
	if (err == OK)
		err = take_capabilities(new, old, &caps, &is_effective);
	if (err != OK)
		return err;
	is_changed = new->euid != old->euid || !cred_in_group(old, new->egid);
	e->gains_caps = !is_subset(new->cap_permitted, old->cap_permitted);
	if ((is_changed || e->gains_caps) && is_unsafe(p)) {
		if (p->no_new_privs || !capable(CAP_SETUID)) {
			new->euid = new->uid;
			new->egid = new->gid;
		}
		new->cap_permitted &= old->cap_permitted;
	}
	new->suid = new->fsuid = new->euid;
	new->sgid = new->fsgid = new->egid;
	if (caps.is_there || is_changed)
		new->cap_ambient = 0;
	new->cap_permitted |= new->cap_ambient;
	new->cap_effective = is_effective ? new->cap_permitted : new->cap_ambient;
	new->securebits &= ~(uint32_t)SECBIT_KEEP_CAPS;
	e->is_secure = is_privileged(new, old, is_changed, is_effective);
	e->is_private = is_private(new, old);
	return OK;
}

enum err
exec_make_cred(struct exec *e)
{
	struct process *p = current_process();
	struct cred *old = process_cred(p), *new = cred_copy(old);
	enum err err = ERR_NOMEM;

	e->cred = new;
	if (new)
		err = transform(e, p, old, new);
	cred_put(old);
	return err;
}
