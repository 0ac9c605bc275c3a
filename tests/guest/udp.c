/* UDP, raw and ping sockets over loopback. */
#define _GNU_SOURCE
#include "tests/guest/net_util.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* linux/errqueue.h, which musl has not. */
struct sock_extended_err {
	uint32_t ee_errno;
	uint8_t ee_origin, ee_type, ee_code, ee_pad;
	uint32_t ee_info, ee_data;
};
enum { SO_EE_ORIGIN_ICMP = 2 };

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Loopback may deliver a little later: before looking for what must not come, or for all of several. */
static void
settle(void)
{
	usleep(50000);
}

/* ---- Datagrams ------------------------------------------------------------------------ */

/* Whichever ports: no other CPU has a part in it. Not each time, for other work may come between. */
static void
loopback_has_delivered_when_send_returns(void)
{
	unsigned num_there = 0;

	for (unsigned i = 0; i < 100; i++) {
		int a = bound("127.0.0.1"), b = bound("127.0.0.1");
		struct sockaddr_in to = in("127.0.0.1", port_of(b));
		char byte;

		CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
		num_there += recv(b, &byte, 1, MSG_DONTWAIT) == 1;
		close(a);
		close(b);
	}
	CHECK(num_there >= 90);
}

static void
datagram_goes_to_its_port(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b)), from;
	socklen_t len = sizeof(from);
	char buf[16];
	int n;

	CHECK_EQ(sendto(a, "hello", 5, 0, (void *)&to, sizeof(to)), 5);
	CHECK_EQ(recvfrom(b, buf, sizeof(buf), 0, (void *)&from, &len), 5);
	CHECK_EQ(memcmp(buf, "hello", 5), 0);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(ntohs(from.sin_port), port_of(a));
	CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(sendto(a, NULL, 0, 0, (void *)&to, sizeof(to)), 0);
	CHECK_EQ(recv(b, buf, sizeof(buf), 0), 0);
	CHECK_EQ(sendto(a, "abcdef", 6, 0, (void *)&to, sizeof(to)), 6);
	settle();
	CHECK_EQ(ioctl(b, FIONREAD, &n), 0);
	CHECK_EQ(n, 6);
	CHECK_EQ(recv(b, buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv(b, buf, 3, MSG_PEEK | MSG_TRUNC), 6);
	CHECK_EQ(recv(b, buf, 2, MSG_TRUNC), 6);
	CHECK_ERR(recv(b, buf, 2, MSG_DONTWAIT), EAGAIN);
}

static void
send_refuses_wrong_arguments(void)
{
	static char big[70000];
	int a = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = in("127.0.0.1", 9999);

	CHECK_ERR(send(a, "x", 1, 0), EDESTADDRREQ);
	CHECK_ERR(sendto(a, "x", 1, 0, (void *)&to, 8), EINVAL);
	CHECK_ERR(sendto(a, big, 65508, 0, (void *)&to, sizeof(to)), EMSGSIZE);
	CHECK_ERR(sendto(a, "x", 1, MSG_OOB, (void *)&to, sizeof(to)), EOPNOTSUPP);
	CHECK_ERR(sendto(a, (void *)8, 100, 0, (void *)&to, sizeof(to)), EFAULT);
	to.sin_port = 0;
	CHECK_ERR(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), EINVAL);
	to = in("127.0.0.1", 9999);
	to.sin_family = AF_INET6;
	CHECK_ERR(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), EAFNOSUPPORT);
	CHECK_ERR(send(a, "x", 1, MSG_NOSIGNAL), EDESTADDRREQ);
}

static void
large_datagrams_survive_whole(void)
{
	static char out[65507], back[65507];
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 + (i >> 9));
	for (size_t n = 1; n <= sizeof(out); n = n == sizeof(out) ? n + 1 : n * 7 + 1) {
		if (n > sizeof(out))
			n = sizeof(out);
		CHECK_EQ(sendto(a, out, n, 0, (void *)&to, sizeof(to)), n);
		memset(back, 0, sizeof(back));
		CHECK_EQ(recv(b, back, sizeof(back), 0), n);
		CHECK_EQ(memcmp(out, back, n), 0);
	}
}

