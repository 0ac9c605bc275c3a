/* What the tests of AF_UNIX share. */
#pragma once

#include "tests/guest/check.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

struct name {
	struct sockaddr_un un;
	socklen_t len;
};

/* An address by path, with its NUL. */
static inline struct name
path_name(const char *path)
{
	struct name n = {.un = {.sun_family = AF_UNIX}};

	snprintf(n.un.sun_path, sizeof(n.un.sun_path), "%s", path);
	n.len = (socklen_t)(PATH_AT + strlen(path) + 1);
	return n;
}

/* An abstract address of this process's own. */
static inline struct name
abstract_name(const char *what)
{
	struct name n = {.un = {.sun_family = AF_UNIX}};

	n.len = (socklen_t)(PATH_AT + 1 +
	                    snprintf(n.un.sun_path + 1, sizeof(n.un.sun_path) - 1,
	                        "keel-%d-%s", getpid(), what));
	return n;
}

static inline int
bind_to(int fd, struct name n)
{
	return bind(fd, (struct sockaddr *)&n.un, n.len);
}

static inline int
connect_to(int fd, struct name n)
{
	return connect(fd, (struct sockaddr *)&n.un, n.len);
}

static inline int
unix_socket(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0);
	return fd;
}

static inline int
listener(int type, struct name n, int backlog)
{
	int fd = unix_socket(type);

	CHECK_EQ(bind_to(fd, n), 0);
	CHECK_EQ(listen(fd, backlog), 0);
	return fd;
}

static inline void
pair_of(int type, int sv[2])
{
	CHECK_EQ(socketpair(AF_UNIX, type, 0, sv), 0);
}

/* What poll says at once. */
static inline int
events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* A message of n bytes with a descriptor (-1: none). */
static inline ssize_t
send_fd(int sock, const void *data, size_t n, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {(void *)data, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&c, 0, sizeof(c));
	if (fd >= 0) {
		m.msg_control = c.room;
		m.msg_controllen = sizeof(c.room);
		c.align.cmsg_level = SOL_SOCKET;
		c.align.cmsg_type = SCM_RIGHTS;
		c.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	}
	return sendmsg(sock, &m, MSG_DONTWAIT);
}

/* Receives; *fd is the descriptor that came, or -1. */
static inline ssize_t
recv_fd(int sock, void *data, size_t n, int flags, int *fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {data, n};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.room,
	    .msg_controllen = sizeof(c.room)};
	struct cmsghdr *h;
	ssize_t got = recvmsg(sock, &m, flags);

	*fd = -1;
	if (got < 0)
		return got;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(h), sizeof(*fd));
	return got;
}
