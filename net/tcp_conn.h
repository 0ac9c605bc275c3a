/*
 * The shell around the TCP core: what a connection is besides its control block. Private to the
 * tcp_*.c files that move data, keep tables and serve sockets.
 *
 * Three kinds of thing stand in the table of connections (tcp_table.c), each found by its
 * four-tuple: a socket; a request (a SYN we answered, until its ACK comes); a TIME-WAIT. The last
 * two are small, so floods and busy servers cost little.
 *
 * Locks, outer first: recv_lock and send_lock (mutexes of struct sock), the listener's lock, the
 * socket's spinlock, the table's bucket locks. The core is only called under the socket's spinlock.
 * A socket in the table holds a reference to itself; it leaves the table when its state is CLOSE.
 */
#pragma once

#include "kernel/sync/rculist.h"
#include "lib/rbtree.h"
#include "net/net_timer.h"
#include "net/sock.h"
#include "net/tcp.h"
#include "net/tcp_core.h"

struct ip_tx;
struct seq;

/* ---- The table of connections (tcp_table.c) --------------------------------------------- */

enum tcp_kind { TCP_KIND_SOCK, TCP_KIND_REQUEST, TCP_KIND_TIMEWAIT };

struct tcp_key {
	struct ip_addr local, peer;
	uint16_t local_port, peer_port;
	uint32_t scope_if; /* interface, when an address is link-local; else 0 */
};

struct tcp_entry {
	uintptr_t
	    next; /* [R, bucket] next entry, or odd: the end of this bucket's chain */
	uint32_t hash;      /* [I] while hashed */
	uint8_t kind;       /* [I] enum tcp_kind */
	bool is_v6;         /* [I] of an AF_INET6 socket: shown in /proc/net/tcp6 */
	bool is_hashed;     /* [bucket] */
	struct tcp_key key; /* [I] while hashed */
};

void tcp_table_init(void);
uint32_t tcp_hash(const struct tcp_key *);
/* Under RCU, and valid only there unless a reference is taken. NULL: none. */
struct tcp_entry *tcp_find(const struct tcp_key *, uint32_t hash);
/* Adds by e->key. Another one has the tuple: that one is returned, and nothing is done. */
struct tcp_entry *tcp_entry_add(struct tcp_entry *);
bool tcp_entry_remove(struct tcp_entry *); /* false: it was not in the table */
/* Puts `e` where `old` of the same key is; false: `old` is gone, nothing is done. */
bool tcp_entry_replace(struct tcp_entry *old, struct tcp_entry *e);
/* Every entry from `bucket` on, each bucket under RCU. When `fn` says false it ends with that bucket.
 * Returns the bucket to go on with, 0 after the last. */
uint32_t tcp_for_each(
    uint32_t bucket, bool (*fn)(struct tcp_entry *, void *arg), void *arg);

/* ---- The send buffer (tcp_sndbuf.c) ----------------------------------------------------- */

/* Some bytes of the stream, in a page or a larger block; a reference of its own. */
struct tcp_chunk {
	struct page *page;
	uint32_t off, len;
	uint32_t pos; /* of its first byte in the stream; wraps */
};

enum { TCP_INLINE_CHUNKS = 2 };

struct tcp_sndbuf {
	struct tcp_chunk *ring; /* NULL: inline_chunks */
	uint32_t head, tail;    /* free-running indices */
	uint32_t cap;           /* a power of two; 0: not begun */
	uint32_t pos;           /* stream position of the first byte kept */
	uint32_t len;           /* bytes kept */
	struct tcp_chunk inline_chunks[TCP_INLINE_CHUNKS];
};

/* Room for up to `n` more chunks; false: no memory. */
bool tcp_sndbuf_reserve(struct tcp_sndbuf *, uint32_t n);
/* After a reserve. Takes the page reference. */
void tcp_sndbuf_add(struct tcp_sndbuf *, struct page *, uint32_t off, uint32_t len);
/* Frees `n` bytes from the front. */
void tcp_sndbuf_consume(struct tcp_sndbuf *, uint32_t n);
void tcp_sndbuf_clear(struct tcp_sndbuf *);
void tcp_sndbuf_copy(const struct tcp_sndbuf *, uint32_t off, uint32_t len, void *to);
/* How many of `len` bytes from `off` on lie in at most `max_chunks` chunks. */
uint32_t tcp_sndbuf_span(
    const struct tcp_sndbuf *, uint32_t off, uint32_t len, unsigned max_chunks);
