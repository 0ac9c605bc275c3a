/*
 * timer_create and its like: a process's numbered timers, each on a clock, sending a
 * signal when it expires. The signal is the timer's own and on a queue at most once: how
 * often the timer expires from then until the signal is taken are overruns, told with it and by
 * timer_getoverrun (POSIX). After an expiry the timer rests, so that the shortest interval does
 * not take the machine: what passes meanwhile is counted when it runs again or, in time, when the
 * signal is taken.
 *
 * A timer's function runs in interrupt context under nothing but p->lock; deletion takes
 * the timer out of the table, disarms it and frees it.
 */
#include "kernel/panic.h"
#include "kernel/proc/itimers.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/procfs.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { POSIX_TIMERS_MAX = 256, SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD_ID = 4 };
enum { TIMER_ABSTIME = 1, REST_NS = 1000000 };

/* Linux's struct sigevent. */
struct sigevent {
	uint64_t value;
	int32_t signo, notify;
	int32_t tid;
	uint8_t pad[44];
};

static_assert(sizeof(struct sigevent) == 64, "sigevent layout");

struct posix_timer {
	struct timer timer;
	struct process *process;
	int clock;
	int notify;   /* SIGEV_*, without SIGEV_THREAD_ID */
	uint32_t tid; /* who gets it; 0: the process */
	struct queued_signal signal;
	nsec_t expires_ns;  /* [p->lock] on its clock (wall times as monotonic); 0:
	                       disarmed */
	nsec_t interval_ns; /* [p->lock] */
	uint32_t missed;    /* [p->lock] expiries since the signal was queued */
	uint32_t overruns;  /* [p->lock] of the last one taken */
};

struct posix_timers {
	struct posix_timer *slots[POSIX_TIMERS_MAX];
};

