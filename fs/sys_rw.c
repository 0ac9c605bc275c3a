/*
 * System calls that move bytes: read, write and their variants, lseek, sendfile,
 * copy_file_range, splice, vmsplice. Each becomes one uio and one call of the file.
 */
#include "kernel/file.h"
#include "kernel/fcntl.h"
#include "kernel/ipc/pipe.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "fs/notify.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	MAX_TRANSFER = 0x7ffff000, /* Linux's MAX_RW_COUNT: one call moves at most this */
	MAX_IOV = 1024,
	FAST_IOV = 8,
	RWF_HIPRI = 1,
	RWF_DSYNC = 2,
	RWF_SYNC = 4,
	RWF_NOWAIT = 8,
	RWF_APPEND = 16,
};

/* Whether n bytes from there on end beyond the last position. Only /proc/PID/mem has negative ones. */
static bool
ends_beyond(loff_t pos, size_t n)
{
	return pos >= 0 && n > (uint64_t)(INT64_MAX - pos);
}

/* The position a transfer uses: the file's own, or one given with the call. */
static ALWAYS_INLINE ssize_t
transfer_here(struct file *f, struct uio *uio, loff_t *pos)
{
	ssize_t (*op)(struct file *, struct uio *, loff_t *) =
	    uio->is_write ? f->ops->write : f->ops->read;
	bool use_own = !pos && (f->mode & FILE_SEEKABLE);
	loff_t none = 0;
	ssize_t n;

	if (!(f->mode & (uio->is_write ? FILE_WRITE : FILE_READ)))
		return ERR_BADF;
	if (!op || (pos && ends_beyond(*pos, uio->resid)))
		return ERR_INVAL;
	if (use_own) {
		mutex_lock(&f->pos_lock);
		n = ends_beyond(f->pos, uio->resid) ? ERR_INVAL : op(f, uio, &f->pos);
		mutex_unlock(&f->pos_lock);
	} else {
		n = op(f, uio, pos ? pos : &none);
	}
	notify_transfer(f, uio->is_write, n);
	return n;
}

/* As a call of its own: a sixteenth of a short read or write. */
static ssize_t
transfer(struct file *f, struct uio *uio, loff_t *pos)
{
	return transfer_here(f, uio, pos);
}

/* A call that came as far as the file, for /proc/PID/io. */
static void
count_call(bool is_write, ssize_t n)
{
	struct io_count *io = &current_thread()->io;

	if (is_write) {
		io->syscw++;
		io->wchar += n > 0 ? (uint64_t)n : 0;
	} else {
		io->syscr++;
		io->rchar += n > 0 ? (uint64_t)n : 0;
	}
}

static long
rw_user(int fd, void USER *buf, size_t count, bool is_write, loff_t *pos)
{
	struct file *f;
	struct uio uio;
	long n;

	if (pos && *pos < 0)
		return ERR_INVAL;
	f = fd_get(fd);
	if (!f)
		return ERR_BADF;
	if (pos && !(f->mode & FILE_SEEKABLE))
		n = ERR_SPIPE;
	else if (!user_range_ok(buf, count))
		n = ERR_FAULT;
	else {
		uio_init_user(&uio, buf, MIN(count, (size_t)MAX_TRANSFER), is_write);
		n = transfer_here(f, &uio, pos);
		count_call(is_write, n);
	}
	file_put(f);
	return n;
}

long
sys_read(int fd, char USER *buf, size_t count)
{
	return rw_user(fd, buf, count, false, NULL);
}

long
sys_write(int fd, const char USER *buf, size_t count)
{
	return rw_user(fd, (void USER *)buf, count, true, NULL);
}

long
sys_pread64(int fd, char USER *buf, size_t count, loff_t offset)
{
	return rw_user(fd, buf, count, false, &offset);
}

long
sys_pwrite64(int fd, const char USER *buf, size_t count, loff_t offset)
{
	return rw_user(fd, (void USER *)buf, count, true, &offset);
}

/* Fetches and checks the pieces; *iov is `fast` or allocated. Returns the bytes in all,
 * or an err. */
static ssize_t
fetch_iov(const struct iovec USER *user, int n, struct iovec *fast, struct iovec **iov)
{
	ssize_t total = 0;
	enum err err;

	*iov = fast;
	if (n < 0 || n > MAX_IOV)
		return ERR_INVAL;
	if (n > FAST_IOV) {
		*iov = kcalloc(n, sizeof(**iov));
		if (!*iov)
			return ERR_NOMEM;
	}
	err = copy_from_user(*iov, user, n * sizeof(**iov));
	if (err)
		return err;
	for (int i = 0; i < n; i++) {
		struct iovec *v = &(*iov)[i];

		if ((ssize_t)v->len < 0)
			return ERR_INVAL;
		if (!user_range_ok(v->base, v->len))
			return ERR_FAULT;
		v->len = MIN(v->len, (size_t)(MAX_TRANSFER - total));
		total += v->len;
	}
	return total;
}

