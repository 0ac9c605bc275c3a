/*
 * Waiting for children: wait4 and waitid. A parent sleeps on its own child_wait; children
 * wake it when they exit, stop or continue. What they have to tell is flags under the
 * tree lock; those that have something stand in the parent's tree of news, oldest first,
 * so that a wait does not look at thousands that have not.
 */
#include "kernel/proc/wait.h"

#include "kernel/proc/pidfd.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/sched/sched.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	WNOHANG = 1,
	WUNTRACED = 2,
	WSTOPPED = 2,
	WEXITED = 4,
	WCONTINUED = 8,
	WNOWAIT = 0x01000000,
	WNOTHREAD = 0x20000000,
	WALL = 0x40000000,
};
#define WCLONE 0x80000000u

enum { P_ALL, P_PID, P_PGID, P_PIDFD };
enum { STATUS_STOPPED = 0x7f, STATUS_CONTINUED = 0xffff };

enum { NSEC_PER_TICK = 10000000 }; /* Linux's USER_HZ is 100 */

/* One wait: what to look for, what was found. */
struct waiting {
	int which, id; /* P_* */
	uint32_t options;
	struct process *found;   /* a reference, or NULL */
	struct thread *untraced; /* a reference that its tracing had, or NULL */
	bool is_reaped; /* found is a zombie no longer: the tables' reference is ours too
	                 */
	uint32_t pid, uid;
	int code, status; /* CLD_*, as wait4 gives it */
	struct rusage ru;
};

static void
rusage_fill(struct rusage *ru, nsec_t utime, nsec_t stime)
{
	*ru = (struct rusage){
	    .utime = timeval_from_ns(utime), .stime = timeval_from_ns(stime)};
}

void
process_rusage(struct process *p, struct rusage *ru)
{
	nsec_t utime, stime;
	struct thread *t;

	process_times(p, &utime, &stime);
	rusage_fill(ru, utime, stime);
	spin_lock(&p->lock);
	ru->min_faults = (int64_t)p->min_faults;
	ru->maj_faults = (int64_t)p->maj_faults;
	ru->max_rss_kib = (int64_t)p->max_resident * 4;
	ru->nvcsw = (int64_t)p->nvcsw;
	ru->nivcsw = (int64_t)p->nivcsw;
	list_for_each(t, &p->threads, process_link) {
		ru->nvcsw += (int64_t)t->nvcsw;
		ru->nivcsw += (int64_t)t->nivcsw;
	}
	spin_unlock(&p->lock);
}

static void
process_rusage_children(struct process *p, struct rusage *ru)
{
	spin_lock(&p->lock);
	rusage_fill(ru, p->child_utime_ns, p->child_stime_ns);
	ru->min_faults = (int64_t)p->child_min_faults;
	ru->maj_faults = (int64_t)p->child_maj_faults;
	ru->max_rss_kib = (int64_t)p->child_max_resident * 4;
	ru->nvcsw = (int64_t)p->child_nvcsw;
	ru->nivcsw = (int64_t)p->child_nivcsw;
	spin_unlock(&p->lock);
}

/* siginfo's status is the exit code or signal alone. */
static int
status_for_siginfo(int code, int status)
{
	if (code == CLD_EXITED)
		return status >> 8 & 0xff;
	if (code == CLD_CONTINUED)
		return SIGCONT;
	if (code == CLD_TRAPPED)
		return status >> 8;
	return code == CLD_STOPPED ? status >> 8 & 0xff : status & 0x7f;
}

int
process_exit_code(int status)
{
	if (status & STATUS_CORE)
		return CLD_DUMPED;
	return status & 0x7f ? CLD_KILLED : CLD_EXITED;
}

struct siginfo
process_child_info_locked(struct process *p, int code, int status)
{
	return (struct siginfo){.signo = SIGCHLD,
	    .code = code,
	    .pid = p->pid,
	    .uid = p->cred->uid,
	    .status = status_for_siginfo(code, status),
	    .utime = (int64_t)(p->utime_ns / NSEC_PER_TICK),
	    .stime = (int64_t)(p->stime_ns / NSEC_PER_TICK)};
}

