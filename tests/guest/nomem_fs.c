/* Out of memory in files, names, mounts, terminals and /proc: see nomem.h. */
#define _GNU_SOURCE
#include "tests/guest/nomem.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>

enum { PAGE = 4096 };

static char data[16 * PAGE];

/* Undoes what an operation did, even if the failure is still to come and hits this. */
#define UNDO(error, call) \
	do { \
		if ((call) && (call) && !(error)) \
			(error) = errno; \
	} while (0)

static int
op_create(void)
{
	int fd = open("a-new-name", O_CREAT | O_EXCL | O_RDWR, 0600), error = 0;

	if (fd < 0)
		return errno;
	close(fd);
	UNDO(error, unlink("a-new-name"));
	return error;
}

static int
op_open(void)
{
	int fd = open("dir/file", O_RDONLY);

	return fd < 0 ? errno : error_of(close(fd));
}

static int
op_mkdir(void)
{
	int error = 0;

	if (mkdir("new-dir", 0700))
		return errno;
	UNDO(error, rmdir("new-dir"));
	return error;
}

static int
op_rename(void)
{
	int error =
	    error_of(rename("dir/file", "dir/a-name-that-does-not-fit-inside-a-dentry"));

	if (!error)
		UNDO(error,
		    rename("dir/a-name-that-does-not-fit-inside-a-dentry", "dir/file"));
	return error;
}

static int
op_rename_over(void)
{
	int fd = open("over", O_CREAT | O_RDWR, 0600), error;

	if (fd < 0)
		return errno;
	close(fd);
	error = error_of(link("dir/file", "second"));
	if (!error)
		error = error_of(rename("over", "second"));
	unlink("over");
	unlink("over");
	unlink("second");
	unlink("second");
	return error == ENOENT ? 0 : error;
}

static int
op_link(void)
{
	int error = error_of(link("dir/file", "link"));

	if (!error)
		UNDO(error, unlink("link"));
	return error;
}

static int
op_symlink(void)
{
	char target[200] = "";
	int error, fd;

	memset(target, 'a', sizeof(target) - 1);
	memcpy(target, "dir/file\0", 9);
	error = error_of(symlink(target, "symlink"));
	if (error)
		return error;
	fd = open("symlink", O_RDONLY);
	if (fd < 0)
		error = errno;
	else
		close(fd);
	if (!error)
		error = error_of(readlink("symlink", data, sizeof(data)));
	UNDO(error, unlink("symlink"));
	return error;
}

static int
op_fifo(void)
{
	int error = error_of(mkfifo("fifo", 0600)), fd;

	if (error)
		return error;
	fd = open("fifo", O_RDWR);
	if (fd < 0)
		error = errno;
	else
		error = error_of(write(fd, "x", 1));
	close(fd);
	UNDO(error, unlink("fifo"));
	return error;
}

static int
op_stat(void)
{
	struct statfs fs;
	struct stat st;
	int error = error_of(stat("dir/../dir/./file", &st));

	if (!error && stat("dir/no-such-name", &st))
		error = errno == ENOENT ? 0 : errno;
	return error ? error : error_of(statfs("dir", &fs));
}

static int
op_readdir(void)
{
	DIR *d = opendir("dir");
	int error = 0;

	if (!d)
		return errno;
	errno = 0;
	while (readdir(d))
		;
	error = errno;
	closedir(d);
	return error;
}

static int
op_write(void)
{
	int fd = open("data", O_CREAT | O_RDWR, 0600), error;

	if (fd < 0)
		return errno;
	error = error_of(pwrite(fd, data, 8 * PAGE, 100 * PAGE + 7));
	if (!error)
		error = error_of(pread(fd, data, 8 * PAGE, 100 * PAGE));
	if (!error)
		error = error_of(fallocate(fd, 0, 0, 16 * PAGE));
	if (!error)
		error = error_of(ftruncate(fd, 5));
	close(fd);
	UNDO(error, unlink("data"));
	return error;
}

