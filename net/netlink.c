/*
 * AF_NETLINK sockets: see net/netlink.h. What is sent is taken apart
 * into messages and handled at once, under rtnl; answers are queued to the sender as packets. A
 * socket has at most one dump, of which only the next piece is ever in memory; it is made when
 * the reader comes for it, no larger than the reader's buffer and at least 4 KiB, which every
 * library offers.
 *
 * Sockets are on one list, read under RCU for notifications. A reader that does not keep up
 * loses notifications and is told so by ENOBUFS.
 */
#include "net/netlink.h"

#include "kernel/netlink.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/rculist.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "net/filter.h"
#include "net/netdev.h"
#include "net/sock.h"

enum {
	SOCK_DIAG_BY_FAMILY = 20,
	SOL_NETLINK = 270,
	NETLINK_ADD_MEMBERSHIP = 1,
	NETLINK_DROP_MEMBERSHIP = 2,
	NETLINK_PKTINFO = 3,
	NETLINK_BROADCAST_ERROR = 4,
	NETLINK_NO_ENOBUFS = 5,
	NETLINK_LIST_MEMBERSHIPS = 9,
	NETLINK_CAP_ACK = 10,
	NETLINK_EXT_ACK = 11,
	NETLINK_GET_STRICT_CHK = 12,

	MAX_REQUEST = 65536, /* bytes in one sendmsg */
	ANSWER_SIZE = 8192,  /* room for one answer */
	DUMP_MIN = 4096,     /* what a reader's buffer holds at least */
	DUMP_MAX = 16384,
	FIRST_AUTO_PORT = 0x80000000u,
};

struct sockaddr_nl {
	uint16_t family, pad;
	uint32_t pid, groups;
};

struct nl_sock {
	struct sock sock;
	struct list all_link; /* [all_lock, R] */
	uint32_t portid;      /* [all_lock] 0: not bound */
	uint64_t groups;      /* [a] bit g - 1 */
	bool is_pktinfo, is_no_enobufs, is_cap_ack, is_ext_ack, is_strict, is_bcast_error;
	/* The running dump. [recv_lock] */
	bool is_dumping; /* [a] */
	const struct rtnl_handler *dumper;
	struct nl_dump dump;
	uint32_t dump_seq;
};

static struct spinlock all_lock = SPINLOCK_INIT("netlink sockets", RANK_NET_TABLE);
static struct list all_socks = LIST_INIT(all_socks);
static uint32_t next_port = FIRST_AUTO_PORT; /* [all_lock] */
static uint64_t joined;                      /* [a] groups somebody ever joined */
static const struct rtnl_handler *handlers[RTM_MAX], *diag_handler;

static struct nl_sock *
nl_of(struct sock *sk)
{
	return container_of(sk, struct nl_sock, sock);
}

void
rtnl_register(uint16_t type, const struct rtnl_handler *h)
{
	handlers[type] = h;
}

void
sock_diag_register(const struct rtnl_handler *h)
{
	diag_handler = h;
}

static const struct rtnl_handler *
handler_of(const struct nl_sock *nl, uint16_t type)
{
	if (nl->sock.proto == NETLINK_SOCK_DIAG)
		return type == SOCK_DIAG_BY_FAMILY ? diag_handler : NULL;
	return type < RTM_MAX ? handlers[type] : NULL;
}

struct netdev *
rtnl_dev(unsigned index)
{
	struct netdev *dev;

	rcu_read_lock();
	dev = netdev_by_index(index);
	rcu_read_unlock();
	return dev;
}

/* ---- Addresses ---------------------------------------------------------------------------- */

/* Each protocol has numbers of its own. */
static bool
port_is_used_locked(uint8_t proto, uint32_t port)
{
	struct nl_sock *nl;

	list_for_each(nl, &all_socks, all_link)
		if (nl->sock.proto == proto && nl->portid == port)
			return true;
	return false;
}

