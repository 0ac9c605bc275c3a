/*
 * Sending signals and what waits to be delivered. A process has a queue its threads
 * share, and each thread one of its own; both, the masks and the stop state are under the
 * process's lock. A signal that a thread must look at sets THREAD_NEED_SIGNAL, which
 * entry code checks on the way to user mode and sleeping calls check before they sleep:
 * the flag alone is "a signal is pending".
 *
 * Standard signals are queued once, real-time ones (32..64) each time, in order, with
 * their siginfo. Signals whose action is to ignore them are dropped at once unless
 * blocked.
 */
#include "kernel/proc/signal.h"

#include "kernel/panic.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/x86/ipi.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"

/* Faults of the instruction itself come before what others sent. */
#define SIGNALS_SYNCHRONOUS \
	(SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | \
	    SIGMASK(SIGFPE) | SIGMASK(SIGSYS))

static struct slab_cache *queued_cache, *actions_cache;

void
signal_init(void)
{
	queued_cache = slab_cache_create("signal", sizeof(struct queued_signal), 0);
	actions_cache = slab_cache_create("sigactions", sizeof(struct signal_actions), 0);
	if (!queued_cache || !actions_cache)
		panic("signal: no memory for the caches");
}

struct signal_actions *
signal_actions_create(void)
{
	struct signal_actions *a = slab_zalloc(actions_cache);

	if (!a)
		return NULL;
	a->refs = 1;
	spin_init(&a->lock, "sigactions", RANK_SIGNAL);
	return a;
}

struct signal_actions *
signal_actions_copy(const struct signal_actions *from)
{
	struct signal_actions *a = slab_alloc(actions_cache);

	if (!a)
		return NULL;
	a->refs = 1;
	spin_init(&a->lock, "sigactions", RANK_SIGNAL);
	memcpy(a->actions, from->actions, sizeof(a->actions));
	return a;
}

struct signal_actions *
signal_actions_get(struct signal_actions *a)
{
	__atomic_fetch_add(&a->refs, 1, __ATOMIC_RELAXED);
	return a;
}

void
signal_actions_put(struct signal_actions *a)
{
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
		slab_free(actions_cache, a);
}

void
signal_actions_reset(struct signal_actions *a)
{
	for (unsigned i = 0; i < NSIG; i++) {
		uint64_t handler = a->actions[i].handler == SIG_IGN ? SIG_IGN : SIG_DFL;

		a->actions[i] = (struct sigaction){.handler = handler};
	}
}

struct sigaction
signal_action_of(const struct process *p, int sig)
{
	struct signal_actions *a = p->sigactions;
	struct sigaction action;

	spin_lock(&a->lock);
	action = a->actions[sig - 1];
	spin_unlock(&a->lock);
	return action;
}

static uint64_t
signal_handler_of(const struct process *p, int sig)
{
	return __atomic_load_n(
	    &p->sigactions->actions[sig - 1].handler, __ATOMIC_RELAXED);
}

/* ---- Queues ------------------------------------------------------------------------ */

static void
queued_free(struct process *p, struct queued_signal *q)
{
	if (q->timer) {
		q->is_queued = false;
		return;
	}
	__atomic_fetch_sub(&p->num_queued_signals, 1, __ATOMIC_RELAXED);
	slab_free(queued_cache, q);
}

/* Room for one more, within RLIMIT_SIGPENDING; NULL: the signal goes without its siginfo.
 */
static struct queued_signal *
queued_alloc(struct process *p, bool is_privileged)
{
	struct queued_signal *q;

	if (__atomic_add_fetch(&p->num_queued_signals, 1, __ATOMIC_RELAXED) >
	        p->rlimits[RLIMIT_SIGPENDING].cur &&
	    !is_privileged)
		q = NULL;
	else
		q = slab_zalloc(queued_cache);
	if (!q)
		__atomic_fetch_sub(&p->num_queued_signals, 1, __ATOMIC_RELAXED);
	return q;
}

static void
queue_drop_locked(struct process *p, uint64_t *pending, struct list *infos, uint64_t set)
{
	struct queued_signal *q, *next;

	if (!(*pending & set))
		return;
	*pending &= ~set;
	list_for_each_safe(q, next, infos, link) {
		if (!(SIGMASK(q->info.signo) & set))
			continue;
		list_remove(&q->link);
		queued_free(p, q);
	}
}

void
signal_queue_flush(struct process *p, struct signal_queue *q)
{
	queue_drop_locked(p, &q->pending, &q->infos, ~0ull);
}

/* Takes `sig` with the oldest siginfo there is for it; more of it may stay queued. */
static void
queue_take_locked(
    struct process *p, uint64_t *pending, struct list *infos, struct siginfo *info)
{
	int sig = info->signo;
	struct queued_signal *q, *first = NULL;
	struct posix_timer *timer;
	bool has_more = false;