void
process_report(struct process *p, int code)
{
	struct process *parent;
	struct siginfo info;

	spin_lock(&proc_tree_lock);
	parent = p->parent;
	if (!parent || p->is_zombie ||
	    (code == CLD_STOPPED && ptrace_is_own_locked(p->leader, parent))) {
		spin_unlock(&proc_tree_lock);
		return;
	}
	p->has_stop_news = code == CLD_STOPPED;
	p->has_continue_news = code == CLD_CONTINUED;
	process_has_news_locked(p);
	info = process_child_info_locked(p, code, p->stop_signal << 8 | STATUS_STOPPED);
	if (!(signal_action_of(parent, SIGCHLD).flags & SA_NOCLDSTOP))
		(void)signal_send_process(parent, SIGCHLD, &info); /* news, not a duty */
	wait_queue_wake_all(&parent->child_wait);
	spin_unlock(&proc_tree_lock);
}

void
process_reap_locked(struct process *p)
{
	struct process *parent = p->parent;

	if (p->leader && is_traced(p->leader)) {
		ptrace_unlink_locked(p->leader->trace);
		thread_put(p->leader); /* the process has one of its own */
	}
	if (parent) {
		spin_lock(&parent->lock);
		parent->child_utime_ns += p->utime_ns + p->child_utime_ns;
		parent->child_stime_ns += p->stime_ns + p->child_stime_ns;
		parent->child_min_faults += p->min_faults + p->child_min_faults;
		parent->child_maj_faults += p->maj_faults + p->child_maj_faults;
		parent->child_nvcsw += p->nvcsw + p->child_nvcsw;
		parent->child_nivcsw += p->nivcsw + p->child_nivcsw;
		parent->child_max_resident = MAX(parent->child_max_resident,
		    MAX(p->max_resident, p->child_max_resident));
		spin_unlock(&parent->lock);
	}
	process_unpublish_locked(p);
	pid_release_locked(p->pid);
}

/* ---- Looking -------------------------------------------------------------------------
 */

static bool
wait_matches(const struct waiting *w, const struct process *child)
{
	bool is_clone = child->exit_signal != SIGCHLD;

	if (child->is_helper)
		return false;
	if (w->which == P_PID && child->pid != (uint32_t)w->id)
		return false;
	if (w->which == P_PGID && child->pgroup->pgid != (uint32_t)w->id)
		return false;
	return (w->options & WALL) || is_clone == !!(w->options & WCLONE);
}

static void
wait_found_locked(struct waiting *w, struct process *child, int code, int status)
{
	w->found = process_get(child);
	w->pid = child->pid;
	w->uid = child->cred->uid;
	w->code = code;
	w->status = status;
}

/* A stop or going on, which wait has not kept, is news no longer. */
static void
wait_take_locked(struct process *child)
{
	if (!child->is_zombie && !child->has_stop_news && !child->has_continue_news)
		process_forget_news_locked(child);
}

/* Whether `child` has something to tell; takes it unless WNOWAIT. */
static bool
wait_check_locked(struct waiting *w, struct process *child)
{
	bool keep = w->options & WNOWAIT;

	if (ptrace_is_foreign_locked(child) && child->is_zombie)
		return false; /* its tracer comes first */
	if (child->is_zombie && (w->options & WEXITED)) {
		int status = child->exit_status;

		wait_found_locked(w, child, process_exit_code(status), status);
		process_rusage(child, &w->ru);
		if (!keep)
			process_reap_locked(child);
		w->is_reaped = !keep;
		return true;
	}
	if (child->has_stop_news && (w->options & WUNTRACED)) {
		wait_found_locked(
		    w, child, CLD_STOPPED, child->stop_signal << 8 | STATUS_STOPPED);
		child->has_stop_news = keep;
		wait_take_locked(child);
		return true;
	}
	if (child->has_continue_news && (w->options & WCONTINUED)) {
		wait_found_locked(w, child, CLD_CONTINUED, STATUS_CONTINUED);
		child->has_continue_news = keep;
		wait_take_locked(child);
		return true;
	}
	return false;
}

/* ---- Threads that the process traces ------------------------------------------------- */