static void
connected_sockets_hear_only_their_peer(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1"), c = bound("127.0.0.1");
	struct sockaddr_in to_a = in("127.0.0.1", port_of(a));
	struct sockaddr_in to_b = in("127.0.0.1", port_of(b)), name;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(name);
	char buf[8];

	CHECK_EQ(connect(a, (void *)&to_b, sizeof(to_b)), 0);
	CHECK_EQ(getpeername(a, (void *)&name, &len), 0);
	CHECK_EQ(ntohs(name.sin_port), port_of(b));
	CHECK_EQ(send(a, "to b", 4, 0), 4);
	CHECK_EQ(recv(b, buf, sizeof(buf), 0), 4);
	CHECK_EQ(sendto(c, "no", 2, 0, (void *)&to_a, sizeof(to_a)), 2);
	settle();
	CHECK_ERR(recv(a, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(sendto(b, "yes", 3, 0, (void *)&to_a, sizeof(to_a)), 3);
	CHECK_EQ(recv(a, buf, sizeof(buf), 0), 3);
	CHECK_EQ(connect(a, &none, sizeof(none)), 0);
	CHECK_ERR(getpeername(a, (void *)&name, &len), ENOTCONN);
	CHECK_EQ(port_of(a), 0); /* nobody named that port */
	close(a);
	a = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(bind(a, (void *)&to_a, sizeof(to_a)), 0);
	CHECK_EQ(connect(a, (void *)&to_b, sizeof(to_b)), 0);
	CHECK_EQ(connect(a, &none, sizeof(none)), 0);
	CHECK_EQ(sendto(c, "now", 3, 0, (void *)&to_a, sizeof(to_a)), 3);
	CHECK_EQ(recv(a, buf, sizeof(buf), 0), 3);
	CHECK_EQ(write(b, "x", 1), -1);
	CHECK_EQ(errno, EDESTADDRREQ);
}

static void
nobody_at_the_port_is_connection_refused(void)
{
	int a = bound("127.0.0.1"), gone = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(gone));
	struct pollfd p = {.fd = a, .events = POLLIN};
	char buf[4];

	close(gone);
	CHECK_EQ(connect(a, (void *)&to, sizeof(to)), 0);
	CHECK_EQ(send(a, "x", 1, 0), 1);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK_EQ(p.revents, POLLIN * 0 + POLLERR);
	CHECK_EQ(get(a, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(send(a, "x", 1, 0), 1);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK_ERR(recv(a, buf, 4, 0), ECONNREFUSED);
	CHECK_EQ(send(a, "x", 1, 0), 1);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK_ERR(send(a, "x", 1, 0), ECONNREFUSED);
}

static void
error_queue_tells_who_and_why(void)
{
	int a = bound("127.0.0.1"), gone = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(gone)), name;
	char buf[64], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &name,
	    .msg_namelen = sizeof(name),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = a, .events = 0};
	struct sock_extended_err *ee;
	struct sockaddr_in *offender;
	struct cmsghdr *c;

	close(gone);
	set(a, IPPROTO_IP, IP_RECVERR, 1);
	CHECK_ERR(recvmsg(a, &m, MSG_ERRQUEUE), EAGAIN);
	CHECK_EQ(sendto(a, "lost", 4, 0, (void *)&to, sizeof(to)), 4);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK_EQ(p.revents, POLLERR);
	CHECK_EQ(recvmsg(a, &m, MSG_ERRQUEUE), 4);
	CHECK_EQ(memcmp(buf, "lost", 4), 0);
	CHECK(m.msg_flags & MSG_ERRQUEUE);
	CHECK_EQ(name.sin_port, to.sin_port);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR);
	ee = (void *)CMSG_DATA(c);
	offender = (void *)(ee + 1);
	CHECK_EQ(ee->ee_errno, ECONNREFUSED);
	CHECK_EQ(ee->ee_origin, SO_EE_ORIGIN_ICMP);
	CHECK_EQ(ee->ee_type, ICMP_DEST_UNREACH);
	CHECK_EQ(ee->ee_code, ICMP_PORT_UNREACH);
	CHECK_EQ(offender->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(get(a, SOL_SOCKET, SO_ERROR), 0);
}

static void
sent_datagrams_are_stamped(void)
{
	/* SOF_TIMESTAMPING: TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY */
	enum { FLAGS = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 11, SCM_STAMPING = 37 };
	int a = bound("127.0.0.1"), b = bound("127.0.0.1"), seen = 0;
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	char control[256];
	struct msghdr m = {.msg_control = control};
	struct pollfd p = {.fd = a};

	set(a, SOL_SOCKET, 37, FLAGS);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
		CHECK_EQ(poll(&p, 1, 2000), 1);
		CHECK_EQ(p.revents, POLLERR);
		m.msg_controllen = sizeof(control);
		CHECK_EQ(recvmsg(a, &m, MSG_ERRQUEUE), 0);
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			struct timespec *ts = (void *)CMSG_DATA(c);
			struct sock_extended_err *ee = (void *)CMSG_DATA(c);

			if (c->cmsg_level == SOL_SOCKET) {
				CHECK_EQ(c->cmsg_type, SCM_STAMPING);
				CHECK(ts->tv_sec > 1600000000);
				seen++;
			} else {
				CHECK_EQ(c->cmsg_type, IP_RECVERR);
				CHECK_EQ(ee->ee_errno, ENOMSG);
				CHECK_EQ(ee->ee_origin, 4);
				CHECK_EQ(ee->ee_data, i);
				seen++;
			}
		}
	}
	CHECK_EQ(seen, 4);
	CHECK_EQ(get(a, SOL_SOCKET, SO_ERROR), 0);
}

