/* What the tests of sockets share: addresses, ports, options in one line. */
#pragma once

#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline struct sockaddr_in
in(const char *addr, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, addr, &a.sin_addr);
	return a;
}

static inline struct sockaddr_in6
in6(const char *addr, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, addr, &a.sin6_addr);
	return a;
}

static inline int
port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	CHECK_EQ(getsockname(fd, (void *)&a, &len), 0);
	return ntohs(a.sin6_port); /* at the same place in both families */
}

static inline int
bound(const char *addr)
{
	struct sockaddr_in a = in(addr, 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	return fd;
}

static inline void
set(int fd, int level, int opt, int v)
{
	CHECK_EQ(setsockopt(fd, level, opt, &v, sizeof(v)), 0);
}

static inline int
get(int fd, int level, int opt)
{
	int v = 0;
	socklen_t len = sizeof(v);

	CHECK_EQ(getsockopt(fd, level, opt, &v, &len), 0);
	return v;
}
