/*
 * storm_stress SECONDS: fork, vfork, exec, exit and threads as fast as they go, by two workers for each
 * processor. Every child's status is checked. Prints how many there were and "STORM OK". The same on
 * Linux.
 */
#define _GNU_SOURCE
#include "tests/guest/fail.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { PAGE = 4096, HEAP_PAGES = 64, KINDS = 6, MAX_WORKERS = 64 };

static const char *self;
static char *heap;
static unsigned long *counts; /* shared: [worker][kind] */

static void
expect(pid_t pid, int status)
{
	int got = -1;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &got, 0) == pid);
	CHECK(got == status);
}

static void
fork_and_write(void)
{
	pid_t pid = fork();

	if (!pid) {
		for (unsigned i = 0; i < HEAP_PAGES; i++)
			heap[i * PAGE] = 2;
		_exit(heap[0] + 5);
	}
	expect(pid, 7 << 8);
	CHECK(heap[0] == 1);
}

static void
fork_and_exec(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl(self, self, "child", "9", NULL);
		_exit(1);
	}
	expect(pid, 9 << 8);
}

static void
vfork_and_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl(self, self, "child", "3", NULL);
		_exit(1);
	}
	expect(pid, 3 << 8);
}

static void
fork_and_kill(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	CHECK(kill(pid, SIGKILL) == 0);
	expect(pid, SIGKILL);
}

/* Its grandchild is an orphan before it ends, as a rule. */
static void
fork_twice(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(fork() < 0);
	expect(pid, 0);
}

static void *
thread_main(void *arg)
{
	return (char *)arg + 1;
}

/* exit_group with threads that still run, and one that has been joined. */
static void
fork_and_thread(void)
{
	pid_t pid = fork();

	if (!pid) {
		pthread_t t;
		void *result;

		if (pthread_create(&t, NULL, thread_main, heap) ||
		    pthread_join(t, &result) || result != heap + 1)
			_exit(1);
		for (unsigned i = 0; i < 4; i++)
			if (pthread_create(&t, NULL, thread_main, NULL))
				_exit(2);
		_exit(11);
	}
	expect(pid, 11 << 8);
}

static void
work(unsigned worker, time_t end)
{
	static void (*const kinds[KINDS])(void) = {fork_and_write, fork_and_exec,
	    vfork_and_exec, fork_and_kill, fork_twice, fork_and_thread};

	for (unsigned i = worker; time(NULL) < end; i++) {
		kinds[i % KINDS]();
		counts[worker * KINDS + i % KINDS]++;
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	unsigned workers = 2 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
	unsigned long total = 0;
	pid_t pids[MAX_WORKERS];

	if (argc > 2 && !strcmp(argv[1], "child"))
		return atoi(argv[2]);
	self = argv[0];
	workers = workers > MAX_WORKERS ? MAX_WORKERS : workers;
	heap = mmap(NULL, HEAP_PAGES * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	counts = mmap(NULL, MAX_WORKERS * KINDS * sizeof(*counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(heap != MAP_FAILED && counts != MAP_FAILED);
	memset(heap, 1, HEAP_PAGES * PAGE);
	for (unsigned i = 0; i < workers; i++) {
		pids[i] = fork();
		if (!pids[i])
			work(i, end);
	}
	for (unsigned i = 0; i < workers; i++)
		expect(pids[i], 0);
	for (unsigned i = 0; i < workers * KINDS; i++)
		total += counts[i];
	printf("storms %lu\nSTORM OK\n", total);
	return 0;
}
