/*
 * inotify(7): a file to read what happened to the inodes it watches. A watch holds its inode, not
 * the name it was found by; fs/notify.c says which inodes hear of what.
 *
 * One mutex covers all watches and queues. Only what happens to a watched inode takes it, a page
 * fault or the end of a dentry included, so it ranks behind all other mutexes.
 *
 * Differs from Linux: a removed directory ends (IN_DELETE_SELF) at once, also while somebody has it
 * open. Not told: writes through shared mappings, as on Linux; changes the kernel makes by itself.
 */
#include "fs/notify.h"
#include "kernel/poll.h"
#include "kernel/proc/async.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "lib/rbtree.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	IN_ONLYDIR = 0x1000000,
	IN_DONT_FOLLOW = 0x2000000,
	IN_EXCL_UNLINK = 0x4000000,
	IN_MASK_CREATE = 0x10000000,
	IN_MASK_ADD = 0x20000000,
	FIONREAD = 0x541b,
	HEADER = 16, /* names are padded to multiples of it */
};
static const uint32_t IN_ONESHOT = 1u << 31,
                      KEPT_FLAGS = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK,
                      ALL_FLAGS = KEPT_FLAGS | IN_ONLYDIR | IN_DONT_FOLLOW |
                                  IN_MASK_CREATE | IN_MASK_ADD | IN_UNMOUNT |
                                  IN_Q_OVERFLOW | IN_IGNORED | IN_ISDIR;

/* What a user has. */
struct user {
	struct list link; /* [lock] */
	uint32_t uid, num_instances, num_watches;
};

struct inotify {
	struct wait_queue wait;
	struct async_list async;
	struct list events;     /* [lock] */
	uint32_t num_events;    /* [lock]; read without */
	size_t bytes;           /* [lock] that reading all of them takes */
	struct rb_root watches; /* [lock] by wd */
	int32_t last_wd;        /* [lock] */
	bool has_overflow;      /* [lock] IN_Q_OVERFLOW is in the queue */
	struct user *user;      /* [I] */
};

struct watch {
	struct rb_node node;    /* [lock] */
	struct list inode_link; /* [lock] inode->watches */
	struct list all_link;   /* [lock] */
	struct list gone_link;  /* out of all lists, before its inode is put */
	struct inotify *in;     /* [I] */
	struct inode *inode;    /* [I] a reference */
	int32_t wd;             /* [I] */
	uint32_t mask;          /* [lock] */
};

struct event {
	struct list link;
	int32_t wd;
	uint32_t mask, cookie, name_len;
	char name[];
};

static struct mutex lock = MUTEX_INIT(lock, "inotify", RANK_NOTIFY);
static struct list users = LIST_INIT(users);                                  /* [lock] */
static struct list all_watches = LIST_INIT(all_watches);                      /* [lock] */
static uint32_t max_events = 16384, max_instances = 128, max_watches = 65536; /* [a] */
uint32_t inotify_num_watches;

static const struct file_ops inotify_ops;

/* ---- Users ---------------------------------------------------------------------------------- */

/* The user's counts with an instance more: ERR_MFILE, ERR_NOMEM. */
static enum err
user_add_instance(uint32_t uid, struct user **out)
{
	struct user *u;

	list_for_each(u, &users, link) {
		if (u->uid != uid)
			continue;
		if (u->num_instances >= max_instances)
			return ERR_MFILE;
		u->num_instances++;
		*out = u;
		return OK;
	}
	if (!max_instances)
		return ERR_MFILE;
	u = kzalloc(sizeof(*u));
	if (!u)
		return ERR_NOMEM;
	u->uid = uid;
	u->num_instances = 1;
	list_push_back(&users, &u->link);
	*out = u;
	return OK;
}

