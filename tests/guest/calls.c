/* Calls of the system as a whole, and those that belong to no larger group: mounts,
 * scheduling, randomness, the log, other processes by descriptor. */
#define _GNU_SOURCE
#include "tests/guest/fs_util.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

enum { NOBODY = 0x7ffffff0, DETACH = 2, EXPIRE = 4, NOFOLLOW = 8 };

/* proves: mount umount2 */
static void
mounts(void)
{
	int fd;

	begin();
	put("f", "x");
	CHECK_EQ(mkdir("m", 0755) | mkdir("n", 0755) | symlink("m", "l"), 0);
	EXPECT_ERR(SYS(mount, "t", "none", "tmpfs", 0, NULL), ENOENT);
	EXPECT_ERR(SYS(mount, "t", "", "tmpfs", 0, NULL), ENOENT);
	EXPECT_ERR(SYS(mount, "t", "f/x", "tmpfs", 0, NULL), ENOTDIR);
	EXPECT_ERR(SYS(mount, "t", "f", "tmpfs", 0, NULL), ENOTDIR);
	EXPECT_ERR(SYS(mount, "t", "m", "nosuchfs", 0, NULL), ENODEV);
	EXPECT_ERR(SYS(mount, "t", "m", NULL, 0, NULL), EINVAL);
	EXPECT_ERR(SYS(mount, "t", "m", BAD_ADDR, 0, NULL), EFAULT);
	EXPECT_ERR(SYS(mount, BAD_ADDR, "m", "tmpfs", 0, NULL), EFAULT);
	EXPECT_ERR(SYS(mount, "t", BAD_ADDR, "tmpfs", 0, NULL), EFAULT);
	EXPECT_ERR(SYS(mount, "t", "m", "tmpfs", 0, "nonsense=1"), EINVAL);
	EXPECT_ERR(SYS(mount, "t", "m", "tmpfs", MS_REMOUNT, NULL), EINVAL);
	EXPECT_ERR(SYS(mount, "none", "m", NULL, MS_BIND, NULL), ENOENT);
	EXPECT_ERR(SYS(mount, "f", "m", NULL, MS_BIND, NULL), ENOTDIR);
	EXPECT_ERR(SYS(mount, "m", "f", NULL, MS_BIND, NULL), ENOTDIR);
	EXPECT_ERR(SYS(mount, NULL, "m", NULL, MS_BIND, NULL), EINVAL);
	EXPECT_ERR(SYS(mount, "m", "n", NULL, MS_MOVE, NULL), EINVAL);
	EXPECT_ERR(SYS(umount2, "m", 0), EINVAL);
	EXPECT_ERR(SYS(umount2, "none", 0), ENOENT);
	EXPECT_ERR(SYS(umount2, BAD_ADDR, 0), EFAULT);
	EXPECT_ERR(SYS(umount2, "m", 16), EINVAL);
	EXPECT_EQ(SYS(mount, "t", "m", "tmpfs", 0, "size=1m,mode=700"), 0);
	EXPECT_EQ(mode_of("m"), S_IFDIR | 0700);
	fd = open("m/busy", O_CREAT | O_RDWR, 0600);
	EXPECT_ERR(SYS(umount2, "m", 0), EBUSY);
	EXPECT_ERR(SYS(umount2, "m", EXPIRE | DETACH), EINVAL);
	EXPECT_EQ(SYS(umount2, "m", DETACH), 0);
	EXPECT_EQ(write(fd, "still", 5), 5);
	EXPECT_ERR(SYS(umount2, "m", 0), EINVAL);
	close(fd);
	EXPECT_EQ(SYS(mount, "f", "m/../f", NULL, MS_BIND, NULL), 0);
	EXPECT_EQ(SYS(umount2, "f", 0), 0);
	EXPECT_EQ(SYS(mount, "t", "m", "tmpfs", MS_NOEXEC | MS_NOSUID, NULL), 0);
	EXPECT_ERR(SYS(umount2, "m", EXPIRE), EAGAIN); /* marked */
	EXPECT_EQ(SYS(umount2, "m", EXPIRE), 0);
	EXPECT_EQ(SYS(mount, "t", "m", "tmpfs", 0, NULL), 0);
	EXPECT_ERR(SYS(umount2, "l", NOFOLLOW), EINVAL);
	EXPECT_EQ(SYS(umount2, "l", 0), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(mount, "t", "m", "tmpfs", 0, NULL), EPERM);
	EXPECT_ERR(SYS(umount2, "m", 0), EPERM);
}

