/*
 * Round-trip time and retransmission time-out: RFC 6298 with a microsecond clock. The
 * smoothed time is kept times 8 and the variance times 4, so that the gains 1/8 and 1/4
 * lose nothing.
 */
#include "net/tcp_priv.h"

enum { MIN_RTT_WINDOW_US = 300000000 }; /* the path may have changed after 5 minutes */

void
tcp_rtt_init(struct tcb *t)
{
	t->srtt8_us = t->rttvar4_us = 0;
	t->rtt_valid = false;
	t->min_rtt_us = UINT32_MAX;
	t->rto_us = RTO_INITIAL_US;
}

void
tcp_rtt_min(struct tcb *t, uint32_t rtt_us, uint32_t now_us)
{
	if (rtt_us <= t->min_rtt_us || now_us - t->min_rtt_at_us > MIN_RTT_WINDOW_US) {
		t->min_rtt_us = rtt_us;
		t->min_rtt_at_us = now_us;
	}
}

void
tcp_rtt_sample(struct tcb *t, uint32_t rtt_us, uint32_t now_us)
{
	rtt_us = MIN(rtt_us, (uint32_t)RTO_MAX_US);
	if (!t->rtt_valid) {
		t->rtt_valid = true; /* 2.2 */
		t->srtt8_us = rtt_us * 8;
		t->rttvar4_us = rtt_us * 2;
	} else { /* 2.3 */
		int32_t error = (int32_t)(rtt_us - t->srtt8_us / 8);
		uint32_t size = (uint32_t)(error < 0 ? -error : error);

		t->rttvar4_us += size - t->rttvar4_us / 4;
		t->srtt8_us += (uint32_t)error;
	}
	t->rto_us = t->srtt8_us / 8 + MAX(t->rttvar4_us, US_PER_MS);
	t->rto_us = MIN(MAX(t->rto_us, t->rto_min_us), (uint32_t)RTO_MAX_US);
	t->backoff = 0;
	tcp_rtt_min(t, rtt_us, now_us);
}

uint32_t
tcp_rto_us(const struct tcb *t)
{
	uint64_t rto = (uint64_t)t->rto_us << MIN(t->backoff, 20);

	return (uint32_t)MIN(rto, (uint64_t)RTO_MAX_US);
}
