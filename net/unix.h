/*
 * Between the files of AF_UNIX (unix(7)).
 *
 * unix.c		the family: creating, closing, shutdown, poll, options, /proc/net/unix
 * unix_name.c		names: abstract ones, ones in the file system; who has which
 * unix_conn.c		listen, connect, accept, pairs
 * unix_msg.c		messages: their memory and bytes
 * unix_stream.c	sending and receiving on streams
 * unix_dgram.c		the same for datagrams and sequenced packets
 * unix_fds.c		control data: files and credentials that go with a message
 * unix_gc.c		finds sockets that only their own queues still hold
 * unix_graph.c		the search in it, without sockets
 *
 * What is sent is copied into a message and queued at the receiver: there is one copy in, one
 * copy out, and one lock in between, the receiver's. A message is charged to its sender: of a
 * stream, whose messages all come from its peer, by what the peer has queued; else in tx_bytes.
 *
 * Locks. sock.lock guards state, peer and queue of one socket; two sockets' are taken only by
 * spin_lock_pair. Readers of a stream are one at a time (recv_lock) and alone take messages out.
 * Names have a lock for each bucket of their table. Sockets that are in flight, in messages not
 * yet received, are counted under one mutex, which nobody else takes.
 *
 * References. A socket holds its peer; a message its sender (datagrams only); a listener the
 * connections nobody has accepted; tables hold none, as who is closed leaves them.
 */
#pragma once

#include "kernel/sock_node.h"
#include "net/sock.h"

enum {
	UNIX_PATH_MAX = 108,
	UNIX_PATH_AT = 2,                             /* where sun_path begins */
	UNIX_ADDR_MAX = UNIX_PATH_AT + UNIX_PATH_MAX, /* sizeof(struct sockaddr_un) */
	UNIX_MAX_FDS = 253,                           /* SCM_MAX_FD */
	POLL_READABLE = POLLIN | POLLRDNORM,
	POLL_WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND,
};

/* A name, shared by a listener and its connections. Immutable but for its count. */
struct unix_addr {
	uint32_t refs;                /* [a] */
	uint32_t len;                 /* as getsockname tells it */
	char path[UNIX_PATH_MAX + 1]; /* abstract: begins with NUL */
};

/* Files that go with a message; charged to a user while it is under way. */
struct unix_fds {
	struct list link; /* files to be closed wait in a list */
	uint32_t uid;     /* who is charged */
	uint16_t num;
	bool is_in_flight; /* counted */
	struct file *files[];
};

/* Bytes of a message outside of it: `page` heads a block of them. */
struct unix_part {
	struct unix_part *next;
	struct page *page;
	uint32_t off, len;
};

struct unix_msg {
	struct unix_msg *next;
	uint32_t refs;     /* [a] more than one while somebody peeks */
	uint32_t len;      /* in all */
	uint32_t read;     /* of these already received; [recv_lock] of a stream */
	uint32_t truesize; /* what it is charged with */
	bool has_creds, is_oob;
	uint32_t pid, uid, gid;  /* the sender's, if has_creds */
	struct unix_fds *fds;    /* [receiver's lock] or NULL */
	struct unix_part *parts; /* NULL: the bytes are in `data` */
	struct sock *sender; /* a reference, of a datagram; NULL: the receiver's peer */
	nsec_t stamp_ns;     /* when sent, or 0 */
	uint8_t data[];
};

enum unix_state { UNIX_CLOSED, UNIX_LISTENING, UNIX_CONNECTED };

/* A socket as the search for garbage sees it (net/unix_graph.c). */
struct unix_node {
	struct list link;      /* sockets in flight */
	struct list work_link; /* the search's list of those reached */
	uint32_t num_flights;  /* how often it is in messages */
	uint32_t num_outside;  /* of these, in messages of sockets that may be in use */
	bool is_candidate, is_reached;
};

