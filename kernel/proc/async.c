/*
 * Signals of files; see async.h. A file gets its struct file_owner with the first F_SETOWN, F_SETSIG or
 * O_ASYNC, and keeps it until it is freed. It enters its object's list with the first O_ASYNC, and leaves
 * only when it goes away, so that readers under RCU never meet a node that moved; the flag says whether it
 * is told. Who set the owner is remembered, and must have the right to signal whom he chose then.
 */
#include "kernel/proc/async.h"

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/poll.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/process.h"
#include "kernel/sync/rculist.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

struct owner {
	enum owner_kind kind;
	uint32_t id;        /* 0: nobody */
	nsec_t start_ns;    /* of the process or thread: numbers come again */
	uint32_t uid, euid; /* of who set it */
	int32_t signo;      /* 0: SIGIO, without a tale */
	int32_t fd;         /* told */
};

struct file_owner {
	struct list link;  /* [owner_lock, R] in the object's list, or empty */
	struct file *file; /* [I] */
	struct owner own;  /* [owner_lock] */
};

static struct spinlock owner_lock = SPINLOCK_INIT("file owners", RANK_OBJECT);

/* The file's; NULL: no memory. */
static struct file_owner *
owner_of(struct file *f)
{
	struct file_owner *o = __atomic_load_n(&f->owner, __ATOMIC_ACQUIRE), *fresh;

	if (o)
		return o;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return NULL;
	fresh->file = f;
	list_init(&fresh->link);
	if (__atomic_compare_exchange_n(
	        &f->owner, &o, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	kfree(fresh);
	return o;
}

/* A copy of what is set now. */
static struct owner
owner_now(const struct file *f)
{
	const struct file_owner *o = __atomic_load_n(&f->owner, __ATOMIC_ACQUIRE);
	struct owner own = {.kind = OWNER_THREAD};

	if (!o)
		return own;
	spin_lock(&owner_lock);
	own = o->own;
	spin_unlock(&owner_lock);
	return own;
}

/* ---- Telling ------------------------------------------------------------------------- */

static bool
may_tell(const struct owner *own, const struct process *p)
{
	const struct cred *it;
	bool may;

	rcu_read_lock();
	it = rcu_dereference(p->cred);
	may = own->euid == 0 || own->euid == it->suid || own->euid == it->uid ||
	      own->uid == it->suid || own->uid == it->uid;
	rcu_read_unlock();
	return may;
}

/* Signals that have codes of their own, but for SIGIO. */
static bool
has_own_codes(int sig)
{
	const uint64_t set = SIGMASK(SIGILL) | SIGMASK(SIGFPE) | SIGMASK(SIGSEGV) |
	                     SIGMASK(SIGBUS) | SIGMASK(SIGTRAP) | SIGMASK(SIGCHLD) |
	                     SIGMASK(SIGSYS);

	return SIGMASK(sig) & set;
}

static enum err
send(struct process *p, struct thread *t, int sig, const struct siginfo *info)
{
	return t ? signal_send_thread(t, sig, info) : signal_send_process(p, sig, info);
}

/* To a thread, or, t NULL, a process. Where there is no room for a tale, SIGIO must do. */
static void
tell_one(
    const struct owner *own, struct process *p, struct thread *t, enum poll_code code)
{
	static const uint32_t bands[] = {
	    [POLL_IN] = POLLIN | POLLRDNORM,
	    [POLL_OUT] = POLLOUT | POLLWRNORM | POLLWRBAND,
	    [POLL_MSG] = POLLIN | POLLRDNORM | POLLMSG,
	    [POLL_ERR] = POLLERR,
	    [POLL_PRI] = POLLPRI | POLLRDBAND,
	    [POLL_HUP] = POLLHUP | POLLERR,
	};
	struct siginfo info = {.code = (int32_t)code};

	if (!may_tell(own, p))
		return;
	if (own->signo) {
		if (has_own_codes(own->signo))
			info.code = SI_SIGIO;
		info.status = own->fd;
		info.value = bands[code];
		if (send(p, t, own->signo, &info) == OK)
			return;
	}
	(void)send(p, t, SIGIO, NULL); /* it has no queue to be full */
}

/* What is sent: SIGURG, or, 0, the tale of `code`. */
struct telling {
	int sig;
	enum poll_code code;
};

static void
tell_member(const struct owner *own, struct process *p, struct thread *t,
    const struct telling *what)
{
	if (!what->sig)
		tell_one(own, p, t, what->code);
	else if (may_tell(own, p))
		(void)send(p, t, what->sig, NULL); /* or it is gone */
}

static void
tell_group(const struct owner *own, const struct telling *what)
{
	const struct pgroup *g;
	struct process *p;

	spin_lock(&proc_tree_lock);
	g = pgroup_find_locked(own->id);
	if (g)
		list_for_each(p, &g->members, pgroup_link)
			tell_member(own, p, NULL, what);
	spin_unlock(&proc_tree_lock);
}

/* The owner, if it is still the one that was set: with a reference. */
static struct thread *
owner_thread(const struct owner *own)
{
	struct thread *t = thread_find(own->id);

	if (t && t->start_ns != own->start_ns) {
		thread_put(t);
		t = NULL;
	}
	return t;
}

static struct process *
owner_process(const struct owner *own)
{
	struct process *p = process_find(own->id);

	if (p && p->start_ns != own->start_ns) {
		process_put(p);
		p = NULL;
	}
	return p;
}

static void
tell_owner(const struct owner *own, const struct telling *what)
{
	if (!own->id)
		return;
	if (own->kind == OWNER_GROUP) {
		tell_group(own, what);
	} else if (own->kind == OWNER_THREAD) {
		struct thread *t = owner_thread(own);

		if (!t)
			return;
		tell_member(own, t->process, t, what);
		thread_put(t);
	} else {
		struct process *p = owner_process(own);

		if (!p)
			return;
		tell_member(own, p, NULL, what);
		process_put(p);
	}
}

void
async_list_init(struct async_list *l)
{
	list_init(&l->owners);
}

/* A file hears of what it was opened for. */
static bool
wants(const struct file *f, enum poll_code code)
{
	if (!(__atomic_load_n(&f->flags, __ATOMIC_RELAXED) & O_ASYNC))
		return false;
	return code == POLL_OUT  ? f->mode & FILE_WRITE
	       : code == POLL_IN ? f->mode & FILE_READ
	                         : true;
}

void
async_tell_all(struct async_list *l, enum poll_code code)
{
	const struct telling what = {.code = code};
	const struct file_owner *o;

	rcu_read_lock();
	rcu_list_for_each(o, &l->owners, link)
	{
		struct owner own = owner_now(o->file);

		if (wants(o->file, code))
			tell_owner(&own, &what);
	}
	rcu_read_unlock();
}

void
file_tell_urgent(const struct file *f)
{
	const struct telling what = {.sig = SIGURG};
	struct owner own = owner_now(f);

	tell_owner(&own, &what);
}

/* ---- Setting ------------------------------------------------------------------------- */

enum err
file_set_async(struct file *f, int fd, bool on)
{
	struct async_list *l;
	struct file_owner *o;

	if (!on) {
		__atomic_fetch_and(&f->flags, ~(uint32_t)O_ASYNC, __ATOMIC_RELAXED);
		return OK;
	}
	l = f->ops->async(f);
	o = owner_of(f);
	if (!o)
		return ERR_NOMEM;
	spin_lock(&owner_lock);
	o->own.fd = fd;
	if (list_is_empty(&o->link))
		rcu_list_push_back(&l->owners, &o->link);
	spin_unlock(&owner_lock);
	__atomic_fetch_or(&f->flags, O_ASYNC, __ATOMIC_RELAXED);
	return OK;
}

void
file_owner_leave(struct file *f)
{
	struct file_owner *o = f->owner;

	spin_lock(&owner_lock);
	if (!list_is_empty(&o->link))
		rcu_list_remove(&o->link);
	spin_unlock(&owner_lock);
}

/* Whether somebody has that number, and since when. */
static bool
find_start(enum owner_kind kind, uint32_t id, nsec_t *start_ns)
{
	struct thread *t = kind == OWNER_THREAD ? thread_find(id) : NULL;
	struct process *p = kind == OWNER_PROCESS ? process_find(id) : NULL;
	bool is_there = t || p;

	*start_ns = t ? t->start_ns : p ? p->start_ns : 0;
	if (t)
		thread_put(t);
	if (p)
		process_put(p);
	if (kind != OWNER_GROUP)
		return is_there;
	spin_lock(&proc_tree_lock);
	is_there = pgroup_find_locked(id);
	spin_unlock(&proc_tree_lock);
	return is_there;
}

static enum err
set_owner(struct file *f, enum owner_kind kind, uint32_t id, bool is_default)
{
	const struct cred *cred = current_cred();
	struct file_owner *o;
	nsec_t start_ns = 0;

	if (id && !find_start(kind, id, &start_ns))
		return ERR_SRCH;
	o = owner_of(f);
	if (!o)
		return ERR_NOMEM;
	spin_lock(&owner_lock);
	if (!is_default || !o->own.id) {
		o->own.kind = kind;
		o->own.id = id;
		o->own.start_ns = start_ns;
		if (id) {
			o->own.uid = cred->uid;
			o->own.euid = cred->euid;
		}
	}
	spin_unlock(&owner_lock);
	return OK;
}

enum err
file_own_by_default(struct file *f, enum owner_kind kind, uint32_t id)
{
	return set_owner(f, kind, id, true);
}

enum err
file_set_owner(struct file *f, int32_t owner)
{
	if (owner == INT32_MIN)
		return ERR_INVAL;
	return owner < 0 ? set_owner(f, OWNER_GROUP, (uint32_t)-owner, false)
	                 : set_owner(f, OWNER_PROCESS, (uint32_t)owner, false);
}

/* Its number, or 0: it has gone. */
static uint32_t
living_id(const struct owner *own)
{
	nsec_t start_ns;

	return own->id && find_start(own->kind, own->id, &start_ns) &&
	               start_ns == own->start_ns
	           ? own->id
	           : 0;
}

int32_t
file_get_owner(const struct file *f)
{
	struct owner own = owner_now(f);
	int32_t id = (int32_t)living_id(&own);

	return own.kind == OWNER_GROUP ? -id : id;
}

/* struct f_owner_ex of Linux. */
struct owner_ex {
	int32_t type, pid;
};

static long
set_owner_ex(struct file *f, const struct owner_ex USER *user)
{
	struct owner_ex ex;

	if (get_user(ex, user) != OK)
		return ERR_FAULT;
	if (ex.type < OWNER_THREAD || ex.type > OWNER_GROUP)
		return ERR_INVAL;
	return set_owner(f, (enum owner_kind)ex.type, (uint32_t)ex.pid, false);
}

static long
get_owner_ex(const struct file *f, struct owner_ex USER *user)
{
	struct owner own = owner_now(f);
	struct owner_ex ex = {(int32_t)own.kind, (int32_t)living_id(&own)};

	return put_user(ex, user);
}

static long
set_signal(struct file *f, uintptr_t sig)
{
	struct file_owner *o;

	if (sig > NSIG)
		return ERR_INVAL;
	o = owner_of(f);
	if (!o)
		return ERR_NOMEM;
	spin_lock(&owner_lock);
	o->own.signo = (int32_t)sig;
	spin_unlock(&owner_lock);
	return OK;
}

static long
get_owner_uids(const struct file *f, uintptr_t arg)
{
	struct owner own = owner_now(f);
	uint32_t uids[2] = {own.uid, own.euid};

	return copy_to_user((void USER *)arg, uids, sizeof(uids));
}

long
file_fcntl_owner(struct file *f, unsigned cmd, uintptr_t arg)
{
	switch (cmd) {
	case F_SETOWN: return file_set_owner(f, (int32_t)arg);
	case F_GETOWN: return file_get_owner(f);
	case F_SETOWN_EX: return set_owner_ex(f, (const struct owner_ex USER *)arg);
	case F_GETOWN_EX: return get_owner_ex(f, (struct owner_ex USER *)arg);
	case F_SETSIG: return set_signal(f, arg);
	case F_GETSIG: return owner_now(f).signo;
	case F_GETOWNER_UIDS: return get_owner_uids(f, arg);
	default: return ERR_INVAL;
	}
}
