/* The socket calls as such: arguments, names, options, on UDP sockets. */
#define _GNU_SOURCE
#include "tests/guest/net_util.h"

#include <sched.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void
socket_refuses_wrong_arguments(void)
{
	CHECK_ERR(socket(-1, SOCK_DGRAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(200, SOCK_DGRAM, 0), EAFNOSUPPORT);
	CHECK_ERR(socket(AF_INET, 15, 0), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM | 0x10000000, 0), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM, 400), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(AF_INET, SOCK_DGRAM, 0, (int[2]){0, 0}), EOPNOTSUPP);
}

static void
flags_of_socket_are_kept(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	struct stat st;
	char link[64], text[64] = "";
	char buf[4];

	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(recv(fd, buf, 4, 0), EAGAIN);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(readlink(link, text, sizeof(text) - 1) > 0);
	snprintf(link, sizeof(link), "socket:[%lu]", (unsigned long)st.st_ino);
	CHECK_EQ(strcmp(text, link), 0);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
	CHECK_ERR(pread(fd, buf, 4, 0), ESPIPE);
}

static void
calls_on_other_files_fail(void)
{
	struct sockaddr_in a = in("127.0.0.1", 0);
	socklen_t len = sizeof(a);
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	CHECK_ERR(bind(fds[0], (void *)&a, len), ENOTSOCK);
	CHECK_ERR(bind(99, (void *)&a, len), EBADF);
	CHECK_ERR(recv(fds[0], &a, 1, 0), ENOTSOCK);
	CHECK_ERR(shutdown(fds[0], SHUT_RD), ENOTSOCK);
	CHECK_ERR(getsockname(fds[0], (void *)&a, &len), ENOTSOCK);
}

static void
bind_refuses_wrong_addresses(void)
{
	struct sockaddr_in a = in("127.0.0.1", 0);
	struct sockaddr_in6 a6 = in6("::1", 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_ERR(bind(fd, (void *)&a, 15), EINVAL);
	CHECK_ERR(bind(fd, (void *)&a, -1), EINVAL);
	CHECK_ERR(bind(fd, (void *)&a, 200), EINVAL);
	CHECK_ERR(bind(fd, (void *)8, sizeof(a)), EFAULT);
	CHECK_ERR(bind(fd, (void *)&a6, sizeof(a6)), EAFNOSUPPORT);
	CHECK_ERR(bind(fd6, (void *)&a, sizeof(a)), EINVAL);
	CHECK_ERR(bind(fd6, (void *)&a6, 20), EINVAL);
	a = in("198.51.100.77", 0);
	CHECK_ERR(bind(fd, (void *)&a, sizeof(a)), EADDRNOTAVAIL);
	a = in("127.0.0.1", 0);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	CHECK_ERR(bind(fd, (void *)&a, sizeof(a)), EINVAL);
	a = in("0.0.0.0", 0);
	a.sin_family = AF_UNSPEC;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(bind(fd, (void *)&a, sizeof(a)), 0);
}

static void
names_are_cut_to_the_room_there_is(void)
{
	int fd = bound("127.0.0.1");
	struct sockaddr_in a;
	socklen_t len = 4;

	memset(&a, 0xee, sizeof(a));
	CHECK_EQ(getsockname(fd, (void *)&a, &len), 0);
	CHECK_EQ(len, 16);
	CHECK_EQ(a.sin_family, AF_INET);
	CHECK_EQ(a.sin_addr.s_addr, 0xeeeeeeee);
	len = sizeof(a);
	CHECK_ERR(getpeername(fd, (void *)&a, &len), ENOTCONN);
	len = -1;
	CHECK_ERR(getsockname(fd, (void *)&a, &len), EINVAL);
	CHECK_ERR(listen(fd, 5), EOPNOTSUPP);
	CHECK_ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_accept4, fd, NULL, NULL, 0x7), EINVAL);
	CHECK_ERR(shutdown(fd, 3), EINVAL);
	CHECK_ERR(shutdown(fd, SHUT_WR), ENOTCONN);
}

