/* Out of memory in processes, memory, signals and IPC: see nomem.h. */
#define _GNU_SOURCE
#include "tests/guest/nomem.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

enum { PAGE = 4096 };

static const char *self; /* this program's path */

/* ---- Processes ---- */

static int
wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	if (WIFSIGNALED(status)) /* a page of its own could not be had */
		return WTERMSIG(status) == SIGKILL ? ENOMEM : EIO;
	return WEXITSTATUS(status);
}

static int
op_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : wait_for(pid);
}

static int
op_clone_pidfd(void)
{
	int fd = -1;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, 0);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	close(fd);
	return wait_for(pid);
}

/* Parting from a child that shares descriptors and directories. */
static int
op_unshare(void)
{
	pid_t pid = (pid_t)syscall(
	    SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0);
	int error;

	while (pid == 0)
		pause();
	if (pid < 0)
		return errno;
	error = error_of(unshare(CLONE_FILES | CLONE_FS));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return error;
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
op_thread(void)
{
	pthread_t t;
	int error = pthread_create(&t, NULL, nothing, NULL);

	if (!error)
		pthread_join(t, NULL);
	return error;
}

/*
 * Runs a program; the failure may come before or after the point where exec no longer
 * returns, and in the program's own first steps. What is left of the count is passed on
 * by the program's status: see exec_child.
 */
enum { NOT_FAILED = 77 };

static int
exec_with(const char *path, char *const argv[])
{
	unsigned nth = fail_left();
	pid_t pid;
	int error;

	fail_arm(0);
	pid = vfork();
	if (pid == 0) {
		fail_open();
		fail_arm(nth);
		execv(path, argv);
		_exit(errno);
	}
	if (pid < 0)
		return errno;
	fail_open();
	error = wait_for(pid);
	if (error == NOT_FAILED) {
		fail_arm(1);
		return 0;
	}
	return error;
}

static int
op_exec_static(void)
{
	char *argv[] = {(char *)self, "exec-child", NULL};

	return exec_with(self, argv);
}

static int
op_exec_script(void)
{
	char *argv[] = {"/tmp/nomem.sh", NULL};

	return exec_with(argv[0], argv);
}

/* A dynamic program of the system; whether all was done cannot be told: N to 400. */
static int
op_exec_dynamic(void)
{
	char *argv[] = {"/bin/true", NULL};
	unsigned nth = fail_left();
	int error;

	if (access("/lib64/ld-linux-x86-64.so.2", X_OK) || access(argv[0], X_OK)) {
		fail_arm(1);
		return 0;
	}
	error = exec_with(argv[0], argv);
	if (error && error != ENOMEM)
		error = ENOMEM; /* the dynamic loader's own words */
	fail_arm(nth >= 400 ? 1 : 0);
	return error;
}

/* In the program that was run. */
static int
exec_child(void)
{
	unsigned left;

	fail_open();
	if (fail_fd < 0)
		return errno == ENOMEM ? ENOMEM : NOT_FAILED;
	left = fail_left();
	fail_arm(0);
	return left ? NOT_FAILED : 0;
}

static int
op_ptrace(void)
{
	unsigned nth = fail_left();
	struct iovec local, remote;
	int error, status;
	long word = 42;
	pid_t pid;

	fail_arm(0);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return errno;
	fail_arm(nth);
	error = error_of(ptrace(PTRACE_SEIZE, pid, 0, 0));
	if (!error) {
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		waitpid(pid, &status, __WALL);
		local = remote = (struct iovec){&word, sizeof(word)};
		error = error_of(process_vm_readv(pid, &local, 1, &remote, 1, 0));
		if (!error)
			error = error_of(ptrace(PTRACE_POKEDATA, pid, &word, 43));
		ptrace(PTRACE_DETACH, pid, 0, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return error;
}

static int
op_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? errno : error_of(close(fd));
}

static int
op_credentials(void)
{
	gid_t groups[40];
	int error;

	for (int i = 0; i < 40; i++)
		groups[i] = (gid_t)i;
	error = error_of(syscall(SYS_setgroups, 40, groups));
	if (!error)
		error = error_of(syscall(SYS_setresuid, 0, 0, 0));
	return error ? error : error_of(syscall(SYS_setgroups, 0, NULL));
}

static int
op_seccomp(void)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
	struct sock_fprog prog = {1, code};
	unsigned nth = fail_left();
	pid_t pid = (fail_arm(0), fork());

	if (pid == 0) {
		fail_open();
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fail_arm(nth);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
			_exit(errno);
		_exit(fail_left() ? NOT_FAILED : 0);
	}
	if (pid < 0)
		return errno;
	if ((nth = (unsigned)wait_for(pid)) != NOT_FAILED)
		return (int)nth;
	fail_arm(1);
	return 0;
}

/* ---- Memory ---- */

static char *
map(size_t len, int flags)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
}