/* As Linux: the process's number, or another where that is taken. */
static enum err
bind_port(struct nl_sock *nl, uint32_t wanted)
{
	enum err err = OK;

	spin_lock(&all_lock);
	if (nl->portid) {
		err = wanted && wanted != nl->portid ? ERR_INVAL : OK;
	} else if (wanted) {
		if (port_is_used_locked(nl->sock.proto, wanted))
			err = ERR_ADDRINUSE;
		else
			nl->portid = wanted;
	} else {
		wanted = current_thread()->process ? current_thread()->process->pid
		                                   : FIRST_AUTO_PORT;
		while (port_is_used_locked(nl->sock.proto, wanted))
			wanted = next_port++ | FIRST_AUTO_PORT;
		nl->portid = wanted;
	}
	spin_unlock(&all_lock);
	return err;
}

static void
join(struct nl_sock *nl, uint64_t groups)
{
	__atomic_fetch_or(&nl->groups, groups, __ATOMIC_RELAXED);
	__atomic_fetch_or(&joined, groups, __ATOMIC_SEQ_CST);
}

static enum err
check_addr(const struct sock_addr *a)
{
	if (a->len < sizeof(struct sockaddr_nl) || a->family != AF_NETLINK)
		return ERR_INVAL;
	return OK;
}

static enum err
netlink_bind(struct sock *sk, const struct sock_addr *a)
{
	const struct sockaddr_nl *nl = (const struct sockaddr_nl *)a->bytes;
	enum err err = check_addr(a);

	if (err != OK)
		return err;
	err = bind_port(nl_of(sk), nl->pid);
	if (err == OK) {
		__atomic_store_n(&nl_of(sk)->groups, 0, __ATOMIC_RELAXED);
		join(nl_of(sk), nl->groups);
	}
	return err;
}

/* Only the kernel is there to talk to. */
static enum err
netlink_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	const struct sockaddr_nl *nl = (const struct sockaddr_nl *)a->bytes;
	enum err err = check_addr(a);

	if (err != OK)
		return err;
	if (nl->pid)
		return ERR_CONNREFUSED;
	return bind_port(nl_of(sk), 0);
}

static enum err
netlink_getname(struct sock *sk, struct sock_addr *a, bool is_peer)
{
	struct sockaddr_nl *nl = (struct sockaddr_nl *)a->bytes;

	*nl = (struct sockaddr_nl){.family = AF_NETLINK};
	if (!is_peer) {
		nl->pid = nl_of(sk)->portid;
		nl->groups = (uint32_t)nl_of(sk)->groups;
	}
	a->len = sizeof(*nl);
	return OK;
}

/* ---- Requests ------------------------------------------------------------------------------ */

static void
out_init(struct nl_out *o, struct pkt *p, size_t size, uint32_t seq, uint32_t pid)
{
	*o = (struct nl_out){.buf = p->data, .size = size, .seq = seq, .pid = pid};
}

/* Queues what was made, or drops it; a full queue is told to the reader. */
static void
queue_answer(struct nl_sock *nl, struct pkt *p, const struct nl_out *o)
{
	if (!o->len) {
		pkt_free(p);
		return;
	}
	pkt_put(p, o->len);
	*(uint32_t *)p->cb = 0; /* the group it is for */
	if (sock_queue_rx(&nl->sock, p))
		return;
	pkt_drop(p, DROP_SOCK_RCVBUF);
	sock_set_error(&nl->sock, ERR_NOBUFS);
}

enum err
netlink_check_file(const struct file *f)
{
	const struct sock *sk = sock_of_file(f);

	if (!sk)
		return ERR_NOTSOCK;
	return sk->family == AF_NETLINK ? OK : ERR_INVAL;
}

void
netlink_send_bytes(struct file *f, const void *bytes, size_t len)
{
	struct nl_sock *nl = nl_of(sock_of_file(f));
	struct pkt *p = pkt_alloc(len);
	struct nl_out o;

	if (!p) {
		sock_set_error(&nl->sock, ERR_NOBUFS);
		return;
	}
	out_init(&o, p, len, 0, 0);
	memcpy(o.buf, bytes, len);
	o.len = len;
	queue_answer(nl, p, &o);
}

