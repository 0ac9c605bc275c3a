/*
 * What may be promised: overcommit in its three modes, what is counted as promised, and the
 * other settings in /proc/sys/vm. They are the whole machine's, so this runs only where the
 * tests have one of their own.
 */
#define _GNU_SOURCE
#include "tests/guest/mem_util.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define MIB(n) ((size_t)(n) << 20)

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { SHARED = MAP_SHARED | MAP_ANONYMOUS, SLACK = 600 /* kB */ };

static long
get(const char *name)
{
	char path[80], text[40] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

/* 0, or -1 with errno. */
static int
set(const char *name, long value)
{
	char path[80], text[40];
	int fd, n, saved;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	n = snprintf(text, sizeof(text), "%ld\n", value);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	n = write(fd, text, (size_t)n) == n ? 0 : -1;
	saved = errno;
	close(fd);
	errno = saved;
	return n;
}

static long
map(size_t len, int prot, int flags)
{
	return (long)mmap(NULL, len, prot, flags, -1, 0);
}

/* Promised memory, since the last call. */
static long
change(void)
{
	static long last;
	long now = kb_of("/proc/meminfo", "Committed_AS"), difference = now - last;

	last = now;
	return difference;
}

#define CHECK_CHANGE(mib) \
	do { \
		long c_ = change(), w_ = (mib)*1024L; \
		if (c_ < w_ - SLACK || c_ > w_ + SLACK) { \
			printf("FAIL %s:%d promised %ld kB, not %ld\n", __FILE__, \
			    __LINE__, c_, w_); \
			fflush(stdout); \
			_exit(1); \
		} \
	} while (0)

static void
private_writable_memory_counts(void)
{
	long p, q;

	change();
	p = map(MIB(20), RW, ANON);
	CHECK_CHANGE(20);
	CHECK_EQ(munmap((void *)(p + MIB(5)), MIB(10)), 0);
	CHECK_CHANGE(-10);
	CHECK_EQ(mprotect((void *)p, MIB(5), PROT_READ), 0);
	CHECK_CHANGE(0); /* what has been promised stays so */
	CHECK_EQ(munmap((void *)p, MIB(20)), 0);
	CHECK_CHANGE(-10);
	p = map(MIB(20), PROT_READ, ANON);
	CHECK_CHANGE(0);
	CHECK_EQ(mprotect((void *)p, MIB(8), RW), 0);
	CHECK_CHANGE(8);
	CHECK_EQ(munmap((void *)p, MIB(20)), 0);
	CHECK_CHANGE(-8);
	p = map(MIB(20), RW, ANON | MAP_NORESERVE);
	CHECK_CHANGE(0);
	CHECK_EQ(mprotect((void *)p, MIB(8), PROT_READ), 0);
	CHECK_EQ(mprotect((void *)p, MIB(8), RW), 0);
	CHECK_CHANGE(0);
	q = map(MIB(20), RW, ANON);
	CHECK_CHANGE(20);
	q = (long)mremap((void *)q, MIB(20), MIB(30), MREMAP_MAYMOVE);
	CHECK(q != -1);
	CHECK_CHANGE(10);
	q = (long)mremap((void *)q, MIB(30), MIB(12), MREMAP_MAYMOVE);
	CHECK_CHANGE(-18);
	CHECK((long)mmap((void *)q, MIB(12), RW, ANON | MAP_FIXED, -1, 0) == q);
	CHECK_CHANGE(0);
	CHECK((long)mmap((void *)q, MIB(12), PROT_NONE, ANON | MAP_FIXED, -1, 0) == q);
	CHECK_CHANGE(-12);
}

static void
shared_memory_counts_by_its_size(void)
{
	long p, q;
	int id;

	change();
	p = map(MIB(20), RW, SHARED);
	CHECK_CHANGE(20);
	CHECK_EQ(munmap((void *)p, MIB(10)), 0);
	CHECK_CHANGE(0); /* the object is there */
	CHECK_EQ(munmap((void *)(p + MIB(10)), MIB(10)), 0);
	CHECK_CHANGE(-20);
	q = map(MIB(20), RW, SHARED | MAP_NORESERVE);
	CHECK_CHANGE(0);
	memset((void *)q, 1, MIB(1));
	id = shmget(IPC_PRIVATE, MIB(20), 0600 | IPC_CREAT);
	CHECK(id >= 0);
	p = change();
	CHECK(p >= 20 * 1024 - SLACK && p <= 21 * 1024 + SLACK);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_CHANGE(-20);
}

static void
files_of_memory_count_by_their_pages(void)
{
	int fd = (int)syscall(SYS_memfd_create, "x", 0);
	char *p;

	change();
	CHECK_EQ(ftruncate(fd, MIB(20)), 0);
	p = mmap(NULL, MIB(20), RW, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_CHANGE(0);
	memset(p, 1, MIB(4));
	CHECK_CHANGE(4);
	CHECK_EQ(munmap(p, MIB(20)), 0);
	CHECK_CHANGE(0);
	CHECK_EQ(ftruncate(fd, MIB(1)), 0);
	CHECK_CHANGE(-3);
	close(fd);
	CHECK_CHANGE(-1);
}

static void
heap_and_children_count(void)
{
	char *top = (char *)syscall(SYS_brk, 0);
	int fds[2], status;
	char c;
	pid_t pid;

	change();
	CHECK_EQ(syscall(SYS_brk, top + MIB(16)), top + MIB(16));
	CHECK_CHANGE(16);
	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) != 0);
	}
	c = 0;
	status = (int)change();
	CHECK(status >= 16 * 1024 && status <= 17 * 1024 + SLACK);
	close(fds[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	(void)change();
	CHECK_EQ(syscall(SYS_brk, top), top);
	CHECK_CHANGE(-16);
}

/* ---- What is promised and given back again and again ---- */

static void *
touch_raced(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY);

	for (int i = 0; i < 4000;
	     i++) /* by a call: no signal beyond the end of the file */
		(void)!read(zero, (char *)arg + (i & 255) * PAGE, 1);
	close(zero);
	return NULL;
}

