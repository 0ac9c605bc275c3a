/*
 * Sockets. net/socket.c is the part every family shares: files, system calls, SO_* options,
 * copying of addresses and control data from and to user memory. A family gives sock_ops
 * (inet: tcp, udp, raw, ping; packet; netlink; unix).
 *
 * Locking. sock->lock is a spinlock over the socket's state and queues, short, never held across
 * user copies. recv_lock (mutex) serialises readers of a stream so that data stays in order while
 * it is copied outside of the spinlock; send_lock does the same for writers. A struct sock is
 * counted: the file holds one reference, hash tables and timers theirs; sock_put frees it after a
 * grace period, so lookups under RCU may take a reference by sock_try_get.
 */
#pragma once

#include "kernel/file.h"
#include "kernel/poll.h"
#include "kernel/proc/async.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "lib/err.h"
#include "net/net_timer.h"
#include "net/pkt.h"

struct area;
struct cred;
struct dst;
struct file;
struct inet_mc;
struct ip_error;
struct ip_tx;
struct page;
struct port;
struct sock;
struct uio;

enum sock_type {
	SOCK_STREAM = 1,
	SOCK_DGRAM = 2,
	SOCK_RAW = 3,
	SOCK_RDM = 4,
	SOCK_SEQPACKET = 5,
	SOCK_PACKET = 10
};
enum { AF_UNIX = 1, AF_NETLINK = 16, AF_PACKET = 17 };
enum { SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2 };
enum { SOCK_NO_RECV = 1, SOCK_NO_SEND = 2 }; /* bits of sock->shutdown */

enum msg_flag {
	MSG_OOB = 0x1,
	MSG_PEEK = 0x2,
	MSG_DONTROUTE = 0x4,
	MSG_CTRUNC = 0x8,
	MSG_TRUNC = 0x20,
	MSG_DONTWAIT = 0x40,
	MSG_EOR = 0x80,
	MSG_WAITALL = 0x100,
	MSG_CONFIRM = 0x800,
	MSG_ERRQUEUE = 0x2000,
	MSG_NOSIGNAL = 0x4000,
	MSG_MORE = 0x8000,
	MSG_WAITFORONE = 0x10000,
	MSG_CMSG_CLOEXEC = 0x40000000,
};

/* An address as programs give it, in kernel memory: sockaddr_in, _in6, _ll, _nl, _un. */
struct sock_addr {
	unsigned len;
	union {
		uint16_t family;
		uint8_t bytes[128];
		uint64_t align_;
	};
};

/* One send or receive. */
struct sock_msg {
	struct uio *uio;
	unsigned flags;     /* MSG_* as asked for; MSG_DONTWAIT also for O_NONBLOCK */
	unsigned out_flags; /* recv: what msg_flags gets, MSG_TRUNC and such; 0 before */
	/* Send: destination, NULL: none given. Recv: filled in (its len is 0 before), NULL: not
	   wanted. */
	struct sock_addr *name;
	/* Control data in kernel memory. Send: parsed by the family with cmsg_next. Recv: put_cmsg
	   appends while there is room, else sets MSG_CTRUNC. */
	uint8_t *control;
	size_t control_len, control_used;
	nsec_t
	    deadline_ns; /* of blocking, or NO_TIMEOUT; without meaning with MSG_DONTWAIT */
};

struct cmsg { /* Linux's struct cmsghdr */
	uint64_t len;
	int32_t level, type;
};
void put_cmsg(struct sock_msg *, int level, int type, const void *data, size_t n);
/* Walks control data of a send; NULL at the end; malformed: *err = ERR_INVAL. data follows. */
const struct cmsg *cmsg_next(const struct sock_msg *, const struct cmsg *, enum err *err);