static void
user_drop_instance(struct user *u)
{
	if (--u->num_instances)
		return;
	list_remove(&u->link);
	kfree(u);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static size_t
padded(uint32_t name_len)
{
	return name_len ? ALIGN_UP((size_t)name_len + 1, (size_t)HEADER) : 0;
}

/* The same as the last one not yet read: once is enough. */
static bool
is_repeated(const struct inotify *in, const struct event *e)
{
	const struct event *last;

	if (list_is_empty(&in->events) || (e->mask & IN_IGNORED))
		return false;
	last = list_entry(in->events.prev, struct event, link);
	return last->wd == e->wd && last->mask == e->mask &&
	       last->name_len == e->name_len && !memcmp(last->name, e->name, e->name_len);
}

static void
push(struct inotify *in, struct event *e)
{
	list_push_back(&in->events, &e->link);
	in->bytes += HEADER + padded(e->name_len);
	__atomic_store_n(&in->num_events, in->num_events + 1, __ATOMIC_RELAXED);
	wait_queue_wake(&in->wait, ~0u, POLLIN | POLLRDNORM);
	async_tell(&in->async, POLL_IN);
}

static struct event *
event_make(int32_t wd, const struct in_fact *fact)
{
	struct event *e = kmalloc(sizeof(*e) + fact->name_len);

	if (!e)
		return NULL;
	*e = (struct event){.wd = wd,
	    .mask = fact->mask,
	    .cookie = fact->cookie,
	    .name_len = fact->name_len};
	memcpy(e->name, fact->name, fact->name_len);
	return e;
}

/* Events were lost, for want of room or memory: the reader hears that, once. */
static void
overflow(struct inotify *in)
{
	struct event *e;

	if (in->has_overflow)
		return;
	e = event_make(-1, &(struct in_fact){.mask = IN_Q_OVERFLOW, .name = ""});
	if (!e)
		return;
	in->has_overflow = true;
	push(in, e);
}

/* lock held */
static void
queue(struct inotify *in, int32_t wd, const struct in_fact *fact)
{
	struct event *e = NULL;

	if (in->num_events < max_events)
		e = event_make(wd, fact);
	if (!e)
		overflow(in);
	else if (is_repeated(in, e))
		kfree(e);
	else
		push(in, e);
}

static struct event *
pop(struct inotify *in)
{
	struct list *link = list_pop_front(&in->events);
	struct event *e = link ? list_entry(link, struct event, link) : NULL;

	if (!e)
		return NULL;
	in->bytes -= HEADER + padded(e->name_len);
	__atomic_store_n(&in->num_events, in->num_events - 1, __ATOMIC_RELAXED);
	if (e->mask & IN_Q_OVERFLOW)
		in->has_overflow = false;
	return e;
}

/* ---- Watches --------------------------------------------------------------------------------- */

/* lock held: out of all lists into `gone`, after IN_IGNORED was told. */
static void
watch_end(struct watch *w, struct list *gone)
{
	queue(w->in, w->wd, &(struct in_fact){.mask = IN_IGNORED, .name = ""});
	rb_erase(&w->in->watches, &w->node);
	list_remove(&w->inode_link);
	list_remove(&w->all_link);
	w->in->user->num_watches--;
	__atomic_sub_fetch(&inotify_num_watches, 1, __ATOMIC_RELAXED);
	list_push_back(gone, &w->gone_link);
}

/* Without the lock: a file system may do anything when an inode goes. */
static void
free_gone(struct list *gone)
{
	struct list *link;

	while ((link = list_pop_front(gone))) {
		struct watch *w = list_entry(link, struct watch, gone_link);

		inode_put(w->inode);
		kfree(w);
	}
}

static void
tell_watch(struct watch *w, const struct in_fact *fact, struct list *gone)
{
	if (!(fact->mask & w->mask & IN_ALL_EVENTS) ||
	    (fact->is_unlinked && (w->mask & IN_EXCL_UNLINK)))
		return;
	queue(w->in, w->wd, fact);
	if (w->mask & IN_ONESHOT)
		watch_end(w, gone);
}

void
inotify_tell(struct inode *inode, const struct in_fact *fact)
{
	struct list gone = LIST_INIT(gone);
	struct in_fact named = *fact;
	struct watch *w, *next;

	if (!named.name)
		named.name = "";
	mutex_lock(&lock);
	list_for_each_safe(w, next, &inode->watches, inode_link)
		tell_watch(w, &named, &gone);
	mutex_unlock(&lock);
	free_gone(&gone);
}

/* lock held */
static void
end_all(struct inode *inode, uint32_t mask, struct list *gone)
{
	const struct in_fact fact = {.mask = mask, .name = ""};
	struct watch *w, *next;

	list_for_each_safe(w, next, &inode->watches, inode_link) {
		if (mask & (w->mask | IN_UNMOUNT))
			queue(w->in, w->wd, &fact);
		watch_end(w, gone);
	}
}

void
inotify_forget_inode(struct inode *inode, uint32_t mask)
{
	struct list gone = LIST_INIT(gone);

	if (list_is_empty(&inode->watches))
		return;
	mutex_lock(&lock);
	end_all(inode, mask, &gone);
	mutex_unlock(&lock);
	free_gone(&gone);
}

void
inotify_forget_super(const struct super *super)
{
	struct list gone = LIST_INIT(gone);
	struct watch *w, *next;

	if (!is_anybody_watching())
		return;
	mutex_lock(&lock);
	list_for_each_safe(w, next, &all_watches, all_link) {
		if (w->inode->super != super)
			continue;
		queue(w->in, w->wd, &(struct in_fact){.mask = IN_UNMOUNT, .name = ""});
		watch_end(w, &gone);
	}
	mutex_unlock(&lock);
	free_gone(&gone);
}

static bool
wd_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct watch, node)->wd < rb_entry(b, struct watch, node)->wd;
}

