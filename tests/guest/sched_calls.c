/*
 * The calls about scheduling: policies and their attributes, what they refuse and to whom,
 * what children inherit, nice values, priorities of input and output, affinity.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/guest/check.h"

enum { RESET = 0x40000000, RESET_FLAG = 1, KEEP_POLICY = 8, KEEP_PARAMS = 16 };

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
	uint64_t beyond;
};

static long
set_scheduler(int pid, int policy, int priority)
{
	struct sched_param p = {.sched_priority = priority};

	return syscall(SYS_sched_setscheduler, pid, policy, &p);
}

static long
get_scheduler(int pid)
{
	return syscall(SYS_sched_getscheduler, pid);
}

static long
set_attr(struct attr a)
{
	if (!a.size)
		a.size = 56;
	return syscall(SYS_sched_setattr, 0, &a, 0);
}

static struct attr
get_attr(void)
{
	struct attr a = {0};

	CHECK_EQ(syscall(SYS_sched_getattr, 0, &a, 56, 0), 0);
	CHECK_EQ(a.size, 56);
	return a;
}

/* proves: sched_setscheduler sched_getscheduler */
static void
policies(void)
{
	struct sched_param p = {0};
	static const int plain[] = {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER};

	CHECK_EQ(set_scheduler(0, SCHED_FIFO, 1), 0);
	CHECK_EQ(get_scheduler(0), SCHED_FIFO);
	CHECK_EQ(set_scheduler(0, SCHED_RR | RESET, 99), 0);
	CHECK_EQ(get_scheduler(0), SCHED_RR | RESET);
	CHECK_EQ(syscall(SYS_sched_getparam, 0, &p), 0);
	CHECK_EQ(p.sched_priority, 99);
	p.sched_priority = 5;
	CHECK_EQ(syscall(SYS_sched_setparam, 0, &p), 0);
	CHECK_EQ(get_scheduler(0), SCHED_RR | RESET);
	CHECK_ERR(set_scheduler(0, SCHED_FIFO, 0), EINVAL);
	CHECK_ERR(set_scheduler(0, SCHED_FIFO, 100), EINVAL);
	CHECK_ERR(set_scheduler(0, SCHED_FIFO, -1), EINVAL);
	CHECK_ERR(set_scheduler(0, SCHED_OTHER, 1), EINVAL);
	CHECK_ERR(set_scheduler(0, 4, 0), EINVAL);
	CHECK_ERR(set_scheduler(0, -1, 0), EINVAL);
	CHECK_ERR(set_scheduler(0, 6, 0), EINVAL);
	CHECK_ERR(set_scheduler(-1, SCHED_OTHER, 0), EINVAL);
	CHECK_ERR(set_scheduler(999999, SCHED_OTHER, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, 0, 16), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setparam, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setparam, -1, &p), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 999999, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 999999, &p), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getparam, -1, &p), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, 16), EFAULT);
	CHECK_ERR(get_scheduler(-1), EINVAL);
	CHECK_ERR(get_scheduler(999999), ESRCH);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(set_scheduler(0, plain[i], 0), 0);
		CHECK_EQ(get_scheduler(0), plain[i]);
	}
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_RR), 99);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_FIFO), 1);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_IDLE), 0);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, 6), 0);
	CHECK_ERR(syscall(SYS_sched_get_priority_max, 4), EINVAL);
	CHECK_ERR(syscall(SYS_sched_get_priority_min, -1), EINVAL);
}

