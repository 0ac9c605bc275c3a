/*
 * The tty core: files of terminals. Input arrives in interrupt context, goes through the line
 * discipline under tty->lock, and wakes readers. Signal characters are noted under the lock and
 * sent after it: the process tree ranks below a tty.
 *
 * Output is processed in pieces of at most OUTPUT_PIECE characters, so interrupts are never off
 * for long; a writer that finds no room sleeps until the driver calls tty_output_ready.
 */
#include "drivers/char/tty.h"

#include "drivers/char/tty_priv.h"
#include "kernel/device.h"
#include "kernel/fcntl.h"
#include "kernel/poll.h"
#include "kernel/proc/session.h"
#include "kernel/proc/signal.h"
#include "kernel/time/clock.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"

enum { OUTPUT_PIECE = 128 };

static struct tty *console_tty;

static struct tty *
tty_of_ldisc(struct ldisc *l)
{
	return container_of(l, struct tty, ldisc);
}

/* ---- What the line discipline asks for (tty->lock held) ------------------------------ */

/* An echo that finds the driver's buffer full is lost, as on a real line that is stopped. */
static void
ldisc_echo(struct ldisc *l, const char *text, size_t n)
{
	struct tty *tty = tty_of_ldisc(l);

	if (tty->ops->room(tty) >= n)
		tty->ops->write(tty, text, n);
}

static void
ldisc_signal(struct ldisc *l, int sig)
{
	tty_of_ldisc(l)->signals |= 1u << sig;
}

static void
ldisc_set_stopped(struct ldisc *l, bool is_stopped)
{
	/* Writers look at ldisc.is_stopped; tty_input wakes them when it clears. */
}

static const struct ldisc_ops ldisc_ops = {
    .echo = ldisc_echo,
    .signal = ldisc_signal,
    .set_stopped = ldisc_set_stopped,
};

/* ---- Called by drivers --------------------------------------------------------------- */

void
tty_send_signals(uint32_t pgid, uint32_t signals)
{
	for (; signals; signals &= signals - 1)
		if (pgid)
			(void)signal_send_pgroup(
			    pgid, (int)bit_first(signals), NULL); /* may be gone */
}

void
tty_input(struct tty *tty, const uint8_t *text, size_t n)
{
	uint32_t signals, pgid;
	bool is_readable, is_stopped;

	spin_lock(&tty->lock);
	for (size_t i = 0; i < n; i++)
		ldisc_input(&tty->ldisc, text[i]);
	signals = tty->signals;
	tty->signals = 0;
	pgid = tty->fg_pgid;
	is_readable = ldisc_is_readable(&tty->ldisc, 1);
	is_stopped = tty->ldisc.is_stopped;
	spin_unlock(&tty->lock);

	tty_send_signals(pgid, signals);
	if (is_readable)
		wait_queue_wake(&tty->readers, ~0u, POLLIN | POLLRDNORM);
	if (!is_stopped)
		tty_output_ready(tty);
}

void
tty_output_ready(struct tty *tty)
{
	if (!list_is_empty(&tty->writers.waiters))
		wait_queue_wake(&tty->writers, ~0u, POLLOUT | POLLWRNORM);
}

void
tty_set_winsize(struct tty *tty, const struct winsize *size)
{
	uint32_t pgid = 0;

	spin_lock(&tty->lock);
	if (memcmp(&tty->winsize, size, sizeof(*size)) != 0) {
		tty->winsize = *size;
		pgid = tty->fg_pgid;
	}
	spin_unlock(&tty->lock);
	tty_send_signals(pgid, 1u << SIGWINCH);
}

/* ---- Reading ------------------------------------------------------------------------- */

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

struct take {
	size_t len;
	bool is_eof, is_canonical;
	uint8_t min, time; /* VMIN, VTIME of the moment */
};

static void
take_input(struct tty *tty, void *buf, size_t n, struct take *t)
{
	spin_lock(&tty->lock);
	t->is_canonical = tty->ldisc.tio.lflag & ICANON;
	t->min = tty->ldisc.tio.cc[VMIN];
	t->time = tty->ldisc.tio.cc[VTIME];
	t->len = ldisc_read(&tty->ldisc, buf, n, &t->is_eof);
	spin_unlock(&tty->lock);
}

static bool
has_input(struct tty *tty)
{
	bool yes;

	spin_lock(&tty->lock);
	yes = ldisc_is_readable(&tty->ldisc, 1);
	spin_unlock(&tty->lock);
	return yes;
}

/*
 * Non-canonical reading by MIN and TIME (POSIX XBD 11.1.7): goes on until MIN bytes are there; TIME,
 * in tenths of a second, runs between bytes, or over the whole read when MIN is 0.
 */
static bool
is_read_done(const struct take *t, size_t got, size_t resid)
{
	if (t->is_canonical)
		return got > 0 || t->is_eof;
	return resid == 0 || got >= MAX(t->min, 1) || (t->min == 0 && t->time == 0);
}

