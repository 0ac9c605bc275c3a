/*
 * epoll: an interest list that remembers which files became ready. Each watch (item) has
 * entries on the wait queues of its file; a wake-up puts the item on the ready list and
 * wakes whoever waits. epoll_wait takes items off that list, asks each file again, and
 * puts level-triggered ones that are still ready back at its end.
 *
 * Locks, in order: epoll_mutex (one for all instances: it guards the links between files
 * and items, against files that close and nesting), the instance's mutex (its items), and
 * its spinlock (the ready list, which wake-ups change from any context). An instance may
 * watch others: then its mutex comes before theirs and its spinlock after theirs, which
 * `level` turns into ranks.
 */
#include "kernel/ipc/epoll.h"

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/ipc/anon_file.h"
#include "kernel/poll.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/rbtree.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3 };
enum { EPOLL_MAX_NESTING = 4, EPOLL_ALWAYS = POLLERR | POLLHUP };
#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP    (1u << 29)
#define EPOLLONESHOT   (1u << 30)
#define EPOLLET        (1u << 31)
#define EPOLL_FLAGS    (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
/* What may stand beside EPOLLEXCLUSIVE. */
#define EPOLL_EXCLUSIVE_SET \
	(EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLET | POLLIN | POLLOUT | EPOLL_ALWAYS)

struct PACKED epoll_event {
	uint32_t events;
	uint64_t data;
};

struct epoll {
	struct mutex mutex;
	struct rb_root items; /* [mutex] by (file, fd) */
	struct spinlock lock;
	struct list ready;      /* [lock] items that may be ready */
	struct wait_queue wait; /* epoll_wait sleeps here; and who polls this instance */
	unsigned level;    /* [epoll_mutex] above that of every instance it watches */
	struct file *file; /* its own: no reference */
};

struct epoll_entry {
	struct waiter waiter;
	struct wait_queue *queue;
	struct epoll_item *item;
	struct epoll_entry *next;
};

struct epoll_item {
	struct rb_node node;    /* [ep->mutex] */
	struct list file_link;  /* [epoll_mutex] in file->epoll_items */
	struct list ready_link; /* [ep->lock] */
	bool is_ready;          /* [ep->lock] on the ready list */
	struct epoll *ep;
	struct file *file; /* no reference: epoll_forget_file comes first */
	int fd;
	uint32_t
	    events; /* [ep->mutex] asked for, with the EPOLL_FLAGS; 0 after a one-shot */
	uint64_t data;
	struct epoll_entry *entries;
	bool is_failed; /* no memory for an entry */
};

static struct mutex epoll_mutex =
    MUTEX_INIT(epoll_mutex, "epoll files", RANK_EPOLL_FILES);

static const struct file_ops epoll_ops;

/* ---- Becoming ready
 * -------------------------------------------------------------------- */

/* [ep->lock] */
static void
mark_ready_locked(struct epoll_item *it)
{
	if (it->is_ready)
		return;
	it->is_ready = true;
	list_push_back(&it->ep->ready, &it->ready_link);
}

static void
epoll_mark_ready(struct epoll_item *it)
{
	spin_lock(&it->ep->lock);
	mark_ready_locked(it);
	spin_unlock(&it->ep->lock);
}

/* Under the lock of the file's wait queue. */
static bool
epoll_entry_wake(struct waiter *w, uint32_t events)
{
	struct epoll_item *it = container_of(w, struct epoll_entry, waiter)->item;
	uint32_t wanted = __atomic_load_n(&it->events, __ATOMIC_RELAXED);

	if (!(wanted & ~EPOLL_FLAGS) || (events && !(events & (wanted | EPOLL_ALWAYS))))
		return false;
	epoll_mark_ready(it);
	wait_queue_wake(&it->ep->wait, 1, POLLIN | POLLRDNORM);
	return true;
}

struct epoll_register {
	struct poll_table table;
	struct epoll_item *item;
};

