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
#include "kernel/proc/cred.h"
#include "kernel/proc/process.h"
#include "kernel/proc/session.h"
#include "kernel/proc/signal.h"
#include "kernel/procfs.h"
#include "kernel/time/clock.h"
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
	struct tty *tty = tty_of_ldisc(l);

	tty->signals |= 1u << sig;
	if (tty->ops->flushed && !(l->tio.lflag & NOFLSH))
		tty->ops->flushed(tty, true, true);
}

/* Writers look at ldisc.is_stopped; tty_input wakes them when it clears. */
static void
ldisc_set_stopped(struct ldisc *l, bool is_stopped)
{
	struct tty *tty = tty_of_ldisc(l);

	if (tty->ops->stopped)
		tty->ops->stopped(tty, is_stopped);
}

static const struct ldisc_ops ldisc_ops = {
    .echo = ldisc_echo,
    .signal = ldisc_signal,
    .set_stopped = ldisc_set_stopped,
};

/* ---- Called by drivers --------------------------------------------------------------- */

static void
unlocked(struct tty *tty)
{
	if (tty->ops->unlocked)
		tty->ops->unlocked(tty);
}

/* Feeds the line discipline: all of it, or as much as it has room for. Returns how many. */
static size_t
take_in(struct tty *tty, const uint8_t *text, size_t n, bool may_drop)
{
	uint32_t signals, pgid;
	bool is_readable, is_stopped;
	size_t i;

	spin_lock(&tty->lock);
	for (i = 0; i < n && (may_drop || ldisc_has_room(&tty->ldisc)); i++)
		ldisc_input(&tty->ldisc, text[i]);
	signals = tty->signals;
	tty->signals = 0;
	pgid = tty->fg_pgid;
	is_readable = ldisc_is_readable(&tty->ldisc, 1);
	is_stopped = tty->ldisc.is_stopped;
	spin_unlock(&tty->lock);

	tty_send_signals(pgid, signals);
	if (is_readable) {
		wait_queue_wake(&tty->readers, ~0u, POLLIN | POLLRDNORM);
		async_tell(&tty->async, POLL_IN);
	}
	unlocked(tty);
	if (!is_stopped)
		tty_output_ready(tty);
	return i;
}

void
tty_input(struct tty *tty, const uint8_t *text, size_t n)
{
	(void)take_in(tty, text, n, true);
}

size_t
tty_input_some(struct tty *tty, const uint8_t *text, size_t n)
{
	return take_in(tty, text, n, false);
}

bool
tty_has_input_room(struct tty *tty)
{
	bool yes;

	spin_lock(&tty->lock);
	yes = ldisc_has_room(&tty->ldisc);
	spin_unlock(&tty->lock);
	return yes;
}

