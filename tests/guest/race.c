/*
 * Memory that goes, comes and changes while calls work with it: one thread unmaps, protects,
 * moves and truncates the buffers, another rewrites lengths and pointers inside vectors and
 * message headers, the rest read, write, send, receive, poll and wait on them. A call may fail or
 * do a part; nothing is written beside the buffers, and the kernel stands. Then signal frames of
 * random content are returned to: their process may die of it, nothing else.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

enum { PAGE = 4096, PAGES = 4, SIZE = PAGES * PAGE, ROUNDS = 1500, FRAMES = 300 };

static uint8_t *area; /* between two pages with a pattern that may only be read */
static int file_fd, backing_fd, pipe_fds[2], pair[2], zero_fd;
static volatile bool is_over;

/* What several threads change and use at once. */
static struct iovec *vec;
static struct msghdr *message;
static struct pollfd *polled;
static uint32_t *words;

static uint8_t *
buffer(void)
{
	return area + PAGE;
}

static void
map_buffer(int prot, int flags, int fd)
{
	(void)mmap(buffer(), SIZE, prot, MAP_FIXED | flags, fd, 0);
}

static void *
change_memory(void *arg)
{
	uint8_t *aside = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; !is_over; i++) {
		switch (i % 8) {
		case 0: munmap(buffer() + PAGE, PAGE); break;
		case 1: map_buffer(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1); break;
		case 2: mprotect(buffer(), 2 * PAGE, PROT_NONE); break;
		case 3: map_buffer(PROT_READ | PROT_WRITE, MAP_SHARED, backing_fd); break;
		case 4: (void)!ftruncate(backing_fd, i % 3 * PAGE); break;
		case 5:
			(void)mremap(
			    buffer(), SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, aside);
			break;
		case 6: madvise(buffer(), SIZE, MADV_DONTNEED); break;
		default:
			map_buffer(
			    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		}
	}
	return NULL;
}

/* Lengths that a call may have read already. */
static void *
change_words(void *arg)
{
	static const size_t lengths[] = {
	    1, PAGE, SIZE, 1ul << 31, 1ul << 63, SIZE_MAX, 0x1000000000000001};
	static const uintptr_t bases[] = {
	    0, 0xffffffff80200000, 0x7ffffffff000, 1ul << 63};

	for (unsigned i = 0; !is_over; i++) {
		volatile struct iovec *v = &vec[i % 8];

		v->iov_len = lengths[i % 7];
		v->iov_base = i % 3 ? buffer() + i % SIZE : (void *)bases[i / 3 % 4];
		*(volatile size_t *)&message->msg_controllen = i % 5 ? i % 200 : SIZE_MAX;
		*(volatile typeof(message->msg_iovlen) *)&message->msg_iovlen =
		    i % 7 ? (int)(i % 9) : 0x7fffffff;
		*(volatile socklen_t *)&message->msg_namelen =
		    i % 11 ? i % 120 : 0xffffffff;
		polled[i % 8].fd = i % 2 ? (int)(i % 40) : -1;
		words[i % 8] = i;
	}
	return NULL;
}

static void
use_files(void)
{
	(void)!pread(zero_fd, buffer(), SIZE, 0);
	(void)!pwrite(file_fd, buffer() + 7, SIZE - 7, 0);
	(void)!pread(file_fd, buffer() + 3, SIZE - 3, 0);
	(void)syscall(SYS_preadv, file_fd, vec, 8, 0, 0);
	(void)syscall(SYS_pwritev, file_fd, vec, 8, 0, 0);
	(void)!write(pipe_fds[1], buffer(), SIZE);
	(void)!read(pipe_fds[0], buffer(), SIZE);
	(void)syscall(SYS_readlink, "/proc/self/exe", buffer() + PAGE - 5, 64);
	(void)syscall(SYS_getrandom, buffer(), SIZE, 0);
}