static int
op_mmap(void)
{
	char *p = map(16 * PAGE, MAP_PRIVATE | MAP_POPULATE);

	return p == MAP_FAILED ? errno : error_of(munmap(p, 16 * PAGE));
}

static int
op_mmap_shared(void)
{
	char *p = map(16 * PAGE, MAP_SHARED | MAP_POPULATE);

	return p == MAP_FAILED ? errno : error_of(munmap(p, 16 * PAGE));
}

/* munmap takes a hole out, mprotect makes three areas of one. */
static int
op_split(void)
{
	char *p = map(64 * PAGE, MAP_PRIVATE);
	int error;

	if (p == MAP_FAILED)
		return errno;
	error = error_of(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ));
	if (!error)
		error = error_of(madvise(p + 32 * PAGE, 8 * PAGE, MADV_DONTFORK));
	if (!error)
		error = error_of(munmap(p + 48 * PAGE, PAGE));
	if (!error)
		error = error_of(mlock(p + 50 * PAGE, PAGE));
	if (!error)
		error = error_of(munlock(p + 50 * PAGE, PAGE));
	munmap(p, 64 * PAGE);
	return error;
}

static int
op_mremap(void)
{
	char *p = map(4 * PAGE, MAP_PRIVATE | MAP_POPULATE), *q;
	int error = 0;

	if (p == MAP_FAILED)
		return errno;
	q = mremap(p, 4 * PAGE, 2048 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED) {
		error = errno;
		munmap(p, 4 * PAGE);
	} else {
		munmap(q, 2048 * PAGE);
	}
	return error;
}

/* A page fault that finds no memory ends the program, or is tried again. */
static int
fault_in_child(int flags, int is_write, int must_fork)
{
	unsigned nth = fail_left();
	char *p = (fail_arm(0), map(8 * PAGE, flags));
	pid_t pid;
	int result;

	if (p == MAP_FAILED)
		return errno;
	if (must_fork)
		memset(p, 1, 8 * PAGE);
	pid = fork();
	if (pid == 0) {
		fail_open();
		fail_left(); /* touch what these need */
		fail_arm(nth);
		for (int i = 0; i < 8; i++) {
			if (is_write)
				*(volatile char *)(p + i * PAGE) = 2;
			else
				(void)*(volatile char *)(p + i * PAGE);
		}
		_exit(fail_left() ? NOT_FAILED : 0);
	}
	munmap(p, 8 * PAGE);
	if (pid < 0)
		return errno;
	result = wait_for(pid);
	if (result == NOT_FAILED)
		fail_arm(1);
	return result == NOT_FAILED ? 0 : result;
}

static int
op_fault_write(void)
{
	return fault_in_child(MAP_PRIVATE, 1, 0);
}

static int
op_fault_read(void)
{
	return fault_in_child(MAP_PRIVATE, 0, 0);
}

static int
op_fault_cow(void)
{
	return fault_in_child(MAP_PRIVATE, 1, 1);
}

static int
op_fault_shared(void)
{
	return fault_in_child(MAP_SHARED, 1, 0);
}

/* Memory that a call of the kernel touches first. */
static int
op_fault_in_copy(void)
{
	char *p = map(PAGE, MAP_PRIVATE);
	int fd[2], error;

	if (p == MAP_FAILED)
		return errno;
	error = error_of(pipe(fd));
	if (!error) {
		error = error_of(write(fd[1], "x", 1));
		if (!error)
			error = error_of(read(fd[0], p, PAGE));
		close(fd[0]);
		close(fd[1]);
	}
	munmap(p, PAGE);
	return error;
}

