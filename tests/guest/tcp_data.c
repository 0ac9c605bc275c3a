/* Data over TCP, ordinary and urgent: see tcp.c. */
#define _GNU_SOURCE
#include "tcp_util.h"

/* ---- Data ------------------------------------------------------------------------------------- */

static void
peek_leaves_and_trunc_throws_away(void)
{
	char buf[16];
	int fd[2];

	pair(fd);
	CHECK_EQ(write(fd[0], "abcdef", 6), 6);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(recv(fd[1], buf, 4, MSG_PEEK), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQ(recv(fd[1], buf, 2, MSG_TRUNC), 2);
	CHECK_EQ(recv(fd[1], buf, 16, 0), 4);
	CHECK(!memcmp(buf, "cdef", 4));
	CHECK_ERR(recv(fd[1], buf, 16, MSG_DONTWAIT), EAGAIN);
}

static void
waitall_waits_for_all(void)
{
	char buf[8] = "";
	int fd[2];

	pair(fd);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++) {
			if (write(fd[0], "12", 2) != 2)
				_exit(1);
			sleep_ms(20);
		}
		_exit(0);
	}
	CHECK_EQ(recv(fd[1], buf, 8, MSG_WAITALL), 8);
	CHECK(!memcmp(buf, "12121212", 8));
}

static void
peek_with_waitall_waits_too(void)
{
	char buf[8] = "";
	int fd[2];

	pair(fd);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++) {
			char two[2] = {(char)('a' + 2 * i), (char)('b' + 2 * i)};

			if (write(fd[0], two, 2) != 2)
				_exit(1);
			sleep_ms(20);
		}
		_exit(0);
	}
	CHECK_EQ(recv(fd[1], buf, 8, MSG_WAITALL | MSG_PEEK), 8);
	CHECK(!memcmp(buf, "abcdefgh", 8));
	CHECK_EQ(recv(fd[1], buf, 8, 0), 8);
	CHECK(!memcmp(buf, "abcdefgh", 8));
}

static void
low_water_mark_holds_poll_back(void)
{
	char buf[8];
	int fd[2];

	pair(fd);
	set_int(fd[1], SOL_SOCKET, SO_RCVLOWAT, 4);
	CHECK_EQ(write(fd[0], "123", 3), 3);
	CHECK_EQ(poll_now(fd[1], 50) & POLLIN, 0);
	CHECK_EQ(write(fd[0], "4", 1), 1);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(read(fd[1], buf, 8), 4);
}

