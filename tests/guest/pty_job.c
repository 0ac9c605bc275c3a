/* Pseudo terminals as controlling terminals: sessions, job control, signals, hang-ups. */
#define _GNU_SOURCE
#include "tests/guest/pty_util.h"

/* ---- Controlling terminals */

static volatile sig_atomic_t seen[NSIG];

static void
on_signal(int sig)
{
	seen[sig]++;
}

static void
catch_signal(int sig)
{
	struct sigaction sa = {.sa_handler = on_signal};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

static void
await(int sig)
{
	for (int i = 0; i < 200 && !seen[sig]; i++)
		sleep_ms(10);
	CHECK(seen[sig] > 0);
}

static void
tell(int fd, char c)
{
	CHECK_EQ(write(fd, &c, 1), 1);
}

static void
hear(int fd, char c)
{
	char got = 0;

	CHECK_EQ(read(fd, &got, 1), 1);
	CHECK_EQ(got, c);
}

/* Runs `leader` in a child that is a session of its own; the exit status is its. */
static pid_t
start_session(int m, int talk[2], void (*leader)(int m, int talk))
{
	int back[2];
	pid_t pid;

	CHECK_EQ(pipe(back), 0);
	talk[0] = back[0];
	talk[1] = back[1];
	pid = fork();
	if (pid == 0) {
		CHECK(setsid() > 0);
		leader(m, back[1]);
		_exit(0);
	}
	return pid;
}

static int
reap(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void
takes_by_open(int m, int talk)
{
	pid_t pg = 0;
	int s, tty;

	CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	s = open_slave(m, 0);
	CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO); /* O_NOCTTY */
	CHECK_ERR(ioctl(s, TIOCGPGRP, &pg), ENOTTY);
	CHECK_ERR(ioctl(s, TIOCGSID, &pg), ENOTTY);
	close(s);
	s = open(slave_name(m), O_RDWR);
	CHECK(s >= 0);
	CHECK_EQ(ioctl(s, TIOCGSID, &pg), 0);
	CHECK_EQ(pg, getpid());
	CHECK_EQ(ioctl(s, TIOCGPGRP, &pg), 0);
	CHECK_EQ(pg, getpid());
	pg = 0;
	CHECK_EQ(ioctl(m, TIOCGPGRP, &pg), 0); /* the master is told too */
	CHECK_EQ(pg, getpid());
	tty = open("/dev/tty", O_RDWR);
	CHECK(tty >= 0);
	put(tty, "via tty");
	expect(m, "via tty");
	tell(talk, 'k');
}

static void
opening_gives_a_controlling_terminal(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, takes_by_open);

	hear(talk[0], 'k');
	CHECK_EQ(reap(pid), 0);
}

static void
a_write_only_open_does_not(void)
{
	int m = open_master(0), s;
	pid_t pg;

	CHECK(setsid() > 0 || getpid() == getsid(0));
	s = open(slave_name(m), O_WRONLY);
	CHECK(s >= 0);
	CHECK_ERR(ioctl(s, TIOCGPGRP, &pg), ENOTTY);
	CHECK(open("/dev/ptmx", O_RDWR) >= 0); /* nor does a master */
	CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
}

static void
takes_by_ioctl(int m, int talk)
{
	int s = open_slave(m, 0);
	pid_t pg;

	CHECK_EQ(ioctl(s, TIOCSCTTY, 0), 0);
	CHECK_EQ(ioctl(s, TIOCSCTTY, 0), 0); /* again is no error */
	CHECK_EQ(ioctl(s, TIOCGPGRP, &pg), 0);
	CHECK_EQ(pg, getpid());
	CHECK_ERR(
	    ioctl(open_slave(open_master(0), 0), TIOCSCTTY, 0), EPERM); /* a second one */
	tell(talk, 'k');
	sleep_ms(10000);
}

static void
a_terminal_is_one_sessions(void)
{
	int m = open_master(0), s = open_slave(m, 0), talk[2];
	pid_t pid = start_session(m, talk, takes_by_ioctl), other;

	hear(talk[0], 'k');
	other = fork();
	if (other == 0) {
		CHECK_ERR(ioctl(s, TIOCSCTTY, 0), EPERM); /* not a leader */
		CHECK(setsid() > 0);
		CHECK_ERR(ioctl(s, TIOCSCTTY, 0), EPERM);
		CHECK_EQ(ioctl(s, TIOCSCTTY, 1), 0); /* root may steal */
		_exit(7);
	}
	CHECK_EQ(WEXITSTATUS(reap(other)), 7);
	kill(pid, SIGKILL);
	reap(pid);
}

