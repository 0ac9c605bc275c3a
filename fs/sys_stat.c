/* System calls that tell about files: the stat family, statfs, access, readlink,
 * getdents. */
#include "fs/anon.h"
#include "fs/notify.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

/* A user's path looked up; AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW of `at_flags` heeded. */
static enum err
lookup_user(
    int dirfd, const char USER *user, int at_flags, unsigned walk_flags, struct path *out)
{
	char *text;
	enum err err = name_from_user(user, at_flags & AT_EMPTY_PATH, &text);

	if (err)
		return err;
	if (!(at_flags & AT_SYMLINK_NOFOLLOW))
		walk_flags |= WALK_FOLLOW;
	if (at_flags & AT_EMPTY_PATH)
		walk_flags |= WALK_EMPTY;
	err = path_lookup(dirfd, text, walk_flags, out);
	name_put(text);
	return err;
}

/* What statx tells besides. */
struct more_stat {
	int64_t btime_ns;  /* 0: not kept */
	uint32_t mount_id; /* 0: there is none */
	bool is_mount_root;
};

static void
get_more(const struct path *path, struct more_stat *more)
{
	/* Names that change by themselves are of files made when looked at. */
	if (!(path->mount->super->flags & SUPER_NO_CACHE))
		more->btime_ns = path->dentry->inode->btime_ns;
	more->mount_id = path->mount->id;
	more->is_mount_root = path->dentry == path->mount->root;
}

static enum err
stat_fd(int fd, struct stat *st, struct more_stat *more)
{
	struct file *f = fd_get(fd);

	if (!f)
		return ERR_BADF;
	file_stat(f, st);
	if (f->dentry && f->mount)
		get_more(&(struct path){f->mount, f->dentry}, more);
	file_put(f);
	return OK;
}

/* Whether `user` is the empty string, which with AT_EMPTY_PATH means the descriptor
 * itself. */
static bool
is_empty_user(const char USER *user)
{
	char c;

	return user && !get_user(c, user) && c == '\0';
}

static enum err
stat_at(int dirfd, const char USER *user, int at_flags, struct stat *st,
    struct more_stat *more)
{
	struct path path;
	enum err err;

	/* The descriptor may be of something without a path: a pipe, a socket. */
	if ((at_flags & AT_EMPTY_PATH) && dirfd >= 0 && is_empty_user(user))
		return stat_fd(dirfd, st, more);
	err = lookup_user(dirfd, user, at_flags, 0, &path);
	if (err)
		return err;
	inode_stat(path.dentry->inode, st);
	get_more(&path, more);
	path_put(&path);
	return OK;
}

static long
give_stat(enum err err, const struct stat *st, struct stat USER *user)
{
	return err ? err : copy_to_user(user, st, sizeof(*st));
}

long
sys_stat(const char USER *path, struct stat USER *user)
{
	struct more_stat more;
	struct stat st;

	return give_stat(stat_at(AT_FDCWD, path, 0, &st, &more), &st, user);
}

long
sys_lstat(const char USER *path, struct stat USER *user)
{
	struct more_stat more;
	struct stat st;

	return give_stat(
	    stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st, &more), &st, user);
}

long
sys_fstat(int fd, struct stat USER *user)
{
	struct more_stat more;
	struct stat st;

	return give_stat(stat_fd(fd, &st, &more), &st, user);
}

long
sys_newfstatat(int dirfd, const char USER *path, struct stat USER *user, int flags)
{
	struct more_stat more;
	struct stat st;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return ERR_INVAL;
	return give_stat(stat_at(dirfd, path, flags, &st, &more), &st, user);
}

struct statx_timestamp {
	int64_t sec;
	uint32_t nsec;
	int32_t pad;
};

struct statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad1;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_timestamp atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id;
	uint32_t dio_mem_align, dio_offset_align;
	uint64_t spare[12];
};

static_assert(sizeof(struct statx) == 256, "struct statx of Linux");

