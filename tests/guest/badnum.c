/*
 * Lengths, counts, offsets and other numbers that no program means: the ends of every integer
 * type, and what wraps when it is multiplied by the size of an element or rounded up to pages.
 * First each number alone with good neighbours, then all arguments at random from the same pools
 * (a fixed seed: each run is the same). Whatever a call answers, the kernel stands, nothing
 * beside the buffers changes, and what came before a call that failed works after it.
 *
 * Each call is tried in a child without privileges, within limits; a call that sleeps is
 * interrupted, one that kills its child is begun again. badnum NAME tries one call.
 */
#define _GNU_SOURCE
#include "tests/guest/badcall_util.h"

#include <sys/resource.h>
#include <sys/time.h>

static const long numbers[] = {
    0,
    1,
    -1,
    2,
    7,
    4095,
    4096,
    -4096,
    INT32_MAX,
    INT32_MIN,
    UINT32_MAX,
    0x100000000,
    0x100000001,
    INT64_MAX,
    INT64_MIN,
    INT64_MAX - 4095,
    INT64_MAX - 15,
    0x1000000000000001, /* times 16 */
    0x2000000000000001, /* times 8 */
    0x4000000000000001, /* times 4 */
    0x0400000000000001, /* times 64 */
    0x7ffffffff000,
    0x800000000000,
    0x3ffffffffff,
    0x10001,
    65536,
    1024,
    1025,
};

enum { NUM_NUMBERS = sizeof(numbers) / sizeof(numbers[0]), RANDOM_ROUNDS = 150 };

/* Calls that are left out. */
static const struct {
	const char *name, *why;
} skipped[] = {
    {"exit", "ends the child"},
    {"exit_group", "ends the child"},
    {"rt_sigreturn", "takes a whole frame; cpu.c"},
    {"pause", "only waits"},
    {"rt_sigsuspend", "only waits"},
    {"fork", "has no arguments"},
    {"vfork", "has no arguments"},
    {"kill", "would reach the other children"},
    {"tkill", "would reach the other children"},
    {"tgkill", "would reach the other children"},
    {"rt_sigqueueinfo", "would reach the other children"},
    {"rt_tgsigqueueinfo", "would reach the other children"},
    {"pidfd_send_signal", "would reach the other children"},
    {"shmget", "leaves segments behind"},
    {"msgget", "leaves queues behind"},
    {"semget", "leaves semaphores behind"},
    {"mq_open", "leaves queues behind"},
    {"sync", "has no arguments, and is slow"},
};

static uint64_t seed;

static uint64_t
draw(uint64_t limit)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % limit;
}

static bool
is_skipped(const char *name)
{
	for (unsigned i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
		if (!strcmp(skipped[i].name, name))
			return true;
	return false;
}

static void
interrupt(int sig)
{
}

/* What bounds the damage on the system that runs this; calls that sleep end with EINTR. */
static void
set_limits(void)
{
	static const struct itimerval often = {{0, 5000}, {0, 5000}};
	static const struct {
		int what;
		rlim_t value;
	} limits[] = {{RLIMIT_FSIZE, 1 << 20}, {RLIMIT_AS, 256 << 20}, {RLIMIT_CPU, 8},
	    {RLIMIT_NOFILE, 256}, {RLIMIT_MEMLOCK, 1 << 20}, {RLIMIT_CORE, 0}};
	struct sigaction sa = {.sa_handler = interrupt};

	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit r = {limits[i].value, limits[i].value};

		CHECK_EQ(setrlimit(limits[i].what, &r), 0);
	}
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static const char *const opened[] = {"/proc/self/mem", "/proc/self/maps", "/proc/self",
    "/dev/zero", "/dev/full", "/dev/ptmx", "/proc/self/fd", "/proc/self/exe"};

enum { NUM_OPENED = sizeof(opened) / sizeof(opened[0]) };

static int opened_fds[NUM_OPENED];

static void
open_files(void)
{
	for (int i = 0; i < NUM_OPENED; i++) {
		opened_fds[i] = open(opened[i], O_RDWR | O_NOCTTY);
		if (opened_fds[i] < 0)
			opened_fds[i] = open(opened[i], O_RDONLY);
	}
}

static long
random_fd(void)
{
	const int fds[] = {file_fd, dir_fd, udp_fd, listener_fd, peer_fd, pipe_fds[0],
	    pipe_fds[1], epoll_fd, timer_fd, inotify_fd, pid_fd, AT_FDCWD};
	enum { MADE = sizeof(fds) / sizeof(fds[0]) };
	uint64_t n = draw(MADE + NUM_OPENED);

	return n < MADE ? fds[n] : opened_fds[n - MADE];
}

/* A buffer with a fitting or any content, or a place that is none. */
static long
random_pointer(int arg)
{
	const long bad[] = {0, -1, (long)unmapped, (long)no_rights, (long)read_only,
	    0x7ffffffff000, (long)0xffffffff80200000,
	    (long)(buffers[arg] + 2 * PAGE - 1)};
	uint64_t *words = (uint64_t *)(buffers[arg] + PAGE);

	switch (draw(4)) {
	case 0: return bad[draw(sizeof(bad) / sizeof(bad[0]))];
	case 1: return buffer_of(arg, IOV);
	case 2: return buffer_of(arg, (enum special)(BUF + draw(XNAME - BUF + 1)));
	default:
		for (int i = 0; i < 32; i++)
			words[i] = draw(2) ? draw(1u << 16)
			                   : (uint64_t)numbers[draw(NUM_NUMBERS)];
		return (long)words;
	}
}

static long
random_value(char kind, int arg)
{
	if (draw(3) == 0)
		return default_of(kind, arg);
	switch (kind) {
	case 'r':
	case 'w': return random_pointer(arg);
	case 's': return buffer_of(arg, draw(2) ? PATH : LINK);
	case 'f':
	case 'd': return draw(8) ? random_fd() : numbers[draw(NUM_NUMBERS)];
	case 'a':
		return draw(2) ? (long)buffers[arg] + (long)draw(3) * PAGE
		               : numbers[draw(NUM_NUMBERS)];
	case 'u': return draw(2) ? random_pointer(arg) : numbers[draw(NUM_NUMBERS)];
	default: return draw(2) ? (long)draw(64) : numbers[draw(NUM_NUMBERS)];
	}
}

/* Round `round` of a call: the first ones by the list, then at random. */
static void
choose(const struct call *c, unsigned round, long a[6])
{
	int n = (int)strlen(c->kinds), arg = n ? (int)(round / NUM_NUMBERS) : 0;

	for (int i = 0; i < n; i++)
		a[i] =
		    arg < n ? default_of(c->kinds[i], i) : random_value(c->kinds[i], i);
	if (arg < n && !strchr("rws", c->kinds[arg]))
		a[arg] = numbers[round % NUM_NUMBERS];
}

static int null_fd;
static volatile unsigned *next_round; /* shared with the child, which may die of a call */

static void
try_call(const struct call *c)
{
	unsigned rounds = (unsigned)strlen(c->kinds) * NUM_NUMBERS + RANDOM_ROUNDS;
	pid_t pid;

	for (int fd = 0; fd < 3; fd++)
		CHECK_EQ(dup2(null_fd, fd), fd);
	become_user();
	make_descriptors();
	make_queues();
	open_files();
	set_limits();
	pid = getpid();
	while (*next_round < rounds) {
		long a[6] = {0};

		seed = (uint64_t)c->nr << 32 | *next_round;
		choose(c, (*next_round)++, a);
		(void)syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (getpid() != pid)
			_exit(0); /* a clone */
	}
	_exit(0);
}

/* Waits for the child, five seconds at most: one that blocked its signals may sleep for ever. */
static void
wait_for(pid_t pid)
{
	for (int i = 0; i < 5000; i++) {
		int status;
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid && !WIFSTOPPED(status))
			return;
		if (got == pid)
			kill(pid, SIGKILL); /* it had itself traced */
		CHECK(got >= 0);
		sleep_ms(i < 20 ? 1 : 10);
		if (i == 500)
			kill(pid, SIGKILL);
	}
	CHECK(!"a child that does not die");
}

