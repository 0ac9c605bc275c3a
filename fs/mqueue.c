/*
 * The names and descriptors of message queues (mq_overview(7)): one file system, flat, that mq_open looks
 * in whether it is mounted or not. A queue is an inode's, and lives as long as it. Opening a file there
 * gives the same descriptor as mq_open; reading it tells how the queue is.
 */
#include "fs/notify.h"
#include "fs/procfs.h"
#include "kernel/ipc/mqueue.h"
#include "kernel/panic.h"
#include "kernel/poll.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { MQUEUE_MAGIC = 0x19800202, STATUS_SIZE = 80, PRIORITIES = 32768 };

struct mq_inode {
	struct inode inode;
	struct mqueue *queue; /* NULL: the directory */
	struct list link;     /* [directory's lock] in names, while it has a name */
	uint64_t place;       /* [I] for readdir: rises */
	uint32_t len;
	char name[NAME_MAX + 1];
};

static const struct inode_ops dir_ops, file_inode_ops;
static const struct file_ops queue_file_ops;
static struct mount *mq_mount;               /* where mq_open looks */
static struct list names = LIST_INIT(names); /* [directory's lock] */
static uint64_t last_place;                  /* [directory's lock] */

static struct mq_inode *
mq_inode_of(const struct inode *inode)
{
	return container_of(inode, struct mq_inode, inode);
}

static struct mqueue *
queue_of(const struct file *f)
{
	return mq_inode_of(f->inode)->queue;
}

/* ---- The directory; its lock is held ----------------------------------------------- */

static enum err
mq_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	struct mq_inode *m;

	list_for_each(m, &names, link) {
		if (m->len != name->len || memcmp(m->name, name->text, m->len) != 0)
			continue;
		*out = inode_get(&m->inode);
		return OK;
	}
	return ERR_NOENT;
}

/* A queue with a name. */
static enum err
mq_make(struct inode *dir, const struct name *name, uint32_t mode,
    const struct mq_attr *attr, struct inode **out)
{
	struct mq_inode *m = kzalloc(sizeof(*m));
	enum err err;

	if (!m)
		return ERR_NOMEM;
	err = mqueue_create(attr, &m->queue);
	if (err) {
		kfree(m);
		return err;
	}
	inode_init(&m->inode, dir->super, &file_inode_ops, S_IFREG | (mode & S_IALLUGO));
	inode_init_owner(&m->inode, dir);
	m->inode.file_ops = &queue_file_ops;
	m->inode.size = STATUS_SIZE;
	m->place = ++last_place;
	m->inode.ino = m->place + 1;
	m->len = name->len;
	memcpy(m->name, name->text, name->len);
	list_push_back(&names, &m->link);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	*out = inode_get(&m->inode); /* the other is the name's */
	return OK;
}

static enum err
mq_create(struct inode *dir, const struct name *name, uint32_t mode, uint64_t rdev,
    struct inode **out)
{
	return s_isreg(mode) ? mq_make(dir, name, mode, NULL, out) : ERR_PERM;
}

static enum err
mq_remove(struct inode *dir, const struct name *name, struct inode *inode)
{
	list_remove(&mq_inode_of(inode)->link);
	inode->nlink = 0;
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	inode_put(inode);
	return OK;
}

static enum err
mq_readdir(struct inode *dir, struct dir_sink *sink)
{
	const struct mq_inode *m;

	if (!proc_emit_dots(sink, dir->ino, dir->ino))
		return OK;
	list_for_each(m, &names, link) {
		if ((loff_t)m->place + 1 < sink->pos)
			continue;
		if (!sink->emit(sink, m->name, m->len, m->inode.ino, m->inode.mode,
		        (loff_t)m->place + 2))
			return OK;
		sink->pos = (loff_t)m->place + 2;
	}
	return OK;
}

static enum err
mq_setattr(struct inode *inode, const struct attr *attr)
{
	simple_setattr(inode, attr);
	return OK;
}

static void
mq_free(struct inode *inode)
{
	struct mq_inode *m = mq_inode_of(inode);

	if (m->queue)
		mqueue_free(m->queue);
	kfree(m);
}

static const struct inode_ops dir_ops = {
    .lookup = mq_lookup,
    .create = mq_create,
    .unlink = mq_remove,
    .readdir = mq_readdir,
    .setattr = mq_setattr,
    .free = mq_free,
};
static const struct inode_ops file_inode_ops = {.setattr = mq_setattr, .free = mq_free};

/* ---- Files ------------------------------------------------------------------------- */

static ssize_t
queue_read(struct file *f, struct uio *u, loff_t *pos)
{
	char text[STATUS_SIZE + 1];
	size_t len = mqueue_status(queue_of(f), text, sizeof(text)), n;

	if (*pos >= (loff_t)len)
		return 0;
	n = MIN(len - (size_t)*pos, u->resid);
	if (uio_copy_to(u, text + *pos, n) < n)
		return ERR_FAULT;
	*pos += (loff_t)n;
	return (ssize_t)n;
}