static int
op_map_file(void)
{
	int fd = open("dir/file", O_RDWR), error = 0;
	char *p, *q;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		error = errno;
	else
		munmap(p, 4 * PAGE);
	q = mmap(
	    NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (q == MAP_FAILED)
		error = errno;
	else
		munmap(q, 4 * PAGE);
	close(fd);
	return error;
}

static int
op_locks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 100};
	int fd = open("dir/file", O_RDWR), error;

	if (fd < 0)
		return errno;
	error = error_of(fcntl(fd, F_SETLK, &l));
	l = (struct flock){.l_type = F_UNLCK, .l_start = 40, .l_len = 10};
	if (!error)
		error = error_of(fcntl(fd, F_SETLK, &l));
	if (!error)
		error = error_of(flock(fd, LOCK_EX));
	close(fd);
	return error;
}

static int
op_xattr(void)
{
	int error = error_of(setxattr("dir/file", "user.nomem", data, 100, 0));

	if (error == EOPNOTSUPP) /* as a file system may say */
		return 0;
	if (error)
		return error;
	error = error_of(getxattr("dir/file", "user.nomem", data, sizeof(data)));
	if (!error)
		error = error_of(listxattr("dir/file", data, sizeof(data)));
	UNDO(error, removexattr("dir/file", "user.nomem"));
	return error;
}

static int
op_mount(void)
{
	int error = error_of(mount("none", "mnt", "tmpfs", 0, "size=1M"));

	if (error == EPERM)
		return 0;
	if (error)
		return error;
	error = error_of(mkdir("mnt/x", 0700));
	UNDO(error, umount2("mnt", MNT_DETACH));
	return error;
}

static int
op_bind(void)
{
	int error = error_of(mount("dir", "mnt", NULL, MS_BIND, NULL));

	if (error == EPERM)
		return 0;
	if (!error)
		UNDO(error, umount2("mnt", 0));
	return error;
}

static int
op_cwd(void)
{
	char path[256];
	int error = error_of(chdir("dir"));

	if (error)
		return error;
	if (!getcwd(path, sizeof(path)))
		error = errno;
	UNDO(error, chdir(".."));
	return error;
}

static int
op_sendfile(void)
{
	int fd = open("dir/file", O_RDONLY), to[2], error;
	off_t at = 0;

	if (fd < 0)
		return errno;
	if (pipe(to)) {
		error = errno;
		close(fd);
		return error;
	}
	error = error_of(sendfile(to[1], fd, &at, 2 * PAGE));
	if (!error)
		error = error_of(splice(fd, NULL, to[1], NULL, PAGE, 0));
	close(fd);
	close(to[0]);
	close(to[1]);
	return error;
}

static int
op_splice(void)
{
	int a[2], b[2], error;

	if (pipe(a))
		return errno;
	if (pipe(b)) {
		error = errno;
	} else {
		error = error_of(write(a[1], data, PAGE));
		if (!error)
			error = error_of(splice(a[0], NULL, b[1], NULL, PAGE, 0));
		close(b[0]);
		close(b[1]);
	}
	close(a[0]);
	close(a[1]);
	return error;
}

static int
op_copy_range(void)
{
	int from = open("dir/file", O_RDONLY), to, error;

	if (from < 0)
		return errno;
	to = open("copy", O_CREAT | O_RDWR, 0600);
	if (to < 0) {
		error = errno;
		close(from);
		return error;
	}
	error = error_of(copy_file_range(from, NULL, to, NULL, 4 * PAGE, 0));
	close(from);
	close(to);
	UNDO(error, unlink("copy"));
	return error;
}

static int
op_inotify(void)
{
	char buf[512];
	int fd = inotify_init1(IN_NONBLOCK), error;

	if (fd < 0)
		return errno;
	error = error_of(inotify_add_watch(fd, "dir", IN_CREATE | IN_DELETE));
	if (!error)
		error = error_of(mkdir("dir/watched", 0700));
	if (!error) {
		/* An event that finds no memory becomes an overflow. */
		error = error_of(read(fd, buf, sizeof(buf)));
		UNDO(error, rmdir("dir/watched"));
	}
	close(fd);
	return error;
}

