/* AF_UNIX: datagrams, sequenced packets, credentials. */
#define _GNU_SOURCE
#include "tests/guest/unix_util.h"

#include <sys/epoll.h>

enum { SIOCINQ_ = 0x541b };

static int
bound(int type, const char *what)
{
	int fd = unix_socket(type);

	CHECK_EQ(bind_to(fd, abstract_name(what)), 0);
	return fd;
}

static ssize_t
send_to(int fd, const void *data, size_t n, struct name to)
{
	return sendto(fd, data, n, MSG_DONTWAIT, (void *)&to.un, to.len);
}

static void
datagrams_have_borders_and_names(void)
{
	int a = bound(SOCK_DGRAM, "a"), b = bound(SOCK_DGRAM, "b"), n;
	struct name na = abstract_name("a"), nb = abstract_name("b");
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	char buf[16];

	CHECK_EQ(send_to(a, "hello", 5, nb), 5);
	CHECK_EQ(send_to(a, "", 0, nb), 0);
	CHECK_EQ(send_to(a, "abcdef", 6, nb), 6);
	CHECK_EQ(ioctl(b, SIOCINQ_, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(recvfrom(b, buf, 16, 0, (void *)&un, &len), 5);
	CHECK_EQ(len, na.len);
	CHECK_EQ(memcmp(&un, &na.un, len), 0);
	CHECK_EQ(recv(b, buf, 16, 0), 0);
	CHECK_EQ(recv(b, buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv(b, buf, 3, MSG_PEEK | MSG_TRUNC), 6);
	CHECK_EQ(recv(b, buf, 2, MSG_TRUNC), 6);
	CHECK_ERR(recv(b, buf, 2, MSG_DONTWAIT), EAGAIN);
	/* From one without a name. */
	CHECK_EQ(send_to(unix_socket(SOCK_DGRAM), "x", 1, nb), 1);
	len = sizeof(un);
	CHECK_EQ(recvfrom(b, buf, 16, 0, (void *)&un, &len), 1);
	CHECK_EQ(len, 0);
	/* The sender may be gone by now. */
	CHECK_EQ(send_to(a, "x", 1, nb), 1);
	close(a);
	len = sizeof(un);
	CHECK_EQ(recvfrom(b, buf, 16, 0, (void *)&un, &len), 1);
	CHECK_EQ(len, na.len);
}

static void
truncation_is_told(void)
{
	char buf[4];
	struct iovec iov = {buf, 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int sv[2];

	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(send(sv[0], "123456", 6, 0), 6);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 4);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	pair_of(SOCK_SEQPACKET, sv);
	CHECK_EQ(send(sv[0], "123456", 6, MSG_EOR), 6);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 4);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(send(sv[0], "1234", 4, 0), 4);
	CHECK_EQ(recvmsg(sv[1], &m, MSG_CMSG_CLOEXEC), 4);
	CHECK_EQ(m.msg_flags, MSG_CMSG_CLOEXEC);
}

static void
send_refuses_what_it_must(void)
{
	static char big[400000];
	int fd = unix_socket(SOCK_DGRAM), s = bound(SOCK_STREAM, "stream");
	struct name none = abstract_name("none"), self = abstract_name("self");

	CHECK_ERR(send(fd, "x", 1, 0), ENOTCONN);
	CHECK_ERR(send_to(fd, "x", 1, none), ECONNREFUSED);
	CHECK_ERR(send_to(fd, "x", 1, path_name("/tmp/no-such")), ENOENT);
	CHECK_ERR(send_to(fd, "x", 1, abstract_name("stream")), ECONNREFUSED);
	none.un.sun_family = AF_INET;
	CHECK_ERR(send_to(fd, "x", 1, none), EINVAL);
	CHECK_EQ(bind_to(fd, self), 0);
	CHECK_ERR(send_to(fd, big, sizeof(big), self), EMSGSIZE);
	CHECK_ERR(send_to(fd, (void *)8, 5, self), EFAULT);
	CHECK_EQ(send_to(fd, big, 150000, self), 150000);
	CHECK_EQ(recv(fd, big, sizeof(big), 0), 150000);
	close(s);
}

static void
queue_holds_eleven(void)
{
	int fd = unix_socket(SOCK_DGRAM), l = bound(SOCK_DGRAM, "queue"), n = 0;
	struct name to = abstract_name("queue");
	struct timeval tv = {.tv_usec = 30000};
	char buf[4];

	while (send_to(fd, "x", 1, to) == 1)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(n, 11);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&to.un, to.len), EAGAIN);
	CHECK_EQ(recv(l, buf, 4, 0), 1);
	CHECK_EQ(send_to(fd, "x", 1, to), 1);
	CHECK_ERR(send_to(fd, "x", 1, to), EAGAIN);
	/* Who polls without a peer knows nothing of that. */
	CHECK_EQ(events_of(fd), POLLOUT);
	/* With one he does. */
	CHECK_EQ(connect_to(fd, to), 0);
	CHECK_EQ(events_of(fd), 0);
	CHECK_EQ(recv(l, buf, 4, 0), 1);
	CHECK_EQ(events_of(fd), POLLOUT);
	/* A peer that is connected back takes what the send buffer holds. */
	CHECK_EQ(bind_to(fd, abstract_name("back")), 0);
	CHECK_EQ(connect_to(l, abstract_name("back")), 0);
	for (n = 0; send(fd, "x", 1, MSG_DONTWAIT) == 1; n++)
		;
	CHECK(n > 20);
}

