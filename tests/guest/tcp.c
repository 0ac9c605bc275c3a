/*
 * TCP connections as programs see them, beginning, end, options and events, over the loopback interface, IPv4 and IPv6: what Linux answers is what is
 * expected here, so each test passes on the host too.
 */
#define _GNU_SOURCE
#include "tcp_util.h"

/* ---- Connecting ------------------------------------------------------------------------- */

static void
connects_and_says_hello(void)
{
	struct addr a = {.len = sizeof(a.in6)};
	char buf[16];
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "hello", 5), 5);
	CHECK_EQ(read(fd[1], buf, sizeof(buf)), 5);
	CHECK(!memcmp(buf, "hello", 5));
	CHECK_EQ(write(fd[1], "world!", 6), 6);
	CHECK_EQ(read(fd[0], buf, sizeof(buf)), 6);
	CHECK_EQ(getpeername(fd[0], &a.sa, &a.len), 0);
	CHECK_EQ(a.len, family == AF_INET ? sizeof(a.in) : sizeof(a.in6));
	CHECK_EQ(a.sa.sa_family, family);
}

static void
accept_tells_who_came(void)
{
	struct addr a = {.len = sizeof(a.in6)};
	uint16_t port;
	int l = listener(5, &port), c = connect_to(port), s;

	s = accept4(l, &a.sa, &a.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(s >= 0);
	CHECK_EQ(ntohs(family == AF_INET ? a.in.sin_port : a.in6.sin6_port), port_of(c));
	CHECK_EQ(port_of(s), port);
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s, F_GETFD) & FD_CLOEXEC);
}

static void
nobody_listens_refused(void)
{
	struct addr a;
	uint16_t port;
	int l = listener(1, &port), fd;

	close(l);
	fd = tcp_socket(0);
	a = loopback(port);
	CHECK_ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
	CHECK_EQ(so_error(fd), 0);
	CHECK_ERR(connect(fd, &a.sa, a.len), ECONNREFUSED); /* may be tried again */
}

static void
reconnect_after_refusal_succeeds(void)
{
	struct addr a;
	uint16_t port;
	int l = listener(1, &port), fd = tcp_socket(0);

	close(l);
	a = loopback(port);
	CHECK_ERR(connect(fd, &a.sa, a.len), ECONNREFUSED);
	l = listener(1, &port);
	a = loopback(port);
	CHECK_EQ(connect(fd, &a.sa, a.len), 0);
	CHECK_EQ(write(fd, "x", 1), 1);
}

static void
nonblocking_connect_goes_through_its_states(void)
{
	struct addr a;
	uint16_t port;
	int l = listener(1, &port), fd = tcp_socket(SOCK_NONBLOCK), err;

	a = loopback(port);
	err = connect(fd, &a.sa, a.len);
	CHECK(err == -1 && errno == EINPROGRESS);
	CHECK(poll_for(fd, POLLOUT) & POLLOUT);
	CHECK_EQ(so_error(fd), 0);
	CHECK_EQ(connect(fd, &a.sa, a.len), 0); /* once it says how it ended */
	CHECK_ERR(connect(fd, &a.sa, a.len), EISCONN);
	CHECK(accept(l, NULL, NULL) >= 0);
}

static void
nonblocking_connect_refused(void)
{
	struct addr a;
	uint16_t port;
	int l = listener(1, &port), fd = tcp_socket(SOCK_NONBLOCK), r;

	close(l);
	a = loopback(port);
	CHECK_ERR(connect(fd, &a.sa, a.len), EINPROGRESS);
	r = poll_for(fd, POLLOUT);
	CHECK_EQ(r, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM);
	CHECK_EQ(so_error(fd), ECONNREFUSED);
	CHECK_EQ(so_error(fd), 0);
	CHECK_ERR(connect(fd, &a.sa, a.len), ECONNABORTED);
	CHECK_ERR(connect(fd, &a.sa, a.len), EINPROGRESS);
}