static void
epoll_add_entry(struct poll_table *pt, struct file *f, struct wait_queue *q)
{
	struct epoll_item *it = container_of(pt, struct epoll_register, table)->item;
	struct epoll_entry *e = kzalloc(sizeof(*e));

	if (!e) {
		it->is_failed = true;
		return;
	}
	e->waiter.wake = epoll_entry_wake;
	e->waiter.is_exclusive = it->events & EPOLLEXCLUSIVE;
	e->queue = q;
	e->item = it;
	e->next = it->entries;
	it->entries = e;
	wait_queue_add(q, &e->waiter);
}

static uint32_t
epoll_item_poll(const struct epoll_item *it)
{
	return file_poll(it->file, NULL) & (it->events | EPOLL_ALWAYS) & ~EPOLL_FLAGS;
}

/* ---- The items of an instance
 * ------------------------------------------------------------ */

static int
epoll_compare(const struct epoll_item *it, const struct file *f, int fd)
{
	if (it->file != f)
		return (uintptr_t)f < (uintptr_t)it->file ? -1 : 1;
	return fd < it->fd ? -1 : fd > it->fd;
}

static struct epoll_item *
epoll_find(struct epoll *ep, const struct file *f, int fd)
{
	struct rb_node *n = ep->items.node;

	while (n) {
		struct epoll_item *it = container_of(n, struct epoll_item, node);
		int way = epoll_compare(it, f, fd);

		if (!way)
			return it;
		n = way < 0 ? n->left : n->right;
	}
	return NULL;
}

static void
epoll_insert(struct epoll *ep, struct epoll_item *it)
{
	struct rb_node **link = &ep->items.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = epoll_compare(container_of(parent, struct epoll_item, node),
		           it->file, it->fd) < 0
		           ? &parent->left
		           : &parent->right;
	}
	rb_insert_at(&ep->items, &it->node, parent, link);
}

/* Both mutexes held. */
static void
epoll_remove(struct epoll *ep, struct epoll_item *it)
{
	struct epoll_entry *e, *next;

	for (e = it->entries; e; e = next) {
		next = e->next;
		wait_queue_remove(e->queue, &e->waiter);
		kfree(e);
	}
	spin_lock(&ep->lock);
	if (it->is_ready)
		list_remove(&it->ready_link);
	spin_unlock(&ep->lock);
	list_remove(&it->file_link);
	rb_erase(&ep->items, &it->node);
	kfree(it);
}

void
epoll_forget_file(struct file *f)
{
	mutex_lock(&epoll_mutex);
	while (!list_is_empty(&f->epoll_items)) {
		struct epoll_item *it =
		    list_first(&f->epoll_items, struct epoll_item, file_link);
		struct epoll *ep = it->ep;

		mutex_lock(&ep->mutex);
		epoll_remove(ep, it);
		mutex_unlock(&ep->mutex);
	}
	mutex_unlock(&epoll_mutex);
}

static void
epoll_release(struct file *f)
{
	struct epoll *ep = f->private;
	struct rb_node *n;

	mutex_lock(&epoll_mutex);
	mutex_lock(&ep->mutex);
	while ((n = rb_first(&ep->items)))
		epoll_remove(ep, container_of(n, struct epoll_item, node));
	mutex_unlock(&ep->mutex);
	mutex_unlock(&epoll_mutex);
	kfree(ep);
}

/* ---- Polling an instance: epoll in poll, and nested
 * --------------------------------------- */

static uint32_t
epoll_poll(struct file *f, struct poll_table *pt)
{
	struct epoll *ep = f->private;
	struct epoll_item *it, *next;
	struct list candidates;
	uint32_t result = 0;

	poll_wait(f, &ep->wait, pt);
	if (list_is_empty(&ep->ready))
		return 0;
	list_init(&candidates);
	mutex_lock(&ep->mutex);
	spin_lock(&ep->lock);
	list_splice_back(&candidates, &ep->ready);
	spin_unlock(&ep->lock);
	list_for_each_safe(it, next, &candidates, ready_link) {
		if (epoll_item_poll(it)) {
			result = POLLIN | POLLRDNORM;
			break;
		}
		spin_lock(&ep->lock);
		list_remove(&it->ready_link);
		it->is_ready = false;
		spin_unlock(&ep->lock);
	}
	spin_lock(&ep->lock);
	list_splice_back(&candidates, &ep->ready);
	list_splice_back(&ep->ready, &candidates);
	spin_unlock(&ep->lock);
	mutex_unlock(&ep->mutex);
	return result;
}