static struct watch *
watch_find(const struct inotify *in, int32_t wd)
{
	struct rb_node *n = in->watches.node;

	while (n) {
		struct watch *w = rb_entry(n, struct watch, node);

		if (wd == w->wd)
			return w;
		n = wd < w->wd ? n->left : n->right;
	}
	return NULL;
}

static struct watch *
watch_of_inode(const struct inotify *in, const struct inode *inode)
{
	struct watch *w;

	list_for_each(w, &inode->watches, inode_link)
		if (w->in == in)
			return w;
	return NULL;
}

/* lock held. The numbers go up and begin again when they are used up. */
static int32_t
next_wd(struct inotify *in)
{
	do
		in->last_wd = in->last_wd == INT32_MAX ? 1 : in->last_wd + 1;
	while (watch_find(in, in->last_wd));
	return in->last_wd;
}

/* lock held: the watch's number, or err. */
static long
watch_new(struct inotify *in, struct inode *inode, uint32_t mask)
{
	struct watch *w;

	if (inode->nlink == 0 && s_isdir(inode->mode))
		return ERR_NOENT;
	if (in->user->num_watches >= max_watches)
		return ERR_NOSPC;
	w = kzalloc(sizeof(*w));
	if (!w)
		return ERR_NOMEM;
	w->in = in;
	w->inode = inode_get(inode);
	w->mask = mask & KEPT_FLAGS;
	w->wd = next_wd(in);
	list_init(&w->gone_link);
	rb_insert(&in->watches, &w->node, wd_less);
	list_push_back(&inode->watches, &w->inode_link);
	list_push_back(&all_watches, &w->all_link);
	in->user->num_watches++;
	__atomic_add_fetch(&inotify_num_watches, 1, __ATOMIC_SEQ_CST);
	return w->wd;
}

