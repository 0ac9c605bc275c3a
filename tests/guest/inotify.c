/* inotify(7): what is told of what happens, and the calls themselves. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int in; /* the instance of the test; its first watch is of the directory below */
static const char *dir = "/tmp/inotify";

static void
setup(void)
{
	(void)system("rm -rf /tmp/inotify");
	CHECK_EQ(mkdir(dir, 0755), 0);
	CHECK_EQ(chdir(dir), 0);
	in = inotify_init1(IN_NONBLOCK);
	CHECK(in >= 0);
	CHECK_EQ(inotify_add_watch(in, dir, IN_ALL_EVENTS), 1);
}

/* The next event is this one; its cookie. */
static uint32_t
next_event(int line, int wd, uint32_t mask, const char *name)
{
	static char buf[65536] __attribute__((aligned(8)));
	static ssize_t len, at;
	struct inotify_event *e;

	if (at >= len) {
		len = read(in, buf, sizeof(buf));
		at = 0;
	}
	if (!mask && len < 0 && errno == EAGAIN) {
		len = 0;
		return 0;
	}
	if (len <= 0) {
		printf("FAIL line %d: no event %x of %d\n", line, mask, wd);
		fflush(stdout);
		_exit(1);
	}
	e = (struct inotify_event *)(buf + at);
	at += (ssize_t)(sizeof(*e) + e->len);
	if (e->wd != wd || e->mask != mask || strcmp(e->len ? e->name : "", name) != 0 ||
	    e->len % 16 != 0) {
		printf("FAIL line %d: %d %x '%s', not %d %x '%s'\n", line, e->wd, e->mask,
		    e->len ? e->name : "", wd, mask, name);
		fflush(stdout);
		_exit(1);
	}
	return e->cookie;
}

#define EVENT(wd, mask, name) next_event(__LINE__, wd, mask, name)
#define NOTHING()             next_event(__LINE__, 0, 0, "")
/* Of a file that is watched, and so is its directory. */
#define BOTH(wd, mask, name) \
	do { \
		EVENT(1, mask, name); \
		EVENT(wd, mask, ""); \
	} while (0)

