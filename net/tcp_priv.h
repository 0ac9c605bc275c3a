/*
 * What the files of the TCP core share. Nobody else includes it: the contract is
 * tcp_core.h.
 */
#pragma once

#include "net/tcp_core.h"

enum tcp_ca { /* numbers of TCP_INFO's tcpi_ca_state */
	CA_OPEN,
	CA_DISORDER, /* SACKs or duplicate ACKs, nothing lost yet */
	CA_CWR,      /* reducing the window after ECN or a repaired tail loss */
	CA_RECOVERY, /* fast retransmit */
	CA_LOSS,     /* after a time-out */
};

enum tcp_rtx_mode {
	RTX_NONE,
	RTX_RTO,     /* RFC 6298 */
	RTX_TLP,     /* tail loss probe, RFC 8985 7 */
	RTX_REO,     /* reordering window, RFC 8985 6.2 step 5 */
	RTX_PERSIST, /* window probe, RFC 9293 3.8.6.1 */
};

enum tcp_tx_flag {
	TX_SACKED = 1,
	TX_LOST = 2,
	TX_RETRANS = 4, /* was ever retransmitted */
};

enum { TX_NIL = UINT32_MAX & 0x7fffffff };

#define US_PER_MS 1000u
#define US_PER_S  1000000u

enum {
	RTO_INITIAL_US = 1000000,        /* RFC 6298 2.1 */
	RTO_AFTER_SYN_LOSS_US = 3000000, /* 5.7 */
	RTO_MIN_US = 200000,             /* as Linux; the RFC would have 1 s (2.4) */
	RTO_MAX_US = 120000000,
	DELACK_US = 40000, /* RFC 9293 3.8.6.3 allows 500 ms */
	CORK_US = 200000,
	QUICK_ACKS = 16,
	DUP_THRESH = 3,
	MAX_WSCALE = 14,
	CHALLENGES_PER_S = 10,
	FIN_WAIT2_MS = 60000,
};

static inline uint32_t
tcp_us(nsec_t now)
{
	return (uint32_t)(now / NSEC_PER_USEC);
}

static inline uint32_t
tcp_ms(nsec_t now)
{
	return (uint32_t)(now / NSEC_PER_MSEC);
}

/* The timestamp clock: milliseconds (RFC 7323 5.4). */
static inline uint32_t
tcp_ts_now(const struct tcb *t, nsec_t now)
{
	return tcp_ms(now) + t->ts_off;
}

static inline void
tcp_timer_set(struct tcb *t, enum tcp_timer_id id, nsec_t when)
{
	t->timer[id] = when;
}

static inline void
tcp_timer_stop(struct tcb *t, enum tcp_timer_id id)
{
	t->timer[id] = UINT64_MAX;
}

static inline bool
tcp_timer_is_set(const struct tcb *t, enum tcp_timer_id id)
{
	return t->timer[id] != UINT64_MAX;
}

static inline bool
tcp_is_synchronized(const struct tcb *t)
{
	return t->state != TCP_SYN_SENT && t->state != TCP_SYN_RECV &&
	       t->state != TCP_CLOSE;
}

/* The number after FIN, when it was sent: what acknowledges it. */
static inline bool
tcp_fin_is_acked(const struct tcb *t)
{
	return t->fin_sent && t->snd_una == t->snd_end + 1;
}

/* Bytes still offered to the peer. */
static inline uint32_t
tcp_rcv_wnd(const struct tcb *t)
{
	return seq_lt(t->rcv_nxt, t->rcv_adv) ? t->rcv_adv - t->rcv_nxt : 0;
}

/* Payload that a data segment takes when no SACK blocks are on it. */
static inline uint32_t
tcp_seg_payload(const struct tcb *t)
{
	return t->mss - (t->use_ts ? 12 : 0);
}

/* ---- tcp_core.c ---------------------------------------------------------------- */

