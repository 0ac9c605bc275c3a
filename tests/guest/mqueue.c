/* POSIX message queues: names, order, waiting, limits, notification, and their file system. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { ME = 1234, OTHER = 4321, SIZE = 64 };

static char name[32];

/* Its own, gone when the test ends. */
static void
drop_name(void)
{
	mq_unlink(name);
}

static mqd_t
make_queue(int flags, long messages)
{
	struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = SIZE};
	mqd_t q;

	snprintf(name, sizeof(name), "/q%d", getpid());
	mq_unlink(name);
	q = mq_open(name, O_CREAT | O_EXCL | O_RDWR | flags, 0600, &attr);
	CHECK(q >= 0);
	return q;
}

static void
send_text(mqd_t q, const char *text, unsigned priority)
{
	CHECK_EQ(mq_send(q, text, strlen(text), priority), 0);
}

static void
receive_text(mqd_t q, const char *wanted, unsigned wanted_priority)
{
	char text[SIZE + 1] = "";
	unsigned priority = 77;
	ssize_t n = mq_receive(q, text, SIZE, &priority);

	CHECK_EQ(n, strlen(wanted));
	CHECK(!strcmp(text, wanted));
	CHECK_EQ(priority, wanted_priority);
}

/* proves: mq_open mq_unlink */
static void
names_and_rights(void)
{
	struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = SIZE}, got;
	char too_long[300];
	int status;
	mqd_t q;

	snprintf(name, sizeof(name), "/q%d", getpid());
	CHECK_ERR(mq_open(name, O_RDWR), ENOENT);
	CHECK_ERR(mq_unlink(name), ENOENT);
	q = mq_open(name, O_CREAT | O_RDWR, 0640, NULL);
	CHECK(q >= 0);
	CHECK_EQ(fcntl(q, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(mq_getattr(q, &got), 0);
	CHECK(got.mq_maxmsg == 10 && got.mq_msgsize == 8192 && got.mq_curmsgs == 0);
	CHECK_ERR(mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr), EEXIST);
	CHECK(mq_open(name, O_CREAT | O_RDONLY, 0600, &attr) >=
	      0); /* it is there: attr does not matter */
	CHECK_ERR(mq_open(name, O_ACCMODE), EINVAL);
	CHECK_ERR(syscall(SYS_mq_open, "", O_RDWR, 0, NULL), ENOENT);
	CHECK_ERR(syscall(SYS_mq_open, "a/b", O_RDWR, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, "/a", O_RDWR, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, "..", O_RDWR, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, NULL, O_RDWR, 0, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, (void *)8), EFAULT);
	memset(too_long, 'x', sizeof(too_long));
	too_long[256] = 0;
	CHECK_ERR(syscall(SYS_mq_open, too_long, O_RDWR, 0, NULL), ENAMETOOLONG);
	attr.mq_maxmsg = 0;
	CHECK_ERR(mq_open("/other", O_CREAT | O_RDWR, 0600, &attr), EINVAL);
	attr.mq_maxmsg = 3;
	attr.mq_msgsize = -1;
	CHECK_ERR(mq_open("/other", O_CREAT | O_RDWR, 0600, &attr), EINVAL);
	attr.mq_maxmsg = 65537;
	attr.mq_msgsize = SIZE;
	CHECK_ERR(mq_open("/other", O_CREAT | O_RDWR, 0600, &attr), EINVAL);
	if (fork() == 0) {
		CHECK_EQ(setgid(ME), 0);
		CHECK_EQ(setuid(ME), 0);
		CHECK_ERR(mq_open(name, O_RDONLY), EACCES);
		CHECK_ERR(syscall(SYS_mq_unlink, name + 1), EPERM);
		attr.mq_maxmsg = 11; /* more than msg_max wants CAP_SYS_RESOURCE */
		CHECK_ERR(mq_open("/other", O_CREAT | O_RDWR, 0600, &attr), EINVAL);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	CHECK_EQ(mq_unlink(name), 0);
	CHECK_ERR(mq_open(name, O_RDWR), ENOENT);
	send_text(q, "still here", 0); /* who has it open keeps it */
}

/* proves: mq_timedsend mq_timedreceive */
static void
order_is_by_priority_then_arrival(void)
{
	mqd_t q = make_queue(O_NONBLOCK, 8);
	char text[SIZE];

	send_text(q, "low 1", 1);
	send_text(q, "high 1", 32767);
	send_text(q, "low 2", 1);
	send_text(q, "", 5);
	send_text(q, "high 2", 32767);
	receive_text(q, "high 1", 32767);
	receive_text(q, "high 2", 32767);
	receive_text(q, "", 5);
	receive_text(q, "low 1", 1);
	send_text(q, "low 3", 1);
	receive_text(q, "low 2", 1);
	receive_text(q, "low 3", 1);
	CHECK_ERR(mq_receive(q, text, SIZE, NULL), EAGAIN);
	CHECK_ERR(mq_receive(q, text, SIZE - 1, NULL), EMSGSIZE);
	CHECK_ERR(mq_send(q, text, SIZE + 1, 0), EMSGSIZE);
	CHECK_ERR(mq_send(q, text, 1, 32768), EINVAL);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, (void *)8, 1, 0, NULL), EFAULT);
	CHECK_ERR(mq_send(999, text, 1, 0), EBADF);
	CHECK_ERR(mq_send(0, text, 1, 0), EBADF);
	for (int i = 0; i < 8; i++)
		send_text(q, "x", 0);
	CHECK_ERR(mq_send(q, "x", 1, 9), EAGAIN);
	drop_name();
}