static void
control_data_tells_of_the_way(void)
{
	int a = bound("127.0.0.1"), b = bound("0.0.0.0");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	char buf[8], control[512];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	int seen = 0;

	set(b, IPPROTO_IP, IP_PKTINFO, 1);
	set(b, IPPROTO_IP, IP_RECVTTL, 1);
	set(b, IPPROTO_IP, IP_RECVTOS, 1);
	set(b, SOL_SOCKET, SO_TIMESTAMP, 1);
	set(a, IPPROTO_IP, IP_TTL, 33);
	set(a, IPPROTO_IP, IP_TOS, 0x10);
	CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	CHECK_EQ(recvmsg(b, &m, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET) {
			struct timeval tv;

			CHECK_EQ(c->cmsg_type, SO_TIMESTAMP);
			memcpy(&tv, CMSG_DATA(c), sizeof(tv));
			CHECK(tv.tv_sec > 1600000000 && tv.tv_usec < 1000000);
			seen |= 1;
		} else if (c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (void *)CMSG_DATA(c);

			CHECK_EQ(info->ipi_ifindex, 1);
			CHECK_EQ(info->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
			CHECK_EQ(info->ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
			seen |= 2;
		} else if (c->cmsg_type == IP_TTL) {
			CHECK_EQ(*(int *)CMSG_DATA(c), 33);
			seen |= 4;
		} else if (c->cmsg_type == IP_TOS) {
			CHECK_EQ(*(unsigned char *)CMSG_DATA(c), 0x10);
			CHECK_EQ(c->cmsg_len, CMSG_LEN(1));
			seen |= 8;
		}
	}
	CHECK_EQ(seen, 15);
	CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	m.msg_controllen = 20;
	CHECK_EQ(recvmsg(b, &m, 0), 1);
	CHECK(m.msg_flags & MSG_CTRUNC);
}

static void
control_data_of_a_send_is_obeyed(void)
{
	int a = bound("0.0.0.0"), b = bound("0.0.0.0");
	struct sockaddr_in to = in("127.0.0.1", port_of(b)), from;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) +
		           CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_name = &to,
	    .msg_namelen = sizeof(to),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct in_pktinfo info = {.ipi_spec_dst = in("127.0.0.5", 0).sin_addr};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	socklen_t len = sizeof(from);
	int ttl = 77;
	char buf[4];

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	c = CMSG_NXTHDR(&m, c);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_TTL;
	c->cmsg_len = CMSG_LEN(sizeof(ttl));
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	CHECK_EQ(sendmsg(a, &m, 0), 1);
	CHECK_EQ(recvfrom(b, buf, 4, 0, (void *)&from, &len), 1);
	CHECK_EQ(from.sin_addr.s_addr, inet_addr("127.0.0.5"));
	ttl = 300;
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	CHECK_ERR(sendmsg(a, &m, 0), EINVAL);
	CMSG_FIRSTHDR(&m)->cmsg_len = 3;
	CHECK_ERR(sendmsg(a, &m, 0), EINVAL);
	m.msg_control = NULL;
	m.msg_controllen = 0;
	m.msg_iovlen = 1025;
	CHECK_ERR(sendmsg(a, &m, 0), EMSGSIZE);
	m.msg_iovlen = 1;
	m.msg_namelen = -1;
	CHECK_ERR(sendmsg(a, &m, 0), EINVAL);
}

static void
rows_of_messages(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	struct iovec out[3] = {{"one", 3}, {"three", 5}, {"fifteen", 7}}, back[5];
	struct mmsghdr sent[3], got[5];
	struct timespec none = {0, 1000000};
	char buf[5][16];

	memset(sent, 0, sizeof(sent));
	memset(got, 0, sizeof(got));
	for (int i = 0; i < 3; i++)
		sent[i].msg_hdr = (struct msghdr){.msg_name = &to,
		    .msg_namelen = sizeof(to),
		    .msg_iov = &out[i],
		    .msg_iovlen = 1};
	for (int i = 0; i < 5; i++) {
		back[i] = (struct iovec){buf[i], sizeof(buf[i])};
		got[i].msg_hdr = (struct msghdr){.msg_iov = &back[i], .msg_iovlen = 1};
	}
	CHECK_EQ(sendmmsg(a, sent, 3, 0), 3);
	CHECK_EQ(sent[2].msg_len, 7);
	settle();
	CHECK_EQ(recvmmsg(b, got, 5, MSG_WAITFORONE, NULL), 3);
	CHECK_EQ(got[1].msg_len, 5);
	CHECK_EQ(memcmp(buf[2], "fifteen", 7), 0);
	CHECK_ERR(recvmmsg(b, got, 5, MSG_DONTWAIT, NULL), EAGAIN);
	CHECK_EQ(sendmmsg(a, sent, 1, 0), 1);
	CHECK_EQ(recvmmsg(b, got, 1, 0, &none), 1);
	none.tv_nsec = -1;
	CHECK_ERR(recvmmsg(b, got, 1, 0, &none), EINVAL);
}

static void
vectors_make_one_datagram(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	struct iovec out[3] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
	char x[2], y[9];
	struct iovec back[2] = {{x, 2}, {y, 9}};

	CHECK_EQ(connect(a, (void *)&to, sizeof(to)), 0);
	CHECK_EQ(writev(a, out, 3), 5);
	CHECK_EQ(readv(b, back, 2), 5);
	CHECK_EQ(memcmp(x, "ab", 2), 0);
	CHECK_EQ(memcmp(y, "cde", 3), 0);
}

static void
cork_puts_pieces_together(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	char buf[16];

	CHECK_EQ(connect(a, (void *)&to, sizeof(to)), 0);
	CHECK_EQ(send(a, "abc", 3, MSG_MORE), 3);
	CHECK_ERR(recv(b, buf, 16, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(a, "de", 2, 0), 2);
	CHECK_EQ(recv(b, buf, 16, 0), 5);
	CHECK_EQ(memcmp(buf, "abcde", 5), 0);
	set(a, IPPROTO_UDP, UDP_CORK, 1);
	CHECK_EQ(send(a, "xy", 2, 0), 2);
	CHECK_EQ(send(a, "z", 1, 0), 1);
	CHECK_ERR(recv(b, buf, 16, MSG_DONTWAIT), EAGAIN);
	set(a, IPPROTO_UDP, UDP_CORK, 0);
	CHECK_EQ(recv(b, buf, 16, 0), 3);
}

static void
segments_are_cut_from_one_send(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	char buf[1000];

	memset(buf, 'x', sizeof(buf));
	CHECK_EQ(connect(a, (void *)&to, sizeof(to)), 0);
	set(a, IPPROTO_UDP, UDP_SEGMENT, 300);
	CHECK_EQ(send(a, buf, 1000, 0), 1000);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(recv(b, buf, sizeof(buf), 0), 300);
	CHECK_EQ(recv(b, buf, sizeof(buf), 0), 100);
}

/* ---- Waiting ------------------------------------------------------------------------ */

static void
time_out_ends_a_wait(void)
{
	int a = bound("127.0.0.1");
	struct timeval tv = {0, 100000};
	struct timespec before, after;
	char buf[4];

	CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK_ERR(recv(a, buf, 4, 0), EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * 1000 +
	          (after.tv_nsec - before.tv_nsec) / 1000000 >=
	      99);
}

static void
poll_and_epoll_see_datagrams(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1"), ep = epoll_create1(0);
	struct sockaddr_in to = in("127.0.0.1", port_of(b));
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	struct pollfd p = {.fd = b, .events = POLLIN | POLLOUT};
	char buf[4];

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, b, &e), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	for (int i = 0; i < 2; i++) { /* an edge for each, though the first is not read */
		CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
		CHECK_EQ(epoll_wait(ep, &e, 1, 2000), 1);
		CHECK_EQ(e.events, EPOLLIN);
		CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	}
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	CHECK_EQ(recv(b, buf, 4, 0), 1);
	CHECK_EQ(recv(b, buf, 4, 0), 1);
	CHECK_EQ(shutdown(b, SHUT_RDWR), -1);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT | POLLHUP);
	CHECK_EQ(recv(b, buf, 4, 0), 0);
	CHECK_ERR(sendto(b, "x", 1, 0, (void *)&to, sizeof(to)), EPIPE);
}

