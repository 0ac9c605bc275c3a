/* What files are: the stat family, access, modes, owners, times, extended attributes. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <linux/stat.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

enum {
	EMPTY_PATH = 0x1000,
	NO_AUTOMOUNT = 0x800,
	SYNC_TYPES = 0x6000,
	NOW = 0x3fffffff,
	OMIT = 0x3ffffffe,
	ME = 1234,
};

static char long_name[257];

static void
furnish(void)
{
	begin();
	memset(long_name, 'a', 256);
	put("f", "hello");
	CHECK_EQ(mkdir("d", 0755) | mkdir("closed", 0700), 0);
	put("closed/f", "x");
	CHECK_EQ(symlink("f", "l") | symlink("loop", "loop"), 0);
	CHECK_EQ(mkdir("ro", 0755) | mount("t", "ro", "tmpfs", 0, NULL), 0);
	put("ro/f", "x");
	CHECK_EQ(mount("t", "ro", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
}

/* Each of the calls that take a path must refuse all of these alike. */
#define EXPECT_PATH_ERRORS(call) \
	do { \
		static const struct { \
			const char *path; \
			int error; \
		} rows_[] = {{"none", ENOENT}, {"", ENOENT}, {"f/x", ENOTDIR}, \
		    {"loop/x", ELOOP}, {long_name, ENAMETOOLONG}, {BAD_ADDR, EFAULT}, \
		    {KERNEL_ADDR, EFAULT}, {NULL, EFAULT}}; \
		for (unsigned i_ = 0; i_ < sizeof(rows_) / sizeof(rows_[0]); i_++) { \
			const char *path = rows_[i_].path; \
			EXPECT_ERR(call, rows_[i_].error); \
		} \
	} while (0)