static const struct file_ops epoll_ops = {
    .poll = epoll_poll,
    .release = epoll_release,
    .anon_mode = 0600,
    .anon_name = "[eventpoll]",
};

/* Ranks by level: see the head of the file. */
static void
epoll_set_level(struct epoll *ep, unsigned level)
{
	ep->level = level;
	ep->mutex.rank = RANK_EPOLL + EPOLL_MAX_NESTING - level;
	ep->lock.rank = RANK_EPOLL_READY + 2 * level;
	ep->wait.lock.rank = RANK_EPOLL_READY + 2 * level + 1;
}

long
sys_epoll_create1(int flags)
{
	struct epoll *ep;

	if (flags & ~O_CLOEXEC)
		return ERR_INVAL;
	ep = kzalloc(sizeof(*ep));
	if (!ep)
		return ERR_NOMEM;
	mutex_init(&ep->mutex, "epoll", RANK_EPOLL);
	spin_init(&ep->lock, "epoll ready", RANK_EPOLL_READY);
	list_init(&ep->ready);
	wait_queue_init(&ep->wait);
	epoll_set_level(ep, 0);
	return anon_file_install(&epoll_ops, O_RDWR, flags, ep);
}

long
sys_epoll_create(int size)
{
	return size <= 0 ? ERR_INVAL : sys_epoll_create1(0);
}

/* ---- epoll_ctl
 * ----------------------------------------------------------------------------- */

/*
 * Raises `ep` to `level`, and those that watch it above that. With `commit` false only
 * looks: false means too deep, or a loop (which has no end of rising).
 */
static bool
epoll_raise(struct epoll *ep, const struct file *epf, unsigned level, bool commit)
{
	const struct epoll_item *it;

	if (level > EPOLL_MAX_NESTING)
		return false;
	if (ep->level >= level)
		return true;
	list_for_each(it, &epf->epoll_items, file_link)
		if (!epoll_raise(it->ep, it->ep->file, level + 1, commit))
			return false;
	if (commit)
		epoll_set_level(ep, level);
	return true;
}

/* Whether `inner` watches `ep`, directly or through others. */
static bool
epoll_watches(const struct epoll *inner, const struct epoll *ep)
{
	if (inner == ep)
		return true;
	for (struct rb_node *n = rb_first(&inner->items); n; n = rb_next(n)) {
		const struct file *f = container_of(n, struct epoll_item, node)->file;

		if (f->ops == &epoll_ops && epoll_watches(f->private, ep))
			return true;
	}
	return false;
}

/* Before `f` is watched by `ep`: no loops, not too deep. epoll_mutex held. */
static enum err
epoll_nest(struct file *epf, const struct file *f)
{
	struct epoll *ep = epf->private, *inner = f->private;

	if (f->ops != &epoll_ops)
		return OK;
	if (epoll_watches(inner, ep) || !epoll_raise(ep, epf, inner->level + 1, false))
		return ERR_LOOP;
	epoll_raise(ep, epf, inner->level + 1, true);
	return OK;
}

static long
epoll_add(struct epoll *ep, struct file *f, int fd, const struct epoll_event *ev)
{
	struct epoll_register reg = {.table.add = epoll_add_entry};
	struct epoll_item *it = kzalloc(sizeof(*it));
	uint32_t ready;

	if (!it)
		return ERR_NOMEM;
	it->ep = ep;
	it->file = f;
	it->fd = fd;
	it->events = ev->events;
	it->data = ev->data;
	reg.item = it;
	epoll_insert(ep, it);
	list_push_back(&f->epoll_items, &it->file_link);
	ready = file_poll(f, &reg.table) & (it->events | EPOLL_ALWAYS) & ~EPOLL_FLAGS;
	if (it->is_failed) {
		epoll_remove(ep, it);
		return ERR_NOMEM;
	}
	if (ready) {
		epoll_mark_ready(it);
		wait_queue_wake(&ep->wait, 1, POLLIN | POLLRDNORM);
	}
	return 0;
}