static void
descriptors_are_for_reading_or_writing(void)
{
	mqd_t q = make_queue(0, 2), r, w;
	char text[SIZE];

	r = mq_open(name, O_RDONLY | O_NONBLOCK);
	w = mq_open(name, O_WRONLY);
	CHECK(r >= 0 && w >= 0);
	CHECK_ERR(mq_send(r, "x", 1, 0), EBADF);
	CHECK_ERR(mq_receive(w, text, SIZE, NULL), EBADF);
	send_text(w, "x", 3);
	receive_text(r, "x", 3);
	CHECK_ERR(mq_receive(r, text, SIZE, NULL), EAGAIN); /* of this descriptor alone */
	CHECK_EQ(mq_close(q), 0);
	drop_name();
}

/* proves: mq_getsetattr */
static void
attributes(void)
{
	mqd_t q = make_queue(0, 4);
	struct mq_attr set = {.mq_flags = O_NONBLOCK, .mq_maxmsg = 99}, old;
	char text[SIZE];

	send_text(q, "x", 0);
	CHECK_EQ(mq_setattr(q, &set, &old), 0);
	CHECK(old.mq_flags == 0 && old.mq_maxmsg == 4 && old.mq_msgsize == SIZE);
	CHECK_EQ(old.mq_curmsgs, 1);
	CHECK_EQ(mq_getattr(q, &old), 0);
	CHECK(old.mq_flags == O_NONBLOCK && old.mq_maxmsg == 4);
	CHECK(fcntl(q, F_GETFL) & O_NONBLOCK);
	receive_text(q, "x", 0);
	CHECK_ERR(mq_receive(q, text, SIZE, NULL), EAGAIN);
	set.mq_flags = O_APPEND;
	CHECK_ERR(mq_setattr(q, &set, NULL), EINVAL);
	CHECK_ERR(mq_getattr(0, &old), EBADF);
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, (void *)8, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, NULL, (void *)8), EFAULT);
	drop_name();
}

static void
nothing(int sig)
{
}

static void
waiting_ends(void)
{
	const struct sigaction sa = {.sa_handler = nothing};
	mqd_t q = make_queue(0, 1);
	struct timespec ts = in_ms(CLOCK_REALTIME, 30), bad = {0, 1000000000};
	char text[SIZE];
	int status;
	pid_t pid;

	CHECK_ERR(mq_timedreceive(q, text, SIZE, NULL, &bad), EINVAL);
	CHECK_ERR(mq_timedreceive(q, text, SIZE, NULL, &ts), ETIMEDOUT);
	ts = in_ms(CLOCK_REALTIME, -1000);
	CHECK_ERR(mq_timedreceive(q, text, SIZE, NULL, &ts), ETIMEDOUT);
	pid = fork();
	if (pid == 0) {
		sleep_ms(30);
		send_text(q, "one", 1);
		send_text(q, "two", 2); /* waits for room */
		_exit(0);
	}
	receive_text(q, "one", 1);
	receive_text(q, "two", 2);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	send_text(q, "full", 0);
	ts = in_ms(CLOCK_REALTIME, 20);
	CHECK_ERR(mq_timedsend(q, "x", 1, 0, &ts), ETIMEDOUT);
	receive_text(q, "full", 0);
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	alarm(1);
	CHECK_ERR(mq_receive(q, text, SIZE, NULL), EINTR);
	drop_name();
}