static void
wrong_calls_fail_as_they_should(void)
{
	struct addr a = loopback(1);
	uint16_t port;
	char c;
	int fd = tcp_socket(0), l = listener(1, &port);

	CHECK_ERR(read(fd, &c, 1), ENOTCONN);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
	CHECK_ERR(getpeername(fd, &a.sa, &a.len), ENOTCONN);
	CHECK_ERR(shutdown(fd, SHUT_WR), ENOTCONN);
	CHECK_EQ(poll_now(fd, 0) & (POLLOUT | POLLHUP), POLLOUT | POLLHUP);
	CHECK_ERR(read(l, &c, 1), ENOTCONN);
	a = loopback(port);
	CHECK_ERR(connect(l, &a.sa, a.len), EISCONN);
	fd = connect_to(port);
	CHECK_ERR(connect(fd, &a.sa, a.len), EISCONN);
	CHECK_ERR(bind(fd, &a.sa, a.len), EINVAL);
	CHECK_ERR(listen(fd, 1), EINVAL);
}

static void
listening_port_is_taken(void)
{
	struct addr a;
	uint16_t port;
	int l = listener(1, &port), fd = tcp_socket(0);

	(void)l;
	a = loopback(port);
	CHECK_ERR(bind(fd, &a.sa, a.len), EADDRINUSE);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_ERR(bind(fd, &a.sa, a.len), EADDRINUSE);
}

static void
reuseport_shares_connections(void)
{
	int l[4], counts[4] = {0}, total = 0, busy = 0;
	struct addr a = loopback(0);

	for (int i = 0; i < 4; i++) {
		l[i] = tcp_socket(SOCK_NONBLOCK);
		set_int(l[i], SOL_SOCKET, SO_REUSEPORT, 1);
		CHECK_EQ(bind(l[i], &a.sa, a.len), 0);
		CHECK_EQ(listen(l[i], 64), 0);
		a = loopback(port_of(l[0]));
	}
	for (int i = 0; i < 64; i++)
		connect_to(port_of(l[0]));
	sleep_ms(50);
	for (int i = 0; i < 4; i++) {
		while (accept(l[i], NULL, NULL) >= 0)
			counts[i]++;
		total += counts[i];
		busy += counts[i] > 0;
	}
	CHECK_EQ(total, 64);
	CHECK(busy >= 3);
}

static void
connect_to_self_works(void)
{
	struct addr a = loopback(0);
	char c;
	int fd = tcp_socket(0);

	CHECK_EQ(bind(fd, &a.sa, a.len), 0);
	a = loopback(port_of(fd));
	CHECK_EQ(connect(fd, &a.sa, a.len), 0); /* simultaneous open */
	CHECK_EQ(write(fd, "s", 1), 1);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 's');
}

static void
dual_stack_listener_takes_v4(void)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6}, peer;
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a6);
	int l = socket(AF_INET6, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), s;

	CHECK_EQ(bind(l, (void *)&a6, sizeof(a6)), 0);
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(getsockname(l, (void *)&a6, &len), 0);
	a.sin_port = a6.sin6_port;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(connect(fd, (void *)&a, sizeof(a)), 0);
	len = sizeof(peer);
	s = accept(l, (void *)&peer, &len);
	CHECK(s >= 0);
	CHECK_EQ(len, sizeof(peer));
	CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
}

static void
v6only_listener_does_not(void)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a6);
	int l = socket(AF_INET6, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	set_int(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_EQ(bind(l, (void *)&a6, sizeof(a6)), 0);
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(getsockname(l, (void *)&a6, &len), 0);
	a.sin_port = a6.sin6_port;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_ERR(connect(fd, (void *)&a, sizeof(a)), ECONNREFUSED);
}

/* ---- Ending ------------------------------------------------------------------------------- */

static void
half_close_leaves_the_other_way(void)
{
	char buf[8];
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "ask", 3), 3);
	CHECK_EQ(shutdown(fd[0], SHUT_WR), 0);
	CHECK_EQ(read(fd[1], buf, 8), 3);
	CHECK_EQ(read(fd[1], buf, 8), 0);
	CHECK_EQ(poll_now(fd[1], 0), POLLIN | POLLRDNORM | POLLOUT | POLLRDHUP);
	CHECK_EQ(write(fd[1], "answer", 6), 6);
	CHECK_EQ(read(fd[0], buf, 8), 6);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(fd[1]);
	CHECK_EQ(read(fd[0], buf, 8), 0);
	CHECK_EQ(
	    poll_for(fd[0], POLLIN), POLLIN | POLLRDNORM | POLLOUT | POLLHUP | POLLRDHUP);
}

