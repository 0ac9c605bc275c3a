/*
 * Options of level SOL_SOCKET, socket(7). On/off options are a table of fields; the others a
 * switch. What has no meaning here (SO_DEBUG, SO_BUSY_POLL...) is accepted and remembered.
 */
#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "net/filter.h"
#include "net/netdev.h"
#include "net/sock_priv.h"

enum so {
	SO_DEBUG = 1,
	SO_REUSEADDR = 2,
	SO_TYPE = 3,
	SO_ERROR = 4,
	SO_DONTROUTE = 5,
	SO_BROADCAST = 6,
	SO_SNDBUF = 7,
	SO_RCVBUF = 8,
	SO_KEEPALIVE = 9,
	SO_OOBINLINE = 10,
	SO_NO_CHECK = 11,
	SO_PRIORITY = 12,
	SO_LINGER = 13,
	SO_BSDCOMPAT = 14,
	SO_REUSEPORT = 15,
	SO_PASSCRED = 16,
	SO_PEERCRED = 17,
	SO_RCVLOWAT = 18,
	SO_SNDLOWAT = 19,
	SO_RCVTIMEO = 20,
	SO_SNDTIMEO = 21,
	SO_BINDTODEVICE = 25,
	SO_ATTACH_FILTER = 26,
	SO_DETACH_FILTER = 27,
	SO_PEERNAME = 28,
	SO_TIMESTAMP = 29,
	SO_ACCEPTCONN = 30,
	SO_SNDBUFFORCE = 32,
	SO_RCVBUFFORCE = 33,
	SO_PASSSEC = 34,
	SO_TIMESTAMPNS = 35,
	SO_MARK = 36,
	SO_TIMESTAMPING = 37,
	SO_PROTOCOL = 38,
	SO_DOMAIN = 39,
	SO_RXQ_OVFL = 40,
	SO_WIFI_STATUS = 41,
	SO_PEEK_OFF = 42,
	SO_NOFCS = 43,
	SO_LOCK_FILTER = 44,
	SO_SELECT_ERR_QUEUE = 45,
	SO_BUSY_POLL = 46,
	SO_MAX_PACING_RATE = 47,
	SO_BPF_EXTENSIONS = 48,
	SO_INCOMING_CPU = 49,
	SO_MEMINFO = 55,
	SO_INCOMING_NAPI_ID = 56,
	SO_COOKIE = 57,
	SO_PEERGROUPS = 59,
	SO_ZEROCOPY = 60,
	SO_BINDTOIFINDEX = 62,
	SO_TIMESTAMP_NEW = 63,
	SO_TIMESTAMPNS_NEW = 64,
	SO_TIMESTAMPING_NEW = 65,
	SO_RCVTIMEO_NEW = 66,
	SO_SNDTIMEO_NEW = 67,
	SO_PREFER_BUSY_POLL = 69,
	SO_BUSY_POLL_BUDGET = 70,
	SO_NETNS_COOKIE = 71,
	SO_BUF_LOCK = 72,
	SO_TXREHASH = 74,
	SO_RCVMARK = 75,
};

enum {
	BUF_DEFAULT = 212992,
	SNDBUF_MIN = 4608,
	RCVBUF_MIN = 2304,
	BUF_LOCK_SND = 1,
	BUF_LOCK_RCV = 2,
	PRIORITY_FREE_MAX = 6, /* higher ones take CAP_NET_ADMIN */
};

/* net.core.*: sizes of buffers at first, and the most that may be asked for. [a] */
static uint32_t rmem_default = BUF_DEFAULT, wmem_default = BUF_DEFAULT,
                rmem_max = BUF_DEFAULT, wmem_max = BUF_DEFAULT;

struct linger {
	int32_t is_on, seconds;
};

/* Each sets and tells one bool. */
static const struct sock_flag flags[] = {
    {SO_DEBUG, offsetof(struct sock, is_debug)},
    {SO_REUSEADDR, offsetof(struct sock, is_reuseaddr)},
    {SO_DONTROUTE, offsetof(struct sock, is_dontroute)},
    {SO_BROADCAST, offsetof(struct sock, is_broadcast)},
    {SO_KEEPALIVE, offsetof(struct sock, is_keepalive)},
    {SO_OOBINLINE, offsetof(struct sock, is_oobinline)},
    {SO_NO_CHECK, offsetof(struct sock, is_no_check)},
    {SO_BSDCOMPAT, offsetof(struct sock, is_bsdcompat)},
    {SO_REUSEPORT, offsetof(struct sock, is_reuseport)},
    {SO_PASSCRED, offsetof(struct sock, is_passcred)},
    {SO_PASSSEC, offsetof(struct sock, is_passsec)},
    {SO_RXQ_OVFL, offsetof(struct sock, is_rxq_ovfl)},
    {SO_WIFI_STATUS, offsetof(struct sock, is_wifi_status)},
    {SO_NOFCS, offsetof(struct sock, is_nofcs)},
    {SO_SELECT_ERR_QUEUE, offsetof(struct sock, is_select_err_queue)},
    {SO_PREFER_BUSY_POLL, offsetof(struct sock, is_prefer_busy_poll)},
    {SO_RCVMARK, offsetof(struct sock, is_rcvmark)},
};

