/* Contents, directories, times, mounts, devices and /proc. */
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
files_have_holes(void)
{
	char buf[8192];
	struct stat st;
	int fd;

	begin();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK_EQ(pwrite(fd, "end", 3, 1 << 20), 3);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, (1 << 20) + 3);
	CHECK_EQ(st.st_blocks, 8);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 1 << 20);
	CHECK_EQ(lseek(fd, 5, SEEK_HOLE), 5);
	CHECK_EQ(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 3);
	CHECK_ERR(lseek(fd, (1 << 20) + 3, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, 0, 99), EINVAL);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(pread(fd, buf, 8192, 4000), 8192);
	for (int i = 0; i < 8192; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(pread(fd, buf, 10, (1 << 20) + 1), 2);
	CHECK_EQ(pread(fd, buf, 10, 2 << 20), 0);
	CHECK_ERR(pread(fd, buf, 10, -1), EINVAL);
	CHECK_EQ(ftruncate(fd, 5), 0);
	CHECK_EQ(pwrite(fd, "xxxxxxxxxx", 10, 0), 10);
	CHECK_EQ(ftruncate(fd, 5), 0);
	CHECK_EQ(ftruncate(fd, 10), 0);
	CHECK_EQ(pread(fd, buf, 10, 0), 10);
	CHECK(!memcmp(buf, "xxxxx\0\0\0\0\0", 10));
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_EQ(fallocate(fd, 0, 0, 10000), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 10000);
	CHECK_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096), 0);
	CHECK_EQ(pread(fd, buf, 5, 0), 5);
	CHECK_EQ(buf[0], 0);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERR(truncate(".", 0), EISDIR);
	CHECK_EQ(truncate("f", 3), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 3);
}

static void
vectors_transfer(void)
{
	char a[4], b[8];
	struct iovec out[3] = {{"abc", 3}, {"", 0}, {"defgh", 5}};
	struct iovec in[2] = {{a, 4}, {b, 8}};
	int fd;

	begin();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK_EQ(writev(fd, out, 3), 8);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(readv(fd, in, 2), 8);
	CHECK(!memcmp(a, "abcd", 4) && !memcmp(b, "efgh", 4));
	CHECK_EQ(preadv(fd, in, 2, 2), 6);
	CHECK(!memcmp(a, "cdef", 4));
	CHECK_EQ(pwritev(fd, out, 1, 5), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
	CHECK_ERR(readv(fd, in, -1), EINVAL);
	CHECK_ERR(readv(fd, in, 1025), EINVAL);
	CHECK_ERR(readv(fd, (struct iovec *)1, 1), EFAULT);
	CHECK_EQ(readv(fd, in, 0), 0);
	in[0].iov_len = (size_t)-1;
	CHECK_ERR(readv(fd, in, 1), EINVAL);
	CHECK_ERR(read(-1, a, 1), EBADF);
	CHECK_ERR(write(fd, (char *)8, 1), EFAULT);
	CHECK_EQ(write(fd, NULL, 0), 0);
}

static void
directories_list(void)
{
	char name[300];
	DIR *d;
	struct dirent *e;
	int n = 0, dots = 0, fd;
	long pos = 0;

	begin();
	for (int i = 0; i < 1000; i++) {
		sprintf(name, "file-%d", i);
		put(name, "");
	}
	d = opendir(".");
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			dots++;
		else
			CHECK_EQ(e->d_type, DT_REG);
		if (++n == 500)
			pos = telldir(d);
		if (n > 600 && e->d_name[0] != '.')
			CHECK_EQ(unlink(e->d_name), 0);
	}
	CHECK_EQ(n, 1002);
	CHECK_EQ(dots, 2);
	seekdir(d, pos);
	for (n = 0; readdir(d); n++)
		;
	CHECK_EQ(n, 100);
	rewinddir(d);
	for (n = 0; (e = readdir(d)); n++)
		if (e->d_name[0] != '.')
			CHECK_EQ(unlink(e->d_name), 0);
	CHECK_EQ(n, 600);
	closedir(d);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	CHECK_ERR(read(fd, name, 10), EISDIR);
	CHECK_ERR(syscall(SYS_getdents64, fd, name, 10), EINVAL);
	CHECK_ERR(syscall(SYS_getdents64, fd, (char *)1, 100), EFAULT);
	close(fd);
	put("f", "");
	fd = open("f", O_RDONLY);
	CHECK_ERR(syscall(SYS_getdents64, fd, name, 100), ENOTDIR);
	CHECK_ERR(fchdir(fd), ENOTDIR);
}