static void
close_gives_end_of_file_after_data(void)
{
	char buf[8];
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "last", 4), 4);
	close(fd[0]);
	CHECK_EQ(read(fd[1], buf, 8), 4);
	CHECK_EQ(read(fd[1], buf, 8), 0);
	CHECK_EQ(read(fd[1], buf, 8), 0);
}

static void
unread_data_at_close_resets(void)
{
	char buf[8];
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "unread", 6), 6);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	close(fd[1]);
	CHECK(poll_for(fd[0], POLLRDHUP) & POLLERR);
	CHECK_ERR(read(fd[0], buf, 8), ECONNRESET);
	CHECK_EQ(read(fd[0], buf, 8), 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void
zero_linger_resets(void)
{
	struct linger lin = {.l_onoff = 1};
	char c;
	int fd[2];

	pair(fd);
	CHECK_EQ(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &lin, sizeof(lin)), 0);
	close(fd[0]);
	CHECK(poll_for(fd[1], POLLRDHUP) & POLLERR);
	CHECK_ERR(read(fd[1], &c, 1), ECONNRESET);
}

static void
write_after_peer_is_gone_breaks_the_pipe(void)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	pair(fd);
	close(fd[1]);
	CHECK(poll_for(fd[0], POLLIN) & POLLIN);
	CHECK_EQ(write(fd[0], "x", 1), 1); /* answered by a reset */
	CHECK(poll_for(fd[0], POLLHUP) & POLLHUP);
	CHECK_ERR(write(fd[0], "x", 1), EPIPE);
}

static void
broken_pipe_signals_unless_told_not_to(void)
{
	int fd[2];

	signal(SIGPIPE, on_signal);
	pair(fd);
	CHECK_EQ(shutdown(fd[0], SHUT_WR), 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(got_signal, 0);
	CHECK_ERR(send(fd[0], "x", 1, 0), EPIPE);
	CHECK_EQ(got_signal, SIGPIPE);
}

static void
shutdown_of_reading_gives_end_of_file(void)
{
	char c;
	int fd[2];

	pair(fd);
	CHECK_EQ(shutdown(fd[0], SHUT_RD), 0);
	CHECK_EQ(read(fd[0], &c, 1), 0);
	CHECK(poll_now(fd[0], 0) & POLLRDHUP);
	CHECK_EQ(write(fd[0], "x", 1), 1);
}

static void
closed_listener_resets_its_queue(void)
{
	/* Often: the last ACK of the handshake may be on its way while the listener closes. */
	for (int i = 0; i < 300; i++) {
		uint16_t port;
		char c;
		int l = listener(4, &port), fd = connect_to(port);

		close(l);
		CHECK(poll_for(fd, POLLRDHUP) & POLLERR);
		CHECK_ERR(read(fd, &c, 1), ECONNRESET);
		close(fd);
	}
}

static void
disconnect_makes_it_new(void)
{
	struct sockaddr sa = {.sa_family = AF_UNSPEC};
	struct addr a;
	uint16_t port;
	char c;
	int l = listener(4, &port), fd = connect_to(port);

	(void)l;
	CHECK_EQ(connect(fd, &sa, sizeof(sa)), 0);
	CHECK_ERR(read(fd, &c, 1), ECONNRESET);
	CHECK_ERR(read(fd, &c, 1), ENOTCONN);
	a = loopback(port);
	CHECK_EQ(connect(fd, &a.sa, a.len), 0);
}

/* ---- Options, ioctls, events ----------------------------------------------------------------------- */

static void
options_keep_what_was_set(void)
{
	static const struct {
		int opt, first, set, then;
	} rows[] = {
	    {TCP_NODELAY, 0, 1, 1},
	    {TCP_KEEPIDLE, 7200, 60, 60},
	    {TCP_KEEPINTVL, 75, 10, 10},
	    {TCP_KEEPCNT, 9, 3, 3},
	    {TCP_SYNCNT, 6, 2, 2},
	    {TCP_USER_TIMEOUT, 0, 5000, 5000},
	    {TCP_CORK, 0, 1, 1},
	    {TCP_NOTSENT_LOWAT, 0, 16384, 16384},
	};
	int fd = tcp_socket(0), bad = 0;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].opt != TCP_NOTSENT_LOWAT)
			CHECK_EQ(get_int(fd, IPPROTO_TCP, rows[i].opt), rows[i].first);
		set_int(fd, IPPROTO_TCP, rows[i].opt, rows[i].set);
		CHECK_EQ(get_int(fd, IPPROTO_TCP, rows[i].opt), rows[i].then);
	}
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &bad, sizeof(bad)), EINVAL);
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, 9999, &bad, sizeof(bad)), ENOPROTOOPT);
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &bad, 1), EINVAL);
}

