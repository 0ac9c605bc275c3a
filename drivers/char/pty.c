/*
 * Pairs of pseudo terminals. The slave is a terminal like any other, with the line discipline of
 * drivers/char/tty.c; what it writes goes into a ring that the master's reads take from, and what is
 * written to the master is the slave's input. The master has no line discipline: it is a struct file with
 * operations of its own, and hands most ioctl calls to its slave.
 *
 * A pair lives while the master or a file of the slave is open. When the master is closed the node goes
 * and the slave is hung up; when the last file of the slave is closed the master reads what is left and
 * then ERR_IO, until the slave is opened again. Everything in struct pty that changes is under the slave's
 * lock; sleepers on the master are woken under it.
 */
#include "drivers/char/pty.h"

#include "drivers/char/tty_priv.h"
#include "kernel/device.h"
#include "kernel/poll.h"
#include "kernel/proc/process.h"
#include "kernel/proc/signal.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"

enum {
	/* Linux gives a reader a buffer of this size; what has reached it no flush takes back. */
	READERS_SHARE = 4096,
	WRITE_PIECE = 256,
	CTRL_S = 19,
	CTRL_Q = 17,
};

static struct pty *
pty_of(struct tty *tty)
{
	return container_of(tty, struct pty, slave);
}

static void
wake_master_reader(struct pty *p, uint32_t events)
{
	wait_queue_wake(&p->readers, ~0u, events);
	__atomic_store_n(&p->has_news, true, __ATOMIC_RELAXED);
}

static void
slave_unlocked(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	if (__atomic_load_n(&p->has_news, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&p->has_news, false, __ATOMIC_SEQ_CST))
		async_tell(&p->async, POLL_IN);
}

/* ---- The slave's side (slave.lock held) ------------------------------------------------- */

static size_t
slave_room(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	return PTY_BUFFER - (p->head - p->tail);
}

static void
slave_write(struct tty *tty, const char *text, size_t n)
{
	struct pty *p = pty_of(tty);
	size_t at = p->head % PTY_BUFFER, first = MIN(n, PTY_BUFFER - at);

	memcpy(p->out + at, text, first);
	memcpy(p->out, text + first, n - first);
	p->head += (uint32_t)n;
	wake_master_reader(p, POLLIN | POLLRDNORM);
}

static void
slave_flush_output(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	p->head = p->tail + MIN(p->head - p->tail, READERS_SHARE);
}

/* In packet mode the master is told of `set`, and no longer of `clear`. */
static void
note_status(struct pty *p, unsigned clear, unsigned set)
{
	if (!p->is_packet || !set)
		return;
	p->status = (uint8_t)((p->status & ~clear) | set);
	wake_master_reader(p, POLLIN | POLLRDNORM | POLLPRI);
}

static bool
has_flow_keys(const struct termios *t)
{
	return (t->iflag & IXON) && t->cc[VSTOP] == CTRL_S && t->cc[VSTART] == CTRL_Q;
}

