/*
 * System calls that make, remove and change names and attributes. Each fetches its
 * strings and leaves the rest to fs/change.c, fs/attr.c and fs/open.c.
 */
#include "fs/anon.h"
#include "kernel/proc/process.h"
#include "kernel/time/timespec.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

/* ---- opening */

enum {
	OPEN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |
	             O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT | O_LARGEFILE | O_TMPFILE |
	             O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH,
};

static long
open_user(int dirfd, const char USER *user, const struct open_how *how)
{
	struct file *f;
	char *text;
	long err = name_from_user(user, false, &text);
	int fd;

	if (err)
		return err;
	/* Nothing may be made or truncated that then has no descriptor. */
	fd = fd_reserve(how->flags & O_CLOEXEC);
	if (fd >= 0) {
		err = file_openat(dirfd, text, how, 0, &f);
		if (err)
			fd_unreserve(fd);
		else
			fd_fill(fd, f);
	}
	name_put(text);
	return err ? err : fd;
}

long
sys_openat(int dirfd, const char USER *path, int flags, uint32_t mode)
{
	struct open_how how = {.flags = (flags & OPEN_FLAGS) | O_LARGEFILE};

	/* The mode is read only when a file may be made; then unknown bits are dropped.
	 */
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		how.mode = mode & S_IALLUGO;
	if ((flags & O_TMPFILE & ~O_DIRECTORY) && !(flags & O_DIRECTORY))
		return ERR_INVAL;
	return open_user(dirfd, path, &how);
}

long
sys_open(const char USER *path, int flags, uint32_t mode)
{
	return sys_openat(AT_FDCWD, path, flags, mode);
}

