/*
 * rtnetlink as programs use it: dumps, questions, changes and their notifications, errors and
 * what is malformed. Needs root and an interface lo that is up.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	NEWLINK = 16,
	GETLINK = 18,
	NEWADDR = 20,
	DELADDR,
	GETADDR,
	NEWROUTE = 24,
	DELROUTE,
	GETROUTE,
	GETRULE = 34,
	F_REQUEST = 1,
	F_MULTI = 2,
	F_ACK = 4,
	F_DUMP = 0x300,
	F_EXCL = 0x200,
	F_CREATE = 0x400,
	T_ERROR = 2,
	T_DONE = 3,
};

struct hdr {
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};
struct attr {
	uint16_t len, type;
};
struct snl {
	uint16_t family, pad;
	uint32_t pid, groups;
};
struct ifinfo {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};
struct addr_msg {
	uint8_t family, plen, flags, scope;
	uint32_t index;
};
struct rt {
	uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
	uint32_t flags;
};

/* A request that grows. */
struct req {
	struct hdr h;
	uint8_t body[1024];
};

static uint8_t in[65536];
static uint32_t seq;

static void *
begin(struct req *r, int type, int flags, const void *body, size_t n)
{
	memset(r, 0, sizeof(*r));
	r->h = (struct hdr){
	    .len = 16 + n, .type = type, .flags = F_REQUEST | flags, .seq = ++seq};
	memcpy(r->body, body, n);
	return r->body;
}

static void
put(struct req *r, int type, const void *data, size_t n)
{
	struct attr *a = (struct attr *)((uint8_t *)r + r->h.len);

	*a = (struct attr){4 + n, type};
	memcpy(a + 1, data, n);
	r->h.len += (4 + n + 3) & ~3u;
}

static int
nl_socket(uint32_t groups)
{
	struct snl a = {.family = AF_NETLINK, .groups = groups};
	struct timeval tv = {2, 0};
	int fd = socket(AF_NETLINK, SOCK_RAW, 0);

	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	return fd;
}

/* Sends and gives the error code of the answer, 0 for an acknowledgement; or the answer. */
static int
ask(int fd, struct req *r)
{
	struct hdr *h = (struct hdr *)in;

	CHECK_EQ(send(fd, r, r->h.len, 0), r->h.len);
	CHECK(recv(fd, in, sizeof(in), 0) >= 16);
	CHECK_EQ(h->seq, r->h.seq);
	if (h->type != T_ERROR)
		return 0;
	return *(int32_t *)(h + 1);
}

static struct attr *
find_attr(struct hdr *h, size_t body, int type)
{
	uint8_t *p = (uint8_t *)(h + 1) + body, *end = (uint8_t *)h + h->len;

	while (p + 4 <= end) {
		struct attr *a = (struct attr *)p;

		CHECK(a->len >= 4 && p + a->len <= end);
		if ((a->type & 0x3fff) == type)
			return a;
		p += (a->len + 3) & ~3;
	}
	return NULL;
}

/* Calls fn for each object of a dump; how many. */
static int
dump(int fd, struct req *r, void (*fn)(struct hdr *))
{
	int n = 0;

	CHECK_EQ(send(fd, r, r->h.len, 0), r->h.len);
	for (;;) {
		ssize_t got = recv(fd, in, sizeof(in), 0);
		uint8_t *p = in;

		CHECK(got > 0);
		while (got >= 16) {
			struct hdr *h = (struct hdr *)p;

			CHECK(h->len >= 16 && h->len <= got);
			CHECK_EQ(h->seq, r->h.seq);
			CHECK(h->flags & F_MULTI);
			if (h->type == T_DONE) {
				CHECK_EQ(*(int32_t *)(h + 1), 0);
				return n;
			}
			fn(h);
			n++;
			p += (h->len + 3) & ~3u;
			got -= (h->len + 3) & ~3u;
		}
	}
}

static bool saw_lo;

