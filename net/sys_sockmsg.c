/*
 * System calls that send and receive on sockets. User data stays where it is (a uio describes
 * it); addresses and control data are copied to kernel memory, so families see neither.
 */
#include "kernel/file.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "net/sock_priv.h"
#include "syscalls.h"

enum {
	MAX_TRANSFER = 0x7ffff000, /* one call moves at most this */
	MAX_IOV = 1024,
	MAX_MMSG = 1024,
	FAST_IOV = 4,
	FAST_CONTROL = 96,
	MAX_CONTROL = 131072, /* net.core.optmem_max */
};

/* MSG_* that programs may give; the rest has a meaning inside of Linux only. */
#define MSG_USER_FLAGS \
	(MSG_OOB | MSG_PEEK | MSG_DONTROUTE | MSG_TRUNC | MSG_DONTWAIT | MSG_EOR | \
	    MSG_WAITALL | MSG_CONFIRM | MSG_ERRQUEUE | MSG_NOSIGNAL | MSG_MORE | \
	    MSG_CMSG_CLOEXEC)

struct user_msghdr {
	void USER *name;
	int32_t name_len;
	const struct iovec USER *iov;
	size_t iov_len;
	void USER *control;
	size_t control_len;
	uint32_t flags;
};

struct user_mmsghdr {
	struct user_msghdr hdr;
	uint32_t len;
};

static_assert(sizeof(struct user_msghdr) == 56, "struct msghdr of x86-64");
static_assert(sizeof(struct user_mmsghdr) == 64, "struct mmsghdr of x86-64");