static void
numbers_do_no_harm(const char *only)
{
	for (int i = 0; i < NUM_CALLS; i++) {
		const struct call *c = &calls[i];
		unsigned rounds =
		    (unsigned)strlen(c->kinds) * NUM_NUMBERS + RANDOM_ROUNDS;

		if (is_skipped(c->name) || (only && strcmp(only, c->name)))
			continue;
		*next_round = 0;
		for (int tries = 0; *next_round < rounds && tries < 40; tries++) {
			pid_t pid;

			make_file();
			pid = fork();
			CHECK(pid >= 0);
			if (pid == 0)
				try_call(c);
			wait_for(pid);
		}
	}
}

/* Each kind of file at its last position, and beyond. */
static void
positions_do_not_wrap(void)
{
	static const off_t steps[] = {1, INT64_MAX, -1, INT64_MIN, 4096};
	char buf[64], *there = "x";
	struct iovec iov = {buf, sizeof(buf)};

	make_file();
	make_descriptors();
	open_files();
	for (int i = 0; i <= NUM_OPENED + 1; i++) {
		int fd = i < NUM_OPENED    ? opened_fds[i]
		         : i == NUM_OPENED ? dir_fd
		                           : file_fd;

		for (unsigned j = 0; j < 5 * 4; j++) {
			off_t at = j % 4 == 0   ? INT64_MAX
			           : j % 4 == 1 ? 1
			           : j % 4 == 2 ? INT64_MAX - 4096
			                        : -1;

			(void)lseek(fd, at, SEEK_SET);
			(void)lseek(fd, steps[j / 4], SEEK_CUR);
			(void)lseek(fd, steps[j / 4], SEEK_END);
			(void)lseek(fd, at, SEEK_DATA);
			(void)lseek(fd, at, SEEK_HOLE);
			(void)lseek(fd, at, SEEK_SET);
			(void)!read(fd, buf, sizeof(buf));
			(void)syscall(SYS_getdents64, fd, buf, sizeof(buf));
			(void)!pread(fd, buf, sizeof(buf), at);
			(void)syscall(SYS_preadv, fd, &iov, 1, at, 0);
			if (i >= NUM_OPENED)
				(void)!pwrite(fd, there, 1, at);
		}
	}
	(void)ftruncate(file_fd, 0);
}

int
main(int argc, char **argv)
{
	if (argc < 1 || !argv[0] || !argv[0][0])
		return 0; /* what an execve began */
	printf("T numbers_do_no_harm\n");
	fflush(stdout);
	make_memory();
	null_fd = open("/dev/null", O_RDWR);
	next_round = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	snprintf(path, sizeof(path), "/tmp/badnum.%d", getpid());
	snprintf(link_path, sizeof(link_path), "/tmp/badnum.%d.link", getpid());
	if (fork() == 0) {
		set_limits();
		positions_do_not_wrap();
		_exit(0);
	}
	CHECK(wait(NULL) > 0);
	numbers_do_no_harm(argc > 1 ? argv[1] : NULL);
	unlink(path);
	unlink(link_path);
	printf("OK\n");
	return 0;
}
