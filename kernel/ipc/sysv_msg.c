/*
 * System V message queues (msgget(2), msgop(2), msgctl(2)). A queue is a list of messages
 * in order of arrival under its lock; receivers look through it for the type they want.
 * Copies from and to the program are made outside the lock.
 */
#include "kernel/ipc/sysv.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	MSG_NOERROR = 010000,
	MSG_EXCEPT = 020000,
	MSG_COPY = 040000,

	MSG_STAT = 11,
	MSG_INFO = 12,
	MSG_STAT_ANY = 13,

	MSGSSZ = 16,
	MSGMAX_LIMIT = 1 << 20,
};

struct msg {
	struct list link;
	long type;
	size_t size;
	uint8_t text[];
};

struct msgq {
	struct sysv_obj obj;
	/* All [obj.lock]; the sums are read without. */
	struct list messages;
	uint64_t num, bytes, max_bytes;
	int64_t stime_s, rtime_s;
	uint32_t sender, receiver; /* last ones */
	struct wait_queue senders, receivers;
};

struct user_msqid {
	struct user_ipc_perm perm;
	int64_t stime, rtime, ctime;
	uint64_t bytes, num, max_bytes;
	int32_t sender, receiver;
	uint64_t unused[2];
};

struct user_msginfo {
	int32_t pool, map, max, mnb, mni, ssz, tql;
	uint16_t seg;
};

static_assert(sizeof(struct user_msqid) == 120, "msqid64_ds");
static_assert(sizeof(struct user_msginfo) == 32, "msginfo");

static uint64_t msgmni = 32000, msgmax = 8192, msgmnb = 16384;
static uint64_t total_messages, total_bytes; /* [a] */

static struct mutex msg_lock = MUTEX_INIT(msg_lock, "msg", RANK_SYSV);

static struct msgq *
msgq_of(struct sysv_obj *o)
{
	return container_of(o, struct msgq, obj);
}

/* ---- The queue; its lock is held, or it is nobody else's ---- */

static void
msgq_push_locked(struct msgq *q, struct msg *m)
{
	list_push_back(&q->messages, &m->link);
	q->num++;
	q->bytes += m->size;
	__atomic_add_fetch(&total_messages, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&total_bytes, m->size, __ATOMIC_RELAXED);
}

static void
msgq_take_locked(struct msgq *q, struct msg *m)
{
	list_remove(&m->link);
	q->num--;
	q->bytes -= m->size;
	__atomic_sub_fetch(&total_messages, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&total_bytes, m->size, __ATOMIC_RELAXED);
}

/* The message that msgrcv with this type gets, or NULL. */
static struct msg *
msgq_find_locked(const struct msgq *q, long type, int flags)
{
	struct msg *m, *best = NULL;
	long index = 0;

	list_for_each(m, &q->messages, link) {
		if (flags & MSG_COPY) {
			if (index++ == type)
				return m;
		} else if (type < 0) { /* the least, up to this */
			if (m->type <= -type && (!best || m->type < best->type))
				best = m;
		} else if (type == 0 || (m->type == type) == !(flags & MSG_EXCEPT)) {
			return m;
		}
	}
	return best;
}

static bool
msgq_has_room(const struct msgq *q, size_t size)
{
	uint64_t max = __atomic_load_n(&q->max_bytes, __ATOMIC_RELAXED);

	return __atomic_load_n(&q->bytes, __ATOMIC_RELAXED) + size <= max &&
	       __atomic_load_n(&q->num, __ATOMIC_RELAXED) + 1 <= max;
}

static void
msgq_free_late(struct rcu_head *h)
{
	kfree(container_of(h, struct msgq, obj.rcu));
}

static void
msgq_free(struct sysv_obj *o)
{
	struct msgq *q = msgq_of(o);
	struct list *link;

	__atomic_sub_fetch(&total_messages, q->num, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&total_bytes, q->bytes, __ATOMIC_RELAXED);
	while ((link = list_pop_front(&q->messages)))
		kfree(list_entry(link, struct msg, link));
	rcu_call(&o->rcu, msgq_free_late);
}

static struct sysv_table msgqs = {.lock = &msg_lock, .limit = &msgmni, .free = msgq_free};

/* ---- msgget ---- */