static int
op_pty(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), slave, zero = 0, error;
	char name[32] = "";

	if (master < 0)
		return errno;
	error = error_of(ioctl(master, TIOCSPTLCK, &zero));
	if (!error)
		error = error_of(ptsname_r(master, name, sizeof(name)) ? -1 : 0);
	if (!error) {
		slave = open(name, O_RDWR | O_NOCTTY);
		error = error_of(slave);
		if (!error)
			error = error_of(write(master, "hello\n", 6));
		if (!error)
			error = error_of(read(slave, data, sizeof(data)));
		close(slave);
	}
	close(master);
	return error;
}

static int
read_file(const char *path)
{
	int fd = open(path, O_RDONLY), error = 0;
	ssize_t n = 1;

	if (fd < 0)
		return errno;
	while (n > 0)
		n = read(fd, data, sizeof(data));
	error = error_of(n);
	close(fd);
	return error;
}

static int
op_proc_self(void)
{
	static const char *const names[] = {"status", "stat", "maps", "smaps", "mounts",
	    "mountinfo", "cmdline", "environ", "limits", "auxv", "task/../comm"};
	char path[64];
	int error = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names) && !error; i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", names[i]);
		error = read_file(path);
	}
	return error;
}

static int
op_proc_global(void)
{
	static const char *const names[] = {"/proc/meminfo", "/proc/stat",
	    "/proc/cpuinfo", "/proc/vmstat", "/proc/net/tcp", "/proc/net/dev",
	    "/proc/net/route", "/proc/interrupts", "/proc/sys/kernel/ostype",
	    "/sys/devices/system/cpu/online"};
	int error = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names) && !error; i++)
		error = read_file(names[i]);
	return error;
}

static int
op_proc_dirs(void)
{
	DIR *d = opendir("/proc/self/fd");
	int error = 0, fd;

	if (!d)
		return errno;
	errno = 0;
	while (readdir(d))
		;
	error = errno;
	closedir(d);
	if (!error)
		error = error_of(readlink("/proc/self/exe", data, sizeof(data)));
	if (!error && (fd = open("/proc/self/cwd/dir/file", O_RDONLY)) < 0)
		error = errno;
	else if (!error)
		close(fd);
	return error;
}

static const struct op ops[] = {
    {"create", op_create, {ENOSPC}},
    {"open", op_open, {0}},
    {"mkdir", op_mkdir, {ENOSPC}},
    {"rename", op_rename, {ENOSPC}},
    {"rename_over", op_rename_over, {ENOSPC}},
    {"link", op_link, {ENOSPC}},
    {"symlink", op_symlink, {ENOSPC}},
    {"fifo", op_fifo, {ENOSPC}},
    {"stat", op_stat, {0}},
    {"readdir", op_readdir, {0}},
    {"write", op_write, {ENOSPC}},
    {"map_file", op_map_file, {0}},
    {"locks", op_locks, {ENOLCK}},
    {"xattr", op_xattr, {ENOSPC}},
    {"mount", op_mount, {ENOSPC}},
    {"bind", op_bind, {0}},
    {"cwd", op_cwd, {0}},
    {"sendfile", op_sendfile, {0}},
    {"splice", op_splice, {0}},
    {"copy_range", op_copy_range, {ENOSPC}},
    {"inotify", op_inotify, {ENOSPC, EAGAIN}},
    {"pty", op_pty, {EFAULT}},
    {"proc_self", op_proc_self, {EFAULT}},
    {"proc_global", op_proc_global, {0}},
    {"proc_dirs", op_proc_dirs, {0}},
};

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/nomem_fs.XXXXXX";
	int failed = 0, fd;

	if (!mkdtemp(dir) || chdir(dir) || mkdir("dir", 0700) || mkdir("mnt", 0700))
		return 99;
	fd = open("dir/file", O_CREAT | O_RDWR, 0600);
	if (write(fd, data, sizeof(data)) != sizeof(data) || close(fd))
		return 98;
	RUN_OPS(ops)
	if (unlink("dir/file") || rmdir("dir") || rmdir("mnt") || chdir("/") ||
	    rmdir(dir)) {
		printf("FAIL something is left in %s\n", dir);
		failed++;
	}
	return failed;
}
