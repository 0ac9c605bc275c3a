/*
 * TCP as a pure function of (state, input, time): RFC 9293 and its extensions, without
 * I/O, clock, lock or allocation. The core works on sequence numbers, never on data. The
 * shell around it (net/tcp.c, and tests/sim/ on the host) keeps the bytes: a send buffer
 * whose front is the first byte not yet acknowledged, a receive queue in order, and a
 * list of pieces that came out of order.
 *
 * How a shell drives it, under the connection's lock:
 *
 *	event:	one of tcp_core_input/timer/send/read/... with the time it is now;
 *	result:	apply `struct tcp_result`: free r.acked bytes from the front of the send buffer,
 *		keep the part of the payload that r.keep_* names, wake whom r.events names;
 *	memory:	tcp_core_mem_wanted() > 0 asks for an array; tcp_core_mem_give() hands it in.
 *		Nothing breaks when memory is refused: less is kept in flight or out of order;
 *	output:	call tcp_core_output() until it returns false; each true is a segment to send
 *		(several MSS long if it may be: TSO cuts at out.mss). What then gets lost on the
 *		way, for want of memory too, is lost as in the network: it is repaired later;
 *	timer:	tcp_core_deadline() is the one time at which tcp_core_timer() must be called next.
 *		Calling it early or late is harmless.
 *
 * Out of order pieces: those that the core tells to keep are disjoint, except that a new
 * one may cover older ones wholly; the shell then drops the older. When bytes become
 * readable (r.readable > 0), the shell takes from its pieces all that lie before
 * tcb->rcv_nxt.
 *
 * Sequence numbers are 32 bits and wrap: compare only with seq_lt() and its like. Times
 * are nanoseconds of one monotonic clock; durations say so in their name. The fields of
 * struct tcb are the core's own; a shell may read those under "for the shell to read".
 *
 * Files in reading order: tcp_options.c (the options on the wire), tcp_core.c (creation
 * and user calls), tcp_input.c, tcp_input_ack.c, tcp_input_data.c (RFC 9293 3.10.7),
 * tcp_output.c, tcp_timer.c, tcp_rtt.c (RFC 6298), tcp_tx.c (records of what is in
 * flight), tcp_recover.c and tcp_rack.c (loss), tcp_mtu.c (RFC 4821), tcp_cc*.c (congestion),
 * tcp_timewait.c, tcp_isn.c.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum tcp_state { /* numbers of Linux's TCP_INFO and /proc/net/tcp */
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE, /* the RFC's CLOSED */
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN, /* never in a tcb: listening is the shell's */
	TCP_CLOSING,
};

enum tcp_flag {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_PSH = 8,
	TCP_ACK = 16,
	TCP_URG = 32,
	TCP_ECE = 64,
	TCP_CWR = 128,
};

enum tcp_ecn { /* the two bits of the IP header, RFC 3168 5 */
	TCP_ECN_NOT_ECT = 0,
	TCP_ECN_ECT1 = 1,
	TCP_ECN_ECT0 = 2,
	TCP_ECN_CE = 3,
};

static inline bool
seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool
seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t
seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

static inline uint32_t
seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

/* ---- Options (tcp_options.c) --------------------------------------------------- */

struct tcp_range {
	uint32_t start, end; /* sequence numbers, end exclusive */
};

enum tcp_opt_bit {
	TCP_OPT_MSS = 1,
	TCP_OPT_WSCALE = 2,
	TCP_OPT_SACK_OK = 4,
	TCP_OPT_TS = 8,
	TCP_OPT_UTO = 16, /* RFC 5482 */
};

enum { TCP_MAX_SACK = 4, TCP_MAX_OPTIONS = 40 };

struct tcp_opts {
	uint8_t has;    /* enum tcp_opt_bit */
	uint8_t wscale; /* as on the wire, clipped to 14 */
	uint8_t nsack;
	uint16_t mss;
	uint16_t uto; /* as on the wire: bit 15 says minutes */
	uint32_t tsval, tsecr;
	struct tcp_range sack[TCP_MAX_SACK];
};

/*
 * Reads the options of a segment, `len` bytes after the 20 of the header. Malformed
 * options end the list quietly (RFC 9293 3.1: MUST-7 says to be prepared); returns false
 * then, for a counter.
 */