static void
files_tell_what_is_done_to_them(void)
{
	char c;
	int fd;

	setup();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	EVENT(1, IN_CREATE, "f");
	EVENT(1, IN_OPEN, "f");
	CHECK_EQ(inotify_add_watch(in, "f", IN_ALL_EVENTS), 2);
	CHECK_EQ(write(fd, "x", 1), 1);
	BOTH(2, IN_MODIFY, "f");
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	BOTH(2, IN_ACCESS, "f");
	CHECK_EQ(read(fd, &c, 0), 0);
	CHECK_EQ(read(fd, &c, 1), 0);
	CHECK_EQ(write(fd, &c, 0), 0);
	NOTHING();
	CHECK_EQ(ftruncate(fd, 0), 0);
	BOTH(2, IN_MODIFY, "f");
	CHECK_EQ(truncate("f", 5), 0);
	BOTH(2, IN_MODIFY, "f");
	CHECK_EQ(fchmod(fd, 0640), 0);
	BOTH(2, IN_ATTRIB, "f");
	CHECK_EQ(chown("f", 1, 1), 0);
	BOTH(2, IN_ATTRIB, "f");
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	BOTH(2, IN_OPEN, "f");
	BOTH(2, IN_CLOSE_NOWRITE, "f");
	CHECK_EQ(close(open("f", O_PATH)), 0);
	CHECK_ERR(open("f", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	NOTHING();
	CHECK_EQ(close(open("f", O_WRONLY | O_TRUNC)), 0);
	BOTH(2, IN_OPEN, "f");
	BOTH(2, IN_MODIFY, "f");
	BOTH(2, IN_CLOSE_WRITE, "f");
	close(fd);
	BOTH(2, IN_CLOSE_WRITE, "f");
	NOTHING();
}

static void
times_tell_by_which_is_set(void)
{
	struct timespec ts[2] = {{0, UTIME_OMIT}, {5, 0}};

	setup();
	close(open("f", O_CREAT | O_RDWR, 0600));
	EVENT(1, IN_CREATE, "f");
	EVENT(1, IN_OPEN, "f");
	EVENT(1, IN_CLOSE_WRITE, "f");
	CHECK_EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	EVENT(1, IN_MODIFY, "f");
	ts[0].tv_nsec = 0;
	CHECK_EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	EVENT(1, IN_ATTRIB, "f");
	ts[1].tv_nsec = UTIME_OMIT;
	CHECK_EQ(utimensat(AT_FDCWD, "f", ts, 0), 0);
	EVENT(1, IN_ACCESS, "f");
	CHECK_EQ(utimensat(AT_FDCWD, "f", NULL, 0), 0);
	EVENT(1, IN_ATTRIB, "f");
}

static void
names_tell_that_they_come_and_go(void)
{
	setup();
	CHECK_EQ(mkdir("d", 0700), 0);
	EVENT(1, IN_CREATE | IN_ISDIR, "d");
	CHECK_EQ(symlink("a", "l"), 0);
	EVENT(1, IN_CREATE, "l");
	CHECK_EQ(mkfifo("p", 0600), 0);
	EVENT(1, IN_CREATE, "p");
	CHECK_EQ(inotify_add_watch(in, "p", IN_ALL_EVENTS), 2);
	CHECK_EQ(link("p", "q"), 0);
	EVENT(2, IN_ATTRIB, "");
	EVENT(1, IN_CREATE, "q");
	CHECK_EQ(unlink("q"), 0);
	EVENT(2, IN_ATTRIB, "");
	EVENT(1, IN_DELETE, "q");
	CHECK_EQ(unlink("p"), 0);
	EVENT(2, IN_ATTRIB, "");
	EVENT(2, IN_DELETE_SELF, "");
	EVENT(2, IN_IGNORED, "");
	EVENT(1, IN_DELETE, "p");
	CHECK_EQ(inotify_add_watch(in, "d", IN_ALL_EVENTS), 3);
	CHECK_EQ(rmdir("d"), 0);
	EVENT(3, IN_DELETE_SELF, "");
	EVENT(3, IN_IGNORED, "");
	EVENT(1, IN_DELETE | IN_ISDIR, "d");
	CHECK_ERR(unlink("d"), ENOENT);
	CHECK_ERR(mkdir("l", 0700), EEXIST);
	NOTHING();
	CHECK_EQ(chdir("/"), 0);
	CHECK_EQ(unlink("/tmp/inotify/l"), 0);
	EVENT(1, IN_DELETE, "l");
	CHECK_EQ(rmdir(dir), 0);
	EVENT(1, IN_DELETE_SELF, "");
	EVENT(1, IN_IGNORED, "");
	NOTHING();
}

static void
file_that_is_open_ends_when_it_is_closed(void)
{
	int fd;

	setup();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	EVENT(1, IN_CREATE, "f");
	EVENT(1, IN_OPEN, "f");
	CHECK_EQ(inotify_add_watch(in, "f", IN_ALL_EVENTS), 2);
	CHECK_EQ(unlink("f"), 0);
	EVENT(2, IN_ATTRIB, "");
	EVENT(1, IN_DELETE, "f");
	CHECK_EQ(write(fd, "x", 1), 1);
	BOTH(2, IN_MODIFY, "f");
	/* Who does not want to hear of what has no name. */
	CHECK_EQ(inotify_add_watch(in, dir, IN_ALL_EVENTS | IN_EXCL_UNLINK), 1);
	CHECK_EQ(write(fd, "x", 1), 1);
	EVENT(2, IN_MODIFY, "");
	close(fd);
	EVENT(2, IN_CLOSE_WRITE, "");
	EVENT(2, IN_DELETE_SELF, "");
	EVENT(2, IN_IGNORED, "");
	NOTHING();
}

static void
moves_have_two_halves_with_one_cookie(void)
{
	uint32_t a, b, c;

	setup();
	CHECK_EQ(mkdir("d", 0700), 0);
	close(open("f", O_CREAT | O_RDWR, 0600));
	close(open("k", O_CREAT | O_RDWR, 0600));
	close(in);
	in = inotify_init1(IN_NONBLOCK);
	CHECK_EQ(inotify_add_watch(in, dir, IN_ALL_EVENTS), 1);
	CHECK_EQ(inotify_add_watch(in, "f", IN_ALL_EVENTS), 2);
	CHECK_EQ(inotify_add_watch(in, "k", IN_ALL_EVENTS), 3);
	CHECK_EQ(inotify_add_watch(in, "d", IN_ALL_EVENTS), 4);
	CHECK_EQ(rename("f", "h"), 0);
	a = EVENT(1, IN_MOVED_FROM, "f");
	b = EVENT(1, IN_MOVED_TO, "h");
	CHECK(a && a == b);
	CHECK_EQ(EVENT(2, IN_MOVE_SELF, ""), 0);
	/* Over another. */
	CHECK_EQ(rename("h", "k"), 0);
	c = EVENT(1, IN_MOVED_FROM, "h");
	CHECK(c != a);
	CHECK_EQ(EVENT(1, IN_MOVED_TO, "k"), c);
	EVENT(3, IN_ATTRIB, "");
	EVENT(2, IN_MOVE_SELF, "");
	EVENT(3, IN_DELETE_SELF, "");
	EVENT(3, IN_IGNORED, "");
	/* Into another directory. */
	CHECK_EQ(rename("k", "d/m"), 0);
	a = EVENT(1, IN_MOVED_FROM, "k");
	CHECK_EQ(EVENT(4, IN_MOVED_TO, "m"), a);
	EVENT(2, IN_MOVE_SELF, "");
	/* A directory. */
	CHECK_EQ(rename("d", "e"), 0);
	EVENT(1, IN_MOVED_FROM | IN_ISDIR, "d");
	EVENT(1, IN_MOVED_TO | IN_ISDIR, "e");
	EVENT(4, IN_MOVE_SELF, "");
	/* Both ways. */
	CHECK_EQ(symlink("x", "l"), 0);
	EVENT(1, IN_CREATE, "l");
	CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "l", 2), 0);
	a = EVENT(1, IN_MOVED_FROM | IN_ISDIR, "e");
	CHECK_EQ(EVENT(1, IN_MOVED_TO | IN_ISDIR, "l"), a);
	EVENT(4, IN_MOVE_SELF, "");
	b = EVENT(1, IN_MOVED_FROM, "l");
	CHECK(a != b);
	CHECK_EQ(EVENT(1, IN_MOVED_TO, "e"), b);
	/* Nothing moves. */
	CHECK_EQ(rename("e", "e"), 0);
	CHECK_ERR(rename("none", "x"), ENOENT);
	NOTHING();
}

