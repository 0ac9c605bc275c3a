/* mount -t proc with hidepid= and gid=: who sees which processes. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { ME = 1234, GROUP = 777 };

static char at[] = "/tmp/proc_hideXXXXXX";

static void
mount_it(const char *options)
{

	(void)unshare(CLONE_NEWNS); /* where there are name spaces */
	(void)mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	CHECK(mkdtemp(at));
	CHECK_EQ(mount("proc", at, "proc", 0, options), 0);
}

static void
unmount_it(void)
{
	CHECK_EQ(umount2(at, MNT_DETACH), 0);
	CHECK_EQ(rmdir(at), 0);
}

static const char *
name_of(pid_t pid, const char *file)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s/%d/%s", at, pid, file);
	return name;
}

static bool
is_listed(pid_t pid)
{
	DIR *d = opendir(at);
	struct dirent *e;
	bool is = false;

	CHECK(d);
	while ((e = readdir(d)))
		is |= atoi(e->d_name) == pid;
	closedir(d);
	return is;
}

struct expected {
	int root;    /* of another's folder: 0, or the error of stat, */
	int content; /* of what is in it, */
	bool is_listed;
};

static void
check(pid_t other, const struct expected *e)
{
	struct stat st;

	EXPECT_EQ(stat(name_of(other, ""), &st) ? errno : 0, e->root);
	EXPECT_EQ(access(name_of(other, "status"), R_OK) ? errno : 0, e->content);
	EXPECT_EQ(open(name_of(other, ""), O_RDONLY) < 0 ? errno : 0, e->content);
	EXPECT_EQ(is_listed(other), e->is_listed);
	EXPECT_EQ(is_listed(getpid()), true);
	EXPECT_EQ(access(name_of(getpid(), "status"), R_OK), 0);
}

static const struct expected all = {0, 0, true}, listed = {0, EPERM, true},
                             gone = {ENOENT, ENOENT, false};

static void
hides(const char *options, const struct expected *user, const struct expected *member)
{
	pid_t other = child_that_waits(), pid;
	gid_t groups[1] = {GROUP};
	int status;

	mount_it(options);
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0) {
			CHECK_EQ(setgroups(i, groups), 0);
			CHECK_EQ(setgid(ME), 0);
			CHECK_EQ(setuid(ME), 0);
			CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
			check(other, i ? member : user);
			fflush(stdout);
			_exit(num_unexpected != 0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
	}
	check(other, &all);
	unmount_it();
}

static void
nothing_is_hidden(void)
{
	hides("hidepid=0,gid=777", &all, &all);
}

static void
content_is_hidden(void)
{
	hides("gid=777,hidepid=1", &listed, &all);
}

static void
processes_are_hidden(void)
{
	hides("hidepid=invisible,gid=777", &gone, &all);
}

static void
all_but_traceable_are_hidden(void)
{
	hides("hidepid=4,gid=777", &gone, &gone);
}

static void
options_can_be_changed(void)
{
	char line[512];
	bool is_found = false;
	FILE *f;

	mount_it("hidepid=2");
	CHECK_EQ(mount("proc", at, "proc", MS_REMOUNT, "gid=777"), 0);
	EXPECT_ERR(mount("proc", at, "proc", MS_REMOUNT, "hidepid=3"), EINVAL);
	EXPECT_ERR(mount("proc", at, "proc", MS_REMOUNT, "hidepid=some"), EINVAL);
	EXPECT_ERR(mount("proc", at, "proc", MS_REMOUNT, "nosuch=3"), EINVAL);
	f = fopen("/proc/self/mounts", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, at)) {
			is_found = true;
			EXPECT_EQ(
			    strstr(line, "gid=777,hidepid=invisible") != NULL, true);
		}
	fclose(f);
	EXPECT_EQ(is_found, true);
	unmount_it();
	CHECK(mkdir(at, 0700) == 0);
	EXPECT_ERR(mount("proc", at, "proc", 0, "hidepid=9"), EINVAL);
	rmdir(at);
}

static const struct test tests[] = {
    TEST(nothing_is_hidden),
    TEST(content_is_hidden),
    TEST(processes_are_hidden),
    TEST(all_but_traceable_are_hidden),
    TEST(options_can_be_changed),
};

RUN_TESTS(tests)
