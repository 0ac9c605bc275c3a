/*
 * The ioctl calls of terminals (Linux's tty_ioctl(4)). Those that change the terminal stop a
 * background process with SIGTTOU first.
 */
#include "drivers/char/tty.h"
#include "drivers/char/tty_priv.h"
#include "kernel/file.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/session.h"
#include "kernel/proc/signal.h"
#include "kernel/stat.h"
#include "lib/string.h"
#include "mm/usercopy.h"

/* Linux's codes for line speeds (asm-generic/termbits.h). */
static const struct {
	uint32_t code, baud;
} speeds[] = {
    {07, 300},
    {011, 1200},
    {013, 2400},
    {014, 4800},
    {015, 9600},
    {016, 19200},
    {017, 38400},
    {010001, 57600},
    {010002, 115200},
    {010003, 230400},
};

enum { CBAUD = 010017, BOTHER = 010000 };

static void
speeds_from_code(struct termios *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(speeds); i++)
		if ((t->cflag & CBAUD) == speeds[i].code)
			t->ispeed = t->ospeed = speeds[i].baud;
}

static struct termios
termios_of(struct tty *tty)
{
	struct termios t;

	spin_lock(&tty->lock);
	t = tty->ldisc.tio;
	spin_unlock(&tty->lock);
	return t;
}

/* The size tells which structure `arg` is: termio, termios or termios2. */
static long
get_termios(struct tty *tty, uintptr_t arg, size_t size)
{
	struct termios t = termios_of(tty);
	struct termio old = {.iflag = (uint16_t)t.iflag,
	    .oflag = (uint16_t)t.oflag,
	    .cflag = (uint16_t)t.cflag,
	    .lflag = (uint16_t)t.lflag,
	    .line = t.line};

	memcpy(old.cc, t.cc, NCC);
	return copy_to_user(
	    (void USER *)arg, size == sizeof(old) ? (void *)&old : (void *)&t, size);
}

static void
flush_locked(struct tty *tty, bool input, bool output)
{
	if (input)
		ldisc_flush_input(&tty->ldisc);
	if (output && tty->ops->flush_output)
		tty->ops->flush_output(tty);
	if (tty->ops->flushed)
		tty->ops->flushed(tty, input, output);
	if (input && tty->ops->input_taken)
		tty->ops->input_taken(tty);
}

/* What a program wants to set; *t is what it leaves as it is. */
static enum err
fetch_termios(struct termios *t, uintptr_t arg, size_t size)
{
	enum { LOW = 0xffff };
	struct termio old;
	enum err err;

	if (size != sizeof(old))
		return copy_from_user(t, (const void USER *)arg, size);
	err = copy_from_user(&old, (const void USER *)arg, size);
	if (err != OK)
		return err;
	t->iflag = (t->iflag & ~(uint32_t)LOW) | old.iflag;
	t->oflag = (t->oflag & ~(uint32_t)LOW) | old.oflag;
	t->cflag = (t->cflag & ~(uint32_t)LOW) | old.cflag;
	t->lflag = (t->lflag & ~(uint32_t)LOW) | old.lflag;
	t->line = old.line;
	memcpy(t->cc, old.cc, NCC);
	return OK;
}

static uint32_t
keep(uint32_t new, uint32_t old, uint32_t locked)
{
	return (new & ~locked) | (old & locked);
}

/* Takes back what `t` changes of what is locked. */
static void
keep_locked_bits(
    struct termios *t, const struct termios *old, const struct termios *locked)
{
	t->iflag = keep(t->iflag, old->iflag, locked->iflag);
	t->oflag = keep(t->oflag, old->oflag, locked->oflag);
	t->cflag = keep(t->cflag, old->cflag, locked->cflag);
	t->lflag = keep(t->lflag, old->lflag, locked->lflag);
	if (locked->line)
		t->line = old->line;
	for (unsigned i = 0; i < NCCS; i++)
		if (locked->cc[i])
			t->cc[i] = old->cc[i];
}

