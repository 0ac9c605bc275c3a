/* The order of runnable threads on one CPU: see runqueue.h. No hardware, no locks, no
 * clock. */
#include "kernel/sched/runqueue.h"

#include "kernel/panic.h"
#include "lib/bits.h"

enum {
	WEIGHT_NICE_0 = 1024,
	WEIGHT_IDLE = 3, /* SCHED_IDLE: what others leave, but never nothing */
	LOAD_RT = 19 * WEIGHT_NICE_0, /* a RealTime thread leaves a twentieth */
};

/* What may be changed while the system runs: tunables.c. */
struct sched_tunables sched_tunables = {
    .slice_ns = 10 * NSEC_PER_MSEC,
    .rr_slice_ns = 100 * NSEC_PER_MSEC,
    .rt_period_ns = NSEC_PER_SEC,
    .rt_limit_ns = 950 * NSEC_PER_MSEC,
};

static const nsec_t MIN_SLICE = 2 * NSEC_PER_MSEC; /* however many there are */
static const nsec_t WAKE_GRANULARITY =
    NSEC_PER_MSEC; /* lag that lets a woken thread preempt */
static const nsec_t SLEEPER_CREDIT = 6 * NSEC_PER_MSEC;
static const nsec_t NO_SLICE = UINT64_MAX / 2; /* SCHED_FIFO: until it lets go */

/* Virtual time one CPU's threads must be ahead by for a thread of another to come, and
 * what two CPUs differ by at most: see rq_sync. */
static const int64_t LEAD_TO_MOVE = 8 * (int64_t)NSEC_PER_MSEC;
static const int64_t MAX_LEAD = 50 * (int64_t)NSEC_PER_MSEC;

/* Linux's weights for nice -20 .. 19: each step is a factor of about 1.25. */
static const uint32_t nice_weights[40] = {
    88761,
    71755,
    56483,
    46273,
    36291,
    29154,
    23254,
    18705,
    14949,
    11916,
    9548,
    7620,
    6100,
    4904,
    3906,
    3121,
    2501,
    1991,
    1586,
    1277,
    1024,
    820,
    655,
    526,
    423,
    335,
    272,
    215,
    172,
    137,
    110,
    87,
    70,
    56,
    45,
    36,
    29,
    23,
    18,
    15,
};

void
rq_init(struct runqueue *rq, struct cpu *cpu)
{
	spin_init(&rq->lock, "runqueue", RANK_RUN_QUEUE);
	rq->cpu = cpu;
	for (unsigned i = 0; i < RT_PRIORITIES; i++)
		list_init(&rq->rt[i]);
}

static enum sched_level
level_of(int policy, int nice)
{
	if (policy == SCHED_IDLE)
		return SCHED_LEVEL_IDLE;
	if (nice < 0)
		return SCHED_LEVEL_HIGH;
	return nice < 10 ? SCHED_LEVEL_NORMAL : SCHED_LEVEL_LOW;
}

void
sched_params_set(struct thread *t, int policy, int nice, int rt_priority)
{
	t->sched.policy = (uint8_t)policy;
	t->sched.nice = (int8_t)nice;
	t->sched.rt_priority = (uint8_t)rt_priority;
	t->sched.run_priority = MAX(t->sched.rt_priority, t->sched.inherited);
	t->sched.level =
	    t->sched.run_priority ? SCHED_LEVEL_REALTIME : level_of(policy, nice);
	t->sched.weight = policy == SCHED_IDLE ? WEIGHT_IDLE : nice_weights[nice + 20];
	t->sched.inverse_weight = (uint32_t)((1ull << 32) / t->sched.weight);
}

/* Real time in virtual time of `t`: times 1024 / weight. */
static uint64_t
weighted(nsec_t delta, const struct thread *t)
{
	if (t->sched.weight == WEIGHT_NICE_0)
		return delta;
	/* delta * 1024 / weight in 64 bits: exact to 1/2^22, deltas up to 2^32 ns */
	if (delta >> 32)
		delta = UINT32_MAX;
	return delta * t->sched.inverse_weight >> 22;
}

static int64_t
vruntime_diff(const struct thread *a, const struct thread *b)
{
	return (int64_t)(a->sched.vruntime - b->sched.vruntime);
}

