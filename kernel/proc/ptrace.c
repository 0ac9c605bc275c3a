/*
 * Tracing from the traced thread's side: its stops, and the ends of tracing. ptrace.h has
 * the whole; sys_ptrace.c the requests. What stops look like to the tracer is ptrace(2)'s:
 * signal-delivery-stop, group-stop, event stops, call stops.
 */
#include "kernel/proc/ptrace.h"

#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace_priv.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/proc/wait.h"
#include "kernel/x86/context.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/user_regs.h"
#include "mm/slab.h"

enum {
	THREAD_TRACE_WORK =
	    THREAD_CALL_TRACED | THREAD_CALL_EMULATED | THREAD_CALL_STEPPED
};

enum { CALL_STOP_GOOD = 0x80 }; /* PTRACE_O_TRACESYSGOOD's mark of call stops */

/* ---- Telling ----------------------------------------------------------------------- */

/* SIGCHLD as the tracer's process gets it, and its wait calls look. Tree lock held. */
static void
tell_tracer_locked(const struct trace *tr, int code, int status)
{
	struct process *to = tr->tracer->process;
	struct siginfo info =
	    process_child_info_locked(tr->thread->process, code, status);
	struct sigaction action = signal_action_of(to, SIGCHLD);
	bool is_stop = code == CLD_TRAPPED || code == CLD_STOPPED;

	info.pid = tr->thread->tid;
	if (is_stop)
		info.status = status & 0x7f;
	if (action.handler != SIG_IGN && !(is_stop && (action.flags & SA_NOCLDSTOP)))
		(void)signal_send_process(to, SIGCHLD, &info); /* news, not a duty */
	wait_queue_wake_all(&to->child_wait);
}

void
ptrace_tell_end_locked(struct thread *t, int status)
{
	tell_tracer_locked(t->trace, process_exit_code(status), status);
}

uint32_t
ptrace_tracer_tid(const struct thread *t)
{
	uint32_t tid;

	spin_lock(&proc_tree_lock);
	tid = is_traced(t) ? t->trace->tracer->tid : 0;
	spin_unlock(&proc_tree_lock);
	return tid;
}

/* ---- Stopping ---------------------------------------------------------------------- */

/*
 * The current thread stops: `code` is what wait tells, `why` CLD_TRAPPED or CLD_STOPPED,
 * `info` what PTRACE_GETSIGINFO gives or NULL. Returns the signal to go on with (and
 * `info` as the tracer left it), or -1: it is not traced, or must die, and did not stop.
 */
static int
ptrace_stop(int code, int why, struct siginfo *info, bool even_exiting)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	struct trace *tr = t->trace;

	spin_lock(&proc_tree_lock);
	spin_lock(&p->lock);
	if (!is_traced(t) || (!even_exiting && signal_is_fatal_pending(t))) {
		spin_unlock(&p->lock);
		spin_unlock(&proc_tree_lock);
		return -1;
	}
	tr->code = code;
	tr->has_info = info;
	if (info)
		tr->info = *info;
	tr->is_stopped = tr->has_news = true;
	tr->is_listening = tr->is_trap_due = false;
	if (info && info->code >> 8 == PTRACE_EVENT_STOP)
		tr->is_notify_due = false;
	spin_unlock(&p->lock);
	tell_tracer_locked(tr, why, code);
	spin_unlock(&proc_tree_lock);

	/* A fatal signal ends it by ptrace_kill_locked. */
	(void)wait_event(
	    &tr->wait, !ptrace_is_held(tr), WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);

	spin_lock(&p->lock);
	code = tr->code;
	if (info)
		*info = tr->info;
	tr->has_info = false;
	tr->code = 0;
	signal_recalc_locked(t);
	spin_unlock(&p->lock);
	return code;
}

/* What a stop that no signal caused shows as siginfo. */
static struct siginfo
stop_info(int sig, int code)
{
	return (struct siginfo){.signo = sig,
	    .code = code,
	    .pid = current_thread()->tid,
	    .uid = current_cred()->uid};
}