/* Option values in kernel memory; `*len` in: room, out: length. */
struct sock_ops {
	const char *name;
	bool has_peek_off; /* recv heeds sock->peek_off */
	enum err (*bind)(struct sock *, const struct sock_addr *);
	enum err (*connect)(struct sock *, const struct sock_addr *, nsec_t deadline_ns,
	    bool is_nonblock);
	/* Makes two new ones each other's peer (socketpair); NULL: ERR_OPNOTSUPP. */
	enum err (*pair)(struct sock *, struct sock *);
	enum err (*listen)(struct sock *, int backlog);
	/* A new connected sock with its reference, or an err. */
	enum err (*accept)(
	    struct sock *, struct sock **out, nsec_t deadline_ns, bool is_nonblock);
	long (*send)(struct sock *, struct sock_msg *); /* bytes, or err */
	long (*recv)(struct sock *, struct sock_msg *);
	/* Bytes from pages without copying (sendfile, splice): as many as taken, or err. NULL: copied. */
	long (*send_page)(
	    struct sock *, struct page *, uint32_t off, uint32_t len, unsigned flags);
	uint32_t (*poll)(
	    struct sock *); /* POLL* that hold now; the wait queue is the caller's work */
	enum err (*shutdown)(struct sock *, int how);
	void (*close)(
	    struct sock *); /* the file is gone (linger was waited for here). May sleep */
	enum err (*getname)(struct sock *, struct sock_addr *, bool is_peer);
	enum err (*setsockopt)(
	    struct sock *, int level, int opt, const void *val, unsigned len);
	enum err (*getsockopt)(
	    struct sock *, int level, int opt, void *val, unsigned *len);
	long (*ioctl)(struct sock *, unsigned cmd,
	    uintptr_t arg); /* ERR_NOTTY: socket.c tries the common ones */
	/* Maps what the family has to map; NULL: nothing. The aspace is locked. */
	enum err (*mmap)(struct sock *, struct area *);
	/* An option of level SOL_SOCKET was set and is in the sock now; NULL: no interest. No
	   lock held. */
	void (*option_changed)(struct sock *, int opt);
	void (*destroy)(
	    struct sock *); /* last reference gone: free what the family added */
};

/* SO_* state that all families share. */
struct sock {
	const struct sock_ops *ops;
	uint16_t family, type;
	uint8_t proto;
	uint32_t refs; /* [a] */
	struct spinlock lock;
	struct mutex recv_lock, send_lock;
	struct wait_queue wait;  /* readers, writers, pollers: woken with POLL* events */
	struct file *file;       /* not counted; NULL once closed or not yet accepted */
	struct pkt_queue rx;     /* [lock] datagrams */
	struct pkt_queue errors; /* [lock] MSG_ERRQUEUE */
	uint32_t rx_bytes;       /* [lock] truesize queued */
	uint32_t
	    tx_bytes; /* [a] truesize not yet given up by the device or acknowledged */
	uint32_t rcvbuf, sndbuf, rcvlowat, sndlowat;
	nsec_t rcvtimeo_ns, sndtimeo_ns; /* 0: for ever */
	enum err error;                  /* [lock] pending SO_ERROR */
	enum err error_soft;
	uint8_t shutdown; /* [lock] 1: no more receiving, 2: no more sending */
	bool is_reuseaddr, is_reuseport, is_broadcast, is_keepalive, is_oobinline,
	    is_dontroute, is_linger, is_timestamp, is_timestampns, is_rcvbuf_locked,
	    is_sndbuf_locked, is_passcred;
	bool is_listening; /* [lock] the family's: SO_ACCEPTCONN, bind's conflict rules */
	bool is_signal_queued;   /* [a] signal_work is under way, with a reference */
	uint32_t signals_due;    /* [a] a bit for each enum poll_code, and for SIGURG */
	struct async_list async; /* its file, if it has O_ASYNC */
	struct net_work signal_work;
	int32_t incoming_cpu; /* [a] where its last packet came, or as was set; -1 */
	bool is_rxq_ovfl, is_no_check, is_stamping_new, is_filter_locked;
	/* Options without effect here, remembered: SO_DEBUG and such (net/sock_opt.c). */
	bool is_debug, is_bsdcompat, is_passsec, is_wifi_status, is_nofcs,
	    is_select_err_queue, is_prefer_busy_poll, is_rcvmark;
	uint8_t txrehash;
	uint32_t busy_poll_us, stamping; /* SO_TIMESTAMPING's flags: enum sock_stamping */
	uint32_t stamp_id;               /* [a] of the next packet sent with OPT_ID */
	uint64_t max_pacing_rate;        /* bytes a second; ~0: no limit */
	uint32_t linger_s;
	uint32_t mark, priority, bound_if; /* SO_MARK, SO_PRIORITY, SO_BINDTODEVICE; 0 */
	struct anon_attr attr;             /* its file's: mode, owner, times */
	uint32_t peer_pid;                 /* [lock] SO_PEERCRED of AF_UNIX */
	struct cred *peer_cred;            /* [lock] a reference, or NULL */
	int32_t peek_off; /* [recv_lock] SO_PEEK_OFF; -1: peek at the start */
	uint64_t ino;     /* as shown by /proc/net and /proc/PID/fd: socket:[N] */
	uint64_t drops;
	struct filter *filter; /* RCU; SO_ATTACH_FILTER: net/filter.h */
	void *private;         /* the family's; usually the sock is embedded instead */
	struct rcu_head rcu;
};

