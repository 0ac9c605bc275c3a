/* Files of memory without a name, and seals: memfd_create(2), F_ADD_SEALS. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	CLOEXEC = 1,
	ALLOW_SEALING = 2,
	HUGETLB = 4,
	NOEXEC_SEAL = 8,
	EXEC = 16,
	SEAL_SEAL = 1,
	SEAL_SHRINK = 2,
	SEAL_GROW = 4,
	SEAL_WRITE = 8,
	SEAL_FUTURE_WRITE = 16,
	SEAL_EXEC = 32,
};

static int
make(const char *name, unsigned flags)
{
	return (int)syscall(SYS_memfd_create, name, flags);
}

/* A file of `pages` pages that may be sealed. */
static int
sealable(int pages)
{
	int fd = make("seal me", ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, pages * PAGE), 0);
	return fd;
}

static int
add_seals(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals);
}

static long
map(int fd, int prot, int flags)
{
	return (long)mmap(NULL, PAGE, prot, flags, fd, 0);
}

/* proves: memfd_create */
static void
is_an_ordinary_file(void)
{
	int fd = make("a/b c", 0), again;
	char path[40], buf[100] = "";
	struct stat st;

	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0777);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(write(fd, "hello", 5), 5);
	CHECK_EQ(pread(fd, buf, 10, 1), 4);
	CHECK(!memcmp(buf, "ello", 4));
	CHECK_EQ(lseek(fd, 0, SEEK_END), 5);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(buf, 0, sizeof(buf));
	CHECK(readlink(path, buf, sizeof(buf) - 1) > 0);
	CHECK(!strcmp(buf, "/memfd:a/b c (deleted)"));
	again = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(again >= 0);
	CHECK_EQ(read(again, buf, 10), 5);
	CHECK_ERR(write(again, "x", 1), EBADF);
	CHECK_EQ(fcntl(make("", CLOEXEC), F_GETFD), FD_CLOEXEC);
}

static void
maps_tell_its_name(void)
{
	int fd = sealable(1);
	long p = map(fd, RW, MAP_SHARED);
	char line[300], want[80];
	FILE *f = fopen("/proc/self/maps", "r");
	int found = 0;

	CHECK(p != -1 && f != NULL);
	snprintf(want, sizeof(want), "%lx-%lx rw-s 00000000", p, p + PAGE);
	while (fgets(line, sizeof(line), f))
		found += !strncmp(line, want, strlen(want)) &&
		         strstr(line, " /memfd:seal me (deleted)\n") != NULL;
	CHECK_EQ(found, 1);
}

/* proves: memfd_create */
static void
arguments_are_checked(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[249] = '\0';
	CHECK(make(name, 0) >= 0);
	name[249] = 'n';
	name[250] = '\0';
	CHECK_ERR(make(name, 0), EINVAL);
	CHECK_ERR(make((char *)1, 0), EFAULT);
	CHECK_ERR(make("x", 0x20), EINVAL);
	CHECK_ERR(make("x", 0x80000000), EINVAL);
	CHECK_ERR(make("x", 21u << 26), EINVAL); /* a size without HUGETLB */
	CHECK_ERR(make("x", NOEXEC_SEAL | EXEC), EINVAL);
	CHECK_ERR(make("x", HUGETLB | 22u << 26), ENODEV);
}

/* Only a pool of huge pages, which is empty, would make it useful. */
static void
huge_pages_are_not_there(void)
{
	int fd = make("huge", HUGETLB);

	CHECK(fd >= 0);
	CHECK_ERR(write(fd, "x", 1), EINVAL);
	CHECK_ERR((long)mmap(NULL, 2 << 20, RW, MAP_SHARED, fd, 0), ENOMEM);
}