/* Two threads make pages of a file of memory that a third takes away. */
static void
race_for_a_file(void)
{
	int fd = (int)syscall(SYS_memfd_create, "raced", 0);
	char *p = mmap(NULL, MIB(1), RW, MAP_SHARED, fd, 0);
	pthread_t threads[2];

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, touch_raced, p), 0);
	for (int i = 0; i < 500; i++)
		CHECK_EQ(ftruncate(fd, i % 2 ? 0 : MIB(1)), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(ftruncate(fd, 0), 0); /* the file stays, without a page */
}

static unsigned
draw(unsigned below)
{
	static uint64_t state = 7;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((state >> 33) % below);
}

/* One change of a random part of 64 pages; it may fail. */
static void
change_areas(char *p)
{
	unsigned first = draw(64), n = 1 + draw(64 - first), to = draw(65 - n);
	size_t len = n * (size_t)PAGE;
	char *at = p + (size_t)first * PAGE;

	switch (draw(10)) {
	case 0: (void)mmap(at, len, RW, ANON | MAP_FIXED, -1, 0); break;
	case 1: (void)mmap(at, len, RW, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0); break;
	case 2: (void)mmap(at, len, RW, SHARED | MAP_FIXED, -1, 0); break;
	case 3: (void)mmap(at, len, PROT_READ, ANON | MAP_FIXED, -1, 0); break;
	case 4: (void)mprotect(at, len, RW); break;
	case 5: (void)mprotect(at, len, PROT_NONE); break;
	case 6:
		(void)mremap(
		    at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, p + (size_t)to * PAGE);
		break;
	case 7: (void)mlock(at, len); break;
	case 8: (void)madvise(at, len, MADV_DONTFORK); break;
	default: (void)munmap(at, len); break;
	}
}

