/* AF_UNIX: names, streams, connections. */
#define _GNU_SOURCE
#include "tests/guest/unix_util.h"

#include <sys/epoll.h>
#include <sys/sendfile.h>

enum { SIOCINQ_ = 0x541b, SIOCOUTQ_ = 0x5411 };

/* ---- Creating ------------------------------------------------------------------------ */

static void
socket_checks_its_arguments(void)
{
	int sv[2], fd;
	int type;
	socklen_t len = sizeof(type);

	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_UNIX, 99, 0), EINVAL);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM | 0x100, 0, sv), EINVAL);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 7, sv), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL), EFAULT);
	fd = socket(AF_UNIX, SOCK_RAW, AF_UNIX);
	CHECK(fd >= 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	CHECK_EQ(type, SOCK_DGRAM);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &len), 0);
	CHECK_EQ(type, AF_UNIX);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &type, &len), 0);
	CHECK_EQ(type, 0);
	CHECK_EQ(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	CHECK_EQ(fcntl(sv[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(sv[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static void
fstat_says_socket(void)
{
	struct stat a, b;
	int sv[2];

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(fstat(sv[0], &a), 0);
	CHECK_EQ(fstat(sv[1], &b), 0);
	CHECK(S_ISSOCK(a.st_mode));
	CHECK(a.st_ino != b.st_ino);
	CHECK_ERR(lseek(sv[0], 0, SEEK_SET), ESPIPE);
}

/* ---- Names ---------------------------------------------------------------------------- */

static struct name
name_of(int fd, bool is_peer)
{
	struct name n;

	memset(&n, 0xee, sizeof(n));
	n.len = sizeof(n.un);
	CHECK_EQ((is_peer ? getpeername : getsockname)(fd, (void *)&n.un, &n.len), 0);
	return n;
}

static void
names_have_the_lengths_of_linux(void)
{
	struct name n, got;
	char longest[128];
	int fd = unix_socket(SOCK_STREAM);

	got = name_of(fd, false);
	CHECK_EQ(got.len, PATH_AT);
	CHECK_EQ(got.un.sun_family, AF_UNIX);
	/* The NUL is counted whether it was given or not. */
	n = path_name("/tmp/unix-len");
	unlink("/tmp/unix-len");
	n.len--;
	CHECK_EQ(bind_to(fd, n), 0);
	got = name_of(fd, false);
	CHECK_EQ(got.len, PATH_AT + 14);
	CHECK_EQ(strcmp(got.un.sun_path, "/tmp/unix-len"), 0);
	unlink("/tmp/unix-len");
	/* And what stands behind it is not. */
	fd = unix_socket(SOCK_STREAM);
	n = path_name("/tmp/unix-len");
	n.len = sizeof(n.un);
	CHECK_EQ(bind_to(fd, n), 0);
	CHECK_EQ(name_of(fd, false).len, PATH_AT + 14);
	unlink("/tmp/unix-len");
	/* A path that fills all of sun_path has no NUL in it: one more is told. */
	fd = unix_socket(SOCK_STREAM);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "/tmp/", 5);
	n.un.sun_family = AF_UNIX;
	memcpy(n.un.sun_path, longest, sizeof(n.un.sun_path));
	n.len = sizeof(n.un);
	CHECK_EQ(bind_to(fd, n), 0);
	CHECK_EQ(name_of(fd, false).len, sizeof(n.un) + 1);
	longest[sizeof(n.un.sun_path)] = 0;
	CHECK_EQ(unlink(longest), 0);
	/* Abstract ones have all their bytes. */
	fd = unix_socket(SOCK_STREAM);
	n = abstract_name("a\0b");
	n.len += 3;
	CHECK_EQ(bind_to(fd, n), 0);
	got = name_of(fd, false);
	CHECK_EQ(got.len, n.len);
	CHECK_EQ(memcmp(&got.un, &n.un, n.len), 0);
	/* Cut where there is less room, with the whole length told. */
	got.len = 4;
	CHECK_EQ(getsockname(fd, (void *)&got.un, &got.len), 0);
	CHECK_EQ(got.len, n.len);
	CHECK_ERR(getpeername(fd, (void *)&got.un, &got.len), ENOTCONN);
}

static void
bind_refuses_what_it_must(void)
{
	int fd = unix_socket(SOCK_STREAM), other = unix_socket(SOCK_STREAM);
	struct name n = path_name("/tmp/unix-bind"), a = abstract_name("bind");

	unlink("/tmp/unix-bind");
	n.un.sun_family = AF_INET;
	CHECK_ERR(bind_to(fd, n), EINVAL);
	n.un.sun_family = AF_UNIX;
	CHECK_ERR(bind(fd, (void *)&n.un, 1), EINVAL);
	CHECK_ERR(bind(fd, (void *)&n.un, sizeof(n.un) + 1), EINVAL);
	CHECK_ERR(bind(fd, (void *)8, sizeof(n.un)), EFAULT);
	CHECK_ERR(bind_to(fd, path_name("/tmp/no-such-dir/x")), ENOENT);
	CHECK_ERR(bind_to(fd, path_name("/tmp/")), EADDRINUSE);
	CHECK_EQ(bind_to(fd, n), 0);
	CHECK_ERR(bind_to(other, n), EADDRINUSE);
	CHECK_ERR(bind_to(fd, n), EADDRINUSE);
	CHECK_ERR(bind_to(fd, path_name("/tmp/unix-bind2")), EINVAL);
	CHECK_ERR(access("/tmp/unix-bind2", F_OK), ENOENT);
	CHECK_ERR(bind_to(fd, a), EINVAL);
	CHECK_EQ(bind_to(other, a), 0);
	fd = unix_socket(SOCK_STREAM);
	CHECK_ERR(bind_to(fd, a), EADDRINUSE);
	/* Types have name spaces of their own. */
	fd = unix_socket(SOCK_DGRAM);
	CHECK_EQ(bind_to(fd, a), 0);
	/* An abstract name goes with its socket. */
	close(other);
	other = unix_socket(SOCK_STREAM);
	CHECK_EQ(bind_to(other, a), 0);
	unlink("/tmp/unix-bind");
}

static void
bind_makes_a_socket_node(void)
{
	struct name n = path_name("/tmp/unix-node");
	int fd = unix_socket(SOCK_STREAM);
	struct stat st;

	unlink("/tmp/unix-node");
	umask(027);
	CHECK_EQ(bind_to(fd, n), 0);
	CHECK_EQ(stat("/tmp/unix-node", &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0750);
	CHECK_ERR(open("/tmp/unix-node", O_RDWR), ENXIO);
	/* The node stays when the socket goes, and is of no use. */
	CHECK_EQ(listen(fd, 5), 0);
	close(fd);
	CHECK_EQ(stat("/tmp/unix-node", &st), 0);
	fd = unix_socket(SOCK_STREAM);
	CHECK_ERR(connect_to(fd, n), ECONNREFUSED);
	CHECK_ERR(bind_to(fd, n), EADDRINUSE);
	unlink("/tmp/unix-node");
	CHECK_ERR(connect_to(fd, n), ENOENT);
}

static void
renamed_and_linked_names_lead_to_the_socket(void)
{
	int l, fd = unix_socket(SOCK_STREAM);

	unlink("/tmp/unix-ren");
	unlink("/tmp/unix-ren2");
	unlink("/tmp/unix-sym");
	l = listener(SOCK_STREAM, path_name("/tmp/unix-ren"), 5);
	CHECK_EQ(rename("/tmp/unix-ren", "/tmp/unix-ren2"), 0);
	CHECK_EQ(symlink("unix-ren2", "/tmp/unix-sym"), 0);
	CHECK_ERR(connect_to(fd, path_name("/tmp/unix-ren")), ENOENT);
	CHECK_EQ(connect_to(fd, path_name("/tmp/unix-sym")), 0);
	CHECK_EQ(strcmp(name_of(fd, true).un.sun_path, "/tmp/unix-ren"), 0);
	CHECK_EQ(chdir("/tmp"), 0);
	fd = unix_socket(SOCK_STREAM);
	CHECK_EQ(connect_to(fd, path_name("unix-ren2")), 0);
	close(l);
	unlink("/tmp/unix-ren2");
	unlink("/tmp/unix-sym");
}

static void
connect_needs_write_permission(void)
{
	int l, fd;

	unlink("/tmp/unix-perm");
	umask(0);
	l = listener(SOCK_STREAM, path_name("/tmp/unix-perm"), 5);
	CHECK_EQ(chmod("/tmp/unix-perm", 0700), 0);
	(void)mkdir("/tmp/unix-dir", 0755);
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
	fd = unix_socket(SOCK_STREAM);
	CHECK_ERR(connect_to(fd, path_name("/tmp/unix-perm")), EACCES);
	CHECK_ERR(bind_to(fd, path_name("/tmp/unix-dir/x")), EACCES);
	close(l);
}

static void
connect_tells_apart_what_is_wrong(void)
{
	struct name a = abstract_name("wrong"), p = path_name("/tmp/unix-wrong");
	int fd = unix_socket(SOCK_STREAM), d = unix_socket(SOCK_DGRAM), l;

	unlink("/tmp/unix-wrong");
	CHECK_ERR(connect_to(fd, a), ECONNREFUSED);
	CHECK_ERR(connect_to(fd, path_name("/tmp")), ECONNREFUSED);
	CHECK_ERR(connect_to(fd, path_name("/tmp/no/such")), ENOENT);
	CHECK_ERR(connect(fd, (void *)&a.un, 2), EINVAL);
	a.un.sun_family = AF_INET;
	CHECK_ERR(connect_to(fd, a), EINVAL);
	a.un.sun_family = AF_UNIX;
	/* Bound but not listening. */
	l = unix_socket(SOCK_STREAM);
	CHECK_EQ(bind_to(l, p), 0);
	CHECK_ERR(connect_to(fd, p), ECONNREFUSED);
	CHECK_ERR(connect_to(d, p), EPROTOTYPE);
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(connect_to(fd, p), 0);
	CHECK_ERR(connect_to(fd, p), EISCONN);
	CHECK_ERR(connect_to(l, p), EINVAL);
	CHECK_ERR(listen(fd, 1), EINVAL);
	unlink("/tmp/unix-wrong");
}

static void
autobind_gives_five_digits(void)
{
	int fd = unix_socket(SOCK_DGRAM), other = unix_socket(SOCK_STREAM);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct name n, m;

	CHECK_EQ(bind(fd, (void *)&un, PATH_AT), 0);
	n = name_of(fd, false);
	CHECK_EQ(n.len, PATH_AT + 6);
	CHECK_EQ(n.un.sun_path[0], 0);
	for (int i = 1; i < 6; i++)
		CHECK(strchr("0123456789abcdef", n.un.sun_path[i]));
	CHECK_EQ(bind(fd, (void *)&un, PATH_AT), 0);
	m = name_of(fd, false);
	CHECK_EQ(memcmp(&n.un, &m.un, n.len), 0);
	CHECK_EQ(bind(other, (void *)&un, PATH_AT), 0);
	CHECK_EQ(name_of(other, false).len, PATH_AT + 6);
}

/* ---- Connections ----------------------------------------------------------------------- */

static void
listen_and_accept_check_state(void)
{
	int fd = unix_socket(SOCK_STREAM), d = unix_socket(SOCK_DGRAM), sv[2];

	CHECK_ERR(listen(fd, 5), EINVAL);
	CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
	CHECK_ERR(listen(d, 5), EOPNOTSUPP);
	CHECK_ERR(accept(d, NULL, NULL), EOPNOTSUPP);
	CHECK_EQ(bind_to(fd, abstract_name("state")), 0);
	CHECK_EQ(listen(fd, 5), 0);
	CHECK_EQ(listen(fd, 7), 0);
	CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	CHECK_ERR(accept(fd, NULL, NULL), EAGAIN);
	CHECK_ERR(recv(fd, sv, 1, 0), EINVAL);
	CHECK_ERR(send(fd, sv, 1, MSG_NOSIGNAL), ENOTCONN);
	pair_of(SOCK_STREAM, sv);
	CHECK_ERR(listen(sv[0], 5), EINVAL);
	CHECK_ERR(accept(sv[0], NULL, NULL), EINVAL);
}

static void
backlog_holds_one_more_than_asked(void)
{
	struct name n = abstract_name("backlog");
	int l = listener(SOCK_STREAM, n, 2), fd[5];
	struct timeval tv = {.tv_usec = 50000};

	for (int i = 0; i < 5; i++)
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(connect_to(fd[i], n), 0);
	CHECK_ERR(connect_to(fd[3], n), EAGAIN);
	CHECK_EQ(fcntl(fd[3], F_SETFL, 0), 0);
	CHECK_EQ(setsockopt(fd[3], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(connect_to(fd[3], n), EAGAIN);
	CHECK(accept(l, NULL, NULL) >= 0);
	CHECK_EQ(connect_to(fd[3], n), 0);
	CHECK_ERR(connect_to(fd[4], n), EAGAIN);
	CHECK_EQ(listen(l, 3), 0);
	CHECK_EQ(connect_to(fd[4], n), 0);
}

static void
blocked_connect_goes_on_when_accepted(void)
{
	struct name n = abstract_name("blocked");
	int l = listener(SOCK_STREAM, n, 0), fd, status;
	pid_t p;

	CHECK_EQ(connect_to(unix_socket(SOCK_STREAM), n), 0);
	p = fork();
	if (p == 0) {
		fd = unix_socket(SOCK_STREAM);
		_exit(connect_to(fd, n) == 0 && write(fd, "x", 1) == 1 ? 0 : 1);
	}
	usleep(50000);
	CHECK(accept(l, NULL, NULL) >= 0);
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	/* One that waits when the listener closes is refused. */
	CHECK_EQ(connect_to(unix_socket(SOCK_STREAM), n), 0);
	p = fork();
	if (p == 0) {
		close(l);
		fd = unix_socket(SOCK_STREAM);
		_exit(connect_to(fd, n) == -1 && errno == ECONNREFUSED ? 0 : 1);
	}
	usleep(50000);
	close(l);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
}

static void
accept_tells_who_connected(void)
{
	struct name n = abstract_name("who"), mine = abstract_name("me");
	int l = listener(SOCK_STREAM, n, 5), fd = unix_socket(SOCK_STREAM), c;
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	CHECK_EQ(connect_to(fd, n), 0);
	c = accept4(l, (void *)&un, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(c >= 0);
	CHECK_EQ(len, PATH_AT);
	CHECK_EQ(fcntl(c, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(name_of(c, false).len, n.len);
	CHECK_EQ(name_of(c, true).len, PATH_AT);
	CHECK_EQ(name_of(fd, true).len, n.len);
	fd = unix_socket(SOCK_STREAM);
	CHECK_EQ(bind_to(fd, mine), 0);
	CHECK_EQ(connect_to(fd, n), 0);
	len = sizeof(un);
	c = accept(l, (void *)&un, &len);
	CHECK(c >= 0);
	CHECK_EQ(len, mine.len);
	CHECK_EQ(memcmp(&un, &mine.un, len), 0);
	/* Data comes with whose it is. */
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	len = sizeof(un);
	CHECK_EQ(recvfrom(c, &l, 1, 0, (void *)&un, &len), 1);
	CHECK_EQ(len, mine.len);
	CHECK_ERR(accept4(l, NULL, NULL, 0x40), EBADF);
}

static void
data_may_be_sent_before_accept(void)
{
	struct name n = abstract_name("early");
	int l = listener(SOCK_STREAM, n, 5), fd = unix_socket(SOCK_STREAM), c;
	char buf[8];

	CHECK_EQ(connect_to(fd, n), 0);
	CHECK_EQ(write(fd, "early", 5), 5);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	c = accept(l, NULL, NULL);
	CHECK_EQ(read(c, buf, 8), 5);
	CHECK_EQ(read(c, buf, 8), 0);
	CHECK_EQ(write(c, "late", 4), 4);
	CHECK_EQ(read(fd, buf, 8), 4);
}

static void
closing_the_listener_resets_who_waits(void)
{
	struct name n = abstract_name("reset");
	int l = listener(SOCK_STREAM, n, 5), fd = unix_socket(SOCK_STREAM);
	char c;

	CHECK_EQ(connect_to(fd, n), 0);
	close(l);
	CHECK_EQ(events_of(fd), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_ERR(read(fd, &c, 1), ECONNRESET);
	CHECK_EQ(read(fd, &c, 1), 0);
	CHECK_ERR(send(fd, &c, 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(connect_to(unix_socket(SOCK_STREAM), n), ECONNREFUSED);
}

static void
shutdown_of_a_listener_refuses(void)
{
	struct name n = abstract_name("shut");
	int l = listener(SOCK_STREAM, n, 5);

	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	CHECK_ERR(connect_to(unix_socket(SOCK_STREAM), n), ECONNREFUSED);
}

/* ---- Streams ----------------------------------------------------------------------------- */

static void
stream_carries_bytes_without_borders(void)
{
	char buf[16] = {0};
	int sv[2], n;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(write(sv[0], "ab", 2), 2);
	CHECK_EQ(write(sv[0], "cde", 3), 3);
	CHECK_EQ(ioctl(sv[1], SIOCINQ_, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(ioctl(sv[0], SIOCOUTQ_, &n), 0);
	CHECK(n > 0);
	CHECK_EQ(recv(sv[1], buf, 4, MSG_PEEK), 4);
	CHECK_EQ(memcmp(buf, "abcd", 4), 0);
	CHECK_EQ(read(sv[1], buf, 3), 3);
	CHECK_EQ(memcmp(buf, "abc", 3), 0);
	CHECK_EQ(read(sv[1], buf, 16), 2);
	CHECK_EQ(memcmp(buf, "de", 2), 0);
	CHECK_ERR(recv(sv[1], buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(read(sv[1], buf, 0), 0);
	CHECK_ERR(recv(sv[1], buf, 0, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(write(sv[0], buf, 0), 0);
	CHECK_EQ(ioctl(sv[0], SIOCOUTQ_, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_ERR(sendto(sv[0], "x", 1, 0, (void *)buf, 16), EISCONN);
}

static void
faults_lose_nothing(void)
{
	int sv[2];
	char c = 0;

	pair_of(SOCK_STREAM, sv);
	CHECK_ERR(write(sv[0], (void *)8, 5), EFAULT);
	CHECK_EQ(write(sv[0], "x", 1), 1);
	CHECK_ERR(read(sv[1], (void *)8, 5), EFAULT);
	CHECK_EQ(read(sv[1], &c, 1), 1);
	CHECK_EQ(c, 'x');
}

static void
unconnected_streams_say_so(void)
{
	int fd = unix_socket(SOCK_STREAM);
	struct name n = abstract_name("none");
	char c;

	CHECK_ERR(read(fd, &c, 1), EINVAL);
	CHECK_ERR(send(fd, &c, 1, MSG_NOSIGNAL), ENOTCONN);
	CHECK_ERR(sendto(fd, &c, 1, 0, (void *)&n.un, n.len), EOPNOTSUPP);
	CHECK_EQ(events_of(fd), POLLOUT | POLLHUP);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0);
	CHECK_ERR(shutdown(fd, 3), EINVAL);
}

static void
waitall_and_lowat_wait_for_more(void)
{
	int sv[2], lowat = 4;
	char buf[8];
	pid_t p;

	pair_of(SOCK_STREAM, sv);
	p = fork();
	if (p == 0) {
		for (int i = 0; i < 6; i++) {
			CHECK_EQ(write(sv[0], "z", 1), 1);
			usleep(10000);
		}
		_exit(0);
	}
	CHECK_EQ(recv(sv[1], buf, 6, MSG_WAITALL), 6);
	waitpid(p, NULL, 0);
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)), 0);
	CHECK_EQ(write(sv[0], "ab", 2), 2);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_DONTWAIT), 2);
	/* The end comes before enough. */
	CHECK_EQ(write(sv[0], "ab", 2), 2);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_WAITALL), 2);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_WAITALL), 0);
}

static void
shutdown_closes_halves(void)
{
	int sv[2];
	char c;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(events_of(sv[0]), POLLOUT);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_ERR(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(events_of(sv[0]), POLLOUT);
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(read(sv[1], &c, 1), 0);
	CHECK_EQ(write(sv[1], "y", 1), 1);
	CHECK_EQ(shutdown(sv[0], SHUT_RD), 0);
	CHECK_EQ(events_of(sv[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(read(sv[0], &c, 1), 1);
	CHECK_EQ(read(sv[0], &c, 1), 0);
	CHECK_ERR(send(sv[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void
close_is_an_end_or_a_reset(void)
{
	int sv[2];
	char c;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(write(sv[0], "x", 1), 1);
	close(sv[0]);
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(read(sv[1], &c, 1), 1);
	CHECK_EQ(read(sv[1], &c, 1), 0);
	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(write(sv[0], "x", 1), 1);
	CHECK_EQ(write(sv[1], "y", 1), 1);
	close(sv[0]); /* x is read, y is not */
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_EQ(read(sv[1], &c, 1), 1);
	CHECK_ERR(read(sv[1], &c, 1), ECONNRESET);
	CHECK_EQ(read(sv[1], &c, 1), 0);
}

static volatile sig_atomic_t num_signals;

static void
count_signal(int s)
{
	num_signals++;
}

static void
writing_to_nobody_is_sigpipe(void)
{
	int sv[2];

	signal(SIGPIPE, count_signal);
	pair_of(SOCK_STREAM, sv);
	close(sv[1]);
	CHECK_ERR(write(sv[0], "x", 1), EPIPE);
	CHECK_EQ(num_signals, 1);
	CHECK_ERR(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(num_signals, 1);
	pair_of(SOCK_SEQPACKET, sv);
	close(sv[1]);
	CHECK_ERR(write(sv[0], "x", 1), EPIPE);
	CHECK_EQ(num_signals, 1);
}

static void
writers_wait_for_room(void)
{
	static char big[1 << 20];
	int sv[2], size = 8192;
	size_t n = 0;
	ssize_t got;
	pid_t p;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK_EQ(fcntl(sv[0], F_SETFL, O_NONBLOCK), 0);
	got = write(sv[0], big, sizeof(big));
	CHECK(got > 0 && got < 100000);
	n = (size_t)got;
	CHECK_ERR(write(sv[0], big, 1), EAGAIN);
	CHECK_EQ(events_of(sv[0]), 0);
	CHECK_EQ(read(sv[1], big, sizeof(big)), n);
	CHECK_EQ(events_of(sv[0]), POLLOUT);
	CHECK_EQ(fcntl(sv[0], F_SETFL, 0), 0);
	p = fork();
	if (p == 0) {
		for (size_t i = 0; i < sizeof(big); i++)
			big[i] = (char)(i * 7 >> 3);
		_exit(write(sv[0], big, sizeof(big)) == sizeof(big) ? 0 : 1);
	}
	for (n = 0; n < sizeof(big); n += (size_t)got) {
		got = read(sv[1], big + n, 3000);
		CHECK(got > 0);
	}
	for (size_t i = 0; i < sizeof(big); i++)
		CHECK_EQ(big[i], (char)(i * 7 >> 3));
	waitpid(p, (int *)&size, 0);
	CHECK_EQ(size, 0);
}

static void
timeouts_end_waits(void)
{
	static char big[1 << 19];
	struct timeval tv = {.tv_usec = 30000};
	int sv[2];

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(read(sv[0], big, 1), EAGAIN);
	CHECK(write(sv[0], big, sizeof(big)) < (ssize_t)sizeof(big));
	CHECK_ERR(write(sv[0], big, sizeof(big)), EAGAIN);
}

static void
epoll_edges_come_on_news(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP},
	                   got;
	static char big[1 << 19];
	int sv[2], ep = epoll_create1(0);

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(fcntl(sv[0], F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev), 0);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 1);
	CHECK_EQ(got.events, EPOLLOUT);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
	CHECK(write(sv[0], big, sizeof(big)) > 0);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
	while (recv(sv[1], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(epoll_wait(ep, &got, 1, 1000), 1);
	CHECK_EQ(got.events, EPOLLOUT);
	CHECK_EQ(write(sv[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, &got, 1, 1000), 1);
	CHECK_EQ(got.events, EPOLLIN | EPOLLOUT);
	close(sv[1]);
	CHECK_EQ(epoll_wait(ep, &got, 1, 1000), 1);
	CHECK_EQ(got.events, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

static void
peek_offset_moves(void)
{
	int sv[2], off = 0;
	char buf[8];
	socklen_t len = sizeof(off);

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &off, &len), 0);
	CHECK_EQ(off, -1);
	off = 0;
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)), 0);
	CHECK_EQ(write(sv[0], "abc", 3), 3);
	CHECK_EQ(write(sv[0], "defg", 4), 4);
	CHECK_EQ(recv(sv[1], buf, 2, MSG_PEEK), 2);
	CHECK_EQ(memcmp(buf, "ab", 2), 0);
	CHECK_EQ(recv(sv[1], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(memcmp(buf, "cde", 3), 0);
	CHECK_EQ(recv(sv[1], buf, 2, 0), 2);
	CHECK_EQ(memcmp(buf, "ab", 2), 0);
	CHECK_EQ(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &off, &len), 0);
	CHECK_EQ(off, 3);
	CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 2);
	CHECK_EQ(memcmp(buf, "fg", 2), 0);
}

static void
files_are_sent_by_page(void)
{
	static char big[70000], got[70000];
	int sv[2], fd = open("/tmp/unix-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t n = 0;
	off_t at = 100;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 13 >> 2);
	CHECK_EQ(write(fd, big, sizeof(big)), sizeof(big));
	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(sendfile(sv[0], fd, &at, sizeof(big) - 100), sizeof(big) - 100);
	CHECK_EQ(at, sizeof(big));
	while (n < sizeof(big) - 100) {
		ssize_t r = read(sv[1], got + n, sizeof(got) - n);

		CHECK(r > 0);
		n += (size_t)r;
	}
	CHECK_EQ(memcmp(got, big + 100, n), 0);
	unlink("/tmp/unix-file");
}

static void
rows_of_messages_go_at_once(void)
{
	struct mmsghdr v[3];
	struct iovec iov[3];
	char buf[3][4];
	int sv[2];

	pair_of(SOCK_DGRAM, sv);
	memset(v, 0, sizeof(v));
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){buf[i], (size_t)i + 1};
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK_EQ(sendmmsg(sv[0], v, 3, 0), 3);
	for (int i = 0; i < 3; i++)
		iov[i].iov_len = 4;
	CHECK_EQ(recvmmsg(sv[1], v, 3, MSG_WAITFORONE, NULL), 3);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(v[i].msg_len, i + 1);
}

/* ---- Who is there ------------------------------------------------------------------------- */

static void
peercred_is_of_who_connected(void)
{
	struct name n = abstract_name("cred");
	struct ucred u;
	socklen_t len = sizeof(u);
	int l = unix_socket(SOCK_STREAM), fd, c, sv[2], status;
	char buf[8];
	pid_t p;

	CHECK_EQ(getsockopt(l, SOL_SOCKET, SO_PEERCRED, &u, &len), 0);
	CHECK_EQ(u.pid, 0);
	CHECK_EQ(u.uid, (uid_t)-1);
	CHECK_EQ(u.gid, (gid_t)-1);
	CHECK_EQ(bind_to(l, n), 0);
	CHECK_EQ(listen(l, 5), 0);
	p = fork();
	if (p == 0) {
		CHECK_EQ(setresgid(7, 8, 9), 0);
		CHECK_EQ(setresuid(1000, 1001, 1002), 0);
		fd = unix_socket(SOCK_STREAM);
		CHECK_EQ(connect_to(fd, n), 0);
		CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len), 0);
		CHECK_EQ(u.pid, getppid());
		CHECK_EQ(u.uid, 0);
		CHECK_EQ(read(fd, buf, 1), 0);
		_exit(0);
	}
	c = accept(l, NULL, NULL);
	CHECK_EQ(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &len), 0);
	CHECK_EQ(u.pid, p);
	CHECK_EQ(u.uid, 1001);
	CHECK_EQ(u.gid, 8);
	close(c);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(getsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, &u, &len), 0);
	CHECK_EQ(u.pid, getpid());
	CHECK_ERR(setsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, &u, len), ENOPROTOOPT);
}

static void
proc_lists_sockets(void)
{
	struct name n = abstract_name("listed");
	int l = listener(SOCK_STREAM, n, 5);
	char line[256], want[128];
	unsigned flags, type, state;
	unsigned long ino;
	struct stat st;
	bool is_there = false;
	FILE *f = fopen("/proc/net/unix", "r");

	CHECK(f);
	CHECK_EQ(fstat(l, &st), 0);
	snprintf(want, sizeof(want), "@%s", n.un.sun_path + 1);
	CHECK(fgets(line, sizeof(line), f));
	CHECK_EQ(
	    strcmp(line, "Num       RefCount Protocol Flags    Type St Inode Path\n"), 0);
	while (fgets(line, sizeof(line), f)) {
		char path[128] = "";

		if (sscanf(line, "%*x: %*x %*x %x %x %x %lu %127s", &flags, &type, &state,
		        &ino, path) < 5 ||
		    strcmp(path, want))
			continue;
		is_there = true;
		CHECK_EQ(flags, 0x10000);
		CHECK_EQ(type, SOCK_STREAM);
		CHECK_EQ(state, 1);
		CHECK_EQ(ino, st.st_ino);
	}
	CHECK(is_there);
	fclose(f);
}

/* ---- Urgent data ---------------------------------------------------------------------------- */

static void
urgent_byte_is_marked(void)
{
	int sv[2], on = 1;
	char buf[8] = {0};

	pair_of(SOCK_STREAM, sv);
	CHECK_ERR(send(sv[0], buf, 0, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(recv(sv[1], buf, 1, MSG_OOB | MSG_DONTWAIT), EINVAL);
	CHECK_EQ(send(sv[0], "abX", 3, MSG_OOB), 3);
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT | POLLPRI);
	CHECK_EQ(send(sv[0], "cd", 2, 0), 2);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
	CHECK_EQ(memcmp(buf, "ab", 2), 0);
	CHECK_EQ(recv(sv[1], buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'X');
	CHECK_EQ(events_of(sv[1]), POLLIN | POLLOUT);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
	CHECK_EQ(memcmp(buf, "cd", 2), 0);
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)), 0);
	CHECK_EQ(send(sv[0], "abX", 3, MSG_OOB), 3);
	CHECK_ERR(recv(sv[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
	CHECK_EQ(recv(sv[1], buf, 8, 0), 1);
	CHECK_EQ(buf[0], 'X');
	pair_of(SOCK_DGRAM, sv);
	CHECK_ERR(send(sv[0], "a", 1, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(recv(sv[0], buf, 1, MSG_OOB | MSG_DONTWAIT), EOPNOTSUPP);
}

static const struct test tests[] = {
    TEST(socket_checks_its_arguments),
    TEST(fstat_says_socket),
    TEST(names_have_the_lengths_of_linux),
    TEST(bind_refuses_what_it_must),
    TEST(bind_makes_a_socket_node),
    TEST(renamed_and_linked_names_lead_to_the_socket),
    TEST(connect_needs_write_permission),
    TEST(connect_tells_apart_what_is_wrong),
    TEST(autobind_gives_five_digits),
    TEST(listen_and_accept_check_state),
    TEST(backlog_holds_one_more_than_asked),
    TEST(blocked_connect_goes_on_when_accepted),
    TEST(accept_tells_who_connected),
    TEST(data_may_be_sent_before_accept),
    TEST(closing_the_listener_resets_who_waits),
    TEST(shutdown_of_a_listener_refuses),
    TEST(stream_carries_bytes_without_borders),
    TEST(faults_lose_nothing),
    TEST(unconnected_streams_say_so),
    TEST(waitall_and_lowat_wait_for_more),
    TEST(shutdown_closes_halves),
    TEST(close_is_an_end_or_a_reset),
    TEST(writing_to_nobody_is_sigpipe),
    TEST(writers_wait_for_room),
    TEST(timeouts_end_waits),
    TEST(epoll_edges_come_on_news),
    TEST(peek_offset_moves),
    TEST(files_are_sent_by_page),
    TEST(rows_of_messages_go_at_once),
    TEST(peercred_is_of_who_connected),
    TEST(proc_lists_sockets),
    TEST(urgent_byte_is_marked),
};

RUN_TESTS(tests)
