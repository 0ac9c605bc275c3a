/* Making processes, running programs in them, waiting for them, and the groups and
 * sessions they stand in. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { NOBODY = 0x7ffffff0, P_PIDFD_ = 3, WNOTHREAD_ = 0x20000000 };

struct info { /* siginfo of the kernel, for waitid */
	int signo, error, code, pad;
	int pid;
	unsigned uid;
	int status;
	char rest[100];
};

static pid_t
child_that_exits(int code)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(code);
	return pid;
}

static void
nothing(int sig)
{
}

/* proves: wait4 exit exit_group fork */
static void
wait4_cases(void)
{
	struct rusage ru;
	int status = 0;
	pid_t pid;

	EXPECT_ERR(SYS(wait4, -1, &status, 0, NULL), ECHILD);
	EXPECT_ERR(SYS(wait4, -1, &status, 0x100, NULL), EINVAL);
	EXPECT_ERR(SYS(wait4, -1, &status, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(wait4, getppid(), &status, 0, NULL), ECHILD);
	EXPECT_ERR(SYS(wait4, NOBODY, &status, WNOHANG, NULL), ECHILD);
	EXPECT_ERR(SYS(wait4, 0x80000000, &status, 0, NULL), ESRCH);
	pid = child_that_exits(0x1ff);
	EXPECT_EQ(SYS(wait4, pid, &status, 0, &ru), pid);
	EXPECT_EQ(status, 0xff00);
	pid = child_that_waits();
	EXPECT_EQ(SYS(wait4, pid, &status, WNOHANG, NULL), 0);
	EXPECT_EQ(SYS(wait4, 0, &status, WNOHANG, NULL), 0);
	EXPECT_EQ(SYS(wait4, -getpgrp(), &status, WNOHANG, NULL), 0);
	EXPECT_ERR(SYS(wait4, -pid, &status, WNOHANG, NULL), ECHILD);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	EXPECT_EQ(SYS(wait4, pid, &status, WUNTRACED, NULL), pid);
	EXPECT_EQ(status, SIGSTOP << 8 | 0x7f);
	EXPECT_EQ(SYS(wait4, pid, &status, WUNTRACED | WNOHANG, NULL), 0);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	EXPECT_EQ(SYS(wait4, pid, &status, WCONTINUED, NULL), pid);
	EXPECT_EQ(status, 0xffff);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	EXPECT_ERR(SYS(wait4, pid, BAD_ADDR, 0, NULL), EFAULT);
	EXPECT_ERR(
	    SYS(wait4, pid, &status, 0, NULL), ECHILD); /* it is gone all the same */
	pid = child_that_exits(0);
	EXPECT_EQ(SYS(wait4, pid, NULL, __WALL | WNOTHREAD_, NULL), pid);
	/* Only children that end with another signal count for __WCLONE. */
	pid = child_that_exits(0);
	EXPECT_ERR(SYS(wait4, -1, &status, 0x80000000, NULL), ECHILD);
	EXPECT_EQ(SYS(wait4, -1, &status, 0, NULL), pid);
	signal(SIGCHLD, SIG_IGN);
	pid = child_that_exits(0);
	EXPECT_ERR(SYS(wait4, -1, &status, 0, NULL), ECHILD);
	EXPECT_ERR(SYS(wait4, pid, &status, 0, NULL), ECHILD);
}

/* proves: wait4 pause */
static void
wait_is_interrupted(void)
{
	struct sigaction sa = {.sa_handler = nothing};
	pid_t pid = child_that_waits();
	int status;

	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	alarm(1);
	EXPECT_ERR(SYS(wait4, pid, &status, 0, NULL), EINTR);
	alarm(1);
	EXPECT_ERR(SYS(pause), EINTR);
	sa.sa_flags = SA_RESTART;
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	alarm(1);
	EXPECT_ERR(SYS(pause), EINTR); /* never begun again */
	kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

/* proves: waitid */
static void
waitid_cases(void)
{
	struct info i;
	struct rusage ru;
	pid_t pid;

	memset(&i, 0x55, sizeof(i));
	EXPECT_ERR(SYS(waitid, P_ALL, 0, &i, WEXITED, NULL), ECHILD);
	EXPECT_ERR(SYS(waitid, P_ALL, 0, &i, 0, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_ALL, 0, &i, WNOHANG, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_ALL, 0, &i, WEXITED | 0x100, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, 9, 0, &i, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_PID, 0, &i, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_PID, -1, &i, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_PGID, -1, &i, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_PIDFD_, 99, &i, WEXITED, NULL), EBADF);
	EXPECT_ERR(SYS(waitid, P_PIDFD_, -1, &i, WEXITED, NULL), EINVAL);
	EXPECT_ERR(SYS(waitid, P_PIDFD_, 1, &i, WEXITED, NULL), EBADF);
	EXPECT_ERR(SYS(waitid, P_PID, NOBODY, &i, WEXITED, NULL), ECHILD);
	pid = child_that_waits();
	EXPECT_EQ(SYS(waitid, P_PID, pid, &i, WEXITED | WNOHANG, NULL), 0);
	EXPECT_EQ(i.signo, 0);
	EXPECT_EQ(i.pid, 0);
	CHECK_EQ(kill(pid, SIGTSTP), 0);
	EXPECT_EQ(SYS(waitid, P_PID, pid, &i, WSTOPPED | WNOWAIT, NULL), 0);
	EXPECT_EQ(i.code, CLD_STOPPED);
	EXPECT_EQ(i.status, SIGTSTP);
	EXPECT_EQ(SYS(waitid, P_ALL, 0, &i, WSTOPPED, NULL), 0);
	EXPECT_EQ(SYS(waitid, P_ALL, 0, &i, WSTOPPED | WNOHANG, NULL), 0);
	EXPECT_EQ(i.signo, 0);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	EXPECT_EQ(SYS(waitid, P_PGID, 0, &i, WCONTINUED, NULL), 0);
	EXPECT_EQ(i.code, CLD_CONTINUED);
	EXPECT_EQ(i.status, SIGCONT);
	CHECK_EQ(kill(pid, SIGTERM), 0);
	EXPECT_EQ(SYS(waitid, P_PGID, getpgrp(), &i, WEXITED | WNOWAIT, NULL), 0);
	EXPECT_EQ(SYS(waitid, P_PID, pid, &i, WEXITED, &ru), 0);
	EXPECT_EQ(i.signo, SIGCHLD);
	EXPECT_EQ(i.error, 0);
	EXPECT_EQ(i.code, CLD_KILLED);
	EXPECT_EQ(i.pid, pid);
	EXPECT_EQ(i.uid, 0);
	EXPECT_EQ(i.status, SIGTERM);
	pid = child_that_exits(0x123);
	EXPECT_EQ(SYS(waitid, P_PID, pid, &i, WEXITED, NULL), 0);
	EXPECT_EQ(i.code, CLD_EXITED);
	EXPECT_EQ(i.status, 0x23);
	pid = child_that_exits(3);
	EXPECT_ERR(SYS(waitid, P_PID, pid, BAD_ADDR, WEXITED, NULL), EFAULT);
	EXPECT_ERR(SYS(waitid, P_PID, pid, &i, WEXITED, NULL), ECHILD);
	pid = child_that_exits(3);
	EXPECT_EQ(SYS(waitid, P_PID, pid, NULL, WEXITED, NULL), 0);
}

static char stack[65536] __attribute__((aligned(16)));

static int
set_shared(void *p)
{
	*(volatile int *)p = 2;
	return 0;
}

/* proves: clone vfork */
static void
clone_flags(void)
{
	static const struct {
		unsigned long flags;
		int error;
	} rows[] = {
	    {CLONE_THREAD, EINVAL},
	    {CLONE_THREAD | CLONE_SIGHAND, EINVAL},
	    {CLONE_SIGHAND, EINVAL},
	    {CLONE_FS | CLONE_NEWNS, EINVAL},
	    {CLONE_PIDFD | CLONE_PARENT_SETTID, EINVAL},
	    {CLONE_PIDFD | CLONE_DETACHED, EINVAL},
	};
	static volatile int shared = 0;
	int status, tid = 0, ctid = 0;
	pid_t pid;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT_ERR(
		    SYS(clone, rows[i].flags | SIGCHLD, 0, NULL, NULL, 0), rows[i].error);
	pid = (pid_t)SYS(
	    clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &tid, &ctid, 0);
	if (pid == 0)
		_exit(ctid != getpid());
	EXPECT_EQ(tid, pid);
	EXPECT_EQ(ctid, 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_ERR(SYS(clone, CLONE_PIDFD | SIGCHLD, 0, BAD_ADDR, NULL, 0), EFAULT);
	/* Another signal than SIGCHLD: waited for by __WCLONE or __WALL alone. */
	pid = (pid_t)SYS(clone, 0, 0, NULL, NULL, 0);
	if (pid == 0)
		_exit(5);
	EXPECT_ERR(waitpid(pid, &status, 0), ECHILD);
	EXPECT_EQ(waitpid(pid, &status, __WCLONE), pid);
	EXPECT_EQ(status, 0x500);
	/* vfork: the parent goes on only when the child has ended, and memory is one. */
	pid = vfork();
	if (pid == 0) {
		shared = 1;
		_exit(0);
	}
	EXPECT_EQ(shared, 1);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	pid =
	    clone(set_shared, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)&shared);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(shared, 2);
	/* CLONE_PARENT: a brother. */
	pid = fork();
	if (pid == 0) {
		tid = (int)SYS(clone, CLONE_PARENT | SIGCHLD, 0, NULL, NULL, 0);
		_exit(tid == 0 ? 7 : 0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(wait(&status) > 0, 1);
	EXPECT_EQ(status, 0x700);
}

/* proves: clone3 */
static void
clone3_arguments(void)
{
	struct clone_args a = {.exit_signal = SIGCHLD};
	struct {
		struct clone_args a;
		uint64_t more;
	} big = {.a = {.exit_signal = SIGCHLD}};
	int status, fd = -1, tid = 0, set[1] = {0};
	pid_t pid;

	EXPECT_ERR(SYS(clone3, &a, 63), EINVAL);
	EXPECT_ERR(SYS(clone3, &a, 4097), E2BIG);
	EXPECT_ERR(SYS(clone3, BAD_ADDR, 88), EFAULT);
	big.more = 1;
	EXPECT_ERR(SYS(clone3, &big, sizeof(big)), E2BIG);
	a.flags = CLONE_DETACHED;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.flags = SIGCHLD;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.flags = 1ULL << 40;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.flags = 0;
	a.exit_signal = 65;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.exit_signal = SIGCHLD;
	a.stack = 0x1000;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.stack = 0;
	a.stack_size = 0x1000;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.stack_size = 0;
	a.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL); /* a thread tells nobody */
	a.flags = CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_VM;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.flags = 0;
	a.set_tid_size = 1;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.set_tid = (uintptr_t)set;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.set_tid_size = 33;
	EXPECT_ERR(SYS(clone3, &a, sizeof(a)), EINVAL);
	a.set_tid_size = a.set_tid = 0;
	big.more = 0;
	pid = (pid_t)SYS(clone3, &big, sizeof(big));
	if (pid == 0)
		_exit(4);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0x400);
	/* Here a descriptor of the process and its number go to places of their own. */
	a.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND;
	a.pidfd = (uintptr_t)&fd;
	a.parent_tid = (uintptr_t)&tid;
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	pid = (pid_t)SYS(clone3, &a, sizeof(a));
	if (pid == 0) {
		struct sigaction one, two;

		sigaction(SIGUSR1, NULL, &one);
		sigaction(SIGUSR2, NULL, &two);
		_exit(one.sa_handler != SIG_DFL || two.sa_handler != SIG_IGN);
	}
	EXPECT_EQ(tid, pid);
	EXPECT_EQ(fd > 2, 1);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

static void
put_file(const char *name, const char *text, int mode)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, mode);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* What a child's execve ends with: its errno, or the status of the program. */
static int
exec_in_child(const char *path, const void *argv, const void *envp)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		SYS(execve, path, argv, envp);
		_exit(errno);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* proves: execve */
static void
execve_errors(void)
{
	static char dir[] = "/tmp/exectest.XXXXXX", *argv[] = {"x", NULL};
	static char huge[131073], elf[5000] = "\177ELF\2\1\1",
	                          *bad[] = {"x", BAD_ADDR, NULL};
	char *const too_long[] = {huge, NULL};
	int fd;

	CHECK(mkdtemp(dir));
	CHECK_EQ(chdir(dir) | chmod(dir, 0755), 0);
	memset(huge, 'a', 131072);
	put_file("text", "hello", 0755);
	put_file("empty", "", 0755);
	put_file("noexec", "#!/bin/sh\n", 0644);
	put_file("nointerp", "#!/none/such\n", 0755);
	put_file("blank", "#!\n", 0755);
	put_file("loop", "#!loop\n", 0755);
	fd = open("elf", O_CREAT | O_WRONLY, 0755);
	CHECK_EQ(write(fd, elf, sizeof(elf)), sizeof(elf));
	EXPECT_EQ(exec_in_child("elf", argv, NULL), ETXTBSY);
	close(fd);
	CHECK_EQ(mkdir("d", 0755) | symlink("l", "l") | mkfifo("fifo", 0755), 0);
	EXPECT_EQ(exec_in_child("none", argv, NULL), ENOENT);
	EXPECT_EQ(exec_in_child("", argv, NULL), ENOENT);
	EXPECT_EQ(exec_in_child("d", argv, NULL), EACCES);
	EXPECT_EQ(exec_in_child("fifo", argv, NULL), EACCES);
	EXPECT_EQ(exec_in_child("l", argv, NULL), ELOOP);
	EXPECT_EQ(exec_in_child("text/x", argv, NULL), ENOTDIR);
	EXPECT_EQ(exec_in_child("text", argv, NULL), ENOEXEC);
	EXPECT_EQ(exec_in_child("empty", argv, NULL), ENOEXEC);
	EXPECT_EQ(exec_in_child("elf", argv, NULL), ENOEXEC);
	EXPECT_EQ(exec_in_child("noexec", argv, NULL), EACCES);
	EXPECT_EQ(exec_in_child("nointerp", argv, NULL), ENOENT);
	EXPECT_EQ(exec_in_child("blank", argv, NULL), ENOEXEC);
	EXPECT_EQ(exec_in_child("loop", argv, NULL), ELOOP);
	EXPECT_EQ(exec_in_child(BAD_ADDR, argv, NULL), EFAULT);
	EXPECT_EQ(exec_in_child("/proc/self/exe", BAD_ADDR, NULL), EFAULT);
	EXPECT_EQ(exec_in_child("/proc/self/exe", bad, NULL), EFAULT);
	EXPECT_EQ(exec_in_child("/proc/self/exe", too_long, NULL), E2BIG);
	EXPECT_EQ(exec_in_child("/proc/self/exe", argv, too_long), E2BIG);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	CHECK_EQ(access("noexec", X_OK) != 0, 1);
	EXPECT_EQ(exec_in_child("noexec", argv, NULL), EACCES);
}

static int
exec_at_in_child(int at, const char *path, int flags)
{
	static char *const argv[] = {"sh", "-c", "exit 41", NULL};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		SYS(execveat, at, path, argv, NULL, flags);
		_exit(errno);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* proves: execveat */
static void
execveat_cases(void)
{
	int bin = open("/bin", O_RDONLY), sh = open("/bin/sh", O_PATH);
	int file = open("/proc/self/exe", O_RDONLY), cloexec;

	EXPECT_EQ(exec_at_in_child(bin, "sh", 0), 41);
	EXPECT_EQ(exec_at_in_child(sh, "", AT_EMPTY_PATH), 41);
	EXPECT_EQ(exec_at_in_child(AT_FDCWD, "/bin/sh", 0), 41);
	EXPECT_EQ(exec_at_in_child(99, "/bin/sh", 0), 41);
	EXPECT_EQ(exec_at_in_child(99, "sh", 0), EBADF);
	EXPECT_EQ(exec_at_in_child(99, "", AT_EMPTY_PATH), EBADF);
	EXPECT_EQ(exec_at_in_child(bin, "", 0), ENOENT);
	EXPECT_EQ(exec_at_in_child(bin, "", AT_EMPTY_PATH), EACCES);
	EXPECT_EQ(exec_at_in_child(file, "sh", 0), ENOTDIR);
	EXPECT_EQ(exec_at_in_child(bin, "sh", 0x8), EINVAL);
	EXPECT_EQ(
	    exec_at_in_child(AT_FDCWD, "/proc/self/exe", AT_SYMLINK_NOFOLLOW), ELOOP);
	/* A script needs its descriptor still open, and /dev/fd. */
	EXPECT_EQ(!symlink("/proc/self/fd", "/dev/fd") || errno == EEXIST, 1);
	put_file("/tmp/execveat.sh", "#!/bin/sh\nexit 42\n", 0755);
	cloexec = open("/tmp/execveat.sh", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(exec_at_in_child(cloexec, "", AT_EMPTY_PATH), ENOENT);
	EXPECT_EQ(
	    exec_at_in_child(open("/tmp/execveat.sh", O_RDONLY), "", AT_EMPTY_PATH), 42);
}

/* proves: setpgid getpgid getpgrp setsid getsid getppid getpid gettid */
static void
process_groups_and_sessions(void)
{
	pid_t pid, self = getpid();
	int status, go[2], back[2];
	char c;

	CHECK_EQ(pipe(go) | pipe(back), 0);
	EXPECT_EQ(SYS(getpid), self);
	EXPECT_EQ(SYS(gettid), self);
	EXPECT_ERR(SYS(getpgid, NOBODY), ESRCH);
	EXPECT_ERR(SYS(getpgid, -1), ESRCH);
	EXPECT_ERR(SYS(getsid, NOBODY), ESRCH);
	EXPECT_EQ(SYS(getpgid, 0), SYS(getpgrp));
	EXPECT_EQ(SYS(getpgid, getppid()), getpgid(SYS(getppid)));
	EXPECT_ERR(SYS(setpgid, 0, -1), EINVAL);
	EXPECT_ERR(SYS(setpgid, NOBODY, 0), ESRCH);
	EXPECT_ERR(SYS(setpgid, getppid(), 0), ESRCH); /* no child */
	EXPECT_ERR(SYS(setpgid, 0, NOBODY), EPERM);
	EXPECT_EQ(SYS(setpgid, 0, 0), 0);
	EXPECT_EQ(SYS(getpgrp), self);
	EXPECT_EQ(SYS(setpgid, self, self), 0);
	EXPECT_ERR(SYS(setsid), EPERM); /* it leads a group */
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(SYS(setsid), getpid());
		CHECK_EQ(SYS(getsid, 0), getpid());
		CHECK_EQ(SYS(getpgrp), getpid());
		CHECK_EQ(write(back[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		EXPECT_ERR(SYS(setpgid, 0, 0), EPERM); /* a session leader stays */
		EXPECT_ERR(SYS(setpgid, 0, getppid()), EPERM);
		EXPECT_ERR(SYS(setsid), EPERM);
		_exit(num_unexpected);
	}
	CHECK_EQ(read(back[0], &c, 1), 1);
	EXPECT_EQ(SYS(getsid, pid), pid);
	EXPECT_EQ(SYS(getpgid, pid), pid);
	EXPECT_ERR(SYS(setpgid, pid, self), EPERM); /* another session */
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	/* A child that has run another program is left alone. */
	pid = fork();
	if (pid == 0) {
		dup2(go[0], 0);
		dup2(back[1], 1);
		execl("/bin/sh", "sh", "-c", "echo; read x", NULL);
		_exit(1);
	}
	CHECK_EQ(read(back[0], &c, 1), 1);
	EXPECT_ERR(SYS(setpgid, pid, pid), EACCES);
	CHECK_EQ(write(go[1], "\n", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	pid = child_that_waits();
	EXPECT_EQ(SYS(setpgid, pid, 0), 0);
	EXPECT_EQ(SYS(getpgid, pid), pid);
	EXPECT_EQ(SYS(setpgid, pid, self), 0);
	EXPECT_EQ(SYS(getpgid, pid), self);
	kill(pid, SIGKILL);
}

/* proves: set_tid_address exit */
static void
a_thread_clears_its_word(void)
{
	static volatile int word = 77, other;
	int tid;

	EXPECT_EQ(SYS(set_tid_address, &word), getpid());
	if (fork() == 0)
		_exit(0);
	CHECK(wait(NULL) > 0);
	EXPECT_EQ(word, 77);
	/* The word of a process whose memory nobody shares is not touched; of a shared one it is. */
	tid = clone(set_shared, stack + sizeof(stack),
	    CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)&other, NULL, NULL, &word);
	EXPECT_EQ(waitpid(tid, NULL, 0), tid);
	EXPECT_EQ(word, 0);
	EXPECT_EQ(other, 2);
}

/* proves: getrusage times */
static void
times_used(void)
{
	struct rusage ru;
	long t[4];

	EXPECT_EQ(SYS(getrusage, RUSAGE_SELF, &ru), 0);
	EXPECT_EQ(SYS(getrusage, RUSAGE_CHILDREN, &ru), 0);
	EXPECT_EQ(ru.ru_utime.tv_sec + ru.ru_utime.tv_usec, 0);
	EXPECT_EQ(SYS(getrusage, RUSAGE_THREAD, &ru), 0);
	EXPECT_ERR(SYS(getrusage, 2, &ru), EINVAL);
	EXPECT_ERR(SYS(getrusage, -2, &ru), EINVAL);
	EXPECT_ERR(SYS(getrusage, RUSAGE_SELF, BAD_ADDR), EFAULT);
	EXPECT_EQ(SYS(times, t) != 0, 1);
	EXPECT_EQ(SYS(times, NULL) != 0, 1);
	EXPECT_ERR(SYS(times, BAD_ADDR), EFAULT);
}

static const struct test tests[] = {
    TEST(wait4_cases),
    TEST(wait_is_interrupted),
    TEST(waitid_cases),
    TEST(clone_flags),
    TEST(clone3_arguments),
    TEST(execve_errors),
    TEST(execveat_cases),
    TEST(process_groups_and_sessions),
    TEST(a_thread_clears_its_word),
    TEST(times_used),
};

RUN_TESTS(tests)