/* One that the tracer has sent in place of another. */
static struct siginfo
info_of_tracer(int sig)
{
	struct siginfo info = {.signo = sig, .code = SI_USER};
	struct thread *t = current_thread();

	spin_lock(&proc_tree_lock);
	if (is_traced(t)) {
		info.pid = t->trace->tracer->process->pid;
		info.uid = t->trace->tracer->process->cred->uid;
	}
	spin_unlock(&proc_tree_lock);
	return info;
}

int
ptrace_signal_stop(struct siginfo *info)
{
	struct thread *t = current_thread();
	int was = info->signo, sig = ptrace_stop(was, CLD_TRAPPED, info, false);

	if (sig < 0)
		return was;
	if (sig == 0)
		return 0;
	if (sig != info->signo)
		*info = info_of_tracer(sig);
	if (t->sig_blocked & SIGMASK(sig)) {
		(void)signal_send_thread(t, sig, info); /* later, when it is not */
		return 0;
	}
	return sig;
}

void
ptrace_trap(void)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	int sig = SIGTRAP, code;
	struct siginfo info;
	bool is_seized;

	spin_lock(&p->lock);
	if (p->is_stopped)
		sig = p->stop_signal;
	is_seized = t->trace->is_seized;
	spin_unlock(&p->lock);
	if (!is_seized) {
		(void)ptrace_stop(sig, CLD_STOPPED, NULL, false);
		return;
	}
	code = sig | PTRACE_EVENT_STOP << 8;
	info = stop_info(sig, code);
	(void)ptrace_stop(
	    code, CLD_STOPPED, &info, false); /* it goes on whatever was said */
}

/* Stops of a call tell its end too, if the tracer wants to see ends now. */
static void
end_of_call_is_due(struct thread *t)
{
	if (!(t->flags & (THREAD_CALL_TRACED | THREAD_CALL_STEPPED)) || !is_traced(t))
		return;
	t->trace->is_exit_due = true;
	__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
}

bool
ptrace_wants(const struct thread *t, int event)
{
	return is_traced(t) && (t->trace->options & 1u << event);
}

void
ptrace_event(int event, uint64_t message)
{
	struct thread *t = current_thread();
	int code = SIGTRAP | event << 8;
	struct siginfo info = stop_info(SIGTRAP, code);

	if (!ptrace_wants(t, event))
		return;
	t->trace->message = message;
	(void)ptrace_stop(code, CLD_TRAPPED, &info, event == PTRACE_EVENT_EXIT);
	end_of_call_is_due(t);
}

/* ---- Calls ------------------------------------------------------------------------- */

static int
call_stop(uint64_t message)
{
	struct thread *t = current_thread();
	int code =
	    SIGTRAP | (t->trace->options & PTRACE_O_TRACESYSGOOD ? CALL_STOP_GOOD : 0);
	struct siginfo info = stop_info(SIGTRAP, code);
	int sig;

	t->trace->message = message;
	sig = ptrace_stop(code, CLD_TRAPPED, &info, false);
	t->trace->message = 0;
	if (sig > 0 && sig <= NSIG) {
		info = info_of_tracer(sig);
		(void)signal_send_thread(t, sig, &info);
	}
	return sig;
}

bool
ptrace_call_enter(struct trap_frame *f)
{
	struct thread *t = current_thread();
	bool is_emulated = t->flags & THREAD_CALL_EMULATED;

	f->rax = (uint64_t)ERR_NOSYS;
	if (!(t->flags & (THREAD_CALL_TRACED | THREAD_CALL_EMULATED)) || !is_traced(t))
		return true;
	(void)call_stop(PTRACE_MESSAGE_ENTRY);
	return !is_emulated && !signal_is_fatal_pending(t);
}

void
ptrace_call_done(void)
{
	end_of_call_is_due(current_thread());
}

void
ptrace_call_exit(struct trap_frame *f)
{
	struct thread *t = current_thread();
	uint32_t work = t->flags;

	if (!t->trace || !t->trace->is_exit_due)
		return;
	t->trace->is_exit_due = false;
	if ((work & THREAD_CALL_STEPPED) && !(work & THREAD_CALL_EMULATED))
		signal_fault(SIGTRAP, TRAP_BRKPT, f->rip);
	else if (work & THREAD_CALL_TRACED)
		(void)call_stop(PTRACE_MESSAGE_EXIT);
}

