/*
 * Holes punched into files of memory, by fallocate and by madvise(MADV_REMOVE): what reads, mappings,
 * seeks and counts say of them afterwards, and what seals forbid.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { PAGE = 4096, PAGES = 16, PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };

/* A file of `PAGES` pages, each full of its number plus one. */
static int
make_file(void)
{
	int fd = memfd_create("holes", MFD_ALLOW_SEALING);
	char page[PAGE];

	CHECK(fd >= 0);
	for (int i = 0; i < PAGES; i++) {
		memset(page, i + 1, PAGE);
		CHECK_EQ(write(fd, page, PAGE), PAGE);
	}
	return fd;
}

static long
blocks_of(int fd)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, PAGES * PAGE);
	return st.st_blocks;
}

static int
byte_at(int fd, off_t at)
{
	unsigned char c = 255;

	CHECK_EQ(pread(fd, &c, 1, at), 1);
	return c;
}

/* proves: fallocate */
static void
pages_are_given_back(void)
{
	int fd = make_file();

	EXPECT_EQ(blocks_of(fd), PAGES * 8);
	EXPECT_EQ(fallocate(fd, PUNCH, 2 * PAGE, 3 * PAGE), 0);
	EXPECT_EQ(blocks_of(fd), (PAGES - 3) * 8);
	EXPECT_EQ(byte_at(fd, 2 * PAGE - 1), 2);
	EXPECT_EQ(byte_at(fd, 2 * PAGE), 0);
	EXPECT_EQ(byte_at(fd, 5 * PAGE - 1), 0);
	EXPECT_EQ(byte_at(fd, 5 * PAGE), 6);
	EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 2 * PAGE);
	EXPECT_EQ(lseek(fd, 2 * PAGE, SEEK_DATA), 5 * PAGE);
	EXPECT_EQ(lseek(fd, 5 * PAGE, SEEK_HOLE), PAGES * PAGE);
	/* Parts of pages are zeroed, and stay. */
	EXPECT_EQ(fallocate(fd, PUNCH, 7 * PAGE + 100, 2 * PAGE), 0);
	EXPECT_EQ(blocks_of(fd), (PAGES - 4) * 8);
	EXPECT_EQ(byte_at(fd, 7 * PAGE + 99), 8);
	EXPECT_EQ(byte_at(fd, 7 * PAGE + 100), 0);
	EXPECT_EQ(byte_at(fd, 8 * PAGE), 0);
	EXPECT_EQ(byte_at(fd, 9 * PAGE + 99), 0);
	EXPECT_EQ(byte_at(fd, 9 * PAGE + 100), 10);
	EXPECT_EQ(fallocate(fd, PUNCH, 10 * PAGE + 1, 10), 0);
	EXPECT_EQ(byte_at(fd, 10 * PAGE), 11);
	EXPECT_EQ(byte_at(fd, 10 * PAGE + 1), 0);
	EXPECT_EQ(byte_at(fd, 10 * PAGE + 10), 0);
	EXPECT_EQ(byte_at(fd, 10 * PAGE + 11), 11);
	/* Once more, beyond the end, and from there: nothing happens. */
	EXPECT_EQ(fallocate(fd, PUNCH, 2 * PAGE, 3 * PAGE), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, 100 * PAGE, PAGE), 0);
	EXPECT_EQ(blocks_of(fd), (PAGES - 4) * 8);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, INT64_MAX), 0);
	EXPECT_EQ(blocks_of(fd), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	EXPECT_ERR(lseek(fd, 0, SEEK_DATA), ENXIO);
	EXPECT_EQ(pwrite(fd, "x", 1, 3 * PAGE), 1);
	EXPECT_EQ(blocks_of(fd), 8);
	EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 3 * PAGE);
}

/* proves: fallocate */
static void
mappings_see_the_hole(void)
{
	int fd = make_file();
	unsigned char *shared, *own, *reader, vec[PAGES];

	shared = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	reader = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	own = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && own != MAP_FAILED && reader != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		CHECK(shared[i * PAGE] == i + 1 && own[i * PAGE] == i + 1 &&
		      reader[i * PAGE] == i + 1);
	own[3 * PAGE] = 77; /* its page is its own from now on */
	shared[4 * PAGE] = 78;
	EXPECT_EQ(fallocate(fd, PUNCH, 2 * PAGE, 4 * PAGE), 0);
	CHECK_EQ(mincore(shared, PAGES * PAGE, vec), 0);
	EXPECT_EQ(vec[1] & 1, 1);
	EXPECT_EQ(vec[2] & 1, 0);
	EXPECT_EQ(vec[5] & 1, 0);
	EXPECT_EQ(vec[6] & 1, 1);
	EXPECT_EQ(own[3 * PAGE], 77);
	EXPECT_EQ(own[3 * PAGE + 1], 4);
	EXPECT_EQ(own[2 * PAGE], 0);
	EXPECT_EQ(reader[4 * PAGE], 0);
	EXPECT_EQ(shared[4 * PAGE], 0);
	EXPECT_EQ(shared[2 * PAGE - 1], 2);
	EXPECT_EQ(shared[6 * PAGE], 7);
	/* What is written there now is the file's, and all see it. */
	shared[5 * PAGE] = 99;
	EXPECT_EQ(byte_at(fd, 5 * PAGE), 99);
	EXPECT_EQ(reader[5 * PAGE], 99);
	EXPECT_EQ(own[5 * PAGE], 99);
}

