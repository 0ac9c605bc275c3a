/* Who may see what of a process in /proc, and what others may do in directories open to all. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { ME = 1234, OTHER = 4321 };

static void
become(unsigned id)
{
	CHECK_EQ(setgid(id), 0);
	CHECK_EQ(setuid(id), 0);
}

/* A process of user `id` that waits; is_hidden: it may not be dumped. */
static pid_t
process_of(unsigned id, bool is_hidden)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (id)
			become(id);
		CHECK_EQ(prctl(PR_SET_DUMPABLE, !is_hidden), 0);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static const char *
name_of(pid_t pid, const char *file)
{
	static char name[64];

	snprintf(name, sizeof(name), "/proc/%d/%s", pid, file);
	return name;
}

/* What reading gives: bytes, or minus errno of open or read. */
static long
reading(pid_t pid, const char *file)
{
	int fd = open(name_of(pid, file), O_RDONLY);
	static char buf[65536];
	long n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, sizeof(buf));
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

static const char *const secrets[] = {"environ", "auxv", "maps", "smaps", "smaps_rollup"};
static const char *const links[] = {"cwd", "root", "exe"};

static void
check_hidden(pid_t pid)
{
	char text[256];

	for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		CHECK_EQ(reading(pid, secrets[i]), -EACCES);
	for (unsigned i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		CHECK_ERR(readlink(name_of(pid, links[i]), text, sizeof(text)), EACCES);
		CHECK_ERR(open(name_of(pid, links[i]), O_RDONLY), EACCES);
	}
	CHECK_ERR(open(name_of(pid, "root/etc"), O_PATH), EACCES);
	CHECK_ERR(open(name_of(pid, "mem"), O_RDONLY), EACCES);
	CHECK_ERR(open(name_of(pid, "fd/0"), O_RDONLY), EACCES);
	CHECK_ERR(open(name_of(pid, "coredump_filter"), O_WRONLY), EACCES);
	CHECK(reading(pid, "status") > 0 && reading(pid, "cmdline") > 0);
	CHECK(reading(pid, "limits") > 0 && reading(pid, "statm") > 0);
}

static void
others_see_no_secrets(void)
{
	pid_t roots = process_of(0, false), others = process_of(OTHER, false);

	become(ME);
	check_hidden(roots);
	check_hidden(others);
	check_hidden(1);
}

