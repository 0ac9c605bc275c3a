/* What watches are told of, by what happened: fs/notify.h. */
#include "fs/notify.h"

#include "lib/string.h"

static bool
is_watched(const struct inode *inode)
{
	return !list_is_empty(&inode->watches);
}

static uint32_t
dir_flag(const struct inode *inode)
{
	return s_isdir(inode->mode) ? IN_ISDIR : 0;
}

/* To the directory that `d` is in. The name is copied: it may change as soon as its lock is free. */
static void
tell_parent(struct dentry *d, uint32_t mask)
{
	struct dentry *parent = dentry_parent(d);
	struct in_fact fact = {.mask = mask};
	char name[NAME_MAX + 1];

	if (parent != d && parent->inode && is_watched(parent->inode)) {
		spin_lock(&d->lock);
		fact.name_len = MIN(d->len, (uint32_t)NAME_MAX);
		memcpy(name, d->text, fact.name_len);
		fact.is_unlinked = !(d->flags & DENTRY_HASHED);
		spin_unlock(&d->lock);
		fact.name = name;
		inotify_tell(parent->inode, &fact);
	}
	dentry_put(parent);
}

void
notify_dentry_slow(struct dentry *d, uint32_t mask)
{
	struct inode *inode = d->inode;

	if (!inode)
		return;
	mask |= dir_flag(inode);
	tell_parent(d, mask);
	if (is_watched(inode))
		inotify_tell(inode, &(struct in_fact){.mask = mask});
}

void
notify_entry_slow(
    struct inode *dir, uint32_t mask, const struct name *name, uint32_t cookie)
{
	const struct in_fact fact = {
	    .mask = mask, .cookie = cookie, .name = name->text, .name_len = name->len};

	if (is_watched(dir))
		inotify_tell(dir, &fact);
}

void
notify_inode_slow(struct inode *inode, uint32_t mask)
{
	if (mask & IN_ATTRIB)
		mask |= dir_flag(inode);
	if (is_watched(inode))
		inotify_tell(inode, &(struct in_fact){.mask = mask});
}

uint32_t
notify_cookie(void)
{
	static uint32_t last; /* [a] */

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}