static loff_t
queue_seek(struct file *f, loff_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += f->pos;
	else if (whence == SEEK_END)
		offset += STATUS_SIZE;
	else if (whence != SEEK_SET)
		return ERR_INVAL;
	if (offset < 0)
		return ERR_INVAL;
	f->pos = offset;
	return offset;
}

static uint32_t
queue_poll(struct file *f, struct poll_table *pt)
{
	struct mqueue *q = queue_of(f);
	int64_t num;

	poll_wait(f, &q->senders, pt);
	poll_wait(f, &q->receivers, pt);
	num = __atomic_load_n(&q->attr.num_messages, __ATOMIC_RELAXED);
	return (num ? POLLIN | POLLRDNORM : 0) |
	       (num < q->attr.max_messages ? POLLOUT | POLLWRNORM : 0);
}

static const struct file_ops queue_file_ops = {
    .read = queue_read,
    .seek = queue_seek,
    .poll = queue_poll,
};

void
mqueue_closed_by(struct file *f)
{
	if (f->ops == &queue_file_ops)
		mqueue_notify_end(queue_of(f));
}

/* ---- Names ------------------------------------------------------------------------- */

static enum err
name_check(const char *text, struct name *name)
{
	size_t len = strlen(text);

	if (strchr(text, '/') || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return ERR_ACCES;
	if (len > NAME_MAX)
		return ERR_NAMETOOLONG;
	*name = (struct name){.text = text, .len = (uint32_t)len};
	name->hash = name_hash(text, len);
	return OK;
}

/* The directory's lock is held; `d` has no inode yet. */
static enum err
make_locked(
    const struct name *name, uint32_t mode, const struct mq_attr *attr, struct dentry *d)
{
	struct inode *dir = mq_mount->root->inode, *inode;
	enum err err = dir_may_create(current_cred(), dir);

	if (!err)
		err = mq_make(dir, name, mode & ~current_fs()->umask, attr, &inode);
	if (!err)
		dentry_fill(d, inode);
	return err;
}

static enum err
may_open_queue(const struct inode *inode, int flags)
{
	static const unsigned rights[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE};

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return ERR_EXIST;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return ERR_INVAL;
	return inode_permission(current_cred(), inode, rights[flags & O_ACCMODE]);
}

/* *out gets a reference; a new queue is open to who makes it, whatever its mode. */
static enum err
find_or_make(const struct name *name, int flags, uint32_t mode,
    const struct mq_attr *attr, struct dentry **out)
{
	struct dentry *root = mq_mount->root;
	bool is_new = false;
	enum err err;

	mutex_lock(&root->inode->lock);
	err = dir_lookup_locked(root, name, out);
	if (!err && (*out)->inode) {
		err = may_open_queue((*out)->inode, flags);
	} else if (!err) {
		err = flags & O_CREAT ? make_locked(name, mode, attr, *out) : ERR_NOENT;
		is_new = !err;
	}
	mutex_unlock(&root->inode->lock);
	if (err && *out)
		dentry_put(*out);
	else if (is_new)
		notify_entry(root->inode, IN_CREATE, name, 0);
	return err;
}

static enum err
open_by_name(const char *text, int flags, uint32_t mode, const struct mq_attr *attr,
    struct file **out)
{
	struct dentry *d = NULL;
	struct name name;
	enum err err = name_check(text, &name);

	if (!err)
		err = find_or_make(&name, flags, mode, attr, &d);
	if (err)
		return err;
	err = path_open(
	    &(struct path){mq_mount, d}, (uint32_t)flags & (O_ACCMODE | O_NONBLOCK), out);
	dentry_put(d);
	return err;
}

long
sys_mq_open(
    const char USER *uname, int flags, uint32_t mode, const struct mq_attr USER *uattr)
{
	struct mq_attr attr;
	struct file *f;
	char *text;
	enum err err;
	int fd;

	if (uattr && get_user(attr, uattr) != OK)
		return ERR_FAULT;
	err = name_from_user(uname, false, &text);
	if (err)
		return err;
	fd = fd_reserve(true);
	if (fd >= 0) {
		err = open_by_name(text, flags, mode, uattr ? &attr : NULL, &f);
		if (err)
			fd_unreserve(fd);
		else
			fd_fill(fd, f);
	}
	name_put(text);
	return err ? err : fd;
}

static enum err
may_unlink(const struct inode *dir, const struct inode *inode)
{
	const struct cred *cred = current_cred();
	enum err err = inode_permission(cred, dir, MAY_WRITE | MAY_EXEC);

	if (err || !(dir->mode & S_ISVTX) || cred->fsuid == dir->uid ||
	    inode_owner_or_capable(cred, inode))
		return err;
	return ERR_PERM;
}

static enum err
unlink_name(const struct name *name)
{
	struct dentry *root = mq_mount->root, *d;
	struct inode *dir = root->inode;
	enum err err;

	mutex_lock(&dir->lock);
	err = dir_lookup_locked(root, name, &d);
	if (err) {
		mutex_unlock(&dir->lock);
		return err;
	}
	err = d->inode ? may_unlink(dir, d->inode) : ERR_NOENT;
	if (!err)
		err = mq_remove(dir, name, d->inode);
	if (!err)
		dentry_drop(d);
	mutex_unlock(&dir->lock);
	dentry_put(d);
	if (!err)
		notify_entry(dir, IN_DELETE, name, 0);
	return err;
}

long
sys_mq_unlink(const char USER *uname)
{
	struct name name;
	char *text;
	enum err err = name_from_user(uname, false, &text);

	if (err)
		return err;
	err = name_check(text, &name);
	if (!err)
		err = unlink_name(&name);
	name_put(text);
	return err;
}

/* ---- Calls on descriptors ---------------------------------------------------------- */

/* With a reference; NULL: not a queue, or not open for that (FILE_READ, FILE_WRITE or 0). */
static struct file *
queue_get(int fd, uint32_t mode)
{
	struct file *f = fd_get(fd);

	if (!f)
		return NULL;
	if (f->ops == &queue_file_ops && (f->mode & mode) == mode)
		return f;
	file_put(f);
	return NULL;
}

/* A time of day; wait_event wants the monotonic clock's. */
static enum err
deadline_from_user(const struct timespec USER *utime, nsec_t *deadline_ns)
{
	struct timespec ts;
	int64_t left;

	*deadline_ns = NO_TIMEOUT;
	if (!utime)
		return OK;
	if (get_user(ts, utime) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	left = (int64_t)timespec_to_ns(&ts) - clock_wall_ns();
	*deadline_ns = clock_now_ns() + (nsec_t)MAX(left, (int64_t)1);
	return OK;
}

long
sys_mq_timedsend(int fd, const char USER *text, size_t len, unsigned priority,
    const struct timespec USER *timeout)
{
	nsec_t deadline_ns;
	struct file *f;
	enum err err = deadline_from_user(timeout, &deadline_ns);

	if (err)
		return err;
	if (priority >= PRIORITIES)
		return ERR_INVAL;
	f = queue_get(fd, FILE_WRITE);
	if (!f)
		return ERR_BADF;
	err = mqueue_send(
	    queue_of(f), text, len, priority, f->flags & O_NONBLOCK, deadline_ns);
	file_put(f);
	return err;
}

long
sys_mq_timedreceive(int fd, char USER *text, size_t len, unsigned USER *priority,
    const struct timespec USER *timeout)
{
	nsec_t deadline_ns;
	struct file *f;
	long result = deadline_from_user(timeout, &deadline_ns);

	if (result)
		return result;
	f = queue_get(fd, FILE_READ);
	if (!f)
		return ERR_BADF;
	result = mqueue_receive(
	    queue_of(f), text, len, priority, f->flags & O_NONBLOCK, deadline_ns);
	file_put(f);
	return result;
}

long
sys_mq_notify(int fd, const void USER *event)
{
	struct file *f = queue_get(fd, 0);
	enum err err;

	if (!f)
		return ERR_BADF;
	err = mqueue_notify(queue_of(f), event);
	file_put(f);
	return err;
}

long
sys_mq_getsetattr(int fd, const struct mq_attr USER *unew, struct mq_attr USER *uold)
{
	struct mq_attr wanted = {.flags = 0}, old;
	struct file *f;

	if (unew && get_user(wanted, unew) != OK)
		return ERR_FAULT;
	if (wanted.flags & ~(int64_t)O_NONBLOCK)
		return ERR_INVAL;
	f = queue_get(fd, 0);
	if (!f)
		return ERR_BADF;
	old = queue_of(f)->attr;
	old.flags = f->flags & O_NONBLOCK;
	if (unew && wanted.flags)
		__atomic_fetch_or(&f->flags, O_NONBLOCK, __ATOMIC_RELAXED);
	else if (unew)
		__atomic_fetch_and(&f->flags, ~(uint32_t)O_NONBLOCK, __ATOMIC_RELAXED);
	file_put(f);
	return uold ? put_user(old, uold) : OK;
}

/* ---- The file system --------------------------------------------------------------- */

static struct super *mq_super;

static void
mq_free_super(struct super *super)
{
}

static const struct super_ops mq_super_ops = {.free = mq_free_super};

static enum err
mq_mount_it(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	*out = super_get(mq_super);
	return OK;
}

void
mqueue_fs_init(void)
{
	static struct super_type type = {.name = "mqueue", .mount = mq_mount_it};
	struct mq_inode *dir = kzalloc(sizeof(*dir));

	mq_super = super_create(&type, &mq_super_ops, MQUEUE_MAGIC);
	if (!mq_super || !dir)
		panic("no memory for message queues");
	inode_init(&dir->inode, mq_super, &dir_ops, S_IFDIR | S_ISVTX | 0777);
	dir->inode.ino = 1;
	dir->inode.nlink = 2;
	if (super_set_root(mq_super, &dir->inode))
		panic("no memory for message queues");
	mq_mount = fs_mount_nowhere(mq_super);
	if (!mq_mount)
		panic("no memory for message queues");
	super_type_register(&type);
	mqueue_init();
}
