/*
 * Process groups and sessions, and what terminals need of them. All under proc_tree_lock:
 * a group lives while it has members (zombies count), a session while it has groups. A
 * pid is free again when no process, group or session has the number.
 */
#include "kernel/proc/session.h"

#include "kernel/proc/proc_priv.h"
#include "mm/slab.h"
#include "syscalls.h"

enum { PGROUP_HASH = 4096 };

static struct list pgroup_hash[PGROUP_HASH];  /* [tree] */
static struct list session_hash[PGROUP_HASH]; /* [tree] */

void (*session_leader_exited)(struct tty *tty);
void (*session_tty_describe)(struct tty *tty, uint32_t *dev, int *fg_pgid);

void
session_init(void)
{
	for (unsigned i = 0; i < PGROUP_HASH; i++) {
		list_init(&pgroup_hash[i]);
		list_init(&session_hash[i]);
	}
}

struct pgroup *
pgroup_find_locked(uint32_t pgid)
{
	struct pgroup *g;

	list_for_each(g, &pgroup_hash[pgid % PGROUP_HASH], hash_link)
		if (g->pgid == pgid)
			return g;
	return NULL;
}

static struct session *
session_find_locked(uint32_t sid)
{
	struct session *s;

	list_for_each(s, &session_hash[sid % PGROUP_HASH], hash_link)
		if (s->sid == sid)
			return s;
	return NULL;
}

void
pid_release_locked(uint32_t pid)
{
	if (!process_find_locked(pid) && !pgroup_find_locked(pid) &&
	    !session_find_locked(pid))
		tid_free(pid);
}

/* `s` NULL: a new session, the caller's `fresh`, is meant. */
static void
pgroup_start_locked(struct pgroup *g, uint32_t pgid, struct session *s)
{
	g->pgid = pgid;
	g->session = s;
	s->num_groups++;
	list_init(&g->members);
	list_push_front(&pgroup_hash[pgid % PGROUP_HASH], &g->hash_link);
}

void
pgroup_join_locked(struct process *p, struct pgroup *g)
{
	p->pgroup = g;
	list_push_back(&g->members, &p->pgroup_link);
}

void
pgroup_leave_locked(struct process *p)
{
	struct pgroup *g = p->pgroup;
	struct session *s = g->session;

	list_remove(&p->pgroup_link);
	p->pgroup = NULL;
	if (!list_is_empty(&g->members))
		return;
	list_remove(&g->hash_link);
	if (g->pgid != p->pid)
		pid_release_locked(g->pgid);
	kfree(g);
	if (--s->num_groups)
		return;
	list_remove(&s->hash_link);
	if (s->sid != p->pid)
		pid_release_locked(s->sid);
	kfree(s);
}

/* Moves `p` to a session and group of its own; both objects are given. */
static void
session_start_locked(struct process *p, struct pgroup *g, struct session *s)
{
	*s = (struct session){.sid = p->pid};
	list_push_front(&session_hash[s->sid % PGROUP_HASH], &s->hash_link);
	pgroup_start_locked(g, p->pid, s);
	if (p->pgroup)
		pgroup_leave_locked(p);
	pgroup_join_locked(p, g);
}

enum err
session_start_first(struct process *p)
{
	struct session *s = kmalloc(sizeof(*s));
	struct pgroup *g = kmalloc(sizeof(*g));

	if (!s || !g) {
		kfree(s);
		kfree(g);
		return ERR_NOMEM;
	}
	spin_lock(&proc_tree_lock);
	session_start_locked(p, g, s);
	spin_unlock(&proc_tree_lock);
	return OK;
}

/* ---- Orphans and hang-up
 * --------------------------------------------------------------- */

/* No member but `except` has a parent in another group of the same session (POSIX
 * XBD 3.265). */
bool
pgroup_is_orphaned_locked(const struct pgroup *g, const struct process *except)
{
	struct process *p;

	list_for_each(p, &g->members, pgroup_link) {
		if (p == except || p->is_zombie || !p->parent ||
		    p->parent == init_process)
			continue;
		if (p->parent->pgroup != g && p->parent->pgroup->session == g->session)
			return false;
	}
	return true;
}

