/* Changing the name space: making, removing, linking and renaming names. */
#include "fs/namei.h"
#include "fs/notify.h"

#include "kernel/proc/cred.h"

enum err
dir_may_create(const struct cred *cred, const struct inode *dir)
{
	if (dir->flags & INODE_DEAD)
		return ERR_NOENT;
	return inode_permission(cred, dir, MAY_WRITE | MAY_EXEC);
}

/* Whether `d` may be taken out of `dir`; `is_rmdir` says what kind the caller expects. */
static enum err
may_delete(
    const struct cred *cred, const struct inode *dir, struct dentry *d, bool is_rmdir)
{
	const struct inode *inode = d->inode;
	bool is_dir = s_isdir(inode->mode);
	enum err err = inode_permission(cred, dir, MAY_WRITE | MAY_EXEC);

	if (err)
		return err;
	/* Sticky: only the owner of the file or of the directory. */
	if ((dir->mode & S_ISVTX) && cred->fsuid != inode->uid &&
	    cred->fsuid != dir->uid && !cred_capable(cred, CAP_FOWNER))
		return ERR_PERM;
	if (is_rmdir && !is_dir)
		return ERR_NOTDIR;
	if (!is_rmdir && is_dir)
		return ERR_ISDIR;
	return dentry_is_mountpoint(d) ? ERR_BUSY : OK;
}

/*
 * Looks w->last up for something new: *out is its negative dentry. w->cur's lock is taken
 * and stays held when OK is returned.
 */
static enum err
begin_create(struct walk *w, bool is_dir, struct dentry **out) NO_THREAD_SAFETY_ANALYSIS
{
	struct dentry *dir = w->cur.dentry;
	enum err err;

	mutex_lock(&dir->inode->lock);
	err = dir_lookup_locked(dir, &w->last, out);
	if (!err) {
		if ((*out)->inode)
			err = ERR_EXIST;
		else if (w->has_slash && !is_dir)
			err = ERR_NOENT;
		else if (mount_is_readonly(w->cur.mount))
			err = ERR_ROFS;
		else
			err = dir_may_create(w->cred, dir->inode);
		if (err)
			dentry_put(*out);
	}
	if (err)
		mutex_unlock(&dir->inode->lock);
	return err;
}

static uint32_t
dir_flag(const struct inode *inode)
{
	return s_isdir(inode->mode) ? IN_ISDIR : 0;
}

static void
end_create(struct walk *w, struct dentry *d, enum err err,
    struct inode *inode) NO_THREAD_SAFETY_ANALYSIS
{
	if (!err)
		dentry_fill(d, inode);
	mutex_unlock(&w->cur.dentry->inode->lock);
	if (!err)
		notify_entry(
		    w->cur.dentry->inode, IN_CREATE | dir_flag(inode), &w->last, 0);
	dentry_put(d);
}

static bool
is_device(uint32_t mode)
{
	return (mode & S_IFMT) == S_IFCHR || (mode & S_IFMT) == S_IFBLK;
}

enum err
fs_mknod_path(int dirfd, const char *text, uint32_t mode, uint64_t rdev,
    unsigned walk_flags, struct path *out)
{
	bool is_dir = s_isdir(mode);
	struct inode *dir, *inode = NULL;
	struct dentry *d;
	struct walk w;
	enum err err = walk_parent(&w, dirfd, text, walk_flags, ERR_EXIST);

	if (!*text)
		err = ERR_NOENT;
	if (!err)
		err = begin_create(&w, is_dir, &d);
	if (!err) {
		if (!(walk_flags & WALK_KERNEL))
			mode &= ~current_fs()->umask;
		dir = w.cur.dentry->inode;
		if (!dir->ops->create ||
		    (is_device(mode) && !cred_capable(w.cred, CAP_MKNOD)))
			err = ERR_PERM;
		else
			err = dir->ops->create(dir, &w.last, mode, rdev, &inode);
		if (out && err == OK) {
			*out = (struct path){.mount = w.cur.mount, .dentry = d};
			path_get(out);
		}
		end_create(&w, d, err, inode);
	}
	walk_end(&w);
	return err;
}

