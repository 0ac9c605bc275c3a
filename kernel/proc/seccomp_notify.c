/*
 * Listeners; see seccomp_notify.h. What is asked lies on the stack of the thread that asks, and is on
 * the listener's list until that thread takes it off: under the listener's lock it is there or not.
 * Descriptors that the listener gives are taken by the thread itself, within its own limits.
 */
#include "kernel/proc/seccomp_notify.h"

#include "kernel/file.h"
#include "kernel/poll.h"
#include "kernel/proc/fdtable.h"
#include "kernel/proc/process.h"
#include "kernel/fcntl.h"
#include "kernel/random.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

/* Linux's struct seccomp_notif, _resp, _addfd. */
struct user_notif {
	uint64_t id;
	uint32_t pid, flags;
	struct call_data call;
};

struct user_answer {
	uint64_t id;
	int64_t value;
	int32_t error;
	uint32_t flags;
};

struct user_addfd {
	uint64_t id;
	uint32_t flags, srcfd, newfd, newfd_flags;
};

static_assert(sizeof(struct user_notif) == 80, "struct seccomp_notif");
static_assert(sizeof(struct user_answer) == 24, "struct seccomp_notif_resp");
static_assert(sizeof(struct user_addfd) == 24, "struct seccomp_notif_addfd");

enum {
	IOC_RECV = 0xc0502100,
	IOC_SEND = 0xc0182101,
	IOC_ID_VALID = 0x40082102,
	IOC_ID_VALID_OLD = 0x80082102, /* as headers had it before Linux 5.9 */
	IOC_ADDFD = 0x40182103,
	ANSWER_CONTINUE = 1,
	ADDFD_SETFD = 1,
	ADDFD_SEND = 2,
};

enum question_state { ASKED, RECEIVED, ANSWERED };

/* A descriptor to be given to the thread that asks; on the stack of who gives it. */
struct gift {
	struct list link;
	struct file *file;
	struct user_addfd how;
	bool is_done;
	long result;
};

/* [lock] but for what is set before it is on the list. */
struct question {
	struct list link;
	uint64_t id;
	uint32_t tid;
	const struct call_data *call;
	enum question_state state;
	struct user_answer answer;
	struct list gifts;
};

struct seccomp_listener {
	uint32_t refs; /* [a] the filter's and the file's */
	bool is_killable;
	struct spinlock lock;
	bool is_closed, is_orphan; /* [lock] no file, no filter any more */
	struct list questions;     /* [lock] oldest first */
	uint64_t next_id;          /* [lock] */
	struct wait_queue wait;    /* readers and polls */
	struct wait_queue askers;  /* threads that ask, and who gives them descriptors */
};

struct seccomp_listener *
listener_create(bool is_killable)
{
	struct seccomp_listener *l = kzalloc(sizeof(*l));

	if (!l)
		return NULL;
	l->refs = 1;
	l->is_killable = is_killable;
	l->is_closed = true;
	l->next_id = random_u64();
	spin_init(&l->lock, "seccomp listener", RANK_OBJECT);
	list_init(&l->questions);
	wait_queue_init(&l->wait);
	wait_queue_init(&l->askers);
	return l;
}

static void
listener_put(struct seccomp_listener *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
		kfree(l);
}

void
listener_orphan(struct seccomp_listener *l)
{
	spin_lock(&l->lock);
	l->is_orphan = true;
	spin_unlock(&l->lock);
	wait_queue_wake(&l->wait, ~0u, POLLHUP);
	listener_put(l);
}

/* ---- The thread that asks ---------------------------------------------------------- */

static struct gift *
gift_next(struct seccomp_listener *l, struct question *q)
{
	struct gift *g = NULL;

	spin_lock(&l->lock);
	if (!list_is_empty(&q->gifts)) {
		g = list_entry(q->gifts.next, struct gift, link);
		list_remove(&g->link);
	}
	spin_unlock(&l->lock);
	return g;
}

