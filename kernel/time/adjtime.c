/*
 * adjtimex and clock_adjtime: what a time daemon says of the clock, and steps of it (adjtimex(2)). The
 * figures it keeps (errors, status, time constant) are kept for who asks. The rate of the clock is not
 * changed, neither for good nor to slew an offset away: those modes are refused with EOPNOTSUPP, so that
 * a daemon steps the clock rather than trusts in what does not happen.
 */
#include "syscalls.h"

#include "kernel/proc/cred.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/usercopy.h"

enum adj_mode {
	ADJ_OFFSET = 0x0001,
	ADJ_FREQUENCY = 0x0002,
	ADJ_MAXERROR = 0x0004,
	ADJ_ESTERROR = 0x0008,
	ADJ_STATUS = 0x0010,
	ADJ_TIMECONST = 0x0020,
	ADJ_TAI = 0x0080,
	ADJ_SETOFFSET = 0x0100,
	ADJ_MICRO = 0x1000,
	ADJ_NANO = 0x2000,
	ADJ_TICK = 0x4000,
	ADJ_ADJTIME = 0x8000,
	ADJ_OFFSET_READONLY = 0x2000, /* beside ADJ_ADJTIME */
};

enum adj_status {
	STA_UNSYNC = 0x0040,
	STA_NANO = 0x2000,
	STA_READ_ONLY = 0xff00,
};

enum { TIME_OK = 0, TIME_ERROR = 5 };
enum {
	MAX_ERROR_US = 16000000,
	TICK_US = 10000,
	TOLERANCE = 500 << 16, /* parts in 2^16 of a millionth */
	MAX_TIMECONST = 10,
	TIME_CONSTANT = 2,
};

/* Linux's struct timex of 64 bits. */
struct timex {
	uint32_t modes;
	int64_t offset, freq, maxerror, esterror;
	int32_t status;
	int64_t constant, precision, tolerance;
	struct timeval time;
	int64_t tick, ppsfreq, jitter;
	int32_t shift;
	int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
	int32_t tai, reserved[11];
};
static_assert(sizeof(struct timex) == 208, "timex layout");

/* What was last said. */
static struct spinlock adj_lock = SPINLOCK_INIT("adjtimex", RANK_OBJECT);
static int64_t max_error GUARDED_BY(adj_lock) = MAX_ERROR_US;
static int64_t est_error GUARDED_BY(adj_lock) = MAX_ERROR_US;
static int64_t time_constant GUARDED_BY(adj_lock) = TIME_CONSTANT;
static int32_t status GUARDED_BY(adj_lock) = STA_UNSYNC;

/* Whether it asks for another rate of the clock. */
static bool
wants_rate(const struct timex *t)
{
	return ((t->modes & ADJ_OFFSET) && t->offset) ||
	       ((t->modes & ADJ_FREQUENCY) && t->freq) ||
	       ((t->modes & ADJ_TICK) && t->tick != TICK_US) ||
	       ((t->modes & ADJ_TAI) && t->constant);
}

/* The step of ADJ_SETOFFSET in ns. */
static enum err
step_of(const struct timex *t, int64_t *ns)
{
	bool is_nano = t->modes & ADJ_NANO;
	int64_t unit = is_nano ? 1 : 1000, limit = NSEC_PER_SEC / unit;

	if (t->time.usec < 0 || t->time.usec >= limit)
		return ERR_INVAL;
	if (t->time.sec > INT32_MAX || t->time.sec < -(int64_t)INT32_MAX)
		return ERR_INVAL;
	*ns = t->time.sec * (int64_t)NSEC_PER_SEC + t->time.usec * unit;
	return OK;
}

static enum err
check(const struct timex *t, int64_t *step_ns)
{
	if (t->modes & ADJ_ADJTIME) {
		if (!(t->modes & ADJ_OFFSET))
			return ERR_INVAL; /* singleshot means this */
		if (t->modes & ADJ_OFFSET_READONLY)
			return OK;
		if (!capable(CAP_SYS_TIME))
			return ERR_PERM;
		return t->offset ? ERR_OPNOTSUPP : OK;
	}
	if (t->modes && !capable(CAP_SYS_TIME))
		return ERR_PERM;
	if ((t->modes & ADJ_TICK) &&
	    (t->tick < TICK_US * 9 / 10 || t->tick > TICK_US * 11 / 10))
		return ERR_INVAL;
	if ((t->modes & ADJ_SETOFFSET) && step_of(t, step_ns) != OK)
		return ERR_INVAL;
	return wants_rate(t) ? ERR_OPNOTSUPP : OK;
}

static void
keep_figures_locked(const struct timex *t) MUST_HOLD(adj_lock)
{
	if (t->modes & ADJ_ADJTIME)
		return;
	if (t->modes & ADJ_STATUS)
		status = (t->status & ~STA_READ_ONLY) | (status & STA_READ_ONLY);
	if (t->modes & ADJ_NANO)
		status |= STA_NANO;
	if (t->modes & ADJ_MICRO)
		status &= ~STA_NANO;
	if (t->modes & ADJ_MAXERROR)
		max_error = t->maxerror;
	if (t->modes & ADJ_ESTERROR)
		est_error = t->esterror;
	if (t->modes & ADJ_TIMECONST)
		time_constant = MAX(0, MIN(t->constant, MAX_TIMECONST));
}

/* Does what *t says and fills it in; the state of the clock, TIME_*. */
static long
adjust(struct timex *t)
{
	struct timespec now;
	int64_t step_ns = 0;
	enum err err = check(t, &step_ns);
	bool is_nano;
	long result;

	if (err != OK)
		return err;
	if (step_ns && !(t->modes & ADJ_ADJTIME))
		clock_set_wall_ns(clock_wall_ns() + step_ns);
	spin_lock(&adj_lock);
	keep_figures_locked(t);
	is_nano = status & STA_NANO;
	result = status & STA_UNSYNC ? TIME_ERROR : TIME_OK;
	*t = (struct timex){.modes = t->modes,
	    .maxerror = max_error,
	    .esterror = est_error,
	    .status = status,
	    .constant = time_constant,
	    .precision = 1,
	    .tolerance = TOLERANCE,
	    .tick = TICK_US};
	spin_unlock(&adj_lock);
	now = timespec_from_ns((nsec_t)clock_wall_ns());
	t->time = (struct timeval){now.sec, is_nano ? now.nsec : now.nsec / 1000};
	return result;
}

long
sys_adjtimex(struct timex USER *ut)
{
	struct timex t;
	long result;

	if (get_user(t, ut) != OK)
		return ERR_FAULT;
	result = adjust(&t);
	if (result >= 0 && put_user(t, ut) != OK)
		return ERR_FAULT;
	return result;
}

long
sys_clock_adjtime(int clock, struct timex USER *ut)
{
	struct timespec ts;

	if (clock == CLOCK_REALTIME)
		return sys_adjtimex(ut);
	if (get_user(ts, (const struct timespec USER *)ut) != OK)
		return ERR_FAULT;
	return clock > CLOCK_TAI || clock == 10 ? ERR_INVAL : ERR_OPNOTSUPP;
}
