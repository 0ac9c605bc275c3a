/*
 * What the system tells of TCP's connections: /proc/net/tcp and its fields, the counters of
 * /proc/net/netstat, options and ioctls that only ask.
 */
#define _GNU_SOURCE
#include "tcp_util.h"

#include <sys/stat.h>

static const char *
proc_path(void)
{
	return family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6";
}

/* ---- /proc/net/tcp ------------------------------------------------------------------------ */

/* The whole text by reads of `piece` bytes. */
static char *
read_all(int fd, size_t piece, size_t *len)
{
	size_t size = 1 << 20;
	char *text = malloc(size);
	ssize_t n;

	for (*len = 0; *len + piece < size; *len += (size_t)n) {
		n = read(fd, text + *len, piece);
		CHECK(n >= 0);
		if (!n)
			break;
	}
	text[*len] = '\0';
	return text;
}

static int
lines_with(const char *text, uint16_t a, uint16_t b)
{
	char one[16], other[16];
	int n = 0;

	snprintf(one, sizeof(one), ":%04X ", a);
	snprintf(other, sizeof(other), ":%04X ", b);
	for (const char *at = strstr(text, other); at; at = strstr(at + 1, other)) {
		const char *start = at, *twin;

		while (start > text && start[-1] != '\n')
			start--;
		twin = strstr(start, one);
		n += twin && twin < strchr(at, '\n');
	}
	return n;
}

/* Text of more than one piece: every connection once, and the same after going back. */
static void
long_list_has_everybody_once(void)
{
	enum { N = 450 };
	static const size_t pieces[] = {100, 1000, 4096, 65536};
	int c[N], fd = open(proc_path(), O_RDONLY);
	uint16_t port;
	int l = listener(N, &port);
	size_t len;

	CHECK(fd >= 0);
	for (int i = 0; i < N; i++)
		c[i] = connect_to(port);
	for (unsigned k = 0; k < 4; k++) {
		char *text = read_all(fd, pieces[k], &len);

		for (int i = 0; i < N; i++) /* its own line, and the other end's */
			CHECK_EQ(lines_with(text, port, port_of(c[i])), 2);
		CHECK_EQ(text[len - 1], '\n');
		free(text);
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	}
	(void)l;
}

/* The line whose local and remote ports are these; then what follows the pointer. */
static char *
line_of(uint16_t local, uint16_t remote, char line[512])
{
	FILE *f = fopen(proc_path(), "r");
	char a[16], b[16];

	CHECK(f != NULL);
	snprintf(a, sizeof(a), ":%04X ", local);
	snprintf(b, sizeof(b), ":%04X ", remote);
	while (fgets(line, 512, f)) {
		char *at = strstr(line, a);

		if (at && strstr(at + 5, b) && strstr(at + 5, b) - at < 48) {
			fclose(f);
			return strstr(at + 5, b) + 6;
		}
	}
	CHECK(!"no such line");
	return NULL;
}

struct fields {
	unsigned state, tx, rx, timer, retransmits, uid, probes, refs;
	unsigned long when, inode;
	unsigned rto, ato, quick, cwnd;
	int ssthresh;
	char pointer[32];
};

static void
fields_of(uint16_t local, uint16_t remote, struct fields *f)
{
	char line[512], *rest = line_of(local, remote, line);

	CHECK_EQ(sscanf(rest, "%X %X:%X %X:%lX %X %u %u %lu %u %31s %u %u %u %u %d",
	             &f->state, &f->tx, &f->rx, &f->timer, &f->when, &f->retransmits,
	             &f->uid, &f->probes, &f->inode, &f->refs, f->pointer, &f->rto,
	             &f->ato, &f->quick, &f->cwnd, &f->ssthresh),
	    16);
	CHECK_EQ(strlen(f->pointer), 16);
}

static unsigned long
inode_of(int fd)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	return st.st_ino;
}

static void
line_tells_of_its_socket(void)
{
	uint16_t port;
	int l, c, c2, s;
	struct fields f;

	CHECK_EQ(setuid(4711), 0);
	l = listener(5, &port);
	c = connect_to(port);
	c2 = connect_to(port);
	s = accept(l, NULL, NULL);
	CHECK_EQ(write(c, "0123456789", 10), 10);
	CHECK_EQ(poll_for(s, POLLIN) & POLLIN, POLLIN);
	fields_of(port, 0, &f);
	CHECK_EQ(f.state, 0x0a);
	CHECK_EQ(f.rx, 1); /* one waits to be accepted */
	CHECK_EQ(f.uid, 4711);
	CHECK_EQ(f.inode, inode_of(l));
	CHECK_EQ(f.rto, 100);
	CHECK_EQ(f.cwnd, 10);
	CHECK_EQ(f.ssthresh, 0);
	fields_of(port, port_of(c), &f);
	CHECK_EQ(f.state, 1);
	CHECK_EQ(f.rx, 10);
	CHECK_EQ(f.uid, 4711);
	CHECK_EQ(f.inode, inode_of(s));
	CHECK_EQ(f.ssthresh, -1);
	fields_of(port, port_of(c2), &f);
	CHECK_EQ(f.state, 1);
	CHECK_EQ(f.inode, 0); /* nobody has it yet */
	fields_of(port_of(c), port, &f);
	CHECK_EQ(f.inode, inode_of(c));
	CHECK(f.rto >= 20 && f.rto < 100);
	CHECK_EQ(f.retransmits, 0);
}