static volatile int signals;

static void
count_signal(int sig)
{
	signals++;
}

static void
async_sends_sigio(void)
{
	int a = bound("127.0.0.1"), b = bound("127.0.0.1"), on = 1;
	struct sockaddr_in to = in("127.0.0.1", port_of(b));

	signal(SIGIO, count_signal);
	CHECK_EQ(fcntl(b, F_SETOWN, getpid()), 0);
	CHECK_EQ(fcntl(b, F_GETOWN), getpid());
	CHECK_EQ(ioctl(b, FIOASYNC, &on), 0);
	CHECK_EQ(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	for (int i = 0; i < 200 && !signals; i++)
		usleep(10000);
	CHECK(signals > 0);
}

static void
a_signal_interrupts_a_wait(void)
{
	struct sigaction sa = {.sa_handler = count_signal};
	int a = bound("127.0.0.1");
	char buf[4];

	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	CHECK_ERR(recv(a, buf, 4, 0), EINTR);
}

/* ---- Groups and sharing -------------------------------------------------------------- */

static void
reuseport_spreads_flows(void)
{
	int s[4], used = 0;
	struct sockaddr_in a = in("127.0.0.1", 0);
	char buf[4];

	for (int i = 0; i < 4; i++) {
		s[i] = socket(AF_INET, SOCK_DGRAM, 0);
		set(s[i], SOL_SOCKET, SO_REUSEPORT, 1);
		CHECK_EQ(bind(s[i], (void *)&a, sizeof(a)), 0);
		a.sin_port = htons(port_of(s[0]));
	}
	for (int i = 0; i < 64; i++) {
		int c = bound("127.0.0.1");

		CHECK_EQ(sendto(c, "x", 1, 0, (void *)&a, sizeof(a)), 1);
		close(c);
	}
	settle();
	for (int i = 0; i < 4; i++) {
		int n = 0;

		while (recv(s[i], buf, 4, MSG_DONTWAIT) == 1)
			n++;
		used += n > 0;
	}
	CHECK(used >= 2);
}

static void
one_port_is_one_sockets(void)
{
	int a = bound("127.0.0.1"), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in same = in("127.0.0.1", port_of(a));
	struct sockaddr_in any = in("0.0.0.0", port_of(a));
	struct sockaddr_in other = in("127.0.0.2", port_of(a));
	struct sockaddr_in6 any6 = in6("::", port_of(a));
	int c = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_ERR(bind(b, (void *)&same, sizeof(same)), EADDRINUSE);
	CHECK_ERR(bind(b, (void *)&any, sizeof(any)), EADDRINUSE);
	CHECK_EQ(bind(b, (void *)&other, sizeof(other)), 0);
	CHECK_ERR(bind(c, (void *)&any6, sizeof(any6)), EADDRINUSE);
	set(c, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_EQ(bind(c, (void *)&any6, sizeof(any6)), 0);
}

static void
dual_stack_shows_v4_as_mapped(void)
{
	int s = socket(AF_INET6, SOCK_DGRAM, 0), c = bound("127.0.0.1");
	struct sockaddr_in6 any = in6("::", 0), from;
	struct sockaddr_in to;
	socklen_t len = sizeof(from);
	char buf[8], text[64];

	CHECK_EQ(bind(s, (void *)&any, sizeof(any)), 0);
	to = in("127.0.0.1", port_of(s));
	CHECK_EQ(sendto(c, "v4", 2, 0, (void *)&to, sizeof(to)), 2);
	CHECK_EQ(recvfrom(s, buf, 8, 0, (void *)&from, &len), 2);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(strcmp(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)),
	             "::ffff:127.0.0.1"),
	    0);
	CHECK_EQ(sendto(s, "back", 4, 0, (void *)&from, sizeof(from)), 4);
	CHECK_EQ(recv(c, buf, 8, 0), 4);
	CHECK_EQ(connect(s, (void *)&from, sizeof(from)), 0);
	CHECK_EQ(getsockname(s, (void *)&from, &len), 0);
	CHECK_EQ(strcmp(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)),
	             "::ffff:127.0.0.1"),
	    0);
	set(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static void
v6_datagrams_and_control_data(void)
{
	int a = socket(AF_INET6, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 to = in6("::1", 0), from;
	char buf[8], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	int seen = 0;

	CHECK_EQ(bind(b, (void *)&to, sizeof(to)), 0);
	to.sin6_port = htons(port_of(b));
	set(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(b, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(a, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	CHECK_EQ(sendto(a, "six", 3, 0, (void *)&to, sizeof(to)), 3);
	CHECK_EQ(recvmsg(b, &m, 0), 3);
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		CHECK_EQ(c->cmsg_level, IPPROTO_IPV6);
		if (c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (void *)CMSG_DATA(c);

			CHECK(IN6_IS_ADDR_LOOPBACK(&info->ipi6_addr));
			CHECK_EQ(info->ipi6_ifindex, 1);
			seen |= 1;
		} else if (c->cmsg_type == IPV6_HOPLIMIT) {
			CHECK_EQ(*(int *)CMSG_DATA(c), 64);
			seen |= 2;
		} else if (c->cmsg_type == IPV6_TCLASS) {
			CHECK_EQ(*(int *)CMSG_DATA(c), 0x28);
			seen |= 4;
		}
	}
	CHECK_EQ(seen, 7);
}

static void
extension_headers_go_and_come(void)
{
	static const uint8_t dst_opts[8] = {0, 0, 1, 4}, bad[8] = {0, 1};
	int a = socket(AF_INET6, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 to = in6("::1", 0);
	char buf[8], control[128];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	socklen_t len = sizeof(buf);
	struct cmsghdr *c;

	CHECK_EQ(bind(b, (void *)&to, sizeof(to)), 0);
	to.sin6_port = htons(port_of(b));
	set(b, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1);
	CHECK_ERR(setsockopt(a, IPPROTO_IPV6, IPV6_DSTOPTS, bad, 8), EINVAL);
	CHECK_EQ(setsockopt(a, IPPROTO_IPV6, IPV6_DSTOPTS, dst_opts, 8), 0);
	CHECK_EQ(getsockopt(a, IPPROTO_IPV6, IPV6_DSTOPTS, buf, &len), 0);
	CHECK_EQ(len, 8);
	CHECK_EQ(sendto(a, "ext", 3, 0, (void *)&to, sizeof(to)), 3);
	CHECK_EQ(recvmsg(b, &m, 0), 3);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_DSTOPTS);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(8));
	CHECK_EQ(CMSG_DATA(c)[0], IPPROTO_UDP);
	CHECK_EQ(memcmp(CMSG_DATA(c) + 1, dst_opts + 1, 7), 0);
}

/* ---- Raw and ping --------------------------------------------------------------------- */

static uint16_t
checksum(const void *data, size_t n)
{
	const uint8_t *b = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)b[i] << 8 | (i + 1 < n ? b[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void
raw_socket_pings(void)
{
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	struct icmphdr echo = {.type = ICMP_ECHO}, *back;
	struct sockaddr_in to = in("127.0.0.1", 0);
	uint32_t filter = ~(1u << ICMP_ECHOREPLY);
	uint8_t buf[128];

	CHECK(s >= 0);
	CHECK_EQ(setsockopt(s, SOL_RAW, 1, &filter, sizeof(filter)), 0);
	echo.un.echo.id = htons(0x1234);
	echo.checksum = checksum(&echo, sizeof(echo));
	CHECK_EQ(
	    sendto(s, &echo, sizeof(echo), 0, (void *)&to, sizeof(to)), sizeof(echo));
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 20 + sizeof(echo));
	CHECK_EQ(buf[0], 0x45);
	back = (void *)(buf + 20);
	CHECK_EQ(back->type, ICMP_ECHOREPLY);
	CHECK_EQ(back->un.echo.id, htons(0x1234));
}

/* RFC 3542 3.1, 3.2: the kernel makes ICMPv6's checksum, the filter lets only answers in. */
static void
raw_socket_pings_v6(void)
{
	int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct icmp6_hdr echo = {.icmp6_type = ICMP6_ECHO_REQUEST}, back;
	struct sockaddr_in6 to = in6("::1", 0), from;
	socklen_t len = sizeof(from);
	struct icmp6_filter filter;

	CHECK(s >= 0);
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	CHECK_EQ(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)), 0);
	CHECK_ERR(setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){4}, 4), EINVAL);
	CHECK_ERR(setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){2}, 4), EINVAL);
	CHECK(setsockopt(s, IPPROTO_RAW, IPV6_CHECKSUM, &(int){2}, 4) == 0);
	echo.icmp6_id = htons(0x4321);
	CHECK_EQ(
	    sendto(s, &echo, sizeof(echo), 0, (void *)&to, sizeof(to)), sizeof(echo));
	CHECK_EQ(recvfrom(s, &back, sizeof(back), 0, (void *)&from, &len), sizeof(back));
	CHECK_EQ(back.icmp6_type, ICMP6_ECHO_REPLY);
	CHECK_EQ(back.icmp6_id, htons(0x4321));
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
}