static long
epoll_modify(struct epoll *ep, struct epoll_item *it, const struct epoll_event *ev)
{
	if (it->events & EPOLLEXCLUSIVE)
		return ERR_INVAL;
	__atomic_store_n(&it->events, ev->events, __ATOMIC_SEQ_CST);
	it->data = ev->data;
	if (epoll_item_poll(it)) {
		epoll_mark_ready(it);
		wait_queue_wake(&ep->wait, 1, POLLIN | POLLRDNORM);
	}
	return 0;
}

static long
epoll_control(
    struct file *epf, int op, struct file *f, int fd, const struct epoll_event *ev)
{
	struct epoll *ep = epf->private;
	struct epoll_item *it;
	long result;

	mutex_lock(&epoll_mutex);
	ep->file = epf;
	if (op == EPOLL_CTL_ADD && epoll_nest(epf, f) != OK) {
		mutex_unlock(&epoll_mutex);
		return ERR_LOOP;
	}
	mutex_lock(&ep->mutex);
	it = epoll_find(ep, f, fd);
	if (op == EPOLL_CTL_ADD)
		result = it ? ERR_EXIST : epoll_add(ep, f, fd, ev);
	else if (!it)
		result = ERR_NOENT;
	else if (op == EPOLL_CTL_MOD)
		result = epoll_modify(ep, it, ev);
	else
		epoll_remove(ep, it), result = 0;
	mutex_unlock(&ep->mutex);
	mutex_unlock(&epoll_mutex);
	return result;
}

/* In Linux's order. */
static enum err
epoll_ctl_check(const struct file *epf, int op, const struct file *f, uint32_t events)
{
	if (!f->ops->poll)
		return ERR_PERM; /* always ready: Linux refuses to watch regular files */
	if (epf == f || epf->ops != &epoll_ops)
		return ERR_INVAL;
	if (op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD)
		return ERR_INVAL;
	if (op == EPOLL_CTL_DEL || !(events & EPOLLEXCLUSIVE))
		return OK;
	if (op == EPOLL_CTL_MOD || f->ops == &epoll_ops)
		return ERR_INVAL;
	return events & ~EPOLL_EXCLUSIVE_SET ? ERR_INVAL : OK;
}

long
sys_epoll_ctl(int epfd, int op, int fd, const struct epoll_event USER *event)
{
	struct epoll_event ev = {0};
	struct file *epf, *f;
	long result;

	if (op != EPOLL_CTL_DEL && get_user(ev, event) != OK)
		return ERR_FAULT;
	epf = fd_get(epfd);
	f = fd_get(fd);
	result = epf && f ? epoll_ctl_check(epf, op, f, ev.events) : ERR_BADF;
	if (result == OK)
		result = epoll_control(epf, op, f, fd, &ev);
	if (f)
		file_put(f);
	if (epf)
		file_put(epf);
	return result;
}

/* ---- epoll_wait ---------------------------------------------------------------------------- */

/* The next item that may be ready, off its list; NULL: none. [ep->lock] */
static struct epoll_item *
take_ready(struct list *from)
{
	struct epoll_item *it = list_first(from, struct epoll_item, ready_link);

	if (it) {
		list_remove(&it->ready_link);
		it->is_ready = false;
	}
	return it;
}

/* Whether an item whose events were to be told is to be asked again by the next call: a
 * one-shot one falls silent, an edge waits for the next. */
static bool
stays_ready(struct epoll_item *it, bool was_told)
{
	if (!was_told)
		return true;
	if (it->events & EPOLLONESHOT) {
		__atomic_store_n(&it->events, it->events & EPOLL_FLAGS, __ATOMIC_RELAXED);
		return false;
	}
	return !(it->events & EPOLLET);
}

/* Reports what is ready, at most `max`: how many, or ERR_FAULT if not even one could be
 * told. */