static void
raise_min_vruntime(struct runqueue *rq, uint64_t v)
{
	if ((int64_t)(v - rq->min_vruntime) > 0)
		rq->min_vruntime = v;
}

/* min_vruntime follows the least of the running and the leftmost thread. */
static void
update_min_vruntime(struct runqueue *rq)
{
	const struct thread *cur = rq->current, *first = rq->fair_first;
	bool has_cur = cur && cur->sched.is_queued && !thread_is_rt(cur);

	if (has_cur && (!first || vruntime_diff(cur, first) < 0))
		raise_min_vruntime(rq, cur->sched.vruntime);
	else if (first)
		raise_min_vruntime(rq, first->sched.vruntime);
}

static void
fair_insert(struct runqueue *rq, struct thread *t)
{
	struct rb_node **link = &rq->fair.node, *parent = NULL;
	bool is_first = true;

	while (*link) {
		parent = *link;
		if (vruntime_diff(t, rb_entry(parent, struct thread, sched.node)) < 0) {
			link = &parent->left;
		} else {
			link = &parent->right;
			is_first = false;
		}
	}
	rb_insert_at(&rq->fair, &t->sched.node, parent, link);
	if (is_first)
		rq->fair_first = t;
}

static void
fair_erase(struct runqueue *rq, struct thread *t)
{
	if (rq->fair_first == t) {
		struct rb_node *next = rb_next(&t->sched.node);

		rq->fair_first = next ? rb_entry(next, struct thread, sched.node) : NULL;
	}
	rb_erase(&rq->fair, &t->sched.node);
}

static void
rt_insert(struct runqueue *rq, struct thread *t, bool at_front)
{
	unsigned i = RT_PRIORITIES - 1u - t->sched.run_priority;

	if (at_front)
		list_push_front(&rq->rt[i], &t->sched.link);
	else
		list_push_back(&rq->rt[i], &t->sched.link);
	rq->rt_bitmap[i / 64] |= 1ull << i % 64;
}

static void
rt_erase(struct runqueue *rq, struct thread *t)
{
	unsigned i = RT_PRIORITIES - 1u - t->sched.run_priority;

	list_remove(&t->sched.link);
	if (list_is_empty(&rq->rt[i]))
		rq->rt_bitmap[i / 64] &= ~(1ull << i % 64);
}

static void
enqueue(struct runqueue *rq, struct thread *t, bool at_front)
{
	if (thread_is_rt(t))
		rt_insert(rq, t, at_front);
	else
		fair_insert(rq, t);
	rq->num_queued++;
}

static void
dequeue(struct runqueue *rq, struct thread *t)
{
	if (thread_is_rt(t))
		rt_erase(rq, t);
	else
		fair_erase(rq, t);
	rq->num_queued--;
}

static void
count_in(struct runqueue *rq, struct thread *t)
{
	t->sched.is_queued = true;
	rq->num_running++;
	if (unlikely(thread_is_rt(t)))
		rq->num_rt++;
	else
		rq->fair_weight += t->sched.weight;
}

static void
count_out(struct runqueue *rq, struct thread *t)
{
	t->sched.is_queued = false;
	rq->num_running--;
	if (unlikely(thread_is_rt(t)))
		rq->num_rt--;
	else
		rq->fair_weight -= t->sched.weight;
}

void
rq_add(struct runqueue *rq, struct thread *t)
{
	count_in(rq, t);
	enqueue(rq, t, false);
}

void
rq_remove(struct runqueue *rq, struct thread *t)
{
	dequeue(rq, t);
	count_out(rq, t);
}

void
rq_current_leaves(struct runqueue *rq)
{
	count_out(rq, rq->current);
}

void
rq_current_joins(struct runqueue *rq)
{
	count_in(rq, rq->current);
}

/* RealTime has used its part of the period, and there are others to run. */
static bool
rt_is_throttled(struct runqueue *rq, nsec_t now)
{
	if (now - rq->rt_period_start >= sched_tunables.rt_period_ns) {
		rq->rt_period_start = now;
		rq->rt_used_ns = 0;
	}
	return rq->rt_used_ns >= sched_tunables.rt_limit_ns && rq->fair_first;
}

