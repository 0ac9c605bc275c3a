/* AF_PACKET on the loopback interface: both types, filters, statistics, errors. Needs root. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	PROTO = 0x88b5, /* IEEE 802 local experimental */
	LO = 1,
	EVERY_TYPE = 3,
	SOL_PACKET_ = 263,
	STATISTICS = 6,
	AUXDATA = 8,
	ADD_MEMBERSHIP = 1,
	DROP_MEMBERSHIP = 2,
	ATTACH_FILTER = 26,
};

struct ll {
	uint16_t family, protocol;
	int32_t ifindex;
	uint16_t hatype;
	uint8_t pkttype, halen, addr[8];
};
struct insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct prog {
	uint16_t len;
	struct insn *insns;
};

static int
packet_socket(int type, int proto)
{
	struct ll a = {.family = AF_PACKET, .protocol = htons(proto), .ifindex = LO};
	struct timeval tv = {2, 0};
	int fd = socket(AF_PACKET, type, 0);

	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	return fd;
}

/* A frame of `n` bytes payload of our protocol. */
static size_t
frame(uint8_t *f, size_t n)
{
	memset(f, 0, 14);
	f[12] = PROTO >> 8;
	f[13] = PROTO & 0xff;
	for (size_t i = 0; i < n; i++)
		f[14 + i] = i;
	return 14 + n;
}

static void
a_raw_frame_comes_back(void)
{
	int out = packet_socket(SOCK_RAW, PROTO), fd = packet_socket(SOCK_RAW, PROTO);
	uint8_t f[200], got[300];
	struct ll from;
	socklen_t len = sizeof(from);
	size_t n = frame(f, 100);

	CHECK_EQ(send(out, f, n, 0), n);
	CHECK_EQ(recvfrom(fd, got, sizeof(got), 0, (void *)&from, &len), n);
	CHECK(!memcmp(f, got, n));
	CHECK_EQ(from.family, AF_PACKET);
	CHECK_EQ(from.protocol, htons(PROTO));
	CHECK_EQ(from.ifindex, LO);
	CHECK_EQ(from.hatype, 772);
}

static void
a_datagram_has_no_link_header(void)
{
	struct ll to = {
	    .family = AF_PACKET, .protocol = htons(PROTO), .ifindex = LO, .halen = 6};
	int fd = packet_socket(SOCK_DGRAM, PROTO);
	char got[50];

	CHECK_EQ(sendto(fd, "hello", 5, 0, (void *)&to, sizeof(to)), 5);
	CHECK_EQ(recv(fd, got, sizeof(got), 0), 5);
	CHECK(!memcmp(got, "hello", 5));
}

static void
all_protocols_show_both_directions(void)
{
	int fd = packet_socket(SOCK_RAW, EVERY_TYPE),
	    out = packet_socket(SOCK_RAW, PROTO);
	bool saw_out = false, saw_in = false;
	uint8_t f[100], got[2000];
	size_t n = frame(f, 20);

	CHECK_EQ(send(out, f, n, 0), n);
	for (int i = 0; i < 50 && !(saw_out && saw_in); i++) {
		struct ll from;
		socklen_t len = sizeof(from);

		CHECK(recvfrom(fd, got, sizeof(got), 0, (void *)&from, &len) > 0);
		if (from.protocol != htons(PROTO))
			continue;
		saw_out |= from.pkttype == 4;
		saw_in |= from.pkttype != 4;
	}
	CHECK(saw_out && saw_in);
}

static void
a_filter_keeps_and_cuts(void)
{
	/* Accept 20 bytes of frames whose byte 14 is 0, else nothing. */
	struct insn code[] = {
	    {0x30, 0, 0, 14}, {0x15, 0, 1, 0}, {6, 0, 0, 20}, {6, 0, 0, 0}};
	struct prog prog = {4, code};
	int fd = packet_socket(SOCK_RAW, PROTO), out = packet_socket(SOCK_RAW, PROTO);
	uint8_t f[200], got[300];
	size_t n = frame(f, 60);

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, ATTACH_FILTER, &prog, sizeof(prog)), 0);
	f[14] = 1;
	CHECK_EQ(send(out, f, n, 0), n);
	f[14] = 0;
	CHECK_EQ(send(out, f, n, 0), n);
	CHECK_EQ(recv(fd, got, sizeof(got), MSG_TRUNC), 20);
	CHECK_EQ(got[14], 0);
	errno = 0;
	CHECK_EQ(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EAGAIN);
}

