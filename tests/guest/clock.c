/* What time daemons ask of the clock: adjtimex and clock_adjtime. Nothing here changes it. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/syscall.h>
#include <sys/timex.h>

/* proves: adjtimex clock_adjtime */
static void
adjtimex_tells_the_state(void)
{
	struct timespec now;
	struct timex t;
	int state;

	memset(&t, 0, sizeof(t));
	state = adjtimex(&t);
	CHECK(state == TIME_OK || state == TIME_ERROR);
	CHECK_EQ(state == TIME_ERROR, !!(t.status & STA_UNSYNC));
	CHECK_EQ(t.tick, 10000);
	CHECK_EQ(t.precision, 1);
	CHECK_EQ(t.tolerance, 500 << 16);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(now.tv_sec - t.time.tv_sec <= 2);
	CHECK(t.time.tv_usec < (t.status & STA_NANO ? 1000000000 : 1000000));
	CHECK_EQ(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &t), state);
	t.modes = ADJ_OFFSET_SS_READ;
	CHECK_EQ(adjtimex(&t), state);
	CHECK_EQ(t.offset, 0);
}

/* proves: adjtimex clock_adjtime */
static void
adjtimex_refuses(void)
{
	struct timex t;

	memset(&t, 0, sizeof(t));
	CHECK_ERR(syscall(SYS_adjtimex, 8), EFAULT);
	CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, 8), EFAULT);
	CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &t), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_TAI, &t), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_adjtime, -1, &t), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_adjtime, 10, &t), EINVAL);
	CHECK_ERR(syscall(SYS_clock_adjtime, 12, &t), EINVAL);
	t.modes = 0x8000;
	CHECK_ERR(adjtimex(&t), EINVAL);
	t.modes = ADJ_SETOFFSET;
	t.time.tv_usec = 1000000;
	CHECK_ERR(adjtimex(&t), EINVAL);
	t.time.tv_usec = -1;
	CHECK_ERR(adjtimex(&t), EINVAL);
	t.modes = ADJ_TICK;
	t.tick = 8999;
	CHECK_ERR(adjtimex(&t), EINVAL);
	t.tick = 11001;
	CHECK_ERR(adjtimex(&t), EINVAL);
	CHECK_EQ(setuid(1000), 0);
	t.tick = 10000;
	CHECK_ERR(adjtimex(&t), EPERM);
	t.modes = ADJ_OFFSET_SINGLESHOT;
	CHECK_ERR(adjtimex(&t), EPERM);
	t.modes = ADJ_OFFSET_SS_READ;
	CHECK(adjtimex(&t) >= 0);
}

static const struct test tests[] = {
    TEST(adjtimex_tells_the_state),
    TEST(adjtimex_refuses),
};

RUN_TESTS(tests)
