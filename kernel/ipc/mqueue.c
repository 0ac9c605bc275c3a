/*
 * POSIX message queues; see mqueue.h. Messages are a tree by priority, in which equal ones keep their
 * order; all memory is had, and all copying done, outside the queue's lock.
 */
#include "kernel/ipc/mqueue.h"

#include "kernel/file.h"
#include "kernel/netlink.h"
#include "kernel/poll.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "lib/fmt.h"
#include "mm/kva.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

enum {
	PRIORITIES = 32768,
	MESSAGES_MOST = 65536, /* what even CAP_SYS_RESOURCE cannot exceed */
	SIZE_MOST = 16 << 20,
	SMALL_MESSAGE = 1 << 20, /* larger ones are not of one piece */
	SIGEV_SIGNAL = 0,
	SIGEV_NONE = 1,
	SIGEV_THREAD = 2,
	SI_MESGQ = -3,
	COST_OF_MESSAGE = 48, /* as Linux counts what is kept for each */
};

enum cookie_end { COOKIE_WOKEN = 1, COOKIE_REMOVED = 2 };

struct message {
	struct rb_node node;
	uint32_t priority;
	size_t len;
	char text[];
};

static uint32_t queues_max = 256, msg_max = 10, msgsize_max = 8192, msg_default = 10,
                msgsize_default = 8192;

static struct mutex mq_lock = MUTEX_INIT(mq_lock, "mqueue", RANK_SYSV);
static struct list queues = LIST_INIT(queues); /* [mq_lock] */
static uint32_t num_queues;                    /* [mq_lock] */

static struct message *
message_alloc(size_t len)
{
	size_t size = sizeof(struct message) + len;

	return size > SMALL_MESSAGE ? vmalloc(size) : kmalloc(size);
}

static void
message_free(struct message *m)
{
	if (sizeof(*m) + m->len > SMALL_MESSAGE)
		vfree(m);
	else
		kfree(m);
}

static bool
comes_before(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct message, node)->priority >
	       rb_entry(b, struct message, node)->priority;
}

/* ---- Making ------------------------------------------------------------------------ */

static bool
attr_is_ok(const struct mq_attr *a)
{
	bool has_cap = capable(CAP_SYS_RESOURCE);

	if (a->max_messages <= 0 || a->message_size <= 0)
		return false;
	return a->max_messages <= (has_cap ? MESSAGES_MOST : (int64_t)msg_max) &&
	       a->message_size <= (has_cap ? SIZE_MOST : (int64_t)msgsize_max);
}

static uint64_t
cost_of(const struct mq_attr *a)
{
	uint64_t n = (uint64_t)a->max_messages;

	return n * COST_OF_MESSAGE + MIN(n, (uint64_t)PRIORITIES) * COST_OF_MESSAGE +
	       n * (uint64_t)a->message_size;
}

/* Enters it, if the user's account and the number of queues allow one more. */
static enum err
queue_enter(struct mqueue *q)
{
	uint64_t used = q->cost;
	const struct mqueue *each;
	enum err err = OK;

	mutex_lock(&mq_lock);
	list_for_each(each, &queues, link)
		used += each->uid == q->uid ? each->cost : 0;
	if (num_queues >= queues_max && !capable(CAP_SYS_RESOURCE))
		err = ERR_NOSPC;
	else if (used > current_process()->rlimits[RLIMIT_MSGQUEUE].cur)
		err = ERR_MFILE;
	if (err == OK) {
		list_push_back(&queues, &q->link);
		num_queues++;
	}
	mutex_unlock(&mq_lock);
	return err;
}

enum err
mqueue_create(const struct mq_attr *attr, struct mqueue **out)
{
	struct mqueue *q;
	enum err err;

	if (attr && !attr_is_ok(attr))
		return ERR_INVAL;
	q = kzalloc(sizeof(*q));
	if (!q)
		return ERR_NOMEM;
	q->attr.max_messages = attr ? attr->max_messages : MIN(msg_max, msg_default);
	q->attr.message_size =
	    attr ? attr->message_size : MIN(msgsize_max, msgsize_default);
	q->uid = current_cred()->uid;
	q->cost = cost_of(&q->attr);
	spin_init(&q->lock, "mqueue", RANK_OBJECT);
	wait_queue_init(&q->senders);
	wait_queue_init(&q->receivers);
	err = queue_enter(q);
	if (err == OK)
		*out = q;
	else
		kfree(q);
	return err;
}

static void
notice_put(const struct mq_notice *n)
{
	if (n->socket)
		file_put(n->socket);
	if (n->process)
		process_put(n->process);
}