/* References to [off, off + len) as fragments of `p`; false: no room. */
bool tcp_sndbuf_attach(
    const struct tcp_sndbuf *, uint32_t off, uint32_t len, struct pkt *p);

/*
 * A piece of at most `want` bytes of this CPU's current block for payload, with a reference;
 * pieces taken one after another touch each other. Thread context. false: no memory.
 */
bool tcp_frag_take(uint32_t want, struct tcp_chunk *out);

/* ---- The receive queue (tcp_rcvbuf.c) --------------------------------------------------- */

/* In p->cb: which bytes of the packet's data are to be read. */
struct tcp_cb {
	struct rb_node node; /* out of order: by seq */
	uint32_t seq;        /* of the first byte kept */
	uint32_t off, len;
};

static inline struct tcp_cb *
tcp_cb(struct pkt *p)
{
	return (struct tcp_cb *)p->cb;
}

/* ---- A socket ------------------------------------------------------------------------- */

struct tcp_listener;

enum tcp_phase { /* what connect() was told: Linux's socket->state */
	TCP_PHASE_NEW,
	TCP_PHASE_CONNECTING,
	TCP_PHASE_CONNECTED,
};

enum tcp_urgent { TCP_URGENT_NONE, TCP_URGENT_AWAITED, TCP_URGENT_HERE, TCP_URGENT_READ };

/* The headers of a connection's SYN, for a user who wants to see them (TCP_SAVED_SYN). */
struct tcp_saved_syn {
	uint16_t len;
	uint8_t bytes[];
};

/* What the user set, kept for when a control block is made. */
struct tcp_user {
	uint16_t maxseg;
	uint8_t syncnt, keep_cnt;
	uint32_t keep_idle_s, keep_intvl_s;
	uint32_t user_timeout_ms;
	int32_t linger2_s; /* 0: the default; -1: no FIN-WAIT-2 at all */
	uint32_t notsent_lowat, window_clamp;
	uint8_t defer_accept_s;
	uint8_t
	    save_syn; /* a listener's: 1 the SYN's headers from IP's on, 2 from the link's on */
	bool nodelay, is_corked, no_quickack, is_thin_linear, has_inq;
	const struct tcp_cc_ops *cc; /* NULL: the default */
};

struct tcp_sock {
	struct inet_sock inet; /* first */
	struct tcp_entry entry;
	struct net_timer timer; /* the core's deadline */
	struct tcp_user user;
	struct tcp_listener *listener;   /* [R] once made it stays; see is_listening */
	struct tcp_saved_syn *saved_syn; /* [lock] until it was read; NULL: none */
	uint8_t
	    state; /* [lock to write] the core's, once all that follows from it is done */
	bool is_listening; /* [lock] */
	bool is_live;      /* [lock] the control block is in use: in the table */
	bool is_orphan;    /* [lock] closed by its user */
	bool is_counted;   /* [lock] among the established */
	bool is_full;      /* [lock] somebody waits for room in the send buffer */
	bool has_fin;      /* [lock] the peer has sent all */
	bool is_keepalive_on, is_tx_waiting;
	bool
	    has_iss_min; /* [send_lock] the tuple was in TIME-WAIT: begin above iss_min */
	uint8_t phase;   /* [send_lock] enum tcp_phase */
	uint8_t urgent;  /* [lock] enum tcp_urgent */
	uint8_t urgent_byte;
	nsec_t fin_deadline_ns; /* [lock] end of an orphan's FIN-WAIT-2; 0: not begun */
	uint32_t iss_min;       /* [send_lock] */
	uint32_t urgent_seq;    /* [lock] of the urgent byte */
	uint32_t rx_seq;        /* [lock] after the last byte in sock.rx */
	uint32_t copied_seq;    /* [recv_lock] of the next byte to give to the user */
	uint32_t told_seq;    /* [recv_lock] up to here the core knows that it was read */
	uint32_t read_off;    /* [recv_lock] used bytes of reading.first */
	uint32_t charged;     /* [lock] bytes of tcp_memory this socket has taken */
	uint32_t mtu_seen;    /* [lock] dst->mtu that the core knows */
	uint32_t rcvbuf_seen; /* [lock] sock.rcvbuf that the core knows */
	uint32_t ofo_truesize;    /* [lock] */
	struct pkt_queue reading; /* [recv_lock] in order, taken from sock.rx */
	struct rb_root ofo;       /* [lock] pieces out of order */
	struct tcp_sndbuf snd;    /* [lock] */
	struct list accept_link;  /* [listener's lock] */
	struct tcb tcb;           /* [lock] */
};