bool tcp_parse_options(const uint8_t *p, size_t len, struct tcp_opts *opts);

/*
 * Writes them, padded to a multiple of 4; `buf` has TCP_MAX_OPTIONS bytes. Returns the
 * length.
 */
size_t tcp_write_options(const struct tcp_opts *opts, uint8_t *buf);

/* The length tcp_write_options() will return. */
size_t tcp_options_len(const struct tcp_opts *opts);

/* ---- What goes in and out ------------------------------------------------------ */

/* A segment that came in, its checksum verified. After GRO it may be many MSS long. */
struct tcp_seg {
	uint32_t seq, ack;
	uint32_t len;      /* payload bytes */
	uint16_t wnd;      /* as in the header, not scaled */
	uint16_t urg;      /* urgent pointer as in the header */
	uint16_t gro_size; /* payload of each of the merged segments; 0: not merged */
	uint8_t flags;     /* enum tcp_flag */
	uint8_t ecn; /* enum tcp_ecn of the IP header (CE if any merged one had it) */
	struct tcp_opts opts;
};

enum tcp_event {
	TCP_EV_CONNECTED =
	    1, /* ESTABLISHED was reached: connect() succeeds, accept() has one */
	TCP_EV_READABLE = 2, /* r.readable > 0 */
	TCP_EV_ACKED = 4,    /* r.acked > 0: room in the send buffer */
	TCP_EV_FIN = 8, /* the peer has sent all: end of file after what is readable */
	TCP_EV_RESET =
	    16, /* r.error: ERR_CONNREFUSED, ERR_CONNRESET, ERR_PIPE...; now CLOSE */
	TCP_EV_TIMEDOUT =
	    32, /* r.error: ERR_TIMEDOUT, or the soft error that came before; now CLOSE */
	TCP_EV_CLOSED =
	    64, /* the state is CLOSE now, for whatever reason (set besides the others) */
	TCP_EV_URGENT = 128, /* tcb->rcv_up moved: SIGURG */
	TCP_EV_TIME_WAIT =
	    256, /* entered: the shell may go on with a small struct tcp_tw instead */
	TCP_EV_STATE = 512, /* the state changed (besides the others) */
	TCP_EV_SOFT = 1024, /* r.error: a soft error to report (RFC 9293 3.9.2.2) */
	TCP_EV_MTU_PROBE =
	    2048, /* black hole suspected: tcb->mss was lowered (RFC 4821) */
	/* What a timer did, for counters. */
	TCP_EV_RTO = 4096,
	TCP_EV_TAIL_PROBE = 8192,
	TCP_EV_WINDOW_PROBE = 16384,
	TCP_EV_KEEPALIVE = 32768,
	TCP_EV_DELAYED_ACK = 65536,
};

/* Why a segment was not taken, wholly or in part; the shell has a drop counter for each. */
enum tcp_verdict {
	TCP_TAKEN,
	TCP_BAD_SEQ,   /* outside the window (RFC 9293 3.10.7.4 first) */
	TCP_BAD_ACK,   /* acknowledges what was not sent, or too old (RFC 5961 5) */
	TCP_BAD_PAWS,  /* RFC 7323 5 */
	TCP_BAD_SYN,   /* SYN in the window (RFC 5961 4) */
	TCP_BAD_RST,   /* RST not exactly at rcv_nxt (RFC 5961 3) */
	TCP_BAD_FLAGS, /* no ACK bit where one must be */
	TCP_DUPLICATE, /* all of the payload was here already */
	TCP_NO_WINDOW, /* beyond the window, or no memory for another hole */
	TCP_NO_USER, /* data after close(): answered by RST (RFC 9293 3.10.7.4, RFC 1122 4.2.2.13) */
};

struct tcp_result {
	uint32_t events; /* enum tcp_event */
	int error;       /* enum err for RESET, TIMEDOUT, SOFT */
	uint32_t acked;  /* bytes to free from the front of the send buffer */
	uint32_t
	    readable; /* bytes that became in order, from this payload and from earlier pieces */
	/*
	 * Keep payload bytes [keep_off, keep_off + keep_len); the first has number
	 * keep_seq.
	 */
	uint32_t keep_off, keep_len, keep_seq;
	bool
	    keep_in_order; /* it continues the receive queue; else it is a piece out of order */
	enum tcp_verdict verdict;
};

