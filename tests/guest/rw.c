/* Bytes in and out: read, write and all their variants with the RWF flags, lseek, the
 * calls that copy between descriptors, lengths, and writing back. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	DSYNC = 2,
	SYNC = 4,
	NOWAIT = 8,
	APPEND = 16,
	MAX_RW = 0x7ffff000,
};

static int
pair_of_pipes(int fd[2])
{
	CHECK_EQ(pipe(fd), 0);
	return fd[0];
}

/* proves: read write pread64 pwrite64 */
static void
read_and_write_refuse(void)
{
	int fd, r, w, p, d, fds[2];
	char buf[16];

	begin();
	put("f", "0123456789");
	fd = open("f", O_RDWR);
	r = open("f", O_RDONLY);
	w = open("f", O_WRONLY);
	p = open("f", O_PATH);
	d = open(".", O_RDONLY);
	pair_of_pipes(fds);
	EXPECT_ERR(SYS(read, 99, buf, 1), EBADF);
	EXPECT_ERR(SYS(read, -1, buf, 1), EBADF);
	EXPECT_ERR(SYS(read, w, buf, 1), EBADF);
	EXPECT_ERR(SYS(read, p, buf, 1), EBADF);
	EXPECT_ERR(SYS(read, w, buf, 0), EBADF);
	EXPECT_ERR(SYS(read, d, buf, 1), EISDIR);
	EXPECT_ERR(SYS(read, d, buf, 0), EISDIR);
	EXPECT_ERR(SYS(read, fd, BAD_ADDR, 1), EFAULT);
	EXPECT_ERR(SYS(read, fd, KERNEL_ADDR, 1), EFAULT);
	EXPECT_ERR(SYS(read, fd, buf, -1L), EFAULT);
	EXPECT_EQ(SYS(read, fd, BAD_ADDR, 0), 0);
	EXPECT_ERR(SYS(read, fd, KERNEL_ADDR, 0), EFAULT);
	EXPECT_ERR(SYS(write, 99, buf, 1), EBADF);
	EXPECT_ERR(SYS(write, r, buf, 1), EBADF);
	EXPECT_ERR(SYS(write, r, buf, 0), EBADF);
	EXPECT_ERR(SYS(write, p, buf, 1), EBADF);
	EXPECT_ERR(SYS(write, d, buf, 1), EBADF);
	EXPECT_ERR(SYS(write, fd, BAD_ADDR, 1), EFAULT);
	EXPECT_ERR(SYS(write, fd, buf, -1L), EFAULT);
	EXPECT_EQ(SYS(write, fd, BAD_ADDR, 0), 0);
	EXPECT_ERR(SYS(pread64, fd, buf, 1, -1L), EINVAL);
	EXPECT_ERR(SYS(pread64, 99, buf, 1, -1L), EINVAL);
	EXPECT_ERR(SYS(pread64, 99, buf, 1, 0L), EBADF);
	EXPECT_ERR(SYS(pread64, fds[0], buf, 1, 0L), ESPIPE);
	EXPECT_ERR(SYS(pread64, fds[1], buf, 1, 0L), ESPIPE);
	EXPECT_ERR(SYS(pread64, w, buf, 1, 0L), EBADF);
	EXPECT_ERR(SYS(pread64, d, buf, 1, 0L), EISDIR);
	EXPECT_ERR(SYS(pwrite64, fd, buf, 1, -1L), EINVAL);
	EXPECT_ERR(SYS(pwrite64, fds[1], buf, 1, 0L), ESPIPE);
	EXPECT_ERR(SYS(pwrite64, r, buf, 1, 0L), EBADF);
	EXPECT_EQ(SYS(pread64, fd, buf, 4, 8L), 2);
	EXPECT_EQ(SYS(pread64, fd, buf, 4, 10L), 0);
	EXPECT_ERR(SYS(pread64, fd, buf, 4, INT64_MAX), EINVAL);
	EXPECT_ERR(SYS(pwrite64, fd, buf, 1, INT64_MAX), EINVAL);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_EQ(SYS(pwrite64, fd, "XY", 2, 1L), 2);
	EXPECT_EQ(!strcmp(get("f"), "0XY3456789"), 1);
	/* With O_APPEND pwrite appends, whatever the offset. */
	fd = open("f", O_RDWR | O_APPEND);
	EXPECT_EQ(SYS(pwrite64, fd, "Z", 1, 0L), 1);
	EXPECT_EQ(!strcmp(get("f"), "0XY3456789Z"), 1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
}

/* proves: read write */
static void
pipes_and_limits(void)
{
	struct rlimit small = {8, 100};
	int fd, fds[2];
	char buf[16], *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	pair_of_pipes(fds);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	EXPECT_ERR(read(fds[0], buf, 1), EAGAIN);
	EXPECT_EQ(read(fds[0], buf, 0), 0);
	close(fds[0]);
	EXPECT_ERR(write(fds[1], "x", 1), EPIPE);
	fd = open("f", O_CREAT | O_RDWR, 0600);
	/* What lies before the first bad page is written and read. */
	CHECK_EQ(munmap(two + 4096, 4096), 0);
	memset(two, 'a', 4096);
	EXPECT_EQ(write(fd, two + 4090, 10), 6);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(read(fd, two + 4093, 6), 3);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
	EXPECT_EQ(pwrite(fd, "0123456789", 10, 0), 8);
	EXPECT_ERR(pwrite(fd, "x", 1, 8), EFBIG);
	EXPECT_ERR(ftruncate(fd, 9), EFBIG);
	EXPECT_ERR(SYS(fallocate, fd, 0, 0L, 9L), EFBIG);
	EXPECT_EQ(ftruncate(fd, 8), 0);
}

static struct iovec
piece(void *base, size_t len)
{
	return (struct iovec){base, len};
}

/* proves: readv writev preadv pwritev */
static void
vectors(void)
{
	struct iovec v[1025] = {{0}};
	char a[4], b[8];
	int fd, fds[2];

	begin();
	put("f", "0123456789");
	fd = open("f", O_RDWR);
	pair_of_pipes(fds);
	v[0] = piece(a, 2);
	v[1] = piece(b, 0);
	v[2] = piece(b, 8);
	EXPECT_EQ(SYS(readv, fd, v, 3), 10);
	EXPECT_EQ(!memcmp(a, "01", 2) && !memcmp(b, "23456789", 8), 1);
	EXPECT_EQ(SYS(readv, fd, v, 3), 0);
	EXPECT_EQ(SYS(readv, fd, v, 0), 0);
	EXPECT_EQ(SYS(readv, fd, BAD_ADDR, 0), 0);
	EXPECT_ERR(SYS(readv, 99, v, 1), EBADF);
	EXPECT_ERR(SYS(readv, fd, v, -1), EINVAL);
	EXPECT_ERR(SYS(readv, fd, v, 1025), EINVAL);
	EXPECT_EQ(SYS(readv, fd, v + 1, 1024), 0);
	EXPECT_ERR(SYS(readv, fd, BAD_ADDR, 1), EFAULT);
	EXPECT_ERR(SYS(writev, fd, BAD_ADDR, 1), EFAULT);
	EXPECT_ERR(SYS(writev, 99, v, 1), EBADF);
	EXPECT_ERR(SYS(writev, fd, v, -1), EINVAL);
	v[1] = piece(b, (size_t)1 << 63);
	EXPECT_ERR(SYS(readv, fd, v, 3), EINVAL);
	EXPECT_ERR(SYS(preadv, fd, v, 3, 0L, 0L), EINVAL);
	v[1] = piece(KERNEL_ADDR, 1);
	EXPECT_ERR(SYS(writev, fd, v, 3), EFAULT);
	/* A bad piece in the middle ends the call behind the good ones. */
	v[1] = piece(BAD_ADDR, 1);
	EXPECT_EQ(SYS(pwritev, fd, v, 3, 4L, 0L), 2);
	EXPECT_EQ(!strcmp(get("f"), "0123016789"), 1);
	EXPECT_EQ(SYS(preadv, fd, v, 3, 8L, 0L), 2);
	EXPECT_EQ(!memcmp(a, "89", 2), 1);
	EXPECT_EQ(SYS(preadv, fd, v, 1, 10L, 0L), 0);
	EXPECT_ERR(SYS(preadv, fd, v, 1, -1L, 0L), EINVAL);
	EXPECT_ERR(SYS(pwritev, fd, v, 1, -1L, 0L), EINVAL);
	EXPECT_ERR(SYS(preadv, fds[0], v, 1, 0L, 0L), ESPIPE);
	EXPECT_ERR(SYS(pwritev, fds[1], v, 1, 0L, 0L), ESPIPE);
	EXPECT_ERR(SYS(preadv, 99, v, 1, 0L, 0L), EBADF);
	EXPECT_ERR(SYS(pwritev, 99, v, 1, 0L, 0L), EBADF);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 10);
	EXPECT_EQ(SYS(writev, fds[1], v, 1), 2);
	EXPECT_EQ(SYS(readv, fds[0], v, 1), 2);
}