enum err
fs_mknod(int dirfd, const char *text, uint32_t mode, uint64_t rdev, unsigned walk_flags)
{
	return fs_mknod_path(dirfd, text, mode, rdev, walk_flags, NULL);
}

enum err
dentry_make(struct dentry *dir, const struct name *name, uint32_t mode, uint64_t rdev,
    struct dentry **out)
{
	struct inode *inode;
	enum err err;

	mutex_lock(&dir->inode->lock);
	err = dir_lookup_locked(dir, name, out);
	if (!err && (*out)->inode) {
		err = ERR_EXIST;
	} else if (!err) {
		err = dir->inode->ops->create(dir->inode, name, mode, rdev, &inode);
		if (!err)
			dentry_fill(*out, inode);
		else
			dentry_put(*out);
	}
	mutex_unlock(&dir->inode->lock);
	return err;
}

enum err
fs_symlink(const char *target, int dirfd, const char *text, unsigned walk_flags)
{
	struct inode *dir, *inode = NULL;
	struct dentry *d;
	struct walk w;
	enum err err = walk_parent(&w, dirfd, text, walk_flags, ERR_EXIST);

	if (!*text)
		err = ERR_NOENT;
	if (!err)
		err = begin_create(&w, false, &d);
	if (!err) {
		dir = w.cur.dentry->inode;
		err = dir->ops->symlink ? dir->ops->symlink(dir, &w.last, target, &inode)
		                        : ERR_PERM;
		end_create(&w, d, err, inode);
	}
	walk_end(&w);
	return err;
}

/* The new name of `old` in w->cur; the types and places of both are checked here. */
static enum err
link_to(struct walk *w, const struct path *old)
{
	struct inode *dir = w->cur.dentry->inode, *inode = old->dentry->inode;
	struct dentry *d;
	enum err err = begin_create(w, false, &d);

	if (err)
		return err;
	if (old->mount != w->cur.mount)
		err = ERR_XDEV;
	else if (s_isdir(inode->mode) || !dir->ops->link)
		err = ERR_PERM;
	else if (inode->nlink == 0 && !(inode->flags & INODE_TMPFILE))
		err = ERR_NOENT;
	else
		err = dir->ops->link(dir, &w->last, inode);
	if (!err) {
		inode_get(inode);
		notify_inode(inode, IN_ATTRIB);
	}
	end_create(w, d, err, inode);
	return err;
}

enum err
fs_link(int old_fd, const char *old, int new_fd, const char *text, unsigned walk_flags)
{
	struct path path;
	struct walk w;
	enum err err = path_lookup(old_fd, old, walk_flags, &path);

	if (err)
		return err;
	err = walk_parent(&w, new_fd, text, walk_flags & WALK_KERNEL, ERR_EXIST);
	if (!*text)
		err = ERR_NOENT;
	if (!err && path.mount == w.cur.mount)
		err = may_link_to(w.cred, path.dentry->inode);
	if (!err)
		err = link_to(&w, &path);
	walk_end(&w);
	path_put(&path);
	return err;
}

/* What unlink and rmdir answer when the path does not end in a name. */
static enum err
not_removable(const struct walk *w, bool is_rmdir)
{
	if (!is_rmdir)
		return ERR_ISDIR;
	switch (w->last_kind) {
	case LAST_DOT: return ERR_INVAL;
	case LAST_DOTDOT: return ERR_NOTEMPTY;
	default: return ERR_BUSY;
	}
}

static enum err
unlink_locked(struct walk *w, bool is_rmdir, struct dentry *d)
{
	struct inode *dir = w->cur.dentry->inode;
	enum err err;

	if (!d->inode)
		return ERR_NOENT;
	if (w->has_slash && !is_rmdir)
		return s_isdir(d->inode->mode) ? ERR_ISDIR : ERR_NOTDIR;
	err = may_delete(w->cred, dir, d, is_rmdir);
	if (!err)
		err = dir->ops->unlink ? dir->ops->unlink(dir, &w->last, d->inode)
		                       : ERR_PERM;
	if (!err)
		dentry_drop(d);
	return err;
}

