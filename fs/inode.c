/*
 * Inodes and supers: life, ownership, times. What an inode means is its file system's
 * business (struct inode_ops); what every file system would do alike is here.
 */
#include "fs/vfs.h"
#include "fs/notify.h"

#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"

static struct list super_types = LIST_INIT(super_types);
static struct spinlock super_types_lock = SPINLOCK_INIT("super_types", RANK_OBJECT);
static uint32_t last_anon_dev;

void
super_type_register(struct super_type *type)
{
	spin_lock(&super_types_lock);
	list_push_back(&super_types, &type->link);
	spin_unlock(&super_types_lock);
}

struct super_type *
super_type_find(const char *name)
{
	struct super_type *type, *found = NULL;

	spin_lock(&super_types_lock);
	list_for_each(type, &super_types, link)
		if (!strcmp(type->name, name))
			found = type;
	spin_unlock(&super_types_lock);
	return found;
}

void
super_types_for_each(void (*fn)(const struct super_type *, void *), void *arg)
{
	struct super_type *type;

	/* Types are never taken away, so the list may be read without its lock. */
	list_for_each(type, &super_types, link)
		fn(type, arg);
}

struct super *
super_create(const struct super_type *type, const struct super_ops *ops, int64_t magic)
{
	struct super *s = kzalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->type = type;
	s->ops = ops;
	s->refs = 1;
	s->flags = type->flags;
	s->magic = magic;
	s->dev = dev_make(0, __atomic_add_fetch(&last_anon_dev, 1, __ATOMIC_RELAXED));
	mutex_init(&s->rename_lock, "rename", RANK_VFS_RENAME);
	return s;
}

enum err
super_set_root(struct super *s, struct inode *root)
{
	s->root_dentry = dentry_make_root(s, root);
	return s->root_dentry ? OK : ERR_NOMEM;
}

struct super *
super_get(struct super *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
super_put(struct super *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	inotify_forget_super(s);
	if (s->root_dentry) {
		dcache_drop_super(s);
		dentry_put(s->root_dentry);
	}
	s->ops->free(s);
	kfree(s);
}

int64_t
fs_now_ns(void)
{
	return clock_wall_ns();
}

void
inode_init(
    struct inode *inode, struct super *super, const struct inode_ops *ops, uint32_t mode)
{
	int64_t now = fs_now_ns();

	memset(inode, 0, sizeof(*inode));
	inode->ops = ops;
	inode->super = super;
	inode->refs = 1;
	inode->mode = mode;
	inode->nlink = 1;
	inode->atime_ns = inode->mtime_ns = inode->ctime_ns = inode->btime_ns = now;
	if (s_isdir(mode))
		inode->file_ops = &dir_file_ops;
	mutex_init(&inode->lock, "inode", RANK_INODE);
	spin_init(&inode->aux_lock, "inode_aux", RANK_OBJECT);
	list_init(&inode->locks);
	list_init(&inode->watches);
	wait_queue_init(&inode->locks_wait);
	page_cache_init(&inode->cache, NULL, inode);
}

struct inode *
inode_get(struct inode *inode)
{
	__atomic_fetch_add(&inode->refs, 1, __ATOMIC_RELAXED);
	return inode;
}

void
inode_put(struct inode *inode)
{
	if (inode && __atomic_sub_fetch(&inode->refs, 1, __ATOMIC_ACQ_REL) == 0)
		inode->ops->free(inode);
}

void
inode_init_owner(struct inode *inode, const struct inode *dir)
{
	const struct cred *cred = current_cred();

	inode->uid = cred->fsuid;
	inode->gid = cred->fsgid;
	if (dir->mode & S_ISGID) {
		inode->gid = dir->gid;
		if (s_isdir(inode->mode))
			inode->mode |= S_ISGID;
	}
	/* A set-group-id program is made only by members of the group. */
	if (!s_isdir(inode->mode) &&
	    (inode->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    !cred_in_group(cred, inode->gid) && !cred_capable(cred, CAP_FSETID))
		inode->mode &= ~S_ISGID;
}

void
inode_touch(struct inode *inode, uint32_t which)
{
	int64_t now = fs_now_ns();

	if (which & INODE_ATIME)
		__atomic_store_n(&inode->atime_ns, now, __ATOMIC_RELAXED);
	if (which & INODE_MTIME)
		__atomic_store_n(&inode->mtime_ns, now, __ATOMIC_RELAXED);
	if (which & INODE_CTIME)
		__atomic_store_n(&inode->ctime_ns, now, __ATOMIC_RELAXED);
	if (inode->ops->dirty)
		inode->ops->dirty(inode);
}

void
simple_setattr(struct inode *inode, const struct attr *attr)
{
	if (attr->valid & ATTR_MODE)
		inode->mode = (inode->mode & S_IFMT) | (attr->mode & S_IALLUGO);
	if (attr->valid & ATTR_UID)
		inode->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		inode->atime_ns = attr->atime_ns;
	if (attr->valid & ATTR_MTIME)
		inode->mtime_ns = attr->mtime_ns;
	inode_touch(inode, INODE_CTIME);
}

void
time_split(int64_t ns, int64_t *sec, int64_t *nsec)
{
	const int64_t second = NSEC_PER_SEC;

	*sec = ns / second;
	*nsec = ns % second;
	if (*nsec < 0) {
		*nsec += second;
		--*sec;
	}
}

void
inode_stat(struct inode *inode, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = inode->super->dev;
	st->st_ino = inode->ino;
	st->st_nlink = inode->nlink;
	st->st_mode = inode->mode;
	st->st_uid = inode->uid;
	st->st_gid = inode->gid;
	st->st_rdev = inode->rdev;
	st->st_size = __atomic_load_n(&inode->size, __ATOMIC_RELAXED);
	st->st_blksize = PAGE_SIZE;
	st->st_blocks = (int64_t)inode->cache.num_pages * (PAGE_SIZE / 512);
	time_split(inode->atime_ns, &st->st_atime, &st->st_atime_nsec);
	time_split(inode->mtime_ns, &st->st_mtime, &st->st_mtime_nsec);
	time_split(inode->ctime_ns, &st->st_ctime, &st->st_ctime_nsec);
	if (inode->ops->getattr)
		inode->ops->getattr(inode, st);
}
