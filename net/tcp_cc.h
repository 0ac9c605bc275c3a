/*
 * Congestion control: what a scheme is (CUBIC, NewReno), and what the rest of the TCP
 * core asks of it. Windows are bytes. Slow start with HyStart++ (RFC 9406), the limit to
 * growth while the sender does not use its window (RFC 7661's reason), and pacing are
 * common to all schemes (tcp_cc.c).
 */
#pragma once

#include "net/tcp_core.h"

struct tcp_cc_ops {
	const char *name;
	void (*init)(struct tcb *); /* tcb->cc_state is zeroed before */
	/*
	 * After a loss or a mark: the new slow start threshold. May remember the old
	 * window.
	 */
	uint32_t (*ssthresh)(struct tcb *);
	/* `acked` bytes were acknowledged in congestion avoidance. */
	void (*avoid)(struct tcb *, uint32_t acked, nsec_t now);
	/* The last reduction was without need: cwnd and ssthresh are restored already. */
	void (*undo)(struct tcb *);
};

extern const struct tcp_cc_ops tcp_cc_cubic;
extern const struct tcp_cc_ops tcp_cc_reno;

/* The window of RFC 6928 for this MSS. */
uint32_t tcp_cc_initial(const struct tcb *);

/*
 * What a reduction begins from: the window, as far as it was used (RFC 5681 3.1, equation
 * 4).
 */
uint32_t tcp_cc_flight(const struct tcb *);

void tcp_cc_init(struct tcb *);

/* `acked` bytes arrived outside of recovery; `rtt_us` 0: no sample. */
void tcp_cc_acked(struct tcb *, uint32_t acked, uint32_t rtt_us, nsec_t now);

/* Nothing was sent for longer than a time-out: the window shrinks (RFC 5681 4.1). */
void tcp_cc_idle(struct tcb *, uint32_t idle_us);

/* Sets pace_rate from cwnd and RTT. */
void tcp_cc_pace(struct tcb *);
