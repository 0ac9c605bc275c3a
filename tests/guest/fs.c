/* Names, links, renames and permissions: results and errno values, as root and as a user.
 */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <dirent.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void
open_creates_and_checks(void)
{
	int fd;

	begin();
	CHECK_ERR(open("none", O_RDONLY), ENOENT);
	CHECK_ERR(open("", O_RDONLY), ENOENT);
	CHECK_ERR(open("none/x", O_CREAT | O_WRONLY, 0600), ENOENT);
	fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0666);
	CHECK(fd >= 0);
	CHECK_EQ(mode_of("f"), S_IFREG | 0644);
	CHECK_ERR(open("f", O_CREAT | O_EXCL | O_RDWR, 0666), EEXIST);
	CHECK_ERR(open("f", O_DIRECTORY | O_RDONLY), ENOTDIR);
	CHECK_ERR(open("f/", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("f/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("g/", O_CREAT | O_WRONLY, 0600), EISDIR);
	CHECK_ERR(open(".", O_WRONLY), EISDIR);
	CHECK_ERR(open(".", O_CREAT | O_RDONLY, 0600), EISDIR);
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_ERR(open("l", O_NOFOLLOW | O_RDONLY), ELOOP);
	CHECK_ERR(open("l", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	CHECK_EQ(symlink("made", "dangling"), 0);
	CHECK(open("dangling", O_CREAT | O_WRONLY, 0600) >= 0);
	CHECK_EQ(mode_of("made"), S_IFREG | 0600);
	CHECK_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_CREAT | O_EXCL), O_RDWR);
	CHECK_ERR(open((char *)1, O_RDONLY), EFAULT);
}

static void
open_flags_work(void)
{
	char buf[16];
	int fd, fd2;
	struct stat st;

	begin();
	put("f", "hello");
	fd = open("f", O_WRONLY | O_APPEND);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "X", 1), 1);
	CHECK(!strcmp(get("f"), "helloX"));
	CHECK_ERR(read(fd, buf, 1), EBADF);
	close(fd);
	fd = open("f", O_RDONLY | O_TRUNC);
	CHECK_EQ(read(fd, buf, 9), 0);
	CHECK_ERR(write(fd, "a", 1), EBADF);
	close(fd);
	fd = open("f", O_PATH);
	CHECK(fd >= 0);
	CHECK_ERR(read(fd, buf, 1), EBADF);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	CHECK_ERR(syscall(SYS_fchmod, fd, 0600), EBADF);
	CHECK_EQ(fstat(fd, &st), 0);
	close(fd);
	CHECK_EQ(symlink("f", "l"), 0);
	fd = open("l", O_PATH | O_NOFOLLOW);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(readlinkat(fd, "", buf, sizeof(buf)), 1);
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(write(fd, "tmp", 3), 3);
	sprintf(buf, "/proc/self/fd");
	{
		char path[64];

		sprintf(path, "/proc/self/fd/%d", fd);
		CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	}
	CHECK(!strcmp(get("named"), "tmp"));
	fd2 = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	CHECK(fd2 >= 0);
	CHECK_ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	CHECK_EQ(fcntl(open("f", O_RDONLY | O_CLOEXEC), F_GETFD), FD_CLOEXEC);
}

