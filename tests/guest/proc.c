/* Processes: fork, exec, wait, exit, groups and sessions, credentials, limits. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <asm/sockios.h>
#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

static void
fork_gives_exit_status(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(42);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
	CHECK_ERR(waitpid(pid, &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, WNOHANG), ECHILD);
}

static void
fork_copies_memory(void)
{
	static int data = 1;
	volatile int local = 1;
	int *heap = malloc(1 << 20), status;
	pid_t pid;

	heap[0] = heap[100000] = 1;
	pid = fork();
	if (!pid) {
		data = local = heap[0] = heap[100000] = 2;
		_exit(data + local + heap[0] + heap[100000]);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 8);
	CHECK_EQ(data + local + heap[0] + heap[100000], 4);
}

static void
wait_sees_death_by_signal(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		raise(SIGTERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

static void
wait_nohang_and_nowait(void)
{
	int fds[2];
	siginfo_t si;
	pid_t pid;
	char c;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		read(fds[0], &c, 1);
		_exit(7);
	}
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	close(fds[1]);
	memset(&si, 0, sizeof(si));
	CHECK_EQ(waitid(P_PID, pid, &si, WEXITED | WNOWAIT), 0);
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_code, CLD_EXITED);
	CHECK_EQ(si.si_status, 7);
	CHECK_EQ(si.si_signo, SIGCHLD);
	CHECK_EQ(waitid(P_ALL, 0, &si, WEXITED), 0);
	CHECK_EQ(si.si_status, 7);
	CHECK_ERR(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
	CHECK_ERR(waitid(P_ALL, 0, &si, 0), EINVAL);
}

static void
stop_and_continue_are_reported(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

static void
killed_while_stopped(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
}

static void
ignored_sigchld_leaves_no_zombie(void)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid)
		_exit(1);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	CHECK_ERR(kill(pid, 0), ESRCH);
}

static void
orphans_go_to_the_subreaper(void)
{
	int fds[2], status;
	pid_t child, grandchild = 0;

	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	CHECK_EQ(pipe(fds), 0);
	child = fork();
	if (!child) {
		grandchild = fork();
		if (!grandchild) {
			while (getppid() == 0 || getppid() != getpgrp())
				if (getppid() == getpgid(0))
					break;
				else
					sleep_ms(1);
			_exit(9);
		}
		write(fds[1], &grandchild, sizeof(grandchild));
		_exit(0);
	}
	setpgid(0, 0);
	CHECK_EQ(read(fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	CHECK_EQ(waitpid(child, &status, 0), child);
	kill(grandchild, SIGKILL);
	CHECK_EQ(waitpid(grandchild, &status, 0), grandchild);
}

static void
vfork_shares_memory_until_exit(void)
{
	static volatile int shared;
	int status;
	pid_t pid = vfork();

	if (!pid) {
		shared = 5;
		_exit(3);
	}
	CHECK_EQ(shared, 5);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
}

static void
exec_passes_arguments_and_closes(void)
{
	char fd_text[16];
	int fd = open("/", O_RDONLY | O_CLOEXEC), keep = open("/", O_RDONLY), status;
	char keep_text[16];
	char *argv[] = {
	    "self", "--exec-check", "two words", "", fd_text, keep_text, NULL};
	char *envp[] = {
	    "A=1", "LONG=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL};
	pid_t pid;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(keep_text, sizeof(keep_text), "%d", keep);
	pid = fork();
	if (!pid) {
		execve("/proc/self/exe", argv, envp);
		_exit(100);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* The other half, in the new program. */
static int
exec_check(int argc, char **argv)
{
	char name[16];

	if (argc != 6 || strcmp(argv[0], "self") || strcmp(argv[2], "two words") ||
	    *argv[3])
		return 1;
	if (!getenv("A") || strcmp(getenv("A"), "1") || strlen(getenv("LONG")) != 55)
		return 2;
	if (fcntl(atoi(argv[4]), F_GETFD) != -1 || errno != EBADF)
		return 3;
	if (fcntl(atoi(argv[5]), F_GETFD) != 0)
		return 4;
	prctl(PR_GET_NAME, name);
	return strcmp(name, "exe") ? 5 : 0;
}

static void
exec_errors(void)
{
	char *argv[] = {"x", NULL}, *envp[] = {NULL};
	int fd;

	CHECK_ERR(execve("/no/such/file", argv, envp), ENOENT);
	CHECK_ERR(execve("/", argv, envp), EACCES);
	CHECK_ERR(execve("", argv, envp), ENOENT);
	CHECK_ERR(syscall(SYS_execve, 1, argv, envp), EFAULT);
	CHECK_ERR(syscall(SYS_execve, "/proc/self/exe", 1, envp), EFAULT);
	fd = open("/tmp/keel-noexec", O_CREAT | O_WRONLY | O_TRUNC, 0644);
	CHECK(fd >= 0);
	write(fd, "text", 4);
	CHECK_ERR(execve("/tmp/keel-noexec", argv, envp), EACCES);
	fchmod(fd, 0755);
	close(fd);
	CHECK_ERR(execve("/tmp/keel-noexec", argv, envp), ENOEXEC);
	unlink("/tmp/keel-noexec");
}