/* proves: sched_setattr sched_getattr */
static void
attributes(void)
{
	struct attr a = {.size = 56}, big = {.size = 64};
	char page[8192] = "";

	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 0), 0);
	CHECK_EQ(set_attr((struct attr){.policy = SCHED_BATCH, .nice = 7}), 0);
	a = get_attr();
	CHECK(a.policy == SCHED_BATCH && a.nice == 7 && !a.priority && !a.flags);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 7);
	CHECK_EQ(set_attr((struct attr){.policy = SCHED_OTHER, .nice = -100}), 0);
	CHECK_EQ(get_attr().nice, -20);
	CHECK_EQ(set_attr((struct attr){.policy = SCHED_RR, .priority = 9}), 0);
	a = get_attr();
	CHECK(a.policy == SCHED_RR && a.priority == 9 && a.nice == 0);
	CHECK_EQ(set_attr((struct attr){.flags = KEEP_POLICY, .priority = 11}), 0);
	CHECK_EQ(get_attr().priority, 11);
	CHECK_EQ(set_attr((struct attr){.flags = KEEP_PARAMS, .policy = SCHED_FIFO}), 0);
	a = get_attr();
	CHECK(a.policy == SCHED_RR && a.priority == 11); /* the policy is kept too */
	CHECK_EQ(set_attr((struct attr){
	             .flags = RESET_FLAG, .policy = SCHED_OTHER, .nice = 3}),
	    0);
	CHECK_EQ(get_attr().flags, RESET_FLAG);
	CHECK_EQ(set_attr((struct attr){.flags = KEEP_POLICY | KEEP_PARAMS}), 0);
	CHECK_EQ(get_attr().flags, RESET_FLAG);
	CHECK_EQ(get_attr().nice, 3);
	CHECK_EQ(set_attr((struct attr){.size = 48, .policy = SCHED_IDLE}), 0);
	CHECK_EQ(get_attr().policy, SCHED_IDLE);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3); /* it has none of its own */

	CHECK_ERR(set_attr((struct attr){.flags = 1 << 7}), EINVAL);
	CHECK_ERR(set_attr((struct attr){.policy = 7}), EINVAL);
	CHECK_ERR(set_attr((struct attr){.policy = -1}), EINVAL);
	CHECK_ERR(set_attr((struct attr){.policy = SCHED_FIFO, .priority = 100}), EINVAL);
	CHECK_ERR(set_attr((struct attr){.policy = SCHED_OTHER, .priority = 1}), EINVAL);
	CHECK_ERR(set_attr((struct attr){.policy = 6}), EINVAL);
	CHECK_ERR(
	    set_attr((struct attr){.policy = 6, .runtime = 2000000, .deadline = 1000000}),
	    EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, -1, &a, 0), EINVAL);
	a = (struct attr){.size = 56};
	CHECK_ERR(syscall(SYS_sched_setattr, 999999, &a, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, 16, 0), EFAULT);
	CHECK_EQ(syscall(SYS_sched_setattr, 0, &big, 0), 0);
	big.size = 64;
	big.beyond = 1;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &big, 0), E2BIG);
	CHECK(big.size >= 56 && big.size < 64);
	a = (struct attr){.size = 47};
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	CHECK(a.size >= 56);
	*(uint32_t *)page = 4097;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, page, 0), E2BIG);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &a, 47, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &a, 4097, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &a, 56, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, NULL, 56, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, 16, 56, 0), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getattr, 999999, &a, 56, 0), ESRCH);
	CHECK_EQ(syscall(SYS_sched_getattr, 0, &a, 48, 0), 0);
	CHECK_EQ(a.size, 48);
	CHECK_EQ(syscall(SYS_sched_getattr, 0, page, 4096, 0), 0);
	CHECK(*(uint32_t *)page >= 56 && *(uint32_t *)page < 100);
}

/* Runs fn in a child that is user 1000 and has the two limits. */
static void
as_user(long rtprio, long nice_limit, void (*fn)(void))
{
	struct rlimit rt = {(rlim_t)rtprio, (rlim_t)rtprio},
	              ni = {(rlim_t)nice_limit, (rlim_t)nice_limit};
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* Raising them may be refused even to root, on the host. */
		if (setrlimit(RLIMIT_RTPRIO, &rt) || setrlimit(RLIMIT_NICE, &ni))
			_exit(0);
		CHECK_EQ(setresgid(1000, 1000, 1000), 0);
		CHECK_EQ(setresuid(1000, 1000, 1000), 0);
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (status)
		_exit(1);
}

static void
without_limits(void)
{
	CHECK_ERR(set_scheduler(0, SCHED_FIFO, 1), EPERM);
	CHECK_ERR(set_scheduler(0, SCHED_RR, 50), EPERM);
	CHECK_ERR(set_scheduler(1, SCHED_OTHER, 0), EPERM);
	CHECK_ERR(set_attr((struct attr){.policy = SCHED_OTHER, .nice = -1}), EPERM);
	CHECK_ERR(
	    set_attr((struct attr){.policy = 6, .runtime = 1000000, .deadline = 2000000}),
	    EPERM);
	CHECK_ERR(setpriority(PRIO_PROCESS, 0, -1), EACCES);
	CHECK_ERR(setpriority(PRIO_PROCESS, 1, 5), EPERM);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
	CHECK_ERR(setpriority(PRIO_PROCESS, 0, 4), EACCES);
	CHECK_EQ(set_scheduler(0, SCHED_BATCH, 0), 0);
	CHECK_EQ(set_scheduler(0, SCHED_OTHER | RESET, 0), 0);
	CHECK_ERR(set_scheduler(0, SCHED_OTHER, 0), EPERM); /* the flag stays */
	CHECK_EQ(set_scheduler(0, SCHED_IDLE | RESET, 0), 0);
	CHECK_ERR(set_scheduler(0, SCHED_OTHER | RESET, 0), EPERM);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 1, 8, &(long){1}), EPERM);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 1 << 13), EPERM);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 1, 2 << 13), EPERM);
	CHECK_EQ(syscall(SYS_ioprio_set, 1, 0, 3 << 13), 0);
}