/* proves: stat lstat fstat newfstatat */
static void
stat_cases(void)
{
	struct stat st, other;
	int d, f, fds[2];

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	CHECK_EQ(pipe(fds), 0);
	EXPECT_EQ(SYS(stat, "l", &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0644);
	EXPECT_EQ(st.st_size, 5);
	EXPECT_EQ(st.st_blocks, 8);
	EXPECT_EQ(st.st_blksize, 4096);
	EXPECT_EQ(SYS(lstat, "l", &other), 0);
	EXPECT_EQ(other.st_mode, S_IFLNK | 0777);
	EXPECT_EQ(other.st_size, 1);
	EXPECT_EQ(other.st_ino != st.st_ino, 1);
	EXPECT_EQ(other.st_dev, st.st_dev);
	EXPECT_EQ(SYS(fstat, f, &other), 0);
	EXPECT_EQ(!memcmp(&st, &other, sizeof(st)), 1);
	EXPECT_EQ(SYS(fstat, open("l", O_PATH | O_NOFOLLOW), &st), 0);
	EXPECT_EQ(S_ISLNK(st.st_mode), 1);
	EXPECT_EQ(SYS(fstat, fds[0], &st), 0);
	EXPECT_EQ(st.st_mode, S_IFIFO | 0600);
	EXPECT_EQ(SYS(fstat, socket(AF_UNIX, SOCK_STREAM, 0), &st), 0);
	EXPECT_EQ(st.st_mode, S_IFSOCK | 0777);
	EXPECT_EQ(SYS(stat, "/dev/null", &st), 0);
	EXPECT_EQ(st.st_rdev, 0x103);
	EXPECT_PATH_ERRORS(SYS(stat, path, &st));
	EXPECT_PATH_ERRORS(SYS(lstat, path, &st));
	EXPECT_ERR(SYS(stat, "loop", &st), ELOOP);
	EXPECT_EQ(SYS(lstat, "loop", &st), 0);
	EXPECT_ERR(SYS(lstat, "l/", &st), ENOTDIR);
	EXPECT_ERR(SYS(stat, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(lstat, "f", KERNEL_ADDR), EFAULT);
	EXPECT_ERR(SYS(fstat, f, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(fstat, 99, &st), EBADF);
	EXPECT_ERR(SYS(fstat, -1, &st), EBADF);
	EXPECT_EQ(SYS(newfstatat, d, "../f", &st, 0), 0);
	EXPECT_EQ(SYS(newfstatat, AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	EXPECT_EQ(S_ISLNK(st.st_mode), 1);
	EXPECT_EQ(SYS(newfstatat, fds[0], "", &st, EMPTY_PATH), 0);
	EXPECT_EQ(S_ISFIFO(st.st_mode), 1);
	EXPECT_EQ(SYS(newfstatat, AT_FDCWD, "", &st, EMPTY_PATH | NO_AUTOMOUNT), 0);
	EXPECT_EQ(S_ISDIR(st.st_mode), 1);
	EXPECT_ERR(SYS(newfstatat, AT_FDCWD, "", &st, 0), ENOENT);
	EXPECT_ERR(SYS(newfstatat, AT_FDCWD, "f", &st, 0x8), EINVAL);
	EXPECT_ERR(SYS(newfstatat, 99, "f", &st, 0), EBADF);
	EXPECT_ERR(SYS(newfstatat, 99, "", &st, EMPTY_PATH), EBADF);
	EXPECT_ERR(SYS(newfstatat, f, "f", &st, 0), ENOTDIR);
	become_user();
	EXPECT_ERR(SYS(stat, "closed/f", &st), EACCES);
	EXPECT_EQ(SYS(stat, "closed", &st), 0);
}

/* proves: statx */
static void
statx_cases(void)
{
	struct statx x;
	struct stat st;
	int f;

	furnish();
	f = open("f", O_RDONLY);
	memset(&x, 0x55, sizeof(x));
	EXPECT_EQ(SYS(statx, AT_FDCWD, "l", 0, STATX_BASIC_STATS, &x), 0);
	CHECK_EQ(stat("f", &st), 0);
	EXPECT_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EXPECT_EQ(x.stx_ino, st.st_ino);
	EXPECT_EQ(x.stx_size, 5);
	EXPECT_EQ(x.stx_blocks, 8);
	EXPECT_EQ(x.stx_mode, S_IFREG | 0644);
	EXPECT_EQ(x.stx_mtime.tv_sec, st.st_mtime);
	EXPECT_EQ(x.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	EXPECT_EQ((x.stx_dev_major << 8) | x.stx_dev_minor, st.st_dev);
	EXPECT_EQ(x.__spare3[9], 0);
	/* When it was made. */
	EXPECT_EQ(SYS(statx, AT_FDCWD, "f", 0, STATX_BTIME, &x), 0);
	EXPECT_EQ(!!(x.stx_mask & STATX_BTIME), 1);
	EXPECT_EQ(x.stx_btime.tv_sec > 1000000000, 1);
	EXPECT_EQ(x.stx_btime.tv_sec - st.st_mtime <= 1, 1);
	/* The mount, and whether this is where it is mounted. */
	EXPECT_EQ(SYS(statx, AT_FDCWD, "ro", 0, STATX_MNT_ID, &x), 0);
	EXPECT_EQ(!!(x.stx_mask & STATX_MNT_ID), 1);
	EXPECT_EQ(x.stx_mnt_id != 0, 1);
	EXPECT_EQ(!!(x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT), 1);
	EXPECT_EQ(!!(x.stx_attributes & STATX_ATTR_MOUNT_ROOT), 1);
	EXPECT_EQ(SYS(statx, AT_FDCWD, "ro/f", 0, 0, &x), 0);
	EXPECT_EQ(!!(x.stx_attributes & STATX_ATTR_MOUNT_ROOT), 0);
	EXPECT_EQ(SYS(statx, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x), 0);
	EXPECT_EQ(x.stx_mode & S_IFMT, S_IFLNK);
	EXPECT_EQ(SYS(statx, f, "", EMPTY_PATH, STATX_ALL, &x), 0);
	EXPECT_EQ(SYS(statx, AT_FDCWD, "f", 0x2000, STATX_SIZE, &x), 0);
	EXPECT_EQ(SYS(statx, AT_FDCWD, "f", 0x4000, STATX_SIZE, &x), 0);
	EXPECT_ERR(SYS(statx, AT_FDCWD, "f", SYNC_TYPES, STATX_SIZE, &x), EINVAL);
	EXPECT_ERR(SYS(statx, AT_FDCWD, "f", 0x8, STATX_SIZE, &x), EINVAL);
	EXPECT_ERR(SYS(statx, AT_FDCWD, "f", 0, 0x80000000, &x), EINVAL);
	EXPECT_ERR(SYS(statx, 99, "f", 0, STATX_SIZE, &x), EBADF);
	EXPECT_ERR(SYS(statx, f, "f", 0, STATX_SIZE, &x), ENOTDIR);
	EXPECT_ERR(SYS(statx, AT_FDCWD, "f", 0, STATX_SIZE, BAD_ADDR), EFAULT);
	EXPECT_PATH_ERRORS(
	    path ? SYS(statx, AT_FDCWD, path, 0, 0, &x) : (errno = EFAULT, -1));
	become_user();
	EXPECT_ERR(SYS(statx, AT_FDCWD, "closed/f", 0, STATX_SIZE, &x), EACCES);
}

/* proves: statfs fstatfs */
static void
statfs_cases(void)
{
	struct statfs s, o;
	int fds[2];

	furnish();
	CHECK_EQ(pipe(fds), 0);
	EXPECT_EQ(SYS(statfs, "ro", &s), 0);
	EXPECT_EQ(s.f_type, 0x01021994);
	EXPECT_EQ(s.f_bsize, 4096);
	EXPECT_EQ(s.f_frsize, 4096);
	EXPECT_EQ(s.f_namelen, 255);
	EXPECT_EQ(s.f_flags & 0xf, 1);
	EXPECT_EQ(s.f_blocks > s.f_bfree, 1);
	EXPECT_EQ(s.f_files > s.f_ffree, 1);
	EXPECT_EQ(SYS(fstatfs, open("ro/f", O_RDONLY), &o), 0);
	EXPECT_EQ(!memcmp(&s, &o, sizeof(s)), 1);
	EXPECT_EQ(SYS(fstatfs, open("ro/f", O_PATH), &o), 0);
	EXPECT_EQ(SYS(statfs, "/proc", &s), 0);
	EXPECT_EQ(s.f_type, 0x9fa0);
	EXPECT_EQ(SYS(fstatfs, fds[0], &s), 0);
	EXPECT_EQ(s.f_type, 0x50495045);
	EXPECT_EQ(SYS(fstatfs, socket(AF_UNIX, SOCK_STREAM, 0), &s), 0);
	EXPECT_EQ(s.f_type, 0x534f434b);
	EXPECT_ERR(SYS(fstatfs, 99, &s), EBADF);
	EXPECT_ERR(SYS(statfs, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(fstatfs, fds[0], BAD_ADDR), EFAULT);
	EXPECT_PATH_ERRORS(SYS(statfs, path, &s));
	become_user();
	EXPECT_ERR(SYS(statfs, "closed/f", &s), EACCES);
}

/* proves: access faccessat faccessat2 */
static void
access_cases(void)
{
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(access, "f", R_OK | W_OK), 0);
	EXPECT_ERR(SYS(access, "f", X_OK), EACCES); /* not even root */
	EXPECT_EQ(SYS(access, "d", R_OK | W_OK | X_OK), 0);
	EXPECT_ERR(SYS(access, "f", 8), EINVAL);
	EXPECT_ERR(SYS(access, "f", -1), EINVAL);
	EXPECT_ERR(SYS(access, "ro/f", W_OK), EROFS);
	EXPECT_EQ(SYS(access, "ro/f", R_OK), 0);
	EXPECT_ERR(SYS(access, "loop", F_OK), ELOOP);
	EXPECT_PATH_ERRORS(SYS(access, path, F_OK));
	EXPECT_EQ(SYS(faccessat, d, "../f", R_OK), 0);
	EXPECT_ERR(SYS(faccessat, 99, "f", R_OK), EBADF);
	EXPECT_ERR(SYS(faccessat, f, "f", R_OK), ENOTDIR);
	EXPECT_EQ(SYS(faccessat2, AT_FDCWD, "loop", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	EXPECT_EQ(SYS(faccessat2, f, "", R_OK, EMPTY_PATH), 0);
	EXPECT_ERR(SYS(faccessat2, AT_FDCWD, "f", F_OK, 0x8), EINVAL);
	EXPECT_ERR(SYS(faccessat2, AT_FDCWD, "f", 8, 0), EINVAL);
	EXPECT_ERR(SYS(faccessat2, 99, "f", F_OK, 0), EBADF);
	CHECK_EQ(chmod("f", 0600), 0);
	/* access asks for the real ids, faccessat2 with AT_EACCESS for the effective. */
	CHECK_EQ(SYS(setresgid, 1000, 1000, 0) | SYS(setresuid, 1000, 0, 0), 0);
	EXPECT_ERR(SYS(access, "f", R_OK), EACCES);
	EXPECT_ERR(SYS(access, "closed/f", F_OK), EACCES);
	EXPECT_EQ(SYS(faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS), 0);
	EXPECT_ERR(SYS(faccessat2, AT_FDCWD, "f", R_OK, 0), EACCES);
	CHECK_EQ(SYS(setresuid, 0, 1000, 0), 0);
	EXPECT_EQ(SYS(access, "f", R_OK), 0);
	EXPECT_ERR(SYS(faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS), EACCES);
}

/* proves: chmod fchmod fchmodat umask */
static void
chmod_cases(void)
{
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(chmod, "l", 0107640), 0);
	EXPECT_EQ(mode_of("f"), S_IFREG | 07640);
	EXPECT_EQ(mode_of("l"), S_IFLNK | 0777);
	EXPECT_EQ(SYS(fchmod, f, 0604), 0);
	EXPECT_EQ(mode_of("f"), S_IFREG | 0604);
	EXPECT_EQ(SYS(fchmodat, d, "../f", 0600), 0);
	EXPECT_PATH_ERRORS(SYS(chmod, path, 0600));
	EXPECT_ERR(SYS(chmod, "loop", 0600), ELOOP);
	EXPECT_ERR(SYS(chmod, "ro/f", 0600), EROFS);
	EXPECT_ERR(SYS(fchmod, open("ro/f", O_RDONLY), 0600), EROFS);
	EXPECT_ERR(SYS(fchmod, 99, 0600), EBADF);
	EXPECT_ERR(SYS(fchmod, open("f", O_PATH), 0600), EBADF);
	EXPECT_ERR(SYS(fchmodat, 99, "f", 0600), EBADF);
	EXPECT_ERR(SYS(fchmodat, f, "f", 0600), ENOTDIR);
	EXPECT_EQ(SYS(umask, 0), 022);
	EXPECT_EQ(SYS(umask, 07777), 0);
	EXPECT_EQ(SYS(umask, 022), 0777);
	put("mine", "x");
	CHECK_EQ(chown("mine", 1000, 0), 0);
	become_user();
	EXPECT_ERR(SYS(chmod, "f", 0600), EPERM);
	EXPECT_ERR(SYS(fchmod, f, 0600), EPERM);
	EXPECT_ERR(SYS(chmod, "closed/f", 0600), EACCES);
	/* Set-gid goes when the file is of a group one is not in. */
	EXPECT_EQ(SYS(chmod, "mine", 06755), 0);
	EXPECT_EQ(mode_of("mine"), S_IFREG | 04755);
}

/* proves: chown fchown lchown fchownat */
static void
chown_cases(void)
{
	struct stat st;
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	CHECK_EQ(chmod("f", 06755), 0);
	EXPECT_EQ(SYS(chown, "l", 5, -1), 0);
	CHECK_EQ(stat("f", &st), 0);
	EXPECT_EQ(st.st_uid, 5);
	EXPECT_EQ(st.st_gid, 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0755); /* set-id bits go */
	EXPECT_EQ(SYS(lchown, "l", 6, 7), 0);
	CHECK_EQ(lstat("l", &st), 0);
	EXPECT_EQ(st.st_uid, 6);
	EXPECT_EQ(st.st_gid, 7);
	EXPECT_EQ(SYS(fchown, f, -1, 8), 0);
	EXPECT_EQ(SYS(fchownat, d, "../l", 9, -1, AT_SYMLINK_NOFOLLOW), 0);
	EXPECT_EQ(SYS(fchownat, f, "", 9, -1, EMPTY_PATH), 0);
	CHECK_EQ(stat("f", &st), 0);
	EXPECT_EQ(st.st_uid, 9);
	EXPECT_EQ(st.st_gid, 8);
	/* Without group execution the bit means mandatory locking, and stays. */
	CHECK_EQ(chmod("f", 02644), 0);
	EXPECT_EQ(SYS(chown, "f", 0, 0), 0);
	EXPECT_EQ(mode_of("f"), S_IFREG | 02644);
	CHECK_EQ(chmod("f", 0644), 0);
	EXPECT_PATH_ERRORS(SYS(chown, path, 0, 0));
	EXPECT_PATH_ERRORS(SYS(lchown, path, 0, 0));
	EXPECT_ERR(SYS(chown, "loop", 0, 0), ELOOP);
	EXPECT_EQ(SYS(lchown, "loop", 0, 0), 0);
	EXPECT_ERR(SYS(chown, "ro/f", 0, 0), EROFS);
	EXPECT_ERR(SYS(fchown, 99, 0, 0), EBADF);
	EXPECT_ERR(SYS(fchown, open("f", O_PATH), 0, 0), EBADF);
	EXPECT_ERR(SYS(fchownat, 99, "f", 0, 0, 0), EBADF);
	EXPECT_ERR(SYS(fchownat, f, "f", 0, 0, 0), ENOTDIR);
	EXPECT_ERR(SYS(fchownat, AT_FDCWD, "f", 0, 0, 0x8), EINVAL);
	EXPECT_ERR(SYS(fchownat, AT_FDCWD, "", 0, 0, 0), ENOENT);
	put("mine", "x");
	CHECK_EQ(chown("mine", 1000, 1000), 0);
	become_user();
	EXPECT_ERR(SYS(chown, "f", 1000, -1), EPERM);
	EXPECT_ERR(SYS(chown, "f", -1, 1000), EPERM);
	EXPECT_EQ(SYS(chown, "mine", -1, 1000), 0);
	EXPECT_EQ(SYS(chown, "mine", 1000, -1), 0);
	EXPECT_ERR(SYS(chown, "mine", 0, -1), EPERM);
	EXPECT_ERR(SYS(chown, "mine", -1, 5), EPERM);
	EXPECT_ERR(SYS(chown, "closed/f", -1, -1), EACCES);
	EXPECT_EQ(SYS(chown, "f", -1, -1), 0);
}

static void
expect_times(const char *name, long atime, long ans, long mtime, long mns)
{
	struct stat st;

	CHECK_EQ(lstat(name, &st), 0);
	EXPECT_EQ(st.st_atim.tv_sec, atime);
	EXPECT_EQ(st.st_atim.tv_nsec, ans);
	EXPECT_EQ(st.st_mtim.tv_sec, mtime);
	EXPECT_EQ(st.st_mtim.tv_nsec, mns);
}

/* proves: utimensat utime utimes futimesat */
static void
times_cases(void)
{
	struct timespec ts[2] = {{100, 5}, {200, 6}};
	struct timeval tv[2] = {{300, 7}, {400, 8}}, bad[2] = {{0, 1000000}, {0, 0}};
	struct utimbuf ub = {500, 600};
	struct stat st;
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(utimensat, d, "../l", ts, 0), 0);
	expect_times("f", 100, 5, 200, 6);
	EXPECT_EQ(SYS(utimes, "f", tv), 0);
	expect_times("f", 300, 7000, 400, 8000);
	EXPECT_EQ(SYS(utime, "f", &ub), 0);
	expect_times("f", 500, 0, 600, 0);
	EXPECT_EQ(SYS(futimesat, d, "../f", tv), 0);
	expect_times("f", 300, 7000, 400, 8000);
	EXPECT_EQ(SYS(utimensat, f, NULL, ts, 0), 0);
	expect_times("f", 100, 5, 200, 6);
	EXPECT_EQ(SYS(futimesat, f, NULL, tv), 0);
	expect_times("f", 300, 7000, 400, 8000);
	EXPECT_EQ(SYS(utimensat, AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW), 0);
	expect_times("l", 100, 5, 200, 6);
	ts[0].tv_nsec = OMIT;
	ts[1].tv_sec = 77;
	EXPECT_EQ(SYS(utimensat, AT_FDCWD, "f", ts, 0), 0);
	expect_times("f", 300, 7000, 77, 6);
	ts[1].tv_nsec = NOW;
	EXPECT_EQ(SYS(utimensat, f, "", ts, EMPTY_PATH), 0);
	CHECK_EQ(stat("f", &st), 0);
	EXPECT_EQ(st.st_mtime > 1000000000, 1);
	EXPECT_EQ(st.st_atime, 300);
	ts[1].tv_nsec = OMIT; /* both omitted: nothing is looked at */
	EXPECT_EQ(SYS(utimensat, 99, "none", ts, 0), 0);
	ts[0].tv_nsec = 1000000000;
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, "f", ts, 0), EINVAL);
	ts[0].tv_nsec = -1;
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, "f", ts, 0), EINVAL);
	EXPECT_ERR(SYS(utimes, "f", bad), EINVAL);
	EXPECT_ERR(SYS(futimesat, AT_FDCWD, "f", bad), EINVAL);
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, "f", NULL, 0x8), EINVAL);
	EXPECT_ERR(SYS(utimensat, f, NULL, NULL, AT_SYMLINK_NOFOLLOW), EINVAL);
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, NULL, NULL, 0), EFAULT);
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, "f", BAD_ADDR, 0), EFAULT);
	EXPECT_ERR(SYS(utimes, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(utime, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(utimensat, 99, "f", NULL, 0), EBADF);
	EXPECT_ERR(SYS(utimensat, 99, NULL, NULL, 0), EBADF);
	EXPECT_ERR(SYS(utimensat, f, "f", NULL, 0), ENOTDIR);
	EXPECT_ERR(SYS(utimensat, open("f", O_PATH), NULL, NULL, 0), EBADF);
	EXPECT_ERR(SYS(utimes, "ro/f", NULL), EROFS);
	EXPECT_PATH_ERRORS(SYS(utime, path, NULL));
	CHECK_EQ(chmod("f", 0666), 0);
	become_user();
	EXPECT_EQ(SYS(utimes, "f", NULL), 0); /* who may write may touch */
	EXPECT_ERR(SYS(utimes, "f", tv), EPERM);
	ts[0] = (struct timespec){0, NOW};
	ts[1] = (struct timespec){0, OMIT};
	EXPECT_ERR(SYS(utimensat, AT_FDCWD, "f", ts, 0), EPERM);
	ts[1] = (struct timespec){0, NOW};
	EXPECT_EQ(SYS(utimensat, AT_FDCWD, "f", ts, 0), 0);
	EXPECT_ERR(SYS(utimes, "d", NULL), EACCES);
	EXPECT_ERR(SYS(utime, "closed/f", NULL), EACCES);
}

/* proves: setxattr getxattr listxattr removexattr */
static void
xattr_of_paths(void)
{
	char value[64], name[300] = "trusted.", list[256];
	static char big[65537];

	furnish();
	EXPECT_EQ(SYS(setxattr, "l", "trusted.a", "one", 3, 0), 0);
	EXPECT_EQ(SYS(getxattr, "f", "trusted.a", value, sizeof(value)), 3);
	EXPECT_EQ(SYS(getxattr, "f", "trusted.a", NULL, 0), 3);
	EXPECT_ERR(SYS(getxattr, "f", "trusted.a", value, 2), ERANGE);
	EXPECT_ERR(SYS(getxattr, "f", "trusted.b", value, 2), ENODATA);
	EXPECT_ERR(SYS(getxattr, "f", "nonsense.a", value, 2), EOPNOTSUPP);
	EXPECT_ERR(SYS(getxattr, "f", "trusted.a", BAD_ADDR, 10), EFAULT);
	EXPECT_ERR(SYS(getxattr, "f", "", value, 10), ERANGE);
	EXPECT_ERR(SYS(getxattr, "f", BAD_ADDR, value, 10), EFAULT);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.a", "x", 1, 1), EEXIST);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.b", "x", 1, 2), ENODATA);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.b", "x", 1, 4), EINVAL);
	EXPECT_ERR(SYS(setxattr, "f", "nonsense", "x", 1, 0), EOPNOTSUPP);
	EXPECT_ERR(SYS(setxattr, "f", "", "x", 1, 0), ERANGE);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.b", BAD_ADDR, 1, 0), EFAULT);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.b", big, 65537, 0), E2BIG);
	EXPECT_ERR(SYS(setxattr, "ro/f", "trusted.a", "x", 1, 0), EROFS);
	memset(name + 8, 'n', 256 - 8);
	EXPECT_ERR(SYS(setxattr, "f", name, "x", 1, 0), ERANGE);
	name[255] = '\0';
	EXPECT_EQ(SYS(setxattr, "f", name, "x", 1, 0), 0);
	EXPECT_EQ(SYS(removexattr, "f", name), 0);
	EXPECT_EQ(SYS(setxattr, "f", "trusted.a", "two!", 4, 2), 0);
	EXPECT_EQ(SYS(setxattr, "f", "trusted.e", NULL, 0, 1), 0);
	EXPECT_EQ(SYS(getxattr, "f", "trusted.e", value, sizeof(value)), 0);
	EXPECT_EQ(SYS(listxattr, "f", NULL, 0), 20);
	EXPECT_EQ(SYS(listxattr, "f", list, sizeof(list)), 20);
	EXPECT_ERR(SYS(listxattr, "f", list, 19), ERANGE);
	EXPECT_ERR(SYS(listxattr, "f", BAD_ADDR, 100), EFAULT);
	EXPECT_EQ(SYS(removexattr, "f", "trusted.e"), 0);
	EXPECT_ERR(SYS(removexattr, "f", "trusted.e"), ENODATA);
	EXPECT_ERR(SYS(removexattr, "f", "nonsense"), EOPNOTSUPP);
	EXPECT_ERR(SYS(removexattr, "f", BAD_ADDR), EFAULT);
	EXPECT_PATH_ERRORS(SYS(getxattr, path, "trusted.a", value, 4));
	EXPECT_PATH_ERRORS(SYS(setxattr, path, "trusted.a", value, 4, 0));
	EXPECT_PATH_ERRORS(SYS(listxattr, path, value, 4));
	EXPECT_PATH_ERRORS(SYS(removexattr, path, "trusted.a"));
	become_user();
	EXPECT_ERR(SYS(getxattr, "f", "trusted.a", value, 4), ENODATA);
	EXPECT_ERR(SYS(setxattr, "f", "trusted.a", value, 4, 0), EPERM);
	EXPECT_ERR(SYS(removexattr, "f", "trusted.a"), EPERM);
	EXPECT_EQ(SYS(listxattr, "f", list, sizeof(list)), 0);
	EXPECT_ERR(SYS(getxattr, "closed/f", "trusted.a", value, 4), EACCES);
}