/* The giver waits as long as the gift is not done: it cannot go away meanwhile. */
static void
gifts_take(struct seccomp_listener *l, struct question *q)
{
	struct gift *g;

	while ((g = gift_next(l, q))) {
		bool cloexec = g->how.newfd_flags & O_CLOEXEC;
		long fd = (long)g->how.newfd;

		if (g->how.flags & ADDFD_SETFD) {
			enum err err = fd_table_replace(
			    current_thread()->fds, g->file, g->how.newfd, cloexec);

			fd = err == OK ? fd : err;
		} else {
			fd = fd_install(file_get(g->file), 0, cloexec);
			if (fd < 0)
				file_put(g->file);
		}
		spin_lock(&l->lock);
		if (g->how.flags & ADDFD_SEND) {
			if (fd >= 0)
				q->answer = (struct user_answer){.value = fd};
			else /* it may be asked again */
				q->state = RECEIVED;
		}
		g->result = fd;
		g->is_done = true;
		spin_unlock(&l->lock);
		wait_queue_wake_all(&l->askers);
	}
}

static bool
has_news(struct seccomp_listener *l, const struct question *q)
{
	bool has;

	spin_lock(&l->lock);
	has = q->state == ANSWERED || !list_is_empty(&q->gifts);
	spin_unlock(&l->lock);
	return has;
}

static bool
is_received(struct seccomp_listener *l, const struct question *q)
{
	bool is;

	spin_lock(&l->lock);
	is = q->state != ASKED;
	spin_unlock(&l->lock);
	return is;
}

/* Until there is an answer. A signal ends it, unless it has to be a fatal one. */
static enum err
question_wait(struct seccomp_listener *l, struct question *q)
{
	enum err err = OK;

	for (;;) {
		bool must_stay = l->is_killable && is_received(l, q);

		err = wait_event(&l->askers, has_news(l, q),
		    must_stay ? WAIT_KILLABLE : WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK && !must_stay && l->is_killable && is_received(l, q))
			continue;
		if (err != OK)
			return err;
		gifts_take(l, q);
		if (__atomic_load_n(&q->state, __ATOMIC_ACQUIRE) == ANSWERED)
			return OK;
	}
}

/* Off the list; what was to be given and is not taken any more goes back. */
static void
question_end(struct seccomp_listener *l, struct question *q)
{
	struct gift *g, *next;

	spin_lock(&l->lock);
	list_remove(&q->link);
	list_for_each_safe(g, next, &q->gifts, link) {
		list_remove(&g->link);
		g->result = ERR_SRCH;
		g->is_done = true;
	}
	spin_unlock(&l->lock);
	wait_queue_wake_all(&l->askers);
	wait_queue_wake_all(&l->wait);
}

bool
listener_ask(
    struct seccomp_listener *l, struct trap_frame *f, const struct call_data *call)
{
	struct question q = {.tid = current_thread()->tid, .call = call};
	bool is_heard;
	enum err err;

	list_init(&q.gifts);
	spin_lock(&l->lock);
	is_heard = !l->is_closed;
	if (is_heard) {
		q.id = l->next_id++;
		list_push_back(&l->questions, &q.link);
	}
	spin_unlock(&l->lock);
	if (!is_heard) {
		f->rax = (uint64_t)ERR_NOSYS;
		return false;
	}
	wait_queue_wake(&l->wait, ~0u, POLLIN | POLLRDNORM);
	err = question_wait(l, &q);
	question_end(l, &q);
	if (err == OK && (q.answer.flags & ANSWER_CONTINUE))
		return true;
	f->rax = (uint64_t)(int64_t)err;
	if (err == OK)
		f->rax = (uint64_t)(q.answer.error ? q.answer.error : q.answer.value);
	return false;
}

/* ---- The listener ------------------------------------------------------------------ */

static struct question *
question_find_locked(struct seccomp_listener *l, uint64_t id)
{
	struct question *q;

	list_for_each(q, &l->questions, link)
		if (q->id == id)
			return q;
	return NULL;
}

static bool
has_state_locked(const struct seccomp_listener *l, enum question_state state)
{
	const struct question *q;

	list_for_each(q, &l->questions, link)
		if (q->state == state)
			return true;
	return false;
}

static bool
has_asked(struct seccomp_listener *l)
{
	bool has;

	spin_lock(&l->lock);
	has = has_state_locked(l, ASKED);
	spin_unlock(&l->lock);
	return has;
}