static void
within_limits(void)
{
	CHECK_EQ(set_scheduler(0, SCHED_FIFO, 10), 0);
	CHECK_ERR(set_scheduler(0, SCHED_FIFO, 11), EPERM);
	CHECK_EQ(set_scheduler(0, SCHED_RR, 3), 0);
	CHECK_EQ(set_scheduler(0, SCHED_RR, 10), 0);
	CHECK_EQ(set_scheduler(0, SCHED_IDLE, 0), 0);
	CHECK_EQ(set_scheduler(0, SCHED_OTHER, 0), 0);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, -5), 0);
	CHECK_ERR(setpriority(PRIO_PROCESS, 0, -6), EACCES);
	CHECK_EQ(set_attr((struct attr){.policy = SCHED_OTHER, .nice = -4}), 0);
	CHECK_EQ(set_attr((struct attr){.policy = SCHED_OTHER, .nice = -5}), 0);
}

static void
rights(void)
{
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 0), 0);
	as_user(0, 0, without_limits);
	as_user(10, 25, within_limits);
}

static void
check_child(int policy, int nice, int priority)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct attr a = get_attr();

		CHECK_EQ(a.policy, policy);
		CHECK_EQ(a.nice, nice);
		CHECK_EQ(a.priority, priority);
		CHECK_EQ(a.flags, 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (status)
		_exit(1);
}

static void
what_children_inherit(void)
{
	set_attr((struct attr){.policy = SCHED_OTHER, .nice = -3});
	check_child(SCHED_OTHER, -3, 0);
	set_attr((struct attr){.policy = SCHED_BATCH, .nice = -3, .flags = RESET_FLAG});
	check_child(SCHED_BATCH, 0, 0);
	set_attr((struct attr){.policy = SCHED_BATCH, .nice = 3, .flags = RESET_FLAG});
	check_child(SCHED_BATCH, 3, 0);
	set_attr((struct attr){.policy = SCHED_FIFO, .priority = 3});
	check_child(SCHED_FIFO, 0, 3);
	set_attr((struct attr){.policy = SCHED_FIFO, .priority = 3, .flags = RESET_FLAG});
	check_child(SCHED_OTHER, 0, 0);
}

/* proves: ioprio_set ioprio_get */
static void
io_priorities(void)
{
	int status;
	pid_t pid;

	CHECK_EQ(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6), 0);
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 6);
	pid = fork();
	if (!pid)
		_exit(syscall(SYS_ioprio_get, 1, 0) == (2 << 13 | 6) ? 0 : 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(setpgid(0, 0), 0);
	CHECK_EQ(syscall(SYS_ioprio_get, 2, 0), 2 << 13 | 6);
	CHECK_EQ(syscall(SYS_ioprio_set, 2, 0, 1 << 13 | 1), 0);
	CHECK_EQ(syscall(SYS_ioprio_get, 1, getpid()), 1 << 13 | 1);
	CHECK_EQ(syscall(SYS_ioprio_set, 1, 0, 3 << 13), 0);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 1), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 4 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, -1), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 0, 0, 3 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 4, 0, 3 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 1, 999999), ESRCH);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 999999, 3 << 13), ESRCH);
}

static void
priorities(void)
{
	CHECK_ERR(getpriority(-1, 0), EINVAL);
	CHECK_ERR(getpriority(3, 0), EINVAL);
	CHECK_ERR(setpriority(3, 0, 0), EINVAL);
	CHECK_ERR(getpriority(PRIO_PROCESS, 999999), ESRCH);
	CHECK_ERR(setpriority(PRIO_PROCESS, 999999, 0), ESRCH);
	CHECK_ERR(setpriority(PRIO_PGRP, 999999, 0), ESRCH);
	CHECK_ERR(getpriority(PRIO_USER, 4242), ESRCH);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
	CHECK_EQ(setpriority(PRIO_PROCESS, 0, -100), 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, getpid()), -20);
	CHECK_EQ(setpgid(0, 0), 0);
	CHECK_EQ(setpriority(PRIO_PGRP, 0, 4), 0);
	CHECK_EQ(getpriority(PRIO_PGRP, getpid()), 4);
}