static void
keepalive_and_time_wait_show_their_timers(void)
{
	struct fields f;
	char line[512];
	uint16_t port, mine;
	int l = listener(5, &port), c = connect_to(port), s = accept(l, NULL, NULL);

	mine = port_of(c);
	set_int(c, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(c, IPPROTO_TCP, TCP_KEEPIDLE, 100);
	sleep_ms(300); /* nothing is under way any more */
	fields_of(mine, port, &f);
	CHECK_EQ(f.timer, 2);
	CHECK(f.when > 9900 && f.when <= 10000);
	close(c);
	CHECK_EQ(read(s, line, 1), 0);
	close(s);
	sleep_ms(20);
	CHECK(!strncmp(line_of(mine, port, line), "06 00000000:00000000 03:0000", 28));
}

/* ---- /proc/net/netstat ---------------------------------------------------------------------- */

static long
counter(const char *name)
{
	return column_of("/proc/net/netstat", "", name);
}

static void
counters_that_tools_read_are_there(void)
{
	static const char *const names[] = {"SyncookiesSent", "ListenOverflows",
	    "ListenDrops", "TCPTimeouts", "TCPLossProbes", "TCPFastRetrans",
	    "TCPSlowStartRetrans", "TCPSynRetrans", "TCPOrigDataSent", "TCPKeepAlive",
	    "TCPWinProbe", "DelayedACKs", "TCPAbortOnTimeout", "TCPAbortOnClose",
	    "EmbryonicRsts", "TW", "TCPOFOQueue"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(counter(names[i]) >= 0);
}

static void
octets_and_ecn_marks_are_counted(void)
{
	static const char *const names[] = {"InOctets", "OutOctets", "InECT0Pkts"};
	struct sockaddr_in to = {.sin_family = AF_INET};
	socklen_t len = sizeof(to);
	int tos = 2 /* ECT(0) */, s = socket(AF_INET, SOCK_DGRAM, 0);
	char data[1000] = "";
	long before[3];

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(s >= 0 && !bind(s, (struct sockaddr *)&to, sizeof(to)));
	CHECK(!getsockname(s, (struct sockaddr *)&to, &len));
	CHECK(!setsockopt(s, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
	for (unsigned i = 0; i < 3; i++)
		before[i] = counter(names[i]);
	CHECK_EQ(sendto(s, data, sizeof(data), 0, (struct sockaddr *)&to, len),
	    (long)sizeof(data));
	CHECK_EQ(recv(s, data, sizeof(data), 0), (long)sizeof(data));
	CHECK(counter(names[0]) - before[0] >= 1028);
	CHECK(counter(names[1]) - before[1] >= 1028);
	CHECK(counter(names[2]) - before[2] >= 1);
	close(s);
}

static void
data_and_delayed_acks_are_counted(void)
{
	long sent = counter("TCPOrigDataSent"), delayed = counter("DelayedACKs");
	char buf[8];
	int fd[2];

	pair(fd);
	for (int i = 0; i < 40; i++) { /* beyond the quick ACKs of the beginning */
		CHECK_EQ(write(fd[0], "x", 1), 1);
		CHECK_EQ(read(fd[1], buf, 1), 1);
		CHECK_EQ(write(fd[1], "y", 1), 1);
		CHECK_EQ(read(fd[0], buf, 1), 1);
	}
	CHECK_EQ(write(fd[0], "x", 1), 1);
	sleep_ms(300);
	CHECK(counter("TCPOrigDataSent") >= sent + 81);
	CHECK(counter("DelayedACKs") > delayed);
}

static void
keepalives_are_counted(void)
{
	long before = counter("TCPKeepAlive");
	int fd[2];

	pair(fd);
	set_int(fd[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd[0], IPPROTO_TCP, TCP_KEEPIDLE, 1);
	sleep_ms(1300);
	CHECK(counter("TCPKeepAlive") > before);
}

/* ---- Options and ioctls ----------------------------------------------------------------------- */

enum {
	INQ = 36,
	CM_INQ = 36,
	THIN_LINEAR = 16,
	COOKIE = 57,
	MEMINFO = 55,
	INCOMING_CPU = 49
};

static int
inq_of(int fd, char *buf, size_t n)
{
	char control[64];
	struct iovec iov = {buf, n};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int inq;

	CHECK(recvmsg(fd, &m, 0) >= 0);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == IPPROTO_TCP && c->cmsg_type == CM_INQ);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(inq)));
	memcpy(&inq, CMSG_DATA(c), sizeof(inq));
	return inq;
}

static void
inq_comes_with_each_read(void)
{
	int fd[2], bad = 2;
	char buf[16];

	pair(fd);
	CHECK_ERR(setsockopt(fd[1], IPPROTO_TCP, INQ, &bad, sizeof(bad)), EINVAL);
	CHECK_EQ(get_int(fd[1], IPPROTO_TCP, INQ), 0);
	set_int(fd[1], IPPROTO_TCP, INQ, 1);
	CHECK_EQ(get_int(fd[1], IPPROTO_TCP, INQ), 1);
	CHECK_EQ(write(fd[0], "0123456789", 10), 10);
	CHECK_EQ(poll_for(fd[1], POLLIN) & POLLIN, POLLIN);
	CHECK_EQ(inq_of(fd[1], buf, 4), 6);
	CHECK_EQ(inq_of(fd[1], buf, 6), 0);
	close(fd[0]);
	CHECK_EQ(poll_for(fd[1], POLLRDHUP) & POLLRDHUP, POLLRDHUP);
	CHECK_EQ(inq_of(fd[1], buf, 4), 1); /* the end of file */
}

static void
thin_streams_are_remembered(void)
{
	int fd = tcp_socket(0), bad = 2;

	set_int(fd, IPPROTO_TCP, THIN_LINEAR, 1);
	CHECK_EQ(get_int(fd, IPPROTO_TCP, THIN_LINEAR), 1);
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, THIN_LINEAR, &bad, sizeof(bad)), EINVAL);
}