static void
apply_termios(struct tty *tty, struct termios *t, bool flush)
{
	spin_lock(&tty->lock);
	if (flush)
		flush_locked(tty, true, false);
	keep_locked_bits(t, &tty->ldisc.tio, &tty->locked);
	ldisc_set_termios(&tty->ldisc, t);
	if (tty->ops->set_termios)
		tty->ops->set_termios(tty);
	spin_unlock(&tty->lock);
	/* A reader in the other mode may have something now. */
	wait_queue_wake_all(&tty->readers);
	tty_output_ready(tty);
}

static long
set_termios(struct tty *tty, uintptr_t arg, size_t size, bool drain, bool flush)
{
	struct termios t = termios_of(tty);
	enum err err = fetch_termios(&t, arg, size);

	if (err != OK)
		return err;
	if (size != TERMIOS2_SIZE || (t.cflag & CBAUD) != BOTHER)
		speeds_from_code(&t);
	err = tty_check_access(tty, SIGTTOU);
	if (err == OK && drain)
		err = tty_drain(tty);
	if (err == OK)
		apply_termios(tty, &t, flush);
	return err;
}

/* TIOCGLCKTRMIOS, TIOCSLCKTRMIOS: which bits the calls above leave alone. */
static long
termios_lock(struct tty *tty, uintptr_t arg, bool is_set)
{
	struct termios t = {0};
	enum err err;

	if (!is_set) {
		spin_lock(&tty->lock);
		t = tty->locked;
		spin_unlock(&tty->lock);
		return copy_to_user((void USER *)arg, &t, TERMIOS_SIZE);
	}
	if (!capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	err = copy_from_user(&t, (const void USER *)arg, TERMIOS_SIZE);
	if (err != OK)
		return err;
	spin_lock(&tty->lock);
	tty->locked = t;
	spin_unlock(&tty->lock);
	return OK;
}

/* TIOCGSOFTCAR, TIOCSSOFTCAR: CLOCAL by another name. */
static long
soft_carrier(struct tty *tty, uintptr_t arg, bool is_set)
{
	struct termios t = termios_of(tty);
	uint32_t value = !!(t.cflag & CLOCAL);
	enum err err;

	if (!is_set)
		return put_user(value, (uint32_t USER *)arg);
	err = get_user(value, (const uint32_t USER *)arg);
	if (err != OK)
		return err;
	t.cflag = value ? t.cflag | CLOCAL : t.cflag & ~(uint32_t)CLOCAL;
	apply_termios(tty, &t, false);
	return OK;
}

static long
old_termios(struct tty *tty, unsigned cmd, uintptr_t arg)
{
	enum { SIZE = sizeof(struct termio) };

	switch (cmd) {
	case TCGETA: return get_termios(tty, arg, SIZE);
	case TCSETA: return set_termios(tty, arg, SIZE, false, false);
	case TCSETAW: return set_termios(tty, arg, SIZE, true, false);
	case TCSETAF: return set_termios(tty, arg, SIZE, true, true);
	case TIOCGLCKTRMIOS:
	case TIOCSLCKTRMIOS: return termios_lock(tty, arg, cmd == TIOCSLCKTRMIOS);
	default: return soft_carrier(tty, arg, cmd == TIOCSSOFTCAR);
	}
}

static long
flush(struct tty *tty, uintptr_t which)
{
	enum err err = tty_check_access(tty, SIGTTOU);

	if (err != OK)
		return err;
	if (which > TCIOFLUSH)
		return ERR_INVAL;
	spin_lock(&tty->lock);
	flush_locked(tty, which != TCOFLUSH, which != TCIFLUSH);
	spin_unlock(&tty->lock);
	tty_output_ready(tty);
	return OK;
}

/* TCXONC: stops and starts output as ^S and ^Q do; TCIOFF and TCION send those characters. */
static long
flow(struct tty *tty, uintptr_t what)
{
	enum err err = tty_check_access(tty, SIGTTOU);
	char c;

	if (err != OK)
		return err;
	if (what > TCION)
		return ERR_INVAL;
	spin_lock(&tty->lock);
	if (what == TCOOFF || what == TCOON) {
		if (tty->ops->stopped && tty->ldisc.is_stopped != (what == TCOOFF))
			tty->ops->stopped(tty, what == TCOOFF);
		tty->ldisc.is_stopped = what == TCOOFF;
	} else {
		c = (char)tty->ldisc.tio.cc[what == TCIOFF ? VSTOP : VSTART];
		if (c && tty->ops->room(tty) > 0)
			tty->ops->write(tty, &c, 1);
	}
	spin_unlock(&tty->lock);
	tty_output_ready(tty);
	return OK;
}

/* ---- Job control ---------------------------------------------------------------------- */

static long
get_foreground(struct tty *tty, bool is_master, uintptr_t arg)
{
	uint32_t pgid;

	if (!is_master && session_current_tty() != tty)
		return ERR_NOTTY;
	spin_lock(&tty->lock);
	pgid = tty->fg_pgid;
	spin_unlock(&tty->lock);
	return put_user(pgid, (uint32_t USER *)arg);
}

static long
set_foreground(struct tty *tty, uintptr_t arg)
{
	int32_t pgid;
	enum err err;

	err = tty_check_access(tty, SIGTTOU);
	if (err != OK)
		return err;
	if (session_current_tty() != tty)
		return ERR_NOTTY;
	err = get_user(pgid, (const int32_t USER *)arg);
	if (err != OK)
		return err;
	if (pgid < 0)
		return ERR_INVAL;
	if (!session_has_pgroup(session_current_sid(), (uint32_t)pgid))
		return ERR_PERM;
	spin_lock(&tty->lock);
	tty->fg_pgid = (uint32_t)pgid;
	spin_unlock(&tty->lock);
	return OK;
}

static long
get_session(struct tty *tty, bool is_master, uintptr_t arg)
{
	uint32_t sid;

	if (!is_master && session_current_tty() != tty)
		return ERR_NOTTY;
	spin_lock(&tty->lock);
	sid = tty->sid;
	spin_unlock(&tty->lock);
	if (!sid)
		return ERR_NOTTY;
	return put_user(sid, (uint32_t USER *)arg);
}

/* ---- The rest ------------------------------------------------------------------------- */

static long
get_winsize(struct tty *tty, uintptr_t arg)
{
	struct winsize w;

	spin_lock(&tty->lock);
	w = tty->winsize;
	spin_unlock(&tty->lock);
	return copy_to_user((void USER *)arg, &w, sizeof(w));
}

static long
set_winsize(struct tty *tty, uintptr_t arg)
{
	struct winsize w;
	enum err err = copy_from_user(&w, (const void USER *)arg, sizeof(w));

	if (err == OK)
		tty_set_winsize(tty, &w);
	return err;
}

static long
count(struct tty *tty, uintptr_t arg, bool is_input)
{
	uint32_t n;

	spin_lock(&tty->lock);
	n = is_input            ? (uint32_t)ldisc_available(&tty->ldisc)
	    : tty->ops->pending ? (uint32_t)tty->ops->pending(tty)
	                        : 0;
	spin_unlock(&tty->lock);
	return put_user(n, (uint32_t USER *)arg);
}

static long
simulate_input(struct tty *tty, uintptr_t arg)
{
	uint8_t c;
	enum err err;

	if (session_current_tty() != tty && !capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	err = get_user(c, (const uint8_t USER *)arg);
	if (err == OK)
		tty_input(tty, &c, 1);
	return err;
}

static long
get_device(struct tty *tty, uintptr_t arg)
{
	uint32_t dev = (uint32_t)dev_make(tty->major, tty->minor);

	return put_user(dev, (uint32_t USER *)arg);
}

static long
set_exclusive(struct tty *tty, bool is_exclusive)
{
	spin_lock(&tty->lock);
	tty->is_exclusive = is_exclusive;
	spin_unlock(&tty->lock);
	return OK;
}

static long
get_exclusive(struct tty *tty, uintptr_t arg)
{
	uint32_t is_exclusive;

	spin_lock(&tty->lock);
	is_exclusive = tty->is_exclusive;
	spin_unlock(&tty->lock);
	return put_user(is_exclusive, (uint32_t USER *)arg);
}

static long
line_discipline(unsigned cmd, uintptr_t arg)
{
	uint32_t n_tty = 0, wanted;
	enum err err;

	if (cmd == TIOCGETD)
		return put_user(n_tty, (uint32_t USER *)arg);
	err = get_user(wanted, (const uint32_t USER *)arg);
	return err != OK ? err : wanted == n_tty ? OK : ERR_INVAL;
}

static long
job_control(struct tty *tty, bool is_master, unsigned cmd, uintptr_t arg)
{
	switch (cmd) {
	case TIOCSCTTY:
		return tty_become_controlling(tty, arg == 1 && capable(CAP_SYS_ADMIN));
	case TIOCNOTTY: return is_master ? ERR_NOTTY : tty_give_up(tty);
	case TIOCGPGRP: return get_foreground(tty, is_master, arg);
	case TIOCSPGRP: return set_foreground(tty, arg);
	case TIOCGSID: return get_session(tty, is_master, arg);
	case TIOCGPTPEER: return ERR_IO; /* as Linux says of all but masters */
	default: return ERR_NOTTY;
	}
}

long
tty_ioctl_on(struct tty *tty, bool is_master, unsigned cmd, uintptr_t arg)
{
	switch (cmd) {
	case TCGETS: return get_termios(tty, arg, TERMIOS_SIZE);
	case TCSETS: return set_termios(tty, arg, TERMIOS_SIZE, false, false);
	case TCSETSW: return set_termios(tty, arg, TERMIOS_SIZE, true, false);
	case TCSETSF: return set_termios(tty, arg, TERMIOS_SIZE, true, true);
	case (unsigned)TCGETS2: return get_termios(tty, arg, TERMIOS2_SIZE);
	case TCSETS2: return set_termios(tty, arg, TERMIOS2_SIZE, false, false);
	case TCSETSW2: return set_termios(tty, arg, TERMIOS2_SIZE, true, false);
	case TCSETSF2: return set_termios(tty, arg, TERMIOS2_SIZE, true, true);
	case TCGETA:
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
	case TIOCGLCKTRMIOS:
	case TIOCSLCKTRMIOS:
	case TIOCGSOFTCAR:
	case TIOCSSOFTCAR: return old_termios(tty, cmd, arg);
	case TCSBRK: /* a break is not sent; a non-zero argument means: drain */
	case TCSBRKP: return tty_drain(tty);
	case TCXONC: return flow(tty, arg);
	case TCFLSH: return flush(tty, arg);
	case TIOCEXCL: return set_exclusive(tty, true);
	case TIOCNXCL: return set_exclusive(tty, false);
	case (unsigned)TIOCGEXCL: return get_exclusive(tty, arg);
	case TIOCOUTQ: return count(tty, arg, false);
	case FIONREAD: return count(tty, arg, true);
	case TIOCSTI: return simulate_input(tty, arg);
	case TIOCGWINSZ: return get_winsize(tty, arg);
	case TIOCSWINSZ: return set_winsize(tty, arg);
	case TIOCGETD:
	case TIOCSETD: return line_discipline(cmd, arg);
	case (unsigned)TIOCGDEV: return get_device(tty, arg);
	default: return job_control(tty, is_master, cmd, arg);
	}
}

long
tty_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct tty_file *tf = f->private;

	if (tty_is_hung_up(tf))
		return cmd == TIOCSPGRP ? ERR_NOTTY : ERR_IO;
	if (cmd == TIOCSCTTY && !(f->mode & FILE_READ) && !capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	return tty_ioctl_on(tf->tty, false, cmd, arg);
}