static void
look_at_link(struct hdr *h)
{
	struct ifinfo *m = (struct ifinfo *)(h + 1);
	struct attr *name = find_attr(h, sizeof(*m), 3),
	            *mtu = find_attr(h, sizeof(*m), 4);

	CHECK_EQ(h->type, NEWLINK);
	CHECK(name && mtu);
	if (strcmp((char *)(name + 1), "lo"))
		return;
	saw_lo = true;
	CHECK_EQ(m->index, 1);
	CHECK_EQ(m->type, 772);
	CHECK(m->flags & IFF_LOOPBACK);
	CHECK_EQ(*(uint32_t *)(mtu + 1), 65536);
	CHECK(find_attr(h, sizeof(*m), 23)); /* statistics */
}

static void
links_are_dumped(void)
{
	struct ifinfo m = {0};
	struct req r;
	int fd = nl_socket(0);

	begin(&r, GETLINK, F_DUMP, &m, sizeof(m));
	CHECK(dump(fd, &r, look_at_link) >= 1);
	CHECK(saw_lo);
	/* The short form that libraries use: one byte of family. */
	begin(&r, GETLINK, F_DUMP, &m, 4);
	CHECK(dump(fd, &r, look_at_link) >= 1);
}

static void
one_link_is_found_by_index_and_name(void)
{
	struct ifinfo m = {.index = 1};
	struct req r;
	int fd = nl_socket(0);

	begin(&r, GETLINK, 0, &m, sizeof(m));
	CHECK_EQ(ask(fd, &r), 0);
	look_at_link((struct hdr *)in);
	m.index = 0;
	begin(&r, GETLINK, 0, &m, sizeof(m));
	put(&r, 3, "lo", 3);
	CHECK_EQ(ask(fd, &r), 0);
	look_at_link((struct hdr *)in);
	m.index = 999;
	begin(&r, GETLINK, 0, &m, sizeof(m));
	CHECK_EQ(ask(fd, &r), -ENODEV);
	/* The error carries the request back. */
	CHECK(!memcmp(in + 20, &r, 16));
}

static void
bad_requests_are_refused(void)
{
	struct ifinfo m = {.index = 1};
	struct req r;
	int fd = nl_socket(0);

	begin(&r, 120, F_ACK, &m, sizeof(m));
	CHECK_EQ(ask(fd, &r), -EOPNOTSUPP);
	begin(&r, GETLINK, 0, &m, 4);
	CHECK_EQ(ask(fd, &r), -EINVAL);
	begin(&r, GETLINK, 0, &m, sizeof(m));
	put(&r, 3, "a name that is far too long", 28);
	CHECK(ask(fd, &r) < 0);
	/* Attributes that claim more than there is do no harm. */
	begin(&r, NEWADDR, F_ACK, &(struct addr_msg){AF_INET, 24, 0, 0, 1}, 8);
	put(&r, 2, "\1\2\3\4", 4);
	((struct attr *)(r.body + 8))->len = 200;
	CHECK(ask(fd, &r) < 0);
	/* A header that claims more is passed over without an answer. */
	begin(&r, GETLINK, 0, &m, sizeof(m));
	r.h.len = 500;
	CHECK_EQ(send(fd, &r, 32, 0), 32);
	errno = 0;
	CHECK_EQ(recv(fd, in, sizeof(in), MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EAGAIN);
}

static int
change_addr(int fd, int type, int flags, const char *text)
{
	struct addr_msg m = {AF_INET, 24, 0, 0, 1};
	struct in_addr a;
	struct req r;

	CHECK_EQ(inet_pton(AF_INET, text, &a), 1);
	begin(&r, type, flags | F_ACK, &m, sizeof(m));
	put(&r, 2, &a, 4);
	put(&r, 1, &a, 4);
	return ask(fd, &r);
}

static void
expect_event(int fd, int type, const char *text)
{
	struct hdr *h = (struct hdr *)in;
	struct in_addr a;
	struct attr *local;

	CHECK_EQ(inet_pton(AF_INET, text, &a), 1);
	CHECK(recv(fd, in, sizeof(in), 0) > 16);
	CHECK_EQ(h->type, type);
	local = find_attr(h, sizeof(struct addr_msg), 2);
	CHECK(local && !memcmp(local + 1, &a, 4));
}

static void
addresses_come_and_go_and_are_told(void)
{
	int fd = nl_socket(0), listener = nl_socket(0x10); /* RTMGRP_IPV4_IFADDR */
	struct ifaddrs *list;
	bool is_there = false;

	CHECK_EQ(change_addr(fd, NEWADDR, F_CREATE | F_EXCL, "10.77.1.2"), 0);
	expect_event(listener, NEWADDR, "10.77.1.2");
	CHECK_EQ(change_addr(fd, NEWADDR, F_CREATE | F_EXCL, "10.77.1.2"), -EEXIST);
	CHECK_EQ(getifaddrs(&list), 0);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
		    ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr ==
		        inet_addr("10.77.1.2")) {
			is_there = true;
			CHECK(!strcmp(i->ifa_name, "lo"));
		}
	CHECK(is_there);
	CHECK_EQ(change_addr(fd, DELADDR, 0, "10.77.1.2"), 0);
	expect_event(listener, DELADDR, "10.77.1.2");
	CHECK_EQ(change_addr(fd, DELADDR, 0, "10.77.1.2"), -EADDRNOTAVAIL);
}