static void
waits_for_signals(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR);

	CHECK(s >= 0);
	close(m);
	catch_signal(SIGINT);
	catch_signal(SIGQUIT);
	catch_signal(SIGTSTP);
	catch_signal(SIGWINCH);
	tell(talk, 'k');
	await(SIGINT);
	await(SIGQUIT);
	await(SIGTSTP);
	await(SIGWINCH);
	tell(talk, 'd');
}

static void
typed_characters_and_sizes_become_signals(void)
{
	int m = open_master(0), talk[2], sig = SIGINT;
	struct winsize w = {30, 90, 0, 0};
	pid_t pid = start_session(m, talk, waits_for_signals);

	hear(talk[0], 'k');
	put(m, "\003");
	put(m, "\034");
	CHECK_EQ(ioctl(m, TIOCSIG, SIGTSTP), 0);
	CHECK_ERR(ioctl(m, TIOCSIG, SIGKILL), EINVAL);
	CHECK_EQ(ioctl(m, TIOCSWINSZ, &w), 0);
	CHECK_EQ(sig, SIGINT);
	hear(talk[0], 'd');
	CHECK_EQ(reap(pid), 0);
}

static void
waits_for_hangup(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR);
	char c;

	CHECK(s >= 0);
	close(m);
	catch_signal(SIGHUP);
	catch_signal(SIGCONT);
	tell(talk, 'k');
	await(SIGHUP);
	await(SIGCONT);
	CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	CHECK_EQ(read(s, &c, 1), 0);
	tell(talk, 'd');
}

static void
closing_the_master_hangs_the_session_up(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, waits_for_hangup);

	hear(talk[0], 'k');
	close(m);
	hear(talk[0], 'd');
	CHECK_EQ(reap(pid), 0);
}

/* A shell with a job in the foreground: the job is told when the leader goes. */
static void
leads_a_job(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR), sync[2];
	pid_t job;

	CHECK(s >= 0);
	CHECK_EQ(pipe(sync), 0);
	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (job == 0) {
		pid_t pg;

		signal(SIGTTOU, SIG_DFL);
		close(m);
		catch_signal(SIGHUP);
		CHECK_EQ(setpgid(0, 0), 0);
		hear(sync[0], 'f');
		tell(talk, 'j');
		await(SIGHUP);
		/* It controls nothing any more, but works on: a pty is not hung up. */
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		CHECK_ERR(ioctl(s, TIOCGPGRP, &pg), ENOTTY);
		put(s, "still here");
		CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLOUT);
		tell(talk, 'h');
		_exit(0);
	}
	setpgid(job, job);
	CHECK_EQ(tcsetpgrp(s, job), 0);
	tell(sync[1], 'f');
	sleep_ms(200);
	_exit(0);
}

static void
the_leaders_end_frees_the_terminal(void)
{
	int m = open_master(0), talk[2], s;
	pid_t pid = start_session(m, talk, leads_a_job);
	char c;

	hear(talk[0], 'j');
	CHECK_EQ(reap(pid), 0);
	hear(talk[0], 'h');
	expect(m, "still here");
	for (int i = 0; i < 100 && !(events(m, POLLIN, 0) & POLLHUP); i++)
		sleep_ms(10);
	CHECK_ERR(read(m, &c, 1), EIO);
	s = open_slave(m, 0); /* the pair lives on */
	put(s, "again");
	expect(m, "again");
}

static void
job_outlives_the_shell(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR);
	pid_t job;

	CHECK(s >= 0);
	signal(SIGTTOU, SIG_IGN);
	catch_signal(SIGHUP);
	job = fork();
	if (job == 0) {
		close(m);
		CHECK_EQ(setpgid(0, 0), 0);
		tell(talk, 'j');
		await(SIGHUP);
		tell(talk, 'h');
		_exit(0);
	}
	setpgid(job, job);
	CHECK_EQ(tcsetpgrp(s, job), 0);
	close(m);
	tell(talk, 'l');
	await(SIGHUP);
	sleep_ms(100);
	tell(talk, 'e');
	_exit(0); /* now the job that was in the foreground hears of it */
}

static void
after_a_hangup_the_old_foreground_is_told_at_the_leaders_end(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, job_outlives_the_shell);
	char a, b;

	CHECK_EQ(read(talk[0], &a, 1), 1);
	CHECK_EQ(read(talk[0], &b, 1), 1);
	CHECK(a + b == 'j' + 'l');
	close(m);
	hear(talk[0], 'e');
	CHECK_EQ(reap(pid), 0);
	hear(talk[0], 'h');
}