long
sys_creat(const char USER *path, uint32_t mode)
{
	return sys_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

long
sys_openat2(
    int dirfd, const char USER *path, const struct open_how USER *user, size_t size)
{
	enum { RESOLVE_ALL = 0x3f, BENEATH_IN_ROOT = 0x18, RESOLVE_CACHED = 0x20 };
	enum { PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
	enum { TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY };
	struct open_how how;
	long err;

	if (size < sizeof(how))
		return ERR_INVAL;
	if (size > 4096)
		return ERR_2BIG;
	err = copy_from_user(&how, user, sizeof(how));
	if (err)
		return err;
	/* A longer structure is a newer one: what we do not know must be zero. */
	for (size_t i = sizeof(how); i < size; i++) {
		uint8_t byte;

		err = copy_from_user(&byte, (const uint8_t USER *)user + i, 1);
		if (err)
			return err;
		if (byte)
			return ERR_2BIG;
	}
	if ((how.flags & ~(uint64_t)OPEN_FLAGS) ||
	    (how.resolve & ~(uint64_t)RESOLVE_ALL) ||
	    (how.resolve & BENEATH_IN_ROOT) == BENEATH_IN_ROOT ||
	    (how.mode & ~(uint64_t)S_IALLUGO))
		return ERR_INVAL;
	if (how.mode && !(how.flags & (O_CREAT | TMPFILE_BIT)))
		return ERR_INVAL;
	if ((how.flags & O_PATH) && (how.flags & ~(uint64_t)PATH_FLAGS))
		return ERR_INVAL;
	if ((how.flags & TMPFILE_BIT) && !(how.flags & O_DIRECTORY))
		return ERR_INVAL;
	/* Every file is in memory: only what changes something could have to wait. */
	if ((how.resolve & RESOLVE_CACHED) &&
	    (how.flags & (O_TRUNC | O_CREAT | TMPFILE_BIT)))
		return ERR_AGAIN;
	how.flags |= O_LARGEFILE;
	return open_user(dirfd, path, &how);
}

/* ---- making and removing names */

static long
make_node(int dirfd, const char USER *user, uint32_t mode, uint64_t rdev)
{
	char *text;
	long err = name_from_user(user, false, &text);

	if (err)
		return err;
	err = fs_mknod(dirfd, text, mode, rdev, 0);
	name_put(text);
	return err;
}

long
sys_mkdirat(int dirfd, const char USER *path, uint32_t mode)
{
	return make_node(dirfd, path, S_IFDIR | (mode & (S_IRWXUGO | S_ISVTX)), 0);
}

long
sys_mkdir(const char USER *path, uint32_t mode)
{
	return sys_mkdirat(AT_FDCWD, path, mode);
}

long
sys_mknodat(int dirfd, const char USER *path, uint32_t mode, unsigned dev)
{
	uint32_t type = mode & S_IFMT;

	if (type == 0)
		type = S_IFREG;
	switch (type) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK: dev = 0; break;
	case S_IFCHR:
	case S_IFBLK: break;
	case S_IFDIR: return ERR_PERM;
	default: return ERR_INVAL;
	}
	return make_node(dirfd, path, type | (mode & S_IALLUGO), dev);
}

long
sys_mknod(const char USER *path, uint32_t mode, unsigned dev)
{
	return sys_mknodat(AT_FDCWD, path, mode, dev);
}

long
sys_unlinkat(int dirfd, const char USER *user, int flags)
{
	char *text;
	long err;

	if (flags & ~AT_REMOVEDIR)
		return ERR_INVAL;
	err = name_from_user(user, false, &text);
	if (err)
		return err;
	err = fs_unlink(dirfd, text, flags & AT_REMOVEDIR, 0);
	name_put(text);
	return err;
}

long
sys_unlink(const char USER *path)
{
	return sys_unlinkat(AT_FDCWD, path, 0);
}

long
sys_rmdir(const char USER *path)
{
	return sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* Two paths from user memory; both are freed by the caller when OK is returned. */
static long
two_names(const char USER *first, bool may_be_empty, const char USER *second, char **a,
    char **b)
{
	long err = name_from_user(first, may_be_empty, a);

	if (err)
		return err;
	err = name_from_user(second, false, b);
	if (err)
		name_put(*a);
	return err;
}

long
sys_symlinkat(const char USER *target, int dirfd, const char USER *path)
{
	char *to, *text;
	long err = two_names(target, false, path, &to, &text);

	if (err)
		return err;
	err = fs_symlink(to, dirfd, text, 0);
	name_put(to);
	name_put(text);
	return err;
}

long
sys_symlink(const char USER *target, const char USER *path)
{
	return sys_symlinkat(target, AT_FDCWD, path);
}

long
sys_linkat(int old_fd, const char USER *old_path, int new_fd, const char USER *new_path,
    int flags)
{
	char *old, *text;
	long err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return ERR_INVAL;
	if ((flags & AT_EMPTY_PATH) && !capable(CAP_DAC_READ_SEARCH))
		return ERR_NOENT;
	err = two_names(old_path, flags & AT_EMPTY_PATH, new_path, &old, &text);
	if (err)
		return err;
	err = fs_link(old_fd, old, new_fd, text,
	    (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
	        (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0));
	name_put(old);
	name_put(text);
	return err;
}

long
sys_link(const char USER *old_path, const char USER *new_path)
{
	return sys_linkat(AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

long
sys_renameat2(int old_fd, const char USER *old_path, int new_fd,
    const char USER *new_path, unsigned flags)
{
	char *old, *text;
	long err = two_names(old_path, false, new_path, &old, &text);

	if (err)
		return err;
	err = fs_rename(old_fd, old, new_fd, text, flags);
	name_put(old);
	name_put(text);
	return err;
}

long
sys_renameat(int old_fd, const char USER *old_path, int new_fd, const char USER *new_path)
{
	return sys_renameat2(old_fd, old_path, new_fd, new_path, 0);
}

long
sys_rename(const char USER *old_path, const char USER *new_path)
{
	return sys_renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

/* ---- attributes */

/* The path of a call that changes attributes; flags AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
 */
static long
lookup(int dirfd, const char USER *user, int flags, struct path *out)
{
	char *text;
	long err;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return ERR_INVAL;
	err = name_from_user(user, flags & AT_EMPTY_PATH, &text);
	if (err)
		return err;
	err = path_lookup(dirfd, text,
	    (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
	        (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0),
	    out);
	name_put(text);
	return err;
}

/* The path an open descriptor stands for: pipes and the like have one made for them. */
static long
lookup_fd(int fd, struct path *out)
{
	struct file *f = fd_get(fd);
	long err = OK;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH) {
		err = ERR_BADF;
	} else if (f->dentry) {
		*out = (struct path){f->mount, f->dentry};
		path_get(out);
	} else {
		err = anon_path(f, out);
	}
	file_put(f);
	return err;
}

long
sys_fchmodat(int dirfd, const char USER *user, uint32_t mode)
{
	struct path path;
	long err = lookup(dirfd, user, 0, &path);

	if (err)
		return err;
	err = path_chmod(&path, mode);
	path_put(&path);
	return err;
}

long
sys_chmod(const char USER *path, uint32_t mode)
{
	return sys_fchmodat(AT_FDCWD, path, mode);
}

long
sys_fchmod(int fd, uint32_t mode)
{
	struct path path;
	long err = lookup_fd(fd, &path);

	if (err)
		return err;
	err = path_chmod(&path, mode);
	path_put(&path);
	return err;
}

long
sys_fchownat(int dirfd, const char USER *user, uint32_t uid, uint32_t gid, int flags)
{
	struct path path;
	long err = lookup(dirfd, user, flags, &path);

	if (err)
		return err;
	err = path_chown(&path, uid, gid);
	path_put(&path);
	return err;
}

long
sys_chown(const char USER *path, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, path, uid, gid, 0);
}

long
sys_lchown(const char USER *path, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long
sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
	struct path path;
	long err = lookup_fd(fd, &path);

	if (err)
		return err;
	err = path_chown(&path, uid, gid);
	path_put(&path);
	return err;
}

long
sys_umask(uint32_t mask)
{
	return __atomic_exchange_n(
	    &current_fs()->umask, mask & S_IRWXUGO, __ATOMIC_RELAXED);
}

long
sys_truncate(const char USER *user, loff_t length)
{
	struct path path;
	const struct inode *inode;
	long err;

	if (length < 0)
		return ERR_INVAL;
	err = lookup(AT_FDCWD, user, 0, &path);
	if (err)
		return err;
	inode = path.dentry->inode;
	if (!s_isreg(inode->mode))
		err = s_isdir(inode->mode) ? ERR_ISDIR : ERR_INVAL;
	if (!err)
		err = inode_permission(current_cred(), inode, MAY_WRITE);
	if (!err && mount_is_readonly(path.mount))
		err = ERR_ROFS;
	if (!err && inode->num_writers < 0)
		err = ERR_TXTBSY;
	if (!err)
		err = path_truncate(&path, length);
	path_put(&path);
	return err;
}

long
sys_ftruncate(int fd, loff_t length)
{
	struct file *f = fd_get(fd);
	long err;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		err = ERR_BADF;
	else if (length < 0 || !f->inode || !s_isreg(f->inode->mode) ||
	         !(f->mode & FILE_WRITE))
		err = ERR_INVAL;
	else
		err = path_truncate(&(struct path){f->mount, f->dentry}, length);
	file_put(f);
	return err;
}

long
sys_fallocate(int fd, int mode, loff_t offset, loff_t len)
{
	struct file *f = fd_get(fd);
	struct inode *inode;
	long err = OK;

	if (!f)
		return ERR_BADF;
	inode = f->inode;
	if (!(f->mode & FILE_WRITE))
		err = ERR_BADF;
	else if (offset < 0 || len <= 0)
		err = ERR_INVAL;
	else if (offset > INT64_MAX - len)
		err = ERR_FBIG;
	else if (!inode || !s_isreg(inode->mode))
		err = inode && s_isdir(inode->mode) ? ERR_ISDIR
		      : inode                       ? ERR_NODEV
		                                    : ERR_SPIPE;
	else if (!inode->ops->fallocate)
		err = ERR_OPNOTSUPP;
	if (!err && !(mode & FALLOC_KEEP_SIZE))
		err = file_size_limit(offset + len);
	if (!err)
		err = file_allocate(f, mode, offset, len);
	file_put(f);
	return err;
}

/* ---- times */

enum { UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe };

/* One of the two times of utimensat into the attributes. Returns false if it is not
 * valid. */
static bool
take_time(
    const struct timespec *ts, int64_t now, int64_t *ns, struct attr *attr, uint32_t bit)
{
	if (ts->nsec == UTIME_OMIT)
		return true;
	attr->valid |= bit;
	*ns = now;
	if (ts->nsec == UTIME_NOW)
		return true;
	if ((uint64_t)ts->nsec >= NSEC_PER_SEC)
		return false;
	if (__builtin_mul_overflow(ts->sec, (int64_t)NSEC_PER_SEC, ns) ||
	    __builtin_add_overflow(*ns, ts->nsec, ns))
		*ns = ts->sec < 0 ? INT64_MIN : INT64_MAX;
	return true;
}

static long
set_times(int dirfd, const char USER *user, const struct timespec ts[2], int flags)
{
	int64_t now = fs_now_ns();
	struct attr attr = {.valid = 0};
	struct path path;
	bool both_now = ts[0].nsec == UTIME_NOW && ts[1].nsec == UTIME_NOW;
	long err;

	if (!take_time(&ts[0], now, &attr.atime_ns, &attr, ATTR_ATIME) ||
	    !take_time(&ts[1], now, &attr.mtime_ns, &attr, ATTR_MTIME))
		return ERR_INVAL;
	if (!attr.valid)
		return OK;
	if (!user && dirfd != AT_FDCWD)
		err = flags ? ERR_INVAL : lookup_fd(dirfd, &path);
	else
		err = lookup(dirfd, user, flags, &path);
	if (err)
		return err;
	err = path_utimes(&path, &attr, both_now);
	path_put(&path);
	return err;
}

static const struct timespec times_now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

long
sys_utimensat(
    int dirfd, const char USER *path, const struct timespec USER *user, int flags)
{
	struct timespec ts[2];
	long err;

	if (!user)
		return set_times(dirfd, path, times_now, flags);
	err = copy_from_user(ts, user, sizeof(ts));
	return err ? err : set_times(dirfd, path, ts, flags);
}

long
sys_futimesat(int dirfd, const char USER *path, const struct timeval USER *user)
{
	struct timeval tv[2];
	struct timespec ts[2];
	long err;

	if (!user)
		return set_times(dirfd, path, times_now, 0);
	err = copy_from_user(tv, user, sizeof(tv));
	if (err)
		return err;
	for (int i = 0; i < 2; i++) {
		if ((uint64_t)tv[i].usec >= 1000000)
			return ERR_INVAL;
		ts[i] = (struct timespec){tv[i].sec, tv[i].usec * 1000};
	}
	return set_times(dirfd, path, ts, 0);
}

long
sys_utimes(const char USER *path, const struct timeval USER *times)
{
	return sys_futimesat(AT_FDCWD, path, times);
}

long
sys_utime(const char USER *path, const int64_t USER *user)
{
	int64_t sec[2];
	struct timespec ts[2];
	long err;

	if (!user)
		return set_times(AT_FDCWD, path, times_now, 0);
	err = copy_from_user(sec, user, sizeof(sec));
	if (err)
		return err;
	for (int i = 0; i < 2; i++)
		ts[i] = (struct timespec){sec[i], 0};
	return set_times(AT_FDCWD, path, ts, 0);
}
