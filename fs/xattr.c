/*
 * Extended attributes of files in tmpfs: a list of names and values on the inode.
 *
 * Who may do what is as on Linux (xattr(7)): "trusted." is for CAP_SYS_ADMIN, to others it
 * is as if it were not there; "security." may be read by all and written with
 * CAP_SYS_ADMIN, file capabilities ("security.capability", fs/file_caps.c) with
 * CAP_SETFCAP; "user." follows the rights of the file, and only regular files and
 * directories have it. There is no other kind: access control lists ("system.") would have
 * to be obeyed, and are not there.
 *
 * One inode holds at most XATTR_TOTAL bytes of names and values.
 */
#include "fs/xattr.h"

#include "fs/file_caps.h"
#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { XATTR_TOTAL = 128 * 1024, CREATE = 1, REPLACE = 2 };

struct xattr {
	struct xattr *next;
	size_t size;
	char *value; /* behind the name, in the same piece of memory */
	char name[];
};

static bool
begins_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* The prefix alone is no name. */
static bool
is_kind(const char *name, const char *prefix)
{
	return begins_with(name, prefix) && name[strlen(prefix)];
}

static bool
is_file_caps(const char *name)
{
	return !strcmp(name, FILE_CAPS_NAME);
}

/* Whether the caller may use `name` of this inode. */
static enum err
check(const struct inode *inode, const char *name, bool is_write)
{
	const struct cred *cred = current_cred();
	bool is_admin = cred_capable(cred, CAP_SYS_ADMIN);

	if (begins_with(name, "trusted.")) {
		if (!is_admin)
			return is_write ? ERR_PERM : ERR_NODATA;
	} else if (begins_with(name, "user.")) {
		if (!s_isreg(inode->mode) && !s_isdir(inode->mode))
			return is_write ? ERR_PERM : ERR_NODATA;
		if (is_write && s_isdir(inode->mode) && (inode->mode & S_ISVTX) &&
		    !inode_owner_or_capable(cred, inode))
			return ERR_PERM;
		if (inode_permission(cred, inode, is_write ? MAY_WRITE : MAY_READ) != OK)
			return ERR_ACCES;
	} else if (is_write && is_file_caps(name)) {
		if (!cred_capable(cred, CAP_SETFCAP))
			return ERR_PERM;
	} else if (is_write && is_kind(name, "security.") && !is_admin) {
		return ERR_PERM;
	}
	if (!(inode->flags & INODE_XATTRS))
		return ERR_OPNOTSUPP;
	if (is_kind(name, "trusted.") || is_kind(name, "user.") ||
	    is_kind(name, "security."))
		return OK;
	return begins_with(name, "trusted.") || begins_with(name, "user.") ||
	               begins_with(name, "security.")
	           ? ERR_INVAL
	           : ERR_OPNOTSUPP;
}

/* Where the pointer to the attribute is, or to the end of the list. */
static struct xattr **
find_locked(struct inode *inode, const char *name)
{
	struct xattr **at = &inode->xattrs;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static size_t
total_locked(const struct inode *inode)
{
	size_t total = 0;

	for (const struct xattr *x = inode->xattrs; x; x = x->next)
		total += strlen(x->name) + 1 + x->size;
	return total;
}

static struct xattr *
make(const char *name, const void *value, size_t size)
{
	size_t len = strlen(name) + 1;
	struct xattr *x = kmalloc(sizeof(*x) + len + size);

	if (!x)
		return NULL;
	memcpy(x->name, name, len);
	x->value = x->name + len;
	x->size = size;
	memcpy(x->value, value, size);
	return x;
}

/* Puts `new` (NULL: nothing) in the place of what *at points to; the old one is freed. */
static void
replace_locked(struct inode *inode, struct xattr **at, struct xattr *new)
{
	struct xattr *old = *at;

	if (new) {
		new->next = old ? old->next : NULL;
		*at = new;
	} else {
		*at = old->next;
	}
	kfree(old);
	inode_touch(inode, INODE_CTIME);
}

enum err
xattr_set(
    struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
	struct xattr *new = NULL, **at;
	enum err err = is_file_caps(name) ? file_caps_check(value, size) : OK;

	if (err)
		return err;
	mutex_lock(&inode->lock);
	err = check(inode, name, true);
	at = find_locked(inode, name);
	if (!err && (flags & CREATE) && *at)
		err = ERR_EXIST;
	if (!err && (flags & REPLACE) && !*at)
		err = ERR_NODATA;
	if (!err && total_locked(inode) + strlen(name) + 1 + size > XATTR_TOTAL)
		err = ERR_NOSPC;
	if (!err) {
		new = make(name, value, size);
		err = new ? OK : ERR_NOMEM;
	}
	if (!err)
		replace_locked(inode, at, new);
	mutex_unlock(&inode->lock);
	return err;
}

enum err
xattr_remove(struct inode *inode, const char *name)
{
	struct xattr **at;
	enum err err;

	mutex_lock(&inode->lock);
	err = check(inode, name, true);
	at = find_locked(inode, name);
	if (!err && !*at)
		err = ERR_NODATA;
	if (!err)
		replace_locked(inode, at, NULL);
	mutex_unlock(&inode->lock);
	return err;
}

static long
give(const void *value, size_t len, void *buf, size_t size)
{
	if (size && len > size)
		return ERR_RANGE;
	if (size)
		memcpy(buf, value, len);
	return (long)len;
}

long
xattr_get(struct inode *inode, const char *name, void *buf, size_t size)
{
	uint8_t shown[FILE_CAPS_MAX];
	const struct xattr *x;
	long n;

	mutex_lock(&inode->lock);
	n = check(inode, name, false);
	x = *find_locked(inode, name);
	if (!n && !x)
		n = ERR_NODATA;
	if (!n && is_file_caps(name)) {
		n = file_caps_show(x->value, x->size, shown);
		if (n >= 0)
			n = give(shown, (size_t)n, buf, size);
	} else if (!n) {
		n = give(x->value, x->size, buf, size);
	}
	mutex_unlock(&inode->lock);
	return n;
}

enum err
inode_file_caps(struct inode *inode, struct file_caps *out)
{
	const struct xattr *x;
	enum err err = OK;

	*out = (struct file_caps){0};
	if (!__atomic_load_n(&inode->xattrs, __ATOMIC_RELAXED))
		return OK;
	mutex_lock(&inode->lock);
	x = *find_locked(inode, FILE_CAPS_NAME);
	if (x)
		err = file_caps_parse(x->value, x->size, out);
	mutex_unlock(&inode->lock);
	return err;
}

void
inode_drop_file_caps_locked(struct inode *inode)
{
	struct xattr **at = find_locked(inode, FILE_CAPS_NAME);

	if (*at)
		replace_locked(inode, at, NULL);
}

long
xattr_list(struct inode *inode, char *buf, size_t size)
{
	bool is_admin = cred_capable(current_cred(), CAP_SYS_ADMIN);
	size_t n = 0;

	mutex_lock(&inode->lock);
	for (const struct xattr *x = inode->xattrs; x; x = x->next) {
		size_t len = strlen(x->name) + 1;

		if (begins_with(x->name, "trusted.") && !is_admin)
			continue;
		if (n + len <= size)
			memcpy(buf + n, x->name, len);
		n += len;
	}
	mutex_unlock(&inode->lock);
	return size && n > size ? ERR_RANGE : (long)n;
}

void
xattr_free_all(struct inode *inode)
{
	while (inode->xattrs) {
		struct xattr *x = inode->xattrs;

		inode->xattrs = x->next;
		kfree(x);
	}
}
