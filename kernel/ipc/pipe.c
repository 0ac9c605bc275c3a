/*
 * Pipes and FIFOs. The data lies in a ring of slots, a page each; a write fills up the
 * last page before it takes another, a read gives back pages it has emptied (one is kept
 * at hand). A mutex covers the ring, so whatever fits is written in one piece; a write of
 * up to PIPE_BUF bytes waits until all of it fits.
 *
 * Readers and writers sleep on queues of their own, and are woken only when the pipe
 * stops being empty or full; once somebody polls it, readers at each write, as
 * edge-triggered epoll expects.
 */
#include "kernel/ipc/pipe.h"

#include "kernel/fcntl.h"
#include "kernel/poll.h"
#include "kernel/proc/async.h"
#include "kernel/proc/process.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	PIPE_SLOTS = 16,
	PIPE_HARD_MAX = 1 << 22,
	FIONREAD = 0x541b,
	PIPE_ANON_MODE = 0010600, /* S_IFIFO, rw for the owner */
};

struct pipe_slot {
	struct page *page;
	uint16_t offset, len; /* of what is still to be read */
	bool is_packet;       /* one read takes it, what does not fit is lost */
};

struct pipe {
	struct mutex lock;
	struct pipe_slot *slots; /* [lock] */
	uint32_t num_slots;      /* [lock] power of two */
	uint32_t head;           /* [lock] the slot to read from */
	uint32_t used;           /* [lock] slots in use; read without */
	size_t bytes;            /* [lock] in all; read without */
	struct page *spare;      /* [lock] an empty page, or NULL */
	struct wait_queue readers_wait, writers_wait;
	struct async_list async;   /* both ends' */
	struct anon_attr attr;     /* of one without name */
	uint32_t readers, writers; /* [lock] ends open; read without */
	uint32_t reader_opens,
	    writer_opens; /* [lock] ever: an opener waits for a change */
	bool is_watched;  /* [lock] polled or in an epoll set: edge-triggered ones want
	                     each write */

	uint32_t refs; /* [a], of a FIFO [*slot_lock]: files that are open on it */

	/* Of a FIFO. */
	struct pipe **slot; /* where the inode keeps it */
	struct spinlock *slot_lock;
};

static const struct file_ops pipe_ops;

static struct pipe *
pipe_alloc(void)
{
	struct pipe *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->slots = kcalloc(PIPE_SLOTS, sizeof(*p->slots));
	if (!p->slots) {
		kfree(p);
		return NULL;
	}
	p->num_slots = PIPE_SLOTS;
	p->refs = 1;
	mutex_init(&p->lock, "pipe", RANK_PIPE);
	wait_queue_init(&p->readers_wait);
	wait_queue_init(&p->writers_wait);
	async_list_init(&p->async);
	anon_attr_init(&p->attr, PIPE_ANON_MODE);
	return p;
}

static struct pipe_slot *
pipe_slot_at(const struct pipe *p, uint32_t n)
{
	return &p->slots[(p->head + n) & (p->num_slots - 1)];
}

static void
pipe_free(struct pipe *p)
{
	for (uint32_t i = 0; i < p->used; i++)
		page_put(pipe_slot_at(p, i)->page);
	if (p->spare)
		page_put(p->spare);
	kfree(p->slots);
	kfree(p);
}

/* ---- Reading
 * --------------------------------------------------------------------------- */

/* Lock held. The first slot is empty: gives its page back. */
static void
pipe_drop_slot(struct pipe *p)
{
	struct pipe_slot *s = pipe_slot_at(p, 0);

	if (p->spare)
		page_put(s->page);
	else
		p->spare = s->page;
	p->head = (p->head + 1) & (p->num_slots - 1);
	p->used--;
}

/* Lock held. As much as there is and is wanted; ERR_FAULT only when nothing could be
 * copied. */