/* proves: mount */
static void
read_only_wants_no_writers(void)
{
	const unsigned long ro = MS_REMOUNT | MS_RDONLY;
	int w, r;

	begin();
	CHECK_EQ(mkdir("m", 0755) | mkdir("n", 0755), 0);
	CHECK_EQ(mount("t", "m", "tmpfs", 0, NULL), 0);
	put("m/f", "x");
	CHECK_EQ(mknod("m/null", S_IFCHR | 0666, 0x103) | mkfifo("m/p", 0600), 0);
	w = open("m/f", O_WRONLY);
	CHECK(w >= 0);
	EXPECT_ERR(SYS(mount, NULL, "m", NULL, ro, NULL), EBUSY);
	EXPECT_EQ(write(w, "y", 1), 1);
	CHECK_EQ(close(open("m/new", O_CREAT | O_RDWR, 0600)), 0);
	/* A duplicate keeps it, and so does a mapping that could write. */
	r = dup(w);
	close(w);
	EXPECT_ERR(SYS(mount, NULL, "m", NULL, ro | MS_BIND, NULL), EBUSY);
	close(r);
	/* Readers, nodes and pipes are not in the way. */
	r = open("m/f", O_RDONLY);
	CHECK(r >= 0 && open("m/null", O_RDWR) >= 0 && open("m/p", O_RDWR) >= 0);
	EXPECT_EQ(SYS(mount, NULL, "m", NULL, ro, NULL), 0);
	EXPECT_ERR(open("m/f", O_WRONLY), EROFS);
	EXPECT_EQ(open("m/null", O_RDWR) >= 0, 1);
	EXPECT_EQ(SYS(mount, NULL, "m", NULL, MS_REMOUNT, NULL), 0);
	/* Another mount of the same has no say when only this one changes, but else. */
	CHECK_EQ(mount("m", "n", NULL, MS_BIND, NULL), 0);
	w = open("n/f", O_WRONLY);
	CHECK(w >= 0);
	EXPECT_EQ(SYS(mount, NULL, "m", NULL, ro | MS_BIND, NULL), 0);
	EXPECT_ERR(open("m/f", O_WRONLY), EROFS);
	EXPECT_EQ(SYS(mount, NULL, "m", NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	EXPECT_ERR(SYS(mount, NULL, "m", NULL, ro, NULL), EBUSY);
	EXPECT_ERR(SYS(mount, NULL, "n", NULL, ro | MS_BIND, NULL), EBUSY);
	close(w);
	EXPECT_EQ(SYS(mount, NULL, "n", NULL, ro | MS_BIND, NULL), 0);
}

/* proves: umount2 */
static void
expiry_wants_no_use_between(void)
{
	struct stat st;
	int fd;

	begin();
	CHECK_EQ(mkdir("m", 0755), 0);
	CHECK_EQ(mount("t", "m", "tmpfs", 0, NULL), 0);
	put("m/f", "x");
	EXPECT_ERR(SYS(umount2, "m", EXPIRE), EAGAIN);
	CHECK_EQ(stat("m/f", &st), 0);
	EXPECT_ERR(SYS(umount2, "m", EXPIRE), EAGAIN);
	fd = open("m/f", O_RDONLY);
	EXPECT_ERR(SYS(umount2, "m", EXPIRE), EBUSY);
	close(fd);
	EXPECT_ERR(SYS(umount2, "m", EXPIRE), EAGAIN);
	EXPECT_ERR(SYS(umount2, "m/f", EXPIRE), EINVAL);
	EXPECT_EQ(SYS(umount2, "m", EXPIRE), 0);
	EXPECT_ERR(stat("m/f", &st), ENOENT);
}

/* proves: pivot_root */
static void
pivoting(void)
{
	begin();
	put("f", "x");
	CHECK_EQ(mkdir("d", 0755) | mkdir("d/old", 0755), 0);
	EXPECT_ERR(SYS(pivot_root, "none", "d"), ENOENT);
	EXPECT_ERR(SYS(pivot_root, "f", "d"), ENOTDIR);
	EXPECT_ERR(SYS(pivot_root, "d", "f"), ENOTDIR);
	EXPECT_ERR(SYS(pivot_root, BAD_ADDR, "d"), EFAULT);
	EXPECT_ERR(SYS(pivot_root, "d", BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(pivot_root, "d", "d/old"), EINVAL); /* nothing is mounted there */
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(pivot_root, "d", "d/old"), EPERM);
}

/* proves: sched_setscheduler sched_getscheduler sched_setparam sched_getparam */
static void
policies(void)
{
	struct sched_param p = {.sched_priority = 0}, q;

	EXPECT_EQ(SYS(sched_getscheduler, 0), SCHED_OTHER);
	EXPECT_EQ(SYS(sched_getparam, 0, &q), 0);
	EXPECT_EQ(q.sched_priority, 0);
	EXPECT_ERR(SYS(sched_getscheduler, -1), EINVAL);
	EXPECT_ERR(SYS(sched_getscheduler, NOBODY), ESRCH);
	EXPECT_ERR(SYS(sched_getparam, -1, &q), EINVAL);
	EXPECT_ERR(SYS(sched_getparam, NOBODY, &q), ESRCH);
	EXPECT_ERR(SYS(sched_getparam, 0, NULL), EINVAL);
	EXPECT_ERR(SYS(sched_getparam, 0, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(sched_setscheduler, 0, 99, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setscheduler, 0, -1, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setscheduler, -1, SCHED_OTHER, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setscheduler, NOBODY, SCHED_OTHER, &p), ESRCH);
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_OTHER, NULL), EINVAL);
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_OTHER, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_FIFO, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setparam, NOBODY, &p), ESRCH);
	EXPECT_ERR(SYS(sched_setparam, -1, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setparam, 0, NULL), EINVAL);
	p.sched_priority = 1;
	EXPECT_ERR(SYS(sched_setparam, 0, &p), EINVAL);
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_BATCH, &p), EINVAL);
	p.sched_priority = 100;
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_RR, &p), EINVAL);
	p.sched_priority = 5;
	EXPECT_EQ(SYS(sched_setscheduler, 0, SCHED_RR | 0x40000000, &p), 0);
	EXPECT_EQ(SYS(sched_getscheduler, 0), SCHED_RR | 0x40000000); /* reset on fork */
	if (fork() == 0)
		_exit((int)SYS(sched_getscheduler, 0));
	CHECK(wait(&q.sched_priority) > 0);
	EXPECT_EQ(q.sched_priority, 0);
	p.sched_priority = 9;
	EXPECT_EQ(SYS(sched_setparam, 0, &p), 0);
	EXPECT_EQ(SYS(sched_getparam, 0, &q), 0);
	EXPECT_EQ(q.sched_priority, 9);
	p.sched_priority = 0;
	EXPECT_EQ(SYS(sched_setscheduler, 0, SCHED_IDLE, &p), 0);
	EXPECT_EQ(SYS(sched_setscheduler, 0, SCHED_OTHER, &p), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(sched_setscheduler, getppid(), SCHED_OTHER, &p), EPERM);
	p.sched_priority = 1;
	EXPECT_ERR(SYS(sched_setscheduler, 0, SCHED_FIFO, &p), EPERM);
}

