/*
 * Who may have a port that connections still use: living ones, and those in TIME-WAIT. Linux's rules
 * (SO_REUSEADDR and SO_REUSEPORT in socket(7)), and RFC 6191 for a connection that takes over.
 */
#define _GNU_SOURCE
#include "tcp_util.h"

/* A socket at the loopback address and this port; -1 and errno: not allowed. */
static int
bound(uint16_t port, bool reuse)
{
	struct addr a = loopback(port);
	int fd = tcp_socket(0);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
	if (!bind(fd, &a.sa, a.len))
		return fd;
	close(fd);
	return -1;
}

static int
bound_listener(uint16_t port, bool reuse)
{
	int fd = bound(port, reuse);

	CHECK(fd >= 0);
	CHECK_EQ(listen(fd, 4), 0);
	return fd;
}

static void
read_end(int fd)
{
	char c;

	CHECK_EQ(read(fd, &c, 1), 0);
}

/* fd[0], the one that connected, and fd[1] close; that of `first` keeps TIME-WAIT. */
static void
close_both(int fd[2], int first)
{
	close(fd[first]);
	read_end(fd[!first]);
	close(fd[!first]);
	sleep_ms(20);
}

/* Connected to a listener that had the option or not, which is closed. */
static uint16_t
served(int fd[2], bool reuse)
{
	int l = bound_listener(0, reuse);
	uint16_t port = port_of(l);

	fd[0] = connect_to(port);
	fd[1] = accept(l, NULL, NULL);
	CHECK(fd[1] >= 0);
	close(l);
	return port;
}

static void
connection_keeps_its_port(void)
{
	int fd[2];
	uint16_t port = served(fd, false);

	CHECK_ERR(bound(port, false), EADDRINUSE);
	CHECK_ERR(bound(port, true), EADDRINUSE); /* its own socket did not allow it */
}

static void
connection_shares_its_port_when_both_allow(void)
{
	int fd[2];
	uint16_t port = served(fd, true);

	CHECK_ERR(bound(port, false), EADDRINUSE);
	(void)bound_listener(port, true);
}

static void
time_wait_keeps_the_servers_port(void)
{
	int fd[2];
	uint16_t port = served(fd, false);

	close_both(fd, 1);
	CHECK_ERR(bound(port, false), EADDRINUSE);
	CHECK_ERR(bound(port, true), EADDRINUSE);
}

static void
time_wait_gives_the_port_to_who_allows_as_it_did(void)
{
	int fd[2], l;
	uint16_t port = served(fd, true);

	close_both(fd, 1);
	CHECK_ERR(bound(port, false), EADDRINUSE);
	l = bound_listener(port, true);
	CHECK_EQ(write(connect_to(port), "x", 1), 1);
	CHECK(accept(l, NULL, NULL) >= 0);
}

static void
time_wait_keeps_the_clients_port(void)
{
	int fd[2];
	uint16_t port;

	(void)served(fd, true);
	port = port_of(fd[0]);
	close_both(fd, 0);
	CHECK_ERR(bound(port, false), EADDRINUSE);
	CHECK_ERR(bound(port, true), EADDRINUSE);
}

static void
last_ack_side_leaves_the_port_free(void)
{
	int fd[2];
	uint16_t port = served(fd, false), mine = port_of(fd[0]);

	close_both(fd, 0); /* the client waits, the server does not */
	CHECK(bound(port, false) >= 0);
	CHECK_ERR(bound(mine, false), EADDRINUSE);
}

static void
time_wait_hinders_any_address_but_not_another(void)
{
	struct addr any = loopback(0), other = loopback(0);
	int fd[2];
	uint16_t port = served(fd, false);

	close_both(fd, 1);
	if (family == AF_INET) {
		any.in.sin_addr.s_addr = 0;
		other.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
		other.in.sin_port = htons(port);
		CHECK_EQ(bind(tcp_socket(0), &other.sa, other.len), 0);
	} else {
		any.in6.sin6_addr = in6addr_any;
	}
	any.in.sin_port = htons(port);
	CHECK_ERR(bind(tcp_socket(0), &any.sa, any.len), EADDRINUSE);
}

/* A client that binds: connects, closes first, and comes again by the same tuple. */
static void
time_wait_is_taken_over_by_who_binds_its_port(void)
{
	int l = bound_listener(0, true), c = bound(0, true), fd[2];
	uint16_t port = port_of(l), mine = port_of(c);
	struct addr to = loopback(port);

	CHECK_EQ(connect(c, &to.sa, to.len), 0);
	fd[0] = c;
	fd[1] = accept(l, NULL, NULL);
	close_both(fd, 0);
	c = bound(mine, true);
	CHECK(c >= 0);
	CHECK_EQ(connect(c, &to.sa, to.len), 0);
	CHECK_EQ(port_of(c), mine);
	CHECK(accept(l, NULL, NULL) >= 0);
}

static void
reset_leaves_the_port_free(void)
{
	struct linger none = {1, 0};
	int fd[2];
	uint16_t port = served(fd, false);

	CHECK_EQ(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(fd[1]);
	CHECK_EQ(poll_for(fd[0], POLLIN) & POLLERR, POLLERR);
	CHECK(bound(port, false) >= 0);
}

/* Both ends shut down, the socket still open: it has left its port to TIME-WAIT, or holds it. */
static void
open_socket_in_time_wait_keeps_the_port(void)
{
	int fd[2];
	uint16_t port = served(fd, true);

	CHECK_EQ(shutdown(fd[1], SHUT_WR), 0);
	read_end(fd[0]);
	close(fd[0]);
	read_end(fd[1]);
	sleep_ms(20);
	CHECK_ERR(bound(port, false), EADDRINUSE);
	close(fd[1]);
	CHECK_ERR(bound(port, false), EADDRINUSE);
	CHECK(bound(port, true) >= 0);
}

static const struct test tests[] = {
    TEST(connection_keeps_its_port),
    TEST(connection_shares_its_port_when_both_allow),
    TEST(time_wait_keeps_the_servers_port),
    TEST(time_wait_gives_the_port_to_who_allows_as_it_did),
    TEST(time_wait_keeps_the_clients_port),
    TEST(last_ack_side_leaves_the_port_free),
    TEST(time_wait_hinders_any_address_but_not_another),
    TEST(time_wait_is_taken_over_by_who_binds_its_port),
    TEST(reset_leaves_the_port_free),
    TEST(open_socket_in_time_wait_keeps_the_port),
};

int
main(int argc, char **argv)
{
	return run_families(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