bool
ptrace_step_ends(struct thread *t)
{
	bool is_stepping = t->trace && t->trace->is_step_forced;

	if (is_stepping)
		user_step_off(t);
	return is_stepping;
}

void
ptrace_handler_entered(void)
{
	struct siginfo info = stop_info(SIGTRAP, SIGTRAP);

	(void)ptrace_stop(SIGTRAP, CLD_TRAPPED, &info, false); /* it only looks */
}

/* ---- For signals ------------------------------------------------------------------- */

/* It leaves ptrace_stop; `code` stays. */
void
ptrace_resume_locked(struct trace *tr)
{
	tr->is_listening = tr->has_news = tr->is_stopped = false;
	wait_queue_wake_all(&tr->wait);
}

void
ptrace_kill_locked(struct thread *t)
{
	if (t->trace && t->trace->is_stopped)
		ptrace_resume_locked(t->trace);
}

static void
job_control_one_locked(struct thread *t, bool is_stop)
{
	struct trace *tr = t->trace;

	if (!tr)
		return;
	if (!is_stop && tr->is_parked) {
		tr->is_parked = false;
		t->process->num_parked--;
	}
	if (!is_traced(t))
		return;
	tr->is_stop_due = is_stop;
	if (!tr->is_seized)
		return;
	tr->is_notify_due = true;
	if (tr->is_listening)
		ptrace_resume_locked(tr);
	__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
}

void
ptrace_job_control_locked(struct process *p, bool is_stop)
{
	struct thread *t;

	list_for_each(t, &p->threads, process_link)
		job_control_one_locked(t, is_stop);
}

/* ---- Attaching --------------------------------------------------------------------- */

struct trace *
trace_create(void)
{
	struct trace *tr = kzalloc(sizeof(*tr));

	if (!tr)
		return NULL;
	list_init(&tr->link);
	wait_queue_init(&tr->wait);
	return tr;
}

void
ptrace_link_locked(struct thread *t, struct thread *tracer)
{
	struct trace *tr = t->trace;

	tr->thread = t;
	tr->tracer = tracer;
	list_push_back(&tracer->process->tracees, &tr->link);
	__atomic_fetch_or(&t->flags, THREAD_TRACED, __ATOMIC_RELEASE);
	thread_get(t);
}

void
ptrace_unlink_locked(struct trace *tr)
{
	struct thread *t = tr->thread;
	struct process *p = t->process;

	spin_lock(&p->lock);
	__atomic_fetch_and(
	    &t->flags, ~(uint32_t)(THREAD_TRACED | THREAD_TRACE_WORK), __ATOMIC_RELEASE);
	list_remove(&tr->link);
	tr->tracer = NULL;
	tr->options = 0;
	tr->is_seized = tr->is_trap_due = tr->is_notify_due = tr->is_stop_due = false;
	if (tr->is_stopped)
		ptrace_resume_locked(tr);
	if (p->is_stopped && !(t->flags & THREAD_EXITING))
		signal_kick_locked(
		    t, false); /* it stops with its process, as others do */
	spin_unlock(&p->lock);
}

int
ptrace_fork_kind(uint64_t clone_flags, int exit_signal)
{
	enum { CLONE_VFORK = 0x4000, CLONE_UNTRACED = 0x800000 };
	int event = PTRACE_EVENT_FORK;

	if (!is_traced(current_thread()) || (clone_flags & CLONE_UNTRACED))
		return 0;
	if (clone_flags & CLONE_VFORK)
		event = PTRACE_EVENT_VFORK;
	else if (exit_signal != SIGCHLD)
		event = PTRACE_EVENT_CLONE;
	return ptrace_wants(current_thread(), event) ? event : 0;
}