bool *
sock_flag_of(struct sock *sk, const struct sock_flag *table, size_t n, int opt)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].opt == opt)
			return (bool *)((char *)sk + table[i].field);
	return NULL;
}

/* ---- Setting ------------------------------------------------------------------------------- */

static enum err
set_device_index(struct sock *sk, uint32_t index)
{
	if (sk->bound_if && !capable(CAP_NET_RAW))
		return ERR_PERM;
	sk->bound_if = index;
	return OK;
}

static enum err
set_device(struct sock *sk, const void *val, unsigned len)
{
	char name[NETDEV_NAME] = {0};
	struct netdev *dev;
	uint32_t index = 0;

	if (sk->bound_if && !capable(CAP_NET_RAW))
		return ERR_PERM;
	memcpy(name, val, MIN(len, (unsigned)sizeof(name) - 1));
	if (name[0]) {
		rcu_read_lock();
		dev = netdev_by_name(name);
		index = dev ? dev->index : 0;
		rcu_read_unlock();
		if (!index)
			return ERR_NODEV;
	}
	return set_device_index(sk, index);
}

static enum err
set_timeout(nsec_t *timeo, const void *val, unsigned len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return ERR_INVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.usec < 0 || tv.usec >= 1000000)
		return ERR_DOM;
	*timeo = tv.sec < 0 ? 1 : timeval_to_ns(&tv); /* 1: over at once */
	return OK;
}

static enum err
set_linger(struct sock *sk, const void *val, unsigned len)
{
	struct linger l;

	if (len < sizeof(l))
		return ERR_INVAL;
	memcpy(&l, val, sizeof(l));
	sk->is_linger = l.is_on;
	if (l.is_on)
		sk->linger_s = (uint32_t)l.seconds;
	return OK;
}

/* Linux doubles what is asked for, to have room for what packets take beside their data. */
static void
set_buf(struct sock *sk, bool is_send, uint32_t n)
{
	uint32_t min = is_send ? SNDBUF_MIN : RCVBUF_MIN;

	n = MIN(n, (uint32_t)INT32_MAX / 2);
	if (is_send) {
		sk->sndbuf = MAX(n * 2, min);
		sk->is_sndbuf_locked = true;
	} else {
		sk->rcvbuf = MAX(n * 2, min);
		sk->is_rcvbuf_locked = true;
	}
	sock_wake(sk, POLLOUT | POLLWRNORM);
}

static void
set_stamp(struct sock *sk, bool is_ns, bool is_on, bool is_new)
{
	sk->is_timestamp = is_on && !is_ns;
	sk->is_timestampns = is_on && is_ns;
	sk->is_stamping_new = is_on && is_new;
}