static void
use_sockets(void)
{
	struct cmsghdr *c = (struct cmsghdr *)(buffer() + 2 * PAGE - 8);

	message->msg_iov = vec;
	message->msg_control = c;
	(void)sendto(pair[0], buffer(), 1000, MSG_DONTWAIT, NULL, 0);
	(void)syscall(SYS_sendmsg, pair[0], message, MSG_DONTWAIT);
	(void)syscall(SYS_recvmsg, pair[1], message, MSG_DONTWAIT);
	(void)syscall(SYS_sendmmsg, pair[0], message, 1, MSG_DONTWAIT);
	(void)syscall(SYS_recvfrom, pair[1], buffer() + PAGE - 100, 1000, MSG_DONTWAIT,
	    buffer(), &words[1]);
	(void)syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_PEERCRED,
	    buffer() + PAGE - 4, &words[2]);
}

static void
use_waits(void)
{
	static const struct timespec soon = {0, 1000};

	(void)syscall(SYS_poll, polled, 8, 0);
	(void)syscall(SYS_poll, buffer() + PAGE - 12, 100, 0);
	(void)syscall(SYS_futex, buffer() + PAGE, FUTEX_WAIT, 0, &soon, NULL, 0);
	(void)syscall(SYS_futex, buffer() + PAGE, FUTEX_WAKE, 1, NULL, NULL, 0);
	(void)syscall(SYS_futex, words, FUTEX_CMP_REQUEUE, 1, 1, buffer(), words[0]);
	(void)syscall(SYS_ioctl, pipe_fds[0], FIONREAD, buffer() + PAGE);
	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, buffer() + PAGE - 4, 8);
	(void)syscall(SYS_clock_gettime, 0, buffer() + PAGE - 8);
	(void)syscall(SYS_process_vm_readv, getpid(), vec, 8, vec, 8, 0);
	(void)syscall(SYS_mincore, area, SIZE, buffer());
	(void)syscall(SYS_execve, "/none", buffer(), buffer());
	(void)syscall(SYS_openat, AT_FDCWD, buffer() + PAGE - 2, O_RDONLY);
}

static void *
use_memory(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		use_files();
		use_sockets();
		use_waits();
	}
	return NULL;
}