static ssize_t
pipe_take(struct pipe *p, struct uio *u)
{
	size_t done = 0;

	while (p->used && u->resid) {
		struct pipe_slot *s = pipe_slot_at(p, 0);
		size_t want = MIN((size_t)s->len, u->resid);
		size_t n =
		    uio_copy_to(u, (char *)page_to_virt(s->page) + s->offset, want);

		s->offset += n;
		s->len -= n;
		p->bytes -= n;
		done += n;
		if (n < want)
			return done ? (ssize_t)done : ERR_FAULT;
		if (s->is_packet) {
			p->bytes -= s->len;
			pipe_drop_slot(p);
			break;
		}
		if (!s->len)
			pipe_drop_slot(p);
	}
	return (ssize_t)done;
}

static bool
pipe_is_readable(const struct pipe *p)
{
	return __atomic_load_n(&p->used, __ATOMIC_RELAXED) ||
	       !__atomic_load_n(&p->writers, __ATOMIC_RELAXED);
}

static ssize_t
pipe_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct pipe *p = f->private;

	if (!u->resid)
		return 0;
	for (;;) {
		bool was_full;
		ssize_t n;
		enum err err;

		mutex_lock(&p->lock);
		if (p->used) {
			was_full = p->used == p->num_slots;
			n = pipe_take(p, u);
			was_full &= p->used < p->num_slots;
			mutex_unlock(&p->lock);
			if (was_full)
				wait_queue_wake(
				    &p->writers_wait, 1, POLLOUT | POLLWRNORM);
			async_tell(&p->async, POLL_OUT);
			return n;
		}
		n = p->writers ? ERR_AGAIN : 0;
		mutex_unlock(&p->lock);
		if (n == 0 || (f->flags & O_NONBLOCK) || u->is_nowait)
			return n;
		err = wait_event(&p->readers_wait, pipe_is_readable(p),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
}

/* ---- Writing
 * --------------------------------------------------------------------------- */

static size_t
slot_room(const struct pipe_slot *s)
{
	return s->is_packet ? 0 : PAGE_SIZE - s->offset - s->len;
}

/* Lock held. Bytes that fit now. */
static size_t
pipe_room(const struct pipe *p)
{
	size_t room = (size_t)(p->num_slots - p->used) * PAGE_SIZE;

	return p->used ? room + slot_room(pipe_slot_at(p, p->used - 1)) : room;
}

/* Lock held. A fresh slot at the end; there is one. NULL: no memory. */
static struct pipe_slot *
pipe_add_slot(struct pipe *p)
{
	struct pipe_slot *s = pipe_slot_at(p, p->used);
	struct page *page = p->spare ? p->spare : page_alloc(0, ALLOC_NORMAL);

	if (!page)
		return NULL;
	p->spare = NULL;
	*s = (struct pipe_slot){.page = page};
	p->used++;
	return s;
}

/* Lock held. Copies what fits; a page that could not be filled at all goes again. */
static ssize_t
pipe_put(struct pipe *p, struct uio *u, bool is_packet)
{
	size_t done = 0;

	while (u->resid) {
		struct pipe_slot *s = p->used ? pipe_slot_at(p, p->used - 1) : NULL;
		size_t want, n;

		if (!s || !slot_room(s) || is_packet) {
			if (p->used == p->num_slots)
				break;
			s = pipe_add_slot(p);
			if (!s)
				return done ? (ssize_t)done : ERR_NOMEM;
		}
		want = MIN(slot_room(s), u->resid);
		s->is_packet = is_packet;
		n = uio_copy_from(
		    u, (char *)page_to_virt(s->page) + s->offset + s->len, want);
		s->len += n;
		p->bytes += n;
		done += n;
		if (n == want)
			continue;
		if (!s->len) {
			p->used--;
			page_put(s->page);
		}
		return done ? (ssize_t)done : ERR_FAULT;
	}
	return (ssize_t)done;
}

static ssize_t
pipe_broken(void)
{
	const struct siginfo info = {
	    .code = SI_USER, .pid = current_process()->pid, .uid = current_cred()->uid};

	(void)signal_send_thread(
	    current_thread(), SIGPIPE, &info); /* the result says it too */
	return ERR_PIPE;
}

/* Room for a whole atomic write, or for any part of a larger one. */
static bool
pipe_has_room(const struct pipe *p, size_t n)
{
	return pipe_room(p) >= MIN(n, (size_t)PIPE_BUF);
}

static bool
pipe_is_writable(const struct pipe *p)
{
	return __atomic_load_n(&p->used, __ATOMIC_RELAXED) < p->num_slots ||
	       !__atomic_load_n(&p->readers, __ATOMIC_RELAXED);
}

/* Waits until more can be written: OK, or why not. */
static enum err
pipe_wait_room(struct file *f, struct pipe *p, bool is_nowait)
{
	if ((f->flags & O_NONBLOCK) || is_nowait)
		return ERR_AGAIN;
	return wait_event(
	    &p->writers_wait, pipe_is_writable(p), WAIT_INTERRUPTIBLE, NO_TIMEOUT);
}

static ssize_t
pipe_write(struct file *f, struct uio *u, loff_t *pos)
{
	struct pipe *p = f->private;
	bool is_atomic = u->resid <= PIPE_BUF;
	size_t done = 0;

	if (!u->resid)
		return 0;
	for (;;) {
		bool wakes_readers;
		ssize_t n = 0;
		enum err err;

		mutex_lock(&p->lock);
		if (!p->readers) {
			mutex_unlock(&p->lock);
			return done ? (ssize_t)done : pipe_broken();
		}
		wakes_readers = !p->used || p->is_watched;
		if (is_atomic ? pipe_has_room(p, u->resid) : pipe_room(p) > 0)
			n = pipe_put(p, u, f->flags & O_DIRECT);
		wakes_readers &= n > 0;
		mutex_unlock(&p->lock);
		if (wakes_readers)
			wait_queue_wake(&p->readers_wait, 1, POLLIN | POLLRDNORM);
		if (n > 0)
			async_tell(&p->async, POLL_IN);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		if (!u->resid)
			return (ssize_t)done;
		err = pipe_wait_room(f, p, u->is_nowait);
		if (err != OK)
			return done ? (ssize_t)done : err;
	}
}

ssize_t
pipe_splice_room(struct file *f, bool is_nowait)
{
	struct pipe *p = f->private;

	for (;;) {
		bool has_readers;
		size_t room;
		enum err err;

		mutex_lock(&p->lock);
		has_readers = p->readers;
		room = (size_t)(p->num_slots - p->used) * PAGE_SIZE;
		mutex_unlock(&p->lock);
		if (!has_readers)
			return pipe_broken();
		if (room)
			return (ssize_t)room;
		err = pipe_wait_room(f, p, is_nowait);
		if (err != OK)
			return err;
	}
}

/* ---- The other operations
 * ---------------------------------------------------------------- */

static uint32_t
pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->private;
	uint32_t events = 0;

	if (f->mode & FILE_READ)
		poll_wait(f, &p->readers_wait, pt);
	if (f->mode & FILE_WRITE)
		poll_wait(f, &p->writers_wait, pt);
	mutex_lock(&p->lock);
	p->is_watched |= pt != NULL;
	if (f->mode & FILE_READ) {
		if (p->used)
			events |= POLLIN | POLLRDNORM;
		if (!p->writers && p->writer_opens)
			events |= POLLHUP;
	}
	if (f->mode & FILE_WRITE) {
		if (p->used < p->num_slots)
			events |= POLLOUT | POLLWRNORM;
		if (!p->readers)
			events |= POLLERR;
	}
	mutex_unlock(&p->lock);
	return events;
}