static void
poll_tells(void)
{
	mqd_t q = make_queue(0, 1);
	struct pollfd p = {q, POLLIN | POLLOUT, 0};
	int status;
	pid_t pid;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	send_text(q, "x", 0);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	receive_text(q, "x", 0);
	p.events = POLLIN;
	CHECK_EQ(poll(&p, 1, 0), 0);
	pid = fork();
	if (pid == 0) {
		sleep_ms(20);
		send_text(q, "y", 0);
		_exit(0);
	}
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	drop_name();
}

static volatile sig_atomic_t told, told_code, told_value, told_pid;

static void
note_told(int sig, siginfo_t *si, void *context)
{
	told++;
	told_code = si->si_code;
	told_value = si->si_value.sival_int;
	told_pid = si->si_pid;
}

/* proves: mq_notify */
static void
told_once_of_a_message_in_an_empty_queue(void)
{
	const struct sigaction sa = {
	    .sa_sigaction = note_told, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t q = make_queue(0, 4);
	int status;
	pid_t pid;

	ev.sigev_value.sival_int = 4711;
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_ERR(mq_notify(999, &ev), EBADF);
	CHECK_ERR(syscall(SYS_mq_notify, q, (void *)8), EFAULT);
	ev.sigev_signo = 65;
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EINVAL);
	ev.sigev_signo = SIGUSR1;
	ev.sigev_notify = 17;
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EINVAL);
	ev.sigev_notify = SIGEV_SIGNAL;
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_ERR(mq_notify(q, &ev), EBUSY);
	pid = fork();
	if (pid == 0) {
		CHECK_ERR(mq_notify(q, &ev), EBUSY);
		CHECK_EQ(mq_notify(q, NULL), 0); /* another's stays */
		send_text(q, "a", 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(told, 1);
	CHECK_EQ(told_code, SI_MESGQ);
	CHECK_EQ(told_value, 4711);
	CHECK_EQ(told_pid, pid);
	CHECK_EQ(mq_notify(q, &ev), 0); /* that was all: once more */
	send_text(q, "b", 0);           /* not into an empty queue */
	CHECK_EQ(told, 1);
	receive_text(q, "a", 0);
	receive_text(q, "b", 0);
	send_text(q, "c", 0);
	CHECK_EQ(told, 2);
	receive_text(q, "c", 0);
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_EQ(close(dup(q)), 0); /* closing any descriptor of it ends the request */
	send_text(q, "d", 0);
	CHECK_EQ(told, 2);
	drop_name();
}

static void
limits_hold(void)
{
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 1000};
	struct rlimit limit = {10000, 10000};
	int status;

	if (fork() == 0) {
		CHECK_EQ(setrlimit(RLIMIT_MSGQUEUE, &limit), 0);
		CHECK_EQ(setgid(OTHER), 0);
		CHECK_EQ(setuid(OTHER), 0);
		CHECK(mq_open("/mine1", O_CREAT | O_RDWR, 0600, &attr) >= 0);
		CHECK(mq_open("/mine2", O_CREAT | O_RDWR, 0600, &attr) >= 0);
		CHECK_ERR(mq_open("/mine3", O_CREAT | O_RDWR, 0600, &attr), EMFILE);
		CHECK_EQ(mq_unlink("/mine1"), 0);
		/* It is still open: its memory is not given back yet. */
		CHECK_ERR(mq_open("/mine3", O_CREAT | O_RDWR, 0600, &attr), EMFILE);
		CHECK_EQ(mq_unlink("/mine2"), 0);
		_exit(0);
	}
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
}