/* proves: preadv2 pwritev2 */
static void
vectors_with_flags(void)
{
	char a[4] = "ab";
	struct iovec v = {a, 2};
	int fd, fds[2];

	begin();
	put("f", "0123456789");
	fd = open("f", O_RDWR);
	pair_of_pipes(fds);
	EXPECT_ERR(SYS(preadv2, fd, &v, 1, 0L, 0L, 0x4000), EOPNOTSUPP);
	EXPECT_ERR(SYS(pwritev2, fd, &v, 1, 0L, 0L, 0x4000), EOPNOTSUPP);
	EXPECT_ERR(SYS(preadv2, 99, &v, 1, 0L, 0L, 0), EBADF);
	EXPECT_ERR(SYS(preadv2, fd, &v, -1, 0L, 0L, 0), EINVAL);
	EXPECT_ERR(SYS(preadv2, fd, &v, 1, -2L, 0L, 0), EINVAL);
	EXPECT_ERR(SYS(preadv2, fds[0], &v, 1, 0L, 0L, 0), ESPIPE);
	EXPECT_EQ(SYS(pwritev2, fd, &v, 1, 1L, 0L, DSYNC | SYNC), 2);
	EXPECT_EQ(SYS(preadv2, fd, &v, 1, -1L, 0L, 0), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 2);
	EXPECT_EQ(!memcmp(a, "0a", 2), 1);
	EXPECT_EQ(SYS(pwritev2, fd, &v, 1, -1L, 0L, 0), 2);
	EXPECT_EQ(!strcmp(get("f"), "0a0a456789"), 1);
	/* RWF_APPEND: at the end, the position given or the file's own left alone. */
	EXPECT_EQ(SYS(pwritev2, fd, &v, 1, 0L, 0L, APPEND), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4);
	EXPECT_EQ(!strcmp(get("f"), "0a0a4567890a"), 1);
	EXPECT_EQ(SYS(pwritev2, fd, &v, 1, -1L, 0L, APPEND), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 14);
	EXPECT_EQ(!strcmp(get("f"), "0a0a4567890a0a"), 1);
	/* RWF_NOWAIT (of pipes and sockets since Linux 6.4): no waiting. */
	EXPECT_ERR(SYS(preadv2, fds[0], &v, 1, -1L, 0L, NOWAIT), EAGAIN);
	EXPECT_EQ(SYS(pwritev2, fds[1], &v, 1, -1L, 0L, NOWAIT), 2);
	EXPECT_EQ(SYS(preadv2, fds[0], &v, 1, -1L, 0L, NOWAIT), 2);
}

