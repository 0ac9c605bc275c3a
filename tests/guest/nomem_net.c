/* Out of memory in sockets of every family: see nomem.h. */
#define _GNU_SOURCE
#include "tests/guest/nomem.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char data[16384];

static void
close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int
open_each_family(void)
{
	static const int kinds[][3] = {{AF_UNIX, SOCK_STREAM, 0},
	    {AF_UNIX, SOCK_DGRAM, 0}, {AF_UNIX, SOCK_SEQPACKET, 0},
	    {AF_INET, SOCK_STREAM, 0}, {AF_INET, SOCK_DGRAM, 0},
	    {AF_INET6, SOCK_STREAM, 0}, {AF_INET6, SOCK_DGRAM, 0},
	    {AF_INET, SOCK_RAW, IPPROTO_UDP}, {AF_INET6, SOCK_RAW, IPPROTO_UDP},
	    {AF_PACKET, SOCK_RAW, 0}, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}};
	int error = 0;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds) && !error; i++) {
		int fd = socket(kinds[i][0], kinds[i][1], kinds[i][2]);

		error = error_of(fd);
		if (error == EPERM || error == EAFNOSUPPORT)
			error = 0;
		if (fd >= 0)
			close(fd);
	}
	return error;
}

static int
pair_of(int type)
{
	int fd[2], error;

	if (socketpair(AF_UNIX, type, 0, fd))
		return errno;
	error = error_of(send(fd[0], data, 9000, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (!error)
		error = error_of(recv(fd[1], data, sizeof(data), MSG_DONTWAIT));
	if (!error)
		error = error_of(shutdown(fd[0], SHUT_RDWR));
	close_all(fd, 2);
	return error;
}

static int
op_unix_stream(void)
{
	return pair_of(SOCK_STREAM);
}

static int
op_unix_dgram(void)
{
	return pair_of(SOCK_DGRAM);
}

static int
op_unix_seqpacket(void)
{
	return pair_of(SOCK_SEQPACKET);
}

static int
op_unix_connect(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/tmp/nomem.sock"};
	int fd[3] = {-1, -1, -1}, error;

	fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	error = error_of(fd[0]);
	if (!error)
		error = error_of(bind(fd[0], (void *)&name, sizeof(name)));
	if (!error)
		error = error_of(listen(fd[0], 5));
	if (!error)
		error = error_of(fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (!error)
		error = error_of(connect(fd[1], (void *)&name, sizeof(name)));
	if (!error)
		error = error_of(fd[2] = accept4(fd[0], NULL, NULL, SOCK_NONBLOCK));
	if (!error)
		error = error_of(write(fd[1], data, 100));
	close_all(fd, 3);
	if (unlink(name.sun_path) && errno != ENOENT && unlink(name.sun_path))
		error = errno;
	return error;
}

static int
op_unix_fds(void)
{
	union {
		char buf[CMSG_SPACE(3 * sizeof(int)) + CMSG_SPACE(64)];
		struct cmsghdr head;
	} control = {0};
	struct iovec io = {data, 10};
	struct msghdr m = {.msg_iov = &io,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = CMSG_SPACE(3 * sizeof(int))};
	int fd[2], sent[3] = {0, 1, 2}, got[3], error;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return errno;
	sent[2] = fd[1]; /* a socket in its own queue */
	control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
	    .cmsg_type = SCM_RIGHTS,
	    .cmsg_len = CMSG_LEN(sizeof(sent))};
	memcpy(CMSG_DATA(&control.head), sent, sizeof(sent));
	error = error_of(sendmsg(fd[0], &m, MSG_DONTWAIT));
	m.msg_controllen = sizeof(control.buf);
	memset(&control, 0, sizeof(control));
	if (!error)
		error = error_of(recvmsg(fd[1], &m, MSG_DONTWAIT));
	if (!error && control.head.cmsg_type == SCM_RIGHTS) {
		unsigned n =
		    (unsigned)(control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int);

		memcpy(got, CMSG_DATA(&control.head), n * sizeof(int));
		close_all(got, (int)n);
	}
	close_all(fd, 2);
	return error;
}

/* A socket that goes with its last message unread in it: the collector's case. */
static int
op_unix_cycle(void)
{
	union {
		char buf[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr head;
	} control = {0};
	struct iovec io = {data, 1};
	struct msghdr m = {.msg_iov = &io,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf)};
	int fd[2], error;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd))
		return errno;
	control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
	    .cmsg_type = SCM_RIGHTS,
	    .cmsg_len = CMSG_LEN(sizeof(fd))};
	memcpy(CMSG_DATA(&control.head), fd, sizeof(fd));
	error = error_of(sendmsg(fd[0], &m, MSG_DONTWAIT));
	close_all(fd, 2);
	return error;
}

/* What was lost for want of memory comes again in a second: too long for a test. */
static int
wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	if (poll(&p, 1, fail_left() ? 2000 : 50) == 1)
		return 0;
	return fail_left() ? ETIMEDOUT : ENOBUFS;
}