/* The answer NLMSG_ERROR: the result and the request, or its header where it went well. */
static void
answer_error(struct nl_sock *nl, const struct nl_header *h, enum err err)
{
	size_t copy = err == OK || nl->is_cap_ack ? sizeof(*h) : h->len;
	struct pkt *p = pkt_alloc(copy + 64);
	struct nl_out o;
	uint8_t *body;
	int32_t code = err;

	if (!p) {
		sock_set_error(&nl->sock, ERR_NOBUFS);
		return;
	}
	out_init(&o, p, copy + 64, h->seq, nl->portid);
	if (copy < h->len)
		o.flags = 0x100; /* NLM_F_CAPPED */
	body = nl_begin(&o, NLMSG_ERROR, sizeof(code) + copy);
	if (body) {
		memcpy(body, &code, sizeof(code));
		memcpy(body + sizeof(code), h, copy);
	}
	(void)nl_end(&o); /* the room was measured */
	queue_answer(nl, p, &o);
}

static enum err
begin_dump(struct nl_sock *nl, const struct rtnl_handler *r, const struct nl_header *h)
{
	size_t len = h->len - sizeof(*h);
	enum err err = r->check ? r->check(h + 1, len) : OK;

	if (err != OK)
		return err;
	err = ERR_BUSY;
	mutex_lock(&nl->sock.recv_lock);
	if (!nl->is_dumping) {
		nl->dumper = r;
		nl->dump = (struct nl_dump){.type = h->type};
		nl->dump.request_len = MIN(len, sizeof(nl->dump.request));
		memcpy(nl->dump.request, h + 1, nl->dump.request_len);
		nl->dump_seq = h->seq;
		__atomic_store_n(&nl->is_dumping, true, __ATOMIC_RELEASE);
		err = OK;
	}
	mutex_unlock(&nl->sock.recv_lock);
	if (err == OK)
		sock_wake(&nl->sock, POLLIN | POLLRDNORM);
	return err;
}

static enum err
handle_one(struct nl_sock *nl, const struct rtnl_handler *r, const struct nl_header *h)
{
	size_t header = ALIGN_UP(r->header_len, 4), len = h->len - sizeof(*h);
	struct pkt *p = pkt_alloc(ANSWER_SIZE);
	struct nl_out o;
	struct nl_request q = {.header = h, .body = h + 1, .out = &o};
	enum err err;

	if (!p)
		return ERR_NOBUFS;
	out_init(&o, p, ANSWER_SIZE, h->seq, nl->portid);
	q.attrs_at = (const struct nl_attr *)((const uint8_t *)(h + 1) + header);
	q.attrs_len = len > header ? len - header : 0;
	mutex_lock(&rtnl_mutex);
	err = r->handle(&q);
	mutex_unlock(&rtnl_mutex);
	if (err != OK)
		o.len = 0;
	queue_answer(nl, p, &o);
	return err;
}

/* One message; a dump's end is its answer, so it gets no acknowledgement (is_answered). */
static enum err
handle_message(struct nl_sock *nl, const struct nl_header *h, bool *is_answered)
{
	const struct rtnl_handler *r = handler_of(nl, h->type);

	if (!r)
		return ERR_OPNOTSUPP;
	if (r->is_admin && !capable(CAP_NET_ADMIN))
		return ERR_PERM;
	if (r->dump && (h->flags & NLM_F_DUMP) == NLM_F_DUMP) {
		enum err err = begin_dump(nl, r, h);

		*is_answered = err == OK;
		return err;
	}
	/* rtgenmsg's one byte is enough for dumps; anything else needs its header. */
	if (h->len - sizeof(*h) < r->header_len)
		return ERR_INVAL;
	return r->handle ? handle_one(nl, r, h) : ERR_OPNOTSUPP;
}

