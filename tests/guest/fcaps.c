/*
 * Capabilities of program files: the attribute security.capability, who sets it, what takes it
 * away (and set-id bits with it), and what exec makes of it, with ids, the inheritable, bounding
 * and ambient sets, and in a process that must not gain any. Needs root and tmpfs.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define NAME     "security.capability"
#define BIT(cap) (1ull << (cap))
#define ALL      (BIT(41) - 1)

enum { ME = 1000, OTHER = 2000 };

/* What a program says of itself. */
struct report {
	uint64_t permitted, effective, inheritable, ambient, bounding;
	uint32_t uid, euid, suid, gid, egid, sgid;
	int is_secure, dumpable, pdeath, securebits;
	uint64_t stack_limit;
};

static char dir[64], program[96];
static uint64_t all; /* root's, where the tests run */

/* ---- Capabilities of processes ---- */

static void
set_caps(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	permitted &= all;
	effective &= all;
	d[0].effective = (uint32_t)effective;
	d[1].effective = effective >> 32;
	d[0].permitted = (uint32_t)permitted;
	d[1].permitted = permitted >> 32;
	d[0].inheritable = (uint32_t)inheritable;
	d[1].inheritable = inheritable >> 32;
	CHECK_EQ(syscall(SYS_capset, &h, d), 0);
}

static void
make_report(struct report *r)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	struct rlimit limit;

	syscall(SYS_capget, &h, d);
	r->permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
	r->effective = (uint64_t)d[1].effective << 32 | d[0].effective;
	r->inheritable = (uint64_t)d[1].inheritable << 32 | d[0].inheritable;
	for (int i = 0; i <= 40; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			r->ambient |= BIT(i);
		if (prctl(PR_CAPBSET_READ, i) == 1)
			r->bounding |= BIT(i);
	}
	getresuid(&r->uid, &r->euid, &r->suid);
	getresgid(&r->gid, &r->egid, &r->sgid);
	r->is_secure = (int)getauxval(AT_SECURE);
	r->dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_GET_PDEATHSIG, &r->pdeath);
	r->securebits = prctl(PR_GET_SECUREBITS);
	getrlimit(RLIMIT_STACK, &limit);
	r->stack_limit = limit.rlim_cur;
}

/* ---- The program ---- */