static long
pipe_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct pipe *p = f->private;
	int32_t n;

	if (cmd != FIONREAD)
		return ERR_NOTTY;
	n = (int32_t)__atomic_load_n(&p->bytes, __ATOMIC_RELAXED);
	return put_user(n, (int32_t USER *)arg);
}

/* A file's reference goes; with the last one the pipe does, and the inode forgets a FIFO.
 */
static void
pipe_unref(struct pipe *p)
{
	bool is_last;

	if (p->slot) {
		spin_lock(p->slot_lock);
		is_last = --p->refs == 0;
		if (is_last)
			*p->slot = NULL;
		spin_unlock(p->slot_lock);
	} else {
		is_last = __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0;
	}
	if (is_last)
		pipe_free(p);
}

static void
pipe_release(struct file *f)
{
	struct pipe *p = f->private;
	bool is_end;

	mutex_lock(&p->lock);
	if (f->mode & FILE_READ)
		p->readers--;
	if (f->mode & FILE_WRITE)
		p->writers--;
	is_end = !p->readers != !p->writers;
	mutex_unlock(&p->lock);
	/* The reference lasts to the end: the other end may be closing at the same time.
	 */
	wait_queue_wake(&p->readers_wait, ~0u, POLLIN | POLLRDNORM | POLLHUP);
	wait_queue_wake(&p->writers_wait, ~0u, POLLOUT | POLLWRNORM | POLLERR);
	if (is_end) {
		async_tell(&p->async, POLL_IN);
		async_tell(&p->async, POLL_OUT);
	}
	pipe_unref(p);
}

