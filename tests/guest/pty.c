/*
 * Pseudo terminals: pairs made by /dev/ptmx, the devpts file system, packet mode, and what each end sees
 * when the other goes. pty_job.c has what sessions see.
 */
#define _GNU_SOURCE
#include "tests/guest/pty_util.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* ---- Names and the lock */

static void
a_pair_has_a_number_and_a_node(void)
{
	int m = open_master(0), n = number_of(m), s;
	struct stat st, fst;
	struct statfs fs;
	char link[64], to[64] = "";

	CHECK_EQ(stat(slave_name(m), &st), 0);
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(major(st.st_rdev), 136);
	CHECK_EQ(minor(st.st_rdev), n);
	CHECK_EQ(st.st_ino, n + 3);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(statfs(slave_name(m), &fs), 0);
	CHECK_EQ(fs.f_type, 0x1cd1);
	s = open_slave(m, 0);
	CHECK_EQ(fstat(s, &fst), 0);
	CHECK_EQ(fst.st_ino, st.st_ino);
	CHECK_EQ(fst.st_dev, st.st_dev);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", s);
	CHECK(readlink(link, to, sizeof(to) - 1) > 0);
	CHECK_EQ(strcmp(to, slave_name(m)), 0);
	CHECK(isatty(s));
	CHECK(isatty(m));
	CHECK_EQ(fstat(m, &fst), 0);
	CHECK_EQ(major(fst.st_rdev), 5);
	CHECK_EQ(minor(fst.st_rdev), 2);
	close(m);
}

static void
numbers_are_the_lowest_free(void)
{
	int a = open_master(0), b = open_master(0), n = number_of(a), c;

	CHECK(number_of(b) > n);
	close(a);
	c = open_master(0);
	CHECK_EQ(number_of(c), n);
}

static void
a_number_stays_taken_while_the_slave_is_open(void)
{
	int a = open_master(0), n = number_of(a), s = open_slave(a, 0), b;
	char name[32];

	strcpy(name, slave_name(a));
	close(a);
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), ENOENT);
	b = open_master(0);
	CHECK(number_of(b) != n);
	close(s);
	close(b);
}

static void
a_slave_is_locked_at_first(void)
{
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY), on = 1, off = 0, state = -1;

	CHECK(m >= 0);
	CHECK_EQ(ioctl(m, TIOCGPTLCK, &state), 0);
	CHECK_EQ(state, 1);
	CHECK_ERR(open(slave_name(m), O_RDWR | O_NOCTTY), EIO);
	CHECK_EQ(ioctl(m, TIOCSPTLCK, &off), 0);
	CHECK_EQ(ioctl(m, TIOCGPTLCK, &state), 0);
	CHECK_EQ(state, 0);
	close(open_slave(m, 0));
	CHECK_EQ(ioctl(m, TIOCSPTLCK, &on), 0);
	CHECK_ERR(open(slave_name(m), O_RDWR | O_NOCTTY), EIO);
	CHECK_ERR(ioctl(m, TIOCSPTLCK, NULL), EFAULT);
	CHECK_ERR(ioctl(m, TIOCGPTN, NULL), EFAULT);
}

static void
the_slave_knows_no_master_calls(void)
{
	int m = open_master(0), s = open_slave(m, 0), v = 0;

	CHECK_ERR(ioctl(s, TIOCGPTN, &v), ENOTTY);
	CHECK_ERR(ioctl(s, TIOCSPTLCK, &v), ENOTTY);
	CHECK_ERR(ioctl(s, TIOCPKT, &v), ENOTTY);
	CHECK_ERR(ioctl(s, TIOCGPTPEER, O_RDWR), EIO);
}