static void
paths_walk(void)
{
	char name[300], deep[5000];
	char buf[PATH_MAX];

	begin();
	CHECK_EQ(mkdir("a", 0755), 0);
	CHECK_EQ(mkdir("a/b", 0755), 0);
	put("a/b/f", "x");
	CHECK_EQ(access("a//b/./../b///f", F_OK), 0);
	CHECK_ERR(access("a/b/f/..", F_OK), ENOTDIR);
	CHECK_ERR(access("a/none/../b", F_OK), ENOENT);
	CHECK_EQ(symlink("b", "a/s"), 0);
	CHECK_EQ(access("a/s/f", F_OK), 0);
	CHECK_EQ(access("a/s/../b/f", F_OK), 0);
	CHECK_EQ(symlink("loop", "loop"), 0);
	CHECK_ERR(access("loop", F_OK), ELOOP);
	CHECK_ERR(access("loop/x", F_OK), ELOOP);
	memset(name, 'n', 255);
	name[255] = 0;
	CHECK_EQ(mkdir(name, 0700), 0);
	CHECK_EQ(rmdir(name), 0);
	memset(name, 'n', 256);
	name[256] = 0;
	CHECK_ERR(mkdir(name, 0700), ENAMETOOLONG);
	memset(deep, '/', sizeof(deep));
	strcpy(deep + 4094, "a");
	CHECK_EQ(access(deep, F_OK) == 0 || errno == ENOENT, 1);
	strcpy(deep + 4095, "a");
	CHECK_ERR(access(deep, F_OK), ENAMETOOLONG);
	CHECK_EQ(symlink("f", "a/b/l39"), 0);
	for (int i = 38; i >= 0; i--) {
		char from[16], to[16];

		sprintf(from, "l%d", i + 1);
		sprintf(to, "a/b/l%d", i);
		CHECK_EQ(symlink(from, to), 0);
	}
	CHECK_EQ(access("a/b/l0", F_OK), 0);
	CHECK_EQ(symlink("l0", "a/b/l00"), 0);
	CHECK_ERR(access("a/b/l00", F_OK), ELOOP);
	CHECK_EQ(chdir("a/s"), 0);
	CHECK(getcwd(buf, sizeof(buf)));
	CHECK(!strcmp(buf + strlen(buf) - 4, "/a/b"));
	CHECK_ERR(syscall(SYS_getcwd, buf, 3), ERANGE);
	CHECK_EQ(mkdir("gone", 0700), 0);
	CHECK_EQ(chdir("gone"), 0);
	CHECK_EQ(rmdir("../gone"), 0);
	CHECK_ERR(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	CHECK_ERR(open("x", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_EQ(access("../f", F_OK), 0);
	CHECK_ERR(chdir("../f"), ENOTDIR);
	CHECK_ERR(access("/proc/self/fd/99/x", F_OK), ENOENT);
}

static void
names_are_removed(void)
{
	begin();
	put("f", "x");
	CHECK_EQ(mkdir("d", 0755), 0);
	put("d/f", "x");
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(rmdir("f"), ENOTDIR);
	CHECK_ERR(unlink("d"), EISDIR);
	CHECK_ERR(unlink("none"), ENOENT);
	CHECK_ERR(rmdir("none"), ENOENT);
	CHECK_ERR(rmdir("."), EINVAL);
	CHECK_ERR(rmdir("d/.."), ENOTEMPTY);
	CHECK_ERR(rmdir("/"), EBUSY);
	CHECK_ERR(rmdir("/proc"), EBUSY);
	CHECK_ERR(unlink("f/"), ENOTDIR);
	CHECK_ERR(unlink(""), ENOENT);
	CHECK_ERR(mkdir("f", 0700), EEXIST);
	CHECK_ERR(mkdir("/", 0700), EEXIST);
	CHECK_ERR(mkdir("none/x", 0700), ENOENT);
	CHECK_EQ(mkdir("e/", 0700), 0);
	CHECK_EQ(rmdir("e/"), 0);
	CHECK_EQ(unlink("d/f"), 0);
	CHECK_EQ(links_of("."), 3);
	CHECK_EQ(rmdir("d"), 0);
	CHECK_EQ(links_of("."), 2);
	CHECK_ERR(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, "f", 1), EINVAL);
	CHECK_EQ(unlinkat(AT_FDCWD, "f", 0), 0);
}

static void
links_count(void)
{
	struct stat a, b;
	int fd;

	begin();
	put("f", "x");
	CHECK_EQ(link("f", "g"), 0);
	CHECK_EQ(links_of("g"), 2);
	CHECK_EQ(stat("f", &a), 0);
	CHECK_EQ(stat("g", &b), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_ERR(link("f", "g"), EEXIST);
	CHECK_ERR(link("none", "h"), ENOENT);
	CHECK_ERR(link(".", "h"), EPERM);
	CHECK_ERR(link("f", "/proc/h"), ENOENT);
	fd = open("f", O_RDONLY);
	CHECK_EQ(unlink("f"), 0);
	CHECK_EQ(unlink("g"), 0);
	CHECK_EQ(fstat(fd, &a), 0);
	CHECK_EQ(a.st_nlink, 0);
	CHECK_EQ(symlink("target", "s"), 0);
	CHECK_EQ(link("s", "s2"), 0);
	CHECK(S_ISLNK(mode_of("s2")));
	CHECK_EQ(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", 0), 0);
	CHECK_ERR(linkat(AT_FDCWD, "s", AT_FDCWD, "s4", AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_EQ(lstat("s", &a), 0);
	CHECK_EQ(a.st_size, 6);
	CHECK_EQ(a.st_mode, S_IFLNK | 0777);
	CHECK_ERR(symlink("x", "s"), EEXIST);
	CHECK_ERR(symlink("", "t"), ENOENT);
}

static void
renames_follow_the_rules(void)
{
	begin();
	put("a", "A");
	put("b", "B");
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(mkdir("d/e", 0755), 0);
	CHECK_EQ(mkdir("empty", 0755), 0);
	CHECK_EQ(rename("a", "b"), 0);
	CHECK(!strcmp(get("b"), "A"));
	CHECK_ERR(access("a", F_OK), ENOENT);
	CHECK_ERR(rename("a", "c"), ENOENT);
	CHECK_ERR(rename("b", "d"), EISDIR);
	CHECK_ERR(rename("d", "b"), ENOTDIR);
	CHECK_ERR(rename("empty", "d"), ENOTEMPTY);
	CHECK_ERR(rename("d", "d/e/x"), EINVAL);
	CHECK_ERR(rename("d", "d/e"), EINVAL);
	CHECK_ERR(rename("d/e", "d"), ENOTEMPTY);
	CHECK_ERR(rename("d/.", "x"), EBUSY);
	CHECK_ERR(rename("b", "d/.."), EBUSY);
	CHECK_ERR(rename("b", "/proc/x"), EXDEV);
	CHECK_ERR(rename("b", "x/"), ENOTDIR);
	CHECK_ERR(rename("b/", "x"), ENOTDIR);
	CHECK_EQ(rename("d", "empty"), 0);
	CHECK_EQ(access("empty/e", F_OK), 0);
	CHECK_EQ(links_of("."), 3);
	CHECK_EQ(rename("empty/e", "moved"), 0);
	CHECK_EQ(links_of("empty"), 2);
	CHECK_EQ(links_of("."), 4);
	CHECK_EQ(link("b", "b2"), 0);
	CHECK_EQ(rename("b", "b2"), 0); /* the same file: nothing happens */
	CHECK_EQ(access("b", F_OK), 0);
	put("x", "X");
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "b", 1), EEXIST);
	CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 1), 0);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "y", AT_FDCWD, "none", 2), ENOENT);
	CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "y", AT_FDCWD, "moved", 2), 0);
	CHECK(S_ISDIR(mode_of("y")));
	CHECK(!strcmp(get("moved"), "X"));
	CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "y/moved", 0), 0);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "y", AT_FDCWD, "b", 3), EINVAL);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "y", AT_FDCWD, "y/moved", 2), EINVAL);
	CHECK_EQ(access("y/moved", F_OK), 0);
}

