/* timerfd: a timer that is read: the number of times it has expired since the last read.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/ipc/anon_file.h"
#include "kernel/poll.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"
#include "kernel/time/timespec.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2 };

struct timerfd {
	struct spinlock lock;
	int clock;
	struct timer timer;
	nsec_t expires_ns;  /* [lock] monotonic; 0: disarmed */
	nsec_t interval_ns; /* [lock] */
	uint64_t ticks;     /* [lock] expiries not read yet; read without */
	struct wait_queue wait;
};

static void
timerfd_expired(struct timer *timer)
{
	struct timerfd *t = container_of(timer, struct timerfd, timer);
	nsec_t now = clock_now_ns();

	spin_lock(&t->lock);
	if (t->expires_ns && t->interval_ns) {
		uint64_t n = (now - t->expires_ns) / t->interval_ns + 1;

		t->ticks += n;
		t->expires_ns += n * t->interval_ns;
		timer_arm(&t->timer, t->expires_ns);
	} else if (t->expires_ns) {
		t->ticks++;
		t->expires_ns = 0;
	}
	spin_unlock(&t->lock);
	wait_queue_wake(&t->wait, ~0u, POLLIN);
}

static ssize_t
timerfd_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct timerfd *t = f->private;
	uint64_t ticks;

	if (u->resid < sizeof(ticks))
		return ERR_INVAL;
	for (;;) {
		enum err err;

		spin_lock(&t->lock);
		ticks = t->ticks;
		t->ticks = 0;
		spin_unlock(&t->lock);
		if (ticks)
			break;
		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(&t->wait, __atomic_load_n(&t->ticks, __ATOMIC_RELAXED),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return uio_copy_to(u, &ticks, sizeof(ticks)) == sizeof(ticks)
	           ? (ssize_t)sizeof(ticks)
	           : ERR_FAULT;
}

static uint32_t
timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = f->private;

	poll_wait(f, &t->wait, pt);
	return __atomic_load_n(&t->ticks, __ATOMIC_ACQUIRE) ? POLLIN : 0;
}

static void
timerfd_stop(struct timerfd *t)
{
	spin_lock(&t->lock);
	t->expires_ns = 0; /* a running function does not arm it again */
	spin_unlock(&t->lock);
	timer_cancel(&t->timer);
}

static void
timerfd_release(struct file *f)
{
	timerfd_stop(f->private);
	kfree(f->private);
}

static const struct file_ops timerfd_ops = {
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
    .anon_mode = 0600,
    .anon_name = "[timerfd]",
};

long
sys_timerfd_create(int clock, int flags)
{
	struct timerfd *t;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return ERR_INVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC &&
	    clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME_ALARM &&
	    clock != CLOCK_BOOTTIME_ALARM)
		return ERR_INVAL;
	t = kzalloc(sizeof(*t));
	if (!t)
		return ERR_NOMEM;
	spin_init(&t->lock, "timerfd", RANK_OBJECT);
	wait_queue_init(&t->wait);
	timer_init(&t->timer, timerfd_expired);
	t->clock = clock;
	return anon_file_install(&timerfd_ops, O_RDWR, flags, t);
}

static void
timerfd_get_locked(const struct timerfd *t, nsec_t now, struct itimerspec *out)
{
	nsec_t left = t->expires_ns > now ? t->expires_ns - now : 1;

	out->value = timespec_from_ns(t->expires_ns ? left : 0);
	out->interval = timespec_from_ns(t->interval_ns);
}

/* When on the monotonic clock a setting means; 0: never. */
static nsec_t
timerfd_expiry(const struct timerfd *t, int flags, nsec_t value, nsec_t now)
{
	int64_t left = (int64_t)value;

	if (!value)
		return 0;
	if (flags & TFD_TIMER_ABSTIME) {
		bool is_wall =
		    t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM;

		left -= is_wall ? clock_wall_ns() : (int64_t)now;
	}
	return left > 0 ? now + (nsec_t)left : MAX(now, 1ull);
}

static void
timerfd_set(
    struct timerfd *t, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	nsec_t now = clock_now_ns();

	spin_lock(&t->lock);
	timerfd_get_locked(t, now, old);
	spin_unlock(&t->lock);
	timerfd_stop(t);
	spin_lock(&t->lock);
	t->ticks = 0;
	t->interval_ns = timespec_to_ns(&new->interval);
	t->expires_ns = timerfd_expiry(t, flags, timespec_to_ns(&new->value), now);
	if (t->expires_ns)
		timer_arm(&t->timer, t->expires_ns);
	spin_unlock(&t->lock);
}

/* The file of a timerfd's descriptor, with a reference. */
static struct file *
timerfd_get(int fd, long *err)
{
	struct file *f = fd_get(fd);

	*err = f ? ERR_INVAL : ERR_BADF;
	if (f && f->ops != &timerfd_ops) {
		file_put(f);
		f = NULL;
	}
	return f;
}

long
sys_timerfd_settime(
    int fd, int flags, const struct itimerspec USER *value, struct itimerspec USER *uold)
{
	struct itimerspec new, old;
	struct file *f;
	long err;

	if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return ERR_INVAL;
	if (get_user(new, value) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&new.value) || !timespec_is_valid(&new.interval))
		return ERR_INVAL;
	f = timerfd_get(fd, &err);
	if (!f)
		return err;
	timerfd_set(f->private, flags, &new, &old);
	file_put(f);
	return uold ? put_user(old, uold) : OK;
}

long
sys_timerfd_gettime(int fd, struct itimerspec USER *value)
{
	struct itimerspec now;
	struct timerfd *t;
	struct file *f;
	long err;

	f = timerfd_get(fd, &err);
	if (!f)
		return err;
	t = f->private;
	spin_lock(&t->lock);
	timerfd_get_locked(t, clock_now_ns(), &now);
	spin_unlock(&t->lock);
	file_put(f);
	return put_user(now, value);
}