static void
full_receiver_blocks_and_wakes(void)
{
	int fd = unix_socket(SOCK_DGRAM), l = bound(SOCK_DGRAM, "full"), status;
	struct name to = abstract_name("full");
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLET}, got;
	int ep = epoll_create1(0);
	char c;
	pid_t p;

	CHECK_EQ(connect_to(fd, to), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 1);
	while (send(fd, "x", 1, MSG_DONTWAIT) == 1)
		;
	while (epoll_wait(ep, &got, 1, 0) == 1)
		CHECK(!(got.events & EPOLLOUT));
	p = fork();
	if (p == 0)
		_exit(send(fd, "y", 1, 0) == 1 ? 0 : 1);
	usleep(50000);
	CHECK_EQ(recv(l, &c, 1, 0), 1);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	CHECK_EQ(recv(l, &c, 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &got, 1, 1000), 1);
	CHECK_EQ(got.events, EPOLLOUT);
	/* A sender that waits when the receiver closes. */
	while (send(fd, "x", 1, MSG_DONTWAIT) == 1)
		;
	p = fork();
	if (p == 0) {
		close(l);
		_exit(send(fd, "y", 1, 0) == -1 && errno == ECONNREFUSED ? 0 : 1);
	}
	usleep(50000);
	close(l);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
}