static void
seals_are_added_and_told(void)
{
	int fd = sealable(1), plain = make("x", 0), noexec = make("x", NOEXEC_SEAL), ro;
	char path[40];
	struct stat st;

	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_EQ(fcntl(plain, F_GET_SEALS), SEAL_SEAL);
	CHECK_ERR(add_seals(plain, SEAL_GROW), EPERM);
	CHECK_ERR(add_seals(fd, 0x40), EINVAL);
	CHECK_EQ(add_seals(fd, SEAL_GROW), 0);
	CHECK_EQ(add_seals(fd, SEAL_GROW | SEAL_SHRINK), 0);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), SEAL_GROW | SEAL_SHRINK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	CHECK_EQ(fcntl(ro, F_GET_SEALS), SEAL_GROW | SEAL_SHRINK);
	CHECK_ERR(add_seals(ro, SEAL_WRITE), EPERM);
	CHECK_EQ(add_seals(fd, SEAL_SEAL), 0);
	CHECK_ERR(add_seals(fd, SEAL_WRITE), EPERM);
	CHECK_EQ(fcntl(noexec, F_GET_SEALS), SEAL_EXEC);
	CHECK_EQ(fstat(noexec, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0666);
	CHECK_ERR(fcntl(open("/dev/null", O_RDWR), F_GET_SEALS), EINVAL);
	CHECK_ERR(fcntl(open("/dev/null", O_RDWR), F_ADD_SEALS, SEAL_GROW), EINVAL);
	CHECK_ERR(fcntl(open("/dev/null", O_RDONLY), F_ADD_SEALS, SEAL_GROW), EPERM);
}

static void
files_of_a_tmpfs_are_not_sealable(void)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0) /* there need be none on the machine */
		return;
	CHECK_EQ(fcntl(fd, F_GET_SEALS), SEAL_SEAL);
	CHECK_ERR(add_seals(fd, SEAL_GROW), EPERM);
}

static void
size_can_be_sealed(void)
{
	int fd = sealable(4);
	char buf[2 * PAGE] = "";

	CHECK_EQ(add_seals(fd, SEAL_SHRINK), 0);
	CHECK_ERR(ftruncate(fd, 3 * PAGE), EPERM);
	CHECK_EQ(ftruncate(fd, 5 * PAGE), 0);
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	CHECK_EQ(add_seals(fd, SEAL_GROW), 0);
	CHECK_ERR(ftruncate(fd, 6 * PAGE), EPERM);
	CHECK_EQ(ftruncate(fd, 5 * PAGE), 0);
	CHECK_EQ(fallocate(fd, 0, 0, PAGE), 0);
	CHECK_ERR(fallocate(fd, 0, 4 * PAGE, 2 * PAGE), EPERM);
	CHECK_EQ(pwrite(fd, buf, PAGE, 4 * PAGE), PAGE);
	CHECK_ERR(pwrite(fd, buf, PAGE, 5 * PAGE), EPERM);
	CHECK_EQ(pwrite(fd, buf, 2 * PAGE, 4 * PAGE), PAGE);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 5 * PAGE);
}

static void
writing_can_be_sealed(void)
{
	int fd = sealable(2), ro;
	long p = map(fd, RW, MAP_SHARED);
	char path[40];

	CHECK(p != -1);
	*(char *)p = 'w';
	CHECK_ERR(add_seals(fd, SEAL_WRITE), EBUSY);
	CHECK_EQ(mprotect((void *)p, PAGE, PROT_READ), 0);
	CHECK_ERR(add_seals(fd, SEAL_WRITE), EBUSY); /* it could be given back */
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_EQ(munmap((void *)p, PAGE), 0);
	p = map(fd, RW, MAP_PRIVATE);
	CHECK(p != -1);
	CHECK_EQ(add_seals(fd, SEAL_WRITE), 0);
	*(char *)p = 'p';
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
	CHECK_EQ(ftruncate(fd, PAGE), 0);
	CHECK_ERR(map(fd, RW, MAP_SHARED), EPERM);
	CHECK(map(fd, RW, MAP_PRIVATE) != -1);
	p = map(fd, PROT_READ, MAP_SHARED);
	CHECK(p != -1 && *(char *)p == 'w');
	CHECK_ERR(mprotect((void *)p, PAGE, RW), EACCES);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	CHECK(map(ro, PROT_READ, MAP_SHARED) != -1);
}

