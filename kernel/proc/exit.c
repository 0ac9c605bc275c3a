/*
 * The end of threads and processes. A thread leaves its address space, then its process;
 * the last one gives back what the process had, hands its children to a reaper and leaves
 * a zombie for the parent.
 */
#include "kernel/file.h"
#include "kernel/ipc/futex.h"
#include "kernel/ipc/sysv_sem.h"
#include "kernel/panic.h"
#include "kernel/poll.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/proc/wait.h"
#include "mm/aspace.h"
#include "mm/oom.h"
#include "mm/usercopy.h"
#include "syscalls.h"

void
thread_release_user_memory(struct thread *t)
{
	static const uint32_t zero;
	uint32_t USER *tid = t->clear_child_tid;

	futex_release_all(t->flags & THREAD_EXITING);
	t->clear_child_tid = NULL;
	if (tid && put_user(zero, tid) == OK)
		futex_wake_address(tid, 1);
}

void
process_release_vfork(struct process *p)
{
	if (!p->is_vfork_child)
		return;
	spin_lock(&p->lock);
	p->is_vfork_child = false;
	spin_unlock(&p->lock);
	wait_queue_wake_all(&p->vfork_wait);
}

/* From here the thread runs on the kernel's own page table. */
static void
thread_leave_aspace(struct thread *t)
{
	irq_disable_nested();
	t->aspace = NULL;
	aspace_switch(NULL);
	irq_enable_nested();
}

/* Takes `*slot` from the process: no other can get at it by then. */
#define process_take(p, slot) \
	({ \
		spin_lock(&(p)->lock); \
		__typeof__((p)->slot) taken_ = (p)->slot; \
		(p)->slot = NULL; \
		spin_unlock(&(p)->lock); \
		taken_; \
	})

static void
process_release_resources(struct process *p)
{
	struct aspace *as;

	itimers_stop(p);
	posix_timers_free(p);
	sysv_sem_exit(p);
	as = process_take(p, aspace);
	if (as) {
		p->max_resident = MAX(p->max_resident, as->peak_resident);
		aspace_put(as);
	}
	oom_victim_exit(p);
	process_release_vfork(p);
}

/* Before the thread counts as gone, so that who has waited for the process finds its files closed. */
static void
thread_release_files(struct thread *t)
{
	struct process *p = t->process;
	struct thread_files files;

	spin_lock(&p->lock);
	files = (struct thread_files){.fds = t->fds, .fs = t->fs};
	t->fds = NULL;
	t->fs = NULL;
	spin_unlock(&p->lock);
	thread_files_drop(&files);
}

/* ---- Family --------------------------------------------------------------------------
 */

/* Who gets the children: the nearest ancestor that asked for it, else PID 1. */
static struct process *
reaper_find_locked(struct process *p)
{
	if (!p->has_subreaper)
		return init_process;
	for (struct process *a = p->parent; a; a = a->parent)
		if (a->is_subreaper && !a->is_zombie && a->num_threads)
			return a;
	return init_process;
}

/* The next of `top`'s descendants after `p`, each before its children; NULL: no more. */
static struct process *
descendant_next_locked(struct process *p, const struct process *top)
{
	if (!list_is_empty(&p->children))
		return list_first(&p->children, struct process, sibling_link);
	while (p != top && p->sibling_link.next == &p->parent->children)
		p = p->parent;
	return p == top ? NULL
	                : list_entry(p->sibling_link.next, struct process, sibling_link);
}

void
process_set_subreaper(bool is_subreaper)
{
	struct process *me = current_process(), *p = me;

	spin_lock(&proc_tree_lock);
	if (is_subreaper && !me->is_subreaper)
		while ((p = descendant_next_locked(p, me)))
			p->has_subreaper = true;
	me->is_subreaper = is_subreaper;
	spin_unlock(&proc_tree_lock);
}

static void
process_send_death_signal(struct process *child)
{
	uint8_t sig = child->leader ? child->leader->pdeath_signal : 0;

	if (sig)
		(void)signal_send_process(child, sig, NULL); /* it may be gone by now */
}

static void
children_reparent_locked(struct process *p)
{
	struct process *reaper, *child, *next;
	bool has_zombies = false;

	if (list_is_empty(&p->children))
		return;
	reaper = reaper_find_locked(p);
	list_for_each_safe(child, next, &p->children, sibling_link) {
		list_remove(&child->sibling_link);
		process_adopt_locked(child, reaper);
		child->exit_signal = SIGCHLD;
		has_zombies |= child->is_zombie;
		process_send_death_signal(child);
	}
	if (has_zombies) {
		struct siginfo info = {.signo = SIGCHLD, .code = SI_KERNEL};

		(void)signal_send_process(reaper, SIGCHLD, &info);
		wait_queue_wake_all(&reaper->child_wait);
	}
}

