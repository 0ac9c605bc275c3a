/*
 * Privileges: each operation that needs a capability is tried by a user without, by root who has
 * every other one, and by a user who has that one alone. Then what set-id programs must not
 * give, and another user's process and what /proc shows of it. Needs root.
 */
#define _GNU_SOURCE
#include "tests/guest/caps_util.h"

#include <grp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

enum { ME = 1000, OTHER = 2000 };

static char dir[64], of_root[96], of_other[96], readable[96], sticky[96];
static pid_t victim;

#define BIT(cap) (1ull << (cap))

/* ---- Who tries ---- */

static uint64_t
get_caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	CHECK_EQ(syscall(SYS_capget, &h, d), 0);
	return (uint64_t)d[1].permitted << 32 | d[0].permitted;
}

/* Becomes the user with these capabilities and no group more. */
static void
become(uid_t uid, uint64_t caps)
{
	CHECK_EQ(setgroups(0, NULL), 0);
	CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	if (uid) {
		CHECK_EQ(setresgid(uid, uid, uid), 0);
		CHECK_EQ(setresuid(uid, uid, uid), 0);
	}
	set_caps(caps);
}

/* ---- What is tried: 0, or -1 and errno ---- */

static int
do_chown(void)
{
	return chown(of_root, OTHER, (gid_t)-1);
}

static int
do_write(void)
{
	return open(readable, O_WRONLY) < 0 ? -1 : 0;
}

static int
do_read(void)
{
	return open(of_other, O_RDONLY) < 0 ? -1 : 0;
}

static int
do_search(void)
{
	char name[128];

	snprintf(name, sizeof(name), "%s/private/file", dir);
	return open(name, O_RDONLY) < 0 ? -1 : 0; /* of mode 0666 */
}

static int
do_chmod(void)
{
	return chmod(of_other, 0600);
}

static int
do_utimes(void)
{
	static const struct timespec t[2] = {{1, 0}, {1, 0}};

	return utimensat(AT_FDCWD, of_other, t, 0);
}

static int
do_unlink_sticky(void)
{
	return unlink(sticky);
}

static int
do_kill(void)
{
	return kill(victim, 0);
}

static int
do_setgid(void)
{
	return setgid(OTHER);
}

static int
do_setgroups(void)
{
	static const gid_t groups[] = {OTHER};

	return setgroups(1, groups);
}

static int
do_setuid(void)
{
	return setresuid(OTHER, OTHER, OTHER);
}

static int
do_capbset(void)
{
	return prctl(PR_CAPBSET_DROP, CAP_MAC_ADMIN, 0, 0, 0);
}

static int
do_bind(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(801)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&in, sizeof(in));
}

static int
do_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? -1 : 0;
}

static int
do_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0;
}

static int
do_ifflags(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	return ioctl(fd, SIOCSIFFLAGS, &r);
}

static int
do_mlock(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mlock(page, 4096);
}

static int
do_chroot(void)
{
	return chroot("/");
}

static int
do_ptrace(void)
{
	int status;

	if (ptrace(PTRACE_ATTACH, victim, 0, 0))
		return -1;
	CHECK_EQ(waitpid(victim, &status, __WALL), victim);
	return (int)ptrace(PTRACE_DETACH, victim, 0, 0);
}

static int
do_vm_read(void)
{
	static char word[8], *there = word;
	struct iovec mine = {word, sizeof(word)}, its = {there, sizeof(word)};

	return process_vm_readv(victim, &mine, 1, &its, 1, 0) < 0 ? -1 : 0;
}

static int
do_getfd(void)
{
	int pidfd = (int)syscall(434 /* pidfd_open */, victim, 0);

	CHECK(pidfd >= 0);
	return syscall(438 /* pidfd_getfd */, pidfd, 0, 0) < 0 ? -1 : 0;
}

static int
do_hostname(void)
{
	struct utsname u;

	CHECK_EQ(uname(&u), 0);
	return sethostname(u.nodename, strlen(u.nodename));
}

static int
do_mount(void)
{
	if (mount("none", dir, "tmpfs", 0, NULL))
		return -1;
	return umount(dir);
}

static int
do_trusted(void)
{
	return setxattr(of_root, "trusted.keel", "x", 1, 0);
}

static int
do_reboot(void)
{
	return reboot(RB_DISABLE_CAD);
}

static int
do_nice(void)
{
	return setpriority(PRIO_PROCESS, 0, -1);
}

static int
do_nice_other(void)
{
	return setpriority(PRIO_PROCESS, (id_t)victim, 1);
}

static int
do_fifo(void)
{
	static const int p = 1; /* sched_priority */

	return (int)syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p);
}

static int
do_affinity_other(void)
{
	unsigned long mask[16] = {1};

	return (int)syscall(SYS_sched_setaffinity, victim, sizeof(mask), mask);
}