static_assert(sizeof(struct tcp_sock) <= 2560, "3 KiB for an idle connection");

static inline struct tcp_sock *
tcp_of(struct sock *s)
{
	return container_of(s, struct tcp_sock, inet.sock);
}

static inline void
tcp_show_state(struct tcp_sock *ts, uint8_t state)
{
	__atomic_store_n(&ts->state, state, __ATOMIC_RELEASE);
}

/* As Linux names them. Who looks without the lock and sees a state sees also what came with it:
 * error, end of file, data. */
static inline uint8_t
tcp_state(const struct tcp_sock *ts)
{
	return __atomic_load_n(&ts->state, __ATOMIC_ACQUIRE);
}

/* net/tcp_sock.c: an unconnected socket with one reference; NULL: no memory. */
struct tcp_sock *tcp_sock_alloc(int family);
void tcp_sock_caches_init(void);
/* The socket an accepted connection gets: options as its listener's. */
struct tcp_sock *tcp_sock_child(struct tcp_sock *listener, const struct tcp_key *);

/* ---- Connections (tcp_conn.c) ------------------------------------------------------------ */

void tcp_conn_init(void);
/* What the core must know of user and route to begin; iss and ts_off are the caller's. */
void tcp_config_fill(
    struct tcp_config *, const struct tcp_sock *, const struct dst *, bool is_v6);
/* After the control block is made: the user's options that the configuration does not carry.
 * [lock] */
void tcp_conn_begin(struct tcp_sock *, nsec_t now);
/*
 * After every call of the core: applies the result, lends memory, sends what is to be sent, arms
 * the timer, and leaves the table when all is over. [lock] The caller holds a reference. `p` is
 * the packet the result speaks of, or NULL; what of it is not kept is freed.
 */
void tcp_conn_finish(
    struct tcp_sock *, const struct tcp_result *, struct pkt *p, nsec_t now);
/* The same where there was no result. */
void tcp_conn_push(struct tcp_sock *, nsec_t now);
/* [lock] Out of the table, buffers freed (not what can still be read); state CLOSE. */
void tcp_conn_detach(struct tcp_sock *);
/* The user is gone: unread data or a zero linger resets, else FIN. [no locks] */
void tcp_conn_close(struct tcp_sock *);
/* Nobody accepted it: a RST, and the end. [no locks] Takes the reference. */
void tcp_conn_reset(struct tcp_sock *);
void tcp_conn_timer(struct net_timer *);
/* Is there room for the sender to be woken? [lock, or for a look] */
bool tcp_is_writable(const struct tcp_sock *);

/* Numbers nobody can guess (RFC 6528, RFC 7323 7.1). */
uint32_t tcp_new_isn(const struct tcp_key *, nsec_t now);
uint32_t tcp_ts_offset(const struct tcp_key *);
struct tcp_tuple tcp_tuple_of(const struct tcp_key *);

/* ---- Receiving (tcp_rcvbuf.c) ------------------------------------------------------------- */

/* Keeps what the result says of `p` and moves pieces that are now in order. [lock] Takes p. */
void tcp_rcv_keep(struct tcp_sock *, const struct tcp_result *, struct pkt *p);
void tcp_rcv_purge_ofo(struct tcp_sock *);
/* Gives up what waits out of order behind `seq`, from its end, until at most `bytes` of it are
   held; the core tells the peer no more that it came. [lock] */
void tcp_rcv_prune_ofo(struct tcp_sock *, uint32_t seq, uint32_t bytes);
long tcp_recv(struct sock *, struct sock_msg *) NO_THREAD_SAFETY_ANALYSIS;
/* Bytes a read would give now. */
uint32_t tcp_readable(const struct tcp_sock *);

/* ---- Sending (tcp_out.c, tcp_send.c) -------------------------------------------------------- */

