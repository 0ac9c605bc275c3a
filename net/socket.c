/*
 * What every socket is: a counted struct sock with queues of datagrams, a pending error, and a
 * wait queue; and the file that programs hold it by. net/sys_socket.c has the system calls.
 *
 * A wake-up may come from a net thread with the socket's lock held, so signals to the owner
 * (O_ASYNC: SIGIO, urgent data: SIGURG) are sent by work of the net thread, later and lock-free.
 */
#include "net/sock.h"

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "kernel/stat.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "net/filter.h"
#include "net/net_timer.h"
#include "net/sock_priv.h"

enum { SOCKFS_DEV = 8 };

static uint64_t next_ino = 4096; /* [a] */
static uint32_t num_socks;       /* [a] */

static void sock_signal_work(struct net_work *);

/* ---- Life ----------------------------------------------------------------------------- */

/* A socket is its maker's, and one that came by accept the accepter's. As on Linux it has no times until
 * something is changed. */
static void
own(struct sock *sk)
{
	anon_attr_init(&sk->attr, S_IFSOCK | S_IRWXUGO);
	sk->attr.atime_ns = sk->attr.mtime_ns = sk->attr.ctime_ns = 0;
}

void
sock_init(struct sock *sk, const struct sock_ops *ops, int family, int type, int proto)
{
	sk->ops = ops;
	sk->family = (uint16_t)family;
	sk->type = (uint16_t)type;
	sk->proto = (uint8_t)proto;
	sk->refs = 1;
	spin_init(&sk->lock, "socket", RANK_SOCK);
	mutex_init(&sk->recv_lock, "socket readers", RANK_SOCK_RECV);
	mutex_init(&sk->send_lock, "socket writers", RANK_SOCK_SEND);
	wait_queue_init(&sk->wait);
	async_list_init(&sk->async);
	sk->signal_work.fn = sock_signal_work;
	sock_set_default_bufs(sk);
	sk->rcvlowat = sk->sndlowat = 1;
	sk->incoming_cpu = -1;
	sk->max_pacing_rate = UINT64_MAX;
	sk->txrehash = 1;
	sk->peek_off = -1;
	own(sk);
	sk->ino = __atomic_fetch_add(&next_ino, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&num_socks, 1, __ATOMIC_RELAXED);
}

void
sockets_init(void)
{
	sock_opt_init();
}

struct sock *
sock_get(struct sock *sk)
{
	__atomic_fetch_add(&sk->refs, 1, __ATOMIC_RELAXED);
	return sk;
}

