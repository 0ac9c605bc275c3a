/* System calls about signals: actions, masks, sending, waiting for them. */
#include "syscalls.h"

#include "kernel/proc/pidfd.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/sigframe.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/usercopy.h"

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

static bool
signal_number_ok(int sig)
{
	return sig >= 1 && sig <= NSIG;
}

/* ---- Actions and masks ---------------------------------------------------------------
 */

/* A signal that becomes ignored is no longer pending either (POSIX sigaction). */
static void
signal_drop_ignored(struct process *p, int sig, uint64_t handler)
{
	struct siginfo info;
	struct thread *t;

	if (handler != SIG_IGN &&
	    !(handler == SIG_DFL && (SIGMASK(sig) & SIGNALS_IGNORE)))
		return;
	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		while (signal_dequeue_locked(t, ~SIGMASK(sig), &info))
			;
	spin_unlock(&p->lock);
}

long
sys_rt_sigaction(
    int sig, const struct sigaction USER *act, struct sigaction USER *old, size_t setsize)
{
	struct process *p = current_process();
	struct signal_actions *a = p->sigactions;
	struct sigaction new, before;

	if (setsize != sizeof(uint64_t) || !signal_number_ok(sig))
		return ERR_INVAL;
	if (act && (SIGMASK(sig) & SIGNALS_UNBLOCKABLE))
		return ERR_INVAL;
	if (act && get_user(new, act) != OK)
		return ERR_FAULT;
	spin_lock(&a->lock);
	before = a->actions[sig - 1];
	if (act) {
		new.mask &= ~SIGNALS_UNBLOCKABLE;
		new.flags &= SA_KNOWN; /* so that programs see which there are */
		a->actions[sig - 1] = new;
	}
	spin_unlock(&a->lock);
	if (act)
		signal_drop_ignored(p, sig, new.handler);
	return old ? put_user(before, old) : OK;
}

long
sys_rt_sigprocmask(int how, const uint64_t USER *set, uint64_t USER *old, size_t setsize)
{
	struct thread *t = current_thread();
	uint64_t before = t->sig_blocked, mask;

	if (setsize != sizeof(uint64_t))
		return ERR_INVAL;
	if (set) {
		if (get_user(mask, set) != OK)
			return ERR_FAULT;
		if (how == SIG_BLOCK)
			mask |= before;
		else if (how == SIG_UNBLOCK)
			mask = before & ~mask;
		else if (how != SIG_SETMASK)
			return ERR_INVAL;
		signal_set_blocked(mask);
	}
	return old ? put_user(before, old) : OK;
}

long
sys_rt_sigpending(uint64_t USER *set, size_t setsize)
{
	struct thread *t = current_thread();
	uint64_t pending =
	    (t->sig_pending | t->process->shared_pending.pending) & t->sig_blocked;

	if (setsize > sizeof(uint64_t))
		return ERR_INVAL;
	return copy_to_user(set, &pending, setsize);
}

enum err
signal_begin_mask(const uint64_t USER *mask, size_t setsize)
{
	struct thread *t = current_thread();
	uint64_t new;

	if (!mask)
		return OK;
	if (setsize != sizeof(uint64_t))
		return ERR_INVAL;
	if (get_user(new, mask) != OK)
		return ERR_FAULT;
	t->sig_saved_mask = t->sig_blocked;
	__atomic_fetch_or(&t->flags, THREAD_RESTORE_MASK, __ATOMIC_RELAXED);
	signal_set_blocked(new);
	return OK;
}

void
signal_end_mask(bool was_interrupted)
{
	struct thread *t = current_thread();

	if (!(t->flags & THREAD_RESTORE_MASK))
		return;
	if (was_interrupted && signal_is_pending(t))
		return; /* signal_deliver restores it, after the handler has its frame */
	__atomic_fetch_and(&t->flags, ~(uint32_t)THREAD_RESTORE_MASK, __ATOMIC_RELAXED);
	signal_set_blocked(t->sig_saved_mask);
}

/* Sleeps until a signal is to be looked at: ERR_RESTARTSYS, or ERR_TIMEDOUT. */
static enum err
signal_sleep(nsec_t deadline_ns)
{
	return wait_alone(false, WAIT_INTERRUPTIBLE, deadline_ns);
}

