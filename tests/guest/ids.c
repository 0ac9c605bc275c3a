/* Who a process is: user and group ids, capabilities, limits, priorities, names of the
 * machine, and what prctl keeps. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#ifndef PR_SPEC_L1D_FLUSH
#define PR_SPEC_L1D_FLUSH 2
#endif

enum { NOBODY = 0x7ffffff0 };

static void
expect_uids(int r, int e, int s)
{
	unsigned uid[3] = {9, 9, 9};

	EXPECT_EQ(SYS(getresuid, &uid[0], &uid[1], &uid[2]), 0);
	EXPECT_EQ(uid[0], r);
	EXPECT_EQ(uid[1], e);
	EXPECT_EQ(uid[2], s);
	EXPECT_EQ(SYS(getuid), r);
	EXPECT_EQ(SYS(geteuid), e);
}

static void
expect_gids(int r, int e, int s)
{
	unsigned gid[3] = {9, 9, 9};

	EXPECT_EQ(SYS(getresgid, &gid[0], &gid[1], &gid[2]), 0);
	EXPECT_EQ(gid[0], r);
	EXPECT_EQ(gid[1], e);
	EXPECT_EQ(gid[2], s);
	EXPECT_EQ(SYS(getgid), r);
	EXPECT_EQ(SYS(getegid), e);
}

/* proves: setresuid getresuid setreuid setuid getuid geteuid */
static void
user_ids(void)
{
	unsigned id;

	expect_uids(0, 0, 0);
	EXPECT_ERR(SYS(getresuid, BAD_ADDR, &id, &id), EFAULT);
	EXPECT_ERR(SYS(getresuid, &id, BAD_ADDR, &id), EFAULT);
	EXPECT_ERR(SYS(getresuid, &id, &id, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(setuid, -1), EINVAL);
	EXPECT_EQ(SYS(setresuid, -1, -1, -1), 0);
	EXPECT_EQ(SYS(setreuid, -1, -1), 0);
	EXPECT_EQ(SYS(setresuid, 10, 20, 30), 0);
	expect_uids(10, 20, 30);
	/* Without the capability: one of the three. */
	EXPECT_ERR(SYS(setresuid, 40, -1, -1), EPERM);
	EXPECT_ERR(SYS(setresuid, -1, 40, -1), EPERM);
	EXPECT_ERR(SYS(setresuid, -1, -1, 40), EPERM);
	EXPECT_ERR(SYS(setresuid, -1, -1, 0), EPERM);
	EXPECT_EQ(SYS(setresuid, 30, 10, 20), 0);
	expect_uids(30, 10, 20);
	EXPECT_ERR(SYS(setuid, 10), EPERM); /* the effective does not count */
	EXPECT_EQ(SYS(setuid, 20), 0);
	expect_uids(30, 20, 20);
	EXPECT_ERR(SYS(setreuid, 40, -1), EPERM);
	EXPECT_ERR(SYS(setreuid, -1, 40), EPERM);
	EXPECT_EQ(SYS(setreuid, 20, 30), 0);
	/* A new real id, or an effective one that is not the real: saved follows. */
	expect_uids(20, 30, 30);
	EXPECT_EQ(SYS(setreuid, -1, 20), 0);
	expect_uids(20, 20, 30);
}

/* proves: setuid setfsuid setfsgid */
static void
ids_of_root_and_files(void)
{
	EXPECT_EQ(SYS(setfsuid, -1), 0);
	EXPECT_EQ(SYS(setfsuid, 5), 0);
	EXPECT_EQ(SYS(setfsuid, -1), 5);
	EXPECT_EQ(SYS(setfsgid, 6), 0);
	EXPECT_EQ(SYS(setfsgid, -1), 6);
	/* Changing the effective id takes the other along. */
	EXPECT_EQ(SYS(setresuid, -1, 7, -1), 0);
	EXPECT_EQ(SYS(setfsuid, -1), 7);
	EXPECT_EQ(SYS(setfsuid, 9), 7);
	EXPECT_EQ(SYS(setfsuid, -1), 7);
	EXPECT_EQ(SYS(setfsuid, 0), 7);
	EXPECT_EQ(SYS(setfsuid, -1), 0);
	EXPECT_EQ(SYS(setresuid, 0, 0, 0), 0);
	EXPECT_EQ(SYS(setuid, 33), 0);
	expect_uids(33, 33, 33);
	EXPECT_ERR(SYS(setuid, 0), EPERM);
	EXPECT_EQ(SYS(setfsgid, 0), 6);
}

/* proves: setresgid getresgid setregid setgid getgid getegid */
static void
group_ids(void)
{
	unsigned id;

	expect_gids(0, 0, 0);
	EXPECT_ERR(SYS(getresgid, BAD_ADDR, &id, &id), EFAULT);
	EXPECT_ERR(SYS(getresgid, &id, &id, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(setgid, -1), EINVAL);
	EXPECT_EQ(SYS(setresgid, 10, 20, 30), 0);
	expect_gids(10, 20, 30);
	EXPECT_EQ(SYS(setregid, 5, -1), 0);
	expect_gids(5, 20, 20);
	EXPECT_EQ(SYS(setresgid, 10, 20, 30), 0);
	EXPECT_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(setresgid, 40, -1, -1), EPERM);
	EXPECT_ERR(SYS(setresgid, -1, 0, -1), EPERM);
	EXPECT_ERR(SYS(setgid, 40), EPERM);
	EXPECT_EQ(SYS(setgid, 30), 0);
	expect_gids(10, 30, 30);
	EXPECT_ERR(SYS(setregid, 20, -1), EPERM);
	EXPECT_EQ(SYS(setregid, 30, 10), 0);
	expect_gids(30, 10, 10);
}

/* proves: getgroups setgroups */
static void
groups(void)
{
	static unsigned many[65537];
	unsigned g[4] = {7, 5, 6, 5};

	EXPECT_EQ(SYS(setgroups, 3, g), 0);
	EXPECT_EQ(SYS(getgroups, 0, NULL), 3);
	EXPECT_ERR(SYS(getgroups, 2, g), EINVAL);
	EXPECT_ERR(SYS(getgroups, -1, g), EINVAL);
	EXPECT_ERR(SYS(getgroups, 4, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(getgroups, 4, g), 3);
	EXPECT_EQ(g[0] == 5 && g[1] == 6 && g[2] == 7, 1); /* they are sorted */
	EXPECT_EQ(SYS(setgroups, 4, (unsigned[]){1, 1, 1, 1}), 0);
	EXPECT_EQ(SYS(getgroups, 4, g), 4);
	EXPECT_ERR(SYS(setgroups, 65537, many), EINVAL);
	EXPECT_ERR(SYS(setgroups, -1, many), EINVAL);
	EXPECT_ERR(SYS(setgroups, 2, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(setgroups, 65536, many), 0);
	EXPECT_EQ(SYS(setgroups, 0, NULL), 0);
	EXPECT_EQ(SYS(getgroups, 4, g), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(setgroups, 1, g), EPERM);
}

/* proves: capget capset */
static void
capability_sets(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2], none[2] = {{0, 0, 0}};

	EXPECT_EQ(SYS(capget, &h, d), 0);
	EXPECT_EQ(d[0].effective & 0xff, 0xff);
	EXPECT_EQ(d[0].permitted, d[0].effective);
	EXPECT_EQ(SYS(capget, &h, NULL), 0);
	EXPECT_ERR(SYS(capget, BAD_ADDR, d), EFAULT);
	EXPECT_ERR(SYS(capget, &h, BAD_ADDR), EFAULT);
	h.version = 1;
	EXPECT_ERR(SYS(capget, &h, d), EINVAL);
	EXPECT_EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.version = 1;
	EXPECT_EQ(SYS(capget, &h, NULL), 0);
	EXPECT_EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.pid = -1;
	EXPECT_ERR(SYS(capget, &h, d), EINVAL);
	h.pid = NOBODY;
	EXPECT_ERR(SYS(capget, &h, d), ESRCH);
	h.pid = getppid();
	EXPECT_EQ(SYS(capget, &h, d), 0);
	EXPECT_ERR(SYS(capset, &h, d), EPERM);
	h.pid = getpid();
	EXPECT_EQ(SYS(capset, &h, d), 0);
	h.pid = 0;
	EXPECT_ERR(SYS(capset, &h, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(capset, BAD_ADDR, d), EFAULT);
	/* Nothing comes back that has been given away. */
	d[0].effective &= ~(1U << CAP_CHOWN);
	d[0].permitted &= ~(1U << CAP_CHOWN);
	EXPECT_EQ(SYS(capset, &h, d), 0);
	d[0].permitted |= 1U << CAP_CHOWN;
	EXPECT_ERR(SYS(capset, &h, d), EPERM);
	d[0].permitted &= ~(1U << CAP_CHOWN);
	d[0].effective |= 1U << CAP_CHOWN;
	EXPECT_ERR(SYS(capset, &h, d), EPERM);
	EXPECT_EQ(SYS(capset, &h, none), 0);
	EXPECT_ERR(SYS(sethostname, "x", 1), EPERM);
	h.version = 0x19980330; /* the first version: one word, and a warning */
	EXPECT_EQ(SYS(capget, &h, d), 0);
	EXPECT_EQ(d[0].effective, 0);
}

/* proves: prctl */
static void
prctl_of_processes(void)
{
	char name[20] = "";
	int n = -1;

	EXPECT_ERR(SYS(prctl, 9999, 0, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_SET_NAME, "a-name-too-long-for-it", 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_NAME, name, 0, 0, 0), 0);
	EXPECT_EQ(!strcmp(name, "a-name-too-long"), 1);
	EXPECT_ERR(SYS(prctl, PR_SET_NAME, BAD_ADDR, 0, 0, 0), EFAULT);
	EXPECT_ERR(SYS(prctl, PR_GET_NAME, BAD_ADDR, 0, 0, 0), EFAULT);
	EXPECT_EQ(SYS(prctl, PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_PDEATHSIG, &n, 0, 0, 0), 0);
	EXPECT_EQ(n, SIGUSR1);
	EXPECT_ERR(SYS(prctl, PR_SET_PDEATHSIG, 65, 0, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_GET_PDEATHSIG, BAD_ADDR, 0, 0, 0), EFAULT);
	EXPECT_EQ(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	EXPECT_EQ(SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	EXPECT_ERR(SYS(prctl, PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_CHILD_SUBREAPER, &n, 0, 0, 0), 0);
	EXPECT_EQ(n, 1);
	EXPECT_ERR(SYS(prctl, PR_GET_CHILD_SUBREAPER, BAD_ADDR, 0, 0, 0), EFAULT);
	EXPECT_EQ(SYS(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0), 50000);
	EXPECT_EQ(SYS(prctl, PR_SET_TIMERSLACK, 1234, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0), 1234);
	EXPECT_EQ(SYS(prctl, PR_SET_TIMERSLACK, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0), 50000);
	EXPECT_EQ(SYS(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	EXPECT_ERR(SYS(prctl, PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	EXPECT_EQ(SYS(prctl, PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_TSC, &n, 0, 0, 0), 0);
	EXPECT_EQ(n, PR_TSC_ENABLE);
	EXPECT_EQ(SYS(prctl, PR_GET_TIMING, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_SET_TIMING, 0, 0, 0, 0), 0);
	EXPECT_ERR(SYS(prctl, PR_SET_TIMING, 1, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
	EXPECT_EQ(SYS(prctl, PR_GET_TID_ADDRESS, &n, 0, 0, 0) <= 0, 1);
}

/* proves: prctl */
static void
prctl_of_broken_memory(void)
{
	int status;
	pid_t pid;

	EXPECT_EQ(SYS(prctl, PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
	for (int policy = PR_MCE_KILL_LATE; policy <= PR_MCE_KILL_DEFAULT; policy++) {
		EXPECT_EQ(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0), 0);
		EXPECT_EQ(SYS(prctl, PR_MCE_KILL_GET, 0, 0, 0, 0), policy);
	}
	EXPECT_ERR(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_MCE_KILL, 2, 0, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 1, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_MCE_KILL_GET, 1, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), 0);
	pid = fork();
	if (pid == 0)
		_exit((int)SYS(prctl, PR_MCE_KILL_GET, 0, 0, 0, 0));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(WEXITSTATUS(status), PR_MCE_KILL_EARLY);
	EXPECT_EQ(SYS(prctl, PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
}

/* proves: prctl */
static void
prctl_of_speculation(void)
{
	EXPECT_ERR(SYS(prctl, PR_GET_SPECULATION_CTRL, 3, 0, 0, 0), ENODEV);
	EXPECT_ERR(SYS(prctl, PR_GET_SPECULATION_CTRL, 0, 1, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_SPECULATION_CTRL, 3, PR_SPEC_ENABLE, 0, 0), ENODEV);
	EXPECT_ERR(SYS(prctl, PR_SET_SPECULATION_CTRL, 0, PR_SPEC_ENABLE, 1, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0),
	    PR_SPEC_FORCE_DISABLE);
	EXPECT_ERR(
	    SYS(prctl, PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0),
	    EPERM);
	/* Kernels choose: what is told is one of what there is. */
	EXPECT_EQ(
	    SYS(prctl, PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) & ~0x1f,
	    0);
}

/* proves: prctl */
static void
prctl_of_places(void)
{
	static char title[] = "another name";
	char text[64] = "";
	unsigned size = 0;
	bool may;
	int fd;

	EXPECT_EQ(SYS(prctl, PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0), 0);
	EXPECT_EQ(size, 104);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_MAP_SIZE, BAD_ADDR, 0, 0), EFAULT);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, title, 1, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 1), EINVAL);
	/* Without CAP_SYS_RESOURCE, which root may lack where this runs. */
	may = SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_END, 0x7ffffffef000, 0, 0) == 0 ||
	      errno != EPERM;
	if (!may)
		return;
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, 16, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, KERNEL_ADDR, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, 0x10000, 0, 0), EFAULT);
	EXPECT_EQ(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0), 0);
	EXPECT_EQ(
	    SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_END, title + sizeof(title), 0, 0), 0);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_END, title - 1, 0, 0), EINVAL);
	fd = open("/proc/self/cmdline", O_RDONLY);
	EXPECT_EQ(read(fd, text, sizeof(text)), sizeof(title));
	EXPECT_EQ(strcmp(text, title), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(prctl, PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0), EPERM);
}

/* proves: prctl */
static void
prctl_of_capabilities(void)
{
	EXPECT_EQ(SYS(prctl, PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0), 1);
	EXPECT_EQ(SYS(prctl, PR_CAPBSET_READ, 40, 0, 0, 0), 1);
	EXPECT_ERR(SYS(prctl, PR_CAPBSET_READ, 41, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0), 0);
	EXPECT_ERR(SYS(prctl, PR_CAPBSET_DROP, 64, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
	EXPECT_ERR(SYS(prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_GET_SECUREBITS, 0, 0, 0, 0), 1 << 4);
	EXPECT_EQ(SYS(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_GET_SECUREBITS, 0, 0, 0, 0), 0);
	EXPECT_EQ(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
	EXPECT_ERR(
	    SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);
	EXPECT_ERR(SYS(prctl, PR_CAP_AMBIENT, 9, CAP_KILL, 0, 0), EINVAL);
	EXPECT_ERR(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 41, 0, 0), EINVAL);
	EXPECT_EQ(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(prctl, PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0), EPERM);
	EXPECT_ERR(SYS(prctl, PR_SET_SECUREBITS, 1, 0, 0, 0), EPERM);
	/* Who changes its user is no longer looked into. */
	EXPECT_EQ(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

/* proves: getrlimit setrlimit prlimit64 */
static void
limits(void)
{
	struct rlimit l, old, infinite = {RLIM_INFINITY, RLIM_INFINITY};
	pid_t pid;

	EXPECT_EQ(SYS(getrlimit, RLIMIT_NOFILE, &l), 0);
	EXPECT_EQ(l.rlim_cur <= l.rlim_max, 1);
	EXPECT_ERR(SYS(getrlimit, 16, &l), EINVAL);
	EXPECT_ERR(SYS(getrlimit, -1, &l), EINVAL);
	EXPECT_ERR(SYS(getrlimit, RLIMIT_CPU, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(setrlimit, RLIMIT_CPU, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(setrlimit, 16, &l), EINVAL);
	l = (struct rlimit){10, 5};
	EXPECT_ERR(SYS(setrlimit, RLIMIT_CORE, &l), EINVAL);
	EXPECT_ERR(SYS(setrlimit, RLIMIT_NOFILE, &infinite), EPERM);
	l = (struct rlimit){50, 100};
	EXPECT_EQ(SYS(prlimit64, 0, RLIMIT_NOFILE, &l, &old), 0);
	EXPECT_EQ(SYS(prlimit64, 0, RLIMIT_NOFILE, NULL, &l), 0);
	EXPECT_EQ(l.rlim_cur == 50 && l.rlim_max == 100, 1);
	EXPECT_EQ(SYS(prlimit64, 0, RLIMIT_NOFILE, NULL, NULL), 0);
	EXPECT_ERR(SYS(prlimit64, NOBODY, RLIMIT_NOFILE, NULL, &l), ESRCH);
	EXPECT_ERR(SYS(prlimit64, -1, RLIMIT_NOFILE, NULL, &l), ESRCH);
	EXPECT_ERR(SYS(prlimit64, 0, 16, NULL, &l), EINVAL);
	EXPECT_ERR(SYS(prlimit64, 0, RLIMIT_NOFILE, NULL, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(prlimit64, 0, RLIMIT_NOFILE, BAD_ADDR, NULL), EFAULT);
	pid = fork();
	if (pid == 0) {
		alarm(20); /* when nobody else ends it */
		pause();
	}
	l = (struct rlimit){7, 8};
	EXPECT_EQ(SYS(prlimit64, pid, RLIMIT_CORE, &l, NULL), 0);
	EXPECT_EQ(SYS(prlimit64, pid, RLIMIT_CORE, NULL, &old), 0);
	EXPECT_EQ(old.rlim_cur == 7 && old.rlim_max == 8, 1);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(prlimit64, pid, RLIMIT_CORE, NULL, &old), EPERM);
	l = (struct rlimit){50, 101};
	EXPECT_ERR(SYS(setrlimit, RLIMIT_NOFILE, &l), EPERM);
	l = (struct rlimit){60, 60};
	EXPECT_EQ(SYS(setrlimit, RLIMIT_NOFILE, &l), 0);
	l = (struct rlimit){60, 61};
	EXPECT_ERR(SYS(setrlimit, RLIMIT_NOFILE, &l), EPERM);
}

/* proves: getpriority setpriority */
static void
priorities(void)
{
	EXPECT_EQ(SYS(setpriority, PRIO_PROCESS, 0, 0), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_PROCESS, 0), 20); /* 20 - nice */
	EXPECT_EQ(SYS(setpriority, PRIO_PROCESS, 0, 5), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_PROCESS, getpid()), 15);
	EXPECT_EQ(SYS(setpriority, PRIO_PROCESS, 0, 100), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_PROCESS, 0), 1);
	EXPECT_EQ(SYS(setpriority, PRIO_PROCESS, 0, -100), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_PROCESS, 0), 40);
	EXPECT_ERR(SYS(getpriority, 3, 0), EINVAL);
	EXPECT_ERR(SYS(setpriority, -1, 0, 0), EINVAL);
	EXPECT_ERR(SYS(getpriority, PRIO_PROCESS, NOBODY), ESRCH);
	EXPECT_ERR(SYS(setpriority, PRIO_PROCESS, NOBODY, 0), ESRCH);
	EXPECT_ERR(SYS(getpriority, PRIO_PGRP, NOBODY), ESRCH);
	EXPECT_ERR(SYS(getpriority, PRIO_USER, 54321), ESRCH);
	CHECK_EQ(setpgid(0, 0), 0);
	EXPECT_EQ(SYS(setpriority, PRIO_PGRP, 0, 3), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_PGRP, 0), 17);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_EQ(SYS(getpriority, PRIO_USER, 0), 17);
	EXPECT_ERR(SYS(setpriority, PRIO_PROCESS, getppid(), 10), EPERM);
	EXPECT_EQ(SYS(setpriority, PRIO_PROCESS, 0, 10), 0);
	EXPECT_ERR(SYS(setpriority, PRIO_PROCESS, 0, 9), EACCES);
}

/* proves: uname sethostname setdomainname */
static void
names_of_the_machine(void)
{
	struct utsname u;
	char longest[66], host[65];

	memset(longest, 'h', sizeof(longest));
	EXPECT_EQ(SYS(uname, &u), 0);
	EXPECT_EQ(!strcmp(u.sysname, "Linux") && !strcmp(u.machine, "x86_64"), 1);
	EXPECT_ERR(SYS(uname, BAD_ADDR), EFAULT);
	strcpy(host, u.nodename);
	EXPECT_ERR(SYS(sethostname, "x", -1), EINVAL);
	EXPECT_ERR(SYS(sethostname, longest, 65), EINVAL);
	EXPECT_ERR(SYS(sethostname, BAD_ADDR, 5), EFAULT);
	EXPECT_ERR(SYS(setdomainname, "x", -1), EINVAL);
	EXPECT_ERR(SYS(setdomainname, longest, 65), EINVAL);
	EXPECT_ERR(SYS(setdomainname, BAD_ADDR, 5), EFAULT);
	EXPECT_EQ(SYS(sethostname, longest, 64), 0);
	EXPECT_EQ(SYS(uname, &u), 0);
	EXPECT_EQ(strlen(u.nodename), 64);
	EXPECT_EQ(SYS(sethostname, "ab\0cd", 5), 0);
	EXPECT_EQ(SYS(uname, &u), 0);
	EXPECT_EQ(!memcmp(u.nodename, "ab\0cd", 6), 1);
	EXPECT_EQ(SYS(sethostname, host, strlen(host)), 0);
	EXPECT_EQ(SYS(setdomainname, "domain", 6), 0);
	EXPECT_EQ(SYS(uname, &u), 0);
	EXPECT_EQ(!strcmp(u.domainname, "domain"), 1);
	EXPECT_EQ(SYS(setdomainname, "(none)", 6), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(sethostname, "x", 1), EPERM);
	EXPECT_ERR(SYS(setdomainname, "x", 1), EPERM);
}

/* proves: personality arch_prctl */
static void
personalities_and_bases(void)
{
	unsigned long fs = 0, gs = 0;

	EXPECT_EQ(SYS(personality, 0xffffffff), 0);
	EXPECT_EQ(SYS(personality, 0x0040000), 0);
	EXPECT_EQ(SYS(personality, 0xffffffff), 0x0040000);
	EXPECT_EQ(SYS(personality, 0x4000003), 0x0040000);
	EXPECT_EQ(SYS(personality, 0), 0x4000003);
	EXPECT_EQ(SYS(arch_prctl, 0x1003, &fs), 0);
	EXPECT_EQ(fs != 0, 1);
	EXPECT_EQ(SYS(arch_prctl, 0x1001, 0x12345000UL), 0);
	EXPECT_EQ(SYS(arch_prctl, 0x1004, &gs), 0);
	EXPECT_EQ(gs, 0x12345000);
	EXPECT_ERR(SYS(arch_prctl, 0x1001, 0xffff800000000000UL), EPERM);
	EXPECT_ERR(SYS(arch_prctl, 0x1002, 0x1000000000000000UL), EPERM);
	EXPECT_ERR(SYS(arch_prctl, 0x1003, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(arch_prctl, 0x9999, 0), EINVAL);
	EXPECT_EQ(SYS(arch_prctl, 0x1011, 0), 1); /* CPUID is not refused */
}

static const struct test tests[] = {
    TEST(user_ids),
    TEST(ids_of_root_and_files),
    TEST(group_ids),
    TEST(groups),
    TEST(capability_sets),
    TEST(prctl_of_processes),
    TEST(prctl_of_capabilities),
    TEST(prctl_of_broken_memory),
    TEST(prctl_of_speculation),
    TEST(prctl_of_places),
    TEST(limits),
    TEST(priorities),
    TEST(names_of_the_machine),
    TEST(personalities_and_bases),
};

RUN_TESTS(tests)
