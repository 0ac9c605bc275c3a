/*
 * Paths to files that have no name. Following /proc/PID/fd/N of a pipe or a socket has to lead somewhere:
 * stat tells what it is, and opening a pipe so gives another end of the same pipe (bash's <(command) is
 * that). An inode is made each time, in a file system that is mounted nowhere; it holds the file for as
 * long as the path is used. A pipe that was opened so is a file without name again.
 */
#include "fs/anon.h"

#include "kernel/ipc/pipe.h"
#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { ANON_MAGIC = 0x09041934 };

struct anon_inode {
	struct inode inode;
	struct file *file; /* [I] a reference */
};

static struct super *anon_super;
static struct mount *anon_mount;

static struct file *
file_of(const struct inode *inode)
{
	return container_of(inode, struct anon_inode, inode)->file;
}

static void
stat_attr(const struct anon_attr *a, struct stat *st)
{
	st->st_mode = a->mode;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	time_split(a->atime_ns, &st->st_atime, &st->st_atime_nsec);
	time_split(a->mtime_ns, &st->st_mtime, &st->st_mtime_nsec);
	time_split(a->ctime_ns, &st->st_ctime, &st->st_ctime_nsec);
}

void
file_stat(struct file *f, struct stat *st)
{
	if (f->inode) {
		inode_stat(f->inode, st);
		return;
	}
	memset(st, 0, sizeof(*st));
	st->st_mode = f->ops->anon_mode ? f->ops->anon_mode : 0600;
	if (f->ops->anon_attr)
		stat_attr(f->ops->anon_attr(f), st);
	st->st_nlink = 1;
	st->st_ino = (uintptr_t)f->private >> 4 & 0xffffffff;
	st->st_blksize = 4096;
	if (f->ops->anon_stat)
		f->ops->anon_stat(f, st);
}

static void
get_attributes(struct inode *inode, struct stat *st)
{
	if (file_of(inode))
		file_stat(file_of(inode), st);
}

static void
free_inode(struct inode *inode)
{
	if (file_of(inode))
		file_put(file_of(inode));
	kfree(container_of(inode, struct anon_inode, inode));
}

/* Of the inode that was made for this, and of the object: two at once leave what either wants. */
static enum err
set_attributes(struct inode *inode, const struct attr *attr)
{
	const struct file *f = file_of(inode);
	struct anon_attr *a = f->ops->anon_attr(f);

	simple_setattr(inode, attr);
	if (attr->valid & ATTR_MODE)
		a->mode = inode->mode;
	if (attr->valid & ATTR_UID)
		a->uid = inode->uid;
	if (attr->valid & ATTR_GID)
		a->gid = inode->gid;
	if (attr->valid & ATTR_ATIME)
		a->atime_ns = inode->atime_ns;
	if (attr->valid & ATTR_MTIME)
		a->mtime_ns = inode->mtime_ns;
	a->ctime_ns = inode->ctime_ns;
	return OK;
}

static const struct inode_ops anon_ops = {
    .getattr = get_attributes, .setattr = set_attributes, .free = free_inode};

/* f NULL: the root, which is none. */
static struct inode *
make_inode(struct file *f)
{
	struct anon_inode *a = kzalloc(sizeof(*a));
	struct stat st = {.st_mode = S_IFDIR};

	if (!a)
		return NULL;
	if (f)
		file_stat(f, &st);
	inode_init(&a->inode, anon_super, &anon_ops, st.st_mode);
	a->inode.uid = st.st_uid;
	a->inode.gid = st.st_gid;
	if (f)
		a->file = file_get(f);
	if (!f || !f->ops->anon_attr)
		a->inode.flags |= INODE_NO_ATTRS;
	return &a->inode;
}

enum err
anon_path(struct file *f, struct path *out)
{
	struct inode *inode = make_inode(f);
	struct dentry *d = inode ? dentry_make_root(anon_super, inode) : NULL;

	if (!d)
		return ERR_NOMEM;
	*out = (struct path){mount_get(anon_mount), d};
	return OK;
}

bool
anon_is(const struct inode *inode)
{
	return inode->super == anon_super;
}

enum err
anon_open(struct file *f)
{
	enum err err = pipe_open_again(f, file_of(f->inode));

	if (err)
		return err;
	dentry_put(f->dentry); /* and with it the inode */
	mount_put(f->mount);
	f->dentry = NULL;
	f->mount = NULL;
	f->inode = NULL;
	return OK;
}

static void
free_super(struct super *super)
{
}

static const struct super_ops anon_super_ops = {.free = free_super};
static struct super_type anon_type = {.name = "anon_inodefs"};

void
anon_init(void)
{
	struct inode *root;

	anon_super = super_create(&anon_type, &anon_super_ops, ANON_MAGIC);
	root = anon_super ? make_inode(NULL) : NULL;
	if (!root || super_set_root(anon_super, root))
		panic("no memory for files without name");
	anon_mount = fs_mount_nowhere(anon_super);
	if (!anon_mount)
		panic("no memory for files without name");
}
