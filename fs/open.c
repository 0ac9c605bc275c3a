/* Opening: from a path or an inode to a struct file, with every check open(2) has. */
#include "fs/anon.h"
#include "fs/device.h"
#include "fs/namei.h"
#include "fs/notify.h"
#include "fs/xattr.h"
#include "kernel/ipc/pipe.h"
#include "kernel/proc/process.h"

/* What O_PATH descriptors can do: nothing. */
static const struct file_ops path_file_ops;

static unsigned
wanted_rights(uint32_t flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY: return MAY_READ;
	case O_WRONLY: return MAY_WRITE;
	default: return MAY_READ | MAY_WRITE;
	}
}

/* Counts `inode` as open for writing, unless a program runs from it. */
static bool
writer_begin(struct inode *inode)
{
	int32_t n = __atomic_load_n(&inode->num_writers, __ATOMIC_RELAXED);

	while (n >= 0)
		if (__atomic_compare_exchange_n(&inode->num_writers, &n, n + 1, true,
		        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void
writer_end(struct inode *inode)
{
	__atomic_sub_fetch(&inode->num_writers, 1, __ATOMIC_RELAXED);
}

static bool
deny_writers(struct inode *inode)
{
	int32_t n = __atomic_load_n(&inode->num_writers, __ATOMIC_RELAXED);

	while (n <= 0)
		if (__atomic_compare_exchange_n(&inode->num_writers, &n, n - 1, true,
		        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false;
}

void
file_drop_path(struct file *f)
{
	if (!(f->mode & FILE_PATH))
		notify_dentry(
		    f->dentry, f->mode & FILE_WRITE ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
	locks_drop_file(f);
	if (s_isreg(f->inode->mode) && (f->mode & FILE_WRITE)) {
		mount_write_end(f->mount);
		if (!(f->mode & FILE_IS_NO_WRITER))
			writer_end(f->inode);
	}
	if (f->mode & FILE_DENIES_WRITE)
		__atomic_add_fetch(&f->inode->num_writers, 1, __ATOMIC_RELAXED);
	if (f->dentry)
		dentry_put(f->dentry);
	if (f->mount)
		mount_put(f->mount);
}

/* Of a regular file: on an error it is not open for writing. */
static enum err
write_begin(struct file *f)
{
	enum err err = OK;

	if (!mount_write_begin(f->mount)) {
		err = ERR_ROFS;
	} else if (!writer_begin(f->inode)) {
		mount_write_end(f->mount);
		err = ERR_TXTBSY;
	}
	if (err)
		f->mode &= ~(uint32_t)FILE_WRITE;
	return err;
}

/* Sets ops and private by the inode's type. */
static enum err
attach_ops(struct file *f)
{
	struct inode *inode = f->inode;

	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		if (f->mode & FILE_WRITE) {
			enum err err = write_begin(f);

			if (err)
				return err;
		}
		f->cache = &inode->cache;
		f->ops = inode->file_ops;
		break;
	case S_IFDIR: f->ops = inode->file_ops; break;
	case S_IFCHR:
		if (f->mount->flags & MS_NODEV)
			return ERR_ACCES;
		return device_open(f, inode->rdev);
	case S_IFIFO:
		if (anon_is(inode))
			return anon_open(f);
		return fifo_open(f, &inode->pipe, &inode->aux_lock);
	default: return ERR_NXIO;
	}
	if (f->ops->seek)
		f->mode |= FILE_SEEKABLE;
	return inode->ops->open ? inode->ops->open(inode, f) : OK;
}

/* *out is NULL, or a new file that becomes it, or goes if that fails. */
static enum err
open_path(const struct path *path, uint32_t flags, struct file **out)
{
	const uint32_t kept =
	    ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	unsigned rights = wanted_rights(flags);
	struct file *f = *out ? *out : file_alloc(&path_file_ops, flags, NULL);
	enum err err = OK;

	*out = NULL;
	if (!f)
		return ERR_NOMEM;
	f->inode = path->dentry->inode;
	f->dentry = dentry_get(path->dentry);
	f->mount = mount_get(path->mount);
	if (flags & O_PATH) {
		f->mode = FILE_PATH;
	} else {
		if ((flags & O_ACCMODE) != O_ACCMODE)
			f->mode = (rights & MAY_READ ? FILE_READ : 0) |
			          (rights & MAY_WRITE ? FILE_WRITE : 0);
		err = attach_ops(f);
	}
	if (err) {
		/* So that nothing is released, and no end told of, that was not opened. */
		f->ops = &path_file_ops;
		f->mode |= FILE_PATH;
		file_put(f);
		return err;
	}
	f->flags &= kept;
	if (!(f->mode & FILE_PATH))
		notify_dentry(f->dentry, IN_OPEN);
	*out = f;
	return OK;
}

enum err
path_open(const struct path *path, uint32_t flags, struct file **out)
{
	*out = NULL;
	return open_path(path, flags, out);
}

void
file_ignore_writer(struct file *f)
{
	f->mode |= FILE_IS_NO_WRITER;
	writer_end(f->inode);
}

/* Whether `path` may be opened with `flags`; not asked for what was just made. */
static enum err
may_open(const struct path *path, uint32_t flags, const struct cred *cred)
{
	struct inode *inode = path->dentry->inode;
	unsigned rights = wanted_rights(flags);
	bool is_file = s_isreg(inode->mode) || s_isdir(inode->mode);
	enum err err;

	if (flags & O_TRUNC)
		rights |= MAY_WRITE;
	if (s_islnk(inode->mode))
		return ERR_LOOP;
	if (s_isdir(inode->mode) && (rights & MAY_WRITE))
		return ERR_ISDIR;
	if ((rights & MAY_WRITE) && is_file && mount_is_readonly(path->mount))
		return ERR_ROFS;
	err = inode_permission(cred, inode, rights);
	if (err)
		return err;
	if ((flags & O_NOATIME) && !inode_owner_or_capable(cred, inode))
		return ERR_PERM;
	return OK;
}

static enum err
open_checked(
    const struct path *path, uint32_t flags, const struct cred *cred, struct file **out)
{
	enum err err;

	if ((flags & O_DIRECTORY) && !s_isdir(path->dentry->inode->mode))
		return ERR_NOTDIR;
	if (flags & O_PATH)
		return open_path(path, flags, out);
	err = may_open(path, flags, cred);
	if (!err)
		err = open_path(path, flags, out);
	if (!err && (flags & O_TRUNC) && s_isreg(path->dentry->inode->mode)) {
		err = path->dentry->inode->num_writers < 0 ? ERR_TXTBSY
		                                           : path_truncate(path, 0);
		if (err) {
			file_put(*out);
			*out = NULL;
		}
	}
	return err;
}

/* Makes the file w->last in w->cur, whose lock is held; `d` is its negative dentry. */
static enum err
create_locked(struct walk *w, struct dentry *d, uint32_t mode)
{
	struct inode *dir = w->cur.dentry->inode, *inode;
	enum err err;

	if (mount_is_readonly(w->cur.mount))
		return ERR_ROFS;
	err = dir_may_create(w->cred, dir);
	if (err)
		return err;
	err = dir->ops->create ? dir->ops->create(dir, &w->last,
	                             S_IFREG | (mode & S_IALLUGO), 0, &inode)
	                       : ERR_PERM;
	if (!err)
		dentry_fill(d, inode);
	return err;
}

/*
 * The last component for O_CREAT: finds or makes it. *was_made: no further checks. *path
 * gets references.
 */
static enum err
find_or_create(
    struct walk *w, uint32_t flags, uint32_t mode, struct path *path, bool *was_made)
{
	struct inode *dir = w->cur.dentry->inode;
	struct dentry *d;
	enum err err;

	mutex_lock(&dir->lock);
	err = dir_lookup_locked(w->cur.dentry, &w->last, &d);
	if (err) {
		mutex_unlock(&dir->lock);
		return err;
	}
	*was_made = !d->inode;
	if (*was_made)
		err = create_locked(w, d, mode);
	else if (flags & O_EXCL)
		err = ERR_EXIST;
	mutex_unlock(&dir->lock);
	if (err) {
		dentry_put(d);
		return err;
	}
	if (*was_made)
		notify_entry(dir, IN_CREATE, &w->last, 0);
	*path = (struct path){mount_get(w->cur.mount), d};
	mount_cross_down(path);
	return OK;
}

/* Walks to the end and opens, making the file if need be. *out is a file to be opened. */
static enum err
walk_and_create(struct walk *w, uint32_t flags, uint32_t mode, struct file **out)
{
	for (;;) {
		bool was_made;
		struct path path;
		enum err err = walk_to_parent(w);

		if (err)
			return err;
		if (w->last_kind != LAST_NAME || w->has_slash)
			return ERR_ISDIR;
		err = find_or_create(w, flags, mode, &path, &was_made);
		if (err)
			return err;
		if (s_islnk(path.dentry->inode->mode) && !(flags & O_NOFOLLOW)) {
			err = walk_follow_last(w, &path);
			if (err)
				return err;
			if (*w->rest)
				continue;
			/* A magic link: it led to the file itself. */
			return open_checked(&w->cur, flags, w->cred, out);
		}
		if (was_made)
			err = open_path(&path, flags & ~(uint32_t)O_TRUNC, out);
		else if (s_isdir(path.dentry->inode->mode))
			err = ERR_ISDIR;
		else
			err = may_create_over(
			    w->cred, w->cur.dentry->inode, path.dentry->inode);
		if (!err && !was_made)
			err = open_checked(&path, flags, w->cred, out);
		path_put(&path);
		return err;
	}
}

/* So that no file is made that then cannot be opened, memory for that comes first. */
static enum err
open_create(int dirfd, const char *text, const struct open_how *how, unsigned walk_flags,
    struct file **out)
{
	uint32_t flags = how->flags;
	struct walk w;
	enum err err;

	if (!*text)
		return ERR_NOENT;
	if (flags & O_DIRECTORY)
		return ERR_INVAL;
	*out = file_alloc(&path_file_ops, flags, NULL);
	if (!*out)
		return ERR_NOMEM;
	err = walk_begin(&w, dirfd, text, walk_flags);
	if (!err)
		err = walk_and_create(&w, flags, how->mode, out);
	walk_end(&w);
	if (err && *out)
		file_put(*out);
	return err;
}

static enum err
open_tmpfile(
    const struct path *dir_path, uint32_t flags, uint32_t mode, struct file **out)
{
	struct inode *dir = dir_path->dentry->inode, *inode;
	const struct name name = {.text = "#tmpfile", .len = 8};
	struct path path;
	enum err err;

	if (!(flags & (O_WRONLY | O_RDWR)))
		return ERR_INVAL;
	if (mount_is_readonly(dir_path->mount))
		return ERR_ROFS;
	if (!dir->ops->tmpfile)
		return ERR_OPNOTSUPP;
	err = dir_may_create(current_cred(), dir);
	if (!err)
		err = dir->ops->tmpfile(dir, S_IFREG | (mode & S_IALLUGO), &inode);
	if (err)
		return err;
	if (!(flags & O_EXCL))
		inode->flags |= INODE_TMPFILE;
	path = (struct path){dir_path->mount, dentry_add(dir_path->dentry, &name, inode)};
	if (!path.dentry)
		return ERR_NOMEM;
	dentry_drop(path.dentry);
	err = open_path(&path, flags & ~(uint32_t)O_TRUNC, out);
	dentry_put(path.dentry);
	return err;
}

static unsigned
resolve_flags(uint64_t resolve)
{
	enum { NO_XDEV = 1, NO_MAGIC = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16 };

	return (resolve & NO_XDEV ? WALK_NO_XDEV : 0) |
	       (resolve & NO_MAGIC ? WALK_NO_MAGIC : 0) |
	       (resolve & NO_SYMLINKS ? WALK_NO_SYMLINKS | WALK_NO_MAGIC : 0) |
	       (resolve & BENEATH ? WALK_BENEATH : 0) |
	       (resolve & IN_ROOT ? WALK_IN_ROOT : 0);
}

/* The umask is the process's; the kernel itself has none. */
static uint32_t
masked(uint32_t mode, unsigned walk_flags)
{
	return walk_flags & WALK_KERNEL ? mode : mode & ~current_fs()->umask;
}

enum err
file_openat(int dirfd, const char *text, const struct open_how *how, unsigned walk_flags,
    struct file **out)
{
	uint32_t flags = how->flags, mode = masked(how->mode, walk_flags);
	struct path path;
	enum err err;

	*out = NULL;
	walk_flags |= resolve_flags(how->resolve);
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	/* With O_EXCL an existing link is an error, wherever it leads. */
	if (!(flags & O_NOFOLLOW) && (~flags & (O_CREAT | O_EXCL)))
		walk_flags |= WALK_FOLLOW;
	if (flags & O_DIRECTORY)
		walk_flags |= WALK_DIRECTORY;
	if ((flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE) {
		const struct open_how create = {.flags = flags, .mode = mode};

		return open_create(dirfd, text, &create, walk_flags, out);
	}
	err = path_lookup(dirfd, text, walk_flags, &path);
	if (err)
		return err;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		err = open_tmpfile(&path, flags, mode, out);
	else
		err = open_checked(&path, flags, current_cred(), out);
	path_put(&path);
	return err;
}

enum err
file_open(const char *path, int flags, uint32_t mode, struct file **out)
{
	const struct open_how how = {.flags = (uint32_t)flags, .mode = mode};

	return file_openat(AT_FDCWD, path, &how, WALK_KERNEL, out);
}

/* A program: a regular file with execute permission on a mount that allows it. */
static enum err
open_exec_checked(const struct path *path, struct file **out)
{
	struct inode *inode = path->dentry->inode;
	enum err err;

	if (!s_isreg(inode->mode) || (path->mount->flags & MS_NOEXEC))
		return ERR_ACCES;
	err = inode_permission(current_cred(), inode, MAY_EXEC);
	if (err)
		return err;
	if (!deny_writers(inode))
		return ERR_TXTBSY;
	err = path_open(path, O_RDONLY, out);
	if (err)
		__atomic_add_fetch(&inode->num_writers, 1, __ATOMIC_RELAXED);
	else
		(*out)->mode |= FILE_DENIES_WRITE;
	return err;
}

enum err
file_open_exec_at(int dirfd, const char *text, int flags, struct file **out)
{
	struct path path;
	enum err err;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return ERR_INVAL;
	err = path_lookup(dirfd, text,
	    (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
	        (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0),
	    &path);
	if (err)
		return err;
	err =
	    s_islnk(path.dentry->inode->mode) ? ERR_LOOP : open_exec_checked(&path, out);
	path_put(&path);
	return err;
}

enum err
file_open_exec(const char *text, struct file **out)
{
	return file_open_exec_at(AT_FDCWD, text, 0, out);
}

void
file_exec_ids(const struct file *f, uint32_t *euid, uint32_t *egid)
{
	const struct inode *inode = f->inode;

	if (f->mount->flags & MS_NOSUID)
		return;
	if (inode->mode & S_ISUID)
		*euid = inode->uid;
	/* Without the execute bit the set-group-id bit means mandatory locking, which
	 * nobody has. */
	if ((inode->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		*egid = inode->gid;
}

enum err
file_exec_caps(const struct file *f, struct file_caps *out)
{
	*out = (struct file_caps){0};
	return f->mount->flags & MS_NOSUID ? OK : inode_file_caps(f->inode, out);
}

bool
file_is_readable(const struct file *f)
{
	return inode_permission(current_cred(), f->inode, MAY_READ) == OK;
}

bool
file_has_name(const struct file *f)
{
	return f->inode && f->dentry && f->inode->nlink > 0;
}

const char *
file_path_text(struct file *f, char *buf, size_t size)
{
	struct path path = {f->mount, f->dentry}, root;
	bool is_reachable;
	char *text;

	if (!f->dentry)
		return f->ops->anon_name;
	fs_context_root(current_fs(), &root);
	text = path_text(&path, &root, buf, size, &is_reachable);
	path_put(&root);
	return text;
}

/* Nobody else's, and nobody else can look in. */
static bool
is_fit_for_core(const struct inode *inode)
{
	return s_isreg(inode->mode) && inode->nlink == 1 &&
	       inode->uid == current_cred()->fsuid && (inode->mode & 0677) == 0600;
}

enum err
file_create_core(const char *path, bool is_roots, struct file **out)
{
	const struct open_how how = {
	    .flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, .mode = 0600};
	unsigned walk_flags = is_roots ? WALK_KERNEL : 0;
	enum err err;

	if (!is_roots)
		(void)fs_unlink(
		    AT_FDCWD, path, false, 0); /* there was none, or it stays */
	err = file_openat(AT_FDCWD, path, &how, walk_flags, out);
	if (err == OK && !is_fit_for_core((*out)->inode)) {
		file_put(*out);
		err = ERR_PERM;
	}
	return err;
}
