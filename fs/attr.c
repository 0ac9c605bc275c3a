/* Changing attributes of inodes, with the checks of chmod(2), chown(2), truncate(2),
 * utimensat(2). */
#include "fs/vfs.h"
#include "fs/notify.h"
#include "fs/xattr.h"

#include "kernel/proc/process.h"
#include "mm/usercopy.h"

static enum err
set_locked(struct inode *inode, const struct attr *attr)
{
	return inode->ops->setattr ? inode->ops->setattr(inode, attr) : ERR_PERM;
}

/* Whoever asks. */
static enum err
is_changeable(const struct path *path)
{
	if (mount_is_readonly(path->mount))
		return ERR_ROFS;
	return path->dentry->inode->flags & INODE_NO_ATTRS ? ERR_OPNOTSUPP : OK;
}

enum err
path_chmod(const struct path *path, uint32_t mode)
{
	struct inode *inode = path->dentry->inode;
	const struct cred *cred;
	struct attr attr = {.valid = ATTR_MODE, .mode = mode & S_IALLUGO};
	enum err err = is_changeable(path);

	if (err)
		return err;
	if (s_islnk(inode->mode))
		return ERR_OPNOTSUPP;
	mutex_lock(&inode->lock);
	cred = current_cred(); /* only now: it may change while this thread sleeps */
	if (!inode_owner_or_capable(cred, inode)) {
		err = ERR_PERM;
	} else {
		if (!cred_in_group(cred, inode->gid) && !cred_capable(cred, CAP_FSETID))
			attr.mode &= ~(uint32_t)S_ISGID;
		err = set_locked(inode, &attr);
	}
	mutex_unlock(&inode->lock);
	if (!err)
		notify_dentry(path->dentry, IN_ATTRIB);
	return err;
}

static bool
may_chown(const struct cred *cred, const struct inode *inode, uint32_t uid, uint32_t gid)
{
	bool is_owner = cred->fsuid == inode->uid;

	if (cred_capable(cred, CAP_CHOWN))
		return true;
	if (uid != KEEP_ID && !(is_owner && uid == inode->uid))
		return false;
	return gid == KEEP_ID ||
	       (is_owner && (gid == inode->gid || cred_in_group(cred, gid)));
}

enum err
path_chown(const struct path *path, uint32_t uid, uint32_t gid)
{
	struct inode *inode = path->dentry->inode;
	struct attr attr = {.uid = uid, .gid = gid};
	uint32_t set_id;
	const struct cred *cred;
	enum err err = is_changeable(path);

	if (err)
		return err;
	if (uid != KEEP_ID)
		attr.valid |= ATTR_UID;
	if (gid != KEEP_ID)
		attr.valid |= ATTR_GID;
	mutex_lock(&inode->lock);
	err = ERR_PERM;
	cred = current_cred(); /* only now: it may change while this thread sleeps */
	/* A program does not keep its set-id rights under another owner, even for root; but who
	 * takes them must be one who may change the mode. */
	set_id = s_isdir(inode->mode) ? 0 : inode_set_id(cred, inode);
	if (may_chown(cred, inode, uid, gid) &&
	    (!set_id || inode_owner_or_capable(cred, inode))) {
		if (set_id)
			attr.valid |= ATTR_MODE;
		attr.mode = inode->mode & ~set_id;
		err = set_locked(inode, &attr);
	}
	if (!err && !s_isdir(inode->mode))
		inode_drop_file_caps_locked(inode);
	mutex_unlock(&inode->lock);
	if (!err && attr.valid)
		notify_dentry(path->dentry, IN_ATTRIB);
	return err;
}

bool
file_may_skip_atime(const struct file *f)
{
	return !f->inode || inode_owner_or_capable(current_cred(), f->inode);
}

/* How long data is expected to live: kept and told, and of no use to memory. */
long
file_fcntl_hint(struct file *f, unsigned cmd, uintptr_t arg)
{
	enum { HINT_MAX = 5 };
	uint8_t *hint = f->inode ? &f->inode->write_hint : &f->write_hint;
	uint64_t wanted = __atomic_load_n(hint, __ATOMIC_RELAXED);

	if (cmd == F_GET_RW_HINT)
		return put_user(wanted, (uint64_t USER *)arg);
	if (f->inode && !inode_owner_or_capable(current_cred(), f->inode))
		return ERR_PERM;
	if (get_user(wanted, (const uint64_t USER *)arg) != OK)
		return ERR_FAULT;
	if (wanted > HINT_MAX)
		return ERR_INVAL;
	__atomic_store_n(hint, (uint8_t)wanted, __ATOMIC_RELAXED);
	return OK;
}

enum err
file_size_limit(loff_t size)
{
	struct process *p = current_process();

	if (!p || (uint64_t)size <= p->rlimits[RLIMIT_FSIZE].cur)
		return OK;
	(void)signal_send_thread(current_thread(), SIGXFSZ, NULL);
	return ERR_FBIG;
}

enum err
path_truncate(const struct path *path, loff_t size)
{
	struct inode *inode = path->dentry->inode;
	struct attr attr = {.valid = ATTR_SIZE, .size = size};
	uint32_t set_id;
	enum err err = size > inode->size ? file_size_limit(size) : OK;

	if (err)
		return err;
	mutex_lock(&inode->lock);
	set_id = inode_set_id_to_drop(current_cred(), inode);
	if (set_id)
		attr.valid |= ATTR_MODE;
	attr.mode = inode->mode & ~set_id;
	err = set_locked(inode, &attr);
	if (!err)
		inode_drop_file_caps_locked(inode);
	mutex_unlock(&inode->lock);
	if (!err)
		notify_dentry(path->dentry, IN_MODIFY);
	return err;
}

enum err
file_allocate(struct file *f, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = f->inode;
	enum err err;

	if (!inode->ops->fallocate)
		return ERR_OPNOTSUPP;
	mutex_lock(&inode->lock);
	err = inode->ops->fallocate(inode, mode, offset, len);
	mutex_unlock(&inode->lock);
	if (!err)
		notify_dentry(f->dentry, IN_MODIFY);
	return err;
}

enum err
file_punch_hole(struct file *f, loff_t offset, loff_t len)
{
	if (f->inode)
		return file_allocate(
		    f, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, offset, len);
	page_cache_punch(f->cache, (uint64_t)offset, (uint64_t)offset + (uint64_t)len);
	return OK;
}

/* One of the times alone tells of what sets it as a rule. */
static uint32_t
event_of_times(uint32_t valid)
{
	switch (valid & (ATTR_ATIME | ATTR_MTIME)) {
	case ATTR_ATIME: return IN_ACCESS;
	case ATTR_MTIME: return IN_MODIFY;
	default: return IN_ATTRIB;
	}
}

enum err
path_utimes(const struct path *path, const struct attr *attr, bool is_now)
{
	struct inode *inode = path->dentry->inode;
	const struct cred *cred;
	enum err err = is_changeable(path);

	if (err)
		return err;
	mutex_lock(&inode->lock);
	cred = current_cred(); /* only now: it may change while this thread sleeps */
	if (!inode_owner_or_capable(cred, inode))
		err = is_now ? inode_permission(cred, inode, MAY_WRITE) : ERR_PERM;
	if (!err)
		err = set_locked(inode, attr);
	mutex_unlock(&inode->lock);
	if (!err)
		notify_dentry(path->dentry, event_of_times(attr->valid));
	return err;
}