/* proves: madvise */
static void
advice_removes(void)
{
	int fd = make_file(), r = open("/proc/self/exe", O_RDONLY);
	unsigned char *p, *q;
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	CHECK(ro >= 0 && r >= 0);
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4 * PAGE);
	CHECK(p != MAP_FAILED);
	EXPECT_EQ(p[PAGE], 6);
	EXPECT_EQ(madvise(p + PAGE, 2 * PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(blocks_of(fd), (PAGES - 2) * 8);
	EXPECT_EQ(p[PAGE], 0);
	EXPECT_EQ(byte_at(fd, 4 * PAGE), 5);
	EXPECT_EQ(byte_at(fd, 6 * PAGE + 5), 0);
	EXPECT_EQ(byte_at(fd, 7 * PAGE), 8);
	/* No right to write it now, but it may come: enough. */
	EXPECT_EQ(mprotect(p, 8 * PAGE, PROT_READ), 0);
	EXPECT_EQ(madvise(p, PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(byte_at(fd, 4 * PAGE), 0);
	q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(q != MAP_FAILED);
	EXPECT_ERR(madvise(q, PAGE, MADV_REMOVE), EACCES);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	EXPECT_ERR(madvise(q, PAGE, MADV_REMOVE), EACCES);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_ERR(madvise(q, PAGE, MADV_REMOVE), EINVAL);
	EXPECT_EQ(mlock(p + 7 * PAGE, PAGE), 0);
	EXPECT_ERR(madvise(p + 7 * PAGE, PAGE, MADV_REMOVE), EINVAL);
	/* Shared memory without a name is a file too. */
	q = mmap(
	    NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	q[0] = q[PAGE] = 5;
	EXPECT_EQ(madvise(q, PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(q[0], 0);
	EXPECT_EQ(q[PAGE], 5);
	/* A gap is told of at the end, after all else is done. */
	EXPECT_EQ(munmap(p + 2 * PAGE, PAGE), 0);
	EXPECT_ERR(madvise(p + PAGE, 3 * PAGE, MADV_REMOVE), ENOMEM);
	EXPECT_EQ(byte_at(fd, 7 * PAGE), 0);
	EXPECT_EQ(byte_at(fd, 8 * PAGE), 9);
}

/* proves: fallocate */
static void
seals_forbid_it(void)
{
	int fd = make_file(), other = make_file();
	unsigned char *p;

	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, PAGE), 0);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	EXPECT_ERR(fallocate(fd, PUNCH, PAGE, PAGE), EPERM);
	EXPECT_EQ(byte_at(fd, PAGE), 2);
	CHECK_EQ(fcntl(other, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	EXPECT_ERR(fallocate(other, PUNCH, 0, PAGE), EPERM);
	EXPECT_ERR(madvise(p, PAGE, MADV_REMOVE), EPERM);
	EXPECT_EQ(byte_at(other, 0), 1);
}

/* proves: fallocate */
static void
room_comes_back(void)
{
	char dir[] = "/tmp/holesXXXXXX", path[64];
	struct statfs sf;
	struct stat st;
	int fd;

	CHECK(mkdtemp(dir));
	CHECK_EQ(mount("none", dir, "tmpfs", 0, "size=64k"), 0);
	snprintf(path, sizeof(path), "%s/f", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0);
	EXPECT_EQ(fallocate(fd, 0, 0, 64 << 10), 0);
	EXPECT_ERR(pwrite(fd, "x", 1, 64 << 10), ENOSPC);
	EXPECT_EQ(fallocate(fd, PUNCH, 4 << 10, 16 << 10), 0);
	CHECK_EQ(statfs(dir, &sf), 0);
	EXPECT_EQ(sf.f_bfree, 4);
	EXPECT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 64 << 10, 16 << 10), 0);
	CHECK_EQ(statfs(dir, &sf), 0);
	EXPECT_EQ(sf.f_bfree, 0);
	/* Beyond the end too. */
	EXPECT_EQ(fallocate(fd, PUNCH, 64 << 10, 16 << 10), 0);
	CHECK_EQ(statfs(dir, &sf), 0);
	EXPECT_EQ(sf.f_bfree, 4);
	CHECK_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 64 << 10);
	EXPECT_EQ(ftruncate(fd, 0), 0);
	CHECK_EQ(statfs(dir, &sf), 0);
	EXPECT_EQ(sf.f_bfree, 16);
	close(fd);
	CHECK_EQ(umount(dir), 0);
	CHECK_EQ(rmdir(dir), 0);
}

/* Writers through a mapping and a puncher: every byte is what somebody wrote, or a zero. proves: fallocate */
static void
punching_while_writing(void)
{
	enum { ROUNDS = 2000 };
	int fd = make_file(), status;
	unsigned char *p =
	    mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid;

	CHECK(p != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < ROUNDS; i++)
			CHECK_EQ(fallocate(fd, PUNCH, i % PAGES * PAGE, 2 * PAGE), 0);
		_exit(0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		unsigned char *at = p + i * 7 % PAGES * PAGE;

		at[i] = 33;
		CHECK(at[i] == 33 || at[i] == 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, PAGES * PAGE), 0);
	EXPECT_EQ(blocks_of(fd), 0);
	for (int i = 0; i < PAGES * PAGE; i++)
		CHECK_EQ(p[i], 0);
}

static const struct test tests[] = {
    TEST(pages_are_given_back),
    TEST(mappings_see_the_hole),
    TEST(advice_removes),
    TEST(seals_forbid_it),
    TEST(room_comes_back),
    TEST(punching_while_writing),
};

RUN_TESTS(tests)
