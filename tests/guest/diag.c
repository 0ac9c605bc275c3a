/* Sockets told of by netlink (sock_diag(7)), as ss asks. On Linux the modules must be there. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LISTEN = 10, ESTABLISHED = 1, TIME_WAIT = 6, ALL = 0xfff, MANY = 300 };

static char answer[65536];

static int
open_diag(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	struct timeval limit = {.tv_sec = 5};

	CHECK(fd >= 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

static void
ask(int fd, int flags, const void *body, size_t len)
{
	struct {
		struct nlmsghdr h;
		char body[128];
	} q = {.h = {.nlmsg_len = sizeof(q.h) + len,
	           .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	           .nlmsg_flags = NLM_F_REQUEST | flags,
	           .nlmsg_seq = 7}};

	memcpy(q.body, body, len);
	CHECK_EQ(send(fd, &q, q.h.nlmsg_len, 0), q.h.nlmsg_len);
}

/* Calls fn for each object of a dump; returns how many there were, or the error's number. */
static long
read_all(int fd, void (*fn)(const struct nlmsghdr *, void *), void *arg)
{
	long n = 0;

	for (;;) {
		long len = recv(fd, answer, sizeof(answer), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)answer;

		CHECK(len > 0);
		for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			CHECK_EQ(h->nlmsg_seq, 7);
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (h->nlmsg_type == NLMSG_DONE)
				return n;
			CHECK_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
			n++;
			if (fn)
				fn(h, arg);
			if (!(h->nlmsg_flags & NLM_F_MULTI))
				return n;
		}
	}
}

static const struct rtattr *
attr_of(const struct nlmsghdr *h, size_t header, int type)
{
	const struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(header));
	long len = h->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(header));

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type)
			return a;
	return NULL;
}

struct pair {
	int listener, client, server;
	uint16_t port, client_port;
};

static struct pair
tcp_pair(int backlog)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	struct pair p = {.listener = socket(AF_INET, SOCK_STREAM, 0)};

	CHECK_EQ(bind(p.listener, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(p.listener, backlog), 0);
	CHECK_EQ(getsockname(p.listener, (void *)&a, &len), 0);
	p.port = ntohs(a.sin_port);
	p.client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(p.client, (void *)&a, sizeof(a)), 0);
	p.server = accept(p.listener, NULL, NULL);
	CHECK(p.server >= 0);
	len = sizeof(a);
	CHECK_EQ(getsockname(p.client, (void *)&a, &len), 0);
	p.client_port = ntohs(a.sin_port);
	return p;
}

struct wanted {
	uint16_t port, peer_port;
	unsigned found;
	struct inet_diag_msg msg;
	struct tcp_info info;
	char cong[16];
};

static void
pick(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct wanted *w = arg;
	const struct rtattr *a;

	if (ntohs(m->id.idiag_sport) != w->port ||
	    ntohs(m->id.idiag_dport) != w->peer_port)
		return;
	w->found++;
	w->msg = *m;
	a = attr_of(h, sizeof(*m), INET_DIAG_INFO);
	if (a)
		memcpy(&w->info, RTA_DATA(a),
		    RTA_PAYLOAD(a) < sizeof(w->info) ? RTA_PAYLOAD(a) : sizeof(w->info));
	a = attr_of(h, sizeof(*m), INET_DIAG_CONG);
	if (a)
		strncpy(w->cong, RTA_DATA(a), sizeof(w->cong) - 1);
}