static int
do_rlimit(void)
{
	static const struct rlimit higher = {200, 200};

	return setrlimit(RLIMIT_NOFILE, &higher);
}

static int
do_rlimit_other(void)
{
	struct rlimit old;

	return (int)syscall(SYS_prlimit64, victim, RLIMIT_NOFILE, NULL, &old);
}

static int
do_settime(void)
{
	static const struct {
		int west, dst;
	} utc;

	return (int)syscall(SYS_settimeofday, NULL, &utc);
}

static int
do_mknod(void)
{
	char name[128];

	snprintf(name, sizeof(name), "%s/open/null.%d", dir, getpid());
	return mknod(name, S_IFCHR | 0666, makedev(1, 3));
}

static int
do_syslog(void)
{
	return klogctl(9 /* unread bytes */, NULL, 0) < 0 ? -1 : 0;
}

static int
do_vhangup(void)
{
	setsid();
	return vhangup();
}

#define OP(fn, ...) \
	{ \
#fn, fn, __VA_ARGS__ \
	}

static const struct operation {
	const char *name;
	int (*fn)(void);
	int cap, error;
	uint64_t as_well; /* capabilities that allow it too */
} operations[] = {
    OP(do_chown, CAP_CHOWN, EPERM, 0),
    OP(do_write, CAP_DAC_OVERRIDE, EACCES, 0),
    OP(do_read, CAP_DAC_READ_SEARCH, EACCES, BIT(CAP_DAC_OVERRIDE)),
    OP(do_read, CAP_DAC_OVERRIDE, EACCES, BIT(CAP_DAC_READ_SEARCH)),
    OP(do_search, CAP_DAC_READ_SEARCH, EACCES, BIT(CAP_DAC_OVERRIDE)),
    OP(do_chmod, CAP_FOWNER, EPERM, 0),
    OP(do_utimes, CAP_FOWNER, EPERM, 0),
    OP(do_unlink_sticky, CAP_FOWNER, EPERM, 0),
    OP(do_kill, CAP_KILL, EPERM, 0),
    OP(do_setgid, CAP_SETGID, EPERM, 0),
    OP(do_setgroups, CAP_SETGID, EPERM, 0),
    OP(do_setuid, CAP_SETUID, EPERM, 0),
    OP(do_capbset, CAP_SETPCAP, EPERM, 0),
    OP(do_bind, CAP_NET_BIND_SERVICE, EACCES, 0),
    OP(do_raw, CAP_NET_RAW, EPERM, 0),
    OP(do_packet, CAP_NET_RAW, EPERM, 0),
    OP(do_ifflags, CAP_NET_ADMIN, EPERM, 0),
    OP(do_mlock, CAP_IPC_LOCK, EPERM, 0),
    OP(do_chroot, CAP_SYS_CHROOT, EPERM, 0),
    OP(do_ptrace, CAP_SYS_PTRACE, EPERM, 0),
    OP(do_vm_read, CAP_SYS_PTRACE, EPERM, 0),
    OP(do_getfd, CAP_SYS_PTRACE, EPERM, 0),
    OP(do_hostname, CAP_SYS_ADMIN, EPERM, 0),
    OP(do_mount, CAP_SYS_ADMIN, EPERM, 0),
    OP(do_reboot, CAP_SYS_BOOT, EPERM, 0),
    OP(do_nice, CAP_SYS_NICE, EACCES, 0),
    OP(do_nice_other, CAP_SYS_NICE, EPERM, 0),
    OP(do_fifo, CAP_SYS_NICE, EPERM, 0),
    OP(do_affinity_other, CAP_SYS_NICE, EPERM, 0),
    OP(do_rlimit, CAP_SYS_RESOURCE, EPERM, 0),
    OP(do_rlimit_other, CAP_SYS_RESOURCE, EPERM, 0),
    OP(do_settime, CAP_SYS_TIME, EPERM, 0),
    OP(do_mknod, CAP_MKNOD, EPERM, 0),
    OP(do_syslog, CAP_SYSLOG, EPERM, BIT(CAP_SYS_ADMIN)),
    OP(do_vhangup, CAP_SYS_TTY_CONFIG, EPERM, 0),
    OP(do_trusted, CAP_SYS_ADMIN, EPERM, 0),
};

/* ---- The world they try it in ---- */

static void
make_file(const char *name, uid_t uid, mode_t mode)
{
	int fd;

	unlink(name);
	fd = open(name, O_CREAT | O_RDWR | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(fchown(fd, uid, uid), 0);
	CHECK_EQ(fchmod(fd, mode), 0);
	close(fd);
}

static void
make_dir(const char *name, uid_t uid, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)mkdir(path, 0700);
	CHECK_EQ(chown(path, uid, uid), 0);
	CHECK_EQ(chmod(path, mode), 0);
}

