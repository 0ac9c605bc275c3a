/*
 * Telling of what happens to files: called by the parts of fs/ that do it, after it was done and
 * with no spinlock held. As long as nobody watches anything each call is one look at a counter.
 * fs/inotify.c is who is told.
 */
#pragma once

#include "fs/vfs.h"

/* Linux's IN_* (inotify(7)). */
enum in_event {
	IN_ACCESS = 0x1,
	IN_MODIFY = 0x2,
	IN_ATTRIB = 0x4,
	IN_CLOSE_WRITE = 0x8,
	IN_CLOSE_NOWRITE = 0x10,
	IN_OPEN = 0x20,
	IN_MOVED_FROM = 0x40,
	IN_MOVED_TO = 0x80,
	IN_CREATE = 0x100,
	IN_DELETE = 0x200,
	IN_DELETE_SELF = 0x400,
	IN_MOVE_SELF = 0x800,
	IN_ALL_EVENTS = 0xfff,
	IN_UNMOUNT = 0x2000,
	IN_Q_OVERFLOW = 0x4000,
	IN_IGNORED = 0x8000,
	IN_ISDIR = 0x40000000,
};

/* One thing that happened, as a watch of an inode sees it. */
struct in_fact {
	uint32_t mask, cookie;
	const char *name; /* of the entry in the watched directory, or NULL: itself */
	uint32_t name_len;
	bool is_unlinked; /* the entry has no name any more: IN_EXCL_UNLINK */
};

extern uint32_t inotify_num_watches; /* [a] in all */
void inotify_init(void);
/* To each watch of the inode that wants it. */
void inotify_tell(struct inode *, const struct in_fact *);
/* All watches of the inode end, after `mask` (IN_DELETE_SELF, IN_UNMOUNT) was told. */
void inotify_forget_inode(struct inode *, uint32_t mask);
void inotify_forget_super(const struct super *);

void notify_dentry_slow(struct dentry *, uint32_t mask);
void notify_entry_slow(
    struct inode *dir, uint32_t mask, const struct name *, uint32_t cookie);
void notify_inode_slow(struct inode *, uint32_t mask);
uint32_t notify_cookie(void); /* ties the two halves of a move together */

static inline bool
is_anybody_watching(void)
{
	return unlikely(__atomic_load_n(&inotify_num_watches, __ATOMIC_RELAXED));
}

/* Something happened to the file: its directory's watches are told, with its name, and its own. */
static inline void
notify_dentry(struct dentry *d, uint32_t mask)
{
	if (is_anybody_watching() && d)
		notify_dentry_slow(d, mask);
}

/* A name came, went or moved in `dir`; with IN_ISDIR if it is a directory's. */
static inline void
notify_entry(struct inode *dir, uint32_t mask, const struct name *name, uint32_t cookie)
{
	if (is_anybody_watching())
		notify_entry_slow(dir, mask, name, cookie);
}

/* Something happened to the file that its directory does not hear of. */
static inline void
notify_inode(struct inode *inode, uint32_t mask)
{
	if (is_anybody_watching() && inode)
		notify_inode_slow(inode, mask);
}

/* A transfer of n bytes has ended. */
static inline void
notify_transfer(const struct file *f, bool is_write, ssize_t n)
{
	if (is_anybody_watching() && n > 0 && f->dentry)
		notify_dentry_slow(f->dentry, is_write ? IN_MODIFY : IN_ACCESS);
}

/*
 * A dentry lets go of its inode, whose last name is gone if it has no link. Directories that are
 * removed end here too: names cached in them may hold their dentries for long.
 */
static inline void
notify_dropped(struct inode *inode)
{
	if (is_anybody_watching() && inode && !inode->nlink)
		inotify_forget_inode(inode, IN_DELETE_SELF);
}