static int
op_mlock(void)
{
	char *p = map(4 * PAGE, MAP_PRIVATE);
	int error;

	if (p == MAP_FAILED)
		return errno;
	error = error_of(mlock(p, 4 * PAGE));
	munmap(p, 4 * PAGE);
	return error;
}

static int
op_brk(void)
{
	long now = syscall(SYS_brk, 0), got = syscall(SYS_brk, now + 64 * PAGE);

	syscall(SYS_brk, now);
	return got == now ? ENOMEM : 0;
}

static int
op_shm_file(void)
{
	int fd = open("/dev/shm/nomem", O_CREAT | O_RDWR, 0600), error;
	char *p;

	if (fd < 0)
		return errno;
	error = error_of(ftruncate(fd, 16 * PAGE));
	if (!error)
		error = error_of(pwrite(fd, "x", 1, 8 * PAGE));
	p = error ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (!error && p == MAP_FAILED)
		error = errno;
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	close(fd);
	if (unlink("/dev/shm/nomem"))
		error = unlink("/dev/shm/nomem") ? errno : ENOMEM;
	return error;
}

/* ---- Waiting and IPC ---- */

static int
op_pipe(void)
{
	static char data[10 * PAGE];
	int fd[2], error;

	if (pipe(fd))
		return errno;
	error = error_of(write(fd[1], data, sizeof(data)));
	if (!error)
		error = error_of(read(fd[0], data, sizeof(data)));
	if (!error)
		error = error_of(fcntl(fd[0], F_SETPIPE_SZ, 256 * PAGE));
	close(fd[0]);
	close(fd[1]);
	return error;
}

static int
op_eventfd(void)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	return fd < 0 ? errno : error_of(close(fd));
}

static int
op_timerfd(void)
{
	struct itimerspec when = {.it_value = {.tv_sec = 100}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), error;

	if (fd < 0)
		return errno;
	error = error_of(timerfd_settime(fd, 0, &when, NULL));
	close(fd);
	return error;
}

static int
op_posix_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	int id;

	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
		return errno;
	return error_of(syscall(SYS_timer_delete, id));
}

static int
op_signalfd(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd, error;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	if (fd < 0)
		return errno;
	error =
	    error_of(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1}));
	if (!error)
		error = error_of(read(fd, &info, sizeof(info)));
	close(fd);
	return error;
}

static int
op_signal_handler(void)
{
	struct sigaction act = {.sa_handler = SIG_IGN};
	int error = error_of(sigaction(SIGUSR1, &act, NULL));

	return error ? error : error_of(kill(getpid(), SIGUSR1));
}

static int
op_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ep = epoll_create1(0), fd[2] = {-1, -1}, error;

	if (ep < 0)
		return errno;
	error = error_of(pipe(fd));
	if (!error)
		error = error_of(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &event));
	if (!error)
		error = error_of(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &event));
	if (!error)
		error = error_of(epoll_wait(ep, &event, 1, 0));
	close(ep);
	close(fd[0]);
	close(fd[1]);
	return error;
}

static int
op_poll_many(void)
{
	struct pollfd fds[200];
	struct timespec now = {0, 0};
	int fd[2], error;

	if (pipe(fd))
		return errno;
	for (int i = 0; i < 200; i++)
		fds[i] = (struct pollfd){.fd = fd[0], .events = POLLIN};
	error = error_of(poll(fds, 200, 1));
	if (!error)
		error =
		    error_of(pselect(fd[1] + 1, &(fd_set){0}, NULL, NULL, &now, NULL));
	close(fd[0]);
	close(fd[1]);
	return error;
}

/* A table of descriptors that must grow. */
static int
op_many_fds(void)
{
	int fd = dup2(2, 1000);

	return fd < 0 ? errno : error_of(close(fd));
}

static int
op_sem(void)
{
	struct sembuf up = {0, 1, SEM_UNDO};
	int id = semget(IPC_PRIVATE, 4, 0600), error;

	if (id < 0)
		return errno;
	error = error_of(semop(id, &up, 1));
	semctl(id, 0, IPC_RMID);
	return error;
}