/* Options with an integer. */
static enum err
set_int(struct sock *sk, int opt, int32_t v)
{
	uint32_t n = (uint32_t)v;

	switch (opt) {
	case SO_SNDBUF: set_buf(sk, true, MIN(n, wmem_max)); return OK;
	case SO_RCVBUF: set_buf(sk, false, MIN(n, rmem_max)); return OK;
	case SO_SNDBUFFORCE:
	case SO_RCVBUFFORCE:
		if (!capable(CAP_NET_ADMIN))
			return ERR_PERM;
		set_buf(sk, opt == SO_SNDBUFFORCE, v < 0 ? 0 : n);
		return OK;
	case SO_PRIORITY:
		if (n > PRIORITY_FREE_MAX && !capable(CAP_NET_ADMIN) &&
		    !capable(CAP_NET_RAW))
			return ERR_PERM;
		sk->priority = n;
		return OK;
	case SO_MARK:
		if (!capable(CAP_NET_ADMIN) && !capable(CAP_NET_RAW))
			return ERR_PERM;
		sk->mark = n;
		return OK;
	case SO_RCVLOWAT: sk->rcvlowat = v < 0 ? INT32_MAX : v ? n : 1; return OK;
	case SO_TIMESTAMP:
	case SO_TIMESTAMP_NEW: set_stamp(sk, false, v, opt != SO_TIMESTAMP); return OK;
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMPNS_NEW: set_stamp(sk, true, v, opt != SO_TIMESTAMPNS); return OK;
	case SO_TIMESTAMPING:
	case SO_TIMESTAMPING_NEW:
		if (n & ~(uint32_t)STAMP_ALL)
			return ERR_INVAL;
		if ((n & STAMP_OPT_ID) && !(sk->stamping & STAMP_OPT_ID))
			sk->stamp_id = 0;
		sk->stamping = n;
		return OK;
	case SO_LOCK_FILTER:
		if (sk->is_filter_locked && !v)
			return ERR_PERM;
		sk->is_filter_locked = v;
		return OK;
	case SO_BUSY_POLL: sk->busy_poll_us = n; return v < 0 ? ERR_INVAL : OK;
	case SO_BUSY_POLL_BUDGET: return n > UINT16_MAX ? ERR_INVAL : OK;
	case SO_PEEK_OFF:
		if (!sk->ops->has_peek_off)
			return ERR_OPNOTSUPP;
		mutex_lock(&sk->recv_lock);
		sk->peek_off = MAX(v, -1);
		mutex_unlock(&sk->recv_lock);
		return OK;
	case SO_ZEROCOPY:
		return v ? ERR_OPNOTSUPP : OK; /* nothing would tell of its end */
	case SO_INCOMING_CPU:
		__atomic_store_n(&sk->incoming_cpu, v, __ATOMIC_RELAXED);
		return OK;
	case SO_BINDTOIFINDEX: return v < 0 ? ERR_INVAL : set_device_index(sk, n);
	case SO_DETACH_FILTER: return filter_detach(sk);
	case SO_BUF_LOCK:
		if (n & ~(uint32_t)(BUF_LOCK_SND | BUF_LOCK_RCV))
			return ERR_INVAL;
		sk->is_sndbuf_locked = n & BUF_LOCK_SND;
		sk->is_rcvbuf_locked = n & BUF_LOCK_RCV;
		return OK;
	case SO_TXREHASH:
		sk->txrehash = (uint8_t)n;
		return v < -1 || v > 1 ? ERR_INVAL : OK;
	default: return ERR_NOPROTOOPT;
	}
}

static enum err
set_pacing(struct sock *sk, const void *val, unsigned len)
{
	uint32_t rate;

	if (len == sizeof(uint64_t)) {
		memcpy(&sk->max_pacing_rate, val, sizeof(uint64_t));
		return OK;
	}
	memcpy(&rate, val, sizeof(rate));
	sk->max_pacing_rate = rate == UINT32_MAX ? UINT64_MAX : rate;
	return OK;
}

static enum err
set_one(struct sock *sk, int opt, const void *val, unsigned len)
{
	bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);
	int32_t v;

	if (opt == SO_BINDTODEVICE)
		return set_device(sk, val, len);
	if (len < sizeof(v))
		return ERR_INVAL;
	memcpy(&v, val, sizeof(v));
	if (flag) {
		if (opt == SO_DEBUG && v && !capable(CAP_NET_ADMIN))
			return ERR_ACCES;
		*flag = v;
		return OK;
	}
	switch (opt) {
	case SO_LINGER: return set_linger(sk, val, len);
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW: return set_timeout(&sk->rcvtimeo_ns, val, len);
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW: return set_timeout(&sk->sndtimeo_ns, val, len);
	case SO_MAX_PACING_RATE: return set_pacing(sk, val, len);
	case SO_ATTACH_FILTER: return filter_attach(sk, val, len);
	default: return set_int(sk, opt, v);
	}
}

enum err
sock_setsockopt(struct sock *sk, int opt, const void *val, unsigned len)
{
	enum err err = set_one(sk, opt, val, len);

	if (err == OK && sk->ops->option_changed)
		sk->ops->option_changed(sk, opt);
	return err;
}

/* ---- Getting --------------------------------------------------------------------------------- */

