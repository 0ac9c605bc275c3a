/*
 * xfer: exact data over TCP, and how fast. Both ends of tests/boot/test_net_matrix.py:
 *
 *	xfer serve PORT
 *	xfer send|get|both ADDR PORT BYTES MS
 *	xfer			each mode over loopback, v4 and v6: its own test
 *
 * A stream is the pattern in chunks, each behind its length, until BYTES or MS are used up; a chunk
 * of nothing ends it. Who receives compares every byte. At last each end tells the other how many
 * bytes came in. The server prints a line for each connection.
 */
#include "tests/guest/net_util.h"

#include <endian.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

enum { PERIOD = 1000003, CHUNK = 65536, PATIENCE_S = 90 };

struct order {
	char mode[8]; /* as the client sees it */
	uint64_t bytes, ms;
};

static unsigned char pattern[PERIOD + CHUNK];

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
make_pattern(void)
{
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		pattern[i] = (unsigned char)(x >> 24);
	}
	memcpy(pattern + PERIOD, pattern, CHUNK);
}

static void
die(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void
put(int fd, const void *data, size_t len)
{
	for (const char *p = data; len > 0;) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			die("write");
		p += n;
		len -= (size_t)n;
	}
}

static void
take(int fd, void *data, size_t len)
{
	for (char *p = data; len > 0;) {
		ssize_t n = read(fd, p, len);

		if (n < 0)
			die("read");
		if (n == 0) {
			errno = 0;
			die("the end came early");
		}
		p += n;
		len -= (size_t)n;
	}
}

static void
send_stream(int fd, uint64_t bytes, uint64_t ms)
{
	uint64_t end = now_us() + ms * 1000, sent = 0;
	uint32_t len;

	while (sent < bytes && (!ms || now_us() < end)) {
		len = htobe32(bytes - sent < CHUNK ? (uint32_t)(bytes - sent) : CHUNK);
		put(fd, &len, sizeof(len));
		put(fd, pattern + sent % PERIOD, be32toh(len));
		sent += be32toh(len);
	}
	len = 0;
	put(fd, &len, sizeof(len));
}

/* How many bytes came, all of them right. */
static uint64_t
receive_stream(int fd)
{
	static unsigned char buf[CHUNK];
	uint64_t num = 0;

	for (;;) {
		uint32_t len;

		take(fd, &len, sizeof(len));
		len = be32toh(len);
		if (len == 0)
			return num;
		errno = EBADMSG;
		if (len > CHUNK)
			die("a length is wrong");
		take(fd, buf, len);
		if (memcmp(buf, pattern + num % PERIOD, len)) {
			printf("after %lu bytes: ", (unsigned long)num);
			errno = EBADMSG;
			die("data is wrong");
		}
		num += len;
	}
}

static void
transfer(int fd, const struct order *o, const char *name, int sends, int receives)
{
	uint64_t start = now_us(), sent, received = 0, wire;
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int status = 0;
	pid_t child;
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	child = sends ? fork() : 0;
	if (child < 0)
		die("fork");
	if (sends && child == 0) {
		send_stream(fd, be64toh(o->bytes), be64toh(o->ms));
		_exit(0);
	}
	if (receives)
		received = receive_stream(fd);
	if (sends && (waitpid(child, &status, 0) != child || status))
		die("the sender failed");
	wire = htobe64(received);
	put(fd, &wire, sizeof(wire));
	take(fd, &wire, sizeof(wire));
	sent = be64toh(wire);
	shutdown(fd, SHUT_WR);
	if (read(fd, &c, 1) != 0)
		die("no end");
	printf("%s %s sent %lu received %lu us %lu\n", name, o->mode, (unsigned long)sent,
	    (unsigned long)received, (unsigned long)(now_us() - start));
	fflush(stdout);
	close(fd);
}

static int
is(const struct order *o, const char *mode)
{
	return !strcmp(o->mode, mode);
}

static void
serve_one(int fd)
{
	struct order o;

	/* The usual one, whatever this host has made its own default. */
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	take(fd, &o, sizeof(o));
	o.mode[sizeof(o.mode) - 1] = '\0';
	transfer(fd, &o, "SERVED", !is(&o, "send"), !is(&o, "get"));
}

static int
listen_on(int port)
{
	struct sockaddr_in6 a = in6("::", port);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 16))
		die("listen");
	return fd;
}

static void
serve(int listener)
{
	signal(SIGCHLD, SIG_DFL);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd < 0)
			continue;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve_one(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void
ask(const char *mode, const char *addr, int port, uint64_t bytes, uint64_t ms)
{
	struct sockaddr_in a4 = in(addr, port);
	struct sockaddr_in6 a6 = in6(addr, port);
	int is_v6 = strchr(addr, ':') != NULL;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	struct order o = {.bytes = htobe64(bytes), .ms = htobe64(ms)};

	snprintf(o.mode, sizeof(o.mode), "%s", mode);
	if (connect(
	        fd, is_v6 ? (void *)&a6 : (void *)&a4, is_v6 ? sizeof(a6) : sizeof(a4)))
		die("connect");
	put(fd, &o, sizeof(o));
	transfer(fd, &o, "DONE", !is(&o, "get"), !is(&o, "send"));
}

static void
test_itself(void)
{
	static const char *const modes[] = {"send", "get", "both"};
	static const char *const addrs[] = {"127.0.0.1", "::1"};
	int listener = listen_on(0), port = port_of(listener);
	pid_t server = fork();

	if (server == 0)
		serve(listener);
	for (int i = 0; i < 6; i++)
		ask(modes[i % 3], addrs[i / 3], port, 3000000, 0);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

int
main(int argc, char **argv)
{
	make_pattern();
	signal(SIGPIPE, SIG_IGN);
	if (argc == 1)
		test_itself();
	else if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(listen_on(atoi(argv[2])));
	else if (argc == 6)
		ask(argv[1], argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 0),
		    strtoull(argv[5], NULL, 0));
	else
		return 2;
	return 0;
}