static void
a_user_sees_his_own(void)
{
	pid_t mine = process_of(ME, false), hidden = process_of(ME, true);
	struct stat st;
	char text[256];

	become(ME);
	for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		CHECK(reading(mine, secrets[i]) >= 0);
	for (unsigned i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		CHECK(readlink(name_of(mine, links[i]), text, sizeof(text)) > 0);
	CHECK_EQ(stat(name_of(mine, "maps"), &st), 0);
	CHECK_EQ(st.st_uid, ME);
	check_hidden(hidden);
	CHECK_EQ(stat(name_of(hidden, "maps"), &st), 0);
	CHECK_EQ(st.st_uid, 0);
	CHECK_EQ(stat(name_of(hidden, "."), &st), 0);
	CHECK_EQ(st.st_uid, ME);
}

/* The place of the stack, and where its code is: fields 28 and 26 of stat. */
static void
stat_places(pid_t pid, unsigned long *code, unsigned long *stack)
{
	char text[1024], *p = text;
	FILE *f = fopen(name_of(pid, "stat"), "r");

	CHECK(f && fgets(text, sizeof(text), f));
	fclose(f);
	p = strrchr(text, ')') + 2;
	for (int field = 3; field < 26; field++)
		p = strchr(p, ' ') + 1;
	*code = strtoul(p, &p, 10);
	strtoul(p, &p, 10);
	*stack = strtoul(p, &p, 10);
}

static void
stat_hides_places(void)
{
	unsigned long code, stack;
	pid_t roots = process_of(0, false);

	stat_places(roots, &code, &stack);
	CHECK(code > 4096 && stack > 4096);
	become(ME);
	stat_places(roots, &code, &stack);
	CHECK_EQ(code, 1);
	CHECK_EQ(stack, 0);
	stat_places(getpid(), &code, &stack);
	CHECK(code > 4096);
}

/* ---- /proc/sys/fs/protected_* ---- */

static void
set_guard(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/fs/protected_%s", name);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, value, 1), 1);
	close(fd);
}

static void
in_public_dir(void)
{
	static char dir[] = "/tmp/guard.XXXXXX";

	CHECK(mkdtemp(dir));
	CHECK_EQ(chmod(dir, 01777), 0);
	CHECK_EQ(chdir(dir), 0);
	umask(0);
}

/* Runs as another user: 0, or the errno. */
static int
as_user(unsigned id, int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		become(id);
		_exit(fn() < 0 ? errno : 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
lay_link(void)
{
	return symlink("target", "link");
}

static int
follow_link(void)
{
	return open("link", O_RDONLY);
}

static int
follow_link_inside(void)
{
	return open("dirlink/file", O_RDONLY);
}

static int
lay_dir_link(void)
{
	return symlink("sub", "dirlink");
}

/* proves: open */
static void
links_of_others_are_not_followed(void)
{
	in_public_dir();
	CHECK(open("target", O_CREAT | O_WRONLY, 0666) >= 0);
	CHECK_EQ(mkdir("sub", 0777), 0);
	CHECK(open("sub/file", O_CREAT | O_WRONLY, 0666) >= 0);
	CHECK_EQ(as_user(ME, lay_link), 0);
	CHECK_EQ(as_user(ME, lay_dir_link), 0);
	set_guard("symlinks", "1");
	CHECK_EQ(as_user(ME, follow_link), 0);
	CHECK_EQ(as_user(OTHER, follow_link), EACCES);
	CHECK_EQ(as_user(OTHER, follow_link_inside), 0); /* only at the end of a path */
	CHECK_ERR(open("link", O_RDONLY), EACCES); /* root falls in no trap either */
	CHECK_EQ(chmod(".", 0777), 0);
	CHECK_EQ(as_user(OTHER, follow_link), 0);
	CHECK_EQ(chmod(".", 01777), 0);
	set_guard("symlinks", "0");
	CHECK_EQ(as_user(OTHER, follow_link), 0);
	set_guard("symlinks", "1");
}

static int
link_it(void)
{
	return link("target", "second");
}

static int
link_program(void)
{
	return link("program", "third");
}

/* proves: link linkat */
static void
files_of_others_are_not_linked(void)
{
	in_public_dir();
	CHECK(open("target", O_CREAT | O_WRONLY, 0644) >= 0);
	CHECK(open("program", O_CREAT | O_WRONLY, 0666) >= 0);
	CHECK_EQ(chmod("program", 04777), 0);
	set_guard("hardlinks", "1");
	CHECK_EQ(as_user(ME, link_it), EPERM);
	CHECK_EQ(as_user(ME, link_program), EPERM);
	CHECK_EQ(chmod("target", 0666), 0);
	CHECK_EQ(as_user(ME, link_it), 0);
	CHECK_EQ(unlink("second"), 0);
	CHECK_EQ(chmod("target", 0600), 0);
	set_guard("hardlinks", "0");
	CHECK_EQ(as_user(ME, link_it), 0);
	set_guard("hardlinks", "1");
}

static int
create_file(void)
{
	return open("file", O_CREAT | O_WRONLY, 0666);
}

static int
open_file(void)
{
	return open("file", O_WRONLY);
}

static int
create_fifo(void)
{
	return open("fifo", O_CREAT | O_RDWR, 0666);
}

static int
lay_fifo(void)
{
	return mkfifo("fifo", 0666);
}

/* proves: open openat */
static void
what_others_laid_is_not_created(void)
{
	in_public_dir();
	CHECK_EQ(as_user(ME, create_file), 0);
	CHECK_EQ(as_user(ME, lay_fifo), 0);
	set_guard("regular", "1");
	set_guard("fifos", "1");
	CHECK_EQ(as_user(ME, create_file), 0);
	CHECK_EQ(as_user(OTHER, create_file), EACCES);
	CHECK_EQ(as_user(OTHER, open_file), 0);
	CHECK_EQ(as_user(OTHER, create_fifo), EACCES);
	CHECK_EQ(chmod(".", 01775), 0);
	CHECK_EQ(create_fifo() < 0, 0);
	set_guard("fifos", "2");
	CHECK_ERR(create_fifo(), EACCES); /* writable by a group, at level 2 */
	CHECK_EQ(chmod(".", 01777), 0);
	set_guard("regular", "0");
	set_guard("fifos", "0");
	CHECK_EQ(as_user(OTHER, create_file), 0);
	CHECK_EQ(as_user(OTHER, create_fifo), 0);
}

static const struct test tests[] = {
    TEST(others_see_no_secrets),
    TEST(a_user_sees_his_own),
    TEST(stat_hides_places),
    TEST(links_of_others_are_not_followed),
    TEST(files_of_others_are_not_linked),
    TEST(what_others_laid_is_not_created),
};

RUN_TESTS(tests)