static long
epoll_harvest(struct epoll *ep, struct epoll_event USER *out, int max)
{
	struct list taken = LIST_INIT(taken);
	struct epoll_item *it;
	enum err err = OK;
	long n = 0;

	mutex_lock(&ep->mutex);
	spin_lock(&ep->lock);
	list_splice_back(&taken, &ep->ready);
	it = take_ready(&taken);
	spin_unlock(&ep->lock);
	while (it) {
		struct epoll_event ev = {epoll_item_poll(it), it->data};

		if (ev.events) {
			err = put_user(ev, &out[n]);
			n += err == OK;
		}
		spin_lock(&ep->lock);
		if (ev.events && stays_ready(it, err == OK))
			mark_ready_locked(it);
		it = n < max && err == OK ? take_ready(&taken) : NULL;
		if (!it && !list_is_empty(&taken)) {
			/* Not looked at: back in front of what came meanwhile. */
			list_splice_back(&taken, &ep->ready);
			list_splice_back(&ep->ready, &taken);
		}
		spin_unlock(&ep->lock);
	}
	mutex_unlock(&ep->mutex);
	return n ? n : err;
}

/* `deadline` 0 waits for ever, 1 not at all. */
static long
epoll_wait_file(struct epoll *ep, struct epoll_event USER *out, int max, nsec_t deadline)
{
	for (;;) {
		long n = list_is_empty(&ep->ready) ? 0 : epoll_harvest(ep, out, max);
		enum err err;

		if (n || deadline == 1)
			return n;
		err = wait_event(
		    &ep->wait, !list_is_empty(&ep->ready), WAIT_INTERRUPTIBLE, deadline);
		if (err == ERR_TIMEDOUT)
			deadline = 1; /* one last look */
		else if (err != OK)
			return ERR_INTR;
	}
}

static long
epoll_wait_fd(int epfd, struct epoll_event USER *events, int max, nsec_t deadline)
{
	struct file *f;
	long n;

	if (max <= 0 || max > (int)(INT32_MAX / sizeof(struct epoll_event)))
		return ERR_INVAL;
	f = fd_get(epfd);
	if (!f)
		return ERR_BADF;
	n = f->ops == &epoll_ops ? epoll_wait_file(f->private, events, max, deadline)
	                         : ERR_INVAL;
	file_put(f);
	return n;
}

static nsec_t
epoll_deadline_ms(int timeout_ms)
{
	if (timeout_ms < 0)
		return NO_TIMEOUT;
	return timeout_ms ? clock_now_ns() + (nsec_t)timeout_ms * NSEC_PER_MSEC : 1;
}

long
sys_epoll_wait(int epfd, struct epoll_event USER *events, int maxevents, int timeout_ms)
{
	return epoll_wait_fd(epfd, events, maxevents, epoll_deadline_ms(timeout_ms));
}

static long
epoll_wait_masked(int epfd, struct epoll_event USER *events, int max, nsec_t deadline,
    const uint64_t USER *sigmask, size_t setsize)
{
	enum err err;
	long n;

	if (!sigmask) /* what libraries make of epoll_wait() */
		return epoll_wait_fd(epfd, events, max, deadline);
	err = signal_begin_mask(sigmask, setsize);
	if (err != OK)
		return err;
	n = epoll_wait_fd(epfd, events, max, deadline);
	signal_end_mask(n == ERR_INTR);
	return n;
}

long
sys_epoll_pwait(int epfd, struct epoll_event USER *events, int maxevents, int timeout_ms,
    const uint64_t USER *sigmask, size_t setsize)
{
	return epoll_wait_masked(
	    epfd, events, maxevents, epoll_deadline_ms(timeout_ms), sigmask, setsize);
}

long
sys_epoll_pwait2(int epfd, struct epoll_event USER *events, int maxevents,
    const struct timespec USER *timeout, const uint64_t USER *sigmask, size_t setsize)
{
	nsec_t deadline = NO_TIMEOUT;
	struct timespec ts;

	if (timeout) {
		if (get_user(ts, timeout) != OK)
			return ERR_FAULT;
		if (!timespec_is_valid(&ts))
			return ERR_INVAL;
		deadline = timespec_to_ns(&ts) ? clock_now_ns() + timespec_to_ns(&ts) : 1;
	}
	return epoll_wait_masked(epfd, events, maxevents, deadline, sigmask, setsize);
}