static enum err
wait_for_input(struct tty *tty, const struct take *t, size_t got)
{
	nsec_t deadline = NO_TIMEOUT;

	if (!t->is_canonical && t->time > 0 && (t->min == 0 || got > 0))
		deadline = clock_now_ns() + t->time * 100 * NSEC_PER_MSEC;
	return wait_event(&tty->readers, has_input(tty), WAIT_INTERRUPTIBLE, deadline);
}

static ssize_t
read_into(struct file *f, struct tty *tty, struct uio *uio, void *buf)
{
	size_t got = 0;
	struct take t;

	for (;;) {
		enum err err = tty_check_access(tty, SIGTTIN);

		if (err != OK)
			return got ? (ssize_t)got : err;
		take_input(tty, buf, MIN(uio->resid, LDISC_BUFFER), &t);
		if (uio_copy_to(uio, buf, t.len) != t.len)
			return got ? (ssize_t)got : ERR_FAULT;
		got += t.len;
		if (is_read_done(&t, got, uio->resid))
			return (ssize_t)got;
		if (f->flags & O_NONBLOCK)
			return got ? (ssize_t)got : ERR_AGAIN;
		err = wait_for_input(tty, &t, got);
		if (err == ERR_TIMEDOUT)
			return (ssize_t)got;
		if (err != OK)
			return got ? (ssize_t)got : err;
	}
}

static ssize_t
tty_read(struct file *f, struct uio *uio, loff_t *pos)
{
	ssize_t n;
	void *buf;

	if (uio->resid == 0)
		return 0;
	buf = kmalloc(MIN(uio->resid, LDISC_BUFFER));
	if (!buf)
		return ERR_NOMEM;
	n = read_into(f, f->private, uio, buf);
	kfree(buf);
	return n;
}

/* ---- Writing ------------------------------------------------------------------------- */

/* Sends as much of text as there is room for; returns how many characters. */
static size_t
put_output(struct tty *tty, const char *text, size_t n)
{
	char out[OUTPUT_PIECE + LDISC_EXPANSION];
	size_t used = 0, len = 0, room;

	spin_lock(&tty->lock);
	room = tty->ldisc.is_stopped ? 0 : MIN(tty->ops->room(tty), OUTPUT_PIECE);
	while (used < n && len + LDISC_EXPANSION <= room)
		len += ldisc_output(&tty->ldisc, (uint8_t)text[used++], out + len);
	if (len > 0)
		tty->ops->write(tty, out, len);
	spin_unlock(&tty->lock);
	return used;
}

static bool
has_room(struct tty *tty)
{
	bool yes;

	spin_lock(&tty->lock);
	yes = !tty->ldisc.is_stopped && tty->ops->room(tty) >= LDISC_EXPANSION;
	spin_unlock(&tty->lock);
	return yes;
}

