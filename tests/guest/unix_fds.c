/* AF_UNIX: descriptors in messages, circles of them, and everything at once. */
#define _GNU_SOURCE
#include "tests/guest/unix_util.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void
descriptor_arrives_as_a_new_one(void)
{
	int sv[2], p[2], fd;
	char c;

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(send_fd(sv[0], "x", 1, p[1]), 1);
	close(p[1]);
	CHECK_EQ(recv_fd(sv[1], &c, 1, 0, &fd), 1);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(write(fd, "q", 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'q');
	close(fd);
	CHECK_EQ(read(p[0], &c, 1), 0);
	CHECK_EQ(send_fd(sv[0], "x", 1, p[0]), 1);
	CHECK_EQ(recv_fd(sv[1], &c, 1, MSG_CMSG_CLOEXEC, &fd), 1);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void
descriptors_stop_a_read(void)
{
	int sv[2], fd;
	char buf[16];

	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(send(sv[0], "ab", 2, 0), 2);
	CHECK_EQ(send_fd(sv[0], "cd", 2, 0), 2);
	CHECK_EQ(send(sv[0], "ef", 2, 0), 2);
	/* What comes before goes with it, what comes behind does not. */
	CHECK_EQ(recv_fd(sv[1], buf, 16, 0, &fd), 4);
	CHECK(fd >= 0);
	CHECK_EQ(recv_fd(sv[1], buf, 16, 0, &fd), 2);
	CHECK_EQ(fd, -1);
	/* With the first byte of the message, whose rest comes later. */
	CHECK_EQ(send_fd(sv[0], "ghi", 3, 0), 3);
	CHECK_EQ(recv_fd(sv[1], buf, 1, 0, &fd), 1);
	CHECK(fd >= 0);
	CHECK_EQ(recv_fd(sv[1], buf, 16, 0, &fd), 2);
	CHECK_EQ(fd, -1);
	/* No byte, no descriptor. */
	CHECK_EQ(send_fd(sv[0], "", 0, 0), 0);
	CHECK_EQ(recv_fd(sv[1], buf, 16, MSG_DONTWAIT, &fd), -1);
}

static void
peeking_gives_descriptors_of_its_own(void)
{
	int sv[2], p[2], a, b;
	char c;

	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		pair_of(type, sv);
		CHECK_EQ(pipe(p), 0);
		CHECK_EQ(send_fd(sv[0], "x", 1, p[1]), 1);
		close(p[1]);
		CHECK_EQ(recv_fd(sv[1], &c, 1, MSG_PEEK, &a), 1);
		CHECK_EQ(recv_fd(sv[1], &c, 1, 0, &b), 1);
		CHECK(a >= 0 && b >= 0 && a != b);
		close(a);
		CHECK_EQ(write(b, "q", 1), 1);
		CHECK_EQ(read(p[0], &c, 1), 1);
		close(b);
		CHECK_EQ(read(p[0], &c, 1), 0);
	}
}

/* Sends the same descriptor n times. */
static ssize_t
send_many(int sock, int fd, unsigned n)
{
	static union {
		char room[CMSG_SPACE(300 * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {"m", 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.room,
	    .msg_controllen = CMSG_SPACE(n * sizeof(int))};

	c.align.cmsg_level = SOL_SOCKET;
	c.align.cmsg_type = SCM_RIGHTS;
	c.align.cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(&c.align) + i * sizeof(int), &fd, sizeof(fd));
	return syscall(SYS_sendmsg, sock, &m, MSG_DONTWAIT); /* musl has room for less */
}

static void
sending_refuses_what_it_must(void)
{
	int sv[2], fd, n = 0;
	char c;
	struct rlimit rl = {20, 20};
	struct name l = abstract_name("refuse");

	pair_of(SOCK_STREAM, sv);
	CHECK_ERR(send_many(sv[0], 99, 1), EBADF);
	CHECK_ERR(send_many(sv[0], 0, 254), EINVAL);
	CHECK_EQ(send_many(sv[0], 0, 253), 1);
	CHECK_EQ(recv_fd(sv[1], &c, 1, 0, &fd), 1);
	CHECK(fd >= 0);
	fd = open("/", O_PATH);
	CHECK_EQ(send_many(sv[0], fd, 1), 1);
	CHECK_EQ(recv_fd(sv[1], &c, 1, 0, &fd), 1);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	/* Not more than the limit is under way for a user. */
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &rl), 0);
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
	fd = unix_socket(SOCK_DGRAM);
	CHECK_EQ(bind_to(fd, l), 0);
	pair_of(SOCK_DGRAM, sv);
	while (send_many(sv[0], fd, 1) == 1)
		n++;
	CHECK_EQ(errno, ETOOMANYREFS);
	CHECK_EQ(n, 21);
	CHECK_EQ(send(sv[0], "x", 1, 0), 1);
	CHECK_EQ(recv_fd(sv[1], &c, 1, 0, &fd), 1);
	CHECK_EQ(send_many(sv[0], sv[0], 1), 1);
}

static void
receiving_cuts_to_the_room(void)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} c;
	char x;
	struct iovec iov = {&x, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room};
	struct rlimit rl;
	int sv[2], free_fd = dup(0);

	close(free_fd);
	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(send_many(sv[0], 0, 5), 1);
	m.msg_controllen = sizeof(c.room);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	CHECK_EQ(m.msg_flags, MSG_CTRUNC);
	CHECK_EQ(c.align.cmsg_len, CMSG_LEN(2 * sizeof(int)));
	CHECK_EQ(m.msg_controllen, sizeof(c.room));
	/* The rest was closed. */
	CHECK_EQ(dup(0), free_fd + 4);
	CHECK_EQ(send_many(sv[0], 0, 1), 1);
	m.msg_control = NULL;
	m.msg_controllen = 0;
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	CHECK_EQ(m.msg_flags, MSG_CTRUNC);
	CHECK_EQ(send_many(sv[0], 0, 1), 1);
	CHECK_EQ(read(sv[1], &x, 1), 1);
	CHECK_EQ(dup(0), free_fd + 5);
	/* No descriptor is left. */
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = (rlim_t)free_fd + 6;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &rl), 0);
	CHECK_EQ(send_many(sv[0], 0, 2), 1);
	m.msg_control = c.room;
	m.msg_controllen = sizeof(c.room);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	CHECK_EQ(m.msg_flags, MSG_CTRUNC);
	CHECK_EQ(m.msg_controllen, 0);
}