struct unix_sock {
	struct sock sock;       /* first */
	struct unix_addr *addr; /* [lock] to set, once; then [I] */
	struct sock_node node;  /* of a name in the file system */
	struct sock *peer; /* [lock] a reference, or NULL; of a stream [I] once set */
	struct unix_msg *first, *last; /* [lock] */
	uint32_t num_queued;      /* [lock] messages, or connections to be accepted */
	uint32_t backlog;         /* [lock] more are not queued */
	uint8_t state;            /* [lock] enum unix_state */
	bool is_dead, is_binding; /* [lock] */
	bool is_embryo;           /* [lock] nobody has accepted it yet */
	bool wants_room;          /* [a] a writer or poller waits for room in sndbuf */
	struct unix_msg *oob;     /* [lock] urgent byte not yet read, within the queue */
	struct list embryos;      /* [lock] connections to be accepted, by embryo_link */
	struct list embryo_link;  /* [the listener's lock] */
	struct wait_queue room_wait; /* senders and connectors until there is room here */
	struct list room_watchers;   /* [lock] pollers that found it full, by room_link */
	struct list room_link;       /* [room_of's lock] */
	struct unix_sock
	    *room_of; /* [its lock] whose room_watchers it is in: it tells on closing */
	struct list name_link; /* [bucket] */
	struct list all_link;  /* [all_lock, R] */
	uint32_t name_hash;    /* [I] while named */
	struct unix_node gc;   /* [flight lock] */
};

static inline struct unix_sock *
unix_of(struct sock *sk)
{
	return container_of(sk, struct unix_sock, sock);
}

static inline bool
unix_is_stream_like(const struct sock *sk)
{
	return sk->type != SOCK_DGRAM;
}

/* ---- unix.c */

/* All of them, under RCU. */
void unix_for_each(void (*fn)(struct unix_sock *, void *arg), void *arg);
void unix_init(void);
struct unix_sock *unix_alloc(int type);         /* NULL: no memory */
struct sock *unix_peer_get(struct unix_sock *); /* a reference, or NULL */
/* Whether fewer than sndbuf bytes are under way; if not, room will be told of. */
bool unix_has_room(struct unix_sock *);
/* Waits for it, as the message says; ERR_PIPE: sending is shut down, or the socket's error. */
enum err unix_wait_room(struct unix_sock *, const struct sock_msg *);
bool unix_is_writable(
    struct unix_sock *); /* the same for poll: not above a quarter of it */
/* Less is under way: the sender's writers are told, if they want room and there is enough. */
void unix_give_room(struct sock *sender);
/* The queue may take another: pollers that watch it are told. */
void unix_wake_room(struct unix_sock *);
/* `u` polls for writing, and `other`, its peer, was full: it is told of room there. False: there is
 * room by now. */
bool unix_watch_room(struct unix_sock *u, struct unix_sock *other);
void unix_unwatch_room(struct unix_sock *u);
/* Who connects, listens, or made the pair: SO_PEERCRED of `sk`. */
void unix_set_peercred(struct sock *sk);
bool unix_is_full(const struct unix_sock *);

/* ---- unix_name.c */

void unix_name_init(void);
enum err unix_check_addr(const struct sock_addr *);
enum err unix_bind(struct sock *, const struct sock_addr *);
enum err unix_autobind(struct unix_sock *);
/* The socket by that name, of the type; a reference. `a` was checked. */
enum err unix_find(const struct sock_addr *a, int type, struct unix_sock **out);
void unix_unname(struct unix_sock *); /* leaves the table; the name stays to be told */
void unix_addr_put(struct unix_addr *);
void unix_tell_addr(
    const struct unix_sock *, struct sock_addr *); /* nothing if it has none */

/* ---- unix_conn.c */

enum err unix_listen(struct sock *, int backlog);
enum err unix_stream_connect(
    struct sock *, const struct sock_addr *, nsec_t deadline_ns, bool is_nonblock);
enum err unix_accept(
    struct sock *, struct sock **out, nsec_t deadline_ns, bool is_nonblock);
enum err unix_pair(struct sock *, struct sock *);

/* ---- unix_msg.c */