static void
set_up(void)
{
	static const char name[] = "/tmp/race.file";

	area = mmap(NULL, SIZE + 2 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	memset(area, 0x5a, PAGE);
	memset(area + PAGE + SIZE, 0x5a, PAGE);
	CHECK_EQ(mprotect(area, PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(area + PAGE + SIZE, PAGE, PROT_READ), 0);
	vec =
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	message = (struct msghdr *)((char *)vec + 1024);
	polled = (struct pollfd *)((char *)vec + 2048);
	words = (uint32_t *)((char *)vec + 3072);
	file_fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unlink(name);
	backing_fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unlink(name);
	zero_fd = open("/dev/zero", O_RDONLY);
	CHECK(file_fd >= 0 && backing_fd >= 0 && zero_fd >= 0);
	CHECK_EQ(pipe2(pipe_fds, O_NONBLOCK), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
}

static void
memory_may_go_during_a_call(void)
{
	pthread_t changers[2], users[2];

	set_up();
	alarm(120);
	CHECK_EQ(pthread_create(&changers[0], NULL, change_memory, NULL), 0);
	CHECK_EQ(pthread_create(&changers[1], NULL, change_words, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&users[i], NULL, use_memory, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(users[i], NULL), 0);
	is_over = true;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(changers[i], NULL), 0);
	for (int i = 0; i < PAGE; i++)
		CHECK(area[i] == 0x5a && area[PAGE + SIZE + i] == 0x5a);
}

/* ---- Signal frames ---- */

static unsigned frame_seed;

static unsigned
draw(unsigned limit)
{
	frame_seed = frame_seed * 1664525 + 1013904223;
	return (frame_seed >> 8) % limit;
}

/* Some words of the context or of the FPU state become others. */
static void
forge(int signo, siginfo_t *info, void *context)
{
	static const uint64_t values[] = {0, 1, UINT64_MAX, 0xffffffff80200000, 1ul << 63,
	    0x800000000000, 0x7ffffffff000, 0xffff, 0x33, 0x2b00000010, INT32_MAX,
	    0x46505853};
	ucontext_t *u = context;
	uint64_t *fpu = (uint64_t *)u->uc_mcontext.fpregs;

	for (unsigned i = 0, n = 1 + draw(3); i < n; i++) {
		uint64_t value =
		    draw(2) ? values[draw(12)] : (uint64_t)draw(1u << 24) << draw(40);

		if (draw(2) && fpu)
			fpu[draw(2) ? draw(104) : 56 + draw(16)] = value;
		else if (draw(2))
			u->uc_mcontext.gregs[draw(23)] = (greg_t)value;
		else
			((uint64_t *)u)[draw(5)] = value;
	}
	if (draw(8) == 0)
		u->uc_mcontext.fpregs = (void *)values[draw(12)];
}

static void
forged_frames_harm_nobody_else(void)
{
	alarm(100);
	for (unsigned i = 0; i < FRAMES; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			struct sigaction sa = {
			    .sa_sigaction = forge, .sa_flags = SA_SIGINFO};

			frame_seed = i;
			alarm(1); /* where it goes on may be a loop */
			CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
			for (int j = 0; j < 20; j++)
				(void)syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
			_exit(0);
		}
		for (int j = 0; waitpid(pid, &status, WNOHANG) != pid; j++) {
			if (j == 1500)
				kill(pid, SIGKILL); /* it has its signals blocked */
			sleep_ms(1);
		}
	}
}

/* ---- Truncation, which takes pages from whoever maps them ---- */

enum { MAPPED = 64, FORKS = 250 };

static void *
truncate_again_and_again(void *arg)
{
	for (unsigned i = 0; !is_over; i++) {
		CHECK_EQ(ftruncate(backing_fd, i % 3 * PAGE), 0);
		CHECK_EQ(ftruncate(backing_fd, MAPPED * PAGE), 0);
	}
	return NULL;
}

/* As a debugger would; what is beyond the end of the file cannot be reached. */
static void *
copy_through_the_mapping(void *shared)
{
	static uint8_t bytes[MAPPED * PAGE];
	struct iovec here = {bytes, sizeof(bytes)}, there = {shared, sizeof(bytes)};

	while (!is_over) {
		(void)process_vm_readv(getpid(), &here, 1, &there, 1, 0);
		(void)process_vm_writev(getpid(), &here, 1, &there, 1, 0);
	}
	return NULL;
}

static void
truncation_meets_forks_and_copies(void)
{
	uint8_t *own, *shared;
	pthread_t threads[2];

	backing_fd = (int)syscall(SYS_memfd_create, "file", 0);
	zero_fd = open("/dev/zero", O_RDONLY);
	own =
	    mmap(NULL, MAPPED * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, backing_fd, 0);
	shared =
	    mmap(NULL, MAPPED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, backing_fd, 0);
	CHECK(own != MAP_FAILED && shared != MAP_FAILED);
	CHECK_EQ(pthread_create(&threads[0], NULL, truncate_again_and_again, NULL), 0);
	CHECK_EQ(pthread_create(&threads[1], NULL, copy_through_the_mapping, shared), 0);
	for (unsigned i = 0; i < FORKS; i++) {
		int status;
		pid_t pid;

		/* Pages of its own, which go with the file's too; no signal beyond its end. */
		for (unsigned page = 0; page < MAPPED; page++)
			(void)!read(zero_fd, own + page * PAGE, 1);
		pid = fork();
		if (pid == 0)
			_exit(0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	is_over = true;
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static const struct test tests[] = {
    TEST(truncation_meets_forks_and_copies),
    TEST(memory_may_go_during_a_call),
    TEST(forged_frames_harm_nobody_else),
};

RUN_TESTS(tests)