static void
handle_all(struct nl_sock *nl, const uint8_t *data, size_t len)
{
	while (len >= sizeof(struct nl_header)) {
		const struct nl_header *h = (const struct nl_header *)data;
		bool is_answered = false;
		enum err err = OK;
		size_t step;

		if (h->len < sizeof(*h) || h->len > len)
			return; /* as Linux: what follows cannot be found */
		if (h->flags & NLM_F_REQUEST && h->type >= NLMSG_MIN_TYPE)
			err = handle_message(nl, h, &is_answered);
		if (err != OK || (h->flags & NLM_F_ACK && !is_answered))
			answer_error(nl, h, err);
		step = MIN(ALIGN_UP((size_t)h->len, 4), len);
		data += step;
		len -= step;
	}
}

static long
netlink_send(struct sock *sk, struct sock_msg *msg)
{
	size_t n = msg->uio->resid;
	const struct sockaddr_nl *to;
	uint8_t *buf;
	long result;

	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	if (msg->name) {
		to = (const struct sockaddr_nl *)msg->name->bytes;
		if (check_addr(msg->name) != OK)
			return ERR_INVAL;
		if (to->pid)
			return ERR_CONNREFUSED;
	}
	if (n > MAX_REQUEST)
		return ERR_MSGSIZE;
	result = bind_port(nl_of(sk), 0);
	if (result != OK)
		return result;
	buf = kmalloc(MAX(n, 1ul));
	if (!buf)
		return ERR_NOBUFS;
	result = ERR_FAULT;
	if (uio_copy_from(msg->uio, buf, n) == n) {
		handle_all(nl_of(sk), buf, n);
		result = (long)n;
	}
	kfree(buf);
	return result;
}

/* ---- Receiving ------------------------------------------------------------------------------ */

bool
nl_dump_wants(struct nl_dump *d)
{
	return d->index++ >= d->done;
}

bool
nl_dump_put(struct nl_dump *d, struct nl_out *o)
{
	if (!nl_end(o))
		return false;
	d->done = d->index;
	return true;
}

/* The next piece of the dump, into the queue. [recv_lock] */
static enum err
dump_more(struct nl_sock *nl, size_t room)
{
	size_t size = MIN(MAX(room, (size_t)DUMP_MIN), (size_t)DUMP_MAX);
	struct pkt *p = pkt_alloc(size);
	struct nl_out o;
	int32_t *result;
	bool is_all;

	if (!p)
		return ERR_NOBUFS;
	out_init(&o, p, size, nl->dump_seq, nl->portid);
	o.flags = NLM_F_MULTI;
	nl->dump.index = 0;
	mutex_lock(&rtnl_mutex);
	is_all = nl->dumper->dump(&nl->dump, &o);
	mutex_unlock(&rtnl_mutex);
	if (is_all || !o.len) { /* one object larger than all room ends it too */
		result = nl_begin(&o, NLMSG_DONE, sizeof(*result));
		if (nl_end(&o) && result)
			__atomic_store_n(&nl->is_dumping, false, __ATOMIC_RELEASE);
	}
	queue_answer(nl, p, &o);
	return OK;
}

static enum err
next_packet(struct nl_sock *nl, struct sock_msg *msg, struct pkt **out)
{
	enum err err = OK;

	if (__atomic_load_n(&nl->is_dumping, __ATOMIC_ACQUIRE)) {
		mutex_lock(&nl->sock.recv_lock);
		if (nl->is_dumping &&
		    !__atomic_load_n(&nl->sock.rx.first, __ATOMIC_RELAXED))
			err = dump_more(nl, msg->uio->resid);
		mutex_unlock(&nl->sock.recv_lock);
	}
	return err == OK ? sock_dequeue_rx(&nl->sock, msg, out) : err;
}