/* A family: told to socket.c at boot by sock_register_family. inet_create serves AF_INET and
 * AF_INET6. type and proto come from the user: the family checks them. */
typedef enum err sock_create_fn(int family, int type, int proto, struct sock **out);
void sock_register_family(int family, sock_create_fn *);
void sockets_init(void); /* files in /proc */
sock_create_fn inet_create, packet_create, netlink_create;

void sock_init(struct sock *, const struct sock_ops *, int family, int type, int proto);
struct sock *sock_get(struct sock *);
bool sock_try_get(struct sock *); /* false: it is going away */
void sock_put(struct sock *);
uint32_t sock_count(void); /* of all families */

/* Queues a datagram: false when rcvbuf is full (the packet is still yours). [lock not held] */
bool sock_queue_rx(struct sock *, struct pkt *);
/* Takes the next datagram, waiting as msg says. */
enum err sock_dequeue_rx(struct sock *, struct sock_msg *, struct pkt **out);
/* Pending error: taken and cleared, OK if none. */
enum err sock_take_error(struct sock *);
void sock_set_error(struct sock *, enum err); /* and wakes */
/* Wakes pollers and sleepers with POLL* events; any context, sock->lock may be held. */
void sock_wake(struct sock *, uint32_t events);
/* Urgent data came: SIGURG to the owner. Any context, sock->lock may be held. */
void sock_urgent(struct sock *);
/* Deadline of a blocking call: now + timeo; or NO_TIMEOUT. */
nsec_t sock_deadline(nsec_t timeo_ns);
/* The result of a blocking call whose wait ended with `err`: ERR_AGAIN for a time-out; a signal
 * restarts the call unless it had a deadline (signal(7)). */
enum err sock_wait_result(enum err err, nsec_t deadline_ns);
/*
 * Sleeps until cond (evaluated without lock) as a blocking call does: ERR_AGAIN at once when it may
 * not block; else OK or sock_wait_result.
 */
#define sock_wait(sk, cond, deadline_ns, is_nonblock) \
	((is_nonblock) ? ((cond) ? OK : ERR_AGAIN) \
	               : sock_wait_result(wait_event(&(sk)->wait, cond, \
	                                      WAIT_INTERRUPTIBLE, deadline_ns), \
	                     deadline_ns))

/* The socket of a file, or NULL: it is something else. */
struct sock *sock_of_file(const struct file *);
/* A descriptor for a new socket with `flags` of SOCK_NONBLOCK and SOCK_CLOEXEC. Takes the
 * reference, also on an error. */
long sock_install(struct sock *, int flags);
/* The file alone, for a descriptor that is there; NULL: no memory, and the socket is gone. */
struct file *sock_file_create(struct sock *, int flags);

enum sock_stamping { /* SOF_TIMESTAMPING_* that mean something without hardware clocks */
	STAMP_TX_SOFTWARE = 1 << 1,
	STAMP_RX_SOFTWARE = 1 << 3,
	STAMP_SOFTWARE = 1 << 4,
	STAMP_OPT_ID = 1 << 7,
	STAMP_TX_MASK =
	    1 << 0 | STAMP_TX_SOFTWARE | 1 << 8 | 1 << 9, /* what control data may ask */
	STAMP_ALL = (1 << 18) - 1,
};
/* Time stamps of arrival for SO_TIMESTAMP and friends, as control data (net/sock_stamp.c). */
void sock_put_stamps(struct sock *, struct sock_msg *, nsec_t stamp_ns);

/* SIOC* of interfaces, addresses and routes (net/ifconf.c); ERR_NOTTY: not one of them. */
long sock_ioctl_ifconf(struct sock *, unsigned cmd, uintptr_t arg);
/* `n` numbers with blanks between and nothing else: what is written to settings in /proc/sys. */
bool sock_parse_numbers(const char *text, uint32_t *out, unsigned n);
/* SOL_SOCKET (net/sock_opt.c). */
/* An option that sets and tells one bool: where it is in the socket of its family, which begins with
 * struct sock. */
