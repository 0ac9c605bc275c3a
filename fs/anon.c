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

void
file_stat(struct file *f, struct stat *st)
{
	if (f->inode) {
		inode_stat(f->inode, st);
		return;
	}
	memset(st, 0, sizeof(*st));
	st->st_mode = f->ops->anon_mode ? f->ops->anon_mode : 0600;
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

static const struct inode_ops anon_ops = {.getattr = get_attributes, .free = free_inode};

static struct inode *
make_inode(struct file *f, uint32_t mode)
{
	struct anon_inode *a = kzalloc(sizeof(*a));

	if (!a)
		return NULL;
	inode_init(&a->inode, anon_super, &anon_ops, mode);
	if (f) {
		a->file = file_get(f);
		a->inode.uid = current_cred()->fsuid;
		a->inode.gid = current_cred()->fsgid;
	}
	return &a->inode;
}

enum err
anon_path(struct file *f, struct path *out)
{
	struct inode *inode = make_inode(f, f->ops->anon_mode ? f->ops->anon_mode : 0600);
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
	root = anon_super ? make_inode(NULL, S_IFDIR) : NULL;
	if (!root || super_set_root(anon_super, root))
		panic("no memory for files without name");
	anon_mount = fs_mount_nowhere(anon_super);
	if (!anon_mount)
		panic("no memory for files without name");
}