static void
pgroup_hangup_if_stopped_locked(struct pgroup *g)
{
	struct process *p;
	bool has_stopped = false;

	list_for_each(p, &g->members, pgroup_link)
		has_stopped |= p->is_stopped && !p->is_zombie;
	if (!has_stopped)
		return;
	(void)signal_send_pgroup_locked(g->pgid, SIGHUP, NULL);
	(void)signal_send_pgroup_locked(g->pgid, SIGCONT, NULL);
}

void
pgroup_check_orphans_locked(struct process *p)
{
	struct process *child;

	if (p->parent && p->parent->pgroup != p->pgroup &&
	    p->parent->pgroup->session == p->pgroup->session &&
	    pgroup_is_orphaned_locked(p->pgroup, p))
		pgroup_hangup_if_stopped_locked(p->pgroup);
	list_for_each(child, &p->children, sibling_link) {
		struct pgroup *g = child->pgroup;

		/* Its parent is p until now: not orphaned by that alone; it will be by
		 * another. */
		if (g != p->pgroup && g->session == p->pgroup->session &&
		    pgroup_is_orphaned_locked(g, child))
			pgroup_hangup_if_stopped_locked(g);
	}
}

void
session_leader_exit(struct process *p)
{
	struct tty *tty = NULL;
	struct session *s;
	uint32_t old_fg = 0;

	rcu_read_lock(); /* the terminal may be on its way out */
	spin_lock(&proc_tree_lock);
	s = p->pgroup->session;
	if (s->sid == p->pid) {
		tty = s->tty;
		old_fg = s->hangup_pgid;
		s->tty = NULL;
		s->hangup_pgid = 0;
	}
	spin_unlock(&proc_tree_lock);
	if (tty && session_leader_exited)
		session_leader_exited(tty);
	rcu_read_unlock();
	if (!tty && old_fg) {
		(void)signal_send_pgroup(old_fg, SIGHUP, NULL); /* may be gone */
		(void)signal_send_pgroup(old_fg, SIGCONT, NULL);
	}
}

/* ---- For terminals
 * --------------------------------------------------------------------- */

uint32_t
session_current_sid(void)
{
	return process_sid(current_process());
}

uint32_t
session_current_pgid(void)
{
	return process_pgid(current_process());
}

bool
session_current_is_leader(void)
{
	return session_current_sid() == current_process()->pid;
}

struct tty *
session_current_tty(void)
{
	struct tty *tty;

	spin_lock(&proc_tree_lock);
	tty = current_process()->pgroup->session->tty;
	spin_unlock(&proc_tree_lock);
	return tty;
}

enum err
session_attach_tty(struct tty *tty)
{
	struct process *p = current_process();
	enum err err = ERR_PERM;

	spin_lock(&proc_tree_lock);
	if (p->pgroup->session->sid == p->pid && !p->pgroup->session->tty) {
		p->pgroup->session->tty = tty;
		err = OK;
	}
	spin_unlock(&proc_tree_lock);
	return err;
}

void
session_detach_tty(uint32_t sid)
{
	struct session *s;

	spin_lock(&proc_tree_lock);
	s = session_find_locked(sid);
	if (s)
		s->tty = NULL;
	spin_unlock(&proc_tree_lock);
}

void
session_hangup(uint32_t sid, uint32_t fg_pgid)
{
	struct process *leader;
	struct session *s;

	spin_lock(&proc_tree_lock);
	s = session_find_locked(sid);
	if (s) {
		s->tty = NULL;
		s->hangup_pgid = fg_pgid;
	}
	leader = s ? process_find(sid) : NULL;
	spin_unlock(&proc_tree_lock);
	if (!leader)
		return;
	(void)signal_send_process(leader, SIGHUP, NULL); /* may be a zombie by now */
	(void)signal_send_process(leader, SIGCONT, NULL);
	process_put(leader);
}

void
session_tty_numbers(struct process *p, uint32_t *dev, int *fg_pgid)
{
	struct tty *tty;

	*dev = 0;
	*fg_pgid = -1;
	rcu_read_lock();
	spin_lock(&proc_tree_lock);
	tty = p->pgroup ? p->pgroup->session->tty : NULL;
	spin_unlock(&proc_tree_lock);
	if (tty && session_tty_describe)
		session_tty_describe(tty, dev, fg_pgid);
	rcu_read_unlock();
}

bool
session_has_pgroup(uint32_t sid, uint32_t pgid)
{
	struct pgroup *g;
	bool result;

	spin_lock(&proc_tree_lock);
	g = pgroup_find_locked(pgid);
	result = g && g->session->sid == sid;
	spin_unlock(&proc_tree_lock);
	return result;
}