void tcp_output(struct tcp_sock *, nsec_t now);
/* The route, looked up anew if it changed. NULL: there is none now. [lock] No new reference. */
struct dst *tcp_route(struct tcp_sock *);
/* A segment without payload for no socket: resets, answers of requests and TIME-WAIT. `like` gives
 * TTL, mark and so on; may be NULL. */
void tcp_send_bare(
    const struct tcp_key *, const struct tcp_out *, const struct tcp_sock *like);
/* The same where the route is known. */
void tcp_send_via(struct dst *, const struct tcp_key *, const struct tcp_out *,
    const struct tcp_sock *like);
/* Whoever looks for room after this is woken when there is some. [no locks] */
void tcp_want_room(struct tcp_sock *);
long tcp_send(struct sock *, struct sock_msg *) NO_THREAD_SAFETY_ANALYSIS;
long tcp_send_page(struct sock *, struct page *, uint32_t off, uint32_t len,
    unsigned flags) NO_THREAD_SAFETY_ANALYSIS;

/* ---- Listening (tcp_listen.c, tcp_request.c) ----------------------------------- */

/* SYN-RECEIVED in little room. */
struct tcp_request {
	struct tcp_entry entry;
	struct tcp_sock *listener;       /* a reference */
	struct tcp_listener *of;         /* the listener's: its life is the listener's */
	struct list link;                /* [listener's lock] */
	struct net_timer timer;          /* retransmits the SYN-ACK */
	struct tcp_saved_syn *saved_syn; /* for the socket to come; NULL: none */
	nsec_t sent_ns;                  /* of the last SYN-ACK */
	uint32_t iss, irs, ts_off, tsval;
	uint16_t peer_wnd, peer_mss;
	uint8_t opts_has, wscale; /* of the SYN */
	uint8_t syn_flags, syn_ecn;
	uint8_t retries;
	bool is_left;   /* [a] see tcp_request.c */
	bool was_acked; /* by an ACK without data that DEFER_ACCEPT let pass */
	struct rcu_head rcu;
};

struct tcp_listener {
	struct tcp_sock *ts; /* [I] whose it is */
	struct list link;    /* [R, listeners' lock] by port */
	struct spinlock lock;
	struct list accepted;    /* [lock] struct tcp_sock */
	uint32_t num_accepted;   /* [lock] with those about to be added */
	uint32_t backlog;        /* [lock] */
	struct list requests;    /* [lock] */
	uint32_t num_requests;   /* [lock] */
	nsec_t cookies_until_ns; /* [a] a cookie may come back until then */
	bool is_open;            /* [lock] */
};

void tcp_listen_init(void);
enum err tcp_listen(struct sock *, int backlog);
void tcp_listen_stop(struct tcp_sock *); /* resets what nobody accepted */
enum err tcp_accept(struct sock *, struct sock **out, nsec_t deadline, bool is_nonblock);
/* The best listener for a packet; under RCU. */
struct tcp_sock *tcp_listener_find(const struct tcp_key *, uint32_t ifindex);
void tcp_listener_for_each(void (*fn)(struct tcp_sock *, void *arg), void *arg);

/* A SYN came for a listener, in `p` (which stays the caller's, data behind its headers); iss_min:
 * above the numbers of a former connection (or NULL). */
void tcp_listen_syn(struct tcp_sock *listener, const struct tcp_key *,
    const struct pkt *p, const struct tcp_seg *, const uint32_t *iss_min);
/* A segment for a request. True: p was taken; false: the request is just going, look again. */
bool tcp_request_input(struct tcp_request *, struct pkt *, const struct tcp_seg *);
void tcp_request_init(void);
/* Out of the table; its listener's count goes down. */
void tcp_request_drop(struct tcp_request *);
/* An ICMP error about the SYN-ACK. */
void tcp_request_error(struct tcp_request *, uint32_t seq);
/* An ACK that may bring a cookie back: true: p was taken. */
bool tcp_cookie_input(struct tcp_sock *listener, const struct tcp_key *, struct pkt *,
    const struct tcp_seg *);
/* The connection that begins with `seg`: made, put in the table in place of `old` (or NULL), fed
 * with seg and queued for accept. True: p was taken; false: `old` had just gone. */
bool tcp_child_begin(struct tcp_sock *listener, const struct tcp_key *,
    struct tcp_request *old, const struct tcp_opts *cookie_opts, struct pkt *,
    const struct tcp_seg *);