/* A message of n bytes to be filled, or NULL. The first reference is the caller's. */
struct unix_msg *unix_msg_alloc(size_t n);
struct unix_msg *unix_msg_of_page(struct page *, uint32_t off, uint32_t len);
void unix_msg_put(struct unix_msg *);
/* All of it from memory; ERR_FAULT. */
enum err unix_msg_fill(struct unix_msg *, struct uio *);
/* [at, at + n) to memory: how many, less on a fault. */
size_t unix_msg_copy_out(const struct unix_msg *, uint32_t at, size_t n, struct uio *);
/* [lock] Puts it at the end of the queue; takes it out wherever it is. */
void unix_queue_push(struct unix_sock *, struct unix_msg *);
void unix_queue_remove(struct unix_sock *, struct unix_msg *);
/* Frees a row of messages. No lock held. */
void unix_msgs_free(struct unix_msg *first);
/* A datagram is under way no longer. */
void unix_uncharge(struct unix_msg *);

/* ---- unix_stream.c, unix_dgram.c */

long unix_stream_send(struct sock *, struct sock_msg *);
long unix_stream_recv(struct sock *, struct sock_msg *);
long unix_stream_send_page(
    struct sock *, struct page *, uint32_t off, uint32_t len, unsigned flags);
long unix_dgram_send(struct sock *, struct sock_msg *);
long unix_dgram_recv(struct sock *, struct sock_msg *);
long unix_seqpacket_send(struct sock *, struct sock_msg *);
long unix_seqpacket_recv(struct sock *, struct sock_msg *);
enum err unix_dgram_connect(
    struct sock *, const struct sock_addr *, nsec_t deadline_ns, bool is_nonblock);
/* `old` is no longer u's peer. */
void unix_dgram_disconnected(struct unix_sock *u, struct unix_sock *old);

/* ---- unix_fds.c */

/* Control data of one call. */
struct unix_scm {
	struct unix_fds *fds; /* a reference to each file */
	bool has_creds;
	uint32_t pid, uid, gid;
};

enum err unix_scm_parse(struct unix_scm *, const struct sock_msg *);
void unix_scm_drop(struct unix_scm *);
/* What goes with a message: files if `with_fds` (then they are its), the credentials. */
enum err unix_scm_attach(struct unix_scm *, struct unix_msg *, bool with_fds);
/* The message gets the current credentials unless it has any, where one of the ends asked. */
void unix_add_creds(struct unix_msg *, const struct sock *from, const struct sock *to);
/* Takes the message's credentials for telling them. */
void unix_scm_note(struct unix_scm *, const struct unix_msg *);
/* Files of a message that is received: they are in flight no longer. Or copies, when peeking. */
void unix_scm_take_fds(struct unix_scm *, struct sock *, struct unix_msg *);
enum err unix_scm_copy_fds(struct unix_scm *, struct sock *, struct unix_msg *);
/* Control data out; files become descriptors. Drops what is left. */
void unix_scm_put(struct unix_scm *, struct sock *, struct sock_msg *);
/* Closes the files and frees; those closed thereby in turn, one after the other. */
void unix_fds_drop(struct unix_fds *);

/* ---- unix_gc.c */

/* The files are in a message now: ERR_TOOMANYREFS, ERR_NOMEM. And no longer. */
enum err unix_fds_take_off(struct unix_fds *);
void unix_fds_land(struct unix_fds *);
void unix_gc_kick(void); /* a socket was closed: look for garbage if any is in flight */
void unix_gc_init(void);

/* ---- unix_graph.c */

struct unix_graph_ops {
	/* Whether nothing but messages holds the node. */
	bool (*is_only_in_flight)(struct unix_node *);
	/* Calls fn for each node that the queue of `from` holds, as often as it does. */
	void (*for_each_edge)(struct unix_node *from, void (*fn)(struct unix_node *to));
};
/* Of the nodes in `all`, those that nobody can reach any more have is_candidate and not is_reached
 * afterwards. Returns how many there are. */
size_t unix_graph_search(struct list *all, const struct unix_graph_ops *);
