/*
 * crowd_stress PROCESSES THREADS [hold]: so many processes and threads alive at once. Each waits on one
 * futex that all share; a round wakes them all and each answers, which shows that it lives. Prints what
 * one costs in memory, and what fork, wait and a list of /proc cost beside the crowd and without it;
 * then all end, and "CROWD OK" says that every one did. With "hold" it waits for SIGUSR1 before that, for
 * others to look at the crowd. The same on Linux.
 *
 * One process in ten is a host: all threads are theirs. One in four leads a group of its own.
 */
#define _GNU_SOURCE
#include "tests/guest/fail.h"

#include <dirent.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { HOST_EVERY = 10, LEADER_EVERY = 4, THREAD_STACK = 16384, TIMED = 64 };

/* Shared by all. */
struct crowd {
	uint32_t round;    /* rises: everyone answers; ROUND_END: everyone goes */
	uint32_t answered; /* in this round */
	uint32_t expected; /* the last of them wakes the maker */
};

enum { ROUND_THREADS = 2, ROUND_END = 100 };

static struct crowd *crowd;
static unsigned threads_per_host;

static long
futex(uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static uint32_t
load(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void
wait_while(uint32_t *word, uint32_t value)
{
	while (load(word) == value)
		futex(word, FUTEX_WAIT, value);
}

static void
answer(void)
{
	if (__atomic_add_fetch(&crowd->answered, 1, __ATOMIC_SEQ_CST) ==
	    load(&crowd->expected))
		futex(&crowd->answered, FUTEX_WAKE, 1);
}

/* Answers each round until the last. */
static void
live(uint32_t round)
{
	for (;;) {
		wait_while(&crowd->round, round);
		round = load(&crowd->round);
		if (round == ROUND_END)
			return;
		answer();
	}
}

static void *
thread_main(void *arg)
{
	answer();
	live((uint32_t)(uintptr_t)arg);
	return NULL;
}

static void
make_threads(uint32_t round)
{
	pthread_attr_t attr;
	pthread_t id;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (unsigned i = 0; i < threads_per_host; i++)
		CHECK(pthread_create(&id, &attr, thread_main, (void *)(uintptr_t)round) ==
		      0);
}

static void
child_main(unsigned number)
{
	uint32_t round;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (number % LEADER_EVERY == 0)
		CHECK(setpgid(0, 0) == 0);
	answer();
	wait_while(&crowd->round, 0);
	round = load(&crowd->round);
	answer();
	while (round < ROUND_THREADS) {
		wait_while(&crowd->round, round);
		round = load(&crowd->round);
		if (round == ROUND_THREADS && number % HOST_EVERY == 0)
			make_threads(round);
		answer();
	}
	live(round);
	_exit(0);
}

/* ---- The maker */

/* Until so many have answered. */
static void
collect(void)
{
	uint32_t n;

	while ((n = load(&crowd->answered)) < crowd->expected)
		futex(&crowd->answered, FUTEX_WAIT, n);
	CHECK(n == crowd->expected);
}

static void
expect(uint32_t n)
{
	__atomic_store_n(&crowd->answered, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&crowd->expected, n, __ATOMIC_SEQ_CST);
}

static void
begin_round(uint32_t round, uint32_t n)
{
	expect(n);
	__atomic_store_n(&crowd->round, round, __ATOMIC_SEQ_CST);
	futex(&crowd->round, FUTEX_WAKE, INT_MAX);
	collect();
}

static long
kib(const char *name)
{
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");
	long n = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			n = atol(line + strlen(name) + 1);
	fclose(f);
	return n;
}

struct memory {
	long free, stacks, tables, slab;
};

static struct memory
memory_now(void)
{
	return (struct memory){
	    kib("MemFree"), kib("KernelStack"), kib("PageTables"), kib("Slab")};
}

static void
print_cost(const char *what, const struct memory *a, const struct memory *b, unsigned n)
{
	if (!n)
		return;
	printf("%s_bytes %ld stack %ld tables %ld slab %ld\n", what,
	    (a->free - b->free) * 1024 / (long)n,
	    (b->stacks - a->stacks) * 1024 / (long)n,
	    (b->tables - a->tables) * 1024 / (long)n,
	    (b->slab - a->slab) * 1024 / (long)n);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Lists /proc; how many processes are there. */
static unsigned
list_proc(void)
{
	const struct dirent *e;
	DIR *d = opendir("/proc");
	unsigned n = 0;

	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
	closedir(d);
	return n;
}

static void
fork_and_wait(bool by_pid)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	CHECK(pid > 0);
	CHECK(waitpid(by_pid ? pid : -1, NULL, 0) == pid);
}

/* What a few calls cost now: beside whom is in the name. */
static void
print_times(const char *beside)
{
	double start = now_us(), t;
	unsigned n;

	for (unsigned i = 0; i < TIMED; i++)
		fork_and_wait(true);
	t = now_us();
	printf("fork_waitpid_%s_us %.2f\n", beside, (t - start) / TIMED);
	for (unsigned i = 0; i < TIMED; i++)
		fork_and_wait(false);
	start = now_us();
	printf("fork_waitany_%s_us %.2f\n", beside, (start - t) / TIMED);
	for (unsigned i = 0; i < TIMED; i++) {
		CHECK(kill(getpid(), 0) == 0);
		errno = 0;
		CHECK(getpriority(PRIO_PROCESS, 0) != -1 || errno == 0);
		CHECK(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG) == 0 ||
		      errno == ECHILD);
	}
	t = now_us();
	printf("look_%s_us %.2f\n", beside, (t - start) / TIMED);
	n = list_proc();
	printf("proc_entry_%s_us %.3f\n", beside, (now_us() - t) / n);
	fflush(stdout);
}

static void
end_all(unsigned processes, unsigned threads)
{
	double start = now_us();
	int status;

	__atomic_store_n(&crowd->round, ROUND_END, __ATOMIC_SEQ_CST);
	futex(&crowd->round, FUTEX_WAKE, INT_MAX);
	for (unsigned i = 0; i < processes; i++) {
		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	CHECK(wait(&status) < 0 && errno == ECHILD);
	printf("end_us %.2f\n", (now_us() - start) / (processes + threads));
}

static void
make_processes(unsigned processes)
{
	double start = now_us();

	expect(processes);
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			child_main(i);
	}
	collect();
	printf("make_process_us %.2f\n", (now_us() - start) / processes);
	CHECK(list_proc() > processes);
}

static void
on_signal(int sig)
{
}

int
main(int argc, char **argv)
{
	unsigned processes = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
	unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
	unsigned hosts = (processes + HOST_EVERY - 1) / HOST_EVERY;
	struct memory before, with_processes, with_threads;
	double start;

	threads_per_host = threads / hosts;
	threads = threads_per_host * hosts;
	crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(crowd != MAP_FAILED);
	signal(SIGUSR1, on_signal);
	print_times("first"); /* what is made once for all is made now */
	print_times("alone");
	before = memory_now();
	make_processes(processes);
	with_processes = memory_now();
	print_cost("process", &before, &with_processes, processes);
	begin_round(1, processes);
	start = now_us();
	begin_round(ROUND_THREADS, processes + threads);
	if (threads)
		printf("make_thread_us %.2f\n", (now_us() - start) / threads);
	with_threads = memory_now();
	print_cost("thread", &with_processes, &with_threads, threads);
	start = now_us();
	begin_round(ROUND_THREADS + 1, processes + threads);
	printf("round_us %.2f\n", (now_us() - start) / (processes + threads));
	print_times("crowd");
	if (argc > 3) {
		printf("CROWD READY\n");
		fflush(stdout);
		pause();
	}
	end_all(processes, threads);
	printf("lost_kib %ld\n", before.free - kib("MemFree"));
	printf("CROWD OK\n");
	return 0;
}