struct sock_flag {
	uint16_t opt, field;
};
/* NULL: the table does not have it. */
bool *sock_flag_of(struct sock *, const struct sock_flag *, size_t n, int opt);

enum err sock_setsockopt(struct sock *, int opt, const void *val, unsigned len);
enum err sock_getsockopt(struct sock *, int opt, void *val, unsigned *len);

/* ---- inet: what tcp.c, udp.c, raw.c share (net/inet.c) ---------------------------------- */

struct inet_sock {
	struct sock sock; /* first */
	/* v4-mapped for v4; unspecified: any. local: what packets must be for; [lock] */
	struct ip_addr local, peer;
	uint16_t local_port, peer_port; /* host order */
	bool is_connected;              /* datagram sockets: peer is set */
	struct ip_addr bind_addr;       /* as bound; disconnecting brings it back */
	/* Options; names as in ip(7) and ipv6(7). */
	bool is_v6only, is_bound_port, is_freebind, is_transparent, is_hdrincl,
	    is_recverr, is_recverr6, is_pktinfo, is_pktinfo6, is_recvttl, is_recvtos,
	    is_recvopts, is_retopts, is_recvhop6, is_recvhop6_2292, is_pktinfo6_2292,
	    is_recvtclass6, is_recvflow6, is_mc_loop, is_mc_loop6, is_mc_all, is_mc_all6,
	    is_recv_origdst, is_recv_origdst6, is_recvfragsize, is_autoflow, is_flow_send,
	    is_dontfrag6, is_gro;
	/* Remembered only. */
	bool is_router_alert, is_nodefrag, is_checksum_wanted, is_bind_no_port,
	    is_recvrthdr6, is_recvhopopts6, is_recvdstopts6, is_recvpathmtu6, is_passsec4,
	    is_recverr_4884, is_recverr6_4884, is_recvfragsize6;
	int16_t ttl, mc_ttl, hops6, mc_hops6; /* -1: default */
	uint8_t tos, tclass6, pmtudisc, pmtudisc6, min_ttl, min_hops6;
	uint32_t mc_if, mc_if6;           /* interface index for multicast; 0 */
	uint32_t unicast_if, unicast_if6; /* IP_UNICAST_IF; 0 */
	uint32_t scope_if;                /* of a link-local peer; 0 */
	struct ip_addr mc_addr;           /* IP_MULTICAST_IF by address: source address */
	struct ip_addr sticky_src;        /* IPV6_PKTINFO as an option */
	uint32_t sticky_if;
	uint32_t flow_label, addr_prefs;
	struct inet_options *options; /* IP_OPTIONS, RCU */
	struct inet_ext *ext;         /* IPV6_HOPOPTS, IPV6_DSTOPTS; RCU */
	struct dst
	    *dst; /* [sock.lock] cached route of a connected socket; check dst_is_valid */
	struct inet_mc *mc;    /* multicast memberships: inet_mc.c */
	struct port *port;     /* where bind_link is; NULL: no port */
	struct list bind_link; /* [port table] */
	struct list hash_link; /* RCU: the protocol's own lookup table */
};

/* IP_OPTIONS as they go into the header, padded. */
struct inet_options {
	struct rcu_head rcu;
	uint8_t len; /* multiple of 4 */
	uint8_t bytes[40];
};

enum { INET_EXT_HOP, INET_EXT_DST, INET_EXTS, INET_EXT_MAX = 40 };

/* Extension headers that go with what a socket sends over IPv6; len 0: none. */
struct inet_ext {
	struct rcu_head rcu;
	uint8_t len[INET_EXTS];
	uint8_t bytes[INET_EXTS][INET_EXT_MAX];
};

/* sockaddr <-> address and port; checks length, family, scope; v4 given to a v6 socket is mapped.
 * An unspecified address becomes the loopback's, as Linux has it for destinations. */
enum err inet_get_addr(const struct inet_sock *, const struct sock_addr *,
    struct ip_addr *, uint16_t *port, uint32_t *scope_if);
void inet_put_addr(const struct inet_sock *, struct sock_addr *, const struct ip_addr *,
    uint16_t port, uint32_t scope_if);