static struct thread *
rt_first(const struct runqueue *rq)
{
	unsigned i = rq->rt_bitmap[0] ? bit_first(rq->rt_bitmap[0])
	                              : 64 + bit_first(rq->rt_bitmap[1]);

	return list_first(&rq->rt[i], struct thread, sched.link);
}

struct thread *
rq_pick(struct runqueue *rq, nsec_t now)
{
	struct thread *t = rq->fair_first;

	if (unlikely(rq->rt_bitmap[0] | rq->rt_bitmap[1]) && !rt_is_throttled(rq, now))
		t = rt_first(rq);
	if (!t)
		return NULL;
	dequeue(rq, t);
	t->sched.slice_used_ns = 0;
	return t;
}

void
rq_put_back(struct runqueue *rq, struct thread *t, bool is_turn_over)
{
	enqueue(rq, t, !is_turn_over);
}

/* What of the virtual time that `t` has run counts. */
static uint64_t
minus_owed(struct thread *t, uint64_t v)
{
	uint64_t back;

	if (likely(!t->sched.owed))
		return v;
	back = MIN(t->sched.owed, v / 2);
	t->sched.owed -= back;
	return v - back;
}

void
rq_charge(struct runqueue *rq, nsec_t delta_ns, nsec_t now)
{
	struct thread *t = rq->current;

	t->sched.slice_used_ns += delta_ns;
	if (unlikely(thread_is_rt(t))) {
		if (now - rq->rt_period_start >= sched_tunables.rt_period_ns) {
			rq->rt_period_start = now - delta_ns; /* when this run began */
			rq->rt_used_ns = 0;
		}
		rq->rt_used_ns += delta_ns;
		if (t->sched.rt_priority)
			t->sched.rt_run_ns += delta_ns;
		return;
	}
	t->sched.vruntime += minus_owed(t, weighted(delta_ns, t));
	update_min_vruntime(rq);
}

static bool
fair_should_preempt(const struct thread *cur, const struct thread *t)
{
	int64_t lag = vruntime_diff(cur, t); /* > 0: t has had less of its share */

	if (t->sched.policy == SCHED_BATCH || t->sched.level == SCHED_LEVEL_IDLE)
		return false;
	if (cur->sched.level == SCHED_LEVEL_IDLE)
		return true;
	if (t->sched.level < cur->sched.level)
		return lag >= 0;
	if (t->sched.level > cur->sched.level)
		return lag > (int64_t)weighted(4 * WAKE_GRANULARITY, t);
	return lag > (int64_t)weighted(WAKE_GRANULARITY, t);
}

bool
rq_should_preempt(const struct runqueue *rq, const struct thread *t)
{
	const struct thread *cur = rq->current;

	if (cur == rq->idle)
		return true;
	if (unlikely(thread_is_rt(t) || thread_is_rt(cur)))
		return t->sched.run_priority > cur->sched.run_priority;
	return fair_should_preempt(cur, t);
}

nsec_t
rq_slice_ns(const struct runqueue *rq, const struct thread *t)
{
	nsec_t slice;

	if (thread_is_rt(t))
		return t->sched.policy == SCHED_RR ? sched_tunables.rr_slice_ns
		                                   : NO_SLICE;
	/* All have their turn in two slices, but for MIN_SLICE each when there are many. */
	slice = 2 * sched_tunables.slice_ns * t->sched.weight /
	        MAX(rq->fair_weight, t->sched.weight);
	return MAX(slice, MIN(MIN_SLICE, sched_tunables.slice_ns));
}

bool
rq_slice_is_over(const struct runqueue *rq)
{
	const struct thread *t = rq->current;

	return t->sched.slice_used_ns >= rq_slice_ns(rq, t);
}

static nsec_t
minus_or_0(nsec_t a, nsec_t b)
{
	return a > b ? a - b : 0;
}