static void
header_included_goes_as_it_is(void)
{
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW),
	    r = socket(AF_INET, SOCK_RAW, 253);
	struct sockaddr_in to = in("127.0.0.1", 0);
	uint8_t out[24] = {0x45, 0x08, 0, 0, 0xab, 0xcd, 0, 0, 44, 253, 0, 0, 127, 0, 0,
	    1, 127, 0, 0, 1, 'd', 'a', 't', 'a'};
	uint8_t buf[64];

	CHECK_EQ(sendto(s, out, sizeof(out), 0, (void *)&to, sizeof(to)), sizeof(out));
	CHECK_EQ(recv(r, buf, sizeof(buf), 0), sizeof(out));
	CHECK_EQ(buf[1], 0x08);
	CHECK_EQ(buf[3], 24);
	CHECK_EQ(buf[4], 0xab);
	CHECK_EQ(buf[8], 44);
	CHECK_EQ(memcmp(buf + 20, "data", 4), 0);
}

static void
header_included_over_v6(void)
{
	int s = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW),
	    r = socket(AF_INET6, SOCK_RAW, 253);
	struct sockaddr_in6 to = in6("::1", 0);
	uint8_t out[44] = {0x62, 0x80, 0, 0, 0, 4, 253, 44}, buf[64], control[64];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};

	out[23] = out[39] = 1;
	memcpy(out + 40, "data", 4);
	set(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	CHECK_EQ(sendto(s, out, sizeof(out), 0, (void *)&to, sizeof(to)), sizeof(out));
	CHECK_EQ(recvmsg(r, &m, 0), 4);
	CHECK_EQ(memcmp(buf, "data", 4), 0);
	CHECK_EQ(*(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)), 44);
}