static void
routes_are_made_found_and_deleted(void)
{
	struct rt m = {AF_INET, 24, 0, 0, 254, 4, 253, 1, 0};
	struct rt q = {.family = AF_INET, .dst_len = 32};
	struct hdr *h = (struct hdr *)in;
	uint8_t net[4] = {10, 88, 7, 0}, host[4] = {10, 88, 7, 9};
	uint32_t oif = 1;
	struct req r;
	int fd = nl_socket(0);

	begin(&r, NEWROUTE, F_ACK | F_CREATE | F_EXCL, &m, sizeof(m));
	put(&r, 1, net, 4);
	put(&r, 4, &oif, 4);
	CHECK_EQ(ask(fd, &r), 0);
	r.h.seq = ++seq;
	CHECK_EQ(ask(fd, &r), -EEXIST);
	begin(&r, GETROUTE, 0, &q, sizeof(q));
	put(&r, 1, host, 4);
	CHECK_EQ(ask(fd, &r), 0);
	CHECK_EQ(h->type, NEWROUTE);
	CHECK_EQ(*(uint32_t *)(find_attr(h, sizeof(m), 4) + 1), 1);
	begin(&r, DELROUTE, F_ACK, &m, sizeof(m));
	put(&r, 1, net, 4);
	CHECK_EQ(ask(fd, &r), 0);
	r.h.seq = ++seq;
	CHECK_EQ(ask(fd, &r), -ESRCH);
}

static uint32_t
attr_u32(struct hdr *h, uint16_t type)
{
	const uint32_t *a = (void *)find_attr(h, sizeof(struct rt), type);

	return a ? a[1] : ~0u;
}

/* What `ip route get` shows: IPv4 tells of the way alone, IPv6 of the route. */
static void
ways_are_told(void)
{
	struct rt q = {.family = AF_INET, .dst_len = 32};
	struct hdr *h = (struct hdr *)in;
	struct rt *m = (struct rt *)(h + 1);
	uint8_t lo[4] = {127, 0, 0, 1}, lo6[16] = {[15] = 1};
	int fd = nl_socket(0);
	struct req r;

	begin(&r, GETROUTE, 0, &q, sizeof(q));
	put(&r, 1, lo, 4);
	CHECK_EQ(ask(fd, &r), 0);
	CHECK_EQ(m->flags, 0x80000200);
	CHECK_EQ(m->type, 2);
	CHECK_EQ(attr_u32(h, 15), 254);
	CHECK_EQ(attr_u32(h, 25), getuid());
	CHECK_EQ(attr_u32(h, 2), ~0u);
	CHECK_EQ(attr_u32(h, 7), attr_u32(h, 1));
	put(&r, 2, lo, 4);
	((struct rt *)(&r.h + 1))->src_len = 32;
	r.h.seq = ++seq;
	CHECK_EQ(ask(fd, &r), 0);
	CHECK_EQ(attr_u32(h, 2), attr_u32(h, 1));
	CHECK_EQ(attr_u32(h, 7), ~0u);
	q.family = AF_INET6;
	q.dst_len = 128;
	begin(&r, GETROUTE, 0, &q, sizeof(q));
	put(&r, 1, lo6, 16);
	CHECK_EQ(ask(fd, &r), 0);
	CHECK_EQ(m->flags, 0);
	CHECK_EQ(m->protocol, 2);
	CHECK_EQ(attr_u32(h, 15), 255);
	CHECK_EQ(attr_u32(h, 6), 0);
	CHECK(find_attr(h, sizeof(*m), 20));
}