static void
times_are_kept(void)
{
	struct timespec ts[2] = {{1000, 5}, {2000, 999999999}};
	struct stat st, before;
	int fd;

	begin();
	put("f", "x");
	CHECK_EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	CHECK_EQ(stat("f", &st), 0);
	CHECK(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 5);
	CHECK(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 999999999);
	CHECK(st.st_ctim.tv_sec > 2000);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	CHECK_EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	CHECK_EQ(stat("f", &st), 0);
	CHECK(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec > 2000);
	ts[0].tv_nsec = 1000000000;
	CHECK_ERR(utimensat(AT_FDCWD, "f", ts, 0), EINVAL);
	fd = open("f", O_RDWR);
	CHECK_EQ(futimens(fd, NULL), 0);
	CHECK_EQ(stat(".", &before), 0);
	usleep(20000);
	put("g", "");
	CHECK_EQ(stat(".", &st), 0);
	CHECK(st.st_mtim.tv_sec > before.st_mtim.tv_sec ||
	      st.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
	CHECK_EQ(symlink("f", "l"), 0);
	ts[0] = ts[1] = (struct timespec){77, 0};
	CHECK_EQ(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW), 0);
	CHECK_EQ(lstat("l", &st), 0);
	CHECK_EQ(st.st_mtim.tv_sec, 77);
	CHECK_EQ(stat("f", &st), 0);
	CHECK(st.st_mtim.tv_sec != 77);
}