long
sys_rt_sigsuspend(const uint64_t USER *set, size_t setsize)
{
	enum err err = set ? signal_begin_mask(set, setsize) : ERR_FAULT;

	if (err != OK)
		return err;
	(void)signal_sleep(NO_TIMEOUT); /* only a signal ends it */
	signal_end_mask(true);
	return ERR_RESTARTNOHAND;
}

long
sys_pause(void)
{
	(void)signal_sleep(NO_TIMEOUT); /* only a signal ends it */
	return ERR_RESTARTNOHAND;
}

long
sys_rt_sigtimedwait(const uint64_t USER *set, struct user_siginfo USER *info,
    const struct timespec USER *timeout, size_t setsize)
{
	struct thread *t = current_thread();
	nsec_t deadline = NO_TIMEOUT;
	struct timespec ts = {1, 0};
	struct siginfo taken;
	uint64_t wanted;
	enum err err;
	int sig;

	if (setsize != sizeof(uint64_t))
		return ERR_INVAL;
	if (get_user(wanted, set) != OK || (timeout && get_user(ts, timeout) != OK))
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	if (timeout)
		deadline = clock_now_ns() + timespec_to_ns(&ts);

	t->sig_waited = wanted;
	sig = signal_take_from(wanted, &taken);
	if (!sig && timespec_to_ns(&ts)) {
		err = signal_sleep(deadline);
		sig = signal_take_from(wanted, &taken);
	} else {
		err = ERR_TIMEDOUT;
	}
	t->sig_waited = 0;
	if (!sig)
		return err == ERR_TIMEDOUT ? ERR_AGAIN : ERR_INTR;
	err = info ? siginfo_to_user(info, &taken) : OK;
	return err == OK ? sig : err;
}

/* ---- Sending -------------------------------------------------------------------------
 */

static struct siginfo
siginfo_from_caller(int sig, int code)
{
	return (struct siginfo){.signo = sig,
	    .code = code,
	    .pid = current_process()->pid,
	    .uid = current_cred()->uid};
}

/* kill's rule (POSIX kill): one of our two ids is one of its two, or SIGCONT in our
 * session. */
static bool
has_signallers_ids(const struct process *p)
{
	const struct cred *me = current_cred(), *it;
	bool ok;

	if (p == current_process() || capable(CAP_KILL))
		return true;
	rcu_read_lock();
	it = rcu_dereference(p->cred);
	ok = me->euid == it->suid || me->euid == it->uid || me->uid == it->suid ||
	     me->uid == it->uid;
	rcu_read_unlock();
	return ok;
}

/* Tree lock held. One that has been reaped is in none. */
static bool
is_in_my_session_locked(const struct process *p)
{
	return p->pgroup && p->pgroup->session == current_process()->pgroup->session;
}

static bool
may_signal(const struct process *p, int sig)
{
	bool ok = has_signallers_ids(p);

	if (ok || sig != SIGCONT)
		return ok;
	spin_lock(&proc_tree_lock);
	ok = is_in_my_session_locked(p);
	spin_unlock(&proc_tree_lock);
	return ok;
}

static enum err
signal_send_checked(struct process *p, int sig, const struct siginfo *info)
{
	if (!may_signal(p, sig))
		return ERR_PERM;
	return signal_send_process(p, sig, info);
}

static enum err
signal_send_checked_locked(struct process *p, int sig, const struct siginfo *info)
{
	if (!has_signallers_ids(p) && !(sig == SIGCONT && is_in_my_session_locked(p)))
		return ERR_PERM;
	return signal_send_process(p, sig, info);
}

static enum err
kill_one(uint32_t pid, int sig, const struct siginfo *info)
{
	struct process *p = process_find(pid);
	enum err err;

	if (!p)
		return ERR_SRCH;
	err = signal_send_checked(p, sig, info);
	process_put(p);
	return err;
}

static enum err
kill_pgroup(uint32_t pgid, int sig, const struct siginfo *info)
{
	enum err result = ERR_SRCH;
	struct pgroup *g;
	struct process *p;

	spin_lock(&proc_tree_lock);
	g = pgroup_find_locked(pgid ? pgid : current_process()->pgroup->pgid);
	if (g) {
		list_for_each(p, &g->members, pgroup_link) {
			enum err err = signal_send_checked_locked(p, sig, info);

			if (result != OK)
				result = err;
		}
	}
	spin_unlock(&proc_tree_lock);
	return result;
}