static void
congestion_control_has_names(void)
{
	char name[16] = "";
	socklen_t len = sizeof(name);
	int fd = tcp_socket(0);

	CHECK_EQ(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	CHECK_EQ(len, 16);
	CHECK(!strcmp(name, "reno"));
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8), ENOENT);
}

/* TCP_SAVE_SYN, TCP_SAVED_SYN: a server looks at the headers of the SYN, once. */
static int
accepted_with(int l, uint16_t port)
{
	int c = connect_to(port), a = accept(l, NULL, NULL);

	CHECK(a >= 0);
	close(c);
	return a;
}

static void
saved_syn_is_given_once(void)
{
	enum { SAVE_SYN = 27, SAVED_SYN = 28, LINK = 14 };
	uint16_t port;
	int l = listener(4, &port), a, v = -1;
	unsigned ip = family == AF_INET ? 20 : 40, want = ip + 40;
	uint8_t data[256];
	socklen_t len = sizeof(data);

	CHECK_ERR(setsockopt(l, IPPROTO_TCP, SAVE_SYN, &v, sizeof(v)), EINVAL);
	v = 3;
	CHECK_ERR(setsockopt(l, IPPROTO_TCP, SAVE_SYN, &v, sizeof(v)), EINVAL);
	a = accepted_with(l, port);
	CHECK_EQ(getsockopt(a, IPPROTO_TCP, SAVED_SYN, data, &len), 0);
	CHECK_EQ(len, 0);
	close(a);
	for (v = 1; v <= 2; v++) {
		unsigned link = v == 2 ? LINK : 0;

		CHECK_EQ(setsockopt(l, IPPROTO_TCP, SAVE_SYN, &v, sizeof(v)), 0);
		CHECK_EQ(get_int(l, IPPROTO_TCP, SAVE_SYN), v);
		a = accepted_with(l, port);
		CHECK_EQ(get_int(a, IPPROTO_TCP, SAVE_SYN), v);
		len = want + link - 1;
		CHECK_ERR(getsockopt(a, IPPROTO_TCP, SAVED_SYN, data, &len), EINVAL);
		CHECK_EQ(len, want + link);
		len = sizeof(data);
		CHECK_EQ(getsockopt(a, IPPROTO_TCP, SAVED_SYN, data, &len), 0);
		CHECK_EQ(len, want + link);
		CHECK_EQ(data[link] >> 4, family == AF_INET ? 4 : 6);
		CHECK_EQ(data[link + ip + 2] << 8 | data[link + ip + 3], port);
		CHECK_EQ(data[link + ip + 13] & 0x3f, 2); /* SYN, with or without ECN's */
		len = sizeof(data);
		CHECK_EQ(getsockopt(a, IPPROTO_TCP, SAVED_SYN, data, &len), 0);
		CHECK_EQ(len, 0);
		close(a);
	}
	a = accepted_with(l, port); /* never asked for */
	close(a);
	close(l);
}