static bool
clock_is_cpu(int clock)
{
	return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static nsec_t
posix_timer_now(const struct posix_timer *t)
{
	return clock_is_cpu(t->clock) ? process_cpu_time(t->process, false)
	                              : clock_now_ns();
}

/* `now` on its clock; not before `rest_ns` from now. */
static void
posix_timer_arm_locked(struct posix_timer *t, nsec_t now, nsec_t rest_ns)
{
	nsec_t left = t->expires_ns > now ? t->expires_ns - now : 0;

	if (clock_is_cpu(t->clock))
		left = cpu_timer_wait_ns(t->process, left);
	timer_arm(&t->timer, clock_now_ns() + MAX(left, rest_ns));
}

/* The expiries up to `now`, of which there is one at least, are past: their number. */
static uint64_t
posix_timer_pass_locked(struct posix_timer *t, nsec_t now)
{
	uint64_t n = 1;

	if (!t->interval_ns) {
		t->expires_ns = 0;
		return n;
	}
	n += (now - t->expires_ns) / t->interval_ns;
	t->expires_ns += n * t->interval_ns;
	return n;
}

static void
posix_timer_miss_locked(struct posix_timer *t, uint64_t n)
{
	t->missed = (uint32_t)MIN(t->missed + n, (uint64_t)INT32_MAX);
}

static void
posix_timer_due_locked(struct posix_timer *t, nsec_t now, struct thread *target)
{
	uint64_t n = posix_timer_pass_locked(t, now);

	if (t->signal.is_queued) {
		posix_timer_miss_locked(t, n);
		return;
	}
	t->missed = 0;
	posix_timer_miss_locked(t, n - 1);
	if (t->notify == SIGEV_NONE ||
	    (t->tid && !(target && target->process == t->process)))
		return;
	signal_send_timer_locked(t->process, target, &t->signal);
}

static void
posix_timer_expired(struct timer *timer)
{
	struct posix_timer *t = container_of(timer, struct posix_timer, timer);
	struct thread *target = t->tid ? thread_find(t->tid) : NULL;
	struct process *p = t->process;
	nsec_t now = posix_timer_now(t), rest_ns = 0;

	spin_lock(&p->lock);
	if (t->expires_ns && now >= t->expires_ns) {
		posix_timer_due_locked(t, now, target);
		rest_ns = REST_NS;
	}
	if (t->expires_ns)
		posix_timer_arm_locked(t, now, rest_ns);
	spin_unlock(&p->lock);
	if (target)
		thread_put(target);
}

/* CPU clocks are not read here; their timers are not that exact. */
uint32_t
posix_timer_taken_locked(struct posix_timer *t)
{
	nsec_t now = clock_now_ns();

	if (t->expires_ns && t->interval_ns && !clock_is_cpu(t->clock)) {
		if (now >= t->expires_ns)
			posix_timer_miss_locked(t, posix_timer_pass_locked(t, now));
		posix_timer_arm_locked(t, now, 0);
	}
	t->overruns = t->missed;
	t->missed = 0;
	return t->overruns;
}

static void
posix_timer_stop(struct posix_timer *t)
{
	spin_lock(&t->process->lock);
	t->expires_ns = 0; /* a running function does not arm it again */
	spin_unlock(&t->process->lock);
	timer_cancel(&t->timer);
	spin_lock(&t->process->lock);
	signal_drop_timer_locked(t->process, &t->signal);
	spin_unlock(&t->process->lock);
}

void
posix_timers_free(struct process *p)
{
	struct posix_timers *all;

	spin_lock(&p->lock);
	all = p->posix_timers;
	p->posix_timers = NULL;
	spin_unlock(&p->lock);
	if (!all)
		return;
	for (unsigned i = 0; i < POSIX_TIMERS_MAX; i++) {
		if (!all->slots[i])
			continue;
		posix_timer_stop(all->slots[i]);
		kfree(all->slots[i]);
	}
	kfree(all);
}

/* Puts it into the table, which is made if there is none; its number or ERR_AGAIN,
 * ERR_NOMEM. */
static int
posix_timer_add(struct process *p, struct posix_timer *t)
{
	struct posix_timers *fresh = NULL;
	int id = ERR_AGAIN;

	if (!p->posix_timers) {
		fresh = kzalloc(sizeof(*fresh));
		if (!fresh)
			return ERR_NOMEM;
	}
	spin_lock(&p->lock);
	if (!p->posix_timers) {
		p->posix_timers = fresh;
		fresh = NULL;
	}
	ASSERT(p->posix_timers);
	for (int i = 0; i < POSIX_TIMERS_MAX && id < 0; i++) {
		if (!p->posix_timers->slots[i]) {
			p->posix_timers->slots[i] = t;
			t->signal.info.pid = (uint32_t)i;
			id = i;
		}
	}
	spin_unlock(&p->lock);
	kfree(fresh);
	return id;
}

/* Lock held. NULL: no such timer. */
static struct posix_timer *
posix_timer_find_locked(struct process *p, int id)
{
	if (!p->posix_timers || id < 0 || id >= POSIX_TIMERS_MAX)
		return NULL;
	return p->posix_timers->slots[id];
}

static enum err
sigevent_check(const struct sigevent *ev)
{
	struct thread *t;
	bool is_ours;

	if (ev->notify == SIGEV_NONE)
		return OK;
	if ((ev->notify & ~SIGEV_THREAD_ID) != SIGEV_SIGNAL || ev->signo < 1 ||
	    ev->signo > NSIG)
		return ERR_INVAL;
	if (!(ev->notify & SIGEV_THREAD_ID))
		return OK;
	t = ev->tid > 0 ? thread_find((uint32_t)ev->tid) : NULL;
	is_ours = t && t->process == current_process();
	if (t)
		thread_put(t);
	return is_ours ? OK : ERR_INVAL;
}

long
sys_timer_create(int clock, const struct sigevent USER *uev, int USER *uid)
{
	struct sigevent ev = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
	struct posix_timer *t;
	enum err err;
	int id;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC &&
	    clock != CLOCK_BOOTTIME && clock != CLOCK_TAI && !clock_is_cpu(clock))
		return clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
		               clock == CLOCK_MONOTONIC_COARSE
		           ? ERR_OPNOTSUPP /* they can be read alone */
		           : ERR_INVAL;
	if (uev && get_user(ev, uev) != OK)
		return ERR_FAULT;
	err = sigevent_check(&ev);
	if (err != OK)
		return err;
	t = kzalloc(sizeof(*t));
	if (!t)
		return ERR_NOMEM;
	timer_init(&t->timer, posix_timer_expired);
	t->process = current_process();
	t->clock = clock;
	t->notify = ev.notify & ~SIGEV_THREAD_ID;
	t->tid = ev.notify & SIGEV_THREAD_ID ? (uint32_t)ev.tid : 0;
	t->signal.timer = t;
	t->signal.info =
	    (struct siginfo){.signo = ev.signo, .code = SI_TIMER, .value = ev.value};
	id = posix_timer_add(t->process, t);
	if (id < 0) {
		kfree(t);
		return id;
	}
	if (!uev)
		t->signal.info.value = (uint64_t)id;
	err = put_user(id, uid);
	return err == OK ? OK : (sys_timer_delete(id), err);
}