static long
watch_add(struct inotify *in, struct inode *inode, uint32_t mask)
{
	struct watch *w;
	long result;

	mutex_lock(&lock);
	w = watch_of_inode(in, inode);
	if (!w) {
		result = watch_new(in, inode, mask);
	} else if (mask & IN_MASK_CREATE) {
		result = ERR_EXIST;
	} else {
		w->mask = (mask & IN_MASK_ADD ? w->mask : 0) | (mask & KEPT_FLAGS);
		result = w->wd;
	}
	mutex_unlock(&lock);
	return result;
}

/* ---- The file ---------------------------------------------------------------------------------- */

static ssize_t
copy_event(struct uio *u, const struct event *e)
{
	static const char zeros[HEADER];
	const uint32_t head[4] = {
	    (uint32_t)e->wd, e->mask, e->cookie, (uint32_t)padded(e->name_len)};
	size_t pad = padded(e->name_len) - e->name_len;

	if (uio_copy_to(u, head, sizeof(head)) != sizeof(head) ||
	    uio_copy_to(u, e->name, e->name_len) != e->name_len ||
	    uio_copy_to(u, zeros, pad) != pad)
		return ERR_FAULT;
	return (ssize_t)(sizeof(head) + head[3]);
}

/* The first event if it fits into n bytes; NULL with *err OK: there is none. */
static struct event *
take_event(struct inotify *in, size_t n, enum err *err)
{
	struct event *e = NULL;

	*err = OK;
	mutex_lock(&lock);
	if (!list_is_empty(&in->events)) {
		e = list_entry(in->events.next, struct event, link);
		if (HEADER + padded(e->name_len) > n) {
			e = NULL;
			*err = ERR_INVAL;
		} else {
			e = pop(in);
		}
	}
	mutex_unlock(&lock);
	return e;
}

/* As many events as there are and fit; 0: there is none. */
static ssize_t
read_events(struct inotify *in, struct uio *u)
{
	ssize_t done = 0;

	for (;;) {
		enum err err;
		struct event *e = take_event(in, u->resid, &err);
		ssize_t n;

		if (!e)
			return done ? done : err;
		n = copy_event(u, e);
		kfree(e);
		if (n < 0)
			return done ? done : n;
		done += n;
	}
}

static ssize_t
inotify_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct inotify *in = f->private;

	for (;;) {
		ssize_t n = read_events(in, u);
		enum err err;

		if (n)
			return n;
		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(&in->wait,
		    __atomic_load_n(&in->num_events, __ATOMIC_RELAXED),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
}

static uint32_t
inotify_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = f->private;

	poll_wait(f, &in->wait, pt);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&in->num_events, __ATOMIC_RELAXED) ? POLLIN | POLLRDNORM
	                                                          : 0;
}

static long
inotify_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct inotify *in = f->private;
	int32_t n;

	if (cmd != FIONREAD)
		return ERR_NOTTY;
	mutex_lock(&lock);
	n = (int32_t)in->bytes;
	mutex_unlock(&lock);
	return put_user(n, (int32_t USER *)arg);
}

static void
instance_free(struct inotify *in)
{
	struct list gone = LIST_INIT(gone);
	struct rb_node *n;
	struct event *e;

	mutex_lock(&lock);
	while ((n = rb_first(&in->watches)))
		watch_end(rb_entry(n, struct watch, node), &gone);
	while ((e = pop(in)))
		kfree(e);
	user_drop_instance(in->user);
	mutex_unlock(&lock);
	free_gone(&gone);
	kfree(in);
}

static void
inotify_release(struct file *f)
{
	instance_free(f->private);
}

static struct async_list *
inotify_async(struct file *f)
{
	struct inotify *in = f->private;

	return &in->async;
}

static const struct file_ops inotify_ops = {
    .async = inotify_async,
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
    .anon_mode = 0600,
    .anon_name = "inotify",
};

/* ---- System calls -------------------------------------------------------------------------------- */