	list_for_each(q, infos, link) {
		if (q->info.signo != sig)
			continue;
		if (first) {
			has_more = true;
			break;
		}
		first = q;
	}
	if (first) {
		*info = first->info;
		list_remove(&first->link);
		timer = first->timer;
		queued_free(p, first);
		if (timer)
			info->uid = posix_timer_taken_locked(timer);
	}
	if (!has_more)
		*pending &= ~SIGMASK(sig);
}

int
signal_dequeue_locked(struct thread *t, uint64_t blocked, struct siginfo *info)
{
	struct process *p = t->process;
	struct signal_queue *shared = &p->shared_pending;
	uint64_t own = t->sig_pending & ~blocked,
	         all = own | (shared->pending & ~blocked);
	int sig;

	if (!all)
		return 0;
	if (own & SIGNALS_SYNCHRONOUS)
		own &= SIGNALS_SYNCHRONOUS;
	sig = (int)bit_first(own ? own : all) + 1;
	*info = (struct siginfo){.signo = sig, .code = SI_USER};
	if (own)
		queue_take_locked(p, &t->sig_pending, &t->sig_queue, info);
	else
		queue_take_locked(p, &shared->pending, &shared->infos, info);
	return sig;
}

void
signal_recalc_locked(struct thread *t)
{
	struct process *p = t->process;
	uint64_t ready = (t->sig_pending | p->shared_pending.pending) & ~t->sig_blocked;

	if (ready || p->is_exiting || (p->is_stopped && trace_must_park(t)) ||
	    p->is_continue_due || (p->exec_thread && p->exec_thread != t) ||
	    trace_has_work(t))
		__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(
		    &t->flags, ~(uint32_t)THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
}

/* ---- Waking ------------------------------------------------------------------------ */

void
signal_kick_locked(struct thread *t, bool kill)
{
	__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_SEQ_CST);
	if (t == current_thread())
		return;
	if (kill)
		ptrace_kill_locked(t);
	if (kill)
		thread_wake_killable(t);
	else
		thread_wake_interruptible(t);
	/* In user mode on another CPU: an interrupt brings it into the kernel and out
	 * again. */
	if (t->sched.is_running && t->sched.cpu != this_cpu())
		ipi_reschedule(t->sched.cpu);
}

void
signal_kick_all_locked(struct process *p, struct thread *except, bool kill)
{
	struct thread *t;

	list_for_each(t, &p->threads, process_link)
		if (t != except)
			signal_kick_locked(t, kill);
}

static bool
thread_wants(const struct thread *t, int sig)
{
	if (t->flags & THREAD_EXITING)
		return false;
	return !(t->sig_blocked & SIGMASK(sig)) || (t->sig_waited & SIGMASK(sig));
}

/* The thread that gets a signal to the process: the current one, else the first that
 * wants it. */
static struct thread *
signal_choose_thread_locked(struct process *p, int sig)
{
	struct thread *t = current_thread();

	if (t && t->process == p && thread_wants(t, sig))
		return t;
	list_for_each(t, &p->threads, process_link)
		if (thread_wants(t, sig))
			return t;
	return NULL;
}

/* ---- Sending ----------------------------------------------------------------------- */

/* A stop signal takes back a SIGCONT that waits, and the other way round (POSIX 2.4.3).
 */
static void
signal_cancel_opposites_locked(struct process *p, int sig)
{
	uint64_t set = 0;
	struct thread *t;

	if (SIGMASK(sig) & SIGNALS_STOP)
		set = SIGMASK(SIGCONT);
	else if (sig == SIGCONT)
		set = SIGNALS_STOP;
	if (!set)
		return;
	queue_drop_locked(p, &p->shared_pending.pending, &p->shared_pending.infos, set);
	list_for_each(t, &p->threads, process_link)
		queue_drop_locked(p, &t->sig_pending, &t->sig_queue, set);
	if (sig != SIGCONT)
		return;
	ptrace_job_control_locked(p, false);
	p->is_stop_taken = false;
	if (p->is_stopped) {
		p->is_stopped = false;
		p->is_continue_due = p->is_stop_told;
		p->is_stop_told = false;
		signal_kick_all_locked(p, NULL, false);
		wait_queue_wake_all(&p->stop_wait);
	}
}

/* Whether nothing at all would come of delivering it. */
static bool
signal_is_ignored(const struct process *p, const struct thread *target, int sig)
{
	const struct thread *t = target ? target : p->leader;
	uint64_t handler = signal_handler_of(p, sig);

	if ((t->sig_blocked & SIGMASK(sig)) || (is_traced(t) && sig != SIGKILL))
		return false;
	if (handler == SIG_IGN)
		return true;
	/* PID 1 gets only what it has a handler for. */
	return handler == SIG_DFL &&
	       ((SIGMASK(sig) & SIGNALS_IGNORE) || p == init_process);
}