/* Lock held: `slots` has room for what is there. */
static void
pipe_move_slots(struct pipe *p, struct pipe_slot *slots, uint32_t num)
{
	for (uint32_t i = 0; i < p->used; i++)
		slots[i] = *pipe_slot_at(p, i);
	kfree(p->slots);
	p->slots = slots;
	p->num_slots = num;
	p->head = 0;
}

static long
pipe_resize(struct pipe *p, size_t size)
{
	uint32_t num = (uint32_t)round_up_pow2(DIV_ROUND_UP(MAX(size, 1ul), PAGE_SIZE));
	struct pipe_slot *slots;
	bool was_full, fits;

	if (size > PIPE_HARD_MAX)
		return ERR_INVAL;
	if (size > PIPE_MAX_SIZE && !capable(CAP_SYS_RESOURCE))
		return ERR_PERM;
	slots = kcalloc(num, sizeof(*slots));
	if (!slots)
		return ERR_NOMEM;
	mutex_lock(&p->lock);
	fits = p->used <= num;
	was_full = p->used == p->num_slots && p->used < num;
	if (fits)
		pipe_move_slots(p, slots, num);
	mutex_unlock(&p->lock);
	if (!fits) {
		kfree(slots);
		return ERR_BUSY;
	}
	if (was_full)
		wait_queue_wake(&p->writers_wait, 1, POLLOUT | POLLWRNORM);
	return (long)num * PAGE_SIZE;
}

long
pipe_fcntl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct pipe *p = f->private;

	if (f->ops != &pipe_ops)
		return ERR_BADF;
	if (cmd == F_GETPIPE_SZ)
		return (long)p->num_slots * PAGE_SIZE;
	return pipe_resize(p, arg);
}

static struct async_list *
pipe_async(struct file *f)
{
	struct pipe *p = f->private;

	return &p->async;
}

static struct anon_attr *
pipe_attr(const struct file *f)
{
	struct pipe *p = f->private;

	return &p->attr;
}

static const struct file_ops pipe_ops = {
    .anon_attr = pipe_attr,
    .async = pipe_async,
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
    .anon_mode = PIPE_ANON_MODE,
    .anon_name = "pipe",
};

/* ---- Making pipes
 * -------------------------------------------------------------------------- */

enum err
pipe_create(struct file *ends[2], uint32_t flags)
{
	struct pipe *p = pipe_alloc();

	if (!p)
		return ERR_NOMEM;
	p->readers = p->writers = p->reader_opens = p->writer_opens = 1;
	p->refs = 2;
	ends[0] = file_alloc(&pipe_ops, O_RDONLY | flags, p);
	if (!ends[0]) {
		pipe_free(p);
		return ERR_NOMEM;
	}
	ends[1] = file_alloc(&pipe_ops, O_WRONLY | flags, p);
	if (!ends[1]) {
		p->writers = 0;
		p->refs = 1;
		file_put(ends[0]);
		return ERR_NOMEM;
	}
	return OK;
}