/* proves: preadv2 */
static void
nowait_of_sockets(void)
{
	char a[4];
	struct iovec v = {a, 2};
	int sv[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	EXPECT_ERR(SYS(preadv2, sv[0], &v, 1, -1L, 0L, NOWAIT), EAGAIN);
	CHECK_EQ(write(sv[1], "xy", 2), 2);
	EXPECT_EQ(SYS(preadv2, sv[0], &v, 1, -1L, 0L, NOWAIT), 2);
	EXPECT_EQ(fcntl(sv[0], F_GETFL) & O_NONBLOCK, 0);
}

/* proves: lseek */
static void
seeks(void)
{
	int fd, fds[2], d;

	begin();
	pair_of_pipes(fds);
	fd = open("f", O_CREAT | O_RDWR, 0600);
	CHECK_EQ(pwrite(fd, "x", 1, 100 * 4096), 1);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	EXPECT_ERR(SYS(lseek, 99, 0L, SEEK_SET), EBADF);
	EXPECT_ERR(SYS(lseek, fds[0], 0L, SEEK_SET), ESPIPE);
	EXPECT_ERR(SYS(lseek, fds[0], 0L, 99), EINVAL);
	EXPECT_ERR(SYS(lseek, fd, 0L, 5), EINVAL);
	EXPECT_ERR(SYS(lseek, fd, 0L, -1), EINVAL);
	EXPECT_ERR(SYS(lseek, fd, -1L, SEEK_SET), EINVAL);
	EXPECT_ERR(SYS(lseek, fd, -(101L * 4096), SEEK_END), EINVAL);
	EXPECT_EQ(SYS(lseek, fd, -1L, SEEK_END), 100 * 4096);
	EXPECT_EQ(SYS(lseek, fd, -5L, SEEK_CUR), 100 * 4096 - 5);
	EXPECT_EQ(SYS(lseek, fd, 1L << 40, SEEK_SET), 1L << 40);
	EXPECT_ERR(SYS(lseek, fd, INT64_MAX, SEEK_CUR), EINVAL);
	EXPECT_EQ(SYS(lseek, fd, 0L, SEEK_CUR), 1L << 40);
	EXPECT_EQ(SYS(lseek, fd, 0L, SEEK_DATA), 0);
	EXPECT_EQ(SYS(lseek, fd, 0L, SEEK_HOLE), 4096);
	EXPECT_EQ(SYS(lseek, fd, 4096L, SEEK_HOLE), 4096);
	EXPECT_EQ(SYS(lseek, fd, 5000L, SEEK_HOLE), 5000);
	EXPECT_EQ(SYS(lseek, fd, 4096L, SEEK_DATA), 100 * 4096);
	EXPECT_EQ(SYS(lseek, fd, 100L * 4096, SEEK_HOLE), 100 * 4096 + 1);
	EXPECT_ERR(SYS(lseek, fd, 100L * 4096 + 1, SEEK_DATA), ENXIO);
	EXPECT_ERR(SYS(lseek, fd, 100L * 4096 + 1, SEEK_HOLE), ENXIO);
	EXPECT_ERR(SYS(lseek, fd, -1L, SEEK_DATA), ENXIO);
	EXPECT_ERR(SYS(lseek, open("f", O_PATH), 0L, SEEK_SET), EBADF);
	d = open(".", O_RDONLY);
	EXPECT_EQ(SYS(lseek, d, 0L, SEEK_SET), 0);
	EXPECT_ERR(SYS(lseek, d, -1L, SEEK_SET), EINVAL);
	EXPECT_EQ(SYS(lseek, open("/dev/null", O_RDWR), 100L, SEEK_SET), 0);
	EXPECT_ERR(SYS(lseek, socket(AF_UNIX, SOCK_STREAM, 0), 0L, SEEK_SET), ESPIPE);
}

/* proves: truncate ftruncate */
static void
lengths(void)
{
	char path[32];
	int fd, r, fds[2];

	begin();
	put("f", "0123456789");
	put("secret", "x");
	CHECK_EQ(mkdir("d", 0755) | mkfifo("fifo", 0600) | symlink("f", "l"), 0);
	fd = open("f", O_RDWR);
	r = open("f", O_RDONLY);
	pair_of_pipes(fds);
	EXPECT_ERR(SYS(truncate, "none", 0L), ENOENT);
	EXPECT_ERR(SYS(truncate, "", 0L), ENOENT);
	EXPECT_ERR(SYS(truncate, "f/x", 0L), ENOTDIR);
	EXPECT_ERR(SYS(truncate, "d", 0L), EISDIR);
	EXPECT_ERR(SYS(truncate, "fifo", 0L), EINVAL);
	EXPECT_ERR(SYS(truncate, "/dev/null", 0L), EINVAL);
	EXPECT_ERR(SYS(truncate, "f", -1L), EINVAL);
	EXPECT_ERR(SYS(truncate, BAD_ADDR, 0L), EFAULT);
	EXPECT_EQ(SYS(truncate, "l", 12L), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 12);
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	EXPECT_ERR(SYS(truncate, path, 100L), ETXTBSY);
	EXPECT_ERR(SYS(ftruncate, 99, 0L), EBADF);
	EXPECT_ERR(SYS(ftruncate, r, 0L), EINVAL);
	EXPECT_ERR(SYS(ftruncate, fd, -1L), EINVAL);
	EXPECT_ERR(SYS(ftruncate, fds[1], 0L), EINVAL);
	EXPECT_ERR(SYS(ftruncate, open(".", O_RDONLY), 0L), EINVAL);
	EXPECT_ERR(SYS(ftruncate, open("f", O_PATH), 0L), EBADF);
	EXPECT_EQ(SYS(ftruncate, fd, 3L), 0);
	EXPECT_EQ(!strcmp(get("f"), "012"), 1);
	EXPECT_EQ(SYS(ftruncate, fd, INT64_MAX), 0);
	EXPECT_EQ(SYS(ftruncate, fd, 3L), 0);
	CHECK_EQ(chmod("secret", 0600) | chmod("f", 0644), 0);
	become_user();
	EXPECT_ERR(SYS(truncate, "secret", 0L), EACCES);
	EXPECT_ERR(SYS(truncate, "f", 0L), EACCES);
}

/* proves: fallocate */
static void
allocation(void)
{
	struct stat st;
	int fd, r, fds[2];

	begin();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	r = open("f", O_RDONLY);
	pair_of_pipes(fds);
	EXPECT_ERR(SYS(fallocate, 99, 0, 0L, 1L), EBADF);
	EXPECT_ERR(SYS(fallocate, r, 0, 0L, 1L), EBADF);
	EXPECT_ERR(SYS(fallocate, fd, 0, -1L, 1L), EINVAL);
	EXPECT_ERR(SYS(fallocate, fd, 0, 0L, 0L), EINVAL);
	EXPECT_ERR(SYS(fallocate, fd, 0, 0L, -1L), EINVAL);
	EXPECT_ERR(SYS(fallocate, fd, 0, INT64_MAX, 2L), EFBIG);
	EXPECT_ERR(SYS(fallocate, fds[1], 0, 0L, 1L), ESPIPE);
	EXPECT_ERR(SYS(fallocate, fds[0], 0, 0L, 1L), EBADF);
	EXPECT_ERR(SYS(fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0L, 1L), EOPNOTSUPP);
	EXPECT_ERR(SYS(fallocate, fd, 0x8000, 0L, 1L), EOPNOTSUPP);
	EXPECT_ERR(SYS(fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0L, 4096L), EOPNOTSUPP);
	EXPECT_ERR(SYS(fallocate, fd, FALLOC_FL_ZERO_RANGE, 0L, 4096L), EOPNOTSUPP);
	EXPECT_ERR(SYS(fallocate, open("/dev/null", O_RDWR), 0, 0L, 1L), ENODEV);
	EXPECT_EQ(SYS(fallocate, fd, 0, 0L, 10000L), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 10000);
	EXPECT_EQ(st.st_blocks, 24);
	EXPECT_EQ(SYS(fallocate, fd, FALLOC_FL_KEEP_SIZE, 0L, 20480L), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 10000);
	EXPECT_EQ(st.st_blocks, 40);
	EXPECT_EQ(
	    SYS(fallocate, fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 100L, 8092L),
	    0);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 10000);
}