static void
listeners_and_connections_are_told(void)
{
	struct pair p = tcp_pair(5);
	struct inet_diag_req_v2 req = {.sdiag_family = AF_INET,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1),
	    .idiag_states = 1 << LISTEN};
	struct wanted w = {.port = p.port};
	int fd = open_diag();

	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick, &w) >= 1);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.msg.idiag_state, LISTEN);
	CHECK_EQ(w.msg.idiag_family, AF_INET);
	CHECK_EQ(w.msg.idiag_wqueue, 5);
	CHECK_EQ(w.msg.idiag_rqueue, 0);
	CHECK_EQ(w.msg.id.idiag_src[0], htonl(INADDR_LOOPBACK));
	CHECK_EQ(w.info.tcpi_sacked, 5);

	CHECK_EQ(send(p.client, "hello", 5, 0), 5);
	usleep(100000);
	req.idiag_states = 1 << ESTABLISHED;
	w = (struct wanted){.port = p.port, .peer_port = p.client_port};
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick, &w) >= 2);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.msg.idiag_state, ESTABLISHED);
	CHECK_EQ(w.msg.idiag_rqueue, 5);
	CHECK_EQ(w.info.tcpi_state, ESTABLISHED);
	CHECK_EQ(w.info.tcpi_bytes_received, 5);
	CHECK(w.cong[0]);
	CHECK(w.msg.idiag_inode != 0);
}

static void
one_connection_is_found_by_its_addresses(void)
{
	struct pair p = tcp_pair(5);
	struct inet_diag_req_v2 req = {.sdiag_family = AF_INET,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = ALL,
	    .id = {.idiag_sport = htons(p.port),
	        .idiag_dport = htons(p.client_port),
	        .idiag_src = {htonl(INADDR_LOOPBACK)},
	        .idiag_dst = {htonl(INADDR_LOOPBACK)},
	        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
	struct wanted w = {.port = p.port, .peer_port = p.client_port};
	int fd = open_diag();

	ask(fd, 0, &req, sizeof(req));
	CHECK_EQ(read_all(fd, pick, &w), 1);
	CHECK_EQ(w.found, 1);
	/* By its cookie too, and by no other. */
	memcpy(req.id.idiag_cookie, w.msg.id.idiag_cookie, 8);
	ask(fd, 0, &req, sizeof(req));
	CHECK_EQ(read_all(fd, pick, &w), 1);
	req.id.idiag_cookie[0] ^= 0x1000;
	ask(fd, 0, &req, sizeof(req));
	CHECK(read_all(fd, pick, &w) < 0);
	memset(req.id.idiag_cookie, 0xff, 8);
	req.id.idiag_dport = htons(1);
	req.id.idiag_sport = htons(1);
	ask(fd, 0, &req, sizeof(req));
	CHECK_EQ(read_all(fd, pick, &w), -ENOENT);
}

static void
time_wait_is_told(void)
{
	struct pair p = tcp_pair(5);
	struct inet_diag_req_v2 req = {.sdiag_family = AF_INET,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = 1 << TIME_WAIT};
	struct wanted w = {.port = p.client_port, .peer_port = p.port};
	int fd = open_diag();

	close(p.client);
	usleep(50000);
	close(p.server);
	usleep(100000);
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick, &w) >= 1);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.msg.idiag_state, TIME_WAIT);
	CHECK_EQ(w.msg.idiag_timer, 3);
	CHECK(w.msg.idiag_expires > 10000 && w.msg.idiag_expires <= 60000);
	CHECK_EQ(w.msg.idiag_inode, 0);
}

static void
udp_and_ipv6_are_told(void)
{
	struct sockaddr_in6 a = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(a);
	struct inet_diag_req_v2 req = {
	    .sdiag_family = AF_INET6, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ALL};
	struct wanted w = {0};
	int s = socket(AF_INET6, SOCK_DGRAM, 0), fd = open_diag();

	CHECK_EQ(bind(s, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(getsockname(s, (void *)&a, &len), 0);
	w.port = ntohs(a.sin6_port);
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick, &w) >= 1);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.msg.idiag_state, 7);
	CHECK(!memcmp(w.msg.id.idiag_src, &in6addr_loopback, 16));
	req.sdiag_family = AF_INET;
	w.found = 0;
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	(void)read_all(fd, pick, &w);
	CHECK_EQ(w.found, 0);
}

static void
count_port(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct wanted *w = arg;

	w->found += ntohs(m->id.idiag_dport) == w->port;
}