/* proves: sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_yield */
static void
ranges_and_slices(void)
{
	struct timespec ts;
	struct sched_param p = {.sched_priority = 1};

	EXPECT_EQ(SYS(sched_get_priority_max, SCHED_FIFO), 99);
	EXPECT_EQ(SYS(sched_get_priority_min, SCHED_RR), 1);
	EXPECT_EQ(SYS(sched_get_priority_max, SCHED_OTHER), 0);
	EXPECT_EQ(SYS(sched_get_priority_min, SCHED_IDLE), 0);
	EXPECT_EQ(SYS(sched_get_priority_max, 6), 0);
	EXPECT_ERR(SYS(sched_get_priority_max, 4), EINVAL);
	EXPECT_ERR(SYS(sched_get_priority_min, 99), EINVAL);
	EXPECT_ERR(SYS(sched_get_priority_min, -1), EINVAL);
	EXPECT_EQ(SYS(sched_rr_get_interval, 0, &ts), 0);
	EXPECT_EQ(ts.tv_sec, 0);
	EXPECT_ERR(SYS(sched_rr_get_interval, -1, &ts), EINVAL);
	EXPECT_ERR(SYS(sched_rr_get_interval, NOBODY, &ts), ESRCH);
	EXPECT_ERR(SYS(sched_rr_get_interval, 0, BAD_ADDR), EFAULT);
	CHECK_EQ(SYS(sched_setscheduler, 0, SCHED_FIFO, &p), 0);
	EXPECT_EQ(SYS(sched_rr_get_interval, 0, &ts), 0);
	EXPECT_EQ(ts.tv_nsec, 0); /* no slices */
	EXPECT_EQ(SYS(sched_yield), 0);
}