static enum err
msgq_check(const struct sysv_obj *o, const struct sysv_get *g)
{
	return OK;
}

static enum err
msgq_create(const struct sysv_get *g, struct sysv_obj **out)
{
	struct msgq *q = kzalloc(sizeof(*q));

	if (!q)
		return ERR_NOMEM;
	list_init(&q->messages);
	wait_queue_init(&q->senders);
	wait_queue_init(&q->receivers);
	q->max_bytes = msgmnb;
	*out = &q->obj;
	return OK;
}

long
sys_msgget(int key, int flags)
{
	const struct sysv_get g = {
	    .key = key, .flags = flags, .check = msgq_check, .create = msgq_create};

	return sysv_get(&msgqs, &g);
}

/* ---- msgsnd ---- */

/* What trying gives besides OK and errors: not now. */
enum { WAIT_MORE = 1 };

static int
try_send(struct msgq *q, struct msg *m)
{
	int result = WAIT_MORE;

	spin_lock(&q->obj.lock);
	if (q->obj.is_removed) {
		result = ERR_IDRM;
	} else if (msgq_has_room(q, m->size)) {
		msgq_push_locked(q, m);
		q->sender = current_process()->pid;
		q->stime_s = sysv_now_s();
		result = OK;
	}
	spin_unlock(&q->obj.lock);
	return result;
}

/* Puts the message into the queue, or leaves it the caller's. */
static int
send_or_wait(struct msgq *q, struct msg *m, int flags)
{
	int result = sysv_may(&q->obj, SYSV_WRITE);

	if (result != OK)
		return result;
	while ((result = try_send(q, m)) == WAIT_MORE) {
		if (flags & IPC_NOWAIT)
			return ERR_AGAIN;
		if (wait_event(&q->senders,
		        __atomic_load_n(&q->obj.is_removed, __ATOMIC_RELAXED) ||
		            msgq_has_room(q, m->size),
		        WAIT_INTERRUPTIBLE, NO_TIMEOUT) != OK)
			return ERR_INTR;
	}
	if (result == OK)
		wait_queue_wake_all(&q->receivers);
	return result;
}

long
sys_msgsnd(int id, const void USER *umsg, size_t size, int flags)
{
	const uint8_t USER *text = (const uint8_t USER *)umsg + sizeof(long);
	struct sysv_obj *o;
	struct msg *m;
	long type;
	int result = ERR_INVAL;

	if (copy_from_user(&type, umsg, sizeof(type)) != OK)
		return ERR_FAULT;
	if (size > msgmax || id < 0 || type < 1)
		return ERR_INVAL;
	m = kmalloc(sizeof(*m) + size);
	if (!m)
		return ERR_NOMEM;
	m->type = type;
	m->size = size;
	if (copy_from_user(m->text, text, size) != OK) {
		kfree(m);
		return ERR_FAULT;
	}
	o = sysv_find(&msgqs, id);
	if (o) {
		result = send_or_wait(msgq_of(o), m, flags);
		sysv_put(&msgqs, o);
	}
	if (result != OK)
		kfree(m);
	return result;
}

/* ---- msgrcv ---- */

/* A copy, for MSG_COPY. Lock held: the memory has been got before. */
static void
msg_copy(struct msg *to, const struct msg *from)
{
	to->type = from->type;
	to->size = from->size;
	__builtin_memcpy(to->text, from->text, from->size);
}

/* What one msgrcv wants. */
struct receive {
	long type;
	size_t size;
	int flags;
	struct msg *copy; /* room for MSG_COPY */
};

/* *out is the message, the caller's now; OK, WAIT_MORE or an error. */
static int
try_receive(struct msgq *q, const struct receive *r, struct msg **out)
{
	int result = OK;
	struct msg *m;

	spin_lock(&q->obj.lock);
	m = msgq_find_locked(q, r->type, r->flags);
	if (q->obj.is_removed) {
		result = ERR_IDRM;
	} else if (!m) {
		result = WAIT_MORE;
	} else if (m->size > r->size && !(r->flags & MSG_NOERROR)) {
		result = ERR_2BIG;
	} else if (r->copy) {
		if (m->size <= r->copy->size)
			msg_copy(r->copy, m);
		else
			result = ERR_2BIG;
		*out = r->copy;
	} else {
		msgq_take_locked(q, m);
		q->receiver = current_process()->pid;
		q->rtime_s = sysv_now_s();
		*out = m;
	}
	spin_unlock(&q->obj.lock);
	return result;
}