static enum err
write_piece(struct file *f, struct tty *tty, const char *text, size_t n, size_t *done)
{
	for (*done = 0; *done < n;) {
		enum err err;

		*done += put_output(tty, text + *done, n - *done);
		if (*done == n)
			break;
		if (f->flags & O_NONBLOCK) {
			if (!has_room(tty))
				return ERR_AGAIN;
			continue;
		}
		err = wait_event(
		    &tty->writers, has_room(tty), WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return OK;
}

static ssize_t
write_all(struct file *f, struct tty *tty, struct uio *uio)
{
	char text[OUTPUT_PIECE];
	size_t done = 0;

	while (uio->resid > 0) {
		size_t n = uio_copy_from(uio, text, sizeof(text)), sent;
		enum err err;

		if (n == 0)
			return done ? (ssize_t)done : ERR_FAULT;
		err = write_piece(f, tty, text, n, &sent);
		done += sent;
		if (err != OK)
			return done ? (ssize_t)done : err;
	}
	return (ssize_t)done;
}

static ssize_t
tty_write(struct file *f, struct uio *uio,
    loff_t *pos) NO_THREAD_SAFETY_ANALYSIS /* conditional lock */
{
	struct tty *tty = f->private;
	bool has_tostop;
	enum err err;
	ssize_t n;

	spin_lock(&tty->lock);
	has_tostop = tty->ldisc.tio.lflag & TOSTOP;
	spin_unlock(&tty->lock);
	err = has_tostop ? tty_check_access(tty, SIGTTOU) : OK;
	if (err == OK)
		err = mutex_lock_interruptible(&tty->write_lock);
	if (err != OK)
		return err;
	n = write_all(f, tty, uio);
	mutex_unlock(&tty->write_lock);
	return n;
}

enum err
tty_drain(struct tty *tty)
{
	if (!tty->ops->pending)
		return OK;
	/* The driver calls tty_output_ready when it runs empty. */
	return wait_event(
	    &tty->writers, tty->ops->pending(tty) == 0, WAIT_INTERRUPTIBLE, NO_TIMEOUT);
}

/* ---- Files --------------------------------------------------------------------------- */

static uint32_t
tty_poll(struct file *f, struct poll_table *pt)
{
	struct tty *tty = f->private;
	uint32_t ready = 0;

	poll_wait(f, &tty->readers, pt);
	poll_wait(f, &tty->writers, pt);
	spin_lock(&tty->lock);
	if (ldisc_is_readable(
	        &tty->ldisc, tty->ldisc.tio.cc[VTIME] ? 1 : tty->ldisc.tio.cc[VMIN]))
		ready |= POLLIN | POLLRDNORM;
	if (!tty->ldisc.is_stopped && tty->ops->room(tty) >= LDISC_EXPANSION)
		ready |= POLLOUT | POLLWRNORM;
	spin_unlock(&tty->lock);
	return ready;
}

enum err
tty_become_controlling(struct tty *tty, bool steal)
{
	/* Asked before: job control's locks come before the terminal's. */
	uint32_t sid = session_current_sid(), pgid = session_current_pgid(), old_sid;
	enum err err;

	spin_lock(&tty->lock);
	old_sid = tty->sid;
	spin_unlock(&tty->lock);
	if (old_sid == sid)
		return OK;
	if (old_sid && !steal)
		return ERR_PERM;
	if (old_sid)
		session_detach_tty(old_sid);
	err = session_attach_tty(tty);
	if (err != OK)
		return err;
	spin_lock(&tty->lock);
	tty->sid = sid;
	tty->fg_pgid = pgid;
	spin_unlock(&tty->lock);
	return OK;
}

/* The terminal's own node; may become the controlling terminal of a session leader without one. */
static enum err
open_tty(struct file *f)
{
	struct tty *tty = f->private;
	bool is_refused;

	spin_lock(&tty->lock);
	is_refused = tty->is_exclusive && tty->opens > 0;
	tty->opens += !is_refused;
	spin_unlock(&tty->lock);
	if (is_refused)
		return ERR_BUSY;
	if (!(f->flags & O_NOCTTY) && session_current_is_leader() &&
	    !session_current_tty())
		(void)tty_become_controlling(
		    tty, false); /* another session's: open all the same */
	return OK;
}

static void
release_tty(struct file *f)
{
	struct tty *tty = f->private;

	spin_lock(&tty->lock);
	if (--tty->opens == 0)
		tty->is_exclusive = false;
	spin_unlock(&tty->lock);
}

static const struct file_ops tty_file_ops = {
    .open = open_tty,
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = tty_ioctl,
    .release = release_tty,
};

/* Points the file at `tty` as if its own node had been opened, without taking control of it. */
static enum err
open_as(struct file *f, struct tty *tty)
{
	if (!tty)
		return ERR_NXIO;
	f->ops = &tty_file_ops;
	f->private = tty;
	spin_lock(&tty->lock);
	tty->opens++;
	spin_unlock(&tty->lock);
	return OK;
}

static enum err
open_current(struct file *f)
{
	return open_as(f, session_current_tty());
}

static enum err
open_console(struct file *f)
{
	return open_as(f, console_tty);
}

static const struct file_ops current_ops = {.open = open_current};
static const struct file_ops console_ops = {.open = open_console};

/* The leader of the session has exited: the terminal is free, its foreground group is told. */
static void
leader_exited(struct tty *tty)
{
	uint32_t pgid;

	spin_lock(&tty->lock);
	pgid = tty->fg_pgid;
	tty->sid = 0;
	tty->fg_pgid = 0;
	spin_unlock(&tty->lock);
	tty_send_signals(pgid, 1u << SIGHUP | 1u << SIGCONT);
}

enum err
tty_register(struct tty *tty, unsigned major, unsigned minor)
{
	spin_init(&tty->lock, tty->name, RANK_TTY);
	mutex_init(&tty->write_lock, tty->name, RANK_TTY_CONF);
	wait_queue_init(&tty->readers);
	wait_queue_init(&tty->writers);
	ldisc_init(&tty->ldisc, &ldisc_ops);
	return dev_register_char(tty->name, 0620, major, minor, &tty_file_ops, tty);
}

enum err
tty_register_alias(struct tty *tty, const char *name, unsigned major, unsigned minor)
{
	return dev_register_char(name, 0620, major, minor, &tty_file_ops, tty);
}

void
tty_set_console(struct tty *tty)
{
	console_tty = tty;
}

void
tty_init(void)
{
	session_leader_exited = leader_exited;
	(void)dev_register_char(
	    "tty", 0666, DEV_MAJOR_TTYAUX, 0, &current_ops, NULL); /* first */
	(void)dev_register_char("console", 0600, DEV_MAJOR_TTYAUX, 1, &console_ops, NULL);
}