/* proves: sched_setaffinity sched_getaffinity getcpu */
static void
affinity(void)
{
	uint64_t mask[16] = {0}, all[16] = {0};
	unsigned cpu = 99, node = 99;
	long n = SYS(sched_getaffinity, 0, sizeof(all), all);
	pid_t pid;

	EXPECT_EQ(n > 0 && n % 8 == 0, 1);
	EXPECT_EQ(all[0] & 1, 1);
	EXPECT_ERR(SYS(sched_getaffinity, 0, 7, all), EINVAL);
	EXPECT_ERR(SYS(sched_getaffinity, 0, 0, all), EINVAL);
	EXPECT_ERR(SYS(sched_getaffinity, NOBODY, 128, all), ESRCH);
	EXPECT_ERR(SYS(sched_getaffinity, 0, 128, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(sched_setaffinity, 0, 128, mask), EINVAL); /* nowhere */
	EXPECT_ERR(SYS(sched_setaffinity, 0, 0, mask), EINVAL);
	EXPECT_ERR(SYS(sched_setaffinity, NOBODY, 128, all), ESRCH);
	EXPECT_ERR(SYS(sched_setaffinity, 0, 8, BAD_ADDR), EFAULT);
	mask[0] = 1;
	EXPECT_EQ(SYS(sched_setaffinity, 0, 8, mask), 0);
	EXPECT_EQ(SYS(getcpu, &cpu, &node, NULL), 0);
	EXPECT_EQ(cpu == 0 && node == 0, 1);
	EXPECT_EQ(SYS(getcpu, NULL, NULL, NULL), 0);
	EXPECT_ERR(SYS(getcpu, BAD_ADDR, NULL, NULL), EFAULT);
	EXPECT_ERR(SYS(getcpu, NULL, BAD_ADDR, NULL), EFAULT);
	EXPECT_EQ(SYS(sched_setaffinity, 0, 128, all), 0);
	pid = child_that_waits();
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(sched_setaffinity, pid, 8, mask), EPERM);
	EXPECT_EQ(SYS(sched_getaffinity, pid, 128, mask) > 0, 1);
}