static void
directories_say_that_they_are(void)
{
	char buf[1024];
	int fd;

	setup();
	CHECK_EQ(mkdir("sub", 0755), 0);
	EVENT(1, IN_CREATE | IN_ISDIR, "sub");
	CHECK_EQ(inotify_add_watch(in, "sub", IN_ALL_EVENTS), 2);
	fd = open("sub", O_RDONLY | O_DIRECTORY);
	BOTH(2, IN_OPEN | IN_ISDIR, "sub");
	CHECK(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	BOTH(2, IN_ACCESS | IN_ISDIR, "sub");
	CHECK_EQ(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0);
	BOTH(2, IN_ACCESS | IN_ISDIR, "sub");
	close(fd);
	BOTH(2, IN_CLOSE_NOWRITE | IN_ISDIR, "sub");
	CHECK_EQ(chmod("sub", 0700), 0);
	BOTH(2, IN_ATTRIB | IN_ISDIR, "sub");
	NOTHING();
}

static void
watches_are_changed_and_removed(void)
{
	int wd, other;

	setup();
	close(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(inotify_rm_watch(in, 1), 0);
	EVENT(1, IN_CREATE, "f");
	EVENT(1, IN_OPEN, "f");
	EVENT(1, IN_CLOSE_WRITE, "f");
	EVENT(1, IN_IGNORED, "");
	CHECK_ERR(inotify_rm_watch(in, 1), EINVAL);
	wd = inotify_add_watch(in, "f", IN_OPEN);
	CHECK_EQ(wd, 2);
	CHECK_EQ(inotify_add_watch(in, "./f", IN_MODIFY), wd);
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	NOTHING();
	CHECK_EQ(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD), wd);
	CHECK_EQ(truncate("f", 3), 0);
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	EVENT(wd, IN_MODIFY, "");
	EVENT(wd, IN_OPEN, "");
	CHECK_ERR(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_CREATE), EEXIST);
	CHECK_EQ(inotify_add_watch(in, "f", IN_OPEN | IN_ONESHOT), wd);
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	EVENT(wd, IN_OPEN, "");
	EVENT(wd, IN_IGNORED, "");
	NOTHING();
	CHECK_ERR(inotify_rm_watch(in, wd), EINVAL);
	/* Two instances hear of the same. */
	other = inotify_init1(IN_NONBLOCK);
	CHECK_EQ(inotify_add_watch(other, "f", IN_OPEN), 1);
	CHECK_EQ(inotify_add_watch(in, "f", IN_OPEN), 3);
	CHECK_EQ(close(open("f", O_RDONLY)), 0);
	EVENT(3, IN_OPEN, "");
	wd = in;
	in = other;
	EVENT(1, IN_OPEN, "");
	close(wd);
}

