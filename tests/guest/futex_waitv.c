/* futex_waitv: which word woke it, time-outs on both clocks, and what it refuses. And what
 * the plain operations make of odd arguments. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/guest/check.h"

#define NR_futex_waitv 449

enum { F32 = 2, MAX = 128 };

struct entry {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static atomic_uint words[MAX + 1];
static struct entry entries[MAX + 1];
static atomic_int waiter_tid;

static void
set_entries(int n, unsigned flags)
{
	for (int i = 0; i < n; i++)
		entries[i] = (struct entry){
		    .val = words[i], .uaddr = (uintptr_t)&words[i], .flags = F32 | flags};
}

static long
waitv(int n, const struct timespec *ts, int clock)
{
	return syscall(NR_futex_waitv, entries, n, 0, ts, clock);
}

static long
wake(atomic_uint *word, int n, int flags)
{
	return syscall(SYS_futex, word, FUTEX_WAKE | flags, n, NULL, NULL, 0);
}

static void *
wait_on_all(void *arg)
{
	waiter_tid = (int)syscall(SYS_gettid);
	return (void *)waitv((int)(long)arg, NULL, 0);
}

static void
wait_asleep(int tid)
{
	char path[64], text[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	do {
		sleep_ms(1);
		f = fopen(path, "r");
		CHECK(f);
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		fclose(f);
	} while (strrchr(text, ')')[2] != 'S');
}

/* proves: futex_waitv */
static void
tells_which_word_was_woken(void)
{
	static const int which[] = {0, 77, MAX - 1};
	void *result;
	pthread_t t;

	for (int i = 0; i < 3; i++) {
		int private = i == 1 ? FUTEX_PRIVATE_FLAG : 0;

		set_entries(MAX, (unsigned)private);
		waiter_tid = 0;
		pthread_create(&t, NULL, wait_on_all, (void *)MAX);
		while (!waiter_tid)
			sleep_ms(1);
		wait_asleep(waiter_tid);
		CHECK_EQ(wake(&words[which[i]], 1, private), 1);
		pthread_join(t, &result);
		CHECK_EQ((long)result, which[i]);
		CHECK_EQ(wake(&words[3], 1, private), 0); /* nothing is left queued */
	}
}

static void
shared_between_processes(void)
{
	atomic_uint *w =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	entries[0] = (struct entry){.uaddr = (uintptr_t)&words[0], .flags = F32 | 128};
	entries[1] = (struct entry){.uaddr = (uintptr_t)w, .flags = F32};
	pid = fork();
	if (!pid)
		_exit((int)waitv(2, NULL, 0));
	while (!wake(w, 1, 0))
		sleep_ms(1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 1);
}

static void
a_changed_word_ends_it_at_once(void)
{
	set_entries(3, 0);
	words[2] = 9;
	CHECK_ERR(waitv(3, NULL, 0), EAGAIN);
	words[2] = 0;
}

static void
time_outs(void)
{
	struct timespec mono = in_ms(CLOCK_MONOTONIC, 30), now, wall;

	set_entries(2, 0);
	CHECK_ERR(waitv(2, &mono, CLOCK_MONOTONIC), ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &now);
	CHECK(now.tv_sec > mono.tv_sec ||
	      (now.tv_sec == mono.tv_sec && now.tv_nsec >= mono.tv_nsec));
	wall = in_ms(CLOCK_REALTIME, 30);
	CHECK_ERR(waitv(2, &wall, CLOCK_REALTIME), ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(now.tv_sec > wall.tv_sec ||
	      (now.tv_sec == wall.tv_sec && now.tv_nsec >= wall.tv_nsec));
}

static void
on_alarm(int sig)
{
}

static void
a_signal_ends_it(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &sa, NULL);
	set_entries(2, 0);
	alarm(1);
	CHECK_ERR(waitv(2, NULL, 0), EINTR);
}

/* proves: futex_waitv */
static void
refuses_bad_arguments(void)
{
	struct timespec bad = {0, -1}, good = {1, 0};

	set_entries(MAX, 0);
	CHECK_ERR(syscall(NR_futex_waitv, entries, 1, 1, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, NULL, 1, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, (void *)16, 1, 0, NULL, 0), EFAULT);
	CHECK_ERR(waitv(0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(MAX + 1, NULL, 0), EINVAL);
	CHECK_ERR(waitv(1, &bad, CLOCK_MONOTONIC), EINVAL);
	CHECK_ERR(waitv(1, &good, CLOCK_BOOTTIME), EINVAL);
	CHECK_ERR(waitv(1, (void *)16, CLOCK_MONOTONIC), EFAULT);
	entries[0].reserved = 1;
	CHECK_ERR(waitv(1, NULL, 0), EINVAL);
	set_entries(1, 0);
	entries[0].flags = 0;
	CHECK_ERR(waitv(1, NULL, 0), EINVAL);
	entries[0].flags = F32 | 64;
	CHECK_ERR(waitv(1, NULL, 0), EINVAL);
	set_entries(1, 0);
	entries[0].uaddr++;
	CHECK_ERR(waitv(1, NULL, 0), EINVAL);
	entries[0].uaddr = 16;
	CHECK_ERR(waitv(1, NULL, 0), EFAULT);
	entries[0].uaddr = 1ull << 63;
	CHECK_ERR(waitv(1, NULL, 0), EFAULT);
}

/* proves: futex */
static void
odd_arguments_of_the_plain_operations(void)
{
	atomic_uint a = 1, b = 2;

	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_CMP_REQUEUE, 1, 1L, &b, 2), EAGAIN);
	CHECK_EQ(syscall(SYS_futex, &a, FUTEX_CMP_REQUEUE, 1, 1L, &b, 1), 0);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_CMP_REQUEUE, -1, 1L, &b, 1), EINVAL);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_CMP_REQUEUE, 1, -1L, &b, 1), EINVAL);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_futex, &a, 99, 1, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_FD, 1, NULL, NULL, 0), ENOSYS);
	/* *b = 7, then an unknown comparison; and an unknown operation */
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_WAKE_OP, 1, 1L, &b, 0x0f007000), ENOSYS);
	CHECK_ERR(syscall(SYS_futex, &a, FUTEX_WAKE_OP, 1, 1L, &b, 0x70007000), ENOSYS);
	CHECK_EQ(syscall(SYS_futex, &a, FUTEX_WAKE_OP, 1, 1L, &b, 0x00007007), 0);
	CHECK_EQ(b, 7);
}

static const struct test tests[] = {
    TEST(tells_which_word_was_woken),
    TEST(shared_between_processes),
    TEST(a_changed_word_ends_it_at_once),
    TEST(time_outs),
    TEST(a_signal_ends_it),
    TEST(refuses_bad_arguments),
    TEST(odd_arguments_of_the_plain_operations),
};

RUN_TESTS(tests)