long
sys_statx(
    int dirfd, const char USER *path, int flags, unsigned mask, struct statx USER *user)
{
	enum { BASIC_STATS = 0x7ff, BTIME = 0x800, MNT_ID = 0x1000, MOUNT_ROOT = 0x2000 };
	enum { RESERVED = 0x80000000u };
	struct stat st;
	struct statx x = {.mask = BASIC_STATS};
	struct more_stat more = {.btime_ns = 0};
	enum err err;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
	                 AT_STATX_SYNC_TYPE)) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (mask & RESERVED))
		return ERR_INVAL;
	err = stat_at(dirfd, path, flags, &st, &more);
	if (err)
		return err;
	x.blksize = st.st_blksize;
	x.nlink = st.st_nlink;
	x.uid = st.st_uid;
	x.gid = st.st_gid;
	x.mode = st.st_mode;
	x.ino = st.st_ino;
	x.size = st.st_size;
	x.blocks = st.st_blocks;
	x.atime = (struct statx_timestamp){.sec = st.st_atime, .nsec = st.st_atime_nsec};
	x.mtime = (struct statx_timestamp){.sec = st.st_mtime, .nsec = st.st_mtime_nsec};
	x.ctime = (struct statx_timestamp){.sec = st.st_ctime, .nsec = st.st_ctime_nsec};
	x.rdev_major = dev_major(st.st_rdev);
	x.rdev_minor = dev_minor(st.st_rdev);
	x.dev_major = dev_major(st.st_dev);
	x.dev_minor = dev_minor(st.st_dev);
	if ((mask & BTIME) && more.btime_ns) {
		x.mask |= BTIME;
		x.btime =
		    (struct statx_timestamp){.sec = more.btime_ns / (int64_t)NSEC_PER_SEC,
		        .nsec = (uint32_t)(more.btime_ns % (int64_t)NSEC_PER_SEC)};
	}
	if (more.mount_id) {
		x.mask |= MNT_ID;
		x.mnt_id = more.mount_id;
		x.attributes_mask = MOUNT_ROOT;
		x.attributes = more.is_mount_root ? MOUNT_ROOT : 0;
	}
	return copy_to_user(user, &x, sizeof(x));
}

static long
give_statfs(const struct path *path, struct statfs USER *user)
{
	enum {
		ST_VALID = 0x20,
		SAME_BITS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		ST_NOATIME = 0x400,
		ST_NODIRATIME = 0x800,
		ST_RELATIME = 0x1000
	};
	struct super *super = path->mount->super;
	uint32_t flags = path->mount->flags;
	struct statfs st = {
	    .type = super->magic, .bsize = 4096, .frsize = 4096, .namelen = NAME_MAX};

	st.fsid[0] = super->dev;
	if (super->ops->statfs)
		super->ops->statfs(super, &st);
	st.flags = ST_VALID | (flags & SAME_BITS) |
	           (flags & MS_NOATIME ? ST_NOATIME : 0) |
	           (flags & MS_NODIRATIME ? ST_NODIRATIME : 0) |
	           (flags & MS_RELATIME ? ST_RELATIME : 0);
	return copy_to_user(user, &st, sizeof(st));
}

/* The file systems that Linux has for pipes, sockets and the rest without a path. */
static long
give_statfs_of_kind(uint32_t type, struct statfs USER *user)
{
	enum { PIPEFS = 0x50495045, SOCKFS = 0x534f434b, ANON_INODES = 0x09041934 };
	struct statfs st = {.bsize = 4096, .frsize = 4096, .namelen = NAME_MAX};

	st.flags = 0x20; /* ST_VALID */
	st.type = type == S_IFIFO ? PIPEFS : type == S_IFSOCK ? SOCKFS : ANON_INODES;
	return copy_to_user(user, &st, sizeof(st));
}

long
sys_statfs(const char USER *user_path, struct statfs USER *buf)
{
	struct path path;
	long err = lookup_user(AT_FDCWD, user_path, 0, 0, &path);

	if (err)
		return err;
	err = give_statfs(&path, buf);
	path_put(&path);
	return err;
}

long
sys_fstatfs(int fd, struct statfs USER *buf)
{
	struct file *f = fd_get(fd);
	long err;

	if (!f)
		return ERR_BADF;
	err = f->dentry ? give_statfs(&(struct path){f->mount, f->dentry}, buf)
	                : give_statfs_of_kind(f->ops->anon_mode & S_IFMT, buf);
	file_put(f);
	return err;
}