long
sys_timer_delete(int id)
{
	struct process *p = current_process();
	struct posix_timer *t;

	spin_lock(&p->lock);
	t = posix_timer_find_locked(p, id);
	if (t)
		p->posix_timers->slots[id] = NULL;
	spin_unlock(&p->lock);
	if (!t)
		return ERR_INVAL;
	posix_timer_stop(t);
	kfree(t);
	return 0;
}

static void
posix_timer_get_locked(const struct posix_timer *t, nsec_t now, struct itimerspec *out)
{
	nsec_t left = t->expires_ns > now ? t->expires_ns - now : 1;

	out->value = timespec_from_ns(t->expires_ns ? left : 0);
	out->interval = timespec_from_ns(t->interval_ns);
}

/* When on the timer's clock a setting means; never 0. */
static nsec_t
posix_timer_expiry(const struct posix_timer *t, int flags, nsec_t value, nsec_t now)
{
	int64_t left;

	if (!(flags & TIMER_ABSTIME))
		return now + value;
	if (t->clock != CLOCK_REALTIME && t->clock != CLOCK_TAI)
		return value;
	left = (int64_t)value - clock_wall_ns();
	return now + (nsec_t)MAX(left, 0);
}

long
sys_timer_settime(
    int id, int flags, const struct itimerspec USER *value, struct itimerspec USER *uold)
{
	struct process *p = current_process();
	struct itimerspec new, old;
	struct posix_timer *t;
	nsec_t process_now = process_cpu_time(p, false), now;

	if (!value)
		return ERR_INVAL;
	if (get_user(new, value) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&new.value) || !timespec_is_valid(&new.interval))
		return ERR_INVAL;
	spin_lock(&p->lock);
	t = posix_timer_find_locked(p, id);
	if (t) {
		nsec_t ns = timespec_to_ns(&new.value);

		now = clock_is_cpu(t->clock) ? process_now : clock_now_ns();
		posix_timer_get_locked(t, now, &old);
		t->interval_ns = timespec_to_ns(&new.interval);
		t->expires_ns = ns ? posix_timer_expiry(t, flags, ns, now) : 0;
		t->overruns = t->missed = 0;
		signal_drop_timer_locked(p, &t->signal); /* of the old setting */
		if (ns)
			posix_timer_arm_locked(t, now, 0);
	}
	spin_unlock(&p->lock);
	if (!t)
		return ERR_INVAL;
	return uold ? put_user(old, uold) : OK;
}

long
sys_timer_gettime(int id, struct itimerspec USER *value)
{
	struct process *p = current_process();
	nsec_t process_now = process_cpu_time(p, false);
	struct itimerspec now = {0};
	struct posix_timer *t;

	spin_lock(&p->lock);
	t = posix_timer_find_locked(p, id);
	if (t)
		posix_timer_get_locked(
		    t, clock_is_cpu(t->clock) ? process_now : clock_now_ns(), &now);
	spin_unlock(&p->lock);
	return t ? put_user(now, value) : ERR_INVAL;
}

long
sys_timer_getoverrun(int id)
{
	struct process *p = current_process();
	struct posix_timer *t;
	long overruns = ERR_INVAL;

	spin_lock(&p->lock);
	t = posix_timer_find_locked(p, id);
	if (t)
		overruns = t->overruns;
	spin_unlock(&p->lock);
	return overruns;
}

/* ---- /proc/PID/timers --------------------------------------------------------------- */

void
posix_timers_show(struct seq *s, struct process *p)
{
	static const char *const ways[] = {"signal", "none"};

	for (int id = POSIX_TIMERS_MAX - 1; id >= 0; id--) {
		struct posix_timer copy = {.notify = SIGEV_NONE};
		const struct posix_timer *t;

		spin_lock(&p->lock);
		t = posix_timer_find_locked(p, id);
		if (t)
			copy = *t;
		spin_unlock(&p->lock);
		if (!t)
			continue;
		seq_printf(s,
		    "ID: %d\nsignal: %d/%016lx\nnotify: %s/%s.%u\nClockID: %d\n", id,
		    copy.signal.info.signo, copy.signal.info.value, ways[copy.notify],
		    copy.tid ? "tid" : "pid", copy.tid ? copy.tid : p->pid, copy.clock);
	}
}