static void
exec_huge_arguments(void)
{
	static char big[200 << 10];
	char *argv[] = {"x", big, NULL}, *envp[] = {NULL};
	static char part[100 << 10];
	char *many[64] = {"x"};

	memset(big, 'a', sizeof(big) - 1);
	CHECK_ERR(execve("/proc/self/exe", argv, envp), E2BIG);
	memset(part, 'b', sizeof(part) - 1);
	for (int i = 1; i < 63; i++)
		many[i] = part;
	CHECK_ERR(execve("/proc/self/exe", many, envp), E2BIG);
}

static void
exec_runs_scripts(void)
{
	char *argv[] = {"name", "arg", NULL}, *envp[] = {NULL};
	char self[256], text[300];
	int fd, n, status;
	pid_t pid;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	CHECK(n > 0);
	self[n] = 0;
	fd = open("/tmp/keel-script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	CHECK(fd >= 0);
	n = snprintf(text, sizeof(text), "#! %s --script-check  \n", self);
	write(fd, text, n);
	close(fd);
	pid = fork();
	if (!pid) {
		execve("/tmp/keel-script", argv, envp);
		_exit(100);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	fd = open("/tmp/keel-script", O_WRONLY | O_TRUNC);
	write(fd, "#!/tmp/keel-script\n", 19);
	close(fd);
	CHECK_ERR(execve("/tmp/keel-script", argv, envp), ELOOP);
	unlink("/tmp/keel-script");
}

static int
script_check(int argc, char **argv)
{
	return !(
	    argc == 4 && !strcmp(argv[2], "/tmp/keel-script") && !strcmp(argv[3], "arg"));
}

static void
groups_and_sessions(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		CHECK_EQ(setpgid(0, 0), 0);
		CHECK_EQ(getpgrp(), getpid());
		CHECK_ERR(setsid(), EPERM);
		pid = fork();
		if (!pid) {
			CHECK_EQ(setsid(), getpid());
			CHECK_EQ(getsid(0), getpid());
			CHECK_EQ(getpgid(0), getpid());
			CHECK_ERR(setpgid(0, 0), EPERM);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		_exit(status != 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_ERR(getpgid(999999), ESRCH);
	CHECK_ERR(setpgid(0, 999999), EPERM);
	CHECK_ERR(setpgid(0, -5), EINVAL);
}

static void
kill_a_group(void)
{
	pid_t pids[3];
	int status;

	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (!pids[i])
			for (;;)
				pause();
		CHECK_EQ(setpgid(pids[i], pids[0]), 0);
	}
	CHECK_EQ(kill(-pids[0], SIGTERM), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(waitpid(-pids[0], &status, 0) > 0, 1);
		CHECK_EQ(WTERMSIG(status), SIGTERM);
	}
	CHECK_ERR(kill(-pids[0], 0), ESRCH);
}

static void
ids_and_capabilities(void)
{
	uid_t r, e, s;

	if (getuid())
		return; /* needs root */
	CHECK_EQ(setresuid(1000, 1000, 0), 0);
	CHECK_EQ(getresuid(&r, &e, &s), 0);
	CHECK(r == 1000 && e == 1000 && s == 0);
	CHECK_EQ(seteuid(0), 0);
	CHECK_EQ(setgroups(2, (gid_t[]){7, 3}), 0);
	CHECK_EQ(getgroups(0, NULL), 2);
	CHECK_EQ(setuid(1000), 0);
	CHECK_ERR(setuid(0), EPERM);
	CHECK_ERR(kill(1, SIGTERM), EPERM);
	CHECK_ERR(sethostname("x", 1), EPERM);
}

static void
limits(void)
{
	struct rlimit l;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = 10;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &l), 0);
	CHECK_ERR(dup2(0, 10), EBADF);
	CHECK_EQ(dup2(0, 9), 9);
	for (int fd = 0; fd >= 0; fd = dup(0))
		;
	CHECK_EQ(errno, EMFILE);
	l.rlim_cur = l.rlim_max + 1;
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &l), EINVAL);
	CHECK_ERR(getrlimit(99, &l), EINVAL);
}

static void
names(void)
{
	struct utsname u;
	char name[16];

	CHECK_EQ(uname(&u), 0);
	CHECK(!strcmp(u.sysname, "Linux") && !strcmp(u.machine, "x86_64"));
	CHECK_EQ(prctl(PR_SET_NAME, "a-name-that-is-too-long"), 0);
	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK(!strcmp(name, "a-name-that-is-"));
}

