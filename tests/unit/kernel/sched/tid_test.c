/*
 * Numbers of threads: kernel/sched/tid.c. The tests share the one space and leave it
 * empty. LINK: kernel/sched/tid.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/percpu.c tests/fakes/spinlock.c lib/fmt.c lib/string.c
 */
#include "kernel/sched/thread.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

#include <stdlib.h>

enum { LIMIT = 32768 };

KTEST(tids_rise_from_2)
{
	CHECK_EQ(tid_alloc(), 2);
	CHECK_EQ(tid_alloc(), 3);
	tid_free(2);
	CHECK_EQ(tid_alloc(), 4); /* not used again at once */
	tid_free(3);
	tid_free(4);
}

KTEST(all_are_given_once_then_none)
{
	static bool is_given[LIMIT];
	unsigned n = 0;
	uint32_t tid;

	while ((tid = tid_alloc())) {
		CHECK(tid > 1 && tid < LIMIT && !is_given[tid]);
		is_given[tid] = true;
		n++;
	}
	/* After the wrap the first 300 are left alone, as on Linux. */
	CHECK_EQ(n, LIMIT - 5);
	tid_free(12345);
	CHECK_EQ(tid_alloc(), 12345);
	CHECK_EQ(tid_alloc(), 0);
	for (uint32_t i = 0; i < LIMIT; i++)
		if (is_given[i])
			tid_free(i);
}

KTEST(after_the_last_comes_300)
{
	uint32_t tid, last = 0;

	while ((tid = tid_alloc()) > last) {
		tid_free(tid);
		last = tid;
	}
	CHECK_EQ(last, LIMIT - 1);
	CHECK_EQ(tid, 300);
	tid_free(tid);
}

KTEST(init_and_idle_have_theirs_for_good)
{
	tid_free(1);
	tid_free(0);
	for (unsigned i = 0; i < 2 * LIMIT; i++) {
		uint32_t tid = tid_alloc();

		CHECK(tid > 1);
		tid_free(tid);
	}
}

KTEST(a_chosen_one_is_given_once)
{
	uint32_t next;

	CHECK(tid_take(20000));
	CHECK(!tid_take(20000));
	CHECK(!tid_take(1));
	CHECK_EQ(tid_next(19999), 20000);
	next = tid_alloc(); /* the order of the others is as it was */
	CHECK(next < 20000);
	tid_free(next);
	tid_free(20000);
	CHECK(tid_take(20000));
	tid_free(20000);
}

KTEST(those_in_use_are_found_in_order)
{
	uint32_t a, b;

	CHECK_EQ(tid_next(2), 0);
	a = tid_alloc();
	b = tid_alloc();
	CHECK_EQ(tid_next(0), 1);
	CHECK_EQ(tid_next(1), 1);
	CHECK_EQ(tid_next(2), a);
	CHECK_EQ(tid_next(a), a);
	CHECK_EQ(tid_next(a + 1), b);
	tid_free(a);
	CHECK_EQ(tid_next(2), b);
	CHECK_EQ(tid_next(b + 1), 0);
	CHECK_EQ(tid_next(LIMIT), 0);
	CHECK_EQ(tid_next(UINT32_MAX), 0);
	tid_free(b);
}

static uint32_t
highest_of_all(void)
{
	uint32_t tid, highest = 0, *all = calloc(TID_LIMIT, sizeof(*all));
	unsigned n = 0;

	while ((tid = tid_alloc())) {
		highest = MAX(highest, tid);
		all[n++] = tid;
	}
	while (n)
		tid_free(all[--n]);
	free(all);
	return highest;
}

/* The last: what was made for them stays. */
KTEST(the_greatest_can_be_chosen)
{
	fake_kmalloc_fail_nth(2);
	CHECK_EQ(tid_set_max(100000), ERR_NOMEM);
	CHECK_EQ(tid_max(), LIMIT);
	fake_kmalloc_fail_nth(0);
	CHECK_EQ(tid_set_max(100000), OK);
	CHECK_EQ(tid_max(), 100000);
	CHECK_EQ(highest_of_all(), 99999);
	CHECK(tid_take(99000));
	CHECK_EQ(tid_set_max(301), OK);
	CHECK_EQ(highest_of_all(), 300);
	CHECK_EQ(tid_next(301), 99000);
	tid_free(99000);
	CHECK_EQ(tid_set_max(TID_LIMIT), OK);
	CHECK_EQ(highest_of_all(), TID_LIMIT - 1);
	CHECK_EQ(tid_next(2), 0);
	CHECK_EQ(tid_set_max(LIMIT), OK);
	CHECK_EQ(highest_of_all(), LIMIT - 1);
}