static void
unread_descriptors_are_closed_with_the_socket(void)
{
	int sv[2], p[2];
	char c;

	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		pair_of(type, sv);
		CHECK_EQ(pipe(p), 0);
		CHECK_EQ(send_fd(sv[0], "x", 1, p[1]), 1);
		close(p[1]);
		CHECK_EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
		CHECK_ERR(read(p[0], &c, 1), EAGAIN);
		close(sv[1]);
		CHECK_EQ(read(p[0], &c, 1), 0);
		close(sv[0]);
	}
}

/* A chain as long as may be, each end in the queue of the next: closed without end of stack. */
static void
long_chains_are_closed(void)
{
	int prev[2], next[2], p[2];
	char c;

	CHECK_EQ(pipe(p), 0);
	pair_of(SOCK_STREAM, prev);
	CHECK_EQ(send_fd(prev[0], "x", 1, p[1]), 1);
	close(p[1]);
	for (int i = 0; i < 700; i++) {
		pair_of(SOCK_STREAM, next);
		CHECK_EQ(send_fd(next[0], "x", 1, prev[1]), 1);
		CHECK_EQ(send_fd(next[0], "x", 1, prev[0]), 1);
		close(prev[0]);
		close(prev[1]);
		prev[0] = next[0];
		prev[1] = next[1];
	}
	close(prev[0]);
	close(prev[1]);
	CHECK_EQ(read(p[0], &c, 1), 0);
}

/* ---- Circles -------------------------------------------------------------------------------- */

