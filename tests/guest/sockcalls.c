/* The calls on sockets, one by one: what each refuses, on AF_UNIX and AF_INET. What they
 * carry is tested in unix*.c, tcp*.c and udp.c. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int
new_socket(int family, int type)
{
	int fd = (int)SYS(socket, family, type, 0);

	CHECK(fd >= 0);
	return fd;
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int
plain_file(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK(fd >= 0);
	return fd;
}

/* proves: socket socketpair */
static void
making(void)
{
	struct rlimit few = {4, 4};
	int fd, sv[2] = {-7, -7};

	EXPECT_ERR(SYS(socket, 99, SOCK_STREAM, 0), EAFNOSUPPORT);
	EXPECT_ERR(SYS(socket, -1, SOCK_STREAM, 0), EAFNOSUPPORT);
	EXPECT_ERR(SYS(socket, AF_UNIX, 99, 0), EINVAL);
	EXPECT_ERR(SYS(socket, AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
	EXPECT_ERR(SYS(socket, AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	EXPECT_ERR(SYS(socket, AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	EXPECT_ERR(SYS(socket, AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	EXPECT_ERR(SYS(socket, AF_INET, SOCK_STREAM, -1), EINVAL);
	EXPECT_ERR(SYS(socket, AF_UNIX, SOCK_STREAM | 0x40, 0), EINVAL);
	fd = (int)SYS(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	close(fd);
	EXPECT_ERR(SYS(socketpair, AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP);
	EXPECT_ERR(SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(socketpair, AF_UNIX, 99, 0, sv), EINVAL);
	EXPECT_ERR(SYS(socketpair, 99, SOCK_STREAM, 0, sv), EAFNOSUPPORT);
	EXPECT_EQ(SYS(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	EXPECT_EQ(fcntl(sv[1], F_GETFD), FD_CLOEXEC);
	close(sv[0]);
	close(sv[1]);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	sv[0] = -7;
	EXPECT_ERR(SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, sv), EMFILE);
	CHECK(new_socket(AF_UNIX, SOCK_STREAM) >= 0);
	EXPECT_ERR(SYS(socket, AF_UNIX, SOCK_STREAM, 0), EMFILE);
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	close(3);
	EXPECT_ERR(SYS(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
}

/* proves: bind listen getsockname getpeername */
static void
naming(void)
{
	struct sockaddr_in a = loopback(0), got;
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/sockcalls"};
	int s = new_socket(AF_INET, SOCK_STREAM), t = new_socket(AF_INET, SOCK_STREAM);
	int u = new_socket(AF_UNIX, SOCK_STREAM), d = new_socket(AF_INET, SOCK_DGRAM);
	int file = plain_file();
	socklen_t len = sizeof(got);

	unlink(un.sun_path);
	EXPECT_ERR(SYS(bind, 99, &a, sizeof(a)), EBADF);
	EXPECT_ERR(SYS(bind, file, &a, sizeof(a)), ENOTSOCK);
	EXPECT_ERR(SYS(bind, s, BAD_ADDR, sizeof(a)), EFAULT);
	EXPECT_ERR(SYS(bind, s, &a, -1), EINVAL);
	EXPECT_ERR(SYS(bind, s, &a, 129), EINVAL);
	EXPECT_ERR(SYS(bind, s, &a, 8), EINVAL);
	EXPECT_ERR(SYS(bind, s, &un, sizeof(un)), EAFNOSUPPORT);
	EXPECT_ERR(SYS(bind, u, &a, sizeof(a)), EINVAL);
	a.sin_addr.s_addr = htonl(0x01020304);
	EXPECT_ERR(SYS(bind, s, &a, sizeof(a)), EADDRNOTAVAIL);
	a = loopback(0);
	EXPECT_EQ(SYS(bind, s, &a, sizeof(a)), 0);
	EXPECT_ERR(SYS(bind, s, &a, sizeof(a)), EINVAL); /* it has a name */
	EXPECT_EQ(SYS(getsockname, s, &got, &len), 0);
	EXPECT_EQ(len, sizeof(got));
	EXPECT_EQ(got.sin_port != 0, 1);
	EXPECT_ERR(SYS(bind, t, &got, sizeof(got)), EADDRINUSE);
	EXPECT_EQ(SYS(bind, u, &un, sizeof(un)), 0);
	EXPECT_ERR(
	    SYS(bind, new_socket(AF_UNIX, SOCK_STREAM), &un, sizeof(un)), EADDRINUSE);
	strcpy(un.sun_path, "/none/x");
	EXPECT_ERR(SYS(bind, new_socket(AF_UNIX, SOCK_STREAM), &un, sizeof(un)), ENOENT);
	EXPECT_ERR(SYS(listen, 99, 1), EBADF);
	EXPECT_ERR(SYS(listen, file, 1), ENOTSOCK);
	EXPECT_ERR(SYS(listen, d, 1), EOPNOTSUPP);
	EXPECT_ERR(SYS(listen, new_socket(AF_UNIX, SOCK_DGRAM), 1), EOPNOTSUPP);
	EXPECT_ERR(
	    SYS(listen, new_socket(AF_UNIX, SOCK_STREAM), 1), EINVAL); /* no name */
	EXPECT_EQ(SYS(listen, s, -1), 0);
	EXPECT_ERR(SYS(getsockname, 99, &got, &len), EBADF);
	EXPECT_ERR(SYS(getsockname, file, &got, &len), ENOTSOCK);
	EXPECT_ERR(SYS(getsockname, s, BAD_ADDR, &len), EFAULT);
	EXPECT_ERR(SYS(getsockname, s, &got, BAD_ADDR), EFAULT);
	len = (socklen_t)-1;
	EXPECT_ERR(SYS(getsockname, s, &got, &len), EINVAL);
	len = 4;
	EXPECT_EQ(
	    SYS(getsockname, s, &got, &len), 0); /* cut, and the whole length told */
	EXPECT_EQ(len, sizeof(got));
	EXPECT_ERR(SYS(getpeername, s, &got, &len), ENOTCONN);
	EXPECT_ERR(SYS(getpeername, 99, &got, &len), EBADF);
	EXPECT_ERR(SYS(getpeername, file, &got, &len), ENOTSOCK);
	EXPECT_ERR(SYS(getpeername, u, &got, &len), ENOTCONN);
}

/* proves: connect accept accept4 shutdown */
static void
connecting(void)
{
	struct sockaddr_in a = loopback(0), got;
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/none"};
	int l = new_socket(AF_INET, SOCK_STREAM), c = new_socket(AF_INET, SOCK_STREAM), s;
	int file = plain_file(), d = new_socket(AF_INET, SOCK_DGRAM);
	socklen_t len = sizeof(a);

	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(getsockname(l, (void *)&a, &len), 0);
	EXPECT_ERR(SYS(connect, c, &a, sizeof(a)), ECONNREFUSED);
	EXPECT_ERR(SYS(accept, l, NULL, NULL), EINVAL); /* it does not listen */
	CHECK_EQ(listen(l, 5), 0);
	EXPECT_ERR(SYS(connect, 99, &a, sizeof(a)), EBADF);
	EXPECT_ERR(SYS(connect, file, &a, sizeof(a)), ENOTSOCK);
	EXPECT_ERR(SYS(connect, c, BAD_ADDR, sizeof(a)), EFAULT);
	EXPECT_ERR(SYS(connect, c, &a, 1), EINVAL);
	EXPECT_ERR(SYS(connect, c, &a, -1), EINVAL);
	EXPECT_ERR(SYS(connect, c, &un, sizeof(un)), EAFNOSUPPORT);
	EXPECT_ERR(
	    SYS(connect, new_socket(AF_UNIX, SOCK_STREAM), &un, sizeof(un)), ENOENT);
	EXPECT_ERR(SYS(shutdown, c, SHUT_RD), ENOTCONN);
	EXPECT_EQ(SYS(connect, c, &a, sizeof(a)), 0);
	EXPECT_ERR(SYS(connect, c, &a, sizeof(a)), EISCONN);
	EXPECT_ERR(SYS(connect, l, &a, sizeof(a)), EISCONN);
	EXPECT_ERR(SYS(accept4, l, NULL, NULL, 1), EINVAL);
	EXPECT_ERR(SYS(accept, 99, NULL, NULL), EBADF);
	EXPECT_ERR(SYS(accept, file, NULL, NULL), ENOTSOCK);
	EXPECT_ERR(SYS(accept, d, NULL, NULL), EOPNOTSUPP);
	EXPECT_ERR(SYS(accept, new_socket(AF_UNIX, SOCK_STREAM), NULL, NULL), EINVAL);
	len = sizeof(got);
	s = (int)SYS(accept4, l, &got, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(s >= 0);
	EXPECT_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(len, sizeof(got));
	fcntl(l, F_SETFL, O_NONBLOCK);
	EXPECT_ERR(SYS(accept, l, NULL, NULL), EAGAIN);
	EXPECT_ERR(SYS(shutdown, s, 3), EINVAL);
	EXPECT_ERR(SYS(shutdown, s, -1), EINVAL);
	EXPECT_ERR(SYS(shutdown, 99, SHUT_WR), EBADF);
	EXPECT_ERR(SYS(shutdown, file, SHUT_WR), ENOTSOCK);
	EXPECT_EQ(SYS(shutdown, s, SHUT_WR), 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERR(write(s, "x", 1), EPIPE);
	EXPECT_EQ(read(c, &got, 1), 0);
	EXPECT_EQ(SYS(shutdown, c, SHUT_RDWR), 0);
	/* A datagram socket connects to nobody again by AF_UNSPEC. */
	EXPECT_EQ(SYS(connect, d, &a, sizeof(a)), 0);
	a.sin_family = AF_UNSPEC;
	EXPECT_EQ(SYS(connect, d, &a, sizeof(a)), 0);
	EXPECT_ERR(SYS(getpeername, d, &got, &len), ENOTCONN);
}

/* proves: sendto recvfrom sendmsg recvmsg */
static void
messages(void)
{
	struct sockaddr_in a = loopback(0);
	struct iovec v = {"data", 4}, in[1025];
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int sv[2], d = new_socket(AF_INET, SOCK_DGRAM), file = plain_file();
	int c = new_socket(AF_INET, SOCK_STREAM);
	socklen_t len = (socklen_t)-1;
	static char big[70000];
	char buf[16];

	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	EXPECT_ERR(SYS(sendto, 99, "x", 1, 0, NULL, 0), EBADF);
	EXPECT_ERR(SYS(sendto, file, "x", 1, 0, NULL, 0), ENOTSOCK);
	EXPECT_ERR(SYS(sendto, d, "x", 1, 0, NULL, 0), EDESTADDRREQ);
	EXPECT_ERR(SYS(sendto, c, "x", 1, 0, NULL, 0), EPIPE);
	EXPECT_ERR(SYS(sendto, sv[0], BAD_ADDR, 1, 0, NULL, 0), EFAULT);
	EXPECT_ERR(SYS(sendto, sv[0], "x", 1, MSG_OOB, NULL, 0), EOPNOTSUPP);
	EXPECT_ERR(SYS(sendto, d, "x", 1, 0, BAD_ADDR, sizeof(a)), EFAULT);
	EXPECT_ERR(SYS(sendto, d, "x", 1, 0, &a, -1), EINVAL);
	EXPECT_ERR(SYS(sendto, d, "x", 1, 0, &a, 8), EINVAL);
	EXPECT_ERR(SYS(sendto, d, "x", 1, 0, &a, sizeof(a)), EINVAL); /* port 0 */
	a = loopback(9);
	EXPECT_ERR(SYS(sendto, d, big, 65508, 0, &a, sizeof(a)), EMSGSIZE);
	EXPECT_ERR(SYS(recvfrom, 99, buf, 1, 0, NULL, NULL), EBADF);
	EXPECT_ERR(SYS(recvfrom, file, buf, 1, 0, NULL, NULL), ENOTSOCK);
	EXPECT_ERR(SYS(recvfrom, c, buf, 1, 0, NULL, NULL), ENOTCONN);
	EXPECT_ERR(SYS(recvfrom, sv[1], buf, 1, MSG_DONTWAIT, NULL, NULL), EAGAIN);
	EXPECT_ERR(SYS(recvfrom, sv[1], buf, 1, MSG_OOB, NULL, NULL), EOPNOTSUPP);
	EXPECT_EQ(SYS(sendto, sv[0], "abcdef", 6, 0, NULL, 0), 6);
	EXPECT_EQ(SYS(recvfrom, sv[1], buf, 2, MSG_PEEK, NULL, NULL), 2);
	EXPECT_EQ(SYS(recvfrom, sv[1], buf, 2, MSG_PEEK | MSG_TRUNC, NULL, NULL), 6);
	EXPECT_ERR(SYS(recvfrom, sv[1], buf, 2, 0, buf, &len), EINVAL);
	EXPECT_EQ(SYS(sendmsg, sv[0], &m, 0), 4);
	EXPECT_ERR(SYS(sendmsg, 99, &m, 0), EBADF);
	EXPECT_ERR(SYS(sendmsg, file, &m, 0), ENOTSOCK);
	EXPECT_ERR(SYS(sendmsg, sv[0], BAD_ADDR, 0), EFAULT);
	m.msg_iov = BAD_ADDR;
	EXPECT_ERR(SYS(sendmsg, sv[0], &m, 0), EFAULT);
	m.msg_iov = in;
	m.msg_iovlen = 1025;
	EXPECT_ERR(SYS(sendmsg, sv[0], &m, 0), EMSGSIZE);
	EXPECT_ERR(SYS(recvmsg, sv[1], &m, 0), EMSGSIZE);
	m = (struct msghdr){.msg_iov = in, .msg_iovlen = 1};
	in[0] = (struct iovec){buf, 2};
	EXPECT_ERR(SYS(recvmsg, 99, &m, 0), EBADF);
	EXPECT_ERR(SYS(recvmsg, file, &m, 0), ENOTSOCK);
	EXPECT_ERR(SYS(recvmsg, sv[1], BAD_ADDR, 0), EFAULT);
	EXPECT_EQ(SYS(recvmsg, sv[1], &m, 0), 2);
	EXPECT_EQ(m.msg_flags, MSG_TRUNC);
	EXPECT_ERR(SYS(recvmsg, sv[1], &m, MSG_DONTWAIT), EAGAIN);
	close(sv[1]);
	EXPECT_ERR(SYS(sendto, sv[0], "x", 1, 0, NULL, 0), ECONNREFUSED);
}

/* proves: sendmmsg recvmmsg */
static void
many_messages(void)
{
	struct timespec none = {0, 0}, bad = {0, -1};
	char text[2][4] = {"ab", "cde"}, buf[2][8];
	struct iovec out[2] = {{text[0], 2}, {text[1], 3}},
	             in[2] = {{buf[0], 8}, {buf[1], 8}};
	struct mmsghdr s[2] = {0}, r[2] = {0};
	int sv[2], file = plain_file();

	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	for (int i = 0; i < 2; i++) {
		s[i].msg_hdr.msg_iov = &out[i];
		r[i].msg_hdr.msg_iov = &in[i];
		s[i].msg_hdr.msg_iovlen = r[i].msg_hdr.msg_iovlen = 1;
	}
	EXPECT_EQ(SYS(sendmmsg, sv[0], s, 2, 0), 2);
	EXPECT_EQ(s[0].msg_len == 2 && s[1].msg_len == 3, 1);
	EXPECT_EQ(
	    SYS(recvmmsg, sv[1], r, 2, 0, &none), 1); /* the time was up after one */
	EXPECT_EQ(SYS(recvmmsg, sv[1], r, 2, MSG_DONTWAIT, NULL), 1);
	EXPECT_EQ(r[0].msg_len, 3);
	EXPECT_ERR(SYS(recvmmsg, sv[1], r, 2, MSG_DONTWAIT, NULL), EAGAIN);
	EXPECT_ERR(SYS(recvmmsg, sv[1], r, 2, 0, &bad), EINVAL);
	EXPECT_ERR(SYS(recvmmsg, sv[1], r, 2, 0, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(recvmmsg, 99, r, 2, 0, NULL), EBADF);
	EXPECT_ERR(SYS(recvmmsg, file, r, 2, 0, NULL), ENOTSOCK);
	EXPECT_ERR(SYS(sendmmsg, 99, s, 2, 0), EBADF);
	EXPECT_ERR(SYS(sendmmsg, file, s, 2, 0), ENOTSOCK);
	EXPECT_ERR(SYS(sendmmsg, sv[0], BAD_ADDR, 1, 0), EFAULT);
	EXPECT_EQ(SYS(sendmmsg, sv[0], s, 0, 0), 0);
	s[1].msg_hdr.msg_iov = BAD_ADDR;
	EXPECT_EQ(SYS(sendmmsg, sv[0], s, 2, 0), 1); /* up to the one that fails */
}

/* proves: setsockopt getsockopt */
static void
options(void)
{
	int s = new_socket(AF_INET, SOCK_STREAM), file = plain_file(), v = 1;
	int u = new_socket(AF_UNIX, SOCK_STREAM);
	struct timeval tv = {0, 1000000};
	struct linger l = {0, 0};
	socklen_t len = sizeof(v);

	EXPECT_ERR(SYS(setsockopt, 99, SOL_SOCKET, SO_REUSEADDR, &v, 4), EBADF);
	EXPECT_ERR(SYS(setsockopt, file, SOL_SOCKET, SO_REUSEADDR, &v, 4), ENOTSOCK);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, BAD_ADDR, 4), EFAULT);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &v, 3), EINVAL);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &v, -1), EINVAL);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, 9999, &v, 4), ENOPROTOOPT);
	EXPECT_ERR(SYS(setsockopt, s, IPPROTO_TCP, 9999, &v, 4), ENOPROTOOPT);
	EXPECT_ERR(SYS(setsockopt, s, 77, 1, &v, 4), ENOPROTOOPT);
	EXPECT_ERR(SYS(setsockopt, u, IPPROTO_TCP, TCP_NODELAY, &v, 4), EOPNOTSUPP);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_ERROR, &v, 4), ENOPROTOOPT);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_TYPE, &v, 4), ENOPROTOOPT);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
	EXPECT_ERR(SYS(setsockopt, s, SOL_SOCKET, SO_LINGER, &l, 4), EINVAL);
	EXPECT_EQ(SYS(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &v, 4), 0);
	v = 0;
	EXPECT_EQ(SYS(getsockopt, s, SOL_SOCKET, SO_REUSEADDR, &v, &len), 0);
	EXPECT_EQ(v == 1 && len == 4, 1);
	v = 0;
	len = 2;
	EXPECT_EQ(SYS(getsockopt, s, SOL_SOCKET, SO_TYPE, &v, &len), 0); /* cut */
	EXPECT_EQ(v == 1 && len == 2, 1);
	len = 4;
	EXPECT_EQ(SYS(getsockopt, s, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	EXPECT_EQ(v, 0);
	EXPECT_EQ(SYS(getsockopt, u, SOL_SOCKET, SO_DOMAIN, &v, &len), 0);
	EXPECT_EQ(v, AF_UNIX);
	EXPECT_ERR(SYS(getsockopt, 99, SOL_SOCKET, SO_TYPE, &v, &len), EBADF);
	EXPECT_ERR(SYS(getsockopt, file, SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
	EXPECT_ERR(SYS(getsockopt, s, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	EXPECT_ERR(SYS(getsockopt, s, SOL_SOCKET, SO_TYPE, BAD_ADDR, &len), EFAULT);
	EXPECT_ERR(SYS(getsockopt, s, SOL_SOCKET, SO_TYPE, &v, BAD_ADDR), EFAULT);
	len = (socklen_t)-1;
	EXPECT_ERR(SYS(getsockopt, s, SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
	len = 4;
	EXPECT_ERR(SYS(getsockopt, u, IPPROTO_TCP, 1, &v, &len), EOPNOTSUPP);
}

static const struct test tests[] = {
    TEST(making),
    TEST(naming),
    TEST(connecting),
    TEST(messages),
    TEST(many_messages),
    TEST(options),
};

RUN_TESTS(tests)
