/*
 * Signals on the way back to user mode: takes them off the queues one by one, does what
 * their action says, and settles what becomes of an interrupted system call.
 */
#include "kernel/proc/signal.h"

#define LOG_PREFIX "signal: "

#include "kernel/log.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/rseq.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/proc/wait.h"
#include "kernel/x86/trap.h"
#include "mm/usercopy.h"

enum { NR_RESTART_SYSCALL = 219, SYSCALL_INSN_LEN = 2 };

struct delivery {
	struct siginfo info;
	struct sigaction action;
};

/* ---- Stopping ---------------------------------------------------------------------- */

/* The thread stays here while its process is stopped. Called and returns with p->lock
 * held. */
static void
signal_park_locked(struct process *p, struct thread *t) NO_THREAD_SAFETY_ANALYSIS
{
	bool was_parked = t->trace && t->trace->is_parked, is_last;

	p->num_parked += was_parked ? 0 : 1;
	is_last = p->num_parked >= p->num_threads && !p->is_stop_told;
	if (is_last)
		p->is_stop_told = true;
	if (t->trace)
		t->trace->is_stop_due = false;
	if (t->trace)
		t->trace->is_parked = is_traced(t);
	spin_unlock(&p->lock);
	if (is_last)
		process_report(p, CLD_STOPPED);
	if (is_traced(t)) { /* it stays counted, even when its tracer lets it go on */
		ptrace_trap();
		spin_lock(&p->lock);
		return;
	}
	(void)wait_event(&p->stop_wait,
	    !p->is_stopped || is_traced(t) || signal_is_fatal_pending(t), WAIT_KILLABLE,
	    NO_TIMEOUT); /* however it ended, the caller looks again */
	spin_lock(&p->lock);
	p->num_parked--;
}

/*
 * A stop signal was taken. SIGSTOP stops always; the others only when somebody could
 * continue the process (POSIX XSH 2.4.4). The look at the group needs the lock released:
 * a SIGCONT that comes then wins. Called and returns with p->lock held.
 */
static void
signal_stop_locked(struct process *p, struct thread *t, int sig) NO_THREAD_SAFETY_ANALYSIS
{
	bool is_orphaned = false;

	if (p->is_stopped)
		return;
	p->is_stop_taken = true;
	if (sig != SIGSTOP) {
		spin_unlock(&p->lock);
		spin_lock(&proc_tree_lock);
		is_orphaned = pgroup_is_orphaned_locked(p->pgroup, NULL);
		spin_unlock(&proc_tree_lock);
		spin_lock(&p->lock);
	}
	if (!p->is_stop_taken || is_orphaned || p->is_exiting)
		return;
	p->is_stop_taken = false;
	p->is_stopped = true;
	p->is_stop_told = false;
	p->stop_signal = (uint8_t)sig;
	ptrace_job_control_locked(p, true);
	signal_kick_all_locked(p, t, false);
}

/* ---- Actions ----------------------------------------------------------------------- */

static NORETURN void
signal_kill_process(const struct trap_frame *frame, const struct siginfo *info)
{
	const struct thread *t = current_thread();

	if (SIGMASK(info->signo) & SIGNALS_CORE && info->code > 0 &&
	    info->code != SI_KERNEL)
		log_info("%s[%u]: signal %d code %d at address %lx, ip %lx sp %lx",
		    t->name, t->tid, info->signo, info->code, (unsigned long)info->addr,
		    (unsigned long)frame->rip, (unsigned long)frame->rsp);
	process_exit_by_signal(info);
}

/* The default action of a signal that does not kill. Lock held, as it returns. true:
 * done. */
static bool
signal_default_locked(struct process *p, struct thread *t, const struct siginfo *info)
{
	uint64_t bit = SIGMASK(info->signo);
	bool is_fault = info->code > 0 && info->code != SI_KERNEL && (bit & SIGNALS_CORE);

	if (bit & SIGNALS_IGNORE)
		return true;
	if (p == init_process && !is_fault)
		return true;
	if (bit & SIGNALS_STOP) {
		signal_stop_locked(p, t, info->signo);
		return true;
	}
	return false;
}

static struct sigaction
signal_fetch_action_locked(struct process *p, int sig)
{
	struct signal_actions *a = p->sigactions;
	struct sigaction action;

	spin_lock(&a->lock);
	action = a->actions[sig - 1];
	if ((action.flags & SA_RESETHAND) && action.handler > SIG_IGN)
		a->actions[sig - 1].handler = SIG_DFL;
	spin_unlock(&a->lock);
	return action;
}

/* Finds the next signal with a handler; does what the others ask for. false: none is
 * left. */