static void
what_was_promised_comes_back(void)
{
	long before = kb_of("/proc/meminfo", "Committed_AS"), drift;
	int status;
	pid_t pid;

	for (int i = 0; i < 30; i++) {
		pid = fork();
		if (!pid) {
			char *p = (char *)map(64 * PAGE, RW, ANON);

			for (int k = 0; k < 300; k++)
				change_areas(p);
			if (i % 3 == 0 && fork() == 0)
				change_areas(p);
			if (i % 5 == 0)
				race_for_a_file();
			(void)syscall(SYS_brk, (char *)syscall(SYS_brk, 0) + i * PAGE);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	for (int i = 0; i < 20; i++)
		race_for_a_file();
	sleep_ms(100);
	drift = kb_of("/proc/meminfo", "Committed_AS") - before;
	CHECK(drift > -SLACK && drift < SLACK);
}

static void
mode_0_refuses_the_absurd(void)
{
	long total = kb_of("/proc/meminfo", "MemTotal");

	CHECK_EQ(get("overcommit_memory"), 0);
	CHECK_ERR(map(((size_t)total << 10) + MIB(4), RW, ANON), ENOMEM);
	CHECK_ERR(map(((size_t)total << 10) + MIB(4), RW, SHARED), ENOMEM);
	CHECK(map((size_t)total << 9, RW, ANON) != -1);
	CHECK(map((size_t)total << 9, RW, ANON) != -1);
	CHECK(map((size_t)total << 9, RW, ANON) != -1);
	CHECK(map((size_t)total << 12, RW, ANON | MAP_NORESERVE) != -1);
	CHECK(map((size_t)total << 12, PROT_READ, ANON) != -1);
	CHECK_ERR(mprotect((void *)map((size_t)total << 12, PROT_READ, ANON),
	              (size_t)total << 12, RW),
	    ENOMEM);
}

static void
mode_1_promises_anything(void)
{
	size_t much = (size_t)kb_of("/proc/meminfo", "MemTotal") << 15;

	CHECK_EQ(set("overcommit_memory", 1), 0);
	CHECK(map(much, RW, ANON) != -1);
	CHECK(map(much, RW, SHARED) != -1);
}

static void
mode_2_keeps_its_promises(void)
{
	long limit, left, p;
	size_t much;
	int status;
	pid_t pid;

	CHECK_EQ(set("overcommit_memory", 2), 0);
	CHECK_EQ(set("overcommit_kbytes", 150 << 10), 0);
	CHECK_EQ(get("overcommit_ratio"), 0);
	limit = kb_of("/proc/meminfo", "CommitLimit");
	CHECK_EQ(limit, 150 << 10);
	left = limit - kb_of("/proc/meminfo", "Committed_AS");
	much = (size_t)(left * 6 / 10) << 10 & -(size_t)PAGE;
	CHECK_ERR(map((size_t)(left + 1024) << 10, RW, ANON), ENOMEM);
	CHECK_ERR(map((size_t)(left + 1024) << 10, RW, ANON | MAP_NORESERVE), ENOMEM);
	CHECK_ERR(map((size_t)(left + 1024) << 10, RW, SHARED), ENOMEM);
	CHECK(map((size_t)(left + 1024) << 10, PROT_READ, ANON) != -1);
	p = map(much, RW, ANON);
	CHECK(p != -1);
	pid = fork(); /* for the child there is no room */
	if (!pid)
		_exit(0);
	CHECK(pid == -1 && errno == ENOMEM);
	CHECK_ERR((long)mremap((void *)p, much, 2 * much, MREMAP_MAYMOVE), ENOMEM);
	CHECK_EQ(munmap((void *)p, much), 0);
	pid = fork();
	if (!pid)
		_exit(7);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 7);
}

/* Without CAP_SYS_ADMIN less may be had, by what is kept for the administrator. */
static void
mode_2_keeps_a_reserve(void)
{
	long left;

	CHECK_EQ(set("overcommit_memory", 2), 0);
	CHECK_EQ(set("overcommit_kbytes", 150 << 10), 0);
	CHECK_EQ(set("admin_reserve_kbytes", 30 << 10), 0);
	CHECK_EQ(set("user_reserve_kbytes", 0), 0);
	left = 120 * 1024 - kb_of("/proc/meminfo", "Committed_AS");
	CHECK(left > 0);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(map((size_t)(left + 1024) << 10, RW, ANON), ENOMEM);
	CHECK(map((size_t)(left - 1024) << 10, RW, ANON) != -1);
}

static void
the_limit_follows_the_ratio(void)
{
	long total = kb_of("/proc/meminfo", "MemTotal");

	CHECK_EQ(set("overcommit_ratio", 80), 0);
	CHECK_EQ(get("overcommit_kbytes"), 0);
	CHECK(labs(kb_of("/proc/meminfo", "CommitLimit") - total / 100 * 80) < 400);
}

static void
settings_are_checked(void)
{
	CHECK_ERR(set("overcommit_memory", 3), EINVAL);
	CHECK_ERR(set("overcommit_memory", -1), EINVAL);
	CHECK_ERR(set("swappiness", 201), EINVAL);
	CHECK_EQ(set("swappiness", 200), 0);
	CHECK_EQ(get("swappiness"), 200);
	CHECK_ERR(set("max_map_count", -5), EINVAL);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(set("overcommit_memory", 1), EACCES);
}

static void
areas_are_limited(void)
{
	enum { MOST = 200 };
	char *p = (char *)map(MIB(4), RW, ANON);
	int made = 0;

	CHECK_EQ(set("max_map_count", MOST), 0);
	/* Every second page with other rights: two areas more each time. */
	while (made < 300 && mprotect(p + 2 * made * PAGE, PAGE, PROT_READ) == 0)
		made++;
	CHECK_EQ(errno, ENOMEM);
	CHECK(made > MOST / 2 - 30 && made <= MOST / 2);
	CHECK_ERR(munmap(p + MIB(3), PAGE), ENOMEM);
	CHECK_EQ(mprotect(p, MIB(4), RW), 0);
	CHECK_EQ(munmap(p + MIB(3), PAGE), 0);
	CHECK_EQ(set("max_map_count", 5), 0);
	CHECK_ERR(map(PAGE, PROT_READ, ANON), ENOMEM);
}

static void
low_addresses_need_a_capability(void)
{
	char *p = (char *)map(PAGE, RW, ANON);

	CHECK_EQ(set("mmap_min_addr", 65536), 0);
#define AT(a) (long)mmap((void *)(a), PAGE, RW, ANON | MAP_FIXED, -1, 0)
	CHECK(AT(PAGE) == PAGE); /* it is there */
	CHECK_EQ(munmap((void *)PAGE, PAGE), 0);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(AT(PAGE), EPERM);
	CHECK_ERR(AT(0), EPERM);
	CHECK_ERR(
	    (long)mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PAGE), EPERM);
	CHECK(AT(65536) == 65536);
	CHECK_EQ(munmap((void *)65536, PAGE), 0);
	/* A hint goes down to its page, and up to the lowest. */
	CHECK((long)mmap((void *)(PAGE + 1), PAGE, RW, ANON, -1, 0) == 65536);
	CHECK((long)mmap((void *)(65536 + 5 * PAGE + 7), PAGE, RW, ANON, -1, 0) ==
	      65536 + 5 * PAGE);
}