static void
ping_socket_gets_its_own_answers(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct icmphdr echo = {.type = ICMP_ECHO}, back;
	struct sockaddr_in to = in("127.0.0.1", 0), from;
	socklen_t len = sizeof(from);

	if (s < 0 && errno == EACCES)
		return; /* the group range does not let us */
	CHECK(s >= 0);
	echo.un.echo.sequence = htons(7);
	CHECK_EQ(
	    sendto(s, &echo, sizeof(echo), 0, (void *)&to, sizeof(to)), sizeof(echo));
	CHECK_EQ(recvfrom(s, &back, sizeof(back), 0, (void *)&from, &len), sizeof(back));
	CHECK_EQ(back.type, ICMP_ECHOREPLY);
	CHECK_EQ(back.un.echo.sequence, htons(7));
	CHECK_EQ(ntohs(back.un.echo.id), port_of(s));
	echo.type = ICMP_TIMESTAMP;
	CHECK_ERR(sendto(s, &echo, sizeof(echo), 0, (void *)&to, sizeof(to)), EINVAL);
	CHECK_ERR(sendto(s, &echo, 4, 0, (void *)&to, sizeof(to)), EINVAL);
}

/* Binds, connects, sends and closes as fast as it goes, at a few ports that all use. */
static void
churn(unsigned seed)
{
	struct timespec start, now;
	unsigned n = 0;
	char buf[64];

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		struct sockaddr_in a = in("127.0.0.1", 7000 + (int)(seed++ * 7 % 5));
		struct sockaddr none = {.sa_family = AF_UNSPEC};

		CHECK(fd >= 0);
		set(fd, SOL_SOCKET, seed & 1 ? SO_REUSEADDR : SO_REUSEPORT, 1);
		(void)bind(fd, (void *)&a, sizeof(a)); /* another may have it */
		a.sin_port = htons(7000 + (int)(seed * 3 % 5));
		for (int i = 0; i < 8; i++) {
			(void)sendto(fd, buf, sizeof(buf), 0, (void *)&a, sizeof(a));
			(void)recv(fd, buf, sizeof(buf), 0);
		}
		CHECK_EQ(connect(fd, (void *)&a, sizeof(a)), 0);
		(void)send(fd, buf, 1, 0);
		if (seed & 2)
			CHECK_EQ(connect(fd, &none, sizeof(none)), 0);
		close(fd);
		if (++n % 16 == 0)
			clock_gettime(CLOCK_MONOTONIC, &now);
	} while (n < 16 || now.tv_sec - start.tv_sec < 2);
}