static void
make_world(void)
{
	char inner[96];

	snprintf(dir, sizeof(dir), "/tmp/privilege.%d", getppid());
	(void)mkdir(dir, 0755);
	CHECK_EQ(chmod(dir, 0755), 0);
	make_dir("private", OTHER, 0700);
	make_dir("open", OTHER, 0777);
	make_dir("sticky", OTHER + 1, 01777);
	snprintf(of_root, sizeof(of_root), "%s/of-root", dir);
	snprintf(of_other, sizeof(of_other), "%s/of-other", dir);
	snprintf(readable, sizeof(readable), "%s/readable", dir);
	snprintf(sticky, sizeof(sticky), "%s/sticky/file", dir);
	snprintf(inner, sizeof(inner), "%s/private/file", dir);
	make_file(of_root, 0, 0644);
	make_file(of_other, OTHER, 0600);
	make_file(readable, OTHER, 0444);
	make_file(sticky, OTHER, 0666);
	make_file(inner, OTHER, 0666);
}

static void
remove_world(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}

/* A process of another user's that may be looked at by its own. */
static void
make_victim(void)
{
	int fds[2];
	char ready = 0;

	CHECK_EQ(pipe(fds), 0);
	victim = fork();
	if (victim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK_EQ(setgroups(0, NULL), 0);
		CHECK_EQ(setresgid(OTHER, OTHER, OTHER), 0);
		CHECK_EQ(setresuid(OTHER, OTHER, OTHER), 0);
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK_EQ(write(fds[1], "", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &ready, 1), 1);
}

static void
kill_victim(void)
{
	kill(victim, SIGKILL);
	CHECK_EQ(waitpid(victim, NULL, __WALL), victim);
}

/* The limits that the operations push against. */
static void
lower_limits(void)
{
	static const struct rlimit none = {0, 0}, few = {100, 100};

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	CHECK_EQ(setrlimit(RLIMIT_NICE, &none), 0);
	CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &none), 0);
}

