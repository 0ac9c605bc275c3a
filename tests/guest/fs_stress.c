/*
 * Processes that make, move, link and remove the same few names all at once, on a tmpfs
 * of their own. Afterwards nothing may be left over: the tree can be removed, every page
 * and inode is free again, the mount is not in use.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

enum { WORKERS = 8, ROUNDS = 4000 };

static unsigned seed;

static unsigned
rnd(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 10) % n;
}

/* One of some 80 names, up to three directories deep. */
static char *
a_name(char *buf)
{
	int n = 0;

	for (unsigned depth = rnd(3); depth > 0; depth--)
		n += sprintf(buf + n, "d%u/", rnd(3));
	sprintf(buf + n, rnd(2) ? "d%u" : "a-file-with-a-name-longer-than-32-bytes-%u",
	    rnd(3));
	return buf;
}

static void
use_file(const char *name)
{
	char page[5000] = "";
	int fd = open(name, O_CREAT | O_RDWR, 0644);

	if (fd < 0)
		return;
	if (pwrite(fd, page, rnd(5000), rnd(20000)) < 0 || ftruncate(fd, rnd(9000)) < 0)
		_exit(3);
	if (pread(fd, page, sizeof(page), 0) < 0)
		_exit(4);
	close(fd);
}

static void
list(const char *name)
{
	DIR *d = opendir(name);

	if (!d)
		return;
	while (readdir(d))
		;
	closedir(d);
}

static void
one_round(void)
{
	char a[200], b[200];
	struct stat st;

	a_name(a);
	a_name(b);
	switch (rnd(12)) {
	case 0:
	case 1: mkdir(a, 0755); break;
	case 2: rmdir(a); break;
	case 3: unlink(a); break;
	case 4:
	case 5: rename(a, b); break;
	case 6: syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2); break;
	case 7: link(a, b); break;
	case 8: symlink(b, a); break;
	case 9: list(a); break;
	case 10:
		if (!stat(a, &st) && st.st_nlink > 1000)
			_exit(5);
		break;
	default: use_file(a); break;
	}
}

static void
worker(unsigned number)
{
	seed = number * 7919 + 1;
	for (int i = 0; i < ROUNDS; i++)
		one_round();
	_exit(0);
}

/* Renames make trees deeper than any path. Takes the descriptor. */
static void
remove_all(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	CHECK(d);
	while ((e = readdir(d))) {
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		CHECK_EQ(fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		if (S_ISDIR(st.st_mode))
			remove_all(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY));
		CHECK_EQ(
		    unlinkat(fd, e->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0), 0);
	}
	closedir(d);
}

static void
names_stay_whole_under_load(void)
{
	char dir[] = "/tmp/stress.XXXXXX";
	struct statfs before, after;
	struct stat st;
	int status;

	alarm(0);
	CHECK(mkdtemp(dir));
	CHECK_EQ(mount("stress", dir, "tmpfs", 0, "size=16m"), 0);
	CHECK_EQ(statfs(dir, &before), 0);
	CHECK_EQ(chdir(dir), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		if (fork() == 0)
			worker(i);
	for (unsigned i = 0; i < WORKERS; i++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	remove_all(open(".", O_RDONLY | O_DIRECTORY));
	CHECK_EQ(stat(".", &st), 0);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_EQ(chdir("/"), 0);
	CHECK_EQ(statfs(dir, &after), 0);
	CHECK_EQ(after.f_bfree, before.f_bfree);
	CHECK_EQ(umount(dir), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static const struct test tests[] = {TEST(names_stay_whole_under_load)};

RUN_TESTS(tests)