/* The oldest question nobody has received. false: there is none. */
static bool
question_receive(struct seccomp_listener *l, struct user_notif *n)
{
	struct question *q;
	bool is_found = false;

	spin_lock(&l->lock);
	list_for_each(q, &l->questions, link) {
		if (q->state != ASKED)
			continue;
		q->state = RECEIVED;
		*n = (struct user_notif){.id = q->id, .pid = q->tid, .call = *q->call};
		is_found = true;
		break;
	}
	spin_unlock(&l->lock);
	return is_found;
}

static void
question_give_back(struct seccomp_listener *l, uint64_t id)
{
	struct question *q;

	spin_lock(&l->lock);
	q = question_find_locked(l, id);
	if (q && q->state == RECEIVED)
		q->state = ASKED;
	spin_unlock(&l->lock);
	wait_queue_wake(&l->wait, ~0u, POLLIN | POLLRDNORM);
}

static long
do_receive(struct seccomp_listener *l, void USER *to)
{
	struct user_notif n;
	static const struct user_notif empty;

	if (copy_from_user(&n, to, sizeof(n)) != OK)
		return ERR_FAULT;
	if (memcmp(&n, &empty, sizeof(n)) != 0)
		return ERR_INVAL;
	if (wait_event(&l->wait, has_asked(l), WAIT_INTERRUPTIBLE, NO_TIMEOUT) != OK)
		return ERR_INTR;
	if (!question_receive(l, &n))
		return ERR_NOENT;
	wait_queue_wake(&l->wait, ~0u, POLLOUT | POLLWRNORM);
	wait_queue_wake_all(&l->askers); /* it may no longer be interrupted */
	if (copy_to_user(to, &n, sizeof(n)) == OK)
		return 0;
	question_give_back(l, n.id);
	return ERR_FAULT;
}

static long
do_send(struct seccomp_listener *l, const void USER *from)
{
	struct user_answer a;
	struct question *q;
	long result = 0;

	if (copy_from_user(&a, from, sizeof(a)) != OK)
		return ERR_FAULT;
	if (a.flags & ~(uint32_t)ANSWER_CONTINUE)
		return ERR_INVAL;
	if ((a.flags & ANSWER_CONTINUE) && (a.error || a.value))
		return ERR_INVAL;
	spin_lock(&l->lock);
	q = question_find_locked(l, a.id);
	if (!q) {
		result = ERR_NOENT;
	} else if (q->state != RECEIVED) {
		result = ERR_INPROGRESS;
	} else {
		q->answer = a;
		__atomic_store_n(&q->state, ANSWERED, __ATOMIC_RELEASE);
	}
	spin_unlock(&l->lock);
	if (!result)
		wait_queue_wake_all(&l->askers);
	return result;
}

static long
do_id_valid(struct seccomp_listener *l, const void USER *from)
{
	const struct question *q;
	uint64_t id;
	bool is_valid;

	if (copy_from_user(&id, from, sizeof(id)) != OK)
		return ERR_FAULT;
	spin_lock(&l->lock);
	q = question_find_locked(l, id);
	is_valid = q && q->state == RECEIVED;
	spin_unlock(&l->lock);
	return is_valid ? 0 : ERR_NOENT;
}

static enum err
gift_offer(struct seccomp_listener *l, struct gift *g)
{
	struct question *q;
	enum err err = OK;

	spin_lock(&l->lock);
	q = question_find_locked(l, g->how.id);
	if (!q)
		err = ERR_NOENT;
	else if (q->state != RECEIVED)
		err = ERR_INPROGRESS;
	else if ((g->how.flags & ADDFD_SEND) && !list_is_empty(&q->gifts))
		err = ERR_BUSY;
	if (err == OK) {
		if (g->how.flags & ADDFD_SEND)
			__atomic_store_n(&q->state, ANSWERED, __ATOMIC_RELEASE);
		list_push_back(&q->gifts, &g->link);
	}
	spin_unlock(&l->lock);
	return err;
}