static void
background_is_stopped(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR), status;
	struct termios t;
	pid_t job;

	CHECK(s >= 0);
	close(m);
	job = fork();
	if (job == 0) {
		char c;

		CHECK_EQ(setpgid(0, 0), 0);
		CHECK_EQ(tcgetattr(s, &t), 0);
		CHECK_EQ(write(s, "w", 1), 1); /* no TOSTOP */
		CHECK_EQ(read(s, &c, 1), 1);   /* SIGTTIN, and after SIGCONT the byte */
		CHECK_EQ(tcsetattr(s, TCSANOW, &t), 0); /* SIGTTOU */
		_exit(9);
	}
	setpgid(job, job);
	CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), SIGTTIN);
	CHECK_EQ(tcsetpgrp(s, job), 0);
	kill(-job, SIGCONT);
	tell(talk, 'r');
	sleep_ms(200); /* it reads */
	signal(SIGTTOU, SIG_IGN);
	CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 9);
	CHECK_EQ(tcsetpgrp(s, getpid()), 0);
	tell(talk, 'd');
}

static void
job_control_stops_the_background(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, background_is_stopped);

	hear(talk[0], 'r');
	put(m, "x\n");
	hear(talk[0], 'd');
	CHECK_EQ(reap(pid), 0);
}

static void
gives_it_up(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR);
	pid_t pg;

	CHECK(s >= 0);
	catch_signal(SIGHUP);
	catch_signal(SIGCONT);
	CHECK_EQ(ioctl(s, TIOCNOTTY), 0);
	await(SIGHUP);
	await(SIGCONT);
	CHECK_ERR(ioctl(s, TIOCGPGRP, &pg), ENOTTY);
	CHECK_ERR(ioctl(s, TIOCNOTTY), ENOTTY);
	put(s, "still open");
	expect(m, "still open");
	tell(talk, 'k');
}

static void
a_leader_gives_the_terminal_up(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, gives_it_up);

	hear(talk[0], 'k');
	CHECK_EQ(reap(pid), 0);
}

static void
hangs_itself_up(int m, int talk)
{
	int s = open(slave_name(m), O_RDWR);
	char c;

	CHECK(s >= 0);
	signal(SIGHUP, SIG_IGN);
	CHECK_EQ(vhangup(), 0);
	CHECK_EQ(read(s, &c, 1), 0);
	CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	close(s);
	s = open(slave_name(m), O_RDWR); /* it may be had again */
	CHECK(s >= 0);
	put(s, "new");
	expect(m, "new");
	CHECK_EQ(setgid(1), 0);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(vhangup(), EPERM);
	tell(talk, 'k');
}

static void
vhangup_clears_a_terminal(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, hangs_itself_up);

	hear(talk[0], 'k');
	CHECK_EQ(reap(pid), 0);
}

static void
says_its_terminal(int m, int talk)
{
	char path[64], text[1024], *p;
	int s = open(slave_name(m), O_RDWR), nr = 0, tpgid = 0;

	CHECK(s >= 0);
	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	slurp(path, text, sizeof(text));
	p = strrchr(text, ')');
	CHECK(p != NULL);
	CHECK_EQ(sscanf(p, ") %*c %*d %*d %*d %d %d", &nr, &tpgid), 2);
	CHECK_EQ(nr, 136 << 8 | number_of(m));
	CHECK_EQ(tpgid, getpid());
	tell(talk, 'k');
}

static void
stat_names_the_terminal(void)
{
	int m = open_master(0), talk[2];
	pid_t pid = start_session(m, talk, says_its_terminal);

	hear(talk[0], 'k');
	CHECK_EQ(reap(pid), 0);
}

static const struct test tests[] = {
    TEST(opening_gives_a_controlling_terminal),
    TEST(a_write_only_open_does_not),
    TEST(a_terminal_is_one_sessions),
    TEST(typed_characters_and_sizes_become_signals),
    TEST(closing_the_master_hangs_the_session_up),
    TEST(the_leaders_end_frees_the_terminal),
    TEST(after_a_hangup_the_old_foreground_is_told_at_the_leaders_end),
    TEST(job_control_stops_the_background),
    TEST(a_leader_gives_the_terminal_up),
    TEST(vhangup_clears_a_terminal),
    TEST(stat_names_the_terminal),
};

RUN_TESTS(tests)