static void
intervals(void)
{
	struct timespec ts;

	CHECK_ERR(syscall(SYS_sched_rr_get_interval, -1, &ts), EINVAL);
	CHECK_ERR(syscall(SYS_sched_rr_get_interval, 999999, &ts), ESRCH);
	CHECK_ERR(syscall(SYS_sched_rr_get_interval, 0, 16), EFAULT);
	CHECK_EQ(set_scheduler(0, SCHED_RR, 1), 0);
	CHECK_EQ(syscall(SYS_sched_rr_get_interval, 0, &ts), 0);
	CHECK(ts.tv_sec == 0 && ts.tv_nsec >= 90000000 && ts.tv_nsec <= 100000000);
	CHECK_EQ(set_scheduler(0, SCHED_FIFO, 1), 0);
	CHECK_EQ(syscall(SYS_sched_rr_get_interval, 0, &ts), 0);
	CHECK(ts.tv_sec == 0 && ts.tv_nsec == 0);
}

/* ---- Affinity ---- */

/* proves: sched_setaffinity sched_getaffinity */
static void
masks_of_all_sizes(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned char mask[4096];
	long size, got;

	for (size = 8; (got = syscall(SYS_sched_getaffinity, 0, size, mask)) < 0;
	     size += 8)
		CHECK_EQ(errno, EINVAL);
	memset(mask, 0xff, sizeof(mask));
	CHECK(got >= 8 && got % 8 == 0 && got <= size);
	CHECK(syscall(SYS_sched_getaffinity, 0, 4096, mask) >= got);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 4, mask), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, got + 4, mask), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, got, 16), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 999999, got, mask), ESRCH);
	memset(mask, 0xff, sizeof(mask));
	CHECK_EQ(syscall(SYS_sched_setaffinity, 0, 4096, mask), 0);
	CHECK_EQ(syscall(SYS_sched_setaffinity, 0, 1, mask), 0);
	memset(mask, 0, sizeof(mask));
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, 8, mask), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, 0, mask), EINVAL);
	mask[n / 8 + 100] = 1; /* of no CPU there is */
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, 4096, mask), EINVAL);
	mask[0] = 1;
	CHECK_EQ(syscall(SYS_sched_setaffinity, 0, 4096, mask), 0);
	CHECK_EQ(syscall(SYS_sched_getaffinity, 0, got, mask), got);
	CHECK_EQ(mask[0], 1);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, 8, 16), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 999999, 8, mask), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setaffinity, -1, 8, mask), ESRCH);
}

static atomic_int moved_tid, stop_moving;

static void *
come_and_go(void *arg)
{
	moved_tid = (int)syscall(SYS_gettid);
	for (volatile int i = 0; i < 2000; i++)
		;
	return NULL;
}

static void *
move_about(void *arg)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN), mask;

	for (long i = 0; !stop_moving; i++) {
		mask = 1l << i % n;
		if (syscall(SYS_sched_setaffinity, moved_tid, 8, &mask) && errno != ESRCH)
			stop_moving = errno;
	}
	return NULL;
}

static void
affinity_of_threads_that_end(void)
{
	pthread_t mover[2], t[4];

	moved_tid = (int)syscall(SYS_gettid);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&mover[i], NULL, move_about, NULL), 0);
	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 4; j++)
			CHECK_EQ(pthread_create(&t[j], NULL, come_and_go, NULL), 0);
		for (int j = 0; j < 4; j++)
			pthread_join(t[j], NULL);
	}
	CHECK_EQ(stop_moving, 0);
	stop_moving = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(mover[i], NULL);
}

/* ---- Limits of CPU time, and numbers that may be set ---- */

static volatile int num_xcpu;

static void
on_xcpu(int sig)
{
	num_xcpu++;
}

static void
spin_with_limit(int which, long soft, long hard)
{
	struct rlimit l = {(rlim_t)soft, (rlim_t)hard};
	struct sigaction sa = {.sa_handler = on_xcpu};

	sigaction(SIGXCPU, &sa, NULL);
	if (which == RLIMIT_RTTIME)
		CHECK_EQ(set_scheduler(0, SCHED_RR, 1), 0);
	CHECK_EQ(setrlimit(which, &l), 0);
	while (!num_xcpu)
		;
	CHECK_EQ(getrlimit(which, &l), 0);
	CHECK(l.rlim_cur > (rlim_t)soft);
	for (;;)
		;
}

static void
check_limit(int which, long soft, long hard)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		spin_with_limit(which, soft, hard);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
limits_of_cpu_time(void)
{
	check_limit(RLIMIT_CPU, 1, 2);
	check_limit(RLIMIT_RTTIME, 200000, 400000);
}

