/* Advice about memory (madvise(2), process_madvise(2)), and remap_file_pages(2). */
#define _GNU_SOURCE
#include "tests/guest/mem_util.h"

#include <sys/syscall.h>
#include <sys/uio.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { PROCESS_MADVISE = 440, PIDFD_OPEN = 434 };
enum {
	NORMAL,
	RANDOM,
	SEQUENTIAL,
	WILLNEED,
	DONTNEED,
	DONTFORK = 10,
	DOFORK,
	WIPEONFORK = 18,
	KEEPONFORK,
	COLD,
	PAGEOUT,
	POPULATE_READ,
	POPULATE_WRITE,
};

static char *
map(size_t pages, int prot, int flags)
{
	char *p = mmap(NULL, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* proves: madvise */
static void
ranges_are_checked(void)
{
	char *p = map(8, RW, MAP_PRIVATE);

	CHECK_ERR(madvise(p + 1, PAGE, NORMAL), EINVAL);
	CHECK_ERR(madvise(p, -1ul, NORMAL), EINVAL);
	CHECK_ERR(madvise(p, -(size_t)PAGE, NORMAL), EINVAL);
	CHECK_ERR(madvise(p, PAGE, 999), EINVAL);
	CHECK_ERR(madvise(p, 0, 999), EINVAL);
	CHECK_EQ(madvise(p, 0, NORMAL), 0);
	CHECK_EQ(madvise((void *)PAGE, 0, DONTNEED), 0);
	CHECK_ERR(madvise((void *)0x7ffffffff000, PAGE, NORMAL), ENOMEM);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	/* What is there gets the advice all the same. */
	p[0] = p[4 * PAGE] = 1;
	CHECK_ERR(madvise(p, 8 * PAGE, DONTNEED), ENOMEM);
	CHECK(p[0] == 0 && p[4 * PAGE] == 0);
	for (int advice = NORMAL; advice <= WILLNEED; advice++)
		CHECK_EQ(madvise(p + 2 * PAGE, 2 * PAGE, advice), 0);
}

static void
children_get_what_they_are_to_get(void)
{
	char *wiped = map(2, RW, MAP_PRIVATE), *kept = map(1, RW, MAP_PRIVATE);
	char *shared = map(1, RW, MAP_SHARED), *none = map(1, RW, MAP_PRIVATE);
	unsigned char vec;
	int status;
	pid_t pid;

	wiped[0] = wiped[PAGE] = kept[0] = 1;
	CHECK_ERR(madvise(shared, PAGE, WIPEONFORK), EINVAL);
	CHECK_EQ(madvise(wiped, 2 * PAGE, WIPEONFORK), 0);
	CHECK_EQ(madvise(wiped + PAGE, PAGE, KEEPONFORK), 0);
	CHECK_EQ(madvise(none, PAGE, DONTFORK), 0);
	CHECK_EQ(madvise(kept, PAGE, DONTFORK), 0);
	CHECK_EQ(madvise(kept, PAGE, DOFORK), 0);
	pid = fork();
	if (!pid) {
		CHECK(wiped[0] == 0 && wiped[PAGE] == 1 && kept[0] == 1);
		CHECK_ERR(mincore(none, PAGE, &vec), ENOMEM);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(wiped[0], 1);
}

static void
pages_are_populated(void)
{
	char *p = map(8, RW, MAP_PRIVATE), *shared = map(8, RW, MAP_SHARED);
	char *ro = map(2, PROT_READ, MAP_PRIVATE), *no = map(2, PROT_NONE, MAP_PRIVATE);
	int fd = (int)syscall(SYS_memfd_create, "short", 0);
	char *file;

	CHECK_EQ(madvise(p, 4 * PAGE, POPULATE_WRITE), 0);
	CHECK_EQ(present(p, 8), 4);
	CHECK_EQ(madvise(shared, 3 * PAGE, POPULATE_WRITE), 0);
	CHECK_EQ(present(shared, 8), 3);
	CHECK_EQ(madvise(p, 8 * PAGE, POPULATE_READ), 0);
	CHECK_EQ(madvise(ro, 2 * PAGE, POPULATE_READ), 0);
	CHECK_ERR(madvise(ro, 2 * PAGE, POPULATE_WRITE), EINVAL);
	CHECK_ERR(madvise(no, 2 * PAGE, POPULATE_READ), EINVAL);
	CHECK_EQ(ftruncate(fd, PAGE), 0);
	file = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(file != MAP_FAILED);
	CHECK_EQ(madvise(file, PAGE, POPULATE_WRITE), 0);
	CHECK_ERR(madvise(file, 2 * PAGE, POPULATE_WRITE), EFAULT);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK_ERR(madvise(p, 8 * PAGE, POPULATE_READ), ENOMEM);
}

/* proves: process_madvise */
static void
other_processes_are_advised(void)
{
	char *p = map(4, RW, MAP_PRIVATE);
	struct iovec v[2] = {{p, PAGE}, {p + 2 * PAGE, 2 * PAGE}};
	int fd, null = open("/dev/null", O_RDONLY), status;
	pid_t pid = fork();

	if (!pid) {
		for (;;)
			pause();
	}
	fd = (int)syscall(PIDFD_OPEN, pid, 0);
#define ADVISE(...) syscall(PROCESS_MADVISE, __VA_ARGS__)
	CHECK_EQ(ADVISE(fd, v, 2l, COLD, 0l), 3 * PAGE);
	CHECK_EQ(ADVISE(fd, v, 0l, COLD, 0l), 0);
	CHECK_ERR(ADVISE(fd, v, 2l, DONTNEED, 0l), EINVAL);
	CHECK_ERR(ADVISE(fd, v, 2l, COLD, 1l), EINVAL);
	CHECK_ERR(ADVISE(fd, v, 1025l, COLD, 0l), EINVAL);
	CHECK_ERR(ADVISE(null, v, 2l, COLD, 0l), EBADF);
	CHECK_ERR(ADVISE(fd, (void *)8, 2l, COLD, 0l), EFAULT);
	v[1].iov_base = p + 1;
	CHECK_EQ(ADVISE(fd, v, 2l, COLD, 0l), PAGE);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_ERR(ADVISE(fd, v, 1l, COLD, 0l), ESRCH);
}

/* proves: remap_file_pages */
static void
file_pages_are_remapped(void)
{
	int fd = (int)syscall(SYS_memfd_create, "pages", 0);
	volatile char *p;

	CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = (char)('a' + i);
#define REMAP(...) syscall(SYS_remap_file_pages, __VA_ARGS__)
	CHECK_EQ(REMAP(p, PAGE, 0l, 2l, 0l), 0);
	CHECK(p[0] == 'c' && p[PAGE] == 'b' && p[2 * PAGE] == 'c');
	p[0] = 'C';
	CHECK_EQ(p[2 * PAGE], 'C');
	CHECK_ERR(REMAP(p, PAGE, (long)PROT_READ, 2l, 0l), EINVAL);
	CHECK_ERR(REMAP(p, 0l, 0l, 2l, 0l), EINVAL);
	CHECK_ERR(REMAP(map(1, RW, MAP_PRIVATE), PAGE, 0l, 0l, 0l), EINVAL);
	CHECK_ERR(REMAP(8l, PAGE, 0l, 0l, 0l), EINVAL);
}

static const struct test tests[] = {
    TEST(ranges_are_checked),
    TEST(children_get_what_they_are_to_get),
    TEST(pages_are_populated),
    TEST(other_processes_are_advised),
    TEST(file_pages_are_remapped),
};

RUN_TESTS(tests)
