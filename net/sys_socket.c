/*
 * System calls on sockets, all but those that move data (net/sys_sockmsg.c). Arguments are
 * checked in Linux's order, so that a call with two of them wrong fails the same way.
 */
#include "kernel/file.h"
#include "kernel/panic.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "net/sock_priv.h"
#include "syscalls.h"

enum {
	SOCK_TYPE_MASK = 0xf,
	SOCK_TYPES = 11,
	FAMILIES = 46,
	MAX_OPT_LEN = 65536,
	SOL_SOCKET = 1,
};

static sock_create_fn *families[FAMILIES];

void
sock_register_family(int family, sock_create_fn *create)
{
	ASSERT(family > 0 && family < FAMILIES && !families[family]);
	families[family] = create;
}

struct sock *
sock_by_fd(int fd, struct file **f, long *err)
{
	struct sock *sk;

	*f = fd_get(fd);
	*err = ERR_BADF;
	if (!*f)
		return NULL;
	sk = (*f)->mode & FILE_PATH ? NULL : sock_of_file(*f);
	if (sk)
		return sk;
	*err = (*f)->mode & FILE_PATH ? ERR_BADF : ERR_NOTSOCK;
	file_put(*f);
	return NULL;
}

enum err
sock_addr_from_user(struct sock_addr *a, const void USER *user, int len)
{
	if (len < 0 || len > (int)sizeof(a->bytes))
		return ERR_INVAL;
	memset(a, 0, sizeof(*a));
	a->len = (unsigned)len;
	return len ? copy_from_user(a->bytes, user, (size_t)len) : OK;
}

enum err
sock_addr_to_user(const struct sock_addr *a, void USER *user, int USER *user_len)
{
	int32_t room, len = (int32_t)a->len;
	enum err err = get_user(room, user_len);

	if (err != OK)
		return err;
	if (room < 0)
		return ERR_INVAL;
	room = MIN(room, len);
	if (room)
		err = copy_to_user(user, a->bytes, (size_t)room);
	return err != OK ? err : put_user(len, user_len);
}

long
sys_socket(int family, int type, int proto)
{
	int flags = type & ~SOCK_TYPE_MASK;
	struct sock *sk;
	enum err err;

	type &= SOCK_TYPE_MASK;
	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return ERR_INVAL;
	if (family < 0 || family >= FAMILIES)
		return ERR_AFNOSUPPORT;
	if (type >= SOCK_TYPES)
		return ERR_INVAL;
	if (family == AF_INET && type == SOCK_PACKET)
		family = AF_PACKET;
	if (!families[family])
		return ERR_AFNOSUPPORT;
	err = families[family](family, type, proto, &sk);
	return err != OK ? err : sock_install(sk, flags);
}

/* Ends a socket that has no file. */
static void
drop_new(struct sock *sk)
{
	sk->ops->close(sk);
	sock_put(sk);
}

/* Two new sockets, connected; on an error none. */
static enum err
make_pair(int family, int type, int proto, struct sock *pair[2])
{
	enum err err = families[family](family, type, proto, &pair[0]);

	if (err != OK)
		return err;
	err = families[family](family, type, proto, &pair[1]);
	if (err == OK) {
		err = pair[0]->ops->pair ? pair[0]->ops->pair(pair[0], pair[1])
		                         : ERR_OPNOTSUPP;
		if (err == OK)
			return OK;
		drop_new(pair[1]);
	}
	drop_new(pair[0]);
	return err;
}

/* Descriptors for both, told to the caller; on an error none. Takes the references. */
static long
install_pair(struct sock *pair[2], int flags, int USER *user)
{
	int32_t fds[2];
	enum err err;

	fds[0] = (int32_t)sock_install(pair[0], flags);
	if (fds[0] < 0) {
		drop_new(pair[1]);
		return fds[0];
	}
	fds[1] = (int32_t)sock_install(pair[1], flags);
	err = fds[1] < 0 ? (enum err)fds[1] : copy_to_user(user, fds, sizeof(fds));
	if (err == OK)
		return 0;
	/* They are ours until their numbers are told. */
	(void)fd_close(fds[0]);
	if (fds[1] >= 0)
		(void)fd_close(fds[1]);
	return err;
}