static void
receive_times_out(void)
{
	struct timeval tv = {.tv_usec = 50000};
	char c;
	int fd[2];

	pair(fd);
	CHECK_EQ(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(read(fd[0], &c, 1), EAGAIN);
}

static void
full_buffers_block_and_drain(void)
{
	static char buf[65536];
	long sent = 0, got = 0, n;
	int fd[2];

	pair(fd);
	set_nonblock(fd[0]);
	set_nonblock(fd[1]);
	while ((n = write(fd[0], buf, sizeof(buf))) > 0)
		sent += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK(sent >= 65536);
	CHECK_EQ(poll_now(fd[0], 0) & POLLOUT, 0);
	while (got < sent) {
		CHECK(poll_for(fd[1], POLLIN) & POLLIN);
		while ((n = read(fd[1], buf, sizeof(buf))) > 0)
			got += n;
	}
	CHECK_EQ(got, sent);
	CHECK(poll_for(fd[0], POLLOUT) & POLLOUT);
}

static uint8_t
pattern(long i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static void
send_pattern(int fd, long total, size_t step)
{
	static uint8_t buf[200000];

	for (long at = 0; at < total;) {
		long n = total - at < (long)step ? total - at : (long)step;

		for (long i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		for (long done = 0; done < n;) {
			long w = write(fd, buf + done, (size_t)(n - done));

			CHECK(w > 0);
			done += w;
		}
		at += n;
	}
}

static void
expect_pattern(int fd, long total, size_t step)
{
	static uint8_t buf[200000];
	long at = 0, n;

	while ((n = read(fd, buf, step)) > 0) {
		for (long i = 0; i < n; i++)
			CHECK_EQ(buf[i], pattern(at + i));
		at += n;
	}
	CHECK_EQ(n, 0);
	CHECK_EQ(at, total);
}

static void
large_transfer(size_t write_step, size_t read_step, long total)
{
	int fd[2], status;
	pid_t pid;

	pair(fd);
	pid = fork();
	if (pid == 0) {
		close(fd[1]);
		send_pattern(fd[0], total, write_step);
		_exit(0);
	}
	close(fd[0]);
	expect_pattern(fd[1], total, read_step);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
large_transfer_is_exact(void)
{
	large_transfer(65536, 65536, 16 << 20);
}

static void
transfer_in_odd_pieces_is_exact(void)
{
	large_transfer(1447, 3001, 2 << 20);
	large_transfer(200000, 777, 2 << 20);
}

static void
transfer_of_small_writes_is_exact(void)
{
	large_transfer(13, 65536, 200000);
}

static void
both_ways_at_once_is_exact(void)
{
	enum { TOTAL = 4 << 20 };
	int fd[2], status;
	pid_t pid[3];

	pair(fd);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		switch (i) {
		case 0:
			send_pattern(fd[0], TOTAL, 50000);
			shutdown(fd[0], SHUT_WR);
			break;
		case 1:
			send_pattern(fd[1], TOTAL, 70000);
			shutdown(fd[1], SHUT_WR);
			break;
		default: expect_pattern(fd[0], TOTAL, 30000);
		}
		_exit(0);
	}
	expect_pattern(fd[1], TOTAL, 64000);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
	}
}

static void
sendfile_sends_a_file(void)
{
	enum { SIZE = 300000 };
	int fd[2], file = open("/tmp/tcp_sendfile", O_RDWR | O_CREAT | O_TRUNC, 0600),
	           status;
	off_t off = 0;
	pid_t pid;

	CHECK(file >= 0);
	unlink("/tmp/tcp_sendfile");
	send_pattern(file, SIZE, 65536);
	pair(fd);
	pid = fork();
	if (pid == 0) {
		close(fd[1]);
		while (off < SIZE)
			CHECK(sendfile(fd[0], file, &off, SIZE - (size_t)off) > 0);
		_exit(0);
	}
	close(fd[0]);
	expect_pattern(fd[1], SIZE, 50000);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void
vectors_gather_and_scatter(void)
{
	struct iovec out[3] = {{"ab", 2}, {"cde", 3}, {"f", 1}};
	char x[4], y[4];
	struct iovec in[2] = {{x, 4}, {y, 4}};
	struct msghdr m = {.msg_iov = in, .msg_iovlen = 2};
	int fd[2];

	pair(fd);
	CHECK_EQ(writev(fd[0], out, 3), 6);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(recvmsg(fd[1], &m, 0), 6);
	CHECK(!memcmp(x, "abcd", 4) && !memcmp(y, "ef", 2));
}

static void
more_and_cork_hold_data_together(void)
{
	char buf[16];
	int fd[2];

	pair(fd);
	CHECK_EQ(send(fd[0], "ab", 2, MSG_MORE), 2);
	CHECK_EQ(poll_now(fd[1], 20) & POLLIN, 0);
	CHECK_EQ(send(fd[0], "cd", 2, 0), 2);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(read(fd[1], buf, 16), 4);
	set_int(fd[0], IPPROTO_TCP, TCP_CORK, 1);
	CHECK_EQ(write(fd[0], "ef", 2), 2);
	CHECK_EQ(poll_now(fd[1], 20) & POLLIN, 0);
	set_int(fd[0], IPPROTO_TCP, TCP_CORK, 0);
	CHECK(poll_for(fd[1], POLLIN) & POLLIN);
	CHECK_EQ(read(fd[1], buf, 16), 2);
}

/* ---- Urgent data -------------------------------------------------------------------------------- */

static void
urgent_byte_is_read_apart(void)
{
	char buf[16];
	int fd[2], mark = -1;

	pair(fd);
	CHECK_ERR(recv(fd[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(send(fd[0], "ab", 2, 0), 2);
	CHECK_EQ(send(fd[0], "cU", 2, MSG_OOB), 2);
	CHECK_EQ(send(fd[0], "de", 2, 0), 2);
	CHECK(poll_for(fd[1], POLLPRI) & POLLPRI);
	sleep_ms(20);
	CHECK_EQ(recv(fd[1], buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'U');
	CHECK_ERR(recv(fd[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(recv(fd[1], buf, 16, 0), 3); /* up to the mark */
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_EQ(ioctl(fd[1], SIOCATMARK, &mark), 0);
	CHECK_EQ(mark, 1);
	CHECK_EQ(recv(fd[1], buf, 16, 0), 2);
	CHECK(!memcmp(buf, "de", 2));
}

static void
urgent_byte_in_line(void)
{
	char buf[16];
	int fd[2];

	pair(fd);
	set_int(fd[1], SOL_SOCKET, SO_OOBINLINE, 1);
	CHECK_EQ(send(fd[0], "abU", 3, MSG_OOB), 3);
	CHECK(poll_for(fd[1], POLLPRI) & POLLPRI);
	CHECK_EQ(recv(fd[1], buf, 16, 0), 2);
	CHECK_EQ(recv(fd[1], buf, 16, 0), 1);
	CHECK_EQ(buf[0], 'U');
}

static void
urgent_data_signals_the_owner(void)
{
	int fd[2];

	signal(SIGURG, on_signal);
	pair(fd);
	CHECK_EQ(fcntl(fd[1], F_SETOWN, getpid()), 0);
	CHECK_EQ(send(fd[0], "!", 1, MSG_OOB), 1);
	for (int i = 0; i < 100 && !got_signal; i++)
		sleep_ms(10);
	CHECK_EQ(got_signal, SIGURG);
}

static const struct test tests[] = {
    TEST(peek_leaves_and_trunc_throws_away),
    TEST(waitall_waits_for_all),
    TEST(peek_with_waitall_waits_too),
    TEST(low_water_mark_holds_poll_back),
    TEST(receive_times_out),
    TEST(full_buffers_block_and_drain),
    TEST(large_transfer_is_exact),
    TEST(transfer_in_odd_pieces_is_exact),
    TEST(transfer_of_small_writes_is_exact),
    TEST(both_ways_at_once_is_exact),
    TEST(sendfile_sends_a_file),
    TEST(vectors_gather_and_scatter),
    TEST(more_and_cork_hold_data_together),
    TEST(urgent_byte_is_read_apart),
    TEST(urgent_byte_in_line),
    TEST(urgent_data_signals_the_owner),
};

int
main(int argc, char **argv)
{
	return run_families(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
