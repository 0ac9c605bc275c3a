/*
 * For badptr.c and badnum.c: the system calls as kernel/syscalls.def has them, memory good and
 * bad, and good arguments of every kind, among them descriptors of each kind with something to
 * read. An unprivileged child makes them for itself.
 */
#pragma once

#include "tests/guest/check.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

struct call {
	int nr;
	const char *name, *kinds;
};

static const struct call calls[] = {
#include "syscalls_args.h"
};

enum { NUM_CALLS = sizeof(calls) / sizeof(calls[0]), PAGE = 4096 };

/* What an argument may be told to be: made in the child, fresh for each try. */
enum special {
	DEF = 0x7a000000, /* what its letter says */
	BUF,              /* zeros */
	PATH,             /* of a file of the user's */
	LINK,             /* of a symbolic link */
	SELF,             /* the process id */
	LEN16,            /* a pointer to an int, 16 */
	ADDR,             /* a sockaddr_in of 127.0.0.1 */
	IOV,              /* 16 pieces of one byte */
	MSG,              /* a msghdr of nothing */
	CAPS,             /* the header of capget */
	SIGNALS,          /* a set with a signal that is pending */
	XNAME,            /* of an extended attribute */
	FILEFD,
	DIRFD,
	UDP,      /* a socket with datagrams waiting */
	LISTENER, /* with connections waiting */
	PEER,     /* a connected socket */
	PIPE_IN,  /* with bytes waiting */
	PIPE_OUT,
	EPOLL, /* with an event waiting */
	TIMERFD,
	INOTIFY,
	PIDFD,
	MSGQ, /* a queue with messages waiting */
	TIMER,
};

/* Two pages with rights for each argument, then one without. */
static uint8_t *buffers[6];
static uint8_t *unmapped, *no_rights, *read_only, *vdso;
static uint8_t vdso_before[PAGE];

static void *
map(size_t size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, MAP_ANONYMOUS | flags, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void
make_memory(void)
{
	for (int i = 0; i < 6; i++) {
		buffers[i] = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
		CHECK_EQ(mprotect(buffers[i] + 2 * PAGE, PAGE, PROT_NONE), 0);
	}
	no_rights = map(PAGE, PROT_NONE, MAP_PRIVATE);
	read_only = map(PAGE, PROT_READ, MAP_PRIVATE);
	vdso = (uint8_t *)getauxval(AT_SYSINFO_EHDR);
	memcpy(vdso_before, vdso, PAGE);
	unmapped = map(256 * PAGE, PROT_NONE, MAP_PRIVATE);
	munmap(unmapped, 256 * PAGE);
	unmapped += PAGE; /* what is mapped later comes above */
}

/* ---- Good arguments ---- */

static int file_fd, dir_fd, udp_fd, listener_fd, peer_fd, pipe_fds[2], epoll_fd, timer_fd,
    inotify_fd, pid_fd, queue, timer_id;
static char path[64], link_path[64];

static void
make_sockets(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CHECK_EQ(bind(udp_fd, (struct sockaddr *)&in, sizeof(in)), 0);
	CHECK_EQ(getsockname(udp_fd, (struct sockaddr *)&in, &len), 0);
	listener_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK_EQ(bind(listener_fd, (struct sockaddr *)&un, sizeof(un.sun_family)), 0);
	len = sizeof(un);
	CHECK_EQ(getsockname(listener_fd, (struct sockaddr *)&un, &len), 0);
	CHECK_EQ(listen(listener_fd, 64), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(
		    sendto(udp_fd, "hello", 5, 0, (struct sockaddr *)&in, sizeof(in)), 5);
		peer_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		CHECK_EQ(connect(peer_fd, (struct sockaddr *)&un, len), 0);
	}
}

static void
make_descriptors(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	file_fd = open(path, O_RDWR | O_CREAT, 0644);
	CHECK(file_fd >= 0);
	CHECK_EQ(write(file_fd, buffers[0], PAGE), PAGE);
	(void)lseek(file_fd, 0, SEEK_SET);
	dir_fd = open("/tmp", O_RDONLY);
	make_sockets();
	CHECK_EQ(pipe2(pipe_fds, O_NONBLOCK), 0);
	CHECK_EQ(write(pipe_fds[1], buffers[0], 1024), 1024);
	epoll_fd = epoll_create1(0);
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_fds[0], &event), 0);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	inotify_fd = inotify_init1(IN_NONBLOCK);
	pid_fd = (int)syscall(434 /* pidfd_open */, getpid(), 0);
}

static void
make_queues(void)
{
	struct {
		long type;
		char text[16];
	} m = {1, ""};
	sigset_t all;
	int id;

	queue = msgget(IPC_PRIVATE, 0600);
	for (int i = 0; i < 20; i++)
		(void)msgsnd(queue, &m, sizeof(m.text), IPC_NOWAIT);
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigdelset(&all, SIGSEGV);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(sigqueue(getpid(), SIGRTMAX - 1, (union sigval){0}), 0);
	CHECK_EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id), 0);
	timer_id = id;
}

/* To be waited for. */
static inline void
make_zombies(void)
{
	for (int i = 0; i < 16; i++) {
		siginfo_t info;
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	}
}

/* The file that calls are given, as the user's own. */
static void
make_file(void)
{
	unlink(path);
	unlink(link_path);
	close(open(path, O_RDWR | O_CREAT, 0644));
	CHECK_EQ(chown(path, 1000, 1000), 0);
	CHECK_EQ(symlink(path, link_path), 0);
}

static void
become_user(void)
{
	static const gid_t groups[] = {2001, 2002, 2003};

	CHECK_EQ(setgroups(3, groups), 0);
	CHECK_EQ(setresgid(1000, 1000, 1000), 0);
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	CHECK_EQ(chdir("/tmp"), 0);
}

static void
fill_path(uint8_t *b, const char *text)
{
	memcpy(b, text, strlen(text) + 1);
}

static long
buffer_of(int arg, enum special what)
{
	uint8_t *b = buffers[arg] + PAGE;
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(9),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct iovec iov = {buffers[5] + PAGE + 2048, 1};
	static const uint32_t caps[2] = {0x20080522, 0};
	uint64_t set = 1ull << (SIGRTMAX - 2);
	static const int sixteen = 16;

	memset(b, 0, PAGE);
	switch (what) {
	case PATH: fill_path(b, path); break;
	case LINK: fill_path(b, link_path); break;
	case XNAME: fill_path(b, "user.keel"); break;
	case LEN16: memcpy(b, &sixteen, sizeof(sixteen)); break;
	case ADDR: memcpy(b, &in, sizeof(in)); break;
	case IOV:
		for (int i = 0; i < 16; i++)
			memcpy(b + i * sizeof(iov), &iov, sizeof(iov));
		break;
	case CAPS: memcpy(b, caps, sizeof(caps)); break;
	case SIGNALS: memcpy(b, &set, sizeof(set)); break;
	default: break;
	}
	return (long)b;
}

static long
default_of(char kind, int arg)
{
	switch (kind) {
	case 'r':
	case 'w': return buffer_of(arg, BUF);
	case 's': return buffer_of(arg, PATH);
	case 'a': return (long)buffers[arg];
	case 'f': return file_fd;
	case 'd': return AT_FDCWD;
	case 'l': return 16;
	case 'z': return 8;
	default: return 0;
	}
}