long
sys_socketpair(int family, int type, int proto, int USER *fds)
{
	int flags = type & ~SOCK_TYPE_MASK;
	struct sock *pair[2];
	enum err err;

	type &= SOCK_TYPE_MASK;
	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return ERR_INVAL;
	if (family < 0 || family >= FAMILIES)
		return ERR_AFNOSUPPORT;
	if (type >= SOCK_TYPES)
		return ERR_INVAL;
	if (!families[family])
		return ERR_AFNOSUPPORT;
	err = make_pair(family, type, proto, pair);
	return err != OK ? err : install_pair(pair, flags, fds);
}

long
sys_bind(int fd, const void USER *addr, int len)
{
	struct sock_addr a;
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	err = sock_addr_from_user(&a, addr, len);
	if (err == OK)
		err = sk->ops->bind ? sk->ops->bind(sk, &a) : ERR_OPNOTSUPP;
	file_put(f);
	return err;
}

long
sys_connect(int fd, const void USER *addr, int len)
{
	struct sock_addr a;
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	err = sock_addr_from_user(&a, addr, len);
	if (err == OK)
		err = sk->ops->connect
		          ? sk->ops->connect(sk, &a, sock_deadline(sk->sndtimeo_ns),
		                f->flags & O_NONBLOCK)
		          : ERR_OPNOTSUPP;
	file_put(f);
	return err;
}

long
sys_listen(int fd, int backlog)
{
	enum { SOMAXCONN = 4096 };
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	if ((unsigned)backlog > SOMAXCONN)
		backlog = SOMAXCONN;
	err = sk->ops->listen ? sk->ops->listen(sk, backlog) : ERR_OPNOTSUPP;
	file_put(f);
	return err;
}

/* Tells who connected, then fills the descriptor: on a fault there nobody knows of the connection
 * and it ends. */
static enum err
fill_accepted(int fd, struct sock *child, void USER *addr, int USER *len, int flags)
{
	struct file *f;
	struct sock_addr a = {.len = 0};
	enum err err = OK;

	if (addr)
		err = child->ops->getname(child, &a, true) != OK
		          ? ERR_CONNABORTED
		          : sock_addr_to_user(&a, addr, len);
	if (err != OK) {
		drop_new(child);
		return err;
	}
	f = sock_file_create(child, flags);
	if (!f)
		return ERR_NFILE;
	fd_fill(fd, f);
	return OK;
}

long
sys_accept4(int fd, void USER *addr, int USER *len, int flags)
{
	struct sock *child;
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);
	int new_fd;

	if (!sk)
		return err;
	/* Without a descriptor the connection stays for a later call. */
	new_fd = flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)
	             ? ERR_INVAL
	             : fd_reserve(flags & SOCK_CLOEXEC);
	if (new_fd >= 0) {
		err = sk->ops->accept
		          ? sk->ops->accept(sk, &child, sock_deadline(sk->rcvtimeo_ns),
		                f->flags & O_NONBLOCK)
		          : ERR_OPNOTSUPP;
		if (err == OK)
			err = fill_accepted(new_fd, child, addr, len, flags);
		if (err != OK)
			fd_unreserve(new_fd);
	}
	file_put(f);
	return new_fd < 0 || err == OK ? new_fd : err;
}

long
sys_accept(int fd, void USER *addr, int USER *len)
{
	return sys_accept4(fd, addr, len, 0);
}

static long
get_name(int fd, void USER *addr, int USER *len, bool is_peer)
{
	struct sock_addr a = {.len = 0};
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	err = sk->ops->getname ? sk->ops->getname(sk, &a, is_peer) : ERR_OPNOTSUPP;
	if (err == OK)
		err = sock_addr_to_user(&a, addr, len);
	file_put(f);
	return err;
}