long
sys_inotify_init1(int flags)
{
	struct inotify *in;
	struct file *f;
	enum err err;
	int fd;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return ERR_INVAL;
	in = kzalloc(sizeof(*in));
	if (!in)
		return ERR_NOMEM;
	wait_queue_init(&in->wait);
	async_list_init(&in->async);
	list_init(&in->events);
	mutex_lock(&lock);
	err = user_add_instance(current_cred()->uid, &in->user);
	mutex_unlock(&lock);
	if (err != OK) {
		kfree(in);
		return err;
	}
	f = file_alloc(&inotify_ops, O_RDONLY | ((uint32_t)flags & O_NONBLOCK), in);
	if (!f) {
		instance_free(in);
		return ERR_NOMEM;
	}
	fd = fd_install(f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long
sys_inotify_init(void)
{
	return sys_inotify_init1(0);
}

/* The instance of a descriptor with a reference to its file, or NULL. */
static struct inotify *
inotify_by_fd(int fd, struct file **f, long *err)
{
	*f = fd_get(fd);
	*err = ERR_BADF;
	if (!*f)
		return NULL;
	if ((*f)->ops == &inotify_ops)
		return (*f)->private;
	*err = (*f)->mode & FILE_PATH ? ERR_BADF : ERR_INVAL;
	file_put(*f);
	return NULL;
}

static long
add_by_path(struct inotify *in, const char USER *user, uint32_t mask)
{
	struct path path;
	char *text;
	long result = name_from_user(user, false, &text);

	if (result != OK)
		return result;
	result = path_lookup(AT_FDCWD, text,
	    (mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW) |
	        (mask & IN_ONLYDIR ? WALK_DIRECTORY : 0),
	    &path);
	name_put(text);
	if (result != OK)
		return result;
	result = inode_permission(current_cred(), path.dentry->inode, MAY_READ);
	if (result == OK)
		result = watch_add(in, path.dentry->inode, mask);
	path_put(&path);
	return result;
}

long
sys_inotify_add_watch(int fd, const char USER *path, uint32_t mask)
{
	struct inotify *in;
	struct file *f;
	long result;

	if (!(mask & ALL_FLAGS) || (mask & ~ALL_FLAGS))
		return ERR_INVAL;
	in = inotify_by_fd(fd, &f, &result);
	if (!in)
		return result;
	if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE))
		result = ERR_INVAL;
	else
		result = add_by_path(in, path, mask);
	file_put(f);
	return result;
}

long
sys_inotify_rm_watch(int fd, int wd)
{
	struct list gone = LIST_INIT(gone);
	struct watch *w;
	struct file *f;
	long err;
	struct inotify *in = inotify_by_fd(fd, &f, &err);

	if (!in)
		return err;
	mutex_lock(&lock);
	w = watch_find(in, wd);
	if (w)
		watch_end(w, &gone);
	mutex_unlock(&lock);
	free_gone(&gone);
	file_put(f);
	return w ? 0 : ERR_INVAL;
}

/* ---- /proc/sys/fs/inotify -------------------------------------------------------------------------- */

static void
show_limit(struct seq *s)
{
	seq_printf(
	    s, "%u\n", __atomic_load_n((const uint32_t *)s->private, __ATOMIC_RELAXED));
}

static enum err
store_limit(void *limit, const char *text)
{
	uint64_t v = 0;

	if (!*text)
		return ERR_INVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return ERR_INVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > INT32_MAX)
			return ERR_INVAL;
	}
	__atomic_store_n((uint32_t *)limit, (uint32_t)v, __ATOMIC_RELAXED);
	return OK;
}

void
inotify_init(void)
{
	/* No memory: they are not shown. */
	(void)proc_register_private(
	    "sys/fs/inotify/max_queued_events", show_limit, store_limit, &max_events);
	(void)proc_register_private(
	    "sys/fs/inotify/max_user_instances", show_limit, store_limit, &max_instances);
	(void)proc_register_private(
	    "sys/fs/inotify/max_user_watches", show_limit, store_limit, &max_watches);
}