static void
calls_check_their_arguments(void)
{
	int fd;

	setup();
	CHECK_ERR(inotify_init1(1), EINVAL);
	fd = inotify_init1(IN_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	CHECK_ERR(inotify_add_watch(in, dir, 0), EINVAL);
	CHECK_ERR(inotify_add_watch(99, dir, IN_OPEN), EBADF);
	CHECK_ERR(inotify_add_watch(0, dir, IN_OPEN), EINVAL);
	CHECK_ERR(inotify_add_watch(in, "none", IN_OPEN), ENOENT);
	CHECK_ERR(inotify_add_watch(in, "", IN_OPEN), ENOENT);
	CHECK_ERR(inotify_add_watch(in, (void *)8, IN_OPEN), EFAULT);
	CHECK_ERR(
	    inotify_add_watch(in, dir, IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
	CHECK_ERR(inotify_rm_watch(99, 1), EBADF);
	CHECK_ERR(inotify_rm_watch(0, 1), EINVAL);
	CHECK_ERR(inotify_rm_watch(in, 77), EINVAL);
	close(open("f", O_CREAT | O_RDWR, 0200));
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_ERR(inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	CHECK_EQ(inotify_add_watch(in, "l", IN_OPEN), 2);
	CHECK_EQ(inotify_add_watch(in, "f", IN_OPEN), 2);
	CHECK_EQ(inotify_add_watch(in, "l", IN_OPEN | IN_DONT_FOLLOW), 3);
	CHECK_ERR(write(in, "x", 1), EBADF);
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
	CHECK_ERR(inotify_add_watch(in, "f", IN_OPEN), EACCES);
}

static void
reading_gives_whole_events(void)
{
	struct pollfd p;
	char buf[64];
	int n;

	setup();
	p = (struct pollfd){.fd = in, .events = POLLIN | POLLOUT};
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_ERR(read(in, buf, sizeof(buf)), EAGAIN);
	CHECK_EQ(mkdir("a", 0700), 0);
	CHECK_EQ(mkdir("sixteen-bytes-is", 0700), 0);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(ioctl(in, FIONREAD, &n), 0);
	CHECK_EQ(n, 16 + 16 + 16 + 32);
	CHECK_ERR(read(in, buf, 31), EINVAL);
	CHECK_EQ(read(in, buf, 64), 32);
	CHECK_EQ(read(in, buf, 64), 48);
	CHECK_ERR(read(in, buf, sizeof(buf)), EAGAIN);
}

static void
same_events_in_a_row_are_one(void)
{
	int fd;

	setup();
	fd = open("f", O_CREAT | O_RDWR, 0600);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(write(fd, "x", 1), 1);
	EVENT(1, IN_CREATE, "f");
	EVENT(1, IN_OPEN, "f");
	EVENT(1, IN_MODIFY, "f");
	NOTHING();
}

static void
queue_says_that_it_ran_over(void)
{
	char line[32] = "";
	int limit, fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY);
	long n = 0;

	CHECK(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0);
	limit = atoi(line);
	CHECK_EQ(limit, 16384);
	setup();
	close(open("f", O_CREAT | O_RDWR, 0600));
	for (int i = 0; i < limit; i++) {
		CHECK_EQ(chmod("f", 0600), 0);
		CHECK_EQ(truncate("f", i & 1), 0);
	}
	for (;;) {
		static char buf[65536] __attribute__((aligned(8)));
		struct inotify_event *e = NULL;
		ssize_t len = read(in, buf, sizeof(buf));

		if (len < 0)
			break;
		for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (struct inotify_event *)(buf + at);
			n++;
		}
		if (n == limit + 1) {
			CHECK_EQ(e->wd, -1);
			CHECK_EQ(e->mask, IN_Q_OVERFLOW);
		}
	}
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(n, limit + 1);
	CHECK_EQ(unlink("f"), 0);
	EVENT(1, IN_DELETE, "f");
}

static void
instances_are_limited(void)
{
	int n = 0;

	CHECK_EQ(setresuid(4321, 4321, 4321), 0);
	while (inotify_init() >= 0)
		n++;
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(n, 128);
}

static void
unmounting_ends_watches(void)
{
	setup();
	CHECK_EQ(mkdir("m", 0755), 0);
	EVENT(1, IN_CREATE | IN_ISDIR, "m");
	if (mount("none", "m", "tmpfs", 0, ""))
		return; /* not allowed here */
	close(open("m/f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(inotify_add_watch(in, "m/f", IN_OPEN), 2);
	CHECK_EQ(umount("m"), 0);
	EVENT(2, IN_UNMOUNT, "");
	EVENT(2, IN_IGNORED, "");
	NOTHING();
}

static void
readers_wait(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, got;
	char buf[64];
	int status, ep = epoll_create1(0);
	pid_t p;

	setup();
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev), 0);
	CHECK_EQ(fcntl(in, F_SETFL, 0), 0);
	p = fork();
	if (p == 0)
		_exit(read(in, buf, sizeof(buf)) == 32 ? 0 : 1);
	usleep(30000);
	CHECK_EQ(mkdir("a", 0700), 0);
	CHECK_EQ(waitpid(p, &status, 0), p);
	CHECK_EQ(status, 0);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
	CHECK_EQ(mkdir("b", 0700), 0);
	CHECK_EQ(epoll_wait(ep, &got, 1, 1000), 1);
}

/* ---- At once ------------------------------------------------------------------------------ */

static volatile bool is_over;

static void *
change(void *arg)
{
	char a[32], b[32];
	unsigned i = 0;

	snprintf(a, sizeof(a), "a%ld", (long)arg);
	while (!is_over) {
		snprintf(b, sizeof(b), "b%u", i++ % 3);
		close(open(a, O_CREAT | O_RDWR, 0600));
		(void)rename(a, b);
		(void)chmod(b, 0600);
		(void)unlink(b);
	}
	return NULL;
}

static void *
watch(void *arg)
{
	char buf[4096];

	while (!is_over) {
		int fd = inotify_init1(IN_NONBLOCK);

		(void)inotify_add_watch(fd, dir, IN_ALL_EVENTS);
		for (int i = 0; i < 20; i++) {
			snprintf(buf, sizeof(buf), "b%d", i % 3);
			int wd = inotify_add_watch(fd, buf, IN_ALL_EVENTS);

			(void)read(fd, buf, sizeof(buf));
			if (i % 2)
				(void)inotify_rm_watch(fd, wd);
		}
		close(fd);
	}
	return arg;
}

static void
everything_at_once_ends_well(void)
{
	pthread_t t[5];

	setup();
	for (long i = 0; i < 5; i++)
		CHECK_EQ(
		    pthread_create(&t[i], NULL, i < 3 ? change : watch, (void *)i), 0);
	sleep(3);
	is_over = true;
	for (int i = 0; i < 5; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static const struct test tests[] = {
    TEST(files_tell_what_is_done_to_them),
    TEST(times_tell_by_which_is_set),
    TEST(names_tell_that_they_come_and_go),
    TEST(file_that_is_open_ends_when_it_is_closed),
    TEST(moves_have_two_halves_with_one_cookie),
    TEST(directories_say_that_they_are),
    TEST(watches_are_changed_and_removed),
    TEST(calls_check_their_arguments),
    TEST(reading_gives_whole_events),
    TEST(same_events_in_a_row_are_one),
    TEST(queue_says_that_it_ran_over),
    TEST(instances_are_limited),
    TEST(unmounting_ends_watches),
    TEST(readers_wait),
    TEST(everything_at_once_ends_well),
};

RUN_TESTS(tests)
