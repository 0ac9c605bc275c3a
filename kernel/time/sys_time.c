/* System calls on clocks: reading, setting, sleeping. */
#include "syscalls.h"

#include "kernel/proc/itimers.h"
#include "kernel/proc/process.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/usercopy.h"

enum { TIMER_ABSTIME = 1, COARSE_RES_NS = 4000000 };

/*
 * CPU-time clocks of other processes and threads have negative numbers: ~pid << 3, bit 2
 * for a thread, the low bits which time (pthread_getcpuclockid, clock_getcpuclockid).
 */
enum { CPUCLOCK_PER_THREAD = 4, CPUCLOCK_VIRT = 1 };

static enum err
clock_read_cpu(int clock, nsec_t *ns)
{
	uint32_t id = (uint32_t) ~(clock >> 3);
	bool only_user = (clock & 3) == CPUCLOCK_VIRT;
	nsec_t utime = 0, stime = 0;

	if (clock & CPUCLOCK_PER_THREAD) {
		struct thread *t = id ? thread_find(id) : thread_get(current_thread());

		if (!t)
			return ERR_INVAL;
		if (t->process != current_process()) {
			thread_put(t);
			return ERR_INVAL; /* threads are known to their own process alone */
		}
		thread_times(t, &utime, &stime);
		*ns = only_user ? utime : utime + stime;
		thread_put(t);
	} else {
		struct process *p =
		    id ? process_find(id) : process_get(current_process());

		if (!p)
			return ERR_INVAL;
		*ns = process_cpu_time(p, only_user);
		process_put(p);
	}
	return OK;
}

static enum err
clock_read(int clock, nsec_t *ns)
{
	nsec_t utime, stime;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI: *ns = (nsec_t)clock_wall_ns(); return OK;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM: *ns = clock_now_ns(); return OK;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = process_cpu_time(current_process(), false);
		return OK;
	case CLOCK_THREAD_CPUTIME_ID:
		thread_times(current_thread(), &utime, &stime);
		*ns = utime + stime;
		return OK;
	default: return clock < 0 ? clock_read_cpu(clock, ns) : ERR_INVAL;
	}
}

long
sys_clock_gettime(int clock, struct timespec USER *uts)
{
	struct timespec ts;
	nsec_t ns;
	enum err err = clock_read(clock, &ns);

	if (err != OK)
		return err;
	ts = timespec_from_ns(ns);
	return put_user(ts, uts);
}

long
sys_clock_getres(int clock, struct timespec USER *uts)
{
	struct timespec ts = {0, 1};
	nsec_t ns;
	enum err err = clock_read(clock, &ns);

	if (err != OK || !uts)
		return err;
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		ts.nsec = COARSE_RES_NS;
	return put_user(ts, uts);
}

static long
wall_clock_set(const struct timespec *ts)
{
	if (!timespec_is_valid(ts))
		return ERR_INVAL;
	if (!capable(CAP_SYS_TIME))
		return ERR_PERM;
	clock_set_wall_ns((int64_t)timespec_to_ns(ts));
	return 0;
}

long
sys_clock_settime(int clock, const struct timespec USER *uts)
{
	struct timespec ts;

	if (clock != CLOCK_REALTIME)
		return ERR_INVAL;
	if (get_user(ts, uts) != OK)
		return ERR_FAULT;
	return wall_clock_set(&ts);
}

long
sys_gettimeofday(struct timeval USER *utv, struct timezone USER *utz)
{
	static const struct timezone utc;
	struct timeval tv = timeval_from_ns((nsec_t)clock_wall_ns());

	if (utv && put_user(tv, utv) != OK)
		return ERR_FAULT;
	return utz ? put_user(utc, utz) : OK;
}

long
sys_settimeofday(const struct timeval USER *utv, const struct timezone USER *utz)
{
	struct timeval tv;
	struct timezone tz;
	struct timespec ts;

	if ((utv && get_user(tv, utv) != OK) || (utz && get_user(tz, utz) != OK))
		return ERR_FAULT;
	if (utv && !timeval_is_valid(&tv))
		return ERR_INVAL;
	if (!capable(CAP_SYS_TIME))
		return ERR_PERM;
	if (!utv)
		return 0; /* a time zone alone: the kernel keeps UTC */
	ts = (struct timespec){tv.sec, tv.usec * (int64_t)NSEC_PER_USEC};
	return wall_clock_set(&ts);
}