static bool
is_there_something(struct msgq *q, const struct receive *r)
{
	bool found;

	spin_lock(&q->obj.lock);
	found = q->obj.is_removed || msgq_find_locked(q, r->type, r->flags);
	spin_unlock(&q->obj.lock);
	return found;
}

static int
receive_or_wait(struct msgq *q, const struct receive *r, struct msg **out)
{
	int result = sysv_may(&q->obj, SYSV_READ);

	if (result != OK)
		return result;
	while ((result = try_receive(q, r, out)) == WAIT_MORE) {
		if (r->flags & IPC_NOWAIT)
			return ERR_NOMSG;
		if (wait_event(&q->receivers, is_there_something(q, r),
		        WAIT_INTERRUPTIBLE, NO_TIMEOUT) != OK)
			return ERR_INTR;
	}
	if (result == OK && !r->copy)
		wait_queue_wake_all(&q->senders);
	return result;
}

/* Gives the message to the program; its length, or ERR_FAULT, and then it is lost. */
static long
give(void USER *umsg, const struct msg *m, size_t size)
{
	uint8_t USER *text = (uint8_t USER *)umsg + sizeof(long);
	size_t n = MIN(m->size, size);

	if (copy_to_user(umsg, &m->type, sizeof(m->type)) != OK ||
	    copy_to_user(text, m->text, n) != OK)
		return ERR_FAULT;
	return (long)n;
}

/* MSG_COPY: with IPC_NOWAIT alone, and room for any message. */
static enum err
prepare_copy(struct receive *r)
{
	if (r->flags & MSG_EXCEPT || !(r->flags & IPC_NOWAIT))
		return ERR_INVAL;
	r->copy = kmalloc(sizeof(*r->copy) + MSGMAX_LIMIT);
	if (!r->copy)
		return ERR_NOMEM;
	r->copy->size = MSGMAX_LIMIT;
	return OK;
}

long
sys_msgrcv(int id, void USER *umsg, size_t size, long type, int flags)
{
	struct receive r = {.type = type, .size = size, .flags = flags};
	struct msg *m = NULL;
	struct sysv_obj *o;
	long result = OK;

	if (id < 0 || (ssize_t)size < 0)
		return ERR_INVAL;
	if (type == INT64_MIN)
		r.type = -INT64_MAX;
	if (flags & MSG_COPY)
		result = prepare_copy(&r);
	if (result != OK)
		return result;
	o = sysv_find(&msgqs, id);
	if (!o) {
		kfree(r.copy);
		return ERR_INVAL;
	}
	result = receive_or_wait(msgq_of(o), &r, &m);
	sysv_put(&msgqs, o);
	if (result == OK)
		result = give(umsg, m, size);
	kfree(r.copy);
	if (m != r.copy)
		kfree(m);
	return result;
}

/* ---- msgctl ---- */

static long
msgq_stat(struct msgq *q, struct user_msqid USER *buf, bool any)
{
	struct user_msqid u = {.sender = 0};
	enum err err = any ? OK : sysv_may(&q->obj, SYSV_READ);

	if (err != OK)
		return err;
	spin_lock(&q->obj.lock);
	sysv_perm_fill(&q->obj, &u.perm);
	u.stime = q->stime_s;
	u.rtime = q->rtime_s;
	u.ctime = q->obj.ctime_s;
	u.bytes = q->bytes;
	u.num = q->num;
	u.max_bytes = q->max_bytes;
	u.sender = (int32_t)q->sender;
	u.receiver = (int32_t)q->receiver;
	spin_unlock(&q->obj.lock);
	return put_user(u, buf);
}

