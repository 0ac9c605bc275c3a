/*
 * CUBIC, RFC 9438. The window follows W(t) = C (t - K)^3 + W_max, where t is the time
 * since the last reduction and K the time at which the old maximum would be reached
 * again. Times are milliseconds, windows bytes; C = 0.4 segments per cubic second, beta =
 * 0.7.
 */
#include "net/tcp_cc.h"

#include "lib/bits.h"

struct cubic {
	nsec_t epoch;   /* start of this congestion avoidance stage; 0: none yet */
	uint32_t w_max; /* window before the last reduction */
	uint32_t k_ms;
	uint32_t origin; /* the plateau */
	uint32_t w_est;  /* what Reno would have (4.3) */
	uint32_t cwnd_prior;
	uint64_t est_rest, rest; /* fractions of the growth, times cwnd */
	uint32_t old_w_max;      /* for undo */
};

static_assert(sizeof(struct cubic) <= sizeof(((struct tcb *)0)->cc_state), "fits");

enum {
	MAX_T_MS = 1000000,
};

static struct cubic *
state_of(struct tcb *t)
{
	return (struct cubic *)t->cc_state;
}

static void
cubic_init(struct tcb *t)
{
}

/* Integer cube root, by bits. */
static uint32_t
cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int bit = 20; bit >= 0; bit--) {
		uint64_t r = root | 1ull << bit;

		if (r * r * r <= x)
			root = r;
	}
	return (uint32_t)root;
}

/* Multiplicative decrease by 0.7 (4.6), with fast convergence (4.7). */
static uint32_t
cubic_ssthresh(struct tcb *t)
{
	struct cubic *c = state_of(t);

	c->old_w_max = c->w_max;
	c->cwnd_prior = t->cwnd;
	c->w_max = t->cwnd < c->w_max ? t->cwnd / 20 * 17 : t->cwnd;
	c->epoch = 0;
	return MAX((uint32_t)((uint64_t)tcp_cc_flight(t) * 7 / 10), 2u * t->mss);
}

static void
start_epoch(struct tcb *t, struct cubic *c, nsec_t now)
{
	c->epoch = now;
	c->w_est = t->cwnd;
	c->est_rest = c->rest = 0;
	if (t->cwnd < c->w_max) {
		/* K = cbrt((w_max - cwnd) / C) seconds, in ms: times 1e9 under the root */
		uint64_t segs_milli = (uint64_t)(c->w_max - t->cwnd) * 1000 / t->mss;

		c->k_ms = cube_root(MIN(segs_milli, 1ull << 42) * 2500000);
		c->origin = c->w_max;
	} else {
		c->k_ms = 0;
		c->origin = t->cwnd;
	}
}

/* W(t), (4.2 equation 1). */
static uint32_t
cubic_window(const struct tcb *t, const struct cubic *c, uint64_t t_ms)
{
	bool is_below = t_ms < c->k_ms;
	uint64_t d = MIN(is_below ? c->k_ms - t_ms : t_ms - c->k_ms, (uint64_t)MAX_T_MS);
	/* 0.4 mss d^3 / 1e9, divided step by step so that 64 bits suffice */
	uint64_t cube = d * d / 1000 * d / 1000;
	uint64_t delta = cube * t->mss / 1000 * 4 / 10;

	if (is_below)
		return delta < c->origin ? (uint32_t)(c->origin - delta) : 0;
	return (uint32_t)MIN(c->origin + delta, 1ull << 30);
}

/* The Reno-friendly window (4.3): alpha is 9/17 until the old window is reached, then 1. */
static void
grow_estimate(struct tcb *t, struct cubic *c, uint32_t acked)
{
	uint64_t add = (uint64_t)acked * t->mss;

	c->est_rest += c->w_est < c->cwnd_prior ? add * 9 / 17 : add;
	c->w_est += (uint32_t)(c->est_rest / t->cwnd);
	c->est_rest %= t->cwnd;
}

static void
cubic_avoid(struct tcb *t, uint32_t acked, nsec_t now)
{
	struct cubic *c = state_of(t);
	uint64_t t_ms;
	uint32_t target;

	if (!c->epoch)
		start_epoch(t, c, now);
	grow_estimate(t, c, acked);
	t_ms = (now - c->epoch) / NSEC_PER_MSEC;
	if (cubic_window(t, c, t_ms) < c->w_est) {
		t->cwnd = MAX(t->cwnd, c->w_est);
		return;
	}
	target = cubic_window(t, c, t_ms + t->srtt8_us / 8000);
	target = MIN(target, t->cwnd / 2 * 3);
	if (target <= t->cwnd)
		return;
	c->rest += (uint64_t)(target - t->cwnd) * acked;
	t->cwnd += (uint32_t)MIN(c->rest / t->cwnd, (uint64_t)acked);
	c->rest %= t->cwnd;
}

static void
cubic_undo(struct tcb *t)
{
	struct cubic *c = state_of(t);

	c->w_max = c->old_w_max;
	c->epoch = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .ssthresh = cubic_ssthresh,
    .avoid = cubic_avoid,
    .undo = cubic_undo,
};