/* proves: getrandom sysinfo syslog reboot vhangup membarrier restart_syscall */
static void
the_system(void)
{
	char a[300] = "", b[300];
	struct sysinfo si;

	memset(b, 0, sizeof(b));
	EXPECT_EQ(SYS(getrandom, a, 256, 0), 256);
	EXPECT_EQ(!memcmp(a, b, 256), 0);
	EXPECT_EQ(SYS(getrandom, a, 0, 0), 0);
	EXPECT_EQ(SYS(getrandom, a, 10, 7 & ~4), 10);
	EXPECT_ERR(SYS(getrandom, a, 10, 8), EINVAL);
	EXPECT_ERR(SYS(getrandom, a, 10, 6), EINVAL); /* RANDOM and INSECURE */
	EXPECT_ERR(SYS(getrandom, BAD_ADDR, 10, 0), EFAULT);
	EXPECT_EQ(SYS(sysinfo, &si), 0);
	EXPECT_EQ(si.totalram > si.freeram && si.procs > 0 && si.mem_unit > 0, 1);
	EXPECT_ERR(SYS(sysinfo, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(syslog, 10, NULL, 0) > 0, 1);
	EXPECT_ERR(SYS(syslog, 99, NULL, 0), EINVAL);
	EXPECT_ERR(SYS(syslog, 3, NULL, 10), EINVAL);
	EXPECT_ERR(SYS(syslog, 3, a, -1), EINVAL);
	EXPECT_ERR(SYS(syslog, 8, NULL, 9), EINVAL);
	EXPECT_EQ(SYS(syslog, 3, a, 0), 0);
	EXPECT_ERR(SYS(reboot, 1, 2, 3, NULL), EINVAL);
	EXPECT_ERR(SYS(reboot, 0xfee1dead, 672274793, 0x1, NULL), EINVAL);
	EXPECT_EQ(SYS(membarrier, 0, 0, 0) & 1, 1);
	EXPECT_ERR(SYS(membarrier, 0, 1, 0), EINVAL);
	EXPECT_ERR(SYS(membarrier, 1 << 30, 0, 0), EINVAL);
	EXPECT_EQ(SYS(membarrier, 1, 0, 0), 0);
	EXPECT_ERR(SYS(membarrier, 8, 0, 0), EPERM); /* not registered */
	EXPECT_EQ(SYS(membarrier, 16, 0, 0), 0);
	EXPECT_EQ(SYS(membarrier, 8, 0, 0), 0);
	EXPECT_ERR(SYS(restart_syscall), EINTR);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
	EXPECT_ERR(SYS(vhangup), EPERM);
	EXPECT_ERR(SYS(syslog, 5, NULL, 0), EPERM);
}

/* proves: pidfd_open pidfd_send_signal pidfd_getfd kcmp */
static void
processes_by_descriptor(void)
{
	int fd, got, plain = open("/dev/null", O_RDONLY);
	pid_t pid = child_that_waits();
	siginfo_t i = {.si_signo = SIGUSR1, .si_code = SI_USER};

	EXPECT_ERR(SYS(pidfd_open, 0, 0), EINVAL);
	EXPECT_ERR(SYS(pidfd_open, -1, 0), EINVAL);
	EXPECT_ERR(SYS(pidfd_open, pid, 1), EINVAL);
	EXPECT_ERR(SYS(pidfd_open, NOBODY, 0), ESRCH);
	fd = (int)SYS(pidfd_open, pid, O_NONBLOCK);
	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(SYS(pidfd_send_signal, fd, 0, NULL, 0), 0);
	EXPECT_ERR(SYS(pidfd_send_signal, fd, 0, NULL, 1 << 10), EINVAL);
	EXPECT_ERR(SYS(pidfd_send_signal, fd, 65, NULL, 0), EINVAL);
	EXPECT_ERR(SYS(pidfd_send_signal, 99, SIGUSR1, NULL, 0), EBADF);
	EXPECT_ERR(SYS(pidfd_send_signal, plain, SIGUSR1, NULL, 0), EBADF);
	EXPECT_ERR(SYS(pidfd_send_signal, fd, SIGUSR1, BAD_ADDR, 0), EFAULT);
	EXPECT_ERR(
	    SYS(pidfd_send_signal, fd, SIGUSR2, &i, 0), EINVAL); /* another number */
	EXPECT_ERR(
	    SYS(pidfd_send_signal, fd, SIGUSR1, &i, 0), EPERM); /* in kill's name */
	got = (int)SYS(pidfd_getfd, fd, plain, 0);
	CHECK(got >= 0);
	EXPECT_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(SYS(kcmp, getpid(), pid, 0, got, plain), 0);
	EXPECT_ERR(SYS(pidfd_getfd, fd, 99, 0), EBADF);
	EXPECT_ERR(SYS(pidfd_getfd, 99, 0, 0), EBADF);
	EXPECT_ERR(SYS(pidfd_getfd, plain, 0, 0), EBADF);
	EXPECT_ERR(SYS(pidfd_getfd, fd, 0, 1), EINVAL);
	EXPECT_ERR(SYS(kcmp, getpid(), NOBODY, 0, 0, 0), ESRCH);
	EXPECT_ERR(SYS(kcmp, getpid(), pid, 99, 0, 0), EINVAL);
	EXPECT_ERR(SYS(kcmp, getpid(), pid, 0, 99, 0), EBADF);
	EXPECT_EQ(SYS(kcmp, getpid(), pid, 1, 0, 0) > 0, 1); /* memory of their own */
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(pidfd_getfd, fd, 0, 0), EPERM);
	EXPECT_ERR(SYS(pidfd_send_signal, fd, SIGTERM, NULL, 0), EPERM);
	EXPECT_ERR(SYS(kcmp, getpid(), pid, 0, 0, 0), EPERM);
}