void
ptrace_attach_child(struct thread *child, struct trace *tr)
{
	struct thread *t = current_thread();
	const struct trace *mine = t->trace;

	child->trace = tr;
	spin_lock(&proc_tree_lock);
	if (is_traced(t)) {
		tr->is_seized = mine->is_seized;
		tr->options = mine->options;
		tr->is_privileged = mine->is_privileged;
		ptrace_link_locked(child, mine->tracer);
		if (tr->is_seized)
			tr->is_trap_due = true;
		else
			child->sig_pending |= SIGMASK(SIGSTOP);
		__atomic_fetch_or(&child->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	}
	spin_unlock(&proc_tree_lock);
}

/* ---- exec -------------------------------------------------------------------------- */

bool
ptrace_exec_is_safe(void)
{
	struct thread *t = current_thread();
	bool is_safe;

	spin_lock(&proc_tree_lock);
	is_safe = !is_traced(t) || t->trace->is_privileged;
	spin_unlock(&proc_tree_lock);
	return is_safe;
}

void
ptrace_exec(uint32_t old_tid)
{
	struct thread *t = current_thread();
	struct siginfo info = {
	    .signo = SIGTRAP, .code = SI_USER, .pid = t->tid, .uid = current_cred()->uid};

	if (!t->trace)
		return;
	t->trace->is_step_forced = false;
	t->trace->breakpoints = (struct breakpoints){0};
	thread_set_work(0, THREAD_HAS_BREAKPOINTS);
	if (ptrace_wants(t, PTRACE_EVENT_EXEC))
		ptrace_event(PTRACE_EVENT_EXEC, old_tid);
	else if (is_traced(t) && !t->trace->is_seized)
		(void)signal_send_thread(t, SIGTRAP, &info); /* it is alive */
}

void
ptrace_forget(struct thread *t)
{
	bool was_traced;

	spin_lock(&proc_tree_lock);
	was_traced = is_traced(t);
	if (was_traced)
		ptrace_unlink_locked(t->trace);
	spin_unlock(&proc_tree_lock);
	if (was_traced)
		thread_put(t);
}

/* ---- exit -------------------------------------------------------------------------- */

bool
ptrace_is_own_locked(const struct thread *t, const struct process *tracer)
{
	return t && is_traced(t) && t->trace->tracer->process == tracer;
}

bool
ptrace_is_foreign_locked(const struct process *p)
{
	return p->leader && is_traced(p->leader) &&
	       !ptrace_is_own_locked(p->leader, p->parent);
}

void
ptrace_exit_event(int status)
{
	if (is_traced(current_thread()))
		ptrace_event(PTRACE_EVENT_EXIT, (uint64_t)status);
}

/* The first thread that `tracer` traces, let go; a reference, or NULL. */
static struct thread *
let_one_go(struct thread *tracer, bool *is_reaped)
{
	struct trace *tr;
	struct thread *t = NULL;

	*is_reaped = false;
	spin_lock(&proc_tree_lock);
	list_for_each(tr, &tracer->process->tracees, link) {
		if (tr->tracer != tracer)
			continue;
		t = tr->thread;
		break;
	}
	if (t) {
		bool is_foreign = ptrace_is_foreign_locked(t->process);

		if (tr->options & PTRACE_O_EXITKILL)
			(void)signal_send_process(
			    t->process, SIGKILL, NULL); /* or dead */
		ptrace_unlink_locked(tr);
		if (is_foreign && t == t->process->leader && t->process->is_zombie)
			*is_reaped = process_tell_parent_locked(t->process);
	}
	spin_unlock(&proc_tree_lock);
	return t;
}

void
ptrace_exit_tracer(void)
{
	struct thread *me = current_thread(), *t;
	bool is_reaped;

	if (list_is_empty(&me->process->tracees))
		return;
	while ((t = let_one_go(me, &is_reaped))) {
		if (is_reaped)
			process_reaped(t->process);
		thread_put(t);
	}
}

void
ptrace_thread_ended(struct thread *t, int status)
{
	if (!is_traced(t))
		return;
	spin_lock(&proc_tree_lock);
	if (is_traced(t) && t != t->process->leader) {
		spin_lock(&t->process->lock);
		t->trace->is_ended = true;
		t->trace->status = status;
		spin_unlock(&t->process->lock);
		ptrace_tell_end_locked(t, status);
	}
	spin_unlock(&proc_tree_lock);
}