static void
statistics_count_and_begin_anew(void)
{
	int fd = packet_socket(SOCK_RAW, PROTO), out = packet_socket(SOCK_RAW, PROTO);
	uint32_t st[2] = {9, 9};
	socklen_t len = sizeof(st);
	uint8_t f[100];
	size_t n = frame(f, 20);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(send(out, f, n, 0), n);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(recv(fd, f, sizeof(f), 0), n);
	CHECK_EQ(getsockopt(fd, SOL_PACKET_, STATISTICS, st, &len), 0);
	CHECK_EQ(st[0], 3);
	CHECK_EQ(st[1], 0);
	CHECK_EQ(getsockopt(fd, SOL_PACKET_, STATISTICS, st, &len), 0);
	CHECK_EQ(st[0], 0);
}

static void
auxiliary_data_tells_lengths(void)
{
	int fd = packet_socket(SOCK_RAW, PROTO), out = packet_socket(SOCK_RAW, PROTO),
	    on = 1;
	char control[100];
	uint8_t f[100];
	struct iovec iov = {f, sizeof(f)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	size_t n = frame(f, 20);
	struct cmsghdr *c;
	uint32_t *aux;

	CHECK_EQ(setsockopt(fd, SOL_PACKET_, AUXDATA, &on, sizeof(on)), 0);
	CHECK_EQ(send(out, f, n, 0), n);
	CHECK_EQ(recvmsg(fd, &m, 0), n);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == SOL_PACKET_ && c->cmsg_type == AUXDATA);
	aux = (uint32_t *)CMSG_DATA(c);
	CHECK_EQ(aux[1], n);
	CHECK_EQ(aux[2], n);
}

/* TPACKET_V2: what libpcap does. */
static void
a_mapped_ring_gets_frames(void)
{
	struct {
		uint32_t block_size, block_nr, frame_size, frame_nr;
	} req = {8192, 4, 2048, 16};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), out = packet_socket(SOCK_RAW, PROTO);
	int version = 1, hdrlen = 1;
	socklen_t len = sizeof(hdrlen);
	struct ll a = {.family = AF_PACKET, .protocol = htons(PROTO), .ifindex = LO};
	uint8_t f[200], *ring;
	size_t n = frame(f, 100);

	CHECK_EQ(getsockopt(fd, SOL_PACKET_, 11, &hdrlen, &len), 0);
	CHECK_EQ(hdrlen, 32);
	CHECK_EQ(setsockopt(fd, SOL_PACKET_, 10, &version, sizeof(version)), 0);
	req.frame_nr = 15;
	CHECK_ERR(setsockopt(fd, SOL_PACKET_, 5, &req, sizeof(req)), EINVAL);
	CHECK_ERR((long)mmap(NULL, 32768, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	req.frame_nr = 16;
	CHECK_EQ(setsockopt(fd, SOL_PACKET_, 5, &req, sizeof(req)), 0);
	ring = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(ring != MAP_FAILED);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	for (int i = 0; i < 40; i++) {
		uint32_t *h = (uint32_t *)(ring + i % 16 * 2048);
		struct pollfd p = {.fd = fd, .events = POLLIN};

		f[20] = i;
		CHECK_EQ(send(out, f, n, 0), n);
		CHECK_EQ(poll(&p, 1, 2000), 1);
		CHECK(__atomic_load_n(h, __ATOMIC_ACQUIRE) & 1);
		CHECK_EQ(h[1], n);
		CHECK_EQ(h[2], n);
		CHECK(!memcmp((uint8_t *)h + ((uint16_t *)h)[6], f, n));
		__atomic_store_n(h, 0, __ATOMIC_RELEASE);
	}
}

/* TCP sends under its socket's lock: the tap must not mind. */
/* Whether /proc/net/ptype has this line, up to the function's name. */
static bool
is_shown(const char *line)
{
	FILE *f = fopen("/proc/net/ptype", "r");
	char text[128];
	bool is = false;

	CHECK(f != NULL);
	CHECK(
	    fgets(text, sizeof(text), f) && !strcmp(text, "Type Device      Function\n"));
	while (fgets(text, sizeof(text), f))
		is |= !strncmp(text, line, strlen(line));
	fclose(f);
	return is;
}

static void
types_of_frames_are_listed(void)
{
	int fd;

	CHECK(is_shown("0800          ip_rcv\n"));
	CHECK(is_shown("0806          arp_rcv\n"));
	CHECK(is_shown("86dd          ipv6_rcv\n"));
	CHECK(!is_shown("88b5          packet_rcv"));
	fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));
	CHECK(is_shown("88b5          packet_rcv\n"));
	close(fd);
	CHECK(!is_shown("88b5          packet_rcv"));
	fd = packet_socket(SOCK_RAW, EVERY_TYPE);
	CHECK(is_shown("ALL  lo       packet_rcv\n"));
	close(fd);
}