static void
slave_set_termios(struct tty *tty)
{
	struct pty *p = pty_of(tty);
	bool has_flow = has_flow_keys(&tty->ldisc.tio);

	if (has_flow != p->has_flow)
		note_status(p, TIOCPKT_DOSTOP | TIOCPKT_NOSTOP,
		    has_flow ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
	p->has_flow = has_flow;
}

static void
slave_input_taken(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	if (!list_is_empty(&p->writers.waiters))
		wait_queue_wake(&p->writers, ~0u, POLLOUT | POLLWRNORM);
}

static void
slave_flushed(struct tty *tty, bool input, bool output)
{
	note_status(pty_of(tty), 0,
	    (input ? TIOCPKT_FLUSHREAD : 0) | (output ? TIOCPKT_FLUSHWRITE : 0));
}

static void
slave_stopped(struct tty *tty, bool is_stopped)
{
	note_status(pty_of(tty), TIOCPKT_STOP | TIOCPKT_START,
	    is_stopped ? TIOCPKT_STOP : TIOCPKT_START);
}

static enum err
slave_open(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	if (p->is_locked || tty->has_lost_peer)
		return ERR_IO;
	p->is_slave_closed = false;
	return OK;
}

static void
slave_last_close(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	p->is_slave_closed = true;
	wake_master_reader(p, POLLIN | POLLRDNORM | POLLHUP);
}

static void
free_rcu(struct rcu_head *head)
{
	struct pty *p = container_of(head, struct pty, rcu);

	kfree(p->out);
	kfree(p);
}

static void
slave_free(struct tty *tty)
{
	struct pty *p = pty_of(tty);

	devpts_remove(p);
	rcu_call(&p->rcu, free_rcu);
}

static const struct tty_ops slave_ops = {
    .room = slave_room,
    .write = slave_write,
    .flush_output = slave_flush_output,
    .set_termios = slave_set_termios,
    .input_taken = slave_input_taken,
    .flushed = slave_flushed,
    .stopped = slave_stopped,
    .unlocked = slave_unlocked,
    .open = slave_open,
    .last_close = slave_last_close,
    .free = slave_free,
};

/* Any node of the slaves' numbers: only those in a devpts lead to one. */
static enum err
open_slave_node(struct file *f)
{
	struct pty *p = devpts_pty_of(f->inode);
	enum err err;

	if (!p)
		return ERR_IO;
	err = tty_attach_file(f, &p->slave, false);
	tty_put(&p->slave);
	return err;
}

/* ---- The master: reading and writing ---------------------------------------------------- */

static bool
has_status(const struct pty *p)
{
	return p->is_packet && p->status;
}

/* A read's bytes, in packet mode with what they are in front; 0: nothing there; ERR_IO: nor will be. */
static ssize_t
take_output(struct pty *p, uint8_t *buf, size_t n)
{
	size_t prefix, len, at, first;
	ssize_t done;

	spin_lock(&p->slave.lock);
	prefix = p->is_packet ? 1 : 0;
	len = MIN(p->head - p->tail, n - prefix);
	at = p->tail % PTY_BUFFER;
	first = MIN(len, PTY_BUFFER - at);
	if (has_status(p)) {
		buf[0] = p->status;
		p->status = 0;
		done = 1;
	} else if (p->head != p->tail) {
		buf[0] = TIOCPKT_DATA;
		memcpy(buf + prefix, p->out + at, first);
		memcpy(buf + prefix + first, p->out, len - first);
		p->tail += (uint32_t)len;
		done = (ssize_t)(prefix + len);
	} else {
		done = p->is_slave_closed ? ERR_IO : 0;
	}
	spin_unlock(&p->slave.lock);
	return done;
}

static bool
has_output(struct pty *p)
{
	bool yes;

	spin_lock(&p->slave.lock);
	yes = p->head != p->tail || has_status(p) || p->is_slave_closed;
	spin_unlock(&p->slave.lock);
	return yes;
}

static ssize_t
wait_for_output(struct file *f, uint8_t *buf, size_t n)
{
	struct pty *p = f->private;

	for (;;) {
		ssize_t done = take_output(p, buf, n);
		enum err err;

		if (done > 0)
			tty_output_ready(&p->slave);
		if (done != 0)
			return done;
		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(
		    &p->readers, has_output(p), WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
}

static ssize_t
master_read(struct file *f, struct uio *uio, loff_t *pos)
{
	size_t size = MIN(uio->resid, PTY_BUFFER);
	uint8_t *buf;
	ssize_t n;

	if (size == 0)
		return 0;
	buf = kmalloc(size);
	if (!buf)
		return ERR_NOMEM;
	n = wait_for_output(f, buf, size);
	if (n > 0 && uio_copy_to(uio, buf, (size_t)n) != (size_t)n)
		n = ERR_FAULT;
	kfree(buf);
	return n;
}

/* Types one piece; *done counts what was taken. */
static enum err
type_piece(struct file *f, const uint8_t *text, size_t n, size_t *done)
{
	struct pty *p = f->private;

	for (size_t i = 0; i < n;) {
		size_t taken = tty_input_some(&p->slave, text + i, n - i);
		enum err err;

		i += taken;
		*done += taken;
		if (i == n)
			break;
		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(&p->writers, tty_has_input_room(&p->slave),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return OK;
}

static ssize_t
master_write(struct file *f, struct uio *uio,
    loff_t *pos) NO_THREAD_SAFETY_ANALYSIS /* conditional lock */
{
	struct pty *p = f->private;
	uint8_t text[WRITE_PIECE];
	size_t done = 0;
	enum err err = mutex_lock_interruptible(&p->write_lock);

	if (err != OK)
		return err;
	while (uio->resid > 0 && err == OK) {
		size_t n = uio_copy_from(uio, text, sizeof(text));

		err = n ? type_piece(f, text, n, &done) : ERR_FAULT;
	}
	mutex_unlock(&p->write_lock);
	return done ? (ssize_t)done : err;
}

static uint32_t
master_poll(struct file *f, struct poll_table *pt)
{
	struct pty *p = f->private;
	uint32_t ready = 0;

	poll_wait(f, &p->readers, pt);
	poll_wait(f, &p->writers, pt);
	spin_lock(&p->slave.lock);
	if (p->head != p->tail)
		ready |= POLLIN | POLLRDNORM;
	if (has_status(p))
		ready |= POLLIN | POLLRDNORM | POLLPRI;
	if (p->is_slave_closed)
		ready |= POLLHUP;
	if (ldisc_has_room(&p->slave.ldisc))
		ready |= POLLOUT | POLLWRNORM;
	spin_unlock(&p->slave.lock);
	return ready;
}

/* ---- The master: ioctl ------------------------------------------------------------------- */

/* TIOCSPTLCK and TIOCPKT: a number that is a flag. */
static long
set_flag(struct pty *p, bool *flag, uintptr_t arg)
{
	uint32_t v;
	enum err err = get_user(v, (const uint32_t USER *)arg);

	if (err != OK)
		return err;
	spin_lock(&p->slave.lock);
	if (flag == &p->is_packet && v && !p->is_packet)
		p->status = 0;
	*flag = v != 0;
	spin_unlock(&p->slave.lock);
	return OK;
}

static long
tell(uint32_t v, uintptr_t arg)
{
	return put_user(v, (uint32_t USER *)arg);
}

static long
flush(struct pty *p, uintptr_t which)
{
	if (which > TCIOFLUSH)
		return ERR_INVAL;
	if (which == TCOFLUSH) /* what was typed is the slave's already */
		return OK;
	spin_lock(&p->slave.lock);
	p->tail = p->head;
	spin_unlock(&p->slave.lock);
	tty_output_ready(&p->slave);
	return OK;
}

static long
send_signal(struct pty *p, uintptr_t sig)
{
	uint32_t pgid;

	if (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP)
		return ERR_INVAL;
	spin_lock(&p->slave.lock);
	pgid = p->slave.fg_pgid;
	spin_unlock(&p->slave.lock);
	tty_send_signals(pgid, 1u << sig);
	return OK;
}

/* The slave's node, seen through the mount that `f` leads to. */
static enum err
find_slave(struct file *f, struct path *out)
{
	struct pty *p = f->private;
	enum err err = devpts_find(f, out);
	struct dentry *root = out->dentry;
	char text[16];
	struct name name = {.text = text};

	if (err)
		return err;
	name.len = (uint32_t)snprintf(text, sizeof(text), "%u", p->index);
	name.hash = name_hash(text, name.len);
	if (root->super != p->super) {
		path_put(out);
		return ERR_NODEV;
	}
	mutex_lock(&root->inode->lock);
	err = dir_lookup_locked(root, &name, &out->dentry);
	mutex_unlock(&root->inode->lock);
	dentry_put(root);
	if (err)
		mount_put(out->mount);
	return err;
}

/* TIOCGPTPEER: opens the slave where no path leads to it. */
static long
open_peer(struct file *f, uint32_t flags)
{
	struct path path;
	struct file *peer = NULL;
	int fd;
	enum err err = find_slave(f, &path);

	if (err)
		return err;
	err = path_open(&path, flags & ~(uint32_t)(O_CREAT | O_TRUNC | O_PATH), &peer);
	path_put(&path);
	if (err)
		return err;
	fd = fd_install(peer, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(peer);
	return fd;
}

static long
master_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct pty *p = f->private;

	switch (cmd) {
	case (unsigned)TIOCGPTN: return tell(p->index, arg);
	case TIOCSPTLCK: return set_flag(p, &p->is_locked, arg);
	case (unsigned)TIOCGPTLCK: return tell(p->is_locked, arg);
	case TIOCPKT: return set_flag(p, &p->is_packet, arg);
	case (unsigned)TIOCGPKT: return tell(p->is_packet, arg);
	case TIOCSIG: return send_signal(p, arg);
	case TIOCGPTPEER: return open_peer(f, (uint32_t)arg);
	case FIONREAD: return tell(p->head - p->tail, arg);
	case TIOCOUTQ: return tell(0, arg);
	case TCFLSH: return flush(p, arg);
	case TIOCEXCL: /* a master is only ever opened once */
	case TIOCNXCL: return OK;
	case TIOCSTI:
	case TCXONC: return ERR_IO; /* of the slave's line only */
	default: return tty_ioctl_on(&p->slave, true, cmd, arg);
	}
}

/* ---- The master comes and goes ----------------------------------------------------------- */

static void
release_master(struct file *f)
{
	struct pty *p = f->private;

	spin_lock(&p->slave.lock);
	p->slave.has_lost_peer = true;
	spin_unlock(&p->slave.lock);
	devpts_hide(p);
	tty_hangup(&p->slave);
	tty_put(&p->slave);
}

static struct async_list *
master_async(struct file *f)
{
	struct pty *p = f->private;

	(void)file_own_by_default(
	    f, OWNER_PROCESS, current_process()->pid); /* no memory: nobody */
	return &p->async;
}

static const struct file_ops master_ops = {
    .async = master_async,
    .read = master_read,
    .write = master_write,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .release = release_master,
};

static struct pty *
create(void)
{
	struct pty *p = kzalloc(sizeof(*p));

	if (p)
		p->out = kmalloc(PTY_BUFFER);
	if (!p || !p->out) {
		kfree(p);
		return NULL;
	}
	p->slave.name = p->name;
	p->slave.ops = &slave_ops;
	p->is_locked = true;
	p->has_flow = true;
	mutex_init(&p->write_lock, "ptm", RANK_TTY_CONF);
	wait_queue_init(&p->readers);
	wait_queue_init(&p->writers);
	async_list_init(&p->async);
	tty_setup(&p->slave, DEV_MAJOR_PTS, 0);
	/* Linux's defaults for ptys, where they differ from a line's. */
	p->slave.ldisc.tio.iflag = ICRNL | IXON;
	p->slave.ldisc.tio.cflag = B38400 | CS8 | CREAD;
	return p;
}

/* Opening a ptmx node makes a pair. */
static enum err
open_ptmx(struct file *f)
{
	struct path root;
	struct pty *p;
	enum err err = devpts_find(f, &root);

	if (err)
		return err;
	p = create();
	err = p ? devpts_add(root.dentry->super, p) : ERR_NOMEM;
	path_put(&root);
	if (err) {
		if (p)
			free_rcu(&p->rcu);
		return err;
	}
	snprintf(p->name, sizeof(p->name), "pts/%u", p->index);
	p->slave.minor = p->index;
	f->ops = &master_ops;
	f->private = p;
	return OK;
}

static const struct file_ops ptmx_ops = {.open = open_ptmx};
static const struct file_ops slave_node_ops = {.open = open_slave_node};

void
pty_init(void)
{
	devpts_init();
	/* Only memory can fail: there are no ptys then. */
	(void)dev_register_char("ptmx", 0666, DEV_MAJOR_TTYAUX, 2, &ptmx_ops, NULL);
	(void)dev_register_char_major(DEV_MAJOR_PTS, &slave_node_ops);
}