/* The errno of an operation by that user with these capabilities; 0: done. */
static int
error_of(const struct operation *op, uid_t uid, uint64_t caps)
{
	int status;
	pid_t pid;

	make_world();
	pid = fork();
	if (pid == 0) {
		lower_limits();
		become(uid, caps);
		errno = 0;
		_exit(op->fn() ? errno : 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int wrong;

static void
expect(const struct operation *op, const char *who, int got, int wanted)
{
	if (got == wanted)
		return;
	printf("# %s by %s: errno %d, not %d\n", op->name, who, got, wanted);
	wrong++;
}

static void
each_operation_needs_its_capability(void)
{
	uint64_t all = get_caps();

	make_victim();
	for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *op = &operations[i];

		if (!(all >> op->cap & 1)) {
			printf("# %s: root itself has no such capability\n", op->name);
			continue;
		}
		expect(op, "a user", error_of(op, ME, 0), op->error);
		expect(op, "root with all others",
		    error_of(op, 0, all & ~BIT(op->cap) & ~op->as_well), op->error);
		expect(op, "a user with it alone", error_of(op, ME, BIT(op->cap)), 0);
		expect(op, "a user with all others",
		    error_of(op, ME, all & ~BIT(op->cap) & ~op->as_well), op->error);
	}
	kill_victim();
	remove_world();
	CHECK_EQ(wrong, 0);
}

/* ---- Another user's process ---- */

/* Field n of the victim's stat, counted from 1 as in proc(5). */
static unsigned long
stat_field(int n)
{
	char text[1024] = "", name[64], *at;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/stat", victim);
	fd = open(name, O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strrchr(text, ')') + 2;
	for (int i = 3; i < n; i++)
		at = strchr(at, ' ') + 1;
	return strtoul(at, NULL, 10);
}

static void
others_processes_are_closed(void)
{
	static const char *const files[] = {"mem", "maps", "smaps", "environ", "auxv",
	    "io", "syscall", "stack", "fd", "fdinfo", "map_files"};
	static const char *const links[] = {"exe", "cwd", "root", "fd/0"};
	char name[64], text[64];
	int status;
	pid_t pid;

	make_victim();
	CHECK(stat_field(26) > 1 && stat_field(28) > 1); /* start of code, of the stack */
	pid = fork();
	if (pid == 0) {
		become(ME, 0);
		CHECK_EQ(stat_field(26), 1);
		CHECK_EQ(stat_field(28), 0);
		CHECK_EQ(stat_field(48), 0); /* of the arguments */
		for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			snprintf(name, sizeof(name), "/proc/%d/%s", victim, files[i]);
			int fd = open(name, O_RDONLY);

			if (fd >= 0)
				printf("# %s opens\n", name);
			CHECK(fd < 0 &&
			      (errno == EACCES || errno == EPERM || errno == ENOENT));
		}
		for (unsigned i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
			snprintf(name, sizeof(name), "/proc/%d/%s", victim, links[i]);
			CHECK_ERR(readlink(name, text, sizeof(text)), EACCES);
		}
		CHECK_ERR(kill(victim, 0), EPERM);
		CHECK_ERR(syscall(SYS_kcmp, getpid(), victim, 0, 0, 0), EPERM);
		CHECK_ERR(syscall(SYS_tgkill, victim, victim, SIGTERM), EPERM);
		CHECK_ERR(syscall(SYS_get_robust_list, victim, text, name), EPERM);
		CHECK_ERR(open("/dev/mem", O_RDONLY),
		    access("/dev/mem", F_OK) ? ENOENT : EACCES);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	kill_victim();
}

/* ---- Set-id programs ---- */

static char program[96];

/* The effective user of the program, run by ME after `prepare`. */
static int
euid_of(void (*prepare)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		become(ME, 0);
		if (prepare)
			prepare();
		execl(program, program, "euid", NULL);
		_exit(9);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
set_no_new_privs(void)
{
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
}

static int
wait_for_ever(void *arg)
{
	alarm(20);
	pause();
	return 0;
}

/* Somebody else could change the program's current directory under it. */
static void
share_directory(void)
{
	static char stack[16384] __attribute__((aligned(16)));

	CHECK(clone(wait_for_ever, stack + sizeof(stack), CLONE_FS | SIGCHLD, NULL) > 0);
}

static void
copy_self(mode_t mode)
{
	char buf[65536];
	int from = open("/proc/self/exe", O_RDONLY), to;
	ssize_t n;

	unlink(program);
	to = open(program, O_CREAT | O_WRONLY | O_EXCL, 0700);
	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		CHECK_EQ(write(to, buf, (size_t)n), n);
	CHECK_EQ(fchown(to, OTHER, OTHER), 0);
	CHECK_EQ(fchmod(to, mode), 0);
	close(from);
	close(to);
}

enum { SAW_ME = 1, SAW_OTHER = 2 };

static void
set_id_is_given_only_where_it_is_safe(void)
{
	make_world();
	snprintf(program, sizeof(program), "%s/open/program", dir);
	copy_self(0755);
	CHECK_EQ(euid_of(NULL), SAW_ME);
	copy_self(04755);
	CHECK_EQ(euid_of(NULL), SAW_OTHER);
	CHECK_EQ(euid_of(set_no_new_privs), SAW_ME);
	CHECK_EQ(euid_of(share_directory), SAW_ME);
	/* A new owner, be it the same, takes the bit. */
	CHECK_EQ(chown(program, OTHER, OTHER), 0);
	CHECK_EQ(euid_of(NULL), SAW_ME);
	remove_world();
}

static void
set_id_is_not_given_on_nosuid_mounts(void)
{
	make_world();
	(void)unshare(CLONE_NEWNS); /* where there are name spaces */
	(void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	CHECK_EQ(mount("none", dir, "tmpfs", MS_NOSUID, NULL), 0);
	snprintf(program, sizeof(program), "%s/program", dir);
	copy_self(04755);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(euid_of(NULL), SAW_ME);
	CHECK_EQ(mount("none", dir, NULL, MS_REMOUNT | MS_NOEXEC, NULL), 0);
	CHECK_EQ(euid_of(NULL), 9);
	CHECK_EQ(umount(dir), 0);
	remove_world();
}

/* Who may not read a program may not read it out of its memory. */
static void
unreadable_programs_stay_so(void)
{
	int status, fds[2];
	char name[64], byte;
	pid_t pid;

	make_world();
	snprintf(program, sizeof(program), "%s/open/program", dir);
	copy_self(0711);
	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		become(ME, 0);
		dup2(fds[1], 1);
		execl(program, program, "wait", NULL);
		_exit(9);
	}
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	victim = fork();
	if (victim == 0) {
		become(ME, 0);
		snprintf(name, sizeof(name), "/proc/%d/mem", pid);
		CHECK_ERR(open(name, O_RDONLY), EACCES);
		snprintf(name, sizeof(name), "/proc/%d/maps", pid);
		CHECK_ERR(open(name, O_RDONLY), EACCES);
		CHECK_ERR(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(victim, &status, 0), victim);
	CHECK_EQ(status, 0);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	remove_world();
}

static const struct test tests[] = {
    TEST(each_operation_needs_its_capability),
    TEST(others_processes_are_closed),
    TEST(set_id_is_given_only_where_it_is_safe),
    TEST(set_id_is_not_given_on_nosuid_mounts),
    TEST(unreadable_programs_stay_so),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "euid"))
		return geteuid() == ME ? SAW_ME : geteuid() == OTHER ? SAW_OTHER : 5;
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)!write(1, "", 1);
		for (;;)
			pause();
	}
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