/* System V's structure: the low half of each flag, the first eight characters. */
static void
old_attributes(void)
{
	enum { GETA = 0x5405, SETA, SETAW, SETAF };
	struct {
		uint16_t iflag, oflag, cflag, lflag;
		uint8_t line, cc[8];
	} old;
	int m = open_master(0), s = open_slave(m, 0);
	struct termios t, after;

	CHECK_EQ(tcgetattr(s, &t), 0);
	CHECK_EQ(ioctl(s, GETA, &old), 0);
	CHECK_EQ(old.iflag, t.c_iflag & 0xffff);
	CHECK_EQ(old.lflag, t.c_lflag & 0xffff);
	CHECK_EQ(old.cc[VERASE], t.c_cc[VERASE]);
	old.lflag &= ~(ECHO | ICANON);
	old.cc[VINTR] = 7;
	CHECK_EQ(ioctl(s, SETA, &old), 0);
	CHECK_EQ(tcgetattr(s, &after), 0);
	CHECK_EQ(after.c_lflag, t.c_lflag & ~(ECHO | ICANON));
	CHECK_EQ(after.c_cc[VINTR], 7);
	CHECK_EQ(after.c_cc[VSUSP], t.c_cc[VSUSP]);
	CHECK_EQ(ioctl(s, SETAW, &old), 0);
	CHECK_EQ(ioctl(s, SETAF, &old), 0);
	CHECK_ERR(ioctl(s, SETA, 1), EFAULT);
}

static void
locked_attributes_stay(void)
{
	enum { GETLOCK = 0x5456, SETLOCK = 0x5457, GETSOFT = 0x5419, SETSOFT = 0x541a };
	struct {
		uint32_t iflag, oflag, cflag, lflag;
		uint8_t line, cc[19];
	} lock;
	int m = open_master(0), s = open_slave(m, 0), v = -1;
	struct termios t;

	CHECK_EQ(ioctl(s, GETLOCK, &lock), 0);
	CHECK_EQ(lock.iflag | lock.oflag | lock.cflag | lock.lflag, 0);
	lock.lflag = ECHO;
	lock.cc[VINTR] = 1;
	CHECK_EQ(ioctl(s, SETLOCK, &lock), 0);
	CHECK_EQ(tcgetattr(s, &t), 0);
	t.c_lflag &= ~(ECHO | ECHOE);
	t.c_cc[VINTR] = t.c_cc[VQUIT] = 9;
	CHECK_EQ(tcsetattr(s, TCSANOW, &t), 0);
	CHECK_EQ(tcgetattr(s, &t), 0);
	CHECK_EQ(t.c_lflag & (ECHO | ECHOE), ECHO);
	CHECK_EQ(t.c_cc[VINTR], 3);
	CHECK_EQ(t.c_cc[VQUIT], 9);
	CHECK_EQ(ioctl(s, GETSOFT, &v), 0);
	CHECK_EQ(v, !!(t.c_cflag & CLOCAL));
	v = 1;
	CHECK_EQ(ioctl(s, SETSOFT, &v), 0);
	CHECK_EQ(tcgetattr(s, &t), 0);
	CHECK(t.c_cflag & CLOCAL);
}