long
sys_getsockname(int fd, void USER *addr, int USER *len)
{
	return get_name(fd, addr, len, false);
}

long
sys_getpeername(int fd, void USER *addr, int USER *len)
{
	return get_name(fd, addr, len, true);
}

long
sys_shutdown(int fd, int how)
{
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	if (how < SHUT_RD || how > SHUT_RDWR)
		err = ERR_INVAL;
	else
		err = sk->ops->shutdown ? sk->ops->shutdown(sk, how) : ERR_OPNOTSUPP;
	file_put(f);
	return err;
}

/* ---- Options ------------------------------------------------------------------------------ */

static enum err
set_option(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	if (level == SOL_SOCKET)
		return sock_setsockopt(sk, opt, val, len);
	return sk->ops->setsockopt ? sk->ops->setsockopt(sk, level, opt, val, len)
	                           : ERR_OPNOTSUPP;
}

static enum err
get_option(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	if (level == SOL_SOCKET)
		return sock_getsockopt(sk, opt, val, len);
	return sk->ops->getsockopt ? sk->ops->getsockopt(sk, level, opt, val, len)
	                           : ERR_OPNOTSUPP;
}

/* Small values, as nearly all are, lie on the stack. */
struct opt_buf {
	uint64_t words[8];
	void *val;
};

static bool
opt_buf_init(struct opt_buf *b, size_t n)
{
	memset(b->words, 0, sizeof(b->words));
	b->val = n <= sizeof(b->words) ? b->words : kzalloc(n);
	return b->val;
}

static void
opt_buf_fini(struct opt_buf *b)
{
	if (b->val != b->words)
		kfree(b->val);
}

long
sys_setsockopt(int fd, int level, int opt, const void USER *val, int len)
{
	struct opt_buf b;
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	err = ERR_INVAL;
	if (len < 0)
		goto put_file;
	len = MIN(len, MAX_OPT_LEN);
	err = ERR_NOMEM;
	if (!opt_buf_init(&b, (size_t)len))
		goto put_file;
	err = copy_from_user(b.val, val, (size_t)len);
	if (err == OK)
		err = set_option(sk, level, opt, b.val, (unsigned)len);
	opt_buf_fini(&b);
put_file:
	file_put(f);
	return err;
}

/* Some options (source filters) read from the buffer what is asked for: its start is copied in. */
static long
get_option_to_user(
    struct sock *sk, int level, int opt, void USER *val, int USER *user_len)
{
	struct opt_buf b;
	int32_t len;
	unsigned n;
	bool is_told;
	enum err err = get_user(len, user_len);

	if (err != OK)
		return err;
	if (len < 0)
		return ERR_INVAL;
	n = MIN((unsigned)len, (unsigned)MAX_OPT_LEN);
	if (!opt_buf_init(&b, n))
		return ERR_NOMEM;
	if (n)
		(void)copy_from_user_partial(
		    b.val, val, n); /* it is not needed as a rule */
	err = get_option(sk, level, opt, b.val, &n);
	/* Also how long it is, if it tells no more (TCP_SAVED_SYN). */
	is_told = err == OK || (err == ERR_INVAL && n > (unsigned)len);
	len = (int32_t)n;
	if (is_told && put_user(len, user_len) != OK)
		err = ERR_FAULT;
	if (err == OK && n)
		err = copy_to_user(val, b.val, n);
	opt_buf_fini(&b);
	return err;
}

long
sys_getsockopt(int fd, int level, int opt, void USER *val, int USER *len)
{
	struct file *f;
	long err;
	struct sock *sk = sock_by_fd(fd, &f, &err);

	if (!sk)
		return err;
	err = get_option_to_user(sk, level, opt, val, len);
	file_put(f);
	return err;
}