void
pipe_wait_unread(struct file *f)
{
	struct pipe *p = f->private;

	mutex_lock(&p->lock);
	p->writers--;
	f->mode &= ~(uint32_t)FILE_WRITE;
	mutex_unlock(&p->lock);
	wait_queue_wake(&p->readers_wait, ~0u, POLLIN | POLLRDNORM | POLLHUP);
	(void)wait_event(&p->writers_wait,
	    !__atomic_load_n(&p->readers, __ATOMIC_ACQUIRE), WAIT_KILLABLE,
	    NO_TIMEOUT); /* killed: it is not waited for any longer */
}

long
sys_pipe2(int USER *ufds, int flags)
{
	struct file *ends[2];
	bool cloexec = flags & O_CLOEXEC;
	int fds[2];
	enum err err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return ERR_INVAL;
	err = pipe_create(ends, (uint32_t)flags & (O_NONBLOCK | O_DIRECT));
	if (err != OK)
		return err;
	fds[0] = fd_install(ends[0], 0, cloexec);
	fds[1] = fds[0] < 0 ? fds[0] : fd_install(ends[1], 0, cloexec);
	if (fds[1] < 0) {
		if (fds[0] >= 0)
			(void)fd_close(fds[0]); /* it was ours until now */
		else
			file_put(ends[0]);
		file_put(ends[1]);
		return fds[1];
	}
	err = copy_to_user(ufds, fds, sizeof(fds));
	if (err != OK) {
		(void)fd_close(
		    fds[0]); /* nobody knows them: the numbers were never told */
		(void)fd_close(fds[1]);
	}
	return err;
}

long
sys_pipe(int USER *fds)
{
	return sys_pipe2(fds, 0);
}

/* ---- tee: what is in one pipe into another, and it stays */

/* Both locks held. As much of `len` as is there and fits; it is copied, for writers go on in the last page. */
static ssize_t
pipe_copy(const struct pipe *from, struct pipe *to, size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < from->used && done < len; i++) {
		const struct pipe_slot *s = pipe_slot_at(from, i);
		size_t want = MIN((size_t)s->len, len - done);
		struct uio u;
		ssize_t n;

		uio_init_kernel(
		    &u, (char *)page_to_virt(s->page) + s->offset, want, true);
		n = pipe_put(to, &u, false);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return (ssize_t)done;
}