static bool
wait_matches_tracee(const struct waiting *w, const struct trace *tr)
{
	const struct thread *t = tr->thread;

	if ((w->options & WNOTHREAD) && tr->tracer != current_thread())
		return false;
	if (w->which == P_PID)
		return t->tid == (uint32_t)w->id;
	return w->which != P_PGID ||
	       (t->process->pgroup && t->process->pgroup->pgid == (uint32_t)w->id);
}

/* Its stop, if that is news. */
static bool
wait_check_stop(struct waiting *w, struct trace *tr)
{
	struct process *p = tr->thread->process;
	bool is_news;
	int code;

	spin_lock(&p->lock);
	is_news = tr->is_stopped && tr->has_news && !tr->is_listening;
	code = tr->code;
	if (is_news && !(w->options & WNOWAIT))
		tr->has_news = false;
	spin_unlock(&p->lock);
	if (is_news)
		wait_found_locked(w, p, CLD_TRAPPED, code << 8 | STATUS_STOPPED);
	return is_news;
}

/* Its end: of a thread, or of a process that another than its parent traces. */
static bool
wait_check_end(struct waiting *w, struct trace *tr)
{
	struct thread *t = tr->thread;
	struct process *p = t->process;
	bool is_process = t == p->leader;
	int status;

	if (!(w->options & WEXITED) ||
	    !(is_process ? p->is_zombie && ptrace_is_foreign_locked(p) : tr->is_ended))
		return false;
	status = is_process ? p->exit_status : tr->status;
	wait_found_locked(w, p, process_exit_code(status), status);
	if (w->options & WNOWAIT)
		return true;
	ptrace_unlink_locked(tr);
	w->untraced = t;
	if (is_process)
		w->is_reaped = process_tell_parent_locked(p);
	return true;
}

static enum err
wait_look_tracees(struct waiting *w)
{
	enum err result = ERR_CHILD;
	struct trace *tr;

	list_for_each(tr, &current_process()->tracees, link) {
		if (!wait_matches_tracee(w, tr))
			continue;
		if (wait_check_stop(w, tr) || wait_check_end(w, tr)) {
			w->pid = tr->thread->tid;
			return OK;
		}
		result = ERR_AGAIN;
	}
	return result;
}

/* The one child that is waited for. */
static enum err
wait_look_pid_locked(struct waiting *w, struct process *me)
{
	struct process *child = process_find_locked((uint32_t)w->id);

	if (!child || child->parent != me || !wait_matches(w, child))
		return ERR_CHILD;
	return wait_check_locked(w, child) ? OK : ERR_AGAIN;
}

static enum err
wait_look_all_locked(struct waiting *w, struct process *me)
{
	struct process *child;

	for (struct rb_node *n = rb_first(&me->news); n; n = rb_next(n)) {
		child = rb_entry(n, struct process, news_link);
		if (wait_matches(w, child) && wait_check_locked(w, child))
			return OK;
	}
	list_for_each(child, &me->children, sibling_link)
		if (wait_matches(w, child))
			return ERR_AGAIN;
	return ERR_CHILD;
}

/* One look at the children: OK (found), ERR_AGAIN (none yet) or ERR_CHILD (none will ever
 * be). */
static enum err
wait_look(struct waiting *w)
{
	struct process *me = current_process();
	enum err result;

	spin_lock(&proc_tree_lock);
	result =
	    w->which == P_PID ? wait_look_pid_locked(w, me) : wait_look_all_locked(w, me);
	if (result != OK && !list_is_empty(&me->tracees)) {
		enum err traced = wait_look_tracees(w);

		result = traced == ERR_CHILD ? result : traced;
	}
	spin_unlock(&proc_tree_lock);
	return result;
}

static enum err
wait_for_child(struct waiting *w)
{
	enum err look = wait_look(w), sleep = OK;

	if (look == ERR_AGAIN && !(w->options & WNOHANG))
		sleep = wait_event(&current_process()->child_wait,
		    (look = wait_look(w)) != ERR_AGAIN, WAIT_INTERRUPTIBLE, NO_TIMEOUT);
	if (w->found) {
		if (w->is_reaped)
			process_reaped(w->found);
		process_put(w->found);
	}
	if (w->untraced)
		thread_put(w->untraced);
	return sleep == OK ? look : sleep;
}