/* Waits until the pipe has an end, that is: its writer, who is in some queue, was closed. */
static void
expect_collected(int pipe_reader)
{
	char c;

	/* Linux looks when a socket is closed; here one more. */
	for (int i = 0; i < 300; i++) {
		struct pollfd p = {.fd = pipe_reader, .events = POLLIN};

		close(unix_socket(SOCK_STREAM));
		if (poll(&p, 1, 10) == 1)
			break;
	}
	CHECK_EQ(fcntl(pipe_reader, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(read(pipe_reader, &c, 1), 0);
}

static void
socket_in_its_own_queue_is_collected(void)
{
	int sv[2], p[2];

	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		pair_of(type, sv);
		CHECK_EQ(pipe(p), 0);
		CHECK_EQ(send_fd(sv[0], "x", 1, p[1]), 1);
		CHECK_EQ(send_fd(sv[0], "x", 1, sv[1]), 1);
		close(p[1]);
		close(sv[1]);
		close(sv[0]);
		expect_collected(p[0]);
	}
}

static void
crossed_pairs_are_collected(void)
{
	int a[2], b[2], p[2];

	pair_of(SOCK_STREAM, a);
	pair_of(SOCK_STREAM, b);
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(send_fd(a[0], "x", 1, b[1]), 1);
	CHECK_EQ(send_fd(a[0], "x", 1, b[0]), 1);
	CHECK_EQ(send_fd(b[0], "x", 1, a[1]), 1);
	CHECK_EQ(send_fd(b[0], "x", 1, a[0]), 1);
	CHECK_EQ(send_fd(b[0], "x", 1, p[1]), 1);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	close(p[1]);
	expect_collected(p[0]);
}

static void
connection_nobody_accepted_is_collected(void)
{
	struct name n = abstract_name("embryo");
	int l = listener(SOCK_STREAM, n, 5), fd = unix_socket(SOCK_STREAM), p[2];

	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(connect_to(fd, n), 0);
	CHECK_EQ(send_fd(fd, "x", 1, l), 1);
	CHECK_EQ(send_fd(fd, "x", 1, p[1]), 1);
	close(p[1]);
	close(l);
	close(fd);
	expect_collected(p[0]);
}

static void
what_can_be_received_is_kept(void)
{
	int a[2], b[2], p[2], fd;
	char c;

	/* b[1] is in its own queue, and in that of a[1], which is open. */
	pair_of(SOCK_STREAM, a);
	pair_of(SOCK_STREAM, b);
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(send_fd(b[0], "x", 1, b[1]), 1);
	CHECK_EQ(send_fd(b[0], "x", 1, p[1]), 1);
	CHECK_EQ(send_fd(a[0], "x", 1, b[1]), 1);
	close(p[1]);
	close(b[0]);
	close(b[1]);
	CHECK_EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 10; i++) {
		close(unix_socket(SOCK_STREAM));
		usleep(5000);
		CHECK_ERR(read(p[0], &c, 1), EAGAIN);
	}
	CHECK_EQ(recv_fd(a[1], &c, 1, 0, &fd), 1);
	CHECK(fd >= 0);
	CHECK_EQ(recv_fd(fd, &c, 1, 0, &b[1]), 1);
	close(b[1]);
	CHECK_EQ(recv_fd(fd, &c, 1, 0, &b[1]), 1);
	CHECK_EQ(write(b[1], "q", 1), 1);
	close(b[1]);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 0);
}

/* ---- Everything at once ---------------------------------------------------------------------- */

static volatile bool is_over;

static void *
make_circles(void *arg)
{
	int sv[2];

	while (!is_over) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sv))
			continue;
		(void)send_fd(sv[0], "x", 1, sv[1]);
		(void)send_fd(sv[1], "x", 1, sv[0]);
		close(sv[0]);
		close(sv[1]);
	}
	return arg;
}

/* Over one pair, sockets go round and round; some are taken out, some are left. */
static void *
pass_around(void *arg)
{
	int *sv = arg, fd, own[2];
	char c;

	while (!is_over) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, own))
			continue;
		(void)send_fd(own[0], "x", 1, sv[1]);
		(void)send_fd(sv[0], "x", 1, own[1]);
		close(own[0]);
		close(own[1]);
		if (recv_fd(sv[1], &c, 1, MSG_DONTWAIT, &fd) == 1 && fd >= 0) {
			(void)recv_fd(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK, &own[0]);
			close(own[0]);
			close(fd);
		}
	}
	return NULL;
}