static bool
signal_kills_at_once(const struct process *p, int sig)
{
	uint64_t bit = SIGMASK(sig);

	return sig == SIGKILL ||
	       (signal_handler_of(p, sig) == SIG_DFL &&
	           !(bit & (SIGNALS_STOP | SIGNALS_IGNORE | SIGNALS_CORE)));
}

/* The pending signal is in its queue: lets somebody look at it. */
static void
signal_announce_locked(struct process *p, struct thread *target, int sig)
{
	struct thread *t;

	if (target)
		t = thread_wants(target, sig) ? target : NULL;
	else
		t = signal_choose_thread_locked(p, sig);
	if (!t)
		return;
	if (p->is_exiting && sig == SIGKILL) {
		p->is_core_cut = true;
		signal_kick_all_locked(
		    p, NULL, true); /* stopped in its exit by a tracer */
	} else if (signal_kills_at_once(p, sig) && !(t->sig_waited & SIGMASK(sig)) &&
	           !(is_traced(t) && sig != SIGKILL) && !p->is_exiting) {
		p->is_exiting = true;
		p->exit_status = sig;
		signal_kick_all_locked(p, NULL, true);
		wait_queue_wake_all(&p->stop_wait);
	} else {
		signal_kick_locked(t, sig == SIGKILL);
	}
}

/* `q` NULL: without what it says. */
static void
queue_add_locked(
    struct process *p, struct thread *target, int sig, struct queued_signal *q)
{
	if (q)
		list_push_back(
		    target ? &target->sig_queue : &p->shared_pending.infos, &q->link);
	*(target ? &target->sig_pending : &p->shared_pending.pending) |= SIGMASK(sig);
	if (!list_is_empty(&p->signalfd_wait.waiters))
		wait_queue_wake(&p->signalfd_wait, ~0u, 0);
}

/* Puts it on the queue: true if it is new there. `q` is used, and set to NULL, or left.
 */
static bool
signal_enqueue_locked(struct process *p, struct thread *target,
    const struct siginfo *info, struct queued_signal **q)
{
	int sig = info->signo;
	uint64_t pending = target ? target->sig_pending : p->shared_pending.pending;

	if (sig < SIGRTMIN && (pending & SIGMASK(sig)))
		return sig == SIGKILL;
	if (*q)
		(*q)->info = *info;
	queue_add_locked(p, target, sig, *q);
	*q = NULL;
	return true;
}

/* Whether there is nobody (any more) who could take it. */
static bool
is_past_signals(const struct process *p, const struct thread *target, int sig)
{
	return !p->num_threads || (target && (target->flags & THREAD_EXITING)) ||
	       (p->core_dumper && sig != SIGKILL);
}

/* Unlike other standard signals, those of timers do not stand for each other. */
void
signal_send_timer_locked(
    struct process *p, struct thread *target, struct queued_signal *q)
{
	int sig = q->info.signo;

	if (is_past_signals(p, target, sig))
		return;
	signal_cancel_opposites_locked(p, sig);
	if (signal_is_ignored(p, target, sig))
		return;
	q->target = target;
	q->is_queued = true;
	queue_add_locked(p, target, sig, q);
	signal_announce_locked(p, target, sig);
}

void
signal_drop_timer_locked(struct process *p, struct queued_signal *q)
{
	struct thread *t = q->target;
	struct list *infos = t ? &t->sig_queue : &p->shared_pending.infos;
	const struct queued_signal *other;

	if (!q->is_queued)
		return;
	list_remove(&q->link);
	q->is_queued = false;
	list_for_each(other, infos, link)
		if (other->info.signo == q->info.signo)
			return;
	*(t ? &t->sig_pending : &p->shared_pending.pending) &= ~SIGMASK(q->info.signo);
}

static enum err
signal_send(
    struct process *p, struct thread *target, int sig, const struct siginfo *given)
{
	struct siginfo info = given ? *given : (struct siginfo){.code = SI_KERNEL};
	struct queued_signal *q;

	if (sig == 0)
		return OK;
	if (sig < 0 || sig > NSIG)
		return ERR_INVAL;
	info.signo = sig;
	q = queued_alloc(p, sig < SIGRTMIN && info.code >= 0);
	if (!q && sig >= SIGRTMIN && given && info.code != SI_USER)
		return ERR_AGAIN;

	spin_lock(&p->lock);
	if (!is_past_signals(p, target, sig)) {
		signal_cancel_opposites_locked(p, sig);
		if (!signal_is_ignored(p, target, sig) &&
		    signal_enqueue_locked(p, target, &info, &q))
			signal_announce_locked(p, target, sig);
	}
	spin_unlock(&p->lock);
	if (q)
		queued_free(p, q);
	return OK;
}