static unsigned
msg_flags(const struct file *f, unsigned flags)
{
	return (flags & MSG_USER_FLAGS) | (f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

/* ---- One buffer --------------------------------------------------------------------------- */

long
sys_sendto(int fd, const void USER *buf, size_t n, unsigned flags, const void USER *addr,
    int addr_len)
{
	struct sock_addr name;
	struct uio uio;
	struct sock_msg msg = {.uio = &uio};
	struct file *f;
	long result;
	struct sock *sk;

	n = MIN(n, (size_t)MAX_TRANSFER);
	if (!user_range_ok(buf, n))
		return ERR_FAULT;
	sk = sock_by_fd(fd, &f, &result);
	if (!sk)
		return result;
	uio_init_user(&uio, (void USER *)buf, n, true);
	result = addr ? sock_addr_from_user(&name, addr, addr_len) : OK;
	if (result == OK) {
		msg.name = addr ? &name : NULL;
		msg.flags = msg_flags(f, flags);
		msg.deadline_ns = sock_deadline(sk->sndtimeo_ns);
		result = sock_sigpipe(sk, msg.flags, sk->ops->send(sk, &msg));
	}
	file_put(f);
	return result;
}

long
sys_recvfrom(
    int fd, void USER *buf, size_t n, unsigned flags, void USER *addr, int USER *addr_len)
{
	struct sock_addr name = {.len = 0};
	struct uio uio;
	struct sock_msg msg = {.uio = &uio, .name = addr ? &name : NULL};
	struct file *f;
	long result;
	struct sock *sk;

	n = MIN(n, (size_t)MAX_TRANSFER);
	if (!user_range_ok(buf, n))
		return ERR_FAULT;
	sk = sock_by_fd(fd, &f, &result);
	if (!sk)
		return result;
	uio_init_user(&uio, buf, n, false);
	msg.flags = msg_flags(f, flags);
	msg.deadline_ns = sock_deadline(sk->rcvtimeo_ns);
	result = sk->ops->recv(sk, &msg);
	if (result >= 0 && addr) {
		enum err err = sock_addr_to_user(&name, addr, addr_len);

		if (err != OK)
			result = err;
	}
	file_put(f);
	return result;
}

/* ---- Message headers ------------------------------------------------------------------------- */

/* A message header brought in, with everything it points to that is not data. */
struct call {
	struct user_msghdr hdr;
	struct sock_addr name;
	struct sock_msg msg;
	struct uio uio;
	struct iovec fast_iov[FAST_IOV], *iov;
	uint64_t fast_control[FAST_CONTROL / 8];
};

static enum err
call_get_iov(struct call *c, bool is_write)
{
	size_t n = c->hdr.iov_len;
	size_t total = 0;
	enum err err;

	if (n > MAX_IOV)
		return ERR_MSGSIZE;
	c->iov = n <= FAST_IOV ? c->fast_iov : kcalloc(n, sizeof(*c->iov));
	if (!c->iov)
		return ERR_NOMEM;
	err = n ? copy_from_user(c->iov, c->hdr.iov, n * sizeof(*c->iov)) : OK;
	for (size_t i = 0; i < n && err == OK; i++) {
		struct iovec *v = &c->iov[i];

		if ((ssize_t)v->len < 0)
			err = ERR_INVAL;
		else if (!user_range_ok(v->base, v->len))
			err = ERR_FAULT;
		v->len = MIN(v->len, MAX_TRANSFER - total);
		total += v->len;
	}
	if (err == OK)
		uio_init_vector(&c->uio, c->iov, n, is_write);
	return err;
}

/* Room for control data; for a send filled in. */
static enum err
call_get_control(struct call *c, bool is_write)
{
	size_t n = c->hdr.control ? c->hdr.control_len : 0;

	if (c->hdr.control_len > INT32_MAX)
		return ERR_NOBUFS;
	if (!is_write)
		n = MIN(n, (size_t)MAX_CONTROL);
	if (n > MAX_CONTROL)
		return ERR_NOBUFS;
	if (!n)
		return OK;
	c->msg.control =
	    n <= sizeof(c->fast_control) ? (uint8_t *)c->fast_control : kzalloc(n);
	if (!c->msg.control)
		return ERR_NOBUFS;
	c->msg.control_len = n;
	return is_write ? copy_from_user(c->msg.control, c->hdr.control, n) : OK;
}

static void
call_fini(struct call *c)
{
	if (c->iov != c->fast_iov)
		kfree(c->iov);
	if (c->msg.control != (uint8_t *)c->fast_control)
		kfree(c->msg.control);
}

static enum err
call_init(struct call *c, const struct user_msghdr USER *user, bool is_write)
{
	enum err err = copy_from_user(&c->hdr, user, sizeof(c->hdr));

	c->msg = (struct sock_msg){.uio = &c->uio};
	c->iov = NULL;
	c->name.len = 0;
	if (err != OK)
		return err;
	if (!c->hdr.name)
		c->hdr.name_len = 0;
	if (c->hdr.name_len < 0)
		return ERR_INVAL;
	c->hdr.name_len = MIN(c->hdr.name_len, (int32_t)sizeof(c->name.bytes));
	if (is_write && c->hdr.name_len) {
		err = sock_addr_from_user(&c->name, c->hdr.name, c->hdr.name_len);
		c->msg.name = &c->name;
	} else if (!is_write && c->hdr.name) {
		c->msg.name = &c->name;
	}
	if (err == OK)
		err = call_get_iov(c, is_write);
	if (err == OK)
		err = call_get_control(c, is_write);
	return err;
}

static long
send_one(struct sock *sk, const struct user_msghdr USER *user, unsigned flags)
{
	struct call c;
	long result = call_init(&c, user, true);

	if (result == OK) {
		c.msg.flags = flags;
		c.msg.deadline_ns = sock_deadline(sk->sndtimeo_ns);
		result = sock_sigpipe(sk, flags, sk->ops->send(sk, &c.msg));
	}
	call_fini(&c);
	return result;
}

/* Gives back what the header's fields are to say after a receive. */
static enum err
recv_results(struct call *c, struct user_msghdr USER *user)
{
	uint32_t flags = c->msg.out_flags;
	uint64_t control_len = c->msg.control_used;
	enum err err = OK;

	if (c->hdr.name)
		err = sock_addr_to_user(&c->name, c->hdr.name,
		    (int USER *)((uintptr_t)user +
		                 offsetof(struct user_msghdr, name_len)));
	if (err == OK)
		err = copy_to_user(
		    (void USER *)((uintptr_t)user + offsetof(struct user_msghdr, flags)),
		    &flags, sizeof(flags));
	if (err == OK && control_len)
		err = copy_to_user(c->hdr.control, c->msg.control, control_len);
	if (err == OK)
		err =
		    copy_to_user((void USER *)((uintptr_t)user +
		                               offsetof(struct user_msghdr, control_len)),
		        &control_len, sizeof(control_len));
	return err;
}

static long
recv_one(
    struct sock *sk, struct user_msghdr USER *user, unsigned flags, unsigned *out_flags)
{
	struct call c;
	long result = call_init(&c, user, false);

	if (result == OK) {
		c.msg.flags = flags;
		c.msg.deadline_ns = sock_deadline(sk->rcvtimeo_ns);
		c.msg.out_flags = flags & MSG_CMSG_CLOEXEC;
		result = sk->ops->recv(sk, &c.msg);
		*out_flags = c.msg.out_flags;
	}
	if (result >= 0) {
		enum err err = recv_results(&c, user);

		if (err != OK)
			result = err;
	}
	call_fini(&c);
	return result;
}

long
sys_sendmsg(int fd, const struct user_msghdr USER *msg, unsigned flags)
{
	struct file *f;
	long result;
	struct sock *sk = sock_by_fd(fd, &f, &result);

	if (!sk)
		return result;
	result = send_one(sk, msg, msg_flags(f, flags));
	file_put(f);
	return result;
}

long
sys_recvmsg(int fd, struct user_msghdr USER *msg, unsigned flags)
{
	unsigned out_flags;
	struct file *f;
	long result;
	struct sock *sk = sock_by_fd(fd, &f, &result);

	if (!sk)
		return result;
	result = recv_one(sk, msg, msg_flags(f, flags), &out_flags);
	file_put(f);
	return result;
}

/* ---- Rows of messages --------------------------------------------------------------------------- */

static enum err
put_mmsg_len(struct user_mmsghdr USER *m, long n)
{
	uint32_t len = (uint32_t)n;

	return copy_to_user(
	    (void USER *)((uintptr_t)m + offsetof(struct user_mmsghdr, len)), &len,
	    sizeof(len));
}

long
sys_sendmmsg(int fd, struct user_mmsghdr USER *vec, unsigned n, unsigned flags)
{
	struct file *f;
	long result;
	struct sock *sk = sock_by_fd(fd, &f, &result);
	unsigned done = 0;

	if (!sk)
		return result;
	n = MIN(n, (unsigned)MAX_MMSG);
	result = OK;
	flags = msg_flags(f, flags);
	while (done < n) {
		struct user_mmsghdr USER *m =
		    (void USER *)((uintptr_t)vec + done * sizeof(struct user_mmsghdr));

		result = send_one(sk, (void USER *)m, flags);
		if (result >= 0)
			result = put_mmsg_len(m, result);
		if (result < 0)
			break;
		done++;
		if (signal_is_pending(current_thread()))
			break;
	}
	file_put(f);
	return done ? (long)done : result;
}

/* At most `n` messages until `end_ns`; an error after the first is kept for the next call. */
static long
recv_row(struct sock *sk, struct user_mmsghdr USER *vec, unsigned n, unsigned flags,
    nsec_t end_ns)
{
	bool one_waits = flags & MSG_WAITFORONE;
	unsigned done = 0, out_flags = 0;
	long result = sock_take_error(sk);

	flags &= ~(unsigned)MSG_WAITFORONE;
	while (result >= 0 && done < n && !(out_flags & MSG_OOB)) {
		struct user_mmsghdr USER *m =
		    (void USER *)((uintptr_t)vec + done * sizeof(struct user_mmsghdr));

		result = recv_one(sk, (void USER *)m, flags, &out_flags);
		if (result >= 0)
			result = put_mmsg_len(m, result);
		if (result < 0)
			break;
		done++;
		if (one_waits)
			flags |= MSG_DONTWAIT;
		if (end_ns && clock_now_ns() >= end_ns)
			break;
	}
	if (done && result < 0 && result != ERR_AGAIN)
		sock_set_error(sk, (enum err)result);
	return done ? (long)done : result;
}

long
sys_recvmmsg(int fd, struct user_mmsghdr USER *vec, unsigned n, unsigned flags,
    struct timespec USER *timeout)
{
	struct timespec ts;
	nsec_t end_ns = 0, now;
	struct file *f;
	long result;
	struct sock *sk;

	if (timeout) {
		if (get_user(ts, timeout) != OK)
			return ERR_FAULT;
		if (!timespec_is_valid(&ts))
			return ERR_INVAL;
		end_ns = clock_now_ns() + timespec_to_ns(&ts);
	}
	sk = sock_by_fd(fd, &f, &result);
	if (!sk)
		return result;
	result =
	    recv_row(sk, vec, n, msg_flags(f, flags) | (flags & MSG_WAITFORONE), end_ns);
	file_put(f);
	now = clock_now_ns();
	if (timeout && result > 0) {
		ts = timespec_from_ns(now < end_ns ? end_ns - now : 0);
		if (put_user(ts, timeout) != OK)
			result = ERR_FAULT;
	}
	return result;
}