static bool
is_pipe(const struct file *f)
{
	return f->inode ? (f->inode->mode & S_IFMT) == S_IFIFO
	                : (f->ops->anon_mode & S_IFMT) == S_IFIFO;
}

/* Whether RWF_NOWAIT holds for `f`: what has no waiting, or can refuse to. */
static bool
can_refuse_to_wait(const struct file *f)
{
	return f->cache || is_pipe(f) || (f->ops->anon_mode & S_IFMT) == S_IFSOCK;
}

static long
rw_vector(int fd, const struct iovec USER *user, int iovcnt, bool is_write, loff_t *pos,
    int flags)
{
	struct iovec fast[FAST_IOV], *iov = fast;
	struct file *f;
	struct uio uio;
	long n;

	if (pos && *pos < 0)
		return ERR_INVAL;
	f = fd_get(fd);
	if (!f)
		return ERR_BADF;
	n = pos && !(f->mode & FILE_SEEKABLE) ? ERR_SPIPE
	                                      : fetch_iov(user, iovcnt, fast, &iov);
	if (n >= 0 && (flags & RWF_NOWAIT) && !can_refuse_to_wait(f))
		n = ERR_OPNOTSUPP;
	if (n >= 0) {
		uio_init_vector(&uio, iov, iovcnt, is_write);
		uio.is_nowait = flags & RWF_NOWAIT;
		uio.is_append = flags & RWF_APPEND;
		n = transfer(f, &uio, pos);
	}
	if (iov != fast)
		kfree(iov);
	file_put(f);
	return n;
}

long
sys_readv(int fd, const struct iovec USER *iov, int iovcnt)
{
	return rw_vector(fd, iov, iovcnt, false, NULL, 0);
}

long
sys_writev(int fd, const struct iovec USER *iov, int iovcnt)
{
	return rw_vector(fd, iov, iovcnt, true, NULL, 0);
}

/* On x86-64 pos_low holds the whole position. */
long
sys_preadv(
    int fd, const struct iovec USER *iov, int iovcnt, uint64_t pos_low, uint64_t pos_high)
{
	loff_t pos = pos_low;

	return rw_vector(fd, iov, iovcnt, false, &pos, 0);
}

long
sys_pwritev(
    int fd, const struct iovec USER *iov, int iovcnt, uint64_t pos_low, uint64_t pos_high)
{
	loff_t pos = pos_low;

	return rw_vector(fd, iov, iovcnt, true, &pos, 0);
}

/* Position -1 means the file's own. Flags that only ask for more durability hold anyway.
 */
static long
rw_vector2(int fd, const struct iovec USER *iov, int iovcnt, bool is_write,
    uint64_t pos_low, int flags)
{
	loff_t pos = pos_low;

	if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return ERR_OPNOTSUPP;
	return rw_vector(fd, iov, iovcnt, is_write, pos == -1 ? NULL : &pos, flags);
}

long
sys_preadv2(int fd, const struct iovec USER *iov, int iovcnt, uint64_t pos_low,
    uint64_t pos_high, int flags)
{
	return rw_vector2(fd, iov, iovcnt, false, pos_low, flags);
}

long
sys_pwritev2(int fd, const struct iovec USER *iov, int iovcnt, uint64_t pos_low,
    uint64_t pos_high, int flags)
{
	return rw_vector2(fd, iov, iovcnt, true, pos_low, flags);
}

long
sys_lseek(int fd, loff_t offset, int whence)
{
	struct file *f = fd_get(fd);
	loff_t pos;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH) {
		pos = ERR_BADF;
	} else if ((unsigned)whence > SEEK_HOLE) {
		pos = ERR_INVAL;
	} else if (!f->ops->seek) {
		pos = ERR_SPIPE;
	} else {
		mutex_lock(&f->pos_lock);
		pos = f->ops->seek(f, offset, whence);
		mutex_unlock(&f->pos_lock);
	}
	file_put(f);
	return pos;
}

/* ---- from file to file */

/* One side of a copy: a file and where in it. */
struct side {
	struct file *file;
	loff_t pos;
	bool has_pos; /* the caller's offset, not the file's */
	bool is_nowait;
	loff_t USER *user;
};