static void
incoming_cpu_is_known_after_data(void)
{
	int fd[2], cpu;

	CHECK_EQ(get_int(tcp_socket(0), SOL_SOCKET, INCOMING_CPU), -1);
	pair(fd);
	CHECK_EQ(write(fd[0], "x", 1), 1);
	CHECK_EQ(poll_for(fd[1], POLLIN) & POLLIN, POLLIN);
	cpu = get_int(fd[1], SOL_SOCKET, INCOMING_CPU);
	CHECK(cpu >= 0 && cpu < sysconf(_SC_NPROCESSORS_CONF));
}

static void
cookies_differ_and_stay(void)
{
	uint64_t a[2], b[2];
	socklen_t len = sizeof(a[0]);
	int fd[2];

	pair(fd);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(getsockopt(fd[0], SOL_SOCKET, COOKIE, &a[i], &len), 0);
		CHECK_EQ(getsockopt(fd[1], SOL_SOCKET, COOKIE, &b[i], &len), 0);
		CHECK_EQ(len, 8);
	}
	CHECK(a[0] && b[0] && a[0] != b[0]);
	CHECK(a[0] == a[1] && b[0] == b[1]);
	len = 4;
	CHECK_ERR(getsockopt(fd[0], SOL_SOCKET, COOKIE, a, &len), EINVAL);
}

static void
meminfo_shows_what_waits(void)
{
	uint32_t info[9];
	socklen_t len = sizeof(info);
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "x", 1), 1);
	CHECK_EQ(poll_for(fd[1], POLLIN) & POLLIN, POLLIN);
	CHECK_EQ(getsockopt(fd[1], SOL_SOCKET, MEMINFO, info, &len), 0);
	CHECK_EQ(len, sizeof(info));
	CHECK(info[0] > 0 && info[0] < 8192); /* rmem_alloc */
	CHECK_EQ(info[1], get_int(fd[1], SOL_SOCKET, SO_RCVBUF));
	CHECK_EQ(info[3], get_int(fd[1], SOL_SOCKET, SO_SNDBUF));
}

static void
connection_can_be_accepted_when_connect_returns(void)
{
	uint16_t port;
	int l = listener(128, &port);

	set_nonblock(l);
	for (int i = 0; i < 300; i++) {
		int c = connect_to(port), s = accept(l, NULL, NULL);

		CHECK(s >= 0);
		CHECK_EQ(write(c, "x", 1), 1);
		close(c);
		close(s);
	}
}

static const struct test tests[] = {
    TEST(long_list_has_everybody_once),
    TEST(line_tells_of_its_socket),
    TEST(keepalive_and_time_wait_show_their_timers),
    TEST(counters_that_tools_read_are_there),
    TEST(octets_and_ecn_marks_are_counted),
    TEST(data_and_delayed_acks_are_counted),
    TEST(keepalives_are_counted),
    TEST(inq_comes_with_each_read),
    TEST(thin_streams_are_remembered),
    TEST(incoming_cpu_is_known_after_data),
    TEST(cookies_differ_and_stay),
    TEST(meminfo_shows_what_waits),
    TEST(connection_can_be_accepted_when_connect_returns),
};

int
main(int argc, char **argv)
{
	return run_families(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