static void
mount_dir(unsigned long flags)
{
	snprintf(dir, sizeof(dir), "/tmp/fcaps.%d", getpid());
	snprintf(program, sizeof(program), "%s/program", dir);
	(void)mkdir("/tmp", 01777);
	CHECK_EQ(mkdir(dir, 0755), 0);
	(void)unshare(CLONE_NEWNS); /* where there are name spaces */
	(void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	CHECK_EQ(mount("none", dir, "tmpfs", flags, "mode=755"), 0);
	umask(022);
}

static void
unmount_dir(void)
{
	CHECK_EQ(umount2(dir, MNT_DETACH), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static void
copy_self(mode_t mode, uid_t uid, gid_t gid)
{
	int from = open("/proc/self/exe", O_RDONLY), to;

	unlink(program);
	to = open(program, O_CREAT | O_WRONLY | O_EXCL, 0700);
	CHECK(from >= 0 && to >= 0);
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	CHECK_EQ(fchown(to, uid, gid), 0);
	CHECK_EQ(fchmod(to, mode), 0);
	close(from);
	close(to);
}

/* As setcap does. `effective`: the flag. */
static int
set_file_caps(const char *path, uint64_t permitted, uint64_t inheritable, bool effective)
{
	uint32_t v[5] = {0x02000000 | effective, (uint32_t)permitted,
	    (uint32_t)inheritable, permitted >> 32, inheritable >> 32};

	return setxattr(path, NAME, v, sizeof(v), 0);
}

static void
give_caps(uint64_t permitted, uint64_t inheritable, bool effective)
{
	CHECK_EQ(set_file_caps(program, permitted, inheritable, effective), 0);
}

static bool
has_caps(const char *path)
{
	char value[64];
	ssize_t n = getxattr(path, NAME, value, sizeof(value));

	CHECK(n == 20 || (n < 0 && errno == ENODATA));
	return n == 20;
}

/* ---- Running it ---- */

enum { BECOME_ME = 1, NO_NEW_PRIVS = 2, SHARE = 4, TRACED = 8, PDEATH = 16, DROPS = 32 };

struct runner {
	int how;
	uint64_t drop_bounding, inheritable, ambient,
	    only; /* `only`: permitted, if not 0 */
	int securebits;
	uid_t ruid, euid, suid; /* instead of ME, unless all are 0 */
};

static int
wait_for_ever(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(20);
	pause();
	return 0;
}

static void
prepare(const struct runner *r)
{
	static char stack[16384] __attribute__((aligned(16)));
	uint64_t permitted = r->only ? r->only : ALL;

	if (r->inheritable || r->only)
		set_caps(ALL, ALL, r->inheritable);
	for (int i = 0; i <= 40; i++)
		if (r->drop_bounding & BIT(i))
			CHECK_EQ(prctl(PR_CAPBSET_DROP, i), 0);
	if (r->securebits)
		CHECK_EQ(prctl(PR_SET_SECUREBITS, r->securebits), 0);
	if (r->how & SHARE)
		CHECK(clone(wait_for_ever, stack + sizeof(stack), CLONE_FS | SIGCHLD,
		          NULL) > 0);
	if (r->how & BECOME_ME) {
		prctl(PR_SET_KEEPCAPS, 1);
		CHECK_EQ(setresgid(ME, ME, ME), 0);
		if (r->euid || r->ruid || r->suid)
			CHECK_EQ(setresuid(r->ruid, r->euid, r->suid), 0);
		else
			CHECK_EQ(setresuid(ME, ME, ME), 0);
		permitted = r->only | r->ambient;
	}
	if (r->how & BECOME_ME || r->only)
		set_caps(
		    permitted, permitted & ~(r->only ? 0 : r->ambient), r->inheritable);
	for (int i = 0; i <= 40; i++)
		if (r->ambient & BIT(i))
			CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0), 0);
	if (r->how & NO_NEW_PRIVS)
		CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (r->how & PDEATH)
		CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
}

/* Runs the program as `r` says: 0, or why exec failed. */
static int
run(const struct runner *r, struct report *out)
{
	int fds[2], status = 0, fail[2];
	int error = 0;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(pipe2(fail, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (r->how & TRACED) { /* by one who has no right to */
			pid_t child;

			prepare(r);
			child = fork();
			if (child) {
				int s;

				while (waitpid(child, &s, 0) == child && WIFSTOPPED(s))
					ptrace(PTRACE_CONT, child, 0, 0);
				_exit(WEXITSTATUS(s));
			}
			if (r->how & DROPS)
				set_caps(0, 0, 0);
			CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
		} else {
			prepare(r);
		}
		dup2(fds[1], 1);
		execl(program, program, "report", NULL);
		error = errno;
		(void)!write(fail[1], &error, sizeof(error));
		_exit(9);
	}
	close(fds[1]);
	close(fail[1]);
	if (read(fail[0], &error, sizeof(error)) == 0)
		CHECK_EQ(read(fds[0], out, sizeof(*out)), sizeof(*out));
	close(fds[0]);
	close(fail[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return error;
}

/* ---- The attribute ---- */

static void
the_attribute_is_checked(void)
{
	uint32_t v[6] = {0x02000001, 1, 2, 3, 4, 0}, got[6];

	mount_dir(0);
	copy_self(0755, 0, 0);
	CHECK_ERR(getxattr(program, NAME, got, sizeof(got)), ENODATA);
	CHECK_EQ(setxattr(program, NAME, v, 20, 0), 0);
	CHECK_EQ(getxattr(program, NAME, NULL, 0), 20);
	CHECK_EQ(getxattr(program, NAME, got, sizeof(got)), 20);
	CHECK_EQ(memcmp(got, v, 20), 0);
	CHECK_ERR(getxattr(program, NAME, got, 19), ERANGE);
	CHECK_ERR(setxattr(program, NAME, v, 20, XATTR_CREATE), EEXIST);
	CHECK_ERR(setxattr(program, NAME, v, 24, 0), EINVAL);
	CHECK_ERR(setxattr(program, NAME, v, 12, 0), EINVAL);
	CHECK_ERR(setxattr(program, NAME, v, 4, 0), EINVAL);
	CHECK_ERR(setxattr(program, NAME, v, 21, 0), EINVAL);
	v[0] = 0x02000003; /* a flag that there is not */
	CHECK_ERR(setxattr(program, NAME, v, 20, 0), EINVAL);
	v[0] = 0x01000001;
	CHECK_ERR(setxattr(program, NAME, v, 12, 0), EINVAL);
	v[0] = 0x03000001;
	CHECK_ERR(setxattr(program, NAME, v, 20, 0), EINVAL);
	v[0] = 0x04000001;
	CHECK_ERR(setxattr(program, NAME, v, 24, 0), EINVAL);
	/* Root's own of revision 3 reads as revision 2, another's as it is. */
	v[0] = 0x03000001;
	CHECK_EQ(setxattr(program, NAME, v, 24, 0), 0);
	CHECK_EQ(getxattr(program, NAME, NULL, 0), 20);
	CHECK_EQ(getxattr(program, NAME, got, sizeof(got)), 20);
	CHECK_EQ(got[0], 0x02000001);
	CHECK_EQ(memcmp(got + 1, v + 1, 16), 0);
	v[5] = ME;
	CHECK_EQ(setxattr(program, NAME, v, 24, 0), 0);
	CHECK_EQ(getxattr(program, NAME, got, sizeof(got)), 24);
	CHECK_EQ(memcmp(got, v, 24), 0);
	v[5] = ~0u;
	CHECK_ERR(setxattr(program, NAME, v, 24, 0), EINVAL);
	CHECK_EQ(listxattr(program, NULL, 0), sizeof(NAME));
	CHECK_EQ(removexattr(program, NAME), 0);
	CHECK_ERR(removexattr(program, NAME), ENODATA);
	CHECK_EQ(listxattr(program, NULL, 0), 0);
	unmount_dir();
}

static void
setting_needs_its_capability(void)
{
	int status;
	pid_t pid;

	mount_dir(0);
	copy_self(0755, ME, ME);
	pid = fork();
	if (pid == 0) {
		set_caps(ALL & ~BIT(CAP_SETFCAP), ALL & ~BIT(CAP_SETFCAP), 0);
		CHECK_ERR(set_file_caps(program, 1, 1, true), EPERM);
		CHECK_ERR(setxattr(program, NAME, "abc", 3, 0), EINVAL);
		CHECK_ERR(removexattr(program, NAME), EPERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_KEEPCAPS, 1);
		CHECK_EQ(setresuid(OTHER, OTHER, OTHER), 0);
		set_caps(BIT(CAP_SETFCAP), BIT(CAP_SETFCAP), 0);
		CHECK_EQ(set_file_caps(program, 1, 1, true), 0); /* of any file */
		CHECK(has_caps(program));
		CHECK_EQ(removexattr(program, NAME), 0);
		set_caps(BIT(CAP_SETFCAP), 0, 0);
		CHECK_ERR(set_file_caps(program, 1, 1, true), EPERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	unmount_dir();
}

/* ---- What takes it away ---- */

static char path[96];

static void
fresh_file(mode_t mode, uid_t uid, gid_t gid)
{
	int fd;

	snprintf(path, sizeof(path), "%s/file", dir);
	unlink(path);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	CHECK_EQ(write(fd, "12345678", 8), 8);
	CHECK_EQ(fchown(fd, uid, gid), 0);
	CHECK_EQ(fchmod(fd, mode), 0);
	CHECK_EQ(set_file_caps(path, 1, 1, true), 0);
	close(fd);
}

static mode_t
mode_of(void)
{
	struct stat st;

	CHECK_EQ(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static int
write_to(void)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = write(fd, "x", 1);

	close(fd);
	return n == 1;
}

static int
write_nothing(void)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = write(fd, "", 0);

	close(fd);
	return n == 0;
}

static int
send_to(void)
{
	int fd = open(path, O_WRONLY), from = open("/proc/self/exe", O_RDONLY);
	ssize_t n = sendfile(fd, from, NULL, 4);

	close(fd);
	close(from);
	return n == 4;
}

static int
open_truncated(void)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	close(fd);
	return fd >= 0;
}

static int
do_truncate(void)
{
	return truncate(path, 8) == 0;
}

static int
do_chown(void)
{
	return chown(path, ME, ME) == 0;
}

static int
chown_nothing(void)
{
	return chown(path, -1, -1) == 0;
}

static int
do_chmod(void)
{
	return chmod(path, 07777) == 0;
}

static int
do_touch(void)
{
	return utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

static int
do_rename(void)
{
	char other[100];

	snprintf(other, sizeof(other), "%s.x", path);
	return rename(path, other) == 0 && rename(other, path) == 0;
}

static void
changes_take_it_away(void)
{
	static const struct {
		const char *name;
		int (*fn)(void);
		mode_t before, after, after_fsetid; /* without and with CAP_FSETID */
		bool keeps;
	} cases[] = {
	    {"write", write_to, 07777, 01777, 07777, false},
	    {"write, group may not run it", write_to, 06767, 02767, 06767, false},
	    {"write, nobody may run it", write_to, 06666, 02666, 06666, false},
	    {"write nothing", write_nothing, 06777, 06777, 06777, true},
	    {"sendfile", send_to, 06777, 0777, 06777, false},
	    {"O_TRUNC", open_truncated, 06777, 0777, 06777, false},
	    {"truncate", do_truncate, 06777, 0777, 06777, false},
	    {"chown", do_chown, 06777, 0777, 0777, false},
	    {"chown, group may not run it", do_chown, 06767, 02767, 02767, false},
	    {"chown to nobody", chown_nothing, 06777, 0777, 0777, false},
	    {"chmod", do_chmod, 0777, 07777, 07777, true},
	    {"touch", do_touch, 06777, 06777, 06777, true},
	    {"rename", do_rename, 06777, 06777, 06777, true},
	};

	mount_dir(0);
	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool has_fsetid = i & 1;
		int status;
		pid_t pid;

		fresh_file(cases[i / 2].before, ME, ME);
		printf("# %s\n", cases[i / 2].name);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			uint64_t caps = has_fsetid ? ALL : ALL & ~BIT(CAP_FSETID);

			CHECK_EQ(setresgid(ME, ME, ME), 0);
			prctl(PR_SET_KEEPCAPS, 1);
			CHECK_EQ(setresuid(ME, ME, ME), 0);
			set_caps(caps, caps, 0);
			CHECK(cases[i / 2].fn());
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		EXPECT_EQ(has_caps(path), cases[i / 2].keeps);
		EXPECT_EQ(mode_of(),
		    has_fsetid ? cases[i / 2].after_fsetid : cases[i / 2].after);
	}
	unmount_dir();
}

/* A set-group-id bit that is none of a program's stays only with who may set it. */
static void
writers_of_other_groups(void)
{
	int status;
	pid_t pid;

	mount_dir(0);
	fresh_file(02666, 0, OTHER);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(setresgid(ME, ME, ME), 0);
		CHECK_EQ(setgroups(0, NULL), 0);
		CHECK_EQ(setresuid(ME, ME, ME), 0);
		CHECK(write_to());
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	EXPECT_EQ(mode_of(), 0666);
	EXPECT_EQ(has_caps(path), 0);
	/* Who changes the owner takes the bits, which needs the right to change the mode. */
	fresh_file(04755, 0, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_KEEPCAPS, 1);
		CHECK_EQ(setresuid(ME, ME, ME), 0);
		set_caps(BIT(CAP_CHOWN), BIT(CAP_CHOWN), 0);
		CHECK_ERR(chown(path, OTHER, OTHER), EPERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	EXPECT_EQ(mode_of(), 04755);
	EXPECT_EQ(has_caps(path), 1);
	unmount_dir();
}

/* ---- exec ---- */

enum { RAW = 13, KILL = 5, CHOWN = 0, TIME = 25 };

struct exec_case {
	const char *name;
	mode_t mode;
	uid_t owner;
	uint64_t file_permitted, file_inheritable;
	int file; /* 0: no capabilities, 1: some, 2: in effect */
	struct runner who;
	int error;
	uint64_t permitted, effective, ambient;
	int euid, is_secure, dumpable;
};

#define USER .how = BECOME_ME

static const struct exec_case exec_cases[] = {
    {"user, plain file", 0755, 0, 0, 0, 0, {USER}, 0, 0, 0, 0, ME, 0, 1},
    {"permitted, in effect", 0755, 0, BIT(RAW), 0, 2, {USER}, 0, BIT(RAW), BIT(RAW), 0,
        ME, 1, 0},
    {"permitted alone", 0755, 0, BIT(RAW), 0, 1, {USER}, 0, BIT(RAW), 0, 0, ME, 1, 0},
    {"in effect, but none", 0755, 0, 0, 0, 2, {USER}, 0, 0, 0, 0, ME, 1, 1},
    {"there, but none", 0755, 0, 0, 0, 1, {USER}, 0, 0, 0, 0, ME, 0, 1},
    {"inheritable of the file alone", 0755, 0, 0, BIT(RAW), 2, {USER}, 0, 0, 0, 0, ME, 1,
        1},
    {"inheritable of both", 0755, 0, 0, BIT(RAW) | BIT(TIME), 2,
        {USER, .inheritable = BIT(RAW) | BIT(KILL)}, 0, BIT(RAW), BIT(RAW), 0, ME, 1, 0},
    {"inheritable of both, not in effect", 0755, 0, 0, BIT(RAW), 1,
        {USER, .inheritable = BIT(RAW)}, 0, BIT(RAW), 0, 0, ME, 1, 0},
    {"inheritable of the process alone", 0755, 0, 0, 0, 0,
        {USER, .inheritable = BIT(RAW)}, 0, 0, 0, 0, ME, 0, 1},
    {"out of bounds, in effect", 0755, 0, BIT(RAW) | BIT(KILL), 0, 2,
        {USER, .drop_bounding = BIT(RAW)}, EPERM, 0, 0, 0, 0, 0, 0},
    {"out of bounds, not in effect", 0755, 0, BIT(RAW) | BIT(KILL), 0, 1,
        {USER, .drop_bounding = BIT(RAW)}, 0, BIT(KILL), 0, 0, ME, 1, 0},
    {"out of bounds, but inherited", 0755, 0, BIT(RAW), BIT(RAW), 2,
        {USER, .drop_bounding = BIT(RAW), .inheritable = BIT(RAW)}, 0, BIT(RAW), BIT(RAW),
        0, ME, 1, 0},
    {"ambient, plain file", 0755, 0, 0, 0, 0,
        {USER, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, BIT(RAW), BIT(RAW),
        BIT(RAW), ME, 0, 1},
    {"ambient, capable file", 0755, 0, BIT(KILL), 0, 2,
        {USER, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, BIT(KILL), BIT(KILL), 0,
        ME, 1, 0},
    {"ambient, empty capabilities", 0755, 0, 0, 0, 1,
        {USER, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, 0, 0, 0, ME, 0, 1},
    {"ambient, set-user-id", 04755, OTHER, 0, 0, 0,
        {USER, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, 0, 0, 0, OTHER, 1, 0},
    {"ambient, set-user-id to himself", 04755, ME, 0, 0, 0,
        {USER, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, BIT(RAW), BIT(RAW),
        BIT(RAW), ME, 0, 1},
    {"no new privileges", 0755, 0, BIT(RAW), 0, 2, {USER | NO_NEW_PRIVS}, 0, 0, 0, 0, ME,
        1, 1},
    {"no new privileges, had some", 0755, 0, BIT(RAW) | BIT(KILL), 0, 2,
        {USER | NO_NEW_PRIVS, .only = BIT(KILL)}, 0, BIT(KILL), BIT(KILL), 0, ME, 1, 1},
    {"no new privileges, ambient", 0755, 0, BIT(KILL), 0, 1,
        {USER | NO_NEW_PRIVS, .inheritable = BIT(RAW), .ambient = BIT(RAW)}, 0, 0, 0, 0,
        ME, 0, 1},
    {"shares its directory", 0755, 0, BIT(RAW), 0, 2, {USER | SHARE}, 0, 0, 0, 0, ME, 1,
        1},
    {"traced", 0755, 0, BIT(RAW), 0, 2, {USER | TRACED}, 0, 0, 0, 0, ME, 1, 1},
    {"traced by one with rights", 0755, 0, BIT(RAW), 0, 2,
        {USER | TRACED, .only = BIT(CAP_SYS_PTRACE)}, 0, BIT(RAW), BIT(RAW), 0, ME, 1, 0},
    {"traced by one with rights, at its own wish", 0755, 0, BIT(RAW), 0, 2,
        {USER | TRACED | DROPS, .only = BIT(CAP_SYS_PTRACE)}, 0, 0, 0, 0, ME, 1, 1},
    {"set-user-id of root's", 04755, 0, 0, 0, 0, {USER}, 0, ALL, ALL, 0, 0, 1, 0},
    {"the same, with capabilities", 04755, 0, BIT(RAW), 0, 1, {USER}, 0, BIT(RAW), 0, 0,
        0, 1, 0},
    {"the same, in effect", 04755, 0, BIT(RAW), 0, 2, {USER}, 0, BIT(RAW), BIT(RAW), 0, 0,
        1, 0},
    {"set-user-id of root's, traced", 04755, 0, 0, 0, 0, {USER | TRACED}, 0, 0, 0, 0, ME,
        1, 1},
    {"the same, with CAP_SETUID", 04755, 0, 0, 0, 0,
        {USER | TRACED, .only = BIT(CAP_SETUID)}, 0, BIT(CAP_SETUID), BIT(CAP_SETUID), 0,
        0, 1, 0},
    {"set-user-id, no new privileges", 04755, 0, 0, 0, 0, {USER | NO_NEW_PRIVS}, 0, 0, 0,
        0, ME, 0, 1},
    {"root, plain file", 0755, 0, 0, 0, 0, {0}, 0, ALL, ALL, 0, 0, 0, 1},
    {"root, capable file", 0755, 0, BIT(RAW), 0, 1, {0}, 0, ALL, ALL, 0, 0, 0, 1},
    {"root, fewer bounds", 0755, 0, BIT(RAW), 0, 1, {.drop_bounding = BIT(RAW)}, 0,
        ALL & ~BIT(RAW), ALL & ~BIT(RAW), 0, 0, 0, 1},
    {"root, out of bounds in effect", 0755, 0, BIT(RAW), 0, 2,
        {.drop_bounding = BIT(RAW)}, EPERM, 0, 0, 0, 0, 0, 0},
    {"root, out of bounds but inherited", 0755, 0, 0, 0, 0,
        {.drop_bounding = BIT(RAW), .inheritable = BIT(RAW)}, 0, ALL, ALL, 0, 0, 0, 1},
    {"root without privilege, plain file", 0755, 0, 0, 0, 0, {.securebits = 1}, 0, 0, 0,
        0, 0, 0, 1},
    {"root without privilege, capable file", 0755, 0, BIT(RAW), 0, 2, {.securebits = 1},
        0, BIT(RAW), BIT(RAW), 0, 0, 0, 1},
    {"user, set-user-id without privilege", 04755, 0, 0, 0, 0, {USER, .securebits = 1}, 0,
        0, 0, 0, 0, 1, 0},
    {"root runs a user's set-user-id", 04755, ME, 0, 0, 0, {0}, 0, ALL, 0, 0, ME, 1, 0},
    {"root with few runs plain", 0755, 0, 0, 0, 0, {.only = BIT(KILL)}, 0, ALL, ALL, 0, 0,
        0, 0},
    {"real root, effective user", 0755, 0, 0, 0, 0,
        {USER, .ruid = 0, .euid = ME, .suid = ME}, 0, ALL, 0, 0, ME, 1, 0},
    {"effective root, real user", 0755, 0, 0, 0, 0,
        {USER, .ruid = ME, .euid = 0, .suid = 0}, 0, ALL, ALL, 0, 0, 1, 0},
    {"effective root, capable file", 0755, 0, BIT(RAW), 0, 1,
        {USER, .ruid = ME, .euid = 0, .suid = 0}, 0, BIT(RAW), 0, 0, 0, 1, 0},
    {"effective other, plain file", 0755, 0, 0, 0, 0,
        {USER, .ruid = ME, .euid = OTHER, .suid = OTHER}, 0, 0, 0, 0, OTHER, 1, 0},
    {"effective other, ambient", 0755, 0, 0, 0, 0,
        {USER, .ruid = ME, .euid = OTHER, .suid = OTHER, .inheritable = BIT(RAW),
            .ambient = BIT(RAW)},
        0, BIT(RAW), BIT(RAW), BIT(RAW), OTHER, 1, 0},
    {"effective other, no new privileges", 0755, 0, 0, 0, 0,
        {USER | NO_NEW_PRIVS, .ruid = ME, .euid = OTHER, .suid = OTHER}, 0, 0, 0, 0,
        OTHER, 1, 0},
    {"many words", 0755, 0, BIT(40) | BIT(32), 0, 2, {USER}, 0, BIT(40) | BIT(32),
        BIT(40) | BIT(32), 0, ME, 1, 0},
    {"bits that mean nothing", 0755, 0, ~0ull, 0, 1, {USER}, 0, ALL, 0, 0, ME, 1, 0},
};

/* proves: execve */
static void
exec_transforms(void)
{
	mount_dir(0);
	for (unsigned i = 0; i < sizeof(exec_cases) / sizeof(exec_cases[0]); i++) {
		const struct exec_case *c = &exec_cases[i];
		struct report r;

		printf("# %s\n", c->name);
		fflush(stdout);
		copy_self(c->mode, c->owner, 0);
		if (c->file)
			give_caps(c->file_permitted, c->file_inheritable, c->file == 2);
		EXPECT_EQ(run(&c->who, &r), c->error);
		if (c->error)
			continue;
		EXPECT_EQ(r.permitted, c->permitted & all);
		EXPECT_EQ(r.effective, c->effective & all);
		EXPECT_EQ(r.ambient, c->ambient);
		EXPECT_EQ(r.inheritable, c->who.inheritable);
		EXPECT_EQ(r.euid, c->euid);
		EXPECT_EQ(r.suid, c->euid);
		EXPECT_EQ(r.is_secure, c->is_secure);
		EXPECT_EQ(r.dumpable, c->dumpable);
	}
	unmount_dir();
}

/* Revisions that setxattr makes, and those that come from elsewhere. */
static void
exec_reads_revisions(void)
{
	static const struct runner user = {USER};
	uint32_t v[6] = {0x03000001, BIT(RAW), 0, 0, 0, 0};
	struct report r;

	mount_dir(0);
	copy_self(0755, 0, 0);
	CHECK_EQ(setxattr(program, NAME, v, 24, 0), 0);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.effective, BIT(RAW));
	/* Meant for another user name space. */
	v[5] = ME;
	CHECK_EQ(setxattr(program, NAME, v, 24, 0), 0);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.permitted, 0);
	CHECK_EQ(r.is_secure, 0);
	/* Damaged. */
	CHECK_EQ(setxattr(program, NAME, "", 0, 0), 0);
	CHECK_ERR(getxattr(program, NAME, v, sizeof(v)), EINVAL);
	CHECK_EQ(run(&user, &r), EINVAL);
	unmount_dir();
}

static void
exec_on_nosuid_mounts(void)
{
	static const struct runner user = {USER};
	static const struct runner ambient = {
	    USER, .inheritable = BIT(KILL), .ambient = BIT(KILL)};
	struct report r;

	mount_dir(MS_NOSUID);
	copy_self(04755, 0, 0);
	give_caps(BIT(RAW), 0, true);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.permitted, 0);
	CHECK_EQ(r.euid, ME);
	CHECK_EQ(r.is_secure, 0);
	CHECK_EQ(run(&ambient, &r), 0);
	CHECK_EQ(r.permitted, BIT(KILL));
	unmount_dir();
}

/* What else a program with more rights than its caller begins without. */
static void
exec_cleans_up(void)
{
	struct runner user = {USER | PDEATH, .securebits = 1 << 4};
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct report r;

	mount_dir(0);
	copy_self(0755, 0, 0);
	CHECK_EQ(setrlimit(RLIMIT_STACK, &limit), 0);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.pdeath, SIGUSR1);
	CHECK_EQ(r.securebits, 0);
	CHECK_EQ(r.stack_limit, RLIM_INFINITY);
	give_caps(BIT(RAW), 0, false);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.pdeath, 0);
	CHECK_EQ(r.stack_limit, 8 << 20);
	unmount_dir();
}

/* A script has the rights that its interpreter has, and none of its own. */
static void
scripts_have_none(void)
{
	static const struct runner user = {USER};
	char text[128];
	struct report r;
	int fd;

	mount_dir(0);
	copy_self(0755, 0, 0);
	snprintf(text, sizeof(text), "#!%s\n", program);
	snprintf(program, sizeof(program), "%s/script", dir);
	fd = open(program, O_CREAT | O_WRONLY, 0755);
	CHECK(write(fd, text, strlen(text)) > 0);
	close(fd);
	give_caps(BIT(RAW), 0, true);
	CHECK_EQ(run(&user, &r), 0);
	CHECK_EQ(r.permitted, 0);
	CHECK_EQ(r.is_secure, 0);
	unmount_dir();
}

static const struct test tests[] = {
    TEST(the_attribute_is_checked),
    TEST(setting_needs_its_capability),
    TEST(changes_take_it_away),
    TEST(writers_of_other_groups),
    TEST(exec_transforms),
    TEST(exec_reads_revisions),
    TEST(exec_on_nosuid_mounts),
    TEST(exec_cleans_up),
    TEST(scripts_have_none),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	/* As its own program; as an interpreter it is told the script's name. */
	if (argc > 1 && strchr(argv[0], '/') && strstr(argv[0], "fcaps.")) {
		struct report r = {0};

		make_report(&r);
		return write(1, &r, sizeof(r)) != sizeof(r);
	}
	for (int i = 0; i <= 40; i++)
		if (prctl(PR_CAPBSET_READ, i) == 1)
			all |= BIT(i);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