static void
a_peer_is_opened_without_a_path(void)
{
	int m = open_master(0), s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct stat a, b;

	CHECK(s >= 0);
	CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(s, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fstat(s, &a), 0);
	CHECK_EQ(stat(slave_name(m), &b), 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	set_raw(s);
	put(m, "x");
	expect(s, "x");
}

/* ---- Data */

static void
data_goes_both_ways(void)
{
	int m = open_master(0), s = open_slave(m, 0);

	put(m, "hello\n");
	expect(s, "hello\n");
	expect(m, "hello\r\n"); /* the echo */
	put(s, "answer\n");
	expect(m, "answer\r\n");
	set_raw(s);
	put(m, "a\003\004");
	expect(s, "a\003\004");
	put(s, "b\n");
	expect(m, "b\n");
}

static void
input_waits_for_the_first_open(void)
{
	int m = open_master(0), s;

	put(m, "early\n");
	s = open_slave(m, 0);
	expect(s, "early\n");
}

static void
an_end_of_file_is_typed(void)
{
	int m = open_master(0), s = open_slave(m, 0);
	char c[8];

	put(m, "\004");
	CHECK_EQ(read(s, c, sizeof(c)), 0);
	put(m, "ab\004");
	CHECK_EQ(read(s, c, sizeof(c)), 2);
}

static void
reads_do_not_wait_when_told(void)
{
	int m = open_master(O_NONBLOCK), s = open_slave(m, O_NONBLOCK);
	char c;

	CHECK_ERR(read(m, &c, 1), EAGAIN);
	CHECK_ERR(read(s, &c, 1), EAGAIN);
	CHECK_EQ(events(m, POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLOUT);
	put(m, "x");
	CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLOUT); /* not a line yet */
	put(m, "\n");
	CHECK_EQ(events(s, POLLIN | POLLOUT, 1000), POLLIN | POLLOUT);
	CHECK_EQ(events(m, POLLIN | POLLOUT, 1000), POLLIN | POLLOUT);
}

static void
writers_stop_when_nobody_reads(void)
{
	int m = open_master(O_NONBLOCK), s = open_slave(m, O_NONBLOCK), total = 0,
	    back = 0;
	char buf[1000];
	ssize_t n;

	memset(buf, 'x', sizeof(buf));
	set_raw(s);
	while ((n = write(s, buf, sizeof(buf))) > 0)
		CHECK((total += (int)n) < 1000000);
	CHECK_EQ(errno, EAGAIN);
	CHECK(total >= 4096);
	CHECK_EQ(events(s, POLLOUT, 0), 0);
	while (events(m, POLLIN, 200) == POLLIN && (n = read(m, buf, sizeof(buf))) > 0)
		back += (int)n;
	CHECK_EQ(back, total);
	CHECK_EQ(events(s, POLLOUT, 1000), POLLOUT);

	total = back = 0;
	while ((n = write(m, buf, sizeof(buf))) > 0)
		CHECK((total += (int)n) < 1000000);
	CHECK_EQ(errno, EAGAIN);
	CHECK(total >= 4095);
	while (events(s, POLLIN, 200) == POLLIN && (n = read(s, buf, sizeof(buf))) > 0)
		back += (int)n;
	CHECK_EQ(back, total);
	CHECK_EQ(events(m, POLLOUT, 1000), POLLOUT);
}

static void
a_blocked_writer_goes_on(void)
{
	enum { TOTAL = 100000 };
	int m = open_master(0), s = open_slave(m, 0), status, got = 0;
	char buf[5000];
	pid_t pid;

	set_raw(s);
	pid = fork();
	if (pid == 0) {
		memset(buf, 'y', sizeof(buf));
		for (int i = 0; i < TOTAL; i += (int)sizeof(buf))
			if (write(m, buf, sizeof(buf)) != sizeof(buf))
				_exit(1);
		_exit(0);
	}
	while (got < TOTAL) {
		ssize_t n = read(s, buf, sizeof(buf));

		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			CHECK(buf[i] == 'y');
		got += (int)n;
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
an_overlong_line_does_not_block_the_master(void)
{
	int m = open_master(O_NONBLOCK), s = open_slave(m, O_NONBLOCK), n = 0;
	struct termios t;
	char buf[5000];

	CHECK_EQ(tcgetattr(s, &t), 0);
	t.c_lflag &= ~(tcflag_t)ECHO;
	CHECK_EQ(tcsetattr(s, TCSANOW, &t), 0);
	memset(buf, 'z', sizeof(buf));
	for (int i = 0; i < 20; i++) {
		ssize_t w = write(m, buf, 1000);

		CHECK(w > 0 || errno == EAGAIN);
		n += w > 0 ? (int)w : 0;
		sleep_ms(2);
	}
	CHECK_EQ(n, 20000);
	put(m, "\n");
	CHECK_EQ(events(s, POLLIN, 1000), POLLIN);
	CHECK_EQ(read(s, buf, sizeof(buf)), 4096);
	CHECK_EQ(buf[4095], '\n');
}

static void
counts_are_told(void)
{
	int m = open_master(0), s = open_slave(m, 0), n = -1;

	set_raw(s);
	put(m, "abc");
	CHECK_EQ(events(s, POLLIN, 1000), POLLIN);
	CHECK_EQ(ioctl(s, FIONREAD, &n), 0);
	CHECK_EQ(n, 3);
	put(s, "hello");
	CHECK_EQ(events(m, POLLIN, 1000), POLLIN);
	CHECK_EQ(ioctl(m, FIONREAD, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(ioctl(s, TIOCOUTQ, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(tcflush(s, TCIFLUSH), 0);
	CHECK_EQ(ioctl(s, FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(tcflush(m, TCIFLUSH), 0);
	CHECK_EQ(ioctl(m, FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(tcdrain(s), 0);
	put(s, "kept"); /* what the reader's side has is not flushed */
	CHECK_EQ(events(m, POLLIN, 1000), POLLIN);
	CHECK_EQ(tcflush(s, TCOFLUSH), 0);
	expect(m, "kept");
}

static void
attributes_and_size_are_shared(void)
{
	int m = open_master(0), s = open_slave(m, 0);
	struct winsize w = {24, 80, 1, 2}, v = {0};
	struct termios t, u;

	CHECK_EQ(ioctl(s, TIOCGWINSZ, &v), 0);
	CHECK_EQ(v.ws_row, 0);
	CHECK_EQ(ioctl(m, TIOCSWINSZ, &w), 0);
	CHECK_EQ(ioctl(s, TIOCGWINSZ, &v), 0);
	CHECK(!memcmp(&v, &w, sizeof(v)));
	CHECK_EQ(tcgetattr(m, &t), 0);
	CHECK_EQ(t.c_iflag, ICRNL | IXON);
	CHECK_EQ(t.c_oflag, OPOST | ONLCR);
	CHECK_EQ(t.c_cflag & (CSIZE | CREAD | HUPCL), CS8 | CREAD);
	CHECK_EQ(
	    t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	CHECK_EQ(cfgetospeed(&t), B38400);
	t.c_lflag &= ~(tcflag_t)ECHO;
	CHECK_EQ(tcsetattr(m, TCSANOW, &t), 0);
	CHECK_EQ(tcgetattr(s, &u), 0);
	CHECK_EQ(u.c_lflag & ECHO, 0);
}

/* ---- The ends go away */

static void
the_master_sees_the_last_slave_close(void)
{
	int m = open_master(0), s;
	char c[8];

	CHECK_EQ(events(m, POLLIN, 0), 0); /* not opened yet is not closed */
	s = open_slave(m, 0);
	put(s, "bye");
	close(s);
	CHECK_EQ(events(m, POLLIN, 1000), POLLIN | POLLHUP);
	CHECK_EQ(read(m, c, sizeof(c)), 3);
	CHECK_ERR(read(m, c, sizeof(c)), EIO);
	CHECK_EQ(events(m, POLLIN | POLLOUT, 0) & POLLHUP, POLLHUP);
	put(m, "on\n"); /* and another may come */
	s = open_slave(m, O_NONBLOCK);
	CHECK_EQ(events(m, POLLHUP, 0), 0);
	CHECK_EQ(events(s, POLLIN, 1000), POLLIN);
	close(m);
}

static void
the_slave_is_hung_up_by_the_master(void)
{
	int m = open_master(0), s = open_slave(m, 0);
	struct termios t;
	pid_t pg = 1;
	char c;

	put(m, "lost\n");
	close(m);
	CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLIN | POLLOUT | POLLERR | POLLHUP);
	CHECK_EQ(read(s, &c, 1), 0);
	CHECK_ERR(write(s, &c, 1), EIO);
	CHECK_ERR(tcgetattr(s, &t), EIO);
	CHECK_ERR(ioctl(s, TIOCSPGRP, &pg), ENOTTY);
	CHECK_EQ(close(s), 0);
}

static void
a_sleeping_reader_is_woken_by_the_hangup(void)
{
	int m = open_master(0), s = open_slave(m, 0), status;
	pid_t pid = fork();
	char c;

	if (pid == 0) {
		close(m);
		_exit(read(s, &c, 1) == -1 && errno == EIO ? 3 : 4);
	}
	sleep_ms(100);
	close(m);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);

	m = open_master(0);
	s = open_slave(m, 0);
	pid = fork();
	if (pid == 0) {
		close(s);
		_exit(read(m, &c, 1) == -1 && errno == EIO ? 5 : 6);
	}
	sleep_ms(100);
	close(s);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 5);
}

/* ---- Packet mode */

static void
expect_packet(int m, int status)
{
	unsigned char c[16];

	CHECK_EQ(events(m, POLLIN | POLLPRI, 1000) & POLLPRI, POLLPRI);
	CHECK_EQ(read(m, c, sizeof(c)), 1);
	CHECK_EQ(c[0], status);
}

static void
packets_tell_of_flow_and_flushes(void)
{
	int m = open_master(0), s = open_slave(m, 0), on = 1, v = -1;
	struct termios t;
	char c[16];

	CHECK_EQ(ioctl(m, TIOCPKT, &on), 0);
	CHECK_EQ(ioctl(m, TIOCGPKT, &v), 0);
	CHECK_EQ(v, 1);
	put(s, "data");
	CHECK_EQ(events(m, POLLIN | POLLPRI, 1000), POLLIN);
	CHECK_EQ(read(m, c, sizeof(c)), 5);
	CHECK(!memcmp(c, "\0data", 5));
	CHECK_EQ(tcflow(s, TCOOFF), 0);
	expect_packet(m, TIOCPKT_STOP);
	CHECK_EQ(tcflow(s, TCOON), 0);
	expect_packet(m, TIOCPKT_START);
	CHECK_EQ(tcflush(s, TCIFLUSH), 0);
	expect_packet(m, TIOCPKT_FLUSHREAD);
	CHECK_EQ(tcflush(s, TCOFLUSH), 0);
	expect_packet(m, TIOCPKT_FLUSHWRITE);
	CHECK_EQ(tcflush(s, TCIOFLUSH), 0);
	expect_packet(m, TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
	CHECK_EQ(tcgetattr(s, &t), 0);
	t.c_iflag &= ~(tcflag_t)IXON;
	CHECK_EQ(tcsetattr(s, TCSANOW, &t), 0);
	expect_packet(m, TIOCPKT_NOSTOP);
	t.c_iflag |= IXON;
	CHECK_EQ(tcsetattr(s, TCSANOW, &t), 0);
	expect_packet(m, TIOCPKT_DOSTOP);
	put(m, "\023"); /* ^S */
	expect_packet(m, TIOCPKT_STOP);
	put(m, "\021");
	expect_packet(m, TIOCPKT_START);
	on = 0;
	CHECK_EQ(ioctl(m, TIOCPKT, &on), 0);
	put(s, "plain");
	expect(m, "plain");
}

static void
an_interrupt_flushes_in_packet_mode(void)
{
	int m = open_master(0), s = open_slave(m, 0), on = 1, n;
	char c[16];

	CHECK_EQ(ioctl(m, TIOCPKT, &on), 0);
	put(m, "typed");
	CHECK_EQ(events(m, POLLIN, 1000), POLLIN);
	CHECK_EQ(read(m, c, sizeof(c)), 6);
	put(m, "\003");
	expect_packet(m, TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
	CHECK_EQ(ioctl(s, FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
}

/* ---- The file system */

static void
mounted(const char *options, char *dir)
{
	strcpy(dir, "/tmp/ptyXXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(mount("devpts", dir, "devpts", 0, options), 0);
}

static void
each_mount_is_an_instance_of_its_own(void)
{
	char dir[32], name[64];
	struct stat st, other;
	int m, s, off = 0;

	mounted("mode=640,gid=5,uid=7,ptmxmode=666", dir);
	snprintf(name, sizeof(name), "%s/ptmx", dir);
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode, S_IFCHR | 0666);
	CHECK_EQ(st.st_rdev, makedev(5, 2));
	CHECK_EQ(st.st_ino, 2);
	m = open(name, O_RDWR | O_NOCTTY);
	CHECK(m >= 0);
	CHECK_EQ(number_of(m), 0);
	CHECK_EQ(ioctl(m, TIOCSPTLCK, &off), 0);
	snprintf(name, sizeof(name), "%s/0", dir);
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode, S_IFCHR | 0640);
	CHECK_EQ(st.st_gid, 5);
	CHECK_EQ(st.st_uid, 7);
	CHECK_EQ(chmod(name, 0600), 0);
	CHECK_EQ(chown(name, 1, 2), 0);
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode, S_IFCHR | 0600);
	CHECK_EQ(st.st_uid, 1);
	s = open(name, O_RDWR | O_NOCTTY);
	CHECK(s >= 0);
	put(s, "there");
	expect(m, "there");
	CHECK_EQ(stat("/dev/pts", &other), 0);
	CHECK(other.st_dev != st.st_dev);
	CHECK_ERR(unlink(name), EPERM);
	snprintf(name, sizeof(name), "%s/new", dir);
	CHECK_EQ(mkdir(name, 0755), -1);
	CHECK_ERR(umount2(dir, 0), EBUSY);
	close(s);
	close(m);
	CHECK_EQ(umount2(dir, 0), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static void
the_default_modes_are_narrow(void)
{
	char dir[32], name[64];
	struct stat st;

	mounted("", dir);
	snprintf(name, sizeof(name), "%s/ptmx", dir);
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode, S_IFCHR | 0);
	CHECK_EQ(stat(dir, &st), 0);
	CHECK_EQ(st.st_mode, S_IFDIR | 0755);
	CHECK_EQ(umount2(dir, 0), 0);
	CHECK_ERR(mount("devpts", dir, "devpts", 0, "nonsense"), EINVAL);
	CHECK_EQ(rmdir(dir), 0);
}

static void
an_instance_has_its_limit(void)
{
	char dir[32], name[64];
	int a, b;

	mounted("max=2", dir);
	snprintf(name, sizeof(name), "%s/ptmx", dir);
	a = open(name, O_RDWR | O_NOCTTY);
	b = open(name, O_RDWR | O_NOCTTY);
	CHECK(a >= 0 && b >= 0);
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), ENOSPC);
	close(a);
	CHECK_EQ(number_of(open(name, O_RDWR | O_NOCTTY)), 0);
	CHECK_EQ(umount2(dir, MNT_DETACH), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static void
a_device_number_elsewhere_opens_nothing(void)
{
	char dir[] = "/tmp/ptyXXXXXX", name[64];
	int m = open_master(0);

	CHECK(mkdtemp(dir) != NULL);
	snprintf(name, sizeof(name), "%s/slave", dir);
	CHECK_EQ(mknod(name, S_IFCHR | 0600, makedev(136, number_of(m))), 0);
	CHECK(open(name, O_RDWR | O_NOCTTY) < 0);
	CHECK(errno == EIO || errno == ENODEV || errno == ENXIO);
	CHECK_EQ(unlink(name), 0);
	/* A ptmx without a devpts beside it leads nowhere. */
	CHECK_EQ(mknod(name, S_IFCHR | 0600, makedev(5, 2)), 0);
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), ENOENT);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static int
read_number(const char *path)
{
	char buf[32];

	slurp(path, buf, sizeof(buf));
	return atoi(buf);
}

static void
proc_counts_them(void)
{
	int before = read_number("/proc/sys/kernel/pty/nr"), m = open_master(0);
	char text[4096];

	CHECK_EQ(read_number("/proc/sys/kernel/pty/nr"), before + 1);
	close(m);
	CHECK_EQ(read_number("/proc/sys/kernel/pty/nr"), before);
	CHECK_EQ(read_number("/proc/sys/kernel/pty/reserve"), 1024);
	CHECK(read_number("/proc/sys/kernel/pty/max") >= 4096);
	slurp("/proc/tty/drivers", text, sizeof(text));
	CHECK(strstr(
	    text, "\npty_slave            /dev/pts      136 0-1048575 pty:slave\n"));
	CHECK(strstr(
	    text, "\npty_master           /dev/ptm      128 0-1048575 pty:master\n"));
}

static void
many_pairs_come_and_go(void)
{
	enum { N = 200 };
	int m[N];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			m[i] = open_master(0);
			close(open_slave(m[i], 0));
		}
		for (int i = 0; i < N; i++)
			close(m[i * 7 % N]);
	}
}

static const struct test tests[] = {
    TEST(a_pair_has_a_number_and_a_node),
    TEST(numbers_are_the_lowest_free),
    TEST(a_number_stays_taken_while_the_slave_is_open),
    TEST(a_slave_is_locked_at_first),
    TEST(the_slave_knows_no_master_calls),
    TEST(old_attributes),
    TEST(locked_attributes_stay),
    TEST(a_peer_is_opened_without_a_path),
    TEST(data_goes_both_ways),
    TEST(input_waits_for_the_first_open),
    TEST(an_end_of_file_is_typed),
    TEST(reads_do_not_wait_when_told),
    TEST(writers_stop_when_nobody_reads),
    TEST(a_blocked_writer_goes_on),
    TEST(an_overlong_line_does_not_block_the_master),
    TEST(counts_are_told),
    TEST(attributes_and_size_are_shared),
    TEST(the_master_sees_the_last_slave_close),
    TEST(the_slave_is_hung_up_by_the_master),
    TEST(a_sleeping_reader_is_woken_by_the_hangup),
    TEST(packets_tell_of_flow_and_flushes),
    TEST(an_interrupt_flushes_in_packet_mode),
    TEST(each_mount_is_an_instance_of_its_own),
    TEST(the_default_modes_are_narrow),
    TEST(an_instance_has_its_limit),
    TEST(a_device_number_elsewhere_opens_nothing),
    TEST(proc_counts_them),
    TEST(many_pairs_come_and_go),
};

RUN_TESTS(tests)
