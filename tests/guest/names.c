/* Names: making, linking, renaming and removing them, reading directories, and the
 * process's own place among them. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/socket.h>

enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 };

static char long_name[257];

/* A directory with a file, a directory that is not empty, a link and a read-only mount. */
static void
furnish(void)
{
	begin();
	memset(long_name, 'a', 256);
	put("f", "x");
	CHECK_EQ(mkdir("d", 0755) | mkdir("full", 0755) | mkdir("full/sub", 0755), 0);
	CHECK_EQ(symlink("f", "l") | symlink("loop", "loop") | symlink("d", "dl"), 0);
	CHECK_EQ(mkdir("ro", 0755), 0);
	CHECK_EQ(mount("t", "ro", "tmpfs", 0, NULL), 0);
	put("ro/f", "x");
	CHECK_EQ(mkdir("ro/d", 0755), 0);
	CHECK_EQ(mount("t", "ro", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	CHECK_EQ(
	    mkdir("closed", 0700) | mkdir("sticky", 0777) | chmod("sticky", 01777), 0);
	put("sticky/f", "x");
	put("closed/f", "x");
}

/* proves: mkdir mkdirat */
static void
mkdir_cases(void)
{
	struct stat st;
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(mkdir, "n", 07777), 0);
	EXPECT_EQ(mode_of("n"), S_IFDIR | 01755);
	EXPECT_EQ(SYS(mkdirat, d, "n/", 0700), 0);
	EXPECT_EQ(mode_of("d/n"), S_IFDIR | 0700);
	EXPECT_EQ(links_of("d"), 3);
	EXPECT_ERR(SYS(mkdir, "f", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "d", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "l", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "loop", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, ".", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "..", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "/", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "d/.", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, "none/.", 0755), ENOENT);
	EXPECT_ERR(SYS(mkdir, "", 0755), ENOENT);
	EXPECT_ERR(SYS(mkdir, "none/x", 0755), ENOENT);
	EXPECT_ERR(SYS(mkdir, "f/x", 0755), ENOTDIR);
	EXPECT_ERR(SYS(mkdir, "loop/x", 0755), ELOOP);
	EXPECT_ERR(SYS(mkdir, long_name, 0755), ENAMETOOLONG);
	EXPECT_ERR(SYS(mkdir, "ro/x", 0755), EROFS);
	EXPECT_ERR(SYS(mkdir, "ro/d", 0755), EEXIST);
	EXPECT_ERR(SYS(mkdir, BAD_ADDR, 0755), EFAULT);
	EXPECT_ERR(SYS(mkdirat, 99, "x", 0755), EBADF);
	EXPECT_ERR(SYS(mkdirat, f, "x", 0755), ENOTDIR);
	/* A set-gid directory passes its group and the bit on. */
	CHECK_EQ(chown("d", 0, 1234) | chmod("d", 02755), 0);
	EXPECT_EQ(SYS(mkdirat, d, "g", 0755), 0);
	EXPECT_EQ(mode_of("d/g"), S_IFDIR | 02755);
	CHECK_EQ(stat("d/g", &st), 0);
	EXPECT_EQ(st.st_gid, 1234);
	become_user();
	EXPECT_ERR(SYS(mkdir, "d/x", 0755), EACCES);
	EXPECT_ERR(SYS(mkdir, "closed/x", 0755), EACCES);
	EXPECT_EQ(SYS(mkdir, "sticky/x", 0755), 0);
}

/* proves: mknod mknodat */
static void
mknod_cases(void)
{
	struct stat st;
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(mknod, "reg", 0644, 0), 0);
	EXPECT_EQ(mode_of("reg"), S_IFREG | 0644);
	EXPECT_EQ(SYS(mknod, "reg2", S_IFREG | 06777, 0), 0);
	EXPECT_EQ(mode_of("reg2"), S_IFREG | 06755);
	EXPECT_EQ(SYS(mknodat, d, "fifo", S_IFIFO | 0666, 0), 0);
	EXPECT_EQ(mode_of("d/fifo"), S_IFIFO | 0644);
	EXPECT_EQ(SYS(mknod, "sock", S_IFSOCK | 0600, 0), 0);
	EXPECT_EQ(SYS(mknod, "chr", S_IFCHR | 0600, 0x103), 0);
	CHECK_EQ(stat("chr", &st), 0);
	EXPECT_EQ(st.st_rdev, 0x103);
	EXPECT_EQ(SYS(mknod, "blk", S_IFBLK | 0600, 0xfff00abc), 0);
	CHECK_EQ(stat("blk", &st), 0);
	EXPECT_EQ(st.st_rdev, 0xfff00abc);
	EXPECT_ERR(SYS(mknod, "x", S_IFDIR | 0755, 0), EPERM);
	EXPECT_ERR(SYS(mknod, "x", S_IFLNK | 0755, 0), EINVAL);
	EXPECT_ERR(SYS(mknod, "x", 0170000, 0), EINVAL);
	EXPECT_ERR(SYS(mknod, "f", 0644, 0), EEXIST);
	EXPECT_ERR(SYS(mknod, "l", 0644, 0), EEXIST);
	EXPECT_ERR(SYS(mknod, "x/", 0644, 0), ENOENT);
	EXPECT_ERR(SYS(mknod, "none/x", 0644, 0), ENOENT);
	EXPECT_ERR(SYS(mknod, "", 0644, 0), ENOENT);
	EXPECT_ERR(SYS(mknod, "f/x", 0644, 0), ENOTDIR);
	EXPECT_ERR(SYS(mknod, "ro/x", 0644, 0), EROFS);
	EXPECT_ERR(SYS(mknod, long_name, 0644, 0), ENAMETOOLONG);
	EXPECT_ERR(SYS(mknod, BAD_ADDR, 0644, 0), EFAULT);
	EXPECT_ERR(SYS(mknodat, 99, "x", 0644, 0), EBADF);
	EXPECT_ERR(SYS(mknodat, f, "x", 0644, 0), ENOTDIR);
	become_user();
	EXPECT_ERR(SYS(mknod, "c2", S_IFCHR | 0600, 0x103), EPERM);
	EXPECT_ERR(SYS(mknod, "b2", S_IFBLK | 0600, 0x103), EPERM);
	EXPECT_ERR(SYS(mknod, "chr", S_IFCHR | 0600, 0x103), EEXIST);
	EXPECT_EQ(SYS(mknod, "p2", S_IFIFO | 0600, 0), 0);
	EXPECT_ERR(SYS(mknod, "d/p2", S_IFIFO | 0600, 0), EACCES);
}