/* Whether it was still on the list: then nothing has come of it. */
static bool
gift_take_back(struct seccomp_listener *l, struct gift *g)
{
	struct question *q;
	struct gift *each;
	bool is_back = false;

	spin_lock(&l->lock);
	q = question_find_locked(l, g->how.id);
	if (q)
		list_for_each(each, &q->gifts, link)
			is_back |= each == g;
	if (is_back) {
		list_remove(&g->link);
		if (g->how.flags & ADDFD_SEND)
			q->state = RECEIVED;
	}
	spin_unlock(&l->lock);
	return is_back;
}

static long
gift_give(struct seccomp_listener *l, struct gift *g)
{
	enum err err = gift_offer(l, g);

	if (err != OK)
		return err;
	wait_queue_wake_all(&l->askers);
	err = wait_event(&l->askers, __atomic_load_n(&g->is_done, __ATOMIC_ACQUIRE),
	    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
	if (err != OK && gift_take_back(l, g))
		return err;
	/* It is being taken, which does not wait for anything. */
	(void)wait_event(&l->askers, __atomic_load_n(&g->is_done, __ATOMIC_ACQUIRE),
	    WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);
	spin_lock(&l->lock); /* who took it has let go of it */
	spin_unlock(&l->lock);
	return g->result;
}

static long
do_addfd(struct seccomp_listener *l, const void USER *from)
{
	struct gift g = {.file = NULL};
	long result;

	if (copy_from_user(&g.how, from, sizeof(g.how)) != OK)
		return ERR_FAULT;
	if ((g.how.newfd_flags & ~(uint32_t)O_CLOEXEC) ||
	    (g.how.flags & ~(uint32_t)(ADDFD_SETFD | ADDFD_SEND)) ||
	    (g.how.newfd && !(g.how.flags & ADDFD_SETFD)))
		return ERR_INVAL;
	g.file = fd_get((int)g.how.srcfd);
	if (!g.file)
		return ERR_BADF;
	result = gift_give(l, &g);
	file_put(g.file);
	return result;
}

static long
listener_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct seccomp_listener *l = f->private;
	void USER *at = (void USER *)arg;

	switch (cmd) {
	case IOC_RECV: return do_receive(l, at);
	case IOC_SEND: return do_send(l, at);
	case IOC_ID_VALID:
	case IOC_ID_VALID_OLD: return do_id_valid(l, at);
	case IOC_ADDFD: return do_addfd(l, at);
	default: return ERR_INVAL;
	}
}

static uint32_t
listener_poll(struct file *f, struct poll_table *pt)
{
	struct seccomp_listener *l = f->private;
	uint32_t events;

	poll_wait(f, &l->wait, pt);
	spin_lock(&l->lock);
	events = (has_state_locked(l, ASKED) ? POLLIN | POLLRDNORM : 0) |
	         (has_state_locked(l, RECEIVED) ? POLLOUT | POLLWRNORM : 0) |
	         (l->is_orphan ? POLLHUP : 0);
	spin_unlock(&l->lock);
	return events;
}

/* Who asks, or will, gets ENOSYS. */
static void
listener_release(struct file *f)
{
	struct seccomp_listener *l = f->private;
	struct question *q;

	spin_lock(&l->lock);
	l->is_closed = true;
	l->next_id = random_u64();
	list_for_each(q, &l->questions, link) {
		if (q->state == ANSWERED)
			continue;
		q->answer = (struct user_answer){.error = ERR_NOSYS};
		__atomic_store_n(&q->state, ANSWERED, __ATOMIC_RELEASE);
	}
	spin_unlock(&l->lock);
	wait_queue_wake_all(&l->askers);
	listener_put(l);
}

static const struct file_ops listener_ops = {
    .poll = listener_poll,
    .ioctl = listener_ioctl,
    .release = listener_release,
    .anon_mode = 0600,
    .anon_name = "anon_inode:seccomp notify",
};

struct file *
listener_file(struct seccomp_listener *l)
{
	struct file *f = file_alloc(&listener_ops, O_RDWR, l);

	if (!f)
		return NULL;
	__atomic_fetch_add(&l->refs, 1, __ATOMIC_RELAXED);
	l->is_closed = false;
	return f;
}

enum err
listener_put_sizes(void USER *to)
{
	static const uint16_t sizes[] = {sizeof(struct user_notif),
	    sizeof(struct user_answer), sizeof(struct call_data)};

	return copy_to_user(to, sizes, sizeof(sizes));
}