/* Waits for something to read: 1, or 0 at the end, or why not. */
static ssize_t
pipe_wait_data(struct pipe *p, bool is_nowait)
{
	enum err err;

	if (!pipe_is_readable(p)) {
		if (is_nowait)
			return ERR_AGAIN;
		err = wait_event(&p->readers_wait, pipe_is_readable(p),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return __atomic_load_n(&p->used, __ATOMIC_RELAXED) > 0;
}

static ssize_t
tee_pipes(struct file *in, struct file *out, size_t len, bool is_nowait)
{
	struct pipe *from = in->private, *to = out->private;
	bool wakes_readers;
	ssize_t n;

	for (;;) {
		n = pipe_wait_data(from, is_nowait);
		if (n <= 0)
			return n;
		n = pipe_splice_room(out, is_nowait);
		if (n < 0)
			return n;
		mutex_lock_pair(&from->lock, &to->lock);
		wakes_readers = !to->used || to->is_watched;
		n = pipe_copy(from, to, len);
		mutex_unlock_pair(&from->lock, &to->lock);
		if (n > 0 && wakes_readers)
			wait_queue_wake(&to->readers_wait, 1, POLLIN | POLLRDNORM);
		if (n > 0)
			async_tell(&to->async, POLL_IN);
		if (n) /* else another was faster, at either end */
			return n;
	}
}

long
sys_tee(int fd_in, int fd_out, size_t len, unsigned flags)
{
	enum { MOVE = 1, NONBLOCK = 2, MORE = 4, GIFT = 8 };
	struct file *in, *out;
	long n = ERR_BADF;

	if (flags & ~(unsigned)(MOVE | NONBLOCK | MORE | GIFT))
		return ERR_INVAL;
	if (!len)
		return 0;
	in = fd_get(fd_in);
	out = fd_get(fd_out);
	if (in && out && (in->mode & FILE_READ) && (out->mode & FILE_WRITE))
		n = in->ops == &pipe_ops && out->ops == &pipe_ops &&
		            in->private != out->private
		        ? tee_pipes(in, out, MIN(len, (size_t)INT32_MAX),
		              (flags & NONBLOCK) ||
		                  ((in->flags | out->flags) & O_NONBLOCK))
		        : ERR_INVAL;
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return n;
}

/* ---- FIFOs
 * ---------------------------------------------------------------------------------- */

/* The inode's pipe with a reference, made if there is none. NULL: no memory. */
static struct pipe *
fifo_get(struct pipe **slot, struct spinlock *lock)
{
	struct pipe *fresh = NULL, *p;

	if (!__atomic_load_n(slot, __ATOMIC_RELAXED)) {
		fresh = pipe_alloc();
		if (!fresh)
			return NULL;
		fresh->slot = slot;
		fresh->slot_lock = lock;
	}
	for (;;) {
		spin_lock(lock);
		p = *slot;
		if (p)
			p->refs++;
		else
			*slot = fresh;
		spin_unlock(lock);
		if (p || fresh)
			break;
		return fifo_get(slot, lock); /* its last user left meanwhile */
	}
	if (p && fresh)
		pipe_free(fresh);
	return p ? p : fresh;
}

/*
 * Opening for reading waits for a writer, for writing for a reader; POSIX open,
 * O_NONBLOCK. `opens` is what the peers' count of opens was when this end became visible
 * to them: one may come, and go again, before we look.
 */
static enum err
fifo_wait_peer(struct pipe *p, uint32_t flags, uint32_t opens)
{
	if ((flags & O_ACCMODE) == O_RDONLY)
		return flags & O_NONBLOCK ? OK
		                          : wait_event(&p->readers_wait,
		                                __atomic_load_n(&p->writer_opens,
		                                    __ATOMIC_ACQUIRE) != opens,
		                                WAIT_INTERRUPTIBLE, NO_TIMEOUT);
	if (flags & O_NONBLOCK)
		return ERR_NXIO;
	return wait_event(&p->writers_wait,
	    __atomic_load_n(&p->reader_opens, __ATOMIC_ACQUIRE) != opens,
	    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
}

enum err
pipe_open_again(struct file *f, const struct file *from)
{
	struct pipe *p = from->private;

	if (from->ops != &pipe_ops)
		return ERR_NXIO;
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	f->private = p;
	f->ops = &pipe_ops;
	mutex_lock(&p->lock);
	if (f->mode & FILE_READ)
		p->readers++;
	if (f->mode & FILE_WRITE)
		p->writers++;
	mutex_unlock(&p->lock);
	return OK;
}

enum err
fifo_open(struct file *f, struct pipe **slot, struct spinlock *lock)
{
	struct pipe *p = fifo_get(slot, lock);
	uint32_t peer_opens;
	bool has_peer;
	enum err err;

	if (!p)
		return ERR_NOMEM;
	f->private = p;
	f->ops = &pipe_ops;
	mutex_lock(&p->lock);
	if (f->mode & FILE_READ) {
		p->readers++;
		__atomic_fetch_add(&p->reader_opens, 1, __ATOMIC_RELEASE);
	}
	if (f->mode & FILE_WRITE) {
		p->writers++;
		__atomic_fetch_add(&p->writer_opens, 1, __ATOMIC_RELEASE);
	}
	has_peer =
	    f->mode & FILE_READ ? p->writers : p->readers; /* itself, with O_RDWR */
	peer_opens = f->mode & FILE_READ ? p->writer_opens : p->reader_opens;
	mutex_unlock(&p->lock);
	if (f->mode & FILE_READ)
		wait_queue_wake_all(&p->writers_wait);
	if (f->mode & FILE_WRITE)
		wait_queue_wake_all(&p->readers_wait);
	err = has_peer ? OK : fifo_wait_peer(p, f->flags, peer_opens);
	if (err != OK)
		pipe_release(f);
	return err;
}
