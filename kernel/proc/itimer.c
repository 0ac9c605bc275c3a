/*
 * Interval timers of a process: real time, its own CPU time, and CPU time with what the
 * kernel spends for it. The CPU-time ones need no accounting hook: a timer is set for the
 * moment at which the process could at the earliest have used up its time, with all its
 * threads running; if it has not by then, it is set again for the rest.
 */
#include "kernel/proc/itimers.h"

#include "kernel/proc/proc_priv.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { CPU_TIMER_GRAIN_NS = 1000000 };

static const uint8_t itimer_signals[ITIMERS] = {
    [ITIMER_REAL] = SIGALRM,
    [ITIMER_VIRTUAL] = SIGVTALRM,
    [ITIMER_PROF] = SIGPROF,
};

nsec_t
process_cpu_time(struct process *p, bool only_user)
{
	nsec_t utime, stime;

	process_times(p, &utime, &stime);
	return only_user ? utime : utime + stime;
}

/* How long until `left_ns` of CPU time can have been used. */
nsec_t
cpu_timer_wait_ns(const struct process *p, nsec_t left_ns)
{
	return MAX(left_ns / MAX(p->num_threads, 1u), (nsec_t)CPU_TIMER_GRAIN_NS);
}

/* The timer's own clock now. */
static nsec_t
itimer_now(const struct itimer *it)
{
	return it->which == ITIMER_REAL
	           ? clock_now_ns()
	           : process_cpu_time(it->process, it->which == ITIMER_VIRTUAL);
}

/* Lock held; `now` on the timer's clock. */
static void
itimer_arm_locked(struct itimer *it, nsec_t now)
{
	nsec_t left = it->expires_ns > now ? it->expires_ns - now : 0;

	if (it->which == ITIMER_REAL)
		timer_arm(&it->timer, it->expires_ns);
	else
		timer_arm(
		    &it->timer, clock_now_ns() + cpu_timer_wait_ns(it->process, left));
}

static void
itimer_expired(struct timer *timer)
{
	struct itimer *it = container_of(timer, struct itimer, timer);
	struct process *p = it->process;
	nsec_t now = itimer_now(it);
	bool is_due = false;

	spin_lock(&p->lock);
	if (it->expires_ns) {
		is_due = now >= it->expires_ns;
		if (is_due && it->interval_ns)
			it->expires_ns += ((now - it->expires_ns) / it->interval_ns + 1) *
			                  it->interval_ns;
		else if (is_due)
			it->expires_ns = 0;
		if (it->expires_ns)
			itimer_arm_locked(it, now);
	}
	spin_unlock(&p->lock);
	if (is_due)
		(void)signal_send_process(p, itimer_signals[it->which], NULL);
}

void
itimers_init(struct process *p)
{
	for (unsigned i = 0; i < ITIMERS; i++) {
		p->itimers[i].process = p;
		p->itimers[i].which = i;
		timer_init(&p->itimers[i].timer, itimer_expired);
	}
}

void
itimers_stop(struct process *p)
{
	for (unsigned i = 0; i < ITIMERS; i++) {
		spin_lock(&p->lock);
		p->itimers[i].expires_ns =
		    0; /* a running function does not arm it again */
		spin_unlock(&p->lock);
		timer_cancel(&p->itimers[i].timer);
	}
}

/* Time left (at least 1 ns when armed) and interval. Lock held. */
static void
itimer_get_locked(const struct itimer *it, nsec_t now, nsec_t *left, nsec_t *interval)
{
	*interval = it->interval_ns;
	*left = !it->expires_ns ? 0 : it->expires_ns > now ? it->expires_ns - now : 1;
}

static void
itimer_set(
    struct itimer *it, nsec_t value, nsec_t interval, nsec_t *old, nsec_t *old_interval)
{
	struct process *p = it->process;
	nsec_t now = itimer_now(it);

	spin_lock(&p->lock);
	itimer_get_locked(it, now, old, old_interval);
	it->expires_ns = 0;
	/* As on Linux, a timer of CPU time that is stopped keeps the interval it is given. */
	it->interval_ns = value || it->which != ITIMER_REAL ? interval : 0;
	spin_unlock(&p->lock);
	timer_cancel(&it->timer);
	if (!value)
		return;
	spin_lock(&p->lock);
	it->expires_ns = now + value;
	it->interval_ns = interval;
	itimer_arm_locked(it, now);
	spin_unlock(&p->lock);
}

/* Rounded up: a timer that runs never shows as 0. */
static struct timeval
itimer_timeval(nsec_t ns)
{
	return timeval_from_ns(ns + NSEC_PER_USEC - 1);
}

long
sys_setitimer(int which, const struct itimerval USER *value, struct itimerval USER *old)
{
	struct itimerval v = {0}, o;
	nsec_t left, interval;

	if (which < 0 || which >= ITIMERS)
		return ERR_INVAL;
	if (value && get_user(v, value) != OK)
		return ERR_FAULT;
	if (!timeval_is_valid(&v.value) || !timeval_is_valid(&v.interval))
		return ERR_INVAL;
	itimer_set(&current_process()->itimers[which], timeval_to_ns(&v.value),
	    timeval_to_ns(&v.interval), &left, &interval);
	if (!old)
		return 0;
	o = (struct itimerval){itimer_timeval(interval), itimer_timeval(left)};
	return put_user(o, old);
}

long
sys_getitimer(int which, struct itimerval USER *value)
{
	struct process *p = current_process();
	struct itimerval v;
	nsec_t left, interval, now;

	if (which < 0 || which >= ITIMERS)
		return ERR_INVAL;
	now = itimer_now(&p->itimers[which]);
	spin_lock(&p->lock);
	itimer_get_locked(&p->itimers[which], now, &left, &interval);
	spin_unlock(&p->lock);
	v = (struct itimerval){itimer_timeval(interval), itimer_timeval(left)};
	return put_user(v, value);
}

long
sys_alarm(unsigned seconds)
{
	nsec_t left, interval;

	itimer_set(&current_process()->itimers[ITIMER_REAL], seconds * NSEC_PER_SEC, 0,
	    &left, &interval);
	/* To the nearest second, but a pending alarm is never 0. */
	return left ? (long)MAX((left + NSEC_PER_SEC / 2) / NSEC_PER_SEC, 1ull) : 0;
}
