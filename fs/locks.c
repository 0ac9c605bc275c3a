/*
 * Advisory locks on files: flock(2), POSIX record locks and open file description locks
 * (fcntl(2)). All are ranges in one list of the inode. A lock belongs to an owner, within
 * which locks never conflict but replace each other: the descriptor table for POSIX
 * locks, the open file for the other two. flock locks and record locks do not see each
 * other.
 *
 * Threads that wait for a POSIX lock are in a list of their own, so that a ring of
 * processes that wait for each other is found (ERR_DEADLK).
 */
#include "fs/vfs.h"

#include "kernel/procfs.h"
#include "kernel/proc/process.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum lock_kind { LOCK_FLOCK, LOCK_RECORD };

struct file_lock {
	struct list link;        /* [inode->aux_lock] */
	enum lock_kind kind;     /* [I] */
	const void *owner;       /* [I] */
	const struct file *file; /* [I] flock and OFD: the description; else NULL */
	loff_t start, end;       /* both inclusive; INT64_MAX: to the end */
	int type;                /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint32_t pid;            /* [I] for F_GETLK */
};

/* struct flock of the system call. */
struct user_flock {
	int16_t type, whence;
	loff_t start, len;
	int32_t pid, pad;
};

struct blocked {
	struct list link;
	const void *owner, *blocker;
};

static struct spinlock blocked_lock = SPINLOCK_INIT("blocked_locks", RANK_OBJECT);
static struct list blocked = LIST_INIT(blocked); /* [blocked_lock] */