/* A segment to send. SYN and FIN flags occupy a number before and after the payload. */
struct tcp_out {
	uint32_t seq, ack;
	uint32_t off,
	    len; /* payload: bytes [off, off + len) from the front of the send buffer */
	uint16_t mss; /* cut the payload into pieces of this length (len > mss: TSO) */
	uint16_t wnd, urg; /* as in the header */
	uint8_t
	    flags; /* enum tcp_flag; with TSO: FIN and PSH on the last piece, CWR on the first */
	uint8_t ecn; /* for the IP header */
	bool is_retransmit;
	bool is_probe; /* keep-alive or window probe: len 0, or 1 byte */
	struct tcp_opts opts;
};

/* ---- The control block --------------------------------------------------------- */

struct tcp_cc_ops; /* net/tcp_cc.h */

enum {
	TCP_INLINE_TX =
	    4, /* records that need no extra memory: enough for request and response */
	TCP_INLINE_RANGES = 4, /* holes in the receive window that need no extra memory */
	TCP_CC_WORDS = 8,
};

/* One transmitted segment of at most one MSS (tcp_tx.c). */
struct tcp_tx {
	uint32_t seq;
	uint32_t sent_us;    /* time of the last transmission, microseconds, wraps */
	uint32_t prev, next; /* list links, or run bounds when SACKed: see tcp_tx.c */
	uint16_t len;        /* sequence numbers it takes: payload + SYN + FIN */
	uint8_t flags;       /* enum tcp_tx_flag */
	uint8_t nretrans;
};

enum tcp_timer_id {
	TCP_T_RTX, /* retransmission: RTO, loss probe, reordering or window probe: tcb->rtx_mode */
	TCP_T_ACK,   /* delayed ACK */
	TCP_T_PACE,  /* next segment may go, or the cork is pulled */
	TCP_T_KEEP,  /* keep-alive */
	TCP_T_STATE, /* TIME-WAIT, orphaned FIN-WAIT-2 */
	TCP_T_COUNT,
};

enum tcp_ecn_mode { TCP_ECN_OFF, TCP_ECN_ASK, TCP_ECN_ACCEPT }; /* as net.ipv4.tcp_ecn */

/* How sizes of segments are searched for (RFC 4821): net.ipv4.tcp_mtu_probing and its like. */
struct tcp_mtu_set {
	uint16_t interval_s; /* until all is tried again */
	uint16_t base_mss;   /* with what a search begins */
	uint16_t floor_mss;  /* never below */
	uint16_t threshold;  /* bytes that are not worth a probe */
	uint8_t mode;        /* 0: not; 1: after a suspected black hole; 2: always */
};

/* What a connection starts with. All fields are copied. */
struct tcp_config {
	uint32_t iss;    /* initial sequence number: tcp_isn() */
	uint32_t ts_off; /* random, added to the timestamp clock (RFC 7323 7.1) */
	uint16_t
	    mss; /* largest payload our link can receive: MTU less 40 or 60: what MSS says */
	uint16_t path_mss; /* payload the path is known to take; 0: as mss */
	uint16_t user_mss; /* TCP_MAXSEG; 0: none */
	bool is_ipv6;      /* default MSS 536 or 1220 (RFC 9293 3.7.1) */
	bool use_ts, use_sack, use_wscale;
	enum tcp_ecn_mode ecn;
	uint32_t rcvbuf;     /* bytes the receive queue may hold now */
	uint32_t rcvbuf_max; /* up to here auto-tuning goes; == rcvbuf: off (SO_RCVBUF) */
	uint32_t tso_max;    /* longest payload of one output; 0: one MSS */
	const struct tcp_cc_ops *cc; /* tcp_cc_find() */
	struct tcp_mtu_set mtu;
	nsec_t rto_min_ns;      /* 0: 200 ms */
	uint8_t syn_retries;    /* 0: 6 */
	uint8_t synack_retries; /* 0: 5 */
	uint8_t retries;        /* 0: 15 */
	uint8_t orphan_retries; /* 0: 8 */
	bool no_pacing;
	bool no_delack; /* every segment is acknowledged at once */
};

