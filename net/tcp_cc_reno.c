/* NewReno: additive increase, halving (RFC 5681 3.1, RFC 6582). */
#include "net/tcp_cc.h"

struct reno {
	uint64_t acked; /* bytes toward the next segment of growth */
};

static_assert(sizeof(struct reno) <= sizeof(((struct tcb *)0)->cc_state), "fits");

static void
reno_init(struct tcb *t)
{
}

static uint32_t
reno_ssthresh(struct tcb *t)
{
	return MAX(tcp_cc_flight(t) / 2, 2u * t->mss);
}

/* One segment for each window (RFC 3465 2.1). */
static void
reno_avoid(struct tcb *t, uint32_t acked, nsec_t now)
{
	struct reno *r = (struct reno *)t->cc_state;

	r->acked += acked;
	if (r->acked >= t->cwnd) {
		r->acked -= t->cwnd;
		t->cwnd += t->mss;
	}
}

const struct tcp_cc_ops tcp_cc_reno = {
    .name = "reno",
    .init = reno_init,
    .ssthresh = reno_ssthresh,
    .avoid = reno_avoid,
    .undo = reno_init,
};