static void
socket_options_read_back(void)
{
	static const int flags[] = {SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST,
	    SO_KEEPALIVE, SO_OOBINLINE, SO_DONTROUTE, SO_NO_CHECK, SO_TIMESTAMP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct linger l = {1, 5};
	struct timeval tv = {1, 500000};
	socklen_t len;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		CHECK_EQ(get(fd, SOL_SOCKET, flags[i]), 0);
		set(fd, SOL_SOCKET, flags[i], 5);
		CHECK_EQ(get(fd, SOL_SOCKET, flags[i]), 1);
		set(fd, SOL_SOCKET, flags[i], 0);
		CHECK_EQ(get(fd, SOL_SOCKET, flags[i]), 0);
	}
	CHECK_EQ(get(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	set(fd, SOL_SOCKET, SO_SNDBUF, 10000);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_SNDBUF), 20000);
	set(fd, SOL_SOCKET, SO_RCVBUF, 1);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_RCVBUF), 2304);
	set(fd, SOL_SOCKET, SO_PRIORITY, 6);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_PRIORITY), 6);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	memset(&l, 0, sizeof(l));
	len = sizeof(l);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	CHECK_EQ(l.l_onoff, 1);
	CHECK_EQ(l.l_linger, 5);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	len = sizeof(tv);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
	CHECK_EQ(tv.tv_usec, 500000);
	tv.tv_usec = 1000000;
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &l, 3), EINVAL);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_TYPE, &l, 4), ENOPROTOOPT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, 999, &l, 4), ENOPROTOOPT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8), ENODEV);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &l, -1), EINVAL);
}