/* proves: link linkat */
static void
link_cases(void)
{
	struct stat st;
	int d, f, p;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	p = open("f", O_PATH);
	EXPECT_EQ(SYS(link, "f", "f2"), 0);
	EXPECT_EQ(links_of("f"), 2);
	EXPECT_EQ(SYS(link, "l", "l2"), 0);
	EXPECT_EQ(S_ISLNK(mode_of("l2")), 1);
	EXPECT_EQ(SYS(linkat, AT_FDCWD, "l", d, "lf", AT_SYMLINK_FOLLOW), 0);
	EXPECT_EQ(S_ISREG(mode_of("d/lf")), 1);
	EXPECT_EQ(SYS(linkat, p, "", d, "pf", AT_EMPTY_PATH), 0);
	EXPECT_EQ(SYS(linkat, f, "", d, "of", AT_EMPTY_PATH), 0);
	EXPECT_EQ(links_of("f"), 5);
	EXPECT_ERR(SYS(linkat, p, "", d, "x", 0), ENOENT);
	EXPECT_ERR(SYS(linkat, AT_FDCWD, "f", d, "x", 0x100), EINVAL);
	EXPECT_ERR(SYS(link, "d", "x"), EPERM);
	EXPECT_ERR(SYS(link, "d", "f"), EEXIST);
	EXPECT_ERR(SYS(link, "f", "f2"), EEXIST);
	EXPECT_ERR(SYS(link, "f", "f"), EEXIST);
	EXPECT_ERR(SYS(link, "f", "loop"), EEXIST);
	EXPECT_ERR(SYS(link, "none", "x"), ENOENT);
	EXPECT_ERR(SYS(link, "f", "none/x"), ENOENT);
	EXPECT_ERR(SYS(link, "", "x"), ENOENT);
	EXPECT_ERR(SYS(link, "f", ""), ENOENT);
	EXPECT_ERR(SYS(link, "f", "x/"), ENOENT);
	EXPECT_ERR(SYS(link, "f/x", "x"), ENOTDIR);
	EXPECT_ERR(SYS(link, "f", "f/x"), ENOTDIR);
	EXPECT_ERR(SYS(link, "loop/x", "x"), ELOOP);
	EXPECT_ERR(SYS(linkat, AT_FDCWD, "loop", d, "x", AT_SYMLINK_FOLLOW), ELOOP);
	EXPECT_ERR(SYS(link, "f", "ro/x"), EROFS);
	CHECK_EQ(mkdir("rw", 0755) | mount("t", "rw", "tmpfs", 0, NULL), 0);
	EXPECT_ERR(SYS(link, "f", "rw/x"), EXDEV);
	EXPECT_ERR(SYS(link, "ro/f", "ro/x"), EROFS);
	EXPECT_ERR(SYS(link, "f", long_name), ENAMETOOLONG);
	EXPECT_ERR(SYS(link, BAD_ADDR, "x"), EFAULT);
	EXPECT_ERR(SYS(link, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(linkat, 99, "f", d, "x", 0), EBADF);
	EXPECT_ERR(SYS(linkat, AT_FDCWD, "f", 99, "x", 0), EBADF);
	EXPECT_ERR(SYS(linkat, f, "f", d, "x", 0), ENOTDIR);
	/* A file that has lost its last name gets no new one. */
	put("gone", "x");
	f = open("gone", O_RDONLY);
	CHECK_EQ(unlink("gone"), 0);
	EXPECT_ERR(SYS(linkat, f, "", d, "x", AT_EMPTY_PATH), ENOENT);
	CHECK_EQ(fstat(f, &st), 0);
	EXPECT_EQ(st.st_nlink, 0);
	put("mine", "x");
	CHECK_EQ(chown("mine", 1000, 1000), 0);
	become_user();
	EXPECT_ERR(SYS(link, "mine", "d/x"), EACCES);
	EXPECT_ERR(SYS(link, "closed/f", "x"), EACCES);
}

/* proves: symlink symlinkat readlink readlinkat */
static void
symlink_cases(void)
{
	char longest[4096], buf[4096];
	struct stat st;
	int d, f, p;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	memset(longest, 'b', 4095);
	longest[4095] = '\0';
	EXPECT_EQ(SYS(symlink, longest, "longest"), 0);
	EXPECT_EQ(SYS(readlink, "longest", buf, sizeof(buf)), 4095);
	EXPECT_EQ(SYS(symlinkat, "../f", d, "up"), 0);
	EXPECT_EQ(SYS(readlinkat, d, "up", buf, 2), 2);
	EXPECT_EQ(!memcmp(buf, "..", 2), 1);
	CHECK_EQ(lstat("d/up", &st), 0);
	EXPECT_EQ(st.st_size, 4);
	EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
	EXPECT_ERR(SYS(symlink, "", "x"), ENOENT);
	EXPECT_ERR(SYS(symlink, "f", ""), ENOENT);
	EXPECT_ERR(SYS(symlink, "f", "f"), EEXIST);
	EXPECT_ERR(SYS(symlink, "f", "loop"), EEXIST);
	EXPECT_ERR(SYS(symlink, "f", "x/"), ENOENT);
	EXPECT_ERR(SYS(symlink, "f", "none/x"), ENOENT);
	EXPECT_ERR(SYS(symlink, "f", "f/x"), ENOTDIR);
	EXPECT_ERR(SYS(symlink, "f", "ro/x"), EROFS);
	EXPECT_ERR(SYS(symlink, "f", long_name), ENAMETOOLONG);
	EXPECT_ERR(SYS(symlink, BAD_ADDR, "x"), EFAULT);
	EXPECT_ERR(SYS(symlink, "f", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(symlinkat, "f", 99, "x"), EBADF);
	EXPECT_ERR(SYS(symlinkat, "f", f, "x"), ENOTDIR);
	EXPECT_ERR(SYS(readlink, "f", buf, 10), EINVAL);
	EXPECT_ERR(SYS(readlink, "d", buf, 10), EINVAL);
	EXPECT_ERR(SYS(readlink, "l", buf, 0), EINVAL);
	EXPECT_ERR(SYS(readlink, "l", buf, -1), EINVAL);
	EXPECT_ERR(SYS(readlink, "l", BAD_ADDR, 10), EFAULT);
	EXPECT_ERR(SYS(readlink, "none", buf, 10), ENOENT);
	EXPECT_ERR(SYS(readlink, "", buf, 10), ENOENT);
	EXPECT_ERR(SYS(readlink, "l/", buf, 10), ENOTDIR);
	EXPECT_ERR(SYS(readlink, "dl/", buf, 10), EINVAL);
	EXPECT_EQ(SYS(readlink, "loop", buf, 10), 4);
	EXPECT_ERR(SYS(readlink, "loop/", buf, 10), ELOOP);
	EXPECT_ERR(SYS(readlinkat, 99, "l", buf, 10), EBADF);
	EXPECT_ERR(SYS(readlinkat, f, "l", buf, 10), ENOTDIR);
	p = open("l", O_PATH | O_NOFOLLOW);
	EXPECT_EQ(SYS(readlinkat, p, "", buf, 10), 1);
	EXPECT_ERR(SYS(readlinkat, f, "", buf, 10), ENOENT);
	become_user();
	EXPECT_ERR(SYS(symlink, "f", "d/x"), EACCES);
	EXPECT_ERR(SYS(readlink, "closed/x", buf, 10), EACCES);
}

/* proves: unlink unlinkat rmdir */
static void
unlink_cases(void)
{
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	put("d/x", "x");
	EXPECT_EQ(SYS(unlinkat, d, "x", 0), 0);
	EXPECT_ERR(SYS(unlinkat, d, "x", 0), ENOENT);
	EXPECT_ERR(SYS(unlinkat, d, "x", 1), EINVAL);
	EXPECT_ERR(SYS(unlinkat, AT_FDCWD, "d", 0), EISDIR);
	EXPECT_ERR(SYS(unlinkat, AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	EXPECT_ERR(SYS(unlinkat, 99, "f", 0), EBADF);
	EXPECT_ERR(SYS(unlinkat, f, "f", 0), ENOTDIR);
	EXPECT_ERR(SYS(unlink, "d"), EISDIR);
	EXPECT_ERR(SYS(unlink, "f/"), ENOTDIR);
	EXPECT_ERR(SYS(unlink, "d/"), EISDIR);
	EXPECT_ERR(SYS(unlink, "none/"), ENOENT);
	EXPECT_ERR(SYS(unlink, "dl/"), ENOTDIR);
	EXPECT_ERR(SYS(unlink, "."), EISDIR);
	EXPECT_ERR(SYS(unlink, ".."), EISDIR);
	EXPECT_ERR(SYS(unlink, "/"), EISDIR);
	EXPECT_ERR(SYS(unlink, ""), ENOENT);
	EXPECT_ERR(SYS(unlink, "f/x"), ENOTDIR);
	EXPECT_ERR(SYS(unlink, "loop/x"), ELOOP);
	EXPECT_ERR(SYS(unlink, long_name), ENAMETOOLONG);
	EXPECT_ERR(SYS(unlink, "ro/f"), EROFS);
	EXPECT_ERR(SYS(unlink, "ro/none"), EROFS);
	EXPECT_ERR(SYS(unlink, "ro"), EISDIR);
	EXPECT_ERR(SYS(unlink, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(rmdir, "f"), ENOTDIR);
	EXPECT_ERR(SYS(rmdir, "dl"), ENOTDIR);
	EXPECT_ERR(SYS(rmdir, "dl/"), ENOTDIR);
	EXPECT_ERR(SYS(rmdir, "full"), ENOTEMPTY);
	EXPECT_ERR(SYS(rmdir, "full/sub/.."), ENOTEMPTY);
	EXPECT_ERR(SYS(rmdir, "d/."), EINVAL);
	EXPECT_ERR(SYS(rmdir, "."), EINVAL);
	EXPECT_ERR(SYS(rmdir, "/"), EBUSY);
	EXPECT_ERR(SYS(rmdir, "ro"), EBUSY);
	EXPECT_ERR(SYS(rmdir, "ro/d"), EROFS);
	EXPECT_ERR(SYS(rmdir, ""), ENOENT);
	EXPECT_ERR(SYS(rmdir, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(unlink, "loop"), 0);
	EXPECT_EQ(SYS(rmdir, "full/sub/"), 0);
	EXPECT_EQ(SYS(rmdir, "full"), 0);
	EXPECT_EQ(chdir("d"), 0);
	EXPECT_EQ(SYS(rmdir, "../d"), 0);
	EXPECT_ERR(SYS(mkdir, "x", 0755), ENOENT);
	EXPECT_EQ(chdir(".."), 0);
	become_user();
	EXPECT_ERR(SYS(unlink, "closed/f"), EACCES);
	EXPECT_ERR(SYS(unlink, "sticky/f"), EPERM);
	EXPECT_ERR(SYS(rmdir, "ro"), EBUSY);
}

/* proves: rename renameat renameat2 */
static void
rename_cases(void)
{
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	put("a", "a");
	put("b", "b");
	EXPECT_EQ(SYS(rename, "a", "b"), 0);
	EXPECT_EQ(!strcmp(get("b"), "a"), 1);
	EXPECT_EQ(SYS(renameat, AT_FDCWD, "b", d, "c"), 0);
	EXPECT_EQ(SYS(renameat2, d, "c", AT_FDCWD, "b", 0), 0);
	EXPECT_EQ(SYS(rename, "b", "b"), 0);
	CHECK_EQ(link("b", "b2"), 0);
	EXPECT_EQ(SYS(rename, "b", "b2"), 0); /* two names of one file: nothing happens */
	EXPECT_EQ(links_of("b"), 2);
	EXPECT_ERR(SYS(rename, "none", "x"), ENOENT);
	EXPECT_ERR(SYS(rename, "b", "none/x"), ENOENT);
	EXPECT_ERR(SYS(rename, "", "x"), ENOENT);
	EXPECT_ERR(SYS(rename, "b", ""), ENOENT);
	EXPECT_ERR(SYS(rename, "b", "d"), EISDIR);
	EXPECT_ERR(SYS(rename, "d", "b"), ENOTDIR);
	EXPECT_ERR(SYS(rename, "b", "x/"), ENOTDIR);
	EXPECT_ERR(SYS(rename, "b/", "x"), ENOTDIR);
	EXPECT_ERR(SYS(rename, "f/x", "x"), ENOTDIR);
	EXPECT_ERR(SYS(rename, "d", "full"), ENOTEMPTY);
	EXPECT_ERR(SYS(rename, "full", "full/sub/x"), EINVAL);
	EXPECT_ERR(SYS(rename, "full/sub", "full"), ENOTEMPTY);
	EXPECT_ERR(SYS(rename, ".", "x"), EBUSY);
	EXPECT_ERR(SYS(rename, "d", ".."), EBUSY);
	EXPECT_ERR(SYS(rename, "d/.", "x"), EBUSY);
	EXPECT_ERR(SYS(rename, "ro", "x"), EBUSY);
	EXPECT_ERR(SYS(rename, "d", "ro"), EBUSY);
	EXPECT_ERR(SYS(rename, "b", "ro/x"), EXDEV);
	EXPECT_ERR(SYS(rename, "ro/f", "ro/x"), EROFS);
	EXPECT_ERR(SYS(rename, "loop/x", "x"), ELOOP);
	EXPECT_ERR(SYS(rename, "b", long_name), ENAMETOOLONG);
	EXPECT_ERR(SYS(rename, BAD_ADDR, "x"), EFAULT);
	EXPECT_ERR(SYS(rename, "b", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(renameat, 99, "b", d, "x"), EBADF);
	EXPECT_ERR(SYS(renameat, AT_FDCWD, "b", 99, "x"), EBADF);
	EXPECT_ERR(SYS(renameat, f, "b", d, "x"), ENOTDIR);
	EXPECT_ERR(SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "x", 8), EINVAL);
	EXPECT_ERR(
	    SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "x", NOREPLACE | EXCHANGE), EINVAL);
	EXPECT_ERR(
	    SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "x", WHITEOUT | EXCHANGE), EINVAL);
	EXPECT_ERR(SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "f", NOREPLACE), EEXIST);
	EXPECT_ERR(SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "x", EXCHANGE), ENOENT);
	EXPECT_EQ(SYS(renameat2, AT_FDCWD, "b", AT_FDCWD, "new", NOREPLACE), 0);
	EXPECT_EQ(SYS(renameat2, AT_FDCWD, "new", AT_FDCWD, "full", EXCHANGE), 0);
	EXPECT_EQ(S_ISDIR(mode_of("new")), 1);
	EXPECT_EQ(S_ISREG(mode_of("full")), 1);
	EXPECT_EQ(SYS(rename, "l", "l2"), 0);
	EXPECT_EQ(S_ISLNK(mode_of("l2")), 1);
	EXPECT_EQ(SYS(rename, "d", "empty2"), 0);
	EXPECT_EQ(mkdir("e", 0755), 0);
	EXPECT_EQ(SYS(rename, "empty2", "e"), 0);
	CHECK_EQ(mkdir("other", 0755) | mkdir("other/d", 0755), 0);
	put("sticky/g", "x");
	CHECK_EQ(chown("sticky/g", 1000, 1000) | mkdir("sticky/rd", 0755), 0);
	CHECK_EQ(mkdir("mine", 0755) | chown("mine", 1000, 1000), 0);
	become_user();
	EXPECT_ERR(SYS(rename, "closed/f", "x"), EACCES);
	EXPECT_ERR(SYS(rename, "other/d", "other/e"), EACCES);
	EXPECT_ERR(SYS(rename, "sticky/f", "sticky/h"), EPERM);
	EXPECT_ERR(SYS(rename, "sticky/g", "sticky/f"), EPERM);
	EXPECT_EQ(SYS(rename, "sticky/g", "sticky/h"), 0);
	/* Moving a directory writes its "..". */
	CHECK_EQ(chmod("mine", 0555), 0);
	EXPECT_ERR(SYS(rename, "mine", "sticky/mine"), EACCES);
}

/* proves: renameat2 */
static void
rename_leaves_a_whiteout(void)
{
	struct stat st;

	begin();
	put("a", "a");
	EXPECT_EQ(SYS(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", WHITEOUT), 0);
	CHECK_EQ(lstat("a", &st), 0);
	EXPECT_EQ(st.st_mode & S_IFMT, S_IFCHR);
	EXPECT_EQ(st.st_rdev, 0);
	EXPECT_EQ(!strcmp(get("b"), "a"), 1);
}

struct dirent_old {
	unsigned long ino, off;
	unsigned short reclen;
	char name[];
};

/* proves: getdents getdents64 */
static void
directories_are_read(void)
{
	char buf[4096] __attribute__((aligned(8)));
	const struct dirent_old *o;
	const struct dirent *e;
	int d, seen = 0;
	long n;

	begin();
	put("file", "x");
	CHECK_EQ(mkdir("dir", 0755) | symlink("x", "link") | mkfifo("pipe", 0600), 0);
	d = open(".", O_RDONLY | O_DIRECTORY);
	n = SYS(getdents64, d, buf, sizeof(buf));
	CHECK(n > 0);
	for (long at = 0; at < n; at += e->d_reclen) {
		e = (const void *)(buf + at);
		EXPECT_EQ(e->d_reclen % 8, 0);
		EXPECT_EQ(e->d_ino != 0, 1);
		if (!strcmp(e->d_name, "file"))
			seen += e->d_type == DT_REG;
		else if (!strcmp(e->d_name, "dir") || !strcmp(e->d_name, ".") ||
		         !strcmp(e->d_name, ".."))
			seen += e->d_type == DT_DIR;
		else if (!strcmp(e->d_name, "link"))
			seen += e->d_type == DT_LNK;
		else
			seen += e->d_type == DT_FIFO;
	}
	EXPECT_EQ(seen, 6);
	EXPECT_EQ(SYS(getdents64, d, buf, sizeof(buf)), 0);
	EXPECT_EQ(lseek(d, 0, SEEK_SET), 0);
	n = SYS(getdents, d, buf, sizeof(buf));
	CHECK(n > 0);
	for (long at = 0; at < n; at += o->reclen) {
		o = (const void *)(buf + at);
		if (!strcmp(o->name, "dir"))
			seen += ((const char *)o)[o->reclen - 1] == DT_DIR;
	}
	EXPECT_EQ(seen, 7);
	EXPECT_EQ(lseek(d, 0, SEEK_SET), 0);
	EXPECT_ERR(SYS(getdents64, d, buf, 10), EINVAL);
	EXPECT_ERR(SYS(getdents, d, buf, 10), EINVAL);
	EXPECT_ERR(SYS(getdents64, d, BAD_ADDR, 4096), EFAULT);
	EXPECT_ERR(SYS(getdents, d, BAD_ADDR, 4096), EFAULT);
	EXPECT_ERR(SYS(getdents64, 99, buf, 4096), EBADF);
	EXPECT_ERR(SYS(getdents, 99, buf, 4096), EBADF);
	EXPECT_ERR(SYS(getdents64, open("file", O_RDONLY), buf, 4096), ENOTDIR);
	EXPECT_ERR(SYS(getdents64, open(".", O_PATH), buf, 4096), EBADF);
	CHECK_EQ(mkdir("gone", 0755), 0);
	d = open("gone", O_RDONLY);
	CHECK_EQ(rmdir("gone"), 0);
	EXPECT_ERR(SYS(getdents64, d, buf, 4096), ENOENT);
}

/* proves: chdir fchdir getcwd chroot */
static void
places(void)
{
	char buf[256];
	int d, f;

	furnish();
	d = open("d", O_RDONLY);
	f = open("f", O_RDONLY);
	EXPECT_EQ(SYS(getcwd, buf, sizeof(buf)), strlen(dir) + 1);
	EXPECT_ERR(SYS(getcwd, buf, strlen(dir)), ERANGE);
	EXPECT_ERR(SYS(getcwd, buf, 0), ERANGE);
	EXPECT_ERR(SYS(getcwd, BAD_ADDR, 100), EFAULT);
	EXPECT_ERR(SYS(chdir, "f"), ENOTDIR);
	EXPECT_ERR(SYS(chdir, "none"), ENOENT);
	EXPECT_ERR(SYS(chdir, ""), ENOENT);
	EXPECT_ERR(SYS(chdir, "loop"), ELOOP);
	EXPECT_ERR(SYS(chdir, long_name), ENAMETOOLONG);
	EXPECT_ERR(SYS(chdir, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(fchdir, 99), EBADF);
	EXPECT_ERR(SYS(fchdir, f), ENOTDIR);
	EXPECT_ERR(SYS(fchdir, socket(AF_UNIX, SOCK_STREAM, 0)), ENOTDIR);
	EXPECT_EQ(SYS(fchdir, open("d", O_PATH)), 0);
	EXPECT_EQ(SYS(chdir, ".."), 0);
	EXPECT_ERR(SYS(chroot, "f"), ENOTDIR);
	EXPECT_ERR(SYS(chroot, "none"), ENOENT);
	EXPECT_ERR(SYS(chroot, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(chroot, "loop"), ELOOP);
	if (fork() == 0) {
		EXPECT_EQ(SYS(chroot, "d"), 0);
		EXPECT_EQ(SYS(getcwd, buf, sizeof(buf)) > 13, 1);
		EXPECT_EQ(!memcmp(buf, "(unreachable)", 13), 1);
		EXPECT_EQ(access("/f", F_OK) < 0, 1);
		EXPECT_EQ(chdir("/"), 0);
		EXPECT_EQ(SYS(getcwd, buf, sizeof(buf)), 2);
		EXPECT_EQ(chdir("../../.."), 0);
		EXPECT_EQ(SYS(getcwd, buf, sizeof(buf)), 2);
		_exit(num_unexpected);
	}
	CHECK(wait(&f) > 0);
	EXPECT_EQ(f, 0);
	d = open("closed", O_RDONLY);
	become_user();
	EXPECT_ERR(SYS(chdir, "closed"), EACCES);
	EXPECT_ERR(SYS(fchdir, d), EACCES);
	EXPECT_ERR(SYS(chroot, "d"), EPERM);
	EXPECT_ERR(SYS(chroot, "closed"), EACCES);
}

static const struct test tests[] = {
    TEST(mkdir_cases),
    TEST(mknod_cases),
    TEST(link_cases),
    TEST(symlink_cases),
    TEST(unlink_cases),
    TEST(rename_cases),
    TEST(rename_leaves_a_whiteout),
    TEST(directories_are_read),
    TEST(places),
};

RUN_TESTS(tests)
