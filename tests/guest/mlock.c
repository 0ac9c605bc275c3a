/* Locked memory: mlock(2) and its kin, RLIMIT_MEMLOCK, and what /proc says of sizes. */
#define _GNU_SOURCE
#include "tests/guest/caps_util.h"
#include "tests/guest/mem_util.h"

#include <sys/resource.h>
#include <sys/syscall.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { ONFAULT = 1, CURRENT = 1, FUTURE = 2, ALL_ONFAULT = 4 };

static char *
map(size_t pages, int prot, int more)
{
	return mmap(NULL, pages * PAGE, prot, ANON | more, -1, 0);
}

static long
lock2(const void *p, size_t len, int flags)
{
	return syscall(SYS_mlock2, p, len, flags);
}

/* Without CAP_IPC_LOCK, and so many pages may be locked. */
static void
be_limited(rlim_t pages)
{
	struct rlimit lim = {pages * PAGE, pages * PAGE};

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &lim), 0);
	drop_capability(CAP_IPC_LOCK);
}

static void
locked_pages_are_present_and_counted(void)
{
	char *p = map(10, RW, 0);

	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 0);
	CHECK_EQ(mlock(p + PAGE + 100, PAGE), 0); /* touches two pages */
	CHECK_EQ(present(p, 10), 2);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 8);
	CHECK_EQ(mlock(p, 10 * PAGE), 0);
	CHECK_EQ(present(p, 10), 10);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 40);
	CHECK_ERR(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(munlock(p + 2 * PAGE, 3 * PAGE), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 28);
	CHECK_EQ(munmap(p + 5 * PAGE, 5 * PAGE), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 8);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 0);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
}

static void
locking_on_fault_waits_for_it(void)
{
	char *p = map(10, RW, 0);

	CHECK_EQ(lock2(p, 10 * PAGE, ONFAULT), 0);
	CHECK_EQ(present(p, 10), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 40);
	p[0] = 1;
	CHECK_EQ(present(p, 10), 1);
	CHECK_EQ(lock2(p, 2 * PAGE, 0), 0);
	CHECK_EQ(present(p, 10), 2);
	CHECK_ERR(lock2(p, PAGE, 2), EINVAL);
	CHECK_EQ(munlock(p, 10 * PAGE), 0);
	CHECK_EQ(mlockall(CURRENT | FUTURE | ALL_ONFAULT), 0);
	CHECK_EQ(present(p, 10), 2);
	p = map(10, RW, 0);
	CHECK_EQ(present(p, 10), 0);
	CHECK_EQ(mlockall(FUTURE), 0);
	p = map(10, RW, 0);
	CHECK_EQ(present(p, 10), 10);
}

static void
arguments_are_checked(void)
{
	char *p = map(4, RW, 0);

	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK_ERR(mlock(p, 4 * PAGE), ENOMEM);
	CHECK_ERR(munlock(p, 4 * PAGE), ENOMEM);
	CHECK_EQ(mlock(p, 0), 0);
	CHECK_ERR(mlock((void *)-4096l, 8192), EINVAL);
	CHECK_EQ(mprotect(p, PAGE, PROT_NONE), 0);
	CHECK_ERR(mlock(p, PAGE), ENOMEM); /* cannot be made present */
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(8), EINVAL);
	CHECK_ERR(mlockall(ALL_ONFAULT), EINVAL);
}

static void
the_limit_is_kept(void)
{
	char *p = map(20, RW, 0), *q;

	be_limited(8);
	CHECK_ERR(mlock(p, 9 * PAGE), ENOMEM);
	CHECK_EQ(mlock(p, 5 * PAGE), 0);
	CHECK_ERR(mlock(p + 10 * PAGE, 4 * PAGE), ENOMEM);
	CHECK_EQ(mlock(p, 8 * PAGE), 0); /* five of them count once */
	CHECK_ERR((long)map(1, RW, MAP_LOCKED), EAGAIN);
	CHECK_ERR(mlockall(CURRENT), ENOMEM);
	CHECK_EQ(munlock(p, 4 * PAGE), 0);
	q = map(3, RW, MAP_LOCKED);
	CHECK(q != MAP_FAILED);
	CHECK_EQ(present(q, 3), 3);
	CHECK_ERR((long)mremap(q, 3 * PAGE, 10 * PAGE, MREMAP_MAYMOVE), EAGAIN);
	q = mremap(q, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_EQ(present(q, 3), 3);
	CHECK_EQ(mlockall(FUTURE), 0);
	CHECK_ERR((long)map(1, RW, 0), EAGAIN);
	CHECK_EQ(munlockall(), 0);
	CHECK(map(1, RW, 0) != MAP_FAILED);
}

static void
without_limit_or_capability_nothing_is_locked(void)
{
	char *p = map(1, RW, 0);

	be_limited(0);
	CHECK_ERR(mlock(p, PAGE), EPERM);
	CHECK_ERR(mlockall(FUTURE), EPERM);
	/* musl would make ENOMEM of it. */
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EPERM);
	CHECK_EQ(munlock(p, PAGE), 0);
	CHECK_EQ(munlockall(), 0);
}