static void
connect_binds_to_one_and_dissolves(void)
{
	int a = bound(SOCK_DGRAM, "a"), b = bound(SOCK_DGRAM, "b"), c;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct name na = abstract_name("a"), nb = abstract_name("b");
	char buf[4];

	c = bound(SOCK_DGRAM, "c");
	CHECK_EQ(connect_to(a, nb), 0);
	CHECK_EQ(send(a, "x", 1, 0), 1);
	CHECK_EQ(send_to(a, "x", 1, abstract_name("c")), 1);
	/* b is nobody's; a is b's and takes from nobody else. */
	CHECK_EQ(send_to(b, "y", 1, na), 1);
	CHECK_ERR(send_to(c, "y", 1, na), EPERM);
	CHECK_ERR(connect_to(c, na), EPERM);
	CHECK_EQ(recv(a, buf, 4, 0), 1);
	/* Dissolved: what b had sent is dropped. */
	CHECK_EQ(send_to(b, "y", 1, na), 1);
	CHECK_EQ(connect(a, &none, sizeof(none)), 0);
	CHECK_ERR(recv(a, buf, 4, MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(send(a, "x", 1, 0), ENOTCONN);
	CHECK_EQ(send_to(c, "y", 1, na), 1);
	CHECK_ERR(connect(a, &none, 1), EINVAL);
	CHECK_ERR(connect(a, (void *)&nb.un, 2), EINVAL);
}

static void
peer_that_goes_is_told(void)
{
	int a = bound(SOCK_DGRAM, "a"), b = bound(SOCK_DGRAM, "b"), sv[2];
	struct name nb = abstract_name("b");
	char buf[4];

	CHECK_EQ(connect_to(a, nb), 0);
	close(b);
	CHECK_EQ(events_of(a), POLLOUT);
	CHECK_ERR(send(a, "x", 1, 0), ECONNREFUSED);
	CHECK_ERR(send(a, "x", 1, 0), ENOTCONN);
	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(send(sv[1], "x", 1, 0), 1);
	close(sv[1]);
	CHECK_EQ(events_of(sv[0]), POLLIN | POLLOUT);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 1);
	CHECK_ERR(recv(sv[0], buf, 4, MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(send(sv[0], "x", 1, 0), ECONNREFUSED);
}

static void
reconnecting_resets_the_old_peer(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char buf[4];
	int sv[2];

	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(send(sv[0], "x", 1, 0), 1);
	CHECK_EQ(connect(sv[1], &none, sizeof(none)), 0);
	CHECK_EQ(events_of(sv[0]), POLLOUT | POLLERR);
	CHECK_ERR(recv(sv[0], buf, 4, MSG_DONTWAIT), ECONNRESET);
	CHECK_ERR(recv(sv[0], buf, 4, MSG_DONTWAIT), EAGAIN);
}

static void
shutdown_of_datagrams(void)
{
	char buf[4];
	int sv[2];

	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(shutdown(sv[0], SHUT_WR), 0);
	CHECK_ERR(send(sv[0], "x", 1, 0), EPIPE);
	CHECK_EQ(events_of(sv[1]), POLLOUT);
	CHECK_EQ(send(sv[1], "x", 1, 0), 1);
	CHECK_EQ(shutdown(sv[0], SHUT_RD), 0);
	CHECK_EQ(events_of(sv[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_ERR(send(sv[1], "x", 1, 0), EPIPE);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 1);
	CHECK_EQ(recv(sv[0], buf, 4, 0), 0);
	CHECK_ERR(recv(sv[0], buf, 4, MSG_DONTWAIT), EAGAIN);
}

static void
sequenced_packets_are_connections_with_borders(void)
{
	struct name n = abstract_name("seq");
	int l = listener(SOCK_SEQPACKET, n, 5), fd = unix_socket(SOCK_SEQPACKET), c;
	char buf[16];

	CHECK_ERR(send(fd, "x", 1, 0), ENOTCONN);
	CHECK_ERR(recv(fd, buf, 1, 0), ENOTCONN);
	CHECK_EQ(events_of(fd), POLLOUT | POLLHUP);
	CHECK_EQ(connect_to(fd, n), 0);
	c = accept(l, NULL, NULL);
	CHECK(c >= 0);
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(sendto(fd, "de", 2, 0, (void *)&n.un, n.len), 2);
	CHECK_EQ(recv(c, buf, 16, 0), 3);
	CHECK_EQ(recv(c, buf, 16, 0), 2);
	CHECK_EQ(send(fd, "", 0, 0), 0);
	CHECK_EQ(recv(c, buf, 16, 0), 0);
	CHECK_ERR(recv(c, buf, 16, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(fd, "z", 1, 0), 1);
	close(fd);
	CHECK_EQ(recv(c, buf, 16, 0), 1);
	CHECK_EQ(recv(c, buf, 16, MSG_DONTWAIT), 0);
	CHECK_EQ(events_of(c), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_ERR(send(c, "z", 1, MSG_NOSIGNAL), EPIPE);
}

static void
senders_wait_for_their_buffer(void)
{
	static char big[20000];
	int sv[2], size = 65536, n = 0, status;
	pid_t p;

	pair_of(SOCK_SEQPACKET, sv);
	CHECK_EQ(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while (send(sv[0], big, sizeof(big), MSG_DONTWAIT) > 0)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK(n >= 3 && n <= 7);
	CHECK_EQ(events_of(sv[0]), 0);
	p = fork();
	if (p == 0)
		_exit(send(sv[0], big, sizeof(big), 0) == sizeof(big) ? 0 : 1);
	for (; n >= 0; n--)
		CHECK_EQ(recv(sv[1], big, sizeof(big), 0), sizeof(big));
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	CHECK_EQ(events_of(sv[0]), POLLOUT);
}

/* ---- Credentials ----------------------------------------------------------------------------- */

/* Sends a byte with credentials (NULL: none said). */
static ssize_t
send_creds(int fd, const struct ucred *u, size_t len)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred) + 8)];
		struct cmsghdr align;
	} c;
	struct iovec iov = {"c", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&c, 0, sizeof(c));
	m.msg_control = c.room;
	m.msg_controllen = CMSG_SPACE(len);
	c.align.cmsg_level = SOL_SOCKET;
	c.align.cmsg_type = SCM_CREDENTIALS;
	c.align.cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(&c.align), u, sizeof(*u));
	return sendmsg(fd, &m, MSG_DONTWAIT);
}

/* Receives up to n bytes; *u is what came with them, pid -1: nothing. */
static ssize_t
recv_creds(int fd, size_t n, struct ucred *u)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} c;
	char buf[64];
	struct iovec iov = {buf, n};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.room,
	    .msg_controllen = sizeof(c.room)};
	ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);
	struct cmsghdr *h = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL;

	u->pid = -1;
	if (h && h->cmsg_type == SCM_CREDENTIALS)
		memcpy(u, CMSG_DATA(h), sizeof(*u));
	return got;
}