void
mqueue_free(struct mqueue *q)
{
	struct rb_node *n;

	mutex_lock(&mq_lock);
	list_remove(&q->link);
	num_queues--;
	mutex_unlock(&mq_lock);
	while ((n = rb_first(&q->messages))) {
		rb_erase(&q->messages, n);
		message_free(rb_entry(n, struct message, node));
	}
	notice_put(&q->notice);
	kfree(q);
}

/* ---- Notification ------------------------------------------------------------------ */

/* Linux's struct sigevent, as far as it matters. */
struct event {
	uint64_t value;
	int32_t signo, notify;
	uint8_t rest[48];
};

/* Whoever asked is asked for no more. Lock held. */
static struct mq_notice
notice_take_locked(struct mqueue *q)
{
	struct mq_notice n = q->notice;

	q->notice.process = NULL;
	q->notice.socket = NULL;
	return n;
}

/* What the C library's thread waits for: its cookie, the last byte of which says what happened. */
static void
send_cookie(struct mq_notice *n, enum cookie_end end)
{
	if (!n->socket)
		return;
	n->cookie[sizeof(n->cookie) - 1] = (uint8_t)end;
	netlink_send_bytes(n->socket, n->cookie, sizeof(n->cookie));
}

static enum err
take_cookie(const struct event *e, struct mq_notice *n)
{
	enum err err;

	if (copy_from_user(n->cookie, (const void USER *)e->value, sizeof(n->cookie)) !=
	    OK)
		return ERR_FAULT;
	n->socket = fd_get(e->signo);
	if (!n->socket)
		return ERR_BADF;
	err = netlink_check_file(n->socket);
	if (err != OK)
		file_put(n->socket);
	return err;
}

/* What `uevent` asks for, with references. */
static enum err
take_event(const void USER *uevent, struct mq_notice *n)
{
	struct event e;
	enum err err = OK;

	if (copy_from_user(&e, uevent, sizeof(e)) != OK)
		return ERR_FAULT;
	if (e.notify < SIGEV_SIGNAL || e.notify > SIGEV_THREAD)
		return ERR_INVAL;
	if (e.notify == SIGEV_SIGNAL && (e.signo < 0 || e.signo > NSIG))
		return ERR_INVAL;
	*n = (struct mq_notice){.notify = e.notify, .signo = e.signo, .value = e.value};
	if (e.notify == SIGEV_THREAD)
		err = take_cookie(&e, n);
	if (err == OK)
		n->process = process_get(current_process());
	return err;
}

enum err
mqueue_notify(struct mqueue *q, const void USER *uevent)
{
	struct mq_notice n;
	enum err err;

	if (!uevent) {
		mqueue_notify_end(q);
		return OK;
	}
	err = take_event(uevent, &n);
	if (err != OK)
		return err;
	spin_lock(&q->lock);
	if (q->notice.process)
		err = ERR_BUSY;
	else
		q->notice = n;
	spin_unlock(&q->lock);
	if (err != OK)
		notice_put(&n);
	return err;
}

void
mqueue_notify_end(struct mqueue *q)
{
	struct mq_notice n = {.process = NULL};

	spin_lock(&q->lock);
	if (q->notice.process == current_process())
		n = notice_take_locked(q);
	spin_unlock(&q->lock);
	send_cookie(&n, COOKIE_REMOVED);
	notice_put(&n);
}

/* A message has come to an empty queue, and nobody waits for it. */
static void
notify_send(struct mq_notice *n)
{
	const struct siginfo info = {.signo = n->signo,
	    .code = SI_MESGQ,
	    .pid = current_process()->pid,
	    .uid = current_cred()->uid,
	    .value = n->value};

	if (n->notify == SIGEV_SIGNAL && n->signo)
		(void)signal_send_process(
		    n->process, n->signo, &info); /* or it is gone */
	send_cookie(n, COOKIE_WOKEN);
	notice_put(n);
}

/* ---- Sending and receiving --------------------------------------------------------- */

static int64_t
num_messages(const struct mqueue *q)
{
	return __atomic_load_n(&q->attr.num_messages, __ATOMIC_RELAXED);
}

/* false: the queue is full. */
static bool
push(struct mqueue *q, struct message *m)
{
	struct mq_notice told = {.process = NULL};
	bool has_room, is_first;

	spin_lock(&q->lock);
	has_room = q->attr.num_messages < q->attr.max_messages;
	is_first = q->attr.num_messages == 0 && !q->num_receivers;
	if (has_room) {
		rb_insert(&q->messages, &m->node, comes_before);
		q->attr.num_messages++;
		q->num_bytes += m->len;
		if (is_first && q->notice.process)
			told = notice_take_locked(q);
	}
	spin_unlock(&q->lock);
	if (told.process)
		notify_send(&told);
	return has_room;
}