/* proves: sendfile */
static void
sendfile_cases(void)
{
	int in, out, ap, r, fds[2], sv[2];
	char buf[32];
	off_t at = 2;

	begin();
	put("in", "0123456789");
	put("out", "");
	in = open("in", O_RDWR);
	out = open("out", O_RDWR);
	ap = open("out", O_RDWR | O_APPEND);
	r = open("out", O_RDONLY);
	pair_of_pipes(fds);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	EXPECT_EQ(SYS(sendfile, out, in, &at, 3), 3);
	EXPECT_EQ(at, 5);
	EXPECT_EQ(lseek(in, 0, SEEK_CUR), 0);
	EXPECT_EQ(SYS(sendfile, out, in, NULL, 2), 2);
	EXPECT_EQ(lseek(in, 0, SEEK_CUR), 2);
	EXPECT_EQ(!strcmp(get("out"), "23401"), 1);
	EXPECT_EQ(SYS(sendfile, sv[0], in, NULL, 100), 8);
	EXPECT_EQ(read(sv[1], buf, sizeof(buf)), 8);
	EXPECT_EQ(SYS(sendfile, sv[0], in, NULL, 100), 0);
	EXPECT_EQ(SYS(sendfile, sv[0], in, NULL, 0), 0);
	EXPECT_EQ(SYS(sendfile, fds[1], in, &at, 100), 5);
	EXPECT_ERR(SYS(sendfile, 99, in, NULL, 1), EBADF);
	EXPECT_ERR(SYS(sendfile, out, 99, NULL, 1), EBADF);
	EXPECT_ERR(SYS(sendfile, r, in, NULL, 1), EBADF);
	EXPECT_ERR(SYS(sendfile, out, open("in", O_WRONLY), NULL, 1), EBADF);
	EXPECT_ERR(SYS(sendfile, out, in, BAD_ADDR, 1), EFAULT);
	at = -1;
	EXPECT_ERR(SYS(sendfile, out, in, &at, 1), EINVAL);
	at = 0;
	EXPECT_ERR(SYS(sendfile, out, fds[0], &at, 1), ESPIPE);
	EXPECT_ERR(SYS(sendfile, ap, in, &at, 1), EINVAL);
	EXPECT_ERR(SYS(sendfile, out, sv[1], NULL, 1), EINVAL);
	EXPECT_ERR(SYS(sendfile, out, open(".", O_RDONLY), NULL, 1), EINVAL);
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	while (write(sv[0], dir, sizeof(dir)) > 0 || write(sv[0], dir, 1) > 0)
		;
	EXPECT_ERR(SYS(sendfile, sv[0], in, &at, 1), EAGAIN);
}

