/*
 * Terminals and sessions: who is controlled by a terminal, who may use it from the background, and what
 * happens when it is hung up or given up (POSIX XBD 11.1.3 to 11.1.5, 11.1.10).
 *
 * A session points at its terminal, and the terminal has the session's number: whoever changes both asks
 * the process tree first, whose lock ranks below a terminal's. A session holds no reference: before a
 * terminal goes away it is hung up, which takes it from its session, and it is freed by RCU.
 */
#include "drivers/char/tty.h"

#include "drivers/char/tty_priv.h"
#include "kernel/poll.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/session.h"
#include "kernel/proc/signal.h"
#include "kernel/stat.h"
#include "kernel/sync/rcu.h"
#include "lib/bits.h"
#include "syscalls.h"

void
tty_send_signals(uint32_t pgid, uint32_t signals)
{
	for (; signals; signals &= signals - 1)
		if (pgid)
			(void)signal_send_pgroup(
			    pgid, (int)bit_first(signals), NULL); /* may be gone */
}

enum err
tty_check_access(struct tty *tty, int sig)
{
	uint32_t sid, fg;

	if (session_current_tty() != tty)
		return OK;
	spin_lock(&tty->lock);
	sid = tty->sid;
	fg = tty->fg_pgid;
	spin_unlock(&tty->lock);
	if (fg == 0 || fg == session_current_pgid())
		return OK;
	return session_check_access(sid, fg, sig);
}

struct tty *
tty_get_current(void)
{
	struct tty *tty;

	rcu_read_lock();
	tty = session_current_tty();
	if (tty && !tty_try_get(tty))
		tty = NULL;
	rcu_read_unlock();
	return tty;
}

enum err
tty_become_controlling(struct tty *tty, bool steal)
{
	/* Asked before: job control's locks come before the terminal's. */
	uint32_t sid = session_current_sid(), pgid = session_current_pgid();
	uint32_t old_sid, hangups;
	enum err err;

	spin_lock(&tty->lock);
	old_sid = tty->sid;
	hangups = tty->hangups;
	spin_unlock(&tty->lock);
	if (old_sid == sid)
		return OK;
	if (old_sid && !steal)
		return ERR_PERM;
	err = session_attach_tty(tty);
	if (err != OK)
		return err;
	if (old_sid)
		session_detach_tty(old_sid);
	spin_lock(&tty->lock);
	/* Another session was faster, or there is nothing to control any more. */
	if (tty->sid != old_sid || tty->hangups != hangups)
		err = ERR_PERM;
	if (err == OK) {
		tty->sid = sid;
		tty->fg_pgid = pgid;
	}
	spin_unlock(&tty->lock);
	if (err != OK)
		session_detach_tty(sid);
	return err;
}

/* Takes the terminal from its session; returns the group that was in the foreground. */
static uint32_t
drop_session(struct tty *tty, uint32_t *sid)
{
	uint32_t pgid;

	spin_lock(&tty->lock);
	*sid = tty->sid;
	pgid = tty->fg_pgid;
	tty->sid = 0;
	tty->fg_pgid = 0;
	spin_unlock(&tty->lock);
	return pgid;
}

void
tty_hangup(struct tty *tty)
{
	uint32_t sid, pgid;

	spin_lock(&tty->lock);
	__atomic_add_fetch(&tty->hangups, 1, __ATOMIC_RELEASE);
	ldisc_flush_input(&tty->ldisc);
	tty->ldisc.is_stopped = false;
	spin_unlock(&tty->lock);
	pgid = drop_session(tty, &sid);
	if (sid)
		session_hangup(sid, pgid);
	wait_queue_wake(&tty->readers, ~0u, POLLIN | POLLRDNORM | POLLHUP | POLLERR);
	wait_queue_wake(&tty->writers, ~0u, POLLOUT | POLLWRNORM | POLLHUP | POLLERR);
}

enum err
tty_give_up(struct tty *tty)
{
	uint32_t pgid, sid;

	if (session_current_tty() != tty)
		return ERR_NOTTY;
	if (!session_current_is_leader())
		return OK;
	session_detach_tty(session_current_sid());
	pgid = drop_session(tty, &sid);
	tty_send_signals(pgid, 1u << SIGHUP | 1u << SIGCONT);
	return OK;
}

/*
 * The leader of the session has exited: the terminal is free, its foreground group is told. A line is hung
 * up for all, a pty is not: its master decides.
 */
static void
leader_exited(struct tty *tty)
{
	uint32_t sid, pgid = drop_session(tty, &sid);

	if (!tty->ops->free)
		tty_hangup(tty);
	tty_send_signals(pgid, 1u << SIGHUP);
}

static void
describe(struct tty *tty, uint32_t *dev, int *fg_pgid)
{
	*dev = (uint32_t)dev_make(tty->major, tty->minor);
	spin_lock(&tty->lock);
	*fg_pgid = tty->fg_pgid ? (int)tty->fg_pgid : -1;
	spin_unlock(&tty->lock);
}

long
sys_vhangup(void)
{
	struct tty *tty;

	if (!capable(CAP_SYS_TTY_CONFIG))
		return ERR_PERM;
	tty = tty_get_current();
	if (tty) {
		tty_hangup(tty);
		tty_put(tty);
	}
	return OK;
}

void
tty_job_init(void)
{
	session_leader_exited = leader_exited;
	session_tty_describe = describe;
}