static long
netlink_recv(struct sock *sk, struct sock_msg *msg)
{
	struct sockaddr_nl *from;
	size_t len, n;
	uint32_t group;
	struct pkt *p;
	enum err err;
	long result;

	if (msg->flags & (MSG_OOB | MSG_ERRQUEUE))
		return ERR_OPNOTSUPP;
	err = next_packet(nl_of(sk), msg, &p);
	if (err != OK)
		return err;
	if (!p)
		return 0;
	len = pkt_len(p);
	n = MIN(len, msg->uio->resid);
	if (n < len)
		msg->out_flags |= MSG_TRUNC;
	result = (long)(msg->flags & MSG_TRUNC ? len : n);
	if (pkt_copy_to_uio(p, 0, n, msg->uio) < n)
		result = ERR_FAULT;
	/* A peeked packet is a clone, whose cb is its own: then the group is not told. */
	group = msg->flags & MSG_PEEK ? 0 : *(uint32_t *)p->cb;
	if (result >= 0 && msg->name) {
		from = (struct sockaddr_nl *)msg->name->bytes;
		*from = (struct sockaddr_nl){.family = AF_NETLINK,
		    .groups = group && group <= 32 ? 1u << (group - 1) : 0};
		msg->name->len = sizeof(*from);
	}
	if (result >= 0 && nl_of(sk)->is_pktinfo)
		put_cmsg(msg, SOL_NETLINK, NETLINK_PKTINFO, &group, sizeof(group));
	pkt_free(p);
	return result;
}

static uint32_t
netlink_poll(struct sock *sk)
{
	uint32_t events = POLLOUT | POLLWRNORM;

	if (__atomic_load_n(&sk->rx.first, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&nl_of(sk)->is_dumping, __ATOMIC_RELAXED))
		events |= POLLIN | POLLRDNORM;
	if (__atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK)
		events |= POLLERR;
	return events;
}

/* ---- Notifications -------------------------------------------------------------------------- */

static void
notify_one(struct nl_sock *nl, unsigned group, const struct nl_out *o)
{
	struct pkt *p = pkt_alloc(o->len);

	if (p) {
		memcpy(pkt_put(p, o->len), o->buf, o->len);
		*(uint32_t *)p->cb = group;
		if (sock_queue_rx(&nl->sock, p))
			return;
		pkt_drop(p, DROP_SOCK_RCVBUF);
	}
	if (!nl->is_no_enobufs)
		sock_set_error(&nl->sock, ERR_NOBUFS);
}

void
netlink_notify(
    unsigned group, void (*fill)(struct nl_out *, const void *arg), const void *arg)
{
	uint64_t bit = 1ull << (group - 1);
	struct nl_out o = {.size = ANSWER_SIZE};
	struct nl_sock *nl;

	if (!(__atomic_load_n(&joined, __ATOMIC_SEQ_CST) & bit))
		return;
	o.buf = kmalloc(ANSWER_SIZE);
	if (!o.buf)
		return;
	fill(&o, arg);
	rcu_read_lock();
	rcu_list_for_each(nl, &all_socks,
	    all_link) if (o.len && nl->sock.proto == NETLINK_ROUTE &&
	                  __atomic_load_n(&nl->groups, __ATOMIC_RELAXED) & bit)
	    notify_one(nl, group, &o);
	rcu_read_unlock();
	kfree(o.buf);
}

/* ---- Options, life ---------------------------------------------------------------------------- */

static const struct sock_flag flags[] = {
    {NETLINK_PKTINFO, offsetof(struct nl_sock, is_pktinfo)},
    {NETLINK_BROADCAST_ERROR, offsetof(struct nl_sock, is_bcast_error)},
    {NETLINK_NO_ENOBUFS, offsetof(struct nl_sock, is_no_enobufs)},
    {NETLINK_CAP_ACK, offsetof(struct nl_sock, is_cap_ack)},
    {NETLINK_EXT_ACK, offsetof(struct nl_sock, is_ext_ack)},
    {NETLINK_GET_STRICT_CHK, offsetof(struct nl_sock, is_strict)},
};

static enum err
netlink_setsockopt(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	struct nl_sock *nl = nl_of(sk);
	bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);
	uint32_t n;

	if (level != SOL_NETLINK)
		return ERR_NOPROTOOPT;
	if (len < sizeof(n))
		return ERR_INVAL;
	memcpy(&n, val, sizeof(n));
	if (flag) {
		*flag = n != 0;
		return OK;
	}
	if (opt != NETLINK_ADD_MEMBERSHIP && opt != NETLINK_DROP_MEMBERSHIP)
		return ERR_NOPROTOOPT;
	if (n == 0 || n > RTNLGRP_MAX)
		return ERR_INVAL;
	if (opt == NETLINK_ADD_MEMBERSHIP)
		join(nl, 1ull << (n - 1));
	else
		__atomic_fetch_and(&nl->groups, ~(1ull << (n - 1)), __ATOMIC_RELAXED);
	return OK;
}