enum err
signal_send_process(struct process *p, int sig, const struct siginfo *info)
{
	return signal_send(p, NULL, sig, info);
}

enum err
signal_send_thread(struct thread *t, int sig, const struct siginfo *info)
{
	return signal_send(t->process, t, sig, info);
}

enum err
signal_send_pgroup_locked(uint32_t pgid, int sig, const struct siginfo *info)
{
	struct pgroup *g = pgroup_find_locked(pgid);
	enum err result = ERR_SRCH;
	struct process *p;

	if (!g)
		return ERR_SRCH;
	list_for_each(p, &g->members, pgroup_link) {
		enum err err = signal_send(p, NULL, sig, info);

		if (result != OK)
			result = err;
	}
	return result;
}

enum err
signal_send_pgroup(uint32_t pgid, int sig, const struct siginfo *info)
{
	enum err err;

	spin_lock(&proc_tree_lock);
	err = signal_send_pgroup_locked(pgid, sig, info);
	spin_unlock(&proc_tree_lock);
	return err;
}

void
signal_fault(int sig, int code, vaddr_t addr)
{
	const struct siginfo info = {.signo = sig, .code = code, .addr = addr};

	signal_force(&info);
}

void
signal_force(const struct siginfo *info)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	struct queued_signal *q = queued_alloc(p, true);
	int sig = info->signo;
	struct sigaction *action;

	spin_lock(&p->lock);
	spin_lock(&p->sigactions->lock);
	action = &p->sigactions->actions[sig - 1];
	if (action->handler == SIG_IGN || (t->sig_blocked & SIGMASK(sig)))
		action->handler = SIG_DFL;
	spin_unlock(&p->sigactions->lock);
	t->sig_blocked &= ~SIGMASK(sig);
	if (signal_enqueue_locked(p, t, info, &q))
		signal_kick_locked(t, false);
	spin_unlock(&p->lock);
	if (q)
		queued_free(p, q);
}

bool
signal_peek(struct thread *t, bool is_shared, uint64_t index, struct siginfo *info)
{
	struct process *p = t->process;
	const struct list *infos = is_shared ? &p->shared_pending.infos : &t->sig_queue;
	const struct queued_signal *q;
	bool is_found = false;

	spin_lock(&p->lock);
	list_for_each(q, infos, link) {
		if (index-- > 0)
			continue;
		*info = q->info;
		is_found = true;
		break;
	}
	spin_unlock(&p->lock);
	return is_found;
}

/* ---- Asking and masking ------------------------------------------------------------ */

bool
signal_is_pending(const struct thread *t)
{
	return __atomic_load_n(&t->flags, __ATOMIC_RELAXED) & THREAD_NEED_SIGNAL;
}

bool
signal_is_fatal_pending(const struct thread *t)
{
	const struct process *p = t->process;

	if (p && p->core_dumper == t)
		return p->is_core_cut;
	return p && (p->is_exiting || (p->exec_thread && p->exec_thread != t));
}

/* Shared signals of `set` that this thread will no longer take: another is to look at
 * them. */
static void
signal_hand_over_locked(struct process *p, const struct thread *from, uint64_t set)
{
	struct thread *t;

	set &= p->shared_pending.pending;
	if (!set)
		return;
	list_for_each(t, &p->threads, process_link)
		if (t != from && !(t->flags & THREAD_EXITING) && (set & ~t->sig_blocked))
			signal_kick_locked(t, false);
}

void
signal_set_blocked(uint64_t mask)
{
	struct thread *t = current_thread();
	struct process *p = t->process;

	mask &= ~SIGNALS_UNBLOCKABLE;
	if (mask == t->sig_blocked)
		return;
	spin_lock(&p->lock);
	signal_hand_over_locked(p, t, mask & ~t->sig_blocked);
	t->sig_blocked = mask;
	signal_recalc_locked(t);
	spin_unlock(&p->lock);
}

void
signal_thread_exit(struct thread *t)
{
	struct process *p = t->process;

	spin_lock(&p->lock);
	__atomic_fetch_or(&t->flags, THREAD_EXITING, __ATOMIC_RELAXED);
	queue_drop_locked(p, &t->sig_pending, &t->sig_queue, ~0ull);
	signal_hand_over_locked(p, t, ~t->sig_blocked);
	spin_unlock(&p->lock);
}

int
signal_take_from(uint64_t set, struct siginfo *info)
{
	struct thread *t = current_thread();
	struct process *p = t->process;
	int sig;

	spin_lock(&p->lock);
	sig = signal_dequeue_locked(t, ~(set & ~SIGNALS_UNBLOCKABLE), info);
	signal_recalc_locked(t);
	spin_unlock(&p->lock);
	return sig;
}