static void
passcred_tells_the_sender(void)
{
	struct ucred u = {getpid(), 0, 0};
	int sv[2], on = 1, status;
	pid_t p;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(send_creds(sv[0], &u, sizeof(u)), 1);
	CHECK_EQ(recv_creds(sv[1], 1, &u), 1);
	CHECK_EQ(u.pid, -1);
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	CHECK_EQ(send(sv[0], "x", 1, 0), 1);
	p = fork();
	if (p == 0) {
		CHECK_EQ(setresgid(5, 6, 7), 0);
		CHECK_EQ(setresuid(1000, 1001, 1002), 0);
		CHECK_EQ(send(sv[0], "y", 1, 0), 1);
		_exit(0);
	}
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	/* What different senders wrote is not mixed. */
	CHECK_EQ(recv_creds(sv[1], 10, &u), 1);
	CHECK_EQ(u.pid, getpid());
	CHECK_EQ(u.uid, 0);
	CHECK_EQ(recv_creds(sv[1], 10, &u), 1);
	CHECK_EQ(u.pid, p);
	CHECK_EQ(u.uid, 1000);
	CHECK_EQ(u.gid, 5);
}

static void
forged_credentials_take_capabilities(void)
{
	struct ucred u = {getpid(), 0, 0}, got;
	int sv[2], on = 1, status;
	pid_t p;

	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	u = (struct ucred){1, 1234, 5678};
	CHECK_EQ(send_creds(sv[0], &u, sizeof(u)), 1);
	CHECK_EQ(recv_creds(sv[1], 1, &got), 1);
	CHECK_EQ(got.uid, 1234);
	CHECK_EQ(got.gid, 5678);
	u.pid = 4000000;
	CHECK_ERR(send_creds(sv[0], &u, sizeof(u)), ESRCH);
	u = (struct ucred){getpid(), (uid_t)-1, 0};
	CHECK_ERR(send_creds(sv[0], &u, sizeof(u)), EINVAL);
	u.uid = 0;
	CHECK_ERR(send_creds(sv[0], &u, sizeof(u) - 4), EINVAL);
	p = fork();
	if (p == 0) {
		CHECK_EQ(setresgid(5, 6, 7), 0);
		CHECK_EQ(setresuid(1000, 1001, 1002), 0);
		u = (struct ucred){getpid(), 1002, 6};
		CHECK_EQ(send_creds(sv[0], &u, sizeof(u)), 1);
		u.uid = 0;
		CHECK_ERR(send_creds(sv[0], &u, sizeof(u)), EPERM);
		u = (struct ucred){getpid(), 1000, 0};
		CHECK_ERR(send_creds(sv[0], &u, sizeof(u)), EPERM);
		u = (struct ucred){getppid(), 1000, 5};
		CHECK_ERR(send_creds(sv[0], &u, sizeof(u)), EPERM);
		_exit(0);
	}
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
}

static void
passcred_gives_a_name(void)
{
	int fd = unix_socket(SOCK_DGRAM), l = bound(SOCK_DGRAM, "l"), on = 1;
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	CHECK_EQ(send_to(fd, "x", 1, abstract_name("l")), 1);
	CHECK_EQ(recvfrom(l, &on, 1, 0, (void *)&un, &len), 1);
	CHECK_EQ(len, PATH_AT + 6);
}

static void
stamps_tell_when(void)
{
	char room[128];
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = room,
	    .msg_controllen = sizeof(room)};
	struct timeval tv, now;
	int sv[2], on = 1;

	pair_of(SOCK_DGRAM, sv);
	CHECK_EQ(setsockopt(sv[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)), 0);
	CHECK_EQ(send(sv[0], "x", 1, 0), 1);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	CHECK(CMSG_FIRSTHDR(&m));
	CHECK_EQ(CMSG_FIRSTHDR(&m)->cmsg_type, SCM_TIMESTAMP);
	memcpy(&tv, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(tv));
	now.tv_sec = time(NULL);
	CHECK(tv.tv_sec >= now.tv_sec - 2 && tv.tv_sec <= now.tv_sec);
}

static const struct test tests[] = {
    TEST(datagrams_have_borders_and_names),
    TEST(truncation_is_told),
    TEST(send_refuses_what_it_must),
    TEST(queue_holds_eleven),
    TEST(full_receiver_blocks_and_wakes),
    TEST(connect_binds_to_one_and_dissolves),
    TEST(peer_that_goes_is_told),
    TEST(reconnecting_resets_the_old_peer),
    TEST(shutdown_of_datagrams),
    TEST(sequenced_packets_are_connections_with_borders),
    TEST(senders_wait_for_their_buffer),
    TEST(passcred_tells_the_sender),
    TEST(forged_credentials_take_capabilities),
    TEST(passcred_gives_a_name),
    TEST(stamps_tell_when),
};

RUN_TESTS(tests)