/* ---- TIME-WAIT (tcp_tw.c) ------------------------------------------------------------------- */

struct tcp_timewait {
	struct tcp_entry entry;
	struct tcp_tw tw;
	struct net_timer timer;
	struct port_hold hold; /* the port is still in use */
	nsec_t begin_ns;
	bool is_left; /* [a] see tcp_tw.c */
	struct rcu_head rcu;
};

void tcp_timewait_init(void);
/* [lock] Takes the socket's place in the table; false: limit reached, or no memory. */
bool tcp_timewait_enter(struct tcp_sock *);
/* A segment for it. True: it is a SYN that may have the tuple now, iss_min is set. */
bool tcp_timewait_input(
    struct tcp_timewait *, const struct tcp_seg *, nsec_t now, uint32_t *iss_min);
/* connect() wants the tuple (RFC 6191): `e` takes the place; false: not yet. `is_bound`: by a port
 * that its user chose. */
bool tcp_timewait_reuse(struct tcp_timewait *, struct tcp_entry *e, bool is_bound,
    nsec_t now, uint32_t *iss_min);

/* ---- Limits and settings (tcp_mem.c) ----------------------------------------------------------- */

struct tcp_settings { /* /proc/sys/net/ipv4/tcp_*, as Linux's */
	uint32_t rmem[3], wmem[3];
	uint64_t mem[3]; /* pages: below all is well, pressure, limit */
	uint32_t syncookies, max_syn_backlog, somaxconn, fin_timeout_s, max_tw,
	    max_orphans, tw_reuse, timestamps, sack, window_scaling, ecn, keep_idle_s,
	    keep_intvl_s, keep_cnt, syn_retries, synack_retries, retries2, orphan_retries,
	    notsent_lowat, mtu_probing, base_mss, mtu_probe_floor, probe_threshold,
	    probe_interval_s;
	const struct tcp_cc_ops *cc;
};
extern struct tcp_settings tcp_set;
void tcp_settings_init(void);

/* Bytes of payload and packets that connections hold. */
void tcp_mem_add(int64_t bytes);
bool tcp_mem_is_tight(void); /* above tcp_mem[1] */
bool tcp_mem_is_out(void);   /* above tcp_mem[2] */
/* [lock] What a socket holds changed: charges the difference. */
void tcp_mem_update(struct tcp_sock *);

enum tcp_gauge {
	TCP_NUM_ESTABLISHED,
	TCP_NUM_SOCKS,
	TCP_NUM_ORPHANS,
	TCP_NUM_TW,
	TCP_GAUGES
};
void tcp_gauge_add(enum tcp_gauge, int32_t n);
int32_t tcp_gauge(enum tcp_gauge);

/* ---- Options of level TCP (tcp_opt.c), /proc (tcp_proc.c) ---------------------------------------- */

enum { IPPROTO_TCP_LEVEL = 6 };
enum err tcp_setsockopt(struct sock *, int level, int opt, const void *val, unsigned len);
enum err tcp_getsockopt(struct sock *, int level, int opt, void *val, unsigned *len);
/* Brings options of the control block in line with ts->user. [lock] */
void tcp_apply_options(struct tcp_sock *, nsec_t now);
void tcp_proc_init(void);
void tcp_sysctl_init(void);

/* ---- Input (tcp.c) --------------------------------------------------------------------------------- */

/* A RST for a segment that nobody wants, where one may be sent. */
void tcp_send_reset(const struct tcp_key *, const struct tcp_seg *);

/* ---- Telling of a socket ----------------------------------------------------------------- */

/* What /proc/net/tcp and ss show of it. */
struct tcp_summary {
	uint8_t state; /* TCP_* */
	uint8_t
	    timer; /* Linux's number: 0 none, 1 retransmission, 2 another, 4 zero window */
	bool pingpong;
	uint32_t tx_queue,
	    rx_queue;      /* bytes; of a listener: connections to be accepted */
	nsec_t expires_ns; /* when `timer` does; 0: there is none */
	uint64_t ino;
	struct tcp_core_info info; /* zeros without a control block */
};
void tcp_summarize(
    struct tcp_sock *, struct tcp_summary *); /* any context; takes its lock */
/* TCP_INFO: as many bytes of Linux's struct as fit; returns how many. Takes the socket's lock. */
unsigned tcp_get_info(struct tcp_sock *, void *buf, unsigned room);