struct kill_all {
	const struct siginfo *info;
	enum err result;
};

static bool
kill_all_one(struct process *p, void *arg)
{
	struct kill_all *k = arg;
	enum err err;

	if (p == init_process || p == current_process())
		return true;
	/* Nobody is told whom he does not reach. */
	err = signal_send_checked(p, k->info->signo, k->info);
	k->result = err == ERR_PERM ? OK : err;
	return true;
}

long
sys_kill(int pid, int sig)
{
	struct siginfo info = siginfo_from_caller(sig, SI_USER);
	struct kill_all all = {&info, ERR_SRCH};

	if (sig < 0 || sig > NSIG)
		return ERR_INVAL;
	if (pid > 0)
		return kill_one((uint32_t)pid, sig, &info);
	if (pid == INT32_MIN) /* has no group: its negative is no number */
		return ERR_SRCH;
	if (pid != -1)
		return kill_pgroup((uint32_t)-pid, sig, &info);
	process_for_each(kill_all_one, &all);
	return all.result;
}

/* Only the kernel and kill() may say what they say: codes >= 0 and SI_TKILL, except to the
 * thread itself, `id`. */
static enum err
siginfo_check_queue(const struct siginfo *info, uint32_t id)
{
	if ((info->code >= 0 || info->code == SI_TKILL) && id != current_thread()->tid)
		return ERR_PERM;
	return OK;
}

long
sys_pidfd_send_signal(
    int pidfd, int sig, const struct user_siginfo USER *uinfo, unsigned flags)
{
	struct siginfo info = siginfo_from_caller(sig, SI_USER);
	struct process *p;
	enum err err;

	if (flags)
		return ERR_INVAL;
	err = pidfd_signal_target(pidfd, &p);
	if (err != OK)
		return err;
	if (uinfo) {
		err = siginfo_from_user(&info, uinfo);
		if (err == OK && info.signo != sig)
			err = ERR_INVAL;
		if (err == OK)
			err = siginfo_check_queue(&info, p->pid);
	}
	if (err == OK && (sig < 0 || sig > NSIG))
		err = ERR_INVAL;
	if (err == OK && process_is_reaped(p))
		err = ERR_SRCH;
	if (err == OK)
		err = signal_send_checked(p, sig, &info);
	process_put(p);
	return err;
}

/* tgkill and its like: tgid 0 means whichever process the thread is of. */
static long
kill_thread(int tgid, int tid, int sig, const struct siginfo *info)
{
	struct thread *t;
	enum err err;

	if (tid <= 0 || sig < 0 || sig > NSIG)
		return ERR_INVAL;
	t = thread_find((uint32_t)tid);
	if (!t)
		return ERR_SRCH;
	if (tgid && t->process->pid != (uint32_t)tgid)
		err = ERR_SRCH;
	else if (!may_signal(t->process, sig))
		err = ERR_PERM;
	else
		err = signal_send_thread(t, sig, info);
	thread_put(t);
	return err;
}

long
sys_tkill(int tid, int sig)
{
	struct siginfo info = siginfo_from_caller(sig, SI_TKILL);

	return kill_thread(0, tid, sig, &info);
}

long
sys_tgkill(int pid, int tid, int sig)
{
	struct siginfo info = siginfo_from_caller(sig, SI_TKILL);

	if (pid <= 0)
		return ERR_INVAL;
	return kill_thread(pid, tid, sig, &info);
}

long
sys_rt_sigqueueinfo(int pid, int sig, const struct user_siginfo USER *uinfo)
{
	struct siginfo info;
	enum err err = siginfo_from_user(&info, uinfo);

	if (err == OK)
		err = siginfo_check_queue(&info, (uint32_t)pid);
	if (err != OK)
		return err;
	if (sig < 0 || sig > NSIG)
		return ERR_INVAL;
	info.signo = sig;
	return kill_one((uint32_t)pid, sig, &info);
}

long
sys_rt_tgsigqueueinfo(int pid, int tid, int sig, const struct user_siginfo USER *uinfo)
{
	struct siginfo info;
	enum err err = siginfo_from_user(&info, uinfo);

	if (err == OK)
		err = siginfo_check_queue(&info, (uint32_t)tid);
	if (err != OK)
		return err;
	if (pid <= 0)
		return ERR_INVAL;
	info.signo = sig;
	return kill_thread(pid, tid, sig, &info);
}