enum err
fs_unlink(int dirfd, const char *text, bool is_rmdir, unsigned walk_flags)
{
	struct walk w;
	struct dentry *d;
	enum err err = walk_begin(&w, dirfd, text, walk_flags);

	if (!*text)
		err = ERR_NOENT;
	if (!err)
		err = walk_to_parent(&w);
	if (!err && w.last_kind != LAST_NAME)
		err = not_removable(&w, is_rmdir);
	if (!err && mount_is_readonly(w.cur.mount))
		err = ERR_ROFS;
	if (!err) {
		struct inode *dir = w.cur.dentry->inode;

		mutex_lock(&dir->lock);
		err = dir_lookup_locked(w.cur.dentry, &w.last, &d);
		if (!err) {
			err = unlink_locked(&w, is_rmdir, d);
			mutex_unlock(&dir->lock);
			if (!err && is_rmdir)
				notify_dropped(d->inode);
			else if (!err)
				notify_inode(d->inode, IN_ATTRIB);
			dentry_put(d); /* which tells of the file's end */
			if (!err)
				notify_entry(dir, IN_DELETE | (is_rmdir ? IN_ISDIR : 0),
				    &w.last, 0);
		} else {
			mutex_unlock(&dir->lock);
		}
	}
	walk_end(&w);
	return err;
}

/* Both ends of a rename, directories locked, both names looked up. */
struct renaming {
	struct walk *from, *to;
	struct dentry *old, *new;
	unsigned flags;
};

/* That no directory comes to lie in itself. Only renames across directories can do that.
 */
static enum err
check_ancestors(const struct renaming *r)
{
	struct dentry *old_dir = r->from->cur.dentry, *new_dir = r->to->cur.dentry;

	if (old_dir == new_dir)
		return OK;
	if (s_isdir(r->old->inode->mode) && dentry_is_below(new_dir, r->old))
		return ERR_INVAL;
	if (r->new->inode && s_isdir(r->new->inode->mode) &&
	    dentry_is_below(old_dir, r->new))
		return r->flags & RENAME_EXCHANGE ? ERR_INVAL : ERR_NOTEMPTY;
	return OK;
}

static enum err
check_existence(const struct renaming *r)
{
	if (!r->old->inode)
		return ERR_NOENT;
	if ((r->flags & RENAME_NOREPLACE) && r->new->inode)
		return ERR_EXIST;
	if ((r->flags & RENAME_EXCHANGE) && !r->new->inode)
		return ERR_NOENT;
	if (!s_isdir(r->old->inode->mode)) {
		if (r->from->has_slash ||
		    (!(r->flags & RENAME_EXCHANGE) && r->to->has_slash))
			return ERR_NOTDIR;
	}
	return OK;
}

static enum err
check_rights(const struct renaming *r)
{
	const struct cred *cred = r->from->cred;
	struct inode *old_dir = r->from->cur.dentry->inode,
	             *new_dir = r->to->cur.dentry->inode;
	bool is_dir = s_isdir(r->old->inode->mode);
	bool is_exchange = r->flags & RENAME_EXCHANGE;
	const struct inode *replaced = r->new->inode;
	bool replaces_dir = replaced && s_isdir(replaced->mode);
	enum err err = may_delete(cred, old_dir, r->old, is_dir);

	if (err)
		return err;
	if (!replaced)
		err = dir_may_create(cred, new_dir);
	else
		err = may_delete(
		    cred, new_dir, r->new, is_exchange ? replaces_dir : is_dir);
	if (err || old_dir == new_dir)
		return err;
	/* ".." of a directory that moves is written. */
	if (is_dir)
		err = inode_permission(cred, r->old->inode, MAY_WRITE);
	if (!err && is_exchange && replaces_dir)
		err = inode_permission(cred, replaced, MAY_WRITE);
	return err;
}