enum err
session_check_access(uint32_t sid, uint32_t fg_pgid, int sig)
{
	struct process *p = current_process();
	bool is_deaf = current_thread()->sig_blocked & SIGMASK(sig);
	enum err err;

	is_deaf |= signal_action_of(p, sig).handler == SIG_IGN;
	spin_lock(&proc_tree_lock);
	if (p->pgroup->session->sid != sid || p->pgroup->pgid == fg_pgid) {
		err = OK;
	} else if (is_deaf) {
		err = sig == SIGTTIN ? ERR_IO : OK;
	} else if (pgroup_is_orphaned_locked(p->pgroup, NULL)) {
		err = ERR_IO;
	} else {
		(void)signal_send_pgroup_locked(p->pgroup->pgid, sig, NULL);
		err = ERR_RESTARTSYS;
	}
	spin_unlock(&proc_tree_lock);
	return err;
}

/* ---- System calls
 * ---------------------------------------------------------------------- */

/* Why `p` may not be moved to group `pgid`: POSIX setpgid's errors, in its order. Lock
 * held. */
static enum err
setpgid_check_locked(struct process *p, uint32_t pgid)
{
	struct process *me = current_process();
	struct pgroup *g;

	if (p != me && p->parent != me)
		return ERR_SRCH;
	if (p != me && p->has_execed)
		return ERR_ACCES;
	if (p->pgroup->session != me->pgroup->session ||
	    p->pgroup->session->sid == p->pid)
		return ERR_PERM;
	g = pgroup_find_locked(pgid);
	if (pgid != p->pid && (!g || g->session != me->pgroup->session))
		return ERR_PERM;
	return OK;
}

long
sys_setpgid(int pid, int pgid)
{
	struct process *me = current_process(), *p;
	struct pgroup *g, *fresh;
	enum err err;

	if (pgid < 0)
		return ERR_INVAL;
	p = pid ? process_find((uint32_t)pid) : process_get(me);
	if (!p)
		return ERR_SRCH;
	if (!pgid)
		pgid = (int)p->pid;
	fresh = kmalloc(sizeof(*fresh));
	if (!fresh) {
		process_put(p);
		return ERR_NOMEM;
	}
	spin_lock(&proc_tree_lock);
	err = p->is_zombie && p != me && p->parent != me
	          ? ERR_SRCH
	          : setpgid_check_locked(p, (uint32_t)pgid);
	g = pgroup_find_locked((uint32_t)pgid);
	if (err == OK && !g) {
		g = fresh;
		fresh = NULL;
		pgroup_start_locked(g, (uint32_t)pgid, p->pgroup->session);
	}
	if (err == OK && g != p->pgroup) {
		pgroup_leave_locked(p);
		pgroup_join_locked(p, g);
	}
	spin_unlock(&proc_tree_lock);
	kfree(fresh);
	process_put(p);
	return err;
}

long
sys_setsid(void)
{
	struct process *p = current_process();
	struct session *s = kmalloc(sizeof(*s));
	struct pgroup *g = kmalloc(sizeof(*g));
	bool ok = false;

	if (s && g) {
		spin_lock(&proc_tree_lock);
		ok = !pgroup_find_locked(p->pid);
		if (ok)
			session_start_locked(p, g, s);
		spin_unlock(&proc_tree_lock);
	}
	if (!ok) {
		long err = s && g ? ERR_PERM : ERR_NOMEM;

		kfree(s);
		kfree(g);
		return err;
	}
	return (long)p->pid;
}

/* Group or session of `pid`, 0 being the caller. */
static long
process_number(int pid, uint32_t (*get)(struct process *))
{
	struct process *p =
	    pid ? process_find((uint32_t)pid) : process_get(current_process());
	long n;

	if (!p)
		return ERR_SRCH;
	n = (long)get(p);
	process_put(p);
	return n;
}

long
sys_getpgid(int pid)
{
	return process_number(pid, process_pgid);
}

long
sys_getpgrp(void)
{
	return (long)process_pgid(current_process());
}

long
sys_getsid(int pid)
{
	return process_number(pid, process_sid);
}

long
sys_getppid(void)
{
	return (long)process_parent_pid(current_process());
}