/* proves: lsetxattr lgetxattr llistxattr lremovexattr */
static void
xattr_of_links(void)
{
	char value[64];

	furnish();
	EXPECT_EQ(SYS(lsetxattr, "l", "trusted.a", "one", 3, 0), 0);
	EXPECT_EQ(SYS(lgetxattr, "l", "trusted.a", value, sizeof(value)), 3);
	EXPECT_EQ(SYS(llistxattr, "l", value, sizeof(value)), 10);
	EXPECT_ERR(SYS(getxattr, "l", "trusted.a", value, sizeof(value)), ENODATA);
	EXPECT_ERR(SYS(lgetxattr, "f", "trusted.a", value, sizeof(value)), ENODATA);
	EXPECT_EQ(SYS(lremovexattr, "l", "trusted.a"), 0);
	EXPECT_ERR(SYS(lremovexattr, "l", "trusted.a"), ENODATA);
	EXPECT_EQ(SYS(llistxattr, "l", value, sizeof(value)), 0);
	EXPECT_ERR(SYS(lsetxattr, "none", "trusted.a", "one", 3, 0), ENOENT);
	EXPECT_ERR(SYS(lgetxattr, "none", "trusted.a", value, 3), ENOENT);
	EXPECT_ERR(SYS(llistxattr, "none", value, 3), ENOENT);
	EXPECT_ERR(SYS(lremovexattr, "none", "trusted.a"), ENOENT);
	EXPECT_ERR(SYS(lsetxattr, "l", "trusted.a", "one", 3, 8), EINVAL);
	EXPECT_ERR(SYS(lsetxattr, BAD_ADDR, "trusted.a", "one", 3, 0), EFAULT);
	/* The user's own attributes are for files and directories. */
	EXPECT_ERR(SYS(lsetxattr, "l", "user.a", "one", 3, 0), EPERM);
}