static enum err
rename_locked(struct renaming *r)
{
	struct dentry *new_dir = r->to->cur.dentry;
	struct rename args = {
	    .old_dir = r->from->cur.dentry->inode,
	    .new_dir = new_dir->inode,
	    .old_name = r->from->last,
	    .new_name = r->to->last,
	    .old_inode = r->old->inode,
	    .new_inode = r->new->inode,
	    .is_exchange = r->flags &RENAME_EXCHANGE,
	    .is_whiteout = r->flags &RENAME_WHITEOUT,
	};
	enum err err = check_existence(r);

	if (!err)
		err = check_ancestors(r);
	if (!err && r->old->inode == r->new->inode)
		return OK; /* two names of one file: nothing to do, says POSIX */
	if (!err)
		err = check_rights(r);
	if (!err)
		err = args.old_dir->ops->rename ? args.old_dir->ops->rename(&args)
		                                : ERR_PERM;
	if (err)
		return err;
	if (args.is_exchange) {
		dentry_swap(r->old, r->new);
	} else {
		dentry_drop(r->new);
		if (dentry_move(r->old, new_dir, &r->to->last))
			dentry_drop(r->old); /* no memory: it will be looked up again */
	}
	return OK;
}

static void
tell_move(const struct walk *from, const struct walk *to, uint32_t is_dir)
{
	uint32_t cookie = notify_cookie();

	notify_entry(
	    from->cur.dentry->inode, IN_MOVED_FROM | is_dir, &from->last, cookie);
	notify_entry(to->cur.dentry->inode, IN_MOVED_TO | is_dir, &to->last, cookie);
}

/* After a rename: the end of what was replaced is told when its dentry goes. */
static void
tell_rename(const struct renaming *r)
{
	struct inode *moved = r->old->inode, *other = r->new->inode;
	bool is_exchange = r->flags & RENAME_EXCHANGE;

	if (!is_anybody_watching() || moved == other)
		return;
	tell_move(r->from, r->to, dir_flag(moved));
	if (other && !is_exchange)
		notify_inode(other, IN_ATTRIB);
	notify_inode(moved, IN_MOVE_SELF);
	if (!is_exchange) {
		if (other && s_isdir(other->mode))
			notify_dropped(other);
		return;
	}
	tell_move(r->to, r->from, dir_flag(other));
	notify_inode(other, IN_MOVE_SELF);
}

static enum err
rename_walked(
    struct walk *from, struct walk *to, unsigned flags) NO_THREAD_SAFETY_ANALYSIS
{
	struct inode *old_dir = from->cur.dentry->inode, *new_dir = to->cur.dentry->inode;
	struct mutex *rename_lock = &from->cur.dentry->super->rename_lock;
	struct renaming r = {.from = from, .to = to, .flags = flags};
	enum err err;

	if (from->cur.mount != to->cur.mount)
		return ERR_XDEV;
	if (mount_is_readonly(from->cur.mount))
		return ERR_ROFS;
	if (old_dir != new_dir)
		mutex_lock(rename_lock);
	mutex_lock_pair(&old_dir->lock, &new_dir->lock);
	err = dir_lookup_locked(from->cur.dentry, &from->last, &r.old);
	if (!err)
		err = dir_lookup_locked(to->cur.dentry, &to->last, &r.new);
	if (!err)
		err = rename_locked(&r);
	mutex_unlock_pair(&old_dir->lock, &new_dir->lock);
	if (old_dir != new_dir)
		mutex_unlock(rename_lock);
	if (!err)
		tell_rename(&r);
	if (r.old)
		dentry_put(r.old);
	if (r.new)
		dentry_put(r.new);
	return err;
}

static enum err
rename_paths(int old_fd, const char *old, int new_fd, const char *text, unsigned flags,
    unsigned walk_flags)
{
	struct walk from, to;
	enum err err;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
	    ((flags & RENAME_EXCHANGE) && flags != RENAME_EXCHANGE))
		return ERR_INVAL;
	if (!*old || !*text)
		return ERR_NOENT;
	err = walk_parent(&from, old_fd, old, walk_flags, ERR_BUSY);
	if (err) {
		walk_end(&from);
		return err;
	}
	err = walk_parent(&to, new_fd, text, walk_flags,
	    flags & RENAME_NOREPLACE ? ERR_EXIST : ERR_BUSY);
	if (!err)
		err = rename_walked(&from, &to, flags);
	walk_end(&to);
	walk_end(&from);
	return err;
}

enum err
fs_rename(int old_fd, const char *old, int new_fd, const char *text, unsigned flags)
{
	return rename_paths(old_fd, old, new_fd, text, flags, 0);
}

enum err
file_rename(const char *from, const char *to)
{
	return rename_paths(AT_FDCWD, from, AT_FDCWD, to, 0, WALK_KERNEL);
}