static enum err
side_open(struct side *s, int fd, loff_t USER *user)
{
	enum err err = OK;

	*s = (struct side){.file = fd_get(fd), .user = user};
	if (!s->file)
		return ERR_BADF;
	if (!user)
		return OK;
	s->has_pos = true;
	err = get_user(s->pos, user);
	if (!err && s->pos < 0)
		err = ERR_INVAL;
	if (!err && !(s->file->mode & FILE_SEEKABLE))
		err = ERR_SPIPE;
	return err;
}

/* The call's result after n bytes went: an offset that cannot be told is an error even then. */
static long
side_close(struct side *s, long n)
{
	if (s->has_pos && n > 0 && put_user(s->pos, s->user) != OK)
		n = ERR_FAULT;
	if (s->file)
		file_put(s->file);
	return n;
}

/* Gives back what was read and could not be written. */
static void
unread(struct side *in, ssize_t n)
{
	if (in->has_pos)
		in->pos -= n;
	else if (in->file->mode & FILE_SEEKABLE) {
		mutex_lock(&in->file->pos_lock);
		in->file->pos -= n;
		mutex_unlock(&in->file->pos_lock);
	}
}

/* One buffer's worth. *is_short: there is no more for now. */
static ssize_t
copy_piece(struct side *in, struct side *out, void *buf, size_t n, bool *is_short)
{
	struct uio uio;
	ssize_t got, put, done = 0;

	uio_init_kernel(&uio, buf, n, false);
	uio.is_nowait = in->is_nowait;
	got = transfer(in->file, &uio, in->has_pos ? &in->pos : NULL);
	*is_short = got < (ssize_t)n;
	if (got <= 0)
		return got;
	while (done < got) {
		uio_init_kernel(&uio, (char *)buf + done, got - done, true);
		put = transfer(out->file, &uio, out->has_pos ? &out->pos : NULL);
		if (put <= 0) {
			unread(in, got - done);
			*is_short = true;
			return done > 0 ? done : put;
		}
		done += put;
	}
	return done;
}

static ssize_t
copy_between(struct side *in, struct side *out, size_t count)
{
	enum { PIECE = 65536 };
	size_t piece = MIN(count, (size_t)PIECE);
	void *buf = kmalloc(piece ? piece : 1);
	ssize_t total = 0, n = 0;
	bool is_short = false;

	if (!buf)
		return ERR_NOMEM;
	count = MIN(count, (size_t)MAX_TRANSFER);
	while (
	    !is_short && (size_t)total < count && !signal_is_pending(current_thread())) {
		n = copy_piece(in, out, buf, MIN(piece, count - total), &is_short);
		if (n <= 0)
			break;
		total += n;
	}
	kfree(buf);
	return total > 0 ? total : n;
}

/* Pages of the cache handed over as they are, where the files can; else a copy. */
static ssize_t
send_between(struct side *in, struct side *out, size_t count)
{
	loff_t pos = in->pos;
	ssize_t n;

	if (!(in->file->mode & FILE_READ) || !(out->file->mode & FILE_WRITE))
		return ERR_BADF;
	if (!in->has_pos) {
		mutex_lock(&in->file->pos_lock);
		pos = in->file->pos;
		mutex_unlock(&in->file->pos_lock);
	}
	n = data_send_pages(in->file, &pos, MIN(count, (size_t)MAX_TRANSFER), out->file);
	if (n == ERR_OPNOTSUPP)
		return copy_between(in, out, count);
	notify_transfer(in->file, false, n);
	if (in->has_pos) {
		in->pos = pos;
	} else {
		mutex_lock(&in->file->pos_lock);
		in->file->pos = pos;
		mutex_unlock(&in->file->pos_lock);
	}
	return n;
}

static bool
is_regular(const struct file *f)
{
	return f->inode && s_isreg(f->inode->mode);
}

static bool
is_directory(const struct file *f)
{
	return f->inode && s_isdir(f->inode->mode);
}

long
sys_sendfile(int out_fd, int in_fd, loff_t USER *offset, size_t count)
{
	struct side in, out = {.file = NULL};
	long n = side_open(&in, in_fd, offset);

	if (!n)
		n = side_open(&out, out_fd, NULL);
	if (!n && (!(in.file->mode & FILE_SEEKABLE) || is_directory(in.file) ||
	              (out.file->flags & O_APPEND)))
		n = ERR_INVAL;
	if (!n)
		n = send_between(&in, &out, count);
	n = side_close(&in, n);
	return side_close(&out, n);
}

static bool
ranges_overlap(const struct side *in, const struct side *out, size_t len)
{
	loff_t a = in->has_pos ? in->pos : in->file->pos;
	loff_t b = out->has_pos ? out->pos : out->file->pos;

	return in->file->inode == out->file->inode && a < b + (loff_t)len &&
	       b < a + (loff_t)len;
}