/* Bound to a port of the loopback that the kernel chooses; fills in the address. */
static int
bound(int family, int type, struct sockaddr_storage *name, socklen_t *len)
{
	struct sockaddr_in v4 = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, type | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return -1;
	*len = family == AF_INET ? sizeof(v4) : sizeof(v6);
	memcpy(name, family == AF_INET ? (void *)&v4 : (void *)&v6, *len);
	if (bind(fd, (void *)name, *len) || getsockname(fd, (void *)name, len)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int
datagram(int family)
{
	struct sockaddr_storage name;
	int fd[2] = {-1, -1}, error;
	socklen_t len;

	fd[0] = bound(family, SOCK_DGRAM, &name, &len);
	error = error_of(fd[0]);
	if (!error)
		error = error_of(fd[1] = socket(family, SOCK_DGRAM, 0));
	if (!error)
		error = error_of(connect(fd[1], (void *)&name, len));
	if (!error)
		error = error_of(send(fd[1], data, 5000, 0));
	if (!error)
		error = wait_for(fd[0], POLLIN);
	if (!error && recv(fd[0], data, sizeof(data), MSG_DONTWAIT) < 0 &&
	    errno != EAGAIN)
		error = errno;
	close_all(fd, 2);
	return error;
}

static int
op_udp4(void)
{
	return datagram(AF_INET);
}

static int
op_udp6(void)
{
	return datagram(AF_INET6);
}

static int
stream(int family)
{
	struct linger reset = {1, 0};
	struct sockaddr_storage name;
	int fd[3] = {-1, -1, -1}, error;
	socklen_t len;

	fd[0] = bound(family, SOCK_STREAM, &name, &len);
	error = error_of(fd[0]);
	if (!error)
		error = error_of(listen(fd[0], 5));
	if (!error)
		error = error_of(fd[1] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (!error)
		error = error_of(
		    setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	if (!error)
		error = error_of(connect(fd[1], (void *)&name, len));
	if (!error || error == EINPROGRESS)
		error = wait_for(fd[1], POLLOUT);
	if (!error)
		error = wait_for(fd[0], POLLIN);
	if (!error)
		error = error_of(fd[2] = accept4(fd[0], NULL, NULL, SOCK_NONBLOCK));
	if (!error)
		error = error_of(send(fd[1], data, sizeof(data), 0));
	if (!error)
		error = wait_for(fd[2], POLLIN);
	if (!error)
		error = error_of(recv(fd[2], data, sizeof(data), 0));
	close_all(fd, 3);
	return error;
}

static int
op_tcp4(void)
{
	return stream(AF_INET);
}

static int
op_tcp6(void)
{
	return stream(AF_INET6);
}

static int
op_raw(void)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_RAW, 253), error;

	if (fd < 0)
		return errno == EPERM ? 0 : errno;
	error = error_of(sendto(fd, data, 3000, 0, (void *)&to, sizeof(to)));
	close(fd);
	return error;
}

static int
op_packet(void)
{
	struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(0x88b5)), error;
	struct ifreq ifr = {.ifr_name = "lo"};

	if (fd < 0)
		return errno == EPERM ? 0 : errno;
	error = error_of(ioctl(fd, SIOCGIFINDEX, &ifr));
	lo.sll_ifindex = ifr.ifr_ifindex;
	if (!error)
		error = error_of(bind(fd, (void *)&lo, sizeof(lo)));
	if (!error)
		error = error_of(sendto(fd, data, 100, 0, (void *)&lo, sizeof(lo)));
	close(fd);
	return error;
}

static int
op_netlink(void)
{
	static const int dumps[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), error = 0;

	if (fd < 0)
		return errno;
	for (unsigned i = 0; i < 4 && !error; i++) {
		struct {
			struct nlmsghdr head;
			struct rtgenmsg gen;
		} ask = {{sizeof(ask), (unsigned short)dumps[i],
		             NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
		    {AF_UNSPEC}};
		const struct nlmsghdr *got = (const void *)data;
		int is_done = 0;

		error = error_of(send(fd, &ask, sizeof(ask), 0));
		while (!error && !is_done) {
			ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

			error = error_of(n);
			for (got = (const void *)data;
			     !error && NLMSG_OK(got, n) && !is_done;
			     got = NLMSG_NEXT(got, n))
				is_done = got->nlmsg_type == NLMSG_DONE ||
				          got->nlmsg_type == NLMSG_ERROR;
		}
	}
	close(fd);
	return error;
}

static int
op_multicast(void)
{
	struct ip_mreqn group = {
	    .imr_multiaddr.s_addr = htonl(0xef010203), .imr_ifindex = 1};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), error;

	if (fd < 0)
		return errno;
	error = error_of(
	    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
	close(fd);
	return error;
}

static const struct op ops[] = {
    {"socket", open_each_family, {ENOBUFS, ENFILE}},
    {"unix_stream", op_unix_stream, {ENOBUFS, ENFILE}},
    {"unix_dgram", op_unix_dgram, {ENOBUFS, ENFILE}},
    {"unix_seqpacket", op_unix_seqpacket, {ENOBUFS, ENFILE}},
    {"unix_connect", op_unix_connect, {ENOBUFS, ENFILE, ENOSPC}},
    {"unix_fds", op_unix_fds, {ENOBUFS, ENFILE}},
    {"unix_cycle", op_unix_cycle, {ENOBUFS, ENFILE}},
    {"udp4", op_udp4, {ENOBUFS, ENFILE}},
    {"udp6", op_udp6, {ENOBUFS, ENFILE}},
    {"tcp4", op_tcp4, {ENOBUFS, ENFILE}},
    {"tcp6", op_tcp6, {ENOBUFS, ENFILE}},
    {"raw", op_raw, {ENOBUFS, ENFILE}},
    {"packet", op_packet, {ENOBUFS, ENFILE}},
    {"netlink", op_netlink, {ENOBUFS, ENFILE}},
    {"multicast", op_multicast, {ENOBUFS, ENFILE}},
};

int
main(int argc, char **argv)
{
	int failed = 0;

	RUN_OPS(ops)
	return failed;
}
