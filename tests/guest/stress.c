/*
 * stress SECONDS [WORKERS [SEED]]: load on every CPU at once. Each worker process does one random thing
 * after another (fork, exec, pipes, memory, files, threads, signals, sleep, /proc) and checks what comes
 * back. Prints what was done and "STRESS OK", or FAIL and where. The same on Linux.
 */
#define _GNU_SOURCE
#include "tests/guest/fail.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { PAGE = 4096, MAX_WORKERS = 256 };

static uint64_t seed;
static volatile sig_atomic_t num_signals;

static uint32_t
draw(uint32_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
expect_exit(pid_t pid, int code)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* A child changes its copy of memory; the parent's must not change. */
static void
do_fork(void)
{
	size_t pages = 1 + draw(64);
	uint8_t *mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CHECK(mem != MAP_FAILED);
	for (size_t i = 0; i < pages; i++)
		mem[i * PAGE] = (uint8_t)i;
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < pages; i++) {
			CHECK(mem[i * PAGE] == (uint8_t)i);
			mem[i * PAGE] = 0xee;
		}
		_exit(7);
	}
	for (size_t i = 0; i < pages; i += 2)
		mem[i * PAGE + 1] = 1;
	expect_exit(pid, 7);
	for (size_t i = 0; i < pages; i++)
		CHECK(mem[i * PAGE] == (uint8_t)i);
	CHECK(munmap(mem, pages * PAGE) == 0);
}

static void
do_exec(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "stress", "nop", (char *)NULL);
		_exit(1);
	}
	expect_exit(pid, 42);
}

static void
do_pipe(void)
{
	int there[2], back[2];
	unsigned rounds = 1 + draw(100);
	unsigned v, got;
	pid_t pid;

	CHECK(pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &v, sizeof(v)) == sizeof(v)) {
			v++;
			CHECK(write(back[1], &v, sizeof(v)) == sizeof(v));
		}
		_exit(3);
	}
	close(there[0]);
	for (v = 0; v < rounds; v++) {
		CHECK(write(there[1], &v, sizeof(v)) == sizeof(v));
		CHECK(read(back[0], &got, sizeof(got)) == sizeof(got));
		CHECK(got == v + 1);
	}
	close(there[1]);
	close(back[0]);
	close(back[1]);
	expect_exit(pid, 3);
}

static void
do_map(void)
{
	size_t pages = 4 + draw(60), hole = draw((uint32_t)pages - 2);
	uint8_t *mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	for (size_t i = 0; i < pages; i++)
		*(size_t *)(mem + i * PAGE) = i;
	CHECK(mprotect(mem + hole * PAGE, PAGE, PROT_READ) == 0);
	CHECK(*(size_t *)(mem + hole * PAGE) == hole);
	CHECK(munmap(mem + hole * PAGE, PAGE) == 0);
	CHECK(mmap(mem + hole * PAGE, PAGE, PROT_READ | PROT_WRITE,
	          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem + hole * PAGE);
	for (size_t i = 0; i < pages; i++)
		CHECK(*(size_t *)(mem + i * PAGE) == (i == hole ? 0 : i));
	CHECK(munmap(mem, pages * PAGE) == 0);
}

static void
do_file(void)
{
	char name[32], other[64], buf[PAGE];
	size_t n = 1 + draw(10);
	struct stat st;
	uint8_t *map;
	int fd;

	snprintf(name, sizeof(name), "/tmp/stress-%d", (int)getpid());
	snprintf(other, sizeof(other), "%s-x", name);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0);
	for (size_t i = 0; i < n; i++) {
		memset(buf, (int)('a' + i), sizeof(buf));
		CHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
	}
	CHECK(fstat(fd, &st) == 0 && st.st_size == (off_t)(n * PAGE));
	map = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	for (size_t i = 0; i < n; i++)
		CHECK(map[i * PAGE + draw(PAGE)] == 'a' + i);
	map[0] = 'Z';
	CHECK(pread(fd, buf, 1, 0) == 1 && buf[0] == 'Z');
	CHECK(munmap(map, n * PAGE) == 0);
	CHECK(rename(name, other) == 0 && access(name, F_OK) == -1 && errno == ENOENT);
	CHECK(unlink(other) == 0);
	CHECK(close(fd) == 0);
}

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned count;

static void *
count_up(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		pthread_mutex_lock(&count_lock);
		count++;
		pthread_mutex_unlock(&count_lock);
	}
	return arg;
}

static void
do_threads(void)
{
	pthread_t t[4];
	char counts[4];
	unsigned n = 1 + draw(4);
	void *result;

	count = 0;
	for (unsigned i = 0; i < n; i++)
		CHECK(pthread_create(&t[i], NULL, count_up, counts + i) == 0);
	for (unsigned i = 0; i < n; i++)
		CHECK(pthread_join(t[i], &result) == 0 && result == counts + i);
	CHECK(count == n * 200);
}

static void
on_signal(int sig)
{
	num_signals++;
}

static void
do_signal(void)
{
	sig_atomic_t before = num_signals;
	int status;
	pid_t pid;

	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(num_signals == before + 1);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(1);
	}
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGKILL);
}

static void
do_sleep(void)
{
	struct timespec ts = {0, (long)draw(3000000)};

	CHECK(nanosleep(&ts, NULL) == 0);
}

static void
do_proc(void)
{
	static const char *const names[] = {
	    "/proc/self/maps",
	    "/proc/self/status",
	    "/proc/stat",
	    "/proc/meminfo",
	    "/proc/self/stat",
	};
	char buf[512];
	int fd = open(names[draw(5)], O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	close(fd);
}

static const struct {
	const char *name;
	void (*fn)(void);
} actions[] = {
    {"fork", do_fork},
    {"exec", do_exec},
    {"pipe", do_pipe},
    {"map", do_map},
    {"file", do_file},
    {"threads", do_threads},
    {"signal", do_signal},
    {"sleep", do_sleep},
    {"proc", do_proc},
};

enum { NUM_ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static void
work(double end, uint64_t *counts)
{
	signal(SIGUSR1, on_signal);
	while (now() < end) {
		unsigned i = draw(NUM_ACTIONS);

		actions[i].fn();
		__atomic_add_fetch(&counts[i], 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	long workers = argc > 2 ? atol(argv[2]) : 2 * sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t *counts =
	    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double end;
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "nop"))
		return 42;
	if (argc < 2 || workers < 1 || workers > MAX_WORKERS || counts == MAP_FAILED)
		return 2;
	end = now() + atof(argv[1]);
	for (long w = 0; w < workers; w++) {
		seed = (argc > 3 ? (uint64_t)atoll(argv[3]) : 1) * 1000003 + (uint64_t)w;
		if (fork() == 0)
			work(end, counts);
	}
	for (long w = 0; w < workers; w++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			failed = 1;
	}
	for (unsigned i = 0; i < NUM_ACTIONS; i++)
		printf("%s %llu\n", actions[i].name, (unsigned long long)counts[i]);
	printf(failed ? "FAIL a worker\n" : "STRESS OK\n");
	return failed;
}