void
tty_output_ready(struct tty *tty)
{
	if (!list_is_empty(&tty->writers.waiters))
		wait_queue_wake(&tty->writers, ~0u, POLLOUT | POLLWRNORM);
	if (__atomic_load_n(&tty->is_out_awaited, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&tty->is_out_awaited, false, __ATOMIC_SEQ_CST))
		async_tell(&tty->async, POLL_OUT);
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

bool
tty_is_hung_up(const struct tty_file *tf)
{
	return __atomic_load_n(&tf->tty->hangups, __ATOMIC_ACQUIRE) != tf->hangups &&
	       !tf->is_console;
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
	if (t->len > 0 && tty->ops->input_taken)
		tty->ops->input_taken(tty);
	spin_unlock(&tty->lock);
}

/* Or nothing more will come: the terminal is hung up. */
static bool
has_input(const struct tty_file *tf)
{
	struct tty *tty = tf->tty;
	bool yes;

	if (tty_is_hung_up(tf))
		return true;
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
wait_for_input(const struct tty_file *tf, const struct take *t, size_t got)
{
	nsec_t deadline = NO_TIMEOUT;

	if (!t->is_canonical && t->time > 0 && (t->min == 0 || got > 0))
		deadline = clock_now_ns() + t->time * 100 * NSEC_PER_MSEC;
	return wait_event(&tf->tty->readers, has_input(tf), WAIT_INTERRUPTIBLE, deadline);
}

static ssize_t
read_into(struct file *f, const struct tty_file *tf, struct uio *uio, void *buf)
{
	struct tty *tty = tf->tty;
	size_t got = 0;
	struct take t;

	for (;;) {
		enum err err = tty_check_access(tty, SIGTTIN);

		if (err != OK || tty_is_hung_up(tf))
			return got ? (ssize_t)got : err;
		take_input(tty, buf, MIN(uio->resid, LDISC_BUFFER), &t);
		if (uio_copy_to(uio, buf, t.len) != t.len)
			return got ? (ssize_t)got : ERR_FAULT;
		got += t.len;
		if (is_read_done(&t, got, uio->resid))
			return (ssize_t)got;
		if (f->flags & O_NONBLOCK)
			return got ? (ssize_t)got : ERR_AGAIN;
		err = wait_for_input(tf, &t, got);
		if (err == ERR_TIMEDOUT)
			return (ssize_t)got;
		/* Who slept when a pty's master went hears of an error, later readers of an end. */
		if (err == OK && tty_is_hung_up(tf) && tty->has_lost_peer)
			err = ERR_IO;
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
	if (used < n)
		__atomic_store_n(&tty->is_out_awaited, true, __ATOMIC_RELAXED);
	spin_unlock(&tty->lock);
	unlocked(tty);
	return used;
}

static bool
has_room(const struct tty_file *tf)
{
	struct tty *tty = tf->tty;
	bool yes;

	if (tty_is_hung_up(tf))
		return true;
	spin_lock(&tty->lock);
	yes = !tty->ldisc.is_stopped && tty->ops->room(tty) >= LDISC_EXPANSION;
	spin_unlock(&tty->lock);
	return yes;
}

static enum err
write_piece(struct file *f, const char *text, size_t n, size_t *done)
{
	const struct tty_file *tf = f->private;
	struct tty *tty = tf->tty;

	for (*done = 0; *done < n;) {
		enum err err;

		if (tty_is_hung_up(tf))
			return ERR_IO;
		*done += put_output(tty, text + *done, n - *done);
		if (*done == n)
			break;
		if (f->flags & O_NONBLOCK) {
			if (!has_room(tf))
				return ERR_AGAIN;
			continue;
		}
		err = wait_event(
		    &tty->writers, has_room(tf), WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return OK;
}

static ssize_t
write_all(struct file *f, struct uio *uio)
{
	char text[OUTPUT_PIECE];
	size_t done = 0;

	while (uio->resid > 0) {
		size_t n = uio_copy_from(uio, text, sizeof(text)), sent;
		enum err err;

		if (n == 0)
			return done ? (ssize_t)done : ERR_FAULT;
		err = write_piece(f, text, n, &sent);
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
	struct tty_file *tf = f->private;
	struct tty *tty = tf->tty;
	bool has_tostop;
	enum err err;
	ssize_t n;

	if (tty_is_hung_up(tf))
		return ERR_IO;
	spin_lock(&tty->lock);
	has_tostop = tty->ldisc.tio.lflag & TOSTOP;
	spin_unlock(&tty->lock);
	err = has_tostop ? tty_check_access(tty, SIGTTOU) : OK;
	if (err == OK)
		err = mutex_lock_interruptible(&tty->write_lock);
	if (err != OK)
		return err;
	n = write_all(f, uio);
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
	struct tty_file *tf = f->private;
	struct tty *tty = tf->tty;
	uint32_t ready = 0;

	poll_wait(f, &tty->readers, pt);
	poll_wait(f, &tty->writers, pt);
	if (tty_is_hung_up(tf))
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
	spin_lock(&tty->lock);
	if (ldisc_is_readable(
	        &tty->ldisc, tty->ldisc.tio.cc[VTIME] ? 1 : tty->ldisc.tio.cc[VMIN]))
		ready |= POLLIN | POLLRDNORM;
	if (!tty->ldisc.is_stopped && tty->ops->room(tty) >= LDISC_EXPANSION)
		ready |= POLLOUT | POLLWRNORM;
	spin_unlock(&tty->lock);
	return ready;
}

/* ---- Opening and closing -------------------------------------------------------------- */

static void
release_tty(struct file *f)
{
	struct tty_file *tf = f->private;
	struct tty *tty = tf->tty;

	spin_lock(&tty->lock);
	if (--tty->opens == 0) {
		tty->is_exclusive = false;
		if (tty->ops->last_close)
			tty->ops->last_close(tty);
	}
	spin_unlock(&tty->lock);
	kfree(tf);
	tty_put(tty);
}

static const struct file_ops tty_file_ops;

enum err
tty_attach_file(struct file *f, struct tty *tty, bool is_console)
{
	struct tty_file *tf = kmalloc(sizeof(*tf));
	enum err err = OK;

	if (!tf)
		return ERR_NOMEM;
	spin_lock(&tty->lock);
	if (tty->is_exclusive && tty->opens > 0 && !capable(CAP_SYS_ADMIN))
		err = ERR_BUSY;
	else if (tty->ops->open)
		err = tty->ops->open(tty);
	if (err == OK) {
		tty->opens++;
		*tf = (struct tty_file){tty, tty->hangups, is_console};
	}
	spin_unlock(&tty->lock);
	if (err != OK) {
		kfree(tf);
		return err;
	}
	(void)tty_try_get(tty); /* the caller has one: this cannot fail */
	f->ops = &tty_file_ops;
	f->private = tf;
	/* A session leader without a terminal gets this one, unless it is another session's. */
	if (!is_console && !(f->flags & O_NOCTTY) && (f->mode & FILE_READ) &&
	    session_current_is_leader() && !session_current_tty())
		(void)tty_become_controlling(tty, false);
	return OK;
}

/* The terminal's own node: private is the terminal that lives for ever. */
static enum err
open_tty(struct file *f)
{
	return tty_attach_file(f, f->private, false);
}

/* Whoever says /dev/tty has it as controlling terminal already. */
static enum err
open_current(struct file *f)
{
	struct tty *tty = tty_get_current();
	enum err err = tty ? tty_attach_file(f, tty, false) : ERR_NXIO;

	if (tty)
		tty_put(tty);
	return err;
}

static enum err
open_console(struct file *f)
{
	return console_tty ? tty_attach_file(f, console_tty, true) : ERR_NXIO;
}

/* Who asks for its signals without an owner is not to miss them: the foreground gets them, or he. */
static enum err
own_file(struct file *f, struct tty *tty)
{
	uint32_t pgid;

	spin_lock(&tty->lock);
	pgid = tty->fg_pgid;
	spin_unlock(&tty->lock);
	return pgid ? file_own_by_default(f, OWNER_GROUP, pgid)
	            : file_own_by_default(f, OWNER_PROCESS, current_process()->pid);
}

static struct async_list *
tty_async(struct file *f)
{
	const struct tty_file *tf = f->private;

	(void)own_file(f, tf->tty); /* no memory, or no group: it has no owner */
	return &tf->tty->async;
}

static const struct file_ops tty_file_ops = {
    .async = tty_async,
    .open = open_tty,
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = tty_ioctl,
    .release = release_tty,
};
static const struct file_ops current_ops = {.open = open_current};
static const struct file_ops console_ops = {.open = open_console};

/* ---- Terminals come and go ------------------------------------------------------------ */

bool
tty_try_get(struct tty *tty)
{
	uint32_t refs = __atomic_load_n(&tty->refs, __ATOMIC_RELAXED);

	while (refs > 0)
		if (__atomic_compare_exchange_n(&tty->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

void
tty_put(struct tty *tty)
{
	if (__atomic_sub_fetch(&tty->refs, 1, __ATOMIC_ACQ_REL) == 0)
		tty->ops->free(tty);
}

void
tty_setup(struct tty *tty, unsigned major, unsigned minor)
{
	spin_init(&tty->lock, tty->name, RANK_TTY);
	mutex_init(&tty->write_lock, tty->name, RANK_TTY_CONF);
	wait_queue_init(&tty->readers);
	wait_queue_init(&tty->writers);
	async_list_init(&tty->async);
	ldisc_init(&tty->ldisc, &ldisc_ops);
	tty->major = major;
	tty->minor = minor;
	tty->refs = 1;
}

enum err
tty_register(struct tty *tty, unsigned major, unsigned minor)
{
	tty_setup(tty, major, minor);
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

static void
show_drivers(struct seq *s)
{
	seq_puts(s, "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
	            "/dev/console         /dev/console    5       1 system:console\n"
	            "/dev/ptmx            /dev/ptmx       5       2 system\n"
	            "/dev/vc/0            /dev/vc/0       4       0 system:vtmaster\n"
	            "serial               /dev/ttyS       4 64-95 serial\n"
	            "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
	            "pty_master           /dev/ptm      128 0-1048575 pty:master\n"
	            "unknown              /dev/tty        4 1-63 console\n");
}

void
tty_init(void)
{
	tty_job_init();
	(void)dev_register_char(
	    "tty", 0666, DEV_MAJOR_TTYAUX, 0, &current_ops, NULL); /* first */
	(void)dev_register_char("console", 0600, DEV_MAJOR_TTYAUX, 1, &console_ops, NULL);
	/* Only memory can fail: no such file then. */
	(void)proc_register("tty/drivers", show_drivers);
}
