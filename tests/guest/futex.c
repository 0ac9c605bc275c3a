/*
 * futex(2): which memory a word may lie in, for each command, and which argument's error is
 * told first.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>

#include "tests/guest/check.h"

enum { PRIVATE = FUTEX_PRIVATE_FLAG, RT = FUTEX_CLOCK_REALTIME, LOCK_PI2 = 13 };

/* The result, or the negative error. */
static long
futex(void *word, int op, unsigned val, const void *timeout, void *word2, unsigned val3)
{
	long r = syscall(SYS_futex, word, op, val, timeout, word2, val3);

	return r < 0 ? -errno : r;
}

static void *
page(int prot, int flags)
{
	void *p = mmap(NULL, 4096, prot, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

enum {
	RW = PROT_READ | PROT_WRITE,
	T = -ETIMEDOUT,
	A = -EAGAIN,
	F = -EFAULT,
	P = -EPERM
};

/* What comes of each command at a place, by nobody waiting there. The word is 0. */
struct row {
	const char *name;
	int flags; /* of the futex */
	int wake, wait_for_1, wait, requeue, wake_op, lock, unlock, requeue_pi, wait_pi;
};

static const struct row rows[] = {
    {"nothing", 0, F, F, F, F, F, F, F, F, F},
    {"nothing", PRIVATE, 0, F, F, 0, F, F, F, F, F},
    {"no rights", 0, F, F, F, F, F, F, F, F, F},
    {"no rights", PRIVATE, 0, F, F, 0, F, F, F, F, F},
    {"private, read-only", 0, F, F, F, F, F, F, P, F, F},
    {"private, read-only", PRIVATE, 0, A, T, 0, F, F, P, 0, T},
    {"shared, read-only", 0, 0, A, T, 0, F, F, P, 0, T},
    {"private", 0, 0, A, T, 0, 0, 0, 0, 0, T},
    {"private", PRIVATE, 0, A, T, 0, 0, 0, 0, 0, T},
    {"shared", 0, 0, A, T, 0, 0, 0, 0, 0, T},
    {"kernel", 0, F, F, F, F, F, F, F, F, F},
    {"kernel", PRIVATE, F, F, F, F, F, F, F, F, F},
};

static void *
place(const char *name)
{
	void *p;

	if (!strcmp(name, "kernel"))
		return KERNEL_ADDR;
	if (!strcmp(name, "no rights"))
		return page(PROT_NONE, MAP_PRIVATE);
	if (!strcmp(name, "private, read-only"))
		return page(PROT_READ, MAP_PRIVATE);
	if (!strcmp(name, "shared, read-only"))
		return page(PROT_READ, MAP_SHARED);
	if (!strcmp(name, "shared"))
		return page(RW, MAP_SHARED);
	p = page(RW, MAP_PRIVATE);
	if (!strcmp(name, "nothing"))
		munmap(p, 4096);
	return p;
}

/* proves: futex */
static void
memory_of_the_word(void)
{
	static const struct timespec now;
	void *one = (void *)1;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		int f = r->flags, before = num_unexpected;
		void *other = page(RW, f ? MAP_PRIVATE : MAP_SHARED);
		void *at = place(r->name);

		EXPECT_EQ(futex(at, FUTEX_WAKE | f, 1, NULL, NULL, 0), r->wake);
		EXPECT_EQ(futex(at, FUTEX_WAIT | f, 1, &now, NULL, 0), r->wait_for_1);
		EXPECT_EQ(futex(at, FUTEX_WAIT | f, 0, &now, NULL, 0), r->wait);
		EXPECT_EQ(futex(at, FUTEX_REQUEUE | f, 1, one, other, 0), r->requeue);
		EXPECT_EQ(futex(other, FUTEX_CMP_REQUEUE | f, 1, one, at, 0), r->requeue);
		EXPECT_EQ(futex(other, FUTEX_WAKE_OP | f, 1, one, at, 0), r->wake_op);
		EXPECT_EQ(futex(at, FUTEX_LOCK_PI | f, 0, &now, NULL, 0), r->lock);
		EXPECT_EQ(futex(at, FUTEX_UNLOCK_PI | f, 0, NULL, NULL, 0), r->unlock);
		EXPECT_EQ(
		    futex(at, FUTEX_CMP_REQUEUE_PI | f, 1, one, other, 0), r->requeue_pi);
		EXPECT_EQ(
		    futex(at, FUTEX_WAIT_REQUEUE_PI | f, 0, &now, other, 0), r->wait_pi);
		if (!strcmp(r->name, "shared, read-only")) {
			EXPECT_EQ(
			    futex(other, FUTEX_CMP_REQUEUE_PI | f, 1, one, at, 0), F);
			EXPECT_EQ(
			    futex(other, FUTEX_WAIT_REQUEUE_PI | f, 0, &now, at, 0), F);
		}
		if (num_unexpected != before)
			printf("%s, flags %d\n", r->name, f);
	}
}

/* proves: futex */
static void
time_outs_are_looked_at_first(void)
{
	static const struct timespec too_much = {0, 1000000000}, negative = {-1, 0};
	static const int with[] = {FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_LOCK_PI, LOCK_PI2,
	    FUTEX_WAIT_REQUEUE_PI};
	int word = 5;

	for (unsigned i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		for (int clock = 0; clock <= RT; clock += RT) {
			int op = with[i] | PRIVATE | clock;

			EXPECT_EQ(futex(&word, op, 4, &too_much, NULL, 0), -EINVAL);
			EXPECT_EQ(futex(&word, op, 4, &negative, NULL, 0), -EINVAL);
			EXPECT_EQ(futex(&word, op, 4, (void *)8, NULL, 0), -EFAULT);
		}
	}
	EXPECT_EQ(futex(&word, FUTEX_WAIT | RT | PRIVATE, 5, NULL, NULL, 0), -ENOSYS);
	EXPECT_EQ(
	    futex(&word, FUTEX_WAKE | RT | PRIVATE, 5, (void *)8, NULL, 0), -ENOSYS);
	EXPECT_EQ(futex(&word, FUTEX_WAKE, 1, (void *)8, NULL, 0), 0);
}

/* proves: futex */
static void
no_bits_are_an_error_wherever(void)
{
	int word = 0;

	EXPECT_EQ(futex(KERNEL_ADDR, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), -EINVAL);
	EXPECT_EQ(futex(KERNEL_ADDR, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0), -EINVAL);
	EXPECT_EQ(futex((char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0), -EINVAL);
	EXPECT_EQ(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0), -EINVAL);
}

static const struct test tests[] = {
    TEST(memory_of_the_word),
    TEST(time_outs_are_looked_at_first),
    TEST(no_bits_are_an_error_wherever),
};

RUN_TESTS(tests)