long
sys_copy_file_range(int fd_in, loff_t USER *off_in, int fd_out, loff_t USER *off_out,
    size_t len, unsigned flags)
{
	struct side in, out = {.file = NULL};
	long n = side_open(&in, fd_in, off_in);

	if (!n)
		n = side_open(&out, fd_out, off_out);
	if (n == ERR_INVAL)
		n = ERR_OVERFLOW; /* of an offset below 0 */
	len = MIN(len, (size_t)MAX_TRANSFER);
	if (!n && ((in.file->mode | out.file->mode) & FILE_PATH))
		n = ERR_BADF;
	else if (!n && (flags || !is_regular(in.file) || !is_regular(out.file)))
		n = is_directory(in.file) ? ERR_ISDIR : ERR_INVAL;
	else if (!n && (out.file->flags & O_APPEND))
		n = ERR_BADF;
	else if (!n && ranges_overlap(&in, &out, len))
		n = ERR_INVAL;
	if (!n)
		n = copy_between(&in, &out, len);
	n = side_close(&in, n);
	return side_close(&out, n);
}

/* What must hold of the two ends of a splice. */
static enum err
splice_check(const struct side *in, const struct side *out)
{
	bool is_to_pipe = is_pipe(out->file);

	if (!(in->file->mode & FILE_READ) || !(out->file->mode & FILE_WRITE))
		return ERR_BADF;
	if (!is_pipe(in->file) && !is_to_pipe)
		return ERR_INVAL;
	if (is_to_pipe ? in->file->private == out->file->private && is_pipe(in->file)
	               : out->file->flags & O_APPEND)
		return ERR_INVAL;
	return is_directory(in->file) ? ERR_INVAL : OK;
}

/* A full pipe is waited for, then as much goes as it takes. */
static long
splice_between(struct side *in, struct side *out, size_t len)
{
	ssize_t room = 65536;

	if (is_pipe(out->file))
		room = pipe_splice_room(out->file, in->is_nowait);
	return room < 0 ? room : copy_between(in, out, MIN(len, (size_t)room));
}

long
sys_splice(int fd_in, loff_t USER *off_in, int fd_out, loff_t USER *off_out, size_t len,
    unsigned flags)
{
	enum { MOVE = 1, NONBLOCK = 2, MORE = 4, GIFT = 8 };
	struct side in, out = {.file = NULL};
	long n;

	if (!len)
		return 0;
	if (flags & ~(MOVE | NONBLOCK | MORE | GIFT))
		return ERR_INVAL;
	n = side_open(&in, fd_in, off_in);
	in.is_nowait = flags & NONBLOCK;
	if (!n)
		n = side_open(&out, fd_out, off_out);
	if (!n)
		n = splice_check(&in, &out);
	if (!n)
		n = splice_between(&in, &out, len);
	n = side_close(&in, n);
	return side_close(&out, n);
}

/* User memory into a pipe, as much as it takes at once, or out of it. Copied: Linux lends the pages. */
static long
vmsplice_by(
    struct file *f, const struct iovec *iov, unsigned n, size_t total, bool is_nowait)
{
	bool is_write = f->mode & FILE_WRITE;
	ssize_t room = (ssize_t)total;
	struct uio uio;

	if (!is_pipe(f))
		return ERR_BADF;
	if (!total)
		return 0;
	if (is_write)
		room = pipe_splice_room(f, is_nowait);
	if (room < 0)
		return room;
	uio_init_vector(&uio, iov, n, is_write);
	uio.resid = MIN(total, (size_t)room);
	uio.is_nowait = is_nowait;
	return transfer(f, &uio, NULL);
}

long
sys_vmsplice(int fd, const struct iovec USER *user, size_t num, unsigned flags)
{
	enum { MOVE = 1, NONBLOCK = 2, MORE = 4, GIFT = 8 };
	struct iovec fast[FAST_IOV], *iov = fast;
	struct file *f;
	long n;

	if (flags & ~(unsigned)(MOVE | NONBLOCK | MORE | GIFT))
		return ERR_INVAL;
	f = fd_get(fd);
	if (!f)
		return ERR_BADF;
	n = num > MAX_IOV ? ERR_INVAL : fetch_iov(user, (int)num, fast, &iov);
	if (n >= 0)
		n = vmsplice_by(f, iov, (unsigned)num, (size_t)n, flags & NONBLOCK);
	if (iov != fast)
		kfree(iov);
	file_put(f);
	return n;
}