static void
count_only(struct hdr *h)
{
}

static void
rules_and_routes_are_dumped(void)
{
	struct rt m = {.family = AF_INET};
	struct req r;
	int fd = nl_socket(0);

	begin(&r, GETRULE, F_DUMP, &m, sizeof(m));
	CHECK(dump(fd, &r, count_only) >= 3); /* local, main, default */
	begin(&r, GETROUTE, F_DUMP, &m, sizeof(m));
	CHECK(dump(fd, &r, count_only) >= 1);
}

static void
the_length_can_be_peeked(void)
{
	struct ifinfo m = {.index = 1};
	struct req r;
	int fd = nl_socket(0);
	ssize_t n;

	begin(&r, GETLINK, 0, &m, sizeof(m));
	CHECK_EQ(send(fd, &r, r.h.len, 0), r.h.len);
	n = recv(fd, in, 0, MSG_PEEK | MSG_TRUNC);
	CHECK(n > 100);
	CHECK_EQ(recv(fd, in, sizeof(in), 0), n);
}

static void
sockets_have_names(void)
{
	int a = nl_socket(0), b = nl_socket(0);
	struct snl na, nb;
	socklen_t len = sizeof(na);

	CHECK_EQ(getsockname(a, (void *)&na, &len), 0);
	CHECK_EQ(len, 12);
	CHECK_EQ(na.family, AF_NETLINK);
	CHECK_EQ(getsockname(b, (void *)&nb, &len), 0);
	CHECK(na.pid && nb.pid && na.pid != nb.pid);
	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
}

static void
changes_need_the_right(void)
{
	int fd = nl_socket(0);

	CHECK_EQ(setuid(1000), 0);
	CHECK_EQ(change_addr(fd, NEWADDR, F_CREATE, "10.77.1.3"), -EPERM);
}

static void
ioctls_know_the_interface(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = {0};

	strcpy(r.ifr_name, "lo");
	CHECK_EQ(ioctl(fd, SIOCGIFINDEX, &r), 0);
	CHECK_EQ(r.ifr_ifindex, 1);
	CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	CHECK(r.ifr_flags & IFF_LOOPBACK);
	CHECK_EQ(ioctl(fd, SIOCGIFMTU, &r), 0);
	CHECK_EQ(r.ifr_mtu, 65536);
	CHECK_EQ(ioctl(fd, SIOCGIFADDR, &r), 0);
	CHECK_EQ(
	    ((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(ioctl(fd, SIOCGIFNETMASK, &r), 0);
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
	r.ifr_ifindex = 1;
	memset(r.ifr_name, 0, sizeof(r.ifr_name));
	CHECK_EQ(ioctl(fd, SIOCGIFNAME, &r), 0);
	CHECK(!strcmp(r.ifr_name, "lo"));
	strcpy(r.ifr_name, "nosuch0");
	CHECK_ERR(ioctl(fd, SIOCGIFMTU, &r), ENODEV);
}

static const struct test tests[] = {
    TEST(links_are_dumped),
    TEST(one_link_is_found_by_index_and_name),
    TEST(bad_requests_are_refused),
    TEST(addresses_come_and_go_and_are_told),
    TEST(routes_are_made_found_and_deleted),
    TEST(ways_are_told),
    TEST(rules_and_routes_are_dumped),
    TEST(the_length_can_be_peeked),
    TEST(sockets_have_names),
    TEST(changes_need_the_right),
    TEST(ioctls_know_the_interface),
};

RUN_TESTS(tests)