static void
children_have_nothing_locked(void)
{
	char *p = map(4, RW, 0);
	int status;
	pid_t pid;

	CHECK_EQ(mlock(p, 4 * PAGE), 0);
	CHECK_EQ(mlockall(FUTURE), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 0);
		CHECK_EQ(present(map(4, RW, 0), 4), 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmLck"), 16);
}

static void
status_tells_peaks(void)
{
	long size = kb_of("/proc/self/status", "VmSize"),
	     data = kb_of("/proc/self/status", "VmData");
	char *p = map(2048, RW, 0);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(kb_of("/proc/self/status", "VmSize"), size + 8192);
	CHECK_EQ(kb_of("/proc/self/status", "VmData"), data + 8192);
	memset(p, 1, 1024 * PAGE);
	CHECK_EQ(munmap(p, 2048 * PAGE), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmSize"), size);
	CHECK(kb_of("/proc/self/status", "VmPeak") >= size + 8192);
	CHECK(kb_of("/proc/self/status", "VmHWM") >= 4000);
	CHECK(kb_of("/proc/self/status", "VmRSS") < 4000);
	CHECK(kb_of("/proc/self/status", "VmStk") >= 132 &&
	      kb_of("/proc/self/status", "VmStk") < 400);
	CHECK_EQ(kb_of("/proc/self/status", "VmPin"), 0);
	CHECK_EQ(kb_of("/proc/self/status", "VmSwap"), 0);
	CHECK(kb_of("/proc/self/status", "VmExe") > 0 &&
	      kb_of("/proc/self/status", "VmExe") < 200);
	CHECK(kb_of("/proc/self/status", "VmLib") <= 12);
	CHECK(kb_of("/proc/self/status", "VmPTE") >= 12 &&
	      kb_of("/proc/self/status", "VmPTE") < 100);
}

/* Size, resident, shared, text, lib, data: data has the stack as well. */
static void
statm_agrees_with_status(void)
{
	long v[7] = {0};
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL);
	CHECK_EQ(fscanf(f, "%ld %ld %ld %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3],
	             &v[4], &v[5], &v[6]),
	    7);
	CHECK_EQ(v[0] * 4, kb_of("/proc/self/status", "VmSize"));
	CHECK_EQ(v[3] * 4, kb_of("/proc/self/status", "VmExe"));
	CHECK_EQ(v[4], 0);
	CHECK_EQ(v[5] * 4,
	    kb_of("/proc/self/status", "VmData") + kb_of("/proc/self/status", "VmStk"));
	CHECK_EQ(v[6], 0);
}

static void
data_is_limited(void)
{
	struct rlimit data = {1 << 20, 1 << 20};
	char *heap = (char *)syscall(SYS_brk, 0), *p;

	CHECK_EQ(setrlimit(RLIMIT_DATA, &data), 0);
	CHECK_ERR((long)map(300, RW, 0), ENOMEM);
	CHECK(map(300, PROT_READ, 0) != MAP_FAILED);
	p = map(300, PROT_READ, 0);
	CHECK_ERR(mprotect(p, 300 * PAGE, RW), ENOMEM);
	CHECK_EQ(syscall(SYS_brk, heap + (2 << 20)), heap);
	CHECK_EQ(syscall(SYS_brk, heap + (1 << 18)), heap + (1 << 18));
	CHECK_EQ(syscall(SYS_brk, heap), heap);
	CHECK(
	    mmap(NULL, 300 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static const struct test tests[] = {
    TEST(locked_pages_are_present_and_counted),
    TEST(locking_on_fault_waits_for_it),
    TEST(arguments_are_checked),
    TEST(the_limit_is_kept),
    TEST(without_limit_or_capability_nothing_is_locked),
    TEST(children_have_nothing_locked),
    TEST(status_tells_peaks),
    TEST(statm_agrees_with_status),
    TEST(data_is_limited),
};

RUN_TESTS(tests)