static void
shows_as_a_file_system(void)
{
	char dir[] = "/tmp/mq.XXXXXX", path[64], text[128] = "";
	struct mq_attr attr;
	struct dirent *e;
	struct stat st;
	bool is_listed = false;
	mqd_t q;
	DIR *d;
	int fd;

	CHECK(mkdtemp(dir));
	if (mount("none", dir, "mqueue", 0, NULL)) {
		printf("no rights to mount here\n");
		return;
	}
	q = make_queue(0, 4);
	send_text(q, "12345", 0);
	snprintf(path, sizeof(path), "%s%s", dir, name);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 80);
	CHECK_EQ(stat(dir, &st), 0);
	CHECK_EQ(st.st_mode, S_IFDIR | 01777);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK(!strcmp(
	    text, "QSIZE:5          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n"));
	CHECK_EQ(mq_getattr(fd, &attr), 0); /* it is a queue's descriptor as well */
	CHECK_EQ(attr.mq_curmsgs, 1);
	d = opendir(dir);
	while ((e = readdir(d)))
		is_listed |= !strcmp(e->d_name, name + 1);
	closedir(d);
	CHECK(is_listed);
	CHECK_ERR(mkdir(strcat(path, "d"), 0700), EPERM);
	CHECK_EQ(
	    close(open(path, O_CREAT | O_RDWR, 0600)), 0); /* with attributes as usual */
	CHECK_EQ(unlink(path), 0);
	path[strlen(path) - 1] = 0;
	CHECK_EQ(unlink(path), 0);
	CHECK_ERR(mq_open(name, O_RDWR), ENOENT);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(umount(dir), 0);
}

static int thread_value;

static void
run_in_thread(union sigval v)
{
	__atomic_store_n(&thread_value, v.sival_int, __ATOMIC_SEQ_CST);
}

/* The C library's thread, and the cookie it waits for. proves: mq_notify */
static void
told_by_a_cookie(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_THREAD,
	    .sigev_notify_function = run_in_thread,
	    .sigev_value.sival_int = 77};
	struct sigevent raw = {.sigev_notify = SIGEV_THREAD};
	char cookie[32] = "a cookie of 32 bytes", got[64];
	mqd_t q = make_queue(0, 3);
	int nl = socket(AF_NETLINK, SOCK_RAW, 0), status;

	CHECK_EQ(mq_notify(q, &e), 0);
	CHECK_ERR(mq_notify(q, &e), EBUSY);
	send_text(q, "x", 0);
	for (int i = 0; i < 2000 && !__atomic_load_n(&thread_value, __ATOMIC_SEQ_CST);
	     i++)
		usleep(1000);
	CHECK_EQ(thread_value, 77);
	receive_text(q, "x", 0);
	CHECK(nl >= 0);
	raw.sigev_value.sival_ptr = cookie;
	raw.sigev_signo = nl;
	CHECK_EQ(SYS(mq_notify, q, &raw), 0);
	send_text(q, "x", 0);
	CHECK_EQ(recv(nl, got, sizeof(got), MSG_DONTWAIT), 32);
	CHECK(!memcmp(got, cookie, 31) && got[31] == 1);
	CHECK_EQ(recv(nl, got, sizeof(got), MSG_DONTWAIT), -1);
	receive_text(q, "x", 0);
	/* Taken back: by the call, and by the end of the descriptor. */
	CHECK_EQ(SYS(mq_notify, q, &raw), 0);
	CHECK_EQ(SYS(mq_notify, q, NULL), 0);
	CHECK_EQ(recv(nl, got, sizeof(got), MSG_DONTWAIT), 32);
	CHECK(!memcmp(got, cookie, 31) && got[31] == 2);
	if (fork() == 0) {
		CHECK_EQ(SYS(mq_notify, q, &raw), 0);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	CHECK_EQ(recv(nl, got, sizeof(got), MSG_DONTWAIT), 32);
	CHECK_EQ(got[31], 2);
	raw.sigev_signo = 99;
	CHECK_ERR(SYS(mq_notify, q, &raw), EBADF);
	raw.sigev_signo = open("/", O_RDONLY);
	CHECK_ERR(SYS(mq_notify, q, &raw), ENOTSOCK);
	raw.sigev_signo = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_ERR(SYS(mq_notify, q, &raw), EINVAL);
	raw.sigev_signo = nl;
	raw.sigev_value.sival_ptr = BAD_ADDR;
	CHECK_ERR(SYS(mq_notify, q, &raw), EFAULT);
	raw.sigev_notify = 3;
	CHECK_ERR(SYS(mq_notify, q, &raw), EINVAL);
	drop_name();
}

static const struct test tests[] = {
    TEST(names_and_rights),
    TEST(order_is_by_priority_then_arrival),
    TEST(descriptors_are_for_reading_or_writing),
    TEST(attributes),
    TEST(waiting_ends),
    TEST(poll_tells),
    TEST(told_once_of_a_message_in_an_empty_queue),
    TEST(limits_hold),
    TEST(shows_as_a_file_system),
    TEST(told_by_a_cookie),
};

RUN_TESTS(tests)