/* More than fits a buffer: each exactly once. */
static void
many_connections_take_many_pieces(void)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = open_diag();
	struct inet_diag_req_v2 req = {.sdiag_family = AF_INET,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
	    .idiag_states = 1 << ESTABLISHED};
	struct wanted w = {0};

	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(l, MANY), 0);
	CHECK_EQ(getsockname(l, (void *)&a, &len), 0);
	w.port = ntohs(a.sin_port);
	for (int i = 0; i < MANY; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0);

		CHECK_EQ(connect(c, (void *)&a, sizeof(a)), 0);
		CHECK(accept(l, NULL, NULL) >= 0);
	}
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, count_port, &w) >= 2 * MANY);
	CHECK_EQ(w.found, MANY);
}

struct unix_wanted {
	unsigned found;
	const char *name;
	size_t len;
	struct unix_diag_msg msg;
	uint32_t rqueue, wqueue, peer;
};

static void
pick_unix(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a = attr_of(h, sizeof(*m), UNIX_DIAG_NAME);
	struct unix_wanted *w = arg;

	if (!a || RTA_PAYLOAD(a) != w->len || memcmp(RTA_DATA(a), w->name, w->len) != 0)
		return;
	w->found++;
	w->msg = *m;
	a = attr_of(h, sizeof(*m), UNIX_DIAG_RQLEN);
	if (a) {
		w->rqueue = ((struct unix_diag_rqlen *)RTA_DATA(a))->udiag_rqueue;
		w->wqueue = ((struct unix_diag_rqlen *)RTA_DATA(a))->udiag_wqueue;
	}
}

static void
unix_sockets_are_told(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0diag-test"};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 10;
	struct unix_diag_req req = {.sdiag_family = AF_UNIX,
	    .udiag_states = -1,
	    .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN | UDIAG_SHOW_PEER};
	struct unix_wanted w = {.name = a.sun_path, .len = 10};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = open_diag();

	CHECK_EQ(bind(s, (void *)&a, len), 0);
	CHECK_EQ(listen(s, 3), 0);
	CHECK_EQ(connect(c, (void *)&a, len), 0);
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick_unix, &w) >= 2);
	CHECK(w.found >= 1);
	req.udiag_states = 1 << LISTEN;
	w.found = 0;
	ask(fd, NLM_F_DUMP, &req, sizeof(req));
	CHECK(read_all(fd, pick_unix, &w) >= 1);
	CHECK_EQ(w.found, 1);
	CHECK_EQ(w.msg.udiag_type, SOCK_STREAM);
	CHECK_EQ(w.msg.udiag_state, LISTEN);
	CHECK_EQ(w.rqueue, 1);
	CHECK_EQ(w.wqueue, 3);
	req.udiag_ino = w.msg.udiag_ino;
	memcpy(req.udiag_cookie, w.msg.udiag_cookie, 8);
	w.found = 0;
	ask(fd, 0, &req, sizeof(req));
	CHECK_EQ(read_all(fd, pick_unix, &w), 1);
	CHECK_EQ(w.found, 1);
	req.udiag_ino = 0x7ffffff0;
	ask(fd, 0, &req, sizeof(req));
	CHECK_EQ(read_all(fd, NULL, NULL), -ENOENT);
}

static void
bad_requests_are_refused(void)
{
	struct inet_diag_req_v2 req = {
	    .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP};
	int fd = open_diag();

	ask(fd, NLM_F_DUMP, &req, 1);
	CHECK_EQ(read_all(fd, NULL, NULL), -EINVAL);
	ask(fd, NLM_F_DUMP, &req, 20);
	CHECK_EQ(read_all(fd, NULL, NULL), -EINVAL);
	ask(fd, 0, &req, 20);
	CHECK_EQ(read_all(fd, NULL, NULL), -EINVAL);
}

static const struct test tests[] = {
    TEST(listeners_and_connections_are_told),
    TEST(one_connection_is_found_by_its_addresses),
    TEST(time_wait_is_told),
    TEST(udp_and_ipv6_are_told),
    TEST(many_connections_take_many_pieces),
    TEST(unix_sockets_are_told),
    TEST(bad_requests_are_refused),
};

RUN_TESTS(tests)