static bool
overlaps(const struct file_lock *a, const struct file_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* A lock that keeps `want` from being granted, or NULL. aux_lock held. */
static struct file_lock *
find_conflict(struct inode *inode, const struct file_lock *want)
{
	struct file_lock *l;

	list_for_each(l, &inode->locks, link)
		if (l->kind == want->kind && l->owner != want->owner &&
		    overlaps(l, want) && (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

/*
 * Sets the range of `want` to its type for its owner: what the owner has there is cut
 * away or split. `spare` are two locks to use; those used are NULL afterwards. aux_lock
 * held.
 */
static void
apply(struct inode *inode, const struct file_lock *want, struct file_lock *spare[2],
    struct list *gone)
{
	struct file_lock *l, *tmp;

	list_for_each_safe(l, tmp, &inode->locks, link) {
		if (l->kind != want->kind || l->owner != want->owner ||
		    !overlaps(l, want))
			continue;
		if (l->start < want->start && l->end > want->end) {
			/* The middle goes: the part behind becomes a lock of its own. */
			*spare[1] = *l;
			spare[1]->start = want->end + 1;
			l->end = want->start - 1;
			list_push_back(&inode->locks, &spare[1]->link);
			spare[1] = NULL;
			break;
		}
		if (l->start < want->start) {
			l->end = want->start - 1;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
		} else {
			list_remove(&l->link);
			list_push_back(gone, &l->link);
		}
	}
	if (want->type == F_UNLCK)
		return;
	*spare[0] = *want;
	list_push_back(&inode->locks, &spare[0]->link);
	spare[0] = NULL;
}

static void
free_list(struct list *gone)
{
	struct file_lock *l, *tmp;

	list_for_each_safe(l, tmp, gone, link)
		kfree(l);
}

/* Grants `want`, or tells whose lock is in the way. */
static enum err
try_set(struct inode *inode, const struct file_lock *want, const void **blocker)
{
	struct file_lock *spare[2] = {kmalloc(sizeof(*want)), kmalloc(sizeof(*want))};
	struct file_lock *conflict = NULL;
	struct list gone = LIST_INIT(gone);
	enum err err = OK;

	if (!spare[0] || !spare[1]) {
		err = ERR_NOMEM;
	} else {
		spin_lock(&inode->aux_lock);
		if (want->type != F_UNLCK)
			conflict = find_conflict(inode, want);
		if (conflict) {
			*blocker = conflict->owner;
			err = ERR_AGAIN;
		} else {
			apply(inode, want, spare, &gone);
		}
		spin_unlock(&inode->aux_lock);
	}
	free_list(&gone);
	kfree(spare[0]);
	kfree(spare[1]);
	/* Unlocked or weakened: others may go on. */
	if (!err && want->type != F_WRLCK)
		wait_queue_wake_all(&inode->locks_wait);
	return err;
}

static bool
is_free(struct inode *inode, const struct file_lock *want)
{
	bool free;

	spin_lock(&inode->aux_lock);
	free = !find_conflict(inode, want);
	spin_unlock(&inode->aux_lock);
	return free;
}

/* Enters `b` as waiting, unless its owner would wait for itself in the end. */
static bool
begin_blocked(struct blocked *b)
{
	enum { LONGEST_CHAIN = 256 };
	const void *at = b->blocker;
	bool is_ring = false;

	spin_lock(&blocked_lock);
	for (unsigned i = 0; i < LONGEST_CHAIN && at && !is_ring; i++) {
		const void *next = NULL;
		struct blocked *other;

		list_for_each(other, &blocked, link)
			if (other->owner == at)
				next = other->blocker;
		at = next;
		is_ring = at == b->owner;
	}
	if (!is_ring)
		list_push_back(&blocked, &b->link);
	spin_unlock(&blocked_lock);
	return !is_ring;
}

static void
end_blocked(struct blocked *b)
{
	spin_lock(&blocked_lock);
	list_remove(&b->link);
	spin_unlock(&blocked_lock);
}

static enum err
set(struct inode *inode, const struct file_lock *want, bool may_wait, bool finds_rings)
{
	for (;;) {
		struct blocked b = {.owner = want->owner};
		enum err err = try_set(inode, want, &b.blocker);

		if (err != ERR_AGAIN || !may_wait)
			return err;
		if (finds_rings && !begin_blocked(&b))
			return ERR_DEADLK;
		err = wait_event(&inode->locks_wait, is_free(inode, want),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (finds_rings)
			end_blocked(&b);
		if (err)
			return err;
	}
}

/* Takes all locks away that `matches` finds. */
static void
drop(struct inode *inode, const void *owner, const struct file *file)
{
	struct file_lock *l, *tmp;
	struct list gone = LIST_INIT(gone);

	if (list_is_empty(&inode->locks))
		return;
	spin_lock(&inode->aux_lock);
	list_for_each_safe(l, tmp, &inode->locks, link)
		if ((owner && l->owner == owner) || (file && l->file == file)) {
			list_remove(&l->link);
			list_push_back(&gone, &l->link);
		}
	spin_unlock(&inode->aux_lock);
	if (list_is_empty(&gone))
		return;
	free_list(&gone);
	wait_queue_wake_all(&inode->locks_wait);
}

void
locks_drop_file(struct file *f)
{
	drop(f->inode, NULL, f);
}

void
file_closed_by(struct file *f, struct fd_table *owner)
{
	if (!f->inode)
		return;
	drop(f->inode, owner, NULL);
	mqueue_closed_by(f);
}

/* The range of a struct flock, absolute. */
static enum err
range_of(struct file *f, const struct user_flock *u, struct file_lock *l)
{
	loff_t base, end;

	switch (u->whence) {
	case SEEK_SET: base = 0; break;
	case SEEK_CUR: base = f->pos; break;
	case SEEK_END: base = f->inode->size; break;
	default: return ERR_INVAL;
	}
	if (__builtin_add_overflow(base, u->start, &l->start))
		return ERR_OVERFLOW;
	if (u->len == 0) {
		end = INT64_MAX;
	} else if (u->len > 0) {
		if (__builtin_add_overflow(l->start, u->len - 1, &end))
			return ERR_OVERFLOW;
	} else {
		end = l->start - 1;
		l->start += u->len;
	}
	if (l->start < 0)
		return ERR_INVAL;
	l->end = end;
	return OK;
}

static long
get_lock(struct inode *inode, struct file_lock *want, struct user_flock *u,
    struct user_flock USER *user)
{
	struct file_lock *l;

	if (want->type == F_UNLCK)
		return ERR_INVAL;
	spin_lock(&inode->aux_lock);
	l = find_conflict(inode, want);
	if (l) {
		*u = (struct user_flock){
		    .type = l->type,
		    .whence = SEEK_SET,
		    .start = l->start,
		    .len = l->end == INT64_MAX ? 0 : l->end - l->start + 1,
		    .pid = l->file ? -1 : (int32_t)l->pid,
		};
	} else {
		u->type = F_UNLCK;
	}
	spin_unlock(&inode->aux_lock);
	return copy_to_user(user, u, sizeof(*u));
}

long
file_fcntl_lock(struct file *f, unsigned cmd, uintptr_t arg)
{
	struct user_flock USER *user = (struct user_flock USER *)arg;
	bool is_ofd = cmd >= F_OFD_GETLK;
	struct file_lock want = {.kind = LOCK_RECORD};
	struct user_flock u;
	long err = copy_from_user(&u, user, sizeof(u));

	if (err)
		return err;
	if (!f->inode)
		return ERR_BADF;
	if (u.type != F_RDLCK && u.type != F_WRLCK && u.type != F_UNLCK)
		return ERR_INVAL;
	if (is_ofd && u.pid != 0)
		return ERR_INVAL;
	want.type = u.type;
	want.owner = is_ofd ? (const void *)f : current_thread()->fds;
	want.file = is_ofd ? f : NULL;
	want.pid = current_process()->pid;
	err = range_of(f, &u, &want);
	if (err)
		return err;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK)
		return get_lock(f->inode, &want, &u, user);
	if ((want.type == F_RDLCK && !(f->mode & FILE_READ)) ||
	    (want.type == F_WRLCK && !(f->mode & FILE_WRITE)))
		return ERR_BADF;
	return set(f->inode, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW, !is_ofd);
}

long
sys_flock(int fd, unsigned cmd)
{
	enum { SH = 1, EX = 2, NB = 4, UN = 8 };
	struct file *f = fd_get(fd);
	struct file_lock want = {.kind = LOCK_FLOCK, .end = INT64_MAX};
	long err = OK;

	if (!f)
		return ERR_BADF;
	switch (cmd & ~(unsigned)NB) {
	case SH: want.type = F_RDLCK; break;
	case EX: want.type = F_WRLCK; break;
	case UN: want.type = F_UNLCK; break;
	default: err = ERR_INVAL; break;
	}
	if (!err && ((f->mode & FILE_PATH) || !f->inode))
		err = ERR_BADF;
	if (!err) {
		want.owner = want.file = f;
		want.pid = current_process()->pid;
		err = set(f->inode, &want, !(cmd & NB), false);
	}
	file_put(f);
	return err;
}