static int
op_shm(void)
{
	int id = shmget(IPC_PRIVATE, 4 * PAGE, 0600), error = 0;
	char *p;

	if (id < 0)
		return errno;
	p = shmat(id, NULL, 0);
	if (p == (char *)-1)
		error = errno;
	else
		shmdt(p);
	shmctl(id, IPC_RMID, NULL);
	return error;
}

static int
op_msg(void)
{
	static struct {
		long type;
		char text[3000];
	} m = {.type = 1};
	int id = msgget(IPC_PRIVATE, 0600), error;

	if (id < 0)
		return errno;
	error = error_of(msgsnd(id, &m, sizeof(m.text), IPC_NOWAIT));
	if (!error)
		error = error_of(msgrcv(id, &m, sizeof(m.text), 0, IPC_NOWAIT));
	msgctl(id, IPC_RMID, NULL);
	return error;
}

static int
op_inotify(void)
{
	char buf[512];
	int fd = inotify_init1(IN_NONBLOCK), error;

	if (fd < 0)
		return errno;
	error = error_of(inotify_add_watch(fd, "/tmp", IN_CREATE));
	if (!error && mkdir("/tmp/nomem.d", 0700) == 0) {
		/* An event that finds no memory becomes an overflow. */
		error = error_of(read(fd, buf, sizeof(buf)));
		if (rmdir("/tmp/nomem.d"))
			error = rmdir("/tmp/nomem.d") ? errno : ENOMEM;
	} else if (!error) {
		error = errno;
	}
	close(fd);
	return error;
}

static const struct op ops[] = {
    {"fork", op_fork, {EAGAIN}},
    {"clone_pidfd", op_clone_pidfd, {EAGAIN, EFAULT}},
    {"unshare", op_unshare, {EAGAIN}},
    {"thread", op_thread, {EAGAIN}},
    {"exec_static", op_exec_static, {0}},
    {"exec_script", op_exec_script, {0}},
    {"exec_dynamic", op_exec_dynamic, {0}},
    {"ptrace", op_ptrace, {EFAULT, EIO}},
    {"pidfd", op_pidfd, {0}},
    {"credentials", op_credentials, {0}},
    {"seccomp", op_seccomp, {0}},
    {"mmap", op_mmap, {0}},
    {"mmap_shared", op_mmap_shared, {0}},
    {"split", op_split, {EAGAIN}},
    {"mremap", op_mremap, {0}},
    {"fault_write", op_fault_write, {0}},
    {"fault_read", op_fault_read, {0}},
    {"fault_cow", op_fault_cow, {0}},
    {"fault_shared", op_fault_shared, {0}},
    {"fault_in_copy", op_fault_in_copy, {EFAULT}},
    {"mlock", op_mlock, {EAGAIN}},
    {"brk", op_brk, {0}},
    {"shm_file", op_shm_file, {ENOSPC}},
    {"pipe", op_pipe, {0}},
    {"eventfd", op_eventfd, {0}},
    {"timerfd", op_timerfd, {0}},
    {"posix_timer", op_posix_timer, {EAGAIN}},
    {"signalfd", op_signalfd, {EAGAIN}},
    {"signal_handler", op_signal_handler, {0}},
    {"epoll", op_epoll, {0}},
    {"poll_many", op_poll_many, {0}},
    {"many_fds", op_many_fds, {0}},
    {"sem", op_sem, {0}},
    {"shm", op_shm, {0}},
    {"msg", op_msg, {0}},
    {"inotify", op_inotify, {EAGAIN, ENOSPC}},
};

int
main(int argc, char **argv)
{
	static char path[256];
	FILE *script;
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "exec-child"))
		return exec_child();
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return 99;
	self = path;
	script = fopen("/tmp/nomem.sh", "w");
	if (!script || fprintf(script, "#!%s exec-child\n", self) < 0 || fclose(script) ||
	    chmod("/tmp/nomem.sh", 0755))
		return 98;
	RUN_OPS(ops)
	unlink("/tmp/nomem.sh");
	return failed;
}