static void
writing_in_future_can_be_sealed(void)
{
	int fd = sealable(1), status;
	long p = map(fd, RW, MAP_SHARED), q;
	pid_t pid;

	CHECK(p != -1);
	CHECK_EQ(add_seals(fd, SEAL_FUTURE_WRITE), 0);
	*(char *)p = 'f';
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
	CHECK_ERR(map(fd, RW, MAP_SHARED), EPERM);
	q = map(fd, PROT_READ, MAP_SHARED);
	CHECK(q != -1 && *(char *)q == 'f');
	CHECK_ERR(mprotect((void *)q, PAGE, RW), EACCES);
	pid = fork();
	if (!pid) {
		*(char *)p = 'c'; /* a child's mapping is not a new one */
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(*(char *)q, 'c');
	CHECK_ERR(add_seals(fd, SEAL_WRITE), EBUSY);
	CHECK_EQ(munmap((void *)p, PAGE), 0);
	CHECK_EQ(add_seals(fd, SEAL_WRITE), 0);
}

static void
execute_rights_can_be_sealed(void)
{
	int fd = make("x", ALLOW_SEALING | EXEC), data = make("x", NOEXEC_SEAL);

	CHECK_ERR(fchmod(data, 0777), EPERM);
	CHECK_EQ(fchmod(data, 0600), 0);
	CHECK_EQ(write(data, "x", 1), 1);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(add_seals(fd, SEAL_EXEC), 0);
	CHECK_EQ(fcntl(fd, F_GET_SEALS),
	    SEAL_EXEC | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE);
	CHECK_ERR(fchmod(fd, 0666), EPERM);
	CHECK_EQ(fchmod(fd, 0711 | 0066), 0);
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
}

/* Who maps a file that is being sealed has it, and then it is not sealed; or not. */
static void
sealing_races_with_mapping(void)
{
	for (int i = 0; i < 200; i++) {
		int fd = sealable(1), status;
		char *seen = (char *)map(fd, PROT_READ, MAP_SHARED);
		pid_t pid = fork();

		if (!pid) {
			char *p = (char *)map(fd, RW, MAP_SHARED);

			if (p == MAP_FAILED)
				_exit(errno);
			for (int k = 0; k < 50; k++)
				*p = (char)k;
			_exit(0);
		}
		CHECK_EQ(munmap(seen, PAGE), 0);
		if (add_seals(fd, SEAL_WRITE) == 0) {
			char before, after;

			CHECK_EQ(pread(fd, &before, 1, 0), 1);
			CHECK_EQ(waitpid(pid, &status, 0), pid);
			CHECK_EQ(pread(fd, &after, 1, 0), 1);
			CHECK_EQ(before, after);
		} else {
			CHECK_EQ(errno, EBUSY);
			CHECK_EQ(waitpid(pid, &status, 0), pid);
		}
		CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EPERM);
		close(fd);
	}
}

static void
a_program_runs_from_it(void)
{
	int fd = make("prog", CLOEXEC), in = open("/proc/self/exe", O_RDONLY), status;
	char *argv[] = {"memfd", "is_an_ordinary_file", NULL}, *envp[] = {NULL};
	char buf[65536], path[40];
	ssize_t n;
	pid_t pid;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		CHECK_EQ(write(fd, buf, (size_t)n), n);
	pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), 1);
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(errno);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(open(path, O_RDWR | O_CLOEXEC) >= 0); /* this one writes */
	CHECK_ERR(syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH), ETXTBSY);
}

static const struct test tests[] = {
    TEST(is_an_ordinary_file),
    TEST(maps_tell_its_name),
    TEST(arguments_are_checked),
    TEST(huge_pages_are_not_there),
    TEST(seals_are_added_and_told),
    TEST(files_of_a_tmpfs_are_not_sealable),
    TEST(size_can_be_sealed),
    TEST(writing_can_be_sealed),
    TEST(writing_in_future_can_be_sealed),
    TEST(execute_rights_can_be_sealed),
    TEST(sealing_races_with_mapping),
    TEST(a_program_runs_from_it),
};

RUN_TESTS(tests)