static void
at_calls_start_at_descriptors(void)
{
	struct stat st;
	struct statx {
		uint32_t mask, blksize;
		uint64_t attributes;
		uint32_t nlink, uid, gid;
		uint16_t mode, pad;
		uint64_t ino, size, rest[28];
	} x;
	int fd, file;

	begin();
	CHECK_EQ(mkdir("d", 0755), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	file = openat(fd, "f", O_CREAT | O_WRONLY, 0600);
	CHECK(file >= 0);
	CHECK_EQ(write(file, "abc", 3), 3);
	CHECK_EQ(access("d/f", F_OK), 0);
	CHECK_EQ(mkdirat(fd, "e", 0700), 0);
	CHECK_EQ(fstatat(fd, "f", &st, 0), 0);
	CHECK_EQ(st.st_size, 3);
	CHECK_EQ(fstatat(file, "", &st, AT_EMPTY_PATH), 0);
	CHECK_EQ(st.st_size, 3);
	CHECK_ERR(fstatat(file, "", &st, 0), ENOENT);
	CHECK_ERR(fstatat(file, "x", &st, 0), ENOTDIR);
	CHECK_ERR(fstatat(99, "x", &st, 0), EBADF);
	CHECK_EQ(fstatat(99, dir, &st, 0), 0);
	CHECK_ERR(fstatat(fd, "f", &st, 0x8000000), EINVAL);
	CHECK_EQ(syscall(SYS_statx, fd, "f", 0, 0x7ff, &x), 0);
	CHECK_EQ(x.size, 3);
	CHECK_EQ(x.mode, S_IFREG | 0600);
	CHECK_EQ(renameat(fd, "f", AT_FDCWD, "up"), 0);
	CHECK_EQ(fchdir(fd), 0);
	CHECK_EQ(access("../up", F_OK), 0);
	CHECK_EQ(faccessat(fd, "e", X_OK, AT_EACCESS), 0);
	CHECK_EQ(unlinkat(fd, "e", AT_REMOVEDIR), 0);
}

static void
openat2_resolves_within(void)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = {O_RDONLY, 0, 8 /* RESOLVE_BENEATH */};
	struct stat st;
	int fd, f;

	begin();
	CHECK_EQ(mkdir("d", 0755), 0);
	put("secret", "x");
	put("d/f", "y");
	CHECK_EQ(symlink("../secret", "d/up"), 0);
	CHECK_EQ(symlink("/f", "d/abs"), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(syscall(SYS_openat2, fd, "f", &how, sizeof(how)) >= 0);
	CHECK_ERR(syscall(SYS_openat2, fd, "../secret", &how, sizeof(how)), EXDEV);
	CHECK_ERR(syscall(SYS_openat2, fd, "up", &how, sizeof(how)), EXDEV);
	CHECK_ERR(syscall(SYS_openat2, fd, "abs", &how, sizeof(how)), EXDEV);
	CHECK_ERR(syscall(SYS_openat2, fd, "/f", &how, sizeof(how)), EXDEV);
	how.resolve = 16; /* RESOLVE_IN_ROOT */
	f = syscall(SYS_openat2, fd, "abs", &how, sizeof(how));
	CHECK(f >= 0);
	CHECK_EQ(fstat(f, &st), 0);
	CHECK(syscall(SYS_openat2, fd, "../f", &how, sizeof(how)) >= 0);
	how.resolve = 4; /* RESOLVE_NO_SYMLINKS */
	CHECK_ERR(syscall(SYS_openat2, fd, "abs", &how, sizeof(how)), ELOOP);
	how.resolve = 2; /* RESOLVE_NO_MAGICLINKS */
	CHECK_ERR(syscall(SYS_openat2, fd, "/proc/self/fd/0", &how, sizeof(how)), ELOOP);
	how.resolve = 0x100;
	CHECK_ERR(syscall(SYS_openat2, fd, "f", &how, sizeof(how)), EINVAL);
	how.resolve = 0;
	how.mode = 0600;
	CHECK_ERR(syscall(SYS_openat2, fd, "f", &how, sizeof(how)), EINVAL);
	CHECK_ERR(syscall(SYS_openat2, fd, "f", &how, 8), EINVAL);
}

static void
copies_between_files(void)
{
	int in, out, p[2];
	off_t off = 2;
	char buf[16];

	begin();
	put("in", "0123456789");
	in = open("in", O_RDONLY);
	out = open("out", O_CREAT | O_RDWR, 0600);
	CHECK_EQ(sendfile(out, in, &off, 4), 4);
	CHECK_EQ(off, 6);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 0);
	CHECK_EQ(sendfile(out, in, NULL, 100), 10);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 10);
	CHECK(!strcmp(get("out"), "23450123456789"));
	off = 0;
	CHECK_EQ(copy_file_range(in, &off, out, NULL, 3, 0), 3);
	CHECK(!strcmp(get("out"), "23450123456789012"));
	CHECK_EQ(pipe(p), 0);
	off = 5;
	CHECK_EQ(splice(in, &off, p[1], NULL, 3, 0), 3);
	CHECK_EQ(read(p[0], buf, 9), 3);
	CHECK(!memcmp(buf, "567", 3));
	CHECK_ERR(sendfile(p[1], p[0], NULL, 1), EINVAL);
	CHECK_ERR(copy_file_range(in, NULL, p[1], NULL, 3, 0), EINVAL);
	CHECK_ERR(splice(in, NULL, out, NULL, 1, 0), EINVAL);
	CHECK_ERR(lseek(p[0], 0, SEEK_SET), ESPIPE);
	CHECK_ERR(pread(p[0], buf, 1, 0), ESPIPE);
}