static bool
get_int(struct sock *sk, int opt, int32_t *v)
{
	const bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);

	if (flag) {
		*v = *flag;
		return true;
	}
	switch (opt) {
	case SO_TYPE: *v = sk->type; return true;
	case SO_PROTOCOL: *v = sk->proto; return true;
	case SO_DOMAIN: *v = sk->family; return true;
	case SO_ERROR:
		*v = -sock_take_error(sk);
		if (!*v) {
			*v = -sk->error_soft;
			sk->error_soft = OK;
		}
		return true;
	case SO_SNDBUF: *v = (int32_t)sk->sndbuf; return true;
	case SO_RCVBUF: *v = (int32_t)sk->rcvbuf; return true;
	case SO_PRIORITY: *v = (int32_t)sk->priority; return true;
	case SO_MARK: *v = (int32_t)sk->mark; return true;
	case SO_RCVLOWAT: *v = (int32_t)sk->rcvlowat; return true;
	case SO_SNDLOWAT: *v = 1; return true;
	case SO_ACCEPTCONN: *v = sk->is_listening; return true;
	case SO_TIMESTAMP: *v = sk->is_timestamp && !sk->is_stamping_new; return true;
	case SO_TIMESTAMP_NEW: *v = sk->is_timestamp && sk->is_stamping_new; return true;
	case SO_TIMESTAMPNS: *v = sk->is_timestampns && !sk->is_stamping_new; return true;
	case SO_TIMESTAMPNS_NEW:
		*v = sk->is_timestampns && sk->is_stamping_new;
		return true;
	case SO_LOCK_FILTER: *v = sk->is_filter_locked; return true;
	case SO_BUSY_POLL: *v = (int32_t)sk->busy_poll_us; return true;
	case SO_PEEK_OFF: *v = sk->peek_off; return true;
	case SO_INCOMING_CPU:
		*v = __atomic_load_n(&sk->incoming_cpu, __ATOMIC_RELAXED);
		return true;
	case SO_BPF_EXTENSIONS: *v = 64; return true;
	case SO_BUSY_POLL_BUDGET:
	case SO_ZEROCOPY:
	case SO_INCOMING_NAPI_ID: *v = 0; return true;
	case SO_BINDTOIFINDEX: *v = (int32_t)sk->bound_if; return true;
	case SO_BUF_LOCK:
		*v = (sk->is_sndbuf_locked ? BUF_LOCK_SND : 0) |
		     (sk->is_rcvbuf_locked ? BUF_LOCK_RCV : 0);
		return true;
	case SO_TXREHASH: *v = sk->txrehash; return true;
	default: return false;
	}
}

/* The name of the interface with its NUL; nothing when bound to none. */
static enum err
get_device(const struct sock *sk, void *val, unsigned *len)
{
	const struct netdev *dev;
	enum err err = OK;

	if (!sk->bound_if) {
		*len = 0;
		return OK;
	}
	if (*len < NETDEV_NAME)
		return ERR_INVAL;
	rcu_read_lock();
	dev = netdev_by_index(sk->bound_if);
	if (dev) {
		*len = (unsigned)strnlen(dev->name, NETDEV_NAME - 1) + 1;
		memcpy(val, dev->name, *len);
	} else {
		err = ERR_NODEV;
	}
	rcu_read_unlock();
	return err;
}

/* As much of the value as there is room for. */
static enum err
give(void *to, unsigned *room, const void *val, unsigned len)
{
	*room = MIN(*room, len);
	memcpy(to, val, *room);
	return OK;
}

static enum err
get_meminfo(struct sock *sk, void *val, unsigned *len)
{
	/* SK_MEMINFO_*: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd, queued, optmem, backlog,
	 * drops. */
	const uint32_t info[9] = {MAX(sk->rx_bytes, sk->rx.truesize), sk->rcvbuf,
	    sk->tx_bytes, sk->sndbuf, 0, sk->tx_bytes, 0, 0, (uint32_t)sk->drops};

	return give(val, len, info, sizeof(info));
}

static enum err
get_peername(struct sock *sk, void *val, unsigned *len)
{
	struct sock_addr a = {.len = 0};

	if (!sk->ops->getname || sk->ops->getname(sk, &a, true) != OK)
		return ERR_NOTCONN;
	if (a.len < *len)
		return ERR_INVAL;
	return give(val, len, a.bytes, *len);
}

/* Nobody: pid 0 and ids of -1. */
static enum err
get_peercred(struct sock *sk, void *val, unsigned *len)
{
	uint32_t ucred[3] = {0, UINT32_MAX, UINT32_MAX};

	spin_lock(&sk->lock);
	if (sk->peer_cred) {
		ucred[0] = sk->peer_pid;
		ucred[1] = sk->peer_cred->euid;
		ucred[2] = sk->peer_cred->egid;
	}
	spin_unlock(&sk->lock);
	return give(val, len, ucred, sizeof(ucred));
}

