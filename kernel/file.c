/* Open file descriptions: creation, reference counts, transfers with kernel memory. */
#include "kernel/file.h"

#include "kernel/fcntl.h"
#include "kernel/ipc/epoll.h"
#include "kernel/panic.h"
#include "kernel/proc/async.h"
#include "kernel/proc/cred.h"
#include "kernel/stat.h"
#include "kernel/time/clock.h"
#include "mm/slab.h"
#include "mm/uio.h"

static struct slab_cache *file_cache;

void
file_init(void)
{
	file_cache = slab_cache_create("file", sizeof(struct file), 0);
	if (!file_cache)
		panic("file: no memory for the cache");
}

static uint32_t
file_mode_of(uint32_t flags)
{
	static const uint8_t modes[O_ACCMODE + 1] = {
	    [O_RDONLY] = FILE_READ,
	    [O_WRONLY] = FILE_WRITE,
	    [O_RDWR] = FILE_READ | FILE_WRITE,
	};

	return modes[flags & O_ACCMODE];
}

struct file *
file_alloc(const struct file_ops *ops, uint32_t flags, void *private)
{
	struct file *f = slab_zalloc(file_cache);

	if (!f)
		return NULL;
	f->ops = ops;
	f->refs = 1;
	f->flags = flags;
	f->mode = file_mode_of(flags);
	f->private = private;
	mutex_init(&f->pos_lock, "file position", RANK_FILE_POS);
	list_init(&f->epoll_items);
	return f;
}

struct file *
file_get(struct file *f)
{
	__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

static void
file_free(struct rcu_head *head)
{
	struct file *f = container_of(head, struct file, rcu);

	kfree(f->owner);
	slab_free(file_cache, f);
}

static void
file_release(struct file *f)
{
	if (!list_is_empty(&f->epoll_items))
		epoll_forget_file(f);
	if (f->owner)
		file_owner_leave(f);
	if (f->ops->release)
		f->ops->release(f);
	if (f->inode || f->dentry)
		file_drop_path(f);
	rcu_call(&f->rcu, file_free);
}

void
file_put(struct file *f)
{
	if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0)
		file_release(f);
}

void
anon_attr_init(struct anon_attr *a, uint32_t mode)
{
	const struct cred *cred = current_cred();
	int64_t now = clock_wall_ns();

	*a = (struct anon_attr){mode, cred->fsuid, cred->fsgid, now, now, now};
}

uint64_t
file_anon_ino(const struct file *f)
{
	struct stat st = {.st_ino = (uintptr_t)f->private >> 4 & 0xffffffff};

	if (f->ops->anon_stat)
		f->ops->anon_stat(f, &st);
	return st.st_ino;
}

ssize_t
file_read_at(struct file *f, void *buf, size_t n, loff_t pos)
{
	struct uio u;

	if (!f->ops->read)
		return ERR_INVAL;
	uio_init_kernel(&u, buf, n, false);
	return f->ops->read(f, &u, &pos);
}

ssize_t
file_write_at(struct file *f, const void *buf, size_t n, loff_t pos)
{
	struct uio u;

	if (!f->ops->write)
		return ERR_INVAL;
	uio_init_kernel(&u, (void *)buf, n, true);
	return f->ops->write(f, &u, &pos);
}