static void
fifos_join_readers_and_writers(void)
{
	char buf[8];
	struct stat st;
	int fd;

	begin();
	CHECK_EQ(mkfifo("p", 0600), 0);
	CHECK_ERR(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	if (fork() == 0) {
		fd = open("p", O_WRONLY);
		_exit(write(fd, "fifo", 4) != 4);
	}
	fd = open("p", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 8), 4);
	CHECK_EQ(read(fd, buf, 8), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(S_ISFIFO(st.st_mode));
	wait(NULL);
}

static void
locks_exclude(void)
{
	struct flock fl = {
	    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
	int a, b, status;

	begin();
	a = open("f", O_CREAT | O_RDWR, 0600);
	b = open("f", O_RDWR);
	CHECK_EQ(flock(a, LOCK_EX), 0);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK_EQ(flock(a, LOCK_SH), 0);
	CHECK_EQ(flock(b, LOCK_SH | LOCK_NB), 0);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_EQ(flock(a, LOCK_UN), 0);
	CHECK_EQ(flock(b, LOCK_EX | LOCK_NB), 0);
	CHECK_EQ(fcntl(a, F_SETLK, &fl), 0);
	if (fork() == 0) {
		fl.l_start = 0;
		fl.l_len = 0;
		CHECK_EQ(fcntl(a, F_GETLK, &fl), 0);
		CHECK_EQ(fl.l_type, F_WRLCK);
		CHECK_EQ(fl.l_start, 10);
		CHECK_EQ(fl.l_len, 10);
		CHECK_EQ(fl.l_pid, getppid());
		fl.l_type = F_RDLCK;
		fl.l_start = 15;
		fl.l_len = 1;
		CHECK_ERR(fcntl(a, F_SETLK, &fl), EAGAIN);
		fl.l_start = 20;
		CHECK_EQ(fcntl(a, F_SETLK, &fl), 0);
		_exit(0);
	}
	wait(&status);
	CHECK_EQ(status, 0);
	fl.l_type = F_UNLCK;
	fl.l_start = 12;
	fl.l_len = 2;
	CHECK_EQ(fcntl(a, F_SETLK, &fl), 0);
	if (fork() == 0) {
		fl.l_type = F_WRLCK;
		CHECK_EQ(fcntl(b, F_SETLK, &fl), 0);
		fl.l_start = 19;
		fl.l_len = 1;
		CHECK_ERR(fcntl(b, F_SETLK, &fl), EAGAIN);
		fl.l_start = 14;
		alarm(10);
		CHECK_EQ(fcntl(b, F_SETLKW, &fl), 0); /* until the parent closes */
		_exit(0);
	}
	usleep(50000);
	close(open("f", O_RDONLY)); /* any close of the file drops the process's locks */
	wait(&status);
	CHECK_EQ(status, 0);
}

static void
mounts_come_and_go(void)
{
	struct statfs st;
	struct stat a, b;
	int fd;

	begin();
	CHECK_EQ(mkdir("m", 0755), 0);
	put("m/below", "x");
	CHECK_EQ(
	    mount("src", "m", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=700"), 0);
	CHECK_ERR(access("m/below", F_OK), ENOENT);
	CHECK_EQ(statfs("m", &st), 0);
	CHECK_EQ(st.f_type, 0x01021994);
	CHECK_EQ(st.f_blocks, 16);
	CHECK_EQ(stat("m", &a), 0);
	CHECK_EQ(stat(".", &b), 0);
	CHECK(a.st_dev != b.st_dev);
	CHECK_EQ(a.st_mode, S_IFDIR | 0700);
	CHECK_EQ(stat("m/..", &a), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	put("m/f", "in the mount");
	CHECK_ERR(rename("m/f", "f"), EXDEV);
	CHECK_ERR(link("m/f", "f"), EXDEV);
	CHECK_ERR(rmdir("m"), EBUSY);
	CHECK_ERR(rename("m", "n"), EBUSY);
	CHECK_EQ(mknod("m/null", S_IFCHR | 0666, 0x103), 0);
	CHECK_ERR(open("m/null", O_RDONLY), EACCES);
	fd = open("m/f", O_RDONLY);
	CHECK_ERR(umount("m"), EBUSY);
	close(fd);
	fd = open("m/big", O_CREAT | O_WRONLY, 0600);
	for (int i = 0; i < 100; i++) {
		char page[4096] = {1};
		ssize_t n = write(fd, page, sizeof(page));

		if (n < 0) {
			CHECK_EQ(errno, ENOSPC);
			break;
		}
		CHECK(i < 16);
	}
	close(fd);
	CHECK_EQ(mkdir("bind", 0755), 0);
	CHECK_EQ(mount("m", "bind", "", MS_BIND, NULL), 0);
	CHECK(!strcmp(get("bind/f"), "in the mount"));
	CHECK_EQ(mount("", "bind", "", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	CHECK_ERR(open("bind/x", O_CREAT | O_WRONLY, 0600), EROFS);
	CHECK_ERR(unlink("bind/f"), EROFS);
	CHECK_EQ(access("m/f", W_OK), 0);
	CHECK_ERR(access("bind/f", W_OK), EROFS);
	CHECK_EQ(umount("bind"), 0);
	CHECK_EQ(umount("m"), 0);
	CHECK_EQ(access("m/below", F_OK), 0);
	CHECK_ERR(umount("m"), EINVAL);
	CHECK_ERR(mount("x", "m", "nosuchfs", 0, ""), ENODEV);
	CHECK_ERR(mount("x", "none", "tmpfs", 0, ""), ENOENT);
	CHECK_ERR(mount("x", "m", "tmpfs", 0, "nonsense=1"), EINVAL);
	CHECK_EQ(mount("x", "m", "tmpfs", 0, ""), 0);
	CHECK_EQ(chdir("m"), 0);
	CHECK_EQ(umount2("../m", MNT_DETACH), 0);
	put("still", "usable");
	CHECK(!strcmp(get("still"), "usable"));
}

static void
chroot_confines(void)
{
	struct stat a, b;
	char buf[64];

	begin();
	CHECK_EQ(mkdir("jail", 0755), 0);
	put("jail/f", "x");
	CHECK_EQ(symlink("/f", "jail/abs"), 0);
	CHECK_EQ(chroot("jail"), 0);
	CHECK_EQ(chdir("/"), 0);
	CHECK_EQ(stat("/", &a), 0);
	CHECK_EQ(stat("/../..", &b), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK(!strcmp(get("abs"), "x"));
	CHECK_EQ(syscall(SYS_getcwd, buf, sizeof(buf)), 2);
}

static void
programs_that_run_are_not_written(void)
{
	int fd;

	begin();
	CHECK_ERR(open("/proc/self/exe", O_WRONLY), ETXTBSY);
	fd = open("/proc/self/exe", O_RDONLY);
	CHECK(fd >= 0);
}

static void
mapped_files_share_pages(void)
{
	char *m;
	int fd;

	begin();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK_EQ(write(fd, "hello", 5), 5);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK(!memcmp(m, "hello", 6));
	m[0] = 'J';
	CHECK(!strcmp(get("f"), "Jello"));
	CHECK_EQ(pwrite(fd, "E", 1, 1), 1);
	CHECK_EQ(m[1], 'E');
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	m[0] = 'X';
	CHECK(!strcmp(get("f"), "JEllo"));
	fd = open("/dev/zero", O_RDWR);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_EQ(m[5000], 0);
	m[5000] = 1;
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	m[5000] = 1;
}

static void
devices_behave(void)
{
	char buf[64] = {1};
	int fd = open("/dev/null", O_RDWR);
	struct stat st;

	CHECK_EQ(write(fd, buf, 64), 64);
	CHECK_EQ(read(fd, buf, 64), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_rdev, 0x103);
	CHECK(S_ISCHR(st.st_mode));
	fd = open("/dev/zero", O_RDONLY);
	CHECK_EQ(read(fd, buf, 64), 64);
	CHECK_EQ(buf[0], 0);
	fd = open("/dev/full", O_WRONLY);
	CHECK_ERR(write(fd, buf, 1), ENOSPC);
	fd = open("/dev/urandom", O_RDONLY);
	CHECK_EQ(read(fd, buf, 64), 64);
	begin();
	CHECK_EQ(mknod("nul", S_IFCHR | 0666, 0x103), 0);
	fd = open("nul", O_WRONLY);
	CHECK_EQ(write(fd, buf, 5), 5);
	CHECK_EQ(mknod("none", S_IFCHR | 0666, 0x3cee), 0);
	CHECK_ERR(open("none", O_RDONLY), ENXIO);
	CHECK_EQ(mknod("sock", S_IFSOCK | 0666, 0), 0);
	CHECK_ERR(open("sock", O_RDONLY), ENXIO);
}

static void
proc_tells_about_processes(void)
{
	char buf[4096], path[64], *p;
	int pid, status, fd;
	struct stat st;

	begin();
	CHECK_EQ(readlink("/proc/self", buf, sizeof(buf)), sprintf(path, "%d", getpid()));
	p = get("/proc/self/stat");
	CHECK_EQ(atoi(p), getpid());
	CHECK(strchr(p, '('));
	p = strrchr(p, ')');
	CHECK(p && !memcmp(p, ") R ", 4));
	CHECK_EQ(atoi(p + 4), getppid());
	p = get("/proc/self/status");
	CHECK(!memcmp(p, "Name:\tfs_data\n", 14));
	CHECK(strstr(p, "\nUid:\t0\t0\t0\t0\n"));
	p = get("/proc/self/cmdline");
	CHECK(strlen(p) > 0);
	CHECK(strstr(get("/proc/self/maps"), "[stack]"));
	CHECK(strstr(get("/proc/meminfo"), "MemTotal:"));
	CHECK(strstr(get("/proc/cpuinfo"), "processor\t: 0"));
	CHECK(strchr(get("/proc/uptime"), '.'));
	CHECK(strstr(get("/proc/filesystems"), "nodev\ttmpfs"));
	CHECK(strstr(get("/proc/self/mounts"), " /proc proc "));
	CHECK(strstr(get("/proc/self/limits"), "Max open files"));
	CHECK_EQ(strlen(get("/proc/sys/kernel/random/boot_id")), 37);
	fd = open("f", O_CREAT | O_RDWR, 0600);
	sprintf(path, "/proc/self/fd/%d", fd);
	CHECK_EQ(stat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(open(path, O_RDONLY) >= 0, 1);
	sprintf(path, "/proc/self/fdinfo/%d", fd);
	CHECK(strstr(get(path), "pos:\t0\n"));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	sprintf(path, "/proc/%d/stat", pid);
	for (int i = 0; i < 100 && !strstr(get(path), ") S "); i++)
		usleep(10000);
	CHECK(strstr(get(path), ") S "));
	fd = open(path, O_RDONLY);
	kill(pid, SIGKILL);
	usleep(50000);
	CHECK(strstr(get(path), ") Z "));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_ERR(open(path, O_RDONLY), ENOENT);
	CHECK(read(fd, buf, 10) <= 0);
	CHECK_ERR(open("/proc/none", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_ERR(mkdir("/proc/x", 0755), ENOENT);
	CHECK_ERR(unlink("/proc/uptime"), EPERM);
}

static void
attributes_beyond_are_not_supported(void)
{
	char buf[16];

	begin();
	put("f", "x");
	CHECK_ERR(setxattr("none", "user.x", "1", 1, 0), ENOENT);
	CHECK_EQ(getxattr("f", "user.x", buf, 16), -1);
	CHECK(errno == ENODATA || errno == EOPNOTSUPP); /* by the version of Linux */
	CHECK_EQ(listxattr("f", buf, 16), 0);
	CHECK_EQ(fsync(open("f", O_RDONLY)), 0);
	CHECK_EQ(fdatasync(open(".", O_RDONLY)), 0);
	CHECK_ERR(fsync(99), EBADF);
	sync();
}

static const struct test tests[] = {
    TEST(files_have_holes),
    TEST(vectors_transfer),
    TEST(directories_list),
    TEST(times_are_kept),
    TEST(at_calls_start_at_descriptors),
    TEST(openat2_resolves_within),
    TEST(copies_between_files),
    TEST(fifos_join_readers_and_writers),
    TEST(locks_exclude),
    TEST(mounts_come_and_go),
    TEST(chroot_confines),
    TEST(programs_that_run_are_not_written),
    TEST(mapped_files_share_pages),
    TEST(devices_behave),
    TEST(proc_tells_about_processes),
    TEST(attributes_beyond_are_not_supported),
};

RUN_TESTS(tests)