bool
sock_try_get(struct sock *sk)
{
	uint32_t refs = __atomic_load_n(&sk->refs, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&sk->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void
sock_free(struct rcu_head *head)
{
	struct sock *sk = container_of(head, struct sock, rcu);

	pkt_queue_free(&sk->rx);
	pkt_queue_free(&sk->errors);
	filter_free(sk->filter);
	if (sk->peer_cred)
		cred_put(sk->peer_cred);
	sk->ops->destroy(sk);
	__atomic_fetch_sub(&num_socks, 1, __ATOMIC_RELAXED);
}

uint32_t
sock_count(void)
{
	return __atomic_load_n(&num_socks, __ATOMIC_RELAXED);
}

void
sock_put(struct sock *sk)
{
	/* Whoever found it under RCU may still give it a packet. */
	if (__atomic_sub_fetch(&sk->refs, 1, __ATOMIC_ACQ_REL) == 0)
		rcu_call(&sk->rcu, sock_free);
}

/* ---- Errors and waking ------------------------------------------------------------------ */

enum err
sock_take_error(struct sock *sk)
{
	enum err err;

	if (__atomic_load_n(&sk->error, __ATOMIC_RELAXED) == OK)
		return OK;
	spin_lock(&sk->lock);
	err = sk->error;
	sk->error = OK;
	spin_unlock(&sk->lock);
	return err;
}

void
sock_set_error(struct sock *sk, enum err err)
{
	__atomic_store_n(&sk->error, err, __ATOMIC_RELAXED);
	sock_wake(sk, POLLERR | POLLIN | POLLOUT);
}

/* Beside a bit for each enum poll_code. */
enum { DUE_URGENT = 1 << 0 };

static bool
has_owner(const struct sock *sk, uint32_t wanted_flag)
{
	const struct file *f;
	bool has;

	rcu_read_lock();
	f = rcu_dereference(sk->file);
	has = f && __atomic_load_n(&f->owner, __ATOMIC_RELAXED) &&
	      (f->flags & wanted_flag) == wanted_flag;
	rcu_read_unlock();
	return has;
}

static void
tell_urgent(const struct sock *sk)
{
	const struct file *f;

	rcu_read_lock();
	f = rcu_dereference(sk->file);
	if (f)
		file_tell_urgent(f);
	rcu_read_unlock();
}

static void
sock_signal_work(struct net_work *work)
{
	struct sock *sk = container_of(work, struct sock, signal_work);
	uint32_t due;

	__atomic_store_n(&sk->is_signal_queued, false, __ATOMIC_SEQ_CST);
	due = __atomic_exchange_n(&sk->signals_due, 0, __ATOMIC_SEQ_CST);
	if (due & DUE_URGENT)
		tell_urgent(sk);
	for (unsigned code = POLL_IN; code <= POLL_HUP; code++)
		if (due & 1u << code)
			async_tell(&sk->async, (enum poll_code)code);
	sock_put(sk);
}

/* Any context, any lock held: allocates nothing. */
static void
sock_signal_later(struct sock *sk, uint32_t due)
{
	__atomic_fetch_or(&sk->signals_due, due, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&sk->is_signal_queued, true, __ATOMIC_SEQ_CST))
		return;
	(void)sock_get(sk);
	net_work_queue(&sk->signal_work, 0);
}

void
sock_urgent(struct sock *sk)
{
	if (has_owner(sk, 0))
		sock_signal_later(sk, DUE_URGENT);
	sock_wake(sk, POLLPRI);
}

/* The one thing that a signal tells of several. */
static enum poll_code
code_of(uint32_t events)
{
	return events & POLLERR                ? POLL_ERR
	       : events & POLLHUP              ? POLL_HUP
	       : events & (POLLIN | POLLRDHUP) ? POLL_IN
	       : events & POLLPRI              ? POLL_PRI
	                                       : POLL_OUT;
}

void
sock_wake(struct sock *sk, uint32_t events)
{
	/* The condition that the caller has made true, before the look for sleepers. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&sk->wait.waiters.next, __ATOMIC_RELAXED) !=
	    &sk->wait.waiters) {
		bool is_for_all = events & (POLLERR | POLLHUP | POLLRDHUP);

		wait_queue_wake(&sk->wait, is_for_all ? ~0u : 1, events);
	}
	if (has_owner(sk, O_ASYNC))
		sock_signal_later(sk, 1u << code_of(events));
}

nsec_t
sock_deadline(nsec_t timeo_ns)
{
	return timeo_ns ? clock_now_ns() + timeo_ns : NO_TIMEOUT;
}

enum err
sock_wait_result(enum err err, nsec_t deadline_ns)
{
	if (err == ERR_TIMEDOUT)
		return ERR_AGAIN;
	return err == ERR_RESTARTSYS && deadline_ns != NO_TIMEOUT ? ERR_INTR : err;
}

/* ---- Queues of datagrams ------------------------------------------------------------------ */

bool
sock_queue_rx(struct sock *sk, struct pkt *p)
{
	bool fits;

	if ((sk->is_timestamp || sk->is_timestampns || sk->stamping) && !p->stamp_ns)
		p->stamp_ns = (nsec_t)clock_wall_ns();
	spin_lock(&sk->lock);
	fits = sk->rx_bytes <= sk->rcvbuf;
	if (fits) {
		pkt_queue_push(&sk->rx, p);
		sk->rx_bytes += p->truesize;
	} else {
		sk->drops++;
	}
	spin_unlock(&sk->lock);
	if (fits)
		sock_wake(sk, POLLIN | POLLRDNORM);
	return fits;
}

/* The first datagram, taken out or (MSG_PEEK) shared; *out NULL: none. ERR_NOBUFS: sharing failed. */
static enum err
sock_pop_rx(struct sock *sk, bool is_peek, struct pkt **out)
{
	struct pkt *first, *p;

	spin_lock(&sk->lock);
	first = sk->rx.first;
	if (is_peek) {
		p = first ? pkt_clone(first) : NULL;
		if (p)
			memcpy(p->cb, first->cb, sizeof(p->cb));
	} else {
		p = pkt_queue_pop(&sk->rx);
		if (p)
			sk->rx_bytes -= p->truesize;
	}
	spin_unlock(&sk->lock);
	*out = p;
	return first && !p ? ERR_NOBUFS : OK;
}

static bool
sock_has_rx(const struct sock *sk)
{
	return __atomic_load_n(&sk->rx.first, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK ||
	       (__atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED) & SOCK_NO_RECV);
}

enum err
sock_dequeue_rx(struct sock *sk, struct sock_msg *msg, struct pkt **out)
{
	for (;;) {
		enum err err = sock_take_error(sk);

		*out = NULL;
		if (err != OK)
			return err;
		err = sock_pop_rx(sk, msg->flags & MSG_PEEK, out);
		if (err != OK || *out || (sk->shutdown & SOCK_NO_RECV))
			return err;
		err = sock_wait(
		    sk, sock_has_rx(sk), msg->deadline_ns, msg->flags & MSG_DONTWAIT);
		if (err != OK)
			return err;
	}
}

/* ---- The file -------------------------------------------------------------------------------- */

static ssize_t
sock_file_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct sock *sk = f->private;
	struct sock_msg msg = {.uio = u, .deadline_ns = sock_deadline(sk->rcvtimeo_ns)};

	if (!u->resid)
		return 0;
	if ((f->flags & O_NONBLOCK) || u->is_nowait)
		msg.flags |= MSG_DONTWAIT;
	return sk->ops->recv(sk, &msg);
}

static ssize_t
sock_file_write(struct file *f, struct uio *u, loff_t *pos)
{
	struct sock *sk = f->private;
	struct sock_msg msg = {.uio = u, .deadline_ns = sock_deadline(sk->sndtimeo_ns)};

	if ((f->flags & O_NONBLOCK) || u->is_nowait)
		msg.flags |= MSG_DONTWAIT;
	return sock_sigpipe(sk, msg.flags, sk->ops->send(sk, &msg));
}

static ssize_t
sock_file_send_page(
    struct file *f, struct page *page, uint32_t off, uint32_t len, bool has_more)
{
	struct sock *sk = f->private;
	unsigned flags =
	    (has_more ? MSG_MORE : 0) | (f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);

	if (!sk->ops->send_page)
		return ERR_OPNOTSUPP;
	return sock_sigpipe(sk, flags, sk->ops->send_page(sk, page, off, len, flags));
}

static uint32_t
sock_file_poll(struct file *f, struct poll_table *pt)
{
	struct sock *sk = f->private;

	poll_wait(f, &sk->wait, pt);
	/* On the queue first, then the look: the other half of the fence in sock_wake. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return sk->ops->poll(sk);
}

static long
sock_file_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	enum {
		FIOSETOWN = 0x8901,
		SIOCSPGRP = 0x8902,
		FIOGETOWN = 0x8903,
		SIOCGPGRP = 0x8904
	};
	struct sock *sk = f->private;
	long result = sk->ops->ioctl ? sk->ops->ioctl(sk, cmd, arg) : ERR_NOTTY;
	int32_t owner;

	if (result != ERR_NOTTY)
		return result;
	switch (cmd) {
	case FIOSETOWN:
	case SIOCSPGRP:
		if (get_user(owner, (const int32_t USER *)arg) != OK)
			return ERR_FAULT;
		return file_set_owner(f, owner);
	case FIOGETOWN:
	case SIOCGPGRP:
		owner = file_get_owner(f);
		return put_user(owner, (int32_t USER *)arg);
	default: return sock_ioctl_ifconf(sk, cmd, arg);
	}
}

static void
sock_file_release(struct file *f)
{
	struct sock *sk = f->private;

	rcu_assign(sk->file, NULL);
	sk->ops->close(sk);
	sock_put(sk);
}

static void
sock_file_stat(const struct file *f, struct stat *st)
{
	const struct sock *sk = f->private;

	st->st_dev = SOCKFS_DEV;
	st->st_ino = sk->ino;
}

static struct anon_attr *
sock_file_attr(const struct file *f)
{
	struct sock *sk = f->private;

	return &sk->attr;
}

static enum err
sock_file_mmap(struct file *f, struct area *area)
{
	struct sock *sk = f->private;

	return sk->ops->mmap ? sk->ops->mmap(sk, area) : ERR_NODEV;
}

static struct async_list *
sock_file_async(struct file *f)
{
	struct sock *sk = f->private;

	return &sk->async;
}

static const struct file_ops sock_file_ops = {
    .anon_attr = sock_file_attr,
    .async = sock_file_async,
    .read = sock_file_read,
    .write = sock_file_write,
    .send_page = sock_file_send_page,
    .poll = sock_file_poll,
    .ioctl = sock_file_ioctl,
    .mmap = sock_file_mmap,
    .release = sock_file_release,
    .anon_mode = S_IFSOCK | S_IRWXUGO,
    .anon_name = "socket",
    .anon_stat = sock_file_stat,
};

struct sock *
sock_of_file(const struct file *f)
{
	return f->ops == &sock_file_ops ? f->private : NULL;
}

struct file *
sock_file_create(struct sock *sk, int flags)
{
	struct file *f =
	    file_alloc(&sock_file_ops, O_RDWR | ((uint32_t)flags & SOCK_NONBLOCK), sk);

	if (f) {
		own(sk);
		rcu_assign(sk->file, f);
	} else {
		sk->ops->close(sk);
		sock_put(sk);
	}
	return f;
}

long
sock_install(struct sock *sk, int flags)
{
	struct file *f = sock_file_create(sk, flags);
	int fd;

	if (!f)
		return ERR_NFILE;
	fd = fd_install(f, 0, flags & SOCK_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long
sock_sigpipe(struct sock *sk, unsigned flags, long result)
{
	const struct siginfo info = {
	    .code = SI_USER, .pid = current_process()->pid, .uid = current_cred()->uid};

	if (result == ERR_PIPE && !(flags & MSG_NOSIGNAL) && sk->type == SOCK_STREAM)
		(void)signal_send_thread(
		    current_thread(), SIGPIPE, &info); /* the result says it too */
	return result;
}