/* proves: fsetxattr fgetxattr flistxattr fremovexattr */
static void
xattr_of_descriptors(void)
{
	char value[64];
	int f, p;

	furnish();
	f = open("f", O_RDONLY);
	p = open("f", O_PATH);
	EXPECT_EQ(SYS(fsetxattr, f, "trusted.a", "one", 3, 0), 0);
	EXPECT_EQ(SYS(fgetxattr, f, "trusted.a", value, sizeof(value)), 3);
	EXPECT_EQ(!memcmp(value, "one", 3), 1);
	EXPECT_EQ(SYS(flistxattr, f, value, sizeof(value)), 10);
	EXPECT_ERR(SYS(fsetxattr, f, "trusted.a", "x", 1, 1), EEXIST);
	EXPECT_EQ(SYS(fremovexattr, f, "trusted.a"), 0);
	EXPECT_ERR(SYS(fremovexattr, f, "trusted.a"), ENODATA);
	EXPECT_ERR(SYS(fgetxattr, f, "trusted.a", value, 3), ENODATA);
	EXPECT_ERR(SYS(fsetxattr, 99, "trusted.a", "one", 3, 0), EBADF);
	EXPECT_ERR(SYS(fgetxattr, 99, "trusted.a", value, 3), EBADF);
	EXPECT_ERR(SYS(flistxattr, 99, value, 3), EBADF);
	EXPECT_ERR(SYS(fremovexattr, 99, "trusted.a"), EBADF);
	EXPECT_ERR(SYS(fsetxattr, p, "trusted.a", "one", 3, 0), EBADF);
	EXPECT_ERR(SYS(fgetxattr, p, "trusted.a", value, 3), EBADF);
	EXPECT_ERR(SYS(flistxattr, p, value, 3), EBADF);
	EXPECT_ERR(SYS(fremovexattr, p, "trusted.a"), EBADF);
	EXPECT_ERR(SYS(fsetxattr, open("ro/f", O_RDONLY), "trusted.a", "x", 1, 0), EROFS);
}