static void
sockets_come_and_go_under_traffic(void)
{
	int status;

	for (unsigned i = 0; i < 4; i++)
		if (!fork()) {
			churn(i);
			_exit(0);
		}
	for (int i = 0; i < 4; i++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

static void
proc_lists_bound_sockets(void)
{
	int s = bound("127.0.0.1");
	char line[256], want[32];
	struct stat st;
	FILE *f = fopen("/proc/net/udp", "r");
	int seen = 0;

	CHECK(f);
	CHECK_EQ(fstat(s, &st), 0);
	snprintf(want, sizeof(want), "0100007F:%04X", port_of(s));
	while (fgets(line, sizeof(line), f)) {
		char local[32];
		unsigned long ino;

		CHECK_EQ(strlen(line), 128);
		if (sscanf(line, "%*d: %31s %*s %*s %*s %*s %*s %*d %*d %lu", local,
		        &ino) == 2 &&
		    !strcmp(local, want)) {
			CHECK_EQ(ino, st.st_ino);
			seen = 1;
		}
	}
	CHECK(seen);
}

static const struct test tests[] = {
    TEST(datagram_goes_to_its_port),
    TEST(loopback_has_delivered_when_send_returns),
    TEST(send_refuses_wrong_arguments),
    TEST(large_datagrams_survive_whole),
    TEST(connected_sockets_hear_only_their_peer),
    TEST(nobody_at_the_port_is_connection_refused),
    TEST(error_queue_tells_who_and_why),
    TEST(sent_datagrams_are_stamped),
    TEST(control_data_tells_of_the_way),
    TEST(control_data_of_a_send_is_obeyed),
    TEST(rows_of_messages),
    TEST(vectors_make_one_datagram),
    TEST(cork_puts_pieces_together),
    TEST(segments_are_cut_from_one_send),
    TEST(time_out_ends_a_wait),
    TEST(poll_and_epoll_see_datagrams),
    TEST(async_sends_sigio),
    TEST(a_signal_interrupts_a_wait),
    TEST(reuseport_spreads_flows),
    TEST(one_port_is_one_sockets),
    TEST(dual_stack_shows_v4_as_mapped),
    TEST(v6_datagrams_and_control_data),
    TEST(extension_headers_go_and_come),
    TEST(raw_socket_pings),
    TEST(raw_socket_pings_v6),
    TEST(header_included_goes_as_it_is),
    TEST(header_included_over_v6),
    TEST(ping_socket_gets_its_own_answers),
    TEST(sockets_come_and_go_under_traffic),
    TEST(proc_lists_bound_sockets),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