struct tcb {
	/* For the shell to read. */
	uint8_t state;    /* enum tcp_state */
	uint8_t ca_state; /* enum tcp_ca, numbers as in TCP_INFO */
	uint8_t rtx_mode; /* enum tcp_rtx_mode: what TCP_T_RTX is for */
	uint8_t retries;  /* time-outs in a row (tcpi_retransmits) */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_end; /* after the last byte in the send buffer, FIN not counted */
	uint32_t rcv_nxt;
	uint32_t rcv_read; /* after the last byte the user has read */
	uint32_t rcv_up;   /* after the urgent byte, when has_rcv_up */
	uint32_t rcvbuf, rcvbuf_max;
	uint16_t mss; /* payload of a full segment without options, what we send */

	/* Bits. */
	bool use_ts : 1, use_sack : 1, use_wscale : 1, use_ecn : 1, is_ipv6 : 1,
	    ask_ecn : 1;
	bool nodelay : 1, is_corked : 1, has_more : 1, no_pacing : 1, no_delack : 1,
	    keep_on : 1;
	bool has_rcv_up : 1, has_snd_up : 1, fin_wanted : 1, fin_sent : 1, fin_rcvd : 1;
	bool is_orphan : 1, is_passive : 1, ack_now : 1, rst_wanted : 1, rst_has_ack : 1;
	bool probe_wanted : 1, probe_sent : 1, keep_wanted : 1, tlp_wanted : 1,
	    force_one : 1;
	bool ece_pending : 1, cwr_pending : 1, pingpong : 1, has_dsack : 1;
	bool is_cwnd_limited : 1, rtt_valid : 1, can_undo : 1, saw_reorder : 1;
	bool frto : 1, frto_new_sent : 1, tlp_out : 1, tlp_is_retrans : 1, in_css : 1;
	bool wants_tx : 1, wants_ranges : 1, syn_retried : 1, has_fin_seq : 1;
	bool mtu_search : 1, mtu_failed : 1, is_disordered : 1;

	/* Sending: RFC 9293 3.3.1. */
	uint32_t iss, snd_wnd, snd_wl1, snd_wl2, snd_up, max_wnd;
	uint32_t
	    snd_push; /* after the last byte of what the user gave at once: PSH there */
	uint32_t snd_small; /* end of the last segment below an MSS (Minshall's Nagle) */
	uint32_t rst_seq;
	uint32_t tso_max;
	uint16_t path_mss, user_mss, peer_mss, adv_mss;
	uint8_t snd_wscale, rcv_wscale;

	/* Receiving (tcp_input_data.c). */
	uint8_t quick; /* ACKs still to be sent at once */
	uint8_t recent_count;
	uint16_t rcv_mss;      /* estimate of the peer's segment size */
	uint32_t irs, rcv_adv; /* right edge of the window that was last advertised */
	uint32_t ack_sent;     /* rcv_nxt that was last told */
	uint32_t
	    fin_seq; /* the peer's FIN, when has_fin_seq: it may come before the data */
	uint32_t ts_recent, ts_off;
	uint32_t ts_recent_s; /* when, in seconds */
	uint32_t nranges, ranges_cap;
	struct tcp_range *ranges; /* out of order, ascending, disjoint, never touching */
	struct tcp_range inline_ranges[TCP_INLINE_RANGES];
	struct tcp_range dsack; /* to report once (RFC 2883) */
	uint32_t
	    recent[TCP_MAX_SACK - 1]; /* a number in each of the ranges that grew last */
	uint32_t drs_seq, drs_space, drs_at_us, rcv_rtt_us, rcv_rtt_seq, rcv_rtt_at_us;
	uint32_t last_rcv_us, last_ack_us, last_snd_us; /* data in, ACK in, data out */
	uint32_t last_rx_ms;                            /* anything in */

	/*
	 * RTT and retransmission time-out (RFC 6298), microseconds, srtt times 8,
	 * variance times 4.
	 */
	uint32_t srtt8_us, rttvar4_us, rto_us, rto_min_us, min_rtt_us, min_rtt_at_us;
	uint8_t backoff, probes, keep_probes;
	uint8_t syn_retries, synack_retries, max_retries, orphan_retries, keep_count;
	uint32_t keep_idle_s, keep_intvl_s, user_timeout_ms;
	nsec_t
	    rtx_start; /* when the first of the current row of time-outs ran from; 0: no row */
	nsec_t timer[TCP_T_COUNT];
	uint32_t
	    challenge_s; /* the second in which `challenges` were sent (RFC 5961 7) */
	uint8_t challenges;
	int16_t soft_error;
	/* RFC 4821 (tcp_mtu.c). */
	uint16_t mtu_high, mtu_probe; /* what may pass; the probe in flight, 0: none */
	uint32_t mtu_probe_seq, mtu_again_s;
	struct tcp_mtu_set mtu;