static enum err
push_waiting(struct mqueue *q, struct message *m, bool is_nowait, nsec_t deadline_ns)
{
	while (!push(q, m)) {
		enum err err;

		if (is_nowait)
			return ERR_AGAIN;
		err = wait_event(&q->senders, num_messages(q) < q->attr.max_messages,
		    WAIT_INTERRUPTIBLE, deadline_ns);
		if (err != OK)
			return err;
	}
	wait_queue_wake(&q->receivers, ~0u, POLLIN | POLLRDNORM);
	return OK;
}

enum err
mqueue_send(struct mqueue *q, const char USER *text, size_t len, uint32_t priority,
    bool is_nowait, nsec_t deadline_ns)
{
	struct message *m;
	enum err err;

	if (len > (size_t)q->attr.message_size)
		return ERR_MSGSIZE;
	m = message_alloc(len);
	if (!m)
		return ERR_NOMEM;
	m->priority = priority;
	m->len = len;
	err = copy_from_user(m->text, text, len);
	if (err == OK)
		err = push_waiting(q, m, is_nowait, deadline_ns);
	if (err != OK)
		message_free(m);
	return err;
}

/* The first message, NULL: there is none. */
static struct message *
pull(struct mqueue *q)
{
	struct message *m = NULL;
	struct rb_node *n;

	spin_lock(&q->lock);
	n = rb_first(&q->messages);
	if (n) {
		m = rb_entry(n, struct message, node);
		rb_erase(&q->messages, n);
		q->attr.num_messages--;
		q->num_bytes -= m->len;
	}
	spin_unlock(&q->lock);
	return m;
}

static void
count_receivers(struct mqueue *q, int by)
{
	spin_lock(&q->lock);
	q->num_receivers += (uint32_t)by;
	spin_unlock(&q->lock);
}

static enum err
pull_waiting(struct mqueue *q, bool is_nowait, nsec_t deadline_ns, struct message **out)
{
	while (!(*out = pull(q))) {
		enum err err;

		if (is_nowait)
			return ERR_AGAIN;
		count_receivers(q, 1);
		err = wait_event(
		    &q->receivers, num_messages(q) > 0, WAIT_INTERRUPTIBLE, deadline_ns);
		count_receivers(q, -1);
		if (err != OK)
			return err;
	}
	wait_queue_wake(&q->senders, ~0u, POLLOUT | POLLWRNORM);
	return OK;
}

long
mqueue_receive(struct mqueue *q, char USER *text, size_t len, uint32_t USER *priority,
    bool is_nowait, nsec_t deadline_ns)
{
	struct message *m;
	long result;
	enum err err;

	if (len < (size_t)q->attr.message_size)
		return ERR_MSGSIZE;
	err = pull_waiting(q, is_nowait, deadline_ns, &m);
	if (err != OK)
		return err;
	result = (long)m->len;
	if ((priority && put_user(m->priority, priority) != OK) ||
	    copy_to_user(text, m->text, m->len) != OK)
		result = ERR_FAULT;
	message_free(m);
	return result;
}

size_t
mqueue_status(struct mqueue *q, char *buf, size_t size)
{
	uint64_t bytes;
	int notify, signo;
	uint32_t pid;

	spin_lock(&q->lock);
	bytes = q->num_bytes;
	notify = q->notice.process ? q->notice.notify : 0;
	signo = q->notice.process && notify == SIGEV_SIGNAL ? q->notice.signo : 0;
	pid = q->notice.process ? q->notice.process->pid : 0;
	spin_unlock(&q->lock);
	return (size_t)scnprintf(buf, size,
	    "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6u\n", bytes, notify, signo,
	    pid);
}

void
mqueue_init(void)
{
	static struct proc_number numbers[] = {
	    {"sys/fs/mqueue/msg_default", &msg_default, 1, MESSAGES_MOST},
	    {"sys/fs/mqueue/msg_max", &msg_max, 1, MESSAGES_MOST},
	    {"sys/fs/mqueue/msgsize_default", &msgsize_default, 128, SIZE_MOST},
	    {"sys/fs/mqueue/msgsize_max", &msgsize_max, 128, SIZE_MOST},
	    {"sys/fs/mqueue/queues_max", &queues_max, 0, INT32_MAX},
	};

	proc_register_numbers(numbers, ARRAY_SIZE(numbers));
}
