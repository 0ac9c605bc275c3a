/* open, creat, openat, openat2 and close: every flag, every way to resolve, every error
 * that a file system in memory can give. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <linux/openat2.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/socket.h>

/* O_TMPFILE without O_DIRECTORY, and O_LARGEFILE as x86-64 has it. */
enum { TMPFILE_BIT = 020000000, LARGEFILE = 0100000 };

static long
open2(int at, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

	return SYS(openat2, at, path, &how, sizeof(how));
}

/* proves: open creat openat close */
static void
open_errors(void)
{
	char longest[256 + 1], path[4096 + 2];
	int fd;

	begin();
	put("f", "x");
	CHECK_EQ(mkdir("d", 0755), 0);
	memset(longest, 'a', 256);
	longest[256] = '\0';
	memset(path, '/', sizeof(path));
	path[4096] = '\0';
	EXPECT_ERR(SYS(open, BAD_ADDR, O_RDONLY), EFAULT);
	EXPECT_ERR(SYS(open, NULL, O_RDONLY), EFAULT);
	EXPECT_ERR(SYS(open, KERNEL_ADDR, O_RDONLY), EFAULT);
	EXPECT_ERR(SYS(open, "", O_RDONLY), ENOENT);
	EXPECT_ERR(SYS(open, longest, O_RDONLY), ENAMETOOLONG);
	EXPECT_ERR(SYS(open, path, O_RDONLY), ENAMETOOLONG);
	path[4095] = '\0';
	fd = (int)SYS(open, path, O_RDONLY);
	EXPECT_EQ(fd >= 0, 1);
	EXPECT_EQ(SYS(close, fd), 0);
	EXPECT_ERR(SYS(close, fd), EBADF);
	EXPECT_ERR(SYS(close, -1), EBADF);
	EXPECT_ERR(SYS(close, 1 << 30), EBADF);
	EXPECT_ERR(SYS(open, "f/", O_RDONLY), ENOTDIR);
	EXPECT_ERR(SYS(open, "f/.", O_RDONLY), ENOTDIR);
	EXPECT_ERR(SYS(open, "n", O_RDWR), ENOENT);
	EXPECT_ERR(SYS(open, "n/", O_RDWR | O_CREAT, 0600), EISDIR);
	EXPECT_ERR(SYS(open, "d", O_RDWR), EISDIR);
	EXPECT_ERR(SYS(open, "d", O_RDONLY | O_CREAT, 0600), EISDIR);
	EXPECT_ERR(SYS(open, "d/", O_RDONLY | O_CREAT, 0600), EISDIR);
	EXPECT_ERR(SYS(open, "d", O_RDONLY | O_TRUNC), EISDIR);
	EXPECT_ERR(SYS(open, "d", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	EXPECT_ERR(SYS(open, "f", O_RDONLY | O_CREAT | O_DIRECTORY, 0600), EINVAL);
	EXPECT_ERR(SYS(open, "n", O_RDONLY | O_CREAT | O_DIRECTORY, 0600), EINVAL);
	EXPECT_ERR(SYS(open, "f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_ERR(SYS(open, ".", TMPFILE_BIT | O_RDWR, 0600), EINVAL);
	EXPECT_ERR(SYS(open, "f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	EXPECT_ERR(SYS(open, "n", O_TMPFILE | O_RDWR, 0600), ENOENT);
	EXPECT_ERR(SYS(open, ".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	EXPECT_ERR(SYS(creat, "d", 0600), EISDIR);
	EXPECT_ERR(SYS(creat, "n/x", 0600), ENOENT);
	EXPECT_ERR(SYS(creat, "f/x", 0600), ENOTDIR);
	EXPECT_ERR(SYS(openat, 99, "f", O_RDONLY), EBADF);
	EXPECT_ERR(SYS(openat, -1, "f", O_RDONLY), EBADF);
	fd = open("f", O_RDONLY);
	EXPECT_ERR(SYS(openat, fd, "f", O_RDONLY), ENOTDIR);
	EXPECT_EQ(SYS(openat, 99, "/", O_RDONLY) >= 0, 1);
	EXPECT_ERR(SYS(openat, 99, "", O_RDONLY), ENOENT);
}

/* proves: open openat */
static void
open_of_special_files(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int fd, s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;

	begin();
	CHECK_EQ(bind(s, (void *)&un, sizeof(un)), 0);
	EXPECT_ERR(open("sock", O_RDWR), ENXIO);
	CHECK_EQ(open("sock", O_PATH) >= 0, 1);
	CHECK_EQ(mkfifo("fifo", 0600), 0);
	EXPECT_ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	EXPECT_EQ(open("fifo", O_WRONLY | O_NONBLOCK) >= 0, 1);
	CHECK_EQ(mknod("nodev", S_IFCHR | 0600, 0xfafa), 0);
	EXPECT_ERR(open("nodev", O_RDWR), ENXIO);
	CHECK_EQ(mknod("noblk", S_IFBLK | 0600, 0xfafa), 0);
	EXPECT_ERR(open("noblk", O_RDWR), ENXIO);
	EXPECT_EQ(open("/dev/null", O_RDWR | O_TRUNC) >= 0, 1);
	EXPECT_ERR(open("/dev/null", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_EQ(symlink("nowhere", "dangling"), 0);
	EXPECT_ERR(open("dangling", O_RDONLY), ENOENT);
	EXPECT_ERR(open("dangling", O_RDONLY | O_NOFOLLOW), ELOOP);
	EXPECT_ERR(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	fd = open("dangling", O_PATH | O_NOFOLLOW);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(S_ISLNK(st.st_mode), 1);
	EXPECT_ERR(open("dangling", O_PATH | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	EXPECT_EQ(symlink("a", "b") | symlink("b", "a"), 0);
	EXPECT_ERR(open("a", O_RDONLY), ELOOP);
	EXPECT_ERR(open("a", O_CREAT | O_RDWR, 0600), ELOOP);
}

/* proves: open */
static void
open_flags_kept(void)
{
	static const struct {
		int in, out;
	} rows[] = {
	    {O_RDONLY, LARGEFILE},
	    {O_RDWR | O_APPEND, O_RDWR | O_APPEND | LARGEFILE},
	    {O_WRONLY | O_NONBLOCK, O_WRONLY | O_NONBLOCK | LARGEFILE},
	    {O_RDWR | O_SYNC, O_RDWR | O_SYNC | LARGEFILE},
	    {O_RDWR | O_DSYNC, O_RDWR | O_DSYNC | LARGEFILE},
	    {O_RDWR | O_NOATIME, O_RDWR | O_NOATIME | LARGEFILE},
	    {O_RDWR | O_TRUNC | O_CREAT | O_NOCTTY, O_RDWR | LARGEFILE},
	    {O_RDONLY | O_CLOEXEC, LARGEFILE},
	    {O_RDONLY | O_NOFOLLOW, O_NOFOLLOW | LARGEFILE},
	    {O_PATH | O_RDWR | O_APPEND, O_PATH},
	    {3, 3 | LARGEFILE},
	};
	char c;
	int fd;

	begin();
	put("f", "x");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fd = (int)SYS(open, "f", rows[i].in, 0600);
		CHECK(fd >= 0);
		EXPECT_EQ(SYS(fcntl, fd, F_GETFL), rows[i].out);
		EXPECT_EQ(fcntl(fd, F_GETFD), rows[i].in & O_CLOEXEC ? FD_CLOEXEC : 0);
		close(fd);
	}
	/* Access mode 3: neither read nor write, only ioctls. */
	fd = open("f", 3);
	EXPECT_ERR(read(fd, &c, 1), EBADF);
	EXPECT_ERR(write(fd, "x", 1), EBADF);
	/* Bits that open does not know are dropped. */
	EXPECT_EQ(SYS(open, "f", O_RDONLY | 0x40000000) >= 0, 1);
	EXPECT_EQ(open(".", O_RDONLY | O_DIRECTORY) >= 0, 1);
	fd = open("made", O_CREAT | O_WRONLY, 07777);
	CHECK(fd >= 0);
	EXPECT_EQ(mode_of("made"), S_IFREG | 07755);
	EXPECT_EQ(SYS(creat, "made2", 0171717) >= 0, 1);
	EXPECT_EQ(mode_of("made2"), S_IFREG | 01715);
}

/* proves: open */
static void
open_rights(void)
{
	begin();
	put("root", "x");
	CHECK_EQ(chmod("root", 0600), 0);
	CHECK_EQ(mkdir("closed", 0700), 0);
	put("closed/f", "x");
	put("others", "x");
	CHECK_EQ(chmod("others", 0666), 0);
	CHECK_EQ(mkdir("readonly", 0755), 0);
	CHECK_EQ(mkdir("sticky", 0777) | chmod("sticky", 01777), 0);
	put("sticky/f", "x");
	CHECK_EQ(chmod("sticky/f", 0666), 0);
	become_user();
	EXPECT_ERR(open("root", O_RDONLY), EACCES);
	EXPECT_EQ(open("root", O_PATH) >= 0, 1);
	EXPECT_ERR(open("closed/f", O_RDONLY), EACCES);
	EXPECT_ERR(open("closed/f", O_PATH), EACCES);
	EXPECT_ERR(open("readonly/f", O_CREAT | O_RDWR, 0600), EACCES);
	EXPECT_ERR(open("readonly", O_TMPFILE | O_RDWR, 0600), EACCES);
	EXPECT_ERR(open("others", O_RDONLY | O_NOATIME), EPERM);
	EXPECT_EQ(open("others", O_RDWR) >= 0, 1);
	/* One's own file may be made without the right to open it again. */
	EXPECT_EQ(open("mine", O_CREAT | O_RDWR, 0) >= 0, 1);
	EXPECT_ERR(open("mine", O_RDONLY), EACCES);
}

/* proves: open */
static void
open_at_limits(void)
{
	struct rlimit few = {8, 8};
	int fd, n = 0;

	begin();
	put("f", "x");
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	while ((fd = open("f", O_RDONLY)) >= 0)
		n++;
	EXPECT_EQ(errno, EMFILE);
	EXPECT_EQ(n > 0 && n < 8, 1);
	EXPECT_ERR(open("none", O_RDONLY), EMFILE);
	/* A file is not made when there is no descriptor for it. */
	EXPECT_ERR(open("new", O_CREAT | O_RDWR, 0600), EMFILE);
	EXPECT_ERR(access("new", F_OK), ENOENT);
	close(7);
	EXPECT_EQ(open("f", O_RDONLY), 7);
}

/* proves: open openat2 */
static void
open_on_read_only_and_busy(void)
{
	char path[64];
	int fd;

	begin();
	CHECK_EQ(mkdir("m", 0755), 0);
	CHECK_EQ(mount("t", "m", "tmpfs", 0, NULL), 0);
	put("m/f", "x");
	CHECK_EQ(mount("t", "m", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	EXPECT_ERR(open("m/f", O_RDWR), EROFS);
	EXPECT_ERR(open("m/f", O_WRONLY), EROFS);
	EXPECT_ERR(open("m/f", O_RDONLY | O_TRUNC), EROFS);
	EXPECT_ERR(open("m/new", O_CREAT | O_RDWR, 0600), EROFS);
	EXPECT_ERR(open("m", O_TMPFILE | O_RDWR, 0600), EROFS);
	EXPECT_EQ(open("m/f", O_RDONLY | O_CREAT, 0600) >= 0, 1);
	EXPECT_EQ(open("m/f", O_RDONLY) >= 0, 1);
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	EXPECT_ERR(open(path, O_WRONLY), ETXTBSY);
	EXPECT_ERR(open(path, O_RDONLY | O_TRUNC), ETXTBSY);
	fd = open(path, O_RDONLY);
	EXPECT_EQ(fd >= 0, 1);
}

/* proves: openat2 */
static void
openat2_arguments(void)
{
	struct {
		struct open_how how;
		uint64_t more[2];
	} big = {.how = {.flags = O_RDONLY}};
	int fd;

	begin();
	put("f", "x");
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", &big, 0), EINVAL);
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", &big, 23), EINVAL);
	EXPECT_EQ(SYS(openat2, AT_FDCWD, "f", &big, 24) >= 0, 1);
	EXPECT_EQ(SYS(openat2, AT_FDCWD, "f", &big, 40) >= 0, 1);
	EXPECT_EQ(SYS(openat2, AT_FDCWD, "f", &big, 31) >= 0, 1);
	big.more[1] = 1;
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", &big, 40), E2BIG);
	EXPECT_EQ(SYS(openat2, AT_FDCWD, "f", &big, 32) >= 0, 1);
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", &big, 4097), E2BIG);
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", BAD_ADDR, 24), EFAULT);
	EXPECT_ERR(SYS(openat2, AT_FDCWD, "f", KERNEL_ADDR, 24), EFAULT);
	EXPECT_ERR(open2(AT_FDCWD, NULL, O_RDONLY, 0, 0), EFAULT);
	EXPECT_ERR(open2(AT_FDCWD, "", O_RDONLY, 0, 0), ENOENT);
	EXPECT_ERR(open2(AT_FDCWD, "f", 1ULL << 40, 0, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", 0x40000000, 0, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_RDONLY, 0600, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "n", O_CREAT | O_RDWR, 010000, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_RDONLY, 0, 0x40), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_RDONLY, 0, 1ULL << 33), EINVAL);
	EXPECT_ERR(
	    open2(AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_PATH | O_RDWR, 0, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_PATH | O_APPEND, 0, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, ".", TMPFILE_BIT | O_RDWR, 0600, 0), EINVAL);
	EXPECT_ERR(open2(AT_FDCWD, "f", O_CREAT | O_DIRECTORY | O_RDWR, 0600, 0), EINVAL);
	EXPECT_EQ(open2(AT_FDCWD, "f", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0) >= 0, 1);
	fd = (int)open2(AT_FDCWD, "n", O_CREAT | O_RDWR | O_EXCL, 0640, 0);
	CHECK(fd >= 0);
	EXPECT_EQ(mode_of("n"), S_IFREG | 0640);
	EXPECT_EQ(SYS(fcntl, fd, F_GETFL), O_RDWR | LARGEFILE);
	EXPECT_ERR(open2(99, "f", O_RDONLY, 0, 0), EBADF);
	EXPECT_ERR(open2(fd, "f", O_RDONLY, 0, 0), ENOTDIR);
}

/* proves: openat2 */
static void
openat2_resolves_within_bounds(void)
{
	char path[128];
	int d;

	begin();
	CHECK_EQ(mkdir("d", 0755) | mkdir("d/sub", 0755) | mkdir("d/m", 0755), 0);
	put("d/f", "x");
	put("out", "x");
	snprintf(path, sizeof(path), "%s/out", dir);
	CHECK_EQ(
	    symlink("f", "d/in") | symlink("../out", "d/up") | symlink(path, "d/abs"), 0);
	CHECK_EQ(symlink("sub/../f", "d/round") | symlink("/f", "d/rooted"), 0);
	CHECK_EQ(mount("t", "d/m", "tmpfs", 0, NULL), 0);
	put("d/m/f", "x");
	d = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(d >= 0);
	/* Beneath: never above the start, no absolute path. */
	EXPECT_EQ(open2(d, "f", O_RDONLY, 0, RESOLVE_BENEATH) >= 0, 1);
	EXPECT_EQ(open2(d, "in", O_RDONLY, 0, RESOLVE_BENEATH) >= 0, 1);
	EXPECT_EQ(open2(d, "sub/../f", O_RDONLY, 0, RESOLVE_BENEATH) >= 0, 1);
	EXPECT_EQ(open2(d, "round", O_RDONLY, 0, RESOLVE_BENEATH) >= 0, 1);
	EXPECT_EQ(open2(d, "m/f", O_RDONLY, 0, RESOLVE_BENEATH) >= 0, 1);
	EXPECT_ERR(open2(d, "..", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	EXPECT_ERR(open2(d, "../d/f", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	EXPECT_ERR(open2(d, "up", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	EXPECT_ERR(open2(d, "abs", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	EXPECT_ERR(open2(d, "/", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	EXPECT_ERR(open2(d, "none", O_RDONLY, 0, RESOLVE_BENEATH), ENOENT);
	/* In root: the start is the root. */
	EXPECT_EQ(open2(d, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT) >= 0, 1);
	EXPECT_EQ(open2(d, "../../f", O_RDONLY, 0, RESOLVE_IN_ROOT) >= 0, 1);
	EXPECT_EQ(open2(d, "rooted", O_RDONLY, 0, RESOLVE_IN_ROOT) >= 0, 1);
	EXPECT_ERR(open2(d, "up", O_RDONLY, 0, RESOLVE_IN_ROOT), ENOENT);
	EXPECT_ERR(open2(d, "abs", O_RDONLY, 0, RESOLVE_IN_ROOT), ENOENT);
	/* No mount may be crossed, in either direction. */
	EXPECT_ERR(open2(d, "m/f", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
	EXPECT_ERR(open2(d, "m", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
	EXPECT_EQ(open2(d, "f", O_RDONLY, 0, RESOLVE_NO_XDEV) >= 0, 1);
	EXPECT_ERR(
	    open2(open("d/m", O_RDONLY), "..", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
	/* No symbolic link anywhere; magic links alone. */
	EXPECT_ERR(open2(d, "in", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
	EXPECT_EQ(open2(d, "in", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS) >= 0, 1);
	EXPECT_EQ(open2(d, "sub/../f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS) >= 0, 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d);
	EXPECT_ERR(open2(d, path, O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
	EXPECT_ERR(open2(d, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
	EXPECT_EQ(open2(d, "in", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS) >= 0, 1);
	EXPECT_ERR(open2(d, path, O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
}

/* proves: openat2 */
static void
openat2_from_the_cache(void)
{
	begin();
	put("f", "x");
	EXPECT_EQ(open2(AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_CACHED) >= 0, 1);
	/* What may have to wait is not done from the cache alone. */
	EXPECT_ERR(open2(AT_FDCWD, "f", O_RDWR | O_TRUNC, 0, RESOLVE_CACHED), EAGAIN);
	EXPECT_ERR(open2(AT_FDCWD, "n", O_RDWR | O_CREAT, 0600, RESOLVE_CACHED), EAGAIN);
	EXPECT_ERR(
	    open2(AT_FDCWD, ".", O_RDWR | O_TMPFILE, 0600, RESOLVE_CACHED), EAGAIN);
	EXPECT_ERR(access("n", F_OK), ENOENT);
}

static int go[2];
static volatile pid_t opener;

static void *
open_fifo(void *path)
{
	char c;

	opener = (pid_t)SYS(gettid);
	CHECK_EQ(read(go[0], &c, 1), 1);
	return (void *)SYS(open, path, O_RDONLY);
}

/* Lets open_fifo go on, and waits until it sleeps again; opens nothing beside it. */
static void
let_it_open(int stat_fd)
{
	char text[256], state = 0;

	CHECK_EQ(write(go[1], "x", 1), 1);
	for (int i = 0; i < 5000 && state != 'S'; i++) {
		ssize_t n = pread(stat_fd, text, sizeof(text) - 1, 0);

		CHECK(n > 0);
		text[n] = 0;
		state = strrchr(text, ')')[2];
		usleep(1000);
	}
	CHECK_EQ(state, 'S');
}

/* An open that waits holds its descriptor, which names nothing yet. proves: open dup2 close fork */
static void
open_holds_its_descriptor(void)
{
	int first, other, status;
	char path[64];
	pthread_t t;
	void *got;

	begin();
	CHECK_EQ(mkfifo("fifo", 0600), 0);
	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(pthread_create(&t, NULL, open_fifo, "fifo"), 0);
	while (!opener)
		usleep(1000);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", opener);
	other = open(path, O_RDONLY);
	CHECK(other >= 0);
	first = open(".", O_RDONLY);
	close(first);
	let_it_open(other);
	other = open(".", O_RDONLY);
	close(other);
	EXPECT_EQ(other, first + 1);
	EXPECT_ERR(SYS(dup2, 0, first), EBUSY);
	EXPECT_ERR(SYS(close, first), EBADF);
	EXPECT_ERR(SYS(fcntl, first, F_GETFD), EBADF);
	EXPECT_EQ(SYS(close_range, first, first, 0), 0);
	/* A child has no share in it. */
	if (fork() == 0)
		_exit(open(".", O_RDONLY) != first);
	CHECK(wait(&status) > 0);
	EXPECT_EQ(status, 0);
	other = open("fifo", O_WRONLY);
	EXPECT_EQ(other, first + 1);
	CHECK_EQ(pthread_join(t, &got), 0);
	EXPECT_EQ((long)got, first);
	EXPECT_EQ(write(other, "x", 1), 1);
}

static int num_open;

static void *
make_files(void *name)
{
	char path[] = "x000";

	path[0] = *(char *)name;
	for (int i = 0; i < 200; i++) {
		snprintf(path + 1, 4, "%03d", i);
		if (SYS(open, path, O_CREAT | O_RDWR, 0600) >= 0)
			__atomic_add_fetch(&num_open, 1, __ATOMIC_SEQ_CST);
		else if (errno != EMFILE || access(path, F_OK) == 0)
			num_unexpected++;
	}
	return NULL;
}

/* Of two who want the last descriptors, who gets none has made no file. proves: open */
static void
open_without_descriptor_makes_nothing(void)
{
	struct rlimit r = {100, 100};
	pthread_t t;
	int left = 0;

	begin();
	for (int fd = 0; fd < 100; fd++)
		left += fcntl(fd, F_GETFD) < 0;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &r), 0);
	CHECK_EQ(pthread_create(&t, NULL, make_files, "a"), 0);
	make_files("b");
	CHECK_EQ(pthread_join(t, NULL), 0);
	EXPECT_EQ(num_open, left);
}

static const struct test tests[] = {
    TEST(open_errors),
    TEST(open_of_special_files),
    TEST(open_flags_kept),
    TEST(open_rights),
    TEST(open_at_limits),
    TEST(open_on_read_only_and_busy),
    TEST(openat2_arguments),
    TEST(openat2_resolves_within_bounds),
    TEST(openat2_from_the_cache),
    TEST(open_holds_its_descriptor),
    TEST(open_without_descriptor_makes_nothing),
};

RUN_TESTS(tests)