/* Whether the parent wants no zombies (POSIX _Exit: SA_NOCLDWAIT, or SIGCHLD ignored). */
static bool
parent_wants_no_zombie(const struct process *parent)
{
	struct sigaction action = signal_action_of(parent, SIGCHLD);

	return action.handler == SIG_IGN || (action.flags & SA_NOCLDWAIT);
}

bool
process_tell_parent_locked(struct process *p)
{
	struct process *parent = p->parent;
	bool is_reaped = p->is_helper;

	if (p->exit_signal && !p->is_helper) {
		int status = p->exit_status;
		struct siginfo info =
		    process_child_info_locked(p, process_exit_code(status), status);

		is_reaped = p->exit_signal == SIGCHLD && parent_wants_no_zombie(parent);
		info.signo = p->exit_signal;
		if (signal_action_of(parent, p->exit_signal).handler != SIG_IGN)
			(void)signal_send_process(parent, p->exit_signal, &info);
	}
	wait_queue_wake_all(&parent->child_wait);
	if (is_reaped)
		process_reap_locked(p);
	return is_reaped;
}

void
process_reaped(struct process *p)
{
	process_drop_leader(p);
	process_put(p); /* the tables'; each thread has one until it is freed */
}

/* The process is a zombie from here, or even reaped: then the result is true. */
static bool
process_become_zombie(struct process *p)
{
	bool is_reaped = false;

	spin_lock(&proc_tree_lock);
	pgroup_check_orphans_locked(p);
	children_reparent_locked(p);
	__atomic_store_n(&p->is_zombie, true, __ATOMIC_RELEASE);
	process_has_news_locked(p);
	wait_queue_wake(&p->exit_wait, ~0u, POLLIN);
	if (ptrace_is_foreign_locked(p)) /* the parent hears of it when the tracer has */
		ptrace_tell_end_locked(p->leader, p->exit_status);
	else
		is_reaped = process_tell_parent_locked(p);
	spin_unlock(&proc_tree_lock);
	return is_reaped;
}

/* ---- Threads -------------------------------------------------------------------------
 */

/* One thread fewer: whether it was the last. */
static bool
process_count_out(struct process *p, struct thread *t, int status)
{
	bool is_last, is_stop_complete;

	spin_lock(&p->lock);
	is_last = --p->num_threads == 0;
	if (t->trace && t->trace->is_parked)
		p->num_parked--;
	if (t->trace)
		t->trace->is_parked = false;
	is_stop_complete = !is_last && p->is_stopped && !p->is_stop_told &&
	                   p->num_parked >= p->num_threads;
	p->is_stop_told |= is_stop_complete;
	if (t == p->leader && !p->is_exiting)
		p->exit_status = status;
	spin_unlock(&p->lock);
	if (is_stop_complete)
		process_report(p, CLD_STOPPED);
	return is_last;
}

NORETURN void
process_exit_thread(int status)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	bool is_last;

	coredump_stand_by(t);
	if (p->is_exiting)
		status = p->exit_status;
	if (p == init_process && p->num_threads == 1)
		panic("init (PID 1) ended, status %x", status);
	ptrace_exit_event(status);
	signal_thread_exit(t);
	ptrace_exit_tracer();
	thread_release_user_memory(t);
	thread_leave_aspace(t);
	if (p->num_threads == 1)
		process_release_vfork(p);
	thread_release_files(t);
	is_last = process_count_out(p, t, status);
	if (is_last) {
		process_release_resources(p);
		session_leader_exit(p);
	}
	process_remove_thread(p, t);
	ptrace_thread_ended(t, status);
	wait_queue_wake_all(&p->exec_wait);
	if (is_last && process_become_zombie(p))
		process_reaped(p);
	thread_exit();
}

NORETURN void
process_exit_group(int status)
{
	struct thread *t = current_thread();
	struct process *p = t->process;

	spin_lock(&p->lock);
	if (!p->is_exiting && !(p->exec_thread && p->exec_thread != t)) {
		p->is_exiting = true;
		p->exit_status = status;
		if (p->num_threads > 1)
			signal_kick_all_locked(p, t, true);
	}
	spin_unlock(&p->lock);
	process_exit_thread(status);
}

NORETURN void
process_exit_by_signal(const struct siginfo *info)
{
	bool has_core = (SIGMASK(info->signo) & SIGNALS_CORE) && coredump(info);

	process_exit_group(info->signo | (has_core ? STATUS_CORE : 0));
}

long
sys_exit(int status)
{
	process_exit_thread((status & 0xff) << 8);
}

long
sys_exit_group(int status)
{
	process_exit_group((status & 0xff) << 8);
}