static void
tcp_is_seen_too(void)
{
	int fd = packet_socket(SOCK_RAW, EVERY_TYPE), l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(a);
	int c = socket(AF_INET, SOCK_STREAM, 0), s;
	bool is_seen = false;
	uint8_t got[2000];

	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(getsockname(l, (void *)&a, &len), 0);
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(connect(c, (void *)&a, sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(write(c, "0123456789", 10), 10);
	CHECK_EQ(read(s, got, 10), 10);
	for (int i = 0; i < 50 && !is_seen; i++) {
		ssize_t n = recv(fd, got, sizeof(got), 0);

		CHECK(n > 0);
		is_seen = n >= 10 && !memcmp(got + n - 10, "0123456789", 10);
	}
	CHECK(is_seen);
}

static void
mistakes_have_their_errors(void)
{
	struct ll nowhere = {
	    .family = AF_PACKET, .protocol = htons(PROTO), .ifindex = 9999};
	struct {
		int32_t ifindex;
		uint16_t type, alen;
		uint8_t addr[8];
	} promisc = {LO, 1, 0, {0}};
	int fd = packet_socket(SOCK_RAW, PROTO), raw = socket(AF_PACKET, SOCK_RAW, 0);
	static uint8_t big[70000];

	CHECK_ERR(bind(raw, (void *)&nowhere, sizeof(nowhere)), ENODEV);
	CHECK_ERR(bind(raw, (void *)&nowhere, 4), EINVAL);
	CHECK_ERR(sendto(raw, big, 100, 0, (void *)&nowhere, sizeof(nowhere)), ENXIO);
	CHECK_ERR(send(raw, big, 100, 0), ENXIO);
	CHECK_ERR(send(fd, big, 5, 0), EINVAL);
	CHECK_ERR(send(fd, big, sizeof(big), 0), EMSGSIZE);
	CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
	CHECK_EQ(
	    setsockopt(fd, SOL_PACKET_, ADD_MEMBERSHIP, &promisc, sizeof(promisc)), 0);
	CHECK_EQ(
	    setsockopt(fd, SOL_PACKET_, DROP_MEMBERSHIP, &promisc, sizeof(promisc)), 0);
	CHECK_ERR(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	CHECK_EQ(setuid(1000), 0);
	CHECK_ERR(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
}

static const struct test tests[] = {
    TEST(a_raw_frame_comes_back),
    TEST(a_datagram_has_no_link_header),
    TEST(all_protocols_show_both_directions),
    TEST(a_filter_keeps_and_cuts),
    TEST(statistics_count_and_begin_anew),
    TEST(auxiliary_data_tells_lengths),
    TEST(a_mapped_ring_gets_frames),
    TEST(types_of_frames_are_listed),
    TEST(tcp_is_seen_too),
    TEST(mistakes_have_their_errors),
};

RUN_TESTS(tests)