static const struct test tests[] = {
    TEST(private_writable_memory_counts),
    TEST(shared_memory_counts_by_its_size),
    TEST(files_of_memory_count_by_their_pages),
    TEST(heap_and_children_count),
    TEST(what_was_promised_comes_back),
    TEST(mode_0_refuses_the_absurd),
    TEST(mode_1_promises_anything),
    TEST(mode_2_keeps_its_promises),
    TEST(mode_2_keeps_a_reserve),
    TEST(the_limit_follows_the_ratio),
    TEST(settings_are_checked),
    TEST(areas_are_limited),
    TEST(low_addresses_need_a_capability),
};

static const char *const names[] = {"overcommit_memory", "overcommit_ratio",
    "overcommit_kbytes", "admin_reserve_kbytes", "user_reserve_kbytes", "swappiness",
    "max_map_count", "mmap_min_addr"};

enum { KBYTES = 2, NAMES = sizeof(names) / sizeof(names[0]) }; /* the ratio undoes it */

int
main(int argc, char **argv)
{
	long before[NAMES];
	int failed = 0;

	if (strncmp(argv[0], "/guest/", 7) != 0) {
		printf("these tests change settings of the whole machine: not on this "
		       "one\n");
		return 1;
	}
	for (int i = 0; i < NAMES; i++)
		before[i] = get(names[i]);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].name) != 0)
			continue;
		failed += run_test(&tests[i]);
		for (int k = 0; k < NAMES; k++)
			if (before[k] != get(names[k]) && k != KBYTES)
				CHECK_EQ(set(names[k], before[k]), 0);
	}
	return failed;
}