/* Sets the state; leaving for CLOSE stops all timers and forgets what is in flight. */
void tcp_set_state(struct tcb *, enum tcp_state, struct tcp_result *);
/* Ends with an error for the user. */
void tcp_fail(struct tcb *, uint32_t event, int error, struct tcp_result *);
/* Recomputes mss from what peer, path and user say. */
void tcp_update_mss(struct tcb *);
/* Takes from the peer's SYN what was agreed on. */
void tcp_take_syn_options(struct tcb *, const struct tcp_opts *);
/* Ready for a RST with this number; `has_ack` adds ACK of rcv_nxt. */
void tcp_want_rst(struct tcb *, uint32_t seq, bool has_ack);
/* An ACK in answer to something odd, at a limited rate (RFC 5961 7). */
void tcp_challenge(struct tcb *, nsec_t now);
void tcp_enter_time_wait(struct tcb *, nsec_t now, struct tcp_result *);
/* The handshake is complete. */
void tcp_established(struct tcb *, nsec_t now, struct tcp_result *);

/* ---- tcp_tx.c ------------------------------------------------------------------ */

/* What one ACK told, gathered by tcp_tx.c and tcp_sack.c and acted on by tcp_recover.c. */
struct tcp_acked {
	uint32_t acked;     /* numbers by which snd_una moved */
	uint32_t delivered; /* of these and of those SACKed: not known before */
	uint32_t newly_lost;
	uint32_t rtt_us;      /* from the oldest segment, 0: none */
	uint32_t last_rtt_us; /* from the newest */
	uint32_t prior_una;
	uint32_t tsecr; /* when has_ts */
	bool has_ts, has_dsack, has_ece, has_new_sack;
	bool is_dup;      /* a duplicate ACK as in RFC 5681 2 */
	bool saw_retrans; /* something that had been retransmitted was acknowledged */
	bool is_original; /* ... and something that had not, during F-RTO */
};

void tcp_tx_init(struct tcb *);
static inline bool
tcp_tx_is_empty(const struct tcb *t)
{
	return t->tx_head == t->tx_tail;
}
struct tcp_tx *tcp_tx_at(const struct tcb *, uint32_t index);
uint32_t tcp_tx_end(const struct tcp_tx *);
/* Writes the records of a new segment, one for each MSS; a SYN or FIN counts in the last. */
void tcp_tx_append(struct tcb *, const struct tcp_out *, bool has_flag, uint32_t now_us);
/* Index of the record with this number, tx_tail if none. O(log n). */
uint32_t tcp_tx_find(const struct tcb *, uint32_t seq);
void tcp_tx_mark_lost(struct tcb *, struct tcp_tx *);
/* All that is not SACKed, in order of number. `forget_sacks`: the peer reneged. */
void tcp_tx_mark_all_lost(struct tcb *, bool forget_sacks);
/* The lost ones were in flight after all. */
void tcp_tx_unmark_lost(struct tcb *);
void tcp_tx_mark_sacked(struct tcb *, uint32_t index);
/* The first index at or after `index` that is not SACKed. */
uint32_t tcp_tx_skip_sacked(const struct tcb *, uint32_t index);
void tcp_tx_resent(struct tcb *, struct tcp_tx *, uint32_t now_us);
/* Takes off what `ack` covers, noting RTTs and deliveries. */
void tcp_tx_ack(struct tcb *, uint32_t ack, nsec_t now, struct tcp_acked *);

static inline struct tcp_tx *
tcp_tx_first_lost(const struct tcb *t)
{
	return t->lost_first == TX_NIL ? NULL : &t->tx[t->lost_first];
}

static inline struct tcp_tx *
tcp_tx_first_flight(const struct tcb *t)
{
	return t->flight_first == TX_NIL ? NULL : &t->tx[t->flight_first];
}

static inline struct tcp_tx *
tcp_tx_next(const struct tcb *t, const struct tcp_tx *x)
{
	return x->next == TX_NIL ? NULL : &t->tx[x->next];
}

/* ---- tcp_sack.c ---------------------------------------------------------------- */

void tcp_sack_input(struct tcb *, const struct tcp_seg *, nsec_t now, struct tcp_acked *);
/* Fills the SACK blocks of an outgoing segment. */
void tcp_sack_output(struct tcb *, struct tcp_opts *);