static void
times_add_up(void)
{
	struct rusage ru;
	volatile unsigned long n = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		clock_t end = clock() + CLOCKS_PER_SEC / 10;

		while (clock() < end)
			n++;
		_exit(0);
	}
	CHECK_EQ(wait4(pid, &status, 0, &ru), pid);
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec >=
	      90000);
	CHECK_EQ(getrusage(RUSAGE_CHILDREN, &ru), 0);
	CHECK(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec + ru.ru_utime.tv_sec * 1000000 >=
	      90000);
}

static void
descriptors(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK(fd >= 3);
	CHECK_EQ(dup2(fd, 20), 20);
	CHECK_EQ(fcntl(20, F_DUPFD, 20), 21);
	CHECK_EQ(fcntl(20, F_DUPFD_CLOEXEC, 5), 5);
	CHECK_EQ(fcntl(5, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(5, F_SETFD, 0), 0);
	CHECK_EQ(fcntl(5, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND), 0);
	CHECK_EQ(fcntl(20, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
	CHECK_ERR(dup3(fd, fd, 0), EINVAL);
	CHECK_EQ(dup2(fd, fd), fd);
	CHECK_ERR(dup2(99, 99), EBADF);
	CHECK_ERR(close(99), EBADF);
	CHECK_EQ(dup2(fd, 300), 300);
	CHECK_EQ(syscall(SYS_close_range, 5, 400, 0), 0);
	CHECK_ERR(close(300), EBADF);
	CHECK_ERR(close(20), EBADF);
	CHECK_EQ(dup(0), fd > 3 && fd < 5 ? 3 : fd == 3 ? 4 : 3);
}

static int
thread_like(void *arg)
{
	*(int *)arg = 77;
	return 3;
}

static void
clone_shares_what_it_says(void)
{
	static char stack[64 << 10];
	int value = 0, status;
	pid_t pid = clone(thread_like, stack + sizeof(stack), CLONE_VM | SIGCHLD, &value);

	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
	CHECK_EQ(value, 77);
	CHECK_ERR(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
}

static void
many_children(void)
{
	int status, n = 0;

	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			_exit(i & 1);
	}
	while (wait(&status) > 0)
		n += WEXITSTATUS(status);
	CHECK_EQ(n, 100);
}

/* Whatever the order they end in. */
static void
wait_tells_the_oldest_first(void)
{
	pid_t pids[3];
	siginfo_t si;
	int go[2];
	char c;

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(pipe(go), 0);
		pids[i] = fork();
		if (!pids[i])
			_exit(read(go[0], &c, 1) != 1);
		close(go[0]);
		dup2(go[1], 60 + i);
		close(go[1]);
	}
	for (int i = 2; i >= 0; i--) {
		CHECK_EQ(write(60 + i, "x", 1), 1);
		CHECK_EQ(waitid(P_PID, pids[i], &si, WEXITED | WNOWAIT), 0);
	}
	CHECK_EQ(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	CHECK_EQ(si.si_pid, pids[0]);
	CHECK_EQ(waitpid(pids[1], NULL, 0), pids[1]);
	CHECK_EQ(wait(NULL), pids[0]);
	CHECK_EQ(waitpid(-getpgrp(), NULL, 0), pids[2]);
	CHECK_ERR(waitpid(pids[1], NULL, 0), ECHILD);
	CHECK_ERR(waitpid(getppid(), NULL, 0), ECHILD);
}

/* One that calls itself so when its grandchildren are there gets them too, and their children. */
static void
a_late_subreaper_gets_older_orphans(void)
{
	int fds[2], status;
	pid_t pid, got[2];
	char c;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		if (!fork())
			_exit((fork() ? 3 : 4) + (read(fds[0], &c, 1) != 0));
		_exit(read(fds[0], &c, 1) != 0);
	}
	sleep_ms(100);
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	close(fds[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 0);
	for (int i = 0; i < 2; i++) {
		got[i] = wait(&status);
		CHECK(got[i] > 0);
		CHECK(WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 4);
	}
	CHECK(got[0] != got[1]);
	CHECK_ERR(wait(NULL), ECHILD);
}

static void
all_stand_in_proc_in_order(void)
{
	const struct dirent *e;
	int n = 0, last = 0, num_seen = 0;
	pid_t pids[20];
	DIR *d;

	for (int i = 0; i < 20; i++) {
		pids[i] = fork();
		if (!pids[i])
			pause();
	}
	d = opendir("/proc");
	CHECK(d != NULL);
	while ((e = readdir(d))) {
		n = atoi(e->d_name);
		if (!n)
			continue;
		CHECK(n > last);
		last = n;
		for (int i = 0; i < 20; i++)
			num_seen += n == pids[i];
	}
	closedir(d);
	CHECK_EQ(num_seen, 20);
	for (int i = 0; i < 20; i++) {
		kill(pids[i], SIGKILL);
		CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
	}
}

static void
owners_of_descriptors(void)
{
	int fds[2], owner = INT_MIN;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(fcntl(fds[0], F_SETOWN, getpid()), 0);
	CHECK_ERR(fcntl(fds[0], F_SETOWN, INT_MIN), EINVAL);
	CHECK_ERR(fcntl(fds[0], F_SETOWN, 4194000), ESRCH);
	CHECK_ERR(fcntl(fds[0], F_SETOWN, -4194000), ESRCH);
	CHECK_ERR(ioctl(fds[0], SIOCSPGRP, &owner), EINVAL);
	CHECK_EQ(fcntl(fds[0], F_GETOWN), getpid());
	CHECK_EQ(fcntl(fds[0], F_SETOWN, 0), 0);
	CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
}

/* A number in /proc/self/io or sched. */
static long
number_in(const char *path, const char *name)
{
	char line[128], *end;
	FILE *f = fopen(path, "r");
	long value = -1;

	CHECK(f);
	while (f && fgets(line, sizeof(line), f)) {
		end = strpbrk(line, " :");
		if (end && (size_t)(end - line) == strlen(name) &&
		    !memcmp(line, name, strlen(name)))
			value = atol(strchr(line, ':') + 1);
	}
	if (f)
		fclose(f);
	return value;
}

static void
reads_and_writes_are_counted(void)
{
	long wchar = number_in("/proc/self/io", "wchar"),
	     syscw = number_in("/proc/self/io", "syscw"), rchar, syscr;
	char buf[10];
	int p[2];

	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(write(p[1], "12345678", 8), 8);
	CHECK_ERR(write(-1, buf, 1), EBADF);
	CHECK_EQ(number_in("/proc/self/io", "wchar"), wchar + 8);
	CHECK_EQ(number_in("/proc/self/io", "syscw"), syscw + 1);
	rchar = number_in("/proc/self/io", "rchar");
	syscr = number_in("/proc/self/io", "syscr");
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 8);
	CHECK(number_in("/proc/self/io", "rchar") >= rchar + 8);
	CHECK(number_in("/proc/self/io", "syscr") > syscr);
	CHECK_EQ(number_in("/proc/thread-self/io", "wchar"), wchar + 8);
	CHECK_EQ(number_in("/proc/self/io", "read_bytes"), 0);
	close(p[0]);
	close(p[1]);
}

static void
the_scheduler_tells_of_a_thread(void)
{
	long switches = number_in("/proc/self/sched", "nr_voluntary_switches");

	CHECK_EQ(number_in("/proc/self/sched", "policy"), SCHED_OTHER);
	CHECK_EQ(number_in("/proc/self/sched", "prio"), 120);
	usleep(1000);
	CHECK(number_in("/proc/self/sched", "nr_voluntary_switches") > switches);
	CHECK(number_in("/proc/self/sched", "nr_switches") > switches);
}

static void
unknown_call_is_enosys(void)
{
	CHECK_ERR(syscall(400), ENOSYS);
	CHECK_ERR(syscall(100000), ENOSYS);
	CHECK_ERR(syscall(-1), ENOSYS);
}

static const struct test tests[] = {
    TEST(fork_gives_exit_status),
    TEST(fork_copies_memory),
    TEST(wait_sees_death_by_signal),
    TEST(wait_nohang_and_nowait),
    TEST(stop_and_continue_are_reported),
    TEST(killed_while_stopped),
    TEST(ignored_sigchld_leaves_no_zombie),
    TEST(orphans_go_to_the_subreaper),
    TEST(vfork_shares_memory_until_exit),
    TEST(exec_passes_arguments_and_closes),
    TEST(exec_errors),
    TEST(exec_huge_arguments),
    TEST(exec_runs_scripts),
    TEST(groups_and_sessions),
    TEST(kill_a_group),
    TEST(ids_and_capabilities),
    TEST(limits),
    TEST(names),
    TEST(times_add_up),
    TEST(descriptors),
    TEST(clone_shares_what_it_says),
    TEST(many_children),
    TEST(wait_tells_the_oldest_first),
    TEST(a_late_subreaper_gets_older_orphans),
    TEST(all_stand_in_proc_in_order),
    TEST(owners_of_descriptors),
    TEST(reads_and_writes_are_counted),
    TEST(the_scheduler_tells_of_a_thread),
    TEST(unknown_call_is_enosys),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "--exec-check"))
		return exec_check(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "--script-check"))
		return script_check(argc, argv);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
