/* The calls on memory, one by one: what they refuse and the edges of what they do. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

/* Above what programs have, with page tables of five levels too. */
#define TOP ((void *)0xfffffffffff000)

static long
map(void *at, size_t len, int prot, int flags, int fd, long offset)
{
	return SYS(mmap, at, len, prot, flags, fd, offset);
}

static char *
pages(size_t n)
{
	char *p = mmap(NULL, n * PAGE, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* proves: mmap */
static void
mmap_errors(void)
{
	int fd = open("/tmp/mapped", O_CREAT | O_TRUNC | O_RDWR, 0600), r, w, p, fds[2];
	char *at = pages(4);

	CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
	CHECK_EQ(pipe(fds), 0);
	r = open("/tmp/mapped", O_RDONLY);
	w = open("/tmp/mapped", O_WRONLY);
	p = open("/tmp/mapped", O_PATH);
	EXPECT_ERR(map(NULL, 0, RW, ANON, -1, 0), EINVAL);
	EXPECT_ERR(map(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	EXPECT_ERR(map(NULL, PAGE, RW, MAP_SHARED, fd, 100), EINVAL);
	EXPECT_ERR(map(NULL, PAGE, RW, MAP_SHARED, 99, 0), EBADF);
	EXPECT_ERR(map(NULL, PAGE, RW, MAP_SHARED, p, 0), EBADF);
	EXPECT_ERR(map(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0), EACCES);
	EXPECT_ERR(map(NULL, PAGE, RW, MAP_SHARED, r, 0), EACCES);
	EXPECT_EQ(map(NULL, PAGE, RW, MAP_PRIVATE, r, 0) > 0, 1);
	EXPECT_ERR(map(NULL, PAGE, PROT_READ, MAP_SHARED, fds[0], 0), ENODEV);
	EXPECT_ERR(
	    map(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/tmp", O_RDONLY), 0), ENODEV);
	EXPECT_ERR(map(NULL, -1L, RW, ANON, -1, 0), ENOMEM);
	EXPECT_ERR(map(NULL, 1L << 47, RW, ANON, -1, 0), ENOMEM);
	EXPECT_ERR(
	    map(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, INT64_MAX & ~4095L), EOVERFLOW);
	EXPECT_ERR(map(at + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	EXPECT_ERR(map(TOP, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	EXPECT_ERR(map(KERNEL_ADDR, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	EXPECT_ERR(map(at, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	EXPECT_EQ(map(at, PAGE, RW, ANON | MAP_FIXED, -1, 0), at);
	EXPECT_EQ(map(at + PAGE + 5, PAGE, RW, ANON, -1, 0) != (long)at + PAGE, 1);
	EXPECT_EQ(map(NULL, 100, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) > 0, 1);
	/* MAP_SHARED_VALIDATE looks at the flags, MAP_SHARED does not. */
	EXPECT_ERR(map(NULL, PAGE, RW, 3 | 0x80000000, fd, 0), EOPNOTSUPP);
	EXPECT_EQ(map(NULL, PAGE, RW, MAP_SHARED | 0x200000, fd, 0) > 0, 1);
	EXPECT_EQ(map(NULL, PAGE, RW, 3, fd, 0) > 0, 1);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(
	    map(NULL, PAGE, RW, ANON | MAP_FIXED, -1, 0), EPERM); /* mmap_min_addr */
}

/* proves: munmap mprotect */
static void
munmap_and_mprotect(void)
{
	char *p = pages(8);
	int r = open("/proc/self/exe", O_RDONLY);
	char *f = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 0);

	EXPECT_ERR(SYS(munmap, p + 1, PAGE), EINVAL);
	EXPECT_ERR(SYS(munmap, p, 0), EINVAL);
	EXPECT_ERR(SYS(munmap, TOP, PAGE), EINVAL);
	EXPECT_ERR(SYS(munmap, p, -1L), EINVAL);
	EXPECT_ERR(SYS(munmap, KERNEL_ADDR, PAGE), EINVAL);
	EXPECT_EQ(SYS(munmap, p + 2 * PAGE, 1), 0);    /* whole pages */
	EXPECT_EQ(SYS(munmap, p + 2 * PAGE, PAGE), 0); /* nothing there is no error */
	EXPECT_ERR(SYS(mprotect, p, 3 * PAGE, PROT_READ), ENOMEM); /* a hole */
	EXPECT_EQ(SYS(mprotect, p, 0, PROT_READ), 0);
	EXPECT_ERR(SYS(mprotect, p + 1, PAGE, PROT_READ), EINVAL);
	EXPECT_ERR(SYS(mprotect, p, PAGE, 0x100), EINVAL);
	EXPECT_ERR(SYS(mprotect, p, PAGE, PROT_GROWSUP), EINVAL);
	EXPECT_ERR(SYS(mprotect, p, PAGE, PROT_GROWSDOWN), EINVAL);
	EXPECT_ERR(SYS(mprotect, p, -1L, PROT_READ), ENOMEM);
	EXPECT_ERR(SYS(mprotect, KERNEL_ADDR, PAGE, PROT_READ), ENOMEM);
	EXPECT_ERR(SYS(mprotect, f, PAGE, RW), EACCES);
	EXPECT_EQ(SYS(mprotect, p + 3 * PAGE, PAGE, PROT_NONE), 0);
}

/* proves: brk */
static void
brk_moves(void)
{
	long start = SYS(brk, 0), grown;

	EXPECT_EQ(SYS(brk, 1), start); /* below the start: told where it is */
	grown = SYS(brk, start + 3 * PAGE + 5);
	EXPECT_EQ(grown, start + 3 * PAGE + 5);
	((char *)start)[3 * PAGE] = 1;
	EXPECT_EQ(SYS(brk, start), start);
	EXPECT_EQ(SYS(brk, start + PAGE), start + PAGE);
	EXPECT_EQ(((char *)start)[0], 0);
	EXPECT_EQ(SYS(brk, 1L << 47), start + PAGE);
	CHECK_EQ(setrlimit(RLIMIT_DATA, &(struct rlimit){1 << 20, 1 << 20}), 0);
	EXPECT_EQ(SYS(brk, start + (4 << 20)), start + PAGE);
}

/* proves: mremap */
static void
mremap_cases(void)
{
	char *p = pages(8), *q;

	EXPECT_ERR(SYS(mremap, p + 1, PAGE, PAGE, 0), EINVAL);
	EXPECT_ERR(SYS(mremap, p, PAGE, 0, 0), EINVAL);
	EXPECT_ERR(SYS(mremap, p, PAGE, PAGE, 8), EINVAL);
	EXPECT_ERR(SYS(mremap, p, PAGE, PAGE, MREMAP_FIXED, p), EINVAL);
	EXPECT_ERR(
	    SYS(mremap, p, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, p + PAGE),
	    EINVAL);
	EXPECT_ERR(
	    SYS(mremap, p, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, p + 5), EINVAL);
	EXPECT_ERR(SYS(mremap, BAD_ADDR, PAGE, PAGE, 0), EINVAL);
	EXPECT_ERR(SYS(mremap, (void *)PAGE, PAGE, 2 * PAGE, 0), EFAULT);
	EXPECT_ERR(SYS(mremap, KERNEL_ADDR, PAGE, 2 * PAGE, 0), EFAULT);
	p[0] = 'a';
	p[7 * PAGE] = 'b';
	EXPECT_ERR(SYS(mremap, p, PAGE, 2 * PAGE, 0), ENOMEM); /* no room behind it */
	EXPECT_EQ(SYS(mremap, p, 8 * PAGE, 4 * PAGE, 0), p);
	q = (char *)SYS(mremap, p, 4 * PAGE, 1 << 20, MREMAP_MAYMOVE);
	EXPECT_EQ(q[0], 'a');
	p = pages(1);
	q = (char *)SYS(mremap, q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	EXPECT_EQ(q == p && p[0] == 'a', 1);
	EXPECT_ERR(SYS(mremap, p, 0, PAGE, MREMAP_MAYMOVE), EINVAL);   /* private */
	q = (char *)SYS(mremap, p, PAGE, PAGE, MREMAP_MAYMOVE | 4, 0); /* DONTUNMAP */
	EXPECT_EQ(q != p && q[0] == 'a' && p[0] == 0, 1);
	EXPECT_ERR(SYS(mremap, p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | 4, 0), EINVAL);
}

/* proves: msync mincore madvise */
static void
msync_mincore_madvise(void)
{
	static const int fine[] = {0, 1, 2, 3, 4, 8, 10, 11, 16, 17, 18, 19, 20, 21};
	char *p = pages(4);
	unsigned char vec[4];

	p[0] = 1;
	EXPECT_EQ(SYS(msync, p, 4 * PAGE, MS_SYNC), 0);
	EXPECT_EQ(SYS(msync, p, 0, MS_ASYNC), 0);
	EXPECT_ERR(SYS(msync, p + 1, PAGE, MS_SYNC), EINVAL);
	EXPECT_ERR(SYS(msync, p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	EXPECT_ERR(SYS(msync, p, PAGE, 8), EINVAL);
	EXPECT_ERR(SYS(msync, (void *)PAGE, PAGE, MS_SYNC), ENOMEM);
	EXPECT_ERR(SYS(msync, p, 1L << 47, MS_SYNC), ENOMEM);
	EXPECT_EQ(SYS(mincore, p, 4 * PAGE, vec), 0);
	EXPECT_EQ(vec[0] & 1, 1);
	EXPECT_EQ(vec[3] & 1, 0);
	EXPECT_ERR(SYS(mincore, p + 1, PAGE, vec), EINVAL);
	EXPECT_ERR(SYS(mincore, p, PAGE, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(mincore, (void *)PAGE, PAGE, vec), ENOMEM);
	EXPECT_ERR(SYS(mincore, KERNEL_ADDR, PAGE, vec), ENOMEM);
	EXPECT_EQ(SYS(mincore, p, 0, vec), 0);
	for (unsigned i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		EXPECT_EQ(SYS(madvise, p, PAGE, fine[i]), 0);
	EXPECT_ERR(SYS(madvise, p, PAGE, 7), EINVAL);
	EXPECT_ERR(SYS(madvise, p, PAGE, 99), EINVAL);
	EXPECT_ERR(SYS(madvise, p, PAGE, -1), EINVAL);
	EXPECT_ERR(SYS(madvise, p + 1, PAGE, MADV_NORMAL), EINVAL);
	EXPECT_ERR(SYS(madvise, p, -1L, MADV_NORMAL), EINVAL);
	EXPECT_EQ(SYS(madvise, p, 0, MADV_NORMAL), 0);
	EXPECT_ERR(SYS(madvise, (void *)PAGE, PAGE, MADV_NORMAL), ENOMEM);
	EXPECT_ERR(SYS(madvise, p, PAGE, MADV_REMOVE), EINVAL);
	p[0] = 1;
	EXPECT_EQ(SYS(madvise, p, 1, MADV_DONTNEED), 0); /* rounded up */
	EXPECT_EQ(p[0], 0);
	/* WIPEONFORK and DONTFORK. */
	p[PAGE] = 5;
	EXPECT_EQ(SYS(madvise, p + PAGE, PAGE, 18), 0);
	if (fork() == 0)
		_exit(p[PAGE] != 0);
	CHECK(wait((int *)p) > 0);
	EXPECT_EQ(*(int *)p, 0);
	EXPECT_EQ(p[PAGE], 5);
}

/* proves: mlock mlock2 munlock mlockall munlockall */
static void
locking(void)
{
	char *p = pages(4);

	EXPECT_EQ(SYS(mlock, p, 2 * PAGE), 0);
	EXPECT_EQ(SYS(mlock, p + 5, 1), 0);
	EXPECT_EQ(SYS(mlock, p, 0), 0);
	EXPECT_EQ(SYS(mlock2, p, PAGE, 1), 0); /* MLOCK_ONFAULT */
	EXPECT_ERR(SYS(mlock2, p, PAGE, 2), EINVAL);
	EXPECT_ERR(SYS(mlock, (void *)PAGE, PAGE), ENOMEM);
	EXPECT_ERR(SYS(mlock, p, 1L << 47), ENOMEM);
	EXPECT_ERR(SYS(munlock, (void *)PAGE, PAGE), ENOMEM);
	EXPECT_EQ(SYS(munlock, p, 4 * PAGE), 0);
	EXPECT_ERR(SYS(mlockall, 0), EINVAL);
	EXPECT_ERR(SYS(mlockall, 8), EINVAL);
	EXPECT_ERR(SYS(mlockall, MCL_ONFAULT), EINVAL);
	EXPECT_EQ(SYS(mlockall, MCL_CURRENT | MCL_ONFAULT), 0);
	EXPECT_EQ(SYS(munlockall), 0);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){PAGE, PAGE}), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_EQ(SYS(mlock, p, PAGE), 0);
	EXPECT_ERR(SYS(mlock, p, 2 * PAGE), ENOMEM);
	EXPECT_ERR(SYS(mlockall, MCL_CURRENT), ENOMEM);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}), 0);
	EXPECT_ERR(SYS(mlock, p + PAGE, PAGE), EPERM);
	EXPECT_ERR(SYS(mlockall, MCL_FUTURE), EPERM);
}

/* proves: process_vm_readv process_vm_writev */
static void
memory_of_others(void)
{
	char from[8] = "abcdefg", to[8] = "";
	struct iovec l[2] = {{to, 3}, {to + 4, 2}}, r[2] = {{from, 4}, {from + 6, 1}};
	pid_t self = getpid(), pid;

	EXPECT_EQ(SYS(process_vm_readv, self, l, 2L, r, 2L, 0L), 5);
	EXPECT_EQ(!memcmp(to, "abc\0dg", 6), 1);
	EXPECT_EQ(SYS(process_vm_writev, self, l, 1L, r, 1L, 0L), 3);
	EXPECT_EQ(SYS(process_vm_readv, self, l, 0L, r, 1L, 0L), 0);
	EXPECT_ERR(SYS(process_vm_readv, self, l, 1L, r, 1L, 1L), EINVAL);
	EXPECT_ERR(SYS(process_vm_readv, self, l, 1025L, r, 1L, 0L), EINVAL);
	EXPECT_ERR(SYS(process_vm_readv, 0x7ffffff0, l, 1L, r, 1L, 0L), ESRCH);
	EXPECT_ERR(SYS(process_vm_readv, self, BAD_ADDR, 1L, r, 1L, 0L), EFAULT);
	EXPECT_ERR(SYS(process_vm_readv, self, l, 1L, BAD_ADDR, 1L, 0L), EFAULT);
	r[0].iov_base = BAD_ADDR;
	EXPECT_ERR(SYS(process_vm_readv, self, l, 1L, r, 1L, 0L), EFAULT);
	r[0].iov_base = from;
	r[1].iov_base = BAD_ADDR;
	EXPECT_EQ(SYS(process_vm_readv, self, l, 2L, r, 2L, 0L), 4); /* what could be */
	pid = fork();
	if (pid == 0) {
		alarm(20); /* when nobody else ends it */
		for (;;)
			pause();
	}
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(process_vm_readv, pid, l, 1L, r, 1L, 0L), EPERM);
	EXPECT_ERR(SYS(process_vm_writev, pid, l, 1L, r, 1L, 0L), EPERM);
}

static const struct test tests[] = {
    TEST(mmap_errors),
    TEST(munmap_and_mprotect),
    TEST(brk_moves),
    TEST(mremap_cases),
    TEST(msync_mincore_madvise),
    TEST(locking),
    TEST(memory_of_others),
};

RUN_TESTS(tests)