/* ---- tcp_rtt.c ----------------------------------------------------------------- */

void tcp_rtt_init(struct tcb *);
void tcp_rtt_sample(struct tcb *, uint32_t rtt_us, uint32_t now_us);
void tcp_rtt_min(struct tcb *, uint32_t rtt_us, uint32_t now_us);
/* The time-out with its backoff. */
uint32_t tcp_rto_us(const struct tcb *);

/* ---- tcp_rack.c ---------------------------------------------------------------- */

void tcp_rack_delivered(
    struct tcb *, const struct tcp_tx *, nsec_t now, const struct tcp_acked *);
void tcp_rack_detect(struct tcb *, nsec_t now, struct tcp_acked *);
void tcp_rack_dsack(struct tcb *);
/* Arms the timer of a tail loss probe if there may be one; false: not. */
bool tcp_tlp_arm(struct tcb *, nsec_t now);
void tcp_tlp_fire(struct tcb *, nsec_t now);
void tcp_tlp_acked(struct tcb *, const struct tcp_acked *, nsec_t now);

/* ---- tcp_mtu.c ----------------------------------------------------------------- */

/* The MSS of the handshake is known: where the search begins. */
void tcp_mtu_begin(struct tcb *);
/* The oldest segment timed out; true: a black hole is suspected and mss lowered. */
bool tcp_mtu_timed_out(struct tcb *);
/* The size the next new segment should have to try the path, 0: none. */
uint32_t tcp_mtu_probe(struct tcb *, nsec_t now);
void tcp_mtu_sent(struct tcb *, uint32_t size, uint32_t seq);
/* snd_una moved. */
void tcp_mtu_acked(struct tcb *);
/* Something is lost; true: the probe alone, which is no congestion. */
bool tcp_mtu_lost(struct tcb *);
/* ICMP says what the path takes: was the probe too long? */
void tcp_mtu_told(struct tcb *, uint16_t mss);
/* This one goes out again: its arrival says nothing more of its size. */
void tcp_mtu_resent(struct tcb *, const struct tcp_tx *);

/* ---- tcp_recover.c ------------------------------------------------------------- */

/*
 * Bytes believed to be in the network (RFC 6675's pipe; for a peer without SACK, RFC
 * 6582's guess).
 */
uint32_t tcp_pipe(const struct tcb *);
void tcp_recover_ack(struct tcb *, struct tcp_acked *, nsec_t now);
void tcp_recover_rto(struct tcb *, nsec_t now);
/* One reduction of the window without loss: ECN, or a probe that repaired the tail. */
void tcp_enter_cwr(struct tcb *, nsec_t now);

/* ---- tcp_input_ack.c, tcp_input_data.c ----------------------------------------- */

/* Handles the acknowledgment of a segment. Returns false when the rest must be dropped. */
bool tcp_input_ack(struct tcb *, const struct tcp_seg *, nsec_t now, struct tcp_result *);
/* An ACK that newer ones overtook: only its SACK blocks count. */
void tcp_input_late_sack(struct tcb *, const struct tcp_seg *, nsec_t now);
void tcp_input_data(
    struct tcb *, const struct tcp_seg *, nsec_t now, struct tcp_result *);
void tcp_input_urgent(struct tcb *, const struct tcp_seg *, struct tcp_result *);
void tcp_dsack(struct tcb *, uint32_t start, uint32_t end);
/* An ACK is due now, or within the time of a delayed one. */
void tcp_ack_data(struct tcb *, nsec_t now);
/* Something is lost, twice or out of order: an ACK now and for each of the next segments. */
void tcp_ack_all(struct tcb *);

/* ---- tcp_timer.c --------------------------------------------------------------- */

/* Sets TCP_T_RTX to what is needed now: RTO, loss probe, window probe or nothing. */
void tcp_rearm(struct tcb *, nsec_t now);
void tcp_keep_rearm(struct tcb *, nsec_t now);

/* ---- tcp_output.c -------------------------------------------------------------- */

/* The receive window to tell; *scaled is the header field. */
uint32_t tcp_select_window(const struct tcb *, bool is_syn, uint16_t *scaled);