static void
tcp_info_tells_the_state(void)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "12345", 5), 5);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	sleep_ms(50);
	CHECK_EQ(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	CHECK(len >= 104);
	CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	CHECK(info.tcpi_options & TCPI_OPT_SACK);
	CHECK(info.tcpi_options & TCPI_OPT_TIMESTAMPS);
	CHECK(info.tcpi_snd_mss > 500);
	CHECK(info.tcpi_rto > 100000);
	len = 8;
	CHECK_EQ(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	CHECK_EQ(len, 8);
}

static void
queues_can_be_measured(void)
{
	char buf[16];
	int fd[2], n = -1;

	pair(fd);
	CHECK_EQ(write(fd[0], "1234567", 7), 7);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(ioctl(fd[1], SIOCINQ, &n), 0);
	CHECK_EQ(n, 7);
	CHECK_EQ(read(fd[1], buf, 3), 3);
	CHECK_EQ(ioctl(fd[1], FIONREAD, &n), 0);
	CHECK_EQ(n, 4);
	sleep_ms(60);
	CHECK_EQ(ioctl(fd[0], SIOCOUTQ, &n), 0);
	CHECK_EQ(n, 0);
}

static void
poll_tells_what_holds(void)
{
	uint16_t port;
	int l = listener(4, &port), fd[2];

	CHECK_EQ(poll_now(l, 0), 0);
	fd[0] = connect_to(port);
	CHECK_EQ(poll_for(l, POLLIN), POLLIN | POLLRDNORM);
	fd[1] = accept(l, NULL, NULL);
	CHECK_EQ(poll_now(l, 0), 0);
	CHECK_EQ(poll_now(fd[1], 0), POLLOUT);
	CHECK_EQ(write(fd[0], "x", 1), 1);
	CHECK_EQ(poll_for(fd[1], POLLIN), POLLIN | POLLRDNORM | POLLOUT);
	close(fd[0]);
	CHECK_EQ(poll_for(fd[1], POLLRDHUP), POLLIN | POLLRDNORM | POLLOUT | POLLRDHUP);
}

static void
epoll_edges_come_once(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP}, out[4];
	char buf[16];
	int fd[2], ep = epoll_create1(0);

	pair(fd);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev), 0);
	CHECK_EQ(epoll_wait(ep, out, 4, 0), 0);
	CHECK_EQ(write(fd[0], "ab", 2), 2);
	CHECK_EQ(epoll_wait(ep, out, 4, 1000), 1);
	CHECK_EQ(out[0].events, EPOLLIN);
	CHECK_EQ(epoll_wait(ep, out, 4, 20), 0);
	CHECK_EQ(read(fd[1], buf, 1), 1);
	CHECK_EQ(epoll_wait(ep, out, 4, 20), 0);
	CHECK_EQ(write(fd[0], "cd", 2), 2);
	CHECK_EQ(epoll_wait(ep, out, 4, 1000), 1);
	CHECK_EQ(read(fd[1], buf, 16), 3);
	close(fd[0]);
	CHECK_EQ(epoll_wait(ep, out, 4, 1000), 1);
	CHECK_EQ(out[0].events, EPOLLIN | EPOLLRDHUP);
}