static void *
connect_and_close(void *arg)
{
	struct name n = *(struct name *)arg;

	while (!is_over) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

		if (connect_to(fd, n) == 0)
			(void)send_fd(fd, "x", 1, fd);
		close(fd);
	}
	return arg;
}

static void *
listen_and_close(void *arg)
{
	struct name n = *(struct name *)arg;

	while (!is_over) {
		int l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

		if (bind_to(l, n) == 0 && listen(l, 3) == 0) {
			for (int i = 0; i < 3; i++) {
				int c = accept(l, NULL, NULL);

				if (c >= 0)
					close(c);
				sched_yield();
			}
		}
		close(l);
	}
	return arg;
}

static void *
storm(void *arg)
{
	struct name n = *(struct name *)arg;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	unsigned i = 0;

	while (!is_over) {
		(void)sendto(fd, "storm", 5, MSG_DONTWAIT, (void *)&n.un, n.len);
		if (++i % 16 == 0 && connect_to(fd, n) == 0)
			(void)events_of(fd);
		if (i % 64 == 0)
			(void)connect(fd, &none, sizeof(none));
	}
	close(fd);
	return arg;
}

static void *
receive_storm(void *arg)
{
	struct name n = *(struct name *)arg;
	char buf[8];

	while (!is_over) {
		int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

		if (bind_to(fd, n) == 0)
			for (int i = 0; i < 50; i++)
				(void)recv(fd, buf, 8, MSG_DONTWAIT);
		close(fd);
	}
	return arg;
}

static long
num_sockets(void)
{
	char line[128];
	long n = -1;
	FILE *f = fopen("/proc/net/unix", "r");

	while (f && fgets(line, sizeof(line), f))
		n++;
	if (f)
		fclose(f);
	return n;
}

static void
storm_leaves_nothing(void)
{
	struct name s = abstract_name("storm"), d = abstract_name("dgram");
	pthread_t t[10];
	long before = num_sockets(), after;
	int sv[2];

	signal(SIGPIPE, SIG_IGN);
	pair_of(SOCK_STREAM, sv);
	CHECK_EQ(pthread_create(&t[0], NULL, make_circles, NULL), 0);
	CHECK_EQ(pthread_create(&t[1], NULL, make_circles, NULL), 0);
	CHECK_EQ(pthread_create(&t[2], NULL, pass_around, sv), 0);
	CHECK_EQ(pthread_create(&t[3], NULL, pass_around, sv), 0);
	CHECK_EQ(pthread_create(&t[4], NULL, connect_and_close, &s), 0);
	CHECK_EQ(pthread_create(&t[5], NULL, connect_and_close, &s), 0);
	CHECK_EQ(pthread_create(&t[6], NULL, listen_and_close, &s), 0);
	CHECK_EQ(pthread_create(&t[7], NULL, storm, &d), 0);
	CHECK_EQ(pthread_create(&t[8], NULL, storm, &d), 0);
	CHECK_EQ(pthread_create(&t[9], NULL, receive_storm, &d), 0);
	sleep(5);
	is_over = true;
	for (int i = 0; i < 10; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	close(sv[0]);
	close(sv[1]);
	for (int i = 0; i < 500; i++) {
		close(unix_socket(SOCK_STREAM));
		after = num_sockets();
		if (after <= before)
			break;
		usleep(10000);
	}
	CHECK_EQ(after, before);
}

static const struct test tests[] = {
    TEST(descriptor_arrives_as_a_new_one),
    TEST(descriptors_stop_a_read),
    TEST(peeking_gives_descriptors_of_its_own),
    TEST(sending_refuses_what_it_must),
    TEST(receiving_cuts_to_the_room),
    TEST(unread_descriptors_are_closed_with_the_socket),
    TEST(long_chains_are_closed),
    TEST(socket_in_its_own_queue_is_collected),
    TEST(crossed_pairs_are_collected),
    TEST(connection_nobody_accepted_is_collected),
    TEST(what_can_be_received_is_kept),
    TEST(storm_leaves_nothing),
};

RUN_TESTS(tests)