/* The supplementary groups; ERR_RANGE with the room it takes when there is less. */
static enum err
get_peergroups(struct sock *sk, void *val, unsigned *len)
{
	struct cred *cred;
	unsigned room = *len;
	enum err err;

	spin_lock(&sk->lock);
	cred = sk->peer_cred ? cred_get(sk->peer_cred) : NULL;
	spin_unlock(&sk->lock);
	if (!cred)
		return ERR_NODATA;
	*len = cred->num_groups * (unsigned)sizeof(*cred->groups);
	err = room < *len ? ERR_RANGE : OK;
	if (err == OK && *len)
		memcpy(val, cred->groups, *len);
	cred_put(cred);
	return err;
}

enum err
sock_getsockopt(struct sock *sk, int opt, void *val, unsigned *len)
{
	struct linger l = {sk->is_linger, (int32_t)sk->linger_s};
	const uint32_t stamping[2] = {sk->stamping, 0};
	const uint64_t cookie = sk->ino, netns = 1;
	struct timeval tv;
	uint32_t rate;
	int32_t v;

	if (get_int(sk, opt, &v))
		return give(val, len, &v, sizeof(v));
	switch (opt) {
	case SO_LINGER: return give(val, len, &l, sizeof(l));
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
		tv = timeval_from_ns(sk->rcvtimeo_ns);
		return give(val, len, &tv, sizeof(tv));
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		tv = timeval_from_ns(sk->sndtimeo_ns);
		return give(val, len, &tv, sizeof(tv));
	case SO_PEERCRED: return get_peercred(sk, val, len);
	case SO_PEERGROUPS: return get_peergroups(sk, val, len);
	case SO_PEERNAME: return get_peername(sk, val, len);
	case SO_BINDTODEVICE: return get_device(sk, val, len);
	case SO_TIMESTAMPING:
	case SO_TIMESTAMPING_NEW: return give(val, len, stamping, sizeof(stamping));
	case SO_MAX_PACING_RATE:
		if (*len >= sizeof(uint64_t))
			return give(val, len, &sk->max_pacing_rate, sizeof(uint64_t));
		rate = (uint32_t)MIN(sk->max_pacing_rate, (uint64_t)UINT32_MAX);
		return give(val, len, &rate, sizeof(rate));
	case SO_MEMINFO: return get_meminfo(sk, val, len);
	case SO_COOKIE:
		return *len < sizeof(cookie) ? ERR_INVAL
		                             : give(val, len, &cookie, sizeof(cookie));
	case SO_NETNS_COOKIE:
		return *len < sizeof(netns) ? ERR_INVAL
		                            : give(val, len, &netns, sizeof(netns));
	default: return ERR_NOPROTOOPT;
	}
}

/* ---- Settings -------------------------------------------------------------------------------- */

void
sock_set_default_bufs(struct sock *sk)
{
	sk->rcvbuf = rmem_default;
	sk->sndbuf = wmem_default;
}

/* Text of one number, and back; a buffer below the least one is refused. */
#define SETTING(name, min) \
	static void show_##name(struct seq *s) \
	{ \
		seq_printf(s, "%u\n", __atomic_load_n(&name, __ATOMIC_RELAXED)); \
	} \
	static enum err store_##name(const char *text) \
	{ \
		uint32_t v; \
		if (!sock_parse_numbers(text, &v, 1) || v < (min) || v > INT32_MAX) \
			return ERR_INVAL; \
		__atomic_store_n(&name, v, __ATOMIC_RELAXED); \
		return OK; \
	}

SETTING(rmem_default, RCVBUF_MIN)
SETTING(wmem_default, SNDBUF_MIN)
SETTING(rmem_max, RCVBUF_MIN)
SETTING(wmem_max, SNDBUF_MIN)

bool
sock_parse_numbers(const char *text, uint32_t *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t v = 0;

		while (*text == ' ' || *text == '\t')
			text++;
		if (*text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			v = v * 10 + (uint64_t)(*text - '0');
			if (v > UINT32_MAX)
				return false;
		}
		out[i] = (uint32_t)v;
	}
	while (*text == ' ' || *text == '\t' || *text == '\n')
		text++;
	return !*text;
}

void
sock_opt_init(void)
{
	static const struct {
		const char *name;
		void (*show)(struct seq *);
		enum err (*store)(const char *);
	} files[] = {
	    {"sys/net/core/rmem_default", show_rmem_default, store_rmem_default},
	    {"sys/net/core/wmem_default", show_wmem_default, store_wmem_default},
	    {"sys/net/core/rmem_max", show_rmem_max, store_rmem_max},
	    {"sys/net/core/wmem_max", show_wmem_max, store_wmem_max},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (proc_register_rw(files[i].name, files[i].show, files[i].store) != OK)
			panic("sockets: no memory for a file in /proc");
}