static void
show_attrs(int fd, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_mode & 07777, mode);
	EXPECT_EQ(st.st_uid, uid);
	EXPECT_EQ(st.st_gid, gid);
}

/* fd's attributes are seen through `other` too, or, negative, by nobody else. */
static void
change_attrs_of(int fd, int other, uint32_t first_mode)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	show_attrs(fd, first_mode, 0, 0);
	EXPECT_EQ(SYS(fchmod, fd, 0640), 0);
	show_attrs(fd, 0640, 0, 0);
	EXPECT_EQ(SYS(fchown, fd, 1234, 55), 0);
	show_attrs(fd, 0640, 1234, 55);
	EXPECT_EQ(SYS(fchown, fd, -1, -1), 0);
	EXPECT_EQ(chmod(path, 0604), 0);
	show_attrs(fd, 0604, 1234, 55);
	if (other >= 0)
		show_attrs(other, 0604, 1234, 55);
	EXPECT_EQ(SYS(fchmod, fd, 06777), 0);
	show_attrs(fd, 06777, 1234, 55);
	EXPECT_EQ(SYS(fchownat, fd, "", 77, 78, EMPTY_PATH), 0);
	show_attrs(fd, 0777, 77, 78);
	EXPECT_EQ(futimens(fd, times), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_atime, 1000);
	EXPECT_EQ(st.st_mtime, 2000);
	EXPECT_EQ(st.st_ctime > 2000, 1);
}