static void
ip_options_read_back(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
	unsigned char byte = 7;
	socklen_t len = 1;

	CHECK_EQ(get(fd, IPPROTO_IP, IP_TTL), 64);
	set(fd, IPPROTO_IP, IP_TTL, 9);
	CHECK_EQ(get(fd, IPPROTO_IP, IP_TTL), 9);
	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_TOS, &byte, 1), 0);
	CHECK_EQ(getsockopt(fd, IPPROTO_IP, IP_TOS, &byte, &len), 0);
	CHECK_EQ(byte, 7);
	CHECK_EQ(get(fd, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	CHECK_EQ(get(fd, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
	CHECK_EQ(get(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
	set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	CHECK_EQ(get(fd, IPPROTO_IP, IP_PKTINFO), 1);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){256}, 4), EINVAL);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){0}, 4), EINVAL);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &(int){1}, 4), ENOPROTOOPT);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, 999, &(int){1}, 4), ENOPROTOOPT);
	CHECK_ERR(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4), ENOPROTOOPT);
	CHECK_ERR(
	    getsockopt(fd, IPPROTO_IP, IP_MTU, &(int){1}, &(socklen_t){4}), ENOTCONN);
	CHECK_EQ(get(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	CHECK_EQ(get(fd6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
	set(fd6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_EQ(get(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	set(fd6, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	CHECK_EQ(get(fd6, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
}

/* Every page of a file, holes and a short tail too, arrives by sendfile as read gives it. */
static void
sendfile_gives_a_file_to_a_connection(void)
{
	enum { SIZE = 3 * 65536 + 123, HOLE = 40000 };
	static char file[SIZE], got[SIZE];
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s,
	    f;
	struct sockaddr_in a = in("127.0.0.1", 0);
	off_t pos = 100;
	size_t n = 0;
	ssize_t r;

	for (size_t i = 0; i < SIZE; i++)
		file[i] = (char)(i < HOLE ? 0 : i * 13 + (i >> 8));
	f = open("/tmp/sendfile", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(f >= 0);
	CHECK_EQ(pwrite(f, file + HOLE, SIZE - HOLE, HOLE), SIZE - HOLE);
	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	a.sin_port = htons(port_of(l));
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(connect(c, (void *)&a, sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	if (!fork()) {
		close(c);
		while (pos < SIZE)
			CHECK(sendfile(s, f, &pos, 100000) > 0);
		CHECK_EQ(sendfile(s, f, &pos, 1), 0);
		CHECK_EQ(lseek(f, 0, SEEK_CUR), 0);
		CHECK_EQ(sendfile(s, f, NULL, 10), 10);
		CHECK_EQ(lseek(f, 0, SEEK_CUR), 10);
		_exit(0);
	}
	close(s);
	while ((r = read(c, got + n, sizeof(got) - n)) > 0)
		n += (size_t)r;
	CHECK_EQ(r, 0);
	CHECK_EQ(n, SIZE - 100 + 10);
	CHECK_EQ(memcmp(got, file + 100, SIZE - 100), 0);
	CHECK_EQ(memcmp(got + SIZE - 100, file, 10), 0);
	unlink("/tmp/sendfile");
}

static void
accept_without_a_descriptor_left_keeps_the_connection(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct sockaddr_in a = in("127.0.0.1", 0);

	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	a.sin_port = htons(port_of(l));
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(connect(c, (void *)&a, sizeof(a)), 0);
	while ((fd = dup(c)) >= 0)
		;
	CHECK_EQ(errno, EMFILE);
	CHECK_ERR(accept(l, NULL, NULL), EMFILE);
	close(c + 1);
	CHECK_EQ(accept(l, NULL, NULL), c + 1);
}

static void
sigpipe_comes_with_epipe_unless_told_not_to(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = in("127.0.0.1", 0);
	int status;

	CHECK_EQ(bind(l, (void *)&a, sizeof(a)), 0);
	a.sin_port = htons(port_of(l));
	CHECK_EQ(listen(l, 1), 0);
	CHECK_EQ(connect(c, (void *)&a, sizeof(a)), 0);
	CHECK_EQ(shutdown(c, SHUT_WR), 0);
	CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
	if (!fork()) {
		(void)!write(c, "x", 1);
		_exit(0);
	}
	CHECK(wait(&status) > 0);
	CHECK_EQ(WTERMSIG(status), SIGPIPE);
}

/* Sends 1, 2, ... num, from one CPU after the other; then that it is over, until it is killed. */
static void
send_numbers(const struct sockaddr_in *to, uint32_t num)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(connect(fd, (const void *)to, sizeof(*to)), 0);
	for (uint32_t i = 1; i <= num; i++) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(i / 8 % 4, &one);
		if (i % 8 == 0)
			(void)sched_setaffinity(
			    0, sizeof(one), &one); /* it may not be there */
		CHECK_EQ(send(fd, &i, sizeof(i), 0), sizeof(i));
	}
	for (num++;; usleep(1000))
		CHECK_EQ(send(fd, &num, sizeof(num), 0), sizeof(num));
}

static void
receive_numbers(uint32_t num)
{
	int fd = bound("127.0.0.1");
	struct sockaddr_in to = in("127.0.0.1", port_of(fd));
	uint32_t i, last = 0, got = 0;
	pid_t sender = fork();

	if (sender == 0)
		send_numbers(&to, num);
	for (; last <= num; last = i, got++) {
		CHECK_EQ(recv(fd, &i, sizeof(i), 0), sizeof(i));
		CHECK(i > last); /* some may be missing */
	}
	CHECK(got > num / 100);
	kill(sender, SIGKILL);
	_exit(0);
}

/* A flow keeps its order over loopback, whichever CPU its sender is on, and however busy. */
static void
loopback_keeps_a_flows_order(void)
{
	enum { FLOWS = 4, NUM = 10000 };
	int status;

	for (int f = 0; f < FLOWS; f++)
		if (fork() == 0)
			receive_numbers(NUM);
	for (int f = 0; f < FLOWS; f++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

static const struct test tests[] = {
    TEST(socket_refuses_wrong_arguments),
    TEST(flags_of_socket_are_kept),
    TEST(calls_on_other_files_fail),
    TEST(bind_refuses_wrong_addresses),
    TEST(names_are_cut_to_the_room_there_is),
    TEST(socket_options_read_back),
    TEST(ip_options_read_back),
    TEST(sendfile_gives_a_file_to_a_connection),
    TEST(accept_without_a_descriptor_left_keeps_the_connection),
    TEST(sigpipe_comes_with_epipe_unless_told_not_to),
    TEST(loopback_keeps_a_flows_order),
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