nsec_t
rq_turn_left_ns(const struct runqueue *rq, nsec_t now)
{
	const struct thread *t = rq->current;
	nsec_t left = minus_or_0(rq_slice_ns(rq, t), t->sched.slice_used_ns);

	if (likely(!rq->num_rt))
		return left;
	if (!thread_is_rt(t)) /* RealTime waits for its next period */
		return MIN(left,
		    minus_or_0(rq->rt_period_start + sched_tunables.rt_period_ns, now));
	return rq->fair_first
	           ? MIN(left, minus_or_0(sched_tunables.rt_limit_ns, rq->rt_used_ns))
	           : left;
}

void
rq_place_woken(const struct runqueue *rq, struct thread *t)
{
	uint64_t least = rq->min_vruntime - SLEEPER_CREDIT;

	/* What it saved up by sleeping long counts only so far. */
	if ((int64_t)(t->sched.vruntime - least) < 0)
		t->sched.vruntime = least;
	t->sched.owed = 0;
}

void
rq_place_new(struct thread *t)
{
	t->sched.vruntime = weighted(MIN_SLICE, t);
}

void
rq_detach(const struct runqueue *rq, struct thread *t)
{
	t->sched.vruntime -= rq->min_vruntime;
}

void
rq_attach(const struct runqueue *rq, struct thread *t)
{
	t->sched.vruntime += rq->min_vruntime;
}

void
rq_yield(struct runqueue *rq)
{
	struct thread *t = rq->current;

	t->sched.slice_used_ns = NO_SLICE;
	if (!thread_is_rt(t) && rq->fair_first && vruntime_diff(t, rq->fair_first) <= 0)
		t->sched.vruntime = rq->fair_first->sched.vruntime + 1;
}

/* ---- Several queues ---- */

uint64_t
rq_load(const struct runqueue *rq)
{
	return rq->fair_weight + (uint64_t)rq->num_rt * LOAD_RT;
}

/* Virtual time up to which every fair thread here has run, comparable between queues. */
static uint64_t
common_time(const struct runqueue *rq)
{
	const struct thread *cur = rq->current, *first = rq->fair_first;
	uint64_t least = rq->min_vruntime;

	if (first)
		least = first->sched.vruntime - first->sched.owed;
	if (cur && cur->sched.is_queued && !thread_is_rt(cur) &&
	    (!first || vruntime_diff(cur, first) < 0))
		least = cur->sched.vruntime - cur->sched.owed;
	return least - rq->origin;
}

/* Whether the CPU had nothing to do at some time since this was last asked. */
static bool
took_a_rest(struct runqueue *rq)
{
	bool did = rq->idle_ns != rq->idle_ns_seen;

	rq->idle_ns_seen = rq->idle_ns;
	return did;
}

void
rq_sync(struct runqueue *from, struct runqueue *to)
{
	int64_t lead;

	if (took_a_rest(from))
		from->origin += common_time(from) - common_time(to);
	lead = (int64_t)(common_time(to) - common_time(from));
	if (took_a_rest(to))
		to->origin += lead;
	else if (lead > MAX_LEAD)
		to->origin += lead - MAX_LEAD;
	else if (lead < -MAX_LEAD)
		to->origin += lead + MAX_LEAD;
}

bool
rq_should_move(
    const struct runqueue *from, const struct runqueue *to, const struct thread *t)
{
	uint64_t before = rq_load(from), after = rq_load(to) + t->sched.weight;
	int64_t lead;

	if (thread_is_rt(t))
		return to->num_rt == 0;
	if (after < before)
		return true;
	if (after >= before + before / 4 || t->sched.owed)
		return false;
	lead = (int64_t)(common_time(to) -
	                 (t->sched.vruntime - t->sched.owed - from->origin));
	return lead > LEAD_TO_MOVE;
}

void
rq_move(struct runqueue *from, struct runqueue *to, struct thread *t)
{
	uint64_t its = t->sched.vruntime - t->sched.owed + to->origin - from->origin;
	int64_t lag = (int64_t)(to->min_vruntime - its);

	rq_remove(from, t);
	lag = MAX(-MAX_LEAD, MIN(lag, MAX_LEAD));
	t->sched.vruntime = to->min_vruntime - (uint64_t)MIN(lag, (int64_t)0);
	t->sched.owed = (uint64_t)MAX(lag, (int64_t)0);
	t->sched.cpu = to->cpu;
	rq_add(to, t);
}