	/* In flight (tcp_tx.c): a ring of records, oldest at tx_head. */
	struct tcp_tx *tx;
	uint32_t tx_cap, tx_head,
	    tx_tail; /* free-running indices, capacity a power of two */
	uint32_t flight_first,
	    flight_last;                  /* records in flight, by time of transmission */
	uint32_t lost_first, lost_last;   /* lost ones that wait for retransmission */
	uint32_t in_flight, sacked, lost; /* bytes */
	uint32_t
	    disorder_end; /* while is_disordered: some was lost, SACKed or sent twice before it */
	struct tcp_tx inline_tx[TCP_INLINE_TX];

	/* Recovery (tcp_recover.c, tcp_rack.c). */
	uint32_t recover; /* snd_nxt when recovery began (RFC 6582) */
	uint32_t fack;    /* after the highest number known to have arrived */
	uint32_t dupacks;
	uint32_t prr_delivered, prr_out, prr_start; /* RFC 6937 */
	uint32_t undo_cwnd, undo_ssthresh, undo_retrans, undo_ts;
	uint32_t rack_us, rack_rtt_us, rack_end, reo_seq; /* RFC 8985 */
	uint8_t reo_mult, reo_persist;
	uint32_t tlp_end, frto_seq;

	/* Congestion control (tcp_cc.c). */
	const struct tcp_cc_ops *cc;
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t flight;         /* outstanding before the ACK or time-out at hand */
	uint32_t cwnd_used_seq;
	uint64_t cc_state[TCP_CC_WORDS];
	nsec_t pace_next, cork_until;
	uint64_t pace_rate, pace_max; /* bytes a second; 0: not paced, no limit */
	struct {
		uint32_t last_min_us, cur_min_us, css_min_us, end_seq;
		uint8_t samples, css_rounds;
	} hystart; /* RFC 9406 */

	/* Counters for TCP_INFO. */
	uint32_t total_retrans, segs_in, segs_out, data_segs_in, data_segs_out;
	uint32_t reord_seen, dsack_seen;
	uint64_t delivered, bytes_acked, bytes_received, bytes_sent, bytes_retrans;
};

static_assert(sizeof(struct tcb) <= 1024, "100,000 idle connections at 3 KiB each");

/* ---- Life ---------------------------------------------------------------------- */

/* Active open: SYN-SENT; the SYN comes out of tcp_core_output(). */
void tcp_core_connect(struct tcb *, const struct tcp_config *, nsec_t now);

/*
 * Passive open: SYN-RECEIVED from a SYN that the listener takes (flags checked by the
 * shell: SYN without ACK and RST). The SYN-ACK comes out of tcp_core_output().
 */
void tcp_core_accept(
    struct tcb *, const struct tcp_config *, const struct tcp_seg *syn, nsec_t now);

/*
 * Passive open from the ACK that brings back a SYN cookie: as if the SYN with `opts` had
 * been taken and answered with cfg->iss. Then give the same ACK to tcp_core_input().
 * snd_wscale etc. are as `opts` says; the shell must have answered the SYN with the same
 * configuration.
 */
void tcp_core_accept_cookie(struct tcb *, const struct tcp_config *,
    const struct tcp_seg *ack, const struct tcp_opts *opts, nsec_t now);

/* A segment came. */
void tcp_core_input(
    struct tcb *, const struct tcp_seg *, nsec_t now, struct tcp_result *);

/* It is tcp_core_deadline(), or later. */
void tcp_core_timer(struct tcb *, nsec_t now, struct tcp_result *);

/* The next segment to send, or false: nothing more now. When tcp_core_has_output is false, it is. */
bool tcp_core_has_output(const struct tcb *);
bool tcp_core_output(struct tcb *, nsec_t now, struct tcp_out *);

/* When tcp_core_timer() must be called; UINT64_MAX: not at all. */
nsec_t tcp_core_deadline(const struct tcb *);