static long
msg_info(int cmd, void USER *buf)
{
	struct user_msginfo u = {.pool = (int32_t)(msgmni * msgmnb / 1024),
	    .map = (int32_t)msgmnb,
	    .max = (int32_t)msgmax,
	    .mnb = (int32_t)msgmnb,
	    .mni = (int32_t)msgmni,
	    .ssz = MSGSSZ,
	    .tql = (int32_t)msgmnb,
	    .seg = 0xffff};
	enum err err;

	if (cmd == MSG_INFO) {
		u.pool = (int32_t)msgqs.num;
		u.map = (int32_t)total_messages;
		u.tql = (int32_t)total_bytes;
	}
	err = copy_to_user(buf, &u, sizeof(u));
	return err == OK ? sysv_highest(&msgqs) : err;
}

static enum err
msgq_set(struct msgq *q, const struct user_msqid USER *buf)
{
	struct user_msqid u;
	enum err err = get_user(u, buf);

	if (err == OK)
		err = sysv_may_control(&q->obj);
	if (err == OK && u.max_bytes > msgmnb && !capable(CAP_SYS_RESOURCE))
		err = ERR_PERM;
	if (err != OK)
		return err;
	spin_lock(&q->obj.lock);
	sysv_perm_set(&q->obj, &u.perm);
	q->max_bytes = u.max_bytes;
	spin_unlock(&q->obj.lock);
	wait_queue_wake_all(&q->senders); /* there may be room now */
	return OK;
}

static enum err
msgq_remove(struct msgq *q)
{
	enum err err = sysv_may_control(&q->obj);

	if (err != OK)
		return err;
	if (!sysv_take_out(&msgqs, &q->obj))
		return ERR_IDRM;
	spin_lock(&q->obj.lock);
	q->obj.is_removed = true;
	spin_unlock(&q->obj.lock);
	wait_queue_wake_all(&q->senders);
	wait_queue_wake_all(&q->receivers);
	return OK;
}

static long
msgq_control(struct msgq *q, int cmd, void USER *buf)
{
	long result;

	switch (cmd) {
	case IPC_RMID: return msgq_remove(q);
	case IPC_SET: return msgq_set(q, buf);
	case IPC_STAT: return msgq_stat(q, buf, false);
	default:
		result = msgq_stat(q, buf, cmd == MSG_STAT_ANY);
		return result == OK ? q->obj.id : result;
	}
}

long
sys_msgctl(int id, int cmd, void USER *buf)
{
	bool by_slot = cmd == MSG_STAT || cmd == MSG_STAT_ANY;
	struct sysv_obj *o;
	long result;

	if (id < 0 || cmd < 0)
		return ERR_INVAL;
	if (cmd == IPC_INFO || cmd == MSG_INFO)
		return msg_info(cmd, buf);
	if (cmd != IPC_RMID && cmd != IPC_SET && cmd != IPC_STAT && !by_slot)
		return ERR_INVAL;
	o = by_slot ? sysv_find_slot(&msgqs, id) : sysv_find(&msgqs, id);
	if (!o)
		return ERR_INVAL;
	result = msgq_control(msgq_of(o), cmd, buf);
	sysv_put(&msgqs, o);
	return result;
}

/* ---- /proc ---- */

static void
msgq_line(struct sysv_obj *o, struct seq *seq)
{
	const struct msgq *q = msgq_of(o);

	seq_printf(seq,
	    "%10d %10d  %4o  %10llu %10llu %5u %5u %5u %5u %5u %5u %10lld %10lld "
	    "%10lld\n",
	    o->key, o->id, o->mode, (unsigned long long)q->bytes,
	    (unsigned long long)q->num, q->sender, q->receiver, o->uid, o->gid, o->cuid,
	    o->cgid, (long long)q->stime_s, (long long)q->rtime_s, (long long)o->ctime_s);
}

static void
show_msgqs(struct seq *seq)
{
	seq_puts(seq,
	    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid"
	    "  cuid  cgid      stime      rtime      ctime\n");
	sysv_show(&msgqs, seq, msgq_line);
}

void
sysv_msg_init(void)
{
	static const struct sysv_limit limits[] = {
	    {"sys/kernel/msgmax", &msgmax, MSGMAX_LIMIT},
	    {"sys/kernel/msgmnb", &msgmnb, INT32_MAX},
	    {"sys/kernel/msgmni", &msgmni, SYSV_MAX_OBJECTS},
	};

	sysv_limits_register(limits, ARRAY_SIZE(limits));
	(void)proc_register("sysvipc/msg", show_msgqs); /* or boot without */
}