static bool
signal_next(const struct trap_frame *frame, struct delivery *d) NO_THREAD_SAFETY_ANALYSIS
{
	struct thread *t = current_thread();
	struct process *p = t->process;

	spin_lock(&p->lock);
	for (;;) {
		if (p->is_exiting || (p->exec_thread && p->exec_thread != t)) {
			spin_unlock(&p->lock);
			process_exit_thread(0);
		}
		if (p->is_continue_due) {
			p->is_continue_due = false;
			spin_unlock(&p->lock);
			process_report(p, CLD_CONTINUED);
			spin_lock(&p->lock);
			continue;
		}
		if (p->is_stopped && trace_must_park(t)) {
			signal_park_locked(p, t);
			continue;
		}
		if (is_traced(t) && (t->trace->is_trap_due || t->trace->is_notify_due)) {
			spin_unlock(&p->lock);
			ptrace_trap();
			spin_lock(&p->lock);
			continue;
		}
		if (!signal_dequeue_locked(t, t->sig_blocked, &d->info))
			break;
		if (is_traced(t) && d->info.signo != SIGKILL) {
			int sig;

			spin_unlock(&p->lock);
			sig = ptrace_signal_stop(&d->info);
			spin_lock(&p->lock);
			if (!sig)
				continue;
		}
		d->action = signal_fetch_action_locked(p, d->info.signo);
		if (d->action.handler == SIG_IGN)
			continue;
		if (d->action.handler != SIG_DFL) {
			spin_unlock(&p->lock);
			return true;
		}
		if (signal_default_locked(p, t, &d->info))
			continue;
		spin_unlock(&p->lock);
		signal_kill_process(frame, &d->info);
	}
	signal_recalc_locked(t);
	spin_unlock(&p->lock);
	return false;
}

/* ---- System calls that were interrupted ----------------------------------------------
 */

static void
syscall_repeat(struct trap_frame *f, uint64_t number)
{
	f->rax = number;
	f->rip -= SYSCALL_INSN_LEN;
}

static void
syscall_settle(struct trap_frame *f, const struct sigaction *action)
{
	if (f->vector != TRAP_SYSCALL || (int64_t)f->error < 0)
		return;
	switch ((int64_t)f->rax) {
	case ERR_RESTARTSYS:
		if (action && !(action->flags & SA_RESTART))
			f->rax = (uint64_t)ERR_INTR;
		else
			syscall_repeat(f, f->error);
		break;
	case ERR_RESTARTNOINTR: syscall_repeat(f, f->error); break;
	case ERR_RESTARTNOHAND:
		if (action)
			f->rax = (uint64_t)ERR_INTR;
		else
			syscall_repeat(f, f->error);
		break;
	case ERR_RESTART_BLOCK:
		if (action)
			f->rax = (uint64_t)ERR_INTR;
		else
			syscall_repeat(f, NR_RESTART_SYSCALL);
		break;
	default: return;
	}
	f->error =
	    (uint64_t)-1; /* settled: further signals of this round leave it alone */
}

/* The handler's frame is on the user's stack: its mask holds from here. */
static void
signal_enter_handler(struct thread *t, const struct delivery *d)
{
	uint64_t mask = t->sig_blocked | d->action.mask;

	if (!(d->action.flags & SA_NODEFER))
		mask |= SIGMASK(d->info.signo);
	__atomic_fetch_and(&t->flags, ~(uint32_t)THREAD_RESTORE_MASK, __ATOMIC_RELAXED);
	signal_set_blocked(mask);
}

static void
signal_run_handlers(struct thread *t, struct trap_frame *frame)
{
	struct delivery d;

	while (signal_next(frame, &d)) {
		bool is_stepped = ptrace_step_ends(t);

		syscall_settle(frame, &d.action);
		if (rseq_interrupt(frame) && sigframe_push(frame, &d.action, &d.info)) {
			signal_enter_handler(t, &d);
			if (is_stepped)
				ptrace_handler_entered();
			continue;
		}
		if (d.info.signo ==
		    SIGSEGV) { /* its own handler has no stack, or rseq: it kills */
			d.info.code = SEGV_MAPERR;
			signal_kill_process(frame, &d.info);
		}
		signal_fault(SIGSEGV, SI_KERNEL, 0);
	}
}

void
signal_deliver(struct trap_frame *frame)
{
	struct thread *t = current_thread();

	if (t->set_child_tid) {
		(void)put_user(
		    t->tid, t->set_child_tid); /* a bad address is the caller's loss */
		t->set_child_tid = NULL;
	}
	ptrace_call_exit(frame);
	do {
		signal_run_handlers(t, frame);
		syscall_settle(frame, NULL);
		if (t->flags & THREAD_RESTORE_MASK) {
			__atomic_fetch_and(
			    &t->flags, ~(uint32_t)THREAD_RESTORE_MASK, __ATOMIC_RELAXED);
			signal_set_blocked(t->sig_saved_mask);
		}
	} while (t->flags & THREAD_NEED_SIGNAL);
}