static long
access_at(int dirfd, const char USER *user, int mode, int flags)
{
	unsigned walk_flags = flags & AT_EACCESS ? 0 : WALK_REAL_IDS;
	const struct cred *cred;
	struct cred *real = NULL;
	struct path path;
	struct inode *inode;
	long err;

	if ((mode & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return ERR_INVAL;
	err = lookup_user(dirfd, user, flags, walk_flags, &path);
	if (err)
		return err;
	cred = current_cred();
	if (walk_flags && (cred->uid != cred->fsuid || cred->gid != cred->fsgid ||
	                      (cred->uid != 0 && cred->cap_effective))) {
		cred = real = cred_real_ids(cred);
		if (!real) {
			path_put(&path);
			return ERR_NOMEM;
		}
	}
	inode = path.dentry->inode;
	if ((mode & MAY_EXEC) && s_isreg(inode->mode) && (path.mount->flags & MS_NOEXEC))
		err = ERR_ACCES;
	if (!err)
		err = inode_permission(cred, inode, mode);
	if (!err && (mode & MAY_WRITE) &&
	    (s_isreg(inode->mode) || s_isdir(inode->mode)) &&
	    mount_is_readonly(path.mount))
		err = ERR_ROFS;
	path_put(&path);
	if (real)
		cred_put(real);
	return err;
}

long
sys_access(const char USER *path, int mode)
{
	return access_at(AT_FDCWD, path, mode, 0);
}

long
sys_faccessat(int dirfd, const char USER *path, int mode)
{
	return access_at(dirfd, path, mode, 0);
}

long
sys_faccessat2(int dirfd, const char USER *path, int mode, int flags)
{
	return access_at(dirfd, path, mode, flags);
}

/* The text of a link into buf[PATH_MAX]; magic links show where they lead. */
static long
link_text(struct inode *inode, char *buf)
{
	if (!s_islnk(inode->mode) || !inode->ops->readlink)
		return ERR_INVAL;
	return inode->ops->readlink(inode, buf, PATH_MAX);
}

long
sys_readlinkat(int dirfd, const char USER *user, char USER *buf, int size)
{
	struct path path;
	char *text;
	long n;

	if (size <= 0)
		return ERR_INVAL;
	n = lookup_user(dirfd, user, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, 0, &path);
	if (n)
		return n;
	text = kmalloc(PATH_MAX);
	n = text ? link_text(path.dentry->inode, text) : ERR_NOMEM;
	/* An empty path stands for a descriptor, which must then be of a link. */
	if (n == ERR_INVAL && is_empty_user(user))
		n = ERR_NOENT;
	if (n > 0) {
		n = MIN(n, (long)size);
		inode_touch(path.dentry->inode, INODE_ATIME);
		if (copy_to_user(buf, text, n))
			n = ERR_FAULT;
	}
	kfree(text);
	path_put(&path);
	return n;
}

long
sys_readlink(const char USER *path, char USER *buf, int size)
{
	return sys_readlinkat(AT_FDCWD, path, buf, size);
}

/* ---- directories */

/* A readdir that fills user memory with linux_dirent or linux_dirent64 records. */
struct user_dirents {
	struct dir_sink sink;
	char USER *buf;
	size_t size, used;
	bool is_64;
	enum err err;
};

enum { DIRENT_HEADER = 18, DIRENT64_HEADER = 19 }; /* d_ino, d_off, d_reclen (, d_type) */

struct dirent_header {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
};

static bool
emit_user(struct dir_sink *sink, const char *name, size_t len, uint64_t ino,
    uint32_t mode, loff_t next_pos)
{
	struct user_dirents *d = container_of(sink, struct user_dirents, sink);
	struct dirent_header h = {.ino = ino, .off = next_pos, .type = mode >> 12 & 15};
	char record[ALIGN_UP(DIRENT64_HEADER + NAME_MAX + 2, 8)];
	size_t header = d->is_64 ? DIRENT64_HEADER : DIRENT_HEADER;
	/* The old form has the type in its last byte, behind the name. */
	size_t n = ALIGN_UP(header + len + 1 + !d->is_64, 8);

	if (n > d->size - d->used) {
		if (d->used == 0)
			d->err = ERR_INVAL;
		return false;
	}
	memset(record, 0, n);
	h.reclen = n;
	memcpy(record, &h, header);
	memcpy(record + header, name, len);
	if (!d->is_64)
		record[n - 1] = h.type;
	if (copy_to_user(d->buf + d->used, record, n)) {
		d->err = ERR_FAULT;
		return false;
	}
	d->used += n;
	return true;
}

static long
getdents(int fd, char USER *buf, unsigned count, bool is_64)
{
	struct user_dirents d = {
	    .sink = {.emit = emit_user}, .buf = buf, .size = count, .is_64 = is_64};
	struct file *f = fd_get(fd);
	enum err err;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH) {
		err = ERR_BADF;
	} else if (!f->ops->readdir) {
		err = ERR_NOTDIR;
	} else {
		mutex_lock(&f->pos_lock);
		d.sink.pos = f->pos;
		err = f->ops->readdir(f, &d.sink);
		f->pos = d.sink.pos;
		mutex_unlock(&f->pos_lock);
		notify_dentry(f->dentry, IN_ACCESS);
	}
	file_put(f);
	if (err)
		return err;
	return d.used > 0 ? (long)d.used : d.err;
}

long
sys_getdents(int fd, char USER *buf, unsigned count)
{
	return getdents(fd, buf, count, false);
}

long
sys_getdents64(int fd, char USER *buf, unsigned count)
{
	return getdents(fd, buf, count, true);
}