static enum err
netlink_getsockopt(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	const bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);
	uint64_t groups = __atomic_load_n(&nl_of(sk)->groups, __ATOMIC_RELAXED);
	int32_t n;

	if (level != SOL_NETLINK)
		return ERR_NOPROTOOPT;
	if (opt == NETLINK_LIST_MEMBERSHIPS) {
		memcpy(val, &groups, MIN((size_t)*len, sizeof(groups)));
		*len = sizeof(groups);
		return OK;
	}
	if (!flag)
		return ERR_NOPROTOOPT;
	if (*len < sizeof(n))
		return ERR_INVAL;
	n = *flag;
	memcpy(val, &n, sizeof(n));
	*len = sizeof(n);
	return OK;
}

static enum err
netlink_listen(struct sock *sk, int backlog)
{
	return ERR_OPNOTSUPP;
}

static enum err
netlink_accept(struct sock *sk, struct sock **out, nsec_t deadline_ns, bool is_nonblock)
{
	return ERR_OPNOTSUPP;
}

static enum err
netlink_shutdown(struct sock *sk, int how)
{
	return ERR_OPNOTSUPP;
}

static void
netlink_close(struct sock *sk)
{
	spin_lock(&all_lock);
	rcu_list_remove(&nl_of(sk)->all_link);
	spin_unlock(&all_lock);
}

static void
netlink_destroy(struct sock *sk)
{
	kfree(nl_of(sk));
}

static const struct sock_ops netlink_ops = {
    .name = "NETLINK",
    .bind = netlink_bind,
    .connect = netlink_connect,
    .listen = netlink_listen,
    .accept = netlink_accept,
    .send = netlink_send,
    .recv = netlink_recv,
    .poll = netlink_poll,
    .shutdown = netlink_shutdown,
    .close = netlink_close,
    .getname = netlink_getname,
    .setsockopt = netlink_setsockopt,
    .getsockopt = netlink_getsockopt,
    .destroy = netlink_destroy,
};

enum err
netlink_create(int family, int type, int proto, struct sock **out)
{
	struct nl_sock *nl;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return ERR_SOCKTNOSUPPORT;
	if (proto != NETLINK_ROUTE && proto != NETLINK_SOCK_DIAG)
		return ERR_PROTONOSUPPORT;
	nl = kzalloc(sizeof(*nl));
	if (!nl)
		return ERR_NOMEM;
	sock_init(&nl->sock, &netlink_ops, family, type, proto);
	spin_lock(&all_lock);
	rcu_list_push_back(&all_socks, &nl->all_link);
	spin_unlock(&all_lock);
	*out = &nl->sock;
	return OK;
}

static void
netlink_show(struct seq *s)
{
	struct nl_sock *nl;

	seq_puts(s,
	    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
	    "Drops    Inode\n");
	rcu_read_lock();
	rcu_list_for_each(nl, &all_socks, all_link)
	    seq_printf(s, "%016x %-3u %-10u %08x %-8u %-8u %-5u %-8u %-8lu %-8lu\n", 0,
	        nl->sock.proto, nl->portid, (uint32_t)nl->groups, nl->sock.rx_bytes, 0,
	        nl->is_dumping, nl->sock.refs, nl->sock.drops, nl->sock.ino);
	rcu_read_unlock();
}

void
netlink_init(void)
{
	sock_register_family(AF_NETLINK, netlink_create);
	(void)proc_register("net/netlink", netlink_show); /* no memory: not shown */
	rtnl_link_init();
	rtnl_addr_init();
	rtnl_route_init();
	rtnl_neigh_init();
	sock_diag_init();
}