/* proves: fchmod fchown fchownat */
static void
files_without_a_path(void)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	int p[2], sv[2], e = eventfd(0, 0), status;

	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	change_attrs_of(p[0], p[1], 0600);
	change_attrs_of(sv[0], -1, 0777);
	show_attrs(sv[1], 0777, 0, 0);
	if (fork() == 0) {
		CHECK_EQ(setresgid(ME, ME, ME), 0);
		CHECK_EQ(setresuid(ME, ME, ME), 0);
		EXPECT_ERR(SYS(fchmod, p[0], 0600), EPERM);
		EXPECT_ERR(SYS(fchown, sv[0], ME, -1), EPERM);
		EXPECT_ERR(SYS(fchmod, e, 0600), EOPNOTSUPP);
		CHECK_EQ(pipe(p), 0);
		show_attrs(p[1], 0600, ME, ME);
		EXPECT_EQ(SYS(fchmod, p[1], 0644), 0);
		EXPECT_ERR(SYS(fchown, p[1], 0, -1), EPERM);
		show_attrs(p[0], 0644, ME, ME);
		_exit(num_unexpected != 0);
	}
	CHECK(wait(&status) > 0);
	EXPECT_EQ(status, 0);
	/* All others of no path share one inode on Linux, which stays as it is. */
	EXPECT_ERR(SYS(fchmod, e, 0640), EOPNOTSUPP);
	EXPECT_ERR(SYS(fchown, e, 0, 0), EOPNOTSUPP);
	EXPECT_ERR(futimens(e, times), EOPNOTSUPP);
	show_attrs(e, 0600, 0, 0);
}

static const struct test tests[] = {
    TEST(stat_cases),
    TEST(statx_cases),
    TEST(statfs_cases),
    TEST(access_cases),
    TEST(chmod_cases),
    TEST(chown_cases),
    TEST(files_without_a_path),
    TEST(times_cases),
    TEST(xattr_of_paths),
    TEST(xattr_of_links),
    TEST(xattr_of_descriptors),
};

RUN_TESTS(tests)
