/* Extended attributes of an inode (fs/xattr.c); the calls are in fs/sys_xattr.c. All take inode->lock. */
#pragma once

#include "fs/vfs.h"

enum { XATTR_NAME_MAX = 255, XATTR_SIZE_MAX = 65536, XATTR_LIST_MAX = 65536 };

/*
 * Sets an attribute; flags of setxattr(2), at most XATTR_SIZE_MAX bytes. ERR_PERM, ERR_ACCES:
 * not by this caller. ERR_OPNOTSUPP: this file, or no file, has such attributes. ERR_EXIST,
 * ERR_NODATA: by the flags. ERR_NOSPC: too much of them on this inode. ERR_NOMEM.
 */
enum err xattr_set(
    struct inode *, const char *name, const void *value, size_t size, int flags);
enum err xattr_remove(struct inode *, const char *name);
/* The size of the value; it is copied when `size` is not 0, and ERR_RANGE if it is larger. */
long xattr_get(struct inode *, const char *name, void *buf, size_t size);
/* Likewise the names the caller may see, each with its NUL. */
long xattr_list(struct inode *, char *buf, size_t size);
/* For an inode that goes away. */
void xattr_free_all(struct inode *);

/* ---- file capabilities, the attribute security.capability (fs/file_caps.h) */

struct file_caps;
/* What exec obeys; all zero without any. ERR_INVAL: what is there is not understood. */
enum err inode_file_caps(struct inode *, struct file_caps *out);
/* They do not outlive a change of the file's content or owner; inode->lock held. */
void inode_drop_file_caps_locked(struct inode *);