/* Port tables, one each for TCP and UDP: bind with Linux's conflict rules (REUSEADDR, REUSEPORT
 * by uid, V6ONLY, BINDTODEVICE), ephemeral ports by RFC 6056 algorithm 3. O(1). May be called with
 * sock->lock held. */
struct port_table;
extern struct port_table tcp_ports, udp_ports;
/* The whole of bind(2): checks the address and its port (0: ephemeral), takes it, sets local.
 * ERR_INVAL: it has a port already. */
enum err inet_bind(struct inet_sock *, const struct sock_addr *, struct port_table *);
/* Sets local, bind_addr, local_port. */
enum err inet_bind_port(
    struct inet_sock *, struct port_table *, const struct ip_addr *, uint16_t port);
/*
 * Ephemeral port for a socket without one. For connect (local, peer, peer_port set):
 * `is_free(is, port)` asks the protocol about the four-tuple and may enter it into its table; it
 * is called under a lock of RANK_PORT_TABLE, above RANK_SOCK and below RANK_NET_TABLE.
 * ERR_ADDRNOTAVAIL: none is free. is_free NULL: a port of its own; ERR_AGAIN: none.
 */
enum err inet_autobind(struct inet_sock *, struct port_table *,
    bool (*is_free)(struct inet_sock *, uint16_t port));
/* An accepted connection shares its listener's port. */
void inet_share_port(
    struct inet_sock *child, struct inet_sock *listener, struct port_table *);
/* listen(2): sets is_listening, or ERR_ADDRINUSE: another listens at this port (the rules of bind
 * let two with SO_REUSEADDR have it while neither listens). */
enum err inet_listen_port(struct inet_sock *, struct port_table *);
void inet_release_port(struct inet_sock *, struct port_table *);

/* What decides who may share a port. */
struct port_claim {
	struct ip_addr local;
	uint32_t bound_if, uid;
	bool is_reuseaddr, is_reuseport, is_v6only, is_listening;
	bool is_left; /* by a connection that is over: whose it was does not matter */
};

/* A place in a port that outlives its socket: of a TIME-WAIT. */
struct port_hold {
	struct port_claim claim; /* [I] */
	struct list link;        /* [port table] */
	struct port *port;       /* NULL: none */
};
void inet_hold_port(struct port_hold *, const struct inet_sock *, struct port_table *);
/* Not under a port table's lock. */
void inet_unhold_port(struct port_hold *, struct port_table *);

/* Options of level IP and IPV6, and names, for every inet protocol. ERR_NOPROTOOPT: another level,
 * or no such option. */
enum err inet_setsockopt(
    struct inet_sock *, int level, int opt, const void *val, unsigned len);
enum err inet_getsockopt(
    struct inet_sock *, int level, int opt, void *val, unsigned *len);
enum err inet_getname(struct inet_sock *, struct sock_addr *, bool is_peer);
/* The route now: cached if valid, else looked up anew with the socket's constraints. A reference.
 * *src in: the source wanted, unspecified: any; out: the one to use. */
enum err inet_route(
    struct inet_sock *, const struct ip_addr *dst, struct ip_addr *src, struct dst **out);
/* How the socket's packets to `dst` are to be sent: TOS, TTL, DF, flow label, IP_OPTIONS into
 * *tx; addresses and proto are the caller's. Options stay valid under RCU. */
void inet_tx_defaults(
    struct ip_tx *tx, const struct inet_sock *, const struct ip_addr *dst);
/* An ICMP error for this socket: onto the error queue when it asked for that (IP_RECVERR), and
 * pending if hard or asked for. recv with MSG_ERRQUEUE gives it back. */
void inet_icmp_error(
    struct inet_sock *, const struct ip_error *, uint16_t dst_port, bool is_connected);
long inet_recv_error(struct inet_sock *, struct sock_msg *);
/* Common part of creation and destruction. */
void inet_sock_init(
    struct inet_sock *, const struct sock_ops *, int family, int type, int proto);
void inet_sock_fini(struct inet_sock *);
/* What a protocol is to socket(2): tables in inet.c. */
struct sock *tcp_sock_create(int family), *udp_sock_create(int family),
    *raw_sock_create(int family, int proto),
    *ping_sock_create(int family); /* NULL: no memory */
void inet_init(
    void); /* sockets_init, tables, families, /proc; after the network's own tables */
