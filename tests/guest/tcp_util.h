/* What the programs that test TCP share: sockets at the loopback interface, in either family. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

enum { SIOCINQ = FIONREAD, SIOCOUTQ = TIOCOUTQ };

static int family = AF_INET;

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static inline struct addr
loopback(uint16_t port)
{
	struct addr a = {.len = 0};

	if (family == AF_INET) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a.len = sizeof(a.in);
	} else {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		a.in6.sin6_addr = in6addr_loopback;
		a.len = sizeof(a.in6);
	}
	return a;
}

static inline uint16_t
port_of(int fd)
{
	struct addr a = {.len = sizeof(a.in6)};

	CHECK_EQ(getsockname(fd, &a.sa, &a.len), 0);
	return ntohs(family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static inline int
tcp_socket(int flags)
{
	int fd = socket(family, SOCK_STREAM | flags, 0);

	CHECK(fd >= 0);
	return fd;
}

static inline int
listener(int backlog, uint16_t *port)
{
	struct addr a = loopback(0);
	int fd = tcp_socket(0);

	CHECK_EQ(bind(fd, &a.sa, a.len), 0);
	CHECK_EQ(listen(fd, backlog), 0);
	*port = port_of(fd);
	return fd;
}

static inline int
connect_to(uint16_t port)
{
	struct addr a = loopback(port);
	int fd = tcp_socket(0);

	CHECK_EQ(connect(fd, &a.sa, a.len), 0);
	return fd;
}

/* Two ends of one connection. */
static inline void
pair(int fd[2])
{
	uint16_t port;
	int l = listener(1, &port);

	fd[0] = connect_to(port);
	fd[1] = accept(l, NULL, NULL);
	CHECK(fd[1] >= 0);
	close(l);
}

static inline int
poll_now(int fd, int timeout_ms)
{
	struct pollfd p = {
	    .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM};

	CHECK(poll(&p, 1, timeout_ms) >= 0);
	return p.revents;
}

/* Waits (a second at most) until these bits hold, and tells all that do. */
static inline int
poll_for(int fd, int bits)
{
	struct pollfd p = {.fd = fd, .events = (short)bits};

	CHECK_EQ(poll(&p, 1, 1000), 1);
	return poll_now(fd, 0);
}

static inline int
so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	return err;
}

static inline void
set_nonblock(int fd)
{
	CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static inline void
set_int(int fd, int level, int opt, int val)
{
	CHECK_EQ(setsockopt(fd, level, opt, &val, sizeof(val)), 0);
}

static inline int
get_int(int fd, int level, int opt)
{
	int val = -1;
	socklen_t len = sizeof(val);

	CHECK_EQ(getsockopt(fd, level, opt, &val, &len), 0);
	return val;
}

static volatile int got_signal;

static inline void
on_signal(int sig)
{
	got_signal = sig;
}

/* The arguments of these programs: [4|6|NAME [4|6]]. */

static inline int
run_families(const struct test *tests, unsigned num, int argc, char **argv)
{
	const char *last = argv[argc - 1];
	bool only4 = argc > 1 && !strcmp(last, "4"),
	     only6 = argc > 1 && !strcmp(last, "6");
	const char *name = argc > 1 + (only4 || only6) ? argv[1] : NULL;
	int failed = 0;

	for (int v = 0; v < 2; v++) {
		if (v ? only4 : only6)
			continue;
		family = v ? AF_INET6 : AF_INET;
		printf("# IPv%c\n", v ? '6' : '4');
		for (unsigned i = 0; i < num; i++)
			if (!name || !strcmp(name, tests[i].name))
				failed += run_test(&tests[i]);
	}
	return failed;
}