static void
accept_wakes_a_sleeper(void)
{
	uint16_t port;
	int l = listener(4, &port), status;
	pid_t pid = fork();

	if (pid == 0) {
		sleep_ms(50);
		connect_to(port);
		_exit(0);
	}
	CHECK(accept(l, NULL, NULL) >= 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

static void
deferred_accept_waits_for_data(void)
{
	uint16_t port;
	int l = listener(4, &port), fd;

	set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	fd = connect_to(port);
	CHECK_EQ(poll_now(l, 50) & POLLIN, 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK(poll_for(l, POLLIN) & POLLIN);
}

static void
many_connections_come_and_go(void)
{
	uint16_t port;
	int l = listener(128, &port), c, s;
	char buf[4];

	for (int i = 0; i < 500; i++) {
		c = connect_to(port);
		s = accept(l, NULL, NULL);
		CHECK(s >= 0);
		CHECK_EQ(write(c, "ping", 4), 4);
		CHECK_EQ(read(s, buf, 4), 4);
		CHECK_EQ(write(s, "pong", 4), 4);
		CHECK_EQ(read(c, buf, 4), 4);
		close(i & 1 ? c : s);
		close(i & 1 ? s : c);
	}
}

static void
many_connections_at_once(void)
{
	enum { N = 400 };
	static int c[N], s[N];
	uint16_t port;
	int l = listener(128, &port), n;

	for (int i = 0; i < N; i++) {
		c[i] = connect_to(port);
		s[i] = accept(l, NULL, NULL);
		CHECK(s[i] >= 0);
	}
	for (int i = 0; i < N; i++)
		CHECK_EQ(write(c[i], &i, sizeof(i)), sizeof(i));
	for (int i = 0; i < N; i++) {
		CHECK_EQ(read(s[i], &n, sizeof(n)), sizeof(n));
		CHECK_EQ(n, i);
	}
}

static void
proc_net_tcp_lists_listeners(void)
{
	char line[512], want[32];
	uint16_t port;
	int l = listener(4, &port), found = 0;
	FILE *f = fopen(family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "r");

	(void)l;
	CHECK(f != NULL);
	if (family == AF_INET)
		snprintf(want, sizeof(want), " 0100007F:%04X 00000000:0000 0A", port);
	else
		snprintf(want, sizeof(want), "01000000:%04X", port);
	CHECK(fgets(line, sizeof(line), f) != NULL);
	CHECK(!strncmp(line, "  sl  local_address ", 20));
	if (family == AF_INET)
		CHECK_EQ(strlen(line), 150);
	while (fgets(line, sizeof(line), f))
		found += strstr(line, want) && strstr(line, " 0A ");
	CHECK_EQ(found, 1);
}

static const struct test tests[] = {
    TEST(connects_and_says_hello),
    TEST(accept_tells_who_came),
    TEST(nobody_listens_refused),
    TEST(reconnect_after_refusal_succeeds),
    TEST(nonblocking_connect_goes_through_its_states),
    TEST(nonblocking_connect_refused),
    TEST(wrong_calls_fail_as_they_should),
    TEST(listening_port_is_taken),
    TEST(reuseport_shares_connections),
    TEST(connect_to_self_works),
    TEST(half_close_leaves_the_other_way),
    TEST(close_gives_end_of_file_after_data),
    TEST(unread_data_at_close_resets),
    TEST(zero_linger_resets),
    TEST(write_after_peer_is_gone_breaks_the_pipe),
    TEST(broken_pipe_signals_unless_told_not_to),
    TEST(shutdown_of_reading_gives_end_of_file),
    TEST(closed_listener_resets_its_queue),
    TEST(disconnect_makes_it_new),
    TEST(options_keep_what_was_set),
    TEST(congestion_control_has_names),
    TEST(saved_syn_is_given_once),
    TEST(tcp_info_tells_the_state),
    TEST(queues_can_be_measured),
    TEST(poll_tells_what_holds),
    TEST(epoll_edges_come_once),
    TEST(accept_wakes_a_sleeper),
    TEST(deferred_accept_waits_for_data),
    TEST(many_connections_come_and_go),
    TEST(many_connections_at_once),
    TEST(proc_net_tcp_lists_listeners),
};

static const struct test once[] = {
    TEST(dual_stack_listener_takes_v4),
    TEST(v6only_listener_does_not),
};

int
main(int argc, char **argv)
{
	int failed = run_families(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);

	for (unsigned i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (argc < 2 || !strcmp(argv[1], once[i].name))
			failed += run_test(&once[i]);
	return failed;
}