/* ---- The user's calls ---------------------------------------------------------- */

/*
 * `len` more bytes are in the send buffer. `more`: the user will soon add to them
 * (MSG_MORE), do not send a short segment. Allowed before the connection stands, not
 * after tcp_core_shutdown().
 */
void tcp_core_send(struct tcb *, uint32_t len, bool more, nsec_t now);

/* The last byte in the send buffer is urgent (MSG_OOB). */
void tcp_core_send_urgent(struct tcb *);

/* The user has read `len` bytes. True: the window opens, and the peer is to be told of it. */
bool tcp_core_read(struct tcb *, uint32_t len, nsec_t now);

/*
 * Memory is short: the shell has thrown away all that waited out of order from `seq` on, which
 * ACKs must no longer tell (RFC 2018 8 lets a receiver take back what only SACK has told).
 */
void tcp_core_forget(struct tcb *, uint32_t seq);

/* No more data will be added: FIN after what is there (shutdown(SHUT_WR), close()). */
void tcp_core_shutdown(struct tcb *, nsec_t now, struct tcp_result *);

/* The user is gone (close()): arriving data is answered by RST, FIN-WAIT-2 gets a limit. */
void tcp_core_orphan(struct tcb *, nsec_t now);

/* Ends at once; a RST comes out of tcp_core_output() where RFC 9293 3.10.5 wants one. */
void tcp_core_abort(struct tcb *, nsec_t now);

void tcp_core_set_nodelay(struct tcb *, bool on);
void tcp_core_set_cork(struct tcb *, bool on);
void tcp_core_set_quickack(struct tcb *, bool on);
void tcp_core_set_maxseg(struct tcb *, uint16_t mss);
void tcp_core_set_keepalive(struct tcb *, bool on, nsec_t now);
/* Seconds; 0 leaves what is (defaults 7200, 75, 9). */
void tcp_core_set_keeptimes(
    struct tcb *, uint32_t idle_s, uint32_t intvl_s, uint8_t count, nsec_t now);
void tcp_core_set_user_timeout(struct tcb *, uint32_t ms); /* 0: by number of retries */
/*
 * Buffer sizes: SO_RCVBUF (max == size ends auto-tuning), memory pressure (a smaller
 * one).
 */
void tcp_core_set_rcvbuf(struct tcb *, uint32_t size, uint32_t max);
void tcp_core_set_max_pacing(struct tcb *, uint64_t bytes_per_s); /* 0: none */
/* Congestion control: tcp_cc_find() by name; NULL when there is none of that name. */
const struct tcp_cc_ops *tcp_cc_find(const char *name);
const char *tcp_cc_name(const struct tcp_cc_ops *);
void tcp_core_set_cc(struct tcb *, const struct tcp_cc_ops *, nsec_t now);

/*
 * Bytes of send buffer that keep the pipe full: twice the congestion window, at least 16
 * KiB.
 */
uint32_t tcp_core_sndbuf_hint(const struct tcb *);

/* Bytes in the send buffer that were never sent (SIOCOUTQNSD). */
uint32_t tcp_core_unsent(const struct tcb *);

/* ---- ICMP ---------------------------------------------------------------------- */

/*
 * An ICMP error about a segment of ours with number `seq`. Out of the window it is
 * ignored (RFC 5927 4). While connecting, a hard error ends the attempt (RFC 9293
 * 3.9.2.2); later it is soft.
 */
void tcp_core_icmp(struct tcb *, uint32_t seq, enum err error, bool is_hard, nsec_t now,
    struct tcp_result *);

/* RFC 5927 4.1: an ICMP error is only believed when it quotes what is in flight. */
bool tcp_core_is_in_flight(const struct tcb *, uint32_t seq);

/*
 * Packet too big: the path takes segments of `mss` payload bytes (MTU less 40 or 60).
 * Same check.
 */
void tcp_core_path_mss(struct tcb *, uint32_t seq, uint16_t mss, nsec_t now);

/* ---- Memory -------------------------------------------------------------------- */

enum tcp_mem { TCP_MEM_TX, TCP_MEM_RANGES, TCP_MEM_COUNT };

/* Bytes of an array the core would like to have now, 0: none. At most TCP_MEM_MAX. */
size_t tcp_core_mem_wanted(const struct tcb *, enum tcp_mem);