static void
rename_keeps_open_files_and_cwd(void)
{
	char buf[PATH_MAX], link[64];
	int fd;
	ssize_t n;

	begin();
	CHECK_EQ(mkdir("d", 0755), 0);
	put("d/f", "data");
	fd = open("d/f", O_RDONLY);
	CHECK_EQ(chdir("d"), 0);
	CHECK_EQ(rename("../d", "../a-name-that-is-longer-than-thirty-two-bytes"), 0);
	CHECK(getcwd(buf, sizeof(buf)));
	CHECK(strstr(buf, "/a-name-that-is-longer-than-thirty-two-bytes"));
	CHECK_EQ(rename("f", "g"), 0);
	CHECK_EQ(read(fd, buf, 9), 4);
	sprintf(link, "/proc/self/fd/%d", fd);
	n = readlink(link, buf, sizeof(buf));
	CHECK(n > 2);
	buf[n] = 0;
	CHECK(!strcmp(buf + n - 2, "/g"));
	CHECK_EQ(unlink("g"), 0);
	n = readlink(link, buf, sizeof(buf));
	buf[n] = 0;
	CHECK(strstr(buf, "/g (deleted)"));
}

static void
permissions_hold(void)
{
	int fd;

	begin();
	put("root", "x");
	CHECK_EQ(chmod("root", 0600), 0);
	CHECK_EQ(mkdir("locked", 0700), 0);
	put("locked/f", "x");
	CHECK_EQ(mkdir("sticky", 01777), 0);
	CHECK_EQ(chmod("sticky", 01777), 0);
	put("sticky/f", "x");
	CHECK_EQ(chmod("sticky/f", 0666), 0);
	CHECK_EQ(mkdir("readonly", 0755), 0);
	put("script", "#!x");
	CHECK_EQ(access("script", X_OK), -1);
	CHECK_EQ(chmod("script", 0001), 0);
	CHECK_EQ(access("script", X_OK), 0);
	become_user();
	CHECK_ERR(open("root", O_RDONLY), EACCES);
	CHECK_ERR(access("root", R_OK), EACCES);
	CHECK_EQ(access("root", F_OK), 0);
	CHECK_ERR(open("locked/f", O_RDONLY), EACCES);
	CHECK_ERR(access("locked/none", F_OK), EACCES);
	CHECK_ERR(chmod("root", 0666), EPERM);
	CHECK_ERR(chown("root", 1000, 1000), EPERM);
	CHECK_ERR(unlink("sticky/f"), EPERM);
	CHECK_ERR(rename("sticky/f", "sticky/g"), EPERM);
	CHECK_ERR(open("readonly/x", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK_ERR(mkdir("readonly/x", 0700), EACCES);
	CHECK_ERR(mknod("n", S_IFCHR | 0600, 0x103), EPERM);
	CHECK_ERR(chroot("."), EPERM);
	CHECK_ERR(mount("none", ".", "tmpfs", 0, ""), EPERM);
	fd = open("mine", O_CREAT | O_RDWR, 0444);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_ERR(open("mine", O_WRONLY), EACCES);
	CHECK_EQ(fchmod(fd, 02755), 0);
	CHECK_EQ(mode_of("mine"), S_IFREG | 02755);
	CHECK_ERR(chown("mine", 0, -1), EPERM);
	CHECK_ERR(chown("mine", -1, 0), EPERM);
	CHECK_EQ(chown("mine", 1000, 1000), 0);
	CHECK_EQ(mode_of("mine"), S_IFREG | 0755);
	CHECK_EQ(chmod("mine", 04755), 0);
	CHECK_EQ(write(fd, "y", 1), 1);
	CHECK_EQ(mode_of("mine"), S_IFREG | 0755);
	CHECK_ERR(utimes("root", NULL), EACCES);
}

static void
set_group_id_directories_pass_it_on(void)
{
	struct stat st;

	begin();
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(chown("d", 0, 1234), 0);
	CHECK_EQ(chmod("d", 02777), 0);
	put("d/f", "x");
	CHECK_EQ(stat("d/f", &st), 0);
	CHECK_EQ(st.st_gid, 1234);
	CHECK_EQ(mkdir("d/e", 0755), 0);
	CHECK_EQ(stat("d/e", &st), 0);
	CHECK_EQ(st.st_gid, 1234);
	CHECK_EQ(st.st_mode, S_IFDIR | 02755);
}

static void
umask_applies(void)
{
	begin();
	CHECK_EQ(umask(077), 022);
	CHECK_EQ(mkdir("d", 0777), 0);
	CHECK_EQ(mode_of("d"), S_IFDIR | 0700);
	put("f", "");
	CHECK_EQ(mode_of("f"), S_IFREG | 0600);
	CHECK_EQ(mkfifo("p", 0666), 0);
	CHECK_EQ(mode_of("p"), S_IFIFO | 0600);
	CHECK_EQ(umask(07777), 077);
	CHECK_EQ(umask(0), 0777);
}

static const struct test tests[] = {
    TEST(open_creates_and_checks),
    TEST(open_flags_work),
    TEST(paths_walk),
    TEST(names_are_removed),
    TEST(links_count),
    TEST(renames_follow_the_rules),
    TEST(rename_keeps_open_files_and_cwd),
    TEST(permissions_hold),
    TEST(set_group_id_directories_pass_it_on),
    TEST(umask_applies),
};

RUN_TESTS(tests)