long
sys_wait4(int pid, int USER *status, int options, struct rusage USER *ru)
{
	struct waiting w = {.which = P_ALL, .options = (uint32_t)options | WEXITED};
	enum err err;

	if ((uint32_t)options &
	    ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
		return ERR_INVAL;
	if (pid == INT32_MIN)
		return ERR_SRCH;
	if (pid > 0)
		w.which = P_PID, w.id = pid;
	else if (pid != -1)
		w.which = P_PGID,
		w.id = pid ? -pid : (int)process_pgid(current_process());

	err = wait_for_child(&w);
	if (err == ERR_AGAIN)
		return 0;
	if (err != OK)
		return err;
	if (status && put_user(w.status, status) != OK)
		return ERR_FAULT;
	if (ru && put_user(w.ru, ru) != OK)
		return ERR_FAULT;
	return (long)w.pid;
}

/* The end of waitid: what was found goes to user memory. */
static long
waitid_finish(struct waiting *w, enum err err, struct user_siginfo USER *info,
    struct rusage USER *ru)
{
	struct siginfo si = {0};

	if (err != OK && err != ERR_AGAIN)
		return err;
	if (err == OK)
		si = (struct siginfo){.signo = SIGCHLD,
		    .code = w->code,
		    .pid = w->pid,
		    .uid = w->uid,
		    .status = status_for_siginfo(w->code, w->status)};
	if (info && siginfo_to_user(info, &si) != OK)
		return ERR_FAULT;
	if (ru && err == OK && put_user(w->ru, ru) != OK)
		return ERR_FAULT;
	return 0;
}

/* P_PIDFD; a descriptor with O_NONBLOCK gives EAGAIN where others would wait. */
static long
wait_by_pidfd(struct waiting *w, struct user_siginfo USER *info, struct rusage USER *ru)
{
	bool is_nonblock = false, was_nohang = w->options & WNOHANG;
	struct process *p = w->id >= 0 ? pidfd_process(w->id, &is_nonblock) : NULL;
	enum err err;

	if (w->id < 0)
		return ERR_INVAL;
	if (!p)
		return ERR_BADF;
	w->which = P_PID;
	w->id = (int)p->pid;
	if (is_nonblock)
		w->options |= WNOHANG;
	err = process_is_reaped(p) ? ERR_CHILD : wait_for_child(w);
	process_put(p);
	if (err == ERR_AGAIN && !was_nohang)
		return ERR_AGAIN;
	return waitid_finish(w, err, info, ru);
}

long
sys_waitid(int which, int id, struct user_siginfo USER *info, int options,
    struct rusage USER *ru)
{
	struct waiting w = {.which = which, .id = id, .options = (uint32_t)options};

	if ((uint32_t)options & ~(uint32_t)(WNOHANG | WSTOPPED | WEXITED | WCONTINUED |
	                                    WNOWAIT | WNOTHREAD | WALL | WCLONE))
		return ERR_INVAL;
	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return ERR_INVAL;
	if (which == P_PIDFD)
		return wait_by_pidfd(&w, info, ru);
	if (which < P_ALL || which > P_PGID || (which == P_PID && id <= 0) ||
	    (which == P_PGID && id < 0))
		return ERR_INVAL;
	if (which == P_PGID && id == 0)
		w.id = (int)process_pgid(current_process());

	return waitid_finish(&w, wait_for_child(&w), info, ru);
}

enum { RUSAGE_CHILDREN = -1, RUSAGE_SELF = 0, RUSAGE_THREAD = 1 };

long
sys_getrusage(int who, struct rusage USER *out)
{
	struct thread *t = current_thread();
	nsec_t utime, stime;
	struct rusage ru;

	switch (who) {
	case RUSAGE_SELF: process_rusage(t->process, &ru); break;
	case RUSAGE_CHILDREN: process_rusage_children(t->process, &ru); break;
	case RUSAGE_THREAD:
		thread_times(t, &utime, &stime);
		rusage_fill(&ru, utime, stime);
		ru.nvcsw = (int64_t)t->nvcsw;
		ru.nivcsw = (int64_t)t->nivcsw;
		break;
	default: return ERR_INVAL;
	}
	return put_user(ru, out);
}