/*
 * Hands in an array of at least the size wanted (`size` as it was wanted; aligned for
 * uint64_t). Returns the one it replaces, for the shell to free, or NULL.
 */
void *tcp_core_mem_give(struct tcb *, enum tcp_mem, void *array, size_t size);

/*
 * Takes back an array that is not needed now, to be freed, or NULL: when idle, and before
 * the end.
 */
void *tcp_core_mem_take(struct tcb *, enum tcp_mem);

enum { TCP_MEM_MAX = 1 << 20 };

/* ---- TIME-WAIT in little room, resets without connection (tcp_timewait.c) ------ */

struct tcp_tw {
	uint32_t snd_nxt, rcv_nxt, rcv_wnd;
	uint32_t ts_recent, ts_off;
	bool use_ts;
	uint8_t rcv_wscale;
	nsec_t expires;
};

enum { TCP_TIME_WAIT_MS = 60000 }; /* 2 MSL */

/* From a tcb in TIME-WAIT. */
void tcp_tw_init(struct tcp_tw *, const struct tcb *);

enum tcp_tw_answer {
	TCP_TW_DROP,
	TCP_TW_ACK, /* send `out` */
	TCP_TW_END, /* a valid RST: forget it (only where RFC 1337 does not matter) */
	TCP_TW_REUSE, /* a new SYN may take its place, with an ISS above *iss_min (RFC 6191) */
};

enum tcp_tw_answer tcp_tw_input(struct tcp_tw *, const struct tcp_seg *, nsec_t now,
    struct tcp_out *out, uint32_t *iss_min);

/* The RST that answers a segment for no connection (RFC 9293 3.10.7.1); false: none may. */
bool tcp_reset_for(const struct tcp_seg *, struct tcp_out *);

/* The initial sequence number of RFC 6528: keyed hash of the tuple plus a clock of 4 us. */
struct tcp_tuple {
	uint8_t local[16], remote[16]; /* IPv4: ::ffff:a.b.c.d */
	uint16_t local_port, remote_port;
};

struct siphash_key;

uint32_t tcp_isn(const struct siphash_key *, const struct tcp_tuple *, nsec_t now);

/*
 * RFC 6056 3.3.3 (algorithm 3): where to begin looking for a local port, for this
 * destination.
 */
uint32_t tcp_port_offset(const struct siphash_key *, const struct tcp_tuple *);

/*
 * SYN cookies (RFC 4987 3.6): an ISN that carries what a listener must know of a SYN, so
 * that it keeps nothing. Window scale, SACK and ECN fit only when the peer has
 * timestamps: they come back in the low bits of the echo.
 */
uint32_t tcp_cookie_make(const struct siphash_key *, const struct tcp_tuple *,
    const struct tcp_seg *syn, nsec_t now);

/*
 * The TSval to answer the SYN with; ts_off of the configuration is then this less the
 * clock (ms).
 */
uint32_t tcp_cookie_tsval(const struct tcp_seg *syn, bool use_ecn, nsec_t now);

/*
 * Is `ack` the answer to a cookie of the last minute or two? Fills `opts` as the SYN had
 * them (the MSS rounded down to one of a few) for tcp_core_accept_cookie().
 */
bool tcp_cookie_check(const struct siphash_key *, const struct tcp_tuple *,
    const struct tcp_seg *ack, nsec_t now, struct tcp_opts *opts, bool *use_ecn);

/* ---- TCP_INFO ------------------------------------------------------------------ */

/* The fields of Linux's struct tcp_info that come from here, in its units. */
struct tcp_core_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, snd_wscale,
	    rcv_wscale;
	bool delivery_rate_app_limited;
	uint32_t rto_us, ato_us, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans; /* segments */
	uint32_t last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms;
	uint32_t pmtu_mss, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh, snd_cwnd,
	    advmss, reordering;
	uint32_t rcv_rtt_us, rcv_space, total_retrans, notsent_bytes, min_rtt_us;
	uint32_t segs_out, segs_in, data_segs_in, data_segs_out, dsack_dups, reord_seen,
	    snd_wnd, rcv_wnd;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received, bytes_sent,
	    bytes_retrans;
	uint64_t delivered;
};

void tcp_core_info(const struct tcb *, nsec_t now, struct tcp_core_info *);
