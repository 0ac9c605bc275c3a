/* Linux's time structures as system calls pass them (64-bit), and conversions to
 * nanoseconds. */
#pragma once

#include "lib/types.h"

struct timespec {
	int64_t sec, nsec;
};

struct timeval {
	int64_t sec, usec;
};

struct timezone {
	int32_t minutes_west, dst_time;
};

struct itimerspec {
	struct timespec interval, value;
};

struct itimerval {
	struct timeval interval, value;
};

/* Clock numbers of clock_gettime and friends. */
enum {
	CLOCK_REALTIME = 0,
	CLOCK_MONOTONIC = 1,
	CLOCK_PROCESS_CPUTIME_ID = 2,
	CLOCK_THREAD_CPUTIME_ID = 3,
	CLOCK_MONOTONIC_RAW = 4,
	CLOCK_REALTIME_COARSE = 5,
	CLOCK_MONOTONIC_COARSE = 6,
	CLOCK_BOOTTIME = 7,
	CLOCK_REALTIME_ALARM = 8,
	CLOCK_BOOTTIME_ALARM = 9,
	CLOCK_TAI = 11,
};

static inline bool
timespec_is_valid(const struct timespec *ts)
{
	return ts->sec >= 0 && (uint64_t)ts->nsec < NSEC_PER_SEC;
}

/* A valid timespec in ns; times beyond 292 years are cut there. */
static inline nsec_t
timespec_to_ns(const struct timespec *ts)
{
	if (ts->sec >= (int64_t)(INT64_MAX / NSEC_PER_SEC))
		return INT64_MAX;
	return (nsec_t)ts->sec * NSEC_PER_SEC + (nsec_t)ts->nsec;
}

static inline struct timespec
timespec_from_ns(nsec_t ns)
{
	return (struct timespec){
	    (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
}

static inline bool
timeval_is_valid(const struct timeval *tv)
{
	return tv->sec >= 0 && (uint64_t)tv->usec < 1000000;
}

static inline nsec_t
timeval_to_ns(const struct timeval *tv)
{
	const struct timespec ts = {tv->sec, tv->usec * (int64_t)NSEC_PER_USEC};

	return timespec_to_ns(&ts);
}

static inline struct timeval
timeval_from_ns(nsec_t ns)
{
	return (struct timeval){
	    (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}