long
sys_time(int64_t USER *t)
{
	int64_t now = clock_wall_ns() / (int64_t)NSEC_PER_SEC;

	if (t && put_user(now, t) != OK)
		return ERR_FAULT;
	return now;
}

/* ---- Sleeping
 * -------------------------------------------------------------------------- */

/* Sleeps until `deadline` on the monotonic clock: OK, or ERR_RESTARTSYS. */
static enum err
sleep_until(nsec_t deadline)
{
	enum err err;

	err = wait_alone(false, WAIT_INTERRUPTIBLE, MAX(deadline, (nsec_t)1));
	return err == ERR_TIMEDOUT ? OK : err;
}

/* A relative sleep was interrupted: tells what is left; restart goes on to the same
 * deadline. */
static long
sleep_restart(struct thread *t)
{
	struct timespec USER *rem = (struct timespec USER *)t->restart_args[1];
	nsec_t deadline = t->restart_args[0], now;
	enum err err = sleep_until(deadline);

	if (err == OK)
		return 0;
	now = clock_now_ns();
	if (rem) {
		struct timespec left =
		    timespec_from_ns(deadline > now ? deadline - now : 0);

		if (put_user(left, rem) != OK)
			return ERR_FAULT;
	}
	return ERR_RESTART_BLOCK;
}

static long
sleep_for(nsec_t ns, struct timespec USER *rem)
{
	struct thread *t = current_thread();
	nsec_t now = clock_now_ns();

	t->restart_fn = sleep_restart;
	t->restart_args[0] = ns < (nsec_t)INT64_MAX - now ? now + ns : (nsec_t)INT64_MAX;
	t->restart_args[1] = (uint64_t)rem;
	return sleep_restart(t);
}

long
sys_restart_syscall(void)
{
	struct thread *t = current_thread();

	return t->restart_fn ? t->restart_fn(t) : ERR_INTR;
}

long
sys_nanosleep(const struct timespec USER *req, struct timespec USER *rem)
{
	struct timespec ts;

	if (get_user(ts, req) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	return sleep_for(timespec_to_ns(&ts), rem);
}

/* The wall clock may be set meanwhile: looks again when the time should have come. */
static long
sleep_until_wall(int64_t end)
{
	for (;;) {
		int64_t left = end - clock_wall_ns();
		enum err err;

		if (left <= 0)
			return 0;
		err = sleep_until(clock_now_ns() + MIN((nsec_t)left, NSEC_PER_SEC));
		if (err != OK)
			return ERR_RESTARTNOHAND;
	}
}

static bool
clock_is_wall(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_TAI ||
	       clock == CLOCK_REALTIME_ALARM;
}

static long
sleep_until_cpu(nsec_t end)
{
	struct process *p = current_process();

	for (;;) {
		nsec_t used = process_cpu_time(p, false);

		if (used >= end)
			return 0;
		if (sleep_until(clock_now_ns() + cpu_timer_wait_ns(p, end - used)) != OK)
			return ERR_RESTARTNOHAND;
	}
}

long
sys_clock_nanosleep(
    int clock, int flags, const struct timespec USER *req, struct timespec USER *rem)
{
	struct timespec ts;
	nsec_t ns, now;
	enum err err = clock_read(clock, &now);

	if (err != OK)
		return err;
	if (clock == CLOCK_THREAD_CPUTIME_ID || clock == CLOCK_MONOTONIC_RAW ||
	    clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		return ERR_OPNOTSUPP;
	if (get_user(ts, req) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	ns = timespec_to_ns(&ts);
	if (clock == CLOCK_PROCESS_CPUTIME_ID)
		return sleep_until_cpu(flags & TIMER_ABSTIME ? ns : now + ns);
	if (!(flags & TIMER_ABSTIME))
		return sleep_for(ns, rem);
	if (clock_is_wall(clock))
		return sleep_until_wall((int64_t)ns);
	return sleep_until(ns) == OK ? 0 : ERR_RESTARTNOHAND;
}