/* Writes to /proc/sys/kernel/NAME, reads it back: -1000 when writing failed. */
static long
sysctl(const char *name, const char *text)
{
	char path[80], back[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
	fd = open(path, text ? O_RDWR : O_RDONLY);
	CHECK(fd >= 0);
	if (text && write(fd, text, strlen(text)) < 0) {
		CHECK_EQ(errno, EINVAL);
		close(fd);
		return -1000;
	}
	n = pread(fd, back, sizeof(back) - 1, 0);
	CHECK(n > 0 && back[n - 1] == '\n');
	close(fd);
	return atol(back);
}

static void
numbers_that_are_set(void)
{
	struct timespec ts;

	CHECK_EQ(sysctl("sched_rr_timeslice_ms", "30\n"), 30);
	CHECK_EQ(set_scheduler(0, SCHED_RR, 1), 0);
	CHECK_EQ(syscall(SYS_sched_rr_get_interval, 0, &ts), 0);
	CHECK_EQ(set_scheduler(0, SCHED_OTHER, 0), 0);
	CHECK(ts.tv_nsec >= 27000000 && ts.tv_nsec <= 33000000);
	CHECK(sysctl("sched_rr_timeslice_ms", "0") >= 90);
	CHECK_EQ(sysctl("sched_rt_runtime_us", "1000001"), -1000);
	CHECK_EQ(sysctl("sched_rt_runtime_us", "-2"), -1000);
	CHECK_EQ(sysctl("sched_rt_runtime_us", "x"), -1000);
	CHECK_EQ(sysctl("sched_rt_runtime_us", "-1"), -1);
	CHECK_EQ(sysctl("sched_rt_runtime_us", "950000"), 950000);
	CHECK_EQ(sysctl("sched_rt_period_us", "0"), -1000);
	CHECK_EQ(sysctl("sched_slice_ms", NULL), 10);
	CHECK_EQ(sysctl("sched_slice_ms", "0"), -1000);
	CHECK_EQ(sysctl("sched_slice_ms", "1001"), -1000);
	CHECK_EQ(sysctl("sched_slice_ms", "25"), 25);
	CHECK_EQ(sysctl("sched_slice_ms", "10"), 10);
}

/* They are the machine's: where this runs on Linux, which has no sched_slice_ms, they are only read. */
static void
numbers_that_may_be_set(void)
{
	CHECK_EQ(sysctl("sched_rt_period_us", NULL), 1000000);
	CHECK_EQ(sysctl("sched_rt_runtime_us", NULL), 950000);
	CHECK(sysctl("sched_rr_timeslice_ms", NULL) >= 90);
	if (access("/proc/sys/kernel/sched_slice_ms", F_OK) == 0)
		numbers_that_are_set();
}

static long
own_slack(const char *text)
{
	char back[32] = "";
	int fd = open("/proc/self/timerslack_ns", O_RDWR);

	CHECK(fd >= 0);
	if (text)
		CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK(pread(fd, back, sizeof(back) - 1, 0) > 0);
	close(fd);
	return atol(back);
}

static void
timer_slack(void)
{
	enum { SET = 29, GET = 30 };
	int status;
	pid_t pid;

	CHECK_EQ(syscall(SYS_prctl, SET, 70000, 0, 0, 0), 0);
	CHECK_EQ(syscall(SYS_prctl, GET, 0, 0, 0, 0), 70000);
	CHECK_EQ(own_slack(NULL), 70000);
	CHECK_EQ(own_slack("90000\n"), 90000);
	CHECK_EQ(syscall(SYS_prctl, GET, 0, 0, 0, 0), 90000);
	pid = fork();
	if (!pid) {
		CHECK_EQ(syscall(SYS_prctl, SET, 1, 0, 0, 0), 0);
		CHECK_EQ(syscall(SYS_prctl, SET, 0, 0, 0, 0), 0);
		CHECK_EQ(syscall(SYS_prctl, GET, 0, 0, 0, 0), 90000);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(own_slack("0"), 50000);
}

static const struct test tests[] = {
    TEST(policies),
    TEST(attributes),
    TEST(rights),
    TEST(what_children_inherit),
    TEST(io_priorities),
    TEST(priorities),
    TEST(intervals),
    TEST(masks_of_all_sizes),
    TEST(affinity_of_threads_that_end),
    TEST(limits_of_cpu_time),
    TEST(numbers_that_may_be_set),
    TEST(timer_slack),
};

RUN_TESTS(tests)