/* proves: splice */
static void
splice_cases(void)
{
	int in, out, a[2], b[2];
	char buf[32];
	off_t at = 2;

	begin();
	put("in", "0123456789");
	put("out", "........");
	in = open("in", O_RDWR);
	out = open("out", O_RDWR);
	pair_of_pipes(a);
	pair_of_pipes(b);
	EXPECT_EQ(SYS(splice, in, &at, a[1], NULL, 3, 0), 3);
	EXPECT_EQ(at, 5);
	at = 4;
	EXPECT_EQ(SYS(splice, a[0], NULL, out, &at, 2, 0), 2);
	EXPECT_EQ(at, 6);
	EXPECT_EQ(!strcmp(get("out"), "....23.."), 1);
	EXPECT_EQ(SYS(splice, a[0], NULL, b[1], NULL, 100, 0), 1);
	EXPECT_EQ(read(b[0], buf, 9), 1);
	EXPECT_EQ(buf[0], '4');
	EXPECT_EQ(SYS(splice, in, NULL, a[1], NULL, 0, 0), 0);
	EXPECT_EQ(SYS(splice, 99, NULL, 98, NULL, 0, 0), 0);
	EXPECT_ERR(SYS(splice, 99, NULL, a[1], NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(splice, in, NULL, 99, NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(splice, in, NULL, out, NULL, 1, 0), EINVAL);
	EXPECT_ERR(SYS(splice, in, NULL, a[1], NULL, 1, 0x10), EINVAL);
	EXPECT_ERR(SYS(splice, a[1], NULL, out, NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(splice, in, NULL, a[0], NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(splice, a[0], NULL, a[1], NULL, 1, 0), EINVAL);
	EXPECT_ERR(SYS(splice, a[0], &at, out, NULL, 1, 0), ESPIPE);
	EXPECT_ERR(SYS(splice, in, NULL, a[1], &at, 1, 0), ESPIPE);
	EXPECT_ERR(SYS(splice, in, BAD_ADDR, a[1], NULL, 1, 0), EFAULT);
	EXPECT_ERR(
	    SYS(splice, a[0], NULL, open("out", O_RDWR | O_APPEND), NULL, 1, 0), EINVAL);
	EXPECT_ERR(SYS(splice, a[0], NULL, out, NULL, 1, 2), EAGAIN);
	EXPECT_ERR(SYS(splice, a[0], NULL, b[1], NULL, 1, 2), EAGAIN);
	close(a[1]);
	EXPECT_EQ(SYS(splice, a[0], NULL, out, NULL, 1, 0), 0);
	fcntl(b[1], F_SETFL, O_NONBLOCK);
	while (write(b[1], dir, sizeof(dir)) > 0)
		;
	lseek(in, 0, SEEK_SET);
	EXPECT_ERR(SYS(splice, in, NULL, b[1], NULL, 1, 2), EAGAIN);
	EXPECT_EQ(lseek(in, 0, SEEK_CUR), 0);
	close(b[0]);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERR(SYS(splice, in, NULL, b[1], NULL, 1, 0), EPIPE);
}

/* proves: copy_file_range */
static void
copy_file_range_cases(void)
{
	int in, out, fds[2];
	off_t from = 1, to = 2;

	begin();
	put("in", "0123456789");
	put("out", "........");
	in = open("in", O_RDWR);
	out = open("out", O_RDWR);
	pair_of_pipes(fds);
	EXPECT_EQ(SYS(copy_file_range, in, &from, out, &to, 3, 0), 3);
	EXPECT_EQ(from, 4);
	EXPECT_EQ(to, 5);
	EXPECT_EQ(!strcmp(get("out"), "..123..."), 1);
	EXPECT_EQ(SYS(copy_file_range, in, NULL, out, NULL, 2, 0), 2);
	EXPECT_EQ(lseek(in, 0, SEEK_CUR), 2);
	EXPECT_EQ(lseek(out, 0, SEEK_CUR), 2);
	from = 10;
	EXPECT_EQ(SYS(copy_file_range, in, &from, out, &to, 3, 0), 0);
	EXPECT_EQ(SYS(copy_file_range, in, NULL, out, NULL, 0, 0), 0);
	EXPECT_ERR(SYS(copy_file_range, 99, NULL, out, NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(copy_file_range, in, NULL, 99, NULL, 1, 0), EBADF);
	EXPECT_ERR(SYS(copy_file_range, in, NULL, out, NULL, 1, 1), EINVAL);
	EXPECT_ERR(
	    SYS(copy_file_range, open("in", O_WRONLY), NULL, out, NULL, 1, 0), EBADF);
	EXPECT_ERR(
	    SYS(copy_file_range, in, NULL, open("out", O_RDONLY), NULL, 1, 0), EBADF);
	EXPECT_ERR(
	    SYS(copy_file_range, in, NULL, open("out", O_RDWR | O_APPEND), NULL, 1, 0),
	    EBADF);
	EXPECT_ERR(
	    SYS(copy_file_range, open(".", O_RDONLY), NULL, out, NULL, 1, 0), EISDIR);
	EXPECT_ERR(SYS(copy_file_range, fds[0], NULL, out, NULL, 1, 0), EINVAL);
	EXPECT_ERR(SYS(copy_file_range, in, NULL, fds[1], NULL, 1, 0), EINVAL);
	EXPECT_ERR(SYS(copy_file_range, in, BAD_ADDR, out, NULL, 1, 0), EFAULT);
	from = 0;
	to = 2;
	EXPECT_ERR(SYS(copy_file_range, in, &from, in, &to, 5, 0), EINVAL);
	EXPECT_EQ(SYS(copy_file_range, in, &from, in, &to, 2, 0), 2);
	EXPECT_EQ(!strcmp(get("in"), "0101456789"), 1);
	from = -1;
	EXPECT_ERR(SYS(copy_file_range, in, &from, out, &to, 1, 0), EOVERFLOW);
}

/* proves: fsync fdatasync sync syncfs sync_file_range */
static void
writing_back(void)
{
	int fd, p, fds[2];

	begin();
	put("f", "x");
	fd = open("f", O_RDONLY);
	p = open("f", O_PATH);
	pair_of_pipes(fds);
	EXPECT_EQ(SYS(sync), 0);
	EXPECT_EQ(SYS(fsync, fd), 0);
	EXPECT_EQ(SYS(fdatasync, fd), 0);
	EXPECT_EQ(SYS(fsync, open(".", O_RDONLY)), 0);
	EXPECT_ERR(SYS(fsync, 99), EBADF);
	EXPECT_ERR(SYS(fdatasync, 99), EBADF);
	EXPECT_ERR(SYS(fsync, p), EBADF);
	EXPECT_ERR(SYS(fdatasync, p), EBADF);
	EXPECT_ERR(SYS(fsync, fds[0]), EINVAL);
	EXPECT_ERR(SYS(fdatasync, fds[1]), EINVAL);
	EXPECT_EQ(SYS(syncfs, fd), 0);
	EXPECT_ERR(SYS(syncfs, 99), EBADF);
	EXPECT_ERR(SYS(syncfs, p), EBADF);
	EXPECT_EQ(SYS(sync_file_range, fd, 0L, 0L, 7), 0);
	EXPECT_ERR(SYS(sync_file_range, fd, 0L, 0L, 8), EINVAL);
	EXPECT_ERR(SYS(sync_file_range, fd, -1L, 0L, 1), EINVAL);
	EXPECT_ERR(SYS(sync_file_range, fd, 0L, -1L, 1), EINVAL);
	EXPECT_ERR(SYS(sync_file_range, fd, INT64_MAX, 2L, 1), EINVAL);
	EXPECT_ERR(SYS(sync_file_range, 99, 0L, 0L, 1), EBADF);
	EXPECT_ERR(SYS(sync_file_range, fds[0], 0L, 0L, 1), ESPIPE);
}

/* proves: fadvise64 readahead */
static void
advice(void)
{
	int fd, w, fds[2];

	begin();
	put("f", "x");
	fd = open("f", O_RDONLY);
	w = open("f", O_WRONLY);
	pair_of_pipes(fds);
	for (int i = 0; i <= 5; i++)
		EXPECT_EQ(SYS(fadvise64, fd, 0L, 0L, i), 0);
	EXPECT_ERR(SYS(fadvise64, fd, 0L, 0L, 6), EINVAL);
	EXPECT_ERR(SYS(fadvise64, fd, 0L, 0L, -1), EINVAL);
	EXPECT_ERR(SYS(fadvise64, fd, 0L, -1L, 0), EINVAL);
	EXPECT_ERR(SYS(fadvise64, 99, 0L, 0L, 0), EBADF);
	EXPECT_ERR(SYS(fadvise64, fds[0], 0L, 0L, 0), ESPIPE);
	EXPECT_EQ(SYS(readahead, fd, 0L, 4096L), 0);
	EXPECT_ERR(SYS(readahead, w, 0L, 4096L), EBADF);
	EXPECT_ERR(SYS(readahead, 99, 0L, 4096L), EBADF);
	EXPECT_ERR(SYS(readahead, fds[0], 0L, 4096L), EINVAL);
	EXPECT_ERR(SYS(readahead, open(".", O_RDONLY), 0L, 4096L), EINVAL);
}

static const struct test tests[] = {
    TEST(read_and_write_refuse),
    TEST(pipes_and_limits),
    TEST(vectors),
    TEST(vectors_with_flags),
    TEST(nowait_of_sockets),
    TEST(seeks),
    TEST(lengths),
    TEST(allocation),
    TEST(sendfile_cases),
    TEST(splice_cases),
    TEST(copy_file_range_cases),
    TEST(writing_back),
    TEST(advice),
};

RUN_TESTS(tests)