/* proves: process_mrelease */
static void
memory_of_the_dying(void)
{
	pid_t pid = child_that_waits();
	int fd = (int)SYS(pidfd_open, pid, 0), plain = open("/dev/null", O_RDONLY);

	EXPECT_ERR(SYS(process_mrelease, 99, 0), EBADF);
	EXPECT_ERR(SYS(process_mrelease, plain, 0), EBADF);
	EXPECT_ERR(SYS(process_mrelease, fd, 1), EINVAL);
	EXPECT_ERR(SYS(process_mrelease, fd, 0), EINVAL); /* it is not dying */
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	EXPECT_ERR(SYS(process_mrelease, fd, 0), ESRCH); /* its memory is gone */
}

/* proves: set_robust_list get_robust_list */
static void
robust_lists(void)
{
	uint64_t head = 0;
	size_t len = 0;
	char list[24];
	pid_t pid = child_that_waits();

	EXPECT_ERR(SYS(set_robust_list, list, 23), EINVAL);
	EXPECT_EQ(SYS(set_robust_list, list, 24), 0);
	EXPECT_EQ(SYS(get_robust_list, 0, &head, &len), 0);
	EXPECT_EQ(head == (uintptr_t)list && len == 24, 1);
	EXPECT_ERR(SYS(get_robust_list, NOBODY, &head, &len), ESRCH);
	EXPECT_ERR(SYS(get_robust_list, 0, BAD_ADDR, &len), EFAULT);
	EXPECT_ERR(SYS(get_robust_list, 0, &head, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(set_robust_list, NULL, 24), 0);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(get_robust_list, pid, &head, &len), EPERM);
}

static const struct test tests[] = {
    TEST(mounts),
    TEST(read_only_wants_no_writers),
    TEST(expiry_wants_no_use_between),
    TEST(pivoting),
    TEST(policies),
    TEST(ranges_and_slices),
    TEST(affinity),
    TEST(the_system),
    TEST(processes_by_descriptor),
    TEST(memory_of_the_dying),
    TEST(robust_lists),
};

RUN_TESTS(tests)
